/* Distances and nearest neighbors for element type T; included by neighbors.c once per type. */

typedef struct {
  int squared, include_self;
  const T *x, *y;
  const uint8_t *mask;
  T *out;
  int64_t *index;
  const ptrdiff_t *offsets; /* of clouds of unequal size; NULL if each has n points */
  ptrdiff_t batch, n, m, dims, k, n_tiles, n_rows, blocks, blocks_per_task;
} M(points_call);

#define COLUMNS (8 * LANES)

/* Squared distances of row x to w vectors of points, whose coordinates are COLUMNS apart. */
FG_INLINE void M(distances)(const T *x, const T *points, ptrdiff_t dims, int w, T *out, int more) {
  V sum[8];
  for (int v = 0; v < w; v++) sum[v] = more ? *(const V *)(out + v * LANES) : (V){0};
  for (ptrdiff_t d = 0; d < dims; d++)
    for (int v = 0; v < w; v++) {
      V difference = x[d] - *(const V *)(points + d * COLUMNS + v * LANES);
      sum[v] += difference * difference;
    }
  for (int v = 0; v < w; v++) *(V *)(out + v * LANES) = sum[v];
}

/* A tile of distances: some rows of x, COLUMNS points of y, which are transposed first. */
static void M(cdist_task)(void *context, ptrdiff_t i) {
  const M(points_call) *s = context;
  const ptrdiff_t tile = i % s->n_tiles, row_block = i / s->n_tiles % s->n_rows;
  const ptrdiff_t b = i / s->n_tiles / s->n_rows, dims = s->dims;
  const ptrdiff_t first = row_block * ROWS, last = FG_MIN(first + ROWS, s->n);
  const ptrdiff_t start = tile * COLUMNS, width = FG_MIN(COLUMNS, s->m - start);
  const T *x = s->x + b * s->n * dims, *y = s->y + (b * s->m + start) * dims;
  T *out = s->out + b * s->n * s->m + start;
  T points[DIMS * COLUMNS], found[ROWS * COLUMNS];
  memset(points, 0, sizeof points);
  for (ptrdiff_t d = 0; d == 0 || d < dims; d += DIMS) {
    const ptrdiff_t count = FG_MIN(DIMS, dims - d);
    for (ptrdiff_t j = 0; j < width; j++)
      for (ptrdiff_t c = 0; c < count; c++) points[c * COLUMNS + j] = y[j * dims + d + c];
    for (ptrdiff_t r = first; r < last; r++)
      M(distances)(x + r * dims + d, points, count, 8, found + (r - first) * COLUMNS, d > 0);
  }
  for (ptrdiff_t r = first; r < last; r++)
    for (ptrdiff_t j = 0; j < width; j++) {
      T square = found[(r - first) * COLUMNS + j];
      out[r * s->m + j] = s->squared ? square : M(sqrt)(square);
    }
}

static void M(cdist)(int squared, const T *x, const T *y, T *out, ptrdiff_t batch, ptrdiff_t n,
                     ptrdiff_t m, ptrdiff_t dims) {
  M(points_call) s = {.squared = squared, .x = x, .y = y, .out = out, .batch = batch, .n = n,
                      .m = m, .dims = dims, .n_tiles = (m + COLUMNS - 1) / COLUMNS,
                      .n_rows = (n + ROWS - 1) / ROWS};
  fg_parallel(batch * s.n_rows * s.n_tiles, M(cdist_task), &s);
}

/* Squared distances from LANES query points, transposed, to four points, or to one. */
FG_INLINE void M(from_queries)(const T *query, const T *points, ptrdiff_t stride, ptrdiff_t dims,
                               int several, T *out, int more) {
  V sum[4];
  for (int j = 0; j < several; j++) sum[j] = more ? *(const V *)(out + j * LANES) : (V){0};
  for (ptrdiff_t d = 0; d < dims; d++) {
    V q = *(const V *)(query + d * LANES);
    for (int j = 0; j < several; j++) {
      V difference = q - points[j * stride + d];
      sum[j] += difference * difference;
    }
  }
  for (int j = 0; j < several; j++) *(V *)(out + j * LANES) = sum[j];
}

#define BLEND(mask, a, b) (((a) & (mask)) | ((b) & ~(mask)))

/* The k nearest points of LANES queries, each in its own lane, in the cloud of n points from row
 * begin; neighbors are counted from row zero. Their lists are kept sorted: a point that is nearer
 * than an entry moves it down, so of equal ones the first seen stays in front. */
