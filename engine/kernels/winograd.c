/* Winograd convolution F(2x2x2, 3x3x3) and F(2x2, 3x3), float32: forward, data and weight gradient.
 *
 * A tile of 2 outputs along each axis with 3 taps reads 4 inputs; in transformed coordinates it
 * needs one product per input instead of 3 per output: 64 for 8 outputs in three dimensions instead
 * of 216. Tiles are taken in blocks whose transform stays in the second-level cache; each of the 64
 * (or 16) frequencies is then a small matrix product over channels:
 *
 *   V = B' x B      U = G w G'      y = A' (sum over channels of U V) A      dw = G' (sum of V (A g A')) G
 *
 * S. Winograd, "Arithmetic complexity of computations", SIAM 1980; A. Lavin and S. Gray, "Fast
 * algorithms for convolutional neural networks", CVPR 2016, arXiv:1509.09308;
 * blocking after Z. Jia, A. Zlateski, F. Durand, K. Li, "Optimizing N-dimensional, Winograd-based
 * convolution for manycore CPUs", PPoPP 2018. Sums run over channels only, 27 times
 * shorter than direct ones, which makes up for the rounding of the transforms. The cut into tasks
 * and the order of sums depend on shapes only. */
#include <string.h>

#include "threads.h"
#include "winograd.h"

#define REAL float
#define VECTOR fg_vf32
#define NAME(x) x##_f32
#include "conv_blocks.h"

/* Tiles of a block: enough that weights are used often while they are in a register or the first
 * cache; measured flat from 18 to 36. */
#define BLOCK_TILES (ceil_div(28, FG_BLOCK_ROWS) * FG_BLOCK_ROWS)
#define PARTIAL_BYTES ((ptrdiff_t)24 << 20) /* the C allocator gives back larger blocks */
#define N_TASKS 32
#define LINE 16 /* floats in a cache line: odd line counts between frequencies spread over sets */

typedef VECTOR vec;

typedef struct {
  const float *in, *bias; /* bias: one value per output channel, zeros filled in */
  float *out;
  const float *w; /* taps ascend with the input index, whatever the sign of their strides */
  ptrdiff_t in_strides[5], out_strides[5], w_in, w_out, w_taps[3];
  ptrdiff_t in_size[3], out_size[3], padding[3];
  ptrdiff_t in_channels, out_channels; /* true counts; the padded ones are whole vectors */
  ptrdiff_t in_padded, out_padded, n_panels, n_splits;
  int depth;             /* 4, or 1 where axis 0 has a single tap */
  ptrdiff_t n_frequencies; /* 16 * depth */
  ptrdiff_t tiles[3], n_tiles, block, n_blocks, n_chunks;
  float *u; /* transformed weights, or their gradient per chunk: [panel][frequency][in][column] */
  ptrdiff_t chunk_size;
  int failed;
} winograd;

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

/* Geometry of a forward pass or, transposed, of the data gradient: the same convolution with the
 * taps mirrored and the rest of the padding. */
static winograd make(const fg_conv *c, int transposed) {
  winograd j = {.in_channels = transposed ? c->y_channels : c->x_channels,
                .out_channels = transposed ? c->x_channels : c->y_channels,
                .w_in = c->w_strides[transposed ? 0 : 1],
                .w_out = c->w_strides[transposed ? 1 : 0],
                .depth = c->kernel[0] == 3 ? 4 : 1,
                .n_tiles = c->batch};
  memcpy(j.in_strides, transposed ? c->y_strides : c->x_strides, sizeof j.in_strides);
  memcpy(j.out_strides, transposed ? c->x_strides : c->y_strides, sizeof j.out_strides);
  for (int a = 0; a < 3; a++) {
    j.in_size[a] = transposed ? c->y_size[a] : c->x_size[a];
    j.out_size[a] = transposed ? c->x_size[a] : c->y_size[a];
    j.padding[a] = transposed ? c->kernel[a] - 1 - c->padding[a] : c->padding[a];
    j.w_taps[a] = transposed ? -c->w_strides[2 + a] : c->w_strides[2 + a];
    j.tiles[a] = c->kernel[a] == 3 ? ceil_div(j.out_size[a], 2) : j.out_size[a];
    j.n_tiles *= j.tiles[a];
  }
  j.n_frequencies = 16 * j.depth;
  j.in_padded = ceil_div(j.in_channels, LANES) * LANES;
  j.out_padded = ceil_div(j.out_channels, LANES) * LANES;
  j.n_panels = ceil_div(j.out_channels, 2 * LANES);
  j.n_blocks = ceil_div(j.n_tiles, BLOCK_TILES);
  j.block = ceil_div(j.n_tiles, FG_MAX(j.n_blocks, 1));
  return j;
}

