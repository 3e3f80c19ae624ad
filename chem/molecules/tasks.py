"""What recipes run on molecules: train on a table, compare with a random forest, write it all down.

Each task is a plain function; a recipe gives its keyword arguments, the command line adds
``run_dir`` and ``resume``. What a task returns is printed.
"""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fieldgrad.chem.molecules.baselines import mean_predictions, random_forest_predictions
from fieldgrad.chem.molecules.calibration import Calibration
from fieldgrad.chem.molecules.descriptors import Descriptors
from fieldgrad.chem.molecules.estimates import cells, likeliest
from fieldgrad.chem.molecules.featurize import Featurizer, Molecules, cache_folder
from fieldgrad.chem.molecules.fitting import fit_networks
from fieldgrad.chem.molecules.labeled import LabeledTable, divide, read_labeled, summary
from fieldgrad.chem.molecules.labels import Labels
from fieldgrad.chem.molecules.learners import prepare_predictor
from fieldgrad.chem.molecules.metrics import scores
from fieldgrad.chem.molecules.predictor import Predictor
from fieldgrad.chem.molecules.report import Evaluation, errors_by_scaffold, plot_all, plot_learning
from fieldgrad.chem.molecules.splits import Split
from fieldgrad.chem.molecules.tables import CSVWriter, write_csv
from fieldgrad.engine.errors import DataError, require
from fieldgrad.engine.nn.module import Module
from fieldgrad.engine.train.folds import Fold
from fieldgrad.engine.train.precision import MixedPrecision

__all__ = ["evaluate_properties", "train_properties"]

log = logging.getLogger("fieldgrad.chem")

Floats = NDArray[np.float64]

# More molecules than this, and the random forest gets fingerprints instead of RDKit's descriptors,
# which take 5 to 10 ms for each.
_MANY = 5000


