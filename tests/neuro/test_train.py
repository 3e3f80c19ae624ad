"""Training pairs, the split of the cases, and the fit that all recipes share."""

import numpy as np
import pytest

from fieldgrad.engine.data import Loader
from fieldgrad.engine.errors import DataError
from fieldgrad.neuro.images.io import read_image
from fieldgrad.neuro.segmentation.augment import Augmenter, Brightness
from fieldgrad.neuro.segmentation.learners import segmenter
from fieldgrad.neuro.segmentation.segmenter import Segmenter
from fieldgrad.neuro.segmentation.synth import Synthesizer
from fieldgrad.neuro.segmentation.train import (
    CenterPatches,
    RandomPatches,
    SyntheticPairs,
    fit_segmenter,
    split_cases,
)


@pytest.fixture
def arrays():
    """Two prepared scans with the class of each voxel."""
    rng = np.random.default_rng(0)
    classes = [np.zeros((12, 14, 10), np.uint8), np.zeros((10, 10, 10), np.uint8)]
    for c in classes:
        c[4:8, 4:8, 4:8] = 1
        c[6:8, 6:8, 6:8] = 2
    scans = [(c + rng.normal(0, 0.1, c.shape)).astype(np.float32)[None] for c in classes]
    return scans, classes


def test_every_case_is_on_one_side_of_the_split():
    names = [f"case{i}" for i in range(10)]
    train, test = split_cases(names, 0.2, seed=0)
    assert len(test) == 2
    assert sorted(train + test) == names
    assert (train, test) == split_cases(names[::-1], 0.2, seed=0)
    assert test != split_cases(names, 0.2, seed=1)[1]


@pytest.mark.parametrize("held_back", [0.01, 0.5, 0.99])
def test_both_sides_of_the_split_have_a_case(held_back):
    train, test = split_cases(["a", "b", "c"], held_back, seed=0)
    assert train
    assert test


def test_a_split_that_cannot_be_made_is_explained():
    with pytest.raises(DataError, match=r"labeled cases: 1 \(only\); expected at least two"):
        split_cases(["only"], 0.2, seed=0)
    for held_back in (0, 1, -0.1, 1.5):
        with pytest.raises(DataError, match=r"held_back is .*; expected a number between 0 and 1"):
            split_cases(["a", "b"], held_back, seed=0)


def test_random_patches_are_repeatable_and_keep_image_and_classes_together(arrays):
    patches = RandomPatches(*arrays, input_size=(6, 6, 6), augment=Augmenter({}))
    assert len(patches) == 2
    for seed in range(5):
        image, classes = patches.item(0, np.random.default_rng(seed))
        again, _ = patches.item(0, np.random.default_rng(seed))
        assert image.shape == (1, 6, 6, 6)
        assert image.dtype == np.float32
        assert classes.dtype == np.int32
        np.testing.assert_array_equal(image, again)
        np.testing.assert_array_equal(np.rint(image[0]).clip(0), classes)


def test_random_patches_favor_foreground():
    large = np.zeros((40, 40, 40), np.uint8)
    large[:2, :2, :2] = 1
    patches = RandomPatches(
        [large[None].astype(np.float32)], [large], input_size=(4, 4, 4), augment=Augmenter({})
    )
    hits = sum(patches.item(0, np.random.default_rng(s))[1].any() for s in range(200))
    assert 0.2 < hits / 200 < 0.5  # a third; without favor 0.1 %


def test_center_patches_are_the_middle_padded_with_the_darkest_value(arrays):
    scans, classes = arrays
    image, target = CenterPatches(scans, classes, patch_size=(4, 4, 4)).item(
        1, np.random.default_rng(0)
    )
    np.testing.assert_array_equal(image, scans[1][:, 3:7, 3:7, 3:7])
    np.testing.assert_array_equal(target, classes[1][3:7, 3:7, 3:7])
    image, target = CenterPatches(scans, classes, patch_size=(12, 10, 10)).item(
        1, np.random.default_rng(0)
    )
    assert (image[:, 0] == scans[1].min()).all()
    assert not target[0].any()


