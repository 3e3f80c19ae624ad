"""Products of matrices; factorizations and equations by LAPACK, through NumPy and SciPy."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fieldgrad.engine.bindings import linalg_kernels
from fieldgrad.engine.device.table import Array, Table, arrays_out
from fieldgrad.engine.errors import LinAlgError

__all__ = ["KERNELS"]


def _einsum(arrays: Sequence[Array], *, subscripts: str) -> Array:
    """Pairs of arrays as matrix products, in the order that NumPy finds cheap."""
    inputs, output = subscripts.split("->")
    operands = list(zip(inputs.split(","), arrays, strict=True))
    path = np.einsum_path(subscripts, *arrays, optimize="greedy")[0][1:]
    for positions in path:
        chosen = [operands.pop(i) for i in sorted(positions, reverse=True)]
        while len(chosen) > 1:
            (term_a, a), (term_b, b) = chosen.pop(), chosen.pop()
            rest = output + "".join(term for term, _ in (*chosen, *operands))
            chosen.append(_contract_pair(term_a, a, term_b, b, rest))
        operands += chosen
    ((term, x),) = operands
    return np.asarray(np.einsum(f"{term}->{output}", x))


def _contract_pair(term_a: str, a: Array, term_b: str, b: Array, rest: str) -> tuple[str, Array]:
    """Product of two arrays, summed over the indices that the rest does not need."""
    batch = [i for i in term_a if i in term_b and i in rest]
    inner = [i for i in term_a if i in term_b and i not in rest]
    left = [i for i in term_a if i not in term_b and i in rest]
    right = [i for i in term_b if i not in term_a and i in rest]
    term = "".join(batch + left + right)
    if not inner:
        return term, np.einsum(f"{term_a},{term_b}->{term}", a, b)
    sizes = dict(zip(term_a + term_b, a.shape + b.shape, strict=True))

    def matrices(own: str, x: Array, rows: list[str], columns: list[str]) -> Array:
        x = np.einsum(f"{own}->{''.join(batch + rows + columns)}", x)
        shape = [sizes[i] for i in batch]
        return x.reshape(*shape, *(math.prod(sizes[i] for i in part) for part in (rows, columns)))

    x, y = matrices(term_a, a, left, inner), matrices(term_b, b, inner, right)
    return term, linalg_kernels.matmul(x, y).reshape([sizes[i] for i in term])


def _explained(message: str) -> Callable[..., Callable[..., Any]]:
    """A kernel whose failure says what was wrong with the matrix, and what to do."""

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def kernel(*arrays: Array, **attributes: Any) -> Any:
            try:
                return function(*arrays, **attributes)
            except np.linalg.LinAlgError as error:
                raise LinAlgError(message) from error

        return kernel

    return wrap


_converging = _explained(
    "the iteration for eigenvalues or singular values did not converge. Look for NaN and infinity "
    "in the matrix."
)


def _hermitian(x: Array) -> Array:
    return (x + x.swapaxes(-1, -2).conj()) / 2


@_explained(
    "cholesky: a matrix is not positive definite. Check that it is symmetric; if it should be "
    "positive but for rounding, add a small number to its diagonal."
)
def _cholesky(x: Array, *, upper: bool) -> Array:
    return np.linalg.cholesky(_hermitian(x), upper=upper)


def _lu(x: Array) -> list[Array]:
    import scipy.linalg  # late, since it takes longer to import than the engine

    if x.size:
        permutation, lower, upper = scipy.linalg.lu(x)
        return [permutation.astype(x.dtype), lower, upper]
    (m, n), batch = x.shape[-2:], x.shape[:-2]
    shapes = ((m, m), (m, min(m, n)), (min(m, n), n))
    return [np.zeros((*batch, *shape), x.dtype) for shape in shapes]


@_explained("solve: a matrix is singular; the equations have no solution, or many. Use lstsq.")
def _solve(a: Array, b: Array) -> Array:
    return np.linalg.solve(a, b)


def _solve_triangular(a: Array, b: Array, *, upper: bool, left: bool, unit_diagonal: bool) -> Array:
    if not left:
        a, b, upper = a.swapaxes(-1, -2), b.swapaxes(-1, -2), not upper
    if not unit_diagonal and not np.diagonal(a, 0, -2, -1).all():
        raise LinAlgError(
            "solve_triangular: there is a 0 on the diagonal; the equations have no solution, or "
            "many. Use lstsq."
        )
    from scipy.linalg import get_lapack_funcs

    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a = np.broadcast_to(a, (*batch, *a.shape[-2:]))
    out = np.array(np.broadcast_to(b, (*batch, *b.shape[-2:])), order="C")
    if out.size:
        (trtrs,) = get_lapack_funcs(("trtrs",), (a, out))
        for i in np.ndindex(*batch):
            out[i] = trtrs(a[i], out[i], lower=not upper, unitdiag=unit_diagonal)[0]
    return out if left else out.swapaxes(-1, -2)


@_explained("inv: a matrix is singular and has no inverse. pinv gives the nearest thing to one.")
def _inv(x: Array) -> Array:
    return np.linalg.inv(x)


def _complex(x: Array) -> Array:
    """NumPy gives real numbers where all imaginary parts happen to be 0."""
    return x.astype(np.result_type(x, np.complex64), copy=False)


def _cofactors(x: Array) -> Array:
    """Products of all singular values but one, between the singular vectors."""
    u, s, vh = np.linalg.svd(x)
    others = np.where(np.eye(s.shape[-1], dtype=bool), 1, s[..., None, :]).prod(axis=-1)
    sign = np.linalg.det(u) * np.linalg.det(vh)
    product: Array = (sign[..., None, None] * u * others[..., None, :]) @ vh
    return product


def _lstsq(a: Array, b: Array, *, rtol: float | None) -> Array:
    columns = b[:, None] if b.ndim == 1 else b
    batch = np.broadcast_shapes(a.shape[:-2], columns.shape[:-2])
    a = np.broadcast_to(a, (*batch, *a.shape[-2:]))
    columns = np.broadcast_to(columns, (*batch, *columns.shape[-2:]))
    out = np.zeros((*batch, a.shape[-1], columns.shape[-1]), a.dtype)
    for i in np.ndindex(*batch):
        out[i] = np.linalg.lstsq(a[i], columns[i], rcond=rtol)[0]
    return out[..., 0] if b.ndim == 1 else out


def _expm(x: Array) -> Array:
    import scipy.linalg

    return np.asarray(scipy.linalg.expm(x)) if x.size else x.copy()


KERNELS: Table = {
    "matmul": linalg_kernels.matmul,
    "linear": linalg_kernels.linear,
    "einsum": _einsum,
    "cholesky": _cholesky,
    "qr": lambda x, mode: list(np.linalg.qr(x, mode)),
    "eigh": _converging(lambda x: list(np.linalg.eigh(_hermitian(x)))),
    "eigvalsh": _converging(lambda x: np.linalg.eigvalsh(_hermitian(x))),
    "eig": _converging(lambda x: [_complex(part) for part in np.linalg.eig(x)]),
    "eigvals": _converging(lambda x: _complex(np.linalg.eigvals(x))),
    "svd": _converging(lambda x, full_matrices: list(np.linalg.svd(x, full_matrices))),
    "svdvals": _converging(np.linalg.svdvals),
    "lu": _lu,
    "solve": _solve,
    "solve_triangular": _solve_triangular,
    "inv": _inv,
    "det": arrays_out(np.linalg.det),
    "cofactors": _cofactors,
    "slogdet": lambda x: [np.asarray(part) for part in np.linalg.slogdet(x)],
    "pinv": lambda x, rtol: np.linalg.pinv(x, rtol=rtol),
    "lstsq": _lstsq,
    "expm": _expm,
}
