"""Reductions beyond the op table: nothing to reduce, ties, large sums, composites."""

import numpy as np
import pytest

import fieldgrad.engine as fg
from fieldgrad.engine.errors import ShapeError


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_reductions_of_nothing(dtype):
    x = np.zeros((0, 3), dtype)
    assert fg.sum(x).item() == 0
    assert fg.sum(x, axis=0).tolist() == [0, 0, 0]
    assert fg.prod(x, axis=0).tolist() == [1, 1, 1]
    assert fg.sum(x, axis=1).shape == (0,)
    assert np.isnan(fg.mean(x, axis=0).numpy()).all()
    for extremum in (fg.max, fg.min):
        with pytest.raises(ShapeError, match="no elements"):
            extremum(x, axis=0)
        assert extremum(x, axis=1).shape == (0,)


def test_gradients_of_nothing_have_its_shape():
    x = fg.tensor(np.zeros((0, 3)), requires_grad=True)
    fg.sum(x).backward()
    assert x.grad.shape == (0, 3)


def test_ten_million_equal_float32_sum_to_six_digits():
    x = np.full(10_000_000, 0.1, np.float32)
    exact = float(np.float32(0.1)) * 1e7
    # Equal numbers are the worst case: rounding within a run of 512 has the same sign everywhere.
    assert fg.sum(x).item() == pytest.approx(exact, rel=1e-6)
    y = np.random.default_rng(0).random(10_000_000, dtype=np.float32)
    assert fg.sum(y).item() == pytest.approx(y.sum(dtype=np.float64), rel=1e-7)


def test_equal_extrema_share_the_gradient():
    x = fg.tensor([1.0, 3.0, 3.0], requires_grad=True)
    fg.max(x).backward()
    assert x.grad.tolist() == [0.0, 0.5, 0.5]


def test_nan_goes_through_every_layout():
    x = np.ones((4, 50, 6), np.float32)
    x[1, 20, 3] = np.nan
    for array in (x, np.asfortranarray(x), x[:, ::-1]):
        for op in (fg.sum, fg.max, fg.min, fg.mean):
            assert np.isnan(op(array).item())
            assert np.isnan(op(array, axis=1).numpy()).sum() == 1
            assert np.isnan(op(array, axis=(0, 2)).numpy()).sum() == 1


def test_variance_and_logsumexp_against_numpy():
    x = np.random.default_rng(0).normal(size=(3, 4, 5)) + 1000
    np.testing.assert_allclose(fg.var(x, axis=(0, 2)).numpy(), x.var((0, 2)), rtol=1e-10)
    np.testing.assert_allclose(
        fg.std(x, axis=1, correction=1, keepdims=True).numpy(), x.std(1, ddof=1, keepdims=True)
    )
    want = np.log(np.exp(x - 1000).sum(1)) + 1000
    np.testing.assert_allclose(fg.logsumexp(x, axis=1).numpy(), want, rtol=1e-12)
    assert fg.logsumexp(np.full(3, -np.inf)).item() == -np.inf
    fg.gradcheck(lambda t: fg.logsumexp(t, axis=1), [fg.tensor(x, requires_grad=True)], order=2)


def test_an_axis_that_does_not_exist_or_twice_is_an_error():
    with pytest.raises(ShapeError, match="axis 2 does not exist"):
        fg.sum(np.ones((2, 3)), axis=2)
    with pytest.raises(ShapeError, match="twice"):
        fg.sum(np.ones((2, 3)), axis=(0, -2))
