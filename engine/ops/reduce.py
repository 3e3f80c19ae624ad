"""Reductions and scans.

Sums accumulate in float64 over runs in a fixed order: results do not depend on the number of
threads. NaN goes through, as in NumPy.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike

from fieldgrad.engine import samples, shapes
from fieldgrad.engine._core import DEFAULT_FLOAT, Tensor
from fieldgrad.engine.op import TensorLike, op
from fieldgrad.engine.ops.arithmetic import (
    sqrt,
    square,
    where,
)
from fieldgrad.engine.ops.comparisons import (
    equal,
    not_equal,
)
from fieldgrad.engine.ops.complex import conj, real
from fieldgrad.engine.ops.elementary import (
    exp,
    log,
)
from fieldgrad.engine.ops.layout import broadcast_to, reshape
from fieldgrad.engine.ops.scans import product_of_others

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
    squares = real(centered * conj(centered)) if x.dtype.kind == "c" else square(centered)
    return sum(squares, axis=axis, keepdims=keepdims) * scale


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
    return _keep(g.astype(x.dtype), x.shape, axis) * product_of_others(x, axis)


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
    x = x if x.dtype.kind in "fc" else x.astype(DEFAULT_FLOAT)
    top = max(real(x).detach(), axis=axis, keepdims=True)
    top = where(top == -np.inf, 0.0, top)
    total = log(sum(exp(x - top), axis=axis, keepdims=True)) + top
    return total if keepdims else reshape(total, shapes.reduction(x.shape, axis=axis))