def test_synthetic_pairs_have_a_channel_axis_and_classes():
    labels = np.zeros((10, 10, 10), np.uint8)
    labels[3:7, 3:7, 3:7] = 1
    pairs = SyntheticPairs([labels], Synthesizer(spacing=(1.0, 1.0, 1.0)))
    image, target = pairs.item(0, np.random.default_rng(0))
    assert image.shape == (1, 10, 10, 10)
    assert target.dtype == np.int32
    assert set(np.unique(target)) <= {0, 1}


def test_a_fit_lowers_the_loss_and_writes_a_model_that_loads(arrays, make_segmenter, tmp_path):
    segmenter = make_segmenter(labels={1: "shell", 2: "core"}, spacing=(1.0, 1.0, 1.0))
    train = RandomPatches(*arrays, input_size=(8, 8, 8), augment=Augmenter({}))
    valid = CenterPatches(*arrays, patch_size=(8, 8, 8))
    learner = fit_segmenter(
        segmenter,
        Loader(train, 2, shuffle=True, n_batches=10),
        Loader(valid, 2),
        budget="2 epochs",
        run_dir=tmp_path,
    )
    first, last = learner.history
    assert last["train_loss"] < first["train_loss"]
    assert {"valid_loss", "dice", "dice_shell", "dice_core"} <= last.keys()
    assert not segmenter.network.training
    loaded = Segmenter.load(tmp_path / "model.safetensors").network.state_dict()
    for name, array in segmenter.network.state_dict().items():
        np.testing.assert_array_equal(loaded[name], array)
    assert (tmp_path / "history.csv").exists()


def test_a_learner_trains_a_data_set_in_three_lines(dataset, tmp_path):
    learner = segmenter(dataset, base_features=2, steps_per_epoch=4)
    learner.fit_one_cycle("2 epochs", 1e-2)
    learner.save(tmp_path / "model.safetensors")
    assert learner.history[-1]["train_loss"] < learner.history[0]["train_loss"]
    model = Segmenter.load(tmp_path / "model.safetensors")
    found = model.predict(read_image(dataset / "imagesTr" / "a_0000.nii.gz"))
    assert set(np.unique(found.data)) <= {0, 1, 3}
    assert {path.name for path in tmp_path.iterdir()} == {"boxes", "model.safetensors"}


def test_the_strength_of_the_augmentation_is_a_knob(arrays):
    scans, classes = arrays
    augment = Augmenter([Brightness(probability=1.0)])
    patches = RandomPatches(scans, classes, input_size=(6, 6, 6), augment=augment)
    plain = RandomPatches(scans, classes, input_size=(6, 6, 6), augment=Augmenter([]))

    def changed():
        both = (patches, plain)
        pairs = [[p.item(0, np.random.default_rng(s))[0] for p in both] for s in range(60)]
        return np.mean([not np.array_equal(*pair) for pair in pairs])

    assert changed() == 1.0
    patches.knobs()["augmentation"].write(0.25)
    assert 0.05 < changed() < 0.5  # 60 draws: four standard deviations are 0.22
    patches.knobs()["augmentation"].write(0.0)
    assert changed() == 0.0


def test_pictures_show_prediction_and_reference(arrays, make_segmenter, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    segmenter = make_segmenter(labels={1: "shell", 2: "core"}, spacing=(1.0, 1.0, 1.0))
    train = RandomPatches(*arrays, input_size=(8, 8, 8), augment=Augmenter([]))
    fit_segmenter(
        segmenter, Loader(train, 2, n_batches=2), None, budget="1 epoch", run_dir=tmp_path
    )
    names = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert names == {"prediction.png", "reference.png"}
    assert (tmp_path / "pictures/prediction.png").read_bytes().startswith(b"\x89PNG")
