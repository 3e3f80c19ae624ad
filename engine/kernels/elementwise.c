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

#define FG_DEFINE(name, O, n_in, body) \
  static void M(name##_loop)(char *const *data, ptrdiff_t n, int repeated, const double *attributes) { \
    const T *a = (const T *)data[n_in > 2], *b = (const T *)data[n_in - 1]; \
    O *out = (O *)data[n_in]; \
    T p = (T)attributes[0], q = (T)attributes[1]; \
    (void)a; (void)b; (void)p; (void)q; (void)repeated; \
    body }

#define FG_EACH(inputs, expression) \
  FG_INDEPENDENT for (ptrdiff_t i = 0; i < n; i++) { inputs out[i] = (expression); }
/* Blocks small enough that a second look at the arguments finds them in the first cache. */
#define FG_GUARDED_EACH(inputs, expression, beyond, exact) \
  for (ptrdiff_t first = 0; first < n; first += 512) { \
    ptrdiff_t last = FG_MIN(first + 512, n); \
    int any = 0; \
    FG_INDEPENDENT for (ptrdiff_t i = first; i < last; i++) { inputs out[i] = (expression); } \
    for (ptrdiff_t i = first; i < last; i++) { inputs any |= (beyond); } \
    if (any) \
      for (ptrdiff_t i = first; i < last; i++) { inputs if (beyond) out[i] = (exact); } }
#define FG_X T x = a[i];
#define FG_Y T y = b[i];
/* A repeated input is read once, and the compiler keeps it in a register. */
#define FG_PAIRS(each, first, x_bit, y_bit, ...) \
  if (repeated == (x_bit | y_bit)) { const T x = *a, y = *b; each(first, __VA_ARGS__) } \
  else if (repeated == x_bit) { const T x = *a; each(first FG_Y, __VA_ARGS__) } \
  else if (repeated == y_bit) { const T y = *b; each(first FG_X, __VA_ARGS__) } \
  else each(first FG_X FG_Y, __VA_ARGS__)

#define FG_UNARY_LOOP(name, expression) FG_DEFINE(name, T, 1, FG_EACH(FG_X, expression))
#define FG_TEST_LOOP(name, expression) FG_DEFINE(name, uint8_t, 1, FG_EACH(FG_X, expression))
#define FG_BINARY_LOOP(name, expression) FG_DEFINE(name, T, 2, FG_PAIRS(FG_EACH, , 1, 2, expression))
#define FG_COMPARISON_LOOP(name, expression) \
  FG_DEFINE(name, uint8_t, 2, FG_PAIRS(FG_EACH, , 1, 2, expression))
#define FG_UNARY_GUARDED_LOOP(name, ...) FG_DEFINE(name, T, 1, FG_GUARDED_EACH(FG_X, __VA_ARGS__))
#define FG_BINARY_GUARDED_LOOP(name, ...) \
  FG_DEFINE(name, T, 2, FG_PAIRS(FG_GUARDED_EACH, , 1, 2, __VA_ARGS__))
#define FG_SELECTION_LOOP(name, expression) \
  FG_DEFINE(name, T, 3, const uint8_t *truth = (const uint8_t *)data[0]; \
            FG_PAIRS(FG_EACH, uint8_t c = truth[i];, 2, 4, expression))

#include "f32.h"
FG_UNARY(FG_UNARY_LOOP)
FG_BINARY(FG_BINARY_LOOP)
FG_UNARY_GUARDED(FG_UNARY_GUARDED_LOOP)
FG_BINARY_GUARDED(FG_BINARY_GUARDED_LOOP)
FG_TEST(FG_TEST_LOOP)
FG_COMPARISON(FG_COMPARISON_LOOP)
FG_SELECTION(FG_SELECTION_LOOP)
#include "f64.h"
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
