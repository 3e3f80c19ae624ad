/* Winograd convolution in float32, for conv.c to choose; conv.h says what the arrays are. */
#ifndef FG_WINOGRAD_H
#define FG_WINOGRAD_H

#include "conv.h"
#include "isa.h"

/* 0 where the method cannot serve, 1 where it can, 2 where it should be faster than direct sums. */
int FG(winograd_choice)(const fg_conv *c);

/* Make y, x or w; bias may be NULL; -1 where memory ran out. */
int FG(winograd)(const fg_conv *c, const float *x, const float *w, const float *bias, float *y);
int FG(winograd_transpose)(const fg_conv *c, const float *y, const float *w, const float *bias,
                           float *x);
int FG(winograd_weight)(const fg_conv *c, const float *x, const float *y, float *w);

#endif
