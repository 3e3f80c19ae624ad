"""Figures as the field draws them, each with its numbers beside it as CSV.

A path that ends in .png or .pdf chooses the kind; the numbers stand in a file of the same name that
ends in .csv. The style (ticks inside on all sides, minor ticks, no title) is that of mplhep.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldgrad.engine.errors import DataError, require
from fieldgrad.engine.files import atomic_write
from fieldgrad.physics.figures.metrics import Roc

__all__ = [
    "plot_decorrelation",
    "plot_history",
    "plot_reliability",
    "plot_resolutions",
    "plot_responses",
    "plot_rocs",
    "plot_scores",
    "plot_sculpting",
    "plot_significance",
    "write_table",
]

PathLike = str | os.PathLike[str]

# Okabe and Ito's colors, which the color-blind can tell apart, without the yellow.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
DPI = 150
N_POINTS = 400  # of a curve in the table of numbers


def write_table(rows: Iterable[Mapping[str, Any]], path: PathLike) -> None:
    """Write rows as CSV, with the columns of all rows in the order of their first appearance.

    Parameters
    ----------
    rows : iterable of mapping
        One for each line.
    path : path-like
        The file.

    Raises
    ------
    FileError
        If the file cannot be written.
    """
    rows = list(rows)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with atomic_write(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _axes(
    x: str, y: str, *, size: tuple[float, float] = (5.2, 4.6), n_rows: int = 1
) -> tuple[Any, Any]:
    require("matplotlib", extra="physics")
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    axes = figure.subplots(n_rows, 1, squeeze=False)[:, 0]
    for axis in axes:
        axis.minorticks_on()
        axis.tick_params(which="both", direction="in", top=True, right=True)
    axes[-1].set_xlabel(x, loc="right")
    axes[0].set_ylabel(y, loc="top")
    return figure, axes[0] if n_rows == 1 else axes


def _save(figure: Any, path: PathLike, rows: Iterable[Mapping[str, Any]]) -> None:
    target = Path(path)
    if target.suffix not in (".png", ".pdf"):
        raise DataError(f"{target} ends in {target.suffix!r}; expected .png or .pdf.")
    with atomic_write(target) as temporary:
        # Files of equal content are equal: no date inside.
        metadata = {"CreationDate": None} if target.suffix == ".pdf" else None
        figure.savefig(temporary, format=target.suffix[1:], metadata=metadata)
    write_table(rows, target.with_suffix(".csv"))


def plot_rocs(
    curves: Mapping[str, Roc],
    path: PathLike,
    *,
    points: Mapping[str, tuple[float, float]] | None = None,
    signal: str = "signal",
    background: str = "background",
) -> None:
    """Background rejection over signal efficiency, on a logarithmic scale.

    Parameters
    ----------
    curves : mapping of str to Roc
        Name of a tagger to its curve.
    path : path-like
        The .png or .pdf file.
    points : mapping of str to tuple of float, optional
        Name of a set of cuts to its signal efficiency and background rejection.
    signal, background : str, optional
        What they are, for the axes.

    Raises
    ------
    MissingExtra
        If matplotlib is not installed.
    DataError
        If the path does not end in .png or .pdf.
    FileError
        If a file cannot be written.
    """
    figure, axis = _axes(f"{signal} efficiency $ε_S$", f"{background} rejection $1/ε_B$")
    rows = []
    for color, (name, curve) in zip(cycle(COLORS), curves.items(), strict=False):
        some = curve.background > 0
        x, y = curve.signal[some], 1 / curve.background[some]
        axis.plot(x, y, color=color, label=f"{name} (AUC {curve.area:.4f})", linewidth=1.6)
        chosen = np.unique(np.linspace(0, x.size - 1, min(N_POINTS, x.size)).astype(int))
        rows += [
            {"tagger": name, "signal_efficiency": x[i], "background_rejection": y[i]}
            for i in chosen
        ]
    for color, (name, point) in zip(cycle(COLORS[::-1]), (points or {}).items(), strict=False):
        axis.plot(*point, "o", color=color, label=name, markersize=6)
        rows.append(
            {"tagger": name, "signal_efficiency": point[0], "background_rejection": point[1]}
        )
    axis.set_yscale("log")
    axis.set_xlim(0, 1)
    axis.set_ylim(bottom=1)
    axis.legend(frameon=False, fontsize="small")
    _save(figure, path, rows)


def plot_scores(
    scores: ArrayLike,
    labels: ArrayLike,
    names: Sequence[str],
    path: PathLike,
    *,
    weights: ArrayLike | None = None,
    label: str = "score",
    n_bins: int = 40,
) -> None:
    """Distribution of a score in each class, with statistical errors, on a logarithmic scale.

    Parameters
    ----------
    scores : array_like, shape (n_jets,)
        In [0, 1].
    labels : array_like of int, shape (n_jets,)
        Classes.
    names : sequence of str
        Names of the classes.
    path : path-like
        The .png or .pdf file.
    weights : array_like, shape (n_jets,), optional
        Of either sign.
    label : str, default "score"
        For the axis.
    n_bins : int, default 40
        Bins of the score.

    Raises
    ------
    MissingExtra
        If matplotlib is not installed.
    DataError
        If the path does not end in .png or .pdf.
    FileError
        If a file cannot be written.
    """
    score, truth = np.asarray(scores, np.float64), np.asarray(labels)
    w = np.ones(score.shape) if weights is None else np.asarray(weights, np.float64)
    edges = np.linspace(0, 1, n_bins + 1)
    figure, axis = _axes(label, "share of jets per bin")
    rows = []
    for i, (color, name) in enumerate(zip(cycle(COLORS), names, strict=False)):
        own = truth == i
        total = w[own].sum()
        if not own.any() or total <= 0:
            continue
        counts = np.histogram(score[own], edges, weights=w[own])[0] / total
        errors = np.sqrt(np.histogram(score[own], edges, weights=w[own] ** 2)[0]) / total
        axis.stairs(counts, edges, color=color, label=name, linewidth=1.6)
        some = counts > 0
        middles = (edges[:-1] + edges[1:]) / 2
        axis.errorbar(middles[some], counts[some], errors[some], fmt="none", color=color, lw=1)
        rows += [
            {"class": name, "low": edges[j], "high": edges[j + 1], "share": counts[j],
             "error": errors[j]}
            for j in range(n_bins)
        ]  # fmt: skip
    axis.set_yscale("log")
    axis.set_xlim(0, 1)
    axis.legend(frameon=False)
    _save(figure, path, rows)


def plot_sculpting(
    found: Mapping[str, Mapping[str, Any]], path: PathLike, *, efficiency: float = 0.5
) -> None:
    """Mass of the background that passes a cut on the score, beside that which fails.

    Parameters
    ----------
    found : mapping of str to mapping
        Name of a tagger to what `fieldgrad.physics.figures.decorrelation.sculpting` gave, all
        with the same bins.
    path : path-like
        The .png or .pdf file.
    efficiency : float, default 0.5
        Signal efficiency of the cut, for the legend.

    Raises
    ------
    MissingExtra
        If matplotlib is not installed.
    DataError
        If the path does not end in .png or .pdf, or there is nothing to draw.
    FileError
        If a file cannot be written.
    """
    if not found:
        raise DataError("plot_sculpting: there is no tagger; expected at least one.")
    figure, axis = _axes("jet mass (GeV)", "share of background per bin")
    first = next(iter(found.values()))
    axis.stairs(first["failing"], first["edges"], color="0.8", fill=True, label="failing the cut")
    rows = []
    for color, (name, one) in zip(cycle(COLORS), found.items(), strict=False):
        text = f"{name}, $ε_S$ = {efficiency:g}\nJSD {one['jsd']:.3f} bits"
        axis.stairs(one["passing"], one["edges"], color=color, label=text, linewidth=1.6)
        rows += [
            {"tagger": name, "low": low, "high": high, "passing": p, "failing": f}
            for low, high, p, f in zip(
                one["edges"][:-1], one["edges"][1:], one["passing"], one["failing"], strict=True
            )
        ]
    axis.set_xlim(first["edges"][0], first["edges"][-1])
    axis.set_ylim(bottom=0)
    axis.legend(frameon=False, fontsize="small")
    _save(figure, path, rows)


def plot_decorrelation(rows: Sequence[Mapping[str, Any]], path: PathLike) -> None:
    """Likeness of the background's masses on both sides of a cut, over its rejection.

    Parameters
    ----------
    rows : sequence of mapping
        Rows of `fieldgrad.physics.figures.decorrelation.decorrelation_curve` with ``tagger``.
    path : path-like
        The .png or .pdf file.

    Raises
    ------
    MissingExtra
        If matplotlib is not installed.
    DataError
        If the path does not end in .png or .pdf.
    FileError
        If a file cannot be written.
    """
    figure, axis = _axes("background rejection $1/ε_B$", "1 / JSD (1/bits)")
    names = list(dict.fromkeys(row["tagger"] for row in rows))
    for color, name in zip(cycle(COLORS), names, strict=False):
        own = [row for row in rows if row["tagger"] == name and row["jsd"] > 0]
        x, y = [row["rejection"] for row in own], [1 / row["jsd"] for row in own]
        axis.plot(x, y, color=color, label=name, marker="o", markersize=4, lw=1.2)
        for row in own:
            if name == names[0] and round(10 * row["efficiency"]) in (3, 5, 8):
                axis.annotate(
                    f"$ε_S$ {row['efficiency']:g}", (row["rejection"], 1 / row["jsd"]),
                    xytext=(4, 4), textcoords="offset points", fontsize="x-small", color=color,
                )  # fmt: skip
    equal = [(row["rejection"], 1 / row["jsd_of_equal"]) for row in rows]
    axis.plot(*zip(*sorted(equal), strict=True), color="0.6", lw=1, ls="--",
              label="equal masses, this many jets")  # fmt: skip
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.legend(frameon=False, fontsize="small")
    _save(figure, path, rows)


def plot_responses(
    responses: Mapping[str, ArrayLike], path: PathLike, *, weights: ArrayLike | None = None
) -> None:
    """Distribution of predicted over true.

    Parameters
    ----------
    responses : mapping of str to array_like of shape (n_jets,)
        Name of an estimate to its responses, of the same jets.
    path : path-like
        The .png or .pdf file.
    weights : array_like, shape (n_jets,), optional
        Of either sign.

    Raises
    ------
    MissingExtra
        If matplotlib is not installed.
    DataError
        If the path does not end in .png or .pdf.
    FileError
        If a file cannot be written.
    """
    figure, axis = _axes("predicted / true", "share of jets per bin")
    edges = np.linspace(0, 2, 81)
    rows = []
    for color, (name, response) in zip(cycle(COLORS), responses.items(), strict=False):
        x = np.asarray(response, np.float64)
        w = np.ones(x.shape) if weights is None else np.asarray(weights, np.float64)
        counts = np.histogram(x, edges, weights=w)[0] / w.sum()
        beyond = 1 - counts.sum()
        text = f"{name} ({beyond:.1%} outside)" if beyond > 5e-4 else name
        axis.stairs(counts, edges, color=color, label=text, linewidth=1.6)
        rows += [
            {"estimate": name, "low": edges[j], "high": edges[j + 1], "share": counts[j]}
            for j in range(len(counts))
        ]
    axis.axvline(1, color="0.6", lw=1, ls="--")
    axis.set_xlim(0, 2)
    axis.set_ylim(bottom=0)
    axis.legend(frameon=False, fontsize="small")
    _save(figure, path, rows)


def plot_resolutions(
    found: Mapping[str, Sequence[Mapping[str, Any]]], path: PathLike, *, variable: str = "jet_pt"
) -> None:
    """Response and resolution in bins of a variable.

    Parameters
    ----------
    found : mapping of str to sequence of mapping
        Name of an estimate to the rows of `fieldgrad.physics.figures.response.response_per_bin`.
    path : path-like
        The .png or .pdf file.
    variable : str, default "jet_pt"
        What the bins are of, for the axis.

    Raises
    ------
    MissingExtra
        If matplotlib is not installed.
    DataError
        If the path does not end in .png or .pdf.
    FileError
        If a file cannot be written.
    """
    unit = " (GeV)" if variable.endswith(("_pt", "_mass", "_sdmass", "_energy")) else ""
    figure, axes = _axes(f"{variable}{unit}", "median response", size=(5.2, 5.2), n_rows=2)
    for color, (name, rows) in zip(cycle(COLORS), found.items(), strict=False):
        middle = [(row["low"] + row["high"]) / 2 for row in rows]
        half = [(row["high"] - row["low"]) / 2 for row in rows]
        for axis, key in zip(axes, ("response", "resolution"), strict=True):
            y, error = [row[key] for row in rows], [row[f"{key}_error"] for row in rows]
            axis.errorbar(middle, y, error, half, color=color, label=name, fmt="o", markersize=4,
                          lw=1.2)  # fmt: skip
    axes[0].axhline(1, color="0.6", lw=1, ls="--")
    axes[1].set_ylabel("resolution (68 %)", loc="top")
    axes[1].set_ylim(bottom=0)
    axes[0].legend(frameon=False, fontsize="small")
    _save(figure, path, [{"estimate": name, **row} for name, rows in found.items() for row in rows])


def plot_reliability(found: Mapping[str, Sequence[Mapping[str, Any]]], path: PathLike) -> None:
    """How often jets of a given probability are what they are said to be.

    Parameters
    ----------
    found : mapping of str to sequence of mapping
        Name of a tagger to the rows of `fieldgrad.physics.figures.calibration.reliability`.
    path : path-like
        The .png or .pdf file.

    Raises
    ------
    MissingExtra
        If matplotlib is not installed.
    DataError
        If the path does not end in .png or .pdf.
    FileError
        If a file cannot be written.
    """
    figure, axis = _axes("predicted probability", "observed share", size=(4.6, 4.6))
    axis.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle="--")
    for color, (name, rows) in zip(cycle(COLORS), found.items(), strict=False):
        x, y, error = ([row[key] for row in rows] for key in ("predicted", "observed", "error"))
        axis.errorbar(x, y, error, color=color, label=name, marker="o", markersize=4, lw=1.2)
    axis.set_xlim(0, 1)
    axis.set_ylim(0, 1)
    axis.legend(frameon=False)
    _save(figure, path, [{"tagger": name, **row} for name, rows in found.items() for row in rows])


def plot_significance(
    found: Mapping[str, Any], path: PathLike, *, systematic: float | None = None
) -> None:
    """Expected significance over the cut on the score.

    Parameters
    ----------
    found : mapping
        What `fieldgrad.physics.figures.significance.scan` gave.
    path : path-like
        The .png or .pdf file.
    systematic : float, optional
        Relative uncertainty of the background, for the legend.

    Raises
    ------
    MissingExtra
        If matplotlib is not installed.
    DataError
        If the path does not end in .png or .pdf.
    FileError
        If a file cannot be written.
    """
    figure, axis = _axes("events of background after the cut", "expected significance")
    best = found["best"]
    text = None if systematic is None else f"background known to {systematic:.0%}"
    axis.plot(found["background"], found["significance"], color=COLORS[0], label=text)
    axis.plot(
        [found["background"][best]],
        [found["significance"][best]],
        "o",
        color=COLORS[1],
        label=f"best: {found['significance'][best]:.2f} at score > {found['threshold'][best]:.3f}",
    )
    axis.set_xscale("log")
    axis.set_ylim(bottom=0)
    axis.legend(frameon=False, fontsize="small")
    keys = ("threshold", "signal", "background", "significance")
    columns: list[NDArray[np.float64]] = [found[key] for key in keys]
    _save(figure, path, [dict(zip(keys, row, strict=True)) for row in zip(*columns, strict=True)])


def plot_history(history: Sequence[Mapping[str, float]], path: PathLike) -> None:
    """Loss of each epoch of a training, and what was watched: AUC, or the mean absolute error.

    Parameters
    ----------
    history : sequence of mapping
        ``Learner.history``.
    path : path-like
        The .png or .pdf file.

    Raises
    ------
    MissingExtra
        If matplotlib is not installed.
    DataError
        If the path does not end in .png or .pdf.
    FileError
        If a file cannot be written.
    """
    figure, axes = _axes("epoch", "loss", size=(5.2, 5.2), n_rows=2)
    for axis in axes:
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.tick_params(axis="x", which="minor", bottom=False, top=False)
    epochs = [row["epoch"] for row in history]
    watched = "mae" if history and "mae" in history[0] else "auc"
    panels = (
        (axes[0], (("train_loss", "training"), ("valid_loss", "validation"))),
        (axes[1], ((watched, "validation"),)),
    )
    for axis, curves in panels:
        for color, (key, name) in zip(COLORS, curves, strict=False):
            if history and key in history[0]:
                axis.plot(
                    epochs, [row[key] for row in history], color=color, label=name, marker="o",
                    markersize=3,
                )  # fmt: skip
    axes[0].legend(frameon=False)
    label = {"auc": "AUC", "mae": "mean absolute error"}[watched]
    axes[1].set_ylabel(label, loc="top")
    _save(figure, path, history)
