/* Segment reductions for element type T with integers I of its width; included by segment.c. */

typedef struct {
  int kind;
  const T *x;
  const ptrdiff_t *start, *order;
  T *out;
  I *arg;
  ptrdiff_t n_segments, features, rows_per_task, n_tasks, n_rows;
} M(segment_call);

/* Rows of a sorted list follow one another; otherwise order tells where each one is. */
#define ROW(e) (order ? order[e] : (e))
/* Rows lie anywhere in memory: ask for the one that is AHEAD places further in the list. */
#define AHEAD 12

/* Fetch count elements at x of the row AHEAD of e, where the list goes on so far. */
FG_INLINE void M(fetch)(const T *x, const ptrdiff_t *order, ptrdiff_t e, ptrdiff_t n_rows,
                        ptrdiff_t stride, ptrdiff_t count) {
  if (!order || e + AHEAD >= n_rows) return;
  const char *row = (const char *)(x + order[e + AHEAD] * stride);
  for (ptrdiff_t at = 0; at < count * (ptrdiff_t)sizeof(T); at += 64) __builtin_prefetch(row + at);
}

/* out[w * LANES] = sum of rows [e, last) in blocks, so that the error of a long sum stays small. */
FG_INLINE void M(sum_tile)(const T *x, const ptrdiff_t *order, ptrdiff_t e, ptrdiff_t last,
                           ptrdiff_t n_rows, ptrdiff_t stride, T *out, int w) {
  V sum[8];
  for (int k = 0; k < w; k++) sum[k] = (V){0};
  while (e < last) {
    ptrdiff_t stop = FG_MIN(last, e + SUM_BLOCK);
    V part[8];
    for (int k = 0; k < w; k++) part[k] = (V){0};
    for (; e < stop; e++) {
      M(fetch)(x, order, e, n_rows, stride, w * LANES);
      const T *row = x + ROW(e) * stride;
      for (int k = 0; k < w; k++) part[k] += *(const V *)(row + k * LANES);
    }
    for (int k = 0; k < w; k++) sum[k] += part[k];
  }
  for (int k = 0; k < w; k++) *(V *)(out + k * LANES) = sum[k];
}

static void M(sum_segment)(const M(segment_call) *s, ptrdiff_t segment) {
  const ptrdiff_t *order = s->order, first = s->start[segment], last = s->start[segment + 1];
  const ptrdiff_t n = s->features;
  T *out = s->out + segment * n;
  ptrdiff_t f = 0;
  for (; f + 8 * LANES <= n; f += 8 * LANES)
    M(sum_tile)(s->x + f, order, first, last, s->n_rows, n, out + f, 8);
  for (; f + 2 * LANES <= n; f += 2 * LANES)
    M(sum_tile)(s->x + f, order, first, last, s->n_rows, n, out + f, 2);
  for (; f + LANES <= n; f += LANES)
    M(sum_tile)(s->x + f, order, first, last, s->n_rows, n, out + f, 1);
  if (f == n) return;
  T sum[LANES] = {0};
  for (ptrdiff_t e = first; e < last;) {
    ptrdiff_t stop = FG_MIN(last, e + SUM_BLOCK);
    T part[LANES] = {0};
    for (; e < stop; e++) {
      const T *row = s->x + ROW(e) * n + f;
      for (ptrdiff_t k = 0; k < n - f; k++) part[k] += row[k];
    }
    for (ptrdiff_t k = 0; k < n - f; k++) sum[k] += part[k];
  }
  for (ptrdiff_t k = 0; k < n - f; k++) out[f + k] = sum[k];
}

/* Maximum, or minimum for sign -1, and the first row that has it; NaN counts as the extremum. */
static void M(top_segment)(const M(segment_call) *s, ptrdiff_t segment, T sign) {
  const ptrdiff_t *order = s->order, first = s->start[segment], last = s->start[segment + 1];
  const ptrdiff_t n = s->features;
  T *out = s->out + segment * n;
  I *arg = s->arg + segment * n;
  ptrdiff_t f = 0;
  if (first == last) {
    for (f = 0; f < n; f++) {
      out[f] = -sign * (T)INFINITY;
      arg[f] = -1;
    }
    return;
  }
  for (; f + LANES <= n; f += LANES) {
    V top = *(const V *)(s->x + ROW(first) * n + f) * sign;
    VI where = (VI){0} + (I)ROW(first);
    for (ptrdiff_t e = first + 1; e < last; e++) {
      if (f == 0) M(fetch)(s->x, order, e, s->n_rows, n, n);
      V v = *(const V *)(s->x + ROW(e) * n + f) * sign;
      VI more = (v > top) | ((v != v) & (top == top));
      top = (V)(((VI)v & more) | ((VI)top & ~more));
      where = (((VI){0} + (I)ROW(e)) & more) | (where & ~more);
    }
    *(V *)(out + f) = top * sign;
    *(VI *)(arg + f) = where;
  }
  for (; f < n; f++) {
    T top = s->x[ROW(first) * n + f] * sign;
    ptrdiff_t where = ROW(first);
    for (ptrdiff_t e = first + 1; e < last; e++) {
      T v = s->x[ROW(e) * n + f] * sign;
      if (v > top || (v != v && top == top)) {
        top = v;
        where = ROW(e);
      }
    }
    out[f] = top * sign;
    arg[f] = (I)where;
  }
}

