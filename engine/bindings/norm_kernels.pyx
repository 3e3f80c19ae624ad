# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Normalizations, softmax and the losses of classes.

As in ``nn_kernels.pyx``: NumPy arrays in, C kernels, NumPy arrays out, no policy. Dense arrays have
the channels adjacent in memory (channels-last).
"""
import numpy as np

from fieldgrad.engine.bindings.base_kernels import (
    around_axis, dense, empty, empty_channels_last, empty_like, is_f64, kernel_table)
from fieldgrad.engine.errors import DataError

cimport numpy as cnp
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport int64_t

cnp.import_array()


cdef extern from "kernels/norm.h" nogil:
    ctypedef struct fg_norm:
        ptrdiff_t batch, positions, channels, groups
        double eps, negative_slope
        int given

cdef extern from "kernels/losses.h" nogil:
    ctypedef struct fg_truth:
        ptrdiff_t batch, classes, positions
        int channels_last, size, ignores
        const void *target
        int64_t ignored
        double smoothing
        const double *weight

cdef extern from "kernels/kernels.h" nogil:
    ctypedef struct fg_kernels:
        int (*norm)(int, const fg_norm *, const void *, const void *, const void *, void *, void *,
                    void *) noexcept nogil
        int (*norm_gradient)(int, const fg_norm *, const void *, const void *, const void *,
                             const void *, const void *, const void *, void *, void *,
                             void *) noexcept nogil
        void (*softmax)(int, int, const void *, const void *, void *, ptrdiff_t, ptrdiff_t,
                        ptrdiff_t) noexcept nogil
        ptrdiff_t (*cross_entropy)(int, const fg_truth *, const void *, void *,
                                   double *) noexcept nogil
        void (*cross_entropy_gradient)(int, const fg_truth *, const void *, const void *, ptrdiff_t,
                                       double, void *) noexcept nogil
        ptrdiff_t (*overlap_sums)(int, const fg_truth *, const void *, void *) noexcept nogil
        int (*overlap_sums_gradient)(int, const fg_truth *, const void *, const void *,
                                     void *) noexcept nogil

cdef const fg_kernels *kernels = <const fg_kernels *>PyCapsule_GetPointer(kernel_table,
                                                                          "fieldgrad.kernels")


# --------------------------------------------------------------------------- normalization

cdef void *data_or_null(cnp.ndarray a) noexcept nogil:
    return NULL if a is None else cnp.PyArray_DATA(a)


cdef fg_norm norm_sizes(cnp.ndarray x, ptrdiff_t batch, ptrdiff_t groups, double eps,
                        double negative_slope, bint given):
    cdef fg_norm s
    s.batch, s.groups, s.eps, s.negative_slope = batch, groups, eps, negative_slope
    s.given = given
    s.channels = cnp.PyArray_DIM(x, 1)
    s.positions = cnp.PyArray_SIZE(x) // max(batch * s.channels, 1)
    return s


def norm(cnp.ndarray x, weight, bias, ptrdiff_t batch, ptrdiff_t groups, double eps,
         double negative_slope=1.0, given=None):
    """Normalize groups of channels of x (N, C, …); batch = 1 counts N among the positions, else N.

    Returns the output, channels-last in memory, and mean and reciprocal standard deviation, (batch,
    groups); ``given`` is these two, if they are not to be computed. A negative_slope but 1 applies a
    leaky ReLU to the output.
    """
    cdef bint f64 = is_f64("norm", x)
    x = dense(x)
    cdef fg_norm s = norm_sizes(x, batch, groups, eps, negative_slope, given is not None)
    cdef cnp.ndarray w = None if weight is None else np.ascontiguousarray(weight)
    cdef cnp.ndarray b = None if bias is None else np.ascontiguousarray(bias)
    cdef cnp.ndarray out = empty_channels_last(np.shape(x), x.dtype), mean, rstd
    cdef int failed = 0
    if given is None:
        mean, rstd = empty((batch, groups), x.dtype), empty((batch, groups), x.dtype)
    else:
        mean, rstd = given
    if cnp.PyArray_SIZE(x):
        with nogil:
            failed = kernels.norm(f64, &s, cnp.PyArray_DATA(x), data_or_null(w), data_or_null(b),
                                  cnp.PyArray_DATA(mean), cnp.PyArray_DATA(rstd),
                                  cnp.PyArray_DATA(out))
    elif given is None:
        mean.fill(np.nan)
        rstd.fill(np.nan)
    if failed:
        raise MemoryError(f"norm: no memory for the statistics of an array of shape {np.shape(x)}")
    return out, mean, rstd


def norm_gradient(cnp.ndarray g, cnp.ndarray x, weight, bias, cnp.ndarray mean, cnp.ndarray rstd,
                  double negative_slope, bint given=False):
    """Gradients of norm's output for x, weight and bias; mean and rstd as norm gave or took them."""
    cdef bint f64 = is_f64("norm_gradient", x)
    x, g = dense(x), dense(g)
    cdef fg_norm s = norm_sizes(x, cnp.PyArray_DIM(mean, 0), cnp.PyArray_DIM(mean, 1), 0,
                                negative_slope, given)
    cdef cnp.ndarray w = None if weight is None else np.ascontiguousarray(weight)
    cdef cnp.ndarray b = None if bias is None else np.ascontiguousarray(bias)
    cdef cnp.ndarray gx = empty_channels_last(np.shape(x), x.dtype)
    cdef cnp.ndarray gweight = empty((s.channels,), x.dtype), gbias = empty((s.channels,), x.dtype)
    cdef int failed = 0
    if not cnp.PyArray_SIZE(x):
        gweight.fill(0)
        gbias.fill(0)
    else:
        with nogil:
            failed = kernels.norm_gradient(
                f64, &s, cnp.PyArray_DATA(g), cnp.PyArray_DATA(x), data_or_null(w), data_or_null(b),
                cnp.PyArray_DATA(mean), cnp.PyArray_DATA(rstd), cnp.PyArray_DATA(gx),
                cnp.PyArray_DATA(gweight), cnp.PyArray_DATA(gbias))
    if failed:
        raise MemoryError(f"norm: no memory for the gradient of an array of shape {np.shape(x)}")
    return gx, gweight, gbias


