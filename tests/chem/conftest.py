"""Small molecules with a property that follows from their graph, for tests of the room."""

import csv

import numpy as np
import pytest


def made_smiles():
    """List 150 different molecules: chains and rings with up to 14 heavy atoms."""
    heads = ["", "O", "N", "Cl", "F"]
    tails = ["", "c1ccccc1", "C1CCCCC1", "C(=O)O", "C#N", "c1ccncc1", "C1CC1", "c1ccco1", "c1cccs1",
             "C1CCNC1", "c1ccc2ccccc2c1"]  # fmt: skip
    every = [f"{head}{'C' * n}{tail}" for n in range(1, 5) for tail in tails for head in heads]
    return list(dict.fromkeys(every))[:150]


def made_labels(smiles):
    """A number for each molecule, in the manner of a solubility: polar atoms up, carbon down."""
    return np.array([2.0 * sum(map(s.count, "ON")) - 0.5 * s.upper().count("C") for s in smiles])


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Keep features of tests out of the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def smiles():
    return made_smiles()


@pytest.fixture
def labels(smiles):
    return made_labels(smiles)


@pytest.fixture
def table(tmp_path, smiles, labels):
    """A CSV file with unusual names of columns, a bad SMILES, a missing label and a copy."""
    path = tmp_path / "set.csv"
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "structure", "my property", "is polar"])
        for i, (text, y) in enumerate(zip(smiles, labels, strict=True)):
            writer.writerow([f"m{i}", text, "" if i == 3 else y, int("O" in text)])
        writer.writerow(["bad", "C1CC", 1.0, 0])
        writer.writerow(["copy", "OCCO"[::-1], 2.0, 1])
        writer.writerow(["copy", "C(O)CO", 2.1, 1])
    return path


@pytest.fixture(scope="session")
def fitted():
    """A small Predictor, trained once; tests must not change it."""
    from functools import partial

    from fieldgrad.chem.molecules.dmpnn import DMPNN
    from fieldgrad.chem.molecules.predictor import Predictor

    smiles = made_smiles()
    model = partial(DMPNN, hidden_size=32)
    predictor = Predictor(model=model, epochs=12, batch_size=16, lr=5e-3, n_models=2)
    return predictor.fit(smiles, made_labels(smiles))
