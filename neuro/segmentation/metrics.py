"""Metrics: overlap, surface distance and volume of each structure."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fieldgrad.engine.errors import DataError
from fieldgrad.engine.files import atomic_write
from fieldgrad.neuro.images.image import Image

__all__ = ["dice", "evaluate", "surface_distances", "volumes", "write_tsv"]

HEADER_EVALUATION = ("label", "name", "dice", "hd95_mm", "assd_mm", "volume_mm3", "truth_mm3")


def dice(prediction: NDArray[Any], truth: NDArray[Any]) -> float:
    """Measure the overlap of two masks.

    Parameters
    ----------
    prediction, truth : ndarray of bool of the same shape
        The two masks.

    Returns
    -------
    float
        2 |A ∩ B| / (|A| + |B|), from 0 to 1; NaN if both are empty, for then there is nothing to
        find.

    References
    ----------
    L. R. Dice, "Measures of the amount of ecologic association between species", Ecology 26, 1945,
    doi:10.2307/1932409.

    Examples
    --------
    >>> dice(np.array([1, 1, 0], bool), np.array([0, 1, 0], bool))
    0.6666666666666666
    """
    total = np.count_nonzero(prediction) + np.count_nonzero(truth)
    if total == 0:
        return float("nan")
    return float(2 * np.count_nonzero(np.logical_and(prediction, truth)) / total)


def surface_distances(
    prediction: NDArray[Any], truth: NDArray[Any], spacing: Sequence[float]
) -> tuple[float, float]:
    """Measure how far two surfaces are apart.

    The surface of a mask is its voxels with a neighbor (of 6) outside; distances are between voxel
    centers.

    Parameters
    ----------
    prediction, truth : ndarray of bool of shape (n0, n1, n2)
        The two masks.
    spacing : sequence of 3 float
        Voxel spacing in mm.

    Returns
    -------
    hd95 : float
        95th-percentile Hausdorff distance in mm: the larger of the two directions' percentiles.
    assd : float
        Average symmetric surface distance in mm: the mean over the voxels of both surfaces.
        Both are NaN if both masks are empty, and infinite if only one is.

    References
    ----------
    A. A. Taha, A. Hanbury, "Metrics for evaluating 3D medical image segmentation", BMC Medical
    Imaging 15, 2015, doi:10.1186/s12880-015-0068-x. Some programs take the percentile of both
    directions pooled, which is not larger.

    Examples
    --------
    >>> a, b = np.zeros((2, 9, 1, 1), bool)
    >>> a[2], b[5] = True, True
    >>> surface_distances(a, b, (1.5, 1, 1))
    (4.5, 4.5)
    """
    if not prediction.any() and not truth.any():
        return float("nan"), float("nan")
    if not prediction.any() or not truth.any():
        return float("inf"), float("inf")
    box = ndimage.find_objects(np.logical_or(prediction, truth).astype(np.uint8))[0]
    first, second = _surface(prediction[box]), _surface(truth[box])
    there = ndimage.distance_transform_edt(~second, spacing)[first]
    back = ndimage.distance_transform_edt(~first, spacing)[second]
    hd95 = max(np.percentile(there, 95), np.percentile(back, 95))
    return float(hd95), float((there.sum() + back.sum()) / (there.size + back.size))


def volumes(image: Image) -> dict[int, float]:
    """Measure the volume of each structure of a label map.

    Parameters
    ----------
    image : Image
        Label map; structures are those it has names for.

    Returns
    -------
    dict of int to float
        Volume in mm³ by label; 0 for structures that are absent.

    Examples
    --------
    >>> labels = Image([[[0, 1, 1, 2]]], np.diag([2, 1, 1, 1]), {1: "left", 2: "right"})
    >>> volumes(labels)
    {1: 4.0, 2: 2.0}
    """
    named = _names(image)
    counts = np.bincount(image.data.ravel(), minlength=max(named, default=0) + 1)
    return {label: float(counts[label] * image.voxel_volume) for label in named}


def evaluate(prediction: Image, truth: Image) -> list[dict[str, Any]]:
    """Compare a segmentation with the truth, structure by structure.

    Parameters
    ----------
    prediction : Image
        Label map.
    truth : Image
        Label map on the same grid; its names are the structures compared.

    Returns
    -------
    list of dict
        For each structure: label, name, dice, hd95_mm, assd_mm, volume_mm3, truth_mm3.

    Raises
    ------
    DataError
        If the two do not have the same grid.
    """
    if not prediction.same_grid(truth):
        raise DataError(
            f"{prediction.name} ({prediction!r}) and {truth.name} ({truth!r}) are not on one grid."
            "\nResample the prediction first: neuro.resample.resample_labels_onto."
        )
    rows = []
    found = volumes(prediction.with_data(prediction.data, _names(truth)))
    for label, volume in volumes(truth).items():
        a, b = prediction.data == label, truth.data == label
        hd95, assd = surface_distances(a, b, truth.spacing)
        values = (label, _names(truth)[label], dice(a, b), hd95, assd, found[label], volume)
        rows.append(dict(zip(HEADER_EVALUATION, values, strict=True)))
    return rows


def write_tsv(rows: Sequence[Mapping[str, Any]], path: str | os.PathLike[str]) -> None:
    """Write a table of tab-separated values, as BIDS has them.

    Parameters
    ----------
    rows : sequence of mapping
        Rows with the same keys, which become the header. Floats get 6 digits, NaN becomes "n/a".
    path : path-like
        The .tsv file; it appears complete or not at all.

    Raises
    ------
    DataError
        If there are no rows, or their keys differ.
    FileError
        If the file cannot be written.

    References
    ----------
    The Brain Imaging Data Structure, https://bids-specification.readthedocs.io, "Tabular files".
    """
    if not rows or any(row.keys() != rows[0].keys() for row in rows):
        raise DataError(f"{path}: expected at least one row, and the same columns in all rows.")
    lines = ["\t".join(rows[0]), *("\t".join(map(_cell, row.values())) for row in rows)]
    with atomic_write(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "n/a" if np.isnan(value) else f"{value:.6g}"
    return str(value).replace("\t", " ").replace("\n", " ")


def _names(image: Image) -> dict[int, str]:
    if image.labels is None:
        raise DataError(
            f"{image.name} is an image without label names; expected a label map.\n"
            "Read it with read_labels, or give names with with_data(data, labels)."
        )
    return image.labels


def _surface(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return mask & ~ndimage.binary_erosion(mask)
