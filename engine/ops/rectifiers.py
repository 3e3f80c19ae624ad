"""Activations of straight pieces, elementwise: relu and its family."""

import numpy as np

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.op import TensorLike, as_tensor, op
from fieldgrad.engine.ops.arithmetic import clip, where
from fieldgrad.engine.ops.layout import reshape
from fieldgrad.engine.ops.random import generator
from fieldgrad.engine.samples import gradient_pairs, reals, with_attributes


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
