"""What a table of kernels is, and functions of NumPy and SciPy as entries of it."""

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "Table", "arrays_out", "from_scipy"]

Array = NDArray[Any]
Table = dict[str, Callable[..., Any]]


def arrays_out(function: Callable[..., Any]) -> Callable[..., Array]:
    """NumPy gives scalars for 0-d results; kernels give arrays."""

    def kernel(*arrays: Any, **attributes: Any) -> Array:
        with np.errstate(all="ignore"):  # as silent as the C loops
            return np.asarray(function(*arrays, **attributes))

    return kernel


def from_scipy(name: str) -> Callable[..., Any]:
    """Give SciPy's function, imported at its first call: that takes longer than all of ours."""
    module, _, attribute = f"scipy.{name}".rpartition(".")

    def kernel(*arrays: Any, **attributes: Any) -> Any:
        return getattr(importlib.import_module(module), attribute)(*arrays, **attributes)

    return kernel
