"""Columns that follow from the four-vectors alone, and the constants of the kinematic inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.physics import kinematics
from fieldgrad.physics.jets import JetBatch
from fieldgrad.physics.preprocessing import InputGroup, Preprocessing, Variable

Array = NDArray[Any]

__all__ = ["KINEMATIC", "KINEMATIC_NAMES", "kinematic_columns", "kinematic_features"]


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
        ``part_…`` of shape (n_constituents,), ``jet_…`` of shape (n_jets,), float32 (float64 if
        the four-vectors are).

    Notes
    -----
    The jet is the sum of its constituents. ``part_deta`` is the distance in pseudorapidity from
    the jet times the sign of the jet's pseudorapidity, ``part_dphi`` that in azimuth, wrapped.
    """
    return {name: KINEMATIC_NAMES[name](jets) for name in names}


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


def _of_constituents(function: Any) -> Any:
    """Make a column of constituents from those of (E, px, py, pz) and the jets' momenta."""

    def column(jets: JetBatch) -> Array:
        jet = jets.momenta[jets.jet_of_constituent()].T
        return function(jets.vectors.astype(np.float64).T, jet).astype(jets.vectors.dtype)

    return column


def _of_jets(function: Any) -> Any:
    def column(jets: JetBatch) -> Array:
        return np.asarray(function(jets)).astype(jets.vectors.dtype)

    return column


def _log(values: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(values)


def _deta(p: Array, jet: Array) -> Array:
    jet_eta = kinematics.eta(*jet[1:])
    return (kinematics.eta(*p[1:]) - jet_eta) * np.where(jet_eta < 0, -1.0, 1.0)


def _dphi(p: Array, jet: Array) -> Array:
    return kinematics.delta_phi(kinematics.phi(*p[1:3]), kinematics.phi(*jet[1:3]))


KINEMATIC_NAMES: Mapping[str, Any] = {
    "part_pt": _of_constituents(lambda p, jet: kinematics.pt(*p[1:3])),
    "part_eta": _of_constituents(lambda p, jet: kinematics.eta(*p[1:])),
    "part_phi": _of_constituents(lambda p, jet: kinematics.phi(*p[1:3])),
    "part_mass": _of_constituents(lambda p, jet: kinematics.mass(*p)),
    "part_energy": _of_constituents(lambda p, jet: p[0]),
    "part_px": _of_constituents(lambda p, jet: p[1]),
    "part_py": _of_constituents(lambda p, jet: p[2]),
    "part_pz": _of_constituents(lambda p, jet: p[3]),
    "part_mask": _of_constituents(lambda p, jet: np.ones_like(p[0])),
    "part_pt_log": _of_constituents(lambda p, jet: _log(kinematics.pt(*p[1:3]))),
    "part_e_log": _of_constituents(lambda p, jet: _log(p[0])),
    "part_logptrel": _of_constituents(
        lambda p, jet: _log(kinematics.pt(*p[1:3]) / kinematics.pt(*jet[1:3]))
    ),
    "part_logerel": _of_constituents(lambda p, jet: _log(p[0] / jet[0])),
    "part_deta": _of_constituents(_deta),
    "part_dphi": _of_constituents(_dphi),
    "part_deltaR": _of_constituents(lambda p, jet: np.hypot(_deta(p, jet), _dphi(p, jet))),
    "jet_pt": _of_jets(lambda jets: jets.pt),
    "jet_eta": _of_jets(lambda jets: jets.eta),
    "jet_phi": _of_jets(lambda jets: jets.phi),
    "jet_mass": _of_jets(lambda jets: jets.mass),
    "jet_energy": _of_jets(lambda jets: jets.momenta[:, 0]),
    "jet_nparticles": _of_jets(lambda jets: jets.counts),
}

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
