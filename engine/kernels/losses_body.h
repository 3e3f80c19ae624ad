/* Losses of class logits for element type T; included by losses.c once per type. */

typedef struct {
  const fg_truth *t;
  const T *x, *g;
  ptrdiff_t g_step;          /* 1: a gradient for each position, 0: one for all */
  double scale;
  T *loss, *gx;
  ptrdiff_t chunk, n_chunks; /* positions of a task, tasks of a batch entry */
  ptrdiff_t n_sums;
  double *sums;              /* (task, n_sums) */
  T *scratch;                /* (task, 3, classes, TILE) for overlaps */
} M(loss_call);

static void M(cut_positions)(M(loss_call) *m) {
  ptrdiff_t tiles = FG_MAX(4, TASK_ELEMENTS / m->t->classes / TILE);
  m->chunk = tiles * TILE;
  m->n_chunks = (m->t->positions + m->chunk - 1) / m->chunk;
}

/* Whether positions are handled one by one, each a long row of classes. */
FG_INLINE int M(by_row)(const fg_truth *t) { return t->channels_last && t->classes > FEW; }

/* Where the classes of position p of a batch entry stand in an array laid out as the logits. */
FG_INLINE ptrdiff_t M(place)(const fg_truth *t, ptrdiff_t entry, ptrdiff_t p) {
  return entry * t->positions * t->classes + p * (t->channels_last ? t->classes : 1);
}

/* A tile of an array laid out as the logits: in place, or turned into the buffer. */
FG_INLINE const T *M(tile_of)(const fg_truth *t, const T *a, ptrdiff_t entry, ptrdiff_t p,
                              ptrdiff_t width, T *buffer, ptrdiff_t *stride) {
  a += M(place)(t, entry, p);
  *stride = t->channels_last ? TILE : t->positions;
  if (!t->channels_last) return a;
  M(load_tile)(a, t->classes, width, buffer);
  return buffer;
}

FG_INLINE T M(class_weight)(const fg_truth *t, ptrdiff_t c) { return t->weight ? (T)t->weight[c] : 1; }

/* For each class c and position k of a tile; e is their place in arrays of the tile's stride. */
#define EACH(...) \
  if (row) \
    for (ptrdiff_t c = 0, k = 0; c < n; c++) { ptrdiff_t e = c; (void)k; __VA_ARGS__ } \
  else \
    for (ptrdiff_t c = 0; c < n; c++) \
      for (ptrdiff_t k = 0; k < width; k++) { ptrdiff_t e = c * stride + k; __VA_ARGS__ }

/* ------------------------------------------------------------------------------- cross-entropy */

/* Losses of a tile; adds their sum, that of the weights and the number of wrong classes to sums. */
static void M(entropy_tile)(const M(loss_call) *m, ptrdiff_t entry, ptrdiff_t p, ptrdiff_t width,
                            double *sums) {
  const fg_truth *t = m->t;
  ptrdiff_t n = t->classes, stride = 1, ignored;
  int row = M(by_row)(t), soft = t->size == 0;
  T buffer[FEW * TILE], truth[FEW * TILE], top[TILE], shift[TILE];
  double loss[TILE] = {0}, base = t->smoothing / (double)n, rest = 1 - t->smoothing;
  int32_t found[TILE];
  const T *x = m->x + M(place)(t, entry, p);
  if (row) {
    top[0] = M(row_top)(x, n);
    shift[0] = (T)log(M(row_sum)(x, NULL, n, top[0]));
  } else {
    x = M(tile_of)(t, m->x, entry, p, width, buffer, &stride);
    M(column_sums)(x, NULL, n, stride, width, top, shift);
    for (ptrdiff_t k = 0; k < width; k++) shift[k] = M(log)(shift[k]);
  }
  if (soft) {
    const T *q = (const T *)t->target + M(place)(t, entry, p);
    if (!row) q = M(tile_of)(t, t->target, entry, p, width, truth, &ignored);
    EACH(loss[k] += (double)(M(class_weight)(t, c) * ((T)base + (T)rest * q[e]) *
                             (shift[k] - (x[e] - top[k])));)
    sums[1] += (double)width;
  } else {
    sums[2] += (double)classes_of(t, entry * t->positions + p, width, found);
    if (base > 0)
      EACH(loss[k] += (double)((T)base * M(class_weight)(t, c) * (shift[k] - (x[e] - top[k])));)
    for (ptrdiff_t k = 0; k < width; k++) {
      ptrdiff_t c = found[k];
      if (c >= 0) {
        loss[k] += rest * (double)(M(class_weight)(t, c) * (shift[k] - (x[c * stride + k] - top[k])));
        sums[1] += (double)M(class_weight)(t, c);
      } else {
        loss[k] = 0;
      }
    }
  }
  for (ptrdiff_t k = 0; k < width; k++) {
    sums[0] += loss[k];
    if (m->loss) m->loss[entry * t->positions + p + k] = (T)loss[k];
  }
}

