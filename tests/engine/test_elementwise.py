"""Elementwise kernels beyond the op table: awkward arguments, layouts, places in memory."""

import numpy as np
import pytest
from references import REFERENCES
from scipy import special

import fieldgrad.engine as fg
from fieldgrad.engine._core import TABLE

TINY = np.finfo(np.float32).tiny
EDGES = np.array(
    [0, 1, 0.25, 0.4, 1.0000001, 4, 88.7, 89, 104, 1e-3, 1e-10, TINY, TINY / 8, 1e-45, 1e30, 3e38],
    np.float32,
)
SPECIAL = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0], np.float32)
# Largest error allowed, in units in the last place of the float64 result rounded to float32.
# Polynomials: a few units; sums of rounded terms (gelu, silu) relative to the largest term.
UNITS = {
    "abs": 0, "negative": 0, "sign": 0, "floor": 0, "ceil": 0, "round": 0, "relu": 0, "square": 1,
    "reciprocal": 1, "sqrt": 1, "exp": 4, "expm1": 6, "log": 4, "log1p": 6, "sin": 4, "cos": 4,
    "tanh": 6, "erf": 4, "sigmoid": 6, "softplus": 6,
}  # fmt: skip


def arguments(name):
    """Random arguments over many orders of magnitude, dense ones near 0 and 1, and edges."""
    rng = np.random.default_rng(0)
    x = np.concatenate(
        [
            rng.normal(size=20_000),
            rng.uniform(-100, 100, 20_000),
            1 + rng.normal(size=5_000) * 1e-3,
            10 ** rng.uniform(-44, 38, 20_000) * rng.choice([-1, 1], 20_000),
        ]
    ).astype(np.float32)
    x = np.concatenate([x, EDGES, -EDGES])
    if name in ("log", "sqrt"):
        return np.abs(x)
    return np.abs(x) - np.float32(0.9999999) if name == "log1p" else x


@pytest.mark.parametrize("name", UNITS)
def test_float32_is_right_to_a_few_units_in_the_last_place(name):
    x = arguments(name)
    with np.errstate(all="ignore"):
        want = REFERENCES[name](x.astype(np.float64))
        rounded = want.astype(np.float32)
    got = TABLE[name](x).numpy()
    finite = np.isfinite(rounded)
    np.testing.assert_array_equal(got[~finite], rounded[~finite])
    x, got, want, rounded = x[finite], got[finite], want[finite], rounded[finite]
    error = np.abs(got - want) / np.spacing(np.maximum(np.abs(rounded), TINY))
    worst = error.argmax()
    assert error[worst] <= UNITS[name] + 0.5, (x[worst], got[worst], want[worst])


@pytest.mark.parametrize("name", UNITS)
def test_special_values_as_in_numpy(name):
    with np.errstate(all="ignore"):
        want = np.asarray(REFERENCES[name](SPECIAL.astype(np.float64)), np.float32)
    got = TABLE[name](SPECIAL).numpy()
    np.testing.assert_array_equal(got, want)
    if name != "relu":  # the zero that NumPy's maximum takes is either
        zeros = got == 0
        np.testing.assert_array_equal(np.signbit(got[zeros]), np.signbit(want[zeros]))


@pytest.mark.parametrize("name", ["gelu", "silu"])
def test_gates_are_close_where_they_cancel(name):
    x = arguments(name)
    with np.errstate(all="ignore"):
        want = x * (special.ndtr(x) if name == "gelu" else special.expit(x)).astype(np.float64)
    got = TABLE[name](x).numpy()
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=3e-7)


