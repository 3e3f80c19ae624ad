"""Convolution, pooling and resampling."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from fieldgrad.engine.samples.arrays import Sample, channels_last
from fieldgrad.engine.shapes import conv as conv_shape
from fieldgrad.engine.shapes import pool as pool_shape
from fieldgrad.engine.shapes import unfold as unfold_shape
from fieldgrad.engine.taps import Taps

__all__ = [
    "conv_weights",
    "convs",
    "folds",
    "max_pool_gradients",
    "max_pools",
    "taps",
    "transposed_convs",
    "unfolds",
]

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


POOLS: tuple[tuple[tuple[int, ...], dict[str, Any]], ...] = (
    ((2, 3, 7), {"kernel_size": 2}),
    ((1, 2, 9), {"kernel_size": 3, "stride": 1, "padding": 1}),
    ((2, 5, 5, 6), {"kernel_size": (2, 3), "stride": (2, 1), "padding": (1, 0)}),
    ((1, 2, 4, 5, 6), {"kernel_size": 2}),
    ((1, 9, 3, 1, 5), {"kernel_size": (2, 1, 3), "stride": (1, 1, 4), "padding": (1, 0, 1)}),
    ((0, 2, 4), {"kernel_size": 2}),
    ((1, 2, 9), {"kernel_size": 3, "stride": 2, "padding": 2, "dilation": 2}),
    ((1, 3, 7, 8), {"kernel_size": 2, "stride": 1, "padding": 1, "dilation": (3, 2)}),
)
CEILED: tuple[tuple[tuple[int, ...], dict[str, Any]], ...] = (
    ((2, 1, 8), {"kernel_size": 3, "ceil_mode": True}),
    ((1, 2, 5, 6), {"kernel_size": 2, "stride": 3, "padding": 1, "ceil_mode": True}),
)


def max_pools(rng: np.random.Generator) -> Iterator[Sample]:
    """An input without equal elements, and windows."""
    for i, (shape, window) in enumerate(POOLS + CEILED):
        x = rng.permutation(np.arange(float(np.prod(shape)))).reshape(shape)
        yield ((np.asarray(x, order="F") if i % 2 else x),), window


def max_pool_gradients(rng: np.random.Generator) -> Iterator[Sample]:
    """Values, and for each a position in its window."""
    for shape, window in POOLS:
        out = pool_shape("max_pool", shape, **{"stride": None, "padding": 0} | window)
        n = len(shape) - 2
        kernel = np.broadcast_to(window["kernel_size"], n)
        stride = np.broadcast_to(window.get("stride", kernel), n)
        padding = np.broadcast_to(window.get("padding", 0), n)
        dilation = np.broadcast_to(window.get("dilation", 1), n)
        place = np.zeros(out, np.int32)
        for axis, length in enumerate(shape[2:]):
            first = np.arange(out[2 + axis]) * stride[axis] - padding[axis]
            taps = np.arange(kernel[axis]) * dilation[axis]
            inside = [f + taps[(f + taps >= 0) & (f + taps < length)] for f in first]
            drawn = np.stack(
                [rng.choice(t, out[: 2 + axis] + out[3 + axis :]) for t in inside], axis=-1
            )
            place = place * length + np.moveaxis(drawn, -1, 2 + axis)
        yield (rng.normal(size=out), place.astype(np.int32)), {"size": shape[2:], **window}


COLUMNS: tuple[tuple[tuple[int, ...], dict[str, Any]], ...] = (
    ((2, 3, 7), {"kernel_size": 3}),
    ((1, 2, 5, 6), {"kernel_size": (2, 3), "stride": (2, 1), "padding": (1, 0)}),
    ((2, 1, 6, 5), {"kernel_size": 2, "dilation": (3, 2), "padding": 1}),
    ((1, 2, 4, 3, 5), {"kernel_size": (2, 1, 3), "stride": 2}),
    ((0, 2, 4, 4), {"kernel_size": 2}),
)


def unfolds(rng: np.random.Generator) -> Iterator[Sample]:
    """An input and windows."""
    for shape, window in COLUMNS:
        yield (rng.normal(size=shape),), window


def folds(rng: np.random.Generator) -> Iterator[Sample]:
    """Columns, and the size of what they are folded to."""
    for shape, window in COLUMNS:
        settings = {"dilation": 1, "padding": 0, "stride": 1} | window
        columns = rng.normal(size=unfold_shape(shape, **settings))
        yield (columns,), {"output_size": shape[2:], **window}


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
