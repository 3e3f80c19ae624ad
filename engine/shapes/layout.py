"""Axes, broadcasting, reductions, joining and taking apart."""

import math
from collections.abc import Sequence
from typing import Any

from fieldgrad.engine.errors import AxisError, ShapeError

__all__ = [
    "Shape",
    "along_axis",
    "both_along_axis",
    "broadcast",
    "broadcast_to",
    "concat",
    "extremum",
    "flip",
    "normalize_axes",
    "pad",
    "permute",
    "reduction",
    "reshape",
    "roll",
    "unstack",
]

Shape = tuple[int, ...]


def normalize_axes(axis: int | Sequence[int] | None, ndim: int, name: str) -> Shape:
    """Axes as non-negative integers, checked; None means all axes."""
    if axis is None:
        return tuple(range(ndim))
    axes = (axis,) if not isinstance(axis, (tuple, list)) else tuple(axis)
    for a in axes:
        if not -ndim <= a < ndim:
            raise AxisError(
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


def reshape(x: Shape, *, shape: Sequence[int] | int, **_: Any) -> Shape:
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


def concat(shapes: Sequence[Shape], *, axis: int | None) -> Shape:
    """Shape of arrays joined along an axis; None joins their elements."""
    if not shapes:
        raise ShapeError("concat: no arrays given; expected at least one.")
    if axis is None:
        return (sum(math.prod(s) for s in shapes),)
    first = shapes[0]
    (a,) = normalize_axes(axis, len(first), "concat")
    for i, s in enumerate(shapes):
        if len(s) != len(first) or s[:a] + s[a + 1 :] != first[:a] + first[a + 1 :]:
            raise ShapeError(
                f"concat: array 0 has shape {first}, array {i} has {s}; sizes may differ only "
                f"along axis {a}."
            )
    return (*first[:a], sum(s[a] for s in shapes), *first[a + 1 :])


def stack(shapes: Sequence[Shape], *, axis: int) -> Shape:
    """Shape of arrays joined along a new axis."""
    if not shapes:
        raise ShapeError("stack: no arrays given; expected at least one.")
    first = shapes[0]
    for i, s in enumerate(shapes):
        if s != first:
            raise ShapeError(
                f"stack: array 0 has shape {first}, array {i} has {s}; expected equal shapes."
            )
    (axis,) = normalize_axes(axis, len(first) + 1, "stack")
    return (*first[:axis], len(shapes), *first[axis:])


def flip(x: Shape, *, axis: int | Sequence[int] | None = None) -> Shape:
    """x's shape, if it has the axes."""
    normalize_axes(axis, len(x), "flip")
    return x


def roll(x: Shape, *, shift: int | Sequence[int], axis: int | Sequence[int] | None = None) -> Shape:
    """x's shape, if there is one shift for all axes or one for each."""
    axes = normalize_axes(axis, len(x), "roll")
    if isinstance(shift, (tuple, list)) and (axis is None or len(shift) != len(axes)):
        raise ShapeError(
            f"roll: {len(shift)} shifts for axis = {axis}; expected one shift for each axis, or "
            "one number."
        )
    return x


def unstack(x: Shape, *, axis: int) -> list[Shape]:
    """Shape without the axis, as often as it is long."""
    along_axis(x, axis=axis)
    axis %= len(x)
    return [(*x[:axis], *x[axis + 1 :])] * x[axis]


def along_axis(x: Shape, *, axis: int, **_: Any) -> Shape:
    """x's shape, if it has the axis."""
    normalize_axes(axis, len(x), "axis")
    return x


def both_along_axis(g: Shape, y: Shape, *, axis: int) -> Shape:
    """The common shape, if it has the axis."""
    if g != y:
        raise ShapeError(f"the inputs have shapes {g} and {y}; expected equal shapes.")
    return along_axis(y, axis=axis)
