"""The verbs fieldgrad neuro segment, train and evaluate, as a user types them."""

import csv
import errno
import os
import subprocess
import sys
import weakref
from pathlib import Path

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner

from fieldgrad.engine.cli import app
from fieldgrad.engine.errors import FieldgradError
from fieldgrad.neuro.images.io import read_labels, to_nibabel, write_image
from fieldgrad.neuro.segmentation.segmenter import Segmenter

DATA = Path(os.environ.get("FIELDGRAD_DATA", "nowhere")) / "neuro"


def neuro(verb, *arguments):
    return CliRunner().invoke(app, ["neuro", verb, *map(str, arguments)])


def refused(result, *words):
    """Check that the user got a short message and an exit code, and nothing worse."""
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    message = result.output[result.output.index("Error: ") :]
    assert message.count("\n") <= 4
    for word in words:
        assert word in message
    return True


def leaves_nothing(folder):
    return not folder.exists() or not [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture
def model(tmp_path, make_segmenter):
    make_segmenter().save(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


@pytest.fixture
def scan_file(tmp_path, scan):
    write_image(scan, tmp_path / "scans" / "head.nii.gz")
    return tmp_path / "scans" / "head.nii.gz"


# ---- segment


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mgz"])
def test_one_scan_goes_to_one_file(model, scan_file, tmp_path, suffix):
    out = tmp_path / "new" / "folder" / f"seg{suffix}"
    result = neuro("segment", scan_file, "-m", model, "-o", out)
    assert result.exit_code == 0, result.output
    assert {path.name for path in out.parent.iterdir()} == {out.name, "seg_volumes.tsv"}
    old, new = nibabel.load(scan_file), nibabel.load(out)
    assert new.shape == old.shape
    np.testing.assert_allclose(new.affine, old.affine, atol=1e-5)
    with open(out.parent / "seg_volumes.tsv") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [(row["scan"], row["name"]) for row in rows] == [("head", "core"), ("head", "box")]
    count = np.count_nonzero(np.asarray(new.dataobj) == 3)
    assert float(rows[1]["volume_mm3"]) == pytest.approx(count * 2.4, rel=1e-4)


@pytest.mark.parametrize("codes", [(1, 1), (2, 4), (4, 2)])
def test_both_transform_codes_come_back(model, scan, tmp_path, codes):
    file = to_nibabel(scan)
    file.header["sform_code"], file.header["qform_code"] = codes
    nibabel.save(file, tmp_path / "scan.nii.gz")
    neuro("segment", tmp_path / "scan.nii.gz", "-m", model, "-o", tmp_path / "seg.nii.gz")
    header = nibabel.load(tmp_path / "seg.nii.gz").header
    assert (header["sform_code"], header["qform_code"]) == codes


def test_several_scans_go_to_a_folder(model, scan_file, scan, tmp_path):
    write_image(scan.with_data(scan.data[::-1]), tmp_path / "scans" / "other.mgz")
    result = neuro(
        "segment", scan_file, tmp_path / "scans" / "other.mgz", "-m", model, "-o", tmp_path / "out"
    )
    assert result.exit_code == 0, result.output
    names = {"head_dseg.nii.gz", "other_dseg.nii.gz", "volumes.tsv"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    expected = Segmenter.load(model).predict(scan)
    found = read_labels(tmp_path / "out" / "head_dseg.nii.gz")
    np.testing.assert_array_equal(found.data, expected.data)


def test_channels_are_joined_by_commas(make_segmenter, scan_file, tmp_path):
    make_segmenter(n_channels=2).save(tmp_path / "two.safetensors")
    result = neuro(
        "segment",
        f"{scan_file},{scan_file}",
        "-m",
        tmp_path / "two.safetensors",
        "-o",
        tmp_path / "seg.nii.gz",
    )
    assert result.exit_code == 0, result.output
    refused(
        neuro("segment", scan_file, "-m", tmp_path / "two.safetensors", "-o", tmp_path / "o"),
        "head.nii.gz: channels given: 1; the model was trained with 2",
    )


def test_a_picture_is_drawn_beside_the_segmentation(model, scan_file, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    out = tmp_path / "seg.nii.gz"
    assert neuro("segment", scan_file, "-m", model, "-o", out, "--picture").exit_code == 0
    assert (tmp_path / "seg.png").read_bytes().startswith(b"\x89PNG")


def spoil(kind, scan, path):
    """Write a file that cannot be segmented."""
    data = scan.data.copy()
    if kind == "series":
        data = np.stack([data, data], axis=-1)
    elif kind == "nan":
        data[1, 2, 3] = np.nan
    elif kind == "zero":
        data[...] = 0
    if kind != "missing":
        nibabel.save(nibabel.Nifti1Image(data, scan.affine), path)
    if kind == "cut":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind == "text":
        path.write_text("hello")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "does not exist"),
        ("series", "has shape 14x18x9x2; expected one volume"),
        ("nan", "has 1 voxels that are NaN or infinite"),
        ("zero", "is zero in every voxel"),
        ("cut", "cannot be read: it is cut short"),
        ("text", "cannot be read: it is cut short, damaged"),
    ],
)
def test_a_bad_scan_stops_the_work_before_it_begins(model, scan, scan_file, tmp_path, kind, words):
    bad = tmp_path / "bad.nii.gz"
    spoil(kind, scan, bad)
    for scans in ([bad], [scan_file, bad]):
        result = neuro("segment", *scans, "-m", model, "-o", tmp_path / "out")
        assert refused(result, "bad.nii.gz", words)
        assert leaves_nothing(tmp_path / "out")


def test_scans_are_not_held_in_memory_together(model, scan_file, tmp_path, monkeypatch):
    from fieldgrad.neuro.images import io

    alive, most = [], []
    read = io.read_image

    def watched(path, **settings):
        image = read(path, **settings)
        alive.append(weakref.ref(image))
        most.append(sum(ref() is not None for ref in alive))
        return image

    monkeypatch.setattr(io, "read_image", watched)
    scans = [tmp_path / f"s{i}.nii.gz" for i in range(5)]
    for path in scans:
        path.write_bytes(scan_file.read_bytes())
    assert neuro("segment", *scans, "-m", model, "-o", tmp_path / "out").exit_code == 0
    assert max(most) <= 2


def test_outputs_never_overwrite_scans_or_one_another(model, scan_file, tmp_path):
    before = scan_file.read_bytes()
    refused(neuro("segment", scan_file, "-m", model, "-o", scan_file), "would overwrite the scan")
    assert scan_file.read_bytes() == before
    twin = tmp_path / "twin" / scan_file.name
    twin.parent.mkdir()
    twin.write_bytes(before)
    result = neuro("segment", scan_file, twin, "-m", model, "-o", tmp_path / "out")
    refused(result, "2 scans would be written to", "head_dseg.nii.gz")
    result = neuro("segment", scan_file, twin, "-m", model, "-o", tmp_path / "one.nii.gz")
    refused(result, "one.nii.gz is one file for 2 scans; give a folder")
    refused(neuro("segment", scan_file, "-m", model, "-o", model), "is a file; expected a folder")


@pytest.mark.parametrize("content", [None, b"hello"])
def test_a_file_that_is_no_model_is_named(scan_file, tmp_path, content):
    path = tmp_path / "odd.safetensors"
    if content is not None:
        path.write_bytes(content)
    refused(neuro("segment", scan_file, "-m", path, "-o", tmp_path / "out"), "odd.safetensors")


def test_a_full_disk_leaves_no_half_written_file(model, scan_file, tmp_path, monkeypatch):
    def save(image, path):
        Path(path).write_bytes(b"the first half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(nibabel, "save", save)
    out = tmp_path / "out" / "seg.nii.gz"
    result = neuro("segment", scan_file, "-m", model, "-o", out)
    refused(result, f"{out} was not written: the disk is full. Free some space")
    assert leaves_nothing(out.parent)


def test_ctrl_c_keeps_what_is_finished(model, scan_file, tmp_path, monkeypatch):
    second = tmp_path / "second.nii.gz"
    second.write_bytes(scan_file.read_bytes())
    predict, calls = Segmenter.predict, []

    def interrupted(self, image, **settings):
        calls.append(image)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return predict(self, image, **settings)

    monkeypatch.setattr(Segmenter, "predict", interrupted)
    result = neuro("segment", scan_file, second, "-m", model, "-o", tmp_path / "out")
    assert result.exit_code == 130
    assert "Interrupted" in result.output
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"head_dseg.nii.gz", "volumes.tsv"}


def test_debug_gives_the_error_itself(model, tmp_path):
    arguments = ["--debug", "neuro", "segment", "no.nii.gz", "-m", str(model), "-o", str(tmp_path)]
    with pytest.raises(FieldgradError, match=r"no\.nii\.gz does not exist"):
        CliRunner().invoke(app, arguments, catch_exceptions=False)


@pytest.mark.skipif(not DATA.is_dir(), reason="set FIELDGRAD_DATA to the folder of real data")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("real_heads_unlabelled/chris_PDw_thick.nii.gz", ".nii.gz"),
        ("mgz_fixture/sample3mm_T1.mgz", ".mgz"),
        ("mgz_fixture/sample3mm_T1.mgz", ".nii.gz"),
    ],
)
def test_real_scans_keep_their_geometry(make_segmenter, tmp_path, name, suffix):
    make_segmenter(spacing=(4.0, 4.0, 4.0), patch_size=(32, 32, 32)).save(tmp_path / "m")
    out = tmp_path / f"seg{suffix}"
    assert neuro("segment", DATA / name, "-m", tmp_path / "m", "-o", out).exit_code == 0
    old, new = nibabel.load(DATA / name), nibabel.load(out)
    assert new.shape == tuple(old.shape)
    np.testing.assert_allclose(new.affine, old.affine, atol=1e-5)
    for code in ("sform_code", "qform_code"):
        if code in new.header:
            assert new.header[code] == old.header.get(code, 1)


