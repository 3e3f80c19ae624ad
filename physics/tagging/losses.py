"""Losses of jets with weights of either sign: classes, regression, and decorrelation.

Every loss takes ``weights``, one for each jet, and gives Σ w_i l_i / n over the n jets of a batch.
Weights count by their size and sign: with negative ones, as next-to-leading-order generators give
them, the sum stands for the expectation as it does in a histogram. They are not divided by their
sum, which may come close to 0 in a batch; `Tagger.fit` scales those of a training to mean 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from fieldgrad.engine import (
    Tensor,
    abs,
    gather,
    log_softmax,
    maximum,
    mean,
    softmax,
    softplus,
    sqrt,
    sum,
    take_along_axis,
)
from fieldgrad.engine.errors import DataError, ShapeError

__all__ = [
    "Decorrelated",
    "binary_cross_entropy",
    "cross_entropy",
    "distance_correlation",
    "log_cosh",
    "quantile",
]


def _weighted(name: str, losses: Tensor, weights: ArrayLike | Tensor | None) -> Tensor:
    """Σ w l / n of losses (n_jets,)."""
    if weights is None:
        return mean(losses)
    weights = np.asarray(weights)
    if weights.shape != losses.shape:
        raise ShapeError(
            f"{name}: weights have shape {weights.shape}; expected {losses.shape}, one per jet."
        )
    return mean(losses * weights.astype(losses.dtype))


def cross_entropy(
    logits: Tensor, labels: ArrayLike | Tensor, weights: ArrayLike | Tensor | None = None
) -> Tensor:
    """Cross entropy of classes.

    Parameters
    ----------
    logits : Tensor
        Shape (n_jets, n_classes).
    labels : array_like of int, shape (n_jets,)
        Class of each jet, 0 to n_classes - 1.
    weights : array_like, shape (n_jets,), optional
        Weight of each jet, of either sign.

    Returns
    -------
    Tensor
        Σ w_i (-ln p_i) / n, a scalar; p_i is the softmax of the right class.

    Raises
    ------
    DataError
        If a label is no class.
    ShapeError
        If there is not one label and weight for each jet.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> logits = fg.tensor([[0.0, 0.0], [0.0, 0.0]])
    >>> round(cross_entropy(logits, [0, 1], [1.0, -0.5]).item(), 4)  # ln 2 (1 - 0.5) / 2
    0.1733
    """
    labels = np.asarray(labels)
    n_jets, n_classes = logits.shape
    if labels.shape != (n_jets,):
        raise ShapeError(
            f"cross_entropy: labels have shape {labels.shape}; expected ({n_jets},), one per jet."
        )
    wrong = (labels < 0) | (labels >= n_classes)
    if wrong.any():
        raise DataError(
            f"cross_entropy: the label of jet {int(np.argmax(wrong))} is "
            f"{labels[np.argmax(wrong)]}; expected 0 to {n_classes - 1}, the model's outputs. Map "
            "the labels to classes first."
        )
    right = take_along_axis(log_softmax(logits, axis=1), labels[:, None], axis=1)
    return _weighted("cross_entropy", -right[:, 0], weights)


def binary_cross_entropy(
    logits: Tensor, targets: ArrayLike | Tensor, weights: ArrayLike | Tensor | None = None
) -> Tensor:
    """Cross entropy of one logit for signal.

    Parameters
    ----------
    logits : Tensor
        Shape (n_jets,) or (n_jets, 1).
    targets : array_like, shape (n_jets,)
        1 for signal and 0 for background, or a probability.
    weights : array_like, shape (n_jets,), optional
        Weight of each jet, of either sign.

    Returns
    -------
    Tensor
        Σ w_i [softplus(s_i) - t_i s_i] / n, a scalar.

    Raises
    ------
    ShapeError
        If there is not one target and weight for each jet.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> round(binary_cross_entropy(fg.tensor([0.0]), [1.0]).item(), 4)
    0.6931
    """
    scores = _one_output("binary_cross_entropy", logits, np.shape(targets))
    losses = softplus(scores) - scores * np.asarray(targets).astype(scores.dtype)
    return _weighted("binary_cross_entropy", losses, weights)


def log_cosh(
    prediction: Tensor, targets: ArrayLike | Tensor, weights: ArrayLike | Tensor | None = None
) -> Tensor:
    """Logarithm of the hyperbolic cosine of the error: a square near 0, linear far from it.

    Parameters
    ----------
    prediction : Tensor
        Shape (n_jets,) or (n_jets, 1).
    targets : array_like, shape (n_jets,)
        What is to be found, such as the mass over a typical mass.
    weights : array_like, shape (n_jets,), optional
        Weight of each jet, of either sign.

    Returns
    -------
    Tensor
        Σ w_i ln cosh(x_i - t_i) / n, a scalar.

    Raises
    ------
    ShapeError
        If there is not one target and weight for each jet.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> round(log_cosh(fg.tensor([100.0]), [0.0]).item(), 3)  # 100 - ln 2, without an overflow
    99.307
    """
    error = _one_output("log_cosh", prediction, np.shape(targets)) - _like(targets, prediction)
    size = abs(error)
    return _weighted("log_cosh", size + softplus(-2.0 * size) - math.log(2.0), weights)


def quantile(
    prediction: Tensor,
    targets: ArrayLike | Tensor,
    weights: ArrayLike | Tensor | None = None,
    *,
    q: float | Sequence[float] = 0.5,
) -> Tensor:
    """Pinball loss, whose smallest expectation is at the quantile q.

    Parameters
    ----------
    prediction : Tensor
        Shape (n_jets, n_q), or (n_jets,) for one quantile.
    targets : array_like, shape (n_jets,)
        What is to be found.
    weights : array_like, shape (n_jets,), optional
        Weight of each jet, of either sign.
    q : float or sequence of n_q float, default 0.5
        Between 0 and 1; 0.16 and 0.84 give an interval of one standard deviation.

    Returns
    -------
    Tensor
        Σ_q Σ_i w_i max(q e_i, (q - 1) e_i) / n with e = t - x, a scalar.

    Raises
    ------
    ShapeError
        If there is not one target and weight for each jet, and an output for each quantile.
    DataError
        If q is not between 0 and 1.

    References
    ----------
    Koenker, Bassett, "Regression quantiles", Econometrica 46 (1978) 33.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> quantile(fg.tensor([0.0, 0.0]), [1.0, -1.0], q=0.75).item()  # (0.75 + 0.25) / 2
    0.5
    """
    levels = np.atleast_1d(np.asarray(q, np.float64))
    if not ((levels > 0) & (levels < 1)).all():
        raise DataError(f"quantile: q is {q}; expected numbers between 0 and 1.")
    found = prediction[:, None] if prediction.ndim == 1 else prediction
    wanted = (*np.shape(targets), levels.size)
    if found.shape != wanted:
        raise ShapeError(
            f"quantile: the prediction has shape {prediction.shape}; expected {wanted}, an output "
            "for each quantile of each jet's target."
        )
    error = _like(targets, found)[:, None] - found
    steep = levels.astype(found.dtype)
    losses = sum(maximum(steep * error, (steep - 1) * error), axis=1)
    return _weighted("quantile", losses, weights)


def distance_correlation(
    x: Tensor,
    y: ArrayLike | Tensor,
    weights: ArrayLike | Tensor | None = None,
    *,
    power: float = 1.0,
) -> Tensor:
    """Squared distance correlation of two variables: 0 if and only if they are independent.

    Parameters
    ----------
    x : Tensor
        Shape (n,), such as scores.
    y : array_like, shape (n,)
        Such as masses.
    weights : array_like, shape (n,), optional
        Weight of each pair (x, y), of either sign, with a sum above 0.
    power : float, default 1
        To which dCov² / √(dVar²(x) dVar²(y)) is raised.

    Returns
    -------
    Tensor
        In [0, 1] for weights that are not negative, a scalar. Time and memory grow as n².

    Raises
    ------
    ShapeError
        If x and y have not one value for each jet.
    DataError
        If the sum of the weights is not above 0.

    References
    ----------
    Kasieczka, Shih, "Robust jet classifiers through distance correlation", Physical Review Letters
    125 (2020) 122001, arXiv:2001.05310, eqs. 2 to 6.
    Székely, Rizzo, Bakirov, "Measuring and testing dependence by correlation of distances", Annals
    of Statistics 35 (2007) 2769.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> x = fg.tensor([0.0, 1.0, 2.0, 3.0])
    >>> round(distance_correlation(x, 5.0 - 2.0 * x).item(), 4)
    1.0
    """
    y = _like(y, x)
    if x.ndim != 1 or y.shape != x.shape:
        raise ShapeError(
            f"distance_correlation: x has shape {x.shape}, y {y.shape}; expected (n,) for both."
        )
    w = np.ones(x.shape, x.dtype) if weights is None else np.asarray(weights).astype(x.dtype)
    if not w.sum() > 0:
        raise DataError(
            f"distance_correlation: the weights sum to {w.sum():g}; expected a sum above 0."
        )
    w = w / w.sum()
    both = w[:, None] * w

    def centered(v: Tensor) -> Tensor:
        distance = abs(v[:, None] - v)
        by_row = sum(distance * w, axis=1, keepdims=True)
        return distance - by_row - by_row.T + sum(by_row[:, 0] * w)

    a, b = centered(x), centered(y)
    tiny = float(np.finfo(x.dtype).tiny)
    spread = sqrt(maximum(sum(a * a * both) * sum(b * b * both), tiny))
    ratio = maximum(sum(a * b * both) / spread, tiny)
    return ratio if power == 1.0 else ratio**power


class Decorrelated:
    """A loss plus the distance correlation of score and mass of the background (DisCo).

    Parameters
    ----------
    strength : float, default 10.0
        Factor of the distance correlation; 0 leaves the loss as it is.
    loss : callable, default `cross_entropy`
        Called with logits, labels and weights.
    observer : str, default "jet_mass"
        What the score shall be independent of: an observer or observable of the jets.
    signal : int, default 1
        Class whose score is decorrelated.
    background : int, default 0
        Class of the jets for which score and mass shall be independent.

    References
    ----------
    Kasieczka, Shih, "Robust jet classifiers through distance correlation", Physical Review Letters
    125 (2020) 122001, arXiv:2001.05310, eq. 7.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> loss = Decorrelated(10.0)
    >>> logits = fg.tensor([[0.0, 1.0], [0.0, 2.0], [0.0, 3.0], [0.0, 0.0]])
    >>> value = loss(logits, [0, 0, 0, 1], [1.0] * 4, [50.0, 90.0, 130.0, 170.0])
    >>> value.item() > 10
    True
    """

    def __init__(
        self,
        strength: float = 10.0,
        *,
        loss: Callable[..., Tensor] = cross_entropy,
        observer: str = "jet_mass",
        signal: int = 1,
        background: int = 0,
    ) -> None:
        self.strength, self.loss, self.observer = strength, loss, observer
        self.signal, self.background = signal, background

    def __call__(
        self,
        logits: Tensor,
        labels: ArrayLike | Tensor,
        weights: ArrayLike | Tensor,
        mass: ArrayLike | Tensor,
    ) -> Tensor:
        """Give the loss.

        Parameters
        ----------
        logits : Tensor
            Shape (n_jets, n_classes).
        labels : array_like of int, shape (n_jets,)
            Classes.
        weights : array_like, shape (n_jets,)
            Weights, of either sign.
        mass : array_like, shape (n_jets,)
            From which the score shall be independent.

        Returns
        -------
        Tensor
            A scalar.
        """
        loss = self.loss(logits, labels, weights)
        rows = np.flatnonzero(np.asarray(labels) == self.background)
        if not self.strength or rows.size < 2:
            return loss
        scores = softmax(gather(logits, rows), axis=1)[:, self.signal]
        there = np.asarray(mass, np.float32)[rows]
        return loss + self.strength * distance_correlation(
            scores,
            (there - there.mean()) / max(float(there.std()), 1e-6),
            np.asarray(weights)[rows],
        )


def _like(values: ArrayLike | Tensor, x: Tensor) -> Tensor:
    return Tensor(np.asarray(values).astype(x.dtype))


def _one_output(name: str, prediction: Tensor, wanted: tuple[int, ...]) -> Tensor:
    """The prediction without its axis of outputs, if that is of length one."""
    flat = prediction[:, 0] if prediction.ndim == 2 and prediction.shape[1] == 1 else prediction
    if flat.shape != wanted:
        raise ShapeError(
            f"{name}: the prediction has shape {prediction.shape}, the targets {wanted}; expected "
            "(n_jets,) for both, or one output."
        )
    return flat
