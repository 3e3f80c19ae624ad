/* The reductions for element type T; included by reduce.c once per type. */

#define N_VECTORS (SUM_LANES / LANES)

/* m or x, whichever is larger (smaller); NaN if either is. */
FG_INLINE T M(pick)(const int largest, T m, T x) {
  return ((largest ? x > m : x < m) | (x != x)) ? x : m;
}

FG_INLINE V M(pick_vector)(const int largest, V m, V x) {
  VI take = (VI)(largest ? x > m : x < m) | (VI)(x != x);
  return (V)((take & (VI)x) | (~take & (VI)m));
}

FG_INLINE double M(pick_double)(const int kind, double m, double x) {
  return ((kind == FG_MAX ? x > m : x < m) & (m == m)) | (x != x) ? x : m;
}

typedef union { fg_vf64 v[SUM_LANES / FG_LANES_F64]; double t[SUM_LANES]; } M(double_lanes);
typedef union { V v[N_VECTORS]; T t[SUM_LANES]; } M(lanes);

/* Sum of n elements, `step` from one to the next. */
FG_INLINE double M(sum_row)(const T *x, ptrdiff_t n, const ptrdiff_t step) {
  double total = 0;
  M(double_lanes) lanes = {0};
  if (n < SUM_LANES) {
    for (ptrdiff_t i = 0; i < n; i++) total += (double)x[i * step];
    return total;
  }
  for (ptrdiff_t first = 0; first < n; first += RUN) {
    const ptrdiff_t size = FG_MIN(RUN, n - first);
    const T *run = x + first * step;
    M(lanes) s = {0};
    ptrdiff_t i = 0;
    if (step == 1) {
      for (; i + SUM_LANES <= size; i += SUM_LANES)
        for (int k = 0; k < N_VECTORS; k++) s.v[k] += *(const V *)(run + i + k * LANES);
    } else {
      for (; i + SUM_LANES <= size; i += SUM_LANES)
        for (int k = 0; k < SUM_LANES; k++) s.t[k] += run[(i + k) * step];
    }
    for (; i < size; i++) s.t[i % SUM_LANES] += run[i * step];
    for (int k = 0; k < SUM_LANES; k++) lanes.t[k] += (double)s.t[k];
  }
  for (int k = 0; k < SUM_LANES; k++) total += lanes.t[k];
  return total;
}

FG_INLINE double M(product_row)(const T *x, ptrdiff_t n, const ptrdiff_t step) {
  double total = 1;
  M(double_lanes) lanes;
  ptrdiff_t i = 0;
  for (int k = 0; k < SUM_LANES; k++) lanes.t[k] = 1;
  if (step == 1)
    for (; i + SUM_LANES <= n; i += SUM_LANES)
      for (ptrdiff_t k = 0; k < SUM_LANES / FG_LANES_F64; k++)
        lanes.v[k] *= __builtin_convertvector(*(const H *)(x + i + k * FG_LANES_F64), fg_vf64);
  for (; i < n; i++) lanes.t[i % SUM_LANES] *= (double)x[i * step];
  for (int k = 0; k < SUM_LANES; k++) total *= lanes.t[k];
  return total;
}

FG_INLINE T M(extreme_row)(const int largest, const T *x, ptrdiff_t n, const ptrdiff_t step) {
  T m = x[0];
  ptrdiff_t i = 0;
  if (step == 1 && n >= 4 * LANES) {
    V a = *(const V *)x, b = a, c = a, d = a;
    for (; i + 4 * LANES <= n; i += 4 * LANES) {
      a = M(pick_vector)(largest, a, *(const V *)(x + i));
      b = M(pick_vector)(largest, b, *(const V *)(x + i + LANES));
      c = M(pick_vector)(largest, c, *(const V *)(x + i + 2 * LANES));
      d = M(pick_vector)(largest, d, *(const V *)(x + i + 3 * LANES));
    }
    /* The first of a pair may be NaN, which pick passes on too. */
    a = M(pick_vector)(largest, M(pick_vector)(largest, a, b), M(pick_vector)(largest, c, d));
    for (int k = 0; k < LANES; k++) m = M(pick)(largest, m, a[k]);
  }
  for (; i < n; i++) m = M(pick)(largest, m, x[i * step]);
  return m;
}

static double M(reduce_row)(int kind, const T *x, ptrdiff_t n, ptrdiff_t step) {
  switch (kind) {
    case FG_MAX: return step == 1 ? M(extreme_row)(1, x, n, 1) : M(extreme_row)(1, x, n, step);
    case FG_MIN: return step == 1 ? M(extreme_row)(0, x, n, 1) : M(extreme_row)(0, x, n, step);
    case FG_PROD: return step == 1 ? M(product_row)(x, n, 1) : M(product_row)(x, n, step);
    default: return step == 1 ? M(sum_row)(x, n, 1) : M(sum_row)(x, n, step);
  }
}

