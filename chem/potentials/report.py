"""Pictures and tables of a potential: parity, learning curves, runs of molecular dynamics."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.chem.potentials.evaluation import Errors
from fieldgrad.chem.potentials.potential import Prediction
from fieldgrad.chem.potentials.structures import Structures, symbols_of
from fieldgrad.engine.errors import require
from fieldgrad.engine.files import atomic_write

__all__ = ["parity_png", "plot_dynamics", "plot_history", "plot_parity", "table", "write_dynamics"]

# Distinct in hue and lightness, also to most color-blind readers (after Okabe and Ito, 2008).
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#b15928", "#7f7f7f")
_DPI = 110


def plot_parity(truth: Structures, prediction: Prediction, path: str | os.PathLike[str]) -> None:
    """Draw predicted against computed energies, forces (by element) and stresses.

    Parameters
    ----------
    truth : Structures
        With energies, forces or stresses.
    prediction : Prediction
        Of these structures.
    path : str or os.PathLike
        The .png file.

    Raises
    ------
    MissingExtra
        If matplotlib is not installed.
    FileError
        If the file cannot be written.
    """
    with atomic_write(path) as temporary:
        temporary.write_bytes(parity_png(truth, prediction))


def parity_png(truth: Structures, prediction: Prediction) -> bytes:
    """Draw the same as the bytes of a PNG file.

    Parameters
    ----------
    truth : Structures
        With energies, forces or stresses.
    prediction : Prediction
        Of these structures.

    Returns
    -------
    bytes
        The picture.

    Raises
    ------
    MissingExtra
        If matplotlib is not installed.
    """
    found = prediction.structures
    energy, stress = truth.has("energies"), truth.has("stresses") & found.has("stresses")
    forces = np.isfinite(truth.forces).all(axis=1)
    kinds = [bool(energy.any()), bool(forces.any()), bool(stress.any())]
    figure = _figure(sum(kinds))
    panels = iter(np.ravel(figure.subplots(1, sum(kinds))))
    if kinds[0]:
        panel = next(panels)
        counts, _ = truth[energy].compositions()
        base = counts @ np.linalg.lstsq(counts, truth.energies[energy], rcond=None)[0]
        sizes = truth.sizes[energy]
        x, y = (1e3 * (part[energy] - base) / sizes for part in (truth.energies, found.energies))
        _parity(panel, [("", x, y)], "energy of an atom, relative (meV)")
    if kinds[1]:
        series = []
        for number in np.unique(truth.numbers[forces]):
            own = forces & (truth.numbers == number)
            name = symbols_of([number])[0]
            series.append((name, truth.forces[own].ravel(), found.forces[own].ravel()))
        series.sort(key=lambda entry: -len(entry[1]))
        _parity(next(panels), series, "force component (eV/Å)")
    if kinds[2]:
        x, y = truth.stresses[stress].ravel(), found.stresses[stress].ravel()
        _parity(next(panels), [("", 1e3 * x, 1e3 * y)], "stress component (meV/Å³)")
    return _png(figure)


def _parity(
    panel: Any, series: Sequence[tuple[str, NDArray[Any], NDArray[Any]]], what: str
) -> None:
    x = np.concatenate([entry[1] for entry in series])
    y = np.concatenate([entry[2] for entry in series])
    low, high = min(x.min(), y.min()), max(x.max(), y.max())
    margin = 0.04 * (high - low) or 1.0
    limits = (low - margin, high + margin)
    panel.plot(limits, limits, color="#999999", linewidth=0.8, zorder=0)
    for color, (name, own_x, own_y) in zip(COLORS * 12, series, strict=False):
        panel.scatter(
            own_x, own_y, s=7, alpha=0.45, linewidths=0, color=color, label=name, rasterized=True
        )
    mae = float(np.abs(y - x).mean())
    r2 = 1 - float(((y - x) ** 2).sum() / max(((x - x.mean()) ** 2).sum(), 1e-300))
    panel.set(
        xlim=limits, ylim=limits, aspect="equal", xlabel=f"computed {what}",
        ylabel="predicted", title=f"MAE {mae:.3g}, R² {r2:.4f}",
    )  # fmt: skip
    panel.title.set_fontsize(10)
    if len(series) > 1:
        legend = panel.legend(frameon=False, markerscale=2.5)
        for handle in legend.legend_handles:
            handle.set_alpha(1.0)
    _plain(panel)


def plot_history(history: Sequence[dict[str, float]], path: str | os.PathLike[str]) -> None:
    """Draw loss, errors of energies and forces, and learning rate over the epochs.

    Parameters
    ----------
    history : sequence of dict
        A row for each epoch, as `Learner.history`.
    path : str or os.PathLike
        The .png file.

    Raises
    ------
    MissingExtra
        If matplotlib is not installed.
    FileError
        If the file cannot be written.
    """
    panels: dict[str, dict[str, str]] = {
        "loss (eV², eV²/Å²)": {"train_loss": "training", "valid_loss": "validation"},
        "energy MAE (meV)": {"energy_mae_mev": "validation"},
        "force MAE (meV/Å)": {"force_mae_mev": "validation"},
        "stress MAE (meV/Å³)": {"stress_mae_mev": "validation"},
    }
    panels = {
        what: columns
        for what, columns in panels.items()
        if any(column in row for row in history for column in columns)
    }
    figure = _figure(len(panels))
    for panel, (what, columns) in zip(
        np.ravel(figure.subplots(1, len(panels))), panels.items(), strict=True
    ):
        for color, (column, name) in zip(COLORS, columns.items(), strict=False):
            rows = [row for row in history if np.isfinite(row.get(column, np.nan))]
            x, y = [row["epoch"] for row in rows], [row[column] for row in rows]
            marker = "o" if len(x) <= 30 else None
            panel.plot(x, y, color=color, label=name, linewidth=1.5, marker=marker, markersize=3)
        panel.set(xlabel="epoch", ylabel=what, yscale="log")
        if len(columns) > 1:
            panel.legend(frameon=False)
        _plain(panel)
    _save(figure, path)


def plot_dynamics(
    times: NDArray[np.float64],
    columns: dict[str, NDArray[np.float64]],
    path: str | os.PathLike[str],
    *,
    levels: dict[str, float] | None = None,
) -> None:
    """Draw quantities of a simulation over time.

    Parameters
    ----------
    times : ndarray of float64, shape (n,)
        In ps.
    columns : dict of str to ndarray, shape (n,)
        What to draw, a panel for each, by the text beside it.
    path : str or os.PathLike
        The .png file.
    levels : dict of str to float, optional
        Where to draw a line in a panel, such as the temperature that is kept.

    Raises
    ------
    MissingExtra
        If matplotlib is not installed.
    FileError
        If the file cannot be written.
    """
    figure = _figure(len(columns))
    for panel, (what, values) in zip(
        np.ravel(figure.subplots(1, len(columns))), columns.items(), strict=True
    ):
        panel.plot(times, values, color=COLORS[0], linewidth=0.8)
        if levels and what in levels:
            panel.axhline(levels[what], color=COLORS[1], linewidth=1.2, linestyle="--")
        panel.set(xlabel="time (ps)", ylabel=what)
        panel.ticklabel_format(useOffset=False)
        _plain(panel)
    _save(figure, path)


def write_dynamics(
    times: NDArray[np.float64],
    columns: dict[str, NDArray[np.float64]],
    path: str | os.PathLike[str],
) -> None:
    """Write quantities of a simulation as CSV.

    Parameters
    ----------
    times : ndarray of float64, shape (n,)
        In ps.
    columns : dict of str to ndarray, shape (n,)
        By name.
    path : str or os.PathLike
        The .csv file.

    Raises
    ------
    FileError
        If the file cannot be written.
    """
    with atomic_write(path) as temporary:
        np.savetxt(
            temporary,
            np.column_stack([times, *columns.values()]),
            fmt="%.10g",
            delimiter=",",
            header=",".join(["time (ps)", *columns]),
            comments="",
        )


def table(errors: Sequence[Errors]) -> str:
    """Write errors as lines of text.

    Parameters
    ----------
    errors : sequence of Errors
        What to show.

    Returns
    -------
    str
        With a heading.
    """
    lines = [f"  {'':<20}{'MAE':>11}{'95 % interval':>25}{'RMSE':>11}{'baseline':>11}"]
    lines += [
        f"  {e.quantity:<20}{e.mae:>11.4g}{e.interval:>25}{e.rmse:>11.4g}{e.baseline_mae:>11.4g} "
        f"{e.unit}"
        for e in errors
    ]
    return "\n".join([*lines, "  (baseline: MAE of the mean energy, of no force)"])


def _figure(n_panels: int) -> Any:
    require("matplotlib", extra="chem")
    from matplotlib.figure import Figure

    return Figure(figsize=(4.6 * n_panels, 4.0), dpi=_DPI, layout="constrained")


def _plain(panel: Any) -> None:
    panel.grid(alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)


def _png(figure: Any) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def _save(figure: Any, path: str | os.PathLike[str]) -> None:
    with atomic_write(path) as temporary:
        temporary.write_bytes(_png(figure))
