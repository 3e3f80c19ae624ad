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
    # Equal numbers are the worst case: rounding within a run of 256 has the same sign everywhere.
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


KINDS = (fg.sum, fg.mean, fg.prod, fg.max, fg.min, fg.argmax, fg.argmin)


def ordinary(shape, dtype=np.float32):
    """Numbers whose products neither overflow nor vanish."""
    return np.random.default_rng(0).uniform(0.98, 1.02, shape).astype(dtype)


def last_sum(x, axis):
    """The last of the cumulative sums."""
    return fg.tensor(np.take(fg.cumsum(x, axis).numpy(), -1, axis))


@pytest.mark.parametrize("op", KINDS, ids=lambda op: op.name)
def test_any_number_of_threads_gives_the_same_bits(op):
    threads = fg.get_num_threads()
    arrays = ordinary(300_001), ordinary((700, 301)), ordinary((5, 9001, 7))
    try:
        found = []
        for n in (1, 2, 3, 4):
            fg.set_num_threads(n)
            found.append([
                op(x, axis=axis).numpy().tobytes()
                for x in arrays
                for axis in (None, *range(x.ndim))
            ])  # fmt: skip
    finally:
        fg.set_num_threads(threads)
    assert found.count(found[0]) == 4


@pytest.mark.parametrize("n", [1, 7, 16, 100, 256, 1000, 5000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_row_depends_on_neither_its_batch_nor_its_strides(n, dtype):
    x = ordinary((6, n), dtype)
    wide = np.repeat(x, 2, axis=1)
    for op in (*KINDS, last_sum):
        rows = op(x, axis=1).numpy()
        assert op(x[2:3], axis=1).numpy() == rows[2]
        assert op(x[2], axis=0).numpy() == rows[2]
        for same in (np.asfortranarray(x), wide[:, ::2], x[:, ::-1][:, ::-1]):
            assert op(same, axis=1).numpy().tobytes() == rows.tobytes()
        for columns in (x.T, np.ascontiguousarray(x.T), np.repeat(x.T, 60, axis=1)[:, ::60]):
            assert op(columns, axis=0).numpy().tobytes() == rows.tobytes()
        many = np.ascontiguousarray(np.repeat(x, 60, axis=0).T)  # more columns than one tile
        assert op(many, axis=0).numpy()[::60].tobytes() == rows.tobytes()


@pytest.mark.parametrize("op", KINDS[:5], ids=lambda op: op.name)
def test_every_pattern_of_axes_and_strides_against_numpy(op):
    x = ordinary((3, 20, 4, 18))
    reference = getattr(np, op.name)
    cut = x[:, ::-2, :, 3:], x[::2, :, 1:2]
    for view in (x, x.transpose(2, 0, 3, 1), *cut, np.asfortranarray(x)):
        for bits in range(16):
            axes = tuple(d for d in range(4) if bits >> d & 1)
            for keepdims in (False, True):
                got = op(view, axis=axes, keepdims=keepdims).numpy()
                want = reference(view.astype(np.float64), axis=axes, keepdims=keepdims)
                assert got.dtype == np.float32
                np.testing.assert_allclose(got, want, rtol=1e-6)
    assert op(x, axis=[0, -1]).shape == (20, 4)


@pytest.mark.parametrize("op", [fg.argmax, fg.argmin], ids=lambda op: op.name)
def test_the_first_extreme_or_the_first_nan_is_found(op):
    rng = np.random.default_rng(0)
    for shape in ((5,), (3, 9000), (9000, 3), (40, 300), (2, 70, 5)):
        x = rng.integers(-50, 50, shape).astype(np.float32)
        holes = np.where(rng.random(shape) < 0.01, np.float32(np.nan), x)
        ends = np.where(rng.random(shape) < 0.5, np.float32(np.inf), np.float32(-np.inf))
        for values in (x, holes, ends, x[::-1], np.asfortranarray(holes)):
            for axis in (None, *range(x.ndim)):
                want = getattr(np, op.name)(values, axis=axis)
                np.testing.assert_array_equal(op(values, axis=axis).numpy(), want)
            assert op(values, axis=0, keepdims=True).shape == (1, *shape[1:])


def test_infinity_and_nan_as_in_numpy():
    values = [np.nan, np.inf, -np.inf, 0.0, 1.0]
    rows = np.array([[a, b, c] for a in values for b in values for c in values], np.float32)
    for op in KINDS:
        reference = getattr(np, op.name)
        for n in (1, 20):  # repeated: long enough for the lanes
            x = np.repeat(rows, n, axis=1)
            with np.errstate(invalid="ignore"):
                np.testing.assert_array_equal(op(x, axis=1).numpy(), reference(x, axis=1))
                np.testing.assert_array_equal(op(x.T.copy(), axis=0).numpy(), reference(x, axis=1))


def test_sums_of_large_offsets_are_accurate():
    x = (np.random.default_rng(0).normal(size=(4000, 500)) + 1e4).astype(np.float32)
    exact = x.astype(np.float64)
    for axis in (None, 0, 1):
        np.testing.assert_allclose(fg.mean(x, axis=axis).numpy(), exact.mean(axis), rtol=2e-7)
        got = fg.cumsum(x, axis=axis or 0).numpy()
        np.testing.assert_allclose(got, exact.cumsum(axis or 0), rtol=1e-7)


def test_one_element_and_no_axes():
    for op in KINDS[:5]:
        assert op(np.float32(0.7)).item() == np.float32(0.7)
        assert op(np.full((1, 1), 0.7, np.float32), axis=1, keepdims=True).shape == (1, 1)
        x = ordinary((2, 3))
        np.testing.assert_array_equal(op(x, axis=()).numpy(), x)


@pytest.mark.parametrize("axis", [(0, 4), (0, 3), (1, 4), (0, 2, 4), (3,), None])
def test_axes_of_length_one_between_others(axis):
    x = np.random.default_rng(0).normal(size=(2, 1, 1, 3, 2, 5))
    for y in (x, x.transpose(4, 1, 3, 0, 2, 5), np.broadcast_to(x[..., :1], x.shape)):
        got = fg.sum(fg.tensor(y), axis=axis, keepdims=True)
        np.testing.assert_allclose(got.numpy(), y.sum(axis=axis, keepdims=True), rtol=1e-12)
