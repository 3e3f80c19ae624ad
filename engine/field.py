"""What a scientific field gives the engine: a name, a table of names, recipes and commands.

A distribution offers a field through the entry point group ``fieldgrad.fields``::

    [project.entry-points."fieldgrad.fields"]
    astro = "fieldgrad.astro.field:field"

where ``field`` is a `Field`. The module that holds it must be light: only its tables, no
libraries. `fieldgrad.engine.testing.check_field` tests that a field keeps this contract.
"""

import importlib
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from fieldgrad.engine.errors import FieldgradError, MissingExtra, RecipeError, suggest

__all__ = ["Field", "find_field", "find_fields", "find_recipe", "import_object"]

GROUP = "fieldgrad.fields"


@dataclass(frozen=True)
class Field:
    """A scientific field as the engine sees it.

    Parameters
    ----------
    name : str
        Short lower-case name: the command ``fieldgrad NAME`` and the first part of its recipes.
    summary : str
        One line for lists.
    names : dict of str to str, optional
        The short names that its recipes may use, each with its import path
        ``"package.module:Name"``.
    recipes : pathlib.Path, optional
        The folder of its recipes (``*.toml``); none if left out.
    commands : str, optional
        Import path of the typer application behind ``fieldgrad NAME …``, imported when it is
        first used; no commands if empty.
    extra : str, optional
        What to ``pip install`` for the field's libraries, such as ``"fieldgrad[neuro]"``.
    report : str, optional
        Import path of a function of a run's folder that gives the field's parts of its report, a
        list of ``engine.runs.report.Section``: data summary, metrics with confidence intervals,
        pictures.
    join : str, optional
        Import path of a function ``join(files, path)`` that joins model files of one recipe (those
        of the folds of a cross-validation) to the model file of their ensemble.
    problem : str, optional
        Why the field cannot be used here; empty if it can.

    Examples
    --------
    >>> from fieldgrad.engine.field import Field
    >>> Field("astro", "Galaxies and their light curves.").recipe_names()
    []
    """

    name: str
    summary: str
    names: dict[str, str] = field(default_factory=dict)
    recipes: Path | None = None
    commands: str = ""
    extra: str = ""
    report: str = ""
    join: str = ""
    problem: str = ""

    def recipe_names(self) -> list[str]:
        """List the field's recipes by their full names, such as ``"neuro/mni152-tissues"``.

        Returns
        -------
        names : list of str
            Sorted full names.
        """
        files = sorted(self.recipes.glob("*.toml")) if self.recipes else []
        return [f"{self.name}/{file.stem}" for file in files]


def find_fields() -> dict[str, Field]:
    """Find the installed fields.

    A field that cannot be imported is listed too, with the reason as its `Field.problem`, so that
    one broken field leaves the others usable.

    Returns
    -------
    fields : dict of str to Field
        The fields by name, in the order of their names.

    Examples
    --------
    >>> from fieldgrad.engine.field import find_fields
    >>> "neuro" in find_fields()
    True
    """
    fields: dict[str, Field] = {}
    for entry in sorted(metadata.entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            found = entry.load()
        except (ImportError, AttributeError) as error:
            source = entry.dist.name if entry.dist else entry.value
            problem = f"{entry.value} cannot be imported ({error}). Reinstall {source}."
            found = Field(entry.name, "cannot be used here", problem=problem)
        fields[entry.name] = found
    return fields


def find_field(name: str) -> Field:
    """Find one installed field by its name.

    Parameters
    ----------
    name : str
        The field's name, such as ``"neuro"``.

    Returns
    -------
    field : Field
        The field.

    Raises
    ------
    RecipeError
        If no installed field has this name.
    MissingExtra
        If the field is there but cannot be imported.
    """
    fields = find_fields()
    if name not in fields:
        raise RecipeError(
            f"there is no field {name!r}{suggest(name, fields)} "
            f"Installed: {', '.join(fields) or 'none'}."
        )
    if fields[name].problem:
        raise MissingExtra(f"the field {name} cannot be used: {fields[name].problem}")
    return fields[name]


def find_recipe(name: str) -> Path:
    """Find the file of a recipe.

    Parameters
    ----------
    name : str
        A file that ends in ``.toml``, or a field's recipe such as ``"neuro/mni152-tissues"``.

    Returns
    -------
    path : pathlib.Path
        The recipe's file.

    Raises
    ------
    RecipeError
        If there is no such recipe; the nearest one is named.
    """
    if name.endswith(".toml"):
        if not Path(name).is_file():
            raise RecipeError(f"the recipe file {name} does not exist. Check the path.")
        return Path(name)
    files: dict[str, Path] = {}
    for known in find_fields().values():
        if known.recipes:
            files |= {
                full: known.recipes / f"{Path(full).name}.toml" for full in known.recipe_names()
            }
    if name in files:
        return files[name]
    short = {full.partition("/")[2]: full for full in files}
    hint = f"; did you mean {short[name]!r}?" if name in short else suggest(name, files)
    raise RecipeError(
        f"there is no recipe {name!r}{hint or '.'} "
        "See all with: fieldgrad recipes. A file of your own must end in .toml."
    )


def import_object(path: str, *, extra: str = "") -> Any:
    """Import what an import path names.

    Parameters
    ----------
    path : str
        ``"package.module:Name"``.
    extra : str, optional
        What to ``pip install`` if one of the module's libraries is missing.

    Returns
    -------
    thing : object
        The class, function or other object of that name.

    Raises
    ------
    RecipeError
        If the module or the name in it does not exist.
    MissingExtra
        If the module needs a library that is not installed.

    Examples
    --------
    >>> from fieldgrad.engine.field import import_object
    >>> import_object("math:sqrt")(16.0)
    4.0
    """
    module_name, _, name = path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except FieldgradError:
        raise
    except ModuleNotFoundError as error:
        missing = error.name or module_name
        if module_name == missing or module_name.startswith(missing + "."):
            raise RecipeError(
                f"{path}: there is no module {missing!r}. Check the spelling, install it, or add "
                "its folder to the environment variable PYTHONPATH."
            ) from error
        if missing.partition(".")[0] == module_name.partition(".")[0]:
            raise  # a defect of that package itself
        remedy = f' Install it with: pip install "{extra}"' if extra else " Install it."
        raise MissingExtra(
            f"{path} needs the library {missing}, which is not installed.{remedy}", name=missing
        ) from error
    if not hasattr(module, name):
        raise RecipeError(
            f"{path}: the module {module_name} has no {name!r}{suggest(name, vars(module)) or '.'}"
        )
    return getattr(module, name)
