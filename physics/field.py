"""The physics field as the engine finds it: its short names, recipes and commands."""

from fieldgrad.engine.field import Field

__all__ = ["field"]

field = Field(
    name="physics",
    summary="Particle physics: tag jets from ROOT and HDF5 files.",
    commands="fieldgrad.physics.cli:app",
    extra="fieldgrad[physics]",
)
