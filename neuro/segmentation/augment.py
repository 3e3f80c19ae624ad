"""Augmentation of training patches: nnU-Net's transforms, sampled and applied separately.

A transform has two methods: `sample` draws parameters (or ``None``: this time nothing happens) and
`apply` is a plain function of them. The parameters of a whole chain are a list of dictionaries that
can be written as JSON, looked at, and applied again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from fieldgrad.engine.errors import DataError, ShapeError
from fieldgrad.neuro.images.resample import along_axes, axis_operator
from fieldgrad.neuro.segmentation.patches import extract_patch

__all__ = [
    "Augmenter",
    "Blur",
    "Brightness",
    "Contrast",
    "Gamma",
    "LowResolution",
    "Mirror",
    "Noise",
    "RotateScale",
    "Transform",
    "nnunet_transforms",
]

Pair = tuple[NDArray[np.float32], NDArray[np.integer[Any]]]


class Transform(ABC):
    """A random change of a training patch; sampling is separate from applying."""

    @abstractmethod
    def sample(self, rng: np.random.Generator, n_channels: int) -> dict[str, Any] | None:
        """Draw parameters.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of randomness.
        n_channels : int
            Number of channels of the image.

        Returns
        -------
        dict or None
            Numbers, lists and seeds for `apply`; ``None`` if nothing is to be done this time.
        """

    @abstractmethod
    def apply(
        self,
        image: NDArray[np.float32],
        labels: NDArray[np.integer[Any]],
        parameters: Mapping[str, Any],
    ) -> Pair:
        """Do what the parameters say.

        Parameters
        ----------
        image : ndarray of shape (n_channels, n0, n1, n2)
            Normalized intensities; not changed.
        labels : ndarray of int of shape (n0, n1, n2)
            Label map; not changed.
        parameters : mapping
            From `sample`.

        Returns
        -------
        image : ndarray of shape (n_channels, m0, m1, m2)
            Intensities in float32.
        labels : ndarray of int of shape (m0, m1, m2)
            Label map.
        """


class Augmenter:
    """A chain of transforms with a record of what they did.

    Parameters
    ----------
    transforms : sequence of Transform
        Applied in this order; each at most once per kind.

    Examples
    --------
    >>> augment = Augmenter([Brightness(probability=1.0), Mirror()])
    >>> image, labels = np.ones((1, 4, 4, 4), np.float32), np.zeros((4, 4, 4), np.uint8)
    >>> new, _, record = augment(image, labels, np.random.default_rng(0))
    >>> again, _ = augment.apply(image, labels, record)
    >>> bool((again == new).all()), sorted(record[0])
    (True, ['factors', 'name'])
    """

    def __init__(self, transforms: Sequence[Transform]) -> None:
        self.transforms = {type(transform).__name__: transform for transform in transforms}
        if len(self.transforms) != len(transforms):
            raise DataError("Augmenter: two transforms of one kind; expected each kind once.")

    def __call__(
        self,
        image: NDArray[np.float32],
        labels: NDArray[np.integer[Any]],
        rng: np.random.Generator,
    ) -> tuple[NDArray[np.float32], NDArray[np.integer[Any]], list[dict[str, Any]]]:
        """Transform a pair at random.

        Parameters
        ----------
        image : ndarray of shape (n_channels, n0, n1, n2)
            Normalized intensities.
        labels : ndarray of int of shape (n0, n1, n2)
            Label map.
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        image : ndarray of shape (n_channels, m0, m1, m2)
            Intensities in float32; the shape changes only if `RotateScale` has a patch size.
        labels : ndarray of int of shape (m0, m1, m2)
            Label map.
        record : list of dict
            Name and parameters of the transforms that took place, for `apply`.

        Raises
        ------
        ShapeError
            If the arrays do not have these shapes.
        """
        record = self.sample(rng, len(image))
        return *self.apply(image, labels, record), record

    def sample(self, rng: np.random.Generator, n_channels: int) -> list[dict[str, Any]]:
        """Draw what will be done.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of randomness.
        n_channels : int
            Number of channels of the image.

        Returns
        -------
        list of dict
            Name and parameters of each transform that will take place.
        """
        drawn = {name: t.sample(rng, n_channels) for name, t in self.transforms.items()}
        return [{"name": name, **values} for name, values in drawn.items() if values is not None]

    def apply(
        self,
        image: NDArray[np.float32],
        labels: NDArray[np.integer[Any]],
        record: Sequence[Mapping[str, Any]],
    ) -> Pair:
        """Do what a record says.

        Parameters
        ----------
        image : ndarray of shape (n_channels, n0, n1, n2)
            Normalized intensities.
        labels : ndarray of int of shape (n0, n1, n2)
            Label map.
        record : sequence of mapping
            From `sample`.

        Returns
        -------
        image : ndarray of shape (n_channels, m0, m1, m2)
            Intensities in float32.
        labels : ndarray of int of shape (m0, m1, m2)
            Label map.

        Raises
        ------
        ShapeError
            If the arrays do not have these shapes.
        """
        if image.ndim != 4 or image.shape[1:] != labels.shape:
            raise ShapeError(
                f"augment: image has shape {image.shape} and labels {labels.shape}; expected "
                "(n_channels, n0, n1, n2) and (n0, n1, n2)."
            )
        image = image.astype(np.float32, copy=False)
        for parameters in record:
            image, labels = self.transforms[parameters["name"]].apply(image, labels, parameters)
        return image, labels


def nnunet_transforms(
    patch_size: Sequence[int],
    *,
    left_right_axis: int = 0,
    sides: Mapping[int, int] | None = None,
    mirror_axes: Sequence[int] = (0, 1, 2),
) -> list[Transform]:
    """Give nnU-Net's default training transforms with its probabilities and ranges.

    Parameters
    ----------
    patch_size : sequence of 3 int
        Shape of the patches that come out; put in larger ones (`RotateScale.input_size`) so that
        rotated corners hold image.
    left_right_axis : int, default 0
        The array axis from left to right; 0 in RAS+ orientation.
    sides : mapping of int to int, optional
        Label of the other side for each sided label, exchanged when left and right are mirrored.
    mirror_axes : sequence of int, default (0, 1, 2)
        Spatial axes to mirror; leave out the left-right axis if the image itself tells the sides
        apart and labels are sided without a partner.

    Returns
    -------
    list of Transform
        For `Augmenter`.

    References
    ----------
    F. Isensee et al., "nnU-Net", Nature Methods 18, 2021, doi:10.1038/s41592-020-01008-z,
    and the defaults of nnU-Net v2's trainer. Differences: linear
    interpolation of the image and nearest neighbor for labels.
    """
    rotation = [30.0, 30.0, 30.0]
    if max(patch_size) > 3 * min(patch_size):  # thick slices: turn within the slice only
        rotation = [180.0 if n == min(patch_size) else 0.0 for n in patch_size]
    return [
        RotateScale(patch_size=tuple(patch_size), rotation=tuple(rotation)),
        Noise(),
        Blur(),
        Brightness(),
        Contrast(),
        LowResolution(),
        Gamma(),
        Mirror(axes=tuple(mirror_axes), left_right_axis=left_right_axis, sides=sides or {}),
    ]


@dataclass(frozen=True)
class RotateScale(Transform):
    """Rotate and scale image and labels in one interpolation, about the center of the patch.

    Linear for the image, nearest neighbor for labels; outside the input both are 0.

    Parameters
    ----------
    patch_size : tuple of 3 int, optional
        Shape of the result, cut from the middle; without it the shape stays.
    rotation : tuple of 3 float, default (30, 30, 30)
        Largest angle about array axes 0, 1 and 2, in degrees. Angles are those of the voxel grid,
        true where voxels are isotropic.
    scaling : tuple of 2 float, default (0.7, 1.4)
        Range of the zoom: above 1 structures become larger. Half of the draws are below 1.
    p_rotation, p_scaling : float, default 0.2
        Probabilities, independent of one another.
    """

    patch_size: tuple[int, ...] | None = None
    rotation: tuple[float, ...] = (30.0, 30.0, 30.0)
    scaling: tuple[float, float] = (0.7, 1.4)
    p_rotation: float = 0.2
    p_scaling: float = 0.2

    def input_size(self) -> tuple[int, ...]:
        """Give the patch size to cut from the image so that rotation draws from image, not fill.

        Returns
        -------
        tuple of 3 int
            Bounding box of the patch rotated about each axis by up to its largest angle, at most
            45 degrees counted; zooming out is not covered.

        Raises
        ------
        ShapeError
            If the transform has no patch size.
        """
        if self.patch_size is None:
            raise ShapeError("RotateScale has no patch_size; give one to know the input size.")
        size = np.array(self.patch_size, dtype=float)
        largest = size.copy()
        for axis, degrees in enumerate(self.rotation):
            angle = np.radians([0, 0, 0])
            angle[axis] = np.radians(min(degrees, 45.0))
            turned = np.abs(Rotation.from_rotvec(angle).as_matrix()) @ size
            largest = np.maximum(largest, turned)
        return tuple(int(np.ceil(n)) for n in largest)

    def sample(self, rng: np.random.Generator, n_channels: int) -> dict[str, Any] | None:
        angles, zoom = [0.0, 0.0, 0.0], 1.0
        if rng.random() < self.p_rotation:
            angles = [float(rng.uniform(-a, a)) for a in self.rotation]
        if rng.random() < self.p_scaling:
            low, high = self.scaling
            zoom = float(rng.uniform(low, 1) if rng.random() < 0.5 else rng.uniform(1, high))
        if self.patch_size is None and zoom == 1 and not any(angles):
            return None
        return {"angles": angles, "zoom": zoom}

    def apply(
        self,
        image: NDArray[np.float32],
        labels: NDArray[np.integer[Any]],
        parameters: Mapping[str, Any],
    ) -> Pair:
        shape = labels.shape if self.patch_size is None else self.patch_size
        start = [(n - m) // 2 for n, m in zip(labels.shape, shape, strict=True)]
        if parameters["zoom"] == 1 and not any(parameters["angles"]):
            return extract_patch(image, start, shape), extract_patch(labels, start, shape)
        # The map from new voxels to old ones: rotate back, shrink.
        turn = Rotation.from_euler("xyz", parameters["angles"], degrees=True).as_matrix()
        matrix = turn.T / parameters["zoom"]
        middle = (np.array(shape) - 1) / 2
        offset = middle + start - matrix @ middle
        out = np.empty((len(image), *shape), np.float32)
        for channel, target in zip(image, out, strict=True):
            _read_at(channel, matrix, offset, shape, target, order=1)
        return out, _read_at(labels, matrix, offset, shape, labels.dtype, order=0)


@dataclass(frozen=True)
class Noise(Transform):
    """Add Gaussian noise.

    Parameters
    ----------
    probability : float, default 0.1
        Probability that it takes place.
    variance : float, default 0.1
        Largest variance, in units of normalized intensity.
    """

    probability: float = 0.1
    variance: float = 0.1

    def sample(self, rng: np.random.Generator, n_channels: int) -> dict[str, Any] | None:
        if rng.random() >= self.probability:
            return None
        return {"variance": float(rng.uniform(0, self.variance)), "seed": int(rng.integers(2**32))}

    def apply(
        self,
        image: NDArray[np.float32],
        labels: NDArray[np.integer[Any]],
        parameters: Mapping[str, Any],
    ) -> Pair:
        rng = np.random.default_rng(parameters["seed"])
        noise = rng.standard_normal(image.shape, dtype=np.float32)
        noise *= np.float32(np.sqrt(parameters["variance"]))
        return image + noise, labels


@dataclass(frozen=True)
class _PerChannel(Transform):
    """A change of intensity with one number per channel; ``None`` leaves the channel."""

    probability: float
    per_channel: float
    values: tuple[float, float]

    def sample(self, rng: np.random.Generator, n_channels: int) -> dict[str, Any] | None:
        if rng.random() >= self.probability:
            return None
        chosen = rng.random(n_channels) < self.per_channel
        values = rng.uniform(*self.values, n_channels).tolist()
        factors = [v if use else None for v, use in zip(values, chosen, strict=True)]
        return {"factors": factors} if chosen.any() else None

    def apply(
        self,
        image: NDArray[np.float32],
        labels: NDArray[np.integer[Any]],
        parameters: Mapping[str, Any],
    ) -> Pair:
        out = [
            channel if factor is None else self._change(channel, factor)
            for channel, factor in zip(image, parameters["factors"], strict=True)
        ]
        return np.stack(out), labels

    @abstractmethod
    def _change(self, channel: NDArray[np.float32], factor: float) -> NDArray[np.float32]: ...


@dataclass(frozen=True)
class Blur(_PerChannel):
    """Blur with a Gaussian.

    Parameters
    ----------
    probability : float, default 0.2
        Probability that it takes place.
    per_channel : float, default 0.5
        Probability for each channel then.
    values : tuple of 2 float, default (0.5, 1)
        Range of the standard deviation, in voxels.
    """

    probability: float = 0.2
    per_channel: float = 0.5
    values: tuple[float, float] = (0.5, 1.0)

    def _change(self, channel: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
        operators = [axis_operator(n, 0, 1, n, order=1, sigma=factor) for n in channel.shape]
        return along_axes(operators, channel)


@dataclass(frozen=True)
class Brightness(_PerChannel):
    """Multiply intensities.

    Parameters
    ----------
    probability : float, default 0.15
        Probability that it takes place.
    per_channel : float, default 1
        Probability for each channel then.
    values : tuple of 2 float, default (0.75, 1.25)
        Range of the factor.
    """

    probability: float = 0.15
    per_channel: float = 1.0
    values: tuple[float, float] = (0.75, 1.25)

    def _change(self, channel: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
        return channel * np.float32(factor)


@dataclass(frozen=True)
class Contrast(_PerChannel):
    """Stretch intensities about their mean, and clip them to their old range.

    Parameters
    ----------
    probability : float, default 0.15
        Probability that it takes place.
    per_channel : float, default 1
        Probability for each channel then.
    values : tuple of 2 float, default (0.75, 1.25)
        Range of the factor.
    """

    probability: float = 0.15
    per_channel: float = 1.0
    values: tuple[float, float] = (0.75, 1.25)

    def _change(self, channel: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
        mean = channel.mean()
        return np.clip((channel - mean) * np.float32(factor) + mean, channel.min(), channel.max())


@dataclass(frozen=True)
class LowResolution(_PerChannel):
    """Keep only as many voxels as a coarser scan has, and interpolate between them.

    Both steps are linear: nearest neighbor would shift the image by up to half a voxel.

    Parameters
    ----------
    probability : float, default 0.25
        Probability that it takes place.
    per_channel : float, default 0.5
        Probability for each channel then.
    values : tuple of 2 float, default (0.5, 1)
        Range of the number of voxels kept along each axis, as a share.
    """

    probability: float = 0.25
    per_channel: float = 0.5
    values: tuple[float, float] = (0.5, 1.0)

    def _change(self, channel: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
        operators = []
        for n in channel.shape:
            kept = max(round(n * factor), 1)
            step = n / kept
            down = axis_operator(n, (step - 1) / 2, step, kept, order=1)
            up = axis_operator(kept, (1 / step - 1) / 2, 1 / step, n, order=1)
            operators.append(up @ down)
        return along_axes(operators, channel)


@dataclass(frozen=True)
class Gamma(Transform):
    """Change intensities by a power, keeping mean and standard deviation.

    Parameters
    ----------
    probability : float, default 0.3
        Probability that it takes place.
    p_inverted : float, default 0.1
        Probability that it takes place, before, on the inverted image as well.
    values : tuple of 2 float, default (0.7, 1.5)
        Range of the exponent; half of the draws are below 1.
    """

    probability: float = 0.3
    p_inverted: float = 0.1
    values: tuple[float, float] = (0.7, 1.5)

    def sample(self, rng: np.random.Generator, n_channels: int) -> dict[str, Any] | None:
        drawn = {}
        for key, probability in (("inverted", self.p_inverted), ("upright", self.probability)):
            if rng.random() < probability:
                drawn[key] = [self._exponent(rng) for _ in range(n_channels)]
        return drawn or None

    def _exponent(self, rng: np.random.Generator) -> float:
        low, high = self.values
        return float(rng.uniform(low, 1) if rng.random() < 0.5 else rng.uniform(1, high))

    def apply(
        self,
        image: NDArray[np.float32],
        labels: NDArray[np.integer[Any]],
        parameters: Mapping[str, Any],
    ) -> Pair:
        for key, sign in (("inverted", -1), ("upright", 1)):
            if key in parameters:
                pairs = zip(image, parameters[key], strict=True)
                image = np.stack([sign * _power(sign * c, exponent) for c, exponent in pairs])
        return image, labels


@dataclass(frozen=True)
class Mirror(Transform):
    """Mirror image and labels, exchanging left and right labels where needed.

    Parameters
    ----------
    axes : tuple of int, default (0, 1, 2)
        Spatial axes that may be mirrored.
    probability : float, default 0.5
        Probability for each axis.
    left_right_axis : int, default 0
        The array axis from left to right; 0 in RAS+ orientation.
    sides : mapping of int to int, default {}
        Label of the other side for each sided label, in both directions.
    """

    axes: tuple[int, ...] = (0, 1, 2)
    probability: float = 0.5
    left_right_axis: int = 0
    sides: Mapping[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if any(self.sides.get(other) != label for label, other in self.sides.items()):
            raise DataError(
                f"Mirror: sides is {dict(self.sides)}; expected each pair in both directions, for "
                "example {17: 53, 53: 17}."
            )

    def sample(self, rng: np.random.Generator, n_channels: int) -> dict[str, Any] | None:
        chosen = [axis for axis in self.axes if rng.random() < self.probability]
        return {"axes": chosen} if chosen else None

    def apply(
        self,
        image: NDArray[np.float32],
        labels: NDArray[np.integer[Any]],
        parameters: Mapping[str, Any],
    ) -> Pair:
        axes = tuple(parameters["axes"])
        image = np.flip(image, tuple(1 + axis for axis in axes))
        labels = np.flip(labels, axes)
        if self.left_right_axis in axes and self.sides:
            table = np.arange(max(int(labels.max()), *self.sides) + 1, dtype=labels.dtype)
            table[list(self.sides)] = list(self.sides.values())
            labels = table[labels]
        return image, labels


# Unlike mode "constant", this one keeps border voxels that rounding puts a hair outside.
_read_at = partial(ndimage.affine_transform, mode="grid-constant")


def _power(channel: NDArray[np.float32], exponent: float) -> NDArray[np.float32]:
    mean, std, low = channel.mean(), channel.std(), channel.min()
    width = channel.max() - low
    if width == 0:
        return channel
    out = np.power((channel - low) / width, np.float32(exponent))
    return (out - out.mean()) * (std / max(out.std(), np.float32(1e-8))) + mean
