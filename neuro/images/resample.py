"""Resampling images, label maps and probability maps to another grid.

Voxel values stand at voxel centers and all positions go through the two affines, so nothing
shifts by half a voxel. Where the two grids have parallel axes (a change of spacing, a flip, a
permutation), interpolation along each axis is one small matrix and the whole volume is three
matrix products, which is several times faster than evaluating a spline at every voxel and gives
the same numbers. Oblique grids go through `scipy.ndimage.affine_transform`.

Beyond the outermost voxel centers an image goes on for the half voxel that it covers (one voxel
on oblique grids); farther out is ``fill``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fieldgrad.engine.errors import DataError, ShapeError
from fieldgrad.neuro.images.image import GRID_TOLERANCE, Image

__all__ = [
    "along_axes",
    "axis_operator",
    "labels_from_probabilities",
    "resample",
    "resample_labels",
    "resample_labels_onto",
    "resample_onto",
]

ANISOTROPY = 3.0  # nnU-Net's threshold between the largest and the smallest spacing
_NEGLIGIBLE = 1e-6  # interpolation weight that cannot change a label
_ONE_THREAD = 2**18  # multiplications below which OpenBLAS does not start threads
_SMALLEST_BLOCK = 16  # columns; narrower products waste the core


def resample(
    image: Image, spacing: Sequence[float], *, order: int = 3, antialias: bool = True
) -> Image:
    """Resample an image to another voxel spacing over the same field of view.

    Parameters
    ----------
    image : Image
        Intensities or a probability map.
    spacing : sequence of 3 float
        New spacing in mm, in array-axis order.
    order : {0, 1, 3}, default 3
        Nearest neighbor, linear, or cubic B-spline (interpolating, with prefilter).
    antialias : bool, default True
        Blur along axes that become coarser (see Notes).

    Returns
    -------
    Image
        Data in float32; the spacing is exactly as asked and the center of the volume stays.

    Raises
    ------
    DataError
        If a spacing is not positive.

    Notes
    -----
    If the largest spacing of the old or the new grid exceeds three times its smallest, the coarse
    axis is interpolated by nearest neighbor and only the other two by `order`: a spline across
    thick slices invents structure (nnU-Net's separate treatment of that axis).

    The blur is the Gaussian that turns a point spread of the old voxel width into one of the new
    width, sigma = sqrt((new/old)² - 1) / (2 sqrt(2 ln 2)) old voxels.

    References
    ----------
    F. Isensee et al., "nnU-Net: a self-configuring method for deep learning-based biomedical image
    segmentation", Nature Methods 18, 2021, doi:10.1038/s41592-020-01008-z, Methods.
    M. J. Cardoso et al., "Scale factor point spread function matching: beyond aliasing in image
    resampling", MICCAI 2015, doi:10.1007/978-3-319-24571-3_81.

    Examples
    --------
    >>> image = Image(np.zeros((4, 4, 4)), np.eye(4))
    >>> coarse = resample(image, (2, 2, 2))
    >>> coarse.shape, coarse.affine[:3, 3].tolist()
    ((2, 2, 2), [0.5, 0.5, 0.5])
    """
    return _resampled(image, _grid(image, spacing), order, antialias, fill=0.0)


def resample_onto(
    image: Image, reference: Image, *, order: int = 3, antialias: bool = True, fill: float = 0.0
) -> Image:
    """Resample an image onto the grid of another.

    Parameters
    ----------
    image : Image
        Intensities or a probability map.
    reference : Image
        Gives shape, affine, header and source of the result.
    order : {0, 1, 3}, default 3
        Nearest neighbor, linear, or cubic B-spline.
    antialias : bool, default True
        Blur along axes that become coarser, as in `resample`.
    fill : float, default 0.0
        Value outside the image's field of view.

    Returns
    -------
    Image
        Data in float32 on the grid of `reference`.
    """
    return _resampled(image, reference, order, antialias, fill)


def resample_labels(image: Image, spacing: Sequence[float], *, antialias: bool = True) -> Image:
    """Resample a label map to another voxel spacing over the same field of view.

    Parameters
    ----------
    image : Image
        Label map.
    spacing : sequence of 3 float
        New spacing in mm, in array-axis order.
    antialias : bool, default True
        Let all old voxels under a new, larger one vote, not only the nearest.

    Returns
    -------
    Image
        Label map of the same dtype and names.

    Raises
    ------
    DataError
        If a spacing is not positive.

    See Also
    --------
    resample_labels_onto : How the labels are chosen.
    """
    return _voted(image, _grid(image, spacing), antialias)


def resample_labels_onto(image: Image, reference: Image, *, antialias: bool = True) -> Image:
    """Resample a label map onto the grid of another image.

    Parameters
    ----------
    image : Image
        Label map.
    reference : Image
        Gives shape, affine, header and source of the result.
    antialias : bool, default True
        Let all old voxels under a new, larger one vote, not only the nearest.

    Returns
    -------
    Image
        Label map of the same dtype and names on the grid of `reference`.

    Notes
    -----
    Each label's mask is interpolated linearly (nearest neighbor along thick slices, as in
    `resample`) and a voxel takes the label with the largest share; background where nothing
    covers it. Labels are handled one by one, each in its bounding box: beyond the result this
    needs two float32 volumes of its size, however many labels there are.
    """
    return _voted(image, reference, antialias)


def labels_from_probabilities(
    probabilities: NDArray[np.floating[Any]],
    grid: Image,
    reference: Image,
    *,
    names: Mapping[int, str] | None = None,
) -> Image:
    """Choose the most probable class in every voxel of another grid.

    Interpolating probabilities and choosing then gives smoother borders than resampling a finished
    label map. Classes are handled one by one: beyond the result this needs two float32 volumes of
    the size of `reference`, however many classes there are.

    Parameters
    ----------
    probabilities : ndarray of shape (n_classes, n0, n1, n2)
        Probability maps on the grid of `grid`; class 0 is background.
    grid : Image
        Image of shape (n0, n1, n2) whose affine the probabilities have.
    reference : Image
        Gives shape, affine, header and source of the result.
    names : mapping of int to str, optional
        Label names of the classes from 1 on.

    Returns
    -------
    Image
        Label map (uint8 up to 256 classes, else int16); 0 outside the field of view of `grid`.

    Raises
    ------
    ShapeError
        If the shape of `probabilities` is not that of `grid`.
    """
    if probabilities.ndim != 4 or probabilities.shape[1:] != grid.shape:
        raise ShapeError(
            f"labels_from_probabilities: probabilities have shape {probabilities.shape}; expected "
            f"(n_classes, {', '.join(map(str, grid.shape))}), the grid of {grid.name}."
        )
    sampler = _sampler(grid, reference, 1, True)
    best = sampler.sample(probabilities[0], 0.0)
    labels = np.zeros(reference.shape, np.uint8 if len(probabilities) <= 256 else np.int16)
    for value in range(1, len(probabilities)):
        share = sampler.sample(probabilities[value], 0.0)
        labels[share > best] = value
        np.maximum(best, share, out=best)
    return reference.with_data(labels, names or {})


def axis_operator(
    n: int, start: float, step: float, n_out: int, *, order: int, sigma: float = 0.0
) -> NDArray[np.float32]:
    """Give the matrix that blurs and interpolates along one axis.

    Parameters
    ----------
    n : int
        Number of old samples.
    start, step : float
        Position of the first new sample and distance of the new ones, in old samples.
    n_out : int
        Number of new samples.
    order : {0, 1, 3}
        Nearest neighbor, linear, or cubic B-spline.
    sigma : float, default 0.0
        Standard deviation of the Gaussian blur before, in old samples.

    Returns
    -------
    ndarray of shape (n_out, n)
        Matrix in float32; a row is zero where the position is more than half a sample outside.

    Examples
    --------
    >>> axis_operator(3, 0.5, 1.0, 2, order=1)
    array([[0.5, 0.5, 0. ],
           [0. , 0.5, 0.5]], dtype=float32)
    """
    position = start + step * np.arange(n_out)
    operator = np.eye(n)
    if sigma > 0:
        operator = ndimage.gaussian_filter1d(operator, sigma, axis=0, mode="nearest")
    if order == 3:  # scipy's own spline, with prefilter and edges, applied to unit vectors
        operator = ndimage.affine_transform(
            operator, np.diag([step, 1.0]), [start, 0.0], (n_out, n), order=3, mode="nearest"
        )
    else:
        inside = np.clip(position, 0, n - 1)
        low = np.floor(inside + (0.5 if order == 0 else 0.0)).astype(int)
        weight = (inside - low if order == 1 else np.zeros(n_out))[:, None]
        operator = (1 - weight) * operator[low] + weight * operator[np.minimum(low + 1, n - 1)]
    # The tolerance keeps positions at exactly half a voxel outside, up to rounding.
    operator[(position < -0.5 - GRID_TOLERANCE) | (position > n - 0.5 + GRID_TOLERANCE)] = 0
    return operator.astype(np.float32)


def along_axes(
    operators: Sequence[NDArray[np.float32]], values: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Multiply a volume by one matrix along each axis.

    Parameters
    ----------
    operators : sequence of 3 ndarray of shape (m_i, n_i)
        One matrix per axis, for example of `axis_operator`.
    values : ndarray of shape (n_0, n_1, n_2)
        The volume.

    Returns
    -------
    ndarray of shape (m_0, m_1, m_2)
        The product.
    """
    # Axes that shrink most come first, so that the later products are small.
    for axis in sorted(range(3), key=lambda a: operators[a].shape[0] / operators[a].shape[1]):
        values = _multiply(operators[axis], values, axis)
    return values


