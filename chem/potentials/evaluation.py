"""How good a potential is: errors of energies, forces, stresses, by element, beside a baseline."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.chem.potentials.potential import Prediction
from fieldgrad.chem.potentials.structures import Structures, symbols_of

__all__ = ["Errors", "compare"]


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
    rmse : float
        Root of the mean squared error.
    baseline_mae : float
        Mean absolute error of saying the mean, or no force: what there is to learn.
    """

    quantity: str
    unit: str
    n: int
    mae: float
    rmse: float
    baseline_mae: float

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
            _errors("energy", "meV", wanted, got, fit),
            _errors("energy of an atom", "meV", wanted / sizes, got / sizes, fit / sizes),
        ]
    forces = np.isfinite(truth.forces).all(axis=1)
    if forces.any():
        zero = np.zeros_like(truth.forces)
        errors.append(_errors("forces", "meV/Å", truth.forces, found.forces, zero, forces))
        for number in np.unique(truth.numbers[forces]):
            own = forces & (truth.numbers == number)
            name = f"forces on {symbols_of([number])[0]}"
            errors.append(_errors(name, "meV/Å", truth.forces, found.forces, zero, own))
    stress = truth.has("stresses") & found.has("stresses")
    if stress.any():
        wanted = truth.stresses[stress]
        mean = np.broadcast_to(wanted.mean(axis=0), wanted.shape)
        errors.append(_errors("stress", "meV/Å³", wanted, found.stresses[stress], mean))
    return errors


def _errors(
    quantity: str,
    unit: str,
    wanted: NDArray[np.float64],
    got: NDArray[np.float64],
    baseline: NDArray[np.float64],
    rows: Any = slice(None),
) -> Errors:
    error = 1e3 * (got[rows] - wanted[rows])
    plain = 1e3 * (baseline[rows] - wanted[rows])
    return Errors(
        quantity,
        unit,
        error.size,
        float(np.abs(error).mean()),
        float(np.sqrt((error**2).mean())),
        float(np.abs(plain).mean()),
    )
