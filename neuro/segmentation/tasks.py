"""What recipes run: train on a data set or on label maps, evaluate, and write the results down.

Each task is a plain function; a recipe gives its keyword arguments, the command line adds
``run_dir`` and ``resume``. What a task returns is printed.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine.data import Loader
from fieldgrad.engine.errors import DataError
from fieldgrad.engine.nn.module import Parameter
from fieldgrad.engine.ops.random import manual_seed
from fieldgrad.engine.optim import Optimizer
from fieldgrad.engine.train import Learner, MixedPrecision
from fieldgrad.engine.train.budget import Plan as BudgetPlan
from fieldgrad.engine.train.folds import Fold
from fieldgrad.neuro.images.datasets import load_mni152, open_dataset
from fieldgrad.neuro.images.io import write_labels
from fieldgrad.neuro.segmentation import report
from fieldgrad.neuro.segmentation.learners import dataset_learner
from fieldgrad.neuro.segmentation.metrics import evaluate, volumes, write_tsv
from fieldgrad.neuro.segmentation.segmenter import Normalization, Preparation, Segmenter
from fieldgrad.neuro.segmentation.synth import Synthesizer
from fieldgrad.neuro.segmentation.train import SyntheticPairs, fit_and_save, fit_segmenter
from fieldgrad.shared_models import UNet

Array = NDArray[Any]

log = logging.getLogger("fieldgrad.neuro")

__all__ = ["evaluate_dataset", "mean_scores", "segment_template", "train_on_dataset"]


def train_on_dataset(
    dataset: Path,
    *,
    run_dir: Path,
    budget: str = "10min",
    held_back: float = 0.2,
    base_features: int = 8,
    lr: float = 1e-2,
    deep_supervision: bool = False,
    mirror_axes: list[int] | None = None,
    steps_per_epoch: int = 50,
    n_workers: int = 1,
    precision: Literal["float32", "auto", "bfloat16"] = "float32",
    seed: int = 0,
    fold: str = "",
    resume: bool = False,
) -> str:
    """Plan and train a segmentation network for a folder in the layout of nnU-Net.

    Parameters
    ----------
    dataset : Path
        Folder with dataset.json, imagesTr and labelsTr.
    run_dir : Path
        Folder for the results: plan.json, data.json (checksum, cases of training and evaluation),
        history.csv, training.png, model.safetensors.
    budget : str, default "10min"
        Training time or length, such as "30min" or "100 epochs".
    held_back : float, default 0.2
        Part of the cases that training does not see, for `evaluate_dataset`.
    base_features : int, default 8
        Channels of the finest stage; nnU-Net has 32 on a graphics processor.
    lr : float, default 1e-2
        Highest learning rate of AdamW; it rises and falls once (`engine.train.one_cycle`).
    deep_supervision : bool, default False
        Add the loss at coarser resolutions, as nnU-Net does for long trainings.
    mirror_axes : list of int, optional
        Array axes along which patches are mirrored at random, of the RAS+ grid: 0 is left-right.
        None by default, for the sides of a brain differ; `Segmenter.predict` can average over the
        same axes.
    steps_per_epoch : int, default 50
        Steps between two validations.
    n_workers : int, default 1
        Threads that cut and augment patches ahead.
    precision : {"float32", "auto", "bfloat16"}, default "float32"
        Of large products; auto takes bfloat16 where the machine is faster in it
        (`engine.train.MixedPrecision`).
    seed : int, default 0
        Seed of split, initial weights and patches.
    fold : str, default ""
        Hold back this fold of a cross-validation, such as "2/5", instead of the part `held_back`,
        and evaluate it; ``fieldgrad run RECIPE --folds 5`` runs all.
    resume : bool, default False
        Continue the run in `run_dir`.

    Returns
    -------
    str
        What was trained, the validation scores, and how to go on.

    Raises
    ------
    FileError
        If a file of the data set is missing or damaged.
    DataError
        If there are fewer than two cases, a case cannot be used, or the data have changed since
        the run to be continued began.

    Notes
    -----
    The prepared cases are held in memory, 4 bytes per voxel and channel and 1 for the labels: 100
    brains of 256³ voxels need 8 GB.
    """
    BudgetPlan(budget, steps_per_epoch)  # a mistake in it shall not wait for the data
    learner, segmenter, record = dataset_learner(
        dataset,
        run_dir=run_dir,
        held_back=held_back,
        base_features=base_features,
        lr=lr,
        deep_supervision=deep_supervision,
        steps_per_epoch=steps_per_epoch,
        n_workers=n_workers,
        seed=seed,
        mirror_axes=mirror_axes or (),
        fold=fold,
        callbacks=[MixedPrecision(precision)],
    )
    fit_and_save(learner, segmenter, budget, run_dir, resume=resume)
    plot_history(learner, run_dir / "training.png")
    if fold:
        rows = evaluate_dataset(dataset, segmenter, out=run_dir / "evaluation")
        Fold.parse(fold).write(run_dir, mean_scores(rows), rows)
    last = learner.history[-1]
    scores = "\n".join(
        f"  {'mean' if key == 'dice' else key.removeprefix('dice_'):<20}{value:8.3f}"
        for key, value in last.items()
        if key.startswith("dice")
    )
    return (
        f"\nTrained {segmenter.network.n_parameters():,} weights for {learner.step} steps "
        f"({last['seconds']:.0f} s).\n"
        f"Cases: {len(record['train'])} trained on, {len(record['held back'])} held back. Dice "
        f"over the middle "
        f"patches of those held back:\n{scores}\n\n"
        f"Evaluate whole images: fieldgrad neuro evaluate {dataset} -m "
        f"{run_dir / 'model.safetensors'}\n"
    )


def evaluate_dataset(
    dataset: Path,
    segmenter: Segmenter,
    *,
    out: Path,
    all_cases: bool = False,
    mirror: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[dict[str, Any]]:
    """Segment labeled cases of a folder and compare with their labels.

    Parameters
    ----------
    dataset : Path
        Folder in the layout of nnU-Net.
    segmenter : Segmenter
        The model.
    out : Path
        Folder for the segmentations and evaluation.tsv.
    all_cases : bool, default False
        Evaluate every case, also those the model was trained on, instead of those held back.
    mirror : bool, default False
        Average over mirrored patches, as `Segmenter.predict` does.
    progress : callable, optional
        Called with the number of cases done and of all cases.

    Returns
    -------
    list of dict
        A row per case and structure: case, label, name, dice, hd95_mm, assd_mm, volumes in mm³.

    Raises
    ------
    DataError
        If the model knows of no held-back case of this data set, or the data set has channels or
        labels that the model has not.
    """
    data = open_dataset(dataset)
    strange = [
        f"{value} ({name})" for value, name in data.labels.items() if value not in segmenter.labels
    ]
    if strange:
        raise DataError(
            f"{dataset} has labels that the model does not give: {', '.join(strange)}; it gives "
            f"{', '.join(map(str, segmenter.labels))}.\nEvaluate it on data with its own labels."
        )
    held_back = set(json.loads(segmenter.about.get("held back", "[]")))
    cases = [case for case in data.cases if all_cases or case.name in held_back]
    if not cases:
        raise DataError(
            f"{dataset}: none of its {len(data.cases)} cases was held back when this model was "
            "trained. Evaluate all of them with --all, if none was used for training."
        )
    rows = []
    for i, case in enumerate(cases):
        images, truth = data.read(case)
        assert truth is not None  # every case of imagesTr has labels
        prediction = segmenter.predict(images, mirror=mirror)
        write_labels(prediction, out / f"{case.name}.nii.gz")
        rows += [{"case": case.name, **row} for row in evaluate(prediction, truth)]
        if progress is not None:
            progress(i + 1, len(cases))
    write_tsv(rows, out / "evaluation.tsv")
    return rows


def mean_scores(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Mean Dice and surface distances over cases, of all structures together and of each.

    Parameters
    ----------
    rows : sequence of mapping
        As from `evaluate_dataset`.

    Returns
    -------
    dict of str to float
        ``dice``, ``hd95_mm``, and ``dice_`` with the name of each structure; what is not defined
        (NaN, for a structure that is missing) is left out of the means.
    """
    columns = {name: [float(row[name]) for row in rows] for name in ("dice", "hd95_mm")}
    for structure in dict.fromkeys(row["name"] for row in rows):
        own = [float(row["dice"]) for row in rows if row["name"] == structure]
        columns[f"dice_{structure}"] = own
    return {name: float(np.nanmean(values)) for name, values in columns.items()}


