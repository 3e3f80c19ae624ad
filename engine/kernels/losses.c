/* Losses of class logits: softmax, comparison with the truth and sums in one pass over memory.
 *
 * The gradients take the softmax again from the logits, which costs less than to keep it. Positions
 * are handled in tiles of columns (softmax_lines.h), long rows of classes one by one. Sums are taken
 * in double, task by task in order; the cut into tasks depends on sizes alone. */
#include "isa.h"
#include "kernels.h"
#include "threads.h"
#include "scalar_math.h"

#include <stdlib.h>

#define TASK_ELEMENTS 16384
#define TILE 64
#define RUN 256
#define FEW 16  /* up to so many adjacent classes are turned into columns */

enum { IGNORED = -1, WRONG = -2 };

#define READ_CLASSES(type) \
  for (ptrdiff_t k = 0; k < width; k++) { \
    int64_t c = ((const type *)t->target)[start + k]; \
    int ignored = t->ignores && c == t->ignored; \
    int wrong = !ignored && (uint64_t)c >= (uint64_t)t->classes; \
    found[k] = ignored ? IGNORED : wrong ? WRONG : (int32_t)c; \
    n_wrong += wrong; \
  }

/* Classes of `width` positions from `start` on; returns how many are none of 0 … classes - 1. */
static ptrdiff_t classes_of(const fg_truth *t, ptrdiff_t start, ptrdiff_t width, int32_t *found) {
  ptrdiff_t n_wrong = 0;
  if (t->size == 1)
    READ_CLASSES(uint8_t)
  else if (t->size == 4)
    READ_CLASSES(int32_t)
  else
    READ_CLASSES(int64_t)
  return n_wrong;
}

#include "f32.h"
#include "softmax_lines.h"
#include "losses_body.h"
#include "f64.h"
#include "softmax_lines.h"
#include "losses_body.h"

ptrdiff_t FG(cross_entropy)(int f64, const fg_truth *t, const void *x, void *loss, double *sums) {
  return f64 ? cross_entropy_f64(t, x, loss, sums) : cross_entropy_f32(t, x, loss, sums);
}

void FG(cross_entropy_gradient)(int f64, const fg_truth *t, const void *x, const void *g,
                                ptrdiff_t g_step, double scale, void *gx) {
  f64 ? cross_entropy_gradient_f64(t, x, g, g_step, scale, gx)
      : cross_entropy_gradient_f32(t, x, g, g_step, scale, gx);
}

ptrdiff_t FG(overlap_sums)(int f64, const fg_truth *t, const void *x, void *sums) {
  return f64 ? overlap_sums_f64(t, x, sums) : overlap_sums_f32(t, x, sums);
}

int FG(overlap_sums_gradient)(int f64, const fg_truth *t, const void *x, const void *g, void *gx) {
  return f64 ? overlap_sums_gradient_f64(t, x, g, gx) : overlap_sums_gradient_f32(t, x, g, gx);
}
