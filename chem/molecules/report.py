"""Pictures of how good a property model is: parity, residuals, scaffolds, calibration, learning."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.chem.molecules.calibration import LEVELS, Calibration, coverage
from fieldgrad.chem.molecules.labels import Labels, class_slices
from fieldgrad.chem.molecules.metrics import roc_auc, roc_curve
from fieldgrad.engine.errors import require
from fieldgrad.engine.files import atomic_write

__all__ = ["Evaluation", "errors_by_scaffold", "parity_png", "plot_all", "plot_learning"]

Floats = NDArray[np.float64]

# Blue for the network, orange for what it is compared with; gray for what is expected.
_MODEL, _OTHER, _IDEAL = "#0072b2", "#e69f00", "#888888"
_DPI, _MOST_PANELS, _MOST_SCAFFOLDS = 110, 12, 15


@dataclass(frozen=True)
class Evaluation:
    """Predictions of labeled molecules, with all that the pictures need.

    Parameters
    ----------
    targets : sequence of str
        Names of the tasks.
    labels : Labels
        The truth.
    values : ndarray of shape (n_molecules, n_tasks) or (n_molecules, n_outputs)
        The predictions: numbers, probabilities of class 1, or of all classes side by side.
    std : ndarray of shape (n_molecules, n_tasks) or None
        The model's own standard deviations, uncorrected.
    calibration : Calibration or None
        Of a model of numbers.
    scaffolds : sequence of str
        Scaffold of each molecule.
    """

    targets: Sequence[str]
    labels: Labels
    values: Floats
    std: Floats | None
    calibration: Calibration | None
    scaffolds: Sequence[str]

    def errors(self) -> Floats:
        """Give the error of each prediction.

        Returns
        -------
        ndarray of shape (n_molecules, n_tasks)
            Absolute error, of classes that of the probability: 1 minus that of the true class. NaN
            where there is no label.
        """
        truth = self.labels.values
        if not self.labels.classes:
            return np.abs(truth - self.values)
        found = np.full(truth.shape, np.nan)
        for i, own in enumerate(class_slices(self.labels.classes)):
            rows = np.flatnonzero(np.isfinite(truth[:, i]))
            found[rows, i] = 1 - self.values[rows, own.start + truth[rows, i].astype(int)]
        return found

    def coverages(self) -> list[dict[str, Any]]:
        """Compare how often intervals hold the truth with how often they should.

        Returns
        -------
        list of dict
            A row for each task and level: ``target``, ``level``, ``coverage``, ``width``, the mean
            width of the intervals; none for classes.
        """
        if self.calibration is None:
            return []
        rows = []
        for level in LEVELS:
            margin = self.calibration.margin(self.std, level) + 0 * self.values
            found = coverage(self.labels.values, self.values - margin, self.values + margin)
            rows += [
                {
                    "target": target,
                    "level": level,
                    "coverage": float(found[i]),
                    "width": float(2 * margin[:, i].mean()),
                }
                for i, target in enumerate(self.targets)
            ]
        return sorted(rows, key=lambda row: (self.targets.index(row["target"]), row["level"]))


def errors_by_scaffold(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Average the errors over the molecules of each scaffold.

    Parameters
    ----------
    evaluation : Evaluation
        Predictions and labels.

    Returns
    -------
    list of dict
        A row for each scaffold, the most frequent first: ``scaffold`` (empty for molecules without
        rings), ``n_molecules``, and for each task its mean absolute error, of classes that of the
        probability. Empty where there is no label.
    """
    names, inverse = np.unique(np.array(evaluation.scaffolds, object), return_inverse=True)
    errors = evaluation.errors()
    rows = []
    for i in np.argsort(-np.bincount(inverse), kind="stable").tolist():
        own = errors[inverse == i]
        row: dict[str, Any] = {"scaffold": names[i], "n_molecules": len(own)}
        for j, target in enumerate(evaluation.targets):
            known = own[np.isfinite(own[:, j]), j]
            row[f"{target}_mae"] = float(known.mean()) if len(known) else ""
        rows.append(row)
    return rows


def plot_all(evaluation: Evaluation, folder: str | os.PathLike[str], other: Floats | None) -> None:
    """Draw all pictures of an evaluation; files that are there already are replaced.

    Parameters
    ----------
    evaluation : Evaluation
        Predictions and labels.
    folder : path-like
        For ``parity.png`` and ``residuals.png`` of numbers, ``roc.png`` of classes 0 and 1,
        ``confusion.png`` of classes with names; ``calibration.png`` and ``scaffolds.png``.
    other : ndarray of shape (n_molecules, n_tasks) or None
        Predictions of the random forest, drawn beside.

    Raises
    ------
    MissingExtra
        If matplotlib is not installed.
    FileError
        If a file cannot be written.
    """
    draw: dict[str, Callable[[Any, Evaluation, int, Floats | None], None]]
    if evaluation.labels.classes:
        draw = {"confusion": _confusion, "calibration": _confidence}
    elif evaluation.labels.task == "regression":
        draw = {"parity": _parity, "residuals": _residuals, "calibration": _coverage}
    else:
        draw = {"roc": _roc, "calibration": _reliability}
    draw["scaffolds"] = _scaffolds
    shown = range(min(len(evaluation.targets), _MOST_PANELS))
    for name, one in draw.items():
        figure, panels = _panels(len(shown))
        for i, panel in zip(shown, panels, strict=True):
            one(panel, evaluation, i, other)
            panel.set_title(evaluation.targets[i], fontsize=10)
        _save(figure, os.path.join(folder, f"{name}.png"))


