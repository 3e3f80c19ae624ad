"""Indexing and scattering."""

from typing import Any

import numpy as np

from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.shapes.layout import Shape, broadcast, normalize_axes

__all__ = ["any_index", "index_add", "scatter_add", "set_index", "take_along_axis"]


def take_along_axis(x: Shape, index: Shape, *, axis: int) -> Shape:
    """Shape of the elements picked along an axis: the index's there, the common one elsewhere."""
    (a,) = normalize_axes(axis, len(x), "take_along_axis")
    if len(x) != len(index) or any(
        n != m and n != 1 and m != 1
        for i, (n, m) in enumerate(zip(x, index, strict=True))
        if i != a
    ):
        raise ShapeError(
            f"take_along_axis: index has shape {index}, x has {x}; expected as many axes, and "
            f"equal sizes or 1 on every axis but {a}."
        )
    rest = broadcast((*x[:a], *x[a + 1 :]), (*index[:a], *index[a + 1 :]))
    return (*rest[:a], index[a], *rest[a:])


def any_index(x: Shape, *, index: Any) -> Shape:
    """Shape of x[index]."""
    try:
        # One byte stands for every element: broadcast_to, which says the same, is ten times slower.
        return tuple(np.ndarray(x, np.bool_, b"\0", strides=(0,) * len(x))[index].shape)
    except IndexError as error:
        parts = index if isinstance(index, tuple) else (index,)
        text = f"x[{', '.join(map(_described, parts))}] of shape {x}: {error}."
        if any(isinstance(part, np.ndarray) and part.dtype.kind == "f" for part in parts):
            text += ' Convert the index with .astype("int64").'
        raise IndexError(text) from error


def _described(part: Any) -> str:
    """A part of an index as it is written; an array by its dtype and shape."""
    if isinstance(part, (np.ndarray, list)):
        try:
            array = np.asarray(part)
        except ValueError:  # lists of unequal lengths
            return repr(part)
        return (
            f"<{array.dtype} array {array.shape}>"
            if array.size > 8 or array.ndim > 1
            else repr(array.tolist())
        )
    if isinstance(part, slice):
        bounds = ["" if n is None else str(n) for n in (part.start, part.stop, part.step)]
        return ":".join(bounds[: 2 if part.step is None else 3])
    return "..." if part is Ellipsis else repr(part)


def index_add(g: Shape, *, index: Any, shape: Shape) -> Shape:
    """The shape that is indexed."""
    picked = any_index(shape, index=index)
    if picked != g:
        raise ShapeError(f"index_add: g has shape {g}; the index picks {picked} of {shape}.")
    return shape


def set_index(x: Shape, value: Shape, *, index: Any) -> Shape:
    """x's shape, if the value fits the indexed part."""
    picked = any_index(x, index=index)
    extra = max(0, len(value) - len(picked))  # leading axes of length 1 go, as in NumPy
    pairs = zip(value[::-1], picked[::-1], strict=False)
    if any(n != 1 for n in value[:extra]) or any(n not in (1, m) for n, m in pairs):
        raise ShapeError(
            f"assignment: the value has shape {value}; the index picks {picked} of {x}. Expected a "
            "value that broadcasts to it."
        )
    return x


def scatter_add(g: Shape, index: Shape, *, axis: int, size: int) -> Shape:
    """g's shape with another length along the axis."""
    if len(g) != len(index) or broadcast(g, index) != g:
        raise ShapeError(
            f"scatter_add: g has shape {g}, index has {index}; expected equal sizes, or 1 in index."
        )
    (a,) = normalize_axes(axis, len(g), "scatter_add")
    return (*g[:a], size, *g[a + 1 :])
