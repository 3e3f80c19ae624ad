/* Every elementwise op: name and C expression, one line each.
 *
 * x and y are the inputs, p and q the op's attributes, T the element type; M(f) is f for that type
 * (scalar_math.h). NaN goes through as in NumPy. */
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
  OP(sin, M(sin)(x)) \
  OP(cos, M(cos)(x)) \
  OP(tanh, M(tanh)(x)) \
  OP(erf, M(erf)(x)) \
  OP(sigmoid, M(sigmoid)(x)) \
  OP(softplus, M(softplus)(x)) \
  OP(silu, x * M(sigmoid)(x)) \
  OP(gelu, x * (T)0.5 * (1 + M(erf)(x * (T)0.70710678118654752440))) \
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
  OP(power, M(pow)(x, y)) \
  OP(maximum, x > y || x != x ? x : y) \
  OP(minimum, x < y || x != x ? x : y) \
  OP(leaky_relu_grad, y > 0 ? x : p * x) \
  OP(binary_cross_entropy, M(softplus)(x) - x * y)

#endif
