"""Linear algebra that is made of ops: values as in NumPy, gradients as by differences."""

import math

import numpy as np
import pytest
import scipy.linalg

import fieldgrad.engine as fg
from fieldgrad.engine import linalg

RNG = np.random.default_rng(0)
A = RNG.normal(size=(3, 3)) + 3 * np.eye(3)
BATCH = RNG.normal(size=(2, 3, 3)) + 3 * np.eye(3)
TALL = RNG.normal(size=(4, 2))
V = RNG.normal(size=(3,))

# Our call, the reference, the arrays; gradients of both orders are checked for all of them.
CALLS = {
    "matrix_power": (lambda x: linalg.matrix_power(x, 5), lambda x: np.linalg.matrix_power(x, 5)),
    "matrix_power, inverse": (
        lambda x: linalg.matrix_power(x, -3),
        lambda x: np.linalg.matrix_power(x, -3),
    ),
    "matrix_power, none": (
        lambda x: linalg.matrix_power(x, 0),
        lambda x: np.linalg.matrix_power(x, 0),
    ),
    "trace": (linalg.trace, lambda x: np.trace(x, axis1=-2, axis2=-1)),
    "diagonal above": (
        lambda x: linalg.diagonal(x, offset=1),
        lambda x: np.diagonal(x, 1, -2, -1),
    ),
    "diagonal below": (
        lambda x: linalg.diagonal(x, offset=-2),
        lambda x: np.diagonal(x, -2, -2, -1),
    ),
    "logdet": (linalg.logdet, lambda x: np.linalg.slogdet(x)[1]),
    **{
        f"matrix_norm {ord}": (
            lambda x, ord=ord: linalg.matrix_norm(x, ord=ord),
            lambda x, ord=ord: np.linalg.norm(x, ord, axis=(-2, -1)),
        )
        for ord in ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf)
    },
    **{
        f"vector_norm {ord}": (
            lambda x, ord=ord: linalg.vector_norm(x, ord=ord, axis=-1),
            lambda x, ord=ord: np.linalg.norm(x, ord, axis=-1),
        )
        for ord in (1, 2, 3, 0.5, -1, math.inf, -math.inf)
    },
    "cond": (linalg.cond, np.linalg.cond),
    "cond 1": (lambda x: linalg.cond(x, 1), lambda x: np.linalg.cond(x, 1)),
}


@pytest.mark.parametrize("x", [A, BATCH], ids=["one", "batch"])
@pytest.mark.parametrize("name", CALLS)
def test_functions_of_square_matrices(name, x):
    ours, theirs = CALLS[name]
    np.testing.assert_allclose(ours(fg.tensor(x)).numpy(), theirs(x), rtol=1e-10)
    for order in (1, 2):
        fg.gradcheck(ours, [fg.tensor(x, requires_grad=True)], order=order)


