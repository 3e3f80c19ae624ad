/* The part of conv.c that depends on the element type; conv_blocks.h says what to define. */
#include "conv_blocks.h"

typedef struct {
  plan p;
  const REAL *in;
  const REAL *w;   /* as given */
  REAL *bias;      /* one value per output channel of all groups, zeros filled in */
  REAL *packed, *out;
  ptrdiff_t padded;    /* output channels of a group, filled up to whole vectors */
  ptrdiff_t n_panels, n_splits, n_boxes;
  int failed; /* a task ran out of memory */
} NAME(job);

/* Columns of a panel, and how many vectors they take. */
static ptrdiff_t NAME(panel_width)(ptrdiff_t channels, ptrdiff_t panel, int *vectors) {
  const ptrdiff_t width = FG_MIN(channels - panel * 2 * LANES, 2 * LANES);
  *vectors = width > LANES ? 2 : 1;
  return width;
}

/* ---- weights: [phase][group][panel][tap][input channel][column] ---- */

static REAL *NAME(packed_panel)(const NAME(job) *job, ptrdiff_t taps_before, ptrdiff_t n_taps,
                                ptrdiff_t group, ptrdiff_t panel) {
  const plan *p = &job->p;
  return job->packed + p->seen_channels * (job->padded * (taps_before * p->groups + group * n_taps) +
                                         panel * 2 * LANES * n_taps);
}

/* Input channels that are transposed at a time: what is read and what is written stay in the first
 * cache. */
static ptrdiff_t NAME(channel_block)(ptrdiff_t n_taps) {
  return FG_MAX(TRANSPOSED_BYTES / (FG_MAX(n_taps, 1) * 2 * LANES * (ptrdiff_t)sizeof(REAL)), 1);
}

static void NAME(pack_weights)(void *context, ptrdiff_t i) {
  NAME(job) *job = context;
  const plan *p = &job->p;
  const ptrdiff_t group = i / job->n_panels, panel = i % job->n_panels;
  int vectors;
  const ptrdiff_t width = NAME(panel_width)(p->out_channels, panel, &vectors);
  const ptrdiff_t columns = vectors * LANES, tap_size = p->seen_channels * columns;
  const REAL *w = job->w + group * p->w_group + panel * 2 * LANES * p->w_out;
  ptrdiff_t *from = scratch(p->most_taps * sizeof(ptrdiff_t));
  if (!from) {
    job->failed = 1;
    return;
  }
  ptrdiff_t taps_before = 0;
  for (ptrdiff_t r = 0; r < p->n_phases[0] * p->n_phases[1] * p->n_phases[2]; r++) {
    const phase *f[3];
    phases_of(p, r, f);
    ptrdiff_t n_taps = 0;
    for (ptrdiff_t a = 0; a < f[0]->n_taps; a++)
      for (ptrdiff_t b = 0; b < f[1]->n_taps; b++)
        for (ptrdiff_t e = 0; e < f[2]->n_taps; e++)
          from[n_taps++] = (f[0]->tap + a * f[0]->tap_step) * p->w_taps[0] +
                           (f[1]->tap + b * f[1]->tap_step) * p->w_taps[1] +
                           (f[2]->tap + e * f[2]->tap_step) * p->w_taps[2];
    REAL *to = NAME(packed_panel)(job, taps_before, n_taps, group, panel);
    if (width < columns) memset(to, 0, n_taps * tap_size * sizeof(REAL));
    const ptrdiff_t block = NAME(channel_block)(n_taps);
    for (ptrdiff_t first = 0; first < p->seen_channels; first += block)
      for (ptrdiff_t o = 0; o < width; o++)
        for (ptrdiff_t c = first; c < FG_MIN(first + block, p->seen_channels); c++)
          for (ptrdiff_t t = 0; t < n_taps; t++)
            to[t * tap_size + c * columns + o] = w[o * p->w_out + c * p->w_in + from[t]];
    taps_before += n_taps;
  }
  free(from);
}

