"""Synthesis of training images from label maps, in the manner of SynthSeg.

A network that has seen images of every contrast and resolution, made from label maps alone, can
segment a scan of a contrast that it never saw. Each image is made by deforming a label map,
drawing an intensity for each voxel from its label's Gaussian, and degrading the result like a
scanner does: bias field, gamma, low resolution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from fieldgrad.engine.errors import DataError
from fieldgrad.neuro.images.intensity import rescale_percentiles, zscore
from fieldgrad.neuro.images.resample import along_axes, axis_operator
from fieldgrad.neuro.segmentation.patches import choose_patch

__all__ = ["T1_PRIORS", "Prior", "Synthesizer"]

Prior = tuple[float, float, float, float]
"""Ranges of a class's mean and standard deviation: mean from, to; standard deviation from, to."""

T1_PRIORS: Mapping[int, Prior] = {
    1: (40, 110, 5, 25),  # cerebrospinal fluid
    2: (120, 180, 5, 25),  # gray matter
    3: (190, 235, 5, 25),  # white matter
}
"""T1-weighted contrast on a scale of 0 to 255 for `fieldgrad.neuro.images.datasets.TISSUES`."""

_MAX_INTENSITY = 300.0
_INTEGRATION_STEPS = 5  # 2**5 small steps: at 4 mm a step moves 1/8 mm, far less than a grid cell
_SHARP = 0.5  # voxels: even an image of full resolution has a point spread


