"""The tape: hooks on tensors, what errors tell, and that nothing leaks."""

import gc
import os
import traceback
import weakref

import numpy as np
import pytest

import fieldgrad.engine as fg
from fieldgrad.engine.errors import GradientError, NumericsError, ShapeError


def leaf(*values):
    return fg.tensor(np.array(values), requires_grad=True)


# ------------------------------------------------------------------ what is kept

BILINEAR = [
    (lambda x, c: x * c, (3,), (3,)),
    (fg.matmul, (2, 3), (3, 4)),
    (fg.matmul, (3,), (2, 3, 4)),
    (fg.matmul, (2, 3, 4), (4,)),
    (fg.linear, (5, 3), (2, 3)),
    (lambda x, c: fg.conv(x, c, padding=1), (1, 2, 6), (3, 2, 3)),
    (lambda x, c: fg.conv_transpose(x, c, stride=2), (1, 3, 6), (3, 2, 3)),
]


@pytest.mark.parametrize("constant", [0, 1])
@pytest.mark.parametrize(("function", "a", "b"), BILINEAR)
def test_a_factor_is_kept_only_for_the_gradient_of_the_other(function, a, b, constant):
    rng = np.random.default_rng(0)
    values = [rng.normal(size=shape) for shape in (a, b)]
    factors = [fg.tensor(v, requires_grad=i != constant) for i, v in enumerate(values)]
    leaf = factors[1 - constant]
    g = fg.grad((function(*factors) ** 2).sum(), leaf)  # with both kept until here

    # The leaf may change before the backward pass, since no gradient needs its old values.
    y = function(*factors)
    seed = 2 * y.detach()
    with fg.no_grad():
        leaf.assign(0.0)
    y.backward(seed)
    np.testing.assert_allclose(leaf.grad.numpy(), g.numpy())

    # The constant may not.
    y = function(*factors)
    factors[constant].assign(0.0)
    with pytest.raises(GradientError, match="changed in place"):
        y.backward(seed)


# ------------------------------------------------------------------------- hooks


def test_a_hook_sees_the_whole_gradient_once_and_may_replace_it():
    x, seen = leaf(1.0, 2.0), []
    y = x * 3.0
    y.register_hook(lambda g: seen.append(g.tolist()))
    y.register_hook(lambda g: g * 10.0)
    (y * y + y).sum().backward()
    assert seen == [[7.0, 13.0]]
    assert x.grad.tolist() == [210.0, 390.0]


def test_a_hook_of_a_leaf_gets_all_of_its_gradient():
    x, seen = leaf(1.0, 2.0), []
    x.register_hook(lambda g: seen.append(g.tolist()))
    x.register_hook(lambda g: g * 2.0)
    (x * 3.0 + x * x).sum().backward()
    assert seen == [[5.0, 7.0]]
    assert x.grad.tolist() == [10.0, 14.0]
    assert fg.grad((x * x).sum(), x).tolist() == [4.0, 8.0]


def test_a_hook_ends_when_removed():
    x, calls = leaf(1.0), []
    hook = x.register_hook(calls.append)
    hook.remove()
    hook.remove()
    (x * 2.0).sum().backward()
    assert calls == []


def test_hooks_of_outputs_of_one_op_are_apart():
    x, seen = leaf(1.0, 2.0), []
    a, b = fg.unstack(x)
    b.register_hook(lambda g: seen.append(g.item()))
    (a * 2.0 + b * 5.0).backward()
    assert seen == [5.0]


def test_a_hook_is_differentiated_with_the_rest():
    x = leaf(2.0)
    y = x * x
    hook = y.register_hook(lambda g: g * g)
    first = fg.grad((y * y).sum(), x, create_graph=True)  # (2 x²)² · 2 x = 8 x⁵
    hook.remove()
    np.testing.assert_allclose(fg.grad(first.sum(), x).numpy(), [40 * 2.0**4])


def test_hooks_cannot_write_and_must_fit():
    x = leaf(1.0, 2.0)
    hook = x.register_hook(lambda g: g.assign(0.0))
    with pytest.raises(ValueError, match="read-only"):
        (x * 2.0).sum().backward()
    hook.remove()
    for wrong in (lambda g: g.sum(), lambda g: 3.0, lambda g: g.astype("float32")):
        hook = x.register_hook(wrong)
        with pytest.raises(GradientError, match=r"gradient of float64 \(2,\)"):
            (x * 2.0).sum().backward()
        hook.remove()
    with pytest.raises(GradientError, match="does not require"):
        x.detach().register_hook(print)


# ------------------------------------------------------------------------- errors


def text(error):
    return "".join(traceback.format_exception_only(error))


