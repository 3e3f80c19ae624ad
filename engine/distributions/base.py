"""What all distributions have: shapes, samples, densities, moments."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.autograd import no_grad
from fieldgrad.engine.op import TensorLike, as_tensor
from fieldgrad.engine.ops import random
from fieldgrad.engine.ops.arithmetic import (
    sqrt,
)
from fieldgrad.engine.ops.layout import broadcast_arrays

__all__ = ["Distribution", "parameters", "require_positive"]

Shape = int | Sequence[int]


class Distribution:
    """A probability distribution, or an array of independent ones.

    Parameters
    ----------
    batch_shape : tuple of int
        Shape of the array of distributions.
    event_shape : tuple of int, default ()
        Shape of one sample of one of them.
    """

    def __init__(self, batch_shape: tuple[int, ...], event_shape: tuple[int, ...] = ()) -> None:
        self.batch_shape = batch_shape
        self.event_shape = event_shape

    def rsample(self, shape: Shape = (), *, generator: np.random.Generator | None = None) -> Tensor:
        """Samples with gradients with respect to the parameters.

        Parameters
        ----------
        shape : int or sequence of int, default ()
            How many, as leading axes.
        generator : numpy.random.Generator, optional
            What to draw from; the engine's generator by default.

        Returns
        -------
        Tensor
            Shape shape + batch_shape + event_shape.

        Raises
        ------
        NotImplementedError
            If samples jump as the parameters change, as those of discrete distributions do.
        """
        raise NotImplementedError(
            f"{type(self).__name__}: samples have no gradient, they jump as the parameters change. "
            "Use sample() and weight log_prob() (the score function), or a relaxation such as "
            "random.gumbel_softmax."
        )

    def sample(self, shape: Shape = (), *, generator: np.random.Generator | None = None) -> Tensor:
        """Samples, as constants.

        Parameters
        ----------
        shape : int or sequence of int, default ()
            How many, as leading axes.
        generator : numpy.random.Generator, optional
            What to draw from; the engine's generator by default.

        Returns
        -------
        Tensor
            Shape shape + batch_shape + event_shape.
        """
        with no_grad():
            return self.rsample(shape, generator=generator)

    def log_prob(self, value: TensorLike, /) -> Tensor:
        """Logarithm of the probability density (of the probability, if discrete).

        Parameters
        ----------
        value : Tensor
            Shape that broadcasts with batch_shape + event_shape.

        Returns
        -------
        Tensor
            Without the axes of event_shape; -∞ outside the support.
        """
        raise NotImplementedError

    def entropy(self) -> Tensor:
        """Mean of -log_prob, in nats.

        Returns
        -------
        Tensor
            Shape batch_shape.
        """
        raise NotImplementedError(f"{type(self).__name__}: no closed form of the entropy here.")

    @property
    def mean(self) -> Tensor:
        """Expected value, of shape batch_shape + event_shape."""
        raise NotImplementedError

    @property
    def variance(self) -> Tensor:
        """Variance of each element, of shape batch_shape + event_shape."""
        raise NotImplementedError

    @property
    def stddev(self) -> Tensor:
        """Square root of the variance."""
        return sqrt(self.variance)

    def _shape(self, shape: Shape) -> tuple[int, ...]:
        """Shape of so many samples."""
        lead = (shape,) if isinstance(shape, int) else tuple(shape)
        return (*lead, *self.batch_shape, *self.event_shape)


def parameters(*values: TensorLike) -> tuple[Tensor, ...]:
    """Parameters as floating tensors of one dtype and shape.

    Parameters
    ----------
    *values : Tensor
        Numbers, arrays or tensors that broadcast.

    Returns
    -------
    tuple of Tensor
        As many.
    """
    tensors = [as_tensor(v, floating=True) for v in values]
    # Python numbers take the type of the others, as in ops.
    given = [t.dtype for t, v in zip(tensors, values, strict=True) if not _is_number(v)]
    dtype = np.result_type(*given) if given else tensors[0].dtype
    return broadcast_arrays(*[t.astype(dtype) for t in tensors])


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, np.generic)


def require_positive(name: str, parameter: str, value: Tensor) -> None:
    """Refuse a parameter that is not positive everywhere.

    Parameters
    ----------
    name, parameter : str
        Of the distribution, and what it calls the parameter.
    value : Tensor
        The parameter.

    Raises
    ------
    ValueError
        If an element is 0, negative or NaN.
    """
    smallest = value.data.min() if value.size else 1.0
    if not smallest > 0:
        raise ValueError(
            f"{name}: {parameter} has the element {smallest}; expected positive numbers. Apply exp "
            "or softplus to what may be any number."
        )


def drawn(
    kind: str, shape: tuple[int, ...], dtype: Any, generator: np.random.Generator | None
) -> Tensor:
    """Numbers of a parameterless distribution of NumPy's generator, as constants."""
    source = random.generator() if generator is None else generator
    numbers: NDArray[Any] = np.asarray(getattr(source, kind)(size=shape))
    return Tensor(numbers.astype(dtype))


def open_unit(shape: tuple[int, ...], generator: np.random.Generator | None) -> Tensor:
    """Float64 numbers uniform between 0 and 1, without either."""
    return drawn("random", shape, np.float64, generator) + 2.0**-54
