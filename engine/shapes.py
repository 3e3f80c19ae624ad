"""Shape rules: the shapes of inputs and the attributes of an op to the shape of its output.

Plain functions on tuples of ints. They check what an op is called with, and their errors say which
sizes disagree and what would fit; the same rules will serve tracing and export.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fieldgrad.engine.errors import ShapeError

__all__ = [
    "PerAxis",
    "along_axis",
    "batch_norm",
    "broadcast",
    "by_channel",
    "concat",
    "conv",
    "conv_transpose",
    "conv_weight",
    "einsum",
    "group_norm",
    "instance_norm",
    "interpolate",
    "layer_norm",
    "matmul",
    "max_pool",
    "max_unpool",
    "normalize_axes",
    "output_padding",
    "pad",
    "permute",
    "pool",
    "reduction",
    "resample_axis",
    "reshape",
    "take_along_axis",
]

Shape = tuple[int, ...]
PerAxis = int | Sequence[int]  # one number for every spatial axis, or one for each


def normalize_axes(axis: int | Sequence[int] | None, ndim: int, name: str) -> Shape:
    """Axes as non-negative integers, checked; None means all axes."""
    if axis is None:
        return tuple(range(ndim))
    axes = (axis,) if not isinstance(axis, (tuple, list)) else tuple(axis)
    for a in axes:
        if not -ndim <= a < ndim:
            raise ShapeError(
                f"{name}: axis {a} does not exist in an array of {ndim} axes; expected "
                + (f"{-ndim} to {ndim - 1}." if ndim else "no axis for a 0-d array.")
            )
    axes = tuple(int(a) % ndim for a in axes)
    if len(set(axes)) != len(axes):
        raise ShapeError(f"{name}: axis = {axis} names an axis twice; expected each once.")
    return axes


def broadcast(*shapes: Shape, **_: Any) -> Shape:
    """The common shape of elementwise inputs."""
    ndim = max(len(s) for s in shapes)
    out = []
    for i in range(-ndim, 0):
        sizes = {s[i] for s in shapes if len(s) >= -i} - {1}
        if len(sizes) > 1:
            raise ShapeError(
                f"shapes {' and '.join(map(str, shapes))} do not broadcast: axis {i} has "
                f"{' and '.join(map(str, sorted(sizes)))} elements. Expected equal sizes or 1."
            )
        out.append(sizes.pop() if sizes else 1)
    return tuple(out)


def reduction(
    x: Shape, *, axis: int | Sequence[int] | None = None, keepdims: bool = False, **_: Any
) -> Shape:
    """Shape after reducing axes."""
    axes = normalize_axes(axis, len(x), "axis")
    if keepdims:
        return tuple(1 if i in axes else n for i, n in enumerate(x))
    return tuple(n for i, n in enumerate(x) if i not in axes)


def extremum(x: Shape, *, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Shape:
    """Shape after a reduction that has no value for nothing."""
    axes = normalize_axes(axis, len(x), "axis")
    if any(x[a] == 0 for a in axes):
        raise ShapeError(
            f"the maximum or minimum of no elements does not exist: shape {x}, axis = {axis}. "
            "Check for an empty array first."
        )
    return reduction(x, axis=axis, keepdims=keepdims)


def reshape(x: Shape, *, shape: Sequence[int] | int) -> Shape:
    """The new shape, with -1 resolved."""
    new = (shape,) if isinstance(shape, int) else tuple(shape)
    size = math.prod(x)
    known = math.prod(n for n in new if n != -1)
    if new.count(-1) == 1 and known and size % known == 0:
        new = tuple(size // known if n == -1 else n for n in new)
    if -1 in new or math.prod(new) != size:
        raise ShapeError(
            f"reshape: shape {tuple(x)} has {size} elements and cannot become {tuple(new)}. The "
            "product of the sizes must stay the same; one size may be -1."
        )
    return new


def permute(x: Shape, *, axes: Sequence[int]) -> Shape:
    """Shape with its axes in another order."""
    order = normalize_axes(tuple(axes), len(x), "permute_dims")
    if len(order) != len(x):
        raise ShapeError(
            f"permute_dims: axes = {tuple(axes)} for an array of {len(x)} axes; expected each axis "
            "once."
        )
    return tuple(x[a] for a in order)


def broadcast_to(x: Shape, *, shape: Sequence[int]) -> Shape:
    """The target shape, if x repeats to it."""
    new = tuple(shape)
    if broadcast(x, new) != new:
        raise ShapeError(f"broadcast_to: shape {x} does not repeat to {new}.")
    return new


def pad(x: Shape, *, padding: Sequence[tuple[int, int]], **_: Any) -> Shape:
    """Shape with elements added before and after each axis."""
    if len(padding) != len(x) or any(len(p) != 2 or min(p) < 0 for p in padding):
        raise ShapeError(
            f"pad: padding = {padding} for an array of {len(x)} axes; expected one pair "
            "(before, after) of non-negative sizes for each axis."
        )
    return tuple(n + before + after for n, (before, after) in zip(x, padding, strict=True))


def concat(shapes: Sequence[Shape], *, axis: int) -> Shape:
    """Shape of arrays joined along an axis."""
    if not shapes:
        raise ShapeError("concat: no arrays given; expected at least one.")
    first = shapes[0]
    (a,) = normalize_axes(axis, len(first), "concat")
    for i, s in enumerate(shapes):
        if len(s) != len(first) or s[:a] + s[a + 1 :] != first[:a] + first[a + 1 :]:
            raise ShapeError(
                f"concat: array 0 has shape {first}, array {i} has {s}; sizes may differ only "
                f"along axis {a}."
            )
    return (*first[:a], sum(s[a] for s in shapes), *first[a + 1 :])


def matmul(x: Shape, y: Shape) -> Shape:
    """Shape of a matrix product with broadcast leading axes."""
    if not x or not y:
        raise ShapeError(f"matmul: shapes {x} and {y}; expected at least one axis each.")
    rows, inner = (x[:-1][-1:], x[-1])
    inner_y, columns = (y[-2], y[-1:]) if len(y) > 1 else (y[0], ())
    if inner != inner_y:
        raise ShapeError(
            f"matmul: shapes {x} and {y}: the last axis of the first has {inner} elements, the "
            f"{'second last' if len(y) > 1 else 'only'} axis of the second has {inner_y}; expected "
            "equal sizes. Transpose one of them?"
        )
    return (*broadcast(x[:-2], y[:-2]), *rows, *columns) if x[:-2] or y[:-2] else (*rows, *columns)


def einsum(shapes: Sequence[Shape], *, subscripts: str) -> Shape:
    """Shape of an explicit einsum: sizes by letter, checked."""
    inputs, output = subscripts.split("->")
    sizes: dict[str, int] = {}
    terms = inputs.split(",")
    if len(terms) != len(shapes):
        raise ShapeError(f"einsum: {subscripts!r} names {len(terms)} arrays, {len(shapes)} given.")
    for i, (term, s) in enumerate(zip(terms, shapes, strict=True)):
        if len(term) != len(s):
            raise ShapeError(f"einsum: term {term!r} of {subscripts!r} for array {i} of shape {s}.")
        for letter, n in zip(term, s, strict=True):
            if sizes.setdefault(letter, n) != n:
                raise ShapeError(
                    f"einsum: {subscripts!r}: index {letter} is {sizes[letter]} and, in array {i} "
                    f"of shape {s}, {n}; expected one size."
                )
    return tuple(sizes[letter] for letter in output)


def take_along_axis(x: Shape, index: Shape, *, axis: int) -> Shape:
    """Shape of the elements picked along an axis: the index's."""
    (a,) = normalize_axes(axis, len(x), "take_along_axis")
    if len(x) != len(index) or any(
        n != m for i, (n, m) in enumerate(zip(x, index, strict=True)) if i != a
    ):
        raise ShapeError(
            f"take_along_axis: index has shape {index}, x has {x}; expected equal sizes on every "
            f"axis but {a}."
        )
    return index


