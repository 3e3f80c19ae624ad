"""Budgets: how long to train, in epochs, steps or time, and the number of steps that makes."""

import re
from collections.abc import Sequence
from typing import Any

from fieldgrad.engine.errors import RecipeError

__all__ = ["Plan"]

# Seconds in each unit; 0 for those that are no time.
_UNITS = {
    "epoch": 0.0,
    "epochs": 0.0,
    "step": 0.0,
    "steps": 0.0,
    "s": 1.0,
    "min": 60.0,
    "h": 3600.0,
}

# The first steps are not measured: memory is still being gathered and data still loaded.
_WARM_UP = 2
# Parts of the time at which the number of steps is planned, the first as soon as it is reached and
# four steps are done. The last ones correct what is left of the error, over ever fewer steps.
_PLANNED_AT = (0.01, 0.05, 0.2, 0.5, 0.8, 0.95)
# A part of the time is left over for what comes after the last step and for slower steps.
_AIM = 0.98


class Plan:
    """A budget and what follows from it: the number of steps, on which schedules are based.

    Epochs and steps fix that number at once. Time does not: after a short measurement the
    steps are counted that fit into it, and counted again a few times at fixed parts of it.
    A run ends when it has done the planned steps, and in any case before its time is over.

    Parameters
    ----------
    budget : str
        ``"20 epochs"``, ``"500 steps"``, or a time: ``"600s"``, ``"10min"``, ``"1.5h"``.
    steps_per_epoch : int
        Number of batches in an epoch.
    n_valid : int, default 0
        Number of batches in a validation.

    Attributes
    ----------
    total_steps : int or None
        Planned number of steps; None while the time of a step is being measured.
    decisions : list of tuple of int
        Each planning by time: the step at which it was made and the total it gave.
    validation_seconds : float or None
        Time that the last validation took, to be set by the loop; time for one more is kept.

    Raises
    ------
    RecipeError
        If the budget is not an amount and one of the units.

    Examples
    --------
    >>> Plan("20 epochs", steps_per_epoch=50).total_steps
    1000
    >>> Plan("10min", steps_per_epoch=50).seconds
    600.0
    """

    def __init__(self, budget: str, steps_per_epoch: int, n_valid: int = 0) -> None:
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", budget)
        if not match or match[2] not in _UNITS or float(match[1]) == 0:
            raise RecipeError(
                f"budget is {budget!r}; expected an amount above 0 and a unit, such as "
                "'20 epochs', '500 steps', '600s', '10min' or '1.5h'."
            )
        amount, unit = float(match[1]), match[2]
        self.budget = budget
        self.seconds = amount * _UNITS[unit] or None
        self.epochs = int(amount) if unit.startswith("epoch") else None
        if not self.seconds and not amount.is_integer():
            raise RecipeError(f"budget is {budget!r}; expected a whole number of {unit}.")
        self.total_steps: int | None = None
        if not self.seconds:
            self.total_steps = int(amount) * (steps_per_epoch if self.epochs else 1)
        self.decisions: list[tuple[int, int]] = []
        self.seconds_per_step = 0.0
        self.validation_seconds: float | None = None
        self.n_valid = n_valid
        self.n_planned = 0
        self.measured_from = (0, 0.0)
        self.last_step: int | None = None
        self._to_follow: list[tuple[int, int]] = []

    def follow(self, decisions: Sequence[Sequence[int]], last_step: int) -> None:
        """Repeat another run: plan what it planned when it did so, and end where it ended.

        Parameters
        ----------
        decisions : sequence of pairs of int
            The other run's `decisions`.
        last_step : int
            Number of steps that it did.
        """
        if self.seconds is not None:
            self.seconds, self.total_steps = None, None
            self._to_follow = [(step, total) for step, total in decisions]
        self.last_step = last_step

    def progress(self, step: int) -> float:
        """Give the part of the planned steps that is done.

        Parameters
        ----------
        step : int
            Number of steps done.

        Returns
        -------
        float
            In [0, 1]; 0 as long as nothing is planned.
        """
        return min(step / self.total_steps, 1.0) if self.total_steps else 0.0

    def update(self, step: int, elapsed: float) -> None:
        """Take note of a finished step, and plan if it is time to.

        Parameters
        ----------
        step : int
            Number of steps done.
        elapsed : float
            Time since the run began, seconds.
        """
        while self._to_follow and self._to_follow[0][0] <= step:
            self.decisions.append(self._to_follow.pop(0))
            self.total_steps = self.decisions[-1][1]
        if self.seconds is None:
            return
        if step <= _WARM_UP:
            self.measured_from = (step, elapsed)
            return
        first, start = self.measured_from
        self.seconds_per_step = (elapsed - start) / (step - first)
        due = sum(elapsed >= part * self.seconds for part in _PLANNED_AT)
        if due > self.n_planned and step >= _WARM_UP + 2:
            self.n_planned = due
            left = max(_AIM * self.seconds - elapsed - self._reserve(), 0.0)
            self.total_steps = step + int(left / max(self.seconds_per_step, 1e-9))
            self.decisions.append((step, self.total_steps))

    def is_done(self, epoch: int, step: int, elapsed: float) -> bool:
        """Tell whether the budget allows no further step.

        Parameters
        ----------
        epoch, step : int
            Number of epochs and steps done.
        elapsed : float
            Time since the run began, seconds.

        Returns
        -------
        bool
            Whether to stop.
        """
        if self.epochs is not None and epoch >= self.epochs:
            return True
        if self.last_step is not None and step >= self.last_step:
            return True
        if self.total_steps is not None and step >= self.total_steps:
            return True
        if self.seconds is None or step == 0:
            return False
        return elapsed + 1.5 * self.seconds_per_step + self._reserve() >= self.seconds

    def seconds_left(self, step: int, elapsed: float) -> float | None:
        """Estimate the time to the end.

        Parameters
        ----------
        step : int
            Number of steps done.
        elapsed : float
            Time since the run began, seconds.

        Returns
        -------
        float or None
            Seconds; None before the first step of a budget in epochs or steps.
        """
        if self.seconds is not None:
            return max(self.seconds - elapsed, 0.0)
        if self.total_steps is None or step == 0:
            return None
        return elapsed / step * (self.total_steps - step)

    def _reserve(self) -> float:
        """Time for the validation after the last step; before the first one a cautious guess."""
        if self.validation_seconds is None:
            return self.n_valid * self.seconds_per_step
        return self.validation_seconds

    def state_dict(self) -> dict[str, Any]:
        """Give everything as plain numbers, text and lists.

        Returns
        -------
        dict
            All attributes.
        """
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` gave.

        Parameters
        ----------
        state : dict
            As from `state_dict`.
        """
        vars(self).update(state)
