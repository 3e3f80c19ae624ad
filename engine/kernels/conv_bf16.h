/* Direct convolution, transposed convolution and weight gradient in bfloat16, for conv.c: the plan,
 * the boxes and the cut into tasks are those of conv_typed.h, the sums those of bf16.h. A box reads
 * a rounded copy of its input, whose layout lets tiles be loaded from it as they are. */
#include "bf16.h"

#define BF16_PANEL (2 * BF16_ROWS) /* output channels of a panel, as of a panel of float */

/* Whether it is worth it: tiles filled at least by half, and, for the weight gradient, whose terms
 * are positions, enough of these. */
static int bf16_choice(const fg_conv *c, char made) {
  const ptrdiff_t seen = made == 'x' ? c->y_channels : c->x_channels;
  const ptrdiff_t columns = made == 'x' ? c->x_channels : c->y_channels;
  const ptrdiff_t taps = c->stride[2] == 1 && c->dilation[2] == 1 ? c->kernel[2] : 1;
  const ptrdiff_t outputs = c->y_size[0] * c->y_size[1] * c->y_size[2];
  const double products = (double)c->batch * c->groups * outputs * seen * columns * c->kernel[0] *
                          c->kernel[1] * c->kernel[2];
  return fg_bfloat16 && c->element_size == sizeof(float) && columns >= BF16_ROWS / 2 &&
         products > 1 << 20 &&
         (made == 'w' ? seen >= BF16_ROWS / 2 && outputs >= 1024 : seen * taps >= BF16_TERMS / 2);
}

/* ---- convolution and transposed convolution ---- */

typedef struct {
  job_f32 job;
  bf16 *tiles;           /* the weights */
  ptrdiff_t panel_tiles; /* of terms, for all phases of a panel */
} job_bf16;

/* Terms that lie side by side in the copy of a box: the channels, and those of all taps along the
 * last axis where these follow one another. */
static inline ptrdiff_t joined_taps(const phase *f) { return f->offset_step == 1 ? f->n_taps : 1; }
static inline ptrdiff_t tiles_of(ptrdiff_t terms) { return ceil_div(terms, BF16_TERMS); }

static ptrdiff_t phase_tiles(const plan *p, const phase *d, const phase *h, const phase *x) {
  if (!x->n_taps) return 0;
  const ptrdiff_t joined = joined_taps(x);
  return d->n_taps * h->n_taps * (x->n_taps / joined) * tiles_of(joined * p->in_channels);
}

/* The weights of a panel from floats to tiles: [phase][run][tile of terms][tile of columns]. */
static void tile_weights(void *context, ptrdiff_t i) {
  job_bf16 *j = context;
  const plan *p = &j->job.p;
  const ptrdiff_t group = i / j->job.n_panels, panel = i % j->job.n_panels;
  int vectors;
  panel_width_f32(p->out_channels, panel, &vectors);
  const ptrdiff_t columns = vectors * BF16_ROWS;
  bf16 *to = j->tiles + i * j->panel_tiles * 2 * BF16_TILE;
  ptrdiff_t taps_before = 0;
  pack_weights_f32(&j->job, i);
  for (ptrdiff_t r = 0; r < p->n_phases[0] * p->n_phases[1] * p->n_phases[2]; r++) {
    const phase *f[3];
    phases_of(p, r, f);
    const ptrdiff_t n_taps = f[0]->n_taps * f[1]->n_taps * f[2]->n_taps;
    const ptrdiff_t run = (f[2]->n_taps ? joined_taps(f[2]) : 1) * p->in_channels;
    const float *from = packed_panel_f32(&j->job, taps_before, n_taps, group, panel);
    for (ptrdiff_t first = 0; first < n_taps * p->in_channels; first += run, from += run * columns)
      for (ptrdiff_t k = 0; k < run; k += BF16_TERMS)
        for (ptrdiff_t half = 0; half < vectors; half++, to += BF16_TILE)
          for (ptrdiff_t q = 0; q < BF16_TERMS; q += 2) {
            const float *w = from + (k + q) * columns + half * BF16_ROWS;
            const __m512 none = _mm512_setzero_ps();
            _mm512_storeu_si512(to + q * BF16_ROWS,
                                bf16_pairs(k + q < run ? _mm512_loadu_ps(w) : none,
                                           k + q + 1 < run ? _mm512_loadu_ps(w + columns) : none));
          }
    taps_before += n_taps;
  }
}