PRODUCTS = {
    "outer": (linalg.outer, np.outer, V, V[:2]),
    "kron": (linalg.kron, np.kron, A, TALL),
    "kron of unequal axes": (linalg.kron, np.kron, V, TALL),
    "cross": (linalg.cross, np.cross, BATCH, V),
    "vecdot": (linalg.vecdot, np.vecdot, BATCH, V),
    "tensordot": (linalg.tensordot, np.tensordot, BATCH, BATCH[0]),
    "tensordot of none": (
        lambda x, y: linalg.tensordot(x, y, axes=0),
        lambda x, y: np.tensordot(x, y, axes=0),
        V,
        TALL,
    ),
    "tensordot by axes": (
        lambda x, y: linalg.tensordot(x, y, axes=((0, 2), (1, 0))),
        lambda x, y: np.tensordot(x, y, axes=((0, 2), (1, 0))),
        BATCH,
        RNG.normal(size=(3, 2)),
    ),
    "multi_dot": (
        lambda x, y: linalg.multi_dot([x, y, x]),
        lambda x, y: np.linalg.multi_dot([x, y, x]),
        V,
        A,
    ),
    "cholesky_solve": (
        lambda x, b: linalg.cholesky_solve(linalg.cholesky(x @ fg.matrix_transpose(x)), b),
        lambda x, b: np.linalg.solve(x @ x.swapaxes(-1, -2), b),
        BATCH,
        TALL[:3],
    ),
    "tensorsolve": (
        lambda a, b: linalg.tensorsolve(fg.reshape(a, (3, 1, 3)), fg.reshape(b, (3, 1)))[..., None],
        lambda a, b: np.linalg.solve(a, b[:, None]),
        A,
        V,
    ),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_functions_of_two_arrays(name):
    ours, theirs, x, y = PRODUCTS[name]
    np.testing.assert_allclose(ours(fg.tensor(x), fg.tensor(y)).numpy(), theirs(x, y), rtol=1e-10)
    for order in (1, 2):
        leaves = [fg.tensor(a, requires_grad=True) for a in (x, y)]
        fg.gradcheck(ours, leaves, order=order)


@pytest.mark.parametrize(
    ("subscripts", "shapes"),
    [
        ("ii->i", [(3, 3)]),
        ("ii", [(3, 3)]),
        ("iij->ji", [(2, 2, 3)]),
        ("iii->i", [(2, 2, 2)]),
        ("...ij,...jk->...ik", [(2, 3, 4), (4, 2)]),
        ("...ij,...jk", [(2, 1, 3, 4), (5, 4, 2)]),
        ("i...,i...->...", [(3, 2), (3, 1)]),
        ("...", [(2, 3)]),
        ("ij...->...", [(2, 3, 4)]),
        ("b i , b j -> b i j", [(2, 3), (2, 4)]),
        ("...ii->...", [(2, 3, 3)]),
        (",i->i", [(), (3,)]),
    ],
)
def test_einsum_is_that_of_numpy(subscripts, shapes):
    arrays = [RNG.normal(size=s) for s in shapes]
    got = fg.einsum(subscripts, *arrays)
    np.testing.assert_allclose(got.numpy(), np.einsum(subscripts, *arrays), rtol=1e-12)
    leaves = [fg.tensor(a, requires_grad=True) for a in arrays]
    for order in (1, 2):
        fg.gradcheck(lambda *xs: fg.einsum(subscripts, *xs), leaves, order=order)


def test_norms_of_zeros_have_gradient_zero():
    for ord in (0.5, 1, 2, 3, -1, math.inf, -math.inf):
        x = fg.tensor(np.zeros(3), requires_grad=True)
        linalg.vector_norm(x, ord=ord).backward()
        np.testing.assert_array_equal(x.grad.numpy(), 0)


def test_determinant_of_a_singular_matrix_has_its_cofactors_as_gradient():
    x = fg.tensor(np.outer([1.0, 2.0], [3.0, 4.0]), requires_grad=True)
    linalg.det(x).backward()
    np.testing.assert_allclose(x.grad.numpy(), [[8, -6], [-4, 3]], rtol=1e-12)


def test_eigenvalues_of_any_matrix_have_gradients():
    def squares(z):
        return fg.square(fg.real(z)) + fg.square(fg.imag(z))

    x, weights = fg.tensor(RNG.normal(size=(4, 4)), requires_grad=True), RNG.normal(size=(4, 4))
    for order in (1, 2):
        fg.gradcheck(lambda x: fg.imag(linalg.eigvals(x) ** 2), [x], order=order)
        fg.gradcheck(lambda x: squares(linalg.eig(x).eigenvalues), [x], order=order)
        fg.gradcheck(lambda x: squares(linalg.eig(x).eigenvectors) * weights, [x], order=order)


def test_second_use_of_the_same_outputs_adds_up():
    """The rule of eigh asks for its outputs; gradients meet at them, whoever asks."""
    x = fg.tensor(A @ A.T, requires_grad=True)
    w, v = linalg.eigh(x)
    rebuilt = (v * w) @ fg.matrix_transpose(v)
    (g,) = fg.grad((rebuilt * rebuilt).sum(), [x], create_graph=True)
    np.testing.assert_allclose(g.numpy(), 2 * x.numpy(), rtol=1e-10)
    (h,) = fg.grad((g * g).sum(), [x])
    np.testing.assert_allclose(h.numpy(), 8 * x.numpy(), rtol=1e-9)


def test_changed_outputs_are_noticed():
    x = fg.tensor(A @ A.T, requires_grad=True)
    w, _ = linalg.eigh(x)
    loss = (w * 1).sum()
    w.assign(np.zeros(3))
    with pytest.raises(fg.errors.GradientError, match="changed in place"):
        loss.backward()


def test_complex_matrices_forward():
    z = A + 1j * RNG.normal(size=(3, 3))
    hermitian = z @ z.conj().T
    np.testing.assert_allclose(linalg.cholesky(hermitian).numpy(), np.linalg.cholesky(hermitian))
    np.testing.assert_allclose(linalg.svdvals(z).numpy(), np.linalg.svdvals(z))
    np.testing.assert_allclose(linalg.expm(z).numpy(), scipy.linalg.expm(z))
    leaf = fg.tensor(hermitian.real, requires_grad=True)
    factor = fg.abs(linalg.cholesky(leaf * (1 + 0j))).sum()
    with pytest.raises(fg.errors.GradientError, match="complex matrices have no gradient"):
        factor.backward()


def test_unequal_errors_teach():
    with pytest.raises(fg.errors.LinAlgError, match="not positive definite"):
        linalg.cholesky([[1.0, 2.0], [2.0, 1.0]])
    with pytest.raises(fg.errors.LinAlgError, match="singular"):
        linalg.solve([[1.0, 1.0], [1.0, 1.0]], [1.0, 2.0])
    with pytest.raises(fg.errors.LinAlgError, match="0 on the diagonal"):
        linalg.solve_triangular([[0.0]], [[1.0]], upper=True)
    with pytest.raises(fg.errors.ShapeError, match="expected square matrices"):
        linalg.inv(TALL)
    with pytest.raises(fg.errors.ShapeError, match="as many equations"):
        linalg.solve(A, TALL)
    q = linalg.qr(fg.tensor(TALL, requires_grad=True), mode="complete").Q.sum()
    with pytest.raises(fg.errors.GradientError, match="Use mode='reduced'"):
        q.backward()


def test_results_have_names():
    assert linalg.eigh(A @ A.T)._fields == ("eigenvalues", "eigenvectors")
    assert linalg.svd(A)._fields == ("U", "S", "Vh")
    assert linalg.qr(A)._fields == ("Q", "R")
    assert linalg.slogdet(A)._fields == ("sign", "logabsdet")


def test_rank_counts_values_that_are_not_zero():
    x = np.outer(V, V)
    assert linalg.matrix_rank(x).item() == 1
    assert linalg.matrix_rank(BATCH).tolist() == [3, 3]
    assert linalg.matrix_rank(np.zeros((0, 3))).item() == 0
    assert linalg.matrix_rank(np.diag([1.0, 1e-3]), rtol=0.1).item() == 1
