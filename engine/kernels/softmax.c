/* Softmax and its logarithm over the middle axis of (outer, n, inner), and their gradients.
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
#define RUN 256
#define FEW 16  /* rows up to this long are turned into columns, many at a time */

#include "f32.h"
#include "softmax_lines.h"
#include "softmax_body.h"
#include "f64.h"
#include "softmax_lines.h"
#include "softmax_body.h"

void FG(softmax)(int f64, int logarithm, const void *x, const void *g, void *out, ptrdiff_t outer,
                 ptrdiff_t n, ptrdiff_t inner) {
  f64 ? softmax_f64(logarithm, x, g, out, outer, n, inner)
      : softmax_f32(logarithm, x, g, out, outer, n, inner);
}
