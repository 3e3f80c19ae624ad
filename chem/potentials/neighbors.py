"""Neighbor lists: pairs of atoms within a cutoff, in any cell and with any periodic directions.

A pair stands once in the list and serves both atoms: two atoms and the vector from the first to
the second. The cell may be small (an atom then neighbors several images of another, or of
itself), skewed, or periodic in some directions only, and atoms need not lie in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldgrad.chem.potentials._neighbors import half_pairs
from fieldgrad.engine.errors import DataError

__all__ = ["NeighborList", "Pairs", "find_pairs"]

_FAR = 1e12  # Å: beyond, whoever calls this has lost his atoms
_FLAT = 1e-6  # of the longest vectors' product: a cell of less volume has none


@dataclass(frozen=True)
class Pairs:
    """Pairs of atoms within a cutoff, each once.

    Parameters
    ----------
    atoms : ndarray of int64, shape (2, n_pairs)
        First and second atom of each pair; the same one for a pair with an image of itself.
    shifts : ndarray of int64, shape (n_pairs, 3)
        How many cell vectors the second atom is moved by.
    vectors : ndarray of float64, shape (n_pairs, 3)
        From the first to the (moved) second atom, Å: ``R[j] - R[i] + shifts @ cell``.
    """

    atoms: NDArray[np.int64]
    shifts: NDArray[np.int64]
    vectors: NDArray[np.float64]


def find_pairs(
    positions: ArrayLike, cutoff: float, cell: ArrayLike | None = None, pbc: ArrayLike = False
) -> Pairs:
    """Find all pairs of atoms nearer than a cutoff.

    Parameters
    ----------
    positions : array_like, shape (n_atoms, 3)
        Å; in the cell or not.
    cutoff : float
        Å.
    cell : array_like, shape (3, 3), optional
        Cell vectors as rows, Å; those of directions that are not periodic do not matter.
    pbc : bool or array_like of bool, shape (3,), default False
        Directions (cell vectors) that are periodic.

    Returns
    -------
    Pairs
        Ordered by the first atom.

    Raises
    ------
    DataError
        If a position is not finite, the cutoff not positive, or periodic cell vectors span no
        volume.

    Notes
    -----
    Time and memory grow linearly with the number of atoms at equal density.

    Examples
    --------
    A simple cubic crystal of one atom has six neighbors at the lattice constant, three pairs:

    >>> pairs = find_pairs([[0.0, 0.0, 0.0]], 2.5, 2 * np.eye(3), True)
    >>> pairs.atoms.shape, pairs.shifts.tolist()
    ((2, 3), [[0, 0, 1], [0, 1, 0], [1, 0, 0]])
    """
    points = np.ascontiguousarray(positions, np.float64).reshape(-1, 3)
    periodic = np.broadcast_to(np.asarray(pbc, bool), (3,))
    usable = np.abs(points) < _FAR
    if not usable.all():
        atom = int(np.flatnonzero(~usable.all(axis=1))[0])
        raise DataError(
            f"find_pairs: the position of atom {atom} is {points[atom].tolist()}; expected finite "
            "numbers in Å. Repair the structure, or look at the step before: it may have exploded."
        )
    if not (np.isfinite(cutoff) and cutoff > 0):
        raise DataError(f"find_pairs: cutoff is {cutoff}; expected a length above 0 Å.")
    if not periodic.any() or not len(points):
        return _pairs_of(points, points, np.zeros((len(points), 3), np.int64), None, cutoff)
    box = _complete(np.zeros((3, 3)) if cell is None else np.asarray(cell, np.float64), periodic)
    inverse = np.linalg.inv(box)
    wraps = np.floor(points @ inverse).astype(np.int64) * periodic
    inside = points - wraps @ box
    # Distance between the opposite faces of the cell, for each direction.
    heights = 1.0 / np.linalg.norm(inverse, axis=0)
    reach = np.where(periodic, cutoff / heights, 0.0)
    images = np.ceil(reach).astype(int)
    fractions = inside @ inverse
    moved, owners, moves = [inside], [np.arange(len(points))], [np.zeros((len(points), 3), int)]
    for shift in product(*(range(-n, n + 1) for n in images)):
        if not any(shift):
            continue
        place = fractions + shift
        # With a margin for rounding: whether a pair is near enough is decided by its distance.
        near = ((place > -reach - 1e-9) & (place < 1 + reach + 1e-9) | ~periodic).all(axis=1)
        kept = np.flatnonzero(near)
        if len(kept):
            moved.append(inside[kept] + np.asarray(shift) @ box)
            owners.append(kept)
            moves.append(np.broadcast_to(np.asarray(shift), (len(kept), 3)))
    shifts = np.concatenate(moves)
    found = _pairs_of(np.concatenate(moved), inside, shifts, np.concatenate(owners), cutoff)
    # From wrapped atoms to the atoms as they were given.
    i, j = found.atoms
    return Pairs(found.atoms, found.shifts + wraps[i] - wraps[j], found.vectors)


def _pairs_of(
    points: NDArray[np.float64],
    atoms: NDArray[np.float64],
    shifts: NDArray[np.int64],
    owners: NDArray[np.int64] | None,
    cutoff: float,
) -> Pairs:
    owner = np.arange(len(points)) if owners is None else owners
    # Of an image and its opposite one stands for both: that whose first move is positive.
    positive = (np.sign(shifts) @ [4, 2, 1] > 0).astype(np.uint8)
    found = half_pairs(
        np.ascontiguousarray(points), np.ascontiguousarray(owner, np.int64), positive,
        len(atoms), cutoff,
    )  # fmt: skip
    first, image = found.T
    vectors = points[image] - atoms[first]
    return Pairs(np.stack([first, owner[image]]), shifts[image].astype(np.int64), vectors)


def _complete(cell: NDArray[np.float64], periodic: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Give the cell with unit vectors, at right angles to the others, where it is not periodic."""
    box = cell.copy()
    kept = list(box[periodic])
    lengths = [float(np.linalg.norm(v)) for v in kept]
    gram = np.asarray(kept) @ np.asarray(kept).T
    if np.sqrt(max(float(np.linalg.det(gram)), 0.0)) <= _FLAT * np.prod(lengths) or not all(
        lengths
    ):
        raise DataError(
            f"find_pairs: the periodic cell vectors {[v.tolist() for v in kept]} (Å) span no "
            "volume; expected independent vectors. Repair the cell, or set pbc to False."
        )
    for axis in np.flatnonzero(~periodic):
        # The direction that is least along those there are.
        _, _, directions = np.linalg.svd(np.asarray(kept))
        box[axis] = directions[-1]
        kept.append(directions[-1])
    return box


