"""Segments of rows, neighbors of points, sequences."""

from typing import Any

import numpy as np

from fieldgrad.engine.bindings.irregular_kernels import MAX_NEIGHBORS
from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.shapes.layout import Shape, broadcast

__all__ = [
    "cdist",
    "gather",
    "gru",
    "knn",
    "lstm",
    "pair_product",
    "pair_sum",
    "segment",
    "segment_pick",
    "segment_softmax",
    "segment_unpick",
]


def gather(x: Shape, index: Shape, **_: Any) -> Shape:
    """A row of x for every index."""
    if not x:
        raise ShapeError("gather: x has no axes; expected (row, …). Give it one with x[None].")
    return (*index, *x[1:])


def segment(x: Shape, segment_ids: Shape, *, num_segments: int, **_: Any) -> Shape:
    """A row for every segment."""
    segment_softmax(x, segment_ids, num_segments=num_segments)
    return (num_segments, *x[1:])


def segment_softmax(x: Shape, segment_ids: Shape, *, num_segments: int) -> Shape:
    """x's shape, if there is an id for every row."""
    if not x or segment_ids != x[:1]:
        raise ShapeError(
            f"segments: x has shape {x} and segment_ids {segment_ids}; expected (row, …) and "
            "(row,): one id for each row of x."
        )
    if num_segments < 0:
        raise ShapeError(f"segments: num_segments = {num_segments}; expected 0 or more.")
    if x[0] >= 2**31:
        raise ShapeError(f"segments: x has {x[0]} rows; expected less than 2^31. Split it.")
    return x


def segment_pick(x: Shape, index: Shape) -> Shape:
    """The index's shape, if it has x's features."""
    if not x or not index or x[1:] != index[1:]:
        raise ShapeError(
            f"segment_pick: x has shape {x}, index has {index}; expected equal features."
        )
    return index


def segment_unpick(g: Shape, index: Shape, *, n_rows: int) -> Shape:
    """g's shape with another number of rows."""
    if not g or g != index:
        raise ShapeError(f"segment_unpick: g has shape {g}, index has {index}; expected equal.")
    return (n_rows, *g[1:])


def pair_sum(x: Shape, w: Shape, pairs: Shape, **_: Any) -> Shape:
    """x's shape, if there is a row of w for every pair."""
    if not x or not w or x[1:] != w[1:] or pairs != (2, w[0]):
        raise ShapeError(
            f"pair_sum: x has shape {x}, w {w} and pairs {pairs}; expected (row, …), (pair, …) "
            "with equal features, and (2, pair)."
        )
    return x


def pair_product(a: Shape, b: Shape, pairs: Shape, **_: Any) -> Shape:
    """A row for every pair."""
    if not a or a != b or len(pairs) != 2 or pairs[0] != 2:
        raise ShapeError(
            f"pair_product: a has shape {a}, b {b} and pairs {pairs}; expected (row, …) twice, and "
            "(2, pair)."
        )
    return (pairs[1], *a[1:])


def cdist(x: Shape, y: Shape, **_: Any) -> Shape:
    """A distance for every pair of points."""
    if len(x) < 2 or len(y) < 2 or x[-1] != y[-1]:
        raise ShapeError(
            f"cdist: x has shape {x} and y {y}; expected (…, n, dims) and (…, m, dims) with equal "
            "dims. Give a single point an axis with x[None]."
        )
    lead = broadcast(x[:-2], y[:-2]) if len(x) > 2 or len(y) > 2 else ()
    return (*lead, x[-2], y[-2])


def knn(x: Shape, mask: Shape | None = None, *, k: int, offsets: Any = None, **_: Any) -> Shape:
    """Some neighbors for every point."""
    if offsets is not None and (len(x) != 2 or mask is not None):
        raise ShapeError(
            f"knn: x has shape {x}, with offsets{'' if mask is None else ' and a mask'}; expected "
            "(n, dims), the points of all clouds end to end, and no mask."
        )
    if len(x) < 2:
        raise ShapeError(f"knn: x has shape {x}; expected (…, n, dims).")
    if mask is not None and mask != x[:-1]:
        raise ShapeError(f"knn: mask has shape {mask}; expected {x[:-1]}, a truth value per point.")
    if not 1 <= k <= MAX_NEIGHBORS:
        raise ShapeError(f"knn: k = {k}; expected 1 to {MAX_NEIGHBORS}.")
    return (*x[:-1], k)


def gru(gates: Shape, h: Shape, weight: Shape, bias: Shape | None = None, **options: Any) -> Shape:
    """A state for each step."""
    return _recurrent("gru", 3, gates, h, weight, bias, **options)


def lstm(gates: Shape, h: Shape, c: Shape, weight: Shape, **options: Any) -> Shape:
    """A state and a cell for each step."""
    if c != h:
        raise ShapeError(f"lstm: h has shape {h} and c {c}; expected equal shapes.")
    out = _recurrent("lstm", 4, gates, h, weight, None, **options)
    return (*out[:2], 2 * out[2])


def _recurrent(
    name: str,
    n_gates: int,
    gates: Shape,
    h: Shape,
    weight: Shape,
    bias: Shape | None,
    *,
    lengths: Any,
    reverse: bool,
) -> Shape:
    wide = n_gates * h[-1] if len(h) == 2 else 0
    expected = {"gates": (*gates[:2], wide), "h": (gates[0], h[-1]) if len(h) == 2 else ()}
    expected |= {"weight": (wide, wide // n_gates), "bias": (wide,)}
    given = {"gates": gates, "h": h, "weight": weight, "bias": bias or (wide,)}
    if given != expected or len(gates) != 3 or gates[1] < 1:
        raise ShapeError(
            f"{name}: gates have shape {gates}, h {h}, weight {weight} and bias {bias}; expected "
            f"(batch, step, {n_gates} hidden) with at least one step, (batch, hidden), "
            f"({n_gates} hidden, hidden) and ({n_gates} hidden,) or None."
        )
    if lengths is not None and np.shape(lengths) != gates[:1]:
        raise ShapeError(
            f"{name}: lengths have shape {np.shape(lengths)}; expected {gates[:1]}, one per row."
        )
    return (*gates[:2], h[1])
