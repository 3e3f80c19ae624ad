"""Tables of molecules: CSV, SDF and Parquet, read a part at a time, every value as text.

A table is never held whole: `Table.parts` gives its rows in order, and what is written beside them
(`CSVWriter`) is written as it comes. So a million rows need no more memory than a few thousand.
"""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.chem.molecules.smiles import smiles_of_block
from fieldgrad.engine.errors import DataError, FileError, require, suggest
from fieldgrad.engine.files import atomic_write

__all__ = ["CSVWriter", "Table", "column_index", "is_number", "read_numbers", "write_csv"]

Row = list[str]

PART_SIZE = 4096  # rows
MISSING = frozenset(("", "na", "n/a", "nan", "none", "null"))
_CSV, _SDF, _PARQUET = (".csv", ".tsv", ".txt", ".smi"), (".sdf", ".sd"), (".parquet", ".pq")

csv.field_size_limit(1 << 24)  # a polymer or protein may be longer than csv's 131,072 characters


class Table:
    """The rows of a file, in their order.

    Parameters
    ----------
    path : path-like
        A .csv, .tsv, .txt or .smi file with one header line (comma, semicolon, tab or blank
        between values), an .sdf file, each also as .gz; or a .parquet file.

    Attributes
    ----------
    columns : list of str
        Names of the columns. Those of an SDF are ``smiles``, made from its structures, ``name``,
        its first line, and its data items.

    Raises
    ------
    FileError
        If the file does not exist, cannot be read, or is of another kind.
    DataError
        If the file is empty.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "alcohols.csv"
    >>> _ = path.write_text("smiles,logS\\nCO,1.57\\nCCO,1.10\\n")
    >>> table = Table(path)
    >>> table.columns, list(table.rows())
    (['smiles', 'logS'], [['CO', '1.57'], ['CCO', '1.10']])
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        kind = Path(self.path.name.lower().removesuffix(".gz")).suffix
        if not self.path.exists():
            raise FileError(f"{self.path} does not exist. Check the path.", self.path)
        if kind not in (*_CSV, *_SDF, *_PARQUET):
            raise FileError(
                f"{self.path} ends in {kind or 'nothing'}; expected a table of molecules: .csv, "
                ".tsv, .txt, .smi, .sdf (each also .gz) or .parquet. Rename or convert it.",
                self.path,
            )
        if self.path.is_dir() or self.path.stat().st_size == 0:
            what = "is a folder" if self.path.is_dir() else "is empty (0 bytes)"
            raise DataError(
                f"{self.path} {what}; expected a table with a header line and a molecule in every "
                "row. Check how it was written."
            )
        self._kind = "sdf" if kind in _SDF else "parquet" if kind in _PARQUET else "csv"
        self.columns: list[str] = next(self._read())

    def rows(self) -> Iterator[Row]:
        """Give the rows one by one.

        Returns
        -------
        iterator of list of str
            As many values as there are columns; an empty text where a value is missing.

        Raises
        ------
        DataError
            If a row has more values than there are columns, or the text is not UTF-8.
        """
        rows = self._read()
        next(rows)
        return rows

    def parts(self, n_rows: int = PART_SIZE) -> Iterator[list[Row]]:
        """Give the rows a part at a time.

        Parameters
        ----------
        n_rows : int
            Rows of each part but the last.

        Yields
        ------
        list of list of str
            The next rows.
        """
        rows = self.rows()
        while part := list(itertools.islice(rows, n_rows)):
            yield part

    def index(self, column: str) -> int:
        """Find a column.

        Parameters
        ----------
        column : str
            Its name.

        Returns
        -------
        int
            Its position.

        Raises
        ------
        DataError
            If there is no such column, or more than one.
        """
        return column_index(self.columns, column, str(self.path))

    def _read(self) -> Iterator[Row]:
        """Give the names of the columns, then every row."""
        try:
            if self._kind == "csv":
                yield from self._read_csv()
            elif self._kind == "sdf":
                yield from self._read_sdf()
            else:
                yield from self._read_parquet()
        except (UnicodeDecodeError, EOFError, gzip.BadGzipFile, csv.Error) as error:
            raise DataError(
                f"{self.path} cannot be read as text ({error}); expected UTF-8. Save it again as "
                "CSV in UTF-8, or copy it again if it was cut off."
            ) from error
        except OSError as error:
            if isinstance(error, FileError):
                raise
            raise FileError(f"{self.path} cannot be read: {error.strerror or error}.") from error

    def _open(self) -> IO[str]:
        if self.path.name.lower().endswith(".gz"):
            return io.TextIOWrapper(gzip.open(self.path, "rb"), encoding="utf-8-sig", newline="")
        return open(self.path, encoding="utf-8-sig", newline="")

    def _read_csv(self) -> Iterator[Row]:
        with self._open() as file:
            header = file.readline()
            while header and not header.strip():
                header = file.readline()
            if not header:
                raise DataError(f"{self.path} holds only blank lines; expected a header and rows.")
            delimiter = max(",;\t", key=header.count)
            if not header.count(delimiter) and len(header.split()) > 1:
                delimiter = " "
            lines = itertools.chain([header], file)
            reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=delimiter == " ")
            columns = [name.strip() for name in next(reader)]
            yield columns
            for number, row in enumerate((row for row in reader if row), 1):
                if len(row) > len(columns):
                    raise DataError(
                        f"{self.path}: row {number} has {len(row)} values ({', '.join(row[:4])}, "
                        f"…), but the header names {len(columns)} columns.\n"
                        f"Put values that contain {delimiter!r} in double quotes."
                    )
                yield row + [""] * (len(columns) - len(row))

    def _read_sdf(self) -> Iterator[Row]:
        names: dict[str, None] = {}
        for _, items in self._records():
            names |= dict.fromkeys(items)
        columns = [_free_name("smiles", names), _free_name("name", names), *names]
        yield columns
        for block, items in self._records():
            title = block.split("\n", 1)[0].strip()
            yield [smiles_of_block(block), title, *(items.get(name, "") for name in names)]

    def _records(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Give the structure block and the data items of each record of an SDF."""
        with self._open() as file:
            lines: list[str] = []
            for line in file:
                line = line.rstrip("\r\n")
                if line.strip() != "$$$$":
                    lines.append(line)
                    continue
                yield _split_record(lines)
                lines = []
            if any(line.strip() for line in lines):
                yield _split_record(lines)

    def _read_parquet(self) -> Iterator[Row]:
        parquet = require("pyarrow.parquet", extra="chem")
        try:
            file = parquet.ParquetFile(self.path)
        except (ValueError, OSError) as error:
            raise FileError(
                f"{self.path} is no sound Parquet file ({error}). Write it again.", self.path
            ) from error
        with file:
            yield list(file.schema_arrow.names)
            for batch in file.iter_batches(PART_SIZE):
                values = [["" if v is None else str(v) for v in c.to_pylist()] for c in batch]
                yield from map(list, zip(*values, strict=True))