def _multiply(
    operator: NDArray[np.float32], values: NDArray[np.float32], axis: int
) -> NDArray[np.float32]:
    """Multiply a volume along one axis, for patches in blocks that stay on one thread.

    A BLAS that spreads a product of a few ms over threads waits for all of them; beside a network
    that keeps the cores busy, 0.3 ms were measured to become 24 ms, and now and then seconds.
    """
    n_out, n = operator.shape
    # Columns to multiply at once: the last axis, or for axis 0 the last two as one.
    old = values.reshape(-1, n, int(np.prod(values.shape[axis + 1 :])))
    if axis == 2:
        old = old.reshape(1, -1, n).transpose(0, 2, 1)
    n_columns = old.shape[2]
    new = np.empty((len(old), n_out, n_columns), np.float32)
    if axis == 2:
        new = np.empty((1, n_columns, n_out), np.float32).transpose(0, 2, 1)
    block = _ONE_THREAD // (n_out * n)
    if block < _SMALLEST_BLOCK:
        block = n_columns
    whole = n_columns // block * block
    for part in (slice(0, whole), slice(whole, n_columns)):
        width = min(block, part.stop - part.start)
        if width:
            np.matmul(
                operator, _blocks(old[:, :, part], width), out=_blocks(new[:, :, part], width)
            )
    shape = (*values.shape[:axis], n_out, *values.shape[axis + 1 :])
    return (new.transpose(0, 2, 1) if axis == 2 else new).reshape(shape)


