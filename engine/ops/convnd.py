"""Convolution under PyTorch's names, for one item or a batch, with padding by name.

`conv` and `conv_transpose` take any number of spatial axes from their input; these say it in their
name, which tells an item without the batch axis from a batch.
"""

from collections.abc import Callable, Sequence
from typing import Any

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.op import TensorLike, as_tensor
from fieldgrad.engine.ops.conv import conv, conv_transpose
from fieldgrad.engine.ops.layout import expand_dims, pad, reshape, squeeze
from fieldgrad.engine.shapes import PerAxis, per_axis

__all__ = [
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
]

Padding = PerAxis | str


def _batched(n: int, x: TensorLike, weight: TensorLike, call: Callable[[Tensor], Tensor]) -> Tensor:
    """A call on one item is one on a batch of one."""
    x, weight = as_tensor(x, floating=True), as_tensor(weight)
    if x.ndim not in (n + 1, n + 2) or weight.ndim != n + 2:
        raise ShapeError(
            f"conv{n}d: x has shape {x.shape} and weight {weight.shape}; expected (batch, channel, "
            f"…) or (channel, …) with {n} spatial axes, and a weight of {n + 2} axes."
        )
    if x.ndim == n + 2:
        return call(x)
    return squeeze(call(expand_dims(x, axis=0)), axis=0)


