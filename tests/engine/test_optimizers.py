"""Optimizers beside their formulas, written out for one array in float64, and beside PyTorch."""

import numpy as np
import pytest
from scipy import optimize

import fieldgrad.engine as fg
from fieldgrad.engine.errors import RecipeError
from fieldgrad.engine.optim import (
    LBFGS,
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Lion,
    Lookahead,
    Muon,
    NAdam,
    RAdam,
    RMSprop,
    clip_grad_value,
)

N_STEPS = 12
SHAPES = ((3, 2), (2, 4))


def parameters(dtype=np.float64):
    rng = np.random.default_rng(0)
    return [fg.tensor(rng.normal(size=s).astype(dtype), requires_grad=True) for s in SHAPES]


def gradients(step, shape):
    return np.random.default_rng(100 + step).normal(size=shape)


def run(optimizer, n_steps=N_STEPS, start=0):
    for step in range(start, start + n_steps):
        for p in optimizer.params:
            p.grad = fg.tensor(gradients(step, p.shape).astype(p.dtype))
        optimizer.step()
    return [p.data for p in optimizer.params]


def each_step(w):
    for t in range(1, N_STEPS + 1):
        yield t, gradients(t - 1, w.shape)


def rmsprop(w, lr=0.01, alpha=0.99, eps=1e-8, momentum=0.0, centered=False, decay=0.0):
    v, m, u = np.zeros_like(w), np.zeros_like(w), np.zeros_like(w)
    for _, g in each_step(w):
        g = g + decay * w
        v = alpha * v + (1 - alpha) * g**2
        m = alpha * m + (1 - alpha) * g
        u = momentum * u + g / (np.sqrt(v - m**2 if centered else v) + eps)
        w = w - lr * u
    return w


def adagrad(w, lr=0.01, lr_decay=0.0, start=0.0, eps=1e-10, decay=0.0):
    total = start + np.zeros_like(w)
    for t, g in each_step(w):
        g = g + decay * w
        total = total + g**2
        w = w - lr / (1 + (t - 1) * lr_decay) * g / (np.sqrt(total) + eps)
    return w


def radam(w, lr=1e-3, b1=0.9, b2=0.999, eps=1e-8, decay=0.0, decoupled=0.0):
    m, v, limit = np.zeros_like(w), np.zeros_like(w), 2 / (1 - b2) - 1
    for t, g in each_step(w):
        w = w * (1 - lr * decoupled)
        g = g + decay * w
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        step = m / (1 - b1**t)
        n = limit - 2 * t * b2**t / (1 - b2**t)
        if n > 5:
            r = np.sqrt((n - 4) * (n - 2) * limit / ((limit - 4) * (limit - 2) * n))
            step = step * r * np.sqrt(1 - b2**t) / (np.sqrt(v) + eps)
        w = w - lr * step
    return w


def nadam(w, lr=2e-3, b1=0.9, b2=0.999, eps=1e-8, psi=4e-3, decay=0.0, decoupled=0.0):
    m, v = np.zeros_like(w), np.zeros_like(w)
    mu = [b1 * (1 - 0.5 * 0.96 ** (t * psi)) for t in range(N_STEPS + 2)]
    for t, g in each_step(w):
        w = w * (1 - lr * decoupled)
        g = g + decay * w
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        ahead = mu[t + 1] * m / (1 - np.prod(mu[1 : t + 2]))
        ahead = ahead + (1 - mu[t]) * g / (1 - np.prod(mu[1 : t + 1]))
        w = w - lr * ahead / (np.sqrt(v / (1 - b2**t)) + eps)
    return w


def lion(w, lr=1e-4, b1=0.9, b2=0.99, decay=0.0):
    m = np.zeros_like(w)
    for _, g in each_step(w):
        w = w * (1 - lr * decay) - lr * np.sign(b1 * m + (1 - b1) * g)
        m = b2 * m + (1 - b2) * g
    return w


