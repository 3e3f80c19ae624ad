"""Statistics and integrals along axes, made of reductions, scans and sorting."""

import math

import numpy as np

from fieldgrad.engine import shapes
from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import DataError, DTypeError, ShapeError
from fieldgrad.engine.op import TensorLike
from fieldgrad.engine.ops.arithmetic import (
    abs,
    maximum,
    sqrt,
    where,
)
from fieldgrad.engine.ops.comparisons import (
    isnan,
)
from fieldgrad.engine.ops.complex import conj, real
from fieldgrad.engine.ops.creation import asarray
from fieldgrad.engine.ops.index import take_along_axis
from fieldgrad.engine.ops.layout import concat, moveaxis, permute_dims, reshape, unstack
from fieldgrad.engine.ops.linalg import matmul
from fieldgrad.engine.ops.reduce import Axis, any, mean, sum
from fieldgrad.engine.ops.scans import AlongAxis, cumulative_sum
from fieldgrad.engine.ops.segment import segment_sum
from fieldgrad.engine.ops.sorting import argsort, sort


def nansum(x: Tensor, /, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Sum over axes of the elements that are not NaN.

    Parameters
    ----------
    x : Tensor
        Any shape.
    axis : int or sequence of int, optional
        Axes to reduce; all by default.
    keepdims : bool, default False
        Whether they stay, with length 1.

    Returns
    -------
    Tensor
        Shape of x without the reduced axes; 0 where all are NaN.
    """
    return sum(where(isnan(x), Tensor(np.zeros((), x.dtype)), x), axis=axis, keepdims=keepdims)


def nanmean(x: Tensor, /, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Mean over axes of the elements that are not NaN.

    Parameters
    ----------
    x : Tensor
        Any shape.
    axis : int or sequence of int, optional
        Axes to reduce; all by default.
    keepdims : bool, default False
        Whether they stay, with length 1.

    Returns
    -------
    Tensor
        Shape of x without the reduced axes; NaN where all are NaN.
    """
    count = sum(~isnan(x), axis=axis, keepdims=keepdims)
    return nansum(x, axis=axis, keepdims=keepdims) / count.astype(x.dtype)


def quantile(
    x: Tensor,
    q: TensorLike,
    /,
    *,
    axis: int | None = None,
    keepdims: bool = False,
    method: str = "linear",
) -> Tensor:
    """The values below which given parts of the elements lie; NaN where one of them is NaN.

    Parameters
    ----------
    x : Tensor
        Any shape with at least one element.
    q : float or Tensor
        The parts, from 0 to 1; at most one axis.
    axis : int, optional
        Axis to reduce; by default the elements are taken in one row.
    keepdims : bool, default False
        Whether it stays, with length 1.
    method : {"linear", "lower", "higher", "nearest", "midpoint"}
        What lies between two neighbors in order.

    Returns
    -------
    Tensor
        Shape of x without the reduced axis; the axis of q comes first.

    Raises
    ------
    ValueError
        If a part is not between 0 and 1, or there is no such method.
    ShapeError
        If there are no elements.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.quantile(fg.tensor([3.0, 1.0, 2.0]), 0.25).item()
    1.5
    """
    x, axis, shape = _one_axis("quantile", x, axis, keepdims)
    missing = any(isnan(x), axis=axis, keepdims=True)
    count = Tensor(np.full((), x.shape[axis]))
    found = _quantiles("quantile", x, q, axis, method, count)
    found = [where(missing, math.nan, value) for value in found]
    return _first_axis(found, q, shape)


def nanquantile(
    x: Tensor,
    q: TensorLike,
    /,
    *,
    axis: int | None = None,
    keepdims: bool = False,
    method: str = "linear",
) -> Tensor:
    """`quantile` of the elements that are not NaN; NaN where there are none.

    Parameters
    ----------
    x : Tensor
        Any shape with at least one element.
    q : float or Tensor
        The parts, from 0 to 1; at most one axis.
    axis : int, optional
        Axis to reduce; by default the elements are taken in one row.
    keepdims : bool, default False
        Whether it stays, with length 1.
    method : {"linear", "lower", "higher", "nearest", "midpoint"}
        What lies between two neighbors in order.

    Returns
    -------
    Tensor
        Shape of x without the reduced axis; the axis of q comes first.
    """
    x, axis, shape = _one_axis("nanquantile", x, axis, keepdims)
    count = sum(~isnan(x), axis=axis, keepdims=True)
    return _first_axis(_quantiles("nanquantile", x, q, axis, method, count), q, shape)


def median(x: Tensor, /, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The value in the middle of the elements in order; the mean of the two of an even number.

    Parameters
    ----------
    x : Tensor
        Any shape with at least one element.
    axis : int, optional
        Axis to reduce; by default the elements are taken in one row.
    keepdims : bool, default False
        Whether it stays, with length 1.

    Returns
    -------
    Tensor
        Shape of x without the reduced axis; NaN where an element is NaN.
    """
    return quantile(x, 0.5, axis=axis, keepdims=keepdims)


def _one_axis(
    name: str, x: Tensor, axis: int | None, keepdims: bool
) -> tuple[Tensor, int, tuple[int, ...]]:
    """x with one axis to reduce, that axis, and the shape of the result."""
    shape = shapes.reduction(x.shape, axis=axis, keepdims=keepdims)
    if x.dtype.kind != "f":
        raise DTypeError(f"{name}: x has dtype {x.dtype}; expected floating numbers.")
    if axis is None or not x.ndim:
        x, axis = reshape(x, (x.size,)), 0
    (axis,) = shapes.normalize_axes(axis, x.ndim, name)
    if not x.shape[axis]:
        raise ShapeError(f"{name}: no elements along axis {axis} of shape {x.shape}.")
    return x, axis, shape


def _quantiles(
    name: str, x: Tensor, q: TensorLike, axis: int, method: str, count: Tensor
) -> list[Tensor]:
    """For each part the value among the first count elements in order, the axis kept."""
    if method not in ("linear", "lower", "higher", "nearest", "midpoint"):
        raise ValueError(
            f"{name}: method = {method!r}; expected linear, lower, higher, nearest or midpoint."
        )
    parts = reshape(q if isinstance(q, Tensor) else Tensor(np.asarray(q, np.float64)), (-1,))
    if np.ndim(q) > 1 or np.any(~((parts.data >= 0) & (parts.data <= 1))):
        raise ValueError(f"{name}: q = {parts.tolist()}; expected parts between 0 and 1.")
    ordered = sort(x, axis=axis)
    shape = tuple(1 if i == axis else n for i, n in enumerate(x.shape))
    last = np.broadcast_to(np.maximum(count.data - 1.0, 0.0), shape)
    found = []
    for part in unstack(parts):
        place = part.astype(np.float64) * last
        low, high = np.floor(place.data), np.ceil(place.data)
        if method in ("lower", "higher", "nearest"):
            low = high = {"lower": low, "higher": high}.get(method, np.round(place.data))
        below, above = (take_along_axis(ordered, i.astype(int), axis=axis) for i in (low, high))
        weight = place - low if method == "linear" else asarray(np.full(shape, 0.5))
        between = below + (above - below) * weight.astype(x.dtype)
        found.append(where(low == high, below, between))
    return found


def _first_axis(found: list[Tensor], q: TensorLike, shape: tuple[int, ...]) -> Tensor:
    if np.ndim(np.asarray(q)) == 0:
        return reshape(found[0], shape)
    return concat([reshape(value, (1, *shape)) for value in found], axis=0)


def kthvalue(x: Tensor, k: int, /, *, axis: int = -1, keepdims: bool = False) -> AlongAxis:
    """The k-th smallest element along an axis, and where it is.

    Parameters
    ----------
    x : Tensor
        Any shape with at least one axis.
    k : int
        Which: 1 is the smallest.
    axis : int, default -1
        Axis to search along.
    keepdims : bool, default False
        Whether it stays, with length 1.

    Returns
    -------
    AlongAxis
        ``values`` and ``indices``, shape of x without the axis.

    Raises
    ------
    ShapeError
        If the axis has fewer than k elements.
    """
    if not x.ndim:
        values, indices = kthvalue(reshape(x, (1,)), k)
        return AlongAxis(values, indices)
    (axis,) = shapes.normalize_axes(axis, x.ndim, "kthvalue")
    if not 1 <= k <= x.shape[axis]:
        raise ShapeError(
            f"kthvalue: k = {k} for an axis of {x.shape[axis]} elements; expected 1 to that many."
        )
    indices = argsort(x, axis=axis)[(slice(None),) * axis + (slice(k - 1, k),)]
    shape = shapes.reduction(x.shape, axis=axis, keepdims=keepdims)
    values = take_along_axis(x, indices, axis=axis)
    return AlongAxis(reshape(values, shape), reshape(indices, shape))


def trapezoid(y: Tensor, x: Tensor | None = None, /, *, dx: float = 1.0, axis: int = -1) -> Tensor:
    """Integral along an axis by the trapezoidal rule.

    Parameters
    ----------
    y : Tensor
        Values of the integrand, any shape with at least one axis.
    x : Tensor, optional
        Where they are: as many as the axis is long, or shape of y.
    dx : float, default 1.0
        Distance of neighbors, without x.
    axis : int, default -1
        Axis to integrate along.

    Returns
    -------
    Tensor
        Shape of y without the axis.
    """
    return sum(_trapezoids(y, x, dx, axis), axis=axis)


def cumulative_trapezoid(
    y: Tensor, x: Tensor | None = None, /, *, dx: float = 1.0, axis: int = -1
) -> Tensor:
    """Integral along an axis up to each element but the first, by the trapezoidal rule.

    Parameters
    ----------
    y : Tensor
        Values of the integrand, any shape with at least one axis.
    x : Tensor, optional
        Where they are: as many as the axis is long, or shape of y.
    dx : float, default 1.0
        Distance of neighbors, without x.
    axis : int, default -1
        Axis to integrate along.

    Returns
    -------
    Tensor
        Shape of y, the axis shorter by 1.
    """
    return cumulative_sum(_trapezoids(y, x, dx, axis), axis=axis)


def _trapezoids(y: Tensor, x: Tensor | None, dx: float, axis: int) -> Tensor:
    (axis,) = shapes.normalize_axes(axis, y.ndim, "trapezoid")
    before = (slice(None),) * axis
    later, earlier = (*before, slice(1, None)), (*before, slice(None, -1))
    if x is None:
        return (y[later] + y[earlier]) * (0.5 * dx)
    if x.ndim == 1:
        x = reshape(x, tuple(-1 if i == axis else 1 for i in range(y.ndim)))
    elif x.ndim < y.ndim:
        x = reshape(x, (1,) * (y.ndim - x.ndim) + x.shape)
    return (y[later] + y[earlier]) * (x[later] - x[earlier]) * 0.5


def gradient(
    x: Tensor,
    /,
    *spacing: float | Tensor,
    axis: int | tuple[int, ...] | None = None,
    edge_order: int = 1,
) -> tuple[Tensor, ...]:
    """Derivatives along axes by central differences, as NumPy's ``gradient``.

    Parameters
    ----------
    x : Tensor
        Values at the points of a grid, any shape with at least one axis.
    *spacing : float or Tensor
        Distance of neighbors, or the coordinates of all, shape (n,): one for all axes or one for
        each; 1 by default.
    axis : int or tuple of int, optional
        Along which axes; all by default.
    edge_order : {1, 2}
        Of the differences at both ends.

    Returns
    -------
    tuple of Tensor
        One derivative for each axis, shape of x.

    Raises
    ------
    ShapeError
        If the numbers of spacings and axes differ, or an axis is too short.
    """
    axes = shapes.normalize_axes(axis, x.ndim, "gradient")
    steps = spacing or (1.0,)
    steps = steps * len(axes) if len(steps) == 1 else steps
    if len(steps) != len(axes) or edge_order not in (1, 2):
        raise ShapeError(
            f"gradient: {len(spacing)} spacings for axes {axes}, edge_order = {edge_order}; "
            "expected one spacing, or one for each axis, and edge_order 1 or 2."
        )
    return tuple(_slope(x, h, a, edge_order) for h, a in zip(steps, axes, strict=True))


def _slope(x: Tensor, spacing: float | Tensor, axis: int, edge_order: int) -> Tensor:
    """The derivative along one axis: weights of neighbors that are exact for parabolas."""
    n = x.shape[axis]
    if n < edge_order + 1:
        raise ShapeError(
            f"gradient: {n} elements along axis {axis}; expected {edge_order + 1} or more."
        )
    y = moveaxis(x if x.dtype.kind in "fc" else x * 1.0, axis, -1)
    places = np.asarray(spacing, np.float64)
    places = np.arange(n) * places if places.ndim == 0 else places
    h = np.diff(places)
    a, b = h[:-1], h[1:]

    def times(weights: np.ndarray, part: Tensor) -> Tensor:
        return part * weights.astype(y.dtype)

    inside = (
        times(-b / (a * (a + b)), y[..., :-2])
        + times((b - a) / (a * b), y[..., 1:-1])
        + times(a / (b * (a + b)), y[..., 2:])
    )
    first = times(1 / h[:1], y[..., 1:2] - y[..., :1])
    last = times(1 / h[-1:], y[..., -1:] - y[..., -2:-1])
    if edge_order == 2:
        # The line through the slopes of the first two stretches, and of the last two.
        second = times(1 / h[1:2], y[..., 2:3] - y[..., 1:2])
        before = times(1 / h[-2:-1], y[..., -2:-1] - y[..., -3:-2])
        first = first + times(h[:1] / (h[:1] + h[1:2]), first - second)
        last = last + times(h[-1:] / (h[-1:] + h[-2:-1]), last - before)
    return moveaxis(concat([first, inside, last], axis=-1), -1, axis)


def cov(
    x: Tensor,
    /,
    *,
    correction: float = 1.0,
    fweights: Tensor | None = None,
    aweights: Tensor | None = None,
) -> Tensor:
    """Covariances of quantities of which each row of x has observations.

    Parameters
    ----------
    x : Tensor
        Shape (quantity, observation), or (observation,) for one quantity.
    correction : float, default 1.0
        Subtracted from the number of observations in the divisor.
    fweights : Tensor of int, optional
        How often each observation counts, shape (observation,).
    aweights : Tensor, optional
        How much each observation weighs, shape (observation,).

    Returns
    -------
    Tensor
        Shape (quantity, quantity), or () for one quantity, as in NumPy.

    Raises
    ------
    ShapeError
        If x has more than two axes.
    """
    if x.ndim > 2:
        raise ShapeError(f"cov: x has shape {x.shape}; expected (quantity, observation).")
    rows = x if x.ndim == 2 else reshape(x, (1, -1))
    rows = rows if rows.dtype.kind in "fc" else rows * 1.0
    weights = None
    for part in (fweights, aweights):
        if part is not None:
            part = asarray(part).astype(abs(rows).dtype)
            weights = part if weights is None else weights * part
    if weights is None:
        centered = scaled = rows - mean(rows, axis=1, keepdims=True)
        divisor = asarray(rows.shape[1] - correction)
    else:
        total = sum(weights)
        centered = rows - sum(rows * weights, axis=1, keepdims=True) / total
        scaled = centered * weights
        lost = 1.0 if aweights is None else sum(weights * aweights) / total
        divisor = total - correction * lost
    products = matmul(scaled, permute_dims(conj(centered), (1, 0)))
    result = products / maximum(divisor, 0.0).astype(centered.dtype)
    return result if rows.shape[0] > 1 else reshape(result, ())


def corrcoef(x: Tensor, /) -> Tensor:
    """Coefficients of correlation of quantities of which each row of x has observations.

    Parameters
    ----------
    x : Tensor
        Shape (quantity, observation), or (observation,) for one quantity.

    Returns
    -------
    Tensor
        From -1 to 1, shape (quantity, quantity), or () for one quantity.
    """
    c = cov(x)
    if not c.ndim:
        return c / c
    along = np.arange(c.shape[0])
    deviation = sqrt(real(c[along, along]))
    return c / reshape(deviation, (-1, 1)) / deviation


def bincount(x: Tensor, weights: Tensor | None = None, /, *, minlength: int = 0) -> Tensor:
    """How often each number from 0 on occurs, or the sum of the weights where it does.

    Parameters
    ----------
    x : Tensor of int
        Shape (N,), not negative.
    weights : Tensor, optional
        Shape (N,).
    minlength : int, default 0
        Least length of the result.

    Returns
    -------
    Tensor
        Integers of 64 bits, or the dtype of the weights; as long as the largest number needs.

    Raises
    ------
    ShapeError
        If x has not one axis.
    DataError
        If x has negative or other numbers.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.bincount(fg.tensor([0, 2, 2])).tolist()
    [1, 0, 2]
    """
    if x.ndim != 1:
        raise ShapeError(f"bincount: x has shape {x.shape}; expected one axis.")
    if x.dtype.kind not in "iu" or (x.size and x.data.min() < 0):
        raise DataError(f"bincount: x of dtype {x.dtype}; expected integers of 0 or more.")
    if weights is None:
        return Tensor(np.bincount(x.data, minlength=minlength))
    n = max(minlength, int(x.data.max()) + 1 if x.size else 0)
    return segment_sum(weights, x, num_segments=n)
