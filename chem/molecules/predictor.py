"""The Predictor: SMILES in, calibrated properties out, in the manner of scikit-learn.

A model file holds the networks' weights and, as text, what they were trained on, how molecules are
described to them and how sure they are. Nothing else is needed to use it, and reading it runs no
code.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fieldgrad.chem.molecules import fitting
from fieldgrad.chem.molecules.calibration import (
    Calibration,
    PlattScaling,
    TemperatureScaling,
)
from fieldgrad.chem.molecules.descriptors import Descriptors, Scaler
from fieldgrad.chem.molecules.dmpnn import DMPNN
from fieldgrad.chem.molecules.estimates import Domain, Estimates
from fieldgrad.chem.molecules.featurize import Featurizer, Molecules
from fieldgrad.chem.molecules.fingerprint import FingerprintMLP
from fieldgrad.chem.molecules.fitting import Inputs, fit_networks, outputs, prepare
from fieldgrad.chem.molecules.frames import is_frame, labeled_data, smiles_of
from fieldgrad.chem.molecules.labels import Classes
from fieldgrad.chem.molecules.losses import MIN_VARIANCE
from fieldgrad.chem.molecules.splits import group_numbers, random_split
from fieldgrad.engine.errors import DataError, RecipeError, suggest
from fieldgrad.engine.nn.module import Module
from fieldgrad.engine.train import Callback

__all__ = ["Predictor"]

log = logging.getLogger("fieldgrad.chem")

MODELS: dict[str, Callable[..., Module]] = {"dmpnn": DMPNN, "fingerprint_mlp": FingerprintMLP}

Floats = NDArray[np.float64]


class Predictor:
    """A model of molecular properties: fit it to SMILES and labels, then predict.

    Parameters
    ----------
    model : {"dmpnn", "fingerprint_mlp"} or callable, default "dmpnn"
        A directed message passing network on the graph, or a plain network on descriptors; or a
        callable that makes a module of ``n_outputs`` and ``n_descriptors``, such as
        ``partial(DMPNN, depth=4, readout=my_readout)``.
    descriptors : {"none", "rdkit2d", "morgan"}, default "none"
        What the network sees of the whole molecule besides its graph; none makes morgan of a
        fingerprint_mlp, which sees nothing else.
    task : {"auto", "regression", "classification"}, default "auto"
        What the labels are; auto takes labels that are all 0 or 1, or words, for classes, and
        classification takes whole numbers for classes too.
    n_models : int, default 1
        Networks of an ensemble; their spread makes a standard deviation.
    variance : bool, default False
        Let the network predict a variance for each number (mean-variance estimation).
    class_weights : bool, default False
        Let the classes of a task count as much as each other, however frequent they are.
    epochs : int, default 50
        How often each training molecule is seen.
    batch_size : int, default 32
        Molecules in a step.
    lr : float, default 2e-3
        Highest learning rate of Adam, which rises and falls once (`engine.train.one_cycle`).
    loss : callable, optional
        A loss of your own: a function of the output (n_molecules, n_tasks) and the labels, those of
        regression with mean 0 and standard deviation 1 over the training set, NaN where missing.
    seed : int, default 0
        Seed of weights, order and validation part.

    Attributes
    ----------
    targets : list of str
        Names of the tasks.
    classes : tuple of tuple of str
        Names of each task's classes; empty for numbers and for classes 0 and 1.
    networks : list of Module
        The trained networks.
    mean, scale : ndarray of shape (n_tasks,)
        Of the training labels; what the networks give is scaled back by them.
    flat : bool
        Whether labels came, and predictions go, without an axis for targets.
    scaler : Scaler or None
        For descriptors.
    domain : Domain
        What the training molecules were like.
    calibration : Calibration, PlattScaling or TemperatureScaling
        What validation errors say about the uncertainty.
    history : list of list of dict
        A row for each epoch of each network.
    about : dict of str to str
        What the model was trained on, in words, for its users.

    Examples
    --------
    >>> import tempfile
    >>> alcohols = ["C" * n + "O" for n in range(1, 21)]
    >>> predictor = Predictor(epochs=2).fit(alcohols, range(20))
    >>> predictor.predict(["CCO", "no molecule"]).shape
    (2,)
    """

    def __init__(
        self,
        *,
        model: Literal["dmpnn", "fingerprint_mlp"] | Callable[..., Module] = "dmpnn",
        descriptors: Descriptors = "none",
        task: Literal["auto", "regression", "classification"] = "auto",
        n_models: int = 1,
        variance: bool = False,
        class_weights: bool = False,
        epochs: int = 50,
        batch_size: int = 32,
        lr: float = 2e-3,
        loss: fitting.Loss | None = None,
        seed: int = 0,
    ) -> None:
        if isinstance(model, str) and model not in MODELS:
            raise RecipeError(
                f"there is no model {model!r}{suggest(model, MODELS) or '.'} Models: "
                f"{', '.join(MODELS)}, or a callable that makes one."
            )
        for name, value in (("n_models", n_models), ("epochs", epochs), ("batch_size", batch_size)):
            if value < 1:
                raise RecipeError(f"{name} is {value}; expected 1 or more.")
        self.model = model
        self.descriptors: Descriptors = descriptors
        if descriptors == "none" and model == "fingerprint_mlp":
            self.descriptors = "morgan"
        self.task: str = task
        self.n_models = n_models
        self.variance = variance
        self.class_weights = class_weights
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.loss = loss
        self.seed = seed
        self.targets: list[str] = []
        self.classes: Classes = ()
        self.networks: list[Module] = []
        self.history: list[list[dict[str, float]]] = []
        self.about: dict[str, str] = {}
        self.flat = False
        self.scaler: Scaler | None = None
        self.domain = Domain((), 0)
        self.mean: Floats = np.zeros(0)
        self.scale: Floats = np.ones(0)
        self.calibration: Calibration | PlattScaling | TemperatureScaling

    # ------------------------------------------------------------------ training
    def fit(
        self,
        x: Any,
        y: Any,
        *,
        smiles_column: str = "smiles",
        valid: tuple[Any, Any] | None = None,
        run_dir: str | os.PathLike[str] | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> Predictor:
        """Train on SMILES and labels.

        Parameters
        ----------
        x : sequence of str or DataFrame
            SMILES; of a DataFrame its column `smiles_column`. Those that RDKit cannot read are
            left out, and logged.
        y : array_like of shape (n,) or (n, n_tasks), DataFrame, str or list of str
            Numbers, or names of classes; NaN or None where one is missing. Of a DataFrame `x` text
            names columns.
        smiles_column : str, default "smiles"
            Column of a DataFrame that holds the SMILES.
        valid : tuple of (x, y), optional
            Data to choose the best epoch by and to calibrate with; a tenth of the molecules, drawn
            at random, if left out.
        run_dir : path-like, optional
            Folder for checkpoints and history; a temporary one if left out.
        callbacks : sequence of Callback
            Further ones for the training loop.

        Returns
        -------
        Predictor
            This one.

        Raises
        ------
        DataError
            If SMILES and labels do not fit together, or there are too few of them.
        """
        smiles, labels, self.targets, self.flat = labeled_data(x, y, smiles_column, self.task)
        n_train = len(smiles)
        if valid is not None:
            more, rest, *_ = labeled_data(*valid, smiles_column, labels.task, labels.classes)
            smiles = [*smiles, *more]
            labels = replace(labels, values=np.concatenate([labels.values, rest.values]))
        with Featurizer(descriptors=self.kinds(), identity=True) as featurizer:
            molecules = featurizer(smiles)
        for problem in molecules.problems:
            log.warning("row %d left out: %r: %s", problem.row, problem.smiles, problem.reason)
        labels = labels.take(molecules.rows)
        if valid is None:
            usable = np.flatnonzero(np.isfinite(labels.values).any(axis=1))
            groups = group_numbers(molecules.canonical[i] for i in usable)
            if len(np.unique(groups)) < 5:
                raise DataError(
                    f"fit: there are {len(np.unique(groups))} different molecules with a label; "
                    "expected at least 5, of which some are for validation. Add data."
                )
            drawn = random_split(groups, (0.9, 0.1, 0.0) if len(groups) > 19 else (0.8, 0.2, 0.0))
            train, val = usable[drawn.train], usable[drawn.val]
        else:
            train = np.flatnonzero(molecules.rows < n_train)
            val = np.flatnonzero(molecules.rows >= n_train)
        data = prepare(self, molecules, labels, train, val)
        if run_dir is not None:
            fit_networks(self, data, run_dir=Path(run_dir), callbacks=callbacks)
            return self
        with tempfile.TemporaryDirectory(prefix="fieldgrad-") as folder:
            fit_networks(self, data, run_dir=Path(folder), callbacks=callbacks)
        return self

    def kinds(self) -> tuple[str, ...]:
        """Give the kinds of descriptors that the network needs.

        Returns
        -------
        tuple of str
            For a `Featurizer`; none, or one.
        """
        return () if self.descriptors == "none" else (self.descriptors,)

    def build_network(self, n_descriptors: int) -> Module:
        """Build an untrained network for `targets`.

        Parameters
        ----------
        n_descriptors : int
            Size of what it sees of the whole molecule.

        Returns
        -------
        Module
            With new weights.
        """
        make = MODELS[self.model] if isinstance(self.model, str) else self.model
        return make(self._n_outputs(), n_descriptors=n_descriptors)

    def _n_outputs(self) -> int:
        return sum(map(len, self.classes)) or len(self.targets) * (1 + self.variance)

    def inputs(self, molecules: Molecules) -> Inputs:
        """Give what the networks see of molecules.

        Parameters
        ----------
        molecules : Molecules
            With the descriptors that `kinds` names.

        Returns
        -------
        Inputs
            Graphs and scaled descriptors.
        """
        if self.scaler is None:
            return Inputs(molecules.graphs, np.zeros((len(molecules), 0), np.float32))
        return Inputs(molecules.graphs, self.scaler(molecules.descriptors[self.descriptors]))

    # ------------------------------------------------------------------ prediction
    def raw(self, inputs: Inputs) -> tuple[Floats, Floats | None]:
        """Give what the networks say, before calibration.

        Parameters
        ----------
        inputs : Inputs
            Molecules.

        Returns
        -------
        mean : ndarray of shape (n_molecules, n_tasks) or (n_molecules, n_outputs)
            Over the networks, in the labels' units; logits of classes.
        std : ndarray of shape (n_molecules, n_tasks) or None
            What the networks say of their uncertainty, if anything.
        """
        every, n_tasks = self._every(inputs), len(self.targets)
        if self.task != "regression":
            return every.mean(axis=0), None
        means = every[..., :n_tasks] * self.scale + self.mean
        variance = means.var(axis=0, ddof=1) if self.n_models > 1 else 0.0
        if self.variance:
            own = np.logaddexp(0, every[..., n_tasks:]) + MIN_VARIANCE
            variance = variance + own.mean(axis=0) * self.scale**2
        return means.mean(axis=0), np.sqrt(variance) if np.ndim(variance) else None

    def _every(self, inputs: Inputs) -> Floats:
        """What each network gives: (n_models, n_molecules, n_outputs)."""
        if not len(inputs):
            return np.zeros((len(self.networks), 0, self._n_outputs()))
        for network in self.networks:
            network.eval()
        return np.stack([outputs(network, inputs) for network in self.networks]).astype(float)

    def estimate(
        self, molecules: Molecules, n_rows: int | None = None, *, level: float = 0.9
    ) -> Estimates:
        """Predict molecules that have been read, with all that is known of the uncertainty.

        Parameters
        ----------
        molecules : Molecules
            With the descriptors that `kinds` names.
        n_rows : int, optional
            Rows of the result, those without a molecule included; as many as the molecules have
            and their problems if left out.
        level : float, default 0.9
            How often the truth shall lie inside the intervals.

        Returns
        -------
        Estimates
            A row for each SMILES.

        Raises
        ------
        DataError
            If the model has not been fitted, or the level is not between 0 and 1.
        """
        if not self.networks:
            raise DataError("this Predictor has not been fitted. Call fit, or Predictor.load.")
        n_rows = len(molecules) + len(molecules.problems) if n_rows is None else n_rows
        notes = [""] * n_rows
        for problem in molecules.problems:
            notes[problem.row] = f"no prediction: {problem.reason}"
        for row, note in zip(
            molecules.rows.tolist(), self.domain.cautions(molecules.graphs), strict=True
        ):
            notes[row] = note

        def spread(values: Floats) -> Floats:
            every = np.full((n_rows, values.shape[1]), np.nan)
            every[molecules.rows] = values
            return every

        inputs, n_bad = self.inputs(molecules), len(molecules.problems)
        if isinstance(self.calibration, TemperatureScaling):
            p = self.calibration(self._every(inputs).mean(axis=0))
            return Estimates(spread(p), None, None, None, notes, n_bad, self.classes)
        if isinstance(self.calibration, PlattScaling):
            each = self._every(inputs)
            p = self.calibration(each.mean(axis=0))
            std = self.calibration(each).std(axis=0, ddof=1) if self.n_models > 1 else None
            std = None if std is None else spread(std)
            return Estimates(spread(p), std, None, None, notes, n_bad)
        mean, own = self.raw(inputs)
        margin = self.calibration.margin(own, level) + 0 * mean
        return Estimates(
            spread(mean),
            spread(self.calibration.std(own)) if own is not None else None,
            spread(mean - margin),
            spread(mean + margin),
            notes,
            n_bad,
        )

    def predict(self, x: Any, *, smiles_column: str = "smiles", level: float = 0.9) -> Any:
        """Predict properties.

        Parameters
        ----------
        x : sequence of str or DataFrame
            SMILES; of a DataFrame its column `smiles_column`.
        smiles_column : str, default "smiles"
            Column of a DataFrame that holds the SMILES.
        level : float, default 0.9
            How often the truth shall lie inside the intervals.

        Returns
        -------
        ndarray of shape (n,) or (n, n_tasks), or DataFrame
            Numbers, or probabilities of class 1, or names of classes; NaN or None where there is no
            molecule. For a DataFrame a copy with further columns: predictions, standard deviations,
            intervals or the probabilities of all named classes, and a note.

        Raises
        ------
        DataError
            If the model has not been fitted.
        """
        smiles = smiles_of(x, smiles_column)
        with Featurizer(descriptors=self.kinds()) as featurizer:
            estimates = self.estimate(featurizer(smiles), len(smiles), level=level)
        if not is_frame(x):
            found: NDArray[Any] = estimates.named() if self.classes else estimates.values
            return found[:, 0] if self.flat else found
        return x.assign(**estimates.columns(self.targets), note=estimates.notes)

    def fingerprint(self, molecules: Molecules) -> NDArray[np.float32]:
        """Give the learned vectors of molecules, those of all networks side by side.

        Parameters
        ----------
        molecules : Molecules
            With the descriptors that `kinds` names; at least one.

        Returns
        -------
        ndarray of shape (n_molecules, size)
            What the network's last part works on.

        Raises
        ------
        DataError
            If a network has no method ``fingerprint``.
        """
        inputs = self.inputs(molecules)
        methods = [getattr(network, "fingerprint", None) for network in self.networks]
        if None in methods:
            raise DataError("fingerprint: the network has no method of that name. Give it one.")
        return np.concatenate([outputs(method, inputs) for method in methods if method], axis=1)

    # ------------------------------------------------------------------ files
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
        DataError
            If the model has not been fitted.
        """
        from fieldgrad.chem.molecules.model_file import write_model

        write_model(self, path)

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, model: Callable[..., Module] | None = None
    ) -> Predictor:
        """Read a model file.

        Parameters
        ----------
        path : path-like
            File that `save` wrote.
        model : callable, optional
            What the network was made with, if that was a callable of your own.

        Returns
        -------
        Predictor
            Ready to `predict`.

        Raises
        ------
        FileError
            If the file is missing, damaged, no model of this kind, or of an RDKit with other
            descriptors.
        DataError
            If the network is one of your own and `model` is missing.
        """
        from fieldgrad.chem.molecules.model_file import read_model

        return read_model(path, model)
