"""The verbs on molecules, as a user types them."""

import csv
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from fieldgrad.chem.field import field
from fieldgrad.engine.cli import app
from fieldgrad.engine.testing import check_field

pytest.importorskip("rdkit", reason="needs the extra chem")
pytest.importorskip("matplotlib", reason="needs the extra chem")
pytest.importorskip("sklearn", reason="needs the extra chem")


def chem(verb, *arguments):
    return CliRunner().invoke(app, ["chem", verb, *map(str, arguments)])


def refused(result, *words):
    """Check that the user got a short message and an exit code, and nothing worse."""
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    message = result.output[result.output.index("Error: ") :]
    assert message.count("\n") <= 4
    for word in words:
        assert word in message
    return True


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


FAST = ("--epochs", 2, "--baseline", "morgan")


@pytest.fixture
def model(fitted, tmp_path):
    fitted.save(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_field_keeps_its_contract():
    check_field(field)


def test_train_works_first_time_and_writes_all_results(table, tmp_path):
    out = tmp_path / "run"
    result = chem(
        "train", table, "--smiles-column", "structure", "--targets", "my property", "-o", out, *FAST
    )
    assert result.exit_code == 0, result.output
    names = {path.name for path in out.iterdir()}
    assert names >= {
        "model.safetensors", "recipe.toml", "split.json", "problems.csv", "metrics.csv",
        "predictions.csv", "errors_by_scaffold.csv", "coverage.csv", "history.csv", "parity.png",
        "residuals.png", "calibration.png", "scaffolds.png", "learning.png",
    }  # fmt: skip
    assert "1 rows left out" in result.output
    assert "row 151: 'C1CC'" in result.output
    assert "1 rows repeat a molecule" in result.output
    assert {row["model"] for row in read(out / "metrics.csv")} == {
        "network", "random forest (morgan)", "mean",
    }  # fmt: skip
    split = json.loads((out / "split.json").read_text())
    assert sum(map(len, split.values())) == 152
    assert not any(150 in part for part in split.values())  # the bad SMILES
    assert any({151, 152} <= set(part) for part in split.values())  # two ways of writing one
    assert len(read(out / "predictions.csv")) == len(split["test"])
    assert len(read(out / "history.csv")) == 2


def test_run_can_be_repeated_from_its_recipe(table, tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    arguments = ("--smiles-column", "structure", "--targets", "my property", *FAST)
    assert chem("train", table, *arguments, "-o", first).exit_code == 0
    run = ["run", str(first / "recipe.toml"), "--out", str(second)]
    assert CliRunner().invoke(app, run).exit_code == 0
    for name in ("predictions.csv", "metrics.csv", "split.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_two_targets_with_classes_and_missing_labels(table, tmp_path):
    with open(table, newline="") as file:
        rows = list(csv.reader(file))
    for i, row in enumerate(rows):
        row.append("aromatic" if i == 0 else "" if i % 4 == 0 else int("c1" in row[1]))
    with open(table, "w", newline="") as file:
        csv.writer(file).writerows(rows)
    result = chem(
        "train", table, "--smiles-column", "structure", "--targets", "is polar,aromatic",
        "--split", "scaffold", "-o", tmp_path / "run", *FAST,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "mean of targets" in result.output
    assert "labels of 2 targets are missing" in result.output
    assert (tmp_path / "run" / "roc.png").stat().st_size > 5000
    assert read(tmp_path / "run" / "metrics.csv")[0]["roc_auc"]


def test_given_splits_are_kept(table, tmp_path):
    split = {"train": [*range(100)], "val": [*range(100, 125)], "test": [*range(125, 153)]}
    (tmp_path / "mine.json").write_text(json.dumps(split))
    out = tmp_path / "run"
    result = chem(
        "train", table, "--smiles-column", "structure", "--targets", "my property",
        "--split-file", tmp_path / "mine.json", "-o", out, "--epochs", 1, "--baseline", "none",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    split["test"].remove(150)
    assert json.loads((out / "split.json").read_text()) == split


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--targets", "my proprety"), ["'my proprety'", "did you mean 'my property'"]),
        (("--targets", "id"), ["'id'", "different values", "numbers"]),
        (("--targets", "my property", "--smiles-column", "id"), ["no molecule", "'m0'"]),
        (("--targets", "my property", "--split", "scafold"), ["did you mean 'scaffold'"]),
        (("--targets", "my property", "--split-file", "nowhere.json"), ["nowhere.json"]),
        (("--targets", "my property", "--split-column", "id"), ["'id'", "train, val or test"]),
    ],
)
def test_mistakes_are_told_before_training(table, tmp_path, arguments, words):
    out = tmp_path / "run"
    arguments = ("--smiles-column", "structure", *arguments)
    assert refused(chem("train", table, *arguments, "-o", out), *words)
    assert not out.exists()


@pytest.mark.parametrize("content", ["", "smiles,y\n"])
def test_empty_tables_are_refused(tmp_path, content):
    (tmp_path / "a.csv").write_text(content)
    result = chem("train", tmp_path / "a.csv", "--targets", "y", "-o", tmp_path / "run")
    assert refused(result, "a.csv")
    assert not (tmp_path / "run").exists()


def test_predict_keeps_every_row_and_column(model, tmp_path):
    text = 'target_predicted,smiles,"a, b"\n1,CCO,x\n2,C1CC,"y, z"\n,,\n3,[Na+].[Cl-],\n'
    (tmp_path / "new.csv").write_text(text)
    result = chem("predict", tmp_path / "new.csv", "-m", model, "-o", tmp_path / "out.csv")
    assert result.exit_code == 0, result.output
    with open(tmp_path / "out.csv", newline="") as file:
        rows = list(csv.reader(file))
    with open(tmp_path / "new.csv", newline="") as file:
        assert [row[:3] for row in rows] == list(csv.reader(file))
    assert rows[0][3:] == [
        "target_predicted_2", "target_std", "target_lower", "target_upper", "note",
    ]  # fmt: skip
    assert float(rows[1][5]) < float(rows[1][3]) < float(rows[1][6])
    assert rows[2][3:7] == ["", "", "", ""]
    assert rows[2][7].startswith("no prediction: ")
    assert "Na" in rows[4][7]
    assert "4 rows, 2 without a prediction" in result.output
    assert "row 2: 'C1CC'" in result.output


def test_predict_does_not_depend_on_its_parts(model, fitted, smiles, tmp_path, monkeypatch):
    (tmp_path / "new.csv").write_text("smiles\n" + "\n".join(smiles) + "\n")
    monkeypatch.setattr("fieldgrad.chem.molecules.prediction._PART", 64)
    out = tmp_path / "out.csv"
    assert chem("predict", tmp_path / "new.csv", "-m", model, "-o", out).exit_code == 0
    found = [float(row["target_predicted"]) for row in read(out)]
    np.testing.assert_allclose(found, fitted.predict(smiles), rtol=1e-5)


def test_predict_refuses_what_would_be_lost(model, table, tmp_path):
    assert refused(chem("predict", table, "-m", model, "-o", table), "overwrite")
    assert refused(chem("predict", table, "-m", model, "-o", tmp_path / "o.csv"), "no column")
    assert not (tmp_path / "o.csv").exists()


def test_evaluate_takes_what_was_held_back(table, tmp_path):
    run = tmp_path / "run"
    names = ("--smiles-column", "structure", "--targets", "my property")
    assert chem("train", table, *names, "-o", run, *FAST).exit_code == 0
    result = chem("evaluate", table, "-m", run / "model.safetensors")
    assert result.exit_code == 0, result.output
    trained = read(run / "metrics.csv")[0]
    own = read(run / "evaluation" / "metrics.csv")[0]
    assert own == {key: trained[key] for key in own}
    result = chem("evaluate", table, "-m", run / "model.safetensors", "--all", "-o", tmp_path / "e")
    assert result.exit_code == 0
    assert int(read(tmp_path / "e" / "metrics.csv")[0]["n"]) == 151


def test_fingerprint_writes_a_vector_for_each_row(model, tmp_path):
    (tmp_path / "new.csv").write_text("smiles\nCCO\nC1CC\n")
    out = tmp_path / "f.csv"
    result = chem("fingerprint", tmp_path / "new.csv", "-m", model, "-o", out)
    assert result.exit_code == 0, result.output
    rows = read(out)
    assert len(rows[0]) == 65
    assert float(rows[0]["f0"]) >= 0
    assert rows[1]["f0"] == ""


def test_interpret_draws_molecules(model, tmp_path):
    result = chem("interpret", "CCO", "c1ccccc1N", "-m", model, "-o", tmp_path / "i")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "i" / "molecule-2.svg").read_text().startswith("<?xml")
    assert len(read(tmp_path / "i" / "contributions.csv")) == 10
    assert refused(chem("interpret", "C1CC", "-m", model, "-o", tmp_path / "i"), "'C1CC'")


def test_several_classes_from_table_to_report(tmp_path, smiles):
    table, out = tmp_path / "kinds.csv", tmp_path / "run"
    names = ["acid" if "C(=O)O" in s else "amine" if "N" in s else "other" for s in smiles]
    rows = "".join(f"{s},{name}\n" for s, name in zip(smiles, names, strict=True))
    table.write_text("smiles,kind\n" + rows)
    result = chem("train", table, "--targets", "kind", "-o", out, *FAST)
    assert result.exit_code == 0, result.output
    assert "balanced_accuracy" in result.output
    assert (out / "confusion.png").exists()
    assert set(read(out / "predictions.csv")[0]) >= {"kind_predicted", "kind_p_acid", "kind_forest"}
    predicted = chem("predict", table, "-m", out / "model.safetensors", "-o", tmp_path / "new.csv")
    assert predicted.exit_code == 0, predicted.output
    assert {row["kind_predicted"] for row in read(tmp_path / "new.csv")} <= set(names)
    assert chem("evaluate", table, "-m", out / "model.safetensors").exit_code == 0
    report = CliRunner().invoke(app, ["report", str(out)])
    assert report.exit_code == 0, report.output
    page = (out / "report.html").read_text()
    assert " of amine" in page
    assert "Confusion" in page


def test_report_has_scores_with_intervals(table, tmp_path):
    out = tmp_path / "run"
    arguments = ("--smiles-column", "structure", "--targets", "my property,is polar")
    assert chem("train", table, *arguments, "-o", out, *FAST).exit_code == 0
    assert CliRunner().invoke(app, ["report", str(out)]).exit_code == 0
    page = (out / "report.html").read_text()
    words = ("Scores on the test part", " to ", "C1CC: this is no SMILES", "How sure", "scaffold")
    for text in (*words, "Largest errors", "random forest", "validation"):
        assert text in page, text
    assert (out / "pictures" / "validation.png").read_bytes().startswith(b"\x89PNG")


def test_learner_of_one_line_trains_and_saves(table, tmp_path):
    from fieldgrad import chem as room

    model, target = tmp_path / "m.safetensors", "my property"
    learner = room.predictor(
        table, target, smiles_column="structure", batch_size=16, run_dir=tmp_path / "run"
    )
    assert 1e-6 < learner.lr_find(n_steps=20).suggestion < 1
    learner.fit_one_cycle("2 epochs", 3e-3)
    learner.save(model)
    assert learner.history[-1]["epoch"] == 2
    assert np.isfinite(room.Predictor.load(model).predict(["CCO"])).all()
    result = chem("evaluate", table, "-m", model, "-o", tmp_path / "scores")
    assert result.exit_code == 0, result.output
    n_test = len(json.loads((tmp_path / "run" / "split.json").read_text())["test"])
    assert len(read(tmp_path / "scores" / "predictions.csv")) == n_test
    assert CliRunner().invoke(app, ["report", str(tmp_path / "run")]).exit_code == 0
