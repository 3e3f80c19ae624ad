"""Ops and methods on any shape, layout, dtype and axis: a right value or an error that helps."""

import traceback

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from references import REFERENCES

import fieldgrad.engine as fg
from fieldgrad.engine._core import TABLE

fuzz = settings(deadline=None, derandomize=True, database=None, max_examples=10)
often = settings(fuzz, max_examples=60)

SHAPES = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
NUMBERS = st.integers(-24, 24).map(lambda n: n / 8)  # exact in every floating dtype
FLOATS = [np.float32, np.float64]
DTYPES = [np.bool_, np.int8, np.int64, np.uint8, np.float16, np.float32, np.float64, np.complex64]

ELEMENTWISE = [
    name
    for name, op in TABLE.items()
    if op.shape is None and not op.attributes and not op.variadic and len(op.inputs) <= 3
]
# Not functions of each element alone: random numbers.
ELEMENTWISE = sorted(name for name in ELEMENTWISE if name in REFERENCES)
# Their reference holds for some values only.
BY_SIGN = {"power", "polygamma_of", "iv_of", "ive_of", "kv_of", "kve_of", "jv_of", "yv_of"}


def takes_floats(name):
    """Whether the op's samples have inputs of a floating dtype."""
    inputs, _ = next(TABLE[name].samples(np.random.default_rng(0)))
    return any(np.asarray(x).dtype.kind == "f" for x in inputs)


@st.composite
def laid_out(draw, shape, dtype=np.float64):
    """An array of this shape, in any memory layout: permuted, reversed, with gaps, repeated."""
    x = draw(arrays.arrays(np.float64, shape, elements=NUMBERS)).astype(dtype)
    if x.ndim:
        axes = draw(st.permutations(range(x.ndim)))
        x = np.transpose(np.ascontiguousarray(np.transpose(x, axes)), np.argsort(axes))
        for axis in range(x.ndim):
            kind = draw(st.sampled_from(["as it is", "reversed", "gaps", "repeated"]))
            if kind == "reversed":
                x = np.flip(np.flip(x, axis).copy(order="K"), axis)
            elif kind == "gaps":
                x = np.moveaxis(np.repeat(np.moveaxis(x, axis, 0), 2, axis=0)[::2], 0, axis)
            elif kind == "repeated" and x.shape[axis]:
                x = np.broadcast_to(np.take(x, [0], axis=axis), x.shape)
    return x


@st.composite
def broadcastable(draw, n, dtype=np.float64):
    """So many arrays whose shapes broadcast."""
    shapes = draw(
        arrays.mutually_broadcastable_shapes(num_shapes=n, max_dims=3, max_side=3, min_side=0)
    )
    return [draw(laid_out(shape, dtype)) for shape in shapes.input_shapes]


@st.composite
def axes_of(draw, ndim):
    """None, an axis or several, some of them negative."""
    if not ndim:
        return draw(st.sampled_from([None, ()]))
    axis = st.integers(-ndim, ndim - 1)
    several = st.lists(axis, unique_by=lambda a: a % ndim, max_size=ndim).map(tuple)
    return draw(st.none() | axis | several)


def helps(error, name):
    """Whether the whole text of an error names the op and says more than two words."""
    said = "".join(traceback.format_exception_only(error))
    return name in said and len(said.split()) > 6


@pytest.mark.parametrize("name", [n for n in ELEMENTWISE if takes_floats(n) and n not in BY_SIGN])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@fuzz
@given(data=st.data())
def test_elementwise_ops_agree_with_their_references(name, data):
    dtype = data.draw(st.sampled_from(FLOATS))
    op = TABLE[name]
    inputs = data.draw(broadcastable(len(op.inputs), dtype))
    got = op(*inputs)
    want = np.asarray(REFERENCES[name](*(np.asarray(x, np.float64) for x in inputs)))
    assert got.shape == np.broadcast_shapes(*(x.shape for x in inputs))
    if want.dtype == np.float64:
        assert got.dtype == dtype
    finite = np.isfinite(want) & (np.abs(want) < 1e30)
    np.testing.assert_allclose(
        got.numpy()[finite], want[finite], rtol=2e-5 if dtype == np.float32 else 1e-10, atol=1e-5
    )