class NeighborList:
    """Pairs within a cutoff for atoms that move little: searched anew only when they moved enough.

    Parameters
    ----------
    cutoff : float
        Å.
    skin : float, default 0.5
        Å; pairs up to cutoff + skin are kept, and searched anew when an atom has moved by more than
        half the skin, or the cell has changed.

    Attributes
    ----------
    n_searches : int
        How often pairs were searched.

    Examples
    --------
    >>> pairs = NeighborList(3.0)
    >>> for x in (2.5, 2.6, 3.1):
    ...     found = pairs([[0.0, 0.0, 0.0], [x, 0.0, 0.0]])
    ...     print(found.vectors[:, 0].tolist(), pairs.n_searches)
    [2.5] 1
    [2.6] 1
    [] 2
    """

    def __init__(self, cutoff: float, skin: float = 0.5) -> None:
        if not skin >= 0:
            raise DataError(f"NeighborList: skin is {skin}; expected 0 Å or more.")
        self.cutoff = cutoff
        self.skin = skin
        self.n_searches = 0
        self._wide: Pairs | None = None
        self._searched_at: tuple[NDArray[np.float64], ...] = ()

    def __call__(
        self, positions: ArrayLike, cell: ArrayLike | None = None, pbc: ArrayLike = False
    ) -> Pairs:
        points = np.asarray(positions, np.float64)
        box = np.zeros((3, 3)) if cell is None else np.asarray(cell, np.float64)
        periodic = np.broadcast_to(np.asarray(pbc, bool), (3,))
        if self._wide is None or self._is_old(points, box, periodic):
            self._wide = find_pairs(points, self.cutoff + self.skin, box, periodic)
            self._searched_at = (points.copy(), box.copy(), periodic.copy())
            self.n_searches += 1
        wide = self._wide
        i, j = wide.atoms
        vectors = points[j] - points[i] + wide.shifts @ box
        near = (vectors * vectors).sum(axis=1) < self.cutoff**2
        return Pairs(wide.atoms[:, near], wide.shifts[near], vectors[near])

    def _is_old(
        self,
        points: NDArray[np.float64],
        box: NDArray[np.float64],
        periodic: NDArray[np.bool_],
    ) -> bool:
        old_points, old_box, old_periodic = self._searched_at
        if points.shape != old_points.shape or not (periodic == old_periodic).all():
            return True
        if periodic.any() and not (box == old_box).all():
            return True
        moved = ((points - old_points) ** 2).sum(axis=1).max(initial=0.0)
        return not moved <= (self.skin / 2) ** 2  # also for NaN, which the search refuses
