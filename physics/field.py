"""The physics field as the engine finds it: so far an empty table."""

from fieldgrad.engine.field import Field

__all__ = ["field"]

field = Field(
    name="physics",
    summary="Particle physics: jets and events (under construction, nothing to use yet).",
    extra="fieldgrad[physics]",
)
