# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Tensor, Op, Node and the backward walk.

Calling an op runs its kernel on the inputs' arrays. If an input requires a gradient, a Node is put
on the output: the op, what the op's rule asked to keep, and edges to where the inputs came from.
``backward`` pops nodes by descending sequence number, calls each op's rule on the incoming gradient
and passes the results along the edges. Rules are written in ops, so with ``create_graph`` the same
walk records the second derivative.

This module knows no op's maths: ops enter ``TABLE`` as ``op.py`` declares them.
"""
import sys
from heapq import heappop, heappush

import numpy as np

cimport cython
cimport numpy as cnp

from fieldgrad.engine.errors import DTypeError, GradientError, ShapeError

cnp.import_array()

cdef extern from *:
    """
    static __thread int fg_recording = 1;   /* no_grad is a matter of one thread */
    static __thread int fg_anomaly = 0;
    """
    int fg_recording
    int fg_anomaly

TABLE = {}                 # op name -> Op, filled by op.py
DEFAULT_FLOAT = np.dtype(np.float32)
REQUIRED = object()        # default of an attribute that has none

# In the order of CPython's codes, Py_LT to Py_GE.
cdef tuple COMPARISONS = ("less", "less_equal", "equal", "not_equal", "greater", "greater_equal")
cdef dict table = TABLE
cdef long node_count = 0
cdef object float32 = DEFAULT_FLOAT

# What a rule may ask for, beside attributes (kept by name) and inputs (kept by position >= 0).
cdef enum:
    OUT = -1
    NEEDS = -2
    ARRAYS = -3
    SHAPES = -4
    SHAPE_OF = 1000
    AUX = 2000


cdef class Version:
    """How often the memory that some tensors share was changed in place, and where last."""
    cdef long count
    cdef str where


cdef str caller_line():
    """File and line of the user's call: the innermost frame outside this package."""
    frame = sys._getframe(0)
    while frame is not None and frame.f_globals.get("__name__", "").startswith("fieldgrad.engine"):
        frame = frame.f_back
    return "unknown line" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"


@cython.trashcan(True)     # a tape may be longer than the C stack is deep
cdef class Node:
    """One recorded call: the op, what its rule keeps, and where its inputs came from."""
    cdef readonly Op op
    cdef tuple edges         # per input: the Node that made it, a leaf Tensor, or None
    cdef tuple saved         # what the rule asked for, in its order
    cdef tuple inputs        # fused ops only: input tensors, for the composite
    cdef dict attributes     # fused ops only
    cdef tuple shapes        # input shapes, only when one was broadcast
    cdef cnp.ndarray out
    cdef Version out_version
    cdef long versions       # sum of the saved tensors' version counts when recorded
    cdef readonly long sequence
    cdef readonly str where

    def __repr__(self):
        return f"<Node {self.sequence}: {self.op.name}>"


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
        return np.shape(self.data)

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
        cdef Version v = shared_version(self)
        v.count += 1
        v.where = caller_line()

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
        index = plain_index(index)
        cdef Tensor v = value if isinstance(value, Tensor) else wrap(np.asarray(value, self.dtype))
        cdef bint recorded = fg_recording and (self._requires_grad or v._requires_grad)
        if recorded and self.node is None and self._requires_grad:
            raise GradientError("assignment into a leaf tensor that requires a gradient would hide its "
                                "first values from the tape; assign under no_grad(), or to a result of "
                                "an op (x = x * 1).")
        if recorded and self.is_view:
            raise GradientError("assignment into a view of another tensor cannot be recorded; assign to "
                                "the original tensor, or copy the view first (x = x * 1).")
        cdef Tensor before, after
        if recorded:
            before = wrap(self.data)
            before.node, before._requires_grad = self.node, self._requires_grad
            after = (<Op>table["setitem"])(before, v.astype(self.dtype), index=index)
            self.data[index] = v.data
            self.node, self._requires_grad = after.node, True
        else:
            self.data[index] = v.data
        self.bump_version()

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


# ---------------------------------------------------------------------------------- small parts

cdef inline Tensor wrap(cnp.ndarray data):
    cdef Tensor t = Tensor.__new__(Tensor)
    t.data = data
    return t