def _split_record(lines: Sequence[str]) -> tuple[str, dict[str, str]]:
    end = next((i + 1 for i, line in enumerate(lines) if line.startswith("M  END")), len(lines))
    items: dict[str, str] = {}
    name = None
    for line in lines[end:]:
        if line.startswith(">") and "<" in line:
            name = line[line.index("<") + 1 : line.rindex(">")]
            items[name] = ""
        elif not line.strip():
            name = None
        elif name is not None:
            items[name] = f"{items[name]}\n{line}" if items[name] else line
    return "\n".join(lines[:end]) + "\n", items


def _free_name(name: str, taken: Iterable[str]) -> str:
    """Give the name, or the name with as many underscores as it takes to be new."""
    taken = set(taken)
    while name in taken:
        name += "_"
    return name


def column_index(columns: Sequence[str], name: str, source: str) -> int:
    """Find a column by its name.

    Parameters
    ----------
    columns : sequence of str
        Names of the columns.
    name : str
        The one wanted.
    source : str
        Where the columns are, for messages.

    Returns
    -------
    int
        Its position.

    Raises
    ------
    DataError
        If there is no such column, or more than one.

    Examples
    --------
    >>> column_index(["smiles", "logS"], "logs", "esol.csv")
    Traceback (most recent call last):
    ...
    fieldgrad.engine.errors.DataError: esol.csv has no column 'logs'; did you mean 'logS'? ...
    """
    found = [i for i, column in enumerate(columns) if column == name]
    if len(found) == 1:
        return found[0]
    shown = ", ".join(columns[:20]) + (", …" if len(columns) > 20 else "")
    if found:
        raise DataError(f"{source} has {len(found)} columns {name!r}. Rename all but one.")
    near = {column.lower(): column for column in columns}
    hint = f"; did you mean {near[name.lower()]!r}?" if name.lower() in near else ""
    hint = hint or suggest(name, columns) or "."
    raise DataError(f"{source} has no column {name!r}{hint} Columns: {shown}.")


