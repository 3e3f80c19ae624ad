"""Indexing, gathering and scattering."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fieldgrad.engine import samples, shapes
from fieldgrad.engine._core import sum_to
from fieldgrad.engine.op import TensorLike, op
from fieldgrad.engine.ops.arithmetic import (
    where,
)


@op(kernel="getitem", view=True, shape=shapes.any_index, samples=samples.indices)
def getitem(x: TensorLike, /, index: Any):
    """x[index] with NumPy's basic, boolean and integer-array indexing.

    Parameters
    ----------
    x : Tensor
        Any shape.
    index : int, slice, None, Ellipsis, ndarray, or a tuple of them
        As NumPy takes it. Without arrays the result shares the memory of x.
    """


@getitem.vjp
def _(g, x_shape, index):
    return index_add(g, index=index, shape=x_shape)


@op(kernel="index_add", shape=shapes.index_add, samples=samples.index_adds)
def index_add(g: TensorLike, /, index: Any, shape: Sequence[int]):
    """Zeros with g added at an index: the gradient of `getitem`.

    Parameters
    ----------
    g : Tensor
        Shape of zeros(shape)[index].
    index : int, slice, None, Ellipsis, ndarray, or a tuple of them
        Where; values for the same element add up.
    shape : sequence of int
        Shape of the result.
    """


@index_add.vjp
def _(g, index):
    return getitem(g, index=index)


@op(kernel="setitem", shape=shapes.set_index, samples=samples.assignments)
def setitem(x: TensorLike, value: TensorLike, /, index: Any):
    """A copy of x with other values at an index.

    Parameters
    ----------
    x : Tensor
        Any shape.
    value : Tensor
        Broadcast to the shape of x[index].
    index : int, slice, None, Ellipsis, ndarray, or a tuple of them
        Where. Of the values for an element that is named twice the last one stays, and the others
        get no gradient.
    """


@setitem.vjp
def _(g, value_shape, index, needs):
    gx = setitem(g, 0.0, index=index) if needs[0] else None
    if not needs[1]:
        return gx, None
    gv = g[index]
    if _may_repeat(index):
        number = np.arange(gv.size).reshape(gv.shape)
        last = np.empty(g.shape, np.intp)
        last[index] = number
        gv = where(last[index] == number, gv, 0.0)
    gv = sum_to(gv, value_shape[max(0, len(value_shape) - gv.ndim) :])
    return gx, gv.reshape(value_shape)


def _may_repeat(index: Any) -> bool:
    """Whether the index has arrays of integers, which may name an element twice."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(np.ndim(part) and np.asarray(part).dtype.kind in "iu" for part in parts)


@op(
    kernel="take_along_axis",
    shape=shapes.take_along_axis,
    samples=samples.takes,
    keeps_dtype=("index",),
)
def take_along_axis(x: TensorLike, index: TensorLike, /, axis: int = -1):
    """The elements of x at integer positions along one axis (PyTorch's gather).

    Parameters
    ----------
    x : Tensor
        Any shape.
    index : Tensor or array of int
        As many axes as x, whose lengths are those of x or 1, or where x has 1, except along axis.
    axis : int, default -1
        The axis that index counts along.
    """


@take_along_axis.vjp
def _(g, x_shape, index, axis):
    return scatter_add(g, index, axis=axis, size=x_shape[axis]), None


@op(
    kernel="scatter_add",
    shape=shapes.scatter_add,
    samples=samples.scatters,
    keeps_dtype=("index",),
)
def scatter_add(g: TensorLike, index: TensorLike, /, axis: int, size: int):
    """Zeros, size long along axis, with g added at integer positions along that axis.

    Parameters
    ----------
    g : Tensor
        Values to add.
    index : Tensor or array of int
        Shape of g, or 1 along some axes; equal positions add up.
    axis : int
        The axis that index counts along.
    size : int
        Length of that axis in the result.
    """


@scatter_add.vjp
def _(g, index, axis):
    return take_along_axis(g, index, axis=axis), None
