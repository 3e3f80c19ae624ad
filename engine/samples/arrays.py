"""Arrays, pairs of arrays, axes, shapes and indices."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

__all__ = [
    "Sample",
    "Samples",
    "above_one",
    "along_axes",
    "assignments",
    "away_from_zero",
    "axes",
    "broadcasts",
    "channels_last",
    "concats",
    "contractions",
    "flips",
    "fractions",
    "gradient_pairs",
    "index_adds",
    "indices",
    "integer_pairs",
    "integers",
    "linears",
    "matrices",
    "paddings",
    "pairs",
    "pairs_along_axes",
    "permutations",
    "positive_and_fraction",
    "positive_pairs",
    "positives",
    "reals",
    "reshapes",
    "rolls",
    "scans",
    "scatters",
    "selections",
    "shifts",
    "single_axes",
    "sorts",
    "stacks",
    "takes",
    "unit_fractions",
    "with_attributes",
    "zetas",
]

Sample = tuple[tuple[Any, ...], dict[str, Any]]


Samples = Callable[[np.random.Generator], Iterator[Sample]]


SHAPES: tuple[tuple[int, ...], ...] = ((), (1,), (5,), (3, 4), (2, 1, 3), (0, 3))


def away_from_zero(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Normal values pushed 0.1 away from zero, where many ops have a kink."""
    x = rng.normal(size=shape)
    return x + 0.1 * np.sign(x)


def reals(rng: np.random.Generator) -> Iterator[Sample]:
    """One input, any real value."""
    for shape in SHAPES:
        yield (away_from_zero(rng, shape),), {}


def positives(rng: np.random.Generator) -> Iterator[Sample]:
    """One input, positive."""
    for shape in SHAPES:
        yield (rng.uniform(0.3, 3.0, size=shape),), {}


def fractions(rng: np.random.Generator) -> Iterator[Sample]:
    """One input, between -1 and 1."""
    for shape in SHAPES:
        yield (rng.uniform(-0.9, 0.9, size=shape),), {}


def above_one(rng: np.random.Generator) -> Iterator[Sample]:
    """One input, above 1."""
    for shape in SHAPES:
        yield (rng.uniform(1.2, 3.0, size=shape),), {}


def integers(rng: np.random.Generator) -> Iterator[Sample]:
    """One input of integers, or truth values."""
    for shape in SHAPES:
        yield (rng.integers(-9, 9, size=shape),), {}
    yield (rng.random(5) < 0.5,), {}


def _pairs(draw: Callable[..., Any]) -> Samples:
    def samples(rng: np.random.Generator) -> Iterator[Sample]:
        for shape in SHAPES:
            yield (draw(rng, shape), draw(rng, shape)), {}
        for a, b in (((3, 4), (4,)), ((2, 1, 3), (5, 1)), ((), (2, 3)), ((0, 1), (3,))):
            yield (draw(rng, a), draw(rng, b)), {}

    return samples


pairs = _pairs(away_from_zero)


positive_pairs = _pairs(lambda rng, shape: rng.uniform(0.5, 2.0, size=shape))


integer_pairs = _pairs(lambda rng, shape: rng.integers(-9, 9, size=shape))


shifts = _pairs(lambda rng, shape: rng.integers(0, 9, size=shape))


def unit_fractions(rng: np.random.Generator) -> Iterator[Sample]:
    """One input between 0 and 1."""
    for shape in SHAPES:
        yield (rng.uniform(0.1, 0.9, size=shape),), {}


def positive_and_fraction(rng: np.random.Generator) -> Iterator[Sample]:
    """A positive input, and one between 0 and 1."""
    for a, b in (((), ()), ((3, 4), (3, 4)), ((4,), (3, 1)), ((0, 3), (3,))):
        yield (rng.uniform(0.5, 2.0, size=a), rng.uniform(0.1, 0.9, size=b)), {}


