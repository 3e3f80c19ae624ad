"""The verbs fieldgrad physics train, evaluate, predict and plot, as a user types them."""

import csv
import json

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from fieldgrad.engine.cli import app
from fieldgrad.physics.reading.datasets import made_up_jets
from fieldgrad.physics.reading.outputs import write_reference_table

pytest.importorskip("matplotlib", reason="needs the extra physics")
pytest.importorskip("sklearn", reason="needs the extra physics")

SMALL = ("--set", "model.phi=[8, 8]", "--set", "model.f=[8]", "--set", "batch_size=64")


def physics(verb, *arguments):
    return CliRunner().invoke(app, ["physics", verb, *map(str, arguments)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Made-up jets in three files, and a short training on them."""
    place = tmp_path_factory.mktemp("jets")
    for i, (name, n) in enumerate((("train", 600), ("val", 200), ("test", 300))):
        jets = made_up_jets(n, seed=i, n_constituents=12)
        # Made-up jets are too easy: some background has to pass.
        wrong = np.random.default_rng(i).random(n) < 0.1
        jets = jets.replace(labels=np.where(wrong, 1 - jets.labels, jets.labels))
        write_reference_table(place / f"{name}.h5", jets)
    files = [f"--{key}={place / name}.h5" for key, name in
             (("train", "train"), ("valid", "val"), ("test", "test"))]  # fmt: skip
    result = physics(
        "train", "physics/top-pfn", *files, "--budget", "4 epochs", *SMALL, "-o", place / "run"
    )
    assert result.exit_code == 0, result.output
    (place / "said.txt").write_text(result.output)
    return place


def test_training_prints_trees_and_cuts_beside_the_network(folder):
    said = (folder / "said.txt").read_text()
    for words in ("PFN:", "trees on 10 observables", "mass alone", "cuts 140 < m < 210 GeV"):
        assert words in said
    run = folder / "run"
    found = json.loads((run / "metrics.json").read_text())
    assert [row["tagger"] for row in found["taggers"]] == [
        "PFN", "trees on 10 observables", "mass alone",
    ]  # fmt: skip
    assert found["taggers"][0]["auc"] > 0.7
    for name in ("roc", "scores", "mass", "reliability", "training"):
        assert (run / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        with open(run / f"{name}.csv") as file:
            assert list(csv.DictReader(file))
    card = json.loads((run / "preprocess.json").read_text())
    assert card["output_names"] == ["score_QCD", "score_top"]
    assert card["pf_features"]["var_infos"]["part_pt_log"]["median"] == 1.7


@pytest.mark.parametrize("suffix", [".root", ".h5", ".parquet"])
def test_scores_come_in_the_order_of_the_input(folder, tmp_path, suffix):
    pytest.importorskip({".root": "uproot", ".parquet": "pyarrow"}.get(suffix, "h5py"))
    out = tmp_path / f"scores{suffix}"
    model = folder / "run" / "model.safetensors"
    result = physics("predict", folder / "test.h5", folder / "val.h5", "-m", model, "-o", out)
    assert result.exit_code == 0, result.output
    assert "Scores of 500 jets" in result.output
    from fieldgrad.physics.reading.sources import open_source

    with open_source(out) as source:
        table = source.read(source.names)
    with h5py.File(folder / "run" / "scores.h5") as file:
        np.testing.assert_allclose(table["score_top"][:300], file["score_top"][:], rtol=1e-5)
    assert {"score_QCD", "jet_pt", "jet_mass"} <= set(table)


def test_evaluate_repeats_the_figures_of_the_training(folder, tmp_path):
    model = folder / "run" / "model.safetensors"
    result = physics(
        "evaluate", folder / "test.h5", "-m", model, "-o", tmp_path, "--train", folder / "train.h5",
        "--pdf",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    again = json.loads((tmp_path / "metrics.json").read_text())["taggers"][0]
    before = json.loads((folder / "run" / "metrics.json").read_text())["taggers"][0]
    assert again["auc"] == pytest.approx(before["auc"])
    assert (tmp_path / "roc.pdf").read_bytes().startswith(b"%PDF")


def test_plot_draws_several_taggers(folder, tmp_path):
    (tmp_path / "other").mkdir()
    scores = folder / "run" / "scores.h5"
    (tmp_path / "other" / "scores.h5").write_bytes(scores.read_bytes())
    result = physics("plot", scores, tmp_path / "other" / "scores.h5", "-o", tmp_path / "plots")
    assert result.exit_code == 0, result.output
    with open(tmp_path / "plots" / "roc.csv") as file:
        assert {row["tagger"] for row in csv.DictReader(file)} == {"run", "other"}


def refused(result, *words):
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output
    for word in words:
        assert word in " ".join(result.output.split())


def test_mistakes_are_explained(folder, tmp_path):
    model = folder / "run" / "model.safetensors"
    test = folder / "test.h5"
    refused(physics("predict", test, "-m", model, "-o", tmp_path / "s.csv"), "ends in '.csv'")
    refused(physics("predict", test, "-m", model, "-o", test), "would overwrite the jets")
    refused(physics("predict", "no.h5", "-m", model, "-o", tmp_path / "s.h5"), "no.h5")
    refused(physics("evaluate", test, "-m", test, "-o", tmp_path), "test.h5")
    refused(physics("train", "physics/top-pfm", "-o", tmp_path / "r"), "top-pfm")
    text = "inputs: {pf_features: {length: 8, vars: [[part_deta, null]]}}"
    (tmp_path / "card.yaml").write_text(text)
    refused(physics("train", tmp_path / "card.yaml"), "no files are given. Add --train")
    refused(
        physics("train", tmp_path / "card.yaml", "--train", test, "--model", "pfm"), "--model 'pfm'"
    )


def test_jets_are_streamed_when_they_are_many(folder, tmp_path):
    result = physics(
        "train", "physics/top-pfn-decorrelated", f"--train={folder}/t*.h5", "--budget", "1 epochs",
        *SMALL, "--set", "memory_gb=0", "-o", tmp_path / "run",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "JSD at ε_S 0.5" in result.output
    assert "read anew in each epoch (sample of 720)" in result.output  # of train.h5 and test.h5
    record = json.loads((tmp_path / "run" / "data.json").read_text())
    assert (record["streamed"], record["train"], record["test"]) == (True, 720, 90)
    shown = CliRunner().invoke(app, ["report", str(tmp_path / "run")])
    assert shown.exit_code == 0, shown.output
    page = (tmp_path / "run" / "report.html").read_text()
    for words in ("sample of 720 training jets", "trees on 10 observables", "Likeness of the mass"):
        assert words in page


def test_an_estimate_is_trained_evaluated_and_predicted(folder, tmp_path):
    run = tmp_path / "run"
    result = physics(
        "train", "physics/groomed-mass", f"--train={folder / 'train.h5'}", "--budget", "2 epochs",
        *SMALL, "--set", "quantiles=[0.16, 0.5, 0.84]", f"--test={folder / 'test.h5'}", "-o", run,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    for words in ("PFN", "jet_mass", "expected 0.68", "coverage"):
        assert words in result.output
    before = json.loads((run / "response.json").read_text())["estimates"]
    assert [row["estimate"] for row in before] == ["PFN", "jet_mass"]
    for name in ("response", "resolution", "training"):
        assert (run / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    model = run / "model.safetensors"
    again = physics("evaluate", folder / "test.h5", "-m", model, "--baseline", "jet_mass")
    assert again.exit_code == 0, again.output
    after = json.loads((run / "evaluation" / "response.json").read_text())["estimates"]
    assert after == before
    # Files to be estimated do not have the target.
    out = physics("predict", folder / "val.h5", "-m", model, "-o", tmp_path / "found.h5")
    assert out.exit_code == 0, out.output
    with h5py.File(tmp_path / "found.h5") as file:
        assert {"predicted_jet_sdmass_q16", "jet_pt"} <= set(file)
        assert "jet_sdmass" not in file


def test_several_classes_are_each_compared_with_the_background(tmp_path):
    pytest.importorskip("uproot")
    pytest.importorskip("awkward")
    jets = made_up_jets(700, seed=5, n_constituents=10)
    kinds = np.where(jets.labels == 1, 1 + np.arange(700) % 2, 0)
    for k, name in enumerate(("qcd", "top", "other")):
        write_reference_table(tmp_path / f"{name}.h5", jets[kinds == k])
    files = [f"{name}={tmp_path}/{name[:3].lower()}*.h5" for name in ("QCD", "top", "other")]
    result = physics(
        "train", "physics/top-pfn", *(f"--train={file}" for file in files), "--budget", "3 epochs",
        *SMALL, "-o", tmp_path / "run",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    model = tmp_path / "run" / "model.safetensors"
    refused(physics("evaluate", *files[:2], "-m", model), "the model knows QCD, top, other")
    refused(physics("evaluate", *files, files[0], "-m", model), "once for each class")
    found = json.loads((tmp_path / "run" / "metrics.json").read_text())["taggers"]
    rows = [(row["tagger"], row["signal"]) for row in found]
    assert rows == [(t, s) for t in ("PFN", "trees on 10 observables") for s in ("top", "other")]
    for name in ("roc_top", "roc_other", "scores", "pictures/ROC"):
        assert (tmp_path / "run" / f"{name}.png").exists()
    again = physics("evaluate", *files, "-m", model, "-o", tmp_path / "again")
    assert again.exit_code == 0, again.output
    found = json.loads((tmp_path / "again" / "metrics.json").read_text())["taggers"]
    assert [row["n_signal"] for row in found] == np.bincount(kinds)[1:].tolist()
    out = physics("predict", tmp_path / "top.h5", "-m", model, "-o", tmp_path / "scores.root")
    assert out.exit_code == 0, out.output
