from functools import partial

import numpy as np
import pytest

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import RecipeError
from fieldgrad.engine.optim import SGD, ReduceOnPlateau
from fieldgrad.engine.train.budget import Plan
from fieldgrad.engine.train.schedules import (
    constant,
    cosine,
    cosine_restarts,
    exponential,
    one_cycle,
    one_cycle_momentum,
    poly,
    stairs,
    warmup,
)

PROGRESS = np.linspace(0, 1, 101)


@pytest.mark.parametrize(
    "schedule",
    [
        constant,
        poly,
        cosine,
        cosine_restarts,
        exponential,
        stairs,
        one_cycle,
        partial(warmup, schedule=poly),
        partial(poly, power=2),
    ],
)
def test_factors_stay_between_zero_and_one(schedule):
    values = [schedule(t) for t in PROGRESS]
    assert max(values) == pytest.approx(1.0)
    assert min(values) >= 0


@pytest.mark.parametrize("schedule", [poly, cosine])
def test_falling_schedules_fall_from_one_to_zero(schedule):
    values = [schedule(t) for t in PROGRESS]
    assert (values[0], values[-1]) == (1.0, 0.0)
    assert all(np.diff(values) < 0)


def test_momentum_is_lowest_where_the_rate_is_highest():
    rates = [one_cycle(t, warmup=0.4) for t in PROGRESS]
    momenta = [one_cycle_momentum(t, warmup=0.4) for t in PROGRESS]
    assert np.argmax(rates) == np.argmin(momenta) == 40
    assert rates[-1] < rates[0] < 1


def test_warmup_rises_in_a_line_and_joins_the_schedule():
    values = [warmup(t, poly, fraction=0.5, start=0.2) for t in (0.0, 0.25, 0.5, 1.0)]
    assert values == pytest.approx([0.2, 0.6, 1.0, 0.0])
    assert warmup(0.0, cosine, fraction=0.0) == 1.0


@pytest.mark.parametrize("bad", [partial(one_cycle, 0.5, warmup=0), partial(warmup, 0, poly, 1)])
def test_impossible_fractions_are_refused(bad):
    with pytest.raises(RecipeError, match="expected 0 <"):
        bad()


@pytest.mark.parametrize(
    ("budget", "total", "seconds"),
    [
        ("20 epochs", 200, None),
        ("1 epoch", 10, None),
        ("500 steps", 500, None),
        ("600s", None, 600),
        ("10min", None, 600),
        ("1.5 h", None, 5400),
    ],
)
def test_budgets_are_read(budget, total, seconds):
    plan = Plan(budget, steps_per_epoch=10)
    assert (plan.total_steps, plan.seconds) == (total, seconds)


@pytest.mark.parametrize("budget", ["20", "epochs", "0 epochs", "1.5 epochs", "-3 s", "5 days", ""])
def test_other_budgets_are_refused(budget):
    with pytest.raises(RecipeError, match="expected"):
        Plan(budget, 10)


@pytest.mark.parametrize("seconds", [5.0, 60.0, 3600.0])
@pytest.mark.parametrize("slowing", [0.7, 1.0, 1.5])
def test_a_plan_by_time_fills_the_time_and_never_exceeds_it(seconds, slowing):
    """A simulated run: slow first steps, noise, a validation each 20 steps, a change of speed."""
    rng = np.random.default_rng(0)
    plan = Plan(f"{seconds} s", steps_per_epoch=20, n_valid=5)
    now, step = 0.0, 0
    while not plan.is_done(step // 20, step, now):
        base = 0.05 * (10 if step < 2 else 1) * (slowing if now > seconds / 2 else 1)
        now += base * rng.uniform(0.8, 1.25)
        step += 1
        plan.update(step, now)
        if step % 20 == 0:
            plan.validation_seconds = 0.05
            now += plan.validation_seconds
    now += 0.05  # the validation at the end
    assert now <= seconds
    assert now > 0.8 * seconds if seconds > 5 else now > 0.5 * seconds
    assert plan.progress(step) > 0.97
    assert len(plan.decisions) <= 6


def test_a_budget_shorter_than_a_step_ends_after_one():
    plan = Plan("1 s", 10)
    assert not plan.is_done(0, 0, 0.0)
    plan.update(1, 3.0)
    assert plan.is_done(0, 1, 3.0)


def test_a_restored_plan_goes_on_alike():
    plan = Plan("100 s", 10)
    for step in range(1, 30):
        plan.update(step, step * 1.0)
    other = Plan("100 s", 10)
    other.load_state_dict(plan.state_dict())
    for p in (plan, other):
        p.update(60, 60.0)
    assert other.total_steps == plan.total_steps
    assert other.decisions == plan.decisions


def torch_factors(make, n_steps):
    """Learning rates of a PyTorch schedule that starts from 1."""
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9)
    schedule = make(torch.optim.lr_scheduler, optimizer)
    rates = []
    for _ in range(n_steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


def test_schedules_are_those_of_pytorch():
    for ours, make, n_steps, total in (
        (cosine, lambda s, o: s.CosineAnnealingLR(o, 50), 51, 50),
        (poly, lambda s, o: s.PolynomialLR(o, 50, power=0.9), 51, 50),
        (cosine_restarts, lambda s, o: s.CosineAnnealingWarmRestarts(o, 10, 2), 70, 70),
        (exponential, lambda s, o: s.ExponentialLR(o, 0.01 ** (1 / 50)), 51, 50),
        (stairs, lambda s, o: s.MultiStepLR(o, [24, 36]), 48, 48),
        (
            # PyTorch reaches the top at step 0.25 · 101 - 1, and the end at the last step.
            partial(one_cycle, warmup=24.25 / 100),
            lambda s, o: s.OneCycleLR(
                o, 1.0, 101, pct_start=0.25, div_factor=25, final_div_factor=4000
            ),
            101,
            100,
        ),
    ):
        want = torch_factors(make, n_steps)
        got = [ours(step / total) for step in range(n_steps)]
        np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12)


def test_warmup_before_a_cosine_follows_its_formula():
    for step in range(101):
        want = step / 20 if step < 20 else (1 + np.cos(np.pi * (step - 20) / 80)) / 2
        assert warmup(step / 100, cosine, fraction=0.2) == pytest.approx(want, abs=1e-12)


def test_impossible_restarts_are_refused():
    with pytest.raises(RecipeError, match="cycles >= 1"):
        cosine_restarts(0.5, cycles=0)


@pytest.mark.parametrize("higher_is_better", [False, True])
def test_a_plateau_lowers_the_rate_as_in_pytorch(higher_is_better):
    torch = pytest.importorskip("torch")
    values = np.abs(np.random.default_rng(0).normal(size=200)).cumsum() / np.arange(1, 201)
    theirs = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    mode = "max" if higher_is_better else "min"
    settings = {"factor": 0.5, "patience": 3, "cooldown": 2, "min_lr": 0.01}
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, mode, **settings)
    ours = SGD([Tensor([0.0], requires_grad=True)], lr=1.0)
    plateau = ReduceOnPlateau(ours, **settings, higher_is_better=higher_is_better)
    for step, value in enumerate(values):
        schedule.step(value)
        plateau.step(value)
        assert ours.lr == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-10)
        if step == 50:
            other = ReduceOnPlateau(ours, **settings, higher_is_better=higher_is_better)
            other.load_state_dict(plateau.state_dict())
            plateau = other
    assert ours.lr < 1
