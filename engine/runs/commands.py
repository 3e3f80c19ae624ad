"""The commands about runs: ``runs``, ``report``, ``replay``, ``knobs``, ``live`` and ``sweep``."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from fieldgrad.engine import recipe as recipes_of
from fieldgrad.engine.errors import FileError, RecipeError
from fieldgrad.engine.recipe import Recipe

__all__ = ["app", "run_folds"]

app = typer.Typer()
console = Console()

Folder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")]

_STYLES = {"running": "green", "paused": "yellow", "failed": "red", "killed": "red"}


@app.command()
def runs(
    root: Annotated[Path, typer.Argument(help="Folder to look in, with all below it.")] = Path(
        "runs"
    ),
) -> None:
    """List runs with their state, best value and duration, the newest first."""
    from fieldgrad.engine.runs.listing import find_runs

    if not root.is_dir():
        raise FileError(f"{root} is no folder. Name the one that your runs are in.", root)
    lines = find_runs(root)
    table = Table("run", "state", "steps", "best epoch", "time", box=None, pad_edge=False)
    for line in lines:
        state = f"[{_STYLES.get(line.state, 'default')}]{line.state}[/]"
        table.add_row(str(line.folder), state, line.position, line.best, line.duration)
    console.print(table if lines else f"There is no run in {root}.", soft_wrap=True)


@app.command()
def report(
    run: Folder,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="HTML file; default: report.html in RUN.")
    ] = None,
) -> None:
    """Write one HTML page about a run: curves, metrics, pictures, recipe, machine, knobs."""
    from fieldgrad.engine.runs.report import write_report

    console.print(f"Written: {write_report(run, out)}", highlight=False, soft_wrap=True)


@app.command()
def replay(
    run: Folder,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="New folder; default: RUN-replay.")
    ] = None,
) -> None:
    """Repeat a run with its knob history, and compare the weights bit by bit."""
    from fieldgrad.engine.runs.repeat import replay as repeat

    folder = out or run.resolve().with_name(f"{run.resolve().name}-replay")
    script, differing = repeat(run, folder)
    n = len(script.changes)
    what = f"{script.last_step} steps, {n} change{'s' * (n != 1)} of knobs"
    if differing:
        shown = ", ".join(differing[:3])
        raise RecipeError(
            f"the replay of {run} ({what}) ended at other values: {len(differing)} arrays differ "
            f"({shown}).\nWas it made with other versions or another machine? Compare the "
            f"versions in both run.json; the replay is in {folder}."
        )
    console.print(
        f"Replayed {what}: the same weights, bit for bit. The replay is in {folder}",
        highlight=False, soft_wrap=True,
    )  # fmt: skip


@app.command()
def knobs(
    run: Folder,
    asked: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[set NAME=VALUE … | pause | resume | stop | validate | save]",
            help="What to change; without it the knobs are listed.",
        ),
    ] = None,
) -> None:
    """List the knobs of a run that trains, or turn them: knobs RUN set lr=1e-4."""
    from fieldgrad.engine.train.run import Run

    there = Run(run)
    if not asked:
        _list_knobs(there.status())
        return
    if asked[0] == "set":
        pairs = [entry.partition("=") for entry in asked[1:]]
        if not pairs or not all(name and equals and value for name, equals, value in pairs):
            raise RecipeError("knobs: expected set NAME=VALUE, for example: set lr=1e-4 patience=5")
        said = there.request({name: value for name, _, value in pairs}, source="terminal")
    elif len(asked) == 1:
        said = there.request({}, asked[0], source="terminal")
    else:
        raise RecipeError(f"knobs: {' '.join(asked)!r}; expected set NAME=VALUE, or one action.")
    console.print(said, highlight=False, soft_wrap=True)


def _list_knobs(status: dict[str, Any]) -> None:
    if not status.get("knobs"):
        raise RecipeError(
            "this run has no knobs: it has not begun to train, or is of an older fieldgrad."
        )
    table = Table("knob", "value", "what it does", "expects", box=None, pad_edge=False)
    for knob in status["knobs"]:
        table.add_row(knob["name"], f"{knob['value']:g}", knob["summary"], knob["expected"])
    console.print(table)
    console.print(f"\nThe run is {status['state']}, at step {status['step']}.", highlight=False)


@app.command()
def live(
    run: Folder,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page.")] = True,
) -> None:
    """Show a run in the browser while it trains, and turn its knobs there; end with Ctrl-C."""
    from fieldgrad.engine.runs.live import serve

    server = serve(run, port=port, open_browser=browser)
    console.print(f"The run is shown at {server.url}", highlight=False, soft_wrap=True)
    server.wait()


@app.command()
def sweep(
    recipe: Annotated[str, typer.Argument(help="Such as neuro/mni152-tissues, or a .toml file.")],
    grid: Annotated[
        list[str] | None,
        typer.Option(
            "--grid", metavar="KEY=A,B,…", help="Choices of a setting: --grid lr=1e-3,3e-3"
        ),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(min=1, help="How many; default: every combination.")
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Replace a setting in all trials."),
    ] = None,
    metric: Annotated[str, typer.Option(help="Column of the history to compare.")] = "valid_loss",
    higher: Annotated[bool, typer.Option("--higher", help="A higher value is better.")] = False,
    search: Annotated[str, typer.Option(help="grid, or optuna (extra: search).")] = "grid",
    seed: Annotated[int, typer.Option(help="Seed of the choice of trials.")] = 0,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for all trials.")] = None,
) -> None:
    """Run a recipe with many settings, one after the other; the same command goes on with it."""
    from fieldgrad.engine.runs.sweep import Sweep, Trial, parse_grid

    if search not in ("grid", "optuna"):
        raise RecipeError(f"--search {search!r}; expected grid or optuna.")
    work = Sweep(
        recipe, out or Path("runs") / f"{Path(recipe).stem}-sweep", parse_grid(grid or []),
        n_trials=trials, sets=sets or (), metric=metric, higher_is_better=higher, search=search,
        seed=seed,
    )  # fmt: skip

    def tell(trial: Trial) -> None:
        shown = "  ".join(trial.overrides())
        value = f"{metric} {trial.value:.5g}" if trial.value == trial.value else ""
        where = f"trial {trial.number}/{work.n_trials}"
        console.print(f"{where}  {shown}  {trial.state} {value}", highlight=False, soft_wrap=True)

    work.run(lambda loaded, folder: recipes_of.run(loaded, folder, resume=True), tell)
    table = Table("trial", *work.grid, metric, box=None, pad_edge=False)
    for trial in work.ranked():
        value = f"{trial.value:.5g}" if trial.value == trial.value else trial.state
        table.add_row(str(trial.number), *(trial.settings.get(key, "") for key in work.grid), value)
    console.print(table)
    console.print(f"Results are in {work.folder} (sweep.html, sweep.csv)", highlight=False)


def run_folds(loaded: Recipe, folder: Path, n_folds: int) -> None:
    """Cross-validate a recipe and print the table of folds; for verbs of fields too.

    Parameters
    ----------
    loaded : Recipe
        The recipe.
    folder : Path
        For all folds; what stands there is not run again.
    n_folds : int
        How many.
    """
    from fieldgrad.engine.runs.crossing import Crossing
    from fieldgrad.engine.train.folds import Fold

    work = Crossing(loaded, folder, n_folds)

    def tell(fold: Fold, scores: dict[str, float]) -> None:
        text = "  ".join(f"{name} {value:.5g}" for name, value in scores.items())
        console.print(f"fold {fold.number}/{n_folds}  {text}", highlight=False, soft_wrap=True)

    try:
        scores = work.run(lambda loaded, out: recipes_of.run(loaded, out, resume=True), tell)
    except KeyboardInterrupt:
        console.print(f"\nStopped. The same command goes on with {folder}.", soft_wrap=True)
        raise typer.Exit(130) from None
    table = Table("score", *(f"fold {fold.number}" for fold in work.folds), "mean ± spread",
                  box=None, pad_edge=False)  # fmt: skip
    for name, (mean, spread) in work.summary(scores).items():
        table.add_row(name, *(f"{row[name]:.4g}" for row in scores), f"{mean:.4g} ± {spread:.2g}")
    console.print(table)
    written = [folder / "folds.csv", folder / Fold.ROWS]
    written += [p for p in [folder / "model.safetensors"] if p.exists()]
    for path in written:
        console.print(str(path), highlight=False, soft_wrap=True)
