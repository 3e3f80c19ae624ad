"""Jets with any number of constituents: the domain object of the field.

Constituents of all jets lie end to end; `JetBatch.offsets` says where each jet begins, so that
nothing is spent on padding. Energies and momenta are in GeV, angles in radians.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine.errors import DataError, require
from fieldgrad.physics.jets import kinematics
from fieldgrad.shared_models.ragged import rows_of_items

Array = NDArray[Any]

__all__ = ["JetBatch", "concatenate", "pad"]

# The names that files and the library vector give to the components of a four-vector.
COMPONENTS: Mapping[str, tuple[str, ...]] = {
    "energy": ("energy", "E", "e", "t"),
    "px": ("px", "x"),
    "py": ("py", "y"),
    "pz": ("pz", "z"),
    "pt": ("pt", "rho"),
    "eta": ("eta",),
    "phi": ("phi",),
    "mass": ("mass", "m", "M", "tau"),
}


@dataclass(frozen=True)
class JetBatch:
    """Jets, their constituents, and what is known about each.

    Parameters
    ----------
    offsets : array_like of int64, shape (n_jets + 1,)
        The constituents of jet i are rows ``offsets[i]`` to ``offsets[i + 1]`` of `vectors`.
    vectors : numpy.ndarray of shape (n_constituents, 4), float
        Four-vectors (E, px, py, pz) of the constituents in GeV.
    features : mapping of str to numpy.ndarray of shape (n_constituents,), optional
        Further columns of the constituents, such as charge, particle type, impact parameters.
    labels : array_like of int64, shape (n_jets,), optional
        Class of each jet, an index into `label_names`; None if the truth is not known.
    label_names : sequence of str, optional
        Names of the classes.
    weights : array_like of float64, shape (n_jets,), optional
        Weight of each jet, of either sign; 1 if left out.
    observables : mapping of str to numpy.ndarray of shape (n_jets,), optional
        Numbers of the jet as a whole that a model may see, such as mass and N-subjettiness.
    observers : mapping of str to numpy.ndarray of shape (n_jets,), optional
        Numbers that no model sees, kept to be written beside the scores.

    Raises
    ------
    DataError
        If the shapes do not fit one another, a vector or weight is not finite, or a label is no
        class.

    Examples
    --------
    Two jets, of two constituents and of one:

    >>> jets = JetBatch([0, 2, 3], [[5.0, 3, 0, 4], [5, -3, 0, 4], [2, 0, 2, 0]], labels=[1, 0])
    >>> len(jets), jets.counts
    (2, array([2, 1]))
    >>> jets.mass.round(3)  # √(10² - 8²)
    array([6., 0.])
    >>> jets[jets.labels == 0].pt
    array([2.])
    """

    offsets: NDArray[np.int64]
    vectors: Array
    features: Mapping[str, Array] = field(default_factory=dict)
    labels: NDArray[np.int64] | None = None
    label_names: tuple[str, ...] = ()
    weights: NDArray[np.float64] = None  # type: ignore[assignment]  # ones, made below
    observables: Mapping[str, Array] = field(default_factory=dict)
    observers: Mapping[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "offsets", _checked_offsets(self.offsets))
        vectors = np.asarray(self.vectors)
        if vectors.dtype.kind != "f":
            vectors = vectors.astype(np.float64)
        put(self, "vectors", vectors.reshape(0, 4) if vectors.size == 0 else vectors)
        n_jets, n_constituents = len(self), int(self.offsets[-1])
        _check_shape("vectors", self.vectors, (n_constituents, 4))
        bad = ~np.isfinite(self.vectors).all(1)
        if bad.any():
            jet = int(np.searchsorted(self.offsets, np.argmax(bad), side="right")) - 1
            raise DataError(
                f"JetBatch: {bad.sum()} four-vectors are not finite, the first in jet {jet}: "
                f"(E, px, py, pz) = {self.vectors[np.argmax(bad)]}.\n"
                "Correct the input, or select against NaN and infinity."
            )
        weights = np.ones(n_jets) if self.weights is None else np.asarray(self.weights, float)
        _check_shape("weights", weights, (n_jets,))
        if not np.isfinite(weights).all():
            jet = int(np.argmin(np.isfinite(weights)))
            raise DataError(
                f"JetBatch: the weight of jet {jet} is {weights[jet]}; expected finite weights "
                "(negative ones are fine). Correct the input, or select against it."
            )
        put(self, "weights", weights)
        for kind, size in (("features", n_constituents), ("observables", n_jets),
                           ("observers", n_jets)):  # fmt: skip
            columns = {str(name): np.asarray(c) for name, c in getattr(self, kind).items()}
            for name, column in columns.items():
                _check_shape(f"{kind}[{name!r}]", column, (size,))
            put(self, kind, columns)
        put(self, "label_names", tuple(str(name) for name in self.label_names))
        if self.labels is not None:
            put(self, "labels", _checked_labels(self.labels, self.label_names, n_jets))

    def __len__(self) -> int:
        """Give the number of jets."""
        return len(self.offsets) - 1

    def __getitem__(self, index: Any) -> JetBatch:
        """Take some of the jets.

        Parameters
        ----------
        index : int, slice or array_like of int or bool
            Which jets, in the order wanted; one number gives a batch of one jet.

        Returns
        -------
        JetBatch
            These jets with all that belongs to them.
        """
        rows = np.atleast_1d(np.arange(len(self))[index])
        constituents, offsets = rows_of_items(self.offsets, rows)
        return self._unchecked(
            offsets=offsets,
            vectors=self.vectors[constituents],
            features={name: column[constituents] for name, column in self.features.items()},
            labels=None if self.labels is None else self.labels[rows],
            label_names=self.label_names,
            weights=self.weights[rows],
            observables={name: column[rows] for name, column in self.observables.items()},
            observers={name: column[rows] for name, column in self.observers.items()},
        )

    def without_constituents(self) -> JetBatch:
        """Give what is known of each jet as a whole, to be kept of many jets.

        Returns
        -------
        JetBatch
            Labels, weights, observables and observers; every jet without constituents.
        """
        nothing = np.zeros(len(self) + 1, np.int64)
        return self.replace(offsets=nothing, vectors=np.zeros((0, 4)), features={})

    def replace(self, **changes: Any) -> JetBatch:
        """Give the same jets with some of their parts replaced.

        Parameters
        ----------
        **changes : object
            Parts by the names of the class's parameters.

        Returns
        -------
        JetBatch
            The new batch; parts that are not named are shared, not copied.
        """
        return JetBatch(**{part.name: getattr(self, part.name) for part in fields(self)} | changes)

    @classmethod
    def _unchecked(cls, **parts: Any) -> JetBatch:
        """Make a batch of parts of a checked one."""
        batch = object.__new__(cls)
        for name, value in parts.items():
            object.__setattr__(batch, name, value)
        return batch

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of constituents of each jet, shape (n_jets,)."""
        return np.diff(self.offsets)

    @property
    def nbytes(self) -> int:
        """Memory that the arrays take, without labels, bytes."""
        tables = (self.features, self.observables, self.observers)
        columns = [column for table in tables for column in table.values()]
        return sum(a.nbytes for a in (self.offsets, self.vectors, self.weights, *columns))

    @property
    def momenta(self) -> NDArray[np.float64]:
        """Four-vectors of the jets, the sums over their constituents: (n_jets, 4) float64, GeV."""
        return segment_sum(self.vectors.astype(np.float64), self.offsets)

    @property
    def pt(self) -> NDArray[np.float64]:
        """Transverse momentum of each jet, GeV."""
        return kinematics.pt(*self.momenta.T[1:3])

    @property
    def eta(self) -> NDArray[np.float64]:
        """Pseudorapidity of each jet."""
        return kinematics.eta(*self.momenta.T[1:])

    @property
    def phi(self) -> NDArray[np.float64]:
        """Azimuth of each jet in (-π, π]."""
        return kinematics.phi(*self.momenta.T[1:3])

    @property
    def mass(self) -> NDArray[np.float64]:
        """Invariant mass of each jet, GeV; 0 where rounding makes its square negative."""
        return np.maximum(kinematics.mass(*self.momenta.T), 0)

    def jet_of_constituent(self) -> NDArray[np.int64]:
        """Give the jet that each constituent belongs to.

        Returns
        -------
        numpy.ndarray of int64, shape (n_constituents,)
            Indices of jets, ascending.
        """
        return np.repeat(np.arange(len(self)), self.counts)

    def to_dense(
        self, length: int | None = None, names: Sequence[str] = ()
    ) -> tuple[Array, NDArray[np.bool_]]:
        """Lay the constituents out as rectangles, for models that want them so.

        Parameters
        ----------
        length : int, optional
            Constituents per jet, the first ones of longer jets; the longest jet if left out.
        names : sequence of str, optional
            Names of features to give; without any, the four-vectors.

        Returns
        -------
        values : numpy.ndarray of shape (n_jets, length, F)
            The features named, or (E, px, py, pz); 0 where there is no constituent.
        mask : numpy.ndarray of bool, shape (n_jets, length)
            True where there is one.

        Raises
        ------
        DataError
            If a name is no feature.

        Examples
        --------
        >>> jets = JetBatch([0, 1, 3], np.ones((3, 4)), features={"charge": [1.0, -1.0, 0.0]})
        >>> values, mask = jets.to_dense(2, ["charge"])
        >>> values[..., 0]
        array([[ 1.,  0.],
               [-1.,  0.]])
        >>> mask
        array([[ True, False],
               [ True,  True]])
        """
        unknown = [name for name in names if name not in self.features]
        if unknown:
            raise DataError(
                f"to_dense: there is no feature {unknown[0]!r}; expected one of "
                f"{', '.join(self.features) or 'none'}."
            )
        columns = [self.features[name] for name in names]
        return pad(np.stack(columns, 1) if columns else self.vectors, self.offsets, length)

    def to_awkward(self) -> Any:
        """Give the jets as an awkward array whose constituents are ``vector`` four-vectors.

        Returns
        -------
        awkward.Array
            Records with ``constituents`` (px, py, pz, E and the features, behaving as
            ``Momentum4D``), ``label`` if known, ``weight``, the observables and the observers.
        """
        ak = require("awkward", extra="physics")
        require("vector", extra="physics").register_awkward()
        columns = dict(zip(("E", "px", "py", "pz"), self.vectors.T, strict=True))
        constituents = ak.zip({**columns, **self.features}, with_name="Momentum4D")
        record = {"constituents": ak.unflatten(constituents, self.counts), "weight": self.weights}
        if self.labels is not None:
            record["label"] = self.labels
        return ak.zip({**record, **self.observables, **self.observers}, depth_limit=1)

    @classmethod
    def from_awkward(cls, constituents: Any, **parts: Any) -> JetBatch:
        """Make a batch of constituents held in an awkward array.

        Parameters
        ----------
        constituents : awkward.Array of type n_jets * var * record
            Four-vectors by any of the names of ``vector`` (E, px, py, pz; pt, eta, phi, mass;
            x, y, z, t; …), in GeV; the mass is 0 if there is neither mass nor energy. Other
            fields of numbers become features.
        **parts : object
            Further parameters of `JetBatch`, such as ``labels``.

        Returns
        -------
        JetBatch
            The jets.

        Raises
        ------
        DataError
            If the array is not a list of lists of records with a four-vector in them.

        Examples
        --------
        >>> import awkward as ak
        >>> pt = ak.Array([[3.0, 1.0], [], [2.0]])
        >>> jets = JetBatch.from_awkward(ak.zip({"pt": pt, "eta": 0 * pt, "phi": 0 * pt}))
        >>> jets.counts, jets.pt
        (array([2, 0, 1]), array([4., 0., 2.]))
        """
        ak = require("awkward", extra="physics")
        constituents = ak.Array(constituents)
        if constituents.ndim != 2 or not ak.fields(constituents):
            raise DataError(
                f"JetBatch.from_awkward: constituents have type {constituents.type}; expected "
                "n_jets * var * a record with a four-vector.\n"
                'Join the columns with ak.zip({"px": …, "py": …, "pz": …, "E": …}).'
            )
        if any(
            ak.any(ak.is_none(constituents[name], axis=axis), axis=None)
            for name in ak.fields(constituents)
            for axis in (0, 1)
        ):
            raise DataError(
                "JetBatch.from_awkward: some constituents are None; expected none. "
                "Drop them with ak.drop_none."
            )
        offsets = np.concatenate([[0], np.cumsum(ak.to_numpy(ak.num(constituents)))])
        flat = ak.flatten(constituents)
        columns = {name: ak.to_numpy(flat[name]) for name in ak.fields(flat)}
        vectors, used = vectors_from(columns)
        features = {name: column for name, column in columns.items() if name not in used}
        return cls(offsets, vectors, **{"features": features} | parts)


