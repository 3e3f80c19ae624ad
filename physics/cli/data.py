"""The verbs about data: ``fieldgrad physics generate`` and ``inspect``."""

import os
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from fieldgrad.engine.errors import DataError
from fieldgrad.physics.jets.batch import JetBatch, concatenate

__all__ = ["VERBS"]

console = Console()


def generate(
    process: Annotated[
        str, typer.Option(help="Processes joined by commas: ttbar (top jets), qcd.")
    ] = "ttbar,qcd",
    n_jets: Annotated[int, typer.Option("-n", min=1, help="Jets of each process.")] = 20_000,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the files.")] = Path("jets"),
    split: Annotated[
        str, typer.Option(help="Parts of the jets for train.h5, val.h5 and test.h5.")
    ] = "0.8,0.1,0.1",
    pt: Annotated[str, typer.Option(help="Range of the jets' pt in GeV.")] = "550,650",
    seed: Annotated[int, typer.Option(min=0, help="Seed of all randomness.")] = 0,
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", min=0, help="Processes that work at once; 0: all cores.")
    ] = 0,
) -> None:
    """Generate jets with Pythia and FastJet, in the layout of the top-tagging reference."""
    from fieldgrad.physics.simulation.generate import Cuts, generate_dataset

    low, high = _numbers("--pt", pt, 2)
    names = [name.strip() for name in process.split(",")]
    with Progress(console=console, transient=True) as bar:
        tasks = {name: bar.add_task(name, total=n_jets) for name in names}
        counts = generate_dataset(
            out,
            names,
            n_jets,
            fractions=_numbers("--split", split, 3),
            seed=seed,
            cuts=Cuts(pt=(low, high)),
            n_workers=jobs or os.cpu_count() or 1,
            progress=lambda name, done, total: bar.update(tasks[name], completed=done),
        )
    table = Table("file", "top", "QCD", box=None, pad_edge=False)
    for name, (n_qcd, n_top) in counts.items():
        table.add_row(str(out / name), f"{n_top:,}", f"{n_qcd:,}")
    console.print(table)
    console.print(
        f"Settings, seed and versions: {out / 'generation.json'}\n"
        "If results are published, cite Pythia (arXiv:2203.11601) and FastJet (arXiv:1111.6097).",
        highlight=False,
        soft_wrap=True,
    )


def inspect(
    files: Annotated[
        list[str], typer.Argument(help="Files of jets, or patterns such as '*.root'.")
    ],
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Description (.yaml, .toml).")
    ] = None,
    most: Annotated[int, typer.Option("-n", min=1, help="Most entries of each file.")] = 10_000,
) -> None:
    """Show what files hold, what the cuts leave of them, and the sums of weights by class."""
    from fieldgrad.physics.jets.weights import sum_weights
    from fieldgrad.physics.reading.config import DataConfig
    from fieldgrad.physics.reading.datasets import describe
    from fieldgrad.physics.reading.sources import open_source
    from fieldgrad.physics.reading.streams import JetStream, find_files

    paths = find_files(files)
    description = DataConfig.load(config) if config else None
    with open_source(paths[0], description.treename if description else "") as source:
        console.print(
            f"{paths[0]}: {source.n_entries:,} entries, {len(source.names)} columns",
            highlight=False,
            soft_wrap=True,
        )
        first = source.read(source.names, 0, min(source.n_entries, 1))
        columns = Table("column", "type", box=None, pad_edge=False)
        for name in source.names:
            columns.add_row(name, _kind(first[name]))
    console.print(columns)
    if description is None:
        try:
            description = describe(paths[0])
        except DataError as error:
            console.print(f"\n{error}", highlight=False, soft_wrap=True)
            return
    stream = JetStream(paths, description, entries=(0, most))
    jets = concatenate(iter(stream))
    console.print(f"\n{stream.cut_flow}", highlight=False, soft_wrap=True)
    sums = Table("class", "jets", "negative", "sum of weights", "effective", box=None)
    for row in sum_weights(jets):
        sums.add_row(row.name, f"{row.n_jets:,}", f"{row.n_negative:,}", f"{row.total:,.1f}",
                     f"{row.effective:,.1f}")  # fmt: skip
    console.print(sums)
    console.print(_ranges(jets))


def _ranges(jets: JetBatch) -> Table:
    table = Table("column", "of", "16 %", "median", "84 %", "not finite", box=None, pad_edge=False)
    columns: dict[str, tuple[str, Any]] = {
        "jet_pt": ("jets", jets.pt),
        "jet_mass": ("jets", jets.mass),
        "constituents": ("jets", jets.counts),
    }
    columns |= {name: ("constituents", column) for name, column in jets.features.items()}
    columns |= {name: ("jets", column) for name, column in jets.observables.items()}
    columns |= {name: ("jets", column) for name, column in jets.observers.items()}
    for name, (owner, column) in columns.items():
        values = np.asarray(column, float)
        finite = values[np.isfinite(values)]
        numbers = np.percentile(finite, [16, 50, 84]) if len(finite) else [np.nan] * 3
        lost = len(values) - len(finite)
        table.add_row(name, owner, *(f"{x:.4g}" for x in numbers), str(lost) if lost else "")
    return table


def _kind(column: Any) -> str:
    if isinstance(column, np.ndarray):
        return " * ".join(["n", *map(str, column.shape[1:]), str(column.dtype)])
    return "n * " + str(column.type).partition(" * ")[2]


def _numbers(option: str, text: str, n: int) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != n:
        raise DataError(f"{option} is {text!r}; expected {n} numbers joined by commas.")
    return numbers


VERBS = (generate, inspect)
