"""Shape, order and joining of arrays; views of the input's memory where NumPy gives one."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike

from fieldgrad.engine import samples, shapes
from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import AxisError, ShapeError
from fieldgrad.engine.op import TensorLike, op
from fieldgrad.engine.ops.complex import real
from fieldgrad.engine.ops.index import index_add


@op(kernel="alias", view=True, samples=samples.reals)
def alias(x: TensorLike, /):
    """The same values as another tensor of the tape."""


@alias.vjp
def _(g):
    return g


@op(
    kernel="astype",
    view=True,
    samples=samples.with_attributes(samples.reals, {"dtype": np.dtype(np.float64)}),
)
def astype(x: TensorLike, /, dtype: DTypeLike, *, copy: bool = True, device: str | None = None):
    """The values converted to dtype.

    Parameters
    ----------
    x : Tensor
        Any shape.
    dtype : dtype_like
        NumPy dtype or its name, such as "float64". The gradient comes back in the dtype of x.
    copy : bool, default True
        Whether the result has memory of its own even if x has that dtype already.
    device : {"cpu"}, optional
        Where the result lies.

    Raises
    ------
    DTypeError
        If complex numbers would lose their imaginary part.
    """


@astype.vjp
def _(g, x_dtype):
    # What became complex from real numbers has a derivative by the real part alone.
    return (g if x_dtype.kind == "c" else real(g)).astype(x_dtype)


@op(kernel="reshape", view=True, shape=shapes.reshape, samples=samples.reshapes)
def reshape(x: TensorLike, /, shape: int | Sequence[int], *, copy: bool | None = None):
    """The elements in C order, in another shape.

    Parameters
    ----------
    x : Tensor
        Any shape.
    shape : int or sequence of int
        Length of each axis, with the product x.size; one length may be -1: what is left over.
    copy : bool, optional
        True for memory of its own, False for an error where the result cannot share x's memory.

    Raises
    ------
    ShapeError
        If the number of elements would change, or a copy is needed and forbidden.
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


def broadcast_arrays(*arrays: Tensor) -> tuple[Tensor, ...]:
    """The arrays repeated to their common shape, without copying.

    Parameters
    ----------
    *arrays : Tensor
        Shapes that broadcast together.

    Returns
    -------
    tuple of Tensor
        Views of the arrays.

    Raises
    ------
    ShapeError
        If they have no common shape.
    """
    shape = broadcast_shapes(*(x.shape for x in arrays))
    return tuple(broadcast_to(x, shape) for x in arrays)


def broadcast_shapes(*shapes_: tuple[int, ...]) -> tuple[int, ...]:
    """The common shape of arrays of these shapes.

    Parameters
    ----------
    *shapes_ : tuple of int
        Shapes that broadcast together.

    Returns
    -------
    tuple of int
        The common shape; () for none.

    Raises
    ------
    ShapeError
        If there is none.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.broadcast_shapes((3, 1), (4,))
    (3, 4)
    """
    return shapes.broadcast(*shapes_) if shapes_ else ()


@op(kernel="flip", view=True, shape=shapes.flip, samples=samples.flips)
def flip(x: TensorLike, /, axis: int | Sequence[int] | None = None):
    """The elements in reverse order along an axis or axes.

    Parameters
    ----------
    x : Tensor
        Any shape.
    axis : int or sequence of int, optional
        Which axes to reverse; all by default.
    """


@flip.vjp
def _(g, axis):
    return flip(g, axis)


@op(kernel="roll", shape=shapes.roll, samples=samples.rolls)
def roll(x: TensorLike, /, shift: int | Sequence[int], axis: int | Sequence[int] | None = None):
    """The elements moved along axes; those that leave one end come in at the other.

    Parameters
    ----------
    x : Tensor
        Any shape.
    shift : int or sequence of int
        By how many places towards the end; one for each axis, or one for all.
    axis : int or sequence of int, optional
        Which axes; by default the elements are moved in C order as one long row.

    Raises
    ------
    ShapeError
        If the numbers of shifts and axes differ.
    """


