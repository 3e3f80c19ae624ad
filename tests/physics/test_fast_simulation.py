"""The flow: a bijection whose density integrates to one, and samples that look like the data."""

import numpy as np
import pytest

import fieldgrad.engine as fg
from fieldgrad.engine import checkpoint
from fieldgrad.engine.errors import DataError, FileError
from fieldgrad.physics.models.spline_flow import SplineFlow, spline
from fieldgrad.physics.simulation.fast_simulation import FastSimulation, compare_samples


def test_spline_rises_and_its_inverse_is_exact():
    rng = np.random.default_rng(0)
    x = fg.tensor(rng.uniform(-5, 5, (200, 3)), requires_grad=True)
    parameters = fg.tensor(rng.normal(size=(200, 3, 23)) * 2)
    y, log_slope = spline(x, parameters)
    back, log_back = spline(y.detach(), parameters, inverse=True)
    np.testing.assert_allclose(back.numpy(), x.numpy(), atol=1e-9)
    np.testing.assert_allclose(log_back.numpy(), -log_slope.numpy(), atol=1e-7)
    fg.sum(y).backward()  # each y depends on its own x alone
    np.testing.assert_allclose(np.log(x.grad.numpy()), log_slope.numpy(), atol=1e-9)
    outside = np.abs(x.numpy()) > 4
    np.testing.assert_array_equal(y.numpy()[outside], x.numpy()[outside])


def test_density_integrates_to_one():
    fg.random.manual_seed(0)
    flow = SplineFlow(2, n_layers=3, n_bins=5, hidden=(8,))
    rng = np.random.default_rng(0)
    for parameter in flow.parameters():  # away from the identity
        parameter.assign(np.asarray(parameter) + 0.3 * rng.normal(size=parameter.shape))
    grid = np.linspace(-6, 6, 301)
    points = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2).astype(np.float32)
    with fg.no_grad():
        density = np.exp(flow(fg.tensor(points)).numpy())
    assert density.sum() * (grid[1] - grid[0]) ** 2 == pytest.approx(1, abs=0.01)


def test_log_density_is_in_the_units_of_the_features():
    x = np.random.default_rng(0).normal(size=(300, 2))
    one, two = (FastSimulation.fit(x * unit, budget="2 epochs", n_layers=2) for unit in (1.0, 2.0))
    difference = two.log_density(2 * x) - one.log_density(x)
    np.testing.assert_allclose(difference, -2 * np.log(2), atol=1e-3)


def test_flow_learns_a_curved_distribution_that_depends_on_a_number(tmp_path):
    rng = np.random.default_rng(0)
    context = rng.uniform(0, 2, (6000, 1))
    a = rng.normal(size=6000)
    data = np.column_stack([a, a**2 + context[:, 0] + 0.3 * rng.normal(size=6000)])
    fit, held = slice(0, 4000), slice(4000, None)
    simulation = FastSimulation.fit(
        data[fit], names=["a", "b"], context=context[fit], budget="12 epochs", n_layers=4,
        hidden=(32, 32), lr=5e-3,
    )  # fmt: skip
    drawn = simulation.sample(2000, context=context[held], seed=1)
    found = compare_samples(data[held], drawn, names=["a", "b"])
    assert abs(found["classifier_auc"] - 0.5) < 4 * found["classifier_auc_error"] < 0.06
    assert max(found["wasserstein"].values()) < 0.1
    # What the classifier can see: real examples whose a and b have nothing to do with each other
    # have the right distribution of each. The ratio of the known densities tells them apart with
    # an area of 0.776; the trees, which know 2000 examples of each, reach 0.73 ± 0.01.
    unrelated = np.column_stack([data[held][:, 0], rng.permutation(data[held][:, 1])])
    control = compare_samples(data[fit][:2000], unrelated)
    assert control["classifier_auc"] > 0.69
    assert max(control["wasserstein"].values()) < 0.1
    # In the units of the features; no density does better than the true one on average.
    best = -np.log(2 * np.pi) - 1 - np.log(0.3)
    assert best - 0.25 < simulation.log_density(data[held], context[held]).mean() < best + 0.07
    simulation.save(tmp_path / "flow.safetensors")
    again = FastSimulation.load(tmp_path / "flow.safetensors")
    np.testing.assert_array_equal(again.sample(2000, context=context[held], seed=1), drawn)
    with pytest.raises(DataError, match="depends on 1 context features"):
        again.sample(3)


def test_mistakes_are_explained(tmp_path):
    with pytest.raises(DataError, match=r"features\[1, 0\] is nan"):
        FastSimulation.fit([[0.0, 1.0], [np.nan, 1.0]])
    with pytest.raises(DataError, match="the sum 0"):
        FastSimulation.fit(np.ones((4, 2)), weights=np.zeros(4))
    checkpoint.save(tmp_path / "other.safetensors", {"x": np.ones(2)}, {"kind": "else"})
    with pytest.raises(FileError, match="is no fast simulation"):
        FastSimulation.load(tmp_path / "other.safetensors")
