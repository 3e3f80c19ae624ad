"""Normalizations by mean and variance.

The four normalizations share one kernel. Each is fused: forward and gradient are two passes over
memory, where the same in simpler ops takes about ten; a leaky ReLU on the result costs nothing.
Statistics are computed without cancellation and do not depend on the number of threads; NaN or
infinity in a group makes the whole group NaN.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine import samples, shapes
from fieldgrad.engine._core import Tensor
from fieldgrad.engine.device import KERNELS
from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.op import TensorLike, as_tensor, op
from fieldgrad.engine.ops.arithmetic import (
    sqrt,
    square,
)
from fieldgrad.engine.ops.elementary import (
    power,
)
from fieldgrad.engine.ops.layout import reshape
from fieldgrad.engine.ops.rectifiers import (
    leaky_relu,
)
from fieldgrad.engine.ops.reduce import mean
from fieldgrad.engine.ops.resample import resample_axis
from fieldgrad.engine.taps import Taps


def _normalized(x: Tensor, axes: Sequence[int], eps: float) -> Tensor:
    centered = x - mean(x, axis=tuple(axes), keepdims=True)
    return centered / sqrt(mean(square(centered), axis=tuple(axes), keepdims=True) + eps)


def _affine(y: Tensor, weight: Tensor | None, bias: Tensor | None, negative_slope: float) -> Tensor:
    """y · weight + bias by channel (axis 1), then leaky ReLU unless its slope is 1."""
    by_channel = (-1, *(1,) * (y.ndim - 2))
    if weight is not None:
        y = y * reshape(weight, by_channel)
    if bias is not None:
        y = y + reshape(bias, by_channel)
    return y if negative_slope == 1.0 else leaky_relu(y, negative_slope)


def _fused_gradient(
    g: Tensor,
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: NDArray[Any],
    rstd: NDArray[Any],
    negative_slope: float,
    given: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    parameters = [None if p is None else p.data for p in (weight, bias)]
    gradients = KERNELS["norm_gradient"](
        g.data, x.data, *parameters, mean, rstd, negative_slope, given
    )
    gx, gweight, gbias = map(Tensor, gradients)
    return gx, gweight, gbias


@op(
    kernel="instance_norm",
    floating=True,
    shape=shapes.instance_norm,
    samples=samples.instance_norms,
    aux=("mean", "rstd"),
)
def instance_norm(
    x: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    /,
    *,
    eps: float = 1e-5,
    negative_slope: float = 1.0,
):
    """Normalize every channel of every batch entry over its positions.

    Parameters
    ----------
    x : Tensor
        Shape (N, C, n_1, …), with more than one position.
    weight, bias : Tensor, optional
        Shape (C,): factor and offset of each channel after normalization.
    eps : float, default 1e-5
        Added to the variance.
    negative_slope : float, default 1.0
        Slope below 0 of a leaky ReLU on the result; 1 leaves it out.

    Returns
    -------
    Tensor
        Shape (N, C, n_1, …); channels are adjacent in memory.

    Raises
    ------
    ShapeError
        If the shapes do not fit or there is one position only.

    Notes
    -----
    (x - mean) / sqrt(variance + eps) · weight + bias, with the variance divided by the number of
    positions. The gradient of the leaky ReLU at 0 is negative_slope.

    References
    ----------
    Ulyanov, Vedaldi, Lempitsky, "Instance Normalization: The Missing Ingredient for Fast
    Stylization", 2016, arXiv:1607.08022.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.instance_norm(fg.tensor([[[1.0, 3.0]]]), eps=0.0).tolist()
    [[[-1.0, 1.0]]]
    """
    return _affine(_normalized(x, range(2, x.ndim), eps), weight, bias, negative_slope)


@instance_norm.fused_vjp
def _(g, x, weight, bias, mean, rstd, negative_slope):
    return _fused_gradient(g, x, weight, bias, mean, rstd, negative_slope)


@op(
    kernel="group_norm",
    floating=True,
    shape=shapes.group_norm,
    samples=samples.group_norms,
    aux=("mean", "rstd"),
)
def group_norm(
    x: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    /,
    *,
    groups: int,
    eps: float = 1e-5,
    negative_slope: float = 1.0,
):
    """Normalize groups of adjacent channels of every batch entry over channels and positions.

    Parameters
    ----------
    x : Tensor
        Shape (N, C, …).
    weight, bias : Tensor, optional
        Shape (C,): factor and offset of each channel after normalization.
    groups : int
        Number of groups, a divisor of C.
    eps : float, default 1e-5
        Added to the variance.
    negative_slope : float, default 1.0
        Slope below 0 of a leaky ReLU on the result; 1 leaves it out.

    Returns
    -------
    Tensor
        Shape of x.

    Raises
    ------
    ShapeError
        If the shapes do not fit or groups does not divide C.

    References
    ----------
    Wu, He, "Group Normalization", ECCV 2018, arXiv:1803.08494.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.group_norm(fg.tensor([[1.0, 3.0, 0.0, 8.0]]), groups=2, eps=0.0).tolist()
    [[-1.0, 1.0, -1.0, 1.0]]
    """
    grouped = reshape(x, (x.shape[0], groups, x.shape[1] // groups, *x.shape[2:]))
    y = reshape(_normalized(grouped, range(2, grouped.ndim), eps), x.shape)
    return _affine(y, weight, bias, negative_slope)


@group_norm.fused_vjp
def _(g, x, weight, bias, mean, rstd, negative_slope):
    return _fused_gradient(g, x, weight, bias, mean, rstd, negative_slope)


@op(
    kernel="batch_norm",
    floating=True,
    shape=shapes.batch_norm,
    samples=samples.batch_norms,
    aux=("mean", "rstd"),
)
def batch_norm(
    x: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    /,
    *,
    eps: float = 1e-5,
    negative_slope: float = 1.0,
    running: tuple[NDArray[Any], NDArray[Any]] | None = None,
    momentum: float = 0.1,
):
    """Normalize every channel over the batch and its positions, by the batch's own statistics.

    Parameters
    ----------
    x : Tensor
        Shape (N, C, …), with more than one element for each channel.
    weight, bias : Tensor, optional
        Shape (C,): factor and offset of each channel after normalization.
    eps : float, default 1e-5
        Added to the variance.
    negative_slope : float, default 1.0
        Slope below 0 of a leaky ReLU on the result; 1 leaves it out.
    running : tuple of ndarray, optional
        Averages of mean and unbiased variance, shape (C,) each, to bring forward in place.
    momentum : float, default 0.1
        Share of this batch in the averages.

    Returns
    -------
    Tensor
        Shape of x.

    Raises
    ------
    ShapeError
        If the shapes do not fit or a channel has one element only.

    See Also
    --------
    given_norm : The same with given statistics, for finished models.

    References
    ----------
    Ioffe, Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal
    Covariate Shift", ICML 2015, arXiv:1502.03167.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.batch_norm(fg.tensor([[1.0, 5.0], [3.0, -5.0]]), eps=0.0).tolist()
    [[-1.0, 1.0], [1.0, -1.0]]
    """
    return _affine(_normalized(x, (0, *range(2, x.ndim)), eps), weight, bias, negative_slope)


@batch_norm.fused_vjp
def _(g, x, weight, bias, mean, rstd, negative_slope):
    return _fused_gradient(g, x, weight, bias, mean, rstd, negative_slope)


@op(
    kernel="given_norm",
    floating=True,
    shape=shapes.given_norm,
    samples=samples.given_norms,
    aux=("center", "rstd"),
)
def given_norm(
    x: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    /,
    *,
    mean: NDArray[Any],
    var: NDArray[Any],
    eps: float = 1e-5,
    negative_slope: float = 1.0,
):
    """Normalize every channel by a given mean and variance: `batch_norm` of a finished model.

    Parameters
    ----------
    x : Tensor
        Shape (N, C, …).
    weight, bias : Tensor, optional
        Shape (C,): factor and offset of each channel after normalization.
    mean, var : ndarray
        Shape (C,): constants for the gradient.
    eps : float, default 1e-5
        Added to the variance.
    negative_slope : float, default 1.0
        Slope below 0 of a leaky ReLU on the result; 1 leaves it out.

    Returns
    -------
    Tensor
        Shape of x.

    Raises
    ------
    ShapeError
        If the shapes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> import fieldgrad.engine as fg
    >>> x = fg.tensor([[5.0], [1.0]])
    >>> fg.given_norm(x, mean=np.ones(1), var=np.full(1, 4.0), eps=0.0).tolist()
    [[2.0], [0.0]]
    """
    by_channel = (-1, *(1,) * (x.ndim - 2))
    center, spread = (np.asarray(a, x.dtype).reshape(by_channel) for a in (mean, var))
    return _affine((x - center) / np.sqrt(spread + eps), weight, bias, negative_slope)


@given_norm.fused_vjp
def _(g, x, weight, bias, center, rstd, negative_slope):
    return _fused_gradient(g, x, weight, bias, center, rstd, negative_slope, given=True)


@op(
    kernel="layer_norm",
    floating=True,
    shape=shapes.layer_norm,
    samples=samples.layer_norms,
    aux=("mean", "rstd"),
)
def layer_norm(
    x: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    /,
    *,
    n_axes: int = 1,
    eps: float = 1e-5,
):
    """Normalize over the last axes.

    Parameters
    ----------
    x : Tensor
        Shape (…, C).
    weight, bias : Tensor, optional
        Shape of the last axes, (C,): factor and offset after normalization.
    n_axes : int, default 1
        Number of last axes that are normalized together.
    eps : float, default 1e-5
        Added to the variance.

    Returns
    -------
    Tensor
        Shape of x.

    Raises
    ------
    ShapeError
        If the shapes do not fit.

    References
    ----------
    Ba, Kiros, Hinton, "Layer Normalization", 2016, arXiv:1607.06450.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.layer_norm(fg.tensor([[1.0, 3.0], [-2.0, 2.0]]), eps=0.0).tolist()
    [[-1.0, 1.0], [-1.0, 1.0]]
    """
    y = _normalized(x, range(-n_axes, 0), eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


@layer_norm.fused_vjp
def _(g, x, weight, bias, mean, rstd, n_axes):
    last = x.shape[x.ndim - n_axes :]
    rows = (len(mean), math.prod(last))
    flat = [None if p is None else p.reshape(-1) for p in (weight, bias)]
    gx, gweight, gbias = _fused_gradient(g.reshape(rows), x.reshape(rows), *flat, mean, rstd, 1.0)
    return gx.reshape(x.shape), gweight.reshape(last), gbias.reshape(last)


def rms_norm(
    x: TensorLike,
    weight: TensorLike | None = None,
    /,
    *,
    n_axes: int = 1,
    eps: float | None = None,
) -> Tensor:
    """Divide by the root of the mean square over the last axes.

    Parameters
    ----------
    x : Tensor
        Shape (…, C).
    weight : Tensor, optional
        Shape of the last axes, (C,): factor after normalization.
    n_axes : int, default 1
        Number of last axes that are normalized together.
    eps : float, optional
        Added to the mean square; default the dtype's distance from 1 to the next number.

    Returns
    -------
    Tensor
        Shape of x.

    References
    ----------
    Zhang, Sennrich, "Root mean square layer normalization", NeurIPS 2019, arXiv:1910.07467, eq. 4.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.rms_norm(fg.tensor([[1.0, 7.0]]), eps=0.0).tolist()
    [[0.20000000298023224, 1.399999976158142]]
    """
    x = as_tensor(x, floating=True)
    least = float(np.finfo(x.dtype).eps) if eps is None else eps
    y = x / sqrt(mean(square(x), axis=tuple(range(-n_axes, 0)), keepdims=True) + least)
    return y if weight is None else y * weight


def local_response_norm(
    x: TensorLike, /, size: int, *, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """Divide by a power of the mean square over neighboring channels.

    Parameters
    ----------
    x : Tensor
        Shape (N, C, …).
    size : int
        Number of channels that are averaged, with zeros beyond the first and last.
    alpha, beta, k : float
        The divisor is (k + alpha · mean square) to the power beta.

    Returns
    -------
    Tensor
        Shape of x.

    Raises
    ------
    ShapeError
        If x has no channels, or size is not positive.

    References
    ----------
    Krizhevsky, Sutskever, Hinton, "ImageNet classification with deep convolutional neural
    networks", NeurIPS 2012, section 3.3, whose alpha is this one divided by size.
    """
    x = as_tensor(x, floating=True)
    if x.ndim < 3 or size < 1:
        raise ShapeError(
            f"local_response_norm: x has shape {x.shape}, size is {size}; expected (batch, "
            "channel, …) and a positive number of channels."
        )
    n = x.shape[1]
    channel = np.arange(n)[:, None] - size // 2 + np.arange(size)
    window = Taps(n, channel, ((channel >= 0) & (channel < n)) / size)
    return x / power(resample_axis(square(x), axis=1, taps=window) * alpha + k, beta)
