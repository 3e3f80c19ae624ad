"""The chemistry field as the engine finds it: its short names, recipes and commands."""

from pathlib import Path

from fieldgrad.engine.field import Field

__all__ = ["field"]

field = Field(
    name="chem",
    summary="Chemistry: properties of molecules from SMILES; energies and forces of structures.",
    names={
        "train_on_structures": "fieldgrad.chem.potentials.tasks:train_on_structures",
        "train_on_generated": "fieldgrad.chem.potentials.tasks:train_on_generated",
        "schnet": "fieldgrad.chem.potentials.schnet:SchNet",
        "painn": "fieldgrad.chem.potentials.painn:PaiNN",
        "adam": "fieldgrad.engine.optim:Adam",
        "adamw": "fieldgrad.engine.optim:AdamW",
        "constant": "fieldgrad.engine.train.schedules:constant",
        "cosine": "fieldgrad.engine.train.schedules:cosine",
        "one_cycle": "fieldgrad.engine.train.schedules:one_cycle",
        "dmpnn": "fieldgrad.chem.molecules.dmpnn:DMPNN",
        "fingerprint_mlp": "fieldgrad.chem.molecules.fingerprint:FingerprintMLP",
        "train_properties": "fieldgrad.chem.molecules.tasks:train_properties",
    },
    recipes=Path(__file__).parent / "recipes",
    commands="fieldgrad.chem.cli:app",
    extra="fieldgrad[chem]",
    report="fieldgrad.chem.run_report:report_sections",
)
