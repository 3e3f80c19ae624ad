"""Convolutions beyond the op table: methods, layouts, threads, instruction sets, messages."""

import os
import subprocess
import sys

import numpy as np
import pytest
from references import REFERENCES

import fieldgrad.engine as fg
from fieldgrad.engine.errors import RecipeError, ShapeError
from fieldgrad.engine.ops.conv import conv_weight

# x, weight, attributes: sizes that leave broken tiles, boxes, blocks and vectors.
CASES = {
    "3-D, odd sizes": ((2, 20, 9, 7, 11), (17, 20, 3, 3, 3), {"padding": 1}),
    "3-D, few channels": ((1, 1, 13, 12, 14), (19, 1, 3, 3, 3), {"padding": 1}),
    "3-D, strided": ((1, 9, 11, 12, 9), (33, 9, 3, 3, 3), {"stride": 2, "padding": 1}),
    "3-D, one tap": ((2, 40, 5, 6, 7), (3, 40, 1, 1, 1), {}),
    "3-D, one slice": ((1, 16, 4, 9, 10), (16, 16, 1, 3, 3), {"padding": (0, 1, 1)}),
    "3-D, many channels": ((1, 97, 4, 5, 4), (70, 97, 3, 3, 3), {"padding": 1}),
    "2-D, no padding": ((2, 24, 15, 18), (24, 24, 3, 3), {}),
    "2-D, wide padding": ((1, 16, 6, 5), (16, 16, 3, 3), {"padding": 2}),
    "2-D, dilated groups": ((2, 12, 20, 17), (9, 4, 3, 5), {"groups": 3, "dilation": (2, 3)}),
    "2-D, depthwise": ((2, 37, 9, 10), (37, 1, 3, 3), {"groups": 37, "padding": 1}),
    "2-D, depthwise, wide step": ((1, 50, 19, 23), (50, 1, 5, 5), {"groups": 50, "stride": 3}),
    "2-D, pairs of channels": ((2, 24, 13, 9), (24, 2, 3, 3), {"groups": 12, "padding": 1}),
    "3-D, dilated": ((2, 33, 13, 9, 11), (20, 33, 3, 3, 3), {"padding": 2, "dilation": 2}),
    "2-D, dilated unevenly": ((1, 40, 31, 26), (40, 40, 3, 3), {"padding": 1, "dilation": (3, 2)}),
    "3-D, many outputs": ((1, 5, 8, 9, 7), (130, 5, 2, 2, 2), {"stride": 2}),
    "1-D, long": ((1, 3, 5000), (5, 3, 7), {"stride": 3, "padding": 3}),
}


@pytest.fixture
def switches():
    """Leave threads and method as they were."""
    n = fg.get_num_threads()
    yield
    fg.set_num_threads(n)
    fg.config.conv = "auto"


def arrays(case, dtype=np.float32):
    """x, weight, bias, gradient of the output, attributes."""
    x, weight, attributes = CASES[case]
    rng = np.random.default_rng(0)
    x, weight, bias = (rng.normal(size=s).astype(dtype) for s in (x, weight, weight[0]))
    g = rng.normal(size=fg.conv(x, weight, **attributes).shape).astype(dtype)
    return x, weight, bias, g, attributes


def everything(case):
    """The output and the three gradients of a convolution."""
    x, weight, bias, g, attributes = arrays(case)
    leaves = [fg.tensor(a, requires_grad=True) for a in (x, weight, bias)]
    y = fg.conv(*leaves, **attributes)
    y.backward(g)
    return [y.numpy(), *(leaf.grad.numpy() for leaf in leaves)]


def relative_error(got, want):
    return np.abs(got - want).max() / np.abs(want).max()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("method", ["direct", "winograd"])
def test_float32_is_within_rounding_of_the_reference(case, method, switches):
    fg.config.conv = method
    x, weight, bias, g, attributes = arrays(case)
    y, _, grad_weight, grad_bias = everything(case)
    exact = [a.astype(np.float64) for a in (x, weight, bias, g)]
    # Sums of up to 2,619 products of order 1: errors grow like the square root of their number,
    # 51 · 2^-24 = 3e-6. With fused multiply-add it is half of that; not every processor has it.
    assert relative_error(y, REFERENCES["conv"](*exact[:3], **attributes)) < 4e-6
    want = REFERENCES["conv_weight"](exact[0], exact[3], weight.shape[2:], **attributes)
    assert relative_error(grad_weight, want) < 4e-6
    assert relative_error(grad_bias, exact[3].sum((0, *range(2, g.ndim)))) < 4e-6


