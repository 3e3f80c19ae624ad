"""What recipes run: train on a data set or on label maps, evaluate, and write the results down.

Each task is a plain function; a recipe gives its keyword arguments, the command line adds
``run_dir`` and ``resume``. What a task returns is printed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fieldgrad.engine.data import Loader
from fieldgrad.engine.nn.module import Parameter
from fieldgrad.engine.ops.random import manual_seed
from fieldgrad.engine.optim import Optimizer
from fieldgrad.engine.train.learner import Learner
from fieldgrad.neuro import report
from fieldgrad.neuro.datasets import load_mni152
from fieldgrad.neuro.image import Image
from fieldgrad.neuro.io import write_labels
from fieldgrad.neuro.metrics import evaluate, volumes, write_tsv
from fieldgrad.neuro.segmenter import Normalization, Preparation, Segmenter
from fieldgrad.neuro.synth import Synthesizer
from fieldgrad.neuro.train import SyntheticPairs, fit_segmenter
from fieldgrad.shared_models import UNet

__all__ = ["segment_template"]


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
        {"trained on": "images synthesized from the MNI152 tissue map (nilearn), no real image"},
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
        "The MNI152 T1 template, segmented by a network that has never seen a real image:",
        f"a U-Net of {segmenter.network.n_parameters():,} weights, trained for {learner.step} steps "
        f"({learner.history[-1]['seconds']:.0f} s) on",
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
