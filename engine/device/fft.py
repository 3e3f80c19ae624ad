"""Fourier transforms, by SciPy."""

from collections.abc import Sequence

import numpy as np

from fieldgrad.engine.bindings.base_kernels import get_num_threads
from fieldgrad.engine.device.table import Array, Table, from_scipy

__all__ = ["KERNELS"]

fftn, ifftn = from_scipy("fft.fftn"), from_scipy("fft.ifftn")
rfftn, irfftn = from_scipy("fft.rfftn"), from_scipy("fft.irfftn")
FEW = 1 << 16  # elements up to which further threads cost more than they give


def _threads(x: Array) -> int:
    return get_num_threads() if x.size > FEW else 1


def _dft(x: Array, *, axes: Sequence[int], inverse: bool, norm: str) -> Array:
    transform = ifftn if inverse else fftn
    return np.asarray(transform(x, axes=axes, norm=norm, workers=_threads(x)))


def _real_dft(x: Array, *, axes: Sequence[int], norm: str) -> Array:
    return np.asarray(rfftn(x, axes=axes, norm=norm, workers=_threads(x)))


def _inverse_real_dft(x: Array, *, axes: Sequence[int], n: int, norm: str) -> Array:
    lengths = [*(x.shape[a] for a in axes[:-1]), n]
    return np.asarray(irfftn(x, s=lengths, axes=axes, norm=norm, workers=_threads(x)))


KERNELS: Table = {
    "dft": _dft,
    "real_dft": _real_dft,
    "inverse_real_dft": _inverse_real_dft,
}
