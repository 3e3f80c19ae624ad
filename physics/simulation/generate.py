"""Jets made here: Pythia's events, a parametrized detector, FastJet's jets.

So that a fresh installation has real physics to learn from, with no download. The result depends
on the seed and the settings alone, not on the number of workers.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine.errors import DataError, require, suggest
from fieldgrad.engine.files import atomic_write
from fieldgrad.physics.jets import kinematics
from fieldgrad.physics.jets.batch import JetBatch, concatenate
from fieldgrad.physics.reading.outputs import write_reference_table
from fieldgrad.physics.simulation.detector import Objects, simulate

Array = NDArray[Any]

__all__ = ["PROCESSES", "Cuts", "generate", "generate_dataset"]

_log = logging.getLogger(__name__)

# Pythia's settings by process.
PROCESSES: Mapping[str, tuple[str, ...]] = {
    "qcd": ("HardQCD:all = on",),
    "ttbar": (
        "Top:gg2ttbar = on",
        "Top:qqbar2ttbar = on",
        "24:onMode = off",
        "24:onIfAny = 1 2 3 4 5",  # W to quarks only
    ),
}
_COMMON = (
    "Beams:eCM = 14000.",
    "PartonLevel:MPI = off",
    "Print:quiet = on",
    "Random:setSeed = on",
)
_BLOCK = 500  # events with one seed: the unit of work


@dataclass(frozen=True)
class Cuts:
    """Which jets are kept.

    Parameters
    ----------
    pt : tuple of two float, default (550, 650)
        Range of the jets' transverse momentum, GeV.
    eta : float, default 2
        Largest absolute pseudorapidity.
    radius : float, default 0.8
        Radius of the anti-kT algorithm, and the largest distance of a top quark and its three
        decay quarks from the axis of its jet.
    per_event : int, default 2
        Most jets of an event, the hardest ones.
    """

    pt: tuple[float, float] = (550.0, 650.0)
    eta: float = 2.0
    radius: float = 0.8
    per_event: int = 2

    @property
    def hat(self) -> tuple[float, float]:
        """Range of Pythia's pTHat that fills the range of pt, GeV."""
        return self.pt[0] - 30, self.pt[1] + 150


def generate(
    process: str,
    n_jets: int,
    *,
    seed: int = 0,
    cuts: Cuts | None = None,
    n_workers: int = 1,
    progress: Callable[[int, int], object] | None = None,
) -> JetBatch:
    """Generate jets of one process.

    Parameters
    ----------
    process : {"qcd", "ttbar"}
        ``ttbar``: jets that hold a top quark and its decay quarks, W bosons decaying to quarks.
        ``qcd``: jets of gluons and of light, charm and bottom quarks.
    n_jets : int
        How many.
    seed : int, default 0
        Seed of all randomness.
    cuts : Cuts, optional
        Which jets are kept; the defaults of `Cuts` if left out.
    n_workers : int, default 1
        Processes that work at once; the jets are the same for any number. In a script, more than
        one need the usual ``if __name__ == "__main__":``.
    progress : callable, optional
        Called with the number of jets so far and `n_jets`.

    Returns
    -------
    JetBatch
        Jets with constituents by falling pt; features ``charge`` and ``kind`` (as
        `fieldgrad.physics.simulation.detector.Objects`), label 0 (QCD) or 1 (top), observers
        ``event`` and ``truthE``, ``truthPX``, ``truthPY``, ``truthPZ`` (the top quark before its
        decay; 0 for QCD).

    Raises
    ------
    DataError
        If the process is not known, or no jet passes the cuts.
    MissingExtra
        If pythia8mc or fastjet is not installed.

    Notes
    -----
    Proton-proton collisions at 14 TeV, default (Monash) tune, no multiple parton interactions, no
    pile-up. About 2 to 3 events per jet for ttbar, 1.5 for QCD.

    References
    ----------
    C. Bierlich et al., "A comprehensive guide to the physics and usage of PYTHIA 8.3", SciPost
    Phys. Codebases 8 (2022), arXiv:2203.11601; M. Cacciari, G. Salam, G. Soyez, "FastJet user
    manual", EPJ C72 (2012) 1896, arXiv:1111.6097; the selection follows G. Kasieczka et al., "The
    Machine Learning Landscape of Top Taggers", SciPost Phys. 7 (2019) 014, arXiv:1902.09914.
    """
    if process not in PROCESSES:
        raise DataError(
            f"generate: there is no process {process!r}{suggest(process, PROCESSES) or ';'} "
            f"expected one of {', '.join(PROCESSES)}."
        )
    if n_jets < 1:
        raise DataError(f"generate: n_jets is {n_jets}; expected 1 or more.")
    for library in ("pythia8mc", "fastjet", "vector", "awkward"):
        require(library, extra="physics-gen")
    cuts = cuts or Cuts()
    batches: list[JetBatch] = []
    n_made = n_events = 0
    for jets in _blocks(process, seed, cuts, n_workers):
        n_events += _BLOCK
        batches.append(jets)
        n_made += len(jets)
        if progress is not None:
            progress(min(n_made, n_jets), n_jets)
        if n_made >= n_jets:
            break
        if n_events >= 20 * _BLOCK and n_made == 0:
            raise DataError(
                f"generate: {n_events} events of {process} gave no jet with {cuts}. Widen the cuts."
            )
    _log.info("%s: %d events, %d jets", process, n_events, n_made)
    return concatenate(batches)[:n_jets]


