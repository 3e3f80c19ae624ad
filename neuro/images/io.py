"""Reading and writing NIfTI and MGZ files without losing where the voxels are."""

from __future__ import annotations

import logging
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from fieldgrad.engine.errors import DataError, FileError
from fieldgrad.engine.files import atomic_write
from fieldgrad.neuro.images.image import Header, Image, check_intensities

__all__ = [
    "SUFFIXES",
    "file_suffix",
    "from_nibabel",
    "read_image",
    "read_labels",
    "to_nibabel",
    "write_image",
    "write_labels",
]

SUFFIXES = (".nii", ".nii.gz", ".mgz")

_MM_PER_UNIT = {"mm": 1.0, "micron": 1e-3, "meter": 1e3}
_LABEL_DTYPES = (np.uint8, np.int16, np.int32)  # what every neuroimaging program can read
# What nibabel raises for damaged files of its formats, by format and place of the damage.
_UNREADABLE = (
    ImageFileError,
    HeaderDataError,
    EOFError,
    OSError,
    TypeError,
    ValueError,
    zlib.error,
)

_log = logging.getLogger(__name__)


def read_image(
    path: str | os.PathLike[str], *, replace_nonfinite: float | None = None, check: bool = True
) -> Image:
    """Read an image: float32 intensities with the file's scaling applied.

    Parameters
    ----------
    path : path-like
        A .nii, .nii.gz or .mgz file with one volume (axes of length 1 after the third are
        dropped).
    replace_nonfinite : float, optional
        Value that takes the place of NaN and infinite voxels; without it they are an error.
    check : bool, default True
        Refuse an image that is not finite or the same everywhere.

    Returns
    -------
    Image
        Data of shape (n0, n1, n2), float32; affine in mm.

    Raises
    ------
    FileError
        If the file is missing, damaged or of another format.
    DataError
        If it holds several volumes, colors, no contrast, or values that are not finite.
    """
    file = _open(path)
    data = _values(file, path, np.float32)
    if replace_nonfinite is not None:
        data = np.nan_to_num(
            data, nan=replace_nonfinite, posinf=replace_nonfinite, neginf=replace_nonfinite
        )
    image = _with_geometry(file, data, None, path)
    if check:
        check_intensities(image)
    return image


def read_labels(path: str | os.PathLike[str], *, names: Mapping[int, str] | None = None) -> Image:
    """Read a label map: integers, also where the file stores them as floats.

    Parameters
    ----------
    path : path-like
        A .nii, .nii.gz or .mgz file with one volume of whole numbers >= 0.
    names : mapping of int to str, optional
        Label names; without it the labels present are named ``"label 1"`` and so on.

    Returns
    -------
    Image
        Data of shape (n0, n1, n2) in the smallest of uint8, int16 and int32.

    Raises
    ------
    FileError
        If the file is missing, damaged or of another format.
    DataError
        If a value is not a whole number from 0 to 2147483647, or there are several volumes.
    """
    file = _open(path)
    data = _whole_numbers(_values(file, path), path)
    if names is None:
        names = {int(k): f"label {k}" for k in np.unique(data) if k != 0}
    return _with_geometry(file, data, names, path)


def write_image(image: Image, path: str | os.PathLike[str]) -> None:
    """Write an image or probability map as float32, without scaling.

    Parameters
    ----------
    image : Image
        What to write; its affine goes to the sform and the qform with its header's codes.
    path : path-like
        A .nii, .nii.gz or .mgz file; it appears complete or not at all.

    Raises
    ------
    FileError
        If the suffix is unknown or the file cannot be written.
    """
    _write(image, np.asarray(image.data, dtype=np.float32), path)


def write_labels(image: Image, path: str | os.PathLike[str]) -> None:
    """Write a label map in the smallest of uint8, int16 and int32.

    Parameters
    ----------
    image : Image
        What to write: integers >= 0.
    path : path-like
        A .nii, .nii.gz or .mgz file; it appears complete or not at all.

    Raises
    ------
    DataError
        If the data are not integers or one is negative.
    FileError
        If the suffix is unknown or the file cannot be written.
    """
    if image.data.dtype.kind not in "iub" or image.data.min() < 0:
        raise DataError(
            f"write_labels: {image.name} holds {image.data.dtype} values from {image.data.min():g};"
            " expected integers >= 0.\nUse write_image for intensities and probabilities."
        )
    _write(image, image.data.astype(label_dtype(int(image.data.max()))), path)