@dataclass(frozen=True, kw_only=True)
class Synthesizer:
    """Random training pairs from label maps.

    Parameters
    ----------
    patch_size : sequence of 3 int, optional
        Shape of the pairs, cut at a random place; only this part is computed. Without it pairs
        have the shape of the label map.
    spacing : sequence of 3 float, default (1, 1, 1)
        Voxel spacing of the label maps in mm.
    targets : mapping of int to int, optional
        What each label becomes in the target; labels not named become 0. Without it the target
        has the labels themselves.
    classes : mapping of int to int, optional
        Intensity class of each label, for labels that share one Gaussian. Of labels not named,
        those paired by `sides` share the class of the smaller, others are their own class.
    priors : mapping of int to tuple of 4 float, optional
        Ranges (mean from, to, standard deviation from, to) of intensity classes; classes not named
        have the ranges `mean` and `std`.
    mean, std : tuple of 2 float, default (25, 225) and (5, 25)
        Uniform ranges of a class's mean and standard deviation, on a scale of 0 to 255.
    zero_background : float, default 0.5
        Probability that label 0 is exactly zero, as in skull-stripped images.
    flip : float, default 0.5
        Probability of mirroring left and right.
    flip_axis : int, default 0
        The array axis that runs from left to right; 0 in RAS+ orientation.
    sides : mapping of int to int, optional
        Label of the other side for each sided label; exchanged when mirroring.
    scaling : float, default 0.2
        Each axis is scaled by a factor within 1 ± this.
    rotation : float, default 15
        Largest angle about each axis, in degrees.
    shearing : float, default 0.012
        Largest shear.
    displacement : float, default 4
        Largest standard deviation of the velocity field that deforms the map, in mm.
    displacement_grid : float, default 0.04
        Nodes of this field per voxel along an axis.
    bias : float, default 0.7
        Largest standard deviation of the logarithm of the bias field.
    bias_grid : float, default 0.025
        Nodes of the bias field per voxel along an axis.
    gamma : float, default 0.5
        Standard deviation of the logarithm of the exponent applied to intensities.
    isotropic, thick : float, default 4 and 8
        Coarsest resolution along all axes, and along a single one, in mm.
    normalize : {"percentiles", "zscore"}, default "percentiles"
        `rescale_percentiles` to 0..1, or `zscore`; use the same before prediction.

    Raises
    ------
    DataError
        If `sides` is not symmetric or `normalize` is unknown.

    Notes
    -----
    The deformation is a stationary velocity field with random normal values at coarse nodes,
    cubic interpolation between them, integrated by scaling and squaring: it is smooth and does not
    fold, so no structure is torn. The field is integrated on at most 32 nodes per axis. Labels are
    read at the nearest voxel.

    Resolution: with probability 0.05 that of the label map, 0.1 isotropic, else one thick axis; the
    blur before downsampling has a standard deviation of 0.75 of the new voxel.

    References
    ----------
    B. Billot et al., "SynthSeg: segmentation of brain MRI scans of any contrast and resolution
    without retraining", Medical Image Analysis 86, 2023, doi:10.1016/j.media.2023.102789.
    The chances of each kind of resolution are this program's own.
    V. Arsigny et al., "A log-Euclidean framework for statistics on diffeomorphisms", MICCAI 2006,
    doi:10.1007/11866565_113 (scaling and squaring).

    Examples
    --------
    >>> labels = np.zeros((24, 24, 24), np.uint8)
    >>> labels[6:18, 6:18, 6:18] = 1
    >>> image, target, record = Synthesizer(priors={1: (200, 200, 5, 5)})(
    ...     labels, np.random.default_rng(0)
    ... )
    >>> image.shape, target.dtype.name, bool(image.min() == 0)
    ((24, 24, 24), 'uint8', True)
    """

    patch_size: Sequence[int] | None = None
    spacing: Sequence[float] = (1.0, 1.0, 1.0)
    targets: Mapping[int, int] | None = None
    classes: Mapping[int, int] | None = None
    priors: Mapping[int, Prior] | None = None
    mean: tuple[float, float] = (25.0, 225.0)
    std: tuple[float, float] = (5.0, 25.0)
    zero_background: float = 0.5
    flip: float = 0.5
    flip_axis: int = 0
    sides: Mapping[int, int] | None = None
    scaling: float = 0.2
    rotation: float = 15.0
    shearing: float = 0.012
    displacement: float = 4.0
    displacement_grid: float = 0.04
    bias: float = 0.7
    bias_grid: float = 0.025
    gamma: float = 0.5
    isotropic: float = 4.0
    thick: float = 8.0
    normalize: str = "percentiles"

    def __post_init__(self) -> None:
        sides = self.sides or {}
        if any(sides.get(other) != label for label, other in sides.items()):
            raise DataError(
                f"Synthesizer: sides is {dict(sides)}; expected each pair in both directions, for "
                "example {17: 53, 53: 17}."
            )
        if self.normalize not in ("percentiles", "zscore"):
            raise DataError(
                f"Synthesizer: normalize is {self.normalize!r}; expected percentiles or zscore."
            )

    def __call__(
        self, labels: NDArray[np.integer[Any]], rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.integer[Any]], dict[str, Any]]:
        """Make a random training pair.

        Parameters
        ----------
        labels : ndarray of int of shape (n0, n1, n2)
            Label map, in RAS+ orientation if `flip_axis` is 0.
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        image : ndarray of shape `patch_size`
            Normalized intensities in float32.
        target : ndarray of shape `patch_size`
            Label map of the smallest of uint8 and int32.
        record : dict
            Everything that was drawn, for `apply`; it can be written as JSON.
        """
        record = self.sample(labels, rng)
        return *self.apply(labels, record), record

    def sample(self, labels: NDArray[np.integer[Any]], rng: np.random.Generator) -> dict[str, Any]:
        """Draw the parameters of a pair.

        Parameters
        ----------
        labels : ndarray of int of shape (n0, n1, n2)
            Label map.
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        dict
            Numbers, lists and seeds; the label means and standard deviations are by class.
        """
        shape = labels.shape
        patch = shape if self.patch_size is None else self.patch_size
        means, stds = {}, {}
        for value in self._classes_in(labels):
            low, high, std_low, std_high = (self.priors or {}).get(value, (*self.mean, *self.std))
            means[value] = float(rng.uniform(low, high))
            stds[value] = float(rng.uniform(std_low, std_high))
        if 0 in means and rng.random() < self.zero_background:
            means[0] = stds[0] = 0.0
        resolution = np.array(self.spacing, dtype=float)
        kind = rng.random()
        if kind >= 0.15:
            axis = rng.integers(3)
            resolution[axis] = rng.uniform(resolution[axis], max(self.thick, resolution[axis]))
        elif kind >= 0.05:
            finest = resolution.max()
            resolution[:] = rng.uniform(finest, max(self.isotropic, finest))
        return {
            "start": list(choose_patch(shape, patch, rng)),
            "patch_size": [int(n) for n in patch],
            "flip": bool(rng.random() < self.flip),
            "scaling": rng.uniform(1 - self.scaling, 1 + self.scaling, 3).tolist(),
            "rotation": rng.uniform(-self.rotation, self.rotation, 3).tolist(),
            "shearing": rng.uniform(-self.shearing, self.shearing, 3).tolist(),
            "displacement": float(rng.uniform(0, self.displacement)),
            "displacement_seed": int(rng.integers(2**32)),
            "means": means,
            "stds": stds,
            "noise_seed": int(rng.integers(2**32)),
            "bias": float(rng.uniform(0, self.bias)),
            "bias_seed": int(rng.integers(2**32)),
            "gamma": float(np.exp(rng.normal(0, self.gamma))),
            "resolution": resolution.tolist(),
            "blur": float(rng.uniform(1 / 1.03, 1.03)),
        }

    def apply(
        self, labels: NDArray[np.integer[Any]], record: Mapping[str, Any]
    ) -> tuple[NDArray[np.float32], NDArray[np.integer[Any]]]:
        """Make the pair that a record describes.

        Parameters
        ----------
        labels : ndarray of int of shape (n0, n1, n2)
            Label map.
        record : mapping
            From `sample`.

        Returns
        -------
        image : ndarray of shape `patch_size`
            Normalized intensities in float32.
        target : ndarray of shape `patch_size`
            Label map.
        """
        moved = self._deform(labels, record)
        present = range(int(moved.max()) + 1)
        targets = dict(zip(present, present, strict=True)) if self.targets is None else self.targets
        table = np.array([targets.get(label, 0) for label in present])
        image = self._degrade(self._draw(moved, record), labels.shape, record)
        return image, table.astype(np.uint8 if table.max() < 256 else np.int32)[moved]

    def _classes_in(self, labels: NDArray[np.integer[Any]]) -> list[int]:
        present = np.flatnonzero(np.bincount(labels.ravel())).tolist()
        return sorted({self._class(label) for label in {0, *present, *(self.sides or {})}})

    def _class(self, label: int) -> int:
        if self.classes and label in self.classes:
            return self.classes[label]
        return min(label, self.sides.get(label, label)) if self.sides else label

    def _deform(
        self, labels: NDArray[np.integer[Any]], record: Mapping[str, Any]
    ) -> NDArray[np.integer[Any]]:
        """Read the label map at the moved places of the patch's voxels."""
        shape, patch, start = labels.shape, record["patch_size"], record["start"]
        spacing = np.array(self.spacing, dtype=float)
        shear = np.eye(3)
        shear[np.triu_indices(3, 1)] = record["shearing"]
        turn = Rotation.from_euler("xyz", record["rotation"], degrees=True).as_matrix()
        linear = (turn @ np.diag(record["scaling"]) @ shear) * spacing / spacing[:, None]
        center = (np.array(shape) - 1) / 2
        first, second, third = (
            np.arange(n) + s - c for n, s, c in zip(patch, start, center, strict=True)
        )
        field = _velocity(shape, spacing, self.displacement_grid, record)
        operators = [
            _node_operator(m, n, s, p)
            for m, n, s, p in zip(field.shape[1:], shape, start, patch, strict=True)
        ]
        index = np.zeros(patch, np.int32)
        for axis, n in enumerate(shape):
            at = along_axes(operators, field[axis])
            plane = linear[axis, 0] * first[:, None] + linear[axis, 1] * second + center[axis]
            at += plane.astype(np.float32)[:, :, None]
            at += (linear[axis, 2] * third).astype(np.float32)
            if record["flip"] and axis == self.flip_axis:
                np.subtract(n - 1, at, out=at)
            np.clip(at, -1, n, out=at)  # one voxel of background all around, added below
            index *= n + 2
            index += np.rint(at, out=at).astype(np.int32) + 1
        moved = np.pad(labels, 1).ravel().take(index)
        if record["flip"] and self.sides:
            table = np.arange(max(int(moved.max()), *self.sides) + 1, dtype=np.int32)
            table[list(self.sides)] = list(self.sides.values())
            moved = table[moved]
        return moved

    def _draw(
        self, labels: NDArray[np.integer[Any]], record: Mapping[str, Any]
    ) -> NDArray[np.float32]:
        """Draw an intensity for each voxel from the Gaussian of its label's class."""
        present = [self._class(label) for label in range(int(labels.max()) + 1)]
        means = {int(k): v for k, v in record["means"].items()}  # JSON turns keys into strings
        stds = {int(k): v for k, v in record["stds"].items()}
        noise = np.random.default_rng(record["noise_seed"])
        image = noise.standard_normal(labels.shape, dtype=np.float32)
        image *= np.array([stds.get(k, 0) for k in present], np.float32)[labels]
        image += np.array([means.get(k, 0) for k in present], np.float32)[labels]
        return image

    def _degrade(
        self, image: NDArray[np.float32], shape: tuple[int, ...], record: Mapping[str, Any]
    ) -> NDArray[np.float32]:
        """Apply bias field, gamma and resolution, and normalize."""
        nodes = [max(2, int(np.ceil(self.bias_grid * n))) for n in shape]
        field = np.random.default_rng(record["bias_seed"]).standard_normal(nodes, dtype=np.float32)
        operators = [
            _node_operator(m, n, s, p, order=3)
            for m, n, s, p in zip(nodes, shape, record["start"], image.shape, strict=True)
        ]
        image *= np.exp(along_axes(operators, field * np.float32(record["bias"])))
        np.clip(image, 0, _MAX_INTENSITY, out=image)
        if image.max() == 0:  # a patch of empty background
            return image
        image /= image.max()
        np.power(image, np.float32(record["gamma"]), out=image)
        image = along_axes(
            [
                _resolution_operator(n, coarse / fine, record["blur"])
                for n, coarse, fine in zip(
                    image.shape, record["resolution"], self.spacing, strict=True
                )
            ],
            image,
        )
        if self.normalize == "zscore":
            return zscore(image)
        try:
            return rescale_percentiles(image)
        except DataError:  # less than 0.5 % of the patch is not background
            return image


