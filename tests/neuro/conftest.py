"""Small made data sets and models, for the tests of training, prediction and the command line."""

import json

import numpy as np
import pytest

import fieldgrad.engine as fg
from fieldgrad.neuro.images.image import Image
from fieldgrad.neuro.images.io import write_image, write_labels
from fieldgrad.neuro.segmentation.segmenter import Normalization, Preparation, Segmenter
from fieldgrad.shared_models import UNet

SHAPE = (14, 16, 12)
AFFINE = np.diag([-1.0, 1.0, 1.5, 1.0])


@pytest.fixture
def dataset(tmp_path):
    """A folder in nnU-Net's layout: four scans of a box (3) with a core (1), in noise."""
    folder = tmp_path / "boxes"
    (folder / "imagesTr").mkdir(parents=True)
    description = {
        "channel_names": {"0": "T1w"},
        "labels": {"background": 0, "core": 1, "box": 3},
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(description))
    rng = np.random.default_rng(0)
    for case in "abcd":
        labels = np.zeros(SHAPE, np.uint8)
        labels[3:10, 4:12, 2:9] = 3
        labels[5:8, 6:9, 4:7] = 1
        scan = 50.0 * labels + rng.normal(20, 9, SHAPE)
        write_image(Image(scan, AFFINE), folder / "imagesTr" / f"{case}_0000.nii.gz")
        write_labels(Image(labels, AFFINE), folder / "labelsTr" / f"{case}.nii.gz")
    return folder


@pytest.fixture
def make_segmenter():
    """A function that makes a small untrained Segmenter."""

    def make(n_channels=1, labels=None, spacing=(2.0, 2.0, 2.0), patch_size=(8, 8, 8)):
        fg.manual_seed(0)
        labels = labels or {1: "core", 3: "box"}
        settings = {"in_channels": n_channels, "n_classes": len(labels) + 1, "features": (2, 3)}
        channels = (Normalization(),) * n_channels
        preparation = Preparation(spacing, patch_size, channels)
        return Segmenter(UNet(**settings), settings, preparation, labels, {"made": "by a test"})

    return make


@pytest.fixture
def scan():
    """A scan with oblique, anisotropic geometry that is not RAS."""
    rng = np.random.default_rng(1)
    turn = 0.2
    affine = np.array(
        [
            [-np.cos(turn), np.sin(turn), 0, 20],
            [0, 0, 2.4, -30],
            [-np.sin(turn), -np.cos(turn), 0, 5],
            [0, 0, 0, 1],
        ]
    )
    return Image(rng.normal(100, 20, (14, 18, 9)).astype(np.float32), affine)
