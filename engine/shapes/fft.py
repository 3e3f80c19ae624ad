"""Fourier transforms."""

from collections.abc import Sequence
from typing import Any

from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.shapes.layout import Shape, normalize_axes

__all__ = ["dft", "inverse_real_dft", "real_dft"]


def dft(x: Shape, *, axes: Sequence[int], **_: Any) -> Shape:
    """x's shape, if it has the axes."""
    normalize_axes(tuple(axes), len(x), "dft")
    return x


def real_dft(x: Shape, *, axes: Sequence[int], **_: Any) -> Shape:
    """Half of the last of the axes."""
    order = normalize_axes(tuple(axes), len(x), "real_dft")
    return tuple(n // 2 + 1 if i == order[-1] else n for i, n in enumerate(x))


def inverse_real_dft(x: Shape, *, axes: Sequence[int], n: int, **_: Any) -> Shape:
    """The last of the axes n long."""
    order = normalize_axes(tuple(axes), len(x), "inverse_real_dft")
    if x[order[-1]] != n // 2 + 1:
        raise ShapeError(
            f"inverse_real_dft: x has {x[order[-1]]} frequencies on axis {order[-1]}; expected "
            f"{n // 2 + 1} for n = {n}."
        )
    return tuple(n if i == order[-1] else m for i, m in enumerate(x))
