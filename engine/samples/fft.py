"""Real and complex numbers for Fourier transforms."""

from collections.abc import Iterator

import numpy as np

from fieldgrad.engine.samples.arrays import Sample

__all__ = ["half_spectra", "signals", "spectra"]

CASES: tuple[tuple[tuple[int, ...], tuple[int, ...], str], ...] = (
    ((6,), (0,), "backward"),
    ((2, 5), (1,), "ortho"),
    ((3, 4, 5), (0, 2), "forward"),
    ((4, 3), (1, 0), "backward"),
    ((0, 3), (1,), "backward"),
)


def signals(rng: np.random.Generator) -> Iterator[Sample]:
    """Real numbers and the axes to transform."""
    for shape, axes, norm in CASES:
        yield (rng.normal(size=shape),), {"axes": axes, "norm": norm}


def spectra(rng: np.random.Generator) -> Iterator[Sample]:
    """Complex numbers, the axes to transform, and in which direction."""
    for shape, axes, norm in CASES:
        for inverse in (False, True):
            x = rng.normal(size=shape) + 1j * rng.normal(size=shape)
            yield (x,), {"axes": axes, "inverse": inverse, "norm": norm}


def half_spectra(rng: np.random.Generator) -> Iterator[Sample]:
    """Half of the frequencies, the axes to transform, and how long the last of them was."""
    for shape, axes, norm in CASES:
        n = shape[axes[-1]]
        half = tuple(n // 2 + 1 if i == axes[-1] else m for i, m in enumerate(shape))
        x = rng.normal(size=half) + 1j * rng.normal(size=half)
        yield (x,), {"axes": axes, "n": n, "norm": norm}
