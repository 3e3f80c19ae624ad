"""A check of gradients against differences."""

from collections.abc import Callable, Sequence

import numpy as np

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.autograd.gradients import grad
from fieldgrad.engine.errors import GradientError

__all__ = ["gradcheck"]


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
