/* Softmax of a tile of columns and of a row, for element type T; included once per type.
 *
 * A tile is `width` <= TILE columns of n classes, neighbors of one class being adjacent and the
 * classes `stride` apart. Sums are taken over RUN terms before they are joined, so that their error
 * stays small however long the lines are. */

/* A tile (n, TILE) from `width` positions of n adjacent classes; and back. Constant n lets the
 * compiler shuffle vectors. */
FG_INLINE void M(turn)(const T *restrict x, ptrdiff_t n, ptrdiff_t width, T *restrict tile) {
  for (ptrdiff_t k = 0; k < width; k++)
    for (ptrdiff_t c = 0; c < n; c++) tile[c * TILE + k] = x[k * n + c];
}

FG_INLINE void M(turn_back)(const T *restrict tile, ptrdiff_t n, ptrdiff_t width, T *restrict x) {
  for (ptrdiff_t k = 0; k < width; k++)
    for (ptrdiff_t c = 0; c < n; c++) x[k * n + c] = tile[c * TILE + k];
}

static void M(load_tile)(const T *x, ptrdiff_t n, ptrdiff_t width, T *tile) {
  switch (n) {
    case 2: M(turn)(x, 2, width, tile); break;
    case 3: M(turn)(x, 3, width, tile); break;
    case 4: M(turn)(x, 4, width, tile); break;
    default: M(turn)(x, n, width, tile);
  }
}

static void M(store_tile)(const T *tile, ptrdiff_t n, ptrdiff_t width, T *x) {
  switch (n) {
    case 2: M(turn_back)(tile, 2, width, x); break;
    case 3: M(turn_back)(tile, 3, width, x); break;
    case 4: M(turn_back)(tile, 4, width, x); break;
    default: M(turn_back)(tile, n, width, x);
  }
}

/* Maximum of each column, and sum of e^(x - maximum); that exponential goes to out if it is there. */
FG_INLINE void M(column_sums)(const T *restrict x, T *restrict out, ptrdiff_t n, ptrdiff_t stride,
                              ptrdiff_t width, T *restrict top, T *restrict sum) {
  for (ptrdiff_t k = 0; k < width; k++) {
    top[k] = x[k];
    sum[k] = 0;
  }
  for (ptrdiff_t i = 1; i < n; i++)
    for (ptrdiff_t k = 0; k < width; k++) top[k] = FG_MAX(x[i * stride + k], top[k]);
  for (ptrdiff_t first = 0; first < n; first += RUN) {
    T part[TILE] = {0};
    for (ptrdiff_t i = first; i < FG_MIN(first + RUN, n); i++)
      for (ptrdiff_t k = 0; k < width; k++) {
        T e = M(decay)(x[i * stride + k] - top[k]);
        if (out) out[i * stride + k] = e;
        part[k] += e;
      }
    for (ptrdiff_t k = 0; k < width; k++) sum[k] += part[k];
  }
}

/* Softmax of columns; top and sum are left as column_sums gives them. */
static void M(softmax_columns)(const T *restrict x, T *restrict out, ptrdiff_t n, ptrdiff_t stride,
                               ptrdiff_t width, T *restrict top, T *restrict sum) {
  T scale[TILE];
  M(column_sums)(x, out, n, stride, width, top, sum);
  for (ptrdiff_t k = 0; k < width; k++) scale[k] = 1 / sum[k];
  for (ptrdiff_t i = 0; i < n; i++)
    for (ptrdiff_t k = 0; k < width; k++) out[i * stride + k] *= scale[k];
}

/* Maximum of a row; NaN may be passed over, it shows in the sum. */
FG_INLINE T M(row_top)(const T *restrict x, ptrdiff_t n) {
  T several[4 * LANES], top = x[0];
  ptrdiff_t i;
  for (int k = 0; k < 4 * LANES; k++) several[k] = x[0];
  for (i = 0; i + 4 * LANES <= n; i += 4 * LANES)
    for (int k = 0; k < 4 * LANES; k++) several[k] = FG_MAX(x[i + k], several[k]);
  for (; i < n; i++) top = FG_MAX(x[i], top);
  for (int k = 0; k < 4 * LANES; k++) top = FG_MAX(several[k], top);
  return top;
}

/* Sum of e^(x - top) over a row; the exponentials go to out if it is there. */
FG_INLINE double M(row_sum)(const T *restrict x, T *restrict out, ptrdiff_t n, T top) {
  double sum = 0;
  for (ptrdiff_t first = 0; first < n; first += RUN * LANES) {
    ptrdiff_t last = FG_MIN(first + RUN * LANES, n), i;
    T several[2 * LANES] = {0};
    for (i = first; i + 2 * LANES <= last; i += 2 * LANES)
      for (int k = 0; k < 2 * LANES; k++) {
        T e = M(decay)(x[i + k] - top);
        if (out) out[i + k] = e;
        several[k] += e;
      }
    for (int k = 0; k < 2 * LANES; k++) sum += (double)several[k];
    for (; i < last; i++) {
      T e = M(decay)(x[i] - top);
      if (out) out[i] = e;
      sum += (double)e;
    }
  }
  return sum;
}