def concatenate(batches: Iterable[JetBatch]) -> JetBatch:
    """Join batches end to end.

    Parameters
    ----------
    batches : iterable of JetBatch
        At least one; all have the same features, observables, observers and classes.

    Returns
    -------
    JetBatch
        All jets, in order.

    Raises
    ------
    DataError
        If there is none, or they do not have the same columns.

    Examples
    --------
    >>> jets = JetBatch([0, 1], [[2.0, 0, 2, 0]])
    >>> len(concatenate([jets, jets, jets]))
    3
    """
    batches = list(batches)
    if not batches:
        raise DataError("concatenate: there is no batch; expected at least one.")
    first = batches[0]
    for i, batch in enumerate(batches):
        for kind in ("features", "observables", "observers"):
            here, there = set(getattr(batch, kind)), set(getattr(first, kind))
            if here != there:
                raise DataError(
                    f"concatenate: batch {i} differs from the first in its {kind} "
                    f"{', '.join(sorted(here ^ there))}. Read both with the same description."
                )
        if batch.label_names != first.label_names or (batch.labels is None) != (
            first.labels is None
        ):
            raise DataError(
                f"concatenate: batch {i} has the classes {batch.label_names}, the first "
                f"{first.label_names}. Read both with the same description."
            )
    ends = np.cumsum([0, *(batch.offsets[-1] for batch in batches)])
    shifted = [batch.offsets[:-1] + end for batch, end in zip(batches, ends, strict=False)]

    def joined(kind: str) -> dict[str, Array]:
        columns = [getattr(batch, kind) for batch in batches]
        return {name: np.concatenate([c[name] for c in columns]) for name in columns[0]}

    return JetBatch._unchecked(
        offsets=np.concatenate([*shifted, ends[-1:]]).astype(np.int64),
        vectors=np.concatenate([batch.vectors for batch in batches]),
        features=joined("features"),
        labels=None if first.labels is None else np.concatenate([b.labels for b in batches]),  # type: ignore[misc]
        label_names=first.label_names,
        weights=np.concatenate([batch.weights for batch in batches]),
        observables=joined("observables"),
        observers=joined("observers"),
    )


