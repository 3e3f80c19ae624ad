"""Synthesis: pairs belong together, can be repeated, and keep left left."""

import json

import numpy as np
import pytest

from fieldgrad.engine.errors import DataError
from fieldgrad.neuro.segmentation.synth import T1_PRIORS, Synthesizer

STILL = {"scaling": 0, "rotation": 0, "shearing": 0, "displacement": 0, "flip": 0}
CLEAN = {"bias": 0, "gamma": 0, "isotropic": 0, "thick": 0}


@pytest.fixture
def labels():
    """A head of nested shells, with one structure left (17) and its partner right (53)."""
    place = np.indices((40, 44, 36)) - np.array([20, 22, 18])[:, None, None, None]
    radius = np.sqrt((place**2).sum(axis=0))
    out = np.select([radius < 8, radius < 12, radius < 16], [3, 2, 1], 0).astype(np.uint8)
    out[9:13, 20:24, 16:20] = 17
    out[27:31, 20:24, 16:20] = 53
    return out


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_the_same_seed_gives_the_same_pair(labels):
    make = Synthesizer(patch_size=(24, 24, 24))
    first = make(labels, np.random.default_rng(5))
    second = make(labels, np.random.default_rng(5))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
    other = make(labels, np.random.default_rng(6))
    assert (first[0] != other[0]).any()


def test_a_record_written_as_json_repeats_the_pair(labels, rng):
    make = Synthesizer(patch_size=(24, 28, 20), sides={17: 53, 53: 17}, spacing=(2, 2, 2.5))
    for _ in range(5):
        image, target, record = make(labels, rng)
        again, same = make.apply(labels, json.loads(json.dumps(record)))
        np.testing.assert_array_equal(again, image)
        np.testing.assert_array_equal(same, target)


def test_without_deformation_the_target_is_the_label_map(labels, rng):
    _, target, _ = Synthesizer(**STILL)(labels, rng)
    np.testing.assert_array_equal(target, labels)


def test_a_patch_is_the_part_of_the_whole(labels, rng):
    make = Synthesizer(patch_size=(16, 20, 24))
    record = make.sample(labels, rng)
    _, part = make.apply(labels, record)
    _, whole = make.apply(labels, record | {"start": [0, 0, 0], "patch_size": labels.shape})
    box = tuple(slice(s, s + n) for s, n in zip(record["start"], (16, 20, 24), strict=True))
    np.testing.assert_array_equal(part, whole[box])


def test_a_patch_larger_than_the_map_is_padded_with_background(labels, rng):
    _, target, record = Synthesizer(patch_size=(50, 50, 50), **STILL)(labels, rng)
    assert record["start"] == [-5, -3, -7]
    np.testing.assert_array_equal(target[5:45, 3:47, 7:43], labels)
    assert target.sum() == labels.sum()


def test_intensities_follow_the_priors(labels, rng):
    priors = {0: (0, 0, 0, 0), 17: (60, 60, 2, 2), **{k: T1_PRIORS[k] for k in (1, 2, 3)}}
    make = Synthesizer(priors=priors, sides={17: 53, 53: 17}, **STILL, **CLEAN)
    for _ in range(5):
        image, target, record = make(labels, rng)
        means = [image[target == k].mean() for k in range(4)]
        assert means == sorted(means)
        assert record["means"][17] == 60
        assert 53 not in record["means"]  # both sides have one contrast
        left, right = (image[target == k].mean() for k in (17, 53))
        assert left == pytest.approx(right, abs=0.05)  # unlike neighbors blur in


def test_mirroring_exchanges_the_sides(labels, rng):
    sides = {17: 53, 53: 17}
    make = Synthesizer(sides=sides, **(STILL | {"flip": 1}))
    _, target, record = make(labels, rng)
    assert record["flip"]
    expected = labels[::-1].copy()
    expected[labels[::-1] == 17], expected[labels[::-1] == 53] = 53, 17
    np.testing.assert_array_equal(target, expected)
    assert np.argwhere(target == 17)[:, 0].mean() < 20 < np.argwhere(target == 53)[:, 0].mean()


def test_sides_must_be_pairs():
    with pytest.raises(DataError, match="both directions"):
        Synthesizer(sides={17: 53})
    with pytest.raises(DataError, match="expected percentiles or zscore"):
        Synthesizer(normalize="max")


def test_targets_are_merged_and_dropped(labels, rng):
    _, target, _ = Synthesizer(targets={17: 1, 53: 1, 3: 2}, **STILL)(labels, rng)
    np.testing.assert_array_equal(
        target, np.select([np.isin(labels, [17, 53]), labels == 3], [1, 2])
    )


def test_deformation_does_not_tear(labels, rng):
    """A shell that lies between two others still separates them everywhere."""
    make = Synthesizer(**(STILL | {"displacement": 4}), displacement_grid=0.1)
    moved = 0
    for _ in range(5):
        _, target, _ = make(np.where(labels > 3, 1, labels).astype(np.uint8), rng)
        moved += (target != labels).sum()
        for axis in range(3):
            step = np.abs(np.diff(target.astype(int), axis=axis))
            assert (step > 2).sum() == 0
    assert moved > 1000


def test_images_are_finite_and_normalized(labels, rng):
    for normalize in ("percentiles", "zscore"):
        make = Synthesizer(normalize=normalize, patch_size=(20, 20, 20))
        for _ in range(10):
            image, target, _ = make(labels, rng)
            assert image.shape == target.shape == (20, 20, 20)
            assert image.dtype == np.float32
            assert np.isfinite(image).all()
            assert np.ptp(image) > 0


def test_empty_and_nearly_empty_maps_give_images(rng):
    for voxels in (0, 1):
        labels = np.zeros((20, 20, 20), np.int16)
        labels[10, 10, 10 : 10 + voxels] = 1
        image, target, _ = Synthesizer(zero_background=1)(labels, rng)
        assert np.isfinite(image).all()
        assert target.shape == (20, 20, 20)


def test_low_resolution_blurs_only_the_thick_axis(labels, rng):
    make = Synthesizer(**STILL, **CLEAN)
    record = make.sample(labels, rng) | {"resolution": [1.0, 1.0, 6.0]}
    image, _ = make.apply(labels, record)
    rough = [np.abs(np.diff(image, axis=axis)).mean() for axis in range(3)]
    assert rough[2] < 0.5 * min(rough[:2])
