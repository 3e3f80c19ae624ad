# Reading and writing parts of a tensor, and views; part of _core.pyx, whose names it uses.
#
# A view knows its base: the tensor whose memory it shows. A recorded write, to the base or to any
# view, gives the base a new node and counts its epoch up; a view whose epoch is older gets, before
# it is used, a node that picks its elements from the base as it is now.

cdef object plain_index(index):
    """The index with tensors replaced by their arrays."""
    cdef type kind = type(index)
    if kind is int:
        return index
    if kind is tuple:
        for part in <tuple>index:
            if isinstance(part, (Tensor, slice)):
                return tuple([plain_index(part) for part in <tuple>index])
    elif kind is slice:
        if isinstance(index.start, Tensor) or isinstance(index.stop, Tensor) \
                or isinstance(index.step, Tensor):
            return slice(*[None if part is None else operator.index(part)
                           for part in (index.start, index.stop, index.step)])
    elif isinstance(index, Tensor):
        return values_of(index)
    return index


cdef object kept_index(index):
    """The index as the tape keeps it: with copies of its arrays, which nobody else can change."""
    if isinstance(index, tuple):
        return tuple([kept_index(part) for part in index])
    if isinstance(index, (list, np.ndarray)):
        array = np.array(index)
        return array if array.size or array.dtype.kind != "f" else array.astype(np.intp)
    return index


cdef Tensor pick(Tensor x, object index):
    """x[index]: what the op getitem computes, without the way through keyword arguments."""
    cdef Op op = <Op>table["getitem"]
    cdef object found
    cdef Tensor out
    index = plain_index(index)
    if fg_transforms:
        return op(x, index=index)
    try:
        found = x.data[index]
    except (IndexError, ValueError, TypeError) as error:
        teach_index(op, (x,), index, error)
        raise
    out = wrap(found if isinstance(found, np.ndarray) else cnp.PyArray_FROM_O(found))
    if shares_memory(x.data, out.data):
        make_view(out, x)
    if wants(x) and fg_recording:
        record(op, (x,), {"index": kept_index(index)}, out, ())
    return out


cdef put(Tensor x, object index, object value):
    """x[index] = value, recorded if a gradient will be wanted."""
    cdef Op op = <Op>table["setitem"]
    cdef Tensor v = value if isinstance(value, Tensor) else wrap(np.asarray(value, x.data.dtype))
    cdef bint recorded = may_write(x, v)
    cdef object where = None
    index = plain_index(index)
    if recorded and v._requires_grad:
        v = v.astype(x.data.dtype)
    try:
        if recorded:
            where = kept_index(index) if x.base is None else index_of_base(x, index)
        values_of(x)[index] = values_of(v)
    except (IndexError, ValueError, TypeError) as error:
        teach_index(op, (x, v), index, error)
        raise
    if recorded:
        record_write(x, v, where)
    bump_versions((x,))


cdef Tensor overwrite(Tensor x, Tensor result):
    """x with the values of result, in place: what x += y and its like do."""
    cdef bint recorded
    if result.shape != x.shape or not np.can_cast(result.data.dtype, x.data.dtype, "same_kind"):
        raise DTypeError(f"an assignment in place would change shape {x.shape} and dtype {x.dtype} to "
                         f"{result.shape} and {result.dtype}; write x = x + y for a new tensor.")
    if result is x:
        return x
    if type(x) is not Tensor:          # one that stands for a batch, and writes its own way
        (<object>x)[...] = result
        return x
    recorded = may_write(x, result)
    if recorded and result.node is not None:
        keep_before(result.node, x)
    if recorded:
        result = result.astype(x.data.dtype)
    cdef object where = None if not recorded or x.base is None else index_of_base(x, ...)
    values_of(x)[...] = values_of(result)
    if where is not None:
        record_write(x, result, where)
    elif recorded:
        x.node, x._requires_grad = result.node, result._requires_grad
        x.epoch += 1
    bump_versions((x,))
    return x


cdef keep_before(Node node, Tensor x):
    """Let the node of x + y, if it keeps x, keep a copy: x += y is about to overwrite it."""
    cdef Tensor before = None
    cdef list saved = list(node.saved)
    for i in range(len(saved)):
        if saved[i] is x:
            if before is None:
                before = copy_with_history(x)
            if x.version is not None:
                node.versions -= x.version.count
            saved[i] = before
    node.saved = tuple(saved)
    if node.inputs is not None and any([t is x for t in node.inputs]):
        before = copy_with_history(x) if before is None else before
        node.inputs = tuple([before if t is x else t for t in node.inputs])
        node.input_versions = versions_of(node.inputs)


cdef Tensor copy_with_history(Tensor x):
    """A tensor with x's values and place on the tape, in memory of its own."""
    cdef Tensor copy = wrap(x.data.copy(order="K"))
    copy.node, copy._requires_grad = x.node, x._requires_grad
    return copy


