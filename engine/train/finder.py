"""The search for a learning rate: try rising rates for some steps and look at the loss."""

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fieldgrad.engine.charts import Curve, chart
from fieldgrad.engine.data import as_tensors
from fieldgrad.engine.errors import RecipeError
from fieldgrad.engine.files import atomic_write
from fieldgrad.engine.ops import random

if TYPE_CHECKING:
    from fieldgrad.engine.train.learner import Learner

__all__ = ["RateSearch", "search"]

# The search is over when the smoothed loss is this many times the lowest one above zero.
_EXPLODED = 4.0
# Weight of the past in the smoothed loss.
_SMOOTH = 0.9


@dataclass(frozen=True, repr=False)
class RateSearch:
    """Losses at rising learning rates.

    Parameters
    ----------
    rates : tuple of float
        The rates tried.
    losses : tuple of float
        The loss of the batch at each, before the step.

    Attributes
    ----------
    suggestion : float
        Where the smoothed loss falls most steeply against the logarithm of the rate: a good highest
        rate for one cycle, and an upper bound for a constant one.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]

    def __repr__(self) -> str:
        return f"RateSearch({len(self.rates)} rates, suggestion={self.suggestion:.3g})"

    @property
    def smoothed(self) -> list[float]:
        """Running mean of the losses, without bias toward the first."""
        return _smooth(self.losses)

    @property
    def suggestion(self) -> float:
        """Rate at which the smoothed loss falls most steeply, before its lowest value."""
        smoothed = np.array(self.smoothed)
        end = max(int(smoothed.argmin()) + 1, 2)
        x, y = np.log(self.rates[:end]), smoothed[:end]
        if len(x) < 5:
            raise RecipeError(
                f"lr_find: the loss falls over {len(x)} of {len(self.rates)} rates only, too few "
                "to suggest one. Lower `lowest`, or look at the plot."
            )
        return float(self.rates[int(np.gradient(y, x).argmin())])

    def svg(self) -> str:
        """Draw the loss against the rate.

        Returns
        -------
        str
            An SVG image.
        """
        curves = [Curve("loss", self.rates, self.losses, faint=True)]
        curves.append(Curve("smoothed", self.rates, self.smoothed))
        marks = [(self.suggestion, f"suggestion {self.suggestion:.2g}")]
        return chart(curves, x_label="learning rate", y_label="loss", log_x=True, marks=marks)

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Write the plot.

        Parameters
        ----------
        path : str or os.PathLike
            The .svg file.

        Raises
        ------
        FileError
            If it cannot be written.
        """
        with atomic_write(path) as temporary:
            temporary.write_text(self.svg(), encoding="utf-8")

    def _repr_svg_(self) -> str:
        return self.svg()


def search(learner: "Learner", lowest: float, highest: float, n_steps: int) -> RateSearch:
    """Train with rates that rise in equal ratios, then put model and optimizer back.

    Parameters
    ----------
    learner : Learner
        Its model, loss, optimizer and training data are used, its callbacks are not called.
    lowest, highest : float
        First and last rate.
    n_steps : int
        Number of steps; the search ends earlier when the loss explodes.

    Returns
    -------
    RateSearch
        Rates and losses.

    Raises
    ------
    RecipeError
        If the rates do not rise, or the loss is not finite from the beginning.

    References
    ----------
    Smith, "Cyclical learning rates for training neural networks", WACV 2017, arXiv:1506.01186,
    section 3.3.
    """
    if not 0 < lowest < highest or n_steps < 10:
        raise RecipeError(
            f"lr_find: lowest {lowest:g}, highest {highest:g}, n_steps {n_steps}; expected "
            "0 < lowest < highest and at least 10 steps."
        )
    model, optimizer = learner.model, learner.optimizer
    weights, settings = model.state_dict(), optimizer.state_dict()
    generator, training = random.get_state(), model.training
    rates = [float(rate) for rate in np.geomspace(lowest, highest, n_steps)]
    losses: list[float] = []
    model.train()
    try:
        for epoch in range(-(-n_steps // len(learner.train))):
            for arrays in learner.train.iterate(epoch):
                optimizer.lr = rates[len(losses)]
                x, *targets = as_tensors(arrays)
                loss = learner.loss_function(model(x), *targets)
                losses.append(float(loss))
                if len(losses) == n_steps or _has_exploded(losses):
                    break
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
            else:
                continue
            break
    finally:
        model.load_state_dict(weights)
        optimizer.load_state_dict(settings)
        optimizer.zero_grad()
        random.set_state(generator)
        model.train(training)
    finite = [loss for loss in losses if math.isfinite(loss)]
    if len(finite) < 5:
        raise RecipeError(
            f"lr_find: the loss is {losses[0]:g} at rate {lowest:g} and soon not finite. Lower "
            "`lowest`, or look for NaN in the data."
        )
    return RateSearch(tuple(rates[: len(finite)]), tuple(finite))


def _smooth(losses: "list[float] | tuple[float, ...]") -> list[float]:
    mean, smoothed = 0.0, []
    for k, loss in enumerate(losses, 1):
        mean = _SMOOTH * mean + (1 - _SMOOTH) * loss
        smoothed.append(mean / (1 - _SMOOTH**k))
    return smoothed


def _has_exploded(losses: list[float]) -> bool:
    if not math.isfinite(losses[-1]):
        return True
    smoothed = _smooth(losses)
    lowest = min(smoothed)
    return smoothed[-1] > lowest + (_EXPLODED - 1) * abs(lowest)
