"""What a run of this field shows of itself in its report: data, figures with intervals, plots."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fieldgrad.engine.runs.report import Section, read_data_record

__all__ = ["report_sections"]

SIGMAS = 1.96  # of a 95 % interval of a normal distribution


def report_sections(run_dir: Path) -> list[Section]:
    """Give this field's parts of the report of a run.

    Parameters
    ----------
    run_dir : Path
        The run's folder.

    Returns
    -------
    list of Section
        Data; figures of a tagger with intervals and its plots, or those of an estimate.
    """
    sections = []
    record = read_data_record(run_dir)
    if record:
        sections += _data(record)
    metrics, response = run_dir / "metrics.json", run_dir / "response.json"
    if metrics.exists():
        sections += _tagging(json.loads(metrics.read_text("utf-8")), run_dir)
    if response.exists():
        sections += _estimates(json.loads(response.read_text("utf-8")), run_dir)
    return sections


def _data(record: Mapping[str, Any]) -> list[Section]:
    uses = {"train": "train on", "valid": "watch", "test": "test"}
    held = [f"{record[name]:,} to {use}" for name, use in uses.items() if name in record]
    text = f"Jets: {', '.join(held)}. "
    if record.get("streamed"):
        text += (
            "They were read from their files anew in each epoch; the constants of the inputs, the "
            f"weights of a reweighting and the trees come from a sample of {record['sample']:,} "
            "training jets, which the table counts. "
        )
    if record.get("files"):
        text += f"Files: {record['files']}, with the fingerprint {record['sha256'][:16]}…. "
    if record.get("skipped"):
        names = ", ".join(Path(name).name for name in list(record["skipped"])[:8])
        text += f"Damaged and left out: {len(record['skipped'])} ({names}). "
    rows = [
        (row["name"], f"{row['jets']:,}", f"{row['weight']:,.1f}", f"{row['negative']:,}")
        for row in record.get("classes", ())
    ]
    head = ("class", "training jets", "sum of weights", "negative weights")
    return [Section("Data", text.strip(), head, rows)]


def _tagging(found: Mapping[str, Any], run_dir: Path) -> list[Section]:
    rows = []
    for row in found["taggers"]:
        rows.append(
            (
                f"{row['tagger']}: {row['signal']}",
                _with_interval(row["auc"], row["auc_error"], 4),
                *(
                    _with_interval(row[f"rejection_{k}"], row[f"rejection_{k}_error"], 0)
                    for k in (50, 30)
                ),
                _number(row.get("jsd_50"), 3),
            )
        )
    text = (
        "Area under the ROC curve, and background rejection 1/ε_B at signal efficiencies of 50 "
        "and 30 %, on jets that were not trained on, with 95 % intervals of the statistical "
        "errors. JSD compares the mass spectra of the background on both sides of the cut at "
        "50 %: 0 bits if they are equal, 1 if they have nothing in common."
    )
    if found.get("cuts"):
        cuts = found["cuts"]
        text += (
            f" The cuts {cuts['name']} reach 1/ε_B {_number(cuts['rejection'], 0)} at a signal "
            f"efficiency of {cuts['efficiency']:.2f}."
        )
    head = ("tagger", "AUC", "1/ε_B at 50 %", "1/ε_B at 30 %", "JSD (bits)")
    names = [row["signal"] for row in found["taggers"]]
    tails = {"": ""} | {f"_{name}": f" ({name})" for name in dict.fromkeys(names)}
    pictures = {
        f"{caption}{tail}": run_dir / f"{stem}{key}.png"
        for stem, caption in (
            ("roc", "Background rejection over signal efficiency"),
            ("mass", "Mass of the background that passes a cut"),
            ("decorrelation", "Likeness of the masses over rejection"),
        )
        for key, tail in tails.items()
    }
    own = {
        "Scores by class": run_dir / "scores.png",
        "Are the probabilities right": run_dir / "reliability.png",
    }
    return [
        Section("Figures on the test jets", text, head, rows),
        Section("Curves", "", pictures=pictures | own),
    ]


def _estimates(found: Mapping[str, Any], run_dir: Path) -> list[Section]:
    rows = [
        (
            row["estimate"],
            *(_with_interval(row[k], row[f"{k}_error"], n)
              for k, n in (("mae", 2), ("response", 4), ("resolution", 4))),
            _number(row.get("coverage"), 3),
        )
        for row in found["estimates"]
    ]  # fmt: skip
    target = found["estimates"][0]["target"]
    text = (
        f"Estimates of {target} for jets that were not trained on, with 95 % intervals from the "
        "bootstrap. The response is predicted over true; its median says how biased an estimate "
        "is, half the width of its central 68 % over the median how well it resolves."
    )
    if found.get("expected_coverage"):
        text += (
            f" Of the true values {found['expected_coverage']:g} should lie between the outer "
            "quantiles (coverage)."
        )
    head = ("estimate", "mean |error|", "median response", "resolution", "coverage")
    pictures = {
        "Predicted over true": run_dir / "response.png",
        "Response and resolution over pt": run_dir / "resolution.png",
    }
    return [Section(f"Response of {target}", text, head, rows, pictures)]


def _with_interval(value: Any, error: Any, digits: int) -> str:
    """A number and its interval; figures that are not finite are text in the files."""
    value, error = float(value), float(error)
    if not np.isfinite([value, error]).all():
        return "∞" if value > 0 else "n/a"
    low, high = value - SIGMAS * error, value + SIGMAS * error
    return f"{value:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


def _number(value: Any, digits: int) -> str:
    if value is None or not np.isfinite(float(value)):
        return ""
    return f"{float(value):,.{digits}f}"
