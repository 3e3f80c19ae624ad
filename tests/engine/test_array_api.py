"""The namespace of the array API standard, function by function beside array_api_strict."""

import inspect
import types

import numpy as np
import pytest

import fieldgrad.engine as fg
from fieldgrad.engine import array_api as xp
from fieldgrad.engine.array_api.info import KINDS

strict = pytest.importorskip("array_api_strict", reason="array_api_strict is what to agree with")

VERSION = "2024.12"
# Of the module itself, not of the standard; and what came after this version of the standard.
NOT_STANDARD = {"ArrayAPIStrictFlags", "Device", "__version__", "broadcast_shapes", "isin"}
NOT_STANDARD |= {f"{verb}_array_api_strict_flags" for verb in ("get", "set", "reset")}

SINGLE = ("float32", "complex64")
DTYPES = xp.__array_namespace_info__().dtypes()

REALS = {
    "float32": np.array([-2.5, -0.5, -0.0, 0.0, 0.5, 0.75, 2.5, np.inf, -np.inf, np.nan], "f4"),
    "float64": np.array([-2.5, -0.5, -0.0, 0.0, 0.5, 0.75, 2.5, np.inf, -np.inf, np.nan]),
}
COMPLEX = {
    name: np.array([1 + 2j, -0.5 - 1j, 0.25j, -0.75, 2.0], name)
    for name in ("complex64", "complex128")
}
SIGNED = {name: np.array([-7, -2, -1, 1, 2, 5, 100], name) for name in ("int8", "int32", "int64")}
UNSIGNED = {name: np.array([0, 1, 2, 7, 100], name) for name in ("uint8", "uint16", "uint64")}
TRUTHS = {"bool": np.array([True, False, True])}
NUMBERS = {**REALS, **COMPLEX, **SIGNED, **UNSIGNED}

FLOATING = "acos acosh asin asinh atan atanh cos cosh exp expm1 log log10 log1p log2 reciprocal"
FLOATING += " sin sinh sqrt tan tanh"


def each(names, *arrays):
    """The same arrays for every name."""
    return {name: [x for group in arrays for x in group.values()] for name in names.split()}


ONE = {
    **each(FLOATING, REALS, COMPLEX),
    **each("abs sign square negative positive isnan isinf isfinite round", NUMBERS),
    **each("ceil floor trunc", REALS, SIGNED, UNSIGNED),
    **each("real imag conj", COMPLEX),
    **each("signbit", REALS),
    **each("bitwise_invert", TRUTHS, SIGNED, UNSIGNED),
    **each("logical_not", TRUTHS),
}
TWO = {
    **each("atan2 copysign hypot logaddexp nextafter", REALS),
    **each("add subtract multiply equal not_equal", NUMBERS),
    **each("divide pow", REALS, COMPLEX),
    **each("floor_divide remainder", REALS, SIGNED),
    **each("greater greater_equal less less_equal maximum minimum", REALS, SIGNED, UNSIGNED),
    **each("bitwise_and bitwise_or bitwise_xor", TRUTHS, SIGNED, UNSIGNED),
    **each("logical_and logical_or logical_xor", TRUTHS),
}

X = np.arange(24.0).reshape(2, 3, 4) % 7 - 2.5
N = np.array([[3, 1, 2], [1, 1, -4]])
B = np.array([[True, False, True], [True, True, True]])
Z = X[0] + 1j * X[1]
V = np.array([3.0, 1.0, 2.0, 1.0, 3.0])
S = X[:, :, :3] @ X[:, :, :3].swapaxes(-1, -2) + np.eye(3)  # symmetric, positive

