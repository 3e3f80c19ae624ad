"""Pooling beyond the op table: ties, NaN, layout, threads, errors, parity."""

import itertools

import numpy as np
import pytest

import fieldgrad.engine as fg
from fieldgrad.engine import nn
from fieldgrad.engine.errors import ShapeError


def channels_last(x):
    return np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1)


def pooled_with_gradient(pool, x, *args, **kwargs):
    leaf = fg.tensor(x, requires_grad=True)
    y = pool(leaf, *args, **kwargs)
    weight = np.random.default_rng(9).normal(size=y.shape).astype(x.dtype)
    y.backward(weight)
    return y.numpy(), leaf.grad.numpy(), weight


def test_gradient_goes_to_the_first_of_equal_maxima():
    _, gradient, weight = pooled_with_gradient(fg.max_pool, np.zeros((1, 1, 4, 4)), 2)
    want = np.zeros((4, 4))
    want[::2, ::2] = weight[0, 0]
    np.testing.assert_array_equal(gradient[0, 0], want)


def test_overlapping_windows_add_up():
    x = np.array([[[0.0, 5.0, 1.0, 2.0]]])
    leaf = fg.tensor(x, requires_grad=True)
    fg.max_pool(leaf, 3, stride=1, padding=1).sum().backward()
    assert leaf.grad.tolist() == [[[0.0, 3.0, 0.0, 1.0]]]


def test_nan_and_infinity():
    x = np.array([[[np.nan, 1.0, -np.inf, -np.inf, 2.0, np.nan, np.inf, 0.0]]], np.float32)
    y, gradient, weight = pooled_with_gradient(fg.max_pool, x, 2)
    np.testing.assert_array_equal(y[0, 0], [np.nan, -np.inf, np.nan, np.inf])
    w = weight[0, 0]
    np.testing.assert_array_equal(gradient[0, 0], [w[0], 0, w[1], 0, 0, w[2], w[3], 0])
    means = fg.avg_pool(x, 2).numpy()
    np.testing.assert_array_equal(np.isnan(means[0, 0]), [True, False, True, False])


@pytest.mark.parametrize("pool", [fg.max_pool, fg.avg_pool])
@pytest.mark.parametrize("shape", [(2, 33, 37), (2, 5, 21, 22), (1, 16, 9, 20, 31)])
def test_layout_and_threads_do_not_matter(pool, shape):
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    before = fg.get_num_threads()
    results = []
    try:
        for n, a in itertools.product((1, 2, 3), (x, channels_last(x))):
            fg.set_num_threads(n)
            results.append(pooled_with_gradient(pool, a, 3, stride=2, padding=1))
    finally:
        fg.set_num_threads(before)
    for i, other in enumerate(results[2:]):
        for a, b in zip(other, results[i % 2], strict=True):
            np.testing.assert_array_equal(a, b)
    # Means along a contiguous axis and beside one may be rounded in another order.
    for a, b in zip(results[1], results[0], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("count_include_pad", [True, False])
def test_avg_pool_is_the_mean_of_windows(count_include_pad):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2, 3, 7, 6))
    y = fg.avg_pool(
        fg.tensor(x), (3, 2), stride=(2, 1), padding=(1, 1), count_include_pad=count_include_pad
    ).numpy()
    assert y.shape == (2, 3, 4, 7)
    for i, j in np.ndindex(4, 7):
        window = x[:, :, max(2 * i - 1, 0) : 2 * i + 2, max(j - 1, 0) : j + 1]
        count = 6 if count_include_pad else window.shape[2] * window.shape[3]
        np.testing.assert_allclose(y[:, :, i, j], window.sum((2, 3)) / count, rtol=1e-12)


@pytest.mark.parametrize("order", [1, 2])
def test_gradients_of_avg_pool(order):
    x = fg.tensor(np.random.default_rng(2).normal(size=(1, 2, 5, 4)), requires_grad=True)
    fg.gradcheck(lambda x: fg.avg_pool(x, 2, padding=1, count_include_pad=False), [x], order=order)


def test_layers_pool():
    x = fg.tensor(np.arange(16.0, dtype=np.float32).reshape(1, 1, 4, 4))
    assert nn.MaxPool(2)(x).tolist() == [[[[5.0, 7.0], [13.0, 15.0]]]]
    assert nn.AvgPool(2)(x).tolist() == [[[[2.5, 4.5], [10.5, 12.5]]]]


def test_empty_batch_and_empty_channels():
    assert fg.max_pool(np.ones((0, 2, 4)), 2).shape == (0, 2, 2)
    assert fg.avg_pool(fg.tensor(np.ones((2, 0, 4))), 2).shape == (2, 0, 2)


def test_errors_say_what_fits():
    x = np.ones((1, 2, 4, 4))
    with pytest.raises(ShapeError, match="kernel spans 5 elements, but x has 4"):
        fg.max_pool(x, 5)
    with pytest.raises(ShapeError, match="padding = 2 with kernel_size = 3; expected at most half"):
        fg.avg_pool(fg.tensor(x), 3, padding=2)
    with pytest.raises(ShapeError, match="one to three spatial axes"):
        fg.max_pool(np.ones((4, 4)), 2)
    with pytest.raises(ShapeError, match="one integer from 1 on, or a sequence of 2"):
        fg.max_pool(x, (2, 2, 2))


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("settings", [(2, None, 0), (3, 2, 1), (3, 1, 1), (4, 3, 2)])
def test_parity_with_pytorch(ndim, settings):
    torch = pytest.importorskip("torch")
    kernel_size, stride, padding = settings
    x = np.random.default_rng(3).normal(size=(2, 3, 9, 8, 7)[: 2 + ndim])
    for name in ("max_pool", "avg_pool"):
        y, gradient, weight = pooled_with_gradient(
            getattr(fg, name), x, kernel_size, stride=stride, padding=padding
        )
        other = torch.tensor(x, requires_grad=True)
        function = getattr(torch.nn.functional, f"{name}{ndim}d")
        want = function(other, kernel_size, stride=stride, padding=padding)
        want.backward(torch.tensor(weight))
        np.testing.assert_allclose(y, want.detach().numpy(), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(gradient, other.grad.numpy(), rtol=1e-12, atol=1e-12)
