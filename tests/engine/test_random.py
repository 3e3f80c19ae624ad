"""Random numbers of the engine: shapes, dtypes, seeds."""

import numpy as np
import pytest

import fieldgrad.engine as fg


def test_dtype_and_bounds():
    for dtype in ("float32", "float64"):
        x = fg.random.uniform((500,), low=-2.0, high=3.0, dtype=dtype)
        assert x.dtype == dtype
        assert x.numpy().min() >= -2
        assert x.numpy().max() <= 3
        assert fg.random.normal((), mean=1.0, dtype=dtype).dtype == dtype
    with pytest.raises(fg.errors.DTypeError, match="expected float32 or float64"):
        fg.random.normal((2,), dtype="int64")


def test_a_generator_of_your_own_leaves_the_engine_alone():
    fg.manual_seed(3)
    want = fg.random.normal((4,)).numpy()
    fg.manual_seed(3)
    own = np.random.default_rng(5)
    fg.random.normal((4,), generator=own)
    fg.random.integers(0, 9, (4,), generator=own)
    fg.random.permutation(5, generator=own)
    np.testing.assert_array_equal(fg.random.normal((4,)).numpy(), want)


def test_integers_and_permutations():
    x = fg.random.integers(-3, 3, (1000,), dtype="int32")
    assert x.dtype == np.int32
    assert set(x.numpy()) == set(range(-3, 3))
    assert sorted(fg.random.permutation(7).tolist()) == list(range(7))


def test_dropout_of_everything_is_zero():
    x = fg.ones((5,))
    np.testing.assert_array_equal(fg.dropout(x, 1.0).numpy(), 0)
    np.testing.assert_array_equal(fg.dropout(x, 0.0).numpy(), 1)
