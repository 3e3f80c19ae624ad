# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""NumPy arrays in, C kernels, NumPy arrays out.

No policy lives here: which op calls which kernel is said in ``device.py``, shapes are checked by
the ops. Each wrapper allocates its output from the buffer pool and releases the interpreter lock
around the C call. Sections: memory, threads and instruction set, elementwise, reductions, then one
per family of ops.
"""
import os

import numpy as np

from fieldgrad.engine.errors import DTypeError

cimport numpy as cnp
from libc.stdint cimport int32_t, uintptr_t
from libc.stdlib cimport free

cnp.import_array()


cdef extern from "stdlib.h" nogil:
    int posix_memalign(void **pointer, size_t alignment, size_t size)

cdef extern from "kernels/threads.h" nogil:
    void fg_set_num_threads(int n)
    int fg_get_num_threads()

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

cdef extern from "kernels/norm.h" nogil:
    ctypedef struct fg_norm:
        ptrdiff_t batch, positions, channels, groups
        double eps, negative_slope

cdef extern from "kernels/pool.h" nogil:
    ctypedef struct fg_pool:
        ptrdiff_t batch, channels
        ptrdiff_t size "in"[3]
        ptrdiff_t out[3]
        ptrdiff_t kernel[3]
        ptrdiff_t stride[3]
        ptrdiff_t padding[3]

cdef extern from "kernels/resample.h" nogil:
    ctypedef struct fg_taps:
        ptrdiff_t n_in, n_out
        const ptrdiff_t *start
        const ptrdiff_t *index
        const double *weight

cdef extern from "kernels/kernels.h" nogil:
    ctypedef void (*fg_loop)(const char *, const char *, char *, ptrdiff_t, ptrdiff_t, ptrdiff_t,
                             ptrdiff_t, const double *) noexcept nogil
    ctypedef struct fg_elementwise:
        const char *name
        int n_in
        fg_loop f32
        fg_loop f64
    ctypedef struct fg_kernels:
        const char *isa
        const fg_elementwise *(*elementwise_table)() noexcept nogil
        int (*reduce_f32)(int, const float *, float *, ptrdiff_t, ptrdiff_t,
                          ptrdiff_t) noexcept nogil
        int (*reduce_f64)(int, const double *, double *, ptrdiff_t, ptrdiff_t,
                          ptrdiff_t) noexcept nogil
        int (*conv)(const fg_conv *, char, void *, void *, void *, const void *) noexcept nogil
        int (*norm)(int, const fg_norm *, const void *, const void *, const void *, void *, void *,
                    void *) noexcept nogil
        int (*norm_gradient)(int, const fg_norm *, const void *, const void *, const void *,
                             const void *, const void *, const void *, void *, void *,
                             void *) noexcept nogil
        void (*softmax)(int, int, const void *, void *, ptrdiff_t, ptrdiff_t,
                        ptrdiff_t) noexcept nogil
        void (*max_pool)(int, const fg_pool *, const void *, void *, int32_t *) noexcept nogil
        void (*max_unpool)(int, const fg_pool *, const void *, const int32_t *,
                           void *) noexcept nogil
        void (*resample)(int, const fg_taps *, const void *, void *, ptrdiff_t,
                         ptrdiff_t) noexcept nogil
    const fg_kernels *fg_select(const char *isa)

cdef extern from "kernels/walk.h" nogil:
    void fg_walk(fg_loop loop, int ndim, const ptrdiff_t *shape, const char *a,
                 const ptrdiff_t *stride_a, const char *b, const ptrdiff_t *stride_b, char *out,
                 const ptrdiff_t *stride_out, const double *attributes)

DEF MAX_NDIM = 64


# ---------------------------------------------------------------------------------- memory

# Arrays from this size on come from the pool: below it the C allocator keeps its pages anyway.
cdef size_t POOL_FROM = 1 << 16
cdef dict free_blocks = {}          # rounded size -> list of addresses
cdef size_t bytes_free = 0, bytes_used = 0, bytes_peak = 0
cdef size_t bytes_limit = <size_t>4 << 30


cdef class Buffer:
    """Memory of one pooled array: 64-byte aligned, returned to the pool when the array dies."""
    cdef void *pointer
    cdef size_t size

    def __dealloc__(self):
        global bytes_free, bytes_used
        if self.pointer == NULL:
            return
        bytes_used -= self.size
        if bytes_free + self.size > bytes_limit:
            free(self.pointer)
            return
        bytes_free += self.size
        blocks = free_blocks.get(self.size)
        if blocks is None:
            blocks = free_blocks[self.size] = []
        blocks.append(<uintptr_t>self.pointer)


cdef Buffer new_buffer(size_t size):
    """A block of at least size bytes; sizes are rounded up by at most an eighth so they recur."""
    global bytes_free, bytes_used, bytes_peak
    cdef size_t step = POOL_FROM
    while step * 16 < size:
        step *= 2
    size = (size + step - 1) // step * step
    cdef Buffer buffer = Buffer.__new__(Buffer)
    blocks = free_blocks.get(size)
    if blocks:
        buffer.pointer = <void *><uintptr_t>blocks.pop()
        bytes_free -= size
    elif posix_memalign(&buffer.pointer, 64, size):
        buffer.pointer = NULL
        trim()
        if posix_memalign(&buffer.pointer, 64, size):
            buffer.pointer = NULL
            raise MemoryError(f"no memory for an array of {size / 2**20:.0f} MiB; "
                              "use a smaller batch or patch")
    buffer.size = size
    bytes_used += size
    bytes_peak = max(bytes_peak, bytes_used)
    return buffer


cdef cnp.ndarray new_array(int ndim, const cnp.npy_intp *shape, int typenum, const int *order):
    """An uninitialized dense array; order lists its axes from slowest to fastest (NULL: C order)."""
    cdef cnp.npy_intp strides[MAX_NDIM]
    cdef cnp.npy_intp itemsize = 4 if typenum == cnp.NPY_FLOAT else 8
    cdef cnp.npy_intp size = itemsize
    cdef int d, axis
    if typenum != cnp.NPY_FLOAT and typenum != cnp.NPY_DOUBLE:
        itemsize = size = cnp.PyArray_DescrFromType(typenum).itemsize
    for d in range(ndim - 1, -1, -1):
        axis = d if order == NULL else order[d]
        strides[axis] = size
        size *= shape[axis]
    cdef Buffer buffer
    cdef cnp.ndarray out
    if <size_t>size < POOL_FROM:
        return cnp.PyArray_New(np.ndarray, ndim, <cnp.npy_intp *>shape, typenum, strides, NULL, 0,
                               0, None)
    buffer = new_buffer(size)
    out = cnp.PyArray_New(np.ndarray, ndim, <cnp.npy_intp *>shape, typenum, strides, buffer.pointer,
                          0, cnp.NPY_ARRAY_WRITEABLE | cnp.NPY_ARRAY_ALIGNED, None)
    cnp.PyArray_UpdateFlags(out, cnp.NPY_ARRAY_UPDATE_ALL)
    cnp.set_array_base(out, buffer)
    return out


def empty(shape, dtype=np.float32, order=None):
    """Uninitialized array from the pool.

    ``order`` lists the axes from the slowest to the fastest in memory; default is C order.
    """
    cdef cnp.npy_intp dims[MAX_NDIM]
    cdef int axes[MAX_NDIM]
    cdef int d, ndim = len(shape)
    for d in range(ndim):
        dims[d] = shape[d]
        axes[d] = d if order is None else order[d]
    return new_array(ndim, dims, cnp.dtype(dtype).num, NULL if order is None else axes)


def empty_channels_last(shape, dtype=np.float32):
    """Uninitialized (batch, channel, spatial…) array whose channels are adjacent in memory."""
    ndim = len(shape)
    return empty(shape, dtype, (0, *range(2, ndim), 1)) if ndim > 2 else empty(shape, dtype)


def trim():
    """Give the pool's free memory back to the operating system; return the bytes given back."""
    global bytes_free
    cdef size_t given = bytes_free
    for blocks in free_blocks.values():
        for pointer in blocks:
            free(<void *><uintptr_t>pointer)
    free_blocks.clear()
    bytes_free = 0
    return given


