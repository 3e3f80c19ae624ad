"""Training the networks of a Predictor: data measured, batches, losses, the best epoch kept."""

from __future__ import annotations

import importlib.util
import itertools
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.chem.molecules.calibration import (
    Calibration,
    PlattScaling,
    TemperatureScaling,
)
from fieldgrad.chem.molecules.descriptors import Scaler
from fieldgrad.chem.molecules.estimates import Domain
from fieldgrad.chem.molecules.featurize import Molecules
from fieldgrad.chem.molecules.graph import Ints, MoleculeGraphs
from fieldgrad.chem.molecules.labels import Labels, class_slices
from fieldgrad.chem.molecules.losses import (
    binary_cross_entropy,
    cross_entropy,
    gaussian_nll,
    squared_error,
)
from fieldgrad.chem.molecules.run_report import validation_pictures
from fieldgrad.engine import Tensor, no_grad
from fieldgrad.engine.data import Loader, as_tensors
from fieldgrad.engine.errors import DataError, RecipeError
from fieldgrad.engine.nn.module import Module
from fieldgrad.engine.ops.random import manual_seed
from fieldgrad.engine.optim import Adam
from fieldgrad.engine.train import (
    Callback,
    Checkpoint,
    CSVLog,
    Learner,
    Pictures,
    Progress,
    SaveOnSignal,
    ScheduleLR,
    StopOnNaN,
    load_weights,
    one_cycle,
)

if TYPE_CHECKING:
    from fieldgrad.chem.molecules.predictor import Predictor

__all__ = [
    "Inputs",
    "TrainingData",
    "calibrate",
    "fit_networks",
    "network_learner",
    "outputs",
    "predictor_learner",
    "prepare",
    "task_loss",
]

log = logging.getLogger("fieldgrad.chem")

Floats = NDArray[np.float64]

Loss = Callable[[Tensor, Tensor], Tensor]
# As graph.GraphArrays, and descriptors.
Arrays = tuple[NDArray[np.float32], NDArray[np.float32], Ints, Ints, NDArray[np.float32]]

# Atoms that the network sees at once when it predicts: enough to be fast, few enough to be small.
ATOMS_AT_ONCE = 4096


@dataclass(frozen=True)
class Inputs:
    """What a network sees of molecules.

    Parameters
    ----------
    graphs : MoleculeGraphs
        Atoms and bonds.
    descriptors : ndarray of float32, shape (n_molecules, n_descriptors)
        Scaled descriptors; n_descriptors may be 0.
    """

    graphs: MoleculeGraphs
    descriptors: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.graphs)

    def batch(self, indices: Sequence[int] | NDArray[np.int64]) -> Arrays:
        """Give some molecules as arrays: atoms, bonds, edges, offsets, descriptors.

        Parameters
        ----------
        indices : sequence of int
            Which molecules.

        Returns
        -------
        tuple of 5 ndarray
            As `MoleculeGraphs.batch`, and the descriptors.
        """
        return *self.graphs.batch(indices), self.descriptors[indices]

    def batches(self) -> Iterator[Arrays]:
        """Give all molecules in order, about as many atoms at a time as a batch should have.

        Yields
        ------
        tuple of 5 ndarray
            As `batch`.
        """
        part = self.graphs.atom_offsets[:-1] // ATOMS_AT_ONCE
        cuts = [0, *(np.flatnonzero(np.diff(part)) + 1).tolist(), len(self)]
        for start, stop in itertools.pairwise(cuts):
            if stop > start:
                yield self.batch(np.arange(start, stop))


@dataclass(frozen=True)
class TrainingData:
    """Molecules as networks see them, and how they are divided.

    Parameters
    ----------
    inputs : Inputs
        All molecules.
    labels : Labels
        Of all molecules.
    train, val : ndarray of int64
        Those of the two parts that have a label.
    """

    inputs: Inputs
    labels: Labels
    train: NDArray[np.int64]
    val: NDArray[np.int64]