def train_properties(
    data: Path,
    *,
    run_dir: Path,
    targets: Sequence[str],
    smiles_column: str = "smiles",
    task_type: Literal["auto", "regression", "classification"] = "auto",
    split: Literal["random", "scaffold", "kmeans"] = "random",
    split_column: str = "",
    split_file: str = "",
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    model: Literal["dmpnn", "fingerprint_mlp"] | Callable[..., Module] = "dmpnn",
    descriptors: Descriptors = "none",
    n_models: int = 1,
    variance: bool = False,
    class_weights: bool = False,
    epochs: int = 50,
    batch_size: int = 32,
    lr: float = 2e-3,
    baseline: Literal["auto", "rdkit2d", "morgan", "none"] = "auto",
    cache: bool = True,
    n_workers: int | None = None,
    precision: Literal["float32", "auto", "bfloat16"] = "float32",
    seed: int = 0,
    fold: str = "",
    resume: bool = False,
) -> str:
    """Train a property model on a table of molecules and test it on molecules held back.

    Parameters
    ----------
    data : Path
        CSV, SDF or Parquet file; see `tables.Table`.
    run_dir : Path
        Folder for the results: model.safetensors, split.json, problems.csv, metrics.csv,
        predictions.csv of the test part, history.csv and pictures.
    targets : sequence of str
        Columns with labels; empty cells are missing labels.
    smiles_column : str, default "smiles"
        Column with the SMILES.
    task_type : {"auto", "regression", "classification"}, default "auto"
        What the labels are; auto takes labels that are all 0 or 1, or words, for classes, and
        classification takes whole numbers for classes too.
    split : {"random", "scaffold", "kmeans"}, default "random"
        How to divide the molecules; copies of one molecule always stay together.
    split_column : str, optional
        Column that says train, val or test, instead.
    split_file : str, optional
        File of an earlier run, or of chemprop, that lists the rows of each part, instead.
    fractions : sequence of 3 float, default (0.8, 0.1, 0.1)
        Parts for training, validation and test.
    model : {"dmpnn", "fingerprint_mlp"} or callable, default "dmpnn"
        The network; see `Predictor`.
    descriptors : {"none", "rdkit2d", "morgan"}, default "none"
        What the network sees of the whole molecule besides its graph.
    n_models : int, default 1
        Networks of an ensemble.
    variance : bool, default False
        Let the network predict a variance for each number.
    class_weights : bool, default False
        Let the classes of a task count as much as each other, however frequent they are.
    epochs : int, default 50
        How often each training molecule is seen.
    batch_size : int, default 32
        Molecules in a step.
    lr : float, default 2e-3
        Highest learning rate, that of one cycle.
    baseline : {"auto", "rdkit2d", "morgan", "none"}, default "auto"
        Descriptors of the random forest beside the network; auto: RDKit's up to 5,000 molecules,
        fingerprints for more.
    cache : bool, default True
        Keep what was computed of the molecules for the next run, in ``~/.cache/fieldgrad/chem``.
    n_workers : int, optional
        Processes that read molecules; one for each core if left out.
    precision : {"float32", "auto", "bfloat16"}, default "float32"
        Of large products; auto takes bfloat16 where the machine is faster in it
        (`engine.train.MixedPrecision`).
    seed : int, default 0
        Seed of split, weights, order and forest.
    fold : str, optional
        Test on this fold of a cross-validation, such as "2/5", instead of the part that `split`
        gives; of scaffolds if `split` is "scaffold". ``fieldgrad run RECIPE --folds 5`` runs all.
    resume : bool, default False
        Continue the run in `run_dir`.

    Returns
    -------
    str
        What was trained and how good it is.

    Raises
    ------
    FileError
        If the table or the split file cannot be read.
    DataError
        If a column is missing, a label is no number, or too few molecules are left.
    """
    predictor = Predictor(
        model=model,
        descriptors=descriptors,
        task=task_type,
        n_models=n_models,
        variance=variance,
        class_weights=class_weights,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        seed=seed,
    )
    kinds = {*predictor.kinds(), *(("morgan",) if split == "kmeans" else ())}
    found = read_labeled(
        data, partial(_read_molecules, kinds, baseline, cache, n_workers),
        smiles_column=smiles_column, targets=targets, task=task_type, split_column=split_column,
    )  # fmt: skip
    divided = divide(
        found, split=split, split_column=split_column, split_file=split_file, fractions=fractions,
        seed=seed, fold=fold,
    )  # fmt: skip
    said = summary(found, divided)
    log.info("%s", said[0])
    recipe = run_dir / "recipe.toml"
    notes = {"recipe": recipe.read_text(encoding="utf-8")} if recipe.exists() else {}
    training = prepare_predictor(predictor, found, divided, smiles_column, run_dir, notes)
    fit_networks(
        predictor, training, run_dir=run_dir, resume=resume, notes=notes,
        callbacks=[MixedPrecision(precision)],
    )  # fmt: skip
    predictor.save(run_dir / "model.safetensors")
    write_csv(
        run_dir / "history.csv",
        [{"network": i, **row} for i, rows in enumerate(predictor.history) for row in rows],
    )
    plot_learning(predictor.history, run_dir / "learning.png")
    lines = [
        "",
        *said,
        f"Trained {sum(n.n_parameters() for n in predictor.networks):,} weights for {epochs} "
        f"epochs ({sum(rows[-1]['seconds'] for rows in predictor.history):.0f} s).",
    ]
    if len(divided.test):
        kind = _forest_kind(baseline, found.n_rows)
        forest = None
        if kind != "none":
            x, train = found.molecules.descriptors[kind], training.train
            log.info("random forest on %s", kind)
            forest = random_forest_predictions(
                x[train], found.labels.take(train), x[divided.test], seed=seed
            )
        lines += _test(predictor, found, divided, forest, kind, run_dir)
    if fold:
        _write_fold(Fold.parse(fold), run_dir)
    lines += [
        f"Predict:  fieldgrad chem predict new.csv -m {run_dir / 'model.safetensors'} -o out.csv",
        "",
    ]
    return "\n".join(lines)


