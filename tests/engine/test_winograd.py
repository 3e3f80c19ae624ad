"""Winograd's method: accuracy, what is not finite, independence of threads, batch and layout."""

import numpy as np
import pytest

import fieldgrad.engine as fg

# x and number of output channels: every size of tiles, few and many of them, broken ones, in
# blocks that fit the second-level cache and in those that do not, sums in one go and in chunks.
CASES = {
    "image, small tiles": ((3, 17, 5, 6), 19),
    "image, large tiles": ((3, 33, 22, 37), 40),
    "volume, small tiles": ((3, 40, 5, 6, 6), 33),
    "volume, large tiles": ((2, 16, 13, 9, 18), 24),
    "volume, many channels": ((1, 130, 12, 16, 17), 30),
    "volume, many tiles": ((2, 16, 32, 34, 29), 16),
}


@pytest.fixture(autouse=True)
def winograd():
    """Use the method for the test only, and leave the threads as they were."""
    n = fg.get_num_threads()
    fg.config.conv = "winograd"
    yield
    fg.set_num_threads(n)
    fg.config.conv = "auto"


def arrays(case):
    """x, weight, gradient of an output of the same size."""
    shape, n_out = CASES[case]
    rng = np.random.default_rng(0)
    n_taps = 3 ** (len(shape) - 2)
    x, g = rng.normal(size=shape), rng.normal(size=(shape[0], n_out, *shape[2:]))
    weight = rng.normal(size=(n_out, shape[1], *(3,) * (len(shape) - 2)))
    return [a.astype(np.float32) for a in (x, weight / (shape[1] * n_taps) ** 0.5, g)]


def passes(x, weight, g):
    """Output, gradient for x, gradient for weight."""
    leaves = [fg.tensor(a, requires_grad=True) for a in (x, weight)]
    y = fg.conv(*leaves, padding=1)
    y.backward(g)
    return [y.numpy(), *(leaf.grad.numpy() for leaf in leaves)]


def direct(*args):
    fg.config.conv = "direct"
    results = passes(*args)
    fg.config.conv = "winograd"
    return results


def assert_equal(got, want):
    for a, b in zip(got, want, strict=True):
        np.testing.assert_array_equal(a, b)


INPUTS = {
    "normal": lambda a: a,
    "offset": lambda a: 1000 + a,
    "wide range": lambda a: np.exp(3 * a),
    "large": lambda a: np.float32(1e15) * a,
}


@pytest.mark.parametrize("inputs", INPUTS)
@pytest.mark.parametrize("case", CASES)
def test_errors_are_within_1e5_of_the_norm(case, inputs):
    x, weight, g = arrays(case)
    x, g = INPUTS[inputs](x), INPUTS[inputs](g)
    exact = passes(*(a.astype(np.float64) for a in (x, weight, g)))
    for got, want in zip(passes(x, weight, g), exact, strict=True):
        assert np.linalg.norm(got - want) < 1e-5 * np.linalg.norm(want)


@pytest.mark.parametrize("case", CASES)
def test_subnormal_numbers_lose_what_a_direct_sum_loses(case):
    x, weight, g = arrays(case)
    x, g = np.float32(1e-39) * x, np.float32(1e-39) * g
    exact = passes(*(a.astype(np.float64) for a in (x, weight, g)))
    # A product of 1e-41 keeps some 13 bits; the sum over all of them makes up for a part. Weight
    # gradients of the order 1e-78 are zero in float32.
    results = zip(passes(x, weight, g), direct(x, weight, g), exact, strict=True)
    for got, other, want in list(results)[:2]:
        assert np.linalg.norm(got - want) < 4 * np.linalg.norm(other - want)


@pytest.mark.parametrize("case", CASES)
def test_threads_do_not_change_a_bit(case):
    results = []
    for n in (1, 2, 3, 4):
        fg.set_num_threads(n)
        results.append(passes(*arrays(case)))
    for other in results[1:]:
        assert_equal(other, results[0])


@pytest.mark.parametrize("case", [case for case in CASES if CASES[case][0][0] > 1])
def test_an_image_does_not_depend_on_its_batch(case):
    x, weight, g = arrays(case)
    y, gx, _ = passes(x, weight, g)
    for many in (1, 12):  # few tiles and many take different ways
        tiled = [np.concatenate([a[:1]] * many) for a in (x, g)]
        y_other, gx_other, _ = passes(tiled[0], weight, tiled[1])
        assert_equal((y_other[-1:], gx_other[-1:]), (y[:1], gx[:1]))


@pytest.mark.parametrize("case", CASES)
def test_layout_of_the_weight_does_not_change_a_bit(case):
    x, weight, g = arrays(case)
    assert_equal(passes(x, np.asfortranarray(weight), g), passes(x, weight, g))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["x", "weight", "g"])
@pytest.mark.parametrize("case", ["image, large tiles", "volume, small tiles"])
def test_what_is_not_finite_stays_where_the_sum_puts_it(case, where, bad):
    x, weight, g = arrays(case)
    sound = passes(x, weight, g)
    changed = {"x": x, "weight": weight, "g": g}[where]
    changed[(0,) * changed.ndim] = bad
    got, want = passes(x, weight, g), direct(x, weight, g)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_array_equal(np.isnan(a), np.isnan(b))
        np.testing.assert_array_equal(np.isinf(a), np.isinf(b))
    if where != "weight":  # the other images keep every bit
        assert_equal([a[1:] for a in got[:2]], [a[1:] for a in sound[:2]])


def test_transforms_that_overflow_are_made_again():
    x = np.full((1, 16, 8, 8), 2e38, np.float32)
    weight = np.full((16, 16, 3, 3), 1e-3, np.float32)
    g = np.ones((1, 16, 8, 8), np.float32)
    assert_equal(passes(x, weight, g)[:1], direct(x, weight, g)[:1])
