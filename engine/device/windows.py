"""Convolution, pooling and resampling."""

from typing import Any

from fieldgrad.engine import _nn_kernels
from fieldgrad.engine.device.table import Array, Table

__all__ = ["KERNELS"]


def _resample(x: Array, *, axis: int, taps: Any) -> Array:
    return _nn_kernels.resample(x, axis % x.ndim, taps.n_out, taps.start, taps.index, taps.weight)


KERNELS: Table = {
    "conv": _nn_kernels.conv,
    "conv_transpose": _nn_kernels.conv_transpose,
    "conv_weight": _nn_kernels.conv_weight,
    "max_pool": _nn_kernels.max_pool,
    "max_unpool": _nn_kernels.max_unpool,
    "resample": _resample,
}