def any_index(x: Shape, *, index: Any) -> Shape:
    """Shape of x[index]."""
    try:
        # One byte stands for every element: broadcast_to, which says the same, is ten times slower.
        return tuple(np.ndarray(x, np.bool_, b"\0", strides=(0,) * len(x))[index].shape)
    except IndexError as error:
        raise IndexError(f"x[…] of shape {x}: {error}") from error


def index_add(g: Shape, *, index: Any, shape: Shape) -> Shape:
    """The shape that is indexed."""
    picked = any_index(shape, index=index)
    if picked != g:
        raise ShapeError(f"index_add: g has shape {g}; the index picks {picked} of {shape}.")
    return shape


def set_index(x: Shape, value: Shape, *, index: Any) -> Shape:
    """x's shape, if the value fits the indexed part."""
    picked = any_index(x, index=index)
    if len(value) > len(picked) or broadcast(picked, value) != picked:
        raise ShapeError(
            f"assignment: the value has shape {value}; the index picks {picked} of {x}. Expected a "
            "value that broadcasts to it."
        )
    return x


def scatter_add(g: Shape, index: Shape, *, axis: int, size: int) -> Shape:
    """g's shape with another length along the axis."""
    if g != index:
        raise ShapeError(f"scatter_add: g has shape {g}, index has {index}; expected equal shapes.")
    (a,) = normalize_axes(axis, len(g), "scatter_add")
    return (*g[:a], size, *g[a + 1 :])


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


