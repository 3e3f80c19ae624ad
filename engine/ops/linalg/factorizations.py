"""Factorizations of matrices, by LAPACK; the matrices of a batch stand in the last two axes."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine import samples, shapes
from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import GradientError
from fieldgrad.engine.op import TensorLike, op
from fieldgrad.engine.ops.arithmetic import (
    sqrt,
    square,
    where,
)
from fieldgrad.engine.ops.complex import imag, real
from fieldgrad.engine.ops.layout import concat, expand_dims
from fieldgrad.engine.ops.linalg.diagonals import matrix_transpose
from fieldgrad.engine.ops.linalg.equations import inv, refuse_complex, solve_triangular
from fieldgrad.engine.ops.linalg.products import matmul
from fieldgrad.engine.ops.reduce import sum

__all__ = ["cholesky", "eig", "eigh", "eigvals", "eigvalsh", "lu", "qr", "svd", "svdvals"]


class EighResult(NamedTuple):
    """Eigenvalues and eigenvectors of `eigh`."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class EigResult(NamedTuple):
    """Eigenvalues and eigenvectors of `eig`."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class QRResult(NamedTuple):
    """Factors of `qr`."""

    Q: Tensor
    R: Tensor


class SVDResult(NamedTuple):
    """Factors of `svd`."""

    U: Tensor
    S: Tensor
    Vh: Tensor


def _triangle(x: Tensor, kind: NDArray[Any]) -> Tensor:
    """x times a constant triangle of numbers of x's type."""
    return x * Tensor(kind.astype(x.dtype))


def _halved(n: int) -> NDArray[Any]:
    """Ones below the diagonal, halves on it."""
    lower: NDArray[Any] = np.tril(np.ones((n, n)))
    lower[np.arange(n), np.arange(n)] = 0.5
    return lower


def _symmetric(x: Tensor) -> Tensor:
    return (x + matrix_transpose(x)) * 0.5


def _row_of(x: Tensor) -> Tensor:
    """The numbers of the last axis as the columns of one row."""
    return expand_dims(x, axis=-2)


@op(kernel="cholesky", floating=True, shape=shapes.square, samples=samples.positive_matrices)
def cholesky(x: TensorLike, /, *, upper: bool = False):
    """Triangular L with L Lᵀ = x (Lᴴ for complex x).

    Parameters
    ----------
    x : Tensor
        Shape (…, n, n), symmetric (Hermitian) and positive definite.
    upper : bool, default False
        Whether to give Lᵀ (Lᴴ) instead.

    Returns
    -------
    Tensor
        Shape (…, n, n); zeros in the other triangle.

    Raises
    ------
    LinAlgError
        If a matrix is not positive definite.

    Notes
    -----
    What is factorized is (x + xᵀ) / 2, so that the gradient is symmetric too.

    References
    ----------
    Murray, "Differentiation of the Cholesky decomposition", 2016, arXiv:1602.07527, eq. 9.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.linalg.cholesky(fg.tensor([[4.0, 2.0], [2.0, 5.0]])).tolist()
    [[2.0, 0.0], [1.0, 2.0]]
    """


@cholesky.vjp
def _(g, out, upper):
    refuse_complex("cholesky", out)
    factor, g = (matrix_transpose(out), matrix_transpose(g)) if upper else (out, g)
    inner = _triangle(matmul(matrix_transpose(factor), g), _halved(g.shape[-1]))
    half = solve_triangular(matrix_transpose(factor), inner, upper=True)
    whole = solve_triangular(matrix_transpose(factor), matrix_transpose(half), upper=True)
    return _symmetric(whole)


@op(kernel="qr", several=True, floating=True, shape=shapes.qr, samples=samples.qr_matrices)
def qr_factors(x: TensorLike, /, *, mode: str = "reduced"):
    """What `qr` calls: a tuple of Q and R."""


@qr_factors.vjp
def _(gs, x, outs, mode):
    (gq, gr), (q, r) = gs, outs
    refuse_complex("qr", q)
    m, n = x.shape[-2:]
    if mode == "complete" and m > n:
        raise GradientError(
            "qr: mode='complete' of a matrix with more rows than columns has no gradient: the "
            "further columns of Q are not determined by x. Use mode='reduced'."
        )
    if m >= n:
        return _qr_gradient(gq, gr, q, r)
    # x = [left, right] with a square left = Q U; R = [U, Qᵀ right].
    right = x[..., m:]
    g_right = None
    g_left_r = None if gr is None else gr[..., :m]
    if gr is not None:
        g_v = gr[..., m:]
        g_right = matmul(q, g_v)
        more = matmul(right, matrix_transpose(g_v))
        gq = more if gq is None else gq + more
    g_left = _qr_gradient(gq, g_left_r, q, r[..., :m])
    if g_right is None:
        g_right = right * 0.0
    return concat([g_left, g_right], axis=-1)


