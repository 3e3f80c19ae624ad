"""Matrices to factorize, and equations to solve."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from fieldgrad.engine.samples.arrays import Sample

__all__ = [
    "equations",
    "overdetermined",
    "positive_matrices",
    "qr_matrices",
    "regular_matrices",
    "spread_matrices",
    "square_matrices",
    "symmetric",
    "triangular_equations",
    "with_real_eigenvalues",
]

SQUARES = ((1, 1), (3, 3), (2, 3, 3), (2, 1, 2, 2), (0, 3, 3))


def _well_conditioned(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Singular values that lie apart, from 1 on; away from 0 and from one another."""
    m, n = shape[-2:]
    left, right = (np.linalg.qr(rng.normal(size=(*shape[:-2], k, k)))[0] for k in (m, n))
    values = 1.0 + np.arange(min(m, n))[::-1] + rng.uniform(0, 0.2, min(m, n))
    return (left[..., :, : min(m, n)] * values) @ right[..., : min(m, n), :]


def square_matrices(rng: np.random.Generator) -> Iterator[Sample]:
    """Any square matrices."""
    for shape in SQUARES:
        yield (0.7 * rng.normal(size=shape),), {}


def regular_matrices(rng: np.random.Generator) -> Iterator[Sample]:
    """Invertible matrices."""
    for shape in SQUARES:
        yield (_well_conditioned(rng, shape),), {}


def spread_matrices(rng: np.random.Generator) -> Iterator[Sample]:
    """Matrices of any proportions, of full rank, with singular values that lie apart."""
    for shape in ((3, 3), (4, 2), (2, 4), (2, 3, 2), (1, 1), (0, 2, 3)):
        yield (_well_conditioned(rng, shape),), {}


def qr_matrices(rng: np.random.Generator) -> Iterator[Sample]:
    """The same, and both ways of their factors that have gradients."""
    for inputs, _ in spread_matrices(rng):
        yield inputs, {"mode": "reduced"}
    for shape in ((3, 3), (2, 4)):
        yield (_well_conditioned(rng, shape),), {"mode": "complete"}


def _symmetric(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    n = shape[-1]
    vectors = np.linalg.qr(rng.normal(size=shape))[0]
    values = 1.0 + np.arange(n) + rng.uniform(0, 0.2, n)
    return (vectors * values) @ np.swapaxes(vectors, -1, -2)


def positive_matrices(rng: np.random.Generator) -> Iterator[Sample]:
    """Positive definite matrices, for both triangles."""
    for upper in (False, True):
        for shape in SQUARES:
            yield (_symmetric(rng, shape),), {"upper": upper}


def symmetric(rng: np.random.Generator) -> Iterator[Sample]:
    """Symmetric matrices with eigenvalues that lie apart."""
    for shape in SQUARES:
        yield (_symmetric(rng, shape) - 2.3 * np.eye(shape[-1]),), {}


def with_real_eigenvalues(rng: np.random.Generator) -> Iterator[Sample]:
    """Upper triangular matrices, whose eigenvalues stand on the diagonal."""
    for shape in SQUARES:
        n = shape[-1]
        yield (np.triu(rng.normal(size=shape), 1) + np.diag(1.0 + np.arange(n)),), {}


def equations(rng: np.random.Generator) -> Iterator[Sample]:
    """Invertible matrices and right-hand sides."""
    for a, b in (
        ((3, 3), (3,)),
        ((3, 3), (3, 2)),
        ((2, 3, 3), (3,)),
        ((2, 3, 3), (2, 3, 1)),
        ((3, 3), (2, 3, 2)),
        ((2, 1, 2, 2), (3, 2, 1)),
        ((1, 1), (1, 0)),
    ):
        yield (_well_conditioned(rng, a), rng.normal(size=b)), {}


def triangular_equations(rng: np.random.Generator) -> Iterator[Sample]:
    """Triangular matrices, with anything in the other triangle, and right-hand sides."""
    for upper in (False, True):
        for left, unit_diagonal in ((True, False), (False, True), (True, True), (False, False)):
            for a, b in (((3, 3), (3, 2)), ((2, 2, 2), (2, 2, 2)), ((2, 2), (3, 2, 2))):
                b = b if left else (*b[:-2], b[-1], b[-2])
                matrix = rng.normal(size=a) * 0.5
                matrix[..., np.arange(a[-1]), np.arange(a[-1])] = rng.uniform(1, 2, a[:-1])
                attributes = {"upper": upper, "left": left, "unit_diagonal": unit_diagonal}
                yield (matrix, rng.normal(size=b)), attributes


def overdetermined(rng: np.random.Generator) -> Iterator[Sample]:
    """More equations than unknowns, or fewer."""
    for a, b in (((4, 2), (4,)), ((4, 2), (4, 3)), ((2, 4), (2, 1)), ((2, 3, 2), (2, 3, 1))):
        yield (_well_conditioned(rng, a), rng.normal(size=b)), {"rtol": None}
