"""Dropout layers: they act while training and pass everything on in a finished model."""

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.nn.module import Module
from fieldgrad.engine.ops import dropout

__all__ = ["AlphaDropout", "Dropout", "DropoutChannels", "FeatureAlphaDropout"]


class Dropout(Module):
    """Set elements to 0 with probability p while training; see `fieldgrad.engine.dropout`.

    Parameters
    ----------
    p : float, default 0.5
        Probability.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"{type(self).__name__}: p = {p}; expected 0 <= p <= 1.")
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Apply dropout while training, nothing otherwise."""
        return self.drop(x) if self.training and self.p else x

    def drop(self, x: Tensor) -> Tensor:
        """Apply dropout; what other kinds of it change.

        Parameters
        ----------
        x : Tensor
            Shape (batch, channel, …), or any for kinds that drop single elements.

        Returns
        -------
        Tensor
            Shape of x.
        """
        return dropout.dropout(x, self.p)

    def extra_repr(self) -> str:
        """Settings."""
        return f"{self.p}"


class DropoutChannels(Dropout):
    """Set whole channels to 0 with probability p while training; PyTorch's Dropout1d to 3d.

    Parameters
    ----------
    p : float, default 0.5
        Probability.
    """

    def drop(self, x: Tensor) -> Tensor:
        """Apply dropout to x of shape (batch, channel, …)."""
        return dropout.dropout_channels(x, self.p)


class AlphaDropout(Dropout):
    """Dropout that keeps mean 0 and variance 1, for networks of `SELU`.

    Parameters
    ----------
    p : float, default 0.5
        Probability.
    """

    def drop(self, x: Tensor) -> Tensor:
        """Apply dropout to x of any shape."""
        return dropout.alpha_dropout(x, self.p)


class FeatureAlphaDropout(Dropout):
    """`AlphaDropout` of whole channels.

    Parameters
    ----------
    p : float, default 0.5
        Probability.
    """

    def drop(self, x: Tensor) -> Tensor:
        """Apply dropout to x of shape (batch, channel, …)."""
        return dropout.feature_alpha_dropout(x, self.p)
