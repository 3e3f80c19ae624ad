"""Data sets: folders of images with labels, and the brain template that needs no download."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fieldgrad.engine.errors import DataError, FileError, require
from fieldgrad.neuro.images.image import Header, Image
from fieldgrad.neuro.images.io import SUFFIXES, from_nibabel, read_image, read_labels
from fieldgrad.neuro.images.resample import resample, resample_labels

__all__ = ["TISSUES", "Case", "Dataset", "load_mni152", "open_dataset"]

TISSUES: Mapping[int, str] = {1: "CSF", 2: "gray matter", 3: "white matter"}


@dataclass(frozen=True)
class Case:
    """One subject of a data set: where its files are.

    Parameters
    ----------
    name : str
        Identifier, the file name without channel and suffix.
    images : tuple of Path
        One file per channel, in the order of the channels.
    labels : Path or None
        The label map; ``None`` for a case to predict.
    """

    name: str
    images: tuple[Path, ...]
    labels: Path | None


@dataclass(frozen=True)
class Dataset:
    """A folder of cases in the layout of nnU-Net.

    Parameters
    ----------
    folder : Path
        Holds dataset.json, imagesTr and labelsTr.
    channels : tuple of str
        Name of each channel ("T1w", "CT", …), which decides its normalization.
    labels : mapping of int to str
        Names of the label values, background (0) excluded.
    cases : tuple of Case
        Training cases in alphabetical order.
    """

    folder: Path
    channels: tuple[str, ...]
    labels: Mapping[int, str]
    cases: tuple[Case, ...]

    def read(self, case: Case) -> tuple[list[Image], Image | None]:
        """Read and check the files of one case.

        Parameters
        ----------
        case : Case
            One of `cases`.

        Returns
        -------
        images : list of Image
            One per channel, all on one grid.
        labels : Image or None
            The label map on the same grid.

        Raises
        ------
        FileError
            If a file is missing or damaged.
        DataError
            If grids differ, a label value has no name in dataset.json, or an image is unusable.
        """
        images = [read_image(path) for path in case.images]
        for image in images[1:]:
            _check_same_grid(case, image, images[0])
        if case.labels is None:
            return images, None
        labels = read_labels(case.labels, names=self.labels)
        _check_same_grid(case, labels, images[0])
        unknown = sorted(set(np.unique(labels.data).tolist()) - {0, *self.labels})
        if unknown:
            raise DataError(
                f"case {case.name}: {case.labels} holds the label {_listed(unknown)}; dataset.json "
                f"knows {_listed(sorted(self.labels))} and 0.\n"
                f'Add it to "labels" in {self.folder / "dataset.json"}, or correct the label map.'
            )
        return images, labels

    def digest(self) -> str:
        """Compute one checksum of all image and label files.

        Returns
        -------
        str
            SHA-256, hexadecimal; it changes with any byte of any file, and with a file's name.
        """
        total = hashlib.sha256()
        for case in self.cases:
            for path in (*case.images, *([case.labels] if case.labels else [])):
                total.update(path.name.encode())
                with open(path, "rb") as file:
                    total.update(hashlib.file_digest(file, "sha256").digest())
        return total.hexdigest()


def open_dataset(folder: str | os.PathLike[str]) -> Dataset:
    """Open a folder in the layout of nnU-Net and check that every image has its label map.

    Parameters
    ----------
    folder : path-like
        Holds ``dataset.json``, ``imagesTr/CASE_0000.nii.gz`` (one file per channel: _0000, _0001,
        …) and ``labelsTr/CASE.nii.gz``.

    Returns
    -------
    Dataset
        The list of cases; files are read when asked for (`Dataset.read`).

    Raises
    ------
    FileError
        If a file or folder of the layout is missing, or dataset.json is not JSON.
    DataError
        If dataset.json lacks or contradicts something, or there are no cases.

    References
    ----------
    nnU-Net, documentation/dataset_format.md, https://github.com/MIC-DKFZ/nnUNet. Regions (a label
    that is a list of values) and the ignore label are not read here.
    """
    folder = Path(folder)
    description = _read_description(folder)
    channels = _entry(description, folder, "channel_names", "modality")
    names = _entry(description, folder, "labels")
    suffix = description.get("file_ending", ".nii.gz")
    if suffix not in SUFFIXES:
        raise DataError(
            f"{folder / 'dataset.json'}: file_ending is {suffix!r}; expected one of "
            f"{' '.join(SUFFIXES)}.\nConvert the images, and change the entry."
        )
    numbers = sorted(channels, key=int)
    files = {
        number: _cases_in(folder / "imagesTr", f"_{int(number):04d}{suffix}") for number in numbers
    }
    cases = sorted(set().union(*files.values()))
    if not cases:
        raise DataError(
            f"{folder / 'imagesTr'} holds no file named CASE_0000{suffix}; expected one per case "
            "and channel.\nRename the images, or correct file_ending in dataset.json."
        )
    label_files = _cases_in(folder / "labelsTr", suffix)
    for case in cases:
        for number in numbers:
            if case not in files[number]:
                path = folder / "imagesTr" / f"{case}_{int(number):04d}{suffix}"
                raise FileError(
                    f"case {case}: {path} is missing; dataset.json promises channel {number} "
                    f"({channels[number]}).\nAdd the file, or remove the case.",
                    path,
                )
        if case not in label_files:
            path = folder / "labelsTr" / f"{case}{suffix}"
            raise FileError(
                f"case {case} has no label map; expected {path}.\n"
                "Add it, or move the case's images to imagesTs.",
                path,
            )
    return Dataset(
        folder,
        tuple(str(channels[number]) for number in numbers),
        _label_names(names, folder),
        tuple(
            Case(case, tuple(files[number][case] for number in numbers), label_files[case])
            for case in cases
        ),
    )


def load_mni152(spacing: int = 1) -> tuple[Image, Image]:
    """Load the MNI152 T1-weighted template and a tissue map, both shipped with nilearn.

    Nothing is downloaded. The template is the average of 152 registered brains, with the skull
    removed; the tissue map takes in every voxel of the brain mask the likeliest of gray matter,
    white matter and what is left, which is mostly cerebrospinal fluid.

    Parameters
    ----------
    spacing : {1, 2}, default 1
        Voxel spacing in mm.

    Returns
    -------
    template : Image
        T1-weighted intensities, 197x233x189 voxels at 1 mm, RAS.
    tissues : Image
        Labels `TISSUES`: 1 CSF, 2 gray matter, 3 white matter.

    Raises
    ------
    MissingExtra
        If nilearn is not installed.
    DataError
        If `spacing` is not 1 or 2.

    Notes
    -----
    Gray matter comes out too large and CSF too small compared with single brains: probabilities of
    an average are blurred. At 2 mm the label map is resampled from 1 mm.

    References
    ----------
    V. Fonov et al., "Unbiased average age-appropriate atlases for pediatric studies", NeuroImage
    54, 2011, doi:10.1016/j.neuroimage.2010.07.033 (ICBM 152 nonlinear symmetric 2009a).
    """
    if spacing not in (1, 2):
        raise DataError(f"load_mni152: spacing is {spacing}; expected 1 or 2 (mm).")
    nilearn = require("nilearn.datasets", extra="neuro")
    template = from_nibabel(nilearn.load_mni152_template(resolution=1))
    gray = from_nibabel(nilearn.load_mni152_gm_template(resolution=1)).data
    white = from_nibabel(nilearn.load_mni152_wm_template(resolution=1)).data
    brain = from_nibabel(nilearn.load_mni152_brain_mask(resolution=1)).data > 0
    fluid = 1 - gray - white
    labels = np.where(gray > fluid, 2, 1).astype(np.uint8)
    labels[white > np.maximum(gray, fluid)] = 3
    labels[~brain] = 0
    header = Header(sform_code=4, qform_code=4)  # NIfTI's code for MNI152 space
    template = Image(template.data, template.affine, None, header, "MNI152 template")
    tissues = Image(labels, template.affine, TISSUES, header, "MNI152 tissues")
    if spacing == 1:
        return template, tissues
    size = (spacing,) * 3
    return resample(template, size), resample_labels(tissues, size)


def _read_description(folder: Path) -> dict[str, object]:
    path = folder / "dataset.json"
    if not folder.is_dir():
        raise FileError(f"{folder} is not a folder; check the path of the data set.", folder)
    for needed in ("dataset.json", "imagesTr", "labelsTr"):
        if not (folder / needed).exists():
            raise FileError(
                f"{folder} has no {needed}; expected the layout of nnU-Net: dataset.json, "
                "imagesTr/CASE_0000.nii.gz, labelsTr/CASE.nii.gz.",
                folder / needed,
            )
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise FileError(f"{path} is not valid JSON ({error}); correct it there.", path) from error
    if not isinstance(description, dict):
        raise DataError(f"{path} holds a {type(description).__name__}; expected an object {{…}}.")
    return description


def _entry(description: dict[str, object], folder: Path, *names: str) -> dict[str, object]:
    """Find an entry that is an object, under its present name or an older one."""
    for name in names:
        value = description.get(name)
        if isinstance(value, dict) and value:
            return value
    example = '{"0": "T1w"}' if names[0] == "channel_names" else '{"background": 0, "tumor": 1}'
    raise DataError(
        f'{folder / "dataset.json"} has no "{names[0]}"; expected an object such as\n'
        f'"{names[0]}": {example}'
    )


def _label_names(entry: dict[str, object], folder: Path) -> dict[int, str]:
    """Turn {"name": value}, or the Decathlon's {"value": "name"}, into {value: name}."""
    if all(key.isdigit() for key in entry):
        entry = {str(name): int(value) for value, name in entry.items()}
    for name, value in entry.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise DataError(
                f'{folder / "dataset.json"}: label "{name}" is {value!r}; expected a whole number '
                ">= 0.\nRegions made of several labels are not supported: give each label a number."
            )
    values = {int(str(value)): name for name, value in entry.items()}
    if len(values) < len(entry) or 0 not in values:
        raise DataError(
            f'{folder / "dataset.json"}: "labels" is {entry}; expected different numbers, with '
            '"background": 0 among them.'
        )
    return {value: values[value] for value in sorted(values) if value != 0}


def _cases_in(folder: Path, ending: str) -> dict[str, Path]:
    return {
        path.name.removesuffix(ending): path
        for path in sorted(folder.iterdir())
        if path.name.endswith(ending) and not path.name.startswith(".")
    }


def _check_same_grid(case: Case, image: Image, reference: Image) -> None:
    if image.shape != reference.shape:
        difference = f"have shapes {_by(image.shape)} and {_by(reference.shape)}"
    elif not image.same_grid(reference):
        difference = "have different affines"
    else:
        return
    raise DataError(
        f"case {case.name}: {image.source} and {reference.source} {difference}; expected one grid."
        "\nResample one onto the other (neuro.resample.resample_onto, resample_labels_onto)."
    )


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _listed(values: list[int]) -> str:
    return ", ".join(map(str, values[:8])) + (", …" if len(values) > 8 else "")