def pad(
    values: Array,
    offsets: NDArray[np.int64],
    length: int | None = None,
    *,
    mode: str = "constant",
    value: float = 0.0,
) -> tuple[Array, NDArray[np.bool_]]:
    """Lay ragged rows out as a rectangle.

    Parameters
    ----------
    values : numpy.ndarray of shape (n_constituents, *shape)
        Rows of all jets, end to end.
    offsets : numpy.ndarray of int64, shape (n_jets + 1,)
        Where each jet begins.
    length : int, optional
        Rows per jet; longer jets keep their first ones. The longest jet if left out.
    mode : {"constant", "wrap"}, default "constant"
        Fill with `value`, or with the jet's own rows over and over, as weaver-core's ``wrap``.
    value : float, default 0
        What stands where there is no row (also of jets without any in mode "wrap").

    Returns
    -------
    dense : numpy.ndarray of shape (n_jets, length, *shape)
        The rectangle.
    mask : numpy.ndarray of bool, shape (n_jets, length)
        True where there is a row, also in mode "wrap".

    Raises
    ------
    DataError
        If the mode is unknown.

    Examples
    --------
    >>> pad(np.array([1.0, 2.0, 3.0]), np.array([0, 2, 3]), 4, mode="wrap")[0]
    array([[1., 2., 1., 2.],
           [3., 3., 3., 3.]])
    """
    if mode not in ("constant", "wrap"):
        raise DataError(f"pad: mode is {mode!r}; expected 'constant' or 'wrap'.")
    counts = np.diff(offsets)
    if length is None:
        length = int(counts.max(initial=0))
    column = np.arange(length)
    mask = column < counts[:, None]
    source = offsets[:-1, None] + column
    filled = mask
    if mode == "wrap":
        source = offsets[:-1, None] + column % np.maximum(counts, 1)[:, None]
        filled = np.broadcast_to((counts > 0)[:, None], mask.shape)
    dense = np.full((len(counts), length, *values.shape[1:]), value, values.dtype)
    dense[filled] = values[source[filled]]
    return dense, mask


