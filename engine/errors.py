"""The errors that tell the user what was wrong, what was expected and how to repair it.

Each class is also the built-in error of its kind, so ``except ValueError`` keeps working. The
command line prints any `FieldgradError` as a short message; every other exception is a defect of
the program and keeps its traceback.
"""

import difflib
import importlib
import os
from collections.abc import Iterable
from types import ModuleType

import numpy as np

__all__ = [
    "AxisError",
    "DTypeError",
    "DataError",
    "FieldgradError",
    "FileError",
    "GradientError",
    "LinAlgError",
    "MissingExtra",
    "NumericsError",
    "RecipeError",
    "ShapeError",
    "require",
    "suggest",
]


class FieldgradError(Exception):
    """Base of all errors whose message tells the user how to go on."""


class ShapeError(FieldgradError, ValueError):
    """Arrays whose shapes do not fit the operation or one another."""


class AxisError(ShapeError, IndexError):
    """An axis that the array does not have."""


class DTypeError(FieldgradError, TypeError):
    """An array or argument of the wrong kind."""


class GradientError(FieldgradError, RuntimeError):
    """A gradient that cannot be computed: no path, a used-up tape, a value changed in place."""


class LinAlgError(FieldgradError, np.linalg.LinAlgError):
    """A matrix without what was asked for: an inverse, a factor, a converging iteration."""


class NumericsError(FieldgradError, FloatingPointError):
    """A NaN that anomaly mode found where it came into being."""


class DataError(FieldgradError, ValueError):
    """Data that cannot be used as it is: wrong values, missing labels, broken geometry."""


class RecipeError(FieldgradError, ValueError):
    """A recipe with an unknown name, an unknown key or a value of the wrong kind."""


class FileError(FieldgradError, OSError):
    """A file or folder that cannot be read or written.

    Parameters
    ----------
    message : str
        What was wrong, what was expected and how to repair it; it names the file.
    path : str or os.PathLike, optional
        The file or folder concerned.

    Attributes
    ----------
    path : str or None
        The file or folder concerned.

    Examples
    --------
    >>> from fieldgrad.engine.errors import FileError
    >>> error = FileError("scan.nii.gz is empty. Copy it again.", "scan.nii.gz")
    >>> print(error, error.path)
    scan.nii.gz is empty. Copy it again. scan.nii.gz
    """

    def __init__(self, message: str, path: str | os.PathLike[str] | None = None) -> None:
        super().__init__(message)
        self.path = None if path is None else os.fspath(path)


class MissingExtra(FieldgradError, ImportError):
    """An optional library that is not installed."""


def require(module: str, *, extra: str) -> ModuleType:
    """Import an optional library, or say how to install it.

    Parameters
    ----------
    module : str
        Import name, such as ``"nilearn.datasets"``.
    extra : str
        The extra of fieldgrad that installs the library, such as ``"neuro"``.

    Returns
    -------
    module : types.ModuleType
        The imported module.

    Raises
    ------
    MissingExtra
        If the library is not installed. A library that is installed but fails while it is
        imported raises its own error.

    Examples
    --------
    >>> from fieldgrad.engine.errors import require
    >>> require("json", extra="neuro").loads("[1, 2]")
    [1, 2]
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        library = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != library:
            raise
        raise MissingExtra(
            f"this needs the library {library}, which is not installed. "
            f'Install it with: pip install "fieldgrad[{extra}]"',
            name=library,
        ) from error


def suggest(word: str, choices: Iterable[str]) -> str:
    """Give the end of a message that names the choice nearest to a mistyped word.

    Parameters
    ----------
    word : str
        What the user wrote.
    choices : iterable of str
        What would have been accepted.

    Returns
    -------
    hint : str
        ``"; did you mean 'x'?"``, or ``""`` if nothing is near.

    Examples
    --------
    >>> from fieldgrad.engine.errors import suggest
    >>> suggest("in_chanels", ["in_channels", "depth"])
    "; did you mean 'in_channels'?"
    >>> suggest("zzz", ["in_channels", "depth"])
    ''
    """
    near = difflib.get_close_matches(word, list(choices), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
