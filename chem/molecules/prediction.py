"""A model over a whole table: rows stream through, however many, and all of them come out."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fieldgrad.chem.molecules.estimates import cells
from fieldgrad.chem.molecules.featurize import Featurizer, Molecules
from fieldgrad.chem.molecules.predictor import Predictor
from fieldgrad.chem.molecules.tables import CSVWriter, Row, Table
from fieldgrad.engine.errors import DataError

__all__ = ["Summary", "fingerprint_table", "predict_table"]

# Rows that are read, featurized and predicted together.
_PART = 1024
_FIRST = 5  # rows without a molecule that are named one by one


@dataclass
class Summary:
    """What became of the rows of a table.

    Parameters
    ----------
    note_column : str
        Column of the notes in the output.
    n_rows, n_bad, n_doubtful : int
        All rows, those without a prediction, and those whose prediction has a note.
    first_bad : list of tuple of (int, str)
        Number, from 1, and note of the first rows without a prediction.
    """

    note_column: str
    n_rows: int = 0
    n_bad: int = 0
    n_doubtful: int = 0
    first_bad: list[tuple[int, str]] = field(default_factory=list)


def predict_table(
    data: str | os.PathLike[str],
    predictor: Predictor,
    out: str | os.PathLike[str],
    *,
    smiles_column: str | None = None,
    level: float = 0.9,
    n_workers: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Summary:
    """Predict every row of a table and write it beside all of its columns.

    Parameters
    ----------
    data : path-like
        CSV, SDF or Parquet file.
    predictor : Predictor
        The model.
    out : path-like
        The CSV file to write: the columns of `data` as they are, then for each target its
        prediction and what is known of its uncertainty, and a note.
    smiles_column : str, optional
        Column with the SMILES; that of the training if left out.
    level : float, default 0.9
        How often the truth shall lie inside the intervals.
    n_workers : int, optional
        Processes that read molecules; one for each core if left out.
    progress : callable, optional
        Called with the number of rows done.

    Returns
    -------
    Summary
        How many rows there were, and which had no molecule.

    Raises
    ------
    FileError
        If a file cannot be read or written.
    DataError
        If there is no such column.

    Notes
    -----
    A few thousand rows are in memory at a time, however long the table is.
    """
    table = Table(data)
    _refuse_same_file(table.path, Path(out))
    column = _column(table, predictor, smiles_column)
    empty = predictor.estimate(_nothing(predictor), 0, level=level)
    added = _new_names([*empty.columns(predictor.targets), "note"], table.columns)
    summary = Summary(added[-1])
    with (
        CSVWriter(out, [*table.columns, *added]) as file,
        Featurizer(descriptors=predictor.kinds(), n_workers=n_workers) as featurizer,
    ):
        for rows, molecules in _molecules(table, column, featurizer):
            estimates = predictor.estimate(molecules, len(rows), level=level)
            found = cells(estimates.columns(predictor.targets))
            file.write(
                [*row, *own, note]
                for row, own, note in zip(rows, found, estimates.notes, strict=True)
            )
            for problem in molecules.problems[: _FIRST - len(summary.first_bad)]:
                where = summary.n_rows + problem.row + 1
                summary.first_bad.append((where, f"{problem.smiles!r}: {problem.reason}"))
            summary.n_rows += len(rows)
            summary.n_bad += estimates.n_bad
            summary.n_doubtful += sum(map(bool, estimates.notes)) - estimates.n_bad
            if progress is not None:
                progress(summary.n_rows)
    return summary


def fingerprint_table(
    data: str | os.PathLike[str],
    predictor: Predictor,
    out: str | os.PathLike[str],
    *,
    smiles_column: str | None = None,
) -> tuple[int, int]:
    """Write the learned vector of every row of a table.

    Parameters
    ----------
    data : path-like
        CSV, SDF or Parquet file.
    predictor : Predictor
        The model.
    out : path-like
        The CSV file to write: the SMILES, and the numbers ``f0``, ``f1``, …, which are empty for a
        row without a molecule.
    smiles_column : str, optional
        Column with the SMILES; that of the training if left out.

    Returns
    -------
    size, n_bad : int
        Length of the vectors, and number of rows without one.
    """
    table = Table(data)
    _refuse_same_file(table.path, Path(out))
    column = _column(table, predictor, smiles_column)
    name = table.columns[column]
    with Featurizer(descriptors=predictor.kinds()) as featurizer:
        size = predictor.fingerprint(featurizer(["C"])).shape[1]
        n_bad = 0
        with CSVWriter(out, [name, *(f"f{i}" for i in range(size))]) as file:
            for rows, molecules in _molecules(table, column, featurizer):
                vectors = np.full((len(rows), size), np.nan, np.float32)
                if len(molecules):
                    vectors[molecules.rows] = predictor.fingerprint(molecules)
                n_bad += len(molecules.problems)
                file.write(
                    [row[column], *("" if n != n else f"{n:.6g}" for n in own)]
                    for row, own in zip(rows, vectors.tolist(), strict=True)
                )
    return size, n_bad


def _molecules(
    table: Table, column: int, featurizer: Featurizer
) -> Iterator[tuple[list[Row], Molecules]]:
    """Give the rows of a table with their molecules, a part at a time."""
    parts = table.parts(_PART)
    first = next(parts, [])
    if len(first) < _PART:  # not worth other processes
        if first:
            yield first, featurizer([row[column] for row in first])
        return
    kept: list[list[Row]] = []

    def smiles() -> Iterator[Sequence[str]]:
        for part in itertools.chain([first], parts):
            kept.append(part)
            yield [row[column] for row in part]

    for molecules in featurizer.stream(smiles()):
        yield kept.pop(0), molecules


def _nothing(predictor: Predictor) -> Molecules:
    with Featurizer(descriptors=predictor.kinds()) as featurizer:
        return featurizer([])


def _column(table: Table, predictor: Predictor, name: str | None) -> int:
    return table.index(name or predictor.about.get("smiles_column", "smiles"))


def _new_names(names: Sequence[str], taken: Sequence[str]) -> list[str]:
    """Give names for new columns that no column has: NAME, else NAME_2, NAME_3, …"""
    new: list[str] = []
    for name in names:
        candidate, n = name, 1
        while candidate in taken or candidate in new:
            n += 1
            candidate = f"{name}_{n}"
        new.append(candidate)
    return new


def _refuse_same_file(source: Path, target: Path) -> None:
    if target.resolve() == source.resolve():
        raise DataError(f"--out {target} would overwrite the table; give another name.")
