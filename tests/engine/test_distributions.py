"""Distributions: densities and entropies against SciPy, samples against both, gradients."""

import numpy as np
import pytest
from scipy import stats

import fieldgrad.engine as fg
from fieldgrad.engine import distributions as d

COVARIANCE = np.array([[2.0, 0.6], [0.6, 1.0]])
SHARES = np.array([0.7, 1.5, 3.0])


def float64(*values):
    return [fg.tensor(v, dtype="float64") for v in values]


# Ours, SciPy's, values in the support.
CONTINUOUS = {
    "Normal": (d.Normal(*float64(0.3, 1.7)), stats.norm(0.3, 1.7), [-1.0, 0.0, 2.5]),
    "LogNormal": (d.LogNormal(*float64(0.3, 0.7)), stats.lognorm(0.7, scale=np.exp(0.3)), [0.5, 3]),
    "Laplace": (d.Laplace(*float64(0.3, 1.7)), stats.laplace(0.3, 1.7), [-1.0, 0.0, 2.5]),
    "Gumbel": (d.Gumbel(*float64(0.3, 1.7)), stats.gumbel_r(0.3, 1.7), [-1.0, 0.0, 2.5]),
    "Cauchy": (d.Cauchy(*float64(0.3, 1.7)), stats.cauchy(0.3, 1.7), [-1.0, 0.0, 2.5]),
    "StudentT": (d.StudentT(*float64(5.0, 0.3, 1.7)), stats.t(5, 0.3, 1.7), [-1.0, 0.0, 2.5]),
    "Uniform": (d.Uniform(*float64(-1.0, 2.0)), stats.uniform(-1, 3), [-1.0, 0.5]),
    "Exponential": (d.Exponential(*float64(2.5)), stats.expon(scale=0.4), [0.0, 0.5, 2.0]),
    "Gamma": (d.Gamma(*float64(1.7, 2.5)), stats.gamma(1.7, scale=0.4), [0.1, 0.5, 2.0]),
    "Beta": (d.Beta(*float64(1.7, 0.6)), stats.beta(1.7, 0.6), [0.1, 0.5, 0.9]),
}
DISCRETE = {
    "Bernoulli": (d.Bernoulli(*float64(0.3)), stats.bernoulli(0.3), [0, 1]),
    "Binomial": (d.Binomial(5, *float64(0.3)), stats.binom(5, 0.3), [0, 3, 5]),
    "Geometric": (d.Geometric(*float64(0.3)), stats.geom(0.3, loc=-1), [0, 1, 4]),
    "Poisson": (d.Poisson(*float64(2.5)), stats.poisson(2.5), [0, 1, 4]),
}
ALL = {**CONTINUOUS, **DISCRETE}


@pytest.mark.parametrize("name", ALL)
def test_log_prob_is_that_of_scipy(name):
    ours, theirs, values = ALL[name]
    want = theirs.logpmf(values) if name in DISCRETE else theirs.logpdf(values)
    got = ours.log_prob(fg.tensor(np.array(values, float)))
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", sorted(set(ALL) - {"Binomial", "Poisson"}))
def test_entropy_is_that_of_scipy(name):
    ours, theirs, _ = ALL[name]
    np.testing.assert_allclose(ours.entropy().item(), theirs.entropy(), rtol=1e-10)


