"""Values brought to positions along an axis, replacing, adding or comparing."""

from typing import Any

import numpy as np

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.op import TensorLike, as_tensor
from fieldgrad.engine.ops.arithmetic import (
    where,
)
from fieldgrad.engine.ops.index import index_add, setitem
from fieldgrad.engine.ops.layout import broadcast_to
from fieldgrad.engine.shapes import normalize_axes

__all__ = ["scatter"]


def _mesh(index: Any, axis: int) -> tuple[Any, ...]:
    """The positions of an index along an axis, as an index of all axes."""
    positions = list(np.ogrid[tuple(slice(n) for n in index.shape)])
    positions[axis] = index
    return tuple(positions)


def scatter(
    x: TensorLike,
    index: TensorLike,
    source: TensorLike,
    /,
    *,
    axis: int,
    reduce: str | None = None,
    include_self: bool = True,
) -> Tensor:
    """A copy of x in which values were brought to positions along an axis.

    The opposite of `take_along_axis`: element (i, j, k) of source goes to (index[i, j, k], j, k)
    for axis 0, and so on.

    Parameters
    ----------
    x : Tensor
        Shape (n_0, n_1, …).
    index : Tensor or array of int
        As many axes as x, none longer than that of x but for axis. Negative numbers count from the
        end.
    source : Tensor
        Shape of index, or one number.
    axis : int
        The axis that index counts along.
    reduce : {None, "sum", "mean", "max", "min"}, optional
        What to do with the numbers that meet. By default the last one stays.
    include_self : bool, default True
        Whether the number of x is one of those that meet.

    Returns
    -------
    Tensor
        Shape of x. Where nothing was brought, the number of x.

    Raises
    ------
    ShapeError
        If the sizes do not fit.
    IndexError
        If a position does not exist.

    Notes
    -----
    Equal extrema share the gradient evenly. Sums are added in the order of source.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> source = fg.tensor([1.0, 2.0, 4.0])
    >>> fg.scatter(fg.zeros(3), [2, 0, 2], source, axis=0, reduce="sum").tolist()
    [2.0, 0.0, 5.0]
    """
    x, source = as_tensor(x), as_tensor(source)
    positions = np.asarray(as_tensor(index).data)
    (axis,) = normalize_axes(axis, x.ndim, "scatter")
    others = [n <= m for n, m in zip(positions.shape, x.shape, strict=False)]
    if positions.ndim != x.ndim or not all(others[:axis] + others[axis + 1 :]):
        raise ShapeError(
            f"scatter: index has shape {positions.shape}, x {x.shape}; expected as many axes, none "
            f"longer than that of x but for axis {axis}."
        )
    if source.shape not in ((), positions.shape):
        raise ShapeError(
            f"scatter: source has shape {source.shape}, index {positions.shape}; expected equal "
            "shapes, or one number."
        )
    if x.dtype != source.dtype:
        dtype = np.result_type(x.dtype, source.dtype)
        x, source = x.astype(dtype), source.astype(dtype)
    mesh = _mesh(positions, axis)
    source = broadcast_to(source, positions.shape)
    if reduce is None:
        return setitem(x, source, index=mesh)
    reached = np.zeros(x.shape, bool)
    reached[mesh] = True
    if reduce in ("sum", "mean"):
        base = x if include_self else where(reached, 0, x)
        total = base + index_add(source, index=mesh, shape=x.shape)
        if reduce == "sum":
            return total
        count = np.full(x.shape, 1 if include_self else 0)
        np.add.at(count, mesh, 1)
        return total / Tensor(np.maximum(count, 1).astype(total.dtype))
    if reduce in ("max", "min"):
        return _extremum(x, source, mesh, reached, reduce == "max", include_self)
    raise ValueError(f"scatter: reduce = {reduce!r}; expected None, 'sum', 'mean', 'max' or 'min'.")


def _extremum(
    x: Tensor, source: Tensor, mesh: Any, reached: Any, largest: bool, include_self: bool
) -> Tensor:
    """Numbers that meet, each with its share of the extremum: 0, or 1 / (how many are equal)."""
    best = x.data.copy()
    if not include_self:
        best[reached] = _farthest(x.dtype, largest)
    with np.errstate(invalid="ignore"):
        (np.maximum if largest else np.minimum).at(best, mesh, source.data)
    stays = _equal(x.data, best) & (include_self | ~reached)
    wins = _equal(source.data, best[mesh])
    count = stays.astype(np.intp)
    np.add.at(count, mesh, wins)
    total = where(stays, x, 0) + index_add(where(wins, source, 0), index=mesh, shape=x.shape)
    if not total.requires_grad:
        return Tensor(best)
    mean = total / Tensor(count.astype(total.dtype))
    with np.errstate(invalid="ignore"):  # a third of three equal numbers may be rounded
        rest = best - mean.data
    return mean + Tensor(np.where(np.isfinite(rest), rest, 0).astype(rest.dtype))


def _equal(a: Any, b: Any) -> Any:
    return (a == b) | (np.isnan(a) & np.isnan(b))


def _farthest(dtype: Any, largest: bool) -> Any:
    """The number that every other one replaces."""
    if dtype.kind == "f":
        return -np.inf if largest else np.inf
    bounds = np.iinfo(dtype)
    return bounds.min if largest else bounds.max
