"""What a network sees of a distance: smooth functions on a grid, and a cutoff that ends softly.

All of them come with their slopes: a distance is one number, so that derivatives by it are computed
along with the values, and nothing has to be recorded for them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine import Tensor, cos, exp, nn, sin, sqrt, square
from fieldgrad.engine import sum as sum_of

__all__ = ["Curve", "GaussianBasis", "cosine_cutoff", "lengths_and_directions"]


class Curve(NamedTuple):
    """Functions of the distance of each pair.

    Parameters
    ----------
    values : Tensor, shape (n_pairs, n_functions)
        At these distances.
    slopes : Tensor, shape (n_pairs, n_functions)
        Their derivatives by the distance, 1/Å.
    """

    values: Tensor
    slopes: Tensor

    def __mul__(self, other: Curve) -> Curve:  # type: ignore[override]
        """The product of functions, of which one may serve all of the others."""
        return Curve(
            self.values * other.values, self.slopes * other.values + self.values * other.slopes
        )


def lengths_and_directions(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Length of each vector, and the vector of length 1 along it.

    Parameters
    ----------
    vectors : Tensor, shape (n_pairs, 3)
        None of them zero.

    Returns
    -------
    lengths : Tensor, shape (n_pairs, 1)
        In the unit of the vectors.
    directions : Tensor, shape (n_pairs, 3)
        Without unit.

    Examples
    --------
    >>> from fieldgrad.engine import tensor
    >>> d, u = lengths_and_directions(tensor([[0.0, 0.0, -2.0]]))
    >>> d.tolist(), u.tolist()
    ([[2.0]], [[0.0, 0.0, -1.0]])
    """
    lengths = sqrt(sum_of(square(vectors), axis=-1, keepdims=True))
    return lengths, vectors / lengths


def cosine_cutoff(distances: Tensor, cutoff: float) -> Curve:
    """Fall from 1 at distance 0 to 0, with slope 0, at the cutoff.

    Parameters
    ----------
    distances : Tensor, shape (n_pairs, 1)
        Å, below the cutoff.
    cutoff : float
        Å.

    Returns
    -------
    Curve
        Of one function: (1 + cos(π d / cutoff)) / 2.

    References
    ----------
    Behler and Parrinello, "Generalized neural-network representation of high-dimensional
    potential-energy surfaces", Phys. Rev. Lett. 98, 146401, 2007, equation 3.

    Examples
    --------
    >>> from fieldgrad.engine import tensor
    >>> cosine_cutoff(tensor([[0.0], [2.5]]), 5.0).values.numpy().round(4).tolist()
    [[1.0], [0.5]]
    """
    angles = distances * (math.pi / cutoff)
    return Curve(0.5 * cos(angles) + 0.5, sin(angles) * (-0.5 * math.pi / cutoff))


class GaussianBasis(nn.Module):
    """Gaussians of a distance, as wide as their centers are apart, from 0 to the cutoff.

    Parameters
    ----------
    n_basis : int
        How many, at least 2.
    cutoff : float
        Center of the last one, Å.

    References
    ----------
    Schütt et al., "SchNet: a continuous-filter convolutional neural network for modeling quantum
    interactions", NeurIPS 2017, arXiv:1706.08566, section 4.2; widths as in SchNetPack.
    """

    centers: NDArray[np.float32]

    def __init__(self, n_basis: int, cutoff: float) -> None:
        super().__init__()
        centers = np.linspace(0.0, cutoff, n_basis)
        self.register_buffer("centers", centers.astype(np.float32))
        self.factor = -0.5 / float(centers[1] - centers[0]) ** 2

    def forward(self, distances: Tensor) -> Curve:
        """Distances (n_pairs, 1) to n_basis functions of each."""
        far = distances - self.centers
        values = exp(square(far) * self.factor)
        return Curve(values, values * far * (2 * self.factor))
