"""Layers: parameters around one op each."""

import math
from collections.abc import Sequence
from typing import Any

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.nn.init import kaiming_normal, uniform_fan_in
from fieldgrad.engine.nn.module import Module, Parameter
from fieldgrad.engine.ops import elementary, linalg, random
from fieldgrad.engine.ops.conv import conv, conv_transpose
from fieldgrad.engine.ops.layout import flatten
from fieldgrad.engine.ops.pool import max_pool
from fieldgrad.engine.ops.resample import avg_pool, interpolate

__all__ = [
    "ELU",
    "GELU",
    "AvgPool",
    "Conv",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose",
    "Dropout",
    "Flatten",
    "LeakyReLU",
    "Linear",
    "MaxPool",
    "ReLU",
    "SiLU",
    "Sigmoid",
    "Tanh",
    "Upsample",
]

Size = int | Sequence[int]


def _per_axis(value: Size, n_axes: int, name: str) -> tuple[int, ...]:
    """One int for each spatial axis."""
    if isinstance(value, int):
        return (value,) * n_axes
    if len(value) != n_axes:
        raise ShapeError(f"{name} = {tuple(value)}; expected one int, or {n_axes} of them.")
    return tuple(value)


class Linear(Module):
    """x · weightᵀ + bias over the last axis.

    Parameters
    ----------
    in_features, out_features : int
        Size of the last axis before and after.
    bias : bool, default True
        Whether to add a trained offset.
    """

    def __init__(self, in_features: int, out_features: int, *, bias: bool = True) -> None:
        super().__init__()
        self.weight = Parameter(uniform_fan_in((out_features, in_features)))
        self.bias = Parameter(uniform_fan_in((out_features,), in_features)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Map x of shape (…, in_features) to (…, out_features)."""
        return linalg.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Sizes."""
        return f"{self.weight.shape[1]} -> {self.weight.shape[0]}"


class Conv(Module):
    """Convolution over as many spatial axes as kernel_size names.

    Parameters
    ----------
    in_channels, out_channels : int
        Size of the channel axis before and after.
    kernel_size : sequence of int
        Length along each spatial axis.
    stride : int or sequence of int, default 1
        Step between outputs along each spatial axis.
    padding : int or sequence of int, optional
        Zeros added on both sides of each axis; default keeps the size at stride 1 (odd kernels).
    dilation : int or sequence of int, default 1
        Step between kernel elements.
    groups : int, default 1
        Channels are split into this many groups that do not mix.
    bias : bool, default True
        Whether to add a trained offset per channel.
    negative_slope : float, default 0.0
        Slope of the leaky ReLU that follows, for the initial values (He et al. 2015).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sequence[int],
        *,
        stride: Size = 1,
        padding: Size | None = None,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        negative_slope: float = 0.0,
    ) -> None:
        super().__init__()
        n_axes = len(kernel_size)
        self.stride = _per_axis(stride, n_axes, "Conv: stride")
        self.dilation = _per_axis(dilation, n_axes, "Conv: dilation")
        if padding is None:
            padding = [d * (k - 1) // 2 for k, d in zip(kernel_size, self.dilation, strict=True)]
        self.padding = _per_axis(padding, n_axes, "Conv: padding")
        self.groups = groups
        if in_channels % groups or out_channels % groups:
            raise ShapeError(
                f"Conv: {in_channels} and {out_channels} channels do not split into {groups} "
                "groups; expected multiples of it."
            )
        shape = (out_channels, in_channels // groups, *kernel_size)
        self.weight = Parameter(kaiming_normal(shape, negative_slope=negative_slope))
        self.bias = Parameter([0.0] * out_channels) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Map x of shape (batch, in_channels, spatial…) to (batch, out_channels, spatial…)."""
        return conv(
            x,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )

    def extra_repr(self) -> str:
        """Sizes."""
        out, inside, *kernel = self.weight.shape
        return f"{inside * self.groups} -> {out}, kernel {tuple(kernel)}, stride {self.stride}"


class Conv1d(Conv):
    """`Conv` over one axis.

    Parameters
    ----------
    in_channels, out_channels : int
        Size of the channel axis before and after.
    kernel_size : int or sequence of int
        Length along the spatial axis.
    **settings : Any
        Those of `Conv`: stride, padding, dilation, groups, bias, negative_slope.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Size, **settings: Any
    ) -> None:
        super().__init__(
            in_channels, out_channels, _per_axis(kernel_size, 1, "Conv1d: kernel_size"), **settings
        )


class Conv2d(Conv):
    """`Conv` over two axes.

    Parameters
    ----------
    in_channels, out_channels : int
        Size of the channel axis before and after.
    kernel_size : int or sequence of int
        Length along each spatial axis; one number stands for all.
    **settings : Any
        Those of `Conv`: stride, padding, dilation, groups, bias, negative_slope.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Size, **settings: Any
    ) -> None:
        super().__init__(
            in_channels, out_channels, _per_axis(kernel_size, 2, "Conv2d: kernel_size"), **settings
        )