@pytest.mark.parametrize("name", sorted(set(ALL) - {"Cauchy"}))
def test_moments_are_those_of_scipy_and_of_samples(name):
    ours, theirs, _ = ALL[name]
    mean, variance = theirs.stats("mv")
    np.testing.assert_allclose(ours.mean.item(), mean, rtol=1e-12)
    np.testing.assert_allclose(ours.variance.item(), variance, rtol=1e-12)
    n = 20_000
    x = ours.sample((n,), generator=np.random.default_rng(1)).numpy()
    assert x.dtype == np.float64
    assert abs(x.mean() - mean) < 5 * np.sqrt(variance / n)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_samples_have_the_distribution(name):
    ours, theirs, _ = CONTINUOUS[name]
    x = ours.sample((4000,), generator=np.random.default_rng(2)).numpy()
    assert stats.kstest(x, theirs.cdf).pvalue > 1e-3


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        (d.Normal, (0.3, 1.7)),
        (d.LogNormal, (0.3, 0.7)),
        (d.Laplace, (0.3, 1.7)),
        (d.Gumbel, (0.3, 1.7)),
        (d.Cauchy, (0.3, 1.7)),
        (d.StudentT, (5.0, 0.3, 1.7)),
        (d.Uniform, (-1.0, 2.0)),
        (d.Exponential, (2.5,)),
        (d.Gamma, (1.7, 2.5)),
        (d.Beta, (1.7, 0.6)),
        (d.Dirichlet, (SHARES,)),
    ],
)
@pytest.mark.parametrize("order", [1, 2])
def test_gradients_of_samples_and_log_prob(kind, parameters, order):
    leaves = [fg.tensor(np.array(p), requires_grad=True) for p in parameters]
    fg.gradcheck(
        lambda *p: kind(*p).rsample((3,), generator=np.random.default_rng(4)), leaves, order=order
    )
    x = kind(*parameters).sample((3,), generator=np.random.default_rng(5)).astype("float64")
    fg.gradcheck(lambda *p: kind(*p).log_prob(x), leaves, order=order)


def test_dirichlet_is_that_of_scipy():
    ours, theirs = d.Dirichlet(SHARES), stats.dirichlet(SHARES)
    x = np.array([0.2, 0.3, 0.5])
    np.testing.assert_allclose(ours.log_prob(x).item(), theirs.logpdf(x), rtol=1e-12)
    np.testing.assert_allclose(ours.entropy().item(), theirs.entropy(), rtol=1e-10)
    np.testing.assert_allclose(ours.variance.numpy(), theirs.var(), rtol=1e-12)
    samples = ours.sample((5000,), generator=np.random.default_rng(1)).numpy()
    np.testing.assert_allclose(samples.sum(axis=-1), 1, rtol=1e-12)
    np.testing.assert_allclose(samples.mean(axis=0), theirs.mean(), atol=0.02)


def test_multivariate_normal_is_that_of_scipy():
    mean = np.array([0.5, -1.0])
    ours = d.MultivariateNormal(mean, covariance_matrix=COVARIANCE)
    theirs = stats.multivariate_normal(mean, COVARIANCE)
    x = np.array([[0.1, 0.2], [2.0, -3.0]])
    np.testing.assert_allclose(ours.log_prob(x).numpy(), theirs.logpdf(x), rtol=1e-12)
    np.testing.assert_allclose(ours.entropy().item(), theirs.entropy(), rtol=1e-12)
    np.testing.assert_allclose(ours.covariance_matrix.numpy(), COVARIANCE, rtol=1e-12)
    samples = ours.sample((20_000,), generator=np.random.default_rng(1)).numpy()
    np.testing.assert_allclose(np.cov(samples.T), COVARIANCE, atol=0.1)
    leaf = fg.tensor(COVARIANCE, requires_grad=True)
    fg.gradcheck(lambda c: d.MultivariateNormal(mean, c).log_prob(x), [leaf])


def test_categorical_counts_and_log_prob():
    probs = np.array([[1.0, 1.0, 2.0], [0.0, 3.0, 1.0]])
    p = d.Categorical(probs=probs)
    x = p.sample((8000,), generator=np.random.default_rng(1)).numpy()
    assert x.dtype == np.int64
    shares = np.stack([(x == k).mean(axis=0) for k in range(3)], axis=-1)
    np.testing.assert_allclose(shares, probs / 4, atol=0.02)
    np.testing.assert_allclose(p.log_prob([2, 1]).numpy(), np.log([0.5, 0.75]))
    np.testing.assert_allclose(p.entropy().numpy(), stats.entropy(probs, axis=-1))


