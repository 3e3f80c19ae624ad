"""Exponentials, logarithms, powers, trigonometric and hyperbolic functions, elementwise."""

import math

import numpy as np

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import GradientError
from fieldgrad.engine.op import TensorLike, op
from fieldgrad.engine.ops.arithmetic import (
    abs,
    divide,
    divide_or_zero,
    multiply_or_zero,
    sqrt,
    where,
)
from fieldgrad.engine.ops.comparisons import less
from fieldgrad.engine.ops.complex import imag, real
from fieldgrad.engine.ops.creation import asarray
from fieldgrad.engine.samples import (
    above_one,
    fractions,
    gradient_pairs,
    pairs,
    positive_pairs,
    positives,
    reals,
)

NEAR = 0.1  # |πx| below which sinc is its series: the next term is below 1e-17


@op(kernel="exp", floating=True, samples=reals)
def exp(x: TensorLike, /):
    """e to the power x, elementwise."""


@exp.vjp
def _(g, out):
    return multiply_or_zero(g, out)


@op(kernel="expm1", floating=True, samples=reals)
def expm1(x: TensorLike, /):
    """exp(x) - 1, elementwise, accurate near 0."""


@expm1.vjp
def _(g, out):
    return multiply_or_zero(g, out + 1.0)


@op(kernel="log", floating=True, samples=positives)
def log(x: TensorLike, /):
    """Natural logarithm, elementwise.

    Notes
    -----
    Where the incoming gradient is 0 the result is 0, also at x = 0, so that a value masked out
    later does not turn into NaN.
    """


@log.vjp
def _(g, x):
    return divide_or_zero(g, x)


@op(kernel="power", samples=positive_pairs)
def power(x: TensorLike, y: TensorLike, /):
    """x to the power y, elementwise.

    Notes
    -----
    The gradient with respect to y is x^y ln x, and 0 where x <= 0 (the exponent of a negative base
    has no derivative among the reals). The gradient with respect to x at x = 0 is 0 for y = 0.
    """


@power.vjp
def _(g, out, x, y, needs):
    gx = multiply_or_zero(g, where(y == 0, 0.0, y * power(x, y - 1))) if needs[0] else None
    if not needs[1]:
        return gx, None
    if x.dtype.kind == "c":
        raise GradientError(
            "power: complex numbers have no gradient rule for the exponent; write exp(y * log(x))."
        )
    positive = x > 0
    return gx, where(positive, multiply_or_zero(g, out * log(where(positive, x, 1.0))), 0.0)


@op(kernel="log2", floating=True, samples=positives)
def log2(x: TensorLike, /):
    """Logarithm to the base 2, elementwise; like `log` where the incoming gradient is 0."""


@log2.vjp
def _(g, x):
    return divide_or_zero(g * (1.0 / math.log(2.0)), x)


@op(kernel="log10", floating=True, samples=positives)
def log10(x: TensorLike, /):
    """Logarithm to the base 10, elementwise; like `log` where the incoming gradient is 0."""


@log10.vjp
def _(g, x):
    return divide_or_zero(g * (1.0 / math.log(10.0)), x)


@op(kernel="exp2", floating=True, samples=reals)
def exp2(x: TensorLike, /):
    """2 to the power x, elementwise."""


@exp2.vjp
def _(g, out):
    return multiply_or_zero(g, math.log(2.0) * out)


@op(kernel="logaddexp", floating=True, samples=pairs)
def logaddexp(x: TensorLike, y: TensorLike, /):
    """log(exp(x) + exp(y)), elementwise; never overflows."""


@logaddexp.vjp
def _(g, x, y):
    to_x = where(x == y, 0.5, sigmoid(x - y))  # equal infinities have no difference
    return multiply_or_zero(g, to_x), multiply_or_zero(g, 1.0 - to_x)


@op(kernel="log1p", floating=True, samples=positives)
def log1p(x: TensorLike, /):
    """log(1 + x), elementwise, accurate near 0."""


@log1p.vjp
def _(g, x):
    return divide_or_zero(g, x + 1.0)


@op(kernel="sin", floating=True, samples=reals)
def sin(x: TensorLike, /):
    """Sine of an angle in radians, elementwise."""


@sin.vjp
def _(g, x):
    return multiply_or_zero(g, cos(x))


@op(kernel="cos", floating=True, samples=reals)
def cos(x: TensorLike, /):
    """Cosine of an angle in radians, elementwise."""


