"""What a run on structures adds to its report."""

from __future__ import annotations

from pathlib import Path

from fieldgrad.engine.runs.report import Section, read_data_record

__all__ = ["potential_sections"]


def potential_sections(run_dir: Path) -> list[Section]:
    """Give the parts of the report of a run that trained a potential.

    Parameters
    ----------
    run_dir : Path
        The run's folder.

    Returns
    -------
    list of Section
        The data.
    """
    record = read_data_record(run_dir)
    rows = [(name, f"{len(record[name])} structures") for name in ("train", "valid", "test")
            if name in record]  # fmt: skip
    text = f"From {record.get('source', 'an unnamed source')}." if record else ""
    return [Section("Data", text, (), rows)] if record else []
