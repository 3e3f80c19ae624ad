/* Sum, mean, product, maximum, minimum, and where the extremes are; reduce.h says over what.
 *
 * A sum has one order, whatever the strides, the neighbors and the number of threads: within each
 * CHUNK of a reduced axis element i joins lane i % SUM_LANES; a lane adds runs of RUN elements in the
 * element type and the runs in double; lanes, then chunks, are added in order in double. That is 16
 * adjacent vector elements where the axis is dense, and rows of accumulators where it is not.
 * A product has the same lanes, in double throughout.
 * Maximum and minimum pass NaN on, as NumPy does; of equal extremes, or NaN, the first is found. */
#include "reduce.h"

#include "isa.h"
#include "kernels.h"
#include "threads.h"

#include <stdlib.h>
#include <string.h>

#define SUM_LANES 16
#define RUN 256
#define CHUNK 4096
#define TILE 256 /* columns at a time */
#define TASK_ELEMENTS 32768

/* The element i of dense outer axes. */
static ptrdiff_t offset_of(ptrdiff_t i, int n_axes, const ptrdiff_t *shape, const ptrdiff_t *stride) {
  ptrdiff_t offset = 0;
  for (int d = n_axes - 1; d > 0; d--) {
    offset += i % shape[d] * stride[d];
    i /= shape[d];
  }
  return n_axes ? offset + i * stride[0] : 0;
}

static ptrdiff_t product(int n_axes, const ptrdiff_t *shape) {
  ptrdiff_t n = 1;
  for (int d = 0; d < n_axes; d++) n *= shape[d];
  return n;
}

/* As many elements as doubles fit a vector. */
typedef float half_f32 __attribute__((vector_size(FG_VECTOR / 2), aligned(4), may_alias));

#include "f32.h"
#define H half_f32
#include "reduce_body.h"
#undef H
#include "f64.h"
#define H fg_vf64
#include "reduce_body.h"

int FG(reduce)(int f64, const fg_reduction *r) { return f64 ? reduce_f64(r) : reduce_f32(r); }

void FG(cumsum)(int f64, const void *x, void *out, ptrdiff_t outer, ptrdiff_t n, ptrdiff_t inner) {
  if (f64) cumsum_f64(x, out, outer, n, inner);
  else cumsum_f32(x, out, outer, n, inner);
}
