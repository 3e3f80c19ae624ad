"""A run's folder: its files, who reads and writes them, and requests to a run that trains.

Everything outside of the training (the terminal, the browser page, a report, another notebook)
knows a run by these files alone, so that it sees a run on another machine of a shared file system
just as well, and cannot disturb it::

    recipe.toml        what was run, with every default             engine.recipe
    run.json           state, position, best value, knobs, machine  RunRecord
    log.jsonl          a line for every while of steps, and for each epoch and validation
    history.csv        a row for each epoch                         CSVLog
    knobs.jsonl        each change of a knob, with its step         Knobs
    last.safetensors   where to go on; best.safetensors             Checkpoint
    pictures/          how the field shows its predictions          Pictures
    requests/          what is asked of the run, and its answers    Run, Inbox
"""

import contextlib
import json
import math
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fieldgrad.engine.errors import FileError, RecipeError, suggest
from fieldgrad.engine.files import atomic_write

__all__ = ["ACTIONS", "Change", "Inbox", "Request", "Run", "to_json", "write_changes"]

ACTIONS = ("pause", "resume", "stop", "validate", "save")

# A request is answered after the present step; after this many seconds the asker gives up.
_PATIENCE = 60.0


@dataclass(frozen=True)
class Change:
    """A knob that was turned, or an action that was asked for.

    Parameters
    ----------
    step : int
        Number of steps that were done then.
    seconds : float
        Time of training then.
    knob : str
        Name of the knob, or an action.
    value, was : float, optional
        The new value and the old one; none for an action.
    source : str, default "notebook"
        Where it came from: "notebook", "terminal" or "browser".

    Examples
    --------
    >>> print(Change(120, 9.5, "lr", 1e-4, 1e-3))
    lr = 0.0001 (was 0.001)
    """

    step: int
    seconds: float
    knob: str
    value: float | None = None
    was: float | None = None
    source: str = "notebook"

    def as_dict(self) -> dict[str, Any]:
        """Give the change as it stands in a file.

        Returns
        -------
        dict
            Its fields.
        """
        return dict(vars(self))

    def __str__(self) -> str:
        if self.value is None:
            return self.knob
        return f"{self.knob} = {self.value:g} (was {self.was:g})"


@dataclass(frozen=True)
class Request:
    """What is asked of a run, and how to answer.

    Parameters
    ----------
    settings : mapping of str to (float or str)
        New values of knobs.
    action : str
        One of `ACTIONS`, or "".
    source : str
        Where it comes from.
    answer : callable, optional
        Takes what happened, in words, and whether it was done.
    """

    settings: Mapping[str, Any]
    action: str
    source: str
    answer: Callable[[str, bool], None] = field(default_factory=lambda: _say_nothing)


def _say_nothing(said: str, done: bool) -> None:
    """Answer a request of this process, which sees by itself what became of it."""


