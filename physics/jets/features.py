"""Columns that follow from the four-vectors alone, and the constants of the kinematic inputs."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.physics.jets import kinematics
from fieldgrad.physics.jets.batch import JetBatch
from fieldgrad.physics.jets.preprocessing import InputGroup, Preprocessing, Variable

Array = NDArray[Any]

__all__ = [
    "KINEMATIC",
    "KINEMATIC_NAMES",
    "Kinematics",
    "kinematic_columns",
    "kinematic_features",
]


class Kinematics:
    """Columns that follow from the four-vectors alone, each computed once when it is asked for.

    Parameters
    ----------
    jets : JetBatch
        Any jets.

    Notes
    -----
    The jet is the sum of its constituents. ``part_deta`` is the distance in pseudorapidity from
    the jet times the sign of the jet's pseudorapidity, ``part_dphi`` that in azimuth, wrapped.

    Examples
    --------
    >>> Kinematics(JetBatch([0, 1], [[5.0, 3.0, 0.0, 4.0]])).column("part_deltaR")
    array([0.])
    """

    def __init__(self, jets: JetBatch) -> None:
        self._jets = jets
        self._jet_of = jets.jet_of_constituent()
        self._known: dict[str, Array] = {}

    def column(self, name: str) -> Array:
        """Compute a column.

        Parameters
        ----------
        name : str
            One of `KINEMATIC_NAMES`.

        Returns
        -------
        numpy.ndarray
            ``part_…`` of shape (n_constituents,), ``jet_…`` of shape (n_jets,), float32 (float64 if
            the four-vectors are).
        """
        return self._exact(name).astype(self._jets.vectors.dtype)

    def _exact(self, name: str) -> Array:
        """Give the column in float64."""
        if name not in self._known:
            self._known[name] = getattr(self, f"_{name}")()
        return self._known[name]

    def _of_jet(self, name: str) -> Array:
        """Give a column of the jets for each constituent."""
        return self._exact(name)[self._jet_of]

    def _component(self, k: int) -> Array:
        return self._jets.vectors[:, k].astype(np.float64)

    def _part_energy(self) -> Array:
        return self._component(0)

    def _part_px(self) -> Array:
        return self._component(1)

    def _part_py(self) -> Array:
        return self._component(2)

    def _part_pz(self) -> Array:
        return self._component(3)

    def _part_mask(self) -> Array:
        return np.ones(len(self._jets.vectors))

    def _part_pt(self) -> Array:
        return kinematics.pt(self._component(1), self._component(2))

    def _part_eta(self) -> Array:
        return kinematics.eta(*map(self._component, (1, 2, 3)))

    def _part_phi(self) -> Array:
        return kinematics.phi(self._component(1), self._component(2))

    def _part_mass(self) -> Array:
        return kinematics.mass(*map(self._component, range(4)))

    def _part_pt_log(self) -> Array:
        return _log(self._exact("part_pt"))

    def _part_e_log(self) -> Array:
        return _log(self._exact("part_energy"))

    def _part_logptrel(self) -> Array:
        return _log(self._exact("part_pt") / self._of_jet("jet_pt"))

    def _part_logerel(self) -> Array:
        return _log(self._exact("part_energy") / self._of_jet("jet_energy"))

    def _part_deta(self) -> Array:
        jet_eta = self._of_jet("jet_eta")
        return (self._exact("part_eta") - jet_eta) * np.where(jet_eta < 0, -1.0, 1.0)

    def _part_dphi(self) -> Array:
        return kinematics.delta_phi(self._exact("part_phi"), self._of_jet("jet_phi"))

    def _part_deltaR(self) -> Array:  # the column's name
        return np.hypot(self._exact("part_deta"), self._exact("part_dphi"))

    def _jet_energy(self) -> Array:
        return self._momenta[0]

    def _jet_pt(self) -> Array:
        return kinematics.pt(*self._momenta[1:3])

    def _jet_eta(self) -> Array:
        return kinematics.eta(*self._momenta[1:])

    def _jet_phi(self) -> Array:
        return kinematics.phi(*self._momenta[1:3])

    def _jet_mass(self) -> Array:
        return np.maximum(kinematics.mass(*self._momenta), 0)

    def _jet_nparticles(self) -> Array:
        return self._jets.counts.astype(np.float64)

    @functools.cached_property
    def _momenta(self) -> Array:
        return self._jets.momenta.T


# The columns, by the names that the field gives them.
KINEMATIC_NAMES = frozenset(
    name[1:]
    for name in vars(Kinematics)
    if name.startswith(("_part_", "_jet_")) and name != "_jet_of"
)


def kinematic_columns(jets: JetBatch, names: Sequence[str]) -> dict[str, Array]:
    """Compute columns that follow from the four-vectors alone, by their usual names.

    Parameters
    ----------
    jets : JetBatch
        Any jets.
    names : sequence of str
        Some of `KINEMATIC_NAMES`.

    Returns
    -------
    dict of str to numpy.ndarray
        As `Kinematics` computes them.
    """
    shared = Kinematics(jets)
    return {name: shared.column(name) for name in names}


def kinematic_features(jets: JetBatch) -> JetBatch:
    """Add the seven kinematic features of the top-tagging benchmarks.

    Parameters
    ----------
    jets : JetBatch
        Any jets.

    Returns
    -------
    JetBatch
        The same jets with ``part_pt_log``, ``part_e_log``, ``part_logptrel``, ``part_logerel``,
        ``part_deltaR``, ``part_deta`` and ``part_dphi`` among their features, ready for
        `KINEMATIC`.

    References
    ----------
    H. Qu, C. Li, S. Qian, "Particle Transformer for jet tagging", ICML 2022, arXiv:2202.03772,
    Table 2 ("kinematics").
    """
    names = KINEMATIC.group("features").names
    return jets.replace(features={**jets.features, **kinematic_columns(jets, names)})


def _log(values: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(values)


# Constants of the top-tagging configuration of Particle Transformer (its repository,
# data/TopLandscape/top_kin.yaml).
KINEMATIC = Preprocessing(
    (
        InputGroup("pf_points", (Variable("part_deta"), Variable("part_dphi")), 128),
        InputGroup(
            "pf_features",
            (
                Variable("part_pt_log", 1.7, 0.7),
                Variable("part_e_log", 2.0, 0.7),
                Variable("part_logptrel", -4.7, 0.7),
                Variable("part_logerel", -4.7, 0.7),
                Variable("part_deltaR", 0.2, 4.0),
                Variable("part_deta"),
                Variable("part_dphi"),
            ),
            128,
        ),
        InputGroup(
            "pf_vectors",
            tuple(map(Variable, ("part_px", "part_py", "part_pz", "part_energy"))),
            128,
        ),
        InputGroup("pf_mask", (Variable("part_mask"),), 128),
    )
)