static void M(knn_block)(const M(points_call) *s, ptrdiff_t begin, ptrdiff_t n, ptrdiff_t zero,
                         ptrdiff_t first) {
  const ptrdiff_t dims = s->dims, k = s->k, width = FG_MIN(LANES, n - first);
  const T *x = s->x + begin * dims;
  const uint8_t *mask = s->mask ? s->mask + begin : NULL;
  T query[DIMS * LANES], squares[CANDIDATES * LANES];
  V nearest[MAX_NEIGHBORS];
  VI place[MAX_NEIGHBORS];
  memset(query, 0, sizeof query);
  for (ptrdiff_t p = 0; p < k; p++) {
    nearest[p] = (V){0} + (T)INFINITY;
    place[p] = (VI){0} - 1;
  }
  for (ptrdiff_t start = 0; start < n; start += CANDIDATES) {
    const ptrdiff_t count = FG_MIN(CANDIDATES, n - start);
    for (ptrdiff_t d = 0; d == 0 || d < dims; d += DIMS) {
      const ptrdiff_t several = FG_MIN(DIMS, dims - d);
      const T *points = x + start * dims + d;
      for (ptrdiff_t l = 0; l < width; l++)
        for (ptrdiff_t c = 0; c < several; c++)
          query[c * LANES + l] = x[(first + l) * dims + d + c];
      ptrdiff_t j = 0;
      for (; j + 4 <= count; j += 4)
        M(from_queries)(query, points + j * dims, dims, several, 4, squares + j * LANES, d > 0);
      for (; j < count; j++)
        M(from_queries)(query, points + j * dims, dims, several, 1, squares + j * LANES, d > 0);
    }
    if (!s->include_self)
      for (ptrdiff_t l = 0; l < width; l++)
        if (first + l >= start && first + l < start + count)
          squares[(first + l - start) * LANES + l] = (T)INFINITY;
    for (ptrdiff_t j = 0; j < count; j++) {
      if (mask && !mask[start + j]) continue;
      const V v = *(const V *)(squares + j * LANES);
      const VI at = (VI){0} + (I)(begin - zero + start + j);
      VI nearer = v < nearest[k - 1];
      for (ptrdiff_t p = k - 1; p > 0; p--) {
        const VI above = v < nearest[p - 1];
        nearest[p] = (V)BLEND(above, (VI)nearest[p - 1], BLEND(nearer, (VI)v, (VI)nearest[p]));
        place[p] = BLEND(above, place[p - 1], BLEND(nearer, at, place[p]));
        nearer = above;
      }
      nearest[0] = (V)BLEND(nearer, (VI)v, (VI)nearest[0]);
      place[0] = BLEND(nearer, at, place[0]);
    }
  }
  for (ptrdiff_t l = 0; l < width; l++) {
    int64_t *index = s->index + (begin + first + l) * k;
    const int present = !mask || mask[first + l];
    for (ptrdiff_t p = 0; p < k; p++) index[p] = present ? place[p][l] : -1;
  }
}

static void M(knn_task)(void *context, ptrdiff_t i) {
  const M(points_call) *s = context;
  const ptrdiff_t end = FG_MIN((i + 1) * s->blocks_per_task, s->batch * s->blocks);
  for (ptrdiff_t block = i * s->blocks_per_task; block < end; block++) {
    const ptrdiff_t begin = block / s->blocks * s->n;
    M(knn_block)(s, begin, s->n, begin, block % s->blocks * LANES);
  }
}

/* The clouds of a task where they are of unequal size; neighbors are rows of x. */
static void M(knn_ragged_task)(void *context, ptrdiff_t i) {
  const M(points_call) *s = context;
  const ptrdiff_t end = FG_MIN((i + 1) * s->blocks_per_task, s->batch);
  for (ptrdiff_t b = i * s->blocks_per_task; b < end; b++) {
    const ptrdiff_t begin = s->offsets[b], n = s->offsets[b + 1] - begin;
    for (ptrdiff_t first = 0; first < n; first += LANES) M(knn_block)(s, begin, n, 0, first);
  }
}

static void M(knn_ragged)(const T *x, const ptrdiff_t *offsets, int64_t *index, ptrdiff_t batch,
                          ptrdiff_t dims, ptrdiff_t k, int include_self) {
  M(points_call) s = {.include_self = include_self, .x = x, .offsets = offsets, .index = index,
                      .batch = batch, .dims = dims, .k = k, .blocks_per_task = CLOUDS};
  fg_parallel((batch + CLOUDS - 1) / CLOUDS, M(knn_ragged_task), &s);
}

static void M(knn)(const T *x, const uint8_t *mask, int64_t *index, ptrdiff_t batch, ptrdiff_t n,
                   ptrdiff_t dims, ptrdiff_t k, int include_self) {
  M(points_call) s = {.include_self = include_self, .x = x, .mask = mask, .index = index,
                      .batch = batch, .n = n, .dims = dims, .k = k,
                      .blocks = (n + LANES - 1) / LANES, .blocks_per_task = FG_MAX(1, 2048 / n)};
  fg_parallel((batch * s.blocks + s.blocks_per_task - 1) / s.blocks_per_task, M(knn_task), &s);
}

#undef COLUMNS
#undef BLEND
