"""Errors of potentials for ethanol after 100 and 200 epochs.

rMD17 ethanol: 950 structures to train on, 50 to watch, 500 others to test. Set FIELDGRAD_DATA to
a folder with chem/md/ethanol_rmd17_train.extxyz and …_test_a.extxyz (Christensen and von
Lilienfeld, 2020). AdamW, 1e-3 falling as a cosine, batches of 10, loss 0.01 of energies, 0.99 of
forces. Without it there are no rows: `make bench` takes its minutes elsewhere.
"""

import os
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import fieldgrad.engine as fg
from benchmarks.runner import Row
from fieldgrad.chem.potentials.evaluation import compare
from fieldgrad.chem.potentials.forcefield import ForceLoss
from fieldgrad.chem.potentials.graphs import PairData
from fieldgrad.chem.potentials.io import read_structures
from fieldgrad.chem.potentials.potential import MODELS, Potential
from fieldgrad.chem.potentials.references import fit_references
from fieldgrad.chem.potentials.training import Prepared, new_potential, potential_learner
from fieldgrad.engine.train.schedules import cosine

FOLDER = Path(os.environ.get("FIELDGRAD_DATA", "no data")) / "chem" / "md"
SCHNET = {"n_features": 64, "n_interactions": 3, "n_basis": 25, "cutoff": 5.0}
PAINN = {"n_features": 64, "n_interactions": 3, "n_basis": 20, "cutoff": 5.0}
# Network, settings, epochs, and the errors we want at most: energies (meV), forces (meV/Å).
RUNS: tuple[tuple[str, dict[str, Any], int, tuple[float, float] | None], ...] = (
    ("schnet", SCHNET, 100, (25.0, 57.0)),
    ("painn", PAINN, 100, None),
    ("painn", PAINN, 200, None),
)


def train(model: str, settings: dict[str, Any], epochs: int, folder: Path) -> Potential:
    """Train a potential."""
    structures = read_structures(FOLDER / "ethanol_rmd17_train.extxyz")
    parts = structures[:950], structures[950:]
    references = fit_references(parts[0])
    pairs = (PairData(p, settings["cutoff"], references.of_structures(p)) for p in parts)
    data = Prepared(*pairs, structures[:0], references, structures.digest())
    fg.manual_seed(0)
    potential = new_potential([MODELS[model](**settings)], settings, data, stress=False)
    learner = potential_learner(
        potential,
        0,
        data,
        run_dir=folder / f"{model}-{epochs}",
        optimizer=partial(fg.optim.AdamW, lr=1e-3, weight_decay=0.0),
        loss=ForceLoss(0.01, 0.99),
        schedule=cosine,
    )
    learner.fit(f"{epochs} epochs")
    return potential


def rows(threads: int, seconds: float) -> Iterator[Row]:
    """Train each network, and test it."""
    if not FOLDER.is_dir():
        return
    test = read_structures(FOLDER / "ethanol_rmd17_test_a.extxyz")
    with tempfile.TemporaryDirectory() as folder:
        for model, settings, epochs, wanted in RUNS:
            potential = train(model, settings, epochs, Path(folder))
            name = f"{model}, {potential.networks[0].n_parameters():,} weights, {epochs} epochs"
            found = {e.quantity: e for e in compare(test, potential.predict(test))}
            for quantity, limit in zip(("energy", "forces"), wanted or (None, None), strict=True):
                e = found[quantity]
                yield Row(
                    f"{name}: {quantity}, MAE", e.mae, e.unit, "no force, or the mean energy",
                    e.baseline_mae, None if limit is None else limit / e.mae,
                    None if limit is None else 1.0,
                )  # fmt: skip
