# What other libraries see of a tensor; part of _core.pyx, whose names it uses.
#
# Who gets the memory of a tensor that requires a gradient gets it read-only: the tape would not see
# a change.

cdef extern from "Python.h":
    int PyObject_GetBuffer(object o, Py_buffer *buffer, int flags) except -1


cdef get_buffer(Tensor t, Py_buffer *buffer, int flags):
    """Fill in the buffer from the array, which then holds the memory and is asked to release it."""
    Py_DECREF(None)            # which Cython has put into buffer.obj
    PyObject_GetBuffer(t.numpy(), buffer, flags)


cdef export_dlpack(Tensor t, stream, max_version, dl_device, copy):
    asked = {"stream": stream, "max_version": max_version, "dl_device": dl_device, "copy": copy}
    array = t.numpy()
    try:
        return array.__dlpack__(**{key: value for key, value in asked.items() if value is not None})
    except BufferError as error:
        if array.flags.writeable:
            raise
        raise BufferError("__dlpack__: the tensor's memory is read-only, because it requires a gradient or was "
                          "made from a read-only array, and the reader's version of DLPack cannot say so. Pass "
                          "x.detach(), or a copy (x * 1).") from error


cdef object array_namespace(api_version):
    from fieldgrad.engine import array_api
    if api_version is not None and str(api_version) not in ("2021.12", "2022.12", "2023.12", "2024.12"):
        raise ValueError(f"__array_namespace__: api_version = {api_version!r}; expected '2024.12' or an earlier "
                         "version of the array API standard, from '2021.12' on.")
    return array_api


cdef str text_of(Tensor t):
    """The values, summarized if many, and what the eye cannot see: shape, dtype, origin."""
    array = values_of(t)
    text = np.array2string(array, prefix="tensor(", separator=", ")
    if array.size == 0 or array.size > np.get_printoptions()["threshold"]:
        text += f", shape={t.shape}"
    if array.dtype not in (np.float32, np.int64, np.bool_):
        text += f", dtype={array.dtype}"
    if wants(t):
        text += ", requires_grad=True" if t.node is None else f", from {t.node.op.name}"
    return f"tensor({text})"
