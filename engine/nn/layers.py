"""Layers: parameters around one op each."""

import math
from collections.abc import Sequence
from typing import Any, Literal

from numpy.typing import ArrayLike

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.nn.init import kaiming_normal, standard_normal, uniform_fan_in
from fieldgrad.engine.nn.module import Module, Parameter
from fieldgrad.engine.op import TensorLike
from fieldgrad.engine.ops import bilinear, embedding, linalg
from fieldgrad.engine.ops.conv import conv, conv_transpose
from fieldgrad.engine.ops.convnd import padding_of
from fieldgrad.engine.ops.layout import flatten, pad

__all__ = [
    "Bilinear",
    "Conv",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose",
    "Embedding",
    "EmbeddingBag",
    "Flatten",
    "Identity",
    "Linear",
]

Size = int | Sequence[int]

_PADDING_MODES = {
    "zeros": "constant",
    "reflect": "reflect",
    "replicate": "edge",
    "circular": "wrap",
}


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

    Notes
    -----
    Weight and bias begin uniform in ±1 / sqrt(in_features).
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


class Bilinear(Module):
    """x1ᵀ · weight · x2 + bias over the last axes; see `fieldgrad.engine.bilinear`.

    Parameters
    ----------
    in1_features, in2_features : int
        Sizes of the last axes of both inputs.
    out_features : int
        Size of the last axis of the result.
    bias : bool, default True
        Whether to add a trained offset.

    Notes
    -----
    Weight and bias begin uniform in ±1 / sqrt(in1_features).
    """

    def __init__(
        self, in1_features: int, in2_features: int, out_features: int, *, bias: bool = True
    ) -> None:
        super().__init__()
        shape = (out_features, in1_features, in2_features)
        self.weight = Parameter(uniform_fan_in(shape, in1_features))
        self.bias = Parameter(uniform_fan_in((out_features,), in1_features)) if bias else None

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Map (…, in1_features) and (…, in2_features) to (…, out_features)."""
        return bilinear.bilinear(x1, x2, self.weight, self.bias)


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
    padding : int or sequence of int, or {"same", "valid"}, optional
        Elements added on both sides of each axis; default keeps the size at stride 1 of odd
        kernels, and "same" of even ones too, with one more at the end.
    dilation : int or sequence of int, default 1
        Step between kernel elements.
    groups : int, default 1
        Channels are split into this many groups that do not mix.
    bias : bool, default True
        Whether to add a trained offset per channel.
    negative_slope : float, default 0.0
        Slope of the leaky ReLU that follows, for the initial values.
    padding_mode : {"zeros", "reflect", "replicate", "circular"}
        What is added.

    Notes
    -----
    The weight begins normal with variance 2 / ((1 + negative_slope²) fan_in), see
    `init.kaiming_normal`, and the bias at 0.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sequence[int],
        *,
        stride: Size = 1,
        padding: Size | str | None = None,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        negative_slope: float = 0.0,
        padding_mode: str = "zeros",
    ) -> None:
        super().__init__()
        n_axes = len(kernel_size)
        self.stride = _per_axis(stride, n_axes, "Conv: stride")
        self.dilation = _per_axis(dilation, n_axes, "Conv: dilation")
        if padding is None:
            padding = [d * (k - 1) // 2 for k, d in zip(kernel_size, self.dilation, strict=True)]
        if isinstance(padding, str):
            self.padding: tuple[int, ...] | str = padding
        else:
            self.padding = _per_axis(padding, n_axes, "Conv: padding")
        if padding_mode not in _PADDING_MODES:
            raise ValueError(
                f"Conv: padding_mode = {padding_mode!r}; expected {', '.join(_PADDING_MODES)}."
            )
        self.padding_mode = padding_mode
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
        zeros: Size = 0
        if self.padding_mode == "zeros":
            kernel = self.weight.shape[2:]
            x, zeros = padding_of(x, kernel, self.stride, self.padding, self.dilation)
        else:
            x = pad(x, self._both_sides(), mode=_PADDING_MODES[self.padding_mode])
        return conv(
            x,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=zeros,
            dilation=self.dilation,
            groups=self.groups,
        )

    def _both_sides(self) -> list[tuple[int, int]]:
        """What to add before and after each axis, for padding that is not of zeros."""
        sides = [(0, 0), (0, 0)]
        if self.padding == "valid":
            return sides + [(0, 0)] * len(self.stride)
        if self.padding == "same":
            kernel = self.weight.shape[2:]
            total = [d * (k - 1) for k, d in zip(kernel, self.dilation, strict=True)]
            return sides + [(t // 2, t - t // 2) for t in total]
        assert not isinstance(self.padding, str)
        return sides + [(p, p) for p in self.padding]

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
    dilation : int or sequence of int, default 1
        Step between kernel elements.
    groups : int, default 1
        Channels are split into this many groups that do not mix.

    Notes
    -----
    The weight begins uniform with variance 1 / (number of products that meet in an output), the
    bias at 0.
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
        dilation: Size = 1,
        groups: int = 1,
    ) -> None:
        super().__init__()
        n_axes = len(kernel_size)
        self.stride = _per_axis(stride, n_axes, "ConvTranspose: stride")
        self.padding = _per_axis(padding, n_axes, "ConvTranspose: padding")
        self.output_padding = _per_axis(output_padding, n_axes, "ConvTranspose: output_padding")
        self.dilation = _per_axis(dilation, n_axes, "ConvTranspose: dilation")
        self.groups = groups
        if in_channels % groups or out_channels % groups:
            raise ShapeError(
                f"ConvTranspose: {in_channels} and {out_channels} channels do not split into "
                f"{groups} groups; expected multiples of it."
            )
        shape = (in_channels, out_channels // groups, *kernel_size)
        # Each output sums over a group's channels times the kernel elements that meet at it.
        meeting = [max(k // s, 1) for k, s in zip(kernel_size, self.stride, strict=True)]
        fan_in = in_channels // groups * math.prod(meeting)
        self.weight = Parameter(uniform_fan_in(shape, fan_in) * math.sqrt(3.0))
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
            dilation=self.dilation,
            groups=self.groups,
        )

    def extra_repr(self) -> str:
        """Sizes."""
        inside, out, *kernel = self.weight.shape
        return f"{inside} -> {out * self.groups}, kernel {tuple(kernel)}, stride {self.stride}"


class Embedding(Module):
    """Trained vectors for integers; see `fieldgrad.engine.embedding`.

    Parameters
    ----------
    num_embeddings : int
        Number of vectors.
    embedding_dim : int
        Their length.
    padding_idx : int, optional
        A vector that begins at 0 and is not trained.
    max_norm : float, optional
        Longest vector; longer ones are shortened when they are used.
    scale_grad_by_freq : bool, default False
        Divide the gradient of a vector by how often it is used in a batch.

    Notes
    -----
    The vectors begin standard normal.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        *,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        scale_grad_by_freq: bool = False,
    ) -> None:
        super().__init__()
        values = standard_normal((num_embeddings, embedding_dim))
        if padding_idx is not None:
            values[padding_idx] = 0.0
        self.weight = Parameter(values)
        self.padding_idx, self.max_norm = padding_idx, max_norm
        self.scale_grad_by_freq = scale_grad_by_freq

    def forward(self, index: TensorLike) -> Tensor:
        """Map integers of any shape to (…, embedding_dim)."""
        return embedding.embedding(
            index,
            self.weight,
            padding_idx=self.padding_idx,
            max_norm=self.max_norm,
            scale_grad_by_freq=self.scale_grad_by_freq,
        )

    def extra_repr(self) -> str:
        """Sizes."""
        return f"{self.weight.shape[0]} vectors of {self.weight.shape[1]}"