static void M(gradient_tile)(const M(loss_call) *m, ptrdiff_t entry, ptrdiff_t p, ptrdiff_t width) {
  const fg_truth *t = m->t;
  ptrdiff_t n = t->classes, stride = 1, ignored;
  int row = M(by_row)(t), soft = t->size == 0;
  T buffer[FEW * TILE], truth[FEW * TILE], made[FEW * TILE], top[TILE], sum[TILE];
  T g[TILE], factor[TILE], base = (T)(t->smoothing / (double)n), rest = (T)(1 - t->smoothing);
  int32_t found[TILE];
  const T *x = m->x + M(place)(t, entry, p), *q = (const T *)t->target + M(place)(t, entry, p);
  T *to = m->gx + M(place)(t, entry, p);
  if (row) {
    top[0] = M(row_top)(x, n);
    sum[0] = (T)M(row_sum)(x, to, n, top[0]);
  } else {
    x = M(tile_of)(t, m->x, entry, p, width, buffer, &stride);
    if (soft) q = M(tile_of)(t, t->target, entry, p, width, truth, &ignored);
    if (t->channels_last) to = made;
    M(column_sums)(x, to, n, stride, width, top, sum);
  }
  for (ptrdiff_t k = 0; k < width; k++) {
    g[k] = (T)((double)m->g[(entry * t->positions + p + k) * m->g_step] * m->scale);
    factor[k] = 0;
  }
  /* gx = g (Q softmax - q), where Q is the sum of the truth q over classes. */
  if (soft) {
    double all[TILE] = {0};
    EACH(all[k] += (double)(M(class_weight)(t, c) * (base + rest * q[e]));)
    for (ptrdiff_t k = 0; k < width; k++) factor[k] = g[k] * (T)all[k] / sum[k];
    EACH(to[e] = to[e] * factor[k] - g[k] * (M(class_weight)(t, c) * (base + rest * q[e]));)
  } else {
    double all = (double)n;
    if (t->weight)
      for (ptrdiff_t c = all = 0; c < n; c++) all += t->weight[c];
    classes_of(t, entry * t->positions + p, width, found);
    for (ptrdiff_t k = 0; k < width; k++)
      if (found[k] >= 0)
        factor[k] = g[k] * (rest * M(class_weight)(t, found[k]) + base * (T)all) / sum[k];
    if (base > 0) {
      EACH(to[e] = to[e] * factor[k] - g[k] * (base * M(class_weight)(t, c));)
    } else {
      EACH(to[e] *= factor[k];)
    }
    for (ptrdiff_t k = 0; k < width; k++)
      if (found[k] >= 0)
        to[found[k] * stride + k] -= g[k] * rest * M(class_weight)(t, found[k]);
      else
        for (ptrdiff_t c = 0; c < n; c++) to[c * stride + k] = 0;
  }
  if (to == made) M(store_tile)(made, n, width, m->gx + M(place)(t, entry, p));
}

static void M(entropy_task)(void *context, ptrdiff_t i) {
  const M(loss_call) *m = context;
  ptrdiff_t entry = i / m->n_chunks, first = i % m->n_chunks * m->chunk;
  ptrdiff_t last = FG_MIN(first + m->chunk, m->t->positions), step = M(by_row)(m->t) ? 1 : TILE;
  for (ptrdiff_t p = first; p < last; p += step)
    if (m->gx)
      M(gradient_tile)(m, entry, p, FG_MIN(step, last - p));
    else
      M(entropy_tile)(m, entry, p, FG_MIN(step, last - p), m->sums + i * m->n_sums);
}

