# The tensor; part of _core.pyx, whose names it uses.

@cython.freelist(256)
cdef class Tensor:
    """Tensor(data, *, requires_grad=False)\n--\n\nAn array that remembers how it was computed.

    Wraps a NumPy array and follows NumPy in shapes, indexing, broadcasting and dtypes. Results of
    ops on tensors that require gradients carry a node; ``backward`` fills ``grad`` of the leaves.

    Parameters
    ----------
    data : array_like
        Values. Arrays are wrapped without a copy; Python numbers and lists of numbers become
        float32 (floats), int64 (integers) or bool.
    requires_grad : bool, default False
        Whether ``backward`` shall compute a gradient for this tensor. Needs a floating dtype.

    Attributes
    ----------
    data : numpy.ndarray
        The values. Writing to it is not seen by the tape; use assignment or `assign`.
    grad : Tensor or None
        Gradient accumulated by ``backward``, for leaves.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> x = fg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad.numpy().tolist()
    [2.0, 4.0, 6.0]
    """
    cdef readonly cnp.ndarray data
    cdef bint _requires_grad
    cdef public Tensor grad
    cdef readonly Node node
    cdef Version version
    cdef Tensor base           # of a view: the tensor whose memory it shows
    cdef long epoch            # how many recorded writes the base has seen; of a view: knows of
    cdef bint is_detached      # shows memory of another tensor, which the tape does not know
    cdef list hooks            # of a leaf; other tensors' are on their node
    cdef object __weakref__

    def __init__(self, data, *, bint requires_grad=False):
        self.data = as_array(data)
        self.requires_grad = requires_grad

    @property
    def requires_grad(self):
        """Whether a gradient is computed for this tensor."""
        return wants(self)

    @requires_grad.setter
    def requires_grad(self, bint value):
        if value and self.data.dtype.kind not in "fc":
            raise DTypeError(f"requires_grad: the tensor has dtype {self.data.dtype}; gradients need a "
                             "floating dtype. Convert with .astype(float32) first.")
        if self.node is not None and not value:
            raise GradientError("requires_grad = False on the result of an op has no effect; use "
                                ".detach() for a tensor without history.")
        if value and self.base is not None and self.node is None:
            self.base, self.is_detached = None, True       # a leaf has no history to share
        self._requires_grad = value

    # ------------------------------------------------------------------ array properties
    @property
    def shape(self):
        """Length of each axis."""
        return shape_of(self.data)

    @property
    def ndim(self):
        """Number of axes."""
        return cnp.PyArray_NDIM(self.data)

    @property
    def size(self):
        """Number of elements."""
        return cnp.PyArray_SIZE(self.data)

    @property
    def dtype(self):
        """NumPy dtype of the elements."""
        return self.data.dtype

    @property
    def device(self):
        """Where the elements are: "cpu"."""
        return "cpu"

    @property
    def is_leaf(self):
        """Whether the tensor was made by the user, not by a recorded op."""
        return not wants(self) or self.node is None

    def __len__(self):
        return len(self.data)

    def __bool__(self):
        if self.size != 1:
            raise ShapeError(f"bool: the tensor has shape {self.shape}; the truth of one element is known, of "
                             "several it is ambiguous. Reduce with fg.all or fg.any.")
        return bool(self.data)

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __complex__(self):
        return complex(self.item())

    def __index__(self):
        return self.data.__index__()

    def __hash__(self):
        return <Py_hash_t>(<size_t><void *>self >> 4)

    def __iter__(self):
        if not self.ndim:
            raise TypeError("a 0-d tensor has no elements to iterate over; use .item()")
        return (self[i] for i in range(len(self)))

    def __array__(self, dtype=None, copy=None):
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        get_buffer(self, buffer, flags)

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        return export_dlpack(self, stream, max_version, dl_device, copy)

    def __dlpack_device__(self):
        return self.data.__dlpack_device__()

    def __array_namespace__(self, *, api_version=None):
        return array_namespace(api_version)

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        from fieldgrad.engine import numpy_calls
        return numpy_calls.call_ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, function, types, args, kwargs):
        if (function is np.shape or function is np.ndim) and not kwargs and isinstance(args[0], Tensor):
            return getattr(args[0], function.__name__)
        from fieldgrad.engine import numpy_calls
        return numpy_calls.call_function(function, types, args, kwargs)

    def __repr__(self):
        return text_of(self)

    def __format__(self, spec):
        return format(self.item() if self.size == 1 and spec else repr(self), spec)

    def __deepcopy__(self, memo):
        if wants(self) and self.node is not None:
            raise GradientError("deepcopy: the tensor is the result of an op, whose history cannot be copied; "
                                "copy a leaf, or .detach() first.")
        cdef Tensor t = type(self).__new__(type(self))  # a parameter stays one
        memo[id(self)] = t
        t.data = self.data.copy(order="K")
        t._requires_grad = self._requires_grad
        if self.grad is not None:
            t.grad = self.grad.__deepcopy__(memo)
        state = object.__getstate__(self)    # a subclass's own attributes: a dict, or with slots two
        for part in state if isinstance(state, tuple) else (state,):
            for name, value in (part or {}).items():
                setattr(t, name, deepcopy(value, memo))
        return t

    def __reduce__(self):
        raise TypeError("tensors are not pickled; use fieldgrad.engine.checkpoint.save, or pickle "
                        "the arrays from .numpy()")

    def numpy(self):
        """Return the values as a NumPy array sharing memory.

        Returns
        -------
        numpy.ndarray
            Read-only when the tensor requires a gradient, since the tape would not see a change.
        """
        return read_only(self.data) if wants(self) else self.data

    def item(self):
        """Return the single element as a Python number."""
        if self.size != 1:
            raise ShapeError(f"item: the tensor has shape {self.shape}; expected one element. Reduce "
                             "it first, or use .numpy().")
        return self.data.item()

    def tolist(self):
        """Return the values as nested lists of Python numbers."""
        return self.data.tolist()

    def detach(self):
        """Return a tensor that shares the values but has no history."""
        cdef Tensor t = wrap(self.data)
        t.version = shared_version(self)
        t.is_detached = True
        return t

    def to_device(self, device, /, *, stream=None):
        """Return the tensor itself: the only device is "cpu".

        Parameters
        ----------
        device : str
            "cpu".
        stream : None
            Not used.
        """
        if device != "cpu" or stream is not None:
            raise ValueError(f"to_device: device = {device!r}, stream = {stream!r}; expected 'cpu' and None.")
        return self

    def assign(self, values):
        """Overwrite the values in place, outside the tape; shape and dtype stay.

        Parameters
        ----------
        values : array_like
            Broadcast to the tensor's shape.
        """
        may_write(self, None)
        self.data[...] = values
        self.bump_version()

    def bump_version(self):
        """Tell the tape that ``data`` was changed in place."""
        bump_versions((self,))

    def zero_grad(self):
        """Forget the accumulated gradient."""
        self.grad = None

    def register_hook(self, function):
        """Call a function with the gradient of this tensor, once for each backward pass.

        Parameters
        ----------
        function : callable
            Takes the whole gradient, a tensor of this shape and dtype that cannot be written to.
            What it returns, if not None, takes its place for the tensors before and for ``grad``.

        Returns
        -------
        Hook
            ``remove()`` ends it.

        Examples
        --------
        >>> import fieldgrad.engine as fg
        >>> x = fg.tensor([1.0, 2.0], requires_grad=True)
        >>> y = x * x
        >>> hook = y.register_hook(lambda g: g * 10.0)
        >>> y.sum().backward()
        >>> x.grad.tolist()
        [20.0, 40.0]
        """
        if not wants(self):
            raise GradientError("register_hook: the tensor does not require a gradient, so none will come. Set "
                                "requires_grad = True first, or compute it from a tensor that does.")
        return add_hook(self, function)

    def backward(self, g=None, *, bint retain_graph=False, bint create_graph=False):
        """Add d self / d leaf to ``grad`` of every leaf that requires it.

        Parameters
        ----------
        g : Tensor or array_like, optional
            Gradient of the final scalar with respect to this tensor, same shape. Default: 1, for
            tensors of one element.
        retain_graph : bool, default False
            Keep what was recorded, for another backward pass.
        create_graph : bool, default False
            Record the backward pass itself, for higher derivatives.
        """
        walk((self,), (seed_gradient(self, g),), None, create_graph, retain_graph or create_graph)

    # ------------------------------------------------------------------ indexing
    def __getitem__(self, index):
        return pick(self, index)

    def __setitem__(self, index, value):
        put(self, index, value)

    # ------------------------------------------------------------------ operators
    def __add__(self, other):
        return (<Op>table["add"]).binary(self, other)

    def __radd__(self, other):
        return (<Op>table["add"]).binary(other, self)

    def __sub__(self, other):
        return (<Op>table["subtract"]).binary(self, other)

    def __rsub__(self, other):
        return (<Op>table["subtract"]).binary(other, self)

    def __mul__(self, other):
        return (<Op>table["multiply"]).binary(self, other)

    def __rmul__(self, other):
        return (<Op>table["multiply"]).binary(other, self)

    def __truediv__(self, other):
        return (<Op>table["divide"]).binary(self, other)

    def __rtruediv__(self, other):
        return (<Op>table["divide"]).binary(other, self)

    def __pow__(self, other, modulo):
        if type(other) is int and other == 2:
            return (<Op>table["square"])(self)
        return (<Op>table["power"]).binary(self, other)

    def __rpow__(self, other, modulo):
        return (<Op>table["power"]).binary(other, self)

    def __floordiv__(self, other):
        return (<Op>table["floor_divide"]).binary(self, other)

    def __rfloordiv__(self, other):
        return (<Op>table["floor_divide"]).binary(other, self)

    def __mod__(self, other):
        return (<Op>table["remainder"]).binary(self, other)

    def __rmod__(self, other):
        return (<Op>table["remainder"]).binary(other, self)

    def __matmul__(self, other):
        return (<Op>table["matmul"]).binary(self, other)

    def __rmatmul__(self, other):
        return (<Op>table["matmul"]).binary(other, self)

    def __and__(self, other):
        return (<Op>table["bitwise_and"]).binary(self, other)

    def __rand__(self, other):
        return (<Op>table["bitwise_and"]).binary(other, self)

    def __or__(self, other):
        return (<Op>table["bitwise_or"]).binary(self, other)

    def __ror__(self, other):
        return (<Op>table["bitwise_or"]).binary(other, self)

    def __xor__(self, other):
        return (<Op>table["bitwise_xor"]).binary(self, other)

    def __rxor__(self, other):
        return (<Op>table["bitwise_xor"]).binary(other, self)

    def __lshift__(self, other):
        return (<Op>table["bitwise_left_shift"]).binary(self, other)

    def __rlshift__(self, other):
        return (<Op>table["bitwise_left_shift"]).binary(other, self)

    def __rshift__(self, other):
        return (<Op>table["bitwise_right_shift"]).binary(self, other)

    def __rrshift__(self, other):
        return (<Op>table["bitwise_right_shift"]).binary(other, self)

    def __iadd__(self, other):
        return overwrite(self, self + other)

    def __isub__(self, other):
        return overwrite(self, self - other)

    def __imul__(self, other):
        return overwrite(self, self * other)

    def __itruediv__(self, other):
        return overwrite(self, self / other)

    def __ifloordiv__(self, other):
        return overwrite(self, self // other)

    def __imod__(self, other):
        return overwrite(self, self % other)

    def __ipow__(self, other):
        return overwrite(self, self ** other)

    def __imatmul__(self, other):
        return overwrite(self, self @ other)

    def __iand__(self, other):
        return overwrite(self, self & other)

    def __ior__(self, other):
        return overwrite(self, self | other)

    def __ixor__(self, other):
        return overwrite(self, self ^ other)

    def __ilshift__(self, other):
        return overwrite(self, self << other)

    def __irshift__(self, other):
        return overwrite(self, self >> other)

    def __neg__(self):
        return (<Op>table["negative"])(self)

    def __pos__(self):
        return self

    def __abs__(self):
        return (<Op>table["abs"])(self)

    def __invert__(self):
        return (<Op>table["bitwise_invert"])(self)

    def __richcmp__(self, other, int kind):
        return (<Op>table[COMPARISONS[kind]]).binary(self, other)

    # ------------------------------------------------------------------ methods that are ops
    @property
    def T(self):
        """The matrix transpose of a 2-d tensor."""
        if self.ndim != 2:
            raise ShapeError(f"T: the tensor has shape {self.shape}; expected two axes. Use "
                             "permute_dims to order more axes.")
        return (<Op>table["permute_dims"])(self, axes=(1, 0))

    @property
    def mT(self):
        """The transposes of the matrices in the last two axes."""
        cdef int n = self.ndim
        if n < 2:
            raise ShapeError(f"mT: the tensor has shape {self.shape}; expected two axes or more.")
        return (<Op>table["permute_dims"])(self, axes=(*range(n - 2), n - 1, n - 2))

    def astype(self, dtype):
        """Return the tensor converted to dtype, itself when it has it; see `fieldgrad.engine.astype`.

        Parameters
        ----------
        dtype : dtype_like
            NumPy dtype or its name, such as "float64".
        """
        if self.data.dtype == dtype:
            return self
        return (<Op>table["astype"])(self, dtype=np.dtype(dtype))

    def reshape(self, *shape):
        """Return the tensor with another shape; see `fieldgrad.engine.reshape`.

        Parameters
        ----------
        *shape : int
            Length of each axis, or one sequence of them; one length may be -1.
        """
        return (<Op>table["reshape"])(self, shape=shape[0] if len(shape) == 1 else shape)

    def sum(self, *, axis=None, keepdims=False):
        """Return the sum over axes; see `fieldgrad.engine.sum`.

        Parameters
        ----------
        axis : int or sequence of int, optional
            Axes to reduce; all by default.
        keepdims : bool, default False
            Whether they stay, with length 1.
        """
        return (<Op>table["sum"])(self, axis=axis, keepdims=keepdims)

    def mean(self, *, axis=None, keepdims=False):
        """Return the mean over axes; see `fieldgrad.engine.mean`.

        Parameters
        ----------
        axis : int or sequence of int, optional
            Axes to reduce; all by default.
        keepdims : bool, default False
            Whether they stay, with length 1.
        """
        return (<Op>table["mean"])(self, axis=axis, keepdims=keepdims)

    def max(self, *, axis=None, keepdims=False):
        """Return the maximum over axes; see `fieldgrad.engine.max`.

        Parameters
        ----------
        axis : int or sequence of int, optional
            Axes to reduce; all by default.
        keepdims : bool, default False
            Whether they stay, with length 1.
        """
        return (<Op>table["max"])(self, axis=axis, keepdims=keepdims)

    def min(self, *, axis=None, keepdims=False):
        """Return the minimum over axes; see `fieldgrad.engine.min`.

        Parameters
        ----------
        axis : int or sequence of int, optional
            Axes to reduce; all by default.
        keepdims : bool, default False
            Whether they stay, with length 1.
        """
        return (<Op>table["min"])(self, axis=axis, keepdims=keepdims)
