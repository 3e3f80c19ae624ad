"""Tensors among NumPy's functions, other libraries' arrays (DLPack, buffers) and files."""

import copy
import gc
import weakref

import numpy as np
import pytest

import fieldgrad.engine as fg
from fieldgrad.engine.errors import GradientError

NUMBERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
DTYPES = [
    *map(np.dtype, ("bool", *NUMBERS, "float16", "float32", "float64", "complex64", "complex128"))
]
LAYOUTS = {
    "rows": lambda a: a,
    "columns": np.asfortranarray,
    "every second": lambda a: a[:, ::2],
    "reversed": lambda a: a[::-1, ::-1],
    "transposed": lambda a: a.T,
    "0-d": lambda a: a[1, 1:2].reshape(()),
    "empty": lambda a: a[:0],
    "repeated": lambda a: np.broadcast_to(a[0], (3, 4)),
}


def array(dtype=np.float32):
    return (np.arange(12).reshape(3, 4) % 5).astype(dtype)


# ------------------------------------------------------------------------- NumPy


@pytest.mark.parametrize("dtype", [np.bool_, np.int16, np.float32, np.float64, np.complex64])
@pytest.mark.parametrize("op", ["add", "multiply", "less", "equal"])
def test_arrays_and_tensors_mix_in_both_orders_by_numpys_promotion(dtype, op):
    left, right = array(dtype), array(np.float32) + 1
    function = getattr(np, op)
    if op == "less" and dtype == np.complex64:
        return  # numbers without an order
    want = function(left, right)
    for x, y in ((fg.tensor(left), right), (left, fg.tensor(right))):
        got = function(x, y)
        assert isinstance(got, fg.Tensor)
        np.testing.assert_array_equal(got.numpy(), want, strict=True)
    want = function(right, left)
    got = {"add": lambda: right + fg.tensor(left), "multiply": lambda: right * fg.tensor(left)}
    if op in got:
        np.testing.assert_array_equal(got[op]().numpy(), want, strict=True)


def test_scalars_of_numpy_have_a_dtype_and_python_numbers_have_none():
    x = fg.tensor(np.ones(2, np.float32))
    assert (np.float64(2.0) * x).dtype == np.float64
    assert (x * np.float64(2.0)).dtype == np.float64
    assert (2.0 * x).dtype == np.float32
    assert isinstance(np.float64(2.0) * x, fg.Tensor)


def test_functions_of_numpy_are_recorded():
    x = fg.tensor([0.5, 2.0], requires_grad=True)
    y = np.exp(x) + np.square(x) + np.add(np.ones(2, np.float32), x) + np.absolute(x)
    z = np.sum(y) + np.max(np.concatenate([x, x])) + np.mean(np.reshape(x, (2, 1)), axis=0)[0]
    z.backward()
    np.testing.assert_allclose(x.grad.numpy(), np.exp([0.5, 2.0]) + np.array([3.5, 7.5]), rtol=1e-6)


@pytest.mark.parametrize("reduce", ["add", "multiply", "maximum", "minimum"])
def test_reductions_of_ufuncs(reduce):
    x = fg.tensor(array() + 1.0, requires_grad=True)
    ufunc = getattr(np, reduce)
    got = ufunc.reduce(x, axis=1)
    np.testing.assert_allclose(got.numpy(), ufunc.reduce(x.numpy(), axis=1))
    assert got.requires_grad
    assert ufunc.reduce(x).shape == (4,)


def test_functions_without_a_counterpart_give_tensors_or_refuse():
    x = fg.tensor(array())
    assert isinstance(np.median(x), fg.Tensor)
    assert np.median(x).item() == np.median(array())
    assert isinstance(np.add.outer(x, x), fg.Tensor)
    values, counts = np.unique(x, return_counts=True)
    assert isinstance(values, fg.Tensor)
    assert counts.tolist() == [3, 3, 2, 2, 2]
    assert np.array_equal(x, array()) is True
    assert np.shape(x) == (3, 4)
    leaf = fg.tensor(array(), requires_grad=True)
    assert np.shape(leaf) == (3, 4)
    assert np.allclose(leaf, array())
    for call in (lambda: np.nanmedian(leaf), lambda: np.logaddexp.accumulate(leaf)):
        with pytest.raises(GradientError, match=r"np\..*requires a gradient.*detach"):
            call()


def test_results_go_into_arrays_unless_a_gradient_would_be_lost():
    a, x = np.ones(2, np.float32), fg.tensor([1.0, 2.0])
    a += x
    assert a.tolist() == [2.0, 3.0]
    assert np.add(x, x, out=a) is a
    assert a.tolist() == [2.0, 4.0]
    assert np.multiply(a, a, out=x) is x
    assert x.tolist() == [4.0, 16.0]
    with pytest.raises(GradientError, match="an array cannot keep"):
        a += fg.tensor([1.0, 2.0], requires_grad=True)
    assert a.tolist() == [2.0, 4.0]


