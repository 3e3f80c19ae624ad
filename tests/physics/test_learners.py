"""Three lines to a trained network, and what its run shows."""

import numpy as np
import pytest

from fieldgrad import physics
from fieldgrad.engine.runs.report import report_page
from fieldgrad.physics.reading.datasets import made_up_jets
from fieldgrad.physics.tagging.model import JetModel

SMALL = {"phi": (16, 16), "f": (16,)}


@pytest.fixture(scope="module")
def jets():
    return made_up_jets(500, seed=3, n_constituents=12)


def test_a_tagger_is_trained_in_three_lines(jets, tmp_path):
    learner = physics.tagger(jets, model="pfn", run_dir=tmp_path / "run", batch_size=32, **SMALL)
    found = learner.lr_find(n_steps=30)
    assert 1e-7 < found.suggestion < 10
    learner.fit_one_cycle("6 epochs", 1e-2)
    learner.save(tmp_path / "top.safetensors")
    assert learner.history[-1]["auc"] > 0.85
    tagger = physics.Tagger.load(tmp_path / "top.safetensors")
    p = tagger.predict(jets)
    assert physics.auc(jets.labels, p[:, 1]) > 0.85
    page = report_page(tmp_path / "run")
    assert "400 to train on, 50 to watch, 50 to test" in page
    assert page.count("data:image/png") >= 2  # the ROC curve and the scores of the last epoch


def test_fit_takes_a_budget_and_names_of_observables(jets):
    learner = physics.tagger(
        jets, model="pfn", observables=["jet_mass"], batch_size=64, seed=1, **SMALL
    )
    learner.fit("12 steps")
    assert learner.step == 12
    assert np.isfinite(learner.history[-1]["valid_loss"])


def test_a_regressor_is_trained_in_three_lines(jets, tmp_path):
    learner = physics.regressor(
        jets, "jet_mass", model="pfn", quantiles=(0.25, 0.5, 0.75), batch_size=32, **SMALL
    )
    learner.fit("4 epochs")
    learner.save(tmp_path / "mass.safetensors")
    assert learner.history[-1]["mae"] < learner.history[0]["mae"]
    assert JetModel.load(tmp_path / "mass.safetensors").predict(jets[:5]).shape == (5, 3)
