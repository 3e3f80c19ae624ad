"""What all losses share: equal shapes, and one number from many."""

import numpy as np

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.op import TensorLike, as_tensor
from fieldgrad.engine.ops.reduce import sum

__all__ = ["equal_shapes", "reduced"]


def equal_shapes(name: str, **inputs: TensorLike) -> list[Tensor]:
    """Give the inputs of a loss as tensors, if their shapes are equal.

    Parameters
    ----------
    name : str
        Name of the loss, for the message.
    **inputs : Tensor
        By the names of the arguments.

    Returns
    -------
    list of Tensor
        In their order; integers in the dtype of the first, or in float32.

    Raises
    ------
    ShapeError
        If the shapes differ.
    """
    first, *others = (as_tensor(x) for x in inputs.values())
    first = as_tensor(first, floating=True)
    tensors = [first] + [x if x.dtype.kind == "f" else x.astype(first.dtype) for x in others]
    if any(x.shape != tensors[0].shape for x in tensors[1:]):
        said = ", ".join(f"{key} has {x.shape}" for key, x in zip(inputs, tensors, strict=True))
        raise ShapeError(
            f"{name}: {said}; expected equal shapes. Reshape one of them; losses do not broadcast."
        )
    return tensors


def reduced(
    loss: Tensor, reduction: str, weight: Tensor | None = None, divisor: float | None = None
) -> Tensor:
    """Reduce the elements of a loss.

    Parameters
    ----------
    loss : Tensor
        Any shape.
    reduction : {"mean", "sum", "none"}
        What to do with them.
    weight : Tensor, optional
        Factors of shape loss.shape, by whose sum the mean is divided.
    divisor : float, optional
        What the mean divides by, instead of the number of elements.

    Returns
    -------
    Tensor
        One number, or the shape of the loss for reduction "none".

    Raises
    ------
    ValueError
        If the reduction is none of these.
    """
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction = {reduction!r}; expected 'mean', 'sum' or 'none'.")
    if weight is not None:
        loss = loss * weight
    if reduction == "none":
        return loss
    if reduction == "sum":
        return sum(loss)
    if weight is not None:
        return sum(loss) / sum(weight)
    if divisor is not None:
        return sum(loss) / np.asarray(divisor, loss.dtype)
    return loss.mean()
