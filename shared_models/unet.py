"""The U-Net, in the plain form that nnU-Net configures.

References
----------
Ronneberger, Fischer, Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation",
MICCAI 2015, arXiv:1505.04597, fig. 1.
Isensee, Jaeger, Kohl, Petersen, Maier-Hein, "nnU-Net: a self-configuring method for deep
learning-based biomedical image segmentation", Nature Methods 18 (2021),
doi:10.1038/s41592-020-01008-z: strided convolutions for pooling, instance normalization, leaky
ReLU, deep supervision.
"""

import math
from collections.abc import Sequence

from fieldgrad.engine import Tensor, concat, nn
from fieldgrad.engine.errors import ShapeError

__all__ = ["UNet"]

NEGATIVE_SLOPE = 0.01  # leaky ReLU, as in nnU-Net


class Block(nn.Module):
    """Convolution, instance normalization, leaky ReLU.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels before and after.
    kernel_size, stride : sequence of int
        Per spatial axis.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sequence[int],
        stride: Sequence[int] | int = 1,
    ) -> None:
        super().__init__()
        # Instance normalization subtracts the mean, so a bias before it would have no effect.
        self.conv = nn.Conv(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            bias=False,
            negative_slope=NEGATIVE_SLOPE,
        )
        self.norm = nn.InstanceNorm(out_channels, negative_slope=NEGATIVE_SLOPE)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, in_channels, spatial…) to (batch, out_channels, spatial / stride…)."""
        return self.norm(self.conv(x))


class UNet(nn.Module):
    """U-Net with n spatial axes.

    The encoder halves the resolution from stage to stage by strided convolutions; the decoder
    doubles it by transposed convolutions, joins the encoder's map of that resolution, and
    convolves. A 1x1 convolution gives the logits. With deep supervision every decoder stage gives
    logits while training.

    Parameters
    ----------
    in_channels : int
        Channels of the images.
    n_classes : int
        Classes of the segmentation, background included.
    features : sequence of int
        Channels of each stage, finest first; their number is the number of stages.
    kernel_sizes : sequence of sequence of int, optional
        Per stage and axis; default 3 everywhere.
    strides : sequence of sequence of int, optional
        Per stage and axis; default 1 for the first stage and 2 for the others.
    n_axes : int, default 3
        Spatial axes, where kernel_sizes and strides are not given.
    n_convs : int, default 2
        Convolution blocks per stage, in encoder and decoder.
    deep_supervision : bool, default False
        While training, return the logits of all decoder stages, finest first.

    Raises
    ------
    ShapeError
        If there are fewer than two stages, or kernels or strides are missing for some.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> from fieldgrad.shared_models import UNet
    >>> net = UNet(1, 3, features=(4, 8), n_axes=2)
    >>> net(fg.zeros((1, 1, 8, 12))).shape
    (1, 3, 8, 12)
    """

    def __init__(
        self,
        in_channels: int,
        n_classes: int,
        *,
        features: Sequence[int] = (32, 64, 128, 256),
        kernel_sizes: Sequence[Sequence[int]] | None = None,
        strides: Sequence[Sequence[int]] | None = None,
        n_axes: int = 3,
        n_convs: int = 2,
        deep_supervision: bool = False,
    ) -> None:
        super().__init__()
        n_stages = len(features)
        if strides is not None:
            n_axes = len(strides[0])
        elif kernel_sizes is not None:
            n_axes = len(kernel_sizes[0])
        kernels = kernel_sizes or [(3,) * n_axes] * n_stages
        steps = strides or [(1,) * n_axes] + [(2,) * n_axes] * (n_stages - 1)
        if n_stages < 2:
            raise ShapeError(
                f"UNet: features = {tuple(features)} makes {n_stages} stage; expected at least two."
            )
        if not len(kernels) == len(steps) == n_stages:
            raise ShapeError(
                f"UNet: {n_stages} stages by features = {tuple(features)}, but {len(kernels)} "
                f"kernel_sizes and {len(steps)} strides; expected one of each for every stage."
            )
        self.deep_supervision = deep_supervision
        self.divisor = tuple(math.prod(step[axis] for step in steps) for axis in range(n_axes))

        encoder = []
        channels = in_channels
        for width, kernel, step in zip(features, kernels, steps, strict=True):
            blocks = [Block(channels, width, kernel, step)]
            blocks += [Block(width, width, kernel) for _ in range(n_convs - 1)]
            encoder.append(nn.Sequential(*blocks))
            channels = width
        self.encoder = nn.ModuleList(encoder)

        ups, decoder, heads = [], [], []
        for i in range(n_stages - 2, -1, -1):
            ups.append(
                nn.ConvTranspose(features[i + 1], features[i], steps[i + 1], stride=steps[i + 1])
            )
            blocks = [Block(2 * features[i], features[i], kernels[i])]
            blocks += [Block(features[i], features[i], kernels[i]) for _ in range(n_convs - 1)]
            decoder.append(nn.Sequential(*blocks))
            heads.append(nn.Conv(features[i], n_classes, (1,) * n_axes))
        self.up = nn.ModuleList(ups)
        self.decoder = nn.ModuleList(decoder)
        self.head = nn.ModuleList(heads if deep_supervision else heads[-1:])

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Logits of each voxel.

        Parameters
        ----------
        x : Tensor
            Shape (batch, in_channels, spatial…), each spatial size divisible by the product of the
            strides along its axis (`divisor`).

        Returns
        -------
        Tensor or list of Tensor
            Shape (batch, n_classes, spatial…). With deep supervision, while training: a list,
            finest first, each further entry smaller by that stage's stride.

        Raises
        ------
        ShapeError
            If the number of axes is not that of the network, or a spatial size does not divide.
        """
        if x.ndim != 2 + len(self.divisor):
            raise ShapeError(
                f"UNet: x has shape {x.shape}; expected (batch, channel) and {len(self.divisor)} "
                "spatial axes. Add missing axes with reshape, or choose another n_axes."
            )
        for axis, (n, d) in enumerate(zip(x.shape[2:], self.divisor, strict=True)):
            if n % d:
                raise ShapeError(
                    f"UNet: spatial axis {axis} has {n} elements, not divisible by {d}; pad it to "
                    f"{n + -n % d}, or use fewer stages."
                )
        skips = []
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)  # (batch, features[i], spatial / strides…)
        skips.pop()
        logits: list[Tensor] = []
        heads = list(self.head)
        several = self.deep_supervision and self.training
        for i, (up, stage) in enumerate(zip(self.up, self.decoder, strict=True)):
            x = stage(concat([up(x), skips.pop()], axis=1))
            if several:
                logits.insert(0, heads[i](x))
        return logits if several else heads[-1](x)
