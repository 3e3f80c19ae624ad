"""The search for a learning rate: try rising rates for some steps and look at the loss."""

import copy
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine.autograd import no_grad
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
# Width of the smoothing: the standard deviation of its weights, in powers of ten of the rate.
_WIDTH = 0.2
# No step of a training should change the weights by more than this part of their size.
_LARGEST_CHANGE = 0.1


@dataclass(frozen=True, repr=False)
class RateSearch:
    """Losses at rising learning rates.

    Parameters
    ----------
    rates : tuple of float
        The rates tried.
    losses : tuple of float
        The loss of the batch at each, before the step.
    untrained : tuple of float
        The loss of the same batches with the weights from which the search began. Only the
        difference is of interest: how hard each batch is, which differs more than what a small
        rate changes, is the same in both.
    changes : tuple of float
        By which part of their size the step at each rate but the last changed the weights, those
        of one dimension left out.

    Attributes
    ----------
    suggestion : float
        A highest rate for one cycle.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    untrained: tuple[float, ...]
    changes: tuple[float, ...]

    def __repr__(self) -> str:
        return f"RateSearch({len(self.rates)} rates, suggestion={self.suggestion:.3g})"

    @property
    def smoothed(self) -> list[float]:
        """What the steps changed in the loss, averaged over neighboring rates; from its mean."""
        x, start = np.log10(self.rates), float(np.mean(self.untrained))
        change = np.subtract(self.losses, self.untrained)
        weight = np.exp(-0.5 * ((x[:, None] - x) / _WIDTH) ** 2)
        return [start + float(value) for value in weight @ change / weight.sum(axis=1)]

    @property
    def suggestion(self) -> float:
        """A highest rate for one cycle: where the loss falls most steeply, or below.

        Layers that are normalized do not care for the size of their weights, so the loss of a
        search still falls at rates that harm a training. So the rate is also no higher than that
        at which a step changes the weights by a tenth. The next search may say twice as much, or
        half.

        References
        ----------
        You, Gitman, Ginsburg, "Large batch training of convolutional networks", 2017,
        arXiv:1708.03888, section 4: steps measured by the size of the weights.
        """
        smoothed = np.array(self.smoothed)
        end = int(smoothed.argmin()) + 1
        if end < 5:
            raise RecipeError(
                f"lr_find: the loss falls over {end} of {len(self.rates)} rates only, too few "
                "to suggest one. Lower `lowest`, or look at the plot."
            )
        steepest = int(np.gradient(smoothed[:end], np.log(self.rates[:end])).argmin())
        return min(self.rates[steepest], self._largest_rate())

    def _largest_rate(self) -> float:
        """Give the rate at which a step changes the weights as much as any should."""
        changes = np.maximum.accumulate(self.changes)
        if changes[-1] <= _LARGEST_CHANGE:
            return math.inf
        rates = np.log(self.rates[: len(changes)])
        return math.exp(np.interp(_LARGEST_CHANGE, changes, rates))

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
    first: list[float] = []
    changes: list[float] = []
    matrices = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    model.train()
    untrained = copy.deepcopy(model)
    try:
        for epoch in range(-(-n_steps // len(learner.train))):
            for arrays in learner.train.iterate(epoch):
                optimizer.lr = rates[len(losses)]
                x, *targets = as_tensors(arrays)
                drawn = random.get_state()
                with no_grad():
                    first.append(float(learner.loss_function(untrained(x), *targets)))
                random.set_state(drawn)  # the same dropout
                loss = learner.loss_function(model(x), *targets)
                losses.append(float(loss))
                if len(losses) == n_steps or _has_exploded(losses, first):
                    break
                loss.backward()
                before = [p.data.copy() for p in matrices]
                optimizer.step()
                optimizer.zero_grad()
                changes.append(_change(before, [p.data for p in matrices]))
            else:
                continue
            break
    finally:
        model.load_state_dict(weights)
        optimizer.load_state_dict(settings)
        optimizer.zero_grad()
        random.set_state(generator)
        model.train(training)
    n = next((k for k, loss in enumerate(losses) if not math.isfinite(loss)), len(losses))
    if n < 5:
        raise RecipeError(
            f"lr_find: the loss is {losses[0]:g} at rate {lowest:g} and soon not finite. Lower "
            "`lowest`, or look for NaN in the data."
        )
    return RateSearch(
        tuple(rates[:n]), tuple(losses[:n]), tuple(first[:n]), tuple(changes[: n - 1])
    )


def _change(before: Sequence[NDArray[Any]], after: Sequence[NDArray[Any]]) -> float:
    """Measure the difference of all weights together by their size."""
    size = math.hypot(*map(np.linalg.norm, before))
    moved = math.hypot(*(np.linalg.norm(b - a) for a, b in zip(before, after, strict=True)))
    return moved / size if size else 0.0


def _has_exploded(losses: list[float], untrained: list[float]) -> bool:
    """Tell whether the loss is not finite, or far above what it was for the same batches."""
    if not math.isfinite(losses[-1]):
        return True
    last, first = float(np.mean(losses[-5:])), float(np.mean(untrained[-5:]))
    return last > first + (_EXPLODED - 1) * abs(first)
