/* Winograd convolution, float32: weight gradient. in is x, out the gradient for y, which is only
 * read; winograd.c has the method. */
#include "winograd_tiles.h"

/* Up to this many bytes all tiles are transformed first; then every task makes the sums of some
 * channels and columns over all tiles and turns them into weights before they leave the cache. */
#define ALL_BYTES ((ptrdiff_t)24 << 20)
#define SUMS_BYTES ((ptrdiff_t)288 << 10) /* sums of one such task */
#define PARTIAL_BYTES ((ptrdiff_t)24 << 20) /* the C allocator gives back larger blocks */
#define BLOCK_TILES 24

/* Turn the sums of `channels` channels of one panel, laid out [frequency][channel][column], and
 * those of further chunks chunk_size floats apart, added in order, into gradients of weights. */
static void write_weights(const winograd *j, ptrdiff_t panel, ptrdiff_t first, ptrdiff_t channels,
                          const float *sums, ptrdiff_t step) {
  int vectors;
  const ptrdiff_t columns = panel_columns(j, panel, &vectors);
  const ptrdiff_t width = FG_MIN(j->out_channels - panel * 2 * LANES, columns);
  const ptrdiff_t n_deep = j->reads[0] == 1 ? 1 : 3;
  float taps[27 * 2 * LANES] __attribute__((aligned(64)));
  vec finite = {0};
  for (ptrdiff_t c = first; c < first + channels; c++) {
    for (ptrdiff_t v = 0; v < columns; v += LANES, sums += LANES) {
      vec t[MOST_FREQUENCIES];
      for (ptrdiff_t k = 0; k < j->n_frequencies; k++) {
        t[k] = *(const vec *)(sums + k * step);
        for (ptrdiff_t chunk = 1; chunk < j->n_chunks; chunk++)
          t[k] += *(const vec *)(sums + k * step + chunk * j->chunk_size);
      }
      switch (j->kind) {
#define TRANSFORM(k, d, h, w)        \
  case k:                            \
    frequencies_to_taps(d, h, w, t); \
    break;
        FG_TILE_KINDS(TRANSFORM)
#undef TRANSFORM
      }
      float *to = taps + v;
      for (ptrdiff_t a = 0; a < n_deep; a++)
        for (ptrdiff_t b = 0; b < 3; b++)
          for (ptrdiff_t e = 0; e < 3; e++, to += columns) {
            const vec tap = t[(a * j->reads[1] + b) * j->reads[2] + e];
            finite += tap * 0.0f;
            *(vec *)to = tap;
          }
    }
    transpose(taps, columns, j->n_taps, width,
              j->w + panel * 2 * LANES * j->w_out + c * j->w_in, j->w_out);
  }
  if (!is_finite(finite)) mark(j->not_finite);
}

/* ---- many tiles: sums over blocks of them, chunk by chunk ---- */

static float *panel_sums(const winograd *j, ptrdiff_t panel) {
  return j->u + panel * 2 * LANES * j->in_channels * j->n_frequencies;
}

/* Sums over one chunk of blocks, for a share of the panels. */
static void sum_chunk(void *context, ptrdiff_t i) {
  winograd *j = context;
  const ptrdiff_t split = i % j->n_splits, chunk = i / j->n_splits;
  const ptrdiff_t first_panel = split * j->n_panels / j->n_splits;
  const ptrdiff_t last_panel = (split + 1) * j->n_panels / j->n_splits;
  const ptrdiff_t first_column = first_panel * 2 * LANES;
  const ptrdiff_t columns = FG_MIN(last_panel * 2 * LANES, j->out_padded) - first_column;
  const ptrdiff_t v_step = frequency_stride(j->block, j->in_padded);
  const ptrdiff_t g_step = frequency_stride(j->block, columns);
  float *v = scratch(j->n_frequencies * (v_step + g_step + FG_MAX(j->in_padded, columns)) *
                     sizeof(float));
  if (!v) {
    j->failed = 1;
    return;
  }
  float *g = v + j->n_frequencies * v_step, *copy = g + j->n_frequencies * g_step;
  const ptrdiff_t begin = chunk * j->n_blocks / j->n_chunks;
  for (ptrdiff_t b = begin; b < (chunk + 1) * j->n_blocks / j->n_chunks; b++) {
    const ptrdiff_t first = b * j->block, n = FG_MIN(j->block, j->n_tiles - first);
    if (n <= 0) break;
    transform_inputs(j, first, n, copy, v, v_step);
    transform_gradients(j, first, n, first_column, columns, copy, g, g_step);
    for (ptrdiff_t f = 0; f < j->n_frequencies; f++)
      for (ptrdiff_t panel = first_panel; panel < last_panel; panel++) {
        int vectors;
        const ptrdiff_t width = panel_columns(j, panel, &vectors);
        outer_f32(j->in_channels, vectors, v + f * v_step, 1, j->in_padded,
                  g + f * g_step + panel * 2 * LANES - first_column, columns, n, b > begin,
                  panel_sums(j, panel) + chunk * j->chunk_size + f * j->in_channels * width);
      }
  }
  free(v);
}

