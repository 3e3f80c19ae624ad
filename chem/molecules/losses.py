"""Losses of several tasks at once, in which missing labels (NaN) do not count.

Each takes the network's output and the labels, both with a row for every molecule, and gives the
mean over the labels that are there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine import Tensor, log, log_softmax, softplus, square, sum

__all__ = ["binary_cross_entropy", "cross_entropy", "gaussian_nll", "squared_error"]

MIN_VARIANCE = 1e-4  # of standardized labels: keeps one well-known molecule from ruling the loss


def squared_error(output: Tensor, labels: Tensor) -> Tensor:
    """Mean squared error over the labels that are there.

    Parameters
    ----------
    output, labels : Tensor
        Shape (n_molecules, n_tasks); NaN for a missing label.

    Returns
    -------
    Tensor
        A number; 0 if there is no label.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> nan = float("nan")
    >>> float(squared_error(fg.tensor([[1.0, 5.0]]), fg.tensor([[3.0, nan]])))
    4.0
    """
    y, weight = _labels(labels)
    return sum(square(output - y) * weight)


def gaussian_nll(output: Tensor, labels: Tensor) -> Tensor:
    """Negative log-likelihood of labels under normal distributions: mean-variance estimation.

    Parameters
    ----------
    output : Tensor
        Shape (n_molecules, 2 n_tasks): means, then what `variance` makes variances of.
    labels : Tensor
        Shape (n_molecules, n_tasks); NaN for a missing label.

    Returns
    -------
    Tensor
        A number, without the constant log(2 pi) / 2.

    References
    ----------
    Nix, Weigend, "Estimating the mean and variance of the target probability distribution", ICNN
    1994, doi:10.1109/ICNN.1994.374138, eq. 3.
    """
    y, weight = _labels(labels)
    n_tasks = labels.shape[1]
    v = softplus(output[:, n_tasks:]) + MIN_VARIANCE
    return sum((square(output[:, :n_tasks] - y) / v + log(v)) * (0.5 * weight))


def binary_cross_entropy(
    output: Tensor, labels: Tensor, positive_weight: NDArray[np.float32] | None = None
) -> Tensor:
    """Mean cross-entropy of two classes over the labels that are there.

    Parameters
    ----------
    output, labels : Tensor
        Logits, and 0 or 1 or NaN, shape (n_molecules, n_tasks).
    positive_weight : ndarray of shape (n_tasks,), optional
        How much more a positive label counts than a negative one.

    Returns
    -------
    Tensor
        A number; 0 if there is no label.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> round(float(binary_cross_entropy(fg.tensor([[0.0]]), fg.tensor([[1.0]]))), 4)
    0.6931
    """
    y, weight = _labels(labels)
    if positive_weight is not None:
        weight = weight * np.where(y == 1, positive_weight, 1).astype(np.float32)
    return sum((softplus(output) - output * y) * weight)


def cross_entropy(
    output: Tensor,
    labels: Tensor,
    slices: Sequence[slice],
    class_weight: NDArray[np.float32] | None = None,
) -> Tensor:
    """Mean cross-entropy of several classes over the labels that are there.

    Parameters
    ----------
    output : Tensor
        Logits of the classes of all tasks side by side, shape (n_molecules, n_outputs).
    labels : Tensor
        Places of the classes, or NaN, shape (n_molecules, n_tasks).
    slices : sequence of slice
        Columns of each task's classes; see `labels.class_slices`.
    class_weight : ndarray of shape (n_outputs,), optional
        How much the labels of each class count.

    Returns
    -------
    Tensor
        A number; 0 if there is no label.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> logits, label = fg.tensor([[0.0, 0.0, 0.0]]), fg.tensor([[2.0]])
    >>> round(float(cross_entropy(logits, label, [slice(0, 3)])), 4)
    1.0986
    """
    place, weight = _labels(labels)
    total = None
    for i, own in enumerate(slices):
        chosen = np.eye(own.stop - own.start, dtype=weight.dtype)[place[:, i].astype(int)]
        chosen *= weight[:, i : i + 1]
        if class_weight is not None:
            chosen *= class_weight[own]
        term = -sum(log_softmax(output[:, own], axis=1) * chosen)
        total = term if total is None else total + term
    assert total is not None
    return total


def _labels(labels: Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Give labels with 0 for missing ones, and each label's part of the mean."""
    values = np.asarray(labels)
    there = np.isfinite(values)
    return np.where(there, values, 0), (there / max(there.sum(), 1)).astype(values.dtype)
