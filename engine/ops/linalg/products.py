"""Products of matrices and vectors."""

import builtins
import math
from collections.abc import Sequence

import numpy as np

from fieldgrad.engine import samples, shapes
from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.op import TensorLike, as_tensor, op
from fieldgrad.engine.ops.arithmetic import (
    multiply,
)
from fieldgrad.engine.ops.complex import conj
from fieldgrad.engine.ops.layout import (
    expand_dims,
    moveaxis,
    permute_dims,
    reshape,
    stack,
    unstack,
)
from fieldgrad.engine.ops.linalg.diagonals import matrix_transpose
from fieldgrad.engine.ops.reduce import sum
from fieldgrad.engine.shapes import normalize_axes

__all__ = ["cross", "kron", "linear", "matmul", "outer", "tensordot", "vecdot"]


@op(kernel="matmul", bilinear=True, shape=shapes.matmul, samples=samples.matrices)
def matmul(x: TensorLike, y: TensorLike, /):
    """Matrix product of the last two axes; leading axes broadcast, 1-d arrays are vectors.

    Parameters
    ----------
    x : Tensor
        Shape (…, n, k) or (k,).
    y : Tensor
        Shape (…, k, m) or (k,).

    Returns
    -------
    Tensor
        Shape (…, n, m), without the axis of an input that was a vector.

    Notes
    -----
    In float32 and float64 an element of the result is the sum over runs of 256 products, each run
    added up in order in that type (fused multiply-adds where the processor has them). It does not
    depend on the number of threads, on the other rows and columns, or on memory layout. Transposed
    views are read as they are, without a copy.
    """


@matmul.vjp
def _(g, x, y, x_shape, y_shape, needs):
    if len(x_shape) == len(y_shape) == 2:
        return matmul(g, y.T) if needs[0] else None, matmul(x.T, g) if needs[1] else None
    if len(x_shape) == len(y_shape) == 1:
        return g * y if needs[0] else None, g * x if needs[1] else None
    if len(x_shape) == 1:
        gx = matmul(y, expand_dims(g, axis=-1)) if needs[0] else None
        gx = None if gx is None else reshape(gx, gx.shape[:-1])
        return gx, expand_dims(x, axis=-1) * expand_dims(g, axis=-2) if needs[1] else None
    if len(y_shape) == 1:
        gx = expand_dims(g, axis=-1) * y if needs[0] else None
        if not needs[1]:
            return gx, None
        gy = matmul(matrix_transpose(x), expand_dims(g, axis=-1))
        return gx, reshape(gy, gy.shape[:-1])
    gx = matmul(g, matrix_transpose(y)) if needs[0] else None
    if not needs[1]:
        return gx, None
    if len(y_shape) == 2:  # one product over all rows, instead of one for each batch and their sum
        n_rows = math.prod(g.shape[:-1])
        x, g = reshape(x, (n_rows, x_shape[-1])), reshape(g, (n_rows, g.shape[-1]))
    return gx, matmul(matrix_transpose(x), g)


@op(kernel="linear", bilinear=True, shape=shapes.linear, samples=samples.linears)
def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, /):
    """x · weightᵀ + bias over the last axis.

    Fused for speed: the product is not read and written once more to add the bias.

    Parameters
    ----------
    x : Tensor
        Shape (…, in).
    weight : Tensor
        Shape (out, in).
    bias : Tensor, optional
        Shape (out,).

    Returns
    -------
    Tensor
        Shape (…, out).

    Raises
    ------
    ShapeError
        If the sizes do not fit.

    Notes
    -----
    Sums as in `matmul`, the bias last: a row of the result does not depend on the other rows.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> weight = fg.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> fg.linear(fg.tensor([1.0, 10.0]), weight, fg.tensor([0.5, 0.0])).tolist()
    [21.5, 43.0]
    """
    y = matmul(x, weight.T)
    return y if bias is None else y + bias


@linear.vjp
def _(g, x, weight, needs):
    gx = matmul(g, weight) if needs[0] else None
    if g.ndim != 2:  # one product over all rows
        n_rows = math.prod(g.shape[:-1])
        g = reshape(g, (n_rows, g.shape[-1]))
        x = reshape(x, (n_rows, x.shape[-1])) if needs[1] else None
    return (
        gx,
        matmul(g.T, x) if needs[1] else None,
        sum(g, axis=0) if needs[2] else None,
    )


def outer(x: TensorLike, y: TensorLike, /) -> Tensor:
    """Every product of an element of one vector with an element of the other.

    Parameters
    ----------
    x : Tensor
        Shape (m,).
    y : Tensor
        Shape (n,).

    Returns
    -------
    Tensor
        Shape (m, n).

    Raises
    ------
    ShapeError
        If one of them is no vector.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.linalg.outer(fg.tensor([1, 2]), fg.tensor([3, 4])).tolist()
    [[3, 4], [6, 8]]
    """
    if np.ndim(x) != 1 or np.ndim(y) != 1:
        raise ShapeError(f"outer: shapes {np.shape(x)} and {np.shape(y)}; expected two vectors.")
    return multiply(expand_dims(x, axis=-1), expand_dims(y, axis=0))


