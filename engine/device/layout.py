"""Layout and indexing: views where NumPy gives one."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fieldgrad.engine.bindings import base_kernels, irregular_kernels
from fieldgrad.engine.device.table import Array, Table
from fieldgrad.engine.errors import DTypeError, ShapeError

__all__ = ["KERNELS"]


def _astype(x: Array, *, dtype: Any, copy: bool, device: Any) -> Array:
    if x.dtype.kind == "c" and np.dtype(dtype).kind not in "cb":
        raise DTypeError(
            f"astype: {x.dtype} numbers have an imaginary part and {np.dtype(dtype)} has none; "
            "take real(x), imag(x) or abs(x)."
        )
    return x.astype(dtype, copy=copy)


def _reshape(x: Array, *, shape: int | Sequence[int], copy: bool | None) -> Array:
    out = x.reshape(shape)
    if copy is None or copy != np.may_share_memory(out, x):
        return out
    if copy:
        return out.copy()
    raise ShapeError(
        f"reshape: x of shape {x.shape} and strides {x.strides} has no view of shape {shape}, and "
        "copy=False forbids a copy. Leave copy=None."
    )


def _getitem(x: Array, *, index: Any) -> Array:
    return np.asarray(x[index])


def _setitem(x: Array, value: Array, *, index: Any) -> Array:
    out = x.copy(order="K")
    out[index] = value
    return out


def _index_add(g: Array, *, index: Any, shape: tuple[int, ...]) -> Array:
    parts = index if isinstance(index, tuple) else (index,)
    if isinstance(index, np.ndarray) and index.dtype.kind in "iu" and g.dtype.kind == "f":
        rows = np.where(index < 0, index + shape[0], index).ravel()
        g = g.reshape(rows.size, *shape[1:])
        return np.asarray(irregular_kernels.segment("sum", g, rows, num_segments=shape[0]))
    repeats = any(isinstance(p, (list, np.ndarray)) and np.asarray(p).dtype != bool for p in parts)
    out = base_kernels.empty(shape, g.dtype)
    out.fill(0)
    if repeats:
        np.add.at(out, index, g)
    else:
        out[index] = g
    return out


def _scatter_add(g: Array, index: Array, *, axis: int, size: int) -> Array:
    shape = list(g.shape)
    shape[axis] = size
    out = np.zeros(shape, g.dtype)
    index = np.broadcast_to(index, g.shape)
    where = list(np.ogrid[tuple(slice(n) for n in index.shape)])
    where[axis] = index
    np.add.at(out, tuple(where), g)
    return out


def _pad(x: Array, *, padding: Sequence[tuple[int, int]], mode: str, value: float) -> Array:
    if mode != "constant":
        return np.pad(x, padding, mode=mode)  # type: ignore[call-overload]
    shape = [n + before + after for n, (before, after) in zip(x.shape, padding, strict=True)]
    order = sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis]))
    out = base_kernels.empty(shape, x.dtype, order)
    out.fill(value)
    inside: tuple[Any, ...] = tuple(
        slice(b, b + n) for n, (b, _) in zip(x.shape, padding, strict=True)
    )
    base_kernels.copy_to(out[(*inside, ...)], x)
    return out


def _stack(arrays: Sequence[Array], *, axis: int) -> Array:
    """Join along a new axis, which in memory encloses the axis that follows it."""
    first = arrays[0]
    axis %= first.ndim + 1
    order = sorted(range(first.ndim), key=lambda i: -abs(first.strides[i]))
    place = order.index(axis) if axis < first.ndim else first.ndim
    order = [i + (i >= axis) for i in order]
    order.insert(place, axis)
    shape = (*first.shape[:axis], len(arrays), *first.shape[axis:])
    out = base_kernels.empty(shape, np.result_type(*{a.dtype for a in arrays}), order)
    parts = np.moveaxis(out, axis, 0)
    for i, a in enumerate(arrays):
        base_kernels.copy_to(parts[i, ...], a)
    return out


def _concat(arrays: Sequence[Array], *, axis: int | None) -> Array:
    """Join along an axis, keeping the memory order of the first array."""
    if axis is None:
        arrays, axis = [a.reshape(-1) for a in arrays], 0
    first = arrays[0]
    shape = list(first.shape)
    shape[axis] = sum(a.shape[axis] for a in arrays)
    order = sorted(range(first.ndim), key=lambda i: -abs(first.strides[i]))
    out = base_kernels.empty(shape, np.result_type(*arrays), order)
    start = 0
    for a in arrays:
        stop = start + a.shape[axis]
        base_kernels.copy_to(out[(slice(None),) * (axis % first.ndim) + (slice(start, stop),)], a)
        start = stop
    return out


KERNELS: Table = {
    "alias": lambda x: x.view(),
    "astype": _astype,
    "reshape": _reshape,
    "permute_dims": lambda x, axes: x.transpose(axes),
    "broadcast_to": lambda x, shape: base_kernels.broadcast_to(x, tuple(shape)),
    "flip": lambda x, axis: np.asarray(np.flip(x, axis)),
    "roll": lambda x, shift, axis: np.roll(x, shift, axis),
    "unstack": lambda x, axis: [
        x[(*[slice(None)] * (axis % x.ndim), i, ...)] for i in range(x.shape[axis])
    ],
    "pad": _pad,
    "stack": _stack,
    "concat": _concat,
    "getitem": _getitem,
    "setitem": _setitem,
    "index_add": _index_add,
    "take_along_axis": lambda x, index, axis: np.take_along_axis(x, index, axis),
    "scatter_add": _scatter_add,
}
