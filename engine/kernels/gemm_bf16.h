/* Large matrix products in bfloat16, for gemm.c: the loops of gemm_body.h with tiles in place of
 * vectors. Terms of a run are filled up to whole tiles. */
#include "bf16.h"

#define BF16_PANEL (2 * BF16_ROWS)

static inline ptrdiff_t whole_tiles(ptrdiff_t terms) {
  return (terms + BF16_TERMS - 1) / BF16_TERMS * BF16_TERMS;
}

/* Pack a[i, p], i < rows, p < depth: [tile of rows][tile of terms][row][term]. */
static void pack_a_bf16(ptrdiff_t rows, ptrdiff_t depth, const float *a, ptrdiff_t a_row,
                        ptrdiff_t a_col, bf16 *to) {
  float some[BF16_ROWS][BF16_TERMS] __attribute__((aligned(64)));
  for (ptrdiff_t i = 0; i < rows; i += BF16_ROWS)
    for (ptrdiff_t p = 0; p < depth; p += BF16_TERMS, to += BF16_TILE) {
      const ptrdiff_t m = FG_MIN(BF16_ROWS, rows - i), terms = FG_MIN(BF16_TERMS, depth - p);
      const float *from = a + i * a_row + p * a_col;
      if (a_col == 1) {
        for (ptrdiff_t r = 0; r < BF16_ROWS; r++) {
          if (r >= m || terms < BF16_TERMS)
            memset(to + r * BF16_TERMS, 0, BF16_TERMS * sizeof(bf16));
          if (r < m) bf16_copy(from + r * a_row, terms, to + r * BF16_TERMS);
        }
      } else if (a_row == 1 && m == BF16_ROWS && terms == BF16_TERMS) {
        __m512i pair[BF16_ROWS];
        for (int q = 0; q < BF16_ROWS; q++)
          pair[q] = bf16_pairs(_mm512_loadu_ps(from + 2 * q * a_col),
                               _mm512_loadu_ps(from + (2 * q + 1) * a_col));
        turn_pairs(pair);
        for (int r = 0; r < BF16_ROWS; r++) _mm512_storeu_si512(to + r * BF16_TERMS, pair[r]);
      } else {
        memset(some, 0, sizeof some);
        for (ptrdiff_t q = 0; q < terms; q++)
          for (ptrdiff_t r = 0; r < m; r++) some[r][q] = from[r * a_row + q * a_col];
        bf16_copy(some[0], BF16_TILE, to);
      }
    }
}

/* Pack b[p, j], p < depth, j < width ≤ 32: [tile of terms][tile of columns][pair][column][2]. */
static void pack_b_bf16(ptrdiff_t depth, ptrdiff_t width, const float *b, ptrdiff_t b_row,
                        ptrdiff_t b_col, bf16 *to) {
  fg_vf32 term[BF16_TERMS];
  for (ptrdiff_t p = 0; p < depth; p += BF16_TERMS)
    for (ptrdiff_t j = 0; j < BF16_PANEL; j += BF16_ROWS, to += BF16_TILE) {
      const ptrdiff_t n = FG_MIN(BF16_ROWS, width - j), terms = FG_MIN(BF16_TERMS, depth - p);
      const float *from = b + p * b_row + j * b_col;
      if (n == BF16_ROWS && terms == BF16_TERMS && b_col == 1) {
        for (int q = 0; q < BF16_TERMS; q++) term[q] = *(const fg_vf32 *)(from + q * b_row);
      } else if (n == BF16_ROWS && terms == BF16_TERMS && b_row == 1) {
        transpose_f32(from, b_col, term);
        transpose_f32(from + BF16_ROWS, b_col, term + BF16_ROWS);
      } else {
        memset(term, 0, sizeof term);
        for (ptrdiff_t q = 0; q < terms; q++)
          for (ptrdiff_t l = 0; l < n; l++) term[q][l] = from[q * b_row + l * b_col];
      }
      for (int q = 0; q < BF16_TERMS; q += 2)
        _mm512_storeu_si512(to + q * BF16_ROWS, bf16_pairs((__m512)term[q], (__m512)term[q + 1]));
    }
}

static void block_bf16(const gemm_job *job, ptrdiff_t i, ptrdiff_t rows, ptrdiff_t j,
                       ptrdiff_t columns) {
  const fg_gemm *g = &job->g;
  bf16 packed[BLOCK_BYTES / sizeof(bf16)] __attribute__((aligned(64)));
  float sums[BF16_PANEL * BF16_PANEL] __attribute__((aligned(64)));
  const float *bias = (const float *)job->bias;
  ptrdiff_t at[FG_GEMM_RUN / BF16_TERMS];
  for (ptrdiff_t t = 0; t < FG_GEMM_RUN / BF16_TERMS; t++) at[t] = t * BF16_TILE;
  begin_tiles();
  for (ptrdiff_t p = job->first; p < job->end; p += FG_GEMM_RUN) {
    const ptrdiff_t depth = FG_MIN(FG_GEMM_RUN, g->k - p), whole = whole_tiles(depth);
    pack_a_bf16(rows, depth, (const float *)job->a + i * g->a_row + p * g->a_col, g->a_row,
                g->a_col, packed);
    const bf16 *panel = (const bf16 *)job->packed + (p - job->first) * job->padded + j * whole;
    for (ptrdiff_t jj = j; jj < j + columns; jj += BF16_PANEL, panel += BF16_PANEL * whole) {
      const ptrdiff_t width = FG_MIN(BF16_PANEL, j + columns - jj);
      const float *last = bias && p + depth == g->k ? bias + jj : NULL;
      for (ptrdiff_t r = 0; r < rows; r += BF16_PANEL) {
        const bf16 *const a[2] = {packed + r * whole, packed + (r + BF16_ROWS) * whole};
        multiply_some_tiles(rows - r > BF16_ROWS ? 2 : 1, 2, a, BF16_TERMS, at, whole / BF16_TERMS,
                            panel, sums);
        for (ptrdiff_t l = 0; l < FG_MIN(BF16_PANEL, rows - r); l++)
          write_sums(width, sums + l * BF16_PANEL, (float *)job->c + (i + r + l) * g->c_row + jj,
                     g->accumulate || p, last);
      }
    }
  }
  end_tiles();
}

static void pack_run_bf16(const gemm_job *job, ptrdiff_t p, ptrdiff_t j, ptrdiff_t columns) {
  const fg_gemm *g = &job->g;
  const ptrdiff_t depth = FG_MIN(FG_GEMM_RUN, g->k - p), whole = whole_tiles(depth);
  bf16 *to = (bf16 *)job->packed + (p - job->first) * job->padded + j * whole;
  for (ptrdiff_t jj = j; jj < j + columns; jj += BF16_PANEL, to += BF16_PANEL * whole)
    pack_b_bf16(depth, FG_MIN(BF16_PANEL, g->n - jj),
                (const float *)job->b + p * g->b_row + jj * g->b_col, g->b_row, g->b_col, to);
}
