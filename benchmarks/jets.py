"""Reading jets and training on more of them than memory holds: speeds and peaks.

The jets are made up; a million of them (one file of 50,000, twenty times) are streamed through a
buffer of 100,000 into a small Deep Sets network, in a process of its own whose peak is what the
operating system says.
"""

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
from fieldgrad.physics.jets.batch import JetBatch
from fieldgrad.physics.jets.features import KINEMATIC
from fieldgrad.physics.jets.substructure import observables
from fieldgrad.physics.reading.config import DataConfig
from fieldgrad.physics.reading.datasets import made_up_jets
from fieldgrad.physics.reading.outputs import write_columns, write_reference_table
from fieldgrad.physics.reading.streams import JetLoader, JetStream
from fieldgrad.shared_models import DeepSets

N_JETS, N_TIMES, BUFFER = 50_000, 20, 100_000
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
    fg.manual_seed(0)
    model = DeepSets(7, 2, phi=(32, 32), f=(32,))
    optimizer = fg.optim.Adam(model.parameters(), lr=1e-3)
    loader = JetLoader(
        JetStream([file] * N_TIMES, CONFIG), 512, batch_of, shuffle=True, buffer_size=BUFFER
    )
    start, n_jets = time.perf_counter(), 0
    for (values, offsets), labels in loader.iterate(0):
        loss = fg.cross_entropy(model(fg.tensor(values), offsets), fg.tensor(labels))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        n_jets += len(labels)
    print(time.perf_counter() - start, n_jets, resident("VmHWM"))


def batch_of(jets: JetBatch) -> Any:
    """Make a ragged batch and its labels."""
    return CONFIG.inputs.ragged(jets, "features"), jets.labels


def rows(threads: int, seconds: float) -> Iterator[Row]:
    """Speeds of reading and of observables; then the long stream."""
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
    yield Row("training on it", float(out[1]) / float(out[0]) / 1000, "k/s")


if __name__ == "__main__":
    stream(Path(sys.argv[1]), int(sys.argv[2]))
