"""The training loop: named events, callbacks that read and change it, and exact continuation.

The loop is `Learner._run` and the two methods below it; ``learner.print_loop()`` shows it with the
callbacks at their places. A loop of one's own needs none of this: ``loss.backward()``,
``optimizer.step()``, ``optimizer.zero_grad()``.
"""

import logging
import os
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from fieldgrad.engine import checkpoint
from fieldgrad.engine._core import Tensor
from fieldgrad.engine.autograd import no_grad
from fieldgrad.engine.data import Batch, Loader, as_tensors
from fieldgrad.engine.errors import DataError, RecipeError
from fieldgrad.engine.nn.module import Module
from fieldgrad.engine.ops import random
from fieldgrad.engine.optim import Optimizer
from fieldgrad.engine.train import finder, groups, prediction, state
from fieldgrad.engine.train.budget import Plan
from fieldgrad.engine.train.callbacks import ScheduleLR
from fieldgrad.engine.train.events import (
    Callback,
    CancelBatch,
    CancelEpoch,
    CancelFit,
    check_callbacks,
    loop_text,
)
from fieldgrad.engine.train.knobs import Knob, Knobs, TurnKnobs, knob_of
from fieldgrad.engine.train.metrics import Mean, Metric
from fieldgrad.engine.train.record import RunRecord
from fieldgrad.engine.train.replay import Script
from fieldgrad.engine.train.schedules import one_cycle, one_cycle_momentum

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
    write_model : callable, optional
        How the field writes its model file to a path, with all that prediction needs; `save` calls
        it. By default the weights alone are written.
    field : str, default ""
        Name of the field whose parts the report of a run without a recipe shall have.
    views : sequence of View, optional
        Views of the data that training has seen as well, such as `flips` along the axes that its
        augmentation mirrors: what ``predict(tta=True)`` averages over.

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
    knobs : Knobs
        What can be turned while the training runs: ``learner.knobs.set(lr=1e-4)``.
    interrupted : int or None
        The signal that came, when the training is to be left; see `SaveOnSignal`.
    remake_batches : bool
        To be set by whoever changes how batches are made: those made ahead are thrown away.

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
        write_model: Callable[[str | os.PathLike[str]], None] | None = None,
        field: str = "",
        views: Sequence[prediction.View] = (),
    ) -> None:
        self.model = model
        self.loss_function = loss
        self.optimizer = optimizer
        self.train = train
        self.valid = valid
        self.metrics = list(metrics)
        self.run_dir = None if run_dir is None else Path(run_dir)
        self.knobs = Knobs()
        self.record = None if run_dir is None else RunRecord()
        own = [TurnKnobs()] if self.record is None else [TurnKnobs(), self.record]
        self.callbacks = sorted([*callbacks, *own], key=lambda callback: callback.order)
        self.seed = seed
        self.write_model = write_model
        self.field = field
        self.views = views
        self.batch: Any = None
        self.prediction: Any = None
        self.loss: Tensor | None = None
        self.train_loss = Mean("train_loss")
        self.notes: dict[str, str] = {}
        self.cleanup = ExitStack()
        self.clock: Callable[[], float] = time.monotonic
        self.interrupted: int | None = None
        self.remake_batches = False
        self._n_frozen = 0
        self._begin("1 epoch")
        check_callbacks(self.callbacks)

    # ------------------------------------------------------------------ verbs
    def fit(
        self,
        budget: str,
        *,
        lr: float | Sequence[float] | None = None,
        callbacks: Iterable[Callback] = (),
        resume: bool = False,
    ) -> None:
        """Train from step 0, with the weights as they are.

        Parameters
        ----------
        budget : str
            ``"20 epochs"``, ``"500 steps"``, or a time, validation included: ``"600s"``,
            ``"10min"``, ``"1.5h"``.
        lr : float or pair of float, optional
            Learning rate from now on, in place of the optimizer's; a pair gives the first layer
            group the one and the last the other, those between in equal ratios (`layer_groups`).
        callbacks : iterable of Callback, optional
            Further ones for this training; one takes the place of the learner's own of its kind.
        resume : bool, default False
            Go on from the run's last checkpoint if there is one, as `resume` does.

        Raises
        ------
        RecipeError
            If the budget cannot be read, or a rate is not positive.
        """
        if lr is not None:
            groups.set_rates(self.optimizer, groups.layer_groups(self.model), lr)
        own, extra = self.callbacks, list(callbacks)
        replaced = {type(callback) for callback in extra}
        kept = [callback for callback in own if type(callback) not in replaced]
        self.callbacks = sorted([*kept, *extra], key=lambda callback: callback.order)
        check_callbacks(self.callbacks)
        try:
            if resume and self.run_dir and (self.run_dir / "last.safetensors").exists():
                self.resume()
                return
            random.manual_seed(self.seed)
            self._begin(budget)
            script = Script.find(self.run_dir, resume=resume)
            script.guide(self.plan)
            self.knobs.load_state({}, script.changes)
            self._run()
        finally:
            self.callbacks = own

    def fit_one_cycle(
        self,
        budget: str,
        lr: float | Sequence[float] | None = None,
        *,
        warmup: float = 0.1,
        start: float = 0.2,
        callbacks: Iterable[Callback] = (),
        resume: bool = False,
    ) -> None:
        """Train with a learning rate that rises and falls once, and the momentum opposite to it.

        Parameters
        ----------
        budget : str
            As for `fit`.
        lr : float or pair of float, optional
            Highest learning rate, as for `fit`; `lr_find` suggests one.
        warmup : float, default 0.1
            Part of the training in which it rises, in (0, 1).
        start : float, default 0.2
            Part of `lr` from which it rises.
        callbacks : iterable of Callback, optional
            As for `fit`.
        resume : bool, default False
            As for `fit`.

        Notes
        -----
        Rises from higher and faster than by the defaults of `one_cycle`, which are fastai's:
        trainings of a few hundred steps have none to lose.

        References
        ----------
        Smith, Topin, "Super-convergence: very fast training of neural networks using large learning
        rates", 2018, arXiv:1708.07120.
        """

        def rate(progress: float) -> float:
            return one_cycle(progress, warmup, start)

        def momentum(progress: float) -> float:
            return one_cycle_momentum(progress, warmup)

        schedule = ScheduleLR(rate, momentum if hasattr(self.optimizer, "momentum") else None)
        self.fit(budget, lr=lr, callbacks=[schedule, *callbacks], resume=resume)

    def resume(self, path: str | os.PathLike[str] | None = None) -> None:
        """Go on from a checkpoint, to the end of its budget.

        With a budget in epochs or steps the weights end up the same, bit for bit, as if the run
        had not been interrupted. Knobs that were turned after the checkpoint are turned again at
        the same steps.

        Parameters
        ----------
        path : str or os.PathLike, optional
            The checkpoint; ``last.safetensors`` of the run by default.

        Raises
        ------
        RecipeError, FileError, DataError
            If the learner has no run_dir, there is no sound checkpoint in it, or the checkpoint
            is of other data, another model or other callbacks.
        """
        if self.run_dir is None:
            raise RecipeError("resume: the learner has no run_dir. Give Learner(run_dir=...).")
        kept = state.load(self, path or self.run_dir / "last.safetensors")
        self.knobs.load_state(kept, Script.find(self.run_dir, resume=True).changes)
        log.info("resuming at epoch %d, step %d", self.epoch, self.step)
        self._run()

    def lr_find(
        self, lowest: float = 1e-6, highest: float = 1.0, n_steps: int = 20
    ) -> finder.RateSearch:
        """Try rising learning rates for some steps, and put everything back as it was.

        Parameters
        ----------
        lowest, highest : float, default 1e-6 and 1
            First and last rate; the search ends earlier when the loss explodes.
        n_steps : int, default 20
            Number of steps; each costs a third more than a step of training. More of them train
            the model already where rates are low, and say less of the high ones.

        Returns
        -------
        RateSearch
            Its ``suggestion`` is a rate for `fit_one_cycle`; notebooks show its plot.
        """
        return finder.search(self, lowest, highest, n_steps)

    def freeze(self, n_groups: int | None = None) -> None:
        """Let training leave the first layer groups as they are.

        Parameters
        ----------
        n_groups : int, optional
            How many; by default all but the last.

        Raises
        ------
        RecipeError
            If the model has not so many groups, or none would be left to train.
        """
        self._n_frozen = groups.freeze(groups.layer_groups(self.model), n_groups)

    def unfreeze(self) -> None:
        """Train all layers."""
        self.freeze(0)

    def predict(
        self, data: Loader | None = None, *, tta: bool | Sequence[prediction.View] = False
    ) -> prediction.Predictions:
        """Apply the model to data, without recording gradients.

        Parameters
        ----------
        data : Loader, optional
            Batches as in training; the validation data by default. Its epoch 0 is used.
        tta : bool or sequence of View, default False
            Test-time augmentation: the mean over the data as they are and further views of them.
            True takes the learner's own, those that training has seen; others make predictions
            worse more often than better.

        Returns
        -------
        Predictions
            Predictions and targets of all items, in order.
        """
        return prediction.predict(self, data, tta)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model file of the field, or else the weights and the learner's notes.

        Parameters
        ----------
        path : str or os.PathLike
            The .safetensors file; the field's own class reads it, or `load`.

        Raises
        ------
        FileError
            If it cannot be written.
        """
        if self.write_model is not None:
            self.write_model(path)
            return
        weights = {f"model.{name}": array for name, array in self.model.state_dict().items()}
        checkpoint.save(path, weights, self.notes)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Take over weights from a file that `save` wrote, or from a checkpoint.

        Parameters
        ----------
        path : str or os.PathLike
            The file.

        Raises
        ------
        FileError, KeyError, ShapeError
            If the file is missing or damaged, or of another model.
        """
        state.load_weights(self.model, path)

    # ------------------------------------------------------------------ the loop
    def _begin(self, budget: str) -> None:
        self.plan = Plan(budget, len(self.train), 0 if self.valid is None else len(self.valid))
        self.step = self.epoch = self.batch_index = 0
        self.history: list[dict[str, float]] = []
        self.train_loss.reset()
        self.finished = False
        self.elapsed = 0.0

    def _run(self) -> None:
        self.interrupted, self.remake_batches = None, False
        try:
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
        except Exception as error:
            self._say_what_is_kept(error)
            raise

    def _say_what_is_kept(self, error: Exception) -> None:
        last = None if self.run_dir is None else self.run_dir / "last.safetensors"
        if last is not None and last.exists() and "last good checkpoint" not in str(error):
            error.add_note(f"The last good checkpoint is {last}.")

    def _run_epoch(self) -> None:
        results = {}
        try:
            self._fire("before_epoch")
            self._fire("before_train")
            self.model.train()
            with closing(self._batches()) as batches:
                for arrays in batches:
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

    def _batches(self) -> Generator[Batch, None, None]:
        """Give the rest of the epoch's batches, begun anew when they are to be made differently."""
        self.remake_batches = True
        while self.remake_batches:
            self.remake_batches = False
            batches = self.train.iterate(self.epoch, self.batch_index)
            try:
                for arrays in batches:
                    yield arrays
                    if self.remake_batches:
                        break
            finally:  # ends the threads that make batches ahead
                getattr(batches, "close", lambda: None)()

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
                if self.interrupted is not None:
                    break
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

    def validate_now(self) -> dict[str, float]:
        """Validate between two steps, with the averaged weights if there are any; log the values.

        Returns
        -------
        dict of str to float
            As from `validate`. The training goes on as if nothing had happened.
        """
        kept = self.batch, self.prediction, self.loss, random.get_state()
        self._fire("before_validate")
        values = self.validate()
        self._fire("after_validate")
        self.batch, self.prediction, self.loss, generator = kept
        random.set_state(generator)
        if self.record is not None:
            self.record.log_validation(self, values)
        log.info("step %d: %s", self.step, values)
        return values

    def own_knobs(self) -> dict[str, Knob]:
        """Give the knobs of the optimizer and of freezing.

        Returns
        -------
        dict of str to Knob
            By name.
        """
        optimizer, n_groups = self.optimizer, len(groups.layer_groups(self.model))
        table = {"lr": knob_of(optimizer, "lr", "learning rate", above=0)}
        if hasattr(optimizer, "weight_decay"):
            text = "pull of the weights toward zero"
            table["weight_decay"] = knob_of(optimizer, "weight_decay", text, low=0)
        if hasattr(optimizer, "momentum"):
            text = "decay of the gradient's running mean"
            table["momentum"] = knob_of(optimizer, "momentum", text, low=0, below=1)
        if n_groups > 1:
            text = f"how many of the {n_groups} layer groups, from the first, are left as they are"
            table["frozen"] = Knob(
                lambda: self._n_frozen, self.freeze, text, low=0, high=n_groups - 1, whole=True
            )
        return table

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

    def skip_time(self, seconds: float) -> None:
        """Leave time out of `elapsed`, in which the training stood still.

        Parameters
        ----------
        seconds : float
            How long it did.
        """
        self._started += seconds

    def note_status(self, *, force: bool = False) -> None:
        """Write ``run.json``, if there is a run_dir and it has not just been written.

        Parameters
        ----------
        force : bool, default False
            Write it in any case.
        """
        if self.record is not None:
            self.record.write_status(self, force=force)

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
