"""Segments of rows, neighbors of points, sequences."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from fieldgrad.engine.samples.arrays import Sample

__all__ = [
    "full_segments",
    "gated_sequences",
    "gathers",
    "memory_sequences",
    "missing_segments",
    "pair_products",
    "pair_sums",
    "point_clouds",
    "point_pairs",
    "segment_picks",
    "segment_unpicks",
    "segments",
]

# Shape of the rows, number of segments: none of a kind, empty segments, many features.
SEGMENTS: tuple[tuple[tuple[int, ...], int], ...] = (
    ((7, 3), 3),
    ((9,), 12),
    ((5, 2, 2), 1),
    ((12, 19), 4),
    ((0, 3), 2),
    ((4, 0), 3),
)


def segments(rng: np.random.Generator) -> Iterator[Sample]:
    """Rows without equal elements, and their segments."""
    for i, (shape, n) in enumerate(SEGMENTS):
        x = rng.permutation(np.arange(float(np.prod(shape)))).reshape(shape) / 7
        ids = rng.integers(0, n, shape[0])
        yield (x, np.sort(ids) if i % 2 else ids), {"num_segments": n}


def missing_segments(rng: np.random.Generator) -> Iterator[Sample]:
    """The same, and some where rows belong to no segment."""
    yield from segments(rng)
    for shape, n in SEGMENTS[:3]:
        ids = rng.integers(-1, n, shape[0])
        yield (rng.normal(size=shape), ids), {"num_segments": n, "skip_missing": True}


def full_segments(rng: np.random.Generator) -> Iterator[Sample]:
    """Rows without equal elements, and segments none of them empty: their extrema are finite."""
    for (x, _), attributes in segments(rng):
        n = attributes["num_segments"]
        if n <= len(x) or not x.size:
            yield (x, rng.permutation(np.arange(len(x)) % n)), attributes


def gathers(rng: np.random.Generator) -> Iterator[Sample]:
    """Rows, and an index of rows."""
    for shape, picked in (((4, 3), (6,)), ((5,), (2, 3)), ((3, 2, 2), ()), ((3, 4), (0,))):
        yield (rng.normal(size=shape), rng.integers(0, shape[0], picked)), {}
        index = rng.integers(-1, shape[0], picked)
        yield (rng.normal(size=shape), np.asarray(index)), {"skip_missing": True}


def _picks(rng: np.random.Generator) -> Iterator[tuple[tuple[int, ...], Any]]:
    for n_rows, shape in ((5, (3, 2)), (4, (3,)), (3, (2, 2, 2)), (0, (1, 3))):
        columns = [
            rng.permutation(np.arange(-1, n_rows))[: shape[0]] for _ in np.ndindex(shape[1:])
        ]
        yield (n_rows, *shape[1:]), np.stack(columns, axis=-1).reshape(shape)


def segment_picks(rng: np.random.Generator) -> Iterator[Sample]:
    """Rows, and for each segment and feature a row or none."""
    for shape, index in _picks(rng):
        yield (rng.normal(size=shape), index), {}


def segment_unpicks(rng: np.random.Generator) -> Iterator[Sample]:
    """Values of segments, and a row of its own, or none, for each."""
    for shape, index in _picks(rng):
        yield (rng.normal(size=index.shape), index), {"n_rows": shape[0]}


# Shape of the rows, number of pairs: none of a kind, many features.
PAIRS: tuple[tuple[tuple[int, ...], int], ...] = (
    ((4, 3), 7),
    ((3,), 5),
    ((5, 2, 2), 4),
    ((3, 19), 6),
    ((3, 2), 0),
    ((4, 0), 3),
)


def pair_sums(rng: np.random.Generator) -> Iterator[Sample]:
    """Rows, weights of pairs, and the pairs, also of a row with itself."""
    for shape, n in PAIRS:
        for antisymmetric in (False, True):
            x, w = rng.normal(size=shape), rng.normal(size=(n, *shape[1:]))
            yield (x, w, rng.integers(0, shape[0], (2, n))), {"antisymmetric": antisymmetric}


def pair_products(rng: np.random.Generator) -> Iterator[Sample]:
    """Rows twice, and pairs of them."""
    for (x, _, pairs), attributes in pair_sums(rng):
        yield (x, rng.normal(size=x.shape), pairs), attributes


def point_pairs(rng: np.random.Generator) -> Iterator[Sample]:
    """Two sets of points."""
    for x, y in (
        ((3, 2), (4, 2)),
        ((2, 5, 3), (2, 3, 3)),
        ((2, 1, 3, 1), (4, 2, 1)),
        ((1, 19), (18, 19)),
        ((0, 3), (2, 3)),
        ((2, 3), (0, 3)),
    ):
        for squared in (False, True):
            yield (rng.normal(size=x), rng.normal(size=y)), {"squared": squared}


def point_clouds(rng: np.random.Generator) -> Iterator[Sample]:
    """Points, some with a mask, of which neighbors are asked."""
    for shape, k in (((6, 2), 3), ((2, 19, 3), 4), ((2, 3, 70), 5), ((1, 4, 0), 2), ((2, 0, 3), 1)):
        x = rng.normal(size=shape)
        yield (x,), {"k": k}
        yield (x, rng.random(shape[:-1]) < 0.7), {"k": k, "include_self": True}
    yield (rng.normal(size=(24, 3)),), {"k": 4, "offsets": [0, 2, 2, 21, 24]}
    yield (np.zeros((0, 3)),), {"k": 2, "offsets": [0]}


# Batch, steps, hidden size, attributes.
SEQUENCES: tuple[tuple[int, int, int, dict[str, Any]], ...] = (
    (2, 3, 2, {}),
    (3, 4, 2, {"reverse": True}),
    (3, 3, 1, {"lengths": [3, 0, 2]}),
    (2, 3, 3, {"lengths": [1, 3], "reverse": True}),
    (18, 1, 2, {}),
    (0, 2, 2, {}),
)


def gated_sequences(rng: np.random.Generator) -> Iterator[Sample]:
    """The input's part of three gates, a state, a weight and perhaps a bias."""
    for i, (batch, steps, n, attributes) in enumerate(SEQUENCES):
        inputs = [rng.normal(size=s) for s in ((batch, steps, 3 * n), (batch, n), (3 * n, n))]
        bias = () if i % 2 else (rng.normal(size=3 * n),)
        yield (*inputs, *bias), attributes


def memory_sequences(rng: np.random.Generator) -> Iterator[Sample]:
    """The input's part of four gates, a state, a cell and a weight."""
    for batch, steps, n, attributes in SEQUENCES:
        shapes = ((batch, steps, 4 * n), (batch, n), (batch, n), (4 * n, n))
        yield tuple(rng.normal(size=s) for s in shapes), attributes
