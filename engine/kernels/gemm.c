/* Matrix products: how the work is cut into tasks; gemm.h has the contract, gemm_body.h the loops.
 *
 * After K. Goto, R. van de Geijn, "Anatomy of high-performance matrix multiplication", ACM TOMS
 * 34(3), 2008: b packed in panels that the register tile walks through, blocks of a packed to fit
 * the second-level cache. Since every element is summed alone and in one order, the cut into tasks
 * is free to follow sizes and threads. */
#include <string.h>

#include "gemm.h"
#include "kernels.h"
#include "threads.h"

#define BLOCK_BYTES ((ptrdiff_t)128 << 10)   /* packed block of a: a part of the second-level cache */
#define PACKED_BYTES ((ptrdiff_t)16 << 20)   /* packed b at most, or one run of it */
#define SERIAL_WORK 100000  /* multiply-adds below which waking a thread costs more than it gives */
#define TASK_WORK 30000     /* multiply-adds of a task at least */

typedef struct {
  fg_gemm g;
  const fg_gemm_batch *batch;
  const char *a, *b, *bias;
  char *c, *packed;
  ptrdiff_t element_size;
  ptrdiff_t rows, columns;         /* of one task */
  ptrdiff_t n_rows, n_columns;     /* how many such tasks along m and n */
  ptrdiff_t first, end;            /* terms of the packed b */
  ptrdiff_t padded;                /* n in whole panels */
  ptrdiff_t products;              /* of one task */
} gemm_job;

/* Rows of a register tile, as cases of a switch. */
#if FG_BLOCK_ROWS > 12
#define FG_ROW_CASES(CASE) \
  CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) \
  CASE(12) CASE(13) CASE(14)
#elif FG_BLOCK_ROWS > 6
#define FG_ROW_CASES(CASE) \
  CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12)
#else
#define FG_ROW_CASES(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#endif

/* Halves of two vectors, interleaved, by number of lanes. */
#define LOW_2 0, 2
#define HIGH_2 1, 3
#define LOW_4 0, 4, 1, 5
#define HIGH_4 2, 6, 3, 7
#define LOW_8 0, 8, 1, 9, 2, 10, 3, 11
#define HIGH_8 4, 12, 5, 13, 6, 14, 7, 15
#define LOW_16 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH_16 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
typedef int32_t indices_f32 __attribute__((vector_size(FG_VECTOR)));
typedef int64_t indices_f64 __attribute__((vector_size(FG_VECTOR)));

#ifdef __FP_FAST_FMA
#define MULTIPLY_ADD(a, b, sum) _Generic(sum, float: __builtin_fmaf, double: __builtin_fma)(a, b, sum)
#else
#define MULTIPLY_ADD(a, b, sum) ((a) * (b) + (sum))
#endif

#define REAL float
#define VECTOR fg_vf32
#define INTEGERS indices_f32
#define LANES FG_LANES_F32
#define NAME(x) x##_f32
#if FG_VECTOR == 64
#define LOW_HALVES LOW_16
#define HIGH_HALVES HIGH_16
#elif FG_VECTOR == 32
#define LOW_HALVES LOW_8
#define HIGH_HALVES HIGH_8
#else
#define LOW_HALVES LOW_4
#define HIGH_HALVES HIGH_4
#endif
#include "gemm_body.h"
#undef REAL
#undef VECTOR
#undef INTEGERS
#undef LANES
#undef NAME
#undef LOW_HALVES
#undef HIGH_HALVES

#define REAL double
#define VECTOR fg_vf64
#define INTEGERS indices_f64
#define LANES FG_LANES_F64
#define NAME(x) x##_f64
#if FG_VECTOR == 64
#define LOW_HALVES LOW_8
#define HIGH_HALVES HIGH_8
#elif FG_VECTOR == 32
#define LOW_HALVES LOW_4
#define HIGH_HALVES HIGH_4
#else
#define LOW_HALVES LOW_2
#define HIGH_HALVES HIGH_2
#endif
#include "gemm_body.h"

