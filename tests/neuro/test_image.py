"""Geometry laws of neuro.image: every voxel keeps its place in millimetres."""

import itertools

import numpy as np
import pytest

from fieldgrad.engine.errors import DataError, ShapeError
from fieldgrad.neuro.images.image import Image, check_intensities, foreground_box

ORIENTATIONS = [
    "".join(pair[k] for pair, k in zip(pairs, flips, strict=True))
    for pairs in itertools.permutations(["RL", "AP", "SI"])
    for flips in itertools.product([0, 1], repeat=3)
]
OBLIQUE = np.array(
    [[1.05, 0.2, -0.1, -30.0], [-0.22, 1.1, 0.3, 12.5], [0.1, -0.3, 2.9, 7.0], [0, 0, 0, 1]]
)
ANISOTROPIC = np.diag([0.9, 0.9, 5.0, 1.0])


def world_values(image):
    """Map each voxel's value to the place of its center in mm."""
    index = np.indices(image.shape).reshape(3, -1)
    place = image.affine[:3, :3] @ index + image.affine[:3, 3:]
    return dict(zip(image.data.ravel().tolist(), place.T.round(6).tolist(), strict=True))


def numbered(affine, shape=(3, 4, 5)):
    return Image(np.arange(np.prod(shape)).reshape(shape), affine, {1: "one"}, source="scan.nii")


@pytest.mark.parametrize("affine", [OBLIQUE, ANISOTROPIC], ids=["oblique", "anisotropic"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_reorienting_moves_no_voxel_and_comes_back(orientation, affine):
    reference = numbered(affine)
    image = reference.reorient(orientation)
    assert image.orientation == orientation
    assert world_values(image) == world_values(reference)
    canonical = image.to_canonical()
    assert canonical.orientation == "RAS"
    assert world_values(canonical) == world_values(reference)
    back = canonical.like(image)
    np.testing.assert_array_equal(back.data, image.data)
    np.testing.assert_array_equal(back.affine, image.affine)


def test_there_are_48_orientations():
    assert len(set(ORIENTATIONS)) == 48


def test_left_stays_left():
    image = Image(np.zeros((4, 5, 6)), np.diag([-1.0, 1, 1, 1]))  # LAS: index 3 is far left
    image.data[3] = 1
    canonical = image.to_canonical()
    assert canonical.data[0].all()
    assert not canonical.data[1:].any()
    left = canonical.affine @ [0, 0, 0, 1]
    assert left[0] == -3.0


def test_crop_and_pad_move_no_voxel():
    image = numbered(OBLIQUE)
    places = world_values(image)
    for value, place in world_values(image.crop((1, 0, 2), (3, 3, 4))).items():
        assert places[value] == place
    padded = image.pad((1, 0, 2), (0, 3, 1), value=-1)
    assert padded.shape == (4, 7, 8)
    inner = padded.crop((1, 0, 2), (4, 4, 7))
    assert world_values(inner) == places


def test_like_undoes_a_chain_of_changes():
    image = numbered(OBLIQUE).reorient("PIR")
    part = image.to_canonical().crop((0, 1, 1), (2, 4, 4)).pad((1, 1, 0), (0, 0, 0), value=7)
    back = part.like(image, fill=-5)
    places = world_values(image)
    kept = back.data[back.data == image.data]
    assert kept.size == 2 * 3 * 3
    assert all(world_values(image)[v] == places[v] for v in kept.tolist())
    assert back.source == "scan.nii"
    assert back.labels == {1: "one"}


def test_like_refuses_another_grid():
    image = numbered(OBLIQUE)
    with pytest.raises(DataError, match="resample onto the reference"):
        image.like(numbered(ANISOTROPIC))
    shifted = ANISOTROPIC.copy()
    shifted[0, 3] = 0.4
    with pytest.raises(DataError, match="one voxel grid"):
        numbered(shifted).like(numbered(ANISOTROPIC))


def test_like_leaves_fill_where_nothing_overlaps():
    image = numbered(ANISOTROPIC)
    far = ANISOTROPIC.copy()
    far[0, 3] = 0.9 * 100
    assert (numbered(far).like(image, fill=9).data == 9).all()


def test_volume_and_spacing_are_in_mm():
    image = numbered(ANISOTROPIC)
    assert image.spacing == pytest.approx((0.9, 0.9, 5.0))
    assert image.voxel_volume == pytest.approx(0.9 * 0.9 * 5)


def test_same_grid_sees_shape_shift_and_rotation():
    image = numbered(ANISOTROPIC)
    assert image.same_grid(numbered(ANISOTROPIC.astype(np.float32)))
    assert not image.same_grid(numbered(ANISOTROPIC, (3, 4, 6)))
    assert not image.same_grid(numbered(OBLIQUE))


@pytest.mark.parametrize(
    ("affine", "words"),
    [
        (np.diag([1, 0, 1, 1]), "spacing 0 mm along axis 1"),
        (np.array([[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), "singular"),
        (np.diag([1, np.nan, 1, 1]), "not finite"),
    ],
)
def test_broken_affines_are_refused_with_the_file_name(affine, words):
    with pytest.raises(DataError, match=words) as caught:
        Image(np.zeros((2, 2, 2)), affine, source="sub-03.nii")
    assert "sub-03.nii" in str(caught.value)


def test_wrong_shapes_are_refused():
    with pytest.raises(ShapeError, match="three axes"):
        Image(np.zeros((2, 2)), np.eye(4))
    with pytest.raises(ShapeError, match="expected 0 <= start < stop"):
        numbered(OBLIQUE).crop((0, 0, 0), (9, 1, 1))
    with pytest.raises(ShapeError, match="numbers >= 0"):
        numbered(OBLIQUE).pad((-1, 0, 0), (0, 0, 0))
    with pytest.raises(ShapeError, match="the grid has"):
        numbered(OBLIQUE).with_data(np.zeros((1, 1, 1)))


@pytest.mark.parametrize("letters", ["RAX", "RRA", "RA", "RASS", ""])
def test_unknown_orientations_are_refused(letters):
    with pytest.raises(DataError, match="one letter each"):
        numbered(OBLIQUE).reorient(letters)


@pytest.mark.parametrize(("value", "words"), [(np.nan, "NaN"), (0, "zero"), (3, "3 in every")])
def test_images_without_information_are_refused(value, words):
    with pytest.raises(DataError, match=words):
        check_intensities(Image(np.full((2, 2, 2), value, float), np.eye(4), source="t1.nii"))


def test_foreground_box_of_an_empty_image_is_all_of_it():
    assert foreground_box(np.zeros((2, 3, 4))) == ((0, 0, 0), (2, 3, 4))


def test_foreground_box_takes_a_margin():
    data = np.zeros((6, 6, 6))
    data[0, 3, 5] = 1
    assert foreground_box(data, margin=1) == ((0, 2, 4), (2, 5, 6))