/* Floats between two frequencies of a transformed block with this many channels. */
static ptrdiff_t frequency_stride(const winograd *j, ptrdiff_t channels) {
  return j->block * channels + LINE;
}

/* Image and tile coordinates of tile number i. */
static ptrdiff_t locate(const winograd *j, ptrdiff_t i, ptrdiff_t tile[3]) {
  for (int a = 2; a >= 0; a--) {
    tile[a] = i % j->tiles[a];
    i /= j->tiles[a];
  }
  return i;
}

/* Input transform B': (x0 - x2, x1 + x2, x2 - x1, x1 - x3) along each axis, all channels of a tile;
 * frequency f goes to v + f * v_step. */
FG_INLINE void transform_input(const int depth, const float *in, const ptrdiff_t s[3],
                               ptrdiff_t channels, float *v, ptrdiff_t v_step) {
  for (ptrdiff_t c = 0; c < channels; c += LANES) {
    vec t[64];
    for (int d = 0; d < depth; d++) {
      vec r[4][4];
      for (int h = 0; h < 4; h++) {
        const float *p = in + d * s[0] + h * s[1] + c;
        const vec x0 = *(const vec *)p, x1 = *(const vec *)(p + s[2]),
                  x2 = *(const vec *)(p + 2 * s[2]), x3 = *(const vec *)(p + 3 * s[2]);
        r[h][0] = x0 - x2, r[h][1] = x1 + x2, r[h][2] = x2 - x1, r[h][3] = x1 - x3;
      }
      for (int w = 0; w < 4; w++) {
        t[d * 16 + w] = r[0][w] - r[2][w], t[d * 16 + 4 + w] = r[1][w] + r[2][w];
        t[d * 16 + 8 + w] = r[2][w] - r[1][w], t[d * 16 + 12 + w] = r[1][w] - r[3][w];
      }
    }
    for (int k = 0; k < 16; k++) {
      float *to = v + c + k * v_step;
      if (depth == 1) {
        *(vec *)to = t[k];
        continue;
      }
      const vec x0 = t[k], x1 = t[16 + k], x2 = t[32 + k], x3 = t[48 + k];
      *(vec *)to = x0 - x2, *(vec *)(to + 16 * v_step) = x1 + x2;
      *(vec *)(to + 32 * v_step) = x2 - x1, *(vec *)(to + 48 * v_step) = x1 - x3;
    }
  }
}

/* Transform A g A' of a tile of output gradients: (g0, g0 + g1, g0 - g1, -g1) along each axis. */
FG_INLINE void transform_gradient(const int depth, const float *in, const ptrdiff_t s[3],
                                  ptrdiff_t channels, float *v, ptrdiff_t v_step) {
  for (ptrdiff_t c = 0; c < channels; c += LANES) {
    vec t[2][16];
    for (int d = 0; d < (depth + 2) / 3; d++) {
      vec r[2][4];
      for (int h = 0; h < 2; h++) {
        const float *p = in + d * s[0] + h * s[1] + c;
        const vec g0 = *(const vec *)p, g1 = *(const vec *)(p + s[2]);
        r[h][0] = g0, r[h][1] = g0 + g1, r[h][2] = g0 - g1, r[h][3] = -g1;
      }
      for (int w = 0; w < 4; w++) {
        t[d][w] = r[0][w], t[d][4 + w] = r[0][w] + r[1][w];
        t[d][8 + w] = r[0][w] - r[1][w], t[d][12 + w] = -r[1][w];
      }
    }
    for (int k = 0; k < 16; k++) {
      float *to = v + c + k * v_step;
      *(vec *)to = t[0][k];
      if (depth == 1) continue;
      *(vec *)(to + 16 * v_step) = t[0][k] + t[1][k];
      *(vec *)(to + 32 * v_step) = t[0][k] - t[1][k], *(vec *)(to + 48 * v_step) = -t[1][k];
    }
  }
}

/* Output transform A': (m0 + m1 + m2, m1 - m2 - m3) along each axis, one vector of channels; the 8
 * (or 4) outputs of the tile in y. */
