"""The verbs of training on jets that only look like jets."""

import csv
from functools import partial

import numpy as np
import pytest
from typer.testing import CliRunner

from fieldgrad.engine.cli import app
from fieldgrad.engine.errors import DataError
from fieldgrad.engine.optim import AdamW
from fieldgrad.engine.testing import check_learner
from fieldgrad.engine.train import GradientClip, Learner, cross_validate, fold_indices
from fieldgrad.engine.train.prediction import members
from fieldgrad.physics.figures.metrics import auc
from fieldgrad.physics.reading.datasets import made_up_jets
from fieldgrad.physics.reading.outputs import write_reference_table
from fieldgrad.physics.reading.streams import read_jets
from fieldgrad.physics.tagging.losses import cross_entropy
from fieldgrad.physics.tagging.model import JetModel, join_models
from fieldgrad.physics.tagging.tagger import Tagger
from fieldgrad.physics.tagging.validation import ClassScores

JETS = made_up_jets(400, seed=3, n_constituents=10)
# Made-up jets are too easy: some of the classes are exchanged.
WRONG = np.random.default_rng(0).random(len(JETS)) < 0.1
JETS = JETS.replace(labels=np.where(WRONG, 1 - JETS.labels, JETS.labels))


def make(train, valid, seed=0):
    """A learner for a small particle flow network, and the tagger that it trains."""
    tagger = Tagger.build("pfn", JETS, phi=[16, 16], f=[16], seed=seed)
    learner = Learner(
        tagger.network,
        cross_entropy,
        AdamW(tagger.network.parameters(), lr=3e-3),
        tagger.loader(JETS[train], 50, shuffle=True, seed=seed),
        tagger.loader(JETS[valid], 100),
        metrics=[ClassScores()],
        callbacks=[GradientClip()],
        seed=seed,
    )
    return learner, tagger


def test_every_verb_works_on_a_tagger():
    train, valid = np.arange(300), np.arange(300, 400)
    check_learner(lambda: make(train, valid)[0])


def test_one_cycle_at_the_suggested_rate_tags_jets():
    learner, _ = make(np.arange(300), np.arange(300, 400))
    learner.fit_one_cycle("10 epochs", learner.lr_find().suggestion)
    assert learner.history[-1]["auc"] > 0.85
    with pytest.raises(DataError, match="from no other side"):
        learner.predict(tta=True)


def test_every_jet_is_tagged_out_of_fold_and_the_folds_join_to_one_file(tmp_path):
    folds = fold_indices(len(JETS), 3, labels=JETS.labels.tolist())
    taggers = []

    def fold(k):
        learner, tagger = make(*folds[k])
        taggers.append(tagger)
        return learner

    validation = cross_validate(fold, "4 epochs", 3, one_cycle=True)
    parts = validation.predictions()
    for (_, held_back), part, row in zip(folds, parts, validation.rows, strict=True):
        scores = part.prediction[:, 1] - part.prediction[:, 0]
        assert auc(JETS.labels[held_back], scores) == pytest.approx(row["auc"], abs=1e-6)
        assert row["auc"] > 0.6
    files = [tmp_path / f"{k}.safetensors" for k in range(3)]
    for tagger, file in zip(taggers, files, strict=True):
        tagger.save(file)
    join_models(files, tmp_path / "all.safetensors")
    joined = Tagger.load(tmp_path / "all.safetensors")
    logits = np.mean([tagger.outputs(JETS) for tagger in taggers], axis=0)
    np.testing.assert_allclose(joined.outputs(JETS), logits, atol=1e-4)
    other = Tagger.build(partial(type(taggers[0].network), phi=[8], f=[8]), JETS)
    other.save(files[1])
    with pytest.raises(DataError, match="differ in their settings"):
        join_models(files, tmp_path / "all.safetensors")
    assert isinstance(validation.ensemble(), type(joined.network))


def test_a_recipe_is_cross_validated_in_one_command(tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra physics")
    write_reference_table(tmp_path / "train.h5", JETS)
    settings = [f"train={tmp_path / 'train.h5'}", "model.phi=[8]", "model.f=[8]", "budget=2 epochs",
                "batch_size=64", "baselines=false"]  # fmt: skip
    sets = [word for setting in settings for word in ("--set", setting)]
    command = ["run", "physics/top-pfn", "--folds", "2", "--out", str(tmp_path / "folds"), *sets]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    with open(tmp_path / "folds" / "out_of_fold.csv") as file:
        rows = list(csv.DictReader(file))
    assert sorted(int(row["jet"]) for row in rows) == list(range(len(JETS)))
    labels = np.array([JETS.labels[int(row["jet"])] for row in rows])
    assert [row["label"] for row in rows] == [JETS.label_names[label] for label in labels]
    with open(tmp_path / "folds" / "folds.csv") as file:
        folds = list(csv.DictReader(file))
    first = np.array([row["fold"] == "1" for row in rows])
    scores = np.array([float(row["score_top"]) for row in rows])
    assert float(folds[0]["auc"]) == pytest.approx(auc(labels[first], scores[first]), abs=1e-3)
    assert len(members(Tagger.load(tmp_path / "folds" / "model.safetensors").network)) == 2


def test_a_regression_is_cross_validated_in_one_command(tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra physics")
    write_reference_table(tmp_path / "train.h5", JETS)
    settings = [f"train={tmp_path / 'train.h5'}", "model.phi=[8]", "model.f=[8]", "budget=2 epochs",
                "batch_size=64", "target=jet_mass", "baseline=''"]  # fmt: skip
    sets = [word for setting in settings for word in ("--set", setting)]
    command = ["run", "physics/groomed-mass", "--folds", "2", "--out", str(tmp_path / "folds")]
    result = CliRunner().invoke(app, [*command, *sets])
    assert result.exit_code == 0, result.output
    with open(tmp_path / "folds" / "out_of_fold.csv") as file:
        rows = list(csv.DictReader(file))
    jets = np.array([int(row["jet"]) for row in rows])
    assert sorted(jets.tolist()) == list(range(len(JETS)))
    masses = np.array([float(row["jet_mass"]) for row in rows])
    np.testing.assert_allclose(masses, read_jets(tmp_path / "train.h5").mass[jets], rtol=1e-4)
    (column,) = {name for name in rows[0] if name.endswith(("jet_mass", "q50"))} - {"jet_mass"}
    errors = np.abs(masses - [float(row[column]) for row in rows])
    with open(tmp_path / "folds" / "folds.csv") as file:
        folds = list(csv.DictReader(file))
    first = np.array([row["fold"] == "1" for row in rows])
    assert float(folds[0]["mae"]) == pytest.approx(errors[first].mean(), rel=1e-3)
    joined = JetModel.load(tmp_path / "folds" / "model.safetensors")
    assert len(members(joined.network)) == 2
