/* Matrix products for the element type that the includer names: REAL, VECTOR, LANES, NAME(x).
 *
 * The innermost loop keeps a tile of c in registers: rows of a times a few vectors of b's columns;
 * b is read by vectors, a is broadcast element by element. Operands are read where they lie if
 * they are small, else packed so that the loop walks through memory. */

#define PANEL (2 * LANES) /* columns of a packed panel of b */
#define WIDE 4            /* vectors of a tile of few rows */
#define STRETCH (128 * LANES)
#define LINE ((ptrdiff_t)(64 / sizeof(REAL))) /* elements of a cache line */

/* Write the first `width` columns of a tile of sums. */
static void NAME(store_edge)(int rows, ptrdiff_t width, const REAL *sums, REAL *c, ptrdiff_t c_row,
                             int add, const REAL *bias) {
  for (int i = 0; i < rows; i++, c += c_row, sums += WIDE * LANES)
    for (ptrdiff_t j = 0; j < width; j++) {
      const REAL s = add ? c[j] + sums[j] : sums[j];
      c[j] = bias ? s + bias[j] : s;
    }
}

/* The same for a whole vector. */
FG_INLINE void NAME(store)(VECTOR sums, REAL *c, int add, const REAL *bias) {
  if (add) sums = *(const VECTOR *)c + sums;
  if (bias) sums += *(const VECTOR *)bias;
  *(VECTOR *)c = sums;
}

/* c[i, j] = (c[i, j] if add) + sum over p < depth of a[i, p] b[p, j] (+ bias[j]) for one tile. The
 * vectors of b lie b_row apart; columns from `width` on are computed but not written. */
FG_INLINE void NAME(tile)(const int rows, const int vectors, ptrdiff_t depth, const REAL *a,
                          ptrdiff_t a_row, ptrdiff_t a_col, const REAL *b, ptrdiff_t b_row, REAL *c,
                          ptrdiff_t c_row, ptrdiff_t width, int add, const REAL *bias) {
  VECTOR sum[FG_BLOCK_ROWS][WIDE];
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < vectors; j++) sum[i][j] = (VECTOR){0};
  for (ptrdiff_t p = 0; p < depth; p++, a += a_col, b += b_row) {
    VECTOR v[WIDE];
    for (int j = 0; j < vectors; j++) v[j] = *(const VECTOR *)(b + j * LANES);
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
      for (int j = 0; j < vectors; j++) sum[i][j] += a[i * a_row] * v[j];
  }
  if (width < vectors * LANES) {
    REAL edge[FG_BLOCK_ROWS * WIDE * LANES] __attribute__((aligned(64)));
    for (int i = 0; i < rows; i++)
      for (int j = 0; j < vectors; j++) *(VECTOR *)(edge + (i * WIDE + j) * LANES) = sum[i][j];
    NAME(store_edge)(rows, width, edge, c, c_row, add, bias);
    return;
  }
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < vectors; j++)
      NAME(store)(sum[i][j], c + i * c_row + j * LANES, add, bias ? bias + j * LANES : NULL);
}

/* Rows of the next tile, of `left` that remain: 8 rows make 4 + 4, not 6 + 2. */
static inline ptrdiff_t NAME(share)(ptrdiff_t left) {
  return left >= 2 * FG_BLOCK_ROWS ? FG_BLOCK_ROWS : left > FG_BLOCK_ROWS ? (left + 1) / 2 : left;
}