def is_number(text: str) -> bool:
    """Tell whether a text is a finite number.

    Parameters
    ----------
    text : str
        A cell.

    Returns
    -------
    bool
        True for what ``float`` reads, but not for infinities and NaN.
    """
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def read_numbers(values: Sequence[str], column: str, source: str) -> NDArray[np.float64]:
    """Read a column of labels; empty cells are missing labels.

    Parameters
    ----------
    values : sequence of str
        The cells. Empty ones, ``NA``, ``nan``, ``none`` and ``null`` are missing.
    column, source : str
        Name of the column and of the file, for messages.

    Returns
    -------
    ndarray of shape (n_rows,)
        The labels, NaN where one is missing.

    Raises
    ------
    DataError
        If a cell is no number, or infinite.

    Examples
    --------
    >>> read_numbers(["1.5", "", "-2e-3"], "logS", "esol.csv").tolist()
    [1.5, nan, -0.002]
    """
    numbers = np.full(len(values), np.nan)
    for i, value in enumerate(values):
        if value.strip().lower() in MISSING:
            continue
        if not is_number(value):
            raise DataError(
                f"{source}: column {column!r} has {value!r} in row {i + 1}; expected a number, or "
                "an empty cell for a missing label.\nCorrect the cell, or name another column."
            )
        numbers[i] = float(value)
    return numbers


class CSVWriter(AbstractContextManager["CSVWriter"]):
    """A CSV file that is written row by row and appears when all rows are there.

    Parameters
    ----------
    path : path-like
        The file.
    columns : sequence of str
        Its header.
    """

    def __init__(self, path: str | os.PathLike[str], columns: Sequence[str]) -> None:
        self._target = atomic_write(path)
        self._columns = list(columns)

    def __enter__(self) -> CSVWriter:
        self._file = open(self._target.__enter__(), "w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(self._columns)
        return self

    def write(self, rows: Iterable[Sequence[Any]]) -> None:
        """Add rows.

        Parameters
        ----------
        rows : iterable of sequence
            Values in the order of the columns.
        """
        self._writer.writerows(rows)

    def __exit__(self, *error: Any) -> bool | None:
        self._file.close()
        return self._target.__exit__(*error)


def write_csv(path: str | os.PathLike[str], rows: Sequence[dict[str, Any]]) -> None:
    """Write a small table.

    Parameters
    ----------
    path : path-like
        The file.
    rows : sequence of dict
        At least one; the columns are the keys in the order of their appearance.
    """
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with CSVWriter(path, columns) as file:
        file.write([row.get(column, "") for column in columns] for row in rows)
