"""Pictures: a segmentation over its image in three planes, and training curves."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine.errors import DataError, require
from fieldgrad.engine.files import atomic_write
from fieldgrad.neuro.images.image import Image

__all__ = ["LABEL_COLORS", "overlay_png", "plot_curves", "plot_overlay"]

# Distinct in hue and lightness, also to most color-blind readers (after Okabe and Ito, 2008).
LABEL_COLORS = (
    "#56b4e9",
    "#e69f00",
    "#009e73",
    "#cc79a7",
    "#f0e442",
    "#d55e00",
    "#0072b2",
    "#a6d854",
    "#b15928",
    "#cab2d6",
)
_BACKGROUND, _FOREGROUND = "#101216", "#d8dce3"
_TEXT = {"color": _FOREGROUND, "fontsize": 9}
_SIDES = (("left", "right"), ("posterior", "anterior"), ("inferior", "superior"))
_DPI = 110
_LEGEND_COLUMNS = 6


def plot_overlay(
    image: Image,
    labels: Image,
    path: str | os.PathLike[str],
    *,
    title: str = "",
    opacity: float = 0.4,
    radiological: bool = False,
) -> None:
    """Draw a segmentation over its image in axial, coronal and sagittal planes.

    The planes go through the center of mass of the labels, or through the middle of the image
    when there are none. Above each segmentation stands the image alone.

    Parameters
    ----------
    image : Image
        Intensities.
    labels : Image
        Label map on the same grid (it may be oriented differently).
    path : path-like
        The .png file; it appears complete or not at all.
    title : str, default ""
        Line above the picture.
    opacity : float, default 0.4
        Opacity of the labels, from 0 to 1; borders are always drawn.
    radiological : bool, default False
        Put the subject's left on the right side of the picture, as radiologists do; otherwise left
        is left (neurological). The sides are lettered.

    Raises
    ------
    MissingExtra
        If matplotlib is not installed.
    DataError
        If the two are not on one grid.
    FileError
        If the file cannot be written.
    """
    png = overlay_png(image, labels, title=title, opacity=opacity, radiological=radiological)
    with atomic_write(path) as temporary:
        temporary.write_bytes(png)


def overlay_png(
    image: Image,
    labels: Image,
    *,
    title: str = "",
    opacity: float = 0.4,
    radiological: bool = False,
) -> bytes:
    """Draw what `plot_overlay` writes.

    Parameters
    ----------
    image, labels : Image
        As for `plot_overlay`.
    title : str, default ""
        As for `plot_overlay`.
    opacity : float, default 0.4
        As for `plot_overlay`.
    radiological : bool, default False
        As for `plot_overlay`.

    Returns
    -------
    bytes
        A PNG file.

    Raises
    ------
    MissingExtra, DataError
        As `plot_overlay`.
    """
    require("matplotlib", extra="neuro")
    from matplotlib.patches import Patch

    image, labels = image.to_canonical(), labels.to_canonical()
    if not image.same_grid(labels):
        raise DataError(
            f"{labels.name} ({labels!r}) and {image.name} ({image!r}) are not on one grid.\n"
            "Resample the labels onto the image first: neuro.resample.resample_labels_onto."
        )
    names = labels.labels or {}
    order = sorted({*names, *np.unique(labels.data).tolist()} - {0})
    colors = {k: LABEL_COLORS[i % len(LABEL_COLORS)] for i, k in enumerate(order)}
    center = _center(labels.data)
    low, high = np.percentile(image.data, [1, 99.8])
    n_legend_rows = -(-len(order) // _LEGEND_COLUMNS)
    figure, panels = _layout(image, bool(title), n_legend_rows)
    for row, axes in enumerate(panels):
        for plane, panel in enumerate(axes):
            normal = 2 - plane  # axial, coronal, sagittal cut array axis 2, 1, 0
            values = _cut(image.data, normal, center)
            extent = _extent(image, normal)
            panel.imshow(values, cmap="gray", vmin=low, vmax=high, extent=extent, origin="lower")
            if row == 1:
                _paint(panel, _cut(labels.data, normal, center), colors, extent, opacity)
            _letter(panel, normal, radiological)
            if row == 0:
                place = round(_world(image, center)[normal])
                side = _SIDES[normal][place >= 0]
                name = ("axial", "coronal", "sagittal")[plane]
                panel.set_title(f"{name}, {abs(place)} mm {side}", **_TEXT)
    convention = "left is right (radiological)" if radiological else "left is left (neurological)"
    figure.text(0.012, 0.012, convention, **_TEXT | {"fontsize": 7})
    handles = [Patch(color=colors[k], label=names.get(k, f"label {k}")) for k in order]
    if handles:
        figure.legend(
            handles=handles,
            loc="lower center",
            ncols=min(len(handles), _LEGEND_COLUMNS),
            frameon=False,
            labelcolor=_FOREGROUND,
            fontsize=9,
            handlelength=1,
            handleheight=1,
        )
    if title:
        figure.suptitle(title, color=_FOREGROUND, fontsize=12)
    return _png(figure)


def plot_curves(
    panels: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]],
    path: str | os.PathLike[str],
    *,
    x_label: str = "epoch",
    title: str = "",
) -> None:
    """Draw training curves, one panel per quantity.

    Parameters
    ----------
    panels : mapping of str to mapping of str to pair of sequences
        For each quantity ("loss", "Dice") its curves by name, each as (x, y); points whose y is
        NaN are left out. A quantity whose name contains "dice" is drawn from 0 to 1.
    path : path-like
        The .png file; it appears complete or not at all.
    x_label : str, default "epoch"
        What x is.
    title : str, default ""
        Line above the picture.

    Raises
    ------
    MissingExtra
        If matplotlib is not installed.
    DataError
        If there is no panel.
    FileError
        If the file cannot be written.
    """
    require("matplotlib", extra="neuro")
    from matplotlib.figure import Figure

    if not panels:
        raise DataError("plot_curves: there is nothing to draw; expected at least one panel.")
    figure = Figure(figsize=(5.2 * len(panels), 3.8), dpi=_DPI, layout="constrained")
    for panel, (quantity, curves) in zip(
        np.ravel(figure.subplots(1, len(panels))), panels.items(), strict=True
    ):
        for color, (name, (x, y)) in zip(cycle(LABEL_COLORS), curves.items(), strict=False):
            known = ~np.isnan(np.asarray(y, dtype=float))
            x, y = np.asarray(x)[known], np.asarray(y)[known]
            marker = "o" if len(x) <= 60 else None
            panel.plot(x, y, color=color, label=name, linewidth=1.8, marker=marker, markersize=3)
        panel.set(xlabel=x_label, ylabel=quantity)
        if "dice" in quantity.lower():
            panel.set_ylim(0, 1)
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
        if len(curves) > 1:
            panel.legend(frameon=False)
    if title:
        figure.suptitle(title)
    with atomic_write(path) as temporary:
        temporary.write_bytes(_png(figure))


def _layout(image: Image, has_title: bool, n_legend_rows: int) -> tuple[Any, list[list[Any]]]:
    """Make a figure with two rows of three panels, all on one millimetre scale."""
    from matplotlib.figure import Figure

    size = [n * s for n, s in zip(image.shape, image.spacing, strict=True)]
    widths, heights = (size[0], size[0], size[1]), (size[1], size[2], size[2])
    width, gap = 10.0, 0.12  # inches
    scale = (width - 4 * gap) / sum(widths)
    row = max(heights) * scale
    above, below = 0.3 + 0.35 * has_title, 0.12 + 0.24 * n_legend_rows
    height = 2 * row + gap + above + below
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor=_BACKGROUND)
    panels: list[list[Any]] = [[], []]
    for r, bottom in enumerate((below + row + gap, below)):
        left = gap
        for w, h in zip(widths, heights, strict=True):
            low = bottom + (row - h * scale) / 2
            panel = figure.add_axes(
                (left / width, low / height, w * scale / width, h * scale / height)
            )
            panel.set_axis_off()
            panels[r].append(panel)
            left += w * scale + gap
    return figure, panels


def _center(labels: NDArray[Any]) -> tuple[int, int, int]:
    """Find the labeled voxel nearest to the center of mass of the labels."""
    places = np.argwhere(labels != 0)
    if len(places) == 0:
        i, j, k = (n // 2 for n in labels.shape)
        return i, j, k
    nearest = ((places - places.mean(axis=0)) ** 2).sum(axis=1).argmin()
    i, j, k = places[nearest].tolist()
    return i, j, k


def _cut(data: NDArray[Any], normal: int, center: tuple[int, int, int]) -> NDArray[Any]:
    """Take a plane, first remaining array axis to the right and second upward."""
    plane: NDArray[Any] = data.take(center[normal], axis=normal).T
    return plane


def _extent(image: Image, normal: int) -> tuple[float, float, float, float]:
    right, up = (n * s for a, (n, s) in enumerate(zip(image.shape, image.spacing, strict=True))
                 if a != normal)  # fmt: skip
    return 0, right, 0, up


def _world(image: Image, voxel: tuple[int, int, int]) -> NDArray[np.float64]:
    place: NDArray[np.float64] = image.affine[:3, :3] @ voxel + image.affine[:3, 3]
    return place


def _paint(
    panel: Any,
    labels: NDArray[Any],
    colors: Mapping[int, str],
    extent: tuple[float, float, float, float],
    opacity: float,
) -> None:
    from matplotlib.colors import to_rgba

    paint = np.zeros((*labels.shape, 4))
    for label, color in colors.items():
        mask = labels == label
        paint[mask] = to_rgba(color, opacity)
        if mask.any() and not mask.all():
            panel.contour(mask, levels=[0.5], colors=[color], linewidths=0.8, extent=extent)
    panel.imshow(paint, extent=extent, origin="lower", interpolation="nearest")


def _letter(panel: Any, normal: int, radiological: bool) -> None:
    """Write at the edges where the subject's sides are, and mirror for radiologists."""
    from matplotlib.patheffects import withStroke

    (left, right), (down, up) = (pair for axis, pair in enumerate(_SIDES) if axis != normal)
    if radiological and normal != 0:
        panel.invert_xaxis()
        left, right = right, left
    places = ((0.02, 0.5, left), (0.98, 0.5, right), (0.5, 0.02, down), (0.5, 0.98, up))
    for x, y, letter in places:
        horizontal = {0.02: "left", 0.5: "center", 0.98: "right"}[x]
        vertical = {0.02: "bottom", 0.5: "center", 0.98: "top"}[y]
        panel.text(
            x,
            y,
            letter[0].upper(),
            ha=horizontal,
            va=vertical,
            transform=panel.transAxes,
            path_effects=[withStroke(linewidth=2, foreground="black")],
            **_TEXT,
        )


def _png(figure: Any) -> bytes:
    from io import BytesIO

    from matplotlib.backends.backend_agg import FigureCanvasAgg

    file = BytesIO()
    FigureCanvasAgg(figure).print_png(file)
    return file.getvalue()