def segment_template(
    *,
    run_dir: Path,
    budget: str,
    model: Callable[..., UNet],
    synthesizer: Synthesizer,
    optimizer: Callable[[Iterable[Parameter]], Optimizer],
    schedule: Callable[[float], float],
    steps_per_epoch: int = 50,
    batch_size: int = 1,
    n_workers: int = 1,
    precision: Literal["float32", "auto", "bfloat16"] = "float32",
    seed: int = 0,
    resume: bool = False,
) -> str:
    """Train on images synthesized from the MNI152 tissue map; segment the real template.

    Parameters
    ----------
    run_dir : Path
        Folder for all results.
    budget : str
        Training time or length, such as "5min" or "400 steps".
    model : callable
        Network, without its numbers of channels and classes.
    synthesizer : Synthesizer
        Draws the training images; its spacing (1 or 2 mm) is the network's.
    optimizer : callable
        Parameters to optimizer.
    schedule : callable
        Progress to the factor of the learning rate.
    steps_per_epoch : int, default 50
        Steps between two rows of the log.
    batch_size : int, default 1
        Images per step.
    n_workers : int, default 1
        Threads that synthesize images ahead.
    precision : {"float32", "auto", "bfloat16"}, default "float32"
        Of large products; auto takes bfloat16 where the machine is faster in it
        (`engine.train.MixedPrecision`).
    seed : int, default 0
        Seed of the initial weights and of the training images.
    resume : bool, default False
        Continue the run in `run_dir`.

    Returns
    -------
    str
        What was done, the Dice of each tissue, and where the files are.
    """
    template, tissues = load_mni152(1)
    spacing = int(synthesizer.spacing[0])
    coarse_template, coarse_tissues = load_mni152(spacing)
    labels = dict(tissues.labels or {})

    manual_seed(seed)
    settings = {"in_channels": 1, "n_classes": len(labels) + 1, **_settings(model)}
    segmenter = Segmenter(
        UNet(**settings),
        settings,
        Preparation(
            spacing=(float(spacing),) * 3,
            patch_size=_three(synthesizer.patch_size or coarse_tissues.shape),
            channels=(Normalization(synthesizer.normalize),),
        ),
        labels,
        {
            "trained on": "images synthesized from the MNI152 tissue map (nilearn), no real image",
            "sha256": hashlib.sha256(coarse_tissues.data.tobytes()).hexdigest(),
        },
    )
    loader = Loader(
        SyntheticPairs([coarse_tissues.data], synthesizer),
        batch_size,
        seed=seed,
        n_workers=n_workers,
        n_batches=steps_per_epoch,
    )
    learner = fit_segmenter(
        segmenter,
        loader,
        None,
        budget=budget,
        run_dir=run_dir,
        optimizer=optimizer,
        schedule=schedule,
        callbacks=[MixedPrecision(precision)],
        resume=resume,
        seed=seed,
    )

    segmentation = segmenter.predict(template)
    write_labels(segmentation, run_dir / "segmentation.nii.gz")
    write_tsv(
        [
            {"label": value, "name": labels[value], "volume_mm3": volume}
            for value, volume in volumes(segmentation).items()
        ],
        run_dir / "volumes.tsv",
    )
    report.plot_overlay(
        template, segmentation, run_dir / "overlay.png", title="MNI152 template, segmented"
    )
    plot_history(learner, run_dir / "training.png")
    scores = {
        f"{spacing} mm": evaluate(segmenter.predict(coarse_template), coarse_tissues),
        "1 mm": evaluate(segmentation, tissues),
    }
    write_tsv(
        [{"grid": grid, **row} for grid, rows in scores.items() for row in rows],
        run_dir / "dice.tsv",
    )
    return _template_summary(segmenter, learner, scores, run_dir)


