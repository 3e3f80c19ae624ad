"""Callbacks that show and record a training: progress, CSV, TensorBoard."""

import csv
import logging
import math
from typing import Any

from fieldgrad.engine.errors import require
from fieldgrad.engine.files import atomic_write
from fieldgrad.engine.train.callbacks import run_folder
from fieldgrad.engine.train.events import Callback
from fieldgrad.engine.train.learner import Learner

__all__ = ["CSVLog", "Progress", "TensorBoardLog"]

log = logging.getLogger("fieldgrad.train")


class CSVLog(Callback):
    """Write the learner's history to ``run_dir/history.csv`` after each epoch.

    The file is written whole each time, so a resumed run has each epoch once.
    """

    def after_epoch(self, learner: Learner) -> None:
        """Write the file."""
        columns = dict.fromkeys(name for row in learner.history for name in row)
        path = run_folder(learner, "CSVLog") / "history.csv"
        with atomic_write(path) as temporary, open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, list(columns))
            writer.writeheader()
            writer.writerows(learner.history)


class TensorBoardLog(Callback):
    """Write loss and rate of steps, and the values of epochs, to ``run_dir/tensorboard``.

    Parameters
    ----------
    every_steps : int, default 10
        Write loss and learning rate at every so many steps.

    Notes
    -----
    Needs tensorboardX: ``pip install "fieldgrad[tensorboard]"``.
    """

    def __init__(self, every_steps: int = 10) -> None:
        self.every_steps = every_steps
        self._writer: Any = None

    def before_fit(self, learner: Learner) -> None:
        """Open the event file; what a resumed run repeats is hidden in the older one."""
        tensorboard = require("tensorboardX", extra="tensorboard")
        folder = run_folder(learner, "TensorBoardLog") / "tensorboard"
        self._writer = tensorboard.SummaryWriter(str(folder), purge_step=learner.step or None)
        learner.cleanup.callback(self._writer.close)

    def after_batch(self, learner: Learner) -> None:
        """Write loss and learning rate."""
        if learner.step % self.every_steps == 0 and learner.loss is not None:
            self._writer.add_scalar("step/loss", float(learner.loss), learner.step)
            self._writer.add_scalar("step/lr", learner.optimizer.lr, learner.step)

    def after_epoch(self, learner: Learner) -> None:
        """Write the row of the history."""
        for name, value in learner.history[-1].items():
            if name not in ("epoch", "step"):
                self._writer.add_scalar(f"epoch/{name}", value, learner.step)


class Progress(Callback):
    """Show where the training stands: a bar with the time left in a terminal, else log lines.

    Parameters
    ----------
    every_seconds : float, default 30
        Without a terminal, log a line this often besides one for each epoch.
    """

    def __init__(self, every_seconds: float = 30.0) -> None:
        self.every_seconds = every_seconds
        self._bar: Any = None

    def before_fit(self, learner: Learner) -> None:
        """Show the bar, if there is a terminal or notebook to show it in."""
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        self._logged_at, self._bar = learner.elapsed, None
        console = Console(stderr=True)
        if console.is_terminal or console.is_jupyter:
            text = TextColumn("{task.description}", markup=False)
            self._bar = Bar(text, BarColumn(), TextColumn("{task.fields[where]}"), console=console)
            self._task = self._bar.add_task("training", total=None, where="")
            self._bar.start()
            learner.cleanup.callback(self._bar.stop)

    def after_batch(self, learner: Learner) -> None:
        """Move the bar, or log a line now and then."""
        if self._bar is not None:
            total = learner.total_steps
            what = f"epoch {learner.epoch + 1}  {_line(learner.train_loss.value())}"
            where = f"step {learner.step}/{total or '?'}  {self._left(learner)}"
            state = {"completed": learner.step, "total": total, "where": where}
            self._bar.update(self._task, description=what, **state)
        elif learner.elapsed - self._logged_at >= self.every_seconds:
            self._log(learner, learner.train_loss.value())

    def after_epoch(self, learner: Learner) -> None:
        """Show the values of the epoch."""
        row = learner.history[-1]
        values = {k: v for k, v in row.items() if k not in ("epoch", "step", "seconds", "lr")}
        if self._bar is not None:
            self._bar.console.print(f"epoch {learner.epoch}  {_line(values)}", highlight=False)
        else:
            self._log(learner, values)

    def _log(self, learner: Learner, values: dict[str, float]) -> None:
        self._logged_at = learner.elapsed
        where = f"epoch {learner.epoch}, step {learner.step}/{learner.total_steps or '?'}"
        log.info("%s: %s, %s", where, _line(values), self._left(learner))

    def _left(self, learner: Learner) -> str:
        seconds = learner.plan.seconds_left(learner.step, learner.elapsed)
        if seconds is None:
            return "time left unknown"
        minutes, seconds = divmod(math.ceil(seconds), 60)
        return f"{minutes}:{seconds:02d} left"


def _line(values: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in values.items())
