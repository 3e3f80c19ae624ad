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

import numpy as np

from benchmarks.runner import Row
from benchmarks.verbs import Problem, compare, one_cycle
from fieldgrad.engine import minimum
from fieldgrad.engine.nn import Module
from fieldgrad.engine.train import Learner, Progress, flips
from fieldgrad.engine.train.metrics import Dice
from fieldgrad.neuro.images.io import read_image, read_labels, write_image, write_labels
from fieldgrad.neuro.images.resample import resample, resample_labels
from fieldgrad.neuro.segmentation.learners import segmenter

STEPS, SPACING = 600, (2.0, 2.0, 2.0)


def rows(threads: int, seconds: float) -> Iterator[Row]:
    """Train in every way; nothing here depends on the number of threads, so once is enough."""
    folder = Path(os.environ.get("FIELDGRAD_DATA", "")) / "neuro" / "msd_hippocampus"
    if not os.environ.get("FIELDGRAD_DATA") or not folder.is_dir() or threads != 1:
        return
    learner, twin = _learner(folder), _learner(folder, mirror_axes=[0])
    truth = learner.predict().targets[0]
    weights, optimizer = learner.model.state_dict(), learner.optimizer.state_dict()

    def make(seed: int) -> Learner:
        """Begin again; the initial weights are those of the field in an order by seed."""
        learner.model.load_state_dict(weights)
        learner.optimizer.load_state_dict(optimizer)
        rng = np.random.default_rng(seed)
        for p in learner.model.parameters():
            p.assign(rng.permutation(p.data.ravel()).reshape(p.shape))
        learner.train.seed = learner.seed = seed
        return learner

    def score(prediction: np.ndarray) -> float:
        dice = Dice(["anterior", "posterior"])
        dice.update(prediction, truth)
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
            score,
            "Dice ↑",
            STEPS,
            (3e-3, 1e-2),
            relation="the whole hippocampus",
            pretrain=pretrain,
        )
    )
    made = make(0)
    made.fit(f"{STEPS} steps")
    wrong = score(made.predict(tta=flips([2])).prediction)
    yield Row("mirrored views of a network trained without mirroring", wrong, "Dice ↑", digits=4)
    one_cycle(twin, STEPS)
    for name, tta in (("", False), (", averaged over mirrored views", True)):
        mirrored = score(twin.predict(tta=tta).prediction)
        name = f"lr_find, fit_one_cycle with mirroring{name}"
        yield Row(name, mirrored, "Dice ↑", digits=4)


def _learner(folder: Path, **options: object) -> Learner:
    """Make the field's learner for the images at SPACING, without a bar on the screen."""
    with tempfile.TemporaryDirectory() as place:
        coarse = Path(place)
        shutil.copy(folder / "dataset.json", coarse)
        for part in ("imagesTr", "labelsTr"):
            (coarse / part).mkdir()
        for file in (folder / "imagesTr").iterdir():
            write_image(resample(read_image(file), SPACING), coarse / "imagesTr" / file.name)
        for file in (folder / "labelsTr").iterdir():
            labels = resample_labels(read_labels(file), SPACING)
            write_labels(labels, coarse / "labelsTr" / file.name)
        learner = segmenter(coarse, steps_per_epoch=STEPS, **options)
    learner.callbacks = [c for c in learner.callbacks if not isinstance(c, Progress)]
    return learner
