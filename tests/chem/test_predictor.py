"""The Predictor: fit, predict, uncertainty, files; in the manner of scikit-learn."""

from functools import partial

import numpy as np
import pytest

import fieldgrad.engine as fg
from fieldgrad.chem.molecules.baselines import mean_predictions, random_forest_predictions
from fieldgrad.chem.molecules.calibration import Calibration, PlattScaling, coverage
from fieldgrad.chem.molecules.dmpnn import DMPNN
from fieldgrad.chem.molecules.featurize import featurize
from fieldgrad.chem.molecules.interpret import atom_contributions, draw_contributions
from fieldgrad.chem.molecules.labels import Labels
from fieldgrad.chem.molecules.metrics import average_precision, roc_auc, scores
from fieldgrad.chem.molecules.predictor import Predictor
from fieldgrad.engine import checkpoint
from fieldgrad.engine.errors import DataError, FileError, RecipeError

pytest.importorskip("rdkit", reason="needs the extra chem")

small = partial(DMPNN, hidden_size=16)


def test_fit_learns_a_property_of_the_graph(fitted, smiles, labels):
    errors = fitted.predict(smiles) - labels
    assert np.sqrt((errors**2).mean()) < 0.5 * labels.std()
    assert len(fitted.history) == 2


def test_predictions_keep_rows_and_say_why_one_is_missing(fitted):
    rows = ["CCO", "C1CC", "", "CCN"]
    found = fitted.predict(rows)
    assert np.isnan(found).tolist() == [False, True, True, False]
    estimates = fitted.estimate(featurize(rows), len(rows))
    assert "no SMILES" in estimates.notes[1]
    assert "empty" in estimates.notes[2]
    assert estimates.notes[0] == ""
    assert estimates.n_bad == 2


def test_what_training_cannot_have_taught_is_noted(fitted):
    notes = fitted.estimate(featurize(["[Pt]", "C" * 500, "CC"])).notes
    assert "element not in training: other" in notes[0]
    assert "single atom" in notes[0]
    assert "500 atoms" in notes[1]
    assert notes[2] == ""


def test_nothing_to_predict_is_no_error(fitted):
    assert fitted.predict([]).shape == (0,)
    assert np.isnan(fitted.predict(["no molecule"])).all()


def test_frames_go_in_and_out(fitted):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"id": [7, 8], "smiles": ["CCO", None]}, index=["a", "b"])
    out = fitted.predict(frame)
    assert list(out.columns) == [
        "id", "smiles", "target_predicted", "target_std", "target_lower", "target_upper", "note",
    ]  # fmt: skip
    assert list(out.index) == ["a", "b"]
    assert out.loc["a", "target_lower"] < out.loc["a", "target_predicted"]
    assert np.isnan(out.loc["b", "target_predicted"])
    with pytest.raises(DataError, match="no column 'SMILES'; did you mean 'smiles'"):
        fitted.predict(frame, smiles_column="SMILES")


def test_fit_takes_columns_of_a_frame(smiles, labels):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"s": smiles, "a": labels, "b": -labels})
    predictor = Predictor(model=small, epochs=1).fit(frame, ["a", "b"], smiles_column="s")
    assert predictor.targets == ["a", "b"]
    assert predictor.predict(smiles[:3]).shape == (3, 2)


def test_model_file_gives_the_same_predictions(fitted, tmp_path, smiles):
    fitted.save(tmp_path / "model.safetensors")
    again = Predictor.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again.predict(smiles), fitted.predict(smiles))
    a, b = (p.estimate(featurize(smiles)) for p in (fitted, again))
    np.testing.assert_array_equal(a.upper, b.upper)
    np.testing.assert_array_equal(a.std, b.std)
    assert again.targets == fitted.targets


def test_other_files_are_refused(tmp_path):
    checkpoint.save(tmp_path / "x.safetensors", {"a": np.zeros(1)}, {"kind": "other"})
    with pytest.raises(FileError, match="no model of molecules"):
        Predictor.load(tmp_path / "x.safetensors")
    checkpoint.save(
        tmp_path / "y.safetensors", {}, {"kind": "fieldgrad.chem.Predictor", "description": "{}"}
    )
    with pytest.raises(FileError, match="does not fit"):
        Predictor.load(tmp_path / "y.safetensors")


