"""Real scans, where FIELDGRAD_DATA names a folder that holds them."""

import os
from pathlib import Path

import nibabel
import numpy as np
import pytest

from fieldgrad.neuro.images.datasets import open_dataset
from fieldgrad.neuro.images.io import read_image, read_labels, write_labels
from fieldgrad.neuro.images.resample import (
    labels_from_probabilities,
    resample,
    resample_labels,
    resample_labels_onto,
)
from fieldgrad.neuro.segmentation.metrics import dice
from fieldgrad.neuro.segmentation.plan import fingerprint, make_plan
from fieldgrad.neuro.segmentation.synth import Synthesizer

DATA = Path(os.environ.get("FIELDGRAD_DATA", "nowhere")) / "neuro"
pytestmark = [
    pytest.mark.skipif(not DATA.is_dir(), reason="set FIELDGRAD_DATA to the folder of real data"),
    pytest.mark.slow,
]
SCANS = (
    "real_heads_unlabelled/chris_PDw_thick.nii.gz",
    "real_heads_unlabelled/chris_T1w.nii.gz",
    "mgz_fixture/sample3mm_T1.mgz",
    "oasis_t1_aseg/sub-01_T1w_brain.nii.gz",
)


@pytest.mark.parametrize("name", SCANS)
def test_a_segmentation_comes_back_on_the_grid_of_the_scan(tmp_path, name):
    """Through canonical orientation, 1.5 mm, probabilities, and back: as prediction does."""
    scan = read_image(DATA / name)
    small = resample(scan.to_canonical(), (1.5, 1.5, 1.5))
    bright = np.clip(small.data / np.percentile(small.data, 90) - 0.5, 0, 1)
    probabilities = np.stack([1 - bright, bright])
    labels = labels_from_probabilities(probabilities, small, scan, names={1: "bright"})
    write_labels(labels, tmp_path / "seg.nii.gz")
    old, new = nibabel.load(DATA / name), nibabel.load(tmp_path / "seg.nii.gz")
    assert new.shape == old.shape
    assert new.get_data_dtype() == np.uint8
    np.testing.assert_allclose(new.affine, old.affine, atol=1e-4)
    assert new.header["sform_code"] > 0
    assert new.header["qform_code"] > 0
    if isinstance(old.header, nibabel.nifti1.Nifti1Header):
        for code in ("sform_code", "qform_code"):
            assert new.header[code] == (old.header[code] or new.header[code])
    # Bright voxels of the scan are the labeled ones: nothing was shifted or mirrored.
    inside, outside = scan.data[labels.data == 1], scan.data[labels.data == 0]
    assert inside.mean() > 2 * outside.mean()


def test_small_structures_survive_a_round_trip_through_another_spacing():
    truth = read_labels(DATA / "oasis_t1_aseg" / "sub-01_dseg_aseg.nii.gz")
    back = resample_labels_onto(resample_labels(truth.to_canonical(), (0.8, 0.8, 0.8)), truth)
    scores = {k: dice(back.data == k, truth.data == k) for k in truth.labels}
    assert set(np.unique(back.data)) == set(np.unique(truth.data))
    assert np.mean(list(scores.values())) > 0.95
    assert min(scores[k] for k in (17, 53, 18, 54)) > 0.95  # hippocampus and amygdala


def test_left_is_left_in_every_format():
    """FreeSurfer numbers left structures 1 to 39 and right ones 41 to 60, and 4 and 43 agree."""
    for name in ("oasis_t1_aseg/sub-01_dseg_aseg.nii.gz", "mgz_fixture/sample3mm_aseg.mgz"):
        labels = read_labels(DATA / name).to_canonical()
        for left, right in ((17, 53), (10, 49), (2, 41)):
            place = [np.argwhere(labels.data == k)[:, 0].mean() for k in (left, right)]
            assert place[0] < place[1]


def test_the_hippocampus_data_set_gets_its_plan():
    data = open_dataset(DATA / "msd_hippocampus")
    assert len(data.cases) == 200
    assert data.labels == {1: "Anterior", 2: "Posterior"}
    plan = make_plan(fingerprint(data))
    assert plan.patch_size == (40, 56, 40)
    assert plan.median_shape == (35, 50, 36)
    assert plan.normalization == ("zscore",)


def test_whole_heads_are_synthesized_with_both_sides_in_place():
    labels = read_labels(DATA / "synthseg_labelmaps" / "training_seg_01.nii.gz").to_canonical()
    make = Synthesizer(sides={17: 53, 53: 17}, patch_size=labels.shape)
    rng = np.random.default_rng(0)
    for _ in range(3):
        image, target, _ = make(labels.data, rng)
        assert image.shape == labels.shape
        assert np.argwhere(target == 17)[:, 0].mean() < np.argwhere(target == 53)[:, 0].mean()
