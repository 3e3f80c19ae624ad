"""Sparse linear maps along one axis at a time: interpolation and average pooling.

One op, `resample_axis`, applies a sparse matrix (`fieldgrad.engine.taps`) along an axis. Its
gradient is the same op with the transposed matrix, so gradients of any order stay in the family.
Interpolation and average pooling are separable: they are such maps, axis after axis.
"""

import math
from collections.abc import Sequence

import numpy as np

from fieldgrad.engine import samples, shapes
from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import ShapeError, suggest
from fieldgrad.engine.op import TensorLike, as_tensor, op
from fieldgrad.engine.ops.arithmetic import (
    abs,
    where,
)
from fieldgrad.engine.ops.elementary import (
    power,
)
from fieldgrad.engine.ops.pool import max_pool
from fieldgrad.engine.shapes import PerAxis
from fieldgrad.engine.taps import ALIGNED, MODES, Taps, interpolation_taps, window_taps

Scale = float | Sequence[float]

# PyTorch's names that say the number of spatial axes.
_ALIASES = {"bilinear": ("linear", 2), "trilinear": ("linear", 3), "bicubic": ("cubic", 2)}


@op(kernel="resample", floating=True, shape=shapes.resample_axis, samples=samples.taps)
def resample_axis(x: TensorLike, /, *, axis: int, taps: Taps):
    """Apply a sparse matrix along an axis: the building block of interpolation and average pooling.

    Parameters
    ----------
    x : Tensor
        Shape (…, taps.n_in, …).
    axis : int
        Axis to map.
    taps : Taps
        The matrix.

    Returns
    -------
    Tensor
        Shape (…, taps.n_out, …), in the memory order of x.

    Raises
    ------
    ShapeError
        If the axis does not have taps.n_in elements.
    """


@resample_axis.vjp
def _(g, axis, taps):
    return resample_axis(g, axis=axis, taps=taps.transposed)


def avg_pool(
    x: TensorLike,
    /,
    kernel_size: PerAxis,
    *,
    stride: PerAxis | None = None,
    padding: PerAxis = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: float | None = None,
) -> Tensor:
    """Means of windows.

    Parameters
    ----------
    x : Tensor
        Shape (N, C, n_1, …) with one to three spatial axes.
    kernel_size : int or sequence of int
        Size of a window; one number, or one for each spatial axis. So are the next two.
    stride : int or sequence of int, optional
        Step between windows; default kernel_size.
    padding : int or sequence of int, default 0
        Zeros added on both sides of an axis, at most half of kernel_size.
    ceil_mode : bool, default False
        Whether a last window may reach beyond the padding, instead of being left out; what lies
        there does not count.
    count_include_pad : bool, default True
        Whether these zeros count in the mean.
    divisor_override : float, optional
        Divide the sums by this, instead of the number of elements.

    Returns
    -------
    Tensor
        Shape (N, C, m_1, …) with m = (n + 2 padding - kernel_size) / stride + 1, rounded down, or
        up with ceil_mode.

    Raises
    ------
    ShapeError
        If no window fits.

    See Also
    --------
    adaptive_avg_pool : Pools to a given size.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.avg_pool(fg.tensor([[[1.0, 3.0, 5.0, 7.0]]]), 2).tolist()
    [[[2.0, 6.0]]]
    """
    x = as_tensor(x, floating=True)
    sizes = shapes.pool(
        "avg_pool",
        x.shape,
        kernel_size=kernel_size,
        stride=stride,
        padding=padding,
        ceil_mode=ceil_mode,
    )[2:]
    window = [
        shapes.per_axis(value, len(sizes), "avg_pool")
        for value in (kernel_size, kernel_size if stride is None else stride, padding)
    ]
    count = "padded" if count_include_pad else "inside"
    maps = [
        window_taps(*settings, "none" if divisor_override is not None else count)
        for settings in zip(x.shape[2:], sizes, *window, strict=True)
    ]
    y = _along_spatial_axes(x, maps)
    return y if divisor_override is None else y * (1.0 / divisor_override)


def adaptive_avg_pool(x: TensorLike, /, size: int | Sequence[int | None]) -> Tensor:
    """Means of as many windows as wanted along each axis.

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

    Raises
    ------
    ShapeError
        If x has no spatial axis, or one is empty.

    Notes
    -----
    Window i begins at i n / m, rounded down, and ends before (i + 1) n / m, rounded up.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.adaptive_avg_pool(fg.tensor([[[1.0, 5.0, 3.0]]]), 2).tolist()
    [[[3.0, 4.0]]]
    """
    x = as_tensor(x, floating=True)
    sizes = shapes.adaptive("adaptive_avg_pool", x.shape, size)
    maps = [
        interpolation_taps("area", n_in, n_out, None, False)
        for n_in, n_out in zip(x.shape[2:], sizes, strict=True)
    ]
    return _along_spatial_axes(x, maps)


