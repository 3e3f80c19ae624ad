"""What a cut on the score does to the mass of the background."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldgrad.engine.errors import DataError
from fieldgrad.physics.figures.metrics import rejection

__all__ = ["decorrelation_curve", "sculpting"]

EFFICIENCIES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)


def sculpting(
    signal: ArrayLike,
    scores: ArrayLike,
    mass: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    efficiency: float = 0.5,
    edges: ArrayLike | None = None,
) -> Mapping[str, Any]:
    """How a cut on the score changes the mass distribution of the background.

    Parameters
    ----------
    signal : array_like of bool, shape (n_jets,)
        Whether a jet is signal.
    scores : array_like, shape (n_jets,)
        Higher for signal.
    mass : array_like, shape (n_jets,)
        In GeV.
    weights : array_like, shape (n_jets,), optional
        Of either sign; bins with a negative sum count as empty.
    efficiency : float, default 0.5
        Signal efficiency of the cut.
    edges : array_like, shape (n_bins + 1,), optional
        Bounds of the bins; default 40 over the central 99 % of the background.

    Returns
    -------
    mapping
        ``jsd``, the Jensen-Shannon divergence in bits (0 for equal distributions, 1 for disjoint
        ones) of the background that passes and fails; ``jsd_of_equal``, what it would be on average
        for as many jets with equal masses; ``rejection`` and ``rejection_error``;
        ``edges``, ``passing`` and ``failing``, the two histograms, each with sum 1.

    Raises
    ------
    DataError
        If no background passes, or none fails.

    References
    ----------
    ATLAS Collaboration, "Performance of mass-decorrelated jet substructure observables for hadronic
    two-body decay tagging in ATLAS", ATL-PHYS-PUB-2018-014, section 5.

    Examples
    --------
    >>> scores, mass = [0.9, 0.1, 0.9, 0.1], [170.0, 170, 170, 80]
    >>> found = sculpting([1, 1, 0, 0], scores, mass, edges=[0, 100, 200])
    >>> found["jsd"], found["passing"]
    (1.0, array([0., 1.]))
    """
    cut = rejection(signal, scores, weights, efficiency=efficiency)
    background = ~np.asarray(signal).astype(bool)
    m = np.asarray(mass, np.float64)[background]
    w = np.ones(m.shape) if weights is None else np.asarray(weights, np.float64)[background]
    passes = np.asarray(scores)[background] >= cut.threshold
    bounds = (
        np.linspace(np.quantile(m, 0.005), np.quantile(m, 0.995), 41)
        if edges is None
        else np.asarray(edges)
    )
    histograms, effective = [], []
    for kind, those in (("passes", passes), ("fails", ~passes)):
        counts = np.maximum(np.histogram(m[those], bounds, weights=w[those])[0], 0)
        if not counts.sum() > 0:
            raise DataError(
                f"sculpting: no background inside the mass range {kind} the cut at a signal "
                f"efficiency of {efficiency:g}. Choose another efficiency, or wider bins."
            )
        histograms.append(counts / counts.sum())
        effective.append(w[those].sum() ** 2 / np.sum(w[those] ** 2))
    middle = (histograms[0] + histograms[1]) / 2

    def divergence(p: NDArray[np.float64]) -> float:
        some = p > 0
        return float(np.sum(p[some] * np.log2(p[some] / middle[some])))

    return {
        "jsd": (divergence(histograms[0]) + divergence(histograms[1])) / 2,
        # For small differences the divergence is Σ (p - q)² / (8 m ln 2); this is its expectation.
        "jsd_of_equal": float(
            (np.count_nonzero(middle) - 1) * np.sum(1 / np.asarray(effective)) / (8 * np.log(2))
        ),
        "rejection": cut.value,
        "rejection_error": cut.error,
        "edges": bounds,
        "passing": histograms[0],
        "failing": histograms[1],
    }


def decorrelation_curve(
    signal: ArrayLike,
    scores: ArrayLike,
    mass: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    efficiencies: Sequence[float] = EFFICIENCIES,
) -> list[dict[str, float]]:
    """What is paid in rejection for how little the mass is sculpted, at several cuts.

    Parameters
    ----------
    signal, scores, mass, weights : array_like, shape (n_jets,)
        As for `sculpting`.
    efficiencies : sequence of float, default (0.3, 0.4, …, 0.8)
        Signal efficiencies of the cuts.

    Returns
    -------
    list of dict
        ``efficiency``, ``rejection``, ``rejection_error``, ``jsd`` and ``jsd_of_equal`` of each
        cut; none for a cut that lets no background pass.
    """
    rows = []
    for efficiency in efficiencies:
        # Of few jets it may be that no background passes.
        with contextlib.suppress(DataError):
            found = sculpting(signal, scores, mass, weights, efficiency=efficiency)
            keys = ("rejection", "rejection_error", "jsd", "jsd_of_equal")
            rows.append({"efficiency": efficiency} | {key: found[key] for key in keys})
    return rows
