"""Normalization layers: weight, bias and, for batches, running statistics."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.nn.module import Module, Parameter
from fieldgrad.engine.ops import norm

__all__ = ["BatchNorm", "GroupNorm", "InstanceNorm", "LayerNorm", "LocalResponseNorm", "RMSNorm"]


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
    """Normalize over the last axis, or the last axes.

    Parameters
    ----------
    features : int or sequence of int
        Size of the last axis, or sizes of the last axes.
    eps : float, default 1e-5
        Added to the variance.
    affine : bool, default True
        Whether to train a factor and an offset for each feature; they begin at 1 and 0.
    """

    def __init__(
        self, features: int | Sequence[int], *, eps: float = 1e-5, affine: bool = True
    ) -> None:
        super().__init__()
        self.features, self.eps = _sizes(features), eps
        self.weight = Parameter(np.ones(self.features, np.float32)) if affine else None
        self.bias = Parameter(np.zeros(self.features, np.float32)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        """Normalize x of shape (…, features)."""
        _check_features("LayerNorm", x, self.features)
        n_axes = len(self.features)
        return norm.layer_norm(x, self.weight, self.bias, n_axes=n_axes, eps=self.eps)

    def extra_repr(self) -> str:
        """Sizes."""
        return ", ".join(map(str, self.features))


class RMSNorm(Module):
    """Divide by the root of the mean square over the last axis, or the last axes.

    Parameters
    ----------
    features : int or sequence of int
        Size of the last axis, or sizes of the last axes.
    eps : float, optional
        Added to the mean square; default the dtype's distance from 1 to the next number.
    affine : bool, default True
        Whether to train a factor for each feature; they begin at 1.
    """

    def __init__(
        self, features: int | Sequence[int], *, eps: float | None = None, affine: bool = True
    ) -> None:
        super().__init__()
        self.features, self.eps = _sizes(features), eps
        self.weight = Parameter(np.ones(self.features, np.float32)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        """Normalize x of shape (…, features)."""
        _check_features("RMSNorm", x, self.features)
        return norm.rms_norm(x, self.weight, n_axes=len(self.features), eps=self.eps)

    def extra_repr(self) -> str:
        """Sizes."""
        return ", ".join(map(str, self.features))


class LocalResponseNorm(Module):
    """Divide by a power of the mean square over neighboring channels.

    Parameters
    ----------
    size : int
        Number of channels that are averaged.
    alpha, beta, k : float
        As for `fieldgrad.engine.local_response_norm`.
    """

    def __init__(
        self, size: int, *, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
    ) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Tensor) -> Tensor:
        """Normalize x of shape (batch, channels, …)."""
        return norm.local_response_norm(x, self.size, alpha=self.alpha, beta=self.beta, k=self.k)

    def extra_repr(self) -> str:
        """Sizes."""
        return f"{self.size} channels"


def _sizes(features: int | Sequence[int]) -> tuple[int, ...]:
    return (features,) if isinstance(features, int) else tuple(features)


def _check_features(name: str, x: Tensor, features: tuple[int, ...]) -> None:
    if x.shape[x.ndim - len(features) :] != features:
        raise ShapeError(
            f"{name}: x has shape {x.shape}; expected it to end with {features}. Set features to "
            "the sizes of the last axes."
        )