/* The rounded copy of the part of a channels-last array that begins at `first`; padding is zero,
 * and so is what tiles read beyond the end. NULL where memory ran out. */
static bf16 *copy_rounded(const plan *p, const float *in, const ptrdiff_t first[3],
                          const ptrdiff_t length[3]) {
  const ptrdiff_t channels = p->in_channels, row = length[2] * channels, *s = p->in_strides + 2;
  const ptrdiff_t size = length[0] * length[1] * row;
  const ptrdiff_t beyond = BF16_ROWS * p->in_step[2] * channels + BF16_TERMS;
  bf16 *copy = scratch((size + beyond) * sizeof(bf16)), *to = copy;
  if (!copy) return NULL;
  memset(copy + size, 0, beyond * sizeof(bf16));
  const ptrdiff_t begin = FG_MIN(FG_MAX(-first[2], 0), length[2]);
  const ptrdiff_t end = FG_MAX(FG_MIN(p->in_size[2] - first[2], length[2]), begin);
  for (ptrdiff_t a = 0; a < length[0]; a++)
    for (ptrdiff_t b = 0; b < length[1]; b++, to += row) {
      const ptrdiff_t d = first[0] + a, h = first[1] + b;
      if (d < 0 || d >= p->in_size[0] || h < 0 || h >= p->in_size[1] || begin == end) {
        memset(to, 0, row * sizeof(bf16));
        continue;
      }
      memset(to, 0, begin * channels * sizeof(bf16));
      memset(to + end * channels, 0, (length[2] - end) * channels * sizeof(bf16));
      const float *from = in + d * s[0] + h * s[1] + (first[2] + begin) * s[2];
      if (s[2] == channels)
        bf16_copy(from, (end - begin) * channels, to + begin * channels);
      else
        for (ptrdiff_t w = begin; w < end; w++, from += s[2])
          bf16_copy(from, channels, to + w * channels);
    }
  return copy;
}

/* 16 positions whose inputs follow one another: where the first is read, and where the sums of each
 * go, -1 for those between two lines of outputs. */
typedef struct {
  ptrdiff_t in, out[BF16_ROWS];
} positions;

/* Cut the outputs of one phase in one box into rows of tiles; gives their number. At step 1 a row
 * may go on from one line of outputs to the next, which wastes less where lines are short. */
static ptrdiff_t cut_positions(const plan *p, const ptrdiff_t n[3], const ptrdiff_t s[3],
                               positions *rows) {
  const ptrdiff_t *strides = p->out_strides + 2, line = s[1] / s[2];
  const ptrdiff_t through = (n[1] - 1) * line + n[2];
  const int joined = p->in_step[1] == 1 && p->in_step[2] == 1 &&
                     ceil_div(through, BF16_ROWS) < n[1] * ceil_div(n[2], BF16_ROWS);
  const ptrdiff_t n_lines = joined ? 1 : n[1], length = joined ? through : n[2];
  positions *row = rows;
  for (ptrdiff_t d = 0; d < n[0]; d++)
    for (ptrdiff_t h = 0; h < n_lines; h++)
      for (ptrdiff_t e = 0; e < length; e += BF16_ROWS, row++) {
        row->in = d * p->in_step[0] * s[0] + h * p->in_step[1] * s[1] + e * p->in_step[2] * s[2];
        for (ptrdiff_t l = 0; l < BF16_ROWS; l++) {
          const ptrdiff_t y = joined ? (e + l) / line : h, x = joined ? (e + l) % line : e + l;
          row->out[l] = y >= n[1] || x >= n[2]
                            ? -1
                            : d * p->out_step[0] * strides[0] + y * p->out_step[1] * strides[1] +
                                  x * p->out_step[2] * strides[2];
        }
      }
  return row - rows;
}