def generate_dataset(
    folder: str | os.PathLike[str],
    processes: Sequence[str],
    n_jets: int,
    *,
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    cuts: Cuts | None = None,
    n_workers: int = 1,
    progress: Callable[[str, int, int], object] | None = None,
) -> dict[str, tuple[int, int]]:
    """Generate jets and write them as train.h5, val.h5 and test.h5.

    Parameters
    ----------
    folder : path-like
        Where to write the files, in the layout of the top-tagging reference, and
        ``generation.json`` with settings, seed and versions.
    processes : sequence of str
        As for `generate`.
    n_jets : int
        Jets of each process, all files together.
    fractions : sequence of three float, default (0.8, 0.1, 0.1)
        Parts of the jets for the files; no event feeds two of them. A file of part 0 is not
        written.
    seed : int, default 0
        Seed of all randomness.
    cuts : Cuts, optional
        Which jets are kept.
    n_workers : int, default 1
        Processes that work at once.
    progress : callable, optional
        Called with the name of the process, the number of jets so far, and `n_jets`.

    Returns
    -------
    dict of str to tuple of two int
        By file, the number of QCD and of top jets.

    Raises
    ------
    DataError
        If an argument is out of its range.
    MissingExtra
        If pythia8mc or fastjet is not installed.
    """
    folder, cuts = Path(folder), cuts or Cuts()
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise DataError(
            f"generate: fractions are {list(fractions)}; expected three parts for training, "
            "validation and test that sum to 1."
        )
    unknown = [name for name in processes if name not in PROCESSES]
    if unknown or not processes or len(set(processes)) < len(processes):
        raise DataError(
            f"generate: the processes are {', '.join(processes) or 'none'}; expected some of "
            f"{', '.join(PROCESSES)}, each once."
        )
    parts: list[list[JetBatch]] = [[], [], []]
    for name in processes:
        report = None if progress is None else functools.partial(progress, name)
        jets = generate(name, n_jets, seed=seed, cuts=cuts, n_workers=n_workers, progress=report)
        event = jets.observers["event"]
        # An event's second jet follows its first into the same file.
        ends = [
            int(np.searchsorted(event, event[end - 1], side="right")) if end else 0
            for end in np.round(np.cumsum(fractions) * n_jets).astype(int)
        ]
        for part, start, end in zip(parts, [0, *ends[:-1]], ends, strict=True):
            part.append(jets[start:end])
    counts = {}
    for name, split, part in zip(("train", "val", "test"), (0, 2, 1), parts, strict=True):
        jets = concatenate(part)
        if not len(jets):
            continue
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(len(PROCESSES), split)))
        write_reference_table(folder / f"{name}.h5", jets[rng.permutation(len(jets))], split=split)
        n_top = int(jets.labels.sum()) if jets.labels is not None else 0
        counts[f"{name}.h5"] = (len(jets) - n_top, n_top)
    record = {
        "processes": {name: PROCESSES[name] for name in processes},
        "settings": [line for line in _COMMON if not line.startswith("Print")],
        "cuts": asdict(cuts),
        "n_jets": n_jets,
        "fractions": list(fractions),
        "seed": seed,
        "files": {name: {"QCD": n[0], "top": n[1]} for name, n in counts.items()},
        "versions": {x: metadata.version(x) for x in ("fieldgrad", "pythia8mc", "fastjet")},
    }
    with atomic_write(folder / "generation.json") as temporary:
        temporary.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return counts