def evaluate_properties(
    data: Path,
    predictor: Predictor,
    *,
    out: Path,
    smiles_column: str | None = None,
    all_rows: bool = False,
) -> list[dict[str, Any]]:
    """Compare predictions with the labels of a table, and draw them.

    Parameters
    ----------
    data : Path
        CSV, SDF or Parquet file with columns of the model's targets.
    predictor : Predictor
        The model.
    out : Path
        Folder for metrics.csv, predictions.csv and pictures.
    smiles_column : str, optional
        Column with the SMILES; that of the training if left out.
    all_rows : bool, default False
        Of the table that the model was trained on, take all rows instead of the test part.

    Returns
    -------
    list of dict
        A row of scores for each target; see `metrics.scores`.

    Raises
    ------
    DataError
        If a column is missing, no molecule is left, or the table is that of the training and
        nothing was held back.
    """
    column = smiles_column or predictor.about.get("smiles_column", "smiles")
    with Featurizer(descriptors=predictor.kinds(), identity=True) as read:
        found = read_labeled(
            data, read, smiles_column=column, targets=predictor.targets, task=predictor.task,
            classes=predictor.classes,
        )  # fmt: skip
    rows = np.arange(len(found.molecules))
    if found.sha256 == predictor.about.get("sha256") and not all_rows:
        held_back = json.loads(predictor.about["test rows"])
        rows = np.flatnonzero(np.isin(found.molecules.rows, held_back))
        if not len(rows):
            raise DataError(
                f"{data} is the table that the model was trained on, and no row of it was held "
                "back. Evaluate another table, or all rows with --all."
            )
    evaluation, results = _evaluate(predictor, found, rows, out)
    write_csv(out / "metrics.csv", results)
    plot_all(evaluation, out, None)
    return results


def _read_molecules(
    kinds: set[str], baseline: str, cache: bool, n_workers: int | None, smiles: Sequence[str]
) -> Molecules:
    """Read molecules with what network, split and random forest want to know of them."""
    forest = {_forest_kind(baseline, len(smiles))} - {"none"}
    with (
        Featurizer(
            descriptors=kinds | forest,
            identity=True,
            n_workers=n_workers,
            cache=cache_folder() if cache else None,
        ) as featurizer,
        ThreadPoolExecutor(1) as aside,
    ):
        # The import takes seconds in which other processes read molecules.
        library = aside.submit(require, "sklearn.ensemble", extra="chem") if forest else None
        molecules = featurizer(smiles)
        if library is not None:
            library.result()
    return molecules


def _forest_kind(baseline: str, n_rows: int) -> str:
    if baseline != "auto":
        return baseline
    return "rdkit2d" if n_rows <= _MANY else "morgan"


def _evaluate(
    predictor: Predictor,
    found: LabeledTable,
    rows: NDArray[np.int64],
    out: Path,
    forest: Floats | None = None,
) -> tuple[Evaluation, list[dict[str, Any]]]:
    """Predict some of the molecules, and write predictions and what follows from them."""
    part = found.molecules.take(rows)
    estimates = predictor.estimate(part, len(part))
    labels = found.labels.take(rows)
    results = _scores(predictor, labels, estimates.values)
    known = predictor.calibration if isinstance(predictor.calibration, Calibration) else None
    own = None if known is None or estimates.std is None else estimates.std / known.scale
    evaluation = Evaluation(predictor.targets, labels, estimates.values, own, known, part.scaffolds)
    columns = estimates.columns(predictor.targets)
    if forest is not None:
        theirs = likeliest(forest, predictor.classes) if predictor.classes else forest
        columns |= {f"{name}_forest": theirs[:, i] for i, name in enumerate(predictor.targets)}
    header = ["row", "smiles", *predictor.targets, *columns, "note"]
    with CSVWriter(out / "predictions.csv", header) as file:
        numbered = found.molecules.rows[rows] + 1
        file.write(
            (row, smiles, *truth, *numbers, note)
            for row, smiles, truth, numbers, note in zip(
                numbered.tolist(),
                part.canonical,
                labels.texts(),
                cells(columns),
                estimates.notes,
                strict=True,
            )
        )
    write_csv(out / "errors_by_scaffold.csv", errors_by_scaffold(evaluation))
    if evaluation.coverages():
        write_csv(out / "coverage.csv", evaluation.coverages())
    return evaluation, results


