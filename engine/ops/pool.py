"""Max pooling and its gradient; average pooling is a linear map and lives in `resample`."""

import math
from collections.abc import Sequence

from fieldgrad.engine import samples, shapes
from fieldgrad.engine.op import TensorLike, op
from fieldgrad.engine.ops.index import take_along_axis
from fieldgrad.engine.ops.layout import reshape
from fieldgrad.engine.shapes import PerAxis


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
):
    """Maxima of windows.

    Parameters
    ----------
    x : Tensor
        Shape (N, C, n_1, …) with one to three spatial axes.
    kernel_size : int or sequence of int
        Size of a window; one number, or one for each spatial axis. So are the next two.
    stride : int or sequence of int, optional
        Step between windows; default kernel_size.
    padding : int or sequence of int, default 0
        By how much windows may reach beyond both ends of an axis, at most half of kernel_size.

    Returns
    -------
    Tensor
        Shape (N, C, m_1, …) with m = (n + 2 padding - kernel_size) // stride + 1; channels are
        adjacent in memory.

    Raises
    ------
    ShapeError
        If no window fits, or a channel has 2^31 positions or more.

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
def _(g, x_shape, index, kernel_size, stride, padding):
    return max_unpool(
        g, index, size=x_shape[2:], kernel_size=kernel_size, stride=stride, padding=padding
    )


@op(
    kernel="max_unpool",
    floating=True,
    shape=shapes.max_unpool,
    samples=samples.max_unpools,
    keeps_dtype=("index",),
)
def max_unpool(
    g: TensorLike,
    index: TensorLike,
    /,
    *,
    size: Sequence[int],
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: PerAxis = 0,
):
    """Put values back where `max_pool` found its maxima, with zeros elsewhere: its gradient.

    Parameters
    ----------
    g : Tensor
        Shape (N, C, m_1, …).
    index : Tensor or ndarray of int32
        Shape of g: flat position of each value in its channel's map, within the value's window.
    size : sequence of int
        Spatial sizes (n_1, …) of the result.
    kernel_size, stride, padding : int or sequence of int
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


@max_unpool.vjp
def _(h, g_shape, index):
    maps = reshape(h, (*h.shape[:2], math.prod(h.shape[2:])))
    places = reshape(index, (*g_shape[:2], math.prod(g_shape[2:])))
    return reshape(take_along_axis(maps, places, axis=2), g_shape), None
