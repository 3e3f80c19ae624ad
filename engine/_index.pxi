# Reading and writing parts of a tensor; part of _core.pyx, whose names it uses.

cdef object plain_index(index):
    """The index with tensors replaced by their arrays."""
    if isinstance(index, Tensor):
        return values_of(index)
    if isinstance(index, tuple):
        for i in index:
            if isinstance(i, Tensor):
                return tuple([values_of(j) if isinstance(j, Tensor) else j for j in index])
    return index


cdef put(Tensor x, object index, object value):
    """x[index] = value, recorded if a gradient will be wanted."""
    index = plain_index(index)
    cdef Tensor v = value if isinstance(value, Tensor) else wrap(np.asarray(value, x.dtype))
    cdef bint recorded = fg_recording and (x._requires_grad or v._requires_grad)
    if recorded and x.node is None and x._requires_grad:
        raise GradientError("assignment into a leaf tensor that requires a gradient would hide its "
                            "first values from the tape; assign under no_grad(), or to a result of "
                            "an op (x = x * 1).")
    if recorded and x.is_view:
        raise GradientError("assignment into a view of another tensor cannot be recorded; assign to "
                            "the original tensor, or copy the view first (x = x * 1).")
    cdef Tensor before, after
    if recorded:
        before = wrap(x.data)
        before.node, before._requires_grad = x.node, x._requires_grad
        after = (<Op>table["setitem"])(before, v.astype(x.dtype), index=index)
        x.data[index] = values_of(v)
        x.node, x._requires_grad = after.node, True
    else:
        x.data[index] = values_of(v)
    x.bump_version()


cdef Tensor overwrite(Tensor x, Tensor result):
    """x with the values of result, in place: what x += y and its like do."""
    if result.shape != x.shape or result.dtype != x.dtype:
        raise DTypeError(f"an assignment in place would change shape {x.shape} and dtype {x.dtype} to "
                         f"{result.shape} and {result.dtype}; write x = x + y for a new tensor.")
    x[...] = result
    return x