/* Sums of n rows of `width` <= TILE columns, by column. */
static void M(sum_columns)(const T *x, ptrdiff_t n, ptrdiff_t step, ptrdiff_t width, double *total) {
  T s[SUM_LANES * TILE];
  double lanes[SUM_LANES * TILE];
  const ptrdiff_t all = FG_MIN(n, SUM_LANES) * width;
  for (ptrdiff_t first = 0; first < n; first += RUN) {
    const ptrdiff_t last = FG_MIN(first + RUN, n);
    memset(s, 0, sizeof(T) * (size_t)all);
    ptrdiff_t j = first;
    /* Four blocks of rows for each visit of the accumulators, added in order. */
    for (const ptrdiff_t block = SUM_LANES * step; j + 4 * SUM_LANES <= last; j += 4 * SUM_LANES) {
      const int dense = step == width;
      const ptrdiff_t size = dense ? SUM_LANES * width : width;
      for (ptrdiff_t l = 0; l < (dense ? 1 : SUM_LANES); l++) {
        const T *a = x + (j + l) * step;
        T *to = s + l * width;
        for (ptrdiff_t k = 0; k < size; k++)
          to[k] = (((to[k] + a[k]) + a[k + block]) + a[k + 2 * block]) + a[k + 3 * block];
      }
    }
    for (; j < last; j++)
      for (ptrdiff_t c = 0; c < width; c++) s[(j - first) % SUM_LANES * width + c] += x[j * step + c];
    if (!first) for (ptrdiff_t k = 0; k < all; k++) lanes[k] = (double)s[k];
    else for (ptrdiff_t k = 0; k < all; k++) lanes[k] += (double)s[k];
  }
  for (ptrdiff_t c = 0; c < width; c++) total[c] = 0;
  for (ptrdiff_t k = 0; k < all; k += width)
    for (ptrdiff_t c = 0; c < width; c++) total[c] += lanes[k + c];
}

static void M(product_columns)(const T *x, ptrdiff_t n, ptrdiff_t step, ptrdiff_t width, double *total) {
  double lanes[SUM_LANES * TILE];
  const ptrdiff_t all = FG_MIN(n, SUM_LANES) * width;
  for (ptrdiff_t k = 0; k < all; k++) lanes[k] = 1;
  for (ptrdiff_t j = 0; j < n; j++)
    for (ptrdiff_t c = 0; c < width; c++)
      lanes[j % SUM_LANES * width + c] *= (double)x[j * step + c];
  for (ptrdiff_t c = 0; c < width; c++) total[c] = 1;
  for (ptrdiff_t k = 0; k < all; k += width)
    for (ptrdiff_t c = 0; c < width; c++) total[c] *= lanes[k + c];
}

FG_INLINE void M(extreme_columns)(const int largest, const T *x, ptrdiff_t n, ptrdiff_t step,
                                  ptrdiff_t width, double *out) {
  /* Dense rows are taken several at a time: a few columns do not fill a vector. */
  T m[TILE];
  const ptrdiff_t together = step == width ? FG_MIN(TILE / width, n) : 1, all = together * width;
  ptrdiff_t j = together;
  for (ptrdiff_t k = 0; k < all; k++) m[k] = x[k];
  for (; j + together <= n; j += together)
    for (ptrdiff_t k = 0; k < all; k++) m[k] = M(pick)(largest, m[k], x[j * step + k]);
  for (; j < n; j++)
    for (ptrdiff_t c = 0; c < width; c++) m[c] = M(pick)(largest, m[c], x[j * step + c]);
  for (ptrdiff_t k = width; k < all; k++) m[k % width] = M(pick)(largest, m[k % width], m[k]);
  for (ptrdiff_t c = 0; c < width; c++) out[c] = (double)m[c];
}

static void M(reduce_columns)(int kind, const T *x, ptrdiff_t n, ptrdiff_t step, ptrdiff_t width,
                              double *out) {
  if (kind == FG_MAX) M(extreme_columns)(1, x, n, step, width, out);
  else if (kind == FG_MIN) M(extreme_columns)(0, x, n, step, width, out);
  else if (kind == FG_PROD) M(product_columns)(x, n, step, width, out);
  else M(sum_columns)(x, n, step, width, out);
}

