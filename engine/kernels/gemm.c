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

#define BLOCK_BYTES ((ptrdiff_t)128 << 10)  /* packed block of a: a part of the second-level cache */
#define PACKED_BYTES ((ptrdiff_t)16 << 20)  /* packed b at most, or one run of it */
#define SERIAL_WORK 100000 /* multiply-adds below which waking a thread costs more than it gives */
#define TASK_WORK 30000    /* multiply-adds of a task at least */

typedef struct {
  fg_gemm g;
  const fg_gemm_batch *batch;
  const char *a, *b, *bias;
  char *c, *packed;
  ptrdiff_t element_size;
  ptrdiff_t row_cuts, column_cuts; /* tasks along m and n */
  ptrdiff_t row_unit, column_unit; /* rows, and columns, that stay together */
  int bfloat16;                    /* factors are rounded to it */
  ptrdiff_t products;              /* of one task */
  ptrdiff_t first, end;            /* terms of the packed b */
  ptrdiff_t padded;                /* n in whole panels */
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

/* By bytes of a vector: chunks of 16 bytes, s elements apart, gathered in one vector; the low and
 * the high halves of the chunks of two vectors, interleaved. */
typedef float chunk_f32 __attribute__((vector_size(16), aligned(4), may_alias));
typedef double chunk_f64 __attribute__((vector_size(16), aligned(8), may_alias));
#define CHUNK(p) (*(const CHUNK_TYPE *)(p))
#define JOIN __builtin_shufflevector
#if FG_VECTOR == 64
#define PAIR_F32(p, s) JOIN(CHUNK(p), CHUNK((p) + (s)), 0, 1, 2, 3, 4, 5, 6, 7)
#define GATHER_F32(p, s) \
  JOIN(PAIR_F32(p, s), PAIR_F32((p) + 2 * (s), s), 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
#define LOW_F32 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29
#define HIGH_F32 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31
#define PAIR_F64(p, s) JOIN(CHUNK(p), CHUNK((p) + (s)), 0, 1, 2, 3)
#define GATHER_F64(p, s) JOIN(PAIR_F64(p, s), PAIR_F64((p) + 2 * (s), s), 0, 1, 2, 3, 4, 5, 6, 7)
#define LOW_F64 0, 8, 2, 10, 4, 12, 6, 14
#define HIGH_F64 1, 9, 3, 11, 5, 13, 7, 15
#elif FG_VECTOR == 32
#define GATHER_F32(p, s) JOIN(CHUNK(p), CHUNK((p) + (s)), 0, 1, 2, 3, 4, 5, 6, 7)
#define LOW_F32 0, 8, 1, 9, 4, 12, 5, 13
#define HIGH_F32 2, 10, 3, 11, 6, 14, 7, 15
#define GATHER_F64(p, s) JOIN(CHUNK(p), CHUNK((p) + (s)), 0, 1, 2, 3)
#define LOW_F64 0, 4, 2, 6
#define HIGH_F64 1, 5, 3, 7
#else
#define GATHER_F32(p, s) CHUNK(p)
#define LOW_F32 0, 4, 1, 5
#define HIGH_F32 2, 6, 3, 7
#define GATHER_F64(p, s) CHUNK(p)
#define LOW_F64 0, 2
#define HIGH_F64 1, 3
#endif

#ifdef __FP_FAST_FMA
#define MULTIPLY_ADD(a, b, sum) _Generic(sum, float: __builtin_fmaf, double: __builtin_fma)(a, b, sum)
#else
#define MULTIPLY_ADD(a, b, sum) ((a) * (b) + (sum))
#endif

#define REAL float
#define VECTOR fg_vf32
#define LANES FG_LANES_F32
#define NAME(x) x##_f32
#define CHUNK_TYPE chunk_f32
#define GATHER_CHUNKS GATHER_F32
#define LOW_HALVES LOW_F32
#define HIGH_HALVES HIGH_F32
#include "gemm_body.h"
#undef REAL
#undef VECTOR
#undef LANES
#undef NAME
#undef CHUNK_TYPE
#undef GATHER_CHUNKS
#undef LOW_HALVES
#undef HIGH_HALVES

#define REAL double
#define VECTOR fg_vf64
#define LANES FG_LANES_F64
#define NAME(x) x##_f64
#define CHUNK_TYPE chunk_f64
#define GATHER_CHUNKS GATHER_F64
#define LOW_HALVES LOW_F64
#define HIGH_HALVES HIGH_F64
#include "gemm_body.h"

#ifdef FG_ISA_amx
#include "gemm_bf16.h"
#endif

static inline ptrdiff_t shares(ptrdiff_t n, ptrdiff_t unit) { return (n + unit - 1) / unit; }

static inline ptrdiff_t panel_of(int f64) { return 2 * (f64 ? FG_LANES_F64 : FG_LANES_F32); }

/* Whether packing both operands pays: each element is used often enough. */
static int is_large(const fg_gemm *g) {
  return g->m >= 48 && g->n >= 48 && g->k >= 32 && (double)g->m * g->n * g->k > 1 << 20;
}

/* Terms of which b is packed at once. */
static ptrdiff_t packed_terms(int f64, const fg_gemm *g) {
  const ptrdiff_t panel = panel_of(f64);
  const ptrdiff_t run = FG_GEMM_RUN * shares(g->n, panel) * panel * (f64 ? 8 : 4);
  return FG_MIN(g->k, FG_GEMM_RUN * FG_MAX(1, PACKED_BYTES / run));
}

ptrdiff_t FG(gemm_workspace)(int f64, const fg_gemm *g) {
  const ptrdiff_t panel = panel_of(f64);
  return is_large(g) ? packed_terms(f64, g) * shares(g->n, panel) * panel * (f64 ? 8 : 4) : 0;
}

/* Cut c into about `wanted` tasks, if it is so large, along the rows or the columns first. */
static void cut(gemm_job *job, ptrdiff_t wanted, int columns_first) {
  const ptrdiff_t tiles = shares(job->g.m, job->row_unit);
  const ptrdiff_t panels = shares(job->g.n, job->column_unit);
  if (columns_first) {
    job->column_cuts = FG_MIN(panels, wanted);
    job->row_cuts = FG_MIN(tiles, shares(wanted, job->column_cuts));
  } else {
    job->row_cuts = FG_MIN(tiles, wanted);
    job->column_cuts = FG_MIN(panels, shares(wanted, job->row_cuts));
  }
}

/* Where share number i of `cuts` even ones begins, in whole units. */
static ptrdiff_t begin(ptrdiff_t i, ptrdiff_t cuts, ptrdiff_t size, ptrdiff_t unit) {
  return FG_MIN(size, shares(size, unit) * i / cuts * unit);
}

typedef struct {
  ptrdiff_t i, rows, j, columns;
} gemm_part;

/* The part of c that task t makes. */
static gemm_part part(const gemm_job *job, ptrdiff_t t) {
  const ptrdiff_t row = t / job->column_cuts % job->row_cuts, column = t % job->column_cuts;
  const ptrdiff_t i = begin(row, job->row_cuts, job->g.m, job->row_unit);
  const ptrdiff_t j = begin(column, job->column_cuts, job->g.n, job->column_unit);
  return (gemm_part){i, begin(row + 1, job->row_cuts, job->g.m, job->row_unit) - i, j,
                     begin(column + 1, job->column_cuts, job->g.n, job->column_unit) - j};
}

static void task_pack(void *context, ptrdiff_t t) {
  const gemm_job *job = context;
  const ptrdiff_t j = begin(t % job->column_cuts, job->column_cuts, job->g.n, job->column_unit);
  const ptrdiff_t end = begin(t % job->column_cuts + 1, job->column_cuts, job->g.n, job->column_unit);
  const ptrdiff_t p = job->first + t / job->column_cuts * FG_GEMM_RUN;
#ifdef FG_ISA_amx
  if (job->bfloat16) {
    pack_run_bf16(job, p, j, end - j);
    return;
  }
#endif
  (job->element_size == 8 ? pack_run_f64 : pack_run_f32)(job, p, j, end - j);
}

static void task_block(void *context, ptrdiff_t t) {
  const gemm_job *job = context;
  const gemm_part c = part(job, t);
#ifdef FG_ISA_amx
  if (job->bfloat16) {
    block_bf16(job, c.i, c.rows, c.j, c.columns);
    return;
  }
#endif
  (job->element_size == 8 ? block_f64 : block_f32)(job, c.i, c.rows, c.j, c.columns);
}

/* One product with its operands packed. */
static void multiply_large(gemm_job *job, int f64) {
  const fg_gemm *g = &job->g;
  const ptrdiff_t terms = packed_terms(f64, g), threads = fg_get_num_threads();
  job->bfloat16 = !f64 && fg_bfloat16;
  if (job->bfloat16) job->row_unit = 32; /* two tiles, of half the size */
  /* One tile less than fit: shares differ by one. */
  const ptrdiff_t size = job->bfloat16 ? 2 : job->element_size;
  const ptrdiff_t tiles = BLOCK_BYTES / size / FG_GEMM_RUN / job->row_unit - 1;
  const ptrdiff_t blocks = shares(g->m, tiles * job->row_unit);
  job->column_unit = panel_of(f64);
  job->padded = shares(g->n, job->column_unit) * job->column_unit;
  for (job->first = 0; job->first < g->k; job->first = job->end) {
    job->end = FG_MIN(g->k, job->first + terms);
    job->column_cuts = shares(g->n, 4 * job->column_unit);
    fg_parallel(shares(job->end - job->first, FG_GEMM_RUN) * job->column_cuts, task_pack, job);
    cut(job, shares(FG_MAX(blocks, 4 * threads), threads) * threads, 0);
    fg_parallel(job->row_cuts * job->column_cuts, task_block, job);
  }
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

/* Products, or a part of one, with the operands read where they are. */
static void task_serial(void *context, ptrdiff_t t) {
  const gemm_job *job = context;
  const ptrdiff_t size = job->element_size;
  const ptrdiff_t first = t / (job->row_cuts * job->column_cuts) * job->products;
  const ptrdiff_t end = FG_MIN(first + job->products, job->batch->n_products);
  const gemm_part p = part(job, t);
  fg_gemm g = job->g;
  g.m = p.rows, g.n = p.columns;
  for (ptrdiff_t product = first; product < end; product++) {
    const char *a, *b, *bias = job->bias ? job->bias + p.j * size : NULL;
    char *c;
    locate(job, product, &a, &b, &c);
    a += p.i * g.a_row * size, b += p.j * g.b_col * size, c += (p.i * g.c_row + p.j) * size;
    if (size == 8)
      FG(gemm_serial_f64)(&g, (const double *)a, (const double *)b, (const double *)bias, (double *)c);
    else
      FG(gemm_serial_f32)(&g, (const float *)a, (const float *)b, (const float *)bias, (float *)c);
  }
}

void FG(gemm)(int f64, const fg_gemm *g, const fg_gemm_batch *batch, const void *a, const void *b,
              const void *bias, void *c, void *workspace) {
  gemm_job job = {.g = *g, .batch = batch, .a = a, .b = b, .bias = bias, .c = c,
                  .packed = workspace, .element_size = f64 ? 8 : 4, .row_unit = FG_BLOCK_ROWS};
  fg_gemm_batch swapped;
  if (!g->m || !g->n || !batch->n_products) return;
  if (g->n == 1 && g->c_row == 1 && !bias) { /* a column is a row of the transposed product */
    job.g.m = 1, job.g.n = g->m, job.g.c_row = g->m;
    job.g.a_row = g->b_col, job.g.a_col = g->b_row, job.a = b;
    job.g.b_row = g->a_col, job.g.b_col = g->a_row, job.b = a;
    swapped = *batch, job.batch = &swapped;
    swapped.a_strides = batch->b_strides, swapped.b_strides = batch->a_strides;
  }
  if (workspace && is_large(g)) {
    for (ptrdiff_t i = 0; i < batch->n_products; i++) {
      gemm_job one = job;
      locate(&job, i, &one.a, &one.b, &one.c);
      multiply_large(&one, f64);
    }
    return;
  }
  const double total = (double)g->m * g->n * g->k * batch->n_products;
  const int threads = total < SERIAL_WORK ? 1 : fg_get_num_threads();
  const ptrdiff_t wanted = threads == 1 ? 1 : (ptrdiff_t)FG_MIN(4.0 * threads, total / TASK_WORK);
  job.products = shares(batch->n_products, wanted);
  const ptrdiff_t groups = shares(batch->n_products, job.products);
  /* A single row streams through b: long stretches are best. Else whoever packs b wants it alone. */
  job.column_unit = (job.g.m == 1 ? 16 : 1) * panel_of(f64);
  cut(&job, shares(wanted, groups), job.g.b_col != 1 || job.g.n > job.g.m);
  fg_parallel(groups * job.row_cuts * job.column_cuts, task_serial, &job);
}
