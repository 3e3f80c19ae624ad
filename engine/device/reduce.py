"""Reductions, scans and sorting."""

import numpy as np

from fieldgrad.engine.bindings import base_kernels
from fieldgrad.engine.device.table import Array, Table, arrays_out

__all__ = ["KERNELS"]


def _sort(x: Array, *, axis: int, descending: bool, stable: bool) -> Array:
    out = np.sort(x, axis=axis)  # of equal numbers no one sees the order
    return np.flip(out, axis) if descending else out


def _argsort(x: Array, *, axis: int, descending: bool, stable: bool) -> Array:
    if not descending:
        return np.argsort(x, axis=axis, stable=True)
    backwards = np.argsort(np.flip(x, axis), axis=axis, stable=True)
    return np.flip(x.shape[axis] - 1 - backwards, axis)


KERNELS: Table = {
    "sort": _sort,
    "argsort": _argsort,
    **{
        f.__name__: base_kernels.Reduction(f.__name__, f)
        for f in (np.sum, np.mean, np.prod, np.max, np.min, np.argmax, np.argmin)
    },
    "cumsum": base_kernels.cumsum,
    "cumprod": lambda x, axis: np.cumprod(x, axis=axis),
    "linear_scan": base_kernels.linear_scan,
    "logcumsumexp": arrays_out(np.logaddexp.accumulate),
    "all": arrays_out(np.all),
    "any": arrays_out(np.any),
}
