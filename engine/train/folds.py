"""Cross-validation: train without a part of the data, for every part, and judge all together."""

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine.errors import DataError, RecipeError
from fieldgrad.engine.files import atomic_write
from fieldgrad.engine.train.prediction import Ensemble, Predictions

if TYPE_CHECKING:
    from fieldgrad.engine.train.learner import Learner

__all__ = ["CrossValidation", "Fold", "cross_validate", "fold_indices"]


def fold_indices(
    n_items: int,
    n_folds: int = 5,
    *,
    labels: Sequence[Hashable] | None = None,
    groups: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Divide items into folds of nearly equal size.

    Parameters
    ----------
    n_items : int
        Number of items.
    n_folds : int, default 5
        Number of folds, at least 2.
    labels : sequence of n_items hashable, optional
        Classes that each fold should have in nearly equal parts.
    groups : sequence of n_items hashable, optional
        Items of one group (scans of one person, conformers of one molecule) stay in one fold.
    seed : int, default 0
        The same seed gives the same folds.

    Returns
    -------
    list of (ndarray of int64, ndarray of int64)
        For each fold the items to train on and those to judge with, in ascending order.

    Raises
    ------
    DataError
        If there are fewer items or groups than folds, or both labels and groups are given.

    Examples
    --------
    >>> [valid.tolist() for _, valid in fold_indices(4, 2, labels=["a", "a", "b", "b"])]
    [[0, 2], [1, 3]]
    """
    if labels is not None and groups is not None:
        raise DataError("fold_indices: give labels or groups, not both.")
    keys = list(range(n_items)) if groups is None else list(groups)
    if len(keys) != n_items or (labels is not None and len(labels) != n_items):
        raise DataError(f"fold_indices: expected labels or groups for each of {n_items} items.")
    distinct = list(dict.fromkeys(keys))
    if not 2 <= n_folds <= len(distinct):
        what = "items" if groups is None else "groups"
        raise DataError(
            f"fold_indices: {n_folds} folds of {len(distinct)} {what}; expected 2 folds or more, "
            f"and not more than {what}."
        )
    rng = np.random.default_rng(seed)
    order = [distinct[i] for i in rng.permutation(len(distinct))]
    if labels is not None:  # class after class, so that dealing them out spreads each evenly
        order.sort(key=lambda i: str(labels[i]))
    sizes = Counter(keys)
    if groups is not None:  # large groups first, each to the smallest fold
        order.sort(key=lambda key: -sizes[key])
    filled, fold_of = [0] * n_folds, {}
    for k, key in enumerate(order):
        fold = k % n_folds if groups is None else int(np.argmin(filled))
        filled[fold] += sizes[key]
        fold_of[key] = fold
    place = np.array([fold_of[key] for key in keys])
    return [(np.flatnonzero(place != k), np.flatnonzero(place == k)) for k in range(n_folds)]


@dataclass(frozen=True)
class Fold:
    """One run of a cross-validation, as a recipe's setting ``fold = "2/5"`` names it.

    A task with this setting trains without the items of the fold, judges the model with them, and
    writes down what it found; ``fieldgrad run RECIPE --folds 5`` runs all of them and joins them.

    Parameters
    ----------
    number : int
        From 1.
    n_folds : int
        Number of folds.

    Examples
    --------
    >>> fold = Fold.parse("2/5")
    >>> train, held_back = fold.divide(10)
    >>> len(train), len(held_back)
    (8, 2)
    """

    number: int
    n_folds: int

    SCORES, ROWS = "fold.json", "out_of_fold.csv"

    def __str__(self) -> str:
        return f"{self.number}/{self.n_folds}"

    @classmethod
    def parse(cls, text: str) -> "Fold":
        """Read the setting of a recipe.

        Parameters
        ----------
        text : str
            Such as "2/5", the second of five folds.

        Returns
        -------
        Fold
            The fold.

        Raises
        ------
        RecipeError
            If there is no such fold.
        """
        match = re.fullmatch(r"(\d+)/(\d+)", text.strip())
        if not match or not 1 <= int(match[1]) <= int(match[2]) or int(match[2]) < 2:
            raise RecipeError(
                f'fold is {text!r}; expected such as "2/5", the second of five folds.'
            )
        return cls(int(match[1]), int(match[2]))

    def divide(
        self,
        n_items: int,
        *,
        labels: Sequence[Hashable] | None = None,
        groups: Sequence[Hashable] | None = None,
        seed: int = 0,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Divide items into those to train on and those of this fold; see `fold_indices`.

        Parameters
        ----------
        n_items : int
            Number of items.
        labels, groups : sequence of n_items hashable, optional
            Classes to spread evenly, or what must not be divided.
        seed : int, default 0
            Has to be the same for all folds.

        Returns
        -------
        train, held_back : ndarray of int64
            Ascending.

        Raises
        ------
        DataError
            As by `fold_indices`.
        """
        parts = fold_indices(n_items, self.n_folds, labels=labels, groups=groups, seed=seed)
        return parts[self.number - 1]

    def write(
        self, run_dir: Path, scores: Mapping[str, float], rows: Iterable[Mapping[str, Any]]
    ) -> None:
        """Write what the model of this fold gives for the items of the fold; last of all.

        Parameters
        ----------
        run_dir : Path
            Folder of the run; ``out_of_fold.csv`` and ``fold.json`` are written.
        scores : mapping of str to float
            How good the model is there, by name.
        rows : iterable of mapping
            A row for each item (or each of its parts), with one set of columns: what it is called,
            what was predicted, what would have been right.

        Raises
        ------
        FileError
            If a file cannot be written.
        """
        with (
            atomic_write(run_dir / self.ROWS) as temporary,
            open(temporary, "w", newline="", encoding="utf-8") as file,
        ):
            writer: csv.DictWriter[str] | None = None
            for row in rows:
                if writer is None:
                    writer = csv.DictWriter(file, ["fold", *row])
                    writer.writeheader()
                writer.writerow({"fold": self.number, **row})
        content = {"fold": self.number, "n_folds": self.n_folds, "scores": dict(scores)}
        with atomic_write(run_dir / self.SCORES) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class CrossValidation:
    """What a cross-validation gave.

    Parameters
    ----------
    learners : list of Learner
        One for each fold, trained.
    rows : list of dict
        The last row of each learner's history.
    """

    learners: "list[Learner]"
    rows: list[dict[str, float]]

    def summary(self) -> dict[str, tuple[float, float]]:
        """Give mean and standard deviation over the folds.

        Returns
        -------
        dict of str to (float, float)
            For the validation loss and each metric; the deviation is between folds, divided by
            n - 1, and no confidence interval, for the folds share their training data.
        """
        names = [n for n in self.rows[0] if n not in ("epoch", "step", "seconds", "lr")]
        columns = {name: np.array([row[name] for row in self.rows]) for name in names}
        return {name: (float(c.mean()), float(c.std(ddof=1))) for name, c in columns.items()}

    def predictions(self) -> list[Predictions]:
        """Give what each fold's model predicts for the fold's own items, out of fold.

        Returns
        -------
        list of Predictions
            For each fold its validation data, in order: every item once, by a model that has not
            seen it.
        """
        return [learner.predict() for learner in self.learners]

    def ensemble(self, activation: Callable[[Any], Any] | None = None) -> Ensemble:
        """Join the folds' models.

        Parameters
        ----------
        activation : callable, optional
            Applied before the mean, such as ``softmax``.

        Returns
        -------
        Ensemble
            The mean of their predictions.
        """
        return Ensemble([learner.model for learner in self.learners], activation)


def cross_validate(
    make: "Callable[[int], Learner]",
    budget: str,
    n_folds: int = 5,
    *,
    one_cycle: bool = False,
    resume: bool = False,
) -> CrossValidation:
    """Train a learner for each fold.

    Parameters
    ----------
    make : callable
        Gives the learner of a fold (0, 1, …), with that fold's data and, for runs that can be
        resumed, a run_dir of its own; see `fold_indices`.
    budget : str
        For each fold, as for `Learner.fit`.
    n_folds : int, default 5
        Number of folds.
    one_cycle : bool, default False
        Train with `Learner.fit_one_cycle`.
    resume : bool, default False
        Go on with what an interrupted cross-validation left; finished folds are not trained again.

    Returns
    -------
    CrossValidation
        Learners and their values.
    """
    learners = []
    for fold in range(n_folds):
        learner = make(fold)
        train = learner.fit_one_cycle if one_cycle else learner.fit
        train(budget, resume=resume)
        learners.append(learner)
    return CrossValidation(learners, [learner.history[-1] for learner in learners])
