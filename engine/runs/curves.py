"""The charts of a run: loss, learning rate and metrics over its steps, with its knobs marked."""

import math
from collections.abc import Sequence
from typing import Any

from fieldgrad.engine.charts import Curve, chart
from fieldgrad.engine.train.run import Change

__all__ = ["run_charts", "spoken"]

_NO_METRIC = ("kind", "step", "epoch", "seconds", "lr", "loss", "train_loss", "valid_loss")
_WRITTEN = {word.lower(): word for word in ("AUC", "MAE", "RMSE", "ROC", "meV")}


def run_charts(
    rows: Sequence[dict[str, Any]],
    changes: Sequence[Change],
    sizes: tuple[tuple[int, int], tuple[int, int]] = ((1000, 380), (560, 290)),
) -> dict[str, str]:
    """Draw the curves of a run.

    Parameters
    ----------
    rows : sequence of dict
        The run's log, as `Run.log` gives it.
    changes : sequence of Change
        Its knob history, marked in the charts.
    sizes : pair of pairs of int
        Width and height of the loss's chart and of the others.

    Returns
    -------
    dict of str to str
        SVG images by title: "Loss", "Learning rate", and one for each family of metrics (those
        that share the first word of their name; a single one has all of it).

    Examples
    --------
    >>> rows = [{"kind": "steps", "step": s, "loss": 1 / s, "lr": 0.1} for s in (1, 2, 3)]
    >>> list(run_charts(rows, []))
    ['Loss', 'Learning rate']
    """
    steps = [row for row in rows if row["kind"] == "steps"]
    checks = [row for row in rows if row["kind"] in ("epoch", "validation")]
    marks = [(float(c.step), _text(c)) for c in changes]
    charts = {"Loss": _draw("Loss", _losses(steps, checks), marks, sizes[0])}
    if steps:
        rate = [_curve("rate", steps, "lr")]
        charts["Learning rate"] = _draw("Learning rate", rate, marks, sizes[1])
    families: dict[str, list[str]] = {}
    for name in dict.fromkeys(key for row in checks for key in row if key not in _NO_METRIC):
        families.setdefault(name.partition("_")[0], []).append(name)
    for family, names in families.items():
        title = spoken(family if names[1:] else names[0])
        title = title[0].upper() + title[1:]
        curves = [_curve(name, checks, name) for name in names[:8]]
        charts[title] = _draw(title, curves, marks, sizes[1])
    return charts


def spoken(name: str) -> str:
    """Write the name of a metric as people do.

    Parameters
    ----------
    name : str
        As in the log.

    Returns
    -------
    str
        For a page.

    Examples
    --------
    >>> spoken("force_mae_mev")
    'force MAE meV'
    """
    return " ".join(_WRITTEN.get(word, word) for word in name.split("_"))


def _losses(steps: Sequence[dict[str, Any]], checks: Sequence[dict[str, Any]]) -> list[Curve]:
    """Draw the loss of steps, its running mean, and that of validations."""
    raw = _curve("steps", steps, "loss", faint=True)
    mean, weight, smooth = 0.0, 0.0, []
    share = 1 - math.exp(-1 / max(len(raw.y) / 60, 1))  # over a sixtieth of the run
    for value in raw.y:
        mean, weight = mean + share * (value - mean), weight + share * (1 - weight)
        smooth.append(mean / weight)
    curves = [Curve("train", raw.x, smooth), _curve("valid", checks), raw]
    if not raw.x:
        curves[0] = _curve("train", checks)
    return [curve for curve in curves if len(curve.x)]


def _curve(
    name: str, rows: Sequence[dict[str, Any]], key: str = "", *, faint: bool = False
) -> Curve:
    key = key or f"{name}_loss"
    points = [(row["step"], row[key]) for row in rows if row.get(key) is not None]
    shown = name.partition("_")[2] or name if key == name else name
    dots = len(points) <= 40 and key not in ("loss", "lr")
    return Curve(shown, [x for x, _ in points], [y for _, y in points], faint=faint, dots=dots)


def _draw(
    title: str,
    curves: Sequence[Curve],
    marks: Sequence[tuple[float, str]],
    size: tuple[int, int],
) -> str:
    values = [y for curve in curves for y in curve.y]
    log = title == "Loss" and bool(values) and min(values) > 0 and max(values) > 30 * min(values)
    return chart(curves, title=title, marks=marks, log_y=log, width=size[0], height=size[1])


def _text(change: Change) -> str:
    return change.knob if change.value is None else f"{change.knob} {change.value:g}"