def vecdot(x: TensorLike, y: TensorLike, /, *, axis: int = -1) -> Tensor:
    """Scalar products of vectors along an axis; the first one conjugated if it is complex.

    Parameters
    ----------
    x, y : Tensor
        Shapes that broadcast, with n elements along the axis in both.
    axis : int, default -1
        The axis, counted in the inputs: of unequal numbers of axes give it from the end.

    Returns
    -------
    Tensor
        The common shape without the axis.

    Raises
    ------
    ShapeError
        If the axis differs in length.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.vecdot(fg.tensor([1.0, 2.0]), fg.tensor([3.0, 4.0])).item()
    11.0
    """
    x, y = as_tensor(x), as_tensor(y)
    normalize_axes(axis, x.ndim, "vecdot")
    normalize_axes(axis, y.ndim, "vecdot")
    x, y = moveaxis(x, axis, -1), moveaxis(y, axis, -1)
    if x.shape[-1] != y.shape[-1]:
        raise ShapeError(
            f"vecdot: {x.shape[-1]} and {y.shape[-1]} elements along axis {axis}; expected as many."
        )
    if x.dtype.kind == "c":
        x = conj(x)
    product = matmul(expand_dims(x, axis=-2), expand_dims(y, axis=-1))
    return reshape(product, product.shape[:-2])


def tensordot(
    x: TensorLike, y: TensorLike, /, *, axes: int | Sequence[Sequence[int]] = 2
) -> Tensor:
    """Sum of products over pairs of axes.

    Parameters
    ----------
    x, y : Tensor
        Any shapes.
    axes : int or (sequence of int, sequence of int), default 2
        The axes of x and, in the same order, those of y; or a number n: the last n of x and the
        first n of y.

    Returns
    -------
    Tensor
        The other axes of x, followed by those of y.

    Raises
    ------
    ShapeError
        If paired axes differ in length.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.tensordot(fg.tensor([[1.0, 2.0]]), fg.tensor([[3.0], [4.0]]), axes=1).tolist()
    [[11.0]]
    """
    x, y = as_tensor(x), as_tensor(y)
    if isinstance(axes, int):
        of_x: Sequence[int] = range(x.ndim - axes, x.ndim)
        of_y: Sequence[int] = range(axes)
    else:
        of_x, of_y = (a if isinstance(a, Sequence) else (a,) for a in axes)
    of_x = normalize_axes(tuple(of_x), x.ndim, "tensordot")
    of_y = normalize_axes(tuple(of_y), y.ndim, "tensordot")
    if [x.shape[a] for a in of_x] != [y.shape[a] for a in of_y]:
        raise ShapeError(
            f"tensordot: axes {of_x} of shape {x.shape} and {of_y} of {y.shape}; expected equal "
            "lengths in pairs."
        )
    rest_x = [a for a in range(x.ndim) if a not in of_x]
    rest_y = [a for a in range(y.ndim) if a not in of_y]
    n = math.prod(x.shape[a] for a in of_x)
    shape_x, shape_y = [x.shape[a] for a in rest_x], [y.shape[a] for a in rest_y]
    rows = reshape(permute_dims(x, (*rest_x, *of_x)), (math.prod(shape_x), n))
    columns = reshape(permute_dims(y, (*of_y, *rest_y)), (n, math.prod(shape_y)))
    return reshape(matmul(rows, columns), (*shape_x, *shape_y))


def kron(x: TensorLike, y: TensorLike, /) -> Tensor:
    """Kronecker product: blocks of y, each times an element of x.

    Parameters
    ----------
    x : Tensor
        Shape (m_0, m_1, …).
    y : Tensor
        Shape (n_0, n_1, …); the array with fewer axes gets axes of length 1 in front.

    Returns
    -------
    Tensor
        Shape (m_0 · n_0, m_1 · n_1, …).

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.linalg.kron(fg.tensor([1, 10]), fg.tensor([1, 2])).tolist()
    [1, 2, 10, 20]
    """
    x, y = as_tensor(x), as_tensor(y)
    ndim = builtins.max(x.ndim, y.ndim)
    shape_x = (1,) * (ndim - x.ndim) + x.shape
    shape_y = (1,) * (ndim - y.ndim) + y.shape
    x = reshape(x, tuple(n for m in shape_x for n in (m, 1)))
    y = reshape(y, tuple(n for m in shape_y for n in (1, m)))
    return reshape(multiply(x, y), tuple(m * n for m, n in zip(shape_x, shape_y, strict=True)))


def cross(x: TensorLike, y: TensorLike, /, *, axis: int = -1) -> Tensor:
    """Cross products of vectors with three components.

    Parameters
    ----------
    x, y : Tensor
        Shapes that broadcast, with 3 elements along the axis.
    axis : int, default -1
        Axis of the components.

    Returns
    -------
    Tensor
        The common shape.

    Raises
    ------
    ShapeError
        If the axis has not 3 elements.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.linalg.cross(fg.tensor([1, 0, 0]), fg.tensor([0, 1, 0])).tolist()
    [0, 0, 1]
    """
    x, y = as_tensor(x), as_tensor(y)
    for name, t in (("x", x), ("y", y)):
        (a,) = normalize_axes(axis, t.ndim, "cross")
        if t.shape[a] != 3:
            raise ShapeError(
                f"cross: {name} has shape {t.shape}, with {t.shape[a]} elements along axis {axis}; "
                "expected 3."
            )
    a0, a1, a2 = unstack(x, axis=axis)
    b0, b1, b2 = unstack(y, axis=axis)
    parts = [a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0]
    return stack(parts, axis=axis)
