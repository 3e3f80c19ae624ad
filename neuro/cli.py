"""The verbs of neuroimaging: ``fieldgrad neuro train``, ``segment`` and ``evaluate``."""

from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from fieldgrad.engine.cli import carry_out
from fieldgrad.engine.errors import DataError, require
from fieldgrad.engine.field import find_field
from fieldgrad.engine.recipe import Recipe
from fieldgrad.engine.runs.commands import run_folds

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True)
console = Console()

ModelFile = Annotated[
    Path, typer.Option("--model", "-m", help="model.safetensors of a training run.")
]
Mirror = Annotated[
    bool,
    typer.Option(
        "--mirror", help="Average over mirrored patches, for models trained with mirror_axes."
    ),
]


@app.command()
def train(
    dataset: Annotated[Path, typer.Argument(help="Folder with dataset.json, imagesTr, labelsTr.")],
    budget: Annotated[
        str, typer.Option(help='Training time or length: "30min", "100 epochs".')
    ] = "10min",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the results.")] = None,
    held_back: Annotated[float, typer.Option(help="Part of the cases kept for evaluation.")] = 0.2,
    base_features: Annotated[int, typer.Option(help="Channels of the finest stage.")] = 8,
    seed: Annotated[int, typer.Option(help="Seed of split, weights and patches.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")] = False,
    folds: Annotated[
        int | None,
        typer.Option(min=2, help="Cross-validate: so many runs; the same command goes on with it."),
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Show it in the browser, with knobs to turn.")
    ] = False,
) -> None:
    """Train a segmentation network on your own labeled images (nnU-Net's folder layout)."""
    from fieldgrad.neuro.images.datasets import open_dataset

    open_dataset(dataset)  # before anything is written
    settings = {
        "dataset": str(dataset.resolve()),  # the run can be continued from any folder
        "budget": budget,
        "held_back": held_back,
        "base_features": base_features,
        "seed": seed,
    }
    recipe = Recipe(find_field("neuro"), "train_on_dataset", "", settings, "fieldgrad neuro train")
    folder = out or Path("runs") / dataset.resolve().name
    if folds is not None:
        run_folds(recipe, folder, folds)
        return
    carry_out(recipe, folder, resume=resume, live=live)


@app.command()
def segment(
    images: Annotated[
        list[str],
        typer.Argument(help="Scans (.nii, .nii.gz, .mgz); channels of one scan joined by commas."),
    ],
    model: ModelFile,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="File for one scan, folder for several.")
    ],
    overlap: Annotated[float, typer.Option(min=0, max=0.95, help="Overlap of patches.")] = 0.5,
    mirror: Mirror = False,
    picture: Annotated[bool, typer.Option("--picture", help="Also draw overlays (.png).")] = False,
) -> None:
    """Segment scans; each result lies on the voxel grid of its scan."""
    from fieldgrad.neuro.images.io import read_image, write_labels
    from fieldgrad.neuro.segmentation.metrics import volumes, write_tsv
    from fieldgrad.neuro.segmentation.report import plot_overlay
    from fieldgrad.neuro.segmentation.segmenter import Segmenter

    segmenter = Segmenter.load(model)
    scans = [[Path(channel) for channel in image.split(",")] for image in images]
    targets = _targets(scans, out)
    if picture:
        require("matplotlib", extra="neuro")
    # A bad scan shall stop the work before it begins, without holding all of them in memory. The
    # first is read when its own work begins, which is now.
    for paths in scans[1:]:
        segmenter.preparation.check([read_image(path, check=False) for path in paths])
    table_file = f"{_stem(out)}_volumes.tsv" if out in targets else "volumes.tsv"
    rows = []
    with Progress(console=console, transient=True) as bar:
        for paths, target in zip(scans, targets, strict=True):
            task = bar.add_task(paths[0].name)
            channels = [read_image(path, check=False) for path in paths]
            result = segmenter.predict(
                channels,
                overlap=overlap,
                mirror=mirror,
                progress=partial(_show, bar, task),
            )
            write_labels(result, target)
            if picture:
                plot_overlay(channels[0], result, target.parent / f"{_stem(target)}.png")
            rows += [
                {
                    "scan": _stem(paths[0]),
                    "label": value,
                    "name": segmenter.labels[value],
                    "volume_mm3": volume,
                }
                for value, volume in volumes(result).items()
            ]
            write_tsv(rows, target.parent / table_file)  # now, in case the work is interrupted
    table = Table("scan", "structure", "volume (mm³)", box=None, pad_edge=False)
    for row in rows:
        table.add_row(str(row["scan"]), str(row["name"]), f"{row['volume_mm3']:,.0f}")
    console.print(table)
    console.print(
        f"Segmentations and {table_file} are in {targets[0].parent}",
        highlight=False,
        soft_wrap=True,
    )


