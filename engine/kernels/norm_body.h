/* Normalization for element type T; included by norm.c once per type. */

typedef struct {
  fg_norm s;
  const T *x, *g, *weight, *bias;
  T *mean, *rstd, *out;
  ptrdiff_t width, rows;      /* columns of a folded row, full rows of a batch entry */
  ptrdiff_t chunk, n_chunks;  /* rows of a task, tasks of a batch entry */
  ptrdiff_t run;              /* rows that are reduced in the element type */
  double *partial;            /* (batch, n_chunks, 2, width): mean and m2, or the two sums */
  double *sums;               /* (batch, 2, channels): gradients of bias and weight */
  T *columns;                 /* (batch, N_COLUMNS, width) */
  T *blocks;                  /* by row only: (task, 2, channels), the sums over a block of rows */
} M(norm);

FG_INLINE T M(weight_of)(const M(norm) *m, ptrdiff_t c) { return m->weight ? m->weight[c] : 1; }
FG_INLINE T M(bias_of)(const M(norm) *m, ptrdiff_t c) { return m->bias ? m->bias[c] : 0; }
FG_INLINE T *M(columns_of)(const M(norm) *m, ptrdiff_t n, int which) {
  return m->columns + (n * N_COLUMNS + which) * m->width;
}

/* g where y > 0, slope * g elsewhere. */
FG_INLINE V M(leak)(V g, V y, V slope) {
  typedef I mask __attribute__((vector_size(FG_VECTOR)));
  mask positive = y > (V){0};
  return (V)(((mask)g & positive) | ((mask)(slope * g) & ~positive));
}

/* How a batch entry is cut: rows of whole vectors, chunks of rows. */
static void M(cut)(M(norm) *m, int n_inputs) {
  ptrdiff_t fold = LANES / greatest_divisor(m->s.channels, LANES);
  while (m->s.channels * fold < MIN_WIDTH) fold *= 2;
  m->width = m->s.channels * fold;
  m->rows = m->s.positions / fold;
  m->run = FG_MAX(8, RUN_ELEMENTS / n_inputs / m->width);
  m->chunk = FG_MAX(2 * m->run, TASK_ELEMENTS / m->width);
  m->n_chunks = (m->rows + m->chunk - 1) / m->chunk;
}

/* With one position a row is one batch entry, and the constants are weight and bias alone. */
static void M(cut_rows)(M(norm) *m, ptrdiff_t least) {
  m->width = m->s.channels;
  m->chunk = FG_MAX(least, ROW_TASK_ELEMENTS / m->s.channels);
  m->n_chunks = (m->s.batch + m->chunk - 1) / m->chunk;
}

static int M(allocate)(M(norm) *m, int by_row, ptrdiff_t n_sums) {
  size_t entries = by_row ? 1 : (size_t)m->s.batch, width = (size_t)m->width;
  size_t chunks = by_row ? 0 : (size_t)m->n_chunks;
  m->columns = malloc(sizeof(T) * entries * N_COLUMNS * width);
  m->partial = malloc(sizeof(double) * (entries * chunks * 2 * width + 1));
  m->sums = malloc(sizeof(double) * ((size_t)n_sums * 2 * (size_t)m->s.channels + 1));
  m->blocks = malloc(sizeof(T) * ((size_t)(by_row ? n_sums : 0) * 2 * (size_t)m->s.channels + 1));
  if (!m->columns || !m->partial || !m->sums || !m->blocks) return -1;
  for (ptrdiff_t c = 0; by_row && c < m->s.channels; c++) {
    M(columns_of)(m, 0, SCALE)[c] = M(weight_of)(m, c);
    M(columns_of)(m, 0, BIAS)[c] = M(bias_of)(m, c);
  }
  return 0;
}

static void M(release)(M(norm) *m) {
  free(m->blocks);
  free(m->sums);
  free(m->partial);
  free(m->columns);
}

/* ------------------------------------------------------------------- channels in columns: forward */

