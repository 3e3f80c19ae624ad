"""Are the probabilities right? Reliability of a classifier, and the temperature that mends it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from fieldgrad.engine.errors import DataError

__all__ = ["calibration_error", "fit_temperature", "reliability"]

RANGE = (0.05, 20.0)  # of temperatures that are tried


def reliability(
    signal: ArrayLike,
    probability: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    n_bins: int = 10,
) -> list[dict[str, Any]]:
    """How often jets of a given probability are what they are said to be.

    Parameters
    ----------
    signal : array_like of bool, shape (n_jets,)
        Whether a jet is of the class.
    probability : array_like, shape (n_jets,)
        Of that class, in [0, 1].
    weights : array_like, shape (n_jets,), optional
        Of either sign.
    n_bins : int, default 10
        Bins of equal width in the probability.

    Returns
    -------
    list of dict
        For each bin with a sum of weights above 0: ``low``, ``high``, ``predicted`` (mean
        probability), ``observed`` (share of the class), ``error`` (statistical, of the share),
        ``weight`` (sum) and ``n_jets``.

    Raises
    ------
    DataError
        If a probability is outside [0, 1].

    Examples
    --------
    >>> row, = reliability([1, 1, 1, 0], [0.75] * 4, n_bins=1)
    >>> row["predicted"], row["observed"], round(row["error"], 3)
    (0.75, 0.75, 0.217)
    """
    p, truth = np.asarray(probability, np.float64), np.asarray(signal).astype(np.float64)
    w = np.ones(p.shape) if weights is None else np.asarray(weights, np.float64)
    if p.size and not (p.min() >= 0 and p.max() <= 1):
        raise DataError(
            f"reliability: probabilities reach from {p.min():g} to {p.max():g}; expected 0 to 1. "
            "Give the softmax of the logits."
        )
    place = np.minimum((p * n_bins).astype(int), n_bins - 1)
    rows = []
    for i in range(n_bins):
        here = place == i
        total = w[here].sum()
        if total <= 0:
            continue
        share = float((w * truth)[here].sum() / total)
        error = float(np.sqrt(np.sum((w * (truth - share))[here] ** 2)) / total)
        rows.append(
            {
                "low": i / n_bins,
                "high": (i + 1) / n_bins,
                "predicted": float((w * p)[here].sum() / total),
                "observed": share,
                "error": error,
                "weight": float(total),
                "n_jets": int(here.sum()),
            }
        )
    return rows


def calibration_error(rows: list[dict[str, Any]]) -> float:
    """Mean distance of predicted and observed shares, by the weight of the bins.

    Parameters
    ----------
    rows : list of dict
        From `reliability`.

    Returns
    -------
    float
        In [0, 1]; NaN without bins.

    References
    ----------
    Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks", ICML 2017,
    arXiv:1706.04599, eq. 3.

    Examples
    --------
    >>> calibration_error([{"weight": 3.0, "predicted": 0.5, "observed": 0.75}])
    0.25
    """
    total = sum(row["weight"] for row in rows)
    if not total:
        return float("nan")
    return sum(row["weight"] * abs(row["predicted"] - row["observed"]) for row in rows) / total


def fit_temperature(
    logits: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None
) -> float:
    """Find the number that logits are to be divided by for the best likelihood.

    It changes no order of jets of two classes, and so no efficiency and no area.

    Parameters
    ----------
    logits : array_like, shape (n_jets, n_classes)
        Of jets that the network was not trained on.
    labels : array_like of int, shape (n_jets,)
        Classes.
    weights : array_like, shape (n_jets,), optional
        Of either sign.

    Returns
    -------
    float
        Above 1 for a network that is too sure of itself.

    Raises
    ------
    DataError
        If the weights have no sum above 0, or there is no best temperature between 0.05 and 20.

    References
    ----------
    Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks", ICML 2017,
    arXiv:1706.04599, section 4.2.

    Examples
    --------
    Three of four are right, so the logit should be ln 3 and not 2 ln 3:

    >>> import numpy as np
    >>> round(fit_temperature([[0.0, 2 * np.log(3)]] * 4, [1, 1, 1, 0]), 3)
    2.0
    """
    x, label = np.asarray(logits, np.float64), np.asarray(labels)
    w = np.ones(label.shape) if weights is None else np.asarray(weights, np.float64)
    if not w.sum() > 0:
        raise DataError(f"fit_temperature: the weights sum to {w.sum():g}; expected above 0.")

    def loss(log_temperature: float) -> float:
        scores = log_softmax(x / np.exp(log_temperature), axis=1)
        return float(-(w * scores[np.arange(len(label)), label]).sum() / w.sum())

    bounds = tuple(np.log(RANGE))
    best = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    if min(abs(best.x - bound) for bound in bounds) < 1e-3:
        raise DataError(
            f"fit_temperature: the likelihood still grows at a temperature of {np.exp(best.x):.3g};"
            " expected a best one inside 0.05 to 20. The jets may all be classified rightly, or "
            "the logits say nothing."
        )
    return float(np.exp(best.x))
