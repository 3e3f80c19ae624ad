"""What the verbs of training are worth on a field's small real problem, at equal numbers of steps.

Hippocampi of the Medical Segmentation Decathlon (folder ``neuro/msd_hippocampus`` of the
environment variable FIELDGRAD_DATA; without it there are no rows): mean Dice of anterior and
posterior part over the middle patches of 40 held-back cases, after 150 steps on the other 160, the
steps of the search for a learning rate included; mean over two seeds. A step costs the same in
every row, so that equal steps are equal time, whatever else the machine does.
"""

import copy
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.runner import Row
from fieldgrad.engine.nn.module import Module
from fieldgrad.engine.train import (
    EMAWeights,
    Ensemble,
    Learner,
    Progress,
    ScheduleLR,
    constant,
    flips,
)
from fieldgrad.engine.train.metrics import Dice
from fieldgrad.neuro.segmentation.learners import segmenter

STEPS, SEARCH, SEEDS = 150, 40, (0, 1)


def fixed(learner: Learner) -> None:
    """Train at the field's own rate, unchanged."""
    learner.fit(f"{STEPS} steps", callbacks=[ScheduleLR(constant)])


def one_cycle(learner: Learner) -> None:
    """Search for a rate, then one cycle."""
    found = learner.lr_find(n_steps=SEARCH)
    learner.fit_one_cycle(f"{STEPS - SEARCH} steps", found.suggestion)


def averaged(learner: Learner, steps: int = STEPS) -> None:
    """One cycle at the field's rate, with averaged weights."""
    learner.fit_one_cycle(f"{steps} steps", callbacks=[EMAWeights(0.95)])


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
    learner = segmenter(folder, steps_per_epoch=STEPS)
    learner.callbacks = [c for c in learner.callbacks if not isinstance(c, Progress)]
    begin = Beginning(learner)
    for name, train in (
        ("fixed rate", fixed),
        ("lr_find, then fit_one_cycle", one_cycle),
        ("fit_one_cycle with averaged weights", averaged),
    ):
        found, mirrored = [], []
        for seed in SEEDS:
            begin.again(seed)
            train(learner)
            found.append(score(learner))
            mirrored.append(score(learner, mirrored=True))
        yield Row(f"{name}, {STEPS} steps", float(np.mean(found)), "Dice")
    yield Row("the same, test-time augmentation (mirrored)", float(np.mean(mirrored)), "Dice")
    members = []
    for seed in range(3):
        begin.again(seed)
        averaged(learner, STEPS // 3)
        members.append(learner.model.state_dict())
    learner.model = Ensemble([begin.copy(state) for state in members])
    yield Row(f"ensemble of three, {STEPS // 3} steps each", score(learner), "Dice")


class Beginning:
    """A learner's state before training, to begin from again with other weights."""

    def __init__(self, learner: Learner) -> None:
        self.learner = learner
        self.model, self.weights = learner.model, learner.model.state_dict()
        self.optimizer = learner.optimizer.state_dict()

    def again(self, seed: int) -> None:
        """Put everything back; the initial weights are those of the field in an order by seed."""
        self.model.load_state_dict(self.weights)
        self.learner.optimizer.load_state_dict(self.optimizer)
        rng = np.random.default_rng(seed)
        for p in self.model.parameters():
            p.assign(rng.permutation(p.data.ravel()).reshape(p.shape))
        self.learner.train.seed = self.learner.seed = seed

    def copy(self, state: dict[str, Any]) -> Module:
        """Give a copy of the model with these weights."""
        model = copy.deepcopy(self.model)
        model.load_state_dict(state)
        return model
