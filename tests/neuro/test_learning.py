"""The verbs of training on a small segmentation: scans of a box with a core."""

import numpy as np
import pytest

from fieldgrad.engine.errors import DataError
from fieldgrad.engine.testing import check_learner
from fieldgrad.engine.train import Progress, cross_validate
from fieldgrad.neuro.segmentation.learners import dataset_learner, segmenter

SMALL = {"base_features": 2, "steps_per_epoch": 10}


def quiet(learner):
    learner.callbacks = [c for c in learner.callbacks if not isinstance(c, Progress)]
    return learner


def test_every_verb_works_on_a_segmentation(dataset):
    check_learner(lambda: quiet(segmenter(dataset, **SMALL)), n_steps=15)


def test_every_scan_is_predicted_by_a_network_that_has_not_seen_it(dataset):
    made = []

    def make(fold):
        learner, model, record = dataset_learner(
            dataset, run_dir=None, held_back=0.2, base_features=2, lr=1e-2,
            deep_supervision=False, steps_per_epoch=8, n_workers=0, seed=0, fold=f"{fold + 1}/2",
        )  # fmt: skip
        made.append((model, record))
        return quiet(learner)

    validation = cross_validate(make, "8 steps", 2, one_cycle=True)
    assert sorted(made[0][1]["held back"] + made[1][1]["held back"]) == list("abcd")
    mean, spread = validation.summary()["dice"]
    assert mean == pytest.approx(np.mean([row["dice"] for row in validation.rows]))
    assert spread >= 0
    parts = validation.predictions()
    assert [len(part.prediction) for part in parts] == [2, 2]
    # The ensemble's logits are the mean of the members' logits.
    [first, second] = validation.learners
    x = next(iter(first.valid.iterate(0)))
    joined = validation.ensemble()
    members = [learner.model.eval() for learner in (first, second)]
    from fieldgrad.engine import Tensor, no_grad

    with no_grad():
        one, other = (np.asarray(member(Tensor(x[0]))) for member in members)
        np.testing.assert_allclose(joined.eval()(Tensor(x[0])), (one + other) / 2, atol=1e-5)


def test_views_follow_the_mirroring_of_the_training(dataset):
    plain = quiet(segmenter(dataset, **SMALL))
    with pytest.raises(DataError, match="from no other side"):
        plain.predict(tta=True)
    learner = quiet(segmenter(dataset, mirror_axes=[0], **SMALL))
    assert len(learner.views) == 1
    [change, undo] = learner.views[0]
    alone, both = learner.predict().prediction, learner.predict(tta=True).prediction
    assert not np.allclose(alone, both)
    batch = next(iter(learner.valid.iterate(0)))
    from fieldgrad.engine import Tensor, no_grad

    learner.model.eval()
    with no_grad():
        turned = np.asarray(undo(learner.model(change(Tensor(batch[0])))))
    np.testing.assert_allclose(both[: len(turned)], (alone[: len(turned)] + turned) / 2, atol=1e-5)


def test_training_mirrors_along_the_axes_that_are_asked_for(dataset):
    asked, plain = (
        quiet(segmenter(dataset, mirror_axes=axes, **SMALL)).train.dataset for axes in ([0], [])
    )
    axes = {entry["name"]: entry for entry in asked.augment.sample(np.random.default_rng(0), 1)}
    drawn = [asked.augment.sample(np.random.default_rng(k), 1) for k in range(20)]
    mirrored = [entry for record in drawn for entry in record if entry["name"] == "Mirror"]
    assert mirrored, axes
    drawn = [plain.augment.sample(np.random.default_rng(k), 1) for k in range(20)]
    assert not [
        entry for record in drawn for entry in record if entry["name"] == "Mirror" and entry["axes"]
    ]
