"""Dropout of elements, of whole channels, and for self-normalizing networks.

All draw from the engine's generator: the same seed drops the same elements.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.op import TensorLike, as_tensor
from fieldgrad.engine.ops.random import generator

__all__ = ["alpha_dropout", "dropout", "dropout_channels", "feature_alpha_dropout"]


def _kept(name: str, x: Tensor, p: float, whole_channels: bool) -> NDArray[Any]:
    """True for what stays, with probability 1 - p."""
    if not 0 <= p <= 1:
        raise ValueError(f"{name}: p = {p}; expected 0 <= p <= 1.")
    if whole_channels and x.ndim < 2:
        raise ShapeError(f"{name}: x has shape {x.shape}; expected (batch, channel, …).")
    shape = (*x.shape[:2], *(1,) * (x.ndim - 2)) if whole_channels else x.shape
    return generator().random(shape, dtype=np.float32) >= p


def _thinned(name: str, x: Tensor, p: float, whole_channels: bool) -> Tensor:
    kept = _kept(name, x, p, whole_channels)
    return x * (kept.astype(x.dtype) / x.dtype.type(1 - p if p < 1 else 1))


def dropout(x: TensorLike, /, p: float = 0.5) -> Tensor:
    """x with each element set to 0 with probability p and the others scaled by 1 / (1 - p).

    Parameters
    ----------
    x : Tensor
        Any shape.
    p : float, default 0.5
        Probability, 0 <= p <= 1.

    Returns
    -------
    Tensor
        Shape of x, with the same expected values.

    Raises
    ------
    ValueError
        If p is no such probability.

    References
    ----------
    Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", JMLR 15
    (2014), with the scaling at training time.
    """
    return _thinned("dropout", as_tensor(x, floating=True), p, False)


def dropout_channels(x: TensorLike, /, p: float = 0.5) -> Tensor:
    """x with each channel of each batch entry set to 0 with probability p, others scaled up.

    Neighbors in a map are much alike, so that dropping single elements would hide little.

    Parameters
    ----------
    x : Tensor
        Shape (batch, channel, …).
    p : float, default 0.5
        Probability, 0 <= p <= 1.

    Returns
    -------
    Tensor
        Shape of x, with the same expected values.

    Raises
    ------
    ValueError
        If p is no such probability.
    ShapeError
        If x has no channels.

    References
    ----------
    Tompson et al., "Efficient object localization using convolutional networks", CVPR 2015,
    arXiv:1411.4280, section 3.2.
    """
    return _thinned("dropout_channels", as_tensor(x, floating=True), p, True)


def alpha_dropout(x: TensorLike, /, p: float = 0.5) -> Tensor:
    """Dropout to the limit of `selu` that keeps mean 0 and variance 1.

    Parameters
    ----------
    x : Tensor
        Any shape.
    p : float, default 0.5
        Probability, 0 <= p <= 1.

    Returns
    -------
    Tensor
        Shape of x.

    Raises
    ------
    ValueError
        If p is no such probability.

    References
    ----------
    Klambauer, Unterthiner, Mayr, Hochreiter, "Self-normalizing neural networks", NeurIPS 2017,
    arXiv:1706.02515, section "New dropout technique".
    """
    x = as_tensor(x, floating=True)
    return _to_limit(x, _kept("alpha_dropout", x, p, False), p)


def feature_alpha_dropout(x: TensorLike, /, p: float = 0.5) -> Tensor:
    """`alpha_dropout` of whole channels.

    Parameters
    ----------
    x : Tensor
        Shape (batch, channel, …).
    p : float, default 0.5
        Probability, 0 <= p <= 1.

    Returns
    -------
    Tensor
        Shape of x.

    Raises
    ------
    ValueError
        If p is no such probability.
    ShapeError
        If x has no channels.
    """
    x = as_tensor(x, floating=True)
    return _to_limit(x, _kept("feature_alpha_dropout", x, p, True), p)


def _to_limit(x: Tensor, kept: NDArray[Any], p: float) -> Tensor:
    if p == 1:
        return x * 0.0
    limit = -1.7580993408473766  # of selu at minus infinity: -scale · alpha
    a = ((1 - p) * (1 + p * limit**2)) ** -0.5
    b = -a * p * limit
    return x * (kept * a).astype(x.dtype) + np.where(kept, b, a * limit + b).astype(x.dtype)
