"""Activations that are composed of others; the common ones have kernels, in `elementary`."""

import math

import numpy as np

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.op import TensorLike, as_tensor
from fieldgrad.engine.ops.arithmetic import abs, clip, where
from fieldgrad.engine.ops.elementary import elu, sigmoid, softplus, tanh
from fieldgrad.engine.ops.layout import reshape
from fieldgrad.engine.ops.random import generator
from fieldgrad.engine.ops.softmax import softmax
from fieldgrad.engine.shapes import normalize_axes

__all__ = [
    "celu",
    "gelu_tanh",
    "glu",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "logsigmoid",
    "mish",
    "prelu",
    "relu6",
    "rrelu",
    "selu",
    "softmin",
    "softshrink",
    "softsign",
    "tanhshrink",
    "threshold",
]


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


def hardshrink(x: TensorLike, /, lambd: float = 0.5) -> Tensor:
    """x where |x| > lambd, 0 elsewhere.

    Parameters
    ----------
    x : Tensor
        Any shape.
    lambd : float, default 0.5
        Half width of what becomes 0.

    Returns
    -------
    Tensor
        Shape of x.
    """
    x = as_tensor(x, floating=True)
    return where((x >= -lambd) & (x <= lambd), 0.0, x)


def softshrink(x: TensorLike, /, lambd: float = 0.5) -> Tensor:
    """x moved toward 0 by lambd, and 0 where that would pass it.

    Parameters
    ----------
    x : Tensor
        Any shape.
    lambd : float, default 0.5
        By how much; not negative.

    Returns
    -------
    Tensor
        Shape of x.
    """
    x = as_tensor(x, floating=True)
    return x - clip(x, -lambd, lambd)


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


def hardtanh(x: TensorLike, /, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """x limited to [min_val, max_val]; the gradient is 0 at the bounds and beyond.

    Parameters
    ----------
    x : Tensor
        Any shape.
    min_val, max_val : float
        The bounds, -1 and 1 by default.

    Returns
    -------
    Tensor
        Shape of x.
    """
    x = as_tensor(x, floating=True)
    return where(x <= min_val, min_val, where(x >= max_val, max_val, x))


def relu6(x: TensorLike, /) -> Tensor:
    """x limited to [0, 6].

    Parameters
    ----------
    x : Tensor
        Any shape.

    Returns
    -------
    Tensor
        Shape of x.
    """
    return hardtanh(x, 0.0, 6.0)


def hardsigmoid(x: TensorLike, /) -> Tensor:
    """(x + 3) / 6 limited to [0, 1].

    Parameters
    ----------
    x : Tensor
        Any shape.

    Returns
    -------
    Tensor
        Shape of x.
    """
    return relu6(as_tensor(x, floating=True) + 3.0) * (1.0 / 6.0)


def hardswish(x: TensorLike, /) -> Tensor:
    """x · hardsigmoid(x).

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
    Howard et al., "Searching for MobileNetV3", ICCV 2019, arXiv:1905.02244, section 5.2.
    """
    x = as_tensor(x, floating=True)
    return x * hardsigmoid(x)


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


def prelu(x: TensorLike, weight: TensorLike, /) -> Tensor:
    """x where positive, weight · x elsewhere, with a slope for each channel.

    Parameters
    ----------
    x : Tensor
        Shape (batch, channel, …); any shape for one slope.
    weight : Tensor
        Shape (channel,), or one number.

    Returns
    -------
    Tensor
        Shape of x.

    Raises
    ------
    ShapeError
        If there is not one slope, or one for each channel.

    References
    ----------
    He, Zhang, Ren, Sun, "Delving deep into rectifiers", ICCV 2015, arXiv:1502.01852, section 2.1.
    """
    x, w = as_tensor(x, floating=True), as_tensor(weight)
    channels = x.shape[1] if x.ndim > 1 else 1
    if w.size not in (1, channels) or w.ndim > 1:
        raise ShapeError(
            f"prelu: weight has shape {w.shape}, x has {x.shape}; expected one slope, or "
            f"({channels},), one for each channel."
        )
    if w.ndim and x.ndim > 1:
        w = reshape(w, (-1, *(1,) * (x.ndim - 2)))
    elif w.ndim:
        w = reshape(w, ())
    return where(x > 0, x, w * x)


def rrelu(
    x: TensorLike, /, lower: float = 1.0 / 8.0, upper: float = 1.0 / 3.0, *, training: bool = False
) -> Tensor:
    """Leaky ReLU with slopes drawn uniformly from [lower, upper), or their mean.

    Parameters
    ----------
    x : Tensor
        Any shape.
    lower, upper : float, default 1 / 8 and 1 / 3
        Bounds of the slopes.
    training : bool, default False
        Whether to draw a slope for each element, from the engine's generator.

    Returns
    -------
    Tensor
        Shape of x.

    References
    ----------
    Xu, Wang, Chen, Li, "Empirical evaluation of rectified activations in convolutional network",
    2015, arXiv:1505.00853.
    """
    x = as_tensor(x, floating=True)
    slope = np.asarray((lower + upper) / 2, x.dtype)
    if training:
        slope = (lower + (upper - lower) * generator().random(x.shape)).astype(x.dtype)
    return where(x >= 0, x, x * slope)


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


def threshold(x: TensorLike, /, threshold: float, value: float) -> Tensor:
    """x where it is larger than a threshold, a value elsewhere.

    Parameters
    ----------
    x : Tensor
        Any shape.
    threshold : float
        What x must exceed.
    value : float
        What stands for the rest.

    Returns
    -------
    Tensor
        Shape of x.
    """
    x = as_tensor(x, floating=True)
    return where(x > threshold, x, value)