def from_nibabel(file: Any, *, names: Mapping[int, str] | None = None) -> Image:
    """Make an Image of an image that nibabel (or nilearn) holds in memory.

    Parameters
    ----------
    file : nibabel.spatialimages.SpatialImage
        A three-dimensional image.
    names : mapping of int to str, optional
        Label names, which make it a label map.

    Returns
    -------
    Image
        Intensities in float32, or integers if `names` is given.

    Raises
    ------
    DataError
        If it holds several volumes, colors, or label values that are not whole numbers.
    """
    source = file.get_filename() or "nibabel image"
    if names is None:
        return _with_geometry(file, _values(file, source, np.float32), None, source)
    return _with_geometry(file, _whole_numbers(_values(file, source), source), names, source)


def to_nibabel(image: Image) -> nibabel.nifti1.Nifti1Image:
    """Make a nibabel NIfTI image, with sform and qform both set.

    Parameters
    ----------
    image : Image
        Image (becomes float32 if floating) or label map (keeps its integers).

    Returns
    -------
    nibabel.nifti1.Nifti1Image
        The same voxels, affine and units, for nilearn or `nibabel.save`.
    """
    data = image.data
    if data.dtype.kind == "f":
        data = data.astype(np.float32, copy=False)
    elif data.dtype not in _LABEL_DTYPES:
        data = data.astype(label_dtype(int(data.max())))
    header = image.header
    scale = np.diag([*3 * [1 / _MM_PER_UNIT[header.units]], 1.0])
    affine = scale @ image.affine
    moved = np.eye(4) if header.qform_from_sform is None else header.qform_from_sform
    out = nibabel.nifti1.Nifti1Image(data, affine)
    out.header.set_xyzt_units(header.units, "unknown")
    # A transform with code 0 is ignored by readers: then both get the code of the other.
    out.set_sform(affine, code=header.sform_code or header.qform_code or 1)
    out.set_qform(scale @ moved @ image.affine, code=header.qform_code or header.sform_code or 1)
    return out


def label_dtype(largest: int) -> type[np.integer[Any]]:
    """Choose the smallest integer type for labels that every program can read.

    Parameters
    ----------
    largest : int
        The largest label.

    Returns
    -------
    type
        uint8, int16 or int32.

    Examples
    --------
    >>> label_dtype(2).__name__, label_dtype(1035).__name__
    ('uint8', 'int16')
    """
    return next(dtype for dtype in _LABEL_DTYPES if largest <= np.iinfo(dtype).max)


def file_suffix(path: str | os.PathLike[str]) -> str:
    """Give the suffix of a volume file, with the .gz.

    Parameters
    ----------
    path : path-like
        Name of the file; it need not exist.

    Returns
    -------
    str
        One of `SUFFIXES`.

    Raises
    ------
    FileError
        If the suffix is another.

    Examples
    --------
    >>> file_suffix("sub-01.T1w.NII.GZ")
    '.nii.gz'
    """
    name = Path(path).name.lower()
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if name.endswith(suffix):
            return suffix
    raise FileError(
        f"{os.fspath(path)} is not a kind of file that can be read or written here; expected one "
        f"of {' '.join(SUFFIXES)}.\nConvert it before: DICOM with dcm2niix, others with "
        "mri_convert or nibabel.",
        path,
    )


def _open(path: str | os.PathLike[str]) -> Any:
    if not os.path.exists(path):
        folder = Path(path).parent
        where = "" if folder.is_dir() else f" (there is no folder {folder} either)"
        raise FileError(f"{os.fspath(path)} does not exist{where}; check the path.", path)
    if os.path.isdir(path):
        raise FileError(
            f"{os.fspath(path)} is a folder; expected one {SUFFIXES[1]} file.\n"
            "Convert a folder of DICOM slices with dcm2niix before.",
            path,
        )
    file_suffix(path)
    try:
        return nibabel.load(path)
    except _UNREADABLE as error:
        raise _damaged(path, error) from error


