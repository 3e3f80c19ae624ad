"""How good a potential is: errors of energies, forces, stresses, by element, beside a baseline."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.chem.potentials.potential import Prediction
from fieldgrad.chem.potentials.structures import Structures, symbols_of

__all__ = ["Errors", "compare"]

N_RESAMPLED = 1000


@dataclass(frozen=True)
class Errors:
    """Errors of one quantity.

    Parameters
    ----------
    quantity : str
        Such as "energy", or "forces on C".
    unit : str
        Of both errors.
    n : int
        How many numbers were compared.
    mae : float
        Mean absolute error.
    low, high : float
        Its 95 % interval, from resampling whole structures; NaN for a single one.
    rmse : float
        Root of the mean squared error.
    baseline_mae : float
        Mean absolute error of saying the mean, or no force: what there is to learn.
    """

    quantity: str
    unit: str
    n: int
    mae: float
    low: float
    high: float
    rmse: float
    baseline_mae: float

    @property
    def interval(self) -> str:
        """The interval in words."""
        return "n/a" if np.isnan(self.low) else f"{self.low:.4g} to {self.high:.4g}"

    def row(self) -> dict[str, Any]:
        """Give it as a row of a table.

        Returns
        -------
        dict
            By the names of the parameters.
        """
        return asdict(self)


def compare(truth: Structures, prediction: Prediction) -> list[Errors]:
    """Compare what a potential says with what was computed.

    Parameters
    ----------
    truth : Structures
        With energies, forces or stresses; what is not there is not compared.
    prediction : Prediction
        Of these structures.

    Returns
    -------
    list of Errors
        Energy of a structure and of an atom, force components, those on each element, stress.
    """
    found = prediction.structures
    errors = []
    energy = truth.has("energies")
    if energy.any():
        wanted, got, sizes = truth.energies[energy], found.energies[energy], truth.sizes[energy]
        # What a fit of the composition leaves: energies of other molecules differ for that alone.
        counts, _ = truth[energy].compositions()
        fit = counts @ np.linalg.lstsq(counts, wanted, rcond=None)[0]
        errors += [
            _errors("energy", "meV", got - wanted, fit - wanted),
            _errors("energy of an atom", "meV", (got - wanted) / sizes, (fit - wanted) / sizes),
        ]
    forces = np.isfinite(truth.forces).all(axis=1)
    if forces.any():
        numbers = np.unique(truth.numbers[forces])
        of_element = [(f" on {symbols_of([k])[0]}", forces & (truth.numbers == k)) for k in numbers]
        errors += [
            _errors(
                f"forces{name}", "meV/Å", (found.forces - truth.forces)[own], -truth.forces[own],
                truth.structure_ids[own],
            )
            for name, own in [("", forces), *of_element]
        ]  # fmt: skip
    stress = truth.has("stresses") & found.has("stresses")
    if stress.any():
        wanted = truth.stresses[stress]
        mean = wanted.mean(axis=0)
        errors.append(_errors("stress", "meV/Å³", found.stresses[stress] - wanted, mean - wanted))
    return errors


def _errors(
    quantity: str,
    unit: str,
    errors: NDArray[np.float64],
    baseline: NDArray[np.float64],
    structure_ids: NDArray[np.int64] | None = None,
) -> Errors:
    """Sum up errors in eV: a row for each structure, or for an atom of those that are given."""
    size = np.abs(1e3 * errors).reshape(len(errors), -1).mean(axis=1)
    if structure_ids is None:
        structure_ids = np.arange(len(errors))
    _, ids = np.unique(structure_ids, return_inverse=True)
    low, high = _interval(
        np.bincount(ids, size).astype(np.float64), np.bincount(ids).astype(np.float64)
    )
    return Errors(
        quantity, unit, errors.size, float(size.mean()), low, high,
        float(1e3 * np.sqrt((errors**2).mean())), float(1e3 * np.abs(baseline).mean()),
    )  # fmt: skip


def _interval(sums: NDArray[np.float64], counts: NDArray[np.float64]) -> tuple[float, float]:
    """Percentiles of the mean over resampled structures: atoms of one structure err together."""
    n = len(sums)
    if n < 2:
        return float("nan"), float("nan")
    rng = np.random.default_rng(0)
    weights = rng.multinomial(n, np.full(n, 1 / n), N_RESAMPLED)
    low, high = np.percentile(weights @ sums / (weights @ counts), [2.5, 97.5])
    return float(low), float(high)