@pytest.mark.parametrize("case", CASES)
def test_winograd_agrees_with_direct(case, switches):
    results = []
    for fg.config.conv in ("direct", "winograd"):
        results.append(everything(case))
    for direct, winograd in zip(*results, strict=True):
        assert relative_error(winograd, direct) < 1e-5


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("method", ["direct", "winograd"])
def test_results_do_not_depend_on_the_number_of_threads(case, method, switches):
    fg.config.conv = method
    results = []
    for n in (1, 2, 3):
        fg.set_num_threads(n)
        results.append(everything(case))
    for others in results[1:]:
        for a, b in zip(results[0], others, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("case", CASES)
def test_transposed_convolution_is_the_adjoint(case):
    x, weight, _, g, attributes = arrays(case, np.float64)
    leaf = fg.tensor(x, requires_grad=True)
    y = fg.conv(leaf, weight, **attributes)
    y.backward(g)
    assert np.vdot(y.numpy(), g) == pytest.approx(np.vdot(x, leaf.grad.numpy()), rel=1e-11)
    assert np.vdot(y.numpy(), g) == pytest.approx(
        np.vdot(
            weight,
            conv_weight(x, g, kernel_size=weight.shape[2:], **attributes).numpy(),
        ),
        rel=1e-11,
    )


@pytest.mark.parametrize("case", CASES)
def test_memory_order_does_not_change_the_result(case):
    x, weight, bias, _, attributes = arrays(case)
    want = fg.conv(x, weight, bias, **attributes).numpy()
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    wide = np.zeros((*x.shape[:-1], 3 * x.shape[-1]), x.dtype)
    wide[..., ::3] = x
    for other in (last, np.asfortranarray(x), wide[..., ::3]):
        got = fg.conv(other, np.asfortranarray(weight), bias, **attributes).numpy()
        np.testing.assert_array_equal(got, want)


def test_output_has_adjacent_channels():
    y = fg.conv(np.ones((2, 3, 8, 8, 8), np.float32), np.ones((5, 3, 3, 3, 3), np.float32))
    assert y.numpy().transpose(0, 2, 3, 4, 1).flags.c_contiguous


def test_shifting_the_input_shifts_the_output(switches):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, 16, 12, 12, 12)).astype(np.float32)
    weight = rng.normal(size=(16, 16, 3, 3, 3)).astype(np.float32)
    for fg.config.conv in ("direct", "winograd"):
        y = fg.conv(x, weight).numpy()
        shifted = fg.conv(x[:, :, 1:, 2:, 3:], weight).numpy()
        assert relative_error(shifted, y[:, :, 1:, 2:, 3:]) < 4e-6


def test_nan_reaches_the_outputs_that_see_it_and_no_other():
    x = np.zeros((1, 1, 9, 9), np.float32)
    x[0, 0, 4, 4] = np.nan
    y = fg.conv(x, np.ones((3, 1, 3, 3), np.float32), padding=1).numpy()
    assert np.isnan(y).sum() == 27
    assert np.isnan(y[:, :, 3:6, 3:6]).all()


def test_gradients_of_an_empty_batch_are_zero():
    weight = fg.tensor(np.ones((4, 2, 3, 3), np.float32), requires_grad=True)
    y = fg.conv(np.ones((0, 2, 5, 5), np.float32), weight)
    y.backward(np.ones(y.shape, np.float32))
    np.testing.assert_array_equal(weight.grad.numpy(), 0)


def test_integers_become_float32_and_half_precision_is_refused():
    assert fg.conv(np.ones((1, 1, 4), int), np.ones((1, 1, 2), int)).dtype == np.float32
    with pytest.raises(TypeError, match="float16 is not supported"):
        fg.conv(np.ones((1, 1, 4), np.float16), np.ones((1, 1, 2), np.float16))


SCRIPT = """
import sys, numpy as np
from test_conv import CASES, everything
np.savez(sys.argv[1], **{f"{c} {i}": a for c in CASES for i, a in enumerate(everything(c))})
"""


def test_generic_kernels_agree_with_the_best_ones(tmp_path):
    here = os.path.dirname(__file__)
    path = tmp_path / "generic.npz"
    environment = {**os.environ, "FIELDGRAD_ISA": "generic", "PYTHONPATH": here}
    subprocess.run([sys.executable, "-c", SCRIPT, str(path)], env=environment, check=True)
    with np.load(path) as generic:
        for case in CASES:
            for i, best in enumerate(everything(case)):
                assert relative_error(generic[f"{case} {i}"], best) < 1e-5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: fg.conv(x, np.ones((4, 1, 3, 3))), "x has 3 channels .* Set in_channels=3"),
        (lambda x: fg.conv(x, np.ones((4, 3, 9, 3))), "the kernel spans 9 elements, but x has 8"),
        (lambda x: fg.conv(x, np.ones((4, 3, 3))), "expected x \\(batch, channel, spatial"),
        (lambda x: fg.conv(x, np.ones((4, 3, 3, 3)), groups=2), "groups = 2 .* divisor"),
        (lambda x: fg.conv(x, np.ones((4, 3, 3, 3)), np.ones(3)), "bias .* expected \\(4,\\)"),
        (lambda x: fg.conv(x, np.ones((4, 3, 3, 3)), stride=0), "stride = 0; expected one integer"),
        (lambda x: fg.conv(x, np.ones((4, 3, 3, 3)), padding=(1, 1, 1)), "a sequence of 2"),
        (lambda x: fg.conv(x, np.ones((4, 3, 3, 3)), padding="same"), "padding = 'same'"),
        (lambda x: fg.conv_transpose(x, np.ones((2, 4, 2, 2))), "weight .* expects 2"),
        (
            lambda x: fg.conv_transpose(x, np.ones((3, 4, 2, 2)), stride=2, output_padding=2),
            "output_padding = 2, stride = 2; expected less",
        ),
        (lambda x: fg.conv_transpose(x, np.ones((3, 4, 2, 2)), padding=9), "Lower the padding"),
    ],
)
def test_wrong_shapes_are_explained(call, message):
    with pytest.raises(ShapeError, match=message):
        call(np.ones((1, 3, 8, 8)))


def test_unknown_method_is_refused():
    with pytest.raises(RecipeError, match="did you mean 'winograd'"):
        fg.config.conv = "winogard"
