"""Callbacks that change batches, gradients or what is trained: mixup, growing images, freezing."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import DataError, RecipeError
from fieldgrad.engine.ops import random
from fieldgrad.engine.ops.resample import interpolate
from fieldgrad.engine.train import groups
from fieldgrad.engine.train.events import Callback, CancelBatch
from fieldgrad.engine.train.knobs import Knob, knob_of

if TYPE_CHECKING:
    from fieldgrad.engine.train.learner import Learner

__all__ = ["AccumulateGradient", "Mixup", "ProgressiveResize", "Unfreeze"]


class AccumulateGradient(Callback):
    """Step once for several batches, with the mean of their gradients.

    As a larger batch, for models whose batches must be small to fit into the memory; the same for
    losses that are means over items, but not for layers with statistics over the batch.

    Parameters
    ----------
    n_batches : int
        Number of batches for one step of the optimizer.
    """

    # Before StopOnNaN, GradientClip and whatever else looks at the gradient.
    order = -10

    def __init__(self, n_batches: int) -> None:
        if n_batches < 1:
            raise RecipeError(f"AccumulateGradient: n_batches is {n_batches}; expected 1 or more.")
        self.n_batches = n_batches
        self._n = 0
        self._learner: Learner | None = None
        self._loaded: dict[str, NDArray[Any]] = {}

    def before_fit(self, learner: "Learner") -> None:
        """Begin, or take up the gradients of a checkpoint."""
        self._learner, self._n = learner, int(self._loaded.pop("n", np.asarray(0)))
        for name, gradient in self._loaded.items():
            learner.optimizer.params[int(name)].grad = Tensor(gradient)
        self._loaded = {}

    def before_step(self, learner: "Learner") -> None:
        """Keep the gradients until there are enough of them."""
        self._n += 1
        if self._n < self.n_batches:
            raise CancelBatch
        self._n = 0
        for parameter in learner.optimizer.params:
            if parameter.grad is not None:
                parameter.grad = Tensor(parameter.grad.data * (1 / self.n_batches))

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Give the gradients that wait for more, and of how many batches they are."""
        if self._learner is None or not self._n:
            return {}
        params = enumerate(self._learner.optimizer.params)
        waiting = {str(i): p.grad.data.copy() for i, p in params if p.grad is not None}
        return {"n": np.asarray(self._n), **waiting}

    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> None:
        """Keep the gradients of a checkpoint for `before_fit`."""
        self._loaded = dict(state)


class Mixup(Callback):
    """Train on mixtures of two items each, and on the mixture of their losses.

    Parameters
    ----------
    alpha : float, default 0.2
        Parameter of the beta distribution that the shares are drawn from; 0 mixes nothing.

    Notes
    -----
    ``x = s x_1 + (1 - s) x_2`` and ``loss = s loss(f(x), y_1) + (1 - s) loss(f(x), y_2)``, with one
    s for the batch: linear in the targets, so it fits losses of classes, label maps and numbers.
    The inputs of a batch must be one array of shape (batch, ...).

    References
    ----------
    Zhang, Cisse, Dauphin, Lopez-Paz, "mixup: beyond empirical risk minimization", ICLR 2018,
    arXiv:1710.09412, eq. 1.
    """

    def __init__(self, alpha: float = 0.2) -> None:
        if alpha < 0:
            raise RecipeError(f"Mixup: alpha is {alpha}; expected 0 or more.")
        self.alpha = alpha
        self._share = 1.0
        self._others: tuple[Tensor, ...] = ()

    def knobs(self) -> dict[str, Knob]:
        """Offer the strength."""
        return {"mixup": knob_of(self, "alpha", "strength of mixing, 0 for none", low=0)}

    def before_batch(self, learner: "Learner") -> None:
        """Mix the inputs of the batch with those of its items in another order."""
        x, *targets = learner.batch
        self._share = 1.0
        if self.alpha == 0:
            return
        if not isinstance(x, Tensor):
            raise DataError("Mixup: the input of the batch is no single array; leave Mixup out.")
        rng = random.generator()
        self._share = float(rng.beta(self.alpha, self.alpha))
        order = rng.permutation(x.shape[0])
        self._others = tuple(Tensor(np.asarray(target)[order]) for target in targets)
        share = np.asarray(self._share, x.data.dtype)
        learner.batch = (Tensor(share * x.data + (1 - share) * x.data[order]), *targets)

    def before_backward(self, learner: "Learner") -> None:
        """Add the loss against the other items' targets."""
        if self._share < 1.0:
            assert learner.loss is not None
            other = learner.loss_function(learner.prediction, *self._others)
            learner.loss = learner.loss * self._share + other * (1 - self._share)


