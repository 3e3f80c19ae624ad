# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""NumPy arrays in, C kernels, NumPy arrays out.

No policy lives here: which op calls which kernel is said in ``device/``, shapes are checked by
the ops. Each wrapper allocates its output from the buffer pool and releases the interpreter lock
around the C call. Sections: memory, layout, threads and instruction set, elementwise, reductions.
Normalizations and losses are in ``norm_kernels.pyx``, other layers in ``nn_kernels.pyx``.
"""
import os
from operator import index

import numpy as np

from fieldgrad.engine.errors import DTypeError
from fieldgrad.engine.processors import available_threads

cimport numpy as cnp
from cpython.pycapsule cimport PyCapsule_New
from libc.stdint cimport uintptr_t
from libc.stdlib cimport free

cnp.import_array()


cdef extern from "stdlib.h" nogil:
    int posix_memalign(void **pointer, size_t alignment, size_t size)

cdef extern from "kernels/threads.h" nogil:
    const int MAX_THREADS "FG_MAX_THREADS"
    void fg_set_num_threads(int n)
    int fg_get_num_threads()

cdef extern from "kernels/copy.h" nogil:
    enum: FG_COPY_AXES
    ctypedef struct fg_copy_axes:
        int n_axes
        ptrdiff_t size[8]
        ptrdiff_t source "from"[8]
        ptrdiff_t to[8]

cdef extern from "kernels/reduce.h" nogil:
    enum:
        SUM "FG_SUM"
        MEAN "FG_MEAN"
        PROD "FG_PROD"
        MAX "FG_MAX"
        MIN "FG_MIN"
        ARGMAX "FG_ARGMAX"
        ARGMIN "FG_ARGMIN"
    ctypedef struct fg_reduction:
        int kind, n_outer, n_segments
        const void *x
        void *out
        ptrdiff_t n, step, inner
        ptrdiff_t outer_shape[64]
        ptrdiff_t outer_stride[64]
        ptrdiff_t segment_shape[64]
        ptrdiff_t segment_stride[64]

cdef extern from "kernels/kernels.h" nogil:
    ctypedef void (*fg_loop)(char **, ptrdiff_t, int, const double *) noexcept nogil
    ctypedef struct fg_elementwise:
        const char *name
        int n_in, truth
        fg_loop f32
        fg_loop f64
    ctypedef struct fg_kernels:
        const char *isa
        const fg_elementwise *(*elementwise_table)() noexcept nogil
        int (*reduce)(int, const fg_reduction *) noexcept nogil
        void (*cumsum)(int, const void *, void *, ptrdiff_t, ptrdiff_t, ptrdiff_t) noexcept nogil
        void (*copy)(int, const fg_copy_axes *, const void *, void *) noexcept nogil
    const fg_kernels *fg_select(const char *isa)
    int fg_bfloat16
    int fg_round_products(const fg_kernels *kernels, int wanted)

cdef extern from "kernels/walk.h" nogil:
    ctypedef struct fg_walk:
        fg_loop loop
        const double *attributes
        int n_in, ndim
        char *data[4]
        ptrdiff_t size[4]
        ptrdiff_t shape[65]
        ptrdiff_t stride[3][65]
    void fg_run_walk(fg_walk *w)

DEF MAX_NDIM = 64
DEF SHORT = 512      # elements up to which an elementwise kernel is called without a walk


# ---------------------------------------------------------------------------------- memory

# Arrays from this size on come from the pool: below it the C allocator keeps its pages anyway.
cdef size_t POOL_FROM = 1 << 16
cdef dict free_blocks = {}          # rounded size -> list of addresses
cdef size_t bytes_free = 0, bytes_used = 0, bytes_peak = 0
cdef size_t bytes_limit = 0         # set in memory.py


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
    if not blocks:
        # A somewhat larger free block does as well.
        larger = [n for n, found in free_blocks.items() if found and size < n <= size + size // 2]
        if larger:
            size = min(larger)
            blocks = free_blocks[size]
    if blocks:
        buffer.pointer = <void *><uintptr_t>blocks.pop()
        bytes_free -= size
    else:
        # Blocks of other sizes go, as long as they would raise the memory held over what arrays
        # have needed at some time.
        if bytes_used + bytes_free + size > bytes_peak:
            release(bytes_used + bytes_free + size - bytes_peak)
        if posix_memalign(&buffer.pointer, 64, size):
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
        if order == NULL:
            return cnp.PyArray_SimpleNew(ndim, <cnp.npy_intp *>shape, typenum)
        return cnp.PyArray_New(cnp.ndarray, ndim, <cnp.npy_intp *>shape, typenum, strides, NULL, 0,
                               0, None)
    buffer = new_buffer(size)
    out = cnp.PyArray_New(cnp.ndarray, ndim, <cnp.npy_intp *>shape, typenum, strides, buffer.pointer,
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


def broadcast_to(cnp.ndarray x, tuple shape):
    """Read-only view of x repeated to a shape that it broadcasts to (as the op has checked)."""
    cdef cnp.npy_intp dims[MAX_NDIM]
    cdef cnp.npy_intp strides[MAX_NDIM]
    cdef int d, ndim = len(shape), lead = ndim - cnp.PyArray_NDIM(x)
    for d in range(ndim):
        dims[d] = shape[d]
        strides[d] = 0 if d < lead or cnp.PyArray_DIM(x, d - lead) != dims[d] \
            else cnp.PyArray_STRIDE(x, d - lead)
    cdef cnp.ndarray out = cnp.PyArray_New(cnp.ndarray, ndim, dims, cnp.PyArray_TYPE(x), strides,
                                           cnp.PyArray_DATA(x), 0, 0, None)
    cnp.PyArray_UpdateFlags(out, cnp.NPY_ARRAY_UPDATE_ALL)
    cnp.set_array_base(out, x)
    return out


cdef size_t release(size_t nbytes):
    """Give free blocks back, largest first, until they make nbytes; return how many they were."""
    global bytes_free
    cdef size_t given = 0
    for size in sorted(free_blocks, reverse=True):
        while free_blocks[size] and given < nbytes:
            free(<void *><uintptr_t>free_blocks[size].pop())
            given += size
    bytes_free -= given
    return given


def trim():
    """Give the pool's free memory back to the operating system; return the bytes given back."""
    return release(bytes_free)


