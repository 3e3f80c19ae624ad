"""Patches: cutting them for training, and tiling an image with them for prediction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fieldgrad.engine.errors import ShapeError

__all__ = [
    "choose_patch",
    "extract_patch",
    "foreground_locations",
    "importance_weights",
    "mirrored",
    "sliding_window",
    "tile_starts",
]

Predict = Callable[[NDArray[np.float32]], NDArray[np.floating[Any]]]


def foreground_locations(
    labels: NDArray[np.integer[Any]], rng: np.random.Generator, *, n_voxels: int = 10_000
) -> dict[int, NDArray[np.intp]]:
    """Draw places of each label, once per case, for `choose_patch`.

    Parameters
    ----------
    labels : ndarray of int of shape (n0, n1, n2)
        Label map; 0 is background.
    rng : numpy.random.Generator
        Source of randomness.
    n_voxels : int, default 10000
        Number of places to keep per label at most.

    Returns
    -------
    dict of int to ndarray of shape (n, 3)
        Voxel indices of each label that is present.
    """
    locations = {}
    boxes = ndimage.find_objects(labels.astype(np.int32, copy=False))
    for value, box in enumerate(boxes, start=1):
        if box is None:
            continue
        places = np.argwhere(labels[box] == value) + [s.start for s in box]
        if len(places) > n_voxels:
            places = places[rng.choice(len(places), n_voxels, replace=False)]
        locations[value] = places
    return locations


def choose_patch(
    shape: Sequence[int],
    patch_size: Sequence[int],
    rng: np.random.Generator,
    *,
    locations: dict[int, NDArray[np.intp]] | None = None,
    foreground: float = 0.33,
) -> tuple[int, int, int]:
    """Choose where a training patch begins, oversampling foreground.

    Parameters
    ----------
    shape : sequence of 3 int
        Shape of the image.
    patch_size : sequence of 3 int
        Shape of the patch.
    rng : numpy.random.Generator
        Source of randomness.
    locations : dict of int to ndarray of shape (n, 3), optional
        Places of each label, from `foreground_locations`; without them all patches are random.
    foreground : float, default 0.33
        Probability that the patch is centered, as far as the border allows, on a voxel of a label
        drawn with equal chances among the labels present.

    Returns
    -------
    tuple of 3 int
        First voxel; negative where the image is smaller than the patch and has to be padded.

    References
    ----------
    F. Isensee et al., "nnU-Net", Nature Methods 18, 2021, doi:10.1038/s41592-020-01008-z, Methods:
    a third of the patches of a batch contain foreground. Here each patch decides by itself, so
    that the choice does not depend on its place in the batch.
    """
    size, patch = np.asarray(shape), np.asarray(patch_size)
    surplus = size - patch
    # A smaller image lies in the middle of its patch; otherwise the patch stays in the image.
    low = np.where(surplus < 0, surplus // 2, 0)
    high = np.where(surplus < 0, surplus // 2, surplus)
    if locations and rng.random() < foreground:
        places = locations[list(locations)[rng.integers(len(locations))]]
        start = np.clip(places[rng.integers(len(places))] - patch // 2, low, high)
    else:
        start = rng.integers(low, high + 1)
    return int(start[0]), int(start[1]), int(start[2])


def extract_patch(
    array: NDArray[Any], start: Sequence[int], patch_size: Sequence[int], *, fill: float = 0
) -> NDArray[Any]:
    """Cut a patch, padded where it leaves the array.

    Parameters
    ----------
    array : ndarray of shape (..., n0, n1, n2)
        Image, label map, or several channels.
    start : sequence of 3 int
        First voxel, which may be outside.
    patch_size : sequence of 3 int
        Shape (p0, p1, p2) of the patch.
    fill : float, default 0
        Value outside the array.

    Returns
    -------
    ndarray of shape (..., p0, p1, p2)
        A copy.

    Examples
    --------
    >>> extract_patch(np.arange(3).reshape(1, 1, 3), (0, 0, -1), (1, 1, 5), fill=9).tolist()
    [[[9, 0, 1, 2, 9]]]
    """
    first = np.asarray(start)
    low = np.clip(first, 0, array.shape[-3:])
    high = np.clip(first + patch_size, low, array.shape[-3:])
    i, j, k = (slice(a, b) for a, b in zip(low, high, strict=True))
    p, q, r = (slice(a, b) for a, b in zip(low - first, high - first, strict=True))
    out = np.full((*array.shape[:-3], *patch_size), fill, array.dtype)
    out[..., p, q, r] = array[..., i, j, k]
    return out


def tile_starts(n: int, patch: int, overlap: float = 0.5) -> list[int]:
    """Place patches along one axis so that they cover it evenly.

    Parameters
    ----------
    n, patch : int
        Voxels of the image and of the patch along the axis; ``n >= patch``.
    overlap : float, default 0.5
        Least overlap of neighbors as a share of the patch, from 0 to below 1.

    Returns
    -------
    list of int
        First voxel of each patch, ascending; the last patch ends with the image.

    Examples
    --------
    >>> tile_starts(100, 40)
    [0, 20, 40, 60]
    >>> tile_starts(90, 40)
    [0, 17, 33, 50]
    """
    step = max(patch * (1 - overlap), 1.0)
    n_tiles = int(np.ceil((n - patch) / step)) + 1
    return np.rint(np.linspace(0, n - patch, n_tiles)).astype(int).tolist()


def importance_weights(patch_size: Sequence[int]) -> NDArray[np.float32]:
    """Weigh the middle of a patch more than its border, where context is missing.

    Parameters
    ----------
    patch_size : sequence of 3 int
        Shape (p0, p1, p2) of the patch.

    Returns
    -------
    ndarray of shape (p0, p1, p2)
        Gaussian in float32 with standard deviation patch/8 and maximum 1, at least 1e-6 so that
        voxels that only one patch's corner covers keep their prediction.

    References
    ----------
    F. Isensee et al., "nnU-Net", Nature Methods 18, 2021, doi:10.1038/s41592-020-01008-z, Methods,
    "Inference".
    """
    weights = np.ones((1, 1, 1))
    for axis, n in enumerate(patch_size):
        place = np.arange(n) - (n - 1) / 2
        shape = [1, 1, 1]
        shape[axis] = n
        weights = weights * np.exp(-0.5 * (place / (n / 8)) ** 2).reshape(shape)
    return np.maximum(weights / weights.max(), 1e-6).astype(np.float32)


def mirrored(predict: Predict, axes: Sequence[int] = (0, 1, 2)) -> Predict:
    """Average a prediction over all mirrorings of the patch.

    Only for structures without a side: a network that was trained to tell left from right must
    not see mirrored heads.

    Parameters
    ----------
    predict : callable
        Array (batch, channel, p0, p1, p2) to probabilities (batch, class, p0, p1, p2).
    axes : sequence of int, default (0, 1, 2)
        Spatial axes to mirror: 2 to the power of their number calls of `predict`.

    Returns
    -------
    callable
        The averaging prediction.

    References
    ----------
    F. Isensee et al., "nnU-Net", Nature Methods 18, 2021, doi:10.1038/s41592-020-01008-z, Methods,
    "Inference".
    """

    def averaged(batch: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
        total = predict(batch)
        for code in range(1, 2 ** len(axes)):
            flips = tuple(2 + axis for bit, axis in enumerate(axes) if code >> bit & 1)
            flipped = predict(np.ascontiguousarray(np.flip(batch, flips)))
            total = total + np.flip(flipped, flips)
        return total / 2 ** len(axes)

    return averaged


def sliding_window(
    predict: Predict,
    image: NDArray[np.float32],
    patch_size: Sequence[int],
    *,
    n_classes: int,
    overlap: float = 0.5,
    batch_size: int = 1,
    labels_only: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[Any]:
    """Predict an image of any size patch by patch.

    Parameters
    ----------
    predict : callable
        Array (batch, channel, p0, p1, p2) of float32 to probabilities (batch, class, p0, p1, p2).
    image : ndarray of shape (n_channels, n0, n1, n2)
        Normalized intensities; where smaller than the patch, padded with their minimum, as patches
        of training are.
    patch_size : sequence of 3 int
        Shape (p0, p1, p2).
    n_classes : int
        Number of classes, background included.
    overlap : float, default 0.5
        Least overlap of neighboring patches, as a share of the patch.
    batch_size : int, default 1
        Patches per call; the last call of each slab may have fewer.
    labels_only : bool, default False
        Give the most probable class instead of all probabilities.
    progress : callable, optional
        Called with the number of patches done and of all patches, after each call.

    Returns
    -------
    ndarray
        Probabilities of shape (n_classes, n0, n1, n2), float32, summing to one; with
        `labels_only` a label map of shape (n0, n1, n2), uint8 (int16 above 256 classes).

    Raises
    ------
    ShapeError
        If `image` does not have four axes, or `predict` gives another shape than promised.

    Notes
    -----
    Patches advance along array axis 0, and a slab of it is finished when no later patch reaches
    it. Beyond the result and one batch, memory is ``4 * (n_classes + 1) * p0 * n1 * n2`` bytes: 33
    classes and a patch of 96 on 256³ voxels need 0.86 GB with `labels_only`, and 2.2 GB more for
    all probabilities.

    Patches are weighted by `importance_weights`, and the result does not depend on `batch_size`.
    """
    if image.ndim != 4:
        raise ShapeError(
            f"sliding_window: image has shape {image.shape}; expected (n_channels, n0, n1, n2). "
            "Add a channel axis with image[None]."
        )
    shape, patch = np.array(image.shape[1:]), np.array(patch_size)
    lacking = np.maximum(patch - shape, 0)
    if lacking.any():
        before = lacking // 2
        widths = [(0, 0), *zip(before, lacking - before, strict=True)]
        inner = tuple(slice(b, b + n) for b, n in zip(before, shape, strict=True))
        image = np.pad(image, widths, constant_values=float(image.min()))
    else:
        inner = (slice(None),) * 3
    n0, n1, n2 = image.shape[1:]
    p0, p1, p2 = (int(p) for p in patch)
    starts = [tile_starts(n, p, overlap) for n, p in zip((n0, n1, n2), patch, strict=True)]
    weights = importance_weights(patch_size)
    dtype: type[Any] = np.uint8 if n_classes <= 256 else np.int16
    if labels_only:
        out: NDArray[Any] = np.empty((n0, n1, n2), dtype)
    else:
        out = np.empty((n_classes, n0, n1, n2), np.float32)

    total = np.zeros((n_classes, p0, n1, n2), np.float32)  # the slab [first, first + p0)
    weight = np.zeros((p0, n1, n2), np.float32)
    tiles = [(j, k) for j in starts[1] for k in starts[2]]
    n_done, n_all = 0, len(starts[0]) * len(tiles)
    for first, following in zip(starts[0], [*starts[0][1:], n0], strict=True):
        for at in range(0, len(tiles), batch_size):
            chosen = tiles[at : at + batch_size]
            slab = image[:, first : first + p0]
            batch = np.stack([slab[:, :, j : j + p1, k : k + p2] for j, k in chosen])
            probabilities = predict(batch)
            if probabilities.shape != (len(chosen), n_classes, p0, p1, p2):
                raise ShapeError(
                    f"sliding_window: predict gave shape {probabilities.shape} for a batch of "
                    f"shape {batch.shape}; expected {(len(chosen), n_classes, p0, p1, p2)}, that "
                    "is (batch, class, *patch)."
                )
            for (j, k), p in zip(chosen, probabilities, strict=True):
                total[:, :, j : j + p1, k : k + p2] += p * weights
                weight[:, j : j + p1, k : k + p2] += weights
            n_done += len(chosen)
            if progress is not None:
                progress(n_done, n_all)
        done = following - first
        if labels_only:
            _most_probable(total[:, :done], out[first:following])
        else:
            np.divide(total[:, :done], weight[:done], out=out[:, first:following])
        for held in (*total, weight):  # one by one: an overlapping copy needs a second array
            held[: p0 - done] = held[done:]
            held[p0 - done :] = 0
    return out[..., inner[0], inner[1], inner[2]]


def _most_probable(probabilities: NDArray[np.float32], out: NDArray[np.integer[Any]]) -> None:
    """Write the class with the largest value: faster than argmax, whose first axis is strided."""
    best = probabilities[0].copy()
    out[...] = 0
    for value in range(1, len(probabilities)):
        out[probabilities[value] > best] = value
        np.maximum(best, probabilities[value], out=best)
