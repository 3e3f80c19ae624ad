"""Norms of vectors and matrices, condition numbers and ranks."""

import math
from collections.abc import Sequence

import numpy as np

from fieldgrad.engine import shapes
from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.op import TensorLike, as_tensor
from fieldgrad.engine.ops.arithmetic import (
    abs,
    sqrt,
    square,
    where,
)
from fieldgrad.engine.ops.comparisons import (
    not_equal,
)
from fieldgrad.engine.ops.elementary import (
    power,
)
from fieldgrad.engine.ops.layout import moveaxis, reshape
from fieldgrad.engine.ops.linalg.equations import inv
from fieldgrad.engine.ops.linalg.factorizations import svdvals
from fieldgrad.engine.ops.reduce import max, min, sum

__all__ = ["cond", "matrix_norm", "matrix_rank", "norm", "vector_norm"]


def vector_norm(
    x: TensorLike,
    /,
    *,
    axis: int | Sequence[int] | None = None,
    keepdims: bool = False,
    ord: float = 2,
) -> Tensor:
    """Length of vectors: the root of the sum of powers, (Σ |x|ᵒʳᵈ)^(1 / ord).

    Parameters
    ----------
    x : Tensor
        Any shape.
    axis : int or sequence of int, optional
        Axes over which to sum; all by default.
    keepdims : bool, default False
        Whether they stay, with length 1.
    ord : float, default 2
        Any number, ±∞ for the largest and smallest absolute value, 0 for the number of elements
        that are not 0.

    Returns
    -------
    Tensor
        Shape of x without the summed axes.

    Notes
    -----
    At a vector of zeros the gradient is 0, of the norms with ord >= 1 a subgradient. Equal largest
    values share the gradient evenly.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.linalg.vector_norm(fg.tensor([3.0, -4.0])).item()
    5.0
    """
    x = as_tensor(x, floating=True)
    axes = shapes.normalize_axes(axis, x.ndim, "vector_norm")
    if ord == 0:
        return sum(not_equal(x, 0).astype(_real(x)), axis=axes, keepdims=keepdims)
    magnitude = abs(x)
    if not axes:
        return magnitude
    if ord == math.inf:
        return max(magnitude, axis=axes, keepdims=keepdims)
    if ord == -math.inf:
        return min(magnitude, axis=axes, keepdims=keepdims)
    if ord == 1:
        return sum(magnitude, axis=axes, keepdims=keepdims)
    if ord == 2:
        total = sum(square(magnitude), axis=axes, keepdims=keepdims)
        nothing = total.data == 0
        return where(nothing, 0.0, sqrt(where(nothing, 1.0, total)))
    # 0 to a power has no gradient worth the name: elements and sums of 0 take no part in it.
    zero, edge = magnitude.data == 0, 0.0 if ord > 0 else math.inf
    powers = where(zero, edge, power(where(zero, 1.0, magnitude), ord))
    total = sum(powers, axis=axes, keepdims=keepdims)
    at_edge = total.data == edge
    return where(at_edge, 0.0, power(where(at_edge, 1.0, total), 1.0 / ord))


def matrix_norm(
    x: TensorLike, /, *, keepdims: bool = False, ord: float | str | None = "fro"
) -> Tensor:
    """Norm of the matrices in the last two axes.

    Parameters
    ----------
    x : Tensor
        Shape (…, m, n).
    keepdims : bool, default False
        Whether the last two axes stay, with length 1.
    ord : {"fro", "nuc", 1, -1, 2, -2, inf, -inf}
        Frobenius (the default): root of the sum of squares. Nuclear: sum of the singular values.
        ±2: largest and smallest singular value. ±1: largest and smallest sum of absolute values in
        a column; ±∞: in a row.

    Returns
    -------
    Tensor
        Shape (…), or (…, 1, 1).

    Raises
    ------
    ValueError
        If ord is no such norm.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.linalg.matrix_norm(fg.tensor([[3.0, 0.0], [0.0, -4.0]]), ord="nuc").item()
    7.0
    """
    x = as_tensor(x, floating=True)
    if x.ndim < 2:
        raise ShapeError(f"matrix_norm: x has shape {x.shape}; expected at least two axes.")
    if ord in ("fro", None):
        return vector_norm(x, axis=(-2, -1), keepdims=keepdims)
    if ord in ("nuc", 2, -2):
        values = svdvals(x)
        reduced = {"nuc": sum, 2: max, -2: min}[ord](values, axis=-1)  # type: ignore[index]
    elif ord in (1, -1, math.inf, -math.inf):
        assert isinstance(ord, (int, float))
        sums = sum(abs(x), axis=-2 if math.isfinite(ord) else -1)
        reduced = (max if ord > 0 else min)(sums, axis=-1)
    else:
        raise ValueError(
            f"matrix_norm: ord = {ord!r}; expected 'fro', 'nuc', 1, -1, 2, -2, inf or -inf."
        )
    return reshape(reduced, (*reduced.shape, 1, 1)) if keepdims else reduced


