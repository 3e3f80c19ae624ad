"""Reductions and scans."""

import numpy as np

from fieldgrad.engine import _kernels
from fieldgrad.engine.device.table import Table, arrays_out

__all__ = ["KERNELS"]

KERNELS: Table = {
    **{
        f.__name__: _kernels.Reduction(f.__name__, f)
        for f in (np.sum, np.mean, np.prod, np.max, np.min, np.argmax, np.argmin)
    },
    "cumsum": _kernels.cumsum,
    "all": arrays_out(np.all),
    "any": arrays_out(np.any),
}
