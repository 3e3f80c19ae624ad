"""Matrix products: values, layouts, special numbers, and sums that no neighbor changes."""

import itertools

import numpy as np
import pytest

import fieldgrad.engine as fg

SIZES = (1, 3, 7, 16, 33)
LAYOUTS = {
    "dense": np.ascontiguousarray,
    "transposed": lambda x: np.ascontiguousarray(x.swapaxes(-1, -2)).swapaxes(-1, -2),
    "reversed": lambda x: np.ascontiguousarray(x[..., ::-1, ::-1])[..., ::-1, ::-1],
    "gaps": lambda x: np.repeat(np.repeat(x, 2, axis=-1), 3, axis=-2)[..., ::3, ::2],
}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def product(x, y):
    return fg.matmul(fg.tensor(x), fg.tensor(y)).numpy()


def check(x, y):
    """Errors are measured against the product of the absolute values: cancellation is no error."""
    got, want = product(x, y), np.matmul(x.astype(np.float64), y.astype(np.float64))
    scale = np.matmul(abs(x.astype(np.float64)), abs(y.astype(np.float64)))
    assert got.dtype == x.dtype
    assert got.shape == want.shape
    # 256 terms in a row, then runs of them: far below the bound of either.
    assert (abs(got - want) <= 16 * np.finfo(x.dtype).eps * scale).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("a", "b"), list(itertools.product(LAYOUTS, repeat=2)))
def test_values_for_all_layouts_and_awkward_sizes(rng, a, b, dtype):
    for m, n, k in itertools.product(SIZES, SIZES, (1, 5, 16, 300)):
        x, y = rng.normal(size=(m, k)).astype(dtype), rng.normal(size=(k, n)).astype(dtype)
        check(LAYOUTS[a](x), LAYOUTS[b](y))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("a", "b"), list(itertools.product(LAYOUTS, repeat=2)))
def test_values_of_large_products(rng, a, b, dtype):
    for m, n, k in ((150, 170, 300), (1, 700, 300), (700, 1, 300), (2, 600, 520)):
        x, y = rng.normal(size=(m, k)).astype(dtype), rng.normal(size=(k, n)).astype(dtype)
        check(LAYOUTS[a](x), LAYOUTS[b](y))


def test_packed_operand_in_several_parts(rng):
    # More than the 16 MiB that are packed at once.
    check(rng.normal(size=(48, 2600)), rng.normal(size=(2600, 1000)))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((4, 1, 7, 5), (3, 5, 6)),
        ((4, 3, 7, 5), (5, 6)),
        ((7, 5), (2, 3, 5, 6)),
        ((4, 3, 7, 5), (5,)),
        ((5,), (3, 5, 7)),
        ((1, 1, 5), (9, 5, 2)),
        ((9, 1, 5), (5, 2)),
        ((2, 60, 64), (2, 64, 300)),
        ((300, 64), (3, 64, 90)),
    ],
)
def test_batches_broadcast(rng, a, b):
    x, y = rng.normal(size=a).astype(np.float32), rng.normal(size=b).astype(np.float32)
    check(x, y)
    for axes in itertools.permutations(range(x.ndim - 2)):
        axes = (*axes, *range(max(x.ndim - 2, 0), x.ndim))
        stored = np.ascontiguousarray(x.transpose(axes))
        check(stored.transpose(np.argsort(axes)), y)


@pytest.mark.parametrize("k", [0, 1, 100, 256, 257, 2048, 5000])
def test_products_of_vectors(rng, k):
    x, y = rng.normal(size=(2, k))
    assert product(x, y).shape == ()
    assert product(x, y) == pytest.approx(np.dot(x, y), rel=1e-12, abs=1e-12)
    assert product(x[::-1], y[::-1]) == pytest.approx(np.dot(x, y), rel=1e-12, abs=1e-12)


def test_sums_of_nothing_are_zero_and_empty_stays_empty():
    for a, b in (((2, 0), (0, 3)), ((0,), (0,)), ((5, 2, 0), (0, 3))):
        got = product(np.ones(a, np.float32), np.ones(b, np.float32))
        assert got.shape == np.matmul(np.ones(a), np.ones(b)).shape
        assert not got.any()
    assert product(np.ones((0, 3)), np.ones((3, 2))).shape == (0, 2)
    assert product(np.ones((0, 2, 3)), np.ones((3, 2))).shape == (0, 2, 2)


