/* Geometry of a Winograd convolution and the transform of its blocks of tiles, for winograd.c and
 * winograd_weight.c. */
#ifndef FG_WINOGRAD_TILES_H
#define FG_WINOGRAD_TILES_H

#include <string.h>

#include "threads.h"
#include "winograd.h"
#include "winograd_lines.h"

#define REAL float
#define VECTOR fg_vf32
#define NAME(x) x##_f32
#include "conv_blocks.h"

#define N_TASKS 32 /* to aim at where the shape allows */
#define LINE 16    /* floats in a cache line: odd counts between frequencies spread over sets */

typedef struct {
  const float *in, *bias; /* bias: one value per output channel, zeros filled in */
  float *out;
  float *w; /* dense, only read unless it is the result; n_taps in a row */
  ptrdiff_t in_strides[5], out_strides[5], w_in, w_out;
  int mirrored; /* taps descend with the input index */
  ptrdiff_t in_size[3], out_size[3], padding[3];
  ptrdiff_t in_channels, out_channels; /* true counts; the padded ones are whole vectors */
  ptrdiff_t in_padded, out_padded, n_panels, n_splits;
  int kind;                              /* of FG_TILE_KINDS */
  ptrdiff_t reads[3], writes[3], n_taps; /* a tile's inputs and outputs along each axis */
  ptrdiff_t n_frequencies;
  ptrdiff_t tiles[3], n_tiles, block, n_blocks, n_chunks;
  int fits; /* a transformed block in the second-level cache */
  float *u; /* transformed weights, or sums of their gradient */
  float *v, *g; /* transformed tiles of all positions, where they are few */
  ptrdiff_t chunk_size;
  unsigned char *not_finite; /* per image, or one for a weight gradient */
  int failed;
} winograd;

typedef float quad __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t quad_index __attribute__((vector_size(16)));

/* to[k * to_step + i] = from[i * from_step + k] for i < rows, k < columns. */
static void transpose(const float *from, ptrdiff_t from_step, ptrdiff_t rows, ptrdiff_t columns,
                      float *to, ptrdiff_t to_step) {
  const quad_index low = {0, 4, 1, 5}, high = {2, 6, 3, 7}, first = {0, 1, 4, 5}, last = {2, 3, 6, 7};
  if (rows < 4 || columns < 4) {
    for (ptrdiff_t i = 0; i < rows; i++)
      for (ptrdiff_t k = 0; k < columns; k++) to[k * to_step + i] = from[i * from_step + k];
    return;
  }
  for (ptrdiff_t r = 0; r < rows; r += 4) /* the last block overlaps the one before */
    for (ptrdiff_t c = 0; c < columns; c += 4) {
      const ptrdiff_t i = FG_MIN(r, rows - 4), k = FG_MIN(c, columns - 4);
      const float *x = from + i * from_step + k;
      float *y = to + k * to_step + i;
      const quad x0 = *(const quad *)x, x1 = *(const quad *)(x + from_step),
                 x2 = *(const quad *)(x + 2 * from_step), x3 = *(const quad *)(x + 3 * from_step);
      const quad low01 = __builtin_shuffle(x0, x1, low), high01 = __builtin_shuffle(x0, x1, high),
                 low23 = __builtin_shuffle(x2, x3, low), high23 = __builtin_shuffle(x2, x3, high);
      *(quad *)y = __builtin_shuffle(low01, low23, first);
      *(quad *)(y + to_step) = __builtin_shuffle(low01, low23, last);
      *(quad *)(y + 2 * to_step) = __builtin_shuffle(high01, high23, first);
      *(quad *)(y + 3 * to_step) = __builtin_shuffle(high01, high23, last);
    }
}

static void mark(unsigned char *flag) { __atomic_store_n(flag, 1, __ATOMIC_RELAXED); }

/* Whether all elements are finite: the rest times zero is NaN. */
FG_INLINE int is_finite(vec x) {
  const vec zero = x * 0.0f;
  int finite = 1;
  for (int i = 0; i < LANES; i++) finite &= zero[i] == 0.0f;
  return finite;
}

/* Geometry of a forward pass or, transposed, of the data gradient: the same convolution with the
 * taps mirrored and the rest of the padding. */
static winograd make_kind(const fg_conv *c, int transposed, int kind) {
  static const ptrdiff_t kinds[][3] = {
#define SIZES(i, d, h, w) {d, h, w},
      FG_TILE_KINDS(SIZES)};
  winograd j = {.in_channels = transposed ? c->y_channels : c->x_channels,
                .out_channels = transposed ? c->x_channels : c->y_channels,
                .w_in = c->w_strides[transposed ? 0 : 1],
                .w_out = c->w_strides[transposed ? 1 : 0],
                .mirrored = transposed,
                .kind = kind,
                .n_frequencies = 1,
                .n_taps = 1,
                .n_tiles = c->batch};
  memcpy(j.in_strides, transposed ? c->y_strides : c->x_strides, sizeof j.in_strides);
  memcpy(j.out_strides, transposed ? c->x_strides : c->y_strides, sizeof j.out_strides);
  for (int a = 0; a < 3; a++) {
    j.in_size[a] = transposed ? c->y_size[a] : c->x_size[a];
    j.out_size[a] = transposed ? c->x_size[a] : c->y_size[a];
    j.padding[a] = transposed ? c->kernel[a] - 1 - c->padding[a] : c->padding[a];
    j.reads[a] = kinds[kind][a];
    j.writes[a] = TILE(kinds[kind][a]);
    j.tiles[a] = ceil_div(j.out_size[a], j.writes[a]);
    j.n_taps *= c->kernel[a];
    j.n_frequencies *= j.reads[a];
    j.n_tiles *= j.tiles[a];
  }
  j.in_padded = ceil_div(j.in_channels, LANES) * LANES;
  j.out_padded = ceil_div(j.out_channels, LANES) * LANES;
  j.n_panels = ceil_div(j.out_channels, 2 * LANES);
  return j;
}