def padding_of(
    x: Tensor, kernel_size: Sequence[int], stride: PerAxis, padding: Padding, dilation: PerAxis
) -> tuple[Tensor, PerAxis]:
    """Padding by name as numbers, and x with the element more that even kernels need at its end.

    Parameters
    ----------
    x : Tensor
        Shape (batch, channel, spatial…).
    kernel_size : sequence of int
        Taps along each spatial axis.
    stride, dilation : int or sequence of int
        Those of the convolution.
    padding : int or sequence of int, or {"same", "valid"}
        "same" keeps the size, "valid" adds nothing.

    Returns
    -------
    Tensor
        What to convolve.
    int or sequence of int
        Zeros to add on both sides.

    Raises
    ------
    ShapeError
        If the name is unknown, or "same" goes with a stride.
    """
    if not isinstance(padding, str):
        return x, padding
    n = len(kernel_size)
    if padding == "valid":
        return x, 0
    if padding != "same" or set(per_axis(stride, n, "conv: stride", 1)) != {1}:
        raise ShapeError(
            f"conv: padding = {padding!r} with stride = {stride}; expected numbers, 'valid', or "
            "'same' with a stride of 1."
        )
    total = [
        d * (k - 1)
        for k, d in zip(kernel_size, per_axis(dilation, n, "conv: dilation", 1), strict=True)
    ]
    if any(t % 2 for t in total):
        x = pad(x, ((0, 0), (0, 0), *((0, t % 2) for t in total)))
    return x, tuple(t // 2 for t in total)


def _conv(
    n: int,
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None,
    stride: PerAxis,
    padding: Padding,
    dilation: PerAxis,
    groups: int,
) -> Tensor:
    def call(batch: Tensor) -> Tensor:
        kernel_size = as_tensor(weight).shape[2:]
        batch, zeros = padding_of(batch, kernel_size, stride, padding, dilation)
        return conv(
            batch, weight, bias, stride=stride, padding=zeros, dilation=dilation, groups=groups
        )

    return _batched(n, x, weight, call)


def conv1d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    /,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution over one axis; see `conv`.

    Parameters
    ----------
    x : Tensor
        Shape (N, C, n) or (C, n).
    weight : Tensor
        Shape (O, C / groups, k).
    bias : Tensor, optional
        Shape (O,).
    stride : int or sequence of int, default 1
        As for `conv`.
    padding : int or sequence of int, or {"same", "valid"}, default 0
        Zeros on both sides; "same" keeps the size (an even kernel gets one more at the end).
    dilation : int or sequence of int, default 1
        As for `conv`.
    groups : int, default 1
        As for `conv`.

    Returns
    -------
    Tensor
        Shape (N, O, m) or (O, m).

    Raises
    ------
    ShapeError
        If the shapes do not fit one another.
    """
    return _conv(1, x, weight, bias, stride, padding, dilation, groups)


def conv2d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    /,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution over two axes; see `conv`.

    Parameters
    ----------
    x : Tensor
        Shape (N, C, n_1, n_2) or (C, n_1, n_2).
    weight : Tensor
        Shape (O, C / groups, k_1, k_2).
    bias : Tensor, optional
        Shape (O,).
    stride : int or sequence of int, default 1
        As for `conv`.
    padding : int or sequence of int, or {"same", "valid"}, default 0
        Zeros on both sides; "same" keeps the size (an even kernel gets one more at the end).
    dilation : int or sequence of int, default 1
        As for `conv`.
    groups : int, default 1
        As for `conv`.

    Returns
    -------
    Tensor
        Shape (N, O, m_1, m_2) or (O, m_1, m_2).

    Raises
    ------
    ShapeError
        If the shapes do not fit one another.
    """
    return _conv(2, x, weight, bias, stride, padding, dilation, groups)


def conv3d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    /,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution over three axes; see `conv`.

    Parameters
    ----------
    x : Tensor
        Shape (N, C, n_1, n_2, n_3) or (C, n_1, n_2, n_3).
    weight : Tensor
        Shape (O, C / groups, k_1, k_2, k_3).
    bias : Tensor, optional
        Shape (O,).
    stride : int or sequence of int, default 1
        As for `conv`.
    padding : int or sequence of int, or {"same", "valid"}, default 0
        Zeros on both sides; "same" keeps the size (an even kernel gets one more at the end).
    dilation : int or sequence of int, default 1
        As for `conv`.
    groups : int, default 1
        As for `conv`.

    Returns
    -------
    Tensor
        Shape (N, O, m_1, m_2, m_3) or (O, m_1, m_2, m_3).

    Raises
    ------
    ShapeError
        If the shapes do not fit one another.
    """
    return _conv(3, x, weight, bias, stride, padding, dilation, groups)


def _transposed(
    n: int,
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None,
    stride: PerAxis,
    padding: PerAxis,
    output_padding: PerAxis,
    groups: int,
    dilation: PerAxis,
) -> Tensor:
    window: dict[str, Any] = {"stride": stride, "dilation": dilation, "groups": groups}
    steps, extra, spread = (
        per_axis(value, n, f"conv_transpose{n}d: {name}")
        for name, value in (
            ("stride", stride),
            ("output_padding", output_padding),
            ("dilation", dilation),
        )
    )

    def call(batch: Tensor) -> Tensor:
        if any(s <= e < d for s, e, d in zip(steps, extra, spread, strict=True)):
            return _extended(batch, weight, bias, padding, extra, window)
        return conv_transpose(
            batch, weight, bias, padding=padding, output_padding=output_padding, **window
        )

    return _batched(n, x, weight, call)


def _extended(
    x: Tensor,
    weight: TensorLike,
    bias: TensorLike | None,
    padding: PerAxis,
    extra: Sequence[int],
    window: dict[str, Any],
) -> Tensor:
    """More elements added at the end than the stride: the whole result, cut or extended there."""
    whole = conv_transpose(x, weight, **window)
    cut = per_axis(padding, len(extra), "conv_transpose: padding")
    whole = pad(
        whole, ((0, 0), (0, 0), *((0, max(e - p, 0)) for e, p in zip(extra, cut, strict=True)))
    )
    ends = [m - max(p - e, 0) for m, e, p in zip(whole.shape[2:], extra, cut, strict=True)]
    y = whole[(..., *(slice(p, end) for p, end in zip(cut, ends, strict=True)))]
    return y if bias is None else y + reshape(as_tensor(bias), (-1, *(1,) * len(extra)))


def conv_transpose1d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    /,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    output_padding: PerAxis = 0,
    groups: int = 1,
    dilation: PerAxis = 1,
) -> Tensor:
    """Transposed convolution over one axis; see `conv_transpose`.

    Parameters
    ----------
    x : Tensor
        Shape (N, C, m) or (C, m).
    weight : Tensor
        Shape (C, O / groups, k).
    bias : Tensor, optional
        Shape (O,).
    stride, padding, output_padding : int or sequence of int
        As for `conv_transpose`.
    groups : int, default 1
        As for `conv_transpose`.
    dilation : int or sequence of int, default 1
        As for `conv_transpose`; with it output_padding may be up to it.

    Returns
    -------
    Tensor
        Shape (N, O, n) or (O, n).

    Raises
    ------
    ShapeError
        If the shapes do not fit one another.
    """
    return _transposed(1, x, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    /,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    output_padding: PerAxis = 0,
    groups: int = 1,
    dilation: PerAxis = 1,
) -> Tensor:
    """Transposed convolution over two axes; see `conv_transpose`.

    Parameters
    ----------
    x : Tensor
        Shape (N, C, m_1, m_2) or (C, m_1, m_2).
    weight : Tensor
        Shape (C, O / groups, k_1, k_2).
    bias : Tensor, optional
        Shape (O,).
    stride, padding, output_padding : int or sequence of int
        As for `conv_transpose`.
    groups : int, default 1
        As for `conv_transpose`.
    dilation : int or sequence of int, default 1
        As for `conv_transpose`; with it output_padding may be up to it.

    Returns
    -------
    Tensor
        Shape (N, O, n_1, n_2) or (O, n_1, n_2).

    Raises
    ------
    ShapeError
        If the shapes do not fit one another.
    """
    return _transposed(2, x, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    /,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    output_padding: PerAxis = 0,
    groups: int = 1,
    dilation: PerAxis = 1,
) -> Tensor:
    """Transposed convolution over three axes; see `conv_transpose`.

    Parameters
    ----------
    x : Tensor
        Shape (N, C, m_1, m_2, m_3) or (C, m_1, m_2, m_3).
    weight : Tensor
        Shape (C, O / groups, k_1, k_2, k_3).
    bias : Tensor, optional
        Shape (O,).
    stride, padding, output_padding : int or sequence of int
        As for `conv_transpose`.
    groups : int, default 1
        As for `conv_transpose`.
    dilation : int or sequence of int, default 1
        As for `conv_transpose`; with it output_padding may be up to it.

    Returns
    -------
    Tensor
        Shape (N, O, n_1, n_2, n_3) or (O, n_1, n_2, n_3).

    Raises
    ------
    ShapeError
        If the shapes do not fit one another.
    """
    return _transposed(3, x, weight, bias, stride, padding, output_padding, groups, dilation)
