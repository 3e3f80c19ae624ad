"""Normalizations and softmax beyond the op table: accuracy, threads, layout, NaN, errors."""

import numpy as np
import pytest
from scipy import special

import fieldgrad.engine as fg
from fieldgrad.engine import nn
from fieldgrad.engine.errors import ShapeError

NORMS = {
    "instance_norm": {},
    "batch_norm": {},
    "group_norm": {"groups": 2},
    "layer_norm": {},
}


def leaf(x):
    return fg.tensor(x, requires_grad=True)


def forward_and_gradients(name, x, g, **attributes):
    n = x.shape[-1 if name == "layer_norm" else 1]
    inputs = [leaf(x), leaf(np.linspace(0.5, 2, n).astype(x.dtype)), leaf(np.ones(n, x.dtype))]
    y = getattr(fg, name)(*inputs, **NORMS[name], **attributes)
    y.backward(g)
    return [y.numpy(), *(p.grad.numpy() for p in inputs)]


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("shape", [(2, 6, 30, 31, 32), (2000, 30), (1, 2, 70_001)])
def test_same_bits_for_any_number_of_threads(name, shape):
    if name == "instance_norm" and len(shape) == 2:
        pytest.skip("one position")
    rng = np.random.default_rng(0)
    x, g = (rng.normal(size=shape).astype(np.float32) for _ in range(2))
    before = fg.get_num_threads()
    results = []
    try:
        for n in (1, 2, 3):
            fg.set_num_threads(n)
            results.append(forward_and_gradients(name, x, g))
    finally:
        fg.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(other, results[0], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_softmax_same_bits_for_any_number_of_threads(axis):
    x = np.random.default_rng(0).normal(size=(70, 40, 90)).astype(np.float32)
    before = fg.get_num_threads()
    results = []
    try:
        for n in (1, 2, 3):
            fg.set_num_threads(n)
            results.append(fg.softmax(x, axis).numpy())
    finally:
        fg.set_num_threads(before)
    np.testing.assert_array_equal(results[1], results[0])
    np.testing.assert_array_equal(results[2], results[0])
    np.testing.assert_allclose(results[0], special.softmax(x.astype(float), axis), rtol=2e-6)


@pytest.mark.parametrize("name", ["instance_norm", "batch_norm", "group_norm"])
def test_channels_last_memory_gives_the_same_bits(name):
    rng = np.random.default_rng(1)
    x, g = (rng.normal(size=(2, 6, 5, 7, 9)).astype(np.float32) for _ in range(2))
    last = [np.moveaxis(np.moveaxis(a, 1, -1).copy(), -1, 1) for a in (x, g)]
    want = forward_and_gradients(name, x, g, negative_slope=0.01)
    for arguments in (last, (x, last[1]), (last[0], g)):
        got = forward_and_gradients(name, *arguments, negative_slope=0.01)
        for a, b in zip(got, want, strict=True):
            np.testing.assert_array_equal(a, b)


def test_output_is_channels_last_as_convolutions_want_it():
    y = fg.instance_norm(np.ones((2, 3, 4, 5), np.float32)).numpy()
    assert np.moveaxis(y, 1, -1).flags.c_contiguous


def test_no_cancellation_far_from_zero():
    # Mean 1e4 and deviation 1: float32 keeps about 1e-3 of a deviation in x itself.
    rng = np.random.default_rng(2)
    x = (1e4 + rng.normal(size=(1, 4, 50, 51))).astype(np.float32)
    y = fg.instance_norm(x).numpy()
    wide = x.astype(np.float64)
    want = (wide - wide.mean((2, 3), keepdims=True)) / np.sqrt(
        wide.var((2, 3), keepdims=True) + 1e-5
    )
    # The saved mean is float32, so 5e-4 of a deviation is the resolution at 1e4.
    np.testing.assert_allclose(y, want, atol=6e-4)
    assert abs(y.std() - 1) < 1e-4


@pytest.mark.parametrize("name", NORMS)
def test_gradient_is_orthogonal_to_shift_and_scale(name):
    """Normalized values ignore shift and scale of x, so the gradient has no such component."""
    rng = np.random.default_rng(3)
    x, g = rng.normal(size=(2, 4, 11, 5)), rng.normal(size=(2, 4, 11, 5))
    axes = {"layer_norm": (3,), "batch_norm": (0, 2, 3)}.get(name, (2, 3))
    if name == "group_norm":
        x, g = x[:, :2], g[:, :2]
    xt = leaf(x)
    getattr(fg, name)(xt, **NORMS[name], eps=0.0).backward(g)
    gx = xt.grad.numpy()
    np.testing.assert_allclose(gx.sum(axes), 0, atol=1e-12)
    np.testing.assert_allclose((gx * x).sum(axes), 0, atol=1e-12)


def test_leaky_relu_attribute_is_leaky_relu_afterwards():
    rng = np.random.default_rng(4)
    x, g = (rng.normal(size=(2, 3, 6, 7)).astype(np.float32) for _ in range(2))
    got = forward_and_gradients("instance_norm", x, g, negative_slope=0.2)
    inputs = [leaf(x), leaf(np.linspace(0.5, 2, 3, dtype=np.float32)), leaf(np.ones(3, np.float32))]
    y = fg.leaky_relu(fg.instance_norm(*inputs), 0.2)
    y.backward(g)
    for a, b in zip(got, [y, *(p.grad for p in inputs)], strict=True):
        np.testing.assert_allclose(a, b.numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_stay_in_their_group(bad):
    for shape in ((1, 2, 3, 4), (1, 2, 100, 90)):
        x = np.random.default_rng(5).normal(size=shape).astype(np.float32)
        x[0, 1, 2, 3] = bad
        y = fg.instance_norm(x).numpy()
        assert np.isnan(y[0, 1]).all()
        assert np.isfinite(y[0, 0]).all()
    rows = fg.layer_norm(np.array([[1.0, bad, 2.0], [1.0, 2.0, 4.0]])).numpy()
    assert np.isnan(rows[0]).all()
    assert np.isfinite(rows[1]).all()


def test_constant_groups_give_the_bias_and_a_finite_gradient():
    x = leaf(np.full((1, 2, 9), 7.0))
    y = fg.instance_norm(x, np.ones(2), np.array([0.0, 3.0]))
    y.sum().backward()
    assert y.numpy()[0].tolist() == [[0.0] * 9, [3.0] * 9]
    assert x.grad.numpy().tolist() == np.zeros((1, 2, 9)).tolist()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [3, 40])  # few elements along the axis, and many
@pytest.mark.parametrize("axis", [0, 1])
def test_softmax_at_infinity(dtype, n, axis):
    x = np.zeros((n, n), dtype)
    x[0] = np.inf  # rows: +inf, NaN, a mask, nothing else
    x[1, 0] = np.nan
    x[2, 1:] = -np.inf
    x[2, 0] = -1000
    y = fg.softmax(x if axis else np.ascontiguousarray(x.T), axis).numpy()
    y = y if axis else y.T
    assert np.isnan(y[:2]).all()
    assert y[2].tolist() == [1.0] + [0.0] * (n - 1)
    np.testing.assert_allclose(y[3:], 1 / n)
    low = fg.log_softmax(x[2]).numpy()
    assert low.tolist() == [0.0] + [-np.inf] * (n - 1)
    assert np.isnan(fg.softmax(np.full(n, -np.inf, dtype)).numpy()).all()


def test_log_softmax_of_large_numbers():
    y = fg.log_softmax(np.array([[1000.0, 0.0, -1000.0]], np.float32), axis=1).numpy()
    assert y.tolist() == [[0.0, -1000.0, -2000.0]]


def test_running_averages_make_given_norm_repeat_batch_norm():
    rng = np.random.default_rng(6)
    x, weight, bias = rng.normal(size=(3, 5, 4, 6)) + 2, rng.normal(size=5), rng.normal(size=5)
    mean, var = np.zeros(5), np.ones(5)
    want = fg.batch_norm(x, weight, bias, running=(mean, var), momentum=1.0).numpy()
    np.testing.assert_allclose(mean, x.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(var, x.var((0, 2, 3), ddof=1), rtol=1e-9)
    count = x.size // 5
    got = fg.given_norm(x, weight, bias, mean=mean, var=var * ((count - 1) / count))
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["instance_norm", "group_norm", "layer_norm"])
def test_an_entry_does_not_depend_on_its_batch(name):
    rng = np.random.default_rng(8)
    x, g = (rng.normal(size=(5, 6, 9, 37)).astype(np.float32) for _ in range(2))
    y, gx, *_ = forward_and_gradients(name, x, g)
    for i in range(5):
        alone, g_alone, *_ = forward_and_gradients(name, x[i : i + 1], g[i : i + 1])
        np.testing.assert_array_equal(alone[0], y[i])
        np.testing.assert_array_equal(g_alone[0], gx[i])


@pytest.mark.parametrize("shape", [(70, 5, 9), (70, 4), (70, 40)])
def test_softmax_and_finished_batch_norm_of_an_entry_do_not_depend_on_its_batch(shape):
    x = np.random.default_rng(9).normal(size=shape).astype(np.float32)
    n = shape[1]
    for call in (
        lambda a: fg.softmax(a, 1),
        lambda a: fg.log_softmax(a, 1),
        lambda a: fg.given_norm(a, mean=np.ones(n), var=np.full(n, 2.0)),
    ):
        whole = call(x).numpy()
        for i in range(0, 70, 23):
            np.testing.assert_array_equal(call(x[i : i + 1]).numpy()[0], whole[i])


@pytest.mark.parametrize("name", NORMS)
def test_subnormal_values_give_finite_results(name):
    x = np.full((2, 4, 33), 1e-40, np.float32)
    x[..., ::2] = 3e-40
    y, *gradients = forward_and_gradients(name, x, np.ones_like(x))
    for a in (y, *gradients):
        assert np.isfinite(a).all()


def test_errors_say_what_fits():
    x = np.ones((2, 3, 4))
    with pytest.raises(ShapeError, match=r"3 channels .* shape \(4,\); expected \(3,\)"):
        fg.instance_norm(x, np.ones(4))
    with pytest.raises(ShapeError, match="one position in each channel"):
        fg.instance_norm(np.ones((2, 3, 1, 1)))
    with pytest.raises(ShapeError, match="call eval"):
        fg.batch_norm(np.ones((1, 3)))
    with pytest.raises(ShapeError, match="a divisor of 3"):
        fg.group_norm(x, groups=2)
    with pytest.raises(ShapeError, match=r"weight has \(3,\); expected \(4,\)"):
        fg.layer_norm(x, np.ones(3))
    with pytest.raises(ShapeError, match="axis 3 does not exist"):
        fg.softmax(x, axis=3)


def test_batch_norm_layer_averages_statistics_and_uses_them_when_finished():
    rng = np.random.default_rng(7)
    layer = nn.BatchNorm(3, momentum=0.5)
    batches = rng.normal(2.0, 3.0, size=(2, 4, 3, 5)).astype(np.float32)
    mean, var = np.zeros(3), np.ones(3)
    for x in batches:
        layer(fg.tensor(x))
        mean = 0.5 * mean + 0.5 * x.mean((0, 2))
        var = 0.5 * var + 0.5 * x.astype(float).var((0, 2), ddof=1)
    np.testing.assert_allclose(layer.running_mean, mean, rtol=1e-5)
    np.testing.assert_allclose(layer.running_var, var, rtol=1e-5)
    assert {"running_mean", "running_var"} < layer.state_dict().keys()
    layer.eval()
    y = layer(fg.tensor(batches[0])).numpy()
    want = (batches[0] - mean[:, None]) / np.sqrt(var + 1e-5)[:, None]
    np.testing.assert_allclose(y, want, rtol=1e-4, atol=1e-5)
    assert y.dtype == np.float32


@pytest.mark.parametrize(
    "layer",
    [nn.InstanceNorm(4), nn.GroupNorm(2, 4), nn.LayerNorm(4), nn.BatchNorm(4)],
)
def test_layers_train_weight_and_bias(layer):
    layer(
        fg.tensor(np.random.default_rng(8).normal(size=(2, 4, 4)).astype(np.float32))
    ).sum().backward()
    np.testing.assert_allclose(layer.bias.grad.numpy(), 8.0)
    assert len(layer.parameters()) == 2


def test_parameters_from_numbers_are_float32():
    assert nn.Parameter([1.0, 2.0]).dtype == np.float32
    assert nn.Parameter(np.ones(2)).dtype == np.float64
