# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Tensor, Op, Node and the backward walk.

Calling an op runs its kernel on the inputs' arrays. If an input requires a gradient, a Node is put
on the output: the op, what the op's rule asked to keep, and edges to where the inputs came from.
``backward`` pops nodes by descending sequence number, calls each op's rule on the incoming gradient
and passes the results along the edges. Rules are written in ops, so with ``create_graph`` the same
walk records the second derivative.

This module knows no op's maths: ops enter ``TABLE`` as ``op.py`` declares them.
"""
import operator
import os
from copy import deepcopy

import numpy as np

cimport cython
cimport numpy as cnp
from cpython.pycapsule cimport PyCapsule_GetPointer
from cpython.ref cimport Py_DECREF, Py_INCREF
from cpython.tuple cimport PyTuple_New, PyTuple_SET_ITEM

from fieldgrad.engine import errors
from fieldgrad.engine.bindings import base_kernels
from fieldgrad.engine.errors import DTypeError, GradientError, NumericsError, ShapeError

cnp.import_array()

cdef extern from *:
    """
    static __thread int fg_recording = 1;   /* no_grad is a matter of one thread */
    static __thread int fg_anomaly = 0;
    static __thread int fg_transforms = 0;  /* how many see this thread's op calls; transforms.py */

    static int fg_is_inside(PyCodeObject *code, PyObject *folder) {
        PyObject *name = code->co_filename;
        return PyUnicode_KIND(name) == PyUnicode_KIND(folder)
            && PyUnicode_GET_LENGTH(name) > PyUnicode_GET_LENGTH(folder)
            && !memcmp(PyUnicode_DATA(name), PyUnicode_DATA(folder),
                       PyUnicode_GET_LENGTH(folder) * PyUnicode_KIND(folder));
    }

    /* The code of the innermost Python frame outside a folder (a new reference), or None; position
       tells where in it. No strings are made, and mostly no frames: this runs for every recorded
       call, and mostly the code is the one of the call before, which is kept. */
    static PyObject *fg_user_code(PyObject *folder, int *position) {
        static PyCodeObject *last = NULL;
        PyFrameObject *outer, *frame = PyEval_GetFrame();
        PyCodeObject *code;
        if (!frame)
            Py_RETURN_NONE;
        code = PyFrame_GetCode(frame);
        if (code != last) {
            Py_INCREF(frame);
            while (frame && fg_is_inside(code, folder)) {
                outer = PyFrame_GetBack(frame);
                Py_DECREF(frame);
                Py_DECREF(code);
                frame = outer;
                code = frame ? PyFrame_GetCode(frame) : NULL;
            }
            if (!frame)
                Py_RETURN_NONE;
            Py_INCREF(code);
            Py_XSETREF(last, code);
            Py_DECREF(frame);      /* which still runs */
        }
        *position = PyFrame_GetLasti(frame);
        return (PyObject *)code;
    }

    static int fg_line(PyObject *code, int position) {
        return PyCode_Addr2Line((PyCodeObject *)code, position);
    }
    """
    int fg_recording
    int fg_anomaly
    int fg_transforms
    object fg_user_code(object folder, int *position)
    int fg_line(object code, int position)

TABLE = {}                 # op name -> Op, filled by op.py
DEFAULT_FLOAT = np.dtype(np.float32)
REQUIRED = object()        # default of an attribute that has none

# In the order of CPython's codes, Py_LT to Py_GE.
cdef tuple COMPARISONS = ("less", "less_equal", "equal", "not_equal", "greater", "greater_equal")
cdef dict table = TABLE
cdef long node_count = 0
cdef object float32 = DEFAULT_FLOAT
cdef str folder = os.path.join(os.path.dirname(errors.__file__), "")     # the engine's own lines
cdef object transformed_call, transformed_rule     # what runs instead while there are transforms

# What a rule may ask for: inputs by position (>= 0), or one of these; from SHAPE_OF, DTYPE_OF, AUX and
# ATTRIBUTE on, the shape or dtype of an input, an auxiliary array, an attribute, by position.
cdef enum:
    OUT = -1
    NEEDS = -2
    ARRAYS = -3
    SHAPES = -4
    OUTS = -5
    SHAPE_OF = 1000
    DTYPE_OF = 1500
    AUX = 2000
    ATTRIBUTE = 3000
    MAX_SAVED = 16

# Elementwise kernels are called without Python in between: on small arrays the way is the work.
cdef object Elementwise = base_kernels.Elementwise, Buffer = base_kernels.Buffer
ctypedef cnp.ndarray (*elementwise_call)(object kernel, cnp.ndarray a, object b, bint over)
cdef elementwise_call call_elementwise = <elementwise_call>PyCapsule_GetPointer(
    base_kernels.elementwise_call, "fieldgrad.elementwise")


cdef class Version:
    """How often the memory that some tensors share was changed in place, and where last."""
    cdef long count
    cdef object code
    cdef int position

    @property
    def where(self):
        return line_of(self.code, self.position)


cdef str line_of(object code, int position):
    """File and line of a place in user's code, as ``fg_user_code`` gives it."""
    return "an unknown line" if code is None else \
        f"{code.co_filename}:{fg_line(code, position)}"


