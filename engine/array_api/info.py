"""What the namespace can do: dtypes, devices, capabilities."""

from typing import Any

import numpy as np

from fieldgrad.engine.errors import DataError
from fieldgrad.engine.ops import dtypes

__all__ = ["Info", "__array_namespace_info__"]

KINDS = (
    "bool",
    "signed integer",
    "unsigned integer",
    "integral",
    "real floating",
    "complex floating",
    "numeric",
)
MAX_AXES = 64  # of a NumPy array


class Info:
    """What the namespace can do; see `__array_namespace_info__`."""

    def capabilities(self) -> dict[str, Any]:
        """What depends on the library.

        Returns
        -------
        dict
            "boolean indexing", "data-dependent shapes": True; "max dimensions": 64.
        """
        return {
            "boolean indexing": True,
            "data-dependent shapes": True,
            "max dimensions": MAX_AXES,
        }

    def default_device(self) -> str:
        """Where tensors are made.

        Returns
        -------
        str
            The processor, "cpu".
        """
        return "cpu"

    def default_dtypes(self, *, device: str | None = None) -> dict[str, np.dtype[Any]]:
        """The dtypes of tensors for which none is given.

        Parameters
        ----------
        device : {"cpu"}, optional
            Where they lie.

        Returns
        -------
        dict
            Keys "real floating", "complex floating", "integral" and "indexing".
        """
        _check(device)
        return {
            "real floating": dtypes.float32,
            "complex floating": dtypes.complex64,
            "integral": dtypes.int64,
            "indexing": dtypes.int64,
        }

    def devices(self) -> list[str]:
        """Where tensors may lie.

        Returns
        -------
        list of str
            The processor, "cpu".
        """
        return ["cpu"]

    def dtypes(
        self, *, device: str | None = None, kind: str | tuple[str, ...] | None = None
    ) -> dict[str, np.dtype[Any]]:
        """The dtypes that there are.

        Parameters
        ----------
        device : {"cpu"}, optional
            Where the tensors lie.
        kind : str or tuple of str, optional
            Only dtypes of this kind, or these kinds: "bool", "signed integer", "unsigned integer",
            "integral", "real floating", "complex floating" or "numeric".

        Returns
        -------
        dict
            Name to dtype.

        Raises
        ------
        ValueError
            If there is no such kind.
        """
        _check(device)
        kinds = KINDS if kind is None else kind if isinstance(kind, tuple) else (kind,)
        if not set(kinds) <= set(KINDS):
            raise ValueError(f"dtypes: kind = {kind!r}; expected one of {', '.join(KINDS)}.")
        return {dtype.name: dtype for dtype in dtypes.DTYPES if dtypes.isdtype(dtype, kinds)}


def _check(device: str | None) -> None:
    if device not in (None, "cpu"):
        raise DataError(f"device = {device!r}; expected 'cpu', the only one there is.")


def __array_namespace_info__() -> Info:
    """What the namespace can do.

    Returns
    -------
    Info
        Its methods tell dtypes, devices and capabilities.

    Examples
    --------
    >>> from fieldgrad.engine import array_api as xp
    >>> xp.__array_namespace_info__().default_dtypes()["real floating"]
    dtype('float32')
    """
    return Info()