def plot_history(learner: Learner, path: Path) -> None:
    """Draw loss and Dice of a training run over its steps."""
    rows = learner.history
    steps = [row["step"] for row in rows]
    names = [key for key in (rows[0] if rows else {}) if "loss" in key or "dice" in key]
    panels: dict[str, Any] = {}
    for name in names:
        quantity = "Dice" if "dice" in name else "loss"
        panels.setdefault(quantity, {})[name] = (steps, [row[name] for row in rows])
    report.plot_curves(panels, path, x_label="step")


def _settings(model: Callable[..., Any]) -> dict[str, Any]:
    """The keyword arguments that a recipe bound to the network's class."""
    return dict(model.keywords) if isinstance(model, partial) else {}


def _three(sizes: Iterable[int]) -> tuple[int, int, int]:
    first, second, third = (int(n) for n in sizes)
    return first, second, third


def _template_summary(
    segmenter: Segmenter,
    learner: Learner,
    scores: Mapping[str, list[dict[str, Any]]],
    run_dir: Path,
) -> str:
    lines = [
        "",
        "The real MNI152 T1 template, segmented by a network trained on synthetic images alone:",
        f"a U-Net of {segmenter.network.n_parameters():,} weights, trained for {learner.step} "
        f"steps ({learner.history[-1]['seconds']:.0f} s) on",
        "images synthesized from the template's tissue map. Dice against the template's own maps:",
        "",
        f"  {'tissue':<14}" + "".join(f"{grid:>8}" for grid in scores),
    ]
    for i, row in enumerate(next(iter(scores.values()))):
        lines.append(
            f"  {row['name']:<14}" + "".join(f"{rows[i]['dice']:8.3f}" for rows in scores.values())
        )
    means = [float(np.mean([row["dice"] for row in rows])) for rows in scores.values()]
    lines += [
        f"  {'mean':<14}" + "".join(f"{mean:8.3f}" for mean in means),
        "",
        f"  {run_dir / 'segmentation.nii.gz'}   labels on the template's own grid",
        f"  {run_dir / 'overlay.png'}           look at this first",
        f"  {run_dir / 'volumes.tsv'}           volume of each tissue in mm³",
        f"  {run_dir / 'training.png'}          loss over the steps",
        f"  {run_dir / 'model.safetensors'}     for: fieldgrad neuro segment IMAGE -m MODEL -o OUT",
        "",
    ]
    return "\n".join(lines)
