"""Adam and its relatives: steps scaled by running means of the gradient and of its square."""

import math
from typing import Any

import numpy as np

from fieldgrad.engine.optim.base import Array, Optimizer, Params, check

__all__ = ["Adam", "AdamW", "NAdam", "RAdam"]


class Adam(Optimizer):
    """Gradient descent scaled by running means of the gradient and of its square.

    Parameters
    ----------
    params : iterable of Tensor, or iterable of dict
        Parameters, or groups ``{"params": [...], "lr": ..., "weight_decay": ...}``.
    lr : float, default 1e-3
        Learning rate.
    betas : tuple of float, default (0.9, 0.999)
        Decay of the mean of the gradient and of the mean of its square, each in [0, 1). The
        first is the attribute `momentum`, as in SGD; the second is `beta2`.
    eps : float, default 1e-8
        Added to the root of the mean square.
    weight_decay : float, default 0
        Strength of the decay of the weights.
    decoupled : bool, default False
        Decay the weights themselves by ``lr * weight_decay``, not through the gradient.
    amsgrad : bool, default False
        Divide by the root of the largest mean square so far.

    Notes
    -----
    ::

        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g²
        w = w - lr * m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps)

    References
    ----------
    Kingma, Ba, "Adam: a method for stochastic optimization", ICLR 2015, arXiv:1412.6980,
    algorithm 1. AMSGrad: Reddi, Kale, Kumar, "On the convergence of Adam and beyond", ICLR 2018,
    arXiv:1904.09237, algorithm 2.
    """

    slots = ("mean", "mean_square")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled: bool = False,
        amsgrad: bool = False,
    ) -> None:
        check("betas[1]", betas[1], 0 <= betas[1] < 1, "0 <= beta < 1")
        check("eps", eps, eps > 0, "a positive number")
        super().__init__(params, lr, betas[0], weight_decay, decoupled)
        self.beta2 = betas[1]
        self.eps = eps
        self.amsgrad = amsgrad
        if amsgrad:
            self._state["largest"] = [np.zeros_like(p.data) for p in self.params]

    def update(self, chosen: list[int], t: Array, lr: Array, decay: Array, shrink: Array) -> None:
        """Change some parameters in place; see `Optimizer.update`."""
        beta1, beta2 = float(self.momentum), float(self.beta2)
        if self.amsgrad:
            for i, w, g, n, step in self.changed(chosen, t, lr, decay, shrink):
                m, v, top = (self._state[slot][i] for slot in (*self.slots, "largest"))
                m += (1 - beta1) * (g - m)
                v += (1 - beta2) * (g * g - v)
                np.maximum(top, v, out=top)
                step /= 1 - beta1**n
                w -= step * m / (np.sqrt(top / (1 - beta2**n)) + self.eps)
            return
        rate, correction = lr / (1 - beta1**t), (1 - beta2**t) ** -0.5
        self._run(
            "adam", chosen, self.slots, rate, decay, shrink, beta1, beta2, self.eps, correction
        )


