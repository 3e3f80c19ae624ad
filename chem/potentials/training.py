"""Training potentials: dividing structures, errors on the way, and the fit that recipes share."""

from __future__ import annotations

import functools
import importlib.util
import inspect
import json
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.chem.potentials.checks import check_structures
from fieldgrad.chem.potentials.domain import Domain
from fieldgrad.chem.potentials.forcefield import ForceField, ForceLoss
from fieldgrad.chem.potentials.graphs import Graph, PairData
from fieldgrad.chem.potentials.potential import MODELS, Potential
from fieldgrad.chem.potentials.references import References, fit_references
from fieldgrad.chem.potentials.run_report import parity_pictures
from fieldgrad.chem.potentials.schnet import SchNet
from fieldgrad.chem.potentials.structures import Structures
from fieldgrad.engine import Tensor, nn
from fieldgrad.engine.data import Loader
from fieldgrad.engine.errors import DataError
from fieldgrad.engine.files import atomic_write
from fieldgrad.engine.ops.random import manual_seed
from fieldgrad.engine.optim import AdamW, Optimizer
from fieldgrad.engine.train import (
    Checkpoint,
    CSVLog,
    EMAWeights,
    Learner,
    Pictures,
    Progress,
    SaveOnSignal,
    ScheduleLR,
    StopOnNaN,
)
from fieldgrad.engine.train.events import Callback
from fieldgrad.engine.train.schedules import cosine

__all__ = [
    "Fitted",
    "ForceErrors",
    "Prepared",
    "fit_potential",
    "measure_domain",
    "new_potential",
    "potential_learner",
    "prepare",
    "settings_of",
    "split_blocks",
]

log = logging.getLogger("fieldgrad.chem")

N_BLOCKS = 20


@dataclass(frozen=True)
class Fitted:
    """What a training gives.

    Parameters
    ----------
    potential : Potential
        Ready to use; also in ``run_dir/model.safetensors``.
    test : Structures
        Those that were held back to test on.
    histories : list of list of dict
        For each network a row for each epoch, as `Learner.history`.
    """

    potential: Potential
    test: Structures
    histories: list[list[dict[str, float]]]


class ForceErrors:
    """Mean absolute errors of energies and forces, gathered over the batches of a validation.

    Gives ``energy_mae_mev`` (of a structure, meV), ``force_mae_mev`` (of a component, meV/Å), and
    ``stress_mae_mev`` (meV/Å³) where stresses are known.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all batches."""
        self.sums = np.zeros(3)
        self.counts = np.zeros(3)

    def update(self, prediction: Any, *targets: Any) -> None:
        """Take in one batch.

        Parameters
        ----------
        prediction : tuple of Tensor
            Of a `ForceField`.
        *targets : Tensor
            Energies, forces and stresses.
        """
        for k, (found, wanted) in enumerate(zip(prediction, targets, strict=False)):
            errors = np.abs(found.numpy() - wanted.numpy())
            known = np.isfinite(errors)
            self.sums[k] += float(errors[known].sum(dtype=np.float64))
            self.counts[k] += int(known.sum())

    def value(self) -> dict[str, float]:
        """Give the errors.

        Returns
        -------
        dict of str to float
            Those of which there is a number.
        """
        names = ("energy_mae_mev", "force_mae_mev", "stress_mae_mev")
        return {
            name: float(1e3 * self.sums[k] / self.counts[k])
            for k, name in enumerate(names)
            if self.counts[k]
        }