@cos.vjp
def _(g, x):
    return multiply_or_zero(-g, sin(x))


@op(kernel="tan", floating=True, samples=fractions)
def tan(x: TensorLike, /):
    """Tangent of an angle in radians, elementwise."""


@tan.vjp
def _(g, out):
    return multiply_or_zero(g, 1.0 + out * out)


@op(kernel="asin", floating=True, samples=fractions)
def asin(x: TensorLike, /):
    """The angle in radians from -π/2 to π/2 whose sine is x, elementwise."""


@asin.vjp
def _(g, x):
    # Two roots, not one of the product: exact near 1, and on the right branch for complex x.
    return divide_or_zero(g, sqrt(1.0 - x) * sqrt(1.0 + x))


@op(kernel="acos", floating=True, samples=fractions)
def acos(x: TensorLike, /):
    """The angle in radians from 0 to π whose cosine is x, elementwise."""


@acos.vjp
def _(g, x):
    return divide_or_zero(-g, sqrt(1.0 - x) * sqrt(1.0 + x))


@op(kernel="atan", floating=True, samples=reals)
def atan(x: TensorLike, /):
    """The angle in radians from -π/2 to π/2 whose tangent is x, elementwise."""


@atan.vjp
def _(g, x):
    return divide_or_zero(g, 1.0 + x * x)


@op(kernel="atan2", floating=True, samples=pairs)
def atan2(x: TensorLike, y: TensorLike, /):
    """The angle in radians from -π to π of the point with ordinate x and abscissa y, elementwise.

    Notes
    -----
    The gradients at the point 0, 0, which has no angle, are 0.
    """


@atan2.vjp
def _(g, x, y, needs):
    r = hypot(x, y)
    gx = multiply_or_zero(g, divide_or_zero(divide_or_zero(y, r), r)) if needs[0] else None
    if not needs[1]:
        return gx, None
    return gx, multiply_or_zero(g, divide_or_zero(divide_or_zero(-x, r), r))


@op(kernel="hypot", floating=True, samples=pairs)
def hypot(x: TensorLike, y: TensorLike, /):
    """sqrt(x² + y²), elementwise, without overflow; the gradients at 0, 0 are 0."""


@hypot.vjp
def _(g, out, x, y, needs):
    gx = multiply_or_zero(g, divide_or_zero(x, out)) if needs[0] else None
    return gx, multiply_or_zero(g, divide_or_zero(y, out)) if needs[1] else None


@op(kernel="sinh", floating=True, samples=reals)
def sinh(x: TensorLike, /):
    """Hyperbolic sine, elementwise."""


@sinh.vjp
def _(g, x):
    return multiply_or_zero(g, cosh(x))


@op(kernel="cosh", floating=True, samples=reals)
def cosh(x: TensorLike, /):
    """Hyperbolic cosine, elementwise."""


@cosh.vjp
def _(g, x):
    return multiply_or_zero(g, sinh(x))


@op(kernel="asinh", floating=True, samples=reals)
def asinh(x: TensorLike, /):
    """The number whose hyperbolic sine is x, elementwise."""


@asinh.vjp
def _(g, x):
    return divide_or_zero(g, sqrt(1.0 + x * x))


@op(kernel="acosh", floating=True, samples=above_one)
def acosh(x: TensorLike, /):
    """The number of at least 0 whose hyperbolic cosine is x, elementwise."""


@acosh.vjp
def _(g, x):
    return divide_or_zero(g, sqrt(x - 1.0) * sqrt(x + 1.0))


@op(kernel="atanh", floating=True, samples=fractions)
def atanh(x: TensorLike, /):
    """The number whose hyperbolic tangent is x, elementwise."""


@atanh.vjp
def _(g, x):
    return divide_or_zero(g, (1.0 - x) * (1.0 + x))


@op(kernel="tanh", floating=True, samples=reals)
def tanh(x: TensorLike, /):
    """Hyperbolic tangent, elementwise."""


@tanh.vjp
def _(g, out):
    return tanh_grad(g, out)


@op(kernel="tanh_grad", floating=True, samples=gradient_pairs)
def tanh_grad(g: Tensor, y: Tensor, /):
    """g · (1 - y²), elementwise: the gradient of `tanh` in one pass, y being its output."""
    return g * (1.0 - y * y)


@tanh_grad.vjp
def _(d, g, y):
    return tanh_grad(d, y), multiply_or_zero(multiply_or_zero(d, g), y * -2.0)


