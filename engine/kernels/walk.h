/* Run an inner loop over arrays of any strides. */
#ifndef FG_WALK_H
#define FG_WALK_H

#include "kernels.h"

/* An elementwise call: inputs 0 … n_in - 1, then the output, which is dense in the order of the axes
 * (slowest first). Sizes of elements and strides are in bytes; a stride is 0 along an axis on which
 * an input is repeated. */
typedef struct {
  fg_loop loop;
  const double *attributes;
  int n_in, ndim;
  char *data[FG_MAX_INPUTS + 1];
  ptrdiff_t size[FG_MAX_INPUTS + 1];
  ptrdiff_t shape[FG_MAX_NDIM + 1], stride[FG_MAX_INPUTS][FG_MAX_NDIM + 1];
} fg_walk;

/* Compute every element of the output, in parallel for large arrays. Changes w. */
void fg_run_walk(fg_walk *w);

#endif
