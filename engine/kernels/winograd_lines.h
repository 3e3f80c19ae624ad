/* Winograd's transforms of one line of a tile, and of a whole tile of vectors of channels.
 *
 * A line of n frequencies serves n - 2 outputs of a filter of 3 taps: F(2, 3) evaluates polynomials
 * at the points 0, 1, -1, infinity, F(4, 3) at 0, ±1/sqrt(2), ±sqrt(2), infinity. Points that are
 * reciprocal keep the entries of the matrices near 1: rounding errors are half of those of the usual
 * 0, ±1, ±2 (B. Barabasz, A. Anderson, K. Soodhalter, D. Gregg, "Error analysis and improving the
 * accuracy of Winograd convolution for deep neural networks", ACM TOMS 2020, arXiv:1803.10986).
 * n = 1 is an axis without taps to sum.
 *
 * All functions work in place on x[0], x[stride], … and are unrolled for the n they are called with. */
#ifndef FG_WINOGRAD_LINES_H
#define FG_WINOGRAD_LINES_H

#include "isa.h"

typedef fg_vf32 vec;

#define ROOT 0.70710678118654752f /* 1 / sqrt(2) */

/* Outputs of a tile along an axis with n frequencies. */
#define TILE(n) ((n) == 1 ? 1 : (n)-2)

/* B' x: n inputs to n frequencies. */
FG_INLINE void input_line(const int n, vec *x, const ptrdiff_t stride) {
  if (n == 1) return;
  const vec x0 = x[0], x1 = x[stride], x2 = x[2 * stride], x3 = x[3 * stride];
  if (n == 4) {
    x[0] = x0 - x2, x[stride] = x1 + x2, x[2 * stride] = x2 - x1, x[3 * stride] = x1 - x3;
    return;
  }
  const vec x4 = x[4 * stride], x5 = x[5 * stride];
  const vec even1 = x4 - 2.0f * x2, odd1 = x3 - 2.0f * x1;
  const vec even2 = x4 - 0.5f * x2, odd2 = x3 - 0.5f * x1;
  x[0] = x0 - 2.5f * x2 + x4;
  x[stride] = even1 + ROOT * odd1, x[2 * stride] = even1 - ROOT * odd1;
  x[3 * stride] = even2 + 2 * ROOT * odd2, x[4 * stride] = even2 - 2 * ROOT * odd2;
  x[5 * stride] = x1 - 2.5f * x3 + x5;
}

/* A' m: n frequencies to n - 2 outputs. */
FG_INLINE void output_line(const int n, vec *x, const ptrdiff_t stride) {
  if (n == 1) return;
  const vec sum = x[stride] + x[2 * stride], difference = x[stride] - x[2 * stride];
  if (n == 4) {
    x[0] += sum, x[stride] = difference - x[3 * stride];
    return;
  }
  const vec sum2 = x[3 * stride] + x[4 * stride], difference2 = x[3 * stride] - x[4 * stride];
  x[0] += sum + 0.25f * sum2;
  x[stride] = ROOT * (difference + 0.5f * difference2);
  x[2 * stride] = 0.5f * (sum + sum2);
  x[3 * stride] = ROOT / 2 * difference + ROOT * difference2 + x[5 * stride];
}

/* A g: n - 2 gradients of outputs to n frequencies. */
FG_INLINE void gradient_line(const int n, vec *x, const ptrdiff_t stride) {
  if (n == 1) return;
  const vec g0 = x[0], g1 = x[stride];
  if (n == 4) {
    x[stride] = g0 + g1, x[2 * stride] = g0 - g1, x[3 * stride] = -g1;
    return;
  }
  const vec g2 = x[2 * stride], g3 = x[3 * stride];
  const vec even1 = g0 + 0.5f * g2, odd1 = g1 + 0.5f * g3;
  const vec even2 = 0.25f * g0 + 0.5f * g2, odd2 = 0.5f * g1 + g3;
  x[stride] = even1 + ROOT * odd1, x[2 * stride] = even1 - ROOT * odd1;
  x[3 * stride] = even2 + ROOT * odd2, x[4 * stride] = even2 - ROOT * odd2;
  x[5 * stride] = g3;
}

/* G w: 3 taps to n frequencies. The rows of ±sqrt(2) are 4 times those of the definition and the
 * columns of A' a fourth, so that products of tiny numbers stay away from underflow. */
FG_INLINE void weight_line(const int n, vec *x, const ptrdiff_t stride) {
  if (n == 1) return;
  const vec w0 = x[0], w1 = x[stride], w2 = x[2 * stride];
  if (n == 4) {
    const vec half = (w0 + w2) * 0.5f;
    x[stride] = half + w1 * 0.5f, x[2 * stride] = half - w1 * 0.5f, x[3 * stride] = w2;
    return;
  }
  const vec even1 = (-1 / 1.5f) * w0 - (0.5f / 1.5f) * w2, even2 = (1 / 1.5f) * w0 + (2 / 1.5f) * w2;
  x[stride] = even1 - (ROOT / 1.5f) * w1, x[2 * stride] = even1 + (ROOT / 1.5f) * w1;
  x[3 * stride] = even2 + (2 * ROOT / 1.5f) * w1, x[4 * stride] = even2 - (2 * ROOT / 1.5f) * w1;
  x[5 * stride] = w2;
}

