"""The verbs of training on hippocampi: `verbs.compare` for a small 3-D U-Net.

Hippocampi of the Medical Segmentation Decathlon (folder ``neuro/msd_hippocampus`` of the
environment variable FIELDGRAD_DATA; without it there are no rows): mean Dice of anterior and
posterior part over the middle patches of 40 held-back cases, trained on the other 160.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.runner import Row
from benchmarks.verbs import Problem, compare
from fieldgrad.engine.train import Learner, Progress, flips
from fieldgrad.engine.train.metrics import Dice
from fieldgrad.neuro.segmentation.learners import segmenter

STEPS = 200


def rows(threads: int, seconds: float) -> Iterator[Row]:
    """Train in every way; nothing here depends on the number of threads, so once is enough."""
    folder = Path(os.environ.get("FIELDGRAD_DATA", "")) / "neuro" / "msd_hippocampus"
    if not os.environ.get("FIELDGRAD_DATA") or not folder.is_dir() or threads != 1:
        return
    learner = segmenter(folder, steps_per_epoch=STEPS)
    learner.callbacks = [c for c in learner.callbacks if not isinstance(c, Progress)]
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

    problem = Problem("hippocampus", make, score, "Dice ↑", STEPS, (3e-3,), (0, 1))
    yield from compare(problem)
    made = make(0)
    made.fit(f"{STEPS} steps")
    wrong = score(made.predict(tta=flips([2])).prediction)
    yield Row("mirrored views of a network trained without mirroring", wrong, "Dice ↑", digits=4)
    twin = segmenter(folder, steps_per_epoch=STEPS, mirror_axes=[0])
    twin.callbacks = [c for c in twin.callbacks if not isinstance(c, Progress)]
    twin.fit(f"{STEPS} steps")
    for name, tta in (("trained with mirroring, as it is", False), ("and averaged over", True)):
        yield Row(name, score(twin.predict(tta=tta).prediction), "Dice ↑", digits=4)
