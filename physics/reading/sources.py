"""Files as tables of columns: ROOT, HDF5 and Parquet, opened without reading their data.

`open_source` looks at the first bytes of a file and gives a `Source`: names of columns, the number
of entries (jets or events), and `Source.read`, which reads some columns of a range of entries.
Fields of nested records get names with an underscore (``part.px`` is ``part_px``), so that one
description fits a TTree, an RNTuple, Parquet and memory.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine.errors import DataError, FieldgradError, FileError, require, suggest
from fieldgrad.physics.jets.batch import JetBatch
from fieldgrad.physics.reading.expressions import describe_unknown
from fieldgrad.physics.reading.functions import is_awkward

__all__ = ["Source", "open_source"]

Array = NDArray[Any]

# What the libraries raise for damaged files.
_UNREADABLE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    EOFError,
    MemoryError,
    struct.error,
    zlib.error,
)
_REPAIR = "The file may be truncated or damaged: copy it again, or leave it out."


class Source:
    """Columns of one file, or of memory.

    Parameters
    ----------
    path : str
        What to call it in messages.
    n_entries : int
        Number of jets or events.
    readers : mapping of str to callable
        For each column, a function of (start, stop) that reads that range.
    close : callable, optional
        What to do when it is no longer needed.

    Attributes
    ----------
    names : tuple of str
        Names of the columns.
    """

    def __init__(
        self,
        path: str,
        n_entries: int,
        readers: Mapping[str, Callable[[int, int], Any]],
        close: Callable[[], object] | None = None,
    ) -> None:
        self.path = path
        self.n_entries = n_entries
        self._readers = readers
        self._close = close
        self.names = tuple(readers)

    def __enter__(self) -> Source:
        """Begin the use of the source."""
        return self

    def __exit__(self, *reason: object) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._close is not None:
            self._close()

    def read(self, names: Iterable[str], start: int = 0, stop: int | None = None) -> dict[str, Any]:
        """Read some columns of a range of entries.

        Parameters
        ----------
        names : iterable of str
            Names of columns.
        start, stop : int, optional
            The entries ``start <= i < stop``; all by default.

        Returns
        -------
        dict of str to array
            NumPy arrays, or awkward ones where the entries have different lengths; the first axis
            is that of the entries.

        Raises
        ------
        DataError
            If there is no column of a name.
        FileError
            If the file is damaged there.
        """
        names = list(dict.fromkeys(names))
        unknown = [name for name in names if name not in self._readers]
        if unknown:
            raise DataError(f"{self.path}: {describe_unknown(unknown, self.names)}")
        stop = self.n_entries if stop is None else min(stop, self.n_entries)
        columns = {}
        for name in names:
            try:
                column = self._readers[name](start, stop)
            except Exception as error:
                if not _is_damage(error):
                    raise
                raise _damaged(
                    self.path, f"column {name!r}, entries {start} to {stop}", error
                ) from error
            if len(column) != stop - start:
                raise FileError(
                    f"{self.path}: column {name!r} gave {len(column)} of the entries {start} to "
                    f"{stop}. {_REPAIR}",
                    self.path,
                )
            columns[name] = column
        return columns


def open_source(data: Any, tree: str = "") -> Source:
    """Open a file, or columns in memory, as a table of columns.

    Parameters
    ----------
    data : path-like, mapping of str to array, awkward.Array or JetBatch
        A ROOT file (TTree or RNTuple), an HDF5 file (the table of pandas as in the top-tagging
        reference, plain arrays, or structured arrays with a field ``valid``), a Parquet file; or
        columns whose first axis is that of the jets.
    tree : str, optional
        Which tree of a ROOT file, or group of an HDF5 file; needed only if there are several.

    Returns
    -------
    Source
        The columns.

    Raises
    ------
    FileError
        If the file is missing, of another format, or damaged.
    DataError
        If it holds several trees or none.

    Examples
    --------
    >>> source = open_source({"x": np.array([1.0, 2.0, 3.0])})
    >>> source.n_entries, source.read(["x"], 1, 2)
    (3, {'x': array([2.])})
    """
    if isinstance(data, JetBatch):
        data = _columns_of(data)
    if is_awkward(data) or isinstance(data, Mapping):
        return _memory(data)
    path = os.fspath(data)
    if "://" in path:
        return _guarded(_root, path, tree)
    if not Path(path).is_file():
        what = "is a folder" if Path(path).is_dir() else "does not exist"
        raise FileError(f"{path} {what}; expected a file of jets. Check the path.", path)
    with open(path, "rb") as file:
        magic = file.read(8)
    for beginning, opener in ((b"root", _root), (b"\x89HDF", _hdf5), (b"PAR1", _parquet)):
        if magic.startswith(beginning):
            return _guarded(opener, path, tree)
    raise FileError(
        f"{path} begins with {magic!r}; expected a ROOT, HDF5 or Parquet file. "
        "Convert it, or copy it again if it should be one.",
        path,
    )


def _guarded(opener: Callable[[str, str], Source], path: str, tree: str) -> Source:
    try:
        return opener(path, tree)
    except Exception as error:
        if not _is_damage(error):
            raise
        raise _damaged(path, "its structure", error) from error


def _is_damage(error: Exception) -> bool:
    """Tell whether a library gave up on a file; uproot has errors that are only Exceptions."""
    if isinstance(error, FieldgradError):
        return False
    return isinstance(error, _UNREADABLE) or type(error).__module__.startswith("uproot.")


def _damaged(path: str, place: str, error: BaseException) -> FileError:
    reason = str(error).strip().partition("\n")[0] or "no reason given"
    return FileError(
        f"{path} cannot be read ({place}): {type(error).__name__}: {reason:.200}\n{_REPAIR}", path
    )


def _choose(path: str, kind: str, tree: str, found: list[str]) -> str:
    """Pick the tree asked for, or the only one, or NanoAOD's."""
    if tree:
        if tree in found:
            return tree
        raise DataError(
            f"{path} has no {kind} {tree!r}{suggest(tree, found) or '.'} "
            f"It has {', '.join(found) or 'none'}."
        )
    if len(found) == 1:
        return found[0]
    if "Events" in found:
        return "Events"
    raise DataError(
        f"{path} has {'several' if found else 'no'} {kind}s{': ' * bool(found)}{', '.join(found)}. "
        + ('Name one in the description: tree = "…" (treename in YAML).' if found else "")
    )


