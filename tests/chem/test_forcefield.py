"""Laws of potentials, in float64: symmetries, and derivatives against differences."""

import numpy as np
import pytest

import fieldgrad.engine as fg
from fieldgrad.chem.potentials.forcefield import ForceField, ForceLoss
from fieldgrad.chem.potentials.graphs import Graph, PairData
from fieldgrad.chem.potentials.painn import PaiNN
from fieldgrad.chem.potentials.potential import with_dtype
from fieldgrad.chem.potentials.schnet import SchNet
from fieldgrad.chem.potentials.structures import empty, join
from fieldgrad.engine.data import as_tensors

SETTINGS = {"n_features": 16, "n_interactions": 2, "n_basis": 8, "cutoff": 4.0}


def make(kind):
    fg.manual_seed(1)
    return ForceField(with_dtype(kind(**SETTINGS), np.float64), stress=True).eval()


@pytest.fixture(params=[SchNet, PaiNN], ids=["schnet", "painn"])
def field(request):
    return make(request.param)


def molecule(seed=0, n=7):
    rng = np.random.default_rng(seed)
    out = empty(1, rng.choice([1, 6, 8], n))
    grid = np.indices((2, 2, 2)).reshape(3, -1).T[:n]
    out.positions[:] = 1.2 * grid + rng.normal(0, 0.15, (n, 3))
    return out


def crystal(seed=0):
    """A skewed cell, smaller than twice the cutoff."""
    out = molecule(seed)
    out.cells[0] = [[4.0, 0.3, 0], [0.5, 3.8, 0.2], [-0.4, 0.1, 4.4]]
    out.pbc[:] = True
    return out


def compute(field, *structures):
    data = PairData(join(structures), SETTINGS["cutoff"], dtype=np.float64)
    x, *_ = data.batch(range(len(data)))
    return [entry.numpy() for entry in field(Graph(*as_tensors(tuple(x))))]


def rotation(seed=0):
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


@pytest.mark.parametrize("make_structure", [molecule, crystal])
def test_rotation_turns_forces_and_stresses_and_leaves_energies(field, make_structure):
    one, turned, turn = make_structure(), make_structure(), rotation()
    turned.positions[:] = one.positions @ turn.T
    turned.cells[0] = one.cells[0] @ turn.T
    (e, f, s, *_), (e2, f2, s2, *_) = compute(field, one), compute(field, turned)
    np.testing.assert_allclose(e2, e, rtol=1e-10)
    np.testing.assert_allclose(f2, f @ turn.T, atol=1e-10)
    np.testing.assert_allclose(s2[0], turn @ s[0] @ turn.T, atol=1e-10)


def test_translation_and_wrapping_change_nothing(field):
    one, moved = crystal(), crystal()
    moves = np.random.default_rng(1).integers(-2, 3, one.positions.shape)
    moved.positions[:] = one.positions + [0.3, -7.0, 2.2] + moves @ one.cells[0]
    for a, b in zip(compute(field, one)[:3], compute(field, moved)[:3], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-10)


def test_permutation_permutes_forces(field):
    one, other = molecule(), molecule()
    order = np.random.default_rng(2).permutation(len(one.numbers))
    other.numbers[:], other.positions[:] = one.numbers[order], one.positions[order]
    (e, f, *_), (e2, f2, *_) = compute(field, one), compute(field, other)
    np.testing.assert_allclose(e2, e, rtol=1e-12)
    np.testing.assert_allclose(f2, f[order], atol=1e-12)


def test_a_doubled_cell_has_twice_the_energy_and_the_same_stress(field):
    one = crystal()
    doubled = empty(1, np.tile(one.numbers, 2))
    doubled.positions[:] = np.concatenate([one.positions, one.positions + one.cells[0, 1]])
    doubled.cells[0] = one.cells[0] * [[1], [2], [1]]
    doubled.pbc[:] = True
    (e, f, s, *_), (e2, f2, s2, *_) = compute(field, one), compute(field, doubled)
    np.testing.assert_allclose(e2, 2 * e, rtol=1e-10)
    np.testing.assert_allclose(f2, np.tile(f, (2, 1)), atol=1e-10)
    np.testing.assert_allclose(s2, s, atol=1e-12)


