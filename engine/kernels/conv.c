/* Direct convolution, transposed convolution and weight gradient; conv.h states the relation.
 *
 * A convolution is cut into boxes of output positions. A box reads its input either in place or,
 * where it touches padding, from a zero-padded copy of the part it needs, small enough for the
 * second-level cache. Weights are packed in panels of two vectors of output channels, filled up
 * with zeros, so any number of channels runs through the same loop. A transposed convolution is one
 * convolution with step 1 per phase: the outputs that share a remainder modulo the stride see the
 * same taps.
 *
 * The cut into tasks and the order of every sum depend on shapes only, never on threads. */
#include "conv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "isa.h"
#include "kernels.h"
#include "threads.h"
#include "winograd.h"

/* Bytes that the input of a box may take: half of a second-level cache of 512 KiB. */
#define BOX_BYTES (192 << 10)
/* Positions of a box: addresses of each take 16 bytes. */
#define BOX_POSITIONS 1024
#define ROW_ELEMENTS 64 /* what beginning a row of a box costs */
/* Bytes of weights that serve all positions of a box before the next are read, and of a transposed
 * block of weights: half of a first-level cache. */
#define SLICE_BYTES (16 << 10)
#define TRANSPOSED_BYTES (16 << 10)
/* Bytes of the sums that a task of the weight gradient works on, again in the second cache. */
#define SUMS_BYTES (192 << 10)
/* Panels of a task where channels keep to themselves: whole pages of memory in one go. */
#define SHARE_PANELS 4
/* Tasks to aim at where the work is worth it: several for each thread of a large machine. */
#define N_TASKS 32
#define TASK_PRODUCTS ((ptrdiff_t)1 << 18) /* about 10 µs */
/* Positions that the weight gradient sums at a time: two operands of 64 bytes each in a first-level
 * cache. */
#define OUTER_POSITIONS 192
#define PARTIAL_BYTES ((ptrdiff_t)24 << 20) /* the C allocator gives back larger blocks */

/* Outputs start, start + out_step, … along one axis, which see the same taps. Output number i sees
 * through its tap number j the input index i * in_step + offset + j * offset_step. */
typedef struct {
  ptrdiff_t n, start;
  ptrdiff_t n_taps, tap, tap_step;
  ptrdiff_t offset, offset_step;
} phase;

typedef struct {
  int depthwise; /* one channel a group: taken as one group whose channels keep to themselves */
  ptrdiff_t batch, groups, in_channels, out_channels;
  ptrdiff_t seen_channels; /* input channels that an output channel sums */
  ptrdiff_t slab_channels; /* input channels that a task reads */
  ptrdiff_t in_size[3], in_step[3], out_step[3];
  ptrdiff_t in_strides[5], out_strides[5];
  ptrdiff_t w_group, w_in, w_out, w_taps[3];
  ptrdiff_t n_phases[3];
  phase *phases[3];
  ptrdiff_t most_taps;       /* of a phase */
  ptrdiff_t low[3], high[3]; /* the range of offsets over all taps and phases */
  ptrdiff_t n[3];            /* positions in the longest phase */
  ptrdiff_t box[3], n_boxes[3];
} plan;

/* All output positions as one phase. */
static phase forward_phase(const fg_conv *c, int axis) {
  return (phase){.n = c->y_size[axis],
                 .n_taps = c->kernel[axis],
                 .tap_step = 1,
                 .offset = -c->padding[axis],
                 .offset_step = c->dilation[axis]};
}

/* The outputs q of a transposed convolution with (q + padding) mod stride = remainder. Tap t serves
 * them if t * dilation has the same remainder; it then reads p = (q + padding - t * dilation) /
 * stride. Taps are listed backwards, by ascending p. */
static phase transposed_phase(const fg_conv *c, int axis, ptrdiff_t remainder) {
  const ptrdiff_t stride = c->stride[axis], dilation = c->dilation[axis];
  phase f = {.start = remainder - c->padding[axis] % stride, .tap_step = -1};
  if (f.start < 0) f.start += stride;
  if (f.start < c->x_size[axis]) f.n = ceil_div(c->x_size[axis] - f.start, stride);
  ptrdiff_t previous = -1;
  for (ptrdiff_t t = 0; t < c->kernel[axis]; t++) {
    if (t * dilation % stride != remainder) continue;
    if (previous >= 0) f.tap_step = previous - t;
    previous = f.tap = t;
    f.n_taps++;
  }
  f.offset = (f.start + c->padding[axis] - f.tap * dilation) / stride;
  f.offset_step = -f.tap_step * dilation / stride;
  return f;
}

/* An axis where output i needs input i and nothing else. */
static int is_pointwise(const plan *p, int axis) {
  const phase *f = p->phases[axis];
  return p->n_phases[axis] == 1 && f->n_taps == 1 && f->offset == 0 && p->in_step[axis] == 1 &&
         p->out_step[axis] == 1 && f->n == p->in_size[axis];
}

/* Join `axis` into the last one where both are pointwise and memory runs through, so that 1x1x1
 * convolutions become one long row. */
