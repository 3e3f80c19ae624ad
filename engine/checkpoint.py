"""Checkpoints: named arrays and text in one safetensors file, never pickled objects.

The file can be read by any safetensors reader in any language, its arrays are laid out as in
memory, and reading it runs no code.
"""

import json
import os
import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine.errors import DataError, FileError
from fieldgrad.engine.files import atomic_write, write_error

__all__ = ["load", "save"]

Arrays = dict[str, NDArray[np.generic]]


def save(
    path: str | os.PathLike[str],
    arrays: Mapping[str, NDArray[np.generic]],
    text: Mapping[str, str] | None = None,
) -> None:
    """Write arrays and text to a safetensors file, whole or not at all.

    Parameters
    ----------
    path : str or os.PathLike
        The file to write; an older one is replaced.
    arrays : mapping of str to numpy.ndarray
        Named arrays or tensors of any shape, of a boolean, integer, floating or complex64 dtype.
    text : mapping of str to str, optional
        Named text, such as the recipe; it is stored in the file's header.

    Raises
    ------
    DataError
        If an array's dtype has no place in the format, or a name or text is no string.
    FileError
        If the file cannot be written.

    References
    ----------
    .. [1] Hugging Face, safetensors format, https://github.com/huggingface/safetensors

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from fieldgrad.engine import checkpoint
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.safetensors"
    >>> checkpoint.save(path, {"weight": np.ones((2, 3), np.float32)}, {"step": "7"})
    >>> arrays, text = checkpoint.load(path)
    >>> arrays["weight"].shape, text
    ((2, 3), {'step': '7'})
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    text = dict(text or {})
    for key, value in text.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise DataError(
                f"checkpoint.save: text[{key!r}] is {type(value).__name__}; expected text. "
                "Convert it, for example with json.dumps."
            )
    contiguous: Arrays = {}
    for name, array in arrays.items():
        array = np.asarray(array)
        if not (
            (array.dtype.kind in "biuf" and array.itemsize <= 8) or array.dtype == np.complex64
        ):
            raise DataError(
                f"checkpoint.save: array {name!r} has dtype {array.dtype}; expected numbers "
                "(bool, integer, float, complex64). Convert it, or store it as text."
            )
        # The format is little-endian and C-ordered; ascontiguousarray would make 0-d arrays 1-d.
        contiguous[name] = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
    with atomic_write(path) as temporary:
        try:
            # None, because safetensors 0.8 writes a broken header for no arrays and empty text.
            save_file(contiguous, temporary, text or None)
        except SafetensorError as error:
            # The library wraps the operating system's error and keeps its number in the text only.
            number = re.search(r"os error (\d+)", str(error))
            cause = OSError(int(number[1]), os.strerror(int(number[1]))) if number else None
            raise write_error(path, cause or OSError(str(error))) from error


_DTYPES = frozenset(
    ("BOOL", "I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64", "F16", "F32", "F64", "C64")
)


def _keys(name: str) -> list[str]:
    """The names in the header, which the library has checked but for names that come twice."""

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        table = dict(pairs)
        if len(table) < len(pairs):
            names = [key for key, _ in pairs]
            twice = next(key for key in names if names.count(key) > 1)
            raise FileError(
                f"{name} is not a whole safetensors file (its header names {twice!r} twice). "
                "Copy it again, or use an earlier checkpoint.",
                name,
            )
        return table

    with open(name, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size), object_pairs_hook=unique)
    return [key for key in header if key != "__metadata__"]


def load(path: str | os.PathLike[str]) -> tuple[Arrays, dict[str, str]]:
    """Read the arrays and the text of a safetensors file.

    Parameters
    ----------
    path : str or os.PathLike
        The file to read.

    Returns
    -------
    arrays : dict of str to numpy.ndarray
        The named arrays, in memory and writable.
    text : dict of str to str
        The named text, empty if the file holds none.

    Raises
    ------
    FileError
        If the file is missing, truncated or of another format, or has a dtype that NumPy lacks
        (bfloat16, float8).

    Examples
    --------
    >>> from fieldgrad.engine import checkpoint
    >>> checkpoint.load("nowhere.safetensors")
    Traceback (most recent call last):
    ...
    fieldgrad.engine.errors.FileError: nowhere.safetensors does not exist; expected a checkpoint ...
    """
    from safetensors import SafetensorError, safe_open

    name = os.fspath(path)
    if not os.path.exists(path):
        raise FileError(
            f"{name} does not exist; expected a checkpoint (.safetensors). Check the path.", path
        )
    if os.path.isdir(path):
        raise FileError(
            f"{name} is a folder; expected a checkpoint (.safetensors). Name a file in it.", path
        )
    try:
        with safe_open(name, framework="numpy") as file:
            keys = _keys(name)
            arrays = {}
            for key in keys:
                dtype = file.get_slice(key).get_dtype()
                if dtype not in _DTYPES:
                    raise FileError(
                        f"{name}: array {key!r} has dtype {dtype}; expected one that NumPy has "
                        f"({', '.join(sorted(_DTYPES))}). Convert it where it was written.",
                        path,
                    )
                arrays[key] = file.get_tensor(key)
            return arrays, dict(file.metadata() or {})
    except SafetensorError as error:
        raise FileError(
            f"{name} is not a whole safetensors file ({error}). "
            "Copy it again, or use an earlier checkpoint.",
            path,
        ) from error
    except OSError as error:
        raise FileError(
            f"{name} cannot be read: {error.strerror or error}. "
            "Check that it is a file and that you may read it.",
            path,
        ) from error
