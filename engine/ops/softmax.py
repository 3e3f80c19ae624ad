"""Softmax, and the losses of classes that are made of it.

The losses are fused: one pass over the logits forward and one back, where the same in simpler ops
takes about ten and an array of the target's classes one by one. Sums are taken in double and do not
depend on the number of threads.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from fieldgrad.engine import samples, shapes
from fieldgrad.engine._core import Tensor
from fieldgrad.engine.device import KERNELS
from fieldgrad.engine.op import TensorLike, op
from fieldgrad.engine.ops.arithmetic import (
    multiply_or_zero,
)
from fieldgrad.engine.ops.elementary import (
    exp,
    sigmoid,
)
from fieldgrad.engine.ops.layout import expand_dims, moveaxis, stack
from fieldgrad.engine.ops.reduce import sum

Reduction = Literal["mean", "sum", "none"]


@op(kernel="softmax", floating=True, shape=shapes.along_axis, samples=samples.along_axes)
def softmax(x: TensorLike, /, axis: int = -1):
    """exp(x) / sum(exp(x)) along an axis: positive numbers of sum one.

    Parameters
    ----------
    x : Tensor
        Any shape with at least one axis.
    axis : int, default -1
        Axis whose elements compete.

    Returns
    -------
    Tensor
        Shape of x.

    Raises
    ------
    ShapeError
        If the axis does not exist.

    Notes
    -----
    The maximum is subtracted first, so nothing overflows. -inf gives 0 (a mask); NaN, +inf, or
    nothing but -inf along the axis gives NaN.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.softmax(fg.tensor([1.0, 1.0, float("-inf")])).tolist()
    [0.5, 0.5, 0.0]
    """


@softmax.vjp
def _(g, out, axis):
    return softmax_gradient(g, out, axis)


@op(
    kernel="softmax_gradient",
    floating=True,
    shape=shapes.both_along_axis,
    samples=samples.pairs_along_axes,
)
def softmax_gradient(g: Tensor, y: Tensor, /, axis: int):
    """Gradient of `softmax` for its input: y (g - sum(g y)) in one pass over memory.

    Parameters
    ----------
    g : Tensor
        Gradient for the result y, with its shape.
    y : Tensor
        What `softmax` gave.
    axis : int
        The axis it was taken along.

    Returns
    -------
    Tensor
        Shape of y.

    Raises
    ------
    ShapeError
        If the shapes differ or the axis does not exist.
    """


@softmax_gradient.vjp
def _(h, g, y, axis):
    total = sum(g * y, axis=axis, keepdims=True)
    return softmax_gradient(h, y, axis), h * (g - total) - g * sum(h * y, axis=axis, keepdims=True)


@op(kernel="log_softmax", floating=True, shape=shapes.along_axis, samples=samples.along_axes)
def log_softmax(x: TensorLike, /, axis: int = -1):
    """Logarithm of `softmax`, x - log(sum(exp(x))), accurate where softmax is near 0.

    Parameters
    ----------
    x : Tensor
        Any shape with at least one axis.
    axis : int, default -1
        Axis whose elements compete.

    Returns
    -------
    Tensor
        Shape of x.

    Raises
    ------
    ShapeError
        If the axis does not exist.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.log_softmax(fg.tensor([0.0, -1000.0])).tolist()
    [0.0, -1000.0]
    """


@log_softmax.vjp
def _(g, out, axis):
    return log_softmax_gradient(g, out, axis)


@op(
    kernel="log_softmax_gradient",
    floating=True,
    shape=shapes.both_along_axis,
    samples=samples.pairs_along_axes,
)
def log_softmax_gradient(g: Tensor, y: Tensor, /, axis: int):
    """Gradient of `log_softmax` for its input: g - exp(y) sum(g) in one pass over memory.

    Parameters
    ----------
    g : Tensor
        Gradient for the result y, with its shape.
    y : Tensor
        What `log_softmax` gave.
    axis : int
        The axis it was taken along.

    Returns
    -------
    Tensor
        Shape of y.

    Raises
    ------
    ShapeError
        If the shapes differ or the axis does not exist.
    """


@log_softmax_gradient.vjp
def _(h, g, y, axis):
    p = exp(y)
    return h - sum(h * p, axis=axis, keepdims=True), -h * p * sum(g, axis=axis, keepdims=True)


def _one_hot(classes: ArrayLike, like: Tensor) -> Tensor:
    """1 at the class of each position (batch, …), 0 at the others: shape of like."""
    truth = np.asarray(classes)[..., None] == np.arange(like.shape[1])
    return moveaxis(Tensor(truth.astype(like.dtype)), -1, 1)


@op(
    kernel="cross_entropy",
    floating=True,
    shape=shapes.cross_entropy,
    samples=samples.cross_entropies,
    aux=("divisor",),
    keeps_dtype=("target",),
)
def cross_entropy(
    logits: Tensor,
    target: TensorLike,
    /,
    *,
    weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
):
    """Negative log probability of the right class.

    Parameters
    ----------
    logits : Tensor
        Shape (batch, class, …): unnormalized scores.
    target : Tensor
        Shape (batch, …) of integers: class of each element, 0 to n_classes - 1. Or probabilities
        of the classes in a floating dtype, with the shape of the logits.
    weight : array_like, optional
        Shape (class,): weight of each class.
    ignore_index : int, optional
        Elements with this target count neither in the loss nor in the mean.
    label_smoothing : float, default 0.0
        Share of the truth that is spread evenly over the classes, 0 to 1.
    reduction : {"mean", "sum", "none"}
        What to do with the elements. The mean over integer targets is weighted: the sum is divided
        by the sum of the weights of the targets, as in PyTorch.

    Returns
    -------
    Tensor
        One number, or shape (batch, …) for reduction "none". The mean of nothing is NaN.

    Raises
    ------
    ShapeError
        If the shapes do not belong together.
    DataError
        If a target is not a class.

    Notes
    -----
    -Σ_c weight_c q_c log softmax(logits)_c, where q is the target's probabilities, or 1 at its
    class, mixed as (1 - label_smoothing) q + label_smoothing / n_classes. The logits are passed
    over once, and once again for their gradient.

    References
    ----------
    Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016,
    arXiv:1512.00567, section 7 (label smoothing).

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> loss = fg.cross_entropy(fg.zeros((2, 4)), [0, 3])
    >>> round(loss.item(), 4)  # log 4
    1.3863
    """
    assert isinstance(target, Tensor)  # as the tape passes it
    scale, rest = _class_weights(weight, logits), 1.0 - label_smoothing
    truth, kept = target, Tensor(np.ones(1, logits.dtype))
    if target.data.dtype.kind in "iu":
        kept = expand_dims(Tensor((target.data != ignore_index).astype(logits.dtype)), axis=1)
        truth = _one_hot(target.data, logits) * kept
    q = truth * rest + kept * (label_smoothing / logits.shape[1])
    loss = -sum(q * scale * log_softmax(logits, axis=1), axis=1)
    if reduction == "none":
        return loss
    total = sum(loss)
    if reduction == "sum":
        return total
    return total / (loss.size if truth is target else sum(truth * scale))


@cross_entropy.fused_vjp
def _(g, logits, target, divisor, weight, ignore_index, label_smoothing, needs):
    gradients = [None, None]
    if needs[0]:
        gradients[0] = Tensor(
            KERNELS["cross_entropy_gradient"](
                g.data,
                logits.data,
                target.data,
                divisor,
                weight=weight,
                ignore_index=ignore_index,
                label_smoothing=label_smoothing,
            )
        )
    if needs[1]:
        factor = _class_weights(weight, logits) * ((label_smoothing - 1.0) / float(divisor))
        by_position = expand_dims(g, axis=1) if g.ndim else g
        gradients[1] = by_position * factor * log_softmax(logits, axis=1)
    return gradients


def _class_weights(weight: ArrayLike | None, logits: Tensor) -> Tensor:
    """The weight of each class, or 1, to multiply with the logits."""
    if weight is None:
        return Tensor(np.ones(1, logits.dtype))
    vector = np.asarray(weight, logits.dtype)
    return Tensor(vector.reshape(-1, *(1,) * (logits.ndim - 2)))


@op(
    kernel="overlap_sums",
    floating=True,
    shape=shapes.overlap_sums,
    samples=samples.class_maps,
    keeps_dtype=("target",),
)
def overlap_sums(logits: Tensor, target: TensorLike, /):
    """Sums over positions of which Dice, Tversky and cross-entropy losses are made.

    With p = softmax(logits) over classes and t = 1 for a position's class, 0 for others, the
    softmax, the comparison and all sums are one pass over the logits; p and t are never written.

    Parameters
    ----------
    logits : Tensor
        Shape (batch, class, …): unnormalized scores.
    target : Tensor
        Shape (batch, …) of integers: class of each position, 0 to n_classes - 1.

    Returns
    -------
    Tensor
        Shape (4, batch, class): sums over positions of p t, of p, of t and of -t log p.

    Raises
    ------
    ShapeError
        If the shapes do not belong together.
    DataError
        If a target is not a class.

    References
    ----------
    Milletari, Navab, Ahmadi, "V-Net", 3DV 2016, arXiv:1606.04797 (soft Dice).

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> overlap, p, t, surprise = fg.overlap_sums(fg.zeros((1, 2, 3)), [[1, 1, 0]])
    >>> overlap.tolist(), p.tolist(), t.tolist()
    ([[0.5, 1.0]], [[1.5, 1.5]], [[1.0, 2.0]])
    """
    assert isinstance(target, Tensor)  # as the tape passes it
    log_p, t = log_softmax(logits, axis=1), _one_hot(target.data, logits)
    p, positions = exp(log_p), tuple(range(2, logits.ndim))
    terms = (p * t, p, t, -t * log_p)
    return stack([sum(term, axis=positions) if positions else term for term in terms])


@overlap_sums.fused_vjp
def _(g, logits, target):
    return Tensor(KERNELS["overlap_sums_gradient"](g.data, logits.data, target.data)), None


@op(kernel="binary_cross_entropy", floating=True, samples=samples.pairs)
def binary_cross_entropy(logits: TensorLike, target: TensorLike, /):
    """-target log p - (1 - target) log(1 - p) with p = sigmoid(logits), elementwise.

    It is softplus(logits) - logits · target, which does not overflow, in one pass over memory.

    Parameters
    ----------
    logits, target : Tensor
        Any shapes that broadcast; targets between 0 and 1.

    Returns
    -------
    Tensor
        The broadcast shape.
    """


@binary_cross_entropy.vjp
def _(g, logits, target):
    return multiply_or_zero(g, sigmoid(logits) - target), multiply_or_zero(-g, logits)
