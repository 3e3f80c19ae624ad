"""Sampling of maps at positions that are computed: spatial transformers."""

import itertools
import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.op import TensorLike, as_tensor
from fieldgrad.engine.ops.arithmetic import abs, clip, floor, round, where
from fieldgrad.engine.ops.layout import expand_dims, permute_dims, reshape
from fieldgrad.engine.ops.linalg import matmul
from fieldgrad.engine.ops.segment import gather

__all__ = ["affine_grid", "grid_sample"]

# Integer positions along an axis, and the weight of the element there (None: 1).
Tap = tuple[Tensor, Tensor | None]


def grid_sample(
    x: TensorLike,
    grid: TensorLike,
    /,
    *,
    mode: Literal["bilinear", "nearest", "bicubic"] = "bilinear",
    padding_mode: Literal["zeros", "border", "reflection"] = "zeros",
    align_corners: bool = False,
) -> Tensor:
    """Values of maps between their elements, at given positions.

    Parameters
    ----------
    x : Tensor
        Shape (N, C, H, W) or (N, C, D, H, W).
    grid : Tensor
        Shape (N, m_1, …, 2) or (N, m_1, …, 3): positions, the coordinate along the last axis of x
        first, from -1 to 1.
    mode : {"bilinear", "nearest", "bicubic"}
        How to interpolate; "bilinear" is trilinear in three axes, "bicubic" is for two only.
    padding_mode : {"zeros", "border", "reflection"}
        What lies outside: 0, the nearest element, or a mirror image.
    align_corners : bool, default False
        Whether -1 and 1 mean the centers of the outermost elements, instead of their outer edges.

    Returns
    -------
    Tensor
        Shape (N, C, m_1, …), channels adjacent in memory.

    Raises
    ------
    ShapeError
        If the shapes do not fit one another.
    ValueError
        If a mode is unknown.

    Notes
    -----
    Cubic interpolation is Keys' with a = -0.75. The nearest element is that of the rounded
    position, halves to even; positions then have gradient 0.

    References
    ----------
    Jaderberg, Simonyan, Zisserman, Kavukcuoglu, "Spatial transformer networks", NeurIPS 2015,
    arXiv:1506.02025, eqs. 3-7.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> x = fg.tensor([[[[1.0, 3.0]]]])
    >>> fg.grid_sample(x, [[[[0.0, 0.0]]]]).tolist()
    [[[[2.0]]]]
    """
    x, places = as_tensor(x, floating=True), as_tensor(grid, floating=True)
    n_axes = x.ndim - 2
    if (
        n_axes not in (2, 3)
        or places.ndim != x.ndim
        or places.shape[0] != x.shape[0]
        or (places.shape[-1] != n_axes or 0 in x.shape[2:])
    ):
        raise ShapeError(
            f"grid_sample: x has shape {x.shape}, grid has {places.shape}; expected (N, C, H, W) "
            "and (N, m_1, m_2, 2), or (N, C, D, H, W) and (N, m_1, m_2, m_3, 3)."
        )
    if mode not in ("bilinear", "nearest", "bicubic") or (mode == "bicubic" and n_axes != 2):
        raise ValueError(
            f"grid_sample: mode = {mode!r} on {n_axes} axes; expected 'bilinear', 'nearest', or "
            "'bicubic' on 2."
        )
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(
            f"grid_sample: padding_mode = {padding_mode!r}; expected 'zeros', 'border' or "
            "'reflection'."
        )
    batch, channels, *size = x.shape
    count = math.prod(places.shape[1:-1])
    taps = []
    for axis, n in enumerate(size):
        u = reshape(places[..., n_axes - 1 - axis], (batch, count))
        u = (u + 1.0) * ((n - 1) / 2) if align_corners else (u + 1.0) * (n / 2) - 0.5
        taps.append(_taps(u, n, mode, padding_mode, align_corners))
    rows = reshape(permute_dims(x, (0, *range(2, x.ndim), 1)), (batch * math.prod(size), channels))
    first = (np.arange(batch) * math.prod(size))[:, None]
    total = None
    for corner in itertools.product(*taps):
        part = gather(rows, _row_numbers(corner, size, first), skip_missing=True)
        for _, weight in corner:
            part = part if weight is None else part * expand_dims(weight, axis=-1)
        total = part if total is None else total + part
    assert total is not None
    out = reshape(total, (batch, *places.shape[1:-1], channels))
    return permute_dims(out, (0, out.ndim - 1, *range(1, out.ndim - 1)))


