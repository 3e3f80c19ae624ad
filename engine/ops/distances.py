"""Lengths of vectors, and distances and angles between them.

The gradient of a length at 0 is 0, so that vectors masked out do not turn into NaN.
"""

import math

import numpy as np

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.op import TensorLike, as_tensor
from fieldgrad.engine.ops.arithmetic import (
    abs,
    maximum,
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
from fieldgrad.engine.ops.reduce import max, sum

__all__ = ["cosine_similarity", "normalize", "pairwise_distance", "pdist"]


def _length(x: Tensor, p: float, axis: int, keepdims: bool) -> Tensor:
    """(Σ |x|^p)^(1/p) along an axis."""
    if x.dtype.kind == "c":
        x = abs(x)
    if math.isinf(p):
        return max(abs(x), axis=axis, keepdims=keepdims)
    if p == 0:
        return sum(not_equal(x, 0.0).astype(x.dtype), axis=axis, keepdims=keepdims)
    if p == 1:
        return sum(abs(x), axis=axis, keepdims=keepdims)
    if p == 2:
        total = sum(square(x), axis=axis, keepdims=keepdims)
        return where(total == 0, 0.0, sqrt(where(total == 0, 1.0, total)))
    zero = x == 0
    powers = where(zero, 0.0, power(where(zero, 1.0, abs(x)), p))
    total = sum(powers, axis=axis, keepdims=keepdims)
    return where(total == 0, 0.0, power(where(total == 0, 1.0, total), 1.0 / p))


def normalize(x: TensorLike, /, *, p: float = 2.0, axis: int = 1, eps: float = 1e-12) -> Tensor:
    """x divided by its length along an axis.

    Parameters
    ----------
    x : Tensor
        Any shape with that axis.
    p : float, default 2.0
        Exponent of the norm.
    axis : int, default 1
        Axis along which to take it.
    eps : float, default 1e-12
        Least length to divide by.

    Returns
    -------
    Tensor
        Shape of x.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.normalize(fg.tensor([[1.0, 3.0]]), p=1).tolist()
    [[0.25, 0.75]]
    """
    x = as_tensor(x, floating=True)
    return x / maximum(_length(x, p, axis, True), eps)


def cosine_similarity(
    x1: TensorLike, x2: TensorLike, /, *, axis: int = 1, eps: float = 1e-8
) -> Tensor:
    """Cosine of the angle between vectors along an axis.

    Parameters
    ----------
    x1, x2 : Tensor
        Shapes that broadcast.
    axis : int, default 1
        Axis of the vectors, in the broadcast shape.
    eps : float, default 1e-8
        Least length to divide by.

    Returns
    -------
    Tensor
        The broadcast shape without that axis.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.cosine_similarity([[1.0, 0.0]], [[2.0, 0.0]]).tolist()
    [1.0]
    """
    a, b = as_tensor(x1, floating=True), as_tensor(x2, floating=True)
    if not a.ndim or not b.ndim:
        raise ShapeError(
            f"cosine_similarity: x1 has shape {a.shape}, x2 has {b.shape}; expected vectors."
        )
    n = np.broadcast_shapes(a.shape, b.shape)[axis]
    from_end = axis if axis < 0 else axis - (a.ndim if a.ndim > b.ndim else b.ndim)
    lengths = []
    for x in (a, b):
        own = _length(x, 2.0, from_end, False) if x.ndim >= -from_end else abs(x)
        if x.ndim >= -from_end and x.shape[from_end] != n:  # one number that broadcasts
            own = own * math.sqrt(n)
        lengths.append(maximum(own, eps))
    return sum(a * b, axis=axis) / (lengths[0] * lengths[1])


def pairwise_distance(
    x1: TensorLike, x2: TensorLike, /, *, p: float = 2.0, eps: float = 1e-6, keepdims: bool = False
) -> Tensor:
    """Length of x1 - x2 + eps along the last axis.

    Parameters
    ----------
    x1, x2 : Tensor
        Shapes that broadcast, (…, feature).
    p : float, default 2.0
        Exponent of the norm.
    eps : float, default 1e-6
        Added to each difference, which keeps the gradient finite where x1 and x2 are equal.
    keepdims : bool, default False
        Whether the last axis stays, with length 1.

    Returns
    -------
    Tensor
        The broadcast shape without the last axis.
    """
    return _length(
        as_tensor(x1, floating=True) - as_tensor(x2, floating=True) + eps, p, -1, keepdims
    )


def pdist(x: TensorLike, /, *, p: float = 2.0) -> Tensor:
    """Distances between all pairs of rows.

    Parameters
    ----------
    x : Tensor
        Shape (n, feature).
    p : float, default 2.0
        Exponent of the norm.

    Returns
    -------
    Tensor
        Shape (n (n - 1) / 2,): rows 0 and 1, 0 and 2, …, as in SciPy.

    Raises
    ------
    ShapeError
        If x does not have two axes.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.pdist([[0.0, 0.0], [3.0, 4.0], [3.0, 0.0]]).tolist()
    [5.0, 3.0, 4.0]
    """
    x = as_tensor(x, floating=True)
    if x.ndim != 2:
        raise ShapeError(f"pdist: x has shape {x.shape}; expected (row, feature).")
    first, second = np.triu_indices(len(x), 1)
    return _length(x[first] - x[second], p, -1, False)