/* ---- the input of a box ---- */

/* Channels that a share of the panels reads: all, or, where channels keep to themselves, those of the
 * panels, filled up to whole vectors in `padded`. */
static ptrdiff_t NAME(channels_read)(const plan *p, ptrdiff_t first_panel, ptrdiff_t last_panel,
                                     ptrdiff_t *padded) {
  const ptrdiff_t own = FG_MIN(last_panel * 2 * LANES, p->out_channels) - first_panel * 2 * LANES;
  *padded = p->depthwise ? ceil_div(own, LANES) * LANES : p->in_channels;
  return p->depthwise ? own : p->in_channels;
}

/* What a box reads: the address of its first input position and three strides. It is read in place
 * if that needs no padding and uses each element little; else from a dense copy, since rows that lie powers
 * of two apart evict one another from a cache. The caller frees the buffer of the copy. Returns -1
 * where memory ran out. */
typedef struct {
  const REAL *first;
  ptrdiff_t strides[3];
  REAL *buffer;
} NAME(slab);

static int NAME(read_box)(const plan *p, const REAL *in, ptrdiff_t channels,
                          ptrdiff_t padded_channels, const ptrdiff_t begin[3],
                          const ptrdiff_t n[3], NAME(slab) *slab) {
  ptrdiff_t first[3], length[3];
  int inside = channels == padded_channels && (p->most_taps == 1 || p->depthwise);
  for (int a = 0; a < 3; a++) {
    first[a] = begin[a] * p->in_step[a] + p->low[a];
    length[a] = (n[a] - 1) * p->in_step[a] + p->high[a] - p->low[a] + 1;
    inside &= first[a] >= 0 && first[a] + length[a] <= p->in_size[a];
    slab->strides[a] = p->in_strides[2 + a];
  }
  slab->buffer = NULL;
  slab->first = in + first[0] * slab->strides[0] + first[1] * slab->strides[1] +
                first[2] * slab->strides[2];
  if (inside) return 0;
  slab->buffer = scratch(length[0] * length[1] * length[2] * padded_channels * sizeof(REAL));
  if (!slab->buffer) return -1;
  NAME(copy_padded)(in, slab->strides, p->in_size, first, length, channels, padded_channels,
                    slab->buffer);
  slab->first = slab->buffer;
  slab->strides[2] = padded_channels;
  slab->strides[1] = length[2] * padded_channels;
  slab->strides[0] = length[1] * slab->strides[1];
  return 0;
}

/* Box number i of the plan: its first position and its size. */
static void NAME(locate_box)(const plan *p, ptrdiff_t i, ptrdiff_t begin[3], ptrdiff_t n[3]) {
  for (int a = 2; a >= 0; a--) {
    begin[a] = i % p->n_boxes[a] * p->box[a];
    i /= p->n_boxes[a];
    n[a] = FG_MIN(p->box[a], p->n[a] - begin[a]);
  }
}

/* ---- convolution and transposed convolution ---- */

/* multiply_rows for any number of positions, and the first `width` columns of the panel only: where
 * these do not fill its vectors, blocks go by way of a buffer. */
