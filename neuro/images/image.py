"""The Image: a volume with its place in the scanner, through every step and back to the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from nibabel.orientations import (
    apply_orientation,
    axcodes2ornt,
    inv_ornt_aff,
    io_orientation,
    ornt2axcodes,
    ornt_transform,
)
from numpy.typing import ArrayLike, NDArray

from fieldgrad.engine.errors import DataError, ShapeError

__all__ = ["Header", "Image", "check_intensities", "foreground_box"]

# Headers keep affines as float32 or as quaternions, so corners of equal grids differ by some 1e-4
# voxels; a hundredth of a voxel is above that and can never move a label.
GRID_TOLERANCE = 0.01  # voxels

_WORLD_AXIS = {"R": 0, "L": 0, "A": 1, "P": 1, "S": 2, "I": 2}


@dataclass(frozen=True)
class Header:
    """What a file says about its space beyond the affine, kept to write the same again.

    Parameters
    ----------
    sform_code, qform_code : int, default 1
        NIfTI codes of the two transforms: 0 unknown, 1 scanner, 2 aligned, 3 Talairach, 4 MNI.
    qform_from_sform : ndarray of shape (4, 4), optional
        Rigid map from the world of the sform (that of `Image.affine`) to the world of the qform,
        in mm. ``None`` means that both are the same. It belongs to the world, not to the grid, so
        it stays true when the image is cropped, reoriented or resampled.
    units : {"mm", "micron", "meter"}, default "mm"
        Length unit of the file; inside the program it is always mm.
    """

    sform_code: int = 1
    qform_code: int = 1
    qform_from_sform: NDArray[np.float64] | None = None
    units: str = "mm"


class Image:
    """A three-dimensional image or label map with its geometry.

    Parameters
    ----------
    data : array_like of shape (n0, n1, n2)
        Voxel values; intensities are float32, label maps integers.
    affine : array_like of shape (4, 4)
        Map from voxel indices (i, j, k, 1) to RAS+ world coordinates in mm: the first world axis
        points to the subject's right, the second to anterior, the third to superior. Indices are
        those of voxel centers.
    labels : mapping of int to str, optional
        Names of the values of a label map, background (0) excluded; ``None`` for an image.
    header : Header, optional
        Transform codes and units for writing.
    source : str, default ""
        The file it came from, used in messages.

    Raises
    ------
    ShapeError
        If `data` does not have three axes or `affine` is not 4 by 4.
    DataError
        If the affine is not finite, singular, or has a spacing of zero.

    References
    ----------
    The NIfTI-1 standard, https://nifti.nimh.nih.gov/nifti-1, "Orientation and location in space".

    Examples
    --------
    >>> image = Image(np.zeros((2, 3, 4)), np.diag([-1, 1, 2.5, 1]))
    >>> image.spacing, image.orientation, image.voxel_volume
    ((1.0, 1.0, 2.5), 'LAS', 2.5)
    >>> image.to_canonical().orientation
    'RAS'
    """

    def __init__(
        self,
        data: ArrayLike,
        affine: ArrayLike,
        labels: Mapping[int, str] | None = None,
        header: Header | None = None,
        source: str = "",
    ) -> None:
        name = source or "image"
        array = np.asarray(data)
        matrix = np.array(affine, dtype=np.float64)
        if array.ndim != 3:
            raise ShapeError(
                f"{name}: data have shape {array.shape}; expected three axes (n0, n1, n2). "
                "Select one volume or channel first."
            )
        if 0 in array.shape:
            raise ShapeError(f"{name}: data have shape {array.shape}; expected at least one voxel.")
        _check_affine(matrix, name)
        self.data: NDArray[Any] = array
        self.affine: NDArray[np.float64] = matrix
        self.labels = None if labels is None else {int(k): v for k, v in labels.items()}
        self.header = header or Header()
        self.source = source

    def __repr__(self) -> str:
        spacing = "x".join(f"{s:g}" for s in self.spacing)
        names = "" if self.labels is None else f", {len(self.labels)} labels"
        return (
            f"Image({'x'.join(map(str, self.shape))} {self.data.dtype}, {spacing} mm, "
            f"{self.orientation}{names})"
        )

    @property
    def name(self) -> str:
        """The file it came from, or "image"."""
        return self.source or "image"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along the array axes."""
        n0, n1, n2 = self.data.shape
        return n0, n1, n2

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance between voxel centers along the array axes, in mm."""
        s0, s1, s2 = np.linalg.norm(self.affine[:3, :3], axis=0).tolist()
        return s0, s1, s2

    @property
    def orientation(self) -> str:
        """Where the array axes point, nearest anatomical direction, such as "RAS"."""
        return "".join(ornt2axcodes(io_orientation(self.affine)))

    @property
    def voxel_volume(self) -> float:
        """Volume of one voxel in mm³; right for oblique and sheared grids too."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    def with_data(self, data: ArrayLike, labels: Mapping[int, str] | None = None) -> Image:
        """Put other values on the same grid.

        Parameters
        ----------
        data : array_like of shape (n0, n1, n2)
            The new values; the shape must be that of this image.
        labels : mapping of int to str, optional
            Names, if the values are labels.

        Returns
        -------
        Image
            The same affine, header and source with the new values.

        Raises
        ------
        ShapeError
            If the shape differs.
        """
        array = np.asarray(data)
        if array.shape != self.shape:
            raise ShapeError(
                f"{self.name}: new data have shape {array.shape}, the grid has {self.shape}; "
                "resample them, or use Image(data, affine)."
            )
        return Image(array, self.affine, labels, self.header, self.source)

    def reorient(self, orientation: str) -> Image:
        """Permute and flip the array axes so that they point where asked; nothing is resampled.

        Parameters
        ----------
        orientation : str
            Three letters, one of R/L, one of A/P and one of S/I, in array-axis order.

        Returns
        -------
        Image
            The same voxels at the same places, as a view of the data where possible.

        Raises
        ------
        DataError
            If `orientation` is not three such letters.
        """
        codes = orientation.upper()
        if sorted(_WORLD_AXIS.get(code, -1) for code in codes) != [0, 1, 2]:
            raise DataError(
                f"orientation {orientation!r} is not valid; expected one letter each of R/L, A/P "
                'and S/I, for example "RAS" or "LIA".'
            )
        change = ornt_transform(io_orientation(self.affine), axcodes2ornt(codes))
        return self._moved(
            apply_orientation(self.data, change), inv_ornt_aff(change, self.data.shape)
        )

    def to_canonical(self) -> Image:
        """Point the array axes to right, anterior and superior (RAS+), without resampling.

        Returns
        -------
        Image
            The reoriented image; `like` goes back exactly.
        """
        return self.reorient("RAS")

    def crop(self, start: Sequence[int], stop: Sequence[int]) -> Image:
        """Keep the voxels from `start` up to, not including, `stop`; each stays where it is in mm.

        Parameters
        ----------
        start, stop : sequence of 3 int
            Voxel indices; ``0 <= start < stop <= shape``.

        Returns
        -------
        Image
            The part, a view of the data.

        Raises
        ------
        ShapeError
            If the box does not lie inside the image.
        """
        box = list(zip(start, stop, self.shape, strict=True))
        if not all(0 <= low < high <= n for low, high, n in box):
            raise ShapeError(
                f"{self.name}: crop from {tuple(start)} to {tuple(stop)} leaves the image of shape "
                f"{self.shape}; expected 0 <= start < stop <= shape. Use pad to enlarge it."
            )
        data = self.data[tuple(slice(low, high) for low, high, _ in box)]
        return self._moved(data, _translation(start))

    def pad(self, before: Sequence[int], after: Sequence[int], value: float = 0) -> Image:
        """Add voxels around the image; the old ones stay where they are in mm.

        Parameters
        ----------
        before, after : sequence of 3 int
            Number of voxels to add at the start and end of each axis.
        value : float, default 0
            Value of the new voxels.

        Returns
        -------
        Image
            The enlarged image.

        Raises
        ------
        ShapeError
            If a number is negative.
        """
        if min(*before, *after) < 0:
            raise ShapeError(
                f"{self.name}: pad by {tuple(before)} and {tuple(after)}; expected numbers >= 0. "
                "Use crop to remove voxels."
            )
        widths = list(zip(before, after, strict=True))
        data = np.pad(self.data, widths, constant_values=value)
        return self._moved(data, _translation([-b for b in before]))

    def like(self, reference: Image, fill: float = 0) -> Image:
        """Go back to the grid of another image: the exact inverse of reorient, crop and pad.

        Parameters
        ----------
        reference : Image
            The image whose grid (shape, affine), header and source are wanted.
        fill : float, default 0
            Value of voxels of `reference` that this image does not cover.

        Returns
        -------
        Image
            The same voxels on the grid of `reference`; the affine is that of `reference` to the
            last bit.

        Raises
        ------
        DataError
            If the two grids differ by more than flips, permutations and whole voxels.
        """
        matrix = np.linalg.inv(reference.affine) @ self.affine
        rotation = np.rint(matrix[:3, :3])
        landed = matrix @ _corners(self.shape)
        off_grid = np.abs(landed - np.rint(landed)).max() > GRID_TOLERANCE
        if off_grid or not np.array_equal(rotation @ rotation.T, np.eye(3)):
            raise DataError(
                f"{self.name} ({self!r}) and {reference.name} ({reference!r}) do not lie on one "
                "voxel grid; resample onto the reference instead (neuro.resample)."
            )
        axes = np.abs(rotation).argmax(axis=1)
        flips = tuple(slice(None, None, int(rotation[row, axis])) for row, axis in enumerate(axes))
        data = self.data.transpose(axes)[flips]
        low = np.rint(landed[:3].min(axis=1)).astype(int)
        start = np.clip(low, 0, reference.shape)
        stop = np.clip(low + data.shape, 0, reference.shape)
        out = np.full(reference.shape, fill, dtype=data.dtype)
        out[_box(start, stop)] = data[_box(start - low, stop - low)]
        return reference.with_data(out, self.labels)

    def same_grid(self, other: Image) -> bool:
        """Tell whether two images have the same shape and their voxels the same places.

        Parameters
        ----------
        other : Image
            The image to compare with.

        Returns
        -------
        bool
            True if no voxel center is off by more than a hundredth of a voxel.
        """
        if self.shape != other.shape:
            return False
        corners = _corners(self.shape)
        off = np.linalg.inv(other.affine) @ self.affine @ corners - corners
        return bool(np.abs(off).max() <= GRID_TOLERANCE)

    def _moved(self, data: NDArray[Any], voxel_map: NDArray[np.float64]) -> Image:
        """Return new data whose voxel indices map to those of this image by `voxel_map`."""
        return Image(data, self.affine @ voxel_map, self.labels, self.header, self.source)


