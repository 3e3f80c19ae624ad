"""What a model says of molecules: values, uncertainty, and what it cannot know about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldgrad.chem.molecules.features import element_of
from fieldgrad.chem.molecules.graph import MoleculeGraphs

__all__ = ["Domain", "Estimates"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimates:
    """Predictions of some molecules, a row for each SMILES that was asked for.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_tasks)
        Numbers, or probabilities of class 1; NaN for a row without a molecule.
    std : ndarray of shape (n_rows, n_tasks) or None
        Standard deviations, calibrated for numbers; None for a single network without variances.
    lower, upper : ndarray of shape (n_rows, n_tasks) or None
        Ends of the intervals; None for classes.
    notes : list of str
        For each row why it has no prediction, or why to be careful with it; mostly empty.
    n_bad : int
        Number of rows without a molecule.
    """

    values: Floats
    std: Floats | None
    lower: Floats | None
    upper: Floats | None
    notes: list[str]
    n_bad: int

    def columns(self, targets: Sequence[str]) -> dict[str, Floats]:
        """Give the numbers as named columns, those of one target side by side.

        Parameters
        ----------
        targets : sequence of str
            Names of the tasks.

        Returns
        -------
        dict of str to ndarray, shape (n_rows,)
            ``NAME_predicted`` and, where there are any, ``NAME_std``, ``NAME_lower``,
            ``NAME_upper``.
        """
        kinds = {
            "predicted": self.values, "std": self.std, "lower": self.lower, "upper": self.upper
        }  # fmt: skip
        return {
            f"{target}_{kind}": values[:, i]
            for i, target in enumerate(targets)
            for kind, values in kinds.items()
            if values is not None
        }


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
