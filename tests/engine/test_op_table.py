"""One suite over the whole op table: what every op must obey."""

import numpy as np
import pytest
from references import REFERENCES

import fieldgrad.engine as fg
from fieldgrad.engine._core import TABLE

OPS = sorted(TABLE)
FUSED = [name for name in OPS if TABLE[name].composite is not None]


def samples(name):
    """The op's sample calls, inputs as a flat list of arrays."""
    op = TABLE[name]
    for inputs, attributes in op.samples(np.random.default_rng(0)):
        yield list(inputs[0] if op.variadic else inputs), attributes


def is_complex(name):
    """Whether the op takes or gives complex numbers; test_complex.py has their gradients."""
    inputs, attributes = next(samples(name))
    arrays = (*map(np.asarray, inputs), call(name, inputs, attributes))
    return any(x.dtype.kind == "c" for x in arrays)


def narrow(x):
    """Single precision, of floating numbers."""
    return np.asarray(x).astype({"f": "f4", "c": "c8"}.get(np.asarray(x).dtype.kind, x.dtype))


def widen(x):
    """Double precision, of floating numbers."""
    return np.asarray(x).astype({"f": "f8", "c": "c16"}.get(np.asarray(x).dtype.kind, x.dtype))


def call(name, inputs, attributes):
    """The op's output; several in one flat tensor."""
    op = TABLE[name]
    out = op(inputs, **attributes) if op.variadic else op(*inputs, **attributes)
    return fg.concat([fg.reshape(y, (-1,)) for y in out]) if op.several else out


def reference(name, inputs, attributes):
    out = REFERENCES[name](*inputs, **attributes)
    if TABLE[name].several:
        return np.concatenate([np.ravel(y) for y in out])
    return np.asarray(out)


def tensors(inputs, *, requires_grad=True):
    return [
        fg.tensor(x, requires_grad=requires_grad and x.dtype.kind == "f")
        if isinstance(x, np.ndarray)
        else x
        for x in (np.asarray(x) if isinstance(x, np.generic) else x for x in inputs)
    ]


ELEMENTWISE = [
    name
    for name in OPS
    if TABLE[name].shape is None
    and len(TABLE[name].inputs) == 1
    and next(samples(name))[0][0].dtype.kind == "f"
]
DIFFERENTIABLE = [name for name in OPS if TABLE[name].differentiable and not is_complex(name)]


def test_every_op_has_a_reference_and_every_reference_an_op():
    assert set(REFERENCES) == set(TABLE)


@pytest.mark.parametrize("name", OPS)
def test_values_agree_with_float64_numpy(name):
    n = 0
    for inputs, attributes in samples(name):
        want = reference(name, inputs, attributes)
        got = call(name, inputs, attributes)
        assert got.shape == want.shape
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got.numpy(), want, rtol=1e-12, atol=1e-12)
        n += 1
    assert n > 0


