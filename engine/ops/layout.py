"""Shape, order and joining of arrays; views of the input's memory where NumPy gives one."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike

from fieldgrad.engine import samples, shapes
from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.op import TensorLike, op


@op(kernel="alias", view=True, samples=samples.reals)
def alias(x: TensorLike, /):
    """The same values as another tensor of the tape."""


@alias.vjp
def _(g):
    return g


@op(
    kernel="astype",
    samples=samples.with_attributes(samples.reals, {"dtype": np.dtype(np.float64)}),
)
def astype(x: TensorLike, /, dtype: DTypeLike):
    """The values converted to dtype, in new memory.

    Parameters
    ----------
    x : Tensor
        Any shape.
    dtype : dtype_like
        NumPy dtype or its name, such as "float64". The gradient comes back in the dtype of x.
    """


@astype.vjp
def _(g, x):
    return g.astype(x.dtype)


@op(kernel="reshape", view=True, shape=shapes.reshape, samples=samples.reshapes)
def reshape(x: TensorLike, /, shape: int | Sequence[int]):
    """The elements in C order, in another shape.

    Parameters
    ----------
    x : Tensor
        Any shape.
    shape : int or sequence of int
        Length of each axis, with the product x.size; one length may be -1: what is left over.

    Raises
    ------
    ShapeError
        If the number of elements would change.
    """


@reshape.vjp
def _(g, x_shape):
    return reshape(g, x_shape)


@op(kernel="permute_dims", view=True, shape=shapes.permute, samples=samples.permutations)
def permute_dims(x: TensorLike, /, axes: Sequence[int]):
    """The axes in another order.

    Parameters
    ----------
    x : Tensor
        Shape (n_0, n_1, …).
    axes : sequence of int
        Every axis once: axis i of the result is axis axes[i] of x.

    Raises
    ------
    ShapeError
        If an axis is missing, unknown or named twice.
    """


@permute_dims.vjp
def _(g, axes):
    return permute_dims(g, tuple(int(i) for i in np.argsort([a % len(axes) for a in axes])))


@op(kernel="broadcast_to", view=True, shape=shapes.broadcast_to, samples=samples.broadcasts)
def broadcast_to(x: TensorLike, /, shape: Sequence[int]):
    """x repeated to a shape, without copying.

    Parameters
    ----------
    x : Tensor
        Its axes are those of shape, from the last one on, or have length 1.
    shape : sequence of int
        Shape of the result.

    Raises
    ------
    ShapeError
        If x does not repeat to that shape.
    """


@broadcast_to.vjp
def _(g):
    return g  # the tape sums over what was repeated


@op(kernel="flip", view=True, shape=lambda x, *, axis: x, samples=samples.flips)
def flip(x: TensorLike, /, axis: int | Sequence[int]):
    """The elements in reverse order along an axis or axes.

    Parameters
    ----------
    x : Tensor
        Any shape.
    axis : int or sequence of int
        Which axes to reverse.
    """


@flip.vjp
def _(g, axis):
    return flip(g, axis)


@op(kernel="pad", shape=shapes.pad, samples=samples.paddings)
def pad(
    x: TensorLike,
    /,
    padding: Sequence[tuple[int, int]],
    mode: str = "constant",
    value: float = 0.0,
):
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
def concat(arrays: Sequence[TensorLike], /, axis: int = 0):
    """Arrays joined along an existing axis.

    Parameters
    ----------
    arrays : sequence of Tensor
        Equal shapes but for that axis.
    axis : int, default 0
        The axis whose lengths add up.

    Raises
    ------
    ShapeError
        If another axis differs in length.
    """


@concat.vjp
def _(g, shapes, axis, needs):
    axis %= g.ndim
    parts, start = [], 0
    for shape, need in zip(shapes, needs, strict=True):
        stop = start + shape[axis]
        parts.append(g[(slice(None),) * axis + (slice(start, stop),)] if need else None)
        start = stop
    return tuple(parts)


@op(kernel="stack", variadic=True, shape=shapes.stack, samples=samples.stacks)
def stack(arrays: Sequence[TensorLike], /, *, axis: int = 0):
    """Arrays of equal shape joined along a new axis.

    Parameters
    ----------
    arrays : sequence of Tensor
        K tensors of shape (n_0, n_1, …).
    axis : int, default 0
        Position of the new axis in the result.

    Returns
    -------
    Tensor
        Shape (n_0, n_1, …) with K inserted at axis.

    Raises
    ------
    ShapeError
        If no arrays are given, their shapes differ, or the axis does not exist.
    """


@stack.vjp
def _(g, axis):
    return unstack(g, axis=axis)


@op(
    kernel="unstack",
    view=True,
    several=True,
    shape=shapes.unstack,
    samples=samples.along_axes,
)
def unstack(x: TensorLike, /, *, axis: int = 0):
    """The parts of x along an axis, as a tuple of views: the opposite of `stack`.

    The steps of a sequence, for a loop over them. Their gradients come together in one array, where
    indexing (``x[:, t]`` at every step) would make one as large as x for each.

    Parameters
    ----------
    x : Tensor
        Any shape with at least one axis.
    axis : int, default 0
        Axis that is taken apart.

    Returns
    -------
    tuple of Tensor
        As many as the axis is long, of x's shape without it.

    Raises
    ------
    ShapeError
        If the axis does not exist.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> [part.tolist() for part in fg.unstack(fg.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=1)]
    [[1.0, 3.0], [2.0, 4.0]]
    """


@unstack.vjp
def _(gs, x_shape, axis):
    axis %= len(x_shape)
    like = next(g for g in gs if g is not None)
    nothing = Tensor(np.zeros((*x_shape[:axis], *x_shape[axis + 1 :]), like.dtype))
    return stack([nothing if g is None else g for g in gs], axis=axis)


def expand_dims(x: TensorLike, /, *, axis: int) -> Tensor:
    """x with a new axis of length 1.

    Parameters
    ----------
    x : Tensor
        Any shape.
    axis : int
        Position of the new axis in the result.

    Returns
    -------
    Tensor
        View of x with one axis more.
    """
    shape = list(np.shape(x))
    shape.insert(axis if axis >= 0 else axis + len(shape) + 1, 1)
    return reshape(x, tuple(shape))


def squeeze(x: Tensor, /, axis: int | Sequence[int]) -> Tensor:
    """x without axes of length 1.

    Parameters
    ----------
    x : Tensor
        Any shape.
    axis : int or sequence of int
        Axes to remove.

    Returns
    -------
    Tensor
        View of x without those axes.

    Raises
    ------
    ShapeError
        If one of them is longer than 1.
    """
    axes = shapes.normalize_axes(axis, x.ndim, "squeeze")
    for a in axes:
        if x.shape[a] != 1:
            raise ShapeError(f"squeeze: axis {a} of shape {x.shape} is not of length 1.")
    return reshape(x, tuple(n for i, n in enumerate(x.shape) if i not in axes))


def moveaxis(x: Tensor, source: int, destination: int, /) -> Tensor:
    """x with one axis moved to another position; the others keep their order.

    Parameters
    ----------
    x : Tensor
        Any shape.
    source : int
        Where the axis is.
    destination : int
        Where it is in the result.

    Returns
    -------
    Tensor
        View of x.
    """
    order = [i for i in range(x.ndim) if i != source % x.ndim]
    order.insert(destination % x.ndim, source % x.ndim)
    return permute_dims(x, tuple(order))


def flatten(x: Tensor, /, *, start: int = 0) -> Tensor:
    """The axes from start on merged into one.

    Parameters
    ----------
    x : Tensor
        Shape (n_0, n_1, …).
    start : int, default 0
        First axis to merge.

    Returns
    -------
    Tensor
        Shape (n_0, …, n_start · n_start+1 · …).
    """
    return reshape(x, (*x.shape[:start], math.prod(x.shape[start:])))
