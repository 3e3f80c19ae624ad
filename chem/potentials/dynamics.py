"""Atoms that move: relaxation, molecular dynamics with or without thermostat, crystals' stiffness.

All through ASE, with any of its calculators. A run that explodes is an error that says when.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.chem.units import GPA
from fieldgrad.engine.errors import DataError, FieldgradError, require

__all__ = ["Crystal", "Trajectory", "measure_crystal", "relax", "simulate"]

HOT = 20.0  # times the target: a temperature at which nothing is left of a molecule
COLD = 5000.0  # K: the same, where there is no target


@dataclass(frozen=True)
class Trajectory:
    """A simulation in numbers, one for each step that was recorded.

    Parameters
    ----------
    times : ndarray of float64, shape (n,)
        In ps.
    temperatures : ndarray of float64, shape (n,)
        Of the kinetic energy, K.
    potential_energies, total_energies : ndarray of float64, shape (n,)
        In eV.
    frames : list of ase.Atoms
        Every so many steps, with energy and forces.
    n_extrapolations : int
        Steps at which an atom was unlike those the potential was trained on.
    steps_per_second : float
        Speed.
    """

    times: NDArray[np.float64]
    temperatures: NDArray[np.float64]
    potential_energies: NDArray[np.float64]
    total_energies: NDArray[np.float64]
    frames: list[Any]
    n_extrapolations: int
    steps_per_second: float

    def drift(self) -> float:
        """Fit a line to the total energy.

        Returns
        -------
        float
            Its slope, eV/ps, for the whole system; meaningful without a thermostat.
        """
        t = self.times - self.times.mean()
        return float((t @ (self.total_energies - self.total_energies.mean())) / (t @ t))


def relax(atoms: Any, *, force: float = 0.02, max_steps: int = 500, cell: bool = False) -> int:
    """Move atoms, and the cell if asked, to a minimum of the energy (BFGS), in place.

    Parameters
    ----------
    atoms : ase.Atoms
        With a calculator.
    force : float, default 0.02
        Largest force that may remain, eV/Å.
    max_steps : int, default 500
        Give up after so many.
    cell : bool, default False
        Whether to relax the cell too, which must be periodic in three directions.

    Returns
    -------
    int
        Number of steps.

    Raises
    ------
    FieldgradError
        If forces are larger still after `max_steps`.
    """
    optimizers, filters = (
        require("ase.optimize", extra="chem"),
        require("ase.filters", extra="chem"),
    )
    search = optimizers.BFGS(filters.FrechetCellFilter(atoms) if cell else atoms, logfile=None)
    if not search.run(fmax=force, steps=max_steps):
        left = float(np.sqrt((atoms.get_forces() ** 2).sum(axis=1)).max())
        raise FieldgradError(
            f"relax: after {max_steps} steps the largest force is {left:.3g} eV/Å; expected at "
            f"most {force:g}.\nAllow more steps, or start nearer to a minimum: far from one the "
            "potential may not know its way."
        )
    return int(search.nsteps)


def simulate(
    atoms: Any,
    n_steps: int,
    *,
    temperature: float | None = 300.0,
    start_temperature: float | None = None,
    time_step: float = 0.5,
    friction: float = 0.01,
    every: int = 20,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Trajectory:
    """Run molecular dynamics, in place.

    Parameters
    ----------
    atoms : ase.Atoms
        With a calculator; velocities are drawn anew.
    n_steps : int
        How many.
    temperature : float, optional
        Kept by a Langevin thermostat, K; None lets the energy be conserved (velocity Verlet).
    start_temperature : float, optional
        Of the first velocities, K; the same if left out, or 300 K.
    time_step : float, default 0.5
        In fs; with hydrogen at most 1.
    friction : float, default 0.01
        Of the thermostat, 1/fs.
    every : int, default 20
        Keep every so many structures.
    seed : int, default 0
        Of velocities and thermostat.
    progress : callable, optional
        Called with the number of steps done and of all steps.

    Returns
    -------
    Trajectory
        With every step.

    Raises
    ------
    DataError
        If a number is out of range.
    FieldgradError
        If the simulation explodes.

    Notes
    -----
    The thermostat moves the center of mass too (``fixcm=False``): ASE's way to hold it makes small
    molecules too hot, by 30 % for 9 atoms. With a thermostat temperatures are of all 3 n
    momenta, and of 3 n - 3 without, where the center rests.
    """
    if n_steps < 1 or time_step <= 0:
        raise DataError(
            f"simulate: {n_steps} steps of {time_step:g} fs; expected at least one and a time."
        )
    units, verlet = require("ase.units", extra="chem"), require("ase.md.verlet", extra="chem")
    langevin = require("ase.md.langevin", extra="chem")
    rng = np.random.default_rng(seed)
    first = start_temperature if start_temperature is not None else (temperature or 300.0)
    masses = atoms.get_masses()[:, None]
    momenta = np.sqrt(masses * units.kB * first) * rng.normal(size=(len(atoms), 3))
    step = time_step * units.fs
    if temperature is None:
        momenta -= masses * momenta.sum(axis=0) / masses.sum()  # the center of mass rests
        # Random velocities of few atoms are far from the temperature: set it.
        degrees = max(3 * len(atoms) - 3, 1)
        now = float((momenta**2 / masses).sum()) / (degrees * units.kB)
        momenta *= np.sqrt(first / now) if now > 0 else 0.0
        dynamics = verlet.VelocityVerlet(atoms, step)
    else:
        degrees = 3 * len(atoms)
        dynamics = langevin.Langevin(
            atoms, step, temperature_K=temperature, friction=friction / units.fs, fixcm=False,
            rng=rng,
        )  # fmt: skip
    atoms.set_momenta(momenta)
    limit = max(HOT * first, COLD)
    potential, kinetic, frames = np.empty(n_steps), np.empty(n_steps), []
    extrapolations = getattr(atoms.calc, "n_extrapolations", 0)
    start = time.perf_counter()
    for k in range(n_steps):
        dynamics.step()
        potential[k], kinetic[k] = atoms.get_potential_energy(), atoms.get_kinetic_energy()
        now = float(2 * kinetic[k] / (degrees * units.kB))
        if not now < limit:
            raise FieldgradError(
                f"simulate: exploded at step {k + 1} ({(k + 1) * time_step:.1f} fs): the "
                f"temperature is {now:.0f} K.\nUse a smaller time step or a lower temperature, "
                "or train on structures like these."
            )
        if (k + 1) % every == 0:
            frames.append(_snapshot(atoms))
        if progress is not None:
            progress(k + 1, n_steps)
    seconds = time.perf_counter() - start
    return Trajectory(
        np.arange(1, n_steps + 1, dtype=np.float64) * time_step * 1e-3,
        2 * kinetic / (degrees * units.kB),
        potential,
        potential + kinetic,
        frames,
        getattr(atoms.calc, "n_extrapolations", 0) - extrapolations,
        n_steps / seconds,
    )


def _snapshot(atoms: Any) -> Any:
    single = require("ase.calculators.singlepoint", extra="chem")
    copy = atoms.copy()
    copy.calc = single.SinglePointCalculator(
        copy, energy=atoms.get_potential_energy(), forces=atoms.get_forces()
    )
    return copy


@dataclass(frozen=True)
class Crystal:
    """What a volume scan says about a crystal.

    Parameters
    ----------
    volume : float
        Where the energy is lowest, Å³ per atom.
    scale : float
        Length of the relaxed cell over that of the given one.
    bulk_modulus : float
        GPa.
    """

    volume: float
    scale: float
    bulk_modulus: float


def measure_crystal(atoms: Any, *, range_of_lengths: float = 0.02, n: int = 9) -> Crystal:
    """Scan the volume of a crystal and fit its equation of state.

    Parameters
    ----------
    atoms : ase.Atoms
        A periodic crystal with a calculator, near its minimum; left as it was.
    range_of_lengths : float, default 0.02
        Largest relative change of its edges.
    n : int, default 9
        Number of volumes.

    Returns
    -------
    Crystal
        Of the fitted minimum.

    Raises
    ------
    DataError
        If the energy has no minimum in the range.

    Notes
    -----
    A third-order polynomial in the volume is fitted; fractional positions stay.
    """
    cell, volume = atoms.cell.array, atoms.get_volume() / len(atoms)
    scales = np.linspace(1 - range_of_lengths, 1 + range_of_lengths, n)
    energies = []
    for scale in scales:
        copy = atoms.copy()
        copy.calc = atoms.calc
        copy.set_cell(cell * scale, scale_atoms=True)
        energies.append(copy.get_potential_energy() / len(atoms))
    x = scales**3 - 1
    curve = np.polynomial.Polynomial.fit(x, energies, 3).convert()
    roots = curve.deriv().roots()
    minima = [
        r.real for r in roots if abs(r.imag) < 1e-9 and curve.deriv(2)(r.real) > 0
        and x[0] <= r.real <= x[-1]
    ]  # fmt: skip
    if not minima:
        raise DataError(
            f"measure_crystal: the energy has no minimum while the cell's edges change by "
            f"{100 * range_of_lengths:g} %. Relax the cell first, or widen the range."
        )
    low = float(minima[0])
    # B = V d²E/dV², with V = volume (1 + x).
    bulk = float((1 + low) * curve.deriv(2)(low) / volume / GPA)
    return Crystal(volume * (1 + low), float((1 + low) ** (1 / 3)), bulk)
