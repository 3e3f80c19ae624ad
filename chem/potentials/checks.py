"""Whether data can be what they say: units, signs, duplicates of nuclei, energies that fit forces.

Most trainings that fail do so for one of these reasons, after hours. Each check says what it saw in
numbers; what is certainly wrong is an error, what is only unusual a warning.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist, pdist

from fieldgrad.chem.potentials.neighbors import find_pairs
from fieldgrad.chem.potentials.structures import Structures
from fieldgrad.chem.units import BOHR, ENERGY, HARTREE
from fieldgrad.engine.errors import DataError, require

__all__ = ["Consistency", "check_structures", "forces_match_energies"]

log = logging.getLogger("fieldgrad.chem")

SAMPLE = 300  # structures that are looked at
LARGE = 100  # atoms from which structures are not compared by all of their distances
NEAR_ENOUGH = 0.6  # correlation from which a slope of energies over work says something
# Ratios of units that files mix up, by what they mean.
FACTORS = {
    "kcal/mol and eV": 1 / ENERGY["kcal/mol"],
    "kJ/mol and eV": 1 / ENERGY["kJ/mol"],
    "Hartree and eV": HARTREE,
    "Bohr and Å": 1 / BOHR,
    "Hartree and kcal/mol": HARTREE / ENERGY["kcal/mol"],
    "Hartree/Bohr and eV/Å": HARTREE / BOHR,
    "meV and eV": 1000.0,
}


@dataclass(frozen=True)
class Consistency:
    """How energies of neighboring structures differ from the work of the forces between them.

    Parameters
    ----------
    slope : float
        Energy difference over work, by least squares: 1 where forces are minus the gradient, -1
        where they have the wrong sign.
    correlation : float
        Of both, in [-1, 1]; near 0 where the structures are too far apart to tell.
    n_pairs : int
        Pairs of structures that were compared.
    """

    slope: float
    correlation: float
    n_pairs: int


def check_structures(structures: Structures, *, needs_energies: bool = True) -> list[str]:
    """Look for what makes a training fail, and say it.

    Parameters
    ----------
    structures : Structures
        In eV and Å.
    needs_energies : bool, default True
        Whether a structure without an energy is an error.

    Returns
    -------
    list of str
        What is unusual, a sentence each; also logged as warnings.

    Raises
    ------
    DataError
        If nothing was computed for the structures, energies are missing or forces are not finite,
        forces have the wrong sign or other units than energies, or units are mixed.
    """
    name = structures.source or "the structures"
    _check_labels(structures, name, needs_energies=needs_energies)
    unusual = _check_energies(structures, name) + _check_distances(structures, name)
    unusual += _check_forces(structures, name)
    match = forces_match_energies(structures)
    if match is not None and abs(match.correlation) >= NEAR_ENOUGH:
        _check_match(match, name)
    for sentence in unusual:
        log.warning("%s", sentence)
    return unusual


def _check_labels(structures: Structures, name: str, *, needs_energies: bool) -> None:
    n = len(structures)
    energies, forces = structures.has("energies"), structures.has("forces")
    if not energies.any() and not forces.any():
        raise DataError(
            f"{name}: none of its {n} structures has an energy or forces. Expected energy=… in the "
            "comment line and a column forces:R:3 (extxyz).\nIf they stand under other names, give "
            "these: --energy-key, --force-key."
        )
    if needs_energies and not energies.all():
        missing = np.flatnonzero(~energies)
        raise DataError(
            f"{name}: {len(missing)} of {n} structures have no energy (the first is number "
            f"{missing[0]}). Remove them, or name the energy with --energy-key."
        )
    if forces.any() and not forces.all():
        missing = np.flatnonzero(~forces)
        raise DataError(
            f"{name}: {len(missing)} of {n} structures have no or not finite forces (the first is "
            f"number {missing[0]}). Remove them, or compute them again."
        )


def _check_energies(structures: Structures, name: str) -> list[str]:
    """Find structures whose energy is another's in other units."""
    known = structures.has("energies")
    if not known.any():
        return []
    counts, _ = structures.compositions()
    _, group = np.unique(counts, axis=0, return_inverse=True)
    for k in np.unique(group):
        members = np.flatnonzero((group.ravel() == k) & known)
        energies = structures.energies[members]
        # One that occurs: of two units in equal parts the mean would be none of them.
        usual = float(np.sort(energies)[len(energies) // 2])
        if len(members) < 5 or abs(usual) < 50.0:  # total energies only: others may be near zero
            continue
        for meaning, factor in FACTORS.items():
            for ratio in (factor, 1 / factor):
                odd = members[np.abs(energies / usual / ratio - 1) < 0.02]
                if len(odd):
                    raise DataError(
                        f"{name} mixes units: the energy of structure {odd[0]} "
                        f"({structures.energies[odd[0]]:.6g}) is {ratio:.4g} times the usual of "
                        f"its composition ({usual:.6g}), as are {len(odd) - 1} more: {meaning}?\n"
                        "Convert them, or read the files one by one with their units."
                    )
    per_atom = (structures.energies / structures.sizes)[known]
    fit, *_ = np.linalg.lstsq(counts[known], structures.energies[known], rcond=None)
    remains = (structures.energies[known] - counts[known] @ fit) / structures.sizes[known]
    if remains.std() > 5.0:
        return [
            f"{name}: energies differ by {remains.std():.1f} eV per atom (standard deviation) from "
            "what their elements add up to. Bonds make less: are total and atomization energies, "
            f"or several levels of theory, mixed? They go from {per_atom.min():.6g} to "
            f"{per_atom.max():.6g} eV per atom."
        ]
    return []


def _check_distances(structures: Structures, name: str) -> list[str]:
    """Compare the nearest neighbors' distances with covalent radii."""
    radii = require("ase.data", extra="chem").covalent_radii
    ratios = []
    for k in _some(len(structures)):
        one = structures[k]
        if one.sizes[0] < 2 and not one.pbc.any():
            continue
        reach = 2.2 * float(radii[one.numbers].max())
        pairs = find_pairs(one.positions, reach, one.cells[0], one.pbc[0])
        i, j = pairs.atoms
        distances = np.sqrt((pairs.vectors**2).sum(axis=1))
        scaled = distances / (radii[one.numbers[i]] + radii[one.numbers[j]])
        nearest = np.full(one.sizes[0], np.inf)
        np.minimum.at(nearest, i, scaled)
        np.minimum.at(nearest, j, scaled)
        ratios.append(np.median(nearest))
    if not ratios:
        return []
    ratio = float(np.median(ratios))
    if ratio < 0.65:
        return [
            f"{name}: nearest neighbors are {ratio:.2f} times as far apart as covalent radii say. "
            "Are lengths in nm (0.1), or were they converted from Bohr twice (0.53)?"
        ]
    if not ratio < 1.6:
        return [
            f"{name}: nearest neighbors are {ratio:.2f} times as far apart as covalent radii say "
            "(inf: none within twice that). Are lengths in Bohr (1.89)? Then say so: "
            "--length-unit Bohr."
        ]
    return []


def _check_forces(structures: Structures, name: str) -> list[str]:
    if not structures.has("forces").any():
        return []
    size = float(np.sqrt(np.mean(structures.forces**2)))
    total = np.zeros((len(structures), 3))
    np.add.at(total, structures.structure_ids, structures.forces)
    net = float(np.sqrt(np.mean(total**2 / structures.sizes[:, None])))
    unusual = []
    if size > 20.0:
        unusual.append(
            f"{name}: forces are {size:.3g} eV/Å (root mean square); those of molecules near room "
            "temperature are about 1. Are they in kcal/mol/Å (23 times), or are structures torn?"
        )
    # Of independent numbers the sum of n is sqrt(n) times as large, which counts as 1 here.
    if (structures.sizes > 1).all() and net > 0.3 * size and net > 0.02:
        unusual.append(
            f"{name}: the forces of a structure do not add up to zero: they leave "
            f"{net / size:.2f} of what random ones would. Is there an outer field, or are atoms "
            "missing or frozen?"
        )
    return unusual


def _check_match(match: Consistency, name: str) -> None:
    slope = match.slope
    if slope < 0 and 0.5 < -slope < 2:
        raise DataError(
            f"{name}: forces have the wrong sign. Between {match.n_pairs} pairs of similar "
            f"structures the energy changes by {slope:.2f} times the work -F·dx; expected 1.\n"
            "The file probably has gradients: negate them, or give them as such (gradient)."
        )
    if 0.5 < slope < 2:
        return
    size = abs(slope)
    near = [
        f"{meaning} (factor {ratio:.4g})"
        for meaning, factor in FACTORS.items()
        for ratio in (factor, 1 / factor)
        if abs(np.log(size / ratio)) < 0.25
    ]
    sign = ", with the wrong sign of the forces" if slope < 0 else ""
    raise DataError(
        f"{name}: energies and forces have different units{sign}. Between {match.n_pairs} pairs of "
        f"similar structures the energy changes by {slope:.3g} times the work -F·dx; expected 1.\n"
        f"Mixed up may be: {' or '.join(near) or 'units that are not usual'}. Give the units: "
        "--energy-unit, --force-unit."
    )


def forces_match_energies(structures: Structures) -> Consistency | None:
    """Compare energy differences of similar structures with the work of the forces.

    Parameters
    ----------
    structures : Structures
        With energies and forces; those of equal atoms in equal cells are compared.

    Returns
    -------
    Consistency or None
        None if fewer than five pairs can be compared.

    Notes
    -----
    From structure a to b, ``E_b - E_a = -½ (F_a + F_b) · (R_b - R_a)`` up to the third order, and
    exactly in a harmonic well. Molecules are first turned onto one another (Kabsch); periodic
    structures are compared by their nearest images.
    """
    usable = structures[structures.has("energies") & structures.has("forces")]
    frames = [usable[int(k)] for k in _some(len(usable))]
    groups: dict[bytes, list[Structures]] = {}
    for one in frames:
        groups.setdefault(one.numbers.tobytes() + one.pbc.tobytes(), []).append(one)
    moves = []
    for group in groups.values():
        moves += [_moved(group[a], group[b]) for a, b in _similar(group)]
    # The nearer they are, the smaller the third order.
    found = sorted(move for move in moves if move is not None)
    found = found[: max(len(found) // 2, 5)]
    if len(found) < 5:
        return None
    _, work, change = np.asarray(found).T
    scale = float(np.sqrt((work @ work) * (change @ change)))
    if scale == 0:
        return None
    # By the geometric mean of both regressions, so that noise does not make the slope smaller.
    correlation = float(work @ change) / scale
    slope = float(np.sign(correlation) * np.sqrt((change @ change) / (work @ work)))
    return Consistency(slope, correlation, len(found))


def _similar(group: Sequence[Structures]) -> set[tuple[int, int]]:
    """Pairs of like structures: by all of their distances, or the next ones of a trajectory."""
    if group[0].pbc.any() or len(group[0].numbers) > LARGE:
        return {(k, k + step) for step in (1, 2, 3) for k in range(len(group) - step)}
    shapes = np.stack([pdist(one.positions) for one in group])
    apart = cdist(shapes, shapes)
    np.fill_diagonal(apart, np.inf)
    nearest = apart.argmin(axis=1).tolist()
    return {(min(a, b), max(a, b)) for a, b in enumerate(nearest) if len(group) > 1}


def _moved(a: Structures, b: Structures) -> tuple[float, float, float] | None:
    """Give how far two structures are apart, the work from a to b, and the energies' difference."""
    fa, fb = a.forces, b.forces
    if a.pbc.any():
        if not np.allclose(a.cells, b.cells, atol=1e-8):
            return None  # a strain does work of its own
        steps = b.positions - a.positions
        fractions = steps @ np.linalg.pinv(a.cells[0])
        steps = steps - np.round(fractions) * a.pbc[0] @ a.cells[0]
    else:
        pa, pb = a.positions - a.positions.mean(axis=0), b.positions - b.positions.mean(axis=0)
        turn = _turn(pb, pa)
        steps, fb = pb @ turn - pa, fb @ turn
    distance = float(np.sqrt((steps**2).sum(axis=1).mean()))
    work = -0.5 * float(((fa + fb) * steps).sum())
    return distance, work, float(b.energies[0] - a.energies[0])


def _turn(points: NDArray[np.float64], onto: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation matrix (applied from the right) that brings points nearest to others (Kabsch)."""
    u, _, vt = np.linalg.svd(points.T @ onto)
    u[:, -1] *= np.sign(np.linalg.det(u @ vt))
    rotation: NDArray[np.float64] = u @ vt
    return rotation


def _some(n: int) -> NDArray[np.int64]:
    """Numbers of at most SAMPLE structures, in runs of neighbors from all parts."""
    if n <= SAMPLE:
        return np.arange(n)
    runs = np.linspace(0, n - SAMPLE // 10, 10).astype(np.int64)
    return np.unique((runs[:, None] + np.arange(SAMPLE // 10)).ravel())