/* Whether one of `size` elements is wanted: is the extreme, or NaN where that is NaN. */
FG_INLINE int M(has)(const T *x, ptrdiff_t size, ptrdiff_t step, T wanted) {
  I found = 0;
  if (wanted != wanted) for (ptrdiff_t k = 0; k < size; k++) found |= x[k * step] != x[k * step];
  else for (ptrdiff_t k = 0; k < size; k++) found |= x[k * step] == wanted;
  return found != 0;
}

/* Position of the first extreme of a row: the extreme chunk by chunk, then a look for it in the
 * first chunk that has it, which is in the cache. */
static ptrdiff_t M(find_row)(int kind, const T *x, ptrdiff_t n, ptrdiff_t step) {
  const int code = kind == FG_ARGMAX ? FG_MAX : FG_MIN;
  T best = x[0];
  ptrdiff_t at = 0;
  for (ptrdiff_t first = 0; first < n && best == best; first += CHUNK) {
    T m = (T)M(reduce_row)(code, x + first * step, FG_MIN(CHUNK, n - first), step);
    if ((code == FG_MAX ? m > best : m < best) || m != m) {
      best = m;
      at = first;
    }
  }
  for (; at + 64 <= n; at += 64)
    if (step == 1 ? M(has)(x + at, 64, 1, best) : M(has)(x + at * step, 64, step, best)) break;
  while (best == best ? x[at * step] != best : x[at * step] == x[at * step]) at++;
  return at;
}

FG_INLINE void M(find_columns)(const int largest, const T *x, ptrdiff_t n, ptrdiff_t step,
                               ptrdiff_t width, int64_t *out) {
  T m[TILE];
  I at[TILE];
  for (ptrdiff_t c = 0; c < width; c++) out[c] = 0, m[c] = x[c];
  /* The position within a chunk fits the integer as wide as an element. */
  for (ptrdiff_t first = 0; first < n; first += CHUNK) {
    for (ptrdiff_t c = 0; c < width; c++) at[c] = -1;
    for (ptrdiff_t j = first; j < FG_MIN(first + CHUNK, n); j++) {
      const T *row = x + j * step;
      const I position = (I)(j - first);
      for (ptrdiff_t c = 0; c < width; c++) {
        const T y = row[c], b = m[c];
        const int take = (largest ? y > b : y < b) | ((y != y) & (b == b));
        m[c] = take ? y : b;
        at[c] = take ? position : at[c];
      }
    }
    for (ptrdiff_t c = 0; c < width; c++) out[c] = at[c] < 0 ? out[c] : first + at[c];
  }
}

typedef struct {
  const fg_reduction *r;
  double *partial;   /* (outer, segment, chunk, inner), or NULL: each output has one part */
  double divisor;
  ptrdiff_t n_units, together, segments, chunks, tiles;
} M(job);

/* Units i * together …: a unit is one tile of one chunk of one segment of one outer index. */
static void M(reduce_task)(void *context, ptrdiff_t i) {
  const M(job) *job = context;
  const fg_reduction *r = job->r;
  double result[TILE];
  for (ptrdiff_t u = i * job->together; u < FG_MIN((i + 1) * job->together, job->n_units); u++) {
    ptrdiff_t part = u, column = 0, first = 0, offset, n = r->n;
    if (job->tiles > 1) {
      column = part % job->tiles * TILE;
      part /= job->tiles;
    }
    ptrdiff_t outer = part;
    if (job->partial) {
      first = outer % job->chunks * CHUNK;
      outer /= job->chunks;
      n = FG_MIN(CHUNK, n - first);
    }
    offset = column + first * r->step;
    if (job->segments > 1) {
      offset += offset_of(outer % job->segments, r->n_segments, r->segment_shape, r->segment_stride);
      outer /= job->segments;
    }
    const T *x = (const T *)r->x + offset + offset_of(outer, r->n_outer, r->outer_shape, r->outer_stride);
    const ptrdiff_t width = FG_MIN(TILE, r->inner - column), to = part * r->inner + column;
    if (r->kind == FG_ARGMAX || r->kind == FG_ARGMIN) {
      int64_t *out = (int64_t *)r->out + to;
      if (r->inner == 1) *out = M(find_row)(r->kind, x, n, r->step);
      else if (r->kind == FG_ARGMAX) M(find_columns)(1, x, n, r->step, width, out);
      else M(find_columns)(0, x, n, r->step, width, out);
      continue;
    }
    double *made = job->partial ? job->partial + to : result;
    if (r->inner == 1) *made = M(reduce_row)(r->kind, x, n, r->step);
    else M(reduce_columns)(r->kind, x, n, r->step, width, made);
    if (job->partial) continue;
    T *out = (T *)r->out + to;
    for (ptrdiff_t c = 0; c < width; c++) out[c] = (T)(made[c] / job->divisor);
  }
}

