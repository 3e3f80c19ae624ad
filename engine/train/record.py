"""The record of a run: its state and position, the log of its steps, machine and versions."""

import math
import os
import platform
import socket
import sys
import time
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fieldgrad.engine.bindings import base_kernels
from fieldgrad.engine.errors import FileError
from fieldgrad.engine.files import atomic_write, write_error
from fieldgrad.engine.train.events import Callback
from fieldgrad.engine.train.knobs import Knob, knob_of
from fieldgrad.engine.train.precision import MixedPrecision
from fieldgrad.engine.train.run import Run, to_json

if TYPE_CHECKING:
    from fieldgrad.engine.train.learner import Learner

__all__ = ["RunRecord", "about_machine"]

# run.json is written this often while nothing but the position changes, seconds.
_STATUS_EVERY = 2.0


class RunRecord(Callback):
    """Write ``run.json`` and ``log.jsonl``; every `Learner` with a run_dir has one.

    Parameters
    ----------
    every_seconds : float, default 0.5
        Time between two lines of the log: the mean loss of the steps between, and the rate.
    """

    # The last one: it tells what the others have done.
    order = 70

    def __init__(self, every_seconds: float = 0.5) -> None:
        self.every_seconds = every_seconds
        self.status: dict[str, Any] = {}

    def knobs(self) -> dict[str, Knob]:
        """Offer the interval of the log."""
        text = "seconds between two lines of the log"
        return {"log_seconds": knob_of(self, "every_seconds", text, above=0)}

    def before_fit(self, learner: "Learner") -> None:
        """Begin the log, or leave out of an older one what will be done again."""
        assert learner.run_dir is not None
        learner.run_dir.mkdir(parents=True, exist_ok=True)
        self._path = learner.run_dir / "log.jsonl"
        self._total, self._n, self._logged_at, self._noted_at = 0.0, 0, -math.inf, -math.inf
        _cut_log(self._path, learner.step)
        self.status = {"state": "running", "started": time.time(), "field": learner.field}
        self.status |= about_machine()
        chosen = [str(c.precision) for c in learner.callbacks if isinstance(c, MixedPrecision)]
        self.status["machine"]["precision"] = chosen[0] if chosen else "float32"
        self.write_status(learner, force=True)
        learner.cleanup.push(lambda kind, error, trace: self._end(learner, error))

    def after_batch(self, learner: "Learner") -> None:
        """Log the loss now and then."""
        if learner.loss is not None:
            self._total, self._n = self._total + float(learner.loss), self._n + 1
        if self._n and learner.elapsed - self._logged_at >= self.every_seconds:
            values = {"loss": self._total / self._n, "lr": float(learner.optimizer.lr)}
            self._log(learner, "steps", values)
            self._total, self._n, self._logged_at = 0.0, 0, learner.elapsed
        self.write_status(learner)

    def after_epoch(self, learner: "Learner") -> None:
        """Log the epoch's values."""
        self._log(learner, "epoch", learner.history[-1])
        self.write_status(learner, force=True)

    def log_validation(self, learner: "Learner", values: dict[str, float]) -> None:
        """Log what a validation between two steps gave.

        Parameters
        ----------
        learner : Learner
            Whose.
        values : dict of str to float
            Loss and metrics.
        """
        self._log(learner, "validation", values)

    def write_status(self, learner: "Learner", *, force: bool = False) -> None:
        """Write ``run.json`` now and then, or at once.

        Parameters
        ----------
        learner : Learner
            Whose.
        force : bool, default False
            Write it at once.
        """
        if not self.status or (not force and learner.elapsed - self._noted_at < _STATUS_EVERY):
            return
        self._noted_at = learner.elapsed
        if self.status["state"] in ("running", "paused"):
            self.status["state"] = "paused" if learner.knobs.paused else "running"
        assert learner.run_dir is not None
        knobs = [knob.describe(name) for name, knob in learner.knobs.table.items()]
        content = {**self.status, **_position(learner), "knobs": knobs}
        with atomic_write(learner.run_dir / "run.json") as temporary:
            temporary.write_text(to_json(content, indent=1), encoding="utf-8")

    def _log(self, learner: "Learner", kind: str, values: dict[str, float]) -> None:
        where = {"step": learner.step, "epoch": learner.epoch, "seconds": round(learner.elapsed, 3)}
        try:
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(to_json({"kind": kind, **where, **values}) + "\n")
        except OSError as error:
            raise write_error(self._path, error) from error

    def _end(self, learner: "Learner", error: BaseException | None) -> None:
        self.status |= _end_state(error)
        with suppress(FileError):  # a full disk shall not hide why the training ended
            self.write_status(learner, force=True)


def _cut_log(path: Path, step: int) -> None:
    """Leave out of a log what will be done again."""
    older = Run(path.parent).log()[0] if step else []
    rows = [to_json(row) + "\n" for row in older if row["step"] <= step]
    with atomic_write(path) as temporary:
        temporary.write_text("".join(rows), encoding="utf-8")


def _end_state(error: BaseException | None) -> dict[str, str]:
    if error is None:
        return {"state": "finished", "reason": ""}
    if isinstance(error, KeyboardInterrupt | SystemExit):
        return {"state": "interrupted", "reason": ""}
    return {"state": "failed", "reason": f"{type(error).__name__}: {error}"}


def _position(learner: "Learner") -> dict[str, Any]:
    left = learner.plan.seconds_left(learner.step, learner.elapsed)
    return {
        "updated": time.time(),
        "budget": learner.plan.budget,
        "step": learner.step,
        "total_steps": learner.total_steps,
        "epoch": learner.epoch,
        "seconds": round(learner.elapsed, 3),
        "seconds_left": None if left is None else round(left, 1),
        "lr": float(learner.optimizer.lr),
        "n_parameters": learner.model.n_parameters(),
        "last": learner.history[-1] if learner.history else {},
        "best": _best(learner.history),
    }


def _best(history: list[dict[str, float]]) -> dict[str, float]:
    """Give the row with the lowest validation loss."""
    rows = [row for row in history if math.isfinite(row.get("valid_loss", math.nan))]
    return min(rows, key=lambda row: row["valid_loss"]) if rows else {}


def about_machine() -> dict[str, Any]:
    """Tell which process, machine and versions a run is of.

    Returns
    -------
    dict
        ``pid``, ``host``, ``command``, ``machine`` and ``versions``.
    """
    names = ("fieldgrad", "numpy", "scipy")
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "command": sys.argv,
        "machine": {
            "system": platform.platform(),
            "processor": _processor(),
            "threads": base_kernels.get_num_threads(),
            "instructions": base_kernels.isa,
            "memory_gb": _memory_gb(),
        },
        "versions": {"python": platform.python_version()}
        | {name: metadata.version(name) for name in names},
    }


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_gb() -> float | None:
    with suppress(OSError, ValueError, AttributeError):
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    return None