def _root(path: str, tree: str) -> Source:
    uproot = require("uproot", extra="physics")
    file = uproot.open(path)
    kinds = file.classnames(recursive=True, cycle=False)
    found = [name for name, kind in kinds.items() if kind in ("TTree", "ROOT::RNTuple", "TNtuple")]
    table = file[_choose(path, "tree", tree, found)]
    readers: dict[str, Callable[[int, int], Any]] = {}
    for key in table.keys():  # noqa: SIM118  # iterating a tree of uproot gives its arrays
        column = table[key]
        if len(getattr(column, "keys", list)()) == 0:  # a branch or field without parts of its own
            readers[_plain(key.rpartition("/")[2])] = _range_reader(column)
    return Source(path, int(table.num_entries), readers, file.close)


def _range_reader(column: Any) -> Callable[[int, int], Any]:
    def read(start: int, stop: int) -> Any:
        values = column.array(entry_start=start, entry_stop=stop, library="ak")
        return _simplified(values)

    return read


def _simplified(values: Any) -> Any:
    """Give flat awkward arrays as NumPy arrays."""
    if values.ndim == 1 and not values.fields and "?" not in str(values.type):
        ak = require("awkward", extra="physics")
        return np.asarray(ak.to_numpy(values)) if "string" not in str(values.type) else values
    return values


def _plain(name: str) -> str:
    return re.sub(r"\W", "_", name)


