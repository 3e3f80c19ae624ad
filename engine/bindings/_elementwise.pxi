# Elementwise kernels: part of base_kernels.pyx, with the declarations made there.

cdef class Elementwise:
    """One elementwise kernel: C loops for float32 and float64, a NumPy ufunc for other types.

    Broadcasts as NumPy does. The output keeps the memory order of the input with most elements.
    """
    cdef fg_loop f32, f64
    cdef int n_in, truth           # bit k of truth: operand k holds truth values
    cdef object ufunc
    cdef readonly str name

    def __init__(self, name, ufunc=None):
        cdef const fg_elementwise *row = kernels.elementwise_table()
        self.name = name
        self.ufunc = ufunc
        while row.name != NULL:
            if row.name.decode() == self.name:
                self.n_in, self.truth, self.f32, self.f64 = row.n_in, row.truth, row.f32, row.f64
                return
            row += 1
        raise KeyError(f"no elementwise kernel named {self.name!r}")

    def __call__(self, cnp.ndarray a, *others, **named):
        cdef double values[2]
        cdef int i = 0
        cdef tuple attributes = others[self.n_in - 1:] + tuple(named.values())
        cdef cnp.ndarray b = others[0] if self.n_in > 1 else None
        values[0] = values[1] = 0
        for value in attributes:
            values[i] = value
            i += 1
        if self.n_in == 3:
            if cnp.PyArray_TYPE(a) != cnp.NPY_BOOL:
                a = a.astype(bool)
            return self.call(b, others[1], a, values, attributes, False)
        return self.call(a, b, None, values, attributes, False)

    cdef cnp.ndarray call(self, cnp.ndarray a, cnp.ndarray b, cnp.ndarray condition,
                          const double *values, tuple attributes, bint over):
        """The kernel for the dtype of a; b and the condition (which comes first) where it has them.

        With ``over`` the result takes the place of a, if that has the output's shape and no gaps.
        """
        cdef int typenum = cnp.PyArray_TYPE(a)
        cdef fg_loop loop
        if typenum == cnp.NPY_FLOAT or typenum == cnp.NPY_DOUBLE:
            loop = self.f32 if typenum == cnp.NPY_FLOAT else self.f64
            if condition is not None:
                return self.walk(loop, typenum, condition, a, b, values, False)
            return self.run(loop, typenum, a, b, values, over)
        if self.ufunc is None:
            raise TypeError(f"{self.name}: dtype {a.dtype} is not supported; "
                            "convert with .astype(float32) or .astype(float64)")
        arrays = tuple([x for x in (condition, a, b) if x is not None])
        if cnp.PyTypeNum_ISCOMPLEX(typenum):
            with np.errstate(all="ignore"):     # as silent as the C loops
                out = self.ufunc(*arrays, *attributes)
        else:
            out = self.ufunc(*arrays, *attributes)
        return out if isinstance(out, np.ndarray) else np.asarray(out)

    cdef cnp.ndarray run(self, fg_loop loop, int typenum, cnp.ndarray a, cnp.ndarray b,
                         const double *attributes, bint over):
        """One or two inputs; the short way for few elements in dense memory, or one and a number."""
        cdef char *data[3]
        cdef cnp.ndarray out, full = a
        cdef cnp.npy_intp n
        cdef bint short = True
        cdef int repeated = 0
        data[0] = <char *>cnp.PyArray_DATA(a)
        if b is not None:
            data[1] = <char *>cnp.PyArray_DATA(b)
            if cnp.PyArray_SAMESHAPE(a, b):
                short = cnp.PyArray_IS_C_CONTIGUOUS(b)
            elif cnp.PyArray_NDIM(b) == 0:
                repeated = 2
            elif cnp.PyArray_NDIM(a) == 0:
                repeated = 1
                full = b
            else:
                short = False
        n = cnp.PyArray_SIZE(full)
        if not short or n > SHORT or not cnp.PyArray_IS_C_CONTIGUOUS(full):
            return self.walk(loop, typenum, a, b, None, attributes, over)
        if self.truth >> self.n_in:
            typenum = cnp.NPY_BOOL
        out = a if over and full is a else \
            cnp.PyArray_SimpleNew(cnp.PyArray_NDIM(full), cnp.PyArray_DIMS(full), typenum)
        data[self.n_in] = <char *>cnp.PyArray_DATA(out)
        loop(data, n, repeated, attributes)
        return out

    cdef cnp.ndarray walk(self, fg_loop loop, int typenum, cnp.ndarray a, cnp.ndarray b, cnp.ndarray c,
                          const double *attributes, bint over):
        """Inputs of any strides, broadcast."""
        cdef fg_walk w
        cdef cnp.npy_intp shape[MAX_NDIM]
        cdef int order[MAX_NDIM]
        cdef tuple inputs = (a, b, c)
        cdef cnp.ndarray x, out, full = None
        cdef int d, k, axis, lead, ndim = cnp.PyArray_NDIM(a)
        cdef cnp.npy_intp n
        if b is not None:
            ndim = max(ndim, cnp.PyArray_NDIM(b))
        if c is not None:
            ndim = max(ndim, cnp.PyArray_NDIM(c))
        for d in range(ndim):
            shape[d] = 1
        for k in range(self.n_in):
            x = <cnp.ndarray>inputs[k]
            lead = ndim - cnp.PyArray_NDIM(x)
            for d in range(lead, ndim):
                n = cnp.PyArray_DIM(x, d - lead)
                if shape[d] == 1:
                    shape[d] = n
                elif n != 1 and n != shape[d]:
                    raise_not_broadcast(self.name, inputs, d - ndim)
            if full is None or is_fuller(x, full):
                full = x
        if self.truth >> self.n_in:
            typenum = cnp.NPY_BOOL
        if cnp.PyArray_NDIM(full) != ndim or not order_axes(full, ndim, order):
            for d in range(ndim):
                order[d] = d
        if over and full is a and cnp.PyArray_NDIM(a) == ndim and has_no_gaps(a, order):
            out = a
        else:
            out = new_array(ndim, shape, typenum, order)
        w.loop, w.attributes, w.n_in, w.ndim = loop, attributes, self.n_in, ndim
        w.data[w.n_in] = <char *>cnp.PyArray_DATA(out)
        w.size[w.n_in] = cnp.PyArray_ITEMSIZE(out)
        for d in range(ndim):
            w.shape[d] = shape[order[d]]
        for k in range(w.n_in):
            x = <cnp.ndarray>inputs[k]
            lead = ndim - cnp.PyArray_NDIM(x)
            w.data[k] = <char *>cnp.PyArray_DATA(x)
            w.size[k] = cnp.PyArray_ITEMSIZE(x)
            for d in range(ndim):
                axis = order[d] - lead
                w.stride[k][d] = 0 if axis < 0 or cnp.PyArray_DIM(x, axis) == 1 \
                    else cnp.PyArray_STRIDE(x, axis)
        with nogil:
            fg_run_walk(&w)
        return out


