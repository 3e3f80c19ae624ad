/* Normalization by the mean and variance of groups of channels, and its gradient.
 *
 * Forward and gradient are two passes over memory each: one for statistics, one for the result.
 * Several positions are folded into a row that holds whole vectors, so every channel count runs at
 * full width; the columns of a row belong to channels in turn. Means and squared deviations of a run
 * of rows are taken in the element type, in one pass about the mean of its first rows: that of k among
 * n numbers is within sqrt(n / k) of their standard deviations, so little cancels. Runs are joined in
 * double by the update of Chan, Golub and LeVeque, "Algorithms for computing the sample variance",
 * 1983, eq. 2.1: no cancellation where the mean is far from zero. With one position (layer norm) a row
 * is finished while it is in cache. The cut into tasks depends on sizes alone, so results do not depend
 * on the number of threads. NaN and infinity spread over their group. */
#include "isa.h"
#include "kernels.h"
#include "threads.h"

#include <math.h>
#include <stdlib.h>

#define TASK_ELEMENTS 65536
#define ROW_TASK_ELEMENTS 16384  /* where rows are finished one by one */
#define ROW_BLOCK 32  /* rows over which sums by column are taken in the element type */
#define RUN_ELEMENTS 4096  /* of a run of rows: x and g stay in the first-level cache */
#define CENTER_ROWS 8  /* rows of a run whose mean is its center */
#define HELD_ROWS 4  /* rows for which constants of columns are read once */
#define ROW_RUN 512
#define MIN_WIDTH 64

/* Per-column constants of one batch entry; the last three serve the gradient. */
enum { MEAN, SCALE, BIAS, RSTD, CONSTANT, LINEAR, N_COLUMNS };

/* Count, mean and sum of squared deviations of some elements. */
typedef struct {
  double n, mean, m2;
} moments;

FG_INLINE void join(moments *a, double n, double mean, double m2) {
  double total = a->n + n, delta = mean - a->mean;
  a->mean += delta * (n / total);
  a->m2 += m2 + delta * delta * (a->n * n / total);
  a->n = total;
}

static ptrdiff_t greatest_divisor(ptrdiff_t a, ptrdiff_t b) {
  while (b) {
    ptrdiff_t r = a % b;
    a = b;
    b = r;
  }
  return a;
}

#include "f32.h"
#include "norm_body.h"
#include "f64.h"
#include "norm_body.h"

int FG(norm)(int f64, const fg_norm *s, const void *x, const void *weight, const void *bias,
             void *mean, void *rstd, void *out) {
  return f64 ? forward_f64(s, x, weight, bias, mean, rstd, out)
             : forward_f32(s, x, weight, bias, mean, rstd, out);
}

int FG(norm_gradient)(int f64, const fg_norm *s, const void *g, const void *x, const void *weight,
                      const void *bias, const void *mean, const void *rstd, void *gx, void *gweight,
                      void *gbias) {
  return f64 ? gradient_f64(s, g, x, weight, bias, mean, rstd, gx, gweight, gbias)
             : gradient_f32(s, g, x, weight, bias, mean, rstd, gx, gweight, gbias);
}
