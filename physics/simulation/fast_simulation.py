"""Fast simulation: learn the distribution of a feature vector, draw from it, judge the draws.

For jets' observables or the cells of a small calorimeter: tens of numbers for each example, that
may depend on known ones (the incident energy, the class).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import wasserstein_distance

from fieldgrad.engine import Tensor, mean, no_grad
from fieldgrad.engine.data import Batch, Loader
from fieldgrad.engine.errors import DataError, require
from fieldgrad.engine.model_file import ModelFile
from fieldgrad.engine.nn.module import Module
from fieldgrad.engine.ops.random import manual_seed
from fieldgrad.engine.optim import AdamW
from fieldgrad.engine.train.callbacks import GradientClip, ScheduleLR, StopOnNaN
from fieldgrad.engine.train.learner import Learner
from fieldgrad.engine.train.schedules import one_cycle
from fieldgrad.physics.figures.metrics import auc, auc_error
from fieldgrad.physics.models.spline_flow import SplineFlow

__all__ = ["FastSimulation", "compare_samples"]

MODEL_FILE = ModelFile("fieldgrad.physics.FastSimulation", "fast simulation", "FastSimulation.save")
SPREAD = 1e-6  # smallest standard deviation that is divided by


class _LogDensity(Module):
    """A flow as the learner calls it."""

    def __init__(self, flow: SplineFlow) -> None:
        super().__init__()
        self.flow = flow

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Logarithm of the density of each example."""
        return self.flow(batch["x"], batch.get("context"))


