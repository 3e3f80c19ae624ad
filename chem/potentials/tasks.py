"""What recipes run on structures: train a potential and write down how good it is.

A recipe gives the keyword arguments, the command line adds ``run_dir`` and ``resume``. What a task
returns is printed.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.chem.potentials import report
from fieldgrad.chem.potentials.evaluation import Errors, compare
from fieldgrad.chem.potentials.forcefield import ForceLoss
from fieldgrad.chem.potentials.generate import generate
from fieldgrad.chem.potentials.io import Keys, Units, read_structures, write_structures
from fieldgrad.chem.potentials.painn import PaiNN
from fieldgrad.chem.potentials.potential import Potential, Prediction
from fieldgrad.chem.potentials.schnet import SchNet
from fieldgrad.chem.potentials.structures import Structures
from fieldgrad.chem.potentials.training import Fitted, fit_potential
from fieldgrad.engine.errors import DataError
from fieldgrad.engine.files import atomic_write
from fieldgrad.engine.nn.module import Parameter
from fieldgrad.engine.optim import AdamW, Optimizer
from fieldgrad.engine.train.budget import Plan
from fieldgrad.engine.train.folds import Fold
from fieldgrad.engine.train.schedules import cosine

__all__ = ["report_errors", "train_on_generated", "train_on_structures"]

log = logging.getLogger("fieldgrad.chem")

_BLOCKS = 5  # of neighbors in a trajectory, of which a fold consists


def train_on_structures(
    data: Path,
    *,
    run_dir: Path,
    test: Path | None = None,
    budget: str = "100 epochs",
    model: Callable[..., SchNet | PaiNN] = SchNet,
    optimizer: Callable[[Iterable[Parameter]], Optimizer] = AdamW,
    schedule: Callable[[float], float] = cosine,
    batch_size: int = 10,
    energy_weight: float = 0.01,
    force_weight: float = 0.99,
    stress_weight: float = 0.0,
    ema: float = 0.0,
    references: str | dict[str, float] = "least_squares",
    valid_part: float = 0.05,
    test_part: float = 0.05,
    n_networks: int = 1,
    energy_key: str | None = None,
    force_key: str | None = None,
    stress_key: str | None = None,
    energy_unit: str = "eV",
    length_unit: str = "Angstrom",
    force_unit: str = "",
    stress_unit: str = "",
    checks: bool = True,
    seed: int = 0,
    fold: str = "",
    resume: bool = False,
) -> str:
    """Train a potential on structures of a file.

    Parameters
    ----------
    data : Path
        Structures with energies, forces and maybe stresses; see `read_structures`.
    run_dir : Path
        Folder for the results: data.json (checksum and division), history.csv, model.safetensors,
        errors.csv, elements.csv, predictions.extxyz, parity.png, training.png.
    test : Path, optional
        Structures to evaluate on; a part of the data is held back otherwise.
    budget : str, default "100 epochs"
        Length of the training, or its time, such as "10min".
    model : callable, default SchNet
        The network.
    optimizer : callable, default AdamW
        Parameters to optimizer.
    schedule : callable, default cosine
        Progress to the factor of the learning rate.
    batch_size : int, default 10
        Structures in a step.
    energy_weight, force_weight, stress_weight : float, default 0.01, 0.99 and 0
        Weights of the mean squared errors (eV², eV²/Å², eV²/Å⁶).
    ema : float, default 0
        Decay of a running average of the weights, such as 0.999; 0 for none.
    references : str or dict of str to float, default "least_squares"
        Energies of atoms to subtract; see `fit_references`.
    valid_part, test_part : float, default 0.05
        Part of the structures, or from 1 on their number, held back in blocks of neighbors to watch
        the training and to evaluate on (unless `test` is given).
    n_networks : int, default 1
        Networks of a committee, which differ in their first weights and in the order of structures.
    energy_key, force_key, stress_key : str, optional
        Names in the file, where they are not the usual ones.
    energy_unit, length_unit : str, default "eV" and "Angstrom"
        Units of the file.
    force_unit, stress_unit : str, default ""
        The same, where they do not follow from the others.
    checks : bool, default True
        Look for wrong units and signs first.
    seed : int, default 0
        Seed of division, weights and order.
    fold : str, optional
        Evaluate on this fold of the structures, such as "2/5", and train without it;
        ``fieldgrad run RECIPE --folds 5`` runs all. Folds consist of blocks of neighbors.
    resume : bool, default False
        Continue the run in `run_dir`.

    Returns
    -------
    str
        What was trained, and its errors.

    Raises
    ------
    FileError
        If a file is missing or damaged.
    DataError
        If the structures cannot be what they say, or have changed since the run began.
    """
    Plan(budget, 1)  # a mistake in it shall not wait for the data
    units = Units(energy_unit, length_unit, force_unit, stress_unit)
    keys = Keys(energy_key, force_key, stress_key)
    structures = read_structures(data, keys=keys, units=units)
    held_out = None if test is None else read_structures(test, keys=keys, units=units)
    if fold and held_out is not None:
        raise DataError("fold and test are both given; a fold is what to evaluate on. Leave one.")
    train, held_out, numbers = _divided(structures, held_out, fold, seed)
    fitted = fit_potential(
        train,
        run_dir=run_dir,
        budget=budget,
        model=model,
        optimizer=optimizer,
        schedule=schedule,
        batch_size=batch_size,
        loss=ForceLoss(energy_weight, force_weight, stress_weight),
        ema=ema,
        references=references,
        held_back=(valid_part, 0.0 if held_out is not None else test_part),
        n_networks=n_networks,
        checks=checks,
        seed=seed,
        resume=resume,
    )
    return _finish(fitted, fitted.test if held_out is None else held_out, run_dir, fold, numbers)


def train_on_generated(
    *,
    run_dir: Path,
    system: str = "ethanol",
    method: str = "gfn2",
    n_structures: int = 1000,
    temperatures: Sequence[float] = (500.0,),
    strain: float = 0.0,
    budget: str = "100 epochs",
    model: Callable[..., SchNet | PaiNN] = SchNet,
    optimizer: Callable[[Iterable[Parameter]], Optimizer] = AdamW,
    schedule: Callable[[float], float] = cosine,
    batch_size: int = 10,
    energy_weight: float = 0.01,
    force_weight: float = 0.99,
    stress_weight: float = 0.0,
    ema: float = 0.0,
    valid_part: float = 0.05,
    test_part: float = 0.1,
    n_networks: int = 1,
    seed: int = 0,
    fold: str = "",
    resume: bool = False,
) -> str:
    """Make structures by molecular dynamics with a fast method, and train a potential on them.

    Parameters
    ----------
    run_dir : Path
        Folder for the results: structures.extxyz, and as for `train_on_structures`.
    system, method : str, default "ethanol" and "gfn2"
        What is simulated and with which energies; see `generate`.
    n_structures : int, default 1000
        How many.
    temperatures : sequence of float, default (500,)
        K; an equal number of structures at each.
    strain : float, default 0
        Largest random strain of a crystal's cell.
    budget : str, default "100 epochs"
        Length of the training, or its time.
    model, optimizer, schedule : callable
        As for `train_on_structures`.
    batch_size : int, default 10
        As for `train_on_structures`.
    energy_weight, force_weight, stress_weight : float, default 0.01, 0.99 and 0
        As for `train_on_structures`.
    ema : float, default 0
        As for `train_on_structures`.
    valid_part, test_part : float, default 0.05 and 0.1
        As for `train_on_structures`.
    n_networks : int, default 1
        As for `train_on_structures`.
    seed : int, default 0
        Seed of everything.
    fold : str, optional
        As for `train_on_structures`; all folds are of the same structures.
    resume : bool, default False
        Continue the run in `run_dir`.

    Returns
    -------
    str
        What was trained, and its errors.

    Raises
    ------
    DataError
        If the system or method is unknown.
    MissingExtra
        If the method's library is not installed.
    """
    Plan(budget, 1)
    made = (run_dir.parent if fold else run_dir) / "structures.extxyz"
    if not made.exists():
        log.info("simulating %s with %s: %d structures", system, method, n_structures)
        write_structures(
            generate(
                system, method, n_structures, temperatures=temperatures, strain=strain, seed=seed
            ),
            made,
        )
    train, test, numbers = _divided(read_structures(made), None, fold, seed)
    fitted = fit_potential(
        train,
        run_dir=run_dir,
        budget=budget,
        model=model,
        optimizer=optimizer,
        schedule=schedule,
        batch_size=batch_size,
        loss=ForceLoss(energy_weight, force_weight, stress_weight),
        ema=ema,
        held_back=(valid_part, test_part if test is None else 0.0),
        n_networks=n_networks,
        seed=seed,
        resume=resume,
    )
    return _finish(fitted, fitted.test if test is None else test, run_dir, fold, numbers)


def report_errors(potential: Potential, structures: Structures, folder: Path) -> list[Errors]:
    """Compare predictions with what is known of structures, and write it down.

    Parameters
    ----------
    potential : Potential
        The potential.
    structures : Structures
        With energies, forces or stresses.
    folder : Path
        For errors.csv, elements.csv, predictions.extxyz and parity.png.

    Returns
    -------
    list of Errors
        Of each quantity, and of the forces on each element.
    """
    prediction = potential.predict(structures)
    errors = compare(structures, prediction)
    _write_csv([entry.row() for entry in errors], folder / "errors.csv")
    write_structures(prediction.structures, folder / "predictions.extxyz")
    report.plot_parity(structures, prediction, folder / "parity.png")
    return errors


def _write_csv(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    with atomic_write(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _divided(
    structures: Structures, test: Structures | None, fold: str, seed: int
) -> tuple[Structures, Structures | None, NDArray[np.int64]]:
    """Give the structures to train on, those of the fold, and the places of these."""
    if not fold:
        return structures, test, np.arange(0)
    one, n = Fold.parse(fold), len(structures)
    blocks = np.arange(n) * one.n_folds * _BLOCKS // n
    rows, numbers = one.divide(n, groups=blocks.tolist(), seed=seed)
    return structures[rows], structures[numbers], numbers


def _finish(
    fitted: Fitted, test: Structures, run_dir: Path, fold: str, numbers: NDArray[np.int64]
) -> str:
    """Draw the curves, compare with the structures held back, and sum it up."""
    potential, history = fitted.potential, fitted.histories[0]
    report.plot_history(history, run_dir / "training.png")
    errors = report_errors(potential, test, run_dir) if len(test) else []
    if fold:
        _write_fold(Fold.parse(fold), run_dir, errors, test, potential.predict(test), numbers)
    n = len(potential.networks)
    lines = [
        f"\nTrained {potential.networks[0].n_parameters():,} weights ({potential.model}"
        f"{f', {n} networks' if n > 1 else ''}) for {history[-1]['step']:.0f} steps, "
        f"{history[-1]['seconds']:.0f} s{' each' if n > 1 else ''}.",
        f"References: {potential.references}",
        "",
        report.table(errors) if errors else "Nothing was held back to test on.",
        "",
        f"Use it: fieldgrad chem md STRUCTURE -m {run_dir / 'model.safetensors'}",
    ]
    return "\n".join(lines)


def _write_fold(
    fold: Fold,
    run_dir: Path,
    errors: Sequence[Errors],
    test: Structures,
    prediction: Prediction,
    numbers: NDArray[np.int64],
) -> None:
    """Write the errors of a fold, and of each of its structures, by its place in the data."""
    scores = {f"{e.quantity.replace(' ', '_')}_mae_{e.unit}": e.mae for e in errors}
    found = prediction.structures
    off = np.abs(found.forces - test.forces).mean(axis=1)
    force_mae = np.add.reduceat(off, test.offsets[:-1]) / test.sizes
    columns = {
        "structure": numbers,
        "energy_ev": test.energies.round(6),
        "predicted_energy_ev": found.energies.round(6),
        "force_mae_ev_per_angstrom": force_mae.round(6),
    }
    rows = zip(*(values.tolist() for values in columns.values()), strict=True)
    fold.write(run_dir, scores, (dict(zip(columns, row, strict=True)) for row in rows))