def _row_numbers(corner: Sequence[Tap], size: Sequence[int], first: Any) -> Any:
    """Rows of the flattened maps, -1 outside."""
    inside: Any = True
    row: Any = 0
    for (index, _), n in zip(corner, size, strict=True):
        inside = (index >= 0) & (index < n) & inside
        row = index + row * n
    return where(inside, row + first, -1)


def _taps(u: Tensor, n: int, mode: str, padding_mode: str, align_corners: bool) -> list[Tap]:
    """The elements along an axis of n that make up the values at positions u."""
    if mode == "bicubic":
        first = floor(u.detach())
        moved = [_inside(first + k, n, padding_mode, align_corners) for k in (-1.0, 0.0, 1.0, 2.0)]
        return [(_integers(m), w) for m, w in zip(moved, _cubic(u - first), strict=True)]
    u = _inside(u, n, padding_mode, align_corners)
    if mode == "nearest":
        return [(_integers(round(u.detach())), None)]
    first = floor(u.detach())
    f = u - first
    return [(_integers(first), 1.0 - f), (_integers(first + 1.0), f)]


def _integers(positions: Tensor) -> Tensor:
    """Positions as indices; those far outside, and NaN, as one that is outside."""
    return where(abs(positions) < 2.0**31, positions, -(2.0**31)).astype(np.int64)


def _inside(u: Tensor, n: int, padding_mode: str, align_corners: bool) -> Tensor:
    """Positions outside moved to what stands for them."""
    if padding_mode == "zeros":
        return u
    if padding_mode == "reflection":
        low, span = (0.0, n - 1.0) if align_corners else (-0.5, float(n))
        if span == 0:
            return u * 0.0
        distance = abs(u - low)
        turns = floor(distance.detach() / span)
        rest = distance - turns * span
        even = turns - 2.0 * floor(turns * 0.5) == 0.0
        u = where(even, rest, span - rest) + low
    return clip(u, 0.0, n - 1.0)


def _cubic(f: Tensor) -> list[Tensor]:
    """Weights of the elements at -1, 0, 1 and 2 for a position f in [0, 1)."""
    a = -0.75

    def near(d: Tensor) -> Tensor:
        return ((a + 2) * d - (a + 3)) * d * d + 1.0

    def far(d: Tensor) -> Tensor:
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    return [far(f + 1.0), near(f), near(1.0 - f), far(2.0 - f)]


def affine_grid(
    theta: TensorLike, /, size: Sequence[int], *, align_corners: bool = False
) -> Tensor:
    """Positions for `grid_sample` under an affine map of the result's own.

    Parameters
    ----------
    theta : Tensor
        Shape (N, 2, 3) or (N, 3, 4): the coordinate along the last axis first.
    size : sequence of int
        Shape of the result of `grid_sample`: (N, C, H, W) or (N, C, D, H, W).
    align_corners : bool, default False
        As for `grid_sample`.

    Returns
    -------
    Tensor
        Shape (N, H, W, 2) or (N, D, H, W, 3).

    Raises
    ------
    ShapeError
        If the shapes do not fit one another.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.affine_grid([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]], (1, 1, 1, 2)).tolist()
    [[[[-0.5, 0.0], [0.5, 0.0]]]]
    """
    theta = as_tensor(theta, floating=True)
    n_axes = len(size) - 2
    if n_axes not in (2, 3) or theta.shape != (size[0], n_axes, n_axes + 1):
        raise ShapeError(
            f"affine_grid: theta has shape {theta.shape}, size is {tuple(size)}; expected (N, 2, "
            "3) for (N, C, H, W), or (N, 3, 4) for (N, C, D, H, W)."
        )
    lines = []
    for n in size[2:]:
        half = 1.0 if align_corners else (n - 1) / n
        lines.append(np.linspace(-half, half, n) if n > 1 else np.zeros(1))
    grids = np.meshgrid(*lines, indexing="ij")
    base = np.stack([*grids[::-1], np.ones_like(grids[0])], axis=-1).astype(theta.dtype)
    flat = base.reshape(-1, n_axes + 1)
    found = matmul(flat, permute_dims(theta, (0, 2, 1)))
    return reshape(found, (size[0], *size[2:], n_axes))
