"""Fourier transforms, by SciPy."""

from collections.abc import Sequence

import numpy as np
import scipy.fft

from fieldgrad.engine._kernels import get_num_threads
from fieldgrad.engine.device.table import Array, Table

__all__ = ["KERNELS"]

FEW = 1 << 16  # elements up to which further threads cost more than they give


def _threads(x: Array) -> int:
    return get_num_threads() if x.size > FEW else 1


def _dft(x: Array, *, axes: Sequence[int], inverse: bool, norm: str) -> Array:
    transform = scipy.fft.ifftn if inverse else scipy.fft.fftn
    return np.asarray(transform(x, axes=axes, norm=norm, workers=_threads(x)))


def _real_dft(x: Array, *, axes: Sequence[int], norm: str) -> Array:
    return np.asarray(scipy.fft.rfftn(x, axes=axes, norm=norm, workers=_threads(x)))


def _inverse_real_dft(x: Array, *, axes: Sequence[int], n: int, norm: str) -> Array:
    lengths = [*(x.shape[a] for a in axes[:-1]), n]
    return np.asarray(scipy.fft.irfftn(x, s=lengths, axes=axes, norm=norm, workers=_threads(x)))


KERNELS: Table = {
    "dft": _dft,
    "real_dft": _real_dft,
    "inverse_real_dft": _inverse_real_dft,
}