static inline ptrdiff_t ceil_to(ptrdiff_t n, ptrdiff_t unit) { return (n + unit - 1) / unit * unit; }

static inline ptrdiff_t panel_of(int f64) { return 2 * (f64 ? FG_LANES_F64 : FG_LANES_F32); }

/* Whether packing both operands pays: each element is used often enough. */
static int is_large(const fg_gemm *g) {
  return g->m >= 48 && g->n >= 48 && g->k >= 32 && (double)g->m * g->n * g->k > 1 << 20;
}

/* Terms of which b is packed at once. */
static ptrdiff_t packed_terms(int f64, const fg_gemm *g) {
  const ptrdiff_t run = FG_GEMM_RUN * ceil_to(g->n, panel_of(f64)) * (f64 ? 8 : 4);
  return FG_MIN(g->k, FG_GEMM_RUN * FG_MAX(1, PACKED_BYTES / run));
}

ptrdiff_t FG(gemm_workspace)(int f64, const fg_gemm *g) {
  return is_large(g) ? packed_terms(f64, g) * ceil_to(g->n, panel_of(f64)) * (f64 ? 8 : 4) : 0;
}

/* Cut c into tasks: rows in multiples of a tile, columns of a panel, about `wanted` in all. */
static void cut(gemm_job *job, int f64, ptrdiff_t max_rows, ptrdiff_t wanted) {
  const fg_gemm *g = &job->g;
  const ptrdiff_t panel = panel_of(f64);
  const ptrdiff_t by_rows = FG_MIN(wanted, (g->m + FG_BLOCK_ROWS - 1) / FG_BLOCK_ROWS);
  job->rows = FG_MIN(max_rows, ceil_to((g->m + by_rows - 1) / by_rows, FG_BLOCK_ROWS));
  job->n_rows = (g->m + job->rows - 1) / job->rows;
  const ptrdiff_t by_columns = (wanted + job->n_rows - 1) / job->n_rows;
  job->columns = ceil_to((g->n + by_columns - 1) / by_columns, panel);
  job->n_columns = (g->n + job->columns - 1) / job->columns;
}

static void task_pack(void *context, ptrdiff_t i) {
  const gemm_job *job = context;
  const ptrdiff_t j = i % job->n_columns * job->columns;
  const ptrdiff_t p = job->first + i / job->n_columns * FG_GEMM_RUN;
  const ptrdiff_t columns = FG_MIN(job->columns, job->g.n - j);
  (job->element_size == 8 ? pack_run_f64 : pack_run_f32)(job, p, j, columns);
}

static void task_block(void *context, ptrdiff_t t) {
  const gemm_job *job = context;
  const ptrdiff_t i = t / job->n_columns * job->rows, j = t % job->n_columns * job->columns;
  const ptrdiff_t rows = FG_MIN(job->rows, job->g.m - i);
  const ptrdiff_t columns = FG_MIN(job->columns, job->g.n - j);
  (job->element_size == 8 ? block_f64 : block_f32)(job, i, rows, j, columns);
}

/* Where the operands of one product of the batch begin. */
static void locate(const gemm_job *job, ptrdiff_t product, const char **a, const char **b, char **c) {
  const fg_gemm_batch *batch = job->batch;
  *a = job->a, *b = job->b;
  *c = job->c + product * job->g.m * job->g.n * job->element_size;
  for (int d = batch->n_axes - 1; d >= 0; d--) {
    const ptrdiff_t index = product % batch->shape[d] * job->element_size;
    product /= batch->shape[d];
    *a += index * batch->a_strides[d];
    *b += index * batch->b_strides[d];
  }
}

