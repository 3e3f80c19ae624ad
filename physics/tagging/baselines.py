"""What a physicist tries first: boosted trees on observables, cuts on mass and N-subjettiness."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine import get_num_threads
from fieldgrad.engine.errors import DataError, require
from fieldgrad.physics.jets.batch import JetBatch
from fieldgrad.physics.jets.substructure import with_observables

__all__ = [
    "BoostedTrees",
    "cut_and_count",
    "mass_distance",
    "observable_table",
]

TOP_MASS = 172.0  # GeV, of the simulated top quark, where the jets of the tutorial peak
WINDOW = (140.0, 210.0)  # GeV
TAU32 = 0.6
FEW = 10_000  # jets, of which one thread grows a tree in a millisecond


def observable_table(jets: JetBatch, names: Sequence[str]) -> NDArray[np.float64]:
    """Observables of jets side by side.

    Parameters
    ----------
    jets : JetBatch
        Any jets.
    names : sequence of str
        Names of observables; those of `fieldgrad.physics.jets.substructure` are computed from the
        constituents where the jets lack them.

    Returns
    -------
    ndarray of shape (n_jets, n_observables)
        In the order of the names.

    Raises
    ------
    DataError
        If the jets lack an observable that cannot be computed.

    Examples
    --------
    >>> jets = JetBatch([0, 2], [[5.0, 3, 0, 4], [5.0, -3, 0, 4]])
    >>> observable_table(jets, ["jet_mass", "jet_nparticles"]).round(3)
    array([[6., 2.]])
    """
    columns = with_observables(jets, names).observables
    return np.stack([np.asarray(columns[name], np.float64) for name in names], axis=1)


class BoostedTrees:
    """Gradient-boosted decision trees on observables of the jet (scikit-learn).

    Parameters
    ----------
    names : sequence of str
        Observables; see `observable_table`.
    n_trees : int, default 200
        Trees at most.
    learning_rate : float, default 0.1
        Share of each tree.
    seed : int, default 0
        Of what is held back to stop early.

    Notes
    -----
    The trees are scikit-learn's HistGradientBoostingClassifier with its defaults otherwise. It
    knows no negative weights: they count as 0 when trees grow, and with their sign in the figures.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> mass = np.r_[rng.normal(80, 20, 300), rng.normal(170, 20, 300)]
    >>> jets = JetBatch(np.zeros(601, int), np.zeros((0, 4)), labels=np.repeat([0, 1], 300),
    ...                 observables={"jet_mass": mass})
    >>> trees = BoostedTrees(["jet_mass"]).fit(jets)
    >>> trees.predict(jets).shape
    (600, 2)
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        n_trees: int = 200,
        learning_rate: float = 0.1,
        seed: int = 0,
    ) -> None:
        ensemble = require("sklearn.ensemble", extra="physics")
        self.names = tuple(names)
        self.trees: Any = ensemble.HistGradientBoostingClassifier(
            max_iter=n_trees, learning_rate=learning_rate, random_state=seed
        )

    def fit(self, jets: JetBatch) -> BoostedTrees:
        """Grow the trees.

        Parameters
        ----------
        jets : JetBatch
            With labels.

        Returns
        -------
        BoostedTrees
            Itself.

        Raises
        ------
        DataError
            If the jets have no labels, or lack an observable.
        """
        if jets.labels is None:
            raise DataError("BoostedTrees: the jets have no labels; read them with their labels.")
        table = observable_table(jets, self.names)
        with _threads(len(jets)):
            self.trees.fit(table, jets.labels, sample_weight=np.maximum(jets.weights, 0))
        return self

    def predict(self, jets: JetBatch) -> NDArray[np.float64]:
        """Probabilities of the classes.

        Parameters
        ----------
        jets : JetBatch
            Any jets with the observables.

        Returns
        -------
        ndarray of shape (n_jets, n_classes)
            In the order of the labels.
        """
        table = observable_table(jets, self.names)
        with _threads(len(jets)):
            found: NDArray[np.float64] = self.trees.predict_proba(table)
        return found