class FastSimulation:
    """A spline flow with the constants of its features; make one with `fit`, read one with `load`.

    Parameters
    ----------
    flow : SplineFlow
        The density of the standardized features.
    settings : dict
        The keyword arguments it was made with.
    names : sequence of str
        Names of the features.
    constants : ndarray of shape (4, n)
        Mean and standard deviation of the features, and of the context (0 and 1 beyond it).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> energy = rng.uniform(10, 20, (500, 1))
    >>> cells = energy * rng.dirichlet([2, 3, 5], 500)
    >>> simulation = FastSimulation.fit(cells, context=energy, budget="2 epochs")
    >>> simulation.sample(4, context=[[12.0]] * 4).shape
    (4, 3)
    """

    def __init__(
        self,
        flow: SplineFlow,
        settings: dict[str, Any],
        names: Sequence[str],
        constants: NDArray[np.float64],
    ) -> None:
        self.flow, self.settings = flow, dict(settings)
        self.names, self.constants = tuple(names), constants

    @classmethod
    def fit(
        cls,
        features: ArrayLike,
        *,
        names: Sequence[str] = (),
        context: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        budget: str = "20 epochs",
        batch_size: int = 512,
        lr: float = 2e-3,
        seed: int = 0,
        **settings: Any,
    ) -> FastSimulation:
        """Learn the distribution of features.

        Parameters
        ----------
        features : array_like, shape (n, n_features)
            The examples. Numbers of many sizes are best given as logarithms.
        names : sequence of str, optional
            Names of the features.
        context : array_like, shape (n, n_context), optional
            What the distribution depends on.
        weights : array_like, shape (n,), optional
            Of either sign.
        budget : str, default "20 epochs"
            Length of the training.
        batch_size : int, default 512
            Examples in a step.
        lr : float, default 2e-3
            Highest learning rate of AdamW.
        seed : int, default 0
            Of initial weights and order.
        **settings : object
            Further settings of `SplineFlow`.

        Returns
        -------
        FastSimulation
            The trained flow; ``history`` has its losses.

        Raises
        ------
        DataError
            If a number is not finite, or the shapes do not fit.
        """
        x = _table("features", features, None)
        c = None if context is None else _table("context", context, len(x))
        w = np.ones(len(x)) if weights is None else np.asarray(weights, np.float64)
        if w.shape != (len(x),) or not w.sum() > 0:
            raise DataError(
                f"FastSimulation: weights have shape {w.shape} and the sum {w.sum():g}; expected "
                f"({len(x)},) and a sum above 0."
            )
        settings = {"n_context": 0 if c is None else c.shape[1], **settings}
        manual_seed(seed)
        flow = SplineFlow(x.shape[1], **settings)
        width = max(x.shape[1], 0 if c is None else c.shape[1])
        constants = np.tile([[0.0], [1.0], [0.0], [1.0]], width)
        for row, table in ((0, x), (2, c)):
            if table is not None:
                constants[row, : table.shape[1]] = np.average(table, axis=0)
                constants[row + 1, : table.shape[1]] = np.maximum(table.std(axis=0), SPREAD)
        given = tuple(names) or tuple(f"feature_{i}" for i in range(x.shape[1]))
        made = cls(flow, {"n_features": x.shape[1], **settings}, given, constants)
        arrays = {"x": made._scaled(x, 0)}
        if c is not None:
            arrays["context"] = made._scaled(c, 2)
        scaled = (w * len(w) / w.sum()).astype(np.float32)

        def gather(rows: Sequence[Any]) -> Batch:
            index = np.asarray(rows, np.int64)
            return {key: array[index] for key, array in arrays.items()}, scaled[index]

        model = _LogDensity(flow)
        learner = Learner(
            model,
            lambda log_density, weight: -mean(log_density * weight),
            AdamW(model.parameters(), lr=lr, weight_decay=1e-5),
            Loader(range(len(x)), batch_size, shuffle=True, seed=seed, collate=gather),
            callbacks=[ScheduleLR(one_cycle), GradientClip(5.0), StopOnNaN()],
            seed=seed,
        )
        learner.fit(budget)
        flow.eval()
        made.history = learner.history
        return made

    history: Sequence[dict[str, float]] = ()

    def log_density(
        self, features: ArrayLike, context: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """Logarithm of the density of examples, in the units of the features.

        Parameters
        ----------
        features : array_like, shape (n, n_features)
            The examples.
        context : array_like, shape (n, n_context), optional
            What the distribution depends on.

        Returns
        -------
        ndarray of shape (n,)
            Natural logarithms.
        """
        x = self._scaled(_table("features", features, None), 0)
        with no_grad():
            found = np.asarray(self.flow(Tensor(x), self._context(context, len(x))), np.float64)
        return found - np.log(self.constants[1, : x.shape[1]]).sum()

    def sample(
        self, n: int, *, context: ArrayLike | None = None, seed: int = 0
    ) -> NDArray[np.float64]:
        """Draw examples.

        Parameters
        ----------
        n : int
            How many.
        context : array_like, shape (n, n_context), optional
            What the distribution depends on.
        seed : int, default 0
            Of the drawing.

        Returns
        -------
        ndarray of shape (n, n_features)
            In the units of the features.
        """
        with no_grad():
            z = self.flow.sample(n, np.random.default_rng(seed), self._context(context, n))
        width = z.shape[1]
        return z * self.constants[1, :width] + self.constants[0, :width]

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
        arrays = {**self.flow.state_dict(), "constants": self.constants}
        MODEL_FILE.write(path, arrays, {"settings": self.settings, "names": self.names})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> FastSimulation:
        """Read a model file.

        Parameters
        ----------
        path : path-like
            File that `save` wrote.

        Returns
        -------
        FastSimulation
            Ready to `sample`.

        Raises
        ------
        FileError
            If the file is missing, damaged, or holds something else.
        """
        with MODEL_FILE.read(path) as (arrays, stored):
            constants = np.asarray(arrays.pop("constants"), np.float64)
            flow = SplineFlow(**stored["settings"])
            flow.load_state_dict(arrays)
        flow.eval()
        return cls(flow, stored["settings"], stored["names"], constants)

    def _scaled(self, table: NDArray[np.float64], row: int) -> NDArray[np.float32]:
        width = table.shape[1]
        center, spread = self.constants[row, :width], self.constants[row + 1, :width]
        return ((table - center) / spread).astype(np.float32)

    def _context(self, context: ArrayLike | None, n: int) -> Tensor | None:
        wanted = self.settings["n_context"]
        if (context is None) != (wanted == 0):
            raise DataError(
                f"FastSimulation: it depends on {wanted} context features; give context= exactly "
                "if there are some."
            )
        return None if context is None else Tensor(self._scaled(_table("context", context, n), 2))


def compare_samples(
    real: ArrayLike, generated: ArrayLike, *, names: Sequence[str] = (), seed: int = 0
) -> dict[str, Any]:
    """How far generated examples are from real ones.

    Parameters
    ----------
    real, generated : array_like, shape (n, n_features)
        Examples that the generator was not trained on, and drawn ones.
    names : sequence of str, optional
        Names of the features.
    seed : int, default 0
        Of the split.

    Returns
    -------
    dict
        ``classifier_auc`` and ``classifier_auc_error``: area under the curve of boosted trees that
        learn to tell one from the other on half of the examples, on the other half; 0.5 if they
        cannot. ``wasserstein``: by feature, the distance of the two distributions in standard
        deviations of the real one.

    Raises
    ------
    MissingExtra
        If scikit-learn is not installed.
    DataError
        If a number is not finite, or the two do not have the same features.

    References
    ----------
    Krause, Shih, "CaloFlow: fast and accurate generation of calorimeter showers with normalizing
    flows", Physical Review D 107 (2023) 113003, arXiv:2106.05285, section IV: classifier.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> found = compare_samples(rng.normal(size=(900, 2)), rng.normal(size=(900, 2)) + [1.0, 0.0])
    >>> found["classifier_auc"] > 0.65, round(found["wasserstein"]["feature_0"], 1)
    (True, 1.0)
    """
    x = _table("real", real, None)
    y = _table("generated", generated, None)
    if x.shape[1] != y.shape[1]:
        raise DataError(
            f"compare_samples: {x.shape[1]} real features and {y.shape[1]} generated ones; "
            "expected as many."
        )
    ensemble = require("sklearn.ensemble", extra="physics")
    rng = np.random.default_rng(seed)
    table, truth = np.concatenate([x, y]), np.repeat([1, 0], [len(x), len(y)])
    order = rng.permutation(len(table))
    fitting, testing = order[::2], order[1::2]
    trees = ensemble.HistGradientBoostingClassifier(random_state=seed)
    trees.fit(table[fitting], truth[fitting])
    score = trees.predict_proba(table[testing])[:, 1]
    given = tuple(names) or tuple(f"feature_{i}" for i in range(x.shape[1]))
    spread = np.maximum(x.std(axis=0), SPREAD)
    return {
        "classifier_auc": auc(truth[testing], score),
        "classifier_auc_error": auc_error(truth[testing], score),
        "wasserstein": {
            name: float(wasserstein_distance(x[:, i], y[:, i]) / spread[i])
            for i, name in enumerate(given)
        },
    }


def _table(name: str, values: ArrayLike, n_rows: int | None) -> NDArray[np.float64]:
    table = np.asarray(values, np.float64)
    if table.ndim != 2 or (n_rows is not None and len(table) != n_rows):
        expected = f"({'n' if n_rows is None else n_rows}, number of features)"
        raise DataError(f"{name} has shape {table.shape}; expected {expected}.")
    bad = ~np.isfinite(table)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise DataError(
            f"{name}[{row}, {column}] is {table[row, column]}, one of {bad.sum()} numbers that are "
            "not finite; expected none. Select against them."
        )
    return table
