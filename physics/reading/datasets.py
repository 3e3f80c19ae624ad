"""Layouts of files that are known without a description, and jets made up for tests."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from fieldgrad.engine.errors import DataError
from fieldgrad.physics.jets.batch import JetBatch
from fieldgrad.physics.jets.features import KINEMATIC
from fieldgrad.physics.reading.columns import find_vectors
from fieldgrad.physics.reading.config import DataConfig
from fieldgrad.physics.reading.sources import open_source

__all__ = ["JETCLASS", "OBSERVABLES", "describe", "made_up_jets"]

# What a physicist feeds to trees first.
OBSERVABLES = (
    "jet_mass", "jet_sdmass", "jet_tau21", "jet_tau32", "jet_nparticles", "jet_pt", "jet_tau1",
    "jet_tau2", "jet_tau3", "jet_tau4",
)  # fmt: skip
# The classes of JetClass in the order of its paper (arXiv:2202.03772), whatever that of a file.
JETCLASS = (
    "label_QCD", "label_Hbb", "label_Hcc", "label_Hgg", "label_H4q", "label_Hqql", "label_Zqq",
    "label_Wqq", "label_Tbqq", "label_Tbl",
)  # fmt: skip


def describe(data: Any, *, observables: bool = False) -> DataConfig:
    """Make the description of a file whose layout is known.

    Parameters
    ----------
    data : path-like, mapping, awkward.Array or JetBatch
        A file or columns that `fieldgrad.physics.reading.sources.open_source` opens: the HDF5
        table of the top-tagging reference, a tree with the branches of JetClass, or any with one
        collection of four-vectors.
    observables : bool, default False
        Also feed `OBSERVABLES` of the whole jet, as the input ``jet_observables``; those that the
        file does not have are computed.

    Returns
    -------
    DataConfig
        With the kinematic inputs at their published constants, labels from ``is_signal_new``,
        ``is_signal`` or ``label_…``, and ``jet_pt``, ``jet_eta``, ``jet_mass`` as observers.

    Raises
    ------
    DataError
        If the file has no four-vectors that can be told by their names.

    Examples
    --------
    >>> config = describe({"part_px": [[1.0]], "part_py": [[0.0]], "part_pz": [[0.0]],
    ...                    "part_energy": [[1.0]], "is_signal": [1]})
    >>> config.labels.names, config.inputs.group("features").length
    (('QCD', 'top'), 128)
    """
    with open_source(data) as source:
        names, path = source.names, source.path
    vectors = find_vectors(names, ["part_", "constituents_"])
    if not vectors:
        raise DataError(
            f"{path}: no four-vectors of constituents are to be told by their names; expected one "
            "collection such as part_px, part_py, part_pz, part_energy.\n"
            f"Describe the file (DataConfig). It has: {', '.join(sorted(names)[:60])}."
        )
    table: dict[str, Any] = {
        "vectors": list(vectors),
        "inputs": {
            group.name: {
                "length": group.length,
                "vars": [
                    [v.name] if v.center is None else [v.name, v.center, v.scale]
                    for v in group.variables
                ],
            }
            for group in KINEMATIC.groups
            if group.role != "vectors"
        },
        "observers": ["jet_pt", "jet_eta", "jet_mass"],
    }
    if observables:
        entries = [[name, "auto"] for name in OBSERVABLES]
        table["inputs"]["jet_observables"] = {"vars": entries}
    if isinstance(data, JetBatch):
        table["weight"] = "weight"
        if data.labels is not None and data.label_names:
            label = {"type": "index", "value": "label", "names": list(data.label_names)}
            return DataConfig.from_table(table | {"labels": label})
    return DataConfig.from_table(table | _labels(names))


def _labels(names: Collection[str]) -> dict[str, Any]:
    for column in ("is_signal_new", "is_signal"):
        if column in names:
            label = {"type": "index", "value": column, "names": ["QCD", "top"]}
            return {"labels": label}
    found = [name for name in names if name.startswith("label_")]
    classes = [n for n in JETCLASS if n in found] + sorted(set(found) - set(JETCLASS))
    return {"labels": {"type": "simple", "value": classes}} if len(classes) > 1 else {}


def made_up_jets(n_jets: int, seed: int = 0, *, n_constituents: int = 40) -> JetBatch:
    """Make jets that only look like jets, for tests, examples and measurements of speed.

    Parameters
    ----------
    n_jets : int
        How many.
    seed : int, default 0
        Seed of the generator.
    n_constituents : int, default 40
        Mean number of constituents; the numbers follow a Poisson distribution, at least 1.

    Returns
    -------
    JetBatch
        Massless constituents by falling pt around axes of pt 550 to 650 GeV; jets of class "top"
        have three cores, those of class "QCD" one.

    Examples
    --------
    >>> jets = made_up_jets(1000)
    >>> jets.label_names, bool((jets[jets.labels == 1].mass.mean() > 100).all())
    (('QCD', 'top'), True)
    """
    rng = np.random.default_rng(seed)
    counts = np.maximum(rng.poisson(n_constituents, n_jets), 1)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    jet = np.repeat(np.arange(n_jets), counts)
    labels = rng.integers(0, 2, n_jets)
    n = len(jet)
    # Three cores on a triangle around the axis for class 1; the spread is that of showers.
    angle = rng.uniform(0, 2 * np.pi, n_jets)[jet] + 2 * np.pi / 3 * rng.integers(0, 3, n)
    distance = np.where(labels[jet] == 1, 0.3, 0.0)
    spread = rng.exponential(np.where(labels[jet] == 1, 0.04, 0.08), n)
    turn = rng.uniform(0, 2 * np.pi, n)
    eta = rng.uniform(-1.5, 1.5, n_jets)[jet] + distance * np.cos(angle) + spread * np.cos(turn)
    phi = rng.uniform(-np.pi, np.pi, n_jets)[jet] + distance * np.sin(angle) + spread * np.sin(turn)
    share = rng.exponential(1.0, n) ** 2
    pt = share / np.add.reduceat(share, offsets[:-1])[jet] * rng.uniform(550, 650, n_jets)[jet]
    order = np.lexsort((-pt, jet))
    pt, eta, phi = pt[order], eta[order], phi[order]
    momenta = np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], 1)
    vectors = np.column_stack([np.linalg.norm(momenta, axis=1), momenta]).astype(np.float32)
    return JetBatch(offsets, vectors, labels=labels, label_names=("QCD", "top"))
