"""Three lines to a trained potential: a learner for structures with energies and forces.

>>> from fieldgrad import chem
>>> learner = chem.potential("ethanol.extxyz", run_dir="runs/ethanol")  # doctest: +SKIP
>>> learner.fit_one_cycle("10min", learner.lr_find().suggestion)  # doctest: +SKIP
>>> learner.save("ethanol.safetensors")  # doctest: +SKIP

The file is for ``Potential.load``, the ASE calculator and ``fieldgrad chem md``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from fieldgrad.chem.potentials.forcefield import ForceLoss
from fieldgrad.chem.potentials.io import read_structures
from fieldgrad.chem.potentials.potential import MODELS, build
from fieldgrad.chem.potentials.structures import Structures
from fieldgrad.chem.potentials.training import (
    new_potential,
    potential_learner,
    prepare,
    settings_of,
)
from fieldgrad.engine.ops.random import manual_seed
from fieldgrad.engine.optim import AdamW
from fieldgrad.engine.train import Learner
from fieldgrad.engine.train.schedules import cosine

__all__ = ["potential"]


def potential(
    data: str | os.PathLike[str] | Structures | Sequence[Any],
    *,
    run_dir: str | os.PathLike[str] | None = None,
    model: str = "schnet",
    settings: Mapping[str, Any] | None = None,
    held_back: float = 0.05,
    batch_size: int = 10,
    lr: float = 1e-3,
    energy_weight: float = 0.01,
    force_weight: float = 0.99,
    stress_weight: float = 0.0,
    references: str | Mapping[str, float] = "least_squares",
    schedule: Callable[[float], float] = cosine,
    checks: bool = True,
    seed: int = 0,
) -> Learner:
    """Make the learner that trains a potential on structures.

    Parameters
    ----------
    data : str, os.PathLike, Structures or sequence of ase.Atoms
        Structures with energies and forces, eV and Å; a file as for `read_structures`.
    run_dir : str or os.PathLike, optional
        Folder for checkpoints, logs and pictures; without it nothing is written.
    model : {"schnet", "painn"}, default "schnet"
        The network; PaiNN, which sees angles, makes smaller errors and takes longer.
    settings : mapping, optional
        Its keyword arguments, where they shall not be the usual ones: 64 features, three exchanges
        of messages, a cutoff of 5 Å.
    held_back : float, default 0.05
        Part of the structures, or from 1 on their number, to validate on, in blocks of neighbors.
    batch_size : int, default 10
        Structures in a step.
    lr : float, default 1e-3
        Learning rate of AdamW; with ``learner.fit`` it falls as `schedule` says.
    energy_weight, force_weight, stress_weight : float, default 0.01, 0.99 and 0
        Weights of the mean squared errors (eV², eV²/Å², eV²/Å⁶).
    references : str or mapping of str to float, default "least_squares"
        Energies of atoms to subtract; see `fit_references`.
    schedule : callable, default cosine
        Progress to the factor of the learning rate.
    checks : bool, default True
        Look for wrong units and signs first.
    seed : int, default 0
        Seed of division, weights and order.

    Returns
    -------
    Learner
        For ``fit``, ``fit_one_cycle``, ``lr_find``; its ``save`` writes the Potential.

    Raises
    ------
    FileError
        If the file is missing or damaged.
    DataError
        If the structures cannot be what they say, or there is no such network.
    """
    if isinstance(data, str | os.PathLike):
        structures = read_structures(data)
    elif isinstance(data, Structures):
        structures = data
    else:
        structures = Structures.from_atoms(data)
    folder = None if run_dir is None else Path(run_dir)
    loss = ForceLoss(energy_weight, force_weight, stress_weight)
    chosen = {**usual_settings(model), **(settings or {})}
    manual_seed(seed)
    network = build(model, chosen)
    given = settings_of(partial(MODELS[model], **chosen))
    prepared = prepare(
        structures, given["cutoff"], run_dir=folder, held_back=(held_back, 0),
        references=references, loss=loss, checks=checks, seed=seed,
    )  # fmt: skip
    return potential_learner(
        new_potential([network], given, prepared, stress=loss.stress > 0),
        0,
        prepared,
        run_dir=folder,
        optimizer=partial(AdamW, lr=lr, weight_decay=0.0),
        loss=loss,
        schedule=schedule,
        batch_size=batch_size,
        seed=seed,
    )


def usual_settings(model: str) -> dict[str, Any]:
    """Give the settings of a network that trains in minutes on two cores.

    Parameters
    ----------
    model : str
        "schnet" or "painn".

    Returns
    -------
    dict
        Keyword arguments.
    """
    settings: dict[str, Any] = {"n_features": 64, "n_interactions": 3, "cutoff": 5.0}
    return settings | {"n_basis": 25} if model == "schnet" else settings
