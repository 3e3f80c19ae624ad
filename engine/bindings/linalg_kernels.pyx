# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Matrix products: NumPy arrays in, the C kernel, NumPy arrays out.

As in ``base_kernels.pyx``, whose memory, threads and table of C functions serve here. Operands of
any strides are read where they lie: a transposed view costs no copy.
"""
import numpy as np

from fieldgrad.engine.bindings.base_kernels import empty, kernel_table

cimport numpy as cnp
from cpython.pycapsule cimport PyCapsule_GetPointer

cnp.import_array()

DEF MAX_NDIM = 64
DEF POOL_FROM = 65536      # bytes from which an array comes from the buffer pool


cdef extern from "kernels/gemm.h" nogil:
    ctypedef struct fg_gemm:
        ptrdiff_t m, n, k
        ptrdiff_t a_row, a_col, b_row, b_col, c_row
        int accumulate
    ctypedef struct fg_gemm_batch:
        int n_axes
        ptrdiff_t n_products
        const ptrdiff_t *shape
        const ptrdiff_t *a_strides
        const ptrdiff_t *b_strides

cdef extern from "kernels/kernels.h" nogil:
    ctypedef struct fg_kernels:
        ptrdiff_t (*gemm_workspace)(int, const fg_gemm *) noexcept nogil
        void (*gemm)(int, const fg_gemm *, const fg_gemm_batch *, const void *, const void *,
                     const void *, void *, void *) noexcept nogil

cdef const fg_kernels *kernels = <const fg_kernels *>PyCapsule_GetPointer(kernel_table,
                                                                          "fieldgrad.kernels")


cdef cnp.ndarray new_array(int ndim, cnp.npy_intp *shape, int typenum, cnp.npy_intp nbytes):
    if nbytes < POOL_FROM:
        return cnp.PyArray_EMPTY(ndim, shape, typenum, 0)
    return empty(tuple([shape[d] for d in range(ndim)]), cnp.PyArray_DescrFromType(typenum))


cdef cnp.ndarray readable(cnp.ndarray x):
    """x itself where C can read it by strides that count elements, else a copy."""
    cdef int d, itemsize = cnp.PyArray_ITEMSIZE(x)
    cdef bint good = cnp.PyArray_ISALIGNED(x) and cnp.PyArray_ISNOTSWAPPED(x)
    for d in range(cnp.PyArray_NDIM(x)):
        good = good and cnp.PyArray_STRIDE(x, d) % itemsize == 0
    return x if good else np.array(x, x.dtype.newbyteorder("="), order="C")


def matmul(cnp.ndarray a, cnp.ndarray b):
    """Matrix product over the last two axes as `numpy.matmul`: C for float32 and float64."""
    cdef int typenum = cnp.PyArray_TYPE(a)
    cdef int ndim_a = cnp.PyArray_NDIM(a), ndim_b = cnp.PyArray_NDIM(b)
    if typenum != cnp.PyArray_TYPE(b) or typenum != cnp.NPY_FLOAT and typenum != cnp.NPY_DOUBLE \
            or not ndim_a or not ndim_b:
        return np.asarray(np.matmul(a, b))
    a, b = readable(a), readable(b)
    return multiply(a, b, None, typenum, ndim_a, ndim_b)


def linear(cnp.ndarray x, cnp.ndarray weight, cnp.ndarray bias=None):
    """x · weightᵀ + bias: x (…, in), weight (out, in), bias (out,), all of one dtype."""
    cdef int typenum = cnp.PyArray_TYPE(x)
    if typenum != cnp.NPY_FLOAT and typenum != cnp.NPY_DOUBLE:
        out = np.asarray(np.matmul(x, weight.T))
        return out if bias is None else np.asarray(out + bias)
    x, weight = readable(x), readable(weight)
    if bias is not None and cnp.PyArray_DIM(weight, 0) == 1:   # a column is made as a row
        out = multiply(x, cnp.PyArray_SwapAxes(weight, 0, 1), None, typenum, cnp.PyArray_NDIM(x), 2)
        out += bias
        return out
    if bias is not None:
        bias = np.ascontiguousarray(bias)
    return multiply(x, cnp.PyArray_SwapAxes(weight, 0, 1), bias, typenum, cnp.PyArray_NDIM(x), 2)


cdef cnp.ndarray multiply(cnp.ndarray a, cnp.ndarray b, cnp.ndarray bias, int typenum, int ndim_a,
                          int ndim_b):
    cdef fg_gemm g
    cdef fg_gemm_batch batch
    cdef cnp.npy_intp shape[MAX_NDIM]
    cdef ptrdiff_t a_strides[MAX_NDIM]
    cdef ptrdiff_t b_strides[MAX_NDIM]
    cdef cnp.npy_intp n_a, n_b, size
    cdef cnp.npy_intp itemsize = 4 if typenum == cnp.NPY_FLOAT else 8
    cdef int d, da, db, ndim, n_axes = max(ndim_a, ndim_b) - 2
    cdef cnp.ndarray out
    cdef const void *pbias = NULL if bias is None else cnp.PyArray_DATA(bias)
    g.m, g.a_row = 1, 0
    g.n, g.b_col = 1, 1
    g.k, g.a_col = cnp.PyArray_DIM(a, ndim_a - 1), cnp.PyArray_STRIDE(a, ndim_a - 1) // itemsize
    if ndim_a > 1:
        g.m = cnp.PyArray_DIM(a, ndim_a - 2)
        g.a_row = cnp.PyArray_STRIDE(a, ndim_a - 2) // itemsize
    if ndim_b > 1:
        g.n = cnp.PyArray_DIM(b, ndim_b - 1)
        g.b_col = cnp.PyArray_STRIDE(b, ndim_b - 1) // itemsize
    db = ndim_b - 2 if ndim_b > 1 else 0
    g.b_row = cnp.PyArray_STRIDE(b, db) // itemsize
    g.accumulate = 0
    batch.n_axes = 0
    batch.n_products = 1
    for d in range(n_axes):
        da, db = d - n_axes + ndim_a - 2, d - n_axes + ndim_b - 2
        n_a = 1 if da < 0 else cnp.PyArray_DIM(a, da)
        n_b = 1 if db < 0 else cnp.PyArray_DIM(b, db)
        a_strides[d] = 0 if n_a == 1 else cnp.PyArray_STRIDE(a, da) // itemsize
        b_strides[d] = 0 if n_b == 1 else cnp.PyArray_STRIDE(b, db) // itemsize
        shape[d] = n_b if n_a == 1 else n_a
        batch.n_products *= shape[d]
    ndim = max(n_axes, 0)
    batch.n_axes = ndim
    batch.shape, batch.a_strides, batch.b_strides = <ptrdiff_t *>shape, a_strides, b_strides
    if ndim_a > 1:
        shape[ndim] = g.m
        ndim += 1
    if ndim_b > 1:
        shape[ndim] = g.n
        ndim += 1
    size = batch.n_products * g.m * g.n * itemsize
    out = new_array(ndim, shape, typenum, size)
    # Batches over which b is repeated are rows of one product where a's strides allow.
    while batch.n_axes and b_strides[batch.n_axes - 1] == 0 and \
            (a_strides[batch.n_axes - 1] == g.m * g.a_row or g.m == 1):
        if g.m == 1:
            g.a_row = a_strides[batch.n_axes - 1]
        batch.n_axes -= 1
        g.m *= shape[batch.n_axes]
        batch.n_products //= max(shape[batch.n_axes], 1)
    if size == 0:
        return out
    g.c_row = g.n
    size = kernels.gemm_workspace(itemsize == 8, &g)
    cdef cnp.ndarray workspace = None
    cdef void *scratch = NULL
    cdef void *pa = cnp.PyArray_DATA(a)
    cdef void *pb = cnp.PyArray_DATA(b)
    cdef void *po = cnp.PyArray_DATA(out)
    if size:
        workspace = empty((size,), np.uint8)
        scratch = cnp.PyArray_DATA(workspace)
    if g.m * g.n * g.k * batch.n_products < 4096:     # done before another thread gets the lock
        kernels.gemm(itemsize == 8, &g, &batch, pa, pb, pbias, po, NULL)
        return out
    with nogil:
        kernels.gemm(itemsize == 8, &g, &batch, pa, pb, pbias, po, scratch)
    return out
