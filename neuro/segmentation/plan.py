"""Planning: from the sizes, spacings and intensities of a data set to patch, network and batch.

These are nnU-Net's rules as pure functions. Sizes are in the array-axis order of RAS+ images;
where nnU-Net puts the axis of largest spacing first, strides and kernels per axis say the same
here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldgrad.engine.errors import DataError, FileError
from fieldgrad.engine.files import atomic_write
from fieldgrad.neuro.images.datasets import Dataset
from fieldgrad.neuro.images.image import foreground_box
from fieldgrad.neuro.images.resample import ANISOTROPY

__all__ = [
    "Fingerprint",
    "IntensityStatistics",
    "Plan",
    "feature_map_size",
    "fingerprint",
    "make_plan",
    "target_spacing",
    "topology",
]

NNUNET_FEATURE_BUDGET = 5.6e8  # feature-map values of a batch of 2 that fill 8 GB
_REFERENCE_BATCH = 2
_SMALLEST_EDGE = 4  # voxels of the deepest feature map
_FIRST_PATCH_VOXELS = 256**3
_DATASET_SHARE = 0.05  # of all voxels that a batch may hold


@dataclass(frozen=True)
class IntensityStatistics:
    """Intensities of foreground voxels of one channel over the data set.

    Parameters
    ----------
    mean, std : float
        Mean and standard deviation.
    low, high : float
        The 0.5 and 99.5 percentiles.
    """

    mean: float
    std: float
    low: float
    high: float


@dataclass(frozen=True)
class Fingerprint:
    """What planning needs to know of a data set.

    Parameters
    ----------
    shapes : sequence of tuple of 3 int
        Shape of each case, cropped to what is not zero.
    spacings : sequence of tuple of 3 float
        Spacing of each case in mm.
    kept : sequence of float
        Share of each case's voxels that the crop kept.
    channels : sequence of str
        Names of the channels.
    intensities : sequence of IntensityStatistics
        Foreground intensities of each channel.
    n_classes : int
        Number of labels, background included.
    """

    shapes: Sequence[tuple[int, ...]]
    spacings: Sequence[tuple[float, ...]]
    kept: Sequence[float]
    channels: Sequence[str]
    intensities: Sequence[IntensityStatistics]
    n_classes: int


@dataclass(frozen=True)
class Plan:
    """A configuration of preprocessing, network and training, readable and editable as JSON.

    Parameters
    ----------
    spacing : tuple of 3 float
        Spacing in mm that all cases are resampled to.
    median_shape : tuple of 3 int
        Median shape of the cases at that spacing.
    patch_size : tuple of 3 int
        Shape of training patches.
    batch_size : int
        Patches per step.
    strides : tuple of tuple of 3 int
        Stride of each stage along each axis; 1 in the first stage.
    kernels : tuple of tuple of 3 int
        Convolution kernel of each stage.
    features : tuple of int
        Channels of each stage.
    normalization : tuple of str
        For each channel "ct", "zscore", or "zscore-nonzero" (statistics where not zero).
    intensities : tuple of IntensityStatistics
        Foreground intensities of each channel, which "ct" needs.
    """

    spacing: tuple[float, ...]
    median_shape: tuple[int, ...]
    patch_size: tuple[int, ...]
    batch_size: int
    strides: tuple[tuple[int, ...], ...]
    kernels: tuple[tuple[int, ...], ...]
    features: tuple[int, ...]
    normalization: tuple[str, ...]
    intensities: tuple[IntensityStatistics, ...]

    def __str__(self) -> str:
        stages = [
            f"    {_by(n)}: {c} features, kernel {_by(k)}, stride {_by(s)}"
            for n, c, k, s in zip(
                _stage_sizes(self.patch_size, self.strides),
                self.features,
                self.kernels,
                self.strides,
                strict=True,
            )
        ]
        lines = [
            f"spacing {_by(self.spacing)} mm, median shape {_by(self.median_shape)}",
            f"patch {_by(self.patch_size)}, batch {self.batch_size}",
            f"normalization {', '.join(self.normalization)}",
            f"network of {len(stages)} stages:",
        ]
        return "\n".join([*lines, *stages])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the plan as JSON.

        Parameters
        ----------
        path : path-like
            The .json file; it appears complete or not at all.

        Raises
        ------
        FileError
            If the file cannot be written.
        """
        # Short lists stay on one line each, so that the file can be read and edited.
        entries = [f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in asdict(self).items()]
        with atomic_write(path) as temporary:
            temporary.write_text("{\n" + ",\n".join(entries) + "\n}\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Plan:
        """Read a plan that `save` wrote.

        Parameters
        ----------
        path : path-like
            The .json file.

        Returns
        -------
        Plan
            The plan.

        Raises
        ------
        FileError
            If the file is missing or not JSON.
        DataError
            If entries are missing or unknown.
        """
        try:
            entries = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise FileError(
                f"{os.fspath(path)} is not a plan: {error}. Plan again.", path
            ) from error
        known = {f.name for f in fields(cls)}
        if not isinstance(entries, dict) or entries.keys() != known:
            odd = sorted(known ^ set(entries))
            raise DataError(
                f"{os.fspath(path)} is not a plan of this version: missing or unknown entries "
                f"{', '.join(odd)}.\nCorrect them, or plan again."
            )
        entries["intensities"] = [IntensityStatistics(**v) for v in entries["intensities"]]
        return cls(**{name: _tuples(value) for name, value in entries.items()})


def fingerprint(
    dataset: Dataset,
    *,
    n_voxels: int = 10_000,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Fingerprint:
    """Read a data set and describe it.

    Every case is read and checked on the way, so that mistakes show before training.

    Parameters
    ----------
    dataset : Dataset
        The data set.
    n_voxels : int, default 10000
        Foreground voxels per case whose intensities are sampled.
    seed : int, default 0
        Seed of this sampling.
    progress : callable, optional
        Called with the number of cases done and of all cases.

    Returns
    -------
    Fingerprint
        Sizes, spacings and intensities, of RAS+ oriented images.

    Raises
    ------
    FileError
        If a file is missing or damaged.
    DataError
        If a case cannot be used.
    """
    rng = np.random.default_rng(seed)
    shapes, spacings, kept, samples = [], [], [], []
    for count, case in enumerate(dataset.cases, start=1):
        images, labels = dataset.read(case)
        images = [image.to_canonical() for image in images]
        present = np.any([image.data != 0 for image in images], axis=0)
        start, stop = foreground_box(present)
        shape = tuple(b - a for a, b in zip(start, stop, strict=True))
        shapes.append(shape)
        spacings.append(images[0].spacing)
        kept.append(float(np.prod(shape) / present.size))
        mask = present if labels is None else labels.to_canonical().data > 0
        values = np.stack([image.data[mask] for image in images])
        if values.shape[1]:
            samples.append(values[:, rng.integers(values.shape[1], size=n_voxels)])
        if progress is not None:
            progress(count, len(dataset.cases))
    if not samples:
        raise DataError(
            f"{dataset.folder}: no case has a labeled voxel; expected label maps with foreground."
        )
    intensities = [_statistics(values) for values in np.hstack(samples)]
    n_classes = len(dataset.labels) + 1
    return Fingerprint(shapes, spacings, kept, dataset.channels, intensities, n_classes)


def make_plan(
    data: Fingerprint,
    *,
    base_features: int = 8,
    max_features: int = 320,
    feature_budget: float = 8e6,
) -> Plan:
    """Choose spacing, patch, network and batch for a data set.

    Parameters
    ----------
    data : Fingerprint
        The data set.
    base_features : int, default 8
        Channels of the first stage; doubled in each stage. nnU-Net has 32.
    max_features : int, default 320
        Channels of a stage at most.
    feature_budget : float, default 8e6
        Feature-map values of one training patch at most, in a batch of 2. The default is for a
        processor with a few cores: seconds per step. nnU-Net has 5.6e8, which fills 8 GB.

    Returns
    -------
    Plan
        The configuration.

    References
    ----------
    F. Isensee et al., "nnU-Net: a self-configuring method for deep learning-based biomedical image
    segmentation", Nature Methods 18, 2021, doi:10.1038/s41592-020-01008-z, Methods, "Rule-based
    parameters". The cascade of two resolutions is not planned.

    Examples
    --------
    >>> n = 260
    >>> scale = IntensityStatistics(0, 1, -2, 2)
    >>> data = Fingerprint([(35, 50, 36)] * n, [(1, 1, 1)] * n, [1] * n, ["MRI"], [scale], 3)
    >>> plan = make_plan(data, base_features=32, feature_budget=NNUNET_FEATURE_BUDGET)
    >>> plan.patch_size, plan.features, plan.batch_size
    ((40, 56, 40), (32, 64, 128, 256), 9)
    """
    spacing = target_spacing(data.spacings, data.shapes)
    sizes = np.array(data.shapes) * np.array(data.spacings) / spacing
    median = np.maximum(np.rint(np.median(np.rint(sizes), axis=0)), 1).astype(int)

    first = np.rint(_FIRST_PATCH_VOXELS ** (1 / 3) * np.prod(spacing) ** (1 / 3) / spacing)
    wanted = np.minimum(first, median).astype(int)
    patch, strides, kernels = topology(wanted, spacing)
    features = _features(len(strides), base_features, max_features)
    estimate = feature_map_size(patch, strides, features, data.n_classes)
    while estimate > feature_budget:
        axis = int(np.argmax(np.array(patch) / median))
        divisor = np.prod(strides, axis=0)
        if patch[axis] <= divisor[axis]:
            break  # the smallest patch that this network can have
        smaller = np.array(patch)
        smaller[axis] -= divisor[axis]
        # A smaller patch may have fewer stages and so a smaller divisor: shrink by that one.
        divisor = np.prod(topology(smaller, spacing)[1], axis=0)
        smaller[axis] = patch[axis] - divisor[axis]
        patch, strides, kernels = topology(smaller, spacing)
        features = _features(len(strides), base_features, max_features)
        estimate = feature_map_size(patch, strides, features, data.n_classes)
    all_voxels = float(np.prod(median)) * len(data.shapes)
    largest = round(all_voxels * _DATASET_SHARE / float(np.prod(patch)))
    batch = max(min(round(feature_budget / estimate * _REFERENCE_BATCH), largest), _REFERENCE_BATCH)
    masked = "zscore-nonzero" if np.median(data.kept) < 0.75 else "zscore"
    return Plan(
        tuple(spacing.tolist()),
        tuple(median.tolist()),
        patch,
        batch,
        strides,
        kernels,
        features,
        tuple("ct" if channel.upper() == "CT" else masked for channel in data.channels),
        tuple(data.intensities),
    )


def target_spacing(
    spacings: Sequence[Sequence[float]], shapes: Sequence[Sequence[int]]
) -> NDArray[np.float64]:
    """Choose the spacing that all cases are resampled to.

    Parameters
    ----------
    spacings : sequence of sequence of 3 float
        Spacing of each case in mm.
    shapes : sequence of sequence of 3 int
        Shape of each case.

    Returns
    -------
    ndarray of shape (3,)
        Median per axis; but along an axis with thick slices (more than three times the spacing and
        less than a third of the voxels of the others) the 10th percentile, so that few cases lose
        slices.

    Examples
    --------
    >>> target_spacing([(1, 1, 6), (1, 1, 4), (1, 1, 7)], [(256, 256, 20)] * 3).round(2).tolist()
    [1.0, 1.0, 4.4]
    """
    spacing = np.median(spacings, axis=0)
    size = np.median(np.array(shapes) * np.array(spacings) / spacing, axis=0)
    worst = int(spacing.argmax())
    others = np.delete(spacing, worst)
    thick = spacing[worst] > ANISOTROPY * others.max()
    if thick and size[worst] * ANISOTROPY < np.delete(size, worst).min():
        tenth = np.percentile(np.array(spacings)[:, worst], 10)
        spacing[worst] = max(tenth, others.max())
    return spacing


def topology(
    patch_size: ArrayLike, spacing: ArrayLike
) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]]:
    """Choose the stages of a U-Net for a patch.

    Parameters
    ----------
    patch_size : sequence of 3 int
        Wanted shape of the patch.
    spacing : sequence of 3 float
        Voxel spacing in mm.

    Returns
    -------
    patch_size : tuple of 3 int
        The shape, enlarged to be divisible by the product of the strides.
    strides : tuple of tuple of 3 int
        Stride of each stage; an axis is halved while it has 8 voxels (12 if it is the only one)
        and its spacing is below twice the smallest.
    kernels : tuple of tuple of 3 int
        Kernel of each stage: 1 along an axis until its spacing is below twice the smallest, then 3.

    Examples
    --------
    >>> patch, strides, kernels = topology((20, 256, 256), (5.0, 1.0, 1.0))
    >>> patch, strides[1], strides[3], kernels[0], kernels[3]
    ((20, 256, 256), (1, 2, 2), (2, 2, 2), (1, 3, 3), (3, 3, 3))
    """
    size, width = np.array(patch_size), np.array(spacing, dtype=float)
    kernel = np.ones(3, int)
    strides: list[tuple[int, ...]] = [(1, 1, 1)]
    kernels: list[tuple[int, ...]] = []
    while True:
        poolable = size >= 2 * _SMALLEST_EDGE
        if not poolable.any():
            break
        poolable &= width < 2 * width[poolable].min()
        if poolable.sum() == 1 and size[poolable][0] < 3 * _SMALLEST_EDGE:
            break
        kernel[width < 2 * width.min()] = 3
        stride = np.where(poolable, 2, 1)
        strides.append(_triple(stride))
        kernels.append(_triple(kernel))
        size, width = -(-size // stride), width * stride
    kernels.append((3, 3, 3))
    divisor = np.prod(strides, axis=0)
    return _triple(-(-np.array(patch_size) // divisor) * divisor), tuple(strides), tuple(kernels)


def feature_map_size(
    patch_size: Sequence[int],
    strides: Sequence[Sequence[int]],
    features: Sequence[int],
    n_classes: int,
) -> int:
    """Count the feature-map values that training on one patch keeps.

    Parameters
    ----------
    patch_size : sequence of 3 int
        Shape of the patch.
    strides : sequence of sequence of 3 int
        Stride of each stage.
    features : sequence of int
        Channels of each stage.
    n_classes : int
        Number of labels, background included.

    Returns
    -------
    int
        Outputs of two convolutions per stage on the way down and up, of the transposed
        convolutions and of the segmentation layer of each resolution.
    """
    voxels = [int(np.prod(size)) for size in _stage_sizes(patch_size, strides)]
    down = sum(2 * n * c for n, c in zip(voxels, features, strict=True))
    up = sum(n * (3 * c + n_classes) for n, c in zip(voxels[:-1], features[:-1], strict=True))
    return down + up


def _features(n_stages: int, base: int, largest: int) -> tuple[int, ...]:
    return tuple(min(base * 2**stage, largest) for stage in range(n_stages))


def _stage_sizes(
    patch_size: Sequence[int], strides: Sequence[Sequence[int]]
) -> list[NDArray[np.intp]]:
    sizes = np.array(patch_size) // np.cumprod(strides, axis=0)
    return list(sizes)


def _statistics(values: NDArray[np.float32]) -> IntensityStatistics:
    low, high = np.percentile(values, [0.5, 99.5])
    mean, std = values.mean(dtype=np.float64), values.std(dtype=np.float64)
    return IntensityStatistics(float(mean), float(std), float(low), float(high))


def _triple(values: NDArray[Any]) -> tuple[int, ...]:
    return tuple(int(v) for v in values)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value


def _by(values: Sequence[float] | NDArray[Any]) -> str:
    return "x".join(f"{v:g}" for v in values)
