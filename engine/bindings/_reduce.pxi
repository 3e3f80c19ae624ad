# Reductions: part of base_kernels.pyx, with the declarations made there.

cdef dict REDUCTIONS = {"sum": SUM, "mean": MEAN, "prod": PROD, "max": MAX, "min": MIN,
                        "argmax": ARGMAX, "argmin": ARGMIN}
DEF FEW = 16         # elements in a row: many rows of fewer, apart in memory, are copied together


cdef class Reduction:
    """One reduction: C for floating arrays that are not empty, a NumPy function for the rest."""
    cdef int kind
    cdef object numpy
    cdef readonly str name

    def __init__(self, name, numpy):
        self.name, self.numpy, self.kind = name, numpy, REDUCTIONS[name]

    def __call__(self, cnp.ndarray x, axis=None, bint keepdims=False, dtype=None):
        if dtype is not None and x.dtype != dtype:
            x = x.astype(dtype)
        cdef int typenum = cnp.PyArray_TYPE(x)
        cdef bint reduced[MAX_NDIM]
        cdef fg_reduction r
        cdef cnp.ndarray out
        cdef bint where = self.kind == ARGMAX or self.kind == ARGMIN
        cdef cnp.npy_intp size = cnp.PyArray_SIZE(x), none = 0
        if not size or typenum != cnp.NPY_FLOAT and typenum != cnp.NPY_DOUBLE:
            return self.otherwise(x, axis, keepdims, dtype)
        if axis is None and cnp.PyArray_IS_C_CONTIGUOUS(x):
            if keepdims:
                reduced_axes(axis, cnp.PyArray_NDIM(x), reduced)
                out = new_output(x, reduced, NULL, True, cnp.NPY_INT64 if where else typenum)
            else:
                out = cnp.PyArray_SimpleNew(0, &none, cnp.NPY_INT64 if where else typenum)
            r.n_outer = r.n_segments = 0
            r.n, r.step, r.inner = size, 1, 1
            self.run(&r, x, out)
            return out
        if where and (axis is None or isinstance(axis, (tuple, list))):
            return self.otherwise(x, axis, keepdims, dtype)
        reduced_axes(axis, cnp.PyArray_NDIM(x), reduced)
        return self.along(x, reduced, keepdims, &r)

    cdef object otherwise(self, cnp.ndarray x, axis, bint keepdims, dtype):
        if isinstance(axis, list):
            axis = tuple(axis)
        if self.kind == MEAN and not cnp.PyArray_SIZE(x):
            return np.full_like(np.sum(x, axis=axis, keepdims=keepdims), np.nan)
        return np.asarray(self.numpy(x, axis=axis, keepdims=keepdims), dtype)

    cdef cnp.ndarray along(self, cnp.ndarray x, const bint *reduced, bint keepdims, fg_reduction *r):
        """Over some axes, of any strides: axes that follow one another in memory are made one."""
        cdef int order[MAX_NDIM]
        cdef int d, axis, last = -1, ndim = cnp.PyArray_NDIM(x)
        cdef ptrdiff_t itemsize = cnp.PyArray_ITEMSIZE(x), length, stride
        cdef ptrdiff_t *lengths
        cdef ptrdiff_t *strides
        cdef int *count
        cdef cnp.ndarray out
        cdef bint after
        order_axes(x, ndim, order)
        r.n_outer = r.n_segments = 0
        for d in range(ndim):
            axis = order[d]
            length = cnp.PyArray_DIM(x, axis)
            if length == 1:
                continue
            stride = cnp.PyArray_STRIDE(x, axis) // itemsize
            if reduced[axis]:
                lengths, strides, count = r.segment_shape, r.segment_stride, &r.n_segments
            else:
                lengths, strides, count = r.outer_shape, r.outer_stride, &r.n_outer
            if last == reduced[axis] and strides[count[0] - 1] == stride * length:
                lengths[count[0] - 1] *= length
                strides[count[0] - 1] = stride
            else:
                lengths[count[0]] = length
                strides[count[0]] = stride
                count[0] += 1
            last = reduced[axis]
        if r.n_segments > 1 and r.segment_shape[r.n_segments - 1] < FEW:
            return self.copied(x, reduced, keepdims, r)
        after = last == 0        # a kept axis varies fastest
        r.n, r.step, r.inner = 1, 1, 1
        if r.n_segments:
            r.n_segments -= 1
            r.n, r.step = r.segment_shape[r.n_segments], r.segment_stride[r.n_segments]
        if after and r.outer_stride[r.n_outer - 1] == 1:
            r.n_outer -= 1
            r.inner = r.outer_shape[r.n_outer]
        cdef int typenum = cnp.PyArray_TYPE(x)
        if self.kind == ARGMAX or self.kind == ARGMIN:
            typenum = cnp.NPY_INT64
        out = new_output(x, reduced, order, keepdims, typenum)
        self.run(r, x, out)
        return out

    cdef cnp.ndarray copied(self, cnp.ndarray x, const bint *reduced, bint keepdims, fg_reduction *r):
        """The same of a copy in which the reduced axes are one."""
        cdef int d, k = 0, ndim = cnp.PyArray_NDIM(x)
        cdef int order[MAX_NDIM]
        cdef cnp.ndarray copy
        for d in range(ndim):
            if not reduced[d]:
                order[k] = d
                k += 1
        for d in range(ndim):
            if reduced[d]:
                order[k] = d
                k += 1
        copy = new_array(ndim, cnp.PyArray_DIMS(x), cnp.PyArray_TYPE(x), order)
        copy_to(copy, x)
        return self.along(copy, reduced, keepdims, r)

    cdef run(self, fg_reduction *r, cnp.ndarray x, cnp.ndarray out):
        cdef int failed, f64 = cnp.PyArray_TYPE(x) == cnp.NPY_DOUBLE
        r.kind, r.x, r.out = self.kind, cnp.PyArray_DATA(x), cnp.PyArray_DATA(out)
        if cnp.PyArray_SIZE(x) <= SHORT:
            failed = kernels.reduce(f64, r)
        else:
            with nogil:
                failed = kernels.reduce(f64, r)
        if failed:
            raise MemoryError(f"{self.name}: no memory for partial results of shape {np.shape(out)}")