/* All outputs of one phase in one box; rows has room for all its positions, at for all tiles. */
static void run_phase_bf16(const job_bf16 *j, const phase *f[3], const ptrdiff_t n[3],
                           ptrdiff_t tiles_before, ptrdiff_t group, ptrdiff_t first_panel,
                           ptrdiff_t last_panel, const bf16 *in, const ptrdiff_t length[3],
                           positions *rows, ptrdiff_t *at, float *out) {
  const plan *p = &j->job.p;
  const ptrdiff_t channels = p->in_channels;
  const ptrdiff_t s[3] = {length[1] * length[2] * channels, length[2] * channels, channels};
  const ptrdiff_t joined = f[2]->n_taps ? joined_taps(f[2]) : 1;
  const ptrdiff_t n_rows = cut_positions(p, n, s, rows);
  ptrdiff_t n_tiles = 0;
  for (ptrdiff_t a = 0; a < f[0]->n_taps; a++)
    for (ptrdiff_t b = 0; b < f[1]->n_taps; b++)
      for (ptrdiff_t e = 0; e < f[2]->n_taps; e += joined)
        for (ptrdiff_t k = 0; k < joined * channels; k += BF16_TERMS)
          at[n_tiles++] = (f[0]->offset - p->low[0] + a * f[0]->offset_step) * s[0] +
                          (f[1]->offset - p->low[1] + b * f[1]->offset_step) * s[1] +
                          (f[2]->offset - p->low[2] + e * f[2]->offset_step) * s[2] + k;
  float sums[BF16_PANEL * BF16_PANEL] __attribute__((aligned(64)));
  for (ptrdiff_t panel = first_panel; panel < last_panel; panel++) {
    int vectors;
    const ptrdiff_t width = panel_width_f32(p->out_channels, panel, &vectors);
    const bf16 *w = j->tiles + (group * j->job.n_panels + panel) * j->panel_tiles * 2 * BF16_TILE +
                    tiles_before * vectors * BF16_TILE;
    const float *bias = j->job.bias + group * j->job.padded + panel * BF16_PANEL;
    for (ptrdiff_t i = 0; i < n_rows; i += 2) {
      const int two = i + 1 < n_rows;
      const bf16 *const a[2] = {in + rows[i].in, in + rows[i + two].in};
      multiply_some_tiles(1 + two, vectors, a, p->in_step[2] * channels, at, n_tiles, w, sums);
      for (ptrdiff_t t = 0; t <= two; t++)
        for (ptrdiff_t l = 0; l < BF16_ROWS; l++)
          if (rows[i + t].out[l] >= 0)
            write_sums(width, sums + (t * BF16_ROWS + l) * BF16_PANEL,
                       out + rows[i + t].out[l] + panel * BF16_PANEL, 0, bias);
    }
  }
}

