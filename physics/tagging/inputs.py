"""What a network sees of jets, as arrays by name, and batches of it for training.

`physics.models` lists the arrays. Constituents of all jets lie end to end, so a batch is a
choice of rows and nothing is padded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine.data import Batch, Loader
from fieldgrad.engine.errors import DataError, suggest
from fieldgrad.physics.jets.batch import JetBatch
from fieldgrad.physics.jets.features import KINEMATIC_NAMES, kinematic_columns
from fieldgrad.physics.jets.preprocessing import InputGroup, Preprocessing, Variable, leading
from fieldgrad.physics.jets.substructure import OBSERVABLES, with_observables
from fieldgrad.shared_models.ragged import rows_of_items

__all__ = ["JetInputs", "jet_column", "make_inputs", "seeing_observables", "with_columns"]

Array = NDArray[Any]
PER_JET = ("observables",)


@dataclass(frozen=True)
class JetInputs:
    """Arrays that a network sees of some jets.

    Parameters
    ----------
    offsets : ndarray of int64, shape (n_jets + 1,)
        Where the constituents of each jet begin.
    arrays : mapping of str to ndarray
        ``features``, ``points``, ``vectors`` of shape (n_constituents, …); ``observables`` of shape
        (n_jets, n_observables).

    Examples
    --------
    >>> inputs = JetInputs(np.array([0, 2, 3]), {"features": np.array([[1.0], [2.0], [3.0]])})
    >>> batch = inputs.take([1, 0])
    >>> batch["features"][:, 0], batch["offsets"]
    (array([3., 1., 2.]), array([0, 1, 3]))
    """

    offsets: NDArray[np.int64]
    arrays: Mapping[str, Array]

    def __len__(self) -> int:
        """Give the number of jets."""
        return len(self.offsets) - 1

    def take(self, jets: Sequence[int] | NDArray[np.integer[Any]]) -> dict[str, Array]:
        """Make the batch of some jets.

        Parameters
        ----------
        jets : sequence of int
            Which jets, in the order wanted.

        Returns
        -------
        dict of str to ndarray
            What a network is called with: the arrays, and ``offsets``.
        """
        rows = np.asarray(jets, np.int64)
        constituents, offsets = rows_of_items(self.offsets, rows)
        batch = {
            name: array[rows if name in PER_JET else constituents]
            for name, array in self.arrays.items()
        }
        return batch | {"offsets": offsets}

    def batch(self) -> dict[str, Array]:
        """Make the batch of all jets.

        Returns
        -------
        dict of str to ndarray
            What a network is called with: the arrays, and ``offsets``.
        """
        return {**self.arrays, "offsets": self.offsets}

    def loader(
        self, targets: Sequence[Array], batch_size: int, *, shuffle: bool = False, seed: int = 0
    ) -> Loader:
        """Make batches for a training.

        Parameters
        ----------
        targets : sequence of ndarray, shape (n_jets, …)
            What the loss takes beside the prediction, such as labels and weights.
        batch_size : int
            Jets in a batch.
        shuffle : bool, default False
            Visit the jets in a new random order in each epoch.
        seed : int, default 0
            Of that order.

        Returns
        -------
        Loader
            Gives ``(arrays, *targets)``.
        """

        def gather(numbers: Sequence[Any]) -> Batch:
            rows = np.asarray(numbers, np.int64)
            arrays = cast("Batch", self.take(rows))
            return (arrays, *(target[rows] for target in targets))

        jets = range(len(self))  # items are numbers: a batch is gathered at once
        return Loader(jets, batch_size, shuffle=shuffle, seed=seed, collate=gather)


def make_inputs(jets: JetBatch, preprocessing: Preprocessing, roles: Sequence[str]) -> JetInputs:
    """Make what a network sees of jets.

    Parameters
    ----------
    jets : JetBatch
        Any jets; kinematic columns that they lack are computed.
    preprocessing : Preprocessing
        The input groups and their constants.
    roles : sequence of str
        The inputs of the network: "features", "points", "vectors", "observables".

    Returns
    -------
    JetInputs
        The arrays. ``vectors`` are the four-vectors (E, px, py, pz) in GeV, float32, whatever the
        order in the description of the inputs.

    Raises
    ------
    DataError
        If a column is missing or not finite, or two inputs do not have the same constituents.
    """
    jets = with_columns(jets, preprocessing, roles)
    offsets, arrays = None, {}
    for role in roles:
        if role in PER_JET:
            arrays[role] = preprocessing.per_jet(jets, role)
            continue
        if role == "vectors":
            length = preprocessing.group(role).length if role in preprocessing else None
            found, rows = leading(jets.offsets, length)
            values = jets.vectors[rows].astype(np.float32)
        else:
            values, found = preprocessing.ragged(jets, role)
        if offsets is not None and not np.array_equal(found, offsets):
            raise DataError(
                f"the input {role} has other constituents than the inputs before it; expected one "
                "length for all inputs of constituents. Correct `length` in their description."
            )
        arrays[role], offsets = np.ascontiguousarray(values), found
    return JetInputs(jets.offsets if offsets is None else offsets, arrays)


def with_columns(jets: JetBatch, preprocessing: Preprocessing, roles: Sequence[str]) -> JetBatch:
    """Add the columns that inputs need, the jets lack, and the four-vectors give.

    Parameters
    ----------
    jets : JetBatch
        Any jets.
    preprocessing : Preprocessing
        The input groups.
    roles : sequence of str
        The inputs of the network.

    Returns
    -------
    JetBatch
        The same jets with more features and observables.
    """
    wanted = [
        name for role in roles if role in preprocessing for name in preprocessing.group(role).names
    ]
    known = {*jets.features, *jets.observables}
    lacking = [name for name in wanted if name not in known]
    per_jet = [name for name in lacking if name in OBSERVABLES]
    columns = [name for name in lacking if name in KINEMATIC_NAMES and name not in per_jet]
    if not lacking:
        return jets
    features = {**jets.features, **kinematic_columns(jets, columns)}
    return with_observables(jets.replace(features=features), per_jet)


def jet_column(jets: JetBatch, name: str) -> Array:
    """Find a number of each jet.

    Parameters
    ----------
    jets : JetBatch
        Any jets.
    name : str
        An observer or observable of the jets, or an observable that follows from the constituents,
        such as "jet_mass".

    Returns
    -------
    ndarray, shape (n_jets,)
        The column.

    Raises
    ------
    DataError
        If there is none of this name, or it is not finite for a jet.

    Examples
    --------
    >>> jet_column(JetBatch([0, 2], [[5.0, 3, 0, 4], [5.0, -3, 0, 4]]), "jet_mass").round(3)
    array([6.])
    """
    columns = {**jets.observables, **jets.observers}
    if name not in columns and name in OBSERVABLES and len(jets.vectors):
        columns = dict(with_observables(jets, [name]).observables)
    if name not in columns:
        known = list(dict.fromkeys([*columns, *OBSERVABLES]))
        raise DataError(
            f"the jets have no observer {name!r}{suggest(name, known) or '.'} They have "
            f"{', '.join(known)}; name others in the observers of their description."
        )
    column = np.asarray(columns[name])
    bad = ~np.isfinite(column)
    if bad.any():
        raise DataError(
            f"{name!r} is {column[np.argmax(bad)]} in jet {int(np.argmax(bad))}, and not finite in "
            f"{bad.sum()} of {len(column)}; expected finite numbers. Select against it."
        )
    return column


def seeing_observables(preprocessing: Preprocessing, names: Sequence[str]) -> Preprocessing:
    """Add observables of the jet to the inputs, to be standardized by the training data.

    Parameters
    ----------
    preprocessing : Preprocessing
        The input groups.
    names : sequence of str
        Observables of the jets; none leaves the inputs as they are.

    Returns
    -------
    Preprocessing
        With a group ``observables`` in place of any that was there.
    """
    groups = tuple(group for group in preprocessing.groups if group.role not in PER_JET)
    if names:
        variables = tuple(Variable(name, center="auto") for name in names)
        groups += (InputGroup("jet_observables", variables),)
    return Preprocessing(groups, preprocessing.replace_nan)