FG_INLINE void transform_output(const int depth, const float *m, ptrdiff_t m_step, vec bias,
                                vec y[2][2][2]) {
  vec t[2][16];
  for (int k = 0; k < 16; k++) {
    const vec m0 = *(const vec *)(m + k * m_step);
    if (depth == 1) {
      t[0][k] = m0;
      continue;
    }
    const vec m1 = *(const vec *)(m + (16 + k) * m_step), m2 = *(const vec *)(m + (32 + k) * m_step),
              m3 = *(const vec *)(m + (48 + k) * m_step);
    t[0][k] = m0 + m1 + m2, t[1][k] = m1 - m2 - m3;
  }
  for (int d = 0; d < (depth + 2) / 3; d++) {
    vec z[2][4];
    for (int w = 0; w < 4; w++) {
      z[0][w] = t[d][w] + t[d][4 + w] + t[d][8 + w];
      z[1][w] = t[d][4 + w] - t[d][8 + w] - t[d][12 + w];
    }
    for (int h = 0; h < 2; h++) {
      y[d][h][0] = bias + z[h][0] + z[h][1] + z[h][2];
      y[d][h][1] = bias + z[h][1] - z[h][2] - z[h][3];
    }
  }
}

/* Transform tiles first … first + n - 1 into v, laid out [frequency][tile][padded channel]. A tile
 * that hangs over the edge or has a broken vector of channels goes through a zero-padded copy. */
static void transform_block(const winograd *j, ptrdiff_t first, ptrdiff_t n, float *copy, float *v) {
  const ptrdiff_t step = frequency_stride(j, j->in_padded), *s = j->in_strides + 2;
  const ptrdiff_t length[3] = {j->depth, 4, 4};
  const ptrdiff_t dense[3] = {16 * j->in_padded, 4 * j->in_padded, j->in_padded};
  for (ptrdiff_t i = 0; i < n; i++, v += j->in_padded) {
    ptrdiff_t tile[3], begin[3];
    const float *in = j->in + locate(j, first + i, tile) * j->in_strides[0];
    int inside = j->in_channels == j->in_padded;
    for (int a = 0; a < 3; a++) {
      begin[a] = tile[a] * (length[a] == 1 ? 1 : 2) - j->padding[a];
      inside &= begin[a] >= 0 && begin[a] + length[a] <= j->in_size[a];
    }
    const float *from = in + begin[0] * s[0] + begin[1] * s[1] + begin[2] * s[2];
    if (!inside) {
      copy_padded_f32(in, s, j->in_size, begin, length, j->in_channels, j->in_padded, copy);
      from = copy;
    }
    if (j->depth == 4)
      transform_input(4, from, inside ? s : dense, j->in_padded, v, step);
    else
      transform_input(1, from, inside ? s : dense, j->in_padded, v, step);
  }
}

/* ---- forward and data gradient ---- */

/* U = G w G' of one panel: (w0, (w0 + w1 + w2) / 2, (w0 - w1 + w2) / 2, w2) along each axis. */
FG_INLINE void transform_weight(vec *x, int stride) {
  const vec w0 = x[0], w1 = x[stride], w2 = x[2 * stride], half = (w0 + w2) * 0.5f;
  x[stride] = half + w1 * 0.5f, x[2 * stride] = half - w1 * 0.5f, x[3 * stride] = w2;
}

static void transform_panel(void *context, ptrdiff_t panel) {
  const winograd *j = context;
  const ptrdiff_t width = FG_MIN(j->out_channels - panel * 2 * LANES, 2 * LANES);
  const int vectors = width > LANES ? 2 : 1;
  const ptrdiff_t columns = vectors * LANES, step = j->in_channels * columns;
  float *u = j->u + panel * 2 * LANES * j->in_channels * j->n_frequencies;
  const int n_deep = j->depth == 4 ? 3 : 1;
  for (ptrdiff_t c = 0; c < j->in_channels; c++)
    for (int v = 0; v < vectors; v++, u += LANES) {
      vec x[64] = {0};
      for (ptrdiff_t o = 0; o < FG_MIN(width - v * LANES, LANES); o++) {
        const float *w = j->w + (panel * 2 * LANES + v * LANES + o) * j->w_out + c * j->w_in;
        for (int a = 0; a < n_deep; a++)
          for (int b = 0; b < 3; b++)
            for (int e = 0; e < 3; e++)
              x[a * 16 + b * 4 + e][o] = w[a * j->w_taps[0] + b * j->w_taps[1] + e * j->w_taps[2]];
      }
      for (int a = 0; a < n_deep; a++) {
        for (int b = 0; b < 3; b++) transform_weight(x + a * 16 + b * 4, 1);
        for (int e = 0; e < 4; e++) transform_weight(x + a * 16 + e, 4);
      }
      if (n_deep == 3)
        for (int k = 0; k < 16; k++) transform_weight(x + k, 16);
      for (int k = 0; k < j->n_frequencies; k++) *(vec *)(u + k * step) = x[k];
    }
}

