"""What a run of this field shows of itself: predictions while it trains, parts of its report."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine import Tensor, no_grad
from fieldgrad.engine.checkpoint import load
from fieldgrad.engine.data import Loader
from fieldgrad.engine.runs.report import Section, bootstrap_interval, read_data_record
from fieldgrad.engine.train import Learner
from fieldgrad.neuro.images.image import Image
from fieldgrad.neuro.images.io import read_labels
from fieldgrad.neuro.segmentation.report import overlay_png
from fieldgrad.neuro.segmentation.segmenter import Segmenter

__all__ = ["patch_pictures", "report_sections"]

_DICE = (
    "Dice is the overlap of the segmentation with the reference, 2 |A and B| / (|A| + |B|): 1 "
    "where they agree in every voxel, 0 where they have none in common. "
)


def patch_pictures(segmenter: Segmenter, loader: Loader) -> Callable[[Learner], dict[str, bytes]]:
    """Make the hook that draws what a network predicts for one patch while it trains.

    Parameters
    ----------
    segmenter : Segmenter
        Its network is trained.
    loader : Loader
        The first item of its epoch 0 is drawn every time.

    Returns
    -------
    callable
        For `train.Pictures`: the patch with the predicted labels over it, and with the true ones.
    """
    kept: list[Any] = []

    def draw(learner: Learner) -> dict[str, bytes]:
        if not kept:
            kept.append(next(iter(loader.iterate(0))))
        x, target = (np.asarray(array)[:1] for array in kept[0][:2])
        with no_grad():
            scores = learner.model(Tensor(x))
        scores = scores[0] if isinstance(scores, list | tuple) else scores
        found = np.asarray(scores)[0].argmax(axis=0)
        affine = np.diag([*segmenter.preparation.spacing, 1.0])
        affine[:3, 3] = -affine[:3, :3] @ (np.array(found.shape) - 1) / 2  # 0 mm: its middle
        names = dict(enumerate(segmenter.labels.values(), 1))
        image = Image(x[0, 0], affine)
        pictures = {}
        for name, classes in (("prediction", found), ("reference", target[0])):
            labels = Image(classes.astype(np.uint8), affine, labels=names)
            title = f"{name}, step {learner.step}" if name == "prediction" else name
            title += " (mm from the middle of the patch)"
            pictures[name] = overlay_png(image, labels, title=title)
        return pictures

    return draw


def report_sections(run_dir: Path) -> list[Section]:
    """Give this field's parts of the report of a run.

    Parameters
    ----------
    run_dir : Path
        The run's folder.

    Returns
    -------
    list of Section
        Data, Dice with confidence intervals, volumes, the segmentation over its image.
    """
    sections = [_data(run_dir)]
    evaluation = run_dir / "evaluation" / "evaluation.tsv"
    if evaluation.exists():
        sections.append(_cases(_rows(evaluation)))
    elif (run_dir / "data.json").exists():
        text = (
            "The cases held back have not been evaluated yet. fieldgrad neuro evaluate does so, "
            "with whole images; the Dice below is over the middle patches of these cases, without "
            "an interval."
        )
        sections.append(Section("Agreement with the manual labels", text))
    if (run_dir / "segmentation.nii.gz").exists() and (run_dir / "dice.tsv").exists():
        sections += [_template(run_dir), _volumes(_rows(run_dir / "volumes.tsv"))]
    return [section for section in sections if section.text or section.rows]


def _data(run_dir: Path) -> Section:
    record = read_data_record(run_dir)
    if record:
        held_back = record.get("held back", [])
        rows = [
            ("trained on", f"{len(record.get('train', []))} cases"),
            ("held back", f"{len(held_back)} cases: {', '.join(held_back[:8])}"
             + (" …" if len(held_back) > 8 else "")),
            ("checksum (SHA-256)", record.get("sha256", "")),
        ]  # fmt: skip
        text = (
            "Scans are reoriented, resampled and normalized as plan.json says; whole cases are "
            "held back."
        )
        return Section("Data", text, (), rows)
    about = _about(run_dir / "model.safetensors")
    shown = [(key, value) for key, value in about.items() if key != "recipe"]
    text = "What the network was trained on, as its model file tells:" if shown else ""
    return Section("Data", text, (), shown)


def _about(model: Path) -> dict[str, str]:
    if not model.exists():
        return {}
    description = json.loads(load(model)[1].get("description", "{}"))
    about: dict[str, str] = description.get("about") or {}
    return about


def _cases(rows: list[dict[str, str]]) -> Section:
    """Dice over cases, which are independent of one another."""
    names = list(dict.fromkeys(row["name"] for row in rows))
    table = []
    for name in names:
        values = [_number(row["dice"]) for row in rows if row["name"] == name]
        table.append((name, str(len(values)), *_with_interval(values)))
    text = _DICE + (
        "Mean over the cases that training did not see, with a 95 % interval from resampling the "
        "cases; distances and volumes of each case are in evaluation/evaluation.tsv."
    )
    return Section("Agreement with the manual labels", text, _HEAD, table)


_HEAD = ("structure", "n", "Dice", "95 % interval")


def _with_interval(values: list[float]) -> tuple[str, str]:
    known = [value for value in values if not np.isnan(value)]
    if not known:
        return "n/a", "n/a"
    low, high = bootstrap_interval(known)
    return f"{np.mean(known):.3f}", "n/a" if np.isnan(low) else f"{low:.3f} to {high:.3f}"


def _template(run_dir: Path) -> Section:
    """Dice of the template, with an interval over its slices, for it is one brain only."""
    from fieldgrad.neuro.images.datasets import load_mni152

    _, truth = load_mni152(1)
    found = read_labels(run_dir / "segmentation.nii.gz")
    table = [
        (name, str(truth.shape[2]), *_over_slices(found.data == value, truth.data == value))
        for value, name in (truth.labels or {}).items()
    ]
    text = _DICE + (
        "This is one brain, the MNI152 template, so the interval comes from resampling its axial "
        "slices: it says how evenly good the segmentation is within this brain, and nothing about "
        "other people's."
    )
    pictures = {"The template and its segmentation in three planes": run_dir / "overlay.png"}
    head = ("tissue", "slices", "Dice", "95 % interval")
    return Section("Agreement with the template's own tissue maps", text, head, table, pictures)


def _over_slices(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> tuple[str, str]:
    both = np.count_nonzero(found & truth, axis=(0, 1))
    size = np.count_nonzero(found, axis=(0, 1)) + np.count_nonzero(truth, axis=(0, 1))
    drawn = np.random.default_rng(0).integers(0, len(size), (2000, len(size)))
    dice = 2 * both[drawn].sum(axis=1) / size[drawn].sum(axis=1)
    low, high = np.percentile(dice, [2.5, 97.5])
    return f"{2 * both.sum() / size.sum():.3f}", f"{low:.3f} to {high:.3f}"


def _volumes(rows: list[dict[str, str]]) -> Section:
    table = [(row["name"], f"{float(row['volume_mm3']) / 1000:,.1f}") for row in rows]
    text = "Voxels of each label times the volume of a voxel, on the scan's own grid."
    return Section("Volumes", text, ("structure", "volume (mL)"), table)


def _rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def _number(text: str | Mapping[str, Any]) -> float:
    try:
        return float(str(text))
    except ValueError:
        return float("nan")
