"""Optimizers: change parameters in place along their gradients; clipping and averaging.

A step changes all parameters in one call of a kernel that passes over the memory once, in the dtype
of each parameter; every array that is needed beside the parameters is made when the optimizer is.
Results do not depend on the number of threads.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine import _optim_kernels
from fieldgrad.engine._core import Tensor, bump_versions
from fieldgrad.engine.errors import DataError, RecipeError, ShapeError, suggest

__all__ = ["EMA", "SGD", "Adam", "AdamW", "Optimizer", "clip_grad_norm"]

Array = NDArray[Any]
Params = Iterable[Tensor] | Iterable[Mapping[str, Any]]


class Optimizer:
    """What all optimizers share: parameters, settings, state, and the order of a step.

    An optimizer of one's own gives the names of its state arrays in `slots` and the arithmetic
    in `update`.

    Parameters
    ----------
    params : iterable of Tensor, or iterable of dict
        Parameters, or groups ``{"params": [...], "lr": ..., "weight_decay": ...}`` of which the
        last two are optional.
    lr : float
        Learning rate, positive.
    momentum : float
        Decay of the running mean of the gradient, in [0, 1).
    weight_decay : float
        Pull of the weights toward zero, not negative.
    decoupled : bool
        Shrink the weights by ``lr * weight_decay`` themselves, instead of adding
        ``weight_decay * w`` to the gradient.

    Attributes
    ----------
    lr, momentum, weight_decay : float
        May be set between steps. Groups with values of their own keep their ratio to these.
    params : list of Tensor
        All parameters, group after group.

    Raises
    ------
    RecipeError
        If a setting is out of its range, a group has an unknown key, or no parameter is given
        or one is given twice.
    """

    slots: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self, params: Params, lr: float, momentum: float, weight_decay: float, decoupled: bool
    ) -> None:
        _check("lr", lr, lr > 0, "a positive number")
        _check("momentum", momentum, 0 <= momentum < 1, "0 <= momentum < 1")
        _check("weight_decay", weight_decay, weight_decay >= 0, "0 or more")
        self.lr = lr
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.decoupled = decoupled
        self.params: list[Tensor] = []
        lr_ratios: list[float] = []
        decay_ratios: list[float] = []
        for group in _groups(params):
            members = list(group["params"])
            self.params += members
            lr_ratios += [group.get("lr", lr) / lr] * len(members)
            decay_ratios += [self._decay_ratio(group)] * len(members)
        _check_params(type(self).__name__, self.params)
        self._lr_ratios, self._decay_ratios = np.array(lr_ratios), np.array(decay_ratios)
        self._steps = np.zeros(len(self.params), np.int64)
        self._state = {slot: [np.zeros_like(p.data) for p in self.params] for slot in self.slots}

    def step(self) -> None:
        """Change every parameter that has a gradient."""
        chosen = [i for i, p in enumerate(self.params) if p.grad is not None]
        if not chosen:
            return
        self._steps[chosen] += 1
        lr = float(self.lr) * self._lr_ratios[chosen]
        decay = float(self.weight_decay) * self._decay_ratios[chosen]
        if self.decoupled:
            self.update(chosen, self._steps[chosen], lr, np.zeros_like(decay), 1 - lr * decay)
        else:
            self.update(chosen, self._steps[chosen], lr, decay, np.ones_like(decay))
        bump_versions(self.params[i] for i in chosen)

    def update(self, chosen: list[int], t: Array, lr: Array, decay: Array, shrink: Array) -> None:
        """Change some parameters in place.

        Parameters
        ----------
        chosen : list of int
            Positions in `params`; these have gradients, which are to be left as they are.
        t : numpy.ndarray, shape (n_chosen,)
            Number of updates of each, this one included.
        lr : numpy.ndarray, shape (n_chosen,)
            Learning rate of each.
        decay : numpy.ndarray, shape (n_chosen,)
            What each adds to its gradient: ``decay * w``.
        shrink : numpy.ndarray, shape (n_chosen,)
            By what each is multiplied first; 1 where the decay is not decoupled.
        """
        raise NotImplementedError

    def _run(self, kind: str, chosen: list[int], slots: Sequence[str], *settings: Any) -> None:
        """Run a kernel on weights, gradients and state; settings are numbers or one per row."""
        members = [self.params[i] for i in chosen]
        columns = [
            [p.data for p in members],
            [p.grad.data for p in members],  # type: ignore[union-attr]
            *([self._state[slot][i] for i in chosen] for slot in slots),
        ]
        _optim_kernels.update(kind, columns, _table(len(chosen), *settings))

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.params:
            parameter.grad = None

    def state_dict(self) -> dict[str, Array]:
        """Give settings and state, as copies.

        Returns
        -------
        dict of str to numpy.ndarray
            ``lr``, ``momentum``, ``weight_decay`` (0-d), ``steps`` (int64, one per parameter),
            and ``"<slot>.<i>"`` of the shape of parameter i for each slot.
        """
        settings = {name: np.asarray(getattr(self, name), np.float64) for name in _SETTINGS}
        state = {name: array.copy() for name, array in self._named_state().items()}
        return {**settings, "steps": self._steps.copy(), **state}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Continue from what `state_dict` gave.

        Parameters
        ----------
        state : mapping of str to numpy.ndarray
            As from `state_dict`, of an optimizer of the same kind for parameters of the same
            shapes in the same order.

        Raises
        ------
        DataError, ShapeError
            If an array is missing, unknown or of another shape; nothing is changed then.
        """
        _load(type(self).__name__, {**self._named_state(), "steps": self._steps}, state, _SETTINGS)
        for name in _SETTINGS:
            setattr(self, name, float(state[name]))

    def _named_state(self) -> dict[str, Array]:
        return {
            f"{slot}.{i}": array
            for slot, arrays in self._state.items()
            for i, array in enumerate(arrays)
        }

    def _decay_ratio(self, group: Mapping[str, Any]) -> float:
        decay = group.get("weight_decay", self.weight_decay)
        if decay and not self.weight_decay:
            raise RecipeError(
                f"{type(self).__name__}: a group has weight_decay {decay}, but the optimizer's is "
                "0. Set the optimizer's, and 0 in the groups without decay."
            )
        return decay / self.weight_decay if self.weight_decay else 0.0


