"""Ops of one's own: gradients of any order, attributes, auxiliary arrays, vmap, errors."""

import numpy as np
import pytest

import fieldgrad.engine as fg
from fieldgrad.engine.errors import GradientError


@fg.custom_op
def power_of(x, /, exponent=3):
    return x**exponent


@power_of.vjp
def _(g, x, exponent):
    return g * float(exponent) * x ** (exponent - 1)


@fg.custom_op(aux=("order",), keeps_dtype=("index",))
def picked_in_order(x, index, /):
    """Rows of x by number, ascending in their first column."""
    order = index[np.argsort(x[index, 0])]
    return x[order], order


@picked_in_order.vjp
def _(g, x_shape, order):
    full = np.zeros((x_shape[0], len(order)))
    full[order, np.arange(len(order))] = 1
    return fg.tensor(full, dtype=g.dtype) @ g, None


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape)


@pytest.mark.parametrize("order", [1, 2])
def test_gradients(order):
    x = fg.tensor(normal(3, 2), requires_grad=True)
    fg.gradcheck(lambda t: power_of(t, exponent=4), [x], order=order)
    fg.gradcheck(lambda t: picked_in_order(t, [2, 0]) ** 2, [x], order=order)


def test_attributes_names_and_documentation():
    assert power_of(fg.tensor([2.0]), exponent=5).tolist() == [32.0]
    assert picked_in_order.__name__ == "picked_in_order"
    assert "ascending" in picked_in_order.__doc__


def test_it_maps_example_by_example():
    x = normal(4, 3, 2)
    got = fg.vmap(picked_in_order, (0, None))(x, np.array([0, 2]))
    want = np.stack([picked_in_order(row, np.array([0, 2])).numpy() for row in x])
    np.testing.assert_array_equal(got.numpy(), want)


def test_a_missing_rule_and_missing_tensors_are_explained():
    @fg.custom_op
    def halved(x, /):
        return x / 2

    with pytest.raises(GradientError, match=r"@halved\.vjp"):
        halved(fg.tensor([1.0], requires_grad=True))
    with pytest.raises(TypeError, match=r"def f\(x, /\)"):

        @fg.custom_op
        def f(x):
            return x
