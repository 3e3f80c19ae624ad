"""Products, factorizations and equations of matrices."""

import numpy as np
import scipy.linalg


def _of_batch(function, x):
    """A function of matrices, one by one."""
    return np.array([function(m) for m in x.reshape(-1, *x.shape[-2:])]).reshape(x.shape)


def _solve_triangular(a, b, upper, left, unit_diagonal):
    a = np.triu(a) if upper else np.tril(a)
    if unit_diagonal:
        a[..., np.arange(a.shape[-1]), np.arange(a.shape[-1])] = 1
    if left:
        return np.linalg.solve(a, b)
    return np.linalg.solve(a.swapaxes(-1, -2), b.swapaxes(-1, -2)).swapaxes(-1, -2)


def _lu(x):
    """By SciPy, which refuses an empty batch."""
    if x.size:
        return scipy.linalg.lu(x)
    m, n = x.shape[-2:]
    return [np.zeros((0, *shape)) for shape in ((m, m), (m, min(m, n)), (min(m, n), n))]


def _lstsq(a, b, rtol):
    return np.linalg.pinv(a) @ b


REFERENCES = {
    "cholesky": lambda x, upper: np.linalg.cholesky(x, upper=upper),
    "qr_factors": np.linalg.qr,
    "eigh_factors": np.linalg.eigh,
    "eigvalsh": np.linalg.eigvalsh,
    "eig_factors": lambda x: [y.astype(complex) for y in np.linalg.eig(x)],
    "eigvals": lambda x: np.linalg.eigvals(x).astype(complex),
    "svd_factors": np.linalg.svd,
    "svdvals": np.linalg.svdvals,
    "lu": _lu,
    "solve": np.linalg.solve,
    "solve_triangular": _solve_triangular,
    "inv": np.linalg.inv,
    "det": np.linalg.det,
    "cofactors": lambda x: np.linalg.det(x)[..., None, None] * np.linalg.inv(x).swapaxes(-1, -2),
    "slogdet_parts": np.linalg.slogdet,
    "pinv": lambda x, rtol=None: np.linalg.pinv(x, rtol=rtol),
    "lstsq": _lstsq,
    "expm": lambda x: _of_batch(scipy.linalg.expm, x),
    "matmul": np.matmul,
    "linear": lambda x, weight, bias=0.0: x @ weight.T + bias,
    "contract": lambda *arrays, subscripts: np.einsum(subscripts, *arrays),
}
