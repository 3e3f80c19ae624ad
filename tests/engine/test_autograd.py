"""The backward walk: accumulation, higher orders, reuse, errors, threads."""

import sys
import threading

import numpy as np
import pytest

import fieldgrad.engine as fg
from fieldgrad.engine._core import Op
from fieldgrad.engine.errors import GradientError, NumericsError


def test_gradients_accumulate_over_uses_and_calls():
    x = fg.tensor(3.0, requires_grad=True)
    (x * x + x).backward()
    assert x.grad.item() == 7.0
    (x * 2.0).backward()
    assert x.grad.item() == 9.0


def test_leaves_do_not_share_the_memory_of_their_gradients():
    x, y = (fg.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    (x + y).sum().backward()
    assert not np.shares_memory(x.grad.data, y.grad.data)


def test_a_leaf_owns_its_gradient():
    x, y = (fg.tensor(np.ones(40_000, np.float32), requires_grad=True) for _ in range(2))
    seed = fg.tensor(np.full(40_000, 2.0, np.float32))
    (x + y).backward(seed)
    x.backward(seed)
    seed.data[:] = 7
    assert not np.shares_memory(x.grad.data, y.grad.data)
    assert x.grad.data[0] == 4
    assert y.grad.data[0] == 2


def test_a_gradient_that_is_a_saved_tensor_is_not_handed_out():
    factor = fg.tensor(np.full(40_000, 3.0, np.float32))
    x = fg.tensor(np.ones(40_000, np.float32), requires_grad=True)
    y = fg.reshape(x, (200, 200)) * fg.reshape(factor, (200, 200))
    y.sum().backward()
    x.grad.data[:] = 0
    assert factor.data.max() == factor.data.min() == 3


def test_branches_arrive_in_any_order():
    rng = np.random.default_rng(0)
    weights = rng.normal(size=50)
    x = fg.tensor(rng.normal(size=3), requires_grad=True)
    branches = [fg.sin(x * float(w)) for w in weights]
    for _ in range(40):  # each joins two branches that were recorded far apart
        i, j = rng.choice(len(branches), 2, replace=False)
        joined = branches[i] * branches[j]
        branches = [b for k, b in enumerate(branches) if k not in (i, j)] + [joined]
    total = branches[0]
    for branch in reversed(branches[1:]):
        total = total + branch
    (once,) = fg.grad(total.sum(), [x], retain_graph=True)
    total.sum().backward()
    np.testing.assert_allclose(x.grad.data, once.data, rtol=1e-12)

    def value(at):
        terms = [np.sin(at * w) for w in weights]
        again = np.random.default_rng(0)
        again.normal(size=50), again.normal(size=3)
        for _ in range(40):
            i, j = again.choice(len(terms), 2, replace=False)
            joined = terms[i] * terms[j]
            terms = [b for k, b in enumerate(terms) if k not in (i, j)] + [joined]
        return np.sum(terms)

    for i in range(3):
        step = 1e-6 * np.eye(3)[i]
        slope = (value(x.data + step) - value(x.data - step)) / 2e-6
        assert abs(slope - x.grad.data[i]) < 1e-6


def test_an_op_without_a_rule_goes_through_its_composite():
    def body(x, /, *, power):
        return fg.exp(x) * x**power

    kernel = lambda x, power: np.exp(x) * x**power  # noqa: E731
    op = Op("grown", kernel, inputs=["x"], defaults={"power": 2.0}, composite=body)
    x = fg.tensor(np.array([0.3, -0.7]), requires_grad=True)
    fg.gradcheck(lambda t: op(t, power=3.0), [x])
    first = fg.grad(op(x).sum(), x, create_graph=True)
    second = fg.grad(first.sum(), x)
    v = x.data
    np.testing.assert_allclose(first.data, np.exp(v) * (v**2 + 2 * v))
    np.testing.assert_allclose(second.data, np.exp(v) * (v**2 + 4 * v + 2))
    op(x).sum().backward()
    np.testing.assert_allclose(x.grad.data, first.data)


def test_third_derivative():
    x = fg.tensor(np.array(0.7), requires_grad=True)
    y = fg.sin(x)
    for expected in (np.cos(0.7), -np.sin(0.7), -np.cos(0.7)):
        y = fg.grad(y, x, create_graph=True)
        assert y.item() == pytest.approx(expected, abs=1e-12)


def test_gradient_of_a_gradient_norm():
    x = fg.tensor(np.array([1.0, 2.0]), requires_grad=True)
    w = fg.tensor(np.array([3.0, 4.0]), requires_grad=True)
    force = fg.grad((w * x**2).sum(), x, create_graph=True)  # 2 w x
    (force * force).sum().backward()
    np.testing.assert_allclose(w.grad.data, 8 * w.data * x.data**2)


def test_grad_of_an_intermediate_result_and_of_none():
    x = fg.tensor(2.0, requires_grad=True)
    other = fg.tensor(1.0, requires_grad=True)
    middle = x * 3.0
    y = middle * middle
    assert fg.grad(y, middle, retain_graph=True).item() == 12.0
    assert fg.grad(y, [x, other], allow_unused=True)[1] is None
    assert x.grad is None


def test_grad_of_an_independent_tensor_is_an_error():
    x, other = (fg.tensor(2.0, requires_grad=True) for _ in range(2))
    with pytest.raises(GradientError, match="does not depend on tensor 0"):
        fg.grad(x * x, other)


def test_a_used_tape_says_so():
    x = fg.tensor(2.0, requires_grad=True)
    y = x * x
    y.backward()
    with pytest.raises(GradientError, match="retain_graph"):
        y.backward()
    z = x * x
    z.backward(retain_graph=True)
    z.backward()


def test_backward_needs_one_element_or_a_gradient():
    x = fg.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(ValueError, match="one element"):
        (x * 2.0).backward()
    (x * 2.0).backward([1.0, 3.0])
    assert x.grad.tolist() == [2.0, 6.0]


def test_a_result_without_history_cannot_go_backward():
    with pytest.raises(GradientError, match="requires_grad"):
        fg.tensor(1.0).backward()


def test_a_tape_of_a_hundred_thousand_ops():
    x = fg.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y + 1.0
    y.backward()
    assert x.grad.item() == 1.0
    del y  # frees the chain without deep recursion


def test_masked_values_do_not_make_nan():
    x = fg.tensor([0.0, 4.0], requires_grad=True)
    fg.where(x > 0, fg.sqrt(x), 0.0).sum().backward()
    assert x.grad.tolist() == [0.0, 0.25]


def test_values_are_kept_only_if_the_rule_asks():
    x = fg.tensor(np.ones(1000, np.float32), requires_grad=True)
    middle = x * 2.0
    array = middle.data
    before = sys.getrefcount(array)
    y = middle + 1.0  # its rule keeps nothing
    del middle
    assert sys.getrefcount(array) < before
    y.sum().backward()
    assert x.grad.tolist() == [2.0] * 1000


def test_no_grad_is_a_matter_of_one_thread():
    x = fg.tensor(1.0, requires_grad=True)
    seen = []
    with fg.no_grad():
        thread = threading.Thread(target=lambda: seen.append((x * 2.0).requires_grad))
        thread.start()
        thread.join()
        seen.append((x * 2.0).requires_grad)
    assert seen == [True, False]


def test_anomaly_mode_names_op_and_line_of_the_first_nan():
    x = fg.tensor([1.0, 0.0], requires_grad=True)
    with fg.detect_anomaly(), pytest.raises(NumericsError) as error:
        _ = (x * 0.0) / x + 1.0  # 0 / 0
    assert "divide gave NaN at index (1,)" in str(error.value)
    assert "test_autograd.py" in error.value.__notes__[0]


def test_anomaly_mode_names_op_and_line_of_a_nan_that_comes_up_backward():
    x = fg.tensor([0.0], requires_grad=True)
    with fg.detect_anomaly():
        y = x * 0.0
        z = y**0.5  # infinite slope at 0
        pattern = r"multiply, recorded at .*test_autograd\.py:\d+.*NaN"  # infinity · 0
        with pytest.raises(GradientError, match=pattern):
            z.sum().backward()


def test_gradcheck_finds_a_wrong_rule():
    def wrong(x):
        return x * x + (x.detach() * x)  # derivative 3x on the tape, 4x in truth

    with pytest.raises(GradientError, match="the tape gives"):
        fg.gradcheck(wrong, [fg.tensor(np.array([1.0, 2.0]), requires_grad=True)])


def test_value_and_grad():
    value, slope = fg.value_and_grad(lambda x, k: (x**2 * k).sum())(fg.tensor([1.0, 2.0]), 3.0)
    assert value.item() == 15.0
    assert slope.tolist() == [6.0, 12.0]


def test_leaves_own_their_gradients():
    x, y = (fg.tensor(np.ones(3), requires_grad=True) for _ in range(2))
    g = fg.tensor(np.full(3, 2.0))
    (x + y).backward(g)
    x.grad.assign([0.0, 0.0, 0.0])
    assert y.grad.tolist() == g.tolist() == [2.0, 2.0, 2.0]


def test_gradients_that_the_user_holds_are_not_written_over():
    x = fg.tensor(np.ones(3), requires_grad=True)
    (x * 2.0).sum().backward()
    held, array = x.grad, x.grad.numpy()
    (x * 3.0).sum().backward()
    assert held.tolist() == array.tolist() == [2.0, 2.0, 2.0]
    assert x.grad.tolist() == [5.0, 5.0, 5.0]


def test_sums_of_gradients_in_place_leave_what_rules_keep():
    """A tensor with several users, one of which passes its gradient on unchanged to two inputs."""
    rng = np.random.default_rng(0)
    x, y = (fg.tensor(rng.normal(size=(300, 400)), requires_grad=True) for _ in range(2))
    for layout in (lambda t: t, lambda t: fg.permute_dims(t, axes=(1, 0))):
        x.grad = y.grad = None
        a, b = layout(x), layout(y)
        c = a + b
        (c * c + c + a * b + a - b).sum().backward()
        c = x.numpy() + y.numpy()
        np.testing.assert_allclose(x.grad.numpy(), 2 * c + 2 + y.numpy(), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(y.grad.numpy(), 2 * c + x.numpy(), rtol=1e-12, atol=1e-12)


def test_a_leaf_that_ceased_to_require_a_gradient_gets_none():
    x, w = (fg.tensor([2.0, 3.0], requires_grad=True) for _ in range(2))
    slope = fg.grad((x * x * w).sum(), x, create_graph=True)
    x.requires_grad = False
    slope.sum().backward()
    assert x.grad is None
    assert w.grad.tolist() == [4.0, 6.0]