def test_strangers_are_refused_by_python():
    for other in ("a", None, object(), [1.0, 2.0]):
        with pytest.raises(TypeError):
            fg.tensor([1.0, 2.0]) + other
    assert (fg.tensor([1.0]) == None) is False  # noqa: E711


# ------------------------------------------------------------------------- shared memory


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_arrays_come_and_go_without_a_copy(dtype, layout):
    a = LAYOUTS[layout](array(dtype))
    x = fg.tensor(a)
    for back in (np.asarray(x), np.array(x, copy=False), x.numpy(), np.asarray(memoryview(x))):
        np.testing.assert_array_equal(back, a, strict=True)
        assert back.strides == a.strides or not a.size
        assert np.shares_memory(back, a) or not a.size
        assert back.flags.writeable == a.flags.writeable
    assert not np.shares_memory(np.array(x, copy=True), a)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_dlpack_both_ways(dtype, layout):
    a = LAYOUTS[layout](array(dtype))
    x = fg.tensor(a)
    there = np.from_dlpack(x)
    np.testing.assert_array_equal(there, a, strict=True)
    assert np.shares_memory(there, a) or not a.size
    assert there.flags.writeable == a.flags.writeable
    back = fg.from_dlpack(a)
    assert isinstance(back, fg.Tensor)
    np.testing.assert_array_equal(back.numpy(), a, strict=True)
    assert np.shares_memory(back.numpy(), a) or not a.size
    assert not np.shares_memory(np.from_dlpack(x, copy=True), a)
    assert x.__dlpack_device__() == (1, 0)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layout", ["rows", "columns", "every second", "0-d", "empty"])
def test_dlpack_with_pytorch(dtype, layout):
    torch = pytest.importorskip("torch", reason="parity with PyTorch where it is installed")
    a = LAYOUTS[layout](array(dtype))
    there = torch.from_dlpack(fg.tensor(a))
    np.testing.assert_array_equal(there.numpy(), a, strict=True)
    back = fg.from_dlpack(there)
    np.testing.assert_array_equal(back.numpy(), a, strict=True)
    if a.size:
        back.data[...] = 0
        assert not a.any()


def test_what_dlpack_cannot_say_is_refused():
    torch = pytest.importorskip("torch", reason="parity with PyTorch where it is installed")
    with pytest.raises((TypeError, BufferError, RuntimeError)):
        fg.from_dlpack(torch.ones(2, dtype=torch.bfloat16))
    with pytest.raises((TypeError, BufferError, RuntimeError)):
        fg.from_dlpack(torch.ones(2, requires_grad=True))
    with pytest.raises(TypeError):
        fg.tensor([1.0]).__dlpack__(unknown=1)


def test_memory_lives_as_long_as_anyone_who_sees_it():
    for show in (np.asarray, np.from_dlpack, memoryview, lambda x: x.numpy()[::-1], fg.from_dlpack):
        x = fg.zeros((300, 300)) + 7.0  # from the pool
        seen = show(x)
        del x
        gc.collect()
        others = [fg.zeros((300, 300)) for _ in range(4)]  # would take the memory if it were free
        assert np.asarray(seen).min() == 7.0
        del others
    a = np.ones(1000)
    alive = weakref.ref(a)
    x = fg.tensor(a)
    capsule = x.__dlpack__()
    del a, x
    gc.collect()
    assert alive() is not None
    del capsule  # a capsule that nobody took gives the memory back
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize("kind", ["leaf", "result", "read-only"])
def test_memory_that_the_tape_knows_is_lent_read_only(kind):
    x = fg.tensor([1.0, 2.0], requires_grad=kind != "read-only")
    if kind == "result":
        x = x * 1.0
    if kind == "read-only":
        frozen = np.ones(2, np.float32)
        frozen.flags.writeable = False
        x = fg.tensor(frozen)
    for seen in (np.asarray(x), np.from_dlpack(x), x.numpy(), np.asarray(memoryview(x))):
        assert not seen.flags.writeable
    with pytest.raises(BufferError, match=r"read-only.*detach"):
        x.__dlpack__()  # without a version: the reader is too old to be told
    with pytest.raises((BufferError, ValueError)):
        np.frombuffer(x, np.float32).flags.writeable = True


def test_copy_false_refuses_what_needs_a_copy():
    x = fg.tensor(array())
    with pytest.raises(ValueError, match="copy"):
        np.asarray(x, np.float64, copy=False)
    with pytest.raises(ValueError, match="copy"):
        x.__array__(np.float64, copy=False)
    assert x.__array__(copy=False) is x.data


