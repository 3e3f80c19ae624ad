/* Run an inner loop over arrays of any strides. */
#ifndef FG_WALK_H
#define FG_WALK_H

#include "kernels.h"

/* Call loop over all elements of out (shape of ndim axes, slowest first), in parallel for large
 * arrays. stride_* are in bytes per axis, 0 where an input is broadcast; b may be NULL. */
void fg_walk(fg_loop loop, int ndim, const ptrdiff_t *shape, const char *a, const ptrdiff_t *stride_a,
             const char *b, const ptrdiff_t *stride_b, char *out, const ptrdiff_t *stride_out,
             const double *attributes);

#endif
