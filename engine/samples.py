"""Calls for the op-table test suite: ``samples(rng)`` yields (inputs, attributes).

Inputs are float64 arrays, in the interior of the op's domain and away from kinks, so that finite
differences are valid; the suite itself derives float32, strided, broadcast, empty and NaN variants.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fieldgrad.engine.shapes import conv as conv_shape
from fieldgrad.engine.shapes import pool as pool_shape
from fieldgrad.engine.taps import Taps

__all__ = ["axes", "pairs", "positive_pairs", "positives", "reals", "with_attributes"]

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


def _pairs(draw: Callable[..., Any]) -> Samples:
    def samples(rng: np.random.Generator) -> Iterator[Sample]:
        for shape in SHAPES:
            yield (draw(rng, shape), draw(rng, shape)), {}
        for a, b in (((3, 4), (4,)), ((2, 1, 3), (5, 1)), ((), (2, 3)), ((0, 1), (3,))):
            yield (draw(rng, a), draw(rng, b)), {}

    return samples


pairs = _pairs(away_from_zero)
positive_pairs = _pairs(lambda rng, shape: rng.uniform(0.5, 2.0, size=shape))


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
    for shape, axis in (((5,), 0), ((2, 3), -1), ((2, 3, 4), (0, 2)), ((0, 2), 0)):
        yield (rng.normal(size=shape),), {"axis": axis}


def scans(rng: np.random.Generator) -> Iterator[Sample]:
    """An input and the one axis of a scan."""
    for shape, axis in (((5,), 0), ((2, 3), -1), ((2, 3, 4), 1), ((0, 2), 0)):
        yield (rng.normal(size=shape),), {"axis": axis}


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
    ):
        yield ([rng.normal(size=s) for s in joined],), {"axis": axis}


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


def scatters(rng: np.random.Generator) -> Iterator[Sample]:
    """Values, their positions along an axis, and its length."""
    for shape, axis, size in (((5,), 0, 3), ((3, 4), 1, 6), ((2, 3, 4), -2, 2)):
        yield (rng.normal(size=shape), rng.integers(0, size, shape)), {"axis": axis, "size": size}


# Shapes of x and weight, whether there is a bias, attributes.
ConvCase = tuple[tuple[int, ...], tuple[int, ...], bool, dict[str, Any]]
# 1-D to 3-D, strides, dilation, groups, odd sizes, kernels of one tap along an axis, more padding
# than the kernel needs, an empty batch.
CONVS: tuple[ConvCase, ...] = (
    ((2, 3, 7), (4, 3, 3), True, {}),
    ((1, 1, 9), (2, 1, 4), False, {"stride": 3, "padding": 2}),
    ((2, 2, 5, 6), (3, 2, 3, 3), True, {"padding": 1}),
    ((1, 4, 5, 4), (6, 2, 3, 2), True, {"groups": 2, "stride": (2, 1), "padding": (1, 0)}),
    ((1, 3, 8, 7), (3, 1, 3, 3), False, {"groups": 3, "dilation": 2, "padding": 2}),
    ((1, 2, 5, 4, 3), (3, 2, 3, 3, 3), True, {"padding": 1}),
    ((2, 1, 3, 5, 4), (2, 1, 1, 3, 3), False, {"padding": (0, 1, 2)}),
    ((1, 2, 6, 5, 5), (2, 2, 3, 3, 3), True, {"stride": 2, "padding": 1}),
    ((1, 3, 2, 3, 2), (2, 3, 1, 1, 1), True, {}),
    ((1, 2, 6, 4, 5), (2, 2, 2, 2, 2), False, {"stride": 2, "dilation": (3, 1, 2)}),
    ((0, 2, 4, 4), (3, 2, 3, 3), True, {"padding": 1}),
)


def convs(rng: np.random.Generator) -> Iterator[Sample]:
    """An input, a weight and perhaps a bias."""
    for x, weight, biased, attributes in CONVS:
        bias = (rng.normal(size=weight[0]),) if biased else ()
        yield (rng.normal(size=x), rng.normal(size=weight), *bias), attributes


def transposed_convs(rng: np.random.Generator) -> Iterator[Sample]:
    """An input, a weight and perhaps a bias, enlarging."""
    cases: tuple[ConvCase, ...] = (
        ((2, 3, 4), (3, 2, 3), True, {}),
        ((1, 1, 3), (1, 2, 4), False, {"stride": 3, "padding": 1, "output_padding": 2}),
        ((2, 2, 3, 4), (2, 3, 2, 2), True, {"stride": 2}),
        ((1, 4, 3, 3), (4, 1, 3, 2), True, {"groups": 2, "stride": (2, 1), "padding": (1, 0)}),
        ((1, 2, 2, 3, 4), (2, 2, 3, 3, 3), True, {"padding": 1}),
        ((1, 2, 2, 2, 3), (2, 3, 2, 2, 2), True, {"stride": 2}),
        ((1, 2, 2, 2, 2), (2, 1, 1, 3, 3), False, {"stride": (1, 2, 2), "padding": (0, 1, 1)}),
        ((1, 1, 2, 3, 2), (1, 2, 2, 2, 2), False, {"stride": 4, "dilation": (2, 6, 3)}),
        ((0, 2, 3), (2, 2, 2), True, {"stride": 2}),
    )
    for x, weight, biased, attributes in cases:
        bias = (rng.normal(size=weight[1] * attributes.get("groups", 1)),) if biased else ()
        yield (rng.normal(size=x), rng.normal(size=weight), *bias), attributes


def conv_weights(rng: np.random.Generator) -> Iterator[Sample]:
    """An input and a gradient of its convolution."""
    for x, weight, _, attributes in CONVS:
        settings: dict[str, Any] = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
        settings |= attributes
        out = conv_shape(x, weight, **settings)
        kernel_size = {"kernel_size": weight[2:]}
        yield (rng.normal(size=x), rng.normal(size=out)), attributes | kernel_size


def channels_last(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Normal values whose channels (axis 1) are adjacent in memory."""
    return np.moveaxis(rng.normal(size=(shape[0], *shape[2:], shape[1])), -1, 1)


