"""The verbs of neuroimaging: ``fieldgrad neuro train``, ``segment`` and ``evaluate``."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from fieldgrad.engine.errors import DataError
from fieldgrad.engine.field import find_field
from fieldgrad.engine.recipe import Recipe
from fieldgrad.engine.recipe import run as run_recipe

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True)
console = Console()

ModelFile = Annotated[
    Path, typer.Option("--model", "-m", help="model.safetensors of a training run.")
]
Mirror = Annotated[
    bool,
    typer.Option(
        "--mirror", help="Average over mirrored patches (8 times slower; not for sided structures)."
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
) -> None:
    """Train a segmentation network on your own labeled images (nnU-Net's folder layout)."""
    run_dir = out or Path("runs") / dataset.resolve().name
    settings = {
        "dataset": str(dataset),
        "budget": budget,
        "held_back": held_back,
        "base_features": base_features,
        "seed": seed,
    }
    recipe = Recipe(find_field("neuro"), "train_on_dataset", "", settings, "fieldgrad neuro train")
    console.print(run_recipe(recipe, run_dir, resume=resume), highlight=False)


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
    from fieldgrad.neuro.io import SUFFIXES, read_image, write_labels
    from fieldgrad.neuro.metrics import volumes, write_tsv
    from fieldgrad.neuro.report import plot_overlay
    from fieldgrad.neuro.segmenter import Segmenter

    segmenter = Segmenter.load(model)
    to_file = out.name.endswith(SUFFIXES)
    if to_file and len(images) > 1:
        raise DataError(
            f"{out} is one file for {len(images)} scans; give a folder: --out {out.parent / 'results'}."
        )
    # Read all headers and voxels once before the work begins, so that a bad path stops it early.
    scans = [[read_image(path) for path in image.split(",")] for image in images]
    rows = []
    with Progress(console=console, transient=True) as bar:
        for names, channels in zip(images, scans, strict=True):
            task = bar.add_task(Path(names.split(",")[0]).name)
            result = segmenter.predict(
                channels,
                overlap=overlap,
                mirror=mirror,
                progress=lambda done, total, task=task: bar.update(
                    task, completed=done, total=total
                ),
            )
            target = out if to_file else out / f"{stem(names)}_dseg.nii.gz"
            write_labels(result, target)
            if picture:
                plot_overlay(channels[0], result, target.parent / f"{stem(target)}.png")
            sizes = volumes(result)
            rows += [
                {"scan": stem(names), "label": v, "name": segmenter.labels[v], "volume_mm3": size}
                for v, size in sizes.items()
            ]
    table = Table("scan", "structure", "volume (mm³)", box=None, pad_edge=False)
    for row in rows:
        table.add_row(str(row["scan"]), str(row["name"]), f"{row['volume_mm3']:,.0f}")
    console.print(table)
    folder = out.parent if to_file else out
    name = f"{stem(out)}_volumes.tsv" if to_file else "volumes.tsv"
    write_tsv(rows, folder / name)
    console.print(f"Segmentations and {name} are in {folder}", highlight=False)


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
    from fieldgrad.neuro.segmenter import Segmenter
    from fieldgrad.neuro.tasks import evaluate_dataset

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
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    table = Table("structure", "cases", "Dice", "SD", "worst", "HD95 (mm)", "ASSD (mm)", box=None)
    means = []
    for name in segmenter.labels.values():
        own = [row for row in rows if row["name"] == name]
        scores = np.array([row["dice"] for row in own])
        worst = own[int(np.nanargmin(scores))]
        means.append(np.nanmean(scores))
        table.add_row(
            name,
            str(len(own)),
            f"{np.nanmean(scores):.3f}",
            f"{np.nanstd(scores):.3f}",
            f"{worst['dice']:.3f} ({worst['case']})",
            f"{_mean_of_finite(own, 'hd95_mm'):.2f}",
            f"{_mean_of_finite(own, 'assd_mm'):.2f}",
        )
    console.print(table)
    console.print(
        f"Mean Dice {np.mean(means):.3f}. Every case: {folder / 'evaluation.tsv'}", highlight=False
    )


def stem(path: str | Path) -> str:
    """The file name without folder and without .nii.gz, .nii or .mgz."""
    name = Path(str(path).split(",")[0]).name
    for suffix in (".nii.gz", ".nii", ".mgz"):
        name = name.removesuffix(suffix)
    return name


def _mean_of_finite(rows: list[dict[str, float]], key: str) -> float:
    values = np.array([row[key] for row in rows])
    return (
        float(np.mean(values[np.isfinite(values)])) if np.isfinite(values).any() else float("nan")
    )
