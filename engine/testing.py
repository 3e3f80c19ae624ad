"""Tests that authors of fields and plug-ins run on their own work."""

import inspect
import re
import typing

from fieldgrad.engine import recipe
from fieldgrad.engine.errors import FieldgradError, RecipeError
from fieldgrad.engine.field import Field, import_object

__all__ = ["check_field"]


def check_field(field: Field) -> None:
    """Test that a field keeps its contract with the engine.

    The name is one lower-case word and the summary one sentence. Every short name leads to a
    documented Python callable whose annotations can be read. Every recipe loads, belongs to the
    field, says in one line what it does, and checks against the signatures it names. The commands
    are a typer application.

    Parameters
    ----------
    field : Field
        The field to test.

    Raises
    ------
    RecipeError
        If anything is amiss; the message lists all of it.

    Examples
    --------
    >>> from fieldgrad.engine.field import Field
    >>> from fieldgrad.engine.testing import check_field
    >>> check_field(Field("astro", "Galaxies and their light curves."))
    >>> check_field(Field("astro", "Galaxies.", names={"root": "math:squirt"}))
    Traceback (most recent call last):
    ...
    fieldgrad.engine.errors.RecipeError: the field 'astro' breaks its contract:
    - name root: math:squirt: the module math has no 'squirt'; did you mean 'sqrt'?
    """
    problems = []
    if not re.fullmatch(r"[a-z][a-z0-9]*", field.name):
        problems.append(f"the name {field.name!r} is not one lower-case word")
    if "\n" in field.summary or not field.summary.endswith("."):
        problems.append(f"the summary {field.summary!r} is not one sentence with a full stop")
    for short, path in field.names.items():
        problems += [f"name {short}: {problem}" for problem in _callable_problems(path, field)]
    for name in field.recipe_names():
        problems += [f"recipe {name}: {problem}" for problem in _recipe_problems(name, field)]
    problems += [f"commands: {problem}" for problem in _command_problems(field)]
    if problems:
        raise RecipeError(
            f"the field {field.name!r} breaks its contract:\n"
            + "\n".join(f"- {problem}" for problem in problems)
        )


def _callable_problems(path: str, field: Field) -> list[str]:
    try:
        target = import_object(path, extra=field.extra)
        typing.get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except (FieldgradError, NameError, TypeError) as error:
        return [str(error)]
    if not (inspect.isclass(target) or inspect.isfunction(target)):
        return [f"{path} is neither a class nor a function"]
    if not inspect.getdoc(target):
        return [f"{path} has no docstring"]
    return []


def _recipe_problems(name: str, field: Field) -> list[str]:
    assert field.recipes is not None
    try:
        loaded = recipe.load(field.recipes / f"{name.partition('/')[2]}.toml")
        recipe.check(loaded)
    except FieldgradError as error:
        return [str(error)]
    problems = []
    if loaded.field.name != field.name:
        problems.append(f"it says field = {loaded.field.name!r}")
    if not loaded.summary or "\n" in loaded.summary:
        problems.append("it has no summary of one line")
    return problems


def _command_problems(field: Field) -> list[str]:
    if not field.commands:
        return []
    from typer import Typer

    try:
        commands = import_object(field.commands, extra=field.extra)
    except FieldgradError as error:
        return [str(error)]
    return [] if isinstance(commands, Typer) else [f"{field.commands} is no typer.Typer"]
