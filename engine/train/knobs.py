"""Live knobs: settings of a run that may be turned while it trains, checked and recorded.

A knob belongs to an object that takes part in the training: the learner, a callback, the loss or
the data set. Whatever has a method ``knobs()`` offers its own. `Knobs` gathers them, takes requests
from the notebook, the terminal and the browser, applies them between two steps and writes each
change down with its step, so that a resumed or replayed run repeats it at the same place.
"""

import logging
import math
import queue
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fieldgrad.engine.errors import FieldgradError, RecipeError, suggest
from fieldgrad.engine.train import state
from fieldgrad.engine.train.events import Callback, CancelFit
from fieldgrad.engine.train.run import ACTIONS, Change, Inbox, Request, write_changes

if TYPE_CHECKING:
    from fieldgrad.engine.train.learner import Learner

__all__ = ["Knob", "Knobs", "TurnKnobs", "knob_of"]

log = logging.getLogger("fieldgrad.train")

# The folder of requests is looked at this often, seconds: a person does not notice, a network file
# system is not kept busy.
_LOOK_EVERY = 0.2


@dataclass(frozen=True)
class Knob:
    """One setting that can be turned: how to read, check and write it.

    Parameters
    ----------
    read : callable
        Gives the present value.
    write : callable
        Takes the new one, already checked.
    summary : str
        What it does and its unit, in a few words.
    low, high : float, optional
        Bounds, themselves allowed.
    above, below : float, optional
        Bounds, themselves not allowed.
    whole : bool, default False
        Whether only whole numbers are accepted.
    remakes_batches : bool, default False
        Whether batches are made with it, so that those made ahead are thrown away.

    Examples
    --------
    >>> settings = {"rate": 0.1}
    >>> knob = Knob(lambda: settings["rate"], lambda rate: settings.update(rate=rate), "speed",
    ...             above=0)
    >>> knob.check("rate", "1e-3")
    0.001
    >>> knob.check("rate", -1)
    Traceback (most recent call last):
    ...
    fieldgrad.engine.errors.RecipeError: the knob rate is -1; expected a number above 0. Nothing ...
    """

    read: Callable[[], float]
    write: Callable[[Any], None]
    summary: str
    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None
    whole: bool = False
    remakes_batches: bool = False

    def check(self, name: str, value: Any) -> float:
        """Give the value as a number, or refuse it.

        Parameters
        ----------
        name : str
            Name of the knob, for the message.
        value : float or str
            The value, also as text.

        Returns
        -------
        float
            A whole number is an int.

        Raises
        ------
        RecipeError
            If it is no number or out of bounds.
        """
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        good = (
            math.isfinite(number)
            and (self.low is None or number >= self.low)
            and (self.high is None or number <= self.high)
            and (self.above is None or number > self.above)
            and (self.below is None or number < self.below)
            and (not self.whole or number.is_integer())
        )
        if not good:
            raise RecipeError(
                f"the knob {name} is {value}; expected {self.expected()}. Nothing was changed."
            )
        return int(number) if self.whole else number

    def expected(self) -> str:
        """Say in words what is accepted.

        Returns
        -------
        str
            Such as "a number above 0".
        """
        bounds = [
            f"{word} {bound:g}"
            for word, bound in (
                ("from", self.low),
                ("above", self.above),
                ("to", self.high),
                ("below", self.below),
            )
            if bound is not None
        ]
        return " ".join(["a whole number" if self.whole else "a number", *bounds])

    def describe(self, name: str) -> dict[str, Any]:
        """Give what a page or a terminal shows of it.

        Parameters
        ----------
        name : str
            Name of the knob.

        Returns
        -------
        dict
            ``name``, ``value``, ``summary``, ``expected``, ``whole``.
        """
        return {
            "name": name,
            "value": self.read(),
            "summary": self.summary,
            "expected": self.expected(),
            "whole": self.whole,
        }


def knob_of(owner: Any, attribute: str, summary: str, **bounds: Any) -> Knob:
    """Make a knob of an attribute.

    Parameters
    ----------
    owner : object
        Whose attribute it is.
    attribute : str
        Its name.
    summary : str
        What it does and its unit.
    **bounds : float or bool
        Further arguments of `Knob`.

    Returns
    -------
    Knob
        Reads and sets the attribute.
    """
    return Knob(
        lambda: getattr(owner, attribute),
        lambda value: setattr(owner, attribute, value),
        summary,
        **bounds,
    )


