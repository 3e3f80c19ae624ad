"""The neuro field as the engine finds it: its short names, recipes and commands."""

from pathlib import Path

from fieldgrad.engine.field import Field

__all__ = ["field"]

field = Field(
    name="neuro",
    summary="Neuroimaging: segment structures in volumes (MRI, CT) with 3-D U-Nets.",
    names={
        "unet": "fieldgrad.shared_models.unet:UNet",
        "sgd": "fieldgrad.engine.optim:SGD",
        "adam": "fieldgrad.engine.optim:Adam",
        "adamw": "fieldgrad.engine.optim:AdamW",
    },
    recipes=Path(__file__).parent / "recipes",
    commands="fieldgrad.neuro.cli:app",
    extra="fieldgrad[neuro]",
)