/* loss: (batch, positions) or NULL; sums gets their sum and that of the weights. Returns the number
 * of classes out of range, or -1 without memory. */
static ptrdiff_t M(cross_entropy)(const fg_truth *t, const T *x, T *loss, double *sums) {
  M(loss_call) m = {.t = t, .x = x, .loss = loss, .n_sums = 3};
  M(cut_positions)(&m);
  ptrdiff_t n_tasks = t->batch * m.n_chunks;
  double wrong = 0;
  m.sums = calloc((size_t)(n_tasks * m.n_sums), sizeof(double));
  if (!m.sums) return -1;
  fg_parallel(n_tasks, M(entropy_task), &m);
  sums[0] = sums[1] = 0;
  for (ptrdiff_t i = 0; i < n_tasks; i++) {
    sums[0] += m.sums[i * 3];
    sums[1] += m.sums[i * 3 + 1];
    wrong += m.sums[i * 3 + 2];
  }
  free(m.sums);
  return (ptrdiff_t)wrong;
}

static void M(cross_entropy_gradient)(const fg_truth *t, const T *x, const T *g, ptrdiff_t g_step,
                                      double scale, T *gx) {
  M(loss_call) m = {.t = t, .x = x, .g = g, .g_step = g_step, .scale = scale, .gx = gx};
  M(cut_positions)(&m);
  fg_parallel(t->batch * m.n_chunks, M(entropy_task), &m);
}

/* ------------------------------------------------------------------------------------ overlaps */

/* One tile's share of the sums, but that of the probabilities, which are added to `likely`. */
static void M(overlap_tile)(const M(loss_call) *m, ptrdiff_t entry, ptrdiff_t p, ptrdiff_t width,
                            T *buffer, T *made, T *likely, double *sums) {
  const fg_truth *t = m->t;
  ptrdiff_t n = t->classes, stride;
  T top[TILE], sum[TILE], shift[TILE];
  int32_t found[TILE];
  const T *x = M(tile_of)(t, m->x, entry, p, width, buffer, &stride);
  M(column_sums)(x, NULL, n, stride, width, top, sum);
  for (ptrdiff_t k = 0; k < width; k++) {
    shift[k] = M(log)(sum[k]);
    sum[k] = 1 / sum[k];
  }
  for (ptrdiff_t c = 0; c < n; c++)
    for (ptrdiff_t k = 0; k < width; k++) {
      T probability = M(decay)(x[c * stride + k] - top[k]) * sum[k];
      made[c * TILE + k] = probability;
      likely[c * TILE + k] += probability;
    }
  sums[4 * n] += (double)classes_of(t, entry * t->positions + p, width, found);
  for (ptrdiff_t k = 0; k < width; k++) {
    ptrdiff_t c = found[k];
    if (c < 0) continue;
    sums[c] += (double)made[c * TILE + k];
    sums[2 * n + c] += 1;
    sums[3 * n + c] += (double)(shift[k] - (x[c * stride + k] - top[k]));
  }
}

static void M(overlap_task)(void *context, ptrdiff_t i) {
  const M(loss_call) *m = context;
  ptrdiff_t n = m->t->classes, entry = i / m->n_chunks, first = i % m->n_chunks * m->chunk;
  ptrdiff_t last = FG_MIN(first + m->chunk, m->t->positions);
  double *sums = m->sums + i * m->n_sums;
  T *buffer = m->scratch + i * 3 * n * TILE, *made = buffer + n * TILE, *likely = made + n * TILE;
  for (ptrdiff_t e = 0; e < n * TILE; e++) likely[e] = 0;
  for (ptrdiff_t p = first; p < last; p += TILE)
    M(overlap_tile)(m, entry, p, FG_MIN(TILE, last - p), buffer, made, likely, sums);
  for (ptrdiff_t c = 0; c < n; c++)
    for (ptrdiff_t k = 0; k < TILE; k++) sums[n + c] += (double)likely[c * TILE + k];
}

