"""Scans: running sums, products and extrema along an axis, and differences, their opposite."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from fieldgrad.engine import samples, shapes
from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import AxisError
from fieldgrad.engine.op import TensorLike, op
from fieldgrad.engine.ops.comparisons import (
    not_equal,
)
from fieldgrad.engine.ops.elementary import (
    exp,
)
from fieldgrad.engine.ops.index import take_along_axis
from fieldgrad.engine.ops.layout import concat, flip, pad, permute_dims, reshape


class AlongAxis(NamedTuple):
    """Elements chosen along an axis, and where they were.

    Parameters
    ----------
    values : Tensor
        The elements.
    indices : Tensor
        Their positions along the axis.
    """

    values: Tensor
    indices: Tensor


@op(kernel="cumsum", shape=shapes.along_axis, samples=samples.scans)
def cumsum(x: TensorLike, /, axis: int):
    """Cumulative sum along an axis: element i is the sum of the elements 0 to i.

    Parameters
    ----------
    x : Tensor
        Any shape.
    axis : int
        Axis to sum along.
    """


@cumsum.vjp
def _(g, axis):
    return flip(cumsum(flip(g, axis), axis), axis)


@op(kernel="cumprod", shape=shapes.along_axis, samples=samples.scans)
def cumprod(x: TensorLike, /, axis: int):
    """Cumulative product along an axis: element i is the product of the elements 0 to i.

    Parameters
    ----------
    x : Tensor
        Any shape.
    axis : int
        Axis to multiply along.
    """


@cumprod.vjp
def _(g, x, axis):
    return cumprod(_delayed(x, axis, 1.0), axis) * _scan_back(x, g, axis)


@op(kernel="logcumsumexp", floating=True, shape=shapes.along_axis, samples=samples.scans)
def logcumsumexp(x: TensorLike, /, axis: int):
    """log of the cumulative sum of exp(x) along an axis, without overflow.

    Parameters
    ----------
    x : Tensor
        Any shape.
    axis : int
        Axis to go along.
    """


@logcumsumexp.vjp
def _(g, out, x, axis):
    # out_k = log(exp(out_(k-1)) + exp(x_k)): the slopes of its two terms are at most 1.
    kept = exp(_delayed(out, axis, 0.0) - out)
    return _scan_back(kept, g, axis) * exp(x - out)


@op(kernel="linear_scan", shape=shapes.both_along_axis, samples=samples.pairs_along_axes)
def linear_scan(a: TensorLike, b: TensorLike, /, axis: int = -1):
    """The linear recurrence y_k = a_k y_(k-1) + b_k along an axis, beginning with y_0 = b_0.

    What a gradient of cumulative products needs, and a layer with linear states.

    Parameters
    ----------
    a : Tensor
        Factors, any shape; the first along the axis has no effect.
    b : Tensor
        Terms, shape of a.
    axis : int, default -1
        Axis along which k counts.

    Raises
    ------
    ShapeError
        If the shapes differ.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.linear_scan(fg.tensor([0.5, 0.5, 0.5]), fg.tensor([8.0, 0.0, 1.0])).tolist()
    [8.0, 4.0, 3.0]
    """


@linear_scan.vjp
def _(g, out, a, axis, needs):
    gb = _scan_back(a, g, axis)
    return gb * _delayed(out, axis, 0.0) if needs[0] else None, gb


def _scan_back(a: Tensor, g: Tensor, axis: int) -> Tensor:
    """h_k = g_k + a_(k+1) h_(k+1): the transpose of `linear_scan` with respect to b."""
    factors = _delayed(flip(a, axis), axis, 0.0)
    return flip(linear_scan(factors, flip(g, axis), axis=axis), axis)


def _delayed(x: Tensor, axis: int, first: float) -> Tensor:
    """x one place later along an axis, beginning with a number."""
    if not x.shape[axis]:
        return x
    axis %= x.ndim
    padding = [(int(i == axis), 0) for i in range(x.ndim)]
    return pad(x[(slice(None),) * axis + (slice(None, -1),)], padding, value=first)


def product_of_others(x: Tensor, /, axis: int | Sequence[int] | None = None) -> Tensor:
    """For each element the product of the others over axes: the gradient of `prod`.

    Parameters
    ----------
    x : Tensor
        Any shape.
    axis : int or sequence of int, optional
        Axes over which elements are multiplied; all by default.

    Returns
    -------
    Tensor
        Shape of x. Nothing is divided: factors of 0 are no trouble.
    """
    axes = shapes.normalize_axes(axis, x.ndim, "prod")
    order = (*(i for i in range(x.ndim) if i not in axes), *axes)
    turned = permute_dims(x, order)
    count = math.prod(x.shape[a] for a in axes)
    rows = reshape(turned, (x.size // count if count else 0, count))
    before = cumprod(_delayed(rows, 1, 1.0), 1)
    after = flip(cumprod(_delayed(flip(rows, 1), 1, 1.0), 1), 1)
    back = tuple(int(i) for i in np.argsort(order))
    return permute_dims(reshape(before * after, turned.shape), back)


def cumulative_sum(
    x: Tensor,
    /,
    *,
    axis: int | None = None,
    dtype: DTypeLike | None = None,
    include_initial: bool = False,
) -> Tensor:
    """Cumulative sum along an axis.

    Parameters
    ----------
    x : Tensor
        Any shape.
    axis : int, optional
        Axis to sum along; needed unless x has only one.
    dtype : dtype_like, optional
        Type to which the elements are converted first, as for `sum`.
    include_initial : bool, default False
        Whether the result begins with the sum of nothing, 0.

    Returns
    -------
    Tensor
        Shape of x, the axis longer by 1 with include_initial.

    Raises
    ------
    AxisError
        If x has several axes and axis does not say which.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.cumulative_sum(fg.tensor([1, 2, 3]), include_initial=True).tolist()
    [0, 1, 3, 6]
    """
    return _cumulate(cumsum, x, axis, dtype, 0 if include_initial else None)


def cumulative_prod(
    x: Tensor,
    /,
    *,
    axis: int | None = None,
    dtype: DTypeLike | None = None,
    include_initial: bool = False,
) -> Tensor:
    """Cumulative product along an axis.

    Parameters
    ----------
    x : Tensor
        Any shape.
    axis : int, optional
        Axis to multiply along; needed unless x has only one.
    dtype : dtype_like, optional
        Type to which the elements are converted first, as for `prod`.
    include_initial : bool, default False
        Whether the result begins with the product of nothing, 1.

    Returns
    -------
    Tensor
        Shape of x, the axis longer by 1 with include_initial.

    Raises
    ------
    AxisError
        If x has several axes and axis does not say which.
    """
    return _cumulate(cumprod, x, axis, dtype, 1 if include_initial else None)


def _cumulate(
    scan: Callable[..., Tensor],
    x: Tensor,
    axis: int | None,
    dtype: DTypeLike | None,
    initial: int | None,
) -> Tensor:
    if axis is None and x.ndim != 1:
        raise AxisError(
            f"cumulative_{scan.__name__[3:]}: x has shape {x.shape}; say along which axis."
        )
    (axis,) = shapes.normalize_axes(0 if axis is None else axis, x.ndim, "axis")
    y = scan(x, axis) if dtype is None else scan(x.astype(dtype), axis).astype(dtype)
    if initial is None:
        return y
    return pad(y, [(int(i == axis), 0) for i in range(x.ndim)], value=initial)


def cummax(x: Tensor, /, *, axis: int) -> AlongAxis:
    """The largest element up to each, along an axis, and where it was.

    Parameters
    ----------
    x : Tensor
        Any shape.
    axis : int
        Axis to go along.

    Returns
    -------
    AlongAxis
        ``values`` and ``indices``, shape of x; of equal elements the last one.
    """
    return _extremum_so_far(x, np.maximum, axis)


def cummin(x: Tensor, /, *, axis: int) -> AlongAxis:
    """The smallest element up to each, along an axis, and where it was.

    Parameters
    ----------
    x : Tensor
        Any shape.
    axis : int
        Axis to go along.

    Returns
    -------
    AlongAxis
        ``values`` and ``indices``, shape of x; of equal elements the last one.
    """
    return _extremum_so_far(x, np.minimum, axis)


def _extremum_so_far(x: Tensor, choose: np.ufunc, axis: int) -> AlongAxis:
    if not x.ndim:
        return AlongAxis(x, Tensor(np.zeros((), np.int64)))
    (axis,) = shapes.normalize_axes(axis, x.ndim, "axis")
    so_far = choose.accumulate(x.data, axis=axis)
    along = np.arange(x.shape[axis]).reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    is_it = (x.data == so_far) | (x.data != x.data)
    indices = Tensor(np.maximum.accumulate(np.where(is_it, along, 0), axis=axis))
    return AlongAxis(take_along_axis(x, indices, axis=axis), indices)


def diff(
    x: Tensor,
    /,
    *,
    axis: int = -1,
    n: int = 1,
    prepend: Tensor | None = None,
    append: Tensor | None = None,
) -> Tensor:
    """Differences of neighbors along an axis, repeated n times.

    Parameters
    ----------
    x : Tensor
        Any shape with at least one axis.
    axis : int, default -1
        Along which axis.
    n : int, default 1
        How often; 0 gives x itself.
    prepend, append : Tensor, optional
        Values to put before and after x along the axis first.

    Returns
    -------
    Tensor
        Shape of x, the axis n shorter than with what was put around it.

    Raises
    ------
    ValueError
        If n is negative.
    """
    (axis,) = shapes.normalize_axes(axis, x.ndim, "diff")
    if n < 0:
        raise ValueError(f"diff: n = {n}; expected 0 or more.")
    parts = [part for part in (prepend, x, append) if part is not None]
    x = concat(parts, axis=axis) if len(parts) > 1 and n else x
    before = (slice(None),) * axis
    for _ in range(n):
        later, earlier = x[(*before, slice(1, None))], x[(*before, slice(None, -1))]
        x = not_equal(later, earlier) if x.dtype == np.bool_ else later - earlier
    return x
