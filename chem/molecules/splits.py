"""Splits of molecules into training, validation and test: at random, by scaffold, by similarity.

All of them keep molecules of one group together; groups are the copies of one molecule, or more.
The same seed gives the same split, and a split can be written to a file and used again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine.errors import DataError, FileError, require
from fieldgrad.engine.files import atomic_write
from fieldgrad.engine.train.folds import Fold

__all__ = [
    "PARTS",
    "Split",
    "column_split",
    "fold_split",
    "group_numbers",
    "kmeans_split",
    "random_split",
    "scaffold_split",
    "straddling",
]

PARTS = ("train", "val", "test")
_COLUMN_NAMES = {"train": "train", "training": "train", "val": "val", "valid": "val",
                 "validation": "val", "test": "test"}  # fmt: skip
FRACTIONS = (0.8, 0.1, 0.1)

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Which rows are for training, validation and test.

    Parameters
    ----------
    train, val, test : ndarray of int64
        Numbers of rows, counted from 0 without the header, in ascending order.
    """

    train: Ints
    val: Ints
    test: Ints

    def parts(self) -> dict[str, Ints]:
        """Give the three lists of rows by name.

        Returns
        -------
        dict of str to ndarray
            ``train``, ``val`` and ``test``.
        """
        return {name: getattr(self, name) for name in PARTS}

    def within(self, rows: Ints) -> Split:
        """Count molecules instead of rows, leaving out rows without one.

        Parameters
        ----------
        rows : ndarray of int64
            The row of each molecule, ascending.

        Returns
        -------
        Split
            Positions in `rows`.
        """
        return Split(*(np.flatnonzero(np.isin(rows, part)) for part in self.parts().values()))

    def of(self, rows: Ints) -> Split:
        """Count rows instead of molecules: the way back from `within`.

        Parameters
        ----------
        rows : ndarray of int64
            The row of each molecule, ascending.

        Returns
        -------
        Split
            Numbers of rows.
        """
        return Split(*(rows[part] for part in self.parts().values()))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the split as JSON: three lists of row numbers.

        Parameters
        ----------
        path : path-like
            The file; `load` and other tools (chemprop) can read it.
        """
        lists = {name: part.tolist() for name, part in self.parts().items()}
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(lists) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str], n_rows: int) -> Split:
        """Read what `save` wrote.

        Parameters
        ----------
        path : path-like
            The file.
        n_rows : int
            Number of rows of the table that it is for.

        Returns
        -------
        Split
            The split.

        Raises
        ------
        FileError
            If the file is missing or no JSON.
        DataError
            If it holds no split of a table with this many rows.
        """
        name = os.fspath(path)
        try:
            with open(path, encoding="utf-8") as file:
                table = json.load(file)
        except (OSError, ValueError) as error:
            raise FileError(
                f"{name} cannot be read as JSON ({error}). Check the path.", path
            ) from (error)
        if isinstance(table, list) and len(table) == 1:  # chemprop writes a list of splits
            table = table[0]
        if not isinstance(table, dict) or not {"train", "test"} <= table.keys():
            raise DataError(
                f'{name} is no split; expected {{"train": […], "val": […], "test": […]}} with '
                "numbers of rows, counted from 0 without the header."
            )
        lists = [np.unique(np.array(table.get(part, []), np.int64)) for part in PARTS]
        every = np.concatenate(lists)
        if every.size and (every.min() < 0 or every.max() >= n_rows):
            raise DataError(
                f"{name} names row {every.max()}, but the table has {n_rows} rows (0 to "
                f"{n_rows - 1}). Use the split of this table."
            )
        values, counts = np.unique(every, return_counts=True)
        if (counts > 1).any():
            raise DataError(f"{name} has row {values[counts > 1][0]} in two parts. Remove one.")
        return cls(*lists)


def group_numbers(keys: Iterable[Hashable]) -> Ints:
    """Number groups in the order of their first member.

    Parameters
    ----------
    keys : iterable of hashable
        What members of a group share, such as the canonical SMILES.

    Returns
    -------
    ndarray of int64, shape (n,)
        The group of each.

    Examples
    --------
    >>> group_numbers(["CO", "C", "CO"]).tolist()
    [0, 1, 0]
    """
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)


def straddling(split: Split, groups: Ints) -> int:
    """Count groups with members in more than one part.

    Parameters
    ----------
    split : Split
        Positions of molecules.
    groups : ndarray of int64
        Group of each molecule.

    Returns
    -------
    int
        How many; 0 for every split made here.
    """
    parts = [np.unique(groups[part]) for part in split.parts().values()]
    _, counts = np.unique(np.concatenate(parts), return_counts=True)
    return int((counts > 1).sum())


def random_split(groups: Ints, fractions: Sequence[float] = FRACTIONS, *, seed: int = 0) -> Split:
    """Split at random.

    Parameters
    ----------
    groups : ndarray of int64, shape (n_molecules,)
        Molecules of one group stay together.
    fractions : sequence of 3 float, default (0.8, 0.1, 0.1)
        Parts of the molecules for training, validation and test.
    seed : int, default 0
        Seed of the order.

    Returns
    -------
    Split
        Positions of molecules.

    Raises
    ------
    DataError
        If a part that should have molecules has none, or the fractions do not sum to 1.
    """
    order = np.random.default_rng(seed).permutation(groups.max(initial=-1) + 1)
    return _fill([np.flatnonzero(groups == g) for g in order.tolist()], fractions, "random")


def fold_split(groups: Ints, fold: str, *, seed: int = 0) -> Split:
    """Take a fold of a cross-validation as the test part, and a tenth of the others to validate.

    Parameters
    ----------
    groups : ndarray of int64, shape (n_molecules,)
        Molecules of one group stay together.
    fold : str
        Such as "2/5".
    seed : int, default 0
        The same for all folds.

    Returns
    -------
    Split
        Positions of molecules.

    Raises
    ------
    DataError
        If there are too few groups.
    """
    rest, test = Fold.parse(fold).divide(len(groups), groups=groups.tolist(), seed=seed)
    numbers = np.unique(groups[rest], return_inverse=True)[1]
    inner = random_split(numbers, (0.9, 0.1, 0.0), seed=seed)
    return Split(rest[inner.train], rest[inner.val], test)


def scaffold_split(
    scaffolds: Sequence[str],
    groups: Ints,
    fractions: Sequence[float] = FRACTIONS,
    *,
    seed: int = 0,
) -> Split:
    """Split by Bemis-Murcko scaffold, so that the test asks for new chemistry.

    Molecules of one scaffold stay together. Scaffolds with more molecules than half of the
    validation or test part go to training; the others are filled in at random: the "balanced"
    scaffold split.

    Parameters
    ----------
    scaffolds : sequence of str
        Scaffold of each molecule; those without rings are one scaffold.
    groups : ndarray of int64, shape (n_molecules,)
        Molecules of one group have one scaffold, and stay together.
    fractions : sequence of 3 float, default (0.8, 0.1, 0.1)
        Parts of the molecules for training, validation and test.
    seed : int, default 0
        Seed of the order of scaffolds.

    Returns
    -------
    Split
        Positions of molecules.

    Raises
    ------
    DataError
        If a part that should have molecules has none, or the fractions do not sum to 1.

    References
    ----------
    Yang et al., "Analyzing learned molecular representations for property prediction", J. Chem.
    Inf. Model. 59 (2019) 3370, doi:10.1021/acs.jcim.9b00237, section "Split type".
    """
    # Tautomers written alike may differ in their scaffold's text; the group decides.
    first = {int(group): text for group, text in zip(groups[::-1], scaffolds[::-1], strict=True)}
    return _balanced(group_numbers(first[int(g)] for g in groups), fractions, seed, "scaffold")


def kmeans_split(
    fingerprints: NDArray[Any],
    groups: Ints,
    fractions: Sequence[float] = FRACTIONS,
    *,
    n_clusters: int = 20,
    seed: int = 0,
) -> Split:
    """Split by clusters of similar molecules.

    Parameters
    ----------
    fingerprints : ndarray of shape (n_molecules, n_bits)
        Such as Morgan counts.
    groups : ndarray of int64, shape (n_molecules,)
        Molecules of one group stay together, in the cluster of the first.
    fractions : sequence of 3 float, default (0.8, 0.1, 0.1)
        Parts of the molecules for training, validation and test.
    n_clusters : int, default 20
        Clusters of k-means; large ones go to training, as in `scaffold_split`.
    seed : int, default 0
        Seed of the clusters and of their order.

    Returns
    -------
    Split
        Positions of molecules.

    Raises
    ------
    DataError
        If a part that should have molecules has none, or the fractions do not sum to 1.
    MissingExtra
        If scikit-learn is not installed.
    """
    cluster = require("sklearn.cluster", extra="chem")
    distinct, first = np.unique(groups, return_index=True)
    n_clusters = min(n_clusters, len(distinct))
    kmeans = cluster.KMeans(n_clusters, random_state=seed, n_init=1)
    found = kmeans.fit_predict((fingerprints[first] > 0).astype(np.float32))
    return _balanced(found[np.searchsorted(distinct, groups)], fractions, seed, "k-means")


def column_split(values: Sequence[str], column: str) -> Split:
    """Take the split that a column says.

    Parameters
    ----------
    values : sequence of str
        ``train``, ``val`` (or ``valid``, ``validation``) or ``test`` for each row; empty for a row
        that is not to be used.
    column : str
        Its name, for messages.

    Returns
    -------
    Split
        Numbers of rows.

    Raises
    ------
    DataError
        If a value is another one.
    """
    names = []
    for row, value in enumerate(values):
        name = _COLUMN_NAMES.get(value.strip().lower(), "" if not value.strip() else None)
        if name is None:
            raise DataError(
                f"column {column!r} has {value!r} in row {row + 1}; expected train, val or test, "
                "or an empty cell for a row to leave out."
            )
        names.append(name)
    array = np.array(names)
    return Split(*(np.flatnonzero(array == part) for part in PARTS))


def _check_fractions(fractions: Sequence[float]) -> None:
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise DataError(
            f"the parts for training, validation and test are {tuple(fractions)}; expected three "
            "numbers that sum to 1, such as 0.8, 0.1, 0.1."
        )


def _balanced(groups: Ints, fractions: Sequence[float], seed: int, kind: str) -> Split:
    """Put large groups first, into training, and the others after them at random."""
    _check_fractions(fractions)
    members = [np.flatnonzero(groups == g) for g in range(groups.max(initial=-1) + 1)]
    limit = min([f * len(groups) / 2 for f in fractions[1:] if f] or [len(groups)])
    large = sorted((m for m in members if len(m) > limit), key=len, reverse=True)
    small = [m for m in members if 0 < len(m) <= limit]
    order = np.random.default_rng(seed).permutation(len(small)).tolist()
    return _fill(large + [small[i] for i in order], fractions, kind)


def _fill(members: Sequence[Ints], fractions: Sequence[float], kind: str) -> Split:
    """Give each group to the first part with room for it: training, validation, else test."""
    _check_fractions(fractions)
    n = sum(map(len, members))
    room = [round(fractions[0] * n), round(fractions[1] * n)]
    parts: list[list[Ints]] = [[], [], []]
    for group in members:
        place = next((i for i in (0, 1) if len(group) <= room[i]), 2 if fractions[2] else 0)
        parts[place].append(group)
        if place < 2:
            room[place] -= len(group)
    # Groups may be too large for the room of a small part: it then gets a small one all the same.
    for chosen, fraction in zip(parts, fractions, strict=True):
        donors = [p for p in parts if len(p) > 1]
        if fraction and not chosen and donors:
            donor = max(donors, key=lambda p: sum(map(len, p)))
            chosen.append(donor.pop(min(range(len(donor)), key=lambda i: len(donor[i]))))
    split = Split(*(np.sort(np.concatenate(p)) if p else np.zeros(0, np.int64) for p in parts))
    for (name, part), fraction in zip(split.parts().items(), fractions, strict=True):
        if fraction and not len(part):
            raise DataError(
                f"the {kind} split of {n} molecules in {len(members)} groups leaves none for "
                f"{name}. Use more molecules, a random split, or other fractions."
            )
    return split
