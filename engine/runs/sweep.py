"""Sweeps: one recipe with many settings, one run after the other, and what came of them."""

import csv
import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from fieldgrad.engine import recipe
from fieldgrad.engine.charts import Curve, chart
from fieldgrad.engine.errors import FieldgradError, RecipeError, require
from fieldgrad.engine.files import atomic_write
from fieldgrad.engine.recipe import Recipe
from fieldgrad.engine.train.run import Run, to_json

__all__ = ["Sweep", "Trial", "parse_grid"]


@dataclass
class Trial:
    """One run of a sweep.

    Parameters
    ----------
    number : int
        From 1.
    settings : dict of str to str
        What it sets in the recipe, as ``--set`` takes it.
    folder : Path
        Of its run.
    state : str
        State of the run, "begins" before it.
    value : float
        What is compared; NaN without one.
    """

    number: int
    settings: dict[str, str]
    folder: Path
    state: str = "begins"
    value: float = math.nan

    def overrides(self) -> list[str]:
        """Give the settings as overrides of a recipe.

        Returns
        -------
        list of str
            Such as ``"lr=1e-3"``.
        """
        return [f"{key}={value}" for key, value in self.settings.items()]


def parse_grid(entries: Sequence[str]) -> dict[str, list[str]]:
    """Read the choices of a sweep.

    Parameters
    ----------
    entries : sequence of str
        Such as ``"lr=1e-3,3e-3"``; lists in brackets count as one choice.

    Returns
    -------
    dict of str to list of str
        The choices of each setting.

    Raises
    ------
    RecipeError
        If one is no setting with choices.

    Examples
    --------
    >>> parse_grid(["lr=1e-3,3e-3", "model.features=[4, 8],[8, 16]"])
    {'lr': ['1e-3', '3e-3'], 'model.features': ['[4, 8]', '[8, 16]']}
    """
    grid: dict[str, list[str]] = {}
    for entry in entries:
        key, equals, text = entry.partition("=")
        choices, depth, current = [], 0, ""
        for letter in text:
            depth += (letter in "[{") - (letter in "]}")
            if letter == "," and depth == 0:
                choices.append(current.strip())
                current = ""
            else:
                current += letter
        choices.append(current.strip())
        if not equals or not key.strip() or not all(choices) or key.strip() in grid:
            raise RecipeError(f"--grid {entry!r}: expected setting=choice,choice once for each.")
        grid[key.strip()] = choices
    if not grid:
        raise RecipeError("sweep: there is nothing to vary. Add --grid lr=1e-3,3e-3 for instance.")
    return grid