def _norms(
    shapes: tuple[tuple[int, ...], ...], *variants: dict[str, Any]
) -> Callable[[np.random.Generator], Iterator[Sample]]:
    """Inputs of a normalization by channel, with both, one or none of weight and bias."""

    def samples(rng: np.random.Generator) -> Iterator[Sample]:
        for i, shape in enumerate(shapes):
            for attributes in variants:
                x = 3 + (channels_last(rng, shape) if i % 2 else rng.normal(size=shape))
                vectors = (rng.uniform(0.5, 2.0, shape[1]), rng.normal(size=shape[1]))
                yield (x, *vectors[: 2 - i % 3]), attributes

    return samples


instance_norms = _norms(
    ((2, 3, 7), (1, 2, 5, 4), (2, 5, 3, 1, 4), (1, 1, 40), (2, 8, 4, 4), (0, 2, 3)),
    {},
    {"negative_slope": 0.1},
)
batch_norms = _norms(
    ((4, 3), (2, 3, 7), (3, 2, 1, 4), (1, 16, 5, 3), (5, 3, 2, 2, 3), (0, 2, 3)),
    {},
    {"eps": 0.1, "negative_slope": 0.1},
)
group_norms = _norms(
    ((3, 4), (2, 6, 5), (1, 2, 3, 4), (2, 8, 1, 2, 3), (2, 32, 3), (0, 2, 3)),
    {"groups": 1},
    {"groups": 2, "negative_slope": 0.1},
)


def given_norms(rng: np.random.Generator) -> Iterator[Sample]:
    """The same with a mean and a variance for each channel."""
    for (x, *vectors), attributes in batch_norms(rng):
        n = x.shape[1]
        yield (
            (x, *vectors),
            {**attributes, "mean": rng.normal(size=n), "var": rng.uniform(0.5, 2.0, n)},
        )


def layer_norms(rng: np.random.Generator) -> Iterator[Sample]:
    """An input, perhaps weight and bias, and how many axes to normalize over."""
    for shape, n_axes, n_vectors in (
        ((7,), 1, 2),
        ((3, 4), 1, 0),
        ((2, 5, 33), 1, 2),
        ((2, 3, 4), 2, 1),
        ((70, 3), 1, 2),
        ((0, 3), 1, 2),
    ):
        last = shape[len(shape) - n_axes :]
        vectors = (rng.uniform(0.5, 2.0, last), rng.normal(size=last))
        yield (3 + rng.normal(size=shape), *vectors[:n_vectors]), {"n_axes": n_axes}


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


