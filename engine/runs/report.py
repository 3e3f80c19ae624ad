"""The report of a run: one HTML page that needs no network and can be mailed to a colleague."""

import base64
import html
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fieldgrad.engine import recipe
from fieldgrad.engine.errors import FieldgradError, FileError
from fieldgrad.engine.field import Field, find_field, import_object
from fieldgrad.engine.files import atomic_write
from fieldgrad.engine.runs.curves import run_charts, spoken
from fieldgrad.engine.runs.listing import clock
from fieldgrad.engine.train.logs import picture_files
from fieldgrad.engine.train.run import Run

__all__ = ["Section", "bootstrap_interval", "report_page", "write_report"]

_STYLE = Path(__file__).with_name("report.css")


@dataclass(frozen=True)
class Section:
    """A part of the report that a field contributes.

    Parameters
    ----------
    title : str
        Its heading.
    text : str, optional
        A paragraph that explains it to someone of the field.
    columns : sequence of str, optional
        Headings of a table.
    rows : sequence of sequence of str, optional
        Its rows.
    pictures : mapping of str to Path, optional
        Image files (PNG or SVG) by their captions; those that are not there are left out.
    """

    title: str
    text: str = ""
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    pictures: Mapping[str, Path] | None = None


def bootstrap_interval(
    values: ArrayLike, *, level: float = 0.95, n_samples: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Confidence interval of a mean by the percentiles of resampled means.

    Parameters
    ----------
    values : array_like, shape (n,)
        One value for each independent unit (case, event, molecule); NaN is left out.
    level : float, default 0.95
        Part of the resampled means inside.
    n_samples : int, default 10000
        Number of resamplings.
    seed : int, default 0
        Seed of the resampling.

    Returns
    -------
    low, high : float
        The interval; NaN if there are fewer than two values.

    References
    ----------
    Efron, Tibshirani, "An introduction to the bootstrap", Chapman & Hall 1993, chapter 13.

    Examples
    --------
    >>> low, high = bootstrap_interval([1.0, 2.0, 3.0, 4.0])
    >>> low < 2.5 < high
    True
    """
    known = np.asarray(values, np.float64).ravel()
    known = known[~np.isnan(known)]
    if len(known) < 2:
        return float("nan"), float("nan")
    rng, n = np.random.default_rng(seed), len(known)
    rows = [min(100, n_samples - start) for start in range(0, n_samples, 100)]
    means = np.concatenate([known[rng.integers(0, n, (k, n))].mean(axis=1) for k in rows])
    low, high = np.percentile(means, [50 * (1 - level), 50 * (1 + level)])
    return float(low), float(high)


def write_report(folder: Path, path: Path | None = None) -> Path:
    """Write the report of a run.

    Parameters
    ----------
    folder : Path
        The run's folder.
    path : Path, optional
        The HTML file; ``report.html`` in that folder by default.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    FileError
        If the folder holds no run, or the file cannot be written.
    """
    target = path or folder / "report.html"
    page = report_page(folder)
    with atomic_write(target) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return target


def report_page(folder: Path) -> str:
    """Make the report of a run as one page.

    Parameters
    ----------
    folder : Path
        The run's folder.

    Returns
    -------
    str
        HTML with everything inside: style, charts, pictures.

    Raises
    ------
    FileError
        If the folder holds no run.
    """
    run = Run(folder)
    status, (rows, _), changes = run.status(), run.log(), run.changes()
    source = folder / "recipe.toml"
    if not status and not source.exists():
        raise FileError(f"{folder} holds no run (no run.json, no recipe.toml).", folder)
    field, summary = _field(source, status)
    text = source.read_text(encoding="utf-8") if source.exists() else ""
    sections = _field_sections(field, folder)
    charts = run_charts(rows, changes, ((820, 330), (820, 240))) if rows else {}
    parts = [
        _heading(folder, status, summary),
        _facts(status),
        *(_section(section) for section in sections),
        _pictures({p.stem.replace("-", " "): p for p in picture_files(folder)}),
        "<section><h2>Training</h2>" + _training_text(status),
        "".join(f"<figure>{svg}</figure>" for svg in charts.values()),
        "</section>",
        _section(_knob_history(changes, status)),
        _section(_machine(status)),
        f"<section><h2>Recipe</h2><p>Run it again with <code>fieldgrad run "
        f"{html.escape(str(source))}</code>, or with the knob history above: <code>fieldgrad "
        f"replay {html.escape(str(folder))}</code>.</p><pre>{html.escape(text)}</pre></section>"
        if text
        else "",
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        'content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>{html.escape(folder.resolve().name)}: report</title>"
        f"<style>{_STYLE.read_text(encoding='utf-8')}</style></head><body><main>"
        + "".join(parts)
        + "</main></body></html>\n"
    )


def _field(source: Path, status: Mapping[str, Any]) -> tuple[Field | None, str]:
    """Give the run's field and summary, from its recipe or else from the learner that trained."""
    try:
        if source.exists():
            loaded = recipe.load(str(source))
            return loaded.field, loaded.summary
        return (find_field(status["field"]), "") if status.get("field") else (None, "")
    except FieldgradError:  # of a field that is not installed here; the report does without it
        return None, ""


def _field_sections(field: Field | None, folder: Path) -> list[Section]:
    if field is None or not field.report:
        return []
    found: list[Section] = import_object(field.report, extra=field.extra)(folder)
    return found


def _heading(folder: Path, status: Mapping[str, Any], summary: str) -> str:
    state = str(status.get("state", "unknown"))
    when = time.strftime("%d %B %Y, %H:%M", time.localtime(status.get("started", 0)))
    return (
        f"<header><p class=kicker>fieldgrad report</p><h1>{html.escape(folder.resolve().name)}</h1>"
        f"<p>{html.escape(summary)}</p><p class=soft><span class='state {state}'>{state}</span> "
        f"{html.escape(str(status.get('reason') or ''))} begun {when}</p></header>"
    )


def _facts(status: Mapping[str, Any]) -> str:
    row = status.get("best") or status.get("last") or {}
    shown = [("training", clock(float(status.get("seconds") or 0)))]
    shown += [("steps", f"{status.get('step', 0):,}"), ("epochs", f"{status.get('epoch', 0):,}")]
    if status.get("n_parameters"):
        shown.append(("weights", f"{status['n_parameters']:,}"))
    skipped = ("epoch", "step", "seconds", "lr")
    numbers = [(k, v) for k, v in row.items() if k not in skipped and v is not None]
    shown += [(spoken(name), f"{value:.4g}") for name, value in numbers[:4]]
    cells = "".join(f"<div><b>{value}</b><span>{name}</span></div>" for name, value in shown)
    return f"<div class=facts>{cells}</div>"


def _training_text(status: Mapping[str, Any]) -> str:
    best = status.get("best") or {}
    text = f"Budget: {html.escape(str(status.get('budget', '')))}. "
    if best:
        text += (
            f"The lowest validation loss, {best['valid_loss']:.4g}, was in epoch "
            f"{best['epoch']:g} (<code>best.safetensors</code>). "
        )
    return f"<p>{text}Dashed lines in the charts are knobs that were turned.</p>"


def _knob_history(changes: Sequence[Any], status: Mapping[str, Any]) -> Section:
    if not changes:
        return Section("Knob history", "Nothing was turned while the run trained.")
    rows = [
        (str(c.step), clock(c.seconds), str(c), "at the " + c.source if c.source else "")
        for c in changes
    ]
    text = "What was turned while the run trained; it took effect after the step given."
    return Section("Knob history", text, ("step", "time", "what", "where"), rows)


def _machine(status: Mapping[str, Any]) -> Section:
    rows = [(name.replace("_", " "), str(v)) for name, v in status.get("machine", {}).items()]
    rows += [(name, str(version)) for name, version in status.get("versions", {}).items()]
    return Section("Machine and versions", "", (), rows)


def _section(section: Section) -> str:
    parts = [f"<section><h2>{html.escape(section.title)}</h2>"]
    if section.text:
        parts.append(f"<p>{html.escape(section.text)}</p>")
    if section.rows:
        head = "".join(f"<th>{html.escape(name)}</th>" for name in section.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in section.rows
        )
        parts.append(f"<table>{f'<tr>{head}</tr>' if head else ''}{body}</table>")
    files = section.pictures or {}
    figures = [_figure(caption, path) for caption, path in files.items() if path.exists()]
    if figures:
        parts.append(f"<div class=pictures>{''.join(figures)}</div>")
    return "".join([*parts, "</section>"])


def _pictures(files: Mapping[str, Path]) -> str:
    if not files:
        return ""
    text = "As the model predicted at its last epoch, while it trained."
    return _section(Section("Predictions", text, pictures=files))


def _figure(caption: str, path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    kind = "svg+xml" if path.suffix == ".svg" else "png"
    return (
        f'<figure><img alt="{html.escape(caption)}" src="data:image/{kind};base64,{data}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def read_data_record(folder: Path) -> dict[str, Any]:
    """Read ``data.json``, in which a run keeps checksum and division of its data.

    Parameters
    ----------
    folder : Path
        The run's folder.

    Returns
    -------
    dict
        Its content; empty without that file.
    """
    path = folder / "data.json"
    found: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return found
