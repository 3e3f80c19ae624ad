"""Transposes, diagonals and traces of matrices; matrices of powers."""

import builtins

import numpy as np
from numpy.typing import DTypeLike

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.op import TensorLike, as_tensor
from fieldgrad.engine.ops.layout import permute_dims, reshape, stack
from fieldgrad.engine.ops.reduce import sum

__all__ = ["diagonal", "matrix_transpose", "trace", "vander"]


def matrix_transpose(x: TensorLike, /) -> Tensor:
    """The last two axes exchanged.

    Parameters
    ----------
    x : Tensor
        Shape (…, m, n).

    Returns
    -------
    Tensor
        View of shape (…, n, m).

    Raises
    ------
    ShapeError
        If x has fewer than two axes.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.matrix_transpose(fg.tensor([[1, 2], [3, 4]])).tolist()
    [[1, 3], [2, 4]]
    """
    n = np.ndim(x)
    if n < 2:
        raise ShapeError(f"matrix_transpose: x has {n} axes; expected at least two.")
    return permute_dims(x, (*range(n - 2), n - 1, n - 2))


def diagonal(x: TensorLike, /, *, offset: int = 0) -> Tensor:
    """Diagonals of the matrices in the last two axes.

    Parameters
    ----------
    x : Tensor
        Shape (…, m, n).
    offset : int, default 0
        Which one: positive ones lie above the main diagonal.

    Returns
    -------
    Tensor
        Shape (…, k), with k at most min(m, n), and 0 for an offset outside.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.linalg.diagonal(fg.tensor([[1, 2], [3, 4]])).tolist()
    [1, 4]
    """
    x = as_tensor(x)
    if x.ndim < 2:
        raise ShapeError(f"diagonal: x has shape {x.shape}; expected at least two axes.")
    m, n = x.shape[-2:]
    size = builtins.max(0, builtins.min(m + builtins.min(offset, 0), n - builtins.max(offset, 0)))
    if not size:
        return reshape(x[..., :0, :0], (*x.shape[:-2], 0))
    start = offset if offset >= 0 else -offset * n
    stop = start + (size - 1) * (n + 1) + 1
    return reshape(x, (*x.shape[:-2], m * n))[..., start : stop : n + 1]


def trace(x: TensorLike, /, *, offset: int = 0, dtype: DTypeLike | None = None) -> Tensor:
    """Sums of the diagonals of the matrices in the last two axes.

    Parameters
    ----------
    x : Tensor
        Shape (…, m, n).
    offset : int, default 0
        Which diagonal, as for `diagonal`.
    dtype : dtype_like, optional
        Convert to this dtype first.

    Returns
    -------
    Tensor
        Shape (…).

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.linalg.trace(fg.tensor([[1.0, 2.0], [3.0, 4.0]])).item()
    5.0
    """
    found = diagonal(x, offset=offset)
    return sum(found if dtype is None else found.astype(dtype), axis=-1)


def vander(x: TensorLike, /, n: int | None = None) -> Tensor:
    """Matrix whose columns are the powers 0 to n - 1 of x, from the left.

    Parameters
    ----------
    x : Tensor
        Shape (…, m).
    n : int, optional
        Number of columns; m by default.

    Returns
    -------
    Tensor
        Shape (…, m, n).

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.linalg.vander(fg.tensor([2, 3])).tolist()
    [[1, 2], [1, 3]]
    """
    x = as_tensor(x)
    column = x * 0 + 1
    columns = []
    for _ in range(x.shape[-1] if n is None else n):
        columns.append(column)
        column = column * x
    if not columns:
        return reshape(x[..., :0], (*x.shape, 0))
    return stack(columns, axis=-1)