cdef teach_index(Op op, tuple inputs, index, error):
    """Let the shape rule say what is wrong with an index that NumPy refused, or note the call."""
    try:
        op.shape(*[shape_of((<Tensor>t).data) for t in inputs], index=index)
    except Exception as better:
        explain(better, op, inputs, {"index": index})
        raise better from None
    explain(error, op, inputs, {"index": index})


cdef bint may_write(Tensor x, Tensor v) except -1:
    """Whether writing v (None: outside the tape) into x has to be recorded; an error where it must
    not happen at all."""
    cdef Tensor base = x if x.base is None else x.base
    if not cnp.PyArray_ISWRITEABLE(x.data):
        raise ValueError(f"assignment: the memory of this tensor, shape {x.shape}, is read-only: it was made "
                         "from a read-only or a repeated (broadcast) array. Assign to a copy (y = x * 1).")
    if v is None or not (fg_recording and (wants(x) or wants(v))):
        return False
    if base.data.dtype.kind not in "fc":
        raise DTypeError(f"assignment: the value requires a gradient, but the tensor has dtype "
                         f"{x.dtype}, where it would be lost. Make the tensor floating, or detach the value.")
    if base._requires_grad and base.node is None:
        raise GradientError("assignment into a leaf tensor that requires a gradient, or a view of one, would "
                            "hide its first values from the tape. Assign under no_grad(), or to a result of "
                            "an op (y = x * 1).")
    if x.is_detached:
        raise GradientError("assignment into a view that was made by detach() or under no_grad() cannot be "
                            "recorded: the tensor that shares its memory would not know. Assign to that "
                            "tensor, or copy the view first (y = x * 1).")
    return True


cdef record_write(Tensor x, Tensor v, object where):
    """Put a write of v, which has happened, on the tape of the tensor that owns the memory of x."""
    cdef Tensor base = x if x.base is None else x.base
    cdef Tensor before = wrap(base.data)       # setitem keeps no values, so the old ones may be gone
    before.node, before._requires_grad = base.node, base._requires_grad
    record(<Op>table["setitem"], (before, v), {"index": where}, base, ())
    base.epoch += 1


cdef tuple index_of_base(Tensor view, object index):
    """The index of the base that names the elements view[index]."""
    cdef tuple parts = index if isinstance(index, tuple) else (index,)
    if any([isinstance(part, (list, np.ndarray, bool, np.bool_)) for part in parts]):
        return tuple([np.array(found[index]) for found in elements_of(view.base.data, view.data)])
    if not any([part is Ellipsis for part in parts]):
        parts += (Ellipsis,)           # otherwise one element is no view, but a copy
    return elements_of(view.base.data, view.data[parts])


cdef make_view(Tensor out, Tensor x):
    """Let out, which shows memory of x, know where that comes from."""
    out.version = shared_version(x)
    if not fg_recording or x.is_detached:
        out.is_detached = True
        return
    out.base = x if x.base is None else x.base
    out.epoch = out.base.epoch


cdef renew(Tensor view):
    """Give a view of a base that was written to a node that leads to the base as it is now."""
    record(<Op>table["getitem"], (view.base,), {"index": elements_of(view.base.data, view.data)}, view, ())
    view.epoch = view.base.epoch


cdef tuple elements_of(cnp.ndarray base, cnp.ndarray view):
    """Where the elements of a view stand in its base: an index, one integer array an axis of the base.

    Addresses are taken apart by the strides of the base, the largest first.
    """
    cdef Py_ssize_t ndim = cnp.PyArray_NDIM(base), i, n, stride
    cdef tuple shape = shape_of(view)
    if not ndim:
        return (None,) * cnp.PyArray_NDIM(view)
    left = np.full(shape, <char *>cnp.PyArray_DATA(view) - <char *>cnp.PyArray_DATA(base), np.intp)
    for i in range(len(shape)):
        left += cnp.PyArray_STRIDE(view, i) * np.arange(shape[i]).reshape((-1,) + (1,) * (len(shape) - 1 - i))
    for i in range(ndim):
        left += max(0, -cnp.PyArray_STRIDE(base, i)) * (cnp.PyArray_DIM(base, i) - 1)
    cdef list found = [np.zeros(shape, np.intp)] * ndim
    cdef bint inside = True
    for i in sorted(range(ndim), key=lambda axis: -abs(cnp.PyArray_STRIDE(base, axis))):
        n, stride = cnp.PyArray_DIM(base, i), cnp.PyArray_STRIDE(base, i)
        if n > 1 and stride:
            steps, left = np.divmod(left, abs(stride))
            inside = inside and bool((steps < n).all())
            found[i] = steps if stride > 0 else n - 1 - steps
    if not inside or left.any():
        raise GradientError("assignment into a view whose base repeats elements in memory cannot be recorded. "
                            "Copy the base first (x = x * 1).")
    return tuple(found)