static void fold(plan *p, int axis) {
  if (!is_pointwise(p, axis) || !is_pointwise(p, 2) ||
      p->in_strides[2 + axis] != p->in_strides[4] * p->in_size[2] ||
      p->out_strides[2 + axis] != p->out_strides[4] * p->n[2])
    return;
  p->in_size[2] *= p->in_size[axis];
  p->n[2] = p->phases[2]->n = p->in_size[2];
  p->in_size[axis] = p->n[axis] = p->phases[axis]->n = 1;
}

/* Cut the positions into boxes that read as little as possible twice, among the cuts of every axis
 * into 1, 2, 4, … parts with at most max_elements of input and max_positions in a box. Cuts that make
 * enough tasks go first; every box makes `splits` of them for each image and group. */
static void choose_box(plan *p, ptrdiff_t max_elements, ptrdiff_t max_positions, ptrdiff_t splits) {
  const ptrdiff_t images = p->batch * p->groups * splits;
  const double products = (double)p->batch * p->groups * p->n[0] * p->n[1] * p->n[2] *
                          p->out_channels * p->seen_channels * p->most_taps;
  const ptrdiff_t tasks = products > (double)N_TASKS * TASK_PRODUCTS
                              ? N_TASKS
                              : (ptrdiff_t)(products / TASK_PRODUCTS) + 1;
  max_positions = FG_MIN(max_positions, BOX_POSITIONS);
  double least = HUGE_VAL;
  ptrdiff_t cut[3], box[3], length[3];
  for (cut[0] = 1; cut[0] < 2 * p->n[0]; cut[0] *= 2)
    for (cut[1] = 1; cut[1] < 2 * p->n[1]; cut[1] *= 2)
      for (cut[2] = 1; cut[2] < 2 * p->n[2]; cut[2] *= 2) {
        ptrdiff_t positions = 1, n_boxes = 1;
        for (int a = 0; a < 3; a++) {
          box[a] = ceil_div(p->n[a], cut[a]);
          length[a] = (box[a] - 1) * p->in_step[a] + p->high[a] - p->low[a] + 1;
          positions *= box[a];
          n_boxes *= ceil_div(p->n[a], box[a]);
        }
        const double elements =
            (double)length[0] * length[1] * (length[2] * p->slab_channels + ROW_ELEMENTS);
        double cost = elements * n_boxes;
        if (n_boxes * images < tasks) cost *= 1 + (double)tasks / (n_boxes * images);
        if (elements > max_elements || positions > max_positions) cost *= 1e3 * positions;
        if (cost >= least) continue;
        least = cost;
        memcpy(p->box, box, sizeof box);
      }
  for (int a = 0; a < 3; a++) p->n_boxes[a] = ceil_div(p->n[a], p->box[a]);
}

static void free_plan(plan *p) {
  for (int a = 0; a < 3; a++) free(p->phases[a]);
}

/* The phases along each axis that make up phase number r. */
static inline void phases_of(const plan *p, ptrdiff_t r, const phase *f[3]) {
  f[0] = p->phases[0] + r / p->n_phases[2] / p->n_phases[1];
  f[1] = p->phases[1] + r / p->n_phases[2] % p->n_phases[1];
  f[2] = p->phases[2] + r % p->n_phases[2];
}

/* Returns 0, or -1 where memory ran out. */
static int make_plan(plan *p, const fg_conv *c, int transposed, ptrdiff_t element_size) {
  const int depthwise = c->groups > 1 && c->x_channels == 1 && c->y_channels == 1;
  const ptrdiff_t joined = depthwise ? c->groups : 1, lanes = FG_VECTOR / element_size;
  *p = (plan){.depthwise = depthwise,
              .batch = c->batch,
              .groups = c->groups / joined,
              .most_taps = 1,
              .in_channels = joined * (transposed ? c->y_channels : c->x_channels),
              .out_channels = joined * (transposed ? c->x_channels : c->y_channels),
              .w_group = c->y_channels * c->w_strides[0],
              .w_in = c->w_strides[transposed && !depthwise ? 0 : 1],
              .w_out = c->w_strides[transposed && !depthwise ? 1 : 0]};
  p->seen_channels = depthwise ? 1 : p->in_channels;
  p->slab_channels = depthwise ? FG_MIN(ceil_div(p->in_channels, lanes), 2 * SHARE_PANELS) * lanes
                               : p->in_channels;
  memcpy(p->in_strides, transposed ? c->y_strides : c->x_strides, sizeof p->in_strides);
  memcpy(p->out_strides, transposed ? c->x_strides : c->y_strides, sizeof p->out_strides);
  for (int a = 0; a < 3; a++) {
    p->in_size[a] = transposed ? c->y_size[a] : c->x_size[a];
    p->in_step[a] = transposed ? 1 : c->stride[a];
    p->out_step[a] = transposed ? c->stride[a] : 1;
    p->w_taps[a] = c->w_strides[2 + a];
    p->n_phases[a] = p->out_step[a];
    p->phases[a] = malloc(p->n_phases[a] * sizeof(phase));
    if (!p->phases[a]) {
      free_plan(p);
      return -1;
    }
    ptrdiff_t most_taps = 0;
    for (ptrdiff_t i = 0; i < p->n_phases[a]; i++) {
      const phase f = transposed ? transposed_phase(c, a, i) : forward_phase(c, a);
      p->phases[a][i] = f;
      p->n[a] = FG_MAX(p->n[a], f.n);
      most_taps = FG_MAX(most_taps, f.n_taps);
      if (f.n_taps == 0) continue;
      p->low[a] = FG_MIN(p->low[a], f.offset);
      p->high[a] = FG_MAX(p->high[a], f.offset + (f.n_taps - 1) * f.offset_step);
    }
    p->most_taps *= most_taps;
  }
  fold(p, 1);
  fold(p, 0);
  return 0;
}