def _velocity(
    shape: tuple[int, ...], spacing: NDArray[np.float64], grid: float, record: Mapping[str, Any]
) -> NDArray[np.float32]:
    """Make a smooth random deformation: displacements in voxels, (3, m0, m1, m2) nodes."""
    rng = np.random.default_rng(record["displacement_seed"])
    coarse = [max(2, int(np.ceil(grid * n))) for n in shape]
    nodes = [min(32, max(2, -(-n // 4))) for n in shape]
    velocity = rng.standard_normal((3, *coarse), dtype=np.float32) * record["displacement"]
    operators = [
        axis_operator(c, 0, (c - 1) / (m - 1), m, order=3)
        for c, m in zip(coarse, nodes, strict=True)
    ]
    voxels_per_node = np.array(
        [max(n - 1, 1) / (m - 1) for n, m in zip(shape, nodes, strict=True)], np.float32
    )
    field = np.stack([along_axes(operators, component) for component in velocity])
    field /= (voxels_per_node * spacing)[:, None, None, None]  # in node distances
    field /= 2**_INTEGRATION_STEPS
    identity = np.indices(nodes, dtype=np.float32)
    for _ in range(_INTEGRATION_STEPS):
        places = identity + field
        field = field + np.stack(
            [ndimage.map_coordinates(part, places, order=1, mode="nearest") for part in field]
        )
    return (field * voxels_per_node[:, None, None, None]).astype(np.float32)


def _node_operator(
    n_nodes: int, n: int, start: int, n_out: int, *, order: int = 1
) -> NDArray[np.float32]:
    """Interpolate from nodes spread evenly over n voxels to n_out voxels from start on."""
    step = (n_nodes - 1) / max(n - 1, 1)
    return axis_operator(n_nodes, start * step, step, n_out, order=order)


def _resolution_operator(n: int, ratio: float, blur: float) -> NDArray[np.float32]:
    """Blur and downsample by a ratio along an axis of n voxels, and interpolate back."""
    if ratio <= 1:
        return axis_operator(n, 0, 1, n, order=1, sigma=_SHARP * blur)
    n_coarse = int(np.ceil(n / ratio))
    start = (n - 1) / 2 - ratio * (n_coarse - 1) / 2
    down = axis_operator(n, start, ratio, n_coarse, order=1, sigma=0.75 * ratio * blur)
    return axis_operator(n_coarse, -start / ratio, 1 / ratio, n, order=1) @ down
