"""Training on a folder and evaluating, as recipes and the command line do."""

import csv
import json
import os
import signal

import nibabel
import numpy as np
import pytest

from fieldgrad.engine.errors import DataError, RecipeError
from fieldgrad.neuro.images.image import Image
from fieldgrad.neuro.images.io import read_image, read_labels, write_image, write_labels
from fieldgrad.neuro.segmentation.segmenter import Segmenter
from fieldgrad.neuro.segmentation.tasks import evaluate_dataset, train_on_dataset
from fieldgrad.neuro.segmentation.train import CenterPatches

pytest.importorskip("matplotlib", reason="matplotlib is not installed")
QUICK = {"budget": "2 steps", "base_features": 2, "steps_per_epoch": 2}


@pytest.fixture
def trained(dataset, tmp_path):
    """A run of two steps: its folder and what it printed."""
    run_dir = tmp_path / "run"
    return run_dir, train_on_dataset(dataset, run_dir=run_dir, **QUICK)


def test_a_run_leaves_plan_split_history_and_model(trained):
    run_dir, _ = trained
    names = {"plan.json", "data.json", "history.csv", "training.png", "model.safetensors"}
    assert names <= {path.name for path in run_dir.iterdir()}
    split = json.loads((run_dir / "data.json").read_text())
    assert sorted(split["train"] + split["held back"]) == list("abcd")
    assert not list(run_dir.glob(".writing*"))


def test_the_summary_is_true(trained, dataset):
    run_dir, summary = trained
    segmenter = Segmenter.load(run_dir / "model.safetensors")
    assert f"Trained {segmenter.network.n_parameters():,} weights for 2 steps" in summary
    assert "3 trained on, 1 held back" in summary
    with open(run_dir / "history.csv") as file:
        last = list(csv.DictReader(file))[-1]
    words = summary.split()
    for word, column in (("mean", "dice"), ("core", "dice_core"), ("box", "dice_box")):
        assert float(words[words.index(word) + 1]) == pytest.approx(float(last[column]), abs=6e-4)
    assert f"fieldgrad neuro evaluate {dataset} -m {run_dir / 'model.safetensors'}" in summary


def test_the_model_has_the_spacing_of_the_plan(trained):
    """Spacings are no whole numbers in general: here 1 x 1 x 1.5 mm."""
    run_dir, _ = trained
    preparation = Segmenter.load(run_dir / "model.safetensors").preparation
    assert preparation.spacing == (1.0, 1.0, 1.5)
    assert list(preparation.spacing) == json.loads((run_dir / "plan.json").read_text())["spacing"]


def test_a_continued_run_is_the_uninterrupted_one(dataset, tmp_path, monkeypatch):
    settings = QUICK | {"budget": "2 epochs"}
    train_on_dataset(dataset, run_dir=tmp_path / "whole", **settings)
    item, calls = CenterPatches.item, []

    def press_ctrl_c_in_the_first_validation(self, index, rng):
        if not calls:
            os.kill(os.getpid(), signal.SIGINT)
        calls.append(index)
        return item(self, index, rng)

    monkeypatch.setattr(CenterPatches, "item", press_ctrl_c_in_the_first_validation)
    run_dir = tmp_path / "halved"
    with pytest.raises(KeyboardInterrupt):
        train_on_dataset(dataset, run_dir=run_dir, **settings)
    assert not (run_dir / "model.safetensors").exists()
    summary = train_on_dataset(dataset, run_dir=run_dir, **settings, resume=True)
    assert "for 4 steps" in summary
    whole = Segmenter.load(tmp_path / "whole" / "model.safetensors").network.state_dict()
    for name, array in Segmenter.load(run_dir / "model.safetensors").network.state_dict().items():
        np.testing.assert_array_equal(array, whole[name])


def test_a_fold_is_trained_without_its_cases_and_judged_on_them(dataset, tmp_path):
    judged = []
    for k in (1, 2):
        run_dir = tmp_path / f"fold-{k}"
        train_on_dataset(dataset, run_dir=run_dir, fold=f"{k}/2", **QUICK)
        with open(run_dir / "out_of_fold.csv") as file:
            rows = list(csv.DictReader(file))
        split = json.loads((run_dir / "data.json").read_text())
        assert sorted({row["case"] for row in rows}) == split["held back"]
        assert not set(split["train"]) & set(split["held back"])
        scores = json.loads((run_dir / "fold.json").read_text())["scores"]
        assert scores["dice"] == pytest.approx(np.mean([float(row["dice"]) for row in rows]))
        judged += split["held back"]
    assert sorted(judged) == list("abcd")


