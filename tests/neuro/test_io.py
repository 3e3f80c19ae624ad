"""Files: values, geometry and messages."""

import gzip

import nibabel
import numpy as np
import pytest

from fieldgrad.engine.errors import DataError, FileError
from fieldgrad.neuro.images.image import Header, Image
from fieldgrad.neuro.images.io import (
    from_nibabel,
    read_image,
    read_labels,
    to_nibabel,
    write_image,
    write_labels,
)

# A rotation of 20 degrees, anisotropic: what a qform can say without shear.
C, S = np.cos(np.radians(20)), np.sin(np.radians(20))
ROTATED = np.array([[C, -S, 0, -10.0], [S, C, 0, 20], [0, 0, 1, 5], [0, 0, 0, 1]]) @ np.diag(
    [-0.8, 1.2, 3.0, 1.0]
)


@pytest.fixture
def volume():
    return np.random.default_rng(0).normal(100, 20, size=(5, 6, 7)).astype(np.float32)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mgz"])
def test_images_come_back_bit_for_bit(tmp_path, volume, suffix):
    write_image(Image(volume, ROTATED), tmp_path / f"a{suffix}")
    back = read_image(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(back.data, volume)
    np.testing.assert_allclose(back.affine, ROTATED, atol=1e-4)
    assert back.data.dtype == np.float32


@pytest.mark.parametrize("suffix", [".nii.gz", ".mgz"])
@pytest.mark.parametrize(("largest", "dtype"), [(3, "uint8"), (2035, "int16"), (40000, "int32")])
def test_labels_are_stored_in_the_smallest_integers(tmp_path, suffix, largest, dtype):
    data = np.zeros((3, 4, 5), np.int64)
    data[1, 2, 3] = largest
    write_labels(Image(data, ROTATED), tmp_path / f"seg{suffix}")
    file = nibabel.load(tmp_path / f"seg{suffix}")
    assert file.get_data_dtype().newbyteorder("=") == dtype
    back = read_labels(tmp_path / f"seg{suffix}")
    np.testing.assert_array_equal(back.data, data)
    assert back.labels == {largest: f"label {largest}"}


@pytest.mark.parametrize(
    ("sform_code", "qform_code", "expected"),
    [(1, 1, (1, 1)), (4, 1, (4, 1)), (2, 0, (2, 2)), (0, 1, (1, 1))],
)
def test_both_transform_codes_are_written(tmp_path, volume, sform_code, qform_code, expected):
    file = nibabel.Nifti1Image(volume, ROTATED)
    file.set_sform(ROTATED, code=sform_code)
    file.set_qform(ROTATED, code=qform_code)
    nibabel.save(file, tmp_path / "in.nii.gz")
    image = read_image(tmp_path / "in.nii.gz")
    write_labels(image.with_data(np.ones(image.shape, np.uint8)), tmp_path / "out.nii.gz")
    out = nibabel.load(tmp_path / "out.nii.gz")
    sform, qform = out.get_sform(coded=True), out.get_qform(coded=True)
    assert (sform[1], qform[1]) == expected
    np.testing.assert_allclose(sform[0], ROTATED, atol=1e-5)
    np.testing.assert_allclose(qform[0], ROTATED, atol=1e-4)


def test_a_different_qform_stays_different_after_a_crop(tmp_path, volume):
    file = nibabel.Nifti1Image(volume, ROTATED)
    scanner = ROTATED.copy()
    scanner[:3, 3] += [5, -7, 9]
    file.set_sform(ROTATED, code=4)
    file.set_qform(scanner, code=1)
    nibabel.save(file, tmp_path / "in.nii")
    image = read_image(tmp_path / "in.nii").crop((1, 2, 3), (4, 5, 6))
    write_image(image, tmp_path / "out.nii")
    out = nibabel.load(tmp_path / "out.nii")
    np.testing.assert_allclose(out.get_sform(), ROTATED @ _shift(1, 2, 3), atol=1e-4)
    np.testing.assert_allclose(out.get_qform(), scanner @ _shift(1, 2, 3), atol=1e-4)


def _shift(*offset):
    matrix = np.eye(4)
    matrix[:3, 3] = offset
    return matrix


def test_scaling_of_the_file_is_applied_and_not_written_again(tmp_path):
    raw = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    file = nibabel.Nifti1Image(raw, np.eye(4))
    file.header.set_slope_inter(0.5, -10)
    file.dataobj  # noqa: B018 - nibabel scales on writing
    nibabel.save(nibabel.Nifti1Image(raw * 0.5 - 10, np.eye(4), file.header), tmp_path / "in.nii")
    image = read_image(tmp_path / "in.nii")
    np.testing.assert_allclose(image.data, raw * 0.5 - 10, atol=1e-3)
    write_labels(image.with_data(raw), tmp_path / "out.nii")
    out = nibabel.load(tmp_path / "out.nii")
    assert (out.dataobj.slope, out.dataobj.inter) == (1.0, 0.0)
    np.testing.assert_array_equal(np.asarray(out.dataobj), raw)


def test_microns_become_millimetres_and_go_back(tmp_path, volume):
    file = nibabel.Nifti1Image(volume, np.diag([50.0, 50, 100, 1]))
    file.header.set_xyzt_units("micron", "sec")
    nibabel.save(file, tmp_path / "mouse.nii")
    image = read_image(tmp_path / "mouse.nii")
    assert image.spacing == pytest.approx((0.05, 0.05, 0.1))
    write_image(image, tmp_path / "out.nii")
    out = nibabel.load(tmp_path / "out.nii")
    assert out.header.get_xyzt_units()[0] == "micron"
    np.testing.assert_allclose(out.affine, file.affine)


def test_an_axis_of_length_one_is_dropped(tmp_path, volume):
    nibabel.save(nibabel.Nifti1Image(volume[..., None], np.eye(4)), tmp_path / "a.nii")
    assert read_image(tmp_path / "a.nii").shape == (5, 6, 7)


def test_four_dimensional_images_are_refused(tmp_path, volume):
    series = np.stack([volume, volume], axis=-1)
    nibabel.save(nibabel.Nifti1Image(series, np.eye(4)), tmp_path / "bold.nii")
    with pytest.raises(DataError, match=r"bold\.nii has shape 5x6x7x2.*\n.*fslroi"):
        read_image(tmp_path / "bold.nii")


def test_missing_paths_folders_and_suffixes_name_the_remedy(tmp_path):
    with pytest.raises(FileError, match="does not exist; check the path") as caught:
        read_image(tmp_path / "no.nii.gz")
    assert caught.value.path == str(tmp_path / "no.nii.gz")
    with pytest.raises(FileError, match="there is no folder"):
        read_image(tmp_path / "nowhere" / "no.nii.gz")
    with pytest.raises(FileError, match="dcm2niix"):
        read_image(tmp_path)
    (tmp_path / "scan.dcm").write_bytes(b"x")
    with pytest.raises(FileError, match=r"expected one of \.nii \.nii\.gz"):
        read_image(tmp_path / "scan.dcm")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mgz"])
def test_truncated_files_are_reported(tmp_path, volume, suffix):
    path = tmp_path / f"cut{suffix}"
    write_image(Image(volume, np.eye(4)), path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(FileError, match=r"cut\..*cut short, damaged(.|\n)*export it again"):
        read_image(path)


@pytest.mark.parametrize("content", [b"", b"not a volume", gzip.compress(b"short")])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mgz"])
def test_files_that_are_something_else_are_reported(tmp_path, suffix, content):
    path = tmp_path / f"odd{suffix}"
    path.write_bytes(content)
    with pytest.raises(FileError, match="odd"):
        read_image(path)


def test_values_that_are_not_finite_are_refused_or_replaced(tmp_path, volume):
    volume[1, 1, 1] = np.nan
    write_image(Image(volume, np.eye(4)), tmp_path / "nan.nii")
    with pytest.raises(DataError, match=r"nan\.nii has 1 voxels that are NaN"):
        read_image(tmp_path / "nan.nii")
    assert read_image(tmp_path / "nan.nii", replace_nonfinite=0).data[1, 1, 1] == 0


def test_an_all_zero_image_is_refused_but_an_empty_label_map_is_not(tmp_path):
    write_labels(Image(np.zeros((2, 2, 2), int), np.eye(4)), tmp_path / "zero.nii")
    with pytest.raises(DataError, match="zero in every voxel"):
        read_image(tmp_path / "zero.nii")
    assert read_labels(tmp_path / "zero.nii").labels == {}


def test_probabilities_are_not_taken_for_labels(tmp_path):
    write_image(Image(np.full((2, 2, 2), 0.5), np.eye(4)), tmp_path / "p.nii")
    with pytest.raises(DataError, match=r"value 0\.5; expected the whole numbers"):
        read_labels(tmp_path / "p.nii")
    write_image(Image(np.full((2, 2, 2), -1.0), np.eye(4)), tmp_path / "m.nii")
    with pytest.raises(DataError, match="labels from -1"):
        read_labels(tmp_path / "m.nii")
    with pytest.raises(DataError, match="Use write_image"):
        write_labels(Image(np.full((2, 2, 2), 0.5), np.eye(4)), tmp_path / "q.nii")


def test_colors_are_refused(tmp_path):
    rgb = np.zeros((2, 2, 2), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    nibabel.save(nibabel.Nifti1Image(rgb, np.eye(4)), tmp_path / "rgb.nii")
    with pytest.raises(DataError, match="holds colors"):
        read_image(tmp_path / "rgb.nii")


def test_a_file_without_orientation_is_reported(tmp_path, volume, caplog):
    file = nibabel.Nifti1Image(volume, None)
    file.set_sform(None, code=0)
    file.set_qform(None, code=0)
    nibabel.save(file, tmp_path / "lost.nii")
    read_image(tmp_path / "lost.nii")
    assert "left and right are a guess" in caplog.text


def test_nibabel_images_go_in_and_out(volume):
    image = from_nibabel(nibabel.Nifti1Image(volume, ROTATED))
    np.testing.assert_array_equal(to_nibabel(image).get_fdata(dtype=np.float32), volume)
    labels = from_nibabel(nibabel.Nifti1Image(np.ones((2, 2, 2), "u1"), ROTATED), names={1: "a"})
    assert labels.data.dtype == np.uint8
    assert to_nibabel(labels).get_data_dtype() == np.uint8


def test_equal_images_give_equal_files(tmp_path, volume):
    for name in ("a", "b"):
        write_image(Image(volume, ROTATED), tmp_path / f"{name}.nii.gz")
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_a_failed_write_leaves_the_old_file(tmp_path, volume, monkeypatch):
    write_image(Image(volume, ROTATED), tmp_path / "a.nii.gz")
    before = (tmp_path / "a.nii.gz").read_bytes()

    def full_disk(file, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(nibabel, "save", full_disk)
    with pytest.raises(FileError, match=r"a\.nii\.gz was not written: the disk is full"):
        write_image(Image(volume, ROTATED), tmp_path / "a.nii.gz")
    assert [p.name for p in tmp_path.iterdir()] == ["a.nii.gz"]
    assert (tmp_path / "a.nii.gz").read_bytes() == before


def test_header_defaults_to_scanner_space():
    assert Header() == Header(sform_code=1, qform_code=1)


def test_a_quaternion_that_is_no_rotation_is_reported(tmp_path, volume):
    file = nibabel.Nifti1Image(volume, ROTATED)
    file.set_sform(ROTATED, code=1)
    nibabel.save(file, tmp_path / "in.nii")
    with open(tmp_path / "in.nii", "r+b") as raw:
        raw.seek(252)  # qform_code, then sform_code, quatern_b, c, d of the NIfTI-1 header
        raw.write(np.array([1, 1], "<i2").tobytes() + np.full(3, 0.9, "<f4").tobytes())
    with pytest.raises(FileError, match=r"in\.nii cannot be read"):
        read_image(tmp_path / "in.nii")


def test_suffixes_may_be_capitals(tmp_path, volume):
    write_image(Image(volume, ROTATED), tmp_path / "a.NII.GZ")
    np.testing.assert_array_equal(read_image(tmp_path / "a.NII.GZ").data, volume)