def _threads(n_jets: int) -> AbstractContextManager[Any]:
    """Limit OpenMP to our threads, and to one for few jets.

    Its threads wait for each other by spinning, which costs minutes where another program has a
    core of ours, and there are hundreds of waits whatever the number of jets.
    """
    limits = require("threadpoolctl", extra="physics").threadpool_limits
    made: AbstractContextManager[Any] = limits(
        get_num_threads() if n_jets >= FEW else 1, user_api="openmp"
    )
    return made


def mass_distance(
    jets: JetBatch, name: str = "jet_mass", *, mass: float = TOP_MASS
) -> NDArray[np.float64]:
    """The simplest score: minus the distance of the jet's mass from a mass.

    Parameters
    ----------
    jets : JetBatch
        Any jets.
    name : str, default "jet_mass"
        Which mass, in GeV.
    mass : float, default 172
        In GeV.

    Returns
    -------
    ndarray of shape (n_jets,)
        Higher for jets near the mass, GeV.
    """
    return -np.abs(observable_table(jets, [name])[:, 0] - mass)


def cut_and_count(
    jets: JetBatch,
    *,
    signal: int = 1,
    background: int = 0,
    window: tuple[float, float] = WINDOW,
    tau32: float = TAU32,
) -> dict[str, Any]:
    """Efficiencies of a mass window and a cut on τ32.

    Parameters
    ----------
    jets : JetBatch
        With labels, and the observables ``jet_tau3`` and ``jet_tau2`` or ``jet_tau32``; without
        them only the window is applied.
    signal, background : int
        The classes.
    window : tuple of 2 float, default (140, 210)
        Bounds of the mass, GeV.
    tau32 : float, default 0.6
        Jets with less pass.

    Returns
    -------
    dict
        ``name``, ``efficiency`` (of the signal), ``rejection`` (1/ε_B) and ``rejection_error``.

    Raises
    ------
    DataError
        If the jets have no labels.

    Examples
    --------
    >>> jets = JetBatch(np.zeros(5, int), np.zeros((0, 4)), labels=[0, 0, 1, 1],
    ...                 observables={"jet_mass": [80.0, 150, 170, 300]})
    >>> row = cut_and_count(jets)
    >>> row["name"], row["efficiency"], row["rejection"]
    ('140 < m < 210 GeV', 0.5, 2.0)
    """
    if jets.labels is None:
        raise DataError("cut_and_count: the jets have no labels; read them with their labels.")
    low, high = window
    mass = observable_table(jets, ["jet_mass"])[:, 0]
    passes, name = (low < mass) & (mass < high), f"{low:g} < m < {high:g} GeV"
    ratio = _tau32(jets)
    if ratio is not None:
        passes, name = passes & (ratio < tau32), f"{name}, τ32 < {tau32:g}"
    w = jets.weights
    own, other = jets.labels == signal, jets.labels == background
    share = w[passes & other].sum() / w[other].sum()
    squares = np.where(passes, (1 - share) ** 2, share**2)[other]
    error = np.sqrt((w[other] ** 2 * squares).sum()) / w[other].sum()
    return {
        "name": name,
        "efficiency": float(w[passes & own].sum() / w[own].sum()),
        "rejection": float(1 / share) if share > 0 else np.inf,
        "rejection_error": float(error / share**2) if share > 0 else np.inf,
    }


def _tau32(jets: JetBatch) -> NDArray[np.float64] | None:
    columns = jets.observables
    if "jet_tau32" in columns:
        return np.asarray(columns["jet_tau32"], np.float64)
    if "jet_tau3" in columns and "jet_tau2" in columns:
        return np.asarray(columns["jet_tau3"] / np.maximum(columns["jet_tau2"], 1e-9), np.float64)
    return None
