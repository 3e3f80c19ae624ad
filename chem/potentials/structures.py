"""Structures: atoms with positions, cells and what was computed for them, end to end in arrays.

Inside are eV and Å. What a structure lacks is NaN; `Structures.has` tells which it has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine.errors import DataError, ShapeError, require

__all__ = ["Structures", "join", "name_elements", "ragged_rows", "symbols_of"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Quantity = Literal["energies", "forces", "stresses"]


@dataclass(frozen=True, eq=False)
class Structures:
    """Molecules and crystals with their energies, forces and stresses.

    Parameters
    ----------
    numbers : ndarray of int64, shape (n_atoms,)
        Atomic numbers of all atoms, one structure after the other.
    positions : ndarray of float64, shape (n_atoms, 3)
        Å.
    offsets : ndarray of int64, shape (n_structures + 1,)
        Atoms of structure k are ``offsets[k]:offsets[k + 1]``.
    cells : ndarray of float64, shape (n_structures, 3, 3)
        Cell vectors as rows, Å; zeros where there is none.
    pbc : ndarray of bool, shape (n_structures, 3)
        Periodic directions.
    energies : ndarray of float64, shape (n_structures,)
        In eV.
    forces : ndarray of float64, shape (n_atoms, 3)
        In eV/Å, minus the gradient.
    stresses : ndarray of float64, shape (n_structures, 3, 3)
        In eV/Å³, derivative of the energy by the strain over the volume: positive when stretched.
    source : str, default ""
        Where they are from, for messages.

    Examples
    --------
    >>> import numpy as np
    >>> nan = np.full
    >>> hydrogen = Structures(
    ...     np.array([1, 1]), np.array([[0.0, 0, 0], [0.74, 0, 0]]), np.array([0, 2]),
    ...     np.zeros((1, 3, 3)), np.zeros((1, 3), bool), np.array([-31.7]),
    ...     nan((2, 3), np.nan), nan((1, 3, 3), np.nan))
    >>> hydrogen
    1 structure of 2 atoms (H), with energies
    >>> len(join([hydrogen, hydrogen])[1:])
    1
    """

    numbers: Integers
    positions: Floats
    offsets: Integers
    cells: Floats
    pbc: NDArray[np.bool_]
    energies: Floats
    forces: Floats
    stresses: Floats
    source: str = ""

    def __post_init__(self) -> None:
        n_atoms, n = len(self.numbers), len(self.offsets) - 1
        shapes = {
            "positions": (n_atoms, 3),
            "cells": (n, 3, 3),
            "pbc": (n, 3),
            "energies": (n,),
            "forces": (n_atoms, 3),
            "stresses": (n, 3, 3),
        }
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise ShapeError(
                    f"Structures: {name} has shape {getattr(self, name).shape}; expected {shape} "
                    f"for {n} structures with {n_atoms} atoms in all."
                )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __iter__(self) -> Iterator[Structures]:
        return (self[k] for k in range(len(self)))

    def __getitem__(self, index: Any) -> Structures:
        chosen = np.atleast_1d(np.arange(len(self))[index])
        atoms, offsets = ragged_rows(self.offsets, chosen)
        return Structures(
            self.numbers[atoms],
            self.positions[atoms],
            offsets,
            self.cells[chosen],
            self.pbc[chosen],
            self.energies[chosen],
            self.forces[atoms],
            self.stresses[chosen],
            self.source,
        )

    def __repr__(self) -> str:
        n, sizes = len(self), sorted(set(self.sizes.tolist()))
        atoms = f"{sizes[0]} to {sizes[-1]}" if len(sizes) > 1 else str(sizes[0] if sizes else 0)
        there = [name for name in ("energies", "forces", "stresses") if self.has(name).any()]
        return (
            f"{n} structure{'s' * (n != 1)} of {atoms} atoms ({', '.join(self.elements)}), with "
            f"{', '.join(there) or 'nothing computed'}"
        )

    @property
    def sizes(self) -> Integers:
        """Number of atoms of each structure."""
        return np.diff(self.offsets)

    @property
    def structure_ids(self) -> Integers:
        """Number of the structure of each atom."""
        return np.repeat(np.arange(len(self)), self.sizes)

    @property
    def elements(self) -> list[str]:
        """Symbols of the elements there are, by atomic number."""
        return symbols_of(np.unique(self.numbers))

    @property
    def volumes(self) -> Floats:
        """Volume of each cell, Å³; NaN unless it is periodic in three directions."""
        volumes = np.abs(np.linalg.det(self.cells))
        return np.where(self.pbc.all(axis=1) & (volumes > 0), volumes, np.nan)

    def has(self, quantity: str) -> NDArray[np.bool_]:
        """Tell which structures have a quantity.

        Parameters
        ----------
        quantity : {"energies", "forces", "stresses"}
            Which.

        Returns
        -------
        ndarray of bool, shape (n_structures,)
            Whether all of its numbers are there.
        """
        values = getattr(self, quantity)
        known = np.isfinite(values.reshape(len(values), -1)).all(axis=1)
        if quantity != "forces":
            return cast("NDArray[np.bool_]", known)
        missing = np.bincount(self.structure_ids, ~known, minlength=len(self))
        return cast("NDArray[np.bool_]", missing == 0)

    def compositions(self) -> tuple[Floats, Integers]:
        """Count the atoms of each element.

        Returns
        -------
        counts : ndarray of float64, shape (n_structures, n_elements)
            Number of atoms.
        elements : ndarray of int64, shape (n_elements,)
            Atomic numbers, ascending.
        """
        elements, column = np.unique(self.numbers, return_inverse=True)
        counts = np.zeros((len(self), len(elements)))
        np.add.at(counts, (self.structure_ids, column), 1.0)
        return counts, elements

    def summary(self) -> dict[str, str]:
        """Say what there is, for reports.

        Returns
        -------
        dict of str to str
            Elements, numbers of atoms, energies, forces and stresses, in words.
        """
        sizes, energy = self.sizes, self.has("energies")
        out = {
            "structures": f"{len(self)}",
            "elements": ", ".join(self.elements),
            "atoms of a structure": f"{sizes.min()}"
            if sizes.min() == sizes.max()
            else f"{sizes.min()} to {sizes.max()}, {sizes.mean():.1f} on average",
            "periodic": f"{int(self.pbc.any(axis=1).sum())} of {len(self)}",
        }
        if energy.any():
            own = self.energies[energy] / sizes[energy]
            out["energy of an atom"] = f"{own.mean():.4f} ± {own.std():.4f} eV"
        forces = self.forces[np.isfinite(self.forces).all(axis=1)]
        if len(forces):
            out["force component"] = f"0 ± {np.sqrt((forces**2).mean()):.3f} eV/Å (RMS)"
        for name in ("energies", "forces", "stresses"):
            if 0 < (n := int(self.has(name).sum())) < len(self):
                out[f"with {name}"] = f"{n} of {len(self)}"
        return out

    def with_results(self, energies: Floats, forces: Floats, stresses: Floats) -> Structures:
        """Give the same structures with other energies, forces and stresses.

        Parameters
        ----------
        energies : ndarray of float64, shape (n_structures,)
            In eV.
        forces : ndarray of float64, shape (n_atoms, 3)
            In eV/Å.
        stresses : ndarray of float64, shape (n_structures, 3, 3)
            In eV/Å³.

        Returns
        -------
        Structures
            New ones; the arrays of the atoms are shared.
        """
        return replace(self, energies=energies, forces=forces, stresses=stresses)

    def digest(self) -> str:
        """Checksum of all numbers, to recognize data again.

        Returns
        -------
        str
            SHA-256 in hexadecimal.
        """
        checksum = hashlib.sha256()
        for entry in fields(self):
            if entry.name != "source":
                checksum.update(np.ascontiguousarray(getattr(self, entry.name)).tobytes())
        return checksum.hexdigest()

    @classmethod
    def from_atoms(cls, atoms: Any, *, source: str = "") -> Structures:
        """Take over ASE's atoms with what their calculators hold.

        Parameters
        ----------
        atoms : ase.Atoms or iterable of ase.Atoms
            Structures; a calculator's results are taken if they belong to the present positions,
            and nothing is computed.
        source : str, default ""
            Where they are from, for messages.

        Returns
        -------
        Structures
            A copy, in eV and Å as ASE has them.
        """
        frames = [atoms] if hasattr(atoms, "get_atomic_numbers") else list(atoms)
        return join([_from_one(frame) for frame in frames], source=source)

    def to_atoms(self) -> list[Any]:
        """Give ASE's atoms, with a calculator that holds what is known.

        Returns
        -------
        list of ase.Atoms
            One for each structure.

        Raises
        ------
        MissingExtra
            If ASE is not installed.
        """
        ase = require("ase", extra="chem")
        single = require("ase.calculators.singlepoint", extra="chem")
        frames = []
        for one in self:
            atoms = ase.Atoms(
                one.numbers, positions=one.positions, cell=one.cells[0], pbc=one.pbc[0]
            )
            results: dict[str, Any] = {}
            if one.has("energies")[0]:
                results["energy"] = float(one.energies[0])
            if one.has("forces")[0]:
                results["forces"] = one.forces.copy()
            if one.has("stresses")[0]:
                results["stress"] = to_voigt(one.stresses[0])
            if results:
                atoms.calc = single.SinglePointCalculator(atoms, **results)
            frames.append(atoms)
        return frames


def join(parts: Iterable[Structures], *, source: str = "") -> Structures:
    """Put structures one after the other.

    Parameters
    ----------
    parts : iterable of Structures
        In their order.
    source : str, default ""
        Where they are from, for messages.

    Returns
    -------
    Structures
        All of them.
    """
    many = list(parts)
    if not many:
        return empty(0, np.zeros(0, np.int64), source=source)
    sizes = np.concatenate([part.sizes for part in many])
    columns = {
        entry.name: np.concatenate([getattr(part, entry.name) for part in many])
        for entry in fields(Structures)
        if entry.name not in ("offsets", "source")
    }
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return Structures(offsets=offsets, source=source or many[0].source, **columns)


def empty(n_structures: int, numbers: Integers, *, source: str = "") -> Structures:
    """Equal structures without positions or results, to be filled.

    Parameters
    ----------
    n_structures : int
        How many.
    numbers : ndarray of int64, shape (n_atoms,)
        Atomic numbers of one of them.
    source : str, default ""
        Where they are from, for messages.

    Returns
    -------
    Structures
        With NaN in all that is unknown.
    """
    n_atoms = n_structures * len(numbers)
    return Structures(
        np.tile(np.asarray(numbers, np.int64), n_structures),
        np.full((n_atoms, 3), np.nan),
        np.arange(n_structures + 1) * len(numbers),
        np.zeros((n_structures, 3, 3)),
        np.zeros((n_structures, 3), bool),
        np.full(n_structures, np.nan),
        np.full((n_atoms, 3), np.nan),
        np.full((n_structures, 3, 3), np.nan),
        source,
    )


def ragged_rows(offsets: Integers, chosen: Sequence[int] | Integers) -> tuple[Integers, Integers]:
    """Find the rows of some segments.

    Parameters
    ----------
    offsets : ndarray of int64, shape (n + 1,)
        Rows of segment k are ``offsets[k]:offsets[k + 1]``.
    chosen : sequence of int
        Segments, in any order, also several times.

    Returns
    -------
    rows : ndarray of int64
        Their rows, one segment after the other.
    offsets : ndarray of int64, shape (len(chosen) + 1,)
        Where each segment begins among them.

    Examples
    --------
    >>> rows, offsets = ragged_rows(np.array([0, 2, 5]), [1, 0])
    >>> rows.tolist(), offsets.tolist()
    ([2, 3, 4, 0, 1], [0, 3, 5])
    """
    index = np.asarray(chosen, np.int64)
    sizes = offsets[index + 1] - offsets[index]
    starts = np.zeros(len(index) + 1, np.int64)
    np.cumsum(sizes, out=starts[1:])
    return np.repeat(offsets[index] - starts[:-1], sizes) + np.arange(starts[-1]), starts


def to_voigt(stress: Floats) -> Floats:
    """Write a symmetric matrix in ASE's order.

    Parameters
    ----------
    stress : ndarray of float64, shape (3, 3)
        Symmetric.

    Returns
    -------
    ndarray of float64, shape (6,)
        xx, yy, zz, yz, xz, xy.
    """
    return np.asarray(stress)[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]


def symbols_of(numbers: Iterable[int]) -> list[str]:
    """Name elements.

    Parameters
    ----------
    numbers : iterable of int
        Atomic numbers.

    Returns
    -------
    list of str
        Their symbols.

    Examples
    --------
    >>> symbols_of([1, 6, 29])
    ['H', 'C', 'Cu']
    """
    return [_SYMBOLS[int(number)] for number in numbers]


def name_elements(symbols: Iterable[str]) -> list[int]:
    """Give the atomic numbers of elements.

    Parameters
    ----------
    symbols : iterable of str
        Symbols such as ``"Cu"``.

    Returns
    -------
    list of int
        Atomic numbers.

    Raises
    ------
    DataError
        If there is no such element.

    Examples
    --------
    >>> name_elements(["H", "Cu"])
    [1, 29]
    """
    numbers = {symbol: number for number, symbol in enumerate(_SYMBOLS)}
    wrong = [symbol for symbol in symbols if symbol not in numbers]
    if wrong:
        raise DataError(f"{wrong[0]!r} is no element; expected a symbol such as 'H' or 'Cu'.")
    return [numbers[symbol] for symbol in symbols]


def _from_one(atoms: Any) -> Structures:
    one = empty(1, atoms.get_atomic_numbers())
    one.positions[:] = atoms.get_positions()
    one.cells[0] = atoms.cell.array
    one.pbc[0] = atoms.pbc
    calculator = atoms.calc
    if calculator is None or calculator.check_state(atoms):
        return one
    results = calculator.results
    if results.get("energy") is not None:
        one.energies[0] = results["energy"]
    if results.get("forces") is not None:
        one.forces[:] = results["forces"]
    if results.get("stress") is not None:
        one.stresses[0] = symmetric(results["stress"])
    return one


def symmetric(stress: Any) -> Floats:
    """Read a stress in any of its usual forms.

    Parameters
    ----------
    stress : array_like, shape (6,), (9,) or (3, 3)
        Six numbers are in ASE's order: xx, yy, zz, yz, xz, xy.

    Returns
    -------
    ndarray of float64, shape (3, 3)
        Symmetrized.

    Raises
    ------
    DataError
        If it has another number of entries.
    """
    values = np.asarray(stress, np.float64)
    if values.size == 6:
        xx, yy, zz, yz, xz, xy = values.ravel()
        return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    if values.size == 9:
        matrix = values.reshape(3, 3)
        return (matrix + matrix.T) / 2
    raise DataError(
        f"a stress has shape {values.shape}; expected 6 numbers (xx, yy, zz, yz, xz, xy) or 3 × 3."
    )


# fmt: off
_SYMBOLS = (
    "X",
    "H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne", "Na", "Mg", "Al", "Si", "P", "S", "Cl",
    "Ar", "K", "Ca", "Sc", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As",
    "Se", "Br", "Kr", "Rb", "Sr", "Y", "Zr", "Nb", "Mo", "Tc", "Ru", "Rh", "Pd", "Ag", "Cd", "In",
    "Sn", "Sb", "Te", "I", "Xe", "Cs", "Ba", "La", "Ce", "Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb",
    "Dy", "Ho", "Er", "Tm", "Yb", "Lu", "Hf", "Ta", "W", "Re", "Os", "Ir", "Pt", "Au", "Hg", "Tl",
    "Pb", "Bi", "Po", "At", "Rn", "Fr", "Ra", "Ac", "Th", "Pa", "U", "Np", "Pu", "Am", "Cm", "Bk",
    "Cf", "Es", "Fm", "Md", "No", "Lr", "Rf", "Db", "Sg", "Bh", "Hs", "Mt", "Ds", "Rg", "Cn", "Nh",
    "Fl", "Mc", "Lv", "Ts", "Og",
)
# fmt: on
