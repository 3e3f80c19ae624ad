/* Sums and products along pairs of rows for element type T; included by pairs.c. */

typedef struct {
  int sign;
  const T *a, *b;
  const ptrdiff_t *first, *second;
  T *out;
  ptrdiff_t n_pairs, n_rows, features, step;
} M(pair_call);

/* out[i] += x[j] w and out[j] += sign x[i] w for the features [begin, end) of every pair (i, j);
 * i may be j, so that the second sum reads what the first one wrote. */
static void M(pair_sum_task)(void *context, ptrdiff_t task) {
  const M(pair_call) *c = context;
  const ptrdiff_t n = c->features, begin = task * c->step, end = FG_MIN(begin + c->step, n);
  const T sign = c->sign;
  for (ptrdiff_t r = 0; r < c->n_rows; r++)
    memset(c->out + r * n + begin, 0, (end - begin) * sizeof(T));
  for (ptrdiff_t p = 0; p < c->n_pairs; p++) {
    const ptrdiff_t i = c->first[p] * n, j = c->second[p] * n;
    const T *w = c->b + p * n, *xi = c->a + i, *xj = c->a + j;
    T *out_i = c->out + i, *out_j = c->out + j;
    ptrdiff_t f = begin;
    for (; f + LANES <= end; f += LANES) {
      const V weight = *(const V *)(w + f);
      *(V *)(out_i + f) += *(const V *)(xj + f) * weight;
      *(V *)(out_j + f) += *(const V *)(xi + f) * (weight * sign);
    }
    for (; f < end; f++) {
      out_i[f] += xj[f] * w[f];
      out_j[f] += xi[f] * (w[f] * sign);
    }
  }
}

static void M(pair_product_task)(void *context, ptrdiff_t task) {
  const M(pair_call) *c = context;
  const ptrdiff_t n = c->features, last = FG_MIN((task + 1) * c->step, c->n_pairs);
  const T sign = c->sign;
  for (ptrdiff_t p = task * c->step; p < last; p++) {
    const ptrdiff_t i = c->first[p] * n, j = c->second[p] * n;
    const T *ai = c->a + i, *aj = c->a + j, *bi = c->b + i, *bj = c->b + j;
    T *out = c->out + p * n;
    ptrdiff_t f = 0;
    for (; f + LANES <= n; f += LANES)
      *(V *)(out + f) = *(const V *)(ai + f) * *(const V *)(bj + f) +
                        *(const V *)(aj + f) * *(const V *)(bi + f) * sign;
    for (; f < n; f++) out[f] = ai[f] * bj[f] + aj[f] * bi[f] * sign;
  }
}

static void M(pair_sum)(int sign, const T *x, const T *w, const ptrdiff_t *pairs, T *out,
                        ptrdiff_t n_pairs, ptrdiff_t n_rows, ptrdiff_t features) {
  const ptrdiff_t block = TASK_ELEMENTS / FG_MAX(n_pairs, 1) / BLOCK * BLOCK;
  M(pair_call) c = {sign, x, w, pairs, pairs + n_pairs, out, n_pairs, n_rows, features,
                    FG_MAX(block, BLOCK)};
  fg_parallel((features + c.step - 1) / c.step, M(pair_sum_task), &c);
}

static void M(pair_product)(int sign, const T *a, const T *b, const ptrdiff_t *pairs, T *out,
                            ptrdiff_t n_pairs, ptrdiff_t features) {
  M(pair_call) c = {sign, a, b, pairs, pairs + n_pairs, out, n_pairs, 0, features,
                    FG_MAX(1, TASK_ELEMENTS / FG_MAX(features, 1))};
  fg_parallel((n_pairs + c.step - 1) / c.step, M(pair_product_task), &c);
}
