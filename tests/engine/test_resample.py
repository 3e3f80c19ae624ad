"""Interpolation: values, adjoints, layout, threads, errors, parity."""

import itertools

import numpy as np
import pytest

import fieldgrad.engine as fg
from fieldgrad.engine import nn
from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.taps import MODES, interpolation_taps, window_taps

SIZES = [(4, 8), (5, 8), (8, 5), (7, 7), (1, 3), (6, 1), (3, 12)]


def keys(distance):
    """Cubic convolution kernel with a = -0.75 (Keys 1981, eq. 4 with general a)."""
    d, a = abs(distance), -0.75
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0


def expected(x, n_out, mode, align_corners):
    """Element by element, from the definitions in the documentation."""
    n, out = len(x), []
    for i in range(n_out):
        position = (i + 0.5) * n / n_out - 0.5
        if align_corners:
            position = i * (n - 1) / (n_out - 1) if n_out > 1 else 0.0
        if mode == "area":
            out.append(x[i * n // n_out : -(-(i + 1) * n // n_out)].mean())
        elif mode == "nearest":
            out.append(x[i * n // n_out])
        elif mode == "nearest-exact":
            out.append(x[min(int(np.floor(position + 0.5)), n - 1)])
        elif mode == "linear":
            out.append(np.interp(position, np.arange(n), x))
        else:
            first = int(np.floor(position))
            taps = range(first - 1, first + 3)
            out.append(sum(keys(position - t) * x[min(max(t, 0), n - 1)] for t in taps))
    return np.array(out)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("n_in", "n_out"), SIZES)
def test_values_along_one_axis(mode, n_in, n_out):
    x = np.random.default_rng(0).normal(size=n_in)
    for align_corners in (False, True) if mode in ("linear", "cubic") else (False,):
        y = fg.interpolate(
            fg.tensor(x[None, None]), size=n_out, mode=mode, align_corners=align_corners
        )
        want = expected(x, n_out, mode, align_corners)
        np.testing.assert_allclose(y.numpy()[0, 0], want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mode", ["linear", "cubic", "area"])
def test_axes_are_separate(mode):
    x = np.random.default_rng(1).normal(size=(1, 2, 3, 4, 5))
    size = (6, 3, 5)
    want = x
    for axis, n in enumerate(size, 2):
        want = np.apply_along_axis(expected, axis, want, n, mode, False)
    y = fg.interpolate(fg.tensor(x), size=size, mode=mode).numpy()
    np.testing.assert_allclose(y, want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("n_in", "n_out"), SIZES)
def test_transposed_taps_are_the_transposed_matrix(n_in, n_out):
    for mode in MODES:
        taps = interpolation_taps(mode, n_in, n_out, None, False)
        if taps is not None:
            np.testing.assert_array_equal(taps.transposed.matrix(), taps.matrix().T)
            np.testing.assert_allclose(taps.matrix().sum(axis=1), 1.0)
    taps = window_taps(n_in, 1, 2, 0, True)
    np.testing.assert_array_equal(taps.transposed.transposed.matrix(), taps.matrix())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("order", [1, 2])
def test_gradients(mode, order):
    x = fg.tensor(np.random.default_rng(2).normal(size=(1, 2, 3, 4)), requires_grad=True)
    fg.gradcheck(lambda x: fg.interpolate(x * x, size=(5, 3), mode=mode), [x], order=order)


@pytest.mark.parametrize("mode", MODES)
def test_layout_and_threads_do_not_matter(mode):
    x = np.random.default_rng(3).normal(size=(2, 5, 13, 17, 19)).astype(np.float32)
    last = np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1)
    before = fg.get_num_threads()
    results = []
    try:
        for n, a in itertools.product((1, 2, 3), (x, last)):
            fg.set_num_threads(n)
            results.append(fg.interpolate(fg.tensor(a), size=(20, 9, 40), mode=mode).numpy())
    finally:
        fg.set_num_threads(before)
    for y in results[2:]:
        np.testing.assert_array_equal(y, results[0] if y.flags.c_contiguous else results[1])
    # Sums along a contiguous axis and beside one may be rounded in another order.
    np.testing.assert_allclose(results[1], results[0], rtol=1e-5, atol=1e-6)
    assert results[1].strides[1] == 4  # channels stay adjacent in memory


def test_nan_reaches_only_elements_it_has_a_part_in():
    x = fg.tensor(np.array([[[1.0, np.nan, 3.0, 4.0, 5.0]]], np.float32))
    y = fg.interpolate(x, size=9, mode="linear", align_corners=True).numpy()[0, 0]
    assert np.isnan(y).tolist() == [False, True, True, True, False, False, False, False, False]
    assert y[[0, 4, 6, 8]].tolist() == [1.0, 3.0, 4.0, 5.0]


def test_same_size_is_the_same_tensor():
    x = fg.tensor(np.ones((1, 1, 4, 4)))
    assert fg.interpolate(x, size=(4, 4), mode="cubic") is x


def test_a_line_stays_a_line_with_aligned_corners():
    x = fg.tensor(np.linspace(0, 1, 5)[None, None])
    y = fg.interpolate(x, size=17, mode="linear", align_corners=True).numpy()[0, 0]
    np.testing.assert_allclose(y, np.linspace(0, 1, 17), atol=1e-15)


def test_layer_enlarges():
    x = fg.tensor([[[1.0, 2.0]]])
    assert nn.Upsample(scale_factor=2)(x).tolist() == [[[1.0, 1.0, 2.0, 2.0]]]


def test_errors_say_what_fits():
    x = fg.tensor(np.ones((1, 2, 4)))
    with pytest.raises(ValueError, match=r"mode = 'liner'; did you mean 'linear'"):
        fg.interpolate(x, size=3, mode="liner")
    with pytest.raises(ValueError, match="no meaning for mode 'area'"):
        fg.interpolate(x, size=3, mode="area", align_corners=True)
    with pytest.raises(ValueError, match="expected exactly one"):
        fg.interpolate(x)
    with pytest.raises(ShapeError, match="at least one element"):
        fg.interpolate(x, scale_factor=0.1)
    with pytest.raises(ShapeError, match=r"size = \(2, 2\); expected one integer from 1 on"):
        fg.interpolate(x, size=(2, 2))
    with pytest.raises(ShapeError, match="Add a batch axis"):
        fg.interpolate(fg.tensor(np.ones((4, 4))), size=2)


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("mode", MODES)
def test_parity_with_pytorch(ndim, mode):
    torch = pytest.importorskip("torch")
    if mode == "cubic" and ndim != 2:
        pytest.skip("PyTorch has cubic interpolation for two axes only")
    name = {"linear": ("linear", "bilinear", "trilinear")[ndim - 1], "cubic": "bicubic"}.get(
        mode, mode
    )
    x = np.random.default_rng(4).normal(size=(2, 3, 5, 4, 6)[: 2 + ndim])
    calls = [{"size": s} for s in ((7, 8, 3)[:ndim], (10, 2, 6)[:ndim])]
    calls += [{"scale_factor": 2.0}, {"scale_factor": 1.3}, {"scale_factor": 0.6}]
    for call, align_corners in itertools.product(calls, (False, True)):
        if align_corners and mode not in ("linear", "cubic"):
            continue
        leaf, other = fg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        y = fg.interpolate(leaf, mode=mode, align_corners=align_corners, **call)
        corners = {"align_corners": align_corners} if mode in ("linear", "cubic") else {}
        want = torch.nn.functional.interpolate(other, mode=name, **corners, **call)
        np.testing.assert_allclose(y.numpy(), want.detach().numpy(), rtol=1e-6, atol=1e-6)
        y.backward(np.ones(y.shape))
        want.backward(torch.ones_like(want))
        np.testing.assert_allclose(leaf.grad.numpy(), other.grad.numpy(), rtol=1e-6, atol=1e-6)
