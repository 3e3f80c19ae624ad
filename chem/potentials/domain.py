"""What atoms looked like in training, so that a potential can tell when it extrapolates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Domain"]

# Of the largest variance, so that directions in which training never moved count, but not noise.
RIDGE = 1e-4


@dataclass(frozen=True)
class Domain:
    """Center and spread of the features of each element's atoms, and the farthest of them.

    Parameters
    ----------
    elements : ndarray of int64, shape (n_elements,)
        Atomic numbers.
    means : ndarray of float64, shape (n_elements, n_features)
        Center.
    whitenings : ndarray of float64, shape (n_elements, n_features, n_features)
        What makes the features' covariance the identity.
    radii : ndarray of float64, shape (n_elements,)
        Largest distance (Mahalanobis) of an atom of training.

    References
    ----------
    Lee, Lee, Lee, Shin, "A simple unified framework for detecting out-of-distribution samples and
    adversarial attacks", NeurIPS 2018, arXiv:1807.03888, of which this is the distance.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> numbers, x = np.full(500, 6), rng.normal(size=(500, 3))
    >>> domain = Domain.fit(numbers, x)
    >>> domain.novelty(np.array([6, 6, 1]), np.array([[0.0, 0, 0], [9, 9, 9], [0, 0, 0]])) > 1
    array([False,  True,  True])
    """

    elements: NDArray[np.int64]
    means: NDArray[np.float64]
    whitenings: NDArray[np.float64]
    radii: NDArray[np.float64]

    @classmethod
    def fit(cls, numbers: NDArray[np.int64], features: NDArray[np.float64]) -> Domain:
        """Measure the atoms of training.

        Parameters
        ----------
        numbers : ndarray of int64, shape (n_atoms,)
            Atomic numbers.
        features : ndarray of float64, shape (n_atoms, n_features)
            Their descriptions.

        Returns
        -------
        Domain
            With every element there is.
        """
        elements = np.unique(numbers)
        means, whitenings, radii = [], [], []
        for number in elements:
            x = features[numbers == number]
            mean = x.mean(axis=0)
            covariance = (x - mean).T @ (x - mean) / len(x)
            values, vectors = np.linalg.eigh(covariance)
            floor = max(RIDGE * float(values[-1]), 1e-12)
            whitening = vectors / np.sqrt(np.maximum(values, floor))
            means.append(mean)
            whitenings.append(whitening)
            # A single surrounding (an isolated atom) still has a size.
            radii.append(max(_far(x, mean, whitening).max(), 1.0))
        return cls(elements, np.stack(means), np.stack(whitenings), np.asarray(radii))

    def novelty(
        self, numbers: NDArray[np.int64], features: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Tell how far atoms are from those of training.

        Parameters
        ----------
        numbers : ndarray of int64, shape (n_atoms,)
            Atomic numbers.
        features : ndarray of float64, shape (n_atoms, n_features)
            Their descriptions.

        Returns
        -------
        ndarray of float64, shape (n_atoms,)
            Up to 1 within; infinite for an unknown element.
        """
        out = np.full(len(numbers), np.inf)
        for k, number in enumerate(self.elements):
            own = numbers == number
            if own.any():
                out[own] = _far(features[own], self.means[k], self.whitenings[k]) / self.radii[k]
        return out

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Give everything for a model file.

        Returns
        -------
        dict of str to ndarray
            By the names of the parameters.
        """
        return dict(vars(self))

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> Domain | None:
        """Take over what `arrays` gave.

        Parameters
        ----------
        arrays : dict of str to ndarray
            Of a model file.

        Returns
        -------
        Domain or None
            None if there is nothing.
        """
        return cls(**arrays) if arrays else None


def _far(
    x: NDArray[np.float64], mean: NDArray[np.float64], whitening: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.asarray(np.sqrt((((x - mean) @ whitening) ** 2).sum(axis=1)))
