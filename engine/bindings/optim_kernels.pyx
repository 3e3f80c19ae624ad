# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Optimizer steps, averages and norms over lists of NumPy arrays, each in one call.

As in ``base_kernels.pyx``, whose threads and table of C functions serve here. Arrays that are not
dense or not laid out as their companions are copied for the call; they are rare.
"""
import numpy as np

from fieldgrad.engine.bindings.base_kernels import kernel_table, memory_order
from fieldgrad.engine.errors import DTypeError

cimport numpy as cnp
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdlib cimport free, malloc

cnp.import_array()


cdef extern from "kernels/optimizer.h" nogil:
    ctypedef struct fg_row:
        int f64
        ptrdiff_t end
        void *data[4]
        double scalars[7]

cdef extern from "kernels/kernels.h" nogil:
    ctypedef struct fg_kernels:
        void (*update)(int, const fg_row *, ptrdiff_t) noexcept nogil
        int (*sum_of_squares)(const fg_row *, ptrdiff_t, double *) noexcept nogil

cdef const fg_kernels *kernels = <const fg_kernels *>PyCapsule_GetPointer(kernel_table,
                                                                          "fieldgrad.kernels")

# In the order of the table in optimizer.c.
cdef dict UPDATES = {"descend": 0, "momentum": 1, "nesterov": 2, "adam": 3, "approach": 4, "scale": 5}


cdef bint is_dense(cnp.ndarray x):
    """Whether x fills one piece of memory, in any order of its axes."""
    return cnp.PyArray_IS_C_CONTIGUOUS(x) or cnp.PyArray_IS_F_CONTIGUOUS(x) or \
        x.transpose(memory_order(x)).flags.c_contiguous


cdef bint same_layout(cnp.ndarray a, cnp.ndarray b):
    """Whether dense arrays of one shape order their elements alike."""
    cdef int d
    if cnp.PyArray_IS_C_CONTIGUOUS(a) and cnp.PyArray_IS_C_CONTIGUOUS(b):
        return True
    for d in range(cnp.PyArray_NDIM(a)):
        if cnp.PyArray_DIM(a, d) != 1 and cnp.PyArray_STRIDE(a, d) != cnp.PyArray_STRIDE(b, d):
            return False
    return True


cdef class Rows:
    """What the kernels walk over: pointers to arrays, and copies in place of unsuitable ones."""
    cdef fg_row *rows
    cdef Py_ssize_t n
    cdef list copies     # (copy, original) of the arrays that are changed

    def __cinit__(self, list columns, const double[:, ::1] scalars):
        """columns[k][i] is array k of row i; column 1 is only read, the others are changed."""
        cdef Py_ssize_t i, k, n_scalars = scalars.shape[1]
        cdef ptrdiff_t end = 0
        cdef cnp.ndarray x, first
        self.n = len(columns[0])
        self.copies = []
        self.rows = <fg_row *>malloc(sizeof(fg_row) * (self.n + 1))
        if self.rows == NULL:
            raise MemoryError("optimizer: no memory for a list of arrays")
        for i in range(self.n):
            first = None
            for k in range(len(columns)):
                x = (<list>columns[k])[i]
                x = self.usable(x, first, k)
                if first is None:
                    first = x
                self.rows[i].data[k] = cnp.PyArray_DATA(x)
            end += cnp.PyArray_SIZE(first)
            self.rows[i].end = end
            self.rows[i].f64 = cnp.PyArray_TYPE(first) == cnp.NPY_DOUBLE
            for k in range(n_scalars):
                self.rows[i].scalars[k] = scalars[i, k]

    cdef cnp.ndarray usable(self, cnp.ndarray x, cnp.ndarray first, Py_ssize_t k):
        """x, or a copy that is dense and laid out as the first array of its row."""
        cdef int typenum = cnp.PyArray_TYPE(x)
        if typenum != cnp.NPY_FLOAT and typenum != cnp.NPY_DOUBLE:
            raise DTypeError(f"optimizer: an array has dtype {x.dtype}; expected float32 or float64. "
                             "Convert the parameters with .astype(float32).")
        if k != 1 and not cnp.PyArray_ISWRITEABLE(x):
            raise ValueError("optimizer: an array to be changed is read-only; expected one that can be "
                             "written to. Make the parameter from a copy (np.array(x)).")
        if first is None:
            if is_dense(x):
                return x
            copy = x.copy(order="K")
        else:
            if cnp.PyArray_TYPE(first) == typenum and same_layout(x, first):
                return x
            copy = np.empty_like(first)
            np.copyto(copy, x)
        self.copies.append((copy, x if k != 1 else None))
        return copy

    def give_back(self):
        """Write changed copies to the arrays they stand for."""
        for copy, original in self.copies:
            if original is not None:
                np.copyto(original, copy)

    def __dealloc__(self):
        free(self.rows)


def update(str kind, list columns, const double[:, ::1] scalars):
    """Change the arrays of columns[0], and the state in columns[2:], in place.

    The columns are lists of arrays of equal shapes and dtypes; row i of ``scalars`` holds the
    settings for their i-th arrays, in the order of ``optimizer_body.h``.
    """
    cdef Rows r = Rows(columns, scalars)
    cdef int code = UPDATES[kind]
    with nogil:
        kernels.update(code, r.rows, r.n)
    if r.copies:
        r.give_back()


def sum_of_squares(list arrays):
    """Sum of the squares of all elements of all arrays, in float64."""
    cdef Rows r = Rows([arrays], np.empty((len(arrays), 0)))
    cdef double total
    cdef int failed
    with nogil:
        failed = kernels.sum_of_squares(r.rows, r.n, &total)
    if failed:
        raise MemoryError("clip_grad_norm: no memory for partial sums")
    return total
