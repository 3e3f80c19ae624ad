"""What recipes run: train a network on files or on jets made here, and evaluate it on test jets.

Each task is a plain function; a recipe gives its keyword arguments, the command line adds
``run_dir`` and ``resume``. What a task returns is printed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fieldgrad.engine import Tensor
from fieldgrad.engine.errors import DataError
from fieldgrad.engine.nn.module import Module, Parameter
from fieldgrad.engine.optim import Optimizer
from fieldgrad.engine.train.budget import Plan
from fieldgrad.engine.train.folds import Fold
from fieldgrad.engine.train.learner import Learner
from fieldgrad.engine.train.precision import MixedPrecision
from fieldgrad.engine.train.schedules import one_cycle
from fieldgrad.physics.figures import plots
from fieldgrad.physics.figures.calibration import fit_temperature
from fieldgrad.physics.figures.metrics import evaluate
from fieldgrad.physics.jets.batch import JetBatch
from fieldgrad.physics.jets.substructure import with_observables
from fieldgrad.physics.reading.datasets import OBSERVABLES
from fieldgrad.physics.reading.outputs import beside, write_columns
from fieldgrad.physics.simulation.generate import generate_dataset
from fieldgrad.physics.tagging import losses
from fieldgrad.physics.tagging.data import (
    MEMORY_GB,
    Files,
    JetData,
    note_data,
    open_jets,
    predict_all,
)
from fieldgrad.physics.tagging.inputs import jet_column
from fieldgrad.physics.tagging.model import ADAMW, JetModel
from fieldgrad.physics.tagging.network import as_described
from fieldgrad.physics.tagging.regressor import Regressor
from fieldgrad.physics.tagging.report import compare, compare_estimates
from fieldgrad.physics.tagging.tagger import Tagger

__all__ = ["made_jets", "train_regressor", "train_tagger"]

log = logging.getLogger("fieldgrad.physics")


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
    decorrelation: float = 0.0,
    observables: bool = False,
    baselines: bool = True,
    calibrate: bool = True,
    memory_gb: float = MEMORY_GB,
    skip_corrupt: bool = False,
    n_workers: int = 2,
    precision: Literal["float32", "auto", "bfloat16"] = "float32",
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
    decorrelation : float, default 0
        Strength with which the score shall know nothing of the jet's mass; see
        `losses.Decorrelated`.
    observables : bool, default False
        Let the network see mass, soft-drop mass, N-subjettiness and multiplicity of the jet too.
    baselines : bool, default True
        Grow boosted trees on these observables, to stand beside the network.
    calibrate : bool, default True
        Divide the logits by the temperature that suits the validation jets best.
    memory_gb : float, default 2
        Jets that would take more memory, 10⁹ bytes, are read anew in each epoch; 0: in any case.
    skip_corrupt : bool, default False
        Leave out damaged files, and say how many.
    n_workers : int, default 2
        Processes that make jets, where no file is given.
    precision : {"float32", "auto", "bfloat16"}, default "float32"
        Of large products; auto takes bfloat16 where the machine is faster in it
        (`engine.train.MixedPrecision`).
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
    if decorrelation:
        loss = losses.Decorrelated(decorrelation, loss=loss)
    wanted = getattr(loss, "observer", "")
    data = open_jets(
        # All folds are of the same jets.
        *_given_or_made(
            train, valid, test, run_dir.parent if fold else run_dir, n_jets, seed, n_workers
        ),
        config=config,
        observers=[wanted] if wanted else [],
        memory_gb=memory_gb,
        skip_corrupt=skip_corrupt,
        fold=fold,
        seed=seed,
    )
    note_data(data.record, run_dir, resume=resume)
    if baselines or observables:
        data = _with_observables(data)
    tagger = Tagger.build(
        model,
        data.sample,
        observables=OBSERVABLES if observables else (),
        seed=seed,
        **as_described(data.description),
    )
    learner = tagger.fit(
        data.train,
        data.valid,
        budget=budget,
        batch_size=batch_size,
        optimizer=optimizer,
        schedule=schedule,
        loss=loss,
        callbacks=[MixedPrecision(precision)],
        run_dir=run_dir,
        resume=resume,
        seed=seed,
    )
    if calibrate and not fold:
        watched = learner.predict()
        try:
            tagger.temperature = fit_temperature(watched.prediction, *watched.targets[:2])
        except DataError as error:  # few jets, all of them classified rightly
            log.info("the probabilities are left as they are: %s", error)
        tagger.save(run_dir / "model.safetensors")
    tested, p = _predicted(tagger, data, run_dir, learner)
    if fold:
        _write_fold(Fold.parse(fold), run_dir, tagger, data, _tagging_scores(tagger, data))
    name = type(tagger.network).__name__ + " + observables" * observables
    text = compare(
        {name: p},
        tested,
        run_dir,
        train=(data.train if isinstance(data.train, JetBatch) else data.sample)
        if baselines
        else None,
        observables=OBSERVABLES if baselines else (),
    )
    return _summary(name, tagger, data, learner, len(tested), text, run_dir, "roc.png")


def train_regressor(
    *,
    run_dir: Path,
    model: Callable[..., Module],
    target: str,
    quantiles: Sequence[float] = (),
    baseline: str = "",
    train: Files = "",
    valid: Files = "",
    test: Files = "",
    config: str = "",
    n_jets: int = 10_000,
    budget: str = "20 epochs",
    batch_size: int = 256,
    optimizer: Callable[[Iterable[Parameter]], Optimizer] = ADAMW,
    schedule: Callable[[float], float] = one_cycle,
    observables: Sequence[str] = (),
    memory_gb: float = MEMORY_GB,
    skip_corrupt: bool = False,
    n_workers: int = 2,
    precision: Literal["float32", "auto", "bfloat16"] = "float32",
    seed: int = 0,
    fold: str = "",
    resume: bool = False,
) -> str:
    """Train a network to estimate a number of each jet, and measure response and resolution.

    Parameters
    ----------
    run_dir : Path
        Folder for the results: model.safetensors, preprocess.json, history.csv, response.json and
        .csv, predictions.h5, and the plots with their numbers.
    model : callable
        Network, without its numbers of inputs and outputs.
    target : str
        What is estimated: a column of the files, a formula of the description, or an observable of
        the jet such as "jet_sdmass".
    quantiles : sequence of float, optional
        Quantiles to learn with the pinball loss, such as [0.16, 0.5, 0.84]; without any, one
        estimate is learned with LogCosh.
    baseline : str, optional
        An observable of the jet that stands beside the estimate, such as "jet_mass".
    train, valid, test : str, sequence of str or mapping, optional
        As for `train_tagger`.
    config : str, optional
        As for `train_tagger`.
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
    observables : sequence of str, optional
        Observables of the jet that the network sees beside the constituents.
    memory_gb : float, default 2
        As for `train_tagger`.
    skip_corrupt : bool, default False
        Leave out damaged files, and say how many.
    n_workers : int, default 2
        Processes that make jets, where no file is given.
    precision : {"float32", "auto", "bfloat16"}, default "float32"
        Of large products; auto takes bfloat16 where the machine is faster in it
        (`engine.train.MixedPrecision`).
    seed : int, default 0
        Of made jets, split, initial weights and order.
    fold : str, optional
        As for `train_tagger`.
    resume : bool, default False
        Continue the run in `run_dir`.

    Returns
    -------
    str
        The table of figures and where the files are.

    Raises
    ------
    FileError
        If a file is missing or damaged.
    DataError
        If the files do not fit the description, or do not have the target.
    """
    Plan(budget, 1)
    data = open_jets(
        *_given_or_made(
            train, valid, test, run_dir.parent if fold else run_dir, n_jets, seed, n_workers
        ),
        config=config,
        observers=[name for name in (target, baseline) if name],
        memory_gb=memory_gb,
        skip_corrupt=skip_corrupt,
        fold=fold,
        seed=seed,
    )
    note_data(data.record, run_dir, resume=resume)
    regressor = Regressor.build(
        model,
        data.sample,
        target=target,
        quantiles=quantiles,
        observables=observables,
        seed=seed,
        **as_described(data.description),
    )
    learner = regressor.fit(
        data.train,
        data.valid,
        budget=budget,
        batch_size=batch_size,
        optimizer=optimizer,
        schedule=schedule,
        callbacks=[MixedPrecision(precision)],
        run_dir=run_dir,
        resume=resume,
        seed=seed,
    )
    tested, found = _predicted(regressor, data, run_dir, learner)
    if fold:
        mae = float(learner.history[-1]["mae"])
        _write_fold(Fold.parse(fold), run_dir, regressor, data, {"mae": mae})
    name = type(regressor.network).__name__
    text = compare_estimates(regressor, found, tested, run_dir, baseline=baseline)
    return _summary(name, regressor, data, learner, len(tested), text, run_dir, "resolution.png")


def _given_or_made(
    train: Files, valid: Files, test: Files, run_dir: Path, n_jets: int, seed: int, n_workers: int
) -> tuple[Files, Files, Files]:
    if train:
        return train, valid, test
    if valid or test:
        raise DataError("valid or test files are given, and no training files. Give train=….")
    return made_jets(run_dir / "jets", n_jets, seed=seed, n_workers=n_workers)


def _with_observables(data: JetData) -> JetData:
    """Compute the observables of jets in memory once, for network and trees."""
    sample = with_observables(data.sample, OBSERVABLES)
    train, valid, test = (
        with_observables(jets, OBSERVABLES) if isinstance(jets, JetBatch) else jets
        for jets in (data.train, data.valid, data.test)
    )
    train = sample if data.train is data.sample else train
    return replace(data, train=train, valid=valid, test=test, sample=sample)


def _tagging_scores(tagger: Tagger, data: JetData) -> dict[str, float]:
    """Give the scores of a fold's own jets."""
    assert isinstance(data.valid, JetBatch)
    assert data.valid.labels is not None
    p = tagger.predict(data.valid)
    (first, *others) = evaluate(data.valid.labels, p, data.valid.weights, names=tagger.label_names)
    scores = {key: first[key] for key in ("auc", "accuracy", "rejection_50")}
    for row in others:
        scores |= {f"{key}_{row['signal']}": row[key] for key in ("auc", "rejection_50")}
    return scores


