/* Softmax and its gradient for element type T; included by softmax.c once per type. */

typedef struct {
  int logarithm;
  const T *x, *g;  /* g: for the gradient, and x then is what softmax gave */
  T *out;
  ptrdiff_t outer, n, inner, rows, n_tiles;
} M(softmax_call);

/* -------------------------------------------------------------------------------------- values */

static void M(columns)(const M(softmax_call) *s, const T *restrict x, T *restrict out,
                       ptrdiff_t stride, ptrdiff_t width) {
  T top[TILE], sum[TILE];
  if (!s->logarithm) {
    M(softmax_columns)(x, out, s->n, stride, width, top, sum);
    return;
  }
  M(column_sums)(x, NULL, s->n, stride, width, top, sum);
  for (ptrdiff_t k = 0; k < width; k++) sum[k] = M(log)(sum[k]);
  for (ptrdiff_t i = 0; i < s->n; i++)
    for (ptrdiff_t k = 0; k < width; k++)
      out[i * stride + k] = (x[i * stride + k] - top[k]) - sum[k];
}

static void M(row)(const M(softmax_call) *s, const T *restrict x, T *restrict out) {
  T top = M(row_top)(x, s->n);
  if (s->logarithm) {
    T shift = (T)log(M(row_sum)(x, NULL, s->n, top));
    for (ptrdiff_t i = 0; i < s->n; i++) out[i] = (x[i] - top) - shift;
  } else {
    T scale = (T)(1 / M(row_sum)(x, out, s->n, top));
    for (ptrdiff_t i = 0; i < s->n; i++) out[i] *= scale;
  }
}

/* ----------------------------------------------------------------------------------- gradients */

/* softmax: y (g - sum g y); logarithm: g - e^y sum g. */
static void M(gradient_columns)(const M(softmax_call) *s, const T *restrict y, const T *restrict g,
                                T *restrict gx, ptrdiff_t stride, ptrdiff_t width) {
  T sum[TILE] = {0};
  for (ptrdiff_t first = 0; first < s->n; first += RUN) {
    T part[TILE] = {0};
    for (ptrdiff_t i = first; i < FG_MIN(first + RUN, s->n); i++)
      for (ptrdiff_t k = 0; k < width; k++)
        part[k] += s->logarithm ? g[i * stride + k] : g[i * stride + k] * y[i * stride + k];
    for (ptrdiff_t k = 0; k < width; k++) sum[k] += part[k];
  }
  for (ptrdiff_t i = 0; i < s->n; i++) {
    const T *restrict h = g + i * stride, *restrict v = y + i * stride;
    T *restrict to = gx + i * stride;
    if (s->logarithm)
      for (ptrdiff_t k = 0; k < width; k++) to[k] = h[k] - M(decay)(v[k]) * sum[k];
    else
      for (ptrdiff_t k = 0; k < width; k++) to[k] = v[k] * (h[k] - sum[k]);
  }
}

static void M(gradient_row)(const M(softmax_call) *s, const T *restrict y, const T *restrict g,
                            T *restrict gx) {
  double sum = 0;
  for (ptrdiff_t first = 0; first < s->n; first += RUN * LANES) {
    ptrdiff_t last = FG_MIN(first + RUN * LANES, s->n), i;
    T several[2 * LANES] = {0};
    for (i = first; i + 2 * LANES <= last; i += 2 * LANES)
      for (int k = 0; k < 2 * LANES; k++)
        several[k] += s->logarithm ? g[i + k] : g[i + k] * y[i + k];
    for (int k = 0; k < 2 * LANES; k++) sum += (double)several[k];
    for (; i < last; i++) sum += (double)(s->logarithm ? g[i] : g[i] * y[i]);
  }
  T total = (T)sum;
  if (s->logarithm)
    for (ptrdiff_t i = 0; i < s->n; i++) gx[i] = g[i] - M(decay)(y[i]) * total;
  else
    for (ptrdiff_t i = 0; i < s->n; i++) gx[i] = y[i] * (g[i] - total);
}

/* --------------------------------------------------------------------------------------- tasks */

static void M(rows_task)(void *context, ptrdiff_t i) {
  const M(softmax_call) *s = context;
  ptrdiff_t n = s->n, last = FG_MIN((i + 1) * s->rows, s->outer);
  if (n > FEW) {
    for (ptrdiff_t r = i * s->rows; r < last; r++)
      s->g ? M(gradient_row)(s, s->x + r * n, s->g + r * n, s->out + r * n)
           : M(row)(s, s->x + r * n, s->out + r * n);
    return;
  }
  T from[FEW * TILE], to[FEW * TILE], g[FEW * TILE];
  for (ptrdiff_t r = i * s->rows; r < last; r += TILE) {
    ptrdiff_t width = FG_MIN(TILE, last - r);
    M(load_tile)(s->x + r * n, n, width, from);
    if (s->g) {
      M(load_tile)(s->g + r * n, n, width, g);
      M(gradient_columns)(s, from, g, to, TILE, width);
    } else {
      M(columns)(s, from, to, TILE, width);
    }
    M(store_tile)(to, n, width, s->out + r * n);
  }
}

static void M(tiles_task)(void *context, ptrdiff_t i) {
  const M(softmax_call) *s = context;
  ptrdiff_t first = i % s->n_tiles * TILE, start = i / s->n_tiles * s->n * s->inner + first;
  ptrdiff_t width = FG_MIN(TILE, s->inner - first);
  if (s->g)
    M(gradient_columns)(s, s->x + start, s->g + start, s->out + start, s->inner, width);
  else
    M(columns)(s, s->x + start, s->out + start, s->inner, width);
}

/* x, g, out: (outer, n, inner) dense, distinct; no size is zero; g is NULL for the values. */
static void M(softmax)(int logarithm, const T *x, const T *g, T *out, ptrdiff_t outer, ptrdiff_t n,
                       ptrdiff_t inner) {
  M(softmax_call) s = {logarithm, x, g, out, outer, n, inner,
                       FG_MAX(TILE, TASK_ELEMENTS / n / TILE * TILE), (inner + TILE - 1) / TILE};
  if (inner == 1)
    fg_parallel((outer + s.rows - 1) / s.rows, M(rows_task), &s);
  else
    fg_parallel(outer * s.n_tiles, M(tiles_task), &s);
}