@cython.trashcan(True)     # a tape may be longer than the C stack is deep
@cython.freelist(256)
cdef class Node:
    """One recorded call: the op, what its rule keeps, and where its inputs came from."""
    cdef readonly Op op
    cdef tuple edges         # per input: the Node that made it, a leaf Tensor, or None
    cdef tuple saved         # what the rule asked for, in its order
    cdef tuple inputs        # fused ops only: input tensors, for the composite
    cdef dict attributes     # fused ops only
    cdef object recompute    # of a node that forgot: gives one of the same call
    cdef tuple shapes        # input shapes, only when one was broadcast
    cdef cnp.ndarray out
    cdef Version out_version
    cdef long versions       # sum of the saved tensors' version counts when recorded
    cdef long input_versions # the same of the inputs
    cdef readonly long sequence
    cdef object code         # the user's line, with a position in it
    cdef int position
    cdef list hooks          # functions that see, and may replace, the gradient that arrives
    cdef int n_outputs       # of an op with several; each output has a port
    cdef readonly Node source         # of a port: the node of the op
    cdef int port            # and which of its outputs this is

    def __lt__(self, Node other):
        return self.sequence < other.sequence

    # A port is made again where a rule asks for the outputs: equal, so that gradients meet there.
    def __eq__(self, other):
        cdef Node a = self, b
        if type(other) is not Node:
            return False
        b = other
        return a is b or a.source is not None and a.source is b.source and a.port == b.port

    def __hash__(self):
        if self.source is not None:
            return hash(self.source) + self.port
        return <Py_hash_t>(<size_t><void *>self >> 4)

    def __repr__(self):
        return f"<Node {self.sequence}: {self.op.name}>"

    @property
    def where(self):
        """File and line of the call."""
        return line_of(self.code, self.position)

    def forget(self, recompute):
        """Drop what was kept; ``recompute(node)`` gives a node of the same call when it is needed."""
        if self.saved is not None or self.recompute is not None:     # else it was used up
            self.saved = self.inputs = self.attributes = self.out = None
            self.recompute = recompute


include "_tensor.pxi"


# ---------------------------------------------------------------------------------- small parts

cdef inline Tensor wrap(cnp.ndarray data):
    cdef Tensor t = Tensor.__new__(Tensor)
    t.data = data
    return t


cdef tuple shape_of(cnp.ndarray a):
    cdef Py_ssize_t i, ndim = cnp.PyArray_NDIM(a)
    cdef tuple shape = PyTuple_New(ndim)
    cdef object n
    for i in range(ndim):
        n = cnp.PyArray_DIM(a, i)
        Py_INCREF(n)
        PyTuple_SET_ITEM(shape, i, n)
    return shape


cdef bint has_shape(cnp.ndarray a, tuple shape):
    cdef Py_ssize_t i, ndim = cnp.PyArray_NDIM(a)
    if ndim != len(shape):
        return False
    for i in range(ndim):
        if cnp.PyArray_DIM(a, i) != <Py_ssize_t>shape[i]:
            return False
    return True


