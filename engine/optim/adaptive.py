"""Steps scaled by the size of past gradients, weight by weight."""

import numpy as np

from fieldgrad.engine.optim.base import Array, Optimizer, Params, check

__all__ = ["Adagrad", "RMSprop"]


class RMSprop(Optimizer):
    """Gradient descent scaled by a running mean of the square of the gradient.

    Parameters
    ----------
    params : iterable of Tensor, or iterable of dict
        Parameters, or groups ``{"params": [...], "lr": ..., "weight_decay": ...}``.
    lr : float, default 1e-2
        Learning rate.
    momentum : float, default 0
        Decay of the velocity, in [0, 1).
    alpha : float, default 0.99
        Decay of the mean square, in [0, 1).
    eps : float, default 1e-8
        Added to the root of the mean square.
    centered : bool, default False
        Subtract the square of the running mean: scale by the spread of the gradient.
    weight_decay : float, default 0
        Strength of the decay of the weights.
    decoupled : bool, default False
        Decay the weights themselves by ``lr * weight_decay``, not through the gradient.

    Notes
    -----
    ::

        v = alpha * v + (1 - alpha) * g²
        u = momentum * u + g / (sqrt(v) + eps)
        w = w - lr * u

    References
    ----------
    Tieleman, Hinton, "Lecture 6.5: RMSProp", Coursera, 2012. Centered: A. Graves, "Generating
    sequences with recurrent neural networks", 2013, arXiv:1308.0850, eqs. 38-45.
    """

    slots = ("mean_square", "velocity", "mean")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        momentum: float = 0.0,
        *,
        alpha: float = 0.99,
        eps: float = 1e-8,
        centered: bool = False,
        weight_decay: float = 0.0,
        decoupled: bool = False,
    ) -> None:
        check("alpha", alpha, 0 <= alpha < 1, "0 <= alpha < 1")
        check("eps", eps, eps > 0, "a positive number")
        super().__init__(params, lr, momentum, weight_decay, decoupled)
        self.alpha, self.eps, self.centered = alpha, eps, centered

    def update(self, chosen: list[int], t: Array, lr: Array, decay: Array, shrink: Array) -> None:
        """Change some parameters in place; see `Optimizer.update`."""
        momentum = float(self.momentum)
        for i, w, g, _, rate in self.changed(chosen, t, lr, decay, shrink):
            v, u, m = (self._state[slot][i] for slot in self.slots)
            v += (1 - self.alpha) * (g * g - v)
            spread = v
            if self.centered:
                m += (1 - self.alpha) * (g - m)
                spread = v - m * m
            step = g / (np.sqrt(spread) + self.eps)
            if momentum:
                u *= momentum
                u += step
                step = u
            w -= rate * step


class Adagrad(Optimizer):
    """Gradient descent scaled by the sum of the squares of all gradients so far.

    Parameters
    ----------
    params : iterable of Tensor, or iterable of dict
        Parameters, or groups ``{"params": [...], "lr": ..., "weight_decay": ...}``.
    lr : float, default 1e-2
        Learning rate.
    lr_decay : float, default 0
        The rate of step t is ``lr / (1 + (t - 1) * lr_decay)``.
    initial_accumulator_value : float, default 0
        Sum of squares at the beginning.
    eps : float, default 1e-10
        Added to the root of the sum.
    weight_decay : float, default 0
        Strength of the decay of the weights.
    decoupled : bool, default False
        Decay the weights themselves by ``lr * weight_decay``, not through the gradient.

    References
    ----------
    Duchi, Hazan, Singer, "Adaptive subgradient methods for online learning and stochastic
    optimization", JMLR 12 (2011) 2121, with diagonal matrices.
    """

    slots = ("sum_of_squares",)

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        *,
        lr_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        weight_decay: float = 0.0,
        decoupled: bool = False,
    ) -> None:
        start = initial_accumulator_value
        check("lr_decay", lr_decay, lr_decay >= 0, "0 or more")
        check("initial_accumulator_value", start, start >= 0, "0 or more")
        check("eps", eps, eps > 0, "a positive number")
        super().__init__(params, lr, 0.0, weight_decay, decoupled)
        self.lr_decay, self.eps = lr_decay, eps
        for array in self._state["sum_of_squares"]:
            array.fill(start)

    def update(self, chosen: list[int], t: Array, lr: Array, decay: Array, shrink: Array) -> None:
        """Change some parameters in place; see `Optimizer.update`."""
        for i, w, g, n, rate in self.changed(chosen, t, lr, decay, shrink):
            total = self._state["sum_of_squares"][i]
            total += g * g
            w -= rate / (1 + (n - 1) * self.lr_decay) * g / (np.sqrt(total) + self.eps)