def test_changed_data_are_not_continued_with(trained, dataset):
    run_dir, _ = trained
    path = dataset / "imagesTr" / "a_0000.nii.gz"
    image = read_image(path)
    write_image(image.with_data(image.data + 1), path)
    with pytest.raises(DataError, match=r"boxes has changed since the run in .*run began"):
        train_on_dataset(dataset, run_dir=run_dir, **QUICK, resume=True)


def remove_cases(dataset):
    for case in "bcd":
        (dataset / "imagesTr" / f"{case}_0000.nii.gz").unlink()
        (dataset / "labelsTr" / f"{case}.nii.gz").unlink()


def use_an_unknown_label(dataset):
    path = dataset / "labelsTr" / "b.nii.gz"
    labels = read_labels(path)
    write_labels(labels.with_data(labels.data * 2, {}), path)


def shift_the_labels(dataset):
    path = dataset / "labelsTr" / "b.nii.gz"
    labels = read_labels(path)
    write_labels(Image(labels.data, labels.affine + 3 * np.eye(4, k=3), {}), path)


def cut_an_image(dataset):
    path = dataset / "imagesTr" / "b_0000.nii.gz"
    path.write_bytes(path.read_bytes()[:3000])


def make_a_series(dataset):
    path = dataset / "imagesTr" / "b_0000.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.ones((14, 16, 12, 2), np.float32), np.eye(4)), path)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (remove_cases, r"labeled cases: 1 \(a\)"),
        (use_an_unknown_label, r"case b: .*b\.nii\.gz holds the label 2, 6"),
        (shift_the_labels, r"case b: .*b\.nii\.gz .*different affines"),
        (cut_an_image, r"b_0000\.nii\.gz cannot be read"),
        (make_a_series, r"b_0000\.nii\.gz has shape 14x16x12x2"),
    ],
)
def test_bad_data_are_refused_before_anything_is_written(dataset, tmp_path, spoil, words):
    spoil(dataset)
    with pytest.raises((DataError, OSError), match=words):
        train_on_dataset(dataset, run_dir=tmp_path / "run", **QUICK)
    assert not (tmp_path / "run").exists()


def test_a_mistyped_budget_is_refused_before_the_data_are_read(tmp_path):
    with pytest.raises(RecipeError, match="budget is '4 stps'"):
        train_on_dataset(tmp_path / "nothing", run_dir=tmp_path / "run", budget="4 stps")


def test_evaluation_scores_the_held_back_cases(trained, dataset, tmp_path):
    run_dir, _ = trained
    segmenter = Segmenter.load(run_dir / "model.safetensors")
    (held_back,) = json.loads(segmenter.about["held back"])
    calls = []
    rows = evaluate_dataset(
        dataset, segmenter, out=tmp_path / "e", progress=lambda *counts: calls.append(counts)
    )
    assert [(row["case"], row["name"]) for row in rows] == [(held_back, "core"), (held_back, "box")]
    assert calls == [(1, 1)]
    assert sorted(p.name for p in (tmp_path / "e").iterdir()) == [
        f"{held_back}.nii.gz",
        "evaluation.tsv",
    ]
    prediction = read_labels(tmp_path / "e" / f"{held_back}.nii.gz")
    truth = read_labels(dataset / "labelsTr" / f"{held_back}.nii.gz")
    both = np.count_nonzero((prediction.data == 3) & (truth.data == 3))
    sizes = np.count_nonzero(prediction.data == 3) + np.count_nonzero(truth.data == 3)
    assert rows[1]["dice"] == pytest.approx(2 * both / sizes)


def test_evaluation_of_all_cases_has_to_be_asked_for(dataset, tmp_path, make_segmenter):
    segmenter = make_segmenter()
    with pytest.raises(DataError, match="none of its 4 cases was held back"):
        evaluate_dataset(dataset, segmenter, out=tmp_path / "e")
    assert len(evaluate_dataset(dataset, segmenter, out=tmp_path / "e", all_cases=True)) == 8


def test_labels_that_the_model_does_not_give_are_explained(dataset, tmp_path, make_segmenter):
    segmenter = make_segmenter(labels={1: "core", 2: "shell"})
    with pytest.raises(DataError, match=r"labels that the model does not give: 3 \(box\)"):
        evaluate_dataset(dataset, segmenter, out=tmp_path / "e", all_cases=True)