def by_channel(name: str, x: Shape, *vectors: Shape | None) -> Shape:
    """x's shape, checked against vectors that have one element for each channel."""
    if len(x) < 2 or x[1] < 1:
        raise ShapeError(
            f"{name}: x has shape {x}; expected (batch, channel, …) with at least one channel. Add "
            "a batch axis with x[None], or a channel axis with x[:, None]."
        )
    for vector in vectors:
        if vector is not None and vector != (x[1],):
            raise ShapeError(
                f"{name}: x has {x[1]} channels (shape {x}), but a vector by channel has shape "
                f"{vector}; expected ({x[1]},)."
            )
    return x


def instance_norm(
    x: Shape, weight: Shape | None = None, bias: Shape | None = None, **_: Any
) -> Shape:
    """x's shape, if channels have more than one position."""
    if math.prod(x[2:]) == 1:
        raise ShapeError(
            f"instance_norm: x has shape {x}, one position in each channel, whose normalized value "
            "is 0 whatever it is. Downsample less often, or use group_norm or layer_norm."
        )
    return by_channel("instance_norm", x, weight, bias)


def group_norm(
    x: Shape, weight: Shape | None = None, bias: Shape | None = None, *, groups: int, **_: Any
) -> Shape:
    """x's shape, if the groups divide the channels."""
    by_channel("group_norm", x, weight, bias)
    if groups < 1 or x[1] % groups:
        raise ShapeError(
            f"group_norm: groups = {groups} for {x[1]} channels; expected a divisor of {x[1]}."
        )
    return x


def batch_norm(x: Shape, weight: Shape | None = None, bias: Shape | None = None, **_: Any) -> Shape:
    """x's shape, if channels have more than one element."""
    by_channel("batch_norm", x, weight, bias)
    if math.prod(x) == x[1]:
        raise ShapeError(
            f"batch_norm: x has shape {x}, one element in each channel, whose normalized value is "
            "0 whatever it is. Use batches of at least two, or call eval() on a trained model."
        )
    return x


def given_norm(x: Shape, *vectors: Shape | None, mean: Any, var: Any, **_: Any) -> Shape:
    """x's shape, if mean and var have one element for each channel."""
    return by_channel("given_norm", x, *vectors, np.shape(mean), np.shape(var))


def layer_norm(
    x: Shape, weight: Shape | None = None, bias: Shape | None = None, *, n_axes: int, **_: Any
) -> Shape:
    """x's shape, if weight and bias have that of its last axes."""
    if not 1 <= n_axes <= len(x):
        raise ShapeError(
            f"layer_norm: n_axes = {n_axes} for x of shape {x}; expected 1 to {len(x)}."
        )
    last = x[len(x) - n_axes :]
    for name, vector in (("weight", weight), ("bias", bias)):
        if vector is not None and vector != last:
            raise ShapeError(
                f"layer_norm: x has shape {x} and n_axes = {n_axes}, but {name} has {vector}; "
                f"expected {last}."
            )
    return x