static void M(moments_task)(void *context, ptrdiff_t i) {
  const M(norm) *m = context;
  ptrdiff_t n = i / m->n_chunks, first = i % m->n_chunks * m->chunk;
  ptrdiff_t last = FG_MIN(first + m->chunk, m->rows), width = m->width;
  const T *x = m->x + n * m->s.positions * m->s.channels;
  double *mean = m->partial + i * 2 * width, *m2 = mean + width;
  for (ptrdiff_t r = first; r < last; r += m->run) {
    ptrdiff_t count = FG_MIN(m->run, last - r), k;
    double before = (double)(r - first), total = before + (double)count;
    double towards = (double)count / total, spread = before * (double)count / total;
    for (ptrdiff_t c = 0; c < width; c += LANES) {
      const T *p = x + r * width + c;
      ptrdiff_t first_rows = FG_MIN(count, CENTER_ROWS);
      V center = {0}, e0 = {0}, e1 = {0}, s0 = {0}, s1 = {0};
      for (k = 0; k < first_rows; k++) center += *(const V *)(p + k * width);
      center *= (T)(1.0 / (double)first_rows);
      for (k = 0; k + 2 <= count; k += 2) {
        V d0 = *(const V *)(p + k * width) - center, d1 = *(const V *)(p + (k + 1) * width) - center;
        e0 += d0;
        e1 += d1;
        s0 += d0 * d0;
        s1 += d1 * d1;
      }
      if (k < count) {
        V d0 = *(const V *)(p + k * width) - center;
        e0 += d0;
        s0 += d0 * d0;
      }
      e0 += e1;
      s0 += s1;
      for (ptrdiff_t j = 0; j < LANES; j++) {
        double shift = (double)e0[j] / (double)count, run_mean = (double)center[j] + shift;
        double run_m2 = (double)s0[j] - shift * (double)e0[j];
        double delta = r == first ? 0 : run_mean - mean[c + j];
        mean[c + j] = r == first ? run_mean : mean[c + j] + delta * towards;
        m2[c + j] = (r == first ? 0 : m2[c + j]) + run_m2 + delta * delta * spread;
      }
    }
  }
}

/* Join what the tasks found for one batch entry and the positions that fill no row. */
static void M(statistics_task)(void *context, ptrdiff_t n) {
  const M(norm) *m = context;
  ptrdiff_t channels = m->s.channels, size = channels / m->s.groups, width = m->width;
  for (ptrdiff_t group = 0; group < m->s.groups; group++) {
    moments all = {0, 0, 0};
    for (ptrdiff_t chunk = 0; chunk < m->n_chunks; chunk++) {
      const double *p = m->partial + (n * m->n_chunks + chunk) * 2 * width;
      double count = (double)FG_MIN(m->chunk, m->rows - chunk * m->chunk);
      for (ptrdiff_t first = group * size; first < width; first += channels)
        for (ptrdiff_t j = first; j < first + size; j++) join(&all, count, p[j], p[width + j]);
    }
    for (ptrdiff_t p = m->rows * (width / channels); p < m->s.positions; p++) {
      const T *x = m->x + (n * m->s.positions + p) * channels + group * size;
      for (ptrdiff_t j = 0; j < size; j++) join(&all, 1, (double)x[j], 0);
    }
    m->mean[n * m->s.groups + group] = (T)all.mean;
    m->rstd[n * m->s.groups + group] = (T)(1 / sqrt(all.m2 / all.n + m->s.eps));
  }
}

/* Spread the constants of channels over the columns of a row. */
static void M(columns_task)(void *context, ptrdiff_t n) {
  const M(norm) *m = context;
  ptrdiff_t channels = m->s.channels, size = channels / m->s.groups;
  T *mean = M(columns_of)(m, n, MEAN), *scale = M(columns_of)(m, n, SCALE);
  T *bias = M(columns_of)(m, n, BIAS), *rstd = M(columns_of)(m, n, RSTD);
  for (ptrdiff_t j = 0; j < m->width; j++) {
    ptrdiff_t c = j % channels, group = n * m->s.groups + c / size;
    mean[j] = m->mean[group];
    rstd[j] = m->rstd[group];
    scale[j] = m->rstd[group] * M(weight_of)(m, c);
    bias[j] = M(bias_of)(m, c);
  }
}

