/* Matrix products: c = a b, or c += a b, plus a bias per column.
 *
 * Every element of c is the same sum in the same order, whatever the sizes m and n, the memory
 * layout of the operands, its place in c, and the number of threads: runs of FG_GEMM_RUN
 * consecutive terms, each a chain of fused multiply-adds from zero, added to c in order; the bias
 * comes last. So a row of a batch does not depend on the other rows. */
#ifndef FG_GEMM_H
#define FG_GEMM_H

#include <stddef.h>

#include "isa.h"

#define FG_GEMM_RUN 256

/* a (m, k), b (k, n), c (m, n) with any strides, except that the columns of c are adjacent. */
typedef struct {
  ptrdiff_t m, n, k;
  ptrdiff_t a_row, a_col; /* elements from one row, one column, to the next */
  ptrdiff_t b_row, b_col;
  ptrdiff_t c_row;
  int accumulate; /* add to what c holds */
} fg_gemm;

/* Many products of the same size: strides of a and b along each batch axis, 0 where one of them is
 * repeated; c is dense. */
typedef struct {
  int n_axes;
  ptrdiff_t n_products;
  const ptrdiff_t *shape, *a_strides, *b_strides;
} fg_gemm_batch;

/* One product in the calling thread, without allocation: for use inside the tasks of other
 * kernels. bias (n) may be NULL. */
void FG(gemm_serial_f32)(const fg_gemm *g, const float *a, const float *b, const float *bias, float *c);
void FG(gemm_serial_f64)(const fg_gemm *g, const double *a, const double *b, const double *bias, double *c);

#endif
