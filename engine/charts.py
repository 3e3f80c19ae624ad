"""Line charts as SVG text: curves of a run, for notebooks, reports and the live page.

No library and no network is needed to draw or to show them. Colors come from the page's style
sheet where it defines them (``--ink``, ``--c0`` … ``--c7``), so that one chart suits a dark page
and a printed one.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

__all__ = ["Curve", "chart"]

# Distinct in hue and lightness, also to most color-blind readers (after Okabe and Ito, 2008).
COLORS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#7f7f7f",
)  # fmt: skip
# More points than this are averaged in buckets: the eye sees no more, a browser draws no faster.
_MOST_POINTS = 600
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 14, 26, 40


@dataclass(frozen=True)
class Curve:
    """One line of a chart.

    Parameters
    ----------
    name : str
        What it shows, for the legend.
    x, y : sequence of float
        Its points; those that are not finite are left out.
    faint : bool, default False
        Draw it thin and pale, behind the others, in the color of the first and not named.
    dots : bool, default False
        Mark each point.
    lines : bool, default True
        Join the points.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    faint: bool = False
    dots: bool = False
    lines: bool = True


def chart(
    curves: Sequence[Curve],
    *,
    x_label: str = "step",
    y_label: str = "",
    title: str = "",
    log_x: bool = False,
    log_y: bool = False,
    marks: Sequence[tuple[float, str]] = (),
    x_names: Sequence[str] = (),
    width: int = 640,
    height: int = 300,
) -> str:
    """Draw curves.

    Parameters
    ----------
    curves : sequence of Curve
        At most eight have colors of their own.
    x_label, y_label, title : str, optional
        Texts.
    log_x, log_y : bool, default False
        Logarithmic axes; points that are not positive are left out.
    marks : sequence of (float, str), optional
        Vertical lines: where, and what is written beside each.
    x_names : sequence of str, optional
        What stands at x = 0, 1, …, where x counts things instead of measuring.
    width, height : int, default 640 and 300
        Size in units of the image, which scales with its surroundings.

    Returns
    -------
    str
        An SVG element.

    Examples
    --------
    >>> svg = chart([Curve("loss", [0, 1, 2], [3.0, 2.0, 1.5])], title="training")
    >>> svg.startswith("<svg"), "polyline" in svg, "training" in svg
    (True, True, True)
    """
    points = [(curve, *_points(curve, log_x, log_y)) for curve in curves]
    xs = np.concatenate([x for _, x, _ in points] or [np.zeros(0)])
    ys = np.concatenate([y for _, _, y in points] or [np.zeros(0)])
    if x_names:
        xs = np.array([-0.5, len(x_names) - 0.5])
    dots = any(not curve.lines for curve in curves) and not x_names
    low_x, high_x, to_x = _axis(xs, log_x, _LEFT, width - _RIGHT, pad=0.03 * dots)
    low_y, high_y, to_y = _axis(ys, log_y, height - _BOTTOM, _TOP, pad=0.06)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" class="chart" '
        'role="img" font-family="system-ui, sans-serif" font-size="11" '
        f'style="color:var(--ink,#222)"><title>{escape(title or y_label)}</title>'
    ]
    for value, text in _ticks(low_y, high_y, log_y):
        up = to_y(value)
        parts.append(
            f'<line x1="{_LEFT}" x2="{width - _RIGHT}" y1="{up:.1f}" y2="{up:.1f}" '
            f'stroke="currentColor" opacity=".13"/><text x="{_LEFT - 7}" y="{up + 4:.1f}" '
            f'text-anchor="end" fill="currentColor" opacity=".75">{text}</text>'
        )
    named = [(float(k), escape(name)) for k, name in enumerate(x_names)]
    for value, text in named or _ticks(low_x, high_x, log_x):
        at = to_x(value)
        parts.append(
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{height - _BOTTOM}" '
            f'y2="{height - _BOTTOM + 4}" stroke="currentColor" opacity=".5"/>'
            f'<text x="{at:.1f}" y="{height - _BOTTOM + 17}" '
            f'text-anchor="middle" fill="currentColor" opacity=".75">{text}</text>'
        )
    parts += _marks(marks, low_x, high_x, to_x, log_x, width, height)
    for k, (curve, x, y) in sorted(enumerate(points), key=lambda entry: not entry[1][0].faint):
        color = _color(0 if curve.faint else k)
        parts += _line(curve, [to_x(v) for v in x], [to_y(v) for v in y], color)
    parts += _texts(curves, title, x_label, y_label, width, height)
    return "".join([*parts, "</svg>"])