def norm(
    x: TensorLike,
    ord: float | str | None = None,
    *,
    axis: int | Sequence[int] | None = None,
    keepdims: bool = False,
) -> Tensor:
    """`vector_norm` or `matrix_norm`, by the number of axes, as NumPy's and PyTorch's.

    Parameters
    ----------
    x : Tensor
        Any shape.
    ord : float or str, optional
        As for the two functions. By default 2 over all axes, whatever their number.
    axis : int or sequence of int, optional
        One axis for norms of vectors, two for norms of matrices; all by default.
    keepdims : bool, default False
        Whether they stay, with length 1.

    Returns
    -------
    Tensor
        Shape of x without these axes.

    Raises
    ------
    ShapeError
        If ord is given for more than two axes.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.linalg.norm(fg.tensor([[1.0, 2.0], [-3.0, 4.0]]), 1).item()
    6.0
    """
    x = as_tensor(x, floating=True)
    axes = shapes.normalize_axes(axis, x.ndim, "norm")
    if ord is None:
        return vector_norm(x, axis=axes, keepdims=keepdims)
    if len(axes) == 1:
        if isinstance(ord, str):
            raise ValueError(f"norm: ord = {ord!r} of vectors; expected a number.")
        return vector_norm(x, axis=axes, keepdims=keepdims, ord=ord)
    if len(axes) != 2:
        raise ShapeError(
            f"norm: ord = {ord!r} over {len(axes)} axes of shape {x.shape}; expected one axis "
            "(a vector) or two (a matrix). Name them with axis=."
        )
    rows, columns = axes
    moved = moveaxis(x, rows, x.ndim - 1)
    columns -= columns > rows
    result = matrix_norm(moveaxis(moved, columns, x.ndim - 1), ord=ord)
    return (
        reshape(result, shapes.reduction(x.shape, axis=axes, keepdims=True)) if keepdims else result
    )


def cond(x: TensorLike, /, p: float | str | None = None) -> Tensor:
    """Condition number: how much solving equations can amplify an error of the right-hand side.

    Parameters
    ----------
    x : Tensor
        Shape (…, m, n).
    p : {None, 2, -2, "fro", "nuc", 1, -1, inf, -inf}
        Norm; 2 by default. All but ±2 need square matrices.

    Returns
    -------
    Tensor
        Shape (…); ∞ for singular matrices.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.linalg.cond(fg.tensor([[2.0, 0.0], [0.0, 0.5]])).item()
    4.0
    """
    x = as_tensor(x, floating=True)
    if p in (None, 2, -2):
        values = svdvals(x)
        largest, smallest = values[..., 0], values[..., -1]
        return smallest / largest if p == -2 else largest / smallest
    return matrix_norm(x, ord=p) * matrix_norm(inv(x), ord=p)


def matrix_rank(x: TensorLike, /, *, rtol: float | TensorLike | None = None) -> Tensor:
    """Number of singular values that are not zero.

    Parameters
    ----------
    x : Tensor
        Shape (…, m, n).
    rtol : float or Tensor, optional
        Singular values below this part of the largest count as zero; max(m, n) times the rounding
        of the dtype by default.

    Returns
    -------
    Tensor
        Shape (…), int64; not differentiable.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.linalg.matrix_rank(fg.tensor([[1.0, 2.0], [2.0, 4.0]])).item()
    1
    """
    values = svdvals(as_tensor(x, floating=True).detach()).data
    limit = np.asarray(
        np.max(np.shape(x)[-2:]) * np.finfo(values.dtype).eps
        if rtol is None
        else rtol.data
        if isinstance(rtol, Tensor)
        else rtol
    )
    largest = values.max(axis=-1, keepdims=True, initial=0.0)
    return Tensor(np.asarray((values > largest * limit[..., None]).sum(axis=-1)))


def _real(x: Tensor) -> np.dtype:
    """The dtype of absolute values of x."""
    return np.dtype(np.empty(0, x.dtype).real.dtype)
