"""The verbs of training on molecules: `verbs.compare` for a directed message passing network.

MoleculeNet's ESOL (``chem/moleculenet/esol.csv`` of the environment variable FIELDGRAD_DATA;
without it there are no rows): root mean squared error of the logarithm of the solubility for a
fifth of the 1,128 molecules, trained on the others.
"""

import csv
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import fieldgrad.engine as fg
from benchmarks.runner import Row
from benchmarks.verbs import Problem, compare
from fieldgrad.engine.data import Loader
from fieldgrad.engine.optim import Adam
from fieldgrad.engine.train import Learner, ScheduleLR, fold_indices

STEPS = 280


def rows(threads: int, seconds: float) -> Iterator[Row]:
    """Train in every way; nothing here depends on the number of threads, so once is enough."""
    path = Path(os.environ.get("FIELDGRAD_DATA", "")) / "chem" / "moleculenet" / "esol.csv"
    if not path.exists() or threads != 1:
        return
    from fieldgrad.chem.molecules.dmpnn import DMPNN
    from fieldgrad.chem.molecules.featurize import Featurizer
    from fieldgrad.chem.molecules.fitting import Inputs, noam, task_loss

    with open(path, newline="") as file:
        table = list(csv.DictReader(file))
    with Featurizer(identity=True) as featurizer:
        molecules = featurizer([row["smiles"] for row in table])
    labels = np.array([float(row["log_solubility_mol_per_l"]) for row in table])[molecules.rows]
    inputs = Inputs(molecules.graphs, np.zeros((len(molecules), 0), np.float32))
    parts = fold_indices(len(molecules), 5, groups=molecules.canonical)[0]
    train, held_back = (part.tolist() for part in parts)
    mean, scale = labels.mean(), labels.std()
    scaled = ((labels - mean) / scale).astype(np.float32)[:, None]

    def gather(items: list[int]) -> tuple:
        return inputs.batch(items), scaled[items]

    def make(seed: int) -> Learner:
        fg.manual_seed(seed)
        network = DMPNN(1, n_descriptors=0)
        return Learner(
            network,
            task_loss("regression", variance=False),
            Adam(network.parameters(), lr=1e-3),
            Loader(train, 32, shuffle=True, seed=seed, collate=gather),
            Loader(held_back, 64, collate=gather),
            callbacks=[ScheduleLR(noam)],
            seed=seed,
        )

    def score(prediction: np.ndarray) -> float:
        error = prediction[:, 0] * scale + mean - labels[held_back]
        return float(np.sqrt(np.mean(error**2)))

    yield from compare(Problem("ESOL", make, score, "RMSE ↓", STEPS, (1e-3, 3e-3)))
