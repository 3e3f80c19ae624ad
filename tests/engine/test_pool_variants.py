"""Pooling with all options, beside PyTorch's values and gradients."""

import itertools

import numpy as np
import pytest

import fieldgrad.engine as fg
from fieldgrad.engine.errors import DataError, ShapeError

SHAPES = {1: (2, 3, 11), 2: (2, 3, 9, 7), 3: (1, 2, 6, 7, 5)}


def distinct(shape, seed=0):
    """Values of which no two are equal or close."""
    values = np.arange(1.0, 1 + np.prod(shape))
    return np.random.default_rng(seed).permutation(values).reshape(shape)


def beside_pytorch(ours, theirs, x, *args, only_theirs=(), **settings):
    """Values and gradients of both functions, for one random incoming gradient."""
    torch = pytest.importorskip("torch")
    leaf, other = fg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y = getattr(fg, ours)(leaf, *args, **settings)
    settings = {
        key: torch.tensor(value) if isinstance(value, np.ndarray) else value
        for key, value in {**settings, **dict(only_theirs)}.items()
    }
    args = [torch.tensor(a) if isinstance(a, np.ndarray) else a for a in args]
    want = getattr(torch.nn.functional, theirs)(other, *args, **settings)
    if isinstance(y, tuple):
        (y, index), (want, positions) = y, want
        np.testing.assert_array_equal(index, positions.numpy())
    np.testing.assert_allclose(y.numpy(), want.detach().numpy(), rtol=1e-12, atol=1e-12)
    g = np.random.default_rng(1).normal(size=y.shape)
    y.backward(g)
    want.backward(torch.tensor(g))
    np.testing.assert_allclose(leaf.grad.numpy(), other.grad.numpy(), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("n", SHAPES)
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_max_pool_is_that_of_pytorch(n, ceil_mode):
    for kernel, stride, padding, dilation in itertools.product((2, 3), (1, 2, 3), (0, 1), (1, 2)):
        window = {"stride": stride, "padding": padding, "dilation": dilation}
        x, theirs = distinct(SHAPES[n]), f"max_pool{n}d"
        beside_pytorch("max_pool", theirs, x, kernel, ceil_mode=ceil_mode, **window)
        window |= {"ceil_mode": ceil_mode, "only_theirs": {"return_indices": True}}
        beside_pytorch("max_pool_with_indices", theirs, x, kernel, **window)


@pytest.mark.parametrize("n", SHAPES)
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_avg_pool_is_that_of_pytorch(n, ceil_mode):
    for kernel, stride, padding, counted in itertools.product((2, 3), (1, 2, 3), (0, 1), (0, 1)):
        window = {"stride": stride, "padding": padding, "count_include_pad": bool(counted)}
        for divisor in ({}, {"divisor_override": 3}) if n > 1 else ({},):
            window |= {"ceil_mode": ceil_mode, **divisor}
            beside_pytorch("avg_pool", f"avg_pool{n}d", distinct(SHAPES[n]), kernel, **window)


@pytest.mark.parametrize("n", SHAPES)
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_adaptive_pools_are_those_of_pytorch(n, size):
    x = distinct(SHAPES[n])
    beside_pytorch("adaptive_avg_pool", f"adaptive_avg_pool{n}d", x, size)
    beside_pytorch("adaptive_max_pool", f"adaptive_max_pool{n}d", x, size)
    more, theirs = {"return_indices": True}, f"adaptive_max_pool{n}d"
    beside_pytorch("adaptive_max_pool_with_indices", theirs, x, size, only_theirs=more)
    kept = fg.adaptive_avg_pool(x, (None,) * (n - 1) + (size,))
    assert kept.shape == (*x.shape[:-1], size)


@pytest.mark.parametrize("n", SHAPES)
@pytest.mark.parametrize("p", [1, 2, 3.5])
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_lp_pool_is_that_of_pytorch(n, p, ceil_mode):
    x = np.random.default_rng(0).uniform(0.5, 2, SHAPES[n])
    for stride in (None, 1, 2):
        beside_pytorch("lp_pool", f"lp_pool{n}d", x, p, 3, stride=stride, ceil_mode=ceil_mode)


@pytest.mark.parametrize("n", [2, 3])
def test_fractional_max_pool_is_that_of_pytorch(n):
    torch = pytest.importorskip("torch")
    x = distinct(SHAPES[n])
    u = np.random.default_rng(0).random((*x.shape[:2], n))
    ordered = u[..., ::-1].copy() if n == 2 else u  # PyTorch draws for the last of two axes first
    got, index = fg.fractional_max_pool(x, 2, 3, samples=u)
    want, positions = getattr(torch.nn.functional, f"fractional_max_pool{n}d")(
        torch.tensor(x), 2, 3, return_indices=True, _random_samples=torch.tensor(ordered)
    )
    np.testing.assert_array_equal(got.numpy(), want.numpy())
    np.testing.assert_array_equal(index, positions.numpy())
    fg.manual_seed(0)
    assert fg.fractional_max_pool(x, 2, 3)[0].shape == (*x.shape[:2], *(3,) * n)
    with pytest.raises(ShapeError, match="samples of shape"):
        fg.fractional_max_pool(x, 2, 3, samples=u[:, :1])


@pytest.mark.parametrize("n", SHAPES)
def test_max_unpool_is_that_of_pytorch(n):
    pooled, index = fg.max_pool_with_indices(distinct(SHAPES[n]), 2)
    size, theirs = SHAPES[n][2:], f"max_unpool{n}d"
    beside_pytorch("max_unpool", theirs, pooled.numpy(), index, 2, output_size=size)
    pooled, index = fg.max_pool_with_indices(distinct((2, 2, *(6,) * n)), 2)
    beside_pytorch("max_unpool", theirs, pooled.numpy(), index, 2)
    with pytest.raises(DataError, match="positions go from"):
        fg.max_unpool(pooled, index, 2, output_size=(3,) * n)


def test_max_unpool_of_overlapping_windows_counts_a_maximum_once():
    pooled, index = fg.max_pool_with_indices(np.array([[[0.0, 5.0, 1.0]]]), 2, stride=1)
    assert fg.max_unpool(pooled, index, 2, stride=1).tolist() == [[[0.0, 5.0, 0.0]]]


def test_pools_can_be_differentiated_twice():
    x = fg.tensor(distinct((1, 2, 6, 5)) / 10, requires_grad=True)
    for function in (
        lambda t: fg.max_pool_with_indices(t, 2)[0],
        lambda t: fg.adaptive_max_pool(t, 2),
        lambda t: fg.adaptive_avg_pool(t, 4),
        lambda t: fg.lp_pool(t, 3, 2),
        lambda t: fg.avg_pool(t, 2, ceil_mode=True, divisor_override=7),
        lambda t: fg.max_unpool(t[:, :, :3, :2], np.arange(12).reshape(1, 2, 3, 2) // 2 * 3, 2),
    ):
        for order in (1, 2):
            fg.gradcheck(function, [x], order=order)


def test_a_norm_of_zeros_has_gradient_zero():
    x = fg.tensor(np.zeros((1, 1, 4)), requires_grad=True)
    fg.lp_pool(x, 2, 2).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), 0)


def test_windows_without_elements_are_refused():
    with pytest.raises(ShapeError, match="without any element"):
        fg.max_pool(np.zeros((1, 1, 1)), 2, padding=2, dilation=3)
