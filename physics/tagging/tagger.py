"""The Tagger: a trained network with everything needed to tag jets as they come.

A model file holds the network's weights and, as text, its settings, the inputs with the constants
of their standardization, the description of the analysis if there is one, and the names of the
classes. Nothing else is needed to use it, and reading it runs no code.
"""

from __future__ import annotations

import inspect
import json
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine import Tensor, no_grad, softmax
from fieldgrad.engine.errors import DataError, RecipeError, suggest
from fieldgrad.engine.model_file import ModelFile
from fieldgrad.engine.nn.module import Module, Parameter
from fieldgrad.engine.ops.random import manual_seed
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
from fieldgrad.engine.train.logs import CSVLog, Progress
from fieldgrad.engine.train.prediction import Ensemble, members, restore
from fieldgrad.engine.train.schedules import one_cycle
from fieldgrad.physics import models
from fieldgrad.physics.jets.batch import JetBatch
from fieldgrad.physics.jets.features import KINEMATIC
from fieldgrad.physics.jets.preprocessing import Preprocessing
from fieldgrad.physics.tagging import losses
from fieldgrad.physics.tagging.inputs import (
    JetInputs,
    make_inputs,
    seeing_observables,
    with_columns,
)
from fieldgrad.physics.tagging.validation import ClassScores

__all__ = ["Tagger", "model_class"]

log = logging.getLogger("fieldgrad.physics")

MODEL_FILE = ModelFile("fieldgrad.physics.Tagger", "jet tagger", "a training run")
CLIP_NORM = 1.0  # of the gradient
ADAMW = partial(AdamW, lr=3e-3, weight_decay=1e-4)
Optimize = Callable[[Iterable[Parameter]], Optimizer]


