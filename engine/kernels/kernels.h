/* Every kernel, once: FG_KERNELS(K) lists K(result, name, (arguments)) for the compiled families.
 *
 * table.c makes one struct of pointers per instruction set from this list, cpu.c picks one of
 * them, _kernels.pyx and nn_kernels.pyx call through it. Sizes and strides are ptrdiff_t; strides
 * count elements unless a name ends in _bytes; _f32 / _f64 name the element type. */
#ifndef FG_KERNELS_H
#define FG_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "conv.h"
#include "copy.h"
#include "gemm.h"
#include "losses.h"
#include "norm.h"
#include "optimizer.h"
#include "pool.h"
#include "recurrent.h"
#include "reduce.h"
#include "resample.h"

#define FG_MAX_NDIM 64
#define FG_MAX_NEIGHBORS 256

#define FG_MAX_INPUTS 3

/* One inner loop over n elements of dense memory: inputs, then the output; two scalar attributes. Bit k
 * of repeated says that input k is one number; of unary ops, and of c, it is not looked at. */
typedef void (*fg_loop)(char *const *data, ptrdiff_t n, int repeated, const double *attributes);

/* One elementwise op: its name and its loops for both floating types. Bit k of truth says that
 * operand k (the output being n_in) is an array of truth values. */
typedef struct {
  const char *name;
  int n_in, truth;
  fg_loop f32, f64;
} fg_elementwise;

