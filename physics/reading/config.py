"""The description of an analysis: which columns are cut on, fed to a network, learned, weighted.

One schema, that of weaver-core's data configuration, written as YAML (weaver-core's own files are
read unchanged) or as TOML. See docs/concepts/jets.md for what each entry means.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fieldgrad.engine.errors import DataError, FileError, require, suggest
from fieldgrad.engine.field import import_object
from fieldgrad.physics.jets.preprocessing import InputGroup, Preprocessing, Variable
from fieldgrad.physics.jets.weights import Reweighting
from fieldgrad.physics.reading.expressions import Expression, Formulas

__all__ = ["DataConfig", "Labels"]

# Entries of weaver-core, and our own behind them.
_ENTRIES = (
    "treename", "branch_magic", "file_magic", "selection", "test_time_selection", "preprocess",
    "new_variables", "inputs", "labels", "observers", "monitor_variables", "weights", "bucketing",
    "vectors", "unit", "weight", "replace_nan", "functions",
)  # fmt: skip
GEV_PER_UNIT = {"eV": 1e-9, "keV": 1e-6, "MeV": 1e-3, "GeV": 1.0, "TeV": 1e3}


@dataclass(frozen=True)
class Labels:
    """What is learned.

    Parameters
    ----------
    kind : {"simple", "index", "custom"}
        ``simple``: a column of 0 and 1 per class, exactly one of which is 1. ``index``: one column
        with the number of the class. ``custom``: any columns; the first whole-numbered one is the
        class, the others are targets, kept among the observers.
    formulas : mapping of str to str
        By class (simple) or by target (index, custom).
    names : tuple of str, optional
        Names of the classes; those of the formulas if `kind` is simple.
    """

    kind: str
    formulas: Mapping[str, str]
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataConfig:
    """The description of an analysis.

    Read one with `load` or make it of a table with `from_table`; the parts are then here.

    Parameters
    ----------
    inputs : Preprocessing
        The inputs of the network, with the constants that the description gives.
    labels : Labels, optional
        What is learned.
    selection, test_time_selection : str, optional
        Formulas that jets must fulfill in training, and elsewhere (the former if left out).
    new_variables : mapping of str to str, optional
        Formulas by name.
    vectors : tuple of str, optional
        Columns or formulas of E, px, py, pz of the constituents. If left out, those of the input
        with the role ``vectors`` (in weaver-core's order px, py, pz, energy), or found by name.
    weight : str, optional
        Formula of each jet's weight.
    reweighting : Reweighting, optional
        Weights that make classes and spectra alike.
    observers, monitors : tuple of str, optional
        Columns to be kept beside the jets: always, or in training.
    treename : str, optional
        Which tree of a file.
    unit : str, optional
        Unit of energies and momenta in the files: eV, keV, MeV, GeV or TeV. GeV, with a check of
        the size, if left out.
    data_fraction : float, default 1
        Part of the training data to find medians from.
    branch_magic : mapping of str to str, optional
        Parts of names to replace when columns are looked up in a file.
    file_magic : mapping, optional
        For columns that are not in the files: values by pattern of the file's name.
    functions : mapping of str to callable, optional
        Functions that formulas may call, by name.
    table : mapping, optional
        What all of it was made from.
    """

    inputs: Preprocessing
    labels: Labels | None = None
    selection: str = ""
    test_time_selection: str = ""
    new_variables: Mapping[str, str] = field(default_factory=dict)
    vectors: tuple[str, ...] = ()
    weight: str = ""
    reweighting: Reweighting | None = None
    observers: tuple[str, ...] = ()
    monitors: tuple[str, ...] = ()
    treename: str = ""
    unit: str = ""
    data_fraction: float = 1.0
    branch_magic: Mapping[str, str] = field(default_factory=dict)
    file_magic: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    functions: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    table: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.unit and self.unit not in GEV_PER_UNIT:
            raise DataError(
                f"unit is {self.unit!r}{suggest(self.unit, GEV_PER_UNIT) or ';'} expected one of "
                f"{', '.join(GEV_PER_UNIT)}."
            )
        if len(self.vectors) not in (0, 4):
            raise DataError(
                f"vectors are {list(self.vectors)}; expected four columns: energy, px, py, pz."
            )
        self.formulas()
        for text in filter(None, (self.selection, self.test_time_selection, self.weight)):
            Expression(text, self.functions)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> DataConfig:
        """Read a description.

        Parameters
        ----------
        path : path-like
            A .yaml or .yml file, as weaver-core's, or a .toml file with the same entries.

        Returns
        -------
        DataConfig
            The description, every formula of which has been checked.

        Raises
        ------
        FileError
            If the file is missing or is not YAML or TOML.
        DataError
            If an entry is unknown, missing or wrong.
        """
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise FileError(
                f"{path} cannot be read: {getattr(error, 'strerror', None) or error}. "
                "Expected a description (.yaml or .toml).", path
            ) from error  # fmt: skip
        if path.suffix == ".toml":
            try:
                table: Any = tomllib.loads(text)
            except tomllib.TOMLDecodeError as error:
                raise FileError(f"{path} is not TOML: {error}. Correct it there.", path) from error
        elif path.suffix in (".yaml", ".yml"):
            yaml = require("yaml", extra="physics")
            try:
                table = yaml.safe_load(text)
            except yaml.YAMLError as error:
                raise FileError(f"{path} is not YAML: {error}. Correct it there.", path) from error
        else:
            raise FileError(f"{path} ends in {path.suffix!r}; expected .yaml or .toml.", path)
        try:
            return cls.from_table(table)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error

    @classmethod
    def from_table(
        cls,
        table: Mapping[str, Any],
        functions: Mapping[str, Callable[..., Any]] | None = None,
    ) -> DataConfig:
        """Make a description of a table, as it stands in a YAML or TOML file.

        Parameters
        ----------
        table : mapping
            Entries of weaver-core (treename, selection, new_variables, preprocess, inputs, labels,
            observers, monitor_variables, weights, …) and ours (vectors, unit, weight, replace_nan,
            functions); entries that are None count as left out.
        functions : mapping of str to callable, optional
            Functions that formulas may call, beside those that the table names by import path.

        Returns
        -------
        DataConfig
            The description.

        Raises
        ------
        DataError
            If an entry is unknown, missing or wrong.

        Examples
        --------
        >>> config = DataConfig.from_table({
        ...     "selection": "jet_pt > 500",
        ...     "new_variables": {"part_pt_log": "np.log(np.hypot(part_px, part_py))"},
        ...     "inputs": {"pf_features": {"length": 128, "vars": [["part_pt_log", 1.7, 0.7]]}},
        ...     "labels": {"type": "simple", "value": ["label_QCD", "label_Tbqq"]},
        ... })
        >>> config.inputs.group("features").variables[0].center
        1.7
        >>> sorted(config.columns_for(training=True))
        ['jet_pt', 'label_QCD', 'label_Tbqq', 'part_px', 'part_py']
        """
        if not isinstance(table, Mapping):
            raise DataError(f"the description is {table!r:.60}; expected a table of entries.")
        given = {key: value for key, value in table.items() if value is not None}
        for key in given:
            if key not in _ENTRIES:
                raise DataError(
                    f"there is no entry {key!r}{suggest(str(key), _ENTRIES) or '.'} "
                    f"Entries: {', '.join(_ENTRIES)}."
                )
        preprocess = _entries(given, "preprocess", ("method", "data_fraction", "params"))
        method = str(preprocess.get("method") or "manual").lower()
        if method not in ("manual", "auto"):
            raise DataError(f"preprocess: method is {method!r}; expected 'manual' or 'auto'.")
        observers = tuple(map(str, _list(given, "observers")))
        monitors = tuple(map(str, _list(given, "monitor_variables")))
        weight, reweighting = _weights(_table(given, "weights"))
        return cls(
            inputs=Preprocessing(
                _groups(_table(given, "inputs"), method, preprocess.get("params") or {}),
                given.get("replace_nan"),
            ),
            labels=_labels(_entries(given, "labels", ("type", "value", "names"))),
            selection=str(given.get("selection", "")),
            test_time_selection=str(given.get("test_time_selection", "")),
            new_variables={str(k): str(v) for k, v in _table(given, "new_variables").items()},
            vectors=tuple(map(str, _list(given, "vectors"))),
            weight=str(given.get("weight", "")) or weight,
            reweighting=reweighting,
            observers=observers,
            monitors=monitors,
            treename=str(given.get("treename", "")),
            unit=str(given.get("unit", "")),
            # In weaver-core the default is a tenth, for its sets of many millions.
            data_fraction=float(preprocess.get("data_fraction") or 1.0),
            branch_magic=_table(given, "branch_magic"),
            file_magic=_table(given, "file_magic"),
            functions={
                str(name): import_object(str(path))
                for name, path in _table(given, "functions").items()
            }
            | dict(functions or {}),
            table=given,
        )

    def observing(self, names: Sequence[str]) -> DataConfig:
        """Give the same description with more observers.

        Parameters
        ----------
        names : sequence of str
            Columns, formulas or observables of the jets.

        Returns
        -------
        DataConfig
            With each observer once.
        """
        custom = self.labels is not None and self.labels.kind == "custom"
        known = (*self.observers, *(self.labels.formulas if self.labels and custom else ()))
        more = [name for name in dict.fromkeys(names) if name not in known]
        if not more:
            return self
        table = dict(self.table) | {"observers": [*self.observers, *more]}
        return DataConfig.from_table(table, self.functions)

    def to_json(self) -> str:
        """Write the description as text, to be stored with a model.

        Returns
        -------
        str
            JSON of the table it was made from.
        """
        return json.dumps(self.table)

    @classmethod
    def from_json(cls, text: str) -> DataConfig:
        """Read what `to_json` wrote.

        Parameters
        ----------
        text : str
            JSON.

        Returns
        -------
        DataConfig
            The same description.
        """
        return cls.from_table(json.loads(text))

    def formulas(self) -> Formulas:
        """Give the new variables and the formulas of labels as one set of formulas.

        Returns
        -------
        Formulas
            By name.
        """
        targets = {} if self.labels is None else dict(self.labels.formulas)
        of_weights = {text: text for text in self.reweighting.names} if self.reweighting else {}
        return Formulas(of_weights | targets | dict(self.new_variables), self.functions)

    def cut(self, *, training: bool) -> str:
        """Give the selection that applies.

        Parameters
        ----------
        training : bool
            Whether the jets are for training.

        Returns
        -------
        str
            A formula, or nothing.
        """
        return self.selection if training else self.test_time_selection or self.selection

    def names_for(
        self, *, training: bool, truth: bool = True, inputs: bool = True
    ) -> dict[str, tuple[str, ...]]:
        """List what is wanted of each jet, by what it is wanted for.

        Parameters
        ----------
        training : bool
            Whether the jets are for training: with what reweighting and monitoring need.
        truth : bool, default True
            Whether labels and weights are wanted.
        inputs : bool, default True
            Whether inputs and observers are wanted.

        Returns
        -------
        dict of str to tuple of str
            Names of columns and formulas by purpose: ``inputs``, ``observers``, ``labels``,
            ``weights``, ``vectors``.
        """
        wanted: dict[str, tuple[str, ...]] = {
            "inputs": (), "observers": (), "vectors": self.vectors
        }  # fmt: skip
        if inputs:
            names = [name for group in self.inputs.groups for name in group.names]
            beside = [*self.observers]
            if training:
                beside += [*self.monitors, *(self.reweighting.names if self.reweighting else ())]
            wanted |= {"inputs": tuple(dict.fromkeys(names)),
                       "observers": tuple(dict.fromkeys(beside))}  # fmt: skip
        if truth:
            wanted["labels"] = tuple(self.labels.formulas) if self.labels else ()
            wanted["weights"] = (self.weight,) if self.weight else ()
        return wanted

    def columns_for(self, *, training: bool, truth: bool = True, inputs: bool = True) -> set[str]:
        """Say which columns of the files are needed.

        Parameters
        ----------
        training : bool
            Whether the jets are for training.
        truth : bool, default True
            Whether labels and weights are wanted.
        inputs : bool, default True
            Whether inputs and observers are wanted.

        Returns
        -------
        set of str
            Names that no formula computes.
        """
        wanted = self.names_for(training=training, truth=truth, inputs=inputs)
        names = {*wanted["inputs"], *wanted["observers"], *wanted.get("labels", ())}
        for text in filter(
            None, (self.cut(training=training), *wanted["vectors"], *wanted.get("weights", ()))
        ):
            names |= Expression(text, self.functions).names
        return self.formulas().columns_for(names)


def _table(given: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = given.get(key, {})
    if not isinstance(value, Mapping):
        raise DataError(f"{key} is {value!r:.80}; expected a table of names and values.")
    return value


def _list(given: Mapping[str, Any], key: str) -> Sequence[Any]:
    value = given.get(key, ())
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise DataError(f"{key} is {value!r:.80}; expected a list.")
    return value


def _entries(given: Mapping[str, Any], key: str, known: tuple[str, ...]) -> Mapping[str, Any]:
    table = _table(given, key)
    for name in table:
        if name not in known:
            raise DataError(
                f"{key} has no entry {name!r}{suggest(str(name), known) or '.'} "
                f"Entries: {', '.join(known)}."
            )
    return table


def _groups(
    inputs: Mapping[str, Any], method: str, params: Mapping[str, Any]
) -> tuple[InputGroup, ...]:
    groups = []
    for name in inputs:
        entry = _entries(inputs, name, ("length", "pad_mode", "vars"))
        pad_mode = str(entry.get("pad_mode") or "constant").lower()
        if pad_mode not in ("constant", "wrap"):
            raise DataError(
                f"inputs.{name}: pad_mode is {pad_mode!r}; expected 'constant' or 'wrap'."
            )
        # A mask is 0 or 1, and there is nothing to find.
        standard = None if method == "manual" or name.endswith("_mask") else "auto"
        variables = tuple(
            _variable(f"inputs.{name}", v, standard, params) for v in _list(entry, "vars")
        )
        if not variables:
            raise DataError(f"inputs.{name}: vars are missing; expected a list of columns.")
        length = entry.get("length")
        if length is not None and (not isinstance(length, int) or length < 1):
            raise DataError(f"inputs.{name}: length is {length!r}; expected 1 or more, or none.")
        groups.append(InputGroup(str(name), variables, length, pad_mode))
    return tuple(groups)


def _variable(where: str, entry: Any, standard: Any, params: Mapping[str, Any]) -> Variable:
    """Read ``name``, ``[name, center, scale, low, high, pad_value]`` or a table of these."""
    keys = ("center", "scale", "low", "high", "pad_value")
    if isinstance(entry, Mapping):
        for key in entry:
            if key not in ("name", *keys):
                raise DataError(
                    f"{where}: a variable has no {key!r}{suggest(str(key), keys) or '.'}"
                )
        name, values = str(entry.get("name", "")), {k: v for k, v in entry.items() if k != "name"}
    else:
        parts = [entry] if isinstance(entry, str) else list(entry)
        if not parts or len(parts) > 1 + len(keys):
            raise DataError(
                f"{where}: a variable is {entry!r}; expected its name, or a list of name, center, "
                "scale, lower bound, upper bound, value of padding."
            )
        name, values = str(parts[0]), dict(zip(keys, parts[1:], strict=False))
    if name in params:  # what weaver-core found and wrote into its .auto.yaml
        found = params[name]
        values = {"center": found["center"], "scale": found["scale"], "low": found["min"],
                  "high": found["max"], "pad_value": found["pad_value"]}  # fmt: skip
    center = values.pop("center", standard)
    if center is False or center == "none":  # TOML has no null
        center = None
    try:
        return Variable(
            name,
            center if center in ("auto", None) else float(center),
            **{key: float(value) for key, value in values.items()},
        )
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{where}: the variable {name!r} has {entry!r}; expected numbers, null or 'auto'."
        ) from error


def _labels(entry: Mapping[str, Any]) -> Labels | None:
    if not entry:
        return None
    kind, value = str(entry.get("type", "simple")), entry.get("value")
    names = tuple(map(str, entry.get("names") or ()))
    if kind == "simple" and isinstance(value, Sequence) and not isinstance(value, str):
        formulas = {str(text): str(text) for text in value}
        if len(formulas) < len(value) or len(names or formulas) != len(formulas):
            raise DataError("labels: expected different columns, and one name for each.")
        return Labels(kind, formulas, names or tuple(formulas))
    if kind == "index" and isinstance(value, str) and names:
        return Labels(kind, {value: value}, names)
    if kind == "custom" and isinstance(value, Mapping) and value:
        return Labels(kind, {str(name): str(text) for name, text in value.items()}, names)
    raise DataError(
        f"labels: type {kind!r} with value {value!r:.100}; expected\n"
        "type simple and a list of 0-1 columns, type index with a column and names, or\n"
        "type custom and a table of formulas."
    )


def _weights(entry: Mapping[str, Any]) -> tuple[str, Reweighting | None]:
    """Read weaver-core's section: a product of columns, or how to reweight."""
    if not entry:
        return "", None
    if entry.get("use_precomputed_weights"):
        known = ("use_precomputed_weights", "weight_branches")
        branches = _list(_entries({"weights": entry}, "weights", known), "weight_branches")
        return " * ".join(f"({branch})" for branch in branches), None
    return "", Reweighting.from_table(entry)
