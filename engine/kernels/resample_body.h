/* The linear map for element type T; included by resample.c once per type. */

typedef struct {
  fg_taps taps;
  const T *x;
  T *out;
  ptrdiff_t outer, inner, rows;
} M(resample_call);

/* Rows of inner elements: a weighted sum of rows of x. */
static void M(resample_rows_task)(void *context, ptrdiff_t task) {
  const M(resample_call) *r = context;
  const fg_taps *taps = &r->taps;
  ptrdiff_t inner = r->inner, n_rows = r->outer * taps->n_out;
  for (ptrdiff_t row = task * r->rows; row < FG_MIN((task + 1) * r->rows, n_rows); row++) {
    ptrdiff_t i = row % taps->n_out, first = taps->start[i], last = taps->start[i + 1];
    const T *x = r->x + row / taps->n_out * taps->n_in * inner;
    for (ptrdiff_t c = 0; c < inner; c += TILE) {
      ptrdiff_t width = FG_MIN(TILE, inner - c), t = first;
      T *restrict out = r->out + row * inner + c;
      if (last - t >= 2) {
        const T *restrict a = x + taps->index[t] * inner + c;
        const T *restrict b = x + taps->index[t + 1] * inner + c;
        T wa = (T)taps->weight[t], wb = (T)taps->weight[t + 1];
        for (ptrdiff_t k = 0; k < width; k++) out[k] = wa * a[k] + wb * b[k];
        t += 2;
      } else if (last > t) {
        const T *restrict a = x + taps->index[t] * inner + c;
        T wa = (T)taps->weight[t];
        for (ptrdiff_t k = 0; k < width; k++) out[k] = wa * a[k];
        t++;
      } else {
        for (ptrdiff_t k = 0; k < width; k++) out[k] = 0;
      }
      for (; t < last; t++) {
        const T *restrict a = x + taps->index[t] * inner + c;
        T wa = (T)taps->weight[t];
        for (ptrdiff_t k = 0; k < width; k++) out[k] += wa * a[k];
      }
    }
  }
}

/* inner == 1: each output is a sum of elements of its row. */
static void M(resample_elements_task)(void *context, ptrdiff_t task) {
  const M(resample_call) *r = context;
  const fg_taps *taps = &r->taps;
  for (ptrdiff_t o = task * r->rows; o < FG_MIN((task + 1) * r->rows, r->outer); o++) {
    const T *x = r->x + o * taps->n_in;
    T *out = r->out + o * taps->n_out;
    for (ptrdiff_t i = 0; i < taps->n_out; i++) {
      T sum = 0;
      for (ptrdiff_t t = taps->start[i]; t < taps->start[i + 1]; t++)
        sum += (T)taps->weight[t] * x[taps->index[t]];
      out[i] = sum;
    }
  }
}

/* x: (outer, n_in, inner), out: (outer, n_out, inner), dense, distinct. */
static void M(resample)(const fg_taps *taps, const T *x, T *out, ptrdiff_t outer, ptrdiff_t inner) {
  M(resample_call) r = {*taps, x, out, outer, inner, 1};
  ptrdiff_t n_rows = inner == 1 ? outer : outer * taps->n_out;
  r.rows = FG_MAX(1, TASK_ELEMENTS / (inner == 1 ? taps->n_out : inner));
  fg_parallel((n_rows + r.rows - 1) / r.rows,
              inner == 1 ? M(resample_elements_task) : M(resample_rows_task), &r);
}
