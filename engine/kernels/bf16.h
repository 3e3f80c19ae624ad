/* Products of bfloat16 numbers with sums in float, by the matrix tiles of AMX.
 *
 * A tile has 16 rows of 64 bytes. Tiles of a hold 16 rows of 32 terms; tiles of b hold the 32 terms
 * of 16 columns as 16 pairs of terms, the two of a pair side by side; tiles of sums hold 16 x 16
 * floats. Arrays stay float: operands are rounded where they are packed. Terms that fill up a tile
 * are zeros in b, and anything finite in a. */
#ifndef FG_BF16_H
#define FG_BF16_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "isa.h"

#define BF16_ROWS 16  /* rows of a tile of a or of sums, columns of b */
#define BF16_TERMS 32 /* terms of a tile */
#define BF16_TILE ((ptrdiff_t)(BF16_ROWS * BF16_TERMS))

typedef uint16_t bf16;

/* Whole vectors of float as bfloat16, rounded to nearest: two one after the other, or, for a pair
 * of terms, element by element. */
FG_INLINE __m512i bf16_of(__m512 low, __m512 high) {
  return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}
FG_INLINE __m512i bf16_pairs(__m512 first, __m512 second) {
  const __m512i halves =
      _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                       21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(halves, bf16_of(first, second));
}

/* Numbers i … i + 15 of n, as a mask of vectors. */
FG_INLINE __mmask16 bf16_mask(ptrdiff_t i, ptrdiff_t n) {
  return (__mmask16)(n - i >= 16 ? 0xffff : n > i ? (1 << (n - i)) - 1 : 0);
}

/* n numbers that lie side by side. */
FG_INLINE void bf16_copy(const float *from, ptrdiff_t n, bf16 *to) {
  ptrdiff_t i = 0;
  for (; i + 32 <= n; i += 32)
    _mm512_storeu_si512(to + i, bf16_of(_mm512_loadu_ps(from + i), _mm512_loadu_ps(from + i + 16)));
  for (; i < n; i += 16) {
    const __mmask16 mask = bf16_mask(i, n);
    const __m256i some = (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, from + i));
    _mm256_mask_storeu_epi16(to + i, mask, some);
  }
}

/* 16 rows of 16 pairs, turned: row i then has pair i of every row. */
FG_INLINE void turn_pairs(__m512i v[16]) {
  __m512i t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
  }
  for (int i = 0; i < 16; i += 4)
    for (int h = 0; h < 2; h++) {
      v[i + 2 * h] = _mm512_unpacklo_epi64(t[i + h], t[i + h + 2]);
      v[i + 2 * h + 1] = _mm512_unpackhi_epi64(t[i + h], t[i + h + 2]);
    }
  for (int j = 0; j < 4; j++) {
    const __m512i a = _mm512_shuffle_i32x4(v[j], v[j + 4], 0x88);
    const __m512i b = _mm512_shuffle_i32x4(v[j], v[j + 4], 0xdd);
    const __m512i c = _mm512_shuffle_i32x4(v[j + 8], v[j + 12], 0x88);
    const __m512i d = _mm512_shuffle_i32x4(v[j + 8], v[j + 12], 0xdd);
    t[j] = _mm512_shuffle_i32x4(a, c, 0x88);
    t[j + 8] = _mm512_shuffle_i32x4(a, c, 0xdd);
    t[j + 4] = _mm512_shuffle_i32x4(b, d, 0x88);
    t[j + 12] = _mm512_shuffle_i32x4(b, d, 0xdd);
  }
  for (int i = 0; i < 16; i++) v[i] = t[i];
}

/* Before the first and after the last multiply_tiles of a task: all tiles whole. */
FG_INLINE void begin_tiles(void) {
  struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
  } __attribute__((aligned(64))) shape = {.palette = 1};
  for (int i = 0; i < 8; i++) shape.row_bytes[i] = 64, shape.rows[i] = BF16_ROWS;
  __asm__ volatile("" ::: "memory");
  _tile_loadconfig(&shape);
}
FG_INLINE void end_tiles(void) { _tile_release(); }

/* sums = sum over i < n of the tiles of a at at[i] times those of b, one after the other in memory:
 * 16 rows from a[0], and, where two_rows, 16 from a[1]; 16 columns, and, where two_columns, 16
 * more. Rows of a lie a_row numbers apart, those of sums 32. */
FG_INLINE void multiply_tiles(const int two_rows, const int two_columns, const bf16 *const a[2],
                              ptrdiff_t a_row, const ptrdiff_t *at, ptrdiff_t n, const bf16 *b,
                              float *sums) {
  const ptrdiff_t step = a_row * (ptrdiff_t)sizeof(bf16);
  __asm__ volatile("" ::: "memory"); /* what was packed is in memory; tile loads do not say so */
  _tile_zero(0);
  if (two_columns) _tile_zero(1);
  if (two_rows) _tile_zero(2);
  if (two_rows && two_columns) _tile_zero(3);
  for (ptrdiff_t i = 0; i < n; i++, b += (1 + two_columns) * BF16_TILE) {
    _tile_loadd(4, a[0] + at[i], step);
    _tile_loadd(6, b, 64);
    _tile_dpbf16ps(0, 4, 6);
    if (two_columns) {
      _tile_loadd(7, b + BF16_TILE, 64);
      _tile_dpbf16ps(1, 4, 7);
    }
    if (two_rows) {
      _tile_loadd(5, a[1] + at[i], step);
      _tile_dpbf16ps(2, 5, 6);
      if (two_columns) _tile_dpbf16ps(3, 5, 7);
    }
  }
  _tile_stored(0, sums, 128);
  if (two_columns) _tile_stored(1, sums + 16, 128);
  if (two_rows) _tile_stored(2, sums + 16 * 32, 128);
  if (two_rows && two_columns) _tile_stored(3, sums + 16 * 32 + 16, 128);
  __asm__ volatile("" ::: "memory");
}

/* The same, the number of tiles being known only now. */
static void multiply_some_tiles(int row_tiles, int column_tiles, const bf16 *const a[2],
                                ptrdiff_t a_row, const ptrdiff_t *at, ptrdiff_t n, const bf16 *b,
                                float *sums) {
  if (row_tiles == 2 && column_tiles == 2)
    multiply_tiles(1, 1, a, a_row, at, n, b, sums);
  else if (row_tiles == 2)
    multiply_tiles(1, 0, a, a_row, at, n, b, sums);
  else if (column_tiles == 2)
    multiply_tiles(0, 1, a, a_row, at, n, b, sums);
  else
    multiply_tiles(0, 0, a, a_row, at, n, b, sums);
}

/* to[j] = (to[j] if add) + sums[j] (+ bias[j]), j < n. */
FG_INLINE void write_sums(ptrdiff_t n, const float *sums, float *to, int add, const float *bias) {
  for (ptrdiff_t j = 0; j < n; j++) {
    const float s = add ? to[j] + sums[j] : sums[j];
    to[j] = bias ? s + bias[j] : s;
  }
}

#endif