def test_structures_in_one_batch_do_not_see_each_other(field):
    many = [molecule(0), crystal(1), molecule(2, n=1), molecule(3, n=5)]
    together = compute(field, *many)
    alone = [compute(field, one) for one in many]
    for k in (0, 1, 2):
        apart = np.concatenate([results[k] for results in alone])
        np.testing.assert_allclose(together[k], apart, atol=1e-10)


@pytest.mark.parametrize("make_structure", [molecule, crystal])
def test_forces_are_minus_the_slope_of_the_energy(field, make_structure):
    _, forces, *_ = compute(field, make_structure())
    h = 1e-5
    for atom, axis in ((0, 0), (3, 1), (6, 2)):
        energies = []
        for sign in (1, -1):
            moved = make_structure()
            moved.positions[atom, axis] += sign * h
            energies.append(compute(field, moved)[0][0])
        slope = (energies[0] - energies[1]) / (2 * h)
        assert forces[atom, axis] == pytest.approx(-slope, rel=1e-6, abs=1e-8)


def test_stress_is_the_slope_by_a_strain_over_the_volume(field):
    one = crystal()
    _, _, stresses, *_ = compute(field, one)
    h = 1e-5
    for a, b in ((0, 0), (1, 2), (2, 0)):
        energies = []
        for sign in (1, -1):
            strain = np.zeros((3, 3))
            strain[a, b] += sign * h / 2
            strain[b, a] += sign * h / 2
            strained = crystal()
            strained.positions[:] = one.positions @ (np.eye(3) + strain)
            strained.cells[0] = one.cells[0] @ (np.eye(3) + strain)
            energies.append(compute(field, strained)[0][0])
        slope = (energies[0] - energies[1]) / (2 * h) / one.volumes[0]
        assert stresses[0, a, b] == pytest.approx(slope, rel=1e-6, abs=1e-9)
    assert np.isnan(compute(field, molecule())[2]).all()


def test_the_gradient_of_a_loss_of_forces_and_stresses_is_its_slope(field):
    data = PairData(join([crystal(), molecule(1)]), SETTINGS["cutoff"], dtype=np.float64)
    x, _, forces, _ = as_tensors(tuple(data.batch([0, 1])))
    rng = np.random.default_rng(0)
    energies, forces = fg.tensor(rng.normal(size=2)), fg.tensor(rng.normal(size=forces.shape))
    stresses = np.full((2, 3, 3), np.nan)
    stresses[0] = rng.normal(size=(3, 3))
    loss = ForceLoss(0.3, 0.7, 2.0)
    field.train()

    def value():
        return loss(field(x), energies, forces, fg.tensor(stresses))

    value().backward()
    for name, parameter in field.named_parameters():
        if parameter.grad is None:
            continue
        direction = rng.normal(size=parameter.shape)
        h, before = 1e-6, parameter.data.copy()
        losses = []
        for sign in (1, -1):
            parameter.data[...] = before + sign * h * direction
            losses.append(value().item())
        parameter.data[...] = before
        want = (losses[0] - losses[1]) / (2 * h)
        got = float((parameter.grad.numpy() * direction).sum())
        assert got == pytest.approx(want, rel=2e-5, abs=1e-6), name


def test_energy_is_smooth_where_an_atom_crosses_the_cutoff(field):
    energies = []
    for x in (4.0 - 1e-4, 4.0 + 1e-4):
        pair = empty(1, np.array([1, 8]))
        pair.positions[:] = [[0.0, 0, 0], [x, 0, 0]]
        energies.append(compute(field, pair)[0][0])
    assert energies[0] == pytest.approx(energies[1], abs=1e-7)


def test_painn_sees_angles_that_schnet_cannot():
    def star(angle):
        out = empty(1, np.array([6, 1, 1]))
        out.positions[:] = [[0, 0, 0], [3, 0, 0], [3 * np.cos(angle), 3 * np.sin(angle), 0]]
        return out

    # Beyond the cutoff of 4 Å the outer atoms do not see each other.
    narrow, wide = star(np.deg2rad(100)), star(np.deg2rad(160))
    for kind, differs in ((SchNet, False), (PaiNN, True)):
        a, b = (compute(make(kind), one)[0][0] for one in (narrow, wide))
        assert (abs(a - b) > 1e-8) == differs
