"""Callbacks that change how a model is trained, guard the run and keep its checkpoints."""

import math
import os
import re
import shutil
import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine.errors import FieldgradError, RecipeError, suggest
from fieldgrad.engine.optim import EMA, ReduceOnPlateau, clip_grad_norm
from fieldgrad.engine.train import state
from fieldgrad.engine.train.events import Callback, CancelFit
from fieldgrad.engine.train.knobs import Knob, knob_of
from fieldgrad.engine.train.schedules import Schedule

if TYPE_CHECKING:
    from fieldgrad.engine.train.learner import Learner

__all__ = [
    "Checkpoint",
    "EMAWeights",
    "EarlyStop",
    "GradientClip",
    "PlateauLR",
    "SaveOnSignal",
    "ScheduleLR",
    "StopOnNaN",
    "best_epoch",
    "run_folder",
]


class ScheduleLR(Callback):
    """Set the learning rate before each step, and the momentum if wanted.

    Parameters
    ----------
    schedule : callable
        Factor of the optimizer's own rate as a function of the progress in [0, 1], such as
        `schedules.poly`.
    momentum : callable, optional
        Momentum as a function of the progress, such as `schedules.one_cycle_momentum`.
    """

    def __init__(self, schedule: Schedule, momentum: Schedule | None = None) -> None:
        self.schedule = schedule
        self.momentum = momentum
        self._full_rate: float | None = None
        self._optimizer: Any = None

    def knobs(self) -> dict[str, Knob]:
        """Offer the rate that the schedule multiplies."""
        summary = "learning rate, before the schedule's factor"
        return {"lr": Knob(self._rate, self._set_rate, summary, above=0)}

    def _rate(self) -> float:
        return float(self._optimizer.lr) if self._full_rate is None else self._full_rate

    def _set_rate(self, rate: float) -> None:
        self._full_rate = rate

    def before_fit(self, learner: "Learner") -> None:
        """Remember the optimizer's own rate."""
        self._optimizer = learner.optimizer
        if self._full_rate is None:
            self._full_rate = float(learner.optimizer.lr)

    def before_batch(self, learner: "Learner") -> None:
        """Set rate and momentum of the coming step."""
        assert self._full_rate is not None
        progress = learner.plan.progress(learner.step)
        learner.optimizer.lr = self._full_rate * self.schedule(progress)
        if self.momentum is not None:
            learner.optimizer.momentum = self.momentum(progress)

    def after_fit(self, learner: "Learner") -> None:
        """Give the optimizer its own rate back."""
        if self._full_rate is not None:
            learner.optimizer.lr, self._full_rate = self._full_rate, None

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Give the optimizer's own rate, ``lr``; nothing outside of a training."""
        return {} if self._full_rate is None else {"lr": np.asarray(self._full_rate)}

    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> None:
        """Take over the optimizer's own rate, whose present rate is a scheduled one."""
        self._full_rate = float(state["lr"]) if "lr" in state else None


class GradientClip(Callback):
    """Shorten the gradient before each step; see `optim.clip_grad_norm`.

    Parameters
    ----------
    max_norm : float, default 1
        Largest norm of the gradient of all parameters.

    Attributes
    ----------
    norm : float
        Norm of the last gradient, before clipping.
    """

    order = 10

    def __init__(self, max_norm: float = 1.0) -> None:
        self.max_norm = max_norm
        self.norm = math.nan

    def knobs(self) -> dict[str, Knob]:
        """Offer the largest norm."""
        return {"clip": knob_of(self, "max_norm", "largest norm of the gradient", above=0)}

    def before_step(self, learner: "Learner") -> None:
        """Clip the gradient of all parameters of the optimizer."""
        self.norm = clip_grad_norm(learner.optimizer.params, self.max_norm)


