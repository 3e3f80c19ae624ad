"""Shape rules: the shapes of inputs and the attributes of an op to the shape of its output.

Plain functions on tuples of ints. They check what an op is called with, and their errors say which
sizes disagree and what would fit; the same rules will serve tracing and export.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fieldgrad.engine.errors import ShapeError

__all__ = [
    "broadcast",
    "concat",
    "einsum",
    "matmul",
    "normalize_axes",
    "pad",
    "permute",
    "reduction",
    "reshape",
    "take_along_axis",
]

Shape = tuple[int, ...]
_ZERO = np.zeros(())  # stands for any array where only the shape counts


def normalize_axes(axis: int | Sequence[int] | None, ndim: int, name: str) -> Shape:
    """Axes as non-negative integers, checked; None means all axes."""
    if axis is None:
        return tuple(range(ndim))
    axes = (axis,) if not isinstance(axis, (tuple, list)) else tuple(axis)
    for a in axes:
        if not -ndim <= a < ndim:
            raise ShapeError(
                f"{name}: axis {a} does not exist in an array of {ndim} axes; expected "
                + (f"{-ndim} to {ndim - 1}." if ndim else "no axis for a 0-d array.")
            )
    axes = tuple(int(a) % ndim for a in axes)
    if len(set(axes)) != len(axes):
        raise ShapeError(f"{name}: axis = {axis} names an axis twice; expected each once.")
    return axes


def broadcast(*shapes: Shape, **_: Any) -> Shape:
    """The common shape of elementwise inputs."""
    ndim = max(len(s) for s in shapes)
    out = []
    for i in range(-ndim, 0):
        sizes = {s[i] for s in shapes if len(s) >= -i} - {1}
        if len(sizes) > 1:
            raise ShapeError(
                f"shapes {' and '.join(map(str, shapes))} do not broadcast: axis {i} has "
                f"{' and '.join(map(str, sorted(sizes)))} elements. Expected equal sizes or 1."
            )
        out.append(sizes.pop() if sizes else 1)
    return tuple(out)


def reduction(
    x: Shape, *, axis: int | Sequence[int] | None = None, keepdims: bool = False, **_: Any
) -> Shape:
    """Shape after reducing axes."""
    axes = normalize_axes(axis, len(x), "axis")
    if keepdims:
        return tuple(1 if i in axes else n for i, n in enumerate(x))
    return tuple(n for i, n in enumerate(x) if i not in axes)


def extremum(x: Shape, *, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Shape:
    """Shape after a reduction that has no value for nothing."""
    axes = normalize_axes(axis, len(x), "axis")
    if any(x[a] == 0 for a in axes):
        raise ShapeError(
            f"the maximum or minimum of no elements does not exist: shape {x}, axis = {axis}. "
            "Check for an empty array first."
        )
    return reduction(x, axis=axis, keepdims=keepdims)


def reshape(x: Shape, *, shape: Sequence[int] | int) -> Shape:
    """The new shape, with -1 resolved."""
    new = (shape,) if isinstance(shape, int) else tuple(shape)
    size = math.prod(x)
    known = math.prod(n for n in new if n != -1)
    if new.count(-1) == 1 and known and size % known == 0:
        new = tuple(size // known if n == -1 else n for n in new)
    if -1 in new or math.prod(new) != size:
        raise ShapeError(
            f"reshape: shape {tuple(x)} has {size} elements and cannot become {tuple(new)}. The "
            "product of the sizes must stay the same; one size may be -1."
        )
    return new


def permute(x: Shape, *, axes: Sequence[int]) -> Shape:
    """Shape with its axes in another order."""
    order = normalize_axes(tuple(axes), len(x), "permute_dims")
    if len(order) != len(x):
        raise ShapeError(
            f"permute_dims: axes = {tuple(axes)} for an array of {len(x)} axes; expected each axis "
            "once."
        )
    return tuple(x[a] for a in order)


def broadcast_to(x: Shape, *, shape: Sequence[int]) -> Shape:
    """The target shape, if x repeats to it."""
    new = tuple(shape)
    if broadcast(x, new) != new:
        raise ShapeError(f"broadcast_to: shape {x} does not repeat to {new}.")
    return new


def pad(x: Shape, *, padding: Sequence[tuple[int, int]], **_: Any) -> Shape:
    """Shape with elements added before and after each axis."""
    if len(padding) != len(x) or any(len(p) != 2 or min(p) < 0 for p in padding):
        raise ShapeError(
            f"pad: padding = {padding} for an array of {len(x)} axes; expected one pair "
            "(before, after) of non-negative sizes for each axis."
        )
    return tuple(n + before + after for n, (before, after) in zip(x, padding, strict=True))


def concat(shapes: Sequence[Shape], *, axis: int) -> Shape:
    """Shape of arrays joined along an axis."""
    if not shapes:
        raise ShapeError("concat: no arrays given; expected at least one.")
    first = shapes[0]
    (a,) = normalize_axes(axis, len(first), "concat")
    for i, s in enumerate(shapes):
        if len(s) != len(first) or s[:a] + s[a + 1 :] != first[:a] + first[a + 1 :]:
            raise ShapeError(
                f"concat: array 0 has shape {first}, array {i} has {s}; sizes may differ only "
                f"along axis {a}."
            )
    return (*first[:a], sum(s[a] for s in shapes), *first[a + 1 :])


def matmul(x: Shape, y: Shape) -> Shape:
    """Shape of a matrix product with broadcast leading axes."""
    if not x or not y:
        raise ShapeError(f"matmul: shapes {x} and {y}; expected at least one axis each.")
    rows, inner = (x[:-1][-1:], x[-1])
    inner_y, columns = (y[-2], y[-1:]) if len(y) > 1 else (y[0], ())
    if inner != inner_y:
        raise ShapeError(
            f"matmul: shapes {x} and {y}: the last axis of the first has {inner} elements, the "
            f"{'second last' if len(y) > 1 else 'only'} axis of the second has {inner_y}; expected "
            "equal sizes. Transpose one of them?"
        )
    return (*broadcast(x[:-2], y[:-2]), *rows, *columns) if x[:-2] or y[:-2] else (*rows, *columns)


def einsum(shapes: Sequence[Shape], *, subscripts: str) -> Shape:
    """Shape of an explicit einsum: sizes by letter, checked."""
    inputs, output = subscripts.split("->")
    sizes: dict[str, int] = {}
    terms = inputs.split(",")
    if len(terms) != len(shapes):
        raise ShapeError(f"einsum: {subscripts!r} names {len(terms)} arrays, {len(shapes)} given.")
    for i, (term, s) in enumerate(zip(terms, shapes, strict=True)):
        if len(term) != len(s):
            raise ShapeError(f"einsum: term {term!r} of {subscripts!r} for array {i} of shape {s}.")
        for letter, n in zip(term, s, strict=True):
            if sizes.setdefault(letter, n) != n:
                raise ShapeError(
                    f"einsum: {subscripts!r}: index {letter} is {sizes[letter]} and, in array {i} "
                    f"of shape {s}, {n}; expected one size."
                )
    return tuple(sizes[letter] for letter in output)


def take_along_axis(x: Shape, index: Shape, *, axis: int) -> Shape:
    """Shape of the elements picked along an axis: the index's."""
    (a,) = normalize_axes(axis, len(x), "take_along_axis")
    if len(x) != len(index) or any(
        n != m for i, (n, m) in enumerate(zip(x, index, strict=True)) if i != a
    ):
        raise ShapeError(
            f"take_along_axis: index has shape {index}, x has {x}; expected equal sizes on every "
            f"axis but {a}."
        )
    return index


