"""Maxima of windows: pooling, its gradient, and its inverse; means of windows are in `resample`."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldgrad.engine import samples, shapes
from fieldgrad.engine._core import Tensor
from fieldgrad.engine.device import KERNELS
from fieldgrad.engine.errors import DataError, ShapeError
from fieldgrad.engine.op import TensorLike, as_tensor, op
from fieldgrad.engine.ops.arithmetic import (
    where,
)
from fieldgrad.engine.ops.index import take_along_axis
from fieldgrad.engine.ops.layout import reshape
from fieldgrad.engine.ops.random import generator
from fieldgrad.engine.shapes import PerAxis

__all__ = [
    "adaptive_max_pool",
    "adaptive_max_pool_with_indices",
    "fractional_max_pool",
    "max_pool",
    "max_pool_with_indices",
    "max_unpool",
]

Sizes = int | Sequence[int | None]  # of a result: one for all spatial axes, None keeps the input's


@op(
    kernel="max_pool",
    floating=True,
    shape=shapes.max_pool,
    samples=samples.max_pools,
    aux=("index",),
)
def max_pool(
    x: TensorLike,
    /,
    kernel_size: PerAxis,
    *,
    stride: PerAxis | None = None,
    padding: PerAxis = 0,
    dilation: PerAxis = 1,
    ceil_mode: bool = False,
):
    """Maxima of windows.

    Parameters
    ----------
    x : Tensor
        Shape (N, C, n_1, …) with one to three spatial axes.
    kernel_size : int or sequence of int
        Elements of a window; one number, or one for each spatial axis. So are the next three.
    stride : int or sequence of int, optional
        Step between windows; default kernel_size.
    padding : int or sequence of int, default 0
        By how much windows may reach beyond both ends of an axis, at most half of their extent.
    dilation : int or sequence of int, default 1
        Step between the elements of a window.
    ceil_mode : bool, default False
        Whether a last window may reach beyond the padding, instead of being left out.

    Returns
    -------
    Tensor
        Shape (N, C, m_1, …) with m = (n + 2 padding - dilation (kernel_size - 1) - 1) / stride + 1,
        rounded down, or up with ceil_mode; channels are adjacent in memory.

    Raises
    ------
    ShapeError
        If no window fits, or a channel has 2^31 positions or more.

    See Also
    --------
    max_pool_with_indices : Also gives where the maxima are.

    Notes
    -----
    The gradient goes to the first of equal maxima. A window with NaN gives NaN.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.max_pool(fg.tensor([[[1.0, 3.0, 5.0, 4.0]]]), 2).tolist()
    [[[3.0, 5.0]]]
    """


@max_pool.vjp
def _(g, x_shape, index, kernel_size, stride, padding, dilation):
    return max_pool_gradient(
        g,
        index,
        size=x_shape[2:],
        kernel_size=kernel_size,
        stride=stride,
        padding=padding,
        dilation=dilation,
    )


@op(
    kernel="max_unpool",
    floating=True,
    shape=shapes.max_pool_gradient,
    samples=samples.max_pool_gradients,
    keeps_dtype=("index",),
)
def max_pool_gradient(
    g: TensorLike,
    index: TensorLike,
    /,
    *,
    size: Sequence[int],
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: PerAxis = 0,
    dilation: PerAxis = 1,
):
    """Put values back where `max_pool` found its maxima, with zeros elsewhere.

    Parameters
    ----------
    g : Tensor
        Shape (N, C, m_1, …).
    index : Tensor or ndarray of int32
        Shape of g: flat position of each value in its channel's map, within the value's window.
    size : sequence of int
        Spatial sizes (n_1, …) of the result.
    kernel_size, stride, padding, dilation : int or sequence of int
        Those of the pooling.

    Returns
    -------
    Tensor
        Shape (N, C, n_1, …). Values that share a position are added.

    Raises
    ------
    ShapeError
        If a pooling of the result would not have the shape of g.
    """


@max_pool_gradient.vjp
def _(h, g_shape, index):
    return _take(h, np.asarray(index)), None


def _take(x: Tensor, index: NDArray[Any]) -> Tensor:
    """Elements of x (N, C, spatial…) at flat positions of its maps: shape of the index."""
    maps = reshape(x, (*x.shape[:2], math.prod(x.shape[2:])))
    places = index.reshape(*index.shape[:2], math.prod(index.shape[2:]))
    return reshape(take_along_axis(maps, places, axis=2), index.shape)


def max_pool_with_indices(
    x: TensorLike,
    /,
    kernel_size: PerAxis,
    *,
    stride: PerAxis | None = None,
    padding: PerAxis = 0,
    dilation: PerAxis = 1,
    ceil_mode: bool = False,
) -> tuple[Tensor, NDArray[np.int64]]:
    """Maxima of windows, and where they are.

    Parameters
    ----------
    x : Tensor
        Shape (N, C, n_1, …) with one to three spatial axes.
    kernel_size, stride, padding, dilation : int or sequence of int
        As for `max_pool`.
    ceil_mode : bool, default False
        As for `max_pool`.

    Returns
    -------
    Tensor
        Shape (N, C, m_1, …), as `max_pool` gives it.
    ndarray of int64
        Its shape: flat position of each maximum in its channel's map, for `max_unpool`.
    """
    x = as_tensor(x, floating=True)
    window = {
        "kernel_size": kernel_size,
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "ceil_mode": ceil_mode,
    }
    shapes.max_pool(x.shape, **window)
    index = KERNELS["max_pool"](x.data, **window)[1].astype(np.int64)
    return _take(x, index), index


def max_unpool(
    x: TensorLike,
    index: ArrayLike,
    /,
    kernel_size: PerAxis,
    *,
    stride: PerAxis | None = None,
    padding: PerAxis = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Put maxima back where they were, with zeros elsewhere.

    Parameters
    ----------
    x : Tensor
        Shape (N, C, m_1, …).
    index : array_like of int
        Its shape: where each value goes, as `max_pool_with_indices` gives it.
    kernel_size, stride, padding : int or sequence of int
        Those of the pooling; they tell the size of the result if output_size does not.
    output_size : sequence of int, optional
        Spatial sizes of the result; default (m - 1) stride - 2 padding + kernel_size.

    Returns
    -------
    Tensor
        Shape (N, C, n_1, …). Of values that share a position the last counts.

    Raises
    ------
    ShapeError
        If the shapes do not belong together.
    DataError
        If a position lies outside the result.
    """
    x, places = as_tensor(x), np.asarray(index)
    shapes.check_maps("max_unpool", x.shape)
    n = x.ndim - 2
    kernel = shapes.per_axis(kernel_size, n, "max_unpool: kernel_size", 1)
    steps = kernel if stride is None else shapes.per_axis(stride, n, "max_unpool: stride", 1)
    cut = shapes.per_axis(padding, n, "max_unpool: padding")
    least = [
        (m - 1) * s - 2 * p + k for m, s, p, k in zip(x.shape[2:], steps, cut, kernel, strict=True)
    ]
    size = least if output_size is None else list(output_size)[-n:]
    if places.shape != x.shape or len(size) != n:
        raise ShapeError(
            f"max_unpool: x has shape {x.shape}, index has {places.shape}, output_size is "
            f"{output_size}; expected an index of x's shape and {n} sizes."
        )
    count = math.prod(size)
    if places.size and not (places.min() >= 0 and places.max() < count):
        raise DataError(
            f"max_unpool: positions go from {places.min()} to {places.max()}; expected 0 to "
            f"{count - 1} for a result of spatial size {tuple(size)}."
        )
    rows = places.reshape(*x.shape[:2], -1)
    owner = np.full((*x.shape[:2], count), -1)  # which value each position gets
    np.put_along_axis(owner, rows, np.broadcast_to(np.arange(rows.shape[2]), rows.shape), axis=2)
    owner = owner.reshape(*x.shape[:2], *size)
    return where(owner >= 0, _take(x, np.maximum(owner, 0)), 0.0)


