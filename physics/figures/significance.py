"""Expected significance of a cut on the score, with an uncertain background.

References
----------
Cowan, Cranmer, Gross, Vitells, "Asymptotic formulae for likelihood-based tests of new physics",
European Physical Journal C 71 (2011) 1554, arXiv:1007.1727, section 5.1: the Asimov data set.
Cowan, "Discovery sensitivity for a counting experiment with background uncertainty", 2012, eq. 20.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldgrad.engine.errors import DataError
from fieldgrad.physics.figures.metrics import roc

__all__ = ["asimov", "scan"]


def asimov(
    signal: ArrayLike, background: ArrayLike, *, systematic: float = 0.0
) -> NDArray[np.float64]:
    """Median significance of a counting experiment in which the signal is there.

    Parameters
    ----------
    signal, background : array_like
        Expected numbers of events s and b.
    systematic : float, default 0
        Relative uncertainty of the background, δb / b.

    Returns
    -------
    ndarray
        Standard deviations; 0 where there is no signal, infinite where there is signal and no
        background.

    Raises
    ------
    DataError
        If the uncertainty is negative.

    Notes
    -----
    Z² = 2 [(s + b) ln((s + b)(b + v) / (b² + (s + b) v)) - b²/v ln(1 + v s / (b (b + v)))] with
    v = δb²; for v = 0 it is 2 [(s + b) ln(1 + s/b) - s].

    Examples
    --------
    >>> float(asimov(10.0, 100.0).round(3)), float(asimov(10.0, 100.0, systematic=0.1).round(3))
    (0.984, 0.69)
    """
    if systematic < 0:
        raise DataError(f"asimov: systematic is {systematic:g}; expected 0 or more, such as 0.1.")
    s, b = np.broadcast_arrays(np.asarray(signal, np.float64), np.asarray(background, np.float64))
    usable = (s > 0) & (b > 0)
    ss, bb = np.where(usable, s, 1.0), np.where(usable, b, 1.0)
    n = ss + bb
    if systematic:
        v = (systematic * bb) ** 2
        square = n * np.log(n * (bb + v) / (bb**2 + n * v))
        square -= bb**2 / v * np.log1p(v * ss / (bb * (bb + v)))
    else:
        square = n * np.log1p(ss / bb) - ss
    z = np.sqrt(np.maximum(2 * square, 0.0))
    return np.where(usable, z, np.where((s > 0) & (b <= 0), np.inf, 0.0))


def scan(
    signal: ArrayLike,
    scores: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    expected_signal: float,
    expected_background: float,
    systematic: float = 0.1,
    least_background: int = 10,
    n_cuts: int = 100,
) -> dict[str, Any]:
    """Significance for every cut on the score, and the best of them.

    Parameters
    ----------
    signal : array_like of bool, shape (n_jets,)
        Whether a jet is signal.
    scores : array_like, shape (n_jets,)
        Higher for signal.
    weights : array_like, shape (n_jets,), optional
        Of either sign.
    expected_signal, expected_background : float
        Events before the cut, at the luminosity of interest.
    systematic : float, default 0.1
        Relative uncertainty of the background.
    least_background : int, default 10
        Simulated background jets that must pass, for the efficiency to mean something.
    n_cuts : int, default 100
        Number of cuts, at equal steps of signal efficiency.

    Returns
    -------
    dict
        Arrays ``threshold``, ``signal``, ``background`` (events after each cut), ``significance``,
        and ``best``, the index of the highest significance.

    Raises
    ------
    DataError
        If no cut leaves enough simulated background.

    Examples
    --------
    >>> found = scan([0] * 40 + [1] * 40, [*range(80)], expected_signal=10, expected_background=400)
    >>> best = found["best"]
    >>> float(found["background"][best]), float(found["significance"][best].round(2))
    (100.0, 0.69)
    """
    curve = roc(signal, scores, weights)
    n_passing = np.searchsorted(
        np.sort(-np.asarray(scores, np.float64)[~np.asarray(signal, bool)]),
        -curve.threshold,
        side="right",
    )
    enough = n_passing >= least_background
    if not enough.any():
        raise DataError(
            f"scan: no cut lets {least_background} background jets pass, of {n_passing[-1]}. Give "
            "more jets, or a smaller least_background."
        )
    first = int(np.argmax(enough))
    wanted = np.linspace(curve.signal[first], 1.0, n_cuts)
    cuts = np.unique(np.clip(np.searchsorted(curve.signal, wanted), first, len(enough) - 1))
    s, b = expected_signal * curve.signal[cuts], expected_background * curve.background[cuts]
    z = asimov(s, b, systematic=systematic)
    return {
        "threshold": curve.threshold[cuts],
        "signal": s,
        "background": b,
        "significance": z,
        "best": int(np.argmax(z)),
    }