/* Time for one image in units of a vector multiply-add: products, transforms of tiles and weights.
 * One image, so that the method, and with it every bit of a result, is the same in any batch. */
static double cost(const winograd *j, ptrdiff_t batch) {
  const double per_vector = j->n_frequencies / (double)LANES, tiles = (double)j->n_tiles / batch;
  const double channels = j->in_padded, columns = j->out_padded;
  return per_vector * (tiles * (channels * columns + 4 * (channels + columns)) +
                       8 * channels * columns);
}

/* The geometry with the tiles that should be fastest. */
static winograd make(const fg_conv *c, int transposed) {
  const int first = c->kernel[0] == 3 ? 2 : 0;
  const winograd small = make_kind(c, transposed, first), large = make_kind(c, transposed, first + 1);
  return cost(&small, c->batch) <= cost(&large, c->batch) ? small : large;
}

/* Cut the tiles into blocks of about this many. */
static void cut_blocks(winograd *j, ptrdiff_t block) {
  j->n_blocks = ceil_div(j->n_tiles, block);
  j->block = ceil_div(j->n_tiles, FG_MAX(j->n_blocks, 1));
}

/* Floats between two frequencies of n transformed tiles with this many channels. */
static ptrdiff_t frequency_stride(ptrdiff_t n, ptrdiff_t channels) { return n * channels + LINE; }

/* Image and tile coordinates of tile number i. */
static ptrdiff_t locate(const winograd *j, ptrdiff_t i, ptrdiff_t tile[3]) {
  for (int a = 2; a >= 0; a--) {
    tile[a] = i % j->tiles[a];
    i /= j->tiles[a];
  }
  return i;
}

/* Transform tiles first … first + n - 1 of the input, or of the gradient for the output, channels
 * first_channel and on, `padded` of them, into v, laid out [frequency][tile][channel]. A tile that
 * hangs over the edge or has a broken vector of channels goes through a zero-padded copy. */
FG_INLINE void transform_tiles(const winograd *j, const int gradient, ptrdiff_t first, ptrdiff_t n,
                               ptrdiff_t first_channel, ptrdiff_t padded, float *copy, float *v,
                               ptrdiff_t v_step) {
  const ptrdiff_t *strides = gradient ? j->out_strides : j->in_strides, *s = strides + 2;
  const ptrdiff_t *length = gradient ? j->writes : j->reads;
  const ptrdiff_t *size = gradient ? j->out_size : j->in_size;
  const ptrdiff_t dense[3] = {length[1] * length[2] * padded, length[2] * padded, padded};
  const ptrdiff_t channels =
      FG_MIN(padded, (gradient ? j->out_channels : j->in_channels) - first_channel);
  for (ptrdiff_t i = 0; i < n; i++, v += padded) {
    ptrdiff_t tile[3], begin[3];
    const float *in = gradient ? j->out : j->in;
    in += locate(j, first + i, tile) * strides[0] + first_channel;
    int inside = channels == padded;
    for (int a = 0; a < 3; a++) {
      begin[a] = tile[a] * j->writes[a] - (gradient ? 0 : j->padding[a]);
      inside &= begin[a] >= 0 && begin[a] + length[a] <= size[a];
    }
    const float *from = in + begin[0] * s[0] + begin[1] * s[1] + begin[2] * s[2];
    if (!inside) {
      copy_padded_f32(in, s, size, begin, length, channels, padded, copy);
      from = copy;
    }
    switch (j->kind) {
#define TRANSFORM(i, d, h, w)                                                                  \
  case i:                                                                                      \
    tile_to_frequencies(gradient, d, h, w, from, inside ? s : dense, padded, v, v_step);       \
    break;
      FG_TILE_KINDS(TRANSFORM)
#undef TRANSFORM
    }
  }
}

static void transform_inputs(const winograd *j, ptrdiff_t first, ptrdiff_t n, float *copy, float *v,
                             ptrdiff_t v_step) {
  transform_tiles(j, 0, first, n, 0, j->in_padded, copy, v, v_step);
}

static void transform_gradients(const winograd *j, ptrdiff_t first, ptrdiff_t n,
                                ptrdiff_t first_channel, ptrdiff_t padded, float *copy, float *v,
                                ptrdiff_t v_step) {
  transform_tiles(j, 1, first, n, first_channel, padded, copy, v, v_step);
}

/* Columns of a panel in whole vectors, and how many vectors that is. */
static ptrdiff_t panel_columns(const winograd *j, ptrdiff_t panel, int *vectors) {
  *vectors = j->out_channels - panel * 2 * LANES > LANES ? 2 : 1;
  return *vectors * LANES;
}

#endif
