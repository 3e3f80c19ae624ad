"""Metrics as the field quotes them, with errors, for weights of either sign.

Efficiencies are sums of weights over sums of weights. With negative weights a curve need not rise
everywhere and an area may lie outside [0, 1]; both are what the weighted sample says. Sums of
weights that are not above 0 are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldgrad.engine.errors import DataError, ShapeError

__all__ = [
    "Rejection",
    "Roc",
    "accuracy",
    "auc",
    "auc_error",
    "bootstrap",
    "discriminant",
    "evaluate",
    "mean_and_spread",
    "per_bin",
    "rejection",
    "roc",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Roc:
    """Efficiencies of signal and background for every cut on a score, loosest cut last.

    Parameters
    ----------
    signal, background : ndarray of shape (n_cuts,)
        Efficiencies, from 0 to 1.
    threshold : ndarray of shape (n_cuts,)
        Jets with at least this score pass; infinite for the first cut, which none passes.
    """

    signal: Floats
    background: Floats
    threshold: Floats

    @property
    def area(self) -> float:
        """Area under the signal efficiency over the background efficiency."""
        return float(np.trapezoid(self.signal, self.background))


@dataclass(frozen=True)
class Rejection:
    """Background rejection 1/ε_B at a signal efficiency.

    Parameters
    ----------
    value : float
        1/ε_B; infinite if no background passes.
    error : float
        Statistical error, of the background that passes; infinite if none passes.
    n_passing : int
        Background jets that pass the cut.
    threshold : float
        The cut on the score.
    """

    value: float
    error: float
    n_passing: int
    threshold: float

    def __str__(self) -> str:
        """Value and error, with the number of jets they rest on."""
        if not self.n_passing:
            return "∞ (no background passes)"
        return f"{self.value:.0f} ± {self.error:.0f} ({self.n_passing})"


def _binary(
    name: str, signal: ArrayLike, scores: ArrayLike, weights: ArrayLike | None
) -> tuple[NDArray[np.bool_], Floats, Floats]:
    """Check and convert; both classes need a sum of weights above 0."""
    is_signal, score = np.asarray(signal).astype(bool), np.asarray(scores, np.float64)
    weight = np.ones(score.shape) if weights is None else np.asarray(weights, np.float64)
    if score.ndim != 1 or is_signal.shape != score.shape or weight.shape != score.shape:
        raise ShapeError(
            f"{name}: signal has shape {is_signal.shape}, scores {score.shape}, weights "
            f"{weight.shape}; expected (n_jets,) for all."
        )
    if not np.isfinite(score).all():
        raise DataError(
            f"{name}: the score of jet {int(np.argmin(np.isfinite(score)))} is "
            f"{score[np.argmin(np.isfinite(score))]}; expected numbers. Look for NaN in the inputs."
        )
    for kind, those in (("signal", is_signal), ("background", ~is_signal)):
        if not weight[those].sum() > 0:
            raise DataError(
                f"{name}: {those.sum()} {kind} jets with a sum of weights of "
                f"{weight[those].sum():g}; expected a sum above 0."
            )
    return is_signal, score, weight


def roc(signal: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> Roc:
    """Efficiencies of signal and background for every cut.

    Parameters
    ----------
    signal : array_like of bool, shape (n_jets,)
        Whether a jet is signal.
    scores : array_like, shape (n_jets,)
        Higher for signal.
    weights : array_like, shape (n_jets,), optional
        Of either sign.

    Returns
    -------
    Roc
        The curve; a point for each different score.

    Raises
    ------
    DataError
        If a class has no weight or a score is not finite.
    ShapeError
        If the arrays are not of one length.

    Examples
    --------
    >>> curve = roc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> curve.area, curve.signal
    (0.75, array([0. , 0.5, 0.5, 1. , 1. ]))
    """
    is_signal, score, weight = _binary("roc", signal, scores, weights)
    order = np.argsort(-score, kind="stable")
    is_signal, score, weight = is_signal[order], score[order], weight[order]
    ends = np.append(np.flatnonzero(np.diff(score)), score.size - 1)  # ties pass together

    def efficiency(those: NDArray[np.bool_]) -> Floats:
        passing = np.cumsum(np.where(those, weight, 0.0))
        return np.append(0.0, passing[ends] / passing[-1])

    return Roc(efficiency(is_signal), efficiency(~is_signal), np.append(np.inf, score[ends]))


def auc(signal: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Area under the curve: how often signal scores above background, ties counting half.

    Parameters
    ----------
    signal : array_like of bool, shape (n_jets,)
        Whether a jet is signal.
    scores : array_like, shape (n_jets,)
        Higher for signal.
    weights : array_like, shape (n_jets,), optional
        Of either sign.

    Returns
    -------
    float
        The area.

    Examples
    --------
    >>> auc([0, 1, 1], [0.5, 0.5, 0.9])  # a tie and a success
    0.75
    """
    return roc(signal, scores, weights).area


