/* What direct and Winograd convolution share, for the element type that the includer names.
 *
 * Before including: REAL (float or double), VECTOR (its vector type), NAME(x) (x with a type
 * suffix). In the two innermost loops a block of FG_BLOCK_ROWS x 2 vectors of accumulators stays in
 * registers; one operand is a pair of vectors, the other is broadcast element by element, so any
 * number of rows and any depth work without remainder code. */

#undef LANES
#define LANES ((ptrdiff_t)(sizeof(VECTOR) / sizeof(REAL)))

/* Copy the part of a channels-last array that begins at `first` (indices below 0 or beyond `size`
 * are padding and become zeros) to a dense array of shape length x padded_channels. */
static void NAME(copy_padded)(const REAL *in, const ptrdiff_t strides[3], const ptrdiff_t size[3],
                              const ptrdiff_t first[3], const ptrdiff_t length[3],
                              ptrdiff_t channels, ptrdiff_t padded_channels, REAL *to) {
  const ptrdiff_t row = length[2] * padded_channels;
  const ptrdiff_t begin = FG_MIN(FG_MAX(-first[2], 0), length[2]);
  const ptrdiff_t end = FG_MAX(FG_MIN(size[2] - first[2], length[2]), begin);
  for (ptrdiff_t a = 0; a < length[0]; a++)
    for (ptrdiff_t b = 0; b < length[1]; b++, to += row) {
      const ptrdiff_t d = first[0] + a, h = first[1] + b;
      if (d < 0 || d >= size[0] || h < 0 || h >= size[1] || begin == end) {
        memset(to, 0, row * sizeof(REAL));
        continue;
      }
      const REAL *from = in + d * strides[0] + h * strides[1] + (first[2] + begin) * strides[2];
      memset(to, 0, begin * padded_channels * sizeof(REAL));
      memset(to + end * padded_channels, 0, (length[2] - end) * padded_channels * sizeof(REAL));
      REAL *at = to + begin * padded_channels;
      if (strides[2] == channels && channels == padded_channels) {
        memcpy(at, from, (end - begin) * channels * sizeof(REAL));
        continue;
      }
      for (ptrdiff_t w = begin; w < end; w++, from += strides[2], at += padded_channels) {
        ptrdiff_t c = 0;
        for (; c + LANES <= channels; c += LANES) *(VECTOR *)(at + c) = *(const VECTOR *)(from + c);
        for (; c < channels; c++) at[c] = from[c];
        for (; c < padded_channels; c++) at[c] = 0;
      }
    }
}

/* out[i, :] = start[i, :] + sum over runs r and k < run of in[i, offsets[r] + k] * w[k, :] for
 * i < rows, each row being `vectors` vectors wide; w advances through all runs. Row i lies at
 * i * in_step, i * start_step and i * out_step, or, if `placed`, at in_at[i] and out_at[i], with
 * start repeated, or out itself where start is NULL. If per_channel, every column has an input of
 * its own, in[… + column], instead of one for all, and k takes steps of k_step. */
FG_INLINE void NAME(multiply_rows)(const int rows, const int vectors, const int per_channel,
                                   const int placed, const REAL *in, ptrdiff_t in_step,
                                   const ptrdiff_t *in_at, const ptrdiff_t *offsets,
                                   ptrdiff_t n_runs, ptrdiff_t run, ptrdiff_t k_step, const REAL *w,
                                   const REAL *start, ptrdiff_t start_step, REAL *out,
                                   ptrdiff_t out_step, const ptrdiff_t *out_at) {
  VECTOR sum[FG_SINGLE_ROWS][2];
  const REAL *x[FG_SINGLE_ROWS];
  for (int i = 0; i < rows; i++) {
    const REAL *from = !placed ? start + i * start_step : start ? start : out + out_at[i];
    for (int j = 0; j < vectors; j++) sum[i][j] = *(const VECTOR *)(from + j * LANES);
    x[i] = in + (placed ? in_at[i] : i * in_step);
  }
  for (ptrdiff_t r = 0; r < n_runs; r++) {
    ptrdiff_t a = offsets[r];
    for (ptrdiff_t k = 0; k < run; k++, a += per_channel ? k_step : 1, w += vectors * LANES) {
      const VECTOR w0 = *(const VECTOR *)w, w1 = *(const VECTOR *)(w + (vectors - 1) * LANES);
#pragma GCC unroll 16
      for (int i = 0; i < rows; i++) {
        if (per_channel) {
          sum[i][0] += *(const VECTOR *)(x[i] + a) * w0;
          if (vectors == 2) sum[i][1] += *(const VECTOR *)(x[i] + a + LANES) * w1;
        } else {
          sum[i][0] += x[i][a] * w0;
          if (vectors == 2) sum[i][1] += x[i][a] * w1;
        }
      }
    }
  }
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < vectors; j++)
      *(VECTOR *)(out + (placed ? out_at[i] : i * out_step) + j * LANES) = sum[i][j];
}

