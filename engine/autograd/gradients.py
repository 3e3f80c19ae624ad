"""The gradient of what was recorded."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fieldgrad.engine import _core
from fieldgrad.engine._core import Tensor
from fieldgrad.engine.batching.mapped import Mapped, along, holds, peel, wrap
from fieldgrad.engine.errors import GradientError, ShapeError
from fieldgrad.engine.op import as_tensor
from fieldgrad.engine.transforms import active, observers, replaced

__all__ = ["grad", "pull_back"]


def grad(
    y: Tensor,
    xs: Tensor | Sequence[Tensor],
    g: Tensor | None = None,
    *,
    create_graph: bool = False,
    retain_graph: bool = False,
    allow_unused: bool = False,
) -> Any:
    """Gradient of y with respect to tensors, without touching their ``grad``.

    Parameters
    ----------
    y : Tensor
        One element, or any shape together with g.
    xs : Tensor or sequence of Tensor
        Leaves or intermediate results that y was computed from.
    g : Tensor, optional
        Weight of each element of y, same shape as y.
    create_graph : bool, default False
        Record the computation, so that the gradients can be differentiated again.
    retain_graph : bool, default False
        Keep what was recorded for y, for another call.
    allow_unused : bool, default False
        Give None for a tensor that y does not depend on, instead of an error.

    Returns
    -------
    Tensor or list of Tensor
        One gradient for each of xs, of its shape; a list if xs is a sequence.

    Raises
    ------
    GradientError
        If y does not depend on one of xs, or needs a value that was changed in place.

    Examples
    --------
    The second derivative of x³ at 2 is 12:

    >>> import fieldgrad.engine as fg
    >>> x = fg.tensor(2.0, requires_grad=True)
    >>> first = fg.grad(x * x * x, x, create_graph=True)
    >>> fg.grad(first, x).item()
    12.0
    """
    single = isinstance(xs, Tensor)
    wanted: list[Tensor] = [xs] if isinstance(xs, Tensor) else list(xs)
    for i, x in enumerate(wanted):
        if not x.requires_grad:
            raise GradientError(
                f"grad: tensor {i} does not require a gradient; set requires_grad=True before y is "
                "computed."
            )
    found = pull_back((y,), (g,), wanted, create_graph=create_graph, retain_graph=retain_graph)
    for i, gradient in enumerate(found):
        if gradient is None and not allow_unused:
            raise GradientError(
                f"grad: y does not depend on tensor {i}; pass allow_unused=True to get None for it."
            )
    return found[0] if single else found


def pull_back(
    ys: Sequence[Tensor],
    gs: Sequence[Any],
    xs: Sequence[Tensor],
    *,
    create_graph: bool,
    retain_graph: bool,
) -> list[Tensor | None]:
    """Gradients of results for tensors, of each example where they are mapped.

    Parameters
    ----------
    ys : sequence of Tensor
        Results.
    gs : sequence of Tensor, array or None
        Weight of each element of each result; None for 1.
    xs : sequence of Tensor
        What they were computed from.
    create_graph, retain_graph : bool
        As for `grad`.

    Returns
    -------
    list of Tensor or None
        One for each of xs; None where there is no path.

    Raises
    ------
    GradientError
        If a result differs between the examples of a `vmap` and one of xs does not: the gradients
        of all examples would be added up.
    """
    axis = next((y.axis for y in ys if isinstance(y, Mapped)), None)
    if axis is None:
        if not active() or any(isinstance(g, Mapped) for g in gs):
            return _core.gradients(ys, gs, xs, create_graph, retain_graph)
        with replaced(observers()):  # no rule meets a mapped tensor
            return _core.gradients(ys, gs, xs, create_graph, retain_graph)
    for i, x in enumerate(xs):
        if not holds(x, axis):
            raise GradientError(
                f"grad inside vmap: y differs between the examples, tensor {i} does not: one "
                "gradient for all of them would be their sum. Pass the tensor through the function "
                "that is differentiated (value_and_grad, vjp), or take the gradient outside vmap."
            )
    found = pull_back(
        [along(y, axis) for y in ys],
        [along(_seed(y, g), axis) for y, g in zip(ys, gs, strict=True)],
        [peel(x, axis) for x in xs],
        create_graph=create_graph,
        retain_graph=retain_graph,
    )
    return [None if gradient is None else wrap(gradient, axis) for gradient in found]


def _seed(y: Tensor, g: Any) -> Tensor:
    if g is None and y.size != 1:
        raise ShapeError(
            f"grad: y has shape {y.shape}; a gradient starts from one element. Reduce it "
            "(y.sum()), or pass g of the same shape."
        )
    return as_tensor(np.ones(y.shape, y.dtype) if g is None else g)