/* Write the outputs of tiles first … first + n - 1 for one panel from the products m. */
static void write_tiles(const winograd *j, ptrdiff_t first, ptrdiff_t n, ptrdiff_t panel,
                        ptrdiff_t width, int vectors, const float *m) {
  const ptrdiff_t step = frequency_stride(j, 2 * LANES), *s = j->out_strides;
  for (ptrdiff_t i = 0; i < n; i++, m += vectors * LANES) {
    ptrdiff_t tile[3], at[3], count[3];
    float *out = j->out + locate(j, first + i, tile) * s[0] + panel * 2 * LANES;
    for (int a = 0; a < 3; a++) {
      const ptrdiff_t size = a == 0 && j->depth == 1 ? 1 : 2;
      at[a] = tile[a] * size;
      count[a] = FG_MIN(size, j->out_size[a] - at[a]);
      out += at[a] * s[2 + a];
    }
    for (int v = 0; v < vectors; v++) {
      vec y[2][2][2];
      const vec bias = *(const vec *)(j->bias + (panel * 2 + v) * LANES);
      if (j->depth == 4)
        transform_output(4, m + v * LANES, step, bias, y);
      else
        transform_output(1, m + v * LANES, step, bias, y);
      const ptrdiff_t left = FG_MIN(width - v * LANES, LANES);
      for (ptrdiff_t d = 0; d < count[0]; d++)
        for (ptrdiff_t h = 0; h < count[1]; h++)
          for (ptrdiff_t w = 0; w < count[2]; w++) {
            float *to = out + d * s[2] + h * s[3] + w * s[4] + v * LANES;
            if (left == LANES)
              *(vec *)to = y[d][h][w];
            else
              memcpy(to, &y[d][h][w], left * sizeof(float));
          }
    }
  }
}

/* One block of tiles for a share of the panels. */
static void run_block(void *context, ptrdiff_t i) {
  winograd *j = context;
  const ptrdiff_t split = i % j->n_splits, first = i / j->n_splits * j->block;
  const ptrdiff_t n = FG_MIN(j->block, j->n_tiles - first);
  if (n <= 0) return;
  const ptrdiff_t v_step = frequency_stride(j, j->in_padded), m_step = frequency_stride(j, 2 * LANES);
  float *v = scratch((j->n_frequencies * (v_step + m_step) + 64 * j->in_padded) * sizeof(float));
  if (!v) {
    j->failed = 1;
    return;
  }
  float *m = v + j->n_frequencies * v_step, *copy = m + j->n_frequencies * m_step;
  const vec zeros[2] = {{0}};
  const ptrdiff_t offset = 0;
  transform_block(j, first, n, copy, v);
  for (ptrdiff_t panel = split * j->n_panels / j->n_splits;
       panel < (split + 1) * j->n_panels / j->n_splits; panel++) {
    const ptrdiff_t width = FG_MIN(j->out_channels - panel * 2 * LANES, 2 * LANES);
    const int vectors = width > LANES ? 2 : 1;
    const ptrdiff_t columns = vectors * LANES;
    const float *u = j->u + panel * 2 * LANES * j->in_channels * j->n_frequencies;
    for (ptrdiff_t f = 0; f < j->n_frequencies; f++, u += j->in_channels * columns)
      multiply_f32(n, vectors, 0, v + f * v_step, j->in_padded, &offset, 1, j->in_channels, u,
                   (const float *)zeros, 0, m + f * m_step, columns);
    write_tiles(j, first, n, panel, width, vectors, m);
  }
  free(v);
}