def _qr_gradient(gq: Tensor | None, gr: Tensor | None, q: Tensor, r: Tensor) -> Tensor:
    """Gradient of a QR factorization with at least as many rows as columns."""
    n = r.shape[-1]
    terms = []
    if gr is not None:
        terms.append(matmul(r, matrix_transpose(gr)))
    if gq is not None:
        terms.append(-matmul(matrix_transpose(gq), q))
    inner = terms[0] if len(terms) == 1 else terms[0] + terms[1]
    lower = _triangle(inner, _halved(n))
    total = matmul(q, lower + matrix_transpose(lower))
    total = total if gq is None else total + gq
    # total · R⁻ᵀ, as the transpose of R⁻¹ · totalᵀ
    return matrix_transpose(solve_triangular(r, matrix_transpose(total), upper=True))


def qr(x: TensorLike, /, *, mode: str = "reduced") -> QRResult:
    """Q with orthonormal columns and an upper triangular R with Q R = x.

    Parameters
    ----------
    x : Tensor
        Shape (…, m, n); k = min(m, n).
    mode : {"reduced", "complete"}
        Q of shape (…, m, k) and R (…, k, n), or Q square.

    Returns
    -------
    QRResult
        Named tuple of Q and R.

    Notes
    -----
    The gradient needs the first k columns to be independent. With mode "complete" there is none for
    m > n.

    References
    ----------
    Walter, Lehmann, "Algorithmic differentiation of linear algebra functions with application in
    optimum experimental design", 2010, arXiv:1001.1654.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> x = fg.tensor([[3.0, 1.0], [4.0, 2.0]])
    >>> q, r = fg.linalg.qr(x)
    >>> round(abs(float(r[0, 0])), 4)
    5.0
    """
    if mode not in ("reduced", "complete"):
        raise ValueError(f"qr: mode = {mode!r}; expected 'reduced' or 'complete'.")
    return QRResult(*qr_factors(x, mode=mode))


@op(kernel="eigh", several=True, floating=True, shape=shapes.eigh, samples=samples.symmetric)
def eigh_factors(x: TensorLike, /):
    """What `eigh` calls: a tuple of eigenvalues and eigenvectors."""


@eigh_factors.vjp
def _(gs, outs):
    (gw, gv), (w, v) = gs, outs
    refuse_complex("eigh", v)
    vt = matrix_transpose(v)
    if gv is None:
        return matmul(v * _row_of(gw), vt)
    inner = _symmetric(matmul(vt, gv) * _inverse_differences(w))
    diagonal = Tensor(np.eye(w.shape[-1], dtype=w.dtype))
    if gw is not None:
        inner = inner + diagonal * _row_of(gw)
    return matmul(matmul(v, inner), vt)


def _inverse_differences(w: Tensor) -> Tensor:
    """1 / (w_j - w_i) in row i and column j, 0 on the diagonal."""
    difference = _row_of(w) - expand_dims(w, axis=-1)
    diagonal = np.eye(w.shape[-1], dtype=bool)
    return where(diagonal, 0.0, 1.0 / where(diagonal, 1.0, difference))


def eigh(x: TensorLike, /) -> EighResult:
    """Eigenvalues, in ascending order, and eigenvectors of symmetric (Hermitian) matrices.

    Parameters
    ----------
    x : Tensor
        Shape (…, n, n), symmetric; what counts is (x + xᵀ) / 2.

    Returns
    -------
    EighResult
        Named tuple of eigenvalues, shape (…, n), and eigenvectors, the columns of an array of shape
        (…, n, n).

    Notes
    -----
    Eigenvectors are determined up to their sign, and of equal eigenvalues up to a rotation: only
    what does not depend on that choice has a gradient. With equal eigenvalues the gradient through
    the vectors is infinite; through the values alone it is right.

    References
    ----------
    Giles, "Collected matrix derivative results for forward and reverse mode algorithmic
    differentiation", 2008, section 3.1.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.linalg.eigh(fg.tensor([[2.0, 0.0], [0.0, 1.0]])).eigenvalues.tolist()
    [1.0, 2.0]
    """
    return EighResult(*eigh_factors(x))


@op(kernel="eigvalsh", floating=True, shape=shapes.eigenvalues, samples=samples.symmetric)
def eigvalsh(x: TensorLike, /):
    """Eigenvalues of symmetric (Hermitian) matrices, in ascending order.

    Faster than `eigh` where no gradient is wanted.

    Parameters
    ----------
    x : Tensor
        Shape (…, n, n), symmetric; what counts is (x + xᵀ) / 2.

    Returns
    -------
    Tensor
        Shape (…, n).
    """