class Sweep:
    """The trials of a sweep, in a folder of their own, from which an interrupted one goes on.

    Parameters
    ----------
    recipe_name : str
        The recipe.
    folder : Path
        For all trials and the results.
    grid : mapping of str to sequence of str
        The choices of each setting.
    n_trials : int, optional
        How many; by default every combination. Fewer are drawn at random, without repetition.
    sets : sequence of str, optional
        Overrides for all trials.
    metric : str, default "valid_loss"
        A column of the history; the trials are compared by its best value.
    higher_is_better : bool, default False
        Whether the value is one such as Dice, or one such as a loss.
    search : {"grid", "optuna"}
        Draw from the combinations, or let optuna propose each from the results so far.
    seed : int, default 0
        Seed of the draw and of optuna.

    Raises
    ------
    RecipeError
        If the folder holds a sweep with other settings, or a combination does not check.
    """

    def __init__(
        self,
        recipe_name: str,
        folder: Path,
        grid: Mapping[str, Sequence[str]],
        *,
        n_trials: int | None = None,
        sets: Sequence[str] = (),
        metric: str = "valid_loss",
        higher_is_better: bool = False,
        search: str = "grid",
        seed: int = 0,
    ) -> None:
        self.recipe_name, self.folder, self.sets = recipe_name, folder, list(sets)
        self.grid = {key: list(choices) for key, choices in grid.items()}
        self.metric, self.higher_is_better = metric, higher_is_better
        self.search, self.seed = search, seed
        n_all = math.prod(len(choices) for choices in self.grid.values())
        self.n_trials = n_all if n_trials is None else n_trials
        if search == "grid":
            self.n_trials = min(self.n_trials, n_all)
        self._refuse_another()
        self.trials: list[Trial] = []
        if search == "grid":
            combinations = list(itertools.product(*self.grid.values()))
            chosen = np.arange(n_all)
            if self.n_trials < n_all:
                chosen = np.sort(np.random.default_rng(seed).permutation(n_all)[: self.n_trials])
            for i in chosen:
                self._add(dict(zip(self.grid, combinations[i], strict=True)))
        for key, choices in self.grid.items():  # a mistake shall not wait for its turn
            for choice in choices:
                recipe.check(recipe.load(recipe_name, [*self.sets, f"{key}={choice}"]))

    def run(
        self,
        carry_out: Callable[[Recipe, Path], object],
        tell: Callable[[Trial], None] = lambda trial: None,
    ) -> list[Trial]:
        """Run the trials that are not finished, and write the results after each.

        Parameters
        ----------
        carry_out : callable
            Runs a recipe in a folder, and resumes what is there.
        tell : callable, optional
            Called with each trial before and after it.

        Returns
        -------
        list of Trial
            All of them, in order.
        """
        propose = self._proposer() if self.search == "optuna" else None
        for k in range(self.n_trials):
            trial = self.trials[k] if propose is None else self._add(propose(self.trials))
            self._look(trial)
            if trial.state != "finished":
                tell(trial)
                loaded = recipe.load(self.recipe_name, [*self.sets, *trial.overrides()])
                try:
                    carry_out(loaded, trial.folder)
                except FieldgradError as error:  # one bad combination shall not end the others
                    trial.state = "failed"
                    trial.folder.mkdir(parents=True, exist_ok=True)
                    (trial.folder / "error.txt").write_text(f"{error}\n", encoding="utf-8")
                self._look(trial)
            tell(trial)
            self.write()
        return self.trials

    def ranked(self) -> list[Trial]:
        """Give the trials with a value, the best first.

        Returns
        -------
        list of Trial
            Those without a value come last.
        """
        sign = -1.0 if self.higher_is_better else 1.0
        return sorted(
            self.trials,
            key=lambda t: (math.isnan(t.value), 0.0 if math.isnan(t.value) else sign * t.value),
        )

    def write(self) -> None:
        """Write ``sweep.csv`` and ``sweep.html``, whole or not at all."""
        with (
            atomic_write(self.folder / "sweep.csv") as temporary,
            open(temporary, "w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(["trial", *self.grid, "state", self.metric])
            for trial in self.trials:
                value = "" if math.isnan(trial.value) else repr(trial.value)
                settings = [trial.settings.get(key, "") for key in self.grid]
                writer.writerow([trial.number, *settings, trial.state, value])
        with atomic_write(self.folder / "sweep.html") as temporary:
            temporary.write_text(self.page(), encoding="utf-8")

    def page(self) -> str:
        """Draw each setting against the value.

        Returns
        -------
        str
            One HTML page that needs no network.
        """
        done = [trial for trial in self.trials if not math.isnan(trial.value)]
        figures = "".join(f"<figure>{self._chart(key, done)}</figure>" for key in self.grid)
        head = "".join(f"<th>{escape(name)}</th>" for name in ("trial", *self.grid, self.metric))
        body = ""
        for t in self.ranked():
            cells = [str(t.number), *(t.settings.get(key, "") for key in self.grid)]
            cells.append(t.state if math.isnan(t.value) else f"{t.value:.5g}")
            body += "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
        style = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
        return (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Sweep</title><style>'
            f"{style}</style><main><p class=kicker>fieldgrad sweep</p><h1>"
            f"{escape(self.recipe_name)}</h1><p>{len(done)} of {self.n_trials} trials; the best "
            f"first.</p><table><tr>{head}</tr>{body}</table>{figures}</main></html>\n"
        )

    def _chart(self, key: str, done: Sequence[Trial]) -> str:
        choices = self.grid[key]
        numbers = [_number(choice) for choice in choices]
        named = any(math.isnan(number) for number in numbers)
        if named:
            numbers = [float(k) for k in range(len(choices))]
        at = dict(zip(choices, numbers, strict=True))
        log = not named and min(numbers) > 0 and max(numbers) >= 20 * min(numbers)
        x = [at[trial.settings[key]] for trial in done]
        curve = Curve(self.metric, x, [trial.value for trial in done], dots=True, lines=False)
        return chart(
            [curve], x_label=key, y_label=self.metric, title=f"{self.metric} by {key}", log_x=log,
            x_names=choices if named else (),
        )  # fmt: skip

    def _add(self, settings: dict[str, str]) -> Trial:
        number = len(self.trials) + 1
        self.trials.append(Trial(number, settings, self.folder / f"trial-{number:03d}"))
        return self.trials[-1]

    def _look(self, trial: Trial) -> None:
        """Read state and value of a trial from its folder."""
        if not trial.folder.is_dir():
            return
        run = Run(trial.folder)
        state = run.status().get("state")
        trial.state = state or trial.state
        values = [row.get(self.metric) for row in run.log()[0] if row["kind"] == "epoch"]
        known = [value for value in values if value is not None]
        if known:
            trial.value = max(known) if self.higher_is_better else min(known)
        elif values:
            columns = sorted({key for row in run.log()[0] for key in row if row["kind"] == "epoch"})
            raise RecipeError(
                f"sweep: the runs have no {self.metric!r}. Columns: {', '.join(columns)}. Choose "
                "one with --metric."
            )

    def _proposer(self) -> Callable[[Sequence[Trial]], dict[str, str]]:
        """Let optuna choose from the grid; what is finished is told to it first, in order."""
        optuna = require("optuna", extra="search")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(seed=self.seed, n_startup_trials=5)
        direction = "maximize" if self.higher_is_better else "minimize"
        study = optuna.create_study(direction=direction, sampler=sampler)
        asked: list[Any] = []

        def propose(trials: Sequence[Trial]) -> dict[str, str]:
            if asked:
                value = trials[-1].value
                failed = optuna.trial.TrialState.FAIL
                study.tell(asked[-1], *([None, failed] if math.isnan(value) else [value]))
            asked.append(study.ask())
            return {k: asked[-1].suggest_categorical(k, list(v)) for k, v in self.grid.items()}

        return propose

    def _refuse_another(self) -> None:
        """Write down what the sweep is, or compare with what stands there."""
        path = self.folder / "sweep.json"
        names = ("recipe_name", "sets", "grid", "metric", "higher_is_better", "search", "seed")
        content = {name: getattr(self, name) for name in names} | {"n_trials": self.n_trials}
        if not path.exists():
            with atomic_write(path) as temporary:
                temporary.write_text(to_json(content, indent=1), encoding="utf-8")
            return
        old = json.loads(path.read_text(encoding="utf-8"))
        changed = [k for k in content if k != "n_trials" and old.get(k) != content[k]]
        if changed:
            raise RecipeError(
                f"{self.folder} holds a sweep with another {', '.join(changed)}. Choose another "
                "folder with --out, or give the same settings to go on with it."
            )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
