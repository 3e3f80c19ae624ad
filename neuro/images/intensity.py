"""Intensity normalization: bringing scans of different scanners to one scale."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine.errors import DataError

__all__ = ["normalize_ct", "rescale_percentiles", "zscore"]


def zscore(data: NDArray[Any], mask: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
    """Shift and scale intensities to mean 0 and standard deviation 1.

    Parameters
    ----------
    data : ndarray of shape (n0, n1, n2)
        Intensities.
    mask : ndarray of bool of shape (n0, n1, n2), optional
        Where the statistics are taken; outside it the result is 0. Without a mask all voxels
        count.

    Returns
    -------
    ndarray of shape (n0, n1, n2)
        Intensities in float32, without unit.

    Raises
    ------
    DataError
        If the intensities do not vary, or the mask is empty.

    Examples
    --------
    >>> zscore(np.array([[[1.0, 3.0]]])).tolist()
    [[[-1.0, 1.0]]]
    """
    values = _chosen(data, mask, "zscore")
    mean, std = values.mean(dtype=np.float64), values.std(dtype=np.float64)
    # Below float32's resolution at this mean, differences are rounding and not anatomy.
    if not std > 1e-6 * abs(mean):
        raise DataError(
            f"zscore: all {values.size} voxels have the value {mean:g}; expected an image with "
            "contrast.\nCheck the file, and the mask if one was given."
        )
    scaled = ((data - mean) / std).astype(np.float32)
    return scaled if mask is None else np.where(mask, scaled, np.float32(0))


def rescale_percentiles(
    data: NDArray[Any],
    low: float = 0.5,
    high: float = 99.5,
    mask: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """Clip intensities at two percentiles and scale them to the range from 0 to 1.

    Parameters
    ----------
    data : ndarray of shape (n0, n1, n2)
        Intensities.
    low, high : float, default 0.5 and 99.5
        Percentiles that become 0 and 1.
    mask : ndarray of bool of shape (n0, n1, n2), optional
        Where the percentiles are taken; without it all voxels count.

    Returns
    -------
    ndarray of shape (n0, n1, n2)
        Intensities in float32 between 0 and 1.

    Raises
    ------
    DataError
        If both percentiles have the same value, or the mask is empty.

    Examples
    --------
    >>> rescale_percentiles(np.arange(5.0).reshape(1, 1, 5), 25, 75).tolist()
    [[[0.0, 0.0, 0.5, 1.0, 1.0]]]
    """
    bottom, top = np.percentile(_chosen(data, mask, "rescale_percentiles"), [low, high])
    if not top > bottom:
        raise DataError(
            f"rescale_percentiles: percentiles {low:g} and {high:g} are both {top:g}; expected an "
            "image with contrast.\nCheck the file, or give a mask of the head."
        )
    clipped = np.clip(data, bottom, top).astype(np.float32)
    return (clipped - np.float32(bottom)) / np.float32(top - bottom)


def normalize_ct(
    data: NDArray[Any], low: float, high: float, mean: float, std: float
) -> NDArray[np.float32]:
    """Clip and scale computed tomography by the statistics of the whole training set.

    Parameters
    ----------
    data : ndarray of shape (n0, n1, n2)
        Intensities in Hounsfield units.
    low, high : float
        The 0.5 and 99.5 percentiles of foreground voxels of the training set, in Hounsfield units.
    mean, std : float
        Their mean and standard deviation, in Hounsfield units.

    Returns
    -------
    ndarray of shape (n0, n1, n2)
        Intensities in float32, without unit.

    References
    ----------
    F. Isensee et al., "nnU-Net", Nature Methods 18, 2021, doi:10.1038/s41592-020-01008-z,
    Methods: Hounsfield units are physical, so one scale serves all scans.
    """
    return ((np.clip(data, low, high) - mean) / max(std, 1e-8)).astype(np.float32)


def _chosen(data: NDArray[Any], mask: NDArray[np.bool_] | None, name: str) -> NDArray[Any]:
    if mask is None:
        return data
    values: NDArray[Any] = data[mask]
    if values.size == 0:
        raise DataError(f"{name}: the mask has no voxel; expected at least one.")
    return values
