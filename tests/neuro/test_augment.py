"""Augmentation: image and labels move together, everything can be repeated."""

import json

import numpy as np
import pytest

from fieldgrad.engine.errors import DataError, ShapeError
from fieldgrad.neuro.segmentation.augment import (
    Augmenter,
    Blur,
    Brightness,
    Contrast,
    Gamma,
    LowResolution,
    Mirror,
    Noise,
    RotateScale,
    nnunet_transforms,
)

INTENSITY = [
    Noise(1.0),
    Blur(1.0, 1.0),
    Brightness(1.0),
    Contrast(1.0),
    LowResolution(1.0, 1.0),
    Gamma(1.0, 1.0),
]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def pair(rng):
    """A smooth ball that the label map outlines, in two channels, off the center."""
    place = np.indices((24, 28, 26)) - np.array([10, 15, 13])[:, None, None, None]
    radius = np.sqrt((place**2).sum(axis=0))
    ball = 1 / (1 + np.exp(radius - 7))
    return np.stack([ball, 2 - ball]).astype(np.float32), (ball > 0.5).astype(np.uint8)


def test_a_record_written_as_json_repeats_the_result(pair, rng):
    augment = Augmenter(nnunet_transforms((16, 20, 18)))
    names = set()
    for _ in range(40):
        image, labels, record = augment(*pair, rng)
        again, same = augment.apply(*pair, json.loads(json.dumps(record)))
        np.testing.assert_array_equal(again, image)
        np.testing.assert_array_equal(same, labels)
        assert image.shape == (2, 16, 20, 18)
        assert labels.shape == (16, 20, 18)
        assert image.dtype == np.float32
        assert labels.dtype == np.uint8
        names |= {entry["name"] for entry in record}
    assert names == {type(t).__name__ for t in augment.transforms.values()}


def test_the_arrays_given_are_not_changed(pair, rng):
    before = pair[0].copy(), pair[1].copy()
    augment = Augmenter([RotateScale(p_rotation=1, p_scaling=1), *INTENSITY, Mirror()])
    augment(*pair, rng)
    np.testing.assert_array_equal(pair[0], before[0])
    np.testing.assert_array_equal(pair[1], before[1])


def test_image_and_labels_move_together(pair, rng):
    augment = Augmenter([RotateScale(p_rotation=1, p_scaling=1), Mirror()])
    for _ in range(10):
        image, labels, _ = augment(*pair, rng)
        inside = (image[0] > 0.5) == (labels == 1)
        assert inside.mean() > 0.97
        assert labels.sum() > 200


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_quarter_turn_is_exact(rng, axis):
    image = rng.normal(size=(1, 8, 8, 8)).astype(np.float32)
    labels = rng.integers(0, 5, size=(8, 8, 8))
    angles = [0.0, 0.0, 0.0]
    angles[axis] = 90.0
    parameters = {"angles": angles, "zoom": 1.0}
    new, turned = RotateScale().apply(image, labels, parameters)
    plane = [a for a in range(3) if a != axis]
    expected = [np.rot90(labels, k, plane) for k in (1, -1)]
    assert any(np.array_equal(turned, e) for e in expected)
    k = 1 if np.array_equal(turned, expected[0]) else -1
    np.testing.assert_allclose(new[0], np.rot90(image[0], k, plane), atol=1e-5)


def test_zoom_above_one_enlarges(pair):
    def size(zoom):
        return RotateScale().apply(*pair, {"angles": [0, 0, 0], "zoom": zoom})[1].sum()

    assert size(1.2) == pytest.approx(1.2**3 * size(1.0), rel=0.05)
    assert size(0.8) == pytest.approx(0.8**3 * size(1.0), rel=0.05)


def test_the_patch_is_cut_from_the_middle(pair):
    cut = RotateScale(patch_size=(10, 10, 10), p_rotation=0, p_scaling=0)
    image, labels, _ = Augmenter([cut])(*pair, np.random.default_rng(0))
    np.testing.assert_array_equal(image, pair[0][:, 7:17, 9:19, 8:18])
    np.testing.assert_array_equal(labels, pair[1][7:17, 9:19, 8:18])