/* One box of one image and group, for a share of the panels, all phases. */
static void run_box_bf16(void *context, ptrdiff_t i) {
  job_bf16 *j = context;
  const plan *p = &j->job.p;
  const ptrdiff_t split = i % j->job.n_splits;
  const ptrdiff_t n_phases = p->n_phases[0] * p->n_phases[1] * p->n_phases[2];
  i /= j->job.n_splits;
  const ptrdiff_t n_boxes = p->n_boxes[0] * p->n_boxes[1] * p->n_boxes[2];
  const ptrdiff_t image = i / n_boxes / p->groups, group = i / n_boxes % p->groups;
  const ptrdiff_t first_panel = split * j->job.n_panels / j->job.n_splits;
  const ptrdiff_t last_panel = (split + 1) * j->job.n_panels / j->job.n_splits;
  ptrdiff_t begin[3], n[3], first[3], length[3];
  locate_box_f32(p, i % n_boxes, begin, n);
  for (int a = 0; a < 3; a++) {
    first[a] = begin[a] * p->in_step[a] + p->low[a];
    length[a] = (n[a] - 1) * p->in_step[a] + p->high[a] - p->low[a] + 1;
  }
  bf16 *in =
      copy_rounded(p, j->job.in + image * p->in_strides[0] + group * p->in_channels, first, length);
  positions *rows = scratch(n[0] * n[1] * ceil_div(n[2], BF16_ROWS) * sizeof *rows);
  ptrdiff_t *at = scratch(j->panel_tiles * sizeof(ptrdiff_t));
  if (!in || !rows || !at) j->job.failed = 1;
  float *out = j->job.out + image * p->out_strides[0] + group * p->out_channels;
  ptrdiff_t tiles_before = 0;
  begin_tiles();
  for (ptrdiff_t r = 0; r < n_phases && in && rows && at; r++) {
    const phase *f[3];
    ptrdiff_t clipped[3], to = 0;
    phases_of(p, r, f);
    for (int a = 0; a < 3; a++) {
      clipped[a] = FG_MIN(n[a], f[a]->n - begin[a]);
      to += (f[a]->start + begin[a] * p->out_step[a]) * p->out_strides[2 + a];
    }
    if (clipped[0] > 0 && clipped[1] > 0 && clipped[2] > 0)
      run_phase_bf16(j, f, clipped, tiles_before, group, first_panel, last_panel, in, length, rows,
                     at, out + to);
    tiles_before += phase_tiles(p, f[0], f[1], f[2]);
  }
  end_tiles();
  free(in);
  free(rows);
  free(at);
}

static int run_bf16(const fg_conv *c, int transposed, const float *in, const float *w,
                    const float *bias, float *out) {
  job_bf16 j;
  if (begin_job_f32(&j.job, c, transposed, sizeof(bf16), in, w, bias, out)) return -1;
  const plan *p = &j.job.p;
  j.panel_tiles = 0;
  for (ptrdiff_t r = 0; r < p->n_phases[0] * p->n_phases[1] * p->n_phases[2]; r++) {
    const phase *f[3];
    phases_of(p, r, f);
    j.panel_tiles += phase_tiles(p, f[0], f[1], f[2]);
  }
  j.tiles = scratch(p->groups * j.job.n_panels * j.panel_tiles * 2 * BF16_TILE * sizeof(bf16));
  j.job.failed |= !j.tiles;
  if (!j.job.failed) fg_parallel(p->groups * j.job.n_panels, tile_weights, &j);
  if (!j.job.failed) fg_parallel(j.job.n_boxes * j.job.n_splits, run_box_bf16, &j);
  free(j.tiles);
  return end_job_f32(&j.job);
}

/* ---- weight gradient ----
 *
 * The terms are positions. A box keeps its input channel by channel, for each remainder of a
 * position modulo the stride; there the inputs of all positions at one tap follow one another, with
 * those between two lines of outputs, for which the other factor is zero. */

typedef struct {
  ptrdiff_t n[3];    /* outputs */
  ptrdiff_t size[3]; /* inputs of one remainder */
  ptrdiff_t volume;  /* of these */
  ptrdiff_t stretch; /* numbers from one channel to the next */
  ptrdiff_t n_terms; /* tiles of terms */
} turned;

static turned turned_box(const plan *p, const ptrdiff_t n[3]) {
  turned t = {.n = {n[0], n[1], n[2]}, .volume = 1};
  for (int a = 0; a < 3; a++) {
    t.size[a] = n[a] + (p->high[a] - p->low[a]) / p->in_step[a];
    t.volume *= t.size[a];
  }
  const ptrdiff_t all = t.volume * p->in_step[0] * p->in_step[1] * p->in_step[2];
  /* Whole cache lines, an odd number of them: channels then lie in different sets of a cache. */
  t.stretch = (ceil_div(all, BF16_TERMS) | 1) * BF16_TERMS;
  t.n_terms = ceil_div(((n[0] - 1) * t.size[1] + n[1] - 1) * t.size[2] + n[2], BF16_TERMS);
  return t;
}