cdef cnp.ndarray as_array(data):
    """The array of a tensor or array as it is; lists and Python numbers with float32 for floats."""
    if isinstance(data, Tensor):
        return (<Tensor>data).data
    if isinstance(data, np.ndarray):
        return data
    array = np.asarray(data)
    if array.dtype.kind == "O":
        raise DTypeError(f"tensor: cannot make an array of numbers from {type(data).__name__}; "
                         "expected an array, a number, or nested lists of equal length.")
    if array.dtype == np.float64 and not isinstance(data, np.generic) \
            and not hasattr(data, "__array__"):
        array = array.astype(DEFAULT_FLOAT)
    return array


cdef Version shared_version(Tensor t):
    if t.version is None:
        t.version = Version.__new__(Version)
    return t.version


cdef Tensor overwrite(Tensor x, Tensor result):
    """x with the values of result, in place: what x += y and its like do."""
    if result.shape != x.shape or result.dtype != x.dtype:
        raise DTypeError(f"an assignment in place would change shape {x.shape} and dtype {x.dtype} to "
                         f"{result.shape} and {result.dtype}; write x = x + y for a new tensor.")
    x[...] = result
    return x


cdef object plain_index(index):
    """The index with tensors replaced by their arrays."""
    if isinstance(index, Tensor):
        return (<Tensor>index).data
    if isinstance(index, tuple):
        for i in index:
            if isinstance(i, Tensor):
                return tuple([(<Tensor>j).data if isinstance(j, Tensor) else j for j in index])
    return index


cdef inline bint is_scalar(x):
    return type(x) is float or type(x) is int or type(x) is bool or type(x) is complex


cdef Tensor seed_gradient(Tensor y, g):
    if g is None:
        if y.size != 1:
            raise ShapeError(f"backward: the tensor has shape {y.shape}; a gradient starts from one "
                             "element. Reduce it (y.sum()), or pass g of the same shape.")
        return wrap(np.ones(y.shape, y.dtype))
    cdef Tensor t = g if isinstance(g, Tensor) else wrap(np.asarray(g, y.dtype))
    if t.shape != y.shape:
        raise ShapeError(f"backward: g has shape {t.shape}, but the tensor has {y.shape}; expected "
                         "equal shapes.")
    return t


# ---------------------------------------------------------------------------------- ops