def test_rotated_corners_find_image_in_the_larger_input(rng):
    transform = RotateScale(patch_size=(20, 20, 20), p_rotation=0, p_scaling=0)
    size = transform.input_size()
    image, labels = np.ones((1, *size), np.float32), np.ones(size, np.uint8)
    for axis in range(3):
        angles = [0.0] * 3
        angles[axis] = 30.0
        new, turned = transform.apply(image, labels, {"angles": angles, "zoom": 1.0})
        assert turned.all()
        np.testing.assert_allclose(new, 1, atol=1e-5)
    with pytest.raises(ShapeError, match="no patch_size"):
        RotateScale().input_size()


def test_thick_slices_turn_within_the_slice_only():
    rotation = nnunet_transforms((64, 64, 16))[0].rotation
    assert rotation == (0.0, 0.0, 180.0)


def test_mirroring_exchanges_left_and_right_labels_only_across_the_midline(pair):
    labels = pair[1].copy()
    labels[:12][labels[:12] == 1] = 2
    mirror = Mirror(sides={1: 2, 2: 1})
    for axes in ([0], [1], [2], [0, 1, 2]):
        _, new = mirror.apply(pair[0], labels, {"axes": axes})
        back = np.flip(new, axes)
        expected = np.where(labels > 0, 3 - labels, 0) if 0 in axes else labels
        np.testing.assert_array_equal(back, expected)
    with pytest.raises(DataError, match="both directions"):
        Mirror(sides={1: 2})


@pytest.mark.parametrize("transform", INTENSITY, ids=lambda t: type(t).__name__)
def test_intensity_changes_leave_labels_and_stay_finite(pair, rng, transform):
    image, labels, record = Augmenter([transform])(*pair, rng)
    assert record
    assert labels is pair[1]
    assert image.shape == pair[0].shape
    assert image.dtype == np.float32
    assert np.isfinite(image).all()
    assert (image != pair[0]).any()


@pytest.mark.parametrize("transform", INTENSITY, ids=lambda t: type(t).__name__)
def test_a_constant_image_is_no_trouble(rng, transform):
    image = np.full((1, 8, 8, 8), 3, np.float32)
    out, _, _ = Augmenter([transform])(image, np.zeros((8, 8, 8), np.uint8), rng)
    assert np.isfinite(out).all()


def test_gamma_keeps_mean_and_deviation(pair, rng):
    out, _, _ = Augmenter([Gamma(1.0, 0.0)])(*pair, rng)
    np.testing.assert_allclose(out.mean(axis=(1, 2, 3)), pair[0].mean(axis=(1, 2, 3)), atol=1e-4)
    np.testing.assert_allclose(out.std(axis=(1, 2, 3)), pair[0].std(axis=(1, 2, 3)), atol=1e-4)


def test_contrast_keeps_the_range(pair, rng):
    out, _, _ = Augmenter([Contrast(1.0, values=(1.25, 1.25))])(*pair, rng)
    assert out.min() >= pair[0].min()
    assert out.max() <= pair[0].max()
    assert out[0].std() > pair[0][0].std()


def test_low_resolution_shifts_nothing(pair):
    out, _ = LowResolution().apply(*pair, {"factors": [0.5, None]})
    np.testing.assert_array_equal(out[1], pair[0][1])
    place = np.indices(out.shape[1:]).reshape(3, -1)
    new, old = out[0], pair[0][0]
    np.testing.assert_allclose(
        place @ new.ravel() / new.sum(), place @ old.ravel() / old.sum(), atol=0.1
    )


def test_probabilities_are_those_of_nnunet(rng):
    augment = Augmenter(nnunet_transforms((16, 16, 16)))
    counts = dict.fromkeys(augment.transforms, 0)
    for _ in range(2000):
        for entry in augment.sample(rng, 1):
            counts[entry["name"]] += 1
    expected = {"Noise": 0.1, "Blur": 0.1, "Brightness": 0.15, "Contrast": 0.15}
    expected |= {"LowResolution": 0.125, "Gamma": 1 - 0.9 * 0.7, "Mirror": 7 / 8}
    for name, probability in expected.items():
        assert counts[name] / 2000 == pytest.approx(probability, abs=0.035)


def test_wrong_shapes_and_doubled_kinds_are_refused(pair, rng):
    with pytest.raises(ShapeError, match="n_channels"):
        Augmenter([Noise()])(pair[0][0], pair[1], rng)
    with pytest.raises(DataError, match="each kind once"):
        Augmenter([Noise(), Noise()])