def _blocks(matrices: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """View (batch, n, columns) as (batch, blocks, n, width)."""
    n_batch, n, n_columns = matrices.shape
    s_batch, s_row, s_column = matrices.strides
    return np.lib.stride_tricks.as_strided(
        matrices,
        (n_batch, n_columns // width, n, width),
        (s_batch, width * s_column, s_row, s_column),
    )


class _Sampler(Protocol):
    """Reads values of one grid at the voxel centers of another."""

    def sample(self, data: NDArray[Any], fill: float) -> NDArray[np.float32]: ...

    def sample_mask(
        self, labels: NDArray[Any], value: int, box: tuple[slice, ...]
    ) -> tuple[tuple[slice, ...], NDArray[np.float32]]: ...


class _ParallelSampler:
    """Grids with parallel axes: one matrix per axis."""

    def __init__(self, axes: Sequence[int], operators: Sequence[NDArray[np.float32]]) -> None:
        self.axes = tuple(axes)  # axis of the old data for each axis of the new
        self.operators = operators

    def sample(self, data: NDArray[Any], fill: float) -> NDArray[np.float32]:
        full = tuple(slice(0, n) for n in data.shape)
        box, values = self._apply(data.astype(np.float32, copy=False), full, 0.0)
        shape = tuple(len(operator) for operator in self.operators)
        if values.shape == shape:
            return values
        out = np.full(shape, fill, np.float32)
        out[box] = values
        return out

    def sample_mask(
        self, labels: NDArray[Any], value: int, box: tuple[slice, ...]
    ) -> tuple[tuple[slice, ...], NDArray[np.float32]]:
        return self._apply((labels[box] == value).astype(np.float32), box, _NEGLIGIBLE)

    def _apply(
        self, part: NDArray[np.float32], box: tuple[slice, ...], negligible: float
    ) -> tuple[tuple[slice, ...], NDArray[np.float32]]:
        """Resample a part of the data, and say where in the new grid it has weight."""
        values = part.transpose(self.axes)
        out_box, columns = [], []
        for operator, axis in zip(self.operators, self.axes, strict=True):
            column = operator[:, box[axis]]
            rows = np.flatnonzero(np.abs(column).max(axis=1) > negligible)
            out_box.append(slice(rows[0], rows[-1] + 1) if rows.size else slice(0, 0))
            columns.append(column[out_box[-1]])
        return tuple(out_box), along_axes(columns, values)


class _ObliqueSampler:
    """Grids rotated or sheared against one another."""

    def __init__(
        self,
        matrix: NDArray[np.float64],
        shape: tuple[int, int, int],
        order: int,
        sigma: NDArray[np.float64],
    ) -> None:
        self.matrix = matrix.copy()
        self.matrix[:3, 3] += 1  # the data are padded by one voxel, so that edges go on
        self.shape = shape
        self.order = order
        self.sigma = sigma

    def sample(self, data: NDArray[Any], fill: float) -> NDArray[np.float32]:
        padded = np.pad(data.astype(np.float32, copy=False), 1, mode="edge")
        return self._apply(padded, (0, 0, 0), (0, 0, 0), self.shape, fill)

    def sample_mask(
        self, labels: NDArray[Any], value: int, box: tuple[slice, ...]
    ) -> tuple[tuple[slice, ...], NDArray[np.float32]]:
        margin = 2 + np.ceil(4 * self.sigma).astype(int)
        start = np.maximum([s.start for s in box] - margin, 0)
        stop = np.minimum([s.stop for s in box] + margin, labels.shape)
        part = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        mask = np.pad((labels[part] == value).astype(np.float32), 1, mode="edge")
        corners = np.array(np.meshgrid(*zip(start, stop + 1, strict=True), [1])).reshape(4, 8)
        reached = (np.linalg.inv(self.matrix) @ corners)[:3]
        low = np.clip(np.floor(reached.min(axis=1)).astype(int), 0, self.shape)
        high = np.clip(np.ceil(reached.max(axis=1)).astype(int) + 1, 0, self.shape)
        out_box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        return out_box, self._apply(mask, start, low, tuple(high - low), 0.0)

    def _apply(
        self,
        padded: NDArray[np.float32],
        start: Sequence[int],
        low: Sequence[int],
        shape: tuple[int, ...],
        fill: float,
    ) -> NDArray[np.float32]:
        if any(self.sigma > 0):
            padded = ndimage.gaussian_filter(padded, self.sigma, mode="nearest")
        offset = self.matrix[:3, :3] @ low + self.matrix[:3, 3] - start
        return ndimage.affine_transform(
            padded, self.matrix[:3, :3], offset, shape, order=self.order, cval=fill
        )


def _sampler(image: Image, target: Image, order: int, antialias: bool) -> _Sampler:
    if order not in (0, 1, 3):
        raise DataError(f"resample: order is {order}; expected 0 (nearest), 1 (linear), 3 (cubic).")
    matrix = np.linalg.inv(image.affine) @ target.affine
    linear = matrix[:3, :3]
    scale = np.linalg.norm(linear, axis=1)  # new voxel width along each old axis, in old voxels
    width = np.sqrt(np.maximum(scale**2 - 1, 0)) / (2 * np.sqrt(2 * np.log(2)))
    sigma = np.where(antialias & (scale > 1 + 1e-3), width, 0.0)
    axes = np.abs(linear).argmax(axis=0)
    main = np.zeros((3, 3))
    main[axes, range(3)] = linear[axes, range(3)]
    drift = np.abs(linear - main) @ np.array(target.shape)
    if sorted(axes) != [0, 1, 2] or drift.max() > GRID_TOLERANCE:
        return _ObliqueSampler(matrix, target.shape, order, sigma)
    coarse = {int(np.argmax(image.spacing))} if _anisotropic(image.spacing) else set()
    if _anisotropic(target.spacing):
        coarse.add(int(axes[np.argmax(target.spacing)]))
    operators = [
        axis_operator(
            image.shape[axis],
            matrix[axis, 3],
            linear[axis, j],
            target.shape[j],
            order=0 if axis in coarse else order,
            sigma=float(sigma[axis]),
        )
        for j, axis in enumerate(axes.tolist())
    ]
    return _ParallelSampler(axes.tolist(), operators)


def _resampled(image: Image, target: Image, order: int, antialias: bool, fill: float) -> Image:
    data = _sampler(image, target, order, antialias).sample(image.data, fill)
    return target.with_data(data, image.labels)


def _voted(image: Image, target: Image, antialias: bool) -> Image:
    if image.data.dtype.kind not in "iub":
        raise DataError(
            f"resample_labels: {image.name} holds {image.data.dtype} values; expected the integers "
            "of a label map.\nUse resample for images, or read the file with read_labels."
        )
    sampler = _sampler(image, target, 1, antialias)
    best = np.zeros(target.shape, np.float32)
    total = np.zeros(target.shape, np.float32)
    labels = np.zeros(target.shape, image.data.dtype)
    for index, box in enumerate(ndimage.find_objects(image.data.astype(np.int32, copy=False))):
        if box is None:
            continue
        out_box, share = sampler.sample_mask(image.data, index + 1, box)
        total[out_box] += share
        ahead = share > best[out_box]
        labels[out_box][ahead] = index + 1
        np.maximum(best[out_box], share, out=best[out_box])
    labels[best < 1 - total] = 0  # the rest is background's share
    return target.with_data(labels, image.labels)


def _grid(image: Image, spacing: Sequence[float]) -> Image:
    """Make the grid of another spacing that covers the same field of view, with the same center."""
    new = np.asarray(spacing, dtype=float)
    if new.shape != (3,) or not np.isfinite(new).all() or new.min() <= 0:
        raise DataError(f"resample: spacing is {spacing}; expected three positive numbers in mm.")
    ratio = new / image.spacing
    shape = np.maximum(np.rint(np.array(image.shape) / ratio), 1).astype(int)
    change = np.diag([*ratio, 1.0])
    change[:3, 3] = (np.array(image.shape) - 1) / 2 - ratio * (shape - 1) / 2
    empty = np.broadcast_to(np.float32(0), tuple(shape))
    return Image(empty, image.affine @ change, None, image.header, image.source)


def _anisotropic(spacing: Sequence[float]) -> bool:
    return max(spacing) > ANISOTROPY * min(spacing)
