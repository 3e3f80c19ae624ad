"""What the verbs of training are worth on a field's small real problem, at equal numbers of steps.

Hippocampi of the Medical Segmentation Decathlon (folder ``neuro/msd_hippocampus`` of the
environment variable FIELDGRAD_DATA; without it there are no rows): mean Dice of anterior and
posterior part over the middle patches of 40 held-back cases, after 300 steps on the other 160, the
steps of the search for a learning rate included; mean over three seeds. A step costs the same in
every row, so that equal steps are equal time, whatever else the machine does.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.runner import Row
from fieldgrad.engine.train import (
    EMAWeights,
    Ensemble,
    Learner,
    ScheduleLR,
    constant,
    flips,
)
from fieldgrad.engine.train.metrics import Dice
from fieldgrad.neuro.learners import segmenter

STEPS, SEARCH, SEEDS = 300, 60, (0, 1, 2)


def fixed(learner: Learner, steps: int = STEPS) -> None:
    """Train at the field's own rate, unchanged."""
    learner.fit(f"{steps} steps", callbacks=[ScheduleLR(constant)])


def one_cycle(learner: Learner, steps: int = STEPS) -> None:
    """Search for a rate, then one cycle."""
    found = learner.lr_find(n_steps=SEARCH)
    learner.fit_one_cycle(f"{steps - SEARCH} steps", found.suggestion)


def averaged(learner: Learner) -> None:
    """One cycle at the field's rate, with averaged weights."""
    learner.fit_one_cycle(f"{STEPS} steps", callbacks=[EMAWeights(0.98)])


def score(learner: Learner, *, mirrored: bool = False) -> float:
    """Give the mean Dice, also with test-time augmentation by mirroring left and right."""
    found = learner.predict(tta=flips([2]) if mirrored else ())
    dice = Dice(["anterior", "posterior"])
    dice.update(found.prediction, found.targets[0])
    return dice.value()["dice"]


def rows(threads: int, seconds: float) -> Iterator[Row]:
    """Train with each verb; nothing here depends on the number of threads, so once is enough."""
    folder = Path(os.environ.get("FIELDGRAD_DATA", "")) / "neuro" / "msd_hippocampus"
    if not os.environ.get("FIELDGRAD_DATA") or not folder.is_dir() or threads != 1:
        return
    ways: dict[str, Callable[[Learner], None]] = {
        "fixed rate": fixed,
        "lr_find, then fit_one_cycle": one_cycle,
        "fit_one_cycle with averaged weights": averaged,
    }
    for name, train in ways.items():
        learners = [make(folder, seed) for seed in SEEDS]
        for learner in learners:
            train(learner)
        yield Row(f"{name}, {STEPS} steps", mean(map(score, learners)), "Dice")
    mirrored = [score(learner, mirrored=True) for learner in learners]
    yield Row("the same, test-time augmentation (mirrored)", mean(mirrored), "Dice")
    third = [make(folder, 0, weights=k) for k in SEEDS]
    for learner in third:
        learner.fit_one_cycle(f"{STEPS // 3} steps", callbacks=[EMAWeights(0.95)])
    joined = third[0]
    joined.model = Ensemble([learner.model for learner in third])
    yield Row(f"ensemble of three, {STEPS // 3} steps each", score(joined), "Dice")


def make(folder: Path, seed: int, *, weights: int | None = None) -> Learner:
    """Make a learner; other initial weights with the same division of the cases if wanted."""
    learner = segmenter(folder, steps_per_epoch=50, seed=seed)
    learner.callbacks = [c for c in learner.callbacks if type(c).__name__ != "Progress"]
    if weights:
        rng = np.random.default_rng(weights)
        for p in learner.model.parameters():  # as initialized, in another order of the values
            p.assign(rng.permutation(p.data.ravel()).reshape(p.shape))
        learner.train.seed = weights
    return learner


def mean(values: "Iterator[float] | list[float]") -> float:
    """Mean of some numbers."""
    return float(np.mean(list(values)))