static void M(normalize_row)(const T *restrict x, T *restrict out, const T *restrict mean,
                             const T *restrict scale, const T *restrict bias, ptrdiff_t n, T slope) {
  for (ptrdiff_t j = 0; j < n; j++) {
    T y = (x[j] - mean[j]) * scale[j] + bias[j];
    out[j] = y > 0 ? y : slope * y;
  }
}

/* The same for HELD_ROWS rows of whole vectors, whose constants stay in registers. */
FG_INLINE void M(normalize_rows)(const T *x, T *out, const T *mean, const T *scale, const T *bias,
                                 ptrdiff_t width, T slope, int leaky) {
  const V slopes = (V){0} + slope;
  for (ptrdiff_t j = 0; j < width; j += LANES) {
    V m = *(const V *)(mean + j), s = *(const V *)(scale + j), b = *(const V *)(bias + j);
    for (ptrdiff_t r = 0; r < HELD_ROWS; r++) {
      V y = (*(const V *)(x + r * width + j) - m) * s + b;
      *(V *)(out + r * width + j) = leaky ? M(leak)(y, y, slopes) : y;
    }
  }
}

/* Elements of one batch entry that a task of the second pass handles, the last one with the rest. */
FG_INLINE ptrdiff_t M(task_range)(const M(norm) *m, ptrdiff_t i, ptrdiff_t *first, ptrdiff_t *last) {
  ptrdiff_t n = i / FG_MAX(m->n_chunks, 1), chunk = i % FG_MAX(m->n_chunks, 1);
  *first = chunk * m->chunk * m->width;
  *last = chunk + 1 >= m->n_chunks ? m->s.positions * m->s.channels : *first + m->chunk * m->width;
  return n;
}

static void M(normalize_task)(void *context, ptrdiff_t i) {
  const M(norm) *m = context;
  ptrdiff_t first, last, n = M(task_range)(m, i, &first, &last);
  ptrdiff_t start = n * m->s.positions * m->s.channels;
  const T *mean = M(columns_of)(m, n, MEAN), *scale = M(columns_of)(m, n, SCALE);
  const T *bias = M(columns_of)(m, n, BIAS);
  const T *x = m->x + start;
  T *out = m->out + start, slope = (T)m->s.negative_slope;
  ptrdiff_t e = first, width = m->width, held = HELD_ROWS * width;
  if (slope == 1)
    for (; e + held <= last; e += held)
      M(normalize_rows)(x + e, out + e, mean, scale, bias, width, slope, 0);
  else
    for (; e + held <= last; e += held)
      M(normalize_rows)(x + e, out + e, mean, scale, bias, width, slope, 1);
  for (; e < last; e += width)
    M(normalize_row)(x + e, out + e, mean, scale, bias, FG_MIN(width, last - e), slope);
}

/* ------------------------------------------------------------------ channels in columns: gradient */

