"""Cross-validation of a recipe: one run for each fold, then all of them together."""

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fieldgrad.engine import recipe
from fieldgrad.engine.errors import RecipeError
from fieldgrad.engine.field import import_object
from fieldgrad.engine.files import atomic_write
from fieldgrad.engine.recipe import Recipe
from fieldgrad.engine.train.folds import Fold

__all__ = ["Crossing"]


class Crossing:
    """The folds of a recipe, in a folder of their own, from which an interrupted one goes on.

    Fold k is the recipe with ``fold = "k/n"``, a run like any other, in ``fold-k``. When all are
    done, there are besides

    ==================== ==================================================================
    folds.csv            the scores of each fold, their mean and their standard deviation
    out_of_fold.csv      each item's prediction by the model that has not seen it
    model.safetensors    the folds' models joined to an ensemble, if the field has a `Field.join`
    ==================== ==================================================================

    Parameters
    ----------
    loaded : Recipe
        The recipe, whose task has the setting ``fold``.
    folder : Path
        For all folds and the results.
    n_folds : int
        How many.

    Raises
    ------
    RecipeError
        If the task has no setting ``fold``, the recipe does not check, or the folder holds
        something else.
    """

    def __init__(self, loaded: Recipe, folder: Path, n_folds: int) -> None:
        self.folder = folder
        self.field = loaded.field
        self.folds = [Fold.parse(f"{k}/{n_folds}") for k in range(1, n_folds + 1)]
        self.recipes = [
            replace(loaded, settings=loaded.settings | {"fold": str(fold)}) for fold in self.folds
        ]
        _check(self.recipes[0])
        others = {p.name for p in folder.glob("fold-*")} - {p.name for p in self.folders}
        if others or (folder / "recipe.toml").exists():
            raise RecipeError(
                f"{folder} holds {', '.join(sorted(others)) or 'a run'} already, which is none of "
                f"these {n_folds} folds. Choose another folder with --out."
            )

    @property
    def folders(self) -> list[Path]:
        """The run's folder of each fold."""
        return [self.folder / f"fold-{fold.number}" for fold in self.folds]

    def run(
        self,
        carry_out: Callable[[Recipe, Path], object],
        tell: Callable[[Fold, dict[str, float]], None] = lambda fold, scores: None,
    ) -> list[dict[str, float]]:
        """Run the folds that are not finished, then write what they give together.

        Parameters
        ----------
        carry_out : callable
            Runs a recipe in a folder, and resumes what is there.
        tell : callable, optional
            Called after each fold with its scores.

        Returns
        -------
        list of dict of str to float
            The scores of each fold.
        """
        scores = []
        for fold, loaded, folder in zip(self.folds, self.recipes, self.folders, strict=True):
            written = folder / Fold.SCORES
            if not written.exists():
                carry_out(loaded, folder)
            if not written.exists():
                raise RecipeError(
                    f"the task {loaded.task!r} has a setting fold, and wrote no {written}. It has "
                    "to end with Fold.write."
                )
            found: dict[str, float] = json.loads(written.read_text(encoding="utf-8"))["scores"]
            scores.append(found)
            tell(fold, found)
        self._write_scores(scores)
        self._join_rows()
        self.join_models()
        return scores

    @staticmethod
    def summary(scores: Sequence[dict[str, float]]) -> dict[str, tuple[float, float]]:
        """Give mean and standard deviation over the folds.

        Parameters
        ----------
        scores : sequence of dict of str to float
            Of each fold.

        Returns
        -------
        dict of str to (float, float)
            The deviation is between folds (divided by n - 1), and no confidence interval, for the
            folds share their training data.
        """
        columns = {name: np.array([row.get(name, np.nan) for row in scores]) for name in scores[0]}
        return {name: (float(c.mean()), float(c.std(ddof=1))) for name, c in columns.items()}

    def join_models(self) -> Path | None:
        """Join the folds' model files to one, an ensemble.

        Returns
        -------
        Path or None
            The file; None if the field cannot join models.
        """
        if not self.field.join:
            return None
        join = import_object(self.field.join, extra=self.field.extra)
        path = self.folder / "model.safetensors"
        join([folder / "model.safetensors" for folder in self.folders], path)
        return path

    def _write_scores(self, scores: Sequence[dict[str, float]]) -> None:
        rows: list[dict[str, Any]] = [
            {"fold": fold.number, **row} for fold, row in zip(self.folds, scores, strict=True)
        ]
        summary = self.summary(scores)
        for k, what in enumerate(("mean", "standard deviation")):
            rows.append({"fold": what} | {name: pair[k] for name, pair in summary.items()})
        with (
            atomic_write(self.folder / "folds.csv") as temporary,
            open(temporary, "w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    def _join_rows(self) -> None:
        """Put the folds' tables under one another, as they are."""
        parts = [(f / Fold.ROWS).read_text(encoding="utf-8") for f in self.folders]
        header = parts[0].partition("\n")[0]
        with atomic_write(self.folder / Fold.ROWS) as temporary:
            body = "".join(part.partition("\n")[2] for part in parts)
            temporary.write_text(f"{header}\n{body}", encoding="utf-8")


def _check(loaded: Recipe) -> None:
    try:
        recipe.check(loaded)
    except RecipeError as error:
        if "'fold'" in str(error):
            raise RecipeError(
                f"the task {loaded.task!r} has no setting fold, so it cannot be cross-validated. "
                "Tasks that can: those with a parameter `fold` (see fieldgrad recipes show "
                "--resolved)."
            ) from error
        raise
