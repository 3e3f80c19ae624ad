"""Arrangements made of the ops of layout: rows and columns, turns, diagonals, windows."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fieldgrad.engine import shapes
from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.ops.arithmetic import where
from fieldgrad.engine.ops.layout import concat, expand_dims, flip, pad, permute_dims, reshape


def ravel(x: Tensor, /) -> Tensor:
    """The elements in one row, in C order.

    Parameters
    ----------
    x : Tensor
        Any shape.

    Returns
    -------
    Tensor
        Shape (x.size,), a view where possible.
    """
    return reshape(x, (-1,)) if x.size else reshape(x, (0,))


def atleast_1d(*arrays: Tensor) -> Any:
    """The arrays with an axis at least.

    Parameters
    ----------
    *arrays : Tensor
        Any shapes.

    Returns
    -------
    Tensor or tuple of Tensor
        Shape (1,) for 0-d arrays; the others as they are.
    """
    return _each(arrays, lambda x: x if x.ndim else reshape(x, (1,)))


def atleast_2d(*arrays: Tensor) -> Any:
    """The arrays with two axes at least; new ones come in front.

    Parameters
    ----------
    *arrays : Tensor
        Any shapes.

    Returns
    -------
    Tensor or tuple of Tensor
        Shape (1, n) for n elements in a row.
    """
    return _each(arrays, lambda x: reshape(x, (1,) * (2 - x.ndim) + x.shape))


def atleast_3d(*arrays: Tensor) -> Any:
    """The arrays with three axes at least.

    Parameters
    ----------
    *arrays : Tensor
        Any shapes.

    Returns
    -------
    Tensor or tuple of Tensor
        Shape (1, n, 1) for n elements in a row, (m, n, 1) for a matrix.
    """
    rows = (x if x.ndim > 1 else reshape(x, (1, x.size)) for x in arrays)
    return _each(tuple(rows), lambda x: x if x.ndim > 2 else reshape(x, (*x.shape, 1)))


def _each(arrays: Sequence[Tensor], change: Callable[[Tensor], Tensor]) -> Any:
    changed = tuple(change(x) for x in arrays)
    return changed[0] if len(changed) == 1 else changed


def hstack(arrays: Sequence[Tensor], /) -> Tensor:
    """Arrays side by side: joined along the second axis, or the first of 1-d arrays.

    Parameters
    ----------
    arrays : sequence of Tensor
        Equal shapes but for that axis.

    Returns
    -------
    Tensor
        As many axes as the arrays, at least 1.
    """
    parts = [atleast_1d(x) for x in arrays]
    return concat(parts, axis=0 if parts[0].ndim == 1 else 1)


def vstack(arrays: Sequence[Tensor], /) -> Tensor:
    """Arrays one below the other: joined along the first axis; 1-d arrays are rows.

    Parameters
    ----------
    arrays : sequence of Tensor
        Equal shapes but for that axis.

    Returns
    -------
    Tensor
        As many axes as the arrays, at least 2.
    """
    return concat([atleast_2d(x) for x in arrays], axis=0)


def dstack(arrays: Sequence[Tensor], /) -> Tensor:
    """Arrays one behind the other: joined along the third axis.

    Parameters
    ----------
    arrays : sequence of Tensor
        Equal shapes but for that axis.

    Returns
    -------
    Tensor
        As many axes as the arrays, at least 3.
    """
    return concat([atleast_3d(x) for x in arrays], axis=2)


def column_stack(arrays: Sequence[Tensor], /) -> Tensor:
    """Arrays side by side, 1-d arrays as columns.

    Parameters
    ----------
    arrays : sequence of Tensor
        Equal lengths of the first axis.

    Returns
    -------
    Tensor
        As many axes as the arrays, at least 2.
    """
    return concat([x if x.ndim > 1 else reshape(x, (-1, 1)) for x in arrays], axis=1)


def fliplr(x: Tensor, /) -> Tensor:
    """The columns in reverse order: the second axis flipped.

    Parameters
    ----------
    x : Tensor
        At least two axes.

    Returns
    -------
    Tensor
        View of x.
    """
    return flip(x, 1)


def flipud(x: Tensor, /) -> Tensor:
    """The rows in reverse order: the first axis flipped.

    Parameters
    ----------
    x : Tensor
        At least one axis.

    Returns
    -------
    Tensor
        View of x.
    """
    return flip(x, 0)


def rot90(x: Tensor, /, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Tensor:
    """The plane of two axes turned by right angles.

    Parameters
    ----------
    x : Tensor
        At least two axes.
    k : int, default 1
        How many right angles, from the first axis towards the second.
    axes : (int, int), default (0, 1)
        The plane.

    Returns
    -------
    Tensor
        View of x.

    Raises
    ------
    ShapeError
        If there are not two different axes.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.rot90(fg.tensor([[1, 2], [3, 4]])).tolist()
    [[2, 4], [1, 3]]
    """
    plane = shapes.normalize_axes(axes, x.ndim, "rot90")
    if len(plane) != 2:
        raise ShapeError(f"rot90: axes = {axes}; expected two different axes.")
    first, second = plane
    order = list(range(x.ndim))
    order[first], order[second] = second, first
    if k % 4 == 1:
        return permute_dims(flip(x, second), order)
    if k % 4 == 3:
        return flip(permute_dims(x, order), second)
    return flip(x, plane) if k % 4 else x


def diag_embed(x: Tensor, /, *, offset: int = 0) -> Tensor:
    """Matrices with the last axis of x on a diagonal and zeros elsewhere.

    Parameters
    ----------
    x : Tensor
        Shape (…, N).
    offset : int, default 0
        Which diagonal: positive ones lie above the main one, negative ones below.

    Returns
    -------
    Tensor
        Shape (…, N + abs(offset), N + abs(offset)).

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.diag_embed(fg.tensor([1, 2]), offset=1).tolist()
    [[0, 1, 0], [0, 0, 2], [0, 0, 0]]
    """
    shapes.normalize_axes(-1, x.ndim, "diag_embed")
    around = (offset, 0) if offset > 0 else (0, -offset)
    row = expand_dims(pad(x, [(0, 0)] * (x.ndim - 1) + [around]), axis=-2)
    zero = Tensor(np.zeros((), x.dtype))
    return where(np.eye(row.shape[-1], k=offset, dtype=bool), row, zero)


def diag(x: Tensor, /, k: int = 0) -> Tensor:
    """The diagonal of a matrix, or the matrix with a diagonal.

    Parameters
    ----------
    x : Tensor
        Shape (M, N) or (N,).
    k : int, default 0
        Which diagonal: positive ones lie above the main one, negative ones below.

    Returns
    -------
    Tensor
        A row for a matrix; a matrix for a row.

    Raises
    ------
    ShapeError
        If x has neither one nor two axes.
    """
    if x.ndim == 1:
        return diag_embed(x, offset=k)
    if x.ndim != 2:
        raise ShapeError(f"diag: x has shape {x.shape}; expected one or two axes.")
    n = max(0, min(x.shape[0] + min(k, 0), x.shape[1] - max(k, 0)))
    along = np.arange(n)
    return x[along - min(k, 0), along + max(k, 0)]


def block_diag(*arrays: Tensor) -> Tensor:
    """The matrix with matrices along its diagonal and zeros elsewhere.

    Parameters
    ----------
    *arrays : Tensor
        Shapes (m, n), (n,) for one row, or () for one element.

    Returns
    -------
    Tensor
        Shape: the sums of the numbers of rows and columns.

    Raises
    ------
    ShapeError
        If an array has more than two axes.
    """
    blocks = [atleast_2d(x) for x in arrays]
    if any(b.ndim > 2 for b in blocks):
        raise ShapeError(f"block_diag: shapes {[x.shape for x in arrays]}; expected matrices.")
    width = sum(b.shape[1] for b in blocks)
    rows, start = [], 0
    for b in blocks:
        rows.append(pad(b, ((0, 0), (start, width - start - b.shape[1]))))
        start += b.shape[1]
    return concat(rows, axis=0)


def sliding_window(x: Tensor, /, size: int, *, step: int = 1, axis: int = -1) -> Tensor:
    """The stretches of an axis of a given length, one every few positions.

    Parameters
    ----------
    x : Tensor
        Any shape.
    size : int
        Length of a stretch.
    step : int, default 1
        From the beginning of one to the beginning of the next.
    axis : int, default -1
        Along which axis.

    Returns
    -------
    Tensor
        The axis counts stretches; a last axis of that size runs along each.

    Raises
    ------
    ShapeError
        If the axis is shorter than a stretch, or step is not positive.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.sliding_window(fg.tensor([1, 2, 3, 4]), 2).tolist()
    [[1, 2], [2, 3], [3, 4]]
    """
    if not x.ndim:
        return reshape(x, (1,))[:size]
    (axis,) = shapes.normalize_axes(axis, x.ndim, "sliding_window")
    if not 0 <= size <= x.shape[axis] or step < 1:
        raise ShapeError(
            f"sliding_window: size = {size}, step = {step} on an axis of {x.shape[axis]} elements; "
            "expected at most that size, and a step of 1 or more."
        )
    starts = np.arange(0, x.shape[axis] - size + 1, step)
    windows = x[(slice(None),) * axis + (starts[:, None] + np.arange(size),)]
    order = [i for i in range(windows.ndim) if i != axis + 1]
    return permute_dims(windows, (*order, axis + 1))
