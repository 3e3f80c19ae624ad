"""Patches: cutting, choosing and tiling."""

import itertools
import tracemalloc

import numpy as np
import pytest

from fieldgrad.engine.errors import ShapeError
from fieldgrad.neuro.segmentation.patches import (
    choose_patch,
    extract_patch,
    foreground_locations,
    importance_weights,
    mirrored,
    sliding_window,
    tile_starts,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def pointwise(batch):
    """A prediction that looks at one voxel only: tiling must not change it."""
    p = 1 / (1 + np.exp(-batch[:, :1]))
    return np.concatenate([1 - p, p * 0.25, p * 0.75], axis=1)


@pytest.mark.parametrize("shape", [(20, 21, 22), (5, 30, 9), (3, 4, 5), (17, 8, 10)])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_tiling_changes_no_pointwise_prediction(rng, shape, batch_size):
    image = rng.normal(size=(2, *shape)).astype(np.float32)
    out = sliding_window(pointwise, image, (8, 8, 10), n_classes=3, batch_size=batch_size)
    np.testing.assert_allclose(out, pointwise(image[None])[0], atol=1e-5)
    labels = sliding_window(pointwise, image, (8, 8, 10), n_classes=3, labels_only=True)
    np.testing.assert_array_equal(labels, out.argmax(axis=0))
    assert labels.dtype == np.uint8


def test_overlapping_patches_are_averaged_with_weights(rng):
    """Two tiles that disagree: the seam is a weighted mean, computed here by hand."""
    calls = []

    def predict(batch):
        calls.append(len(calls))
        p = np.full((1, 1, *batch.shape[2:]), float(len(calls)))
        return np.concatenate([p, 0 * p], axis=1)

    out = sliding_window(predict, np.zeros((1, 12, 8, 8), np.float32), (8, 8, 8), n_classes=2)
    w = importance_weights((8, 8, 8))
    expected = np.empty((12, 8, 8))
    expected[:4], expected[8:] = 1, 2
    expected[4:8] = (w[4:] + 2 * w[:4]) / (w[4:] + w[:4])
    np.testing.assert_allclose(out[0], expected, rtol=1e-5)


def test_probabilities_sum_to_one(rng):
    def noisy(batch):
        p = rng.random((len(batch), 4, *batch.shape[2:]))
        return p / p.sum(axis=1, keepdims=True)

    image = np.zeros((1, 19, 13, 11), np.float32)
    out = sliding_window(noisy, image, (8, 8, 8), n_classes=4, batch_size=2)
    np.testing.assert_allclose(out.sum(axis=0), 1, atol=1e-5)


def test_memory_is_bounded_by_a_slab():
    shape, patch, n_classes = (48, 40, 40), (16, 16, 16), 20
    image = np.zeros((1, *shape), np.float32)
    uniform = np.broadcast_to(np.float32(1 / n_classes), (1, n_classes, *patch))
    tracemalloc.start()
    sliding_window(lambda _: uniform, image, patch, n_classes=n_classes, labels_only=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    slab = 4 * (n_classes + 1) * patch[0] * shape[1] * shape[2]
    batch = 4 * (n_classes + 1) * np.prod(patch)
    assert peak < slab + np.prod(shape) + 2 * batch


def test_progress_is_told_of_every_call():
    seen = []
    image = np.zeros((1, 16, 16, 16), np.float32)
    sliding_window(
        pointwise, image, (8, 8, 8), n_classes=3, batch_size=4, progress=lambda *a: seen.append(a)
    )
    assert seen[-1] == (27, 27)
    assert [n for n, _ in seen] == sorted(n for n, _ in seen)


def test_wrong_shapes_are_explained():
    image = np.zeros((1, 9, 9, 9), np.float32)
    with pytest.raises(ShapeError, match=r"image\[None\]"):
        sliding_window(pointwise, image[0], (8, 8, 8), n_classes=3)
    with pytest.raises(ShapeError, match="predict gave shape"):
        sliding_window(pointwise, image, (8, 8, 8), n_classes=2)


@pytest.mark.parametrize(("n", "patch", "overlap"), [(40, 40, 0.5), (41, 40, 0.5), (200, 33, 0.25)])
def test_tiles_cover_the_axis_and_overlap_enough(n, patch, overlap):
    starts = tile_starts(n, patch, overlap)
    assert starts[0] == 0
    assert starts[-1] == n - patch
    assert all(b - a <= patch * (1 - overlap) + 1 for a, b in itertools.pairwise(starts))


def test_mirroring_recovers_a_one_sided_prediction(rng):
    batch = rng.normal(size=(2, 1, 4, 5, 6)).astype(np.float32)

    def shifted(x):
        return np.concatenate([np.roll(x, 1, axis=2), x], axis=1)

    out = mirrored(shifted, axes=(0,))(batch)
    expected = (np.roll(batch, 1, axis=2) + np.roll(batch, -1, axis=2)) / 2
    np.testing.assert_allclose(out[:, :1], expected, atol=1e-6)
    np.testing.assert_allclose(mirrored(pointwise)(batch), pointwise(batch), atol=1e-6)


def test_patches_are_cut_and_padded(rng):
    array = rng.normal(size=(2, 6, 7, 8))
    np.testing.assert_array_equal(
        extract_patch(array, (1, 2, 3), (4, 4, 4)), array[:, 1:5, 2:6, 3:7]
    )
    out = extract_patch(array, (-2, 5, 0), (4, 4, 4), fill=-1)
    np.testing.assert_array_equal(out[:, 2:, :2], array[:, :2, 5:, :4])
    assert (out[:, :2] == -1).all()
    assert (out[:, :, 2:] == -1).all()
    assert (extract_patch(array, (50, 0, 0), (2, 2, 2), fill=3) == 3).all()


def test_a_third_of_the_patches_is_centered_on_foreground(rng):
    labels = np.zeros((60, 60, 60), np.uint8)
    labels[5, 50, 30] = 1
    labels[40:44, 10, 10] = 7
    locations = foreground_locations(labels, rng)
    assert sorted(locations) == [1, 7]
    hits = {1: 0, 7: 0}
    for _ in range(1000):
        start = choose_patch(labels.shape, (8, 8, 8), rng, locations=locations)
        patch = extract_patch(labels, start, (8, 8, 8))
        for value in hits:
            hits[value] += bool((patch == value).any())
    assert hits[1] == pytest.approx(165, abs=45)
    assert hits[7] == pytest.approx(165, abs=45)


def test_patches_stay_inside_and_small_images_in_the_middle(rng):
    for _ in range(100):
        start = choose_patch((20, 8, 5), (8, 8, 9), rng)
        assert 0 <= start[0] <= 12
        assert start[1:] == (0, -2)


def test_foreground_locations_are_voxels_of_their_label(rng):
    labels = rng.integers(0, 4, size=(10, 11, 12)).astype(np.int16)
    for value, places in foreground_locations(labels, rng, n_voxels=50).items():
        assert len(places) == 50
        assert (labels[tuple(places.T)] == value).all()


def test_small_images_are_padded_with_their_darkest_value_as_in_training():
    image = np.full((1, 2, 2, 2), -3.0, np.float32)
    image[0, 0] = 5.0
    seen = []

    def predict(batch):
        seen.append(batch.copy())
        return np.ones((len(batch), 2, 4, 4, 4), np.float32) / 2

    sliding_window(predict, image, (4, 4, 4), n_classes=2)
    assert seen[0][0, 0, 0, 0, 0] == -3.0
    assert np.count_nonzero(seen[0] == 5.0) == 4