def test_readout_and_loss_of_ones_own(tmp_path, smiles, labels):
    def largest(h, molecule, n_molecules):
        return fg.segment_max(h, molecule, num_segments=n_molecules)

    def absolute(output, y):
        return fg.mean(fg.abs(output - y))

    model = partial(DMPNN, hidden_size=16, readout=largest)
    predictor = Predictor(model=model, loss=absolute, epochs=3, batch_size=16, lr=3e-3)
    predictor.fit(smiles, labels)
    assert predictor.history[0][-1]["train_loss"] < predictor.history[0][0]["train_loss"]
    predictor.save(tmp_path / "own.safetensors")
    with pytest.raises(FileError, match="model="):
        Predictor.load(tmp_path / "own.safetensors")
    again = Predictor.load(tmp_path / "own.safetensors", model=model)
    np.testing.assert_array_equal(again.predict(smiles), predictor.predict(smiles))


def test_classes_have_calibrated_probabilities(smiles):
    labels = np.array([[float("O" in s), float("N" in s)] for s in smiles])
    labels[::5, 1] = np.nan
    mean = partial(DMPNN, hidden_size=16, readout="mean")
    predictor = Predictor(model=mean, epochs=20, batch_size=16, lr=5e-3, class_weights=True)
    predictor.fit(smiles, labels)
    assert predictor.task == "classification"
    found = predictor.predict(smiles)
    assert found.min() >= 0
    assert found.max() <= 1
    for row in scores(labels, found, predictor.targets, "classification"):
        assert row["roc_auc"] > 0.8


@pytest.mark.parametrize("descriptors", ["morgan", "rdkit2d"])
def test_descriptors_and_variance(descriptors, tmp_path, smiles, labels):
    predictor = Predictor(
        model=small, descriptors=descriptors, variance=True, epochs=2, batch_size=16
    )
    predictor.fit(smiles[:40], labels[:40], valid=(smiles[40:60], labels[40:60]))
    estimates = predictor.estimate(featurize(smiles[:9], descriptors=[descriptors]))
    assert (estimates.std > 0).all()
    assert np.ptp(estimates.upper - estimates.lower) > 0  # wider where the network is less sure
    predictor.save(tmp_path / "m.safetensors")
    again = Predictor.load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(again.predict(smiles[:9]), predictor.predict(smiles[:9]))


def test_fingerprint_mlp_needs_no_graph(smiles, labels):
    predictor = Predictor(model="fingerprint_mlp", descriptors="morgan", epochs=10, lr=1e-3)
    errors = predictor.fit(smiles, labels).predict(smiles) - labels
    assert np.sqrt((errors**2).mean()) < labels.std()
    with pytest.raises(DataError, match="dmpnn"):
        atom_contributions(predictor, "CCO")


def test_seed_repeats_a_training(smiles, labels):
    a, b = (
        Predictor(model=small, epochs=1, seed=3).fit(smiles, labels).predict(smiles)
        for _ in range(2)
    )
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("settings", "x", "y", "error", "words"),
    [
        ({"model": "dmpn"}, [], [], RecipeError, "did you mean 'dmpnn'"),
        ({"epochs": 0}, [], [], RecipeError, "epochs is 0"),
        ({}, ["C", "CC"], [1.0], DataError, "2 SMILES, but 1 rows"),
        ({}, ["C", "CC"], [1.0, 2.0], DataError, "at least 5"),
        ({"task": "classification"}, ["C", "CC", "N", "O"], [0.5, 1, 0, 1], DataError, "0 and 1"),
        ({}, "CCO", [1.0], DataError, "list of SMILES"),
    ],
)  # fmt: skip
def test_what_cannot_be_fitted_is_refused(settings, x, y, error, words):
    with pytest.raises(error, match=words):
        Predictor(**settings).fit(x, y)


def test_unfitted_predictor_says_so(tmp_path):
    with pytest.raises(DataError, match="not been fitted"):
        Predictor().predict(["C"])
    with pytest.raises(DataError, match="not been fitted"):
        Predictor().save(tmp_path / "m.safetensors")


def test_fingerprints_are_those_of_all_networks(fitted):
    assert fitted.fingerprint(featurize(["C", "CO"])).shape == (2, 64)


# ---- interpretation


def test_contributions_sum_to_the_difference_from_no_features(fitted):
    smiles = "OCc1ccccc1N"
    contributions = atom_contributions(fitted, smiles, n_steps=200)
    x = fitted.inputs(featurize([smiles])).batch([0])
    empty = (0 * x[0], 0 * x[1], *x[2:])
    rise = [
        float(net(tuple(map(fg.tensor, x)))[0, 0] - net(tuple(map(fg.tensor, empty)))[0, 0])
        for net in fitted.networks
    ]
    assert contributions.shape == (9,)
    assert contributions.sum() == pytest.approx(np.mean(rise) * fitted.scale[0], rel=0.03)


def test_equivalent_atoms_contribute_alike(fitted):
    contributions = atom_contributions(fitted, "Cc1ccccc1")
    assert contributions[2] == pytest.approx(contributions[6], rel=1e-3)