static void NAME(multiply_at)(ptrdiff_t rows, int vectors, int per_channel, ptrdiff_t width,
                              const REAL *in, const ptrdiff_t *in_at, const ptrdiff_t *offsets,
                              ptrdiff_t n_runs, ptrdiff_t run, ptrdiff_t k_step, const REAL *w,
                              const REAL *start, REAL *out, const ptrdiff_t *out_at) {
  const ptrdiff_t columns = vectors * LANES, most = vectors == 2 ? FG_BLOCK_ROWS : FG_SINGLE_ROWS;
  REAL buffer[FG_SINGLE_ROWS * 2 * LANES];
  ptrdiff_t buffer_at[FG_SINGLE_ROWS];
  for (ptrdiff_t i = 0; i < most; i++) buffer_at[i] = i * columns;
  while (rows > 0) {
    const ptrdiff_t n = NEXT_ROWS(rows, most);
    REAL *to = out;
    const ptrdiff_t *at = out_at;
    if (width < columns) {
      to = buffer;
      at = buffer_at;
      memset(buffer, 0, n * columns * sizeof(REAL));
      for (ptrdiff_t i = 0; !start && i < n; i++)
        for (ptrdiff_t j = 0; j < width; j++) buffer[i * columns + j] = out[out_at[i] + j];
    }
#define BLOCK(N, V, C)                                                                           \
  NAME(multiply_rows)                                                                            \
  (N, V, C, 1, in, 0, in_at, offsets, n_runs, run, k_step, w, start, 0, to, 0, at)
#define SINGLE(N)       \
  case N:               \
    if (per_channel)    \
      BLOCK(N, 1, 1);   \
    else                \
      BLOCK(N, 1, 0);   \
    break;
#define PAIR(N)         \
  case N:               \
    if (per_channel)    \
      BLOCK(N, 2, 1);   \
    else                \
      BLOCK(N, 2, 0);   \
    break;
    if (vectors == 2) switch (n) { FG_PAIR_CASES(PAIR) }
    else switch (n) { FG_SINGLE_CASES(SINGLE) }
#undef BLOCK
    for (ptrdiff_t i = 0; width < columns && i < n; i++)
      for (ptrdiff_t j = 0; j < width; j++) out[out_at[i] + j] = buffer[i * columns + j];
    rows -= n;
    in_at += n;
    out_at += n;
  }
}

/* All outputs of one phase in one box, for panels first_panel … last_panel - 1. out is the first
 * output of the phase in the box; tables has room for two numbers per position and one per tap.
 * Weights are applied in slices that stay in the first cache from block to block. */
static void NAME(run_phase)(const NAME(job) *job, const phase *f[3], const ptrdiff_t n[3],
                            ptrdiff_t taps_before, ptrdiff_t group, ptrdiff_t first_panel,
                            ptrdiff_t last_panel, const NAME(slab) *slab, ptrdiff_t *tables,
                            REAL *out) {
  const plan *p = &job->p;
  const ptrdiff_t *s = slab->strides, *out_strides = p->out_strides;
  const ptrdiff_t n_taps = f[0]->n_taps * f[1]->n_taps * f[2]->n_taps, channels = p->seen_channels;
  const ptrdiff_t n_positions = n[0] * n[1] * n[2];
  ptrdiff_t *in_at = tables, *out_at = tables + n_positions, *offsets = out_at + n_positions, i = 0;
  for (ptrdiff_t d = 0; d < n[0]; d++)
    for (ptrdiff_t h = 0; h < n[1]; h++)
      for (ptrdiff_t e = 0; e < n[2]; e++, i++) {
        in_at[i] = d * p->in_step[0] * s[0] + h * p->in_step[1] * s[1] + e * p->in_step[2] * s[2];
        out_at[i] = d * p->out_step[0] * out_strides[2] + h * p->out_step[1] * out_strides[3] +
                    e * p->out_step[2] * out_strides[4];
      }
  /* Taps along the last axis lie in one run with the channels where memory is dense, and at equal
   * steps where channels keep to themselves. */
  const ptrdiff_t in_slice = FG_MAX(SLICE_BYTES / (2 * LANES * (ptrdiff_t)sizeof(REAL)), 1);
  const int joined = p->depthwise || (s[2] == channels && f[2]->offset_step == 1 &&
                                      channels * f[2]->n_taps <= in_slice);
  const ptrdiff_t run = joined ? channels * f[2]->n_taps : channels;
  const ptrdiff_t slice = FG_MAX(in_slice / FG_MAX(run, 1), 1);
  ptrdiff_t n_runs = 0;
  for (ptrdiff_t a = 0; a < f[0]->n_taps; a++)
    for (ptrdiff_t b = 0; b < f[1]->n_taps; b++)
      for (ptrdiff_t e = 0; e < (joined ? FG_MIN(f[2]->n_taps, 1) : f[2]->n_taps); e++)
        offsets[n_runs++] = (f[0]->offset - p->low[0] + a * f[0]->offset_step) * s[0] +
                            (f[1]->offset - p->low[1] + b * f[1]->offset_step) * s[1] +
                            (f[2]->offset - p->low[2] + e * f[2]->offset_step) * s[2];
  for (ptrdiff_t panel = first_panel; panel < last_panel; panel++) {
    int vectors;
    const ptrdiff_t width = NAME(panel_width)(p->out_channels, panel, &vectors);
    const REAL *w = NAME(packed_panel)(job, taps_before, n_taps, group, panel);
    const REAL *bias = job->bias + group * job->padded + panel * 2 * LANES;
    const REAL *in = slab->first + (p->depthwise ? (panel - first_panel) * 2 * LANES : 0);
    for (ptrdiff_t r = 0; r == 0 || r < n_runs; r += slice)
      NAME(multiply_at)(n_positions, vectors, p->depthwise, width, in, in_at, offsets + r,
                        FG_MIN(slice, n_runs - r), run, f[2]->offset_step * s[2],
                        w + r * run * vectors * LANES, r ? NULL : bias,
                        out + panel * 2 * LANES, out_at);
  }
}

