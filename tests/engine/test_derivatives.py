"""Derivatives of functions: against formulas, against one another, inside and around vmap."""

import numpy as np
import pytest

import fieldgrad.engine as fg
from fieldgrad.engine.errors import ShapeError


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


A = normal(3, 4)
X = normal(4, seed=1)


def curved(x):
    """Three outputs; the Jacobian is A diag(cos x) exp(A sin x)."""
    return fg.exp(fg.tensor(A) @ fg.sin(x))


CURVED = np.exp(A @ np.sin(X))[:, None] * A * np.cos(X)


def energy(x):
    return (curved(x) ** 2).sum() + fg.logsumexp(x)


def slope(function):
    return lambda *args: fg.value_and_grad(function)(*args)[1]


def test_products_with_the_jacobian():
    v, g = normal(4, seed=2), normal(3, seed=3)
    value, tangent = fg.jvp(curved, (X,), (v,))
    np.testing.assert_allclose(value.numpy(), np.exp(A @ np.sin(X)))
    np.testing.assert_allclose(tangent.numpy(), CURVED @ v)
    value, pullback = fg.vjp(curved, X)
    assert not value.requires_grad
    for _ in range(2):
        np.testing.assert_allclose(pullback(g).numpy(), g @ CURVED)


@pytest.mark.parametrize("mode", ["reverse", "forward"])
@pytest.mark.parametrize("chunk_size", [None, 2])
def test_jacobian(mode, chunk_size):
    got = fg.jacobian(curved, mode=mode, chunk_size=chunk_size)(X)
    np.testing.assert_allclose(got.numpy(), CURVED)


@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_jacobian_of_containers(mode):
    def function(weights, x):
        return {"y": weights["a"] @ x, "z": (weights["b"].sum(), x * 2.0)}

    weights = {"a": fg.tensor(A), "b": fg.tensor(normal(2))}
    by_weights, by_x = (fg.jacobian(function, i, mode=mode)(weights, fg.tensor(X)) for i in (0, 1))
    np.testing.assert_allclose(by_x["y"].numpy(), A)
    np.testing.assert_allclose(by_x["z"][1].numpy(), 2 * np.eye(4))
    assert by_x["z"][0].tolist() == [0.0] * 4
    np.testing.assert_allclose(by_weights["y"]["a"].numpy(), np.einsum("ij,k->ijk", np.eye(3), X))
    assert by_weights["y"]["b"].shape == (3, 2)
    assert by_weights["z"][0]["b"].tolist() == [1.0, 1.0]
    both = fg.jacobian(function, (0, 1), mode=mode)(weights, fg.tensor(X))
    np.testing.assert_array_equal(both["y"][1].numpy(), by_x["y"].numpy())


def test_hessian_and_its_products():
    hessian = fg.hessian(energy)(X).numpy()
    v = normal(4, seed=5)
    value, product = fg.hvp(energy, X, v)
    np.testing.assert_allclose(value.item(), energy(fg.tensor(X)).item())
    np.testing.assert_allclose(product.numpy(), hessian @ v)
    np.testing.assert_allclose(hessian, hessian.T, rtol=1e-12)
    for i in range(4):
        step = 1e-5 * np.eye(4)[i]
        up, down = (slope(energy)(X + s).numpy() for s in (step, -step))
        np.testing.assert_allclose(hessian[i], (up - down) / 2e-5, rtol=1e-6, atol=1e-7)


def test_derivatives_compose():
    third = slope(slope(slope(fg.sin)))
    np.testing.assert_allclose(third(np.array(0.7)).item(), -np.cos(0.7))
    np.testing.assert_allclose(fg.vmap(third)(X).numpy(), -np.cos(X))
    directional = slope(lambda x: fg.jvp(energy, (x,), (np.ones(4),))[1])
    np.testing.assert_allclose(
        directional(X).numpy(), fg.hessian(energy)(X).numpy() @ np.ones(4), rtol=1e-9
    )
    np.testing.assert_allclose(
        fg.jacobian(fg.jacobian(curved))(X).numpy(),
        fg.jacobian(fg.jacobian(curved, mode="forward"))(X).numpy(),
        rtol=1e-9,
        atol=1e-12,
    )


@pytest.mark.parametrize(
    "function",
    [
        fg.jacobian(curved),
        fg.jacobian(curved, mode="forward"),
        fg.hessian(energy),
        lambda x: fg.hvp(energy, x, np.arange(4.0))[1],
        lambda x: fg.jvp(curved, (x,), (x * 2.0,))[1],
        lambda x: fg.vjp(curved, x)[1](np.arange(3.0)),
    ],
)
def test_derivatives_map(function):
    xs = normal(5, 4)
    want = np.stack([function(fg.tensor(x)).numpy() for x in xs])
    np.testing.assert_allclose(fg.vmap(function)(xs).numpy(), want, rtol=1e-10, atol=1e-12)
    twice = fg.vmap(fg.vmap(function))(np.stack([xs, xs[::-1]]))
    np.testing.assert_allclose(twice.numpy()[1], want[::-1], rtol=1e-10, atol=1e-12)


def test_a_recorded_argument_keeps_its_history():
    x = fg.tensor(X, requires_grad=True)
    value, gradient = fg.value_and_grad(energy)(x)
    (gradient**2).sum().backward()
    np.testing.assert_allclose(
        x.grad.numpy(), 2 * fg.hessian(energy)(X).numpy() @ gradient.numpy(), rtol=1e-9
    )
    assert value.requires_grad
    with fg.no_grad():
        assert not fg.value_and_grad(energy)(x)[1].requires_grad


def test_create_graph_is_for_tensors_beside_the_arguments():
    w = fg.tensor(2.0, requires_grad=True)
    assert not fg.value_and_grad(lambda x: w * x * x)(fg.tensor(3.0))[1].requires_grad
    _, force = fg.value_and_grad(lambda x: w * x * x, create_graph=True)(fg.tensor(3.0))
    force.backward()
    assert w.grad.item() == 6.0


def test_what_does_not_depend_has_gradient_zero():
    _, (gx, gy) = fg.value_and_grad(lambda x, y: (x * x).sum(), (0, 1))(X, A)
    np.testing.assert_allclose(gx.numpy(), 2 * X)
    assert gy.shape == A.shape
    assert not gy.numpy().any()
    assert fg.jvp(lambda x: fg.ones(2), (X,), (X,))[1].tolist() == [0.0, 0.0]


def test_first_arguments_are_left_alone():
    x = fg.tensor(X)
    fg.value_and_grad(energy)(x)
    assert not x.requires_grad
    assert x.grad is None


def test_linear_functions():
    np.testing.assert_array_equal(fg.jacobian(lambda x: fg.tensor(A) @ x)(X).numpy(), A)
    assert not fg.hessian(lambda x: x.sum())(X).numpy().any()


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ShapeError, match=r"shape \(3,\), the argument \(4,\)"):
        fg.jvp(curved, (X,), (normal(3),))
    with pytest.raises(ShapeError, match="one element"):
        fg.value_and_grad(curved)(X)
    with pytest.raises(ShapeError, match="one element"):
        fg.vmap(fg.value_and_grad(curved))(normal(5, 4))
    with pytest.raises(ValueError, match="'forward'"):
        fg.jacobian(curved, mode="both")
