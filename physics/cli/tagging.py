"""The verbs about taggers: ``fieldgrad physics train``, ``evaluate``, ``predict`` and ``plot``."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, TaskID

from fieldgrad.engine.cli import carry_out
from fieldgrad.engine.errors import DataError, RecipeError, require, suggest
from fieldgrad.engine.field import find_field
from fieldgrad.engine.recipe import Recipe, load

__all__ = ["VERBS"]

console = Console()

Files = Annotated[
    list[str], typer.Argument(help="ROOT, HDF5 or Parquet files, or patterns in quotes.")
]
ModelFile = Annotated[
    Path, typer.Option("--model", "-m", help="model.safetensors of a training run.")
]
TrainingFiles = Annotated[
    list[str] | None, typer.Option("--train", help="Files to train on; repeat for several.")
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="Analysis description; default: the model's.")
]
Pdf = Annotated[bool, typer.Option("--pdf", help="Plots as .pdf instead of .png.")]
MODELS = (
    "pfn", "efn", "particle_net_lite", "particle_net", "particle_transformer", "lorentz_net",
    "observables_mlp",
)  # fmt: skip


def train(
    what: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE|CONFIG",
            help="A recipe (physics/top-pfn, mine.toml), or a description of an analysis: a "
            "weaver .yaml or a .toml.",
        ),
    ],
    files: TrainingFiles = None,
    valid: Annotated[list[str] | None, typer.Option("--valid", help="To watch with.")] = None,
    test: Annotated[list[str] | None, typer.Option("--test", help="To compare on.")] = None,
    model: Annotated[
        str, typer.Option(help=f"With a CONFIG: {', '.join(MODELS)}.")
    ] = "particle_net_lite",
    budget: Annotated[
        str | None, typer.Option(help='Training time or length: "10min", "20 epochs".')
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Replace a setting: --set batch_size=512"),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the results.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")] = False,
) -> None:
    """Train a tagger and compare it with boosted trees and cuts."""
    given = {"train": files, "valid": valid, "test": test}
    settings: dict[str, Any] = {key: _absolute(value) for key, value in given.items() if value}
    if budget is not None:
        settings["budget"] = budget
    if _is_recipe(what):
        recipe = load(what, sets or ())
        settings = {**recipe.settings, **settings}
    else:
        if model not in MODELS:
            raise RecipeError(f"--model {model!r}{suggest(model, MODELS) or ';'} Models: {MODELS}.")
        if not files:
            raise DataError(f"{what} describes data, but no files are given. Add --train FILES.")
        own = [f'model={{name = "{model}"}}', f"config='{Path(what).resolve()}'"]
        recipe = load("physics/top-pfn", [*own, *(sets or ())])
        settings = {**recipe.settings, **settings}
    named = Recipe(find_field("physics"), recipe.task, recipe.summary, settings, recipe.origin)
    carry_out(named, out or Path("runs") / Path(what).stem, resume=resume)


def evaluate(
    files: Files,
    model: ModelFile,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the results.")] = None,
    train: TrainingFiles = None,
    config: ConfigFile = None,
    pdf: Pdf = False,
) -> None:
    """Compare a tagger's scores with the truth of labeled jets; with --train, trees beside it."""
    from fieldgrad.physics.jets.substructure import with_observables
    from fieldgrad.physics.reading.datasets import OBSERVABLES
    from fieldgrad.physics.tagging.report import compare
    from fieldgrad.physics.tagging.tagger import Tagger
    from fieldgrad.physics.tagging.tasks import PT_EDGES

    require("matplotlib", extra="physics")
    tagger = Tagger.load(model)
    test = with_observables(_read(files, tagger, config, truth=True), OBSERVABLES)
    grown = None
    if train:
        require("sklearn", extra="physics")
        grown = with_observables(_read(train, tagger, config, truth=True), OBSERVABLES)
    folder = out or model.parent / "evaluation"
    text = compare(
        {type(tagger.network).__name__: _tag(tagger, test)},
        test,
        folder,
        train=grown,
        observables=OBSERVABLES if grown is not None else (),
        pt_edges=PT_EDGES,
        suffix=".pdf" if pdf else ".png",
    )
    console.print(text, highlight=False, soft_wrap=True)
    console.print(f"Figures and plots are in {folder}", highlight=False, soft_wrap=True)


def predict(
    files: Files,
    model: ModelFile,
    out: Annotated[Path, typer.Option("--out", "-o", help="Scores: .root, .h5 or .parquet.")],
    config: ConfigFile = None,
) -> None:
    """Tag jets: scores beside truth and observers, in the order of the input."""
    from fieldgrad.physics.reading.outputs import SUFFIXES, scores_table, write_columns
    from fieldgrad.physics.tagging.tagger import Tagger

    if out.suffix.lower() not in SUFFIXES:
        raise DataError(f"--out {out} ends in {out.suffix!r}; expected {', '.join(SUFFIXES)}.")
    if out.resolve() in {Path(file).resolve() for file in files}:
        raise DataError(f"--out {out} would overwrite the jets; give another name.")
    tagger = Tagger.load(model)
    jets = _read(files, tagger, config, truth=False)
    write_columns(out, scores_table(jets, _tag(tagger, jets), tagger.label_names))
    console.print(f"Scores of {len(jets):,} jets are in {out}", highlight=False, soft_wrap=True)


def plot(
    files: Annotated[
        list[Path], typer.Argument(help="Scores with truth: scores.h5 of runs, one per tagger.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the plots.")],
    pdf: Pdf = False,
) -> None:
    """Draw the curves of one or several taggers for the same jets from their scores."""
    from fieldgrad.physics.tagging.report import draw, read_scores

    require("matplotlib", extra="physics")
    scores, jets = read_scores(files)
    draw(scores, jets, out, suffix=".pdf" if pdf else ".png")
    console.print(f"Plots are in {out}", highlight=False, soft_wrap=True)


def _is_recipe(what: str) -> bool:
    """Tell a recipe from a description of an analysis: it has a task."""
    import tomllib

    if what.endswith((".yaml", ".yml")):
        return False
    if not what.endswith(".toml"):
        return True
    try:
        return "inputs" not in tomllib.loads(Path(what).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return True  # whose loader has the message


def _absolute(files: list[str]) -> list[str]:
    """Paths that mean the same from any folder, so that the run can be continued."""
    return [file if "://" in file else str(Path(file).absolute()) for file in files]


def _read(files: list[str], tagger: Any, config: Path | None, *, truth: bool) -> Any:
    """Read jets as the model's own description says, or another, or the files' layout."""
    from fieldgrad.physics.reading.config import DataConfig
    from fieldgrad.physics.reading.streams import read_jets

    description = None
    if config is not None:
        description = DataConfig.load(config)
    elif tagger.description is not None:
        description = DataConfig.from_json(tagger.description)
    return read_jets(files, description, training=False, truth=truth)


def _tag(tagger: Any, jets: Any) -> Any:
    with Progress(console=console, transient=True) as bar:
        return tagger.predict(jets, progress=partial(_show, bar, bar.add_task("jets")))


def _show(bar: Progress, task: TaskID, done: int, total: int) -> None:
    bar.update(task, completed=done, total=total)


VERBS = (train, evaluate, predict, plot)
