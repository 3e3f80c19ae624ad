"""From columns of jets to the numbers a network sees: input groups and their standardization.

`Preprocessing` holds the constants; it is fitted once, stored with the model, and applied to
everything the model ever sees, so that training and use cannot differ.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine.errors import DataError, suggest
from fieldgrad.engine.files import atomic_write
from fieldgrad.physics.jets.batch import JetBatch, pad

Array = NDArray[Any]

__all__ = ["InputGroup", "Preprocessing", "Variable"]


@dataclass(frozen=True)
class Variable:
    """One column of a network's input and how it is standardized: (x - center) · scale, clipped.

    Parameters
    ----------
    name : str
        Column among the features or observables of the jets.
    center : float, "auto" or None, default None
        What is subtracted. "auto" stands for the median, still to be found; None leaves the column
        as it is.
    scale : float, default 1
        What the difference is multiplied by. With "auto" it becomes one over the larger distance
        of the 16th and 84th percentiles from the median.
    low, high : float, default -5 and 5
        Bounds of the standardized column.
    pad_value : float, default 0
        What stands in rectangles where there is no constituent.
    """

    name: str
    center: float | Literal["auto"] | None = None
    scale: float = 1.0
    low: float = -5.0
    high: float = 5.0
    pad_value: float = 0.0

    def fitted(self, values: Array) -> Variable:
        """Find center and scale, if they are to be found.

        Parameters
        ----------
        values : numpy.ndarray of shape (n,)
            The column, without NaN.

        Returns
        -------
        Variable
            With numbers in place of "auto".

        Raises
        ------
        DataError
            If there are no values.

        Examples
        --------
        >>> Variable("x", "auto").fitted(np.arange(101.0))  # percentiles 16, 50, 84
        Variable(name='x', center=50.0, scale=0.029..., low=-5.0, high=5.0, pad_value=0.0)
        """
        if self.center != "auto":
            return self
        if values.size == 0:
            raise DataError(
                f"the variable {self.name!r} has no values to find its median from; expected some "
                "jets with constituents. Check the selection, or give center and scale."
            )
        low, center, high = np.percentile(values, [16, 50, 84])
        spread = max(high - center, center - low)
        return replace(self, center=float(center), scale=float(1 / spread) if spread > 0 else 1.0)

    def apply(self, values: Array) -> NDArray[np.float32]:
        """Standardize a column.

        Parameters
        ----------
        values : numpy.ndarray of shape (n,)
            The column.

        Returns
        -------
        numpy.ndarray of float32, shape (n,)
            The standardized column.
        """
        if self.center is None:
            return values.astype(np.float32)
        # Subtracted in the column's own precision: large offsets would be lost in float32.
        standardized = (values - self.center) * self.scale  # type: ignore[operator]
        return np.clip(standardized, self.low, self.high).astype(np.float32)


@dataclass(frozen=True)
class InputGroup:
    """Columns that enter a network side by side.

    Parameters
    ----------
    name : str
        Name of the input. What follows its last underscore is its role: ``features``, ``points``
        (positions of neighbors), ``vectors``, ``mask``, or ``observables`` of the whole jet.
    variables : tuple of Variable
        Its columns.
    length : int, optional
        Most constituents of a jet that the network sees, the first ones; all if left out.
    pad_mode : {"constant", "wrap"}, default "constant"
        How rectangles are filled; see `fieldgrad.physics.jets.pad`.
    """

    name: str
    variables: tuple[Variable, ...]
    length: int | None = None
    pad_mode: str = "constant"

    @property
    def role(self) -> str:
        """What the group is for: the part of its name after the last underscore."""
        return self.name.rpartition("_")[2]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(variable.name for variable in self.variables)


@dataclass(frozen=True)
class Preprocessing:
    """Input groups and the constants of their standardization.

    Parameters
    ----------
    groups : tuple of InputGroup
        The inputs of a network.
    replace_nan : float, optional
        What takes the place of NaN in a column; NaN is an error if left out.

    Examples
    --------
    >>> jets = JetBatch([0, 1, 3], np.ones((3, 4)), features={"x": [1.0, 2.0, 9.0]})
    >>> inputs = Preprocessing((InputGroup("features", (Variable("x", center=1.0, scale=0.5),)),))
    >>> values, offsets = inputs.ragged(jets, "features")
    >>> values[:, 0], offsets
    (array([0. , 0.5, 4. ], dtype=float32), array([0, 1, 3]))
    """

    groups: tuple[InputGroup, ...]
    replace_nan: float | None = None

    def fit(self, jets: JetBatch) -> Preprocessing:
        """Find the constants that are to be found.

        Parameters
        ----------
        jets : JetBatch
            Jets of the training data; every jet counts the same, whatever its weight.

        Returns
        -------
        Preprocessing
            With numbers in place of "auto".

        Raises
        ------
        DataError
            If a column is missing, empty or NaN.
        """
        groups = tuple(
            replace(
                group,
                variables=tuple(
                    v.fitted(self._column(jets, group, v)) if v.center == "auto" else v
                    for v in group.variables
                ),
            )
            for group in self.groups
        )
        return replace(self, groups=groups)

    @property
    def is_fitted(self) -> bool:
        """Whether every constant is known."""
        return all(v.center != "auto" for group in self.groups for v in group.variables)

    def group(self, name: str) -> InputGroup:
        """Find a group by its name or its role.

        Parameters
        ----------
        name : str
            Such as ``"pf_features"`` or ``"features"``.

        Returns
        -------
        InputGroup
            The group.

        Raises
        ------
        DataError
            If there is none, or the role is that of several.
        """
        found = [g for g in self.groups if g.name == name] or [
            g for g in self.groups if g.role == name
        ]
        if len(found) == 1:
            return found[0]
        names = [group.name for group in self.groups]
        raise DataError(
            f"there is no input {name!r}{suggest(name, names) or '.'} Inputs: {', '.join(names)}."
            if not found
            else f"several inputs are {name}: {', '.join(g.name for g in found)}. Name one."
        )

    def __contains__(self, name: str) -> bool:
        """Tell whether there is a group of this name or role."""
        return any(name in (group.name, group.role) for group in self.groups)

    def ragged(self, jets: JetBatch, name: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Make the standardized constituents of a group, without padding.

        Parameters
        ----------
        jets : JetBatch
            Any jets.
        name : str
            Name or role of a group of constituents' columns.

        Returns
        -------
        values : numpy.ndarray of float32, shape (n_constituents, n_variables)
            Rows of all jets, end to end, at most ``length`` of each.
        offsets : numpy.ndarray of int64, shape (n_jets + 1,)
            Where each jet begins.

        Raises
        ------
        DataError
            If a column is missing or not finite, or constants are still to be found.
        """
        group = self.group(name)
        if len(jets) and group.names and group.names[0] in jets.observables:
            raise DataError(
                f"input {group.name} holds {group.names[0]!r}, a number per jet; expected columns "
                "of constituents. Use Preprocessing.per_jet."
            )
        offsets, rows = leading(jets.offsets, group.length)
        values = np.empty((int(offsets[-1]), len(group.variables)), np.float32)
        for i, variable in enumerate(group.variables):
            values[:, i] = self._applied(jets, group, variable)[rows]
        return values, offsets

    def dense(self, jets: JetBatch, name: str) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Make the standardized constituents of a group as a rectangle.

        Parameters
        ----------
        jets : JetBatch
            Any jets.
        name : str
            Name or role of a group of constituents' columns.

        Returns
        -------
        values : numpy.ndarray of float32, shape (n_jets, length, n_variables)
            Filled as the group's ``pad_mode`` says; length is that of the longest jet if the group
            has none.
        mask : numpy.ndarray of bool, shape (n_jets, length)
            True where there is a constituent.

        Raises
        ------
        DataError
            As `ragged`.
        """
        group = self.group(name)
        values, offsets = self.ragged(jets, name)
        dense, mask = pad(values, offsets, group.length, mode=group.pad_mode)
        filled = mask if group.pad_mode == "constant" else mask.any(1, keepdims=True) | mask
        fill = np.array([variable.pad_value for variable in group.variables], np.float32)
        if fill.any():
            dense[~filled] = fill
        return dense, mask

    def per_jet(self, jets: JetBatch, name: str) -> NDArray[np.float32]:
        """Make the standardized observables of a group.

        Parameters
        ----------
        jets : JetBatch
            Any jets.
        name : str
            Name or role of a group of numbers per jet.

        Returns
        -------
        numpy.ndarray of float32, shape (n_jets, n_variables)
            One row per jet.

        Raises
        ------
        DataError
            As `ragged`.
        """
        group = self.group(name)
        return np.stack([self._applied(jets, group, v) for v in group.variables], 1)

    def _column(self, jets: JetBatch, group: InputGroup, variable: Variable) -> Array:
        columns = jets.features if variable.name in jets.features else jets.observables
        if variable.name not in columns:
            known = [*jets.features, *jets.observables]
            raise DataError(
                f"input {group.name}: the jets have no {variable.name!r}"
                f"{suggest(variable.name, known) or '.'} They have {', '.join(known) or 'nothing'}."
            )
        values = np.asarray(columns[variable.name])
        if values.dtype.kind in "biu":
            return values.astype(np.float32)
        finite = np.isfinite(values)
        if finite.all():
            return values
        nan = np.isnan(values)
        # Infinities are bounded by the clipping, which a column without center does not have.
        bad = nan if variable.center is not None else ~finite
        if nan.any() and self.replace_nan is not None:
            values = np.where(nan, np.asarray(self.replace_nan, values.dtype), values)
            bad = bad & ~nan
        if bad.any():
            row = int(np.argmax(bad))
            jet = row
            if columns is jets.features:
                jet = int(np.searchsorted(jets.offsets, row, side="right")) - 1
            raise DataError(
                f"input {group.name}: {variable.name!r} is {values[row]} in jet {jet}, and not "
                f"finite in {bad.sum()} of {len(bad)} places; expected finite numbers.\n"
                "Correct the formula (a logarithm of 0?), select against it, or set replace_nan."
            )
        return values

    def _applied(self, jets: JetBatch, group: InputGroup, variable: Variable) -> Array:
        if variable.center == "auto":
            raise DataError(
                f"input {group.name}: the median of {variable.name!r} is still to be found. "
                "Call Preprocessing.fit with the training jets first."
            )
        return variable.apply(self._column(jets, group, variable))

    def to_json(self) -> str:
        """Write all as text, to be stored with a model.

        Returns
        -------
        str
            JSON that `from_json` reads.
        """
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Preprocessing:
        """Read what `to_json` wrote.

        Parameters
        ----------
        text : str
            JSON.

        Returns
        -------
        Preprocessing
            The same constants, bit by bit.

        Examples
        --------
        >>> inputs = Preprocessing((InputGroup("features", (Variable("x"),)),))
        >>> Preprocessing.from_json(inputs.to_json()) == inputs
        True
        """
        table = json.loads(text)
        groups = tuple(
            InputGroup(**group | {"variables": tuple(Variable(**v) for v in group["variables"])})
            for group in table["groups"]
        )
        return cls(groups, table["replace_nan"])

    def write_cmssw(
        self, path: str | os.PathLike[str], output_names: Sequence[str]
    ) -> dict[str, Any]:
        """Write the constants as ``preprocess.json``, in the keys that CMSSW and weaver-core use.

        Parameters
        ----------
        path : path-like
            The file to write.
        output_names : sequence of str
            Names of the network's outputs, in order.

        Returns
        -------
        dict
            What was written.

        Raises
        ------
        DataError
            If constants are still to be found.

        Notes
        -----
        Per input: ``var_names``, ``var_length``, and for each variable ``median``,
        ``norm_factor``, ``lower_bound``, ``upper_bound``, ``pad``, ``replace_inf_value``; a column
        that is left as it is has median 0, factor 1 and bounds of ±1e32.
        """
        if not self.is_fitted:
            raise DataError("preprocess.json: some medians are still to be found. Call fit first.")
        table: dict[str, Any] = {
            "output_names": list(output_names),
            "input_names": [group.name for group in self.groups],
        }
        for group in self.groups:
            table[group.name] = {
                "var_names": list(group.names),
                "var_infos": {v.name: _cmssw(v) for v in group.variables},
                "var_length": group.length,
            }
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")
        return table


def leading(
    offsets: NDArray[np.int64], length: int | None
) -> tuple[NDArray[np.int64], NDArray[np.int64] | slice]:
    """Say which rows are among the first `length` of their jet.

    Parameters
    ----------
    offsets : numpy.ndarray of int64, shape (n_jets + 1,)
        Where each jet begins.
    length : int or None
        Most rows of a jet; None for all.

    Returns
    -------
    offsets : numpy.ndarray of int64, shape (n_jets + 1,)
        Where each jet begins among these rows.
    rows : numpy.ndarray of int64 or slice
        Their indices.
    """
    counts = np.diff(offsets)
    if length is None or counts.max(initial=0) <= length:
        return offsets, slice(0, int(offsets[-1]))
    kept = np.minimum(counts, length)
    starts = np.concatenate([[0], np.cumsum(kept)])
    return starts, np.arange(starts[-1]) + np.repeat(offsets[:-1] - starts[:-1], kept)


def _cmssw(variable: Variable) -> dict[str, Any]:
    plain = variable.center is None
    return {
        "median": 0 if plain else variable.center,
        "norm_factor": variable.scale,
        "replace_inf_value": 0,
        "lower_bound": -1e32 if plain else variable.low,
        "upper_bound": 1e32 if plain else variable.high,
        "pad": variable.pad_value,
    }