class Knobs:
    """The table of a run's knobs, and the moments at which they turn.

    Every `Learner` has one as ``learner.knobs``. Requests are taken after each step; a change is
    written to ``run_dir/knobs.jsonl`` first and applied then.

    Attributes
    ----------
    table : dict of str to Knob
        What can be turned; known once a training has begun.
    record : list of Change
        What was turned in this run, in order.
    script : list of Change
        What is still to be repeated of an interrupted or replayed run, in order.
    paused : bool
        Whether the training stands still after the present step.
    """

    def __init__(self) -> None:
        self.table: dict[str, Knob] = {}
        self.record: list[Change] = []
        self.script: list[Change] = []
        self.saved: dict[str, float] = {}
        self.paused = False
        self._requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self._inbox: Inbox | None = None
        self._looked_at = 0.0

    def set(self, **settings: float) -> None:
        """Ask for new values; they apply after the present step, or when the next training begins.

        May be called from any thread, and from a callback.

        Parameters
        ----------
        **settings : float
            Values by the names of the knobs.

        Raises
        ------
        RecipeError
            If a training has begun and a knob or value is refused; nothing is changed then.
        """
        if self.table:
            self.check(settings)
        self._requests.put(Request(settings, "", "notebook"))

    def do(self, action: str) -> None:
        """Ask for an action after the present step.

        May be called from any thread, and from a callback.

        Parameters
        ----------
        action : {"pause", "resume", "stop", "validate", "save"}
            Stand still, go on, end the training as if its budget were used up, validate now, save
            ``last.safetensors`` now.

        Raises
        ------
        RecipeError
            If there is no such action.
        """
        if action not in ACTIONS:
            hint = suggest(action, ACTIONS) or "."
            raise RecipeError(f"there is no action {action!r}{hint} Actions: {', '.join(ACTIONS)}.")
        self._requests.put(Request({}, action, "notebook"))

    def check(self, settings: Mapping[str, Any]) -> dict[str, float]:
        """Refuse unknown knobs and values out of bounds.

        Parameters
        ----------
        settings : mapping of str to (float or str)
            Values by name.

        Returns
        -------
        dict of str to float
            The values as numbers.

        Raises
        ------
        RecipeError
            If one is refused.
        """
        for name in settings:
            if name not in self.table:
                raise RecipeError(
                    f"there is no knob {name!r}{suggest(name, self.table) or '.'} "
                    f"Knobs: {', '.join(self.table)}. Nothing was changed."
                )
        return {name: self.table[name].check(name, value) for name, value in settings.items()}

    def begin(self, learner: "Learner") -> None:
        """Gather the knobs and put them where an interrupted run had them.

        Parameters
        ----------
        learner : Learner
            Whose training begins.
        """
        self.table = gather(learner)
        self.paused = False
        self._inbox = None if learner.run_dir is None else Inbox(learner.run_dir)
        for name, value in self.check(self.saved).items():
            self.table[name].write(value)
        self.saved = {}
        self._write(learner)
        self.attend(learner)

    def attend(self, learner: "Learner") -> None:
        """Repeat what the script says for this step, then do what is asked for; wait if paused.

        Parameters
        ----------
        learner : Learner
            Between two steps.

        Raises
        ------
        CancelFit
            If the run is to be stopped.
        """
        while self.script and self.script[0].step <= learner.step:
            self._apply(learner, self.script.pop(0), repeated=True)
        self._answer_all(learner)
        if not self.paused:
            return
        paused_at = learner.clock()
        while self.paused and learner.interrupted is None:
            time.sleep(0.02)
            self._answer_all(learner)
            learner.note_status()
        learner.skip_time(learner.clock() - paused_at)

    def state(self) -> dict[str, Any]:
        """Give what a checkpoint keeps: the record, and the present values of what was turned.

        Returns
        -------
        dict
            ``record`` and ``values``.
        """
        turned = [c.knob for c in self.record if c.knob in self.table]
        return {
            "record": [change.as_dict() for change in self.record],
            "values": {name: self.table[name].read() for name in turned},
        }

    def load_state(self, kept: Mapping[str, Any], script: list[Change]) -> None:
        """Continue from what `state` gave.

        Parameters
        ----------
        kept : mapping
            As from `state`; empty for a run that begins.
        script : list of Change
            What to repeat, from the beginning of the run; what the record has is left out.
        """
        self.record = [Change(**entry) for entry in kept.get("record", [])]
        self.saved = dict(kept.get("values", {}))
        self.script = script[len(self.record) :]

    def _answer_all(self, learner: "Learner") -> None:
        now = time.monotonic()
        if self._inbox is not None and now - self._looked_at >= _LOOK_EVERY:
            self._looked_at = now
            for request in self._inbox.take():
                self._requests.put(request)
        while not self._requests.empty():
            request = self._requests.get()
            try:
                said = self._answer(learner, request)
            except FieldgradError as error:
                log.warning("knobs: %s", error)
                request.answer(str(error), False)
            else:
                request.answer(said, True)
                if request.action == "stop":
                    raise CancelFit(f"stopped from the {request.source}")

    def _answer(self, learner: "Learner", request: Request) -> str:
        values = self.check(request.settings)
        changes = [
            Change(learner.step, round(learner.elapsed, 3), name, value,
                   self.table[name].read(), request.source)
            for name, value in values.items()
        ]  # fmt: skip
        if request.action:
            action = Change(
                learner.step, round(learner.elapsed, 3), request.action, source=request.source
            )
            changes.append(action)
        for change in changes:
            self._apply(learner, change, repeated=False)
        return f"{', '.join(map(str, changes))} after step {learner.step}"

    def _apply(self, learner: "Learner", change: Change, *, repeated: bool) -> None:
        """Do what a change says; of a script, only what alters the weights is repeated."""
        self.record.append(change)
        if not repeated:  # first to the disk: what the next step sees must be on record
            self._write(learner)
        if change.knob == "stop" and repeated:
            raise CancelFit("the run was stopped here")
        if change.knob in ACTIONS:
            if not repeated:
                self._act(learner, change.knob)
        else:
            knob = self.table[change.knob]
            knob.write(knob.check(change.knob, change.value))
            learner.remake_batches = learner.remake_batches or knob.remakes_batches
        self._write(learner)
        log.info("step %d: %s", change.step, change)

    def _act(self, learner: "Learner", action: str) -> None:
        if action in ("pause", "resume"):
            self.paused = action == "pause"
        elif action == "validate":
            learner.validate_now()
        elif action == "save":
            if learner.run_dir is None:
                raise RecipeError("save: the learner has no run_dir. Give Learner(run_dir=...).")
            state.save(learner, learner.run_dir / "last.safetensors")

    def _write(self, learner: "Learner") -> None:
        if learner.run_dir is not None:
            write_changes(learner.run_dir, [*self.record, *self.script])
        learner.note_status(force=True)


class TurnKnobs(Callback):
    """Let ``learner.knobs`` act between two steps; every `Learner` has one."""

    # Before Checkpoint, so that what is saved after a step includes what was turned after it.
    order = 45

    def before_fit(self, learner: "Learner") -> None:
        """Gather the knobs; repeat what a script turns before the first step."""
        learner.knobs.begin(learner)

    def after_batch(self, learner: "Learner") -> None:
        """Turn what is asked for, wait if paused, stop if told to."""
        learner.knobs.attend(learner)


def gather(learner: "Learner") -> dict[str, Knob]:
    """Collect the knobs of everything that takes part in a training.

    Parameters
    ----------
    learner : Learner
        The learner, its callbacks, loss, loader and data set are asked.

    Returns
    -------
    dict of str to Knob
        By name; a callback's knob takes the place of the learner's own of the same name.
    """
    table = learner.own_knobs()
    data = getattr(learner.train, "dataset", None)
    for owner in (learner.loss_function, learner.train, data, *learner.callbacks):
        offered = getattr(owner, "knobs", None)
        if callable(offered):
            table |= offered()
    return table