class EMAWeights(Callback):
    """Validate and finish with a running average of the weights; see `optim.EMA`.

    Parameters
    ----------
    decay : float, default 0.999
        Weight of the past, in [0, 1).

    Attributes
    ----------
    average : EMA
        The averages, from the beginning of the training.
    """

    average: EMA
    # After Checkpoint, so that at the end it sees trained weights and averages in their places.
    order = 60

    def __init__(self, decay: float = 0.999) -> None:
        self.decay = decay
        self._loaded: dict[str, NDArray[Any]] = {}

    def before_fit(self, learner: "Learner") -> None:
        """Begin with the weights as they are, or with the averages of a checkpoint."""
        self.average = EMA(learner.model.parameters(), self.decay)
        if self._loaded:
            self.average.load_state_dict(self._loaded)
            self._loaded = {}

    def after_step(self, learner: "Learner") -> None:
        """Update the averages."""
        self.average.update()

    def before_validate(self, learner: "Learner") -> None:
        """Put the averages into the model."""
        self.average.swap()

    def after_validate(self, learner: "Learner") -> None:
        """Put the trained weights back."""
        self.average.swap()

    def after_fit(self, learner: "Learner") -> None:
        """Leave the averages in the model."""
        self.average.swap()

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Give the averages."""
        return self.average.state_dict()

    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> None:
        """Keep the averages of a checkpoint for `before_fit`."""
        self._loaded = state


class EarlyStop(Callback):
    """End the training when a value has not become better for some epochs.

    Parameters
    ----------
    patience : int, default 10
        Number of epochs without a new best value.
    monitor : str, default "valid_loss"
        A column of the learner's history.
    higher_is_better : bool, default False
        Whether the value is one such as Dice, or one such as a loss.
    """

    def __init__(
        self, patience: int = 10, monitor: str = "valid_loss", *, higher_is_better: bool = False
    ) -> None:
        self.patience = patience
        self.monitor = monitor
        self.higher_is_better = higher_is_better

    def knobs(self) -> dict[str, Knob]:
        """Offer the patience."""
        summary = f"epochs without a better {self.monitor} before the run ends"
        return {"patience": knob_of(self, "patience", summary, low=1, whole=True)}

    def before_epoch(self, learner: "Learner") -> None:
        """Compare the age of the best epoch with the patience."""
        rows = learner.history
        if not rows:
            return
        best = best_epoch(rows, self.monitor, higher_is_better=self.higher_is_better)
        if len(rows) - best >= self.patience:
            value = rows[best - 1].get(self.monitor, math.nan)
            raise CancelFit(f"{self.monitor} was best in epoch {best} ({value:.4g})")


class PlateauLR(Callback):
    """Lower the learning rate when a value stops getting better; see `optim.ReduceOnPlateau`.

    Parameters
    ----------
    monitor : str, default "valid_loss"
        A column of the learner's history.
    factor : float, default 0.1
        What the rate is multiplied by.
    patience : int, default 10
        Number of epochs without a new best value that are let pass.
    threshold : float, default 1e-4
        By how much a value must be better than the best, relative to it.
    cooldown : int, default 0
        Number of epochs after a change in which none is counted.
    min_lr : float, default 0
        Lowest rate.
    higher_is_better : bool, default False
        Whether the value is one such as Dice, or one such as a loss.
    """

    def __init__(
        self,
        monitor: str = "valid_loss",
        *,
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
        higher_is_better: bool = False,
    ) -> None:
        self.monitor = monitor
        self._settings: dict[str, Any] = {
            "factor": factor,
            "patience": patience,
            "threshold": threshold,
            "cooldown": cooldown,
            "min_lr": min_lr,
            "higher_is_better": higher_is_better,
        }
        self._plateau: ReduceOnPlateau | None = None
        self._state: dict[str, NDArray[Any]] = {}
        self._seen = 0

    def before_epoch(self, learner: "Learner") -> None:
        """Take note of the epochs that are over."""
        if self._plateau is None:
            self._plateau = ReduceOnPlateau(learner.optimizer, **self._settings)
            if self._state:
                self._plateau.load_state_dict(self._state)
        if learner.history:  # refuses a column that does not exist
            best_epoch(learner.history, self.monitor, higher_is_better=False)
        for row in learner.history[self._seen :]:
            self._plateau.step(row.get(self.monitor, math.nan))
        self._seen = len(learner.history)

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Give what was noted."""
        if self._plateau is None:
            return {}
        return {**self._plateau.state_dict(), "seen": np.asarray(self._seen)}

    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> None:
        """Continue from what `state_dict` gave."""
        if "seen" in state:
            self._seen = int(state["seen"])
            self._state = {"plateau": state["plateau"]}