def _points(
    curve: Curve, log_x: bool, log_y: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the points that can be drawn, averaged where there are too many."""
    x, y = np.asarray(curve.x, np.float64), np.asarray(curve.y, np.float64)
    good = np.isfinite(x) & np.isfinite(y) & ((x > 0) | (not log_x)) & ((y > 0) | (not log_y))
    x, y = x[good], y[good]
    if len(x) > _MOST_POINTS and curve.lines:
        parts = np.array_split(np.arange(len(x)), _MOST_POINTS)
        x = np.array([x[part].mean() for part in parts])
        y = np.array([y[part].mean() for part in parts])
    return x, y


def _axis(
    values: NDArray[np.float64], log: bool, start: float, end: float, pad: float
) -> tuple[float, float, Callable[[float], float]]:
    """Choose the range of an axis, and how its values become positions."""
    if not len(values):
        values = np.array([0.1, 1.0])
    scaled = np.log10(values) if log else values
    low, high = float(scaled.min()), float(scaled.max())
    if low == high:
        spread = abs(low) * 0.1 or 0.5
        low, high = low - spread, high + spread
    low, high = low - pad * (high - low), high + pad * (high - low)

    def place(value: float) -> float:
        at = math.log10(value) if log else value
        return start + (at - low) / (high - low) * (end - start)

    return (10**low, 10**high, place) if log else (low, high, place)


def _ticks(low: float, high: float, log: bool) -> list[tuple[float, str]]:
    """Give round values between two, with their texts."""
    if log:
        powers = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
        steps = (1, 2, 5) if len(powers) < 3 else (1,)
        stride = max(len(powers) // 7, 1)
        first = math.floor(math.log10(low))
        values = [m * 10.0**p for p in range(first, first + len(powers) + 2, stride) for m in steps]
        return [(v, f"{v:g}") for v in values if low <= v <= high]
    step = 10 ** math.floor(math.log10((high - low) / 4))
    step *= next((m for m in (1, 2, 5, 10) if (high - low) / (m * step) <= 6), 10)
    values = [k * step for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
    digits = max(0, -math.floor(math.log10(step)))
    return [(v, f"{v:,.{digits}f}" if abs(v) < 1e6 and digits < 6 else f"{v:.3g}") for v in values]


def _marks(
    marks: Sequence[tuple[float, str]],
    low: float,
    high: float,
    to_x: Callable[[float], float],
    log: bool,
    width: int,
    height: int,
) -> list[str]:
    parts = []
    inside = [(x, text) for x, text in marks if low <= x <= high and (x > 0 or not log)]
    for k, (value, text) in enumerate(inside):
        x = to_x(value)
        end = x > width * 0.75
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{height - _BOTTOM}" '
            'stroke="currentColor" stroke-dasharray="3 3" opacity=".55"/>'
            f'<text x="{x + (-5 if end else 5):.1f}" y="{_TOP + 11 + 13 * (k % 4)}" '
            f'text-anchor="{"end" if end else "start"}" fill="currentColor" opacity=".8" '
            f'font-size="10">{escape(text)}</text>'
        )
    return parts


def _line(curve: Curve, x: list[float], y: list[float], color: str) -> list[str]:
    parts = []
    if curve.lines and len(x) > 1:
        where = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        width, opacity = (1.0, 0.35) if curve.faint else (2.0, 1.0)
        parts.append(
            f'<polyline points="{where}" fill="none" stroke="{color}" stroke-width="{width}" '
            f'stroke-linejoin="round" opacity="{opacity}"/>'
        )
    if curve.dots or len(x) == 1:
        parts += [
            f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{color}"/>'
            for a, b in zip(x, y, strict=True)
        ]
    return parts


def _texts(
    curves: Sequence[Curve], title: str, x_label: str, y_label: str, width: int, height: int
) -> list[str]:
    middle = (_TOP + height - _BOTTOM) / 2
    parts = [
        f'<text x="{(_LEFT + width - _RIGHT) / 2}" y="{height - 6}" text-anchor="middle" '
        f'fill="currentColor">{escape(x_label)}</text>',
        f'<text x="13" y="{middle}" text-anchor="middle" fill="currentColor" '
        f'transform="rotate(-90 13 {middle})">{escape(y_label)}</text>',
        f'<text x="{_LEFT}" y="15" font-size="13" font-weight="600" fill="currentColor">'
        f"{escape(title)}</text>",
    ]
    x = width - _RIGHT
    named = [(k, curve) for k, curve in enumerate(curves) if curve.name and not curve.faint]
    shown = named if len(curves) > 1 else []
    for k, curve in reversed(shown):
        parts.append(
            f'<text x="{x}" y="15" text-anchor="end" fill="{_color(k)}" font-weight="600">'
            f"{escape(curve.name)}</text>"
        )
        x -= 7 * len(curve.name) + 14
    return parts


def _color(k: int) -> str:
    return f"var(--c{k % len(COLORS)},{COLORS[k % len(COLORS)]})"
