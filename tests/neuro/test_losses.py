"""Soft Dice with cross-entropy: values by hand, gradients, several resolutions."""

import numpy as np
import pytest

import fieldgrad.engine as fg
from fieldgrad.engine.errors import DataError, ShapeError
from fieldgrad.neuro.segmentation.losses import deep_supervision_weights, dice_cross_entropy

TARGET = np.array([[[0, 1], [2, 1]]])  # (batch, n0, n1)


def test_even_odds_give_log_classes_and_the_dice_of_a_third():
    loss = dice_cross_entropy(fg.tensor(np.zeros((1, 3, 2, 2))), TARGET).item()
    # p = 1/3 everywhere: class 1 has 2 · 2/3 / (4/3 + 2), class 2 has 2 · 1/3 / (4/3 + 1)
    dice = np.mean([(4 / 3) / (4 / 3 + 2), (2 / 3) / (4 / 3 + 1)])
    assert loss == pytest.approx(np.log(3) + 1 - dice, rel=1e-5)


def test_certainty_of_the_right_classes_costs_nothing():
    one_hot = np.moveaxis(TARGET[..., None] == np.arange(3), -1, 1)
    assert dice_cross_entropy(fg.tensor(one_hot * 100.0), TARGET).item() == pytest.approx(
        0, abs=1e-6
    )


def test_gradient_agrees_with_differences():
    logits = fg.tensor(np.random.default_rng(0).normal(size=(1, 3, 2, 2)), requires_grad=True)
    fg.gradcheck(lambda x: dice_cross_entropy(x, TARGET), [logits], order=2)


def test_deep_supervision_halves_and_drops_the_coarsest():
    assert deep_supervision_weights(3) == pytest.approx([2 / 3, 1 / 3, 0])
    assert deep_supervision_weights(1) == [1]
    assert sum(deep_supervision_weights(6)) == pytest.approx(1)


def test_coarser_levels_see_every_second_voxel():
    rng = np.random.default_rng(1)
    target = rng.integers(0, 3, (1, 4, 4))
    fine, coarse = (fg.tensor(rng.normal(size=(1, 3, n, n))) for n in (4, 2))
    several = dice_cross_entropy([fine, coarse, fg.tensor(np.zeros((1, 3, 1, 1)))], target).item()
    expected = (
        2 / 3 * dice_cross_entropy(fine, target).item()
        + 1 / 3 * dice_cross_entropy(coarse, target[:, 1::2, 1::2]).item()
    )
    assert several == pytest.approx(expected, rel=1e-6)


def test_grids_and_labels_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match=r"must have \(1, 2, 2\)"):
        dice_cross_entropy(fg.zeros((1, 3, 2, 2)), np.zeros((1, 2, 3), int))
    with pytest.raises(DataError, match="0 to 2"):
        dice_cross_entropy(fg.zeros((1, 3, 2, 2)), TARGET + 1)
