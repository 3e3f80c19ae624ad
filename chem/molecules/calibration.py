"""How sure predictions are: standard deviations and intervals that validation data confirm.

A `Calibration` is made from the validation part and stored in the model file, so that whoever
predicts later has nothing to do. Numbers get conformal intervals: as wide as the validation errors
say, whatever the model thinks of itself; its own uncertainty, where it has one, makes them narrow
here and wide there. Probabilities are mapped through a logistic curve.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine.errors import DataError

__all__ = ["Calibration", "PlattScaling", "TemperatureScaling", "coverage"]

Floats = NDArray[np.float64]

LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


@dataclass(frozen=True)
class Calibration:
    """What validation errors say about the uncertainty of numbers.

    Parameters
    ----------
    scale : ndarray of shape (n_tasks,)
        Factor for the model's own standard deviation.
    scores : ndarray of shape (n_labels, n_tasks)
        Absolute validation errors, in units of the standard deviation if the model has one, in
        ascending order; infinite where a task has fewer labels than another.
    counts : ndarray of int64, shape (n_tasks,)
        Number of validation labels of each task.

    References
    ----------
    Vovk, Gammerman, Shafer, "Algorithmic learning in a random world", Springer 2005, section 4.1
    (split conformal prediction). Lei et al., "Distribution-free predictive inference for
    regression", J. Am. Stat. Assoc. 113 (2018) 1094, arXiv:1604.04173, section 5.2 (errors in
    units of the standard deviation). Levi et al., "Evaluating and calibrating uncertainty
    prediction in regression tasks", Sensors 22 (2022) 5540, arXiv:1905.11659 (the factor).
    """

    scale: Floats
    scores: Floats
    counts: NDArray[np.int64]

    @classmethod
    def fit(cls, labels: Floats, mean: Floats, std: Floats | None) -> Calibration:
        """Measure the validation part.

        Parameters
        ----------
        labels, mean : ndarray of shape (n_molecules, n_tasks)
            The truth, NaN where a label is missing, and the predictions.
        std : ndarray of shape (n_molecules, n_tasks) or None
            The model's own standard deviation, if it gives one.

        Returns
        -------
        Calibration
            For predictions of the same model.
        """
        errors = np.abs(labels - mean) / (1.0 if std is None else np.maximum(std, 1e-12))
        there = np.isfinite(errors)
        counts = there.sum(axis=0)
        squares = np.where(there, errors, 0) ** 2
        scale = np.sqrt(squares.sum(axis=0) / np.maximum(counts, 1))
        scale = np.where((counts > 0) & (scale > 0), scale, 1.0)
        ordered = np.sort(np.where(there, errors, np.inf), axis=0)
        return cls(scale, ordered, counts.astype(np.int64))

    def std(self, std: Floats) -> Floats:
        """Correct the model's standard deviation by the factor of each task.

        Parameters
        ----------
        std : ndarray of shape (n_molecules, n_tasks)
            The model's own.

        Returns
        -------
        ndarray of shape (n_molecules, n_tasks)
            With the right size on the validation part.
        """
        return std * self.scale

    def margin(self, std: Floats | None, level: float) -> Floats:
        """Give half the width of intervals that hold the truth as often as wanted.

        Parameters
        ----------
        std : ndarray of shape (n_molecules, n_tasks) or None
            The model's own standard deviation, uncorrected.
        level : float
            How often the truth shall lie inside, between 0 and 1.

        Returns
        -------
        ndarray of shape (n_molecules, n_tasks) or (1, n_tasks)
            The margin on both sides of a prediction; infinite where there were too few validation
            labels for the level (9 are needed for 0.9).

        Raises
        ------
        DataError
            If the level is not between 0 and 1.
        """
        if not 0 < level < 1:
            raise DataError(f"the level is {level}; expected a number between 0 and 1, as in 0.9.")
        # The k-th smallest of n errors, k = ceil((n + 1) level), is exceeded with a probability of
        # at most 1 - level by the error of another molecule of the same kind.
        rank = np.ceil((self.counts + 1) * level - 1e-9).astype(int) - 1
        padded = np.vstack([self.scores, np.full(self.scores.shape[1:], np.inf)])
        width = padded[np.minimum(rank, len(self.scores)), np.arange(len(rank))]
        width = np.where(rank < self.counts, width, np.inf)
        return width[None] if std is None else width * std


@dataclass(frozen=True)
class PlattScaling:
    """A logistic curve from a classifier's logits to probabilities, for each task.

    Parameters
    ----------
    slope, offset : ndarray of shape (n_tasks,)
        The probability is sigmoid(slope * logit + offset).

    References
    ----------
    Platt, "Probabilistic outputs for support vector machines", 1999, with the targets of section
    2.2; Newton's method after Lin, Lin, Weng, Machine Learning 68 (2007) 267.
    """

    slope: Floats
    offset: Floats

    @classmethod
    def fit(cls, labels: Floats, logits: Floats) -> PlattScaling:
        """Measure the validation part.

        Parameters
        ----------
        labels : ndarray of shape (n_molecules, n_tasks)
            0, 1, or NaN where a label is missing.
        logits : ndarray of shape (n_molecules, n_tasks)
            The model's output.

        Returns
        -------
        PlattScaling
            The identity for tasks without labels of both classes.
        """
        curves = []
        for y, z in zip(labels.T, logits.T, strict=True):
            there = np.isfinite(y)
            curves.append(_logistic_curve(y[there], z[there]))
        slope, offset = np.array(curves).T
        return cls(slope, offset)

    def __call__(self, logits: Floats) -> Floats:
        """Map logits (n_molecules, n_tasks) to probabilities of the same shape."""
        return 1 / (1 + np.exp(-np.clip(self.slope * logits + self.offset, -500, 500)))


@dataclass(frozen=True)
class TemperatureScaling:
    """A temperature for the logits of several classes, for each task.

    Parameters
    ----------
    temperature : ndarray of shape (n_tasks,)
        Logits are divided by it; above 1 for a network that is too sure of itself.
    ends : ndarray of int64, shape (n_tasks + 1,)
        The classes of task i are the columns ``ends[i]`` to ``ends[i + 1]``.

    References
    ----------
    Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks", ICML 2017,
    arXiv:1706.04599, section 4.2.
    """

    temperature: Floats
    ends: NDArray[np.int64]

    @classmethod
    def fit(cls, labels: Floats, logits: Floats, ends: NDArray[np.int64]) -> TemperatureScaling:
        """Measure the validation part.

        Parameters
        ----------
        labels : ndarray of shape (n_molecules, n_tasks)
            Places of the classes, NaN where a label is missing.
        logits : ndarray of shape (n_molecules, n_outputs)
            The model's output.
        ends : ndarray of int64, shape (n_tasks + 1,)
            Where each task's classes end.

        Returns
        -------
        TemperatureScaling
            With the likeliest temperatures between 1/20 and 20; 1 for tasks without labels.
        """
        found = []
        for i, y in enumerate(labels.T):
            there = np.isfinite(y)
            z = logits[there, ends[i] : ends[i + 1]]
            place = y[there].astype(int)[:, None]

            def loss(log_t: float, z: Floats = z, place: NDArray[np.int64] = place) -> float:
                p = _softmax(z * np.exp(-log_t))
                return -float(np.log(np.maximum(np.take_along_axis(p, place, 1), 1e-300)).sum())

            found.append(float(np.exp(_minimum(loss, -3.0, 3.0))) if len(z) else 1.0)
        return cls(np.array(found), np.asarray(ends, np.int64))

    def __call__(self, logits: Floats) -> Floats:
        """Map logits (…, n_outputs) to probabilities of the same shape, 1 in sum for each task."""
        parts = [
            _softmax(logits[..., a:b] / t)
            for a, b, t in zip(self.ends[:-1], self.ends[1:], self.temperature, strict=True)
        ]
        return np.concatenate(parts, axis=-1)


def _softmax(z: Floats) -> Floats:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def _minimum(function: Callable[[float], float], low: float, high: float) -> float:
    """Find the minimum of a function with one valley by golden sections."""
    part = (np.sqrt(5) - 1) / 2
    a, b = high - part * (high - low), low + part * (high - low)
    f_a, f_b = function(a), function(b)
    while high - low > 1e-4:
        if f_a < f_b:
            high, b, f_b = b, a, f_a
            a = high - part * (high - low)
            f_a = function(a)
        else:
            low, a, f_a = a, b, f_b
            b = low + part * (high - low)
            f_b = function(b)
    return float((low + high) / 2)


def _logistic_curve(y: Floats, z: Floats) -> tuple[float, float]:
    n_positive, n_negative = float((y == 1).sum()), float((y == 0).sum())
    if not n_positive or not n_negative or np.ptp(z) == 0:
        return 1.0, 0.0
    target = np.where(y == 1, (n_positive + 1) / (n_positive + 2), 1 / (n_negative + 2))
    center, width = z.mean(), z.std()
    x = np.stack([(z - center) / width, np.ones_like(z)], axis=1)

    def loss(w: Floats) -> float:
        s = x @ w
        return float((np.logaddexp(0, s) - target * s).sum())

    weights, step = np.array([width, center]), 1.0  # begin with the identity
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(x @ weights, -500, 500)))
        gradient = x.T @ (p - target)
        curvature = (x * (p * (1 - p))[:, None]).T @ x + 1e-9 * np.eye(2)
        move, step = np.linalg.solve(curvature, gradient), 1.0
        while step > 1e-6 and loss(weights - step * move) > loss(weights):
            step /= 2
        weights = weights - step * move
        if np.abs(step * move).max() < 1e-9:
            break
    if weights[0] <= 0:
        return 1.0, 0.0  # a model that is worse than chance is not turned around
    return float(weights[0] / width), float(weights[1] - weights[0] * center / width)


def coverage(labels: Floats, lower: Floats, upper: Floats) -> Floats:
    """Give the part of labels inside their intervals, for each task.

    Parameters
    ----------
    labels, lower, upper : ndarray of shape (n_molecules, n_tasks)
        The truth, NaN where a label is missing, and the ends of the intervals.

    Returns
    -------
    ndarray of shape (n_tasks,)
        NaN for a task without labels.
    """
    there = np.isfinite(labels)
    inside = there & (labels >= lower) & (labels <= upper)
    counts = there.sum(axis=0)
    return np.where(counts > 0, inside.sum(axis=0) / np.maximum(counts, 1), np.nan)
