"""Molecular graphs of a whole data set in a few arrays, and batches of them.

Every bond is two directed edges that stand next to each other: edge 2k leads from the bond's first
atom to its second, edge 2k + 1 back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.chem.molecules.features import atom_codes, atom_vectors, bond_codes, bond_vectors
from fieldgrad.shared_models.ragged import rows_of_items

__all__ = ["GraphArrays", "Ints", "MoleculeGraphs"]

Ints = NDArray[np.integer[Any]]
# atoms (n_atoms, 72), bonds (n_edges, 14), edges (2, n_edges), offsets (n_molecules + 1,)
GraphArrays = tuple[NDArray[np.float32], NDArray[np.float32], Ints, Ints]


@dataclass(frozen=True)
class MoleculeGraphs:
    """Molecules one after the other: their atoms' and bonds' features and the bonds' ends.

    Parameters
    ----------
    atom_codes : ndarray of uint8, shape (n_atoms, 7)
        Features of all atoms; see `features.atom_codes`.
    masses : ndarray of float32, shape (n_atoms,)
        Masses in Da.
    bond_ends : ndarray of int32, shape (n_bonds, 2)
        The two atoms of each bond, counted within its molecule.
    bond_codes : ndarray of uint8, shape (n_bonds, 4)
        Features of all bonds; see `features.bond_codes`.
    atom_offsets, bond_offsets : ndarray of int64, shape (n_molecules + 1,)
        The atoms of molecule i are ``atom_offsets[i]`` to ``atom_offsets[i + 1]``; likewise bonds.

    Examples
    --------
    >>> from fieldgrad.chem.molecules.smiles import read_smiles
    >>> graphs = MoleculeGraphs.of([read_smiles("CO"), read_smiles("C")])
    >>> atoms, bonds, edges, offsets = graphs.batch([1, 0])
    >>> atoms.shape, bonds.shape, edges.tolist(), offsets.tolist()
    ((3, 72), (2, 14), [[1, 2], [2, 1]], [0, 1, 3])
    """

    atom_codes: NDArray[np.uint8]
    masses: NDArray[np.float32]
    bond_ends: NDArray[np.int32]
    bond_codes: NDArray[np.uint8]
    atom_offsets: NDArray[np.int64]
    bond_offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.atom_offsets) - 1

    @property
    def n_atoms(self) -> NDArray[np.int64]:
        """Number of atoms of each molecule, shape (n_molecules,)."""
        return np.diff(self.atom_offsets)

    @classmethod
    def of(cls, molecules: Sequence[Any]) -> MoleculeGraphs:
        """Make the graphs of molecules.

        Parameters
        ----------
        molecules : sequence of rdkit.Chem.Mol
            The molecules.

        Returns
        -------
        MoleculeGraphs
            In the same order.
        """
        atoms, masses, ends, bonds = [], [], [], []
        n_atoms, n_bonds = [0], [0]
        for mol in molecules:
            own_atoms, own_masses = atom_codes(mol)
            own_ends, own_bonds = bond_codes(mol)
            atoms += own_atoms
            masses += own_masses
            ends += own_ends
            bonds += own_bonds
            n_atoms.append(len(own_atoms))
            n_bonds.append(len(own_bonds))
        return cls(
            np.array(atoms, np.uint8).reshape(-1, 7),
            np.array(masses, np.float32),
            np.array(ends, np.int32).reshape(-1, 2),
            np.array(bonds, np.uint8).reshape(-1, 4),
            np.cumsum(n_atoms, dtype=np.int64),
            np.cumsum(n_bonds, dtype=np.int64),
        )

    @classmethod
    def joined(cls, parts: Sequence[MoleculeGraphs]) -> MoleculeGraphs:
        """Join several sets of molecules end to end.

        Parameters
        ----------
        parts : sequence of MoleculeGraphs
            At least one.

        Returns
        -------
        MoleculeGraphs
            All molecules in order.
        """
        joined: dict[str, Any] = {}
        for entry in fields(cls):
            arrays = [getattr(part, entry.name) for part in parts]
            if entry.name.endswith("offsets"):
                sizes = np.concatenate([np.diff(array) for array in arrays])
                joined[entry.name] = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
            else:
                joined[entry.name] = np.concatenate(arrays)
        return cls(**joined)

    def take(self, indices: Ints | Sequence[int]) -> MoleculeGraphs:
        """Give some of the molecules.

        Parameters
        ----------
        indices : sequence of int
            Which, in the order wanted.

        Returns
        -------
        MoleculeGraphs
            A copy of these.
        """
        index = np.asarray(indices, np.int64)
        atoms, atom_offsets = rows_of_items(self.atom_offsets, index)
        bonds, bond_offsets = rows_of_items(self.bond_offsets, index)
        return MoleculeGraphs(
            self.atom_codes[atoms],
            self.masses[atoms],
            self.bond_ends[bonds],
            self.bond_codes[bonds],
            atom_offsets,
            bond_offsets,
        )

    def batch(self, indices: Ints | Sequence[int]) -> GraphArrays:
        """Write out some of the molecules as one graph of separate parts.

        Parameters
        ----------
        indices : sequence of int
            Which, in the order wanted.

        Returns
        -------
        atoms : ndarray of shape (n_atoms, 72)
            Vectors of the atoms.
        bonds : ndarray of shape (n_edges, 14)
            Vectors of the directed edges, two for each bond.
        edges : ndarray of int64, shape (2, n_edges)
            The atoms that each edge leads from and to.
        offsets : ndarray of int64, shape (n_molecules + 1,)
            The atoms of molecule i are ``offsets[i]`` to ``offsets[i + 1]``.
        """
        part = self.take(indices)
        first = np.repeat(part.atom_offsets[:-1], np.diff(part.bond_offsets))
        ends = part.bond_ends + first[:, None]
        edges = np.stack([ends, ends[:, ::-1]], axis=1).reshape(-1, 2).T
        return (
            atom_vectors(part.atom_codes, part.masses),
            np.repeat(bond_vectors(part.bond_codes), 2, axis=0),
            np.ascontiguousarray(edges),
            part.atom_offsets,
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Give all arrays by name, for a file.

        Returns
        -------
        dict of str to ndarray
            For `from_arrays`.
        """
        return {entry.name: getattr(self, entry.name) for entry in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> MoleculeGraphs:
        """Make graphs of what `arrays` gave.

        Parameters
        ----------
        arrays : mapping of str to ndarray
            The arrays; others beside them do not matter.

        Returns
        -------
        MoleculeGraphs
            The same molecules.
        """
        return cls(**{entry.name: arrays[entry.name] for entry in fields(cls)})