class EmbeddingBag(Module):
    """Sums, means or maxima of bags of trained vectors; see `fieldgrad.engine.embedding_bag`.

    Parameters
    ----------
    num_embeddings : int
        Number of vectors.
    embedding_dim : int
        Their length.
    mode : {"mean", "sum", "max"}
        How to reduce a bag.
    padding_idx : int, optional
        A vector that is left out.
    include_last_offset : bool, default False
        Whether offsets end with where the last bag ends.

    Notes
    -----
    The vectors begin standard normal.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        *,
        mode: Literal["mean", "sum", "max"] = "mean",
        padding_idx: int | None = None,
        include_last_offset: bool = False,
    ) -> None:
        super().__init__()
        self.weight = Parameter(standard_normal((num_embeddings, embedding_dim)))
        self.mode: Literal["mean", "sum", "max"] = mode
        self.padding_idx, self.include_last_offset = padding_idx, include_last_offset

    def forward(
        self,
        index: TensorLike,
        offsets: ArrayLike | None = None,
        per_sample_weights: TensorLike | None = None,
    ) -> Tensor:
        """Map bags of integers to (bag, embedding_dim)."""
        return embedding.embedding_bag(
            index,
            self.weight,
            offsets,
            mode=self.mode,
            per_sample_weights=per_sample_weights,
            include_last_offset=self.include_last_offset,
            padding_idx=self.padding_idx,
        )


class Identity(Module):
    """Gives what it gets: a place where another module may stand."""

    def forward(self, x: Tensor) -> Tensor:
        """Give x back."""
        return x


class Flatten(Module):
    """Merge all axes but the first."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, …) to (batch, features)."""
        return flatten(x, start=1)
