"""Functions of NumPy arrays, with gradients, as ops of one's own."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec

import numpy as np

from fieldgrad.engine.op import TypedOp, op_of

__all__ = ["custom_op"]

P = ParamSpec("P")


def custom_op(
    function: Callable[P, Any] | None = None,
    *,
    aux: Sequence[str] = (),
    keeps_dtype: Sequence[str] = (),
) -> Any:
    """Make a function of arrays an op that tensors go through, with a gradient of one's own.

    Parameters
    ----------
    function : callable
        Arrays to an array. Parameters before its ``/`` are tensors for the caller and arrays
        inside; the others are attributes.
    aux : sequence of str
        Names of further results, for the rule: the function returns them after the output, in a
        tuple.
    keeps_dtype : sequence of str
        Tensors that take no part in dtype promotion: indices, masks.

    Returns
    -------
    op
        Call it like the function. Its decorator ``vjp`` declares the gradient: a function of the
        incoming gradient and of what it names, to one gradient (or None) for each tensor. It may
        name inputs, ``out``, attributes, aux, ``<input>_shape`` and ``needs``, and is written in
        tensors: so its own derivative comes by itself.

    Raises
    ------
    TypeError
        If the function has no parameter before a ``/``.

    See Also
    --------
    gradcheck : Compares the rule with differences.

    Notes
    -----
    Inside `vmap` the function is called for each example.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> @fg.custom_op
    ... def cube(x, /):
    ...     return x**3
    >>> @cube.vjp
    ... def _(g, x):
    ...     return g * 3.0 * x**2
    >>> x = fg.tensor([1.0, 2.0], requires_grad=True)
    >>> cube(x).sum().backward()
    >>> x.grad.tolist()
    [3.0, 12.0]
    """

    def declare(function: Callable[P, Any]) -> TypedOp[P]:
        parameters = inspect.signature(function).parameters.values()
        if not any(p.kind is p.POSITIONAL_ONLY for p in parameters):
            name = function.__name__
            raise TypeError(
                f"custom_op: {name}{inspect.signature(function)} has no tensors; expected them "
                f"before a slash: def {name}(x, /)."
            )

        def kernel(*arrays: Any, **attributes: Any) -> Any:
            result = function(*arrays, **attributes)  # type: ignore[arg-type]
            if isinstance(result, tuple):
                return (np.asarray(result[0]), *result[1:])
            return np.asarray(result)

        return op_of(function, kernel, aux=aux, keeps_dtype=keeps_dtype)

    return declare if function is None else declare(function)