# --------------------------------------------------------------------------------- softmax

cdef cnp.ndarray arranged_as(cnp.ndarray x, cnp.ndarray a):
    """The array a with the strides of x, which has its shape: itself or a copy."""
    cdef int d
    for d in range(cnp.PyArray_NDIM(x)):
        if cnp.PyArray_DIM(x, d) != 1 and cnp.PyArray_STRIDE(x, d) != cnp.PyArray_STRIDE(a, d):
            out = empty_like(x)
            np.copyto(out, a)
            return out
    return a


cdef cnp.ndarray run_softmax(cnp.ndarray x, cnp.ndarray g, int axis, bint logarithm):
    cdef bint f64 = is_f64("softmax", x)
    cdef int along = axis + cnp.PyArray_NDIM(x) if axis < 0 else axis
    cdef ptrdiff_t outer, inner, n = cnp.PyArray_DIM(x, along)
    x, outer, inner = around_axis(x, along)
    cdef cnp.ndarray out = empty_like(x), dense_g = None if g is None else arranged_as(x, g)
    if cnp.PyArray_SIZE(x):
        with nogil:
            kernels.softmax(f64, logarithm, cnp.PyArray_DATA(x), data_or_null(dense_g),
                            cnp.PyArray_DATA(out), outer, n, inner)
    return out


def softmax(cnp.ndarray x, int axis):
    """Softmax of x along an axis; the output keeps the memory order of x."""
    return run_softmax(x, None, axis, False)


def log_softmax(cnp.ndarray x, int axis):
    """Logarithm of softmax; the output keeps the memory order of x."""
    return run_softmax(x, None, axis, True)


def softmax_gradient(cnp.ndarray g, cnp.ndarray y, int axis):
    """Gradient of softmax for its input, where it gave y."""
    return run_softmax(y, g, axis, False)


def log_softmax_gradient(cnp.ndarray g, cnp.ndarray y, int axis):
    """Gradient of log_softmax for its input, where it gave y."""
    return run_softmax(y, g, axis, True)


# ------------------------------------------------------------------------ losses of classes

cdef class Truth:
    """What the C functions want to know of logits and target, and the arrays that hold it."""
    cdef fg_truth c
    cdef cnp.ndarray logits, target, weight
    cdef bint f64


cdef Truth truth_of(str name, cnp.ndarray logits, cnp.ndarray target, weight, ignore_index,
                    double smoothing):
    cdef Truth t = Truth.__new__(Truth)
    cdef ptrdiff_t outer, inner
    cdef str kind = target.dtype.kind
    t.f64 = is_f64(name, logits)
    t.logits, outer, inner = around_axis(logits, 1)
    t.c.batch, t.c.classes = cnp.PyArray_DIM(logits, 0), cnp.PyArray_DIM(logits, 1)
    t.c.positions = cnp.PyArray_SIZE(logits) // max(t.c.batch * t.c.classes, 1)
    # (batch, positions…, classes) or (batch, classes, positions…); copied from any other order
    t.c.channels_last = t.c.positions == 1 or inner == 1
    if t.c.channels_last:
        t.logits = dense(t.logits)
    elif not cnp.PyArray_IS_C_CONTIGUOUS(t.logits):
        t.logits = np.ascontiguousarray(t.logits)
    if kind in "iu":
        if target.dtype not in (np.int64, np.int32, np.uint8):
            target = target.astype(np.int64)
        t.target = np.ascontiguousarray(target)
        t.c.size = cnp.PyArray_ITEMSIZE(target)
    elif kind == "f" and ignore_index is None and target.ndim == logits.ndim:
        t.target = arranged_as(t.logits, target.astype(logits.dtype, copy=False))
        t.c.size = 0
    else:
        raise DataError(f"{name}: the target has dtype {target.dtype}; expected integer classes, or "
                        "probabilities in a floating dtype without ignore_index.")
    t.weight = None if weight is None else np.ascontiguousarray(weight, np.float64)
    t.c.target = cnp.PyArray_DATA(t.target)
    t.c.ignores = ignore_index is not None
    t.c.ignored = 0 if ignore_index is None else ignore_index
    t.c.smoothing = smoothing
    t.c.weight = <const double *>data_or_null(t.weight)
    return t


