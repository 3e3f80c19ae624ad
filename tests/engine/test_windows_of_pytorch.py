"""Convolutions by name, columns, grids, interpolation and padding, beside PyTorch."""

import itertools

import numpy as np
import pytest

import fieldgrad.engine as fg
from fieldgrad.engine.errors import ShapeError

pytestmark = [  # of PyTorch
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel"),
    pytest.mark.filterwarnings("ignore:Since version 1.3.0, affine_grid behavior"),
]


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def agree(ours, theirs, *arrays, tolerance=1e-11):
    """Values and gradients of two functions of the same arrays."""
    torch = pytest.importorskip("torch")
    leaves = [fg.tensor(x, requires_grad=True) for x in arrays]
    others = [torch.tensor(x, requires_grad=True) for x in arrays]
    y, want = ours(*leaves), theirs(torch.nn.functional, *others)
    np.testing.assert_allclose(y.numpy(), want.detach().numpy(), rtol=tolerance, atol=tolerance)
    g = normal(*y.shape, seed=9)
    y.backward(g)
    want.backward(torch.tensor(g))
    for a, b in zip(leaves, others, strict=True):
        found = np.zeros(a.shape) if a.grad is None else a.grad.numpy()
        np.testing.assert_allclose(found, b.grad.numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("kernel", [2, 3])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_padding_by_name(n, kernel, padding):
    x, w, b = normal(2, 4, *(6, 5, 7)[:n]), normal(6, 2, *(kernel,) * n), normal(6)
    for dilation in (1, 2):
        settings = {"padding": padding, "dilation": dilation, "groups": 2}
        agree(
            lambda *a, s=settings: getattr(fg, f"conv{n}d")(*a, **s),
            lambda F, *a, s=settings: getattr(F, f"conv{n}d")(*a, **s),
            x, w, b,
        )  # fmt: skip


@pytest.mark.parametrize("n", [1, 2, 3])
def test_convolutions_of_one_item(n):
    x, w, b = normal(3, *(6, 5, 7)[:n]), normal(4, 3, *(3,) * n), normal(4)
    agree(
        lambda *a: getattr(fg, f"conv{n}d")(*a, stride=2, padding=1),
        lambda F, *a: getattr(F, f"conv{n}d")(*a, stride=2, padding=1),
        x, w, b,
    )  # fmt: skip
    settings = {"stride": 2, "padding": 1, "output_padding": 1}
    for item in (x, x[None]):
        agree(
            lambda *a: getattr(fg, f"conv_transpose{n}d")(*a, **settings),
            lambda F, *a: getattr(F, f"conv_transpose{n}d")(*a, **settings),
            item, np.swapaxes(w[:, :3], 0, 1), b,
        )  # fmt: skip


@pytest.mark.parametrize("padding", [0, 1, 3])
def test_output_padding_up_to_the_dilation(padding):
    settings = {"stride": 2, "padding": padding, "output_padding": (2, 0), "dilation": (3, 2)}
    agree(
        lambda *a: fg.conv_transpose2d(*a, **settings),
        lambda F, *a: F.conv_transpose2d(*a, **settings),
        normal(2, 3, 4, 5), normal(3, 2, 3, 3), normal(2),
    )  # fmt: skip


def test_unknown_paddings_are_refused():
    with pytest.raises(ShapeError, match="'same' with a stride of 1"):
        fg.conv1d(normal(1, 1, 5), normal(1, 1, 3), padding="same", stride=2)
    with pytest.raises(ShapeError, match="2 spatial axes"):
        fg.conv2d(normal(1, 5), normal(1, 1, 3, 3))


def test_columns_are_those_of_pytorch():
    settings = {"dilation": (2, 1), "padding": 1, "stride": (1, 2)}
    x = normal(2, 3, 6, 5)
    agree(
        lambda t: fg.unfold(t, (2, 3), **settings), lambda F, t: F.unfold(t, (2, 3), **settings), x
    )
    columns = fg.unfold(x, (2, 3), **settings).numpy()
    agree(
        lambda t: fg.fold(t, (6, 5), (2, 3), **settings),
        lambda F, t: F.fold(t, (6, 5), (2, 3), **settings),
        columns,
    )
    with pytest.raises(ShapeError, match="a multiple of 6"):
        fg.fold(columns[:, :-1], (6, 5), (2, 3), **settings)


def test_shuffles_are_those_of_pytorch():
    x = normal(2, 12, 4, 6)
    agree(lambda t: fg.pixel_shuffle(t, 2), lambda F, t: F.pixel_shuffle(t, 2), x)
    agree(lambda t: fg.pixel_unshuffle(t, 2), lambda F, t: F.pixel_unshuffle(t, 2), x)
    torch = pytest.importorskip("torch")
    want = torch.channel_shuffle(torch.tensor(x), 3).numpy()
    np.testing.assert_array_equal(fg.channel_shuffle(x, 3).numpy(), want)
    for function in (fg.pixel_shuffle, fg.pixel_unshuffle, fg.channel_shuffle):
        with pytest.raises(ShapeError, match="multiple"):
            function(x, 5)


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("align_corners", [False, True])
def test_grid_sample_is_that_of_pytorch(mode, padding_mode, align_corners):
    settings = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
    grid = 1.4 * normal(2, 3, 4, 2, seed=1)
    for shape in ((2, 3, 5, 4), (2, 3, 1, 4)):
        agree(
            lambda *a: fg.grid_sample(*a, **settings),
            lambda F, *a: F.grid_sample(*a, **settings),
            normal(*shape), grid,
        )  # fmt: skip
    if mode != "bicubic":
        agree(
            lambda *a: fg.grid_sample(*a, **settings),
            lambda F, *a: F.grid_sample(*a, **settings),
            normal(2, 3, 5, 4, 3), 1.4 * normal(2, 2, 3, 2, 3, seed=1),
        )  # fmt: skip
    leaves = [fg.tensor(a, requires_grad=True) for a in (normal(2, 3, 5, 4), grid)]
    for order in (1, 2):
        fg.gradcheck(lambda *a: fg.grid_sample(*a, **settings), leaves, order=order)


def test_positions_that_are_not_finite_lie_outside():
    grid = np.array([[[[np.nan, 0.0], [np.inf, 0.0], [1e30, 0.0]]]])
    got = fg.grid_sample(np.ones((1, 1, 2, 2)), grid, mode="nearest")
    np.testing.assert_array_equal(got.numpy(), 0)


@pytest.mark.parametrize("align_corners", [False, True])
def test_affine_grid_is_that_of_pytorch(align_corners):
    for theta, size in ((normal(2, 2, 3), (2, 3, 4, 5)), (normal(2, 3, 4), (2, 3, 4, 1, 3))):
        agree(
            lambda t, s=size: fg.affine_grid(t, s, align_corners=align_corners),
            lambda F, t, s=size: F.affine_grid(t, s, align_corners=align_corners),
            theta,
        )


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("align_corners", [False, True])
def test_interpolation_without_aliases_is_that_of_pytorch(mode, align_corners):
    for size in ((3, 4), (2, 12), (9, 8)):
        settings = {"size": size, "mode": mode, "align_corners": align_corners, "antialias": True}
        agree(
            lambda t, s=settings: fg.interpolate(t, **s),
            lambda F, t, s=settings: F.interpolate(t, **s),
            normal(2, 3, 9, 8), tolerance=2e-6 if align_corners else 1e-11,
        )  # fmt: skip


def test_factors_may_be_recomputed():
    for mode, again in itertools.product(("linear", "nearest"), (False, True)):
        settings = {"scale_factor": 1.7, "mode": mode, "recompute_scale_factor": again}
        agree(
            lambda t, s=settings: fg.interpolate(t, **s),
            lambda F, t, s=settings: F.interpolate(t, **s),
            normal(2, 3, 4),
        )
    with pytest.raises(ShapeError, match="2 spatial axes"):
        fg.interpolate(normal(1, 1, 4), size=3, mode="bilinear")


@pytest.mark.parametrize("mode", ["reflect", "edge", "wrap"])
def test_padding_modes_are_differentiable(mode):
    x = fg.tensor(normal(2, 4, 3), requires_grad=True)
    padding = ((0, 0), (2, 3), (1, 2))
    np.testing.assert_array_equal(
        fg.pad(x, padding, mode=mode).numpy(), np.pad(x.numpy(), padding, mode=mode)
    )
    for order in (1, 2):
        fg.gradcheck(lambda t: fg.pad(t, padding, mode=mode) ** 2, [x], order=order)