/* Round n positions, `position` numbers apart, and write them channel by channel. */
static void turn_row(const float *row, ptrdiff_t position, ptrdiff_t n, ptrdiff_t channels,
                     ptrdiff_t stretch, bf16 *to) {
  for (ptrdiff_t c = 0; c < channels; c += 16)
    for (ptrdiff_t i = 0; i < n; i += BF16_TERMS) {
      __m512i pair[16];
      const __mmask16 some = bf16_mask(c, channels);
      for (ptrdiff_t q = 0; q < 16; q++) {
        const float *from = row + (i + 2 * q) * position + c;
        pair[q] = bf16_pairs(_mm512_maskz_loadu_ps(i + 2 * q < n ? some : 0, from),
                             _mm512_maskz_loadu_ps(i + 2 * q + 1 < n ? some : 0, from + position));
      }
      turn_pairs(pair);
      const __mmask32 mask = n - i >= 32 ? 0xffffffff : ((__mmask32)1 << (n - i)) - 1;
      for (ptrdiff_t l = 0; l < FG_MIN(16, channels - c); l++)
        _mm512_mask_storeu_epi16(to + (c + l) * stretch + i, mask, pair[l]);
    }
}

/* The input of the box that begins at `from`, rounded and turned; padding is zero. */
static void turn_box(const plan *p, const turned *t, const ptrdiff_t from[3], const float *in,
                     bf16 *x) {
  const ptrdiff_t *step = p->in_step, *s = p->in_strides + 2;
  for (ptrdiff_t r = 0; r < step[0] * step[1] * step[2]; r++) {
    const ptrdiff_t rest[3] = {r / step[2] / step[1], r / step[2] % step[1], r % step[2]};
    const ptrdiff_t w = from[2] + rest[2]; /* of the first position of a line */
    const ptrdiff_t begin = FG_MIN(FG_MAX(ceil_div(-w, step[2]), 0), t->size[2]);
    const ptrdiff_t end =
        FG_MIN(t->size[2], w < p->in_size[2] ? ceil_div(p->in_size[2] - w, step[2]) : 0);
    for (ptrdiff_t line = 0; line < t->size[0] * t->size[1] && begin < end; line++) {
      const ptrdiff_t d = from[0] + rest[0] + line / t->size[1] * step[0];
      const ptrdiff_t h = from[1] + rest[1] + line % t->size[1] * step[1];
      if (d >= 0 && d < p->in_size[0] && h >= 0 && h < p->in_size[1])
        turn_row(in + d * s[0] + h * s[1] + (w + begin * step[2]) * s[2], step[2] * s[2],
                 end - begin, p->in_channels, t->stretch,
                 x + r * t->volume + line * t->size[2] + begin);
    }
  }
}

/* The gradients of a box's outputs, up to 32 channels, as tiles: [tile of terms][tile of columns].
 */
static void tile_outputs(const turned *t, const ptrdiff_t s[3], const float *out, ptrdiff_t width,
                         ptrdiff_t columns, bf16 *to) {
  const float *from[BF16_TERMS];
  for (ptrdiff_t first = 0; first < t->n_terms * BF16_TERMS; first += BF16_TERMS) {
    for (ptrdiff_t q = 0; q < BF16_TERMS; q++) {
      const ptrdiff_t w = (first + q) % t->size[2], line = (first + q) / t->size[2];
      const ptrdiff_t d = line / t->size[1], h = line % t->size[1];
      from[q] =
          d < t->n[0] && h < t->n[1] && w < t->n[2] ? out + d * s[0] + h * s[1] + w * s[2] : NULL;
    }
    for (ptrdiff_t j = 0; j < columns; j += BF16_ROWS, to += BF16_TILE)
      for (ptrdiff_t q = 0; q < BF16_TERMS; q += 2) {
        const __mmask16 mask = bf16_mask(j, width);
        _mm512_storeu_si512(
            to + q * BF16_ROWS,
            bf16_pairs(_mm512_maskz_loadu_ps(from[q] ? mask : 0, from[q] + j),
                       _mm512_maskz_loadu_ps(from[q + 1] ? mask : 0, from[q + 1] + j)));
      }
  }
}

