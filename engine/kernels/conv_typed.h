/* The part of conv.c that depends on the element type; conv_blocks.h says what to define. */
#include "conv_blocks.h"

typedef struct {
  plan p;
  const REAL *in;
  const REAL *w;   /* as given */
  const REAL *bias; /* one value per output channel of all groups, zeros filled in */
  REAL *packed, *out;
  ptrdiff_t padded;    /* output channels of a group, filled up to whole vectors */
  ptrdiff_t n_panels, n_splits;
  int failed; /* a task ran out of memory */
} NAME(job);

/* Columns of a panel, and how many vectors they take. */
static ptrdiff_t NAME(panel_width)(ptrdiff_t channels, ptrdiff_t panel, int *vectors) {
  const ptrdiff_t width = FG_MIN(channels - panel * 2 * LANES, 2 * LANES);
  *vectors = width > LANES ? 2 : 1;
  return width;
}

/* Input channels that one slice of a panel covers: the slice stays in the second-level cache. */
static ptrdiff_t NAME(slice_channels)(ptrdiff_t in_channels, ptrdiff_t n_taps) {
  const ptrdiff_t row = FG_MAX(n_taps, 1) * 2 * LANES * (ptrdiff_t)sizeof(REAL);
  const ptrdiff_t most = FG_MAX(PANEL_BYTES / row, 16);
  return ceil_div(in_channels, ceil_div(in_channels, most));
}

/* ---- weights: [phase][group][panel][slice of input channels][tap][input channel][column] ---- */

static REAL *NAME(packed_panel)(const NAME(job) *job, ptrdiff_t taps_before, ptrdiff_t n_taps,
                                ptrdiff_t group, ptrdiff_t panel) {
  const plan *p = &job->p;
  return job->packed + p->seen_channels * (job->padded * (taps_before * p->groups + group * n_taps) +
                                         panel * 2 * LANES * n_taps);
}

static void NAME(pack_weights)(void *context, ptrdiff_t i) {
  const NAME(job) *job = context;
  const plan *p = &job->p;
  const ptrdiff_t group = i / job->n_panels, panel = i % job->n_panels;
  int vectors;
  const ptrdiff_t width = NAME(panel_width)(p->out_channels, panel, &vectors);
  const ptrdiff_t columns = vectors * LANES;
  const REAL *w = job->w + group * p->w_group + panel * 2 * LANES * p->w_out;
  ptrdiff_t taps_before = 0;
  for (ptrdiff_t r = 0; r < p->n_phases[0] * p->n_phases[1] * p->n_phases[2]; r++) {
    const phase *d = p->phases[0] + r / p->n_phases[2] / p->n_phases[1];
    const phase *h = p->phases[1] + r / p->n_phases[2] % p->n_phases[1];
    const phase *x = p->phases[2] + r % p->n_phases[2];
    const ptrdiff_t n_taps = d->n_taps * h->n_taps * x->n_taps;
    const ptrdiff_t slice = NAME(slice_channels)(p->seen_channels, n_taps);
    REAL *to = NAME(packed_panel)(job, taps_before, n_taps, group, panel);
    if (width < columns) memset(to, 0, p->seen_channels * n_taps * columns * sizeof(REAL));
    for (ptrdiff_t o = 0; o < width; o++)
      for (ptrdiff_t c = 0; c < p->seen_channels; c++) {
        const ptrdiff_t begin = c / slice * slice, length = FG_MIN(slice, p->seen_channels - begin);
        REAL *row = to + (begin * n_taps + c - begin) * columns + o;
        for (ptrdiff_t a = 0; a < d->n_taps; a++)
          for (ptrdiff_t b = 0; b < h->n_taps; b++) {
            const REAL *from = w + o * p->w_out + c * p->w_in +
                               (d->tap + a * d->tap_step) * p->w_taps[0] +
                               (h->tap + b * h->tap_step) * p->w_taps[1];
            for (ptrdiff_t e = 0; e < x->n_taps; e++, row += length * columns)
              *row = from[(x->tap + e * x->tap_step) * p->w_taps[2]];
          }
      }
    taps_before += n_taps;
  }
}