def _hdf5(path: str, tree: str) -> Source:
    file = h5py.File(path, "r")
    arrays: dict[str, h5py.Dataset] = {}

    def collect(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.ndim >= 1 and not name.startswith("_"):
            arrays[name] = item

    file.visititems(collect)
    tables = [
        name.removesuffix("/table")
        for name, item in arrays.items()
        if name.endswith("/table") and item.dtype.names and "values_block_0" in item.dtype.names
    ]
    if tables:
        key = _choose(path, "table", tree, tables)
        readers = _pandas_table(path, arrays[f"{key}/table"])
        return Source(path, len(arrays[f"{key}/table"]), readers, file.close)
    if tree:
        inside = {n: a for n, a in arrays.items() if n.startswith(f"{tree}/")}
        if not inside:
            groups = sorted({n.rpartition("/")[0] for n in arrays} - {""})
            _choose(path, "group", tree, groups)
        arrays = {name.removeprefix(f"{tree}/"): array for name, array in inside.items()}
    if not arrays:
        raise DataError(f"{path} holds no arrays; expected some with one row per jet.")
    # Names of features and the like have other lengths than the columns.
    n_entries = Counter(len(array) for array in arrays.values()).most_common()
    most = max(count for _, count in n_entries)
    n = max(length for length, count in n_entries if count == most)
    readers = {}
    for name, array in arrays.items():
        if len(array) != n:
            continue
        if not array.dtype.names:
            readers[_plain(name)] = _dataset_reader(array)
            continue
        for field in array.dtype.names:
            if not (field == "valid" and array.ndim == 2):
                readers[f"{_plain(name)}_{_plain(field)}"] = _field_reader(array, field)
    return Source(path, n, readers, file.close)


def _dataset_reader(array: h5py.Dataset) -> Callable[[int, int], Any]:
    return lambda start, stop: array[start:stop]


def _field_reader(array: h5py.Dataset, field: str) -> Callable[[int, int], Any]:
    """Read one field of a structured array; constituents that are not ``valid`` are left out."""

    def read(start: int, stop: int) -> Any:
        if array.ndim == 1 or "valid" not in array.dtype.names:
            return array.fields(field)[start:stop]
        rows = array.fields([field, "valid"])[start:stop]
        return _ragged(rows[field], rows["valid"].astype(bool))

    return read


def _ragged(values: Array, mask: NDArray[np.bool_]) -> Any:
    """Make an awkward array of what lies under a mask, (n, length) to n * var."""
    ak = require("awkward", extra="physics")
    return ak.unflatten(values[mask], mask.sum(1))


def _pandas_table(path: str, rows: h5py.Dataset) -> dict[str, Callable[[int, int], Any]]:
    """Give the columns of a DataFrame that pandas wrote in its format ``table``.

    The columns stand side by side in blocks of one dtype. Numbered columns (PX_0, PX_1, …) are
    given as one, of shape (n_jets, length); those of a four-vector, (E, PX, PY, PZ)_i, as the
    ragged columns part_energy, part_px, part_py, part_pz, without the padding.
    """
    last: dict[str, Any] = {}  # the rows read last: all columns of a range come from one reading

    def block(name: str, start: int, stop: int) -> Array:
        if last.get("range") != (start, stop):
            last.update(range=(start, stop), rows=rows[start:stop])
        return last["rows"][name]

    columns: dict[str, tuple[str, int]] = {}
    for name in rows.dtype.names:
        shape = rows.dtype[name].shape
        titles = _titles(rows.attrs.get(f"{name}_kind")) if shape else [name]
        if shape and len(titles) != shape[0]:
            raise DataError(
                f"{path}: the names of the {shape[0]} columns in {name} cannot be read; expected "
                "them as pandas writes them. Write the table again with pandas.DataFrame.to_hdf."
            )
        columns |= {title: (name, i if shape else -1) for i, title in enumerate(titles)}

    def single(name: str, place: int) -> Callable[[int, int], Any]:
        if place < 0:
            return lambda start, stop: block(name, start, stop)
        return lambda start, stop: block(name, start, stop)[:, place]

    numbered: dict[str, dict[int, str]] = {}
    readers: dict[str, Callable[[int, int], Any]] = {}
    for title, (name, place) in columns.items():
        stem, _, number = title.rpartition("_")
        if stem and number.isdigit():
            numbered.setdefault(stem, {})[int(number)] = title
        else:
            readers[_plain(title)] = single(name, place)

    def several(titles: list[str]) -> Callable[[int, int], Any]:
        name = columns[titles[0]][0]
        places = [columns[title][1] for title in titles]
        steps = set(np.diff(places).tolist())
        if len(steps) == 1 and min(steps) > 0:  # a view
            evenly = slice(places[0], places[-1] + 1, steps.pop())
            return lambda start, stop: block(name, start, stop)[:, evenly]
        return lambda start, stop: block(name, start, stop)[:, places]

    dense = {
        stem: several([titles[i] for i in sorted(titles)])
        for stem, titles in numbered.items()
        if len({columns[title][0] for title in titles.values()}) == 1
    }
    parts = ("E", "PX", "PY", "PZ")
    if all(part in dense for part in parts):
        components = {part: dense.pop(part) for part in parts}

        def constituents(part: str) -> Callable[[int, int], Any]:
            def read(start: int, stop: int) -> Any:
                if last.get("mask_range") != (start, stop):
                    vectors = {p: components[p](start, stop) for p in parts}
                    mask = np.logical_or.reduce([vectors[p] != 0 for p in parts])
                    last.update(mask_range=(start, stop), vectors=vectors, mask=mask)
                return _ragged(last["vectors"][part], last["mask"])

            return read

        for part, title in zip(parts, ("energy", "px", "py", "pz"), strict=True):
            readers[f"part_{title}"] = constituents(part)
    return readers | {_plain(stem): reader for stem, reader in dense.items()}


def _titles(text: Any) -> list[str]:
    """Read the names in an attribute of PyTables without unpickling it.

    PyTables stores lists of names as pickles of protocol 0, which are lines of text: each name
    stands on a line of its own behind the letter V.
    """
    if not isinstance(text, bytes | np.bytes_):
        return []
    return re.findall(r"^a?V(.*)$", text.decode("utf-8", "replace"), re.M)


def _parquet(path: str, tree: str) -> Source:
    ak = require("awkward", extra="physics")
    parquet = require("pyarrow.parquet", extra="physics-parquet")
    file = parquet.ParquetFile(path)
    groups = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
    bounds = np.concatenate([[0], np.cumsum(groups, dtype=np.int64)]).astype(np.int64)
    last: dict[str, Any] = {}

    def column(outer: str, inner: str) -> Callable[[int, int], Any]:
        def read(start: int, stop: int) -> Any:
            first = int(np.searchsorted(bounds, start, side="right")) - 1
            end = max(int(np.searchsorted(bounds, stop, side="left")), first + 1)
            key = (outer, first, end)
            if last.get("key") != key:
                kept = list(range(first, min(end, len(groups))))
                last.update(key=key, table=file.read_row_groups(kept, columns=[outer]))
            values = ak.from_arrow(last["table"])[outer][
                start - bounds[first] : stop - bounds[first]
            ]
            values = values[inner] if inner else values
            return _simplified(_without_options(values))

        return read

    readers = {}
    for entry in file.schema_arrow:
        kind = entry.type
        while hasattr(kind, "value_type"):
            kind = kind.value_type
        inner = [kind.field(i).name for i in range(kind.num_fields)] if kind.num_fields else []
        for name in inner:
            readers[_plain(f"{entry.name}_{name}")] = column(entry.name, name)
        if not inner:
            readers[_plain(entry.name)] = column(entry.name, "")
    return Source(path, file.metadata.num_rows, readers, file.close)


def _without_options(values: Any) -> Any:
    """Arrow columns may hold None; give those that hold none without the possibility."""
    ak = require("awkward", extra="physics")
    for axis in range(values.ndim):
        if "?" in str(values.type) and not ak.any(ak.is_none(values, axis=axis), axis=None):
            values = ak.drop_none(values, axis=axis)
    return values


def _columns_of(jets: JetBatch) -> dict[str, Any]:
    """Give jets as the columns that a file of them would have."""
    ak = require("awkward", extra="physics")
    parts = ("part_energy", "part_px", "part_py", "part_pz")
    flat = {**dict(zip(parts, jets.vectors.T, strict=True)), **jets.features}
    columns = {name: ak.unflatten(column, jets.counts) for name, column in flat.items()}
    truth = {} if jets.labels is None else {"label": jets.labels}
    return {**columns, **jets.observables, **jets.observers, **truth, "weight": jets.weights}


def _memory(data: Any) -> Source:
    columns: dict[str, Any] = {}
    items = (
        data.items() if isinstance(data, Mapping) else ((name, data[name]) for name in data.fields)
    )
    for name, value in items:
        fields = value.fields if is_awkward(value) else []
        if fields:
            columns |= {_plain(f"{name}_{field}"): value[field] for field in fields}
        else:
            columns[_plain(name)] = _simplified(value) if is_awkward(value) else np.asarray(value)
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(
            f"the columns in memory have different lengths: {lengths}; expected one row per jet "
            "in each."
        )

    def reader(column: Any) -> Callable[[int, int], Any]:
        return lambda start, stop: column[start:stop]

    n_entries = next(iter(lengths.values()), 0)
    return Source("the array", n_entries, {name: reader(c) for name, c in columns.items()})