/* G' u: n frequencies to the gradients of 3 taps. */
FG_INLINE void weight_gradient_line(const int n, vec *x, const ptrdiff_t stride) {
  if (n == 1) return;
  const vec sum = x[stride] + x[2 * stride], difference = x[stride] - x[2 * stride];
  if (n == 4) {
    x[0] += sum * 0.5f, x[stride] = difference * 0.5f, x[2 * stride] = sum * 0.5f + x[3 * stride];
    return;
  }
  const vec sum2 = x[3 * stride] + x[4 * stride], difference2 = x[3 * stride] - x[4 * stride];
  x[0] += (sum2 - sum) * (1 / 1.5f);
  x[stride] = (2.0f * difference2 - difference) * (ROOT / 1.5f);
  x[2 * stride] = (2.0f * sum2 - 0.5f * sum) * (1 / 1.5f) + x[5 * stride];
}

/* The sizes of tiles there are: frequencies along the three axes, small and large for images and
 * for volumes. (6, 6, 6) would double the rounding error for a few percent of time. */
#define FG_TILE_KINDS(K) K(0, 1, 4, 4) K(1, 1, 6, 6) K(2, 4, 4, 4) K(3, 4, 6, 6)
#define MOST_FREQUENCIES 144

/* Transform a tile of inputs (if gradient: of gradients of outputs), one vector of channels after
 * the other; frequency f of channel c goes to v[f * v_step + c]. */
FG_INLINE void tile_to_frequencies(const int gradient, const int d, const int h, const int w,
                                   const float *in, const ptrdiff_t s[3], ptrdiff_t channels,
                                   float *v, ptrdiff_t v_step) {
  const int nd = gradient ? TILE(d) : d, nh = gradient ? TILE(h) : h, nw = gradient ? TILE(w) : w;
  for (ptrdiff_t c = 0; c < channels; c += FG_LANES_F32) {
    vec t[MOST_FREQUENCIES];
    for (int a = 0; a < nd; a++) {
      vec *slice = t + a * h * w;
      for (int b = 0; b < nh; b++) {
        vec *row = slice + b * w;
        const float *from = in + a * s[0] + b * s[1] + c;
        for (int e = 0; e < nw; e++) row[e] = *(const vec *)(from + e * s[2]);
        if (gradient)
          gradient_line(w, row, 1);
        else
          input_line(w, row, 1);
      }
      for (int e = 0; e < w; e++)
        if (gradient)
          gradient_line(h, slice + e, w);
        else
          input_line(h, slice + e, w);
    }
    for (int k = 0; k < h * w; k++) {
      if (gradient)
        gradient_line(d, t + k, h * w);
      else
        input_line(d, t + k, h * w);
      for (int a = 0; a < d; a++) *(vec *)(v + (a * h * w + k) * v_step + c) = t[a * h * w + k];
    }
  }
}

/* The outputs of a tile for one vector of channels: y[(a * TILE(h) + b) * TILE(w) + e] from the
 * products m[f * m_step]. */
FG_INLINE void tile_to_outputs(const int d, const int h, const int w, const float *m,
                               ptrdiff_t m_step, vec bias, vec *y) {
  vec t[2][36];
  for (int k = 0; k < h * w; k++) {
    vec line[4];
    for (int a = 0; a < d; a++) line[a] = *(const vec *)(m + (a * h * w + k) * m_step);
    output_line(d, line, 1);
    for (int a = 0; a < TILE(d); a++) t[a][k] = line[a];
  }
  for (int a = 0; a < TILE(d); a++) {
    for (int e = 0; e < w; e++) output_line(h, t[a] + e, w);
    for (int b = 0; b < TILE(h); b++) {
      output_line(w, t[a] + b * w, 1);
      for (int e = 0; e < TILE(w); e++) *y++ = t[a][b * w + e] + bias;
    }
  }
}

/* The frequencies u[f * u_step] of one vector of output channels from its taps w[t * w_step]. */
FG_INLINE void taps_to_frequencies(const int d, const int h, const int w, const float *taps,
                                   ptrdiff_t taps_step, float *u, ptrdiff_t u_step) {
  vec t[MOST_FREQUENCIES];
  for (int a = 0; a < (d == 1 ? 1 : 3); a++) {
    vec *slice = t + a * h * w;
    for (int b = 0; b < 3; b++) {
      for (int e = 0; e < 3; e++, taps += taps_step) slice[b * w + e] = *(const vec *)taps;
      weight_line(w, slice + b * w, 1);
    }
    for (int e = 0; e < w; e++) weight_line(h, slice + e, w);
  }
  for (int k = 0; k < h * w; k++) {
    weight_line(d, t + k, h * w);
    for (int a = 0; a < d; a++) *(vec *)(u + (a * h * w + k) * u_step) = t[a * h * w + k];
  }
}

/* The transposed map: gradients of the taps from those of the frequencies, t[f], in place; those of
 * tap (a, b, e) end at t[(a * h + b) * w + e]. */
FG_INLINE void frequencies_to_taps(const int d, const int h, const int w, vec *t) {
  for (int k = 0; k < h * w; k++) weight_gradient_line(d, t + k, h * w);
  for (int a = 0; a < (d == 1 ? 1 : 3); a++) {
    vec *slice = t + a * h * w;
    for (int e = 0; e < w; e++) weight_gradient_line(h, slice + e, w);
    for (int b = 0; b < 3; b++) weight_gradient_line(w, slice + b * w, 1);
  }
}

#endif
