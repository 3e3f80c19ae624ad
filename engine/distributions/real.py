"""Distributions on the real line, or a part of it, that are shifted and scaled."""

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
from fieldgrad.engine.op import TensorLike, as_tensor
from fieldgrad.engine.ops.arithmetic import (
    abs,
    sqrt,
    square,
    where,
)
from fieldgrad.engine.ops.comparisons import (
    logical_and,
)
from fieldgrad.engine.ops.elementary import (
    exp,
    expm1,
    log,
    log1p,
    tan,
)
from fieldgrad.engine.ops.special import betaln, digamma, gammaincinv, ndtr, ndtri

__all__ = ["Cauchy", "Gumbel", "Laplace", "LogNormal", "Normal", "StudentT", "Uniform"]

LOG_ROOT_TWO_PI = 0.5 * math.log(2.0 * math.pi)
EULER = 0.57721566490153286  # Euler's constant, -digamma(1)


class _Located(Distribution):
    """A distribution with a location and a positive scale."""

    def __init__(self, loc: TensorLike, scale: TensorLike) -> None:
        self.loc, self.scale = parameters(loc, scale)
        require_positive(type(self).__name__, "scale", self.scale)
        super().__init__(self.loc.shape)

    def _standard(self, value: TensorLike) -> Tensor:
        return (as_tensor(value) - self.loc) / self.scale


class Normal(_Located):
    """Normal distribution.

    Parameters
    ----------
    loc, scale : Tensor
        Mean and standard deviation; shapes that broadcast.

    Examples
    --------
    >>> from fieldgrad.engine.distributions import Normal
    >>> round(Normal(0.0, 1.0).log_prob(0.0).item(), 4)  # -log(2 π) / 2
    -0.9189
    """

    def rsample(self, shape: Shape = (), *, generator: np.random.Generator | None = None) -> Tensor:
        noise = drawn("standard_normal", self._shape(shape), self.loc.dtype, generator)
        return self.loc + self.scale * noise

    def log_prob(self, value: TensorLike, /) -> Tensor:
        return square(self._standard(value)) * -0.5 - log(self.scale) - LOG_ROOT_TWO_PI

    def entropy(self) -> Tensor:
        return log(self.scale) + (0.5 + LOG_ROOT_TWO_PI)

    def cdf(self, value: TensorLike, /) -> Tensor:
        """Probability of numbers up to a value.

        Parameters
        ----------
        value : Tensor
            Shape that broadcasts with batch_shape.

        Returns
        -------
        Tensor
            Between 0 and 1.
        """
        return ndtr(self._standard(value))

    def icdf(self, value: TensorLike, /) -> Tensor:
        """Quantiles: the inverse of `cdf`.

        Parameters
        ----------
        value : Tensor
            Probabilities, of a shape that broadcasts with batch_shape.

        Returns
        -------
        Tensor
            Of the common shape.
        """
        return self.loc + self.scale * ndtri(as_tensor(value))

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return square(self.scale)


class LogNormal(_Located):
    """Distribution of exp(x) for a normally distributed x.

    Parameters
    ----------
    loc, scale : Tensor
        Mean and standard deviation of the logarithm; shapes that broadcast.
    """

    def rsample(self, shape: Shape = (), *, generator: np.random.Generator | None = None) -> Tensor:
        return exp(Normal(self.loc, self.scale).rsample(shape, generator=generator))

    def log_prob(self, value: TensorLike, /) -> Tensor:
        x = as_tensor(value, floating=True)
        positive = x.data > 0
        logarithm = log(where(positive, x, 1.0))
        found = Normal(self.loc, self.scale).log_prob(logarithm) - logarithm
        return where(positive, found, -math.inf)

    def entropy(self) -> Tensor:
        return Normal(self.loc, self.scale).entropy() + self.loc

    @property
    def mean(self) -> Tensor:
        return exp(self.loc + square(self.scale) * 0.5)

    @property
    def variance(self) -> Tensor:
        return expm1(square(self.scale)) * exp(self.loc * 2.0 + square(self.scale))


class Laplace(_Located):
    """Laplace distribution: exponential on both sides.

    Parameters
    ----------
    loc, scale : Tensor
        Mean, and mean distance from it; shapes that broadcast.
    """

    def rsample(self, shape: Shape = (), *, generator: np.random.Generator | None = None) -> Tensor:
        noise = drawn("laplace", self._shape(shape), self.loc.dtype, generator)
        return self.loc + self.scale * noise

    def log_prob(self, value: TensorLike, /) -> Tensor:
        return -abs(self._standard(value)) - log(self.scale * 2.0)

    def entropy(self) -> Tensor:
        return log(self.scale * 2.0) + 1.0

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return square(self.scale) * 2.0