def lp_pool(
    x: TensorLike,
    /,
    p: float,
    kernel_size: PerAxis,
    *,
    stride: PerAxis | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """Norms of windows: (Σ x^p)^(1/p).

    Parameters
    ----------
    x : Tensor
        Shape (N, C, n_1, …) with one to three spatial axes.
    p : float
        Exponent, positive; infinity gives `max_pool` of |x|.
    kernel_size : int or sequence of int
        Size of a window; one number, or one for each spatial axis.
    stride : int or sequence of int, optional
        Step between windows; default kernel_size.
    ceil_mode : bool, default False
        Whether a last window may reach beyond the end; its sum is scaled up to a whole window's.

    Returns
    -------
    Tensor
        Shape (N, C, m_1, …).

    Raises
    ------
    ShapeError
        If no window fits.

    Notes
    -----
    For p other than even numbers x should not be negative, as in PyTorch. The gradient of a window
    of zeros is 0.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.lp_pool(fg.tensor([[[3.0, 4.0]]]), 2, 2).tolist()
    [[[5.0]]]
    """
    x = as_tensor(x, floating=True)
    if math.isinf(p):
        return max_pool(abs(x), kernel_size, stride=stride, ceil_mode=ceil_mode)
    means = avg_pool(power(x, p), kernel_size, stride=stride, ceil_mode=ceil_mode)
    sums = means * float(math.prod(shapes.per_axis(kernel_size, x.ndim - 2, "lp_pool")))
    empty = sums == 0
    return where(empty, 0.0, power(where(empty, 1.0, sums), 1.0 / p))


def interpolate(
    x: TensorLike,
    /,
    *,
    size: int | Sequence[int] | None = None,
    scale_factor: Scale | None = None,
    mode: str = "nearest",
    align_corners: bool = False,
    recompute_scale_factor: bool = False,
    antialias: bool = False,
) -> Tensor:
    """Resize every spatial axis, as PyTorch's function of this name does.

    Parameters
    ----------
    x : Tensor
        Shape (N, C, n_1, …) with one to three spatial axes.
    size : int or sequence of int, optional
        New sizes m_1, …; one number stands for all axes. Give either this or scale_factor.
    scale_factor : float or sequence of float, optional
        Factor of enlargement; the new size is n · scale_factor, rounded down.
    mode : {"nearest", "nearest-exact", "linear", "cubic", "area"}
        "nearest" takes the element left of the position (as PyTorch and OpenCV do), "nearest-exact"
        the nearest; "linear" is bilinear or trilinear on two or three axes; "cubic" is Keys'
        convolution with a = -0.75; "area" averages all elements under the new one. PyTorch's
        "bilinear", "trilinear" and "bicubic" also say the number of axes.
    align_corners : bool, default False
        Whether the centers of the first and last elements stay where they are ("linear" and "cubic"
        only), instead of the outer edges.
    recompute_scale_factor : bool, default False
        Take positions from the sizes alone, as if scale_factor had been given as a size.
    antialias : bool, default False
        Widen "linear" and "cubic" interpolation over all elements under a new one where an axis
        shrinks; "cubic" then has a = -0.5, as the Python Imaging Library's.

    Returns
    -------
    Tensor
        Shape (N, C, m_1, …).

    Raises
    ------
    ShapeError
        If x has no spatial axis, or a new size is not positive.
    ValueError
        If the mode is unknown, or the settings contradict one another.

    Notes
    -----
    New element i lies at (i + 1/2) n / m - 1/2 of the old axis, or at i (n - 1) / (m - 1) with
    align_corners; with scale_factor s, n / m is 1 / s even if n · s was rounded. Positions are
    computed in float64; PyTorch computes them in float32 for float32 input, and may take the other
    neighbor where "nearest" falls on an edge.

    References
    ----------
    R. Keys, "Cubic convolution interpolation for digital image processing", IEEE Transactions on
    Acoustics, Speech, and Signal Processing 29 (1981), doi:10.1109/TASSP.1981.1163711.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> x = fg.tensor([[[0.0, 4.0]]])
    >>> fg.interpolate(x, scale_factor=2, mode="linear").tolist()
    [[[0.0, 1.0, 3.0, 4.0]]]
    >>> fg.interpolate(x, size=3, mode="linear", align_corners=True).tolist()
    [[[0.0, 2.0, 4.0]]]
    """
    x = as_tensor(x, floating=True)
    if mode in _ALIASES:
        mode, n_axes = _ALIASES[mode]
        if x.ndim != n_axes + 2:
            raise ShapeError(
                f"interpolate: x has shape {x.shape}; this mode expects {n_axes} spatial axes. "
                f"Mode {mode!r} takes any number."
            )
    if mode not in MODES:
        hint = suggest(mode, MODES) or ";"
        raise ValueError(f"interpolate: mode = {mode!r}{hint} Modes: {', '.join(MODES)}.")
    if (align_corners or antialias) and mode not in ALIGNED:
        raise ValueError(
            f"interpolate: align_corners and antialias have no meaning for mode {mode!r}; expected "
            f"one of {', '.join(ALIGNED)}."
        )
    sizes = shapes.interpolate(x.shape, size=size, scale_factor=scale_factor)[2:]
    factors: Sequence[float | None] = [None] * len(sizes)
    if scale_factor is not None and mode != "area" and not recompute_scale_factor:
        factors = np.broadcast_to(np.asarray(scale_factor, float), len(sizes)).tolist()
    maps = [
        interpolation_taps(mode, n_in, n_out, factor, align_corners, antialias)
        for n_in, n_out, factor in zip(x.shape[2:], sizes, factors, strict=True)
    ]
    return _along_spatial_axes(x, maps)


def _along_spatial_axes(x: Tensor, maps: Sequence[Taps | None]) -> Tensor:
    """Apply one map to each spatial axis (None: leave it), those that shrink most first."""
    changes = [(m.n_out / max(m.n_in, 1), axis, m) for axis, m in enumerate(maps, 2) if m]
    for _, axis, taps in sorted(changes, key=lambda change: change[:2]):
        x = resample_axis(x, axis=axis, taps=taps)
    return x