@pytest.mark.parametrize("name", sorted(TABLE))
@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::numpy.exceptions.ComplexWarning")
@settings(fuzz, max_examples=4)
@given(data=st.data())
def test_every_op_takes_any_dtype_or_says_that_it_does_not(name, data):
    op = TABLE[name]
    calls = list(op.samples(np.random.default_rng(0)))
    inputs, attributes = calls[data.draw(st.integers(0, len(calls) - 1))]
    dtype = data.draw(st.sampled_from(DTYPES))

    def converted(x):
        if isinstance(x, (list, tuple)):
            return type(x)(map(converted, x))
        is_real = isinstance(x, (np.ndarray, np.generic)) and x.dtype.kind == "f"
        return np.asarray(x).astype(dtype) if is_real else x

    try:
        op(*converted(tuple(inputs)), **attributes)
    except (TypeError, ValueError, IndexError, ArithmeticError) as error:
        assert helps(error, name), error  # noqa: PT017


@pytest.mark.parametrize("name", ["sum", "mean", "prod", "max", "min", "all", "any", "var", "std"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@often
@given(data=st.data())
def test_reductions_agree_with_numpy(name, data):
    dtype = data.draw(st.sampled_from([np.bool_, np.int64, np.float32, np.float64]))
    x = data.draw(laid_out(data.draw(SHAPES), dtype))
    axis, keepdims = data.draw(axes_of(x.ndim)), data.draw(st.booleans())
    try:
        want = getattr(np, name)(x.astype(np.float64), axis=axis, keepdims=keepdims)
    except ValueError:  # the largest of nothing
        with pytest.raises(ValueError, match=r".") as error:
            getattr(fg, name)(x, axis=axis, keepdims=keepdims)
        assert helps(error.value, name)
        return
    got = getattr(fg, name)(x, axis=axis, keepdims=keepdims)
    assert got.shape == want.shape
    np.testing.assert_allclose(np.asarray(got, np.float64), want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["argmax", "argmin", "cumsum", "flip", "expand_dims", "softmax"])
@often
@given(data=st.data())
def test_functions_along_an_axis_agree_with_numpy(name, data):
    x = data.draw(laid_out(data.draw(arrays.array_shapes(min_dims=1, max_side=4)), np.float64))
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    got = getattr(fg, name)(x, axis=axis)
    if name == "softmax":
        e = np.exp(x - x.max(axis=axis, keepdims=True))
        want = e / e.sum(axis=axis, keepdims=True)
    else:
        want = getattr(np, name)(x, axis=axis)
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-12)
    wrong = data.draw(st.sampled_from([x.ndim + 1, -x.ndim - 3]))
    with pytest.raises((ValueError, IndexError), match="axis") as error:
        getattr(fg, name)(x, axis=wrong)
    assert str(wrong) in "".join(traceback.format_exception_only(error.value))


@often
@given(data=st.data())
def test_layout_agrees_with_numpy(data):
    x = data.draw(laid_out(data.draw(arrays.array_shapes(max_dims=3, max_side=4)), np.float32))
    order = data.draw(st.permutations(range(x.ndim)))
    y = fg.permute_dims(x, tuple(order))
    np.testing.assert_array_equal(y.numpy(), np.transpose(x, order))
    z = fg.reshape(y, (-1, x.shape[order[-1]]))
    np.testing.assert_array_equal(z.numpy(), np.transpose(x, order).reshape(z.shape))
    wide = (data.draw(st.integers(0, 3)), *x.shape)
    np.testing.assert_array_equal(fg.broadcast_to(x, wide).numpy(), np.broadcast_to(x, wide))
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    joined = fg.concat([x, fg.flip(x, axis=axis), x], axis=axis)
    np.testing.assert_array_equal(joined.numpy(), np.concatenate([x, np.flip(x, axis), x], axis))
    np.testing.assert_array_equal(fg.stack([x, x], axis=axis).numpy(), np.stack([x, x], axis))


@often
@given(data=st.data())
def test_matmul_agrees_with_numpy_or_says_both_shapes(data):
    shapes = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
    x, y = data.draw(laid_out(data.draw(shapes))), data.draw(laid_out(data.draw(shapes)))
    try:
        want = np.matmul(x, y)
    except ValueError:
        with pytest.raises(ValueError, match=r".") as error:
            fg.matmul(x, y)
        assert str(x.shape) in str(error.value)
        assert str(y.shape) in str(error.value)
        return
    np.testing.assert_allclose(fg.matmul(x, y).numpy(), want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sign", ["+", "-", "*", "/", "//", "%", "**", "<", "==", "@"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@often
@given(data=st.data())
def test_operators_agree_with_numpy_or_name_both_shapes(sign, data):
    shapes = data.draw(st.tuples(SHAPES, SHAPES))
    dtypes = data.draw(st.tuples(*[st.sampled_from([np.int64, np.float32, np.float64])] * 2))
    x, y = (data.draw(laid_out(s, d)) for s, d in zip(shapes, dtypes, strict=True))
    operate = eval(f"lambda x, y: x {sign} y")  # the operators are a literal list above
    assume(sign != "**" or np.all(y >= 0))  # NumPy refuses integers to negative powers
    try:
        want = operate(x, y)
    except ValueError:
        with pytest.raises(ValueError, match=r".") as error:
            operate(fg.tensor(x), y)
        if sign != "==":
            assert str(x.shape) in "".join(traceback.format_exception_only(error.value))
        return
    for got in (operate(fg.tensor(x), y), operate(x, fg.tensor(y))):
        assert isinstance(got, fg.Tensor)
        assert got.shape == want.shape
        if np.result_type(x, y).kind == "f" or sign not in "/":
            assert got.dtype == want.dtype
        np.testing.assert_allclose(got.numpy(), want, rtol=1e-5, atol=1e-5)


# zeta refuses a gradient with respect to its first input.
DIFFERENTIABLE = [n for n in ELEMENTWISE if TABLE[n].differentiable and n != "zeta"]


@pytest.mark.parametrize("name", DIFFERENTIABLE)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@settings(fuzz, max_examples=4)
@given(data=st.data())
def test_gradients_have_the_shape_and_dtype_of_what_they_belong_to(name, data):
    dtype = data.draw(st.sampled_from(FLOATS))
    leaves = [
        fg.tensor(x, requires_grad=True)
        for x in data.draw(broadcastable(len(TABLE[name].inputs), dtype))
    ]
    y = TABLE[name](*leaves)
    y.backward(np.ones(y.shape, y.dtype))
    for x in leaves:
        assert x.grad is None or (x.grad.shape == x.shape and x.grad.dtype == dtype)


@often
@given(data=st.data())
def test_methods_do_what_their_functions_do(data):
    x = fg.tensor(data.draw(laid_out(data.draw(SHAPES), np.float64)))
    n = x.ndim
    axis = data.draw(axes_of(n))
    for name in ("sum", "mean") if x.size else ("sum",):
        np.testing.assert_array_equal(
            getattr(x, name)(axis=axis).numpy(), getattr(fg, name)(x, axis=axis).numpy()
        )
    assert x.reshape(-1).shape == (x.size,)
    assert x.astype("float32").dtype == np.float32
    assert x.tolist() == x.numpy().tolist()
    assert repr(x).startswith("tensor(")
    assert len(list(x)) == len(x) if n else x.item() == float(x)
    if n >= 2:
        np.testing.assert_array_equal(x.mT.numpy(), np.swapaxes(x.numpy(), -1, -2))
    np.testing.assert_array_equal(np.from_dlpack(x), x.numpy())
