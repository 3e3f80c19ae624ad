"""Distributions of positive numbers, and of shares of a whole."""

import math

import numpy as np

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.distributions.base import (
    Distribution,
    Shape,
    drawn,
    open_unit,
    parameters,
    require_positive,
)
from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.op import TensorLike, as_tensor
from fieldgrad.engine.ops.arithmetic import maximum, square, where
from fieldgrad.engine.ops.elementary import log
from fieldgrad.engine.ops.reduce import sum
from fieldgrad.engine.ops.special import (
    betaln,
    digamma,
    gammaincinv,
    gammaln,
    xlog1py,
    xlogy,
)

__all__ = ["Beta", "Dirichlet", "Exponential", "Gamma"]


def _gamma_sample(
    concentration: Tensor, shape: tuple[int, ...], generator: np.random.Generator | None
) -> Tensor:
    """Numbers of the gamma distribution with rate 1, by its quantiles: the gradient is exact."""
    chance = open_unit(shape, generator)
    quantiles = gammaincinv(concentration.astype("float64"), chance)
    # Of small concentrations most numbers are too small for the dtype.
    tiny = float(np.finfo(concentration.dtype).tiny)
    return maximum(quantiles, tiny).astype(concentration.dtype)


class Exponential(Distribution):
    """Exponential distribution: of waiting times.

    Parameters
    ----------
    rate : Tensor
        Events per unit of time, positive.
    """

    def __init__(self, rate: TensorLike) -> None:
        (self.rate,) = parameters(rate)
        require_positive("Exponential", "rate", self.rate)
        super().__init__(self.rate.shape)

    def rsample(self, shape: Shape = (), *, generator: np.random.Generator | None = None) -> Tensor:
        noise = drawn("standard_exponential", self._shape(shape), self.rate.dtype, generator)
        return noise / self.rate

    def log_prob(self, value: TensorLike, /) -> Tensor:
        x = as_tensor(value)
        return where(x >= 0, log(self.rate) - self.rate * x, -math.inf)

    def entropy(self) -> Tensor:
        return 1.0 - log(self.rate)

    @property
    def mean(self) -> Tensor:
        return 1.0 / self.rate

    @property
    def variance(self) -> Tensor:
        return 1.0 / square(self.rate)


class Gamma(Distribution):
    """Gamma distribution.

    Parameters
    ----------
    concentration : Tensor
        Shape parameter, positive.
    rate : Tensor, default 1.0
        Inverse of the scale, positive. Shapes that broadcast.

    Notes
    -----
    Samples are quantiles of uniform numbers (`special.gammaincinv`), in float64: a few times slower
    than rejection, with exact gradients of any order.

    Examples
    --------
    >>> from fieldgrad.engine.distributions import Gamma
    >>> Gamma(2.0, 4.0).mean.item()
    0.5
    """

    def __init__(self, concentration: TensorLike, rate: TensorLike = 1.0) -> None:
        self.concentration, self.rate = parameters(concentration, rate)
        require_positive("Gamma", "concentration", self.concentration)
        require_positive("Gamma", "rate", self.rate)
        super().__init__(self.rate.shape)

    def rsample(self, shape: Shape = (), *, generator: np.random.Generator | None = None) -> Tensor:
        return _gamma_sample(self.concentration, self._shape(shape), generator) / self.rate

    def log_prob(self, value: TensorLike, /) -> Tensor:
        x, a = as_tensor(value), self.concentration
        inside = x >= 0
        x = where(inside, x, 1.0)
        found = a * log(self.rate) + xlogy(a - 1.0, x) - self.rate * x - gammaln(a)
        return where(inside, found, -math.inf)

    def entropy(self) -> Tensor:
        a = self.concentration
        return a - log(self.rate) + gammaln(a) + (1.0 - a) * digamma(a)

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.rate

    @property
    def variance(self) -> Tensor:
        return self.concentration / square(self.rate)


class Beta(Distribution):
    """Beta distribution: of a share between 0 and 1.

    Parameters
    ----------
    concentration1, concentration0 : Tensor
        Positive; often called a and b. Shapes that broadcast.
    """

    def __init__(self, concentration1: TensorLike, concentration0: TensorLike) -> None:
        self.concentration1, self.concentration0 = parameters(concentration1, concentration0)
        require_positive("Beta", "concentration1", self.concentration1)
        require_positive("Beta", "concentration0", self.concentration0)
        super().__init__(self.concentration1.shape)

    def rsample(self, shape: Shape = (), *, generator: np.random.Generator | None = None) -> Tensor:
        size = self._shape(shape)
        one = _gamma_sample(self.concentration1, size, generator)
        return one / (one + _gamma_sample(self.concentration0, size, generator))

    def log_prob(self, value: TensorLike, /) -> Tensor:
        x, a, b = as_tensor(value, floating=True), self.concentration1, self.concentration0
        inside = (x.data >= 0) & (x.data <= 1)
        x = where(inside, x, 0.5)
        found = xlogy(a - 1.0, x) + xlog1py(b - 1.0, -x) - betaln(a, b)
        return where(inside, found, -math.inf)

    def entropy(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        apart = (a - 1.0) * digamma(a) + (b - 1.0) * digamma(b)
        return betaln(a, b) - apart + (a + b - 2.0) * digamma(a + b)

    @property
    def mean(self) -> Tensor:
        return self.concentration1 / (self.concentration1 + self.concentration0)

    @property
    def variance(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        return a * b / (square(a + b) * (a + b + 1.0))


class Dirichlet(Distribution):
    """Dirichlet distribution: of shares that sum to 1.

    Parameters
    ----------
    concentration : Tensor
        Shape (…, n), positive: one number for each share.
    """

    def __init__(self, concentration: TensorLike) -> None:
        (self.concentration,) = parameters(concentration)
        if not self.concentration.ndim:
            raise ShapeError("Dirichlet: concentration is 0-d; expected one number for each share.")
        require_positive("Dirichlet", "concentration", self.concentration)
        super().__init__(self.concentration.shape[:-1], self.concentration.shape[-1:])

    def rsample(self, shape: Shape = (), *, generator: np.random.Generator | None = None) -> Tensor:
        parts = _gamma_sample(self.concentration, self._shape(shape), generator)
        return parts / sum(parts, axis=-1, keepdims=True)

    def log_prob(self, value: TensorLike, /) -> Tensor:
        a = self.concentration
        found = sum(xlogy(a - 1.0, as_tensor(value)), axis=-1)
        return found + gammaln(sum(a, axis=-1)) - sum(gammaln(a), axis=-1)

    def entropy(self) -> Tensor:
        a, n = self.concentration, self.event_shape[0]
        total = sum(a, axis=-1)
        norm = sum(gammaln(a), axis=-1) - gammaln(total)
        return norm + (total - n) * digamma(total) - sum((a - 1.0) * digamma(a), axis=-1)

    @property
    def mean(self) -> Tensor:
        return self.concentration / sum(self.concentration, axis=-1, keepdims=True)

    @property
    def variance(self) -> Tensor:
        total = sum(self.concentration, axis=-1, keepdims=True)
        return self.mean * (1.0 - self.mean) / (total + 1.0)