@pytest.mark.parametrize(
    ("name", "slope"),
    [
        ("tanh_grad", lambda x: 1 - np.tanh(x) ** 2),
        ("sigmoid_grad", lambda x: special.expit(x) * special.expit(-x)),
        ("softplus_grad", special.expit),
        ("silu_grad", lambda x: special.expit(x) * (1 + x * special.expit(-x))),
        ("gelu_grad", lambda x: special.ndtr(x) + x * np.exp(-x * x / 2) / np.sqrt(2 * np.pi)),
    ],
)
def test_slopes_are_close(name, slope):
    x = np.random.default_rng(1).uniform(-30, 30, 20_000).astype(np.float32)
    function = name.removesuffix("_grad")
    kept = TABLE[function](x).numpy() if function in ("tanh", "sigmoid") else x
    got = TABLE[name](np.float32(2.0), kept).numpy()
    np.testing.assert_allclose(got, 2 * slope(x.astype(np.float64)), rtol=1e-5, atol=1e-6)


def test_powers_of_all_signs_are_those_of_numpy():
    rng = np.random.default_rng(2)
    x = np.concatenate([rng.normal(size=5_000), 10 ** rng.uniform(-44, 38, 5_000)])
    x = np.concatenate([x, [0, -0.0, 1, -1, np.inf, -np.inf, np.nan]]).astype(np.float32)
    for y in (2, 3, -1, -2, 0.5, 2.5, -1.5, 0, 1, 33, 1e9, np.inf, -np.inf, np.nan):
        with np.errstate(all="ignore"):
            want = np.power(x.astype(np.float64), np.full(len(x), y)).astype(np.float32)
            got = fg.power(x, np.float32(y)).numpy()
        np.testing.assert_array_equal(np.isfinite(got), np.isfinite(want))
        np.testing.assert_allclose(got, want, rtol=5e-7, atol=1e-44, err_msg=str(y))
    y = rng.uniform(-5, 5, len(x)).astype(np.float32)
    with np.errstate(all="ignore"):
        want = np.power(x.astype(np.float64), y.astype(np.float64)).astype(np.float32)
    np.testing.assert_allclose(fg.power(x, y).numpy(), want, rtol=5e-7, atol=1e-44)


@pytest.mark.parametrize(
    "name", [n for n in TABLE if type(TABLE[n].kernel).__name__ == "Elementwise"]
)
def test_an_element_does_not_depend_on_its_place(name):
    op = TABLE[name]
    rng = np.random.default_rng(3)
    values = [rng.uniform(0.1, 3, 61).astype(np.float32) for _ in op.inputs]
    if name == "where":
        values[0] = values[0] > 1
    _, attributes = next(op.samples(rng))
    whole = op(*values, **attributes).numpy()
    apart = [op(*(v[i : i + 1] for v in values), **attributes).numpy() for i in range(61)]
    np.testing.assert_array_equal(np.concatenate(apart), whole)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_broadcasting_over_every_pattern_of_axes(dtype):
    rng = np.random.default_rng(4)
    shape = (3, 5, 130, 7)
    before = fg.get_num_threads()
    try:
        for pattern in np.ndindex(2, 2, 2, 2):
            small = tuple(n if keep else 1 for n, keep in zip(shape, pattern, strict=True))
            for order in ((0, 1, 2, 3), (0, 2, 3, 1), (3, 2, 1, 0)):
                x = rng.normal(size=[shape[i] for i in order]).astype(dtype)
                x = x.transpose(np.argsort(order))
                y = rng.normal(size=small).astype(dtype)
                for n_threads in (1, 3):
                    fg.set_num_threads(n_threads)
                    np.testing.assert_array_equal(fg.subtract(x, y).numpy(), x - y)
                    np.testing.assert_array_equal(
                        fg.subtract(y, x[..., ::-1]).numpy(), y - x[..., ::-1]
                    )
                    got = fg.where(y > 0, x, y).numpy()
                    np.testing.assert_array_equal(got, np.where(y > 0, x, y))
    finally:
        fg.set_num_threads(before)


def test_a_repeated_input_does_not_decide_the_memory_order():
    g = np.broadcast_to(np.arange(4, dtype=np.float32), (3, 4))
    x = np.ones((3, 4), np.float32)
    assert fg.multiply(g, x).numpy().flags.c_contiguous
    assert fg.negative(g).numpy().flags.c_contiguous
    y = np.asfortranarray(x)
    assert fg.multiply(g, y).numpy().flags.f_contiguous
