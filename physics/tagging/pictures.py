"""Pictures of the last validation, drawn while a network trains."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.physics.figures import plots
from fieldgrad.physics.figures.metrics import discriminant, roc

__all__ = ["draw_response", "draw_scores"]

Array = NDArray[Any]


def draw_scores(
    probabilities: Array,
    labels: Array,
    weights: Array,
    names: Sequence[str],
    step: int,
    *,
    background: int = 0,
) -> Mapping[str, bytes]:
    """Draw the ROC curve of each signal, and the scores of all classes.

    Parameters
    ----------
    probabilities : ndarray, shape (n_jets, n_classes)
        Of each class.
    labels, weights : ndarray, shape (n_jets,)
        Of each jet.
    names : sequence of str
        Names of the classes.
    step : int
        Steps done, for the legend.
    background : int, default 0
        The class that the others are compared with.

    Returns
    -------
    mapping of str to bytes
        PNG files by name; none for a signal without jets.
    """
    totals = [weights[labels == k].sum() for k in range(len(names))]
    curves = {}
    for signal, name in enumerate(names):
        if signal == background or min(totals[signal], totals[background]) <= 0:
            continue
        two = (labels == signal) | (labels == background)
        s = discriminant(probabilities[two], signal, background)
        curves[f"{name}, step {step}"] = roc(labels[two] == signal, s, weights[two])
    signals = [k for k in range(len(names)) if k != background]
    one = names[signals[0]] if len(signals) == 1 else "signal"
    drawn = {}
    if curves:
        drawn["ROC"] = _png(plots.plot_rocs, curves, signal=one, background=names[background])
    drawn["scores"] = _png(
        plots.plot_scores,
        1 - probabilities[:, background],
        labels,
        names,
        weights=weights,
        label=f"probability of {one if len(signals) == 1 else 'any signal'}, step {step}",
    )
    return drawn


def draw_response(
    predicted: Array, truth: Array, weights: Array, target: str, step: int
) -> Mapping[str, bytes]:
    """Draw how far predictions are from the truth.

    Parameters
    ----------
    predicted, truth, weights : ndarray, shape (n_jets,)
        In the units of the target.
    target : str
        Its name.
    step : int
        Steps done, for the legend.

    Returns
    -------
    mapping of str to bytes
        A PNG file; none if no true value is above 0.
    """
    some = truth > 0
    if not weights[some].sum() > 0:
        return {}
    responses = {f"{target}, step {step}": predicted[some] / truth[some]}
    return {"response": _png(plots.plot_responses, responses, weights=weights[some])}


def _png(plot: Callable[..., None], *data: Any, **settings: Any) -> bytes:
    """Give the picture that a plot writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.png"
        data = tuple(np.asarray(d, np.float64) if isinstance(d, np.ndarray) else d for d in data)
        after = 3 if plot is plots.plot_scores else 1
        plot(*data[:after], path, *data[after:], **settings)
        return path.read_bytes()