@eigvalsh.vjp
def _(g, x):
    refuse_complex("eigvalsh", x)
    v = eigh_factors(x)[1]
    return matmul(v * _row_of(g), matrix_transpose(v))


@op(
    kernel="eig",
    several=True,
    floating=True,
    shape=shapes.eigh,
    samples=samples.with_real_eigenvalues,
)
def eig_factors(x: TensorLike, /):
    """Eigenvalues and eigenvectors, for `eig`, whose lengths count as chance for the gradient."""


@eig_factors.vjp
def _(gs, x, outs):
    (gw, gv), (w, v) = gs, outs
    vt = matrix_transpose(v)
    inner = 0.0 if gw is None else Tensor(np.eye(w.shape[-1], dtype=w.dtype)) * _row_of(gw)
    if gv is not None:
        inner = matmul(vt, gv) * _inverse_differences(w) + inner
    adjoint = matmul(matmul(matrix_transpose(inv(v)), inner), vt)
    return adjoint if x.dtype.kind == "c" else real(adjoint)


def eig(x: TensorLike, /) -> EigResult:
    """Eigenvalues and right eigenvectors of any square matrices; complex.

    Parameters
    ----------
    x : Tensor
        Shape (…, n, n).

    Returns
    -------
    EigResult
        Named tuple of eigenvalues, shape (…, n), in no particular order, and eigenvectors, the
        columns of an array of shape (…, n, n), of length 1.

    Notes
    -----
    Eigenvectors are determined up to a factor of modulus 1: only what does not depend on it has a
    gradient. With equal eigenvalues the gradient through the vectors is infinite.

    References
    ----------
    Boeddeker et al., "On the computation of complex-valued gradients with application to
    statistically optimum beamforming", 2017, arXiv:1701.00392, section 4.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> rotation = fg.tensor([[0.0, -1.0], [1.0, 0.0]])
    >>> sorted(fg.linalg.eig(rotation).eigenvalues.numpy().imag.tolist())
    [-1.0, 1.0]
    """
    values, vectors = eig_factors(x)
    if vectors.requires_grad:  # the lengths are 1, but their derivatives are not 0
        squares = square(real(vectors)) + square(imag(vectors))
        vectors = vectors / sqrt(sum(squares, axis=-2, keepdims=True))
    return EigResult(values, vectors)


@op(
    kernel="eigvals",
    floating=True,
    shape=shapes.eigenvalues,
    samples=samples.with_real_eigenvalues,
)
def eigvals(x: TensorLike, /):
    """Eigenvalues of any square matrices; complex.

    Parameters
    ----------
    x : Tensor
        Shape (…, n, n).

    Returns
    -------
    Tensor
        Shape (…, n), in no particular order.

    Notes
    -----
    The gradient needs n independent eigenvectors.
    """


@eigvals.vjp
def _(g, x):
    v = eig_factors(x)[1]
    adjoint = matmul(matrix_transpose(inv(v)) * _row_of(g), matrix_transpose(v))
    return adjoint if x.dtype.kind == "c" else real(adjoint)


@op(
    kernel="svd",
    several=True,
    floating=True,
    shape=shapes.svd,
    samples=samples.with_attributes(samples.spread_matrices, {"full_matrices": False}),
)
def svd_factors(x: TensorLike, /, *, full_matrices: bool = True):
    """What `svd` calls: a tuple of U, S and Vᴴ."""


@svd_factors.vjp
def _(gs, outs):
    (gu, gs, gv), (u, s, vh) = gs, outs
    refuse_complex("svd", u)
    k = s.shape[-1]
    # The further columns of full matrices are not determined by x; they count as constants.
    u, vh = u[..., :k], vh[..., :k, :]
    gu, gv = None if gu is None else gu[..., :k], None if gv is None else gv[..., :k, :]
    if gu is None and gv is None:
        return matmul(u * _row_of(gs), vh)
    row, column = _row_of(s), expand_dims(s, axis=-1)
    diagonal = np.eye(k, dtype=bool)
    inverse = where(diagonal, 0.0, 1.0 / where(diagonal, 1.0, (row - column) * (row + column)))
    inner = 0.0 if gs is None else Tensor(np.eye(k, dtype=s.dtype)) * _row_of(gs)
    if gu is not None:
        turned = matmul(matrix_transpose(u), gu)
        inner = (turned - matrix_transpose(turned)) * inverse * row + inner
    if gv is not None:
        turned = matmul(vh, matrix_transpose(gv))
        inner = column * ((turned - matrix_transpose(turned)) * inverse) + inner
    total = matmul(matmul(u, inner), vh)
    if gu is not None and u.shape[-2] > k:  # what of gu leaves the space of U
        scaled = gu / row
        total = total + matmul(scaled - matmul(u, matmul(matrix_transpose(u), scaled)), vh)
    if gv is not None and vh.shape[-1] > k:
        scaled = gv / column
        total = total + matmul(u, scaled - matmul(matmul(scaled, matrix_transpose(vh)), vh))
    return total


