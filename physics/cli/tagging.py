"""The verbs about models: ``fieldgrad physics train``, ``evaluate``, ``predict`` and ``plot``."""

from collections.abc import Sequence
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
    list[str] | None,
    typer.Option("--train", help="Files to train on, or CLASS=FILES; repeat for several."),
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
    target: Annotated[
        str, typer.Option(help="With a CONFIG: estimate this number of each jet, no classes.")
    ] = "",
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
    """Train a tagger and compare it with boosted trees and cuts, or an estimate."""
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
        own += [f"target='{target}'", "baseline=''"] if target else []
        base = "physics/groomed-mass" if target else "physics/top-pfn"
        recipe = load(base, [*own, *(sets or ())])
        settings = {**recipe.settings, **settings}
    named = Recipe(find_field("physics"), recipe.task, recipe.summary, settings, recipe.origin)
    carry_out(named, out or Path("runs") / Path(what).stem, resume=resume)


def evaluate(
    files: Files,
    model: ModelFile,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the results.")] = None,
    train: TrainingFiles = None,
    config: ConfigFile = None,
    baseline: Annotated[
        str, typer.Option(help="Of a regression: an observable to stand beside it.")
    ] = "",
    pdf: Pdf = False,
) -> None:
    """Compare a model with the truth of jets; a tagger with --train also with trees."""
    from fieldgrad.physics.jets.substructure import with_observables
    from fieldgrad.physics.reading.datasets import OBSERVABLES
    from fieldgrad.physics.tagging.model import JetModel
    from fieldgrad.physics.tagging.regressor import Regressor
    from fieldgrad.physics.tagging.report import compare, compare_estimates

    require("matplotlib", extra="physics")
    used = JetModel.load(model)
    folder = out or model.parent / "evaluation"
    suffix = ".pdf" if pdf else ".png"
    if isinstance(used, Regressor):
        more = [name for name in (used.target, baseline) if name]
        test, found = _predicted(used, _stream(files, used, config, truth=True, observers=more))
        text = compare_estimates(used, found, test, folder, baseline=baseline, suffix=suffix)
    else:
        grown = None
        if train:
            require("sklearn", extra="physics")
            stream = _stream(train, used, config, truth=True, training=True)
            grown = with_observables(stream.sample(), OBSERVABLES)
        test, found = _predicted(used, _stream(files, used, config, truth=True))
        text = compare(
            {type(used.network).__name__: found},
            test,
            folder,
            train=grown,
            observables=OBSERVABLES if grown is not None else (),
            suffix=suffix,
        )
    console.print(text, highlight=False, soft_wrap=True)
    console.print(f"Figures and plots are in {folder}", highlight=False, soft_wrap=True)


def predict(
    files: Files,
    model: ModelFile,
    out: Annotated[Path, typer.Option("--out", "-o", help="Scores: .root, .h5 or .parquet.")],
    config: ConfigFile = None,
) -> None:
    """Tag jets, or estimate: scores beside observers, in the order of the input."""
    from fieldgrad.physics.reading.outputs import SUFFIXES, beside, write_columns
    from fieldgrad.physics.reading.streams import find_files
    from fieldgrad.physics.tagging.model import JetModel

    if out.suffix.lower() not in SUFFIXES:
        raise DataError(f"--out {out} ends in {out.suffix!r}; expected {', '.join(SUFFIXES)}.")
    if out.resolve() in {Path(file).resolve() for file in find_files(files)}:
        raise DataError(f"--out {out} would overwrite the jets; give another name.")
    used = JetModel.load(model)
    jets, found = _predicted(used, _stream(files, used, config, truth=False), keep=False)
    write_columns(out, beside(jets, used.columns(found)))
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


def _absolute(files: list[str]) -> list[str] | dict[str, str]:
    """Paths that mean the same from any folder, so that the run can be continued."""

    def full(file: str) -> str:
        return file if "://" in file else str(Path(file).absolute())

    given = _by_class(files)
    if isinstance(given, dict):
        return {name: full(file) for name, file in given.items()}
    return [full(file) for file in given]


def _by_class(files: list[str]) -> list[str] | dict[str, str]:
    """Files of all classes, or a pattern for each class where they are given as CLASS=FILES."""
    pairs = [file.partition("=") for file in files if "=" in file and not Path(file).exists()]
    if not pairs:
        return files
    names = [name for name, _, _ in pairs]
    if len(pairs) < len(files) or len(set(names)) < len(names):
        raise DataError(
            f"files are {' '.join(files)}; expected FILES, or CLASS=FILES once for each class, "
            "such as QCD='qcd_*.root' top='top_*.root'."
        )
    return {name: file for name, _, file in pairs}


def _stream(
    files: list[str],
    model: Any,
    config: Path | None,
    *,
    truth: bool,
    training: bool = False,
    observers: Sequence[str] = (),
) -> Any:
    """Read jets as the model's own description says, or another, or the files' layout."""
    from fieldgrad.physics.reading.config import DataConfig
    from fieldgrad.physics.reading.datasets import describe
    from fieldgrad.physics.reading.streams import JetStream, find_files

    if config is not None:
        description = DataConfig.load(config)
    elif model.description is not None:
        description = DataConfig.from_json(model.description)
    else:
        description = describe(find_files(files)[0])
    given = _by_class(files)
    stream = JetStream(given, description.observing(observers), training=training, truth=truth)
    there = stream.label_names or (description.labels.names if description.labels else ())
    known = getattr(model, "label_names", ())
    if truth and known and there and there != known:
        raise DataError(
            f"the files are of the classes {', '.join(there)}; the model knows "
            f"{', '.join(known)}. Give files of all of them, in this order, as CLASS=FILES."
        )
    return stream


def _predicted(model: Any, stream: Any, *, keep: bool = True) -> Any:
    """Predict piece by piece, keeping observables of the jets for figures if wanted."""
    from fieldgrad.physics.reading.datasets import OBSERVABLES
    from fieldgrad.physics.tagging.data import predict_all

    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("jets")
        return predict_all(model, stream, OBSERVABLES if keep else (), partial(_show, bar, task))


def _show(bar: Progress, task: TaskID, done: int, total: int) -> None:
    bar.update(task, completed=done, total=total)


VERBS = (train, evaluate, predict, plot)