def _write_fold(
    fold: Fold, run_dir: Path, model: JetModel, data: JetData, scores: Mapping[str, float]
) -> None:
    """Write predictions for a fold's own jets, with their numbers in the training files."""
    jets, numbers = data.valid, data.numbers
    assert isinstance(jets, JetBatch)
    assert numbers is not None
    columns: dict[str, Any] = {"jet": numbers}
    if isinstance(model, Tagger):
        columns["label"] = np.array(model.label_names)[jets.labels]
    elif isinstance(model, Regressor):
        columns[model.target] = jet_column(jets, model.target).astype(float).round(6)
    columns |= {
        name: values.astype(float).round(6)
        for name, values in model.columns(model.predict(jets)).items()
    }
    lists = [values.tolist() for values in columns.values()]
    fold.write(
        run_dir, scores, (dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True))
    )


def _predicted(model: JetModel, data: JetData, run_dir: Path, learner: Learner) -> tuple[Any, Any]:
    """Write what a run has of any task, and the predictions for its test jets."""
    names = list(model.columns(model.predict(data.sample[:1])))
    model.preprocessing.write_cmssw(run_dir / "preprocess.json", names)
    plots.plot_history(learner.history, run_dir / "training.png")
    tested, found = predict_all(model, data.test, OBSERVABLES)
    file = "scores.h5" if isinstance(model, Tagger) else "predictions.h5"
    write_columns(run_dir / file, beside(tested, model.columns(found)))
    return tested, found


def _summary(
    name: str,
    model: JetModel,
    data: JetData,
    learner: Learner,
    n_tested: int,
    text: str,
    run_dir: Path,
    curves: str,
) -> str:
    skipped = data.record.get("skipped", {})
    left_out = f" {len(skipped)} damaged files were left out." if skipped else ""
    scores = "scores" if isinstance(model, Tagger) else "predictions"
    how = f", read anew in each epoch (sample of {len(data.sample):,})"
    return (
        f"\n{name}: {model.network.n_parameters():,} weights, trained on {len(data.train):,} jets"
        f"{how if data.record.get('streamed') else ''} for {learner.step:,} steps "
        f"({learner.history[-1]['seconds']:.0f} s).{left_out} On {n_tested:,} test jets:\n\n{text}"
        f"\n\nCurves: {run_dir / curves}. Use it for other jets: fieldgrad physics predict FILES "
        f"-m {run_dir / 'model.safetensors'} -o {scores}.root\n"
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
