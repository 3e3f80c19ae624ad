"""Linear equations, inverses, determinants and matrix functions; batches in the leading axes."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fieldgrad.engine import samples, shapes
from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import GradientError, ShapeError
from fieldgrad.engine.op import TensorLike, as_tensor, op
from fieldgrad.engine.ops.arithmetic import where
from fieldgrad.engine.ops.complex import conj
from fieldgrad.engine.ops.elementary import log
from fieldgrad.engine.ops.layout import (
    broadcast_to,
    concat,
    expand_dims,
    permute_dims,
    reshape,
)
from fieldgrad.engine.ops.linalg.diagonals import matrix_transpose
from fieldgrad.engine.ops.linalg.products import matmul

__all__ = [
    "cholesky_solve",
    "det",
    "expm",
    "inv",
    "logdet",
    "lstsq",
    "matrix_power",
    "pinv",
    "slogdet",
    "solve",
    "solve_triangular",
    "tensorinv",
    "tensorsolve",
]


class SlogdetResult(NamedTuple):
    """Sign and logarithm of the absolute value of `slogdet`."""

    sign: Tensor
    logabsdet: Tensor


def refuse_complex(name: str, x: Tensor) -> None:
    """Say that a rule is one of real numbers."""
    if x.dtype.kind == "c":
        raise GradientError(
            f"{name}: complex matrices have no gradient here. Write them as real ones, "
            "[[a, -b], [b, a]] for a + b i, or detach the input."
        )


@op(kernel="solve", floating=True, shape=shapes.solve, samples=samples.equations)
def solve(a: TensorLike, b: TensorLike, /):
    """The x with a x = b.

    Parameters
    ----------
    a : Tensor
        Shape (…, n, n), invertible.
    b : Tensor
        Shape (…, n, k), or (n,): one vector.

    Returns
    -------
    Tensor
        Shape (…, n, k), or (…, n) if b is a vector.

    Raises
    ------
    LinAlgError
        If a matrix is singular.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> a = fg.tensor([[2.0, 0.0], [1.0, 1.0]])
    >>> fg.linalg.solve(a, fg.tensor([2.0, 3.0])).tolist()
    [1.0, 2.0]
    """


@solve.vjp
def _(g, out, a, b, needs):
    vector = b.ndim == 1
    g_column = expand_dims(g, axis=-1) if vector else g
    gb = solve(matrix_transpose(a), g_column)
    x = expand_dims(out, axis=-1) if vector else out
    ga = -matmul(gb, matrix_transpose(x)) if needs[0] else None
    return ga, reshape(gb, gb.shape[:-1]) if vector else gb


@op(
    kernel="solve_triangular",
    floating=True,
    shape=shapes.solve_triangular,
    samples=samples.triangular_equations,
)
def solve_triangular(
    a: TensorLike,
    b: TensorLike,
    /,
    *,
    upper: bool,
    left: bool = True,
    unit_diagonal: bool = False,
):
    """The x with a x = b, or x a = b, for a triangular a.

    Parameters
    ----------
    a : Tensor
        Shape (…, n, n). Its other triangle is not read.
    b : Tensor
        Shape (…, n, k); (…, k, n) for x a = b.
    upper : bool
        Whether a is upper or lower triangular.
    left : bool, default True
        Whether a stands to the left of x.
    unit_diagonal : bool, default False
        Whether the diagonal of a counts as ones, whatever it holds.

    Returns
    -------
    Tensor
        Shape of b.

    Raises
    ------
    LinAlgError
        If there is a 0 on a diagonal.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> a, b = fg.tensor([[2.0, 0.0], [1.0, 1.0]]), fg.tensor([[2.0], [3.0]])
    >>> fg.linalg.solve_triangular(a, b, upper=False).tolist()
    [[1.0], [2.0]]
    """


@solve_triangular.vjp
def _(g, out, a, upper, left, unit_diagonal, needs):
    gb = solve_triangular(
        matrix_transpose(a), g, upper=not upper, left=left, unit_diagonal=unit_diagonal
    )
    if not needs[0]:
        return None, gb
    outer = matmul(gb, matrix_transpose(out)) if left else matmul(matrix_transpose(out), gb)
    n = a.shape[-1]
    kept = (np.triu if upper else np.tril)(
        np.ones((n, n)), (1 if upper else -1) if unit_diagonal else 0
    )
    return -outer * Tensor(kept.astype(g.dtype)), gb


def cholesky_solve(factor: TensorLike, b: TensorLike, /, *, upper: bool = False) -> Tensor:
    """The x with a x = b, from the Cholesky factor of a.

    Parameters
    ----------
    factor : Tensor
        Shape (…, n, n): what `cholesky` gave for a.
    b : Tensor
        Shape (…, n, k).
    upper : bool, default False
        Whether the factor is the upper one.

    Returns
    -------
    Tensor
        Shape (…, n, k).

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> factor, b = fg.tensor([[2.0, 0.0], [1.0, 2.0]]), fg.tensor([[8.0], [8.0]])
    >>> fg.linalg.cholesky_solve(factor, b).tolist()
    [[1.5], [1.0]]
    """
    adjoint = matrix_transpose(factor)
    if adjoint.dtype.kind == "c":
        adjoint = conj(adjoint)
    first, last = (adjoint, factor) if upper else (factor, adjoint)
    return solve_triangular(last, solve_triangular(first, b, upper=False), upper=True)


@op(kernel="inv", floating=True, shape=shapes.square, samples=samples.regular_matrices)
def inv(x: TensorLike, /):
    """Inverse of square matrices; to solve equations use `solve`.

    Parameters
    ----------
    x : Tensor
        Shape (…, n, n).

    Returns
    -------
    Tensor
        Shape (…, n, n).

    Raises
    ------
    LinAlgError
        If a matrix is singular.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.linalg.inv(fg.tensor([[2.0, 0.0], [0.0, 4.0]])).tolist()
    [[0.5, 0.0], [0.0, 0.25]]
    """


@inv.vjp
def _(g, out):
    adjoint = matrix_transpose(out)
    return -matmul(matmul(adjoint, g), adjoint)


@op(kernel="det", floating=True, shape=shapes.det, samples=samples.regular_matrices)
def det(x: TensorLike, /):
    """Determinant of square matrices; of large ones take `slogdet`, which does not overflow.

    Parameters
    ----------
    x : Tensor
        Shape (…, n, n).

    Returns
    -------
    Tensor
        Shape (…).

    Notes
    -----
    The gradient, the matrix of cofactors, is right for singular matrices too. Second derivatives
    need invertible ones.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> round(fg.linalg.det(fg.tensor([[1.0, 2.0], [3.0, 4.0]])).item(), 5)
    -2.0
    """


@det.vjp
def _(g, x):
    return _over_matrix(g) * cofactors(x)


@op(kernel="cofactors", floating=True, shape=shapes.square, samples=samples.regular_matrices)
def cofactors(x: TensorLike, /):
    """The gradient of `det`: det(x) · x⁻ᵀ, from the singular values, so that x may be singular."""
    return _over_matrix(det(x)) * matrix_transpose(inv(x))


def _over_matrix(x: Tensor) -> Tensor:
    """One number for each matrix, to multiply it with."""
    return reshape(x, (*x.shape, 1, 1))


@op(
    kernel="slogdet",
    several=True,
    floating=True,
    shape=shapes.slogdet,
    samples=samples.regular_matrices,
)
def slogdet_parts(x: TensorLike, /):
    """What `slogdet` calls: a tuple of sign and logarithm."""


@slogdet_parts.vjp
def _(gs, x):
    if gs[1] is None:
        return x * 0.0
    return _over_matrix(gs[1]) * matrix_transpose(inv(x))


def slogdet(x: TensorLike, /) -> SlogdetResult:
    """Sign, and logarithm of the absolute value, of the determinant; never overflows.

    Parameters
    ----------
    x : Tensor
        Shape (…, n, n).

    Returns
    -------
    SlogdetResult
        Named tuple of the sign, -1, 0 or 1, and logabsdet, -∞ for a singular matrix; both of shape
        (…).

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> sign, logabsdet = fg.linalg.slogdet(fg.tensor([[1.0, 2.0], [3.0, 4.0]]))
    >>> sign.item(), round(logabsdet.item(), 4)
    (-1.0, 0.6931)
    """
    return SlogdetResult(*slogdet_parts(x))


def logdet(x: TensorLike, /) -> Tensor:
    """Logarithm of the determinant; NaN where that is negative, complex if x is.

    Parameters
    ----------
    x : Tensor
        Shape (…, n, n).

    Returns
    -------
    Tensor
        Shape (…).

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> round(fg.linalg.logdet(fg.tensor([[2.0, 0.0], [0.0, 3.0]])).item(), 4)
    1.7918
    """
    sign, logarithm = slogdet(x)
    if sign.dtype.kind == "c":
        return log(sign) + logarithm
    return where(sign.data < 0, math.nan, logarithm)


@op(
    kernel="pinv",
    floating=True,
    shape=shapes.transposed,
    samples=samples.with_attributes(samples.spread_matrices, {}, {"rtol": 1e-9}),
)
def pinv(x: TensorLike, /, *, rtol: float | None = None):
    """Moore-Penrose inverse: of least squares, also for singular and rectangular matrices.

    Parameters
    ----------
    x : Tensor
        Shape (…, m, n).
    rtol : float, optional
        Singular values below this part of the largest count as zero; max(m, n) times the rounding
        of the dtype by default.

    Returns
    -------
    Tensor
        Shape (…, n, m).

    Notes
    -----
    The gradient is that at constant rank.

    References
    ----------
    Golub, Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares problems
    whose variables separate", SIAM J. Numer. Anal. 10 (1973), eq. 4.12.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> [[round(v, 4) for v in row] for row in fg.linalg.pinv(fg.tensor([[2.0], [0.0]])).tolist()]
    [[0.5, 0.0]]
    """


@pinv.vjp
def _(g, out, x):
    refuse_complex("pinv", x)
    p, pt, gt = out, matrix_transpose(out), matrix_transpose(g)
    first = matmul(matmul(pt, g), pt)
    left = matmul(matmul(gt, p), pt)  # gᵀ P Pᵀ
    right = matmul(matmul(pt, p), gt)  # Pᵀ P gᵀ
    left = left - matmul(x, matmul(p, left))
    right = right - matmul(matmul(right, p), x)
    return left + right - first


@op(
    kernel="lstsq",
    floating=True,
    shape=shapes.lstsq,
    samples=samples.overdetermined,
)
def lstsq(a: TensorLike, b: TensorLike, /, *, rtol: float | None = None):
    """The x of smallest length for which a x is nearest to b.

    Parameters
    ----------
    a : Tensor
        Shape (…, m, n).
    b : Tensor
        Shape (…, m, k), or (m,): one vector.
    rtol : float, optional
        Singular values below this part of the largest count as zero; max(m, n) times the rounding
        of the dtype by default.

    Returns
    -------
    Tensor
        Shape (…, n, k), or (…, n) if b is a vector. The residual is b - a x, the rank
        `matrix_rank`.

    Examples
    --------
    A line through three points:

    >>> import fieldgrad.engine as fg
    >>> a, b = fg.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]]), fg.tensor([1.0, 3.0, 5.0])
    >>> [round(v, 4) for v in fg.linalg.lstsq(a, b).tolist()]
    [1.0, 2.0]
    """


@lstsq.vjp
def _(g, out, a, b, rtol, needs):
    refuse_complex("lstsq", a)
    vector = b.ndim == 1
    g, x, b = (expand_dims(t, axis=-1) if vector else t for t in (g, out, b))
    p = pinv(a, rtol=rtol)
    gb = matmul(matrix_transpose(p), g)
    ga = None
    if needs[0]:
        residual = b - matmul(a, x)
        across = g - matmul(p, matmul(a, g))  # what of g leads out of a's rows
        ga = matmul(residual, matrix_transpose(matmul(p, gb)))
        ga = ga + matmul(matmul(matrix_transpose(p), x), matrix_transpose(across))
        ga = ga - matmul(gb, matrix_transpose(x))
    return ga, reshape(gb, gb.shape[:-1]) if vector else gb


@op(kernel="expm", floating=True, shape=shapes.square, samples=samples.square_matrices)
def expm(x: TensorLike, /):
    """Matrix exponential, the sum of xᵏ / k!; not the exponential of each element.

    Parameters
    ----------
    x : Tensor
        Shape (…, n, n).

    Returns
    -------
    Tensor
        Shape (…, n, n).

    References
    ----------
    Higham, "The scaling and squaring method for the matrix exponential revisited", SIAM J. Matrix
    Anal. Appl. 26 (2005); the gradient by Mathias, "A chain rule for matrix functions and
    applications", SIAM J. Matrix Anal. Appl. 17 (1996), theorem 4.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.linalg.expm(fg.tensor([[0.0, 1.0], [0.0, 0.0]])).tolist()
    [[1.0, 1.0], [0.0, 1.0]]
    """


@expm.vjp
def _(g, x):
    n, adjoint = x.shape[-1], matrix_transpose(x)
    above = concat([adjoint, g], axis=-1)
    below = concat([adjoint * 0.0, adjoint], axis=-1)
    return expm(concat([above, below], axis=-2))[..., :n, n:]


def matrix_power(x: TensorLike, n: int, /) -> Tensor:
    """x · x · … with n factors; of the inverse for negative n.

    Parameters
    ----------
    x : Tensor
        Shape (…, m, m).
    n : int
        Any integer; 0 gives the identity.

    Returns
    -------
    Tensor
        Shape (…, m, m).

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.linalg.matrix_power(fg.tensor([[1.0, 1.0], [0.0, 1.0]]), 5).tolist()
    [[1.0, 5.0], [0.0, 1.0]]
    """
    base = as_tensor(x)
    shapes.square(base.shape)
    if n == 0:
        identity = Tensor(np.eye(base.shape[-1], dtype=base.dtype))
        return broadcast_to(identity, base.shape) + base * 0
    if n < 0:
        base, n = inv(base), -n
    result: Tensor | None = None
    while n:  # the binary digits of n, from the last one on
        if n & 1:
            result = base if result is None else matmul(result, base)
        n >>= 1
        if n:
            base = matmul(base, base)
    assert result is not None
    return result


def tensorsolve(a: Tensor, b: Tensor, /, *, axes: Sequence[int] | None = None) -> Tensor:
    """The x for which the contraction of a with all axes of x is b.

    Parameters
    ----------
    a : Tensor
        Shape of b followed by that of x, with as many elements in both.
    b : Tensor
        Any shape.
    axes : sequence of int, optional
        Axes of a to move to its end first.

    Returns
    -------
    Tensor
        The last axes of a.

    Raises
    ------
    ShapeError
        If the equations are not as many as the unknowns.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> a = fg.reshape(fg.tensor([2.0, 0.0, 0.0, 4.0]), (2, 1, 2))
    >>> fg.linalg.tensorsolve(a, fg.tensor([[2.0], [2.0]])).tolist()
    [1.0, 0.5]
    """
    if axes is not None:
        last = shapes.normalize_axes(axes, a.ndim, "tensorsolve")
        a = permute_dims(a, (*(i for i in range(a.ndim) if i not in last), *last))
    shape = a.shape[b.ndim :]
    if math.prod(shape) != b.size or math.prod(a.shape[: b.ndim]) != b.size:
        raise ShapeError(
            f"tensorsolve: a has shape {a.shape}, b {b.shape}; expected a's axes after the first "
            f"{b.ndim} to have {b.size} elements together."
        )
    return reshape(solve(reshape(a, (b.size, b.size)), reshape(b, (b.size,))), shape)


def tensorinv(x: Tensor, /, *, ind: int = 2) -> Tensor:
    """Inverse of an array as a linear map between arrays.

    Parameters
    ----------
    x : Tensor
        The product of the lengths of its first ind axes is that of the others.
    ind : int, default 2
        How many axes belong to the result of the map.

    Returns
    -------
    Tensor
        The other axes of x, followed by the first ind.

    Raises
    ------
    ShapeError
        If the two products differ.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> x = fg.reshape(fg.tensor([2.0, 0.0, 0.0, 4.0]), (2, 1, 2))
    >>> fg.linalg.tensorinv(x).shape
    (2, 2, 1)
    """
    first, others = x.shape[:ind], x.shape[ind:]
    n = math.prod(first)
    if n != math.prod(others):
        raise ShapeError(
            f"tensorinv: x has shape {x.shape} and ind = {ind}; expected the first {ind} axes to "
            f"have as many elements ({n}) as the others ({math.prod(others)})."
        )
    return reshape(inv(reshape(x, (n, n))), (*others, *first))