/* One box of one image and group, for a share of the panels, all phases. */
static void NAME(run_box)(void *context, ptrdiff_t i) {
  NAME(job) *job = context;
  const plan *p = &job->p;
  const ptrdiff_t split = i % job->n_splits;
  i /= job->n_splits;
  const ptrdiff_t n_boxes = p->n_boxes[0] * p->n_boxes[1] * p->n_boxes[2];
  const ptrdiff_t image = i / n_boxes / p->groups, group = i / n_boxes % p->groups;
  const ptrdiff_t first_panel = split * job->n_panels / job->n_splits;
  const ptrdiff_t last_panel = (split + 1) * job->n_panels / job->n_splits;
  ptrdiff_t begin[3], n[3], padded_channels;
  NAME(locate_box)(p, i % n_boxes, begin, n);
  const ptrdiff_t channels = NAME(channels_read)(p, first_panel, last_panel, &padded_channels);
  ptrdiff_t *tables = scratch((2 * n[0] * n[1] * n[2] + p->most_taps) * sizeof(ptrdiff_t));
  NAME(slab) slab = {.buffer = NULL};
  const REAL *in = job->in + image * p->in_strides[0] + group * p->in_channels +
                   (p->depthwise ? first_panel * 2 * LANES : 0);
  if (!tables || NAME(read_box)(p, in, channels, padded_channels, begin, n, &slab)) {
    job->failed = 1;
    free(tables);
    return;
  }
  REAL *out = job->out + image * p->out_strides[0] + group * p->out_channels;
  ptrdiff_t taps_before = 0;
  for (ptrdiff_t r = 0; r < p->n_phases[0] * p->n_phases[1] * p->n_phases[2]; r++) {
    const phase *f[3];
    ptrdiff_t clipped[3], at = 0;
    phases_of(p, r, f);
    for (int a = 0; a < 3; a++) {
      clipped[a] = FG_MIN(n[a], f[a]->n - begin[a]);
      at += (f[a]->start + begin[a] * p->out_step[a]) * p->out_strides[2 + a];
    }
    if (clipped[0] > 0 && clipped[1] > 0 && clipped[2] > 0)
      NAME(run_phase)(job, f, clipped, taps_before, group, first_panel, last_panel, &slab, tables,
                      out + at);
    taps_before += f[0]->n_taps * f[1]->n_taps * f[2]->n_taps;
  }
  free(tables);
  free(slab.buffer);
}

