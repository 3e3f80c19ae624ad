"""Segments, neighbors and sequences."""

import functools
from typing import Any

from fieldgrad.engine.bindings import irregular_kernels
from fieldgrad.engine.device.table import Array, Table

__all__ = ["KERNELS"]


def _gru(
    gates: Array, h: Array, weight: Array, bias: Array | None = None, **options: Any
) -> tuple[Array, Array]:
    return irregular_kernels.recurrent(gates, h, None, weight, bias, **options)


KERNELS: Table = {
    "gather": irregular_kernels.gather,
    **{
        f"segment_{kind}": functools.partial(irregular_kernels.segment, kind)
        for kind in irregular_kernels.SEGMENT_KINDS
    },
    "segment_pick": irregular_kernels.segment_pick,
    "segment_unpick": irregular_kernels.segment_unpick,
    "pair_sum": functools.partial(irregular_kernels.pair_messages, "sum"),
    "pair_product": functools.partial(irregular_kernels.pair_messages, "product"),
    "cdist": irregular_kernels.cdist,
    "knn": irregular_kernels.knn,
    "gru": _gru,
    "lstm": irregular_kernels.recurrent,
    "recurrent_gradient": irregular_kernels.recurrent_gradient,
}
