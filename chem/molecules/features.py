"""Atoms and bonds as vectors: the features of chemprop 2, kept as small codes until they are used.

An atom's vector has 72 entries and a bond's 14, nearly all of them one-hot. Stored are the
positions of the ones, a byte each, and `atom_vectors` and `bond_vectors` write them out for the
batch at hand: a data set takes a twentieth of the memory.

References
----------
Heid et al., "Chemprop: a machine learning package for chemical property prediction", J. Chem. Inf.
Model. 64 (2024) 9, doi:10.1021/acs.jcim.3c01250; the default features of version 2.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine.errors import require

__all__ = [
    "ATOM_SIZE",
    "BOND_SIZE",
    "atom_codes",
    "atom_vectors",
    "bond_codes",
    "bond_vectors",
    "element_of",
]

ATOMIC_NUMBERS = (*range(1, 37), 53)
DEGREES = range(6)
CHARGES = (-1, -2, 1, 2, 0)
CHIRAL_TAGS = range(4)
HYDROGENS = range(5)
HYBRIDIZATIONS = ("S", "SP", "SP2", "SP2D", "SP3", "SP3D", "SP3D2")
BOND_TYPES = ("SINGLE", "DOUBLE", "TRIPLE", "AROMATIC")
STEREO = range(6)

# Each list of an atom has one more place, for everything else; then aromaticity and mass.
_SIZES = [len(x) + 1 for x in (ATOMIC_NUMBERS, DEGREES, CHARGES, CHIRAL_TAGS, HYDROGENS)]
_SIZES.append(len(HYBRIDIZATIONS) + 1)
_STARTS = np.cumsum([0, *_SIZES[:-1]])
ATOM_SIZE = sum(_SIZES) + 2
# A flag for "no bond", the type (nothing for any other), conjugated, in a ring, stereo and other.
BOND_SIZE = 1 + len(BOND_TYPES) + 2 + len(STEREO) + 1
_STEREO_START = BOND_SIZE - len(STEREO) - 1


def _places(choices: Any) -> dict[Any, int]:
    return {choice: place for place, choice in enumerate(choices)}


@cache
def _tables() -> tuple[dict[Any, int], ...]:
    """Places of RDKit's enumerations."""
    chem = require("rdkit.Chem", extra="chem")
    hybridizations = [getattr(chem.HybridizationType, name) for name in HYBRIDIZATIONS]
    bonds = [getattr(chem.BondType, name) for name in BOND_TYPES]
    return (
        _places(ATOMIC_NUMBERS),
        _places(CHARGES),
        _places(hybridizations),
        _places(bonds),
    )


def atom_codes(mol: Any) -> tuple[list[tuple[int, ...]], list[float]]:
    """Give the features of a molecule's atoms as places in their lists.

    Parameters
    ----------
    mol : rdkit.Chem.Mol
        The molecule.

    Returns
    -------
    codes : list of tuple of int
        For each atom the places of atomic number, total degree, formal charge, chiral tag, number
        of hydrogens and hybridization, and whether it is aromatic.
    masses : list of float
        For each atom its mass in Da, of the isotope if one is given.
    """
    numbers, charges, hybridizations, _ = _tables()
    other_number, other_charge, other_hybrid = len(numbers), len(charges), len(hybridizations)
    codes: list[tuple[int, ...]] = []
    masses: list[float] = []
    for atom in mol.GetAtoms():
        codes.append(
            (
                numbers.get(atom.GetAtomicNum(), other_number),
                min(atom.GetTotalDegree(), len(DEGREES)),
                charges.get(atom.GetFormalCharge(), other_charge),
                min(int(atom.GetChiralTag()), len(CHIRAL_TAGS)),
                min(atom.GetTotalNumHs(), len(HYDROGENS)),
                hybridizations.get(atom.GetHybridization(), other_hybrid),
                int(atom.GetIsAromatic()),
            )
        )
        masses.append(atom.GetMass())
    return codes, masses


def bond_codes(mol: Any) -> tuple[list[tuple[int, int]], list[tuple[int, ...]]]:
    """Give a molecule's bonds and their features as places in their lists.

    Parameters
    ----------
    mol : rdkit.Chem.Mol
        The molecule.

    Returns
    -------
    ends : list of tuple of int
        For each bond its two atoms.
    codes : list of tuple of int
        For each bond the place of its type, whether it is conjugated and in a ring, and the place
        of its stereo tag.
    """
    kinds = _tables()[3]
    ends: list[tuple[int, int]] = []
    codes: list[tuple[int, ...]] = []
    for bond in mol.GetBonds():
        ends.append((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()))
        codes.append(
            (
                kinds.get(bond.GetBondType(), len(kinds)),
                int(bond.GetIsConjugated()),
                int(bond.IsInRing()),
                min(int(bond.GetStereo()), len(STEREO)),
            )
        )
    return ends, codes


def atom_vectors(codes: NDArray[np.uint8], masses: NDArray[np.float32]) -> NDArray[np.float32]:
    """Write out the vectors of atoms.

    Parameters
    ----------
    codes : ndarray of uint8, shape (n_atoms, 7)
        As from `atom_codes`.
    masses : ndarray, shape (n_atoms,)
        Masses in Da.

    Returns
    -------
    ndarray of shape (n_atoms, 72)
        The last entry is a hundredth of the mass.
    """
    x = np.zeros((len(codes), ATOM_SIZE), np.float32)
    x[np.arange(len(codes))[:, None], codes[:, :6] + _STARTS] = 1
    x[:, -2] = codes[:, 6]
    x[:, -1] = 0.01 * masses
    return x


def bond_vectors(codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Write out the vectors of bonds.

    Parameters
    ----------
    codes : ndarray of uint8, shape (n_bonds, 4)
        As from `bond_codes`.

    Returns
    -------
    ndarray of shape (n_bonds, 14)
        The first entry, for a bond that is missing, is always 0.
    """
    e = np.zeros((len(codes), BOND_SIZE), np.float32)
    rows, n_types = np.arange(len(codes)), len(BOND_TYPES)
    known = codes[:, 0] < n_types
    e[rows[known], 1 + codes[known, 0]] = 1
    e[:, 1 + n_types : 3 + n_types] = codes[:, 1:3]
    e[rows, _STEREO_START + codes[:, 3]] = 1
    return e


def element_of(code: int) -> str:
    """Name the element of a place in the list of atomic numbers.

    Parameters
    ----------
    code : int
        First code of an atom.

    Returns
    -------
    str
        Its symbol; ``"other"`` for the last place.

    Examples
    --------
    >>> element_of(5), element_of(37)
    ('C', 'other')
    """
    if code >= len(ATOMIC_NUMBERS):
        return "other"
    table = require("rdkit.Chem", extra="chem").GetPeriodicTable()
    return str(table.GetElementSymbol(ATOMIC_NUMBERS[code]))