FG_INLINE void M(sums)(const M(norm) *m, ptrdiff_t i, int leaky) {
  ptrdiff_t n = i / m->n_chunks, first = i % m->n_chunks * m->chunk;
  ptrdiff_t last = FG_MIN(first + m->chunk, m->rows), width = m->width;
  ptrdiff_t start = n * m->s.positions * m->s.channels;
  double *sum = m->partial + i * 2 * width, *product = sum + width;
  V slope = (V){0} + (T)m->s.negative_slope;
  for (ptrdiff_t c = 0; c < 2 * width; c++) sum[c] = 0;
  for (ptrdiff_t r = first; r < last; r += m->run) {
    ptrdiff_t stop = FG_MIN(r + m->run, last);
    for (ptrdiff_t c = 0; c < width; c += LANES) {
      V mean = *(const V *)(M(columns_of)(m, n, MEAN) + c);
      V scale = *(const V *)(M(columns_of)(m, n, SCALE) + c);
      V bias = *(const V *)(M(columns_of)(m, n, BIAS) + c);
      V a[2] = {{0}}, b[2] = {{0}};  /* two sums each, so that additions overlap */
      for (ptrdiff_t k = r; k < stop; k += 2)
        for (ptrdiff_t odd = 0; odd < FG_MIN(2, stop - k); odd++) {
          V d = *(const V *)(m->x + start + (k + odd) * width + c) - mean;
          V g = *(const V *)(m->g + start + (k + odd) * width + c);
          if (leaky) g = M(leak)(g, d * scale + bias, slope);
          a[odd] += g;
          b[odd] += g * d;
        }
      a[0] += a[1];
      b[0] += b[1];
      const T *rstd = M(columns_of)(m, n, RSTD) + c;
      for (ptrdiff_t j = 0; j < LANES; j++) {
        sum[c + j] += (double)a[0][j];
        product[c + j] += (double)b[0][j] * (double)rstd[j];
      }
    }
  }
}

static void M(sums_task)(void *context, ptrdiff_t i) {
  const M(norm) *m = context;
  if (m->s.negative_slope == 1)
    M(sums)(m, i, 0);
  else
    M(sums)(m, i, 1);
}

/* Sums of g and of g * normalized x by channel, and the two group terms of the gradient for x. */
static void M(group_sums_task)(void *context, ptrdiff_t n) {
  const M(norm) *m = context;
  ptrdiff_t channels = m->s.channels, size = channels / m->s.groups, width = m->width;
  double *sum = m->sums + n * 2 * channels, *product = sum + channels;
  const T *mean = M(columns_of)(m, n, MEAN), *scale = M(columns_of)(m, n, SCALE);
  const T *bias = M(columns_of)(m, n, BIAS), *rstd = M(columns_of)(m, n, RSTD);
  T *constant = M(columns_of)(m, n, CONSTANT), *linear = M(columns_of)(m, n, LINEAR);
  for (ptrdiff_t c = 0; c < 2 * channels; c++) sum[c] = 0;
  for (ptrdiff_t chunk = 0; chunk < m->n_chunks; chunk++) {
    const double *p = m->partial + (n * m->n_chunks + chunk) * 2 * width;
    for (ptrdiff_t first = 0; first < width; first += channels)
      for (ptrdiff_t c = 0; c < channels; c++) {
        sum[c] += p[first + c];
        product[c] += p[width + first + c];
      }
  }
  for (ptrdiff_t p = m->rows * (width / channels); p < m->s.positions; p++)
    for (ptrdiff_t c = 0; c < channels; c++) {
      ptrdiff_t e = (n * m->s.positions + p) * channels + c;
      T d = m->x[e] - mean[c], y = d * scale[c] + bias[c];
      T g = y > 0 ? m->g[e] : (T)m->s.negative_slope * m->g[e];
      sum[c] += (double)g;
      product[c] += (double)(g * d) * (double)rstd[c];
    }
  double count = (double)(size * m->s.positions);
  for (ptrdiff_t group = 0; group < m->s.groups; group++) {
    double a = 0, b = 0, r = (double)m->rstd[n * m->s.groups + group];
    for (ptrdiff_t c = group * size; c < (group + 1) * size; c++) {
      a += sum[c] * (double)M(weight_of)(m, c);
      b += product[c] * (double)M(weight_of)(m, c);
    }
    for (ptrdiff_t first = group * size; first < width; first += channels)
      for (ptrdiff_t j = first; j < first + size; j++) {
        constant[j] = m->s.given ? 0 : (T)(r * a / count);
        linear[j] = m->s.given ? 0 : (T)(r * r * b / count);
      }
  }
}