# ---- train and evaluate

TRAIN = ("--budget", "2 steps", "--base-features", 2)


def test_a_trained_model_is_evaluated_and_used(dataset, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    run_dir = tmp_path / "run"
    result = neuro("train", dataset, *TRAIN, "-o", run_dir)
    assert result.exit_code == 0, result.output
    assert "Trained " in result.output
    assert f"Results are in {run_dir}" in " ".join(result.output.split())
    result = neuro("evaluate", dataset, "-m", run_dir / "model.safetensors")
    assert result.exit_code == 0, result.output
    assert "Mean Dice" in result.output
    assert (run_dir / "evaluation" / "evaluation.tsv").exists()
    again = neuro("train", dataset, *TRAIN, "-o", run_dir)
    refused(again, f"{run_dir} already holds a run. Continue it with --resume")
    assert neuro("train", dataset, *TRAIN, "-o", run_dir, "--resume").exit_code == 0


def test_structures_absent_from_truth_and_prediction_are_not_scored(
    dataset, tmp_path, monkeypatch, make_segmenter
):
    def find_nothing(self, image, **settings):
        return image[0].with_data(np.zeros(image[0].shape, np.uint8), self.labels)

    monkeypatch.setattr(Segmenter, "predict", find_nothing)
    for path in (dataset / "labelsTr").iterdir():
        labels = read_labels(path)
        no_core = np.where(labels.data == 1, 0, labels.data)
        nibabel.save(nibabel.Nifti1Image(no_core, labels.affine), path)
    make_segmenter().save(tmp_path / "m.safetensors")
    result = neuro("evaluate", dataset, "-m", tmp_path / "m.safetensors", "--all")
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.output.splitlines()]
    assert ["core", "0", *5 * ["n/a"]] in rows
    assert ["box", "4", "0.000", "0.000", "0.000", "(a)", "n/a", "n/a"] in rows
    assert "Distances leave out 4 structures missed or made up" in result.output
    assert "Mean Dice 0.000" in result.output


