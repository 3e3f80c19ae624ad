"""What NumPy's own functions do when a tensor is among their arguments.

The result of ``np.exp(tensor)``, ``np.sum(tensor)`` or ``array + tensor``, in either order, is a
tensor:

1. The engine's function of the same name computes it, if there is one and it takes these arguments;
   the call is recorded like any other. Its rules hold: Python numbers take the dtype of the tensor,
   arrays mix with it by NumPy's promotion table, integers meet the default float32.
2. Otherwise NumPy computes it from the arrays, and its arrays come back as tensors, unless an
   argument requires a gradient.
3. If one does, and the result has floating arrays, it is a `GradientError`: the result would
   silently have no gradient.

``out=`` may name an array (``array += tensor`` does). It is written to, unless a gradient would be
lost.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

import fieldgrad.engine as fg
from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import GradientError

__all__ = ["call_function", "call_ufunc"]

# NumPy's names of what the engine calls otherwise.
NAMES = {
    "absolute": "abs",
    "amax": "max",
    "amin": "min",
    "arccos": "acos",
    "arccosh": "acosh",
    "arcsin": "asin",
    "arcsinh": "asinh",
    "arctan": "atan",
    "arctan2": "atan2",
    "arctanh": "atanh",
    "concatenate": "concat",
    "conjugate": "conj",
    "invert": "bitwise_invert",
    "left_shift": "bitwise_left_shift",
    "right_shift": "bitwise_right_shift",
    "rint": "round",
    "transpose": "permute_dims",
    "true_divide": "divide",
}
REDUCTIONS = {
    np.add: "sum",
    np.multiply: "prod",
    np.maximum: "max",
    np.minimum: "min",
    np.logical_and: "all",
    np.logical_or: "any",
}


def call_ufunc(
    ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Do what ``ufunc(*inputs, **kwargs)``, or a method of it, asks for.

    Parameters
    ----------
    ufunc : numpy.ufunc
        The function.
    method : str
        "__call__", "reduce", "accumulate", "outer", "reduceat" or "at".
    inputs : tuple
        Arrays, tensors and numbers; one of them, or of ``out``, is a tensor.
    kwargs : dict
        Further arguments of the ufunc.

    Returns
    -------
    Tensor or tuple of Tensor
        The result; ``out`` itself if it was given.

    Raises
    ------
    GradientError
        If the result would lose a gradient.
    """
    kwargs = dict(kwargs)
    (out,) = kwargs.pop("out", None) or (None,)
    if out is not None:
        result = call_ufunc(ufunc, method, inputs, kwargs)
        return _write(f"np.{ufunc.__name__}", out, result)
    own = None
    if method == "__call__":
        own = getattr(fg, NAMES.get(ufunc.__name__, ufunc.__name__), None)
    elif method == "reduce" and ufunc in REDUCTIONS:
        own = getattr(fg, REDUCTIONS[ufunc])
        inputs, kwargs = inputs[:1], {"axis": 0, **kwargs}
    if own is not None and not kwargs.keys() - {"axis", "keepdims"}:
        return own(*inputs, **kwargs)
    name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
    return _by_numpy(name, getattr(ufunc, method), inputs, kwargs)


def call_function(
    function: Callable[..., Any],
    types: Iterable[type],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Do what ``function(*args, **kwargs)`` asks for, a function of NumPy's that is no ufunc.

    Parameters
    ----------
    function : callable
        The function.
    types : iterable of type
        Types of the arguments that NumPy asks what to do.
    args, kwargs : tuple, dict
        Its arguments.

    Returns
    -------
    object
        What NumPy's function gives, with tensors for arrays.

    Raises
    ------
    GradientError
        If the result would lose a gradient.
    """
    if not all(issubclass(kind, (Tensor, np.ndarray)) for kind in types):
        return NotImplemented
    name = function.__name__
    out = kwargs.get("out")
    if out is not None:
        rest = {key: value for key, value in kwargs.items() if key != "out"}
        return _write(f"np.{name}", out, call_function(function, types, args, rest))
    package = function.__module__.removeprefix("numpy").removeprefix(".")
    namespace = getattr(fg, package, None) if package else fg
    own = getattr(namespace, NAMES.get(name, name), None)
    if callable(own):
        bound = _bound(own, function, args, kwargs)
        if bound is not None:
            return own(*bound.args, **bound.kwargs)
    return _by_numpy(f"{package}.{name}" if package else name, function, args, kwargs)


def _bound(
    own: Callable[..., Any],
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> inspect.BoundArguments | None:
    """The arguments as the engine takes them, by position or NumPy's names; None if not so."""
    signature = inspect.signature(own)
    try:
        return signature.bind(*args, **kwargs)
    except TypeError:
        pass
    n = sum(p.kind is p.POSITIONAL_ONLY for p in signature.parameters.values())
    given = inspect.signature(function).bind(*args, **kwargs).arguments
    names = list(given)
    try:
        return signature.bind(*(given[k] for k in names[:n]), **{k: given[k] for k in names[n:]})
    except TypeError:
        return None


def _by_numpy(
    name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    """NumPy's result from the arrays, with tensors for arrays."""
    tensors: list[Tensor] = []
    plain = [_arrays(x, tensors) for x in args]
    named = {key: _arrays(x, tensors) for key, x in kwargs.items()}
    result = function(*plain, **named)
    if any(x.requires_grad for x in tensors) and _has_floats(result):
        raise GradientError(
            f"np.{name}: an argument requires a gradient, which NumPy's function would lose, and "
            "fieldgrad.engine has no function of this name that takes these arguments. Use other "
            "functions of the engine, or pass x.detach()."
        )
    return _tensors(result)


def _arrays(x: Any, tensors: list[Tensor]) -> Any:
    """The argument with arrays for tensors, also in lists and tuples; the tensors are listed."""
    if isinstance(x, Tensor):
        tensors.append(x)
        return x.data
    if type(x) in (list, tuple):
        return type(x)(_arrays(part, tensors) for part in x)
    return x


def _has_floats(x: Any) -> bool:
    """Whether there are floating arrays in a result, which gradients could flow through."""
    if isinstance(x, (list, tuple)):
        return any(map(_has_floats, x))
    return isinstance(x, (np.ndarray, np.inexact)) and x.dtype.kind in "fc"


def _tensors(x: Any) -> Any:
    """The result with tensors for arrays of numbers."""
    if isinstance(x, (np.ndarray, np.number, np.bool_)) and x.dtype.kind in "biufc":
        return Tensor(np.asarray(x))
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return type(x)(*(_tensors(part) for part in x))
    if type(x) in (list, tuple):
        return type(x)(_tensors(part) for part in x)
    return x


def _write(name: str, out: Any, result: Tensor) -> Any:
    """Write a result into the array or tensor that a call names with out=."""
    if isinstance(out, tuple):
        (out,) = out
    if isinstance(out, Tensor):
        out[...] = result
        return out
    if result.requires_grad:
        raise GradientError(
            f"{name}: the result requires a gradient, which an array cannot keep. Use "
            "y = array + x, say, instead of array += x, or pass x.detach()."
        )
    np.copyto(out, result.data, casting="same_kind")
    return out
