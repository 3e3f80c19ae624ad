/* Scalar functions that a compiler can vectorize: no branches, no calls, no tables.
 *
 * Each exists as name_f32 and name_f64. The f32 forms are polynomials with the stated error against
 * float64; the f64 forms are the C library's. NaN passes through, overflow gives infinity. Arguments
 * for which beyond_name holds are left to exact_name, the C library's function. */
#ifndef FG_SCALAR_MATH_H
#define FG_SCALAR_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

FG_INLINE float bits_to_f32(int32_t i) { float f; memcpy(&f, &i, 4); return f; }
FG_INLINE int32_t f32_to_bits(float f) { int32_t i; memcpy(&i, &f, 4); return i; }
/* 2^e; unsigned, because for NaN e is anything. */
FG_INLINE float power_of_two_f32(int32_t e) {
  return bits_to_f32((int32_t)(((uint32_t)e + 127u) << 23));
}

/* e^x: x = r ln 2 + f, |f| <= ln 2 / 2, polynomial of degree 6 in f (coefficients: Taylor, refined
 * for the interval), scaled by 2^r in two steps so that results down to the subnormals are right.
 * Relative error <= 2e-7. */
FG_INLINE float exp_f32(float x) {
  float c = x < -104.0f ? -104.0f : x;
  c = c > 89.0f ? 89.0f : c;
  float r = c * 1.44269504f + 12582912.0f;  /* round to nearest by adding 1.5 * 2^23 */
  r -= 12582912.0f;
  float f = c - r * 0.693359375f;
  f = f + r * 2.12194440e-4f;
  float p = 1.3930436e-3f;
  p = p * f + 8.3668670e-3f;
  p = p * f + 4.1666416e-2f;
  p = p * f + 1.6666517e-1f;
  p = p * f + 5.0000000e-1f;
  p = p * f * f + f + 1.0f;
  int32_t i = (int32_t)r, half = i >> 1;
  p = p * power_of_two_f32(half) * power_of_two_f32(i - half);
  return x != x ? x : p;
}
FG_INLINE double exp_f64(double x) { return exp(x); }

/* e^x for x <= 0, or NaN: the same polynomial without what only larger x need; results that would be
 * subnormal are 0. */
FG_INLINE float decay_f32(float x) {
  float r = x * 1.44269504f + 12582912.0f;
  r -= 12582912.0f;
  float f = x - r * 0.693359375f;
  f = f + r * 2.12194440e-4f;
  float p = 1.3930436e-3f;
  p = p * f + 8.3668670e-3f;
  p = p * f + 4.1666416e-2f;
  p = p * f + 1.6666517e-1f;
  p = p * f + 5.0000000e-1f;
  p = p * f * f + f + 1.0f;
  p = p * power_of_two_f32((int32_t)r);
  return x < -87.0f ? 0.0f : p;
}
FG_INLINE double decay_f64(double x) { return exp(x); }

/* ln x: x = 2^e m with m in [sqrt(1/2), sqrt 2), then 2 atanh((m - 1) / (m + 1)) by its odd series.
 * Subnormal inputs are scaled up first. Relative error <= 3e-7 away from 1, absolute 1e-7 near it. */
FG_INLINE float log_f32(float x) {
  int tiny = x < 1.17549435e-38f;
  float scaled = tiny ? x * 8388608.0f : x;
  int32_t i = (int32_t)((uint32_t)f32_to_bits(scaled) - 0x3f3504f3u);
  int32_t e = i >> 23;
  float m = bits_to_f32((i & 0x007fffff) + 0x3f3504f3);
  float s = (m - 1.0f) / (m + 1.0f), z = s * s;
  float p = 0.2446f;
  p = p * z + 0.28498f;
  p = p * z + 0.40000972f;
  p = p * z + 0.66666666f;
  float n = (float)e - (tiny ? 23.0f : 0.0f);
  float y = n * 0.693359375f + (2.0f * s + (s * z * p - n * 2.12194440e-4f));
  y = x == INFINITY ? INFINITY : y;
  y = x == 0.0f ? -INFINITY : y;
  return x < 0.0f || x != x ? NAN : y;
}
FG_INLINE double log_f64(double x) { return log(x); }

/* tanh x = 1 - 2 / (e^{2x} + 1), and an odd polynomial below 0.55 where that form cancels.
 * Relative error <= 3e-7. */
FG_INLINE float tanh_f32(float x) {
  float z = x * x;
  float p = 2.10461112e-2f - z * 6.24405918e-3f;
  p = p * z - 5.38444134e-2f;
  p = p * z + 0.133324792f;
  p = p * z - 0.333333117f;
  float small = z == 0.0f ? x : x + x * z * p;
  float large = 1.0f - 2.0f / (exp_f32(2.0f * x) + 1.0f);
  return z < 0.3025f ? small : large;
}
FG_INLINE double tanh_f64(double x) { return tanh(x); }

