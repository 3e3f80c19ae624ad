"""What a network sees of a distance: smooth functions on a grid, and a cutoff that ends softly."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine import Tensor, cos, exp, nn, sqrt, square
from fieldgrad.engine import sum as sum_of

__all__ = ["GaussianBasis", "cosine_cutoff", "lengths"]


def lengths(vectors: Tensor) -> Tensor:
    """Length of each vector.

    Parameters
    ----------
    vectors : Tensor, shape (n_pairs, 3)
        None of them zero.

    Returns
    -------
    Tensor
        Shape (n_pairs, 1).
    """
    return sqrt(sum_of(square(vectors), axis=-1, keepdims=True))


def cosine_cutoff(distances: Tensor, cutoff: float) -> Tensor:
    """Fall from 1 at distance 0 to 0, with slope 0, at the cutoff.

    Parameters
    ----------
    distances : Tensor, shape (n_pairs, 1)
        Å, below the cutoff.
    cutoff : float
        Å.

    Returns
    -------
    Tensor
        Shape of distances: (1 + cos(π d / cutoff)) / 2.

    References
    ----------
    Behler and Parrinello, "Generalized neural-network representation of high-dimensional
    potential-energy surfaces", Phys. Rev. Lett. 98, 146401, 2007, equation 3.

    Examples
    --------
    >>> from fieldgrad.engine import tensor
    >>> cosine_cutoff(tensor([[0.0], [2.5]]), 5.0).numpy().round(4).tolist()
    [[1.0], [0.5]]
    """
    return 0.5 * cos(distances * (math.pi / cutoff)) + 0.5


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

    def forward(self, distances: Tensor) -> Tensor:
        """Distances (n_pairs, 1) to features (n_pairs, n_basis)."""
        return exp(square(distances - self.centers) * self.factor)