#define FG_KERNELS(K) \
  K(const fg_elementwise *, elementwise_table, (void)) \
  /* reduce.h; -1: no memory */ \
  K(int, reduce, (int f64, const fg_reduction *r)) \
  /* out[o, i, k] = sum of x[o, 0 … i, k], both (outer, n, inner), dense, not empty */ \
  K(void, cumsum, (int f64, const void *x, void *out, ptrdiff_t outer, ptrdiff_t n, ptrdiff_t inner)) \
  /* all products of a batch; workspace: so many bytes, for none NULL; bias (n) may be NULL */ \
  K(ptrdiff_t, gemm_workspace, (int f64, const fg_gemm *g)) \
  K(void, gemm, (int f64, const fg_gemm *g, const fg_gemm_batch *batch, const void *a, const void *b, const void *bias, void *c, void *workspace)) \
  /* make the one of x, w and y that `made` names from the others; conv.h; -1: memory ran out */ \
  K(int, conv, (const fg_conv *c, char made, void *x, void *w, void *y, const void *bias)) \
  /* copy to memory of another layout; elements of 4 or 8 bytes, at least one */ \
  K(void, copy, (int element_size, const fg_copy_axes *axes, const void *from, void *to)) \
  /* norm.h says what the axes are; x, out (batch, positions, channels), mean, rstd (batch, groups); \
   * weight, bias may be NULL. f64 tells the element type. -1: no memory */ \
  K(int, norm, (int f64, const fg_norm *s, const void *x, const void *weight, const void *bias, void *mean, void *rstd, void *out)) \
  K(int, norm_gradient, (int f64, const fg_norm *s, const void *g, const void *x, const void *weight, const void *bias, const void *mean, const void *rstd, void *gx, void *gweight, void *gbias)) \
  /* change rows[…].data[0] and its state by the update of this kind; sum of squares of data[0] */ \
  K(void, update, (int kind, const fg_row *rows, ptrdiff_t n_rows)) \
  K(int, sum_of_squares, (const fg_row *rows, ptrdiff_t n_rows, double *total)) \
  /* softmax, or its logarithm, over the middle axis of x (outer, n, inner), dense, not empty; if g is \
   * given: the gradient for its input, x being what it gave */ \
  K(void, softmax, (int f64, int logarithm, const void *x, const void *g, void *out, ptrdiff_t outer, ptrdiff_t n, ptrdiff_t inner)) \
  /* losses.h; loss (batch, positions) or NULL; sums: of losses and of weights; overlap sums (4, batch, \
   * classes). They return the number of classes out of range, or -1: no memory. The gradient of \
   * cross_entropy is g[i * g_step] * scale times that of position i */ \
  K(ptrdiff_t, cross_entropy, (int f64, const fg_truth *t, const void *x, void *loss, double *sums)) \
  K(void, cross_entropy_gradient, (int f64, const fg_truth *t, const void *x, const void *g, ptrdiff_t g_step, double scale, void *gx)) \
  K(ptrdiff_t, overlap_sums, (int f64, const fg_truth *t, const void *x, void *sums)) \
  K(int, overlap_sums_gradient, (int f64, const fg_truth *t, const void *x, const void *g, void *gx)) \
  /* index: flat position in its channel's map of each maximum; max_unpool adds g there */ \
  K(void, max_pool, (int f64, const fg_pool *p, const void *x, void *out, int32_t *index)) \
  K(void, max_unpool, (int f64, const fg_pool *p, const void *g, const int32_t *index, void *gx)) \
  /* out (outer, n_out, inner) = taps applied to x (outer, n_in, inner), dense, not empty */ \
  K(void, resample, (int f64, const fg_taps *taps, const void *x, void *out, ptrdiff_t outer, ptrdiff_t inner)) \
  /* list rows by segment: segment s has order[start[s]] … order[start[s + 1] - 1], or just these \
   * numbers if *sorted, when order is untouched; -1, or the first row whose id is out of range. \
   * With skip_missing, here and below, -1 stands for no segment and no row */ \
  K(ptrdiff_t, segment_order, (const ptrdiff_t *ids, ptrdiff_t n_rows, ptrdiff_t n_segments, int skip_missing, ptrdiff_t *start, ptrdiff_t *order, int *sorted)) \
  /* kind 0: sum, 1: maximum, 2: minimum of x's rows by segment into out (segment, feature), with arg \
   * (int32 for float, int64 for double; -1: no row) telling the row; 3: softmax into out, like x */ \
  K(void, segment_reduce, (int f64, int kind, const void *x, const ptrdiff_t *start, const ptrdiff_t *order, void *out, void *arg, ptrdiff_t n_segments, ptrdiff_t features)) \
  /* rows[r, f] = x[index[r, f], f], 0 where that is -1; back: x = 0, then x[index[r, f], f] = … */ \
  K(void, segment_pick, (int f64, int back, void *x, const void *index, void *rows, ptrdiff_t n, ptrdiff_t features, ptrdiff_t n_x)) \
  /* out[i] = row index[i] of x (n_x rows), zeros for -1; -1, or the first index out of range */ \
  K(ptrdiff_t, gather, (const void *x, ptrdiff_t n_x, const ptrdiff_t *index, ptrdiff_t n, int skip_missing, void *out, ptrdiff_t row_bytes)) \
  /* out[i] += x[j] w[p], out[j] += sign x[i] w[p] for each pair p = (i, j) of rows of x, from zeros; \
   * the product: out[p] = a[i] b[j] + sign a[j] b[i]. pairs: every i, then every j. They return -1, \
   * or the first place in pairs that is out of range */ \
  K(ptrdiff_t, pair_sum, (int f64, int sign, const void *x, const void *w, const ptrdiff_t *pairs, void *out, ptrdiff_t n_pairs, ptrdiff_t n_rows, ptrdiff_t features)) \
  K(ptrdiff_t, pair_product, (int f64, int sign, const void *a, const void *b, const ptrdiff_t *pairs, void *out, ptrdiff_t n_pairs, ptrdiff_t n_rows, ptrdiff_t features)) \
  /* out (batch, n, m): distances, or their squares, of x (batch, n, dims) to y (batch, m, dims) */ \
  K(void, cdist, (int f64, int squared, const void *x, const void *y, void *out, ptrdiff_t batch, ptrdiff_t n, ptrdiff_t m, ptrdiff_t dims)) \
  /* index (batch, n, k): the nearest among the points of x (batch, n, dims) whose mask (NULL: all) \
   * is not 0, nearest first, of equal ones the first; -1 where there is no more; 0 < k <= MAX */ \
  K(void, knn, (int f64, const void *x, const uint8_t *mask, int64_t *index, ptrdiff_t batch, ptrdiff_t n, ptrdiff_t dims, ptrdiff_t k, int include_self)) \
  K(void, knn_ragged, (int f64, const void *x, const ptrdiff_t *offsets, int64_t *index, ptrdiff_t batch, ptrdiff_t dims, ptrdiff_t k, int include_self)) \
  /* recurrent.h has the sizes. States h, c (LSTM) after every step into out (batch, steps, hidden, \
   * or twice that: h, then c), from the first h, c (batch, hidden), the input's part of the gates, the \
   * transposed weight (hidden, gates) and a bias (gates) or NULL; saved (batch, steps, 4 hidden). \
   * workspace has FG_RECURRENT_ROWS * (states + gates) elements for each task */ \
  K(void, recurrent, (int f64, const fg_recurrent *s, const void *gates, const void *h, const void *c, const void *weight, const void *bias, void *out, void *saved, void *workspace)) \
  /* gradients of the gates, of the part of them that comes from the state (GRU; LSTM: the same), of \
   * h and c, from that of out; weight (gates, hidden) */ \
  K(void, recurrent_gradient, (int f64, const fg_recurrent *s, const void *g, const void *h, const void *c, const void *weight, const void *out, const void *saved, void *ggates, void *ghidden, void *gh, void *gc))

typedef struct {
  const char *isa;
#define FG_FIELD(result, name, arguments) result(*name) arguments;
  FG_KERNELS(FG_FIELD)
#undef FG_FIELD
} fg_kernels;

/* The table of one instruction set, or NULL where it was not built or the processor lacks it;
 * NULL as the name asks for the best one. */
const fg_kernels *fg_select(const char *isa);

/* Whether large products of float arrays round their factors to bfloat16; sums stay float. To be
 * changed by fg_round_products only, which returns -1 where these kernels cannot. */
extern int fg_bfloat16;
int fg_round_products(const fg_kernels *kernels, int wanted);

#endif
