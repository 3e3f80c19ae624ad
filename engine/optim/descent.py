"""Steps along the gradient or its sign, with momentum."""

import numpy as np

from fieldgrad.engine.errors import RecipeError
from fieldgrad.engine.optim.base import Array, Optimizer, Params, check

__all__ = ["SGD", "Lion"]


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum.

    Parameters
    ----------
    params : iterable of Tensor, or iterable of dict
        Parameters, or groups ``{"params": [...], "lr": ..., "weight_decay": ...}``.
    lr : float
        Learning rate.
    momentum : float, default 0
        Decay of the velocity, in [0, 1).
    dampening : float, default 0
        By how much less than 1 a gradient enters the velocity, in [0, 1]; the first enters whole.
    nesterov : bool, default False
        Look ahead along the velocity; needs momentum, and no dampening.
    weight_decay : float, default 0
        Strength of the decay of the weights.
    decoupled : bool, default False
        Decay the weights themselves by ``lr * weight_decay``, not through the gradient.

    Notes
    -----
    With gradient g (plus ``weight_decay * w`` unless decoupled) and velocity v, zero at first::

        v = momentum * v + (1 - dampening) * g
        w = w - lr * v                     plain
        w = w - lr * (g + momentum * v)    nesterov

    as in PyTorch. Without momentum the velocity is g and is not kept. Sutskever et al. put the
    learning rate into the velocity, which differs when the rate changes during training.

    References
    ----------
    Sutskever, Martens, Dahl, Hinton, "On the importance of initialization and momentum in deep
    learning", ICML 2013, eqs. 1-4. Decoupled decay: Loshchilov, Hutter, "Decoupled weight decay
    regularization", ICLR 2019, arXiv:1711.05101, algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> from fieldgrad.engine._core import Tensor
    >>> w = Tensor(np.ones(1), requires_grad=True)
    >>> optimizer = SGD([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.item()
    0.0
    """

    slots = ("velocity",)

    def __init__(
        self,
        params: Params,
        lr: float,
        momentum: float = 0.0,
        *,
        dampening: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        decoupled: bool = False,
    ) -> None:
        check("dampening", dampening, 0 <= dampening <= 1, "0 <= dampening <= 1")
        if nesterov and not momentum:
            raise RecipeError("SGD: nesterov needs momentum, which is 0. Set it, commonly to 0.9.")
        if nesterov and dampening:
            raise RecipeError(f"SGD: nesterov needs dampening = 0, not {dampening}. Leave one out.")
        super().__init__(params, lr, momentum, weight_decay, decoupled)
        self.dampening = dampening
        self.nesterov = nesterov

    def update(self, chosen: list[int], t: Array, lr: Array, decay: Array, shrink: Array) -> None:
        """Change some parameters in place; see `Optimizer.update`."""
        momentum = float(self.momentum)
        if not momentum:
            self._run("descend", chosen, (), lr, decay, shrink)
        elif self.nesterov:
            self._run("nesterov", chosen, self.slots, lr, decay, shrink, momentum)
        else:
            fresh = np.where(t == 1, 1.0, 1.0 - self.dampening)
            self._run("momentum", chosen, self.slots, lr, decay, shrink, momentum, fresh)


class Lion(Optimizer):
    """Steps of equal length for every weight, along the sign of a mean of the gradient.

    Parameters
    ----------
    params : iterable of Tensor, or iterable of dict
        Parameters, or groups ``{"params": [...], "lr": ..., "weight_decay": ...}``.
    lr : float, default 1e-4
        Learning rate; about a tenth to a third of Adam's.
    betas : tuple of float, default (0.9, 0.99)
        Share of the mean in the step, and decay of the mean, each in [0, 1). The first is the
        attribute `momentum`, the second `beta2`.
    weight_decay : float, default 0
        Each step first multiplies the weights by ``1 - lr * weight_decay``.

    Notes
    -----
    ::

        w = w - lr * sign(beta1 * m + (1 - beta1) * g)
        m = beta2 * m + (1 - beta2) * g

    References
    ----------
    Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023, arXiv:2302.06675,
    algorithm 2.
    """

    slots = ("mean",)

    def __init__(
        self,
        params: Params,
        lr: float = 1e-4,
        *,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        check("betas[1]", betas[1], 0 <= betas[1] < 1, "0 <= beta < 1")
        super().__init__(params, lr, betas[0], weight_decay, True)
        self.beta2 = betas[1]

    def update(self, chosen: list[int], t: Array, lr: Array, decay: Array, shrink: Array) -> None:
        """Change some parameters in place; see `Optimizer.update`."""
        beta1, beta2 = float(self.momentum), float(self.beta2)
        for i, w, g, _, rate in self.changed(chosen, t, lr, decay, shrink):
            m = self._state["mean"][i]
            w -= rate * np.sign(beta1 * m + (1 - beta1) * g)
            m += (1 - beta2) * (g - m)
