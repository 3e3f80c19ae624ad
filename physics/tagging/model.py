"""A network with everything needed to use it on jets as they come: what all tasks share.

A model file holds the network's weights and, as text, its settings, the inputs with the constants
of their standardization, the description of the analysis if there is one, and what belongs to the
task. Nothing else is needed to use it, and reading it runs no code.
"""

from __future__ import annotations

import importlib.util
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self, cast

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine import Tensor, no_grad
from fieldgrad.engine.data import Batch, Loader
from fieldgrad.engine.errors import DataError, FileError
from fieldgrad.engine.model_file import ModelFile
from fieldgrad.engine.nn.module import Module, Parameter
from fieldgrad.engine.optim import AdamW, Optimizer
from fieldgrad.engine.train.callbacks import (
    Checkpoint,
    GradientClip,
    SaveOnSignal,
    ScheduleLR,
    StopOnNaN,
)
from fieldgrad.engine.train.events import Callback
from fieldgrad.engine.train.learner import Learner
from fieldgrad.engine.train.logs import CSVLog, Pictures, Progress
from fieldgrad.engine.train.metrics import Metric
from fieldgrad.engine.train.prediction import Ensemble, members, restore
from fieldgrad.engine.train.schedules import one_cycle
from fieldgrad.physics.jets.batch import JetBatch
from fieldgrad.physics.jets.preprocessing import Preprocessing
from fieldgrad.physics.reading.streams import JetLoader, JetStream
from fieldgrad.physics.tagging.inputs import (
    JetInputs,
    jet_column,
    make_inputs,
)
from fieldgrad.physics.tagging.network import model_class, roles_of

__all__ = ["ADAMW", "JetModel", "Jets", "Optimize", "join_models"]

MODEL_FILE = ModelFile("fieldgrad.physics.JetModel", "model of jets", "a training run")
CLIP_NORM = 1.0  # of the gradient
BUFFER = 100_000  # jets of a stream that are held to be mixed
ADAMW = partial(AdamW, lr=3e-3, weight_decay=1e-4)
Optimize = Callable[[Iterable[Parameter]], Optimizer]
Jets = JetBatch | JetStream


