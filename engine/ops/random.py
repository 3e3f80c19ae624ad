"""Random numbers of the engine: one generator, seeded by the user, saved with a run."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fieldgrad.engine._core import Tensor

_generator = np.random.default_rng(0)


def generator() -> np.random.Generator:
    """The engine's generator: parameter initialization and dropout draw from it.

    Returns
    -------
    numpy.random.Generator
        The same object for the life of the process.
    """
    return _generator


def manual_seed(seed: int) -> np.random.Generator:
    """Start the engine's generator anew and return it.

    Parameters
    ----------
    seed : int
        The same seed gives the same numbers on every machine.

    Returns
    -------
    numpy.random.Generator
        The engine's generator.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> bool(fg.manual_seed(1).random() == fg.manual_seed(1).random())
    True
    """
    _generator.bit_generator.state = np.random.default_rng(seed).bit_generator.state
    return _generator


def get_state() -> dict[str, Any]:
    """The generator's state, plain numbers and text.

    Returns
    -------
    dict
        Can be written as JSON; for `set_state`.
    """
    return dict(_generator.bit_generator.state)


def set_state(state: dict[str, Any]) -> None:
    """Continue from a state that `get_state` gave.

    Parameters
    ----------
    state : dict
        From any process or machine.
    """
    _generator.bit_generator.state = state


def normal(shape: int | Sequence[int], *, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Float32 tensor of normally distributed numbers.

    Parameters
    ----------
    shape : int or sequence of int
        Length of each axis.
    mean, std : float
        Mean and standard deviation; 0 and 1 by default.

    Returns
    -------
    Tensor
        Of that shape.
    """
    return Tensor(
        _generator.standard_normal(shape, dtype=np.float32) * np.float32(std) + np.float32(mean)
    )


def uniform(shape: int | Sequence[int], *, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Float32 tensor of numbers uniform in [low, high).

    Parameters
    ----------
    shape : int or sequence of int
        Length of each axis.
    low, high : float
        Bounds; 0 and 1 by default.

    Returns
    -------
    Tensor
        Of that shape.
    """
    return Tensor(
        _generator.random(shape, dtype=np.float32) * np.float32(high - low) + np.float32(low)
    )


def dropout(x: Tensor, /, p: float = 0.5) -> Tensor:
    """x with each element set to 0 with probability p and the others scaled by 1 / (1 - p).

    Parameters
    ----------
    x : Tensor
        Any shape.
    p : float, default 0.5
        Probability, 0 <= p < 1.

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
    if not 0 <= p < 1:
        raise ValueError(f"dropout: p = {p}; expected 0 <= p < 1.")
    keep = _generator.random(x.shape, dtype=np.float32) >= p
    return x * (keep.astype(x.dtype) / x.dtype.type(1 - p))
