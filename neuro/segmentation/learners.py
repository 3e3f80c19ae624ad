"""Three lines to a trained segmentation: a learner for a labeled data set, planned and prepared.

>>> from fieldgrad import neuro
>>> learner = neuro.segmenter("Task04_Hippocampus")  # doctest: +SKIP
>>> learner.fit_one_cycle("10min", 1e-2)  # doctest: +SKIP
>>> learner.save("hippocampus.safetensors")  # doctest: +SKIP

The file is for ``Segmenter.load`` and ``fieldgrad neuro segment``.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine.data import Loader
from fieldgrad.engine.errors import DataError
from fieldgrad.engine.files import atomic_write
from fieldgrad.engine.ops.random import manual_seed
from fieldgrad.engine.optim import AdamW
from fieldgrad.engine.train import Callback, Learner
from fieldgrad.neuro.images.datasets import Dataset, open_dataset
from fieldgrad.neuro.images.io import label_dtype
from fieldgrad.neuro.images.resample import resample_labels_onto
from fieldgrad.neuro.segmentation.augment import Augmenter, RotateScale, nnunet_transforms
from fieldgrad.neuro.segmentation.plan import fingerprint, make_plan
from fieldgrad.neuro.segmentation.segmenter import Normalization, Preparation, Segmenter
from fieldgrad.neuro.segmentation.train import (
    CenterPatches,
    RandomPatches,
    segmenter_learner,
    split_cases,
)
from fieldgrad.shared_models import UNet

__all__ = ["dataset_learner", "segmenter"]

log = logging.getLogger("fieldgrad.neuro")


def segmenter(
    dataset: str | os.PathLike[str],
    *,
    run_dir: str | os.PathLike[str] | None = None,
    held_back: float = 0.2,
    base_features: int = 8,
    lr: float = 1e-2,
    deep_supervision: bool = False,
    mirror_axes: Sequence[int] = (),
    steps_per_epoch: int = 50,
    n_workers: int = 1,
    seed: int = 0,
) -> Learner:
    """Plan a network for a labeled data set and make the learner that trains it.

    Parameters
    ----------
    dataset : str or os.PathLike
        Folder in the layout of nnU-Net: dataset.json, imagesTr, labelsTr.
    run_dir : str or os.PathLike, optional
        Folder for checkpoints, logs and pictures; without it nothing is written.
    held_back : float, default 0.2
        Part of the cases that training does not see; validation uses them.
    base_features : int, default 8
        Channels of the finest stage; nnU-Net has 32 on a graphics processor.
    lr : float, default 1e-2
        Highest learning rate of AdamW; ``learner.fit`` takes one cycle.
    deep_supervision : bool, default False
        Add the loss at coarser resolutions.
    mirror_axes : sequence of int, default ()
        Array axes along which patches are mirrored at random, of the RAS+ grid: 0 is left-right;
        ``learner.predict(tta=True)`` averages over the same. None is the default, for left and
        right, front and back, top and bottom of a brain differ.
    steps_per_epoch : int, default 50
        Steps between two validations.
    n_workers : int, default 1
        Threads that cut and augment patches ahead.
    seed : int, default 0
        Seed of split, initial weights and patches.

    Returns
    -------
    Learner
        For ``fit``, ``fit_one_cycle``, ``lr_find``; its ``save`` writes the Segmenter.

    Raises
    ------
    FileError, DataError
        If the data cannot be used.
    """
    learner, _, _ = dataset_learner(
        Path(dataset),
        run_dir=None if run_dir is None else Path(run_dir),
        held_back=held_back,
        base_features=base_features,
        lr=lr,
        deep_supervision=deep_supervision,
        mirror_axes=mirror_axes,
        steps_per_epoch=steps_per_epoch,
        n_workers=n_workers,
        seed=seed,
    )
    return learner


def dataset_learner(
    dataset: Path,
    *,
    run_dir: Path | None,
    held_back: float,
    base_features: int,
    lr: float,
    deep_supervision: bool,
    steps_per_epoch: int,
    n_workers: int,
    seed: int,
    mirror_axes: Sequence[int] = (),
    fold: str = "",
    callbacks: Sequence[Callback] = (),
) -> tuple[Learner, Segmenter, dict[str, Any]]:
    """Make a learner as `segmenter` does, with what a task needs besides.

    Parameters
    ----------
    dataset : Path
        As for `segmenter`.
    run_dir : Path or None
        As for `segmenter`; plan.json and data.json are written there.
    held_back : float
        As for `segmenter`, like the others.
    base_features : int
        Channels of the finest stage.
    lr : float
        Learning rate.
    deep_supervision : bool
        Add the loss at coarser resolutions.
    steps_per_epoch : int
        Steps between two validations.
    n_workers : int
        Threads that load.
    seed : int
        Seed of everything.
    mirror_axes : sequence of int, default ()
        As for `segmenter`.
    fold : str, default ""
        Hold back this fold of a cross-validation, such as "2/5", instead of the part `held_back`.
    callbacks : sequence of Callback, optional
        Further ones.

    Returns
    -------
    learner : Learner
        Not trained yet.
    segmenter : Segmenter
        Whose network it trains.
    record : dict
        Checksum and division of the data, as in data.json.

    Raises
    ------
    FileError, DataError
        If the data cannot be used, or have changed since the run in `run_dir` began.
    """
    data = open_dataset(dataset)
    names = [case.name for case in data.cases]
    train_names, test_names = split_cases(names, held_back, seed, fold)
    plan = make_plan(fingerprint(data), base_features=base_features)
    checksum = data.digest()
    record = {"sha256": checksum, "train": train_names, "held back": test_names}
    if run_dir is not None:
        _refuse_other_data(record, run_dir / "data.json", data.folder)
        plan.save(run_dir / "plan.json")
        _write_json(record, run_dir / "data.json")
    log.info("%s", plan)

    manual_seed(seed)
    settings: dict[str, Any] = {
        "in_channels": len(data.channels),
        "n_classes": len(data.labels) + 1,
        "features": plan.features,
        "kernel_sizes": plan.kernels,
        "strides": plan.strides,
        "deep_supervision": deep_supervision,
    }
    model = Segmenter(
        UNet(**settings),
        settings,
        Preparation(
            spacing=(plan.spacing[0], plan.spacing[1], plan.spacing[2]),
            patch_size=(plan.patch_size[0], plan.patch_size[1], plan.patch_size[2]),
            channels=tuple(
                Normalization(kind, s.low, s.high, s.mean, s.std)
                for kind, s in zip(plan.normalization, plan.intensities, strict=True)
            ),
        ),
        data.labels,
        {
            "dataset": data.folder.name,
            "sha256": checksum,
            "held back": json.dumps(test_names),
        },
        mirror_axes=mirror_axes,
    )
    prepared = {name: _prepare(data, model, name) for name in names}
    augment = Augmenter(nnunet_transforms(plan.patch_size, mirror_axes=mirror_axes))
    rotate = augment.transforms["RotateScale"]
    assert isinstance(rotate, RotateScale)
    train = RandomPatches(
        *zip(*(prepared[name] for name in train_names), strict=True),
        input_size=rotate.input_size(),
        augment=augment,
    )
    valid = CenterPatches(
        *zip(*(prepared[name] for name in test_names), strict=True), patch_size=plan.patch_size
    )
    loader = Loader(
        train,
        plan.batch_size,
        shuffle=True,
        seed=seed,
        n_workers=n_workers,
        n_batches=steps_per_epoch,
    )
    learner = segmenter_learner(
        model,
        loader,
        Loader(valid, plan.batch_size),
        run_dir=run_dir,
        optimizer=partial(AdamW, lr=lr),
        callbacks=callbacks,
        seed=seed,
    )
    return learner, model, record


def _write_json(content: Mapping[str, Any], path: Path) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _refuse_other_data(record: Mapping[str, Any], path: Path, dataset: Path) -> None:
    """Compare with what the run wrote when it began: continued, it must keep its split and data."""
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != record:
        raise DataError(
            f"{dataset} has changed since the run in {path.parent} began ({path.name} differs).\n"
            "Restore the data, or start a new run in another folder (--out)."
        )


def _prepare(data: Dataset, segmenter: Segmenter, name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """One case as the network sees it: intensities and consecutive classes."""
    case = next(case for case in data.cases if case.name == name)
    images, truth = data.read(case)
    assert truth is not None
    scan, grid = segmenter.preparation.apply(images)
    labels = resample_labels_onto(truth, grid).data
    table = np.zeros(max(segmenter.labels) + 1, label_dtype(len(segmenter.labels)))
    table[list(segmenter.labels)] = np.arange(1, len(segmenter.labels) + 1)
    return scan, table[labels]
