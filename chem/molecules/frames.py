"""SMILES and labels out of lists, arrays and DataFrames; pandas is never imported."""

from __future__ import annotations

from typing import Any

import numpy as np

from fieldgrad.chem.molecules.labels import Classes, Labels
from fieldgrad.chem.molecules.tables import column_index
from fieldgrad.engine.errors import DataError

__all__ = ["is_frame", "labeled_data", "smiles_of"]


def is_frame(x: Any) -> bool:
    """Tell whether x is a DataFrame, without importing pandas.

    Parameters
    ----------
    x : object
        Anything.

    Returns
    -------
    bool
        Whether it has columns and can be given more.
    """
    return hasattr(x, "columns") and hasattr(x, "assign")


def smiles_of(x: Any, column: str) -> list[str]:
    """Give the SMILES of a list or DataFrame.

    Parameters
    ----------
    x : sequence of str or DataFrame
        Missing ones become empty texts.
    column : str
        The column of a DataFrame.

    Returns
    -------
    list of str
        One for each row.

    Raises
    ------
    DataError
        If there is no such column, or x is a single text.
    """
    if is_frame(x):
        column_index([str(name) for name in x.columns], column, "the DataFrame")
        x = x[column]
    if isinstance(x, str):
        raise DataError("x is one text; expected a list of SMILES. Put it in brackets.")
    return ["" if text is None or text != text else str(text) for text in x]


def labeled_data(
    x: Any, y: Any, smiles_column: str, task: str = "auto", classes: Classes = ()
) -> tuple[list[str], Labels, list[str], bool]:
    """Give SMILES and labels of what `Predictor.fit` was given.

    Parameters
    ----------
    x : sequence of str or DataFrame
        SMILES.
    y : array_like, DataFrame, str or list of str
        Labels, or names of columns of x.
    smiles_column : str
        Column of a DataFrame.
    task : {"auto", "regression", "classification", "multiclass"}, default "auto"
        What the labels are to be; see `Labels.read`.
    classes : tuple of tuple of str, default ()
        The classes of a model, for `Labels.read`.

    Returns
    -------
    smiles : list of str
        One for each row.
    labels : Labels
        Numbers or classes; missing ones are NaN, None or empty.
    targets : list of str
        Names of the tasks.
    flat : bool
        Whether the labels came without an axis for tasks.

    Raises
    ------
    DataError
        If a column is missing, or SMILES and labels are not equally many.
    """
    smiles = smiles_of(x, smiles_column)
    if isinstance(y, str) or (
        is_frame(x) and isinstance(y, list) and all(isinstance(n, str) for n in y)
    ):
        names = [y] if isinstance(y, str) else list(y)
        missing = [name for name in names if not is_frame(x) or name not in list(x.columns)]
        if missing:
            raise DataError(
                f"y names the column {missing[0]!r}, which x does not have. Give labels as "
                "numbers, or name columns of the DataFrame."
            )
        labels, flat = x[names].to_numpy(), isinstance(y, str)
    else:
        labels = np.asarray(list(y) if isinstance(y, range) else y)
        flat = labels.ndim == 1
        labels = labels[:, None] if flat else labels
        default = [f"target_{i}" for i in range(labels.shape[1])] if not flat else ["target"]
        given = getattr(y, "columns", None)
        named = [str(getattr(y, "name", None) or "target")] if flat else default
        names = named if given is None else [str(name) for name in given]
    if len(labels) != len(smiles):
        raise DataError(
            f"there are {len(smiles)} SMILES, but {len(labels)} rows of labels; expected one for "
            "each."
        )
    if labels.dtype.kind == "b":
        labels = labels.astype(int)
    columns = [["" if v is None or v != v else str(v) for v in c] for c in labels.T.tolist()]
    return smiles, Labels.read(columns, names, "y", task, classes), names, flat