cdef check_classes(str name, ptrdiff_t wrong, Truth t):
    if wrong < 0:
        raise MemoryError(f"{name}: no memory for the sums over logits of shape "
                          f"{np.shape(t.logits)}")
    if wrong:
        raise DataError(f"{name}: {wrong} of the targets, which run from {t.target.min()} to "
                        f"{t.target.max()}, are no class; with {t.c.classes} classes expected 0 to "
                        f"{t.c.classes - 1}. Map the labels to consecutive numbers first.")


def cross_entropy(cnp.ndarray logits, cnp.ndarray target, *, weight, ignore_index, label_smoothing,
                  str reduction):
    """Cross-entropy of logits (N, C, …) with classes (N, …) or probabilities (N, C, …).

    Returns the loss and by what its sum was divided, an array of no axes.
    """
    cdef Truth t = truth_of("cross_entropy", logits, target, weight, ignore_index, label_smoothing)
    cdef double sums[2]
    cdef cnp.ndarray loss = None
    cdef ptrdiff_t wrong
    sums[0] = sums[1] = 0
    if reduction == "none":
        loss = empty(np.shape(logits)[:1] + np.shape(logits)[2:], logits.dtype)
    if cnp.PyArray_SIZE(logits):
        with nogil:
            wrong = kernels.cross_entropy(t.f64, &t.c, cnp.PyArray_DATA(t.logits),
                                          data_or_null(loss), sums)
        check_classes("cross_entropy", wrong, t)
    if reduction != "mean":
        sums[1] = 1
    elif sums[1] == 0:
        sums[0] = sums[1] = np.nan  # the mean of nothing
    if loss is None:
        loss = np.asarray(sums[0] / sums[1], logits.dtype)
    return loss, np.asarray(sums[1])


def cross_entropy_gradient(cnp.ndarray g, cnp.ndarray logits, cnp.ndarray target, divisor, *, weight,
                           ignore_index, label_smoothing):
    """Gradient of cross_entropy for the logits, given that for its result."""
    cdef Truth t = truth_of("cross_entropy", logits, target, weight, ignore_index, label_smoothing)
    cdef cnp.ndarray gx = empty_like(t.logits), dense_g = np.ascontiguousarray(g, logits.dtype)
    cdef ptrdiff_t step = cnp.PyArray_NDIM(g) != 0
    cdef double scale = 1.0 / divisor
    if cnp.PyArray_SIZE(logits):
        with nogil:
            kernels.cross_entropy_gradient(t.f64, &t.c, cnp.PyArray_DATA(t.logits),
                                           cnp.PyArray_DATA(dense_g), step, scale,
                                           cnp.PyArray_DATA(gx))
    return gx


def overlap_sums(cnp.ndarray logits, cnp.ndarray target):
    """Sums of p t, p, t and -t log p over positions, (4, N, C), of logits (N, C, …)."""
    cdef Truth t = truth_of("overlap_sums", logits, target, None, None, 0)
    cdef cnp.ndarray sums = empty((4, t.c.batch, t.c.classes), logits.dtype)
    cdef ptrdiff_t wrong
    if not cnp.PyArray_SIZE(logits):
        sums.fill(0)
        return sums
    with nogil:
        wrong = kernels.overlap_sums(t.f64, &t.c, cnp.PyArray_DATA(t.logits), cnp.PyArray_DATA(sums))
    check_classes("overlap_sums", wrong, t)
    return sums


def overlap_sums_gradient(cnp.ndarray g, cnp.ndarray logits, cnp.ndarray target):
    """Gradient of overlap_sums for the logits."""
    cdef Truth t = truth_of("overlap_sums", logits, target, None, None, 0)
    cdef cnp.ndarray gx = empty_like(t.logits), dense_g = np.ascontiguousarray(g)
    cdef int failed = 0
    if cnp.PyArray_SIZE(logits):
        with nogil:
            failed = kernels.overlap_sums_gradient(t.f64, &t.c, cnp.PyArray_DATA(t.logits),
                                                   cnp.PyArray_DATA(dense_g), cnp.PyArray_DATA(gx))
    if failed:
        check_classes("overlap_sums", -1, t)
    return gx
