import numpy as np
import pytest

import fieldgrad.engine as fg
from fieldgrad.engine.errors import DataError, DTypeError, GradientError, RecipeError, ShapeError
from fieldgrad.engine.optim import EMA, SGD, Adam, AdamW, clip_grad_norm

N_STEPS = 7


def parameters(dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    return [fg.tensor(rng.normal(size=s).astype(dtype), requires_grad=True) for s in ((3, 2), (4,))]


def gradients(step, shape):
    return np.random.default_rng(100 + step).normal(size=shape)


def run(optimizer, n_steps=N_STEPS, start=0):
    """Steps with gradients that depend on the step and the shape only."""
    for step in range(start, start + n_steps):
        for p in optimizer.params:
            p.grad = fg.tensor(gradients(step, p.shape).astype(p.dtype))
        optimizer.step()
    return [p.data for p in optimizer.params]


# The references below are the update formulas written out for one array in float64.


def sgd(w, lr, momentum=0.0, nesterov=False, decay=0.0, decoupled=0.0, dampening=0.0):
    v = 0.0
    for step in range(N_STEPS):
        g = gradients(step, w.shape)
        w = w * (1 - lr * decoupled)
        g = g + decay * w
        v = momentum * v + (g if step == 0 else (1 - dampening) * g)
        w = w - lr * (g + momentum * v if nesterov else v)
    return w


def adam(w, lr, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.0, decoupled=0.0):
    m = v = 0.0
    for step in range(N_STEPS):
        g = gradients(step, w.shape)
        w = w * (1 - lr * decoupled)
        g = g + decay * w
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = m / (1 - beta1 ** (step + 1))
        v_hat = v / (1 - beta2 ** (step + 1))
        w = w - lr * m_hat / (np.sqrt(v_hat) + eps)
    return w


CASES = {
    "sgd": (lambda p: SGD(p, 0.1), lambda w: sgd(w, 0.1)),
    "momentum": (lambda p: SGD(p, 0.1, 0.9), lambda w: sgd(w, 0.1, 0.9)),
    "dampened": (
        lambda p: SGD(p, 0.1, 0.9, dampening=0.3),
        lambda w: sgd(w, 0.1, 0.9, dampening=0.3),
    ),
    "nesterov": (
        lambda p: SGD(p, 0.1, 0.99, nesterov=True, weight_decay=3e-5),
        lambda w: sgd(w, 0.1, 0.99, nesterov=True, decay=3e-5),
    ),
    "sgd decay": (lambda p: SGD(p, 0.1, weight_decay=0.2), lambda w: sgd(w, 0.1, decay=0.2)),
    "sgd decoupled": (
        lambda p: SGD(p, 0.1, 0.9, weight_decay=0.2, decoupled=True),
        lambda w: sgd(w, 0.1, 0.9, decoupled=0.2),
    ),
    "adam": (lambda p: Adam(p, 0.01), lambda w: adam(w, 0.01)),
    "adam options": (
        lambda p: Adam(p, 0.01, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.1),
        lambda w: adam(w, 0.01, 0.8, 0.9, 1e-3, decay=0.1),
    ),
    "adamw": (lambda p: AdamW(p, 0.01), lambda w: adam(w, 0.01, decoupled=0.01)),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-13), (np.float32, 2e-6)])
def test_steps_follow_the_formula(case, dtype, tolerance):
    make, reference = CASES[case]
    params = parameters(dtype)
    expected = [reference(p.data.astype(np.float64)) for p in params]
    for got, want in zip(run(make(params)), expected, strict=True):
        assert got.dtype == dtype
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


def test_first_adam_step_has_the_length_of_the_learning_rate():
    # m_hat / sqrt(v_hat) is the sign of the gradient at t = 1 (Kingma & Ba 2015, section 2.1)
    w = fg.tensor([1.0, 1.0], requires_grad=True)
    w.grad = fg.tensor([30.0, -0.2])
    Adam([w], lr=0.25).step()
    np.testing.assert_allclose(w.data, [0.75, 1.25], rtol=1e-6)


@pytest.mark.parametrize("case", ["momentum", "nesterov", "adam", "adamw"])
def test_state_dict_continues_bit_for_bit(case):
    make, _ = CASES[case]
    undisturbed = run(make(parameters(np.float32)), 6)
    optimizer = make(parameters(np.float32))
    weights = [w.copy() for w in run(optimizer, 3)]
    state = optimizer.state_dict()
    run(optimizer, 1, start=9)  # the state given before must not follow
    again = make([fg.tensor(w, requires_grad=True) for w in weights])
    again.load_state_dict(state)
    for got, want in zip(run(again, 3, start=3), undisturbed, strict=True):
        np.testing.assert_array_equal(got, want)


def test_settings_travel_with_the_state():
    optimizer = AdamW(parameters(), lr=0.1)
    optimizer.lr, optimizer.momentum, optimizer.weight_decay = 0.02, 0.85, 0.3
    other = AdamW(parameters(), lr=0.1)
    other.load_state_dict(optimizer.state_dict())
    assert (other.lr, other.momentum, other.weight_decay) == (0.02, 0.85, 0.3)


