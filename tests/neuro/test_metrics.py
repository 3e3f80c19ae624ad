"""Metrics: values that can be computed by hand."""

import math

import numpy as np
import pytest

from fieldgrad.engine.errors import DataError
from fieldgrad.neuro.images.image import Image
from fieldgrad.neuro.segmentation.metrics import (
    dice,
    evaluate,
    surface_distances,
    volumes,
    write_tsv,
)

NAMES = {1: "left", 2: "right", 3: "third"}


def cube(start, stop, shape=(20, 20, 20)):
    mask = np.zeros(shape, bool)
    mask[start:stop, 4:12, 4:12] = True
    return mask


def test_dice_of_shifted_cubes():
    assert dice(cube(2, 10), cube(2, 10)) == 1
    assert dice(cube(2, 10), cube(6, 14)) == 0.5
    assert dice(cube(2, 10), cube(12, 14)) == 0
    assert dice(cube(2, 10), cube(0, 0)) == 0
    assert math.isnan(dice(cube(0, 0), cube(0, 0)))


def test_surface_distances_are_in_mm_and_symmetric():
    a, b = cube(2, 10), cube(5, 13)
    there, back = surface_distances(a, b, (2, 1, 1)), surface_distances(b, a, (2, 1, 1))
    assert there == back
    assert there[0] == pytest.approx(3 * 2)  # end faces are 3 voxels of 2 mm apart
    doubled = surface_distances(a, b, (4, 2, 2))
    assert doubled == pytest.approx(tuple(2 * d for d in there))
    assert surface_distances(a, a, (2, 1, 1)) == (0, 0)


def test_surface_distances_agree_with_the_definition():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 7, 8, 9)) > 0.6
    spacing = np.array([0.7, 1.1, 2.3])

    def surface(mask):
        inner = np.pad(mask, 1)
        whole = np.ones_like(mask)
        for axis in range(3):
            for step in (-1, 1):
                whole &= np.roll(inner, step, axis)[1:-1, 1:-1, 1:-1]
        return np.argwhere(mask & ~whole) * spacing

    gaps = np.linalg.norm(surface(a)[:, None] - surface(b)[None], axis=-1)
    there, back = gaps.min(axis=1), gaps.min(axis=0)
    hd95, assd = surface_distances(a, b, spacing)
    assert hd95 == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)))
    assert assd == pytest.approx(np.concatenate([there, back]).mean())


def test_a_missing_structure_is_infinitely_far():
    assert surface_distances(cube(2, 4), cube(0, 0), (1, 1, 1)) == (math.inf, math.inf)
    assert all(math.isnan(d) for d in surface_distances(cube(0, 0), cube(0, 0), (1, 1, 1)))


def test_volumes_of_an_oblique_grid():
    affine = np.array([[0, -2, 0, 5], [1.5, 0, 0, 5], [0, 0, 3, 5], [0, 0, 0, 1.0]])
    data = np.zeros((4, 5, 6), int)
    data[0], data[1, 0, 0] = 1, 2
    assert volumes(Image(data, affine, NAMES)) == pytest.approx({1: 30 * 9, 2: 9, 3: 0})


def test_evaluation_has_a_row_per_structure(tmp_path):
    truth = Image(cube(2, 10) * 1 + cube(10, 14) * 2, np.diag([1, 1, 2, 1]), NAMES)
    prediction = truth.with_data(cube(2, 10) * 1, {1: "left"})
    rows = evaluate(prediction, truth)
    assert [row["name"] for row in rows] == ["left", "right", "third"]
    assert rows[0]["dice"] == 1
    assert rows[0]["volume_mm3"] == rows[0]["truth_mm3"] == 8 * 8 * 8 * 2
    assert (rows[1]["dice"], rows[1]["hd95_mm"], rows[1]["volume_mm3"]) == (0, math.inf, 0)
    assert math.isnan(rows[2]["dice"])
    write_tsv(rows, tmp_path / "evaluation.tsv")
    lines = (tmp_path / "evaluation.tsv").read_text().splitlines()
    assert lines[0] == "label\tname\tdice\thd95_mm\tassd_mm\tvolume_mm3\ttruth_mm3"
    assert lines[1] == "1\tleft\t1\t0\t0\t1024\t1024"
    assert lines[3] == "3\tthird\tn/a\tn/a\tn/a\t0\t0"


def test_wrong_input_is_explained(tmp_path):
    truth = Image(cube(2, 10) * 1, np.eye(4), NAMES)
    with pytest.raises(DataError, match="not on one grid"):
        evaluate(Image(cube(2, 10) * 1, np.diag([1, 1, 2, 1]), NAMES), truth)
    with pytest.raises(DataError, match="read_labels"):
        volumes(Image(cube(2, 10) * 1, np.eye(4)))
    with pytest.raises(DataError, match="at least one row"):
        write_tsv([], tmp_path / "a.tsv")