_SETTINGS = ("lr", "momentum", "weight_decay")


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
        _check("dampening", dampening, 0 <= dampening <= 1, "0 <= dampening <= 1")
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

    Notes
    -----
    ::

        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g²
        w = w - lr * m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps)

    References
    ----------
    Kingma, Ba, "Adam: a method for stochastic optimization", ICLR 2015, arXiv:1412.6980,
    algorithm 1.
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
    ) -> None:
        _check("betas[1]", betas[1], 0 <= betas[1] < 1, "0 <= beta < 1")
        _check("eps", eps, eps > 0, "a positive number")
        super().__init__(params, lr, betas[0], weight_decay, decoupled)
        self.beta2 = betas[1]
        self.eps = eps

    def update(self, chosen: list[int], t: Array, lr: Array, decay: Array, shrink: Array) -> None:
        """Change some parameters in place; see `Optimizer.update`."""
        beta1, beta2 = float(self.momentum), float(self.beta2)
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
    ) -> None:
        super().__init__(
            params, lr, betas=betas, eps=eps, weight_decay=weight_decay, decoupled=True
        )


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
        _check("decay", decay, 0 <= decay < 1, "0 <= decay < 1")
        self.params = list(params)
        _check_params("EMA", self.params)
        self.decay = decay
        self._steps = np.zeros((), np.int64)
        self._average = {f"average.{i}": p.data.copy(order="K") for i, p in enumerate(self.params)}

    def update(self) -> None:
        """Move the averages toward the present values."""
        self._steps += 1
        t = int(self._steps)
        rate = 1 - min(self.decay, (1 + t) / (10 + t))
        columns = [list(self._average.values()), [p.data for p in self.params]]
        _optim_kernels.update("approach", columns, _table(len(self.params), rate))

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
        _load("EMA", {**self._average, "steps": self._steps}, state)