static int run(const fg_conv *c, int transposed, const float *in, const float *w, const float *bias,
               float *out) {
  winograd j = make(c, transposed);
  j.in = in, j.out = out, j.w = w;
  for (int a = 0; a < 3; a++) /* mirrored taps begin at the last one */
    if (transposed) j.w += (c->kernel[a] - 1) * c->w_strides[2 + a];
  /* A share of fewer than four panels would spend more on transforming its input again. */
  j.n_splits = FG_MIN(ceil_div(j.n_panels, 4), ceil_div(N_TASKS, FG_MAX(j.n_blocks, 1)));
  float *filled_bias = calloc(j.out_padded, sizeof(float));
  j.u = scratch(j.n_frequencies * j.in_channels * j.out_padded * sizeof(float));
  j.failed = !filled_bias || !j.u;
  if (!j.failed) {
    if (bias) memcpy(filled_bias, bias, j.out_channels * sizeof(float));
    j.bias = filled_bias;
    fg_parallel(j.n_panels, transform_panel, &j);
    fg_parallel(j.n_blocks * j.n_splits, run_block, &j);
  }
  free(filled_bias);
  free(j.u);
  return j.failed ? -1 : 0;
}

int FG(winograd)(const fg_conv *c, const float *x, const float *w, const float *bias, float *y) {
  return run(c, 0, x, w, bias, y);
}

int FG(winograd_transpose)(const fg_conv *c, const float *y, const float *w, const float *bias,
                           float *x) {
  return run(c, 1, y, w, bias, x);
}

/* ---- weight gradient: in is x, out is the gradient for y (only read) ---- */

/* Transform the gradients of a block for columns first_column on into v, as transform_block. */
static void transform_gradient_block(const winograd *j, ptrdiff_t first, ptrdiff_t n,
                                     ptrdiff_t first_column, ptrdiff_t columns, float *copy,
                                     float *v) {
  const ptrdiff_t step = frequency_stride(j, columns), *s = j->out_strides + 2;
  const ptrdiff_t length[3] = {j->depth == 4 ? 2 : 1, 2, 2};
  const ptrdiff_t dense[3] = {4 * columns, 2 * columns, columns};
  const ptrdiff_t channels = FG_MIN(columns, j->out_channels - first_column);
  for (ptrdiff_t i = 0; i < n; i++, v += columns) {
    ptrdiff_t tile[3], begin[3];
    const float *in = j->out + locate(j, first + i, tile) * j->out_strides[0] + first_column;
    int inside = channels == columns;
    for (int a = 0; a < 3; a++) {
      begin[a] = tile[a] * length[a];
      inside &= begin[a] + length[a] <= j->out_size[a];
    }
    const float *from = in + begin[0] * s[0] + begin[1] * s[1] + begin[2] * s[2];
    if (!inside) {
      copy_padded_f32(in, s, j->out_size, begin, length, channels, columns, copy);
      from = copy;
    }
    if (j->depth == 4)
      transform_gradient(4, from, inside ? s : dense, columns, v, step);
    else
      transform_gradient(1, from, inside ? s : dense, columns, v, step);
  }
}

/* Sums over one chunk of tiles, for a share of the panels. */
static void sum_chunk(void *context, ptrdiff_t i) {
  winograd *j = context;
  const ptrdiff_t split = i % j->n_splits, chunk = i / j->n_splits;
  const ptrdiff_t first_panel = split * j->n_panels / j->n_splits;
  const ptrdiff_t last_panel = (split + 1) * j->n_panels / j->n_splits;
  const ptrdiff_t first_column = first_panel * 2 * LANES;
  const ptrdiff_t columns = FG_MIN(last_panel * 2 * LANES, j->out_padded) - first_column;
  const ptrdiff_t v_step = frequency_stride(j, j->in_padded), g_step = frequency_stride(j, columns);
  float *sums = j->u + chunk * j->chunk_size;
  const ptrdiff_t per_column = j->in_channels * j->n_frequencies;
  float *v = scratch((j->n_frequencies * (v_step + g_step) + 64 * (j->in_padded + columns)) *
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
    transform_block(j, first, n, copy, v);
    transform_gradient_block(j, first, n, first_column, columns, copy, g);
    for (ptrdiff_t f = 0; f < j->n_frequencies; f++)
      for (ptrdiff_t panel = first_panel; panel < last_panel; panel++) {
        const int vectors = j->out_channels - panel * 2 * LANES > LANES ? 2 : 1;
        float *sum = sums + panel * 2 * LANES * per_column + f * j->in_channels * vectors * LANES;
        outer_f32(j->in_channels, vectors, 0, v + f * v_step, 1, (ptrdiff_t[3]){0, 0, j->in_padded},
                  g + f * g_step + panel * 2 * LANES - first_column, (ptrdiff_t[3]){0, 0, columns},
                  (ptrdiff_t[3]){1, 1, n}, b > begin, sum);
      }
  }
  free(v);
}