/* All rows of up to WIDE vectors of columns. A packed a has the rows of each tile adjacent. */
static void NAME(column_panel)(ptrdiff_t m, ptrdiff_t depth, const REAL *a, ptrdiff_t a_row,
                               ptrdiff_t a_col, int packed, const REAL *b, ptrdiff_t b_row, REAL *c,
                               ptrdiff_t c_row, ptrdiff_t width, int add, const REAL *bias) {
  const int vectors = (int)((width + LANES - 1) / LANES);
  while (m > 0) {
    const ptrdiff_t rows = NAME(share)(m);
    if (packed) a_row = 1, a_col = rows;
#define TILE(N, V, A_ROW, A_COL, B_ROW) \
  NAME(tile)(N, V, depth, a, A_ROW, A_COL, b, B_ROW, c, c_row, width, add, bias)
#define CASE(N)                           \
  case N:                                 \
    if (vectors == 1)                     \
      TILE(N, 1, a_row, a_col, b_row);    \
    else if (N < 4 && vectors > 2)        \
      TILE(N, WIDE, a_row, a_col, b_row); \
    else if (packed)                      \
      TILE(N, 2, 1, N, PANEL);            \
    else                                  \
      TILE(N, 2, a_row, a_col, b_row);    \
    break;
    switch (rows) { FG_ROW_CASES(CASE) }
#undef CASE
#undef TILE
    m -= rows;
    a += packed ? rows * depth : rows * a_row;
    c += rows * c_row;
  }
}

/* Read LANES rows, `step` elements apart, and give their columns: vectors are put together of
 * chunks of 16 bytes from memory, then interleaved within chunks, which is cheap everywhere. */
FG_INLINE void NAME(transpose)(const REAL *from, ptrdiff_t step, VECTOR t[LANES]) {
  const int chunk = 16 / sizeof(REAL);
  for (int c = 0; c < LANES; c += chunk) {
    VECTOR x[4];
    for (int r = 0; r < chunk; r++) x[r] = GATHER_CHUNKS(from + r * step + c, chunk * step);
    for (int done = 1; done < chunk; done *= 2) {
      VECTOR y[4];
      for (int r = 0; r < chunk; r++) y[r] = x[r];
      for (int r = 0; r < chunk / 2; r++) {
        x[2 * r] = __builtin_shufflevector(y[r], y[r + chunk / 2], LOW_HALVES);
        x[2 * r + 1] = __builtin_shufflevector(y[r], y[r + chunk / 2], HIGH_HALVES);
      }
    }
    for (int r = 0; r < chunk; r++) t[c + r] = x[r];
  }
}

/* Copy b[p, j], p < depth, j < width, to a panel of PANEL columns, zeros up to a whole vector. */
static void NAME(pack_b)(ptrdiff_t depth, ptrdiff_t width, const REAL *b, ptrdiff_t b_row,
                         ptrdiff_t b_col, REAL *to) {
  ptrdiff_t p = 0;
  if (b_col == 1 && width == PANEL) {
    for (; p < depth; p++, b += b_row, to += PANEL) {
      *(VECTOR *)to = *(const VECTOR *)b;
      *(VECTOR *)(to + LANES) = *(const VECTOR *)(b + LANES);
    }
    return;
  }
  if (b_row == 1 && width == PANEL)
    for (; p + LANES <= depth; p += LANES)
      for (int half = 0; half < 2; half++) {
        VECTOR t[LANES];
        NAME(transpose)(b + half * LANES * b_col + p, b_col, t);
        for (int i = 0; i < LANES; i++) *(VECTOR *)(to + (p + i) * PANEL + half * LANES) = t[i];
      }
  const ptrdiff_t whole = width > LANES ? PANEL : LANES;
  for (; p < depth; p++) {
    for (ptrdiff_t j = 0; j < width; j++) to[p * PANEL + j] = b[p * b_row + j * b_col];
    for (ptrdiff_t j = width; j < whole; j++) to[p * PANEL + j] = 0;
  }
}

/* Copy a[i, p], i < m, p < depth, for column_panel. */
static void NAME(pack_a)(ptrdiff_t m, ptrdiff_t depth, const REAL *a, ptrdiff_t a_row,
                         ptrdiff_t a_col, REAL *to) {
  while (m > 0) {
    const ptrdiff_t rows = NAME(share)(m), whole = (rows + LANES - 1) / LANES * LANES;
    /* Whole vectors are read and stored; the next stores overwrite what is too much. */
    const ptrdiff_t end = m >= whole ? depth - whole / rows - LANES : 0;
    ptrdiff_t p = 0;
    if (a_row == 1)
      for (; p < end; p++)
        for (ptrdiff_t i = 0; i < rows; i += LANES)
          *(VECTOR *)(to + p * rows + i) = *(const VECTOR *)(a + p * a_col + i);
    if (a_col == 1)
      for (; p < end; p += LANES) {
        VECTOR t[(FG_BLOCK_ROWS + LANES - 1) / LANES][LANES];
        for (ptrdiff_t i = 0; i < rows; i += LANES)
          NAME(transpose)(a + i * a_row + p, a_row, t[i / LANES]);
        for (int q = 0; q < LANES; q++)
          for (ptrdiff_t i = 0; i < rows; i += LANES)
            *(VECTOR *)(to + (p + q) * rows + i) = t[i / LANES][q];
      }
    for (; p < depth; p++)
      for (ptrdiff_t i = 0; i < rows; i++) to[p * rows + i] = a[i * a_row + p * a_col];
    m -= rows;
    a += rows * a_row;
    to += rows * depth;
  }
}