@app.command()
def evaluate(
    dataset: Annotated[Path, typer.Argument(help="Folder with dataset.json, imagesTr, labelsTr.")],
    model: ModelFile,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the results.")] = None,
    all_cases: Annotated[
        bool, typer.Option("--all", help="All cases, not only those held back from training.")
    ] = False,
    mirror: Mirror = False,
) -> None:
    """Compare segmentations with the labels of held-back cases."""
    from fieldgrad.neuro.segmentation.segmenter import Segmenter
    from fieldgrad.neuro.segmentation.tasks import evaluate_dataset

    segmenter = Segmenter.load(model)
    folder = out or model.parent / "evaluation"
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("cases")
        rows = evaluate_dataset(
            dataset,
            segmenter,
            out=folder,
            all_cases=all_cases,
            mirror=mirror,
            progress=partial(_show, bar, task),
        )
    table = Table("structure", "cases", "Dice", "SD", "worst", "HD95 (mm)", "ASSD (mm)", box=None)
    means, n_one_sided = [], 0
    for name in dict.fromkeys(row["name"] for row in rows):
        # Where a structure is neither present nor predicted, there is nothing to score.
        own = [row for row in rows if row["name"] == name and not np.isnan(row["dice"])]
        if not own:
            table.add_row(name, "0", *5 * ["n/a"])
            continue
        # Where only one of the two has it, Dice is 0 and its surface has no distance.
        both = [row for row in own if np.isfinite(row["hd95_mm"])]
        n_one_sided += len(own) - len(both)
        scores = [row["dice"] for row in own]
        worst = own[int(np.argmin(scores))]
        means.append(np.mean(scores))
        table.add_row(
            name,
            str(len(own)),
            f"{means[-1]:.3f}",
            f"{np.std(scores):.3f}",
            f"{worst['dice']:.3f} ({worst['case']})",
            *(
                f"{np.mean([row[key] for row in both]):.2f}" if both else "n/a"
                for key in ("hd95_mm", "assd_mm")
            ),
        )
    console.print(table)
    if n_one_sided:
        console.print(f"Distances leave out {n_one_sided} structures missed or made up (Dice 0).")
    mean = f"{np.mean(means):.3f}" if means else "n/a"
    console.print(
        f"Mean Dice {mean}. Every case: {folder / 'evaluation.tsv'}",
        highlight=False,
        soft_wrap=True,
    )


def _targets(scans: list[list[Path]], out: Path) -> list[Path]:
    """Name the output file of each scan, and refuse what would overwrite a scan or a result."""
    from fieldgrad.neuro.images.io import SUFFIXES

    if out.name.lower().endswith(SUFFIXES) and not out.is_dir():
        if len(scans) > 1:
            raise DataError(
                f"{out} is one file for {len(scans)} scans; give a folder: "
                f"--out {out.parent / 'results'}."
            )
        targets = [out]
    elif out.exists() and not out.is_dir():
        raise DataError(
            f"{out} is a file; expected a folder, or a name that ends in {', '.join(SUFFIXES)}."
        )
    else:
        targets = [out / f"{_stem(paths[0])}_dseg.nii.gz" for paths in scans]
    inputs = {path.resolve() for paths in scans for path in paths}
    for target in targets:
        if targets.count(target) > 1:
            raise DataError(
                f"{targets.count(target)} scans would be written to {target}, for their files have "
                "the same name.\nSegment them in several calls, each with an --out of its own."
            )
        if target.resolve() in inputs:
            raise DataError(f"--out {target} would overwrite the scan; give another name.")
    return targets


def _show(bar: Progress, task: TaskID, done: int, total: int) -> None:
    bar.update(task, completed=done, total=total)


def _stem(path: Path) -> str:
    """The file name without folder and without .nii.gz, .nii or .mgz."""
    from fieldgrad.neuro.images.io import file_suffix

    return path.name[: -len(file_suffix(path))]
