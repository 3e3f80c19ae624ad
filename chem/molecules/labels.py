"""What is known of molecules: numbers, classes 0 and 1, or classes by name; some may be missing."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldgrad.chem.molecules.tables import MISSING, is_number, read_numbers
from fieldgrad.engine.errors import DataError

__all__ = ["Classes", "Labels", "class_slices"]

Floats = NDArray[np.float64]
# For each task the names of its classes; empty unless the task is "multiclass".
Classes = tuple[tuple[str, ...], ...]

MOST_CLASSES = 50


def class_slices(classes: Classes) -> list[slice]:
    """Give the places of each task's classes among the outputs of a network.

    Parameters
    ----------
    classes : tuple of tuple of str
        Names of the classes of each task.

    Returns
    -------
    list of slice
        One for each task.

    Examples
    --------
    >>> class_slices((("blue", "red"), ("a", "b", "c")))
    [slice(0, 2, None), slice(2, 5, None)]
    """
    ends = np.cumsum([0, *map(len, classes)]).tolist()
    return [slice(a, b) for a, b in itertools.pairwise(ends)]


@dataclass(frozen=True)
class Labels:
    """Labels of some molecules for one or more tasks.

    Parameters
    ----------
    values : ndarray of shape (n_molecules, n_tasks)
        Numbers, or 0 and 1, or places in `classes`; NaN where a label is missing.
    task : {"regression", "classification", "multiclass"}
        What they are.
    classes : tuple of tuple of str, default ()
        For multiclass the names of each task's classes, in order.
    """

    values: Floats
    task: str
    classes: Classes = ()

    def __len__(self) -> int:
        return len(self.values)

    def take(self, indices: NDArray[np.int64]) -> Labels:
        """Give the labels of some molecules.

        Parameters
        ----------
        indices : ndarray of int64
            Which, in the order wanted.

        Returns
        -------
        Labels
            A copy of these.
        """
        return Labels(self.values[indices], self.task, self.classes)

    def texts(self) -> list[list[str]]:
        """Write the labels for a file.

        Returns
        -------
        list of list of str
            A row for each molecule: seven digits of a number, the name of a class, or nothing.
        """
        if not self.classes:
            return [["" if v != v else f"{v:.7g}" for v in row] for row in self.values.tolist()]
        return [
            ["" if v != v else names[int(v)] for v, names in zip(row, self.classes, strict=True)]
            for row in self.values.tolist()
        ]

    @classmethod
    def read(
        cls,
        columns: Sequence[Sequence[str]],
        names: Sequence[str],
        source: str,
        task: str,
        classes: Classes = (),
    ) -> Labels:
        """Read columns of text.

        Parameters
        ----------
        columns : sequence of sequence of str
            The cells of each task; empty ones are missing labels.
        names : sequence of str
            Names of the columns, for messages.
        source : str
            Where they stand, for messages.
        task : {"auto", "regression", "classification", "multiclass"}
            What they are to be. Auto takes columns of 0 and 1 for two classes, other numbers for
            numbers, and words for classes; classification takes whole numbers for classes too.
        classes : tuple of tuple of str, default ()
            The classes of a model, which are then the only ones.

        Returns
        -------
        Labels
            All columns together; if one has classes by name, all have.

        Raises
        ------
        DataError
            If a cell is not what it should be.

        Examples
        --------
        >>> found = Labels.read([["red", "blue", "", "red"]], ["color"], "dyes.csv", "auto")
        >>> found.values[:, 0].tolist(), found.classes
        ([1.0, 0.0, nan, 1.0], (('blue', 'red'),))
        """
        if not classes:
            if task == "regression" or not any(map(_are_words, columns)):
                numbers = [
                    read_numbers(c, name, source) for c, name in zip(columns, names, strict=True)
                ]
                values = np.stack(numbers, axis=1)
                known = values[np.isfinite(values)]
                if np.isin(known, (0, 1)).all() and task != "regression":
                    return cls(values, "classification")
                if task in ("auto", "regression"):
                    return cls(values, "regression")
            classes = tuple(
                _find_classes(c, name, source) for c, name in zip(columns, names, strict=True)
            )
        places = [
            [_place(cell, own, name, source) for cell in column]
            for column, own, name in zip(columns, classes, names, strict=True)
        ]
        return cls(np.array(places, np.float64).T.reshape(-1, len(names)), "multiclass", classes)


def _are_words(column: Sequence[str]) -> bool:
    """Whether no label of a column is a number: one word among numbers is a mistake."""
    known = [cell for cell in column if cell.strip().lower() not in MISSING]
    return bool(known) and not any(map(is_number, known))


def _class_name(cell: str) -> str:
    """Give the name of a cell's class: "1.0" and "1" are one."""
    text = cell.strip()
    return f"{float(text):g}" if is_number(text) else text


def _find_classes(column: Sequence[str], name: str, source: str) -> tuple[str, ...]:
    known = [_class_name(cell) for cell in column if cell.strip().lower() not in MISSING]
    found = sorted(set(known), key=lambda text: (is_number(text) and float(text), text))
    if any(is_number(text) and not float(text).is_integer() for text in found):
        wrong = next(text for text in found if is_number(text) and not float(text).is_integer())
        raise DataError(
            f"{source}: column {name!r} has the label {wrong}; expected classes: 0 and 1, whole "
            "numbers, or names (empty where missing). Set the task to regression for numbers."
        )
    if len(found) > MOST_CLASSES or len(found) > max(len(known) // 2, 2):
        raise DataError(
            f"{source}: column {name!r} has {len(found)} different values among {len(known)} "
            f"labels, such as {found[0]!r} and {found[-1]!r}; expected numbers, or names of at "
            f"most {MOST_CLASSES} classes.\nName another column, or set the task to regression."
        )
    return tuple(found)


def _place(cell: str, classes: Sequence[str], name: str, source: str) -> float:
    if cell.strip().lower() in MISSING:
        return float("nan")
    text = _class_name(cell)
    if text not in classes:
        raise DataError(
            f"{source}: column {name!r} has the class {text!r}, which the model does not know. Its "
            f"classes: {', '.join(classes)}."
        )
    return float(classes.index(text))
