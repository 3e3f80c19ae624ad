/* The geometry that the convolution kernels share. */
#ifndef FG_CONV_H
#define FG_CONV_H

#include <stddef.h>
#include <stdlib.h>

/* One relation between three arrays serves convolution, transposed convolution and weight gradient:
 *
 *   x[n, c, q]  *  w[o, c, t]  <->  y[n, o, p]     where  q = p * stride + t * dilation - padding
 *
 * Any of the three is made from the other two by summing over what it lacks; a bias is added to y or
 * x where one of them is made. Axes are (batch, channel, three spatial ones) and (output channel,
 * channel, three taps); strides count elements; the channel strides of x and y are 1, w is dense. Channels of
 * group k are k * n and on, with n the number of channels in a group; w lists the output channels of
 * all groups. There is at least one channel, one tap and one position. */
typedef struct {
  int element_size; /* 4: float, 8: double */
  int method;       /* 0: direct, 1: Winograd's where it should be faster, 2: where it is possible */
  ptrdiff_t batch, groups;
  ptrdiff_t x_channels, y_channels; /* in one group */
  ptrdiff_t x_size[3], y_size[3], kernel[3];
  ptrdiff_t stride[3], padding[3], dilation[3];
  ptrdiff_t x_strides[5], y_strides[5], w_strides[5];
} fg_conv;

/* Scratch for free(), aligned to a cache line: vectors that straddle two lines cost double. */
static inline void *scratch(ptrdiff_t bytes) {
  return aligned_alloc(64, (size_t)(bytes / 64 + 1) * 64);
}

static inline ptrdiff_t ceil_div(ptrdiff_t a, ptrdiff_t b) { return (a + b - 1) / b; }

#endif
