/* Strided copies of elements of type T; included by copy.c once per size. */

typedef struct {
  fg_copy_axes c;
  const T *from;
  T *to;
  int across;              /* the axis that is contiguous in `from`; the last one is so in `to` */
  ptrdiff_t block, blocks; /* length of a task along `across`, number of such */
  ptrdiff_t rows, n_rows;  /* combinations of the other axes but the last: in a task, in all */
} M(copy_call);

/* Move both addresses to combination i of all axes but the last and `across`. */
static void M(locate)(const M(copy_call) *call, ptrdiff_t i, const T **from, T **to) {
  const fg_copy_axes *c = &call->c;
  for (int a = c->n_axes - 2; a >= 0; a--) {
    if (a == call->across) continue;
    *from += i % c->size[a] * c->from[a];
    *to += i % c->size[a] * c->to[a];
    i /= c->size[a];
  }
}

/* Rows along the last axis. */
static void M(copy_rows)(void *context, ptrdiff_t task) {
  const M(copy_call) *call = context;
  const fg_copy_axes *c = &call->c;
  const ptrdiff_t n = c->size[c->n_axes - 1], step = c->from[c->n_axes - 1];
  const ptrdiff_t to_step = c->to[c->n_axes - 1];
  const ptrdiff_t begin = task % call->blocks * call->block;
  const ptrdiff_t length = FG_MIN(call->block, n - begin), first = task / call->blocks * call->rows;
  const int last = c->n_axes - 2; /* the axis that counts fastest among rows */
  const ptrdiff_t per_line = last < 0 ? 1 : c->size[last];
  for (ptrdiff_t i = first, left; i < FG_MIN(first + call->rows, call->n_rows); i += left) {
    const T *from = call->from + begin * step;
    T *to = call->to + begin * to_step;
    M(locate)(call, i, &from, &to);
    left = FG_MIN(per_line - i % per_line, FG_MIN(first + call->rows, call->n_rows) - i);
    for (ptrdiff_t r = 0; r < left; r++) {
      const T *restrict a = from + (last < 0 ? 0 : r * c->from[last]);
      T *restrict b = to + (last < 0 ? 0 : r * c->to[last]);
      if (step == 1 && to_step == 1)
        for (ptrdiff_t k = 0; k < length; k++) b[k] = a[k];
      else
        for (ptrdiff_t k = 0; k < length; k++) b[k * to_step] = a[k * step];
    }
  }
}

/* A part of the plane of the axis `across` and the last one. */
static void M(copy_plane)(void *context, ptrdiff_t task) {
  const M(copy_call) *call = context;
  const fg_copy_axes *c = &call->c;
  const int out = c->n_axes - 1, in = call->across;
  const T *from = call->from;
  T *to = call->to;
  M(locate)(call, task / call->blocks, &from, &to);
  const ptrdiff_t begin = task % call->blocks * call->block;
  const ptrdiff_t end = FG_MIN(begin + call->block, c->size[in]);
  for (ptrdiff_t i = begin; i < end; i += TILE_IN)
    for (ptrdiff_t o = 0; o < c->size[out]; o += TILE_OUT) {
      const ptrdiff_t n_in = FG_MIN(TILE_IN, end - i), n_out = FG_MIN(TILE_OUT, c->size[out] - o);
      T tile[TILE_OUT][TILE_IN];
      for (ptrdiff_t a = 0; a < n_out; a++) {
        const T *line = from + i * c->from[in] + (o + a) * c->from[out];
        if (c->from[in] == 1)
          for (ptrdiff_t b = 0; b < n_in; b++) tile[a][b] = line[b];
        else
          for (ptrdiff_t b = 0; b < n_in; b++) tile[a][b] = line[b * c->from[in]];
      }
      for (ptrdiff_t b = 0; b < n_in; b++) {
        T *line = to + (i + b) * c->to[in] + o * c->to[out];
        if (c->to[out] == 1 && n_out == TILE_OUT)
          for (ptrdiff_t a = 0; a < TILE_OUT; a++) line[a] = tile[a][b];
        else
          for (ptrdiff_t a = 0; a < n_out; a++) line[a * c->to[out]] = tile[a][b];
      }
    }
}

static void M(copy)(const fg_copy_axes *c, const T *from, T *to) {
  M(copy_call) call = {.c = *c, .from = from, .to = to, .across = c->n_axes - 1, .n_rows = 1};
  if (c->n_axes == 0) {
    *to = *from;
    return;
  }
  for (int a = 0; a < c->n_axes; a++) {
    const ptrdiff_t best = c->from[call.across], step = c->from[a];
    if ((step < 0 ? -step : step) < (best < 0 ? -best : best) && step) call.across = a;
  }
  const int crosses = call.across != c->n_axes - 1 && c->from[c->n_axes - 1];
  if (!crosses) call.across = c->n_axes - 1;
  for (int a = 0; a < c->n_axes - 1; a++)
    if (a != call.across) call.n_rows *= c->size[a];
  const ptrdiff_t n = c->size[call.across];
  const ptrdiff_t line = crosses ? c->size[c->n_axes - 1] : 1; /* elements per step along across */
  call.block = FG_MIN(n, tiles(FG_MAX(TASK_ELEMENTS / line, 1), TILE_IN) * TILE_IN);
  call.blocks = tiles(n, call.block);
  call.rows = crosses ? 1 : FG_MAX(TASK_ELEMENTS / call.block, 1);
  fg_parallel(call.blocks * tiles(call.n_rows, call.rows), crosses ? M(copy_plane) : M(copy_rows),
              &call);
}