/* Plan a job, for boxes that copy elements of copied_size bytes, and allocate what it needs; end_job
 * frees it. Returns -1 where memory ran out. */
static int NAME(begin_job)(NAME(job) *job, const fg_conv *c, int transposed, ptrdiff_t copied_size,
                           const REAL *in, const REAL *w, const REAL *bias, REAL *out) {
  *job = (NAME(job)){.in = in, .w = w, .out = out};
  plan *p = &job->p;
  if (make_plan(p, c, transposed, sizeof(REAL))) return -1;
  job->padded = ceil_div(p->out_channels, LANES) * LANES;
  job->n_panels = ceil_div(p->out_channels, 2 * LANES);
  const ptrdiff_t outputs = p->depthwise ? p->slab_channels : p->out_channels;
  choose_box(p, BOX_BYTES / copied_size,
             BOX_BYTES / copied_size / (outputs * p->out_step[0] * p->out_step[1] * p->out_step[2]),
             p->depthwise ? ceil_div(job->n_panels, SHARE_PANELS) : job->n_panels);
  job->n_boxes = p->batch * p->groups * p->n_boxes[0] * p->n_boxes[1] * p->n_boxes[2];
  job->n_splits = p->depthwise ? ceil_div(job->n_panels, SHARE_PANELS)
                               : FG_MIN(job->n_panels, ceil_div(N_TASKS, job->n_boxes));
  const ptrdiff_t taps = c->kernel[0] * c->kernel[1] * c->kernel[2];
  job->packed = scratch(p->groups * job->padded * p->seen_channels * taps * sizeof(REAL));
  job->bias = calloc(p->groups * job->padded, sizeof(REAL));
  job->failed = !job->bias || !job->packed;
  for (ptrdiff_t g = 0; bias && !job->failed && g < p->groups; g++)
    memcpy(job->bias + g * job->padded, bias + g * p->out_channels, p->out_channels * sizeof(REAL));
  return 0;
}

static int NAME(end_job)(NAME(job) *job) {
  free(job->bias);
  free(job->packed);
  free_plan(&job->p);
  return job->failed ? -1 : 0;
}

static int NAME(run)(const fg_conv *c, int transposed, const REAL *in, const REAL *w,
                     const REAL *bias, REAL *out) {
  NAME(job) job;
  if (NAME(begin_job)(&job, c, transposed, sizeof(REAL), in, w, bias, out)) return -1;
  if (!job.failed) fg_parallel(job.p.groups * job.n_panels, NAME(pack_weights), &job);
  if (!job.failed) fg_parallel(job.n_boxes * job.n_splits, NAME(run_box), &job);
  return NAME(end_job)(&job);
}

static int NAME(conv)(const fg_conv *c, const REAL *x, const REAL *w, const REAL *bias, REAL *y) {
  return NAME(run)(c, 0, x, w, bias, y);
}

static int NAME(conv_transpose)(const fg_conv *c, const REAL *y, const REAL *w, const REAL *bias,
                                REAL *x) {
  return NAME(run)(c, 1, y, w, bias, x);
}

/* ---- weight gradient ---- */

typedef struct NAME(weight_job) NAME(weight_job);

/* The sums of one box; see add_box. */
typedef int (*NAME(box_sums))(NAME(weight_job) *job, ptrdiff_t image, ptrdiff_t group, ptrdiff_t box,
                              ptrdiff_t first_panel, ptrdiff_t last_panel, int add,
                              ptrdiff_t *tables, REAL *sums);

struct NAME(weight_job) {
  plan p;
  NAME(box_sums) add_box;
  const fg_conv *c;
  const REAL *x, *y;
  REAL *w;
  REAL *partial;      /* [chunk][group][panel][tap][input channel][column] */
  ptrdiff_t chunk_size; /* elements in one chunk's part of partial */
  ptrdiff_t padded, n_panels, n_splits, n_chunks, n_taps;
  int failed;
};

