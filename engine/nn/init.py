"""Initial values of parameters, drawn from the engine's generator."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.ops.random import generator

__all__ = [
    "kaiming_normal",
    "kaiming_uniform",
    "orthogonal",
    "standard_normal",
    "truncated_normal",
    "uniform_fan_in",
    "xavier_normal",
    "xavier_uniform",
]


def _fan_in(shape: Sequence[int]) -> int:
    """Number of inputs that one output sums over, for weights of shape (out, in, kernel…)."""
    return math.prod(shape[1:])


def _fan_out(shape: Sequence[int]) -> int:
    """Number of outputs that one input goes to."""
    return math.prod(shape[:1]) * math.prod(shape[2:])


def _uniform(shape: Sequence[int], bound: float) -> NDArray[Any]:
    return (generator().random(tuple(shape), dtype=np.float32) * 2 - 1) * np.float32(bound)


def standard_normal(shape: Sequence[int], *, std: float = 1.0) -> NDArray[Any]:
    """Normal with mean 0.

    Parameters
    ----------
    shape : sequence of int
        Shape of the parameter.
    std : float, default 1.0
        Standard deviation.

    Returns
    -------
    ndarray of float32
        Of that shape.
    """
    return generator().standard_normal(tuple(shape), dtype=np.float32) * np.float32(std)


def truncated_normal(shape: Sequence[int], *, std: float = 1.0, limit: float = 2.0) -> NDArray[Any]:
    """Normal with mean 0, drawn again where it is beyond a limit.

    Parameters
    ----------
    shape : sequence of int
        Shape of the parameter.
    std : float, default 1.0
        Standard deviation before values are drawn again.
    limit : float, default 2.0
        Largest absolute value, in standard deviations.

    Returns
    -------
    ndarray of float32
        Of that shape.
    """
    values = generator().standard_normal(tuple(shape), dtype=np.float32)
    while (outside := np.abs(values) > limit).any():
        values[outside] = generator().standard_normal(int(outside.sum()), dtype=np.float32)
    return values * np.float32(std)


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


def kaiming_uniform(shape: Sequence[int], *, negative_slope: float = 0.0) -> NDArray[Any]:
    """Uniform with the variance of `kaiming_normal`.

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
    """
    return _uniform(shape, math.sqrt(6.0 / ((1.0 + negative_slope**2) * max(_fan_in(shape), 1))))


def xavier_uniform(shape: Sequence[int], *, gain: float = 1.0) -> NDArray[Any]:
    """Uniform with variance 2 gain² / (fan_in + fan_out): keeps it forward and back.

    Parameters
    ----------
    shape : sequence of int
        (out, in, kernel…).
    gain : float, default 1.0
        Factor of the standard deviation.

    Returns
    -------
    ndarray of float32
        Of that shape.

    References
    ----------
    Glorot, Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    AISTATS 2010, eq. 16.
    """
    return _uniform(shape, gain * math.sqrt(6.0 / max(_fan_in(shape) + _fan_out(shape), 1)))


def xavier_normal(shape: Sequence[int], *, gain: float = 1.0) -> NDArray[Any]:
    """Normal with the variance of `xavier_uniform`.

    Parameters
    ----------
    shape : sequence of int
        (out, in, kernel…).
    gain : float, default 1.0
        Factor of the standard deviation.

    Returns
    -------
    ndarray of float32
        Of that shape.
    """
    return standard_normal(
        shape, std=gain * math.sqrt(2.0 / max(_fan_in(shape) + _fan_out(shape), 1))
    )


def orthogonal(shape: Sequence[int], *, gain: float = 1.0) -> NDArray[Any]:
    """Orthonormal rows or columns, whichever are fewer, of the matrix (out, in · kernel).

    Parameters
    ----------
    shape : sequence of int
        (out, in, kernel…).
    gain : float, default 1.0
        Length of each row or column.

    Returns
    -------
    ndarray of float32
        Of that shape.

    Raises
    ------
    ShapeError
        If there are less than two axes.

    References
    ----------
    Saxe, McClelland, Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear
    neural networks", ICLR 2014, arXiv:1312.6120.
    """
    if len(shape) < 2:
        raise ShapeError(f"orthogonal: shape is {tuple(shape)}; expected (out, in, kernel…).")
    rows, columns = shape[0], _fan_in(shape)
    drawn = generator().standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(drawn)
    q = q * np.sign(np.diagonal(r))  # one of the decompositions, evenly distributed
    matrix = q if rows >= columns else q.T
    return (gain * matrix.reshape(tuple(shape))).astype(np.float32)


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
    return _uniform(shape, 1.0 / math.sqrt(max(_fan_in(shape) if fan_in is None else fan_in, 1)))
