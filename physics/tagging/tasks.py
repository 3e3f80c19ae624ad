"""What recipes run: train a tagger on files or on jets made here, and compare it on test jets.

Each task is a plain function; a recipe gives its keyword arguments, the command line adds
``run_dir`` and ``resume``. What a task returns is printed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine import Tensor
from fieldgrad.engine.errors import DataError
from fieldgrad.engine.nn.module import Module, Parameter
from fieldgrad.engine.optim import AdamW, Optimizer
from fieldgrad.engine.train.budget import Plan
from fieldgrad.engine.train.folds import Fold
from fieldgrad.engine.train.schedules import one_cycle
from fieldgrad.physics.figures import plots
from fieldgrad.physics.figures.calibration import fit_temperature
from fieldgrad.physics.figures.metrics import evaluate
from fieldgrad.physics.jets.batch import JetBatch
from fieldgrad.physics.jets.substructure import with_observables
from fieldgrad.physics.jets.weights import sum_weights
from fieldgrad.physics.reading.config import DataConfig
from fieldgrad.physics.reading.datasets import OBSERVABLES, describe
from fieldgrad.physics.reading.outputs import scores_table, write_columns
from fieldgrad.physics.reading.streams import find_files, read_jets
from fieldgrad.physics.simulation.generate import generate_dataset
from fieldgrad.physics.tagging import losses
from fieldgrad.physics.tagging.report import compare
from fieldgrad.physics.tagging.tagger import Tagger

__all__ = ["made_jets", "train_tagger"]

log = logging.getLogger("fieldgrad.physics")

Files = str | Sequence[str] | Mapping[str, str]

# Bounds of bins of the jets' transverse momentum, GeV, for the figures by bin.
PT_EDGES = (550.0, 575.0, 600.0, 625.0, 650.0)
ADAMW = partial(AdamW, lr=3e-3, weight_decay=1e-4)


def train_tagger(
    *,
    run_dir: Path,
    model: Callable[..., Module],
    train: Files = "",
    valid: Files = "",
    test: Files = "",
    config: str = "",
    n_jets: int = 10_000,
    budget: str = "20 epochs",
    batch_size: int = 256,
    optimizer: Callable[[Iterable[Parameter]], Optimizer] = ADAMW,
    schedule: Callable[[float], float] = one_cycle,
    loss: Callable[..., Tensor] = losses.cross_entropy,
    observer: str = "",
    observables: bool = False,
    baselines: bool = True,
    calibrate: bool = True,
    n_workers: int = 2,
    seed: int = 0,
    fold: str = "",
    resume: bool = False,
) -> str:
    """Train a tagger, compare it with boosted trees and cuts on test jets, and draw the curves.

    Parameters
    ----------
    run_dir : Path
        Folder for the results: model.safetensors, preprocess.json (the inputs' constants in the
        keys of CMSSW), history.csv, metrics.json and .csv, scores.h5, and the plots with their
        numbers.
    model : callable
        Network, without its numbers of inputs and outputs.
    train, valid, test : str, sequence of str or mapping, optional
        Files or patterns; by class if a mapping. Without validation or test files a tenth of the
        training jets stands in for each. Without any file, jets are made with Pythia.
    config : str, optional
        Description of the analysis, a weaver YAML or a TOML file; default by the files' layout.
    n_jets : int, default 10000
        Jets to make where no file is given.
    budget : str, default "20 epochs"
        Training time or length, such as "5min" or "400 steps".
    batch_size : int, default 256
        Jets per step.
    optimizer : callable
        Parameters to optimizer.
    schedule : callable
        Progress to the factor of the learning rate.
    loss : callable
        Called with logits, labels and weights.
    observer : str, optional
        One more argument of the loss, such as "mass" for `losses.Decorrelated`.
    observables : bool, default False
        Let the network see mass, soft-drop mass, N-subjettiness and multiplicity of the jet too.
    baselines : bool, default True
        Grow boosted trees on these observables, to stand beside the network.
    calibrate : bool, default True
        Divide the logits by the temperature that suits the validation jets best.
    n_workers : int, default 2
        Processes that make jets, where no file is given.
    seed : int, default 0
        Of made jets, split, initial weights and order.
    fold : str, optional
        Validate with this fold of the training jets, such as "2/5", and train without it;
        ``fieldgrad run RECIPE --folds 5`` runs all. The temperature stays 1 then.
    resume : bool, default False
        Continue the run in `run_dir`.

    Returns
    -------
    str
        The table of the comparison and where the files are.

    Raises
    ------
    FileError
        If a file is missing or damaged.
    DataError
        If the files do not fit the description, or only some of the files are given.
    """
    Plan(budget, 1)  # a mistake in it shall not wait for the data
    if not train and (valid or test):
        raise DataError("valid or test files are given, and no training files. Give train=….")
    if fold and valid:
        raise DataError(
            "fold and valid are both given; the jets of a fold are those to validate with. Leave "
            "the validation files out."
        )
    if not train:
        folder = (run_dir.parent if fold else run_dir) / "jets"  # all folds are of the same jets
        train, valid, test = made_jets(folder, n_jets, seed=seed, n_workers=n_workers)
    description = DataConfig.load(config) if config else describe(_first(train))
    fitting = read_jets(train, description)
    log.info(
        "training jets: %s",
        ", ".join(
            f"{row.n_jets:,} {row.name} (weight {row.total:,.0f})" for row in sum_weights(fitting)
        ),
    )
    whole, held_back = fitting, np.arange(0)
    if fold:
        labels = [] if fitting.labels is None else fitting.labels.tolist()
        rows, held_back = Fold.parse(fold).divide(len(fitting), labels=labels or None, seed=seed)
        fitting, watching = whole[rows], whole[held_back]
        testing = read_jets(test, description, training=False) if test else watching
    else:
        fitting, watching, testing = _split(fitting, valid, test, description, seed)
    if description.reweighting is not None:
        fitting = description.reweighting.fit(fitting).apply(fitting)
    if baselines or observables:
        fitting, watching, testing = (
            with_observables(jets, OBSERVABLES) for jets in (fitting, watching, testing)
        )
    # The networks of all folds see the same inputs, so that they can be joined.
    constants = fitting
    if fold:
        constants = with_observables(whole, OBSERVABLES) if observables else whole
    tagger = Tagger.build(
        model,
        constants,
        preprocessing=description.inputs,
        observables=OBSERVABLES if observables else (),
        description=description.to_json(),
        seed=seed,
    )
    learner = tagger.fit(
        fitting,
        watching,
        budget=budget,
        batch_size=batch_size,
        optimizer=optimizer,
        schedule=schedule,
        loss=loss,
        observer=observer or None,
        run_dir=run_dir,
        resume=resume,
        seed=seed,
    )
    if calibrate and not fold and watching.labels is not None:
        logits = tagger.logits(watching)
        try:
            tagger.temperature = fit_temperature(logits, watching.labels, watching.weights)
        except DataError as error:  # few jets, all of them classified rightly
            log.info("the probabilities are left as they are: %s", error)
        tagger.save(run_dir / "model.safetensors")
    tagger.preprocessing.write_cmssw(
        run_dir / "preprocess.json", [f"score_{name}" for name in tagger.label_names]
    )
    plots.plot_history(learner.history, run_dir / "training.png")
    p = tagger.predict(testing)
    write_columns(run_dir / "scores.h5", scores_table(testing, p, tagger.label_names))
    if fold:
        _write_fold(Fold.parse(fold), run_dir, tagger, watching, held_back)
    name = type(tagger.network).__name__ + " + observables" * observables
    text = compare(
        {name: p},
        testing,
        run_dir,
        train=fitting if baselines else None,
        observables=OBSERVABLES if baselines else (),
        pt_edges=PT_EDGES,
    )
    return (
        f"\n{name}: {tagger.network.n_parameters():,} weights, trained on {len(fitting):,} jets "
        f"for {learner.step:,} steps ({learner.history[-1]['seconds']:.0f} s). On {len(testing):,} "
        f"test jets:\n\n{text}\n\n"
        f"Curves: {run_dir / 'roc.png'}. Tag other jets: fieldgrad physics predict FILES -m "
        f"{run_dir / 'model.safetensors'} -o scores.root\n"
    )


def _write_fold(
    fold: Fold, run_dir: Path, tagger: Tagger, jets: JetBatch, numbers: NDArray[np.int64]
) -> None:
    """Write the scores of a fold's own jets, with their numbers in the training files."""
    assert jets.labels is not None
    p = tagger.predict(jets)
    (first, *others) = evaluate(jets.labels, p, jets.weights, names=tagger.label_names)
    scores = {key: first[key] for key in ("auc", "accuracy", "rejection_50")}
    for row in others:
        scores |= {f"{key}_{row['signal']}": row[key] for key in ("auc", "rejection_50")}
    columns = [f"score_{name}" for name in tagger.label_names]
    fold.write(
        run_dir,
        scores,
        (
            {"jet": number, "label": tagger.label_names[label]}
            | dict(zip(columns, values, strict=True))
            for number, label, values in zip(
                numbers.tolist(), jets.labels.tolist(), p.round(6).tolist(), strict=True
            )
        ),
    )


