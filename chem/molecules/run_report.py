"""What a run on molecules shows of itself: predictions while it trains, parts of its report."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fieldgrad.chem.molecules.metrics import roc_auc
from fieldgrad.chem.molecules.report import parity_png
from fieldgrad.chem.molecules.tables import MISSING
from fieldgrad.engine.runs.report import Section, bootstrap_interval, read_data_record
from fieldgrad.engine.train import Learner

if TYPE_CHECKING:
    from fieldgrad.chem.molecules.fitting import TrainingData
    from fieldgrad.chem.molecules.predictor import Predictor

__all__ = ["molecule_sections", "validation_pictures"]

Floats = NDArray[np.float64]
_MOST_ROWS, _N_RESAMPLED = 10, 1000


def validation_pictures(
    predictor: Predictor, data: TrainingData
) -> Callable[[Learner], dict[str, bytes]]:
    """Make the hook that draws what a network predicts for the validation part while it trains.

    Parameters
    ----------
    predictor : Predictor
        Whose newest network is trained.
    data : TrainingData
        Its molecules.

    Returns
    -------
    callable
        For `train.Pictures`: parity, or curves or confusion of classes.
    """

    def draw(learner: Learner) -> dict[str, bytes]:
        found = learner.predict().prediction.astype(np.float64)
        values = found[:, : sum(map(len, predictor.classes)) or len(predictor.targets)]
        if predictor.task == "regression":
            values = values * predictor.scale + predictor.mean
        truth, title = data.labels.take(data.val), f"validation part, step {learner.step}"
        return {"validation": parity_png(truth, values, predictor.targets, title)}

    return draw


def molecule_sections(run_dir: Path) -> list[Section]:
    """Give the parts of the report of a run that trained on molecules.

    Parameters
    ----------
    run_dir : Path
        The run's folder.

    Returns
    -------
    list of Section
        Data, scores with confidence intervals, uncertainty, errors by scaffold.
    """
    sections = [_data(run_dir)]
    if (run_dir / "metrics.csv").exists():
        sections += [_scores(run_dir), _uncertainty(run_dir), _scaffolds(run_dir), _worst(run_dir)]
    return sections


def _data(run_dir: Path) -> Section:
    split = json.loads((run_dir / "split.json").read_text("utf-8"))
    rows = [(name, f"{len(split[part])} molecules") for part, name in
            (("train", "training"), ("val", "validation"), ("test", "test"))]  # fmt: skip
    rows += [(name, str(value)) for name, value in read_data_record(run_dir).items()]
    text = "Copies of one molecule are always in the same part, unless the split was given. "
    problems = _rows(run_dir / "problems.csv")
    if problems:
        rows.append(("rows left out", str(len(problems))))
        rows += [(f"row {p['row']}", f"{p['smiles'][:60]}: {p['reason']}")
                 for p in problems[:_MOST_ROWS]]  # fmt: skip
        text += "Rows whose SMILES RDKit refuses were left out; problems.csv has them all."
    return Section("Data", text, (), rows)


def _scores(run_dir: Path) -> Section:
    """The scores of network, forest and mean, and intervals from resampling the test part."""
    scores, rows = _rows(run_dir / "metrics.csv"), _rows(run_dir / "predictions.csv")
    names = [name for name in scores[0] if name not in ("model", "target", "n", "n_positive")]
    wanted = names[0]
    table = []
    for score in sorted(scores, key=lambda score: score["target"]):
        target, column = score["target"], _COLUMNS.get(score["model"].partition(" ")[0], "")
        low, high = _interval(wanted, rows, target, f"{target}_{column}")
        interval = "n/a" if np.isnan(low) else f"{low:.3f} to {high:.3f}"
        values = [_shown(score[name]) for name in names]
        table.append((target, score["model"], score["n"], values[0], interval, *values[1:]))
    text = (
        "Network, random forest and mean of the training labels on the test part, which training "
        f"did not see; the 95 % interval of {_TITLES[wanted]} comes from resampling its molecules. "
        "Where the intervals of network and forest overlap much, this test does not tell which of "
        "them is better."
    )
    head = ("target", "model", "n", _TITLES[wanted], "95 % interval", *map(_TITLES.get, names[1:]))
    pictures = {
        "Predicted against measured, test part": run_dir / "parity.png",
        "Errors, test part": run_dir / "residuals.png",
        "Receiver operating characteristic, test part": run_dir / "roc.png",
        "Confusion of the classes, test part": run_dir / "confusion.png",
    }
    return Section("Scores on the test part", text, [str(name) for name in head], table, pictures)


_COLUMNS = {"network": "predicted", "random": "forest"}
_TITLES = {"rmse": "RMSE", "mae": "MAE", "r2": "R²", "roc_auc": "ROC AUC",
           "prc_auc": "PRC AUC", "accuracy": "accuracy", "f1": "F1",
           "balanced_accuracy": "balanced accuracy"}  # fmt: skip


def _interval(
    score: str, rows: Sequence[dict[str, str]], target: str, column: str
) -> tuple[float, float]:
    if score == "accuracy":
        known = [row for row in rows if row[target] and row.get(column)]
        return bootstrap_interval([row[target] == row[column] for row in known])
    labels, found = _numbers(rows, target), _numbers(rows, column)
    there = np.isfinite(labels) & np.isfinite(found)
    y, p = labels[there], found[there]
    if score == "rmse":
        low, high = np.sqrt(bootstrap_interval((y - p) ** 2))
        return float(low), float(high)
    if len(set(y.tolist())) < 2:
        return float("nan"), float("nan")
    rng = np.random.default_rng(0)
    drawn = (rng.integers(0, len(y), len(y)) for _ in range(_N_RESAMPLED))
    areas = [roc_auc(y[i], p[i]) for i in drawn if 0 < y[i].sum() < len(y)]
    low, high = np.percentile(areas, [2.5, 97.5])
    return float(low), float(high)


def _uncertainty(run_dir: Path) -> Section:
    table = [
        (row["target"], f"{100 * float(row['level']):.0f} %",
         f"{100 * float(row['coverage']):.0f} %" if row["coverage"] not in MISSING else "n/a",
         f"{float(row['width']):.3g}" if np.isfinite(float(row["width"])) else "unbounded")
        for row in _rows(run_dir / "coverage.csv")
    ]  # fmt: skip
    text = (
        "Intervals are as wide as the errors on the validation part say; this is how often they "
        "hold the labels of the test part."
        if table
        else "Probabilities against how often the class was found, in tenths of the test part."
    )
    head = ("target", "promised", "found", "mean width")
    pictures = {"Calibration, test part": run_dir / "calibration.png"}
    return Section("How sure the predictions are", text, head, table, pictures)


def _scaffolds(run_dir: Path) -> Section:
    rows = _rows(run_dir / "errors_by_scaffold.csv")
    columns = [name for name in rows[0] if name.endswith("_mae")]
    table = [
        (row["scaffold"] or "no ring", row["n_molecules"], *(_shown(row[c]) for c in columns))
        for row in rows[:_MOST_ROWS]
    ]
    text = (
        "Mean absolute error over the molecules that share rings and linkers (Bemis-Murcko), the "
        f"{len(table)} most frequent of {len(rows)}; errors_by_scaffold.csv has all of them."
    )
    head = ("scaffold", "molecules", *(name.removesuffix("_mae") for name in columns))
    pictures = {"Errors by scaffold, test part": run_dir / "scaffolds.png"}
    return Section("Errors by scaffold", text, head, table, pictures)


def _worst(run_dir: Path) -> Section:
    rows = _rows(run_dir / "predictions.csv")
    targets = list(dict.fromkeys(row["target"] for row in _rows(run_dir / "metrics.csv")))
    worst = []
    for target in targets:
        errors = _errors(rows, target)
        worst += [(errors[i], i, target) for i in np.flatnonzero(np.isfinite(errors)).tolist()]
    worst = sorted(worst, reverse=True)[:_MOST_ROWS]
    table = [
        (rows[i]["row"], rows[i]["smiles"], target, rows[i][target], rows[i][f"{target}_predicted"])
        for _, i, target in worst
    ]  # fmt: skip
    text = "Look here for mistakes in the table, and for chemistry that the training part lacks."
    head = ("row", "molecule", "target", "measured", "predicted")
    return Section("Largest errors of the test part", text, head, table)


def _errors(rows: Sequence[dict[str, str]], target: str) -> Floats:
    """How far each prediction is off, of classes with names by the probability of the true one."""
    classes = any(name.startswith(f"{target}_p_") for name in rows[0])
    if not classes:
        return np.abs(_numbers(rows, target) - _numbers(rows, f"{target}_predicted"))
    return np.array([1 - float(row.get(f"{target}_p_{row[target]}") or "nan") for row in rows])


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _numbers(rows: Sequence[dict[str, str]], column: str) -> Floats:
    return np.array([float(row.get(column) or "nan") for row in rows])


def _shown(text: str) -> str:
    return f"{float(text):.4g}" if text and text not in MISSING else "n/a"
