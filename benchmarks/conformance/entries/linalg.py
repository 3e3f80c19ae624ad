"""Products, factorizations and equations of matrices."""

import fieldgrad.engine as fg
from benchmarks.conformance.entries.adapter import Absent, Entry, LeftOut, composed, renamed, same

__all__ = ["ENTRIES"]


def _hermitian(library, x, *others, **_):
    return x + library.conj(library.moveaxis(x, -1, -2)), *others


def _triangular(library, x, *others, upper=False):
    return (library.triu if upper else library.tril)(x), *others


def _second_triangular(library, b, factor, *others, upper=False):
    return b, (library.triu if upper else library.tril)(factor), *others


def _magnitudes(result):
    """Columns of eigenvectors are determined up to a factor of modulus 1."""
    values, vectors = result
    return values, abs(vectors)


def _svd(x, full_matrices=True, **_):
    return tuple(fg.linalg.svd(x, full_matrices=full_matrices))


def _spectral(result):
    """Singular vectors are determined up to common factors: their moduli, and the product."""
    u, s, vh = result
    k = s.shape[-1]
    product = (u[..., :, :k] * s[..., None, :]) @ vh[..., :k, :]
    return s, abs(u[..., :, :k]), abs(vh[..., :k, :]), product


def _old_svd(x, some=True, compute_uv=True):
    u, s, vh = fg.linalg.svd(x, full_matrices=not some)
    return u, s, fg.conj(fg.matrix_transpose(vh))


def _old_spectral(result):
    u, s, v = result
    k = s.shape[-1]
    return s, abs(u[..., :, :k]), abs(v[..., :, :k])


def _norm(x, ord=None, dim=None, keepdim=False, *, dtype=None):
    x = x if dtype is None else x.astype(dtype)
    return fg.linalg.norm(x, ord, axis=dim, keepdims=keepdim)


def _old_norm(x, p="fro", dim=None, keepdim=False, dtype=None):
    x = x if dtype is None else x.astype(dtype)
    if p == "nuc":
        return fg.linalg.norm(x, p, axis=tuple(dim) if dim is not None else None, keepdims=keepdim)
    p = 2 if p in ("fro", None) else p
    axis = tuple(dim) if isinstance(dim, list | tuple) else dim
    return fg.linalg.vector_norm(x, ord=p, axis=axis, keepdims=keepdim)


def _vector_norm(x, ord=2, dim=None, keepdim=False, *, dtype=None):
    x = x if dtype is None else x.astype(dtype)
    return fg.linalg.vector_norm(x, ord=ord, axis=dim, keepdims=keepdim)


def _matrix_norm(x, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None):
    x = x if dtype is None else x.astype(dtype)
    return fg.linalg.norm(x, ord, axis=tuple(dim), keepdims=keepdim)


def _cholesky(x, *, upper=False):
    return fg.linalg.cholesky(x, upper=upper)


def _old_cholesky(x, upper=False):
    return fg.linalg.cholesky(x, upper=upper)


def _solve(a, b, *, left=True):
    if b.ndim == 1 or (b.ndim == a.ndim - 1 and b.shape == a.shape[:-1]):  # vectors, for torch
        return fg.linalg.solve(a, fg.expand_dims(b, axis=-1))[..., 0]
    if left:
        return fg.linalg.solve(a, b)
    transposed = fg.linalg.solve(fg.matrix_transpose(a), fg.matrix_transpose(b))
    return fg.matrix_transpose(transposed)


def _solve_triangular(a, b, *, upper, left=True, unitriangular=False):
    return fg.linalg.solve_triangular(a, b, upper=upper, left=left, unit_diagonal=unitriangular)


def _triangular_solve(b, a, upper=True, transpose=False, unitriangular=False):
    a_used = fg.conj(fg.matrix_transpose(a)) if transpose else a
    x = fg.linalg.solve_triangular(a_used, b, upper=upper != transpose, unit_diagonal=unitriangular)
    return x, a


def _cholesky_solve(b, factor, upper=False):
    return fg.linalg.cholesky_solve(factor, b, upper=upper)


def _cholesky_inverse(factor, upper=False):
    eye = fg.eye(factor.shape[-1], dtype=factor.dtype)
    return fg.linalg.cholesky_solve(factor, eye, upper=upper)


def _eig(x):
    return tuple(fg.linalg.eig(x))


def _eigh(x, UPLO="L"):
    return tuple(fg.linalg.eigh(x))


def _lu(x, *, pivot=True):
    return tuple(fg.linalg.lu(x))


def _qr(x, mode="reduced"):
    return tuple(fg.linalg.qr(x, mode=mode))


