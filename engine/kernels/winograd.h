/* Winograd convolution in float32, for conv.c to choose; conv.h says what the arrays are. */
#ifndef FG_WINOGRAD_H
#define FG_WINOGRAD_H

#include "conv.h"
#include "isa.h"

/* 0 where the method cannot serve, 1 where it can, 2 where it should be faster than direct sums. */
int FG(winograd_choice)(const fg_conv *c);

/* The same task by direct sums: out from in and weights, or weights from x and the gradient of y. */
typedef int fg_conv_f32(const fg_conv *c, const float *in, const float *w, const float *bias,
                        float *out);
typedef int fg_conv_weight_f32(const fg_conv *c, const float *x, const float *y, float *w);

/* Make y, x or w; bias may be NULL; `direct` makes again what is not finite; -1 where memory ran
 * out. */
int FG(winograd)(const fg_conv *c, const float *x, const float *w, const float *bias, float *y,
                 fg_conv_f32 *direct);
int FG(winograd_transpose)(const fg_conv *c, const float *y, const float *w, const float *bias,
                           float *x, fg_conv_f32 *direct);
int FG(winograd_weight)(const fg_conv *c, const float *x, const float *y, float *w,
                        fg_conv_weight_f32 *direct);

#endif