def memory_stats():
    """Bytes of pooled arrays: used now, their peak, free for reuse, and the limit of these."""
    return bytes_used, bytes_peak, bytes_free, bytes_limit


def set_memory_limit(size_t nbytes):
    """Keep at most this many free bytes for reuse."""
    global bytes_limit
    bytes_limit = nbytes
    if bytes_free > nbytes:
        release(bytes_free - nbytes)


def reset_memory_peak():
    """Count the peak from now on."""
    global bytes_peak
    bytes_peak = bytes_used


# ---------------------------------------------------------------------------------- layout

cdef int order_axes(cnp.ndarray a, int ndim, int *order):
    """Axes of a from slowest to fastest in memory; returns whether that differs from C order."""
    cdef int place[MAX_NDIM]
    cdef int i, j, axis, n = 0, changed = 0
    cdef cnp.npy_intp *strides = cnp.PyArray_STRIDES(a)
    cdef cnp.npy_intp *shape = cnp.PyArray_DIMS(a)
    for i in range(ndim):
        order[i] = i
        # Axes of length 1 have arbitrary strides, repeated ones none: they stay where they are, and
        # the others are ordered among the places that remain.
        if shape[i] != 1 and strides[i] != 0:
            place[n] = i
            n += 1
    for i in range(1, n):
        axis = place[i]
        j = i
        while j > 0 and abs(strides[order[place[j - 1]]]) < abs(strides[axis]):
            order[place[j]] = order[place[j - 1]]
            j -= 1
            changed = 1
        order[place[j]] = axis
    return changed


def memory_order(cnp.ndarray x):
    """Axes of x from the slowest to the fastest in memory; those of length 1 stay in place."""
    cdef int order[MAX_NDIM]
    cdef int d, ndim = cnp.PyArray_NDIM(x)
    order_axes(x, ndim, order)
    return tuple([order[d] for d in range(ndim)])


def is_f64(str name, cnp.ndarray x):
    """Which of the two compiled element types x has."""
    if cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT or cnp.PyArray_TYPE(x) == cnp.NPY_DOUBLE:
        return cnp.PyArray_TYPE(x) == cnp.NPY_DOUBLE
    raise DTypeError(f"{name}: dtype {x.dtype} is not supported; expected float32 or float64. Convert "
                     "with .astype(float32).")


def empty_like(cnp.ndarray x):
    """Uninitialized dense array with the shape, dtype and memory order of x."""
    cdef int order[MAX_NDIM]
    cdef int ndim = cnp.PyArray_NDIM(x)
    cdef bint changed = order_axes(x, ndim, order)
    return new_array(ndim, cnp.PyArray_DIMS(x), cnp.PyArray_TYPE(x), order if changed else NULL)


