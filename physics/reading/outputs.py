"""Scores beside the jets they belong to, in the order of the input: ROOT, HDF5, Parquet."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine.errors import DataError, FileError, require
from fieldgrad.engine.files import atomic_write
from fieldgrad.physics.jets.batch import JetBatch

__all__ = ["SUFFIXES", "beside", "scores_table", "write_columns", "write_reference_table"]

SUFFIXES = (".root", ".h5", ".hdf5", ".parquet")

Array = NDArray[Any]


def scores_table(
    jets: JetBatch, scores: Array, names: tuple[str, ...] = ()
) -> dict[str, NDArray[Any]]:
    """Put scores, truth, weights and observers side by side.

    Parameters
    ----------
    jets : JetBatch
        The jets that were tagged, in the order they were read.
    scores : numpy.ndarray of shape (n_jets, n_classes) or (n_jets,)
        A number per class, or one.
    names : tuple of str, optional
        Names of the classes; those of the jets' labels if left out.

    Returns
    -------
    dict of str to numpy.ndarray of shape (n_jets,)
        ``score_…`` by class (``score`` if it is one number), ``label`` as a number if the truth is
        known, ``weight`` if some are not 1, and every observer.

    Raises
    ------
    DataError
        If there is not one row of scores per jet, or not one name per column.

    Examples
    --------
    >>> jets = JetBatch([0, 0, 0], np.empty((0, 4)), observers={"jet_pt": [600.0, 610.0]})
    >>> table = scores_table(jets, np.array([[0.9, 0.1], [0.2, 0.8]]), ("QCD", "top"))
    >>> list(table), table["score_top"]
    (['score_QCD', 'score_top', 'jet_pt'], array([0.1, 0.8]))
    """
    scores = np.asarray(scores)
    names = tuple(names) or jets.label_names
    if len(scores) != len(jets) or scores.ndim not in (1, 2):
        raise DataError(f"scores have shape {scores.shape}; expected ({len(jets)}, n_classes).")
    if scores.ndim == 2 and scores.shape[1] != len(names):
        raise DataError(
            f"scores have {scores.shape[1]} columns for {len(names)} classes ({', '.join(names)}); "
            "expected one column for each."
        )
    table = (
        {"score": scores}
        if scores.ndim == 1
        else {f"score_{name}": scores[:, k] for k, name in enumerate(names)}
    )
    return beside(jets, table)


def beside(jets: JetBatch, columns: Mapping[str, Array]) -> dict[str, Array]:
    """Put truth, weights and observers of jets beside columns that belong to them.

    Parameters
    ----------
    jets : JetBatch
        The jets, in the order they were read.
    columns : mapping of str to numpy.ndarray of shape (n_jets,)
        What is said of them.

    Returns
    -------
    dict of str to numpy.ndarray of shape (n_jets,)
        The columns, ``label`` as a number if the truth is known, ``weight`` if some are not 1, and
        every observer.
    """
    table = dict(columns)
    if jets.labels is not None:
        table["label"] = jets.labels
    if (jets.weights != 1).any():
        table["weight"] = jets.weights
    return table | {name: column for name, column in jets.observers.items() if name not in table}


def write_columns(path: str | os.PathLike[str], columns: Mapping[str, Array]) -> None:
    """Write columns to a file, whole or not at all.

    Parameters
    ----------
    path : path-like
        Ends in .root (a TTree ``tree``), .h5 or .hdf5 (one data set per column) or .parquet.
    columns : mapping of str to numpy.ndarray of shape (n_jets,)
        Columns of one length.

    Raises
    ------
    FileError
        If the file cannot be written, or its name ends in something else.
    DataError
        If the columns have different lengths.
    """
    arrays = {name: np.ascontiguousarray(column) for name, column in columns.items()}
    lengths = {name: array.shape for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"the columns have different shapes: {lengths}; expected one.")
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise FileError(
            f"{os.fspath(path)} ends in {suffix!r}; expected one of {', '.join(SUFFIXES)}.", path
        )
    with atomic_write(path) as temporary:
        if suffix == ".root":
            _write_root(temporary, arrays)
        elif suffix == ".parquet":
            arrow = require("pyarrow", extra="physics-parquet")
            parquet = require("pyarrow.parquet", extra="physics-parquet")
            parquet.write_table(arrow.table(arrays), temporary)
        else:
            with h5py.File(temporary, "w") as file:
                for name, array in arrays.items():
                    file[name] = array


def _write_root(path: Path, arrays: Mapping[str, Array]) -> None:
    uproot = require("uproot", extra="physics")
    with uproot.recreate(path) as file:
        # A TTree, which every version of ROOT reads; plain assignment would write an RNTuple.
        tree = file.mktree("tree", {name: array.dtype for name, array in arrays.items()})
        tree.extend(dict(arrays))


def write_reference_table(
    path: str | os.PathLike[str], jets: JetBatch, *, split: int = 0, length: int = 200
) -> None:
    """Write jets in the layout of the top-tagging reference: a table of pandas in HDF5.

    Parameters
    ----------
    path : path-like
        The file to write.
    jets : JetBatch
        Jets of two classes, 0 (QCD) and 1 (top). Observers ``truthE``, ``truthPX``, ``truthPY``,
        ``truthPZ`` are written too, 0 if there are none.
    split : {0, 1, 2}, default 0
        What the column ``ttv`` says: 0 training, 1 test, 2 validation.
    length : int, default 200
        Constituents per jet; jets with more keep their first ones.

    Raises
    ------
    FileError
        If the file cannot be written.
    DataError
        If the jets have no labels.

    Notes
    -----
    ``pandas.read_hdf(path, key="table")`` reads it. Floats are rounded to 13 explicit bits of the
    mantissa (relative 6e-5), which makes the file a third smaller.

    References
    ----------
    G. Kasieczka, T. Plehn, J. Thompson, M. Russell, "Top Quark Tagging Reference Dataset", Zenodo
    2603256 (2019).
    """
    if jets.labels is None:
        raise DataError("write_reference_table: the jets have no labels; expected 0 and 1.")
    dense, _ = jets.to_dense(length)
    truth = ("truthE", "truthPX", "truthPY", "truthPZ")
    zeros = np.zeros(len(jets))
    matched = np.stack([jets.observers.get(name, zeros) for name in truth], 1)
    floats = np.concatenate([dense.reshape(len(jets), -1), matched], 1).astype("<f4")
    bits = floats.view("<u4")
    bits += np.uint32(1 << 9)  # to nearest: 10 of the 23 bits go
    bits &= np.uint32(0xFFFFFC00)
    ends = ("E", "PX", "PY", "PZ")
    blocks = [
        [f"{part}_{i}" for i in range(length) for part in ends] + list(truth),
        ["ttv", "is_signal_new"],
    ]
    titles = [*blocks[0], *blocks[1]]
    kinds = [("index", "<i8"), ("values_block_0", "<f4", (4 * length + 4,)),
             ("values_block_1", "<i8", (2,))]  # fmt: skip
    rows = np.zeros(len(jets), kinds)
    rows["index"] = np.arange(len(jets))
    rows["values_block_0"] = floats
    rows["values_block_1"] = np.stack([np.full(len(jets), split), jets.labels], 1)
    with atomic_write(path) as temporary, h5py.File(temporary, "w") as file:
        _set_text(file, TITLE="", CLASS="GROUP", VERSION="1.0", PYTABLES_FORMAT_VERSION="2.1")
        group = file.create_group("table")
        axes = f"(lp0\n(I1\n{_listed(titles, 1)[:-1]}tp{len(titles) + 2}\na."
        _set_text(group, TITLE="", CLASS="GROUP", VERSION="1.0", encoding="UTF-8", errors="strict",
                  pandas_type="frame_table", table_type="appendable_frame", nan_rep="N.",
                  data_columns=_listed([]), info="(dp0\nI1\n(dp1\nVnames\np2\n(lp3\nNass.",
                  index_cols="(lp0\n(I0\nVindex\np1\ntp2\na.",
                  values_cols=_listed(["values_block_0", "values_block_1"]),
                  non_index_axes=axes)  # fmt: skip
        group.attrs["levels"] = np.int64(1)
        table = group.create_dataset(
            "table", data=rows, maxshape=(None,), chunks=(min(max(len(jets), 1), 40),),
            compression="gzip", compression_opts=9, shuffle=True,
        )  # fmt: skip
        _set_text(table, TITLE="", CLASS="TABLE", VERSION="2.7", index_kind="integer")
        table.attrs["NROWS"] = np.int64(len(jets))
        for i, name in enumerate(rows.dtype.names or ()):
            _set_text(table, **{f"FIELD_{i}_NAME": name})
        for i, (names, dtype) in enumerate(zip(blocks, ("float32", "int64"), strict=True)):
            entries = {"kind": _listed(names), "dtype": dtype, "meta": "N."}
            _set_text(table, **{f"values_block_{i}_{key}": text for key, text in entries.items()})


def _set_text(item: h5py.Group | h5py.Dataset, **attributes: str) -> None:
    """Write text; PyTables tells what it calls a pickle by its being ASCII, not UTF-8."""
    for name, text in attributes.items():
        encoding = "ascii" if text.endswith(".") else "utf-8"
        data = text.encode()
        item.attrs.create(name, data, dtype=h5py.string_dtype(encoding, max(len(data), 1)))


def _listed(names: list[str], first: int = 0) -> str:
    """Write a list of names as PyTables does: a pickle of protocol 0, which is lines of text."""
    lines = "".join(f"V{name}\np{i}\na" for i, name in enumerate(names, first + 1))
    return f"(lp{first}\n{lines}."
