"""What the verbs of training are worth beside a fixed rate, at equal time; see `compare`.

The suites training_hippocampus, training_jets and training_molecules give the problems.
"""

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from benchmarks.runner import Row
from fieldgrad.engine.nn import Module
from fieldgrad.engine.train import (
    Callback,
    EMAWeights,
    Learner,
    ScheduleLR,
    constant,
    cross_validate,
)
from fieldgrad.engine.train.groups import layer_groups
from fieldgrad.engine.train.prediction import Predictions, View

__all__ = ["N_FOLDS", "Problem", "compare", "one_cycle"]

N_FOLDS = 3


@dataclass
class Problem:
    """A field's small real problem.

    Parameters
    ----------
    name : str
        What is learned from what.
    make : callable
        Seed to a new learner, with the field's own callbacks and optimizer.
    make_fold : callable
        Number of a fold, below N_FOLDS, to a new learner that is judged on it; its seed as well.
    score : callable
        Predictions of the learner's validation data to a score.
    unit : str
        Of the score, with an arrow to the better side.
    steps : int
        Length of a training.
    rates : sequence of float
        The field's customary rate first, then others to choose the best fixed one from.
    seeds : sequence of int
        A training for each.
    relation : str
        What another network has learned before, if `pretrain` is given.
    pretrain : callable, optional
        Seed to such a network, with the layers of the learner's.
    views : sequence of View, optional
        From other sides the data look alike: views for test-time augmentation.
    """

    name: str
    make: Callable[[int], Learner]
    make_fold: Callable[[int], Learner]
    score: Callable[[Predictions], float]
    unit: str
    steps: int
    rates: Sequence[float]
    seeds: Sequence[int] = (0, 1, 2)
    relation: str = ""
    pretrain: Callable[[int], Module] | None = None
    views: Sequence[View] = ()


def one_cycle(learner: Learner, steps: int, *more: Callback) -> None:
    """Train with `lr_find` and `fit_one_cycle`, for so many steps together."""
    found = learner.lr_find()
    left = steps - 4 * len(found.rates) // 3  # a step of the search costs 4/3
    learner.fit_one_cycle(f"{left} steps", found.suggestion, callbacks=more)


def compare(problem: Problem) -> Iterator[Row]:
    """Train in every way for the same number of steps, and give mean and spread over the seeds.

    A step costs the same in every way, so that equal steps are equal time, whatever else the
    machine does; the steps of the search for a rate are taken from those of the training. The best
    fixed rate is chosen by the score itself, and the time of trying the others is not counted.

    Parameters
    ----------
    problem : Problem
        The problem.

    Yields
    ------
    Row
        For each way of training.
    """
    customary = problem.rates[0]

    def fixed(rate: float, steps: int = problem.steps) -> Callable[[Learner], Learner]:
        def train(learner: Learner) -> Learner:
            learner.fit(f"{steps} steps", lr=rate, callbacks=[ScheduleLR(constant)])
            return learner

        return train

    def trained(
        train: Callable[[Learner], object], *more: Sequence[View]
    ) -> list[list[Predictions]]:
        """Give the predictions of every seed, of the data as they are and with more views."""
        predictions = []
        for seed in problem.seeds:
            learner = problem.make(seed)
            train(learner)
            predictions.append([learner.predict(tta=views) for views in ((), *more)])
        return [list(found) for found in zip(*predictions, strict=True)]

    def row(name: str, predictions: Sequence[Predictions]) -> Row:
        values = [problem.score(prediction) for prediction in predictions]
        spread = f"± {statistics.stdev(values):.4f} " if len(values) > 1 else ""
        return Row(name, statistics.mean(values), spread + problem.unit, digits=4)

    tried = {rate: row("", *trained(fixed(rate))) for rate in problem.rates}
    yield Row(f"fixed rate, the customary {customary:g}", **_values(tried[customary]))
    downward = "↓" in problem.unit
    best = min(tried, key=lambda rate: tried[rate].ours if downward else -tried[rate].ours)
    named = ", ".join(f"{rate:g}" for rate in sorted(tried))
    if len(tried) > 1:
        yield Row(f"fixed rate, the best of {named}: {best:g}", **_values(tried[best]))
    own = trained(lambda learner: learner.fit(f"{problem.steps} steps"))
    yield row("fit, the field's own schedule at its rate", *own)
    found, seen = trained(lambda learner: one_cycle(learner, problem.steps), problem.views)
    yield row("lr_find, fit_one_cycle", found)
    if problem.views:
        yield row("lr_find, fit_one_cycle, averaged over views", seen)
    averaged = trained(lambda learner: one_cycle(learner, problem.steps, EMAWeights()))
    yield row("lr_find, fit_one_cycle, averaged weights", *averaged)
    mean = np.mean([each.prediction for each in found], axis=0)
    joined = [Predictions(mean, found[0].targets)]
    yield row(f"ensemble of the {len(found)} of lr_find, fit_one_cycle (so often the time)", joined)

    numbers = range(N_FOLDS)
    held_back = [fixed(customary)(problem.make_fold(number)).predict() for number in numbers]
    yield row(f"cross-validation, {N_FOLDS} folds, fixed rate {customary:g}", held_back)
    validation = cross_validate(problem.make_fold, f"{problem.steps} steps", N_FOLDS)
    yield row(f"cross-validation, {N_FOLDS} folds, fit", validation.predictions())
    if problem.pretrain is None:
        return
    bodies = {seed: layer_groups(problem.pretrain(seed))[:-1] for seed in problem.seeds}

    def tuned(train: Callable[[Learner], object]) -> Callable[[Learner], object]:
        def begin(learner: Learner) -> None:
            groups = layer_groups(learner.model)[:-1]
            for mine, learned in zip(chain(*groups), chain(*bodies[learner.seed]), strict=True):
                mine.assign(learned.data)
            train(learner)

        return begin

    def thaw(learner: Learner) -> None:
        first, own = problem.steps // 32, learner.optimizer.lr
        learner.freeze()
        fixed(customary, first)(learner)
        learner.unfreeze()
        learner.fit(f"{problem.steps - first} steps", lr=own)

    name = f"pretrained on {problem.relation} (not counted)"
    yield row(f"{name}, fixed rate {customary:g}", *trained(tuned(fixed(customary))))
    frozen = f"{name}, a 32nd of the steps frozen but for the head, then unfrozen, fit"
    yield row(frozen, *trained(tuned(thaw)))


def _values(row: Row) -> dict[str, object]:
    return {"ours": row.ours, "unit": row.unit, "digits": row.digits}
