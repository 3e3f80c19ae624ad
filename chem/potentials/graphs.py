"""Structures as a network sees them: atoms, pairs of neighbors, and batches of both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fieldgrad.chem.potentials.neighbors import Pairs, find_pairs
from fieldgrad.chem.potentials.structures import Structures, ragged_rows, symbols_of
from fieldgrad.engine.errors import DataError

__all__ = ["Graph", "PairData"]

CLOSEST = 0.3  # Å: no two nuclei come that near


class Graph(NamedTuple):
    """Some structures in one: their atoms, and the pairs of them that are neighbors.

    Parameters
    ----------
    numbers : array or Tensor of int64, shape (n_atoms,)
        Atomic numbers.
    structure_ids : array or Tensor of int64, shape (n_atoms,)
        Which structure each atom is of, ascending.
    pairs : array or Tensor of int64, shape (2, n_pairs)
        Atoms nearer than the cutoff, each pair once.
    vectors : array or Tensor of float, shape (n_pairs, 3)
        From the first to the second atom of each pair, Å.
    volumes : array or Tensor of float, shape (n_structures,)
        Å³; NaN unless periodic in three directions.
    """

    numbers: Any
    structure_ids: Any
    pairs: Any
    vectors: Any
    volumes: Any


class PairData:
    """Structures with their pairs, found once, from which batches are taken.

    Parameters
    ----------
    structures : Structures
        With positions; what else they have are the targets.
    cutoff : float
        Å.
    offsets_of_energy : ndarray of float64, shape (n_structures,), optional
        What is subtracted from the energies, in float64, before they are rounded to `dtype`, eV.
    dtype : numpy dtype, default float32
        Of vectors and targets.

    Raises
    ------
    DataError
        If two atoms nearly coincide, or a structure cannot be used.

    Examples
    --------
    >>> from fieldgrad.chem.potentials.structures import empty
    >>> water = empty(1, np.array([8, 1, 1]))
    >>> water.positions[:] = [[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]]
    >>> graph, energies, forces, stresses = PairData(water, cutoff=5.0).batch([0])
    >>> graph.pairs.tolist(), graph.vectors.dtype
    ([[0, 0, 1], [1, 2, 2]], dtype('float32'))
    """

    def __init__(
        self,
        structures: Structures,
        cutoff: float,
        offsets_of_energy: NDArray[np.float64] | None = None,
        dtype: Any = np.float32,
    ) -> None:
        self.structures = structures
        self.dtype = np.dtype(dtype)
        found = [_pairs_of(structures, k, cutoff) for k in range(len(structures))]
        sizes = [pairs.atoms.shape[1] for pairs in found]
        self.pair_offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        # Beginning with none, for there may be no structures.
        atoms = [np.empty((2, 0), np.int64), *(pairs.atoms for pairs in found)]
        vectors = [np.empty((0, 3)), *(pairs.vectors for pairs in found)]
        self.pairs = np.concatenate(atoms, axis=1)
        self.vectors = np.concatenate(vectors).astype(self.dtype)
        self.volumes = structures.volumes.astype(self.dtype)
        shift = 0.0 if offsets_of_energy is None else offsets_of_energy
        self.energies = (structures.energies - shift).astype(self.dtype)
        self.forces = structures.forces.astype(self.dtype)
        self.stresses = structures.stresses.astype(self.dtype)

    def __len__(self) -> int:
        return len(self.structures)

    def batch(self, indices: Sequence[Any]) -> tuple[Any, ...]:
        """Join some structures; ``collate`` of a Loader over ``range(len(data))``.

        Parameters
        ----------
        indices : sequence of int
            Which.

        Returns
        -------
        graph : Graph
            What the network gets.
        energies : ndarray, shape (n_structures,)
            In eV, less what is subtracted; NaN where unknown, as are the others.
        forces : ndarray, shape (n_atoms, 3)
            In eV/Å.
        stresses : ndarray, shape (n_structures, 3, 3)
            In eV/Å³.
        """
        chosen = np.asarray(indices, np.int64)
        atoms, atom_offsets = ragged_rows(self.structures.offsets, chosen)
        rows, pair_offsets = ragged_rows(self.pair_offsets, chosen)
        graph = Graph(
            self.structures.numbers.take(atoms),
            np.repeat(np.arange(len(chosen)), np.diff(atom_offsets)),
            self.pairs.take(rows, axis=1) + np.repeat(atom_offsets[:-1], np.diff(pair_offsets)),
            self.vectors.take(rows, axis=0),
            self.volumes[chosen],
        )
        return graph, self.energies[chosen], self.forces.take(atoms, axis=0), self.stresses[chosen]


def _pairs_of(structures: Structures, k: int, cutoff: float) -> Pairs:
    atoms = slice(structures.offsets[k], structures.offsets[k + 1])
    try:
        pairs = find_pairs(
            structures.positions[atoms], cutoff, structures.cells[k], structures.pbc[k]
        )
    except DataError as error:
        error.add_note(f"It is structure {k} of {structures.source or 'those given'}.")
        raise
    if len(pairs.vectors):
        squares = (pairs.vectors**2).sum(axis=1)
        worst = int(squares.argmin())
        if squares[worst] < CLOSEST**2:
            i, j = pairs.atoms[:, worst].tolist()
            names = symbols_of(structures.numbers[atoms][[i, j]])
            raise DataError(
                f"{structures.source or 'the structures'}: in structure {k} the atoms {i} "
                f"({names[0]}) and {j} ({names[1]}) are {squares[worst] ** 0.5:.3f} Å apart; "
                f"expected at least {CLOSEST} Å.\nRemove the structure, or give the unit of length "
                "if it is not Å."
            )
    return pairs