def any_index(x: Shape, *, index: Any) -> Shape:
    """Shape of x[index]."""
    try:
        return tuple(np.broadcast_to(_ZERO, x)[index].shape)
    except IndexError as error:
        raise IndexError(f"x[…] of shape {x}: {error}") from error


def index_add(g: Shape, *, index: Any, shape: Shape) -> Shape:
    """The shape that is indexed."""
    picked = any_index(shape, index=index)
    if picked != g:
        raise ShapeError(f"index_add: g has shape {g}; the index picks {picked} of {shape}.")
    return shape


def set_index(x: Shape, value: Shape, *, index: Any) -> Shape:
    """x's shape, if the value fits the indexed part."""
    picked = any_index(x, index=index)
    if len(value) > len(picked) or broadcast(picked, value) != picked:
        raise ShapeError(
            f"assignment: the value has shape {value}; the index picks {picked} of {x}. Expected a "
            "value that broadcasts to it."
        )
    return x


def scatter_add(g: Shape, index: Shape, *, axis: int, size: int) -> Shape:
    """g's shape with another length along the axis."""
    if g != index:
        raise ShapeError(f"scatter_add: g has shape {g}, index has {index}; expected equal shapes.")
    (a,) = normalize_axes(axis, len(g), "scatter_add")
    return (*g[:a], size, *g[a + 1 :])