class Conv3d(Conv):
    """`Conv` over three axes.

    Parameters
    ----------
    in_channels, out_channels : int
        Size of the channel axis before and after.
    kernel_size : int or sequence of int
        Length along each spatial axis; one number stands for all.
    **settings : Any
        Those of `Conv`: stride, padding, dilation, groups, bias, negative_slope.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Size, **settings: Any
    ) -> None:
        super().__init__(
            in_channels, out_channels, _per_axis(kernel_size, 3, "Conv3d: kernel_size"), **settings
        )


class ConvTranspose(Module):
    """Transposed convolution: the adjoint of a strided `Conv`, used to enlarge maps.

    Parameters
    ----------
    in_channels, out_channels : int
        Size of the channel axis before and after.
    kernel_size : sequence of int
        Length along each spatial axis.
    stride : int or sequence of int, default 1
        Factor by which each axis grows.
    padding, output_padding : int or sequence of int, default 0
        Elements cut from both sides, and added at the end, of each axis of the result.
    bias : bool, default True
        Whether to add a trained offset per channel.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sequence[int],
        *,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        n_axes = len(kernel_size)
        self.stride = _per_axis(stride, n_axes, "ConvTranspose: stride")
        self.padding = _per_axis(padding, n_axes, "ConvTranspose: padding")
        self.output_padding = _per_axis(output_padding, n_axes, "ConvTranspose: output_padding")
        shape = (in_channels, out_channels, *kernel_size)
        # Each output sums over in_channels times the kernel elements that meet at it.
        meeting = [max(k // s, 1) for k, s in zip(kernel_size, self.stride, strict=True)]
        self.weight = Parameter(
            uniform_fan_in(shape, in_channels * math.prod(meeting)) * math.sqrt(3.0)
        )
        self.bias = Parameter([0.0] * out_channels) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Map x of shape (batch, in_channels, spatial…) to (batch, out_channels, larger…)."""
        return conv_transpose(
            x,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            output_padding=self.output_padding,
        )

    def extra_repr(self) -> str:
        """Sizes."""
        inside, out, *kernel = self.weight.shape
        return f"{inside} -> {out}, kernel {tuple(kernel)}, stride {self.stride}"


class Dropout(Module):
    """Set elements to 0 with probability p while training; see `fieldgrad.engine.dropout`.

    Parameters
    ----------
    p : float, default 0.5
        Probability.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Apply dropout while training, nothing otherwise."""
        return random.dropout(x, self.p) if self.training and self.p else x


class Flatten(Module):
    """Merge all axes but the first."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, …) to (batch, features)."""
        return flatten(x, start=1)


class MaxPool(Module):
    """Maxima of windows; see `fieldgrad.engine.max_pool`.

    Parameters
    ----------
    kernel_size : int or sequence of int
        Size of a window.
    stride : int or sequence of int, optional
        Step between windows; default kernel_size.
    padding : int or sequence of int, default 0
        By how much windows may reach beyond both ends of an axis.
    """

    def __init__(self, kernel_size: Size, *, stride: Size | None = None, padding: Size = 0) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, spatial…) to (batch, channels, smaller spatial…)."""
        return max_pool(x, self.kernel_size, stride=self.stride, padding=self.padding)


class AvgPool(Module):
    """Means of windows; see `fieldgrad.engine.avg_pool`.

    Parameters
    ----------
    kernel_size : int or sequence of int
        Size of a window.
    stride : int or sequence of int, optional
        Step between windows; default kernel_size.
    padding : int or sequence of int, default 0
        Zeros added on both sides of an axis; they count in the mean.
    """

    def __init__(self, kernel_size: Size, *, stride: Size | None = None, padding: Size = 0) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, spatial…) to (batch, channels, smaller spatial…)."""
        return avg_pool(x, self.kernel_size, stride=self.stride, padding=self.padding)


class Upsample(Module):
    """Enlarge every spatial axis; see `fieldgrad.engine.interpolate`.

    Parameters
    ----------
    scale_factor : float or sequence of float
        Factor of enlargement; one number, or one for each spatial axis.
    mode : {"nearest", "nearest-exact", "linear", "cubic", "area"}
        How to interpolate.
    align_corners : bool, default False
        Whether the centers of the corner elements stay in place ("linear" and "cubic" only).
    """

    def __init__(
        self,
        scale_factor: float | Sequence[float],
        *,
        mode: str = "nearest",
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        self.scale_factor, self.mode, self.align_corners = scale_factor, mode, align_corners

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, spatial…) to (batch, channels, larger spatial…)."""
        return interpolate(
            x, scale_factor=self.scale_factor, mode=self.mode, align_corners=self.align_corners
        )


class ReLU(Module):
    """max(x, 0)."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it elementwise."""
        return elementary.relu(x)


class LeakyReLU(Module):
    """x where positive, negative_slope · x elsewhere.

    Parameters
    ----------
    negative_slope : float, default 0.01
        Slope below 0.
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        self.negative_slope = negative_slope

    def forward(self, x: Tensor) -> Tensor:
        """Apply it elementwise."""
        return elementary.leaky_relu(x, self.negative_slope)


class ELU(Module):
    """x where positive, exp(x) - 1 elsewhere."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it elementwise."""
        return elementary.elu(x)


class GELU(Module):
    """x · Φ(x), the exact form."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it elementwise."""
        return elementary.gelu(x)


class SiLU(Module):
    """x · sigmoid(x)."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it elementwise."""
        return elementary.silu(x)


class Sigmoid(Module):
    """1 / (1 + exp(-x))."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it elementwise."""
        return elementary.sigmoid(x)


class Tanh(Module):
    """Hyperbolic tangent."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it elementwise."""
        return elementary.tanh(x)
