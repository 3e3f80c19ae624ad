"""Reference energies: what the atoms have before they interact, taken off in float64.

Total energies are large (ethanol: -4210 eV) and a float32 of that size is known to 0.5 meV only. So
each element's energy and a mean per atom are subtracted first, and added again at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fieldgrad.chem.potentials.structures import Structures, name_elements, symbols_of
from fieldgrad.engine.errors import DataError, suggest

__all__ = ["METHODS", "References", "fit_references"]

METHODS = ("least_squares", "mean", "isolated", "none")
# eV per atom that remain at most: no bond is as strong, but core electrons are.
BOUND = 30.0


@dataclass(frozen=True)
class References:
    """Energies of atoms that do not interact, eV.

    Parameters
    ----------
    energies : mapping of int to float
        For each atomic number, eV.
    shift : float, default 0.0
        Further energy of each atom, whatever its element, eV.
    method : str, default "given"
        Where they are from, for reports.

    Examples
    --------
    >>> References({1: -13.6, 8: -2041.0}, shift=-3.0).of_atoms(np.array([8, 1, 1])).tolist()
    [-2044.0, -16.6, -16.6]
    """

    energies: Mapping[int, float] = field(default_factory=dict)
    shift: float = 0.0
    method: str = "given"

    def of_atoms(self, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
        """Give the energy of each atom.

        Parameters
        ----------
        numbers : ndarray of int64, shape (n_atoms,)
            Atomic numbers.

        Returns
        -------
        ndarray of float64, shape (n_atoms,)
            In eV; elements without an energy have only the shift.
        """
        table = np.zeros(max([int(numbers.max(initial=0)), *self.energies], default=0) + 1)
        table[list(self.energies)] = list(self.energies.values())
        return np.asarray(table[numbers] + self.shift)

    def of_structures(self, structures: Structures) -> NDArray[np.float64]:
        """Add up the energies of the atoms of each structure.

        Parameters
        ----------
        structures : Structures
            Whose atoms count.

        Returns
        -------
        ndarray of float64, shape (n_structures,)
            In eV.
        """
        atoms = self.of_atoms(structures.numbers)
        n = len(structures)
        return np.bincount(structures.structure_ids, atoms, minlength=n).astype(np.float64)

    def __str__(self) -> str:
        parts = [
            f"{symbol} {energy:.4f}"
            for symbol, energy in zip(
                symbols_of(self.energies), self.energies.values(), strict=True
            )
        ]
        shift = f", {self.shift:+.4f} for each atom" if self.shift else ""
        return f"{self.method}: {', '.join(parts) or 'nothing'} eV{shift}"


def fit_references(
    structures: Structures, method: str | Mapping[str, float] = "least_squares"
) -> References:
    """Find reference energies that leave small numbers to learn.

    Parameters
    ----------
    structures : Structures
        With energies; only those that have one count.
    method : {"least_squares", "mean", "isolated", "none"} or mapping of str to float
        "least_squares": an energy for each element that fits the energies best (the smallest ones
        where compositions leave a choice); "mean": one energy for every atom; "isolated": the
        energies of the structures of a single atom; "none"; or energies by symbol, eV. To given and
        isolated ones a mean per atom of what remains is added, which is the energy of bonding.

    Returns
    -------
    References
        In float64.

    Raises
    ------
    DataError
        If the method is unknown, an element has no energy, or given energies do not belong to the
        structures'.
    """
    known = structures[structures.has("energies")]
    if method == "none":
        return References({}, 0.0, "none")
    if not len(known):
        raise DataError(
            f"{structures.source or 'the structures'}: no structure has an energy to subtract "
            "reference energies from. Set references to 'none' to train on forces alone."
        )
    counts, elements = known.compositions()
    if method == "least_squares":
        found, *_ = np.linalg.lstsq(counts, known.energies, rcond=None)
        return References(dict(zip(elements.tolist(), found.tolist(), strict=True)), 0.0, method)
    if method == "mean":
        return References({}, float(np.mean(known.energies / known.sizes)), method)
    if method == "isolated":
        energies = _isolated(known)
    elif isinstance(method, Mapping):
        energies = dict(zip(name_elements(method), map(float, method.values()), strict=True))
    else:
        raise DataError(
            f"references are {method!r}{suggest(str(method), METHODS) or ';'} expected one of "
            f"{', '.join(METHODS)}, or an energy in eV for each element, such as H = -13.6."
        )
    missing = symbols_of(number for number in elements.tolist() if number not in energies)
    if missing:
        remedy = "Add frames of one atom" if method == "isolated" else "Add them"
        raise DataError(
            f"there is no reference energy for {', '.join(missing)}; the structures have "
            f"{', '.join(structures.elements)}.\n{remedy}, or use references = 'least_squares'."
        )
    name = "given" if isinstance(method, Mapping) else method
    bonded = known[known.sizes > 1] if (known.sizes > 1).any() else known
    remains = bonded.energies - References(energies).of_structures(bonded)
    shift = float(np.mean(remains / bonded.sizes))
    if abs(shift) > BOUND:
        raise DataError(
            f"the reference energies ({name}) leave {shift:.1f} eV per atom of the energies in "
            f"{structures.source or 'the structures'}; a bond has a few.\nOne of them is a total "
            "energy and the other is not (atomization, formation), or units or levels of theory "
            "differ: give matching ones, or use references = 'least_squares'."
        )
    return References({z: e for z, e in energies.items() if z in elements}, shift, name)


def _isolated(known: Structures) -> dict[int, float]:
    single = known[known.sizes == 1]
    if not len(single):
        raise DataError(
            "references are 'isolated', but no structure is a single atom. Add one for each "
            "element, give energies by element, or use 'least_squares'."
        )
    return {
        int(number): float(single.energies[single.numbers == number].mean())
        for number in np.unique(single.numbers)
    }