class StopOnNaN(Callback):
    """Stop with a message when the loss or a gradient is not finite, before the weights are."""

    def before_backward(self, learner: "Learner") -> None:
        """Check the loss."""
        assert learner.loss is not None
        if not math.isfinite(float(learner.loss)):
            raise self._error(learner, f"the loss is {float(learner.loss)}")

    def before_step(self, learner: "Learner") -> None:
        """Check the gradients."""
        for name, parameter in learner.model.named_parameters():
            if parameter.grad is not None and not np.isfinite(parameter.grad.data).all():
                raise self._error(learner, f"the gradient of {name} is not finite")

    def _error(self, learner: "Learner", what: str) -> FieldgradError:
        path = None if learner.run_dir is None else learner.run_dir / "last.safetensors"
        kept = f" The last good checkpoint is {path}." if path and path.exists() else ""
        return FieldgradError(
            f"training: {what} at step {learner.step + 1} (epoch {learner.epoch + 1}, learning "
            f"rate {learner.optimizer.lr:.3g}); the weights were not changed.{kept}\n"
            "Lower the learning rate, clip the gradient, or look for NaN in the data; "
            "fg.detect_anomaly() names the op."
        )


class Checkpoint(Callback):
    """Keep the last and the best states of the run in ``run_dir``, each file whole or not at all.

    Parameters
    ----------
    every_epochs, every_steps, every_minutes : int, int or None, float, default 1, None and 10
        Save ``last.safetensors`` after so many epochs, so many steps, and so much time.
    keep_last : int, default 1
        How many of the newest states to keep; those before the last one are
        ``step-<number>.safetensors``, from which ``learner.resume(path)`` goes on too.
    monitor : str, default "valid_loss"
        Column of the history of which the best epoch is kept as ``best.safetensors``; without
        validation data there is none.
    higher_is_better : bool, default False
        Whether the value is one such as Dice, or one such as a loss.
    """

    order = 50

    def __init__(
        self,
        *,
        every_epochs: int = 1,
        every_steps: int | None = None,
        every_minutes: float = 10.0,
        keep_last: int = 1,
        monitor: str = "valid_loss",
        higher_is_better: bool = False,
    ) -> None:
        if keep_last < 1:
            raise RecipeError(f"Checkpoint: keep_last is {keep_last}; expected 1 or more.")
        self.every_epochs = every_epochs
        self.every_steps = every_steps
        self.every_minutes = every_minutes
        self.keep_last = keep_last
        self.monitor = monitor
        self.higher_is_better = higher_is_better

    def knobs(self) -> dict[str, Knob]:
        """Offer the intervals."""
        epochs, minutes = "epochs between two checkpoints", "minutes between two checkpoints"
        return {
            "checkpoint_epochs": knob_of(self, "every_epochs", epochs, low=1, whole=True),
            "checkpoint_minutes": knob_of(self, "every_minutes", minutes, above=0),
        }

    def before_fit(self, learner: "Learner") -> None:
        """Check that there is a folder."""
        self._folder = run_folder(learner, "Checkpoint")
        self._saved_at = learner.elapsed

    def after_batch(self, learner: "Learner") -> None:
        """Save by steps and by time."""
        by_steps = self.every_steps is not None and learner.step % self.every_steps == 0
        if by_steps or learner.elapsed - self._saved_at >= 60 * self.every_minutes:
            self._save(learner)

    def after_epoch(self, learner: "Learner") -> None:
        """Save by epochs, and if this epoch was the best."""
        if learner.epoch % self.every_epochs == 0:
            self._save(learner)
        if learner.valid is not None:
            best = best_epoch(learner.history, self.monitor, higher_is_better=self.higher_is_better)
            if best == len(learner.history):
                state.save(learner, self._folder / "best.safetensors")

    def after_fit(self, learner: "Learner") -> None:
        """Save the end."""
        self._save(learner)

    def _save(self, learner: "Learner") -> None:
        state.save(learner, self._folder / "last.safetensors")
        self._saved_at = learner.elapsed
        if self.keep_last > 1:
            _keep(self._folder, f"step-{learner.step:08d}.safetensors", self.keep_last)