def along_axis(x: Shape, *, axis: int) -> Shape:
    """x's shape, if it has the axis."""
    normalize_axes(axis, len(x), "axis")
    return x


def both_along_axis(g: Shape, y: Shape, *, axis: int) -> Shape:
    """The common shape, if it has the axis."""
    if g != y:
        raise ShapeError(f"the gradient has shape {g}, the result {y}; expected equal shapes.")
    return along_axis(y, axis=axis)


def classes(name: str, logits: Shape, target: Shape) -> Shape:
    """Shape (batch, …) of a target of classes, if logits are (batch, class, …)."""
    if len(logits) < 2 or logits[1] < 1 or target != logits[:1] + logits[2:]:
        wanted = logits[:1] + logits[2:] if len(logits) > 1 else "that without the class axis"
        raise ShapeError(
            f"{name}: logits have shape {logits}, expected (batch, class, …); so the target must "
            f"have {wanted}; it has {target}."
        )
    return target


def cross_entropy(
    logits: Shape, target: Shape, *, weight: Any, reduction: str, label_smoothing: float, **_: Any
) -> Shape:
    """Of one number, or of the positions for reduction "none"."""
    positions = logits[:1] + logits[2:]
    if len(logits) < 2 or target != logits:
        classes("cross_entropy", logits, target)
    if weight is not None and np.shape(weight) != logits[1:2]:
        raise ShapeError(
            f"cross_entropy: weight has shape {np.shape(weight)}; expected ({logits[1]},)."
        )
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction = {reduction!r}; expected 'mean', 'sum' or 'none'.")
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing = {label_smoothing}; expected 0 to 1.")
    return positions if reduction == "none" else ()


def overlap_sums(logits: Shape, target: Shape) -> Shape:
    """Four sums for each class of each batch entry."""
    classes("overlap_sums", logits, target)
    return (4, *logits[:2])


def pool(name: str, x: Shape, *, kernel_size: Any, stride: Any, padding: Any) -> Shape:
    """Shape of a pooling over windows, each of which must hold something."""
    if not 3 <= len(x) <= 5:
        raise ShapeError(
            f"{name}: x has shape {x}; expected (batch, channel, spatial…) with one to three "
            "spatial axes. Add a batch axis with x[None], or a channel axis with x[:, None]."
        )
    n = len(x) - 2
    kernel = per_axis(kernel_size, n, f"{name}: kernel_size", 1)
    paddings = per_axis(padding, n, f"{name}: padding")
    for k, p in zip(kernel, paddings, strict=True):
        if 2 * p > k:
            raise ShapeError(
                f"{name}: padding = {padding} with kernel_size = {kernel_size}; expected at most "
                "half of it, so that no window lies outside x. Use pad to add more."
            )
    steps = kernel_size if stride is None else stride
    window = {"stride": steps, "padding": padding, "dilation": 1}
    return (*x[:2], *conv_output(name, x[2:], kernel, **window))


def max_pool(x: Shape, **window: Any) -> Shape:
    """Shape of the maxima."""
    if math.prod(x[2:]) >= 2**31:
        raise ShapeError(
            f"max_pool: x has shape {x}, {math.prod(x[2:])} positions in a channel; expected less "
            "than 2^31. Cut it into patches."
        )
    return pool("max_pool", x, **window)


def max_unpool(g: Shape, index: Shape, *, size: Sequence[int], **window: Any) -> Shape:
    """Shape of what was pooled."""
    x = (*g[:2], *size)
    if index != g or max_pool(x, **window) != g:
        raise ShapeError(
            f"max_unpool: g has shape {g}, index has {index}, and pooling {x} gives "
            f"{max_pool(x, **window)}; expected three equal shapes."
        )
    return x


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
