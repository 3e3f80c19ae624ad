/* Recurrent layers for element type T; included by recurrent.c once per type.
 *
 * Gates in PyTorch's order: r, z, n (GRU) or i, f, g, o (LSTM). */

typedef struct {
  const fg_recurrent *s;
  const T *gates, *h, *c, *weight, *bias, *out, *saved, *g;
  T *made, *kept, *ggates, *ghidden, *gh, *gc, *workspace;
} M(recurrent_call);

/* From the gates' two parts to the new state h, in place; kept: r, z, n and W_hn h + b_hn. */
static void M(gru_forward)(ptrdiff_t n, const T *restrict x, const T *restrict a, T *restrict h,
                           T *restrict kept) {
  for (ptrdiff_t j = 0; j < n; j++) {
    T r = M(sigmoid)(x[j] + a[j]);
    T z = M(sigmoid)(x[n + j] + a[n + j]);
    T new = M(tanh)(x[2 * n + j] + r * a[2 * n + j]);
    kept[j] = r;
    kept[n + j] = z;
    kept[2 * n + j] = new;
    kept[3 * n + j] = a[2 * n + j];
    h[j] = new + z * (h[j] - new);
  }
}

/* From the gradient dh of a step's state to those of its gates' parts; dh becomes the part that the
 * state before has in it directly. */
static void M(gru_backward)(ptrdiff_t n, const T *restrict kept, const T *restrict before,
                            T *restrict dh, T *restrict gx, T *restrict ga) {
  for (ptrdiff_t j = 0; j < n; j++) {
    T r = kept[j], z = kept[n + j], new = kept[2 * n + j];
    T dnew = dh[j] * (1 - z) * (1 - new * new);
    T dz = dh[j] * (before[j] - new) * z * (1 - z);
    T dr = dnew * kept[3 * n + j] * r * (1 - r);
    gx[j] = ga[j] = dr;
    gx[n + j] = ga[n + j] = dz;
    gx[2 * n + j] = dnew;
    ga[2 * n + j] = dnew * r;
    dh[j] *= z;
  }
}

/* The same for an LSTM with cell c; kept: i, f, g, o. */
static void M(lstm_forward)(ptrdiff_t n, const T *restrict x, const T *restrict a, T *restrict h,
                            T *restrict c, T *restrict kept) {
  for (ptrdiff_t j = 0; j < n; j++) {
    T i = M(sigmoid)(x[j] + a[j]);
    T f = M(sigmoid)(x[n + j] + a[n + j]);
    T g = M(tanh)(x[2 * n + j] + a[2 * n + j]);
    T o = M(sigmoid)(x[3 * n + j] + a[3 * n + j]);
    kept[j] = i;
    kept[n + j] = f;
    kept[2 * n + j] = g;
    kept[3 * n + j] = o;
    c[j] = f * c[j] + i * g;
    h[j] = o * M(tanh)(c[j]);
  }
}

static void M(lstm_backward)(ptrdiff_t n, const T *restrict kept, const T *restrict cell,
                             const T *restrict before, T *restrict dh, T *restrict dc,
                             T *restrict gx) {
  for (ptrdiff_t j = 0; j < n; j++) {
    T i = kept[j], f = kept[n + j], g = kept[2 * n + j], o = kept[3 * n + j];
    T t = M(tanh)(cell[j]), d = dc[j] + dh[j] * o * (1 - t * t);
    gx[j] = d * g * i * (1 - i);
    gx[n + j] = d * before[j] * f * (1 - f);
    gx[2 * n + j] = d * i * (1 - g * g);
    gx[3 * n + j] = dh[j] * t * o * (1 - o);
    dc[j] = d * f;
    dh[j] = 0;
  }
}

