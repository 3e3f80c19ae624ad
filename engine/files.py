"""Writing files so that a reader sees the old file or the new one, never half of one."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fieldgrad.engine.errors import FieldgradError, FileError

__all__ = ["atomic_write"]


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a file completely or not at all.

    Parameters
    ----------
    path : path-like
        The file to write; an existing one is replaced at the end.

    Yields
    ------
    Path
        A temporary path in the same folder, with the same suffixes, to write to. It is flushed to
        disk and renamed to `path` when the block ends, and removed if the block raises.

    Raises
    ------
    FileError
        If the folder does not exist, the disk is full, or writing is not allowed.

    Examples
    --------
    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "volumes.tsv"
    >>> with atomic_write(target) as temporary:
    ...     _ = temporary.write_text("label\\tmm3\\n")
    >>> target.read_text()
    'label\\tmm3\\n'
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileError(
            f"{path} cannot be written: the folder {path.parent} does not exist.\n"
            f"Create it (mkdir -p {path.parent}), or choose another place.",
            path,
        )
    temporary = path.with_name(f".partial-{secrets.token_hex(4)}-{path.name}")
    try:
        yield temporary
        _flush(temporary)
        os.replace(temporary, path)
        _flush(path.parent)
    except FieldgradError:
        raise
    except OSError as error:
        raise FileError(
            f"{path} cannot be written: {error.strerror or error}.\n"
            "Free space there, check your permissions, or choose another place; "
            "no partial file was left.",
            path,
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Ask the system to put a file, or a folder's list of names, on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