def zetas(rng: np.random.Generator) -> Iterator[Sample]:
    """A whole exponent above 1, and a positive number."""
    for a, b in (((), ()), ((3, 4), (3, 4)), ((4,), (3, 1)), ((0, 3), (3,))):
        yield (rng.integers(2, 6, size=a), rng.uniform(0.5, 2.0, size=b)), {}


def with_attributes(samples: Samples, *variants: dict[str, Any]) -> Samples:
    """The same inputs, once for each set of attributes."""

    def combined(rng: np.random.Generator) -> Iterator[Sample]:
        for attributes in variants:
            for inputs, _ in samples(rng):
                yield inputs, attributes

    return combined


def axes(rng: np.random.Generator) -> Iterator[Sample]:
    """One input and the axes of a reduction."""
    for shape, axis in (
        ((), None),
        ((5,), 0),
        ((3, 4), None),
        ((3, 4), -1),
        ((2, 3, 4), (0, 2)),
        ((2, 1, 3), 1),
        ((2, 3, 4), (1,)),
    ):
        for keepdims in (False, True):
            x = rng.permutation(np.arange(1.0, 1 + int(np.prod(shape)))).reshape(shape) / 7
            yield (x - 1.01,), {"axis": axis, "keepdims": keepdims}


def gradient_pairs(rng: np.random.Generator) -> Iterator[Sample]:
    """A gradient and the output it belongs to, equal shapes."""
    for shape in SHAPES:
        yield (away_from_zero(rng, shape), away_from_zero(rng, shape)), {}


def selections(rng: np.random.Generator) -> Iterator[Sample]:
    """A condition and two values."""
    for a, b, c in (((), (), ()), ((3, 4), (3, 4), (3, 4)), ((4,), (3, 1), ()), ((0,), (0,), (1,))):
        yield (rng.random(a) < 0.5, away_from_zero(rng, b), away_from_zero(rng, c)), {}


def reshapes(rng: np.random.Generator) -> Iterator[Sample]:
    """An input and its new shape."""
    for shape, new in (((), (1, 1)), ((6,), (2, 3)), ((2, 3, 4), (4, -1)), ((0, 3), (3, 0))):
        yield (rng.normal(size=shape),), {"shape": new}


def permutations(rng: np.random.Generator) -> Iterator[Sample]:
    """An input and an order of its axes."""
    for shape, order in (
        ((), ()),
        ((2, 3), (1, 0)),
        ((2, 3, 4), (2, 0, 1)),
        ((1, 0, 3), (0, -1, 1)),
    ):
        yield (rng.normal(size=shape),), {"axes": order}


def broadcasts(rng: np.random.Generator) -> Iterator[Sample]:
    """An input and a shape it repeats to."""
    for shape, new in (
        ((), (2, 3)),
        ((3,), (2, 3)),
        ((2, 1), (4, 2, 3)),
        ((2, 3), (2, 3)),
        ((1,), (0,)),
    ):
        yield (rng.normal(size=shape),), {"shape": new}


def flips(rng: np.random.Generator) -> Iterator[Sample]:
    """An input and the axes to reverse."""
    for shape, axis in (
        ((5,), 0),
        ((2, 3), -1),
        ((2, 3, 4), (0, 2)),
        ((0, 2), 0),
        ((2, 3), None),
        ((), None),
    ):
        yield (rng.normal(size=shape),), {"axis": axis}


def rolls(rng: np.random.Generator) -> Iterator[Sample]:
    """An input, by how much to move its elements, and along which axes."""
    for shape, shift, axis in (
        ((5,), 2, 0),
        ((2, 3), -1, None),
        ((2, 3, 4), (1, -5), (0, 2)),
        ((0, 3), 1, 1),
        ((2, 3), 4, (0, 1)),
    ):
        yield (rng.normal(size=shape),), {"shift": shift, "axis": axis}


