"""Resampling: positions, labels and edges."""

import numpy as np
import pytest
from scipy import ndimage

from fieldgrad.engine.errors import DataError, ShapeError
from fieldgrad.neuro.images.image import Image
from fieldgrad.neuro.images.resample import (
    axis_operator,
    labels_from_probabilities,
    resample,
    resample_labels,
    resample_labels_onto,
    resample_onto,
)


def rotation(degrees):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


OBLIQUE = rotation(20) @ np.diag([1.1, 0.9, 1.4, 1.0])


def ramp(affine, shape=(20, 22, 24)):
    """An image whose value is a linear function of the place in mm: no resampling may change it."""
    index = np.indices(shape).reshape(3, -1)
    place = affine[:3, :3] @ index + affine[:3, 3:]
    return Image((np.array([1.0, -2.0, 0.5]) @ place + 3).reshape(shape), affine)


def inside(image, reference, margin):
    """Voxels of `image` whose center lies in `reference`, `margin` voxels from its border."""
    index = np.indices(image.shape).reshape(3, -1)
    matrix = np.linalg.inv(reference.affine) @ image.affine
    place = matrix[:3, :3] @ index + matrix[:3, 3:]
    upper = np.array(reference.shape)[:, None] - 1 - margin
    return ((place >= margin) & (place <= upper)).all(axis=0).reshape(image.shape)


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("spacing", [(2, 2, 2), (0.8, 1.3, 2.1)])
@pytest.mark.parametrize("affine", [np.diag([-1, 1, 1.5, 1.0]), OBLIQUE])
def test_places_in_mm_are_kept_when_spacing_changes(affine, spacing, order):
    image = ramp(affine)
    out = resample(image, spacing, order=order)
    assert out.spacing == pytest.approx(spacing)
    keep = inside(out, image, 6)
    assert keep.sum() > 50
    np.testing.assert_allclose(out.data[keep], ramp(out.affine, out.shape).data[keep], atol=2e-3)


@pytest.mark.parametrize("orientation", ["RAS", "LIA", "PSR"])
@pytest.mark.parametrize("turn", [0, 15])
def test_places_in_mm_are_kept_on_another_grid(orientation, turn):
    image = ramp(OBLIQUE)
    other = Image(np.zeros((12, 13, 14)), rotation(turn) @ OBLIQUE @ np.diag([1.2, 1.3, 1.1, 1]))
    other = other.reorient(orientation)
    out = resample_onto(image, other)
    assert out.same_grid(other)
    keep = inside(out, image, 4)
    assert keep.sum() > 50
    np.testing.assert_allclose(out.data[keep], ramp(out.affine, out.shape).data[keep], atol=2e-3)


def test_the_same_grid_gives_the_same_values():
    image = Image(np.random.default_rng(0).normal(size=(9, 10, 11)), OBLIQUE)
    np.testing.assert_allclose(resample_onto(image, image).data, image.data, atol=1e-5)
    np.testing.assert_allclose(resample(image, image.spacing).data, image.data, atol=1e-5)


@pytest.mark.parametrize("order", [0, 1, 3])
def test_axis_operators_agree_with_scipy(order):
    data = np.random.default_rng(0).normal(size=(12, 13, 14))
    image = Image(data, np.eye(4))
    affine = np.diag([0.7, 0.83, 0.61, 1])
    affine[:3, 3] = 2.03, 1.07, 3.11
    other = Image(np.zeros((9, 10, 11)), affine)
    expected = ndimage.affine_transform(
        data, other.affine[:3, :3], other.affine[:3, 3], (9, 10, 11), order=order, mode="nearest"
    )
    out = resample_onto(image, other, order=order).data
    np.testing.assert_allclose(out, expected, atol=1e-5)


def test_every_new_voxel_is_a_mean_of_old_ones():
    for order in (0, 1, 3):
        for sigma in (0.0, 1.3):
            operator = axis_operator(12, -0.3, 1.7, 7, order=order, sigma=sigma)
            np.testing.assert_allclose(operator.sum(axis=1), 1, atol=1e-5)


def test_outside_the_field_of_view_is_fill():
    image = Image(np.ones((4, 4, 4)), np.eye(4))
    for turn in (0, 20):
        far = rotation(turn)
        far[:3, 3] = -10, 0, 0
        out = resample_onto(image, Image(np.zeros((20, 4, 4)), far), fill=-7)
        assert out.data.min() == -7
        np.testing.assert_allclose(out.data.max(), 1, atol=1e-5)
        assert (out.data[0] == -7).all()


