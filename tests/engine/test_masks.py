"""A gradient that a mask has stopped stays zero, whatever the masked values are."""

import itertools

import numpy as np
import pytest

import fieldgrad.engine as fg
from fieldgrad.engine._core import TABLE

ELEMENTWISE = sorted(
    name
    for name, op in TABLE.items()
    if op.shape is None and op.differentiable and not op.variadic
    # Their derivative by the shape parameter is a series whose length grows with the argument.
    if not name.startswith("gammainc")
)
# Zeros of both signs, poles, ends of domains, what overflows, what is no number.
AWKWARD = (0.0, -0.0, 0.5, 1.0, -1.0, 2.0, -2.0, 1e30, -1e30, 1e-320, np.inf, -np.inf, np.nan)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_where_nothing_arrives_nothing_goes_on(name):
    op = TABLE[name]
    sample, attributes = next(iter(op.samples(np.random.default_rng(0))))
    points = np.array(list(itertools.product(AWKWARD, repeat=len(sample)))).T
    leaves = [
        fg.tensor(values.copy(), requires_grad=True)
        if np.asarray(x).dtype.kind == "f"
        else fg.tensor(np.isfinite(values).astype(np.asarray(x).dtype))
        for x, values in zip(sample, points, strict=True)
    ]
    with np.errstate(all="ignore"):
        y = op(*leaves, **attributes)
        if not y.requires_grad:
            return
        y.backward(np.zeros(y.shape, y.dtype))
    for x in leaves:
        if x.grad is not None:
            np.testing.assert_array_equal(x.grad.numpy(), 0.0)


@pytest.mark.parametrize(
    ("function", "masked", "value"),
    [
        (fg.sqrt, -1.0, 0.25),
        (fg.log, 0.0, 0.25),
        (lambda x: x * fg.log(x), 0.0, 1 + np.log(4.0)),
        (lambda x: 1.0 / x, 0.0, -1 / 16),
        (lambda x: x / fg.abs(x), 0.0, 0.0),
        (lambda x: x**0.5, 0.0, 0.25),
        (lambda x: fg.exp(x * x), 1e3, 8 * np.exp(16.0)),
        (lambda x: fg.sqrt(x - 3.0) / fg.log(x - 3.0 + 1e-300) ** 2, 1.0, None),
    ],
)
def test_the_branch_not_taken_gives_no_nan(function, masked, value):
    x = fg.tensor(np.array([masked, 4.0]), requires_grad=True)
    with np.errstate(all="ignore"):
        fg.where([False, True], function(x), 7.0).sum().backward()
        first, second = x.grad.tolist()
        assert first == 0.0
        if value is not None:
            np.testing.assert_allclose(second, value)
        x.grad = None
        (function(x)[1:] * 1.0).sum().backward()  # a slice is a mask as well
        assert x.grad.tolist()[0] == 0.0


def test_norm_and_distance_at_zero():
    x = fg.tensor(np.zeros((2, 3)), requires_grad=True)
    for function in (
        lambda t: fg.linalg.vector_norm(t),
        lambda t: fg.linalg.vector_norm(t, axis=1).sum(),
        lambda t: fg.cdist(t, t).sum(),
        lambda t: fg.hypot(t, t).sum(),
    ):
        x.grad = None
        function(x).backward()
        np.testing.assert_array_equal(x.grad.numpy(), 0.0)


def test_masked_softmax_and_attention():
    scores = fg.tensor(np.array([[1.0, np.nan, 2.0], [np.inf, 1.0, 3.0]]), requires_grad=True)
    mask = np.isfinite(scores.numpy())
    p = fg.softmax(fg.where(mask, scores, -np.inf), axis=1)
    (p * np.array([1.0, 2.0, 3.0])).sum().backward()
    assert np.isfinite(scores.grad.numpy()).all()
    assert not scores.grad.numpy()[~mask].any()


def test_second_derivatives_of_masked_functions():
    x = fg.tensor(np.array([0.0, 4.0]), requires_grad=True)
    with np.errstate(all="ignore"):
        y = fg.where(x.numpy() > 0, fg.sqrt(x), 0.0).sum()
        first = fg.grad(y, x, create_graph=True)
        second = fg.grad(first.sum(), x)
    np.testing.assert_allclose(first.tolist(), [0.0, 0.25])
    np.testing.assert_allclose(second.tolist(), [0.0, -1 / 32])