def svd(x: TensorLike, /, *, full_matrices: bool = True) -> SVDResult:
    """Singular values S, in descending order, and orthonormal U and Vᴴ with x = U · S · Vᴴ.

    Parameters
    ----------
    x : Tensor
        Shape (…, m, n); k = min(m, n).
    full_matrices : bool, default True
        Whether U and Vᴴ are square. Without, U has shape (…, m, k) and Vᴴ (…, k, n).

    Returns
    -------
    SVDResult
        Named tuple of U, S of shape (…, k) and Vh.

    Notes
    -----
    Singular vectors are determined up to a common sign, of equal values up to a rotation: only what
    does not depend on that choice has a gradient. With equal or zero values the gradient through
    the vectors is infinite; through the values alone it is right. Columns of U and rows of Vᴴ
    beyond k are constants for the gradient.

    References
    ----------
    Townsend, "Differentiating the singular value decomposition", 2016.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.linalg.svd(fg.tensor([[0.0, 2.0], [3.0, 0.0]])).S.tolist()
    [3.0, 2.0]
    """
    return SVDResult(*svd_factors(x, full_matrices=full_matrices))


@op(kernel="svdvals", floating=True, shape=shapes.svdvals, samples=samples.spread_matrices)
def svdvals(x: TensorLike, /):
    """Singular values, in descending order.

    Faster than `svd` where no gradient is wanted.

    Parameters
    ----------
    x : Tensor
        Shape (…, m, n).

    Returns
    -------
    Tensor
        Shape (…, min(m, n)).
    """


@svdvals.vjp
def _(g, x):
    refuse_complex("svdvals", x)
    u, _, vh = svd_factors(x, full_matrices=False)
    return matmul(u * _row_of(g), vh)


@op(kernel="lu", several=True, floating=True, shape=shapes.lu, samples=samples.spread_matrices)
def lu(x: TensorLike, /):
    """Permutation P, unit lower triangular L and upper triangular U with P L U = x.

    Rows are exchanged for the largest pivot, as LAPACK does.

    Parameters
    ----------
    x : Tensor
        Shape (…, m, n); k = min(m, n).

    Returns
    -------
    tuple of Tensor
        P of shape (…, m, m), L (…, m, k) and U (…, k, n), of one dtype.

    Notes
    -----
    The gradient needs the leading k by k part of Pᵀ x to be invertible. P is a constant.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> p, l, u = fg.linalg.lu(fg.tensor([[1.0, 2.0], [2.0, 2.0]]))
    >>> l.tolist(), u.tolist()
    ([[1.0, 0.0], [0.5, 1.0]], [[2.0, 2.0], [0.0, 1.0]])
    """


@lu.vjp
def _(gs, outs):
    (_, gl, gu), (p, lower, upper) = gs, outs
    k, m, n = lower.shape[-1], lower.shape[-2], upper.shape[-1]
    gl = lower * 0.0 if gl is None else gl
    gu = upper * 0.0 if gu is None else gu
    square_l, square_u = lower[..., :k, :], upper[..., :k]
    g_square_l, g_square_u = gl[..., :k, :], gu[..., :k]
    if m > n:  # the lower rows of L are those of x times U⁻¹
        below = lower[..., k:, :]
        g_below = _right_of_inverse(gl[..., k:, :], square_u)
        g_square_u = g_square_u - matmul(matrix_transpose(below), g_below)
    if n > m:  # the further columns of U are L⁻¹ times those of x
        beside = upper[..., k:]
        g_beside = solve_triangular(
            matrix_transpose(square_l), gu[..., k:], upper=True, unit_diagonal=True
        )
        g_square_l = g_square_l - matmul(g_beside, matrix_transpose(beside))
    strict = np.tril(np.ones((k, k)), -1)
    inner = _triangle(matmul(matrix_transpose(square_l), g_square_l), strict)
    inner = inner + _triangle(matmul(g_square_u, matrix_transpose(square_u)), strict.T + np.eye(k))
    g = solve_triangular(matrix_transpose(square_l), inner, upper=True, unit_diagonal=True)
    g = _right_of_inverse(g, square_u)
    if m > n:
        g = concat([g, g_below], axis=-2)
    if n > m:
        g = concat([g, g_beside], axis=-1)
    return matmul(p, g)


def _right_of_inverse(g: Tensor, u: Tensor) -> Tensor:
    """g · U⁻ᵀ for an upper triangular U."""
    return matrix_transpose(solve_triangular(u, matrix_transpose(g), upper=True))
