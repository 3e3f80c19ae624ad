/* Winograd convolution, float32: forward and data gradient; winograd_weight.c has the other one.
 *
 * A tile of n - 2 outputs along each axis with 3 taps reads n inputs; in transformed coordinates it
 * needs one product per input instead of 3 per output: 64 for 8 outputs with n = 4 in three
 * dimensions instead of 216, 144 for 32 instead of 864 with n = (4, 6, 6). Each of the frequencies
 * is a matrix product over channels, tiles by output channels:
 *
 *   V = B' x B      U = G w G'      y = A' (sum over channels of U V) A      dw = G' (sum of V (A g A')) G
 *
 * S. Winograd, "Arithmetic complexity of computations", SIAM 1980; A. Lavin and S. Gray, "Fast
 * algorithms for convolutional neural networks", CVPR 2016, arXiv:1509.09308;
 * blocking after Z. Jia, A. Zlateski, F. Durand, K. Li, "Optimizing N-dimensional, Winograd-based
 * convolution for manycore CPUs", PPoPP 2018. Sums run over channels only, 27 times
 * shorter than direct ones, which makes up for the rounding of the transforms. The cut into tasks
 * and the order of sums depend on shapes only.
 *
 * A tile mixes its inputs, so what is not finite would spread to outputs that do not see it. Images
 * where that happened are made again by direct sums. */
#include "winograd_tiles.h"

/* Up to this many tiles, weights are used so seldom that they are transformed where they are used
 * and never leave the cache. */
#define FEW_TILES 64
#define FEW_BYTES ((ptrdiff_t)256 << 10) /* transformed weights of one such step */
#define BLOCK_BYTES ((ptrdiff_t)256 << 10) /* transformed tiles of a block that fits that cache */
#define DEEP_BLOCK 48 /* tiles of a block that does not fit there: weights are used this often */

#define PREFETCH 16 /* channels ahead of the one that is transformed */

/* Whether the kernels of this file compute the case at all. */
static int is_possible(const fg_conv *c) {
  int possible = c->groups == 1;
  for (int a = 0; a < 3; a++) {
    possible &= c->stride[a] == 1 && c->dilation[a] == 1;
    possible &= (c->kernel[a] == 3 && c->padding[a] >= 0 && c->padding[a] <= 2) ||
                (a == 0 && c->kernel[a] == 1 && c->padding[a] == 0);
  }
  return possible;
}

/* Transform the weights of one panel for channels first … first + n - 1 into u, laid out
 * [frequency][channel][column]. */
static void transform_weights(const winograd *j, ptrdiff_t panel, ptrdiff_t first, ptrdiff_t n,
                              float *u, ptrdiff_t u_step) {
  int vectors;
  const ptrdiff_t columns = panel_columns(j, panel, &vectors);
  const ptrdiff_t width = FG_MIN(j->out_channels - panel * 2 * LANES, columns);
  float taps[27 * 2 * LANES] __attribute__((aligned(64)));
  memset(taps, 0, sizeof taps);
  const ptrdiff_t taps_step = j->mirrored ? -columns : columns;
  float *first_tap = taps + (j->mirrored ? (j->n_taps - 1) * columns : 0);
  for (ptrdiff_t c = first; c < first + n; c++, u += columns) {
    const float *w = j->w + panel * 2 * LANES * j->w_out + c * j->w_in;
    for (ptrdiff_t o = 0; o < width; o++) /* more streams than the processor foresees */
      for (ptrdiff_t k = 0; k < j->n_taps; k += LINE)
        __builtin_prefetch(w + o * j->w_out + PREFETCH * j->w_in + k);
    transpose(w, j->w_out, width, j->n_taps, first_tap, taps_step);
    for (ptrdiff_t i = 0; i < columns; i += LANES) switch (j->kind) {
#define TRANSFORM(k, d, h, w)                                          \
  case k:                                                              \
    taps_to_frequencies(d, h, w, taps + i, columns, u + i, u_step);    \
    break;
        FG_TILE_KINDS(TRANSFORM)
#undef TRANSFORM
      }
  }
}

/* Floats of a panel of transformed weights; between two of its frequencies lie in_channels * columns
 * + LINE of them. */
static ptrdiff_t panel_size(const winograd *j) {
  return j->n_frequencies * (j->in_channels * 2 * LANES + LINE);
}

static void transform_panel(void *context, ptrdiff_t panel) {
  const winograd *j = context;
  int vectors;
  const ptrdiff_t columns = panel_columns(j, panel, &vectors);
  transform_weights(j, panel, 0, j->in_channels, j->u + panel * panel_size(j),
                    j->in_channels * columns + LINE);
}

/* Write the outputs of tiles first … first + n - 1 for one panel from the products m, laid out
 * [frequency][tile][column] with m_row floats from tile to tile. */
