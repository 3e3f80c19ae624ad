/* Inner loops of the elementwise ops, made from the lists in elementwise.h. */
#include "isa.h"
#include "kernels.h"
#include "scalar_math.h"
#include "elementwise.h"

/* The output is never an input's memory: the pragma spares the run-time overlap test. */
#if defined(__clang__)
#define FG_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define FG_INDEPENDENT _Pragma("GCC ivdep")
#endif

#define FG_LOOP(name, n_in, O, inputs, expression) \
  static void M(name##_loop)(char *const *data, ptrdiff_t n, const double *attributes) { \
    T p = (T)attributes[0], q = (T)attributes[1]; (void)p; (void)q; \
    O *out = (O *)data[n_in]; \
    FG_INDEPENDENT for (ptrdiff_t i = 0; i < n; i++) { inputs out[i] = (O)(expression); } }
/* Blocks small enough that a second look at the arguments finds them in the first cache. */
#define FG_GUARDED_LOOP(name, n_in, inputs, expression, beyond, exact) \
  static void M(name##_loop)(char *const *data, ptrdiff_t n, const double *attributes) { \
    (void)attributes; \
    T *out = (T *)data[n_in]; \
    for (ptrdiff_t first = 0; first < n; first += 512) { \
      ptrdiff_t last = FG_MIN(first + 512, n); \
      int any = 0; \
      FG_INDEPENDENT for (ptrdiff_t i = first; i < last; i++) { inputs out[i] = (expression); } \
      for (ptrdiff_t i = first; i < last; i++) { inputs any |= (beyond); } \
      if (any) \
        for (ptrdiff_t i = first; i < last; i++) { inputs if (beyond) out[i] = (exact); } } }
#define FG_X T x = ((const T *)data[0])[i];
#define FG_XY FG_X T y = ((const T *)data[1])[i];
#define FG_CXY uint8_t c = ((const uint8_t *)data[0])[i]; T x = ((const T *)data[1])[i]; \
  T y = ((const T *)data[2])[i];

#define FG_UNARY_LOOP(name, expression) FG_LOOP(name, 1, T, FG_X, expression)
#define FG_BINARY_LOOP(name, expression) FG_LOOP(name, 2, T, FG_XY, expression)
#define FG_UNARY_GUARDED_LOOP(name, ...) FG_GUARDED_LOOP(name, 1, FG_X, __VA_ARGS__)
#define FG_BINARY_GUARDED_LOOP(name, ...) FG_GUARDED_LOOP(name, 2, FG_XY, __VA_ARGS__)
#define FG_TEST_LOOP(name, expression) FG_LOOP(name, 1, uint8_t, FG_X, expression)
#define FG_COMPARISON_LOOP(name, expression) FG_LOOP(name, 2, uint8_t, FG_XY, expression)
#define FG_SELECTION_LOOP(name, expression) FG_LOOP(name, 3, T, FG_CXY, expression)

#define T float
#define M(f) f##_f32
FG_UNARY(FG_UNARY_LOOP)
FG_BINARY(FG_BINARY_LOOP)
FG_UNARY_GUARDED(FG_UNARY_GUARDED_LOOP)
FG_BINARY_GUARDED(FG_BINARY_GUARDED_LOOP)
FG_TEST(FG_TEST_LOOP)
FG_COMPARISON(FG_COMPARISON_LOOP)
FG_SELECTION(FG_SELECTION_LOOP)
#undef T
#undef M
#define T double
#define M(f) f##_f64
FG_UNARY(FG_UNARY_LOOP)
FG_BINARY(FG_BINARY_LOOP)
FG_UNARY_GUARDED(FG_UNARY_GUARDED_LOOP)
FG_BINARY_GUARDED(FG_BINARY_GUARDED_LOOP)
FG_TEST(FG_TEST_LOOP)
FG_COMPARISON(FG_COMPARISON_LOOP)
FG_SELECTION(FG_SELECTION_LOOP)

#define FG_ROW(name, n_in, truth) {#name, n_in, truth, name##_loop_f32, name##_loop_f64},
#define FG_UNARY_ROW(name, ...) FG_ROW(name, 1, 0)
#define FG_BINARY_ROW(name, ...) FG_ROW(name, 2, 0)
#define FG_TEST_ROW(name, expression) FG_ROW(name, 1, 1 << 1)
#define FG_COMPARISON_ROW(name, expression) FG_ROW(name, 2, 1 << 2)
#define FG_SELECTION_ROW(name, expression) FG_ROW(name, 3, 1 << 0)
static const fg_elementwise table[] = {
  FG_UNARY(FG_UNARY_ROW) FG_BINARY(FG_BINARY_ROW)
  FG_UNARY_GUARDED(FG_UNARY_ROW) FG_BINARY_GUARDED(FG_BINARY_ROW) FG_TEST(FG_TEST_ROW)
  FG_COMPARISON(FG_COMPARISON_ROW) FG_SELECTION(FG_SELECTION_ROW) {NULL, 0, 0, NULL, NULL}};

const fg_elementwise *FG(elementwise_table)(void) { return table; }
