"""Losses that compare the scores of classes with the right ones."""

import numpy as np
from numpy.typing import ArrayLike

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import DataError, ShapeError
from fieldgrad.engine.nn.losses.reduction import equal_shapes, reduced
from fieldgrad.engine.op import TensorLike, as_tensor, values_of
from fieldgrad.engine.ops.activations import (
    softplus,
)
from fieldgrad.engine.ops.arithmetic import (
    where,
)
from fieldgrad.engine.ops.index import take_along_axis
from fieldgrad.engine.ops.layout import expand_dims, squeeze
from fieldgrad.engine.ops.linalg import linear
from fieldgrad.engine.ops.rectifiers import (
    relu,
)
from fieldgrad.engine.ops.reduce import mean, sum
from fieldgrad.engine.ops.segment import gather
from fieldgrad.engine.ops.softmax import Reduction, cross_entropy

__all__ = [
    "cross_entropy",
    "linear_cross_entropy",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
]


def nll_loss(
    log_probabilities: TensorLike,
    target: TensorLike,
    *,
    weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Negative log probability of the right class, from log probabilities.

    Parameters
    ----------
    log_probabilities : Tensor
        Shape (batch, class, …) or (class,), as from `log_softmax`.
    target : Tensor
        Shape (batch, …) or (), integers: class of each element.
    weight : array_like, optional
        Shape (class,): weight of each class.
    ignore_index : int, optional
        Elements with this target count neither in the loss nor in the mean.
    reduction : {"mean", "sum", "none"}
        What to do with the elements. The mean is divided by the sum of the targets' weights.

    Returns
    -------
    Tensor
        One number, or the shape of the target for reduction "none". The mean of nothing is NaN.

    Raises
    ------
    ShapeError
        If the shapes do not belong together.
    DataError
        If a target is not a class.

    See Also
    --------
    cross_entropy : From unnormalized scores, in one pass.
    """
    x, classes = as_tensor(log_probabilities, floating=True), as_tensor(target)
    axis = 1 if x.ndim > 1 else 0
    if x.ndim < 1 or classes.shape != (*x.shape[:axis], *x.shape[axis + 1 :]):
        raise ShapeError(
            f"nll_loss: log_probabilities have shape {x.shape}, target has {classes.shape}; "
            "expected (batch, class, …) and (batch, …), or (class,) and ()."
        )
    _check_classes("nll_loss", classes, x.shape[axis], ignore_index)
    kept = classes != (-1 if ignore_index is None else ignore_index)
    safe = where(kept, classes, 0)
    factor = kept.astype(x.dtype)
    if weight is not None:
        factor = factor * gather(np.asarray(weight, x.dtype), safe)
    picked = squeeze(take_along_axis(x, expand_dims(safe, axis=axis), axis=axis), axis=axis)
    return reduced(where(kept, -picked, 0.0), reduction, factor)


def _check_classes(name: str, classes: Tensor, n: int, ignored: int | None = None) -> None:
    """Refuse what is not 0 to n - 1, but for a number that stands for nothing."""
    if classes.dtype.kind not in "iu":
        raise DataError(f"{name}: target has dtype {classes.dtype}; expected integers.")
    values = values_of(classes)
    if values is None:
        return
    counted = values if ignored is None else values[values != ignored]
    if counted.size and not (counted.min() >= 0 and counted.max() < n):
        raise DataError(
            f"{name}: targets go from {counted.min()} to {counted.max()}; expected 0 to {n - 1}, "
            f"one of {n} classes."
        )


def linear_cross_entropy(
    x: TensorLike,
    weight: TensorLike,
    target: TensorLike,
    *,
    bias: TensorLike | None = None,
    class_weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    """Cross-entropy of the scores that a linear layer gives.

    Parameters
    ----------
    x : Tensor
        Shape (batch, feature).
    weight : Tensor
        Shape (class, feature): of the layer.
    target : Tensor
        As for `cross_entropy`.
    bias : Tensor, optional
        Shape (class,): of the layer.
    class_weight : array_like, optional
        Weight of each class in the loss.
    ignore_index : int, optional
        Elements with this target count neither in the loss nor in the mean.
    label_smoothing : float, default 0.0
        Share of the truth that is spread evenly over the classes, 0 to 1.
    reduction : {"mean", "sum", "none"}
        What to do with the elements.

    Returns
    -------
    Tensor
        One number, or shape (batch,) for reduction "none".
    """
    logits = linear(as_tensor(x), as_tensor(weight), None if bias is None else as_tensor(bias))
    return cross_entropy(
        logits,
        target,
        weight=class_weight,
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
        reduction=reduction,
    )


def multilabel_soft_margin_loss(
    logits: TensorLike,
    target: TensorLike,
    *,
    weight: TensorLike | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Binary cross-entropy of every class, averaged over the classes.

    Parameters
    ----------
    logits, target : Tensor
        Equal shapes (…, class); targets between 0 and 1.
    weight : Tensor, optional
        Shape (class,): weight of each class.
    reduction : {"mean", "sum", "none"}
        What to do with the rows.

    Returns
    -------
    Tensor
        One number, or shape (…) for reduction "none".

    Raises
    ------
    ShapeError
        If the shapes differ.
    """
    x, t = equal_shapes("multilabel_soft_margin_loss", logits=logits, target=target)
    loss = softplus(x) - x * t
    if weight is not None:
        loss = loss * weight
    return reduced(mean(loss, axis=-1), reduction)


def multi_margin_loss(
    scores: TensorLike,
    target: TensorLike,
    *,
    p: int = 1,
    margin: float = 1.0,
    weight: ArrayLike | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """By how much the other classes come within a margin of the right one, averaged over classes.

    Parameters
    ----------
    scores : Tensor
        Shape (batch, class) or (class,).
    target : Tensor
        Shape (batch,) or (), integers.
    p : {1, 2}
        Power of each excess.
    margin : float, default 1.0
        Expected lead of the right class.
    weight : array_like, optional
        Shape (class,): weight of each right class.
    reduction : {"mean", "sum", "none"}
        What to do with the rows.

    Returns
    -------
    Tensor
        One number, or the shape of the target for reduction "none".

    Raises
    ------
    ShapeError
        If the shapes do not belong together.
    DataError
        If a target is not a class, or p is neither 1 nor 2.

    Notes
    -----
    Σ_{c ≠ t} weight_t max(0, margin - x_t + x_c)^p / n_classes.
    """
    x, classes = as_tensor(scores, floating=True), as_tensor(target)
    if x.ndim not in (1, 2) or classes.shape != x.shape[:-1]:
        raise ShapeError(
            f"multi_margin_loss: scores have shape {x.shape}, target has {classes.shape}; expected "
            "(batch, class) and (batch,), or (class,) and ()."
        )
    if p not in (1, 2):
        raise DataError(f"multi_margin_loss: p = {p}; expected 1 or 2.")
    n = x.shape[-1]
    _check_classes("multi_margin_loss", classes, n)
    places = expand_dims(classes, axis=-1)
    right = take_along_axis(x, places, axis=-1)
    others = (places != np.arange(n)).astype(x.dtype)
    excess = relu(margin - right + x)
    loss = (excess * excess if p == 2 else excess) * others
    if weight is not None:
        loss = loss * gather(np.asarray(weight, x.dtype), places)
    return reduced(mean(loss, axis=-1), reduction)


def multilabel_margin_loss(
    scores: TensorLike, target: TensorLike, *, reduction: Reduction = "mean"
) -> Tensor:
    """By how much wrong classes come within 1 of each right one, averaged over classes.

    Parameters
    ----------
    scores : Tensor
        Shape (batch, class) or (class,).
    target : Tensor
        The same shape, integers: the right classes first, then -1.
    reduction : {"mean", "sum", "none"}
        What to do with the rows.

    Returns
    -------
    Tensor
        One number, or shape (batch,) or () for reduction "none".

    Raises
    ------
    ShapeError
        If the shapes differ.
    DataError
        If a target is not a class.

    Notes
    -----
    Σ over right classes t and wrong ones c of max(0, 1 - x_t + x_c) / n_classes.
    """
    x, _ = equal_shapes("multilabel_margin_loss", scores=scores, target=target)
    if x.ndim not in (1, 2):
        raise ShapeError(
            f"multilabel_margin_loss: scores have shape {x.shape}; expected (batch, class) or "
            "(class,)."
        )
    classes, n = np.asarray(target), x.shape[-1]
    listed = np.cumprod(classes != -1, axis=-1).astype(bool)
    _check_classes("multilabel_margin_loss", Tensor(classes[listed]), n)
    safe = np.where(listed, classes, 0)
    right = (listed[..., None] & (safe[..., None] == np.arange(n))).any(axis=-2)
    pairs = listed[..., :, None] & ~right[..., None, :]
    at_right = expand_dims(take_along_axis(x, safe, axis=-1), axis=-1)
    excess = relu(1.0 - at_right + expand_dims(x, axis=-2)) * pairs.astype(x.dtype)
    return reduced(sum(excess, axis=(-2, -1)) * (1.0 / n), reduction)