def memory_stats():
    """Bytes of pooled arrays: ``used`` now, ``peak`` since start, ``free`` for reuse, ``limit``."""
    return {"used": bytes_used, "peak": bytes_peak, "free": bytes_free, "limit": bytes_limit}


def set_memory_limit(size_t nbytes):
    """Keep at most this many free bytes for reuse."""
    global bytes_limit
    bytes_limit = nbytes
    if bytes_free > bytes_limit:
        trim()


# ------------------------------------------------------- threads and instruction set

cdef const fg_kernels *kernels = NULL


cdef str select_isa(str name):
    """Take the kernels of this instruction set, or the best here for an empty name."""
    global kernels
    cdef bytes text = name.encode()
    kernels = fg_select(<const char *>text if name else <const char *>NULL)
    if kernels == NULL:
        raise ValueError(f"FIELDGRAD_ISA={name}: this processor or build does not have it; expected "
                         "generic, avx2 or avx512. Unset it to choose the best one.")
    return kernels.isa.decode()


def available_threads():
    """Processors that this process may use: affinity, control group and SLURM respected."""
    n = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        with open("/sys/fs/cgroup/cpu.max") as file:
            quota, period = file.read().split()
        if quota != "max":
            n = min(n, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        pass  # no control group (version 2) limits this process
    slurm = os.environ.get("SLURM_CPUS_PER_TASK", "")
    return min(n, int(slurm)) if slurm.isdigit() and int(slurm) > 0 else n


def set_num_threads(int n):
    """Let kernels use n threads; results do not depend on n."""
    if n < 1:
        raise ValueError(f"set_num_threads: n = {n}; expected at least 1.")
    fg_set_num_threads(n)


def get_num_threads():
    """Number of threads that kernels use."""
    return fg_get_num_threads()


isa = select_isa(os.environ.get("FIELDGRAD_ISA", ""))
set_num_threads(available_threads())


# ----------------------------------------------------------------------------- elementwise

cdef int memory_order(cnp.ndarray a, int ndim, int *order):
    """Axes of a from slowest to fastest in memory; returns whether that differs from C order."""
    cdef int i, j, axis, changed = 0
    cdef cnp.npy_intp *strides = cnp.PyArray_STRIDES(a)
    cdef cnp.npy_intp *shape = cnp.PyArray_DIMS(a)
    for i in range(ndim):
        order[i] = i
    for i in range(1, ndim):
        axis = order[i]
        j = i
        # Axes of length 1 have arbitrary strides: they stay where they are.
        while j > 0 and shape[axis] != 1 and shape[order[j - 1]] != 1 \
                and abs(strides[order[j - 1]]) < abs(strides[axis]):
            order[j] = order[j - 1]
            j -= 1
            changed = 1
        order[j] = axis
    return changed


cdef class Elementwise:
    """One elementwise kernel: C loops for float32 and float64, a NumPy ufunc for other types.

    Broadcasts as NumPy does. The output keeps the memory order of the input with most elements.
    """
    cdef fg_loop f32, f64
    cdef int n_in
    cdef object ufunc
    cdef readonly str name

    def __init__(self, name, ufunc=None):
        cdef const fg_elementwise *row = kernels.elementwise_table()
        self.name = name
        self.ufunc = ufunc
        while row.name != NULL:
            if row.name.decode() == self.name:
                self.n_in, self.f32, self.f64 = row.n_in, row.f32, row.f64
                return
            row += 1
        raise KeyError(f"no elementwise kernel named {self.name!r}")

    def __call__(self, cnp.ndarray a, b=None, *attributes, **named):
        cdef double values[2]
        cdef cnp.ndarray c = <cnp.ndarray>b if self.n_in == 2 else None
        cdef int typenum = cnp.PyArray_TYPE(a), i = 0
        values[0] = values[1] = 0
        if self.n_in == 1 and b is not None:
            values[0] = b
            i = 1
        for value in attributes or named.values():
            values[i] = value
            i += 1
        if typenum == cnp.NPY_FLOAT:
            return self.run(self.f32, typenum, a, c, values)
        if typenum == cnp.NPY_DOUBLE:
            return self.run(self.f64, typenum, a, c, values)
        if self.ufunc is None:
            raise TypeError(f"{self.name}: dtype {a.dtype} is not supported; "
                            "convert with .astype(float32) or .astype(float64)")
        out = self.ufunc(a, *(() if c is None else (c,)), *attributes, *named.values())
        return out if isinstance(out, np.ndarray) else np.asarray(out)

    cdef cnp.ndarray run(self, fg_loop loop, int typenum, cnp.ndarray a, cnp.ndarray b,
                         const double *attributes):
        cdef int d, ndim = cnp.PyArray_NDIM(a), ndim_b, lead
        cdef cnp.npy_intp shape[MAX_NDIM]
        cdef int order[MAX_NDIM]
        cdef ptrdiff_t walk_shape[MAX_NDIM]
        cdef ptrdiff_t strides[3][MAX_NDIM]
        cdef cnp.ndarray out, full = a
        cdef cnp.npy_intp n, n_a, n_b
        cdef const char *pa
        cdef const char *pb = NULL
        cdef char *po
        cdef bint flat = cnp.PyArray_IS_C_CONTIGUOUS(a)
        if b is not None:
            ndim_b = cnp.PyArray_NDIM(b)
            flat = flat and ndim_b == ndim and cnp.PyArray_IS_C_CONTIGUOUS(b)
            ndim = max(ndim, ndim_b)
            for d in range(ndim):
                n_a = 1 if d < ndim - a.ndim else cnp.PyArray_DIM(a, d - ndim + a.ndim)
                n_b = 1 if d < ndim - ndim_b else cnp.PyArray_DIM(b, d - ndim + ndim_b)
                if n_a != n_b:
                    flat = False
                    if n_a != 1 and n_b != 1:
                        raise ValueError(
                            f"{self.name}: shapes {np.shape(a)} and {np.shape(b)} do not broadcast: "
                            f"axis {d - ndim} has {n_a} and {n_b} elements. Expected equal sizes or "
                            "1; reshape one of them, or insert axes with x[..., None].")
                shape[d] = n_b if n_a == 1 else n_a
            if cnp.PyArray_SIZE(b) > cnp.PyArray_SIZE(a):
                full = b
        else:
            for d in range(ndim):
                shape[d] = cnp.PyArray_DIM(a, d)
        pa = <const char *>cnp.PyArray_DATA(a)
        if b is not None:
            pb = <const char *>cnp.PyArray_DATA(b)
        if flat:
            out = new_array(ndim, shape, typenum, NULL)
            po = <char *>cnp.PyArray_DATA(out)
            n = cnp.PyArray_SIZE(out)
            d = 4 if typenum == cnp.NPY_FLOAT else 8
            if n <= 16384:
                loop(pa, pb, po, n, d, d, d, attributes)
            else:
                walk_shape[0] = n
                strides[0][0] = d
                with nogil:
                    fg_walk(loop, 1, walk_shape, pa, strides[0], pb, strides[0], po, strides[0],
                            attributes)
            return out
        if cnp.PyArray_NDIM(full) == ndim and memory_order(full, ndim, order):
            out = new_array(ndim, shape, typenum, order)
        else:
            for d in range(ndim):
                order[d] = d
            out = new_array(ndim, shape, typenum, NULL)
        po = <char *>cnp.PyArray_DATA(out)
        for d in range(ndim):
            walk_shape[d] = shape[order[d]]
            strides[2][d] = cnp.PyArray_STRIDE(out, order[d])
            lead = order[d] - ndim + cnp.PyArray_NDIM(a)
            strides[0][d] = 0 if lead < 0 or cnp.PyArray_DIM(a, lead) == 1 \
                else cnp.PyArray_STRIDE(a, lead)
            if b is not None:
                lead = order[d] - ndim + cnp.PyArray_NDIM(b)
                strides[1][d] = 0 if lead < 0 or cnp.PyArray_DIM(b, lead) == 1 \
                    else cnp.PyArray_STRIDE(b, lead)
        with nogil:
            fg_walk(loop, ndim, walk_shape, pa, strides[0], pb, strides[1], po, strides[2],
                    attributes)
        return out


# ------------------------------------------------------------------------------ reductions

cdef dict REDUCTIONS = {"sum": 0, "max": 1, "min": 2}


def reduce(str kind, cnp.ndarray x, tuple axes, bint keepdims):
    """Sum, max or min of a floating x over axes (non-negative, each once, none empty)."""
    cdef int ndim = cnp.PyArray_NDIM(x), d, axis, n_runs = 0, code = REDUCTIONS[kind], failed
    cdef int typenum = cnp.PyArray_TYPE(x)
    cdef int order[MAX_NDIM]
    cdef bint reduced[MAX_NDIM]
    for d in range(ndim):
        reduced[d] = False
    for axis in axes:
        reduced[axis] = True
    memory_order(x, ndim, order)
    # Merge the axes, in memory order, into at most kept x reduced x kept runs; a copy in that order
    # serves every other pattern.
    cdef ptrdiff_t outer = 1, n = 1, inner = 1
    cdef int phase = 0
    cdef bint simple = True
    cdef cnp.npy_intp expected = x.dtype.itemsize
    for d in range(ndim - 1, -1, -1):
        if cnp.PyArray_DIM(x, order[d]) != 1:
            simple = simple and cnp.PyArray_STRIDE(x, order[d]) == expected
        expected *= cnp.PyArray_DIM(x, order[d])
    for d in range(ndim):
        axis = order[d]
        if cnp.PyArray_DIM(x, axis) == 1:
            continue
        if reduced[axis]:
            if phase == 0:
                phase = 1
            simple = simple and phase == 1
            n *= cnp.PyArray_DIM(x, axis)
        elif phase == 0:
            outer *= cnp.PyArray_DIM(x, axis)
        else:
            phase = 2
            inner *= cnp.PyArray_DIM(x, axis)
    kept = [order[d] for d in range(ndim) if not reduced[order[d]]]
    if not simple:
        kept = [d for d in range(ndim) if not reduced[d]]
        source = x.transpose(kept + list(axes))
        x = empty(source.shape, x.dtype)
        np.copyto(x, source)
        outer, inner = outer * inner, 1
    shape = [source.shape[i] for i in range(len(kept))] if not simple else [x.shape[d] for d in kept]
    cdef cnp.ndarray out = empty(shape, x.dtype)
    if typenum == cnp.NPY_FLOAT:
        with nogil:
            failed = kernels.reduce_f32(code, <const float *>cnp.PyArray_DATA(x),
                                        <float *>cnp.PyArray_DATA(out), outer, n, inner)
    else:
        with nogil:
            failed = kernels.reduce_f64(code, <const double *>cnp.PyArray_DATA(x),
                                        <double *>cnp.PyArray_DATA(out), outer, n, inner)
    if failed:
        raise MemoryError(f"{kind}: no memory for partial results of shape {np.shape(out)}")
    # out's axes are the kept ones in memory order: bring them back, then insert reduced axes.
    if kept != sorted(kept):
        out = out.transpose([kept.index(d) for d in sorted(kept)])
    if keepdims:
        out = out[(*[None if reduced[d] else slice(None) for d in range(ndim)], ...)]
    return out


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
    if cnp.PyArray_TYPE(x) != cnp.NPY_FLOAT and cnp.PyArray_TYPE(x) != cnp.NPY_DOUBLE:
        raise TypeError(f"{name}: dtype {x.dtype} is not supported; convert with .astype(float32) or "
                        ".astype(float64)")
    if cnp.PyArray_ISALIGNED(x) and (cnp.PyArray_DIM(x, 1) == 1 or
                                     cnp.PyArray_STRIDE(x, 1) == cnp.PyArray_ITEMSIZE(x)):
        return x
    out = empty_channels_last(np.shape(x), x.dtype)
    np.copyto(out, x)
    return out


cdef tuple per_axis(value, int n):
    """One number for each spatial axis; a single one stands for all."""
    return tuple(value) if isinstance(value, (tuple, list)) else (int(value),) * n


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


# ----------------------------------------------------------------- normalization, softmax

cdef bint is_f64(str name, cnp.ndarray x) except -1:
    """Which of the two compiled element types x has."""
    if cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT or cnp.PyArray_TYPE(x) == cnp.NPY_DOUBLE:
        return cnp.PyArray_TYPE(x) == cnp.NPY_DOUBLE
    raise DTypeError(f"{name}: dtype {x.dtype} is not supported; expected float32 or float64. Convert "
                     "with .astype(float32).")


cdef cnp.ndarray dense(cnp.ndarray x):
    """x itself where it is (batch, spatial…, channel) without gaps in memory, else such a copy."""
    cdef int d, i, ndim = cnp.PyArray_NDIM(x)
    cdef cnp.npy_intp expected = cnp.PyArray_ITEMSIZE(x)
    for i in range(ndim):
        d = (1 if i == 0 else ndim - i if i < ndim - 1 else 0) if ndim > 2 else ndim - 1 - i
        if cnp.PyArray_DIM(x, d) != 1 and cnp.PyArray_STRIDE(x, d) != expected:
            out = empty_channels_last(np.shape(x), x.dtype)
            np.copyto(out, x)
            return out
        expected *= cnp.PyArray_DIM(x, d)
    return x


cdef void *data_or_null(cnp.ndarray a) noexcept nogil:
    return NULL if a is None else cnp.PyArray_DATA(a)


cdef fg_norm norm_sizes(cnp.ndarray x, ptrdiff_t batch, ptrdiff_t groups, double eps,
                        double negative_slope):
    cdef fg_norm s
    s.batch, s.groups, s.eps, s.negative_slope = batch, groups, eps, negative_slope
    s.channels = cnp.PyArray_DIM(x, 1)
    s.positions = cnp.PyArray_SIZE(x) // max(batch * s.channels, 1)
    return s


def norm(cnp.ndarray x, weight, bias, ptrdiff_t batch, ptrdiff_t groups, double eps,
         double negative_slope=1.0, bint statistics_only=False):
    """Normalize groups of channels of x (N, C, …); batch = 1 counts N among the positions, else N.

    Returns the output, channels-last in memory (None for statistics only), and mean and reciprocal
    standard deviation, (batch, groups). A negative_slope but 1 applies a leaky ReLU to the output.
    """
    cdef bint f64 = is_f64("norm", x)
    x = dense(x)
    cdef fg_norm s = norm_sizes(x, batch, groups, eps, negative_slope)
    cdef cnp.ndarray w = None if weight is None else np.ascontiguousarray(weight)
    cdef cnp.ndarray b = None if bias is None else np.ascontiguousarray(bias)
    cdef cnp.ndarray out = None if statistics_only else empty_channels_last(np.shape(x), x.dtype)
    cdef cnp.ndarray mean = empty((batch, groups), x.dtype), rstd = empty((batch, groups), x.dtype)
    cdef int failed = 0
    if not cnp.PyArray_SIZE(x):
        mean.fill(np.nan)
        rstd.fill(np.nan)
    else:
        with nogil:
            failed = kernels.norm(f64, &s, cnp.PyArray_DATA(x), data_or_null(w), data_or_null(b),
                                  cnp.PyArray_DATA(mean), cnp.PyArray_DATA(rstd), data_or_null(out))
    if failed:
        raise MemoryError(f"norm: no memory for the statistics of an array of shape {np.shape(x)}")
    return out, mean, rstd


def norm_gradient(cnp.ndarray g, cnp.ndarray x, weight, bias, cnp.ndarray mean, cnp.ndarray rstd,
                  double negative_slope):
    """Gradients of norm's output for x, weight and bias; mean and rstd as norm gave them."""
    cdef bint f64 = is_f64("norm_gradient", x)
    x, g = dense(x), dense(g)
    cdef fg_norm s = norm_sizes(x, cnp.PyArray_DIM(mean, 0), cnp.PyArray_DIM(mean, 1), 0,
                                negative_slope)
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


cdef cnp.ndarray around_axis(cnp.ndarray x, int axis, int *order, ptrdiff_t *outer,
                             ptrdiff_t *inner):
    """x without gaps in memory, copied if need be, as (outer, n, inner) around the axis.

    order becomes its axes from slowest to fastest.
    """
    cdef int d, ndim = cnp.PyArray_NDIM(x)
    cdef cnp.npy_intp expected = cnp.PyArray_ITEMSIZE(x)
    cdef cnp.ndarray source = x
    memory_order(x, ndim, order)
    outer[0] = inner[0] = 1
    for d in range(ndim - 1, -1, -1):
        if cnp.PyArray_DIM(x, order[d]) != 1 and cnp.PyArray_STRIDE(x, order[d]) != expected:
            source = new_array(ndim, cnp.PyArray_DIMS(x), cnp.PyArray_TYPE(x), order)
            np.copyto(source, x)
            break
        expected *= cnp.PyArray_DIM(x, order[d])
    for d in range(ndim - 1, -1, -1):
        if order[d] == axis:
            break
        inner[0] *= cnp.PyArray_DIM(x, order[d])
    for d in range(d):
        outer[0] *= cnp.PyArray_DIM(x, order[d])
    return source


def softmax(cnp.ndarray x, int axis, bint logarithm=False):
    """Softmax of x along an axis, or its logarithm; the output keeps the memory order of x."""
    cdef bint f64 = is_f64("softmax", x)
    cdef int order[MAX_NDIM]
    cdef ptrdiff_t outer, inner, n = cnp.PyArray_DIM(x, axis)
    x = around_axis(x, axis, order, &outer, &inner)
    cdef cnp.ndarray out = new_array(cnp.PyArray_NDIM(x), cnp.PyArray_DIMS(x), cnp.PyArray_TYPE(x),
                                     order)
    if cnp.PyArray_SIZE(x):
        with nogil:
            kernels.softmax(f64, logarithm, cnp.PyArray_DATA(x), cnp.PyArray_DATA(out), outer, n,
                            inner)
    return out


# ------------------------------------------------------------------- pooling, resampling

cdef fg_pool pool_windows(cnp.ndarray x, cnp.ndarray out, kernel_size, stride, padding):
    cdef fg_pool p
    cdef int d, i, n_axes = cnp.PyArray_NDIM(x) - 2
    p.batch, p.channels = cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1)
    for d in range(3):
        i = d - 3 + n_axes
        p.size[d] = p.out[d] = p.kernel[d] = p.stride[d] = 1
        p.padding[d] = 0
        if i >= 0:
            p.size[d], p.out[d] = cnp.PyArray_DIM(x, 2 + i), cnp.PyArray_DIM(out, 2 + i)
            p.kernel[d], p.stride[d], p.padding[d] = kernel_size[i], stride[i], padding[i]
    return p