cdef class Op:
    """A differentiable function of tensors; see ``op.py`` for how one is declared.

    Attributes
    ----------
    name : str
        The op's public name.
    kernel : callable
        Arrays and attributes in, array out (or a tuple: the output, then auxiliary arrays).
    """
    cdef readonly str name
    cdef public object kernel, shape, samples, composite, rule
    cdef readonly tuple inputs, attributes
    cdef readonly dict defaults
    cdef readonly int n_optional
    cdef readonly bint variadic, floating, differentiable, view, fused
    cdef tuple aux, keeps_dtype, saves
    cdef object __weakref__
    cdef dict __dict__

    def __init__(self, name, kernel, *, inputs, defaults, n_optional=0, variadic=False,
                 floating=False, differentiable=True, view=False, shape=None, samples=None, aux=(),
                 keeps_dtype=(), composite=None):
        self.name, self.kernel = name, kernel
        self.inputs = tuple(inputs)
        self.defaults = dict(defaults)
        self.attributes = tuple(defaults)
        self.n_optional = n_optional
        self.variadic, self.floating, self.view = variadic, floating, view
        self.differentiable = differentiable
        self.shape, self.samples, self.composite = shape, samples, composite
        self.aux = tuple(aux)
        self.keeps_dtype = tuple([self.inputs.index(k) for k in keeps_dtype])

    def __repr__(self):
        return f"<op {self.name}>"

    def vjp(self, rule):
        """Declare the gradient rule, written in ops: ``rule(g, …)`` gives one gradient per input.

        The rule's further parameter names say what the tape keeps: an input's name, ``out``, an
        attribute, an auxiliary array, ``<input>_shape``, or ``needs`` (which inputs want one).
        """
        self.set_rule(rule, False)
        return rule

    def fused_vjp(self, rule):
        """Declare a rule that calls kernels; second derivatives go through the op's composite."""
        self.set_rule(rule, True)
        return rule

    cdef set_rule(self, rule, bint fused):
        if self.rule is not None or not self.differentiable:
            raise ValueError(f"op {self.name}: a second rule, or a rule for a non-differentiable op")
        if fused and self.composite is None:
            raise ValueError(f"op {self.name}: a fused rule needs a composite")
        cdef dict codes = {"out": OUT, "needs": NEEDS}
        for i, name in enumerate(self.aux):
            codes[name] = AUX + i
        for name in self.attributes:
            codes[name] = name
        if self.variadic:
            codes[self.inputs[0]], codes["shapes"] = ARRAYS, SHAPES
        else:
            for i, name in enumerate(self.inputs):
                codes[name], codes[f"{name}_shape"] = i, SHAPE_OF + i
        asked = rule.__code__.co_varnames[1:rule.__code__.co_argcount]
        for name in asked:
            if name not in codes:
                raise ValueError(f"op {self.name}: its rule asks for {name!r}; it can have "
                                 f"{', '.join(codes)}")
        self.rule, self.saves, self.fused = rule, tuple([codes[name] for name in asked]), fused

    def __call__(self, *args, **kwargs):
        cdef Py_ssize_t n = len(self.inputs), given = len(args), i
        if not kwargs and not self.attributes and given == n and not self.n_optional \
                and not self.variadic:
            if n == 1:
                return self.unary(args[0])
            return apply(self, self.lift(args), {})
        if given < n - self.n_optional or given > n + len(self.attributes):
            raise TypeError(f"{self.name}: {given} positional arguments; expected "
                            f"{self.name}({', '.join(self.inputs + self.attributes)})")
        cdef dict attributes = self.defaults.copy()
        for i in range(n, given):
            attributes[self.attributes[i - n]] = args[i]
        for key, value in kwargs.items():
            if key not in attributes:
                raise TypeError(f"{self.name} has no attribute {key!r}; expected "
                                f"{', '.join(self.attributes) or 'none'}")
            attributes[key] = value
        for key in self.attributes:
            if attributes[key] is REQUIRED:
                raise TypeError(f"{self.name}: attribute {key!r} is required")
        args = tuple(args[0]) if self.variadic else args[:n] + (None,) * (n - given)
        return apply(self, self.lift(args), attributes)

    cdef Tensor unary(self, x):
        cdef Tensor t = x if isinstance(x, Tensor) else wrap(as_array(x))
        if self.floating and cnp.PyArray_TYPE(t.data) != cnp.NPY_FLOAT \
                and t.data.dtype.kind not in "fc":
            t = t.astype(DEFAULT_FLOAT)
        return apply(self, (t,), {})

    cdef object binary(self, x, y):
        """x op y for operators: NotImplemented lets Python ask the other operand."""
        if not (isinstance(y, Tensor) or is_scalar(y) or isinstance(y, (np.ndarray, np.generic))) or \
                not (isinstance(x, Tensor) or is_scalar(x) or isinstance(x, (np.ndarray, np.generic))):
            return NotImplemented
        return apply(self, self.lift((x, y)), {})

    cdef tuple lift(self, tuple args):
        """Tensors of one dtype from tensors, arrays and numbers.

        Dtypes mix as in NumPy 2: arrays by its promotion table, Python numbers take the dtype of the
        others. Inputs listed in keeps_dtype are left alone.
        """
        cdef Py_ssize_t i, n = len(args)
        cdef Tensor t
        cdef list tensors = []
        cdef object common = None
        cdef bint scalars = False, mixed = False
        for i in range(n):
            x = args[i]
            if isinstance(x, Tensor):
                t = <Tensor>x
            elif x is None and i >= n - self.n_optional:
                tensors.append(None)
                continue
            elif is_scalar(x) and i not in self.keeps_dtype:
                tensors.append(x)
                scalars = True
                continue
            else:
                t = wrap(as_array(x))
            tensors.append(t)
            if self.keeps_dtype and i in self.keeps_dtype:
                continue
            if common is None:
                common = t.data.dtype
            elif common is not t.data.dtype and common != t.data.dtype:
                common = np.result_type(common, t.data.dtype)
                mixed = True
        if scalars:
            for x in tensors:
                if is_scalar(x):
                    if common is None:
                        common = as_array(x).dtype
                    elif type(x) is float and common.kind not in "fc":
                        common, mixed = DEFAULT_FLOAT, True
                    elif type(x) is complex or type(x) is int and common.kind == "b":
                        common, mixed = np.result_type(common, x), True
        if self.floating and common is not None and common is not float32 \
                and common.kind not in "fc":
            common, mixed = DEFAULT_FLOAT, True
        if scalars or mixed:
            for i in range(n):
                x = tensors[i]
                if x is None or self.keeps_dtype and i in self.keeps_dtype:
                    continue
                if isinstance(x, Tensor):
                    if mixed and (<Tensor>x).data.dtype != common:
                        tensors[i] = x.astype(common)
                else:
                    tensors[i] = wrap(np.asarray(x, common))
        return tuple(tensors)


