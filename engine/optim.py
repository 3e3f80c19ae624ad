"""Optimizers: change parameters in place along their gradients; clipping and averaging.

All arithmetic is NumPy's, in place, in the dtype of each parameter; every array that is needed
beside the parameters is made when the optimizer is.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import DataError, RecipeError, ShapeError, suggest

__all__ = ["EMA", "SGD", "Adam", "AdamW", "Optimizer", "clip_grad_norm"]

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
        self._lr_ratios: list[float] = []
        self._decay_ratios: list[float] = []
        for group in _groups(params):
            members = list(group["params"])
            self.params += members
            self._lr_ratios += [group.get("lr", lr) / lr] * len(members)
            self._decay_ratios += [self._decay_ratio(group)] * len(members)
        _check_params(type(self).__name__, self.params)
        self._steps = np.zeros(len(self.params), np.int64)
        self._state = {
            f"{slot}.{i}": np.zeros_like(p.data)
            for slot in self.slots
            for i, p in enumerate(self.params)
        }
        self._scratch = _Scratch(self.params, 2)

    def step(self) -> None:
        """Change every parameter that has a gradient."""
        for i, parameter in enumerate(self.params):
            if parameter.grad is None:
                continue
            w, g = parameter.data, parameter.grad.data
            scratch, sum_ = self._scratch.like(w)
            lr = float(self.lr) * self._lr_ratios[i]
            decay = float(self.weight_decay) * self._decay_ratios[i]
            if decay and self.decoupled:
                np.multiply(w, 1 - lr * decay, out=w)
            elif decay:
                np.multiply(w, decay, out=sum_)
                g = np.add(g, sum_, out=sum_)
            self._steps[i] += 1
            self.update(i, int(self._steps[i]), w, g, lr, scratch)
            parameter.bump_version()

    def update(
        self, i: int, t: int, w: NDArray[Any], g: NDArray[Any], lr: float, scratch: NDArray[Any]
    ) -> None:
        """Change one parameter in place.

        Parameters
        ----------
        i : int
            Position of the parameter in `params`.
        t : int
            Number of updates of this parameter, this one included.
        w, g : numpy.ndarray
            Weights, to be changed, and their gradient, to be left as it is; same shape.
        lr : float
            The learning rate of this parameter.
        scratch : numpy.ndarray
            Room for intermediate values, of the shape of `w`.
        """
        raise NotImplementedError

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.params:
            parameter.grad = None

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Give settings and state, as copies.

        Returns
        -------
        dict of str to numpy.ndarray
            ``lr``, ``momentum``, ``weight_decay`` (0-d), ``steps`` (int64, one per parameter),
            and ``"<slot>.<i>"`` of the shape of parameter i for each slot.
        """
        settings = {name: np.asarray(getattr(self, name), np.float64) for name in _SETTINGS}
        state = {name: array.copy() for name, array in self._state.items()}
        return {**settings, "steps": self._steps.copy(), **state}

    def load_state_dict(self, state: Mapping[str, NDArray[Any]]) -> None:
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
        _load(type(self).__name__, {**self._state, "steps": self._steps}, state, _SETTINGS)
        for name in _SETTINGS:
            setattr(self, name, float(state[name]))

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
    nesterov : bool, default False
        Look ahead along the velocity; needs momentum.
    weight_decay : float, default 0
        Strength of the decay of the weights.
    decoupled : bool, default False
        Decay the weights themselves by ``lr * weight_decay``, not through the gradient.

    Notes
    -----
    With gradient g (plus ``weight_decay * w`` unless decoupled) and velocity v, zero at first::

        v = momentum * v + g
        w = w - lr * v                     plain
        w = w - lr * (g + momentum * v)    nesterov

    as in PyTorch. Sutskever et al. put the learning rate into the velocity, which differs when
    the rate changes during training.

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
        nesterov: bool = False,
        weight_decay: float = 0.0,
        decoupled: bool = False,
    ) -> None:
        if nesterov and not momentum:
            raise RecipeError("SGD: nesterov needs momentum, which is 0. Set it, commonly to 0.9.")
        super().__init__(params, lr, momentum, weight_decay, decoupled)
        self.nesterov = nesterov

    def update(
        self, i: int, t: int, w: NDArray[Any], g: NDArray[Any], lr: float, scratch: NDArray[Any]
    ) -> None:
        """Change one parameter in place."""
        momentum, v = float(self.momentum), self._state[f"velocity.{i}"]
        np.multiply(v, momentum, out=v)
        np.add(v, g, out=v)
        if self.nesterov:
            np.multiply(v, momentum, out=scratch)
            np.add(scratch, g, out=scratch)
            np.multiply(scratch, lr, out=scratch)
        else:
            np.multiply(v, lr, out=scratch)
        np.subtract(w, scratch, out=w)


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

    def update(
        self, i: int, t: int, w: NDArray[Any], g: NDArray[Any], lr: float, scratch: NDArray[Any]
    ) -> None:
        """Change one parameter in place."""
        beta1, beta2 = float(self.momentum), float(self.beta2)
        m, v = self._state[f"mean.{i}"], self._state[f"mean_square.{i}"]
        np.multiply(m, beta1, out=m)
        np.multiply(g, 1 - beta1, out=scratch)
        np.add(m, scratch, out=m)
        np.multiply(v, beta2, out=v)
        np.multiply(g, g, out=scratch)
        np.multiply(scratch, 1 - beta2, out=scratch)
        np.add(v, scratch, out=v)
        np.sqrt(v, out=scratch)
        np.multiply(scratch, (1 - beta2**t) ** -0.5, out=scratch)
        np.add(scratch, self.eps, out=scratch)
        np.divide(m, scratch, out=scratch)
        np.multiply(scratch, lr / (1 - beta1**t), out=scratch)
        np.subtract(w, scratch, out=w)


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
        self._average = {f"average.{i}": p.data.copy() for i, p in enumerate(self.params)}
        self._scratch = _Scratch(self.params, 1)

    def update(self) -> None:
        """Move the averages toward the present values."""
        self._steps += 1
        t = int(self._steps)
        rate = 1 - min(self.decay, (1 + t) / (10 + t))
        for parameter, average in zip(self.params, self._average.values(), strict=True):
            [scratch] = self._scratch.like(average)
            np.subtract(parameter.data, average, out=scratch)
            np.multiply(scratch, rate, out=scratch)
            np.add(average, scratch, out=average)

    def swap(self) -> None:
        """Exchange parameters and averages; a second call exchanges them back."""
        for parameter, average in zip(self.params, self._average.values(), strict=True):
            [scratch] = self._scratch.like(average)
            scratch[...] = parameter.data
            parameter.assign(average)
            average[...] = scratch

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Give the averages, as copies.

        Returns
        -------
        dict of str to numpy.ndarray
            ``"average.<i>"`` of the shape of parameter i, and ``steps`` (0-d).
        """
        averages = {name: array.copy() for name, array in self._average.items()}
        return {**averages, "steps": self._steps.copy()}

    def load_state_dict(self, state: Mapping[str, NDArray[Any]]) -> None:
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
    Summed in float64, in the order of the parameters.

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
    total = 0.0
    for gradient in gradients:
        flat = gradient.data.ravel(order="K")
        total += float(np.einsum("i,i->", flat, flat, dtype=np.float64))
    norm = float(np.sqrt(total))
    if np.isfinite(norm) and norm > max_norm:
        for gradient in gradients:
            np.multiply(gradient.data, max_norm / norm, out=gradient.data)
            gradient.bump_version()
    return norm


class _Scratch:
    """Working space as large as the largest parameter, shaped on request."""

    def __init__(self, params: Sequence[Tensor], n: int) -> None:
        largest: dict[np.dtype[Any], int] = {}
        for p in params:
            largest[p.dtype] = max(largest.get(p.dtype, 0), p.size)
        self._rooms = {dtype: np.empty((n, size), dtype) for dtype, size in largest.items()}

    def like(self, array: NDArray[Any]) -> list[NDArray[Any]]:
        rows = self._rooms[array.dtype][:, : array.size]
        return [row.reshape(array.shape) for row in rows]


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
    own: Mapping[str, NDArray[Any]],
    state: Mapping[str, NDArray[Any]],
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