def _old_qr(x, some=True):
    return tuple(fg.linalg.qr(x, mode="reduced" if some else "complete"))


def _pinv(x, *args, atol=None, rtol=None, hermitian=False, rcond=None):
    rtol = rcond if rcond is not None else rtol if rtol is not None else args[0] if args else None
    return fg.linalg.pinv(x, rtol=rtol)


def _lstsq(a, b, driver=None):
    return fg.linalg.lstsq(a, b)


def _rank(x, tol=None, *, atol=None, rtol=None, hermitian=False):
    if tol is not None or atol is not None:
        raise LeftOut("the limit is relative to the largest singular value")
    return fg.linalg.matrix_rank(x, rtol=rtol)


def _product(x, y):
    return fg.matmul(x, y)


def _sum_of_products(x, a, b, *, beta=1, alpha=1):
    """beta · x + alpha · a @ b; with beta = 0 even a NaN in x does not count."""
    product = fg.matmul(a, b) * alpha
    return product + x * beta if beta != 0 else product + fg.zeros_like(x)


def _addbmm(x, a, b, *, beta=1, alpha=1):
    product = fg.sum(fg.matmul(a, b), axis=0) * alpha
    return product + x * beta if beta != 0 else product + fg.zeros_like(x)


def _addr(x, a, b, *, beta=1, alpha=1):
    product = fg.linalg.outer(a, b) * alpha
    return product + x * beta if beta != 0 else product + fg.zeros_like(x)


def _tensordot(x, y, dims=2):
    axes = dims if isinstance(dims, int) else tuple(tuple(d) for d in dims)
    if not isinstance(dims, int) and any(
        x.shape[i] != y.shape[j] for i, j in zip(*axes, strict=True)
    ):
        raise LeftOut("axes of length 1 are not repeated to be summed, as in NumPy")
    return fg.tensordot(x, y, axes=axes)


def _cross(x, y, dim=-1):
    return fg.linalg.cross(x, y, axis=dim)


def _old_cross(x, y, dim=None):
    if dim is None:
        dim = x.shape.index(3)
    return fg.linalg.cross(x, y, axis=dim)


def _vecdot(x, y, *, dim=-1):
    return fg.vecdot(x, y, axis=dim)


def _slogdet(x):
    return tuple(fg.linalg.slogdet(x))


def _diagonal(x, *, offset=0, dim1=-2, dim2=-1):
    return fg.linalg.diagonal(fg.moveaxis(x, (dim1, dim2), (-2, -1)), offset=offset)


def _dist(x, y, p=2):
    return fg.linalg.vector_norm(x - y, ord=p)


def _renorm(x, p, dim, maxnorm):
    axes = tuple(a for a in range(x.ndim) if a != dim % x.ndim)
    norms = fg.linalg.vector_norm(x, ord=p, axis=axes, keepdims=True)
    return x * fg.where(norms > maxnorm, maxnorm / (norms + 1e-7), 1.0)


def _inner(x, y):
    if not x.ndim or not y.ndim:
        return x * y
    return fg.tensordot(x, y, axes=((-1,), (-1,)))


def _cdist(x, y, p=2.0, *_, **__):
    if p == 2:
        return fg.cdist(x, y)
    apart = fg.expand_dims(x, axis=-2) - fg.expand_dims(y, axis=-3)
    return fg.linalg.vector_norm(apart, ord=p, axis=-1)


def _vander(x, *, N=None):
    if not x.ndim:
        raise LeftOut("a 0-d array is no vector")
    return fg.linalg.vander(x, n=N)


def _tensorinv(x, ind=2):
    return fg.linalg.tensorinv(x, ind=ind)


def _tensorsolve(a, b, dims=None):
    return fg.linalg.tensorsolve(a, b, axes=dims)


LU_STORAGE = Absent("LU factors come as (P, L, U), not in LAPACK's packed storage")
FACTORS_OF_LDL = Absent("no LDLᵀ factorization yet")
PACKED_QR = Absent("reflectors in LAPACK's packed storage are not kept; use qr")
WITH_STATUS = Absent("errors are raised, not returned as LAPACK's status")
APPROXIMATE = Absent("randomized; use linalg.svd")

