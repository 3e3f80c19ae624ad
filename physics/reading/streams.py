"""Jets of many files, read piece by piece in bounded memory, and batches of them for training.

A `JetStream` reads ranges of entries, at most `chunk_size` at a time. Training draws from a buffer
of `buffer_size` jets that pieces from all files, in random order, are poured into.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from fieldgrad.engine.data import Batch
from fieldgrad.engine.errors import DataError, FileError
from fieldgrad.physics.jets.batch import JetBatch, concatenate
from fieldgrad.physics.jets.weights import Reweighting, check_weights
from fieldgrad.physics.reading.columns import CutFlow, Reader
from fieldgrad.physics.reading.config import DataConfig
from fieldgrad.physics.reading.functions import is_awkward
from fieldgrad.physics.reading.sources import Source, open_source

__all__ = ["JetLoader", "JetStream", "find_files", "read_jets"]

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

SAMPLE = 50_000  # jets that stand for all those of a stream

# First numbers of the spawn keys: the order of pieces and the mixing are different streams.
_ORDER, _MIX = 0, 1


@dataclass(frozen=True)
class _Piece:
    data: Any
    start: int
    stop: int
    label: int | None


class JetStream:
    """Jets of files (or of memory), read as a description says.

    Parameters
    ----------
    data : path-like, mapping, sequence of these, awkward.Array or JetBatch
        Files or glob patterns, or columns in memory. A mapping of names of classes to files gives
        every jet of a file that class: ``{"QCD": "qcd_*.root", "top": ["a.root", "b.root"]}``.
    config : DataConfig
        The description.
    training : bool, default True
        Whether to select as for training; otherwise by ``test_time_selection``.
    truth : bool, default True
        Whether to read labels and weights.
    entries : tuple of two int or float, optional
        The range of entries of each file to read: numbers of entries, or parts of the file if they
        are floats, such as (0.0, 0.8). All by default.
    part : tuple of two float, default (0, 1)
        The part of every chunk to take: streams of (0, 0.8) and (0.8, 1) share no jet, and hold
        the same kinds of jets even if the files are sorted.
    chunk_size : int, default 10000
        Most entries that are read at once.
    skip_corrupt : bool, default False
        Leave out files that cannot be read, count them in `skipped` and log each; otherwise the
        first one is an error.

    Attributes
    ----------
    n_entries : int
        Number of jets before the selection.
    skipped : dict of str to str
        Files that were left out, and why.
    cut_flow : CutFlow
        What the selection let pass in the last complete pass.

    Raises
    ------
    FileError
        If a file is missing or damaged, or a pattern fits none.
    DataError
        If nothing is to be read, or a file does not fit the description.

    Notes
    -----
    Reading in order holds one piece of `chunk_size` entries in memory: 44 bytes per constituent
    with 7 features, 22 MB for 10,000 jets of 50, and several times as much while it is made.
    """

    def __init__(
        self,
        data: Any,
        config: DataConfig,
        *,
        training: bool = True,
        truth: bool = True,
        entries: tuple[float, float] | None = None,
        part: tuple[float, float] = (0.0, 1.0),
        chunk_size: int = 10_000,
        skip_corrupt: bool = False,
    ) -> None:
        if chunk_size < 1:
            raise DataError(f"JetStream: chunk_size is {chunk_size}; expected 1 or more.")
        if not 0 <= part[0] < part[1] <= 1:
            raise DataError(f"JetStream: part is {part}; expected two rising numbers in 0 to 1.")
        self.config = config
        self.training = training
        self.truth = truth
        self.skip_corrupt = skip_corrupt
        self.skipped: dict[str, str] = {}
        self.cut_flow = CutFlow()
        self.label_names: tuple[str, ...] = ()
        self._count: int | None = None
        self._reweighting: Reweighting | None = None
        self._mean_weight: float | None = None
        self._pieces: list[_Piece] = []
        for item, label in self._items(data):
            self._pieces += self._cut_up(item, label, entries, chunk_size, part)
        self.n_entries = sum(piece.stop - piece.start for piece in self._pieces)
        if not self._pieces:
            where = f" ({len(self.skipped)} files were left out as damaged)" * bool(self.skipped)
            raise DataError(
                f"JetStream: there are no entries to read{where}; expected at least one.\n"
                "Check the files and the range of entries."
            )

    def _items(self, data: Any) -> Iterator[tuple[Any, int | None]]:
        by_class = isinstance(data, Mapping) and all(
            isinstance(v, str | os.PathLike) or _is_list_of_paths(v) for v in data.values()
        )
        if by_class:
            self.label_names = tuple(map(str, data))
            for label, files in enumerate(data.values()):
                yield from ((file, label) for file in find_files(files))
        elif isinstance(data, str | os.PathLike) or _is_list_of_paths(data):
            yield from ((file, None) for file in find_files(data))
        else:
            yield data, None

    def _cut_up(
        self,
        item: Any,
        label: int | None,
        entries: tuple[float, float] | None,
        size: int,
        part: tuple[float, float],
    ) -> list[_Piece]:
        try:
            with open_source(item, self.config.treename) as source:
                n = source.n_entries
        except FileError as error:
            self._skip(item, error)
            return []
        first, last = (0, n) if entries is None else (_entry(edge, n) for edge in entries)
        pieces = []
        for start in range(first, last, size):
            low, high = (start + _entry(float(edge), min(size, last - start)) for edge in part)
            pieces += [_Piece(item, low, high, label)] * (high > low)
        return pieces

    def _skip(self, item: Any, error: FileError) -> None:
        if not self.skip_corrupt or not Path(str(item)).exists():
            raise error
        if str(item) not in self.skipped:
            _log.warning("left out (%d so far): %s", len(self.skipped) + 1, error)
        self.skipped[str(item)] = str(error)

    def __len__(self) -> int:
        """Give the number of selected jets; with a selection, the first call reads for it."""
        if self._count is None:
            if not self.config.cut(training=self.training) and not self.skipped:
                self._count = self.n_entries
            else:
                reader = Reader(self.config, training=self.training, truth=False, inputs=False)
                counts = (self._from_piece(piece, reader.count) for piece in self._pieces)
                self._count = sum(count or 0 for count in counts)
        return self._count

    def __iter__(self) -> Iterator[JetBatch]:
        """Give the jets in the order of the files, piece by piece.

        Yields
        ------
        JetBatch
            The selected jets of one piece, which may be none.
        """
        reader = Reader(self.config, training=self.training, truth=self.truth)
        self.cut_flow = reader.cut_flow
        yield from self._read(self._pieces, reader)
        reader.cut_flow.check()

    def _read(self, pieces: Sequence[_Piece], reader: Reader) -> Iterator[JetBatch]:
        for piece in pieces:
            jets = self._from_piece(piece, reader.read)
            if jets is not None and piece.label is not None:
                labels = np.full(len(jets), piece.label)
                jets = jets.replace(labels=labels, label_names=self.label_names)
            if jets is not None and self._reweighting is not None:
                jets = jets.replace(weights=self._reweighting.weigh(jets))
            if jets is not None:
                yield jets

    def _from_piece(self, piece: _Piece, take: Callable[[Source, int, int], _T]) -> _T | None:
        """Open a piece's file and take something from it; None if the file was left out."""
        if self.skipped and str(piece.data) in self.skipped:
            return None
        try:
            with open_source(piece.data, self.config.treename) as source:
                return take(source, piece.start, piece.stop)
        except FileError as error:
            self._skip(piece.data, error)
            return None

    def read(self) -> JetBatch:
        """Read all jets into memory.

        Returns
        -------
        JetBatch
            The selected jets in the order of the files.

        Raises
        ------
        FileError
            If a file is damaged.
        DataError
            If the selection drops everything, the weights of a class sum to nothing, or the files
            do not fit the description.
        """
        jets = concatenate(iter(self))  # a list would ask for the length, and count first
        _log.info("%s", self.cut_flow)
        self._check(jets)
        return jets

    def _check(self, jets: JetBatch) -> None:
        if self.truth and self._reweighting is None:  # which may leave out classes
            check_weights(jets)

    def sample(self, n_jets: int = SAMPLE, *, seed: int = 0) -> JetBatch:
        """Read some jets that stand for all: a part of every chunk.

        Parameters
        ----------
        n_jets : int, default 50000
            About how many, of the jets that are selected.
        seed : int, default 0
            Of where in its chunk each part begins.

        Returns
        -------
        JetBatch
            The jets, in the order of the files; all of them if there are no more.

        Raises
        ------
        DataError
            If the selection drops everything, or the weights of a class sum to nothing.
        """
        rng = np.random.default_rng(seed)
        share, pieces, owed = min(n_jets / max(len(self), 1), 1.0), [], 0.0
        for piece in self._pieces:
            n = piece.stop - piece.start
            owed += share * n  # small chunks give one jet now and then
            n_taken = min(round(owed), n)
            owed -= n_taken
            start = piece.start + int(rng.integers(n - n_taken + 1))
            pieces += [replace(piece, start=start, stop=start + n_taken)] * (n_taken > 0)
        reader = Reader(self.config, training=self.training, truth=self.truth)
        jets = concatenate(self._read(pieces, reader))
        reader.cut_flow.check()
        self._check(jets)
        if n_jets >= SAMPLE:
            self._mean_weight = float(jets.weights.mean())
        return jets

    @property
    def mean_weight(self) -> float:
        """Mean weight of the jets: 1 without weights, otherwise that of a `sample`."""
        if self._mean_weight is None:
            weighted = self.config.weight or self._reweighting is not None
            self._mean_weight = float(self.sample().weights.mean()) if weighted else 1.0
        return self._mean_weight

    def reweight(self, sample: JetBatch) -> JetBatch:
        """Weigh all jets from now on as the description's reweighting says.

        Parameters
        ----------
        sample : JetBatch
            Jets that stand for all, by which the weights of the bins are found.

        Returns
        -------
        JetBatch
            The sample with its new weights; the sample as it is without a reweighting.
        """
        if self.config.reweighting is None:
            return sample
        self._reweighting = self.config.reweighting.fit(sample)
        sample = sample.replace(weights=self._reweighting.weigh(sample))
        self._mean_weight = float(sample.weights.mean())
        return sample

    def shuffled(self, rng: np.random.Generator, buffer_size: int, size: int) -> Iterator[JetBatch]:
        """Give the jets in random order, in batches.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of randomness.
        buffer_size : int
            Number of jets to draw from: whenever so many are held, half of them are given. From the
            size of the data on, the order is wholly random.
        size : int
            Jets of a batch; the last one may be smaller.

        Yields
        ------
        JetBatch
            A batch; over one pass, every selected jet once.
        """
        order = rng.permutation(len(self._pieces))
        reader = Reader(self.config, training=self.training, truth=self.truth)
        self.cut_flow = reader.cut_flow
        held: list[JetBatch] = []
        n_held = 0
        for jets in self._read([self._pieces[i] for i in order], reader):
            held.append(jets)
            n_held += len(jets)
            if n_held < max(buffer_size, size):
                continue
            # Half of them leave in random order; the others stay to be mixed with what comes.
            pool, mixed = concatenate(held), rng.permutation(n_held)
            n_given = max(n_held // 2 // size, 1) * size
            held, n_held = [pool[mixed[n_given:]]], n_held - n_given
            for start in range(0, n_given, size):
                yield pool[mixed[start : start + size]]
        reader.cut_flow.check()
        if n_held:
            pool, mixed = concatenate(held), rng.permutation(n_held)
            del held
            for start in range(0, n_held, size):
                yield pool[mixed[start : start + size]]


class JetLoader:
    """Batches of jets for a learner, from memory or from a stream.

    Parameters
    ----------
    jets : JetBatch or JetStream
        Where the jets come from.
    batch_size : int
        Jets of a batch; the last one may be smaller.
    make : callable
        Makes what the learner takes, ``(x, *targets)``, of a `JetBatch`.
    shuffle : bool, default False
        Draw the jets in a new random order in each epoch.
    seed : int, default 0
        Seed of the order.
    buffer_size : int, default 100000
        Jets of a stream held in memory to draw from.
    reweighting : Reweighting, optional
        Draw jets with these probabilities, so that classes and spectra come out alike. The number
        of batches is then known only on average, and an epoch ends when the jets do.

    Attributes
    ----------
    epoch : int
        The epoch that the next plain ``for`` loop over the loader will give; starts at 0.

    Notes
    -----
    A stream holds `buffer_size` jets and the piece that is read: 2.2 kB per jet of 50 constituents
    and 7 features, two and a half times that when the buffer is mixed.

    Examples
    --------
    >>> jets = JetBatch([0, 1, 2, 3], np.ones((3, 4)), labels=[0, 1, 0])
    >>> loader = JetLoader(jets, 2, lambda jets: (jets.vectors, jets.labels))
    >>> [labels.tolist() for _, labels in loader]
    [[0, 1], [0]]
    """

    def __init__(
        self,
        jets: JetBatch | JetStream,
        batch_size: int,
        make: Callable[[JetBatch], Batch],
        *,
        shuffle: bool = False,
        seed: int = 0,
        buffer_size: int = 100_000,
        reweighting: Reweighting | None = None,
    ) -> None:
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("seed", seed, 0),
            ("buffer_size", buffer_size, 1),
        ):
            if value < least:
                raise DataError(f"JetLoader: {name} is {value}; expected {least} or more.")
        if len(jets) == 0:
            raise DataError("JetLoader: there are no jets; expected at least one.")
        self.jets = jets
        self.batch_size = batch_size
        self.make = make
        self.shuffle = shuffle
        self.seed = seed
        self.buffer_size = buffer_size
        self.reweighting = reweighting
        self.epoch = 0

    def __len__(self) -> int:
        """Give the number of batches in an epoch."""
        return -(-len(self.jets) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        """Give the batches of the next epoch."""
        self.epoch += 1
        return self.iterate(self.epoch - 1)

    def iterate(self, epoch: int, start_batch: int = 0) -> Iterator[Batch]:
        """Give the batches of one epoch, from one of them on.

        Parameters
        ----------
        epoch : int
            Which epoch, from 0.
        start_batch : int, default 0
            The first batch to give. A stream reads those before it too.

        Yields
        ------
        tuple
            What `make` gives of each batch.
        """
        for number, jets in enumerate(self._batches(epoch)):
            if number >= start_batch:
                yield self.make(jets)

    def _batches(self, epoch: int) -> Iterator[JetBatch]:
        order, mix = (self._generator(key, epoch) for key in (_ORDER, _MIX))
        if self.reweighting is not None:
            yield from _regrouped(
                (self.reweighting.resample(jets, mix) for jets in self._drawn(order)),
                self.batch_size,
            )
        else:
            yield from self._drawn(order)

    def _drawn(self, rng: np.random.Generator) -> Iterator[JetBatch]:
        size = self.batch_size
        if isinstance(self.jets, JetStream):
            if self.shuffle:
                return self.jets.shuffled(rng, self.buffer_size, size)
            return _regrouped(self.jets, size)
        n_jets = len(self.jets)
        rows = rng.permutation(n_jets) if self.shuffle else np.arange(n_jets)
        return (self.jets[rows[i : i + size]] for i in range(0, n_jets, size))

    def _generator(self, *key: int) -> np.random.Generator:
        return np.random.Generator(
            np.random.PCG64(np.random.SeedSequence(self.seed, spawn_key=key))
        )


def read_jets(data: Any, config: DataConfig | None = None, **options: Any) -> JetBatch:
    """Read jets of files, or of columns in memory.

    Parameters
    ----------
    data : path-like, mapping, sequence of these, awkward.Array or JetBatch
        Files or glob patterns, by class if a mapping; see `JetStream`.
    config : DataConfig, optional
        The description; if left out, that of the first file's layout, see
        `fieldgrad.physics.reading.datasets.describe`.
    **options : object
        Further parameters of `JetStream`, such as ``entries``.

    Returns
    -------
    JetBatch
        The jets in the order of the files.

    Raises
    ------
    FileError
        If a file is missing or damaged.
    DataError
        If the files do not fit the description, or the selection drops everything.

    Examples
    --------
    >>> import awkward as ak
    >>> pt = ak.Array([[300.0, 200.0], [600.0]])
    >>> jets = read_jets({"part_pt": pt, "part_eta": 0 * pt, "part_phi": 0 * pt})
    >>> jets.pt
    array([500., 600.])
    """
    if config is None:
        from fieldgrad.physics.reading.datasets import (
            describe,  # which reads a file's names with these
        )

        first = data
        while isinstance(first, Mapping) and all(
            isinstance(v, str | os.PathLike) or _is_list_of_paths(v) for v in first.values()
        ):
            first = next(iter(first.values()))
        if isinstance(first, str | os.PathLike) or _is_list_of_paths(first):
            first = find_files(first)[0]
        config = describe(first)
    return JetStream(data, config, **options).read()


def find_files(patterns: Any) -> list[str]:
    """List the files of paths and glob patterns.

    Parameters
    ----------
    patterns : path-like or sequence of path-like
        Paths, with ``*``, ``?`` and ``[…]`` for parts of names and ``**`` for folders.

    Returns
    -------
    list of str
        Paths in the order given, those of a pattern by name.

    Raises
    ------
    FileError
        If a pattern fits no file.
    """
    files: list[str] = []
    for pattern in [patterns] if isinstance(patterns, str | os.PathLike) else patterns:
        path = os.fspath(pattern)
        if "://" in path or Path(path).exists() or not any(sign in path for sign in "*?["):
            files.append(path)
            continue
        parts = Path(path).parts
        first = next(i for i, part in enumerate(parts) if any(sign in part for sign in "*?["))
        found = Path(*parts[:first]).glob(str(Path(*parts[first:])))
        names = sorted(str(file) for file in found if file.is_file())
        if not names:
            raise FileError(f"{path} fits no file; expected at least one. Check the pattern.", path)
        files += names
    return files


def _is_list_of_paths(value: Any) -> bool:
    return (
        isinstance(value, Sequence)
        and not is_awkward(value)
        and len(value) > 0
        and all(isinstance(item, str | os.PathLike) for item in value)
    )


def _entry(edge: float, n_entries: int) -> int:
    """Give the number of an entry, of a number or a part of the file."""
    if isinstance(edge, float):
        if not 0 <= edge <= 1:
            raise DataError(f"entries: {edge} is no part of a file; expected 0.0 to 1.0.")
        return round(edge * n_entries)
    return min(max(edge, 0), n_entries)


def _regrouped(batches: Iterator[JetBatch] | JetStream, size: int) -> Iterator[JetBatch]:
    """Give the same jets in batches of one size; the last may be smaller."""
    held: list[JetBatch] = []
    n_held = 0
    for jets in batches:
        held.append(jets)
        n_held += len(jets)
        if n_held < size:
            continue
        pool = concatenate(held)
        n_given = n_held // size * size
        for start in range(0, n_given, size):
            yield pool[start : start + size]
        held, n_held = [pool[n_given:]], n_held - n_given
    if n_held:
        yield concatenate(held)