@roll.vjp
def _(g, shift, axis):
    back = tuple(-s for s in shift) if isinstance(shift, (tuple, list)) else -shift
    return roll(g, back, axis)


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
        As in NumPy.
    value : float
        What is added in mode "constant".
    """


@pad.vjp
def _(g, x_shape, padding, mode):
    if mode == "constant":
        return g[tuple(slice(b, b + n) for n, (b, _) in zip(x_shape, padding, strict=True))]
    for axis, (n, (before, after)) in enumerate(zip(x_shape, padding, strict=True)):
        if before or after:  # each element gets the gradients of its copies
            copies = np.pad(np.arange(n), (before, after), mode=mode)
            index = (*[slice(None)] * axis, copies)
            g = index_add(g, index=index, shape=(*g.shape[:axis], n, *g.shape[axis + 1 :]))
    return g


@op(kernel="concat", variadic=True, shape=shapes.concat, samples=samples.concats)
def concat(arrays: Sequence[TensorLike], /, axis: int | None = 0):
    """Arrays joined along an existing axis.

    Parameters
    ----------
    arrays : sequence of Tensor
        Equal shapes but for that axis.
    axis : int or None, default 0
        The axis whose lengths add up; None joins the elements of all in C order.

    Raises
    ------
    ShapeError
        If another axis differs in length.
    """


@concat.vjp
def _(g, shapes, axis, needs):
    along = 0 if axis is None else axis % g.ndim
    parts, start = [], 0
    for shape, need in zip(shapes, needs, strict=True):
        stop = start + (math.prod(shape) if axis is None else shape[along])
        part = g[(slice(None),) * along + (slice(start, stop),)] if need else None
        parts.append(reshape(part, shape) if need and axis is None else part)
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


def expand_dims(x: TensorLike, /, axis: int = 0) -> Tensor:
    """x with a new axis of length 1.

    Parameters
    ----------
    x : Tensor
        Any shape.
    axis : int, default 0
        Position of the new axis in the result.

    Returns
    -------
    Tensor
        View of x with one axis more.

    Raises
    ------
    AxisError
        If the result has no such axis.
    """
    shape = list(np.shape(x))
    (position,) = shapes.normalize_axes(axis, len(shape) + 1, "expand_dims")
    shape.insert(position, 1)
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


def moveaxis(x: Tensor, source: int | Sequence[int], destination: int | Sequence[int], /) -> Tensor:
    """x with axes moved to other positions; the others keep their order.

    Parameters
    ----------
    x : Tensor
        Any shape.
    source : int or sequence of int
        Where the axes are.
    destination : int or sequence of int
        Where they are in the result; as many as in source.

    Returns
    -------
    Tensor
        View of x.

    Raises
    ------
    AxisError
        If an axis does not exist.
    ShapeError
        If an axis is named twice, or the two numbers of axes differ.
    """
    sources = shapes.normalize_axes(source, x.ndim, "moveaxis")
    targets = shapes.normalize_axes(destination, x.ndim, "moveaxis")
    if len(sources) != len(targets):
        raise ShapeError(
            f"moveaxis: source = {source} and destination = {destination}; expected as many axes "
            "in both."
        )
    order = [i for i in range(x.ndim) if i not in sources]
    for target, axis in sorted(zip(targets, sources, strict=True)):
        order.insert(target, axis)
    return permute_dims(x, tuple(order))


def flatten(x: Tensor, /, *, start: int = 0, stop: int | None = None) -> Tensor:
    """The axes from start to stop merged into one.

    Parameters
    ----------
    x : Tensor
        Shape (n_0, n_1, …).
    start : int, default 0
        First axis to merge.
    stop : int, optional
        First axis after these; all from start on by default.

    Returns
    -------
    Tensor
        Shape (n_0, …, n_start · n_start+1 · …).
    """
    merged = math.prod(x.shape[start:stop])
    return reshape(x, (*x.shape[:start], merged, *(() if stop is None else x.shape[stop:])))


def repeat(x: Tensor, repeats: int | Tensor, /, *, axis: int | None = None) -> Tensor:
    """Each element several times in a row.

    Parameters
    ----------
    x : Tensor
        Any shape.
    repeats : int or Tensor of int
        How often; one number for each position along the axis, or one for all.
    axis : int, optional
        Along which axis; by default x is flattened first.

    Returns
    -------
    Tensor
        Shape of x, with another length of that axis.

    Raises
    ------
    ShapeError
        If there are neither one nor as many repeats as positions, or one is negative.

    See Also
    --------
    tile : The whole array several times.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.repeat(fg.tensor([1, 2]), 3).tolist()
    [1, 1, 1, 2, 2, 2]
    """
    if axis is None:
        return repeat(reshape(x, (-1,)), repeats, axis=0)
    (axis,) = shapes.normalize_axes(axis, x.ndim, "repeat")
    counts = np.asarray(repeats)
    if counts.ndim > 1 or counts.size not in (1, x.shape[axis]) or np.any(counts < 0):
        raise ShapeError(
            f"repeat: repeats = {counts.tolist()} for an axis of {x.shape[axis]} positions; "
            "expected one count of 0 or more, or one for each."
        )
    if counts.size == 1:
        n = int(counts.reshape(()))
        before, after = x.shape[: axis + 1], x.shape[axis + 1 :]
        rows = broadcast_to(reshape(x, (*before, 1, *after)), (*before, n, *after))
        return reshape(rows, (*x.shape[:axis], x.shape[axis] * n, *after))
    return x[(slice(None),) * axis + (np.repeat(np.arange(counts.size), counts),)]


def tile(x: Tensor, repetitions: Sequence[int], /) -> Tensor:
    """The whole array several times along its axes.

    Parameters
    ----------
    x : Tensor
        Any shape.
    repetitions : sequence of int
        How often along each axis, counted from the last; the shorter of it and x's shape is filled
        with ones in front.

    Returns
    -------
    Tensor
        Lengths of x times repetitions.

    See Also
    --------
    repeat : Each element several times.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.tile(fg.tensor([1, 2]), (3,)).tolist()
    [1, 2, 1, 2, 1, 2]
    """
    ndim = max(x.ndim, len(repetitions))
    lengths = (1,) * (ndim - x.ndim) + x.shape
    counts = (1,) * (ndim - len(repetitions)) + tuple(repetitions)
    blocks = reshape(x, tuple(m for n in lengths for m in (1, n)))
    blocks = broadcast_to(blocks, tuple(m for p in zip(counts, lengths, strict=True) for m in p))
    return reshape(blocks, tuple(k * n for k, n in zip(counts, lengths, strict=True)))


def take(x: Tensor, indices: TensorLike, /, *, axis: int | None = None) -> Tensor:
    """The elements or slices at positions along one axis.

    Parameters
    ----------
    x : Tensor
        Any shape.
    indices : Tensor or array of int
        Positions; negative ones count from the end.
    axis : int, optional
        Which axis; needed unless x has only one.

    Returns
    -------
    Tensor
        Shape of x with that axis replaced by those of indices.

    Raises
    ------
    AxisError
        If x has several axes and axis does not say which.
    IndexError
        If a position does not exist.
    """
    if axis is None and x.ndim != 1:
        raise AxisError(f"take: x has shape {x.shape}; say with axis where indices count.")
    (axis,) = shapes.normalize_axes(0 if axis is None else axis, x.ndim, "take")
    return x[(slice(None),) * axis + (np.asarray(indices),)]