/* One product with its operands packed. */
static void multiply_large(gemm_job *job, int f64) {
  const fg_gemm *g = &job->g;
  const ptrdiff_t terms = packed_terms(f64, g), panel = panel_of(f64);
  const ptrdiff_t max_rows = BLOCK_BYTES / job->element_size / FG_GEMM_RUN / FG_BLOCK_ROWS * FG_BLOCK_ROWS;
  job->padded = ceil_to(g->n, panel);
  for (job->first = 0; job->first < g->k; job->first = job->end) {
    job->end = FG_MIN(g->k, job->first + terms);
    const ptrdiff_t n_runs = (job->end - job->first + FG_GEMM_RUN - 1) / FG_GEMM_RUN;
    job->columns = 8 * panel;
    job->n_columns = (g->n + job->columns - 1) / job->columns;
    fg_parallel(n_runs * job->n_columns, task_pack, job);
    cut(job, f64, max_rows, 4 * fg_get_num_threads());
    fg_parallel(job->n_rows * job->n_columns, task_block, job);
  }
}

/* Products, or a part of one, with the operands read where they are. */
static void task_serial(void *context, ptrdiff_t t) {
  const gemm_job *job = context;
  const ptrdiff_t cuts = job->n_rows * job->n_columns, size = job->element_size;
  fg_gemm g = job->g;
  const ptrdiff_t i = t % cuts / job->n_columns * job->rows, j = t % job->n_columns * job->columns;
  const ptrdiff_t first = t / cuts * job->products;
  const ptrdiff_t end = FG_MIN(first + job->products, job->batch->n_products);
  g.m = FG_MIN(job->rows, g.m - i);
  g.n = FG_MIN(job->columns, g.n - j);
  for (ptrdiff_t product = first; product < end; product++) {
    const char *a, *b;
    char *c;
    locate(job, product, &a, &b, &c);
    a += i * g.a_row * size, b += j * g.b_col * size, c += (i * g.c_row + j) * size;
    const char *bias = job->bias ? job->bias + j * size : NULL;
    if (size == 8)
      FG(gemm_serial_f64)(&g, (const double *)a, (const double *)b, (const double *)bias, (double *)c);
    else
      FG(gemm_serial_f32)(&g, (const float *)a, (const float *)b, (const float *)bias, (float *)c);
  }
}

void FG(gemm)(int f64, const fg_gemm *g, const fg_gemm_batch *batch, const void *a, const void *b,
              const void *bias, void *c, void *workspace) {
  gemm_job job = {.g = *g, .batch = batch, .a = a, .b = b, .bias = bias, .c = c,
                  .packed = workspace, .element_size = f64 ? 8 : 4};
  if (!g->m || !g->n || !batch->n_products) return;
  if (g->n == 1 && g->c_row == 1 && !bias) { /* a column is a row of the transposed product */
    job.g.m = 1, job.g.n = g->m, job.g.c_row = g->m;
    job.g.a_row = g->b_col, job.g.a_col = g->b_row, job.a = b;
    job.g.b_row = g->a_col, job.g.b_col = g->a_row, job.b = a;
  }
  fg_gemm_batch swapped = *batch;
  if (job.a != a) swapped.a_strides = batch->b_strides, swapped.b_strides = batch->a_strides;
  job.batch = &swapped;
  const double work = (double)g->m * g->n * g->k, total = work * batch->n_products;
  if (workspace && is_large(g)) {
    for (ptrdiff_t i = 0; i < batch->n_products; i++) {
      gemm_job one = job;
      locate(&job, i, &one.a, &one.b, &one.c);
      multiply_large(&one, f64);
    }
    return;
  }
  const ptrdiff_t threads = total < SERIAL_WORK ? 1 : fg_get_num_threads();
  const ptrdiff_t wanted = (ptrdiff_t)FG_MAX(1, FG_MIN(4.0 * threads, total / TASK_WORK));
  if (batch->n_products >= wanted) {
    job.rows = job.g.m, job.columns = job.g.n, job.n_rows = job.n_columns = 1;
    job.products = (batch->n_products + wanted - 1) / wanted;
  } else {
    cut(&job, f64, job.g.m, (wanted + batch->n_products - 1) / batch->n_products);
    job.products = 1;
  }
  const ptrdiff_t groups = (batch->n_products + job.products - 1) / job.products;
  if (threads == 1)
    for (ptrdiff_t t = 0; t < groups * job.n_rows * job.n_columns; t++) task_serial(&job, t);
  else
    fg_parallel(groups * job.n_rows * job.n_columns, task_serial, &job);
}