def segment_sum(values: Array, offsets: NDArray[np.int64]) -> Array:
    """Sum rows of each jet; 0 for jets without any.

    Parameters
    ----------
    values : numpy.ndarray of shape (n_constituents, *shape)
        Rows of all jets, end to end.
    offsets : numpy.ndarray of int64, shape (n_jets + 1,)
        Where each jet begins.

    Returns
    -------
    numpy.ndarray of shape (n_jets, *shape)
        The sums, in the dtype of `values`.
    """
    sums = np.zeros((len(offsets) - 1, *values.shape[1:]), values.dtype)
    filled = np.diff(offsets) > 0
    if filled.any():
        sums[filled] = np.add.reduceat(values, offsets[:-1][filled], axis=0)
    return sums


def vectors_from(columns: Mapping[str, Array]) -> tuple[Array, set[str]]:
    """Find the four-vectors among named columns.

    Parameters
    ----------
    columns : mapping of str to numpy.ndarray of shape (n,)
        Columns of constituents by the names of the library ``vector``.

    Returns
    -------
    vectors : numpy.ndarray of shape (n, 4)
        (E, px, py, pz) in the unit of the columns.
    used : set of str
        The columns they were made from.

    Raises
    ------
    DataError
        If the columns hold neither px, py, pz nor pt, eta, phi.
    """
    found = {
        part: next((name for name in names if name in columns), None)
        for part, names in COMPONENTS.items()
    }

    def column(part: str) -> Any:
        name = found[part]
        return columns[name] if name is not None else 0.0

    used = {name for name in found.values() if name is not None}
    if all(found[part] for part in ("px", "py", "pz")):
        px, py, pz = (column(part) for part in ("px", "py", "pz"))
        energy = np.sqrt(px**2 + py**2 + pz**2 + column("mass") ** 2)
    elif all(found[part] for part in ("pt", "eta", "phi")):
        energy, px, py, pz = kinematics.from_pt_eta_phi_mass(
            *(column(part) for part in ("pt", "eta", "phi", "mass"))
        )
    else:
        raise DataError(
            f"the columns {', '.join(columns) or '(none)'} hold no four-vector; expected E, px, "
            "py, pz or pt, eta, phi and mass (or energy). Name them so."
        )
    return np.stack([column("energy") if found["energy"] else energy, px, py, pz], 1), used


