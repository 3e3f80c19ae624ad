"""What recipes run on molecules: train on a table, compare with a random forest, write it all down.

Each task is a plain function; a recipe gives its keyword arguments, the command line adds
``run_dir`` and ``resume``. What a task returns is printed.
"""

from __future__ import annotations

import csv
import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fieldgrad.chem.molecules.baselines import mean_predictions, random_forest_predictions
from fieldgrad.chem.molecules.calibration import Calibration
from fieldgrad.chem.molecules.descriptors import Descriptors
from fieldgrad.chem.molecules.featurize import Featurizer, Molecules, cache_folder
from fieldgrad.chem.molecules.metrics import scores
from fieldgrad.chem.molecules.predictor import Predictor
from fieldgrad.chem.molecules.report import Evaluation, errors_by_scaffold, plot_all, plot_learning
from fieldgrad.chem.molecules.splits import (
    Split,
    column_split,
    fold_split,
    group_numbers,
    kmeans_split,
    random_split,
    scaffold_split,
    straddling,
)
from fieldgrad.chem.molecules.tables import CSVWriter, Table, read_numbers, write_csv
from fieldgrad.engine.errors import DataError, RecipeError
from fieldgrad.engine.files import atomic_write
from fieldgrad.engine.nn.module import Module
from fieldgrad.engine.train.folds import Fold

__all__ = ["evaluate_properties", "train_properties"]

log = logging.getLogger("fieldgrad.chem")

Floats = NDArray[np.float64]

# More molecules than this, and the random forest gets fingerprints instead of RDKit's descriptors,
# which take 5 to 10 ms for each, and a third of the trees.
_MANY, _TREES, _FEW_TREES = 5000, 300, 100