def split_blocks(n: int, held_back: Sequence[float | int], seed: int) -> list[NDArray[np.int64]]:
    """Divide structures into those to train on and others, by blocks of neighbors.

    Structures that follow one another in a trajectory are alike: held back one by one, they would
    be known already.

    Parameters
    ----------
    n : int
        Number of structures.
    held_back : sequence of float or int
        For each other part its number of structures, or its part of all if below 1.
    seed : int
        The same seed gives the same division.

    Returns
    -------
    list of ndarray of int64
        Numbers of the structures to train on, then those of each other part, ascending.

    Raises
    ------
    DataError
        If nothing would be left to train on.

    Examples
    --------
    >>> train, valid = split_blocks(100, [0.1], seed=0)
    >>> len(train), np.diff(valid).tolist()
    (90, [1, 1, 1, 1, 71, 1, 1, 1, 1])
    """
    sizes = [round(part * n) if 0 < part < 1 else int(part) for part in held_back]
    sizes = [max(size, 1) if part else 0 for size, part in zip(sizes, held_back, strict=True)]
    if sum(sizes) >= n or min(sizes, default=0) < 0:
        raise DataError(
            f"{n} structures cannot be divided: {', '.join(map(str, sizes))} held back leave none "
            "to train on. Hold back fewer, or add structures."
        )
    blocks = np.array_split(np.arange(n), min(n, N_BLOCKS))
    order = np.concatenate(
        [blocks[k] for k in np.random.default_rng(seed).permutation(len(blocks))]
    )
    stops = np.cumsum([0, *sizes])
    others = [np.sort(order[a:b]) for a, b in pairwise(stops)]
    return [np.sort(order[stops[-1] :]), *others]


@dataclass(frozen=True)
class Prepared:
    """Structures as a network is trained on them.

    Parameters
    ----------
    train, valid : PairData
        To train on, and to watch the training; maybe none to watch.
    test : Structures
        Those held back to test on.
    references : References
        What was subtracted from the energies.
    digest : str
        Checksum of all structures.
    """

    train: PairData
    valid: PairData
    test: Structures
    references: References
    digest: str


def prepare(
    structures: Structures,
    cutoff: float,
    *,
    run_dir: Path | None = None,
    held_back: Sequence[float],
    references: str | Mapping[str, float] = "least_squares",
    loss: ForceLoss,
    checks: bool = True,
    seed: int = 0,
) -> Prepared:
    """Check and divide structures, subtract references, find neighbors.

    Parameters
    ----------
    structures : Structures
        With energies, forces and maybe stresses.
    cutoff : float
        Up to which atoms are neighbors, Å.
    run_dir : Path, optional
        Folder for data.json: summary, checksum and division.
    held_back : sequence of 2 float
        As for `fit_potential`, like the others.
    references : str or mapping of str to float, default "least_squares"
        Energies of atoms to subtract.
    loss : ForceLoss
        Tells whether energies are needed.
    checks : bool, default True
        Look for wrong units and signs first.
    seed : int, default 0
        Seed of the division.

    Returns
    -------
    Prepared
        Ready for `potential_learner`.

    Raises
    ------
    DataError
        If the structures cannot be what they say, or have changed since the run began.
    """
    if checks:
        check_structures(structures, needs_energies=loss.energy > 0)
    parts = split_blocks(len(structures), held_back, seed)
    digest = structures.digest()
    train, valid, test = (structures[part] for part in parts)
    fitted = fit_references(train, references if loss.energy else "none")
    if run_dir is not None:
        _record(structures, digest, parts, fitted, run_dir / "data.json")
    log.info("training on %r; references %s", train, fitted)
    pairs, watched = (PairData(p, cutoff, fitted.of_structures(p)) for p in (train, valid))
    return Prepared(pairs, watched, test, fitted, digest)