cdef inline bint wants(Tensor t) except -1:
    """Whether a gradient is computed for the tensor; a view first learns of writes to its base."""
    if t.base is not None and t.epoch != t.base.epoch:
        renew(t)
    return t._requires_grad


cdef cnp.ndarray read_only(cnp.ndarray a):
    """The same memory as an array that cannot be written to."""
    a = a.view()
    a.flags.writeable = False
    return a


cdef inline bint is_real(cnp.ndarray a):
    """Whether the dtype is float32 or float64."""
    return cnp.PyArray_TYPE(a) == cnp.NPY_FLOAT or cnp.PyArray_TYPE(a) == cnp.NPY_DOUBLE


cdef Tensor number(double value, int typenum):
    """A 0-d tensor of float32 or float64."""
    cdef cnp.npy_intp none = 0
    cdef cnp.ndarray a = cnp.PyArray_SimpleNew(0, &none, typenum)
    if typenum == cnp.NPY_FLOAT:
        (<float *>cnp.PyArray_DATA(a))[0] = <float>value
    else:
        (<double *>cnp.PyArray_DATA(a))[0] = value
    return wrap(a)


cdef inline cnp.ndarray values_of(Tensor t):
    """The tensor's array, which a tensor that stands for a batch of them refuses to give."""
    return (<object>t).data if fg_transforms else t.data


cdef refuse_recorded(object data):
    """Refuse lists of tensors whose gradients a new array would lose."""
    for x in data:
        if type(x) is list or type(x) is tuple:
            refuse_recorded(x)
        elif isinstance(x, Tensor) and (<Tensor>x)._requires_grad:
            raise GradientError("tensor: the list holds tensors that require a gradient, which a new "
                                "tensor would lose. Join them with stack([…]), or take .detach() of "
                                "each.")


cdef cnp.ndarray as_array(object data):
    """The array of a tensor or array as it is; lists and Python numbers in single precision."""
    if isinstance(data, Tensor):
        return values_of(data)
    if fg_recording and (type(data) is list or type(data) is tuple):
        refuse_recorded(data)
    cdef cnp.ndarray array = data if isinstance(data, np.ndarray) else np.asarray(data)
    cdef int typenum = cnp.PyArray_TYPE(array)
    if not (cnp.PyTypeNum_ISNUMBER(typenum) or cnp.PyTypeNum_ISBOOL(typenum)):
        raise DTypeError(f"tensor: cannot make an array of numbers from {type(data).__name__} (dtype "
                         f"{array.dtype}); expected an array of numbers, a number, or nested lists of "
                         "equal length.")
    if array is data:
        # Foreign byte order or odd addresses come from files; kernels read neither.
        return array if cnp.PyArray_ISNOTSWAPPED(array) and cnp.PyArray_ISALIGNED(array) \
            else array.astype(array.dtype.newbyteorder("="))
    if typenum in (cnp.NPY_DOUBLE, cnp.NPY_CDOUBLE) and not isinstance(data, np.generic) \
            and not hasattr(data, "__array__"):
        array = array.astype(DEFAULT_FLOAT if typenum == cnp.NPY_DOUBLE else np.complex64)
    return array


cdef long versions_of(tuple tensors):
    """How often the memory of these tensors was changed in place, all in all."""
    cdef long count = 0
    for t in tensors:
        if t is not None and (<Tensor>t).version is not None:
            count += (<Tensor>t).version.count
    return count


cdef Version shared_version(Tensor t):
    if t.version is None:
        t.version = Version.__new__(Version)
    return t.version


def bump_versions(tensors):
    """Tell the tape that the ``data`` of these tensors was changed in place."""
    cdef Tensor t
    cdef Version v
    cdef int position = 0
    cdef object code = fg_user_code(folder, &position)
    for t in tensors:
        v = shared_version(t)
        v.count += 1
        v.code, v.position = code, position


cdef inline bint is_scalar(x):
    return type(x) is float or type(x) is int or type(x) is bool or type(x) is complex