def test_scalars_and_unequal_sizes_are_refused():
    with pytest.raises(ValueError, match="at least one axis"):
        product(np.float32(1), np.ones(3, np.float32))
    with pytest.raises(ValueError, match="Transpose one of them"):
        product(np.ones((2, 3)), np.ones((2, 3)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("size", [(3, 5, 4), (1, 40, 9), (40, 1, 9), (130, 130, 130)])
def test_nan_and_infinity_spread_as_in_numpy(rng, value, size):
    m, n, k = size
    x = rng.normal(size=(m, k)).astype(np.float32)
    y = rng.normal(size=(k, n)).astype(np.float32)
    x[m // 2, k // 2] = value
    y[k // 2, 0] = 0  # 0 · inf is NaN
    with np.errstate(invalid="ignore"):
        got, want = product(x, y), np.matmul(x, y)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    np.testing.assert_array_equal(np.isinf(got), np.isinf(want))


def test_subnormal_numbers_are_kept():
    x = np.full((20, 20), 1e-30, np.float32)
    assert product(x, np.eye(20, dtype=np.float32) * np.float32(1e-10))[0, 0] == np.float32(1e-40)


def test_other_dtypes_follow_numpy(rng):
    x = rng.integers(0, 9, (4, 5))
    np.testing.assert_array_equal(product(x, x.T), x @ x.T)
    z = rng.normal(size=(4, 5)) + 1j
    np.testing.assert_allclose(product(z, z.T), z @ z.T)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 5, 40, 300])
def test_an_element_does_not_depend_on_its_neighbors(rng, n, dtype):
    x = rng.normal(size=(130, 700)).astype(dtype)
    for y in (rng.normal(size=(700, n)), rng.normal(size=(n, 700)).T):
        y = y.astype(dtype, order="K")
        full = product(x, y)
        for rows in (slice(0, 1), slice(5, 7), slice(3, 50), slice(129, 130)):
            np.testing.assert_array_equal(product(x[rows], y), full[rows])
            np.testing.assert_array_equal(product(np.asfortranarray(x[rows]), y), full[rows])
        for columns in (slice(0, 1), slice(n - 1, n), slice(0, 17)):
            np.testing.assert_array_equal(product(x, y[:, columns]), full[:, columns])
        np.testing.assert_array_equal(product(np.stack([x, x[::-1]]), y)[1, ::-1], full)


def test_results_are_bitwise_equal_for_any_number_of_threads(rng):
    pairs = [
        (rng.normal(size=a).astype(np.float32), rng.normal(size=b).astype(np.float32))
        for a, b in (
            ((300, 300), (300, 200)),
            ((1, 2000), (2000, 300)),
            ((900, 1100), (1100,)),
            ((40, 2000), (2000, 16)),
            ((64, 20, 30), (64, 30, 20)),
            ((5, 200, 64), (64, 64)),
        )
    ]
    before, results = fg.get_num_threads(), {}
    try:
        for n in (1, 2, 3, 4):
            fg.set_num_threads(n)
            results[n] = [product(x, y) for x, y in pairs]
    finally:
        fg.set_num_threads(before)
    for n in (2, 3, 4):
        for got, want in zip(results[n], results[1], strict=True):
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n_in", "n_out"), [(1100, 300), (512, 40), (300, 17), (70, 1)])
def test_linear_is_the_product_plus_bias_for_any_batch_and_threads(rng, n_in, n_out, dtype):
    x, weight, bias = (
        fg.tensor(rng.normal(size=shape).astype(dtype))
        for shape in ((3, 50, n_in), (n_out, n_in), (n_out,))
    )
    before = fg.get_num_threads()
    want = (fg.matmul(x, weight.T) + bias).numpy()
    try:
        for n in (1, 2, 3):
            fg.set_num_threads(n)
            np.testing.assert_array_equal(fg.linear(x, weight, bias).numpy(), want)
            np.testing.assert_array_equal(fg.linear(x[1, 7:8], weight, bias).numpy(), want[1, 7:8])
            np.testing.assert_array_equal(fg.linear(x[2, 9], weight, bias).numpy(), want[2, 9])
    finally:
        fg.set_num_threads(before)


def test_linear_of_other_dtypes_and_sizes_that_disagree():
    assert fg.linear([1, 2], [[3, 4]], [5]).tolist() == [16]
    weight = np.ones((2, 3), np.float32)
    for args, message in (
        ((np.ones((1, 4)), weight), "x has 4 features"),
        ((np.float32(1), weight), "x has no features"),
        ((np.ones(3), np.ones(3)), r"expected \(out, in\)"),
        ((np.ones(3), weight, np.ones(3)), r"bias has shape \(3,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            fg.linear(*args)