def max_pool(cnp.ndarray x, kernel_size, stride, padding):
    """Maxima of windows into x (N, C, spatial…) and their flat positions, channels-last in memory."""
    cdef bint f64 = is_f64("max_pool", x)
    cdef int i, n = cnp.PyArray_NDIM(x) - 2
    x = dense(x)
    stride = per_axis(kernel_size if stride is None else stride, n)
    kernel_size, padding = per_axis(kernel_size, n), per_axis(padding, n)
    size = [(np.shape(x)[2 + i] + 2 * padding[i] - kernel_size[i]) // stride[i] + 1
            for i in range(n)]
    cdef cnp.ndarray out = empty_channels_last((*np.shape(x)[:2], *size), x.dtype)
    cdef cnp.ndarray index = empty_channels_last(np.shape(out), np.int32)
    cdef fg_pool p = pool_windows(x, out, kernel_size, stride, padding)
    if cnp.PyArray_SIZE(out):
        with nogil:
            kernels.max_pool(f64, &p, cnp.PyArray_DATA(x), cnp.PyArray_DATA(out),
                             <int32_t *>cnp.PyArray_DATA(index))
    return out, index


def max_unpool(cnp.ndarray g, cnp.ndarray index, size, kernel_size, stride, padding):
    """Values g added where max_pool found its maxima, in a map of the given spatial size."""
    cdef bint f64 = is_f64("max_unpool", g)
    cdef int n = cnp.PyArray_NDIM(g) - 2
    stride = per_axis(kernel_size if stride is None else stride, n)
    kernel_size, padding = per_axis(kernel_size, n), per_axis(padding, n)
    g, index = dense(g), dense(np.asarray(index, np.int32))
    cdef cnp.ndarray out = empty_channels_last((*np.shape(g)[:2], *size), g.dtype)
    cdef fg_pool p = pool_windows(out, g, kernel_size, stride, padding)
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
    cdef int order[MAX_NDIM]
    cdef cnp.npy_intp shape[MAX_NDIM]
    cdef ptrdiff_t outer, inner
    cdef int d
    cdef fg_taps taps
    x = around_axis(x, axis, order, &outer, &inner)
    for d in range(cnp.PyArray_NDIM(x)):
        shape[d] = n_out if d == axis else cnp.PyArray_DIM(x, d)
    cdef cnp.ndarray out = new_array(cnp.PyArray_NDIM(x), shape, cnp.PyArray_TYPE(x), order)
    taps.n_in, taps.n_out = cnp.PyArray_DIM(x, axis), n_out
    taps.start = <const ptrdiff_t *>cnp.PyArray_DATA(start)
    taps.index = <const ptrdiff_t *>cnp.PyArray_DATA(index)
    taps.weight = <const double *>cnp.PyArray_DATA(weight)
    if cnp.PyArray_SIZE(out):
        with nogil:
            kernels.resample(f64, &taps, cnp.PyArray_DATA(x), cnp.PyArray_DATA(out), outer, inner)
    return out
