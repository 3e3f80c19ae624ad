"""The charts of a run: loss, learning rate and metrics over its steps, with its knobs marked."""

from collections.abc import Sequence
from typing import Any

from fieldgrad.engine.charts import Curve, chart
from fieldgrad.engine.train.run import Change

__all__ = ["run_charts"]

_NO_METRIC = ("kind", "step", "epoch", "seconds", "lr", "loss", "train_loss", "valid_loss")


def run_charts(rows: Sequence[dict[str, Any]], changes: Sequence[Change]) -> dict[str, str]:
    """Draw the curves of a run.

    Parameters
    ----------
    rows : sequence of dict
        The run's log, as `Run.log` gives it.
    changes : sequence of Change
        Its knob history, marked in the charts.

    Returns
    -------
    dict of str to str
        SVG images by title: "Loss", "Learning rate", and one for each family of metrics (those
        that share the first word of their name).

    Examples
    --------
    >>> rows = [{"kind": "steps", "step": s, "loss": 1 / s, "lr": 0.1} for s in (1, 2, 3)]
    >>> list(run_charts(rows, []))
    ['Loss', 'Learning rate']
    """
    steps = [row for row in rows if row["kind"] == "steps"]
    epochs = [row for row in rows if row["kind"] == "epoch"]
    checks = [row for row in rows if row["kind"] in ("epoch", "validation")]
    marks = [(float(c.step), _text(c)) for c in changes]
    loss = [_curve("steps", steps, "loss", faint=bool(epochs)), _curve("train", epochs)]
    loss.append(_curve("valid", checks))
    charts = {"Loss": _draw("Loss", [c for c in loss if len(c.x)], marks)}
    if steps:
        charts["Learning rate"] = _draw("Learning rate", [_curve("rate", steps, "lr")], marks)
    families: dict[str, list[str]] = {}
    for name in dict.fromkeys(key for row in checks for key in row if key not in _NO_METRIC):
        families.setdefault(name.partition("_")[0], []).append(name)
    for family, names in families.items():
        title = family.replace("_", " ").capitalize()
        curves = [_curve(name, checks, name) for name in names[:8]]
        charts[title] = _draw(title, curves, marks)
    return charts


def _curve(
    name: str, rows: Sequence[dict[str, Any]], key: str = "", *, faint: bool = False
) -> Curve:
    key = key or f"{name}_loss"
    points = [(row["step"], row[key]) for row in rows if row.get(key) is not None]
    shown = name.partition("_")[2] or name if key == name else name
    dots = len(points) <= 40 and key not in ("loss", "lr")
    return Curve(shown, [x for x, _ in points], [y for _, y in points], faint=faint, dots=dots)


def _draw(title: str, curves: Sequence[Curve], marks: Sequence[tuple[float, str]]) -> str:
    values = [y for curve in curves for y in curve.y]
    wide = bool(values) and min(values) > 0 and max(values) > 30 * min(values)
    return chart(curves, title=title, marks=marks, log_y=wide and title == "Loss")


def _text(change: Change) -> str:
    return change.knob if change.value is None else f"{change.knob} {change.value:g}"
