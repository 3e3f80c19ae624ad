/* Every elementwise op: name and C expression, one line each.
 *
 * x and y are the inputs, c a truth value, p and q the op's attributes, T the element type; M(f) is
 * f for that type (scalar_math.h). NaN goes through as in NumPy. In the gradients x is the incoming
 * gradient and y what the rule keeps. */
#ifndef FG_ELEMENTWISE_H
#define FG_ELEMENTWISE_H

#define FG_UNARY(OP) \
  OP(negative, -x) \
  OP(abs, M(abs)(x)) \
  OP(sign, x != x ? x : (T)((x > 0) - (x < 0))) \
  OP(square, x * x) \
  OP(reciprocal, 1 / x) \
  OP(sqrt, M(sqrt)(x)) \
  OP(exp, M(exp)(x)) \
  OP(expm1, M(expm1)(x)) \
  OP(log, M(log)(x)) \
  OP(log1p, M(log1p)(x)) \
  OP(tanh, M(tanh)(x)) \
  OP(erf, M(erf)(x)) \
  OP(sigmoid, M(sigmoid)(x)) \
  OP(softplus, M(softplus)(x)) \
  OP(silu, x * M(sigmoid)(x)) \
  OP(gelu, x * M(normal)(x)) \
  OP(relu, x < 0 ? 0 : x) \
  OP(leaky_relu, x < 0 ? p * x : x) \
  OP(elu, x < 0 ? p * M(expm1)(x) : x) \
  OP(clip, x < p ? p : x > q ? q : x) \
  OP(floor, M(floor)(x)) \
  OP(ceil, M(ceil)(x)) \
  OP(round, M(round)(x))

#define FG_BINARY(OP) \
  OP(add, x + y) \
  OP(subtract, x - y) \
  OP(multiply, x * y) \
  OP(divide, x / y) \
  OP(maximum, x > y || x != x ? x : y) \
  OP(minimum, x < y || x != x ? x : y) \
  OP(leaky_relu_grad, y > 0 ? x : p * x) \
  OP(elu_grad, y > 0 || x == 0 ? x : x * (y + p)) \
  OP(tanh_grad, x == 0 ? 0 : x * (1 - y * y)) \
  OP(sigmoid_grad, x == 0 ? 0 : x * (y * (1 - y))) \
  OP(softplus_grad, x == 0 ? 0 : x * M(sigmoid)(y)) \
  OP(silu_grad, x == 0 ? 0 : x * M(silu_slope)(y)) \
  OP(gelu_grad, x == 0 ? 0 : x * (M(normal)(y) + y * M(normal_density)(y))) \
  OP(multiply_or_zero, x == 0 ? 0 : x * y) \
  OP(divide_or_zero, x == 0 ? 0 : x / y) \
  OP(binary_cross_entropy, M(softplus)(x) - x * y)

/* Functions with a fast expression for nearly all arguments: where it does not hold, and what does. */
#define FG_UNARY_GUARDED(OP) \
  OP(sin, M(sin)(x), M(beyond_wave)(x), M(exact_sin)(x)) \
  OP(cos, M(cos)(x), M(beyond_wave)(x), M(exact_cos)(x))

#define FG_BINARY_GUARDED(OP) \
  OP(power, M(pow)(x, y), M(beyond_pow)(x, y), M(exact_pow)(x, y))

/* One input to a truth value. */
#define FG_TEST(OP) \
  OP(logical_not, x == 0) \
  OP(isnan, x != x) \
  OP(isfinite, x - x == 0)

#define FG_COMPARISON(OP) \
  OP(equal, x == y) \
  OP(not_equal, x != y) \
  OP(less, x < y) \
  OP(less_equal, x <= y) \
  OP(greater, x > y) \
  OP(greater_equal, x >= y)

#define FG_SELECTION(OP) \
  OP(where, c ? x : y)

#endif