def test_downsampling_does_not_alias():
    stripes = np.zeros((33, 8, 8))
    stripes[::2] = 1
    image = Image(stripes, np.eye(4))
    assert np.ptp(resample(image, (3, 1, 1)).data[2:-2]) < 0.05
    assert np.ptp(resample(image, (3, 1, 1), antialias=False).data[2:-2]) > 0.5


def blob_labels(affine=None):
    labels = np.zeros((24, 24, 24), np.int16)
    labels[3:12, 4:20, 5:19] = 17
    labels[12:21, 4:20, 5:19] = 53
    affine = np.eye(4) if affine is None else affine
    return Image(labels, affine, {17: "left", 53: "right"})


@pytest.mark.parametrize("turn", [0, 10])
def test_label_maps_survive_a_round_trip(turn):
    image = blob_labels()
    fine = Image(np.zeros((48, 48, 48)), rotation(turn) @ np.diag([0.6, 0.6, 0.6, 1.0]))
    fine.affine[:3, 3] = -2 if turn == 0 else 1
    back = resample_labels_onto(resample_labels_onto(image, fine), image)
    assert set(np.unique(back.data)) == {0, 17, 53}
    assert back.data.dtype == np.int16
    assert back.labels == image.labels
    keep = inside(image, fine, 3)
    agreement = (back.data == image.data)[keep].mean()
    assert keep.sum() > 3000
    assert agreement > 0.98


def test_labels_never_mix_into_new_labels():
    image = blob_labels()
    assert set(np.unique(resample_labels(image, (1.7, 0.8, 2.3)).data)) == {0, 17, 53}


def test_labels_keep_their_volume():
    image = blob_labels()
    out = resample_labels(image, (1.5, 1.5, 1.5))
    for value in (17, 53):
        before = (image.data == value).sum() * image.voxel_volume
        after = (out.data == value).sum() * out.voxel_volume
        assert after == pytest.approx(before, rel=0.1)


def test_a_touching_border_is_not_moved_by_label_numbers():
    image = blob_labels().crop((1, 0, 0), (24, 24, 24))  # no new center on the border: no ties
    swapped = image.with_data(np.where(image.data > 0, 70 - image.data, 0).astype(np.int16), {})
    spacing = (0.9, 1.1, 1.2)
    a, b = resample_labels(image, spacing).data, resample_labels(swapped, spacing).data
    np.testing.assert_array_equal(a, np.where(b > 0, 70 - b, 0))


def test_thick_slices_are_repeated_not_blended():
    data = np.zeros((8, 8, 4))
    data[:, :, 2] = 1
    out = resample(Image(data, np.diag([1, 1, 4, 1.0])), (1, 1, 1)).data
    assert set(np.unique(out.round(5))) == {0.0, 1.0}
    assert out[4, 4].tolist() == [0] * 8 + [1] * 4 + [0] * 4


def test_probabilities_become_labels_on_the_native_grid():
    truth = blob_labels()
    coarse = resample(truth.with_data(truth.data > 0), (2, 2, 2), order=1)
    left = resample(truth.with_data(truth.data == 17), (2, 2, 2), order=1).data
    right = resample(truth.with_data(truth.data == 53), (2, 2, 2), order=1).data
    p = np.stack([1 - left - right, left, right])
    out = labels_from_probabilities(p, coarse, truth, names={1: "left", 2: "right"})
    expected = np.select([truth.data == 17, truth.data == 53], [1, 2])
    assert (out.data == expected).mean() > 0.98
    assert out.labels == {1: "left", 2: "right"}
    with pytest.raises(ShapeError, match="n_classes"):
        labels_from_probabilities(p[:, 1:], coarse, truth)


def test_wrong_arguments_name_what_is_expected():
    image = blob_labels()
    with pytest.raises(DataError, match="three positive numbers"):
        resample(image, (1, 0, 1))
    with pytest.raises(DataError, match="nearest"):
        resample(image, (1, 1, 1), order=2)
    with pytest.raises(DataError, match="Use resample for images"):
        resample_labels(image.with_data(image.data.astype(float)), (1, 1, 1))
