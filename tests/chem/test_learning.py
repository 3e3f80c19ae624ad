"""The verbs of training on made-up molecules and on a potential for copper."""

import csv
from functools import partial

import numpy as np
import pytest
from typer.testing import CliRunner

import fieldgrad.engine as fg
from fieldgrad.engine.cli import app
from fieldgrad.engine.data import Loader
from fieldgrad.engine.optim import Adam
from fieldgrad.engine.testing import check_learner
from fieldgrad.engine.train import Learner, cross_validate, fold_indices

pytest.importorskip("rdkit", reason="needs the extra chem")
pytest.importorskip("ase", reason="needs the extra chem")

from fieldgrad.chem.molecules.dmpnn import DMPNN
from fieldgrad.chem.molecules.featurize import Featurizer
from fieldgrad.chem.molecules.fitting import Inputs
from fieldgrad.chem.molecules.losses import squared_error
from fieldgrad.chem.molecules.smiles import read_smiles, scaffold


@pytest.fixture
def make(smiles, labels):
    """A function that makes a learner for some of the molecules, judged on others."""
    with Featurizer() as featurizer:
        molecules = featurizer(smiles)
    inputs = Inputs(molecules.graphs, np.zeros((len(molecules), 0), np.float32))
    y = np.asarray(labels, np.float64)[molecules.rows]
    y = ((y - y.mean()) / y.std()).astype(np.float32)[:, None]

    def gather(items):
        return inputs.batch(items), y[list(items)]

    def learner(train, valid, seed=0):
        fg.manual_seed(seed)
        network = DMPNN(1, hidden_size=24)
        data = partial(Loader, collate=gather)
        return Learner(
            network,
            squared_error,
            Adam(network.parameters(), lr=5e-3),
            data(train.tolist(), 16, shuffle=True, seed=seed),
            data(valid.tolist(), 64),
            seed=seed,
        )

    learner.n_items, learner.labels = len(molecules), y
    return learner


def test_every_verb_works_on_properties_of_molecules(make):
    order = np.random.default_rng(0).permutation(make.n_items)
    check_learner(lambda: make(order[10:], order[:10]))


def test_every_molecule_is_predicted_out_of_fold(make):
    folds = fold_indices(make.n_items, 3)
    validation = cross_validate(lambda k: make(*folds[k]), "15 epochs", 3, one_cycle=True)
    found = np.zeros(make.n_items)
    for (_, held_back), part in zip(folds, validation.predictions(), strict=True):
        found[held_back] = part.prediction[:, 0]
        np.testing.assert_array_equal(part.targets[0], make.labels[held_back])
    assert np.mean((found - make.labels[:, 0]) ** 2) < 0.6  # of a variance of 1


def test_every_verb_works_on_a_potential():
    from ase.build import bulk

    from fieldgrad.chem.potentials.forcefield import ForceField, ForceLoss
    from fieldgrad.chem.potentials.generate import generate
    from fieldgrad.chem.potentials.graphs import PairData
    from fieldgrad.chem.potentials.schnet import SchNet

    structures = generate(bulk("Cu", cubic=True), "emt", 16, temperatures=[300.0], seed=0)
    data = PairData(structures, 4.0)

    def learner():
        fg.manual_seed(0)
        network = SchNet(n_features=8, n_interactions=1, n_basis=6, cutoff=4.0)
        model = ForceField(network, stress=False)
        return Learner(
            model, ForceLoss(0.01, 0.99, 0.0), Adam(network.parameters(), lr=1e-3),
            Loader(range(12), 4, shuffle=True, collate=data.batch),
            Loader(range(12, 16), 4, collate=data.batch),
        )  # fmt: skip

    check_learner(learner)


def test_a_recipe_is_cross_validated_in_one_command(table, tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra chem")
    settings = [f"data={table}", "smiles_column=structure", 'targets=["my property"]', "epochs=2",
                "baseline=none", "split=scaffold"]  # fmt: skip
    sets = [word for setting in settings for word in ("--set", setting)]
    command = ["run", "chem/esol-dmpnn", "--folds", "2", "--out", str(tmp_path / "folds"), *sets]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    with open(tmp_path / "folds" / "out_of_fold.csv") as file:
        rows = list(csv.DictReader(file))
    numbers = [int(row["row"]) for row in rows]
    assert len(set(numbers)) == len(numbers) == 152  # of 153 rows one is no molecule
    with open(tmp_path / "folds" / "folds.csv") as file:
        folds = list(csv.DictReader(file))
    known = [row for row in rows if row["fold"] == "1" and row["my property"]]
    errors = [float(row["my property_predicted"]) - float(row["my property"]) for row in known]
    assert float(folds[0]["rmse"]) == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=1e-3)
    scaffolds = [
        {scaffold(read_smiles(row["smiles"])) for row in rows if row["fold"] == fold}
        for fold in ("1", "2")
    ]
    assert not scaffolds[0] & scaffolds[1]