@dataclass(frozen=True)
class _Data:
    """A labeled table: molecules that could be read, and their labels."""

    path: Path
    n_rows: int
    molecules: Molecules
    labels: Floats
    split_column: list[str]
    sha256: str


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
    lr: float = 1e-3,
    baseline: Literal["auto", "rdkit2d", "morgan", "none"] = "auto",
    cache: bool = True,
    n_workers: int | None = None,
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
        What the labels are; auto takes labels that are all 0 or 1 for classes.
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
        Let the positive and the negative labels of a task count as much as each other.
    epochs : int, default 50
        How often each training molecule is seen.
    batch_size : int, default 32
        Molecules in a step.
    lr : float, default 1e-3
        Highest learning rate.
    baseline : {"auto", "rdkit2d", "morgan", "none"}, default "auto"
        Descriptors of the random forest beside the network; auto: RDKit's up to 5,000 molecules,
        fingerprints for more.
    cache : bool, default True
        Keep what was computed of the molecules for the next run, in ``~/.cache/fieldgrad/chem``.
    n_workers : int, optional
        Processes that read molecules; one for each core if left out.
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
    if descriptors == "none" and model == "fingerprint_mlp":
        descriptors = "morgan"
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
    predictor.targets = _names(targets)
    table = Table(data)
    kinds = {*predictor.kinds(), *(("morgan",) if split == "kmeans" else ())}
    folder = cache_folder() if cache else None
    with Featurizer(descriptors=kinds, identity=True, n_workers=n_workers, cache=folder) as read:
        found = _read(table, smiles_column, predictor.targets, split_column, read)
    molecules = found.molecules
    groups = group_numbers(molecules.canonical)
    if fold:
        kept = group_numbers(molecules.scaffolds) if split == "scaffold" else groups
        divided = fold_split(kept, fold, seed=seed)
    else:
        divided = _divide(found, groups, split, split_column, split_file, fractions, seed)
    divided.of(molecules.rows).save(run_dir / "split.json")
    _write_problems(molecules, run_dir)
    summary = _summary(found, groups, divided, predictor.targets)
    _record(found, groups, predictor.targets, run_dir / "data.json")
    log.info("%s", summary[0])
    recipe = run_dir / "recipe.toml"
    notes = {"recipe": recipe.read_text(encoding="utf-8")} if recipe.exists() else {}
    predictor.about = notes | {
        "data": table.path.name,
        "sha256": found.sha256,
        "smiles_column": smiles_column,
        "test rows": json.dumps(molecules.rows[divided.test].tolist()),
    }
    predictor.fit_molecules(
        molecules, found.labels, divided.train, divided.val, run_dir=run_dir, resume=resume,
        notes=notes,
    )  # fmt: skip
    predictor.save(run_dir / "model.safetensors")
    write_csv(
        run_dir / "history.csv",
        [{"network": i, **row} for i, rows in enumerate(predictor.history) for row in rows],
    )
    plot_learning(predictor.history, run_dir / "learning.png")
    lines = [
        "",
        *summary,
        f"Trained {sum(n.n_parameters() for n in predictor.networks):,} weights for {epochs} "
        f"epochs ({sum(rows[-1]['seconds'] for rows in predictor.history):.0f} s).",
    ]
    if len(divided.test):
        kind = _forest_kind(baseline, len(molecules))
        forest = None
        if kind != "none":
            rest = np.flatnonzero(np.isfinite(found.labels[divided.train]).any(axis=1))
            train = divided.train[rest]
            x, x_test = _describe(table, found, kind, (train, divided.test), folder, n_workers)
            log.info("random forest on %s", kind)
            n_trees = _FEW_TREES if len(molecules) > _MANY else _TREES
            forest = random_forest_predictions(
                x, found.labels[train], x_test, predictor.task, n_trees=n_trees, seed=seed
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
    table = Table(data)
    column = smiles_column or predictor.about.get("smiles_column", "smiles")
    with Featurizer(descriptors=predictor.kinds(), identity=True) as read:
        found = _read(table, column, predictor.targets, "", read)
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


# ---- reading and dividing


def _names(targets: Sequence[str]) -> list[str]:
    names = list(targets)
    if not names or len(set(names)) < len(names):
        raise RecipeError(
            f"targets = {names}; expected the names of the columns to predict, each once."
        )
    return names


def _read(
    table: Table, smiles_column: str, targets: Sequence[str], split_column: str, read: Featurizer
) -> _Data:
    """Read the columns that matter, and the molecules."""
    wanted = [table.index(name) for name in (smiles_column, *targets)]
    wanted += [table.index(split_column)] if split_column else []
    cells = list(zip(*([row[i] for i in wanted] for row in table.rows()), strict=True))
    if not cells:
        raise DataError(f"{table.path} has a header, but no rows. Check how it was written.")
    labels = [
        read_numbers(column, name, str(table.path))
        for column, name in zip(cells[1 : 1 + len(targets)], targets, strict=True)
    ]
    molecules = read(cells[0])
    if not len(molecules):
        first = molecules.problems[0]
        raise DataError(
            f"{table.path}: no molecule in column {smiles_column!r} can be read; row "
            f"{first.row + 1} is {first.smiles!r}: {first.reason}.\n"
            "Name the column with SMILES in it: --smiles-column."
        )
    every = np.stack(labels, axis=1)[molecules.rows]
    for name, column in zip(targets, every.T, strict=True):
        if not np.isfinite(column).any():
            raise DataError(f"{table.path}: column {name!r} has no label. Name another column.")
    digest = hashlib.sha256(table.path.read_bytes()).hexdigest()
    words = list(cells[-1]) if split_column else []
    return _Data(table.path, len(cells[0]), molecules, every, words, digest)


def _divide(
    found: _Data,
    groups: NDArray[np.int64],
    split: str,
    split_column: str,
    split_file: str,
    fractions: Sequence[float],
    seed: int,
) -> Split:
    """Give the positions of the molecules of each part."""
    molecules = found.molecules
    if split_column and split_file:
        raise RecipeError("split_column and split_file are both set. Set one of them.")
    if split_column:
        return column_split(found.split_column, split_column).within(molecules.rows)
    if split_file:
        return Split.load(split_file, found.n_rows).within(molecules.rows)
    if split == "scaffold":
        return scaffold_split(molecules.scaffolds, groups, fractions, seed=seed)
    if split == "kmeans":
        return kmeans_split(molecules.descriptors["morgan"], groups, fractions, seed=seed)
    return random_split(groups, fractions, seed=seed)


def _describe(
    table: Table,
    found: _Data,
    kind: str,
    parts: Sequence[NDArray[np.int64]],
    cache: Path | None,
    n_workers: int | None,
) -> list[NDArray[Any]]:
    """Give descriptors for the random forest, computed now unless the network has them too."""
    descriptors = found.molecules.descriptors.get(kind)
    if descriptors is None:
        with Featurizer(descriptors=[kind], n_workers=n_workers, cache=cache) as featurizer:
            descriptors = featurizer(found.molecules.canonical).descriptors[kind]
    return [descriptors[part] for part in parts]


def _forest_kind(baseline: str, n_molecules: int) -> str:
    if baseline != "auto":
        return baseline
    return "rdkit2d" if n_molecules <= _MANY else "morgan"


# ---- what is written


def _write_problems(molecules: Molecules, run_dir: Path) -> None:
    if molecules.problems:
        with CSVWriter(run_dir / "problems.csv", ["row", "smiles", "reason"]) as file:
            file.write((p.row + 1, p.smiles, p.reason) for p in molecules.problems)


def _record(found: _Data, groups: NDArray[np.int64], targets: Sequence[str], path: Path) -> None:
    """Write what was read; continued, a run must keep its data."""
    labels = {
        f"labels of {name}": f"{len(y)}, {y.min():.4g} to {y.max():.4g}, mean {y.mean():.4g}"
        for name, column in zip(targets, found.labels.T, strict=True)
        for y in [column[np.isfinite(column)]]
    }
    record: dict[str, Any] = {"file": found.path.name, "sha256": found.sha256}
    record |= {"rows": found.n_rows, "molecules": len(found.molecules)}
    record |= {"copies of other rows": len(groups) - len(np.unique(groups)), **labels}
    if path.exists() and json.loads(path.read_text(encoding="utf-8"))["sha256"] != found.sha256:
        raise DataError(
            f"{found.path} has changed since the run in {path.parent} began ({path.name} has "
            "another checksum).\nRestore the table, or start a new run in another folder (--out)."
        )
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _summary(
    found: _Data, groups: NDArray[np.int64], split: Split, targets: Sequence[str]
) -> list[str]:
    """Say what was read and how it is divided."""
    molecules, problems = found.molecules, found.molecules.problems
    sizes = ", ".join(f"{len(part)} {name}" for name, part in split.parts().items())
    lines = [f"{found.path.name}: {found.n_rows} rows, {len(molecules)} molecules ({sizes})."]
    if problems:
        lines.append(f"{len(problems)} rows left out (problems.csv):")
        lines += [f"  row {p.row + 1}: {p.smiles[:60]!r}: {p.reason}" for p in problems[:10]]
    n_copies = len(groups) - len(np.unique(groups))
    if n_copies:
        lines.append(f"{n_copies} rows repeat a molecule of another row.")
    n_apart = straddling(split, groups)
    if n_apart:
        lines.append(
            f"Careful: {n_apart} molecules are in more than one part of this split, so the test "
            "knows some of the training."
        )
    missing = 1 - np.isfinite(found.labels).mean()
    if missing:
        lines.append(f"{100 * missing:.1f} % of the labels of {len(targets)} targets are missing.")
    return lines


def _evaluate(
    predictor: Predictor,
    found: _Data,
    rows: NDArray[np.int64],
    out: Path,
    forest: Floats | None = None,
) -> tuple[Evaluation, list[dict[str, Any]]]:
    """Predict some of the molecules, and write predictions and what follows from them."""
    part = found.molecules.take(rows)
    estimates = predictor.estimate(part, len(part))
    labels = found.labels[rows]
    results = scores(labels, estimates.values, predictor.targets, predictor.task)
    known = predictor.calibration if isinstance(predictor.calibration, Calibration) else None
    own = None if known is None or estimates.std is None else estimates.std / known.scale
    evaluation = Evaluation(
        predictor.targets, predictor.task, labels, estimates.values, own, known, part.scaffolds
    )
    columns = estimates.columns(predictor.targets)
    if forest is not None:
        columns |= {f"{name}_forest": forest[:, i] for i, name in enumerate(predictor.targets)}
    header = ["row", "smiles", *predictor.targets, *columns, "note"]
    with CSVWriter(out / "predictions.csv", header) as file:
        numbered = found.molecules.rows[rows] + 1
        file.write(
            (row, smiles, *truth, *numbers, note)
            for row, smiles, truth, numbers, note in zip(
                numbered.tolist(),
                part.canonical,
                _cells(labels),
                _cells(np.stack([*columns.values()], 1)),
                estimates.notes,
                strict=True,
            )
        )
    write_csv(out / "errors_by_scaffold.csv", errors_by_scaffold(evaluation))
    if evaluation.coverages():
        write_csv(out / "coverage.csv", evaluation.coverages())
    return evaluation, results


def _cells(numbers: Floats) -> list[list[Any]]:
    """Numbers for a CSV file: seven digits, and nothing for NaN."""
    return [["" if n != n else f"{n:.7g}" for n in row] for row in numbers.tolist()]


def _test(
    predictor: Predictor,
    found: _Data,
    split: Split,
    forest: Floats | None,
    kind: str,
    run_dir: Path,
) -> list[str]:
    """Write the results of the test part; give the table to print."""
    evaluation, results = _evaluate(predictor, found, split.test, run_dir, forest)
    named = {"network": results}
    if forest is not None:
        own = scores(evaluation.labels, forest, predictor.targets, predictor.task)
        named[f"random forest ({kind})"] = own
    mean = mean_predictions(found.labels[split.train], len(split.test))
    named["mean"] = scores(evaluation.labels, mean, predictor.targets, predictor.task)
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
    lines.append(f"Look at {run_dir / ('parity.png' if at_90 else 'roc.png')} first.")
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
    targets = list(dict.fromkeys(row["target"] for row in next(iter(named.values()))))
    lines = []
    for target in [*targets, *(["mean of targets"] if len(targets) > 1 else [])]:
        lines.append(f"  {target:<{width}}" + "".join(f"{column:>10}" for column in columns))
        for name, rows in named.items():
            own = [row for row in rows if row["target"] == target] or rows
            values = [np.array([row[column] for row in own], float) for column in columns]
            texts = [f"{np.nanmean(v):10.4f}" if np.isfinite(v).any() else f"{'-':>10}"
                     for v in values]  # fmt: skip
            lines.append(f"    {name:<{width - 2}}" + "".join(texts))
    return lines