def copy_to(cnp.ndarray out, cnp.ndarray x):
    """Copy x to out: arrays of one shape, with any memory layout, that share no memory.

    Threads copy numbers of one type of 4 or 8 bytes; NumPy copies the rest.
    """
    cdef fg_copy_axes axes
    cdef int d, ndim = cnp.PyArray_NDIM(x), typenum = cnp.PyArray_TYPE(x)
    cdef cnp.npy_intp size = cnp.PyArray_ITEMSIZE(x)
    cdef bint plain = typenum == cnp.PyArray_TYPE(out) and ndim <= FG_COPY_AXES \
        and cnp.PyArray_ISALIGNED(x) and cnp.PyArray_ISBEHAVED(out) \
        and x.dtype.isnative and typenum in (cnp.NPY_FLOAT, cnp.NPY_DOUBLE, cnp.NPY_INT32,
                                             cnp.NPY_INT64)
    axes.n_axes = ndim
    for d in range(ndim if plain else 0):
        axes.size[d] = cnp.PyArray_DIM(x, d)
        axes.source[d] = cnp.PyArray_STRIDE(x, d) // size
        axes.to[d] = cnp.PyArray_STRIDE(out, d) // size
        plain = plain and axes.to[d] >= 0
    if not plain:
        np.copyto(out, x)
    elif cnp.PyArray_SIZE(x):
        with nogil:
            kernels.copy(size, &axes, cnp.PyArray_DATA(x), cnp.PyArray_DATA(out))


def dense(cnp.ndarray x):
    """x itself where it is (batch, spatial…, channel) without gaps in memory, else such a copy."""
    cdef int d, i, ndim = cnp.PyArray_NDIM(x)
    cdef cnp.npy_intp expected = cnp.PyArray_ITEMSIZE(x)
    for i in range(ndim):
        d = (1 if i == 0 else ndim - i if i < ndim - 1 else 0) if ndim > 2 else ndim - 1 - i
        if cnp.PyArray_DIM(x, d) != 1 and cnp.PyArray_STRIDE(x, d) != expected:
            out = empty_channels_last(np.shape(x), x.dtype)
            copy_to(out, x)
            return out
        expected *= cnp.PyArray_DIM(x, d)
    return x


def around_axis(cnp.ndarray x, int axis):
    """x without gaps in memory, copied if need be, seen as (outer, n, inner) around an axis.

    Returns the array, outer and inner.
    """
    cdef int d, i, ndim = cnp.PyArray_NDIM(x)
    cdef int order[MAX_NDIM]
    cdef cnp.npy_intp expected = cnp.PyArray_ITEMSIZE(x)
    cdef ptrdiff_t outer = 1, inner = 1
    cdef cnp.ndarray source = x
    cdef bint after = True
    order_axes(x, ndim, order)
    for i in range(ndim - 1, -1, -1):
        d = order[i]
        if source is x and cnp.PyArray_DIM(x, d) != 1 and cnp.PyArray_STRIDE(x, d) != expected:
            source = empty_like(x)
            copy_to(source, x)
        expected *= cnp.PyArray_DIM(x, d)
        if d == axis:
            after = False
        elif after:
            inner *= cnp.PyArray_DIM(x, d)
        else:
            outer *= cnp.PyArray_DIM(x, d)
    return source, outer, inner


# ------------------------------------------------------- threads and instruction set

cdef const fg_kernels *kernels = NULL


cdef str select_isa(str name):
    """Take the kernels of this instruction set, or the best here for an empty name."""
    global kernels
    cdef bytes text = name.encode()
    kernels = fg_select(<const char *>text if name else <const char *>NULL)
    if kernels == NULL:
        raise ValueError(f"FIELDGRAD_ISA={name}: this processor or build does not have it; expected "
                         "generic, avx2, avx512 or amx. Unset it to choose the best one.")
    return kernels.isa.decode()


def set_num_threads(n):
    """Let kernels use n threads; results do not depend on n.

    Parameters
    ----------
    n : int
        From 1 to 256. At start: the processors that this process may use, at most what
        ``FIELDGRAD_NUM_THREADS``, ``OMP_NUM_THREADS`` or ``SLURM_CPUS_PER_TASK`` say.

    Raises
    ------
    TypeError
        If n is not an integer.
    ValueError
        If n is out of range.

    See Also
    --------
    get_num_threads : The number in use.
    """
    if not 1 <= index(n) <= MAX_THREADS:
        raise ValueError(f"set_num_threads: n = {n}; expected at least 1 and at most {MAX_THREADS}.")
    fg_set_num_threads(index(n))


def get_num_threads():
    """Number of threads that kernels use.

    Returns
    -------
    int
        As set by `set_num_threads`.
    """
    return fg_get_num_threads()


def round_products(bint wanted):
    """Let large products of float32 arrays round their factors to bfloat16; say if they did before."""
    cdef bint before = fg_bfloat16 != 0
    if fg_round_products(kernels, wanted):
        raise ValueError(f"the kernels in use ({isa}) have no products in bfloat16, which need a "
                         "processor and a system with AMX")
    return before


isa = select_isa(os.environ.get("FIELDGRAD_ISA", ""))
# For the other compiled module. The kernels are linked once, here, and so have one pool of threads.
kernel_table = PyCapsule_New(<void *>kernels, "fieldgrad.kernels", NULL)
set_num_threads(min(available_threads(), MAX_THREADS))


# ----------------------------------------------------------------------------- elementwise

include "_elementwise.pxi"


# ------------------------------------------------------------------------------ reductions

include "_reduce.pxi"
