"""The events of the training loop, what takes part in them, and how to leave early."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from fieldgrad.engine.errors import RecipeError, suggest

if TYPE_CHECKING:
    from fieldgrad.engine.train.knobs import Knob
    from fieldgrad.engine.train.learner import Learner

__all__ = [
    "EVENTS",
    "LOOP",
    "Callback",
    "CancelBatch",
    "CancelEpoch",
    "CancelFit",
    "check_callbacks",
    "loop_text",
    "takes_part",
]

LOOP = """\
before_fit
for each epoch:
    before_epoch
    before_train
    for each batch:
        before_batch
        prediction = model(x)
        loss = loss_function(prediction, *targets)
        before_backward
        loss.backward()
        before_step
        optimizer.step()
        after_step
        optimizer.zero_grad()
        after_batch
    after_train
    before_validate
    validate()
    after_validate
    after_epoch
after_fit"""

EVENTS = tuple(word for word in LOOP.split() if word.startswith(("before_", "after_")))


class CancelBatch(Exception):
    """Raised in an event: leave out the rest of this batch, up to ``after_batch``."""


class CancelEpoch(Exception):
    """Raised in an event: leave out the rest of this epoch, up to ``after_epoch``."""


class CancelFit(Exception):
    """Raised in an event: end the training, going on with ``after_fit``."""


class _Events:
    """The moments of a training, each a method that is called with the learner."""

    def before_fit(self, learner: "Learner") -> None:
        """Begin: the model is as it was given, or as a checkpoint had it."""

    def before_epoch(self, learner: "Learner") -> None:
        """Begin an epoch, or the rest of one after resuming."""

    def before_train(self, learner: "Learner") -> None:
        """Begin its training part."""

    def before_batch(self, learner: "Learner") -> None:
        """See ``learner.batch``, a tuple (x, *targets) of tensors, which may be replaced."""

    def before_backward(self, learner: "Learner") -> None:
        """See ``learner.prediction`` and ``learner.loss``, which may be replaced."""

    def before_step(self, learner: "Learner") -> None:
        """See the gradients, which may be changed."""

    def after_step(self, learner: "Learner") -> None:
        """See the changed weights, and the gradients a last time."""

    def after_batch(self, learner: "Learner") -> None:
        """End a batch; ``learner.step`` counts it."""

    def after_train(self, learner: "Learner") -> None:
        """End the training part of an epoch."""

    def before_validate(self, learner: "Learner") -> None:
        """Begin the validation part, if there are validation data."""

    def after_validate(self, learner: "Learner") -> None:
        """End the validation part."""

    def after_epoch(self, learner: "Learner") -> None:
        """End an epoch; ``learner.epoch`` counts it, ``learner.history[-1]`` is its row."""

    def after_fit(self, learner: "Learner") -> None:
        """End, also after CancelFit, but not after an error."""


class Callback(_Events):
    """Base of what takes part in a training: override the events at which something happens.

    Attributes
    ----------
    order : int
        Callbacks are called by ascending order; those of equal order as they were given.
    """

    order = 0

    def knobs(self) -> "dict[str, Knob]":
        """Give what can be turned while the training runs; see `knobs.Knob`.

        Returns
        -------
        dict of str to Knob
            By name; none unless overridden.
        """
        return {}

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Give what a checkpoint must hold of this callback.

        Returns
        -------
        dict of str to numpy.ndarray
            Named arrays; none unless overridden.
        """
        return {}

    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> None:
        """Continue from what `state_dict` gave; called before ``before_fit``.

        Parameters
        ----------
        state : dict of str to numpy.ndarray
            As from `state_dict`.
        """


def check_callbacks(callbacks: Sequence[Callback]) -> None:
    """Refuse methods that look like events but are none.

    Parameters
    ----------
    callbacks : sequence of Callback
        The callbacks of one learner.

    Raises
    ------
    RecipeError
        If a method's name is no event, or two callbacks of one kind keep state.
    """
    names = [type(c).__name__ for c in callbacks if takes_part(c, "state_dict")]
    if len(set(names)) != len(names):
        raise RecipeError(f"Learner: of {names} one kind is given twice, so its state has no name.")
    for callback in callbacks:
        for name in dir(callback):
            if name.startswith(("before_", "after_")) and name not in EVENTS:
                raise RecipeError(
                    f"{type(callback).__name__}: there is no event {name!r}"
                    f"{suggest(name, EVENTS)}. Events: {', '.join(EVENTS)}."
                )


def takes_part(callback: Callback, method: str) -> bool:
    """Tell whether a callback does something of its own at an event, or has state of its own.

    Parameters
    ----------
    callback : Callback
        Any callback.
    method : str
        An event, or ``"state_dict"``.

    Returns
    -------
    bool
        Whether its class overrides the method.
    """
    return getattr(type(callback), method) is not getattr(Callback, method)


def loop_text(callbacks: Sequence[Callback]) -> str:
    """Write the loop with the callbacks at each event, in the order of their calls.

    Parameters
    ----------
    callbacks : sequence of Callback
        In the order of their calls.

    Returns
    -------
    str
        A line for each event and each step between them.
    """
    lines = []
    for line in LOOP.splitlines():
        event = line.strip()
        there = [c for c in callbacks if event in EVENTS and takes_part(c, event)]
        lines.append(f"{line:<52}{', '.join(type(c).__name__ for c in there)}".rstrip())
    return "\n".join(lines)