cdef Tensor seed_gradient(Tensor y, g):
    if g is None:
        if y.size != 1:
            raise ShapeError(f"backward: the tensor has shape {y.shape}; a gradient starts from one "
                             "element. Reduce it (y.sum()), or pass g of the same shape.")
        return number(1, y.data.descr.type_num) if y.ndim == 0 and is_real(y.data) \
            else wrap(np.ones(y.shape, y.dtype))
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
    cdef readonly bint variadic, floating, differentiable, view, several, bilinear, fused
    cdef bint has_required
    cdef tuple aux, keeps_dtype
    cdef int n_saved
    cdef int[MAX_SAVED] saves      # what the rule asks for, in its order
    cdef set checked               # calls that the shape rule has accepted
    cdef object __weakref__
    cdef dict __dict__

    def __init__(self, name, kernel, *, inputs, defaults, n_optional=0, variadic=False,
                 floating=False, differentiable=True, view=False, several=False, bilinear=False,
                 shape=None, samples=None, aux=(), keeps_dtype=(), composite=None):
        self.name, self.kernel = name, kernel
        self.inputs = tuple(inputs)
        self.defaults = dict(defaults)
        self.attributes = tuple(defaults)
        self.has_required = REQUIRED in defaults.values()
        self.n_optional = n_optional
        self.variadic, self.floating, self.view = variadic, floating, view
        self.several, self.differentiable, self.bilinear = several, differentiable, bilinear
        self.shape, self.samples, self.composite = shape, samples, composite
        self.checked = set()
        self.fused = composite is not None     # until a rule written in ops says otherwise
        self.aux = tuple(aux)
        self.keeps_dtype = tuple([self.inputs.index(k) for k in keeps_dtype])

    def __repr__(self):
        return f"<op {self.name}>"

    def vjp(self, rule):
        """Declare the gradient rule, written in ops: ``rule(g, …)`` gives one gradient per input.

        The rule's further parameter names say what the tape keeps: an input's name, ``out``, an
        attribute, an auxiliary array, ``<input>_shape``, ``<input>_dtype``, ``needs`` (which inputs
        want one), or ``outs``, the outputs of an op with several.
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
        cdef dict codes = {"needs": NEEDS, "outs": OUTS} if self.several \
            else {"needs": NEEDS, "out": OUT}
        for i, name in enumerate(self.aux):
            codes[name] = AUX + i
        for i, name in enumerate(self.attributes):
            codes[name] = ATTRIBUTE + i
        if self.variadic:
            codes[self.inputs[0]], codes["shapes"] = ARRAYS, SHAPES
        else:
            for i, name in enumerate(self.inputs):
                codes[name] = i
                codes[f"{name}_shape"], codes[f"{name}_dtype"] = SHAPE_OF + i, DTYPE_OF + i
        asked = rule.__code__.co_varnames[1:rule.__code__.co_argcount]
        for name in asked:
            if name not in codes:
                raise ValueError(f"op {self.name}: its rule asks for {name!r}; it can have "
                                 f"{', '.join(codes)}")
        if len(asked) >= MAX_SAVED:
            raise ValueError(f"op {self.name}: its rule asks for {len(asked)} things; at most "
                             f"{MAX_SAVED - 1} are kept")
        for i, name in enumerate(asked):
            self.saves[i] = codes[name]
        self.rule, self.n_saved, self.fused = rule, len(asked), fused

    def __call__(self, *args, **kwargs):
        cdef Py_ssize_t n = len(self.inputs), given = len(args), i
        if not kwargs and not self.defaults and given == n and not self.n_optional \
                and not self.variadic:
            return self.unary(args[0]) if n == 1 else self.pair(args[0], args[1]) if n == 2 \
                else apply(self, self.lift(args), {})
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
        if self.has_required:
            for key in self.attributes:
                if attributes[key] is REQUIRED:
                    raise TypeError(f"{self.name}: attribute {key!r} is required")
        if n == 1 and given and not self.variadic and isinstance(args[0], Tensor) \
                and (not self.floating or is_real((<Tensor>args[0]).data)):
            return apply(self, (args[0],), attributes)
        args = tuple(args[0]) if self.variadic else args[:n] + (None,) * (n - given)
        return apply(self, self.lift(args), attributes)

    def apply(self, inputs, attributes):
        """Run the op on tensors of the right dtypes and all of its attributes."""
        return apply(self, inputs, attributes)

    cdef object unary(self, x):
        cdef Tensor t = x if isinstance(x, Tensor) else wrap(as_array(x)), out
        if self.floating and not is_real(t.data) and t.data.dtype.kind not in "fc":
            t = t.astype(DEFAULT_FLOAT)
        if type(self.kernel) is not Elementwise or fg_transforms or fg_anomaly:
            return apply(self, (t,), {})
        out = wrap(call_elementwise(self.kernel, t.data, None, False))
        if wants(t) and fg_recording and self.differentiable:
            record(self, (t,), None, out, ())
        return out

    cdef object pair(self, x, y):
        """Two inputs and no attributes; tensors of one real dtype, or a number beside one, go the
        short way."""
        cdef Tensor a = None, b = None, out
        if isinstance(x, Tensor):
            a = <Tensor>x
            if isinstance(y, Tensor):
                b = <Tensor>y
            elif is_real(a.data) and (type(y) is float or type(y) is int):
                b = number(y, cnp.PyArray_TYPE(a.data))
        elif isinstance(y, Tensor):
            b = <Tensor>y
            if is_real(b.data) and (type(x) is float or type(x) is int):
                a = number(x, cnp.PyArray_TYPE(b.data))
        if a is None or b is None or self.keeps_dtype or not is_real(a.data) \
                or cnp.PyArray_TYPE(a.data) != cnp.PyArray_TYPE(b.data):
            return apply(self, self.lift((x, y)), {})
        if type(self.kernel) is not Elementwise or fg_transforms or fg_anomaly:
            return apply(self, (a, b), {})
        try:
            out = wrap(call_elementwise(self.kernel, a.data, b.data, False))
        except Exception as error:
            explain(error, self, (a, b), {})
            raise
        if (wants(a) or wants(b)) and fg_recording and self.differentiable:
            record(self, (a, b), None, out, ())
        return out

    cdef object binary(self, x, y):
        """x op y for operators: NotImplemented lets Python ask the other operand."""
        if not (isinstance(y, Tensor) or is_scalar(y) or isinstance(y, (np.ndarray, np.generic))) or \
                not (isinstance(x, Tensor) or is_scalar(x) or isinstance(x, (np.ndarray, np.generic))):
            return NotImplemented
        return self.pair(x, y)

    cdef check(self, tuple inputs, dict attributes):
        """Let the shape rule accept the call, once for the same shapes and attributes."""
        cdef list shapes = [None if t is None else shape_of((<Tensor>t).data) for t in inputs]
        cdef tuple key = (*shapes, *attributes.values())
        try:
            if key in self.checked:
                return
        except TypeError:
            key = None          # an attribute that cannot be hashed, such as a list
        if self.variadic:
            self.shape(shapes, **attributes)
        else:
            self.shape(*shapes, **attributes)
        if key is not None:
            if len(self.checked) > 4096:
                self.checked.clear()
            self.checked.add(key)

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


cdef object apply(Op op, tuple inputs, dict attributes):
    """Run the op's kernel and, if a gradient will be wanted, record the call: a tensor, or a tuple."""
    try:
        out = run(op, inputs, attributes)
    except Exception as error:
        explain(error, op, inputs, attributes)
        raise
    if fg_anomaly and not fg_transforms:
        refuse_birth_of_nan(op, inputs, attributes, out)
    return out


