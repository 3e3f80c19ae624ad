"""Fourier transforms and windows of signals."""

import fieldgrad.engine as fg
from benchmarks.conformance.entries.adapter import Absent, Entry

__all__ = ["ENTRIES"]


def _along_one(name):
    def call(x, n=None, dim=-1, norm=None):
        return getattr(fg.fft, name)(x, n=n, axis=dim, norm=norm or "backward")

    return Entry(call)


def _along_several(name):
    def call(x, s=None, dim=None, norm=None):
        s, axes = (_sequence(s), _sequence(dim))
        return getattr(fg.fft, name)(x, s=s, axes=axes, norm=norm or "backward")

    return Entry(call)


def _sequence(x):
    return (x,) if isinstance(x, int) else x


def _along_two(name):
    def call(x, s=None, dim=(-2, -1), norm=None):
        s, axes = (_sequence(s), _sequence(dim))
        return getattr(fg.fft, f"{name}n")(x, s=s, axes=axes, norm=norm or "backward")

    return Entry(call)


def _shift(name):
    return Entry(lambda x, dim=None: getattr(fg.fft, name)(x, axes=dim))


HERMITIAN = Absent("the array API has hfft along one axis only")
WINDOWS = Absent("scipy.signal.windows gives them; constants of a model, not ops")

ENTRIES = {
    **{f"fft.{n}": _along_one(n) for n in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")},
    **{f"fft.{n}": _along_several(n) for n in ("fftn", "ifftn", "rfftn", "irfftn")},
    **{f"fft.{n}2": _along_two(n) for n in ("fft", "ifft", "rfft", "irfft")},
    **{f"fft.{n}": _shift(n) for n in ("fftshift", "ifftshift")},
    **dict.fromkeys(("fft.hfft2", "fft.hfftn", "fft.ihfft2", "fft.ihfftn"), HERMITIAN),
    **{
        f"signal.windows.{n}": WINDOWS
        for n in (
            "hamming", "hann", "bartlett", "blackman", "cosine", "exponential", "gaussian",
            "kaiser", "general_cosine", "general_hamming", "nuttall",
        )
    },
    "stft": Absent("frames and fft.rfft say it"),
    "istft": Absent("fft.irfft and an overlapping sum say it"),
}  # fmt: skip