static void M(gradient_row)(const T *restrict g, const T *restrict x, T *restrict gx,
                            const T *restrict mean, const T *restrict scale, const T *restrict bias,
                            const T *restrict constant, const T *restrict linear, ptrdiff_t n,
                            T slope) {
  for (ptrdiff_t j = 0; j < n; j++) {
    T d = x[j] - mean[j], y = d * scale[j] + bias[j];
    T h = y > 0 ? g[j] : slope * g[j];
    gx[j] = h * scale[j] - constant[j] - d * linear[j];
  }
}

/* The same for HELD_ROWS rows of whole vectors, whose constants stay in registers. */
FG_INLINE void M(gradient_rows)(const T *g, const T *x, T *gx, const T *mean, const T *scale,
                                const T *bias, const T *constant, const T *linear, ptrdiff_t width,
                                T slope, int leaky) {
  const V slopes = (V){0} + slope;
  for (ptrdiff_t j = 0; j < width; j += LANES) {
    V m = *(const V *)(mean + j), s = *(const V *)(scale + j), b = *(const V *)(bias + j);
    V c = *(const V *)(constant + j), l = *(const V *)(linear + j);
    for (ptrdiff_t r = 0; r < HELD_ROWS; r++) {
      V d = *(const V *)(x + r * width + j) - m, h = *(const V *)(g + r * width + j);
      if (leaky) h = M(leak)(h, d * s + b, slopes);
      *(V *)(gx + r * width + j) = h * s - c - d * l;
    }
  }
}

static void M(gradient_task)(void *context, ptrdiff_t i) {
  const M(norm) *m = context;
  ptrdiff_t first, last, n = M(task_range)(m, i, &first, &last);
  ptrdiff_t start = n * m->s.positions * m->s.channels;
  const T *mean = M(columns_of)(m, n, MEAN), *scale = M(columns_of)(m, n, SCALE);
  const T *bias = M(columns_of)(m, n, BIAS), *constant = M(columns_of)(m, n, CONSTANT);
  const T *linear = M(columns_of)(m, n, LINEAR), *g = m->g + start, *x = m->x + start;
  T *gx = m->out + start, slope = (T)m->s.negative_slope;
  ptrdiff_t e = first, width = m->width, held = HELD_ROWS * width;
  if (slope == 1)
    for (; e + held <= last; e += held)
      M(gradient_rows)(g + e, x + e, gx + e, mean, scale, bias, constant, linear, width, slope, 0);
  else
    for (; e + held <= last; e += held)
      M(gradient_rows)(g + e, x + e, gx + e, mean, scale, bias, constant, linear, width, slope, 1);
  for (; e < last; e += width)
    M(gradient_row)(g + e, x + e, gx + e, mean, scale, bias, constant, linear,
                    FG_MIN(width, last - e), slope);
}

/* ------------------------------------------------------------- one position: rows of channels */

/* Sum of a vector's lanes, by halves. */
FG_INLINE double M(lane_sum)(V v) {
  T s[LANES];
  for (ptrdiff_t j = 0; j < LANES; j++) s[j] = v[j];
  for (ptrdiff_t half = LANES / 2; half; half /= 2)
    for (ptrdiff_t j = 0; j < half; j++) s[j] += s[j + half];
  return (double)s[0];
}

static moments M(row_moments)(const T *x, ptrdiff_t n) {
  moments all = {0, 0, 0};
  for (ptrdiff_t first = 0; first < n; first += ROW_RUN) {
    const T *p = x + first;
    ptrdiff_t count = FG_MIN(ROW_RUN, n - first), i;
    V s0 = {0}, s1 = {0};
    for (i = 0; i + 2 * LANES <= count; i += 2 * LANES) {
      s0 += *(const V *)(p + i);
      s1 += *(const V *)(p + i + LANES);
    }
    s0 += s1;
    double sum = M(lane_sum)(s0);
    for (; i < count; i++) sum += (double)p[i];
    T center = (T)(sum / (double)count);
    s0 = s1 = (V){0};
    for (i = 0; i + 2 * LANES <= count; i += 2 * LANES) {
      V d0 = *(const V *)(p + i) - center, d1 = *(const V *)(p + i + LANES) - center;
      s0 += d0 * d0;
      s1 += d1 * d1;
    }
    s0 += s1;
    double m2 = M(lane_sum)(s0);
    for (; i < count; i++) m2 += (double)((p[i] - center) * (p[i] - center));
    join(&all, (double)count, sum / (double)count, m2);
  }
  return all;
}