class Tagger:
    """A network with the inputs, constants and class names that belong to it.

    Make one with `build`, read one with `load`.

    Parameters
    ----------
    network : Module
        One of `fieldgrad.physics.models`, or an `Ensemble` of such.
    settings : mapping
        The keyword arguments that each network was made with.
    preprocessing : Preprocessing
        The inputs and the constants of their standardization.
    label_names : sequence of str
        Names of the classes, in the order of the network's outputs.
    description : str, optional
        The analysis description that the jets were read with, as `DataConfig.to_json` gives it.
    temperature : float, default 1.0
        What logits are divided by before the softmax; see `fieldgrad.physics.figures.calibration`.
    about : mapping of str to str, optional
        How it was made: recipe, data.

    Examples
    --------
    >>> from fieldgrad.physics.jets.batch import JetBatch
    >>> p = np.random.default_rng(0).normal(size=(40, 3)) + [30.0, 0, 0]
    >>> vectors = np.c_[np.linalg.norm(p, axis=1), p]
    >>> jets = JetBatch(np.arange(0, 41, 4), vectors, labels=[0, 1] * 5, label_names=["QCD", "top"])
    >>> tagger = Tagger.build("pfn", jets)
    >>> tagger.fit(jets, budget="1 epochs").step
    1
    >>> tagger.predict(jets).shape
    (10, 2)
    """

    def __init__(
        self,
        network: Module,
        settings: Mapping[str, Any],
        preprocessing: Preprocessing,
        label_names: Sequence[str],
        *,
        description: str | None = None,
        temperature: float = 1.0,
        about: Mapping[str, str] | None = None,
    ) -> None:
        self.network = network
        self.settings = dict(settings)
        self.preprocessing = preprocessing
        self.label_names = tuple(label_names)
        self.description = description
        self.temperature = temperature
        self.about = dict(about or {})

    @classmethod
    def build(
        cls,
        model: str | Callable[..., Module],
        jets: JetBatch,
        *,
        preprocessing: Preprocessing = KINEMATIC,
        observables: Sequence[str] = (),
        label_names: Sequence[str] = (),
        description: str | None = None,
        seed: int = 0,
        **settings: Any,
    ) -> Tagger:
        """Make a new tagger for jets like these.

        Parameters
        ----------
        model : str or callable
            Name of a model (``"pfn"``, ``"particle_net_lite"``, …; see `model_class`), or one of
            the classes of `fieldgrad.physics.models`, perhaps with settings bound to it.
        jets : JetBatch
            Training jets, by which constants of the inputs are found.
        preprocessing : Preprocessing, default `KINEMATIC`
            The inputs.
        observables : sequence of str, optional
            Observables of the jet that the network sees beside the constituents.
        label_names : sequence of str, optional
            Names of the classes; default those of the jets.
        description : str, optional
            The analysis description that the jets were read with.
        seed : int, default 0
            Of the initial weights.
        **settings : object
            Settings of the model.

        Returns
        -------
        Tagger
            Not trained yet.

        Raises
        ------
        DataError
            If the jets have no labels, or lack a column.
        RecipeError
            If there is no such model, or it has no such setting.
        """
        made: Any = model_class(model) if isinstance(model, str) else model
        if isinstance(made, partial):
            made, settings = made.func, {**made.keywords, **settings}
        names = tuple(label_names) or jets.label_names
        if not names and jets.labels is not None:
            names = tuple(f"class_{i}" for i in range(int(jets.labels.max(initial=1)) + 1))
        if len(names) < 2:
            raise DataError(
                f"Tagger: {len(names)} classes ({', '.join(names) or 'no labels'}); expected at "
                "least two. Read the jets with their labels."
            )
        if observables:
            preprocessing = seeing_observables(preprocessing, observables)
        parameters = inspect.signature(made).parameters
        roles = tuple(getattr(made, "inputs", ()))
        settings = {key: value for key, value in settings.items() if key not in _SIZES}
        unknown = [key for key in settings if key not in parameters]
        if unknown:
            own = [key for key in parameters if key not in _SIZES]
            raise RecipeError(
                f"{made.__name__} has no setting {unknown[0]!r}{suggest(unknown[0], own)}. "
                f"Settings: {', '.join(own)}."
            )
        with_jets = "observables" in preprocessing
        if "observables" in roles and not with_jets:
            raise DataError(
                f"{made.__name__} sees observables of the jet, and none are given. Give "
                f"observables=[…] of {', '.join(jets.observables) or 'the jets, which have none'}."
            )
        used = (*roles, "observables") if with_jets and "observables" not in roles else roles
        fitted = preprocessing.fit(with_columns(jets, preprocessing, used))
        sizes = {
            "in_features": len(fitted.group("features").names) if "features" in used else 0,
            "n_outputs": len(names),
            "n_observables": len(fitted.group("observables").names) if with_jets else 0,
        }
        settings = {key: size for key, size in sizes.items() if key in parameters} | settings
        manual_seed(seed)
        return cls(made(**settings), settings, fitted, names, description=description)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the arrays that the network sees."""
        roles = tuple(getattr(members(self.network)[0], "inputs", ()))
        extra = "observables" in self.preprocessing and "observables" not in roles
        return (*roles, "observables") if extra else roles

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
        jets: JetBatch,
        batch_size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        observer: str | None = None,
    ) -> Any:
        """Make batches (arrays, labels, weights) of labeled jets.

        Parameters
        ----------
        jets : JetBatch
            With labels.
        batch_size : int
            Jets in a batch.
        shuffle : bool, default False
            Visit them in a new random order in each epoch.
        seed : int, default 0
            Of that order.
        observer : str, optional
            One more target: "mass", an observer or an observable of the jets.

        Returns
        -------
        Loader
            For a `Learner`. Weights are scaled to mean 1.

        Raises
        ------
        DataError
            If there are no labels, a label is no class of the tagger, or the weights do not sum to
            more than 0.
        """
        labels, weights = self._targets(jets)
        targets: list[NDArray[Any]] = [labels, weights]
        targets += [] if observer is None else [_column(jets, observer)]
        return self.prepare(jets).loader(targets, batch_size, shuffle=shuffle, seed=seed)

    def fit(
        self,
        train: JetBatch,
        valid: JetBatch | None = None,
        *,
        budget: str = "20 epochs",
        batch_size: int = 256,
        optimizer: Optimize = ADAMW,
        schedule: Callable[[float], float] = one_cycle,
        loss: Callable[..., Tensor] = losses.cross_entropy,
        observer: str | None = None,
        callbacks: Sequence[Callback] = (),
        run_dir: str | os.PathLike[str] | None = None,
        resume: bool = False,
        seed: int = 0,
    ) -> Learner:
        """Train the network in place.

        Parameters
        ----------
        train, valid : JetBatch
            Jets with labels and weights, to train on and to watch.
        budget : str, default "20 epochs"
            Length of the training, such as "500 steps" or "10min".
        batch_size : int, default 256
            Jets in a step.
        optimizer : callable
            Parameters to optimizer; default AdamW with a rate of 3e-3 and a decay of 1e-4.
        schedule : callable, default `one_cycle`
            Progress to the factor of the rate.
        loss : callable, default `cross_entropy`
            Called with logits, labels and weights, and the observer if one is given, as
            `fieldgrad.physics.tagging.losses.Decorrelated` needs it.
        observer : str, optional
            One more argument of the loss: "mass", an observer or an observable of the jets.
        callbacks : sequence of Callback, optional
            Further ones, beside schedule and gradient clipping, and with a folder beside log and
            checkpoints.
        run_dir : path-like, optional
            Folder for history.csv, checkpoints and model.safetensors.
        resume : bool, default False
            Continue the run in `run_dir`.
        seed : int, default 0
            Of the order of the jets and of dropout.

        Returns
        -------
        Learner
            After training; its history has loss, accuracy and AUC of each epoch.
        """
        make = partial(self.loader, observer=observer)
        learner = Learner(
            self.network,
            loss,
            optimizer(self.network.parameters()),
            make(train, batch_size, shuffle=True, seed=seed),
            None if valid is None else make(valid, 2 * batch_size),
            metrics=[] if valid is None else [ClassScores()],
            callbacks=[
                ScheduleLR(schedule),
                GradientClip(CLIP_NORM),
                StopOnNaN(),
                *([] if run_dir is None else [Checkpoint(), SaveOnSignal(), CSVLog(), Progress()]),
                *callbacks,
            ],
            run_dir=run_dir,
            seed=seed,
        )
        recipe = None if run_dir is None else Path(run_dir) / "recipe.toml"
        if recipe is not None and recipe.exists():
            learner.notes["recipe"] = self.about["recipe"] = recipe.read_text(encoding="utf-8")
        learner.fit(budget, resume=resume)
        self.network.eval()
        if run_dir is not None:
            self.save(Path(run_dir) / "model.safetensors")
        return learner

    def logits(
        self,
        jets: JetBatch,
        *,
        batch_size: int = 256,
        progress: Callable[[int, int], None] | None = None,
    ) -> NDArray[np.float32]:
        """Outputs of the network, before temperature and softmax.

        Parameters
        ----------
        jets : JetBatch
            Any jets.
        batch_size : int, default 256
            Jets at a time.
        progress : callable, optional
            Called with the number of jets done and of all jets.

        Returns
        -------
        ndarray of float32, shape (n_jets, n_classes)
            In the order of the jets.
        """
        inputs = self.prepare(jets)
        out = np.empty((len(inputs), len(self.label_names)), np.float32)
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

    def predict(
        self,
        jets: Any,
        *,
        batch_size: int = 256,
        progress: Callable[[int, int], None] | None = None,
    ) -> NDArray[np.float32]:
        """Probabilities of the classes.

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
        ndarray of float32, shape (n_jets, n_classes)
            In the order of the jets; each row sums to 1.

        Raises
        ------
        DataError
            If the jets lack a column that the network sees.
        """
        if not isinstance(jets, JetBatch):
            jets = JetBatch.from_awkward(jets)
        logits = self.logits(jets, batch_size=batch_size, progress=progress)
        with no_grad():
            return np.array(softmax(Tensor(logits / np.float32(self.temperature)), axis=1))

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
            "model": type(members(self.network)[0]).__name__,
            "settings": self.settings,
            "preprocessing": json.loads(self.preprocessing.to_json()),
            "labels": list(self.label_names),
            "description": self.description,
            "temperature": self.temperature,
            "about": self.about,
        }
        MODEL_FILE.write(path, self.network.state_dict(), description)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Tagger:
        """Read a model file.

        Parameters
        ----------
        path : path-like
            File that `save` wrote.

        Returns
        -------
        Tagger
            Ready to `predict`.

        Raises
        ------
        FileError
            If the file is missing, damaged, or no tagger.
        """
        with MODEL_FILE.read(path) as (arrays, stored):
            make = partial(model_class(stored["model"]), **stored["settings"])
            network = restore(make, arrays)
            tagger = cls(
                network,
                stored["settings"],
                Preprocessing.from_json(json.dumps(stored["preprocessing"])),
                stored["labels"],
                description=stored["description"],
                temperature=float(stored["temperature"]),
                about=stored["about"],
            )
        tagger.network.eval()
        return tagger

    def _targets(self, jets: JetBatch) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        if jets.labels is None:
            raise DataError("Tagger: the jets have no labels; read them with their labels.")
        if len(jets) and jets.labels.max() >= len(self.label_names):
            raise DataError(
                f"Tagger: a jet has the label {jets.labels.max()}; the classes are "
                f"{', '.join(self.label_names)}. Train a tagger with all classes."
            )
        total = jets.weights.sum()
        if not total > 0:
            raise DataError(
                f"Tagger: the weights of {len(jets)} jets sum to {total:g}; expected a sum above "
                "0. Check the formula of the weight and the selection."
            )
        return jets.labels, (jets.weights * (len(jets) / total)).astype(np.float32)


def join_taggers(files: Sequence[Path], path: Path) -> None:
    """Join taggers of one recipe, such as those of a cross-validation, to their ensemble.

    Parameters
    ----------
    files : sequence of Path
        Model files. Their networks' logits are averaged.
    path : Path
        The model file of the ensemble.

    Raises
    ------
    FileError
        If a file cannot be read or written.
    DataError
        If the taggers have other inputs, classes or networks.
    """
    taggers = [Tagger.load(file) for file in files]
    first = taggers[0]
    for file, tagger in zip(files, taggers, strict=True):
        for name in ("settings", "preprocessing", "label_names"):
            if getattr(tagger, name) != getattr(first, name):
                raise DataError(
                    f"join: {file} and {files[0]} differ in their {name}. Join taggers that were "
                    "trained with one recipe on the same jets."
                )
    Tagger(
        Ensemble(tagger.network for tagger in taggers),
        first.settings,
        first.preprocessing,
        first.label_names,
        description=first.description,
        temperature=float(np.mean([tagger.temperature for tagger in taggers])),
        about=first.about | {"ensemble of": ", ".join(map(str, files))},
    ).save(path)


# What the data say about a model's size.
_SIZES = ("in_features", "n_outputs", "n_observables")


def model_class(name: str) -> Callable[..., Module]:
    """Find a model by its name.

    Parameters
    ----------
    name : str
        Name of a class of `fieldgrad.physics.models`, such as "ParticleNetLite", or the same in
        small letters with or without underscores, such as "particle_net_lite".

    Returns
    -------
    type
        The class.

    Raises
    ------
    RecipeError
        If there is none of this name.

    Examples
    --------
    >>> model_class("particle_net").__name__
    'ParticleNet'
    """
    found = {known.lower(): known for known in models.__all__}
    key = name.lower().replace("_", "").replace("-", "")
    if key not in found:
        raise RecipeError(
            f"there is no model {name!r}{suggest(name, models.__all__) or '.'} Models: "
            f"{', '.join(models.__all__)}."
        )
    made: Callable[..., Module] = getattr(models, found[key])
    return made


def _column(jets: JetBatch, name: str) -> NDArray[np.float32]:
    if name == "mass":
        return jets.mass.astype(np.float32)
    columns = {**jets.observables, **jets.observers}
    if name not in columns:
        known = ["mass", *columns]
        raise DataError(
            f"Tagger: the jets have no observer {name!r}{suggest(name, known) or '.'} They have "
            f"{', '.join(known)}."
        )
    return np.asarray(columns[name], np.float32)