def task_loss(labels: Labels, *, variance: bool = False, balanced: bool = False) -> Loss:
    """Choose the loss of a task.

    Parameters
    ----------
    labels : Labels
        Of the training molecules.
    variance : bool, default False
        Whether the network gives a variance for each number.
    balanced : bool, default False
        Whether the classes of a task count as much as each other, however frequent they are.

    Returns
    -------
    callable
        Output and labels to a number.
    """
    y, weight = labels.values, None
    if labels.task == "multiclass":
        slices = class_slices(labels.classes)
        if balanced:
            counts = [
                np.bincount(column[np.isfinite(column)].astype(int), minlength=len(names))
                for column, names in zip(y.T, labels.classes, strict=True)
            ]
            parts = [c.sum() / (len(c) * np.maximum(c, 1)) for c in counts]
            weight = np.concatenate(parts).astype(np.float32)
        return partial(cross_entropy, slices=slices, class_weight=weight)
    if labels.task == "classification":
        if balanced:
            n_positive = np.maximum((y == 1).sum(axis=0), 1)
            weight = (np.maximum((y == 0).sum(axis=0), 1) / n_positive).astype(np.float32)
        return partial(binary_cross_entropy, positive_weight=weight)
    return gaussian_nll if variance else squared_error


def network_learner(
    network: Module,
    inputs: Inputs,
    labels: NDArray[np.float32],
    train: NDArray[np.int64],
    val: NDArray[np.int64],
    *,
    loss: Loss,
    batch_size: int,
    lr: float,
    run_dir: Path | None,
    seed: int,
    callbacks: Sequence[Callback] = (),
    write_model: Callable[[str | os.PathLike[str]], None] | None = None,
) -> Learner:
    """Make the learner that trains a network.

    Parameters
    ----------
    network : Module
        Takes what `Inputs.batch` gives.
    inputs : Inputs
        All molecules.
    labels : ndarray of shape (n_molecules, n_tasks)
        As the loss wants them; NaN for a missing label.
    train, val : ndarray of int64
        Molecules to train on, and to choose the best epoch by.
    loss : callable
        Output and labels to a number.
    batch_size : int
        Molecules in a step.
    lr : float
        Highest learning rate of Adam.
    run_dir : Path or None
        Folder for checkpoints, log and history.csv; without it nothing is written.
    seed : int
        Seed of order and dropout.
    callbacks : sequence of Callback
        Further ones.
    write_model : callable, optional
        What ``learner.save`` calls.

    Returns
    -------
    Learner
        Not trained yet.
    """

    def gather(items: Sequence[Any]) -> Any:
        return inputs.batch(items), labels[list(items)]

    own: list[Callback] = [
        ScheduleLR(one_cycle),
        StopOnNaN(),
        Progress(),
    ]
    own += [] if run_dir is None else [Checkpoint(), SaveOnSignal(), CSVLog()]
    return Learner(
        network,
        loss,
        Adam(network.parameters(), lr=lr),
        Loader(train.tolist(), batch_size, shuffle=True, seed=seed, collate=gather),
        Loader(val.tolist(), batch_size, collate=gather),
        callbacks=[*own, *callbacks],
        run_dir=run_dir,
        seed=seed,
        write_model=write_model,
        field="chem",
    )


def fit_networks(
    predictor: Predictor,
    data: TrainingData,
    *,
    run_dir: Path,
    resume: bool = False,
    callbacks: Sequence[Callback] = (),
    notes: dict[str, str] | None = None,
) -> None:
    """Train all networks of a Predictor, leave each with the weights of its best epoch, calibrate.

    Parameters
    ----------
    predictor : Predictor
        Whose networks are trained.
    data : TrainingData
        What `prepare` gave.
    run_dir : Path
        Folder for checkpoints and history, of an ensemble one for each network.
    resume : bool, default False
        Continue the training that stands in `run_dir`.
    callbacks : sequence of Callback
        Further ones.
    notes : dict of str to str, optional
        Text to keep in every checkpoint.
    """
    predictor.networks, predictor.history = [], []
    for i in range(predictor.n_models):
        if predictor.n_models > 1:
            log.info("network %d of %d", i + 1, predictor.n_models)
        folder = run_dir / f"network-{i}" if predictor.n_models > 1 else run_dir
        learner = predictor_learner(
            predictor,
            data,
            i,
            run_dir=folder,
            callbacks=callbacks,
        )
        learner.notes |= notes or {}
        learner.fit(f"{predictor.epochs} epochs", resume=resume)
        load_weights(learner.model, folder / "best.safetensors")
        learner.model.eval()
        predictor.history.append(learner.history)
    calibrate(predictor, data)