def parity_png(labels: Labels, values: Floats, targets: Sequence[str], title: str) -> bytes:
    """Draw predictions against labels: parity of numbers, receiver operating curves of classes.

    Parameters
    ----------
    labels : Labels
        The truth.
    values : ndarray
        The predictions, as in `Evaluation`.
    targets : sequence of str
        Names of the tasks, of which the first few are drawn.
    title : str
        What the picture shows.

    Returns
    -------
    bytes
        A PNG file.

    Raises
    ------
    MissingExtra
        If matplotlib is not installed.
    """
    evaluation = Evaluation(targets, labels, values, None, None, ())
    one = {"regression": _parity, "classification": _roc}.get(labels.task, _confusion)
    figure, panels = _panels(min(len(targets), 4))
    for i, panel in enumerate(panels):
        one(panel, evaluation, i, None)
        panel.set_title(targets[i], fontsize=10)
    figure.suptitle(title, fontsize=10)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def plot_learning(
    histories: Sequence[Sequence[Mapping[str, float]]], path: str | os.PathLike[str]
) -> None:
    """Draw the losses of each network over its epochs.

    Parameters
    ----------
    histories : sequence of sequence of dict
        `Learner.history` of each network.
    path : path-like
        The .png file.

    Raises
    ------
    MissingExtra
        If matplotlib is not installed.
    FileError
        If the file cannot be written.
    """
    figure, (panel,) = _panels(1)
    for i, rows in enumerate(histories):
        for column, color, label in (
            ("train_loss", _MODEL, "training"),
            ("valid_loss", _OTHER, "validation"),
        ):
            epochs = [row["epoch"] for row in rows]
            panel.plot(epochs, [row[column] for row in rows], color=color, linewidth=1.6,
                       label=None if i else label)  # fmt: skip
        best = min(rows, key=lambda row: row["valid_loss"])
        panel.plot(best["epoch"], best["valid_loss"], "o", color=_OTHER, markersize=5,
                   label=None if i else "epoch that is kept")  # fmt: skip
    if min(row["train_loss"] for rows in histories for row in rows) > 0:
        panel.set_yscale("log")
    panel.set(xlabel="epoch", ylabel="loss")
    panel.legend(frameon=False, fontsize=8)
    _save(figure, path)


def _parity(panel: Any, evaluation: Evaluation, i: int, other: Floats | None) -> None:
    y, p = evaluation.labels.values[:, i], evaluation.values[:, i]
    there = np.isfinite(y)
    ends = [float(np.nanmin([y, p])), float(np.nanmax([y, p]))]
    panel.plot(ends, ends, color=_IDEAL, linewidth=1)
    if other is not None:
        panel.plot(y[there], other[there, i], "o", color=_OTHER, markersize=2.5, alpha=0.6,
                   label=f"random forest, RMSE {_rmse(y, other[:, i]):.3g}")  # fmt: skip
    panel.plot(y[there], p[there], "o", color=_MODEL, markersize=3.5, alpha=0.7,
               label=f"network, RMSE {_rmse(y, p):.3g}")  # fmt: skip
    panel.set(xlabel="measured", ylabel="predicted")
    panel.set_aspect("equal", adjustable="datalim")
    panel.legend(frameon=False, fontsize=8)


def _residuals(panel: Any, evaluation: Evaluation, i: int, other: Floats | None) -> None:
    errors = evaluation.values[:, i] - evaluation.labels.values[:, i]
    errors = errors[np.isfinite(errors)]
    limit = np.abs(errors).max(initial=1e-9)
    bins = np.linspace(-limit, limit, 31).tolist()
    panel.axvline(0, color=_IDEAL, linewidth=1)
    panel.hist(errors, bins, color=_MODEL, alpha=0.8,
               label=f"network, mean {errors.mean():+.2g}")  # fmt: skip
    if other is not None:
        theirs = other[:, i] - evaluation.labels.values[:, i]
        panel.hist(np.clip(theirs[np.isfinite(theirs)], -limit, limit), bins, histtype="step",
                   color=_OTHER, linewidth=1.5, label="random forest")  # fmt: skip
    panel.set(xlabel="predicted - measured", ylabel="molecules")
    panel.legend(frameon=False, fontsize=8)


def _coverage(panel: Any, evaluation: Evaluation, i: int, other: Floats | None) -> None:
    target = evaluation.targets[i]
    rows = [row for row in evaluation.coverages() if row["target"] == target]
    known = [row for row in rows if np.isfinite(row["width"])]
    panel.plot([0, 1], [0, 1], color=_IDEAL, linewidth=1, label="as promised")
    levels, found = [r["level"] for r in known], [r["coverage"] for r in known]
    panel.plot(levels, found, "o-", color=_MODEL, label="intervals of the network")
    panel.set(xlabel="promised coverage", ylabel="measured coverage", xlim=(0.4, 1), ylim=(0, 1.02))
    panel.legend(frameon=False, fontsize=8, loc="lower right")


