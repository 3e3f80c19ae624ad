"""Averages of weights along a training."""

from collections.abc import Iterable, Mapping

import numpy as np

from fieldgrad.engine._core import Tensor, bump_versions
from fieldgrad.engine.bindings import optim_kernels
from fieldgrad.engine.optim.base import Array, Optimizer, check, check_params, load, table

__all__ = ["EMA", "Lookahead"]


class EMA:
    """Exponential moving average of parameters.

    Parameters
    ----------
    params : iterable of Tensor
        Parameters to follow.
    decay : float, default 0.999
        Weight of the past, in [0, 1).

    Notes
    -----
    ``average = d * average + (1 - d) * w`` with ``d = min(decay, (1 + t) / (10 + t))`` at update
    t = 1, 2, …, so that the starting weights are forgotten early in short runs.

    References
    ----------
    Polyak, Juditsky, "Acceleration of stochastic approximation by averaging", SIAM J. Control
    Optim. 30 (1992) 838; the warm-up of the decay is TensorFlow's ``ExponentialMovingAverage``.

    Examples
    --------
    >>> import numpy as np
    >>> from fieldgrad.engine._core import Tensor
    >>> w = Tensor(np.zeros(1))
    >>> average = EMA([w], decay=0.75)
    >>> w.assign([1.1])
    >>> average.update()
    >>> average.swap()
    >>> round(w.item(), 6)
    0.9
    """

    def __init__(self, params: Iterable[Tensor], decay: float = 0.999) -> None:
        check("decay", decay, 0 <= decay < 1, "0 <= decay < 1")
        self.params = list(params)
        check_params("EMA", self.params)
        self.decay = decay
        self._steps = np.zeros((), np.int64)
        self._average = {f"average.{i}": p.data.copy(order="K") for i, p in enumerate(self.params)}

    def update(self) -> None:
        """Move the averages toward the present values."""
        self._steps += 1
        t = int(self._steps)
        rate = 1 - min(self.decay, (1 + t) / (10 + t))
        columns = [list(self._average.values()), [p.data for p in self.params]]
        optim_kernels.update("approach", columns, table(len(self.params), rate))

    def swap(self) -> None:
        """Exchange parameters and averages; a second call exchanges them back."""
        for parameter, average in zip(self.params, self._average.values(), strict=True):
            weights = parameter.data.copy()
            parameter.assign(average)
            average[...] = weights

    def state_dict(self) -> dict[str, Array]:
        """Give the averages, as copies.

        Returns
        -------
        dict of str to numpy.ndarray
            ``"average.<i>"`` of the shape of parameter i, and ``steps`` (0-d).
        """
        averages = {name: array.copy() for name, array in self._average.items()}
        return {**averages, "steps": self._steps.copy()}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Continue from what `state_dict` gave.

        Parameters
        ----------
        state : mapping of str to numpy.ndarray
            As from `state_dict`.

        Raises
        ------
        DataError, ShapeError
            If an array is missing, unknown or of another shape; nothing is changed then.
        """
        load("EMA", {**self._average, "steps": self._steps}, state)


class Lookahead:
    """Lets an optimizer run ahead, and every so often goes a part of its way.

    Parameters
    ----------
    optimizer : Optimizer
        The fast one.
    k : int, default 5
        Number of its steps between two slow ones.
    alpha : float, default 0.5
        Part of the way that a slow step goes, in (0, 1].

    Attributes
    ----------
    optimizer : Optimizer
        The fast one; its state is kept over slow steps.

    Notes
    -----
    ``slow = slow + alpha * (fast - slow)`` after every k steps, and ``fast = slow``.

    References
    ----------
    Zhang, Lucas, Hinton, Ba, "Lookahead optimizer: k steps forward, 1 step back", NeurIPS 2019,
    arXiv:1907.08610, algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> from fieldgrad.engine._core import Tensor
    >>> from fieldgrad.engine.optim import SGD
    >>> w = Tensor(np.zeros(1), requires_grad=True)
    >>> optimizer = Lookahead(SGD([w], lr=1.0), k=2)
    >>> for _ in range(2):
    ...     w.grad = Tensor(np.array([-1.0]))
    ...     optimizer.step()
    >>> w.item()  # half of the way to 2
    1.0
    """

    def __init__(self, optimizer: Optimizer, k: int = 5, alpha: float = 0.5) -> None:
        check("k", k, k >= 1, "1 or more")
        check("alpha", alpha, 0 < alpha <= 1, "0 < alpha <= 1")
        self.optimizer, self.k, self.alpha = optimizer, k, alpha
        self._steps = np.zeros((), np.int64)
        self._slow = {f"slow.{i}": p.data.copy() for i, p in enumerate(optimizer.params)}

    @property
    def params(self) -> list[Tensor]:
        """All parameters of the fast optimizer."""
        return self.optimizer.params

    @property
    def lr(self) -> float:
        """Learning rate of the fast optimizer."""
        return self.optimizer.lr

    @lr.setter
    def lr(self, value: float) -> None:
        self.optimizer.lr = value

    @property
    def momentum(self) -> float:
        """Momentum of the fast optimizer."""
        return self.optimizer.momentum

    @momentum.setter
    def momentum(self, value: float) -> None:
        self.optimizer.momentum = value

    @property
    def weight_decay(self) -> float:
        """Weight decay of the fast optimizer."""
        return self.optimizer.weight_decay

    @weight_decay.setter
    def weight_decay(self, value: float) -> None:
        self.optimizer.weight_decay = value

    def step(self) -> None:
        """Step with the fast optimizer, and after every k of its steps with the slow weights."""
        self.optimizer.step()
        self._steps += 1
        if self._steps % self.k:
            return
        for parameter, slow in zip(self.params, self._slow.values(), strict=True):
            slow += self.alpha * (parameter.data - slow)
            parameter.data[...] = slow
        bump_versions(self.params)

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        self.optimizer.zero_grad()

    def state_dict(self) -> dict[str, Array]:
        """Give settings and state of both, as copies.

        Returns
        -------
        dict of str to numpy.ndarray
            What the fast optimizer gives, ``"slow.<i>"`` of the shape of parameter i, and
            ``slow_steps`` (0-d).
        """
        slow = {name: array.copy() for name, array in self._slow.items()}
        return {**self.optimizer.state_dict(), **slow, "slow_steps": self._steps.copy()}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Continue from what `state_dict` gave.

        Parameters
        ----------
        state : mapping of str to numpy.ndarray
            As from `state_dict`.

        Raises
        ------
        DataError, ShapeError
            If an array is missing, unknown or of another shape.
        """
        own = {**self._slow, "slow_steps": self._steps}
        load("Lookahead", own, {key: state[key] for key in own if key in state})
        self.optimizer.load_state_dict({k: v for k, v in state.items() if k not in own})
