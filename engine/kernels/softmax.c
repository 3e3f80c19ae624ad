/* Softmax and its logarithm over the middle axis of (outer, n, inner).
 *
 * Values are exp(x - maximum) / sum, or x - maximum - log(sum). A column with NaN or +infinity, or
 * with nothing but -infinity, becomes NaN throughout; -infinity beside finite values gives 0
 * (logarithm: -infinity). */
#include "isa.h"
#include "kernels.h"
#include "threads.h"
#include "scalar_math.h"

#define TASK_ELEMENTS 16384
#define TILE 64
#define FEW 16  /* rows up to this long are turned into columns, many at a time */

#define T float
#define V fg_vf32
#define LANES FG_LANES_F32
#define M(f) f##_f32
#include "softmax_body.h"
#undef T
#undef V
#undef LANES
#undef M
#define T double
#define V fg_vf64
#define LANES FG_LANES_F64
#define M(f) f##_f64
#include "softmax_body.h"

void FG(softmax)(int f64, int logarithm, const void *x, void *out, ptrdiff_t outer, ptrdiff_t n,
                 ptrdiff_t inner) {
  f64 ? softmax_f64(logarithm, x, out, outer, n, inner)
      : softmax_f32(logarithm, x, out, outer, n, inner);
}
