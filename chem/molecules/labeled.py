"""A labeled table of molecules: read, divided, and put on record in the folder of a run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.chem.molecules.featurize import Molecules
from fieldgrad.chem.molecules.labels import Classes, Labels
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
from fieldgrad.chem.molecules.tables import CSVWriter, Table
from fieldgrad.engine.errors import DataError, RecipeError
from fieldgrad.engine.files import atomic_write

__all__ = ["LabeledTable", "divide", "read_labeled", "summary", "write_record"]

_FEW = 100  # molecules to train on


@dataclass(frozen=True)
class LabeledTable:
    """The molecules of a table that could be read, and what is known of them.

    Parameters
    ----------
    path : Path
        The table.
    n_rows : int
        Its rows.
    molecules : Molecules
        Those that could be read, with canonical SMILES and scaffolds.
    targets : sequence of str
        Columns with labels.
    labels : Labels
        Of these molecules.
    split_column : list of str
        For each row its part, if there is a column for it.
    groups : ndarray of int64, shape (n_molecules,)
        The same number for copies of one molecule.
    sha256 : str
        Checksum of the file.
    """

    path: Path
    n_rows: int
    molecules: Molecules
    targets: Sequence[str]
    labels: Labels
    split_column: list[str]
    groups: NDArray[np.int64]
    sha256: str


def read_labeled(
    path: Path,
    read: Callable[[Sequence[str]], Molecules],
    *,
    smiles_column: str,
    targets: Sequence[str],
    task: str,
    classes: Classes = (),
    split_column: str = "",
) -> LabeledTable:
    """Read the columns that matter, and the molecules.

    Parameters
    ----------
    path : Path
        CSV, SDF or Parquet file; see `tables.Table`.
    read : callable
        Gives the molecules of a list of SMILES, as a `Featurizer` does, their identity included.
    smiles_column : str
        Column with the SMILES.
    targets : sequence of str
        Columns with labels.
    task : {"auto", "regression", "classification", "multiclass"}
        What the labels are; see `Labels.read`.
    classes : tuple of tuple of str, default ()
        The classes of a model, for `Labels.read`.
    split_column : str, default ""
        Column that says train, val or test; none if empty.

    Returns
    -------
    LabeledTable
        Molecules and labels.

    Raises
    ------
    FileError
        If the table cannot be read.
    DataError
        If a column is missing, a label cannot be read, or no molecule or no label is left.
    """
    if not targets or len(set(targets)) < len(targets):
        raise RecipeError(
            f"targets = {list(targets)}; expected the names of the columns to predict, each once."
        )
    table = Table(path)
    wanted = [table.index(name) for name in (smiles_column, *targets)]
    wanted += [table.index(split_column)] if split_column else []
    cells = list(zip(*([row[i] for i in wanted] for row in table.rows()), strict=True))
    if not cells:
        raise DataError(f"{path} has a header, but no rows. Check how it was written.")
    every = Labels.read(cells[1 : 1 + len(targets)], targets, str(path), task, classes)
    molecules = read(cells[0])
    if not len(molecules):
        first = molecules.problems[0]
        raise DataError(
            f"{path}: no molecule in column {smiles_column!r} can be read; row "
            f"{first.row + 1} is {first.smiles!r}: {first.reason}.\n"
            "Name the column with SMILES in it: --smiles-column."
        )
    labels = every.take(molecules.rows)
    for name, column in zip(targets, labels.values.T, strict=True):
        if not np.isfinite(column).any():
            raise DataError(f"{path}: column {name!r} has no label. Name another column.")
    return LabeledTable(
        table.path,
        len(cells[0]),
        molecules,
        list(targets),
        labels,
        list(cells[-1]) if split_column else [],
        group_numbers(molecules.canonical),
        hashlib.sha256(table.path.read_bytes()).hexdigest(),
    )


def divide(
    found: LabeledTable,
    *,
    split: str = "random",
    split_column: str = "",
    split_file: str = "",
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    fold: str = "",
) -> Split:
    """Divide the molecules into training, validation and test.

    Parameters
    ----------
    found : LabeledTable
        The molecules.
    split : {"random", "scaffold", "kmeans"}, default "random"
        How, if neither of the following says so.
    split_column : str, default ""
        Name of the column that was read.
    split_file : str, default ""
        File that lists the rows of each part.
    fractions : sequence of 3 float
        The parts.
    seed : int, default 0
        Seed of the division.
    fold : str, default ""
        Fold of a cross-validation to test on, such as "2/5", instead of all that; of scaffolds if
        `split` is "scaffold".

    Returns
    -------
    Split
        Positions of the molecules of each part.

    Raises
    ------
    RecipeError
        If a column and a file are named.
    DataError, FileError
        If a part is unknown, or the file cannot be read.
    """
    molecules = found.molecules
    if fold:
        scaffolds = split == "scaffold"
        return fold_split(
            group_numbers(molecules.scaffolds) if scaffolds else found.groups, fold, seed=seed
        )
    if split_column and split_file:
        raise RecipeError("split_column and split_file are both set. Set one of them.")
    if split_column:
        return column_split(found.split_column, split_column).within(molecules.rows)
    if split_file:
        return Split.load(split_file, found.n_rows).within(molecules.rows)
    if split == "scaffold":
        return scaffold_split(molecules.scaffolds, found.groups, fractions, seed=seed)
    if split == "kmeans":
        return kmeans_split(molecules.descriptors["morgan"], found.groups, fractions, seed=seed)
    return random_split(found.groups, fractions, seed=seed)


def write_record(found: LabeledTable, split: Split, run_dir: Path) -> None:
    """Write what was read and how it is divided: data.json, split.json, problems.csv.

    Parameters
    ----------
    found : LabeledTable
        What was read.
    split : Split
        Positions of the molecules of each part.
    run_dir : Path
        The run's folder.

    Raises
    ------
    DataError
        If another table was read when the run in this folder began.
    """
    path = run_dir / "data.json"
    if path.exists() and json.loads(path.read_text(encoding="utf-8"))["sha256"] != found.sha256:
        raise DataError(
            f"{found.path} has changed since the run in {run_dir} began ({path.name} has another "
            "checksum).\nRestore the table, or start a new run in another folder (--out)."
        )
    record: dict[str, Any] = {"file": found.path.name, "sha256": found.sha256}
    record |= {"rows": found.n_rows, "molecules": len(found.molecules)}
    record["copies of other rows"] = len(found.groups) - len(np.unique(found.groups))
    record |= {f"labels of {name}": text for name, text in _describe_labels(found).items()}
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    split.of(found.molecules.rows).save(run_dir / "split.json")
    problems = found.molecules.problems
    if problems:
        with CSVWriter(run_dir / "problems.csv", ["row", "smiles", "reason"]) as file:
            file.write((p.row + 1, p.smiles, p.reason) for p in problems)


def _describe_labels(found: LabeledTable) -> dict[str, str]:
    """Say of each target how many labels there are, and of what kind."""
    texts = {}
    for i, (name, column) in enumerate(zip(found.targets, found.labels.values.T, strict=True)):
        y = column[np.isfinite(column)]
        if found.labels.task == "regression":
            what = f"{y.min():.4g} to {y.max():.4g}, mean {y.mean():.4g}"
        else:
            classes = found.labels.classes[i] if found.labels.classes else ("0", "1")
            counts = np.bincount(y.astype(int), minlength=len(classes)).tolist()
            what = ", ".join(f"{n} of {c}" for n, c in zip(counts, classes, strict=True))
        texts[name] = f"{len(y)}: {what}"
    return texts


def summary(found: LabeledTable, split: Split) -> list[str]:
    """Say what was read and how it is divided.

    Parameters
    ----------
    found : LabeledTable
        What was read.
    split : Split
        Positions of the molecules of each part.

    Returns
    -------
    list of str
        Lines to print.
    """
    molecules, problems = found.molecules, found.molecules.problems
    sizes = ", ".join(f"{len(part)} {name}" for name, part in split.parts().items())
    lines = [f"{found.path.name}: {found.n_rows} rows, {len(molecules)} molecules ({sizes})."]
    if problems:
        lines.append(f"{len(problems)} rows left out (problems.csv):")
        lines += [f"  row {p.row + 1}: {p.smiles[:60]!r}: {p.reason}" for p in problems[:10]]
    n_copies = len(found.groups) - len(np.unique(found.groups))
    if n_copies:
        lines.append(f"{n_copies} rows repeat a molecule of another row.")
    n_apart = straddling(split, found.groups)
    if n_apart:
        lines.append(
            f"Careful: {n_apart} molecules are in more than one part of this split, so the test "
            "knows some of the training."
        )
    if len(split.train) < _FEW:
        lines.append(
            f"Careful: {len(split.train)} molecules to learn from are few; compare with the "
            "random forest and the mean, and do not trust the last digits of any score."
        )
    missing = 1 - np.isfinite(found.labels.values).mean()
    if missing:
        n_targets = len(found.targets)
        lines.append(f"{100 * missing:.1f} % of the labels of {n_targets} targets are missing.")
    return lines
