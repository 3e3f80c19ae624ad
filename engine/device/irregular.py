"""Segments, neighbors and sequences."""

import functools
from typing import Any

from fieldgrad.engine import _irregular_kernels
from fieldgrad.engine.device.table import Array, Table

__all__ = ["KERNELS"]


def _gru(
    gates: Array, h: Array, weight: Array, bias: Array | None = None, **options: Any
) -> tuple[Array, Array]:
    return _irregular_kernels.recurrent(gates, h, None, weight, bias, **options)


KERNELS: Table = {
    "gather": _irregular_kernels.gather,
    **{
        f"segment_{kind}": functools.partial(_irregular_kernels.segment, kind)
        for kind in _irregular_kernels.SEGMENT_KINDS
    },
    "segment_pick": _irregular_kernels.segment_pick,
    "segment_unpick": _irregular_kernels.segment_unpick,
    "pair_sum": functools.partial(_irregular_kernels.pair_messages, "sum"),
    "pair_product": functools.partial(_irregular_kernels.pair_messages, "product"),
    "cdist": _irregular_kernels.cdist,
    "knn": _irregular_kernels.knn,
    "gru": _gru,
    "lstm": _irregular_kernels.recurrent,
    "recurrent_gradient": _irregular_kernels.recurrent_gradient,
}
