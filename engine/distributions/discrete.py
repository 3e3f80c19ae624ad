"""Distributions of whole numbers: their samples are constants."""

import math
from typing import Any

import numpy as np

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.distributions.base import (
    Distribution,
    Shape,
    parameters,
    require_positive,
)
from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.op import TensorLike, as_tensor
from fieldgrad.engine.ops import random
from fieldgrad.engine.ops.activations import (
    softplus,
)
from fieldgrad.engine.ops.arithmetic import (
    where,
)
from fieldgrad.engine.ops.elementary import (
    exp,
    log,
    sigmoid,
)
from fieldgrad.engine.ops.index import take_along_axis
from fieldgrad.engine.ops.layout import broadcast_to, expand_dims
from fieldgrad.engine.ops.reduce import logsumexp, sum
from fieldgrad.engine.ops.special import gammaln, logit, xlog1py, xlogy

__all__ = ["Bernoulli", "Binomial", "Categorical", "Geometric", "Poisson"]


def _one_of(name: str, probs: TensorLike | None, logits: TensorLike | None) -> bool:
    """Whether the probabilities were given; exactly one of both must be."""
    if (probs is None) == (logits is None):
        given = "both" if probs is not None else "neither"
        raise ValueError(f"{name}: {given} of probs and logits given; expected one of them.")
    return probs is not None


def _require_probabilities(name: str, probs: Tensor) -> None:
    if probs.size and not (probs.data.min() >= 0 and probs.data.max() <= 1):
        raise ValueError(
            f"{name}: probs lie in [{probs.data.min()}, {probs.data.max()}]; expected [0, 1]. Pass "
            "numbers of any size as logits=."
        )


class _Discrete(Distribution):
    """Samples come from NumPy's generator, in the dtype of the parameters."""

    _dtype: Any

    def sample(self, shape: Shape = (), *, generator: np.random.Generator | None = None) -> Tensor:
        source = random.generator() if generator is None else generator
        return Tensor(np.asarray(self._draw(source, self._shape(shape)), self._dtype))

    def _draw(self, source: np.random.Generator, size: tuple[int, ...]) -> Any:
        raise NotImplementedError


class Bernoulli(_Discrete):
    """Bernoulli distribution: 1 with some probability, 0 otherwise.

    Parameters
    ----------
    probs : Tensor, optional
        Probabilities of 1.
    logits : Tensor, optional
        Instead of probs: log(p / (1 - p)).

    Examples
    --------
    >>> from fieldgrad.engine.distributions import Bernoulli
    >>> round(Bernoulli(probs=0.25).log_prob(1.0).item(), 4)  # log(1 / 4)
    -1.3863
    """

    def __init__(self, probs: TensorLike | None = None, logits: TensorLike | None = None) -> None:
        if _one_of("Bernoulli", probs, logits):
            (self.probs,) = parameters(probs)  # type: ignore[arg-type]
            _require_probabilities("Bernoulli", self.probs)
            self.logits = logit(self.probs)
        else:
            (self.logits,) = parameters(logits)  # type: ignore[arg-type]
            self.probs = sigmoid(self.logits)
        self._dtype = self.probs.dtype
        super().__init__(self.probs.shape)

    def _draw(self, source: np.random.Generator, size: tuple[int, ...]) -> Any:
        return source.random(size) < self.probs.data

    def log_prob(self, value: TensorLike, /) -> Tensor:
        x, finite = as_tensor(value, floating=True), np.isfinite(self.logits.data)
        # At probabilities of 0 and 1 the logits are infinite, and x · logits is no number.
        certain = xlogy(x, self.probs) + xlog1py(1.0 - x, -self.probs)
        safe = where(finite, self.logits, 0.0)
        return where(finite, x * safe - softplus(safe), certain)

    def entropy(self) -> Tensor:
        p = self.probs
        return -(xlogy(p, p) + xlog1py(1.0 - p, -p))

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def variance(self) -> Tensor:
        return self.probs * (1.0 - self.probs)


