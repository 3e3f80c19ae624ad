"""The Segmenter: scans in, label maps on their grid out, and its file."""

import nibabel
import numpy as np
import pytest

import fieldgrad.engine as fg
from fieldgrad.engine import checkpoint
from fieldgrad.engine.errors import DataError, FileError
from fieldgrad.neuro.images.image import Image
from fieldgrad.neuro.images.io import to_nibabel
from fieldgrad.neuro.segmentation.segmenter import (
    Normalization,
    Preparation,
    Segmenter,
    join_segmenters,
)


def test_the_label_map_lies_on_the_grid_of_the_scan(make_segmenter, scan):
    result = make_segmenter().predict(scan)
    assert result.shape == scan.shape
    np.testing.assert_array_equal(result.affine, scan.affine)
    assert result.labels == {1: "core", 3: "box"}
    assert result.data.dtype == np.uint8
    assert set(np.unique(result.data)) <= {0, 1, 3}
    assert len(np.unique(result.data)) > 1


def test_the_orientation_of_the_file_does_not_matter(make_segmenter, scan):
    segmenter = make_segmenter()
    expected = segmenter.predict(scan)
    turned = segmenter.predict(scan.reorient("SPL"))
    np.testing.assert_array_equal(turned.like(scan).data, expected.data)


def test_probabilities_sum_to_one(make_segmenter, scan):
    probabilities, grid = make_segmenter().predict_probabilities([scan])
    assert probabilities.shape == (3, *grid.shape)
    assert grid.orientation == "RAS"
    np.testing.assert_allclose(grid.spacing, 2.0, rtol=1e-6)
    np.testing.assert_allclose(probabilities.sum(0), 1, atol=1e-5)


def test_large_label_values_are_kept(make_segmenter, scan):
    result = make_segmenter(labels={1: "a", 2035: "b"}).predict(scan)
    assert result.data.max() == 2035


def test_a_nibabel_image_gives_a_nifti_image(make_segmenter, scan):
    segmenter = make_segmenter()
    result = segmenter.predict(to_nibabel(scan))
    assert isinstance(result, nibabel.nifti1.Nifti1Image)
    np.testing.assert_allclose(result.affine, scan.affine, rtol=1e-6)
    np.testing.assert_array_equal(np.asarray(result.dataobj), segmenter.predict(scan).data)
    freesurfer = nibabel.freesurfer.MGHImage(scan.data, scan.affine)
    assert segmenter.predict([freesurfer]).shape == scan.shape


def test_further_channels_may_have_another_grid(make_segmenter, scan):
    segmenter = make_segmenter(n_channels=2)
    other = Image(scan.data[::-1, :, 1:], scan.affine)
    assert segmenter.predict([scan, other]).shape == scan.shape


def test_prediction_leaves_the_mode_of_the_network(make_segmenter, scan):
    segmenter = make_segmenter()
    segmenter.network.train()
    segmenter.predict(scan)
    assert segmenter.network.training
    segmenter.network.eval()
    segmenter.predict(scan)
    assert not segmenter.network.training


def test_prediction_keeps_no_tape(make_segmenter, scan, monkeypatch):
    segmenter = make_segmenter()
    forward, kept = segmenter.network.forward, []

    def watched(x):
        y = forward(x)
        kept.append(y.requires_grad)
        return y

    monkeypatch.setattr(segmenter.network, "forward", watched)
    segmenter.predict(scan)
    assert kept
    assert not any(kept)


def test_mirroring_makes_the_result_symmetric(make_segmenter, scan):
    straight = Image(scan.data[:12, :, :8], np.eye(4))
    segmenter = make_segmenter(spacing=(1.0, 1.0, 1.0), patch_size=(12, 18, 8))
    segmenter.mirror_axes = (0,)
    p, _ = segmenter.predict_probabilities([straight], mirror=True)
    flipped = Image(straight.data[::-1], np.eye(4))
    q, _ = segmenter.predict_probabilities([flipped], mirror=True)
    np.testing.assert_allclose(q[:, ::-1], p, atol=1e-4)


def test_a_model_mirrors_as_it_was_trained_and_not_otherwise(make_segmenter, scan, tmp_path):
    segmenter = make_segmenter()
    with pytest.raises(DataError, match="trained without mirroring"):
        segmenter.predict(scan, mirror=True)
    segmenter.mirror_axes = (0, 2)
    segmenter.save(tmp_path / "model.safetensors")
    assert Segmenter.load(tmp_path / "model.safetensors").mirror_axes == (0, 2)