def scans(rng: np.random.Generator) -> Iterator[Sample]:
    """An input and the one axis of a scan."""
    for shape, axis in (((5,), 0), ((2, 3), -1), ((2, 3, 4), 1), ((0, 2), 0)):
        yield (rng.normal(size=shape),), {"axis": axis}


def sorts(rng: np.random.Generator) -> Iterator[Sample]:
    """An input without equal elements, the axis to sort along, and in which order."""
    for shape, axis in (((5,), 0), ((2, 3), -1), ((2, 3, 4), 1), ((0, 2), 0)):
        for descending in (False, True):
            x = rng.permutation(np.arange(1.0, 1 + int(np.prod(shape)))).reshape(shape) / 7
            yield (x,), {"axis": axis, "descending": descending}


def single_axes(rng: np.random.Generator) -> Iterator[Sample]:
    """An input and one axis, or none, of a reduction to an index or truth value."""
    for shape, axis in (((5,), 0), ((2, 3), -1), ((2, 3, 4), 1), ((2, 3), None)):
        for keepdims in (False, True):
            yield (rng.normal(size=shape),), {"axis": axis, "keepdims": keepdims}


def paddings(rng: np.random.Generator) -> Iterator[Sample]:
    """An input and what to add around it."""
    for shape, padding, value in (
        ((3,), ((1, 2),), 0.0),
        ((2, 3), ((0, 0), (2, 1)), 1.5),
        ((1, 2, 0), ((1, 1), (0, 1), (2, 0)), -1.0),
        ((), (), 0.0),
    ):
        yield (rng.normal(size=shape),), {"padding": padding, "value": value}


def concats(rng: np.random.Generator) -> Iterator[Sample]:
    """Arrays to join."""
    for joined, axis in (
        (((2,), (3,)), 0),
        (((2, 3), (2, 1), (2, 0)), -1),
        (((1, 2, 3),), 1),
        (((2, 3, 2, 2), (2, 1, 2, 2)), 1),
        (((2, 3), (4,), ()), None),
    ):
        yield ([rng.normal(size=s) for s in joined],), {"axis": axis}


def stacks(rng: np.random.Generator) -> Iterator[Sample]:
    """Arrays to join along a new axis."""
    for shape, n, axis in (((), 2, 0), ((2, 3), 3, 1), ((2, 3), 1, -1), ((2, 0), 2, 0)):
        yield ([rng.normal(size=shape) for _ in range(n)],), {"axis": axis}


def matrices(rng: np.random.Generator) -> Iterator[Sample]:
    """Matrices and vectors to multiply."""
    for a, b in (
        ((2, 3), (3, 4)),
        ((3,), (3,)),
        ((3,), (3, 2)),
        ((2, 3), (3,)),
        ((3,), (5, 3, 2)),
        ((5, 2, 3), (3,)),
        ((5, 2, 3), (5, 3, 1)),
        ((5, 2, 3), (3, 4)),
        ((2, 1, 2, 3), (4, 3, 2)),
        ((0, 3), (3, 2)),
        ((2, 0), (0, 3)),
    ):
        yield (rng.normal(size=a), rng.normal(size=b)), {}


def linears(rng: np.random.Generator) -> Iterator[Sample]:
    """Rows, a weight, perhaps a bias."""
    for rows, n_in, n_out in (
        ((), 3, 4),
        ((2,), 3, 4),
        ((5, 2), 3, 1),
        ((2, 1, 2), 1, 3),
        ((7,), 20, 17),
        ((0,), 3, 2),
        ((2,), 0, 3),
        ((2,), 3, 0),
    ):
        x, weight = rng.normal(size=(*rows, n_in)), rng.normal(size=(n_out, n_in))
        yield (x, weight), {}
        yield (x, weight, rng.normal(size=n_out)), {}


