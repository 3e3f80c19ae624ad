"""Intensity scales."""

import numpy as np
import pytest

from fieldgrad.engine.errors import DataError
from fieldgrad.neuro.images.intensity import normalize_ct, rescale_percentiles, zscore


@pytest.fixture
def data():
    return np.random.default_rng(0).gamma(2, 300, size=(10, 11, 12)).astype(np.float32)


def test_zscore_does_not_depend_on_the_scanner_scale(data):
    out = zscore(data)
    assert out.dtype == np.float32
    assert out.mean() == pytest.approx(0, abs=1e-5)
    assert out.std() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(zscore(7 * data - 100), out, atol=1e-4)


def test_zscore_in_a_mask_ignores_the_rest(data):
    mask = data > 200
    changed = np.where(mask, data, -5000)
    np.testing.assert_array_equal(zscore(data, mask), zscore(changed, mask))
    assert (zscore(data, mask)[~mask] == 0).all()
    assert zscore(data, mask)[mask].std() == pytest.approx(1, abs=1e-5)


def test_percentiles_become_zero_and_one(data):
    out = rescale_percentiles(data)
    assert out.min() == 0
    assert out.max() == 1
    assert (out == 0).mean() == pytest.approx(0.005, abs=0.001)
    assert (np.diff(out.ravel()[np.argsort(data.ravel())]) >= 0).all()


def test_ct_is_clipped_to_the_training_set():
    out = normalize_ct(np.array([[[-1000.0, 40.0, 3000.0]]]), -100, 200, 40, 20)
    np.testing.assert_allclose(out, [[[-7, 0, 8]]])


def test_images_without_contrast_are_refused():
    flat = np.full((3, 3, 3), 1e4, np.float32)
    with pytest.raises(DataError, match="all 27 voxels have the value 10000"):
        zscore(flat)
    with pytest.raises(DataError, match="both 10000"):
        rescale_percentiles(flat)
    with pytest.raises(DataError, match="mask has no voxel"):
        zscore(flat, flat < 0)
