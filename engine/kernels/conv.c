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

#include <stdlib.h>
#include <string.h>

#include "isa.h"
#include "kernels.h"
#include "threads.h"
#include "winograd.h"

/* Bytes that the input of a box, and one slice of a weight panel, may take: together they leave
 * room for outputs in a cache of 512 KiB. */
#define BOX_BYTES (192 << 10)
#define PANEL_BYTES (128 << 10)
/* Tasks to aim at where the shape allows: several for each thread of a large machine. */
#define N_TASKS 64
/* Positions of a box of the weight gradient: two operands of 64 bytes each in a first-level cache. */
#define OUTER_POSITIONS 384
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
  ptrdiff_t slab_channels; /* input channels in a padded copy */
  ptrdiff_t in_size[3], in_step[3], out_step[3];
  ptrdiff_t in_strides[5], out_strides[5];
  ptrdiff_t w_group, w_in, w_out, w_taps[3];
  ptrdiff_t n_phases[3];
  phase *phases[3];
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

/* Cut the positions into boxes: long in the last axis, then in the second, as far as the input of
 * a box stays within max_elements and a box within max_positions. */
static void choose_box(plan *p, ptrdiff_t max_elements, ptrdiff_t max_positions) {
  ptrdiff_t span[3], elements = p->slab_channels, positions = 1;
  for (int a = 0; a < 3; a++) {
    span[a] = p->high[a] - p->low[a] + 1;
    elements *= span[a];
    p->box[a] = 1;
  }
  for (int a = 2; a >= 0; a--) {
    elements /= span[a];
    const ptrdiff_t length = max_elements / FG_MAX(elements, 1);
    ptrdiff_t box = FG_MIN((length - span[a]) / p->in_step[a] + 1, max_positions / positions);
    box = FG_MAX(FG_MIN(box, p->n[a]), 1);
    p->box[a] = FG_MAX(ceil_div(p->n[a], FG_MAX(ceil_div(p->n[a], box), 1)), 1);
    elements *= (p->box[a] - 1) * p->in_step[a] + span[a];
    positions *= p->box[a];
    if (p->box[a] < p->n[a]) break;
  }
  for (int a = 0; a < 3; a++) p->n_boxes[a] = ceil_div(p->n[a], p->box[a]);
}

static void free_plan(plan *p) {
  for (int a = 0; a < 3; a++) free(p->phases[a]);
}

/* Returns 0, or -1 where memory ran out. */
static int make_plan(plan *p, const fg_conv *c, int transposed, ptrdiff_t element_size,
                     ptrdiff_t max_positions) {
  const int depthwise = c->groups > 1 && c->x_channels == 1 && c->y_channels == 1;
  const ptrdiff_t joined = depthwise ? c->groups : 1, lanes = FG_VECTOR / element_size;
  *p = (plan){.depthwise = depthwise,
              .batch = c->batch,
              .groups = c->groups / joined,
              .in_channels = joined * (transposed ? c->y_channels : c->x_channels),
              .out_channels = joined * (transposed ? c->x_channels : c->y_channels),
              .w_group = c->y_channels * c->w_strides[0],
              .w_in = c->w_strides[transposed && !depthwise ? 0 : 1],
              .w_out = c->w_strides[transposed && !depthwise ? 1 : 0]};
  p->seen_channels = depthwise ? 1 : p->in_channels;
  p->slab_channels = depthwise ? ceil_div(p->in_channels, lanes) * lanes : p->in_channels;
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
    for (ptrdiff_t i = 0; i < p->n_phases[a]; i++) {
      const phase f = transposed ? transposed_phase(c, a, i) : forward_phase(c, a);
      p->phases[a][i] = f;
      p->n[a] = FG_MAX(p->n[a], f.n);
      if (f.n_taps == 0) continue;
      p->low[a] = FG_MIN(p->low[a], f.offset);
      p->high[a] = FG_MAX(p->high[a], f.offset + (f.n_taps - 1) * f.offset_step);
    }
  }
  fold(p, 1);
  fold(p, 0);
  /* Halving the budget until there are enough boxes costs some copying and balances the threads. */
  ptrdiff_t budget = BOX_BYTES / element_size;
  for (int round = 0; round < 4; round++, budget /= 2) {
    choose_box(p, budget, max_positions);
    if (p->batch * p->groups * p->n_boxes[0] * p->n_boxes[1] * p->n_boxes[2] >= N_TASKS / 2) break;
  }
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

int FG(conv)(const fg_conv *c, char made, void *x, void *w, void *y, const void *bias) {
  if (c->element_size == sizeof(double))
    return made == 'y'   ? conv_f64(c, x, w, bias, y)
           : made == 'x' ? conv_transpose_f64(c, y, w, bias, x)
                         : conv_weight_f64(c, x, y, w);
  if (c->method + FG(winograd_choice)(c) > 2)
    return made == 'y'   ? FG(winograd)(c, x, w, bias, y, conv_f32)
           : made == 'x' ? FG(winograd_transpose)(c, y, w, bias, x, conv_transpose_f32)
                         : FG(winograd_weight)(c, x, y, w, conv_weight_f32);
  return made == 'y'   ? conv_f32(c, x, w, bias, y)
         : made == 'x' ? conv_transpose_f32(c, y, w, bias, x)
                       : conv_weight_f32(c, x, y, w);
}