static void write_tiles(const winograd *j, ptrdiff_t first, ptrdiff_t n, ptrdiff_t panel,
                        const float *m, ptrdiff_t m_step, ptrdiff_t m_row) {
  const ptrdiff_t *s = j->out_strides;
  int vectors;
  const ptrdiff_t columns = panel_columns(j, panel, &vectors);
  for (ptrdiff_t i = 0; i < n; i++, m += m_row) {
    ptrdiff_t tile[3], count[3];
    const ptrdiff_t image = locate(j, first + i, tile);
    float *out = j->out + image * s[0] + panel * 2 * LANES;
    for (int a = 0; a < 3; a++) {
      const ptrdiff_t at = tile[a] * j->writes[a];
      count[a] = FG_MIN(j->writes[a], j->out_size[a] - at);
      out += at * s[2 + a];
    }
    vec finite = {0};
    for (ptrdiff_t v = 0; v < columns; v += LANES) {
      vec y[32];
      const vec bias = *(const vec *)(j->bias + panel * 2 * LANES + v);
      switch (j->kind) {
#define TRANSFORM(k, d, h, w)                            \
  case k:                                                \
    tile_to_outputs(d, h, w, m + v, m_step, bias, y);    \
    break;
        FG_TILE_KINDS(TRANSFORM)
#undef TRANSFORM
      }
      const ptrdiff_t left = FG_MIN(j->out_channels - panel * 2 * LANES - v, LANES);
      const vec *row = y;
      for (ptrdiff_t d = 0; d < count[0]; d++)
        for (ptrdiff_t h = 0; h < j->writes[1]; h++, row += j->writes[2]) {
          if (h >= count[1]) continue;
          float *to = out + d * s[2] + h * s[3] + v;
          for (ptrdiff_t w = 0; w < count[2]; w++, to += s[4]) {
            finite += row[w] * 0.0f;
            if (left == LANES)
              *(vec *)to = row[w];
            else
              memcpy(to, row + w, left * sizeof(float));
          }
        }
    }
    if (!is_finite(finite)) mark(j->not_finite + image);
  }
}

/* One block of tiles for a share of the panels. */
static void run_block(void *context, ptrdiff_t i) {
  winograd *j = context;
  const ptrdiff_t split = i % j->n_splits, first = i / j->n_splits * j->block;
  const ptrdiff_t n = FG_MIN(j->block, j->n_tiles - first);
  if (n <= 0) return;
  const ptrdiff_t first_panel = split * j->n_panels / j->n_splits;
  const ptrdiff_t last_panel = (split + 1) * j->n_panels / j->n_splits;
  /* Where tiles stay in the cache, panel by panel; else all panels while a frequency is there. */
  const ptrdiff_t group = j->fits ? 1 : last_panel - first_panel;
  const ptrdiff_t m_row = group * 2 * LANES;
  const ptrdiff_t v_step = frequency_stride(n, j->in_padded), m_step = frequency_stride(n, m_row);
  const ptrdiff_t size = j->n_frequencies * (v_step + m_step + j->in_padded);
  float *v = scratch(size * sizeof(float));
  if (!v) {
    j->failed = 1;
    return;
  }
  float *m = v + j->n_frequencies * v_step, *copy = m + j->n_frequencies * m_step;
  const vec zeros[2] = {{0}};
  transform_inputs(j, first, n, copy, v, v_step);
  for (ptrdiff_t begin = first_panel; begin < last_panel; begin += group) {
    const ptrdiff_t end = FG_MIN(begin + group, last_panel);
    for (ptrdiff_t f = 0; f < j->n_frequencies; f++)
      for (ptrdiff_t panel = begin; panel < end; panel++) {
        int vectors;
        const ptrdiff_t columns = panel_columns(j, panel, &vectors);
        multiply_f32(n, vectors, v + f * v_step, j->in_padded, j->in_channels,
                     j->u + panel * panel_size(j) + f * (j->in_channels * columns + LINE),
                     (const float *)zeros, 0, m + f * m_step + (panel - begin) * 2 * LANES, m_row);
      }
    for (ptrdiff_t panel = begin; panel < end; panel++)
      write_tiles(j, first, n, panel, m + (panel - begin) * 2 * LANES, m_step, m_row);
  }
  free(v);
}

static void transform_one(void *context, ptrdiff_t i) {
  winograd *j = context;
  float *copy = scratch(j->n_frequencies * j->in_padded * sizeof(float));
  if (copy)
    transform_inputs(j, i, 1, copy, j->v + i * j->in_padded,
                     frequency_stride(j->n_tiles, j->in_padded));
  else
    j->failed = 1;
  free(copy);
}

