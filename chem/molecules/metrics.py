"""How good predictions are: errors of numbers, areas under the curves of classes; task by task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldgrad.chem.molecules.labels import Classes, class_slices

__all__ = ["average_precision", "roc_auc", "roc_curve", "scores"]

Floats = NDArray[np.float64]


def scores(
    labels: ArrayLike,
    predictions: ArrayLike,
    names: Sequence[str],
    task: str,
    classes: Classes = (),
) -> list[dict[str, Any]]:
    """Compare predictions with labels, task by task, leaving out missing labels.

    Parameters
    ----------
    labels : array_like, shape (n_molecules, n_tasks)
        The truth; NaN for a missing label.
    predictions : array_like, shape (n_molecules, n_tasks) or (n_molecules, n_outputs)
        Numbers, or probabilities of class 1, or of all classes of all tasks side by side.
    names : sequence of str
        Names of the tasks.
    task : {"regression", "classification", "multiclass"}
        What the labels are.
    classes : tuple of tuple of str, default ()
        For multiclass the names of each task's classes.

    Returns
    -------
    list of dict
        A row for each task: ``target``, ``n``, and for regression ``rmse``, ``mae``, ``r2`` in the
        labels' units; for classification ``n_positive``, ``roc_auc``, ``prc_auc``, ``accuracy``;
        for multiclass ``accuracy``, ``balanced_accuracy`` (mean recall), ``f1`` and ``roc_auc``
        (means over the classes that occur, each against the others). What cannot be computed (one
        class only, no label) is NaN.

    Examples
    --------
    >>> scores([[1.0], [3.0]], [[2.0], [3.0]], ["logS"], "regression")[0]["mae"]
    0.5
    """
    truth, predicted = np.asarray(labels, np.float64), np.asarray(predictions, np.float64)
    places: list[Any] = [*class_slices(classes)] or [*range(len(names))]
    measure = {
        "regression": _regression, "classification": _classification, "multiclass": _multiclass
    }[task]  # fmt: skip
    rows = []
    for name, column, own in zip(names, truth.T, places, strict=True):
        there = np.isfinite(column)
        row: dict[str, Any] = {"target": name, "n": int(there.sum())}
        row |= measure(column[there], predicted[there][:, own])
        rows.append(row)
    return rows


def _regression(y: Floats, p: Floats) -> dict[str, float]:
    if not len(y):
        return dict.fromkeys(("rmse", "mae", "r2"), float("nan"))
    spread = float(((y - y.mean()) ** 2).sum())
    squares = float(((y - p) ** 2).sum())
    return {
        "rmse": float(np.sqrt(squares / len(y))),
        "mae": float(np.abs(y - p).mean()),
        "r2": 1 - squares / spread if spread else float("nan"),
    }


def _classification(y: Floats, p: Floats) -> dict[str, float]:
    return {
        "n_positive": int(y.sum()),
        "roc_auc": roc_auc(y, p),
        "prc_auc": average_precision(y, p),
        "accuracy": float(((p > 0.5) == (y == 1)).mean()) if len(y) else float("nan"),
    }


def _multiclass(y: Floats, p: Floats) -> dict[str, float]:
    if not len(y):
        return dict.fromkeys(("accuracy", "balanced_accuracy", "f1", "roc_auc"), float("nan"))
    best = p.argmax(axis=1)
    recalls, f1, areas = [], [], []
    for k in np.unique(y).astype(int).tolist():
        hits = float(((best == k) & (y == k)).sum())
        recalls.append(hits / (y == k).sum())
        f1.append(2 * hits / ((best == k).sum() + (y == k).sum()))
        areas.append(roc_auc(y == k, p[:, k]))
    return {
        "accuracy": float((best == y).mean()),
        "balanced_accuracy": float(np.mean(recalls)),
        "f1": float(np.mean(f1)),
        "roc_auc": float(np.mean(areas)),
    }


def roc_curve(labels: ArrayLike, scores: ArrayLike) -> tuple[Floats, Floats]:
    """Rates of false and true positives for all thresholds.

    Parameters
    ----------
    labels : array_like of 0 and 1, shape (n,)
        The truth.
    scores : array_like, shape (n,)
        Higher for class 1.

    Returns
    -------
    false_positive_rate, true_positive_rate : ndarray
        From (0, 0) to (1, 1), one point for each distinct score; NaN without both classes.
    """
    y, s = np.asarray(labels, np.float64), np.asarray(scores, np.float64)
    order = np.argsort(-s, kind="stable")
    last = np.flatnonzero(np.append(np.diff(s[order]) != 0, True)) if len(s) else np.zeros(0, int)
    positives = np.concatenate([[0], np.cumsum(y[order])[last]])
    negatives = np.concatenate([[0], np.cumsum(1 - y[order])[last]])
    with np.errstate(invalid="ignore"):
        return negatives / negatives[-1], positives / positives[-1]


def roc_auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the curve of `roc_curve`.

    Parameters
    ----------
    labels : array_like of 0 and 1, shape (n,)
        The truth.
    scores : array_like, shape (n,)
        Higher for class 1.

    Returns
    -------
    float
        The probability that a positive has a higher score than a negative, ties counting half;
        NaN without both classes.

    Examples
    --------
    >>> roc_auc([0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4])
    0.75
    """
    return float(np.trapezoid(*roc_curve(labels, scores)[::-1]))


def average_precision(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the curve of precision over recall, summed as steps.

    Parameters
    ----------
    labels : array_like of 0 and 1, shape (n,)
        The truth.
    scores : array_like, shape (n,)
        Higher for class 1.

    Returns
    -------
    float
        Mean precision at each positive; NaN without positives.

    Examples
    --------
    >>> round(average_precision([0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4]), 4)
    0.8333
    """
    y, s = np.asarray(labels, np.float64), np.asarray(scores, np.float64)
    if not y.sum():
        return float("nan")
    order = np.argsort(-s, kind="stable")
    last = np.flatnonzero(np.append(np.diff(s[order]) != 0, True))
    positives = np.cumsum(y[order])[last]
    precision, recall = positives / (last + 1), positives / positives[-1]
    return float((np.diff(recall, prepend=0) * precision).sum())
