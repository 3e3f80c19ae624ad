"""Planning: nnU-Net's rules on cases worked out by hand."""

import json

import numpy as np
import pytest

from fieldgrad.engine.errors import DataError, FileError
from fieldgrad.neuro.images.datasets import open_dataset
from fieldgrad.neuro.images.image import Image
from fieldgrad.neuro.images.io import write_image, write_labels
from fieldgrad.neuro.segmentation.plan import (
    NNUNET_FEATURE_BUDGET,
    Fingerprint,
    IntensityStatistics,
    Plan,
    feature_map_size,
    fingerprint,
    make_plan,
    target_spacing,
    topology,
)


def cases(shape, spacing=(1, 1, 1), n=200, kept=1.0, channels=("MRI",)):
    statistics = IntensityStatistics(0.0, 1.0, -2.0, 2.0)
    return Fingerprint([shape] * n, [spacing] * n, [kept] * n, channels, [statistics], 4)


def nnunet(data):
    return make_plan(data, base_features=32, feature_budget=NNUNET_FEATURE_BUDGET)


def test_the_hippocampus_gets_the_published_plan():
    # Patch, stages and batch of nnU-Net for Task04: 40x56x40, four stages, batch 9 (260 cases).
    plan = nnunet(cases((35, 50, 36), n=260))
    assert plan.patch_size == (40, 56, 40)
    assert plan.strides == ((1, 1, 1), *((2, 2, 2),) * 3)
    assert plan.kernels == ((3, 3, 3),) * 4
    assert plan.features == (32, 64, 128, 256)
    assert plan.batch_size == 9


def test_a_brain_gets_128_cubed():
    # nnU-Net's plan for BraTS (median 138x170x138 after cropping): 128x128x128, batch 2, 6 stages.
    plan = nnunet(cases((138, 170, 138)))
    assert plan.patch_size == (128, 128, 128)
    assert plan.batch_size == 2
    assert len(plan.strides) == 6
    assert plan.features[-1] == 320


def test_thick_slices_are_pooled_late_and_convolved_late():
    patch, strides, kernels = topology((20, 320, 256), (6.0, 0.6, 0.6))
    assert strides[:4] == ((1, 1, 1), (1, 2, 2), (1, 2, 2), (1, 2, 2))
    assert strides[4] == (2, 2, 2)
    assert kernels[:3] == ((1, 3, 3),) * 3
    assert kernels[3] == (3, 3, 3)
    assert patch == (20, 320, 256)


def test_the_order_of_axes_does_not_matter():
    a = make_plan(cases((20, 300, 250), (5.0, 0.8, 0.9)))
    b = make_plan(cases((300, 250, 20), (0.8, 0.9, 5.0)))
    assert sorted(a.patch_size) == sorted(b.patch_size)
    assert [s[0] for s in a.strides] == [s[2] for s in b.strides]


@pytest.mark.parametrize("shape", [(160, 190, 160), (512, 512, 40), (64, 300, 200), (9, 90, 90)])
@pytest.mark.parametrize("budget", [2e6, 8e6, 6e7])
def test_patches_fit_the_budget_and_the_strides(shape, budget):
    plan = make_plan(cases(shape, (1, 1, 2)), feature_budget=budget)
    assert feature_map_size(plan.patch_size, plan.strides, plan.features, 4) <= budget
    divisor = np.prod(plan.strides, axis=0)
    assert (np.array(plan.patch_size) % divisor == 0).all()
    assert (np.array(plan.patch_size) // divisor >= 4).all()
    assert len(plan.strides) == len(plan.kernels) == len(plan.features)


def test_feature_maps_are_counted_by_hand():
    # Two stages of 4x4x4 and 2x2x2 voxels with 8 and 16 channels: 5 maps above, 2 below, and 3
    # classes.
    strides = ((1, 1, 1), (2, 2, 2))
    assert feature_map_size((4, 4, 4), strides, (8, 16), 3) == 64 * (5 * 8 + 3) + 8 * 2 * 16


def test_few_thick_sliced_cases_do_not_set_the_spacing():
    spacings = [(1, 1, 1)] * 8 + [(1, 1, 5)] * 2
    assert target_spacing(spacings, [(200, 200, 200)] * 10).tolist() == [1, 1, 1]


def test_a_batch_holds_at_most_a_twentieth_of_the_data():
    assert nnunet(cases((35, 50, 36), n=100)).batch_size == 4
    assert nnunet(cases((35, 50, 36), n=3)).batch_size == 2


def test_channels_choose_their_normalization():
    plan = make_plan(cases((64, 64, 64), channels=("CT", "T1w")))
    assert plan.normalization == ("ct", "zscore")
    assert make_plan(cases((64, 64, 64), kept=0.5)).normalization == ("zscore-nonzero",)


def test_a_plan_survives_its_file(tmp_path):
    plan = make_plan(cases((64, 80, 20), (1, 1, 3.5)))
    plan.save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json") == plan
    assert "patch" in str(plan)
    entries = json.loads((tmp_path / "plan.json").read_text())
    del entries["strides"]
    (tmp_path / "plan.json").write_text(json.dumps(entries))
    with pytest.raises(DataError, match="missing or unknown entries strides"):
        Plan.load(tmp_path / "plan.json")
    (tmp_path / "plan.json").write_text("patch: 3")
    with pytest.raises(FileError, match="is not a plan"):
        Plan.load(tmp_path / "plan.json")


def test_a_fingerprint_is_of_the_cropped_canonical_images(tmp_path):
    description = {"channel_names": {"0": "T1w"}, "labels": {"background": 0, "a": 1}}
    (tmp_path / "dataset.json").write_text(json.dumps(description))
    data = np.zeros((10, 12, 14), np.float32)
    data[2:6, 1:11, 3:8] = 5
    data[3, 3, 4] = 9
    image = Image(data, np.diag([1, 2, 3, 1.0])).reorient("SAR")
    write_image(image, tmp_path / "imagesTr" / "x_0000.nii.gz")
    labels = image.with_data((image.data > 0).astype(np.uint8))
    write_labels(labels, tmp_path / "labelsTr" / "x.nii.gz")
    found = fingerprint(open_dataset(tmp_path))
    assert found.shapes == [(4, 10, 5)]
    assert found.spacings == [(1, 2, 3)]
    assert found.kept == [pytest.approx(200 / 1680)]
    assert found.intensities[0].low == 5
    assert found.intensities[0].mean == pytest.approx(5 + 4 / 200, abs=0.01)