def _values(
    file: Any, path: str | os.PathLike[str], dtype: type[np.floating[Any]] | None = None
) -> NDArray[Any]:
    """Read the voxels of one volume, scaled; without a dtype, whole numbers stay integers."""
    shape, stored = file.shape, file.get_data_dtype()
    if len(shape) < 3 or any(n != 1 for n in shape[3:]):
        raise DataError(
            f"{path} has shape {'x'.join(map(str, shape))}; expected one volume with three axes.\n"
            "Take one volume out of it before (fslroi in out 0 1), or the mean of a series."
        )
    if stored.kind not in "iuf":
        raise DataError(
            f"{path} holds {'colors' if stored.names else 'complex numbers'} ({stored}); expected "
            "one number per voxel.\nConvert it to gray values or magnitudes before."
        )
    try:
        if dtype is None:
            values = np.asanyarray(file.dataobj)
        else:
            values = file.get_fdata(dtype=dtype, caching="unchanged")
    except _UNREADABLE as error:
        raise _damaged(path, error) from error
    return values.reshape(shape[:3])


def _whole_numbers(data: NDArray[Any], path: str | os.PathLike[str]) -> NDArray[Any]:
    """Check that values are labels, and store them small."""
    if data.dtype.kind == "f":
        whole = np.rint(data)
        if not np.array_equal(whole, data):
            odd = data[whole != data].flat[0]
            raise DataError(
                f"{path} holds the value {odd:g}; expected the whole numbers of a label map.\n"
                "It may be an image or a probability map: check which file was given."
            )
        data = whole
    if data.min() < 0 or data.max() > np.iinfo(np.int32).max:
        raise DataError(
            f"{path} holds labels from {data.min():g} to {data.max():g}; expected 0 (background) "
            "to 2147483647.\nRenumber them before."
        )
    return data.astype(label_dtype(int(data.max())))


def _damaged(path: str | os.PathLike[str], error: Exception) -> FileError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return FileError(
        f"{os.fspath(path)} cannot be read: it is cut short, damaged, or not what its suffix says "
        f"({reason}).\nCopy or export it again; gzip -t checks a .gz or .mgz file.",
        path,
    )


def _with_geometry(
    file: Any, data: NDArray[Any], names: Mapping[int, str] | None, path: str | os.PathLike[str]
) -> Image:
    """Put the affine and the transform codes of a nibabel image on data read from it."""
    affine, header = file.affine, Header()
    if isinstance(file.header, nibabel.nifti1.Nifti1Header):
        units = file.header.get_xyzt_units()[0]
        units = units if units in _MM_PER_UNIT else "mm"
        scale = np.diag([*3 * [_MM_PER_UNIT[units]], 1.0])
        try:
            sform, sform_code = file.get_sform(coded=True)
            qform, qform_code = file.get_qform(coded=True)
        except _UNREADABLE as error:  # a quaternion that is no rotation
            raise _damaged(path, error) from error
        if not sform_code and not qform_code:
            _log.warning(
                "%s has no orientation (sform and qform codes are 0), so left and right are a "
                "guess; set it with fslorient or ITK-SNAP.",
                path,
            )
        affine, moved = scale @ affine, None
        if sform_code and qform_code and not np.allclose(sform, qform, rtol=0, atol=1e-3):
            moved = scale @ qform @ np.linalg.inv(scale @ sform)
        header = Header(int(sform_code), int(qform_code), moved, units)
    return Image(data, affine, names, header, os.fspath(path))


def _write(image: Image, data: NDArray[Any], path: str | os.PathLike[str]) -> None:
    suffix = file_suffix(path)
    if suffix in (".nii", ".nii.gz"):
        file: Any = to_nibabel(Image(data, image.affine, image.labels, image.header))
    else:
        file = nibabel.freesurfer.MGHImage(data, image.affine)
    with atomic_write(path) as temporary:
        nibabel.save(file, temporary)