class Categorical(_Discrete):
    """Distribution of one of n classes.

    Parameters
    ----------
    probs : Tensor, optional
        Shape (…, n), not negative; divided by their sum.
    logits : Tensor, optional
        Instead of probs: logarithms of them, up to a constant.

    Examples
    --------
    >>> from fieldgrad.engine.distributions import Categorical
    >>> round(Categorical(probs=[1.0, 3.0]).log_prob(1).item(), 4)  # log(3 / 4)
    -0.2877
    """

    def __init__(self, probs: TensorLike | None = None, logits: TensorLike | None = None) -> None:
        if _one_of("Categorical", probs, logits):
            (weights,) = parameters(probs)  # type: ignore[arg-type]
            if weights.size and not weights.data.min() >= 0:
                raise ValueError(
                    f"Categorical: probs has the element {weights.data.min()}; expected numbers "
                    "from 0 on. Pass numbers of any size as logits=."
                )
            given = log(weights)
        else:
            (given,) = parameters(logits)  # type: ignore[arg-type]
        if not given.ndim:
            raise ShapeError("Categorical: the parameter is 0-d; expected one number a class.")
        self.logits = given - logsumexp(given, axis=-1, keepdims=True)
        self.probs = exp(self.logits)
        self._dtype = np.int64
        super().__init__(given.shape[:-1])

    def _draw(self, source: np.random.Generator, size: tuple[int, ...]) -> Any:
        edges = np.cumsum(self.probs.data.astype(np.float64), axis=-1)
        chance = source.random(size)[..., None] * edges[..., -1:]
        return (chance >= edges).sum(axis=-1)

    def log_prob(self, value: TensorLike, /) -> Tensor:
        index = as_tensor(value)
        shape = np.broadcast_shapes(index.shape, self.batch_shape)
        logits = broadcast_to(self.logits, (*shape, self.logits.shape[-1]))
        index = expand_dims(broadcast_to(index, shape), axis=-1)
        return take_along_axis(logits, index, axis=-1)[..., 0]

    def entropy(self) -> Tensor:
        return -sum(xlogy(self.probs, self.probs), axis=-1)

    @property
    def mean(self) -> Tensor:
        return self.probs[..., 0] * math.nan  # classes are names, not numbers

    @property
    def variance(self) -> Tensor:
        return self.mean


class Binomial(_Discrete):
    """Number of successes in independent trials.

    Parameters
    ----------
    total_count : Tensor
        Number of trials, whole numbers from 0 on.
    probs : Tensor, optional
        Probability of a success.
    logits : Tensor, optional
        Instead of probs: log(p / (1 - p)).
    """

    def __init__(
        self,
        total_count: TensorLike,
        probs: TensorLike | None = None,
        logits: TensorLike | None = None,
    ) -> None:
        one = Bernoulli(probs, logits)
        self.probs, total = parameters(one.probs, as_tensor(total_count).astype(one.probs.dtype))
        self.logits, self.total_count = parameters(one.logits, total)
        self._dtype = self.probs.dtype
        super().__init__(self.probs.shape)

    def _draw(self, source: np.random.Generator, size: tuple[int, ...]) -> Any:
        return source.binomial(self.total_count.data.astype(np.int64), self.probs.data, size)

    def log_prob(self, value: TensorLike, /) -> Tensor:
        k, n, p = as_tensor(value, floating=True), self.total_count, self.probs
        ways = gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0)
        return ways + xlogy(k, p) + xlog1py(n - k, -p)

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.probs

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1.0 - self.probs)


class Geometric(_Discrete):
    """Number of failures before the first success.

    Parameters
    ----------
    probs : Tensor, optional
        Probability of a success, above 0.
    logits : Tensor, optional
        Instead of probs: log(p / (1 - p)).
    """

    def __init__(self, probs: TensorLike | None = None, logits: TensorLike | None = None) -> None:
        one = Bernoulli(probs, logits)
        self.probs, self.logits = one.probs, one.logits
        require_positive("Geometric", "probs", self.probs)
        self._dtype = self.probs.dtype
        super().__init__(self.probs.shape)

    def _draw(self, source: np.random.Generator, size: tuple[int, ...]) -> Any:
        return source.geometric(self.probs.data, size) - 1

    def log_prob(self, value: TensorLike, /) -> Tensor:
        return xlog1py(as_tensor(value, floating=True), -self.probs) + log(self.probs)

    def entropy(self) -> Tensor:
        p = self.probs
        return -(xlogy(p, p) + xlog1py(1.0 - p, -p)) / p

    @property
    def mean(self) -> Tensor:
        return 1.0 / self.probs - 1.0

    @property
    def variance(self) -> Tensor:
        return (1.0 / self.probs - 1.0) / self.probs


class Poisson(_Discrete):
    """Poisson distribution: number of independent events.

    Parameters
    ----------
    rate : Tensor
        Expected number, not negative.
    """

    def __init__(self, rate: TensorLike) -> None:
        (self.rate,) = parameters(rate)
        if self.rate.size and not self.rate.data.min() >= 0:
            raise ValueError(
                f"Poisson: rate has the element {self.rate.data.min()}; expected numbers from 0 on."
            )
        self._dtype = self.rate.dtype
        super().__init__(self.rate.shape)

    def _draw(self, source: np.random.Generator, size: tuple[int, ...]) -> Any:
        return source.poisson(self.rate.data, size)

    def log_prob(self, value: TensorLike, /) -> Tensor:
        k = as_tensor(value, floating=True)
        return xlogy(k, self.rate) - self.rate - gammaln(k + 1.0)

    @property
    def mean(self) -> Tensor:
        return self.rate

    @property
    def variance(self) -> Tensor:
        return self.rate
