# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""What irregular data need: segments of rows, rows by index, neighbors, sequences.

As in ``base_kernels.pyx``, whose memory, threads and table of C functions serve here: NumPy arrays
in, C kernels, NumPy arrays out, with the interpreter lock released; no policy. Arrays are in C order.
"""
import numpy as np

from fieldgrad.engine.bindings.base_kernels import empty, kernel_table
from fieldgrad.engine.errors import DTypeError

cimport numpy as cnp
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport int64_t, uint8_t

cnp.import_array()


cdef extern from "kernels/recurrent.h" nogil:
    const int FG_RECURRENT_ROWS
    ctypedef struct fg_recurrent:
        int lstm, reverse
        ptrdiff_t batch, steps, hidden
        const ptrdiff_t *lengths

cdef extern from "kernels/kernels.h" nogil:
    const int FG_MAX_NEIGHBORS
    ctypedef struct fg_kernels:
        ptrdiff_t (*segment_order)(const ptrdiff_t *, ptrdiff_t, ptrdiff_t, int, ptrdiff_t *,
                                   ptrdiff_t *, int *) noexcept nogil
        void (*segment_reduce)(int, int, const void *, const ptrdiff_t *, const ptrdiff_t *, void *,
                               void *, ptrdiff_t, ptrdiff_t) noexcept nogil
        void (*segment_pick)(int, int, void *, const void *, void *, ptrdiff_t, ptrdiff_t,
                             ptrdiff_t) noexcept nogil
        ptrdiff_t (*gather)(const void *, ptrdiff_t, const ptrdiff_t *, ptrdiff_t, int, void *,
                            ptrdiff_t) noexcept nogil
        ptrdiff_t (*pair_sum)(int, int, const void *, const void *, const ptrdiff_t *, void *,
                              ptrdiff_t, ptrdiff_t, ptrdiff_t) noexcept nogil
        ptrdiff_t (*pair_product)(int, int, const void *, const void *, const ptrdiff_t *, void *,
                                  ptrdiff_t, ptrdiff_t, ptrdiff_t) noexcept nogil
        void (*cdist)(int, int, const void *, const void *, void *, ptrdiff_t, ptrdiff_t, ptrdiff_t,
                      ptrdiff_t) noexcept nogil
        void (*knn)(int, const void *, const uint8_t *, int64_t *, ptrdiff_t, ptrdiff_t, ptrdiff_t,
                    ptrdiff_t, int) noexcept nogil
        void (*knn_ragged)(int, const void *, const ptrdiff_t *, int64_t *, ptrdiff_t, ptrdiff_t,
                           ptrdiff_t, int) noexcept nogil
        void (*recurrent)(int, const fg_recurrent *, const void *, const void *, const void *,
                          const void *, const void *, void *, void *, void *) noexcept nogil
        void (*recurrent_gradient)(int, const fg_recurrent *, const void *, const void *,
                                   const void *, const void *, const void *, const void *, void *,
                                   void *, void *, void *) noexcept nogil

cdef const fg_kernels *kernels = <const fg_kernels *>PyCapsule_GetPointer(kernel_table,
                                                                          "fieldgrad.kernels")


cdef cnp.ndarray dense(str name, cnp.ndarray x):
    """x itself where it is float32 or float64 in C order, else such a copy."""
    if cnp.PyArray_TYPE(x) != cnp.NPY_FLOAT and cnp.PyArray_TYPE(x) != cnp.NPY_DOUBLE:
        raise DTypeError(f"{name}: dtype {x.dtype} is not supported; expected float32 or float64. "
                         "Convert with .astype(float32).")
    return np.ascontiguousarray(x)


cdef bint is_f64(cnp.ndarray x):
    return cnp.PyArray_TYPE(x) == cnp.NPY_DOUBLE


cdef cnp.ndarray integers(str name, x):
    """Indices as the kernels take them."""
    if x.dtype.kind not in "iu":
        raise DTypeError(f"{name} has dtype {x.dtype}; expected integers. Convert with "
                         ".astype(int64).")
    return np.asarray(x, np.intp, order="C")


cdef void *data_or_null(cnp.ndarray a) noexcept nogil:
    return NULL if a is None else cnp.PyArray_DATA(a)


# ------------------------------------------------------------------------ segments, rows by index

SEGMENT_KINDS = ("sum", "max", "min", "softmax")


def segment(str kind, cnp.ndarray x, ids, *, ptrdiff_t num_segments,
            bint skip_missing=False):
    """Reduce rows of x (row, …) that share an id: the sums; extrema and their rows; the softmax."""
    cdef str name = f"segment_{kind}"
    cdef int code = SEGMENT_KINDS.index(kind), is_sorted
    cdef cnp.ndarray index = integers(f"{name}: segment_ids", ids)
    cdef cnp.ndarray start = empty((num_segments + 1,), np.intp)
    cdef cnp.ndarray order = empty(np.shape(index), np.intp)
    cdef cnp.ndarray source = dense(name, x), arg = None, out
    cdef ptrdiff_t outside, n_rows = cnp.PyArray_SIZE(index), features
    cdef bint f64 = is_f64(source)
    with nogil:
        outside = kernels.segment_order(
            <ptrdiff_t *>cnp.PyArray_DATA(index), n_rows, num_segments, skip_missing,
            <ptrdiff_t *>cnp.PyArray_DATA(start), <ptrdiff_t *>cnp.PyArray_DATA(order), &is_sorted)
    if outside >= 0:
        raise IndexError(f"{name}: segment_ids[{outside}] = {index[outside]}; expected 0 to "
                         f"{num_segments - 1} (num_segments = {num_segments}). Raise num_segments, "
                         "or repair the ids.")
    shape = np.shape(x)[1:]
    out = empty(np.shape(x) if code == 3 else (num_segments, *shape), source.dtype)
    if code == 1 or code == 2:
        arg = empty((num_segments, *shape), np.int64 if f64 else np.int32)
    if cnp.PyArray_SIZE(out):
        features = cnp.PyArray_SIZE(out) // cnp.PyArray_DIM(out, 0)
        with nogil:
            kernels.segment_reduce(
                f64, code, cnp.PyArray_DATA(source), <ptrdiff_t *>cnp.PyArray_DATA(start),
                NULL if is_sorted else <ptrdiff_t *>cnp.PyArray_DATA(order), cnp.PyArray_DATA(out),
                data_or_null(arg), num_segments, features)
    return out if arg is None else (out, arg)


def segment_pick(cnp.ndarray x, cnp.ndarray index):
    """x[index[r, …], …] for each r and feature, zero where the index is -1."""
    cdef cnp.ndarray source = dense("segment_pick", x)
    cdef bint f64 = is_f64(source)
    cdef cnp.ndarray where = np.ascontiguousarray(index, np.int64 if f64 else np.int32)
    cdef cnp.ndarray out = empty(np.shape(index), source.dtype)
    cdef ptrdiff_t n = cnp.PyArray_DIM(out, 0)
    if cnp.PyArray_SIZE(out):
        with nogil:
            kernels.segment_pick(f64, False, cnp.PyArray_DATA(source), cnp.PyArray_DATA(where),
                                 cnp.PyArray_DATA(out), n, cnp.PyArray_SIZE(out) // n,
                                 cnp.PyArray_SIZE(source))
    return out


def segment_unpick(cnp.ndarray g, cnp.ndarray index, *, ptrdiff_t n_rows):
    """Zeros (n_rows, …) with g put where segment_pick would take it from."""
    cdef cnp.ndarray rows = dense("segment_unpick", g)
    cdef bint f64 = is_f64(rows)
    cdef cnp.ndarray where = np.ascontiguousarray(index, np.int64 if f64 else np.int32)
    cdef cnp.ndarray out = empty((n_rows, *np.shape(g)[1:]), rows.dtype)
    cdef ptrdiff_t n = cnp.PyArray_DIM(rows, 0)
    if not cnp.PyArray_SIZE(rows):
        out.fill(0)
    elif cnp.PyArray_SIZE(out):
        with nogil:
            kernels.segment_pick(f64, True, cnp.PyArray_DATA(out), cnp.PyArray_DATA(where),
                                 cnp.PyArray_DATA(rows), n, cnp.PyArray_SIZE(rows) // n,
                                 cnp.PyArray_SIZE(out))
    return out


def gather(cnp.ndarray x, index, *, bint skip_missing=False):
    """Rows of x (row, …) of any dtype, in the order of an index of any shape."""
    cdef cnp.ndarray source = np.ascontiguousarray(x), rows = integers("gather: index", index)
    cdef cnp.ndarray out = empty((*np.shape(rows), *np.shape(x)[1:]), source.dtype)
    cdef ptrdiff_t n_x = cnp.PyArray_DIM(source, 0), n = cnp.PyArray_SIZE(rows), outside
    cdef ptrdiff_t row_bytes = cnp.PyArray_ITEMSIZE(source)
    for length in np.shape(x)[1:]:
        row_bytes *= length
    if n:
        with nogil:
            outside = kernels.gather(cnp.PyArray_DATA(source), n_x,
                                     <ptrdiff_t *>cnp.PyArray_DATA(rows), n, skip_missing,
                                     cnp.PyArray_DATA(out), row_bytes)
        if outside >= 0:
            at = ", ".join(map(str, np.unravel_index(outside, np.shape(rows))))
            raise IndexError(f"gather: index[{at}] = {rows.flat[outside]}; expected 0 to {n_x - 1}, "
                             f"for x has {n_x} rows. Repair the index.")
    return out


def pair_messages(str kind, cnp.ndarray a, cnp.ndarray b, pairs, *, bint antisymmetric=False):
    """The sum (row, …) over pairs (2, pair) of a (row, …) times b (pair, …), or the product
    (pair, …) of a and b (row, …)."""
    cdef cnp.ndarray ends = integers(f"pair_{kind}: pairs", pairs)
    cdef cnp.ndarray first = dense(f"pair_{kind}", a), second = dense(f"pair_{kind}", b), out
    cdef ptrdiff_t n_pairs = cnp.PyArray_DIM(ends, 1), n_rows = cnp.PyArray_DIM(first, 0)
    cdef ptrdiff_t features = 1, outside
    cdef bint f64 = is_f64(first), is_sum = kind == "sum"
    cdef int sign = -1 if antisymmetric else 1
    for length in np.shape(a)[1:]:
        features *= length
    out = empty((n_rows if is_sum else n_pairs, *np.shape(a)[1:]), first.dtype)
    with nogil:
        outside = (kernels.pair_sum if is_sum else kernels.pair_product)(
            f64, sign, cnp.PyArray_DATA(first), cnp.PyArray_DATA(second),
            <ptrdiff_t *>cnp.PyArray_DATA(ends), cnp.PyArray_DATA(out), n_pairs, n_rows, features)
    if outside >= 0:
        raise IndexError(f"pair_{kind}: pairs[{outside // n_pairs}, {outside % n_pairs}] = "
                         f"{ends.flat[outside]}; expected 0 to {n_rows - 1}, for there are {n_rows} "
                         "rows. Repair the pairs.")
    return out


# ------------------------------------------------------------------------ distances, neighbors

MAX_NEIGHBORS = FG_MAX_NEIGHBORS


def cdist(cnp.ndarray x, cnp.ndarray y, *, bint squared=False):
    """Distances of the points x (…, n, dims) to the points y (…, m, dims): (…, n, m)."""
    lead = np.broadcast_shapes(np.shape(x)[:-2], np.shape(y)[:-2])
    cdef ptrdiff_t n = x.shape[x.ndim - 2], m = y.shape[y.ndim - 2], dims = x.shape[x.ndim - 1]
    cdef cnp.ndarray first = dense("cdist", np.broadcast_to(x, (*lead, n, dims)))
    cdef cnp.ndarray second = dense("cdist", np.broadcast_to(y, (*lead, m, dims)))
    cdef cnp.ndarray out = empty((*lead, n, m), first.dtype)
    cdef bint f64 = is_f64(first)
    if cnp.PyArray_SIZE(out):
        with nogil:
            kernels.cdist(f64, squared, cnp.PyArray_DATA(first), cnp.PyArray_DATA(second),
                          cnp.PyArray_DATA(out), cnp.PyArray_SIZE(out) // (n * m), n, m, dims)
    return out


def knn(cnp.ndarray x, mask=None, *, ptrdiff_t k, bint include_self=False, offsets=None):
    """Numbers (…, n, k) of the nearest among the points x (…, n, dims) that the mask (…, n) keeps.

    With offsets (clouds + 1,), x is (n, dims), and a cloud is its rows from one offset to the next.
    """
    cdef cnp.ndarray points = dense("knn", x), kept = None, bounds
    cdef ptrdiff_t n = x.shape[x.ndim - 2], dims = x.shape[x.ndim - 1]
    cdef cnp.ndarray out = empty((*np.shape(x)[:-1], k), np.int64)
    cdef bint f64 = is_f64(points)
    if offsets is not None:
        bounds = integers("knn: offsets", np.asarray(offsets))
        if bounds.ndim != 1 or not bounds.size or bounds[0] or bounds[-1] != n \
                or (bounds[1:] < bounds[:-1]).any():
            raise IndexError(f"knn: offsets of shape {np.shape(bounds)} for {n} points; expected "
                             "(clouds + 1,) numbers that rise from 0 to the number of points.")
        with nogil:
            kernels.knn_ragged(f64, cnp.PyArray_DATA(points),
                               <const ptrdiff_t *>cnp.PyArray_DATA(bounds),
                               <int64_t *>cnp.PyArray_DATA(out), cnp.PyArray_DIM(bounds, 0) - 1,
                               dims, k, include_self)
        return out
    if mask is not None:
        kept = np.ascontiguousarray(mask, np.bool_)
    if cnp.PyArray_SIZE(out):
        with nogil:
            kernels.knn(f64, cnp.PyArray_DATA(points), <const uint8_t *>data_or_null(kept),
                        <int64_t *>cnp.PyArray_DATA(out), cnp.PyArray_SIZE(out) // (n * k), n, dims,
                        k, include_self)
    return out


# ------------------------------------------------------------------------ recurrent layers

cdef fg_recurrent recurrent_sizes(cnp.ndarray gates, cnp.ndarray c, bint reverse,
                                  cnp.ndarray lengths):
    cdef fg_recurrent s
    s.lstm, s.reverse = c is not None, reverse
    s.batch, s.steps = cnp.PyArray_DIM(gates, 0), cnp.PyArray_DIM(gates, 1)
    s.hidden = cnp.PyArray_DIM(gates, 2) // (4 if s.lstm else 3)
    s.lengths = <const ptrdiff_t *>data_or_null(lengths)
    return s


def recurrent(cnp.ndarray gates, cnp.ndarray h, c, cnp.ndarray weight, bias=None, *,
              bint reverse=False, lengths=None):
    """States after each step of a GRU (c is None) or LSTM, and what recurrent_gradient needs.

    gates (batch, steps, n_gates · hidden) is the input's part; h, c (batch, hidden); weight
    (n_gates · hidden, hidden); bias (n_gates · hidden) or None; lengths (batch) or None. States are
    (batch, steps, hidden), for the LSTM twice that: h, then c.
    """
    cdef cnp.ndarray x = dense("recurrent", gates), first = dense("recurrent", h)
    cdef cnp.ndarray cell = None if c is None else dense("recurrent", c)
    cdef cnp.ndarray transposed = dense("recurrent", weight.T)
    cdef cnp.ndarray offset = None if bias is None else dense("recurrent", bias)
    cdef cnp.ndarray stops = None if lengths is None else integers("lengths", np.asarray(lengths))
    cdef fg_recurrent s = recurrent_sizes(x, cell, reverse, stops)
    cdef ptrdiff_t states = (2 if s.lstm else 1) * s.hidden
    cdef bint f64 = is_f64(x)
    cdef cnp.ndarray out = empty((s.batch, s.steps, states), x.dtype)
    cdef cnp.ndarray saved = empty((s.batch, s.steps, 4 * s.hidden), x.dtype)
    cdef cnp.ndarray workspace = empty(
        ((s.batch + FG_RECURRENT_ROWS - 1) // FG_RECURRENT_ROWS * FG_RECURRENT_ROWS,
         states + x.shape[2]), x.dtype)
    if cnp.PyArray_SIZE(out):
        with nogil:
            kernels.recurrent(f64, &s, cnp.PyArray_DATA(x), cnp.PyArray_DATA(first),
                              data_or_null(cell), cnp.PyArray_DATA(transposed),
                              data_or_null(offset), cnp.PyArray_DATA(out), cnp.PyArray_DATA(saved),
                              cnp.PyArray_DATA(workspace))
    return out, saved


def recurrent_gradient(cnp.ndarray g, cnp.ndarray h, c, cnp.ndarray weight, cnp.ndarray out,
                       cnp.ndarray saved, *, bint reverse=False, lengths=None):
    """Gradients of gates, of their part that comes from the states, of h and c, given that of out."""
    cdef cnp.ndarray gout = dense("recurrent", g), first = dense("recurrent", h)
    cdef cnp.ndarray cell = None if c is None else dense("recurrent", c)
    cdef cnp.ndarray matrix = dense("recurrent", weight)
    cdef cnp.ndarray stops = None if lengths is None else integers("lengths", np.asarray(lengths))
    cdef cnp.ndarray gx = empty((out.shape[0], out.shape[1], weight.shape[0]), out.dtype)
    cdef cnp.ndarray ghidden = gx if c is not None else empty(np.shape(gx), out.dtype)
    cdef cnp.ndarray gh = empty(np.shape(first), out.dtype)
    cdef cnp.ndarray gc = None if c is None else empty(np.shape(first), out.dtype)
    cdef fg_recurrent s = recurrent_sizes(gx, cell, reverse, stops)
    cdef bint f64 = is_f64(gx)
    if cnp.PyArray_SIZE(first):
        with nogil:
            kernels.recurrent_gradient(f64, &s, cnp.PyArray_DATA(gout), cnp.PyArray_DATA(first),
                                       data_or_null(cell), cnp.PyArray_DATA(matrix),
                                       cnp.PyArray_DATA(out), cnp.PyArray_DATA(saved),
                                       cnp.PyArray_DATA(gx), cnp.PyArray_DATA(ghidden),
                                       cnp.PyArray_DATA(gh), data_or_null(gc))
    return gx, ghidden, gh, gc
