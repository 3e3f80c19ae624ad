"""Segments, neighbors and sequences."""

import functools
from typing import Any

from fieldgrad.engine import _science_kernels
from fieldgrad.engine.device.table import Array, Table

__all__ = ["KERNELS"]


def _gru(
    gates: Array, h: Array, weight: Array, bias: Array | None = None, **options: Any
) -> tuple[Array, Array]:
    return _science_kernels.recurrent(gates, h, None, weight, bias, **options)


KERNELS: Table = {
    "gather": _science_kernels.gather,
    **{
        f"segment_{kind}": functools.partial(_science_kernels.segment, kind)
        for kind in _science_kernels.SEGMENT_KINDS
    },
    "segment_pick": _science_kernels.segment_pick,
    "segment_unpick": _science_kernels.segment_unpick,
    "cdist": _science_kernels.cdist,
    "knn": _science_kernels.knn,
    "gru": _gru,
    "lstm": _science_kernels.recurrent,
    "recurrent_gradient": _science_kernels.recurrent_gradient,
}