#define REAL float
#define VECTOR fg_vf32
#define NAME(x) x##_f32
#include "conv_typed.h"
#undef REAL
#undef VECTOR
#undef NAME

#define REAL double
#define VECTOR fg_vf64
#define NAME(x) x##_f64
#include "conv_typed.h"

#ifdef FG_ISA_amx
#include "conv_bf16.h"
#endif

static int run_whole(const fg_conv *c, char made, void *x, void *w, void *y, const void *bias) {
  if (c->element_size == sizeof(double))
    return made == 'y'   ? conv_f64(c, x, w, bias, y)
           : made == 'x' ? conv_transpose_f64(c, y, w, bias, x)
                         : conv_weight_f64(c, x, y, w);
#ifdef FG_ISA_amx
  if (bf16_choice(c, made))
    return made == 'y'   ? run_bf16(c, 0, x, w, bias, y)
           : made == 'x' ? run_bf16(c, 1, y, w, bias, x)
                         : run_weight_f32(c, sizeof(bf16), x, y, w, add_box_bf16);
#endif
  if (c->method + FG(winograd_choice)(c) > 2)
    return made == 'y'   ? FG(winograd)(c, x, w, bias, y, conv_f32)
           : made == 'x' ? FG(winograd_transpose)(c, y, w, bias, x, conv_transpose_f32)
                         : FG(winograd_weight)(c, x, y, w, conv_weight_f32);
  return made == 'y'   ? conv_f32(c, x, w, bias, y)
         : made == 'x' ? conv_transpose_f32(c, y, w, bias, x)
                       : conv_weight_f32(c, x, y, w);
}

/* The part of a dilated convolution at step 1 whose outputs are number i modulo the dilation: they
 * see inputs that share a remainder too, so it is an ordinary convolution. Says through `from` where
 * x and y of the part begin. */
static fg_conv dilated_part(const fg_conv *c, ptrdiff_t i, ptrdiff_t from[2]) {
  fg_conv part = *c;
  from[0] = from[1] = 0;
  for (int a = 2; a >= 0; a--) {
    const ptrdiff_t step = c->dilation[a], r = i % step;
    const ptrdiff_t s = (r + (step - 1) * c->padding[a]) % step; /* (r - padding) mod step */
    i /= step;
    from[0] += s * c->x_strides[2 + a];
    from[1] += r * c->y_strides[2 + a];
    part.x_size[a] = ceil_div(c->x_size[a] - s, step);
    part.y_size[a] = ceil_div(c->y_size[a] - r, step);
    part.x_strides[2 + a] *= step;
    part.y_strides[2 + a] *= step;
    part.padding[a] = (c->padding[a] + s - r) / step;
    part.dilation[a] = 1;
  }
  return part;
}

/* Parts that run by Winograd's method where the whole cannot, or 1. */
static ptrdiff_t count_parts(const fg_conv *c) {
  ptrdiff_t n = 1, from[2];
  for (int a = 0; a < 3; a++) {
    if (c->stride[a] != 1 || FG_MIN(c->x_size[a], c->y_size[a]) < c->dilation[a]) return 1;
    n *= c->dilation[a];
  }
  if (n == 1 || c->element_size != sizeof(float)) return 1;
  const fg_conv part = dilated_part(c, 0, from);
  return c->method + FG(winograd_choice)(&part) > 2 ? n : 1;
}

int FG(conv)(const fg_conv *c, char made, void *x, void *w, void *y, const void *bias) {
  const ptrdiff_t n_parts = count_parts(c);
  if (n_parts == 1) return run_whole(c, made, x, w, y, bias);
  const ptrdiff_t n_weights =
      c->groups * c->x_channels * c->y_channels * c->kernel[0] * c->kernel[1] * c->kernel[2];
  float *sum = made == 'w' ? w : NULL, *partial = made == 'w' ? scratch(n_weights * sizeof *sum) : w;
  if (!partial) return -1;
  int failed = 0;
  for (ptrdiff_t i = 0; i < n_parts && !failed; i++) {
    ptrdiff_t from[2];
    const fg_conv part = dilated_part(c, i, from);
    failed = run_whole(&part, made, (float *)x + from[0], sum && i == 0 ? sum : partial,
                       (float *)y + from[1], bias);
    for (ptrdiff_t k = 0; sum && i && k < n_weights; k++) sum[k] += partial[k];
  }
  if (sum) free(partial);
  return failed;
}
