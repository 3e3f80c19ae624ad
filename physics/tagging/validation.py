"""What is watched while a network for jets trains."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine import Tensor, softmax
from fieldgrad.physics.figures import metrics

__all__ = ["ClassScores", "Errors"]


class ClassScores:
    """Accuracy and area under the curve of a validation, weighted; a metric for `Learner`.

    Parameters
    ----------
    background : int, default 0
        Class that the others together are compared with.
    """

    def __init__(self, background: int = 0) -> None:
        self.background = background
        self.reset()

    def reset(self) -> None:
        """Forget all batches."""
        self._batches: list[tuple[NDArray[Any], ...]] = []

    def update(self, prediction: Tensor, labels: Tensor, weights: Tensor, *rest: Tensor) -> None:
        """Take in one batch.

        Parameters
        ----------
        prediction : Tensor
            Logits, (n_jets, n_classes).
        labels, weights : Tensor
            Of each jet.
        *rest : Tensor
            Further targets, not used.
        """
        p = softmax(prediction, axis=1)
        self._batches.append(tuple(np.asarray(x) for x in (p, labels, weights)))

    def seen(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Give all batches as one.

        Returns
        -------
        probabilities : ndarray, shape (n_jets, n_classes)
            Of each class.
        labels, weights : ndarray, shape (n_jets,)
            Of each jet.
        """
        first, second, weights = zip(*self._batches, strict=True)
        return np.concatenate(first), np.concatenate(second), np.concatenate(weights)

    def value(self) -> dict[str, float]:
        """Give the numbers.

        Returns
        -------
        dict of str to float
            ``accuracy`` and ``auc``; NaN where a class has no weight.
        """
        p, labels, weights = self.seen()
        signal = labels != self.background
        sums = [weights[signal].sum(), weights[~signal].sum()]
        return {
            "accuracy": metrics.accuracy(labels, p, weights) if sum(sums) > 0 else float("nan"),
            "auc": (
                metrics.auc(signal, 1 - p[:, self.background], weights)
                if min(sums) > 0
                else float("nan")
            ),
        }


class Errors:
    """Mean absolute error of a regression's validation, weighted; a metric for `Learner`.

    Parameters
    ----------
    output : int
        Which of the outputs is the estimate.
    center, scale : float
        What standardized the target: (t - center) · scale.
    """

    def __init__(self, output: int, center: float, scale: float) -> None:
        self.output, self.center, self.scale = output, center, scale
        self.reset()

    def reset(self) -> None:
        """Forget all batches."""
        self._batches: list[tuple[NDArray[Any], ...]] = []

    def update(self, prediction: Tensor, target: Tensor, weights: Tensor, *rest: Tensor) -> None:
        """Take in one batch.

        Parameters
        ----------
        prediction : Tensor
            Standardized, (n_jets, n_outputs).
        target, weights : Tensor
            Of each jet; the target is standardized.
        *rest : Tensor
            Further targets, not used.
        """
        found = np.asarray(prediction)[:, self.output]
        columns = (found / self.scale + self.center, np.asarray(target) / self.scale + self.center)
        self._batches.append((*columns, np.asarray(weights)))

    def seen(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Give all batches as one.

        Returns
        -------
        predicted, truth, weights : ndarray, shape (n_jets,)
            In the units of the target.
        """
        first, second, weights = zip(*self._batches, strict=True)
        return np.concatenate(first), np.concatenate(second), np.concatenate(weights)

    def value(self) -> dict[str, float]:
        """Give the number.

        Returns
        -------
        dict of str to float
            ``mae``, in the units of the target; NaN without weight.
        """
        predicted, truth, weights = self.seen()
        total = float(weights.sum())
        error = float((weights * np.abs(predicted - truth)).sum())
        return {"mae": error / total if total > 0 else float("nan")}