def contractions(rng: np.random.Generator) -> Iterator[Sample]:
    """Arrays and explicit subscripts."""
    for subscripts, sizes in (
        ("ij,jk->ik", ((2, 3), (3, 4))),
        ("bij,bjk->bik", ((2, 3, 4), (2, 4, 2))),
        ("ij,jk,kl->il", ((2, 3), (3, 4), (4, 2))),
        ("ij->ji", ((2, 3),)),
        ("ij,k->i", ((2, 3), (4,))),
        ("i,i->", ((3,), (3,))),
    ):
        yield ([rng.normal(size=s) for s in sizes],), {"subscripts": subscripts}


INDICES: tuple[tuple[tuple[int, ...], Any], ...] = (
    ((5,), 2),
    ((5,), slice(1, 4)),
    ((3, 4), (slice(None, None, 2), 1)),
    ((3, 4), (None, ..., slice(None, None, -1))),
    ((3, 4), np.array([0, 2, 0])),
    ((3, 4), (np.array([0, 2, 0]), np.array([1, 1, 1]))),
    ((2, 3), np.array([[True, False, True], [False, True, False]])),
    ((2, 3, 4), (0, np.array([2, 2]))),
)


def indices(rng: np.random.Generator) -> Iterator[Sample]:
    """An input and an index of each kind."""
    for shape, index in INDICES:
        yield (rng.normal(size=shape),), {"index": index}


def index_adds(rng: np.random.Generator) -> Iterator[Sample]:
    """A gradient, an index, and the shape it points into."""
    for shape, index in INDICES:
        g = rng.normal(size=np.empty(shape)[index].shape)
        yield (g,), {"index": index, "shape": shape}


def assignments(rng: np.random.Generator) -> Iterator[Sample]:
    """An input, a value and an index without repeats."""
    for shape, index in INDICES[:4]:
        picked = np.empty(shape)[index].shape
        yield (rng.normal(size=shape), rng.normal(size=picked)), {"index": index}
        yield (rng.normal(size=shape), rng.normal(size=())), {"index": index}


def takes(rng: np.random.Generator) -> Iterator[Sample]:
    """An input and positions along an axis."""
    for shape, axis, n in (((5,), 0, 3), ((3, 4), 1, 6), ((2, 3, 4), -2, 2)):
        size = list(shape)
        size[axis] = n
        yield (rng.normal(size=shape), rng.integers(0, shape[axis], size)), {"axis": axis}
    yield (rng.normal(size=(1, 4, 2)), rng.integers(0, 4, (3, 2, 1))), {"axis": 1}


def scatters(rng: np.random.Generator) -> Iterator[Sample]:
    """Values, their positions along an axis, and its length."""
    for shape, axis, size in (((5,), 0, 3), ((3, 4), 1, 6), ((2, 3, 4), -2, 2)):
        yield (rng.normal(size=shape), rng.integers(0, size, shape)), {"axis": axis, "size": size}
    yield (rng.normal(size=(3, 4)), rng.integers(0, 2, (1, 4))), {"axis": 1, "size": 2}


def channels_last(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Normal values whose channels (axis 1) are adjacent in memory."""
    return np.moveaxis(rng.normal(size=(shape[0], *shape[2:], shape[1])), -1, 1)


def along_axes(rng: np.random.Generator) -> Iterator[Sample]:
    """An input and an axis."""
    for shape, axis in (((5,), 0), ((3, 20), -1), ((2, 1), 1), ((0, 3), 1), ((3, 2), 0)):
        yield (2 * rng.normal(size=shape),), {"axis": axis}
    for size in ((2, 3, 4), (1, 19, 2, 3)):
        yield (channels_last(rng, size),), {"axis": 1}
        yield (2 * rng.normal(size=size),), {"axis": 1}


def pairs_along_axes(rng: np.random.Generator) -> Iterator[Sample]:
    """Two inputs of one shape and an axis."""
    for (x,), attributes in along_axes(rng):
        yield (x, rng.normal(size=x.shape)), attributes