/* outer_rows for any number of rows. */
static void NAME(outer_at)(ptrdiff_t n_rows, int vectors, int per_channel, const REAL *x,
                           const ptrdiff_t *row_at, const REAL *g, const ptrdiff_t *at,
                           ptrdiff_t n_positions, int add, REAL *sum) {
  while (n_rows > 0) {
    const ptrdiff_t n = NEXT_ROWS(n_rows, vectors == 2 ? FG_BLOCK_ROWS : FG_SINGLE_ROWS);
#define BLOCK(N, V, C) \
  NAME(outer_rows)(N, V, C, 1, x, 0, row_at, 0, g, 2 * LANES, at, n_positions, add, sum)
    if (vectors == 2) switch (n) { FG_PAIR_CASES(PAIR) }
    else switch (n) { FG_SINGLE_CASES(SINGLE) }
#undef BLOCK
#undef SINGLE
#undef PAIR
    n_rows -= n;
    row_at += n;
    sum += n * vectors * LANES;
  }
}

/* The outer products of one box, added to this task's sums or starting them: some positions at a
 * time, so that what they need of both operands stays in the first cache. tables has room for one
 * number per position and one per tap and channel. */
static int NAME(add_box)(NAME(weight_job) *job, ptrdiff_t image, ptrdiff_t group, ptrdiff_t box,
                         ptrdiff_t first_panel, ptrdiff_t last_panel, int add, ptrdiff_t *tables,
                         REAL *sums) {
  const plan *p = &job->p;
  const phase *f[3] = {p->phases[0], p->phases[1], p->phases[2]};
  const ptrdiff_t panel_size = 2 * LANES, n_panels = last_panel - first_panel;
  ptrdiff_t begin[3], n[3], from[3], length[3];
  NAME(locate_box)(p, box, begin, n);
  for (int a = 0; a < 3; a++) {
    from[a] = begin[a] * p->in_step[a] + p->low[a];
    length[a] = (n[a] - 1) * p->in_step[a] + p->high[a] - p->low[a] + 1;
  }
  /* Copies in blocks of a cache line of channels: positions that lie powers of two apart would evict
   * one another from the first cache. */
  const ptrdiff_t n_positions = n[0] * n[1] * n[2], n_inputs = length[0] * length[1] * length[2];
  ptrdiff_t padded;
  const ptrdiff_t in_channels = NAME(channels_read)(p, first_panel, last_panel, &padded);
  const ptrdiff_t n_blocks = ceil_div(in_channels, panel_size);
  const ptrdiff_t width = p->depthwise ? panel_size : ceil_div(in_channels, n_blocks);
  REAL *x = scratch((n_blocks * n_inputs * width + n_panels * n_positions * panel_size) * sizeof(REAL));
  if (!x) return -1;
  REAL *g = x + n_blocks * n_inputs * width;
  const REAL *in = job->x + image * p->in_strides[0] + group * p->in_channels +
                   (p->depthwise ? first_panel * panel_size : 0);
  for (ptrdiff_t k = 0; k < n_blocks; k++)
    NAME(copy_padded)(in + k * width, p->in_strides + 2, p->in_size, from, length,
                      FG_MIN(width, in_channels - k * width), width, x + k * n_inputs * width);
  for (ptrdiff_t k = first_panel; k < last_panel; k++)
    NAME(copy_padded)(job->y + image * p->out_strides[0] + group * p->out_channels + k * panel_size,
                      p->out_strides + 2, p->n, begin, n,
                      FG_MIN(panel_size, p->out_channels - k * panel_size), panel_size,
                      g + (k - first_panel) * n_positions * panel_size);

  const ptrdiff_t s[3] = {length[1] * length[2] * width, length[2] * width, width};
  const ptrdiff_t n_rows = job->n_taps * p->seen_channels;
  ptrdiff_t *rows = tables, *at = tables + n_rows, i = 0;
  for (ptrdiff_t a = 0; a < f[0]->n_taps; a++)
    for (ptrdiff_t b = 0; b < f[1]->n_taps; b++)
      for (ptrdiff_t e = 0; e < f[2]->n_taps; e++)
        for (ptrdiff_t c = 0; c < p->seen_channels; c++)
          rows[i++] = a * f[0]->offset_step * s[0] + b * f[1]->offset_step * s[1] +
                      e * f[2]->offset_step * s[2] + c / width * n_inputs * width + c % width;
  i = 0;
  for (ptrdiff_t d = 0; d < n[0]; d++)
    for (ptrdiff_t h = 0; h < n[1]; h++)
      for (ptrdiff_t e = 0; e < n[2]; e++)
        at[i++] = d * p->in_step[0] * s[0] + h * p->in_step[1] * s[1] + e * p->in_step[2] * s[2];
  for (ptrdiff_t done = 0, some; done < n_positions; done += some) {
    some = NEXT_ROWS(n_positions - done, OUTER_POSITIONS);
    for (ptrdiff_t panel = first_panel; panel < last_panel; panel++) {
      int vectors;
      NAME(panel_width)(p->out_channels, panel, &vectors);
      NAME(outer_at)(n_rows, vectors, p->depthwise,
                     x + (p->depthwise ? (panel - first_panel) * n_inputs * width : 0), rows,
                     g + ((panel - first_panel) * n_positions + done) * panel_size, at + done, some,
                     add || done, sums + panel * panel_size * n_rows);
    }
  }
  free(x);
  return 0;
}