def adaptive_max_pool_with_indices(
    x: TensorLike, /, size: Sizes
) -> tuple[Tensor, NDArray[np.int64]]:
    """Maxima of as many windows as wanted along each axis, and where they are.

    Parameters
    ----------
    x : Tensor
        Shape (N, C, n_1, …) with one to three spatial axes.
    size : int or sequence of int
        Number of windows m along each axis; None keeps an axis as it is.

    Returns
    -------
    Tensor
        Shape (N, C, m_1, …).
    ndarray of int64
        Its shape: flat position of each maximum in its channel's map.

    Raises
    ------
    ShapeError
        If x has no spatial axis, or one is empty.

    Notes
    -----
    Window i begins at i n / m, rounded down, and ends before (i + 1) n / m, rounded up: windows
    overlap by one element where m does not divide n.
    """
    x = as_tensor(x, floating=True)
    sizes = shapes.adaptive("adaptive_max_pool", x.shape, size)
    taps = []
    for n, m in zip(x.shape[2:], sizes, strict=True):
        i = np.arange(m)
        first, last = i * n // m, -(-(i + 1) * n // m)
        longest = (last - first).max(initial=1)
        taps.append(np.minimum(first[:, None] + np.arange(longest), last[:, None] - 1)[None, None])
    index = _positions_of_maxima(x.data, taps)
    return _take(x, index), index


