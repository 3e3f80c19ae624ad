"""The verbs of training on molecules: `verbs.compare` for a directed message passing network.

MoleculeNet's ESOL (``chem/moleculenet/esol.csv`` of the environment variable FIELDGRAD_DATA;
without it there are no rows): root mean squared error of the logarithm of the solubility for a
fifth of the 1,128 molecules, trained on the others. A network for fine-tuning has learned
before what needs no measurement: the logP that Wildman and Crippen's rules (J. Chem. Inf. Comput.
Sci. 39 (1999) 868) give for the 4,200 molecules of ``lipophilicity.csv``.
"""

import csv
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rdkit.Chem import Crippen, MolFromSmiles

import fieldgrad.engine as fg
from benchmarks.runner import Row
from benchmarks.verbs import N_FOLDS, Problem, compare
from fieldgrad.chem.molecules.dmpnn import DMPNN
from fieldgrad.chem.molecules.featurize import Featurizer, Molecules
from fieldgrad.chem.molecules.fitting import Inputs
from fieldgrad.chem.molecules.losses import squared_error
from fieldgrad.engine.data import Loader
from fieldgrad.engine.nn import Module
from fieldgrad.engine.optim import Adam
from fieldgrad.engine.train import Learner, ScheduleLR, fold_indices, one_cycle
from fieldgrad.engine.train.prediction import Predictions

STEPS = 840  # 30 epochs, as the recipe esol-dmpnn


def rows(threads: int, seconds: float) -> Iterator[Row]:
    """Train in every way; nothing here depends on the number of threads, so once is enough."""
    path = Path(os.environ.get("FIELDGRAD_DATA", "")) / "chem" / "moleculenet" / "esol.csv"
    if not path.exists() or threads != 1:
        return
    with Featurizer(identity=True) as featurizer:
        esol = read_table(path, "log_solubility_mol_per_l", featurizer)
        others, _ = read_table(path.parent / "lipophilicity.csv", "logD_pH7.4", featurizer)
    molecules, labels = esol
    log_p = np.array([Crippen.MolLogP(MolFromSmiles(smiles)) for smiles in others.canonical])

    def divide(number: int, n_folds: int) -> tuple[list[int], list[int]]:
        parts = fold_indices(len(molecules), n_folds, groups=molecules.canonical)[number]
        train, held_back = (part.tolist() for part in parts)
        return train, held_back

    def make_on(
        table: tuple[Molecules, np.ndarray], train: list[int], valid: list[int], seed: int
    ) -> Learner:
        molecules, labels = table
        inputs = Inputs(molecules.graphs, np.zeros((len(molecules), 0), np.float32))
        scaled = ((labels - labels.mean()) / labels.std()).astype(np.float32)[:, None]

        def gather(items: list[int]) -> tuple:
            return inputs.batch(items), scaled[items]

        fg.manual_seed(seed)
        network = DMPNN(1, n_descriptors=0)
        return Learner(
            network,
            squared_error,
            Adam(network.parameters(), lr=2e-3),
            Loader(train, 32, shuffle=True, seed=seed, collate=gather),
            Loader(valid, 64, collate=gather),
            callbacks=[ScheduleLR(one_cycle)],
            seed=seed,
        )

    def make(seed: int) -> Learner:
        return make_on(esol, *divide(0, 5), seed)

    def make_fold(number: int) -> Learner:
        return make_on(esol, *divide(number, N_FOLDS), seed=number)

    def pretrain(seed: int) -> Module:
        items = list(range(len(log_p)))
        learner = make_on((others, log_p), items, items[:64], seed)
        learner.fit("5 epochs")
        return learner.model

    def score(found: Predictions) -> float:
        error = (found.prediction - found.targets[0]) * labels.std()
        return float(np.sqrt(np.mean(error**2)))

    yield from compare(
        Problem(
            "ESOL", make, make_fold, score, "RMSE ↓", STEPS, (2e-3, 1e-3), seeds=range(6),
            relation="calculated logP", pretrain=pretrain,
        )
    )  # fmt: skip


def read_table(path: Path, target: str, featurizer: Featurizer) -> tuple[Molecules, np.ndarray]:
    """Read the molecules of a table and their labels."""
    with open(path, newline="") as file:
        table = list(csv.DictReader(file))
    molecules = featurizer([row["smiles"] for row in table])
    return molecules, np.array([float(row[target]) for row in table])[molecules.rows]