/* The sums of one chunk of boxes, for one group and a share of the panels. */
static void NAME(sum_chunk)(void *context, ptrdiff_t i) {
  NAME(weight_job) *job = context;
  const plan *p = &job->p;
  const ptrdiff_t split = i % job->n_splits, group = i / job->n_splits % p->groups;
  const ptrdiff_t chunk = i / job->n_splits / p->groups;
  const ptrdiff_t first_panel = split * job->n_panels / job->n_splits;
  const ptrdiff_t last_panel = (split + 1) * job->n_panels / job->n_splits;
  const ptrdiff_t n_boxes = p->n_boxes[0] * p->n_boxes[1] * p->n_boxes[2];
  const ptrdiff_t per_column = p->seen_channels * job->n_taps;
  REAL *sums = job->partial + chunk * job->chunk_size + group * job->padded * per_column;
  const ptrdiff_t total = p->batch * n_boxes;
  const ptrdiff_t first = chunk * total / job->n_chunks, end = (chunk + 1) * total / job->n_chunks;
  ptrdiff_t *tables =
      scratch((per_column + p->box[0] * p->box[1] * p->box[2]) * sizeof(ptrdiff_t));
  int failed = !tables;
  for (ptrdiff_t b = first; b < end && !failed; b++)
    failed = job->add_box(job, b / n_boxes, group, b % n_boxes, first_panel, last_panel, b > first,
                           tables, sums);
  free(tables);
  if (failed) job->failed = 1;
}

/* Add up the chunks of one panel, in order, and write its weights: some channels at a time, so that
 * the transposition stays in the first cache. */
