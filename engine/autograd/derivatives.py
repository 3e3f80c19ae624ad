"""Derivatives of functions: gradients, products with Jacobian and Hessian, and these themselves.

They compose, with one another and with `vmap`: where an argument takes part in an outer
differentiation, what is returned can be differentiated again.
"""

import builtins
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.autograd.gradients import pull_back
from fieldgrad.engine.autograd.recording import enable_grad, is_recording
from fieldgrad.engine.batching.mapped import Axis, everywhere
from fieldgrad.engine.batching.mapping import vmap
from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.op import as_tensor
from fieldgrad.engine.ops.creation import zeros
from fieldgrad.engine.ops.layout import alias, permute_dims, reshape
from fieldgrad.engine.ops.reduce import sum
from fieldgrad.engine.transforms import active
from fieldgrad.engine.trees import flatten

__all__ = ["hessian", "hvp", "jacobian", "jvp", "value_and_grad", "vjp"]

Argnums = int | Sequence[int]


class _Call:
    """A call of a function, recorded so that it can be differentiated for some arguments."""

    def __init__(
        self,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: dict[str, Any],
        argnums: Argnums,
        create_graph: bool,
    ) -> None:
        chosen = args[argnums] if isinstance(argnums, int) else tuple(args[i] for i in argnums)
        given, self.like_inputs = flatten(chosen)
        self.inputs = [_differentiable(as_tensor(x)) for x in given]
        self.create_graph = create_graph or any(not x.is_leaf for x in self.inputs)
        own = self.like_inputs(self.inputs)
        replacements = (
            {argnums: own} if isinstance(argnums, int) else dict(zip(argnums, own, strict=True))
        )
        with enable_grad():
            result = function(*(replacements.get(i, x) for i, x in enumerate(args)), **kwargs)
        outputs, self.like_outputs = flatten(result)
        self.outputs = [as_tensor(y) for y in outputs]

    def pull(self, gs: Sequence[Any], *, create_graph: bool = False) -> list[Tensor]:
        """Gradients of the outputs, weighted by gs, for the inputs."""
        return _pull(self.outputs, gs, self.inputs, create_graph or self.create_graph)

    def transposed(self) -> tuple[list[Tensor], list[Tensor]]:
        """Weights of the outputs, and the gradients for the inputs as functions of these."""
        gs = [_differentiable(zeros(y.shape, dtype=y.dtype)) for y in self.outputs]
        return gs, self.pull(gs, create_graph=True)

    def value(self) -> Any:
        """What the function returned."""
        return self.like_outputs([self.result(y) for y in self.outputs])

    def result(self, x: Tensor) -> Tensor:
        """A tensor to return, with history if it is to be differentiated again."""
        return x if self.create_graph else x.detach()


def _pull(
    ys: Sequence[Tensor], gs: Sequence[Any], xs: Sequence[Tensor], create_graph: bool
) -> list[Tensor]:
    """Gradients, zeros where there is no path; the tape can be used again."""
    pairs = [(y, g) for y, g in zip(ys, gs, strict=True) if y.requires_grad]
    found: list[Tensor | None] = [None] * len(xs)
    if pairs:
        ys, gs = zip(*pairs, strict=True)
        found = pull_back(ys, gs, xs, create_graph=create_graph, retain_graph=True)
    return [
        zeros(x.shape, dtype=x.dtype) if g is None else g for g, x in zip(found, xs, strict=True)
    ]


def _differentiable(x: Tensor) -> Tensor:
    """A tensor to differentiate for: one for each example of vmaps, on the tape of outer calls."""
    x = everywhere(x, [t for t in active() if isinstance(t, Axis)])
    if x.requires_grad and is_recording():
        return alias(x)
    leaf = x.detach()
    leaf.requires_grad = True
    return leaf


def _inner(a: Sequence[Tensor], b: Sequence[Any]) -> Tensor:
    """Sum of the products of all elements."""
    terms = [sum(x * y) for x, y in zip(a, b, strict=True)]
    return builtins.sum(terms[1:], terms[0])


def _same_shapes(name: str, xs: Sequence[Tensor], vs: Any) -> list[Tensor]:
    found = [as_tensor(v) for v in flatten(vs)[0]]
    if [x.shape for x in xs] != [v.shape for v in found]:
        raise ShapeError(
            f"{name}: the direction has shape {', '.join(str(v.shape) for v in found)}, the "
            f"argument {', '.join(str(x.shape) for x in xs)}; expected equal shapes."
        )
    return found


