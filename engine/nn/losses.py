"""Losses: predictions and targets to one number.

Predictions and targets of different shapes are refused: silent broadcasting in a loss is a wrong
result that trains.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import DataError, ShapeError
from fieldgrad.engine.ops.arithmetic import abs, square
from fieldgrad.engine.ops.elementary import softplus
from fieldgrad.engine.ops.index import take_along_axis
from fieldgrad.engine.ops.norm import log_softmax

__all__ = ["binary_cross_entropy_with_logits", "cross_entropy", "l1_loss", "mse_loss"]

Reduction = Literal["mean", "sum", "none"]


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
    return _reduce(softplus(logits) - logits * target, reduction)


def cross_entropy(
    logits: Tensor,
    target: Tensor | ArrayLike,
    *,
    reduction: Reduction = "mean",
    ignore_index: int | None = None,
) -> Tensor:
    """Negative log probability of the right class.

    Parameters
    ----------
    logits : Tensor, shape (batch, class, …)
        Unnormalized scores.
    target : Tensor or array of int, shape (batch, …)
        Class of each element, 0 to n_classes - 1.
    reduction : {"mean", "sum", "none"}
        What to do with the elements.
    ignore_index : int, optional
        Elements with this target count neither in the loss nor in the mean.

    Returns
    -------
    Tensor
        One number, or shape (batch, …) for reduction "none".

    Raises
    ------
    ShapeError
        If the shapes do not belong together.
    DataError
        If a target is not a class.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> loss = fg.nn.losses.cross_entropy(fg.zeros((2, 4)), [0, 3])
    >>> round(loss.item(), 4)  # log 4
    1.3863
    """
    classes = np.asarray(target)
    if logits.ndim < 2 or classes.shape != logits.shape[:1] + logits.shape[2:]:
        raise ShapeError(
            f"cross_entropy: logits have shape {logits.shape}, so the target must have "
            f"{logits.shape[:1] + logits.shape[2:]}; it has {classes.shape}."
        )
    if classes.dtype.kind not in "iu":
        raise DataError(
            f"cross_entropy: the target has dtype {classes.dtype}; expected integer classes."
        )
    kept = None
    if ignore_index is not None:
        kept = classes != ignore_index
        classes = np.where(kept, classes, 0)
    n_classes = logits.shape[1]
    if classes.size and not 0 <= classes.min() <= classes.max() < n_classes:
        raise DataError(
            f"cross_entropy: targets run from {classes.min()} to {classes.max()}; with "
            f"{n_classes} classes expected 0 to {n_classes - 1}."
        )
    picked = take_along_axis(
        log_softmax(logits, axis=1), np.expand_dims(classes.astype(np.intp), 1), axis=1
    )
    loss = -picked.reshape(classes.shape)
    if kept is None:
        return _reduce(loss, reduction)
    loss = loss * kept.astype(loss.dtype)
    return (
        loss.sum() * (1.0 / max(kept.sum(), 1)) if reduction == "mean" else _reduce(loss, reduction)
    )
