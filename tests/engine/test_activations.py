import numpy as np
import pytest
from scipy import special

import fieldgrad.engine as fg
from fieldgrad.engine.errors import ShapeError

# Formulas in float64, beside each activation and its settings.
FORMULAS = {
    "celu": (lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(x / alpha)), {"alpha": 0.7}),
    "selu": (
        lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)),
        {},
    ),
    "gelu_tanh": (
        lambda x: x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
        {},
    ),
    "glu": (lambda x, axis=-1: np.multiply(*_halves(x, axis)), {"axis": 0}),
    "hardshrink": (lambda x, lambd=0.5: np.where(abs(x) > lambd, x, 0), {"lambd": 0.9}),
    "softshrink": (
        lambda x, lambd=0.5: np.sign(x) * np.maximum(abs(x) - lambd, 0),
        {"lambd": 0.9},
    ),
    "tanhshrink": (lambda x: x - np.tanh(x), {}),
    "hardtanh": (
        lambda x, min_val=-1, max_val=1: np.clip(x, min_val, max_val),
        {"min_val": -0.3, "max_val": 0.4},
    ),
    "relu6": (lambda x: np.clip(x, 0, 6), {}),
    "hardsigmoid": (lambda x: np.clip(x / 6 + 0.5, 0, 1), {}),
    "hardswish": (lambda x: x * np.clip(x / 6 + 0.5, 0, 1), {}),
    "logsigmoid": (lambda x: special.log_expit(x), {}),
    "mish": (lambda x: x * np.tanh(np.log1p(np.exp(x))), {}),
    "rrelu": (
        lambda x, lower=1 / 8, upper=1 / 3: np.where(x > 0, x, x * (lower + upper) / 2),
        {"lower": 0.2, "upper": 0.4},
    ),
    "softmin": (lambda x, axis=-1: special.softmax(-x, axis) if x.size else x, {"axis": 0}),
    "softsign": (lambda x: x / (1 + abs(x)), {}),
    "threshold": (
        lambda x, threshold=0.1, value=20.0: np.where(x > threshold, x, value),
        {"threshold": 0.1, "value": 20.0},
    ),
}


def _halves(x, axis):
    a, b = np.split(x, 2, axis)
    return a, special.expit(b)


def samples():
    rng = np.random.default_rng(0)
    for shape in ((4,), (2, 6), (0, 2), (2, 3, 4)):
        yield 3 * rng.normal(size=shape)
    yield 3 * rng.normal(size=(4, 12))[::-2, ::3]


@pytest.mark.parametrize("name", FORMULAS)
def test_values_and_gradients_of_activations(name):
    formula, settings = FORMULAS[name]
    function = getattr(fg, name)
    for x in samples():
        for chosen in ({}, settings) if name != "threshold" else (settings,):
            want = formula(x, **chosen)
            np.testing.assert_allclose(function(x, **chosen).numpy(), want, rtol=1e-12, atol=1e-15)
            leaf = fg.tensor(x, requires_grad=True)
            if x.size:
                for order in (1, 2):
                    fg.gradcheck(lambda t, c=chosen: function(t, **c), [leaf], order=order)


@pytest.mark.parametrize("name", sorted(set(FORMULAS) - {"glu", "softmin"}))
def test_activations_take_numbers_integers_and_extremes(name):
    formula, settings = FORMULAS[name]
    function = getattr(fg, name)
    assert function(-2.0, **settings).shape == ()
    got = function(np.array([-3, 0, 5]), **settings)
    assert got.dtype == np.float32
    x = np.array([-1e4, 1e4, np.nan])
    with np.errstate(all="ignore"):
        want = formula(x, **settings)[:2]
    leaf = fg.tensor(x, requires_grad=True)
    y = function(leaf, **settings)
    if name not in ("mish", "gelu_tanh"):  # their formulas overflow, the functions do not
        np.testing.assert_allclose(y.numpy()[:2], want, rtol=1e-12)
    y[:2].sum().backward()
    assert np.isfinite(leaf.grad.numpy()[:2]).all()
    assert np.isnan(y.numpy()[2]) or name == "threshold"


