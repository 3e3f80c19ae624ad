"""Structures from files and to files: extxyz and whatever else ASE reads, its databases, npz, HDF5.

Units are converted here, once. Names of energies, forces and stresses differ from group to group;
the usual ones are known, others are given.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.chem.potentials.structures import (
    Structures,
    empty,
    join,
    name_elements,
    symmetric,
)
from fieldgrad.chem.units import to_internal
from fieldgrad.engine.errors import DataError, FieldgradError, FileError, require, suggest
from fieldgrad.engine.files import atomic_write

__all__ = ["Keys", "Units", "read_structures", "write_structures"]

# Names in use, those first that say that they are the reference; compared without capital letters.
ENERGY_KEYS = (
    "ref_energy", "dft_energy", "energy", "energies", "total_energy", "potential_energy", "e",
    "dft_total_energy", "wb97x_dz.energy", "free_energy", "u0",
)  # fmt: skip
FORCE_KEYS = ("ref_forces", "dft_forces", "forces", "force", "f", "wb97x_dz.forces")
GRADIENT_KEYS = ("gradient", "gradients", "dft_total_gradient")
STRESS_KEYS = ("ref_stress", "dft_stress", "stress", "stresses")
VIRIAL_KEYS = ("ref_virial", "dft_virial", "virial", "virials")
POSITION_KEYS = ("positions", "pos", "coordinates", "coords", "r", "conformations")
NUMBER_KEYS = ("atomic_numbers", "nuclear_charges", "numbers", "z", "species")
CELL_KEYS = ("cell", "cells", "lattice", "lattices")


@dataclass(frozen=True)
class Keys:
    """Under which names a file has its results; None looks for the usual ones.

    Parameters
    ----------
    energy, forces, stress : str, optional
        Names in the file.
    """

    energy: str | None = None
    forces: str | None = None
    stress: str | None = None


@dataclass(frozen=True)
class Units:
    """Units of a file.

    Parameters
    ----------
    energy : str, default "eV"
        Such as "kcal/mol" or "Hartree".
    length : str, default "Angstrom"
        Such as "Bohr".
    force : str, default ""
        Where it is not energy/length.
    stress : str, default ""
        Where it is not energy/length³, such as "GPa".
    """

    energy: str = "eV"
    length: str = "Angstrom"
    force: str = ""
    stress: str = ""

    def apply(self, structures: Structures) -> Structures:
        """Convert to eV and Å.

        Parameters
        ----------
        structures : Structures
            In these units.

        Returns
        -------
        Structures
            The same object if nothing is to be done.

        Raises
        ------
        DataError
            If a unit is unknown.
        """
        energy, length = to_internal(self.energy), to_internal(self.length)
        force = to_internal(self.force) if self.force else energy / length
        stress = to_internal(self.stress) if self.stress else energy / length**3
        if energy == length == force == stress == 1.0:
            return structures
        return Structures(
            structures.numbers,
            structures.positions * length,
            structures.offsets,
            structures.cells * length,
            structures.pbc,
            structures.energies * energy,
            structures.forces * force,
            structures.stresses * stress,
            structures.source,
        )


def read_structures(
    path: str | os.PathLike[str], *, keys: Keys | None = None, units: Units | None = None
) -> Structures:
    """Read structures with their energies, forces and stresses.

    Parameters
    ----------
    path : str or os.PathLike
        ``.npz``; ``.h5`` or ``.hdf5``; ``.db`` or whatever else ASE reads, such as ``.extxyz``,
        ``.xyz``, ``.traj``, ``.cif``, ``POSCAR``.
    keys : Keys, optional
        Under which names the file has its results.
    units : Units, optional
        The file's units; ASE's own, eV and Å, if left out.

    Returns
    -------
    Structures
        In eV and Å, in the order of the file; NaN for what a structure lacks.

    Raises
    ------
    FileError
        If the file is missing, empty, damaged or of no known format.
    DataError
        If a given name is not in it, or a unit is unknown.

    Notes
    -----
    An npz or HDF5 file has arrays for equal molecules, ``z`` (atom,) and ``R`` (structure, atom, 3)
    by one of their usual names, in HDF5 in any number of groups; or for ragged ones ``z`` (atoms of
    all), ``R`` (atoms of all, 3) and ``n_atoms`` (structure,).
    """
    file = Path(path)
    if not file.exists():
        raise FileError(f"{file} does not exist. Check the path.", file)
    if file.is_file() and not file.stat().st_size:
        raise FileError(f"{file} is empty; expected structures. Copy or compute it again.", file)
    keys = keys or Keys()
    try:
        if file.suffix.lower() == ".npz":
            with np.load(file, allow_pickle=False) as archive:
                parts = [_from_arrays(dict(archive), keys, str(file))]
        elif file.suffix.lower() in (".h5", ".hdf5"):
            parts = list(_from_hdf5(file, keys))
        else:
            parts = list(_from_ase(file, keys))
    except (FieldgradError, MemoryError):
        raise
    except Exception as error:  # readers of many formats raise errors of many kinds
        raise FileError(
            f"{file} cannot be read ({type(error).__name__}: {error}). Its name must say its "
            "format: .extxyz, .db, .npz, .h5, or another that ASE reads.",
            file,
        ) from error
    structures = join(parts, source=str(file))
    if not len(structures):
        raise FileError(f"{file} has no structures. Copy or compute it again.", file)
    return (units or Units()).apply(structures)


def write_structures(structures: Structures, path: str | os.PathLike[str]) -> None:
    """Write an extended XYZ file with energies, forces and stresses where they are known.

    Parameters
    ----------
    structures : Structures
        What to write.
    path : str or os.PathLike
        The ``.extxyz`` file.

    Raises
    ------
    FileError
        If it cannot be written.
    MissingExtra
        If ASE is not installed.
    """
    io = require("ase.io", extra="chem")
    with atomic_write(path) as temporary:
        io.write(str(temporary), structures.to_atoms(), format="extxyz")


# ---- ASE


def _from_ase(file: Path, keys: Keys) -> Iterator[Structures]:
    io = require("ase.io", extra="chem")
    frames = list(io.iread(str(file), ":", **_format(file)))
    for name, wanted in (("energy", keys.energy), ("forces", keys.forces), ("stress", keys.stress)):
        if wanted and not any(wanted in _names(frame) for frame in frames):
            there = sorted({key for frame in frames for key in _names(frame)})
            raise DataError(
                f"{file} has no {wanted!r} for the {name}{suggest(wanted, there) or '.'} "
                f"It has: {', '.join(there) or 'only positions'}."
            )
    for frame in frames:
        one = Structures.from_atoms(frame)
        # Only what stands under the name that was asked for counts.
        given = _names(frame)
        energy = _pick(given, keys.energy, ENERGY_KEYS)
        forces = _pick(given, keys.forces, FORCE_KEYS)
        if keys.energy or energy is not None:
            one.energies[0] = np.nan if energy is None else float(np.ravel(energy)[0])
        if keys.forces or forces is not None:
            one.forces[:] = np.nan if forces is None else np.reshape(forces, (-1, 3))
        stress = _pick(given, keys.stress, STRESS_KEYS)
        virial = None if stress is not None else _pick(given, None, VIRIAL_KEYS)
        if stress is not None:
            one.stresses[0] = symmetric(stress)
        elif virial is not None and np.isfinite(one.volumes[0]):
            one.stresses[0] = -symmetric(virial) / one.volumes[0]
        yield one


def _format(file: Path) -> dict[str, str]:
    """Plain .xyz files are extended ones with less in them."""
    return {"format": "extxyz"} if file.suffix.lower() in (".xyz", ".extxyz") else {}


def _names(frame: Any) -> dict[str, Any]:
    """Give all that ASE found beside the atoms: results, quantities of the frame and of atoms."""
    results = {} if frame.calc is None else frame.calc.results
    arrays = {k: v for k, v in frame.arrays.items() if k not in ("numbers", "positions")}
    data = frame.info.get("data")  # of a row in a database
    return {**(data if isinstance(data, dict) else {}), **frame.info, **arrays, **results}


def _pick(given: Mapping[str, Any], wanted: str | None, usual: tuple[str, ...]) -> Any:
    if wanted:
        return given.get(wanted)
    lower = {name.lower(): value for name, value in given.items() if value is not None}
    return next((lower[name] for name in usual if name in lower), None)


# ---- arrays


def _from_hdf5(file: Path, keys: Keys) -> Iterator[Structures]:
    import h5py

    groups: list[Any] = []
    with h5py.File(file, "r") as content:
        groups.append(content)
        content.visititems(lambda _, node: groups.append(node) if hasattr(node, "keys") else None)
        for group in groups:
            arrays = {name: node for name, node in group.items() if hasattr(node, "shape")}
            if _pick(arrays, None, POSITION_KEYS) is None:
                continue
            values = {name: np.asarray(node[()]) for name, node in arrays.items()}
            yield _from_arrays(values, keys, f"{file}:{group.name}")


def _from_arrays(arrays: Mapping[str, NDArray[Any]], keys: Keys, where: str) -> Structures:
    """Read arrays of equal molecules, or ragged ones with n_atoms."""
    positions = _pick(arrays, None, POSITION_KEYS)
    numbers = _pick(arrays, None, NUMBER_KEYS)
    for name, values, usual in (
        ("positions", positions, POSITION_KEYS),
        ("atomic numbers", numbers, NUMBER_KEYS),
    ):
        if values is None:
            raise DataError(
                f"{where} has no {name} under a usual name ({', '.join(usual)}). "
                f"It has: {', '.join(arrays)}. Rename the array."
            )
    if numbers.dtype.kind in "SUO":
        text = [s.decode() if isinstance(s, bytes) else str(s) for s in numbers.ravel()]
        numbers = np.asarray(name_elements(text)).reshape(numbers.shape)
    numbers = np.asarray(numbers, np.int64)
    counts = _pick(arrays, None, ("n_atoms", "natoms"))
    if counts is not None and positions.ndim == 2:
        sizes = np.asarray(counts, np.int64).ravel()
        out = _ragged(sizes, numbers.ravel(), where)
    else:
        positions = positions.reshape(-1, *positions.shape[-2:])
        n = len(positions)
        one = numbers[0] if numbers.ndim == 2 else numbers
        if positions.shape[1] != len(one):
            raise DataError(
                f"{where}: positions have shape {positions.shape} for {len(one)} atomic numbers; "
                "expected (structure, atom, 3). For molecules of several sizes add n_atoms."
            )
        out = empty(n, one)
        if numbers.ndim == 2:
            out.numbers[:] = np.broadcast_to(numbers, (n, len(one))).ravel()
    out.positions[:] = np.reshape(positions, (-1, 3))
    _fill(out.energies, _named(arrays, keys.energy, ENERGY_KEYS, where), "energies", where)
    forces = _named(arrays, keys.forces, FORCE_KEYS, where)
    if forces is None:
        gradient = _pick(arrays, None, GRADIENT_KEYS)
        forces = None if gradient is None else -gradient
    _fill(out.forces, forces, "forces", where)
    cells = _pick(arrays, None, CELL_KEYS)
    if cells is not None:
        out.cells[:] = np.reshape(cells, (-1, 3, 3))
        pbc = _pick(arrays, None, ("pbc",))
        out.pbc[:] = True if pbc is None else np.reshape(pbc, (-1, 3))
    stresses = _named(arrays, keys.stress, STRESS_KEYS, where)
    if stresses is not None:
        out.stresses[:] = [symmetric(one) for one in stresses]
    return out


def _ragged(sizes: NDArray[np.int64], numbers: NDArray[np.int64], where: str) -> Structures:
    if sizes.sum() != len(numbers):
        raise DataError(
            f"{where}: n_atoms add up to {sizes.sum()}, but there are {len(numbers)} atomic "
            "numbers. Repair one of them."
        )
    stops = np.cumsum(sizes)
    return join(
        empty(1, numbers[stop - size : stop]) for size, stop in zip(sizes, stops, strict=True)
    )


def _named(
    arrays: Mapping[str, NDArray[Any]], wanted: str | None, usual: tuple[str, ...], where: str
) -> Any:
    if wanted and wanted not in arrays:
        raise DataError(
            f"{where} has no {wanted!r}{suggest(wanted, arrays) or '.'} It has: "
            f"{', '.join(arrays)}."
        )
    return _pick(arrays, wanted, usual)


def _fill(target: NDArray[np.float64], values: Any, name: str, where: str) -> None:
    if values is None:
        return
    if np.size(values) != target.size:
        raise DataError(
            f"{where}: {name} have shape {np.shape(values)}, that is {np.size(values)} numbers; "
            f"expected {target.size} for its positions."
        )
    target[:] = np.reshape(values, target.shape)
