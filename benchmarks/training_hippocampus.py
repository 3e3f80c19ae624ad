"""The verbs of training on hippocampi: `verbs.compare` for a small 3-D U-Net.

Hippocampi of the Medical Segmentation Decathlon (folder ``neuro/msd_hippocampus`` of the
environment variable FIELDGRAD_DATA; without it there are no rows), resampled to 2 mm, which makes
a training short: mean Dice of anterior and posterior part over the middle patches of 40 held-back
cases, trained on the other 160. A network for fine-tuning has seen the hippocampus as a whole
before.
"""

import copy
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.runner import Row
from benchmarks.verbs import N_FOLDS, Problem, compare, one_cycle
from fieldgrad.engine import minimum
from fieldgrad.engine.nn import Module
from fieldgrad.engine.train import Learner, Progress, flips
from fieldgrad.engine.train.metrics import Dice
from fieldgrad.engine.train.prediction import Predictions
from fieldgrad.neuro.images.io import read_image, read_labels, write_image, write_labels
from fieldgrad.neuro.images.resample import resample, resample_labels
from fieldgrad.neuro.segmentation.learners import dataset_learner

STEPS, SPACING, SEEDS = 600, (2.0, 2.0, 2.0), (0, 1, 2)


def rows(threads: int, seconds: float) -> Iterator[Row]:
    """Train in every way; nothing here depends on the number of threads, so once is enough."""
    folder = Path(os.environ.get("FIELDGRAD_DATA", "")) / "neuro" / "msd_hippocampus"
    if not os.environ.get("FIELDGRAD_DATA") or not folder.is_dir() or threads != 1:
        return
    with tempfile.TemporaryDirectory() as place:
        coarse = _resampled(folder, Path(place))
        learner = _learner(coarse)
        twin = _learner(coarse, mirror_axes=[0])
        folds = [_learner(coarse, fold=f"{k + 1}/{N_FOLDS}") for k in range(N_FOLDS)]
    weights, optimizer = learner.model.state_dict(), learner.optimizer.state_dict()

    def begun(learner: Learner, seed: int) -> Learner:
        """Begin again; the initial weights are those of the field in an order by seed."""
        learner.model.load_state_dict(weights)
        learner.optimizer.load_state_dict(optimizer)
        rng = np.random.default_rng(seed)
        for p in learner.model.parameters():
            p.assign(rng.permutation(p.data.ravel()).reshape(p.shape))
        learner.train.seed = learner.seed = seed
        return learner

    def make(seed: int) -> Learner:
        return begun(learner, seed)

    def make_fold(number: int) -> Learner:
        return begun(folds[number], seed=number)

    def score(found: Predictions) -> float:
        dice = Dice(["anterior", "posterior"])
        dice.update(found.prediction, found.targets[0])
        return dice.value()["dice"]

    def pretrain(seed: int) -> Module:
        """Learn what is hippocampus, whichever part."""
        learner = make(seed)
        parts = learner.loss_function
        learner.loss_function = lambda logits, labels: parts(logits, minimum(labels, 1))
        learner.fit(f"{STEPS} steps")
        learner.loss_function = parts
        return copy.deepcopy(learner.model)

    yield from compare(
        Problem(
            "hippocampus",
            make,
            make_fold,
            score,
            "Dice ↑",
            STEPS,
            (3e-3, 1e-2),
            seeds=SEEDS,
            relation="the whole hippocampus",
            pretrain=pretrain,
        )
    )
    made = make(0)
    made.fit(f"{STEPS} steps")
    wrong = score(made.predict(tta=flips([2])))
    yield Row("mirrored views of a network trained without mirroring", wrong, "Dice ↑", digits=4)
    mirrored = []
    for seed in SEEDS:
        one_cycle(begun(twin, seed), STEPS)
        mirrored.append([score(twin.predict(tta=tta)) for tta in (False, True)])
    for values, views in zip(
        np.transpose(mirrored), ("", ", averaged over mirrored views"), strict=True
    ):
        name = f"lr_find, fit_one_cycle with mirroring{views}"
        spread = f"± {np.std(values, ddof=1):.4f} "
        yield Row(name, float(np.mean(values)), spread + "Dice ↑", digits=4)


def _resampled(folder: Path, place: Path) -> Path:
    """Write the data set at SPACING to a place and give that back."""
    shutil.copy(folder / "dataset.json", place)
    for part in ("imagesTr", "labelsTr"):
        (place / part).mkdir()
    for file in (folder / "imagesTr").iterdir():
        write_image(resample(read_image(file), SPACING), place / "imagesTr" / file.name)
    for file in (folder / "labelsTr").iterdir():
        labels = resample_labels(read_labels(file), SPACING)
        write_labels(labels, place / "labelsTr" / file.name)
    return place


def _learner(dataset: Path, **options: Any) -> Learner:
    """Make the field's learner, without a bar on the screen."""
    learner, _, _ = dataset_learner(
        dataset, run_dir=None, held_back=0.2, base_features=8, lr=1e-2, deep_supervision=False,
        steps_per_epoch=STEPS, n_workers=1, seed=0, **options,
    )  # fmt: skip
    learner.callbacks = [c for c in learner.callbacks if not isinstance(c, Progress)]
    return learner
