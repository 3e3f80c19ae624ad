"""Normalization and losses."""

import math

import numpy as np

from fieldgrad.engine.bindings import norm_kernels
from fieldgrad.engine.device.table import Array, Table

__all__ = ["KERNELS"]


def _instance_norm(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    *,
    eps: float,
    negative_slope: float,
) -> tuple[Array, ...]:
    return norm_kernels.norm(x, weight, bias, x.shape[0], x.shape[1], eps, negative_slope)


def _group_norm(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    *,
    groups: int,
    eps: float,
    negative_slope: float,
) -> tuple[Array, ...]:
    return norm_kernels.norm(x, weight, bias, x.shape[0], groups, eps, negative_slope)


def _batch_norm(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    *,
    eps: float,
    negative_slope: float,
    running: tuple[Array, Array] | None,
    momentum: float,
) -> tuple[Array, ...]:
    out, mean, rstd = norm_kernels.norm(x, weight, bias, 1, x.shape[1], eps, negative_slope)
    if running is not None:
        count = x.size // x.shape[1]
        with np.errstate(divide="ignore"):  # no spread and no eps: infinite rstd, variance 0
            var = np.maximum(np.float64(rstd[0]) ** -2.0 - eps, 0.0) * (count / (count - 1))
        for average, new in zip(running, (mean[0], var), strict=True):
            average += (momentum * (new - average)).astype(average.dtype)
    return out, mean, rstd


def _given_norm(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    *,
    mean: Array,
    var: Array,
    eps: float,
    negative_slope: float,
) -> tuple[Array, ...]:
    shape = (1, x.shape[1])
    with np.errstate(divide="ignore"):
        rstd = np.divide(1.0, np.sqrt(np.add(var, eps, dtype=float)))
    given = (
        np.ascontiguousarray(mean, x.dtype).reshape(shape),
        np.ascontiguousarray(rstd, x.dtype).reshape(shape),
    )
    return norm_kernels.norm(x, weight, bias, 1, x.shape[1], eps, negative_slope, given)


def _layer_norm(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    *,
    n_axes: int,
    eps: float,
) -> tuple[Array, ...]:
    size = math.prod(x.shape[x.ndim - n_axes :])
    rows = x.reshape(x.size // max(size, 1), size)
    weight, bias = (None if p is None else p.reshape(-1) for p in (weight, bias))
    out, mean, rstd = norm_kernels.norm(rows, weight, bias, len(rows), 1, eps)
    return out.reshape(x.shape), mean, rstd


KERNELS: Table = {
    "instance_norm": _instance_norm,
    "group_norm": _group_norm,
    "batch_norm": _batch_norm,
    "given_norm": _given_norm,
    "layer_norm": _layer_norm,
    "norm_gradient": norm_kernels.norm_gradient,
    "softmax": norm_kernels.softmax,
    "log_softmax": norm_kernels.log_softmax,
    "softmax_gradient": norm_kernels.softmax_gradient,
    "log_softmax_gradient": norm_kernels.log_softmax_gradient,
    "cross_entropy": norm_kernels.cross_entropy,
    "cross_entropy_gradient": norm_kernels.cross_entropy_gradient,
    "overlap_sums": norm_kernels.overlap_sums,
    "overlap_sums_gradient": norm_kernels.overlap_sums_gradient,
}
