"""Windows as columns and back, and elements moved between channels and space.

`unfold` and `fold` are each other's gradients.
"""

import math
from collections.abc import Sequence

from fieldgrad.engine import samples, shapes
from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.op import TensorLike, as_tensor, op
from fieldgrad.engine.ops.layout import permute_dims, reshape
from fieldgrad.engine.shapes import PerAxis

__all__ = ["channel_shuffle", "fold", "pixel_shuffle", "pixel_unshuffle", "unfold"]


@op(kernel="unfold", shape=shapes.unfold, samples=samples.unfolds)
def unfold(
    x: TensorLike,
    /,
    kernel_size: PerAxis,
    *,
    dilation: PerAxis = 1,
    padding: PerAxis = 0,
    stride: PerAxis = 1,
):
    """Windows of x as columns.

    Parameters
    ----------
    x : Tensor
        Shape (N, C, n_1, …) with one to three spatial axes.
    kernel_size : int or sequence of int
        Elements of a window; one number, or one for each spatial axis. So are the others.
    dilation : int or sequence of int, default 1
        Step between the elements of a window.
    padding : int or sequence of int, default 0
        Zeros added on both sides of an axis.
    stride : int or sequence of int, default 1
        Step between windows.

    Returns
    -------
    Tensor
        Shape (N, C · elements of a window, number of windows).

    Raises
    ------
    ShapeError
        If no window fits.

    See Also
    --------
    conv : Convolution, which needs no columns.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.unfold(fg.tensor([[[1.0, 2.0, 3.0]]]), 2).tolist()
    [[[1.0, 2.0], [2.0, 3.0]]]
    """


@unfold.vjp
def _(g, x_shape, kernel_size, dilation, padding, stride):
    return fold(g, x_shape[2:], kernel_size, dilation=dilation, padding=padding, stride=stride)


@op(kernel="fold", shape=shapes.fold, samples=samples.folds)
def fold(
    x: TensorLike,
    /,
    output_size: PerAxis,
    kernel_size: PerAxis,
    *,
    dilation: PerAxis = 1,
    padding: PerAxis = 0,
    stride: PerAxis = 1,
):
    """Sum of columns where their windows lie: the gradient of `unfold`.

    Parameters
    ----------
    x : Tensor
        Shape (N, C · elements of a window, number of windows).
    output_size : int or sequence of int
        Spatial sizes of the result; one number stands for two axes.
    kernel_size, dilation, padding, stride : int or sequence of int
        Those of `unfold`.

    Returns
    -------
    Tensor
        Shape (N, C, n_1, …). Where windows overlap they are added.

    Raises
    ------
    ShapeError
        If x does not have the shape that `unfold` gives.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.fold(fg.tensor([[[1.0, 2.0], [2.0, 3.0]]]), (3,), 2).tolist()
    [[[1.0, 4.0, 3.0]]]
    """


@fold.vjp
def _(g, kernel_size, dilation, padding, stride):
    return unfold(g, kernel_size, dilation=dilation, padding=padding, stride=stride)


def pixel_shuffle(x: TensorLike, /, upscale_factor: int) -> Tensor:
    """Blocks of channels become blocks of pixels.

    Parameters
    ----------
    x : Tensor
        Shape (…, C · r², H, W).
    upscale_factor : int
        Factor r of both axes.

    Returns
    -------
    Tensor
        Shape (…, C, H · r, W · r).

    Raises
    ------
    ShapeError
        If the channels are no multiple of r².

    References
    ----------
    Shi et al., "Real-time single image and video super-resolution using an efficient sub-pixel
    convolutional neural network", CVPR 2016, arXiv:1609.05158, eq. 4.
    """
    x, r = as_tensor(x), upscale_factor
    if x.ndim < 3 or r < 1 or x.shape[-3] % (r * r):
        raise ShapeError(
            f"pixel_shuffle: x has shape {x.shape}, upscale_factor is {r}; expected (…, channel, "
            f"row, column) with a multiple of {r * r} channels."
        )
    *batch, c, h, w = x.shape
    n = len(batch)
    x = reshape(x, (*batch, c // (r * r), r, r, h, w))
    x = permute_dims(x, (*range(n), n, n + 3, n + 1, n + 4, n + 2))
    return reshape(x, (*batch, c // (r * r), h * r, w * r))


def pixel_unshuffle(x: TensorLike, /, downscale_factor: int) -> Tensor:
    """Blocks of pixels become blocks of channels: the opposite of `pixel_shuffle`.

    Parameters
    ----------
    x : Tensor
        Shape (…, C, H · r, W · r).
    downscale_factor : int
        Factor r of both axes.

    Returns
    -------
    Tensor
        Shape (…, C · r², H, W).

    Raises
    ------
    ShapeError
        If rows or columns are no multiple of r.
    """
    x, r = as_tensor(x), downscale_factor
    if x.ndim < 3 or r < 1 or x.shape[-2] % r or x.shape[-1] % r:
        raise ShapeError(
            f"pixel_unshuffle: x has shape {x.shape}, downscale_factor is {r}; expected (…, "
            f"channel, row, column) with multiples of {r} rows and columns."
        )
    *batch, c, h, w = x.shape
    n = len(batch)
    x = reshape(x, (*batch, c, h // r, r, w // r, r))
    x = permute_dims(x, (*range(n), n, n + 2, n + 4, n + 1, n + 3))
    return reshape(x, (*batch, c * r * r, h // r, w // r))


def channel_shuffle(x: TensorLike, /, groups: int) -> Tensor:
    """Channels reordered so that each new group holds some of every old one.

    Parameters
    ----------
    x : Tensor
        Shape (N, C, …).
    groups : int
        A divisor of C.

    Returns
    -------
    Tensor
        Shape of x.

    Raises
    ------
    ShapeError
        If the groups do not divide the channels.

    References
    ----------
    Zhang, Zhou, Lin, Sun, "ShuffleNet", CVPR 2018, arXiv:1707.01083, section 3.1.
    """
    x = as_tensor(x)
    if x.ndim < 3 or groups < 1 or x.shape[1] % groups:
        raise ShapeError(
            f"channel_shuffle: x has shape {x.shape}, groups is {groups}; expected (batch, "
            "channel, spatial…) with a multiple of that many channels."
        )
    n, c, *space = x.shape
    rest = math.prod(space)
    parts: Sequence[int] = (n, groups, c // groups, rest)
    return reshape(permute_dims(reshape(x, parts), (0, 2, 1, 3)), x.shape)
