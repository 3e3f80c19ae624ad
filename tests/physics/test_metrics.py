"""Metrics: equal to scikit-learn's, right errors, weights of either sign, bins and classes."""

import numpy as np
import pytest

from fieldgrad.engine.errors import DataError
from fieldgrad.physics.figures import calibration, metrics, significance
from fieldgrad.physics.figures.decorrelation import sculpting


@pytest.fixture
def sample():
    """Truth, score with ties, weights above 0."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 4000)
    score = np.clip(rng.normal(0.4 + 0.25 * truth, 0.2), 0, 1).round(2)
    return truth, score, rng.uniform(0.1, 3, 4000)


def test_curves_are_those_of_scikit_learn(sample):
    sklearn = pytest.importorskip("sklearn.metrics", reason="needs the extra physics")
    truth, score, w = sample
    for weights in (None, w):
        want = sklearn.roc_auc_score(truth, score, sample_weight=weights)
        assert metrics.auc(truth, score, weights) == pytest.approx(want, rel=1e-12)
        fpr, tpr, cuts = sklearn.roc_curve(
            truth, score, sample_weight=weights, drop_intermediate=False
        )
        curve = metrics.roc(truth, score, weights)
        np.testing.assert_allclose(curve.background, fpr, atol=1e-12)
        np.testing.assert_allclose(curve.signal, tpr, atol=1e-12)
        np.testing.assert_array_equal(curve.threshold, cuts)
        p = np.column_stack([1 - score, score])
        found = metrics.accuracy(truth, p, weights)
        right = sklearn.accuracy_score(truth, score > 0.5, sample_weight=weights)
        assert found == pytest.approx(right, rel=1e-12)


def test_a_negative_weight_takes_a_jet_back(sample):
    truth, score, w = sample
    more = [np.concatenate([a, a[:500]]) for a in (truth, score)]
    taken = np.concatenate([w, -w[:500]])
    rest = [a[500:] for a in (truth, score, w)]
    assert metrics.auc(*more, taken) == pytest.approx(metrics.auc(*rest))
    found, want = metrics.rejection(*more, taken), metrics.rejection(*rest)
    assert found.value == pytest.approx(want.value)
    assert found.error > want.error
    p = np.column_stack([1 - more[1], more[1]])
    want = metrics.accuracy(rest[0], p[500:4000], rest[2])
    assert metrics.accuracy(more[0], p, taken) == pytest.approx(want)


def test_errors_are_the_spread_of_repeated_samples():
    rng = np.random.default_rng(1)
    areas, rejections, errors = [], [], []
    for _ in range(300):
        truth = np.repeat([0, 1], 400)
        score, w = rng.normal(1.2 * truth), rng.choice([2.0, 1.0, -0.5], 800, p=[0.4, 0.5, 0.1])
        areas.append(metrics.auc(truth, score, w))
        one = metrics.rejection(truth, score, w, efficiency=0.6)
        rejections.append(1 / one.value)
        errors.append((metrics.auc_error(truth, score, w), one.error / one.value**2))
    area_error, rate_error = np.mean(errors, axis=0)
    assert area_error == pytest.approx(np.std(areas), rel=0.15)
    # The cut moves with the signal too, which the quoted error of the background leaves out.
    assert 0.6 * np.std(rejections) < rate_error < 1.05 * np.std(rejections)


def test_rejection_counts_the_background_that_passes():
    truth, score = np.repeat([1, 0], [10, 1000]), np.r_[np.linspace(0.5, 1, 10), np.zeros(1000)]
    score[10:30] = 0.9
    found = metrics.rejection(truth, score, efficiency=0.5)
    assert (found.value, found.n_passing) == (pytest.approx(50), 20)
    assert found.error == pytest.approx(50**2 * np.sqrt(0.02 * 0.98 / 1000))
    assert str(found) == "50 ± 11 (20)"
    none = metrics.rejection(truth, score, efficiency=0.1)
    assert np.isinf(none.value)
    assert "no background" in str(none)
    with pytest.raises(DataError, match=r"efficiency is 1\.2"):
        metrics.rejection(truth, score, efficiency=1.2)


def test_several_signals_are_compared_with_the_background(sample):
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 3, 900)
    p = rng.dirichlet([1, 1, 1], 900) + np.eye(3)[labels]
    p /= p.sum(axis=1, keepdims=True)
    rows = metrics.evaluate(labels, p, names=["QCD", "W", "top"])
    assert [row["signal"] for row in rows] == ["W", "top"]
    two = labels != 1
    want = metrics.auc(labels[two] == 2, p[two, 2] / (p[two, 2] + p[two, 0]))
    assert rows[1]["auc"] == pytest.approx(want)
    by_bin = metrics.per_bin(rng.uniform(0, 1, 900), [0, 0.5, 1], labels, p, names="abc")
    places = [(row["low"], row["signal"]) for row in by_bin]
    assert places == [(0, "b"), (0, "c"), (0.5, "b"), (0.5, "c")]
    assert sum(row["n_signal"] for row in by_bin if row["signal"] == "c") == (labels == 2).sum()


def test_bootstrap_agrees_with_the_error(sample):
    truth, score, w = (a[:600] for a in sample)
    mean, spread = metrics.bootstrap(metrics.auc, truth, score, w)
    assert mean == pytest.approx(metrics.auc(truth, score, w), abs=3e-3)
    assert spread == pytest.approx(metrics.auc_error(truth, score, w), rel=0.2)


def test_what_cannot_be_measured_is_refused(sample):
    truth, score, w = sample
    with pytest.raises(DataError, match="0 signal jets with a sum of weights of 0"):
        metrics.auc(np.zeros(4000), score)
    with pytest.raises(DataError, match="background jets with a sum of weights of -"):
        metrics.auc(truth, score, np.where(truth, w, -w))
    with pytest.raises(DataError, match="the score of jet 3 is nan"):
        metrics.auc(truth, np.where(np.arange(4000) == 3, np.nan, score))


def test_temperature_mends_a_network_that_is_too_sure():
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 2, (20000, 2))
    p = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))
    labels = (rng.random(20000) < p).astype(int)
    assert calibration.fit_temperature(3 * logits, labels) == pytest.approx(3, rel=0.03)
    rows = calibration.reliability(labels, p)
    assert calibration.calibration_error(rows) < 0.01
    pulls = [(row["observed"] - row["predicted"]) / row["error"] for row in rows]
    assert np.abs(pulls).max() < 4
    sure = 1 / (1 + np.exp(3 * (logits[:, 0] - logits[:, 1])))
    assert calibration.calibration_error(calibration.reliability(labels, sure)) > 0.05
    with pytest.raises(DataError, match=r"expected 0 to 1\. Give the softmax"):
        calibration.reliability(labels, logits[:, 0])


def test_significance_has_its_limits():
    s, b = np.array([1.0, 5.0, 20.0]), 1e4
    np.testing.assert_allclose(significance.asimov(s, b), s / np.sqrt(b), rtol=1e-3)
    spread = s / np.sqrt(b + (0.1 * b) ** 2)
    np.testing.assert_allclose(significance.asimov(s, b, systematic=0.1), spread, rtol=2e-2)
    small = significance.asimov(s, b, systematic=1e-5)
    np.testing.assert_allclose(small, significance.asimov(s, b), rtol=1e-3)
    assert significance.asimov(0.0, 10.0) == 0
    assert np.isinf(significance.asimov(1.0, 0.0))


def test_scan_finds_the_best_cut(sample):
    truth, score, w = sample
    found = significance.scan(truth, score, w, expected_signal=50, expected_background=5000)
    assert found["significance"][found["best"]] == found["significance"].max()
    assert 4500 < found["background"][-1] <= 5000
    assert found["significance"][found["best"]] > 2 * found["significance"][-1]
    with pytest.raises(DataError, match="no cut lets 5000 background jets pass"):
        significance.scan(
            truth, score, expected_signal=1, expected_background=1, least_background=5000
        )


def test_sculpting_sees_a_cut_on_the_mass():
    rng = np.random.default_rng(4)
    truth, mass = np.repeat([0, 1], 3000), rng.uniform(50, 250, 6000)
    free = sculpting(truth, rng.random(6000) + 0.3 * truth, mass)
    carved = sculpting(truth, -np.abs(mass - 172) + 5 * truth, mass)
    assert free["jsd"] < 0.02 < 0.5 < carved["jsd"]
    assert free["passing"].sum() == pytest.approx(1)