# Name, arguments, options; arrays become arrays of each library, names of dtypes its dtypes.
CASES = [
    ("arange", (5,), {}),
    ("arange", (1, 8, 3), {}),
    ("arange", (4, -4, -3), {"dtype": "int8"}),
    ("arange", (0.0, 2.0, 0.25), {"dtype": "float64"}),
    ("asarray", ([[1, 2], [3, 4]],), {}),
    ("asarray", ([1.5, 2],), {"dtype": "float32"}),
    ("asarray", (True,), {}),
    ("asarray", (N,), {"dtype": "float64", "copy": True}),
    ("eye", (3,), {"dtype": "int16"}),
    ("eye", (3, 5), {"k": -1, "dtype": "float32"}),
    ("full", ((2, 3), 7), {}),
    ("full", (3, True), {}),
    ("full", ((), 1.5), {"dtype": "float32"}),
    ("full_like", (N, 9), {}),
    ("linspace", (0, 1, 7), {"dtype": "float64"}),
    ("linspace", (2.0, -1.0, 4), {"dtype": "float32", "endpoint": False}),
    ("linspace", (0, 1, 1), {"dtype": "float32"}),
    ("ones", ((2, 0),), {"dtype": "float64"}),
    ("ones_like", (X,), {"dtype": "int8"}),
    ("zeros", (3,), {"dtype": "bool"}),
    ("zeros_like", (Z,), {}),
    ("tril", (X,), {"k": 1}),
    ("triu", (N,), {"k": -1}),
    ("meshgrid", (V, V[:2]), {}),
    ("meshgrid", (V, V[:2], V[:3]), {"indexing": "ij"}),
    ("meshgrid", (V,), {}),
    ("astype", (X, "int32"), {}),
    ("astype", (B, "float32"), {}),
    ("astype", (X, "complex64"), {}),
    ("broadcast_arrays", (X, N[:, :, None]), {}),
    ("broadcast_to", (N, (2, 2, 3)), {}),
    ("concat", ([X, X],), {"axis": 1}),
    ("concat", ([N, N[0]],), {"axis": None}),
    ("concat", ([X.astype("f4"), X],), {"axis": -1}),
    ("expand_dims", (X,), {"axis": -2}),
    ("flip", (X,), {}),
    ("flip", (X,), {"axis": (0, -1)}),
    ("moveaxis", (X, 0, 2), {}),
    ("moveaxis", (X, (0, 1), (-1, 0)), {}),
    ("permute_dims", (X, (2, 0, 1)), {}),
    ("repeat", (X, 3), {}),
    ("repeat", (X, 2), {"axis": 1}),
    ("repeat", (X, np.array([2, 0, 1])), {"axis": 1}),
    ("reshape", (X, (4, -1)), {}),
    ("reshape", (X, (6, 4)), {"copy": True}),
    ("roll", (X, 5), {}),
    ("roll", (X, (1, -2)), {"axis": (0, 2)}),
    ("squeeze", (X[:1],), {"axis": 0}),
    ("stack", ([X, X],), {"axis": -1}),
    ("tile", (N, (2,)), {}),
    ("tile", (N, (2, 1, 3)), {}),
    ("tile", (V, ()), {}),
    ("unstack", (X,), {"axis": 1}),
    ("argmax", (X,), {}),
    ("argmax", (N,), {"axis": 1, "keepdims": True}),
    ("argmin", (X,), {"axis": -1}),
    ("count_nonzero", (N - 1,), {}),
    ("count_nonzero", (B,), {"axis": 0, "keepdims": True}),
    ("nonzero", (B,), {}),
    ("searchsorted", (np.sort(V), X), {}),
    ("searchsorted", (V, X), {"side": "right", "sorter": np.argsort(V)}),
    ("where", (B, N, -N), {}),
    ("where", (B, X.astype("f4")[0, :, :3].copy()[:2], 2.0), {}),
    ("take", (X, np.array([2, 0, 2])), {"axis": 1}),
    ("take", (V, np.array([0, 4])), {}),
    ("take_along_axis", (N, np.argsort(N, 1)), {"axis": 1}),
    ("take_along_axis", (N, np.array([[2, 0]])), {}),
    ("unique_all", (V,), {}),
    ("unique_all", (N,), {}),
    ("unique_counts", (REALS["float32"],), {}),
    ("unique_inverse", (N,), {}),
    ("unique_values", (B,), {}),
    ("argsort", (N,), {}),
    ("argsort", (N,), {"axis": 0, "descending": True}),
    ("sort", (X,), {"axis": 1, "descending": True}),
    ("sort", (REALS["float64"],), {}),
    ("cumulative_sum", (V,), {}),
    ("cumulative_sum", (X,), {"axis": 1, "include_initial": True}),
    ("cumulative_sum", (N.astype("i1"),), {"axis": 0, "dtype": "int16"}),
    ("cumulative_prod", (X,), {"axis": 2, "include_initial": True}),
    ("cumulative_prod", (N,), {"axis": 1, "dtype": "float32"}),
    *((name, (X,), {"axis": axis, "keepdims": keep})
      for name in ("max", "min", "mean", "sum", "prod")
      for axis, keep in ((None, False), (1, True), ((0, 2), False))),
    *((name, (X,), {"correction": 1.0, "axis": 2}) for name in ("std", "var")),
    *((name, (N.astype(dtype),), {}) for name in ("sum", "prod")
      for dtype in ("int8", "int32", "uint8", "uint32", "int64")),
    ("sum", (X.astype("f4"),), {"dtype": "float64"}),
    ("prod", (Z,), {"axis": 0}),
    ("mean", (Z,), {"axis": 0}),
    ("all", (B,), {"axis": 1}),
    ("any", (~B,), {"axis": (0, 1), "keepdims": True}),
    ("all", (N,), {}),
    ("diff", (X,), {"axis": 0}),
    ("diff", (N,), {"n": 2, "prepend": N[:, :1], "append": N[:, 1:]}),
    ("clip", (X,), {"min": -1.0, "max": 2.0}),
    ("clip", (N, 0), {}),
    ("clip", (N,), {"max": N[0]}),
    ("clip", (X,), {}),
    ("bitwise_left_shift", (N & 15, np.array([0, 1, 3])), {}),
    ("bitwise_right_shift", (N, 1), {}),
    ("add", (X, 1), {}),
    ("multiply", (2.5, X.astype("f4")), {}),
    ("add", (X.astype("f4"), X), {}),
    ("add", (N.astype("i1"), N.astype("u1")), {}),
    ("multiply", (X.astype("f4"), Z[0, 0].astype("c8")), {}),
    ("fft.fft", (Z,), {}),
    ("fft.fft", (Z.astype("c8"),), {"n": 5, "axis": 0, "norm": "ortho"}),
    ("fft.ifft", (Z,), {"n": 2, "norm": "forward"}),
    ("fft.fftn", (Z,), {}),
    ("fft.fftn", (Z,), {"s": (5, 2), "axes": (1, 0)}),
    ("fft.ifftn", (Z,), {"axes": (0,), "norm": "ortho"}),
    ("fft.rfft", (X,), {}),
    ("fft.rfft", (X.astype("f4"),), {"n": 7, "axis": 1}),
    ("fft.irfft", (Z,), {}),
    ("fft.irfft", (Z,), {"n": 5, "norm": "forward"}),
    ("fft.rfftn", (X,), {"s": (3, 6), "axes": (0, 2), "norm": "ortho"}),
    ("fft.irfftn", (Z,), {"s": (3, 5), "axes": (0, 1)}),
    ("fft.hfft", (Z,), {}),
    ("fft.hfft", (Z,), {"n": 5, "axis": 0, "norm": "ortho"}),
    ("fft.ihfft", (X,), {"n": 6}),
    ("fft.fftfreq", (5,), {"d": 0.5, "dtype": "float64"}),
    ("fft.rfftfreq", (6,), {"dtype": "float32"}),
    *((prefix + "matmul", (a, b), {}) for prefix in ("", "linalg.")
      for a, b in ((X, X[0].T), (V, V), (N, N.T), (Z, X[0].T))),
    *((prefix + "matrix_transpose", (X,), {}) for prefix in ("", "linalg.")),
    *((prefix + "tensordot", (X, X), {"axes": axes}) for prefix in ("", "linalg.")
      for axes in (0, 3, ((0, 2), (0, 2)))),
    *((prefix + "vecdot", (X, X[0] + shift), {"axis": axis}) for prefix in ("", "linalg.")
      for axis in (-1, -2) for shift in (1.0, 1j)),
    ("linalg.cholesky", (S,), {}),
    ("linalg.cholesky", (S,), {"upper": True}),
    ("linalg.cross", (X[0], X[1, :, ::-1].copy()), {"axis": -2}),
    ("linalg.det", (S,), {}),
    ("linalg.diagonal", (X,), {"offset": 1}),
    ("linalg.eigvalsh", (S,), {}),
    ("linalg.inv", (S,), {}),
    *(("linalg.matrix_norm", (X,), {"ord": o, "keepdims": True})
      for o in ("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)),
    ("linalg.matrix_power", (S, 3), {}),
    ("linalg.matrix_power", (S, -2), {}),
    ("linalg.matrix_rank", (S,), {}),
    ("linalg.outer", (V, V[:2]), {}),
    ("linalg.pinv", (X,), {}),
    ("linalg.slogdet", (S,), {}),
    ("linalg.solve", (S, X[0, :, :2]), {}),
    ("linalg.svdvals", (X,), {}),
    ("linalg.trace", (X,), {"offset": -1}),
    ("linalg.trace", (N.astype("i1"),), {}),
    *(("linalg.vector_norm", (X,), {"axis": (0, 2), "ord": o})
      for o in (0, 1, 2, 3, np.inf, -np.inf)),
    ("linalg.vector_norm", (Z,), {"keepdims": True}),
    ("fft.fftshift", (X,), {"axes": (1, 2)}),
    ("fft.ifftshift", (X,), {}),
]  # fmt: skip


@pytest.fixture(autouse=True)
def version():
    with strict.ArrayAPIStrictFlags(api_version=VERSION):
        yield


def find(namespace, name):
    for part in name.split("."):
        namespace = getattr(namespace, part)
    return namespace


def lift(namespace, thing):
    """Arrays and names of dtypes, also inside lists, as the namespace has them."""
    if isinstance(thing, (np.ndarray, np.generic)):
        return namespace.asarray(np.asarray(thing))
    if isinstance(thing, list) and isinstance(thing[0], np.ndarray):
        return [lift(namespace, part) for part in thing]
    if isinstance(thing, str) and thing in DTYPES:
        return getattr(namespace, thing)
    return thing


def call(namespace, name, arguments, options):
    arguments = [lift(namespace, a) for a in arguments]
    options = {key: lift(namespace, value) for key, value in options.items()}
    with np.errstate(all="ignore"):
        return find(namespace, name)(*arguments, **options)


def same(got, want):
    """Whether a tensor, or a tuple of them, is what array_api_strict gives."""
    if isinstance(want, (tuple, list)):
        assert isinstance(got, tuple)
        assert len(got) == len(want)
        for a, b in zip(got, want, strict=True):
            same(a, b)
        return
    assert isinstance(got, fg.Tensor)
    want = np.asarray(want)
    assert got.shape == want.shape
    assert got.dtype == want.dtype
    if want.dtype.kind in "fc":
        np.testing.assert_allclose(
            got.numpy(), want, rtol=1e-5 if got.dtype.name in SINGLE else 1e-12
        )
    else:
        np.testing.assert_array_equal(got.numpy(), want)


EXTENSIONS = {"fft": strict.fft, "linalg": strict.linalg}
NAMES = sorted(set(strict.__all__) - NOT_STANDARD)
NAMES += [f"{name}.{inner}" for name, module in EXTENSIONS.items() for inner in module.__all__]


@pytest.mark.parametrize("name", NAMES)
def test_the_name_exists_with_its_parameters(name):
    want, got = find(strict, name), find(xp, name)
    if not isinstance(want, types.FunctionType) or name == "__array_namespace_info__":
        return
    kinds = inspect.Parameter
    have = inspect.signature(got).parameters
    for i, (parameter, p) in enumerate(inspect.signature(want).parameters.items()):
        if p.kind in (kinds.POSITIONAL_ONLY, kinds.VAR_POSITIONAL):
            assert list(have.values())[i].kind in (p.kind, kinds.POSITIONAL_OR_KEYWORD)
            continue
        assert have[parameter].kind in (kinds.KEYWORD_ONLY, kinds.POSITIONAL_OR_KEYWORD)
        if isinstance(p.default, (int, float, str, type(None))):
            assert have[parameter].default == p.default


@pytest.mark.parametrize("name", sorted(ONE))
def test_elementwise_functions_of_one_array(name):
    for x in ONE[name]:
        same(call(xp, name, [x], {}), call(strict, name, [x], {}))


@pytest.mark.parametrize("name", sorted(TWO))
def test_elementwise_functions_of_two_arrays(name):
    for x in TWO[name]:
        a, b = x[:, None], x[::-1]
        same(call(xp, name, [a, b], {}), call(strict, name, [a, b], {}))


@pytest.mark.parametrize(
    ("name", "arguments", "options"), CASES, ids=lambda x: x if isinstance(x, str) else ""
)
def test_functions_with_options(name, arguments, options):
    same(call(xp, name, arguments, options), call(strict, name, arguments, options))


def test_every_function_is_compared():
    compared = {*ONE, *TWO, *(name for name, _, _ in CASES)}
    functions = {n for n in NAMES if isinstance(find(strict, n), types.FunctionType)}
    elsewhere = {"can_cast", "finfo", "iinfo", "isdtype", "result_type"}  # below
    elsewhere |= {"linalg.eigh", "linalg.qr", "linalg.svd"}  # up to signs, below
    elsewhere |= {"empty", "empty_like", "from_dlpack", "__array_namespace_info__"}
    assert functions - compared == elsewhere


def test_kinds_limits_and_casts_of_dtypes():
    for a in DTYPES:
        x, y = getattr(xp, a), getattr(strict, a)
        for kind in (*KINDS, ("bool", "real floating")):
            assert xp.isdtype(x, kind) == strict.isdtype(y, kind)
        for b in DTYPES:
            if x.kind == getattr(xp, b).kind:  # between kinds it is NumPy's rule
                assert xp.can_cast(x, getattr(xp, b)) == strict.can_cast(y, getattr(strict, b))
        limits = {"f": "finfo", "c": "finfo", "i": "iinfo", "u": "iinfo"}.get(x.kind)
        if limits:
            got, want = getattr(xp, limits)(x), getattr(strict, limits)(y)
            for attribute in ("bits", "max", "min", *(["eps"] if limits == "finfo" else [])):
                assert getattr(got, attribute) == getattr(want, attribute)
                assert type(getattr(got, attribute)) is type(getattr(want, attribute))


def test_factors_multiply_to_the_matrix():
    s, x = xp.asarray(S), xp.asarray(X)
    values, vectors = xp.linalg.eigh(s)
    assert_close(xp.matmul(vectors * values[..., None, :], xp.matrix_transpose(vectors)), S)
    for mode, n in (("reduced", 2), ("complete", 3)):
        q, r = xp.linalg.qr(xp.asarray(X[0, :, :2]), mode=mode)
        assert q.shape == (3, n)
        assert_close(xp.matmul(q, r), X[0, :, :2])
    for full in (False, True):
        u, values, vh = xp.linalg.svd(x, full_matrices=full)
        n = values.shape[-1]
        assert vh.shape[-2] == (4 if full else 3)
        assert_close(xp.matmul(u[..., :n] * values[..., None, :], vh[..., :n, :]), X)


def assert_close(got, want):
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-12, atol=1e-12)


def test_promotion_where_the_standard_has_it():
    for a in DTYPES:
        for b in DTYPES:
            try:
                want = strict.result_type(getattr(strict, a), getattr(strict, b))
            except TypeError:
                continue
            assert xp.result_type(getattr(xp, a), getattr(xp, b)).name == want._np_dtype.name
            if a != "bool":
                x, y = xp.ones(2, dtype=getattr(xp, a)), xp.ones(2, dtype=getattr(xp, b))
                assert xp.add(x, y).dtype.name == want._np_dtype.name


def test_numbers_take_the_dtype_of_the_array():
    assert xp.result_type(xp.float32, 1.5) == xp.float32
    assert xp.result_type(xp.int8, 1) == xp.int8
    assert xp.result_type(xp.float32, 1j) == xp.complex64
    assert xp.result_type(xp.int64, 1.5) == xp.float32
    with pytest.raises(TypeError, match="no dtype"):
        xp.result_type(1, 2.0)


def test_info_says_what_there_is():
    info = xp.__array_namespace_info__()
    assert info.capabilities()["max dimensions"] == 64
    assert info.default_device() in info.devices()
    assert set(info.dtypes(kind="complex floating")) == {"complex64", "complex128"}
    assert set(info.dtypes(kind=("bool", "unsigned integer"))) == {
        *("bool", "uint8", "uint16", "uint32", "uint64")
    }
    assert xp.zeros(1).dtype == info.default_dtypes()["real floating"]
    assert xp.asarray(1j).dtype == info.default_dtypes()["complex floating"]
    assert xp.asarray(1).dtype == info.default_dtypes()["integral"]
    assert xp.argmax(xp.zeros(1)).dtype == info.default_dtypes()["indexing"]
    with pytest.raises(ValueError, match="kind = 'float'"):
        info.dtypes(kind="float")


@pytest.mark.parametrize(
    "make", [xp.zeros, xp.ones, xp.empty, xp.arange, xp.eye, xp.asarray], ids=lambda f: f.__name__
)
def test_only_the_processor_is_a_device(make):
    make(3, device="cpu")
    with pytest.raises(ValueError, match="expected 'cpu'"):
        make(3, device="gpu")


def test_asarray_shares_or_copies_as_told():
    a = np.arange(3.0)
    assert np.shares_memory(xp.asarray(a).data, a)
    assert not np.shares_memory(xp.asarray(a, copy=True).data, a)
    x = xp.asarray(a)
    assert xp.asarray(x) is x
    assert not np.shares_memory(xp.asarray(x, copy=True).data, a)
    with pytest.raises(ValueError, match="needs a copy"):
        xp.asarray([1.0], copy=False)
    with pytest.raises(ValueError, match="needs a copy"):
        xp.asarray(x, dtype=xp.float32, copy=False)


def test_asarray_keeps_history_and_digits():
    x = fg.tensor([2.0, 3.0], requires_grad=True)
    y = xp.asarray([[x[0], 1.0], [x[1], x[1]]], dtype=xp.float64)
    assert y.dtype == np.float64
    y.backward(np.ones((2, 2)))
    assert x.grad.tolist() == [1.0, 2.0]
    assert xp.asarray([0.1], dtype=xp.float64).tolist() == [0.1]


def test_reshape_shares_or_copies_as_told():
    x = xp.arange(6)
    assert np.shares_memory(xp.reshape(x, (2, 3)).data, x.data)
    assert not np.shares_memory(xp.reshape(x, (2, 3), copy=True).data, x.data)
    with pytest.raises(ValueError, match="copy=False"):
        xp.reshape(xp.reshape(x, (2, 3)).T, (6,), copy=False)


def test_complex_numbers_do_not_lose_their_imaginary_part_silently():
    with pytest.raises(TypeError, match="imaginary"):
        xp.astype(xp.asarray([1j]), xp.float32)


def test_an_axis_that_does_not_exist_is_an_index_error_and_a_value_error():
    for error in (IndexError, ValueError):
        with pytest.raises(error, match="axis 5"):
            xp.expand_dims(xp.zeros(3), axis=5)


def test_bits_are_of_integers():
    with pytest.raises(fg.errors.DTypeError, match="expected integers"):
        xp.bitwise_and(xp.ones(2), xp.ones(2))


@pytest.mark.parametrize("copy", [None, True])
def test_from_dlpack_takes_arrays_of_others(copy):
    a = np.arange(6.0).reshape(2, 3)
    x = xp.from_dlpack(a, device="cpu", copy=copy)
    assert isinstance(x, fg.Tensor)
    assert np.shares_memory(x.data, a) == (copy is None)
    assert xp.from_dlpack(x).tolist() == a.tolist()


@pytest.mark.parametrize("name", ["cumulative_sum", "cumulative_prod", "take"])
def test_several_axes_need_a_name(name):
    arguments = [xp.zeros((2, 2))] + ([xp.asarray([0])] if name == "take" else [])
    with pytest.raises(fg.errors.AxisError, match="say"):
        getattr(xp, name)(*arguments)
