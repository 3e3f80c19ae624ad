"""Callbacks that show and record a training: progress, pictures, CSV, TensorBoard, W&B."""

import csv
import logging
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fieldgrad.engine.errors import require
from fieldgrad.engine.files import atomic_write
from fieldgrad.engine.ops import random
from fieldgrad.engine.train.bars import Bar, open_bar
from fieldgrad.engine.train.callbacks import run_folder
from fieldgrad.engine.train.events import Callback
from fieldgrad.engine.train.record import about_machine

if TYPE_CHECKING:
    from fieldgrad.engine.train.learner import Learner

__all__ = ["CSVLog", "Pictures", "Progress", "TensorBoardLog", "WandbLog"]

log = logging.getLogger("fieldgrad.train")


class CSVLog(Callback):
    """Write the learner's history to ``run_dir/history.csv`` after each epoch.

    The file is written whole each time, so a resumed run has each epoch once.
    """

    def after_epoch(self, learner: "Learner") -> None:
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

    def before_fit(self, learner: "Learner") -> None:
        """Open the event file; what a resumed run repeats is hidden in the older one."""
        tensorboard = require("tensorboardX", extra="tensorboard")
        folder = run_folder(learner, "TensorBoardLog") / "tensorboard"
        self._writer = tensorboard.SummaryWriter(str(folder), purge_step=learner.step or None)
        learner.cleanup.callback(self._writer.close)

    def after_batch(self, learner: "Learner") -> None:
        """Write loss and learning rate."""
        if learner.step % self.every_steps == 0 and learner.loss is not None:
            self._writer.add_scalar("step/loss", float(learner.loss), learner.step)
            self._writer.add_scalar("step/lr", learner.optimizer.lr, learner.step)

    def after_epoch(self, learner: "Learner") -> None:
        """Write the row of the history."""
        for name, value in learner.history[-1].items():
            if name not in ("epoch", "step"):
                self._writer.add_scalar(f"epoch/{name}", value, learner.step)
        for path in picture_files(run_folder(learner, "TensorBoardLog")):
            self._add_picture(path, learner.step)

    def _add_picture(self, path: Path, step: int) -> None:
        from tensorboardX.proto.summary_pb2 import Summary

        png = path.read_bytes()
        width, height = (int.from_bytes(png[k : k + 4], "big") for k in (16, 20))
        image = Summary.Image(encoded_image_string=png, width=width, height=height, colorspace=3)
        summary = Summary(value=[Summary.Value(tag=f"pictures/{path.stem}", image=image)])
        self._writer.file_writer.add_summary(summary, step)


class WandbLog(Callback):
    """Write loss, rate and the values of epochs for Weights & Biases, offline, into ``run_dir``.

    Nothing is sent anywhere; ``wandb sync RUN/wandb/offline-run-*`` does that when you want it.

    Parameters
    ----------
    project : str, default "fieldgrad"
        Name of the project there.
    every_steps : int, default 10
        Write loss and learning rate at every so many steps.

    Notes
    -----
    Needs wandb: ``pip install "fieldgrad[wandb]"``.
    """

    def __init__(self, project: str = "fieldgrad", every_steps: int = 10) -> None:
        self.project, self.every_steps = project, every_steps
        self._run: Any = None

    def before_fit(self, learner: "Learner") -> None:
        """Open the run, offline."""
        wandb = require("wandb", extra="wandb")
        folder = run_folder(learner, "WandbLog")
        settings = {"machine": about_machine()["machine"], **learner.notes}
        self._run = wandb.init(
            project=self.project, name=folder.name, dir=str(folder), mode="offline", config=settings
        )
        learner.cleanup.callback(self._run.finish)

    def after_batch(self, learner: "Learner") -> None:
        """Write loss and learning rate."""
        if learner.step % self.every_steps == 0 and learner.loss is not None:
            values = {"step/loss": float(learner.loss), "step/lr": float(learner.optimizer.lr)}
            self._run.log(values, step=learner.step)

    def after_epoch(self, learner: "Learner") -> None:
        """Write the row of the history."""
        row = {f"epoch/{name}": value for name, value in learner.history[-1].items()}
        self._run.log(row, step=learner.step)


