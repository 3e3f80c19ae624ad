"""A learning rate that falls when a value stops getting better."""

import math
from collections.abc import Mapping

import numpy as np

from fieldgrad.engine.optim.averages import Lookahead
from fieldgrad.engine.optim.base import Array, Optimizer, check, load

__all__ = ["ReduceOnPlateau"]


class ReduceOnPlateau:
    """Multiply the learning rate by a factor when a value has not become better for a while.

    Parameters
    ----------
    optimizer : Optimizer
        Whose rate is changed.
    factor : float, default 0.1
        What the rate is multiplied by, in (0, 1).
    patience : int, default 10
        Number of values without a new best one that are let pass.
    threshold : float, default 1e-4
        By how much a value must be better than the best, relative to it.
    cooldown : int, default 0
        Number of values after a change in which none is counted.
    min_lr : float, default 0
        Lowest rate.
    higher_is_better : bool, default False
        Whether the value is one such as Dice, or one such as a loss.

    Attributes
    ----------
    best : float
        The best value so far.

    Notes
    -----
    The rule of PyTorch's ``ReduceLROnPlateau`` with relative thresholds.

    Examples
    --------
    >>> from fieldgrad.engine._core import Tensor
    >>> from fieldgrad.engine.optim import SGD
    >>> optimizer = SGD([Tensor([0.0], requires_grad=True)], lr=1.0)
    >>> plateau = ReduceOnPlateau(optimizer, patience=1)
    >>> for value in (3.0, 2.0, 2.0, 2.0):
    ...     plateau.step(value)
    >>> optimizer.lr
    0.1
    """

    def __init__(
        self,
        optimizer: Optimizer | Lookahead,
        *,
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
        higher_is_better: bool = False,
    ) -> None:
        check("factor", factor, 0 < factor < 1, "0 < factor < 1")
        check("patience", patience, patience >= 0, "0 or more")
        self.optimizer, self.factor, self.patience = optimizer, factor, patience
        self.threshold, self.cooldown, self.min_lr = threshold, cooldown, min_lr
        self.higher_is_better = higher_is_better
        self.best = -math.inf if higher_is_better else math.inf
        self._bad = self._cooling = 0

    def step(self, value: float) -> None:
        """Take note of a value, and lower the rate if it is time.

        Parameters
        ----------
        value : float
            Of this epoch; NaN counts as not better.
        """
        if self._is_better(float(value)):
            self.best, self._bad = float(value), 0
        else:
            self._bad += 1
        if self._cooling:
            self._cooling -= 1
            self._bad = 0
        if self._bad > self.patience:
            lr = max(self.optimizer.lr * self.factor, self.min_lr)
            if self.optimizer.lr - lr > 1e-8:
                self.optimizer.lr = lr
            self._bad, self._cooling = 0, self.cooldown

    def _is_better(self, value: float) -> bool:
        if self.higher_is_better:
            return value > self.best * (1 + self.threshold)
        return value < self.best * (1 - self.threshold)

    def state_dict(self) -> dict[str, Array]:
        """Give what was noted; the rate itself is the optimizer's.

        Returns
        -------
        dict of str to numpy.ndarray
            ``plateau``: the best value, and two counts.
        """
        return {"plateau": np.array([self.best, self._bad, self._cooling])}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Continue from what `state_dict` gave.

        Parameters
        ----------
        state : mapping of str to numpy.ndarray
            As from `state_dict`.

        Raises
        ------
        DataError, ShapeError
            If the array is missing or of another shape.
        """
        own = self.state_dict()
        load("ReduceOnPlateau", own, state)
        best, bad, cooling = own["plateau"].tolist()
        self.best, self._bad, self._cooling = best, int(bad), int(cooling)