/* sums: (4, batch, classes), of p t, p, t and -t log p over positions. Returns the number of classes
 * out of range, or -1 without memory. */
static ptrdiff_t M(overlap_sums)(const fg_truth *t, const T *x, T *sums) {
  M(loss_call) m = {.t = t, .x = x, .n_sums = 4 * t->classes + 1};
  ptrdiff_t n = t->classes, wrong = -1;
  M(cut_positions)(&m);
  size_t n_tasks = (size_t)(t->batch * m.n_chunks);
  m.sums = calloc(n_tasks * (size_t)m.n_sums, sizeof(double));
  m.scratch = malloc(n_tasks * 3 * (size_t)n * TILE * sizeof(T));
  if (m.sums && m.scratch) {
    wrong = 0;
    fg_parallel((ptrdiff_t)n_tasks, M(overlap_task), &m);
    for (ptrdiff_t entry = 0; entry < t->batch; entry++)
      for (ptrdiff_t j = 0; j <= 4 * n; j++) {
        double sum = 0;
        for (ptrdiff_t i = 0; i < m.n_chunks; i++)
          sum += m.sums[(entry * m.n_chunks + i) * m.n_sums + j];
        if (j < 4 * n)
          sums[(j / n * t->batch + entry) * n + j % n] = (T)sum;
        else
          wrong += (ptrdiff_t)sum;
      }
  }
  free(m.scratch);
  free(m.sums);
  return wrong;
}

static void M(overlap_gradient_task)(void *context, ptrdiff_t i) {
  const M(loss_call) *m = context;
  const fg_truth *t = m->t;
  ptrdiff_t n = t->classes, entry = i / m->n_chunks, first = i % m->n_chunks * m->chunk, stride;
  ptrdiff_t last = FG_MIN(first + m->chunk, t->positions), part = t->batch * n;
  T *buffer = m->scratch + i * 3 * n * TILE, *made = buffer + n * TILE;
  const T *overlap = m->g + entry * n, *likely = overlap + part, *surprise = overlap + 3 * part;
  T top[TILE], sum[TILE], constant[TILE];
  int32_t found[TILE];
  for (ptrdiff_t p = first; p < last; p += TILE) {
    ptrdiff_t width = FG_MIN(TILE, last - p);
    const T *x = M(tile_of)(t, m->x, entry, p, width, buffer, &stride);
    T *to = t->channels_last ? made : m->gx + M(place)(t, entry, p);
    classes_of(t, entry * t->positions + p, width, found);
    M(softmax_columns)(x, to, n, stride, width, top, sum);
    for (ptrdiff_t k = 0; k < width; k++)
      constant[k] = surprise[found[k]] - overlap[found[k]] * to[found[k] * stride + k];
    for (ptrdiff_t c = 0; c < n; c++)
      for (ptrdiff_t k = 0; k < width; k++) constant[k] -= likely[c] * to[c * stride + k];
    for (ptrdiff_t k = 0; k < width; k++)  /* the terms of the true class, before its p is gone */
      top[k] = to[found[k] * stride + k] * overlap[found[k]] - surprise[found[k]];
    for (ptrdiff_t c = 0; c < n; c++)
      for (ptrdiff_t k = 0; k < width; k++) to[c * stride + k] *= likely[c] + constant[k];
    for (ptrdiff_t k = 0; k < width; k++) to[found[k] * stride + k] += top[k];
    if (to == made) M(store_tile)(made, n, width, m->gx + M(place)(t, entry, p));
  }
}

/* g: (4, batch, classes); classes are known to be in range. Returns -1 without memory. */
static int M(overlap_sums_gradient)(const fg_truth *t, const T *x, const T *g, T *gx) {
  M(loss_call) m = {.t = t, .x = x, .g = g, .gx = gx};
  M(cut_positions)(&m);
  ptrdiff_t n_tasks = t->batch * m.n_chunks;
  m.scratch = malloc((size_t)(n_tasks * 3 * t->classes * TILE) * sizeof(T));
  if (!m.scratch) return -1;
  fg_parallel(n_tasks, M(overlap_gradient_task), &m);
  free(m.scratch);
  return 0;
}