@pytest.mark.parametrize("name", OPS)
def test_float32_stays_float32_and_is_close(name):
    for inputs, attributes in samples(name):
        if name == "astype":
            continue  # its attribute names the dtype
        single = [narrow(x) for x in map(np.asarray, inputs)]
        want = reference(name, [widen(x) for x in single], attributes)
        got = call(name, single, attributes)
        assert got.dtype == narrow(want).dtype
        # Sums of products lose digits in proportion to their terms, all of order 1 here.
        np.testing.assert_allclose(got.numpy(), want, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients_agree_with_differences(name, order):
    n = 0
    for inputs, attributes in samples(name):
        leaves = tensors(inputs)
        if not all(np.size(x) for x in inputs):
            continue
        fg.gradcheck(lambda *xs, a=attributes: call(name, xs, a), leaves, order=order)
        n += 1
    assert n > 0


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradient_has_shape_and_dtype_of_its_input(name):
    for inputs, attributes in samples(name):
        for dtype in (np.float32, np.float64):
            leaves = tensors(
                [
                    x.astype(dtype) if np.asarray(x).dtype.kind == "f" else x
                    for x in map(np.asarray, inputs)
                ]
            )
            y = call(name, leaves, attributes)
            y.backward(np.ones(y.shape, y.dtype))
            filled = [x for x in leaves if x.requires_grad and x.grad is not None]
            assert filled
            for x in filled:
                assert x.grad.shape == x.shape
                assert x.grad.dtype == dtype


@pytest.mark.parametrize("name", OPS)
def test_memory_layout_does_not_matter(name):
    for inputs, attributes in samples(name):
        want = call(name, inputs, attributes).numpy()
        for rearrange in (np.asfortranarray, _every_second, _reversed_memory):
            odd = [rearrange(x) if np.ndim(x) else x for x in inputs]
            got = call(name, odd, attributes).numpy()
            np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", OPS)
def test_repeated_memory_does_not_matter(name):
    for inputs, attributes in samples(name):
        repeated = [
            np.broadcast_to(x[..., :1], x.shape) if np.ndim(x) and np.size(x) else x for x in inputs
        ]
        try:
            want = call(name, [np.array(x) for x in repeated], attributes).numpy()
        except np.linalg.LinAlgError:
            continue  # of equal columns: no inverse, no factor
        got = call(name, repeated, attributes).numpy()
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_incoming_gradients_may_have_any_layout(name):
    for inputs, attributes in samples(name):
        found = []
        for arrange in (np.array, np.asfortranarray, _every_second, lambda g: g):
            leaves = tensors(inputs)
            y = call(name, leaves, attributes)
            g = np.broadcast_to(np.linspace(1, 2, y.shape[-1]) if y.ndim else 1.5, y.shape)
            if y.requires_grad:
                y.backward(arrange(g) if y.ndim else g)
            found.append([x.grad for x in leaves if isinstance(x, fg.Tensor)])
        for other in found[1:]:
            for a, b in zip(found[0], other, strict=True):
                assert (a is None) == (b is None)
                if a is not None:
                    np.testing.assert_allclose(b.numpy(), a.numpy(), rtol=1e-11, atol=1e-12)


def _every_second(x):
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    wide[..., ::2] = x
    return wide[..., ::2]


def _reversed_memory(x):
    return np.flip(np.flip(x).copy())


@pytest.mark.parametrize("name", [n for n in OPS if TABLE[n].shape is not None])
def test_shape_rule_tells_the_result_shape(name):
    op = TABLE[name]
    for inputs, attributes in samples(name):
        shapes = [np.shape(x) for x in inputs]
        full = {**op.defaults, **attributes}
        told = op.shape(shapes, **full) if op.variadic else op.shape(*shapes, **full)
        if op.several:
            assert told == [y.shape for y in op(*inputs, **attributes)]
        else:
            assert tuple(told) == call(name, inputs, attributes).shape


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_nan_and_infinity_as_in_numpy(name):
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-300, 3.0, -3.0])
    _, attributes = next(samples(name))
    with np.errstate(all="ignore"):
        for dtype in (np.float32, np.float64):
            want = reference(name, [x.astype(dtype)], attributes)
            got = call(name, [x.astype(dtype)], attributes).numpy()
            np.testing.assert_allclose(got[:6], want[:6], rtol=1e-6, atol=1e-7, err_msg=str(dtype))


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_large_arrays_are_the_same_for_any_number_of_threads(name):
    rng = np.random.default_rng(1)
    x = rng.uniform(0.2, 3.0, (3, 70_001)).astype(np.float32)
    _, attributes = next(samples(name))
    before = fg.get_num_threads()
    results = []
    try:
        for n in (1, 2, 3):
            fg.set_num_threads(n)
            results.append(call(name, [x[:, ::-1]], attributes).numpy())
    finally:
        fg.set_num_threads(before)
    with np.errstate(invalid="ignore"):
        want = reference(name, [x[:, ::-1].astype(np.float64)], attributes)
    np.testing.assert_allclose(results[0], want, rtol=1e-5, atol=1e-5)
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


@pytest.mark.parametrize("name", FUSED)
def test_composite_says_the_same_as_the_kernel(name):
    op = TABLE[name]
    for inputs, attributes in samples(name):
        leaves, copies = tensors(inputs), tensors(inputs)
        got = call(name, leaves, attributes)
        want = op.composite(*copies, **{**op.defaults, **attributes})
        np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-10, atol=1e-10)
        if not got.requires_grad or not got.size:
            continue
        g = np.random.default_rng(2).normal(size=got.shape)
        got.backward(g)
        want.backward(g)
        for a, b in zip(leaves, copies, strict=True):
            if isinstance(a, fg.Tensor) and a.requires_grad:
                np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_no_grad_records_nothing(name):
    inputs, attributes = next(samples(name))
    with fg.no_grad():
        assert not call(name, tensors(inputs), attributes).requires_grad
