"""What a run on structures shows of itself: predictions while it trains, parts of its report."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

from fieldgrad.chem.potentials.potential import Potential
from fieldgrad.chem.potentials.report import parity_png
from fieldgrad.chem.potentials.stability import Stability
from fieldgrad.chem.potentials.structures import Structures
from fieldgrad.engine.runs.report import Section, read_data_record
from fieldgrad.engine.train import Learner

__all__ = ["parity_pictures", "potential_sections"]

MOST_DRAWN = 64  # structures: enough to see how it goes, few enough to be drawn at once


def parity_pictures(
    potential: Potential, structures: Structures
) -> Callable[[Learner], dict[str, bytes]]:
    """Make the hook that draws how a potential does while it is trained.

    Parameters
    ----------
    potential : Potential
        Its network is trained; the others of a committee take part as they are.
    structures : Structures
        Of which up to 64 are drawn, the same every time.

    Returns
    -------
    callable
        For `train.Pictures`: energies, forces and stresses, predicted against computed.
    """
    drawn = structures[:: -(-len(structures) // MOST_DRAWN)]

    def draw(learner: Learner) -> dict[str, bytes]:
        return {"parity": parity_png(drawn, potential.predict(drawn))}

    return draw


def potential_sections(run_dir: Path) -> list[Section]:
    """Give the parts of the report of a run that trained a potential.

    Parameters
    ----------
    run_dir : Path
        The run's folder.

    Returns
    -------
    list of Section
        Data, errors with confidence intervals, parity, simulation at constant energy.
    """
    sections = [_data(run_dir)]
    if (run_dir / "errors.csv").exists():
        text = "The structures held back: training did not see them. "
        sections.append(_errors("Errors on structures held back", text, run_dir))
    evaluation = run_dir / "evaluation"
    if (evaluation / "errors.csv").exists():
        text = "Structures that `fieldgrad chem evaluate-potential` was given. "
        sections.append(_errors("Errors on other structures", text, evaluation))
    return [*sections, _simulation(evaluation)]


def _data(run_dir: Path) -> Section:
    record = read_data_record(run_dir)
    rows = list(record.get("summary", {}).items())
    rows += [
        (what, f"{len(record[part])} structures")
        for part, what in (("train", "trained on"), ("valid", "watched"), ("test", "held back"))
        if part in record
    ]
    rows += [
        (what, record[key])
        for key, what in (("references", "energies of atoms"), ("sha256", "checksum (SHA-256)"))
        if key in record
    ]
    text = "Structures are held back in blocks of neighbors, for those of a trajectory are alike."
    return Section("Data", f"From {record.get('source') or 'memory'}. {text}", (), rows)


_HEAD = ("quantity", "numbers", "MAE", "95 % interval", "RMSE", "baseline", "unit")


def _errors(title: str, text: str, folder: Path) -> Section:
    """The table of errors.csv, whose intervals have whole structures for units."""
    with open(folder / "errors.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    table = [
        (row["quantity"], row["n"], f"{float(row['mae']):.4g}",
         f"{float(row['low']):.4g} to {float(row['high']):.4g}", f"{float(row['rmse']):.4g}",
         f"{float(row['baseline_mae']):.4g}", row["unit"])
        for row in rows
    ]  # fmt: skip
    text += (
        "Mean absolute errors with a 95 % interval from resampling whole structures; it is too "
        "narrow where these follow one another in a trajectory. The baseline says the mean energy "
        "of a composition, and no force."
    )
    return Section(title, text, _HEAD, table, {"Predicted against computed": folder / "parity.png"})


def _simulation(folder: Path) -> Section:
    title = "Simulation at constant energy"
    if not (folder / "nve.json").exists():
        text = (
            "Not done yet; fieldgrad chem evaluate-potential STRUCTURES -m model.safetensors does "
            "it. Small errors of forces do not say that a simulation is stable."
        )
        return Section(title, text)
    found = Stability(**json.loads((folder / "nve.json").read_text(encoding="utf-8")))
    rows = [
        ("steps", f"{found.n_steps} of {found.time_step:g} fs"),
        ("first temperature", f"{found.temperature:.0f} K"),
        ("drift of the total energy", f"{found.drift:+.4f} meV per atom and ps"),
        ("spread about the drift", f"{found.spread:.4f} meV per atom"),
        ("bonds that broke", str(found.broken)),
        ("steps with extrapolation", f"{100 * found.extrapolating:.1f} %"),
        ("speed", f"{found.steps_per_second:.0f} steps/s"),
    ]
    text = "Forces that are the slope of an energy conserve it, but for the finite time step."
    return Section(title, text, (), rows, {"Energies and temperature": folder / "nve.png"})