/* One panel for all tiles, which were transformed before. */
static void run_panel(void *context, ptrdiff_t panel) {
  winograd *j = context;
  int vectors;
  const ptrdiff_t columns = panel_columns(j, panel, &vectors), n = j->n_tiles;
  const ptrdiff_t v_step = frequency_stride(n, j->in_padded), m_step = frequency_stride(n, columns);
  const ptrdiff_t most = FEW_BYTES / (j->n_frequencies * columns * (ptrdiff_t)sizeof(float));
  const ptrdiff_t step = FG_MIN(j->in_channels, most), u_step = step * columns + LINE;
  float *u = scratch(j->n_frequencies * (u_step + m_step) * sizeof(float));
  if (!u) {
    j->failed = 1;
    return;
  }
  float *m = u + j->n_frequencies * u_step;
  const vec zeros[2] = {{0}};
  for (ptrdiff_t c = 0; c < j->in_channels; c += step) {
    const ptrdiff_t run = FG_MIN(step, j->in_channels - c);
    transform_weights(j, panel, c, run, u, u_step);
    for (ptrdiff_t f = 0; f < j->n_frequencies; f++)
      multiply_f32(n, vectors, j->v + f * v_step + c, j->in_padded, run,
                   u + f * u_step, c ? m + f * m_step : (const float *)zeros, c ? columns : 0,
                   m + f * m_step, columns);
  }
  write_tiles(j, 0, n, panel, m, m_step, columns);
  free(u);
}

/* All images; -1 where memory ran out. */
static int run_all(winograd *j) {
  if (j->n_tiles <= FEW_TILES) {
    j->v = scratch(j->n_frequencies * frequency_stride(j->n_tiles, j->in_padded) * sizeof(float));
    j->failed = !j->v;
    if (!j->failed) fg_parallel(j->n_tiles, transform_one, j);
    if (!j->failed) fg_parallel(j->n_panels, run_panel, j);
    free(j->v);
    return j->failed ? -1 : 0;
  }
  const ptrdiff_t fit = BLOCK_BYTES / (j->n_frequencies * j->in_padded * (ptrdiff_t)sizeof(float));
  j->fits = fit >= 2 * FG_BLOCK_ROWS;
  cut_blocks(j, j->fits ? fit / FG_BLOCK_ROWS * FG_BLOCK_ROWS : DEEP_BLOCK);
  /* A share of fewer than four panels would spend more on transforming its input again. */
  j->n_splits = FG_MIN(ceil_div(j->n_panels, 4), ceil_div(N_TASKS, FG_MAX(j->n_blocks, 1)));
  j->u = scratch(j->n_panels * panel_size(j) * sizeof(float));
  j->failed = !j->u;
  if (!j->failed) {
    fg_parallel(j->n_panels, transform_panel, j);
    fg_parallel(j->n_blocks * j->n_splits, run_block, j);
  }
  free(j->u);
  return j->failed ? -1 : 0;
}

static int run(const fg_conv *c, int transposed, const float *in, const float *w, const float *bias,
               float *out, fg_conv_f32 *direct) {
  winograd j = make(c, transposed);
  j.in = in, j.out = out, j.w = (float *)w;
  float *filled_bias = calloc(j.n_panels * 2 * LANES, sizeof(float));
  j.not_finite = calloc(c->batch, 1);
  int failed = !filled_bias || !j.not_finite;
  if (!failed) {
    if (bias) memcpy(filled_bias, bias, j.out_channels * sizeof(float));
    j.bias = filled_bias;
    failed = run_all(&j);
  }
  fg_conv one = *c;
  one.batch = 1;
  for (ptrdiff_t i = 0; i < c->batch && !failed; i++)
    if (j.not_finite[i])
      failed = direct(&one, in + i * j.in_strides[0], w, bias, out + i * j.out_strides[0]);
  free(filled_bias);
  free(j.not_finite);
  return failed ? -1 : 0;
}

int FG(winograd)(const fg_conv *c, const float *x, const float *w, const float *bias, float *y,
                 fg_conv_f32 *direct) {
  return run(c, 0, x, w, bias, y, direct);
}

int FG(winograd_transpose)(const fg_conv *c, const float *y, const float *w, const float *bias,
                           float *x, fg_conv_f32 *direct) {
  return run(c, 1, y, w, bias, x, direct);
}

/* Measured on one core (AVX2): from 16 channels on both sides the transforms cost less than the
 * products they save, if those are half of them. */
int FG(winograd_choice)(const fg_conv *c) {
  if (!is_possible(c)) return 0;
  const winograd j = make(c, 0);
  const double outputs = (double)c->y_size[0] * c->y_size[1] * c->y_size[2];
  const double direct = outputs * j.n_taps * j.in_padded * j.out_padded / LANES;
  return c->x_channels >= 16 && c->y_channels >= 16 && cost(&j, c->batch) < 0.8 * direct ? 2 : 1;
}