def value_and_grad(
    function: Callable[..., Any], argnums: Argnums = 0, *, create_graph: bool = False
) -> Callable[..., tuple[Tensor, Any]]:
    """A function that returns function(x, …) and its gradient with respect to x.

    Parameters
    ----------
    function : callable
        Arguments to a tensor of one element. What is differentiated for is a tensor, or tensors in
        nested tuples, lists and dictionaries.
    argnums : int or sequence of int, default 0
        The argument to differentiate for; several give a tuple of gradients.
    create_graph : bool, default False
        Record the gradient, so that it can be differentiated for tensors that the function uses
        beside its arguments. For the arguments this is not needed.

    Returns
    -------
    callable
        The same arguments to (value, gradient); the gradient has the shape, and the containers, of
        the argument. It is zero where the value does not depend on it.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> value, slope = fg.value_and_grad(lambda x: (x * x).sum())(fg.tensor([3.0]))
    >>> value.item(), slope.tolist()
    (9.0, [6.0])
    """

    def evaluate(*args: Any, **kwargs: Any) -> tuple[Tensor, Any]:
        call = _Call(function, args, kwargs, argnums, create_graph)
        if len(call.outputs) != 1:
            raise ShapeError(
                f"value_and_grad: the function gave {len(call.outputs)} tensors; expected one "
                "of one element."
            )
        gradient = call.like_inputs(call.pull([None]))
        return call.value(), gradient

    return evaluate


def vjp(
    function: Callable[..., Any], *primals: Any, create_graph: bool = False
) -> tuple[Any, Callable[..., Any]]:
    """Value of a function, and what multiplies a vector with its Jacobian: gᵀ J.

    Parameters
    ----------
    function : callable
        Tensors to tensors, alone or in nested tuples, lists and dictionaries.
    *primals : Tensor
        Where; all are differentiated for.
    create_graph : bool, default False
        Record the products, to differentiate for tensors that the function uses beside its
        arguments.

    Returns
    -------
    value : Tensor
        What the function returned.
    pullback : callable
        A vector like the value to its product with the Jacobian, like the primal; a tuple for
        several primals. It can be called again and again, also inside `vmap`.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> y, pullback = fg.vjp(lambda x: x * x, fg.tensor([1.0, 2.0]))
    >>> pullback(fg.tensor([1.0, 10.0])).tolist()
    [2.0, 40.0]
    """
    argnums = 0 if len(primals) == 1 else tuple(range(len(primals)))
    call = _Call(function, primals, {}, argnums, create_graph)

    def pullback(g: Any) -> Any:
        return call.like_inputs(call.pull(_same_shapes("vjp", call.outputs, g)))

    return call.value(), pullback


def jvp(
    function: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]
) -> tuple[Any, Any]:
    """Value of a function and its derivative in a direction: J v.

    Parameters
    ----------
    function : callable
        Tensors to tensors, alone or in nested tuples, lists and dictionaries.
    primals : sequence of Tensor
        Where: the arguments of the function.
    tangents : sequence of Tensor
        The direction: one for each primal, of its shape.

    Returns
    -------
    value : Tensor
        What the function returned.
    tangent : Tensor
        Like the value.

    Raises
    ------
    ShapeError
        If a tangent does not have the shape of its primal.

    Notes
    -----
    gᵀ J is linear in g; its derivative with respect to g in the direction v is J v. So two reverse
    passes give what a forward pass would, from the same rules, at the memory of a recorded pass.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> y, tangent = fg.jvp(lambda x: x * x, (fg.tensor([1.0, 2.0]),), (fg.tensor([1.0, 10.0]),))
    >>> tangent.tolist()
    [2.0, 40.0]
    """
    call = _Call(function, tuple(primals), {}, tuple(range(len(primals))), False)
    directions = _same_shapes("jvp", call.inputs, tuple(tangents))
    gs, pulled = call.transposed()
    tangent = _pull(pulled, directions, gs, call.create_graph)
    return call.value(), call.like_outputs(tangent)


