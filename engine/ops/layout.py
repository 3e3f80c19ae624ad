"""Shape, order and joining of arrays; views of the input's memory where NumPy gives one."""

import math
from collections.abc import Sequence

import numpy as np

from fieldgrad.engine import samples, shapes
from fieldgrad.engine._core import Tensor
from fieldgrad.engine.op import op


@op(kernel="alias", view=True, samples=samples.reals)
def alias(x, /):
    """The same values as another tensor of the tape."""


@alias.vjp
def _(g):
    return g


@op(
    kernel="astype",
    samples=samples.with_attributes(samples.reals, {"dtype": np.dtype(np.float64)}),
)
def astype(x, /, dtype):
    """The values converted to dtype, in new memory."""


@astype.vjp
def _(g, x):
    return g.astype(x.dtype)


@op(kernel="reshape", view=True, shape=shapes.reshape, samples=samples.reshapes)
def reshape(x, /, shape):
    """The elements in C order, in another shape; one size may be -1."""


@reshape.vjp
def _(g, x_shape):
    return reshape(g, x_shape)


@op(kernel="permute_dims", view=True, shape=shapes.permute, samples=samples.permutations)
def permute_dims(x, /, axes):
    """The axes in another order: axis i of the result is axis axes[i] of x."""


@permute_dims.vjp
def _(g, axes):
    return permute_dims(g, tuple(int(i) for i in np.argsort([a % len(axes) for a in axes])))


@op(kernel="broadcast_to", view=True, shape=shapes.broadcast_to, samples=samples.broadcasts)
def broadcast_to(x, /, shape):
    """x repeated to a shape, without copying."""


@broadcast_to.vjp
def _(g):
    return g  # the tape sums over what was repeated


@op(kernel="flip", view=True, shape=lambda x, *, axis: x, samples=samples.flips)
def flip(x, /, axis):
    """The elements in reverse order along an axis or axes."""


@flip.vjp
def _(g, axis):
    return flip(g, axis)


@op(kernel="pad", shape=shapes.pad, samples=samples.paddings)
def pad(x, /, padding, mode="constant", value=0.0):
    """x with elements added before and after each axis.

    Parameters
    ----------
    x : Tensor
        Any shape.
    padding : sequence of (int, int)
        Number of elements before and after, for each axis.
    mode : {"constant", "reflect", "edge", "wrap"}
        As in NumPy. Only "constant" has a gradient.
    value : float
        What is added in mode "constant".
    """


@pad.vjp
def _(g, x_shape, padding, mode):
    if mode != "constant":
        raise NotImplementedError(
            f"pad: mode {mode!r} has no gradient; use mode='constant', or detach the input"
        )
    return g[tuple(slice(b, b + n) for n, (b, _) in zip(x_shape, padding, strict=True))]


@op(kernel="concat", variadic=True, shape=shapes.concat, samples=samples.concats)
def concat(arrays, /, axis=0):
    """Arrays joined along an existing axis."""


@concat.vjp
def _(g, shapes, axis, needs):
    axis %= g.ndim
    parts, start = [], 0
    for shape, need in zip(shapes, needs, strict=True):
        stop = start + shape[axis]
        parts.append(g[(slice(None),) * axis + (slice(start, stop),)] if need else None)
        start = stop
    return tuple(parts)


def stack(arrays: Sequence[Tensor], /, *, axis: int = 0) -> Tensor:
    """Arrays of equal shape joined along a new axis."""
    return concat([expand_dims(a, axis=axis) for a in arrays], axis=axis)


def expand_dims(x: Tensor, /, *, axis: int) -> Tensor:
    """x with a new axis of length 1 at position axis of the result."""
    shape = list(np.shape(x))
    shape.insert(axis if axis >= 0 else axis + len(shape) + 1, 1)
    return reshape(x, tuple(shape))


def squeeze(x: Tensor, /, axis: int | Sequence[int]) -> Tensor:
    """x without axes of length 1."""
    axes = shapes.normalize_axes(axis, x.ndim, "squeeze")  # type: ignore[arg-type]
    for a in axes:
        if x.shape[a] != 1:
            raise shapes.ShapeError(f"squeeze: axis {a} of shape {x.shape} is not of length 1.")
    return reshape(x, tuple(n for i, n in enumerate(x.shape) if i not in axes))


def moveaxis(x: Tensor, source: int, destination: int, /) -> Tensor:
    """x with one axis moved to another position."""
    order = [i for i in range(x.ndim) if i != source % x.ndim]
    order.insert(destination % x.ndim, source % x.ndim)
    return permute_dims(x, tuple(order))


def flatten(x: Tensor, /, *, start: int = 0) -> Tensor:
    """The axes from start on merged into one."""
    return reshape(x, (*x.shape[:start], math.prod(x.shape[start:])))
