"""The events of the training loop, what takes part in them, and how to leave early."""

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from fieldgrad.engine.errors import RecipeError, suggest

__all__ = ["EVENTS", "LOOP", "Callback", "CancelBatch", "CancelEpoch", "CancelFit"]

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


class Callback:
    """Base of what takes part in the loop: methods named after events, called with the learner.

    Attributes
    ----------
    order : int
        Callbacks are called by ascending order; those of equal order as they were given.
    """

    order = 0

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Give what a checkpoint must hold of this callback; nothing unless said otherwise."""
        return {}

    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> None:
        """Continue from what `state_dict` gave.

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
    names = [type(c).__name__ for c in callbacks if keeps_state(c)]
    if len(set(names)) != len(names):
        raise RecipeError(f"Learner: of {names} one kind is given twice, so its state has no name.")
    for callback in callbacks:
        for name in dir(callback):
            if name.startswith(("before_", "after_")) and name not in EVENTS:
                raise RecipeError(
                    f"{type(callback).__name__}: there is no event {name!r}"
                    f"{suggest(name, EVENTS)}. Events: {', '.join(EVENTS)}."
                )


def keeps_state(callback: Callback) -> bool:
    """Tell whether a callback has state of its own.

    Parameters
    ----------
    callback : Callback
        Any callback.

    Returns
    -------
    bool
        Whether its class defines ``state_dict``.
    """
    return type(callback).state_dict is not Callback.state_dict
