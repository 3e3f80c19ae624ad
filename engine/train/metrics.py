"""Metrics: numbers gathered over the batches of a validation."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldgrad.engine.errors import DataError, ShapeError

__all__ = ["Accuracy", "Dice", "Mean", "Metric"]


class Metric(Protocol):
    """What the learner asks of a metric."""

    def reset(self) -> None:
        """Forget all batches."""
        ...

    def update(self, prediction: Any, *targets: Any) -> None:
        """Take in one batch.

        Parameters
        ----------
        prediction : Tensor
            What the model gave.
        *targets : Tensor
            The batch without its first entry.
        """
        ...

    def value(self) -> dict[str, float]:
        """Give one or more named numbers for all batches since `reset`."""
        ...


class Mean:
    """Mean of numbers, such as the loss of each batch.

    Parameters
    ----------
    name : str
        Name of the value.

    Examples
    --------
    >>> loss = Mean("loss")
    >>> loss.update(1.0)
    >>> loss.update(4.0, weight=2)
    >>> loss.value()
    {'loss': 3.0}
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.reset()

    def reset(self) -> None:
        """Forget all numbers."""
        self.total, self.weight = 0.0, 0.0

    def update(self, number: float, weight: float = 1.0) -> None:
        """Take in one number.

        Parameters
        ----------
        number : float
            The number.
        weight : float, default 1
            How much it counts, such as the number of items it is a mean of.
        """
        self.total += float(number) * weight
        self.weight += weight

    def value(self) -> dict[str, float]:
        """Give the mean.

        Returns
        -------
        dict of str to float
            The mean under its name; NaN if there was no number.
        """
        return {self.name: self.total / self.weight if self.weight else float("nan")}


class Accuracy:
    """Part of the targets that are the class with the highest prediction.

    Parameters
    ----------
    axis : int, default 1
        Class axis of the prediction.

    Examples
    --------
    >>> accuracy = Accuracy()
    >>> accuracy.update([[0.1, 0.9], [0.8, 0.2]], [1, 1])
    >>> accuracy.value()
    {'accuracy': 0.5}
    """

    def __init__(self, axis: int = 1) -> None:
        self.axis = axis
        self.reset()

    def reset(self) -> None:
        """Forget all batches."""
        self.n_right, self.n = 0, 0

    def update(self, prediction: ArrayLike, target: ArrayLike) -> None:
        """Take in one batch.

        Parameters
        ----------
        prediction : array_like, shape (batch, class, ...)
            Scores or probabilities.
        target : array_like of int, shape (batch, ...)
            Classes.

        Raises
        ------
        ShapeError
            If the target has not the prediction's shape without its class axis.
        """
        found, wanted = _classes("Accuracy", prediction, target, self.axis)
        self.n_right += int((found == wanted).sum())
        self.n += wanted.size

    def value(self) -> dict[str, float]:
        """Give the accuracy.

        Returns
        -------
        dict of str to float
            ``accuracy`` in [0, 1]; NaN if there was no target.
        """
        return {"accuracy": self.n_right / self.n if self.n else float("nan")}


class Dice:
    """Overlap of predicted and true regions, per class, over all elements of all batches.

    Parameters
    ----------
    names : sequence of str
        Names of the classes 1, 2, …; class 0 is the background and is left out.
    axis : int, default 1
        Class axis of the prediction.

    Notes
    -----
    ``2 |P ∩ T| / (|P| + |T|)`` for the sets P and T of elements predicted to be and truly of a
    class, counted over the whole validation set and not item by item: good for watching a
    training, while the Dice of each image is what to report. A class that occurs in neither is
    NaN and left out of the mean.

    References
    ----------
    Dice, "Measures of the amount of ecologic association between species", Ecology 26 (1945)
    297. Counted over patches in this way it is nnU-Net's "pseudo Dice".

    Examples
    --------
    >>> dice = Dice(["gm", "wm"])
    >>> scores = np.eye(3)[[0, 1, 1, 2]].T[np.newaxis]  # (batch, class, element)
    >>> dice.update(scores, [[0, 1, 2, 2]])
    >>> {name: round(number, 3) for name, number in dice.value().items()}
    {'dice': 0.667, 'dice_gm': 0.667, 'dice_wm': 0.667}
    """

    def __init__(self, names: Sequence[str], axis: int = 1) -> None:
        self.names = list(names)
        self.axis = axis
        self.reset()

    def reset(self) -> None:
        """Forget all batches."""
        self._both = np.zeros(len(self.names) + 1, np.int64)
        self._sizes = np.zeros(len(self.names) + 1, np.int64)

    def update(self, prediction: ArrayLike, target: ArrayLike) -> None:
        """Take in one batch.

        Parameters
        ----------
        prediction : array_like, shape (batch, class, ...)
            Scores or probabilities.
        target : array_like of int, shape (batch, ...)
            Classes, ``0 <= target < n_classes``.

        Raises
        ------
        ShapeError
            If the target has not the prediction's shape without its class axis, or the number
            of classes is not that of the names and the background.
        DataError
            If the target holds anything but classes.
        """
        found, wanted = _classes("Dice", prediction, target, self.axis)
        n_classes = np.shape(prediction)[self.axis]
        if n_classes != len(self.names) + 1:
            raise ShapeError(
                f"Dice: the prediction has {n_classes} classes, but {len(self.names)} names are "
                "given; expected one for each class but the background (class 0)."
            )
        if wanted.size and not 0 <= wanted.min() <= wanted.max() < n_classes:
            raise DataError(
                f"Dice: the target has labels from {wanted.min()} to {wanted.max()}; expected 0 to "
                f"{n_classes - 1}, the prediction's classes. Map the labels to classes first."
            )
        self._both += np.bincount(wanted[found == wanted].ravel(), minlength=n_classes)
        self._sizes += np.bincount(found.ravel(), minlength=n_classes)
        self._sizes += np.bincount(wanted.ravel(), minlength=n_classes)

    def value(self) -> dict[str, float]:
        """Give the Dice of each class and their mean.

        Returns
        -------
        dict of str to float
            ``dice``, the mean, and ``dice_<name>`` for each class, in [0, 1].
        """
        each = [
            2 * both / size if size else float("nan")
            for both, size in zip(self._both[1:].tolist(), self._sizes[1:].tolist(), strict=True)
        ]
        seen = [number for number in each if number == number]
        mean = sum(seen) / len(seen) if seen else float("nan")
        named = zip(self.names, each, strict=True)
        return {"dice": mean, **{f"dice_{name}": number for name, number in named}}


def _classes(
    name: str, prediction: ArrayLike, target: ArrayLike, axis: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give predicted and true classes, of one shape."""
    scores, wanted = np.asarray(prediction), np.asarray(target)
    found = np.argmax(scores, axis=axis)
    if found.shape != wanted.shape:
        raise ShapeError(
            f"{name}: the prediction has shape {scores.shape}, so the target should have "
            f"{found.shape} (without class axis {axis}), but has {wanted.shape}."
        )
    return found, wanted
