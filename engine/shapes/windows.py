"""Convolution, pooling and resampling: windows that move over space."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.shapes.layout import Shape, normalize_axes

__all__ = [
    "PerAxis",
    "adaptive",
    "check_maps",
    "conv",
    "conv_output",
    "conv_transpose",
    "conv_weight",
    "fold",
    "interpolate",
    "max_pool",
    "max_pool_gradient",
    "output_padding",
    "per_axis",
    "pool",
    "resample_axis",
    "transposed_output",
    "unfold",
]

PerAxis = int | Sequence[int]  # one number for every spatial axis, or one for each


def per_axis(value: PerAxis, n: int, name: str, least: int = 0) -> Shape:
    """One integer for each of n spatial axes, checked; a single one stands for all."""
    values = (value,) * n if isinstance(value, (int, np.integer)) else tuple(value)
    if len(values) != n or any(not isinstance(v, (int, np.integer)) or v < least for v in values):
        raise ShapeError(
            f"{name} = {value!r}; expected one integer from {least} on, or a sequence of {n} "
            "(one for each spatial axis)."
        )
    return values


def conv_output(
    name: str, size: Shape, kernel: Shape, *, stride: Any, padding: Any, dilation: Any
) -> Shape:
    """Number of window positions along each spatial axis."""
    n = len(size)
    strides = per_axis(stride, n, f"{name}: stride", 1)
    paddings = per_axis(padding, n, f"{name}: padding")
    dilations = per_axis(dilation, n, f"{name}: dilation", 1)
    out = []
    for i in range(n):
        extent, padded = dilations[i] * (kernel[i] - 1) + 1, size[i] + 2 * paddings[i]
        if kernel[i] < 1 or extent > padded:
            raise ShapeError(
                f"{name}: along spatial axis {i} the kernel spans {extent} elements, but x has "
                f"{size[i]} and padding {paddings[i]} on both sides. Expected a span of 1 to "
                f"{padded}: pad more, use a smaller kernel, or downsample less often."
            )
        out.append((padded - extent) // strides[i] + 1)
    return tuple(out)


def output_padding(
    size: Shape, out: Shape, kernel: Shape, *, stride: Any, padding: Any, dilation: Any
) -> Shape:
    """What a transposed convolution from ``out`` must add to come back to ``size``."""
    n = len(size)
    least = transposed_output(out, kernel, stride, padding, dilation, 0)
    return tuple(size[i] - least[i] for i in range(n))


def transposed_output(
    size: Shape, kernel: Shape, stride: Any, padding: Any, dilation: Any, extra: Any
) -> Shape:
    """Spatial sizes of a transposed convolution."""
    n = len(size)
    strides = per_axis(stride, n, "conv_transpose: stride", 1)
    paddings = per_axis(padding, n, "conv_transpose: padding")
    dilations = per_axis(dilation, n, "conv_transpose: dilation", 1)
    extras = per_axis(extra, n, "conv_transpose: output_padding")
    extents = [dilations[i] * (kernel[i] - 1) + 1 + extras[i] for i in range(n)]
    return tuple((size[i] - 1) * strides[i] - 2 * paddings[i] + extents[i] for i in range(n))


def _check_conv(name: str, x: Shape, weight: Shape, groups: int, channels: int) -> None:
    """Checks that convolutions of both directions share; channels are those the weight expects."""
    if not 3 <= len(x) <= 5 or len(weight) != len(x):
        raise ShapeError(
            f"{name}: x has shape {x} and weight {weight}; expected x (batch, channel, spatial…) "
            "with one to three spatial axes, and a weight with as many axes. Add a batch axis with "
            "x[None], or a channel axis with x[:, None]."
        )
    if groups < 1 or x[1] % groups or weight[0] % groups or min(weight[:2]) < 1:
        raise ShapeError(
            f"{name}: groups = {groups} with x {x} and weight {weight}; expected a divisor of x's "
            f"{x[1]} channels and of weight's {weight[0]}, and no empty weight."
        )
    if x[1] != channels:
        raise ShapeError(
            f"{name}: x has {x[1]} channels (shape {x}), but weight {weight} expects {channels}"
            f"{f' in {groups} groups' if groups > 1 else ''}. Set in_channels={x[1]}, or pass "
            f"{channels} channel{'s' if channels != 1 else ''}."
        )


def _check_bias(name: str, bias: Shape | None, channels: int) -> None:
    if bias is not None and bias != (channels,):
        raise ShapeError(
            f"{name}: bias has shape {bias}; expected ({channels},), one for each output channel."
        )


def conv(
    x: Shape,
    weight: Shape,
    bias: Shape | None = None,
    *,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Shape:
    """Shape of a convolution."""
    _check_conv("conv", x, weight, groups, weight[1] * groups if len(weight) > 1 else 0)
    _check_bias("conv", bias, weight[0])
    window = {"stride": stride, "padding": padding, "dilation": dilation}
    return (x[0], weight[0], *conv_output("conv", x[2:], weight[2:], **window))


def conv_transpose(
    x: Shape,
    weight: Shape,
    bias: Shape | None = None,
    *,
    stride: Any,
    padding: Any,
    output_padding: Any,
    dilation: Any,
    groups: int,
) -> Shape:
    """Shape of a transposed convolution."""
    _check_conv("conv_transpose", x, weight, groups, weight[0] if weight else 0)
    _check_bias("conv_transpose", bias, weight[1] * groups)
    n = len(x) - 2
    out = transposed_output(x[2:], weight[2:], stride, padding, dilation, output_padding)
    if min(out) < 1 or min(weight[2:]) < 1:
        raise ShapeError(
            f"conv_transpose: x {x}, weight {weight}, stride {stride} and padding {padding} leave "
            f"{out}; expected at least one element along each axis. Lower the padding."
        )
    steps = per_axis(stride, n, "conv_transpose: stride", 1)
    extra = per_axis(output_padding, n, "conv_transpose: output_padding")
    if any(e >= s for e, s in zip(extra, steps, strict=True)):
        raise ShapeError(
            f"conv_transpose: output_padding = {output_padding}, stride = {stride}; expected less "
            "than the stride. Use pad to add more."
        )
    return (x[0], weight[1] * groups, *out)


def conv_weight(
    x: Shape,
    g: Shape,
    *,
    kernel_size: Sequence[int],
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Shape:
    """Shape of the weight of a convolution from x to the shape of g."""
    if len(g) != len(x) or len(x) < 3 or g[0] != x[0] or groups < 1 or x[1] % groups:
        raise ShapeError(
            f"conv_weight: x has shape {x}, g has {g}, groups = {groups}; expected the same batch "
            "and number of axes, and groups that divide the channels."
        )
    weight = (g[1], x[1] // groups, *per_axis(kernel_size, len(x) - 2, "conv_weight: kernel_size"))
    window = {"stride": stride, "padding": padding, "dilation": dilation}
    out = conv(x, weight, groups=groups, **window)
    if out != g:
        raise ShapeError(
            f"conv_weight: a convolution of x {x} with kernel_size {kernel_size} gives {out}, g "
            f"has {g}; expected equal shapes."
        )
    return weight


def pool(
    name: str,
    x: Shape,
    *,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Shape:
    """Shape of a pooling over windows, each of which must hold something."""
    check_maps(name, x)
    n = len(x) - 2
    kernel = per_axis(kernel_size, n, f"{name}: kernel_size", 1)
    steps = per_axis(kernel_size if stride is None else stride, n, f"{name}: stride", 1)
    paddings = per_axis(padding, n, f"{name}: padding")
    dilations = per_axis(dilation, n, f"{name}: dilation", 1)
    for k, p, d in zip(kernel, paddings, dilations, strict=True):
        if 2 * p > d * (k - 1) + 1:
            raise ShapeError(
                f"{name}: padding = {padding} with kernel_size = {kernel_size}; expected at most "
                "half of it, so that no window lies outside x. Use pad to add more."
            )
    out = list(conv_output(name, x[2:], kernel, stride=steps, padding=padding, dilation=dilations))
    for i in range(n):
        size, p, d = x[2 + i], paddings[i], dilations[i]
        over = (out[i] - 1) * steps[i] + d * (kernel[i] - 1) + 1 < size + 2 * p
        if ceil_mode and over and out[i] * steps[i] < size + p:
            out[i] += 1
        # A dilated window may step over a short axis; only those that begin before it can.
        if d > 1 and any(
            not any(0 <= o * steps[i] - p + t * d < size for t in range(kernel[i]))
            for o in range(min(out[i], p + 1))
        ):
            raise ShapeError(
                f"{name}: along spatial axis {i} of {size} elements, padding {p} and dilation {d} "
                "leave a window without any element. Pad less, or dilate less."
            )
    return (*x[:2], *out)


def check_maps(name: str, x: Shape) -> None:
    """Refuse what is not (batch, channel, spatial…) with one to three spatial axes."""
    if not 3 <= len(x) <= 5:
        raise ShapeError(
            f"{name}: x has shape {x}; expected (batch, channel, spatial…) with one to three "
            "spatial axes. Add a batch axis with x[None], or a channel axis with x[:, None]."
        )


def adaptive(name: str, x: Shape, size: Any) -> Shape:
    """Spatial sizes of a result: one number for all axes, or one for each, None for the input's."""
    check_maps(name, x)
    n = len(x) - 2
    if isinstance(size, Sequence) and len(size) == n:
        size = [x[2 + i] if m is None else m for i, m in enumerate(size)]
    sizes = per_axis(size, n, f"{name}: size")
    if min(x[2:]) < 1:
        raise ShapeError(f"{name}: x has shape {x}; expected no empty spatial axis.")
    return sizes