static void M(recurrent_task)(void *context, ptrdiff_t task) {
  const M(recurrent_call) *p = context;
  const fg_recurrent *s = p->s;
  const ptrdiff_t n = s->hidden, wide = (s->lstm ? 4 : 3) * n, states = (s->lstm ? 2 : 1) * n;
  const ptrdiff_t first = task * FG_RECURRENT_ROWS;
  const ptrdiff_t rows = FG_MIN(FG_RECURRENT_ROWS, s->batch - first);
  /* The state of each row, cell behind hidden, then the gates' part that comes from it. */
  T *state = p->workspace + task * FG_RECURRENT_ROWS * (states + wide);
  T *a = state + FG_RECURRENT_ROWS * states;
  const fg_gemm product = {.m = rows, .n = wide, .k = n, .a_row = states, .a_col = 1,
                           .b_row = wide, .b_col = 1, .c_row = wide};
  for (ptrdiff_t r = 0; r < rows; r++) {
    memcpy(state + r * states, p->h + (first + r) * n, n * sizeof(T));
    if (s->lstm) memcpy(state + r * states + n, p->c + (first + r) * n, n * sizeof(T));
  }
  for (ptrdiff_t i = 0; i < s->steps; i++) {
    const ptrdiff_t t = s->reverse ? s->steps - 1 - i : i;
    FG(M(gemm_serial))(&product, state, p->weight, p->bias, a);
    for (ptrdiff_t r = 0; r < rows; r++) {
      const ptrdiff_t step = (first + r) * s->steps + t;
      T *h = state + r * states;
      if (!s->lengths || t < s->lengths[first + r]) {
        if (s->lstm)
          M(lstm_forward)(n, p->gates + step * wide, a + r * wide, h, h + n, p->kept + step * 4 * n);
        else
          M(gru_forward)(n, p->gates + step * wide, a + r * wide, h, p->kept + step * 4 * n);
      }
      memcpy(p->made + step * states, h, states * sizeof(T));
    }
  }
}

static void M(recurrent_gradient_task)(void *context, ptrdiff_t task) {
  const M(recurrent_call) *p = context;
  const fg_recurrent *s = p->s;
  const ptrdiff_t n = s->hidden, wide = (s->lstm ? 4 : 3) * n, states = (s->lstm ? 2 : 1) * n;
  const ptrdiff_t first = task * FG_RECURRENT_ROWS;
  const ptrdiff_t rows = FG_MIN(FG_RECURRENT_ROWS, s->batch - first);
  T *ghidden = s->lstm ? p->ggates : p->ghidden;
  const fg_gemm product = {.m = rows, .n = n, .k = wide, .a_row = s->steps * wide, .a_col = 1,
                           .b_row = n, .b_col = 1, .c_row = n, .accumulate = 1};
  T *dh = p->gh + first * n, *dc = s->lstm ? p->gc + first * n : NULL;
  memset(dh, 0, rows * n * sizeof(T));
  if (s->lstm) memset(dc, 0, rows * n * sizeof(T));
  for (ptrdiff_t i = 0; i < s->steps; i++) {
    const ptrdiff_t t = s->reverse ? i : s->steps - 1 - i;
    const ptrdiff_t last = i == s->steps - 1, back = s->reverse ? 1 : -1;
    for (ptrdiff_t r = 0; r < rows; r++) {
      const ptrdiff_t row = first + r, step = row * s->steps + t;
      const T *g = p->g + step * states, *kept = p->saved + step * 4 * n;
      const T *before = p->out + (step + back) * states;
      T *gx = p->ggates + step * wide, *ga = ghidden + step * wide;
      for (ptrdiff_t j = 0; j < n; j++) dh[r * n + j] += g[j];
      if (s->lstm)
        for (ptrdiff_t j = 0; j < n; j++) dc[r * n + j] += g[n + j];
      if (s->lengths && t >= s->lengths[row]) {
        memset(gx, 0, wide * sizeof(T));
        memset(ga, 0, wide * sizeof(T));
      } else if (s->lstm) {
        M(lstm_backward)(n, kept, p->out + step * states + n, last ? p->c + row * n : before + n,
                         dh + r * n, dc + r * n, gx);
      } else {
        M(gru_backward)(n, kept, last ? p->h + row * n : before, dh + r * n, gx, ga);
      }
    }
    FG(M(gemm_serial))(&product, ghidden + (first * s->steps + t) * wide, p->weight, NULL, dh);
  }
}
