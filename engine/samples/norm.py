"""Normalizations and the losses of classes."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fieldgrad.engine.samples.arrays import Sample, channels_last

__all__ = [
    "batch_norms",
    "class_maps",
    "cross_entropies",
    "given_norms",
    "group_norms",
    "instance_norms",
    "layer_norms",
]


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