def test_prelu_has_a_slope_for_each_channel():
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(2, 3, 4)), rng.uniform(size=3)
    want = np.where(x > 0, x, x * w[:, None])
    np.testing.assert_allclose(fg.prelu(x, w).numpy(), want)
    np.testing.assert_allclose(fg.prelu(x[:, 0, 0], w[:1]).numpy(), np.where(
        x[:, 0, 0] > 0, x[:, 0, 0], x[:, 0, 0] * w[0]))  # fmt: skip
    leaves = [fg.tensor(x, requires_grad=True), fg.tensor(w, requires_grad=True)]
    for order in (1, 2):
        fg.gradcheck(fg.prelu, leaves, order=order)
    with pytest.raises(ShapeError, match=r"\(3,\), one for each channel"):
        fg.prelu(x, np.ones(2))


def test_rrelu_draws_slopes_while_training():
    fg.manual_seed(0)
    y = fg.rrelu(-np.ones(10_000), 0.1, 0.5, training=True).numpy()
    assert -0.5 < y.min() < -0.49
    assert -0.11 < y.max() <= -0.1
    np.testing.assert_array_equal(fg.rrelu(np.ones(3), training=True).numpy(), np.ones(3))


def test_glu_refuses_an_odd_length():
    with pytest.raises(ShapeError, match="even number"):
        fg.glu(np.ones((2, 3)))


@pytest.mark.parametrize("p", [0.5, 1, 2, 3, np.inf])
def test_distances_follow_their_formulas(p):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))

    def length(v, axis):
        return np.linalg.norm(v, p, axis) if v.ndim == 1 else np.array(
            [np.linalg.norm(row, p) for row in np.moveaxis(v, axis, -1)])  # fmt: skip

    np.testing.assert_allclose(fg.normalize(x, p=p).numpy(), x / length(x, 1)[:, None], rtol=1e-12)
    np.testing.assert_allclose(
        fg.pairwise_distance(x, y, p=p).numpy(), length(x - y + 1e-6, 1), rtol=1e-12
    )
    pairs = [length(x[i] - x[j], 0) for i in range(4) for j in range(i + 1, 4)]
    np.testing.assert_allclose(fg.pdist(x, p=p).numpy(), pairs, rtol=1e-12)
    leaves = [fg.tensor(v, requires_grad=True) for v in (x, y)]
    for order in (1, 2):
        fg.gradcheck(lambda a, b: fg.pairwise_distance(a, b, p=p), leaves, order=order)
        fg.gradcheck(lambda a: fg.pdist(a, p=p), leaves[:1], order=order)
        fg.gradcheck(lambda a: fg.normalize(a, p=p), leaves[:1], order=order)


def test_cosine_similarity_broadcasts():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 3, 4)), rng.normal(size=(3, 1))
    want = (x * y).sum(1) / (np.linalg.norm(x, axis=1) * np.linalg.norm(y))
    np.testing.assert_allclose(fg.cosine_similarity(x, y, axis=1).numpy(), want, rtol=1e-12)
    leaves = [fg.tensor(v, requires_grad=True) for v in (x, y)]
    for order in (1, 2):
        fg.gradcheck(lambda a, b: fg.cosine_similarity(a, b, axis=1), leaves, order=order)
    wide = np.broadcast_to(y, (2, 3, 4))
    np.testing.assert_allclose(
        fg.cosine_similarity(x, y[:, :1][None], axis=2).numpy(),
        (x * wide).sum(2) / (np.linalg.norm(x, axis=2) * np.linalg.norm(wide, axis=2)),
        rtol=1e-12,
    )


@pytest.mark.parametrize("p", [0.5, 1, 2, 3, np.inf])
def test_gradients_of_lengths_at_zero_are_zero(p):
    x = fg.tensor(np.zeros((2, 3)), requires_grad=True)
    fg.pairwise_distance(x, np.zeros((2, 3)), p=p, eps=0.0).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), 0)
    x.grad = None
    fg.cosine_similarity(x, np.ones((2, 3))).sum().backward()
    assert np.isfinite(x.grad.numpy()).all()
