/* What one instruction set offers: names, vector types, register budget.
 *
 * Every kernel source is compiled once per instruction set with FG_ISA defined to its name;
 * FG(conv) then expands to conv_avx2 and so on, so the copies link side by side. */
#ifndef FG_ISA_H
#define FG_ISA_H

#include <stddef.h>
#include <stdint.h>

#ifndef FG_ISA
#define FG_ISA generic
#endif
#define FG_PASTE_(a, b) a##_##b
#define FG_PASTE(a, b) FG_PASTE_(a, b)
#define FG(name) FG_PASTE(name, FG_ISA)

/* Vector width in bytes, and how many output positions a register block holds so that
 * positions * 2 accumulators + 2 weights + 1 broadcast fit the register file. */
#if defined(FG_ISA_avx512) || defined(FG_ISA_amx)
#define FG_VECTOR 64
#define FG_BLOCK_ROWS 14
#elif defined(FG_ISA_avx2)
#define FG_VECTOR 32
#define FG_BLOCK_ROWS 6
#elif defined(__aarch64__)
#define FG_VECTOR 16
#define FG_BLOCK_ROWS 12
#else
#define FG_VECTOR 16
#define FG_BLOCK_ROWS 6
#endif
/* The same where a position takes a single vector. */
#define FG_SINGLE_ROWS FG_MAX(FG_BLOCK_ROWS, 12)

/* Unaligned vectors of the compiler's own extension: no intrinsics, every target. may_alias
 * lets them read plain float arrays. */
typedef float fg_vf32 __attribute__((vector_size(FG_VECTOR), aligned(4), may_alias));
typedef double fg_vf64 __attribute__((vector_size(FG_VECTOR), aligned(8), may_alias));
typedef int32_t fg_vi32 __attribute__((vector_size(FG_VECTOR), aligned(4), may_alias));
typedef int64_t fg_vi64 __attribute__((vector_size(FG_VECTOR), aligned(8), may_alias));
#define FG_LANES_F32 ((ptrdiff_t)(FG_VECTOR / sizeof(float)))
#define FG_LANES_F64 ((ptrdiff_t)(FG_VECTOR / sizeof(double)))

#define FG_MIN(a, b) ((a) < (b) ? (a) : (b))
#define FG_MAX(a, b) ((a) > (b) ? (a) : (b))
#define FG_INLINE static inline __attribute__((always_inline))

#endif
