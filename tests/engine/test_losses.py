"""Fused losses beyond the op table: accuracy, threads, batches, layouts, infinities, errors."""

import numpy as np
import pytest
from scipy import special

import fieldgrad.engine as fg
from fieldgrad.engine.errors import DataError, ShapeError
from fieldgrad.engine.nn import losses

SHAPES = [(2, 4, 33, 34, 35), (300, 1000), (7, 20, 31, 30), (5, 10)]


def value_and_gradient(loss, x, *arguments, **attributes):
    leaf = fg.tensor(x, requires_grad=True)
    y = loss(leaf, *arguments, **attributes)
    y.backward(np.ones(y.shape, y.dtype))
    return y.numpy(), leaf.grad.numpy()


def channels_last(x):
    return np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1)


def make(shape, dtype=np.float32):
    rng = np.random.default_rng(0)
    x = (3 * rng.normal(size=shape)).astype(dtype)
    return x, rng.integers(0, shape[1], shape[:1] + shape[2:])


@pytest.mark.parametrize("loss", [fg.cross_entropy, fg.overlap_sums])
@pytest.mark.parametrize("shape", SHAPES)
def test_same_bits_for_any_number_of_threads(loss, shape):
    before, results = fg.get_num_threads(), []
    x, target = make(shape)
    try:
        for n in (1, 2, 3, 4):
            fg.set_num_threads(n)
            results.append(value_and_gradient(loss, x, target))
    finally:
        fg.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(other, results[0], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("offset", [0, 1e4])
@pytest.mark.parametrize("arrange", [np.ascontiguousarray, channels_last])
@pytest.mark.parametrize("shape", SHAPES)
def test_float32_is_close_to_float64(shape, arrange, offset):
    x, target = make(shape)
    x = arrange(x + np.float32(offset))
    wide = x.astype(np.float64)
    log_p = special.log_softmax(wide, 1)
    truth = np.moveaxis(np.eye(shape[1])[target], -1, 1)
    loss, g = value_and_gradient(fg.cross_entropy, x, target)
    np.testing.assert_allclose(loss, -(log_p * truth).sum() / target.size, rtol=1e-5)
    want = (np.exp(log_p) - truth) / target.size
    assert np.linalg.norm(g - want) <= 1e-5 * np.linalg.norm(want)
    sums, _ = value_and_gradient(fg.overlap_sums, x, target)
    over = tuple(range(2, x.ndim))
    for got, term in zip(
        sums, (np.exp(log_p) * truth, np.exp(log_p), truth, -truth * log_p), strict=True
    ):
        np.testing.assert_allclose(got, term.sum(over), rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.int64])
def test_classes_of_any_integer_dtype_and_layout(dtype):
    x, target = make((3, 4, 9, 8))
    want = value_and_gradient(fg.cross_entropy, x, target)
    odd = np.asfortranarray(target.astype(dtype))
    for a, b in zip(value_and_gradient(fg.cross_entropy, x, odd), want, strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_entry_does_not_depend_on_its_batch():
    x, target = make((5, 4, 40, 41))
    for loss, attributes in ((fg.cross_entropy, {"reduction": "none"}), (fg.overlap_sums, {})):
        whole, g = value_and_gradient(loss, x, target, **attributes)
        alone, g_alone = value_and_gradient(loss, x[2:3], target[2:3], **attributes)
        batch = whole if loss is fg.cross_entropy else np.moveaxis(whole, 1, 0)
        one = alone if loss is fg.cross_entropy else np.moveaxis(alone, 1, 0)
        np.testing.assert_array_equal(one[0], batch[2])
        np.testing.assert_array_equal(g_alone[0], g[2])


@pytest.mark.parametrize("n", [4, 40])
def test_masked_classes_and_nan(n):
    x = np.zeros((3, n), np.float32)
    x[0, 1:] = -np.inf  # certain
    x[1, 2] = np.nan
    loss, g = value_and_gradient(fg.cross_entropy, x, [0, 1, 2], reduction="none")
    assert loss[0] == 0
    assert np.isnan(loss[1])
    assert loss[2] == pytest.approx(np.log(n))
    assert g[0].tolist() == [0.0] * n
    assert np.isnan(g[1]).all()
    assert np.isfinite(g[2]).all()
    assert fg.cross_entropy(x[:1], [1]).item() == np.inf


def test_ignored_positions_have_no_gradient_even_where_logits_are_nan():
    x = np.zeros((2, 3), np.float32)
    x[1] = np.nan
    loss, g = value_and_gradient(fg.cross_entropy, x, [0, -100], ignore_index=-100)
    assert loss == pytest.approx(np.log(3))
    assert g[1].tolist() == [0.0] * 3


def test_mean_of_nothing_is_nan_and_its_sum_zero():
    empty = np.zeros((0, 3), np.float32)
    classes = np.zeros(0, int)
    assert np.isnan(fg.cross_entropy(empty, classes).item())
    assert fg.cross_entropy(empty, classes, reduction="sum").item() == 0
    assert np.isnan(fg.cross_entropy(np.zeros((1, 3)), [7], ignore_index=7).item())


def test_agrees_with_pytorch():
    torch = pytest.importorskip("torch")
    x, classes = make((3, 5, 6, 7), np.float64)
    weight = np.linspace(0.5, 2, 5)
    probabilities = np.moveaxis(np.random.default_rng(1).dirichlet(np.ones(5), (3, 6, 7)), -1, 1)
    for target, ignored in ((classes, -100), (classes, 2), (probabilities, -100)):
        for reduction in ("mean", "sum", "none"):
            for smoothing in (0.0, 0.3):
                want = torch.nn.functional.cross_entropy(
                    torch.tensor(x),
                    torch.tensor(target),
                    weight=torch.tensor(weight),
                    ignore_index=ignored,
                    label_smoothing=smoothing,
                    reduction=reduction,
                )
                got = fg.cross_entropy(
                    x,
                    target,
                    weight=weight,
                    ignore_index=None if target is probabilities else ignored,
                    label_smoothing=smoothing,
                    reduction=reduction,
                )
                np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-12)


def test_errors_say_what_was_expected():
    x = np.zeros((2, 3, 4), np.float32)
    with pytest.raises(DataError, match=r"1 of the targets.*expected 0 to 2"):
        fg.cross_entropy(x, [[0, 1, 2, 3], [0] * 4])
    with pytest.raises(ShapeError, match=r"must have \(2, 4\)"):
        fg.cross_entropy(x, np.zeros((2, 5), int))
    with pytest.raises(ShapeError, match=r"expected \(3,\)"):
        fg.cross_entropy(x, np.zeros((2, 4), int), weight=[1.0])
    with pytest.raises(DataError, match="integer classes"):
        fg.cross_entropy(x, np.zeros((2, 4), np.float32))
    with pytest.raises(ValueError, match="'mean', 'sum' or 'none'"):
        fg.cross_entropy(x, np.zeros((2, 4), int), reduction="average")
    with pytest.raises(ShapeError, match="losses do not broadcast"):
        losses.binary_cross_entropy_with_logits(fg.zeros((3, 1)), np.zeros(3))
