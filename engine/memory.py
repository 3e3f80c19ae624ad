"""The pool of memory for large arrays: what it holds, how to empty and to bound it.

Arrays of 64 KiB and more live in blocks aligned to 64 bytes. A block is kept when its array dies
and serves the next array of about its size, so that a training step finds the pages of the one
before. Blocks of other sizes go back to the operating system before the pool holds more than arrays
have needed at some time. All threads share the pool and may use it at once.

>>> import fieldgrad.engine as fg
>>> x = fg.zeros((1024, 1024)) + 1.0
>>> fg.memory.stats().used >= 4 * 1024 * 1024
True
>>> del x
>>> _ = fg.memory.trim()
>>> fg.memory.stats().free
0
"""

import os
from dataclasses import dataclass
from pathlib import Path

from fieldgrad.engine.bindings import base_kernels

__all__ = ["Stats", "reset_peak", "set_limit", "stats", "trim"]


@dataclass(frozen=True)
class Stats:
    """Bytes of the pool.

    Parameters
    ----------
    used : int
        In arrays that live now.
    peak : int
        The largest `used` since the start, or since `reset_peak`.
    free : int
        In blocks kept for reuse.
    limit : int
        What `free` may be at most.
    """

    used: int
    peak: int
    free: int
    limit: int


def stats() -> Stats:
    """Count the bytes of the pool.

    Returns
    -------
    Stats
        Bytes used now, their peak, those free for reuse and the limit of these.
    """
    return Stats(*base_kernels.memory_stats())


def trim() -> int:
    """Give all free blocks back to the operating system.

    Returns
    -------
    int
        Number of bytes given back.
    """
    return base_kernels.trim()


def set_limit(nbytes: int) -> None:
    """Keep at most so many bytes free for reuse; the rest goes back at once.

    Parameters
    ----------
    nbytes : int
        0 keeps nothing. At start: a quarter of the memory that the process may have.

    Raises
    ------
    ValueError
        If nbytes is negative.
    """
    if nbytes < 0:
        raise ValueError(f"memory.set_limit: nbytes = {nbytes}; expected 0 or more.")
    base_kernels.set_memory_limit(nbytes)


def reset_peak() -> None:
    """Count the peak from what is used now."""
    base_kernels.reset_memory_peak()


def _available() -> int:
    """Bytes that the process may have: the machine's, or less if a control group says so."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    group = Path("/sys/fs/cgroup/memory.max")
    text = group.read_text().strip() if group.exists() else "max"
    return total if text == "max" else min(total, int(text))


set_limit(_available() // 4)