@op(kernel="erf", floating=True, samples=reals)
def erf(x: TensorLike, /):
    """Gauss error function, elementwise."""


@erf.vjp
def _(g, x):
    return multiply_or_zero(g, (2.0 / math.sqrt(math.pi)) * exp(-x * x))


@op(kernel="sigmoid", floating=True, samples=reals)
def sigmoid(x: TensorLike, /):
    """1 / (1 + exp(-x)), elementwise."""


@sigmoid.vjp
def _(g, out):
    return sigmoid_grad(g, out)


@op(kernel="sigmoid_grad", floating=True, samples=gradient_pairs)
def sigmoid_grad(g: Tensor, y: Tensor, /):
    """g · y (1 - y), elementwise: the gradient of `sigmoid` in one pass, y being its output."""
    return g * (y * (1.0 - y))


@sigmoid_grad.vjp
def _(d, g, y):
    return sigmoid_grad(d, y), multiply_or_zero(multiply_or_zero(d, g), 1.0 - 2.0 * y)


def angle(x: Tensor, /) -> Tensor:
    """The angle of complex numbers to the positive real axis, in radians, elementwise.

    Parameters
    ----------
    x : Tensor
        Any shape; real numbers have the angles 0 and π.

    Returns
    -------
    Tensor
        From -π to π, shape of x.

    See Also
    --------
    abs : The distance from 0.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.angle(fg.tensor([1.0, -1.0])).tolist()
    [0.0, 3.1415927410125732]
    """
    return atan2(imag(x), real(x))


def deg2rad(x: TensorLike, /) -> Tensor:
    """Degrees in radians: x · π / 180, elementwise.

    Parameters
    ----------
    x : Tensor
        Any shape.

    Returns
    -------
    Tensor
        Shape of x.
    """
    return asarray(x) * (math.pi / 180.0)


def rad2deg(x: TensorLike, /) -> Tensor:
    """Radians in degrees: x · 180 / π, elementwise.

    Parameters
    ----------
    x : Tensor
        Any shape.

    Returns
    -------
    Tensor
        Shape of x.
    """
    return asarray(x) * (180.0 / math.pi)


def rsqrt(x: TensorLike, /) -> Tensor:
    """1 / sqrt(x), elementwise.

    Parameters
    ----------
    x : Tensor
        Any shape.

    Returns
    -------
    Tensor
        Shape of x.
    """
    return divide(1.0, sqrt(x))


def sinc(x: TensorLike, /) -> Tensor:
    """sin(πx) / (πx), and 1 at 0, elementwise.

    Parameters
    ----------
    x : Tensor
        Any shape.

    Returns
    -------
    Tensor
        Shape of x.

    Notes
    -----
    Near 0 it is the series 1 - (πx)²/6 + …, so that derivatives of every order are finite there.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.sinc(fg.tensor([0.0, 0.5])).tolist()
    [1.0, 0.6366197466850281]
    """
    y = asarray(x) * math.pi
    near = less(abs(y), NEAR)
    far = where(near, 1.0, y)
    s = y * y
    series = 1.0 - s / 6.0 * (1.0 - s / 20.0 * (1.0 - s / 42.0 * (1.0 - s / 72.0)))
    return where(near, series, sin(far) / far)


def logaddexp2(x: TensorLike, y: TensorLike, /) -> Tensor:
    """The logarithm to the base 2 of 2^x + 2^y, elementwise; never overflows.

    Parameters
    ----------
    x, y : Tensor
        Shapes that broadcast.

    Returns
    -------
    Tensor
        Their common shape.
    """
    scale = math.log(2.0)
    return logaddexp(asarray(x) * scale, asarray(y) * scale) / scale


def frexp(x: Tensor, /) -> tuple[Tensor, Tensor]:
    """Mantissa m and exponent e of x = m · 2^e, elementwise.

    Parameters
    ----------
    x : Tensor
        Any shape.

    Returns
    -------
    mantissa : Tensor
        From 0.5 to 1 in magnitude, or 0. The exponent is constant for its gradient.
    exponent : Tensor
        Integers of 32 bits.
    """
    exponent = np.frexp(x.data)[1]
    half = (exponent // 2).astype(x.dtype)  # in two steps, since 2^-e may overflow
    return x * exp2(-half) * exp2(half - exponent.astype(x.dtype)), asarray(exponent)
