"""The U-Net: its shapes, its size, and that it is the network of nnU-Net."""

import math

import numpy as np
import pytest

import fieldgrad.engine as fg
from fieldgrad.engine import nn
from fieldgrad.engine.errors import ShapeError
from fieldgrad.shared_models import UNet

ANISOTROPIC = {
    "features": (2, 3, 4),
    "kernel_sizes": ((1, 3, 3), (3, 3, 3), (3, 3, 3)),
    "strides": ((1, 1, 1), (1, 2, 2), (2, 2, 2)),
}


def blocks(stage):
    return [block for _, block in stage.children()]


def noise(*shape):
    return fg.tensor(np.random.default_rng(0).normal(size=shape).astype(np.float32))


@pytest.mark.parametrize(("n_axes", "shape"), [(1, (16,)), (2, (8, 12)), (3, (4, 8, 12))])
def test_logits_lie_on_the_grid_of_the_image(n_axes, shape):
    net = UNet(2, 3, features=(2, 3, 4), n_axes=n_axes)
    assert net(noise(2, 2, *shape)).shape == (2, 3, *shape)


def test_strides_and_kernels_per_axis_keep_the_grid():
    net = UNet(1, 2, **ANISOTROPIC)
    assert net.divisor == (2, 4, 4)
    assert net(noise(1, 1, 2, 8, 4)).shape == (1, 2, 2, 8, 4)


@pytest.mark.parametrize("deep_supervision", [False, True])
@pytest.mark.parametrize("n_convs", [1, 2, 3])
def test_the_number_of_weights_is_that_of_the_formula(n_convs, deep_supervision):
    """Blocks of kernel, scale and shift; transposed kernels and 1x1 heads with bias."""
    net = UNet(2, 5, **ANISOTROPIC, n_convs=n_convs, deep_supervision=deep_supervision)
    f, steps = ANISOTROPIC["features"], ANISOTROPIC["strides"]
    kernels = [math.prod(kernel) for kernel in ANISOTROPIC["kernel_sizes"]]

    def stage(before, i):
        further = (n_convs - 1) * (kernels[i] * f[i] ** 2 + 2 * f[i])
        return kernels[i] * before * f[i] + 2 * f[i] + further

    encoder = sum(stage(before, i) for i, before in enumerate((2, *f[:-1])))
    up = sum(f[i + 1] * f[i] * math.prod(steps[i + 1]) + f[i] for i in range(2))
    decoder = sum(stage(2 * f[i], i) for i in range(2))
    heads = sum(5 * f[i] + 5 for i in range(2 if deep_supervision else 1))
    assert net.n_parameters() == encoder + up + decoder + heads


def test_the_blocks_are_those_of_nnunet():
    """Strided convolution as first of a stage, instance norm with leaky ReLU 0.01, no pooling."""
    net = UNet(1, 2, **ANISOTROPIC)
    for stage, step in zip(net.encoder, ANISOTROPIC["strides"], strict=True):
        assert [block.conv.stride for block in blocks(stage)] == [step, (1, 1, 1)]
    for stage in [*net.encoder, *net.decoder]:
        for block in blocks(stage):
            assert isinstance(block.norm, nn.InstanceNorm)
            assert block.norm.negative_slope == 0.01
            assert block.conv.bias is None
    for up, step in zip(net.up, reversed(ANISOTROPIC["strides"][1:]), strict=True):
        assert isinstance(up, nn.ConvTranspose)
        assert up.stride == tuple(up.weight.shape[2:]) == step


def test_a_block_is_convolution_then_norm_then_leaky_relu():
    block = blocks(UNet(1, 2, features=(3, 4), n_axes=2).encoder[0])[0]
    x = noise(1, 1, 6, 6)
    y = block.conv(x).numpy()
    y = (y - y.mean((2, 3), keepdims=True)) / np.sqrt(y.var((2, 3), keepdims=True) + 1e-5)
    np.testing.assert_allclose(block(x).numpy(), np.where(y > 0, y, 0.01 * y), atol=1e-5)


def test_skip_connections_carry_the_finest_scale():
    """With the deeper path cut, the logits still depend on the image."""
    net = UNet(1, 2, features=(2, 3), n_axes=2)
    for up in net.up:
        up.weight.data[...] = 0
    a, b = net(noise(1, 1, 4, 4)).numpy(), net(noise(1, 1, 4, 4) * noise(1, 1, 4, 4)).numpy()
    assert np.abs(a - b).max() > 1e-3


def test_deep_supervision_gives_all_resolutions_while_training_only():
    net = UNet(1, 3, **ANISOTROPIC, deep_supervision=True)
    x = noise(1, 1, 4, 8, 8)
    assert [y.shape for y in net(x)] == [(1, 3, 4, 8, 8), (1, 3, 4, 4, 4)]
    finest = net(x)[0].numpy()
    net.eval()
    np.testing.assert_allclose(net(x).numpy(), finest, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("deep_supervision", [False, True])
def test_gradients_reach_every_weight(deep_supervision):
    fg.manual_seed(0)
    net = UNet(1, 2, **ANISOTROPIC, deep_supervision=deep_supervision)
    y = net(noise(1, 1, 4, 8, 8))
    sum((level * level).sum() for level in (y if deep_supervision else [y])).backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert np.abs(parameter.grad.data).max() > 0, name


def test_no_tape_is_kept_without_gradients():
    net = UNet(1, 2, features=(2, 3), n_axes=2)
    with fg.no_grad():
        assert not net(noise(1, 1, 4, 4)).requires_grad


def test_a_size_that_does_not_divide_is_explained():
    net = UNet(1, 2, **ANISOTROPIC)
    with pytest.raises(
        ShapeError, match="axis 1 has 10 elements, not divisible by 4; pad it to 12"
    ):
        net(noise(1, 1, 4, 10, 8))


def test_a_wrong_number_of_axes_is_explained():
    with pytest.raises(ShapeError, match=r"expected \(batch, channel\) and 3 spatial axes"):
        UNet(1, 2, features=(2, 3))(noise(1, 1, 4, 4))


def test_stages_that_do_not_match_are_explained():
    with pytest.raises(ShapeError, match="3 stages by features"):
        UNet(1, 2, features=(2, 3, 4), strides=((1, 1), (2, 2)))
    with pytest.raises(ShapeError, match="expected at least two"):
        UNet(1, 2, features=(4,))
