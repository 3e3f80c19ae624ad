"""Sorting, and searching for values and places."""

from typing import Literal, NamedTuple

import numpy as np

from fieldgrad.engine import samples, shapes
from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import AxisError, ShapeError
from fieldgrad.engine.op import TensorLike, op
from fieldgrad.engine.ops.index import scatter_add, take_along_axis


@op(kernel="sort", shape=shapes.along_axis, samples=samples.sorts)
def sort(x: TensorLike, /, *, axis: int = -1, descending: bool = False, stable: bool = True):
    """The elements in order along an axis.

    Parameters
    ----------
    x : Tensor
        Any shape with at least one axis. NaN counts as larger than everything.
    axis : int, default -1
        Axis to sort along.
    descending : bool, default False
        Whether the largest come first.
    stable : bool, default True
        Equal elements keep their order in any case.

    Notes
    -----
    The gradient goes back to where each element came from.
    """


@sort.vjp
def _(g, x, axis, descending):
    order = argsort(x, axis=axis, descending=descending)
    return scatter_add(g, order, axis=axis, size=x.shape[axis])


@op(kernel="argsort", shape=shapes.along_axis, samples=samples.sorts, differentiable=False)
def argsort(x: TensorLike, /, *, axis: int = -1, descending: bool = False, stable: bool = True):
    """The positions along an axis that put the elements in order.

    Parameters
    ----------
    x : Tensor
        Any shape with at least one axis. NaN counts as larger than everything.
    axis : int, default -1
        Axis to sort along.
    descending : bool, default False
        Whether the largest come first.
    stable : bool, default True
        Equal elements keep their order in any case.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.argsort(fg.tensor([3.0, 1.0, 2.0])).tolist()
    [1, 2, 0]
    """


class TopK(NamedTuple):
    """What `topk` gives.

    Parameters
    ----------
    values : Tensor
        The largest elements, or the smallest, in order.
    indices : Tensor
        Where they were along the axis.
    """

    values: Tensor
    indices: Tensor


def topk(
    x: Tensor, /, k: int, *, axis: int = -1, largest: bool = True, sorted: bool = True
) -> TopK:
    """The k largest elements along an axis, and where they are.

    Parameters
    ----------
    x : Tensor
        Any shape with at least one axis.
    k : int
        How many; at most the length of the axis.
    axis : int, default -1
        Axis to search along.
    largest : bool, default True
        False for the smallest.
    sorted : bool, default True
        They are in order in any case, of equal elements the first one first.

    Returns
    -------
    TopK
        ``values`` with the dtype of x and ``indices`` of int64; shape of x, the axis k long.

    Raises
    ------
    ShapeError
        If the axis has fewer than k elements.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> values, indices = fg.topk(fg.tensor([1.0, 5.0, 3.0]), 2)
    >>> values.tolist(), indices.tolist()
    ([5.0, 3.0], [1, 2])
    """
    (axis,) = shapes.normalize_axes(axis, x.ndim, "topk")
    if not 0 <= k <= x.shape[axis]:
        raise ShapeError(
            f"topk: k = {k} for an axis of {x.shape[axis]} elements; expected 0 to that many."
        )
    first = (slice(None),) * axis + (slice(k),)
    indices = argsort(x, axis=axis, descending=largest)[first]
    return TopK(take_along_axis(x, indices, axis=axis), indices)


def searchsorted(
    x: Tensor,
    v: TensorLike,
    /,
    *,
    side: Literal["left", "right"] = "left",
    sorter: TensorLike | None = None,
) -> Tensor:
    """Where values belong in a sorted array.

    Parameters
    ----------
    x : Tensor
        Sorted in ascending order along its last axis, shape (…, N).
    v : Tensor or number
        Values: any shape, or (…, M) if x has rows.
    side : {"left", "right"}, default "left"
        Before or after elements equal to the value.
    sorter : Tensor of int, optional
        Positions that sort x, shape (…, N), if x is not sorted itself.

    Returns
    -------
    Tensor
        Positions from 0 to N, int64, shape of v: inserted there, a value leaves x sorted.

    Raises
    ------
    ShapeError
        If x has rows and v has not as many.
    ValueError
        If side is something else.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.searchsorted(fg.tensor([1.0, 2.0, 3.0]), fg.tensor([0.0, 2.0, 9.0])).tolist()
    [0, 1, 3]
    """
    if side not in ("left", "right"):
        raise ValueError(f"searchsorted: side = {side!r}; expected 'left' or 'right'.")
    rows = x.data if sorter is None else np.take_along_axis(x.data, np.asarray(sorter), -1)
    values = np.asarray(v)
    if x.ndim == 1:
        return Tensor(np.asarray(np.searchsorted(rows, values, side=side)))
    if not x.ndim or values.shape[:-1] != x.shape[:-1]:
        raise ShapeError(
            f"searchsorted: x has shape {x.shape} and v {values.shape}; expected x of one axis, "
            "or as many rows in both."
        )
    found = np.empty(values.shape, np.int64)
    for row in np.ndindex(x.shape[:-1]):
        found[row] = np.searchsorted(rows[row], values[row], side=side)
    return Tensor(found)


def nonzero(x: Tensor, /) -> tuple[Tensor, ...]:
    """Where the elements are that are not zero.

    Parameters
    ----------
    x : Tensor
        Any shape with at least one axis.

    Returns
    -------
    tuple of Tensor
        One array of int64 positions for each axis, in C order; together an index into x.

    Raises
    ------
    AxisError
        If x is 0-d.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> [i.tolist() for i in fg.nonzero(fg.tensor([[0, 7], [8, 0]]))]
    [[0, 1], [1, 0]]
    """
    if not x.ndim:
        raise AxisError("nonzero: x is 0-d and has no positions; reshape it to (1,) first.")
    return tuple(Tensor(i) for i in np.nonzero(x.data))


def isin(x: TensorLike, values: TensorLike, /, *, invert: bool = False) -> Tensor:
    """Whether each element is among some values.

    Parameters
    ----------
    x : Tensor or number
        Any shape.
    values : Tensor or number
        Any shape; only its elements count.
    invert : bool, default False
        Whether each element is not among them, instead.

    Returns
    -------
    Tensor
        Truth values, shape of x.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.isin(fg.tensor([1, 2, 3]), fg.tensor([3, 1])).tolist()
    [True, False, True]
    """
    return Tensor(np.asarray(np.isin(np.asarray(x), np.asarray(values), invert=invert)))
