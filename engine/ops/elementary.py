"""Elementary and special functions and activations, elementwise."""

import math

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import GradientError
from fieldgrad.engine.op import TensorLike, op
from fieldgrad.engine.ops.arithmetic import divide_or_zero, multiply_or_zero, sqrt, where
from fieldgrad.engine.ops.complex import imag, real
from fieldgrad.engine.samples import (
    above_one,
    fractions,
    gradient_pairs,
    pairs,
    positive_pairs,
    positives,
    reals,
    with_attributes,
)


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


@op(kernel="softplus", floating=True, samples=reals)
def softplus(x: TensorLike, /):
    """log(1 + exp(x)), elementwise; never overflows."""


@softplus.vjp
def _(g, x):
    return softplus_grad(g, x)


@op(kernel="softplus_grad", floating=True, samples=gradient_pairs)
def softplus_grad(g: Tensor, x: Tensor, /):
    """g · sigmoid(x), elementwise: the gradient of `softplus` in one pass."""
    return g * sigmoid(x)


@softplus_grad.vjp
def _(d, g, x):
    return softplus_grad(d, x), multiply_or_zero(
        multiply_or_zero(d, g), sigmoid_grad(1.0, sigmoid(x))
    )


@op(kernel="silu", floating=True, samples=reals)
def silu(x: TensorLike, /):
    """x · sigmoid(x), elementwise (also called swish)."""


@silu.vjp
def _(g, x):
    return silu_grad(g, x)


@op(kernel="silu_grad", floating=True, samples=gradient_pairs)
def silu_grad(g: Tensor, x: Tensor, /):
    """g · s (1 + x (1 - s)) with s = sigmoid(x): the gradient of `silu` in one pass."""
    s = sigmoid(x)
    return g * (s * (1.0 + x * (1.0 - s)))


@silu_grad.vjp
def _(d, g, x):
    s = sigmoid(x)
    return silu_grad(d, x), multiply_or_zero(
        multiply_or_zero(d, g), (s * (1.0 - s)) * (2.0 + x * (1.0 - 2.0 * s))
    )


@op(kernel="gelu", floating=True, samples=reals)
def gelu(x: TensorLike, /):
    """x · Φ(x) with Φ the normal distribution function, elementwise (the exact form with erf).

    References
    ----------
    Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016, arXiv:1606.08415.
    """


@gelu.vjp
def _(g, x):
    return gelu_grad(g, x)


@op(kernel="gelu_grad", floating=True, samples=gradient_pairs)
def gelu_grad(g: Tensor, x: Tensor, /):
    """g · (Φ(x) + x φ(x)) with the normal density φ: the gradient of `gelu` in one pass."""
    return g * (0.5 + 0.5 * erf(x * math.sqrt(0.5)) + x * _normal_density(x))


@gelu_grad.vjp
def _(d, g, x):
    return gelu_grad(d, x), multiply_or_zero(
        multiply_or_zero(d, g), _normal_density(x) * (2.0 - x * x)
    )


def _normal_density(x: Tensor) -> Tensor:
    return exp(x * x * -0.5) * (1.0 / math.sqrt(2.0 * math.pi))


@op(kernel="relu", floating=True, samples=reals)
def relu(x: TensorLike, /):
    """max(x, 0), elementwise; the gradient at 0 is 0."""


@relu.vjp
def _(g, out):
    return leaky_relu_grad(g, out, negative_slope=0.0)


@op(
    kernel="leaky_relu",
    floating=True,
    samples=with_attributes(reals, {}, {"negative_slope": 0.2}),
)
def leaky_relu(x: TensorLike, /, negative_slope: float = 0.01):
    """x where positive, negative_slope · x elsewhere.

    Parameters
    ----------
    x : Tensor
        Any shape.
    negative_slope : float, default 0.01
        Positive.

    Notes
    -----
    The gradient at 0 is negative_slope. The rule keeps the output, whose sign is that of x.
    """


@leaky_relu.vjp
def _(g, out, negative_slope):
    return leaky_relu_grad(g, out, negative_slope=negative_slope)


@op(
    kernel="leaky_relu_grad",
    floating=True,
    samples=with_attributes(gradient_pairs, {"negative_slope": 0.1}),
)
def leaky_relu_grad(g: Tensor, y: Tensor, /, negative_slope: float = 0.01):
    """g where y > 0, negative_slope · g elsewhere: the gradient of `leaky_relu` in one pass.

    Parameters
    ----------
    g : Tensor
        Gradient of the output.
    y : Tensor
        The output or the input, shape of g: only signs count.
    negative_slope : float, default 0.01
        Slope of the function where y is not positive.
    """


@leaky_relu_grad.vjp
def _(g, y, negative_slope):
    return leaky_relu_grad(g, y, negative_slope=negative_slope), None


@op(kernel="elu", floating=True, samples=with_attributes(reals, {}, {"alpha": 0.5}))
def elu(x: TensorLike, /, alpha: float = 1.0):
    """x where positive, alpha · (exp(x) - 1) elsewhere.

    Parameters
    ----------
    x : Tensor
        Any shape.
    alpha : float, default 1.0
        The limit at minus infinity is -alpha; at 1 the gradient is continuous.

    References
    ----------
    Clevert, Unterthiner, Hochreiter, "Fast and Accurate Deep Network Learning by Exponential Linear
    Units", ICLR 2016, arXiv:1511.07289.
    """


@elu.vjp
def _(g, out, alpha):
    return elu_grad(g, out, alpha=alpha)


@op(
    kernel="elu_grad",
    floating=True,
    samples=with_attributes(gradient_pairs, {"alpha": 0.5}),
)
def elu_grad(g: Tensor, y: Tensor, /, alpha: float = 1.0):
    """g where y > 0, g · (y + alpha) elsewhere: the gradient of `elu` in one pass.

    Parameters
    ----------
    g : Tensor
        Gradient of the output.
    y : Tensor
        The output, shape of g.
    alpha : float, default 1.0
        As for `elu`.
    """
    return g * where(y > 0, 1.0, y + alpha)


@elu_grad.vjp
def _(d, g, y, alpha):
    return elu_grad(d, y, alpha=alpha), where(y > 0, 0.0, multiply_or_zero(d, g))


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