cdef bint has_no_gaps(cnp.ndarray x, const int *order):
    """Whether x fills its memory, axes in this order from the outermost."""
    cdef cnp.npy_intp expected = cnp.PyArray_ITEMSIZE(x)
    cdef int i
    for i in range(cnp.PyArray_NDIM(x) - 1, -1, -1):
        if cnp.PyArray_DIM(x, order[i]) != 1 and cnp.PyArray_STRIDE(x, order[i]) != expected:
            return False
        expected *= cnp.PyArray_DIM(x, order[i])
    return True


cdef bint is_fuller(cnp.ndarray x, cnp.ndarray y):
    """Whether x, rather than y, shows how the output should lie: more elements, or fewer repeated."""
    cdef int d, repeated = 0
    if cnp.PyArray_SIZE(x) != cnp.PyArray_SIZE(y):
        return cnp.PyArray_SIZE(x) > cnp.PyArray_SIZE(y)
    for d in range(cnp.PyArray_NDIM(x)):
        repeated -= cnp.PyArray_STRIDE(x, d) == 0 and cnp.PyArray_DIM(x, d) != 1
    for d in range(cnp.PyArray_NDIM(y)):
        repeated += cnp.PyArray_STRIDE(y, d) == 0 and cnp.PyArray_DIM(y, d) != 1
    return repeated > 0


cdef raise_not_broadcast(str name, tuple inputs, int axis):
    shapes = [np.shape(x) for x in inputs if x is not None]
    lengths = [shape[len(shape) + axis] for shape in shapes if len(shape) >= -axis]
    raise ValueError(f"{name}: shapes {' and '.join(map(str, shapes))} do not broadcast: axis {axis} has "
                     f"{' and '.join(map(str, lengths))} elements. Expected equal sizes or 1; reshape one of "
                     "them, or insert axes with x[..., None].")


cdef cnp.ndarray call_elementwise(object kernel, cnp.ndarray a, object b, bint over):
    cdef double values[2]
    values[0] = values[1] = 0
    return (<Elementwise>kernel).call(a, <cnp.ndarray>b, None, values, (), over)


# The same for _core.pyx, without Python between: takes an Elementwise, an array, an array or None,
# and whether the result may take the first array's place.
elementwise_call = PyCapsule_New(<void *>call_elementwise, "fieldgrad.elementwise", NULL)