static void M(rows_forward_task)(void *context, ptrdiff_t i) {
  const M(norm) *m = context;
  ptrdiff_t channels = m->s.channels, groups = m->s.groups, size = channels / groups;
  T slope = (T)m->s.negative_slope;
  for (ptrdiff_t r = i * m->chunk; r < FG_MIN((i + 1) * m->chunk, m->s.batch); r++)
    for (ptrdiff_t group = 0; group < groups; group++) {
      const T *x = m->x + r * channels + group * size;
      moments all = M(row_moments)(x, size);
      T mean = m->mean[r * groups + group] = (T)all.mean;
      T rstd = m->rstd[r * groups + group] = (T)(1 / sqrt(all.m2 / all.n + m->s.eps));
      T *restrict out = m->out + r * channels + group * size;
      const T *restrict scale = M(columns_of)(m, 0, SCALE) + group * size;
      const T *restrict bias = M(columns_of)(m, 0, BIAS) + group * size;
      for (ptrdiff_t j = 0; j < size; j++) {
        T y = (x[j] - mean) * rstd * scale[j] + bias[j];
        out[j] = y > 0 ? y : slope * y;
      }
    }
}

/* Gradient of one row for x; h and h * z (normalized x) are added to the sums by column. */
FG_INLINE void M(row_gradient)(const M(norm) *m, ptrdiff_t r, ptrdiff_t group, T *restrict gbias,
                               T *restrict gweight, int leaky) {
  ptrdiff_t size = m->s.channels / m->s.groups, start = r * m->s.channels + group * size;
  const T *restrict x = m->x + start, *restrict g = m->g + start;
  const T *restrict scale = M(columns_of)(m, 0, SCALE) + group * size;
  const T *restrict bias = M(columns_of)(m, 0, BIAS) + group * size;
  T *restrict gx = m->out + start;
  T mean = m->mean[r * m->s.groups + group], rstd = m->rstd[r * m->s.groups + group];
  T slope = (T)m->s.negative_slope;
  const V slopes = (V){0} + slope;
  double a = 0, b = 0;
  for (ptrdiff_t first = 0; first < size; first += ROW_RUN) {
    ptrdiff_t stop = FG_MIN(first + ROW_RUN, size), j;
    V s = {0}, t = {0};
    for (j = first; j + LANES <= stop; j += LANES) {
      V d = *(const V *)(x + j) - mean, z = d * rstd, h = *(const V *)(g + j);
      V w = *(const V *)(scale + j);
      if (leaky) h = M(leak)(h, z * w + *(const V *)(bias + j), slopes);
      *(V *)(gbias + j) += h;
      *(V *)(gweight + j) += h * z;
      s += h * w;
      t += h * w * d;
    }
    a += M(lane_sum)(s);
    b += M(lane_sum)(t);
    for (; j < stop; j++) {
      T d = x[j] - mean, z = d * rstd, h = g[j];
      if (leaky && !(z * scale[j] + bias[j] > 0)) h *= slope;
      gbias[j] += h;
      gweight[j] += h * z;
      a += (double)(h * scale[j]);
      b += (double)(h * scale[j] * d);
    }
  }
  T constant = (T)(a / (double)size);
  T linear = (T)(b * (double)rstd * (double)rstd / (double)size);
  for (ptrdiff_t j = 0; j < size; j++) {
    T d = x[j] - mean, h = g[j];
    if (leaky) h = d * rstd * scale[j] + bias[j] > 0 ? h : slope * h;
    gx[j] = rstd * (h * scale[j] - constant - d * linear);
  }
}

