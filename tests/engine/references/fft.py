"""Fourier transforms, by NumPy."""

import numpy as np


def _dft(x, axes, norm, inverse):
    return (np.fft.ifftn if inverse else np.fft.fftn)(x, axes=axes, norm=norm)


def _inverse_real_dft(x, axes, norm, n):
    lengths = [*(x.shape[a] for a in axes[:-1]), n]
    return np.fft.irfftn(x, s=lengths, axes=axes, norm=norm)


REFERENCES = {
    "dft": _dft,
    "real_dft": lambda x, axes, norm: np.fft.rfftn(x, axes=axes, norm=norm),
    "inverse_real_dft": _inverse_real_dft,
}
