"""What a run of this field adds to its report, by what it was trained on."""

from __future__ import annotations

from pathlib import Path

from fieldgrad.engine.runs.report import Section

__all__ = ["report_sections"]


def report_sections(run_dir: Path) -> list[Section]:
    """Give this field's parts of the report of a run.

    Parameters
    ----------
    run_dir : Path
        The run's folder: one with split.json was trained on molecules, others on structures.

    Returns
    -------
    list of Section
        Data, errors with confidence intervals, pictures.
    """
    if (run_dir / "split.json").exists():
        from fieldgrad.chem.molecules.run_report import molecule_sections

        return molecule_sections(run_dir)
    from fieldgrad.chem.potentials.run_report import potential_sections

    return potential_sections(run_dir)