def auc_error(signal: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Statistical error of the area under the curve.

    Parameters
    ----------
    signal : array_like of bool, shape (n_jets,)
        Whether a jet is signal.
    scores : array_like, shape (n_jets,)
        Higher for signal.
    weights : array_like, shape (n_jets,), optional
        Of either sign.

    Returns
    -------
    float
        One standard deviation.

    Notes
    -----
    Each signal jet has a rate of background below it and each background jet one of signal above
    it; their mean is the area, and the variances of these means add up. For weights of 1 it is the
    estimate of the reference with n in place of n - 1.

    References
    ----------
    DeLong, DeLong, Clarke-Pearson, "Comparing the areas under two or more correlated receiver
    operating characteristic curves", Biometrics 44 (1988) 837.

    Examples
    --------
    >>> round(auc_error([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)  # rates 0.5, 1 and 1, 0.5
    0.25
    """
    is_signal, score, weight = _binary("auc_error", signal, scores, weights)
    area, variance = auc(signal, scores, weights), 0.0
    for those in (is_signal, ~is_signal):
        own, other = score[those], score[~those]
        order = np.argsort(other)
        total = np.append(0.0, np.cumsum(weight[~those][order]))
        below, upto = (
            total[np.searchsorted(other[order], own, side=side)] for side in ("left", "right")
        )
        rate = (below + upto) / (2 * total[-1])
        rate = rate if those is is_signal else 1 - rate
        w = weight[those]
        variance += float(np.sum(w**2 * (rate - area) ** 2) / w.sum() ** 2)
    return float(np.sqrt(variance))


def rejection(
    signal: ArrayLike,
    scores: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    efficiency: float = 0.5,
) -> Rejection:
    """Background rejection 1/ε_B at a signal efficiency, with its statistical error.

    Parameters
    ----------
    signal : array_like of bool, shape (n_jets,)
        Whether a jet is signal.
    scores : array_like, shape (n_jets,)
        Higher for signal.
    weights : array_like, shape (n_jets,), optional
        Of either sign.
    efficiency : float, default 0.5
        Signal efficiency ε_S, between 0 and 1.

    Returns
    -------
    Rejection
        Value, error, and the number of background jets that it rests on.

    Raises
    ------
    DataError
        If the efficiency is not between 0 and 1.

    Notes
    -----
    The cut is the tightest that lets at least ε_S of the signal pass; where one score is shared by
    several jets ε_B is interpolated in ε_S, as when a curve is read off. The error is binomial,
    δε_B² = [Σ_pass w² (1 - ε_B)² + Σ_fail w² ε_B²] / (Σ w)², and δ(1/ε_B) = δε_B / ε_B².

    Examples
    --------
    >>> scores = [0.9, 0.8, 0.2, 0.1] + [0.85] + [0.0] * 9
    >>> found = rejection([1] * 4 + [0] * 10, scores, efficiency=0.5)
    >>> found.n_passing, round(found.value, 3), round(found.error, 2)
    (1, 10.0, 9.49)
    """
    if not 0 < efficiency < 1:
        raise DataError(
            f"rejection: efficiency is {efficiency:g}; expected a number between 0 and 1."
        )
    is_signal, score, weight = _binary("rejection", signal, scores, weights)
    curve = roc(is_signal, score, weight)
    cut = int(np.argmax(curve.signal >= efficiency * (1 - 1e-12)))
    low, high = curve.signal[cut - 1], curve.signal[cut]
    share = (efficiency - low) / (high - low) if high > low else 1.0
    rate = curve.background[cut - 1] + share * (curve.background[cut] - curve.background[cut - 1])
    threshold = float(curve.threshold[cut])
    b, w = score[~is_signal], weight[~is_signal]
    passing = b >= threshold
    if not passing.any() or rate <= 0:
        return Rejection(np.inf, np.inf, int(passing.sum()), threshold)
    squares = np.where(passing, (1 - rate) ** 2, rate**2)
    error = float(np.sqrt(np.sum(w**2 * squares)) / w.sum())
    return Rejection(float(1 / rate), float(error / rate**2), int(passing.sum()), threshold)


def accuracy(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Share of the weight whose class has the highest score.

    Parameters
    ----------
    labels : array_like of int, shape (n_jets,)
        Classes.
    scores : array_like, shape (n_jets, n_classes)
        Scores or probabilities.
    weights : array_like, shape (n_jets,), optional
        Of either sign.

    Returns
    -------
    float
        The share.

    Raises
    ------
    DataError
        If the weights have no sum above 0.

    Examples
    --------
    >>> accuracy([0, 1], [[0.9, 0.1], [0.8, 0.2]], [3.0, 1.0])
    0.75
    """
    right = np.argmax(np.asarray(scores), axis=1) == np.asarray(labels)
    weight = np.ones(right.shape) if weights is None else np.asarray(weights, np.float64)
    if not weight.sum() > 0:
        raise DataError(f"accuracy: the weights sum to {weight.sum():g}; expected a sum above 0.")
    return float(weight[right].sum() / weight.sum())


def discriminant(probabilities: ArrayLike, signal: int, background: int) -> Floats:
    """Score of one class against another, p_s / (p_s + p_b), of a classifier of several.

    Parameters
    ----------
    probabilities : array_like, shape (n_jets, n_classes)
        Of each class.
    signal, background : int
        The two classes.

    Returns
    -------
    ndarray of shape (n_jets,)
        In [0, 1]; 1/2 where the model gives neither any probability.

    Examples
    --------
    >>> discriminant([[0.2, 0.6, 0.2]], signal=1, background=0)
    array([0.75])
    """
    p = np.asarray(probabilities, np.float64)
    s, b = p[:, signal], p[:, background]
    total = s + b
    return np.where(total > 0, s / np.where(total > 0, total, 1.0), 0.5)


def evaluate(
    labels: ArrayLike,
    probabilities: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    names: Sequence[str] = (),
    background: int = 0,
) -> list[dict[str, Any]]:
    """All figures of a classifier: a row for each signal class against the background class.

    Parameters
    ----------
    labels : array_like of int, shape (n_jets,)
        Classes.
    probabilities : array_like, shape (n_jets, n_classes)
        Of each class.
    weights : array_like, shape (n_jets,), optional
        Of either sign.
    names : sequence of str, optional
        Names of the classes.
    background : int, default 0
        The class that the others are compared with, such as QCD.

    Returns
    -------
    list of dict
        ``signal``, ``background`` (names), ``n_signal``, ``n_background``, ``accuracy`` (of all
        classes), ``auc``, ``auc_error``, and for ε_S of 30 and 50 % ``rejection_30``,
        ``rejection_30_error``, ``passing_30`` (background jets), and so on.

    Examples
    --------
    >>> p = [[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.2, 0.8]]
    >>> row, = evaluate([0, 0, 1, 1], p, names=["QCD", "top"])
    >>> row["signal"], row["auc"], row["accuracy"], row["rejection_50"]
    ('top', 1.0, 1.0, inf)
    """
    label, p = np.asarray(labels), np.asarray(probabilities, np.float64)
    weight = np.ones(label.shape) if weights is None else np.asarray(weights, np.float64)
    name = {i: names[i] if i < len(names) else f"class {i}" for i in range(p.shape[1])}
    rows = []
    for signal in range(p.shape[1]):
        if signal == background or not (label == signal).any():
            continue
        two = (label == signal) | (label == background)
        data = (label[two] == signal, discriminant(p[two], signal, background), weight[two])
        row: dict[str, Any] = {
            "signal": name[signal],
            "background": name[background],
            "n_signal": int((label == signal).sum()),
            "n_background": int((label == background).sum()),
            "accuracy": accuracy(label, p, weight),
            "auc": auc(*data),
            "auc_error": auc_error(*data),
        }
        for percent in (30, 50):
            found = rejection(*data, efficiency=percent / 100)
            row |= {
                f"rejection_{percent}": found.value,
                f"rejection_{percent}_error": found.error,
                f"passing_{percent}": found.n_passing,
            }
        rows.append(row)
    return rows


def per_bin(
    values: ArrayLike,
    edges: ArrayLike,
    labels: ArrayLike,
    probabilities: ArrayLike,
    weights: ArrayLike | None = None,
    **settings: Any,
) -> list[dict[str, Any]]:
    """The figures of `evaluate` in bins of a variable such as pt or η.

    Parameters
    ----------
    values : array_like, shape (n_jets,)
        The variable.
    edges : array_like, shape (n_bins + 1,)
        Bounds of the bins, ascending; the upper one belongs to the next bin.
    labels, probabilities, weights : array_like
        As for `evaluate`.
    **settings : object
        Further settings of `evaluate`.

    Returns
    -------
    list of dict
        The rows of `evaluate` with ``low`` and ``high``; none for a bin in which the background or
        all signals have no weight.
    """
    value, bounds = np.asarray(values, np.float64), np.asarray(edges, np.float64)
    label, p = np.asarray(labels), np.asarray(probabilities)
    weight = np.ones(label.shape) if weights is None else np.asarray(weights, np.float64)
    background = settings.get("background", 0)
    rows = []
    for low, high in pairwise(bounds):
        inside = (value >= low) & (value < high)
        # A class without weight in this bin is left out of it.
        for signal in np.unique(label[inside]):
            if weight[inside & (label == signal)].sum() <= 0:
                inside &= label != signal
        if not (label[inside] == background).any():
            continue
        found = evaluate(label[inside], p[inside], weight[inside], **settings)
        rows += [{"low": float(low), "high": float(high), **row} for row in found]
    return rows


def bootstrap(
    metric: Callable[..., float],
    *arrays: ArrayLike,
    n_samples: int = 200,
    seed: int = 0,
) -> tuple[float, float]:
    """Mean and spread of a metric over samples of jets drawn with replacement.

    Parameters
    ----------
    metric : callable
        Called with arrays like those given; gives a number.
    *arrays : array_like
        Labels, scores, weights: jets along the first axis.
    n_samples : int, default 200
        Number of samples.
    seed : int, default 0
        Of the drawing.

    Returns
    -------
    mean, spread : float
        Mean and standard deviation; samples in which the metric is not finite are left out.

    Examples
    --------
    >>> signal, scores = [0] * 50 + [1] * 50, list(range(100))
    >>> mean, spread = bootstrap(auc, signal, scores)
    >>> round(mean, 6), round(spread, 6)
    (1.0, 0.0)
    """
    columns = [np.asarray(array) for array in arrays]
    rng = np.random.default_rng(seed)
    n = len(columns[0])
    values = []
    for _ in range(n_samples):
        rows = rng.integers(0, n, n)
        values.append(metric(*(column[rows] for column in columns)))
    return mean_and_spread(values)


def mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation, as tables quote them for several trainings.

    Parameters
    ----------
    values : sequence of float
        One for each training; those that are not finite are left out.

    Returns
    -------
    mean, spread : float
        The spread has n - 1 in its denominator and is 0 for one value; NaN if there is none.

    Examples
    --------
    >>> mean_and_spread([1.0, 3.0, float("inf")])
    (2.0, 1.4142135623730951)
    """
    finite = np.asarray(values, np.float64)
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        return float("nan"), float("nan")
    return float(finite.mean()), float(finite.std(ddof=1)) if finite.size > 1 else 0.0
