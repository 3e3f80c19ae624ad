"""Sparse matrices that act along one axis: windows of a pooling, neighbors of an interpolation."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ALIGNED", "MODES", "Taps", "interpolation_taps", "window_taps"]


class Taps:
    """Which inputs each output along an axis is made of: a sparse matrix, row by row.

    Parameters
    ----------
    n_in : int
        Number of inputs along the axis.
    index : array_like of int, shape (n_out, k)
        Inputs that make up each output.
    weight : array_like of float, shape (n_out, k)
        Their factors. Zeros are left out, so NaN does not spread through them.

    Examples
    --------
    >>> from fieldgrad.engine.taps import Taps
    >>> taps = Taps(3, [[0, 1], [1, 2]], [[0.5, 0.5], [1.0, 0.0]])
    >>> taps.matrix().tolist()
    [[0.5, 0.5, 0.0], [0.0, 1.0, 0.0]]
    """

    def __init__(self, n_in: int, index: Any, weight: Any) -> None:
        weights = np.asarray(weight, np.float64)
        kept = weights != 0
        self.n_in, self.n_out = n_in, len(weights)
        self.start = np.concatenate([[0], np.cumsum(kept.sum(axis=1))]).astype(np.intp)
        self.index = np.asarray(index, np.intp)[kept]
        self.weight = weights[kept]

    def __repr__(self) -> str:
        return f"<Taps {self.n_in} -> {self.n_out}>"

    @functools.cached_property
    def transposed(self) -> "Taps":
        """The adjoint map, from outputs to inputs."""
        taps = Taps.__new__(Taps)
        taps.n_in, taps.n_out = self.n_out, self.n_in
        order = np.argsort(self.index, kind="stable")
        rows = np.repeat(np.arange(self.n_out), np.diff(self.start))
        counts = np.bincount(self.index, minlength=self.n_in)
        taps.start = np.concatenate([[0], np.cumsum(counts)]).astype(np.intp)
        taps.index, taps.weight = rows[order], self.weight[order]
        return taps

    def matrix(self) -> NDArray[np.float64]:
        """Write the map as a dense matrix.

        Returns
        -------
        ndarray, shape (n_out, n_in)
            Output = matrix @ input.
        """
        dense = np.zeros((self.n_out, self.n_in))
        rows = np.repeat(np.arange(self.n_out), np.diff(self.start))
        np.add.at(dense, (rows, self.index), self.weight)
        return dense


@functools.lru_cache(maxsize=256)
def window_taps(
    n_in: int, n_out: int, kernel: int, stride: int, padding: int, count: str = "padded"
) -> Taps:
    """Means or sums of windows along an axis.

    Parameters
    ----------
    n_in, n_out : int
        Number of elements along the axis, and of windows; the last may reach beyond its end.
    kernel, stride, padding : int
        Size of a window, step between windows, zeros added on both sides of the axis.
    count : {"padded", "inside", "none"}
        By which elements of a window its sum is divided: these zeros too, or not, or not at all.

    Returns
    -------
    Taps
        The windows.
    """
    index = np.arange(n_out)[:, None] * stride - padding + np.arange(kernel)
    inside = (index >= 0) & (index < n_in)
    if count == "none":
        return Taps(n_in, index, inside)
    counted = index < n_in + padding if count == "padded" else inside
    return Taps(n_in, index, inside / counted.sum(axis=1, keepdims=True))


@functools.lru_cache(maxsize=256)
def interpolation_taps(
    mode: str,
    n_in: int,
    n_out: int,
    factor: float | None,
    align_corners: bool,
    antialias: bool = False,
) -> Taps | None:
    """Interpolation along an axis.

    Parameters
    ----------
    mode : str
        One of `MODES`.
    n_in, n_out : int
        Number of elements before and after.
    factor : float or None
        Enlargement that positions follow; None for n_out / n_in.
    align_corners : bool
        Whether the centers of the first and last elements stay in place.
    antialias : bool, default False
        Whether "linear" and "cubic" widen to all elements under a new one.

    Returns
    -------
    Taps or None
        None where interpolation would be the identity.
    """
    i = np.arange(n_out)
    if n_in == n_out and factor in (None, 1.0):
        return None
    if mode == "area":
        first, last = i * n_in // n_out, -(-(i + 1) * n_in // n_out)
        index = first[:, None] + np.arange((last - first).max())
        return Taps(n_in, index, (index < last[:, None]) / (last - first)[:, None])
    if mode == "nearest":
        # From sizes the position is a fraction of integers: no rounding.
        index = i * n_in // n_out if factor is None else np.floor(i / factor).astype(int)
        return Taps(n_in, np.minimum(index, n_in - 1)[:, None], np.ones((n_out, 1)))
    if antialias:
        step = (n_in - 1) / max(n_out - 1, 1) if align_corners else n_in / n_out
        step = step if factor is None or align_corners else 1 / factor
        return _widened(mode, n_in, (i + 0.5) * step, step)
    if align_corners:
        position = i * ((n_in - 1) / max(n_out - 1, 1))
    else:
        position = (i + 0.5) * (n_in / n_out if factor is None else 1 / factor) - 0.5
    index, weight = _POSITIONED[mode](position)
    return Taps(n_in, np.clip(index, 0, n_in - 1), weight)


def _widened(mode: str, n_in: int, center: NDArray[Any], step: float) -> Taps:
    """Means around centers in the old axis, measured from its edge, weighted by a filter."""
    width = max(step, 1.0)
    reach = width * (1 if mode == "linear" else 2)
    first = np.maximum(np.floor(center - reach + 0.5), 0).astype(int)
    last = np.minimum(np.floor(center + reach + 0.5), n_in).astype(int)
    index = first[:, None] + np.arange((last - first).max())
    distance = np.abs(index - center[:, None] + 0.5) / width
    filtered = np.maximum(1 - distance, 0) if mode == "linear" else _keys(distance, -0.5)
    weight = np.where(index < last[:, None], filtered, 0.0)
    return Taps(n_in, np.minimum(index, n_in - 1), weight / weight.sum(axis=1, keepdims=True))


def _nearest(position: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any]]:
    return np.floor(position + 0.5)[:, None].astype(int), np.ones((len(position), 1))


def _linear(position: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any]]:
    position = np.maximum(position, 0)
    first = np.floor(position)
    f = position - first
    return first.astype(int)[:, None] + np.arange(2), np.stack([1 - f, f], axis=1)


def _cubic(position: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any]]:
    first = np.floor(position)
    distance = np.abs(position[:, None] - (first[:, None] + np.arange(-1, 3)))
    return first.astype(int)[:, None] + np.arange(-1, 3), _keys(distance, -0.75)


def _keys(distance: NDArray[np.float64], a: float) -> NDArray[np.float64]:
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1  # Keys eq. 4, up to distance 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a  # and from 1 to 2
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))


_POSITIONED: dict[str, Callable[..., tuple[NDArray[Any], NDArray[Any]]]] = {
    "nearest": _nearest,
    "nearest-exact": _nearest,
    "linear": _linear,
    "cubic": _cubic,
}
MODES = (*_POSITIONED, "area")
ALIGNED = ("linear", "cubic")  # modes that know align_corners
