/* Scalar functions that a compiler can vectorize: no branches, no calls, no tables.
 *
 * Each exists as name_f32 and name_f64. The f32 forms are polynomials with the stated error against
 * float64; the f64 forms are the C library's. NaN passes through, overflow gives infinity. */
#ifndef FG_SCALAR_MATH_H
#define FG_SCALAR_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

FG_INLINE float bits_to_f32(int32_t i) { float f; memcpy(&f, &i, 4); return f; }
FG_INLINE int32_t f32_to_bits(float f) { int32_t i; memcpy(&i, &f, 4); return i; }

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
  p = p * bits_to_f32((half + 127) << 23) * bits_to_f32((i - half + 127) << 23);
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
  p = p * bits_to_f32(((int32_t)r + 127) << 23);
  return x < -87.0f ? 0.0f : p;
}
FG_INLINE double decay_f64(double x) { return exp(x); }

/* ln x: x = 2^e m with m in [sqrt(1/2), sqrt 2), then 2 atanh((m - 1) / (m + 1)) by its odd series.
 * Subnormal inputs are scaled up first. Relative error <= 3e-7 away from 1, absolute 1e-7 near it. */
FG_INLINE float log_f32(float x) {
  int tiny = x < 1.17549435e-38f;
  float scaled = tiny ? x * 8388608.0f : x;
  int32_t i = f32_to_bits(scaled) - 0x3f3504f3;
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

/* tanh x = 1 - 2 / (e^{2x} + 1), and its series below 0.25 where that form cancels.
 * Relative error <= 4e-7. */
FG_INLINE float tanh_f32(float x) {
  float z = x * x;
  float small = x + x * z * (-0.33333333f + z * (0.13333281f + z * (-0.05390842f + z * 0.0205f)));
  float large = 1.0f - 2.0f / (exp_f32(2.0f * x) + 1.0f);
  return z < 0.0625f ? small : large;
}
FG_INLINE double tanh_f64(double x) { return tanh(x); }

FG_INLINE float sigmoid_f32(float x) { return 1.0f / (1.0f + exp_f32(-x)); }
FG_INLINE double sigmoid_f64(double x) { return 1.0 / (1.0 + exp(-x)); }

/* ln(1 + e^x) = max(x, 0) + log1p(e^-|x|); never overflows. */
FG_INLINE float softplus_f32(float x) {
  float t = exp_f32(-fabsf(x));
  float u = 1.0f + t;
  /* log1p through log: log(u) * t / (u - 1) undoes the rounding of 1 + t (Kahan). */
  float l = u == 1.0f ? t : log_f32(u) * t / (u - 1.0f);
  return (x > 0.0f ? x : 0.0f) + l + (x != x ? x : 0.0f);
}
FG_INLINE double softplus_f64(double x) { return (x > 0 ? x : 0) + log1p(exp(-fabs(x))) + (x != x ? x : 0); }

FG_INLINE float expm1_f32(float x) { return expm1f(x); }
FG_INLINE double expm1_f64(double x) { return expm1(x); }
FG_INLINE float log1p_f32(float x) { return log1pf(x); }
FG_INLINE double log1p_f64(double x) { return log1p(x); }
FG_INLINE float erf_f32(float x) { return erff(x); }
FG_INLINE double erf_f64(double x) { return erf(x); }
FG_INLINE float sin_f32(float x) { return sinf(x); }
FG_INLINE double sin_f64(double x) { return sin(x); }
FG_INLINE float cos_f32(float x) { return cosf(x); }
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
FG_INLINE float pow_f32(float x, float y) { return powf(x, y); }
FG_INLINE double pow_f64(double x, double y) { return pow(x, y); }

#endif