/* The sums of one panel: tiles of 16 channels at one tap, two at a time. */
static void add_panel_bf16(const plan *p, const turned *t, ptrdiff_t n_taps, int vectors,
                           const bf16 *x, const ptrdiff_t *at, const bf16 *g, int add, float *to) {
  float sums[BF16_PANEL * BF16_PANEL] __attribute__((aligned(64)));
  const ptrdiff_t channels = p->in_channels, *step = p->in_step, columns = vectors * BF16_ROWS;
  const ptrdiff_t parts = ceil_div(channels, BF16_ROWS), n_rows = n_taps * parts;
  for (ptrdiff_t i = 0; i < n_rows; i += 2) {
    const int two = i + 1 < n_rows;
    const bf16 *a[2] = {NULL, NULL};
    for (ptrdiff_t k = 0; k <= two; k++) {
      ptrdiff_t tap = (i + k) / parts, rest = 0, shift = 0, offset[3];
      for (int b = 2; b >= 0; b--) {
        offset[b] = tap % p->phases[b]->n_taps * p->phases[b]->offset_step;
        tap /= p->phases[b]->n_taps;
      }
      for (int b = 0; b < 3; b++) {
        rest = rest * step[b] + offset[b] % step[b];
        shift = shift * t->size[b] + offset[b] / step[b];
      }
      a[k] = x + rest * t->volume + shift + (i + k) % parts * BF16_ROWS * t->stretch;
    }
    multiply_some_tiles(1 + two, vectors, a, t->stretch, at, t->n_terms, g, sums);
    for (ptrdiff_t k = 0; k <= two; k++) {
      const ptrdiff_t tap = (i + k) / parts, first = (i + k) % parts * BF16_ROWS;
      for (ptrdiff_t l = 0; l < FG_MIN(BF16_ROWS, channels - first); l++)
        write_sums(columns, sums + (k * BF16_ROWS + l) * BF16_PANEL,
                   to + (tap * channels + first + l) * columns, add, NULL);
    }
  }
}

/* The outer products of one box, as add_box_f32 gives them. */
static int add_box_bf16(weight_job_f32 *job, ptrdiff_t image, ptrdiff_t group, ptrdiff_t box,
                        ptrdiff_t first_panel, ptrdiff_t last_panel, int add, ptrdiff_t *tables,
                        float *sums) {
  const plan *p = &job->p;
  const ptrdiff_t channels = p->in_channels, *s = p->out_strides + 2;
  ptrdiff_t begin[3], n[3], from[3];
  locate_box_f32(p, box, begin, n);
  for (int a = 0; a < 3; a++) from[a] = begin[a] * p->in_step[a] + p->low[a];
  const turned t = turned_box(p, n);
  /* Tiles read whole rows, also beyond the last channel and position. */
  const ptrdiff_t x_size = (ceil_div(channels, BF16_ROWS) * BF16_ROWS + 1) * t.stretch + BF16_TERMS;
  bf16 *x = scratch((x_size + t.n_terms * 2 * BF16_TILE) * sizeof(bf16)), *g = x + x_size;
  ptrdiff_t *at = scratch(t.n_terms * sizeof(ptrdiff_t));
  const int failed = !x || !at;
  if (!failed) {
    memset(x, 0, x_size * sizeof(bf16));
    turn_box(p, &t, from, job->x + image * p->in_strides[0] + group * channels, x);
    for (ptrdiff_t i = 0; i < t.n_terms; i++) at[i] = i * BF16_TERMS;
    begin_tiles();
    for (ptrdiff_t panel = first_panel; panel < last_panel; panel++) {
      int vectors;
      const ptrdiff_t width = panel_width_f32(p->out_channels, panel, &vectors);
      tile_outputs(&t, s,
                   job->y + image * p->out_strides[0] + group * p->out_channels +
                       panel * BF16_PANEL + begin[0] * s[0] + begin[1] * s[1] + begin[2] * s[2],
                   width, vectors * BF16_ROWS, g);
      add_panel_bf16(p, &t, job->n_taps, vectors, x, at, g, add,
                     sums + panel * BF16_PANEL * job->n_taps * channels);
    }
    end_tiles();
  }
  free(x);
  free(at);
  return failed ? -1 : 0;
}