cdef Tensor apply(Op op, tuple inputs, dict attributes):
    """Run the op's kernel and, if a gradient will be wanted, record the call."""
    cdef Py_ssize_t n = len(inputs), i
    cdef Tensor x, y, out
    cdef bint wanted = False
    cdef tuple aux = ()
    if op.shape is not None:
        shapes = [None if t is None else np.shape((<Tensor>t).data) for t in inputs]
        if op.variadic:
            op.shape(shapes, **attributes)
        else:
            op.shape(*shapes, **attributes)
    if n == 2 and not attributes and inputs[1] is not None:
        x, y = <Tensor>inputs[0], <Tensor>inputs[1]
        result = op.kernel(x.data, y.data)
        wanted = x._requires_grad or y._requires_grad
    elif n == 1 and not op.variadic:
        x = <Tensor>inputs[0]
        result = op.kernel(x.data, **attributes) if attributes else op.kernel(x.data)
        wanted = x._requires_grad
    else:
        arrays = [None if t is None else (<Tensor>t).data for t in inputs]
        for t in inputs:
            wanted = wanted or t is not None and (<Tensor>t)._requires_grad
        result = op.kernel(arrays, **attributes) if op.variadic else op.kernel(*arrays, **attributes)
    if type(result) is tuple:
        aux = (<tuple>result)[1:]
        result = (<tuple>result)[0]
    out = wrap(<cnp.ndarray?>result)
    if op.view and shares_memory((<Tensor>inputs[0]).data, out.data):
        out.version = shared_version(<Tensor>inputs[0])
        out.is_view = True
    if wanted and fg_recording and op.differentiable:
        record(op, inputs, attributes, out, aux)
    return out


cdef bint shares_memory(cnp.ndarray a, cnp.ndarray b):
    """Whether b is a view into a's memory or they have a common base."""
    cdef object base_a = a if cnp.PyArray_BASE(a) is NULL else <object>cnp.PyArray_BASE(a)
    cdef object base_b = b if cnp.PyArray_BASE(b) is NULL else <object>cnp.PyArray_BASE(b)
    return base_a is base_b or base_b is a


cdef record(Op op, tuple inputs, dict attributes, Tensor out, tuple aux):
    global node_count
    cdef Py_ssize_t n = len(inputs), i
    cdef Node node = Node.__new__(Node)
    cdef Tensor x
    cdef list edges = [None] * n
    cdef list saved
    cdef bint broadcast = False
    cdef int code
    if op.rule is None:
        raise GradientError(f"{op.name} has no gradient rule yet; detach its input, or add a rule with "
                            f"@{op.name}.vjp.")
    for i in range(n):
        if inputs[i] is None:
            continue
        x = <Tensor>inputs[i]
        if x._requires_grad:
            edges[i] = x if x.node is None else x.node
        if not broadcast:
            broadcast = not cnp.PyArray_SAMESHAPE(x.data, out.data)
    node.op = op
    node.edges = tuple(edges)
    if broadcast:
        node.shapes = tuple([None if t is None else np.shape((<Tensor>t).data) for t in inputs])
    saved = []
    for key in op.saves:
        if type(key) is str:
            saved.append(attributes[key])
            continue
        code = key
        if code >= AUX:
            saved.append(aux[code - AUX])
        elif code >= SHAPE_OF:
            saved.append(None if inputs[code - SHAPE_OF] is None
                         else np.shape((<Tensor>inputs[code - SHAPE_OF]).data))
        elif code >= 0:
            x = inputs[code]
            saved.append(x)
            if x is not None and x.version is not None:
                node.versions += x.version.count
        elif code == ARRAYS:
            saved.append(inputs)
        elif code == SHAPES:
            saved.append(tuple([np.shape((<Tensor>t).data) for t in inputs]))
        elif code == OUT:
            saved.append(None)
            node.out = out.data
            node.out_version = shared_version(out)
            node.versions += node.out_version.count
        else:
            saved.append(None)
    node.saved = tuple(saved)
    if op.fused:
        node.inputs = inputs
        node.attributes = attributes
    node_count += 1
    node.sequence = node_count
    if fg_anomaly:
        node.where = caller_line()
    out.node = node
    out._requires_grad = True