def test_an_error_names_op_arguments_shapes_dtypes_and_line():
    x, w = fg.zeros((2, 3)), fg.tensor(np.zeros((4, 5)))
    with pytest.raises(ShapeError) as caught:
        fg.matmul(x, w.astype("float32"))
    said = text(caught.value)
    assert "in matmul(x: float32 (2, 3), y: float32 (4, 5)), called at " in said
    assert "test_tape.py" in said
    with pytest.raises(ValueError, match="do not broadcast") as caught:
        x + fg.zeros((2, 2))
    assert "in add(x: float32 (2, 3), y: float32 (2, 2)), called at " in text(caught.value)
    with pytest.raises((TypeError, ValueError)) as caught:
        x.sum(axis=5)
    assert "axis=5" in text(caught.value)


def test_an_error_inside_the_engine_names_the_users_line_and_only_the_first_call():
    layer = fg.nn.Linear(3, 2)
    with pytest.raises(ShapeError) as caught:
        layer(fg.zeros((4, 7)))
    assert len(caught.value.__notes__) == 1
    assert "test_tape.py" in caught.value.__notes__[0]


def test_an_error_in_a_rule_names_the_forward_line():
    x = leaf(1.0)
    y = x * 2.0
    y.register_hook(lambda g: 1 / 0)
    with pytest.raises(ZeroDivisionError) as caught:
        y.sum().backward()
    assert "in the backward of multiply, recorded at " in text(caught.value)
    assert "test_tape.py" in text(caught.value)


def test_anomaly_mode_finds_where_a_nan_is_born_and_no_nan_that_came_in():
    with fg.detect_anomaly():
        x = fg.tensor([[1.0, -1.0]])
        with pytest.raises(NumericsError) as caught:
            fg.log(x)
        assert isinstance(caught.value, FloatingPointError)
        assert "log gave NaN at index (0, 1)" in text(caught.value)
        assert "in log(x: float32 (1, 2)), called at " in text(caught.value)
        assert np.isnan(fg.exp(fg.tensor([np.nan])).item())
    assert np.isnan(fg.log(fg.tensor(-1.0)).item())


# ------------------------------------------------------------------------- memory


def resident():
    """Bytes of memory that the process holds."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def step(w, x):
    y = fg.tanh(x @ w)
    rows = y[1:]
    z = y * 2.0
    z[0] = rows[0] * rows[1]
    z += 1.0
    loss = (z * z).mean() + fg.exp(rows).sum()
    loss.backward()
    w.assign(w.numpy() - 1e-3 * w.grad.numpy())
    w.zero_grad()
    return loss.item()


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads memory as Linux tells it")
@pytest.mark.parametrize("n", [5_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_long_training_loop_holds_memory_flat(n):
    rng = np.random.default_rng(0)
    w = fg.tensor(rng.normal(size=(8, 8)) / 4, requires_grad=True)
    x = fg.tensor(rng.normal(size=(4, 8)))
    for _ in range(1_000):
        step(w, x)
    gc.collect()
    before, objects = resident(), len(gc.get_objects())
    for _ in range(n):
        step(w, x)
    assert resident() - before < 1 << 20
    gc.collect()
    assert len(gc.get_objects()) - objects < 100


@pytest.mark.parametrize("freed_by", ["references", "collector"])
def test_what_nobody_holds_is_freed(freed_by):
    """Reference counts free a tape, with views and writes in it; a cycle needs the collector."""
    gc.collect()
    gc.disable()
    try:
        x = leaf(1.0, 2.0)
        y = x * 2.0
        view = y[:1]
        y[1] = view[0] * 3.0
        hook = y.register_hook(lambda g: None)
        if freed_by == "collector":
            cycle = []
            x.register_hook(lambda g, cycle=cycle: None)
            cycle.append(y)
        alive = [weakref.ref(t) for t in (x, y, view)]
        del x, y, view, hook
        if freed_by == "collector":
            del cycle
            gc.collect()
        assert [ref() for ref in alive] == [None] * 3
    finally:
        gc.enable()


def test_a_long_tape_is_freed_without_deep_recursion():
    x = leaf(1.0)
    for _ in range(100_000):
        x = x * 1.0
    x.sum().backward()
    del x


def test_results_that_are_kept_do_not_keep_the_tape():
    x = fg.tensor(np.zeros(1000), requires_grad=True)
    y = x * 2.0
    alive = weakref.ref(y)
    kept = [y.detach(), y.numpy()[:1], y.sum().item()]
    with fg.no_grad():
        kept.append(y[:1])
    del y
    assert alive() is None
    assert len(kept) == 4