/* Two vectors of sums side by side, because each is one chain of operations: sum[h] = sum over
 * p < depth of a[p] times the vector of column elements b[p], both `next` further for h = 1.
 * Columns are dense; blocks of them are transposed in registers. They may lie a power of two apart,
 * in the same sets of the first cache, so a whole line is taken of each before the next are read. */
FG_INLINE void NAME(two_dots)(ptrdiff_t depth, const REAL *a, ptrdiff_t a_col, ptrdiff_t a_next,
                              const REAL *b, ptrdiff_t b_col, ptrdiff_t b_next, VECTOR sum[2]) {
  sum[0] = sum[1] = (VECTOR){0};
  ptrdiff_t p = 0;
  for (; p + LINE <= depth; p += LINE)
    for (int h = 0; h < 2; h++)
      for (ptrdiff_t q = p; q < p + LINE; q += LANES) {
        VECTOR t[LANES];
        NAME(transpose)(b + h * b_next + q, b_col, t);
        for (int i = 0; i < LANES; i++) sum[h] += a[h * a_next + (q + i) * a_col] * t[i];
      }
  for (; p < depth; p++)
    for (int h = 0; h < 2; h++) {
      VECTOR t;
      for (int i = 0; i < LANES; i++) t[i] = b[h * b_next + i * b_col + p];
      sum[h] += a[h * a_next + p * a_col] * t;
    }
}

/* c[j] (+)= sum over p < k of a[p] b[p, j] (+ bias[j]) where the columns of b are dense; gives the
 * number of columns done, a multiple of PANEL. Two runs of a vector of columns side by side read
 * fewer columns at once than one run of two vectors. */
FG_INLINE ptrdiff_t NAME(dots)(ptrdiff_t n, ptrdiff_t k, const REAL *a, ptrdiff_t a_col, const REAL *b,
                               ptrdiff_t b_col, REAL *c, int accumulate, const REAL *bias) {
  const ptrdiff_t paired = k / (2 * FG_GEMM_RUN) * 2 * FG_GEMM_RUN;
  ptrdiff_t j = 0;
  for (; j + PANEL <= n; j += PANEL, b += PANEL * b_col) {
    VECTOR sum[2];
    for (int half = 0; half < 2; half++)
      for (ptrdiff_t p = 0; p < paired; p += 2 * FG_GEMM_RUN) {
        const ptrdiff_t l = j + half * LANES;
        NAME(two_dots)(FG_GEMM_RUN, a + p * a_col, a_col, FG_GEMM_RUN * a_col,
                       b + half * LANES * b_col + p, b_col, FG_GEMM_RUN, sum);
        NAME(store)(sum[0], c + l, accumulate || p, NULL);
        NAME(store)(sum[1], c + l, 1, bias && p + 2 * FG_GEMM_RUN == k ? bias + l : NULL);
      }
    for (ptrdiff_t p = paired; p < k; p += FG_GEMM_RUN) {
      const REAL *last = bias && p + FG_GEMM_RUN >= k ? bias + j : NULL;
      NAME(two_dots)(FG_MIN(FG_GEMM_RUN, k - p), a + p * a_col, a_col, 0, b + p, b_col,
                     LANES * b_col, sum);
      NAME(store)(sum[0], c + j, accumulate || p, last);
      NAME(store)(sum[1], c + j + LANES, accumulate || p, last ? last + LANES : NULL);
    }
  }
  return j;
}