PAIRS = [
    (d.Normal(*float64(0.3, 1.7)), d.Normal(*float64(-0.2, 0.9))),
    (d.LogNormal(*float64(0.3, 0.7)), d.LogNormal(*float64(-0.2, 0.9))),
    (d.Laplace(*float64(0.3, 1.7)), d.Laplace(*float64(-0.2, 0.9))),
    (d.Exponential(*float64(2.5)), d.Exponential(*float64(0.7))),
    (d.Gamma(*float64(1.7, 2.5)), d.Gamma(*float64(2.2, 1.1))),
    (d.Beta(*float64(1.7, 1.6)), d.Beta(*float64(2.2, 1.1))),
    (d.Dirichlet(SHARES + 1), d.Dirichlet(SHARES[::-1] + 1)),
    (d.Bernoulli(*float64(0.3)), d.Bernoulli(*float64(0.6))),
    (d.Categorical(SHARES), d.Categorical(SHARES[::-1].copy())),
    (d.Poisson(*float64(2.5)), d.Poisson(*float64(1.5))),
    (
        d.MultivariateNormal([0.5, -1.0], COVARIANCE),
        d.MultivariateNormal([0.0, 0.0], scale_tril=np.eye(2)),
    ),
]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: type(pair[0]).__name__)
def test_divergence_is_the_mean_difference_of_log_prob(pair):
    p, q = pair
    x = p.sample((40_000,), generator=np.random.default_rng(3))
    differences = (p.log_prob(x) - q.log_prob(x)).numpy()
    error = differences.std() / np.sqrt(differences.size)
    assert abs(d.kl_divergence(p, q).item() - differences.mean()) < 5 * error
    assert abs(d.kl_divergence(p, p).item()) < 1e-12


def test_the_same_seed_gives_the_same_samples():
    for p in (d.Normal(0.0, 1.0), d.Gamma(2.0), d.Categorical([0.2, 0.8]), d.Poisson(3.0)):
        a, b = (p.sample((4,), generator=np.random.default_rng(7)).numpy() for _ in range(2))
        np.testing.assert_array_equal(a, b)


def test_parameters_broadcast_and_numbers_take_the_dtype_of_tensors():
    p = d.Normal(fg.zeros((3, 1)), 2.0)
    assert p.batch_shape == (3, 1)
    assert p.rsample((5,)).shape == (5, 3, 1)
    assert p.rsample().dtype == np.float32
    assert d.Normal(0.0, np.ones(2)).sample().dtype == np.float64


def test_wrong_parameters_are_named():
    with pytest.raises(ValueError, match=r"scale has the element -1\.0"):
        d.Normal(0.0, -1.0)
    with pytest.raises(ValueError, match="neither of probs and logits"):
        d.Bernoulli()
    with pytest.raises(ValueError, match=r"expected \[0, 1\]"):
        d.Bernoulli(probs=1.5)
    with pytest.raises(NotImplementedError, match="samples have no gradient"):
        d.Poisson(2.0).rsample()
    with pytest.raises(NotImplementedError, match="Normal and Laplace"):
        d.kl_divergence(d.Normal(0.0, 1.0), d.Laplace(0.0, 1.0))


def test_outside_the_support_the_density_is_0():
    for p, x in ((d.Gamma(2.0), -1.0), (d.Uniform(0.0, 1.0), 2.0), (d.Beta(2.0, 2.0), 1.5)):
        assert p.log_prob(x).item() == -np.inf


def test_probabilities_of_0_and_1():
    p = d.Bernoulli(probs=fg.tensor([0.0, 1.0]))
    np.testing.assert_array_equal(p.log_prob([0.0, 1.0]).numpy(), [0, 0])
    np.testing.assert_array_equal(p.entropy().numpy(), [0, 0])


def test_gumbel_softmax_chooses_by_probability_and_has_gradients():
    logits = fg.tensor(np.log(np.tile([0.2, 0.8], (4000, 1))), requires_grad=True)
    y = fg.random.gumbel_softmax(logits, hard=True, generator=np.random.default_rng(1))
    np.testing.assert_array_equal(y.numpy().sum(axis=-1), 1)
    assert abs(y.numpy()[:, 1].mean() - 0.8) < 0.03
    fg.sum(y * y).backward()
    assert np.isfinite(logits.grad.numpy()).all()
    assert np.abs(logits.grad.numpy()).max() > 0