cdef object run(Op op, tuple inputs, dict attributes):
    cdef Py_ssize_t n = len(inputs)
    cdef Tensor x, y, out
    cdef bint wanted = False
    cdef tuple aux = ()
    if op.shape is not None:
        op.check(inputs, attributes)
    if fg_transforms:
        return transformed_call(op, inputs, attributes)
    if n == 1 and not op.variadic:
        x = <Tensor>inputs[0]
        result = op.kernel(x.data, **attributes) if attributes else op.kernel(x.data)
        wanted = wants(x)
    elif n == 2 and not attributes and inputs[1] is not None and not op.variadic:
        x, y = <Tensor>inputs[0], <Tensor>inputs[1]
        result = op.kernel(x.data, y.data)
        wanted = wants(x) or wants(y)
    else:
        arrays = [None if t is None else (<Tensor>t).data for t in inputs]
        for t in inputs:
            wanted = wanted or t is not None and wants(<Tensor>t)
        result = op.kernel(arrays, **attributes) if op.variadic else op.kernel(*arrays, **attributes)
    if type(result) is tuple:
        aux = (<tuple>result)[1:]
        result = (<tuple>result)[0]
    wanted = wanted and fg_recording and op.differentiable
    if op.several:
        outputs = tuple([output(op, inputs, a) for a in result])
        if wanted and outputs:
            record_several(op, inputs, attributes, outputs, aux)
        return outputs
    out = output(op, inputs, <cnp.ndarray?>result)
    if wanted:
        record(op, inputs, attributes, out, aux)
    return out


