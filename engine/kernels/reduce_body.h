/* The reductions for element type T; included by reduce.c once per type. */

static double M(sum_run)(const T *x, ptrdiff_t n) {
  V s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
  ptrdiff_t i = 0;
  for (; i + 4 * LANES <= n; i += 4 * LANES) {
    s0 += *(const V *)(x + i);
    s1 += *(const V *)(x + i + LANES);
    s2 += *(const V *)(x + i + 2 * LANES);
    s3 += *(const V *)(x + i + 3 * LANES);
  }
  s0 = (s0 + s1) + (s2 + s3);
  double total = 0;
  for (ptrdiff_t k = 0; k < LANES; k++) total += (double)s0[k];
  for (; i < n; i++) total += (double)x[i];
  return total;
}

/* One value from n adjacent elements, n >= 1. */
static double M(reduce_flat)(int kind, const T *x, ptrdiff_t n) {
  if (kind == SUM) {
    double total = 0;
    for (ptrdiff_t i = 0; i < n; i += RUN) total += M(sum_run)(x + i, FG_MIN(RUN, n - i));
    return total;
  }
  T m[8];
  for (int k = 0; k < 8; k++) m[k] = x[k < n ? k : 0];
  ptrdiff_t i = 0;
  if (kind == MAXIMUM) {
    for (; i + 8 <= n; i += 8)
      for (int k = 0; k < 8; k++) { T y = x[i + k]; m[k] = FG_PICK_MAX(m[k], y); }
    for (; i < n; i++) m[0] = FG_PICK_MAX(m[0], x[i]);
    for (int k = 1; k < 8; k++) m[0] = m[0] != m[0] ? m[0] : FG_PICK_MAX(m[0], m[k]);
  } else {
    for (; i + 8 <= n; i += 8)
      for (int k = 0; k < 8; k++) { T y = x[i + k]; m[k] = FG_PICK_MIN(m[k], y); }
    for (; i < n; i++) m[0] = FG_PICK_MIN(m[0], x[i]);
    for (int k = 1; k < 8; k++) m[0] = m[0] != m[0] ? m[0] : FG_PICK_MIN(m[0], m[k]);
  }
  return (double)m[0];
}

typedef struct {
  int kind;
  const T *x;
  T *out;
  double *partial;
  ptrdiff_t outer, n, inner, chunk, n_chunks, rows;
} M(reduction);

/* inner == 1, several outputs: a task makes `rows` of them. */
static void M(rows_task)(void *context, ptrdiff_t i) {
  M(reduction) *r = context;
  for (ptrdiff_t o = i * r->rows; o < FG_MIN((i + 1) * r->rows, r->outer); o++)
    r->out[o] = (T)M(reduce_flat)(r->kind, r->x + o * r->n, r->n);
}

/* inner == 1, long rows: a task makes one chunk's partial result. */
static void M(chunk_task)(void *context, ptrdiff_t i) {
  M(reduction) *r = context;
  ptrdiff_t o = i / r->n_chunks, first = i % r->n_chunks * r->chunk;
  r->partial[i] = M(reduce_flat)(r->kind, r->x + o * r->n + first, FG_MIN(r->chunk, r->n - first));
}

/* Sum of rows of a few elements each: several rows make one long row, which vectorizes. */
static void M(sum_short_rows)(const T *x, ptrdiff_t rows, ptrdiff_t inner, double *total) {
  const ptrdiff_t together = INNER_TILE / inner, width = together * inner;
  ptrdiff_t j = 0;
  T run[INNER_TILE];
  for (ptrdiff_t c = 0; c < inner; c++) total[c] = 0;
  while (j < rows) {
    for (ptrdiff_t k = 0; k < width; k++) run[k] = 0;
    ptrdiff_t stop = FG_MIN(j + 64 * together, rows);
    for (; j + together <= stop; j += together)
      for (ptrdiff_t k = 0; k < width; k++) run[k] += x[j * inner + k];
    for (; j < stop; j++)
      for (ptrdiff_t c = 0; c < inner; c++) run[c] += x[j * inner + c];
    for (ptrdiff_t k = 0; k < width; k++) total[k % inner] += (double)run[k];
  }
}

