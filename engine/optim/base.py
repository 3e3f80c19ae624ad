"""What all optimizers share: parameters and groups, settings, state, the order of a step."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine._core import Tensor, bump_versions
from fieldgrad.engine.bindings import optim_kernels
from fieldgrad.engine.errors import DataError, RecipeError, ShapeError, suggest

__all__ = ["Array", "Optimizer", "Params", "check", "check_params", "load", "table"]

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
    lr_ratios : list of float
        Rate of each parameter relative to `lr`; may be set, too.

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
        check("lr", lr, lr > 0, "a positive number")
        check("momentum", momentum, 0 <= momentum < 1, "0 <= momentum < 1")
        check("weight_decay", weight_decay, weight_decay >= 0, "0 or more")
        self.lr = lr
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.decoupled = decoupled
        self.params: list[Tensor] = []
        lr_ratios: list[float] = []
        decay_ratios: list[float] = []
        for group in _groups_of(params):
            members = list(group["params"])
            self.params += members
            lr_ratios += [group.get("lr", lr) / lr] * len(members)
            decay_ratios += [self._decay_ratio(group)] * len(members)
        check_params(type(self).__name__, self.params)
        self._lr_ratios, self._decay_ratios = np.array(lr_ratios), np.array(decay_ratios)
        self._steps = np.zeros(len(self.params), np.int64)
        self._state = {slot: [np.zeros_like(p.data) for p in self.params] for slot in self.slots}

    @property
    def lr_ratios(self) -> list[float]:
        """Rate of each parameter relative to `lr`."""
        return [float(ratio) for ratio in self._lr_ratios]

    @lr_ratios.setter
    def lr_ratios(self, ratios: Sequence[float]) -> None:
        if len(ratios) != len(self.params) or not all(ratio > 0 for ratio in ratios):
            raise RecipeError(
                f"{type(self).__name__}: lr_ratios has {len(ratios)} entries; expected a positive "
                f"number for each of the {len(self.params)} parameters."
            )
        self._lr_ratios = np.array(ratios, np.float64)

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

    def changed(
        self, chosen: list[int], t: Array, lr: Array, decay: Array, shrink: Array
    ) -> Iterator[tuple[int, Array, Array, int, float]]:
        """Take up what `update` is given one by one, for arithmetic in NumPy.

        Parameters
        ----------
        chosen : list of int
            As `update` has it; so are the others.
        t, lr, decay, shrink : numpy.ndarray, shape (n_chosen,)
            Numbers of updates, learning rates, what to add to the gradients, factors.

        Yields
        ------
        int
            Position of a parameter.
        numpy.ndarray
            Its weights, already shrunk, to be changed in place.
        numpy.ndarray
            Its gradient with the decay added; not to be changed.
        int
            Its number of updates.
        float
            Its learning rate.
        """
        settings = (t.tolist(), lr.tolist(), decay.tolist(), shrink.tolist())
        for i, n, rate, pull, factor in zip(chosen, *settings, strict=True):
            parameter = self.params[i]
            assert parameter.grad is not None
            w, g = parameter.data, parameter.grad.data
            if factor != 1.0:
                w *= factor
            yield i, w, g + pull * w if pull else g, n, rate

    def _run(self, kind: str, chosen: list[int], slots: Sequence[str], *settings: Any) -> None:
        """Run a kernel on weights, gradients and state; settings are numbers or one per row."""
        members = [self.params[i] for i in chosen]
        columns = [
            [p.data for p in members],
            [p.grad.data for p in members],  # type: ignore[union-attr]
            *([self._state[slot][i] for i in chosen] for slot in slots),
        ]
        optim_kernels.update(kind, columns, table(len(chosen), *settings))

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
        load(type(self).__name__, {**self._named_state(), "steps": self._steps}, state, _SETTINGS)
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


def table(n_rows: int, *settings: Any) -> Array:
    """Settings as columns of equal length, for a kernel.

    Parameters
    ----------
    n_rows : int
        Number of arrays that the kernel changes.
    *settings : float or numpy.ndarray
        Each one number, or one for each row.

    Returns
    -------
    numpy.ndarray, shape (n_rows, n_settings)
        In float64.
    """
    table = np.empty((n_rows, len(settings)))
    for column, setting in enumerate(settings):
        table[:, column] = setting
    return table


def check(name: str, value: float, valid: bool, expected: str) -> None:
    """Refuse a setting that is not valid.

    Parameters
    ----------
    name : str
        Name of the setting.
    value : float
        What it is.
    valid : bool
        Whether that is possible.
    expected : str
        What would be, for the message.

    Raises
    ------
    RecipeError
        If it is not valid.
    """
    if not valid:
        raise RecipeError(f"{name} is {value}; expected {expected}.")


def _groups_of(params: Params) -> list[Mapping[str, Any]]:
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


def check_params(name: str, params: Sequence[Tensor]) -> None:
    """Refuse parameters that are none, no tensors or not distinct.

    Parameters
    ----------
    name : str
        Name of the optimizer, for the message.
    params : sequence of Tensor
        What it was given.

    Raises
    ------
    RecipeError
        If they cannot be optimized.
    """
    if not params:
        raise RecipeError(f"{name}: there is no parameter. Is model.parameters() used up or empty?")
    for i, p in enumerate(params):
        if not isinstance(p, Tensor):
            raise RecipeError(f"{name}: parameter {i} is a {type(p).__name__}; expected a Tensor.")
    if len({id(p) for p in params}) != len(params):
        raise RecipeError(f"{name}: a parameter is given twice. List each in one group only.")


def load(
    name: str,
    own: Mapping[str, Array],
    state: Mapping[str, Array],
    settings: Sequence[str] = (),
) -> None:
    """Copy arrays from `state` into those of the same name, after checking all of them.

    Parameters
    ----------
    name : str
        Name of the optimizer, for the message.
    own : mapping of str to numpy.ndarray
        Its state, which is overwritten.
    state : mapping of str to numpy.ndarray
        What was saved.
    settings : sequence of str
        Names in `state` that are no arrays of `own`.

    Raises
    ------
    DataError, ShapeError
        If an array is missing, unknown or of another shape; nothing is changed then.
    """
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
