"""Training data made on the spot: molecular dynamics with a fast method, nothing to download."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fieldgrad.chem.potentials.dynamics import simulate
from fieldgrad.chem.potentials.structures import Structures
from fieldgrad.engine.errors import DataError, require, suggest

__all__ = ["METHODS", "find_atoms", "generate"]

METHODS = ("gfn2", "gfn1", "emt")
TIME_STEP = {"gfn2": 0.5, "gfn1": 0.5, "emt": 2.0}  # fs; the last is for metals
WARM_UP = 200  # steps of a run before the first structure is kept
RUN = 50  # structures of a run; then another begins, for a crystal in another cell
NAMES = {"ethanol": "CH3CH2OH", "methanol": "CH3OH", "water": "H2O", "methane": "CH4"}


def find_atoms(system: str) -> Any:
    """Find a molecule or crystal by name, or in a file.

    Parameters
    ----------
    system : str
        A file that ASE reads, a molecule of ASE's collection such as "CH3CH2OH" (also "ethanol",
        "methanol", "water", "methane"), or a metal such as "Cu", of which a cube of 2 × 2 × 2 cells
        is made.

    Returns
    -------
    ase.Atoms
        Without a calculator.

    Raises
    ------
    DataError
        If there is nothing of that name.
    MissingExtra
        If ASE is not installed.
    """
    io, build = require("ase.io", extra="chem"), require("ase.build", extra="chem")
    if Path(system).is_file():
        return io.read(system)
    molecules = require("ase.collections", extra="chem").g2.names
    name = NAMES.get(system.lower(), system)
    data = require("ase.data", extra="chem")
    if name in data.chemical_symbols[1:]:
        state = data.reference_states[data.atomic_numbers[name]]
        if state is not None and state["symmetry"] in ("fcc", "bcc"):
            return build.bulk(name, cubic=True) * (2, 2, 2)
    if name in molecules:
        return build.molecule(name)
    raise DataError(
        f"there is no structure {system!r}{suggest(system, [*NAMES, *molecules]) or ';'} expected "
        "a file, a molecule of ASE's collection (CH3CH2OH, C6H6, …), or a cubic metal (Cu, Al, …)."
    )


def make_calculator(method: str) -> Callable[[], Any]:
    """Give what makes calculators of a method.

    Parameters
    ----------
    method : {"gfn2", "gfn1", "emt"}
        GFN2-xTB or GFN1-xTB (tblite), for molecules; effective medium theory (ASE), for Al, Cu, Ag,
        Au, Ni, Pd, Pt.

    Returns
    -------
    callable
        Gives an ASE calculator.

    Raises
    ------
    DataError
        If the method is unknown.
    MissingExtra
        If its library is not installed.

    References
    ----------
    Bannwarth, Ehlert, Grimme, "GFN2-xTB", J. Chem. Theory Comput. 15, 1652, 2019,
    doi:10.1021/acs.jctc.8b01176. Jacobsen, Stoltze, Nørskov, "A semi-empirical effective medium
    theory for metals and alloys", Surf. Sci. 366, 394, 1996, doi:10.1016/0039-6028(96)00816-3.
    """
    if method == "emt":
        emt = require("ase.calculators.emt", extra="chem")
        return lambda: emt.EMT()
    if method in ("gfn2", "gfn1"):
        tblite = require("tblite.ase", extra="xtb")
        return lambda: tblite.TBLite(method=f"{method.upper()}-xTB", verbosity=0)
    raise DataError(
        f"there is no method {method!r}{suggest(method, METHODS) or ';'} expected one of "
        f"{', '.join(METHODS)}."
    )


def generate(
    system: str | Any,
    method: str,
    n_structures: int,
    *,
    temperatures: Sequence[float] = (500.0,),
    strain: float = 0.0,
    every: int = 20,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Structures:
    """Simulate and keep structures with their energies, forces and stresses.

    Parameters
    ----------
    system : str or ase.Atoms
        What to simulate; see `find_atoms`.
    method : {"gfn2", "gfn1", "emt"}
        Where energies are from; see `make_calculator`.
    n_structures : int
        How many to keep.
    temperatures : sequence of float, default (500,)
        K; runs take turns.
    strain : float, default 0
        Largest component of a random strain of the cell, a new one for each run.
    every : int, default 20
        Steps from one kept structure to the next (0.5 fs; 2 fs with "emt").
    seed : int, default 0
        Seed of everything.
    progress : callable, optional
        Called with the number of structures kept and of all.

    Returns
    -------
    Structures
        In the order of the runs: neighbors are alike.

    Raises
    ------
    DataError
        If system or method is unknown, or the method does not know an element.
    """
    if n_structures < 1 or not temperatures:
        raise DataError("generate: expected at least one structure and one temperature.")
    start = find_atoms(system) if isinstance(system, str) else system.copy()
    calculator = make_calculator(method)
    _check_elements(start, method)
    rng = np.random.default_rng(seed)
    frames: list[Any] = []
    run = 0
    while len(frames) < n_structures:
        atoms = start.copy()
        if strain and atoms.pbc.any():
            shear = rng.uniform(-strain, strain, (3, 3))
            atoms.set_cell(atoms.cell.array @ (np.eye(3) + (shear + shear.T) / 2), scale_atoms=True)
        atoms.calc = calculator()
        n = min(RUN, n_structures - len(frames))
        settings: dict[str, Any] = {
            "temperature": float(temperatures[run % len(temperatures)]),
            "time_step": TIME_STEP[method],
            "friction": 0.02,
        }
        # Twice the temperature first: half of it goes into the stretching of a relaxed structure.
        warm: dict[str, Any] = {**settings, "start_temperature": 2 * settings["temperature"]}
        simulate(atoms, WARM_UP, every=WARM_UP, seed=int(rng.integers(2**31)), **warm)
        kept = simulate(atoms, n * every, every=every, seed=int(rng.integers(2**31)), **settings)
        frames += [_with_stress(frame, calculator) for frame in kept.frames]
        run += 1
        if progress is not None:
            progress(len(frames), n_structures)
    name = system if isinstance(system, str) else start.get_chemical_formula()
    return Structures.from_atoms(frames, source=f"{name} ({method})")


def _with_stress(frame: Any, calculator: Callable[[], Any]) -> Any:
    """Add the stress of a periodic structure, which dynamics did not need."""
    if not frame.pbc.all():
        return frame
    copy = frame.copy()
    copy.calc = calculator()
    frame.calc.results["stress"] = copy.get_stress()
    return frame


def _check_elements(atoms: Any, method: str) -> None:
    if method != "emt":
        return
    known = require("ase.calculators.emt", extra="chem").parameters
    strange = sorted(set(atoms.get_chemical_symbols()) - set(known))
    if strange:
        raise DataError(
            f"emt knows no {', '.join(strange)}; it is for {', '.join(known)}. Use gfn2."
        )