def hvp(function: Callable[..., Any], x: Any, v: Any) -> tuple[Tensor, Any]:
    """Value of a function and the product of its Hessian with a vector: H v.

    Parameters
    ----------
    function : callable
        Tensor x to a tensor of one element.
    x : Tensor
        Where; or tensors in nested tuples, lists and dictionaries.
    v : Tensor
        The vector, like x.

    Returns
    -------
    value : Tensor
        What the function returned.
    product : Tensor
        Like x.

    Raises
    ------
    ShapeError
        If v does not have the shape of x.

    Notes
    -----
    The gradient of the gradient's component along v: one gradient's time and memory, twice, without
    the Hessian.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> x, v = fg.tensor([1.0, 2.0]), fg.tensor([1.0, 10.0])
    >>> fg.hvp(lambda x: (x * x * x).sum(), x, v)[1].tolist()
    [6.0, 120.0]
    """
    call = _Call(function, (x,), {}, 0, False)
    directions = _same_shapes("hvp", call.inputs, v)
    gradient = call.pull([None], create_graph=True)
    product = _pull([_inner(gradient, directions)], [None], call.inputs, call.create_graph)
    return call.value(), call.like_inputs(product)


def jacobian(
    function: Callable[..., Any],
    argnums: Argnums = 0,
    *,
    mode: Literal["reverse", "forward"] = "reverse",
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """A function that returns the Jacobian: all derivatives of a function's outputs.

    Parameters
    ----------
    function : callable
        Tensors to tensors, alone or in nested tuples, lists and dictionaries.
    argnums : int or sequence of int, default 0
        The argument to differentiate for.
    mode : {"reverse", "forward"}
        Whether the Jacobian is made row by row, for functions with fewer outputs than inputs, or
        column by column, for those with more outputs.
    chunk_size : int, optional
        How many rows or columns to compute at a time, to bound memory; all of them by default.

    Returns
    -------
    callable
        The same arguments to a tensor of shape (\\*value.shape, \\*argument.shape). Where the value
        is a container it is one of these, where the argument is, each is one of tensors.

    Notes
    -----
    `vmap` over the rows of an identity matrix: the function is called once.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.jacobian(lambda x: fg.stack([x[0] * x[1], x[0]]))(fg.tensor([2.0, 3.0])).tolist()
    [[3.0, 2.0], [1.0, 0.0]]
    """
    if mode not in ("reverse", "forward"):
        raise ValueError(f"jacobian: mode = {mode!r}; expected 'reverse' or 'forward'.")

    def evaluate(*args: Any, **kwargs: Any) -> Any:
        call = _Call(function, args, kwargs, argnums, False)
        if mode == "reverse":
            table = _rows(call.outputs, call.inputs, call.create_graph, chunk_size)
        else:
            gs, pulled = call.transposed()
            columns = _rows(pulled, gs, call.create_graph, chunk_size)
            table = [
                [_swapped(columns[j][i], x.ndim) for j, x in enumerate(call.inputs)]
                for i in range(len(call.outputs))
            ]
        return call.like_outputs(
            [call.like_inputs([call.result(part) for part in row]) for row in table]
        )

    return evaluate


def _rows(
    ys: Sequence[Tensor], xs: Sequence[Tensor], create_graph: bool, chunk_size: int | None
) -> list[list[Tensor]]:
    """For each of ys and each of xs the derivatives, shape (*y.shape, *x.shape)."""
    table = []
    for y in ys:
        basis = Tensor(np.eye(y.size, dtype=y.dtype).reshape(y.size, *y.shape))
        pull = vmap(lambda g, y=y: _pull([y], [g], xs, create_graph), chunk_size=chunk_size)
        parts = pull(basis)
        table.append(
            [reshape(part, (*y.shape, *x.shape)) for part, x in zip(parts, xs, strict=True)]
        )
    return table


def _swapped(x: Tensor, n: int) -> Tensor:
    """The first n axes behind the others."""
    return permute_dims(x, (*range(n, x.ndim), *range(n)))


def hessian(
    function: Callable[..., Any], argnums: int = 0, *, chunk_size: int | None = None
) -> Callable[..., Any]:
    """A function that returns the Hessian: all second derivatives of a function.

    Parameters
    ----------
    function : callable
        Arguments to a tensor of one element.
    argnums : int, default 0
        The argument to differentiate for.
    chunk_size : int, optional
        How many rows to compute at a time, to bound memory; all of them by default.

    Returns
    -------
    callable
        The same arguments to a tensor of shape (\\*argument.shape, \\*argument.shape).

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.hessian(lambda x: x[0] * x[0] * x[1])(fg.tensor([2.0, 3.0])).tolist()
    [[6.0, 4.0], [4.0, 0.0]]
    """

    def gradient(*args: Any, **kwargs: Any) -> Any:
        return value_and_grad(function, argnums)(*args, **kwargs)[1]

    return jacobian(gradient, argnums, chunk_size=chunk_size)