static void M(rows_gradient_task)(void *context, ptrdiff_t i) {
  const M(norm) *m = context;
  ptrdiff_t channels = m->s.channels, groups = m->s.groups, size = channels / groups;
  ptrdiff_t last = FG_MIN((i + 1) * m->chunk, m->s.batch);
  double *sum = m->sums + i * 2 * channels;
  T *block = m->blocks + i * 2 * channels;
  for (ptrdiff_t c = 0; c < 2 * channels; c++) sum[c] = 0;
  for (ptrdiff_t first = i * m->chunk; first < last; first += ROW_BLOCK) {
    for (ptrdiff_t c = 0; c < 2 * channels; c++) block[c] = 0;
    for (ptrdiff_t r = first; r < FG_MIN(first + ROW_BLOCK, last); r++)
      for (ptrdiff_t group = 0; group < groups; group++)
        if (m->s.negative_slope == 1)
          M(row_gradient)(m, r, group, block + group * size, block + channels + group * size, 0);
        else
          M(row_gradient)(m, r, group, block + group * size, block + channels + group * size, 1);
    for (ptrdiff_t c = 0; c < 2 * channels; c++) sum[c] += (double)block[c];
  }
}

/* ------------------------------------------------------------------------------- entry points */

/* x, out: (batch, positions, channels); weight, bias: (channels) or NULL; mean, rstd: (batch,
 * groups), which are inputs if the statistics are given. Returns -1 without memory. */
static int M(forward)(const fg_norm *s, const T *x, const T *weight, const T *bias, T *mean, T *rstd,
                      T *out) {
  M(norm) m = {.s = *s, .x = x, .weight = weight, .bias = bias, .mean = mean, .rstd = rstd, .out = out};
  int by_row = s->positions == 1 && !s->given;
  if (by_row)
    M(cut_rows)(&m, 1);
  else
    M(cut)(&m, 1);
  int failed = M(allocate)(&m, by_row, 0);
  if (!failed && by_row) {
    fg_parallel(m.n_chunks, M(rows_forward_task), &m);
  } else if (!failed) {
    if (!s->given) {
      fg_parallel(s->batch * m.n_chunks, M(moments_task), &m);
      fg_parallel(s->batch, M(statistics_task), &m);
    }
    fg_parallel(s->batch, M(columns_task), &m);
    fg_parallel_backwards(s->batch * FG_MAX(m.n_chunks, 1), M(normalize_task), &m);
  }
  M(release)(&m);
  return failed;
}

/* Gradients for x, weight and bias, given that for out and what the forward pass found. Returns -1
 * without memory. */
static int M(gradient)(const fg_norm *s, const T *g, const T *x, const T *weight, const T *bias,
                       const T *mean, const T *rstd, T *gx, T *gweight, T *gbias) {
  M(norm) m = {.s = *s, .x = x, .g = g, .weight = weight, .bias = bias, .mean = (T *)mean,
               .rstd = (T *)rstd, .out = gx};
  int by_row = s->positions == 1 && !s->given;
  if (by_row)
    M(cut_rows)(&m, 64);
  else
    M(cut)(&m, 2);
  ptrdiff_t n_sums = by_row ? m.n_chunks : s->batch;
  int failed = M(allocate)(&m, by_row, n_sums);
  if (!failed && by_row) {
    fg_parallel(m.n_chunks, M(rows_gradient_task), &m);
  } else if (!failed) {
    fg_parallel(s->batch, M(columns_task), &m);
    fg_parallel(s->batch * m.n_chunks, M(sums_task), &m);
    fg_parallel(s->batch, M(group_sums_task), &m);
    fg_parallel_backwards(s->batch * FG_MAX(m.n_chunks, 1), M(gradient_task), &m);
  }
  for (ptrdiff_t c = 0; !failed && c < s->channels; c++) {
    double a = 0, b = 0;
    for (ptrdiff_t n = 0; n < n_sums; n++) {
      a += m.sums[n * 2 * s->channels + c];
      b += m.sums[(n * 2 + 1) * s->channels + c];
    }
    gbias[c] = (T)a;
    gweight[c] = (T)b;
  }
  M(release)(&m);
  return failed;
}
