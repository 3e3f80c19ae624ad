/* Inner loops of the elementwise ops, made from the list in elementwise.h. */
#include "isa.h"
#include "kernels.h"
#include "scalar_math.h"
#include "elementwise.h"

/* Output and input may be the same memory (never partly overlapping), so iterations are
 * independent: the pragma spares the run-time overlap test that would refuse that case. */
#if defined(__clang__)
#define FG_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define FG_INDEPENDENT _Pragma("GCC ivdep")
#endif

#define FG_SIGNATURE(name) \
  static void name(const char *a, const char *b, char *out, ptrdiff_t n, ptrdiff_t stride_a, \
                   ptrdiff_t stride_b, ptrdiff_t stride_out, const double *attributes)
#define FG_ATTRIBUTES T p = (T)attributes[0], q = (T)attributes[1]; (void)p; (void)q; (void)b; (void)stride_b;

#define FG_UNARY_LOOP(name, expression) FG_SIGNATURE(M(name##_loop)) { \
  FG_ATTRIBUTES \
  if (stride_a == sizeof(T) && stride_out == sizeof(T)) { \
    const T *A = (const T *)a; T *O = (T *)out; \
    FG_INDEPENDENT for (ptrdiff_t i = 0; i < n; i++) { T x = A[i]; O[i] = (expression); } \
  } else \
    for (ptrdiff_t i = 0; i < n; i++) { \
      T x = *(const T *)(a + i * stride_a); *(T *)(out + i * stride_out) = (expression); } }

#define FG_BINARY_LOOP(name, expression) FG_SIGNATURE(M(name##_loop)) { \
  FG_ATTRIBUTES \
  const T *A = (const T *)a, *B = (const T *)b; T *O = (T *)out; \
  if (stride_out == sizeof(T) && stride_a == sizeof(T) && stride_b == sizeof(T)) { \
    FG_INDEPENDENT for (ptrdiff_t i = 0; i < n; i++) { T x = A[i], y = B[i]; O[i] = (expression); } \
  } else if (stride_out == sizeof(T) && stride_a == sizeof(T) && stride_b == 0) { \
    T y = B[0]; FG_INDEPENDENT for (ptrdiff_t i = 0; i < n; i++) { T x = A[i]; O[i] = (expression); } \
  } else if (stride_out == sizeof(T) && stride_a == 0 && stride_b == sizeof(T)) { \
    T x = A[0]; FG_INDEPENDENT for (ptrdiff_t i = 0; i < n; i++) { T y = B[i]; O[i] = (expression); } \
  } else \
    for (ptrdiff_t i = 0; i < n; i++) { \
      T x = *(const T *)(a + i * stride_a), y = *(const T *)(b + i * stride_b); \
      *(T *)(out + i * stride_out) = (expression); } }

#define T float
#define M(f) f##_f32
FG_UNARY(FG_UNARY_LOOP)
FG_BINARY(FG_BINARY_LOOP)
#undef T
#undef M
#define T double
#define M(f) f##_f64
FG_UNARY(FG_UNARY_LOOP)
FG_BINARY(FG_BINARY_LOOP)

#define FG_UNARY_ROW(name, expression) {#name, 1, name##_loop_f32, name##_loop_f64},
#define FG_BINARY_ROW(name, expression) {#name, 2, name##_loop_f32, name##_loop_f64},
static const fg_elementwise table[] = {FG_UNARY(FG_UNARY_ROW) FG_BINARY(FG_BINARY_ROW) {NULL, 0, NULL, NULL}};

const fg_elementwise *FG(elementwise_table)(void) { return table; }
