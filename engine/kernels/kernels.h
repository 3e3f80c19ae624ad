/* Every kernel, once: FG_KERNELS(K) lists K(result, name, (arguments)) for the compiled families.
 *
 * table.c makes one struct of pointers per instruction set from this list, cpu.c picks one of
 * them, _kernels.pyx calls through it. Sizes and strides are ptrdiff_t; strides count elements
 * unless a name ends in _bytes; _f32 / _f64 name the element type. */
#ifndef FG_KERNELS_H
#define FG_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "conv.h"
#include "norm.h"
#include "pool.h"
#include "resample.h"

#define FG_MAX_NDIM 64

/* One inner loop: n elements, byte strides, up to two scalar attributes. */
typedef void (*fg_loop)(const char *a, const char *b, char *out, ptrdiff_t n, ptrdiff_t stride_a,
                        ptrdiff_t stride_b, ptrdiff_t stride_out, const double *attributes);

/* One elementwise op: its name and its loops for both floating types. n_in is 1 or 2. */
typedef struct {
  const char *name;
  int n_in;
  fg_loop f32, f64;
} fg_elementwise;

#define FG_KERNELS(K) \
  K(const fg_elementwise *, elementwise_table, (void)) \
  /* out (outer, inner) = sum (kind 0), maximum (1) or minimum (2) of x (outer, n, inner), dense */ \
  K(int, reduce_f32, (int kind, const float *x, float *out, ptrdiff_t outer, ptrdiff_t n, ptrdiff_t inner)) \
  K(int, reduce_f64, (int kind, const double *x, double *out, ptrdiff_t outer, ptrdiff_t n, ptrdiff_t inner)) \
  /* conv.h says what x, y and w are to one another; -1 where memory ran out; bias may be NULL */ \
  K(int, conv_f32, (const fg_conv *c, const float *x, const float *w, const float *bias, float *y)) \
  K(int, conv_f64, (const fg_conv *c, const double *x, const double *w, const double *bias, double *y)) \
  K(int, conv_transpose_f32, (const fg_conv *c, const float *y, const float *w, const float *bias, float *x)) \
  K(int, conv_transpose_f64, (const fg_conv *c, const double *y, const double *w, const double *bias, double *x)) \
  K(int, conv_weight_f32, (const fg_conv *c, const float *x, const float *y, float *w)) \
  K(int, conv_weight_f64, (const fg_conv *c, const double *x, const double *y, double *w)) \
  /* the same in float32 by Winograd's method; its choice is 0 where it cannot, 1 where it can, and
   * 2 where it should be faster than the direct kernels */ \
  K(int, winograd_choice, (const fg_conv *c)) \
  K(int, winograd, (const fg_conv *c, const float *x, const float *w, const float *bias, float *y)) \
  K(int, winograd_transpose, (const fg_conv *c, const float *y, const float *w, const float *bias, float *x)) \
  K(int, winograd_weight, (const fg_conv *c, const float *x, const float *y, float *w)) \
  /* norm.h says what the axes are; x, out (batch, positions, channels), mean, rstd (batch, groups); \
   * weight, bias may be NULL, and out: statistics only. f64 tells the element type. -1: no memory */ \
  K(int, norm, (int f64, const fg_norm *s, const void *x, const void *weight, const void *bias, void *mean, void *rstd, void *out)) \
  K(int, norm_gradient, (int f64, const fg_norm *s, const void *g, const void *x, const void *weight, const void *bias, const void *mean, const void *rstd, void *gx, void *gweight, void *gbias)) \
  /* softmax, or its logarithm, over the middle axis of x (outer, n, inner), dense, not empty */ \
  K(void, softmax, (int f64, int logarithm, const void *x, void *out, ptrdiff_t outer, ptrdiff_t n, ptrdiff_t inner)) \
  /* index: flat position in its channel's map of each maximum; max_unpool adds g there */ \
  K(void, max_pool, (int f64, const fg_pool *p, const void *x, void *out, int32_t *index)) \
  K(void, max_unpool, (int f64, const fg_pool *p, const void *g, const int32_t *index, void *gx)) \
  /* out (outer, n_out, inner) = taps applied to x (outer, n_in, inner), dense, not empty */ \
  K(void, resample, (int f64, const fg_taps *taps, const void *x, void *out, ptrdiff_t outer, ptrdiff_t inner))

typedef struct {
  const char *isa;
#define FG_FIELD(result, name, arguments) result(*name) arguments;
  FG_KERNELS(FG_FIELD)
#undef FG_FIELD
} fg_kernels;

/* The table of one instruction set, or NULL where it was not built or the processor lacks it;
 * NULL as the name asks for the best one. */
const fg_kernels *fg_select(const char *isa);

#endif
