"""Convolution, pooling, windows as columns, and resampling."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from fieldgrad.engine.bindings import nn_kernels
from fieldgrad.engine.device.table import Array, Table

__all__ = ["KERNELS"]


def _resample(x: Array, *, axis: int, taps: Any) -> Array:
    return nn_kernels.resample(x, axis % x.ndim, taps.n_out, taps.start, taps.index, taps.weight)


def _unfold(x: Array, **window: Any) -> Array:
    padding = _per_axis(window["padding"], x.ndim - 2)
    padded = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)])
    columns = np.stack([padded[taps] for taps in _tap_slices(padded.shape, **window)], axis=2)
    return columns.reshape(x.shape[0], x.shape[1] * columns.shape[2], math.prod(columns.shape[3:]))


def _fold(x: Array, *, output_size: Any, **window: Any) -> Array:
    n = len(output_size) if hasattr(output_size, "__len__") else 2
    padding, kernel = (_per_axis(window[key], n) for key in ("padding", "kernel_size"))
    size = _per_axis(output_size, n)
    channels = x.shape[1] // math.prod(kernel)
    padded = np.zeros(
        (x.shape[0], channels, *(m + 2 * p for m, p in zip(size, padding, strict=True))), x.dtype
    )
    slices = list(_tap_slices(padded.shape, **window))
    windows = padded[slices[0]].shape[2:]
    columns = x.reshape(x.shape[0], channels, len(slices), *windows)
    for i, taps in enumerate(slices):
        padded[taps] += columns[:, :, i]
    inside: list[Any] = [slice(p, p + m) for m, p in zip(size, padding, strict=True)]
    return padded[(..., *inside)]


def _per_axis(value: Any, n: int) -> tuple[int, ...]:
    return tuple(value) if hasattr(value, "__len__") else (value,) * n


def _tap_slices(
    shape: tuple[int, ...], *, kernel_size: Any, dilation: Any, stride: Any, padding: Any
) -> Iterator[tuple[Any, ...]]:
    """For each element of a window, where it lies in a padded map for all windows."""
    n = len(shape) - 2
    kernel, steps, strides = (_per_axis(v, n) for v in (kernel_size, dilation, stride))
    for tap in np.ndindex(*kernel):
        yield (
            ...,
            *(
                slice(t * d, m - (k - 1 - t) * d, s)
                for t, k, d, s, m in zip(tap, kernel, steps, strides, shape[2:], strict=True)
            ),
        )


KERNELS: Table = {
    "unfold": _unfold,
    "fold": _fold,
    "conv": nn_kernels.conv,
    "conv_transpose": nn_kernels.conv_transpose,
    "conv_weight": nn_kernels.conv_weight,
    "max_pool": nn_kernels.max_pool,
    "max_unpool": nn_kernels.max_unpool,
    "resample": _resample,
}
