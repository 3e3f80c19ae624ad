"""Recipes: a TOML file names a callable and its keyword arguments; the signature is the schema.

Three steps, each usable alone:

- `load` reads the file, what it ``extends`` and the overrides, and gives a `Recipe` (plain tables);
- `check` compares it with the signatures and annotations of the callables it names, fills in every
  default and gives a tree of `Call`; nothing has been built or run yet;
- `Call.build` builds the objects from the inside out; `run` does so for a whole recipe.

docs/concepts/recipes.md describes the format.
"""

import inspect
import os
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from fieldgrad.engine.errors import FieldgradError, FileError, RecipeError
from fieldgrad.engine.field import Field, find_field, find_recipe
from fieldgrad.engine.files import atomic_write
from fieldgrad.engine.schema import Call, check_table
from fieldgrad.engine.toml import to_toml

__all__ = ["Recipe", "check", "load", "prepare", "resolved_text", "run"]

# What the command line gives a task besides the recipe's settings.
SUPPLIED = ("run_dir", "resume")
# Top-level keys that are about the recipe and no arguments of its task.
HEADER = ("field", "task", "summary", "extends", "versions")


@dataclass(frozen=True)
class Recipe:
    """A recipe as it stands in its file, after ``extends`` and overrides.

    Parameters
    ----------
    field : Field
        The field whose short names the recipe uses.
    task : str
        Short name or import path of the callable that the recipe runs.
    summary : str
        One line for lists.
    settings : dict
        The keyword arguments of the task, as plain TOML values.
    origin : str
        The file or name it was loaded from, for messages.
    """

    field: Field
    task: str
    summary: str
    settings: dict[str, Any]
    origin: str


def load(source: str | os.PathLike[str], overrides: Iterable[str] = ()) -> Recipe:
    """Read a recipe, what it extends, and overrides; nothing of what it names is imported.

    Parameters
    ----------
    source : str or os.PathLike
        A field's recipe such as ``"neuro/mni152-tissues"``, or a file that ends in ``.toml``.
    overrides : iterable of str, optional
        Settings that replace those of the file, such as ``"model.depth=5"``. The value is read as
        TOML; a bare word that is not TOML is text.

    Returns
    -------
    recipe : Recipe
        The recipe as plain tables.

    Raises
    ------
    RecipeError
        If there is no such recipe, the file is not TOML, or it lacks ``field`` or ``task``.
    FileError
        If the file cannot be read.
    """
    origin = os.fspath(source)
    table = _merge(_read(find_recipe(origin), ()), _override_table(overrides))
    for key in ("field", "task"):
        if not isinstance(table.get(key), str):
            raise RecipeError(
                f"the recipe {origin} must say its {key} as text at the top, "
                f'for example: {key} = "{"neuro" if key == "field" else "train"}".'
            )
    settings = {key: value for key, value in table.items() if key not in HEADER}
    return Recipe(
        find_field(table["field"]), table["task"], str(table.get("summary", "")), settings, origin
    )


def check(recipe: Recipe) -> Call:
    """Compare a recipe with the callables it names and fill in every default.

    Parameters
    ----------
    recipe : Recipe
        The recipe, from `load`.

    Returns
    -------
    call : Call
        The task with checked arguments; nothing has been built yet.

    Raises
    ------
    RecipeError
        For an unknown name or key, a value of the wrong kind, or a missing setting.
    MissingExtra
        If a library that the recipe's callables need is not installed.
    """
    for key in SUPPLIED:
        if key in recipe.settings:
            raise RecipeError(
                f"the recipe {recipe.origin} sets {key!r}, which the command line supplies "
                "(--out, --resume). Remove it."
            )
    call = check_table(recipe.task, recipe.settings, recipe.field, supplied=SUPPLIED)
    if "run_dir" not in inspect.signature(call.target).parameters:
        raise RecipeError(
            f"the task {recipe.task!r} takes no run_dir, so it cannot be run. "
            "Name a task of the field: a callable with a parameter run_dir."
        )
    return call


def resolved_text(recipe: Recipe, call: Call) -> str:
    """Write a checked recipe as TOML with every default and the versions in use.

    Parameters
    ----------
    recipe : Recipe
        The recipe.
    call : Call
        What `check` gave for it.

    Returns
    -------
    text : str
        A recipe that runs as it is and gives the same tree of calls. A default of None, for which
        TOML has no value, stands as a comment.
    """
    header = {"field": recipe.field.name, "task": call.name, "summary": recipe.summary}
    settings = call.table()
    del settings["name"]
    return to_toml(header | settings | {"versions": _versions()})


def run(recipe: Recipe, run_dir: str | os.PathLike[str], *, resume: bool = False) -> Any:
    """Check a recipe, write it resolved to ``run_dir/recipe.toml``, build it and run its task.

    Parameters
    ----------
    recipe : Recipe
        The recipe, from `load`.
    run_dir : str or os.PathLike
        The folder for all results; made if missing, and taken back if the task refuses its data
        before it writes anything.
    resume : bool, default False
        Whether to continue the run that stands in ``run_dir``; starts one if there is none.

    Returns
    -------
    result : object
        What the task gives; the command line prints it.

    Raises
    ------
    RecipeError
        If the recipe does not check, if ``run_dir`` holds a run and ``resume`` is false, or if it
        holds a run of other settings or no run but other files.
    FileError
        If ``run_dir`` cannot be written.
    """
    call, folder = check(recipe), Path(run_dir)
    earlier = _write(recipe, call, folder, resume=resume)
    supplied: dict[str, Any] = {"run_dir": folder}
    if "resume" in inspect.signature(call.target).parameters:
        supplied["resume"] = earlier
    elif earlier:
        raise RecipeError(f"the task {call.name!r} cannot be resumed. Start it in another folder.")
    try:
        return call.build(**supplied)
    except FieldgradError:
        _take_back(folder)  # the next try shall find no folder in its way
        raise


