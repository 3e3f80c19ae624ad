"""Descriptors of whole molecules: RDKit's list and Morgan fingerprints, and their scaling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine.errors import require

__all__ = ["DESCRIPTORS", "Descriptors", "Scaler", "describe", "n_descriptors"]

Descriptors = Literal["none", "rdkit2d", "morgan"]
DESCRIPTORS = ("none", "rdkit2d", "morgan")
MORGAN_BITS, MORGAN_RADIUS = 2048, 2


@cache
def _rdkit2d() -> tuple[Any, ...]:
    table = require("rdkit.Chem.Descriptors", extra="chem")
    # Extremes of one set of indices, which RDKit keeps with the molecule if it may.
    return tuple(
        partial(function, force=False) if name.endswith("EStateIndex") else function
        for name, function in table.descList
    )


@cache
def _morgan() -> Any:
    fingerprints = require("rdkit.Chem.rdFingerprintGenerator", extra="chem")
    return fingerprints.GetMorganGenerator(radius=MORGAN_RADIUS, fpSize=MORGAN_BITS)


def n_descriptors(kind: str) -> int:
    """Give the number of descriptors of one kind.

    Parameters
    ----------
    kind : {"none", "rdkit2d", "morgan"}
        The kind.

    Returns
    -------
    int
        For RDKit's list as many as the installed version has.
    """
    return {"none": 0, "morgan": MORGAN_BITS}.get(kind) or len(_rdkit2d()) * (kind == "rdkit2d")


def describe(molecules: Sequence[Any], kind: str) -> NDArray[Any]:
    """Compute descriptors.

    Parameters
    ----------
    molecules : sequence of rdkit.Chem.Mol
        The molecules.
    kind : {"rdkit2d", "morgan"}
        All descriptors in RDKit's ``Descriptors.descList``, or counts of the circular
        substructures of radius 2, folded to 2,048 places.

    Returns
    -------
    ndarray of shape (n_molecules, n_descriptors)
        In float64, NaN where a descriptor does not exist; Morgan counts in uint8.

    References
    ----------
    Rogers, Hahn, "Extended-connectivity fingerprints", J. Chem. Inf. Model. 50 (2010) 742,
    doi:10.1021/ci100050t.
    """
    if kind == "morgan":
        counts = [_morgan().GetCountFingerprintAsNumPy(mol) for mol in molecules]
        return np.minimum(np.array(counts).reshape(-1, MORGAN_BITS), 255).astype(np.uint8)
    functions = _rdkit2d()
    values = np.full((len(molecules), len(functions)), np.nan)
    for row, mol in zip(values, molecules, strict=True):
        for i, function in enumerate(functions):
            try:
                row[i] = function(mol)
            except (ValueError, RuntimeError, ZeroDivisionError, OverflowError):
                continue  # the descriptor does not exist for this molecule
    values[~np.isfinite(values)] = np.nan
    return values


@dataclass(frozen=True)
class Scaler:
    """How descriptors become inputs of a network: asinh, then mean 0 and standard deviation 1.

    Several of RDKit's descriptors span many powers of ten, which asinh makes linear.

    Parameters
    ----------
    mean, scale : ndarray of shape (n_descriptors,)
        Of asinh of the training set's descriptors.

    Examples
    --------
    >>> scaler = Scaler.fit(np.array([[0.0, 1.0], [2.0, np.nan]]))
    >>> scaler(np.array([[0.0, np.nan], [2.0, 1.0]])).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def fit(cls, values: NDArray[Any]) -> Scaler:
        """Measure the training set.

        Parameters
        ----------
        values : ndarray of shape (n_molecules, n_descriptors)
            Its descriptors; NaN are left out.

        Returns
        -------
        Scaler
            For this and other sets.
        """
        x = np.arcsinh(np.asarray(values, np.float64))
        there = np.isfinite(x)
        count = np.maximum(there.sum(axis=0), 1)
        mean = np.where(there, x, 0).sum(axis=0) / count
        spread = np.sqrt((np.where(there, x - mean, 0) ** 2).sum(axis=0) / count)
        return cls(mean, np.where(spread > 1e-8, spread, 1.0))

    def __call__(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Scale descriptors; missing ones become the mean, and none is further than 5 from it."""
        x = (np.arcsinh(np.asarray(values, np.float64)) - self.mean) / self.scale
        return np.clip(np.nan_to_num(x, nan=0.0), -5, 5).astype(np.float32)