def _checked_offsets(offsets: Any) -> NDArray[np.int64]:
    offsets = np.asarray(offsets)
    if (
        offsets.ndim != 1
        or offsets.dtype.kind not in "iu"
        or len(offsets) == 0
        or offsets[0] != 0
        or (np.diff(offsets.astype(np.int64)) < 0).any()
    ):
        raise DataError(
            f"JetBatch: offsets are {offsets!r:.200}; expected whole numbers of shape "
            "(n_jets + 1,) that begin with 0 and do not fall."
        )
    return offsets.astype(np.int64)


def _checked_labels(labels: Any, names: tuple[str, ...], n_jets: int) -> NDArray[np.int64]:
    labels = np.asarray(labels)
    _check_shape("labels", labels, (n_jets,))
    whole = labels.astype(np.int64)
    wrong = (whole != labels) | (whole < 0) | (whole >= (len(names) or np.inf))
    if wrong.any():
        jet = int(np.argmax(wrong))
        classes = f"0 to {len(names) - 1} ({', '.join(names)})" if names else "0, 1, 2, …"
        raise DataError(
            f"JetBatch: the label of jet {jet} is {labels[jet]}; expected {classes}.\n"
            "Correct the label column, name all classes, or select against other values."
        )
    return whole


def _check_shape(name: str, array: Array, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise DataError(
            f"JetBatch: {name} has shape {array.shape}; the offsets say {shape}. "
            "Give one row per jet, or per constituent for vectors and features."
        )
