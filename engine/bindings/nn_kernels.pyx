# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The layers of networks: convolution, pooling, resampling.

As in ``base_kernels.pyx``, whose memory, threads and table of C functions serve here: NumPy arrays
in, C kernels, NumPy arrays out, with the interpreter lock released; no policy. Arrays are (batch,
channel, spatial…), dense ones with the channels adjacent in memory (channels-last).
"""
import numpy as np

from fieldgrad.engine.bindings.base_kernels import (
    around_axis, copy_to, dense, empty, empty_channels_last, is_f64, kernel_table, memory_order)

cimport numpy as cnp
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport int32_t

cnp.import_array()


cdef extern from "kernels/conv.h" nogil:
    ctypedef struct fg_conv:
        int element_size, method
        ptrdiff_t batch, groups, x_channels, y_channels
        ptrdiff_t x_size[3]
        ptrdiff_t y_size[3]
        ptrdiff_t kernel[3]
        ptrdiff_t stride[3]
        ptrdiff_t padding[3]
        ptrdiff_t dilation[3]
        ptrdiff_t x_strides[5]
        ptrdiff_t y_strides[5]
        ptrdiff_t w_strides[5]

cdef extern from "kernels/pool.h" nogil:
    ctypedef struct fg_pool:
        ptrdiff_t batch, channels
        ptrdiff_t size "in"[3]
        ptrdiff_t out[3]
        ptrdiff_t kernel[3]
        ptrdiff_t stride[3]
        ptrdiff_t padding[3]
        ptrdiff_t dilation[3]

cdef extern from "kernels/resample.h" nogil:
    ctypedef struct fg_taps:
        ptrdiff_t n_in, n_out
        const ptrdiff_t *start
        const ptrdiff_t *index
        const double *weight

cdef extern from "kernels/kernels.h" nogil:
    ctypedef struct fg_kernels:
        int (*conv)(const fg_conv *, char, void *, void *, void *, const void *) noexcept nogil
        void (*max_pool)(int, const fg_pool *, const void *, void *, int32_t *) noexcept nogil
        void (*max_unpool)(int, const fg_pool *, const void *, const int32_t *,
                           void *) noexcept nogil
        void (*resample)(int, const fg_taps *, const void *, void *, ptrdiff_t,
                         ptrdiff_t) noexcept nogil

cdef const fg_kernels *kernels = <const fg_kernels *>PyCapsule_GetPointer(kernel_table,
                                                                          "fieldgrad.kernels")


cdef tuple per_axis(value, int n):
    """One number for each spatial axis; a single one stands for all."""
    return tuple(value) if isinstance(value, (tuple, list)) else (int(value),) * n


# ----------------------------------------------------------------------------- convolution

CONV_METHODS = ("direct", "auto", "winograd")
cdef int conv_method = 1


def set_conv_method(str name):
    """Use this method for convolutions: direct, winograd (where it is possible), or auto."""
    global conv_method
    conv_method = CONV_METHODS.index(name)


def get_conv_method():
    """The method that convolutions use."""
    return CONV_METHODS[conv_method]


cdef cnp.ndarray channels_last(str name, cnp.ndarray x):
    """x itself where its channels are adjacent in memory, else a copy laid out so."""
    is_f64(name, x)
    if cnp.PyArray_ISALIGNED(x) and (cnp.PyArray_DIM(x, 1) == 1 or
                                     cnp.PyArray_STRIDE(x, 1) == cnp.PyArray_ITEMSIZE(x)):
        return x
    out = empty_channels_last(np.shape(x), x.dtype)
    copy_to(out, x)
    return out


cdef void strides_5d(cnp.ndarray a, ptrdiff_t *strides):
    """Strides in elements of (first, second, spatial…), with missing spatial axes of length 1."""
    cdef int d, ndim = cnp.PyArray_NDIM(a)
    for d in range(5):
        strides[d] = 0
    for d in range(ndim):
        strides[d if d < 2 else d + 5 - ndim] = \
            cnp.PyArray_STRIDE(a, d) // cnp.PyArray_ITEMSIZE(a)


cdef run_conv(str name, char made, cnp.ndarray x, cnp.ndarray weight, cnp.ndarray y, bias,
              tuple stride, tuple padding, tuple dilation, ptrdiff_t groups):
    """Make the one of x, weight and y that `made` names ('x', 'w', 'y') from the other two."""
    if not cnp.PyArray_IS_C_CONTIGUOUS(weight):
        weight = np.ascontiguousarray(weight)
    cdef fg_conv c
    cdef int d, i, failed, n_axes = cnp.PyArray_NDIM(x) - 2
    cdef void *px = cnp.PyArray_DATA(x)
    cdef void *pw = cnp.PyArray_DATA(weight)
    cdef void *py = cnp.PyArray_DATA(y)
    cdef cnp.ndarray dense_bias = None if bias is None else np.ascontiguousarray(bias)
    cdef void *pb = NULL if bias is None else cnp.PyArray_DATA(dense_bias)
    c.element_size, c.method = cnp.PyArray_ITEMSIZE(x), conv_method
    c.batch, c.groups = cnp.PyArray_DIM(x, 0), groups
    c.x_channels, c.y_channels = cnp.PyArray_DIM(x, 1) // groups, cnp.PyArray_DIM(y, 1) // groups
    for d in range(3):
        i = d - 3 + n_axes
        c.x_size[d] = c.y_size[d] = c.kernel[d] = c.stride[d] = c.dilation[d] = 1
        c.padding[d] = 0
        if i >= 0:
            c.x_size[d], c.y_size[d] = cnp.PyArray_DIM(x, 2 + i), cnp.PyArray_DIM(y, 2 + i)
            c.kernel[d] = cnp.PyArray_DIM(weight, 2 + i)
            c.stride[d], c.padding[d], c.dilation[d] = stride[i], padding[i], dilation[i]
    strides_5d(x, c.x_strides)
    strides_5d(y, c.y_strides)
    strides_5d(weight, c.w_strides)
    with nogil:
        failed = kernels.conv(&c, made, px, pw, py, pb)
    if failed:
        raise MemoryError(f"{name}: no memory for scratch; x has shape {np.shape(x)}, weight "
                          f"{np.shape(weight)}. Use a smaller batch or patch.")


def conv(cnp.ndarray x, cnp.ndarray weight, bias, stride, padding, dilation, ptrdiff_t groups):
    """Convolution of x (N, C, spatial…) with weight (O, C / groups, taps…), plus bias (O) or None.

    stride, padding and dilation have one entry per spatial axis, or are one integer for all. The
    output is channels-last in memory.
    """
    cdef int i, n = cnp.PyArray_NDIM(x) - 2
    stride, padding, dilation = per_axis(stride, n), per_axis(padding, n), per_axis(dilation, n)
    x = channels_last("conv", x)
    out = empty_channels_last(
        [x.shape[0], weight.shape[0]] +
        [(x.shape[2 + i] + 2 * padding[i] - dilation[i] * (weight.shape[2 + i] - 1) - 1)
         // stride[i] + 1 for i in range(n)], x.dtype)
    if out.size:
        run_conv("conv", b"y", x, weight, out, bias, stride, padding, dilation, groups)
    return out


def conv_transpose(cnp.ndarray x, cnp.ndarray weight, bias, stride, padding, output_padding,
                   dilation, ptrdiff_t groups):
    """Transposed convolution of x (N, C, spatial…) with weight (C, O / groups, taps…).

    It is the gradient of conv for its input: conv of the output has the shape of x.
    """
    cdef int i, n = cnp.PyArray_NDIM(x) - 2
    stride, padding, dilation = per_axis(stride, n), per_axis(padding, n), per_axis(dilation, n)
    extra = per_axis(output_padding, n)
    x = channels_last("conv_transpose", x)
    out = empty_channels_last(
        [x.shape[0], weight.shape[1] * groups] +
        [(x.shape[2 + i] - 1) * stride[i] - 2 * padding[i] + dilation[i] * (weight.shape[2 + i] - 1)
         + extra[i] + 1 for i in range(n)], x.dtype)
    if out.size:
        run_conv("conv_transpose", b"x", out, weight, x, bias, stride, padding, dilation, groups)
    return out


def conv_weight(cnp.ndarray x, cnp.ndarray g, kernel_size, stride, padding, dilation,
                ptrdiff_t groups):
    """Gradient of conv(x, weight) for its weight, given the gradient g for its output."""
    cdef int n = cnp.PyArray_NDIM(x) - 2
    x, g = channels_last("conv_weight", x), channels_last("conv_weight", g)
    out = empty([g.shape[1], x.shape[1] // groups, *per_axis(kernel_size, n)], x.dtype)
    if not x.size or not g.size:
        out.fill(0)
    else:
        run_conv("conv_weight", b"w", x, out, g, None, per_axis(stride, n), per_axis(padding, n),
                 per_axis(dilation, n), groups)
    return out


# ------------------------------------------------------------------- pooling, resampling

cdef fg_pool pool_windows(cnp.ndarray x, cnp.ndarray out, kernel_size, stride, padding, dilation):
    cdef fg_pool p
    cdef int d, i, n_axes = cnp.PyArray_NDIM(x) - 2
    p.batch, p.channels = cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1)
    for d in range(3):
        i = d - 3 + n_axes
        p.size[d] = p.out[d] = p.kernel[d] = p.stride[d] = p.dilation[d] = 1
        p.padding[d] = 0
        if i >= 0:
            p.size[d], p.out[d] = cnp.PyArray_DIM(x, 2 + i), cnp.PyArray_DIM(out, 2 + i)
            p.kernel[d], p.stride[d], p.padding[d] = kernel_size[i], stride[i], padding[i]
            p.dilation[d] = dilation[i]
    return p


cdef ptrdiff_t pool_size(ptrdiff_t n, ptrdiff_t kernel, ptrdiff_t stride, ptrdiff_t padding,
                         ptrdiff_t dilation, bint ceil_mode):
    """Number of windows along an axis; the last may reach beyond its end, not start there."""
    cdef ptrdiff_t room = n + 2 * padding - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return room // stride + 1
    cdef ptrdiff_t windows = (room + stride - 1) // stride + 1
    return windows - 1 if (windows - 1) * stride >= n + padding else windows


def max_pool(cnp.ndarray x, kernel_size, stride, padding, dilation, bint ceil_mode):
    """Maxima of windows into x (N, C, spatial…) and their flat positions, channels-last in memory."""
    cdef bint f64 = is_f64("max_pool", x)
    cdef int i, n = cnp.PyArray_NDIM(x) - 2
    x = dense(x)
    stride = per_axis(kernel_size if stride is None else stride, n)
    kernel_size, padding = per_axis(kernel_size, n), per_axis(padding, n)
    dilation = per_axis(dilation, n)
    size = [pool_size(cnp.PyArray_DIM(x, 2 + i), kernel_size[i], stride[i], padding[i], dilation[i],
                      ceil_mode) for i in range(n)]
    cdef cnp.ndarray out = empty_channels_last((*np.shape(x)[:2], *size), x.dtype)
    cdef cnp.ndarray index = empty_channels_last(np.shape(out), np.int32)
    cdef fg_pool p = pool_windows(x, out, kernel_size, stride, padding, dilation)
    if cnp.PyArray_SIZE(out):
        with nogil:
            kernels.max_pool(f64, &p, cnp.PyArray_DATA(x), cnp.PyArray_DATA(out),
                             <int32_t *>cnp.PyArray_DATA(index))
    return out, index


def max_unpool(cnp.ndarray g, cnp.ndarray index, size, kernel_size, stride, padding, dilation):
    """Values g added where max_pool found its maxima, in a map of the given spatial size."""
    cdef bint f64 = is_f64("max_pool", g)
    cdef int n = cnp.PyArray_NDIM(g) - 2
    stride = per_axis(kernel_size if stride is None else stride, n)
    kernel_size, padding = per_axis(kernel_size, n), per_axis(padding, n)
    g, index = dense(g), dense(np.asarray(index, np.int32))
    cdef cnp.ndarray out = empty_channels_last((*np.shape(g)[:2], *size), g.dtype)
    cdef fg_pool p = pool_windows(out, g, kernel_size, stride, padding, per_axis(dilation, n))
    if cnp.PyArray_SIZE(out):
        with nogil:
            kernels.max_unpool(f64, &p, cnp.PyArray_DATA(g),
                               <const int32_t *>cnp.PyArray_DATA(index), cnp.PyArray_DATA(out))
    return out


def resample(cnp.ndarray x, int axis, ptrdiff_t n_out, cnp.ndarray start, cnp.ndarray index,
             cnp.ndarray weight):
    """A sparse linear map along an axis: output i sums weight[t] x[index[t]] over its taps t.

    Those run from start[i] to start[i + 1] - 1; start and index are intp, weight is float64. The
    output keeps the memory order of x.
    """
    cdef bint f64 = is_f64("resample", x)
    cdef ptrdiff_t outer, inner
    cdef fg_taps taps
    x, outer, inner = around_axis(x, axis)
    shape = list(np.shape(x))
    shape[axis] = n_out
    cdef cnp.ndarray out = empty(shape, x.dtype, memory_order(x))
    taps.n_in, taps.n_out = cnp.PyArray_DIM(x, axis), n_out
    taps.start = <const ptrdiff_t *>cnp.PyArray_DATA(start)
    taps.index = <const ptrdiff_t *>cnp.PyArray_DATA(index)
    taps.weight = <const double *>cnp.PyArray_DATA(weight)
    if cnp.PyArray_SIZE(out):
        with nogil:
            kernels.resample(f64, &taps, cnp.PyArray_DATA(x), cnp.PyArray_DATA(out), outer, inner)
    return out
