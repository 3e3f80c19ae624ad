"""A run once more: the same recipe, the same knobs at the same steps, the same bits at the end."""

from collections.abc import Callable
from pathlib import Path

from fieldgrad.engine import recipe
from fieldgrad.engine.errors import RecipeError
from fieldgrad.engine.recipe import Recipe
from fieldgrad.engine.train.replay import Script, differences, write_script

__all__ = ["replay"]


def replay(
    original: Path, folder: Path, *, run: Callable[[Recipe, Path], object] = recipe.run
) -> tuple[Script, list[str]]:
    """Repeat a run in a folder of its own, and compare where the two ended.

    A budget in time is repeated in steps: the original's own plan of them.

    Parameters
    ----------
    original : Path
        Folder of the run.
    folder : Path
        Folder of the repetition, new or empty.
    run : callable, default `recipe.run`
        Runs a recipe in a folder.

    Returns
    -------
    script : Script
        What was repeated.
    differing : list of str
        Arrays of the last checkpoints (weights, optimizer, averages) that differ; none if the
        repetition ended at the same bits.

    Raises
    ------
    RecipeError
        If the folder is taken, or the original was made without a recipe.
    FileError
        If the original has no checkpoint.
    """
    source = original / "recipe.toml"
    if not source.exists():
        raise RecipeError(
            f"{original} has no recipe.toml, so it is not known what to repeat. Only runs of a "
            "recipe can be replayed (fieldgrad run, or a field's train command)."
        )
    if folder.exists() and any(folder.iterdir()):
        raise RecipeError(f"{folder} is not empty. Choose a new folder with --out.")
    loaded = recipe.load(str(source))
    script = write_script(original, folder)
    run(loaded, folder)
    return script, differences(original, folder)
