/* Max pooling for element type T; included by pool.c once per type. */

typedef struct {
  fg_pool p;
  const T *from;
  T *to;
  const int32_t *index;
  int32_t *new_index;
  ptrdiff_t n_rows, rows;
} M(pool_call);

static void M(larger)(const T *restrict x, T *restrict m, int32_t *restrict index, int32_t position,
                      ptrdiff_t n) {
  for (ptrdiff_t c = 0; c < n; c++) {
    int take = x[c] > m[c] || x[c] != x[c];
    m[c] = take ? x[c] : m[c];
    index[c] = take ? position : index[c];
  }
}

/* A row is one line of output positions along the last spatial axis. */
static void M(max_pool_task)(void *context, ptrdiff_t task) {
  const M(pool_call) *call = context;
  const fg_pool *p = &call->p;
  ptrdiff_t channels = p->channels;
  for (ptrdiff_t row = task * call->rows; row < FG_MIN((task + 1) * call->rows, call->n_rows); row++) {
    ptrdiff_t first[3], last[3], n = row / (p->out[0] * p->out[1]);
    window(p, 0, row / p->out[1] % p->out[0], &first[0], &last[0]);
    window(p, 1, row % p->out[1], &first[1], &last[1]);
    const T *x = call->from + n * p->in[0] * p->in[1] * p->in[2] * channels;
    for (ptrdiff_t o = 0; o < p->out[2]; o++) {
      T *m = call->to + (row * p->out[2] + o) * channels;
      int32_t *index = call->new_index + (row * p->out[2] + o) * channels;
      window(p, 2, o, &first[2], &last[2]);
      ptrdiff_t start = (first[0] * p->in[1] + first[1]) * p->in[2] + first[2];
      for (ptrdiff_t c = 0; c < channels; c++) {
        m[c] = x[start * channels + c];
        index[c] = (int32_t)start;
      }
      for (ptrdiff_t i = first[0]; i < last[0]; i += p->dilation[0])
        for (ptrdiff_t j = first[1]; j < last[1]; j += p->dilation[1])
          for (ptrdiff_t k = first[2]; k < last[2]; k += p->dilation[2]) {
            ptrdiff_t position = (i * p->in[1] + j) * p->in[2] + k;
            M(larger)(x + position * channels, m, index, (int32_t)position, channels);
          }
    }
  }
}

static void M(add_where)(const T *restrict g, const int32_t *restrict index, T *restrict gx,
                         int32_t position, ptrdiff_t n) {
  for (ptrdiff_t c = 0; c < n; c++) gx[c] += index[c] == position ? g[c] : 0;
}

/* A row is one line of input positions along the last spatial axis. */
static void M(max_unpool_task)(void *context, ptrdiff_t task) {
  const M(pool_call) *call = context;
  const fg_pool *p = &call->p;
  ptrdiff_t channels = p->channels, last_row = FG_MIN((task + 1) * call->rows, call->n_rows);
  for (ptrdiff_t row = task * call->rows; row < last_row; row++) {
    ptrdiff_t first[3], last[3], n = row / (p->in[0] * p->in[1]);
    windows_of(p, 0, row / p->in[1] % p->in[0], &first[0], &last[0]);
    windows_of(p, 1, row % p->in[1], &first[1], &last[1]);
    for (ptrdiff_t k = 0; k < p->in[2]; k++) {
      T *gx = call->to + (row * p->in[2] + k) * channels;
      ptrdiff_t position = row % (p->in[0] * p->in[1]) * p->in[2] + k;
      windows_of(p, 2, k, &first[2], &last[2]);
      for (ptrdiff_t c = 0; c < channels; c++) gx[c] = 0;
      for (ptrdiff_t a = first[0]; a < last[0]; a++)
        for (ptrdiff_t b = first[1]; b < last[1]; b++)
          for (ptrdiff_t o = first[2]; o < last[2]; o++) {
            ptrdiff_t w = (((n * p->out[0] + a) * p->out[1] + b) * p->out[2] + o) * channels;
            M(add_where)(call->from + w, call->index + w, gx, (int32_t)position, channels);
          }
    }
  }
}

static void M(max_pool)(const fg_pool *p, const T *x, T *out, int32_t *index) {
  M(pool_call) call = {.p = *p, .from = x, .to = out, .new_index = index};
  call.n_rows = p->batch * p->out[0] * p->out[1];
  call.rows = FG_MAX(1, TASK_ELEMENTS / (p->out[2] * p->channels));
  fg_parallel((call.n_rows + call.rows - 1) / call.rows, M(max_pool_task), &call);
}

static void M(max_unpool)(const fg_pool *p, const T *g, const int32_t *index, T *gx) {
  M(pool_call) call = {.p = *p, .from = g, .to = gx, .index = index};
  call.n_rows = p->batch * p->in[0] * p->in[1];
  call.rows = FG_MAX(1, TASK_ELEMENTS / (p->in[2] * p->channels));
  fg_parallel((call.n_rows + call.rows - 1) / call.rows, M(max_unpool_task), &call);
}
