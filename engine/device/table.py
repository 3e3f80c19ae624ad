"""What a table of kernels is, and NumPy's functions as entries of it."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "Table", "arrays_out"]

Array = NDArray[Any]
Table = dict[str, Callable[..., Any]]


def arrays_out(function: Callable[..., Any]) -> Callable[..., Array]:
    """NumPy gives scalars for 0-d results; kernels give arrays."""

    def kernel(*arrays: Any, **attributes: Any) -> Array:
        with np.errstate(all="ignore"):  # as silent as the C loops
            return np.asarray(function(*arrays, **attributes))

    return kernel