cdef explain(error, Op op, tuple inputs, dict attributes):
    """Note on an error, once, which call it came from: op, arguments, shapes, dtypes and line.

    Of a dtype that a function of NumPy's or SciPy's does not take they say less than our kernels do.
    """
    cdef int position = 0
    if getattr(error, "__notes__", None):
        return
    code = fg_user_code(folder, &position)
    note = f"in {call_text(op, inputs, attributes)}, called at {line_of(code, position)}"
    text = str(error)
    if type(error) is not DTypeError and ("not supported for the input types" in text or
                                          "unsupported in linalg" in text):
        dtypes = dict.fromkeys([str(t.dtype) for t in inputs if t is not None])
        better = DTypeError(f"{op.name}: dtype {' and '.join(dtypes)} is not supported; convert with "
                            ".astype(float32) or .astype(float64).")
        better.add_note(note)
        raise better from error
    error.add_note(note)


cdef str call_text(Op op, tuple inputs, dict attributes):
    """The call as one would write it, with dtype and shape in place of each array."""
    cdef list parts = []
    for i, t in enumerate(inputs):
        name = f"{op.inputs[0]}[{i}]" if op.variadic else op.inputs[i]
        parts.append(f"{name}: " + ("None" if t is None else f"{t.dtype} {t.shape}"))
    for name, value in attributes.items():
        if isinstance(value, (Tensor, np.ndarray)):
            value = f"{value.dtype} {value.shape}"
        parts.append(f"{name}={value if isinstance(value, str) else repr(value)[:60]}")
    return f"{op.name}({', '.join(parts)})"


cdef refuse_birth_of_nan(Op op, tuple inputs, dict attributes, object result):
    """In anomaly mode, stop where an op makes NaN of inputs that have none."""
    for out in result if op.several else (result,):
        if out.dtype.kind in "fc" and np.isnan(out.data).any():
            if any([t is not None and t.dtype.kind in "fc" and np.isnan(t.data).any() for t in inputs]):
                return
            where = tuple([int(i) for i in np.argwhere(np.isnan(out.data))[0]])
            error = NumericsError(f"{op.name} gave NaN at index {where} of its result, shape {out.shape}; none "
                                  "of its inputs has any. Look at the values there before this line.")
            explain(error, op, inputs, attributes)
            raise error


cdef Tensor output(Op op, tuple inputs, cnp.ndarray data):
    cdef Tensor out = wrap(data), x
    if op.view:
        for x in inputs:
            if x is not None and shares_memory(x.data, data):
                make_view(out, x)
                break
    return out


cdef bint shares_memory(cnp.ndarray a, cnp.ndarray b):
    """Whether b is a view into a's memory or they have a common base."""
    cdef object base_a = a if cnp.PyArray_BASE(a) is NULL else <object>cnp.PyArray_BASE(a)
    cdef object base_b = b if cnp.PyArray_BASE(b) is NULL else <object>cnp.PyArray_BASE(b)
    return base_a is base_b or base_b is a