class JetModel(ABC):
    """What `Tagger` and `Regressor` share: training, prediction, storage.

    Parameters
    ----------
    network : Module
        One of `fieldgrad.physics.models`, or an `Ensemble` of such.
    settings : mapping
        The keyword arguments that each network was made with.
    preprocessing : Preprocessing
        The inputs and the constants of their standardization.
    description : str, optional
        The analysis description that the jets were read with, as `DataConfig.to_json` gives it.
    about : mapping of str to str, optional
        How it was made: recipe, data.
    """

    _loss: ClassVar[Callable[..., Tensor]]  # if none is given

    def __init__(
        self,
        network: Module,
        settings: Mapping[str, Any],
        preprocessing: Preprocessing,
        *,
        description: str | None = None,
        about: Mapping[str, str] | None = None,
    ) -> None:
        self.network = network
        self.settings = dict(settings)
        self.preprocessing = preprocessing
        self.description = description
        self.about = dict(about or {})

    # ------------------------------------------------------------------ what a task has of its own
    @abstractmethod
    def targets(self, jets: JetBatch) -> tuple[NDArray[Any], ...]:
        """Give what the loss takes between the outputs and the weights.

        Parameters
        ----------
        jets : JetBatch
            Jets with their truth.

        Returns
        -------
        tuple of ndarray, shape (n_jets,)
            The targets.
        """

    @abstractmethod
    def predict(self, jets: Any, **options: Any) -> NDArray[np.float32]:
        """Give what the network says of jets, in the units of the task.

        Parameters
        ----------
        jets : JetBatch or awkward.Array
            Any jets.
        **options : object
            As for `outputs`.

        Returns
        -------
        ndarray of float32, shape (n_jets, n_outputs)
            In the order of the jets.
        """

    @abstractmethod
    def columns(self, prediction: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Name the columns of a prediction, as they are written to files.

        Parameters
        ----------
        prediction : ndarray, shape (n_jets, n_outputs)
            From `predict`.

        Returns
        -------
        dict of str to ndarray, shape (n_jets,)
            By name.
        """

    @abstractmethod
    def _metrics(self) -> list[Metric]:
        """What is watched while it trains."""

    @abstractmethod
    def _draw(self, learner: Learner) -> Mapping[str, bytes]:
        """Pictures of the last validation, for `Pictures`."""

    @abstractmethod
    def _own_settings(self) -> dict[str, Any]:
        """The constructor's arguments beside those that all tasks share."""

    # ------------------------------------------------------------------ inputs
    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the arrays that the network sees."""
        return roles_of(members(self.network)[0], self.preprocessing)

    def prepare(self, jets: JetBatch) -> JetInputs:
        """Make what the network sees of jets.

        Parameters
        ----------
        jets : JetBatch
            Any jets.

        Returns
        -------
        JetInputs
            Standardized with the constants of the training.
        """
        return make_inputs(jets, self.preprocessing, self.inputs)

    def loader(
        self,
        jets: Jets,
        batch_size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        observer: str = "",
        buffer_size: int = BUFFER,
    ) -> Any:
        """Make batches (arrays, *targets, weights) of jets with their truth.

        Parameters
        ----------
        jets : JetBatch or JetStream
            In memory or in files.
        batch_size : int
            Jets in a batch.
        shuffle : bool, default False
            Visit them in a new random order in each epoch.
        seed : int, default 0
            Of that order.
        observer : str, optional
            One more entry of the batches: an observer or an observable of the jets.
        buffer_size : int, default 100000
            Jets of a stream that are held in memory to be mixed.

        Returns
        -------
        Loader or JetLoader
            For a `Learner`. Weights are scaled to mean 1, in a stream to that of its sample.

        Raises
        ------
        DataError
            If the jets do not have the truth that is to be learned, or the weights do not sum to
            more than 0.
        """
        mean = float(jets.mean_weight if isinstance(jets, JetStream) else jets.weights.mean())
        if not mean > 0:
            raise DataError(
                f"{type(self).__name__}: the weights of {len(jets)} jets sum to "
                f"{mean * len(jets):g}; expected a sum above 0. Check the formula of the weight "
                "and the selection."
            )

        def truth(some: JetBatch) -> list[NDArray[Any]]:
            weights = (some.weights / mean).astype(np.float32)
            more = [jet_column(some, observer).astype(np.float32)] if observer else []
            return [*self.targets(some), weights, *more]

        if isinstance(jets, JetBatch):
            return self.prepare(jets).loader(truth(jets), batch_size, shuffle=shuffle, seed=seed)

        def make(some: JetBatch) -> Batch:
            arrays = cast("Batch", self.prepare(some).batch())
            return (arrays, *truth(some))

        return JetLoader(
            jets, batch_size, make, shuffle=shuffle, seed=seed, buffer_size=buffer_size
        )

    # ------------------------------------------------------------------ training
    def learner(
        self,
        train: Jets,
        valid: Jets | None = None,
        *,
        batch_size: int = 256,
        optimizer: Optimize = ADAMW,
        schedule: Callable[[float], float] = one_cycle,
        loss: Callable[..., Tensor] | None = None,
        callbacks: Sequence[Callback] = (),
        run_dir: str | os.PathLike[str] | None = None,
        buffer_size: int = BUFFER,
        seed: int = 0,
    ) -> Learner:
        """Make the learner that trains the network in place.

        Parameters
        ----------
        train, valid : JetBatch or JetStream
            Jets with their truth and weights, to train on and to watch: in memory, or in files
            that are read anew in each epoch.
        batch_size : int, default 256
            Jets in a step.
        optimizer : callable
            Parameters to optimizer; default AdamW with a rate of 3e-3 and a decay of 1e-4.
        schedule : callable, default `one_cycle`
            Progress to the factor of the rate.
        loss : callable, optional
            Called with outputs, targets and weights; if it has an attribute ``observer``, as
            `fieldgrad.physics.tagging.losses.Decorrelated` has, also with this column of the jets.
        callbacks : sequence of Callback, optional
            Further ones, beside schedule and gradient clipping, and with a folder beside log,
            pictures and checkpoints.
        run_dir : path-like, optional
            Folder for history.csv, pictures and checkpoints.
        buffer_size : int, default 100000
            Jets of a stream that are held in memory to be mixed.
        seed : int, default 0
            Of the order of the jets and of dropout.

        Returns
        -------
        Learner
            Not trained yet; its ``save`` writes the model file.
        """
        loss = type(self)._loss if loss is None else loss
        make: Callable[..., Loader] = partial(
            self.loader, observer=getattr(loss, "observer", ""), buffer_size=buffer_size
        )
        own: list[Callback] = [ScheduleLR(schedule), GradientClip(CLIP_NORM), StopOnNaN()]
        if run_dir is not None:
            own += [Checkpoint(), SaveOnSignal(), CSVLog(), Progress()]
            if valid is not None and importlib.util.find_spec("matplotlib") is not None:
                own.append(Pictures(self._draw))
        learner = Learner(
            self.network,
            loss,
            optimizer(self.network.parameters()),
            make(train, batch_size, shuffle=True, seed=seed),
            None if valid is None else make(valid, 2 * batch_size),
            metrics=[] if valid is None else self._metrics(),
            callbacks=[*own, *callbacks],
            run_dir=run_dir,
            seed=seed,
            write_model=self.save,
            field="physics",
        )
        recipe = None if run_dir is None else Path(run_dir) / "recipe.toml"
        if recipe is not None and recipe.exists():
            learner.notes["recipe"] = self.about["recipe"] = recipe.read_text(encoding="utf-8")
        return learner

    def fit(
        self,
        train: Jets,
        valid: Jets | None = None,
        *,
        budget: str = "20 epochs",
        resume: bool = False,
        **options: Any,
    ) -> Learner:
        """Train the network in place.

        Parameters
        ----------
        train, valid : JetBatch or JetStream
            As for `learner`.
        budget : str, default "20 epochs"
            Length of the training, such as "500 steps" or "10min".
        resume : bool, default False
            Continue the run in `run_dir`.
        **options : object
            Further parameters of `learner`; with a `run_dir` model.safetensors is written there.

        Returns
        -------
        Learner
            After training; its history has the losses and metrics of each epoch.
        """
        learner = self.learner(train, valid, **options)
        learner.fit(budget, resume=resume)
        self.network.eval()
        if learner.run_dir is not None:
            self.save(learner.run_dir / "model.safetensors")
        return learner

    # ------------------------------------------------------------------ use
    def outputs(
        self,
        jets: Any,
        *,
        batch_size: int = 256,
        progress: Callable[[int, int], None] | None = None,
    ) -> NDArray[np.float32]:
        """Outputs of the network as they are.

        Parameters
        ----------
        jets : JetBatch or awkward.Array
            Any jets; an awkward array holds the four-vectors of the constituents of each, see
            `JetBatch.from_awkward`.
        batch_size : int, default 256
            Jets at a time.
        progress : callable, optional
            Called with the number of jets done and of all jets.

        Returns
        -------
        ndarray of float32, shape (n_jets, n_outputs)
            In the order of the jets.

        Raises
        ------
        DataError
            If the jets lack a column that the network sees.
        """
        if not isinstance(jets, JetBatch):
            jets = JetBatch.from_awkward(jets)
        inputs = self.prepare(jets)
        out = np.empty((len(inputs), self._n_outputs), np.float32)
        # Jets of similar length together: models that pad then have little to pad.
        order = np.argsort(np.diff(inputs.offsets), kind="stable")
        self.network.eval()
        with no_grad():
            for start in range(0, len(order), batch_size):
                rows = order[start : start + batch_size]
                batch = {name: Tensor(array) for name, array in inputs.take(rows).items()}
                out[rows] = np.asarray(self.network(batch))
                if progress is not None:
                    progress(min(start + batch_size, len(order)), len(order))
        return out

    @property
    @abstractmethod
    def _n_outputs(self) -> int: ...

    # ------------------------------------------------------------------ storage
    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model file, whole or not at all.

        Parameters
        ----------
        path : path-like
            The .safetensors file.

        Raises
        ------
        FileError
            If the file cannot be written.
        """
        description = {
            "task": type(self).__name__,
            "model": type(members(self.network)[0]).__name__,
            "settings": self.settings,
            "preprocessing": json.loads(self.preprocessing.to_json()),
            "description": self.description,
            "about": self.about,
            **self._own_settings(),
        }
        MODEL_FILE.write(path, self.network.state_dict(), description)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a model file.

        Parameters
        ----------
        path : path-like
            File that `save` wrote; ``JetModel.load`` takes one of any task.

        Returns
        -------
        JetModel
            Ready to `predict`.

        Raises
        ------
        FileError
            If the file is missing, damaged, or holds something else.
        """
        from fieldgrad.physics.tagging import regressor, tagger  # which are made of this class

        del regressor, tagger
        with MODEL_FILE.read(path) as (arrays, stored):
            tasks = {task.__name__: task for task in (cls, *cls.__subclasses__())}
            task = stored.pop("task")
            if task not in tasks:
                raise FileError(
                    f"{os.fspath(path)} holds a {task}; expected a {cls.__name__}. Read it with "
                    f"{task}.load.",
                    path,
                )
            make = partial(model_class(stored.pop("model")), **stored["settings"])
            network = restore(make, arrays)
            inputs = Preprocessing.from_json(json.dumps(stored.pop("preprocessing")))
            model = tasks[task](network, stored.pop("settings"), inputs, **stored)
        model.network.eval()
        return model


def join_models(files: Sequence[Path], path: Path) -> None:
    """Join models of one recipe, such as those of a cross-validation, to their ensemble.

    Parameters
    ----------
    files : sequence of Path
        Model files. The outputs of their networks are averaged.
    path : Path
        The model file of the ensemble.

    Raises
    ------
    FileError
        If a file cannot be read or written.
    DataError
        If the models have other inputs, targets or networks.
    """
    models = [JetModel.load(file) for file in files]
    first, own = models[0], [model._own_settings() for model in models]
    temperatures = [one.pop("temperature") for one in own if "temperature" in one]
    for file, model, others in zip(files, models, own, strict=True):
        parts = {
            "task": type(model) is type(first),
            "settings": model.settings == first.settings,
            "inputs": model.preprocessing == first.preprocessing,
            "targets": others == own[0],
        }
        if not all(parts.values()):
            differing = next(name for name, same in parts.items() if not same)
            raise DataError(
                f"join: {file} and {files[0]} differ in their {differing}. Join models that were "
                "trained with one recipe on the same jets."
            )
    mean = {"temperature": float(np.mean(temperatures))} if temperatures else {}
    type(first)(
        Ensemble(model.network for model in models),
        first.settings,
        first.preprocessing,
        description=first.description,
        about=first.about | {"ensemble of": ", ".join(map(str, files))},
        **own[0],
        **mean,
    ).save(path)
