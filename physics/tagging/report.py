"""Figures of a model beside what a physicist would try first, as text, tables and plots."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine.errors import DataError
from fieldgrad.engine.files import atomic_write
from fieldgrad.physics.figures import plots
from fieldgrad.physics.figures.calibration import calibration_error, reliability
from fieldgrad.physics.figures.decorrelation import decorrelation_curve, sculpting
from fieldgrad.physics.figures.metrics import discriminant, evaluate, per_bin, roc
from fieldgrad.physics.figures.response import evaluate_response, response_per_bin
from fieldgrad.physics.jets.batch import JetBatch
from fieldgrad.physics.tagging.baselines import (
    BoostedTrees,
    cut_and_count,
    mass_distance,
    observable_table,
)
from fieldgrad.physics.tagging.inputs import jet_column
from fieldgrad.physics.tagging.regressor import Regressor

__all__ = ["compare", "compare_estimates", "draw", "read_scores", "table_text", "write_json"]

Scores = Mapping[str, NDArray[np.floating[Any]]]


def compare(
    scores: Scores,
    test: JetBatch,
    out: Path,
    *,
    train: JetBatch | None = None,
    observables: Sequence[str] = (),
    background: int = 0,
    suffix: str = ".png",
) -> str:
    """Evaluate taggers on labeled jets and write down everything about them.

    Parameters
    ----------
    scores : mapping of str to ndarray of shape (n_jets, n_classes)
        Name of a tagger to its probabilities for the test jets.
    test : JetBatch
        Jets that no tagger was trained on, with labels.
    out : Path
        Folder for ``metrics.json``, ``metrics.csv``, ``metrics_by_pt.csv`` (in quarters of the
        jets) and the plots with their numbers.
    train : JetBatch, optional
        Jets to grow boosted trees on; without them there are no trees.
    observables : sequence of str, optional
        Observables for the trees.
    background : int, default 0
        The class that the others are compared with.
    suffix : {".png", ".pdf"}
        Kind of the plots.

    Returns
    -------
    str
        A table to print.

    Raises
    ------
    DataError
        If the jets have no labels.
    """
    if test.labels is None:
        raise DataError(
            "the jets have no labels, so nothing can be evaluated; read them with labels."
        )
    everything = dict(scores)
    two = len(test.label_names) == 2
    if train is not None and observables:
        trees = BoostedTrees(observables).fit(train)
        everything[f"trees on {len(observables)} observables"] = trees.predict(test)
    if two:
        # Rises with the score and lies in (0, 1]; only the order matters.
        near = 1 / (1 - mass_distance(test))
        everything["mass alone"] = np.stack([1 - near, near], axis=1)
    settings: dict[str, Any] = {"names": test.label_names, "background": background}
    rows = [
        {"tagger": name, **row}
        for name, p in everything.items()
        for row in evaluate(test.labels, p, test.weights, **settings)
    ]
    for row in rows:
        if row["tagger"] == "mass alone":
            row["accuracy"] = float("nan")  # a distance is no probability
    cuts = cut_and_count(test, signal=1 - background, background=background) if two else None
    carved = _decorrelation(everything, test, background)
    for row in rows:
        at_half = (r for r in carved if r["efficiency"] == 0.5)
        own = (r for r in at_half if (r["tagger"], r["signal"]) == (row["tagger"], row["signal"]))
        row["jsd_50"] = next((r["jsd"] for r in own), float("nan"))
    write_json({"taggers": rows, "cuts": cuts, "decorrelation": carved}, out / "metrics.json")
    plots.write_table(rows, out / "metrics.csv")
    pt, edges = _quarters(test)
    by_pt = [
        {"tagger": name, **row}
        for name, p in scores.items()
        for row in per_bin(pt, edges, test.labels, p, test.weights, **settings)
    ]
    plots.write_table(by_pt, out / "metrics_by_pt.csv")
    draw(everything, test, out, background=background, cuts=cuts, own=tuple(scores), suffix=suffix)
    for name in dict.fromkeys(row["signal"] for row in carved):
        tail = f"_{name}" if not two else ""
        some = [row for row in carved if row["signal"] == name]
        plots.plot_decorrelation(some, out / f"decorrelation{tail}{suffix}")
    return table_text(rows, cuts)


def _decorrelation(scores: Scores, test: JetBatch, background: int) -> list[dict[str, Any]]:
    """Rejection and divergence of the masses at several cuts: by tagger and signal."""
    labels = np.asarray(test.labels)
    mass = observable_table(test, ["jet_mass"])[:, 0]
    rows = []
    for signal, name in enumerate(test.label_names):
        if signal == background or not (labels == signal).any():
            continue
        two = (labels == signal) | (labels == background)
        for tagger, p in scores.items():
            s = discriminant(p[two], signal, background)
            curve = decorrelation_curve(labels[two] == signal, s, mass[two], test.weights[two])
            rows += [{"tagger": tagger, "signal": name, **row} for row in curve]
    return rows


def _quarters(test: JetBatch) -> tuple[NDArray[np.float64], list[float]]:
    """Transverse momenta, and bounds of bins with a quarter of the jets each, GeV."""
    pt = observable_table(test, ["jet_pt"])[:, 0]
    edges = np.round(np.quantile(pt, [0, 0.25, 0.5, 0.75, 1]), 1)
    edges[0], edges[-1] = np.floor(edges[0]), np.ceil(edges[-1] + 0.1)
    return pt, np.unique(edges).tolist()


def compare_estimates(
    model: Regressor,
    found: NDArray[np.floating[Any]],
    test: JetBatch,
    out: Path,
    *,
    baseline: str = "",
    suffix: str = ".png",
) -> str:
    """Measure response and resolution of an estimate and write down everything about it.

    Parameters
    ----------
    model : Regressor
        Which made the estimates.
    found : ndarray, shape (n_jets, n_outputs)
        Its predictions for the test jets.
    test : JetBatch
        Jets that it was not trained on, with the true values.
    out : Path
        Folder for ``response.json``, ``response.csv``, ``response_by_pt.csv`` (in quarters of the
        jets) and the plots with their numbers.
    baseline : str, optional
        An observable that stands beside it as another estimate.
    suffix : {".png", ".pdf"}
        Kind of the plots.

    Returns
    -------
    str
        A table to print.

    Raises
    ------
    DataError
        If the jets do not have the true values, or none is above 0.
    """
    truth, best = jet_column(test, model.target), found[:, model.estimate]
    name = type(model.network).__name__
    estimates = {name: best} | ({baseline: jet_column(test, baseline)} if baseline else {})
    wide = {name: (found[:, 0], found[:, -1])} if len(model.quantiles) > 1 else {}
    pt, edges = _quarters(test)
    rows, by_pt = [], {}
    for key, estimate in estimates.items():
        data = (truth, estimate, test.weights)
        row = evaluate_response(*data, interval=wide.get(key))
        rows.append({"estimate": key, "target": model.target, **row})
        by_pt[key] = response_per_bin(pt, edges, *data, interval=wide.get(key))
    expected = model.quantiles[-1] - model.quantiles[0] if wide else None
    write_json({"estimates": rows, "expected_coverage": expected}, out / "response.json")
    plots.write_table(rows, out / "response.csv")
    plots.write_table(
        [{"estimate": key, **row} for key, own in by_pt.items() for row in own],
        out / "response_by_pt.csv",
    )
    some = truth > 0
    responses = {key: estimate[some] / truth[some] for key, estimate in estimates.items()}
    plots.plot_responses(responses, out / f"response{suffix}", weights=test.weights[some])
    plots.plot_resolutions(by_pt, out / f"resolution{suffix}")
    header = ["estimate", f"|error| of {model.target}", "median response", "resolution (68 %)"]
    lines = [header + ["coverage"] * bool(wide)]
    for row in rows:
        cells = [f"{row['mae']:.3g} ± {row['mae_error']:.2g}"]
        cells += [f"{row[k]:.4f} ± {row[k + '_error']:.4f}" for k in ("response", "resolution")]
        if wide:
            known = "coverage" in row
            cells += [f"{row['coverage']:.3f} ± {row['coverage_error']:.3f}" if known else ""]
        lines.append([row["estimate"], *cells])
    text = _aligned(lines)
    if wide:
        text += f"\ncoverage: of the interval from {model.quantiles[0]:g} to "
        text += f"{model.quantiles[-1]:g}, expected {expected:g}"
    if rows[0]["n_left_out"]:
        text += f"\n{rows[0]['n_left_out']:,} jets with {model.target} ≤ 0 have no response"
    return text


def draw(
    scores: Scores,
    test: JetBatch,
    out: Path,
    *,
    background: int = 0,
    cuts: Mapping[str, Any] | None = None,
    own: Sequence[str] = (),
    suffix: str = ".png",
) -> None:
    """Draw ROC curves, scores, mass sculpting and reliability of taggers.

    Parameters
    ----------
    scores : mapping of str to ndarray of shape (n_jets, n_classes)
        Name of a tagger to its probabilities.
    test : JetBatch
        The jets, with labels.
    out : Path
        Folder for the plots: ``roc``, ``scores``, ``mass`` and ``reliability``; with several
        signals the ROC curve and the masses are drawn for each.
    background : int, default 0
        The class that the others are compared with.
    cuts : mapping, optional
        From `cut_and_count`, for a point beside the ROC curves.
    own : sequence of str, optional
        Taggers whose scores and reliability are drawn; default all.
    suffix : {".png", ".pdf"}
        Kind of the plots.

    Raises
    ------
    DataError
        If the jets have no labels.
    """
    if test.labels is None:
        raise DataError("the jets have no labels to compare with; read them with their labels.")
    names, labels = test.label_names, test.labels
    chosen = [name for name in scores if name in own or not own]
    signals = [i for i in range(len(names)) if i != background and (labels == i).any()]
    for signal in signals:
        two = (labels == signal) | (labels == background)
        truth, w, mass = (
            labels[two] == signal,
            test.weights[two],
            observable_table(test, ["jet_mass"])[two, 0],
        )
        against = {name: discriminant(p[two], signal, background) for name, p in scores.items()}
        tail = f"_{names[signal]}" if len(signals) > 1 else ""
        plots.plot_rocs(
            {name: roc(truth, s, w) for name, s in against.items()},
            out / f"roc{tail}{suffix}",
            points={cuts["name"]: (cuts["efficiency"], cuts["rejection"])} if cuts else None,
            signal=names[signal],
            background=names[background],
        )
        carved = {}
        for name in chosen:
            # Of few jets it may be that no background passes, and then there is nothing to draw.
            with contextlib.suppress(DataError):
                carved[name] = sculpting(truth, against[name], mass, w)
        if carved:
            plots.plot_sculpting(carved, out / f"mass{tail}{suffix}")
    first = signals[0]
    for i, name in enumerate(chosen):
        tail = f"_{i + 1}" if len(chosen) > 1 else ""
        plots.plot_scores(
            scores[name][:, first],
            labels,
            names,
            out / f"scores{tail}{suffix}",
            weights=test.weights,
            label=f"{name}: probability of {names[first]}",
        )
    tables = {
        name: reliability(labels == first, scores[name][:, first], test.weights) for name in chosen
    }
    shown = {f"{name} (ECE {calibration_error(rows):.4f})": rows for name, rows in tables.items()}
    plots.plot_reliability(shown, out / f"reliability{suffix}")


def read_scores(files: Sequence[Path]) -> tuple[dict[str, NDArray[np.float64]], JetBatch]:
    """Read what several taggers said of the same jets.

    Parameters
    ----------
    files : sequence of Path
        Files of scores with truth, as `fieldgrad physics predict` and trainings write them.

    Returns
    -------
    scores : dict of str to ndarray of shape (n_jets, n_classes)
        By the name of the file, or of its folder where those are equal.
    jets : JetBatch
        The jets without constituents, with labels, weights and the mass.

    Raises
    ------
    DataError
        If a file has no scores, no truth or no mass, or they are not about the same jets.
    """
    from fieldgrad.physics.reading.sources import open_source

    same = len({path.stem for path in files}) < len(files)
    scores: dict[str, NDArray[np.float64]] = {}
    jets: JetBatch | None = None
    for path in files:
        with open_source(path) as source:
            columns = [name for name in source.names if name.startswith("score_")]
            lacking = [name for name in ("label", "jet_mass") if name not in source.names]
            if len(columns) < 2 or lacking:
                raise DataError(
                    f"{path} has the columns {', '.join(source.names)}; expected score_… of at "
                    "least two classes, label and jet_mass. Tag labeled jets, with jet_mass among "
                    "the observers."
                )
            weight = ["weight"] if "weight" in source.names else []
            table = source.read([*columns, "label", "jet_mass", *weight])
        one = JetBatch(
            np.zeros(len(table["label"]) + 1, np.int64),
            np.zeros((0, 4)),
            labels=table["label"],
            label_names=tuple(name.removeprefix("score_") for name in columns),
            weights=table["weight"] if weight else np.ones(len(table["label"])),
            observables={"jet_mass": table["jet_mass"]},
        )
        if jets is not None and not (
            one.label_names == jets.label_names
            and np.asarray(one.labels).tolist() == np.asarray(jets.labels).tolist()
        ):
            raise DataError(
                f"{path} is about other jets than {files[0]}: its classes or labels differ. Tag "
                "the same files with each model."
            )
        jets = one
        p = np.stack([np.asarray(table[name], np.float64) for name in columns], axis=1)
        scores[path.parent.name if same else path.stem] = p
    if jets is None:
        raise DataError("no file of scores is given; expected at least one.")
    return scores, jets


def table_text(rows: Sequence[Mapping[str, Any]], cuts: Mapping[str, Any] | None = None) -> str:
    """Lay figures out as a table to print.

    Parameters
    ----------
    rows : sequence of mapping
        Rows of `fieldgrad.physics.figures.metrics.evaluate` with ``tagger``.
    cuts : mapping, optional
        From `cut_and_count`, for a last line.

    Returns
    -------
    str
        Lines; 1/ε_B with its error and, in brackets, the background jets that it rests on. With
        ``jsd_50`` the divergence of the background's masses on both sides of that cut, in bits.

    Examples
    --------
    >>> from fieldgrad.physics.figures.metrics import evaluate
    >>> p = np.linspace(0, 1, 8)
    >>> row, = evaluate([0, 0, 1, 0, 1, 0, 1, 1], np.stack([1 - p, p], 1), names=["QCD", "top"])
    >>> print(table_text([{"tagger": "PFN", **row}]))
    tagger  signal  accuracy  AUC              1/ε_B at ε_S 0.5  1/ε_B at ε_S 0.3
    PFN     top     0.750     0.8125 ± 0.1466  ∞                 ∞
    """
    header = ["tagger", "signal", "accuracy", "AUC", "1/ε_B at ε_S 0.5", "1/ε_B at ε_S 0.3"]
    with_mass = any(np.isfinite(row.get("jsd_50", np.nan)) for row in rows)
    lines = [header + ["JSD at ε_S 0.5"] * with_mass]
    for row in rows:
        known = np.isfinite(row["accuracy"])
        lines.append(
            [
                row["tagger"],
                row["signal"],
                f"{row['accuracy']:.3f}" if known else "",
                f"{row['auc']:.4f} ± {row['auc_error']:.4f}",
                *(_rejection(row, percent) for percent in (50, 30)),
                *([f"{row['jsd_50']:.3f}"] if with_mass else []),
            ]
        )
    text = _aligned(lines)
    if cuts:
        text += (
            f"\ncuts {cuts['name']}: ε_S {cuts['efficiency']:.2f}, 1/ε_B "
            f"{cuts['rejection']:.0f} ± {cuts['rejection_error']:.0f}"
        )
    return text


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    """Lines of cells as columns."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def write_json(value: Any, path: Path) -> None:
    """Write figures as JSON; infinite and undefined ones become text.

    Parameters
    ----------
    value : object
        Mappings, sequences, numbers, arrays and text.
    path : Path
        The file.

    Raises
    ------
    FileError
        If the file cannot be written.
    """
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(_plain(value), indent=1) + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value


def _rejection(row: Mapping[str, Any], percent: int) -> str:
    value = row[f"rejection_{percent}"]
    if not np.isfinite(value):
        return "∞"
    error, n_jets = row[f"rejection_{percent}_error"], row[f"passing_{percent}"]
    return f"{value:.0f} ± {error:.0f} ({n_jets})"
