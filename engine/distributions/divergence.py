"""Kullback-Leibler divergence of two distributions of one kind."""

from collections.abc import Callable
from typing import Any

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.distributions.base import Distribution
from fieldgrad.engine.distributions.discrete import Bernoulli, Categorical, Poisson
from fieldgrad.engine.distributions.multivariate import MultivariateNormal
from fieldgrad.engine.distributions.positive import Beta, Dirichlet, Exponential, Gamma
from fieldgrad.engine.distributions.real import Laplace, LogNormal, Normal
from fieldgrad.engine.ops.arithmetic import abs, square
from fieldgrad.engine.ops.elementary import exp, log
from fieldgrad.engine.ops.layout import expand_dims
from fieldgrad.engine.ops.linalg import solve_triangular
from fieldgrad.engine.ops.reduce import sum
from fieldgrad.engine.ops.special import betaln, digamma, gammaln, rel_entr

__all__ = ["kl_divergence"]


def _normal(p: Normal | LogNormal, q: Normal | LogNormal) -> Tensor:
    ratio = p.scale / q.scale
    return (square(ratio) + square((p.loc - q.loc) / q.scale) - 1.0) * 0.5 - log(ratio)


def _laplace(p: Laplace, q: Laplace) -> Tensor:
    apart, ratio = abs(p.loc - q.loc), p.scale / q.scale
    return ratio * exp(-apart / p.scale) + apart / q.scale - log(ratio) - 1.0


def _exponential(p: Exponential, q: Exponential) -> Tensor:
    ratio = q.rate / p.rate
    return ratio - log(ratio) - 1.0


def _gamma(p: Gamma, q: Gamma) -> Tensor:
    a, b = p.concentration, q.concentration
    ratio = q.rate / p.rate
    return (a - b) * digamma(a) + gammaln(b) - gammaln(a) - b * log(ratio) + a * (ratio - 1.0)


def _beta(p: Beta, q: Beta) -> Tensor:
    a1, a0, b1, b0 = p.concentration1, p.concentration0, q.concentration1, q.concentration0
    parts = (a1 - b1) * digamma(a1) + (a0 - b0) * digamma(a0)
    return betaln(b1, b0) - betaln(a1, a0) + parts + (b1 + b0 - a1 - a0) * digamma(a1 + a0)


def _dirichlet(p: Dirichlet, q: Dirichlet) -> Tensor:
    a, b = p.concentration, q.concentration
    total = sum(a, axis=-1, keepdims=True)
    norms = gammaln(total)[..., 0] - gammaln(sum(b, axis=-1))
    return norms + sum(gammaln(b) - gammaln(a) + (a - b) * (digamma(a) - digamma(total)), axis=-1)


def _bernoulli(p: Bernoulli, q: Bernoulli) -> Tensor:
    return rel_entr(p.probs, q.probs) + rel_entr(1.0 - p.probs, 1.0 - q.probs)


def _categorical(p: Categorical, q: Categorical) -> Tensor:
    return sum(rel_entr(p.probs, q.probs), axis=-1)


def _poisson(p: Poisson, q: Poisson) -> Tensor:
    return rel_entr(p.rate, q.rate) - p.rate + q.rate


def _multivariate(p: MultivariateNormal, q: MultivariateNormal) -> Tensor:
    factor = solve_triangular(q.scale_tril, p.scale_tril, upper=False)
    apart = solve_triangular(q.scale_tril, expand_dims(q.loc - p.loc, axis=-1), upper=False)
    squares = sum(square(factor), axis=(-2, -1)) + sum(square(apart), axis=(-2, -1))
    n = p.event_shape[0]
    return (squares - n) * 0.5 + q._half_log_det() - p._half_log_det()


FORMULAS: dict[type, Callable[[Any, Any], Tensor]] = {
    Bernoulli: _bernoulli,
    Beta: _beta,
    Categorical: _categorical,
    Dirichlet: _dirichlet,
    Exponential: _exponential,
    Gamma: _gamma,
    Laplace: _laplace,
    LogNormal: _normal,
    MultivariateNormal: _multivariate,
    Normal: _normal,
    Poisson: _poisson,
}


def kl_divergence(p: Distribution, q: Distribution, /) -> Tensor:
    """Kullback-Leibler divergence of q from p: the mean of log p(x) - log q(x) for x from p.

    Parameters
    ----------
    p, q : Distribution
        Of one kind, with shapes that broadcast.

    Returns
    -------
    Tensor
        The common batch shape; in nats, never negative.

    Raises
    ------
    NotImplementedError
        If there is no formula for the two.

    Examples
    --------
    >>> from fieldgrad.engine.distributions import Normal, kl_divergence
    >>> kl_divergence(Normal(1.0, 1.0), Normal(0.0, 1.0)).item()
    0.5
    """
    formula = FORMULAS.get(type(p))
    if formula is None or type(p) is not type(q):
        kinds = ", ".join(kind.__name__ for kind in FORMULAS)
        raise NotImplementedError(
            f"kl_divergence: no formula for {type(p).__name__} and {type(q).__name__}; expected "
            f"two of one kind, of {kinds}. Estimate it: the mean of p.log_prob(x) - q.log_prob(x) "
            "over samples x of p."
        )
    return formula(p, q)
