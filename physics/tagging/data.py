"""Jets to train on, to watch and to test with: read into memory, or streamed if they are many."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine.errors import DataError, FileError
from fieldgrad.engine.files import atomic_write
from fieldgrad.engine.runs.report import read_data_record
from fieldgrad.engine.train.folds import Fold
from fieldgrad.physics.jets.batch import JetBatch, concatenate
from fieldgrad.physics.jets.substructure import OBSERVABLES, with_observables
from fieldgrad.physics.jets.weights import sum_weights
from fieldgrad.physics.reading.config import DataConfig
from fieldgrad.physics.reading.datasets import describe
from fieldgrad.physics.reading.streams import JetStream, find_files
from fieldgrad.physics.tagging.model import JetModel, Jets

__all__ = ["Files", "JetData", "note_data", "open_jets", "predict_all"]

log = logging.getLogger("fieldgrad.physics")

Files = str | Sequence[str] | Mapping[str, str]

MEMORY_GB = 2.0
# Of the size of the jets: pieces are joined when they are read, and the inputs stand beside them.
COPIES = 2.5
HELD_BACK = 0.1  # for what no files are given
EDGE = 1 << 20  # bytes at both ends of a file that enter its fingerprint


@dataclass(frozen=True)
class JetData:
    """The jets of a training.

    Parameters
    ----------
    train, valid, test : JetBatch or JetStream
        To train on, to watch and to test with.
    sample : JetBatch
        Jets that stand for those to train on: all of them in memory, some of a stream. Those of
        all folds, so that their networks see the same inputs and can be joined.
    description : DataConfig or None
        What the files were read with, without the observers that the task wanted beside.
    record : dict
        What ``data.json`` says of them.
    numbers : ndarray of int64, optional
        Of a fold: which of the jets of the training files are those to watch with.
    """

    train: Jets
    valid: Jets
    test: Jets
    sample: JetBatch
    description: DataConfig | None
    record: dict[str, Any]
    numbers: NDArray[np.int64] | None = None


def open_jets(
    train: Any,
    valid: Any = "",
    test: Any = "",
    *,
    config: str = "",
    observers: Sequence[str] = (),
    memory_gb: float = MEMORY_GB,
    skip_corrupt: bool = False,
    fold: str = "",
    seed: int = 0,
) -> JetData:
    """Read jets, or prepare to stream them.

    Parameters
    ----------
    train, valid, test : path-like, sequence of these, mapping or JetBatch
        Files or patterns, by class if a mapping, or jets in memory. Without jets to watch or to
        test with, a tenth of those to train on is held back: at random in memory, the last parts
        of every chunk of a stream.
    config : str, optional
        Path of a description; that of the first file's layout by default.
    observers : sequence of str, optional
        Columns that are wanted beside those of the description.
    memory_gb : float, default 2
        Jets that would take more memory, 10⁹ bytes, are streamed: read anew in each epoch; 0 to
        stream always.
    skip_corrupt : bool, default False
        Leave out damaged files and count them.
    fold : str, optional
        Watch with this fold of the training jets, such as "2/5", which then are in memory; test
        with them too without files for that.
    seed : int, default 0
        Of the split.

    Returns
    -------
    JetData
        With the weights of a reweighting, if the description has one.

    Raises
    ------
    FileError
        If a file is missing or damaged.
    DataError
        If the files do not fit the description, or nothing is left of them.
    """
    if fold and valid:
        raise DataError(
            "fold and valid are both given; the jets of a fold are those to validate with. Leave "
            "the validation files out."
        )
    if isinstance(train, JetBatch):
        return _in_memory(train, valid, test, None, {}, seed)
    description = DataConfig.load(config) if config else _describe(train, skip_corrupt)
    wanted = description.observing(observers)
    held = [1.0 - HELD_BACK * (not valid) - HELD_BACK * (not test), 1.0 - HELD_BACK * (not test)]
    options: dict[str, Any] = {"skip_corrupt": skip_corrupt}
    streams = {
        "train": JetStream(train, wanted, part=(0.0, held[0]), **options),
        "valid": JetStream(valid or train, wanted, **options,
                           part=(0.0, 1.0) if valid else (held[0], held[1])),
        "test": JetStream(test or train, wanted, training=not test, **options,
                          part=(0.0, 1.0) if test else (held[1], 1.0)),
    }  # fmt: skip
    some = streams["train"].sample(1000)
    n_entries = sum(stream.n_entries for stream in streams.values())
    size = COPIES * some.nbytes / max(len(some), 1) * n_entries / 1e9
    files = [file for given in (train, valid, test) if given for file in _files(given)]
    record: dict[str, Any] = {
        "files": len(files),
        "sha256": _fingerprint(files),
        "skipped": {name: why for s in streams.values() for name, why in s.skipped.items()},
        "streamed": size > memory_gb,
    }
    if record["streamed"] and fold:
        raise DataError(
            f"a fold needs the jets in memory, of which they would take about {size:.2g} GB; "
            f"memory_gb is {memory_gb:g}. Raise it, or train without folds."
        )
    if not record["streamed"]:
        whole = JetStream(train, wanted, **options).read()
        watched = streams["valid"].read() if valid else None
        tested = streams["test"].read() if test else None
        if fold:
            return _fold(whole, tested, description, record, fold, seed)
        return _in_memory(whole, watched, tested, description, record, seed)
    sample = streams["train"].sample(seed=seed)
    log.info(
        "%s jets would take about %.2g GB of memory, more than memory_gb = %g: they are read anew "
        "in each epoch. Constants, weights and trees are found from a sample of %s of them.",
        f"{n_entries:,}", size, memory_gb, f"{len(sample):,}",
    )  # fmt: skip
    record |= {name: len(stream) for name, stream in streams.items()} | {"sample": len(sample)}
    record["classes"] = _classes(sample)
    sample = streams["train"].reweight(sample)
    return JetData(streams["train"], streams["valid"], streams["test"], sample, description, record)


def _in_memory(
    train: JetBatch,
    valid: JetBatch | None,
    test: JetBatch | None,
    description: DataConfig | None,
    record: dict[str, Any],
    seed: int,
) -> JetData:
    """Hold back at random what is missing, and reweight."""
    parts, share = [], round(1 / HELD_BACK)
    for given in (valid, test):
        if given:
            parts.append(given)
            continue
        mixed = train[np.random.default_rng(seed).permutation(len(train))]
        n_taken = max(len(train) // share, 1)
        parts.append(mixed[:n_taken])
        train, share = mixed[n_taken:], share - 1
    record = record | {"train": len(train), "valid": len(parts[0]), "test": len(parts[1])}
    record["classes"] = _classes(train)
    if description is not None and description.reweighting is not None:
        train = description.reweighting.fit(train).apply(train)
    return JetData(train, parts[0], parts[1], train, description, record)


def _fold(
    whole: JetBatch,
    test: JetBatch | None,
    description: DataConfig,
    record: dict[str, Any],
    fold: str,
    seed: int,
) -> JetData:
    """Train without the jets of a fold and watch with these."""
    labels = None if whole.labels is None else whole.labels.tolist()
    rows, numbers = Fold.parse(fold).divide(len(whole), labels=labels, seed=seed)
    valid = whole[numbers]
    data = _in_memory(whole[rows], valid, test or valid, description, record, seed)
    return replace(data, sample=whole, numbers=numbers)


def _classes(jets: JetBatch) -> list[dict[str, Any]]:
    """Number and weights of each class, before any reweighting."""
    rows = sum_weights(jets)
    log.info(
        "training jets: %s",
        ", ".join(f"{row.n_jets:,} {row.name} (weight {row.total:,.0f})" for row in rows),
    )
    return [
        {"name": row.name, "jets": row.n_jets, "weight": row.total, "negative": row.n_negative}
        for row in rows
    ]


def note_data(record: Mapping[str, Any], run_dir: Path, *, resume: bool) -> None:
    """Write ``data.json``, and refuse to continue a run with other files.

    Parameters
    ----------
    record : mapping
        Of `JetData`.
    run_dir : Path
        The run's folder.
    resume : bool
        Whether a run is continued.

    Raises
    ------
    DataError
        If the files have changed since the run began.
    """
    before = read_data_record(run_dir)
    if resume and before and before.get("sha256") != record.get("sha256"):
        raise DataError(
            f"the files are others than those with which the run in {run_dir} began (data.json "
            "differs).\nRestore them, or start a new run in another folder (--out)."
        )
    with atomic_write(run_dir / "data.json") as temporary:
        temporary.write_text(json.dumps(dict(record), indent=1) + "\n", encoding="utf-8")


def predict_all(
    model: JetModel,
    jets: Jets,
    columns: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> tuple[JetBatch, NDArray[np.float32]]:
    """Predict for jets in memory or in files, of which only numbers per jet are kept.

    Parameters
    ----------
    model : JetModel
        What predicts.
    jets : JetBatch or JetStream
        In memory, or read piece by piece.
    columns : sequence of str, optional
        Observables to keep of the jets, computed if need be.
    progress : callable, optional
        Called with the number of jets done and of all jets, before a selection.

    Returns
    -------
    jets : JetBatch
        In order, without constituents.
    prediction : ndarray of float32, shape (n_jets, n_outputs)
        In the same order.
    """
    total = len(jets) if isinstance(jets, JetBatch) else jets.n_entries
    kept, found, done = [], [], 0
    for piece in _pieces(jets):
        found.append(model.predict(piece))
        wanted = [name for name in columns if name in OBSERVABLES]
        kept.append(with_observables(piece, wanted).without_constituents())
        done += len(piece)
        if progress is not None:
            progress(done, total)
    return concatenate(kept), np.concatenate(found)


def _pieces(jets: Jets, size: int = 10_000) -> Iterator[JetBatch]:
    if isinstance(jets, JetStream):
        yield from jets
        return
    for start in range(0, max(len(jets), 1), size):
        yield jets[start : start + size]


def _files(given: Any) -> list[str]:
    """List the files that are given, by class or not."""
    if isinstance(given, Mapping):
        return [file for files in given.values() for file in find_files(files)]
    return find_files(given)


def _describe(train: Any, skip_corrupt: bool) -> DataConfig:
    """Describe the layout of the first file, or of the first that can be read."""
    *files, last = _files(train)
    for file in files:
        try:
            return describe(file)
        except FileError:
            if not skip_corrupt:
                raise
    return describe(last)


def _fingerprint(files: Sequence[str]) -> str:
    """SHA-256 over names, sizes and both ends of files: of gigabytes, a moment's work."""
    digest = hashlib.sha256()
    for name in files:
        path = Path(name)
        if not path.is_file():  # a URL
            digest.update(name.encode())
            continue
        try:
            with open(path, "rb") as file:
                size = path.stat().st_size
                digest.update(f"{path.name} {size} ".encode() + file.read(EDGE))
                file.seek(max(size - EDGE, 0))
                digest.update(file.read(EDGE))
        except OSError as error:
            raise FileError(f"{name} cannot be read: {error.strerror}.", name) from error
    return digest.hexdigest()
