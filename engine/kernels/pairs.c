/* Messages along undirected pairs of rows: each pair carries one both ways.
 *
 * A sum is cut into blocks of features: all pairs of a block belong to one task, which adds them up
 * in their order. Nothing is added atomically, and results do not depend on the number of threads. */
#include <string.h>

#include "isa.h"
#include "kernels.h"
#include "threads.h"

#define TASK_ELEMENTS 65536
#define BLOCK 16              /* features of a task, at least: a line of memory */

/* The first number of a row that is out of range, or -1. */
static ptrdiff_t outside(const ptrdiff_t *pairs, ptrdiff_t n, ptrdiff_t n_rows) {
  int found = 0;
  for (ptrdiff_t k = 0; k < n; k++) found |= (pairs[k] < 0) | (pairs[k] >= n_rows);
  for (ptrdiff_t k = 0; found && k < n; k++)
    if (pairs[k] < 0 || pairs[k] >= n_rows) return k;
  return -1;
}

#include "f32.h"
#include "pairs_body.h"
#include "f64.h"
#include "pairs_body.h"

ptrdiff_t FG(pair_sum)(int f64, int sign, const void *x, const void *w, const ptrdiff_t *pairs,
                       void *out, ptrdiff_t n_pairs, ptrdiff_t n_rows, ptrdiff_t features) {
  const ptrdiff_t bad = outside(pairs, 2 * n_pairs, n_rows);
  if (bad >= 0) return bad;
  f64 ? pair_sum_f64(sign, x, w, pairs, out, n_pairs, n_rows, features)
      : pair_sum_f32(sign, x, w, pairs, out, n_pairs, n_rows, features);
  return -1;
}

ptrdiff_t FG(pair_product)(int f64, int sign, const void *a, const void *b, const ptrdiff_t *pairs,
                           void *out, ptrdiff_t n_pairs, ptrdiff_t n_rows, ptrdiff_t features) {
  const ptrdiff_t bad = outside(pairs, 2 * n_pairs, n_rows);
  if (bad >= 0) return bad;
  f64 ? pair_product_f64(sign, a, b, pairs, out, n_pairs, features)
      : pair_product_f32(sign, a, b, pairs, out, n_pairs, features);
  return -1;
}
