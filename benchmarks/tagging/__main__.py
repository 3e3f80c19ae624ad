"""Accuracy of the taggers on simulated top and QCD jets: mean and spread over seeds, beside trees.

python -m benchmarks.tagging                     PFN, ParticleNet-Lite, PFN with observables
python -m benchmarks.tagging pfn --seeds 0

Observables are what a physicist feeds to trees first; with a + behind them, N-subjettiness at
three powers of the angle and how momentum is spread too.

The jets are train.h5, val.h5 and test.h5 in ``physics`` below the folder FIELDGRAD_DATA.
"""

import argparse
import os
import time
from functools import partial
from pathlib import Path

import fieldgrad.engine as fg
from fieldgrad.engine.optim import AdamW
from fieldgrad.physics.figures.metrics import auc, auc_error, evaluate, mean_and_spread
from fieldgrad.physics.jets.substructure import EIGHT_BODY_BASIS, with_observables
from fieldgrad.physics.reading.datasets import OBSERVABLES
from fieldgrad.physics.reading.streams import read_jets
from fieldgrad.physics.tagging.baselines import BoostedTrees, cut_and_count, mass_distance
from fieldgrad.physics.tagging.tagger import Tagger

MANY = tuple(dict.fromkeys((*OBSERVABLES, "jet_ptd", *EIGHT_BODY_BASIS)))
# Name of a line: model, length of the training, rate, observables; and the area that we want.
WORKS = {
    "pfn": ("pfn", "20 epochs", 3e-3, (), 0.977),
    "particle_net_lite": ("particle_net_lite", "8 epochs", 5e-3, (), 0.984),
    "pfn+observables": ("pfn", "20 epochs", 3e-3, OBSERVABLES, None),
    "observables+": ("observables_mlp", "20 epochs", 3e-3, MANY, None),
    "pfn+observables+": ("pfn", "20 epochs", 3e-3, MANY, 0.988),
}


def main() -> None:
    """Train, and print a line for each seed and the mean of each work."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tagging", formatter_class=argparse.RawDescriptionHelpFormatter,
        description=__doc__,
    )  # fmt: skip
    parser.add_argument("works", nargs="*", metavar="WORK", help=", ".join(WORKS))
    parser.add_argument("--seeds", default="0,1,2", help="by commas (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    if unknown := set(options.works) - set(WORKS):
        parser.error(f"no work {', '.join(sorted(unknown))}; choose from {', '.join(WORKS)}")
    folder = Path(os.environ.get("FIELDGRAD_DATA", "FIELDGRAD_DATA is not set")) / "physics"
    fg.set_num_threads(options.threads)
    train, test = (
        with_observables(read_jets(folder / f"{name}.h5"), MANY) for name in ("train", "test")
    )
    print(f"{len(train):,} training and {len(test):,} test jets")
    for names in (OBSERVABLES, MANY):
        trees = BoostedTrees(names).fit(train).predict(test)
        print(f"trees on {len(names)} observables: {line(test, trees)}", flush=True)
    alone = mass_distance(test)
    print(f"mass alone: AUC {auc(test.labels, alone):.4f} ± {auc_error(test.labels, alone):.4f}")
    cuts = cut_and_count(test)
    print(f"{cuts['name']}: ε_S {cuts['efficiency']:.2f}, 1/ε_B {cuts['rejection']:.0f}")
    for name in options.works or WORKS:
        model, budget, lr, observables, wanted = WORKS[name]
        areas = []
        for seed in map(int, options.seeds.split(",")):
            tagger = Tagger.build(model, train, observables=observables, seed=seed)
            start = time.perf_counter()
            optimizer = partial(AdamW, lr=lr, weight_decay=1e-4)
            tagger.fit(train, budget=budget, optimizer=optimizer, seed=seed)
            seconds = time.perf_counter() - start
            p = tagger.predict(test)
            areas.append(auc(test.labels, p[:, 1]))
            print(f"{name}, seed {seed}: {line(test, p)}, {seconds:.0f} s", flush=True)
        mean, spread = mean_and_spread(areas)
        goal = "" if wanted is None else f", wanted {wanted}{'' if mean >= wanted else ' ✗'}"
        print(f"{name}: AUC {mean:.4f} ± {spread:.4f} over {len(areas)} seeds{goal}", flush=True)


def line(test: object, p: object) -> str:
    """Figures of one tagger."""
    (row,) = evaluate(test.labels, p, test.weights, names=test.label_names)
    return (
        f"AUC {row['auc']:.4f} ± {row['auc_error']:.4f}, accuracy {row['accuracy']:.4f}, 1/ε_B at "
        f"50 % {row['rejection_50']:.0f} ± {row['rejection_50_error']:.0f} ({row['passing_50']})"
    )


if __name__ == "__main__":
    main()
