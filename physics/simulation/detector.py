"""A parametrized detector: from particles to what tracker and calorimeters make of them.

No magnetic field, no pile-up, ideal particle flow: a track leaves nothing in the calorimeters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.physics.jets import kinematics

Array = NDArray[Any]

__all__ = ["Objects", "simulate"]

# Charges of what Pythia leaves undecayed, by identity in the numbering of the Particle Data Group.
_CHARGES = {11: -1, 13: -1, 211: 1, 321: 1, 2212: 1, 3112: -1, 3222: 1, 3312: -1, 3334: -1}
_NEUTRINOS = (12, 14, 16)
_ETA_TRACKER, _ETA_CALORIMETER = 2.5, 5.0
_PT_TRACK = 0.5  # GeV
_CELL_ECAL, _CELL_HCAL = 0.025, 0.1  # in eta and phi
# Resolution of energy: stochastic term (GeV^½), constant term; threshold in GeV.
_ECAL, _HCAL = (0.10, 0.007, 0.5), (0.52, 0.03, 1.0)


@dataclass(frozen=True)
class Objects:
    """Reconstructed objects of several events, in the order of the events.

    Parameters
    ----------
    event : numpy.ndarray of int64, shape (n,)
        The event of each.
    vectors : numpy.ndarray of shape (n, 4)
        Massless four-vectors (E, px, py, pz), GeV.
    charge : numpy.ndarray of int64, shape (n,)
        Electric charge; 0 for calorimeter cells.
    kind : numpy.ndarray of int64, shape (n,)
        11 electron, 13 muon, 22 photon, 211 charged hadron, 130 neutral hadron.
    """

    event: NDArray[np.int64]
    vectors: Array
    charge: NDArray[np.int64]
    kind: NDArray[np.int64]


def simulate(
    event: NDArray[np.int64], identity: NDArray[np.int64], vectors: Array, rng: np.random.Generator
) -> Objects:
    """Let particles pass the detector.

    Parameters
    ----------
    event : numpy.ndarray of int64, shape (n,)
        The event of each particle.
    identity : numpy.ndarray of int64, shape (n,)
        Number of the Particle Data Group.
    vectors : numpy.ndarray of shape (n, 4)
        Four-vectors (E, px, py, pz), GeV.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    Objects
        Tracks and cells.

    Notes
    -----
    Tracks: charged, |η| < 2.5, pt > 0.5 GeV, efficiency 0.95 (0.85 beyond |η| 1.5), pt smeared by
    1 % ⊕ 1.5e-4 pt. Photons, and electrons without a track: cells of 0.025 × 0.025, energy smeared
    by 10 %/√E ⊕ 0.7 %, 0.5 GeV. Hadrons without a track: cells of 0.1 × 0.1, 52 %/√E ⊕ 3 %, 1 GeV.
    The direction of a cell's object is drawn uniformly within the cell.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> photon, neutrino = [50.0, 50.0, 0.0, 0.0], [80.0, 0.0, 80.0, 0.0]
    >>> seen = simulate(np.array([0, 0]), np.array([22, 12]), np.array([photon, neutrino]), rng)
    >>> seen.kind, bool(abs(seen.vectors[0, 0] - 50) < 5)
    (array([22]), True)
    """
    kind = np.abs(identity)
    seen = ~np.isin(kind, _NEUTRINOS)
    event, kind, vectors, sign = event[seen], kind[seen], vectors[seen], np.sign(identity[seen])
    charge = np.select([kind == k for k in _CHARGES], list(_CHARGES.values()), 0) * sign
    pt = kinematics.pt(*vectors.T[1:3])
    eta, phi = kinematics.eta(*vectors.T[1:]), kinematics.phi(*vectors.T[1:3])

    efficiency = np.where(np.abs(eta) > 1.5, 0.85, 0.95)
    tracked = (charge != 0) & (np.abs(eta) < _ETA_TRACKER) & (pt > _PT_TRACK)
    tracked &= rng.random(len(pt)) < efficiency
    smeared = pt[tracked] * rng.normal(1, np.hypot(0.01, 1.5e-4 * pt[tracked]))
    kinds = np.where(np.isin(kind, (11, 13)), kind, 211)[tracked]
    parts = [(event[tracked], np.abs(smeared), eta[tracked], phi[tracked], charge[tracked], kinds)]

    inside = ~tracked & (np.abs(eta) < _ETA_CALORIMETER)
    electromagnetic = inside & ((kind == 22) | (kind == 11))
    hadronic = inside & ~electromagnetic & (kind != 13)
    for hit, size, resolution, code in (
        (electromagnetic, _CELL_ECAL, _ECAL, 22),
        (hadronic, _CELL_HCAL, _HCAL, 130),
    ):
        cells = _cells(event[hit], vectors[hit, 0], eta[hit], phi[hit], size, resolution, rng)
        n_cells = len(cells[0])
        parts.append((*cells, np.zeros(n_cells, np.int64), np.full(n_cells, code)))
    events, pts, etas, phis, charges, codes = (
        np.concatenate(columns) for columns in zip(*parts, strict=True)
    )
    order = np.argsort(events, kind="stable")
    four = np.stack(kinematics.from_pt_eta_phi_mass(pts, etas, phis, 0.0), 1)
    return Objects(events[order], four[order], charges[order], codes[order])


def _cells(
    event: Array,
    energy: Array,
    eta: Array,
    phi: Array,
    size: float,
    resolution: tuple[float, float, float],
    rng: np.random.Generator,
) -> tuple[Array, Array, Array, Array]:
    """Sum energies by cell and smear them; give event, pt, eta and phi of each cell's object."""
    n_phi = round(2 * np.pi / size)
    i_eta = np.floor(eta / size).astype(np.int64)
    i_phi = np.floor((phi + np.pi) / (2 * np.pi) * n_phi).astype(np.int64) % n_phi
    n_eta = round(2 * _ETA_CALORIMETER / size) + 2
    key = (event * n_eta + i_eta + n_eta // 2) * n_phi + i_phi
    cells, inverse = np.unique(key, return_inverse=True)
    true = np.bincount(inverse, energy, minlength=len(cells))
    stochastic, constant, threshold = resolution
    spread = np.hypot(stochastic / np.sqrt(true), constant)
    sums = true * (1 + spread * rng.normal(size=len(cells)))
    place, cell_phi = np.divmod(cells, n_phi)
    events, cell_eta = np.divmod(place, n_eta)
    u, v = rng.random((2, len(cells)))
    eta = (cell_eta - n_eta // 2 + u) * size
    phi = (cell_phi + v) / n_phi * 2 * np.pi - np.pi
    kept = sums > threshold
    return events[kept], (sums / np.cosh(eta))[kept], eta[kept], phi[kept]
