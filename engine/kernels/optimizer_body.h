/* The updates for element type T; included by optimizer.c once per type.
 *
 * data: weights, gradient, state; s: scalars. Elements first … last - 1 are changed. shrink is
 * 1 - lr · (decoupled decay), decay what is added to the gradient. */

#define FG_UPDATE(name) \
  static void M(name)(void *const *data, ptrdiff_t first, ptrdiff_t last, const double *s)
/* The arrays of a row are different memory: no overlap test, and any of them may be unaligned. */
#define FG_ARRAY(name, k) T *restrict name = data[k]
#define FG_SCALAR(name, k) const T name = (T)s[k]

FG_UPDATE(descend) {
  FG_ARRAY(w, 0); const FG_ARRAY(g, 1);
  FG_SCALAR(lr, 0); FG_SCALAR(decay, 1); FG_SCALAR(shrink, 2);
  for (ptrdiff_t i = first; i < last; i++) {
    T x = w[i] * shrink;
    w[i] = x - lr * (g[i] + decay * x);
  }
}

FG_UPDATE(momentum) {
  FG_ARRAY(w, 0); const FG_ARRAY(g, 1); FG_ARRAY(v, 2);
  FG_SCALAR(lr, 0); FG_SCALAR(decay, 1); FG_SCALAR(shrink, 2);
  FG_SCALAR(mu, 3); FG_SCALAR(fresh, 4);
  for (ptrdiff_t i = first; i < last; i++) {
    T x = w[i] * shrink;
    v[i] = mu * v[i] + fresh * (g[i] + decay * x);
    w[i] = x - lr * v[i];
  }
}

FG_UPDATE(nesterov) {
  FG_ARRAY(w, 0); const FG_ARRAY(g, 1); FG_ARRAY(v, 2);
  FG_SCALAR(lr, 0); FG_SCALAR(decay, 1); FG_SCALAR(shrink, 2); FG_SCALAR(mu, 3);
  for (ptrdiff_t i = first; i < last; i++) {
    T x = w[i] * shrink, d = g[i] + decay * x;
    v[i] = mu * v[i] + d;
    w[i] = x - lr * (d + mu * v[i]);
  }
}

/* lr and correction hold the bias corrections 1 / (1 - beta1^t) and 1 / sqrt(1 - beta2^t). */
FG_UPDATE(adam) {
  FG_ARRAY(w, 0); const FG_ARRAY(g, 1); FG_ARRAY(m, 2); FG_ARRAY(v, 3);
  FG_SCALAR(lr, 0); FG_SCALAR(decay, 1); FG_SCALAR(shrink, 2);
  FG_SCALAR(beta1, 3); FG_SCALAR(beta2, 4); FG_SCALAR(eps, 5); FG_SCALAR(correction, 6);
  const T rest1 = (T)(1 - s[3]), rest2 = (T)(1 - s[4]);
  for (ptrdiff_t i = first; i < last; i++) {
    T x = w[i] * shrink, d = g[i] + decay * x;
    m[i] = beta1 * m[i] + rest1 * d;
    v[i] = beta2 * v[i] + rest2 * d * d;
    w[i] = x - lr * m[i] / (M(root)(v[i]) * correction + eps);
  }
}

/* A share of the way from data[0] to data[1]. */
FG_UPDATE(approach) {
  FG_ARRAY(a, 0); const FG_ARRAY(w, 1); FG_SCALAR(share, 0);
  for (ptrdiff_t i = first; i < last; i++) a[i] += share * (w[i] - a[i]);
}

FG_UPDATE(scale) {
  FG_ARRAY(g, 0); FG_SCALAR(factor, 0);
  for (ptrdiff_t i = first; i < last; i++) g[i] *= factor;
}

static double M(squares)(const T *x, ptrdiff_t first, ptrdiff_t last) {
  double sums[32] = {0}, total = 0;
  ptrdiff_t i = first;
  for (; i + 32 <= last; i += 32)
    for (int k = 0; k < 32; k++) sums[k] += (double)x[i + k] * (double)x[i + k];
  for (; i < last; i++) total += (double)x[i] * (double)x[i];
  for (int k = 0; k < 32; k++) total += sums[k];
  return total;
}

#undef FG_UPDATE
#undef FG_ARRAY
#undef FG_SCALAR
