"""Probability distributions: samples with gradients, densities, entropies, divergences.

Names and parameters are PyTorch's. ``rsample`` gives samples whose gradients with respect to the
parameters are right for each single sample (where that exists), ``sample`` gives constants.
Randomness comes from the generator that is passed, or the engine's (`fieldgrad.engine.random`).

- `base`: what all have;
- `real`: normal, log-normal, Laplace, Gumbel, Cauchy, Student's t, uniform;
- `positive`: exponential, gamma, beta, Dirichlet;
- `discrete`: Bernoulli, categorical, binomial, geometric, Poisson;
- `multivariate`: normal distribution of vectors;
- `divergence`: Kullback-Leibler divergence of two.

>>> import fieldgrad.engine as fg
>>> from fieldgrad.engine.distributions import Normal
>>> scale = fg.tensor(2.0, requires_grad=True)
>>> x = Normal(1.0, scale).rsample((3,))
>>> x.sum().backward()
>>> bool(abs(scale.grad.item() - ((x - 1.0) / 2.0).sum().item()) < 1e-5)
True
"""

from fieldgrad.engine.distributions.base import Distribution
from fieldgrad.engine.distributions.discrete import (
    Bernoulli,
    Binomial,
    Categorical,
    Geometric,
    Poisson,
)
from fieldgrad.engine.distributions.divergence import kl_divergence
from fieldgrad.engine.distributions.multivariate import MultivariateNormal
from fieldgrad.engine.distributions.positive import Beta, Dirichlet, Exponential, Gamma
from fieldgrad.engine.distributions.real import (
    Cauchy,
    Gumbel,
    Laplace,
    LogNormal,
    Normal,
    StudentT,
    Uniform,
)

__all__ = [
    "Bernoulli",
    "Beta",
    "Binomial",
    "Categorical",
    "Cauchy",
    "Dirichlet",
    "Distribution",
    "Exponential",
    "Gamma",
    "Geometric",
    "Gumbel",
    "Laplace",
    "LogNormal",
    "MultivariateNormal",
    "Normal",
    "Poisson",
    "StudentT",
    "Uniform",
    "kl_divergence",
]