def clip_grad_norm(params: Iterable[Tensor], max_norm: float) -> float:
    """Shorten the gradient of all parameters together to a largest length, in place.

    Parameters
    ----------
    params : iterable of Tensor
        Parameters; those without a gradient count as zero.
    max_norm : float
        Largest Euclidean norm of all gradients as one vector, positive.

    Returns
    -------
    float
        The norm before clipping. If it is not finite the gradients are left as they are.

    Notes
    -----
    Squares are summed in float64 in a fixed order: the same for any number of threads.

    References
    ----------
    Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks", ICML
    2013, arXiv:1211.5063, algorithm 1.

    Examples
    --------
    >>> from fieldgrad.engine._core import Tensor
    >>> w = Tensor([3.0, 4.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> clip_grad_norm([w], max_norm=5.0)
    10.0
    >>> w.grad.tolist()
    [3.0, 4.0]
    """
    _check("max_norm", max_norm, max_norm > 0, "a positive number")
    gradients = [p.grad for p in params if p.grad is not None]
    arrays = [g.data for g in gradients]
    norm = math.sqrt(_optim_kernels.sum_of_squares(arrays))
    if math.isfinite(norm) and norm > max_norm:
        _optim_kernels.update("scale", [arrays], _table(len(arrays), max_norm / norm))
        bump_versions(gradients)
    return norm


def _table(n_rows: int, *settings: Any) -> Array:
    """Settings as columns of equal length."""
    table = np.empty((n_rows, len(settings)))
    for column, setting in enumerate(settings):
        table[:, column] = setting
    return table


def _check(name: str, value: float, valid: bool, expected: str) -> None:
    if not valid:
        raise RecipeError(f"{name} is {value}; expected {expected}.")


def _groups(params: Params) -> list[Mapping[str, Any]]:
    """Give groups in both forms of `params`."""
    if isinstance(params, Tensor | Mapping):
        raise RecipeError(
            f"params is one {type(params).__name__}; expected a list of parameters or of groups. "
            "Write [w], or model.parameters()."
        )
    listed = list(params)
    groups = [entry for entry in listed if isinstance(entry, Mapping)]
    if not groups:
        return [{"params": listed}]
    known = ("params", "lr", "weight_decay")
    for key in [key for group in groups for key in group]:
        if key not in known:
            raise RecipeError(
                f"a parameter group has no setting {key!r}{suggest(key, known)}. "
                f"Settings: {', '.join(known)}."
            )
    return groups


def _check_params(name: str, params: Sequence[Tensor]) -> None:
    if not params:
        raise RecipeError(f"{name}: there is no parameter. Is model.parameters() used up or empty?")
    for i, p in enumerate(params):
        if not isinstance(p, Tensor):
            raise RecipeError(f"{name}: parameter {i} is a {type(p).__name__}; expected a Tensor.")
    if len({id(p) for p in params}) != len(params):
        raise RecipeError(f"{name}: a parameter is given twice. List each in one group only.")


def _load(
    name: str,
    own: Mapping[str, Array],
    state: Mapping[str, Array],
    settings: Sequence[str] = (),
) -> None:
    """Copy arrays from `state` into those of the same name, after checking all of them."""
    expected = {*own, *settings}
    if state.keys() != expected:
        raise DataError(
            f"{name}: the state lacks {sorted(expected - state.keys())[:3]} and has unknown "
            f"{sorted(state.keys() - expected)[:3]}. It is of another kind of optimizer or model."
        )
    for key, array in own.items():
        if state[key].shape != array.shape:
            raise ShapeError(
                f"{name}: {key} in the state has shape {state[key].shape}, here {array.shape}. "
                "The state is of another model."
            )
    for key, array in own.items():
        array[...] = state[key]
