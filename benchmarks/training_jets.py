"""The verbs of training on jets: `verbs.compare` for a particle flow network.

Simulated top and QCD jets (``physics/train.h5`` and ``test.h5`` of the environment variable
FIELDGRAD_DATA; without them there are no rows): area under the ROC curve of 10,000 test jets,
trained on 10,000 others. Views are the jets' mirror images. A network for fine-tuning has seen
30,000 jets of no known class before, and learned whether τ32 is above its median.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.runner import Row
from benchmarks.verbs import N_FOLDS, Problem, compare
from fieldgrad.engine.nn import Module
from fieldgrad.engine.optim import AdamW
from fieldgrad.engine.train import GradientClip, Learner, ScheduleLR, fold_indices, one_cycle
from fieldgrad.engine.train.prediction import Predictions, View
from fieldgrad.physics.figures.metrics import auc
from fieldgrad.physics.jets.batch import JetBatch
from fieldgrad.physics.jets.substructure import with_observables
from fieldgrad.physics.reading.streams import read_jets
from fieldgrad.physics.tagging.losses import cross_entropy
from fieldgrad.physics.tagging.tagger import Tagger

STEPS, N_JETS = 800, 10_000  # 20 epochs, as the recipe top-pfn


def rows(threads: int, seconds: float) -> Iterator[Row]:
    """Train in every way; nothing here depends on the number of threads, so once is enough."""
    folder = Path(os.environ.get("FIELDGRAD_DATA", "")) / "physics"
    if not (folder / "train.h5").exists() or threads != 1:
        return
    many, test = read_jets(folder / "train.h5"), read_jets(folder / "test.h5")
    train, others = many[:N_JETS], with_observables(many[N_JETS:], ("jet_tau32",))
    tau32 = others.observables["jet_tau32"]
    others = others.replace(labels=(tau32 > np.median(tau32)).astype(np.int64))

    def make(seed: int, train: JetBatch = train, test: JetBatch = test) -> Learner:
        tagger = Tagger.build("pfn", train, seed=seed)
        return Learner(
            tagger.network,
            cross_entropy,
            AdamW(tagger.network.parameters(), lr=3e-3, weight_decay=1e-4),
            tagger.loader(train, 256, shuffle=True, seed=seed),
            tagger.loader(test, 500),
            callbacks=[ScheduleLR(one_cycle), GradientClip(1.0)],
            seed=seed,
        )

    def make_fold(number: int) -> Learner:
        parts = fold_indices(N_JETS, N_FOLDS, labels=train.labels)[number]
        return make(number, *(train[part] for part in parts))

    def score(found: Predictions) -> float:
        return float(auc(found.targets[0], found.prediction[:, 1] - found.prediction[:, 0]))

    def pretrain(seed: int) -> Module:
        learner = make(seed, others)
        learner.fit("4 epochs")
        return learner.model

    # A jet and its mirror image are equally likely, whatever it came from.
    features = Tagger.build("pfn", train).preprocessing.group("features").names

    def reflected(*columns: str) -> View:
        signs = np.where(np.isin(features, columns), -1, 1).astype(np.float32)
        return lambda x: x | {"features": x["features"] * signs}, lambda logits: logits

    views = [reflected(*c) for c in (("part_deta",), ("part_dphi",), ("part_deta", "part_dphi"))]
    yield from compare(
        Problem(
            "jets",
            make,
            make_fold,
            score,
            "AUC ↑",
            STEPS,
            (3e-3, 1e-3),
            relation="τ32",
            pretrain=pretrain,
            views=views,
        )
    )
