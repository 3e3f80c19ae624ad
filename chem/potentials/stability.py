"""Whether a potential's simulations stay sound: energy conserved, molecules whole.

Small errors of forces do not say so: a potential may be accurate where it was trained, and let
atoms fly apart a picosecond later.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fieldgrad.chem.potentials import report
from fieldgrad.chem.potentials.calculator import PotentialCalculator
from fieldgrad.chem.potentials.dynamics import simulate
from fieldgrad.chem.potentials.potential import Potential
from fieldgrad.chem.potentials.structures import Structures
from fieldgrad.engine.errors import FieldgradError, require
from fieldgrad.engine.files import atomic_write

__all__ = ["Stability", "broken_bonds", "check_stability"]

# Of the sum of covalent radii: what is nearer is bonded, what was and is farther is broken.
BONDED, BROKEN = 1.25, 1.8


@dataclass(frozen=True)
class Stability:
    """A simulation at constant energy.

    Parameters
    ----------
    n_steps : int
        How many steps it lasted.
    time_step : float
        In fs.
    temperature : float
        Of the first velocities, K.
    drift : float
        Slope of the total energy, meV per atom and ps.
    spread : float
        Standard deviation of the total energy about that line, meV per atom.
    steps_per_second : float
        Speed.
    extrapolating : float
        Part of the steps with an atom unlike those of training.
    broken : int
        Bonds of the first structure that the last one has not.
    """

    n_steps: int
    time_step: float
    temperature: float
    drift: float
    spread: float
    steps_per_second: float
    extrapolating: float
    broken: int

    def __str__(self) -> str:
        verdict = "all bonds held" if not self.broken else f"{self.broken} bonds broke"
        return (
            f"Constant energy, {self.n_steps} steps of {self.time_step:g} fs from "
            f"{self.temperature:.0f} K: drift {self.drift:+.4f} meV per atom and ps, spread "
            f"{self.spread:.4f} meV per atom; {verdict}; extrapolating at "
            f"{100 * self.extrapolating:.1f} % of the steps; {self.steps_per_second:.0f} steps/s."
        )


def check_stability(
    potential: Potential,
    structures: Structures,
    folder: Path,
    *,
    n_steps: int = 2000,
    time_step: float = 0.5,
    temperature: float = 300.0,
    seed: int = 0,
) -> Stability:
    """Simulate the structure with the lowest energy at constant energy.

    Parameters
    ----------
    potential : Potential
        The potential.
    structures : Structures
        Where to begin; the first one if energies are unknown.
    folder : Path
        For nve.json, nve.csv and nve.png.
    n_steps : int, default 2000
        How many steps.
    time_step : float, default 0.5
        In fs.
    temperature : float, default 300
        Of the first velocities, K.
    seed : int, default 0
        Of the first velocities.

    Returns
    -------
    Stability
        What happened.

    Raises
    ------
    FieldgradError
        If the simulation explodes.
    """
    require("ase", extra="chem")
    known = structures.has("energies")
    lowest = int(np.nanargmin(structures.energies / structures.sizes)) if known.any() else 0
    (atoms,) = structures[lowest].to_atoms()
    before = atoms.copy()
    atoms.calc = PotentialCalculator(potential)
    try:
        run = simulate(
            atoms, n_steps, temperature=None, start_temperature=temperature,
            time_step=time_step, seed=seed,
        )  # fmt: skip
    except FieldgradError as error:
        error.add_note(f"It was a simulation at constant energy of structure {lowest}.")
        raise
    columns = {
        "total energy (eV)": run.total_energies,
        "potential energy (eV)": run.potential_energies,
        "temperature (K)": run.temperatures,
    }
    report.write_dynamics(run.times, columns, folder / "nve.csv")
    report.plot_dynamics(run.times, columns, folder / "nve.png")
    line = run.drift() * (run.times - run.times.mean()) + run.total_energies.mean()
    n = len(atoms)
    found = Stability(
        n_steps,
        time_step,
        temperature,
        1e3 * run.drift() / n,
        1e3 * float((run.total_energies - line).std()) / n,
        run.steps_per_second,
        run.n_extrapolations / n_steps,
        broken_bonds(
            before.get_atomic_numbers(),
            before.get_all_distances(mic=bool(before.pbc.any())),
            atoms.get_all_distances(mic=bool(before.pbc.any())),
        ),
    )
    with atomic_write(folder / "nve.json") as temporary:
        temporary.write_text(json.dumps(asdict(found), indent=1) + "\n", encoding="utf-8")
    return found


def broken_bonds(
    numbers: NDArray[np.int64], before: NDArray[np.float64], after: NDArray[np.float64]
) -> int:
    """Count the bonds that two structures of the same atoms do not share.

    Parameters
    ----------
    numbers : ndarray of int64, shape (n_atoms,)
        Atomic numbers.
    before, after : ndarray of float64, shape (n_atoms, n_atoms)
        Distances, Å.

    Returns
    -------
    int
        Pairs nearer than 1.25 times the sum of their covalent radii before, and farther than 1.8
        times that after.

    Examples
    --------
    >>> h2, near = np.array([1, 1]), np.array([[0.0, 0.74], [0.74, 0.0]])
    >>> broken_bonds(h2, near, near), broken_bonds(h2, near, 3 * near)
    (0, 1)
    """
    radii = require("ase.data", extra="chem").covalent_radii[numbers]
    sums = radii[:, None] + radii
    bonded = np.triu(before < BONDED * sums, 1)
    return int((bonded & (after > BROKEN * sums)).sum())