class AdamW(Adam):
    """Adam with decoupled weight decay.

    Parameters
    ----------
    params : iterable of Tensor, or iterable of dict
        Parameters, or groups ``{"params": [...], "lr": ..., "weight_decay": ...}``.
    lr : float, default 1e-3
        Learning rate.
    betas : tuple of float, default (0.9, 0.999)
        As in `Adam`.
    eps : float, default 1e-8
        As in `Adam`.
    weight_decay : float, default 0.01
        Each step first multiplies the weights by ``1 - lr * weight_decay``.
    amsgrad : bool, default False
        As in `Adam`.

    Notes
    -----
    The paper's decay follows the schedule but not the learning rate; here, as in PyTorch, it is
    multiplied by the learning rate too.

    References
    ----------
    Loshchilov, Hutter, "Decoupled weight decay regularization", ICLR 2019, arXiv:1711.05101,
    algorithm 2.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        amsgrad: bool = False,
    ) -> None:
        options: dict[str, Any] = {"weight_decay": weight_decay, "amsgrad": amsgrad}
        super().__init__(params, lr, betas=betas, eps=eps, decoupled=True, **options)


class RAdam(Adam):
    """Adam that waits with the scaling until the mean square is known well enough.

    Parameters
    ----------
    params : iterable of Tensor, or iterable of dict
        Parameters, or groups ``{"params": [...], "lr": ..., "weight_decay": ...}``.
    lr : float, default 1e-3
        Learning rate.
    betas : tuple of float, default (0.9, 0.999)
        As in `Adam`.
    eps : float, default 1e-8
        As in `Adam`.
    weight_decay : float, default 0
        Strength of the decay of the weights.
    decoupled : bool, default False
        Decay the weights themselves by ``lr * weight_decay``, not through the gradient.

    Notes
    -----
    With N = 2 / (1 - beta2) - 1 and n = N - 2 t beta2^t / (1 - beta2^t) the step is Adam's times
    sqrt((n - 4) (n - 2) N / ((N - 4) (N - 2) n)) where n > 5, and ``lr * m / (1 - beta1^t)`` where
    not. eps is added to the root of the mean square before its correction, as in PyTorch.

    References
    ----------
    Liu, Jiang, He, Chen, Liu, Gao, Han, "On the variance of the adaptive learning rate and beyond",
    ICLR 2020, arXiv:1908.03265, algorithm 2.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled: bool = False,
    ) -> None:
        options: dict[str, Any] = {"weight_decay": weight_decay, "decoupled": decoupled}
        super().__init__(params, lr, betas=betas, eps=eps, **options)

    def update(self, chosen: list[int], t: Array, lr: Array, decay: Array, shrink: Array) -> None:
        """Change some parameters in place; see `Optimizer.update`."""
        beta1, beta2 = float(self.momentum), float(self.beta2)
        limit = 2.0 / (1.0 - beta2) - 1.0  # N
        for i, w, g, n, rate in self.changed(chosen, t, lr, decay, shrink):
            m, v = (self._state[slot][i] for slot in self.slots)
            m += (1 - beta1) * (g - m)
            v += (1 - beta2) * (g * g - v)
            rate /= 1 - beta1**n
            length = limit - 2 * n * beta2**n / (1 - beta2**n)
            if length <= 5:
                w -= rate * m
                continue
            ratio = (length - 4) * (length - 2) * limit / ((limit - 4) * (limit - 2) * length)
            rate *= math.sqrt(ratio * (1 - beta2**n))
            w -= rate * m / (np.sqrt(v) + self.eps)


class NAdam(Adam):
    """Adam that looks ahead along the mean of the gradient, as Nesterov's method does.

    Parameters
    ----------
    params : iterable of Tensor, or iterable of dict
        Parameters, or groups ``{"params": [...], "lr": ..., "weight_decay": ...}``.
    lr : float, default 2e-3
        Learning rate.
    betas : tuple of float, default (0.9, 0.999)
        As in `Adam`.
    eps : float, default 1e-8
        As in `Adam`.
    weight_decay : float, default 0
        Strength of the decay of the weights.
    momentum_decay : float, default 4e-3
        How fast the momentum rises to beta1.
    decoupled : bool, default False
        Decay the weights themselves by ``lr * weight_decay``, not through the gradient.

    Notes
    -----
    With μ_t = beta1 (1 - 0.96^(t momentum_decay) / 2) and Π_t the product of μ_1 to μ_t::

        w = w - lr * ((1 - μ_t) / (1 - Π_t) * g + μ_{t+1} / (1 - Π_{t+1}) * m) / d
        d = sqrt(v / (1 - beta2^t)) + eps

    References
    ----------
    T. Dozat, "Incorporating Nesterov momentum into Adam", ICLR workshop 2016, algorithm 2.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled: bool = False,
    ) -> None:
        check("momentum_decay", momentum_decay, momentum_decay >= 0, "0 or more")
        options: dict[str, Any] = {"weight_decay": weight_decay, "decoupled": decoupled}
        super().__init__(params, lr, betas=betas, eps=eps, **options)
        self.momentum_decay = momentum_decay
        self._state["momentum_product"] = [np.ones(()) for _ in self.params]

    def update(self, chosen: list[int], t: Array, lr: Array, decay: Array, shrink: Array) -> None:
        """Change some parameters in place; see `Optimizer.update`."""
        beta1, beta2 = float(self.momentum), float(self.beta2)
        for i, w, g, n, rate in self.changed(chosen, t, lr, decay, shrink):
            m, v = (self._state[slot][i] for slot in self.slots)
            now, following = (
                beta1 * (1 - 0.5 * 0.96 ** (k * self.momentum_decay)) for k in (n, n + 1)
            )
            product = float(self._state["momentum_product"][i]) * now
            self._state["momentum_product"][i][...] = product
            m += (1 - beta1) * (g - m)
            v += (1 - beta2) * (g * g - v)
            to_g = rate * (1 - now) / (1 - product)
            to_m = rate * following / (1 - product * following)
            w -= (to_g * g + to_m * m) / (np.sqrt(v / (1 - beta2**n)) + self.eps)