/* c[j] (+)= sum over p < depth of a[p] b[p, j] (+ bias[j]) where the rows of b are dense: they are
 * read one after the other, as memory likes it. */
static void NAME(combine_rows)(ptrdiff_t n, ptrdiff_t depth, const REAL *a, ptrdiff_t a_col,
                               const REAL *b, ptrdiff_t b_row, REAL *c, int add, const REAL *bias) {
  REAL sums[STRETCH] __attribute__((aligned(64)));
  for (ptrdiff_t j = 0; j < n; j += STRETCH) {
    const ptrdiff_t length = FG_MIN(STRETCH, n - j);
    memset(sums, 0, sizeof sums);
    for (ptrdiff_t p = 0, rows; p < depth; p += rows) {
      rows = depth - p >= 8 ? 8 : 1;
      const REAL *from = b + p * b_row + j;
      if (rows == 8)
        for (ptrdiff_t l = 0; l < length; l += LANES) {
          VECTOR s = *(VECTOR *)(sums + l);
          for (int q = 0; q < 8; q++)
            s += a[(p + q) * a_col] * *(const VECTOR *)(from + q * b_row + l);
          *(VECTOR *)(sums + l) = s;
        }
      else
        for (ptrdiff_t l = 0; l < length; l += LANES)
          *(VECTOR *)(sums + l) += a[p * a_col] * *(const VECTOR *)(from + l);
    }
    for (ptrdiff_t l = 0; l < length; l += LANES)
      NAME(store)(*(VECTOR *)(sums + l), c + j + l, add, bias ? bias + j + l : NULL);
  }
}

/* c (+)= sum over p < k of a[p] b[p] (+ bias): several runs at once, because each is one chain of
 * dependent operations. Fused explicitly: the compiler may split products from their sum. */
static void NAME(dot)(ptrdiff_t k, const REAL *a, ptrdiff_t a_col, const REAL *b, ptrdiff_t b_row,
                      REAL *c, int add, const REAL *bias) {
  REAL total = 0;
  for (ptrdiff_t first = 0, n_runs; first < k; first += n_runs * FG_GEMM_RUN) {
    n_runs = k - first >= 8 * FG_GEMM_RUN ? 8 : 1;
    const ptrdiff_t depth = FG_MIN(FG_GEMM_RUN, k - first);
    const REAL *x = a + first * a_col, *y = b + first * b_row;
    REAL sums[8] = {0};
    if (n_runs == 8)
      for (ptrdiff_t p = 0; p < depth; p++)
        for (int r = 0; r < 8; r++)
          sums[r] = MULTIPLY_ADD(x[(r * FG_GEMM_RUN + p) * a_col], y[(r * FG_GEMM_RUN + p) * b_row],
                                 sums[r]);
    else
      for (ptrdiff_t p = 0; p < depth; p++)
        sums[0] = MULTIPLY_ADD(x[p * a_col], y[p * b_row], sums[0]);
    if (!first) total = add ? *c + sums[0] : sums[0];
    for (ptrdiff_t r = !first; r < n_runs; r++) total += sums[r];
  }
  *c = bias ? total + *bias : total;
}

