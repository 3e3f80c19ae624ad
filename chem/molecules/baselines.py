"""What a network must beat: the mean of the training labels, and a random forest.

References
----------
Breiman, "Random forests", Machine Learning 45 (2001) 5, doi:10.1023/A:1010933404324.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine.errors import require

__all__ = ["mean_predictions", "random_forest_predictions"]


def mean_predictions(labels: NDArray[Any], n_molecules: int) -> NDArray[np.float64]:
    """Predict the mean training label of each task for every molecule.

    Parameters
    ----------
    labels : ndarray of shape (n_train, n_tasks)
        Training labels; NaN where one is missing.
    n_molecules : int
        Number of molecules to predict.

    Returns
    -------
    ndarray of shape (n_molecules, n_tasks)
        For classes 0 and 1 it is the part of positives.
    """
    there = np.isfinite(labels)
    total = np.where(there, labels, 0).sum(axis=0)
    return np.tile(total / np.maximum(there.sum(axis=0), 1), (n_molecules, 1))


def random_forest_predictions(
    descriptors: NDArray[Any],
    labels: NDArray[Any],
    test: NDArray[Any],
    task: str,
    *,
    n_trees: int = 300,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Grow a random forest for each task and predict.

    Parameters
    ----------
    descriptors : ndarray of shape (n_train, n_descriptors)
        Of the training molecules; NaN become the median of their column.
    labels : ndarray of shape (n_train, n_tasks)
        Training labels; molecules without one do not take part.
    test : ndarray of shape (n_test, n_descriptors)
        Descriptors of the molecules to predict.
    task : {"regression", "classification"}
        What the labels are.
    n_trees : int, default 300
        Trees of each forest; everything else is scikit-learn's default.
    seed : int, default 0
        Seed of the forests.

    Returns
    -------
    ndarray of shape (n_test, n_tasks)
        Numbers, or probabilities of class 1. NaN for a task without training labels.

    Raises
    ------
    MissingExtra
        If scikit-learn is not installed.
    """
    ensemble = require("sklearn.ensemble", extra="chem")
    x, x_test = _finite(descriptors, test)
    predictions = np.full((len(test), labels.shape[1]), np.nan)
    for i, y in enumerate(labels.T):
        there = np.isfinite(y)
        if not there.any():
            continue
        if task == "regression":
            forest = ensemble.RandomForestRegressor(n_trees, random_state=seed, n_jobs=-1)
            predictions[:, i] = forest.fit(x[there], y[there]).predict(x_test)
            continue
        forest = ensemble.RandomForestClassifier(n_trees, random_state=seed, n_jobs=-1)
        forest.fit(x[there], y[there].astype(int))
        classes = forest.classes_.tolist()
        found = forest.predict_proba(x_test)
        predictions[:, i] = found[:, classes.index(1)] if 1 in classes else 0.0
    return predictions


def _finite(train: NDArray[Any], test: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Replace NaN by the training median, and bring numbers into the range of float32."""
    if train.dtype.kind != "f":
        return train, test
    there = np.isfinite(train).any(axis=0)
    median = np.zeros(train.shape[1])
    median[there] = np.nanmedian(train[:, there], axis=0)
    limit = float(np.finfo(np.float32).max)
    filled = [np.where(np.isfinite(x), x, median).clip(-limit, limit) for x in (train, test)]
    return filled[0], filled[1]