def test_a_state_of_another_model_is_refused_and_changes_nothing():
    optimizer = SGD(parameters(), 0.1, 0.9)
    state = SGD(parameters()[:1], 0.1, 0.9).state_dict()
    with pytest.raises(DataError, match=r"lacks \['velocity.1'\]"):
        optimizer.load_state_dict(state)
    state = optimizer.state_dict()
    state["velocity.0"] = np.ones((3, 3))
    state["velocity.1"] = np.ones(4)
    with pytest.raises(ShapeError, match=r"velocity.0 .* \(3, 3\), here \(3, 2\)"):
        optimizer.load_state_dict(state)
    assert not optimizer.state_dict()["velocity.1"].any()


def test_groups_keep_their_ratio_when_the_rate_is_set():
    a, b = parameters()
    groups = [{"params": [a]}, {"params": [b], "lr": 0.01, "weight_decay": 0.0}]
    optimizer = SGD(groups, lr=0.1, weight_decay=0.5)
    before = [p.data.copy() for p in (a, b)]
    optimizer.lr = 0.2
    run(optimizer, 1)
    g = gradients(0, a.shape)
    np.testing.assert_allclose(a.data, before[0] - 0.2 * (g + 0.5 * before[0]))
    np.testing.assert_allclose(b.data, before[1] - 0.02 * gradients(0, b.shape))


def test_parameters_without_gradient_stay():
    a, b = parameters()
    before = b.data.copy()
    a.grad = fg.tensor(np.ones(a.shape))
    optimizer = AdamW([a, b], lr=0.1)
    optimizer.step()
    np.testing.assert_array_equal(b.data, before)
    assert optimizer.state_dict()["steps"].tolist() == [1, 0]
    optimizer.zero_grad()
    assert a.grad is None


def test_a_step_between_forward_and_backward_is_noticed():
    w = fg.tensor([1.0, 2.0], requires_grad=True)
    optimizer = SGD([w], lr=0.1)
    (w * w).sum().backward()
    loss = (w * w).sum()
    optimizer.step()
    with pytest.raises(GradientError, match="changed in place"):
        loss.backward()


def test_strided_parameters_are_changed_in_place():
    whole = np.random.default_rng(0).normal(size=(4, 3))
    w = fg.tensor(whole.T[:, ::2], requires_grad=True)
    expected = sgd(w.data.copy(), 0.1, 0.9)
    run(SGD([w], 0.1, 0.9))
    np.testing.assert_allclose(whole.T[:, ::2], expected)


@pytest.mark.parametrize("case", CASES)
def test_parameters_of_all_sizes_and_types_are_changed_alike_by_any_number_of_threads(case):
    make, reference = CASES[case]
    shapes = [(3,), (0,), (7, 1), (), (40_001,), (5, 3, 20_000)]
    rng = np.random.default_rng(1)
    values = [
        rng.normal(size=s).astype(dtype) for s in shapes for dtype in (np.float32, np.float64)
    ]
    values[-1] = np.moveaxis(values[-1], 0, -1)  # dense, in another order than its gradient
    before, found = fg.get_num_threads(), []
    try:
        for n_threads in (1, 2, 3):
            fg.set_num_threads(n_threads)
            copies = [v.copy(order="K") for v in values]
            found.append(run(make([fg.tensor(v, requires_grad=True) for v in copies])))
    finally:
        fg.set_num_threads(before)
    for value, *results in zip(values, *found, strict=True):
        want = reference(value.astype(np.float64))
        tolerance = 1e-13 if value.dtype == np.float64 else 4e-6
        np.testing.assert_allclose(results[0], want, rtol=tolerance, atol=tolerance)
        for other in results[1:]:
            np.testing.assert_array_equal(other, results[0])


def test_steps_are_those_of_pytorch():
    torch = pytest.importorskip("torch")
    settings = {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.1}
    pairs = [
        (lambda p: SGD(p, **settings), lambda p: torch.optim.SGD(p, **settings)),
        (
            lambda p: SGD(p, **settings, dampening=0.2),
            lambda p: torch.optim.SGD(p, **settings, dampening=0.2),
        ),
        (
            lambda p: SGD(p, **settings, nesterov=True),
            lambda p: torch.optim.SGD(p, **settings, nesterov=True),
        ),
        (
            lambda p: Adam(p, 0.05, weight_decay=0.1),
            lambda p: torch.optim.Adam(p, 0.05, weight_decay=0.1),
        ),
        (
            lambda p: AdamW(p, 0.05, weight_decay=0.1),
            lambda p: torch.optim.AdamW(p, 0.05, weight_decay=0.1),
        ),
    ]
    for ours, theirs in pairs:
        params = [torch.tensor(p.data.copy(), requires_grad=True) for p in parameters()]
        optimizer = theirs(params)
        for step in range(N_STEPS):
            for p in params:
                p.grad = torch.tensor(gradients(step, p.shape))
            optimizer.step()
        for got, want in zip(run(ours(parameters())), params, strict=True):
            np.testing.assert_allclose(got, want.detach().numpy(), rtol=1e-12)


