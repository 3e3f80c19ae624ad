"""The chemistry field as the engine finds it: so far an empty table."""

from fieldgrad.engine.field import Field

__all__ = ["field"]

field = Field(
    name="chem",
    summary="Chemistry: molecules and atoms (under construction, nothing to use yet).",
    extra="fieldgrad[chem]",
)