/* The parts of each output, in order. */
static void M(combine)(const M(job) *job, ptrdiff_t outer) {
  const fg_reduction *r = job->r;
  const ptrdiff_t parts = job->segments * job->chunks, inner = r->inner;
  for (ptrdiff_t o = 0; o < outer; o++) {
    double *total = job->partial + o * parts * inner;
    for (ptrdiff_t p = 1; p < parts; p++) {
      const double *part = total + p * inner;
      if (r->kind == FG_PROD) for (ptrdiff_t c = 0; c < inner; c++) total[c] *= part[c];
      else if (r->kind <= FG_MEAN) for (ptrdiff_t c = 0; c < inner; c++) total[c] += part[c];
      else for (ptrdiff_t c = 0; c < inner; c++) total[c] = M(pick_double)(r->kind, total[c], part[c]);
    }
    for (ptrdiff_t c = 0; c < inner; c++) ((T *)r->out)[o * inner + c] = (T)(total[c] / job->divisor);
  }
}

static int M(reduce)(const fg_reduction *r) {
  M(job) job = {.r = r, .divisor = 1, .chunks = 1};
  const int whole = r->kind == FG_ARGMAX || r->kind == FG_ARGMIN;
  const ptrdiff_t outer = product(r->n_outer, r->outer_shape);
  job.segments = product(r->n_segments, r->segment_shape);
  if (!whole) job.chunks = (r->n + CHUNK - 1) / CHUNK;
  job.tiles = (r->inner + TILE - 1) / TILE;
  if (r->kind == FG_MEAN) job.divisor = (double)(job.segments * r->n);
  const ptrdiff_t parts = outer * job.segments * job.chunks;
  if (job.segments * job.chunks > 1) {
    job.partial = malloc(sizeof(double) * (size_t)(parts * r->inner));
    if (!job.partial) return -1;
  }
  const ptrdiff_t size = (whole ? r->n : FG_MIN(r->n, CHUNK)) * FG_MIN(r->inner, TILE);
  job.n_units = parts * job.tiles;
  job.together = FG_MAX(1, TASK_ELEMENTS / size);
  fg_parallel((job.n_units + job.together - 1) / job.together, M(reduce_task), &job);
  if (job.partial) {
    M(combine)(&job, outer);
    free(job.partial);
  }
  return 0;
}

typedef struct {
  const T *x;
  T *out;
  ptrdiff_t outer, n, inner, tiles, together;
} M(scan);

/* Rows 4 at a time, since a sum waits for the one before; sums in double, each rounded once. */
FG_INLINE void M(scan_rows)(const T *x, T *out, ptrdiff_t n, const int rows) {
  double total[4] = {0};
  for (ptrdiff_t i = 0; i < n; i++)
    for (int k = 0; k < rows; k++) out[k * n + i] = (T)(total[k] += (double)x[k * n + i]);
}

static void M(scan_task)(void *context, ptrdiff_t i) {
  const M(scan) *s = context;
  const ptrdiff_t last = FG_MIN((i + 1) * s->together, s->outer * s->tiles);
  for (ptrdiff_t u = i * s->together; u < last; u++) {
    if (s->inner == 1) {
      if (u + 4 <= last) {
        M(scan_rows)(s->x + u * s->n, s->out + u * s->n, s->n, 4);
        u += 3;
      } else {
        M(scan_rows)(s->x + u * s->n, s->out + u * s->n, s->n, 1);
      }
      continue;
    }
    const ptrdiff_t column = u % s->tiles * TILE, width = FG_MIN(TILE, s->inner - column);
    ptrdiff_t at = u / s->tiles * s->n * s->inner + column;
    double total[TILE] = {0};
    for (ptrdiff_t j = 0; j < s->n; j++, at += s->inner)
      for (ptrdiff_t c = 0; c < width; c++) s->out[at + c] = (T)(total[c] += (double)s->x[at + c]);
  }
}

static void M(cumsum)(const void *x, void *out, ptrdiff_t outer, ptrdiff_t n, ptrdiff_t inner) {
  M(scan) s = {.x = x, .out = out, .outer = outer, .n = n, .inner = inner};
  s.tiles = (inner + TILE - 1) / TILE;
  s.together = FG_MAX(1, TASK_ELEMENTS / (n * FG_MIN(inner, TILE)));
  fg_parallel((outer * s.tiles + s.together - 1) / s.together, M(scan_task), &s);
}

#undef N_VECTORS