ENTRIES = {
    **same("matmul"),
    **same("outer trace kron", ours="linalg."),
    **same("det eigvals eigvalsh inv matrix_power svdvals", "linalg.", "linalg."),
    **renamed(logdet="linalg.logdet", matrix_exp="linalg.expm", bmm="matmul", mv="matmul"),
    "mm": Entry(_product),
    "dot": Entry(_product),
    "vdot": Entry(lambda x, y: fg.vecdot(x, y)),
    "inner": composed(_inner),
    "tensordot": Entry(_tensordot),
    "einsum": Entry(lambda xs, subscripts: fg.einsum(subscripts, *xs)),
    **dict.fromkeys(("addmm", "addmm.decomposed", "addmv", "baddbmm"), composed(_sum_of_products)),
    "addbmm": composed(_addbmm),
    "addr": composed(_addr),
    "__rmatmul__": Entry(lambda x, y: y @ x),
    "cross": Entry(_old_cross),
    "linalg.cross": Entry(_cross),
    "linalg.vecdot": Entry(_vecdot),
    "linalg.diagonal": Entry(_diagonal),
    "linalg.multi_dot": Entry(lambda xs: fg.linalg.multi_dot(list(xs))),
    "linalg.slogdet": Entry(_slogdet),
    "linalg.cholesky": Entry(_cholesky, prepare=_hermitian),
    "cholesky": Entry(_old_cholesky, prepare=_hermitian),
    "cholesky_solve": Entry(_cholesky_solve, prepare=_second_triangular),
    "cholesky_inverse": Entry(_cholesky_inverse, prepare=_triangular),
    "linalg.cond": Entry(lambda x, p=None: fg.linalg.cond(x, p)),
    "linalg.eig": Entry(_eig, view=lambda r: (r[0], abs(r[1]).detach())),
    "linalg.eigh": Entry(_eigh, view=_magnitudes, prepare=_hermitian),
    "linalg.eigvalsh": Entry(lambda x, UPLO="L": fg.linalg.eigvalsh(x), prepare=_hermitian),
    "linalg.lstsq": Entry(_lstsq, view=lambda r: r[0] if isinstance(r, tuple) else r),
    "linalg.lstsq.grad_oriented": Entry(_lstsq, view=lambda r: r[0] if isinstance(r, tuple) else r),
    "linalg.norm": Entry(_norm),
    "linalg.norm.subgradients_at_zero": Entry(_norm),
    "linalg.matrix_norm": Entry(_matrix_norm),
    "linalg.vector_norm": Entry(_vector_norm),
    **dict.fromkeys(("norm", "norm.nuc", "norm.fro", "norm.inf"), Entry(_old_norm)),
    "dist": composed(_dist),
    "renorm": composed(_renorm),
    "linalg.qr": Entry(_qr),
    "qr": Entry(_old_qr),
    "linalg.svd": Entry(_svd, view=_spectral),
    "svd": Entry(_old_svd, view=_old_spectral),
    "linalg.pinv": Entry(_pinv),
    "linalg.pinv.singular": composed(lambda a, b: fg.linalg.pinv(a @ fg.matrix_transpose(b))),
    "linalg.pinv.hermitian": Entry(_pinv, prepare=_hermitian),
    "pinverse": Entry(_pinv),
    "linalg.solve": Entry(_solve),
    "linalg.solve_ex": WITH_STATUS,
    "linalg.inv_ex": WITH_STATUS,
    "linalg.cholesky_ex": WITH_STATUS,
    "linalg.lu_factor_ex": WITH_STATUS,
    "linalg.ldl_factor_ex": WITH_STATUS,
    "linalg.solve_triangular": Entry(_solve_triangular),
    "triangular_solve": composed(_triangular_solve),
    "linalg.lu": Entry(_lu),
    "lu": LU_STORAGE,
    "lu_unpack": LU_STORAGE,
    "lu_solve": LU_STORAGE,
    "linalg.lu_factor": LU_STORAGE,
    "linalg.lu_solve": LU_STORAGE,
    "linalg.ldl_factor": FACTORS_OF_LDL,
    "linalg.ldl_solve": FACTORS_OF_LDL,
    "geqrf": PACKED_QR,
    "ormqr": PACKED_QR,
    "linalg.householder_product": PACKED_QR,
    "linalg.matrix_rank": Entry(_rank),
    "linalg.matrix_rank.hermitian": Entry(_rank),
    "linalg.vander": Entry(_vander),
    "linalg.tensorinv": Entry(_tensorinv),
    "linalg.tensorsolve": Entry(_tensorsolve),
    "svd_lowrank": APPROXIMATE,
    "pca_lowrank": APPROXIMATE,
    "cdist": composed(_cdist),
    "sparse.sampled_addmm": Absent("no sparse tensors"),
    "sparse.mm.reduce": Absent("no sparse tensors"),
    "torch._scaled_mm": Absent("8-bit floats have no NumPy dtype"),
    "torch._scaled_mm_v2": Absent("8-bit floats have no NumPy dtype"),
    "bmm.triton_optimized": Absent("for other devices"),
}
