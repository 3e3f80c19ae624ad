"""Three lines to a model of a table of yours: a learner for its labels, the molecules prepared.

>>> from fieldgrad import chem
>>> learner = chem.predictor("esol.csv", "logS")  # doctest: +SKIP
>>> learner.fit_one_cycle("2min", learner.lr_find().suggestion)  # doctest: +SKIP
>>> learner.save("solubility.safetensors")  # doctest: +SKIP

The file is for ``chem.Predictor.load`` and ``fieldgrad chem predict``.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from fieldgrad.chem.molecules.descriptors import Descriptors
from fieldgrad.chem.molecules.featurize import Featurizer, cache_folder
from fieldgrad.chem.molecules.fitting import TrainingData, predictor_learner, prepare
from fieldgrad.chem.molecules.labeled import (
    LabeledTable,
    divide,
    read_labeled,
    summary,
    write_record,
)
from fieldgrad.chem.molecules.predictor import Predictor
from fieldgrad.chem.molecules.splits import Split
from fieldgrad.engine.nn.module import Module
from fieldgrad.engine.train import Learner

__all__ = ["predictor", "prepare_predictor"]

log = logging.getLogger("fieldgrad.chem")


def predictor(
    data: str | os.PathLike[str],
    targets: str | Sequence[str],
    *,
    smiles_column: str = "smiles",
    run_dir: str | os.PathLike[str] | None = None,
    task: Literal["auto", "regression", "classification"] = "auto",
    split: Literal["random", "scaffold", "kmeans"] = "random",
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    model: Literal["dmpnn", "fingerprint_mlp"] | Callable[..., Module] = "dmpnn",
    descriptors: Descriptors = "none",
    variance: bool = False,
    class_weights: bool = False,
    batch_size: int = 32,
    lr: float = 2e-3,
    cache: bool = True,
    seed: int = 0,
) -> Learner:
    """Read and divide a table of molecules, and make the learner of a model of its labels.

    Parameters
    ----------
    data : str or os.PathLike
        CSV, SDF or Parquet file. Rows whose SMILES RDKit refuses are left out, and logged.
    targets : str or sequence of str
        Column or columns with labels; empty cells are missing labels.
    smiles_column : str, default "smiles"
        Column with the SMILES.
    run_dir : str or os.PathLike, optional
        Folder for checkpoints, logs and pictures; without it nothing is written.
    task : {"auto", "regression", "classification"}, default "auto"
        What the labels are; see `Predictor`.
    split : {"random", "scaffold", "kmeans"}, default "random"
        How to divide the molecules; copies of one molecule stay together.
    fractions : sequence of 3 float, default (0.8, 0.1, 0.1)
        Parts for training, validation and test. The test part is left alone:
        ``fieldgrad chem evaluate`` finds it again by the saved model.
    model : {"dmpnn", "fingerprint_mlp"} or callable, default "dmpnn"
        The network; see `Predictor`.
    descriptors : {"none", "rdkit2d", "morgan"}, default "none"
        What the network sees of the whole molecule besides its graph.
    variance : bool, default False
        Let the network predict a variance for each number.
    class_weights : bool, default False
        Let the classes of a task count as much as each other.
    batch_size : int, default 32
        Molecules in a step.
    lr : float, default 2e-3
        Highest learning rate of Adam, if the verb gives none; ``learner.fit`` takes one cycle.
    cache : bool, default True
        Keep what was computed of the molecules for the next time.
    seed : int, default 0
        Seed of split, weights and order.

    Returns
    -------
    Learner
        For ``fit``, ``fit_one_cycle``, ``lr_find``; its ``save`` calibrates on the validation part
        and writes the model file.

    Raises
    ------
    FileError, DataError
        If the table cannot be used.
    """
    made = Predictor(
        model=model,
        descriptors=descriptors,
        task=task,
        variance=variance,
        class_weights=class_weights,
        batch_size=batch_size,
        lr=lr,
        seed=seed,
    )
    kinds = {*made.kinds(), *(("morgan",) if split == "kmeans" else ())}
    folder = cache_folder() if cache else None
    with Featurizer(descriptors=kinds, identity=True, cache=folder) as read:
        found = read_labeled(
            Path(data),
            read,
            smiles_column=smiles_column,
            targets=[targets] if isinstance(targets, str) else list(targets),
            task=task,
        )
    divided = divide(found, split=split, fractions=fractions, seed=seed)
    for line in summary(found, divided):
        log.info("%s", line)
    place = None if run_dir is None else Path(run_dir)
    training = prepare_predictor(made, found, divided, smiles_column, place)
    return predictor_learner(made, training, 0, run_dir=place)


def prepare_predictor(
    predictor: Predictor,
    found: LabeledTable,
    split: Split,
    smiles_column: str,
    run_dir: Path | None,
    notes: dict[str, str] | None = None,
) -> TrainingData:
    """Let a Predictor measure a table, and put on record what it is trained on.

    Parameters
    ----------
    predictor : Predictor
        Not trained yet.
    found : LabeledTable
        The table.
    split : Split
        Positions of the molecules of each part.
    smiles_column : str
        Column with the SMILES.
    run_dir : Path or None
        Folder for data.json, split.json and problems.csv.
    notes : dict of str to str, optional
        What else to keep in the model file.

    Returns
    -------
    TrainingData
        For training.

    Raises
    ------
    DataError
        If a part has no labeled molecule, or the run in this folder began with another table.
    """
    predictor.targets = list(found.targets)
    predictor.about = (notes or {}) | {
        "data": found.path.name,
        "sha256": found.sha256,
        "smiles_column": smiles_column,
        "test rows": json.dumps(found.molecules.rows[split.test].tolist()),
    }
    training = prepare(predictor, found.molecules, found.labels, split.train, split.val)
    if run_dir is not None:
        write_record(found, split, run_dir)
    return training
