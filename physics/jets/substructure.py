"""Observables of jets: mass, soft-drop mass, N-subjettiness, from the constituents alone.

The clustering is our own compiled code, so that no other library is needed; its results are those
of FastJet, which the tests compare.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine.errors import DataError, suggest
from fieldgrad.physics.jets import _clustering, kinematics
from fieldgrad.physics.jets.batch import JetBatch, segment_sum

Array = NDArray[Any]

__all__ = [
    "EIGHT_BODY_BASIS",
    "OBSERVABLES",
    "n_subjettiness",
    "observables",
    "soft_drop",
    "with_observables",
]

RADIUS = 0.8  # of the jets that the defaults are meant for
BETAS = {"_beta05": 0.5, "": 1.0, "_beta2": 2.0}  # of N-subjettiness, by the end of its name
N_AXES = 7
# What pins down where eight subjets are: τ_N at three powers of the angle (Datta, Larkoski, "How
# much information is in a jet?", JHEP 06 (2017) 073, arXiv:1704.08249, sec. 2).
EIGHT_BODY_BASIS = (
    *(f"jet_tau{n}{end}" for n in range(1, N_AXES) for end in BETAS),
    "jet_tau7", "jet_tau7_beta2",
)  # fmt: skip
# Every number per jet that `observables` computes.
OBSERVABLES = (
    "jet_pt", "jet_eta", "jet_phi", "jet_energy", "jet_mass", "jet_nparticles", "jet_ptd",
    "jet_sdmass", "jet_tau21", "jet_tau32", "jet_tau43", *EIGHT_BODY_BASIS,
)  # fmt: skip


def soft_drop(
    jets: JetBatch, *, z_cut: float = 0.1, beta: float = 0.0, radius: float = RADIUS
) -> NDArray[np.float64]:
    """Groom jets: drop soft branches at wide angles.

    Parameters
    ----------
    jets : JetBatch
        Any jets.
    z_cut : float, default 0.1
        Least part of the transverse momentum that the softer of two branches must have.
    beta : float, default 0
        Power of the angle; 0 is the modified mass-drop tagger.
    radius : float, default 0.8
        Radius of the jets.

    Returns
    -------
    numpy.ndarray of float64, shape (n_jets, 4)
        Four-vectors (E, px, py, pz) of the groomed jets, GeV.

    Notes
    -----
    The constituents are clustered with the Cambridge/Aachen algorithm; the last step is undone
    until min(pt1, pt2) / (pt1 + pt2) > z_cut (ΔR / radius)^β, following the harder branch.

    References
    ----------
    A. Larkoski, S. Marzani, G. Soyez, J. Thaler, "Soft drop", JHEP 05 (2014) 146,
    arXiv:1402.2657, eq. 1.1.

    Examples
    --------
    A hard pair keeps its mass when a soft particle at a wide angle is added:

    >>> pt, phi = np.array([300.0, 300.0, 5.0]), np.array([0.0, 0.4, -0.6])
    >>> vectors = np.stack([pt, pt * np.cos(phi), pt * np.sin(phi), 0 * pt], 1)
    >>> groomed = soft_drop(JetBatch([0, 3], vectors))
    >>> round(float(kinematics.mass(*groomed[0])), 2)  # 600 sin 0.2
    119.2
    """
    return _clustering.soft_drop(
        np.ascontiguousarray(jets.vectors, np.float64), jets.offsets, z_cut, beta, radius
    )


def n_subjettiness(
    jets: JetBatch, n_most: int = 4, *, beta: float = 1.0, radius: float = RADIUS
) -> NDArray[np.float64]:
    """Compute how much a jet looks like having N or fewer cores: τ1, τ2, ….

    Parameters
    ----------
    jets : JetBatch
        Any jets.
    n_most : int, default 4
        Largest number of axes.
    beta : float, default 1
        Power of the angle.
    radius : float, default 0.8
        Radius of the jets.

    Returns
    -------
    numpy.ndarray of float64, shape (n_jets, n_most)
        The values τ1 to τ_N; 0 for jets with no more than N constituents.

    Notes
    -----
    τ_N = Σ_k pt_k min_i ΔR(k, axis_i)^β / Σ_k pt_k radius^β with distances in rapidity and
    azimuth; the axes are the last N pseudojets of the kt algorithm ("exclusive kT axes").

    References
    ----------
    J. Thaler, K. Van Tilburg, "Identifying boosted objects with N-subjettiness", JHEP 03 (2011)
    015, arXiv:1011.2268, eq. 2.1.

    Examples
    --------
    >>> pt, phi = np.array([300.0, 300.0]), np.array([0.0, 0.4])
    >>> vectors = np.stack([pt, pt * np.cos(phi), pt * np.sin(phi), 0 * pt], 1)
    >>> n_subjettiness(JetBatch([0, 2], vectors), 2).round(3)  # all is 0.2 from the one axis
    array([[0.25, 0.  ]])
    """
    return _taus(_distances(jets, n_most), jets, beta, radius)


def _distances(jets: JetBatch, n_most: int) -> NDArray[np.float64]:
    """Give the ΔR of each constituent to the nearest of 1, 2, … axes, (n_most, n_constituents)."""
    vectors = np.ascontiguousarray(jets.vectors, np.float64)
    axes = _clustering.exclusive_axes(vectors, jets.offsets, n_most)
    energy, px, py, pz = vectors.T
    y, phi = kinematics.rapidity(energy, px, py, pz), kinematics.phi(px, py)
    jet = jets.jet_of_constituent()
    nearest = np.full((n_most, len(vectors)), np.inf)
    for n in range(1, n_most + 1):
        for k in range(n):
            axis_y, axis_phi = axes[:, n - 1, k].T
            distance = kinematics.delta_r(y, phi, axis_y[jet], axis_phi[jet])
            np.fmin(nearest[n - 1], distance, out=nearest[n - 1])  # NaN: the jet has fewer axes
    nearest[np.isinf(nearest)] = 0  # each constituent is an axis of its own
    return nearest


def _taus(
    distances: NDArray[np.float64], jets: JetBatch, beta: float, radius: float
) -> NDArray[np.float64]:
    """Give τ1, τ2, … from the distances to the axes, (n_jets, n_most)."""
    pt = kinematics.pt(*jets.vectors[:, 1:3].astype(np.float64).T)
    scale = segment_sum(pt, jets.offsets) * radius**beta
    taus = np.zeros((len(jets), len(distances)))
    for n, distance in enumerate(distances):
        sums = segment_sum(pt * distance**beta, jets.offsets)
        np.divide(sums, scale, out=taus[:, n], where=scale > 0)
    return taus


def observables(
    jets: JetBatch, names: Sequence[str] = OBSERVABLES, *, radius: float = RADIUS
) -> dict[str, NDArray[np.float64]]:
    """Compute numbers per jet, as trees and networks take them.

    Parameters
    ----------
    jets : JetBatch
        Any jets.
    names : sequence of str, optional
        Some of `OBSERVABLES`; all by default.
    radius : float, default 0.8
        Radius of the jets.

    Returns
    -------
    dict of str to numpy.ndarray of float64, shape (n_jets,)
        In GeV where they have a unit. Ratios are 0 where the denominator is.

    Raises
    ------
    DataError
        If a name is not known.

    Notes
    -----
    ``jet_ptd``: √(Σ pt²) / Σ pt, near 1 if one constituent has nearly all. ``jet_sdmass``: soft
    drop with β 0, z_cut 0.1. ``jet_tau1`` …: N-subjettiness with β 1,
    ``jet_tau1_beta05`` and ``jet_tau1_beta2`` … with β 0.5 and 2, which weigh narrow and wide
    angles; `EIGHT_BODY_BASIS` has those that belong together.

    Examples
    --------
    >>> pt, phi = np.array([300.0, 300.0]), np.array([0.0, 0.4])
    >>> vectors = np.stack([pt, pt * np.cos(phi), pt * np.sin(phi), 0 * pt], 1)
    >>> observables(JetBatch([0, 2], vectors), ["jet_mass", "jet_tau21"])["jet_mass"].round(2)
    array([119.2])
    """
    for name in names:
        if name not in OBSERVABLES:
            raise DataError(
                f"there is no observable {name!r}{suggest(name, OBSERVABLES) or '.'} "
                f"There are: {', '.join(OBSERVABLES)}."
            )
    momenta = jets.momenta
    values: dict[str, Array] = {
        "jet_pt": jets.pt,
        "jet_eta": jets.eta,
        "jet_phi": jets.phi,
        "jet_energy": momenta[:, 0],
        "jet_mass": jets.mass,
        "jet_nparticles": jets.counts.astype(np.float64),
    }
    if "jet_ptd" in names:
        pt = kinematics.pt(*jets.vectors[:, 1:3].astype(np.float64).T)
        total = segment_sum(pt, jets.offsets)
        width = np.sqrt(segment_sum(pt * pt, jets.offsets))
        values["jet_ptd"] = np.divide(width, total, out=np.zeros(len(jets)), where=total > 0)
    if "jet_sdmass" in names:
        values["jet_sdmass"] = np.maximum(kinematics.mass(*soft_drop(jets, radius=radius).T), 0)
    if any(name.startswith("jet_tau") for name in names):
        distances = _distances(jets, N_AXES)
        for end, beta in BETAS.items():
            taus = _taus(distances, jets, beta, radius).T
            values |= {f"jet_tau{n}{end}": tau for n, tau in enumerate(taus, 1)}
        for n in (2, 3, 4):
            tau, below = values[f"jet_tau{n}"], values[f"jet_tau{n - 1}"]
            ratio = np.divide(tau, below, out=np.zeros(len(jets)), where=below > 0)
            values[f"jet_tau{n}{n - 1}"] = ratio
    return {name: values[name] for name in names}


def with_observables(
    jets: JetBatch, names: Sequence[str] = OBSERVABLES, **options: Any
) -> JetBatch:
    """Add computed observables to jets, beside those they have.

    Parameters
    ----------
    jets : JetBatch
        Any jets.
    names : sequence of str, optional
        Some of `OBSERVABLES`; all by default.
    **options : object
        Further parameters of `observables`.

    Returns
    -------
    JetBatch
        The same jets; what they carry already is kept.
    """
    missing = [name for name in names if name not in jets.observables]
    computed: Mapping[str, Array] = observables(jets, missing, **options) if missing else {}
    return jets.replace(observables={**jets.observables, **computed})