def _keep(folder: Path, name: str, n: int) -> None:
    """Give the last checkpoint a second name, without a copy if possible, and drop the oldest."""
    second = folder / f".{name}"
    second.unlink(missing_ok=True)
    try:
        os.link(folder / "last.safetensors", second)
    except OSError:  # a file system without links
        shutil.copyfile(folder / "last.safetensors", second)
    os.replace(second, folder / name)
    kept = sorted(p for p in folder.iterdir() if re.fullmatch(r"step-\d+\.safetensors", p.name))
    for old in kept[:-n]:
        old.unlink(missing_ok=True)


class SaveOnSignal(Callback):
    """On Ctrl-C, SIGTERM or SIGUSR1 finish the step, save ``last.safetensors`` and leave.

    The training ends with KeyboardInterrupt, or with SystemExit (status 128 and the signal's
    number: 143, 138) as job schedulers expect; ``learner.resume()`` goes on. A validation is left
    at once and done again then. A second Ctrl-C leaves without saving. Signals reach only the main
    thread; in any other this callback does nothing.
    """

    # After EMAWeights, which puts the trained weights back when a validation is left.
    order = 65

    def __init__(self) -> None:
        self._learner: Learner | None = None

    def before_fit(self, learner: "Learner") -> None:
        """Listen to the signals as long as the training lasts."""
        run_folder(learner, "SaveOnSignal")
        self._learner = learner
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
                learner.cleanup.callback(signal.signal, number, signal.getsignal(number))
                signal.signal(number, self._receive)

    def after_batch(self, learner: "Learner") -> None:
        """Leave if a signal came."""
        self._leave(learner)

    def after_validate(self, learner: "Learner") -> None:
        """Leave if a signal came during validation."""
        self._leave(learner)

    def after_epoch(self, learner: "Learner") -> None:
        """Leave if a signal came since."""
        self._leave(learner)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        assert self._learner is not None
        if number == signal.SIGINT and self._learner.interrupted == signal.SIGINT:
            raise KeyboardInterrupt
        self._learner.interrupted = number

    def _leave(self, learner: "Learner") -> None:
        number = learner.interrupted
        if number is None:
            return
        state.save(learner, run_folder(learner, "SaveOnSignal") / "last.safetensors")
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)


def best_epoch(history: Sequence[dict[str, float]], monitor: str, *, higher_is_better: bool) -> int:
    """Find the epoch with the best value of a column.

    Parameters
    ----------
    history : sequence of dict
        A row for each epoch, as `Learner.history`; at least one.
    monitor : str
        The column. Rows without it, or with NaN, are never the best.
    higher_is_better : bool
        Whether the value is one such as Dice, or one such as a loss.

    Returns
    -------
    int
        The epoch, from 1; the first of several that are equally good.

    Raises
    ------
    RecipeError
        If the last epoch has no such column.

    Examples
    --------
    >>> rows = [{"loss": 3.0}, {"loss": 1.0}, {"loss": 2.0}]
    >>> best_epoch(rows, "loss", higher_is_better=False)
    2
    """
    if not any(monitor in row for row in history):
        known = history[-1]
        raise RecipeError(
            f"monitor is {monitor!r}, which the history does not have{suggest(monitor, known)}. "
            f"Columns: {', '.join(known)}."
        )
    sign = 1.0 if higher_is_better else -1.0
    worst = -math.inf
    values = [sign * row.get(monitor, math.nan) for row in history]
    return 1 + int(np.argmax([worst if math.isnan(value) else value for value in values]))


def run_folder(learner: "Learner", who: str) -> Path:
    """Give the run's folder, or say who needs it.

    Parameters
    ----------
    learner : Learner
        The learner.
    who : str
        What needs the folder, for the message.

    Returns
    -------
    pathlib.Path
        ``learner.run_dir``.

    Raises
    ------
    RecipeError
        If the learner has none.
    """
    if learner.run_dir is None:
        raise RecipeError(f"{who} needs a folder to write to. Give Learner(run_dir=...).")
    return learner.run_dir
