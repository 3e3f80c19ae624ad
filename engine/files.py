"""Writing files so that they are there whole or not at all."""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from fieldgrad.engine.errors import FileError

__all__ = ["atomic_write", "write_error"]

_REMEDIES = {
    errno.ENOSPC: "the disk is full. Free some space, or choose another place",
    errno.EDQUOT: "your disk quota is used up. Free some space, or choose another place",
    errno.EACCES: "you may not write there. Change the permissions, or choose another place",
    errno.EPERM: "you may not write there. Change the permissions, or choose another place",
    errno.EROFS: "the file system is read-only. Choose another place",
    errno.ENOTDIR: "part of its path is a file, not a folder. Choose another place",
    errno.EEXIST: "part of its path is a file, not a folder. Choose another place",
    errno.EISDIR: "it is a folder. Give the name of a file",
    errno.ENAMETOOLONG: "the name is too long. Choose a shorter one",
    errno.EIO: "the disk reported an input/output error. Check the disk, or choose another place",
}


def write_error(path: str | os.PathLike[str], error: OSError) -> FileError:
    """Turn a failed write into an error that names the file and the remedy.

    Parameters
    ----------
    path : str or os.PathLike
        The file or folder that was to be written.
    error : OSError
        What the operating system said.

    Returns
    -------
    error : FileError
        The error to raise, with ``errno`` kept.

    Examples
    --------
    >>> import errno
    >>> from fieldgrad.engine.files import write_error
    >>> print(write_error("seg.nii.gz", OSError(errno.ENOSPC, "No space left on device")))
    seg.nii.gz was not written: the disk is full. Free some space, or choose another place.
    """
    reason = _REMEDIES.get(error.errno or 0, f"{error.strerror or error}. Choose another place")
    wrapped = FileError(f"{os.fspath(path)} was not written: {reason}.", path)
    wrapped.errno = error.errno
    return wrapped


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path whose file takes the place of ``path`` when all went well.

    The temporary file stands in the same folder and ends like ``path`` (``.nii.gz`` stays
    ``.nii.gz``), so that writers that look at the name choose the same format. On success it is
    flushed to the disk and renamed over ``path`` in one step; on any exception it is removed and
    an older file at ``path`` is left as it was. Missing folders are made.

    Parameters
    ----------
    path : str or os.PathLike
        The file to write.

    Yields
    ------
    temporary : pathlib.Path
        Where to write; an empty file is already there.

    Raises
    ------
    FileError
        If the system refuses: full disk, no permission, a folder of that name.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from fieldgrad.engine.files import atomic_write
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> with atomic_write(folder / "volumes.tsv") as temporary:
    ...     _ = temporary.write_text("name\\tmm3\\n")
    >>> [file.name for file in folder.iterdir()]
    ['volumes.tsv']
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".writing-{secrets.token_hex(4)}-{target.name[-100:]}")
    try:
        if target.exists() and not target.is_file():
            raise FileError(f"{target} was not written: it is no file. Give the name of one.", path)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        # Writers may put a file of their own there, with permissions of their own.
        mode = stat.S_IMODE((target if target.exists() else temporary).stat().st_mode)
        yield temporary
        _flush_file(temporary)
        os.chmod(temporary, mode)
        os.replace(temporary, target)
        _flush_folder(target.parent)
    except OSError as error:
        # Trouble with another file inside the block is not about this one.
        if isinstance(error, FileError) or not _concerns(error, target, temporary):
            raise
        raise write_error(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _concerns(error: OSError, target: Path, temporary: Path) -> bool:
    """Tell whether the error names no file, one of these two, or a folder above them."""
    if error.filename is None:
        return True
    named = Path(os.fsdecode(error.filename))
    return named in (target, temporary) or named in temporary.parents


def _flush_file(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Make the rename itself last through a power failure; some file systems cannot."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        with contextlib.suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)