/* dw = G' dU G: (u0 + (u1 + u2) / 2, (u1 - u2) / 2, (u1 + u2) / 2 + u3) along each axis. */
FG_INLINE void transform_weight_gradient(vec *x, int stride) {
  const vec u1 = x[stride], u2 = x[2 * stride], half = (u1 + u2) * 0.5f;
  x[0] += half, x[stride] = (u1 - u2) * 0.5f, x[2 * stride] = half + x[3 * stride];
}

/* Add up the chunks of one panel, in order, and write its weights. */
static void write_panel(void *context, ptrdiff_t panel) {
  const winograd *j = context;
  const ptrdiff_t width = FG_MIN(j->out_channels - panel * 2 * LANES, 2 * LANES);
  const int vectors = width > LANES ? 2 : 1;
  const ptrdiff_t step = j->in_channels * vectors * LANES;
  const float *u = j->u + panel * 2 * LANES * j->in_channels * j->n_frequencies;
  float *w_out = (float *)j->w;
  const int n_deep = j->depth == 4 ? 3 : 1;
  for (ptrdiff_t c = 0; c < j->in_channels; c++)
    for (int v = 0; v < vectors; v++, u += LANES) {
      vec x[64];
      for (int k = 0; k < j->n_frequencies; k++) {
        x[k] = *(const vec *)(u + k * step);
        for (ptrdiff_t chunk = 1; chunk < j->n_chunks; chunk++)
          x[k] += *(const vec *)(u + k * step + chunk * j->chunk_size);
      }
      if (n_deep == 3)
        for (int k = 0; k < 16; k++) transform_weight_gradient(x + k, 16);
      for (int a = 0; a < n_deep; a++) {
        for (int e = 0; e < 4; e++) transform_weight_gradient(x + a * 16 + e, 4);
        for (int b = 0; b < 3; b++) transform_weight_gradient(x + a * 16 + b * 4, 1);
      }
      for (ptrdiff_t o = 0; o < FG_MIN(width - v * LANES, LANES); o++) {
        float *w = w_out + (panel * 2 * LANES + v * LANES + o) * j->w_out + c * j->w_in;
        for (int a = 0; a < n_deep; a++)
          for (int b = 0; b < 3; b++)
            for (int e = 0; e < 3; e++)
              w[a * j->w_taps[0] + b * j->w_taps[1] + e * j->w_taps[2]] = x[a * 16 + b * 4 + e][o];
      }
    }
}

int FG(winograd_weight)(const fg_conv *c, const float *x, const float *y, float *w) {
  winograd j = make(c, 0);
  j.in = x, j.out = (float *)y, j.w = w;
  j.chunk_size = j.n_frequencies * j.in_channels * j.out_padded;
  const ptrdiff_t most = PARTIAL_BYTES / (j.chunk_size * (ptrdiff_t)sizeof(float));
  j.n_chunks = FG_MAX(FG_MIN(FG_MIN(most, N_TASKS), j.n_blocks), 1);
  j.n_splits = FG_MIN(ceil_div(j.n_panels, 4), ceil_div(N_TASKS, j.n_chunks));
  j.u = scratch(j.n_chunks * j.chunk_size * sizeof(float));
  j.failed = !j.u;
  if (!j.failed) {
    fg_parallel(j.n_chunks * j.n_splits, sum_chunk, &j);
    if (!j.failed) fg_parallel(j.n_panels, write_panel, &j);
  }
  free(j.u);
  return j.failed ? -1 : 0;
}

/* ---- choice ---- */

/* Measured on one core (AVX2): from 16 channels on both sides the transforms cost less than the
 * products they save. They must save a third of them, which tiny sizes do not, and there must be
 * enough tiles to pay for transforming the weights. */
int FG(winograd_choice)(const fg_conv *c) {
  if (!is_possible(c)) return 0;
  const winograd j = make(c, 0);
  const double outputs = (double)c->batch * c->y_size[0] * c->y_size[1] * c->y_size[2];
  const double direct = outputs * c->kernel[0] * c->kernel[1] * c->kernel[2];
  const int pays = c->x_channels >= 16 && c->y_channels >= 16 && j.n_tiles >= 16 &&
                   1.5 * j.n_tiles * j.n_frequencies < direct;
  return pays ? 2 : 1;
}