def _blocks(process: str, seed: int, cuts: Cuts, n_workers: int) -> Iterator[JetBatch]:
    """Give the jets of block after block, without end."""
    if n_workers == 1:
        number = 0
        while True:
            yield _block(process, seed, number, cuts, _BLOCK)
            number += 1
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(n_workers, mp_context=context) as pool:
        ahead = [pool.submit(_block, process, seed, k, cuts, _BLOCK) for k in range(n_workers + 1)]
        number = len(ahead)
        try:
            while True:
                yield ahead.pop(0).result()
                ahead.append(pool.submit(_block, process, seed, number, cuts, _BLOCK))
                number += 1
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _block(process: str, seed: int, number: int, cuts: Cuts, n_events: int) -> JetBatch:
    pythia8 = require("pythia8mc", extra="physics-gen")
    key = (sorted(PROCESSES).index(process), number)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
    pythia = pythia8.Pythia("", False)
    settings = (
        f"Random:seed = {rng.integers(1, 900_000_000)}",  # the range that Pythia takes
        f"PhaseSpace:pTHatMin = {cuts.hat[0]}",
        f"PhaseSpace:pTHatMax = {cuts.hat[1]}",
    )
    for line in (*_COMMON, *PROCESSES[process], *settings):
        pythia.readString(line)
    pythia.init()
    particles = pythia.nextBatch(n_events).prt
    counts = _flat_counts(particles)
    flat = {name: np.asarray(_flatten(particles[name])) for name in
            ("id", "status", "daughter1", "daughter2")}  # fmt: skip
    momenta = np.stack([np.asarray(_flatten(particles.p[x])) for x in ("e", "px", "py", "pz")], 1)
    starts = np.concatenate([[0], np.cumsum(counts)])
    event = np.repeat(np.arange(len(counts)), counts)
    final = flat["status"] > 0
    seen = simulate(event[final], flat["id"][final].astype(np.int64), momenta[final], rng)
    jets = _find_jets(seen, len(counts), cuts)
    jets = jets.replace(
        labels=np.full(len(jets), int(process == "ttbar")), label_names=("QCD", "top")
    )
    truth = np.zeros((len(jets), 4))
    if process == "ttbar":
        matched = np.zeros(len(jets), bool)
        axes = jets.momenta
        for i, e in enumerate(jets.observers["event"]):
            rows = slice(starts[e], starts[e + 1])
            tops = _tops({name: column[rows] for name, column in flat.items()})
            for top, quarks in tops:
                partons = momenta[rows][[top, *quarks]]
                if (_distance(axes[i], partons) < cuts.radius).all():
                    matched[i], truth[i] = True, partons[0]
        jets, truth = jets[matched], truth[matched]
    columns = dict(zip(("truthE", "truthPX", "truthPY", "truthPZ"), truth.T, strict=True))
    events = jets.observers["event"] + number * n_events
    return jets.replace(observers={"event": events, **columns})


def _flatten(array: Any) -> Any:
    return require("awkward", extra="physics-gen").flatten(array)


def _flat_counts(array: Any) -> NDArray[np.int64]:
    return np.asarray(require("awkward", extra="physics-gen").num(array))


def _distance(axis: Array, others: Array) -> Array:
    return kinematics.delta_r(
        kinematics.eta(*axis[1:]), kinematics.phi(*axis[1:3]),
        kinematics.eta(*others.T[1:]), kinematics.phi(*others.T[1:3]),
    )  # fmt: skip


def _tops(particles: Mapping[str, Array]) -> Iterator[tuple[int, tuple[int, int, int]]]:
    """Find the top quarks of an event as they decay, with their b quark and the two of the W."""
    identity, first, second = (particles[x] for x in ("id", "daughter1", "daughter2"))
    for top in np.flatnonzero(np.abs(identity) == 6):
        daughters = (int(first[top]), int(second[top]))
        bosons = [d for d in daughters if abs(identity[d]) == 24]
        if len(bosons) != 1 or identity[top] in identity[list(daughters)]:
            continue  # not its last copy
        w = bosons[0]
        quark = daughters[1 - daughters.index(w)]
        while identity[first[w]] == identity[w]:
            w = int(first[w])
        yield int(top), (quark, int(first[w]), int(second[w]))


def _find_jets(objects: Objects, n_events: int, cuts: Cuts) -> JetBatch:
    """Cluster the objects of each event and keep the jets that pass."""
    ak = require("awkward", extra="physics-gen")
    fastjet = require("fastjet", extra="physics-gen")
    require("vector", extra="physics-gen").register_awkward()
    with contextlib.suppress(AttributeError):
        # One banner of each worker would bury what the command line says, which names the paper.
        fastjet._swig.ClusterSequence.set_fastjet_banner_stream(None)
    counts = np.bincount(objects.event, minlength=n_events)
    filled = np.flatnonzero(counts > 0)
    columns = dict(zip(("E", "px", "py", "pz"), objects.vectors.T, strict=True))
    vectors = ak.unflatten(ak.zip(columns, with_name="Momentum4D"), counts[filled])
    definition = fastjet.JetDefinition(fastjet.antikt_algorithm, cuts.radius)
    sequence = fastjet.ClusterSequence(vectors, definition)
    members = sequence.constituent_index(min_pt=cuts.pt[0])  # events * jets * constituents
    starts = np.concatenate([[0], np.cumsum(counts[filled])])
    per_event = np.asarray(ak.num(members))
    per_jet = np.asarray(ak.flatten(ak.num(members, axis=2)))
    event = np.repeat(np.arange(len(filled)), per_event)
    rows = np.asarray(ak.flatten(members, axis=None)) + np.repeat(starts[event], per_jet)
    jet = np.repeat(np.arange(len(event)), per_jet)
    order = np.lexsort((-kinematics.pt(*objects.vectors[rows].T[1:3]), jet))
    rows = rows[order]
    jets = JetBatch(
        np.concatenate([[0], np.cumsum(per_jet)]),
        objects.vectors[rows],
        features={"charge": objects.charge[rows], "kind": objects.kind[rows]},
        observers={"event": filled[event]},
    )
    inside = (jets.pt > cuts.pt[0]) & (jets.pt < cuts.pt[1]) & (np.abs(jets.eta) < cuts.eta)
    jets = jets[inside]
    events = jets.observers["event"]
    order = np.lexsort((-jets.pt, events))
    events = events[order]
    rank = np.arange(len(events)) - np.searchsorted(events, events)
    return jets[order[rank < cuts.per_event]]