def muon(w, lr=1e-3, momentum=0.95, decay=0.1, nesterov=True, match=False, n_iterations=5):
    """By singular values: the iteration maps each by the polynomial a s + b s³ + c s⁵."""
    m = np.zeros_like(w)
    for _, g in each_step(w):
        m = momentum * m + (1 - momentum) * g
        u, s, vt = np.linalg.svd(momentum * m + (1 - momentum) * g if nesterov else m, False)
        s = s / np.sqrt((s**2).sum())
        for _ in range(n_iterations):
            s = 3.4445 * s - 4.775 * s**3 + 2.0315 * s**5
        n, k = w.shape
        factor = 0.2 * np.sqrt(max(n, k)) if match else np.sqrt(max(1, n / k))
        w = w * (1 - lr * decay) - lr * factor * (u * s) @ vt
    return w


def lookahead(w, k, alpha, lr, momentum):
    slow, v = w, 0.0
    for t, g in each_step(w):
        v = momentum * v + g
        w = w - lr * v
        if t % k == 0:
            w = slow = slow + alpha * (w - slow)
    return w


def amsgrad(w, lr=1e-3, b1=0.9, b2=0.999, eps=1e-8, decay=0.0):
    m, v, top = np.zeros_like(w), np.zeros_like(w), np.zeros_like(w)
    for t, g in each_step(w):
        w = w * (1 - lr * decay)
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        top = np.maximum(top, v)
        w = w - lr * m / (1 - b1**t) / (np.sqrt(top / (1 - b2**t)) + eps)
    return w


CASES = {
    "amsgrad": (lambda p: Adam(p, betas=(0.9, 0.5), amsgrad=True), lambda w: amsgrad(w, b2=0.5)),
    "amsgrad decoupled": (
        lambda p: AdamW(p, 0.01, betas=(0.9, 0.8), amsgrad=True),
        lambda w: amsgrad(w, 0.01, b2=0.8, decay=0.01),
    ),
    "rmsprop": (lambda p: RMSprop(p), rmsprop),
    "rmsprop options": (
        lambda p: RMSprop(p, 0.02, 0.9, alpha=0.8, eps=1e-3, centered=True, weight_decay=0.1),
        lambda w: rmsprop(w, 0.02, 0.8, 1e-3, 0.9, True, 0.1),
    ),
    "adagrad": (lambda p: Adagrad(p), adagrad),
    "adagrad options": (
        lambda p: Adagrad(
            p, 0.1, lr_decay=0.2, initial_accumulator_value=0.3, eps=1e-3, weight_decay=0.1
        ),
        lambda w: adagrad(w, 0.1, 0.2, 0.3, 1e-3, 0.1),
    ),
    "radam": (lambda p: RAdam(p), radam),
    "radam options": (
        lambda p: RAdam(p, 0.01, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.1),
        lambda w: radam(w, 0.01, 0.8, 0.9, 1e-3, decay=0.1),
    ),
    "radam decoupled": (
        lambda p: RAdam(p, 0.01, weight_decay=0.1, decoupled=True),
        lambda w: radam(w, 0.01, decoupled=0.1),
    ),
    "nadam": (lambda p: NAdam(p), nadam),
    "nadam options": (
        lambda p: NAdam(p, 0.01, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.1, momentum_decay=0.1),
        lambda w: nadam(w, 0.01, 0.8, 0.9, 1e-3, 0.1, decay=0.1),
    ),
    "lion": (lambda p: Lion(p), lion),
    "lion options": (
        lambda p: Lion(p, 0.01, betas=(0.8, 0.9), weight_decay=0.1),
        lambda w: lion(w, 0.01, 0.8, 0.9, 0.1),
    ),
    "muon": (lambda p: Muon(p), muon),
    "muon options": (
        lambda p: Muon(
            p, 0.01, 0.8, nesterov=False, weight_decay=0.2, adjust_lr="match_rms_adamw", ns_steps=3
        ),
        lambda w: muon(w, 0.01, 0.8, 0.2, False, True, 3),
    ),
    "lookahead": (
        lambda p: Lookahead(SGD(p, 0.1, 0.9), 5, 0.5),
        lambda w: lookahead(w, 5, 0.5, 0.1, 0.9),
    ),
    "lookahead options": (
        lambda p: Lookahead(SGD(p, 0.1, 0.9), 3, 0.8),
        lambda w: lookahead(w, 3, 0.8, 0.1, 0.9),
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-11), (np.float32, 2e-5)])
def test_trajectories_follow_the_formula(case, dtype, tolerance):
    make, reference = CASES[case]
    params = parameters(dtype)
    expected = [reference(p.data.astype(np.float64)) for p in params]
    for got, want in zip(run(make(params)), expected, strict=True):
        assert got.dtype == dtype
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