/* sum[i, :] = sum over positions p of x[i, p] * g[p, :] for i < rows, added to what is there if
 * `add`. Row i of x begins at i * row_step, and n positions follow at x_step and g_step; or, if
 * `placed`, at row_at[i], and the positions in x lie at at[p]. Each call sums
 * from zero before it adds: two-level summation, so long sums lose less. per_channel as above. */
FG_INLINE void NAME(outer_rows)(const int rows, const int vectors, const int per_channel,
                                const int placed, const REAL *x, ptrdiff_t row_step,
                                const ptrdiff_t *row_at, ptrdiff_t x_step, const REAL *g,
                                ptrdiff_t g_step, const ptrdiff_t *at, ptrdiff_t n, int add,
                                REAL *sum) {
  const VECTOR zero = {0};
  VECTOR acc[FG_SINGLE_ROWS][2];
  const REAL *row[FG_SINGLE_ROWS];
  for (int i = 0; i < rows; i++) {
    acc[i][0] = acc[i][1] = zero;
    row[i] = x + (placed ? row_at[i] : i * row_step);
  }
  for (ptrdiff_t p = 0; p < n; p++) {
    const ptrdiff_t a = placed ? at[p] : p * x_step;
    const REAL *b = g + p * g_step;
    const VECTOR b0 = *(const VECTOR *)b, b1 = *(const VECTOR *)(b + (vectors - 1) * LANES);
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
      if (per_channel) {
        acc[i][0] += *(const VECTOR *)(row[i] + a) * b0;
        if (vectors == 2) acc[i][1] += *(const VECTOR *)(row[i] + a + LANES) * b1;
      } else {
        acc[i][0] += row[i][a] * b0;
        if (vectors == 2) acc[i][1] += row[i][a] * b1;
      }
    }
  }
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < vectors; j++) {
      VECTOR *to = (VECTOR *)(sum + (i * vectors + j) * LANES);
      if (add) acc[i][j] += *to;
      *to = acc[i][j];
    }
}

/* Call a block function with its number of rows as a constant, so that the compiler unrolls it. */
#if FG_BLOCK_ROWS > 12
#define FG_PAIR_CASES(CASE) \
  CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) \
  CASE(12) CASE(13) CASE(14)
#elif FG_BLOCK_ROWS > 6
#define FG_PAIR_CASES(CASE) \
  CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12)
#else
#define FG_PAIR_CASES(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#endif
#if FG_SINGLE_ROWS > FG_BLOCK_ROWS
#define FG_SINGLE_CASES(CASE) FG_PAIR_CASES(CASE) CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12)
#else
#define FG_SINGLE_CASES(CASE) FG_PAIR_CASES(CASE)
#endif

/* Rows of the next block of so many left, cut evenly (8 rows make 4 + 4, not 6 + 2). */
#undef NEXT_ROWS
#define NEXT_ROWS(left, block) ceil_div(left, ceil_div(left, block))

/* multiply_rows for any number of rows at equal steps and one run of inputs. */
static void NAME(multiply)(ptrdiff_t rows, int vectors, const REAL *in, ptrdiff_t in_step,
                           ptrdiff_t run, const REAL *w, const REAL *start, ptrdiff_t start_step,
                           REAL *out, ptrdiff_t out_step) {
  const ptrdiff_t offset = 0;
#define BLOCK(N, V)                                                                             \
  case N:                                                                                       \
    NAME(multiply_rows)                                                                         \
    (N, V, 0, 0, in, in_step, NULL, &offset, 1, run, 1, w, start, start_step, out, out_step,    \
     NULL);                                                                                     \
    break;
#define SINGLE(N) BLOCK(N, 1)
#define PAIR(N) BLOCK(N, 2)
  while (rows > 0) {
    const ptrdiff_t n = NEXT_ROWS(rows, FG_BLOCK_ROWS);
    if (vectors == 2) switch (n) { FG_PAIR_CASES(PAIR) }
    else switch (n) { FG_PAIR_CASES(SINGLE) }
    rows -= n;
    in += n * in_step;
    start += n * start_step;
    out += n * out_step;
  }
#undef BLOCK
}

/* outer_rows for any number of rows, and positions at equal steps. */
static void NAME(outer)(ptrdiff_t rows, int vectors, const REAL *x, ptrdiff_t row_step,
                        ptrdiff_t x_step, const REAL *g, ptrdiff_t g_step, ptrdiff_t n_positions,
                        int add, REAL *sum) {
#define BLOCK(N, V)                                                                               \
  case N:                                                                                         \
    NAME(outer_rows)                                                                              \
    (N, V, 0, 0, x, row_step, NULL, x_step, g, g_step, NULL, n_positions, add, sum);              \
    break;
  while (rows > 0) {
    const ptrdiff_t n = NEXT_ROWS(rows, FG_BLOCK_ROWS);
    if (vectors == 2) switch (n) { FG_PAIR_CASES(PAIR) }
    else switch (n) { FG_PAIR_CASES(SINGLE) }
    rows -= n;
    x += n * row_step;
    sum += n * vectors * LANES;
  }
#undef BLOCK
#undef SINGLE
#undef PAIR
}
