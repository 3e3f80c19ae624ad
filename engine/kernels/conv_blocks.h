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
      if (strides[2] == channels && channels == padded_channels)
        memcpy(to + begin * channels, from, (end - begin) * channels * sizeof(REAL));
      else
        for (ptrdiff_t w = begin; w < end; w++, from += strides[2]) {
          memcpy(to + w * padded_channels, from, channels * sizeof(REAL));
          memset(to + w * padded_channels + channels, 0,
                 (padded_channels - channels) * sizeof(REAL));
        }
    }
}

/* out[i, :] = start[i, :] + sum over runs r and k < run of in[i * in_step + offsets[r] + k] * w[k, :]
 * for i < rows, each row being `vectors` vectors wide; w advances through all runs. start may be
 * out itself, or one row repeated (start_step 0). If per_channel, every column has an input of its
 * own, in[… + column], instead of one for all. */
FG_INLINE void NAME(multiply_rows)(const int rows, const int vectors, const int per_channel,
                                   const REAL *in, ptrdiff_t in_step, const ptrdiff_t *offsets, ptrdiff_t n_runs,
                                   ptrdiff_t run, const REAL *w, const REAL *start,
                                   ptrdiff_t start_step, REAL *out, ptrdiff_t out_step) {
  VECTOR sum[FG_BLOCK_ROWS][2];
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < vectors; j++)
      sum[i][j] = *(const VECTOR *)(start + i * start_step + j * LANES);
  for (ptrdiff_t r = 0; r < n_runs; r++) {
    const REAL *a = in + offsets[r];
    for (ptrdiff_t k = 0; k < run; k++, a++, w += vectors * LANES) {
      const VECTOR w0 = *(const VECTOR *)w, w1 = *(const VECTOR *)(w + (vectors - 1) * LANES);
#pragma GCC unroll 16
      for (int i = 0; i < rows; i++) {
        const REAL *x = a + i * in_step;
        if (per_channel) {
          sum[i][0] += *(const VECTOR *)x * w0;
          if (vectors == 2) sum[i][1] += *(const VECTOR *)(x + LANES) * w1;
        } else {
          sum[i][0] += *x * w0;
          if (vectors == 2) sum[i][1] += *x * w1;
        }
      }
    }
  }
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < vectors; j++) *(VECTOR *)(out + i * out_step + j * LANES) = sum[i][j];
}

/* sum[i, :] = sum over positions p of x[p, i * row_step] * g[p, :] for i < rows, added to what is
 * there if `add`; positions fill a box of size[0] x size[1] x size[2] with strides x_strides and
 * g_strides. Each call sums from zero before it adds: two-level summation, so long sums lose less.
 * per_channel as above. */
FG_INLINE void NAME(outer_rows)(const int rows, const int vectors, const int per_channel,
                                const REAL *x, ptrdiff_t row_step, const ptrdiff_t x_strides[3], const REAL *g,
                                const ptrdiff_t g_strides[3], const ptrdiff_t size[3], int add,
                              REAL *sum) {
  const VECTOR zero = {0};
  VECTOR acc[FG_BLOCK_ROWS][2];
  for (int i = 0; i < rows; i++) acc[i][0] = acc[i][1] = zero;
  for (ptrdiff_t d = 0; d < size[0]; d++)
    for (ptrdiff_t h = 0; h < size[1]; h++) {
      const REAL *a = x + d * x_strides[0] + h * x_strides[1];
      const REAL *b = g + d * g_strides[0] + h * g_strides[1];
      for (ptrdiff_t p = 0; p < size[2]; p++, a += x_strides[2], b += g_strides[2]) {
        const VECTOR b0 = *(const VECTOR *)b, b1 = *(const VECTOR *)(b + (vectors - 1) * LANES);
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
          const REAL *c = a + i * row_step;
          if (per_channel) {
            acc[i][0] += *(const VECTOR *)c * b0;
            if (vectors == 2) acc[i][1] += *(const VECTOR *)(c + LANES) * b1;
          } else {
            acc[i][0] += *c * b0;
            if (vectors == 2) acc[i][1] += *c * b1;
          }
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
#define FG_ROW_CASES(CASE) \
  CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) \
  CASE(12) CASE(13) CASE(14)
#elif FG_BLOCK_ROWS > 6
#define FG_ROW_CASES(CASE) \
  CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12)
#else
#define FG_ROW_CASES(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#endif

/* multiply_rows for any number of rows, cut into even blocks (8 rows make 4 + 4, not 6 + 2). */
static void NAME(multiply)(ptrdiff_t rows, int vectors, int per_channel, const REAL *in,
                           ptrdiff_t in_step, const ptrdiff_t *offsets, ptrdiff_t n_runs,
                           ptrdiff_t run, const REAL *w, const REAL *start, ptrdiff_t start_step,
                           REAL *out, ptrdiff_t out_step) {
#define BLOCK(N, V, C)                                                                          \
  NAME(multiply_rows)                                                                           \
  (N, V, C, in, in_step, offsets, n_runs, run, w, start, start_step, out, out_step)
#define CASE(N)                       \
  case N:                             \
    if (per_channel && vectors == 2)  \
      BLOCK(N, 2, 1);                 \
    else if (per_channel)             \
      BLOCK(N, 1, 1);                 \
    else if (vectors == 2)            \
      BLOCK(N, 2, 0);                 \
    else                              \
      BLOCK(N, 1, 0);                 \
    break;
  for (ptrdiff_t left = (rows + FG_BLOCK_ROWS - 1) / FG_BLOCK_ROWS; left > 0; left--) {
    const ptrdiff_t n = (rows + left - 1) / left;
    switch (n) { FG_ROW_CASES(CASE) }
    rows -= n;
    in += n * in_step;
    start += n * start_step;
    out += n * out_step;
  }
#undef BLOCK
}

/* outer_rows for any number of rows, cut likewise; sum has `vectors` vectors a row. */
static void NAME(outer)(ptrdiff_t rows, int vectors, int per_channel, const REAL *x,
                        ptrdiff_t row_step, const ptrdiff_t x_strides[3], const REAL *g,
                        const ptrdiff_t g_strides[3], const ptrdiff_t size[3], int add, REAL *sum) {
#define BLOCK(N, V, C) \
  NAME(outer_rows)(N, V, C, x, row_step, x_strides, g, g_strides, size, add, sum)
  for (ptrdiff_t left = (rows + FG_BLOCK_ROWS - 1) / FG_BLOCK_ROWS; left > 0; left--) {
    const ptrdiff_t n = (rows + left - 1) / left;
    switch (n) { FG_ROW_CASES(CASE) }
    rows -= n;
    x += n * row_step;
    sum += n * vectors * LANES;
  }
#undef BLOCK
#undef CASE
}
#undef FG_ROW_CASES
