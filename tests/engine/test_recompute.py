"""Recomputation: the same gradients, to the last bit, from less memory."""

import gc
import weakref

import numpy as np
import pytest

import fieldgrad.engine as fg
from fieldgrad.engine.errors import GradientError


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def block(x, weight):
    h = fg.tanh(x @ weight)
    parts = fg.unstack(fg.layer_norm(h, n_axes=1), axis=1)
    return fg.dropout(fg.stack(parts, axis=1) * h, 0.3)


def run(call, x, weights):
    fg.manual_seed(3)
    for weight in weights:
        x = call(block, x, weight)
    return (x**2).sum()


def leaves():
    x = fg.tensor(normal(5, 4), requires_grad=True)
    return x, [fg.tensor(normal(4, 4, seed=i), requires_grad=True) for i in range(3)]


def plain(function, *args):
    return function(*args)


def nested(function, *args):
    return fg.recompute(lambda *a: fg.recompute(function, *a) * 1.0, *args)


@pytest.mark.parametrize("call", [fg.recompute, nested])
def test_gradients_are_the_same_bits(call):
    (x, ws), (y, vs) = leaves(), leaves()
    a, b = run(plain, x, ws), run(call, y, vs)
    after = fg.random.normal(3).tolist()
    assert a.item() == b.item()
    a.backward()
    b.backward()
    for p, q in zip([x, *ws], [y, *vs], strict=True):
        np.testing.assert_array_equal(p.grad.numpy(), q.grad.numpy())
    run(plain, *leaves())
    assert fg.random.normal(3).tolist() == after  # the second pass gave the generator back


def test_captured_tensors_get_their_gradients():
    w = fg.tensor(2.0, requires_grad=True)
    x = fg.tensor(3.0, requires_grad=True)
    fg.recompute(lambda a: fg.sin(a * w), x).backward()
    np.testing.assert_allclose([w.grad.item(), x.grad.item()], np.cos(6.0) * np.array([3.0, 2.0]))


@pytest.mark.parametrize("call", [fg.recompute, nested])
def test_higher_orders(call):
    x = fg.tensor(np.array(0.7), requires_grad=True)
    y = call(lambda a: fg.layer_norm(fg.stack([fg.sin(a), a * a]), n_axes=1)[0] + a**3, x)
    z = plain(lambda a: fg.layer_norm(fg.stack([fg.sin(a), a * a]), n_axes=1)[0] + a**3, x)
    for _ in range(3):
        y, z = (fg.grad(t, x, create_graph=True) for t in (y, z))
        np.testing.assert_allclose(y.item(), z.item(), rtol=1e-9)


def test_composes_with_transforms():
    x = normal(3, 4)
    function = lambda r: (fg.exp(fg.sin(r)) * r).sum()  # noqa: E731
    slope = lambda f: lambda r: fg.value_and_grad(f)(r)[1]  # noqa: E731
    again = lambda r: fg.recompute(function, r)  # noqa: E731
    want = fg.vmap(slope(function))(x).numpy()
    np.testing.assert_array_equal(fg.vmap(slope(again))(x).numpy(), want)
    outer = fg.tensor(x, requires_grad=True)
    fg.vmap(again)(outer).sum().backward()
    np.testing.assert_array_equal(outer.grad.numpy(), want)
    np.testing.assert_allclose(
        fg.hessian(again)(x[0]).numpy(), fg.hessian(function)(x[0]).numpy(), rtol=1e-12
    )
    leaf = fg.tensor(x[0], requires_grad=True)
    fg.recompute(lambda r: slope(function)(r).sum(), leaf).backward()
    np.testing.assert_allclose(
        leaf.grad.numpy(), fg.hessian(function)(x[0]).numpy().sum(axis=0), rtol=1e-12
    )


def test_values_inside_are_not_kept():
    seen = []

    def function(x):
        middle = fg.exp(x)
        seen.append(weakref.ref(middle))
        return (middle * middle).sum()

    x = fg.tensor(normal(4), requires_grad=True)
    gc.disable()  # no cycle may hold the values until a collection
    try:
        y = fg.recompute(function, x)
        assert seen[0]() is None
        y.backward()
        assert seen[1]() is None
    finally:
        gc.enable()
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.exp(2 * x.numpy()))


def test_memory_of_a_deep_pass():
    def forward(call):
        x = fg.tensor(np.ones((256, 256), np.float32), requires_grad=True)
        for _ in range(8):
            x = call(lambda a: fg.tanh(fg.exp(fg.sin(fg.cos(a)))) * a, x)
        return x

    sizes = []
    for call in (plain, fg.recompute):
        before = fg.memory.stats().used
        y = forward(call)
        sizes.append(fg.memory.stats().used - before)
        del y
    assert sizes[1] < sizes[0] / 3


def test_the_function_runs_once_more_and_not_under_no_grad():
    calls = []
    x = fg.tensor(normal(4), requires_grad=True)
    function = lambda a: calls.append(1) or fg.sin(fg.cos(a)).sum()  # noqa: E731
    with fg.no_grad():
        assert not fg.recompute(function, x).requires_grad
    y = fg.recompute(function, x)
    assert len(calls) == 2
    y.backward(retain_graph=True)
    y.backward()
    assert len(calls) == 3
    with pytest.raises(GradientError, match="already used"):
        y.backward()


def test_a_function_that_does_something_else_is_noticed():
    turns = iter([fg.sin, fg.cos])
    x = fg.tensor(1.0, requires_grad=True)
    y = fg.recompute(lambda a: next(turns)(a) * 2.0, x)
    with pytest.raises(GradientError, match="must do the same"):
        y.backward()


def test_a_change_in_place_meanwhile_is_noticed():
    x, w = fg.tensor(1.0, requires_grad=True), fg.tensor(2.0)
    y = fg.recompute(lambda a: a * w, x)
    w.assign(5.0)
    with pytest.raises(GradientError, match="changed in place"):
        y.backward()