def test_buffers_of_every_kind():
    x = fg.tensor(array())
    view = memoryview(x)
    assert (view.format, view.shape, view.readonly) == ("f", (3, 4), False)
    view[0, 0] = 9.0
    assert x[0, 0].item() == 9.0
    assert bytes(x) == array().tobytes().replace(array().tobytes()[:4], x.numpy().tobytes()[:4], 1)
    columns = fg.tensor(np.asfortranarray(array()))
    assert bytes(columns) == array().tobytes()  # in order of the indices, not of the memory
    for _ in range(1000):
        memoryview(x).release()


# ------------------------------------------------------------------------- what a tensor says


def test_text_shows_values_and_what_the_eye_cannot_see():
    x = fg.tensor([1.0, 2.0], requires_grad=True)
    assert str(x) == repr(x) == "tensor([1., 2.], requires_grad=True)"
    assert repr(x * 2.0) == "tensor([2., 4.], from multiply)"
    assert repr(fg.tensor(np.ones(2))) == "tensor([1., 1.], dtype=float64)"
    assert repr(fg.zeros((0, 3))) == "tensor([], shape=(0, 3))"
    big = repr(fg.zeros((200, 300)))
    assert "..." in big
    assert "shape=(200, 300)" in big
    assert len(big) < 1000


def test_one_number_takes_a_format():
    loss = fg.tensor([[0.123456]])
    assert f"{loss:.3f}" == "0.123"
    assert f"{loss}" == repr(loss)
    assert (float(loss), int(loss), bool(loss)) == (pytest.approx(0.123456), 0, True)
    assert complex(fg.tensor(np.array(1 + 2j))) == 1 + 2j
    with pytest.raises(ValueError, match=r"shape \(2,\).*ambiguous.*fg.any"):
        bool(fg.zeros(2))


def test_namespace_and_device_of_the_standard():
    x = fg.tensor([[1.0, 2.0], [3.0, 4.0]])
    namespace = x.__array_namespace__()
    assert namespace is x.__array_namespace__(api_version="2024.12")
    assert namespace.sum(x).item() == 10.0
    assert x.device == "cpu"
    assert x.to_device("cpu") is x
    assert x.mT.tolist() == [[1.0, 3.0], [2.0, 4.0]]
    with pytest.raises(ValueError, match=r"cuda.*expected 'cpu'"):
        x.to_device("cuda")
    with pytest.raises(ValueError, match=r"2024\.12"):
        x.__array_namespace__(api_version="1999.01")
    with pytest.raises(ValueError, match="two axes"):
        _ = fg.zeros(2).mT


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.bool_])
def test_operators_of_integers_and_truth_values(dtype):
    import operator

    a, b = np.array([5, 0, 3]).astype(dtype), np.array([3, 1, 2]).astype(dtype)
    names = ["and_", "or_", "xor"]
    if dtype != np.bool_:
        names += ["lshift", "rshift", "floordiv", "mod"]
    for name in names:
        f, in_place = getattr(operator, name), getattr(operator, "i" + name.rstrip("_"))
        want = f(a, b)
        for got in (f(fg.tensor(a), b), f(a, fg.tensor(b)), in_place(fg.tensor(a.copy()), b)):
            assert isinstance(got, fg.Tensor)
            np.testing.assert_array_equal(got.numpy(), want, strict=True)
    np.testing.assert_array_equal((~fg.tensor(a)).numpy(), ~a, strict=True)
    assert (fg.tensor(a) & 1).dtype == dtype or dtype == np.bool_
    assert (1 | fg.tensor(a)).shape == (3,)


def test_a_leaf_is_copied_with_its_gradient_and_a_result_is_not():
    x = fg.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    other = copy.deepcopy([x, x])
    assert other[0] is other[1]
    assert other[0].requires_grad
    assert other[0].grad.tolist() == [2.0, 4.0]
    other[0].assign(0.0)
    assert x.tolist() == [1.0, 2.0]
    with pytest.raises(GradientError, match="detach"):
        copy.deepcopy(x * 1.0)


def test_a_copied_subclass_keeps_its_attributes_wherever_they_are_kept():
    class Slotted(fg.Tensor):
        __slots__ = ("unit",)

    class Open(Slotted):
        pass

    slotted, both = Slotted([1.0, 2.0]), Open([3.0])
    slotted.unit, both.unit, both.note = ["mm"], ["eV"], {"of": "an atom"}
    for x, names in ((slotted, ["unit"]), (both, ["unit", "note"]), (Open([4.0]), [])):
        other = copy.deepcopy(x)
        assert type(other) is type(x)
        assert other.tolist() == x.tolist()
        for name in names:
            assert getattr(other, name) == getattr(x, name)
            assert getattr(other, name) is not getattr(x, name)
