"""Functions made of ops: values as NumPy's, gradients as differences say, awkward inputs."""

import numpy as np
import pytest

import fieldgrad.engine as fg

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 5))
Y = RNG.normal(size=(3, 5))
P = RNG.uniform(0.5, 2.0, size=(3, 5))
HOLES = np.where(RNG.random((3, 5)) < 0.3, np.nan, X)

# Name, arrays, options: what NumPy calls it, if not the same.
CASES = [
    ("deg2rad", (X,), {}, "deg2rad"),
    ("rad2deg", (X,), {}, "rad2deg"),
    ("rsqrt", (P,), {}, lambda x: 1 / np.sqrt(x)),
    ("sinc", (X,), {}, "sinc"),
    ("sinc", (X / 30,), {}, "sinc"),
    ("logaddexp2", (X, Y), {}, "logaddexp2"),
    ("lerp", (X, Y, P), {}, lambda x, y, w: x + w * (y - x)),
    ("frac", (3 * X,), {}, lambda x: x - np.trunc(x)),
    ("fmax", (X, Y[0]), {}, "fmax"),
    ("fmin", (X, Y[0]), {}, "fmin"),
    ("nan_to_num", (X,), {}, "nan_to_num"),
    ("angle", (X,), {}, "angle"),
    ("clip", (X, Y[:, :1] - 1, Y[0] + 1), {}, "clip"),
    ("ravel", (X,), {}, "ravel"),
    ("fliplr", (X,), {}, "fliplr"),
    ("flipud", (X,), {}, "flipud"),
    *(("rot90", (X,), {"k": k}, "rot90") for k in range(-1, 4)),
    *(("diag", (X[0],), {"k": k}, "diag") for k in (-2, 0, 1)),
    *(("diag", (X,), {"k": k}, "diag") for k in (-5, -1, 0, 3)),
    ("diag_embed", (X,), {"offset": -1}, lambda x, offset: np.stack([np.diag(r, -1) for r in x])),
    ("sliding_window", (X, 3), {"step": 2},
     lambda x, n, step: np.lib.stride_tricks.sliding_window_view(x, n, 1)[:, ::step]),
    ("diff", (X,), {"n": 2}, "diff"),
    ("cumulative_sum", (X,), {"axis": 1}, "cumsum"),
    ("cumulative_prod", (X,), {"axis": 0}, "cumprod"),
    ("logcumsumexp", (4 * X, 1), {}, lambda x, axis: np.log(np.cumsum(np.exp(x), axis))),
    ("nansum", (X,), {"axis": 0}, "nansum"),
    ("nanmean", (X,), {"axis": 1, "keepdims": True}, "nanmean"),
    *(("quantile", (X, q), {"axis": a}, "quantile")
      for q in (0.0, 0.3, 1.0) for a in (None, 0, -1)),
    *(("quantile", (X, np.array([0.2, 0.7])), {"axis": 1, "method": m}, "quantile")
      for m in ("linear", "lower", "higher", "nearest", "midpoint")),
    ("nanquantile", (X, 0.4), {"axis": 1, "keepdims": True}, "nanquantile"),
    ("median", (X,), {"axis": 1}, "median"),
    ("trapezoid", (X,), {"dx": 0.5}, "trapezoid"),
    ("trapezoid", (X, np.sort(P[0])), {}, "trapezoid"),
    ("trapezoid", (X, np.sort(P, 0)), {"axis": 0}, "trapezoid"),
    ("cov", (X,), {}, "cov"),
    ("cov", (X[0],), {"correction": 0}, lambda x, correction: np.cov(x, ddof=0)),
    ("cov", (X,), {"fweights": np.array([1, 2, 1, 0, 3]), "aweights": P[0]}, "cov"),
    ("corrcoef", (X,), {}, "corrcoef"),
    ("repeat", (X, 3), {"axis": 1}, "repeat"),
    ("repeat", (X, np.array([0, 2, 1])), {"axis": 0}, "repeat"),
    ("tile", (X, (2, 1, 2)), {}, "tile"),
    ("take", (X, np.array([1, -1])), {"axis": 1}, "take"),
    ("tril", (X,), {"k": 1}, "tril"),
    ("triu", (X,), {"k": 1}, "triu"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments", "options", "numpy"), CASES, ids=lambda x: str(x)[:9])
def test_values_and_gradients(name, arguments, options, numpy):
    want = (getattr(np, numpy) if isinstance(numpy, str) else numpy)(*arguments, **options)
    function = getattr(fg, name)
    leaves, others = arguments[:1], arguments[1:]
    if all(np.shape(a) and np.asarray(a).dtype.kind == "f" for a in others) and name != "quantile":
        leaves, others = arguments, ()

    def call(*xs):
        return function(*xs, *others, **options)

    tensors = [fg.tensor(np.array(x), requires_grad=True) for x in leaves]
    got = call(*tensors)
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-12, atol=1e-13)
    assert got.dtype == np.float64
    assert call(*(fg.tensor(x, dtype="float32") for x in leaves)).shape == np.shape(want)
    flipped = call(*(fg.tensor(np.flip(np.flip(x).copy())) for x in leaves))
    np.testing.assert_allclose(flipped.numpy(), want, rtol=1e-12, atol=1e-13)
    if name not in ("angle",):
        fg.gradcheck(call, tensors, order=1)
        fg.gradcheck(call, tensors, order=2)


@pytest.mark.parametrize("spacing", [(), (0.5,), (np.array([0.0, 1.0, 3.0]), 2.0)])
@pytest.mark.parametrize("edge_order", [1, 2])
def test_gradient_on_a_grid(spacing, edge_order):
    x = fg.tensor(X, requires_grad=True)
    wants = np.gradient(X, *spacing, edge_order=edge_order)
    gots = fg.gradient(x, *spacing, edge_order=edge_order)
    for got, want in zip(gots, wants, strict=True):
        np.testing.assert_allclose(got.numpy(), want, rtol=1e-12, atol=1e-12)
    fg.gradcheck(lambda x: fg.gradient(x, *spacing, edge_order=edge_order)[0], [x])


@pytest.mark.parametrize("name", ["nansum", "nanmean", "nanquantile"])
def test_nan_takes_no_part_and_gets_no_gradient(name):
    x = fg.tensor(HOLES, requires_grad=True)
    arguments = (0.5,) if name == "nanquantile" else ()
    y = getattr(fg, name)(x, *arguments, axis=1)
    np.testing.assert_allclose(y.numpy(), getattr(np, name)(HOLES, *arguments, axis=1))
    y.sum().backward()
    assert np.isfinite(x.grad.numpy()).all()
    assert not x.grad.numpy()[np.isnan(HOLES)].any()


def test_nan_makes_a_quantile_nan():
    assert np.isnan(fg.quantile(fg.tensor([1.0, np.nan]), 0.0).item())


@pytest.mark.parametrize("name", ["cummax", "cummin"])
def test_running_extrema(name):
    choose = getattr(np, name[3:] + "imum")
    for x in (X, X[:, :0], X[:, ::-1], HOLES):
        values, indices = getattr(fg, name)(fg.tensor(x), axis=1)
        np.testing.assert_array_equal(values.numpy(), choose.accumulate(x, axis=1))
        np.testing.assert_array_equal(np.take_along_axis(x, indices.numpy(), 1), values.numpy())
    leaf = fg.tensor(X, requires_grad=True)
    fg.gradcheck(lambda x: getattr(fg, name)(x, axis=0).values, [leaf])


def test_kthvalue_counts_from_one():
    values, indices = fg.kthvalue(fg.tensor([3.0, 1.0, 2.0]), 2)
    assert (values.item(), indices.item()) == (2.0, 2)
    with pytest.raises(ValueError, match="k = 0"):
        fg.kthvalue(fg.tensor([3.0]), 0)


@pytest.mark.parametrize("n_zeros", [0, 1, 2])
@pytest.mark.parametrize("function", [fg.prod, lambda x: fg.cumulative_prod(x)])
def test_products_with_zeros_have_gradients(function, n_zeros):
    x = np.array([2.0, -1.0, 3.0, 0.5, 1.5])
    x[1 : 1 + n_zeros] = 0
    leaf = fg.tensor(x, requires_grad=True)
    for order in (1, 2):
        fg.gradcheck(function, [leaf], order=order)


def test_log_of_cumulative_sum_has_gradients_where_exp_overflows():
    x = fg.tensor([1000.0, -1000.0, 999.0], requires_grad=True)
    y = fg.logcumsumexp(x, 0)
    y[2].backward()
    share = 1 / (1 + np.exp(-1.0))
    # float32 has steps of 6e-5 at 1000.
    np.testing.assert_allclose(x.grad.numpy(), [share, 0, 1 - share], rtol=6e-5)


def test_sinc_has_every_derivative_at_zero():
    x = fg.tensor(np.zeros(1), requires_grad=True)
    (first,) = fg.grad(fg.sinc(x).sum(), [x], create_graph=True)
    (second,) = fg.grad(first.sum(), [x])
    assert first.item() == 0
    np.testing.assert_allclose(second.item(), -(np.pi**2) / 3, rtol=1e-12)


def test_truth_about_numbers():
    x = np.array([np.inf, -np.inf, np.nan, 0.0, 1.0])
    assert fg.isposinf(x).tolist() == np.isposinf(x).tolist()
    assert fg.isneginf(x).tolist() == np.isneginf(x).tolist()
    assert fg.isreal(np.array([1 + 0j, 1j])).tolist() == [True, False]
    for other in (x, x[::-1].copy(), x + 1e-9):
        for equal_nan in (False, True):
            want = np.isclose(x, other, equal_nan=equal_nan)
            assert fg.isclose(x, other, equal_nan=equal_nan).tolist() == want.tolist()
    assert fg.allclose([1.0], [1.0 + 1e-9])
    assert not fg.array_equal([1.0], [[1.0]])
    np.testing.assert_array_equal(fg.nan_to_num(fg.tensor(x)).numpy(), np.nan_to_num(x))
    steps = fg.heaviside(x, 0.5).numpy()
    np.testing.assert_array_equal(steps, np.heaviside(x, 0.5).astype(steps.dtype))


def test_frexp_is_differentiable_in_its_mantissa():
    x = np.array([0.0, 1.0, -3.0, 1e300, 1e-300])
    mantissa, exponent = fg.frexp(fg.tensor(x))
    wants = np.frexp(x)
    np.testing.assert_array_equal(mantissa.numpy(), wants[0])
    np.testing.assert_array_equal(exponent.numpy(), wants[1])


def test_stacks_and_blocks():
    rows, scalar = [X[0], Y[0]], np.array(2.0)
    for name in ("hstack", "vstack", "dstack", "column_stack"):
        got = getattr(fg, name)([fg.tensor(r) for r in rows])
        np.testing.assert_array_equal(got.numpy(), getattr(np, name)(rows))
    for name in ("atleast_1d", "atleast_2d", "atleast_3d"):
        for x in (scalar, X[0], X, X[None], X[None, None]):
            want = getattr(np, name)(x)
            np.testing.assert_array_equal(getattr(fg, name)(fg.tensor(x)).numpy(), want)
    blocks = fg.block_diag(fg.tensor(X), fg.tensor(X[0]), fg.tensor(scalar))
    assert blocks.shape == (5, 11)
    assert blocks.numpy()[3, 5:10].tolist() == X[0].tolist()
    assert blocks.sum().item() == pytest.approx(X.sum() + X[0].sum() + 2)


def test_counts_of_numbers():
    x = np.array([0, 2, 2, 5])
    assert fg.bincount(fg.tensor(x), minlength=8).tolist() == np.bincount(x, minlength=8).tolist()
    w = fg.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    y = fg.bincount(fg.tensor(x), w)
    assert y.tolist() == [1.0, 0.0, 5.0, 0.0, 0.0, 4.0]
    (y * y).sum().backward()
    assert w.grad.tolist() == [2.0, 10.0, 10.0, 8.0]
    with pytest.raises(fg.errors.DataError, match="0 or more"):
        fg.bincount(fg.tensor([-1]))


@pytest.mark.parametrize("largest", [True, False])
def test_topk_is_the_beginning_of_the_order(largest):
    x = fg.tensor(X, requires_grad=True)
    values, indices = fg.topk(x, 2, largest=largest)
    want = np.sort(X)[:, ::-1][:, :2] if largest else np.sort(X)[:, :2]
    np.testing.assert_array_equal(values.numpy(), want)
    np.testing.assert_array_equal(np.take_along_axis(X, indices.numpy(), 1), want)
    fg.gradcheck(lambda x: fg.topk(x, 3, largest=largest).values, [x], order=1)
    with pytest.raises(fg.errors.ShapeError, match="k = 6"):
        fg.topk(x, 6)


def test_values_of_a_set_are_differentiable():
    x = fg.tensor([5.0, 2.0, 5.0], requires_grad=True)
    (fg.unique_values(x) * fg.tensor([1.0, 10.0])).sum().backward()
    assert x.grad.tolist() == [10.0, 1.0, 0.0]
