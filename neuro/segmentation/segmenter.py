"""The Segmenter: a trained network with everything needed to segment a scan as it comes.

A model file holds the network's weights and, as text, its settings, how scans are prepared for it,
and what its classes mean. Nothing else is needed to use it, and reading it runs no code.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
from nibabel.nifti1 import Nifti1Image
from nibabel.spatialimages import SpatialImage
from numpy.typing import NDArray

from fieldgrad.engine import Tensor, no_grad, softmax
from fieldgrad.engine.errors import DataError
from fieldgrad.engine.model_file import ModelFile
from fieldgrad.engine.nn.module import Module
from fieldgrad.engine.train.prediction import Ensemble, restore
from fieldgrad.neuro.images.image import Image, check_intensities
from fieldgrad.neuro.images.intensity import normalize_ct, rescale_percentiles, zscore
from fieldgrad.neuro.images.io import from_nibabel, to_nibabel
from fieldgrad.neuro.images.resample import labels_from_probabilities, resample, resample_onto
from fieldgrad.neuro.segmentation.patches import mirrored, sliding_window
from fieldgrad.shared_models import UNet

__all__ = ["Normalization", "Preparation", "Segmenter", "join_segmenters"]

MODEL_FILE = ModelFile("fieldgrad.neuro.Segmenter", "segmentation model", "a training run")


@dataclass(frozen=True)
class Normalization:
    """How one channel's intensities are brought to a common scale.

    Parameters
    ----------
    kind : {"zscore", "zscore-nonzero", "percentiles", "ct"}
        `zscore` (of all voxels, or of those that are not zero) and `rescale_percentiles` by the
        scan itself, `normalize_ct` by the training set.
    low, high, mean, std : float
        For "ct": percentiles 0.5 and 99.5, mean and standard deviation of the training set's
        foreground, in Hounsfield units.
    """

    kind: str = "zscore"
    low: float = 0.0
    high: float = 0.0
    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self) -> None:
        kinds = ("zscore", "zscore-nonzero", "percentiles", "ct")
        if self.kind not in kinds:
            raise DataError(
                f"normalization {self.kind!r} is unknown; expected one of {', '.join(kinds)}."
            )

    def apply(self, data: NDArray[Any]) -> NDArray[np.float32]:
        """Normalize the intensities of one channel.

        Parameters
        ----------
        data : ndarray of shape (n0, n1, n2)
            The intensities.

        Returns
        -------
        ndarray of shape (n0, n1, n2)
            Normalized, float32.
        """
        if self.kind == "zscore":
            return zscore(data)
        if self.kind == "zscore-nonzero":
            return zscore(data, data != 0)
        if self.kind == "percentiles":
            return rescale_percentiles(data)
        return normalize_ct(data, self.low, self.high, self.mean, self.std)


@dataclass(frozen=True)
class Preparation:
    """How a scan becomes the network's input.

    Parameters
    ----------
    spacing : tuple of 3 float
        Voxel spacing in mm that scans are resampled to, in RAS+ orientation.
    patch_size : tuple of 3 int
        Voxels that the network sees at once.
    channels : tuple of Normalization
        One for each channel.
    """

    spacing: tuple[float, float, float]
    patch_size: tuple[int, int, int]
    channels: tuple[Normalization, ...] = (Normalization(),)

    def check(self, images: Sequence[Image]) -> None:
        """Refuse what `apply` could not prepare.

        Parameters
        ----------
        images : sequence of Image
            The channels of one scan.

        Raises
        ------
        DataError
            If the number of channels is wrong, or an image has no usable intensities.
        """
        if len(images) != len(self.channels):
            raise DataError(
                f"{images[0].name if images else 'the scan'}: channels given: {len(images)}; the "
                f"model was trained with {len(self.channels)}. Pass them in the order of training."
            )
        for image in images:
            check_intensities(image)

    def apply(self, images: Sequence[Image]) -> tuple[NDArray[np.float32], Image]:
        """Reorient, resample and normalize the channels of one scan.

        Parameters
        ----------
        images : sequence of Image
            One for each channel; further channels are resampled onto the grid of the first.

        Returns
        -------
        array : ndarray of shape (n_channels, n0, n1, n2)
            The network's input.
        grid : Image
            The first channel on the network's grid, for its geometry.

        Raises
        ------
        DataError
            If the number of channels is wrong, or an image has no usable intensities.
        """
        self.check(images)
        grid = resample(images[0].to_canonical(), self.spacing)
        arrays = [grid.data] + [resample_onto(image, grid).data for image in images[1:]]
        normalized = [c.apply(a) for c, a in zip(self.channels, arrays, strict=True)]
        return np.stack(normalized), grid


class Segmenter:
    """A segmentation network that takes and gives images.

    Parameters
    ----------
    network : UNet or Ensemble of UNet
        Maps (batch, channel, n0, n1, n2) to logits (batch, class, n0, n1, n2).
    settings : mapping
        The keyword arguments that each ``UNet`` was built with, to build it again.
    preparation : Preparation
        How scans are prepared.
    labels : mapping of int to str
        Label value and name of classes 1, 2, … in order; class 0 is background.
    about : mapping of str to str, optional
        What the model was trained on and how, in words, for its users.
    mirror_axes : sequence of int, default ()
        Axes of the network's RAS+ grid (0 is left-right) along which training has mirrored:
        ``predict(mirror=True)`` averages over the same.
    """

    def __init__(
        self,
        network: Module,
        settings: Mapping[str, Any],
        preparation: Preparation,
        labels: Mapping[int, str],
        about: Mapping[str, str] | None = None,
        *,
        mirror_axes: Sequence[int] = (),
    ) -> None:
        self.network = network
        self.settings = dict(settings)
        self.preparation = preparation
        self.labels = dict(labels)
        self.about = dict(about or {})
        self.mirror_axes = tuple(mirror_axes)

    @overload
    def predict(
        self,
        image: Image | Sequence[Image],
        *,
        overlap: float = ...,
        mirror: bool = ...,
        progress: Callable[[int, int], None] | None = ...,
    ) -> Image: ...

    @overload
    def predict(
        self,
        image: SpatialImage | Sequence[SpatialImage],
        *,
        overlap: float = ...,
        mirror: bool = ...,
        progress: Callable[[int, int], None] | None = ...,
    ) -> Nifti1Image: ...

    def predict(
        self,
        image: Image | SpatialImage | Sequence[Image] | Sequence[SpatialImage],
        *,
        overlap: float = 0.5,
        mirror: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> Image | Nifti1Image:
        """Segment a scan.

        Parameters
        ----------
        image : Image, nibabel image, or sequence of either
            The scan, or its channels, with any orientation and spacing.
        overlap : float, default 0.5
            Least overlap of neighboring patches; more is slower and smoother.
        mirror : bool, default False
            Average over each patch and its mirror images along `mirror_axes` (two to the power of
            their number as slow).
        progress : callable, optional
            Called with the number of patches done and of all patches.

        Returns
        -------
        Image or nibabel.nifti1.Nifti1Image
            Label map on the grid of the (first) input image: an Image for Images, a NIfTI image
            for what nibabel holds. The network's mode (training or not) is left as it was.

        Raises
        ------
        DataError
            If the number of channels is wrong, an image has no usable intensities, or the model was
            trained without mirroring and `mirror` is true.
        """
        given = list(image) if isinstance(image, Sequence) else [image]
        images = [one if isinstance(one, Image) else from_nibabel(one) for one in given]
        probabilities, grid = self.predict_probabilities(
            images, overlap=overlap, mirror=mirror, progress=progress
        )
        classes = labels_from_probabilities(probabilities, grid, images[0])
        values = np.array([0, *self.labels])
        dtype = np.uint8 if values.max() < 256 else np.int32
        result = images[0].with_data(values.astype(dtype)[classes.data], self.labels)
        return result if isinstance(given[0], Image) else to_nibabel(result)

    def predict_probabilities(
        self,
        images: Sequence[Image],
        *,
        overlap: float = 0.5,
        mirror: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> tuple[NDArray[np.float32], Image]:
        """Give the probability of each class on the network's own grid.

        Parameters
        ----------
        images : sequence of Image
            The channels of one scan.
        overlap : float, default 0.5
            As for `predict`.
        mirror : bool, default False
            As for `predict`.
        progress : callable, optional
            As for `predict`.

        Returns
        -------
        probabilities : ndarray of shape (n_classes, n0, n1, n2)
            Summing to one in each voxel.
        grid : Image
            The first channel on that grid.
        """
        array, grid = self.preparation.apply(images)
        if mirror and not self.mirror_axes:
            raise DataError(
                "mirror: this model was trained without mirroring, so mirrored scans are strange "
                "to it and make the result worse.\nLeave the option out, or train with mirror_axes."
            )
        patches = self._patch_probabilities
        predict = mirrored(patches, self.mirror_axes) if mirror else patches
        training = self.network.training
        self.network.eval()
        try:
            probabilities = sliding_window(
                predict,
                array,
                self.preparation.patch_size,
                n_classes=len(self.labels) + 1,
                overlap=overlap,
                progress=progress,
            )
        finally:
            self.network.train(training)
        return probabilities, grid

    def _patch_probabilities(self, batch: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
        with no_grad():
            return softmax(self.network(Tensor(batch)), axis=1).numpy()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model file, whole or not at all.

        Parameters
        ----------
        path : path-like
            The .safetensors file.

        Raises
        ------
        FileError
            If the file cannot be written.
        """
        description = {
            "settings": self.settings,
            "preparation": asdict(self.preparation),
            "labels": {str(value): name for value, name in self.labels.items()},
            "about": self.about,
            "mirror_axes": self.mirror_axes,
        }
        MODEL_FILE.write(path, self.network.state_dict(), description)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Segmenter:
        """Read a model file.

        Parameters
        ----------
        path : path-like
            File that `save` wrote.

        Returns
        -------
        Segmenter
            Ready to `predict`.

        Raises
        ------
        FileError
            If the file is missing, damaged, or no segmentation model.
        """
        with MODEL_FILE.read(path) as (arrays, description):
            settings = description["settings"]
            prepared = description["preparation"]
            preparation = Preparation(
                tuple(prepared["spacing"]),
                tuple(prepared["patch_size"]),
                tuple(Normalization(**channel) for channel in prepared["channels"]),
            )
            labels = {int(value): str(name) for value, name in description["labels"].items()}
            network = restore(lambda: UNet(**settings), arrays)
        axes = description.get("mirror_axes", ())
        about = description.get("about")
        return cls(network, settings, preparation, labels, about, mirror_axes=axes)


def join_segmenters(files: Sequence[Path], path: Path) -> None:
    """Join models for the same task, such as those of a cross-validation, to their ensemble.

    Parameters
    ----------
    files : sequence of Path
        Model files. Their networks' logits are averaged.
    path : Path
        The model file of the ensemble.

    Raises
    ------
    FileError
        If a file cannot be read or written.
    DataError
        If the models prepare scans differently, or have other labels or networks.
    """
    models = [Segmenter.load(file) for file in files]
    first = models[0]
    for name in ("settings", "preparation", "labels", "mirror_axes"):
        for file, model in zip(files, models, strict=True):
            if getattr(model, name) != getattr(first, name):
                raise DataError(
                    f"join: {file} and {files[0]} differ in their {name}. Join models that were "
                    "trained with one recipe on one data set."
                )
    about = {key: text for key, text in first.about.items() if key != "held back"}
    joined = Segmenter(
        Ensemble(model.network for model in models),
        first.settings,
        first.preparation,
        first.labels,
        about | {"ensemble of": ", ".join(map(str, files))},
        mirror_axes=first.mirror_axes,
    )
    joined.save(path)