# ---------------------------------------------------------------------------------- backward

cdef check_versions(Node node):
    """Refuse to use saved values that were overwritten since the op ran."""
    cdef long now = 0
    cdef str where = None
    cdef Version v
    for value, key in zip(node.saved, node.op.saves):
        if type(key) is not str and 0 <= key < SHAPE_OF and value is not None:
            v = (<Tensor>value).version
            if v is not None:
                now += v.count
                where = v.where or where
    if node.out_version is not None:
        now += node.out_version.count
        where = node.out_version.where or where
    if now != node.versions:
        made = f" (recorded at {node.where})" if node.where else ""
        raise GradientError(f"backward of {node.op.name}{made} needs a tensor that was changed in place "
                            f"afterwards, at {where}. Assign to a copy (y = x * 1), or move the "
                            "assignment before the op.")


cdef tuple call_rule(Node node, Tensor g, tuple needs, bint create_graph):
    """The gradients of one node's inputs."""
    cdef Op op = node.op
    cdef list arguments = [g]
    cdef Tensor out
    for value, key in zip(node.saved, op.saves):
        if key == OUT:
            out = wrap(node.out)
            if create_graph:
                out.node, out._requires_grad = node, True
            value = out
        elif key == NEEDS:
            value = needs
        arguments.append(value)
    gradients = op.rule(*arguments)
    if op.variadic or type(gradients) is tuple or type(gradients) is list:
        return tuple(gradients)
    return (gradients,)


cdef tuple call_composite(Node node, Tensor g, tuple needs):
    """The same through the op's composite, recorded: how a fused op is differentiated twice."""
    cdef list aliases = [None if t is None else (<Op>table["alias"])(t) for t in node.inputs]
    y = node.op.composite(*aliases, **node.attributes)
    wanted = [a for a, need in zip(aliases, needs) if need]
    found = iter(walk((y,), (g,), wanted, True, True))
    return tuple([next(found) if need else None for need in needs])


cpdef Tensor sum_to(Tensor g, shape):
    """Undo broadcasting: sum g over the axes along which an input of this shape was repeated."""
    lead = g.ndim - len(shape)
    axes = tuple([i for i in range(g.ndim) if i < lead or shape[i - lead] == 1 != g.shape[i]])
    if axes:
        g = (<Op>table["sum"])(g, axis=axes, keepdims=True)
    return (<Op>table["reshape"])(g, shape=shape) if lead else g


cdef set needed_nodes(tuple roots, dict wanted):
    """Nodes on a path from the roots to a wanted tensor."""
    cdef set seen = set(), needed = set()
    cdef list order = [], stack = [t.node for t in roots if (<Tensor>t).node is not None]
    cdef Node node
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        order.append(node)
        for edge in node.edges:
            if type(edge) is Node:
                stack.append(edge)
    order.sort(key=lambda item: (<Node>item).sequence)
    for node in order:
        if node in wanted:
            needed.add(node)
            continue
        for edge in node.edges:
            if edge is not None and (edge in needed or edge in wanted):
                needed.add(node)
                break
    return needed