def prepare(
    predictor: Predictor,
    molecules: Molecules,
    labels: Labels,
    train: NDArray[np.int64],
    val: NDArray[np.int64],
) -> TrainingData:
    """Measure the training part, and give all parts as the networks see them.

    Parameters
    ----------
    predictor : Predictor
        Whose networks are trained.
    molecules : Molecules
        All of them.
    labels : Labels
        Of these molecules.
    train, val : ndarray of int64
        Molecules to train on and to validate with.

    Returns
    -------
    TrainingData
        For `fit_networks`, `predictor_learner` and `calibrate`.

    Raises
    ------
    DataError
        If a part has no labeled molecule.
    """
    there = np.asarray(np.isfinite(labels.values).any(axis=1))
    train, val = train[there[train]], val[there[val]]
    for name, part in (("training", train), ("validation", val)):
        if not len(part):
            raise DataError(
                f"the {name} part has no molecule with a label. Add data, or split otherwise."
            )
    if labels.task != "regression" and predictor.variance:
        raise RecipeError("variance = true is for regression; classes have probabilities.")
    predictor.task, predictor.classes = labels.task, labels.classes
    _measure(predictor, molecules, labels.values, train)
    return TrainingData(predictor.inputs(molecules), labels, train, val)


def predictor_learner(
    predictor: Predictor,
    data: TrainingData,
    i: int,
    *,
    run_dir: Path | None,
    callbacks: Sequence[Callback] = (),
) -> Learner:
    """Add an untrained network, and make the learner that trains it.

    Parameters
    ----------
    predictor : Predictor
        Whose networks are trained.
    data : TrainingData
        What `prepare` gave.
    i : int
        Number of the network in the ensemble.
    run_dir : Path or None
        Folder for checkpoints and history; without it nothing is written.
    callbacks : sequence of Callback
        Further ones.

    Returns
    -------
    Learner
        Its ``save`` calibrates the Predictor and writes it.
    """
    seed = predictor.seed + 1000 * i
    manual_seed(seed)
    network = predictor.build_network(data.inputs.descriptors.shape[1])
    predictor.networks.append(network)
    pictures: list[Callback] = []
    if run_dir is not None and importlib.util.find_spec("matplotlib") is not None:
        pictures.append(Pictures(validation_pictures(predictor, data)))

    def write_model(path: str | os.PathLike[str]) -> None:
        calibrate(predictor, data)
        predictor.save(path)

    return network_learner(
        network,
        data.inputs,
        ((data.labels.values - predictor.mean) / predictor.scale).astype(np.float32),
        data.train,
        data.val,
        loss=predictor.loss
        or task_loss(
            data.labels.take(data.train),
            variance=predictor.variance,
            balanced=predictor.class_weights,
        ),
        batch_size=predictor.batch_size,
        lr=predictor.lr,
        run_dir=run_dir,
        seed=seed,
        callbacks=[*pictures, *callbacks],
        write_model=write_model,
    )


def _measure(
    predictor: Predictor, molecules: Molecules, labels: Floats, train: NDArray[np.int64]
) -> None:
    """Take from the training part what scales labels and descriptors, and what it covers."""
    n_tasks = labels.shape[1]
    predictor.mean, predictor.scale = np.zeros(n_tasks), np.ones(n_tasks)
    if predictor.task == "regression":
        for i, y in enumerate(labels[train].T):
            y = y[np.isfinite(y)]
            predictor.mean[i] = y.mean() if len(y) else 0.0
            predictor.scale[i] = y.std() or 1.0 if len(y) else 1.0
    if predictor.descriptors != "none":
        predictor.scaler = Scaler.fit(molecules.descriptors[predictor.descriptors][train])
    predictor.domain = Domain.of(molecules.graphs.take(train))


def calibrate(predictor: Predictor, data: TrainingData) -> None:
    """Measure on the validation part how sure the networks are, and how sure they should be.

    Parameters
    ----------
    predictor : Predictor
        Whose networks are trained.
    data : TrainingData
        What `prepare` gave.
    """
    inputs, y = data.inputs, data.labels.values[data.val]
    part = Inputs(inputs.graphs.take(data.val), inputs.descriptors[data.val])
    mean, std = predictor.raw(part)
    if predictor.task == "multiclass":
        ends = np.cumsum([0, *map(len, predictor.classes)])
        predictor.calibration = TemperatureScaling.fit(y, mean, ends)
    elif predictor.task == "classification":
        predictor.calibration = PlattScaling.fit(y, mean)
    else:
        predictor.calibration = Calibration.fit(y, mean, std)


def outputs(function: Callable[[Any], Tensor], inputs: Inputs) -> NDArray[np.float32]:
    """Let a network predict all molecules.

    Parameters
    ----------
    function : callable
        The network, or one of its methods.
    inputs : Inputs
        The molecules; at least one.

    Returns
    -------
    ndarray of shape (n_molecules, n_outputs)
        What it gives, in the order of the molecules.
    """
    with no_grad():
        return np.concatenate([function(as_tensors(x)).numpy() for x in inputs.batches()])
