"""Random numbers of the engine: one generator, seeded by the user, saved with a run."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import DTypeError
from fieldgrad.engine.op import TensorLike, as_tensor
from fieldgrad.engine.ops.softmax import softmax

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


def normal(
    shape: int | Sequence[int],
    *,
    mean: float = 0.0,
    std: float = 1.0,
    dtype: DTypeLike = np.float32,
    generator: np.random.Generator | None = None,
) -> Tensor:
    """Tensor of normally distributed numbers.

    Parameters
    ----------
    shape : int or sequence of int
        Length of each axis.
    mean, std : float
        Mean and standard deviation; 0 and 1 by default.
    dtype : dtype_like, default float32
        Float32 or float64.
    generator : numpy.random.Generator, optional
        What to draw from; the engine's generator by default.

    Returns
    -------
    Tensor
        Of that shape.
    """
    numbers = _source(generator).standard_normal(shape, dtype=_floating(dtype))
    return Tensor(np.asarray(numbers * _number(std, dtype) + _number(mean, dtype)))


def uniform(
    shape: int | Sequence[int],
    *,
    low: float = 0.0,
    high: float = 1.0,
    dtype: DTypeLike = np.float32,
    generator: np.random.Generator | None = None,
) -> Tensor:
    """Tensor of numbers uniform in [low, high).

    Parameters
    ----------
    shape : int or sequence of int
        Length of each axis.
    low, high : float
        Bounds; 0 and 1 by default.
    dtype : dtype_like, default float32
        Float32 or float64.
    generator : numpy.random.Generator, optional
        What to draw from; the engine's generator by default.

    Returns
    -------
    Tensor
        Of that shape.
    """
    numbers = _source(generator).random(shape, dtype=_floating(dtype))
    return Tensor(np.asarray(numbers * _number(high - low, dtype) + _number(low, dtype)))


def integers(
    low: int,
    high: int,
    shape: int | Sequence[int],
    *,
    dtype: DTypeLike = np.int64,
    generator: np.random.Generator | None = None,
) -> Tensor:
    """Tensor of whole numbers, each from low to high - 1 with the same probability.

    Parameters
    ----------
    low, high : int
        The smallest number, and the first one that is too large.
    shape : int or sequence of int
        Length of each axis.
    dtype : dtype_like, default int64
        Any numeric dtype that holds the numbers.
    generator : numpy.random.Generator, optional
        What to draw from; the engine's generator by default.

    Returns
    -------
    Tensor
        Of that shape.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> bool((fg.random.integers(0, 3, (100,)) < 3).numpy().all())
    True
    """
    return Tensor(np.asarray(_source(generator).integers(low, high, shape), dtype))


def permutation(n: int, *, generator: np.random.Generator | None = None) -> Tensor:
    """The numbers 0 to n - 1 in random order, each order with the same probability.

    Parameters
    ----------
    n : int
        How many.
    generator : numpy.random.Generator, optional
        What to draw from; the engine's generator by default.

    Returns
    -------
    Tensor
        Shape (n,), int64.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> sorted(fg.random.permutation(3).tolist())
    [0, 1, 2]
    """
    return Tensor(_source(generator).permutation(n))


def gumbel_softmax(
    logits: TensorLike,
    /,
    *,
    tau: float = 1.0,
    hard: bool = False,
    axis: int = -1,
    generator: np.random.Generator | None = None,
) -> Tensor:
    """Nearly one-hot samples of classes, with a gradient for the logits.

    Parameters
    ----------
    logits : Tensor
        Logarithms of the probabilities along the axis, up to a constant.
    tau : float, default 1.0
        Temperature: the smaller, the nearer to one-hot, and the noisier the gradient.
    hard : bool, default False
        Whether to give exactly one-hot samples, with the gradient of the soft ones.
    axis : int, default -1
        Axis of the classes.
    generator : numpy.random.Generator, optional
        What to draw from; the engine's generator by default.

    Returns
    -------
    Tensor
        Shape of logits; sums to 1 along the axis.

    References
    ----------
    Jang, Gu, Poole, "Categorical reparameterization with Gumbel-softmax", ICLR 2017,
    arXiv:1611.01144.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.random.gumbel_softmax(fg.tensor([0.0, 50.0]), hard=True).tolist()
    [0.0, 1.0]
    """
    logits = as_tensor(logits, floating=True)
    noise = _source(generator).gumbel(size=logits.shape).astype(logits.dtype)
    soft = softmax((logits + noise) / tau, axis=axis)
    if not hard:
        return soft
    chosen = np.zeros(soft.shape, soft.dtype)
    best = np.expand_dims(np.argmax(soft.data, axis=axis), axis)
    np.put_along_axis(chosen, best, 1, axis=axis)
    return soft + Tensor(chosen - soft.data)


def _source(generator: np.random.Generator | None) -> np.random.Generator:
    return _generator if generator is None else generator


def _floating(dtype: DTypeLike) -> Any:
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise DTypeError(f"dtype = {dtype}; expected float32 or float64. Convert with .astype.")
    return np.dtype(dtype)


def _number(x: float, dtype: DTypeLike) -> Any:
    return np.asarray(x, dtype)[()]
