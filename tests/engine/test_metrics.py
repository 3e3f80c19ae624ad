import math

import numpy as np
import pytest

import fieldgrad.engine as fg
from fieldgrad.engine.errors import DataError, ShapeError
from fieldgrad.engine.train.metrics import Accuracy, Dice, Mean


def test_mean_weighs_and_forgets():
    mean = Mean("loss")
    mean.update(fg.tensor(2.0))
    mean.update(5.0, weight=2)
    assert mean.value() == {"loss": 4.0}
    mean.reset()
    assert math.isnan(mean.value()["loss"])


@pytest.mark.parametrize("make", [Accuracy, lambda: Dice(["a", "b"])])
def test_batches_one_by_one_equal_all_at_once(make):
    rng = np.random.default_rng(0)
    scores, target = rng.normal(size=(6, 3, 4, 5)), rng.integers(0, 3, (6, 4, 5))
    whole, parts = make(), make()
    whole.update(scores, target)
    for i in range(0, 6, 2):
        parts.update(fg.tensor(scores[i : i + 2]), fg.tensor(target[i : i + 2]))
    assert parts.value() == whole.value()


def test_dice_agrees_with_sets():
    rng = np.random.default_rng(1)
    found, target = rng.integers(0, 3, (2, 50)), rng.integers(0, 3, (2, 50))
    dice = Dice(["one", "two"])
    dice.update(np.moveaxis(np.eye(3)[found], -1, 1), target)
    for k, name in ((1, "one"), (2, "two")):
        p, t = found == k, target == k
        expected = 2 * (p & t).sum() / (p.sum() + t.sum())
        assert dice.value()[f"dice_{name}"] == pytest.approx(expected)
    assert dice.value()["dice"] == pytest.approx(np.mean(list(dice.value().values())[1:]))


def test_absent_classes_are_left_out_of_the_mean():
    dice = Dice(["here", "absent"])
    dice.update(np.eye(3)[[[0, 1, 1]]].swapaxes(1, 2), [[0, 1, 1]])
    assert dice.value()["dice"] == 1.0
    assert math.isnan(dice.value()["dice_absent"])


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ShapeError, match=r"\(2, 4\).* but has \(2, 5\)"):
        Accuracy().update(np.zeros((2, 3, 4)), np.zeros((2, 5), int))
    with pytest.raises(ShapeError, match="3 classes, but 1 names"):
        Dice(["one"]).update(np.zeros((2, 3, 4)), np.zeros((2, 4), int))


def test_labels_that_are_no_classes_are_refused():
    with pytest.raises(DataError, match="labels from 0 to 255; expected 0 to 1"):
        Dice(["one"]).update(np.zeros((1, 2, 2)), np.array([[0, 255]]))