TORCH = {
    "amsgrad": lambda t, p: t.Adam(p, betas=(0.9, 0.5), amsgrad=True),
    "amsgrad decoupled": lambda t, p: t.AdamW(p, 0.01, betas=(0.9, 0.8), amsgrad=True),
    "rmsprop": lambda t, p: t.RMSprop(p),
    "rmsprop options": lambda t, p: t.RMSprop(
        p, 0.02, alpha=0.8, eps=1e-3, momentum=0.9, centered=True, weight_decay=0.1
    ),
    "adagrad": lambda t, p: t.Adagrad(p),
    "adagrad options": lambda t, p: t.Adagrad(
        p, 0.1, lr_decay=0.2, initial_accumulator_value=0.3, eps=1e-3, weight_decay=0.1
    ),
    "radam": lambda t, p: t.RAdam(p),
    "radam options": lambda t, p: t.RAdam(p, 0.01, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.1),
    "radam decoupled": lambda t, p: t.RAdam(p, 0.01, weight_decay=0.1, decoupled_weight_decay=True),
    "nadam": lambda t, p: t.NAdam(p),
    "nadam options": lambda t, p: t.NAdam(
        p, 0.01, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.1, momentum_decay=0.1
    ),
}


@pytest.mark.parametrize("case", TORCH)
def test_trajectories_are_those_of_pytorch(case):
    torch = pytest.importorskip("torch")
    params = [torch.tensor(p.data.copy(), requires_grad=True) for p in parameters()]
    optimizer = TORCH[case](torch.optim, params)
    for step in range(N_STEPS):
        for p in params:
            p.grad = torch.tensor(gradients(step, tuple(p.shape)))
        optimizer.step()
    # PyTorch keeps NAdam's product of momenta in float32.
    tolerance, least = (1e-8, 1e-9) if case.startswith("nadam") else (1e-10, 0)
    for got, want in zip(run(CASES[case][0](parameters())), params, strict=True):
        np.testing.assert_allclose(got, want.detach().numpy(), rtol=tolerance, atol=least)


