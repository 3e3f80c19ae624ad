"""Normalization layers: weight, bias and, for batches, running statistics."""

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.nn.module import Module, Parameter
from fieldgrad.engine.ops import norm

__all__ = ["BatchNorm", "GroupNorm", "InstanceNorm", "LayerNorm"]


class InstanceNorm(Module):
    """Normalize each channel of each batch entry over its positions.

    Parameters
    ----------
    channels : int
        Size of the channel axis.
    eps : float, default 1e-5
        Added to the variance.
    negative_slope : float, default 1.0
        Slope below 0 of a leaky ReLU on the result, at no cost in time; 1 leaves it out.
    affine : bool, default True
        Whether to train a factor and an offset for each channel.
    """

    def __init__(
        self,
        channels: int,
        *,
        eps: float = 1e-5,
        negative_slope: float = 1.0,
        affine: bool = True,
    ) -> None:
        super().__init__()
        self.channels, self.eps, self.negative_slope = channels, eps, negative_slope
        self.weight = Parameter([1.0] * channels) if affine else None
        self.bias = Parameter([0.0] * channels) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        """Normalize x of shape (batch, channels, spatial…)."""
        return norm.instance_norm(
            x, self.weight, self.bias, eps=self.eps, negative_slope=self.negative_slope
        )

    def extra_repr(self) -> str:
        """Sizes."""
        slope = "" if self.negative_slope == 1.0 else f", leaky ReLU {self.negative_slope}"
        return f"{self.channels}{slope}"


class GroupNorm(Module):
    """Normalize groups of channels of each batch entry over channels and positions.

    Parameters
    ----------
    groups : int
        Number of groups, a divisor of channels.
    channels : int
        Size of the channel axis.
    eps : float, default 1e-5
        Added to the variance.
    negative_slope : float, default 1.0
        Slope below 0 of a leaky ReLU on the result, at no cost in time; 1 leaves it out.
    affine : bool, default True
        Whether to train a factor and an offset for each channel.
    """

    def __init__(
        self,
        groups: int,
        channels: int,
        *,
        eps: float = 1e-5,
        negative_slope: float = 1.0,
        affine: bool = True,
    ) -> None:
        super().__init__()
        if groups < 1 or channels % groups:
            raise ShapeError(
                f"GroupNorm: {channels} channels do not split into {groups} groups; expected a "
                "divisor."
            )
        self.groups, self.channels = groups, channels
        self.eps, self.negative_slope = eps, negative_slope
        self.weight = Parameter([1.0] * channels) if affine else None
        self.bias = Parameter([0.0] * channels) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        """Normalize x of shape (batch, channels, …)."""
        return norm.group_norm(
            x,
            self.weight,
            self.bias,
            groups=self.groups,
            eps=self.eps,
            negative_slope=self.negative_slope,
        )

    def extra_repr(self) -> str:
        """Sizes."""
        return f"{self.channels} in {self.groups} groups"


class BatchNorm(Module):
    """Normalize each channel by the batch's statistics, in a finished model by their average.

    Parameters
    ----------
    channels : int
        Size of the channel axis.
    eps : float, default 1e-5
        Added to the variance.
    momentum : float, default 0.1
        Share of a new batch in the running averages.
    negative_slope : float, default 1.0
        Slope below 0 of a leaky ReLU on the result, at no cost in time; 1 leaves it out.
    affine : bool, default True
        Whether to train a factor and an offset for each channel.

    Notes
    -----
    The running variance averages the unbiased one, divided by the number of elements less one.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> layer = fg.nn.BatchNorm(1, momentum=1.0)
    >>> layer(fg.tensor([[2.0], [4.0]])).numpy().round(3).tolist()
    [[-1.0], [1.0]]
    >>> layer.running_mean.tolist(), layer.running_var.tolist()
    ([3.0], [2.0])
    """

    running_mean: NDArray[np.float32]
    running_var: NDArray[np.float32]

    def __init__(
        self,
        channels: int,
        *,
        eps: float = 1e-5,
        momentum: float = 0.1,
        negative_slope: float = 1.0,
        affine: bool = True,
    ) -> None:
        super().__init__()
        self.channels, self.eps, self.momentum = channels, eps, momentum
        self.negative_slope = negative_slope
        self.weight = Parameter([1.0] * channels) if affine else None
        self.bias = Parameter([0.0] * channels) if affine else None
        self.register_buffer("running_mean", np.zeros(channels, np.float32))
        self.register_buffer("running_var", np.ones(channels, np.float32))

    def forward(self, x: Tensor) -> Tensor:
        """Normalize x of shape (batch, channels, …); while training, update the averages."""
        settings = {"eps": self.eps, "negative_slope": self.negative_slope}
        running = (self.running_mean, self.running_var)
        if not self.training:
            mean, var = running
            return norm.given_norm(x, self.weight, self.bias, mean=mean, var=var, **settings)
        return norm.batch_norm(
            x, self.weight, self.bias, running=running, momentum=self.momentum, **settings
        )

    def extra_repr(self) -> str:
        """Sizes."""
        return f"{self.channels}"


class LayerNorm(Module):
    """Normalize over the last axis.

    Parameters
    ----------
    features : int
        Size of the last axis.
    eps : float, default 1e-5
        Added to the variance.
    affine : bool, default True
        Whether to train a factor and an offset for each feature.
    """

    def __init__(self, features: int, *, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__()
        self.features, self.eps = features, eps
        self.weight = Parameter([1.0] * features) if affine else None
        self.bias = Parameter([0.0] * features) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        """Normalize x of shape (…, features)."""
        return norm.layer_norm(x, self.weight, self.bias, eps=self.eps)

    def extra_repr(self) -> str:
        """Sizes."""
        return f"{self.features}"
