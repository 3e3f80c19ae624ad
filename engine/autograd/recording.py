"""Whether ops are recorded, and with which care."""

import contextlib
from collections.abc import Iterator

from fieldgrad.engine._core import set_anomaly, set_recording

__all__ = ["detect_anomaly", "enable_grad", "is_recording", "no_grad"]


@contextlib.contextmanager
def no_grad() -> Iterator[None]:
    """Record nothing inside the block, in this thread."""
    before = set_recording(False)
    try:
        yield
    finally:
        set_recording(before)


@contextlib.contextmanager
def enable_grad() -> Iterator[None]:
    """Record inside the block, also within `no_grad`."""
    before = set_recording(True)
    try:
        yield
    finally:
        set_recording(before)


@contextlib.contextmanager
def detect_anomaly() -> Iterator[None]:
    """Stop where the first NaN comes up, forward or backward, and name the op and its line.

    Forward it is a `NumericsError` from an op that makes NaN of inputs without any; backward a
    `GradientError` that names the forward line of the op whose gradient it is.
    """
    before = set_anomaly(True)
    try:
        yield
    finally:
        set_anomaly(before)


def is_recording() -> bool:
    """Tell whether ops called here are recorded.

    Returns
    -------
    bool
        False inside `no_grad`.
    """
    before = set_recording(True)
    set_recording(before)
    return before