cdef record(Op op, tuple inputs, dict attributes, Tensor out, tuple aux):
    """Put a node on out: edges to the inputs that want a gradient, and what the rule asked for."""
    global node_count
    cdef Py_ssize_t n = len(inputs), i
    cdef Node node = Node.__new__(Node)
    cdef Tensor x
    cdef tuple edges, saved
    cdef object item
    cdef bint broadcast = False
    cdef int code
    if op.rule is None and not op.fused:
        raise GradientError(f"{op.name} has no gradient rule yet; detach its input, or add a rule with "
                            f"@{op.name}.vjp.")
    edges = PyTuple_New(n)
    for i in range(n):
        item = None
        if inputs[i] is not None:
            x = <Tensor>inputs[i]
            if wants(x):
                item = x if x.node is None else x.node
            broadcast = broadcast or not cnp.PyArray_SAMESHAPE(x.data, out.data)
        Py_INCREF(item)
        PyTuple_SET_ITEM(edges, i, item)
    node.op = op
    node.edges = edges
    if broadcast:
        node.shapes = tuple([None if t is None else shape_of((<Tensor>t).data) for t in inputs])
    saved = PyTuple_New(op.n_saved)
    for i in range(op.n_saved):
        code = op.saves[i]
        item = None
        if code >= ATTRIBUTE:
            item = attributes[op.attributes[code - ATTRIBUTE]]
        elif code >= AUX:
            item = aux[code - AUX]
        elif code >= DTYPE_OF:
            if inputs[code - DTYPE_OF] is not None:
                item = (<Tensor>inputs[code - DTYPE_OF]).data.dtype
        elif code >= SHAPE_OF:
            if inputs[code - SHAPE_OF] is not None:
                item = shape_of((<Tensor>inputs[code - SHAPE_OF]).data)
        elif code >= 0:
            if not (op.bilinear and code < 2 and edges[1 - code] is None):
                item = inputs[code]
            if item is not None and (<Tensor>item).version is not None:
                node.versions += (<Tensor>item).version.count
        elif code == ARRAYS:
            item = inputs
        elif code == SHAPES:
            item = tuple([shape_of((<Tensor>t).data) for t in inputs])
        elif code == OUT:
            node.out = out.data
            node.out_version = shared_version(out)
            node.versions += node.out_version.count
        Py_INCREF(item)
        PyTuple_SET_ITEM(saved, i, item)
    node.saved = saved
    if op.fused:
        node.inputs = inputs
        node.input_versions = versions_of(inputs)
        node.attributes = {} if attributes is None else attributes
    node_count += 1
    node.sequence = node_count
    node.code = fg_user_code(folder, &node.position)
    out.node = node
    out._requires_grad = True


cdef record_several(Op op, tuple inputs, dict attributes, tuple outputs, tuple aux):
    """One node for the op, and on each output a port that leads to it."""
    global node_count
    cdef Tensor whole = wrap((<Tensor>outputs[0]).data), out
    cdef Node node
    cdef tuple kept
    cdef int i
    record(op, inputs, attributes, whole, aux)
    node = whole.node
    node.shapes = None               # outputs are no broadcast of the inputs
    node.n_outputs = len(outputs)
    node_count += node.n_outputs
    for i in range(op.n_saved):
        if op.saves[i] == OUTS:      # without their nodes, which would keep this one alive
            kept = tuple([out.detach() for out in outputs])
            node.saved = node.saved[:i] + (kept,) + node.saved[i + 1:]
            for out in kept:
                node.versions += out.version.count
    for i in range(len(outputs)):
        add_port(outputs[i], node, i)


cdef add_port(Tensor out, Node node, int i):
    """Let out be the output i of the node's op."""
    cdef Node port = Node.__new__(Node)
    port.op, port.source, port.port = node.op, node, i
    port.edges = (node,)
    port.sequence = node.sequence + 1 + i
    out.node, out._requires_grad = port, True


include "_index.pxi"
include "_interop.pxi"
include "_backward.pxi"
