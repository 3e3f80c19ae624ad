/* Max pooling with the position of each maximum, and its gradient.
 *
 * Of equal elements the first counts; NaN counts as the largest, as in PyTorch. The gradient is
 * collected by input position, over the windows that hold it in order, so tasks write to disjoint
 * memory and results do not depend on the number of threads. */
#include "isa.h"
#include "kernels.h"
#include "threads.h"

#define TASK_ELEMENTS 16384

FG_INLINE ptrdiff_t extent(const fg_pool *p, int d) {
  return p->dilation[d] * (p->kernel[d] - 1) + 1;
}

/* Positions first, first + dilation, … < last of window o along axis d. */
FG_INLINE void window(const fg_pool *p, int d, ptrdiff_t o, ptrdiff_t *first, ptrdiff_t *last) {
  ptrdiff_t start = o * p->stride[d] - p->padding[d];
  ptrdiff_t steps = start < 0 ? (p->dilation[d] - 1 - start) / p->dilation[d] : 0;
  *first = start + steps * p->dilation[d];
  *last = FG_MIN(start + extent(p, d), p->in[d]);
}

/* Windows [first, last) that reach over position i along axis d. */
FG_INLINE void windows_of(const fg_pool *p, int d, ptrdiff_t i, ptrdiff_t *first, ptrdiff_t *last) {
  ptrdiff_t end = i + p->padding[d], beyond = end - extent(p, d) + 1;
  *first = beyond <= 0 ? 0 : (beyond + p->stride[d] - 1) / p->stride[d];
  *last = FG_MIN(end / p->stride[d] + 1, p->out[d]);
}

#include "f32.h"
#include "pool_body.h"
#include "f64.h"
#include "pool_body.h"

void FG(max_pool)(int f64, const fg_pool *p, const void *x, void *out, int32_t *index) {
  f64 ? max_pool_f64(p, x, out, index) : max_pool_f32(p, x, out, index);
}

void FG(max_unpool)(int f64, const fg_pool *p, const void *g, const int32_t *index, void *gx) {
  f64 ? max_unpool_f64(p, g, index, gx) : max_unpool_f32(p, g, index, gx);
}
