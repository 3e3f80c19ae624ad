"""SMILES to everything models want to know of molecules: in parallel, and kept for the next time.

RDKit works under Python's lock, so threads do not help; processes do. They are plain child
processes that run this file, get SMILES as JSON and answer with arrays in safetensors format, so it
works from notebooks and from scripts without a main guard, and nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.chem.molecules.descriptors import describe, n_descriptors
from fieldgrad.chem.molecules.graph import MoleculeGraphs
from fieldgrad.chem.molecules.smiles import BadSmiles, Problem, canonical, read_smiles, scaffold
from fieldgrad.engine import checkpoint
from fieldgrad.engine.errors import FieldgradError, FileError

__all__ = ["Featurizer", "Molecules", "cache_folder", "featurize"]

# Below this a second process takes longer to start than it saves.
_WORTH_A_PROCESS = 3000
_PART = 512  # SMILES of one message
# RDKit's descriptors take as long as reading so many molecules.
_DESCRIPTORS_TAKE = 16
_VERSION = 1  # of what is in the cache; raise it with any change of features


@dataclass(frozen=True)
class Molecules:
    """The molecules of a list of SMILES, without those that are none.

    Parameters
    ----------
    rows : ndarray of int64, shape (n_molecules,)
        Place of each in the list.
    problems : tuple of Problem
        Those that were left out.
    graphs : MoleculeGraphs
        Atoms and bonds.
    descriptors : dict of str to ndarray, shape (n_molecules, n_descriptors)
        For each kind that was asked for.
    canonical, scaffolds : tuple of str
        Canonical SMILES and Bemis-Murcko scaffolds, if they were asked for, else empty.
    """

    rows: NDArray[np.int64]
    problems: tuple[Problem, ...]
    graphs: MoleculeGraphs
    descriptors: dict[str, NDArray[Any]]
    canonical: tuple[str, ...] = ()
    scaffolds: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, indices: NDArray[np.int64]) -> Molecules:
        """Give some of the molecules as a list of their own.

        Parameters
        ----------
        indices : ndarray of int64
            Which, in the order wanted.

        Returns
        -------
        Molecules
            A copy of these, without problems.
        """
        return Molecules(
            np.arange(len(indices)),
            (),
            self.graphs.take(indices),
            {kind: values[indices] for kind, values in self.descriptors.items()},
            tuple(self.canonical[i] for i in indices) if self.canonical else (),
            tuple(self.scaffolds[i] for i in indices) if self.scaffolds else (),
        )

    @classmethod
    def joined(cls, parts: Sequence[Molecules], starts: Sequence[int]) -> Molecules:
        """Join the molecules of several parts of a list.

        Parameters
        ----------
        parts : sequence of Molecules
            At least one.
        starts : sequence of int
            Place of the first SMILES of each part in the whole list.

        Returns
        -------
        Molecules
            Those of the whole list.
        """
        places = list(zip(parts, starts, strict=True))
        return cls(
            np.concatenate([part.rows + start for part, start in places]),
            tuple(
                Problem(p.row + start, p.smiles, p.reason)
                for part, start in places
                for p in part.problems
            ),
            MoleculeGraphs.joined([part.graphs for part in parts]),
            {
                kind: np.concatenate([part.descriptors[kind] for part in parts])
                for kind in parts[0].descriptors
            },
            tuple(text for part in parts for text in part.canonical),
            tuple(text for part in parts for text in part.scaffolds),
        )

    def _pack(self) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
        arrays = {"rows": self.rows, **self.graphs.arrays()}
        arrays |= {f"descriptors.{kind}": values for kind, values in self.descriptors.items()}
        text = {
            "problems": [(p.row, p.smiles, p.reason) for p in self.problems],
            "canonical": self.canonical,
            "scaffolds": self.scaffolds,
        }
        return arrays, {"molecules": json.dumps(text)}

    @classmethod
    def _unpack(cls, arrays: dict[str, NDArray[Any]], text: dict[str, str]) -> Molecules:
        table = json.loads(text["molecules"])
        return cls(
            arrays["rows"],
            tuple(Problem(*entry) for entry in table["problems"]),
            MoleculeGraphs.from_arrays(arrays),
            {
                key.removeprefix("descriptors."): values
                for key, values in arrays.items()
                if key.startswith("descriptors.")
            },
            tuple(table["canonical"]),
            tuple(table["scaffolds"]),
        )


def featurize(
    smiles: Sequence[str], *, descriptors: Iterable[str] = (), identity: bool = False
) -> Molecules:
    """Read SMILES and compute what models need, in this process.

    Parameters
    ----------
    smiles : sequence of str
        One for each molecule; those that cannot be read become `Molecules.problems`.
    descriptors : iterable of {"rdkit2d", "morgan"}, optional
        Which descriptors to compute; see `descriptors.describe`.
    identity : bool, default False
        Also give canonical SMILES and scaffolds, for splitting.

    Returns
    -------
    Molecules
        In the order of the list.

    Examples
    --------
    >>> molecules = featurize(["CCO", "no molecule", "C"])
    >>> molecules.rows.tolist(), molecules.problems[0].row
    ([0, 2], 1)
    """
    good, rows, problems = [], [], []
    for row, text in enumerate(smiles):
        try:
            good.append(read_smiles(text))
            rows.append(row)
        except BadSmiles as error:
            problems.append(Problem(row, text, str(error)))
    return Molecules(
        np.array(rows, np.int64),
        tuple(problems),
        MoleculeGraphs.of(good),
        {
            kind: describe(good, kind) if good else np.zeros((0, n_descriptors(kind)))
            for kind in descriptors
        },
        tuple(map(canonical, good)) if identity else (),
        tuple(map(scaffold, good)) if identity else (),
    )


class Featurizer:
    """`featurize` by several processes, with a cache of whole lists.

    Parameters
    ----------
    descriptors : iterable of {"rdkit2d", "morgan"}, optional
        Which descriptors to compute.
    identity : bool, default False
        Also give canonical SMILES and scaffolds.
    n_workers : int, optional
        Number of child processes; one for each core this process may use if left out.
    cache : path-like, optional
        Folder in which the molecules of a list are kept; none if left out.

    Notes
    -----
    Use it in a ``with`` statement, which ends the child processes. They are started when a list
    or stream is long enough to be worth it.
    """

    def __init__(
        self,
        *,
        descriptors: Iterable[str] = (),
        identity: bool = False,
        n_workers: int | None = None,
        cache: str | os.PathLike[str] | None = None,
    ) -> None:
        self.wanted: dict[str, Any] = {
            "descriptors": sorted(set(descriptors)),
            "identity": identity,
        }
        self.n_workers = _n_cores() if n_workers is None else n_workers
        self.cache = None if cache is None else Path(cache)
        self._children: list[subprocess.Popen[bytes]] = []
        self._idle: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()
        self._drivers: ThreadPoolExecutor | None = None

    def __enter__(self) -> Featurizer:
        return self

    def __exit__(self, *error: Any) -> None:
        if self._drivers is not None:
            self._drivers.shutdown(wait=True, cancel_futures=True)
            self._drivers = None
        for child in self._children:
            child.communicate()
        self._children.clear()

    def __call__(self, smiles: Sequence[str]) -> Molecules:
        """Give the molecules of a list, from the cache if they are there."""
        file = None if self.cache is None else self.cache / f"{self._key(smiles)}.safetensors"
        if file is not None and file.exists():
            try:
                return Molecules._unpack(*checkpoint.load(file))
            except (FileError, KeyError):
                pass  # a damaged file is written anew
        size = _PART // self._weight()
        cuts = range(0, max(len(smiles), 1), size)
        parts = [smiles[start : start + size] for start in cuts]
        alone = len(smiles) < _WORTH_A_PROCESS // self._weight()
        results = map(self._here, parts) if alone else self.stream(iter(parts))
        molecules = Molecules.joined(list(results), list(cuts))
        if file is not None:
            checkpoint.save(file, *molecules._pack())
        return molecules

    def stream(self, parts: Iterator[Sequence[str]]) -> Iterator[Molecules]:
        """Give the molecules of one part of a list after the other, working ahead a little.

        Parameters
        ----------
        parts : iterator of sequence of str
            SMILES; rows are counted within each part.

        Yields
        ------
        Molecules
            Of each part, in order.
        """
        if self.n_workers < 2:
            yield from map(self._here, parts)
            return
        self._start()
        assert self._drivers is not None
        ahead: list[Future[Molecules]] = []
        for part in parts:
            ahead.append(self._drivers.submit(self._there, part))
            if len(ahead) > self.n_workers + 1:
                yield ahead.pop(0).result()
        while ahead:
            yield ahead.pop(0).result()

    def _weight(self) -> int:
        return _DESCRIPTORS_TAKE if "rdkit2d" in self.wanted["descriptors"] else 1

    def _here(self, part: Sequence[str]) -> Molecules:
        return featurize(part, **self.wanted)

    def _start(self) -> None:
        if self._drivers is not None:
            return
        self._drivers = ThreadPoolExecutor(self.n_workers, thread_name_prefix="fieldgrad-rdkit")
        for _ in range(self.n_workers):
            child = subprocess.Popen(
                [sys.executable, "-m", "fieldgrad.chem.molecules.featurize"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            self._children.append(child)
            self._idle.put(child)

    def _there(self, part: Sequence[str]) -> Molecules:
        """Let an idle child read a part."""
        from safetensors.numpy import load

        child = self._idle.get()
        try:
            _send(child.stdin, json.dumps({"smiles": list(part), **self.wanted}).encode())
            text, arrays = _receive(child.stdout), _receive(child.stdout)
        except BrokenPipeError:
            text, arrays = b"", b""
        finally:
            self._idle.put(child)
        if not text or not arrays:
            raise FieldgradError(
                f"a process that reads molecules ended (status {child.wait()}), near {part[0]!r}.\n"
                "If memory ran out, use fewer processes with n_workers."
            )
        return Molecules._unpack(load(arrays), json.loads(text))

    def _key(self, smiles: Sequence[str]) -> str:
        rdkit = metadata.version("rdkit")
        wanted = json.dumps({"version": _VERSION, "rdkit": rdkit, **self.wanted})
        digest = hashlib.sha256(wanted.encode())
        for text in smiles:
            digest.update(b"\n" + text.encode())
        return digest.hexdigest()[:32]


def cache_folder() -> Path:
    """Give the folder in which features are kept between runs.

    Returns
    -------
    pathlib.Path
        ``fieldgrad/chem`` in ``$XDG_CACHE_HOME``, which is ``~/.cache`` unless it is set.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "fieldgrad" / "chem"


def _n_cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _send(stream: Any, message: bytes) -> None:
    stream.write(len(message).to_bytes(8, "little"))
    stream.write(message)
    stream.flush()


def _receive(stream: Any) -> bytes:
    """Read a message; an empty one at the end of the stream."""
    size = stream.read(8)
    return bytes(stream.read(int.from_bytes(size, "little")))


def _answer() -> None:
    """Answer messages from the standard input until it ends: the whole life of a child process."""
    from safetensors.numpy import save

    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while message := _receive(source):
        wanted = json.loads(message)
        arrays, text = featurize(**wanted)._pack()
        _send(sink, json.dumps(text).encode())
        # The format wants rows in C order, and so far every array is.
        _send(sink, save({name: np.ascontiguousarray(a) for name, a in arrays.items()}))


if __name__ == "__main__":
    _answer()
