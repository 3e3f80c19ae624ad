"""How an op is declared: one block with signature, documentation, kernel, shape rule and gradient.

Example: the whole of ``erf``, apart from its line of C in ``kernels/elementwise.h``::

    @op(kernel="erf", floating=True, samples=reals)
    def erf(x: TensorLike, /):
        \"\"\"Gauss error function, elementwise.\"\"\"

    @erf.vjp
    def _(g, x):
        return g * (2 / sqrt(pi)) * exp(-x * x)

Parameters before the ``/`` are tensors, the others are attributes; the result is a `Tensor`. A
rule's parameter names say what the tape keeps: ``out``, an input, ``<input>_shape``,
``<input>_dtype``, an attribute, an auxiliary array of the kernel, or ``needs``. Broadcasting is
undone by the tape, never in a rule.

A function with a body beyond its documentation is a *fused* op: the body says the same in simpler
ops. It is the test oracle, and what is differentiated for second derivatives when the rule is a
``fused_vjp`` that calls kernels.
"""

import dis
import inspect
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, Protocol, TypeVar

from numpy.typing import ArrayLike, NDArray

from fieldgrad.engine._core import DEFAULT_FLOAT, REQUIRED, TABLE, Op, Tensor
from fieldgrad.engine.device import KERNELS

__all__ = ["TABLE", "TensorLike", "as_tensor", "op", "op_of", "values_of"]

TensorLike = Tensor | ArrayLike  # what an op takes for a tensor: also arrays, numbers, nested lists
P = ParamSpec("P")
Rule = TypeVar("Rule", bound=Callable[..., Any])


class TypedOp(Protocol[P]):
    """What type checkers see of an op: its function's parameters, and the rule decorators."""

    name: str
    kernel: Callable[..., Any]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Tensor: ...
    def vjp(self, rule: Rule, /) -> Rule: ...
    def fused_vjp(self, rule: Rule, /) -> Rule: ...


def op(
    kernel: str,
    *,
    samples: Callable[..., Any],
    shape: Callable[..., tuple[int, ...] | list[tuple[int, ...]]] | None = None,
    floating: bool = False,
    differentiable: bool = True,
    view: bool = False,
    several: bool = False,
    variadic: bool = False,
    bilinear: bool = False,
    aux: Sequence[str] = (),
    keeps_dtype: Sequence[str] = (),
) -> Callable[[Callable[P, Any]], TypedOp[P]]:
    """Declare an op and enter it in the table.

    Parameters
    ----------
    kernel : str
        Name in the device's table (`fieldgrad.engine.device`).
    samples : callable
        ``samples(rng)`` gives the calls that the op-table test suite makes (`engine.samples`).
    shape : callable, optional
        Rule from `engine.shapes`: input shapes and attributes to the output's shape (a list of them
        with `several`), or a `ShapeError` that teaches. Without it inputs broadcast elementwise.
    floating : bool, default False
        Integers and booleans are converted to float32 first.
    differentiable : bool, default True
        Whether a rule follows.
    view : bool, default False
        The output may share the first input's memory.
    several : bool, default False
        The kernel returns a list of arrays and the op a tuple of tensors. The rule's first argument
        is then a tuple of gradients, None for an output that got none.
    variadic : bool, default False
        The one tensor parameter is a sequence of tensors.
    bilinear : bool, default False
        Linear in each of the first two inputs: the tape keeps either only if the other one wants a
        gradient, and the rule gets None otherwise.
    aux : sequence of str
        Names of further arrays that the kernel returns after the output, for the rule.
    keeps_dtype : sequence of str
        Inputs that take no part in dtype promotion (indices, masks).

    Returns
    -------
    callable
        Decorator that makes the op of a function: its signature, documentation and composite.
    """

    def declare(function: Callable[P, Any]) -> TypedOp[P]:
        declared = op_of(
            function,
            KERNELS[kernel],
            variadic=variadic,
            floating=floating,
            differentiable=differentiable,
            view=view,
            several=several,
            bilinear=bilinear,
            shape=shape,
            samples=samples,
            aux=aux,
            keeps_dtype=keeps_dtype,
            composite=function if _has_body(function) else None,
        )
        TABLE[declared.name] = declared
        return declared

    return declare


def op_of(function: Callable[P, Any], kernel: Callable[..., Any], **options: Any) -> Op:
    """Make an op with the name, parameters and documentation of a function.

    Parameters
    ----------
    function : callable
        Parameters before its ``/`` are tensors, the others attributes.
    kernel : callable
        Arrays and attributes in, array out.
    **options : Any
        Passed on to `Op`.

    Returns
    -------
    Op
        In no table yet.
    """
    parameters = inspect.signature(function).parameters.values()
    tensors = [p for p in parameters if p.kind is p.POSITIONAL_ONLY]
    attributes = [p for p in parameters if p.kind is not p.POSITIONAL_ONLY]
    made = Op(
        function.__name__,
        kernel,
        inputs=[p.name for p in tensors],
        defaults={p.name: REQUIRED if p.default is p.empty else p.default for p in attributes},
        n_optional=sum(p.default is not p.empty for p in tensors),
        **options,
    )
    for name in ("__doc__", "__name__", "__qualname__", "__module__", "__annotations__"):
        setattr(made, name, getattr(function, name))
    made.__wrapped__ = function
    return made


def as_tensor(x: TensorLike, /, *, floating: bool = False) -> Tensor:
    """Give x itself if it is a tensor, else a tensor of it: for functions that are made of ops.

    Parameters
    ----------
    x : Tensor
        Or an array, a number, nested lists of numbers.
    floating : bool, default False
        Convert integers and booleans to float32.

    Returns
    -------
    Tensor
        With the values of x.
    """
    tensor = x if isinstance(x, Tensor) else Tensor(x)
    if floating and tensor.dtype.kind not in "fc":
        return tensor.astype(DEFAULT_FLOAT)
    return tensor


def values_of(x: Tensor, /) -> NDArray[Any] | None:
    """Give the values, for checks that depend on them; None where a tensor has none of its own.

    Parameters
    ----------
    x : Tensor
        Inside `vmap` it may stand for the values of many examples.

    Returns
    -------
    ndarray or None
        Of the tensor's shape.
    """
    try:
        return x.data
    except TypeError:
        return None


def _has_body(function: Callable[..., Any]) -> bool:
    """Whether the function does anything: a body of documentation alone calls nothing."""
    return any("CALL" in instruction.opname for instruction in dis.get_instructions(function))