@pytest.mark.parametrize("case", CASES)
def test_state_dict_continues_bit_for_bit(case):
    make, _ = CASES[case]
    undisturbed = run(make(parameters(np.float32)), 8)
    optimizer = make(parameters(np.float32))
    weights = [w.copy() for w in run(optimizer, 4)]
    state = optimizer.state_dict()
    run(optimizer, 1, start=9)  # the state given before must not follow
    again = make([fg.tensor(w, requires_grad=True) for w in weights])
    again.load_state_dict(state)
    for got, want in zip(run(again, 4, start=4), undisturbed, strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("case", CASES)
def test_gradients_and_parameters_without_one_stay(case):
    a, b = parameters()
    a.grad = fg.tensor(gradients(0, a.shape))
    before = b.data.copy()
    CASES[case][0]([a, b]).step()
    np.testing.assert_array_equal(a.grad.numpy(), gradients(0, a.shape))
    np.testing.assert_array_equal(b.data, before)


def test_lookahead_passes_settings_on():
    optimizer = Lookahead(SGD(parameters(), 0.1, 0.9))
    optimizer.lr, optimizer.momentum, optimizer.weight_decay = 0.2, 0.8, 0.3
    fast = optimizer.optimizer
    assert (fast.lr, fast.momentum, fast.weight_decay) == (0.2, 0.8, 0.3)
    run(optimizer, 1)
    optimizer.zero_grad()
    assert optimizer.params[0].grad is None


def test_kernels_of_convolutions_count_as_matrices():
    x = np.random.default_rng(0).normal(size=(4, 3, 2))
    w = fg.tensor(np.zeros((4, 3, 2)), requires_grad=True)
    w.grad = fg.tensor(x)
    Muon([w], lr=1.0, weight_decay=0.0, ns_steps=30, ns_coefficients=(1.5, -0.5, 0.0)).step()
    u, _, vt = np.linalg.svd(x.reshape(4, 6), full_matrices=False)
    np.testing.assert_allclose(w.numpy().reshape(4, 6), -u @ vt, atol=1e-9)


def test_bad_settings_are_refused():
    for make, message in (
        (lambda p: RMSprop(p, alpha=1.0), "alpha is 1.0"),
        (lambda p: Adagrad(p, lr_decay=-1.0), "lr_decay is -1.0"),
        (lambda p: NAdam(p, momentum_decay=-1.0), "momentum_decay"),
        (lambda p: Lion(p, betas=(0.9, 1.0)), r"betas\[1\] is 1.0"),
        (lambda p: Muon(p, adjust_lr="none"), "match_rms_adamw"),
        (lambda p: Muon([fg.ones(3)]), r"parameter 0 has shape \(3,\)"),
        (lambda p: Lookahead(SGD(p, 0.1), k=0), "k is 0"),
        (lambda p: LBFGS(p, lr=0.0), "lr is 0.0"),
        (lambda p: LBFGS(p).step(lambda: fg.zeros(())), "does not depend"),
    ):
        with pytest.raises(RecipeError, match=message):
            make(parameters())


def test_values_of_gradients_are_clipped():
    [w, _] = parameters()
    w.grad = fg.tensor(gradients(0, w.shape))
    clip_grad_value([w], 0.5)
    np.testing.assert_array_equal(w.grad.numpy(), np.clip(gradients(0, w.shape), -0.5, 0.5))


# ------------------------------------------------------------------ LBFGS


def rosenbrock(w):
    return ((1 - w[:-1]) ** 2 + 100 * (w[1:] - w[:-1] ** 2) ** 2).sum()


def bowl(w, cosh=fg.exp):
    """Smooth and convex, with a Hessian that changes."""
    scales = np.array([1.0, 3.0, 0.5, 2.0])
    return ((w * scales - 1.0) ** 2 + 0.1 * w**4).sum() + (cosh(0.3 * w) + cosh(-0.3 * w)).sum()


def bfgs(w, n_iterations, history, lr):
    """The same iteration with the inverse Hessian as a matrix, from the identity each time."""

    def slope(w):
        scales = np.array([1.0, 3.0, 0.5, 2.0])
        steep = 0.3 * (np.exp(0.3 * w) - np.exp(-0.3 * w))
        return 2 * scales * (w * scales - 1) + 0.4 * w**3 + steep

    pairs, g = [], slope(w)
    length = min(1, 1 / np.abs(g).sum()) * lr
    for _ in range(n_iterations):
        h = np.eye(4)
        if pairs:
            s, y = pairs[-1]
            h = h * (s @ y) / (y @ y)
        for s, y in pairs:
            v = np.eye(4) - np.outer(y, s) / (s @ y)
            h = v.T @ h @ v + np.outer(s, s) / (s @ y)
        s = -length * h @ g
        w, length = w + s, lr
        pairs = [*pairs, (s, slope(w) - g)][-history:]
        g = slope(w)
    return w


@pytest.mark.parametrize("history", [2, 10])
def test_lbfgs_follows_the_formula_with_matrices(history):
    start = np.array([2.0, -1.0, 0.5, 3.0])
    for n in (1, 2, 5, 9):
        w = fg.tensor(start.copy(), requires_grad=True)
        optimizer = LBFGS([w], lr=0.7, max_iter=n, history_size=history)
        first = optimizer.step(lambda w=w: bowl(w))
        assert first == pytest.approx(bowl(fg.tensor(start)).item(), rel=1e-14)
        np.testing.assert_allclose(w.data, bfgs(start, n, history, 0.7), rtol=1e-10)


def test_lbfgs_is_that_of_pytorch_over_several_calls():
    torch = pytest.importorskip("torch")
    start = np.array([2.0, -1.0, 0.5, 3.0])
    parts = [fg.tensor(a.copy(), requires_grad=True) for a in (start[:1], start[1:])]
    theirs = [torch.tensor(a.copy(), requires_grad=True) for a in (start[:1], start[1:])]
    ours = LBFGS(parts, lr=0.8, max_iter=3)
    other = torch.optim.LBFGS(theirs, lr=0.8, max_iter=3, max_eval=100)

    def closure():
        other.zero_grad()
        w = torch.cat(theirs)
        scales = torch.tensor([1.0, 3.0, 0.5, 2.0], dtype=torch.float64)
        loss = ((w * scales - 1.0) ** 2 + 0.1 * w**4).sum()
        loss = loss + (torch.exp(0.3 * w) + torch.exp(-0.3 * w)).sum()
        loss.backward()
        return loss

    for _ in range(3):
        ours.step(lambda: bowl(fg.concat(parts)))
        other.step(closure)
        got, want = (np.concatenate([p.detach().numpy() for p in ps]) for ps in (parts, theirs))
        np.testing.assert_allclose(got, want, rtol=1e-10)


@pytest.mark.parametrize("n", [2, 10])
def test_a_line_search_finds_the_minimum_of_a_curved_valley(n):
    w = fg.tensor(np.full(n, -1.2), requires_grad=True)
    optimizer = LBFGS([w], line_search=True, max_iter=200, tolerance_change=1e-14)
    optimizer.step(lambda: rosenbrock(w))
    np.testing.assert_allclose(w.data, optimize.minimize(
        lambda x: float(rosenbrock(fg.tensor(x)).item()), np.full(n, -1.2), method="L-BFGS-B",
        tol=1e-14, options={"maxiter": 2000, "maxfun": 100_000},
    ).x, atol=1e-3)  # fmt: skip
    assert rosenbrock(fg.tensor(w.data)).item() < 1e-10
    assert optimizer.n_evaluations < 400


def test_optimizers_reach_the_minimum_of_a_small_regression():
    rng = np.random.default_rng(0)
    x, truth = rng.normal(size=(64, 3)), np.array([[1.0, -2.0, 0.5]])
    for make in (
        lambda p: RMSprop(p, 0.01), lambda p: Adagrad(p, 0.5), lambda p: RAdam(p, 0.1),
        lambda p: NAdam(p, 0.1), lambda p: Muon(p, 0.02, weight_decay=0),
        lambda p: Lookahead(AdamW(p, 0.1, weight_decay=0)), lambda p: LBFGS(p),
    ):  # fmt: skip
        w = fg.tensor(np.zeros((1, 3)), requires_grad=True)
        optimizer = make([w])

        def loss(w=w):
            return fg.nn.losses.mse_loss(fg.linear(fg.tensor(x), w), x @ truth.T)

        for _ in range(300):
            if isinstance(optimizer, LBFGS):
                optimizer.step(loss)
                continue
            optimizer.zero_grad()
            loss().backward()
            optimizer.step()
        np.testing.assert_allclose(w.numpy(), truth, atol=0.05)