def max_pool(x: Shape, **window: Any) -> Shape:
    """Shape of the maxima."""
    if math.prod(x[2:]) >= 2**31:
        raise ShapeError(
            f"max_pool: x has shape {x}, {math.prod(x[2:])} positions in a channel; expected less "
            "than 2^31. Cut it into patches."
        )
    return pool("max_pool", x, **window)


def max_pool_gradient(g: Shape, index: Shape, *, size: Sequence[int], **window: Any) -> Shape:
    """Shape of what was pooled."""
    x = (*g[:2], *size)
    if index != g or g not in (max_pool(x, **window, ceil_mode=mode) for mode in (False, True)):
        raise ShapeError(
            f"max_pool_gradient: g has shape {g}, index has {index}, and pooling {x} gives "
            f"{max_pool(x, **window)}; expected three equal shapes."
        )
    return x


def unfold(x: Shape, *, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> Shape:
    """Shape of the windows as columns."""
    check_maps("unfold", x)
    kernel = per_axis(kernel_size, len(x) - 2, "unfold: kernel_size", 1)
    windows = conv_output(
        "unfold", x[2:], kernel, stride=stride, padding=padding, dilation=dilation
    )
    return (x[0], x[1] * math.prod(kernel), math.prod(windows))


def fold(
    x: Shape, *, output_size: Any, kernel_size: Any, dilation: Any, padding: Any, stride: Any
) -> Shape:
    """Shape of what has these columns."""
    n = len(output_size) if isinstance(output_size, Sequence) else 2
    size = per_axis(output_size, n, "fold: output_size", 1)
    taps = math.prod(per_axis(kernel_size, n, "fold: kernel_size", 1))
    window = {"kernel_size": kernel_size, "dilation": dilation, "padding": padding}
    if len(x) == 3 and x[1] % taps == 0:
        y = (x[0], x[1] // taps, *size)
        if unfold(y, stride=stride, **window) == x:
            return y
    windows = unfold((1, 1, *size), stride=stride, **window)[2]
    raise ShapeError(
        f"fold: x has shape {x}; expected (batch, a multiple of {taps}, {windows}) for an "
        f"output_size of {size}."
    )


def resample_axis(x: Shape, *, axis: int, taps: Any) -> Shape:
    """x's shape with a new length along the axis."""
    (a,) = normalize_axes(axis, len(x), "resample_axis")
    if x[a] != taps.n_in:
        raise ShapeError(
            f"resample_axis: axis {axis} of x {x} has {x[a]} elements; the taps expect {taps.n_in}."
        )
    return (*x[:a], taps.n_out, *x[a + 1 :])


def interpolate(x: Shape, *, size: Any, scale_factor: Any) -> Shape:
    """x's shape with new spatial sizes."""
    if not 3 <= len(x) <= 5 or min(x[2:]) < 1:
        raise ShapeError(
            f"interpolate: x has shape {x}; expected (batch, channel, spatial…) with one to three "
            "spatial axes, none empty. Add a batch axis with x[None], or a channel axis with "
            "x[:, None]."
        )
    n = len(x) - 2
    if (size is None) == (scale_factor is None):
        raise ValueError(
            f"interpolate: size = {size} and scale_factor = {scale_factor}; expected exactly one."
        )
    if size is not None:
        return (*x[:2], *per_axis(size, n, "interpolate: size", 1))
    factors = (scale_factor,) * n if np.ndim(scale_factor) == 0 else tuple(scale_factor)
    sizes = tuple(int(m * f) for m, f in zip(x[2:], factors, strict=False))
    if len(factors) != n or min(sizes) < 1:
        raise ShapeError(
            f"interpolate: scale_factor = {scale_factor} for x of shape {x}; expected one factor, "
            f"or {n}, that leave at least one element along each axis."
        )
    return (*x[:2], *sizes)
