"""Reductions and scans.

Sums accumulate in float64 over runs in a fixed order: results do not depend on the number of
threads. NaN goes through, as in NumPy.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import DTypeLike

from fieldgrad.engine import samples, shapes
from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import AxisError
from fieldgrad.engine.op import TensorLike, op
from fieldgrad.engine.ops.arithmetic import equal, not_equal, sqrt, square, where
from fieldgrad.engine.ops.elementary import exp, log
from fieldgrad.engine.ops.layout import broadcast_to, concat, flip, pad, permute_dims, reshape

Axis = int | Sequence[int] | None


def _keep(x: Tensor, shape: tuple[int, ...], axis: Axis) -> Tensor:
    """x with its reduced axes of length 1 put back, where that matters for broadcasting."""
    if axis is None:
        return x
    return reshape(x, shapes.reduction(shape, axis=axis, keepdims=True))


@op(kernel="sum", shape=shapes.reduction, samples=samples.axes)
def sum(
    x: TensorLike, /, axis: Axis = None, keepdims: bool = False, dtype: DTypeLike | None = None
):
    """Sum over axes.

    Parameters
    ----------
    x : Tensor
        Any shape.
    axis : int or sequence of int, optional
        Axes to reduce; all by default.
    keepdims : bool, default False
        Whether they stay, with length 1.
    dtype : dtype_like, optional
        Type to which the elements are converted first. By default small integers are summed as
        64-bit integers, everything else in its own type.
    """


@sum.vjp
def _(g, x_shape, x_dtype, axis):
    return broadcast_to(_keep(g.astype(x_dtype), x_shape, axis), x_shape)


@op(kernel="mean", floating=True, shape=shapes.reduction, samples=samples.axes)
def mean(x: TensorLike, /, axis: Axis = None, keepdims: bool = False):
    """Arithmetic mean over axes; NaN over no elements.

    Parameters
    ----------
    x : Tensor
        Any shape.
    axis : int or sequence of int, optional
        Axes to reduce; all by default.
    keepdims : bool, default False
        Whether they stay, with length 1.
    """


@mean.vjp
def _(g, x_shape, axis):
    count = math.prod(x_shape[a] for a in shapes.normalize_axes(axis, len(x_shape), "mean"))
    return broadcast_to(_keep(g * (1.0 / count), x_shape, axis), x_shape)


def var(x: Tensor, /, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """Variance over axes: squared deviations summed, divided by count - correction.

    Parameters
    ----------
    x : Tensor
        Any shape.
    axis : int or sequence of int, optional
        Axes to reduce; all by default.
    correction : float, default 0.0
        1 estimates the variance of a population from a sample without bias.
    keepdims : bool, default False
        Whether they stay, with length 1.

    Returns
    -------
    Tensor
        Shape of x without the reduced axes.
    """
    count = math.prod(x.shape[a] for a in shapes.normalize_axes(axis, x.ndim, "var"))
    centered = x - mean(x, axis=axis, keepdims=True)
    scale = 1.0 / (count - correction) if count > correction else math.nan
    return sum(square(centered), axis=axis, keepdims=keepdims) * scale


def std(x: Tensor, /, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """Standard deviation over axes: the square root of `var`.

    Parameters
    ----------
    x : Tensor
        Any shape.
    axis : int or sequence of int, optional
        Axes to reduce; all by default.
    correction : float, default 0.0
        Subtracted from the number of elements in the divisor; see `var`.
    keepdims : bool, default False
        Whether they stay, with length 1.

    Returns
    -------
    Tensor
        Shape of x without the reduced axes.
    """
    return sqrt(var(x, axis=axis, correction=correction, keepdims=keepdims))


@op(kernel="max", shape=shapes.extremum, samples=samples.axes)
def max(x: TensorLike, /, axis: Axis = None, keepdims: bool = False):
    """Maximum over axes; equal maxima share the gradient evenly.

    Parameters
    ----------
    x : Tensor
        Any shape.
    axis : int or sequence of int, optional
        Axes to reduce; all by default.
    keepdims : bool, default False
        Whether they stay, with length 1.

    Raises
    ------
    ShapeError
        If there is no element to choose from.
    """


@max.vjp
def _(g, x, out, axis):
    return _share(g, x, out, axis)


@op(kernel="min", shape=shapes.extremum, samples=samples.axes)
def min(x: TensorLike, /, axis: Axis = None, keepdims: bool = False):
    """Minimum over axes; equal minima share the gradient evenly.

    Parameters
    ----------
    x : Tensor
        Any shape.
    axis : int or sequence of int, optional
        Axes to reduce; all by default.
    keepdims : bool, default False
        Whether they stay, with length 1.

    Raises
    ------
    ShapeError
        If there is no element to choose from.
    """


@min.vjp
def _(g, x, out, axis):
    return _share(g, x, out, axis)


def _share(g: Tensor, x: Tensor, out: Tensor, axis: Axis) -> Tensor:
    chosen = equal(x, _keep(out, x.shape, axis)).astype(g.dtype)
    return _keep(g, x.shape, axis) * (chosen / sum(chosen, axis=axis, keepdims=True))


@op(kernel="prod", shape=shapes.reduction, samples=samples.axes)
def prod(
    x: TensorLike, /, axis: Axis = None, keepdims: bool = False, dtype: DTypeLike | None = None
):
    """Product over axes.

    Parameters
    ----------
    x : Tensor
        Any shape.
    axis : int or sequence of int, optional
        Axes to reduce; all by default.
    keepdims : bool, default False
        Whether they stay, with length 1.
    dtype : dtype_like, optional
        Type to which the elements are converted first. By default small integers are multiplied
        as 64-bit integers, everything else in its own type.

    Notes
    -----
    The gradient multiplies the other factors, without division: it is right where factors are 0.
    """


@prod.vjp
def _(g, x, axis):
    return _keep(g.astype(x.dtype), x.shape, axis) * _product_of_others(x, axis)


def _product_of_others(x: Tensor, axis: Axis) -> Tensor:
    """For each element the product of the others that are reduced with it."""
    axes = shapes.normalize_axes(axis, x.ndim, "prod")
    order = (*(i for i in range(x.ndim) if i not in axes), *axes)
    turned = permute_dims(x, order)
    count = math.prod(x.shape[a] for a in axes)
    rows = reshape(turned, (x.size // count if count else 0, count))
    before = cumprod(_delayed(rows, 1, 1.0), 1)
    after = flip(cumprod(_delayed(flip(rows, 1), 1, 1.0), 1), 1)
    back = tuple(int(i) for i in np.argsort(order))
    return permute_dims(reshape(before * after, turned.shape), back)


def _delayed(x: Tensor, axis: int, first: float) -> Tensor:
    """x one place later along an axis, beginning with a number."""
    if not x.shape[axis]:
        return x
    axis %= x.ndim
    padding = [(int(i == axis), 0) for i in range(x.ndim)]
    return pad(x[(slice(None),) * axis + (slice(None, -1),)], padding, value=first)


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


@op(kernel="argmax", shape=shapes.reduction, samples=samples.single_axes, differentiable=False)
def argmax(x: TensorLike, /, axis: Axis = None, keepdims: bool = False):
    """Index of the first maximum along an axis.

    Parameters
    ----------
    x : Tensor
        Any shape.
    axis : int, optional
        Axis to search; by default the flattened array.
    keepdims : bool, default False
        Whether the axis stays, with length 1.
    """


@op(kernel="argmin", shape=shapes.reduction, samples=samples.single_axes, differentiable=False)
def argmin(x: TensorLike, /, axis: Axis = None, keepdims: bool = False):
    """Index of the first minimum along an axis.

    Parameters
    ----------
    x : Tensor
        Any shape.
    axis : int, optional
        Axis to search; by default the flattened array.
    keepdims : bool, default False
        Whether the axis stays, with length 1.
    """


@op(kernel="all", shape=shapes.reduction, samples=samples.single_axes, differentiable=False)
def all(x: TensorLike, /, axis: Axis = None, keepdims: bool = False):
    """Whether all elements along axes are true (not zero).

    Parameters
    ----------
    x : Tensor
        Any shape.
    axis : int or sequence of int, optional
        Axes to reduce; all by default.
    keepdims : bool, default False
        Whether they stay, with length 1.
    """


@op(kernel="any", shape=shapes.reduction, samples=samples.single_axes, differentiable=False)
def any(x: TensorLike, /, axis: Axis = None, keepdims: bool = False):
    """Whether any element along axes is true (not zero).

    Parameters
    ----------
    x : Tensor
        Any shape.
    axis : int or sequence of int, optional
        Axes to reduce; all by default.
    keepdims : bool, default False
        Whether they stay, with length 1.
    """


def count_nonzero(x: TensorLike, /, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Number of elements that are not zero, over axes.

    Parameters
    ----------
    x : Tensor
        Any shape.
    axis : int or sequence of int, optional
        Axes to reduce; all by default.
    keepdims : bool, default False
        Whether they stay, with length 1.

    Returns
    -------
    Tensor
        Integers, shape of x without the reduced axes.
    """
    return sum(not_equal(x, 0), axis=axis, keepdims=keepdims)


def logsumexp(x: Tensor, /, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """log(sum(exp(x))) over axes, without overflow.

    Parameters
    ----------
    x : Tensor
        Any shape.
    axis : int or sequence of int, optional
        Axes to reduce; all by default.
    keepdims : bool, default False
        Whether they stay, with length 1.

    Returns
    -------
    Tensor
        Shape of x without the reduced axes.
    """
    top = max(x, axis=axis, keepdims=True).detach()
    top = where(top == -np.inf, 0.0, top)
    total = log(sum(exp(x - top), axis=axis, keepdims=True)) + top
    return total if keepdims else reshape(total, shapes.reduction(x.shape, axis=axis))
