"""Weights of jets: sums with their signs, and weights that make classes and spectra alike.

Weights may be negative, as those of next-to-leading-order simulations are; nothing here drops or
clips them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine.errors import DataError, suggest
from fieldgrad.physics.jets.batch import JetBatch

Array = NDArray[Any]

__all__ = ["Reweighting", "WeightSum", "check_weights", "sum_weights"]


@dataclass(frozen=True)
class WeightSum:
    """The weights of one class.

    Parameters
    ----------
    name : str
        The class.
    n_jets, n_negative : int
        Number of jets, and of those with a negative weight.
    total, absolute : float
        Sum of the weights, with and without their signs.
    effective : float
        Number of jets of weight 1 with the same relative statistical error, (Σw)² / Σw².
    """

    name: str
    n_jets: int
    n_negative: int
    total: float
    absolute: float
    effective: float


def sum_weights(jets: JetBatch) -> list[WeightSum]:
    """Sum the weights of each class.

    Parameters
    ----------
    jets : JetBatch
        Jets with labels, or without: then they are one class.

    Returns
    -------
    list of WeightSum
        One of each class that has a name or a jet.

    Examples
    --------
    >>> jets = JetBatch([0, 0, 0], np.empty((0, 4)), labels=[0, 0], weights=[3.0, -1.0])
    >>> sum_weights(jets)[0]
    WeightSum(name='0', n_jets=2, n_negative=1, total=2.0, absolute=4.0, effective=0.4)
    """
    labels = np.zeros(len(jets), np.int64) if jets.labels is None else jets.labels
    n_classes = max(len(jets.label_names), int(labels.max(initial=-1)) + 1)
    sums = []
    for k in range(n_classes):
        w = jets.weights[labels == k]
        squares = float((w * w).sum())
        name = jets.label_names[k] if k < len(jets.label_names) else str(k)
        sums.append(
            WeightSum(
                "all" if jets.labels is None else name,
                len(w),
                int((w < 0).sum()),
                float(w.sum()),
                float(np.abs(w).sum()),
                float(w.sum()) ** 2 / squares if squares else 0.0,
            )
        )
    return sums


def check_weights(jets: JetBatch) -> None:
    """Refuse weights with which nothing can be learned or measured.

    Parameters
    ----------
    jets : JetBatch
        Any jets.

    Raises
    ------
    DataError
        If the weights of a class that has jets sum to zero or less.
    """
    for row in sum_weights(jets):
        if row.n_jets and row.total <= 0:
            raise DataError(
                f"the weights of the {row.n_jets} jets of class {row.name} sum to {row.total:g} "
                f"({row.n_negative} are negative); expected a positive sum.\n"
                "Correct the formula of the weight, or leave out these jets."
            )


@dataclass(frozen=True)
class Reweighting:
    """Weights by class and kinematic bin, as weaver-core's section ``weights``.

    Parameters
    ----------
    method : {"flat", "ref"}
        Make the spectrum of every class flat, or like that of the first class.
    variables : mapping of str to tuple of float
        Edges of the bins by column: ``{"jet_pt": (500, 600, 700), "jet_mass": (0, 50, 100)}``.
    classes : tuple of str
        Columns of 0 and 1, one for each class to be made alike.
    class_weights : tuple of float, optional
        Share of each class in the sum of weights; equal shares if left out.
    threshold : float, default 10
        Percentile of the bins below which a bin counts as too empty to be followed: flat, bins
        with less than this percentile keep weight 1; ref, the ratios above 100 minus it are cut.
    base_weight : str, optional
        Formula of a weight that the jets have anyway, beside `DataConfig.weight`.
    discard_outside : bool, default True
        Give weight 0 outside of the bins, instead of that of the nearest bin.
    tables : mapping of str to numpy.ndarray, optional
        Weight of each bin by class, once found with `fit`.
    scale : float, default 1
        What brings the largest weight of a jet to 1; found with `fit`.

    References
    ----------
    weaver-core (https://github.com/hqucms/weaver-core), section ``weights`` of its data
    configuration. There the weights are probabilities of sampling, and negative ones are lost.

    Examples
    --------
    >>> jets = JetBatch(np.zeros(5, int), np.empty((0, 4)), observers={
    ...     "pt": [1.0, 1.0, 1.0, 3.0], "top": [1, 1, 0, 0], "qcd": [0, 0, 1, 1]})
    >>> balance = Reweighting("flat", {"pt": (0.0, 2.0, 4.0)}, ("top", "qcd"), threshold=0)
    >>> balance.fit(jets).apply(jets).weights
    array([1., 1., 1., 1.])
    """

    method: str
    variables: Mapping[str, tuple[float, ...]]
    classes: tuple[str, ...]
    class_weights: tuple[float, ...] = ()
    threshold: float = 10.0
    base_weight: str = ""
    discard_outside: bool = True
    tables: Mapping[str, Array] = field(default_factory=dict)
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.method not in ("flat", "ref"):
            raise DataError(f"weights: reweight_method is {self.method!r}; expected flat or ref.")
        if not self.classes or not self.variables:
            raise DataError(
                "weights: expected reweight_vars (columns and edges) and reweight_classes."
            )
        if len(self.class_weights) not in (0, len(self.classes)) or any(
            not w > 0 for w in self.class_weights
        ):
            raise DataError(
                f"weights: class_weights are {list(self.class_weights)}; expected "
                f"{len(self.classes)} positive numbers, one for each of {', '.join(self.classes)}."
            )
        for name, edges in self.variables.items():
            if len(edges) < 2 or any(np.diff(edges) <= 0):
                raise DataError(
                    f"weights: the edges of {name} are {list(edges)}; expected two or more, rising."
                )
        if not 0 <= self.threshold < 100:
            raise DataError(
                f"weights: reweight_threshold is {self.threshold}; expected a percentile from 0 "
                "to below 100."
            )

    @classmethod
    def from_table(cls, entry: Mapping[str, Any]) -> Reweighting:
        """Read weaver-core's section ``weights``.

        Parameters
        ----------
        entry : mapping
            The section.

        Returns
        -------
        Reweighting
            The same settings, with the weights of the bins if it holds them.

        Raises
        ------
        DataError
            If an entry is unknown or wrong.
        """
        known = (
            "use_precomputed_weights", "reweight_method", "reweight_vars", "reweight_classes",
            "class_weights", "reweight_threshold", "reweight_basewgt",
            "reweight_discard_under_overflow", "reweight_hists",
        )  # fmt: skip
        for key in entry:
            if key not in known:
                raise DataError(
                    f"weights has no entry {key!r}{suggest(str(key), known) or '.'} "
                    f"Entries: {', '.join(known)}."
                )
        variables, tables = entry.get("reweight_vars") or {}, entry.get("reweight_hists") or {}
        try:
            return cls(
                method=str(entry.get("reweight_method", "flat")),
                variables={str(k): tuple(map(float, edges)) for k, edges in variables.items()},
                classes=tuple(map(str, entry.get("reweight_classes") or ())),
                class_weights=tuple(map(float, entry.get("class_weights") or ())),
                threshold=float(entry.get("reweight_threshold", 10)),
                base_weight=str(entry.get("reweight_basewgt") or ""),
                discard_outside=bool(entry.get("reweight_discard_under_overflow", True)),
                tables={str(name): np.asarray(table, float) for name, table in tables.items()},
            )
        except (TypeError, ValueError, AttributeError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"weights: {error}; expected lists of numbers.") from error

    @property
    def names(self) -> tuple[str, ...]:
        """Columns that must be among the jets' observers."""
        base = (self.base_weight,) if self.base_weight else ()
        return (*self.variables, *self.classes, *base)

    def fit(self, jets: JetBatch) -> Reweighting:
        """Find the weights of the bins.

        Parameters
        ----------
        jets : JetBatch
            Jets of the training data, with the columns of `names` among their observers. Their
            weights count.

        Returns
        -------
        Reweighting
            With the weights.

        Raises
        ------
        DataError
            If a column is missing, or a class has no jets in the bins or no positive weight.

        Notes
        -----
        With h the weighted histogram of a class and q its percentile `threshold` over the bins
        with more than a hundredth of the median, a bin's weight is min(q / h, 1); for "ref" it is
        min(r / u, 1) with the ratio r to the first class and its percentile u = 100 - `threshold`.
        Bins whose sum is not positive get weight 0. The classes are then scaled so that their sums
        are as `class_weights` say.
        """
        base, bins, inside = self._base(jets), self._bins(jets), self._inside(jets)
        shape = tuple(len(edges) - 1 for edges in self.variables.values())
        sums = {}
        for name in self.classes:
            own = self._members(jets, name) & inside
            flat = np.bincount(bins[own], base[own], minlength=int(np.prod(shape)))
            if not (flat > 0).any():
                raise DataError(
                    f"weights: class {name} has {own.sum()} jets in the bins, with no positive sum "
                    "in any; expected some.\nCorrect the edges in reweight_vars, the selection, "
                    f"or leave {name} out of reweight_classes."
                )
            sums[name] = flat.reshape(shape)
        tables, totals = {}, {}
        shares = self.class_weights or (1.0,) * len(self.classes)
        for name, share in zip(self.classes, shares, strict=True):
            tables[name] = self._table(sums[name], sums[self.classes[0]])
            totals[name] = float((sums[name] * tables[name]).sum()) / share
            if totals[name] <= 0:
                raise DataError(
                    f"weights: class {name} shares no bin with {self.classes[0]}, the reference. "
                    "Correct the edges in reweight_vars, or use reweight_method flat."
                )
        for name, table in tables.items():
            tables[name] = table / totals[name]
        fitted = replace(self, tables=tables, scale=1.0)
        largest = np.abs(fitted.factors(jets) * base).max(initial=0.0)
        return replace(fitted, scale=1 / largest)

    def _table(self, sums: Array, reference: Array) -> Array:
        filled = sums > 0
        safe = np.where(filled, sums, 1.0)
        if self.method == "flat":
            enough = sums[sums > 0.01 * np.median(sums[filled])]
            weights = np.percentile(enough, self.threshold) / safe
        else:
            ratio = np.where(filled, np.maximum(reference, 0) / safe, 0)
            upper = np.percentile(ratio[ratio > 0], 100 - self.threshold) if ratio.any() else 1.0
            weights = ratio / upper
        return np.where(filled, np.minimum(weights, 1.0), 0.0)

    def factors(self, jets: JetBatch) -> NDArray[np.float64]:
        """Give what the weight of each jet is multiplied by.

        Parameters
        ----------
        jets : JetBatch
            Jets with the columns of `names` among their observers.

        Returns
        -------
        numpy.ndarray of float64, shape (n_jets,)
            0 for jets of no class, and outside of the bins if these are discarded.

        Raises
        ------
        DataError
            If the weights of the bins are still to be found, or a column is missing.
        """
        if not self.tables:
            raise DataError("weights: call Reweighting.fit with the training jets first.")
        bins, inside = self._bins(jets), self._inside(jets)
        factors = np.zeros(len(jets))
        for name, table in self.tables.items():
            own = self._members(jets, name) & inside
            factors[own] = table.ravel()[bins[own]]
        return factors * self.scale

    def weigh(self, jets: JetBatch) -> NDArray[np.float64]:
        """Give the new weights of jets, whose size does not depend on which jets are given.

        Parameters
        ----------
        jets : JetBatch
            Jets with the columns of `names` among their observers.

        Returns
        -------
        numpy.ndarray of float64, shape (n_jets,)
            Old weights times `factors`, at most 1 for the jets that `fit` saw.
        """
        return self._base(jets) * self.factors(jets)

    def apply(self, jets: JetBatch) -> JetBatch:
        """Multiply the weights of jets, for a weighted loss.

        Parameters
        ----------
        jets : JetBatch
            Jets with the columns of `names` among their observers.

        Returns
        -------
        JetBatch
            The same jets with new weights, which sum to the number of jets that have one.
        """
        weights = self.weigh(jets)
        total = weights.sum()
        if total <= 0:
            raise DataError(
                f"weights: after reweighting the weights of {len(jets)} jets sum to {total:g}; "
                "expected a positive sum. Correct reweight_vars, or the weights of the jets."
            )
        return jets.replace(weights=weights * (np.count_nonzero(weights) / total))

    def resample(
        self, jets: JetBatch, rng: np.random.Generator, n_jets: int | None = None
    ) -> JetBatch:
        """Draw jets with the probabilities of their weights, so that those drawn weigh alike.

        Parameters
        ----------
        jets : JetBatch
            Jets with the columns of `names` among their observers.
        rng : numpy.random.Generator
            Source of randomness.
        n_jets : int, optional
            How many to draw, with replacement. If left out, each jet is kept or not, with the
            probability of its weight over the largest one.

        Returns
        -------
        JetBatch
            Jets of weight 1, or -1 if their weight was negative.
        """
        weights = self.weigh(jets)
        chances = np.abs(weights)
        if n_jets is None:
            rows = np.flatnonzero(rng.random(len(jets)) < chances)
        else:
            rows = rng.choice(len(jets), n_jets, p=chances / chances.sum())
        return jets[rows].replace(weights=np.sign(weights[rows]))

    def _column(self, jets: JetBatch, name: str) -> Array:
        if name not in jets.observers:
            raise DataError(
                f"weights: the jets have no {name!r} among their observers"
                f"{suggest(name, jets.observers) or '.'} Read them with this description, for "
                "training."
            )
        return jets.observers[name]

    def _base(self, jets: JetBatch) -> NDArray[np.float64]:
        if not self.base_weight:
            return jets.weights
        return jets.weights * self._column(jets, self.base_weight)

    def _members(self, jets: JetBatch, name: str) -> NDArray[np.bool_]:
        return self._column(jets, name) == 1

    def _bins(self, jets: JetBatch) -> NDArray[np.int64]:
        """Give the bin of each jet, the nearest one outside of them."""
        place = np.zeros(len(jets), np.int64)
        for name, edges in self.variables.items():
            n_bins = len(edges) - 1
            k = np.searchsorted(edges, self._column(jets, name), side="right") - 1
            place = place * n_bins + np.clip(k, 0, n_bins - 1)
        return place

    def _inside(self, jets: JetBatch) -> NDArray[np.bool_]:
        inside = np.ones(len(jets), bool)
        for name, edges in self.variables.items():
            values = self._column(jets, name)
            if np.isnan(values).any():
                raise DataError(f"weights: {name} is NaN in {np.isnan(values).sum()} jets.")
            if self.discard_outside:
                inside &= (values >= edges[0]) & (values <= edges[-1])
        return inside
