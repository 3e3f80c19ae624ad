"""From columns of a file to jets, as a description says.

The order is fixed: the columns are looked up, jets selected, and only then are formulas, features,
labels and weights computed, of the selected jets alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine.errors import DataError, require
from fieldgrad.physics.jets.batch import COMPONENTS, JetBatch
from fieldgrad.physics.jets.features import KINEMATIC_NAMES, Kinematics
from fieldgrad.physics.jets.substructure import OBSERVABLES, observables
from fieldgrad.physics.reading.config import GEV_PER_UNIT, DataConfig
from fieldgrad.physics.reading.expressions import Expression, describe_unknown
from fieldgrad.physics.reading.functions import is_awkward
from fieldgrad.physics.reading.sources import Source

Array = NDArray[Any]

__all__ = ["CutFlow", "Reader", "find_vectors"]

# Columns that follow from the four-vectors, where a file does not have them.
_DERIVED = frozenset((*KINEMATIC_NAMES, *OBSERVABLES))
_BEAM = 7000.0  # GeV, half of the largest energy of collisions at the LHC


@dataclass
class CutFlow:
    """How many jets each cut lets pass.

    Parameters
    ----------
    n_entries, n_selected : int
        Jets read, and jets that passed all cuts.
    cuts : dict of str to [int, int]
        By cut: jets that pass it, and jets that pass it and all before it.
    """

    n_entries: int = 0
    n_selected: int = 0
    cuts: dict[str, list[int]] = field(default_factory=dict)

    def __str__(self) -> str:
        """Give a line for each cut."""
        lines = [f"{self.n_selected} of {self.n_entries} jets selected"]
        lines += [
            f"  {cut}: {alone} pass it, {left} are left" for cut, (alone, left) in self.cuts.items()
        ]
        return "\n".join(lines)

    def check(self) -> None:
        """Refuse a selection that drops everything.

        Raises
        ------
        DataError
            If jets were read and none is left; it says which cut did it.
        """
        if self.n_selected or not self.n_entries:
            return
        last = next((cut for cut, (_, left) in self.cuts.items() if left == 0), "")
        raise DataError(
            f"the selection drops all {self.n_entries} jets: none is left after {last!r}.\n{self}\n"
            "Correct this cut (its unit is that of the file), or leave it out."
        )


def find_vectors(names: Collection[str], near: Iterable[str] = ()) -> tuple[str, ...]:
    """Find the columns of the constituents' four-vectors by their names.

    Parameters
    ----------
    names : collection of str
        Names of columns.
    near : iterable of str, optional
        Columns of constituents, whose beginning decides between several four-vectors.

    Returns
    -------
    tuple of str
        Formulas of energy, px, py and pz; empty if there are no or several four-vectors.

    Examples
    --------
    >>> find_vectors(["part_px", "part_py", "part_pz", "part_energy", "jet_pt"])
    ('part_energy', 'part_px', 'part_py', 'part_pz')
    """
    near, lower = list(near), {name.lower(): name for name in names}
    found: dict[str, dict[str, str]] = {}
    for name in lower:
        for part, spellings in COMPONENTS.items():
            for spelling in map(str.lower, spellings):
                if name.endswith(f"_{spelling}") or name == spelling:
                    found.setdefault(name[: -len(spelling)], {}).setdefault(part, lower[name])
    cartesian = {p: v for p, v in found.items() if {"energy", "px", "py", "pz"} <= v.keys()}
    polar = {p: v for p, v in found.items() if {"pt", "eta", "phi"} <= v.keys()}
    n_near = {p: sum(n.lower().startswith(p) for n in near) for p in {**cartesian, **polar} if p}
    # Of jets, generated particles and the like there is one, unless nothing else is described.
    parts_of_jets = [p for p in n_near if not p.startswith(("jet_", "aux_", "truth", "gen"))]
    wanted = [p for p in parts_of_jets if n_near[p]] or [p for p in n_near if n_near[p]]
    wanted = sorted(wanted, key=lambda p: -n_near[p])[:1]
    for prefix in wanted or (parts_of_jets if len(parts_of_jets) == 1 else []):
        if prefix in cartesian:
            parts = cartesian[prefix]
            return parts["energy"], parts["px"], parts["py"], parts["pz"]
        parts = polar[prefix]
        mass = parts.get("mass", "0")
        vector = f"from_pt_eta_phi_mass({parts['pt']}, {parts['eta']}, {parts['phi']}, {mass})"
        energy = parts.get("energy", f"{vector}[0]")
        return energy, f"{vector}[1]", f"{vector}[2]", f"{vector}[3]"
    return ()


class Reader:
    """Reads jets of a file as a description says.

    Parameters
    ----------
    config : DataConfig
        The description.
    training : bool, default True
        Whether to select as for training, and to read what reweighting and monitoring need.
    truth : bool, default True
        Whether to read labels and weights; files to be tagged have none.
    inputs : bool, default True
        Whether to read inputs and observers; without them jets are only selected, to be counted.

    Attributes
    ----------
    cut_flow : CutFlow
        What the selection let pass so far.
    """

    def __init__(
        self,
        config: DataConfig,
        *,
        training: bool = True,
        truth: bool = True,
        inputs: bool = True,
    ) -> None:
        self.config = config
        self.truth = truth
        self.inputs = inputs
        self.cut_flow = CutFlow()
        self._wanted = config.names_for(training=training, truth=truth, inputs=inputs)
        self._columns = config.columns_for(training=training, truth=truth, inputs=inputs)
        self._formulas = config.formulas()
        cut = config.cut(training=training)
        self._cuts = Expression(cut, config.functions).cuts() if cut else []

    def read(self, source: Source, start: int = 0, stop: int | None = None) -> JetBatch:
        """Read the jets of a range of entries.

        Parameters
        ----------
        source : Source
            An open file.
        start, stop : int, optional
            The entries ``start <= i < stop``; all by default.

        Returns
        -------
        JetBatch
            Those that are selected.

        Raises
        ------
        DataError
            If columns are missing, or do not fit the description.
        FileError
            If the file is damaged.
        """
        try:
            return _Table(self, source, start, stop).jets()
        except DataError as error:
            if source.path in str(error):
                raise
            raise DataError(f"{source.path}: {error}") from error

    def count(self, source: Source, start: int = 0, stop: int | None = None) -> int:
        """Count the jets of a range of entries that are selected, without reading the others.

        Parameters
        ----------
        source : Source
            An open file.
        start, stop : int, optional
            The entries ``start <= i < stop``; all by default.

        Returns
        -------
        int
            Number of jets.
        """
        table = _Table(self, source, start, stop)
        table.select()
        return table.n


class _Table:
    """The columns of one range of entries, on their way to jets."""

    def __init__(self, reader: Reader, source: Source, start: int, stop: int | None) -> None:
        self.reader, self.config, self.source = reader, reader.config, source
        self._vectors: JetBatch | None = None
        self._kinematics: Kinematics | None = None
        self._rectangle: NDArray[np.bool_] | None = None  # where padded columns are real
        stop = source.n_entries if stop is None else min(stop, source.n_entries)
        self.n = max(stop - start, 0)
        self.vector_texts = self._find_vectors()
        of_vectors: set[str] = set()
        for text in self.vector_texts:
            of_vectors |= reader._formulas.columns_for(
                Expression(text, self.config.functions).names
            )
        lacking = {n for n in reader._columns if self._name_in_file(n) not in source.names}
        if not reader.inputs and not lacking & _DERIVED:
            of_vectors = set()  # jets are only counted, and nothing is derived for that
        in_file = {name: self._name_in_file(name) for name in reader._columns | of_vectors}
        missing = {name for name, other in in_file.items() if other not in source.names}
        derived = {name for name in missing - of_vectors if name in _DERIVED and self.vector_texts}
        set_by_file = self._set_by_file(missing - derived)
        unknown = missing - derived - set_by_file.keys()
        if unknown:
            known = [*source.names, *self.config.new_variables]
            raise DataError(describe_unknown(unknown, known))
        read = source.read([o for n, o in in_file.items() if n not in missing], start, stop)
        self.columns = {n: read[o] for n, o in in_file.items() if n not in missing} | set_by_file

    def _find_vectors(self) -> tuple[str, ...]:
        config = self.config
        if config.vectors:
            return config.vectors
        if "vectors" in config.inputs:
            names = config.inputs.group("vectors").names
            if len(names) == 4:
                return names[3], *names[:3]
        near = [n for group in config.inputs.groups for n in group.names]
        return find_vectors([*self.source.names, *config.new_variables], near)

    def _name_in_file(self, name: str) -> str:
        for part, other in self.config.branch_magic.items():
            name = name.replace(part, other)
        return name

    def _set_by_file(self, names: Collection[str]) -> dict[str, Any]:
        """Give the columns whose values depend on the name of the file."""
        columns = {}
        for name in names:
            for pattern, value in self.config.file_magic.get(name, {}).items():
                if re.search(pattern, self.source.path):
                    columns[name] = np.full(self.n, value)
                    break
            else:
                if name in self.config.file_magic:
                    columns[name] = np.zeros(self.n)
        return columns

    def get(self, name: str) -> Any:
        return self.reader._formulas.evaluate(name, self.columns, self._derive)

    def evaluate(self, text: str) -> Any:
        expression = Expression(text, self.config.functions)
        return expression.evaluate({name: self.get(name) for name in expression.names})

    def _derive(self, name: str) -> Any:
        """Compute what follows from the four-vectors."""
        if name not in _DERIVED or not self.vector_texts:
            return None
        vectors = self.vectors()
        if name not in KINEMATIC_NAMES:
            known = {*self.columns, *KINEMATIC_NAMES}
            wanted = [n for n in OBSERVABLES if n == name or n in self.reader._wanted["inputs"]]
            computed = observables(vectors, [n for n in wanted if n not in known])
            self.columns |= computed  # together, for the steps that they share
            return computed[name]
        if self._kinematics is None:
            self._kinematics = Kinematics(vectors)
        column = self._kinematics.column(name)
        if name.startswith("jet_"):
            return column
        return require("awkward", extra="physics").unflatten(column, vectors.counts)

    def vectors(self) -> JetBatch:
        """Give the four-vectors of the constituents in GeV, without padding."""
        if self._vectors is None:
            if not self.vector_texts:
                nothing = np.zeros(self.n + 1, np.int64)
                self._vectors = JetBatch(nothing, np.empty((0, 4), np.float32))
                return self._vectors
            parts = [self.evaluate(text) for text in self.vector_texts]
            if all(isinstance(part, np.ndarray) and part.ndim == 2 for part in parts):
                # Rectangles are padded with four-vectors of zeros, which are never physics.
                real = np.logical_or.reduce([part != 0 for part in parts])
                self._rectangle = real
                counts = real.sum(1)
                flat = [part[real] for part in parts]
            else:
                ak = require("awkward", extra="physics")
                for text, part in zip(self.vector_texts, parts, strict=True):
                    if not is_awkward(part) or part.ndim != 2:
                        raise DataError(
                            f"the four-vectors' {text!r} is one number per jet; expected one per "
                            "constituent. Name the columns of the constituents: vectors = "
                            '["energy", "px", "py", "pz"].'
                        )
                counts = np.asarray(ak.num(parts[0]))
                flat = [self._flat(t, p, counts) for t, p in zip(self.vector_texts, parts,
                                                                 strict=True)]  # fmt: skip
            vectors = np.stack(flat, 1)
            if vectors.dtype != np.float32:
                vectors = vectors.astype(np.float64)
            vectors = vectors * vectors.dtype.type(GEV_PER_UNIT[self.config.unit or "GeV"])
            self._vectors = JetBatch(np.concatenate([[0], np.cumsum(counts)]), vectors)
        return self._vectors

    def _flat(self, name: str, values: Any, counts: NDArray[np.int64]) -> Array:
        """Give a column of constituents end to end, without padding."""
        ak = require("awkward", extra="physics")
        longest = int(counts.max(initial=0))
        if isinstance(values, np.ndarray):
            if self._rectangle is not None and values.shape == self._rectangle.shape:
                return values[self._rectangle]
            if values.ndim == 2 and values.shape[1] >= longest:
                return values[np.arange(values.shape[1]) < counts[:, None]]
            raise DataError(
                f"{name!r} has shape {values.shape}, but jets have up to {longest} constituents. "
                "Leave out the padding in its formula: networks are given jets as long as they are."
            )
        if "?" in str(values.type):
            values = ak.fill_none(values, 0)  # from ak.pad_none
        own = np.asarray(ak.num(values))
        if (own == counts).all():
            return np.asarray(ak.to_numpy(ak.flatten(values)))
        if (own >= counts).all() and own.size and (own == own[0]).all():
            padded = np.asarray(ak.to_numpy(values))
            return padded[np.arange(own[0]) < counts[:, None]]
        jet = int(np.argmax(own != counts))
        raise DataError(
            f"{name!r} has {own[jet]} entries in jet {jet}, whose four-vectors are {counts[jet]}; "
            "expected one for each constituent.\nAll columns of constituents must be of one "
            "collection: another one needs a model of its own."
        )

    def select(self) -> None:
        """Drop the jets that a cut refuses, and count."""
        flow, passed = self.reader.cut_flow, np.ones(self.n, bool)
        flow.n_entries += self.n
        for cut in self.reader._cuts:
            alone = self._mask(cut)
            passed &= alone
            counts = flow.cuts.setdefault(cut.text, [0, 0])
            counts[0] += int(alone.sum())
            counts[1] += int(passed.sum())
        flow.n_selected += int(passed.sum())
        if not passed.all():
            if self._vectors is not None:
                self._vectors, self._kinematics = self._vectors[passed], None
                if self._rectangle is not None:
                    self._rectangle = self._rectangle[passed]
            self.columns = {
                n: c[passed] for n, c in self.columns.items() if is_awkward(c) or np.ndim(c)
            }
            self.n = int(passed.sum())

    def _mask(self, cut: Expression) -> NDArray[np.bool_]:
        values = cut.evaluate({name: self.get(name) for name in cut.names})
        if not is_awkward(values) and np.ndim(values) == 0:
            values = np.broadcast_to(values, self.n)
        if values.ndim != 1:
            raise DataError(
                f"selection {cut}: it gives several numbers per jet; expected one true or false. "
                "Reduce it with ak.any or ak.all, for example ak.any(…, axis=1)."
            )
        return np.asarray(values).astype(bool)

    def jets(self) -> JetBatch:
        self.select()
        vectors, wanted = self.vectors(), self.reader._wanted
        features: dict[str, Array] = {}
        observables: dict[str, Array] = {}
        for name in wanted["inputs"]:
            values = self.get(name)
            if is_awkward(values) and values.fields:
                raise DataError(f"the input {name!r} is a record; expected numbers.")
            if values.ndim == 1:
                observables[name] = np.asarray(values)
            elif not self.vector_texts:
                raise DataError(
                    f"the input {name!r} belongs to constituents, but their four-vectors were not "
                    "found.\nName four columns or formulas in the description: vectors = "
                    '["energy", "px", "py", "pz"].'
                )
            else:
                features[name] = self._flat(name, values, vectors.counts)
        labels, targets = self._labels() if self.reader.truth else (None, {})
        observers = {name: self._per_jet(name, self.get(name)) for name in wanted["observers"]}
        weights: Any = None  # ones
        if wanted.get("weights"):
            weights = np.broadcast_to(self.evaluate(self.config.weight), self.n).astype(float)
        names = self.config.labels.names if self.config.labels else ()
        jets = JetBatch(
            vectors.offsets, vectors.vectors, features, labels, names if labels is not None else (),
            weights, observables, observers | targets,
        )  # fmt: skip
        self._check_unit(jets)
        return jets

    def _per_jet(self, name: str, values: Any) -> Array:
        if values.ndim != 1:
            raise DataError(f"the observer {name!r} has several numbers per jet; expected one.")
        return np.asarray(values)

    def _labels(self) -> tuple[Any, dict[str, Array]]:
        labels = self.config.labels
        if labels is None:
            return None, {}
        values = {name: self._per_jet(name, self.get(name)) for name in labels.formulas}
        if labels.kind == "simple":
            table = np.stack([column.astype(float) for column in values.values()], 1)
            wrong = (table.sum(1) != 1) | ((table != 0) & (table != 1)).any(1)
            if wrong.any():
                jet = int(np.argmax(wrong))
                found = dict(zip(values, table[jet].tolist(), strict=True))
                raise DataError(
                    f"{wrong.sum()} of {self.n} selected jets do not have exactly one label, first "
                    f"jet {jet}: {found}.\nName all classes in labels, or select those named."
                )
            return table.argmax(1), {}
        if labels.kind == "index":
            return next(iter(values.values())), {}
        for name, column in values.items():
            if column.dtype.kind in "biu":
                return column.astype(np.int64), {n: c for n, c in values.items() if n != name}
        return None, values

    def _check_unit(self, jets: JetBatch) -> None:
        """Refuse momenta that no collider makes: they are in MeV or TeV."""
        if self.config.unit or not len(jets.vectors):
            return
        typical = float(np.median(jets.pt[jets.counts > 0]))
        if typical > _BEAM or typical < 0.05:
            unit = "MeV" if typical > _BEAM else "TeV"
            raise DataError(
                f"half of the jets have a pt above {typical:,.4g} GeV, which no jet at the LHC "
                f"has; the file seems to be in {unit}.\nSay so in the description: "
                f'unit = "{unit}" (or unit = "GeV" if it is right).'
            )
