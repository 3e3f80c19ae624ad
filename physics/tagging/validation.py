"""What is watched while a tagger trains."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine import Tensor, softmax
from fieldgrad.physics.figures import metrics

__all__ = ["ClassScores"]


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

    def value(self) -> dict[str, float]:
        """Give the numbers.

        Returns
        -------
        dict of str to float
            ``accuracy`` and ``auc``; NaN where a class has no weight.
        """
        p, labels, weights = (np.concatenate(column) for column in zip(*self._batches, strict=True))
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