class Run:
    """A run seen from outside, through its folder.

    Parameters
    ----------
    folder : str or os.PathLike
        The run's folder.

    Raises
    ------
    FileError
        If there is no such folder.

    Examples
    --------
    In a second notebook or terminal, while the run trains::

        run = Run("runs/hippocampus")
        run.set(lr=1e-4)
        run.do("validate")
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise FileError(f"{self.folder} is no folder of a run. Check the path.", self.folder)

    def status(self) -> dict[str, Any]:
        """Give state, position, best value, knobs and machine of the run.

        Returns
        -------
        dict
            What ``run.json`` holds; ``state`` is "running", "paused", "finished", "interrupted" (by
            a signal; it can be resumed), "failed", or "killed": it says that it runs, but on this
            machine its process is gone. Empty for a folder without that file.
        """
        found = _read_json(self.folder / "run.json")
        if found.get("state") in ("running", "paused"):
            here = found.get("host") == socket.gethostname()
            if here and not _is_alive(int(found.get("pid", 0))):
                found["state"] = "killed"
        return found

    def log(self, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
        """Read the log from some place on.

        Parameters
        ----------
        offset : int, default 0
            Where to begin, in bytes: 0, or what an earlier call gave.

        Returns
        -------
        rows : list of dict
            ``kind`` is "steps" (``step``, ``epoch``, ``seconds``, ``loss``, ``lr``), "epoch" (a row
            of the history) or "validation".
        offset : int
            Where to go on reading.
        """
        try:
            with open(self.folder / "log.jsonl", "rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(offset if offset <= size else 0)
                text = file.read()
                start = file.tell() - len(text)
        except OSError:
            return [], 0
        whole = text[: text.rfind(b"\n") + 1]  # a line may be in the making
        return [json.loads(line) for line in whole.splitlines()], start + len(whole)

    def changes(self) -> list[Change]:
        """Give what was turned in the run.

        Returns
        -------
        list of Change
            In order.
        """
        path = self.folder / "knobs.jsonl"
        if not path.exists():
            return []
        return [Change(**json.loads(line)) for line in path.read_text("utf-8").splitlines()]

    def set(self, **settings: float | str) -> str:
        """Turn knobs of the run and wait until it has done so.

        Parameters
        ----------
        **settings : float or str
            Values by the names of the knobs.

        Returns
        -------
        str
            What was changed, and after which step.

        Raises
        ------
        RecipeError
            If the run does not train, refuses, or does not answer.
        """
        return self.request(settings)

    def do(self, action: str) -> str:
        """Ask the run for an action and wait until it has done so.

        Parameters
        ----------
        action : {"pause", "resume", "stop", "validate", "save"}
            As `Knobs.do`.

        Returns
        -------
        str
            What was done.

        Raises
        ------
        RecipeError
            If the run does not train, refuses, or does not answer.
        """
        return self.request({}, action)

    def request(
        self,
        settings: Mapping[str, Any],
        action: str = "",
        *,
        source: str = "notebook",
        patience: float = _PATIENCE,
    ) -> str:
        """Put a request into the run's folder and wait for the answer.

        Parameters
        ----------
        settings : mapping of str to (float or str)
            New values of knobs.
        action : str, default ""
            One of `ACTIONS`.
        source : str, default "notebook"
            Where it comes from, for the record.
        patience : float, default 60
            Seconds to wait for an answer.

        Returns
        -------
        str
            The run's answer.

        Raises
        ------
        RecipeError
            If the run does not train, refuses, or does not answer in time.
        """
        if action and action not in ACTIONS:
            hint = suggest(action, ACTIONS) or "."
            raise RecipeError(f"there is no action {action!r}{hint} Actions: {', '.join(ACTIONS)}.")
        self._refuse_unless_training()
        name = f"{time.time_ns()}-{secrets.token_hex(4)}"
        asked = self.folder / "requests" / f"{name}.json"
        answered = asked.with_suffix(".answer")
        with atomic_write(asked) as temporary:
            content = {"settings": dict(settings), "action": action, "source": source}
            temporary.write_text(json.dumps(content), encoding="utf-8")
        end = time.monotonic() + patience
        try:
            while not answered.exists():
                if time.monotonic() > end:
                    kept = "was taken back: try again" if asked.exists() else "will be done later"
                    raise RecipeError(
                        f"{self.folder} did not answer within {patience:g} s; it may be loading, "
                        f"validating, or in a long step. The request {kept}."
                    )
                time.sleep(0.05)
                if not asked.exists() and not answered.exists():
                    self._refuse_unless_training()
            answer = _read_json(answered)
        finally:
            asked.unlink(missing_ok=True)
            answered.unlink(missing_ok=True)
        if not answer.get("done"):
            raise RecipeError(str(answer.get("said", "the run gave no reason")))
        return str(answer["said"])

    def _refuse_unless_training(self) -> None:
        state = self.status().get("state")
        if state not in ("running", "paused"):
            what = f"is {state}" if state else "has never begun to train"
            raise RecipeError(
                f"the run {self.folder} {what}, so nothing listens. "
                f"See which runs train with: fieldgrad runs {self.folder.parent}"
            )


class Inbox:
    """The run's side of ``requests/``.

    Parameters
    ----------
    folder : Path
        The run's folder. What was asked of an earlier process is thrown away.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "requests"
        for old in self._files():
            old.unlink(missing_ok=True)

    def take(self) -> list[Request]:
        """Give the requests that have come, in order, each with the way to answer it.

        Returns
        -------
        list of Request
            Those that can be read; others are thrown away.
        """
        requests = []
        for path in self._files():
            content = _read_json(path)
            path.unlink(missing_ok=True)
            settings, action = content.get("settings"), content.get("action", "")
            if isinstance(settings, dict) and action in ("", *ACTIONS):
                source = str(content.get("source", "unknown"))[:20]
                requests.append(Request(settings, action, source, _answer_to(path)))
        return requests

    def _files(self) -> list[Path]:
        with contextlib.suppress(OSError):
            names = sorted(os.listdir(self.folder))
            return [self.folder / n for n in names if n.endswith(".json") and n[0] != "."]
        return []


def _answer_to(path: Path) -> Callable[[str, bool], None]:
    def answer(said: str, done: bool) -> None:
        with atomic_write(path.with_suffix(".answer")) as temporary:
            temporary.write_text(json.dumps({"said": said, "done": done}), encoding="utf-8")

    return answer


def write_changes(folder: Path, changes: Iterable[Change]) -> None:
    """Write what was turned, and is to be turned again by a resumed run.

    Parameters
    ----------
    folder : Path
        The run's folder.
    changes : iterable of Change
        All of them, in order.
    """
    lines = [to_json(change.as_dict()) + "\n" for change in changes]
    path = folder / "knobs.jsonl"
    if lines or path.exists():
        with atomic_write(path) as temporary:
            temporary.write_text("".join(lines), encoding="utf-8")


def to_json(content: Mapping[str, Any], *, indent: int | None = None) -> str:
    """Write a table as JSON; what JSON has no number for (NaN, infinities) becomes null.

    Parameters
    ----------
    content : mapping
        Text, numbers, lists and tables of these.
    indent : int, optional
        Spaces by level; one line without.

    Returns
    -------
    str
        Strict JSON, as browsers read it.
    """

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {str(key): plain(entry) for key, entry in value.items()}
        if isinstance(value, list | tuple):
            return [plain(entry) for entry in value]
        if isinstance(value, float):
            return value if math.isfinite(value) else None
        return value

    return json.dumps(plain(content), indent=indent, allow_nan=False)


def _read_json(path: Path) -> dict[str, Any]:
    """Read a small file; what is missing or no JSON table counts as empty."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # of another user
    return pid > 0
