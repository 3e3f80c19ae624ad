"""Replay: what a run that is repeated must do as the original did, step by step."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fieldgrad.engine import checkpoint
from fieldgrad.engine.errors import FileError
from fieldgrad.engine.files import atomic_write
from fieldgrad.engine.train.budget import Plan
from fieldgrad.engine.train.run import Change, Run

__all__ = ["Script", "differences", "write_script"]

# Hidden, so that a folder with nothing else still counts as new.
_NAME = ".replay.json"


@dataclass(frozen=True)
class Script:
    """Knobs to turn at given steps, and the plan of the original.

    Parameters
    ----------
    changes : list of Change, optional
        In order.
    decisions : list of pairs of int, optional
        How the original planned its number of steps when its budget was a time.
    last_step : int or None, optional
        Where the original ended; None for a run that is no replay.
    """

    changes: list[Change] = field(default_factory=list)
    decisions: list[tuple[int, int]] = field(default_factory=list)
    last_step: int | None = None

    @classmethod
    def find(cls, folder: Path | None, *, resume: bool) -> "Script":
        """Read what a run in this folder has to repeat.

        Parameters
        ----------
        folder : Path or None
            The run's folder.
        resume : bool
            Whether the run goes on with one that was interrupted.

        Returns
        -------
        Script
            Of a replay what `write_script` wrote; of an interrupted run its own changes, since some
            may be newer than its last checkpoint; empty for a new run.
        """
        if folder is None:
            return cls()
        path = folder / _NAME
        changes = Run(folder).changes() if resume and folder.is_dir() else []
        if not path.exists():
            return cls(changes)
        content = json.loads(path.read_text(encoding="utf-8"))
        original = [Change(**entry) for entry in content["changes"]]
        decisions = [(step, total) for step, total in content["decisions"]]
        return cls(changes or original, decisions, content["last_step"])

    def guide(self, plan: Plan) -> None:
        """Let a plan follow the original.

        Parameters
        ----------
        plan : Plan
            Of a replay; that of any other run is left as it is.
        """
        if self.last_step is not None:
            plan.follow(self.decisions, self.last_step)


def write_script(original: str | os.PathLike[str], folder: str | os.PathLike[str]) -> Script:
    """Prepare a folder in which a run repeats another one.

    Parameters
    ----------
    original : str or os.PathLike
        Folder of the run to repeat; it needs ``last.safetensors``.
    folder : str or os.PathLike
        Folder of the repetition.

    Returns
    -------
    Script
        What will be repeated.

    Raises
    ------
    FileError
        If the original has no checkpoint.
    """
    training = _training(Path(original) / "last.safetensors")
    last_step = int(training["step"])
    changes = [c for c in Run(original).changes() if c.step <= last_step]
    decisions = [(step, total) for step, total in training["plan"]["decisions"]]
    content = {
        "changes": [change.as_dict() for change in changes],
        "decisions": decisions,
        "last_step": last_step,
    }
    with atomic_write(Path(folder) / _NAME) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return Script(changes, decisions, last_step)


def differences(one: str | os.PathLike[str], other: str | os.PathLike[str]) -> list[str]:
    """Compare the last checkpoints of two runs bit by bit.

    Parameters
    ----------
    one, other : str or os.PathLike
        Folders of runs.

    Returns
    -------
    list of str
        Names of arrays (weights, optimizer, averages) that differ or that one of them lacks; empty
        if the runs ended at the same bits.
    """
    first, _ = checkpoint.load(Path(one) / "last.safetensors")
    second, _ = checkpoint.load(Path(other) / "last.safetensors")
    names = sorted(first.keys() | second.keys())
    return [n for n in names if n not in first or n not in second or not _same(first[n], second[n])]


def _same(a: Any, b: Any) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b, equal_nan=True)


def _training(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise FileError(
            f"{path} does not exist, so it is not known where the run ended. Only runs with "
            "checkpoints can be replayed.",
            path,
        )
    text = checkpoint.load(path)[1]
    if "training" not in text:
        raise FileError(f"{path} holds no state of a training.", path)
    found: dict[str, Any] = json.loads(text["training"])
    return found
