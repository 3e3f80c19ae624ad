"""Losses: values by hand, weights of either sign, gradients, decorrelation."""

import numpy as np
import pytest
from scipy.special import log_softmax

import fieldgrad.engine as fg
from fieldgrad.engine.errors import DataError, ShapeError
from fieldgrad.physics.tagging import losses


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_cross_entropy_sums_weights_of_either_sign(rng):
    logits, labels, w = rng.normal(size=(6, 3)), np.array([0, 2, 1, 1, 0, 2]), rng.normal(size=6)
    want = -(w * log_softmax(logits, axis=1)[np.arange(6), labels]).sum() / 6
    assert losses.cross_entropy(fg.tensor(logits), labels, w).item() == pytest.approx(want)
    # A jet of weight -1 takes back one of weight 1.
    twice, doubled = np.repeat(logits, 2, axis=0), np.repeat(labels, 2)
    assert losses.cross_entropy(fg.tensor(twice), doubled, [1, -1] * 6).item() == pytest.approx(0)


def test_binary_cross_entropy_is_that_of_two_classes(rng):
    s, t, w = rng.normal(size=8), rng.integers(0, 2, 8), rng.normal(size=8)
    two = losses.cross_entropy(fg.tensor(np.column_stack([0 * s, s])), t, w)
    assert losses.binary_cross_entropy(fg.tensor(s[:, None]), t, w).item() == pytest.approx(
        two.item()
    )


def test_quantile_is_least_at_the_quantile(rng):
    t = rng.normal(size=1001)
    x = fg.tensor(np.full(1001, np.quantile(t, 0.84)), requires_grad=True)
    losses.quantile(x, t, q=0.84).backward()
    assert abs(x.grad.numpy().sum()) < 2e-3
    with pytest.raises(DataError, match=r"q is 1\.5; expected numbers between 0 and 1"):
        losses.quantile(x, t, q=1.5)


def test_log_cosh_has_the_gradient_tanh(rng):
    t = rng.normal(size=5)
    x = fg.tensor(np.array([0.0, 1.0, -2.0, 50.0, -300.0]), requires_grad=True)
    losses.log_cosh(x, t).backward()
    np.testing.assert_allclose(x.grad.numpy(), np.tanh(x.numpy() - t) / 5, atol=1e-12)


def test_distance_correlation_is_that_of_the_definition(rng):
    x, y = rng.normal(size=40), rng.normal(size=40)
    w = rng.uniform(0.2, 2, 40)
    p = w / w.sum()

    def centered(v):
        d = np.abs(v[:, None] - v)
        return d - (d @ p)[:, None] - (d @ p) + p @ d @ p

    a, b = centered(x), centered(y)
    both = np.outer(p, p)
    want = (a * b * both).sum() / np.sqrt((a * a * both).sum() * (b * b * both).sum())
    found = losses.distance_correlation(fg.tensor(x), y, w)
    assert found.item() == pytest.approx(want)
    assert losses.distance_correlation(fg.tensor(x), x**3).item() > 0.5 > found.item()
    # Weights count like copies.
    copies = np.repeat(np.arange(40), 2)
    twice = losses.distance_correlation(fg.tensor(x[copies]), y[copies])
    assert twice.item() == pytest.approx(losses.distance_correlation(fg.tensor(x), y).item())
    with pytest.raises(DataError, match="weights sum to"):
        losses.distance_correlation(fg.tensor(x), y, np.r_[np.ones(20), -np.ones(20)])


def test_decorrelated_looks_at_the_background_only(rng):
    loss, labels = losses.Decorrelated(5.0), np.array([0] * 30 + [1] * 30)
    logits, mass = rng.normal(size=(60, 2)), rng.uniform(50, 300, 60)
    found = loss(fg.tensor(logits), labels, np.ones(60), mass).item()
    other = np.where(labels == 1, 1.0, mass)  # masses of the signal do not matter
    assert loss(fg.tensor(logits), labels, np.ones(60), other).item() == pytest.approx(found)
    plain = losses.cross_entropy(fg.tensor(logits), labels).item()
    assert found > plain
    assert losses.Decorrelated(0.0)(fg.tensor(logits), labels, np.ones(60), mass).item() == (
        pytest.approx(plain)
    )


def test_mistakes_are_explained(rng):
    logits = fg.tensor(rng.normal(size=(3, 2)))
    with pytest.raises(DataError, match="label of jet 1 is 2; expected 0 to 1"):
        losses.cross_entropy(logits, [0, 2, 1])
    with pytest.raises(ShapeError, match=r"weights have shape \(2,\); expected \(3,\)"):
        losses.cross_entropy(logits, [0, 1, 1], [1.0, 2.0])
    with pytest.raises(ShapeError, match="one output"):
        losses.log_cosh(logits, [1.0, 2.0, 3.0])
