"""Products in bfloat16: their values, when they are chosen, and trainings in them."""

import itertools

import numpy as np
import pytest

import fieldgrad.engine as fg
from fieldgrad.engine import nn, optim
from fieldgrad.engine.bindings import base_kernels
from fieldgrad.engine.data import Loader
from fieldgrad.engine.errors import RecipeError
from fieldgrad.engine.train import (
    Checkpoint,
    Learner,
    MixedPrecision,
    Run,
    choose_precision,
    precision,
    products_in,
)

tiles = pytest.mark.skipif(
    base_kernels.isa != "amx", reason="the kernels in use have no bfloat16 (no AMX, or not chosen)"
)


def rounded(x):
    """Round to the nearest bfloat16, of two equally near ones to the even one."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)).view(np.float32)


def assert_close(found, wanted, terms):
    """Compare sums of so many products of normal numbers: one chain of additions in float32."""
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6 * np.sqrt(terms) + 1e-7 * terms)


# ------------------------------------------------------------------------------------- products


@tiles
@pytest.mark.parametrize(
    ("m", "k", "n"),
    [(128, 128, 128), (500, 33, 70), (300, 300, 300), (1000, 257, 100), (129, 1000, 49)],
)
def test_a_product_of_matrices_is_that_of_rounded_factors(m, k, n):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(m, k)), rng.normal(size=(k, n))
    bias = rng.normal(size=n).astype(np.float32)
    wanted = rounded(a).astype(np.float64) @ rounded(b).astype(np.float64)
    for x, y in itertools.product(*((f, np.asfortranarray(f)) for f in (a, b))):
        x, y = (fg.tensor(f.astype(np.float32, order="K")) for f in (x, y))
        with products_in("bfloat16"):
            found = (x @ y).numpy()
            linear = fg.linear(x, y.T, fg.tensor(bias)).numpy()
        assert_close(found, wanted, k)
        assert_close(linear, wanted + bias, k)
        assert np.abs((x @ y).numpy() - found).max() > 1e-3  # outside, nothing is rounded


@tiles
def test_products_of_a_batch_and_their_gradients_are_rounded():
    rng = np.random.default_rng(0)
    a, b, g = (
        rng.normal(size=s).astype(np.float32) for s in ((3, 96, 130), (130, 112), (3, 96, 112))
    )
    x, y = fg.tensor(a, requires_grad=True), fg.tensor(b, requires_grad=True)
    with products_in("bfloat16"):
        product = x @ y
        product.backward(fg.tensor(g))
    a, b, g = (rounded(f).astype(np.float64) for f in (a, b, g))
    assert_close(product.numpy(), a @ b, 130)
    assert_close(x.grad.numpy(), g @ b.T, 112)
    assert_close(y.grad.numpy(), np.einsum("bik,bij->kj", a, g), 3 * 96)


@tiles
def test_small_products_and_float64_stay_as_they_are():
    rng = np.random.default_rng(0)
    for size, dtype in ((16, np.float32), (128, np.float64)):
        x = fg.tensor(rng.normal(size=(size, size)).astype(dtype))
        with products_in("bfloat16"):
            found = (x @ x).numpy()
        np.testing.assert_array_equal(found, (x @ x).numpy())


CONVOLUTIONS = [
    # channels in, out, size, kernel, stride, padding, dilation, groups
    (8, 8, (24, 28, 24), 3, 1, 1, 1, 1),
    (16, 16, (20, 28, 20), 3, 1, 1, 1, 1),
    (48, 40, (11, 13, 17), 3, 1, 1, 1, 1),
    (16, 24, (20, 21, 35), 3, 2, 1, 1, 1),
    (32, 32, (22, 22, 22), 2, 2, 0, 1, 1),
    (16, 8, (9, 30, 33), (1, 3, 5), 1, (0, 1, 2), 1, 1),
    (32, 32, (16, 16, 24), 1, 1, 0, 1, 1),
    (32, 64, (16, 20, 36), 3, 1, 2, 2, 1),
    (32, 32, (16, 16, 32), 3, 1, 1, 1, 2),
    (19, 33, (12, 18, 40), 3, (1, 2, 3), 1, (1, 1, 2), 1),
]


@tiles
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("case", CONVOLUTIONS, ids=str)
def test_a_convolution_and_its_gradients_are_those_of_rounded_factors(case, transposed):
    n_in, n_out, size, kernel, stride, padding, dilation, groups = case
    rng = np.random.default_rng(0)
    kernel = (kernel,) * 3 if isinstance(kernel, int) else kernel
    shape = (n_in, n_out // groups) if transposed else (n_out, n_in // groups)
    x = rng.normal(size=(2, n_in, *size)).astype(np.float32)
    w = rng.normal(size=(*shape, *kernel)).astype(np.float32)
    bias = rng.normal(size=n_out).astype(np.float32)
    f = fg.conv_transpose3d if transposed else fg.conv3d

    def run(name, x, w, g):
        x, w = fg.tensor(x, requires_grad=True), fg.tensor(w, requires_grad=True)
        with products_in(name):
            y = f(x, w, fg.tensor(bias.astype(x.dtype)), stride=stride, padding=padding,
                  dilation=dilation, groups=groups)  # fmt: skip
            if g is None:
                return y.numpy()
            y.backward(fg.tensor(g))
        return y.numpy(), x.grad.numpy(), w.grad.numpy()

    g = rng.normal(size=run("float32", x, w, None).shape).astype(np.float32)
    found = run("bfloat16", x, w, g)
    again = run("bfloat16", *(np.moveaxis(np.moveaxis(a, 1, -1).copy(), -1, 1) for a in (x, w, g)))
    double = [rounded(a).astype(np.float64) for a in (x, w, g)]
    wanted = run("float32", *double)
    seen = n_in // groups * np.prod(kernel)
    for value, other, exact, terms in zip(
        found, again, wanted, (seen, seen, g[:, 0].size), strict=True
    ):
        assert_close(value, exact, terms)
        np.testing.assert_array_equal(value, other)  # whatever the layout


@tiles
def test_results_do_not_depend_on_threads_or_on_the_rest_of_the_batch():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 16, 20, 20, 20)).astype(np.float32)
    w = fg.tensor(rng.normal(size=(24, 16, 3, 3, 3)).astype(np.float32))
    a = fg.tensor(rng.normal(size=(700, 300)).astype(np.float32))
    n_threads, results = fg.get_num_threads(), []
    try:
        with products_in("bfloat16"):
            for n in (1, 3):
                fg.set_num_threads(n)
                kernel = fg.tensor(w.numpy(), requires_grad=True)
                y = fg.conv3d(fg.tensor(x), kernel, padding=1)
                y.backward(fg.ones(y.shape))
                results.append([y.numpy(), kernel.grad.numpy(), (a @ a.T).numpy()])
            alone = fg.conv3d(fg.tensor(x[1:2]), w, padding=1).numpy()
    finally:
        fg.set_num_threads(n_threads)
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(alone, results[0][0][1:2])


@tiles
def test_infinity_and_nan_reach_the_sums():
    x = np.ones((1, 16, 12, 12, 20), np.float32)
    x[0, 3, 5, 5, 7], x[0, 4, 9, 9, 9] = np.inf, np.nan
    a = np.ones((128, 128), np.float32)
    a[5, 7] = np.nan
    with products_in("bfloat16"):
        y = fg.conv3d(fg.tensor(x), fg.ones((16, 16, 3, 3, 3)), padding=1).numpy()
        product = (fg.tensor(a) @ fg.ones((128, 128))).numpy()
    assert np.isposinf(y[0, :, 4:7, 4:7, 6:9]).all()
    assert np.isnan(y[0, :, 8:11, 8:11, 8:11]).all()
    assert np.isfinite(y[0, :, 0]).all()
    assert np.isnan(product[5]).all()
    assert np.isfinite(np.delete(product, 5, axis=0)).all()


# --------------------------------------------------------------------------------------- choice


def test_without_the_kernels_float32_is_taken_and_bfloat16_is_an_error(monkeypatch):
    def refuse(wanted):
        if wanted:
            raise ValueError("the kernels in use (avx2) have no products in bfloat16")
        return False

    monkeypatch.setattr(base_kernels, "round_products", refuse)
    chosen = choose_precision()
    assert chosen.name == "float32"
    assert "avx2" in chosen.reason
    with pytest.raises(RecipeError, match=r"\(avx2\) have no products in bfloat16. Use float32"):
        MixedPrecision("bfloat16")
    with pytest.raises(RecipeError, match="precision is 'half'; expected auto, float32 or"):
        choose_precision("half")
    with pytest.raises(RecipeError, match="precision is 'bf16'"), products_in("bf16"):
        pass


@pytest.mark.skipif(base_kernels.isa == "amx", reason="the kernels in use have bfloat16")
def test_these_kernels_have_none():
    assert choose_precision("auto").name == "float32"
    with pytest.raises(RecipeError, match=f"kernels in use .{base_kernels.isa}. have no products"):
        choose_precision("bfloat16")


@pytest.mark.parametrize(("rounded_ms", "name"), [(0.5, "bfloat16"), (0.9, "float32")])
def test_what_is_measured_decides(monkeypatch, rounded_ms, name):
    seconds = iter([rounded_ms * 1e-3, 1e-3])
    monkeypatch.setattr(base_kernels, "round_products", lambda wanted: False)
    monkeypatch.setattr(precision, "_seconds", lambda: next(seconds))
    chosen = choose_precision("auto")
    assert chosen.name == name
    assert f"takes {rounded_ms} ms, 1 ms in float32" in chosen.reason


@tiles
def test_an_error_ends_it_too():
    with pytest.raises(ZeroDivisionError), products_in("bfloat16"):
        _ = 1 / 0
    assert base_kernels.round_products(False) is False


# ------------------------------------------------------------------------------------- training


def make_learner(run_dir, *callbacks):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(512, 64)).astype(np.float32)
    items = list(zip(x, np.tanh(x[:, :64] * 2), strict=True))
    fg.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 192), nn.Tanh(), nn.Linear(192, 64))
    return Learner(
        model, lambda y, t: fg.mean((y - t) ** 2), optim.Adam(model.parameters(), lr=1e-2),
        Loader(items, 128, shuffle=True), callbacks=[Checkpoint(), *callbacks], run_dir=run_dir,
    )  # fmt: skip


@tiles
def test_a_training_in_bfloat16_learns_is_on_record_and_is_resumed_to_the_same_bits(tmp_path):
    losses, weights = {}, {}
    for name in ("float32", "bfloat16"):
        learner = make_learner(tmp_path / name, MixedPrecision(name))
        learner.fit("10 epochs")
        losses[name] = [row["train_loss"] for row in learner.history]
        weights[name] = [p.data.copy() for p in learner.model.parameters()]
        assert all(p.data.dtype == np.float32 for p in learner.model.parameters())
        assert Run(tmp_path / name).status()["machine"]["precision"] == f"{name}: as set"
    assert base_kernels.round_products(False) is False
    assert losses["bfloat16"] != losses["float32"]
    np.testing.assert_allclose(losses["bfloat16"], losses["float32"], rtol=0.02)

    class Interrupt(fg.train.Callback):
        def after_batch(self, learner):
            if learner.step == 22:
                raise KeyboardInterrupt

    learner = make_learner(tmp_path / "cut", MixedPrecision("bfloat16"), Interrupt())
    with pytest.raises(KeyboardInterrupt):
        learner.fit("10 epochs")
    learner = make_learner(tmp_path / "cut", MixedPrecision("bfloat16"))
    learner.fit("10 epochs", resume=True)
    for found, wanted in zip(learner.model.parameters(), weights["bfloat16"], strict=True):
        np.testing.assert_array_equal(found.data, wanted)


def test_going_on_in_another_precision_is_said(tmp_path, caplog):
    learner = make_learner(tmp_path, MixedPrecision("float32"))
    learner.fit("1 epochs")
    callback = MixedPrecision("float32")
    callback.load_state_dict({"bfloat16": np.array(True)})
    with caplog.at_level("WARNING"):
        callback.before_fit(learner)
    assert "was trained in bfloat16; this goes on in float32" in caplog.text
    learner.cleanup.close()
