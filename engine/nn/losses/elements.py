"""Losses that compare one number with another, element by element."""

import math

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import DataError, ShapeError
from fieldgrad.engine.nn.losses.reduction import equal_shapes, reduced
from fieldgrad.engine.op import TensorLike, as_tensor, values_of
from fieldgrad.engine.ops.activations import (
    softplus,
)
from fieldgrad.engine.ops.arithmetic import (
    abs,
    maximum,
    square,
    where,
)
from fieldgrad.engine.ops.elementary import (
    exp,
    log,
    log1p,
)
from fieldgrad.engine.ops.rectifiers import (
    relu,
)
from fieldgrad.engine.ops.softmax import Reduction
from fieldgrad.engine.ops.softmax import binary_cross_entropy as binary_cross_entropy_of_logits

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "gaussian_nll_loss",
    "hinge_embedding_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "mse_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
    "soft_margin_loss",
]


def mse_loss(
    prediction: TensorLike,
    target: TensorLike,
    *,
    weight: TensorLike | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Squared difference.

    Parameters
    ----------
    prediction, target : Tensor
        Equal shapes.
    weight : Tensor, optional
        Factor of each element, of the same shape; the mean is divided by its sum.
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

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> mse_loss(fg.tensor([1.0, 4.0]), [1.0, 2.0]).item()
    2.0
    """
    x, t, w = _weighed("mse_loss", prediction, target, weight)
    return reduced(square(x - t), reduction, w)


def l1_loss(
    prediction: TensorLike,
    target: TensorLike,
    *,
    weight: TensorLike | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Absolute difference.

    Parameters
    ----------
    prediction, target : Tensor
        Equal shapes.
    weight : Tensor, optional
        Factor of each element, of the same shape; the mean is divided by its sum.
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
    x, t, w = _weighed("l1_loss", prediction, target, weight)
    return reduced(abs(x - t), reduction, w)


def _weighed(
    name: str, prediction: TensorLike, target: TensorLike, weight: TensorLike | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    if weight is None:
        x, t = equal_shapes(name, prediction=prediction, target=target)
        return x, t, None
    x, t, w = equal_shapes(name, prediction=prediction, target=target, weight=weight)
    return x, t, w


def huber_loss(
    prediction: TensorLike, target: TensorLike, *, delta: float = 1.0, reduction: Reduction = "mean"
) -> Tensor:
    """Half the squared difference where it is small, a line beyond: d² / 2, then δ (|d| - δ / 2).

    Parameters
    ----------
    prediction, target : Tensor
        Equal shapes.
    delta : float, default 1.0
        Difference at which the parabola becomes a line, positive.
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
    DataError
        If delta is not positive.

    References
    ----------
    P. J. Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35
    (1964) 73, doi:10.1214/aoms/1177703732.
    """
    x, t = equal_shapes("huber_loss", prediction=prediction, target=target)
    if not delta > 0:
        raise DataError(f"huber_loss: delta = {delta}; expected a positive number.")
    d = abs(x - t)
    return reduced(where(d < delta, square(d) * 0.5, (d - 0.5 * delta) * delta), reduction)


def smooth_l1_loss(
    prediction: TensorLike, target: TensorLike, *, beta: float = 1.0, reduction: Reduction = "mean"
) -> Tensor:
    """Absolute difference with a parabola at its tip: d² / 2β where |d| < β, else |d| - β / 2.

    It is `huber_loss` divided by its delta.

    Parameters
    ----------
    prediction, target : Tensor
        Equal shapes.
    beta : float, default 1.0
        Difference at which the parabola becomes a line; 0 gives `l1_loss`.
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
    DataError
        If beta is negative.
    """
    if beta < 0:
        raise DataError(f"smooth_l1_loss: beta = {beta}; expected 0 or more.")
    x, t = equal_shapes("smooth_l1_loss", prediction=prediction, target=target)
    d = abs(x - t)
    if beta:
        d = where(d < beta, square(d) * (0.5 / beta), d - 0.5 * beta)
    return reduced(d, reduction)


def binary_cross_entropy_with_logits(
    logits: TensorLike,
    target: TensorLike,
    *,
    weight: TensorLike | None = None,
    pos_weight: TensorLike | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """-target log p - (1 - target) log(1 - p) with p = sigmoid(logits), without overflow.

    Parameters
    ----------
    logits, target : Tensor
        Equal shapes; targets between 0 and 1.
    weight : Tensor, optional
        Factor of each element; broadcasts to their shape. The mean is still over the elements.
    pos_weight : Tensor, optional
        Factor of the term with the target, against rare positives; broadcasts likewise.
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
    name = "binary_cross_entropy_with_logits"
    x, t = equal_shapes(name, logits=logits, target=target)
    if pos_weight is None:
        loss = binary_cross_entropy_of_logits(x, t)
    else:
        factor = (as_tensor(pos_weight) - 1.0) * t + 1.0
        loss = (1.0 - t) * x + factor * softplus(-x)
    return reduced(_scaled(name, loss, x, weight), reduction)


def binary_cross_entropy(
    probabilities: TensorLike,
    target: TensorLike,
    *,
    weight: TensorLike | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """-target log p - (1 - target) log(1 - p), from probabilities.

    Parameters
    ----------
    probabilities, target : Tensor
        Equal shapes; between 0 and 1.
    weight : Tensor, optional
        Factor of each element; broadcasts to their shape. The mean is still over the elements.
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
    DataError
        If a probability is not between 0 and 1.

    See Also
    --------
    binary_cross_entropy_with_logits : More accurate, where the logits are at hand.

    Notes
    -----
    Logarithms are cut off at -100, as in PyTorch; beyond, at p = 0 and p = 1, their gradient is 0.
    """
    p, t = equal_shapes("binary_cross_entropy", probabilities=probabilities, target=target)
    values = values_of(p)
    if values is not None and values.size and not (values.min() >= 0 and values.max() <= 1):
        raise DataError(
            f"binary_cross_entropy: probabilities go from {values.min()} to {values.max()}; "
            "expected 0 to 1. Pass logits to binary_cross_entropy_with_logits instead."
        )
    loss = -(t * maximum(log(p), -100.0) + (1.0 - t) * maximum(log1p(-p), -100.0))
    return reduced(_scaled("binary_cross_entropy", loss, p, weight), reduction)


def _scaled(name: str, loss: Tensor, x: Tensor, weight: TensorLike | None) -> Tensor:
    """The loss times a weight that may broadcast, but not enlarge it."""
    if loss.shape == x.shape and weight is not None:
        loss = loss * weight
    if loss.shape != x.shape:
        raise ShapeError(
            f"{name}: weights make {loss.shape} of the inputs' shape {x.shape}; expected weights "
            "that broadcast to the latter."
        )
    return loss


def soft_margin_loss(
    prediction: TensorLike, target: TensorLike, *, reduction: Reduction = "mean"
) -> Tensor:
    """log(1 + exp(-target · prediction)), for targets of 1 and -1.

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
    x, t = equal_shapes("soft_margin_loss", prediction=prediction, target=target)
    return reduced(softplus(-t * x), reduction)


def hinge_embedding_loss(
    prediction: TensorLike,
    target: TensorLike,
    *,
    margin: float = 1.0,
    reduction: Reduction = "mean",
) -> Tensor:
    """A distance where the target is 1, max(0, margin - distance) where it is -1.

    Parameters
    ----------
    prediction, target : Tensor
        Equal shapes; targets of 1 and -1.
    margin : float, default 1.0
        Distance from which unlike pairs are far enough apart.
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
    x, t = equal_shapes("hinge_embedding_loss", prediction=prediction, target=target)
    # As in PyTorch, a target that is neither 1 nor -1 gets both terms.
    loss = where(t != 1, relu(margin - x), 0.0) + where(t != -1, x, 0.0)
    return reduced(loss, reduction)


def kl_div(
    log_prediction: TensorLike,
    target: TensorLike,
    *,
    log_target: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """Kullback-Leibler divergence, target (log target - log_prediction), elementwise.

    Parameters
    ----------
    log_prediction, target : Tensor
        Equal shapes: logarithms of probabilities, and probabilities.
    log_target : bool, default False
        Whether the target is given as logarithms too.
    reduction : {"mean", "batchmean", "sum", "none"}
        What to do with the elements. "batchmean" divides the sum by the first axis' length, and is
        the divergence of the definition; "mean" divides by the number of elements, as in PyTorch.

    Returns
    -------
    Tensor
        One number, or the shape of the inputs for reduction "none".

    Raises
    ------
    ShapeError
        If the shapes differ.

    Notes
    -----
    Where the target is 0 the loss is 0.
    """
    x, t = equal_shapes("kl_div", log_prediction=log_prediction, target=target)
    if log_target:
        loss = exp(t) * (t - x)
    else:
        positive = t > 0
        loss = where(positive, t * (log(where(positive, t, 1.0)) - x), 0.0)
    if reduction == "batchmean":
        return reduced(loss, "mean", divisor=x.shape[0] if x.ndim else 1)
    return reduced(loss, reduction)


def poisson_nll_loss(
    prediction: TensorLike,
    target: TensorLike,
    *,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: Reduction = "mean",
) -> Tensor:
    """Negative log likelihood of counts under Poisson distributions of predicted rates.

    Parameters
    ----------
    prediction, target : Tensor
        Equal shapes: logarithms of the rates, and counts.
    log_input : bool, default True
        Whether predictions are logarithms: exp(x) - target x. Else x - target log(x + eps).
    full : bool, default False
        Add Stirling's approximation of log(target!), for targets above 1.
    eps : float, default 1e-8
        Keeps the logarithm of a rate of 0 finite.
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
    x, t = equal_shapes("poisson_nll_loss", prediction=prediction, target=target)
    loss = exp(x) - t * x if log_input else x - t * log(x + eps)
    if full:
        large = t > 1
        n = where(large, t, 2.0)
        loss = loss + where(large, n * log(n) - n + 0.5 * log(n * (2.0 * math.pi)), 0.0)
    return reduced(loss, reduction)


def gaussian_nll_loss(
    prediction: TensorLike,
    target: TensorLike,
    var: TensorLike,
    *,
    full: bool = False,
    eps: float = 1e-6,
    reduction: Reduction = "mean",
) -> Tensor:
    """Negative log likelihood under normal distributions of predicted mean and variance.

    Parameters
    ----------
    prediction, target : Tensor
        Equal shapes (…, n).
    var : Tensor or float
        Variance: the same shape, or (…, 1) or (…) for one for each row, or one number.
    full : bool, default False
        Add log(2π) / 2.
    eps : float, default 1e-6
        Least variance; below it counts as this, and passes its gradient on unchanged.
    reduction : {"mean", "sum", "none"}
        What to do with the elements.

    Returns
    -------
    Tensor
        One number, or the shape of the inputs for reduction "none".

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    DataError
        If a variance is negative.

    References
    ----------
    Nix, Weigend, "Estimating the mean and variance of the target probability distribution", ICNN
    1994, doi:10.1109/ICNN.1994.374138.
    """
    x, t = equal_shapes("gaussian_nll_loss", prediction=prediction, target=target)
    v = as_tensor(var)
    if v.ndim and v.shape == x.shape[:-1]:
        v = v.reshape(*v.shape, 1)
    if v.ndim and v.shape not in (x.shape, (*x.shape[:-1], 1)):
        raise ShapeError(
            f"gaussian_nll_loss: prediction has shape {x.shape}, var has {v.shape}; expected the "
            f"same, {(*x.shape[:-1], 1)}, {x.shape[:-1]}, or one number."
        )
    values = values_of(v)
    if values is not None and values.size and values.min() < 0:
        raise DataError(
            f"gaussian_nll_loss: var goes down to {values.min()}; expected variances of 0 or more. "
            "Predict their logarithm, or pass it through softplus."
        )
    v = v + maximum(eps - v.detach(), 0.0)
    loss = 0.5 * (log(v) + square(x - t) / v)
    return reduced(loss + 0.5 * math.log(2.0 * math.pi) if full else loss, reduction)