def _roc(panel: Any, evaluation: Evaluation, i: int, other: Floats | None) -> None:
    y = evaluation.labels.values[:, i]
    there = np.isfinite(y)
    panel.plot([0, 1], [0, 1], color=_IDEAL, linewidth=1, label="chance")
    curves = [(evaluation.values, _MODEL, "network")]
    curves += [] if other is None else [(other, _OTHER, "random forest")]
    for p, color, label in curves:
        area = roc_auc(y[there], p[there, i])
        if np.isfinite(area):
            curve = roc_curve(y[there], p[there, i])
            panel.plot(*curve, color=color, linewidth=1.6, label=f"{label}, area {area:.3f}")
    panel.set(xlabel="false positive rate", ylabel="true positive rate")
    panel.legend(frameon=False, fontsize=8, loc="lower right")


def _reliability(panel: Any, evaluation: Evaluation, i: int, other: Floats | None) -> None:
    _tenths(panel, evaluation.labels.values[:, i], evaluation.values[:, i])
    panel.set(xlabel="predicted probability", ylabel="part of positives")


def _confidence(panel: Any, evaluation: Evaluation, i: int, other: Floats | None) -> None:
    truth = evaluation.labels.values[:, i]
    p = evaluation.values[:, class_slices(evaluation.labels.classes)[i]]
    right = np.where(np.isfinite(truth), p.argmax(axis=1) == truth, np.nan)
    _tenths(panel, right, p.max(axis=1))
    panel.set(xlabel="probability of the likeliest class", ylabel="part that is right")


def _confusion(panel: Any, evaluation: Evaluation, i: int, other: Floats | None) -> None:
    names, truth = evaluation.labels.classes[i], evaluation.labels.values[:, i]
    there = np.isfinite(truth)
    best = evaluation.values[there, class_slices(evaluation.labels.classes)[i]].argmax(axis=1)
    counts = np.zeros((len(names), len(names)), int)
    np.add.at(counts, (truth[there].astype(int), best), 1)
    shades = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    panel.imshow(shades, cmap="Blues", vmin=0, vmax=1)
    for (row, column), n in np.ndenumerate(counts):
        color = "white" if shades[row, column] > 0.5 else "black"
        panel.text(column, row, n, ha="center", va="center", fontsize=8, color=color)
    panel.grid(visible=False)
    panel.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=8)
    panel.set_yticks(range(len(names)), names, fontsize=8)
    panel.set(xlabel="predicted", ylabel="true")


def _tenths(panel: Any, y: Floats, p: Floats) -> None:
    """Draw how often something is true against how likely it was said to be."""
    order = np.flatnonzero(np.isfinite(y))
    order = order[np.argsort(p[order], kind="stable")]
    bins = [b for b in np.array_split(order, min(10, max(len(order) // 10, 1))) if len(b)]
    panel.plot([0, 1], [0, 1], color=_IDEAL, linewidth=1, label="as promised")
    panel.plot([p[b].mean() for b in bins], [y[b].mean() for b in bins], "o-", color=_MODEL,
               label=f"tenths of {len(order)} molecules")  # fmt: skip
    panel.legend(frameon=False, fontsize=8)


def _scaffolds(panel: Any, evaluation: Evaluation, i: int, other: Floats | None) -> None:
    target = evaluation.targets[i]
    rows = [r for r in errors_by_scaffold(evaluation) if r[f"{target}_mae"] != ""]
    rows = rows[:_MOST_SCAFFOLDS][::-1]
    names = [f"{_short(r['scaffold'])}  ({r['n_molecules']})" for r in rows]
    panel.barh(names, [r[f"{target}_mae"] for r in rows], color=_MODEL, height=0.7)
    panel.axvline(np.nanmean(evaluation.errors()[:, i]), color=_IDEAL, linewidth=1)
    panel.set_xlabel("mean absolute error (line: all)")
    panel.tick_params(axis="y", labelsize=7)


def _short(scaffold: str) -> str:
    return (scaffold[:23] + "…" if len(scaffold) > 24 else scaffold) or "no ring"


def _rmse(y: Floats, p: Floats) -> float:
    return float(np.sqrt(np.nanmean((y - p) ** 2)))


def _panels(n: int) -> tuple[Any, list[Any]]:
    require("matplotlib", extra="chem")
    from matplotlib.figure import Figure

    n_columns = min(n, 4)
    n_rows = -(-n // n_columns)
    size = (4.6 * n_columns, 4.0 * n_rows)
    figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
    panels = list(np.ravel(figure.subplots(n_rows, n_columns)))
    for panel in panels:
        panel.grid(alpha=0.25)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
    for panel in panels[n:]:
        panel.set_axis_off()
    return figure, panels[:n]


def _save(figure: Any, path: str | os.PathLike[str]) -> None:
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png")