cdef int reduced_axes(axis, int ndim, bint *reduced) except -1:
    """Mark the axes that an int, some ints or None (all) name, as the op has checked."""
    cdef int d
    for d in range(ndim):
        reduced[d] = axis is None
    if axis is None:
        return 0
    if isinstance(axis, (tuple, list)):
        for one in axis:
            d = one
            reduced[d + ndim if d < 0 else d] = True
    else:
        d = axis
        reduced[d + ndim if d < 0 else d] = True
    return 0


cdef cnp.ndarray new_output(cnp.ndarray x, const bint *reduced, const int *order, bint keepdims,
                            int typenum):
    """What remains of x's axes, in the same order in memory (NULL: C order)."""
    cdef cnp.npy_intp shape[MAX_NDIM]
    cdef int place[MAX_NDIM]
    cdef int kept[MAX_NDIM]
    cdef int d, axis, n = 0, k = 0
    for d in range(cnp.PyArray_NDIM(x)):
        if keepdims or not reduced[d]:
            place[d] = n
            shape[n] = 1 if reduced[d] else cnp.PyArray_DIM(x, d)
            n += 1
    if order != NULL:
        for d in range(cnp.PyArray_NDIM(x)):
            axis = order[d]
            if keepdims or not reduced[axis]:
                kept[k] = place[axis]
                k += 1
        for d in range(n):
            if kept[d] != d:
                return new_array(n, shape, typenum, kept)
    return new_array(n, shape, typenum, NULL)


def cumsum(cnp.ndarray x, int axis):
    """Sums of the elements up to each, along an axis; floating x that is not empty is summed in C."""
    cdef int typenum = cnp.PyArray_TYPE(x), f64 = typenum == cnp.NPY_DOUBLE
    cdef ptrdiff_t outer, inner, n
    cdef cnp.ndarray source, out
    if not cnp.PyArray_SIZE(x) or typenum != cnp.NPY_FLOAT and not f64:
        return np.cumsum(x, axis=axis)
    if axis < 0:
        axis += cnp.PyArray_NDIM(x)
    source, outer, inner = around_axis(x, axis)
    n = cnp.PyArray_DIM(source, axis)
    out = empty_like(source)
    with nogil:
        kernels.cumsum(f64, cnp.PyArray_DATA(source), cnp.PyArray_DATA(out), outer, n, inner)
    return out


ctypedef fused real_t:
    float
    double


cdef void scan(const real_t *a, const real_t *b, real_t *out, ptrdiff_t outer, ptrdiff_t n,
               ptrdiff_t inner) noexcept nogil:
    """out[k] = a[k] out[k - 1] + b[k] along the middle axis of dense (outer, n, inner) arrays."""
    cdef ptrdiff_t i, j, k, at
    for i in range(outer):
        for k in range(n):
            at = (i * n + k) * inner
            for j in range(at, at + inner):
                out[j] = b[j] if k == 0 else a[j] * out[j - inner] + b[j]


def linear_scan(cnp.ndarray a, cnp.ndarray b, int axis):
    """The recurrence y[k] = a[k] y[k - 1] + b[k] along an axis of arrays of one shape and dtype."""
    cdef int f64 = cnp.PyArray_TYPE(a) == cnp.NPY_DOUBLE
    cdef ptrdiff_t outer, inner, n
    cdef cnp.ndarray out
    if cnp.PyArray_TYPE(a) != cnp.NPY_FLOAT and not f64:
        out = np.array(b)
        last = np.moveaxis(out, axis, 0)
        for previous, here, factor in zip(last, last[1:], np.moveaxis(a, axis, 0)[1:]):
            here += factor * previous
        return out
    if axis < 0:
        axis += cnp.PyArray_NDIM(a)
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    n, inner = cnp.PyArray_DIM(a, axis), 1
    for d in range(axis + 1, cnp.PyArray_NDIM(a)):
        inner *= cnp.PyArray_DIM(a, d)
    outer = cnp.PyArray_SIZE(a) // max(n * inner, 1)
    out = empty(np.shape(b), b.dtype)
    with nogil:
        if f64:
            scan[double](<double *>cnp.PyArray_DATA(a), <double *>cnp.PyArray_DATA(b),
                         <double *>cnp.PyArray_DATA(out), outer, n, inner)
        else:
            scan[float](<float *>cnp.PyArray_DATA(a), <float *>cnp.PyArray_DATA(b),
                        <float *>cnp.PyArray_DATA(out), outer, n, inner)
    return out
