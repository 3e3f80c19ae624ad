"""Several classes by name: read, learned, calibrated, scored, written and read again."""

from functools import partial

import numpy as np
import pytest

import fieldgrad.engine as fg
from fieldgrad.chem.molecules.baselines import mean_predictions, random_forest_predictions
from fieldgrad.chem.molecules.calibration import TemperatureScaling
from fieldgrad.chem.molecules.dmpnn import DMPNN
from fieldgrad.chem.molecules.featurize import featurize
from fieldgrad.chem.molecules.fitting import task_loss
from fieldgrad.chem.molecules.interpret import atom_contributions
from fieldgrad.chem.molecules.labels import Labels
from fieldgrad.chem.molecules.losses import cross_entropy
from fieldgrad.chem.molecules.metrics import scores
from fieldgrad.chem.molecules.predictor import Predictor
from fieldgrad.engine.errors import DataError

pytest.importorskip("rdkit", reason="needs the extra chem")


def kind(smiles):
    """Name a class that follows from the graph."""
    return "acid" if "C(=O)O" in smiles else "amine" if "N" in smiles else "other"


@pytest.fixture
def kinds(smiles):
    return [kind(text) for text in smiles]


def test_classes_are_learned_by_name_and_survive_a_file(tmp_path, smiles, kinds):
    small = partial(DMPNN, hidden_size=32, readout="mean")
    predictor = Predictor(model=small, epochs=12, batch_size=16, lr=1e-2).fit(smiles, kinds)
    assert predictor.task == "multiclass"
    assert predictor.classes == (("acid", "amine", "other"),)
    found = predictor.predict([*smiles, "C1CC"])
    assert found[-1] is None
    assert np.mean(found[:-1] == np.array(kinds)) > 0.9
    predictor.save(tmp_path / "m.safetensors")
    again = Predictor.load(tmp_path / "m.safetensors", model=small)
    assert again.predict(smiles[:5]).tolist() == found[:5].tolist()
    estimates = again.estimate(featurize(smiles[:5]), 5)
    np.testing.assert_allclose(estimates.values.sum(axis=1), 1)
    assert list(estimates.columns(["t"])) == ["t_predicted", "t_p_acid", "t_p_amine", "t_p_other"]
    assert atom_contributions(again, "CC(=O)O").shape == (4,)


def test_frames_have_classes_in_columns(smiles, kinds):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"smiles": smiles, "kind": kinds, "acid": ["acid" in k for k in kinds]})
    frame.loc[3, "kind"] = None
    predictor = Predictor(model=partial(DMPNN, hidden_size=8), epochs=1)
    found = predictor.fit(frame, ["kind", "acid"]).predict(frame)
    assert predictor.classes[0] == ("acid", "amine", "other")
    assert set(found["kind_predicted"]) <= set(predictor.classes[0])
    assert {"kind_p_amine", "acid_predicted", "note"} <= set(found.columns)


@pytest.mark.parametrize(
    ("column", "task", "expected"),
    [
        (["0", "1", ""], "auto", ("classification", ())),
        (["0", "1", "2"] * 2, "auto", ("regression", ())),
        (["0", "2.0", "1", "2"] * 2, "classification", ("multiclass", (("0", "1", "2"),))),
        (["yes", "no", "NA", "yes"], "auto", ("multiclass", (("no", "yes"),))),
    ],
)
def test_kind_of_labels_is_recognized(column, task, expected):
    found = Labels.read([column], ["t"], "x.csv", task)
    assert (found.task, found.classes) == expected


@pytest.mark.parametrize(
    ("column", "task", "words"),
    [
        (["1.5", "2,5", "3"], "auto", "'2,5' in row 2"),
        (["1.5", "1", "0"], "classification", "label 1.5"),
        ([f"m{i}" for i in range(9)], "auto", "9 different values"),
        (["a", "b"], "regression", "expected a number"),
    ],
)
def test_labels_that_are_neither_are_refused(column, task, words):
    with pytest.raises(DataError, match=words):
        Labels.read([column], ["t"], "x.csv", task)


def test_a_class_that_the_model_does_not_know_is_named():
    with pytest.raises(DataError, match="'green', which the model does not know"):
        Labels.read([["green"]], ["t"], "x.csv", "multiclass", (("blue", "red"),))


def test_cross_entropy_counts_each_label_once():
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(6, 5)), np.array([[0, 1], [2, 0], [1, np.nan], [0, 1], [2, 1], [2, 1]])
    logits, slices = fg.tensor(z), [slice(0, 3), slice(3, 5)]
    each = []
    for i, own in enumerate(slices):
        p = np.exp(z[:, own]) / np.exp(z[:, own]).sum(axis=1, keepdims=True)
        each += [-np.log(p[j, int(y[j, i])]) for j in range(6) if np.isfinite(y[j, i])]
    assert float(cross_entropy(logits, fg.tensor(y), slices)) == pytest.approx(np.mean(each))
    labels = Labels(y, "multiclass", (("a", "b", "c"), ("d", "e")))
    weight = task_loss(labels, balanced=True).keywords["class_weight"]
    assert weight[[0, 1]].tolist() == pytest.approx([1.0, 2.0])  # 2 of a, 1 of b, 3 of c


def test_temperature_finds_how_much_too_sure_a_network_is():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(20_000, 3))
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    y = (rng.random((20_000, 1)) > p.cumsum(axis=1)).sum(axis=1)[:, None].astype(float)
    scaling = TemperatureScaling.fit(y, 4 * z, np.array([0, 3]))
    assert scaling.temperature[0] == pytest.approx(4, rel=0.05)  # its standard error is 0.04
    np.testing.assert_allclose(scaling(4 * z[:5]), p[:5], atol=0.02)


def test_scores_agree_with_scikit_learn_for_several_classes():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 200)
    p = rng.dirichlet(np.ones(3), 200) + np.eye(3)[y] * 0.3
    p /= p.sum(axis=1, keepdims=True)
    row = scores(y[:, None].astype(float), p, ["t"], "multiclass", (("a", "b", "c"),))[0]
    best = p.argmax(axis=1)
    assert row["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(y, best))
    assert row["f1"] == pytest.approx(metrics.f1_score(y, best, average="macro"))
    assert row["roc_auc"] == pytest.approx(metrics.roc_auc_score(y, p, multi_class="ovr"))


def test_baselines_know_classes_by_name(smiles, kinds):
    pytest.importorskip("sklearn")
    x = featurize(smiles, descriptors=["morgan"]).descriptors["morgan"]
    labels = Labels.read([kinds], ["t"], "x.csv", "auto")
    train = labels.take(np.arange(100))
    found = random_forest_predictions(x[:100], train, x[100:], n_trees=20)
    mean = mean_predictions(train, 50)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    np.testing.assert_allclose(mean.sum(axis=1), 1)
    right = labels.values[100:, 0]
    assert (found.argmax(axis=1) == right).mean() > (mean.argmax(axis=1) == right).mean()
