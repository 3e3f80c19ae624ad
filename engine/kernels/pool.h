/* Windows of max pooling over three spatial axes; x is dense (batch, in…, channels), out likewise.
 * Window o covers kernel[d] positions, dilation[d] apart, from o * stride[d] - padding[d] on, without
 * those beyond the borders, and no window is empty. */
#ifndef FG_POOL_H
#define FG_POOL_H

#include <stddef.h>

typedef struct {
  ptrdiff_t batch, channels;
  ptrdiff_t in[3], out[3], kernel[3], stride[3], padding[3], dilation[3];
} fg_pool;

#endif