class ProgressiveResize(Callback):
    """Begin with small images and let them grow: most of the training costs a part of the time.

    Inputs of shape (batch, channel, n0, n1, …) are interpolated linearly; targets with the same
    spatial axes (label maps) take the nearest element. Validation sees whole images.

    Parameters
    ----------
    start : float, default 0.5
        Part of each axis at the beginning, in (0, 1].
    until : float, default 0.6
        Progress at which the images are whole, in (0, 1].
    multiple_of : int, default 8
        Sizes are rounded to multiples of this; a U-Net with k poolings needs 2^k.

    References
    ----------
    Karras, Aila, Laine, Lehtinen, "Progressive growing of GANs", ICLR 2018, arXiv:1710.10196,
    section 2, for the idea; for classifiers: Howard et al., fast.ai's entry to DAWNBench (2018).
    """

    def __init__(self, start: float = 0.5, until: float = 0.6, multiple_of: int = 8) -> None:
        if not (0 < start <= 1 and 0 < until <= 1 and multiple_of >= 1):
            raise RecipeError(
                f"ProgressiveResize: start {start}, until {until}, multiple_of {multiple_of}; "
                "expected 0 < start <= 1, 0 < until <= 1, multiple_of >= 1."
            )
        self.start, self.until, self.multiple_of = start, until, multiple_of

    def sizes(self, shape: Sequence[int], progress: float) -> tuple[int, ...]:
        """Give the spatial size of the images at some progress.

        Parameters
        ----------
        shape : sequence of int
            Their whole size.
        progress : float
            Part of the run that is done, in [0, 1].

        Returns
        -------
        tuple of int
            Their size then.

        Examples
        --------
        >>> ProgressiveResize(start=0.5, until=0.5).sizes((64, 32), progress=0.25)
        (48, 24)
        """
        part = min(self.start + (1 - self.start) * progress / self.until, 1.0)
        unit = self.multiple_of
        return tuple(min(n, max(unit, round(n * part / unit) * unit)) for n in shape)

    def before_batch(self, learner: "Learner") -> None:
        """Shrink the batch."""
        x, *targets = learner.batch
        whole = tuple(x.shape[2:])
        size = self.sizes(whole, learner.plan.progress(learner.step))
        if size != whole:
            learner.batch = (
                interpolate(x, size=size, mode="linear"),
                *(_nearest(target, whole, size) for target in targets),
            )


def _nearest(target: Tensor, whole: tuple[int, ...], size: tuple[int, ...]) -> Tensor:
    """Take the nearest elements along the last axes of a target, if they are those of the image."""
    values = np.asarray(target)
    if values.shape[-len(whole) :] != whole or values.ndim < len(whole):
        return target
    for k, (n, m) in enumerate(zip(whole, size, strict=True)):
        chosen = ((np.arange(m) + 0.5) * n / m).astype(np.int64)
        values = values.take(chosen, axis=values.ndim - len(whole) + k)
    return Tensor(np.ascontiguousarray(values))


class Unfreeze(Callback):
    """Train the last layer group first, and let the others follow from the last to the first.

    Parameters
    ----------
    at : sequence of float, default (0.3,)
        Progress at which more is trained: all at one time, or a group at each of several.

    References
    ----------
    Howard, Ruder, "Universal language model fine-tuning for text classification", ACL 2018,
    arXiv:1801.06146, section 3.3 (gradual unfreezing).
    """

    order = -10

    def __init__(self, at: Sequence[float] = (0.3,)) -> None:
        self.at = sorted(at)
        if not self.at or not all(0 <= time <= 1 for time in self.at):
            raise RecipeError(f"Unfreeze: at is {list(at)}; expected parts of the run, 0 to 1.")
        self._n_frozen = -1

    def before_fit(self, learner: "Learner") -> None:
        """Forget what an earlier training froze."""
        self._n_frozen = -1

    def before_batch(self, learner: "Learner") -> None:
        """Freeze what is not yet due."""
        most = len(groups.layer_groups(learner.model)) - 1
        waiting = sum(learner.plan.progress(learner.step) < time for time in self.at)
        n_frozen = most if waiting == len(self.at) else min(most, waiting)
        if n_frozen != self._n_frozen:
            self._n_frozen = n_frozen
            learner.freeze(n_frozen)
