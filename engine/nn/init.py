"""Initial values of parameters, drawn from the engine's generator."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine.ops.random import generator

__all__ = ["kaiming_normal", "uniform_fan_in"]


def _fan_in(shape: Sequence[int]) -> int:
    """Number of inputs that one output sums over, for weights of shape (out, in, kernel…)."""
    return math.prod(shape[1:])


def kaiming_normal(shape: Sequence[int], *, negative_slope: float = 0.0) -> NDArray[Any]:
    """Normal with variance 2 / ((1 + negative_slope²) fan_in): keeps the variance through ReLUs.

    Parameters
    ----------
    shape : sequence of int
        (out, in, kernel…).
    negative_slope : float, default 0.0
        Slope of the leaky ReLU that follows.

    Returns
    -------
    ndarray of float32
        Of that shape.

    References
    ----------
    He, Zhang, Ren, Sun, "Delving Deep into Rectifiers", ICCV 2015, arXiv:1502.01852, eq. 15.
    """
    std = math.sqrt(2.0 / ((1.0 + negative_slope**2) * max(_fan_in(shape), 1)))
    return generator().standard_normal(tuple(shape), dtype=np.float32) * np.float32(std)


def uniform_fan_in(shape: Sequence[int], fan_in: int | None = None) -> NDArray[Any]:
    """Uniform in ±1 / sqrt(fan_in), the usual start of linear layers and biases.

    Parameters
    ----------
    shape : sequence of int
        Shape of the parameter.
    fan_in : int, optional
        Default: from the shape (out, in, kernel…).

    Returns
    -------
    ndarray of float32
        Of that shape.
    """
    bound = 1.0 / math.sqrt(max(_fan_in(shape) if fan_in is None else fan_in, 1))
    return (generator().random(tuple(shape), dtype=np.float32) * 2 - 1) * np.float32(bound)
