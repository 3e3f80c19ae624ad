"""What is quoted of a regression: response, resolution and coverage, with errors.

The response of a jet is predicted over true. Its median says how biased an estimate is, half the
width of its central 68 % over the median how well it resolves, as for the energy scale of jets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldgrad.engine.errors import DataError, ShapeError

__all__ = ["evaluate_response", "response_per_bin", "weighted_quantiles"]

Floats = NDArray[np.float64]
ONE_SIGMA = (0.1587, 0.5, 0.8413)  # of a normal distribution
N_SAMPLES = 200  # of the bootstrap


def weighted_quantiles(values: ArrayLike, q: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Quantiles of values with weights of either sign.

    Parameters
    ----------
    values : array_like, shape (n,)
        The values.
    q : array_like, shape (n_q,)
        Between 0 and 1.
    weights : array_like, shape (n,), optional
        With a sum above 0; where negative ones make the distribution fall, it is held level.

    Returns
    -------
    ndarray of shape (n_q,)
        The smallest value up to which the weights sum to at least that part of their sum.

    Raises
    ------
    DataError
        If there are no values, or the weights have no sum above 0.

    Examples
    --------
    >>> weighted_quantiles([1.0, 2.0, 3.0], [0.5, 0.9], [1.0, 1.0, 8.0])
    array([3., 3.])
    """
    x = np.asarray(values, np.float64)
    w = np.ones(x.shape) if weights is None else np.asarray(weights, np.float64)
    if not w.sum() > 0:
        raise DataError(
            f"weighted_quantiles: the weights of {x.size} values sum to {w.sum():g}; expected a "
            "sum above 0."
        )
    order = np.argsort(x, kind="stable")
    upto = np.maximum.accumulate(np.cumsum(w[order])) / w.sum()
    place = np.searchsorted(upto, np.asarray(q, np.float64) * (1 - 1e-12))
    return x[order][np.minimum(place, x.size - 1)]


def evaluate_response(
    truth: ArrayLike,
    predicted: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    interval: tuple[ArrayLike, ArrayLike] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """All figures of an estimate.

    Parameters
    ----------
    truth, predicted : array_like, shape (n_jets,)
        In the units of the target.
    weights : array_like, shape (n_jets,), optional
        Of either sign.
    interval : tuple of 2 array_like, shape (n_jets,), optional
        Lower and upper bound for each jet, whose coverage is wanted.
    seed : int, default 0
        Of the bootstrap.

    Returns
    -------
    dict
        ``n_jets``, ``mae`` (mean absolute error), ``response`` (median of predicted over true),
        ``resolution`` (half the central 68.3 % of the response, over its median), each also with
        ``_error``, the spread of 200 bootstrap samples; ``n_left_out``, jets whose true value is
        not above 0 and so has no response; with an interval ``coverage`` and its error.

    Raises
    ------
    ShapeError
        If the arrays are not of one length.
    DataError
        If the weights have no sum above 0, or no true value is above 0.

    Examples
    --------
    >>> row = evaluate_response([100.0, 100.0, 100.0], [90.0, 100.0, 110.0])
    >>> row["response"], round(row["resolution"], 3), round(row["mae"], 3)
    (1.0, 0.1, 6.667)
    """
    t, x = np.asarray(truth, np.float64), np.asarray(predicted, np.float64)
    w = np.ones(t.shape) if weights is None else np.asarray(weights, np.float64)
    if t.ndim != 1 or x.shape != t.shape or w.shape != t.shape:
        raise ShapeError(
            f"evaluate_response: truth has shape {t.shape}, predicted {x.shape}, weights "
            f"{w.shape}; expected (n_jets,) for all."
        )
    some = t > 0
    if not w[some].sum() > 0:
        raise DataError(
            f"evaluate_response: {some.sum()} of {t.size} jets have a true value above 0, with "
            f"weights that sum to {w[some].sum():g}; expected a sum above 0."
        )
    columns = {"t": t, "x": x, "w": w}
    if interval is not None:
        low, high = (np.asarray(bound, np.float64) for bound in interval)
        columns["inside"] = ((low <= t) & (t <= high)).astype(np.float64)
    found = _figures(columns)
    rng = np.random.default_rng(seed)
    samples = []
    for _ in range(N_SAMPLES):
        rows = rng.integers(0, t.size, t.size)
        drawn = {name: column[rows] for name, column in columns.items()}
        if drawn["w"][drawn["t"] > 0].sum() > 0:
            samples.append(_figures(drawn))
    row: dict[str, Any] = {"n_jets": t.size, "n_left_out": int((~some).sum())}
    for name, value in found.items():
        row |= {name: value, f"{name}_error": float(np.std([one[name] for one in samples]))}
    return row


def _figures(columns: Mapping[str, Floats]) -> dict[str, float]:
    t, x, w = (columns[name] for name in "txw")
    some = t > 0
    low, middle, high = weighted_quantiles(x[some] / t[some], ONE_SIGMA, w[some])
    found = {
        "mae": float((w * np.abs(x - t)).sum() / w.sum()),
        "response": float(middle),
        "resolution": float((high - low) / 2 / middle) if middle > 0 else float("nan"),
    }
    if "inside" in columns:
        found["coverage"] = float((w * columns["inside"]).sum() / w.sum())
    return found


def response_per_bin(
    values: ArrayLike,
    edges: Sequence[float],
    truth: ArrayLike,
    predicted: ArrayLike,
    weights: ArrayLike | None = None,
    **settings: Any,
) -> list[dict[str, Any]]:
    """The figures of `evaluate_response` in bins of a variable such as pt.

    Parameters
    ----------
    values : array_like, shape (n_jets,)
        The variable.
    edges : sequence of float, shape (n_bins + 1,)
        Bounds of the bins, ascending; the upper one belongs to the next bin.
    truth, predicted, weights : array_like, shape (n_jets,)
        As for `evaluate_response`.
    **settings : object
        Further settings of `evaluate_response`.

    Returns
    -------
    list of dict
        Its rows with ``low`` and ``high``; none for a bin without weight.
    """
    value, t, x = (np.asarray(a, np.float64) for a in (values, truth, predicted))
    w = np.ones(t.shape) if weights is None else np.asarray(weights, np.float64)
    interval = settings.pop("interval", None)
    rows = []
    for low, high in pairwise(edges):
        inside = (value >= low) & (value < high)
        if not w[inside & (t > 0)].sum() > 0:
            continue
        if interval is not None:
            settings["interval"] = tuple(np.asarray(bound)[inside] for bound in interval)
        row = evaluate_response(t[inside], x[inside], w[inside], **settings)
        rows.append({"low": float(low), "high": float(high), **row})
    return rows