/* inner > 1: a task makes the partial results of a chunk of reduced rows, tile by tile of inner. */
static void M(tile_task)(void *context, ptrdiff_t i) {
  M(reduction) *r = context;
  ptrdiff_t o = i / r->n_chunks, first = i % r->n_chunks * r->chunk;
  ptrdiff_t last = FG_MIN(first + r->chunk, r->n);
  const T *start = r->x + (o * r->n + first) * r->inner;
  if (r->kind == SUM && r->inner <= INNER_TILE / 4) {
    M(sum_short_rows)(start, last - first, r->inner, r->partial + i * r->inner);
    return;
  }
  for (ptrdiff_t c = 0; c < r->inner; c += INNER_TILE) {
    ptrdiff_t width = FG_MIN(INNER_TILE, r->inner - c), rows = last - first;
    const T *x = start + c;
    double *total = r->partial + i * r->inner + c;
    T run[INNER_TILE];
    if (r->kind == SUM) {
      for (ptrdiff_t k = 0; k < width; k++) total[k] = 0;
      for (ptrdiff_t j = 0; j < rows; j += 64) {
        for (ptrdiff_t k = 0; k < width; k++) run[k] = 0;
        for (ptrdiff_t l = j; l < FG_MIN(j + 64, rows); l++)
          for (ptrdiff_t k = 0; k < width; k++) run[k] += x[l * r->inner + k];
        for (ptrdiff_t k = 0; k < width; k++) total[k] += (double)run[k];
      }
      continue;
    }
    for (ptrdiff_t k = 0; k < width; k++) run[k] = x[k];
    for (ptrdiff_t j = 1; j < rows; j++)
      for (ptrdiff_t k = 0; k < width; k++) {
        T y = x[j * r->inner + k], m = run[k];
        T picked = r->kind == MAXIMUM ? (y > m ? y : m) : (y < m ? y : m);
        run[k] = y != y ? y : m != m ? m : picked;
      }
    for (ptrdiff_t k = 0; k < width; k++) total[k] = (double)run[k];
  }
}

static double M(combine)(int kind, double m, double x) {
  if (kind == SUM) return m + x;
  if (m != m) return m;
  return kind == MAXIMUM ? FG_PICK_MAX(m, x) : FG_PICK_MIN(m, x);
}

/* x: (outer, n, inner) dense; out: (outer, inner) dense. n >= 1. Returns -1 without memory. */
int FG(M(reduce))(int kind, const T *x, T *out, ptrdiff_t outer, ptrdiff_t n, ptrdiff_t inner) {
  M(reduction) r = {.kind = kind, .x = x, .out = out, .outer = outer, .n = n, .inner = inner};
  if (inner == 1 && n <= TASK_ELEMENTS) {
    r.rows = FG_MAX(1, TASK_ELEMENTS / 2 / n);
    fg_parallel((outer + r.rows - 1) / r.rows, M(rows_task), &r);
    return 0;
  }
  r.chunk = FG_MAX(64, TASK_ELEMENTS / inner);
  r.n_chunks = (n + r.chunk - 1) / r.chunk;
  r.partial = malloc(sizeof(double) * (size_t)(outer * r.n_chunks * inner));
  if (!r.partial) return -1;
  fg_parallel(outer * r.n_chunks, inner == 1 ? M(chunk_task) : M(tile_task), &r);
  for (ptrdiff_t o = 0; o < outer; o++)
    for (ptrdiff_t k = 0; k < inner; k++) {
      const double *p = r.partial + o * r.n_chunks * inner + k;
      double total = p[0];
      for (ptrdiff_t c = 1; c < r.n_chunks; c++) total = M(combine)(kind, total, p[c * inner]);
      out[o * inner + k] = (T)total;
    }
  free(r.partial);
  return 0;
}