def potential_learner(
    potential: Potential,
    k: int,
    data: Prepared,
    *,
    run_dir: Path | None,
    optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
    loss: ForceLoss,
    schedule: Callable[[float], float] | None = None,
    batch_size: int = 10,
    ema: float = 0.0,
    callbacks: Sequence[Callback] = (),
    seed: int = 0,
) -> Learner:
    """Make the learner that trains one network of a potential on energies, forces and stresses.

    Parameters
    ----------
    potential : Potential
        Its networks are trained in place; ``learner.save`` measures its domain and writes it.
    k : int
        Which network.
    data : Prepared
        Structures with pairs up to the network's cutoff.
    run_dir : Path or None
        Folder for checkpoints, history.csv and pictures; None to write nothing.
    optimizer : callable
        Parameters to optimizer.
    loss : ForceLoss
        Weights of energies, forces and stresses.
    schedule : callable, optional
        Progress to the factor of the learning rate; constant if left out, for `PlateauLR`.
    batch_size : int, default 10
        Structures in a step.
    ema : float, default 0
        Decay of a running average of the weights, which then validates and stays; 0 for none.
    callbacks : sequence of Callback
        Further ones.
    seed : int, default 0
        Seed of the order of structures.

    Returns
    -------
    Learner
        Not trained yet.
    """
    own: list[Callback] = [StopOnNaN(), Progress(), *callbacks]
    if schedule is not None:
        own.append(ScheduleLR(schedule))
    if ema:
        own.append(EMAWeights(ema))
    if run_dir is not None:
        own += [Checkpoint(every_epochs=10), SaveOnSignal(), CSVLog()]
        if len(data.valid) and importlib.util.find_spec("matplotlib") is not None:
            own.append(Pictures(parity_pictures(potential, data.valid.structures)))

    def write(path: str | os.PathLike[str]) -> None:
        measure_domain(potential, data.train)
        potential.save(path)

    train, valid = data.train, data.valid
    field = ForceField(potential.networks[k], stress=loss.stress > 0)
    learner = Learner(
        field,
        loss,
        optimizer(field.parameters()),
        Loader(range(len(train)), batch_size, shuffle=True, seed=seed, collate=train.batch),
        Loader(range(len(valid)), max(batch_size, 32), collate=valid.batch) if len(valid) else None,
        metrics=[ForceErrors()] if len(valid) else [],
        callbacks=own,
        run_dir=run_dir,
        seed=seed,
        write_model=write,
        field="chem",
    )
    learner.notes |= {
        name: potential.about[name] for name in ("recipe",) if name in potential.about
    }
    return learner


def fit_potential(
    structures: Structures,
    *,
    run_dir: Path,
    budget: str = "100 epochs",
    model: Callable[..., nn.Module] = SchNet,
    optimizer: Callable[[Iterable[nn.Parameter]], Optimizer] = AdamW,
    schedule: Callable[[float], float] | None = cosine,
    batch_size: int = 10,
    loss: ForceLoss | None = None,
    ema: float = 0.0,
    references: str | Mapping[str, float] = "least_squares",
    held_back: tuple[float, float] = (0.05, 0.05),
    n_networks: int = 1,
    checks: bool = True,
    callbacks: Sequence[Callback] = (),
    seed: int = 0,
    resume: bool = False,
) -> Fitted:
    """Train a potential on structures.

    Parameters
    ----------
    structures : Structures
        With energies, forces and maybe stresses.
    run_dir : Path
        Folder for data.json (checksum and division), checkpoints, history.csv, model.safetensors.
    budget : str, default "100 epochs"
        Length of the training, or its time, such as "10min".
    model : callable, default SchNet
        The network, its settings bound to it.
    optimizer : callable, default AdamW
        Parameters to optimizer.
    schedule : callable, optional
        Progress to the factor of the learning rate.
    batch_size : int, default 10
        Structures in a step.
    loss : ForceLoss, optional
        Weights of energies, forces and stresses.
    ema : float, default 0
        Decay of a running average of the weights; 0 for none.
    references : str or mapping of str to float, default "least_squares"
        Energies of atoms to subtract; see `fit_references`.
    held_back : tuple of 2 float, default (0.05, 0.05)
        Part of the structures, or from 1 on their number, to watch the training, and to test on.
    n_networks : int, default 1
        Networks of a committee, which differ in their first weights and in the order of structures.
    checks : bool, default True
        Look for wrong units and signs first.
    callbacks : sequence of Callback
        Further ones for the training.
    seed : int, default 0
        Seed of division, weights and order.
    resume : bool, default False
        Continue the run in `run_dir`.

    Returns
    -------
    Fitted
        The potential, the structures it was not shown, and the curves.

    Raises
    ------
    DataError
        If the structures cannot be what they say, or have changed since the run began.
    """
    loss = loss or ForceLoss()
    settings = settings_of(model)
    data = prepare(
        structures, settings["cutoff"], run_dir=run_dir, held_back=held_back,
        references=references, loss=loss, checks=checks, seed=seed,
    )  # fmt: skip
    recipe = run_dir / "recipe.toml"
    # Whoever finds a checkpoint or model alone still knows how it was made.
    notes = {"recipe": recipe.read_text(encoding="utf-8")} if recipe.exists() else {}
    networks = []
    for k in range(n_networks):
        manual_seed(seed + k)
        networks.append(model())
    potential = new_potential(networks, settings, data, stress=loss.stress > 0, about=notes)
    histories = []
    for k in range(n_networks):
        learner = potential_learner(
            potential,
            k,
            data,
            run_dir=run_dir / f"network-{k + 1}" if n_networks > 1 else run_dir,
            optimizer=optimizer,
            loss=loss,
            schedule=schedule,
            batch_size=batch_size,
            ema=ema,
            callbacks=callbacks,
            seed=seed + k,
        )
        learner.fit(budget, resume=resume)
        histories.append(learner.history)
    learner.save(run_dir / "model.safetensors")
    return Fitted(potential, data.test, histories)


