"""Convolution, transposed convolution, weight gradient: the rule of each is in the others.

The three are one trilinear form seen from its three sides: with q = p · stride + t · dilation -
padding, ``sum of x[c, q] w[o, c, t] y[o, p]``. conv gives y's factor, conv_transpose x's, and
conv_weight w's, so gradients of any order stay within the family.
"""

from fieldgrad.engine import samples, shapes
from fieldgrad.engine.op import TensorLike, op
from fieldgrad.engine.ops.reduce import sum
from fieldgrad.engine.shapes import PerAxis


@op(kernel="conv", floating=True, bilinear=True, shape=shapes.conv, samples=samples.convs)
def conv(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    /,
    *,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
):
    """Convolution over one, two or three spatial axes (cross-correlation, as in deep learning).

    Parameters
    ----------
    x : Tensor
        Shape (N, C, n_1, …).
    weight : Tensor
        Shape (O, C / groups, k_1, …).
    bias : Tensor, optional
        Shape (O,).
    stride : int or sequence of int, default 1
        Step between outputs; one number, or one for each spatial axis. So are the next two.
    padding : int or sequence of int, default 0
        Zeros added on both sides of an axis; (k - 1) / 2 keeps the size of an odd kernel.
    dilation : int or sequence of int, default 1
        Step between the taps of the kernel.
    groups : int, default 1
        Group i of the output channels sees group i of the input channels only.

    Returns
    -------
    Tensor
        Shape (N, O, m_1, …) with m = (n + 2 padding - dilation (k - 1) - 1) // stride + 1.

    Raises
    ------
    ShapeError
        If the shapes do not fit one another or the kernel is larger than the padded input.

    Notes
    -----
    y[n, o, p] = bias[o] + sum over c, t of x[n, c, p · stride + t · dilation - padding] w[o, c, t].
    Channels of the result are adjacent in memory. In float32, kernels of 3 taps at stride 1 with
    enough channels are computed by Winograd's method: the norm of the rounding error stays a few
    1e-6 of the norm of the result, but a small output beside a large one within 4 positions has
    the error of the large one; ``fg.config.conv = "direct"`` avoids that. An output is not finite
    only where the sum is not. Neither threads nor the rest of the batch change a bit of the result.

    References
    ----------
    V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning", 2016,
    arXiv:1603.07285. A. Lavin, S. Gray, "Fast algorithms for convolutional neural networks", CVPR
    2016, arXiv:1509.09308.

    Examples
    --------
    Differences of neighbors:

    >>> import fieldgrad.engine as fg
    >>> x = fg.tensor([[[1.0, 4.0, 9.0, 16.0]]])
    >>> fg.conv(x, fg.tensor([[[-1.0, 1.0]]])).tolist()
    [[[3.0, 5.0, 7.0]]]
    """


@conv.vjp
def _(g, x, weight, x_shape, weight_shape, stride, padding, dilation, groups, needs):
    window = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    kernel_size = weight_shape[2:]
    missing = shapes.output_padding(
        x_shape[2:], g.shape[2:], kernel_size, stride=stride, padding=padding, dilation=dilation
    )
    return (
        conv_transpose(g, weight, output_padding=missing, **window) if needs[0] else None,
        conv_weight(x, g, kernel_size=kernel_size, **window) if needs[1] else None,
        sum(g, axis=(0, *range(2, g.ndim))) if needs[2] else None,
    )


@op(
    kernel="conv_transpose",
    floating=True,
    bilinear=True,
    shape=shapes.conv_transpose,
    samples=samples.transposed_convs,
)
def conv_transpose(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    /,
    *,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    output_padding: PerAxis = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
):
    """Transposed convolution: the gradient of `conv` for its input, used to enlarge.

    Parameters
    ----------
    x : Tensor
        Shape (N, C, m_1, …).
    weight : Tensor
        Shape (C, O / groups, k_1, …): that of the convolution from O to C channels it transposes.
    bias : Tensor, optional
        Shape (O,).
    stride : int or sequence of int, default 1
        Factor of enlargement; one number, or one for each spatial axis. So are the next three.
    padding : int or sequence of int, default 0
        Cut off from both sides of the result.
    output_padding : int or sequence of int, default 0
        Added to the far end of the result, less than stride: several sizes shrink to the same m.
    dilation : int or sequence of int, default 1
        Step between the taps of the kernel.
    groups : int, default 1
        Group i of the output channels sees group i of the input channels only.

    Returns
    -------
    Tensor
        Shape (N, O, n_1, …) with n = (m - 1) stride - 2 padding + dilation (k - 1) + 1 +
        output_padding.

    Raises
    ------
    ShapeError
        If the shapes do not fit one another or nothing would be left.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> x = fg.tensor([[[1.0, 2.0]]])
    >>> fg.conv_transpose(x, fg.tensor([[[1.0, 10.0]]]), stride=2).tolist()
    [[[1.0, 10.0, 2.0, 20.0]]]
    """


@conv_transpose.vjp
def _(g, x, weight, weight_shape, stride, padding, dilation, groups, needs):
    window = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return (
        conv(g, weight, **window) if needs[0] else None,
        conv_weight(g, x, kernel_size=weight_shape[2:], **window) if needs[1] else None,
        sum(g, axis=(0, *range(2, g.ndim))) if needs[2] else None,
    )


@op(
    kernel="conv_weight",
    floating=True,
    bilinear=True,
    shape=shapes.conv_weight,
    samples=samples.conv_weights,
)
def conv_weight(
    x: TensorLike,
    g: TensorLike,
    /,
    *,
    kernel_size: PerAxis,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
):
    """Gradient of ``conv(x, weight)`` for its weight, given the gradient for its output.

    Parameters
    ----------
    x : Tensor
        Input of the convolution, shape (N, C, n_1, …).
    g : Tensor
        Shape of its output, (N, O, m_1, …).
    kernel_size : sequence of int
        (k_1, …), since several kernels may lead from n to m.
    stride, padding, dilation : int or sequence of int
        Those of the convolution.
    groups : int, default 1
        Likewise.

    Returns
    -------
    Tensor
        Shape (O, C / groups, k_1, …).
    """


@conv_weight.vjp
def _(h, x, g, x_shape, g_shape, kernel_size, stride, padding, dilation, groups, needs):
    window = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    missing = shapes.output_padding(
        x_shape[2:], g_shape[2:], kernel_size, stride=stride, padding=padding, dilation=dilation
    )
    return (
        conv_transpose(g, h, output_padding=missing, **window) if needs[0] else None,
        conv(x, h, **window) if needs[1] else None,
    )
