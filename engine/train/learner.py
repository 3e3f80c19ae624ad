"""The training loop: named events, callbacks that read and change it, and exact continuation.

The loop is `Learner._run` and the two methods below it; ``learner.print_loop()`` shows it with the
callbacks at their places. A loop of one's own needs none of this: ``loss.backward()``,
``optimizer.step()``, ``optimizer.zero_grad()``.
"""

import logging
import os
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.autograd import no_grad
from fieldgrad.engine.data import Batch, Loader, as_tensors
from fieldgrad.engine.errors import DataError, RecipeError
from fieldgrad.engine.nn.module import Module
from fieldgrad.engine.ops import random
from fieldgrad.engine.optim import Optimizer
from fieldgrad.engine.train import state
from fieldgrad.engine.train.budget import Plan
from fieldgrad.engine.train.events import (
    Callback,
    CancelBatch,
    CancelEpoch,
    CancelFit,
    check_callbacks,
    loop_text,
)
from fieldgrad.engine.train.metrics import Mean, Metric

__all__ = ["Learner"]

log = logging.getLogger("fieldgrad.train")


class Learner:
    """A model, its data and its optimizer, and the loop that trains it.

    Parameters
    ----------
    model : Module
        Called with the first entry of a batch.
    loss : callable
        Called with the prediction and the other entries of the batch; gives a scalar Tensor.
    optimizer : Optimizer
        For the model's parameters.
    train : Loader
        Gives batches ``(x, *targets)`` of arrays.
    valid : Loader, optional
        Likewise, for validation after each epoch; its epoch 0 is used every time.
    metrics : iterable of Metric, optional
        Gathered during validation.
    callbacks : iterable of Callback, optional
        What else happens in the loop.
    run_dir : str or os.PathLike, optional
        Folder for checkpoints and logs.
    seed : int, default 0
        Seed of the engine's generator when `fit` begins (dropout); data have their own.

    Attributes
    ----------
    batch, prediction, loss : tuple, any, Tensor or None
        Of the batch that is being worked on; callbacks may replace them.
    step, epoch, batch_index : int
        Number of steps and epochs done, and of batches done in this epoch. A step is a batch
        that went through the loop, also if a callback cancelled it.
    total_steps : int or None
        Planned number of steps; None while a budget in time is being measured.
    history : list of dict
        A row for each epoch: ``epoch``, ``step``, ``seconds``, ``lr``, ``train_loss``,
        ``valid_loss`` and the metrics.
    cleanup : contextlib.ExitStack
        Where callbacks register what must happen however the training ends.
    notes : dict of str to str
        Text to keep in every checkpoint, such as the resolved recipe.

    Examples
    --------
    >>> import numpy as np
    >>> from fieldgrad.engine import mean, nn, optim
    >>> line = [(np.float32([x]), np.float32([3 * x + 1])) for x in range(4)]
    >>> model = nn.Linear(1, 1)
    >>> learner = Learner(model, lambda y, t: mean((y - t) ** 2),
    ...                   optim.SGD(model.parameters(), lr=0.1), Loader(line, batch_size=4))
    >>> learner.fit("200 epochs")
    >>> learner.step, model.weight.data.round(3), model.bias.data.round(3)
    (200, array([[3.]], dtype=float32), array([1.], dtype=float32))
    """

    def __init__(
        self,
        model: Module,
        loss: Callable[..., Tensor],
        optimizer: Optimizer,
        train: Loader,
        valid: Loader | None = None,
        *,
        metrics: Iterable[Metric] = (),
        callbacks: Iterable[Callback] = (),
        run_dir: str | os.PathLike[str] | None = None,
        seed: int = 0,
    ) -> None:
        self.model = model
        self.loss_function = loss
        self.optimizer = optimizer
        self.train = train
        self.valid = valid
        self.metrics = list(metrics)
        self.callbacks = sorted(callbacks, key=lambda callback: callback.order)
        self.run_dir = None if run_dir is None else Path(run_dir)
        self.seed = seed
        self.batch: Any = None
        self.prediction: Any = None
        self.loss: Tensor | None = None
        self.train_loss = Mean("train_loss")
        self.notes: dict[str, str] = {}
        self.cleanup = ExitStack()
        self.clock: Callable[[], float] = time.monotonic
        self._begin("1 epoch")
        check_callbacks(self.callbacks)

    def fit(self, budget: str, *, resume: bool = False) -> None:
        """Train from step 0, with the weights as they are.

        Parameters
        ----------
        budget : str
            ``"20 epochs"``, ``"500 steps"``, or a time, validation included: ``"600s"``,
            ``"10min"``, ``"1.5h"``.
        resume : bool, default False
            Go on from the run's last checkpoint if there is one, as `resume` does.

        Raises
        ------
        RecipeError
            If the budget cannot be read.
        """
        if resume and self.run_dir and (self.run_dir / "last.safetensors").exists():
            self.resume()
            return
        random.manual_seed(self.seed)
        self._begin(budget)
        self._run()

    def resume(self) -> None:
        """Go on from the last checkpoint in `run_dir`, to the end of its budget.

        With a budget in epochs or steps the weights end up the same, bit for bit, as if the run
        had not been interrupted.

        Raises
        ------
        RecipeError, FileError, DataError
            If the learner has no run_dir, there is no sound checkpoint in it, or the checkpoint
            is of other data, another model or other callbacks.
        """
        if self.run_dir is None:
            raise RecipeError("resume: the learner has no run_dir. Give Learner(run_dir=...).")
        state.load(self, self.run_dir / "last.safetensors")
        log.info("resuming at epoch %d, step %d", self.epoch, self.step)
        self._run()

    def _begin(self, budget: str) -> None:
        self.plan = Plan(budget, len(self.train), 0 if self.valid is None else len(self.valid))
        self.step = self.epoch = self.batch_index = 0
        self.history: list[dict[str, float]] = []
        self.train_loss.reset()
        self.finished = False
        self.elapsed = 0.0

    def _run(self) -> None:
        with ExitStack() as self.cleanup:
            try:
                self._fire("before_fit")
                while not self.finished and (
                    self.batch_index > 0
                    or not self.plan.is_done(self.epoch, self.step, self.elapsed)
                ):
                    self._run_epoch()
            except CancelFit as reason:
                log.info("training ends at step %d: %s", self.step, reason or "cancelled")
            self.finished = True
            self._fire("after_fit")

    def _run_epoch(self) -> None:
        results = {}
        try:
            self._fire("before_epoch")
            self._fire("before_train")
            self.model.train()
            for arrays in self.train.iterate(self.epoch, self.batch_index):
                if self.plan.is_done(self.epoch, self.step, self.elapsed):
                    break
                self._run_batch(arrays)
            self._fire("after_train")
            if self.valid is not None:
                self._fire("before_validate")
                results = self.validate()
                self._fire("after_validate")
        except CancelEpoch:
            pass
        self.epoch += 1
        self.batch_index = 0
        row = {"epoch": self.epoch, "step": self.step, "seconds": round(self.elapsed, 3)}
        row |= {"lr": float(self.optimizer.lr), **self.train_loss.value(), **results}
        self.history.append(row)
        self.train_loss.reset()
        self._fire("after_epoch")

    def _run_batch(self, arrays: Batch) -> None:
        self.batch, self.prediction, self.loss = _batch(arrays), None, None
        try:
            self._fire("before_batch")
            x, *targets = self.batch
            self.prediction = self.model(x)
            self.loss = self.loss_function(self.prediction, *targets)
            self._fire("before_backward")
            self.loss.backward()
            self._fire("before_step")
            self.optimizer.step()
            self._fire("after_step")
            self.optimizer.zero_grad()
        except CancelBatch:
            pass
        if self.loss is not None:
            self.train_loss.update(float(self.loss))
        self.step += 1
        self.batch_index += 1
        self.plan.update(self.step, self.elapsed)
        self._fire("after_batch")

    def validate(self) -> dict[str, float]:
        """Compute the loss and the metrics on the validation data.

        Returns
        -------
        dict of str to float
            ``valid_loss``, the mean over items, and what each metric gives.

        Raises
        ------
        DataError
            If the learner has no validation data.
        """
        if self.valid is None:
            raise DataError("validate: there are no validation data. Give Learner(valid=...).")
        start, loss, training = self.clock(), Mean("valid_loss"), self.model.training
        for metric in self.metrics:
            metric.reset()
        self.model.eval()
        with no_grad():
            for arrays in self.valid.iterate(0):
                self.batch = _batch(arrays)
                x, *targets = self.batch
                self.prediction = self.model(x)
                n_items = x.shape[0] if isinstance(x, Tensor) else 1  # ragged: each batch alike
                loss.update(float(self.loss_function(self.prediction, *targets)), n_items)
                for metric in self.metrics:
                    metric.update(self.prediction, *targets)
        self.model.train(training)
        self.plan.validation_seconds = self.clock() - start
        values = loss.value()
        for metric in self.metrics:
            values |= metric.value()
        return values

    @property
    def total_steps(self) -> int | None:
        """Planned number of steps; None while a budget in time is being measured."""
        return self.plan.total_steps

    @property
    def elapsed(self) -> float:
        """Seconds of training, those before an interruption included."""
        return self.clock() - self._started

    @elapsed.setter
    def elapsed(self, seconds: float) -> None:
        self._started = self.clock() - seconds

    def _fire(self, event: str) -> None:
        for callback in self.callbacks:
            getattr(callback, event)(self)

    def print_loop(self) -> None:
        """Print the loop with the callbacks at each event, in the order of their calls."""
        print(loop_text(self.callbacks))


def _batch(arrays: Batch) -> Any:
    if isinstance(arrays, tuple) and arrays:
        return as_tensors(arrays)
    raise DataError(
        f"Learner: the loader gave a {type(arrays).__name__}; expected a tuple (x, *targets). Let "
        "the dataset's items be tuples, with dictionaries or ragged pairs inside it if need be."
    )
