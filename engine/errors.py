"""Errors with a message for the user: what was wrong, what was expected, how to repair it."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from os import PathLike, fspath
from types import ModuleType

__all__ = [
    "DTypeError",
    "DataError",
    "FieldgradError",
    "FileError",
    "MissingExtra",
    "RecipeError",
    "ShapeError",
    "require",
    "suggest",
]


class FieldgradError(Exception):
    """Base of all errors whose text is written for the user; the command line shows it alone."""


class ShapeError(FieldgradError, ValueError):
    """An array or tensor has a shape that the operation cannot take."""


class DTypeError(FieldgradError, TypeError):
    """An array or tensor has a data type that the operation cannot take."""


class DataError(FieldgradError, ValueError):
    """Data were read but cannot be used: empty, not finite, inconsistent."""


class RecipeError(FieldgradError, ValueError):
    """A recipe names something unknown or holds a value that does not fit."""


class FileError(FieldgradError, OSError):
    """A file is missing, damaged, of an unknown kind, or cannot be written.

    Parameters
    ----------
    message : str
        Text for the user; it names the file and the remedy.
    path : path-like, optional
        The file.

    Attributes
    ----------
    path : str or None
        The file.
    """

    def __init__(self, message: str, path: str | PathLike[str] | None = None) -> None:
        super().__init__(message)
        self.path = None if path is None else fspath(path)


class MissingExtra(FieldgradError, ImportError):
    """An optional library is not installed."""


def require(name: str, *, extra: str) -> ModuleType:
    """Import an optional library when it is needed.

    Parameters
    ----------
    name : str
        Module to import, for example ``"nilearn.datasets"``.
    extra : str
        The extra of this distribution that installs it.

    Returns
    -------
    module
        The imported module.

    Raises
    ------
    MissingExtra
        If the library is not installed; the text names the command that installs it.

    Examples
    --------
    >>> require("math", extra="neuro").floor(2.5)
    2
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        library = name.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != library:
            raise  # the library is there, but something that it needs is not
        raise MissingExtra(
            f"{library} is not installed, and this function needs it.\n"
            f'Install it with: pip install "fieldgrad[{extra}]"',
            name=name,
        ) from error


def suggest(word: str, choices: Iterable[str]) -> str:
    """Give the end of an error message that names the nearest of the allowed words.

    Parameters
    ----------
    word : str
        What the user wrote.
    choices : iterable of str
        What is allowed.

    Returns
    -------
    str
        ``"; did you mean 'x'?"``, or an empty string if nothing is near.

    Examples
    --------
    >>> suggest("in_chanels", ["in_channels", "depth"])
    "; did you mean 'in_channels'?"
    """
    near = difflib.get_close_matches(word, list(choices), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