def made_jets(
    folder: Path, n_jets: int, *, seed: int = 0, n_workers: int = 1
) -> tuple[str, str, str]:
    """Make top and QCD jets with Pythia, or find those made before.

    Parameters
    ----------
    folder : Path
        For ``train.h5``, ``val.h5`` and ``test.h5``, in parts of 80, 10 and 10 %.
    n_jets : int
        How many, half of each kind.
    seed : int, default 0
        Of the events and of their order.
    n_workers : int, default 1
        Processes.

    Returns
    -------
    train, valid, test : str
        The files.
    """
    files = [folder / name for name in ("train.h5", "val.h5", "test.h5")]
    if not all(file.exists() for file in files):
        generate_dataset(
            folder, ["ttbar", "qcd"], n_jets // 2, seed=seed, n_workers=n_workers, progress=_say()
        )
    return str(files[0]), str(files[1]), str(files[2])


def _say() -> Callable[[str, int, int], None]:
    """Log every tenth of the jets of a process."""
    shown: dict[str, int] = {}

    def progress(process: str, done: int, total: int) -> None:
        tenth = 10 * done // max(total, 1)
        if tenth > shown.get(process, 0):
            shown[process] = tenth
            log.info("made %d of %d jets of %s", done, total, process)

    return progress


def _split(
    fitting: JetBatch, valid: Files, test: Files, description: DataConfig, seed: int
) -> tuple[JetBatch, JetBatch, JetBatch]:
    """Jets to train on, to watch and to test with; tenths of the first where others are missing."""
    parts = []
    for files, training, share in ((valid, True, 10), (test, False, 9)):
        if files:
            parts.append(read_jets(files, description, training=training))
            continue
        mixed, n_taken = _shuffled(fitting, seed), max(len(fitting) // share, 1)
        parts.append(mixed[:n_taken])
        fitting = mixed[n_taken:]
    return fitting, parts[0], parts[1]


def _shuffled(jets: JetBatch, seed: int) -> JetBatch:
    return jets[np.random.default_rng(seed).permutation(len(jets))]


def _first(files: Files) -> str:
    """Name the first of the files."""
    while isinstance(files, Mapping):
        files = next(iter(files.values()))
    return find_files(files)[0]
