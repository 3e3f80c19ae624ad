/* One reduction of an array of any strides. */
#ifndef FG_REDUCE_H
#define FG_REDUCE_H

#include <stddef.h>

#define FG_REDUCE_AXES 64

enum { FG_SUM, FG_MEAN, FG_PROD, FG_MAX, FG_MIN, FG_ARGMAX, FG_ARGMIN };

/* x seen as (outer…, segments…, n, inner): n is the reduced axis that varies fastest, `step` elements
 * from one to the next; segments are the other reduced axes, outer the kept ones. The inner elements
 * are kept and adjacent. Strides count elements. out is dense: (outer…, inner); int64 for the
 * positions along n that FG_ARGMAX and FG_ARGMIN give, which have no segments. Nothing is empty. */
typedef struct {
  int kind, n_outer, n_segments;
  const void *x;
  void *out;
  ptrdiff_t n, step, inner;
  ptrdiff_t outer_shape[FG_REDUCE_AXES], outer_stride[FG_REDUCE_AXES];
  ptrdiff_t segment_shape[FG_REDUCE_AXES], segment_stride[FG_REDUCE_AXES];
} fg_reduction;

#endif