/* ---- the input of a box ---- */

/* What a box reads: the address of its first input position and three strides. `buffer` is NULL
 * unless a padded copy was made; the caller frees it. Returns -1 where memory ran out. */
typedef struct {
  const REAL *first;
  ptrdiff_t strides[3];
  REAL *buffer;
} NAME(slab);

static int NAME(read_box)(const plan *p, const REAL *in, const ptrdiff_t begin[3],
                          const ptrdiff_t n[3], NAME(slab) *slab) {
  ptrdiff_t first[3], length[3];
  int inside = p->slab_channels == p->in_channels;
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
  slab->buffer = scratch(length[0] * length[1] * length[2] * p->slab_channels * sizeof(REAL));
  if (!slab->buffer) return -1;
  NAME(copy_padded)(in, slab->strides, p->in_size, first, length, p->in_channels, p->slab_channels,
                    slab->buffer);
  slab->first = slab->buffer;
  slab->strides[2] = p->slab_channels;
  slab->strides[1] = length[2] * p->slab_channels;
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

/* As multiply, for a panel with fewer columns than its vectors hold: by way of a buffer. */
static void NAME(multiply_narrow)(ptrdiff_t rows, int vectors, int per_channel, ptrdiff_t width,
                                  const REAL *in, ptrdiff_t in_step, const ptrdiff_t *offsets,
                                  ptrdiff_t n_runs, ptrdiff_t run, const REAL *w, const REAL *start,
                                  ptrdiff_t start_step, REAL *out, ptrdiff_t out_step) {
  REAL buffer[FG_BLOCK_ROWS * 2 * LANES];
  const ptrdiff_t columns = vectors * LANES;
  memset(buffer, 0, sizeof buffer);
  for (ptrdiff_t i = 0; i < rows; i += FG_BLOCK_ROWS) {
    const ptrdiff_t n = FG_MIN(FG_BLOCK_ROWS, rows - i);
    for (ptrdiff_t k = 0; k < n; k++)
      for (ptrdiff_t j = 0; j < width; j++)
        buffer[k * columns + j] = start[(i + k) * start_step + j];
    NAME(multiply)(n, vectors, per_channel, in + i * in_step, in_step, offsets, n_runs, run, w,
                   buffer, columns, buffer, columns);
    for (ptrdiff_t k = 0; k < n; k++)
      for (ptrdiff_t j = 0; j < width; j++) out[(i + k) * out_step + j] = buffer[k * columns + j];
  }
}

/* All outputs of one phase in one box, for panels first_panel … last_panel - 1. in is the first
 * input position of the box, out the first output of the phase in it. */
static void NAME(run_phase)(const NAME(job) *job, const phase *f[3], const ptrdiff_t n[3],
                            ptrdiff_t taps_before, ptrdiff_t group, ptrdiff_t first_panel,
                            ptrdiff_t last_panel, const NAME(slab) *slab, ptrdiff_t *offsets,
                            REAL *out) {
  const plan *p = &job->p;
  const ptrdiff_t *s = slab->strides, *out_strides = p->out_strides;
  const ptrdiff_t n_taps = f[0]->n_taps * f[1]->n_taps * f[2]->n_taps;
  const ptrdiff_t slice = NAME(slice_channels)(p->seen_channels, n_taps);
  /* Taps along the last axis and channels lie in one run where memory is dense. */
  const int joined = slice == p->in_channels && s[2] == p->in_channels && f[2]->offset_step == 1;
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
    for (ptrdiff_t c = 0; c < p->seen_channels; c += slice) {
      const ptrdiff_t length = FG_MIN(slice, p->seen_channels - c);
      const REAL *first = slab->first + (p->depthwise ? panel * 2 * LANES : c);
      const ptrdiff_t run = joined ? length * f[2]->n_taps : length;
      for (ptrdiff_t d = 0; d < n[0]; d++)
        for (ptrdiff_t h = 0; h < n[1]; h++) {
          const REAL *in = first + d * p->in_step[0] * s[0] + h * p->in_step[1] * s[1];
          REAL *to = out + panel * 2 * LANES + d * p->out_step[0] * out_strides[2] +
                     h * p->out_step[1] * out_strides[3];
          const ptrdiff_t out_step = p->out_step[2] * out_strides[4];
          const REAL *start = c ? to : bias;
          if (width == vectors * LANES)
            NAME(multiply)(n[2], vectors, p->depthwise, in, p->in_step[2] * s[2], offsets, n_runs,
                           run, w, start, c ? out_step : 0, to, out_step);
          else
            NAME(multiply_narrow)(n[2], vectors, p->depthwise, width, in, p->in_step[2] * s[2],
                                  offsets, n_runs, run, w, start, c ? out_step : 0, to, out_step);
        }
      w += length * n_taps * vectors * LANES;
    }
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
  ptrdiff_t begin[3], n[3];
  NAME(locate_box)(p, i % n_boxes, begin, n);

  ptrdiff_t most_taps = 1;
  for (int a = 0; a < 3; a++) {
    ptrdiff_t most = 0;
    for (ptrdiff_t r = 0; r < p->n_phases[a]; r++) most = FG_MAX(most, p->phases[a][r].n_taps);
    most_taps *= most;
  }
  ptrdiff_t *offsets = scratch(most_taps * sizeof(ptrdiff_t));
  NAME(slab) slab = {.buffer = NULL};
  if (!offsets || NAME(read_box)(p, job->in + image * p->in_strides[0] + group * p->in_channels,
                                 begin, n, &slab)) {
    job->failed = 1;
    free(offsets);
    return;
  }
  REAL *out = job->out + image * p->out_strides[0] + group * p->out_channels;
  ptrdiff_t taps_before = 0;
  for (ptrdiff_t r = 0; r < p->n_phases[0] * p->n_phases[1] * p->n_phases[2]; r++) {
    const phase *f[3] = {p->phases[0] + r / p->n_phases[2] / p->n_phases[1],
                         p->phases[1] + r / p->n_phases[2] % p->n_phases[1],
                         p->phases[2] + r % p->n_phases[2]};
    ptrdiff_t clipped[3], at = 0;
    for (int a = 0; a < 3; a++) {
      clipped[a] = FG_MIN(n[a], f[a]->n - begin[a]);
      at += (f[a]->start + begin[a] * p->out_step[a]) * p->out_strides[2 + a];
    }
    if (clipped[0] > 0 && clipped[1] > 0 && clipped[2] > 0)
      NAME(run_phase)(job, f, clipped, taps_before, group, split * job->n_panels / job->n_splits,
                      (split + 1) * job->n_panels / job->n_splits, &slab, offsets, out + at);
    taps_before += f[0]->n_taps * f[1]->n_taps * f[2]->n_taps;
  }
  free(offsets);
  free(slab.buffer);
}

static int NAME(run)(const fg_conv *c, int transposed, const REAL *in, const REAL *w,
                     const REAL *bias, REAL *out) {
  NAME(job) job = {.in = in, .w = w, .out = out};
  plan *p = &job.p;
  if (make_plan(p, c, transposed, sizeof(REAL), PTRDIFF_MAX)) return -1;
  job.padded = ceil_div(p->out_channels, LANES) * LANES;
  job.n_panels = ceil_div(p->out_channels, 2 * LANES);
  const ptrdiff_t n_boxes = p->batch * p->groups * p->n_boxes[0] * p->n_boxes[1] * p->n_boxes[2];
  job.n_splits = FG_MIN(job.n_panels, ceil_div(N_TASKS / 2, FG_MAX(n_boxes, 1)));
  const ptrdiff_t taps = c->kernel[0] * c->kernel[1] * c->kernel[2];
  const ptrdiff_t n_weights = p->groups * job.padded * p->seen_channels * taps;
  REAL *filled_bias = calloc(p->groups * job.padded, sizeof(REAL));
  job.packed = scratch(n_weights * sizeof(REAL));
  job.failed = !filled_bias || !job.packed;
  if (!job.failed) {
    for (ptrdiff_t g = 0; bias && g < p->groups; g++)
      memcpy(filled_bias + g * job.padded, bias + g * p->out_channels,
             p->out_channels * sizeof(REAL));
    job.bias = filled_bias;
    fg_parallel(p->groups * job.n_panels, NAME(pack_weights), &job);
    fg_parallel(n_boxes * job.n_splits, NAME(run_box), &job);
  }
  free(filled_bias);
  free(job.packed);
  free_plan(p);
  return job.failed ? -1 : 0;
}

static int NAME(conv)(const fg_conv *c, const REAL *x, const REAL *w, const REAL *bias, REAL *y) {
  return NAME(run)(c, 0, x, w, bias, y);
}

static int NAME(conv_transpose)(const fg_conv *c, const REAL *y, const REAL *w, const REAL *bias,
                                REAL *x) {
  return NAME(run)(c, 1, y, w, bias, x);
}

/* ---- weight gradient ---- */

typedef struct {
  plan p;
  const fg_conv *c;
  const REAL *x, *y;
  REAL *w;
  REAL *partial;      /* [chunk][group][panel][tap][input channel][column] */
  ptrdiff_t chunk_size; /* elements in one chunk's part of partial */
  ptrdiff_t padded, n_panels, n_splits, n_chunks, n_taps;
  int failed;
} NAME(weight_job);

/* The outer products of one box, added to this task's sums or starting them. */
static int NAME(add_box)(NAME(weight_job) *job, ptrdiff_t image, ptrdiff_t group, ptrdiff_t box,
                         ptrdiff_t first_panel, ptrdiff_t last_panel, int add, REAL *sums) {
  const plan *p = &job->p;
  const phase *f[3] = {p->phases[0], p->phases[1], p->phases[2]};
  ptrdiff_t begin[3], n[3];
  NAME(locate_box)(p, box, begin, n);
  NAME(slab) slab;
  if (NAME(read_box)(p, job->x + image * p->in_strides[0] + group * p->in_channels, begin, n,
                     &slab))
    return -1;
  const REAL *g = job->y + image * p->out_strides[0] + group * p->out_channels +
                  begin[0] * p->out_strides[2] + begin[1] * p->out_strides[3] +
                  begin[2] * p->out_strides[4];
  ptrdiff_t g_strides[3] = {p->out_strides[2], p->out_strides[3], p->out_strides[4]};
  REAL *filled = NULL;
  if (job->padded != p->out_channels) { /* whole vectors would read beyond the last channel */
    filled = scratch(n[0] * n[1] * n[2] * job->padded * sizeof(REAL));
    if (!filled) {
      free(slab.buffer);
      return -1;
    }
    NAME(copy_padded)(g, g_strides, n, (ptrdiff_t[3]){0, 0, 0}, n, p->out_channels, job->padded,
                      filled);
    g = filled;
    g_strides[2] = job->padded;
    g_strides[1] = n[2] * job->padded;
    g_strides[0] = n[1] * g_strides[1];
  }
  const ptrdiff_t *s = slab.strides;
  const ptrdiff_t steps[3] = {p->in_step[0] * s[0], p->in_step[1] * s[1], p->in_step[2] * s[2]};
  /* Rows of sums: channels; taps along the last axis if depthwise; both where memory is dense. */
  const int joined = p->depthwise || (s[2] == p->in_channels && f[2]->offset_step == 1);
  const ptrdiff_t rows = joined ? f[2]->n_taps * p->seen_channels : p->seen_channels;
  const ptrdiff_t row_step = p->depthwise ? f[2]->offset_step * s[2] : 1;
  for (ptrdiff_t panel = first_panel; panel < last_panel; panel++) {
    int vectors;
    NAME(panel_width)(p->out_channels, panel, &vectors);
    REAL *sum = sums + panel * 2 * LANES * p->seen_channels * job->n_taps;
    for (ptrdiff_t a = 0; a < f[0]->n_taps; a++)
      for (ptrdiff_t b = 0; b < f[1]->n_taps; b++)
        for (ptrdiff_t e = 0; e < (joined ? 1 : f[2]->n_taps); e++) {
          const REAL *x = slab.first + (p->depthwise ? panel * 2 * LANES : 0) +
                          a * f[0]->offset_step * s[0] + b * f[1]->offset_step * s[1] +
                          e * f[2]->offset_step * s[2];
          NAME(outer)(rows, vectors, p->depthwise, x, row_step, steps, g + panel * 2 * LANES,
                      g_strides, n, add, sum);
          sum += rows * vectors * LANES;
        }
  }
  free(filled);
  free(slab.buffer);
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
  for (ptrdiff_t b = first; b < end; b++)
    if (NAME(add_box)(job, b / n_boxes, group, b % n_boxes, first_panel, last_panel, b > first,
                      sums)) {
      job->failed = 1;
      return;
    }
}

/* Add up the chunks of one panel, in order, and write its weights. */
static void NAME(write_weights)(void *context, ptrdiff_t i) {
  const NAME(weight_job) *job = context;
  const plan *p = &job->p;
  const fg_conv *c = job->c;
  const ptrdiff_t group = i / job->n_panels, panel = i % job->n_panels;
  int vectors;
  const ptrdiff_t width = NAME(panel_width)(p->out_channels, panel, &vectors);
  const ptrdiff_t columns = vectors * LANES;
  const REAL *sums = job->partial +
                     (group * job->padded + panel * 2 * LANES) * p->seen_channels * job->n_taps;
  REAL *w = job->w + group * p->w_group + panel * 2 * LANES * p->w_out;
  for (ptrdiff_t t = 0; t < job->n_taps; t++) {
    REAL *tap = w + t / c->kernel[2] / c->kernel[1] * p->w_taps[0] +
                t / c->kernel[2] % c->kernel[1] * p->w_taps[1] + t % c->kernel[2] * p->w_taps[2];
    for (ptrdiff_t k = 0; k < p->seen_channels; k++, sums += columns) {
      REAL total[2 * LANES];
      memcpy(total, sums, columns * sizeof(REAL));
      for (ptrdiff_t chunk = 1; chunk < job->n_chunks; chunk++)
        for (ptrdiff_t j = 0; j < columns; j++) total[j] += sums[chunk * job->chunk_size + j];
      for (ptrdiff_t j = 0; j < width; j++) tap[j * p->w_out + k * p->w_in] = total[j];
    }
  }
}

static int NAME(conv_weight)(const fg_conv *c, const REAL *x, const REAL *y, REAL *w) {
  NAME(weight_job) job = {.c = c, .x = x, .y = y, .w = w};
  plan *p = &job.p;
  if (make_plan(p, c, 0, sizeof(REAL), OUTER_POSITIONS)) return -1;
  job.n_taps = c->kernel[0] * c->kernel[1] * c->kernel[2];
  job.padded = ceil_div(p->out_channels, LANES) * LANES;
  job.n_panels = ceil_div(p->out_channels, 2 * LANES);
  job.chunk_size = p->groups * job.padded * p->seen_channels * job.n_taps;
  const ptrdiff_t total = p->batch * p->n_boxes[0] * p->n_boxes[1] * p->n_boxes[2];
  const ptrdiff_t most = PARTIAL_BYTES / (FG_MAX(job.chunk_size, 1) * (ptrdiff_t)sizeof(REAL));
  job.n_chunks = FG_MAX(FG_MIN(FG_MIN(most, N_TASKS / 2), total), 1);
  job.n_splits = FG_MIN(job.n_panels, ceil_div(N_TASKS / 2, job.n_chunks * p->groups));
  job.partial = scratch(job.n_chunks * job.chunk_size * sizeof(REAL));
  job.failed = !job.partial;
  if (!job.failed) {
    fg_parallel(job.n_chunks * p->groups * job.n_splits, NAME(sum_chunk), &job);
    if (!job.failed) fg_parallel(p->groups * job.n_panels, NAME(write_weights), &job);
  }
  free(job.partial);
  free_plan(p);
  return job.failed ? -1 : 0;
}
