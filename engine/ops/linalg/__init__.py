"""Linear algebra: products, factorizations, equations, norms; batches in the leading axes.

The names are those of the array API standard's extension ``linalg``, with a few of NumPy's and
SciPy's (``cond``, ``expm``, ``kron``, ``lstsq``, ``lu``, ``norm``, ``solve_triangular``). All have
gradients of any order for real matrices; for complex ones where the docstring does not refuse.

- `products`: matmul, tensordot, outer, …;
- `contraction`: einsum;
- `diagonals`: transposes, diagonals, traces;
- `factorizations`: cholesky, qr, lu, eigh, svd;
- `equations`: solve, inv, det, pinv, lstsq, expm, …;
- `norms`: of vectors and matrices, condition, rank.
"""

from fieldgrad.engine.ops.linalg.contraction import contract, einsum, multi_dot
from fieldgrad.engine.ops.linalg.diagonals import diagonal, matrix_transpose, trace, vander
from fieldgrad.engine.ops.linalg.equations import (
    cholesky_solve,
    det,
    expm,
    inv,
    logdet,
    lstsq,
    matrix_power,
    pinv,
    slogdet,
    solve,
    solve_triangular,
    tensorinv,
    tensorsolve,
)
from fieldgrad.engine.ops.linalg.factorizations import (
    cholesky,
    eig,
    eigh,
    eigvals,
    eigvalsh,
    lu,
    qr,
    svd,
    svdvals,
)
from fieldgrad.engine.ops.linalg.norms import cond, matrix_norm, matrix_rank, norm, vector_norm
from fieldgrad.engine.ops.linalg.products import (
    cross,
    kron,
    linear,
    matmul,
    outer,
    tensordot,
    vecdot,
)

__all__ = [
    "cholesky",
    "cholesky_solve",
    "cond",
    "contract",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "einsum",
    "expm",
    "inv",
    "kron",
    "linear",
    "logdet",
    "lstsq",
    "lu",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "multi_dot",
    "norm",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensordot",
    "tensorinv",
    "tensorsolve",
    "trace",
    "vander",
    "vecdot",
    "vector_norm",
]