def check_intensities(image: Image) -> None:
    """Refuse an image without information: not finite, or the same value everywhere.

    Parameters
    ----------
    image : Image
        The image.

    Raises
    ------
    DataError
        If a voxel is NaN or infinite, all are zero, or all are equal.
    """
    finite = np.isfinite(image.data)
    if not finite.all():
        count = int(finite.size - np.count_nonzero(finite))
        raise DataError(
            f"{image.name} has {count} voxels that are NaN or infinite "
            f"({100 * count / finite.size:.2g} %); expected finite intensities.\n"
            "Replace them before (fslmaths in -nan out), or read with replace_nonfinite=0."
        )
    low, high = image.data.min(), image.data.max()
    if low == high:
        kind = "zero" if low == 0 else f"{low:g}"
        raise DataError(
            f"{image.name} is {kind} in every voxel; expected an image with contrast.\n"
            "The file was probably written wrongly: export it again from its source."
        )


def foreground_box(
    data: NDArray[Any], margin: int = 0
) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Find the smallest box that holds every voxel that is not zero.

    Parameters
    ----------
    data : ndarray of shape (n0, n1, n2)
        Image, mask or label map.
    margin : int, default 0
        Voxels to add on each side, where the array has them.

    Returns
    -------
    start : tuple of 3 int
        First voxel, for `Image.crop`; that of the whole array if all voxels are zero.
    stop : tuple of 3 int
        One past the last voxel.

    Examples
    --------
    >>> mask = np.zeros((5, 5, 5)); mask[1, 2:4, 3] = 1
    >>> foreground_box(mask)
    ((1, 2, 3), (2, 4, 4))
    """
    mask = data != 0
    start, stop = [], []
    for axis in range(3):
        hits = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        if hits.size == 0:
            return (0, 0, 0), (data.shape[0], data.shape[1], data.shape[2])
        start.append(max(int(hits[0]) - margin, 0))
        stop.append(min(int(hits[-1]) + 1 + margin, data.shape[axis]))
    return (start[0], start[1], start[2]), (stop[0], stop[1], stop[2])


def _corners(shape: tuple[int, int, int]) -> NDArray[np.float64]:
    """Give the eight corner voxels as columns (i, j, k, 1)."""
    return np.array(np.meshgrid(*([0.0, n - 1.0] for n in shape), [1.0])).reshape(4, 8)


def _box(start: NDArray[Any], stop: NDArray[Any]) -> tuple[slice, ...]:
    return tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))


def _translation(offset: Sequence[int]) -> NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:3, 3] = offset
    return matrix


def _check_affine(affine: NDArray[np.float64], name: str) -> None:
    if affine.shape != (4, 4):
        raise ShapeError(f"{name}: the affine has shape {affine.shape}; expected (4, 4).")
    if not np.isfinite(affine).all() or not np.array_equal(affine[3], [0, 0, 0, 1]):
        raise DataError(
            f"{name}: the affine is not a map to millimetres (not finite, or its last row is "
            f"{affine[3].tolist()} instead of 0 0 0 1).\nThe header is damaged: export it again."
        )
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if spacing.min() <= 0:
        axis = int(spacing.argmin())
        raise DataError(
            f"{name} has spacing 0 mm along axis {axis}; expected a positive spacing.\n"
            "The header is damaged: repair pixdim and the sform, or export the file again."
        )
    # Normalized by the spacing the determinant is 1 for a rotation, near 0 for coinciding axes.
    if abs(np.linalg.det(affine[:3, :3] / spacing)) < 1e-3:
        raise DataError(
            f"{name}: the affine is singular: two array axes point the same way.\n"
            "The header is damaged: repair the sform, or export the file again."
        )
