"""Generated jets: the cuts hold, the seed decides, workers do not."""

import json

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from fieldgrad.engine.cli import app
from fieldgrad.engine.errors import DataError
from fieldgrad.physics.jets import kinematics
from fieldgrad.physics.reading.streams import read_jets
from fieldgrad.physics.simulation.detector import simulate
from fieldgrad.physics.simulation.generate import Cuts, generate, generate_dataset


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr("fieldgrad.physics.simulation.generate._BLOCK", 12)


def test_tracks_are_lost_and_smeared_as_stated():
    n = 40_000
    rng = np.random.default_rng(0)
    eta = np.where(np.arange(n) % 2, 0.5, 2.0)
    four = np.stack(kinematics.from_pt_eta_phi_mass(np.full(n, 20.0), eta, 0.0, 0.1396), 1)
    seen = simulate(np.arange(n), np.full(n, -211), four, rng)
    tracks = seen.charge != 0
    assert set(seen.charge[tracks]) == {-1}
    central = np.abs(kinematics.eta(*seen.vectors.T[1:])) < 1.5
    assert (tracks & central).sum() / (n / 2) == pytest.approx(0.95, abs=0.005)
    assert (tracks & ~central).sum() / (n / 2) == pytest.approx(0.85, abs=0.01)
    pt = kinematics.pt(*seen.vectors[tracks].T[1:3])
    assert pt.mean() == pytest.approx(20, rel=1e-3)
    assert pt.std() / 20 == pytest.approx(np.hypot(0.01, 1.5e-4 * 20), rel=0.03)


@pytest.mark.parametrize(
    ("identity", "resolution", "size", "kind"),
    [(22, np.hypot(0.10 / 10, 0.007), 0.025, 22), (2112, np.hypot(0.52 / 10, 0.03), 0.1, 130)],
)
def test_calorimeters_smear_energy_and_direction(identity, resolution, size, kind):
    n = 20_000
    four = np.stack(kinematics.from_pt_eta_phi_mass(np.full(n, 100.0), 0.0, 0.3, 0.0), 1)
    seen = simulate(np.arange(n), np.full(n, identity), four, np.random.default_rng(0))
    assert (seen.kind == kind).all()
    assert seen.vectors[:, 0].std() / 100 == pytest.approx(resolution, rel=0.03)
    eta = kinematics.eta(*seen.vectors.T[1:])
    assert np.ptp(eta) == pytest.approx(size, rel=0.02)


def test_deposits_in_one_cell_are_one_object():
    four = np.array([[10.0, 10.0, 0.001, 0.001], [20.0, 20.0, 0.001, 0.001], [5.0, -5.0, 0, 0]])
    events = np.array([0, 0, 0])
    seen = simulate(events, np.array([22, 22, 22]), four, np.random.default_rng(0))
    assert len(seen.kind) == 2
    assert seen.vectors[:, 0].max() == pytest.approx(30, rel=0.1)
    apart = simulate(np.array([0, 1, 1]), np.array([22, 22, 14]), four, np.random.default_rng(0))
    assert apart.event.tolist() == [0, 1]  # other events do not mix, neutrinos leave nothing


@pytest.mark.slow
def test_jets_pass_the_cuts_and_tops_are_matched():
    pytest.importorskip("pythia8mc")
    pytest.importorskip("fastjet")
    jets = generate("ttbar", 20, seed=3)
    assert (jets.pt > 550).all()
    assert (jets.pt < 650).all()
    assert (np.abs(jets.eta) < 2).all()
    assert (jets.labels == 1).all()
    truth = np.stack([jets.observers[f"truth{x}"] for x in ("E", "PX", "PY", "PZ")], 1)
    np.testing.assert_allclose(kinematics.mass(*truth.T), 173, atol=15)
    distance = kinematics.delta_r(
        jets.eta, jets.phi, kinematics.eta(*truth.T[1:]), kinematics.phi(*truth.T[1:3])
    )
    assert (distance < 0.8).all()
    assert 120 < np.median(jets.mass) < 200  # the top quark's, with what was lost
    for i in range(len(jets)):
        pt = kinematics.pt(*jets.vectors[jets.offsets[i] : jets.offsets[i + 1]].T[1:3])
        assert (np.diff(pt) <= 0).all()
    np.testing.assert_allclose(jets.vectors[:, 0] ** 2, (jets.vectors[:, 1:] ** 2).sum(1))


@pytest.mark.slow
def test_the_seed_decides_and_workers_do_not():
    pytest.importorskip("pythia8mc")
    pytest.importorskip("fastjet")
    one, other = (generate("qcd", 12, seed=s) for s in (0, 1))
    np.testing.assert_array_equal(one.vectors, generate("qcd", 12, seed=0, n_workers=2).vectors)
    assert not np.array_equal(one.vectors[:5], other.vectors[:5])


@pytest.mark.slow
def test_the_command_writes_files_that_are_read_back(tmp_path):
    pytest.importorskip("pythia8mc")
    pytest.importorskip("fastjet")
    arguments = ["physics", "generate", "-n", "10", "--split", "0.6,0.2,0.2", "-j", "1"]
    result = CliRunner().invoke(app, [*arguments, "-o", str(tmp_path / "jets")])
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "jets/generation.json").read_text())
    assert sum(n["top"] for n in record["files"].values()) == 10
    for name, split in (("train", 0), ("val", 2), ("test", 1)):
        jets = read_jets(tmp_path / f"jets/{name}.h5")
        assert np.bincount(jets.labels).tolist() == list(record["files"][f"{name}.h5"].values())
        with h5py.File(tmp_path / f"jets/{name}.h5") as file:
            assert set(file["table/table"]["values_block_1"][:, 0]) == {split}


def test_wrong_arguments_are_named(tmp_path):
    with pytest.raises(DataError, match="no process 'ttbr'; did you mean 'ttbar'"):
        generate("ttbr", 1)
    with pytest.raises(DataError, match="sum to 1"):
        generate_dataset(tmp_path, ["qcd"], 10, fractions=(0.5, 0.1, 0.1))
    with pytest.raises(DataError, match="each once"):
        generate_dataset(tmp_path, ["qcd", "qcd"], 10)
    assert Cuts().hat == (520.0, 800.0)


def test_inspect_shows_columns_cuts_and_sums(file_of, weaver_file):
    pytest.importorskip("yaml")
    path = file_of("ttree")
    result = CliRunner().invoke(app, ["physics", "inspect", str(path), "-c", str(weaver_file)])
    assert result.exit_code == 0, result.output
    for text in ("60 entries", "part_px", "of 60 jets selected", "jet_pt > 500", "label_Tbqq"):
        assert text in result.output