void FG(NAME(gemm_serial))(const fg_gemm *g, const REAL *a, const REAL *b, const REAL *bias, REAL *c) {
  const ptrdiff_t m = g->m, n = g->n;
  REAL packed[FG_GEMM_RUN * PANEL] __attribute__((aligned(64)));
  if (!g->k && !g->accumulate)
    for (ptrdiff_t i = 0; i < m; i++)
      for (ptrdiff_t j = 0; j < n; j++) c[i * g->c_row + j] = bias ? bias[j] : 0;
  if (g->k && m == 1 && n == 1) {
    NAME(dot)(g->k, a, g->a_col, b, g->b_row, c, g->accumulate, bias);
    return;
  }
  ptrdiff_t done = 0;
  if (g->k && m == 1 && g->b_row == 1 && g->b_col != 1)
    /* Adjacent elements as a case of its own: the compiler then needs no index arithmetic. */
    done = g->a_col == 1 ? NAME(dots)(n, g->k, a, 1, b, g->b_col, c, g->accumulate, bias)
                         : NAME(dots)(n, g->k, a, g->a_col, b, g->b_col, c, g->accumulate, bias);
  for (ptrdiff_t p = 0; p < g->k; p += FG_GEMM_RUN) {
    const ptrdiff_t depth = FG_MIN(FG_GEMM_RUN, g->k - p);
    const REAL *bp = b + p * g->b_row, *ap = a + p * g->a_col;
    const REAL *last = p + depth == g->k ? bias : NULL;
    const int add = g->accumulate || p;
    ptrdiff_t j = done;
    if (m == 1 && g->b_col == 1 && n >= 4 * WIDE * LANES) {
      j = n / LANES * LANES;
      NAME(combine_rows)(j, depth, ap, g->a_col, bp, g->b_row, c, add, last);
    }
    /* A panel of b that is read a few times, or fits the first cache, is not worth a copy. */
    const int direct = g->b_col == 1 && (m <= 4 * FG_BLOCK_ROWS ||
                                         g->b_row * depth * (ptrdiff_t)sizeof(REAL) <= 16384);
    for (ptrdiff_t width; j < n; j += width) {
      width = FG_MIN(PANEL, n - j);
      if (direct && width == PANEL && m < 4 && n - j >= WIDE * LANES) width = WIDE * LANES;
      if (direct && width > LANES && width < PANEL) width = LANES;
      const REAL *from = bp + j * g->b_col;
      ptrdiff_t b_row = g->b_row;
      if (!direct || width % LANES) {
        NAME(pack_b)(depth, width, from, b_row, g->b_col, packed);
        from = packed, b_row = PANEL;
      }
      NAME(column_panel)(m, depth, ap, g->a_row, g->a_col, 0, from, b_row, c + j, g->c_row, width,
                         add, last ? last + j : NULL);
    }
  }
}

/* The part of c that one task of a large product makes, from a packed b: [run][panel][p][PANEL]. */
static void NAME(block)(const gemm_job *job, ptrdiff_t i, ptrdiff_t rows, ptrdiff_t j,
                        ptrdiff_t columns) {
  const fg_gemm *g = &job->g;
  REAL packed[BLOCK_BYTES / sizeof(REAL)] __attribute__((aligned(64)));
  const REAL *b = (const REAL *)job->packed, *bias = (const REAL *)job->bias;
  for (ptrdiff_t p = job->first; p < job->end; p += FG_GEMM_RUN) {
    const ptrdiff_t depth = FG_MIN(FG_GEMM_RUN, g->k - p);
    NAME(pack_a)(rows, depth, (const REAL *)job->a + i * g->a_row + p * g->a_col, g->a_row,
                 g->a_col, packed);
    const REAL *panel = b + (p - job->first) * job->padded + j * depth;
    for (ptrdiff_t jj = j; jj < j + columns; jj += PANEL, panel += PANEL * depth)
      NAME(column_panel)(rows, depth, packed, 1, 1, 1, panel, PANEL,
                         (REAL *)job->c + i * g->c_row + jj, g->c_row,
                         FG_MIN(PANEL, j + columns - jj), g->accumulate || p,
                         bias && p + depth == g->k ? bias + jj : NULL);
  }
}

/* Pack the panels of columns j to j + columns of one run for block. */
static void NAME(pack_run)(const gemm_job *job, ptrdiff_t p, ptrdiff_t j, ptrdiff_t columns) {
  const fg_gemm *g = &job->g;
  const ptrdiff_t depth = FG_MIN(FG_GEMM_RUN, g->k - p);
  REAL *to = (REAL *)job->packed + (p - job->first) * job->padded + j * depth;
  for (ptrdiff_t jj = j; jj < j + columns; jj += PANEL, to += PANEL * depth)
    NAME(pack_b)(depth, FG_MIN(PANEL, g->n - jj),
                 (const REAL *)job->b + p * g->b_row + jj * g->b_col, g->b_row, g->b_col, to);
}

#undef PANEL
#undef WIDE
#undef STRETCH
#undef LINE