static void write_panel(void *context, ptrdiff_t panel) {
  const winograd *j = context;
  int vectors;
  write_weights(j, panel, 0, j->in_channels, panel_sums(j, panel),
                j->in_channels * panel_columns(j, panel, &vectors));
}

static void sum_in_chunks(winograd *j) {
  cut_blocks(j, BLOCK_TILES);
  j->chunk_size = j->n_frequencies * j->in_channels * j->out_padded;
  const ptrdiff_t most = PARTIAL_BYTES / (j->chunk_size * (ptrdiff_t)sizeof(float));
  j->n_chunks = FG_MAX(FG_MIN(FG_MIN(most, N_TASKS), j->n_blocks), 1);
  j->n_splits = FG_MIN(ceil_div(j->n_panels, 4), ceil_div(N_TASKS, j->n_chunks));
  j->u = scratch(j->n_chunks * j->chunk_size * sizeof(float));
  j->failed = !j->u;
  if (!j->failed) fg_parallel(j->n_chunks * j->n_splits, sum_chunk, j);
  if (!j->failed) fg_parallel(j->n_panels, write_panel, j);
  free(j->u);
}

/* ---- few tiles: all are transformed, then sums over all of them ---- */

static void transform_both(void *context, ptrdiff_t i) {
  winograd *j = context;
  float *copy = scratch(j->n_frequencies * FG_MAX(j->in_padded, j->out_padded) * sizeof(float));
  if (copy) {
    transform_inputs(j, i, 1, copy, j->v + i * j->in_padded,
                     frequency_stride(j->n_tiles, j->in_padded));
    transform_gradients(j, i, 1, 0, j->out_padded, copy, j->g + i * j->out_padded,
                        frequency_stride(j->n_tiles, j->out_padded));
  } else {
    j->failed = 1;
  }
  free(copy);
}

/* All sums of a panel and some channels; j->block of them here. */
static void sum_all(void *context, ptrdiff_t i) {
  winograd *j = context;
  const ptrdiff_t panel = i % j->n_panels, first = i / j->n_panels * j->block;
  const ptrdiff_t n = FG_MIN(j->block, j->in_channels - first);
  if (n <= 0) return;
  int vectors;
  const ptrdiff_t columns = panel_columns(j, panel, &vectors), step = n * columns + LINE;
  float *sums = scratch(j->n_frequencies * step * sizeof(float));
  if (!sums) {
    j->failed = 1;
    return;
  }
  for (ptrdiff_t f = 0; f < j->n_frequencies; f++)
    outer_f32(n, vectors, j->v + f * frequency_stride(j->n_tiles, j->in_padded) + first, 1,
              j->in_padded, j->g + f * frequency_stride(j->n_tiles, j->out_padded) + panel * 2 * LANES,
              j->out_padded, j->n_tiles, 0, sums + f * step);
  write_weights(j, panel, first, n, sums, step);
  free(sums);
}

static ptrdiff_t all_tiles_bytes(const winograd *j) {
  return j->n_frequencies * (ptrdiff_t)sizeof(float) *
         (frequency_stride(j->n_tiles, j->in_padded) + frequency_stride(j->n_tiles, j->out_padded));
}

static void sum_at_once(winograd *j) {
  j->v = scratch(all_tiles_bytes(j));
  if (!j->v) {
    j->failed = 1;
    return;
  }
  j->g = j->v + j->n_frequencies * frequency_stride(j->n_tiles, j->in_padded);
  j->n_chunks = 1;
  const ptrdiff_t most = SUMS_BYTES / (j->n_frequencies * 2 * LANES * (ptrdiff_t)sizeof(float));
  j->block = ceil_div(j->in_channels, ceil_div(j->in_channels, FG_MAX(most, 1)));
  fg_parallel(j->n_tiles, transform_both, j);
  if (!j->failed) fg_parallel(j->n_panels * ceil_div(j->in_channels, j->block), sum_all, j);
  free(j->v);
}

int FG(winograd_weight)(const fg_conv *c, const float *x, const float *y, float *w,
                        fg_conv_weight_f32 *direct) {
  winograd j = make(c, 0);
  unsigned char not_finite = 0;
  j.in = x, j.out = (float *)y, j.w = w;
  j.not_finite = &not_finite;
  if (all_tiles_bytes(&j) <= ALL_BYTES)
    sum_at_once(&j);
  else
    sum_in_chunks(&j);
  if (j.failed) return -1;
  return not_finite ? direct(c, x, y, w) : 0;
}