def test_weights_that_cannot_be_changed_are_refused():
    w = np.ones(3)
    w.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        run(SGD([fg.tensor(w, requires_grad=True)], 0.1))
    half = fg.tensor(np.ones(3, np.float16), requires_grad=True)
    with pytest.raises(DTypeError, match="float16; expected float32 or float64"):
        run(SGD([half], 0.1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: SGD(p, lr=0.0), "lr is 0.0; expected a positive"),
        (lambda p: SGD(p, lr=1.0, momentum=1.0), "momentum is 1.0"),
        (lambda p: SGD(p, lr=1.0, nesterov=True), "nesterov needs momentum"),
        (lambda p: SGD(p, lr=1.0, dampening=1.5), "dampening is 1.5"),
        (lambda p: SGD(p, 1.0, 0.9, nesterov=True, dampening=0.1), "needs dampening = 0"),
        (lambda p: Adam(p, betas=(0.9, 1.0)), r"betas\[1\] is 1.0"),
        (lambda p: SGD([], lr=1.0), "no parameter"),
        (lambda p: SGD([p[0], p[0]], lr=1.0), "given twice"),
        (lambda p: SGD(p[0], lr=1.0), "model.parameters"),
        (lambda p: SGD([np.ones(3)], lr=1.0), "parameter 0 is a ndarray"),
        (lambda p: SGD([{"params": p, "lrs": 1}], lr=1.0), "did you mean 'lr'"),
        (lambda p: SGD([{"params": p, "weight_decay": 1.0}], lr=1.0), "weight_decay 1.0"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(RecipeError, match=message):
        make(parameters())


def test_clipping_scales_all_gradients_to_one_length():
    params = parameters(np.float32)
    for p in params:
        p.grad = fg.tensor(gradients(0, p.shape).astype(np.float32))
    before = np.concatenate([p.grad.data.ravel() for p in params])
    norm = np.linalg.norm(before.astype(np.float64))
    assert clip_grad_norm(params, norm * 2) == pytest.approx(norm, rel=1e-6)
    np.testing.assert_array_equal(np.concatenate([p.grad.data.ravel() for p in params]), before)
    assert clip_grad_norm(params, 0.5) == pytest.approx(norm, rel=1e-6)
    after = np.concatenate([p.grad.data.ravel() for p in params])
    np.testing.assert_allclose(after, before * (0.5 / norm), rtol=1e-6)


def test_the_norm_of_many_gradients_is_exact_and_the_same_for_any_number_of_threads():
    rng = np.random.default_rng(2)
    params = [fg.tensor(np.zeros(n), requires_grad=True) for n in (1, 50_000, 3, 70_001)]
    for p in params:
        p.grad = fg.tensor(rng.normal(size=p.shape) + 1000)
    want = np.linalg.norm(np.concatenate([p.grad.data for p in params]))
    before, norms = fg.get_num_threads(), set()
    try:
        for n_threads in (1, 2, 3):
            fg.set_num_threads(n_threads)
            norms.add(clip_grad_norm(params, 1e9))
    finally:
        fg.set_num_threads(before)
    assert len(norms) == 1
    assert norms.pop() == pytest.approx(want, rel=1e-14)
    assert clip_grad_norm([fg.tensor(np.ones(2), requires_grad=True)], 1.0) == 0.0


def test_clipping_large_float32_gradients_does_not_overflow():
    w = fg.tensor([0.0, 0.0], requires_grad=True)
    w.grad = fg.tensor([3e30, 4e30])
    assert clip_grad_norm([w], 1.0) == pytest.approx(5e30)
    np.testing.assert_allclose(w.grad.data, [0.6, 0.8], rtol=1e-6)


def test_clipping_leaves_gradients_that_are_not_finite():
    w = fg.tensor([0.0, 0.0], requires_grad=True)
    w.grad = fg.tensor([np.inf, 1.0])
    assert clip_grad_norm([w], 1.0) == np.inf
    assert w.grad.tolist() == [np.inf, 1.0]


def test_average_follows_the_formula_and_swaps_both_ways():
    [w] = parameters()[1:]
    average, expected = EMA([w], decay=0.5), w.data.copy()
    for t in range(1, 15):
        w.assign(gradients(t, w.shape))
        average.update()
        d = min(0.5, (1 + t) / (10 + t))
        expected = d * expected + (1 - d) * w.data
    last = w.data.copy()
    average.swap()
    np.testing.assert_allclose(w.data, expected, rtol=1e-13)
    average.swap()
    np.testing.assert_array_equal(w.data, last)
    other = EMA([fg.tensor(np.zeros(4))], decay=0.5)
    other.load_state_dict(average.state_dict())
    np.testing.assert_array_equal(
        other.state_dict()["average.0"], average.state_dict()["average.0"]
    )
    assert other.state_dict()["steps"] == 14
