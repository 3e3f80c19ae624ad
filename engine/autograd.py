"""Differentiation as functions: grad, value_and_grad, no_grad; a check against differences."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from fieldgrad.engine._core import Tensor, gradients, set_anomaly, set_recording
from fieldgrad.engine.errors import GradientError

__all__ = ["detect_anomaly", "enable_grad", "grad", "gradcheck", "no_grad", "value_and_grad"]


@contextlib.contextmanager
def no_grad() -> Iterator[None]:
    """Record nothing inside the block, in this thread."""
    before = set_recording(False)
    try:
        yield
    finally:
        set_recording(before)


@contextlib.contextmanager
def enable_grad() -> Iterator[None]:
    """Record inside the block, also within `no_grad`."""
    before = set_recording(True)
    try:
        yield
    finally:
        set_recording(before)


@contextlib.contextmanager
def detect_anomaly() -> Iterator[None]:
    """Remember the line of each recorded op and stop at the first NaN of a backward pass."""
    before = set_anomaly(True)
    try:
        yield
    finally:
        set_anomaly(before)


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
    found = gradients((y,), (g,), wanted, create_graph, retain_graph)
    for i, gradient in enumerate(found):
        if gradient is None and not allow_unused:
            raise GradientError(
                f"grad: y does not depend on tensor {i}; pass allow_unused=True to get None for it."
            )
    return found[0] if single else found


def value_and_grad(function: Callable[..., Tensor]) -> Callable[..., tuple[Tensor, Any]]:
    """A function that returns function(x, …) and its gradient with respect to x.

    Parameters
    ----------
    function : callable
        Tensor x, and further arguments that are passed on, to a tensor of one element.

    Returns
    -------
    callable
        The same arguments to (value, gradient); the gradient has the shape of x.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> value, slope = fg.value_and_grad(lambda x: (x * x).sum())(fg.tensor([3.0]))
    >>> value.item(), slope.tolist()
    (9.0, [6.0])
    """

    def evaluate(x: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Any]:
        leaf = x.detach()
        leaf.requires_grad = True
        with enable_grad():
            y = function(leaf, *args, **kwargs)
        return y.detach(), grad(y, leaf)

    return evaluate


def gradcheck(
    function: Callable[..., Tensor],
    inputs: Sequence[Tensor],
    *,
    order: int = 1,
    eps: float = 1e-6,
    rtol: float = 1e-5,
    atol: float = 1e-6,
    seed: int = 0,
) -> float:
    """Check gradients against central differences in a random direction.

    Parameters
    ----------
    function : callable
        Tensors to one tensor.
    inputs : sequence of Tensor
        Float64; those that require a gradient are checked together.
    order : {1, 2}
        2 also checks the gradient of the gradient.
    eps : float
        Step of the differences.
    rtol, atol : float
        Allowed difference, relative and absolute.
    seed : int
        Seed of the random directions.

    Returns
    -------
    float
        The largest difference found, relative to the tolerance scale.

    Raises
    ------
    GradientError
        If the gradients disagree; the message gives both numbers.
    """
    rng = np.random.default_rng(seed)
    leaves = [x for x in inputs if x.requires_grad]
    if not leaves or any(x.dtype != np.float64 for x in leaves):
        raise GradientError("gradcheck needs float64 inputs of which one requires a gradient.")
    weight = rng.standard_normal(function(*inputs).shape)

    def scalar(*xs: Tensor) -> Tensor:
        return (function(*xs) * weight).sum()

    if order == 2:
        outer = [rng.standard_normal(x.shape) for x in leaves]
        first = scalar

        def scalar(*xs: Tensor) -> Tensor:
            ys = [x for x in xs if x.requires_grad]
            found = grad(first(*xs), ys, create_graph=True, allow_unused=True)
            terms = [(a * w).sum() for a, w in zip(found, outer, strict=True) if a is not None]
            return sum(terms[1:], terms[0])

    y = scalar(*inputs)
    found: list[Tensor | None] = [None] * len(leaves)
    if y.requires_grad:  # but linear functions have a constant gradient
        found = grad(y, leaves, allow_unused=True)
    directions = [rng.standard_normal(x.shape) for x in leaves]
    analytic = 0.0
    for gradient, direction in zip(found, directions, strict=True):
        if gradient is not None:
            analytic += float((gradient.data * direction).sum())
    values = []
    for sign in (1, -1):
        moved = iter(
            Tensor(x.data + sign * eps * d, requires_grad=True)
            for x, d in zip(leaves, directions, strict=True)
        )
        values.append(scalar(*[next(moved) if x.requires_grad else x for x in inputs]).item())
    numeric = (values[0] - values[1]) / (2 * eps)
    error = abs(analytic - numeric)
    if not error <= atol + rtol * max(abs(numeric), abs(analytic), float(np.abs(values[0]))):
        raise GradientError(
            f"gradcheck, order {order}: the tape gives {analytic:.9g}, differences give "
            f"{numeric:.9g} in the same direction (eps = {eps})."
        )
    return error
