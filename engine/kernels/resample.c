/* A sparse linear map along the middle axis of (outer, n, inner).
 *
 * Output i is the sum of weight[t] * x[index[t]] over its taps, t from start[i] to start[i + 1] - 1.
 * Interpolation, average pooling and blurring are such maps, and so are their gradients, with the
 * taps sorted by input. Sums run over the taps in order, in the element type. */
#include "isa.h"
#include "kernels.h"
#include "threads.h"

#define TASK_ELEMENTS 16384
#define TILE 2048

#include "f32.h"
#include "resample_body.h"
#include "f64.h"
#include "resample_body.h"

void FG(resample)(int f64, const fg_taps *taps, const void *x, void *out, ptrdiff_t outer,
                  ptrdiff_t inner) {
  f64 ? resample_f64(taps, x, out, outer, inner) : resample_f32(taps, x, out, outer, inner);
}