/* From e^-|x|, which does not overflow where the result is small. */
FG_INLINE float sigmoid_f32(float x) {
  float t = exp_f32(-fabsf(x));
  return (x < 0.0f ? t : 1.0f) / (1.0f + t);
}
FG_INLINE double sigmoid_f64(double x) { return 1.0 / (1.0 + exp(-x)); }

/* ln(1 + e^x) = max(x, 0) + ln(1 + t), t = e^-|x|, which never overflows; ln(1 + t) = 2 artanh s with
 * s = t / (2 + t) <= 1/3, its series up to s^15. Relative error <= 2e-7. */
FG_INLINE float softplus_f32(float x) {
  float t = exp_f32(-fabsf(x));
  float s = t / (2.0f + t), z = s * s;
  float p = 6.66666667e-2f;
  p = p * z + 7.69230769e-2f;
  p = p * z + 9.09090909e-2f;
  p = p * z + 0.111111111f;
  p = p * z + 0.142857143f;
  p = p * z + 0.2f;
  p = p * z + 0.333333333f;
  return (x > 0.0f ? x : 0.0f) + (2.0f * s + 2.0f * s * (z * p));
}
FG_INLINE double softplus_f64(double x) { return (x > 0 ? x : 0) + log1p(exp(-fabs(x))) + (x != x ? x : 0); }

/* e^x - 1: x + x² P(x) below 0.4, where the difference would cancel. Relative error <= 6e-7. */
FG_INLINE float expm1_f32(float x) {
  float p = 1.39577117e-3f + x * 1.98471724e-4f;
  p = p * x + 8.33343317e-3f;
  p = p * x + 4.16661266e-2f;
  p = p * x + 0.16666666f;
  p = p * x + 0.5f;
  float small = x == 0.0f ? x : x + x * x * p;
  return fabsf(x) < 0.4f ? small : exp_f32(x) - 1.0f;
}
FG_INLINE double expm1_f64(double x) { return expm1(x); }

/* ln(1 + x) from ln u, u = 1 + x rounded: ln u · x / (u - 1) undoes the rounding (Kahan). */
FG_INLINE float log1p_f32(float x) {
  float u = 1.0f + x;
  float y = log_f32(u) * (x / (u - 1.0f));
  return u == 1.0f || u == INFINITY ? x : y;
}
FG_INLINE double log1p_f64(double x) { return log1p(x); }

/* erf x: odd polynomial below 1; beyond, 1 - e^R with R a polynomial for ln erfc, and 1 from 4 on,
 * where erfc is below half a unit in the last place. Relative error <= 3e-7. */
FG_INLINE float erf_f32(float x) {
  float t = fabsf(x), z = x * x;
  float s = -8.01019281e-4f + z * 7.85385785e-5f;
  s = s * z + 5.18832763e-3f;
  s = s * z - 2.68538119e-2f;
  s = s * z + 0.112835851f;
  s = s * z - 0.376126258f;
  s = s * z + 1.12837917f;
  float c = t > 4.0f ? 4.0f : t;
  float r = -2.99955178e-3f + c * 1.91505306e-4f;
  r = r * c + 2.20520402e-2f;
  r = r * c - 0.103566978f;
  r = r * c - 0.637599943f;
  r = r * c - 1.12742614f;
  r = r * c - 2.56432508e-4f;
  float large = copysignf(1.0f - exp_f32(r), x);
  large = x != x ? x : large;
  return t < 1.0f ? x * s : large;
}
FG_INLINE double erf_f64(double x) { return erf(x); }

/* The normal distribution function: e^{-x²/2} M(|x|) below 0 and 1 less that above, with Mills' ratio M
 * a polynomial in 1 / (1 + 0.3 |x|). Relative error <= 3e-7 for |x| < 3, and 4e-8 x² beyond. */
FG_INLINE float normal_f32(float x) {
  float u = 1.0f / (1.0f + 0.3f * fabsf(x));
  float m = -0.157219157f + u * 0.0356785432f;
  m = m * u + 0.206381693f;
  m = m * u - 0.0537099056f;
  m = m * u + 0.128575608f;
  m = m * u + 0.0999092534f;
  m = m * u + 0.120754629f;
  m = m * u + 0.119629256f;
  float tail = decay_f32(-0.5f * x * x) * (m * u);
  return x > 0.0f ? 1.0f - tail : tail;
}
FG_INLINE double normal_f64(double x) { return 0.5 * erfc(x * -0.70710678118654752440); }
/* Its density. */
FG_INLINE float normal_density_f32(float x) { return 0.39894228f * decay_f32(-0.5f * x * x); }
FG_INLINE double normal_density_f64(double x) { return 0.39894228040143267794 * exp(-0.5 * x * x); }

/* The derivative of x · sigmoid(x). */
FG_INLINE float silu_slope_f32(float x) { float s = sigmoid_f32(x); return s * (1.0f + x * (1.0f - s)); }
FG_INLINE double silu_slope_f64(double x) { double s = sigmoid_f64(x); return s * (1.0 + x * (1.0 - s)); }