/* exp(x - maximum) / sum over the rows of a segment, some features at a time. */
static void M(softmax_segment)(const M(segment_call) *s, ptrdiff_t segment) {
  const ptrdiff_t *order = s->order, first = s->start[segment], last = s->start[segment + 1];
  const ptrdiff_t n = s->features;
  for (ptrdiff_t f = 0; f < n; f += SOFTMAX_FEATURES) {
    const ptrdiff_t width = FG_MIN(SOFTMAX_FEATURES, n - f);
    const ptrdiff_t chunk = SOFTMAX_BUFFER / width;
    T top[SOFTMAX_FEATURES], sum[SOFTMAX_FEATURES], buffer[SOFTMAX_BUFFER];
    for (ptrdiff_t k = 0; k < width; k++) {
      top[k] = -(T)INFINITY;
      sum[k] = 0;
    }
    for (ptrdiff_t e = first; e < last; e++) {
      M(fetch)(s->x + f, order, e, s->n_rows, n, width);
      const T *row = s->x + ROW(e) * n + f;
      for (ptrdiff_t k = 0; k < width; k++) top[k] = FG_MAX(row[k], top[k]);
    }
    for (ptrdiff_t e = first; e < last; e += chunk) {
      const ptrdiff_t rows = FG_MIN(chunk, last - e);
      for (ptrdiff_t i = 0; i < rows; i++) {
        const T *row = s->x + ROW(e + i) * n + f;
        for (ptrdiff_t k = 0; k < width; k++) buffer[i * width + k] = row[k] - top[k];
      }
      for (ptrdiff_t i = 0; i < rows * width; i++) buffer[i] = M(exp)(buffer[i]);
      T part[SOFTMAX_FEATURES] = {0};
      for (ptrdiff_t i = 0; i < rows; i++) {
        T *row = s->out + ROW(e + i) * n + f;
        for (ptrdiff_t k = 0; k < width; k++) {
          part[k] += buffer[i * width + k];
          row[k] = buffer[i * width + k];
        }
      }
      for (ptrdiff_t k = 0; k < width; k++) sum[k] += part[k];
    }
    for (ptrdiff_t k = 0; k < width; k++) sum[k] = 1 / sum[k];
    for (ptrdiff_t e = first; e < last; e++) {
      T *row = s->out + ROW(e) * n + f;
      for (ptrdiff_t k = 0; k < width; k++) row[k] *= sum[k];
    }
  }
}

static void M(segment_task)(void *context, ptrdiff_t i) {
  const M(segment_call) *s = context;
  ptrdiff_t first, last;
  segments_of(s->start, s->n_segments, s->rows_per_task, s->n_tasks, i, &first, &last);
  for (ptrdiff_t segment = first; segment < last; segment++) {
    if (s->kind == SUM)
      M(sum_segment)(s, segment);
    else if (s->kind == SOFTMAX)
      M(softmax_segment)(s, segment);
    else
      M(top_segment)(s, segment, s->kind == MAXIMUM ? 1 : -1);
  }
}

static void M(segment_reduce)(int kind, const T *x, const ptrdiff_t *start, const ptrdiff_t *order,
                              T *out, I *arg, ptrdiff_t n_segments, ptrdiff_t features) {
  const ptrdiff_t n_rows = start[n_segments];
  M(segment_call) s = {kind, x, start, order, out, arg, n_segments, features,
                       FG_MAX(1, TASK_ELEMENTS / features), 0, n_rows};
  s.n_tasks = FG_MAX(1, (n_rows + s.rows_per_task - 1) / s.rows_per_task);
  fg_parallel(s.n_tasks, M(segment_task), &s);
}

typedef struct {
  int back;
  T *x, *rows;
  const I *index;
  ptrdiff_t n, features, n_x;
} M(pick_call);

static void M(clear_task)(void *context, ptrdiff_t i) {
  const M(pick_call) *p = context;
  ptrdiff_t first = i * TASK_ELEMENTS;
  memset(p->x + first, 0, FG_MIN(TASK_ELEMENTS, p->n_x - first) * sizeof(T));
}

static void M(pick_task)(void *context, ptrdiff_t i) {
  const M(pick_call) *p = context;
  const ptrdiff_t n = p->features, step = FG_MAX(1, TASK_ELEMENTS / n);
  for (ptrdiff_t r = i * step; r < FG_MIN((i + 1) * step, p->n); r++)
    for (ptrdiff_t f = 0; f < n; f++) {
      const I where = p->index[r * n + f];
      if (p->back && where >= 0)
        p->x[where * n + f] = p->rows[r * n + f];
      else if (!p->back)
        p->rows[r * n + f] = where < 0 ? 0 : p->x[where * n + f];
    }
}

/* rows[r, f] = x[index[r, f], f], or back; x has n_x elements. */
static void M(segment_pick)(int back, T *x, const I *index, T *rows, ptrdiff_t n,
                            ptrdiff_t features, ptrdiff_t n_x) {
  M(pick_call) p = {back, x, rows, index, n, features, n_x};
  const ptrdiff_t step = FG_MAX(1, TASK_ELEMENTS / features);
  if (back) fg_parallel((n_x + TASK_ELEMENTS - 1) / TASK_ELEMENTS, M(clear_task), &p);
  fg_parallel((n + step - 1) / step, M(pick_task), &p);
}

#undef ROW
#undef AHEAD