def test_joined_models_average_their_logits(make_segmenter, scan, tmp_path):
    files = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    members = [make_segmenter(), make_segmenter()]
    for p in members[1].network.parameters():
        p.assign(p.data * 0.5)
    for member, file in zip(members, files, strict=True):
        member.save(file)
    join_segmenters(files, tmp_path / "both.safetensors")
    both = Segmenter.load(tmp_path / "both.safetensors")
    x = fg.Tensor(np.random.default_rng(0).normal(size=(1, 1, 8, 8, 8)).astype(np.float32))
    with fg.no_grad():
        one, other = (m.network.eval()(x).numpy() for m in members)
        np.testing.assert_allclose(both.network.eval()(x).numpy(), (one + other) / 2, rtol=1e-5)
    assert both.predict(scan).data.shape == scan.data.shape
    members[1].labels = {1: "core", 2: "box"}
    members[1].save(files[1])
    with pytest.raises(DataError, match="differ in their labels"):
        join_segmenters(files, tmp_path / "both.safetensors")


def test_progress_counts_every_patch(make_segmenter, scan):
    calls = []
    make_segmenter().predict(scan, progress=lambda done, total: calls.append((done, total)))
    total = calls[-1][1]
    assert calls == [(done, total) for done in range(1, total + 1)]


def test_a_wrong_number_of_channels_is_explained(make_segmenter, scan):
    with pytest.raises(DataError, match=r"channels given: 1; the model was trained with 2"):
        make_segmenter(n_channels=2).predict(scan)
    with pytest.raises(DataError, match="channels given: 0"):
        make_segmenter().predict([])


@pytest.mark.parametrize(("value", "words"), [(np.nan, "NaN or infinite"), (0, "zero in every")])
def test_an_unusable_scan_is_refused(make_segmenter, scan, value, words):
    with pytest.raises(DataError, match=words):
        make_segmenter().predict(scan.with_data(np.full(scan.shape, value)))


@pytest.mark.parametrize("kind", ["zscore", "zscore-nonzero", "percentiles", "ct"])
def test_normalizations_do_not_depend_on_units_of_the_scanner(kind):
    data = np.random.default_rng(0).normal(50, 10, (6, 7, 8)).astype(np.float32)
    once = Normalization(kind, low=0, high=100, mean=50, std=10).apply(data)
    assert once.dtype == np.float32
    if kind != "ct":  # Hounsfield units are absolute
        np.testing.assert_allclose(Normalization(kind).apply(3 * data), once, atol=1e-4)


def test_an_unknown_normalization_is_explained():
    with pytest.raises(DataError, match="'minmax' is unknown; expected one of zscore"):
        Normalization("minmax")


def test_the_file_gives_the_same_segmenter(make_segmenter, scan, tmp_path):
    segmenter = make_segmenter()
    segmenter.save(tmp_path / "model.safetensors")
    loaded = Segmenter.load(tmp_path / "model.safetensors")
    assert loaded.preparation == segmenter.preparation
    assert loaded.labels == segmenter.labels
    assert loaded.about == {"made": "by a test"}
    np.testing.assert_array_equal(loaded.predict(scan).data, segmenter.predict(scan).data)


def test_a_file_that_is_no_model_is_explained(make_segmenter, tmp_path):
    path = tmp_path / "model.safetensors"
    with pytest.raises(FileError, match="does not exist"):
        Segmenter.load(path)
    path.write_text("hello")
    with pytest.raises(FileError, match="not a whole safetensors file"):
        Segmenter.load(path)
    checkpoint.save(path, {"a": np.zeros(2)}, {"kind": "other"})
    with pytest.raises(
        FileError, match=r"no segmentation model .it holds other.; expected the model\.safe"
    ):
        Segmenter.load(path)
    segmenter = make_segmenter()
    segmenter.settings["features"] = (2, 4)
    segmenter.save(path)
    with pytest.raises(FileError, match="description does not fit its weights"):
        Segmenter.load(path)


def test_preparation_puts_channels_on_one_grid(scan):
    preparation = Preparation((2.0, 2.0, 2.0), (8, 8, 8), (Normalization(), Normalization()))
    array, grid = preparation.apply([scan, scan])
    assert array.shape == (2, *grid.shape)
    assert array.dtype == np.float32
    np.testing.assert_allclose(array[0], array[1], atol=1e-3)
    np.testing.assert_allclose(array[0].mean(), 0, atol=1e-4)


def test_the_engine_is_not_left_without_gradients(make_segmenter, scan):
    make_segmenter().predict(scan)
    x = fg.tensor([1.0], requires_grad=True)
    assert (x * x).requires_grad
