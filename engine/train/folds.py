"""Cross-validation: train without a part of the data, for every part, and judge all together."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine.errors import DataError
from fieldgrad.engine.train.prediction import Ensemble

if TYPE_CHECKING:
    from fieldgrad.engine.train.learner import Learner

__all__ = ["CrossValidation", "cross_validate", "fold_indices"]


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
    elif groups is not None:  # large groups first, each to the smallest fold
        order.sort(key=lambda key: -keys.count(key))
    sizes, fold_of = [0] * n_folds, {}
    for k, key in enumerate(order):
        fold = k % n_folds if groups is None else int(np.argmin(sizes))
        sizes[fold] += keys.count(key) if groups is not None else 1
        fold_of[key] = fold
    place = np.array([fold_of[key] for key in keys])
    return [(np.flatnonzero(place != k), np.flatnonzero(place == k)) for k in range(n_folds)]


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