def adaptive_max_pool(x: TensorLike, /, size: Sizes) -> Tensor:
    """Maxima of as many windows as wanted along each axis.

    Parameters
    ----------
    x : Tensor
        Shape (N, C, n_1, …) with one to three spatial axes.
    size : int or sequence of int
        Number of windows along each axis; None keeps an axis as it is.

    Returns
    -------
    Tensor
        Shape (N, C, m_1, …).

    Raises
    ------
    ShapeError
        If x has no spatial axis, or one is empty.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.adaptive_max_pool(fg.tensor([[[1.0, 5.0, 2.0, 4.0, 3.0]]]), 2).tolist()
    [[[5.0, 4.0]]]
    """
    return adaptive_max_pool_with_indices(x, size)[0]


def fractional_max_pool(
    x: TensorLike,
    /,
    kernel_size: PerAxis,
    size: Sizes,
    *,
    samples: ArrayLike | None = None,
) -> tuple[Tensor, NDArray[np.int64]]:
    """Maxima of windows at steps that vary at random between two integers.

    Parameters
    ----------
    x : Tensor
        Shape (N, C, n_1, …) with one to three spatial axes.
    kernel_size : int or sequence of int
        Size of a window k along each axis.
    size : int or sequence of int
        Number of windows m along each axis.
    samples : array_like, optional
        Shape (N, C, spatial axis), in [0, 1): where the steps change; default from the engine's
        generator.

    Returns
    -------
    Tensor
        Shape (N, C, m_1, …).
    ndarray of int64
        Its shape: flat position of each maximum in its channel's map.

    Raises
    ------
    ShapeError
        If the windows do not fit, or the samples have another shape.

    Notes
    -----
    Window i < m - 1 begins at ⌊(i + u) a⌋ - ⌊u a⌋ with the sample u and a = (n - k) / (m - 1), the
    last at n - k.

    References
    ----------
    B. Graham, "Fractional max-pooling", 2014, arXiv:1412.6071.
    """
    x = as_tensor(x, floating=True)
    sizes = shapes.adaptive("fractional_max_pool", x.shape, size)
    axes = x.ndim - 2
    kernel = shapes.per_axis(kernel_size, axes, "fractional_max_pool: kernel_size", 1)
    wanted = (*x.shape[:2], axes)
    u = np.asarray(generator().random(wanted) if samples is None else samples, float)
    windows = list(zip(x.shape[2:], sizes, kernel, strict=True))
    if u.shape != wanted or any(m + k - 1 > n for n, m, k in windows):
        raise ShapeError(
            f"fractional_max_pool: {sizes} windows of {kernel} in x of shape {x.shape}, samples of "
            f"shape {u.shape}; expected windows + kernel_size - 1 at most as long as each axis, "
            f"and samples of shape {wanted}."
        )
    taps = []
    for axis, (n, m, k) in enumerate(windows):
        first = np.full((*x.shape[:2], m), n - k)
        if m > 1:
            step, start = (n - k) / (m - 1), u[..., axis, None]
            first[..., :-1] = ((np.arange(m - 1) + start) * step).astype(int) - (
                start * step
            ).astype(int)
        taps.append(first[..., None] + np.arange(k))
    index = _positions_of_maxima(x.data, taps)
    return _take(x, index), index


def _positions_of_maxima(x: NDArray[Any], taps: list[NDArray[Any]]) -> NDArray[np.int64]:
    """Flat positions of the first maxima of windows, (N, C, m_1, …).

    taps holds for each axis the positions along it that make up each window, (N, C, m, k), where N
    and C may be 1.
    """
    n = len(taps)
    places: Any = 0
    for axis, t in enumerate(taps):
        along = [1] * (2 * n)
        along[axis], along[n + axis] = t.shape[2:]
        places = places * x.shape[2 + axis] + t.reshape(*t.shape[:2], *along)
    sizes = tuple(t.shape[2] for t in taps)
    count, taken = math.prod(sizes), math.prod(t.shape[3] for t in taps)
    places = np.broadcast_to(
        places.reshape(*places.shape[:2], count * taken), (*x.shape[:2], count * taken)
    )
    values = np.take_along_axis(x.reshape(*x.shape[:2], math.prod(x.shape[2:])), places, axis=2)
    per_window = (*x.shape[:2], count, taken)
    best = np.argmax(values.reshape(per_window), axis=-1)[..., None]
    found = np.take_along_axis(places.reshape(per_window), best, axis=-1)
    return found.reshape(*x.shape[:2], *sizes).astype(np.int64)