def test_drawing_is_an_svg_with_the_caption(fitted):
    svg = draw_contributions("CCO", atom_contributions(fitted, "CCO"))
    assert svg.startswith("<?xml")
    assert "ellipse" in svg


def test_unknown_target_is_refused(fitted):
    with pytest.raises(DataError, match="no target 'logP'"):
        atom_contributions(fitted, "CCO", "logP")


# ---- uncertainty


def test_intervals_hold_the_truth_as_often_as_promised():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(6000, 2)) * [1.0, 5.0]
    calibration = Calibration.fit(noise[:3000], 0 * noise[:3000], None)
    margin = calibration.margin(None, 0.9) + 0 * noise[3000:]
    # 3,000 labels on both sides: the standard error of the difference is 0.008.
    np.testing.assert_allclose(coverage(noise[3000:], -margin, margin), 0.9, atol=0.025)
    assert margin[0, 1] == pytest.approx(5 * margin[0, 0], rel=0.1)


def test_interval_is_the_ranked_error():
    # 9 errors, level 0.9: rank ceil(10 * 0.9) = 9, the largest; 8 errors are too few.
    errors = np.arange(1.0, 10)[:, None]
    assert Calibration.fit(errors, 0 * errors, None).margin(None, 0.9).item() == 9
    assert Calibration.fit(errors[:8], 0 * errors[:8], None).margin(None, 0.9).item() == np.inf
    assert Calibration.fit(errors, 0 * errors, None).margin(None, 0.5).item() == 5


def test_standard_deviations_get_the_right_size():
    rng = np.random.default_rng(0)
    std = rng.uniform(0.5, 2, (4000, 1))
    calibration = Calibration.fit(3 * std * rng.normal(size=std.shape), 0 * std, std)
    assert calibration.std(std).mean() == pytest.approx(3 * std.mean(), rel=0.05)


def test_platt_scaling_finds_the_curve():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20000, 1)) * 2
    p = 1 / (1 + np.exp(-(0.5 * logits - 1)))
    curve = PlattScaling.fit((rng.random(p.shape) < p).astype(float), logits)
    assert curve.slope[0] == pytest.approx(0.5, abs=0.03)
    assert curve.offset[0] == pytest.approx(-1, abs=0.05)


def test_platt_scaling_leaves_one_class_alone():
    curve = PlattScaling.fit(np.ones((5, 1)), np.arange(5.0)[:, None])
    assert (curve.slope[0], curve.offset[0]) == (1, 0)


def test_level_is_checked():
    with pytest.raises(DataError, match="between 0 and 1"):
        Calibration.fit(np.ones((9, 1)), np.zeros((9, 1)), None).margin(None, 90)


# ---- scores and baselines


def test_scores_agree_with_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    y = (rng.random(200) < 0.3).astype(float)
    p = np.round(np.clip(0.3 * y + rng.random(200) * 0.7, 0, 1), 1)  # with ties
    assert roc_auc(y, p) == pytest.approx(metrics.roc_auc_score(y, p))
    assert average_precision(y, p) == pytest.approx(metrics.average_precision_score(y, p))
    row = scores(y[:, None] * 2, p[:, None], ["t"], "regression")[0]
    assert row["r2"] == pytest.approx(metrics.r2_score(y * 2, p))
    assert row["rmse"] == pytest.approx(metrics.root_mean_squared_error(y * 2, p))


def test_scores_leave_missing_labels_out():
    nan = np.nan
    rows = scores([[1.0, nan], [3.0, nan]], [[1.0, 9.0], [5.0, 9.0]], ["a", "b"], "regression")
    assert rows[0]["mae"] == 1
    assert rows[1]["n"] == 0
    assert np.isnan(rows[1]["rmse"])
    assert np.isnan(roc_auc([1, 1], [0.1, 0.2]))


def test_baselines_beat_nothing_but_work(smiles, labels):
    pytest.importorskip("sklearn")
    x = featurize(smiles, descriptors=["rdkit2d"]).descriptors["rdkit2d"].copy()
    x[0, :5] = np.nan
    y = np.stack([labels, (labels > 0).astype(float)], axis=1)
    y[2] = np.nan
    train = Labels(y[:100], "regression")
    found = random_forest_predictions(x[:100], train, x[100:], n_trees=20)
    mean = mean_predictions(train, 50)
    assert np.abs(found - y[100:]).mean() < np.abs(mean - y[100:]).mean()
    train = Labels(y[:100, 1:], "classification")
    classes = random_forest_predictions(x[:100], train, x[100:], n_trees=20)
    assert roc_auc(y[100:, 1], classes[:, 0]) > 0.9
