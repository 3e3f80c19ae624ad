"""What a model says of molecules: values, uncertainty, and what it cannot know about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.chem.molecules.features import element_of
from fieldgrad.chem.molecules.graph import MoleculeGraphs
from fieldgrad.chem.molecules.labels import Classes, class_slices

__all__ = ["Domain", "Estimates", "cells", "likeliest"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimates:
    """Predictions of some molecules, a row for each SMILES that was asked for.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_tasks) or (n_rows, n_outputs)
        Numbers, or probabilities of class 1, or of all classes of all tasks side by side; NaN for a
        row without a molecule.
    std : ndarray of shape (n_rows, n_tasks) or None
        Standard deviations, calibrated for numbers; None for a single network without variances.
    lower, upper : ndarray of shape (n_rows, n_tasks) or None
        Ends of the intervals; None for classes.
    notes : list of str
        For each row why it has no prediction, or why to be careful with it; mostly empty.
    n_bad : int
        Number of rows without a molecule.
    classes : tuple of tuple of str, default ()
        Names of each task's classes, if they have names.
    """

    values: Floats
    std: Floats | None
    lower: Floats | None
    upper: Floats | None
    notes: list[str]
    n_bad: int
    classes: Classes = ()

    def named(self) -> NDArray[np.object_]:
        """Give the name of the likeliest class.

        Returns
        -------
        ndarray of object, shape (n_rows, n_tasks)
            Texts; None for a row without a molecule.
        """
        return likeliest(self.values, self.classes)

    def columns(self, targets: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Give the numbers as named columns, those of one target side by side.

        Parameters
        ----------
        targets : sequence of str
            Names of the tasks.

        Returns
        -------
        dict of str to ndarray, shape (n_rows,)
            ``NAME_predicted`` and, where there are any, ``NAME_std``, ``NAME_lower``,
            ``NAME_upper``. Of classes with names the likeliest, and ``NAME_p_CLASS`` for each.
        """
        if self.classes:
            found: dict[str, NDArray[Any]] = {}
            best = self.named()
            for i, (target, own) in enumerate(
                zip(targets, class_slices(self.classes), strict=True)
            ):
                found[f"{target}_predicted"] = best[:, i]
                for name, p in zip(self.classes[i], self.values[:, own].T, strict=True):
                    found[f"{target}_p_{name}"] = p
            return found
        kinds = {
            "predicted": self.values, "std": self.std, "lower": self.lower, "upper": self.upper
        }  # fmt: skip
        return {
            f"{target}_{kind}": values[:, i]
            for i, target in enumerate(targets)
            for kind, values in kinds.items()
            if values is not None
        }


def likeliest(probabilities: Floats, classes: Classes) -> NDArray[np.object_]:
    """Name the likeliest class of each task.

    Parameters
    ----------
    probabilities : ndarray of shape (n_rows, n_outputs)
        Of all classes of all tasks side by side.
    classes : tuple of tuple of str
        Their names.

    Returns
    -------
    ndarray of object, shape (n_rows, n_tasks)
        Texts; None where the probabilities are NaN.
    """
    best = np.full((len(probabilities), len(classes)), None, object)
    for i, own in enumerate(class_slices(classes)):
        p = probabilities[:, own]
        there = np.isfinite(p).all(axis=1)
        best[there, i] = np.array(classes[i], object)[p[there].argmax(axis=1)]
    return best


def cells(columns: Mapping[str, NDArray[Any]]) -> list[list[str]]:
    """Write columns for a file, row by row.

    Parameters
    ----------
    columns : mapping of str to ndarray
        Numbers, or texts.

    Returns
    -------
    list of list of str
        Seven digits of a number; nothing for NaN and None.
    """

    def text(value: Any) -> str:
        if value is None or value != value:
            return ""
        return value if isinstance(value, str) else f"{value:.7g}"

    return [
        [text(v) for v in row] for row in zip(*(c.tolist() for c in columns.values()), strict=True)
    ]


@dataclass(frozen=True)
class Domain:
    """What the training molecules were like, to know which others are out of their range.

    Parameters
    ----------
    elements : tuple of int
        First codes of the atoms (`features.atom_codes`) that occurred.
    max_atoms : int
        Atoms of the largest molecule, without hydrogens.
    """

    elements: tuple[int, ...]
    max_atoms: int

    @classmethod
    def of(cls, graphs: MoleculeGraphs) -> Domain:
        """Measure training molecules.

        Parameters
        ----------
        graphs : MoleculeGraphs
            At least one.

        Returns
        -------
        Domain
            What they cover.
        """
        return cls(tuple(sorted(set(graphs.atom_codes[:, 0].tolist()))), int(graphs.n_atoms.max()))

    def cautions(self, graphs: MoleculeGraphs) -> list[str]:
        """Say of each molecule what the training set cannot have taught about it.

        Parameters
        ----------
        graphs : MoleculeGraphs
            Molecules to predict.

        Returns
        -------
        list of str
            A text for each, mostly empty.
        """
        strange = ~np.isin(graphs.atom_codes[:, 0], self.elements)
        notes = [[] for _ in range(len(graphs))]  # type: list[list[str]]
        molecule = np.repeat(np.arange(len(graphs)), graphs.n_atoms)
        for i in np.unique(molecule[strange]).tolist():
            own = slice(graphs.atom_offsets[i], graphs.atom_offsets[i + 1])
            codes = sorted(set(graphs.atom_codes[own, 0][strange[own]].tolist()))
            notes[i].append(f"element not in training: {', '.join(map(element_of, codes))}")
        for i in np.flatnonzero(graphs.n_atoms > 2 * self.max_atoms).tolist():
            notes[i].append(f"{graphs.n_atoms[i]} atoms; training had up to {self.max_atoms}")
        for i in np.flatnonzero(graphs.n_atoms == 1).tolist():
            notes[i].append("a single atom, without bonds")
        return ["; ".join(parts) for parts in notes]