def class_maps(rng: np.random.Generator) -> Iterator[Sample]:
    """Logits and the class of each position."""
    for shape in ((3, 4), (2, 3, 70), (1, 2, 3, 4), (2, 20, 3, 2), (0, 3, 2), (2, 1, 5)):
        for logits in (2 * rng.normal(size=shape), 2 * channels_last(rng, shape)):
            yield (logits, rng.integers(0, shape[1], shape[:1] + shape[2:])), {}


def cross_entropies(rng: np.random.Generator) -> Iterator[Sample]:
    """Logits with classes or probabilities, and how to weigh and reduce."""
    for (logits, classes), _ in class_maps(rng):
        n = logits.shape[1]
        if not logits.size:
            yield (logits, classes), {"reduction": "sum"}
            continue
        weight, kept = rng.uniform(0.5, 2.0, n), int(classes.flat[0])
        probabilities = rng.dirichlet(np.ones(n), classes.shape)
        for target in (classes.astype(np.int32), np.moveaxis(probabilities, -1, 1)):
            yield (logits, target), {}
            yield (logits, target), {"weight": weight, "reduction": "none"}
            yield (logits, target), {"weight": weight, "label_smoothing": 0.2}
        ignored = (kept + 1) % n if n > 1 else None
        yield (logits, classes), {"ignore_index": ignored, "weight": weight}


POOLS: tuple[tuple[tuple[int, ...], dict[str, Any]], ...] = (
    ((2, 3, 7), {"kernel_size": 2}),
    ((1, 2, 9), {"kernel_size": 3, "stride": 1, "padding": 1}),
    ((2, 5, 5, 6), {"kernel_size": (2, 3), "stride": (2, 1), "padding": (1, 0)}),
    ((1, 2, 4, 5, 6), {"kernel_size": 2}),
    ((1, 9, 3, 1, 5), {"kernel_size": (2, 1, 3), "stride": (1, 1, 4), "padding": (1, 0, 1)}),
    ((0, 2, 4), {"kernel_size": 2}),
)


def max_pools(rng: np.random.Generator) -> Iterator[Sample]:
    """An input without equal elements, and windows."""
    for i, (shape, window) in enumerate(POOLS):
        x = rng.permutation(np.arange(float(np.prod(shape)))).reshape(shape)
        yield ((np.asarray(x, order="F") if i % 2 else x),), window


def max_unpools(rng: np.random.Generator) -> Iterator[Sample]:
    """Values, and for each a position in its window."""
    for shape, window in POOLS:
        out = pool_shape("max_unpool", shape, **{"stride": None, "padding": 0} | window)
        n = len(shape) - 2
        kernel = np.broadcast_to(window["kernel_size"], n)
        stride = np.broadcast_to(window.get("stride", kernel), n)
        padding = np.broadcast_to(window.get("padding", 0), n)
        place = np.zeros(out, np.int32)
        for axis, length in enumerate(shape[2:]):
            first = np.arange(out[2 + axis]) * stride[axis] - padding[axis]
            low, high = np.maximum(first, 0), np.minimum(first + kernel[axis], length)
            along = [1] * len(out)
            along[2 + axis] = -1
            place = place * length + rng.integers(low.reshape(along), high.reshape(along), out)
        yield (rng.normal(size=out), place.astype(np.int32)), {"size": shape[2:], **window}


def taps(rng: np.random.Generator) -> Iterator[Sample]:
    """An input, an axis, and a map along it: single taps, several, none, repeated ones."""
    two = Taps(4, rng.integers(0, 4, (5, 2)), rng.normal(size=(5, 2)))
    one = Taps(3, [[2], [0], [0], [1]], np.ones((4, 1)))
    ragged = Taps(6, rng.integers(0, 6, (3, 5)), np.triu(rng.normal(size=(3, 5)), 1))
    for shape, axis, map in (
        ((4,), 0, two),
        ((2, 3, 4), -1, two),
        ((4, 3), 0, two),
        ((2, 3, 5), 1, one),
        ((1, 2, 6, 3), 2, ragged),
        ((6, 1), 0, ragged),
        ((0, 3), 1, one),
    ):
        yield (rng.normal(size=shape),), {"axis": axis, "taps": map}
    yield (channels_last(rng, (2, 3, 6, 2)),), {"axis": 2, "taps": ragged}
