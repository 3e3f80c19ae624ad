/* Softmax for element type T; included by softmax.c once per type. */

typedef struct {
  int logarithm;
  const T *x;
  T *out;
  ptrdiff_t outer, n, inner, rows, n_tiles;
} M(softmax_call);

/* Columns of length n side by side; x and out do not overlap. */
static void M(softmax_columns)(int logarithm, const T *restrict x, T *restrict out, ptrdiff_t n,
                               ptrdiff_t stride, ptrdiff_t width) {
  T top[TILE], sum[TILE];
  for (ptrdiff_t k = 0; k < width; k++) {
    top[k] = x[k];
    sum[k] = 0;
  }
  for (ptrdiff_t i = 1; i < n; i++)
    for (ptrdiff_t k = 0; k < width; k++) top[k] = FG_MAX(x[i * stride + k], top[k]);
  for (ptrdiff_t i = 0; i < n; i++)
    for (ptrdiff_t k = 0; k < width; k++) {
      T e = M(exp)(x[i * stride + k] - top[k]);
      out[i * stride + k] = e;
      sum[k] += e;
    }
  if (logarithm) {
    for (ptrdiff_t k = 0; k < width; k++) sum[k] = M(log)(sum[k]);
    for (ptrdiff_t i = 0; i < n; i++)
      for (ptrdiff_t k = 0; k < width; k++)
        out[i * stride + k] = (x[i * stride + k] - top[k]) - sum[k];
  } else {
    for (ptrdiff_t k = 0; k < width; k++) sum[k] = 1 / sum[k];
    for (ptrdiff_t i = 0; i < n; i++)
      for (ptrdiff_t k = 0; k < width; k++) out[i * stride + k] *= sum[k];
  }
}

/* One row of n adjacent elements. */
static void M(softmax_row)(int logarithm, const T *restrict x, T *restrict out, ptrdiff_t n) {
  T several[LANES], top = x[0];
  ptrdiff_t i;
  for (int k = 0; k < LANES; k++) several[k] = x[0];
  for (i = 0; i + LANES <= n; i += LANES)
    for (int k = 0; k < LANES; k++) several[k] = FG_MAX(x[i + k], several[k]);
  for (; i < n; i++) top = FG_MAX(x[i], top);
  for (int k = 0; k < LANES; k++) top = FG_MAX(several[k], top);
  for (i = 0; i < n; i++) out[i] = M(exp)(x[i] - top);
  V s0 = {0}, s1 = {0};
  for (i = 0; i + 2 * LANES <= n; i += 2 * LANES) {
    s0 += *(const V *)(out + i);
    s1 += *(const V *)(out + i + LANES);
  }
  s0 += s1;
  double sum = 0;
  for (int k = 0; k < LANES; k++) sum += (double)s0[k];
  for (; i < n; i++) sum += (double)out[i];
  if (logarithm) {
    T shift = (T)log(sum);
    for (i = 0; i < n; i++) out[i] = (x[i] - top) - shift;
  } else {
    T scale = (T)(1 / sum);
    for (i = 0; i < n; i++) out[i] *= scale;
  }
}

static void M(softmax_rows_task)(void *context, ptrdiff_t i) {
  const M(softmax_call) *s = context;
  ptrdiff_t n = s->n, last = FG_MIN((i + 1) * s->rows, s->outer);
  if (n > FEW) {
    for (ptrdiff_t r = i * s->rows; r < last; r++)
      M(softmax_row)(s->logarithm, s->x + r * n, s->out + r * n, n);
    return;
  }
  T from[FEW * TILE], to[FEW * TILE];
  for (ptrdiff_t r = i * s->rows; r < last; r += TILE) {
    ptrdiff_t width = FG_MIN(TILE, last - r);
    for (ptrdiff_t k = 0; k < width; k++)
      for (ptrdiff_t j = 0; j < n; j++) from[j * TILE + k] = s->x[(r + k) * n + j];
    M(softmax_columns)(s->logarithm, from, to, n, TILE, width);
    for (ptrdiff_t k = 0; k < width; k++)
      for (ptrdiff_t j = 0; j < n; j++) s->out[(r + k) * n + j] = to[j * TILE + k];
  }
}

static void M(softmax_tile_task)(void *context, ptrdiff_t i) {
  const M(softmax_call) *s = context;
  ptrdiff_t first = i % s->n_tiles * TILE, start = i / s->n_tiles * s->n * s->inner + first;
  M(softmax_columns)(s->logarithm, s->x + start, s->out + start, s->n, s->inner,
                     FG_MIN(TILE, s->inner - first));
}

/* x, out: (outer, n, inner) dense, distinct; no size is zero. */
static void M(softmax)(int logarithm, const T *x, T *out, ptrdiff_t outer, ptrdiff_t n,
                       ptrdiff_t inner) {
  M(softmax_call) s = {logarithm, x, out, outer, n, inner, FG_MAX(1, TASK_ELEMENTS / n),
                       (inner + TILE - 1) / TILE};
  if (inner == 1)
    fg_parallel((outer + s.rows - 1) / s.rows, M(softmax_rows_task), &s);
  else
    fg_parallel(outer * s.n_tiles, M(softmax_tile_task), &s);
}
