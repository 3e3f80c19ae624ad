"""Data sets: the nnU-Net layout, its mistakes, and the template."""

import json

import numpy as np
import pytest

from fieldgrad.engine.errors import DataError, FileError
from fieldgrad.neuro.images.datasets import TISSUES, load_mni152, open_dataset
from fieldgrad.neuro.images.image import Image
from fieldgrad.neuro.images.io import write_image, write_labels


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "dataset.json").write_text(
        json.dumps(
            {
                "channel_names": {"0": "T1w", "1": "FLAIR"},
                "labels": {"background": 0, "right": 2, "left": 1},
                "file_ending": ".nii.gz",
            }
        )
    )
    for case in ("b", "a"):
        labels = rng.integers(0, 3, size=(4, 5, 6))
        for channel in ("0000", "0001"):
            image = Image(rng.normal(size=(4, 5, 6)), np.eye(4))
            write_image(image, tmp_path / "imagesTr" / f"{case}_{channel}.nii.gz")
        write_labels(Image(labels, np.eye(4)), tmp_path / "labelsTr" / f"{case}.nii.gz")
    return tmp_path


def change(folder, **entries):
    path = folder / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def test_a_folder_is_read_in_order(folder):
    data = open_dataset(folder)
    assert [case.name for case in data.cases] == ["a", "b"]
    assert data.channels == ("T1w", "FLAIR")
    assert data.labels == {1: "left", 2: "right"}
    images, labels = data.read(data.cases[0])
    assert len(images) == 2
    assert labels.labels == {1: "left", 2: "right"}
    assert images[0].same_grid(labels)


def test_the_decathlon_writes_labels_the_other_way_round(folder):
    change(folder, labels={"0": "background", "1": "left", "2": "right"})
    assert open_dataset(folder).labels == {1: "left", 2: "right"}


@pytest.mark.parametrize("missing", ["dataset.json", "imagesTr", "labelsTr"])
def test_a_missing_part_of_the_layout_is_named(folder, missing):
    (folder / missing).rename(folder / "elsewhere")
    with pytest.raises(FileError, match=f"has no {missing}"):
        open_dataset(folder)


def test_a_missing_label_map_or_channel_names_the_case(folder):
    (folder / "labelsTr" / "b.nii.gz").unlink()
    with pytest.raises(FileError, match=r"case b has no label map; expected .*b\.nii\.gz"):
        open_dataset(folder)
    (folder / "imagesTr" / "a_0001.nii.gz").unlink()
    with pytest.raises(FileError, match=r"case a: .*a_0001\.nii\.gz is missing"):
        open_dataset(folder)


def test_a_label_without_a_name_is_refused(folder):
    write_labels(Image(np.full((4, 5, 6), 9), np.eye(4)), folder / "labelsTr" / "a.nii.gz")
    data = open_dataset(folder)
    with pytest.raises(DataError, match=r"case a: .*holds the label 9; dataset\.json knows 1, 2"):
        data.read(data.cases[0])


@pytest.mark.parametrize(
    ("shape", "spacing", "words"),
    [((4, 5, 7), 1.0, "shapes 4x5x7 and 4x5x6"), ((4, 5, 6), 1.1, "different affines")],
)
def test_image_and_labels_on_different_grids_are_refused(folder, shape, spacing, words):
    affine = np.diag([spacing, 1, 1, 1])
    write_labels(Image(np.ones(shape, int), affine), folder / "labelsTr" / "a.nii.gz")
    data = open_dataset(folder)
    with pytest.raises(DataError, match=f"case a: .*{words}"):
        data.read(data.cases[0])


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"channel_names": {}}, 'has no "channel_names"'),
        ({"labels": None}, 'has no "labels"'),
        ({"labels": {"background": 0, "whole": [1, 2]}}, "Regions made of several labels"),
        ({"labels": {"a": 1, "b": 2}}, '"background": 0 among them'),
        ({"labels": {"background": 0, "a": 1, "b": 1}}, "different numbers"),
        ({"file_ending": ".png"}, "file_ending is '.png'"),
        ({"file_ending": ".mgz"}, "holds no file named CASE_0000.mgz"),
    ],
)
def test_mistakes_in_the_description_are_explained(folder, entries, words):
    change(folder, **entries)
    with pytest.raises(DataError, match=words):
        open_dataset(folder)


def test_a_description_that_is_not_json_is_explained(folder):
    (folder / "dataset.json").write_text("{labels: 1}")
    with pytest.raises(FileError, match="not valid JSON"):
        open_dataset(folder)
    with pytest.raises(FileError, match="is not a folder"):
        open_dataset(folder / "nothing")


@pytest.mark.slow
def test_the_template_has_three_tissues_of_plausible_size():
    pytest.importorskip("nilearn", reason="nilearn is not installed")
    template, tissues = load_mni152(spacing=2)
    assert template.orientation == "RAS"
    assert template.spacing == (2.0, 2.0, 2.0)
    assert template.same_grid(tissues)
    assert tissues.labels == TISSUES
    liters = np.bincount(tissues.data.ravel())[1:] * tissues.voxel_volume / 1e6
    np.testing.assert_allclose(liters, [0.16, 1.09, 0.64], atol=0.06)
    means = [template.data[tissues.data == k].mean() for k in (1, 2, 3)]
    assert means[0] < means[1] < means[2]
