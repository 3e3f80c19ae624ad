"""Segmentation losses: soft Dice with cross-entropy, at one or several resolutions.

References
----------
Milletari, Navab, Ahmadi, "V-Net", 3DV 2016, arXiv:1606.04797 (soft Dice).
Isensee et al., "nnU-Net", Nature Methods 18 (2021), doi:10.1038/s41592-020-01008-z, Methods: Dice
plus cross-entropy in equal parts, deep supervision with halved weights.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine import Tensor, overlap_sums

__all__ = ["deep_supervision_weights", "dice_cross_entropy"]

SMOOTH = 1e-5  # keeps Dice defined for a class that neither prediction nor target has


def dice_cross_entropy(
    logits: Tensor | Sequence[Tensor], target: NDArray[np.integer], *, dice_weight: float = 1.0
) -> Tensor:
    """Cross-entropy plus soft Dice loss of the foreground classes.

    Parameters
    ----------
    logits : Tensor or sequence of Tensor, shape (batch, class, n0, n1, …)
        Scores; a sequence is deep supervision, finest first, each entry smaller by whole factors.
    target : ndarray of int, shape (batch, n0, n1, …)
        Label of each voxel; 0 is background.
    dice_weight : float, default 1.0
        Weight of the Dice term beside the cross-entropy.

    Returns
    -------
    Tensor
        One number: mean cross-entropy over voxels, plus dice_weight · (1 - mean over cases and
        foreground classes of 2 Σ p t / (Σ p + Σ t)).

    Raises
    ------
    ShapeError
        If target and logits do not have the same grid.
    DataError
        If a label has no class.
    """
    if isinstance(logits, Tensor):
        return _one_resolution(logits, np.asarray(target), dice_weight)
    weights = deep_supervision_weights(len(logits))
    total = None
    for level, weight in zip(logits, weights, strict=True):
        if weight:
            term = weight * _one_resolution(level, _every(np.asarray(target), level), dice_weight)
            total = term if total is None else total + term
    assert total is not None  # the first weight is positive
    return total


def deep_supervision_weights(n_levels: int) -> list[float]:
    """Weights of the resolutions: halved from level to level, none for the coarsest, sum 1.

    Parameters
    ----------
    n_levels : int
        Number of resolutions with logits, at least 1.

    Returns
    -------
    list of float
        Finest first.

    Examples
    --------
    >>> [round(w, 3) for w in deep_supervision_weights(3)]
    [0.667, 0.333, 0.0]
    """
    weights = [0.5**i for i in range(n_levels)]
    if n_levels > 1:
        weights[-1] = 0.0
    return [w / sum(weights) for w in weights]


def _every(target: NDArray[np.integer], level: Tensor) -> NDArray[np.integer]:
    """The target at a coarser level: every s-th voxel, as nnU-Net's nearest neighbor."""
    index: list[slice] = [slice(None)]
    for n, m in zip(target.shape[1:], level.shape[2:], strict=True):
        step = -(-n // m)
        index.append(slice(step // 2, None, step) if n % m == 0 else slice(0, None, step))
    return target[tuple(index)]


def _one_resolution(logits: Tensor, target: NDArray[np.integer], dice_weight: float) -> Tensor:
    overlap, p, t, surprise = overlap_sums(logits, target)  # (batch, class) each
    dice = (2.0 * overlap + SMOOTH) / (p + t + SMOOTH)
    return surprise.sum() * (1.0 / target.size) + dice_weight * (1.0 - dice[:, 1:].mean())
