"""Which runs there are, what they do, and how good they are."""

import csv
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fieldgrad.engine.train.run import Run

__all__ = ["RunLine", "clock", "find_runs"]


@dataclass(frozen=True)
class RunLine:
    """A run in a list.

    Parameters
    ----------
    folder : Path
        Its folder.
    state : str
        As `Run.status` has it; "empty" for a recipe that never began to train.
    position : str
        Steps done and planned.
    best : str
        Lowest validation loss and the metrics of that epoch, or the last training loss.
    duration : str
        Time of training.
    updated : float
        When it last wrote, seconds since 1970.
    """

    folder: Path
    state: str
    position: str
    best: str
    duration: str
    updated: float


def find_runs(root: str | os.PathLike[str]) -> list[RunLine]:
    """Find the runs in a folder and the folders below it.

    Parameters
    ----------
    root : str or os.PathLike
        The folder, or the folder of one run.

    Returns
    -------
    list of RunLine
        The newest first.
    """
    folders = {p.parent for name in ("run.json", "recipe.toml") for p in Path(root).rglob(name)}
    lines = [_line(folder) for folder in folders]
    return sorted(lines, key=lambda line: -line.updated)


def _line(folder: Path) -> RunLine:
    status = Run(folder).status()
    if not status:
        return _older(folder)
    total = status.get("total_steps")
    position = f"{status.get('step', 0)}/{total if total is not None else '?'}"
    row = status.get("best") or status.get("last") or {}
    return RunLine(
        folder,
        str(status.get("state", "unknown")),
        position,
        _values(row),
        clock(float(status.get("seconds") or 0)),
        float(status.get("updated") or 0),
    )


def _older(folder: Path) -> RunLine:
    """Describe a run without run.json by its history, as older versions left it."""
    path = folder / "history.csv"
    rows: list[dict[str, Any]] = []
    if path.exists():
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    last = {key: float(value) for key, value in rows[-1].items() if value} if rows else {}
    return RunLine(
        folder,
        "unknown" if rows else "empty",
        f"{int(last['step'])}/?" if "step" in last else "0/?",
        _values(last),
        clock(last.get("seconds", 0.0)),
        max(p.stat().st_mtime for p in (folder / "recipe.toml", path) if p.exists()),
    )


def _values(row: dict[str, Any]) -> str:
    """Write the loss and the leading metrics of an epoch."""
    loss = "valid_loss" if row.get("valid_loss") is not None else "train_loss"
    skipped = ("epoch", "step", "seconds", "lr", "train_loss", "valid_loss")
    metrics = [name for name in row if name not in skipped][:2]
    shown = [(name, row.get(name)) for name in (loss, *metrics)]
    return "  ".join(f"{name} {value:.4g}" for name, value in shown if value is not None)


def clock(seconds: float) -> str:
    """Write a duration.

    Parameters
    ----------
    seconds : float
        How long.

    Returns
    -------
    str
        Hours, minutes and seconds.

    Examples
    --------
    >>> clock(75.4), clock(7321)
    ('1:15', '2:02:01')
    """
    whole = int(seconds)
    text = time.strftime("%M:%S", time.gmtime(whole)).removeprefix("0")
    return (
        f"{whole // 3600}:{time.strftime('%M:%S', time.gmtime(whole))}" if whole >= 3600 else text
    )
