"""The Regressor: estimates and quantiles of a number per jet, and what is quoted of them."""

from functools import partial

import numpy as np
import pytest

import fieldgrad.engine as fg
from fieldgrad.engine.errors import DataError, FileError, ShapeError
from fieldgrad.physics.figures.response import (
    evaluate_response,
    response_per_bin,
    weighted_quantiles,
)
from fieldgrad.physics.models import PFN
from fieldgrad.physics.reading.datasets import made_up_jets
from fieldgrad.physics.tagging import losses
from fieldgrad.physics.tagging.model import JetModel
from fieldgrad.physics.tagging.regressor import Regressor
from fieldgrad.physics.tagging.tagger import Tagger

SMALL = partial(PFN, phi=(16, 16), f=(16,))


@pytest.fixture(scope="module")
def jets():
    """Jets whose width is to be found, with noise of a known size: sigma 10."""
    made = made_up_jets(1200, seed=0, n_constituents=12)
    noise = np.random.default_rng(0).normal(0, 10, len(made))
    return made.replace(observers={"true": made.mass + 100 + noise})


def test_an_estimate_is_learned_stored_and_read(jets, tmp_path):
    regressor = Regressor.build(SMALL, jets[:900], target="true")
    learner = regressor.fit(jets[:900], jets[900:], budget="12 epochs", batch_size=32)
    found = regressor.predict(jets[900:])
    truth = jets.observers["true"][900:]
    assert found.shape == (300, 1)
    spread = np.abs(truth - np.median(jets.observers["true"][:900])).mean()
    assert learner.history[-1]["mae"] == pytest.approx(np.abs(found[:, 0] - truth).mean(), rel=1e-4)
    assert learner.history[-1]["mae"] < 0.6 * spread
    regressor.save(tmp_path / "m.safetensors")
    again = JetModel.load(tmp_path / "m.safetensors")
    assert isinstance(again, Regressor)
    np.testing.assert_array_equal(again.predict(jets[900:]), found)
    assert list(again.columns(found)) == ["predicted_true"]
    with pytest.raises(FileError, match="holds a Regressor; expected a Tagger"):
        Tagger.load(tmp_path / "m.safetensors")


def test_quantiles_cover_what_they_say_and_do_not_cross(jets):
    regressor = Regressor.build(SMALL, jets[:900], target="true", quantiles=(0.16, 0.5, 0.84))
    regressor.fit(jets[:900], budget="15 epochs", batch_size=32)
    found, truth = regressor.predict(jets[900:]), jets.observers["true"][900:]
    assert (np.diff(found, axis=1) >= 0).all()
    below = (truth[:, None] < found).mean(axis=0)  # ± 0.03 of 300 jets, and what is not learned
    np.testing.assert_allclose(below, [0.16, 0.5, 0.84], atol=0.12)
    row = evaluate_response(truth, found[:, 1], interval=(found[:, 0], found[:, 2]))
    assert row["coverage"] == pytest.approx(0.68, abs=0.15)
    assert regressor.estimate == 1


def test_pinball_loss_of_several_quantiles_is_smallest_at_them():
    t = np.random.default_rng(0).normal(size=20_001)
    q = (0.16, 0.84)
    at = {shift: np.quantile(t, q) + shift for shift in (-0.1, 0.0, 0.1)}
    value = {
        shift: losses.quantile(fg.tensor(np.tile(x, (t.size, 1))), t, q=q).item()
        for shift, x in at.items()
    }
    assert value[0.0] < min(value[-0.1], value[0.1])
    one = [losses.quantile(fg.tensor(np.full(t.size, x)), t, q=k).item() for x, k in zip(
        at[0.0], q, strict=True)]  # fmt: skip
    assert value[0.0] == pytest.approx(sum(one))
    with pytest.raises(ShapeError, match="an output for each quantile"):
        losses.quantile(fg.tensor(np.zeros((4, 3))), np.zeros(4), q=q)


def test_response_and_resolution_of_a_known_smearing():
    rng = np.random.default_rng(1)
    truth = rng.uniform(50, 200, 20_000)
    predicted = 0.9 * truth * rng.normal(1, 0.08, truth.size)
    row = evaluate_response(truth, predicted)
    assert row["response"] == pytest.approx(0.9, abs=4 * row["response_error"])
    assert row["resolution"] == pytest.approx(0.08, abs=4 * row["resolution_error"])
    # The error of a median of n normal values is 1.253 s / √n.
    assert row["response_error"] == pytest.approx(1.253 * 0.072 / np.sqrt(20_000), rel=0.25)
    rows = response_per_bin(truth, [50, 100, 200, 300], truth, predicted)
    assert [(one["low"], one["high"]) for one in rows] == [(50, 100), (100, 200)]
    assert sum(one["n_jets"] for one in rows) == 20_000


def test_negative_weights_take_jets_back():
    truth, predicted = np.full(6, 100.0), np.array([80.0, 90, 100, 110, 120, 500])
    twice = np.r_[predicted, 500.0]
    weights = np.r_[np.ones(6), -1.0]
    row = evaluate_response(np.r_[truth, 100.0], twice, weights)
    alone = evaluate_response(truth[:5], predicted[:5])
    for key in ("mae", "response", "resolution"):
        assert row[key] == pytest.approx(alone[key])
    assert weighted_quantiles([3.0, 1.0, 2.0], [0.01, 0.5, 1.0]).tolist() == [1, 2, 3]


def test_mistakes_are_explained(jets):
    with pytest.raises(DataError, match="rising numbers between 0 and 1"):
        Regressor.build(SMALL, jets, target="true", quantiles=(0.5, 0.5))
    with pytest.raises(DataError, match="no observer 'truue'; did you mean 'true'"):
        Regressor.build(SMALL, jets, target="truue")
    with pytest.raises(DataError, match="would only copy it"):
        Regressor.build(SMALL, jets, target="jet_mass", observables=["jet_mass"])
    bad = jets.observers["true"].copy()
    bad[7] = np.nan
    with pytest.raises(DataError, match="'true' is nan in jet 7"):
        Regressor.build(SMALL, jets.replace(observers={"true": bad}), target="true")
    with pytest.raises(DataError, match="true value above 0"):
        evaluate_response([0.0, -1.0], [1.0, 1.0])