class Pictures(Callback):
    """Draw what the model predicts now, as its field shows it, into ``run_dir/pictures``.

    The pictures are redrawn after each epoch, unless drawing would take more than a part of the
    time; the live page, the report and TensorBoard show them.

    Parameters
    ----------
    draw : callable
        Called with the learner; gives pictures by name, each as the bytes of a PNG file. With
        averaged weights it sees those.
    most : float, default 0.02
        Part of the time that drawing may take.
    """

    # Before EMAWeights puts the trained weights back.
    order = 40

    def __init__(
        self, draw: "Callable[[Learner], Mapping[str, bytes]]", most: float = 0.02
    ) -> None:
        self.draw, self.most = draw, most
        self._spent = 0.0

    def after_validate(self, learner: "Learner") -> None:
        """Draw."""
        self._draw(learner)

    def after_epoch(self, learner: "Learner") -> None:
        """Draw, if there is no validation."""
        if learner.valid is None:
            self._draw(learner)

    def after_fit(self, learner: "Learner") -> None:
        """Draw how it ended."""
        self._spent = 0.0
        self._draw(learner)

    def _draw(self, learner: "Learner") -> None:
        start = learner.elapsed
        if self._spent > self.most * start:
            return
        kept = learner.batch, learner.prediction, random.get_state(), learner.model.training
        learner.model.eval()
        for name, png in self.draw(learner).items():
            path = run_folder(learner, "Pictures") / "pictures" / f"{_file_name(name)}.png"
            with atomic_write(path) as temporary:
                temporary.write_bytes(png)
        learner.batch, learner.prediction, generator, training = kept
        random.set_state(generator)
        learner.model.train(training)
        self._spent += learner.elapsed - start


def picture_files(folder: Path) -> list[Path]:
    """List the pictures of a run.

    Parameters
    ----------
    folder : Path
        The run's folder.

    Returns
    -------
    list of Path
        PNG files, by name.
    """
    return sorted(p for p in (folder / "pictures").glob("*.png") if p.name[0] != ".")


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name).strip(".-") or "picture"


class Progress(Callback):
    """Show where the training stands: a bar with the time left in a terminal, else log lines.

    Parameters
    ----------
    every_seconds : float, default 30
        Without a terminal, log a line this often besides one for each epoch.
    """

    def __init__(self, every_seconds: float = 30.0) -> None:
        self.every_seconds = every_seconds
        self._bar: Bar | None = None

    def before_fit(self, learner: "Learner") -> None:
        """Show the bar, if there is a terminal or notebook to show it in."""
        self._logged_at, self._bar = learner.elapsed, open_bar()
        if self._bar is not None:
            learner.cleanup.callback(self._bar.stop)

    def after_batch(self, learner: "Learner") -> None:
        """Move the bar, or log a line now and then."""
        if self._bar is not None:
            total = learner.total_steps
            what = f"epoch {learner.epoch + 1}  {_line(learner.train_loss.value())}"
            where = f"step {learner.step}/{total or '?'}  {self._left(learner)}"
            self._bar.show(learner.step, total, what, where)
        elif learner.elapsed - self._logged_at >= self.every_seconds:
            self._log(learner, learner.train_loss.value())

    def after_epoch(self, learner: "Learner") -> None:
        """Show the values of the epoch."""
        row = learner.history[-1]
        values = {k: v for k, v in row.items() if k not in ("epoch", "step", "seconds", "lr")}
        if self._bar is not None:
            self._bar.say(f"epoch {learner.epoch}  {_line(values)}")
        else:
            self._log(learner, values)

    def _log(self, learner: "Learner", values: dict[str, float]) -> None:
        self._logged_at = learner.elapsed
        where = f"epoch {learner.epoch}, step {learner.step}/{learner.total_steps or '?'}"
        log.info("%s: %s, %s", where, _line(values), self._left(learner))

    def _left(self, learner: "Learner") -> str:
        seconds = learner.plan.seconds_left(learner.step, learner.elapsed)
        if seconds is None:
            return "time left unknown"
        minutes, seconds = divmod(math.ceil(seconds), 60)
        return f"{minutes}:{seconds:02d} left"


def _line(values: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in values.items())
