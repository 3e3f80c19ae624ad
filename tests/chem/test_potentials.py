"""Training, model files, the calculator, simulations and the commands, on copper from EMT."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

import fieldgrad.engine as fg
from fieldgrad.chem.potentials.evaluation import compare
from fieldgrad.chem.potentials.io import read_structures, write_structures
from fieldgrad.chem.potentials.learners import potential
from fieldgrad.chem.potentials.potential import Potential
from fieldgrad.chem.potentials.references import References
from fieldgrad.chem.potentials.schnet import SchNet
from fieldgrad.chem.potentials.structures import Structures, empty
from fieldgrad.chem.run_report import report_sections
from fieldgrad.engine import recipe as recipes
from fieldgrad.engine.cli import app
from fieldgrad.engine.errors import DataError, FieldgradError, FileError
from fieldgrad.engine.runs.report import report_page
from fieldgrad.engine.testing import check_field

ase = pytest.importorskip("ase", reason="ASE is not installed")
pytest.importorskip("matplotlib", reason="matplotlib is not installed")

from ase.build import bulk, molecule  # noqa: E402

from fieldgrad.chem.potentials.calculator import PotentialCalculator  # noqa: E402
from fieldgrad.chem.potentials.dynamics import measure_crystal, relax, simulate  # noqa: E402
from fieldgrad.chem.potentials.generate import find_atoms, generate  # noqa: E402
from fieldgrad.chem.potentials.stability import check_stability  # noqa: E402

SETTINGS = {"n_features": 8, "n_interactions": 1, "n_basis": 6, "cutoff": 4.0}


def chem(*arguments):
    return CliRunner().invoke(app, ["chem", *map(str, arguments)])


def refused(result, *parts):
    assert result.exit_code == 1, result.output
    text = " ".join(result.output.split())
    assert "Traceback" not in text
    for part in parts:
        assert part in text, text


def make(n_networks=1, elements=(1, 6, 8, 29), **options):
    fg.manual_seed(0)
    networks = [SchNet(**SETTINGS) for _ in range(n_networks)]
    references = References({29: -1.0}, shift=-3.5)
    return Potential(networks, "schnet", SETTINGS, references, elements, **options)


@pytest.fixture(scope="module")
def copper(tmp_path_factory):
    """A file of strained, shaken copper with EMT energies, forces and stresses."""
    path = tmp_path_factory.mktemp("copper") / "cu.extxyz"
    cell = bulk("Cu", cubic=True)
    write_structures(
        generate(cell, "emt", 60, temperatures=[300.0], strain=0.02, every=5, seed=0), path
    )
    return path


@pytest.fixture(scope="module")
def trained(copper, tmp_path_factory):
    """The folder of a short training."""
    run_dir = tmp_path_factory.mktemp("trained") / "run"
    result = chem(
        "train-potential", copper, "-o", run_dir, "--budget", "3 epochs", "--features", 16,
        "--cutoff", 4.0, "--stress-weight", 1.0, "--n-networks", 2, "--test-part", 0.2,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return run_dir


def test_field_keeps_its_contract():
    from fieldgrad.chem.field import field

    check_field(field)


# ---- potentials and their files


def test_a_model_file_gives_the_same_predictions(tmp_path):
    potential = make(n_networks=2, stress=True, about={"why": "a test"})
    structures = Structures.from_atoms([bulk("Cu", cubic=True), bulk("Cu") * (2, 1, 1)])
    before = potential.predict(structures)
    potential.save(tmp_path / "m.safetensors")
    loaded = Potential.load(tmp_path / "m.safetensors")
    after = loaded.predict(structures)
    np.testing.assert_array_equal(after.structures.energies, before.structures.energies)
    np.testing.assert_array_equal(after.structures.stresses, before.structures.stresses)
    assert loaded.about == {"why": "a test"}
    double = Potential.load(tmp_path / "m.safetensors", dtype=np.float64).predict(structures)
    assert double.structures.energies == pytest.approx(before.structures.energies, abs=1e-4)


def test_a_committee_gives_mean_and_spread():
    water = Structures.from_atoms(molecule("H2O"))
    both = make(n_networks=2)
    alone = [make() for _ in range(2)]
    for k, one in enumerate(alone):
        one.networks = [both.networks[k]]
    found, singles = both.predict(water), [one.predict(water) for one in alone]
    energies = [single.structures.energies[0] for single in singles]
    assert found.structures.energies[0] == pytest.approx(np.mean(energies))
    assert found.energy_std[0] == pytest.approx(np.std(energies, ddof=1), rel=1e-4)
    assert (found.forces_std > 0).all()
    assert np.isnan(singles[0].energy_std).all()


def test_energies_of_atoms_add_up_with_their_references():
    prediction = make().predict(Structures.from_atoms(bulk("Cu", cubic=True)))
    assert prediction.atom_energies.sum() == pytest.approx(prediction.structures.energies[0])
    assert prediction.atom_energies == pytest.approx(-4.5, abs=1.5)


def test_a_molecule_of_one_atom_and_one_of_500_atoms():
    potential = make()
    one = potential.predict(Structures.from_atoms(molecule("H"))).structures
    assert one.forces.tolist() == [[0.0, 0.0, 0.0]]
    many = empty(1, np.full(500, 6))
    many.positions[:] = 1.5 * np.indices((8, 8, 8)).reshape(3, -1).T[:500]
    assert np.isfinite(potential.predict(many).structures.forces).all()


def test_unseen_elements_and_coinciding_atoms_are_refused():
    with pytest.raises(DataError, match=r"atoms of Cu, which .* trained on; it knows H, C, O"):
        make(elements=(1, 6, 8)).predict(Structures.from_atoms(bulk("Cu")))
    pair = empty(1, np.array([6, 8]), source="bad.xyz")
    pair.positions[:] = [[0.0, 0, 0], [0.01, 0, 0]]
    with pytest.raises(DataError, match=r"bad\.xyz: .* 0 \(C\) and 1 \(O\) are 0\.010 Å apart"):
        make().predict(pair)


def test_a_file_that_is_no_potential_is_refused(tmp_path):
    from fieldgrad.engine import checkpoint

    checkpoint.save(tmp_path / "odd.safetensors", {"x": np.zeros(1)}, {"kind": "else"})
    with pytest.raises(FileError, match=r"odd\.safetensors is no potential"):
        Potential.load(tmp_path / "odd.safetensors")


# ---- the calculator


def test_the_calculator_gives_what_the_potential_gives():
    atoms = bulk("Cu", cubic=True) * (2, 1, 1)
    atoms.rattle(0.05, seed=1)
    potential = make(n_networks=2, stress=True)
    found = potential.predict(Structures.from_atoms(atoms))
    atoms.calc = PotentialCalculator(potential)
    assert atoms.get_potential_energy() == pytest.approx(found.structures.energies[0], abs=1e-5)
    np.testing.assert_allclose(atoms.get_forces(), found.structures.forces, atol=1e-5)
    np.testing.assert_allclose(
        atoms.get_stress(voigt=False), found.structures.stresses[0], atol=1e-6
    )
    np.testing.assert_allclose(atoms.get_potential_energies(), found.atom_energies, atol=1e-5)
    assert atoms.calc.results["forces_std"].shape == (8,)


def test_the_calculator_refuses_what_it_cannot_say():
    water = molecule("H2O")
    water.calc = PotentialCalculator(make(elements=(1, 6)))
    with pytest.raises(DataError, match="atoms of O, which this potential was never"):
        water.get_forces()
    water.calc = PotentialCalculator(make())
    with pytest.raises(DataError, match="periodic in 0 directions"):
        water.get_stress()
    water.positions[0] = np.nan
    with pytest.raises(DataError, match="position of atom 0"):
        water.get_forces()


# ---- dynamics, with ASE's own calculator: fast and exact


def emt(atoms):
    from ase.calculators.emt import EMT

    atoms.calc = EMT()
    return atoms


def test_relax_finds_the_minimum_and_cell():
    atoms = emt(bulk("Cu", a=3.7, cubic=True))
    atoms.rattle(0.1, seed=0)
    relax(atoms, force=1e-3, cell=True)
    # EMT's copper has a lattice constant of 3.59 Å.
    assert atoms.get_volume() == pytest.approx(3.59**3, rel=0.01)
    atoms.rattle(0.3, seed=0)
    with pytest.raises(FieldgradError, match="after 1 steps the largest force is"):
        relax(atoms, max_steps=1)


def test_the_thermostat_keeps_the_temperature_of_few_atoms():
    atoms = emt(bulk("Cu", cubic=True))
    run = simulate(atoms, 4000, temperature=300.0, time_step=4.0, friction=0.05, seed=1)
    assert run.temperatures[500:].mean() == pytest.approx(300, rel=0.08)
    assert len(run.frames) == 200


def test_without_thermostat_energy_is_conserved():
    atoms = emt(bulk("Cu", cubic=True))
    run = simulate(atoms, 500, temperature=None, start_temperature=300.0, time_step=2.0)
    assert abs(run.drift()) / len(atoms) < 1e-3
    assert run.total_energies.std() < 5e-3
    assert atoms.get_momenta().sum(axis=0) == pytest.approx(0, abs=1e-9)


def test_an_explosion_is_told():
    with pytest.raises(FieldgradError, match=r"(?s)exploded at step \d+ .*smaller time step"):
        simulate(emt(bulk("Cu", cubic=True)), 400, temperature=None, time_step=300.0)


def test_a_crystal_is_measured():
    # ASE's EMT for copper: 3.59 Å and 134 GPa (its documentation's tutorial on equations of state).
    crystal = measure_crystal(emt(bulk("Cu", a=3.6)))
    assert 3.6 * crystal.scale == pytest.approx(3.59, rel=2e-3)
    assert crystal.bulk_modulus == pytest.approx(134, rel=0.03)
    with pytest.raises(DataError, match="no minimum"):
        measure_crystal(emt(bulk("Cu", a=4.4)))


def test_systems_are_found_by_name():
    assert len(find_atoms("ethanol")) == 9
    assert len(find_atoms("Cu")) == 32
    with pytest.raises(DataError, match="'ethanl'; did you mean 'ethanol'"):
        find_atoms("ethanl")
    with pytest.raises(DataError, match="emt knows no Si"):
        generate(bulk("Si"), "emt", 1)


# ---- learners


def test_one_line_gives_a_learner_whose_file_is_a_potential(copper, tmp_path):
    learner = potential(
        copper, run_dir=tmp_path / "run", settings={"n_features": 16, "cutoff": 4.0}, held_back=0.2
    )
    assert learner.lr_find().suggestion > 0
    learner.fit_one_cycle("4 epochs", 5e-3)
    assert learner.history[-1]["force_mae_mev"] < 0.9 * learner.history[0]["force_mae_mev"]
    learner.save(tmp_path / "cu.safetensors")
    saved, structures = Potential.load(tmp_path / "cu.safetensors"), read_structures(copper)
    found = saved.predict(structures)
    assert not found.extrapolates[:10].all()
    assert np.corrcoef(found.structures.forces.ravel(), structures.forces.ravel())[0, 1] > 0.5
    assert (tmp_path / "run" / "pictures" / "parity.png").stat().st_size > 5000
    learner.freeze()  # all but the head
    learner.fit("2 steps")
    after = learner.model.model
    assert np.array_equal(after.embedding.weight.data, saved.networks[0].embedding.weight.data)
    assert not np.array_equal(after.head.out.weight.data, saved.networks[0].head.out.weight.data)


def test_a_learner_takes_structures_and_atoms_and_refuses_other_networks(copper):
    structures = read_structures(copper)
    alone = potential(structures, settings={"cutoff": 4.0}, held_back=0)
    assert (len(alone.train.dataset), alone.valid) == (60, None)
    for data in (structures, structures.to_atoms()):
        learner = potential(data, settings={"cutoff": 4.0}, held_back=5)
        assert (len(learner.train.dataset), len(learner.valid.dataset)) == (55, 5)
    with pytest.raises(DataError, match="no network 'panin'; did you mean 'painn'"):
        potential(structures, model="panin")


# ---- commands


def test_a_training_writes_what_it_promises(trained):
    names = {path.name for path in trained.iterdir()}
    assert names >= {
        "recipe.toml", "data.json", "model.safetensors", "errors.csv", "predictions.extxyz",
        "parity.png", "training.png", "network-1", "network-2",
    }  # fmt: skip
    with open(trained / "errors.csv") as file:
        rows = {row["quantity"]: float(row["mae"]) for row in csv.DictReader(file)}
    assert set(rows) == {"energy", "energy of an atom", "forces", "forces on Cu", "stress"}
    with open(trained / "network-1" / "history.csv") as file:
        history = list(csv.DictReader(file))
    assert float(history[-1]["force_mae_mev"]) < float(history[0]["force_mae_mev"])
    split = json.loads((trained / "data.json").read_text())
    assert sorted(split["train"] + split["valid"] + split["test"]) == list(range(60))


def test_predictions_of_a_training_are_those_of_its_potential(trained, copper):
    split = json.loads((trained / "data.json").read_text())
    written = read_structures(trained / "predictions.extxyz")
    potential = Potential.load(trained / "model.safetensors")
    found = potential.predict(read_structures(copper)[split["test"]])
    np.testing.assert_allclose(written.forces, found.structures.forces, atol=1e-6)
    # What it was trained on is not new to it; a crystal torn apart is.
    known = potential.predict(read_structures(copper)[split["train"]])
    assert known.novelty.max() <= 1.0 + 1e-6
    far = bulk("Cu", a=5.0, cubic=True)
    assert potential.predict(Structures.from_atoms(far)).extrapolates.all()


def test_a_run_is_not_overwritten_and_can_be_continued(trained, copper):
    arguments = (
        "train-potential", copper, "-o", trained, "--budget", "3 epochs", "--features", 16,
        "--cutoff", 4.0, "--stress-weight", 1.0, "--n-networks", 2, "--test-part", 0.2,
    )  # fmt: skip
    refused(chem(*arguments), "already holds a run")
    assert chem(*arguments, "--resume").exit_code == 0


def test_a_potential_is_evaluated_with_its_stability(trained, copper):
    potential = Potential.load(trained / "model.safetensors")
    stability = check_stability(
        potential, read_structures(copper), trained / "evaluation", n_steps=100, time_step=1.0
    )
    assert abs(stability.drift) < 5.0
    assert stability.broken == 0
    assert "all bonds held" in str(stability)
    assert (trained / "evaluation" / "nve.png").stat().st_size > 5000
    page = report_page(trained)
    assert "drift of the total energy" in page
    assert f"{stability.drift:+.4f} meV per atom and ps" in page


def test_the_report_of_a_run_has_data_errors_and_pictures(trained):
    sections = {section.title: section for section in report_sections(trained)}
    data = dict(sections["Data"].rows)
    assert data["structures"] == "60"
    assert data["elements"] == "Cu"
    assert data["held back"] == "12 structures"
    errors = sections["Errors on structures held back"]
    assert [row[0] for row in errors.rows] == [
        "energy", "energy of an atom", "forces", "forces on Cu", "stress"
    ]  # fmt: skip
    for row in errors.rows:
        low, high = map(float, row[3].split(" to "))
        assert low <= float(row[2]) <= high
    assert all(path.exists() for path in errors.pictures.values())


def test_errors_have_intervals_over_structures():
    truth = empty(200, np.array([1]))
    truth.forces[:] = np.random.default_rng(0).normal(size=(200, 3))
    prediction = SimpleNamespace(structures=empty(200, np.array([1])))
    prediction.structures.forces[:] = 0
    (forces, _) = compare(truth, prediction)
    assert forces.mae == pytest.approx(1e3 * np.sqrt(2 / np.pi), rel=0.1)
    assert forces.mae == pytest.approx(forces.baseline_mae)
    # Twice 1.96 standard deviations of a mean of 600 |x|, whose variance is 1 - 2 / π.
    assert forces.high - forces.low == pytest.approx(
        3.92e3 * np.sqrt((1 - 2 / np.pi) / 600), rel=0.2
    )


def test_md_relax_and_generate_work_from_the_command_line(trained, tmp_path):
    model = trained / "model.safetensors"
    made = chem("generate", "Cu", "--method", "emt", "-n", 2, "--every", 2, "-o",
                tmp_path / "made.extxyz")  # fmt: skip
    assert made.exit_code == 0, made.output
    result = chem("md", tmp_path / "made.extxyz", "-m", model, "-o", tmp_path / "md", "--steps",
                  20, "--time-step", 1.0, "--every", 5)  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "steps/s" in result.output
    assert len(read_structures(tmp_path / "md" / "trajectory.extxyz")) == 4
    result = chem("relax", tmp_path / "made.extxyz", "-m", model, "-o", tmp_path / "r.extxyz",
                  "--force", 1.0)  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "Relaxed in" in result.output
    result = chem("evaluate-potential", tmp_path / "made.extxyz", "-m", model, "-o",
                  tmp_path / "evaluation", "--steps", 20)  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "all bonds held" in " ".join(result.output.split())


def test_a_potential_is_cross_validated_in_one_command(tmp_path):
    settings = ["n_structures=20", "budget=2 epochs", "model.n_features=8", "model.n_basis=8"]
    sets = [word for setting in settings for word in ("--set", setting)]
    command = ["run", "chem/copper-emt", "--folds", "2", "--out", str(tmp_path / "folds"), *sets]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    made = read_structures(tmp_path / "folds" / "structures.extxyz")
    with open(tmp_path / "folds" / "out_of_fold.csv") as file:
        rows = list(csv.DictReader(file))
    places = np.array([int(row["structure"]) for row in rows])
    assert sorted(places.tolist()) == list(range(20))
    energies = np.array([float(row["energy_ev"]) for row in rows])
    np.testing.assert_allclose(energies, made.energies[places], atol=1e-5)
    with open(tmp_path / "folds" / "folds.csv") as file:
        folds = list(csv.DictReader(file))
    for fold in ("1", "2"):
        own = np.array([row["fold"] == fold for row in rows])
        assert np.diff(np.sort(places[own])).min() == 1  # blocks of neighbors
        potential = Potential.load(tmp_path / "folds" / f"fold-{fold}" / "model.safetensors")
        found = potential.predict(made[places[own]]).structures.energies
        predicted = [float(row["predicted_energy_ev"]) for row in rows if row["fold"] == fold]
        np.testing.assert_allclose(found, predicted, atol=1e-4)
        mae = 1000 * np.abs(found - energies[own]).mean()
        assert float(folds[int(fold) - 1]["energy_mae_meV"]) == pytest.approx(mae, rel=1e-3)


def test_messages_of_the_commands(trained, copper, tmp_path):
    model = trained / "model.safetensors"
    refused(chem("md", "ethanol", "-m", model), "atoms of H, C, O, which this potential was never")
    bare = read_structures(copper)
    bare.energies[:], bare.forces[:] = np.nan, np.nan
    write_structures(bare, tmp_path / "bare.extxyz")
    refused(
        chem("train-potential", tmp_path / "bare.extxyz", "-o", tmp_path / "run"),
        "bare.extxyz: none of its 60 structures has an energy or forces", "--energy-key",
    )  # fmt: skip
    refused(
        chem("train-potential", copper, "-o", tmp_path / "run2", "--references", "Cu=x"),
        "--references 'Cu=x' cannot be read",
    )


@pytest.mark.parametrize("name", ["ethanol-schnet", "ethanol-painn", "copper-emt"])
def test_recipes_are_valid(name):
    assert recipes.check(recipes.load(f"chem/{name}")).name == "train_on_generated"
