"""Training a Segmenter: sources of training pairs, and the fit that all recipes share."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine import Tensor
from fieldgrad.engine.data import Loader
from fieldgrad.engine.errors import DataError
from fieldgrad.engine.nn.module import Parameter
from fieldgrad.engine.optim import AdamW, Optimizer
from fieldgrad.engine.train.callbacks import (
    Checkpoint,
    GradientClip,
    SaveOnSignal,
    ScheduleLR,
    StopOnNaN,
)
from fieldgrad.engine.train.events import Callback
from fieldgrad.engine.train.folds import Fold
from fieldgrad.engine.train.knobs import Knob, knob_of
from fieldgrad.engine.train.learner import Learner
from fieldgrad.engine.train.logs import CSVLog, Pictures, Progress
from fieldgrad.engine.train.metrics import Dice
from fieldgrad.engine.train.prediction import flips
from fieldgrad.engine.train.schedules import one_cycle
from fieldgrad.neuro.segmentation.augment import Augmenter
from fieldgrad.neuro.segmentation.losses import dice_cross_entropy
from fieldgrad.neuro.segmentation.patches import choose_patch, extract_patch, foreground_locations
from fieldgrad.neuro.segmentation.run_report import patch_pictures
from fieldgrad.neuro.segmentation.segmenter import Segmenter
from fieldgrad.neuro.segmentation.synth import Synthesizer

__all__ = [
    "CenterPatches",
    "RandomPatches",
    "SyntheticPairs",
    "fit_and_save",
    "fit_segmenter",
    "segmenter_learner",
    "split_cases",
]

Pair = tuple[NDArray[np.float32], NDArray[np.int32]]
Optimize = Callable[[Iterable[Parameter]], Optimizer]

CLIP_NORM = 12.0  # of the gradient, as in nnU-Net


class SyntheticPairs:
    """Images synthesized from label maps, with their label maps.

    Parameters
    ----------
    maps : sequence of ndarray of int, shape (n0, n1, n2)
        Label maps in RAS+ orientation.
    synthesizer : Synthesizer
        Draws image and target.
    """

    def __init__(self, maps: Sequence[NDArray[np.integer[Any]]], synthesizer: Synthesizer) -> None:
        self.maps = list(maps)
        self.synthesizer = synthesizer

    def __len__(self) -> int:
        return len(self.maps)

    def item(self, index: int, rng: np.random.Generator) -> Pair:
        """Make a pair from one label map.

        Parameters
        ----------
        index : int
            Which label map.
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        image : ndarray of shape (1, p0, p1, p2)
            Intensities, float32.
        classes : ndarray of shape (p0, p1, p2)
            Class of each voxel, int32.
        """
        image, target, _ = self.synthesizer(self.maps[index], rng)
        return image[None], target.astype(np.int32)


class RandomPatches:
    """Random patches of prepared scans, a third of them on foreground, augmented.

    Parameters
    ----------
    scans : sequence of ndarray, shape (n_channels, n0, n1, n2)
        Prepared intensities.
    classes : sequence of ndarray of int, shape (n0, n1, n2)
        Class of each voxel, 0 background.
    input_size : sequence of 3 int
        Shape of the patches that go into the augmentation, larger where it rotates.
    augment : Augmenter
        Applied to each patch.

    Attributes
    ----------
    strength : float
        Part of the drawn transforms that take place, 1 at first; a knob.
    """

    def __init__(
        self,
        scans: Sequence[NDArray[np.float32]],
        classes: Sequence[NDArray[np.integer[Any]]],
        *,
        input_size: Sequence[int],
        augment: Augmenter,
    ) -> None:
        self.scans, self.classes = list(scans), list(classes)
        self.input_size = tuple(input_size)
        self.augment = augment
        self.strength = 1.0
        rng = np.random.default_rng(0)  # which voxels stand for a class
        self.locations = [foreground_locations(c, rng) for c in self.classes]

    def __len__(self) -> int:
        return len(self.scans)

    def item(self, index: int, rng: np.random.Generator) -> Pair:
        """Cut and augment a patch of one scan.

        Parameters
        ----------
        index : int
            Which scan.
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        image : ndarray of shape (n_channels, p0, p1, p2)
            Intensities, float32.
        classes : ndarray of shape (p0, p1, p2)
            Class of each voxel, int32.
        """
        scan, classes = self.scans[index], self.classes[index]
        start = choose_patch(classes.shape, self.input_size, rng, locations=self.locations[index])
        # Scans are padded with their darkest value, which is background for every normalization.
        image = extract_patch(scan, start, self.input_size, fill=float(scan.min()))
        record = self.augment.sample(rng, len(image))
        if self.strength < 1:  # RotateScale also cuts to the patch size, so it always takes place
            record = [
                entry
                for entry in record
                if entry["name"] == "RotateScale" or rng.random() < self.strength
            ]
        target = extract_patch(classes, start, self.input_size)
        image, target = self.augment.apply(image, target, record)
        return np.ascontiguousarray(image, np.float32), target.astype(np.int32)

    def knobs(self) -> dict[str, Knob]:
        """Offer the strength of the augmentation.

        Returns
        -------
        dict of str to Knob
            ``augmentation``.
        """
        text = "part of the random changes of intensity and contrast that take place"
        knob = knob_of(self, "strength", text, low=0, high=1, remakes_batches=True)
        return {"augmentation": knob}


class CenterPatches:
    """The middle of each prepared scan, unchanged, for validation while training.

    Parameters
    ----------
    scans : sequence of ndarray, shape (n_channels, n0, n1, n2)
        Prepared intensities.
    classes : sequence of ndarray of int, shape (n0, n1, n2)
        Class of each voxel, 0 background.
    patch_size : sequence of 3 int
        Shape of the patches.
    """

    def __init__(
        self,
        scans: Sequence[NDArray[np.float32]],
        classes: Sequence[NDArray[np.integer[Any]]],
        *,
        patch_size: Sequence[int],
    ) -> None:
        self.scans, self.classes = list(scans), list(classes)
        self.patch_size = tuple(patch_size)

    def __len__(self) -> int:
        return len(self.scans)

    def item(self, index: int, rng: np.random.Generator) -> Pair:
        """Cut the patch out of one scan.

        Parameters
        ----------
        index : int
            Which scan.
        rng : numpy.random.Generator
            Not used.

        Returns
        -------
        image : ndarray of shape (n_channels, p0, p1, p2)
            Intensities, float32.
        classes : ndarray of shape (p0, p1, p2)
            Class of each voxel, int32.
        """
        scan, classes = self.scans[index], self.classes[index]
        start = [(n - p) // 2 for n, p in zip(classes.shape, self.patch_size, strict=True)]
        image = extract_patch(scan, start, self.patch_size, fill=float(scan.min()))
        return image, extract_patch(classes, start, self.patch_size).astype(np.int32)


def segmenter_learner(
    segmenter: Segmenter,
    train: Loader,
    valid: Loader | None,
    *,
    run_dir: Path | None = None,
    optimizer: Optimize = AdamW,
    schedule: Callable[[float], float] = one_cycle,
    callbacks: Sequence[Callback] = (),
    seed: int = 0,
) -> Learner:
    """Make the learner that trains a Segmenter's network.

    Parameters
    ----------
    segmenter : Segmenter
        Its network is trained in place; ``learner.save`` writes the Segmenter.
    train, valid : Loader
        Batches (image, classes): (batch, n_channels, p0, p1, p2), (batch, p0, p1, p2).
    run_dir : Path, optional
        Folder for history.csv, checkpoints and pictures; without it nothing is written.
    optimizer : callable
        Parameters to optimizer.
    schedule : callable
        Progress from 0 to 1 to the factor of the learning rate.
    callbacks : sequence of Callback
        Further ones, beside schedule, gradient clipping, checkpoints, log and progress bar.
    seed : int, default 0
        Seed of the training loop.

    Returns
    -------
    Learner
        Not trained yet.
    """
    own: list[Callback] = [ScheduleLR(schedule), GradientClip(CLIP_NORM), StopOnNaN(), Progress()]
    if run_dir is not None:
        own += [Checkpoint(), SaveOnSignal(), CSVLog()]
        if importlib.util.find_spec("matplotlib") is not None:
            own.append(Pictures(patch_pictures(segmenter, valid or train)))
    return Learner(
        segmenter.network,
        _loss,
        optimizer(segmenter.network.parameters()),
        train,
        valid,
        metrics=[Dice(list(segmenter.labels.values()))] if valid is not None else [],
        callbacks=[*own, *callbacks],
        run_dir=run_dir,
        seed=seed,
        write_model=segmenter.save,
        field="neuro",
        views=flips([2 + axis for axis in segmenter.mirror_axes]),
    )


def fit_segmenter(
    segmenter: Segmenter,
    train: Loader,
    valid: Loader | None,
    *,
    budget: str,
    run_dir: Path,
    optimizer: Optimize = AdamW,
    schedule: Callable[[float], float] = one_cycle,
    callbacks: Sequence[Callback] = (),
    resume: bool = False,
    seed: int = 0,
) -> Learner:
    """Train a Segmenter's network and write the run: checkpoints, log and model file.

    Parameters
    ----------
    segmenter : Segmenter
        Its network is trained in place.
    train, valid : Loader
        Batches (image, classes): (batch, n_channels, p0, p1, p2), (batch, p0, p1, p2).
    budget : str
        Such as "20 epochs", "500 steps" or "10min".
    run_dir : Path
        Folder for history.csv, the checkpoints and model.safetensors.
    optimizer : callable
        Parameters to optimizer.
    schedule : callable
        Progress from 0 to 1 to the factor of the learning rate.
    callbacks : sequence of Callback
        Further ones, beside those of `segmenter_learner`.
    resume : bool, default False
        Continue from the run's last checkpoint.
    seed : int, default 0
        Seed of the training loop.

    Returns
    -------
    Learner
        After training; its history has the curves.
    """
    learner = segmenter_learner(
        segmenter,
        train,
        valid,
        run_dir=run_dir,
        optimizer=optimizer,
        schedule=schedule,
        callbacks=callbacks,
        seed=seed,
    )
    return fit_and_save(learner, segmenter, budget, run_dir, resume=resume)


def fit_and_save(
    learner: Learner, segmenter: Segmenter, budget: str, run_dir: Path, *, resume: bool
) -> Learner:
    """Train with the recipe on record, and write the model file of the run.

    Parameters
    ----------
    learner : Learner
        As from `segmenter_learner`.
    segmenter : Segmenter
        Whose network it trains.
    budget : str
        Such as "20 epochs", "500 steps" or "10min".
    run_dir : Path
        Folder of the run, for model.safetensors.
    resume : bool
        Continue from the run's last checkpoint.

    Returns
    -------
    Learner
        After training.
    """
    recipe = run_dir / "recipe.toml"
    if recipe.exists():
        # Whoever finds a checkpoint or model alone still knows how it was made.
        learner.notes["recipe"] = segmenter.about["recipe"] = recipe.read_text(encoding="utf-8")
    learner.fit(budget, resume=resume)
    segmenter.network.eval()
    learner.save(run_dir / "model.safetensors")
    return learner


def _loss(logits: Tensor | list[Tensor], target: Tensor) -> Tensor:
    return dice_cross_entropy(logits, target.data)


def split_cases(
    names: Sequence[str], held_back: float, seed: int, fold: str = ""
) -> tuple[list[str], list[str]]:
    """Divide cases at random into those to train on and those to evaluate on.

    Parameters
    ----------
    names : sequence of str
        Names of all cases; their order does not matter.
    held_back : float
        Part of the cases to evaluate on, between 0 and 1; at least one case on each side.
    seed : int
        The same seed gives the same division.
    fold : str, default ""
        Hold back this fold of a cross-validation, such as "2/5", instead of that part.

    Returns
    -------
    train, test : list of str
        In alphabetical order.

    Raises
    ------
    DataError
        If there are fewer than two cases, or `held_back` is not between 0 and 1.
    """
    if not 0 < held_back < 1:
        raise DataError(
            f"held_back is {held_back:g}; expected a number between 0 and 1, such as 0.2 to train "
            "on four fifths of the cases and evaluate on the others."
        )
    if len(names) < 2:
        raise DataError(
            f"labeled cases: {len(names)} ({', '.join(names)}); expected at least two, one to "
            "train on and one to evaluate on.\nLabel another scan and add it."
        )
    ordered = sorted(names)
    if fold:
        parts = Fold.parse(fold).divide(len(ordered), seed=seed)
        kept, judged = ([ordered[i] for i in part] for part in parts)
        return kept, judged
    n_test = min(max(round(held_back * len(ordered)), 1), len(ordered) - 1)
    chosen = set(np.random.default_rng(seed).permutation(len(ordered))[:n_test].tolist())
    return (
        [name for i, name in enumerate(ordered) if i not in chosen],
        [name for i, name in enumerate(ordered) if i in chosen],
    )