class Gumbel(_Located):
    """Gumbel distribution: of the largest of many numbers.

    Parameters
    ----------
    loc, scale : Tensor
        Mode, and width; shapes that broadcast.
    """

    def rsample(self, shape: Shape = (), *, generator: np.random.Generator | None = None) -> Tensor:
        noise = drawn("gumbel", self._shape(shape), self.loc.dtype, generator)
        return self.loc + self.scale * noise

    def log_prob(self, value: TensorLike, /) -> Tensor:
        z = self._standard(value)
        return -z - exp(-z) - log(self.scale)

    def entropy(self) -> Tensor:
        return log(self.scale) + (1.0 + EULER)

    @property
    def mean(self) -> Tensor:
        return self.loc + self.scale * EULER

    @property
    def variance(self) -> Tensor:
        return square(self.scale) * (math.pi**2 / 6.0)


class Cauchy(_Located):
    """Cauchy (Lorentz, Breit-Wigner) distribution; without mean or variance.

    Parameters
    ----------
    loc, scale : Tensor
        Median, and half width at half maximum; shapes that broadcast.
    """

    def rsample(self, shape: Shape = (), *, generator: np.random.Generator | None = None) -> Tensor:
        angle = (open_unit(self._shape(shape), generator) - 0.5) * math.pi
        return self.loc + self.scale * tan(angle).astype(self.loc.dtype)

    def log_prob(self, value: TensorLike, /) -> Tensor:
        return -log1p(square(self._standard(value))) - log(self.scale * math.pi)

    def entropy(self) -> Tensor:
        return log(self.scale * (4.0 * math.pi))

    @property
    def mean(self) -> Tensor:
        return self.loc * math.nan

    @property
    def variance(self) -> Tensor:
        return self.loc * math.nan


class StudentT(Distribution):
    """Student's t distribution.

    Parameters
    ----------
    df : Tensor
        Degrees of freedom, positive.
    loc, scale : Tensor
        Median and width; 0 and 1 by default. Shapes that broadcast.
    """

    def __init__(self, df: TensorLike, loc: TensorLike = 0.0, scale: TensorLike = 1.0) -> None:
        self.df, self.loc, self.scale = parameters(df, loc, scale)
        require_positive("StudentT", "df", self.df)
        require_positive("StudentT", "scale", self.scale)
        super().__init__(self.df.shape)

    def rsample(self, shape: Shape = (), *, generator: np.random.Generator | None = None) -> Tensor:
        size, dtype = self._shape(shape), self.df.dtype
        noise = drawn("standard_normal", size, dtype, generator)
        half = self.df.astype("float64") * 0.5
        spread = gammaincinv(half, open_unit(size, generator)) / half
        return self.loc + self.scale * noise / sqrt(spread).astype(dtype)

    def log_prob(self, value: TensorLike, /) -> Tensor:
        z = (as_tensor(value) - self.loc) / self.scale
        half = self.df * 0.5
        norm = log(self.scale) + log(self.df) * 0.5 + betaln(half, 0.5)
        return -(half + 0.5) * log1p(square(z) / self.df) - norm

    def entropy(self) -> Tensor:
        half = self.df * 0.5
        spread = (half + 0.5) * (digamma(half + 0.5) - digamma(half))
        return spread + log(self.df) * 0.5 + betaln(half, 0.5) + log(self.scale)

    @property
    def mean(self) -> Tensor:
        return where(self.df.data > 1, self.loc, math.nan)

    @property
    def variance(self) -> Tensor:
        finite = self.df.data > 2
        ratio = self.df / where(finite, self.df - 2.0, 1.0)
        edge = np.where(self.df.data > 1, math.inf, math.nan).astype(self.df.dtype)
        return where(finite, square(self.scale) * ratio, Tensor(edge))


class Uniform(Distribution):
    """Uniform distribution in [low, high).

    Parameters
    ----------
    low, high : Tensor
        Bounds, low < high; shapes that broadcast.
    """

    def __init__(self, low: TensorLike, high: TensorLike) -> None:
        self.low, self.high = parameters(low, high)
        require_positive("Uniform", "high - low", self.high - self.low)
        super().__init__(self.low.shape)

    def rsample(self, shape: Shape = (), *, generator: np.random.Generator | None = None) -> Tensor:
        share = drawn("random", self._shape(shape), self.low.dtype, generator)
        return self.low + (self.high - self.low) * share

    def log_prob(self, value: TensorLike, /) -> Tensor:
        x = as_tensor(value)
        inside = logical_and(x >= self.low, x < self.high)
        return where(inside, -log(self.high - self.low), -math.inf)

    def entropy(self) -> Tensor:
        return log(self.high - self.low)

    @property
    def mean(self) -> Tensor:
        return (self.low + self.high) * 0.5

    @property
    def variance(self) -> Tensor:
        return square(self.high - self.low) * (1.0 / 12.0)