def prepare(recipe: Recipe, run_dir: str | os.PathLike[str], *, resume: bool = False) -> None:
    """Check a recipe and write it resolved to ``run_dir/recipe.toml``, without running it.

    Parameters
    ----------
    recipe : Recipe
        The recipe, from `load`.
    run_dir : str or os.PathLike
        The folder for all results; made if missing.
    resume : bool, default False
        As for `run`.

    Raises
    ------
    RecipeError, FileError
        As `run` does before it builds anything.
    """
    _write(recipe, check(recipe), Path(run_dir), resume=resume)


def _write(recipe: Recipe, call: Call, folder: Path, *, resume: bool) -> bool:
    """Write the resolved recipe; tell whether the folder holds an earlier run to go on with."""
    text = resolved_text(recipe, call)
    written = folder / "recipe.toml"
    # A run that failed before it wrote anything else may simply be started again.
    earlier = any(
        not file.name.startswith(".") and file != written
        for file in (folder.iterdir() if folder.is_dir() else ())
    )
    if earlier and not written.exists():
        raise RecipeError(
            f"{folder} holds other files and no run. Choose an empty or new folder with --out."
        )
    if earlier and not resume:
        raise RecipeError(
            f"{folder} already holds a run. Continue it with --resume, or choose another folder "
            "with --out."
        )
    if earlier:
        _refuse_other_settings(_parse(written), tomllib.loads(text), folder)
    else:
        with atomic_write(written) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return earlier


def _take_back(folder: Path) -> None:
    """Remove the folder of a run that wrote nothing but its recipe."""
    if [file.name for file in folder.iterdir()] == ["recipe.toml"]:
        (folder / "recipe.toml").unlink()
        folder.rmdir()


# ---- loading


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(
            f"{path} cannot be read: {error.strerror}. Check the path.", path
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not TOML: {error}. Correct it there.") from error


def _read(path: Path, below: tuple[Path, ...]) -> dict[str, Any]:
    """Read a recipe file over the one it extends; ``below`` are the files that led here."""
    path = path.resolve()
    if path in below:
        raise RecipeError(f"{path} extends itself through {below[-1]}. Remove one `extends`.")
    table = _parse(path)
    if "extends" not in table:
        return table
    base = table.pop("extends")
    if not isinstance(base, str):
        raise RecipeError(f"{path}: extends = {base!r}; expected the name of one recipe as text.")
    if base.endswith(".toml"):
        base = str(path.parent / base)
    return _merge(_read(find_recipe(base), (*below, path)), table)


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Merge tables key by key; a table that names another callable replaces the whole table."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        if (
            isinstance(old, dict)
            and isinstance(value, dict)
            and value.get("name", old.get("name")) == old.get("name")
        ):
            merged[key] = _merge(old, value)
        else:
            merged[key] = value
    return merged


def _override_table(overrides: Iterable[str]) -> dict[str, Any]:
    """Gather overrides in one table, so that their order does not matter when they are merged."""
    gathered: dict[str, Any] = {}
    for text in overrides:
        path, equals, value = text.partition("=")
        keys = [key.strip() for key in path.split(".")]
        if not equals or not all(keys):
            raise RecipeError(f"--set {text!r}: expected key=value, for example model.depth=5.")
        table = gathered
        for key in keys[:-1]:
            table = table.setdefault(key, {})
            if not isinstance(table, dict):
                raise RecipeError(f"--set {text!r}: another --set made {key!r} a value.")
        table[keys[-1]] = _override_value(text, value.strip())
    return gathered


def _override_value(text: str, value: str) -> Any:
    try:
        table = tomllib.loads(f"value = {value}")
    except tomllib.TOMLDecodeError as error:
        if not value or value[0] in "[{\"'":
            raise RecipeError(
                f"--set {text!r}: the value is not TOML ({error}). Examples: seed=3, "
                "'model.strides=[1, 2]', 'summary=\"my run\"'."
            ) from error
        return value
    return table["value"] if len(table) == 1 else value


def _refuse_other_settings(old: dict[str, Any], new: dict[str, Any], folder: Path) -> None:
    changed = [
        key
        for key in old.keys() | new.keys()
        if key not in ("versions", "summary") and old.get(key) != new.get(key)
    ]
    if changed:
        raise RecipeError(
            f"{folder} holds a run with other settings (changed: {', '.join(sorted(changed))}). "
            "Resume it with its own recipe, "
            f"{folder / 'recipe.toml'}, or choose another folder with --out."
        )


def _versions() -> dict[str, str]:
    import platform

    names = ("fieldgrad", "numpy", "scipy")
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in names}