cdef list walk(tuple roots, tuple seeds, list wanted, bint create_graph, bint retain):
    """Run the tape backwards from roots.

    Without ``wanted`` the gradients are added to the leaves' ``grad`` and an empty list returns;
    with it, the gradients of those tensors return in order (None where there is no path).
    """
    global fg_recording
    cdef dict grads = {}, targets = {}
    cdef list heap = []
    cdef set needed = None
    cdef Node node
    cdef Tensor g, t
    cdef tuple needs, gradients
    cdef int recording = fg_recording
    if wanted is not None:
        for t in wanted:
            targets[t if t.node is None else t.node] = None
        needed = needed_nodes(roots, targets)
    for t, g in zip(roots, seeds):
        if not t._requires_grad:
            raise GradientError("backward: the tensor does not depend on anything that requires a "
                                "gradient. Set requires_grad=True on an input, and compute outside "
                                "no_grad().")
        deliver(t if t.node is None else t.node, g, grads, targets, heap, needed, wanted is None,
                create_graph)
    fg_recording = create_graph
    try:
        while heap:
            node = heappop(heap)[1]
            g = <Tensor>grads.pop(node)
            if needed is not None and node in targets:
                targets[node] = g
            if needed is None:
                needs = tuple([edge is not None for edge in node.edges])
            else:
                needs = tuple([edge is not None and (edge in needed or edge in targets)
                               for edge in node.edges])
                if True not in needs:
                    continue
            if node.saved is None:
                raise GradientError(f"backward of {node.op.name}: this part of the tape was already "
                                    "used. Call backward(retain_graph=True) the first time to go "
                                    "through it twice.")
            check_versions(node)
            gradients = call_composite(node, g, needs) if create_graph and node.op.fused \
                else call_rule(node, g, needs, create_graph)
            if len(gradients) != len(node.edges):
                raise GradientError(f"the rule of {node.op.name} gave {len(gradients)} gradients for "
                                    f"{len(node.edges)} inputs; expected one (or None) for each.")
            for i, edge in enumerate(node.edges):
                if not needs[i] or gradients[i] is None:
                    continue
                g = <Tensor>gradients[i]
                if node.shapes is not None and g.shape != node.shapes[i]:
                    g = sum_to(g, node.shapes[i])
                if fg_anomaly and np.isnan(g.data).any():
                    raise GradientError(f"backward of {node.op.name} (recorded at {node.where}) gave NaN "
                                        f"in the gradient of its input {i}.")
                deliver(edge, g, grads, targets, heap, needed, wanted is None, create_graph)
            if not retain:
                node.saved = node.inputs = node.out = None
    finally:
        fg_recording = recording
    if wanted is None:
        return []
    return [targets[t if (<Tensor>t).node is None else (<Tensor>t).node] for t in wanted]


cdef deliver(edge, Tensor g, dict grads, dict targets, list heap, set needed, bint accumulate,
             bint create_graph):
    """Add g to what has arrived at a node or leaf."""
    cdef Tensor leaf, before
    if type(edge) is Node:
        if needed is not None and edge not in needed:
            return
        before = grads.get(edge)
        if before is None:
            heappush(heap, (-(<Node>edge).sequence, edge))
            grads[edge] = g
        else:
            grads[edge] = (<Op>table["add"])(before, g)
        return
    leaf = <Tensor>edge
    if accumulate:
        if leaf.grad is not None:
            leaf.grad = (<Op>table["add"])(leaf.grad, g)
        else:
            # Rules may hand the same array to several leaves; each leaf owns its gradient.
            leaf.grad = g if create_graph else wrap(g.data.copy(order="K"))
    elif leaf in targets:
        before = targets[leaf]
        targets[leaf] = g if before is None else (<Op>table["add"])(before, g)


# ---------------------------------------------------------------------------------- for autograd.py

def gradients(roots, seeds, wanted, create_graph, retain_graph):
    """Gradients of the roots, weighted by seeds, for the wanted tensors (None without a path)."""
    seeds = tuple([seed_gradient(y, g) for y, g in zip(roots, seeds)])
    return walk(tuple(roots), seeds, list(wanted), create_graph, retain_graph or create_graph)


def set_recording(bint value):
    """Switch recording in this thread; return the previous setting."""
    global fg_recording
    before = bool(fg_recording)
    fg_recording = value
    return before


def set_anomaly(bint value):
    """Switch anomaly mode in this thread; return the previous setting."""
    global fg_anomaly
    before = bool(fg_anomaly)
    fg_anomaly = value
    return before
