"""Smooth activations, elementwise: those with kernels first, then those made of others."""

import math

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.op import TensorLike, as_tensor, op
from fieldgrad.engine.ops.arithmetic import abs, multiply_or_zero, where
from fieldgrad.engine.ops.elementary import erf, exp, sigmoid, sigmoid_grad, tanh
from fieldgrad.engine.ops.softmax import softmax
from fieldgrad.engine.samples import gradient_pairs, reals, with_attributes
from fieldgrad.engine.shapes import normalize_axes


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


def _normal_density(x: Tensor) -> Tensor:
    return exp(x * x * -0.5) * (1.0 / math.sqrt(2.0 * math.pi))


def celu(x: TensorLike, /, alpha: float = 1.0) -> Tensor:
    """x where positive, alpha · (exp(x / alpha) - 1) elsewhere: smooth for every alpha.

    Parameters
    ----------
    x : Tensor
        Any shape.
    alpha : float, default 1.0
        The limit at minus infinity is -alpha; positive.

    Returns
    -------
    Tensor
        Shape of x.

    References
    ----------
    J. T. Barron, "Continuously differentiable exponential linear units", 2017, arXiv:1704.07483.
    """
    return elu(as_tensor(x, floating=True) * (1.0 / alpha)) * alpha


def selu(x: TensorLike, /) -> Tensor:
    """`elu` with the scales that keep mean 0 and variance 1 through layers.

    Parameters
    ----------
    x : Tensor
        Any shape.

    Returns
    -------
    Tensor
        Shape of x.

    References
    ----------
    Klambauer, Unterthiner, Mayr, Hochreiter, "Self-normalizing neural networks", NeurIPS 2017,
    arXiv:1706.02515, eq. 14.
    """
    return elu(x, 1.6732632423543772) * 1.0507009873554805


def gelu_tanh(x: TensorLike, /) -> Tensor:
    """`gelu` by its tanh formula, as many published weights were trained with.

    Parameters
    ----------
    x : Tensor
        Any shape.

    Returns
    -------
    Tensor
        Shape of x: x / 2 (1 + tanh(√(2/π) (x + 0.044715 x³))).

    References
    ----------
    Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016, arXiv:1606.08415, section 2.
    """
    x = as_tensor(x, floating=True)
    return 0.5 * x * (1.0 + tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x * x * x)))


def glu(x: TensorLike, /, axis: int = -1) -> Tensor:
    """The first half times the sigmoid of the second half, along an axis.

    Parameters
    ----------
    x : Tensor
        Any shape with an even length along the axis.
    axis : int, default -1
        Axis to halve.

    Returns
    -------
    Tensor
        Shape of x with half that length.

    Raises
    ------
    ShapeError
        If the length is odd.

    References
    ----------
    Dauphin, Fan, Auli, Grangier, "Language modeling with gated convolutional networks", ICML 2017,
    arXiv:1612.08083.
    """
    x = as_tensor(x, floating=True)
    (a,) = normalize_axes(axis, x.ndim, "glu")
    if x.shape[a] % 2:
        raise ShapeError(
            f"glu: axis {axis} of x {x.shape} has {x.shape[a]} elements; expected an even number."
        )
    half, before = x.shape[a] // 2, (slice(None),) * a
    return x[(*before, slice(None, half))] * sigmoid(x[(*before, slice(half, None))])


def tanhshrink(x: TensorLike, /) -> Tensor:
    """x - tanh(x).

    Parameters
    ----------
    x : Tensor
        Any shape.

    Returns
    -------
    Tensor
        Shape of x.
    """
    x = as_tensor(x, floating=True)
    return x - tanh(x)


def logsigmoid(x: TensorLike, /) -> Tensor:
    """log(1 / (1 + exp(-x))), without overflow.

    Parameters
    ----------
    x : Tensor
        Any shape.

    Returns
    -------
    Tensor
        Shape of x.
    """
    return -softplus(-as_tensor(x, floating=True))


def mish(x: TensorLike, /) -> Tensor:
    """x · tanh(softplus(x)).

    Parameters
    ----------
    x : Tensor
        Any shape.

    Returns
    -------
    Tensor
        Shape of x.

    References
    ----------
    D. Misra, "Mish: a self regularized non-monotonic activation function", BMVC 2020,
    arXiv:1908.08681.
    """
    x = as_tensor(x, floating=True)
    return x * tanh(softplus(x))


def softmin(x: TensorLike, /, axis: int = -1) -> Tensor:
    """`softmax` of -x: the smallest elements weigh most.

    Parameters
    ----------
    x : Tensor
        Any shape with at least one axis.
    axis : int, default -1
        Axis whose elements compete.

    Returns
    -------
    Tensor
        Shape of x.
    """
    return softmax(-as_tensor(x, floating=True), axis)


def softsign(x: TensorLike, /) -> Tensor:
    """x / (1 + |x|).

    Parameters
    ----------
    x : Tensor
        Any shape.

    Returns
    -------
    Tensor
        Shape of x.
    """
    x = as_tensor(x, floating=True)
    return x / (1.0 + abs(x))
