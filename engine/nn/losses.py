"""Losses: predictions and targets to one number.

Predictions and targets of different shapes are refused: silent broadcasting in a loss is a wrong
result that trains.
"""

import numpy as np
from numpy.typing import ArrayLike

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.ops.arithmetic import abs, square
from fieldgrad.engine.ops.softmax import Reduction, binary_cross_entropy, cross_entropy

__all__ = ["binary_cross_entropy_with_logits", "cross_entropy", "l1_loss", "mse_loss"]


def _reduce(loss: Tensor, reduction: str) -> Tensor:
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    if reduction == "none":
        return loss
    raise ValueError(f"reduction = {reduction!r}; expected 'mean', 'sum' or 'none'.")


def _equal_shapes(name: str, prediction: Tensor, target: Tensor | ArrayLike) -> None:
    if np.shape(target) != prediction.shape:
        raise ShapeError(
            f"{name}: prediction has shape {prediction.shape}, target has {np.shape(target)}; "
            "expected equal shapes. Reshape one of them; losses do not broadcast."
        )


def mse_loss(
    prediction: Tensor, target: Tensor | ArrayLike, *, reduction: Reduction = "mean"
) -> Tensor:
    """Squared difference.

    Parameters
    ----------
    prediction, target : Tensor
        Equal shapes.
    reduction : {"mean", "sum", "none"}
        What to do with the elements.

    Returns
    -------
    Tensor
        One number, or the shape of the inputs for reduction "none".

    Raises
    ------
    ShapeError
        If the shapes differ.
    """
    _equal_shapes("mse_loss", prediction, target)
    return _reduce(square(prediction - target), reduction)


def l1_loss(
    prediction: Tensor, target: Tensor | ArrayLike, *, reduction: Reduction = "mean"
) -> Tensor:
    """Absolute difference.

    Parameters
    ----------
    prediction, target : Tensor
        Equal shapes.
    reduction : {"mean", "sum", "none"}
        What to do with the elements.

    Returns
    -------
    Tensor
        One number, or the shape of the inputs for reduction "none".

    Raises
    ------
    ShapeError
        If the shapes differ.
    """
    _equal_shapes("l1_loss", prediction, target)
    return _reduce(abs(prediction - target), reduction)


def binary_cross_entropy_with_logits(
    logits: Tensor, target: Tensor | ArrayLike, *, reduction: Reduction = "mean"
) -> Tensor:
    """-target log p - (1 - target) log(1 - p) with p = sigmoid(logits), without overflow.

    Parameters
    ----------
    logits, target : Tensor
        Equal shapes; targets between 0 and 1.
    reduction : {"mean", "sum", "none"}
        What to do with the elements.

    Returns
    -------
    Tensor
        One number, or the shape of the inputs for reduction "none".

    Raises
    ------
    ShapeError
        If the shapes differ.
    """
    _equal_shapes("binary_cross_entropy_with_logits", logits, target)
    return _reduce(binary_cross_entropy(logits, target), reduction)