def _scores(predictor: Predictor, labels: Labels, values: Floats) -> list[dict[str, Any]]:
    return scores(labels.values, values, predictor.targets, labels.task, labels.classes)


def _test(
    predictor: Predictor,
    found: LabeledTable,
    split: Split,
    forest: Floats | None,
    kind: str,
    run_dir: Path,
) -> list[str]:
    """Write the results of the test part; give the table to print."""
    evaluation, results = _evaluate(predictor, found, split.test, run_dir, forest)
    named = {"network": results}
    if forest is not None:
        named[f"random forest ({kind})"] = _scores(predictor, evaluation.labels, forest)
    mean = mean_predictions(found.labels.take(split.train), len(split.test))
    named["mean"] = _scores(predictor, evaluation.labels, mean)
    write_csv(
        run_dir / "metrics.csv",
        [{"model": name, **row} for name, rows in named.items() for row in rows],
    )
    plot_all(evaluation, run_dir, forest)
    lines = ["", f"Test part ({len(split.test)} molecules):", *_score_table(named)]
    at_90 = [row for row in evaluation.coverages() if row["level"] == 0.9]
    if at_90:
        found_part = np.nanmean([row["coverage"] for row in at_90])
        lines.append(f"90 % intervals hold {100 * found_part:.0f} % of the test labels.")
    first = {"regression": "parity.png", "classification": "roc.png"}
    lines.append(f"Look at {run_dir / first.get(predictor.task, 'confusion.png')} first.")
    return lines


def _write_fold(fold: Fold, run_dir: Path) -> None:
    """Write the network's scores and its predictions of the fold, as the test part has them."""
    with open(run_dir / "metrics.csv", newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["model"] == "network"]
    named: dict[str, float] = {}
    for row in rows:
        of = "" if len(rows) == 1 else f" {row['target']}"
        skipped = ("model", "target", "n", "n_positive")
        named |= {f"{key}{of}": float(row[key] or "nan") for key in row if key not in skipped}
    with open(run_dir / "predictions.csv", newline="", encoding="utf-8") as file:
        fold.write(run_dir, named, csv.DictReader(file))


def _score_table(named: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Lay out the scores of each target, and their means if there are several."""
    columns = [key for key in next(iter(named.values()))[0] if key not in ("target", "n")]
    columns = [key for key in columns if key != "n_positive"]
    width = max(len(name) for name in named) + 2
    widths = [max(len(column) + 2, 10) for column in columns]
    targets = list(dict.fromkeys(row["target"] for row in next(iter(named.values()))))
    lines = []
    for target in [*targets, *(["mean of targets"] if len(targets) > 1 else [])]:
        head = "".join(f"{column:>{w}}" for column, w in zip(columns, widths, strict=True))
        lines.append(f"  {target:<{width}}{head}")
        for name, rows in named.items():
            own = [row for row in rows if row["target"] == target] or rows
            values = [np.array([row[column] for row in own], float) for column in columns]
            texts = [f"{np.nanmean(v):{w}.4f}" if np.isfinite(v).any() else f"{'-':>{w}}"
                     for v, w in zip(values, widths, strict=True)]  # fmt: skip
            lines.append(f"    {name:<{width - 2}}" + "".join(texts))
    return lines