/* Sine and cosine: x = k π/2 + r in double, |r| <= π/4, where π/2 in three parts leaves r good to
 * 1e-13 for |x| < 2^28; then a polynomial by the quadrant. Relative error <= 3e-7. */
FG_INLINE float wave_f32(float x, int quarter) {
  double k = (double)x * 0.63661977236758134308 + 6755399441055744.0;
  k -= 6755399441055744.0;
  double r = (double)x - k * 1.57079625129699707031;
  r -= k * 7.54978941586159635335e-8;
  r -= k * 5.390302858158119e-15;
  float f = (float)r, z = f * f;
  float s = -1.98391618e-4f + z * 2.71697197e-6f;
  s = s * z + 8.33332865e-3f;
  s = s * z - 0.166666666f;
  s = z == 0.0f ? f : f + f * z * s;
  float c = -1.38865738e-3f + z * 2.43757461e-5f;
  c = c * z + 4.16666152e-2f;
  c = c * z - 0.499999996f;
  c = 1.0f + z * c;
  int32_t i = (int32_t)k + quarter;
  float y = i & 1 ? c : s;
  return i & 2 ? -y : y;
}
FG_INLINE float sin_f32(float x) { return wave_f32(x, 0); }
FG_INLINE double sin_f64(double x) { return sin(x); }
FG_INLINE float cos_f32(float x) { return wave_f32(x, 1); }
FG_INLINE double cos_f64(double x) { return cos(x); }
FG_INLINE float sqrt_f32(float x) { return sqrtf(x); }
FG_INLINE double sqrt_f64(double x) { return sqrt(x); }
FG_INLINE float abs_f32(float x) { return fabsf(x); }
FG_INLINE double abs_f64(double x) { return fabs(x); }
FG_INLINE float floor_f32(float x) { return floorf(x); }
FG_INLINE double floor_f64(double x) { return floor(x); }
FG_INLINE float ceil_f32(float x) { return ceilf(x); }
FG_INLINE double ceil_f64(double x) { return ceil(x); }
FG_INLINE float round_f32(float x) { return rintf(x); }
FG_INLINE double round_f64(double x) { return rint(x); }

/* |x|^y = 2^(y log2 |x|) in double: log2 as in log_f32 to 1e-10, then 2^f by its series to 5e-9. The
 * sign is that of an odd power; a negative base with a broken exponent gives NaN. Relative error
 * <= 2e-7. */
FG_INLINE float pow_f32(float x, float y) {
  int32_t i = (f32_to_bits(x) & 0x7fffffff) - 0x3f3504f3;
  double m = (double)bits_to_f32((i & 0x007fffff) + 0x3f3504f3);
  double s = (m - 1.0) / (m + 1.0), z = s * s;
  double p = 1.0 / 9.0 + z * (1.0 / 11.0);
  p = p * z + 1.0 / 7.0;
  p = p * z + 0.2;
  p = p * z + 1.0 / 3.0;
  p = p * z + 1.0;
  double t = (double)y * ((double)(i >> 23) + 2.88539008177792681472 * s * p);
  t = t < -200.0 ? -200.0 : t;
  t = t > 200.0 ? 200.0 : t;
  double k = t + 6755399441055744.0;
  k -= 6755399441055744.0;
  double f = (t - k) * 0.69314718055994530942;
  double e = 1.0 / 720.0 + f * (1.0 / 5040.0);
  e = e * f + 1.0 / 120.0;
  e = e * f + 1.0 / 24.0;
  e = e * f + 1.0 / 6.0;
  e = e * f + 0.5;
  e = e * f + 1.0;
  e = e * f + 1.0;
  int32_t n = (int32_t)k, half = n >> 1;
  float r = (float)e * power_of_two_f32(half) * power_of_two_f32(n - half);
  float whole = rintf(y), pair = rintf(0.5f * y) * 2.0f;
  r = x < 0.0f && pair != y ? -r : r;
  return x < 0.0f && whole != y ? NAN : r;
}
FG_INLINE double pow_f64(double x, double y) { return pow(x, y); }

FG_INLINE int beyond_wave_f32(float x) { return !(fabsf(x) < 268435456.0f); }
FG_INLINE int beyond_wave_f64(double x) { (void)x; return 0; }
FG_INLINE float exact_sin_f32(float x) { return sinf(x); }
FG_INLINE double exact_sin_f64(double x) { return sin(x); }
FG_INLINE float exact_cos_f32(float x) { return cosf(x); }
FG_INLINE double exact_cos_f64(double x) { return cos(x); }
/* Zero, subnormal and infinite bases, infinite exponents, and NaN. */
FG_INLINE int beyond_pow_f32(float x, float y) {
  return !((fabsf(x) >= 1.17549435e-38f) & (fabsf(x) <= 3.40282347e38f) & (fabsf(y) <= 3.40282347e38f));
}
FG_INLINE int beyond_pow_f64(double x, double y) { (void)x; (void)y; return 0; }
FG_INLINE float exact_pow_f32(float x, float y) { return powf(x, y); }
FG_INLINE double exact_pow_f64(double x, double y) { return pow(x, y); }

#endif
