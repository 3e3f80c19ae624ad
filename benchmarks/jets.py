"""Making and reading jets, and training on more of them than memory holds: speeds and peaks.

A million made-up jets (one file of 50,000, twenty times) are more than `open_jets` holds in memory:
a small PFN trains on one pass over them as `fieldgrad physics train` does, in a process of its own
whose peak is what the operating system says. Where Pythia and FastJet are installed, 600 jets are
made with them too; made-up jets only look like jets.
"""

import importlib.util
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import fieldgrad.engine as fg
from benchmarks.memory import resident
from benchmarks.runner import Row
from fieldgrad.physics.jets.features import KINEMATIC
from fieldgrad.physics.jets.substructure import observables
from fieldgrad.physics.reading.config import DataConfig
from fieldgrad.physics.reading.datasets import made_up_jets
from fieldgrad.physics.reading.outputs import write_columns, write_reference_table
from fieldgrad.physics.reading.streams import JetStream
from fieldgrad.physics.simulation.generate import generate_dataset
from fieldgrad.physics.tagging.data import open_jets
from fieldgrad.physics.tagging.network import as_described
from fieldgrad.physics.tagging.tagger import Tagger

N_JETS, N_TIMES = 50_000, 20
N_MADE = 300  # of each process, by Pythia
LIMIT = 2000  # MB
CONFIG = DataConfig.from_table(
    {
        "inputs": {
            "pf_features": {
                "length": 128,
                "vars": [[v.name, v.center or 0.0, v.scale, -5, 5]
                         for v in KINEMATIC.group("features").variables],
            }
        },
        "labels": {"type": "index", "value": "is_signal_new", "names": ["QCD", "top"]},
    }
)  # fmt: skip


def seconds_of(work: Callable[[], Any]) -> float:
    """Time one piece of work."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def stream(file: Path, threads: int) -> None:
    """Train on one pass over the file's repetitions; print seconds, number of jets, and MB."""
    fg.set_num_threads(threads)
    data = open_jets([file] * N_TIMES, [file], [file])
    assert isinstance(data.train, JetStream)
    inputs = as_described(data.description)
    tagger = Tagger.build("pfn", data.sample, phi=(32, 32), f=(32,), **inputs)
    learner = tagger.fit(data.train, data.valid, batch_size=512, budget="1 epochs")
    print(learner.history[0]["seconds"], len(data.train), resident("VmHWM"))


def rows(threads: int, seconds: float) -> Iterator[Row]:
    """Speeds of making, reading and of observables; then the long stream."""
    if all(importlib.util.find_spec(name) for name in ("pythia8mc", "fastjet")):
        with tempfile.TemporaryDirectory() as name:
            taken = seconds_of(lambda: generate_dataset(Path(name), ["ttbar", "qcd"], N_MADE,
                                                        n_workers=threads))  # fmt: skip
        yield Row("make jets with Pythia, half of them top", 2 * N_MADE / taken, "/s")
    jets = made_up_jets(10_000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_reference_table(folder / "jets.h5", jets)
        reading = JetStream(folder / "jets.h5", CONFIG).read
        rate = len(jets) / min(seconds_of(reading) for _ in range(3))
        yield Row("read an HDF5 table, 7 features", rate / 1000, "k/s")
        rate = len(jets) / min(seconds_of(lambda: observables(jets)) for _ in range(3))
        yield Row("14 observables of a jet", rate / 1000, "k/s")
        scores = {f"score_{k}": np.zeros(100_000) for k in range(4)}
        for suffix in (".root", ".h5"):
            path = folder / f"scores{suffix}"
            taken = min(seconds_of(lambda path=path: write_columns(path, scores)) for _ in range(3))
            yield Row(f"write 4 scores, {suffix}", 100 / taken, "k/s")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_reference_table(folder / "jets.h5", made_up_jets(N_JETS))
        command = [sys.executable, "-m", "benchmarks.jets", str(folder / "jets.h5"), str(threads)]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    yield Row("peak of a stream of 10⁶ jets", float(out[2]), "MB", "limit", LIMIT,
              LIMIT / float(out[2]), 1.0)  # fmt: skip
    yield Row("training on it, a pass with validation", float(out[1]) / float(out[0]) / 1000,
              "k/s")  # fmt: skip


if __name__ == "__main__":
    stream(Path(sys.argv[1]), int(sys.argv[2]))
