"""The verbs on molecules: ``fieldgrad chem train``, ``predict``, ``evaluate``, …"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table as Grid

from fieldgrad.engine.cli import carry_out
from fieldgrad.engine.errors import DataError
from fieldgrad.engine.field import find_field
from fieldgrad.engine.files import atomic_write
from fieldgrad.engine.recipe import Recipe

__all__ = ["VERBS"]

console = Console()

TableFile = Annotated[Path, typer.Argument(help="Molecules: .csv, .tsv, .smi, .sdf or .parquet.")]
ModelFile = Annotated[
    Path, typer.Option("--model", "-m", help="model.safetensors of a training run.")
]
SmilesColumn = Annotated[
    str | None, typer.Option(help="Column with the SMILES; default: as in the training.")
]


def train(
    data: TableFile,
    targets: Annotated[
        list[str], typer.Option(help="Column to predict; several: --targets A --targets B, or A,B.")
    ],
    smiles_column: Annotated[str, typer.Option(help="Column with the SMILES.")] = "smiles",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the results.")] = None,
    task_type: Annotated[
        str, typer.Option(help="regression, classification (0 and 1), or auto.")
    ] = "auto",
    split: Annotated[str, typer.Option(help="random, scaffold or kmeans.")] = "random",
    split_column: Annotated[str, typer.Option(help="Column with train, val, test.")] = "",
    split_file: Annotated[str, typer.Option(help="split.json of another run.")] = "",
    model: Annotated[str, typer.Option(help="dmpnn or fingerprint_mlp.")] = "dmpnn",
    descriptors: Annotated[
        str, typer.Option(help="Joined to the graph: none, rdkit2d or morgan.")
    ] = "none",
    n_models: Annotated[int, typer.Option(help="Networks of an ensemble.")] = 1,
    variance: Annotated[
        bool, typer.Option("--variance", help="Predict a variance for each number.")
    ] = False,
    class_weights: Annotated[
        bool, typer.Option("--class-weights", help="Balance the classes.")
    ] = False,
    epochs: Annotated[int, typer.Option(help="How often each molecule is seen.")] = 50,
    batch_size: Annotated[int, typer.Option(help="Molecules in a step.")] = 32,
    baseline: Annotated[
        str, typer.Option(help="Random forest beside it: rdkit2d, morgan, none, or auto.")
    ] = "auto",
    cache: Annotated[
        bool, typer.Option(help="Keep features of the molecules for the next run.")
    ] = True,
    seed: Annotated[int, typer.Option(help="Seed of split, weights and order.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")] = False,
) -> None:
    """Train a model of molecular properties on your own table."""
    from fieldgrad.chem.molecules.tables import Table

    table = Table(data)  # before anything is written
    table.index(smiles_column)
    names = _target_names(targets, table.columns)
    for name in names:
        table.index(name)
    settings: dict[str, Any] = {
        "data": str(data.resolve()),  # the run can be continued from any folder
        "targets": names,
        "smiles_column": smiles_column,
        "task_type": task_type,
        "split": split,
        "split_column": split_column,
        "split_file": str(Path(split_file).resolve()) if split_file else "",
        "model": model,
        "descriptors": descriptors,
        "n_models": n_models,
        "variance": variance,
        "class_weights": class_weights,
        "epochs": epochs,
        "batch_size": batch_size,
        "baseline": baseline,
        "cache": cache,
        "seed": seed,
    }
    recipe = Recipe(find_field("chem"), "train_properties", "", settings, "fieldgrad chem train")
    stem = data.name.partition(".")[0]
    carry_out(recipe, out or Path("runs") / stem, resume=resume)


def _target_names(targets: list[str], columns: list[str]) -> list[str]:
    """Take a text that is no column apart at its commas."""
    names = []
    for text in targets:
        names += [text] if text in columns else [part.strip() for part in text.split(",")]
    return names


def predict(
    data: TableFile,
    model: ModelFile,
    out: Annotated[Path, typer.Option("--out", "-o", help="The .csv file to write.")],
    smiles_column: SmilesColumn = None,
    level: Annotated[
        float, typer.Option(help="How often the truth shall lie in the intervals.")
    ] = 0.9,
    workers: Annotated[
        int | None, typer.Option(help="Processes that read molecules; default: all cores.")
    ] = None,
) -> None:
    """Predict every row of a table; all its rows and columns are kept, in order."""
    from fieldgrad.chem.molecules.prediction import predict_table
    from fieldgrad.chem.molecules.predictor import Predictor

    predictor = Predictor.load(model)
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task(data.name, total=None)
        done = predict_table(
            data,
            predictor,
            out,
            smiles_column=smiles_column,
            level=level,
            n_workers=workers,
            progress=lambda n: bar.update(task, description=f"{data.name}: {n:,} rows"),
        )
    console.print(f"{done.n_rows:,} rows, {done.n_bad:,} without a prediction.", highlight=False)
    for row, note in done.first_bad:
        console.print(f"  row {row}: {note}", highlight=False, markup=False, soft_wrap=True)
    if done.n_doubtful:
        console.print(
            f"{done.n_doubtful:,} predictions to be careful with: see the column "
            f"{done.note_column}.",
            highlight=False,
        )
    console.print(f"Predictions are in {out}", highlight=False, soft_wrap=True)
    if not done.n_rows:
        raise DataError(f"{data} has a header, but no rows. Check how it was written.")
    if done.n_bad == done.n_rows:
        raise DataError(f"{data}: no row has a molecule. Name their column: --smiles-column.")


def evaluate(
    data: TableFile,
    model: ModelFile,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the results.")] = None,
    smiles_column: SmilesColumn = None,
    all_rows: Annotated[
        bool, typer.Option("--all", help="All rows, not only those held back from training.")
    ] = False,
) -> None:
    """Compare predictions with labels: scores, pictures, errors by scaffold."""
    from fieldgrad.chem.molecules.predictor import Predictor
    from fieldgrad.chem.molecules.tasks import evaluate_properties

    folder = out or model.parent / "evaluation"
    rows = evaluate_properties(
        data, Predictor.load(model), out=folder, smiles_column=smiles_column, all_rows=all_rows
    )
    grid = Grid(*rows[0], box=None, pad_edge=False)
    for row in rows:
        grid.add_row(*(f"{v:.4f}" if isinstance(v, float) else str(v) for v in row.values()))
    console.print(grid)
    console.print(f"Scores, predictions and pictures are in {folder}", highlight=False)


def fingerprint(
    data: TableFile,
    model: ModelFile,
    out: Annotated[Path, typer.Option("--out", "-o", help="The .csv file to write.")],
    smiles_column: SmilesColumn = None,
) -> None:
    """Write the vector that the model has learned for each molecule of a table."""
    from fieldgrad.chem.molecules.prediction import fingerprint_table
    from fieldgrad.chem.molecules.predictor import Predictor

    size, n_bad = fingerprint_table(data, Predictor.load(model), out, smiles_column=smiles_column)
    console.print(
        f"Vectors of {size} numbers are in {out}; {n_bad} rows have none.",
        highlight=False,
        soft_wrap=True,
    )


def interpret(
    smiles: Annotated[list[str], typer.Argument(help="One or more SMILES.")],
    model: ModelFile,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for a picture of each (.svg).")
    ] = Path("interpretation"),
    target: Annotated[
        str | None, typer.Option(help="Which target; default: the model's first.")
    ] = None,
) -> None:
    """Show which atoms raise a prediction (orange) and which lower it (blue)."""
    from fieldgrad.chem.molecules.interpret import atom_contributions, draw_contributions
    from fieldgrad.chem.molecules.predictor import Predictor
    from fieldgrad.chem.molecules.smiles import BadSmiles, read_smiles
    from fieldgrad.chem.molecules.tables import write_csv

    predictor = Predictor.load(model)
    name = target or predictor.targets[0]
    rows = []
    for i, text in enumerate(smiles, 1):
        try:
            contributions = atom_contributions(predictor, text, name)
        except BadSmiles as error:
            raise DataError(f"{text!r}: {error}.") from error
        value = predictor.predict([text]).ravel()[predictor.targets.index(name)]
        caption = f"{name}: {value:.3g}"
        with atomic_write(out / f"molecule-{i}.svg") as temporary:
            temporary.write_text(draw_contributions(text, contributions, caption=caption))
        rows += [
            {"molecule": i, "smiles": text, "atom": j, "element": atom.GetSymbol(), name: c}
            for j, (atom, c) in enumerate(
                zip(read_smiles(text).GetAtoms(), contributions.tolist(), strict=True)
            )
        ]
        console.print(f"{text}  {caption}", highlight=False, markup=False, soft_wrap=True)
    write_csv(out / "contributions.csv", rows)
    console.print(f"Pictures and contributions.csv are in {out}", highlight=False)


VERBS: tuple[Callable[..., Any], ...] = (train, predict, evaluate, fingerprint, interpret)
