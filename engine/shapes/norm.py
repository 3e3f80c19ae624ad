"""Normalizations, softmax and the losses of classes."""

import math
from typing import Any

import numpy as np

from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.shapes.layout import Shape

__all__ = [
    "batch_norm",
    "by_channel",
    "classes",
    "cross_entropy",
    "given_norm",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "overlap_sums",
]


def by_channel(name: str, x: Shape, *vectors: Shape | None) -> Shape:
    """x's shape, checked against vectors that have one element for each channel."""
    if len(x) < 2 or x[1] < 1:
        raise ShapeError(
            f"{name}: x has shape {x}; expected (batch, channel, …) with at least one channel. Add "
            "a batch axis with x[None], or a channel axis with x[:, None]."
        )
    for vector in vectors:
        if vector is not None and vector != (x[1],):
            raise ShapeError(
                f"{name}: x has {x[1]} channels (shape {x}), but a vector by channel has shape "
                f"{vector}; expected ({x[1]},)."
            )
    return x


def instance_norm(
    x: Shape, weight: Shape | None = None, bias: Shape | None = None, **_: Any
) -> Shape:
    """x's shape, if channels have more than one position."""
    if math.prod(x[2:]) == 1:
        raise ShapeError(
            f"instance_norm: x has shape {x}, one position in each channel, whose normalized value "
            "is 0 whatever it is. Downsample less often, or use group_norm or layer_norm."
        )
    return by_channel("instance_norm", x, weight, bias)


def group_norm(
    x: Shape, weight: Shape | None = None, bias: Shape | None = None, *, groups: int, **_: Any
) -> Shape:
    """x's shape, if the groups divide the channels."""
    by_channel("group_norm", x, weight, bias)
    if groups < 1 or x[1] % groups:
        raise ShapeError(
            f"group_norm: groups = {groups} for {x[1]} channels; expected a divisor of {x[1]}."
        )
    return x


def batch_norm(x: Shape, weight: Shape | None = None, bias: Shape | None = None, **_: Any) -> Shape:
    """x's shape, if channels have more than one element."""
    by_channel("batch_norm", x, weight, bias)
    if math.prod(x) == x[1]:
        raise ShapeError(
            f"batch_norm: x has shape {x}, one element in each channel, whose normalized value is "
            "0 whatever it is. Use batches of at least two, or call eval() on a trained model."
        )
    return x


def given_norm(x: Shape, *vectors: Shape | None, mean: Any, var: Any, **_: Any) -> Shape:
    """x's shape, if mean and var have one element for each channel."""
    return by_channel("given_norm", x, *vectors, np.shape(mean), np.shape(var))


def layer_norm(
    x: Shape, weight: Shape | None = None, bias: Shape | None = None, *, n_axes: int, **_: Any
) -> Shape:
    """x's shape, if weight and bias have that of its last axes."""
    if not 1 <= n_axes <= len(x):
        raise ShapeError(
            f"layer_norm: n_axes = {n_axes} for x of shape {x}; expected 1 to {len(x)}."
        )
    last = x[len(x) - n_axes :]
    for name, vector in (("weight", weight), ("bias", bias)):
        if vector is not None and vector != last:
            raise ShapeError(
                f"layer_norm: x has shape {x} and n_axes = {n_axes}, but {name} has {vector}; "
                f"expected {last}."
            )
    return x


def classes(name: str, logits: Shape, target: Shape) -> Shape:
    """Shape (batch, …) of a target of classes, if logits are (batch, class, …)."""
    if len(logits) < 2 or logits[1] < 1 or target != logits[:1] + logits[2:]:
        wanted = logits[:1] + logits[2:] if len(logits) > 1 else "that without the class axis"
        raise ShapeError(
            f"{name}: logits have shape {logits}, expected (batch, class, …); so the target must "
            f"have {wanted}; it has {target}."
        )
    return target


def cross_entropy(
    logits: Shape, target: Shape, *, weight: Any, reduction: str, label_smoothing: float, **_: Any
) -> Shape:
    """Of one number, or of the positions for reduction "none"."""
    positions = logits[:1] + logits[2:]
    if len(logits) < 2 or target != logits:
        classes("cross_entropy", logits, target)
    if weight is not None and np.shape(weight) != logits[1:2]:
        raise ShapeError(
            f"cross_entropy: weight has shape {np.shape(weight)}; expected ({logits[1]},)."
        )
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction = {reduction!r}; expected 'mean', 'sum' or 'none'.")
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing = {label_smoothing}; expected 0 to 1.")
    return positions if reduction == "none" else ()


def overlap_sums(logits: Shape, target: Shape) -> Shape:
    """Four sums for each class of each batch entry."""
    classes("overlap_sums", logits, target)
    return (4, *logits[:2])