static void NAME(write_weights)(void *context, ptrdiff_t i) {
  NAME(weight_job) *job = context;
  const plan *p = &job->p;
  const fg_conv *c = job->c;
  const ptrdiff_t group = i / job->n_panels, panel = i % job->n_panels;
  int vectors;
  const ptrdiff_t width = NAME(panel_width)(p->out_channels, panel, &vectors);
  const ptrdiff_t columns = vectors * LANES, channels = p->seen_channels;
  const REAL *sums = job->partial + (group * job->padded + panel * 2 * LANES) * channels * job->n_taps;
  REAL *w = job->w + group * p->w_group + panel * 2 * LANES * p->w_out;
  const ptrdiff_t block = FG_MIN(NAME(channel_block)(job->n_taps), channels);
  REAL *total = scratch(job->n_taps * block * columns * sizeof(REAL));
  if (!total) {
    job->failed = 1;
    return;
  }
  for (ptrdiff_t first = 0; first < channels; first += block) {
    const ptrdiff_t n = FG_MIN(block, channels - first), size = n * columns;
    for (ptrdiff_t t = 0; t < job->n_taps; t++) {
      const REAL *from = sums + (t * channels + first) * columns;
      memcpy(total + t * size, from, size * sizeof(REAL));
      for (ptrdiff_t chunk = 1; chunk < job->n_chunks; chunk++)
        for (ptrdiff_t j = 0; j < size; j++) total[t * size + j] += from[chunk * job->chunk_size + j];
    }
    for (ptrdiff_t o = 0; o < width; o++)
      for (ptrdiff_t k = 0; k < n; k++) {
        const REAL *from = total + k * columns + o;
        REAL *to = w + o * p->w_out + (first + k) * p->w_in;
        for (ptrdiff_t d = 0; d < c->kernel[0]; d++)
          for (ptrdiff_t h = 0; h < c->kernel[1]; h++)
            for (ptrdiff_t e = 0; e < c->kernel[2]; e++, from += size)
              to[d * p->w_taps[0] + h * p->w_taps[1] + e * p->w_taps[2]] = *from;
      }
  }
  free(total);
}

static int NAME(run_weight)(const fg_conv *c, ptrdiff_t copied_size, const REAL *x, const REAL *y,
                            REAL *w, NAME(box_sums) add_box) {
  NAME(weight_job) job = {.add_box = add_box, .c = c, .x = x, .y = y, .w = w};
  plan *p = &job.p;
  if (make_plan(p, c, 0, sizeof(REAL))) return -1;
  job.n_taps = c->kernel[0] * c->kernel[1] * c->kernel[2];
  job.padded = ceil_div(p->out_channels, LANES) * LANES;
  job.n_panels = ceil_div(p->out_channels, 2 * LANES);
  job.chunk_size = p->groups * job.padded * p->seen_channels * job.n_taps;
  const ptrdiff_t bytes = job.chunk_size * (ptrdiff_t)sizeof(REAL);
  /* As few splits as let a task's sums stay in the second cache, then as many chunks as give every
   * thread work, then more splits. */
  job.n_splits =
      p->depthwise ? ceil_div(job.n_panels, SHARE_PANELS)
                   : FG_MIN(ceil_div(bytes / p->groups, SUMS_BYTES), job.n_panels);
  choose_box(p, BOX_BYTES / copied_size, BOX_POSITIONS, job.n_splits);
  const ptrdiff_t total = p->batch * p->n_boxes[0] * p->n_boxes[1] * p->n_boxes[2];
  const ptrdiff_t wanted = ceil_div(N_TASKS, job.n_splits * p->groups);
  job.n_chunks = FG_MAX(FG_MIN(FG_MIN(wanted, PARTIAL_BYTES / FG_MAX(bytes, 1)), total), 1);
  job.n_splits = FG_MIN(FG_MAX(job.n_splits, ceil_div(N_TASKS, job.n_chunks * p->groups)),
                        job.n_panels);
  job.partial = scratch(job.n_chunks * bytes);
  job.failed = !job.partial;
  if (!job.failed) {
    fg_parallel(job.n_chunks * p->groups * job.n_splits, NAME(sum_chunk), &job);
    if (!job.failed) fg_parallel(p->groups * job.n_panels, NAME(write_weights), &job);
  }
  free(job.partial);
  free_plan(p);
  return job.failed ? -1 : 0;
}

static int NAME(conv_weight)(const fg_conv *c, const REAL *x, const REAL *y, REAL *w) {
  return NAME(run_weight)(c, sizeof(REAL), x, y, w, NAME(add_box));
}
