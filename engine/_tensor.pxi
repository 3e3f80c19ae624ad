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
    cdef bint is_view
    cdef object __weakref__

    __array_ufunc__ = None     # ndarray + tensor asks the tensor, instead of losing the gradient

    def __init__(self, data, *, bint requires_grad=False):
        self.data = as_array(data)
        self.requires_grad = requires_grad

    @property
    def requires_grad(self):
        """Whether a gradient is computed for this tensor."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, bint value):
        if value and self.data.dtype.kind not in "fc":
            raise DTypeError(f"requires_grad: the tensor has dtype {self.data.dtype}; gradients need "
                             "a floating dtype. Convert with .astype(float32) first.")
        if self.node is not None and not value:
            raise GradientError("requires_grad = False on the result of an op has no effect; use "
                                ".detach() for a tensor without history.")
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
    def is_leaf(self):
        """Whether the tensor was made by the user, not by a recorded op."""
        return self.node is None

    def __len__(self):
        return len(self.data)

    def __bool__(self):
        return bool(self.data)

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __index__(self):
        return self.data.__index__()

    def __hash__(self):
        return <Py_hash_t>(<size_t><void *>self >> 4)

    def __iter__(self):
        if not self.ndim:
            raise TypeError("a 0-d tensor has no elements to iterate over; use .item()")
        return (self[i] for i in range(len(self)))

    def __array__(self, dtype=None, copy=None):
        return np.array(self.data, dtype=dtype, copy=copy)

    def __repr__(self):
        text = np.array2string(self.data, prefix="tensor(", separator=", ")
        extra = "" if self.data.dtype in (np.float32, np.int64, np.bool_) else f", dtype={self.dtype}"
        if self.node is not None:
            extra += f", from {self.node.op.name}"
        elif self._requires_grad:
            extra += ", requires_grad=True"
        return f"tensor({text}{extra})"

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
        cdef cnp.ndarray a = self.data
        if self._requires_grad:
            a = a.view()
            a.flags.writeable = False
        return a

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
        t.is_view = True
        return t

    def assign(self, values):
        """Overwrite the values in place, outside the tape; shape and dtype stay.

        Parameters
        ----------
        values : array_like
            Broadcast to the tensor's shape.
        """
        self.data[...] = np.asarray(values)
        self.bump_version()

    def bump_version(self):
        """Tell the tape that ``data`` was changed in place."""
        bump_versions((self,))

    def zero_grad(self):
        """Forget the accumulated gradient."""
        self.grad = None

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
        return (<Op>table["getitem"])(self, index=plain_index(index))

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

    def __iadd__(self, other):
        return overwrite(self, self + other)

    def __isub__(self, other):
        return overwrite(self, self - other)

    def __imul__(self, other):
        return overwrite(self, self * other)

    def __itruediv__(self, other):
        return overwrite(self, self / other)

    def __matmul__(self, other):
        return (<Op>table["matmul"]).binary(self, other)

    def __rmatmul__(self, other):
        return (<Op>table["matmul"]).binary(other, self)

    def __neg__(self):
        return (<Op>table["negative"])(self)

    def __pos__(self):
        return self

    def __abs__(self):
        return (<Op>table["abs"])(self)

    def __invert__(self):
        return (<Op>table["logical_not"])(self)

    def __and__(self, other):
        return (<Op>table["logical_and"]).binary(self, other)

    def __or__(self, other):
        return (<Op>table["logical_or"]).binary(self, other)

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