def new_potential(
    networks: Sequence[nn.Module],
    settings: Mapping[str, Any],
    data: Prepared,
    *,
    stress: bool,
    about: Mapping[str, str] | None = None,
) -> Potential:
    """Put networks, trained or to be trained, and what they need around them in a potential.

    Parameters
    ----------
    networks : sequence of Module
        SchNets or PaiNNs.
    settings : mapping
        What they were built with.
    data : Prepared
        What they are trained on.
    stress : bool
        Whether on stresses, too.
    about : mapping of str to str, optional
        Further words for users of the potential.

    Returns
    -------
    Potential
        Without a domain yet; see `measure_domain`.
    """
    train = data.train.structures
    return Potential(
        networks,
        next(name for name, kind in MODELS.items() if isinstance(networks[0], kind)),
        settings,
        data.references,
        np.unique(train.numbers).tolist(),
        stress=stress,
        about={"trained on": repr(train), "sha256": data.digest, **(about or {})},
    )


def measure_domain(potential: Potential, data: PairData) -> None:
    """Let a potential know what the atoms of training look like to its first network.

    Parameters
    ----------
    potential : Potential
        Whose domain is set.
    data : PairData
        What it was trained on.
    """
    numbers, features = [], []
    for start in range(0, len(data), 64):
        graph, *_ = data.batch(range(start, min(start + 64, len(data))))
        tensors = Graph(*(Tensor(entry) for entry in graph))
        numbers.append(graph.numbers)
        features.append(potential.describe(tensors))
    potential.domain = Domain.fit(np.concatenate(numbers), np.concatenate(features))


def settings_of(model: Callable[..., Any]) -> dict[str, Any]:
    """Give every keyword argument of a network, defaults included.

    Parameters
    ----------
    model : callable
        Its class, with settings bound or not.

    Returns
    -------
    dict
        By name.
    """
    given = model.keywords if isinstance(model, functools.partial) else {}
    target = model.func if isinstance(model, functools.partial) else model
    defaults = {
        name: parameter.default for name, parameter in inspect.signature(target).parameters.items()
    }
    return {**defaults, **given}


def _record(
    structures: Structures, digest: str, parts: Sequence[Any], references: References, path: Path
) -> None:
    """Write which structures were trained on; continued, a run must keep data and division."""
    names = ("train", "valid", "test")
    record: dict[str, Any] = {"sha256": digest, "source": structures.source}
    record |= {name: part.tolist() for name, part in zip(names, parts, strict=True)}
    if path.exists():
        earlier = json.loads(path.read_text(encoding="utf-8"))
        if any(earlier.get(name) != record[name] for name in ("sha256", *names)):
            raise DataError(
                f"{structures.source} or its division has changed since the run in {path.parent} "
                f"began ({path.name} differs).\nRestore the data, or start a new run in another "
                "folder (--out)."
            )
        return
    record |= {"summary": structures.summary(), "references": str(references)}
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(record) + "\n", encoding="utf-8")
