"""Substructure: the numbers of FastJet, and limits that can be worked out by hand."""

import numpy as np
import pytest

from fieldgrad.engine.errors import DataError
from fieldgrad.physics.jets import kinematics, substructure
from fieldgrad.physics.jets.batch import JetBatch
from fieldgrad.physics.reading.datasets import made_up_jets


def pseudojets(fastjet, jets, i):
    rows = jets.vectors[jets.offsets[i] : jets.offsets[i + 1]].astype(float)
    return [fastjet.PseudoJet(px, py, pz, e) for e, px, py, pz in rows]


def sequence(fastjet, jets, i, algorithm):
    definition = fastjet.JetDefinition(algorithm, 1000.0, fastjet.E_scheme)
    return fastjet._swig.ClusterSequence(pseudojets(fastjet, jets, i), definition)


def test_soft_drop_is_that_of_fastjet():
    fastjet = pytest.importorskip("fastjet")
    jets = made_up_jets(60, seed=1)
    for z_cut, beta in ((0.1, 0.0), (0.2, 1.0)):
        ours = substructure.soft_drop(jets, z_cut=z_cut, beta=beta)
        for i in range(len(jets)):
            tree = sequence(fastjet, jets, i, fastjet.cambridge_algorithm)
            jet = tree.inclusive_jets()[0]
            first, second = fastjet.PseudoJet(), fastjet.PseudoJet()
            while jet.has_parents(first, second):
                hard, soft = sorted((first, second), key=lambda p: -p.pt())
                z = soft.pt() / (soft.pt() + hard.pt())
                if z > z_cut * (hard.delta_R(soft) / 0.8) ** beta:
                    break
                jet = fastjet.PseudoJet(hard)
            np.testing.assert_allclose(ours[i], [jet.e(), jet.px(), jet.py(), jet.pz()], rtol=1e-9)


@pytest.mark.parametrize(("end", "beta"), [("_beta05", 0.5), ("", 1.0), ("_beta2", 2.0)])
def test_n_subjettiness_is_that_of_fastjet_axes(end, beta):
    fastjet = pytest.importorskip("fastjet")
    jets = made_up_jets(60, seed=2)
    ours = substructure.n_subjettiness(jets, beta=beta)
    named = substructure.observables(jets, [f"jet_tau{n}{end}" for n in range(1, 5)])
    np.testing.assert_array_equal(np.stack(list(named.values()), 1), ours)
    for i in range(len(jets)):
        parts = pseudojets(fastjet, jets, i)
        tree = sequence(fastjet, jets, i, fastjet.kt_algorithm)
        scale = 0.8**beta * sum(p.pt() for p in parts)
        rounding = max(1e-7, 1e-7**beta)  # of angles that are 0 but for the last bits
        for n in range(1, 5):
            axes = tree.exclusive_jets(n)
            sums = sum(p.pt() * min(p.delta_R(axis) for axis in axes) ** beta for p in parts)
            assert ours[i, n - 1] == pytest.approx(sums / scale, rel=1e-6, abs=rounding)


def test_as_many_axes_as_constituents_leave_nothing():
    jets = made_up_jets(20, n_constituents=3)
    taus = substructure.n_subjettiness(jets, 4)
    for n in range(1, 5):
        np.testing.assert_allclose(taus[jets.counts <= n, n - 1], 0, atol=1e-7)
    assert (taus[jets.counts == 4, 2] > 0).all()


def test_observables_do_not_change_under_rotation_and_boost():
    jets = made_up_jets(50, seed=3)
    vectors = jets.vectors.astype(float)
    turn, shift = 1.1, 0.4
    energy, px, py, pz = vectors.T
    moved = np.stack(
        [
            np.cosh(shift) * energy + np.sinh(shift) * pz,
            np.cos(turn) * px - np.sin(turn) * py,
            np.sin(turn) * px + np.cos(turn) * py,
            np.cosh(shift) * pz + np.sinh(shift) * energy,
        ],
        1,
    )
    before = substructure.observables(jets.replace(vectors=vectors))
    after = substructure.observables(jets.replace(vectors=moved))
    for name in ("jet_mass", "jet_sdmass", "jet_tau1", "jet_tau32", "jet_pt"):
        np.testing.assert_allclose(after[name], before[name], rtol=1e-6, atol=1e-4, err_msg=name)


def test_observables_do_not_depend_on_the_order_of_constituents():
    jets = made_up_jets(50, seed=4)
    rng = np.random.default_rng(0)
    order = np.concatenate(
        [start + rng.permutation(n) for start, n in zip(jets.offsets, jets.counts, strict=False)]
    )
    before = substructure.observables(jets)
    after = substructure.observables(jets.replace(vectors=jets.vectors[order]))
    for name, column in before.items():
        np.testing.assert_allclose(after[name], column, rtol=1e-6, atol=1e-5, err_msg=name)


def test_empty_jets_and_single_constituents_have_numbers():
    jets = JetBatch([0, 0, 1], [[5.0, 3.0, 0.0, 4.0]])
    table = substructure.observables(jets)
    assert all(np.isfinite(column).all() for name, column in table.items() if name != "jet_eta")
    np.testing.assert_allclose(table["jet_sdmass"], 0, atol=1e-6)
    np.testing.assert_allclose(substructure.soft_drop(jets)[1], jets.vectors[0])
    assert len(substructure.soft_drop(jets[:0])) == 0


def test_three_cores_are_seen():
    jets = made_up_jets(400, seed=5)
    tau32 = substructure.observables(jets, ["jet_tau32"])["jet_tau32"]
    assert np.median(tau32[jets.labels == 1]) < 0.6 < np.median(tau32[jets.labels == 0])


def test_computed_observables_join_those_there_are():
    jets = made_up_jets(3).replace(observables={"jet_mass": np.array([1.0, 2.0, 3.0])})
    more = substructure.with_observables(jets, ["jet_mass", "jet_tau1"])
    assert more.observables["jet_mass"].tolist() == [1.0, 2.0, 3.0]
    assert set(more.observables) == {"jet_mass", "jet_tau1"}
    with pytest.raises(DataError, match="'jet_tau8'; did you mean 'jet_tau"):
        substructure.observables(jets, ["jet_tau8"])


def test_masses_of_pairs_are_those_of_the_formula():
    pt = np.array([300.0, 200.0])
    vectors = np.stack([pt, pt * np.cos([0, 0.5]), pt * np.sin([0, 0.5]), 0 * pt], 1)
    mass = substructure.observables(JetBatch([0, 2], vectors), ["jet_mass", "jet_sdmass"])
    expected = np.sqrt(2 * 300 * 200 * (1 - np.cos(0.5)))
    assert mass["jet_mass"] == pytest.approx(expected)
    assert mass["jet_sdmass"] == pytest.approx(expected)
    assert kinematics.mass(*vectors[0]) == pytest.approx(0, abs=1e-5)


def test_the_spread_of_momentum_of_equal_constituents():
    jets = made_up_jets(20, seed=6)
    px, py, pz = jets.vectors[:, 1:].astype(float).T
    k = 1 / np.hypot(px, py)  # as if each had a transverse momentum of 1 GeV
    equal = np.stack([np.hypot(1, pz * k), px * k, py * k, pz * k], 1)
    ptd = substructure.observables(jets.replace(vectors=equal), ["jet_ptd"])["jet_ptd"]
    np.testing.assert_allclose(ptd, 1 / np.sqrt(jets.counts))