def test_a_missing_data_set_leaves_no_run(tmp_path):
    result = neuro("train", tmp_path / "nothing", "-o", tmp_path / "run")
    refused(result, "nothing is not a folder; check the path of the data set")
    assert not (tmp_path / "run").exists()


def test_after_ctrl_c_the_message_says_how_to_continue(dataset, tmp_path, monkeypatch):
    def interrupt(*arguments, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr("fieldgrad.neuro.segmentation.tasks.fit_and_save", interrupt)
    run_dir = tmp_path / "run"
    result = neuro("train", dataset, *TRAIN, "-o", run_dir)
    assert result.exit_code == 130
    assert f"fieldgrad run {run_dir / 'recipe.toml'} --out {run_dir} --resume" in result.output


def test_an_unknown_recipe_key_is_explained(tmp_path):
    def run(setting):
        arguments = ["run", "neuro/mni152-tissues", "--set", setting, "--out", str(tmp_path / "r")]
        return CliRunner().invoke(app, arguments)

    refused(run("budgt=1min"), "no setting 'budgt'; did you mean 'budget'?")
    refused(run("model.featurs=[4, 8]"), "[model] unet has no setting 'featurs'; did you mean")
    assert not (tmp_path / "r").exists()


def test_a_process_ends_with_a_short_message(tmp_path):
    command = [sys.executable, "-m", "fieldgrad.engine.cli", "neuro", "segment"]
    arguments = ["no.nii.gz", "-m", "no.safetensors", "-o", str(tmp_path / "out")]
    result = subprocess.run([*command, *arguments], capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.startswith("Error: no.safetensors does not exist")
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
