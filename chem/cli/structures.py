"""The verbs on structures: ``fieldgrad chem train-potential``, ``md``, ``relax``, …"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress, TaskID

from fieldgrad.engine.cli import carry_out
from fieldgrad.engine.errors import DataError, require
from fieldgrad.engine.field import find_field
from fieldgrad.engine.files import atomic_write
from fieldgrad.engine.recipe import Recipe

__all__ = ["VERBS"]

console = Console()

ModelFile = Annotated[
    Path, typer.Option("--model", "-m", help="model.safetensors of train-potential.")
]
StructureFile = Annotated[
    str, typer.Argument(help="File with a structure (the last one counts), or a molecule's name.")
]
EnergyUnit = Annotated[str, typer.Option(help="Such as kcal/mol or Hartree.")]
LengthUnit = Annotated[str, typer.Option(help="Such as Bohr.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]


def train_potential(
    data: Annotated[Path, typer.Argument(help="Structures: .extxyz, .db, .npz, .h5, …")],
    model: Annotated[str, typer.Option(help="schnet or painn.")] = "schnet",
    budget: Annotated[
        str, typer.Option(help='Training time or length: "10min", "100 epochs".')
    ] = "100 epochs",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the results.")] = None,
    test: Annotated[Path | None, typer.Option(help="Structures to evaluate on.")] = None,
    features: Annotated[int, typer.Option(help="Features of an atom.")] = 64,
    cutoff: Annotated[float, typer.Option(help="Up to which atoms see each other, Å.")] = 5.0,
    lr: Annotated[float, typer.Option(help="Highest learning rate.")] = 1e-3,
    batch_size: Annotated[int, typer.Option(help="Structures in a step.")] = 10,
    energy_weight: Annotated[float, typer.Option(help="Of the energies in the loss.")] = 0.01,
    force_weight: Annotated[float, typer.Option(help="Of the forces.")] = 0.99,
    stress_weight: Annotated[float, typer.Option(help="Of the stresses.")] = 0.0,
    references: Annotated[
        str,
        typer.Option(
            help="least_squares, mean, isolated, none; or energies in eV: H=-13.6,O=-2041.2"
        ),
    ] = "least_squares",
    valid_part: Annotated[
        float, typer.Option(help="Part (or number) to watch the training.")
    ] = 0.05,
    test_part: Annotated[float, typer.Option(help="Part (or number) to evaluate on.")] = 0.05,
    n_networks: Annotated[int, typer.Option(help="Networks of a committee.")] = 1,
    energy_key: Annotated[str | None, typer.Option(help="Name of the energy in the file.")] = None,
    force_key: Annotated[str | None, typer.Option(help="Name of the forces.")] = None,
    stress_key: Annotated[str | None, typer.Option(help="Name of the stress.")] = None,
    energy_unit: EnergyUnit = "eV",
    length_unit: LengthUnit = "Angstrom",
    force_unit: Annotated[str, typer.Option(help="If not energy/length.")] = "",
    stress_unit: Annotated[str, typer.Option(help="Such as GPa.")] = "",
    checks: Annotated[
        bool, typer.Option("--checks/--no-checks", help="Look for wrong units and signs first.")
    ] = True,
    seed: Seed = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")] = False,
) -> None:
    """Train a potential on structures with energies and forces."""
    from fieldgrad.chem.potentials.io import Keys, Units, read_structures
    from fieldgrad.chem.potentials.learners import usual_settings

    # Before anything is written.
    units = Units(energy_unit, length_unit, force_unit, stress_unit)
    for path in (data,) if test is None else (data, test):
        read_structures(path, keys=Keys(energy_key, force_key, stress_key), units=units)
    network = {"name": model, **usual_settings(model), "n_features": features, "cutoff": cutoff}
    settings: dict[str, Any] = {
        "data": str(data.resolve()),  # the run can be continued from any folder
        **({} if test is None else {"test": str(test.resolve())}),
        "budget": budget,
        "model": network,
        "optimizer": {"name": "adamw", "lr": lr, "weight_decay": 0.0},
        "batch_size": batch_size,
        "energy_weight": energy_weight,
        "force_weight": force_weight,
        "stress_weight": stress_weight,
        "references": _references(references),
        "valid_part": valid_part,
        "test_part": test_part,
        "n_networks": n_networks,
        "energy_unit": energy_unit,
        "length_unit": length_unit,
        "force_unit": force_unit,
        "stress_unit": stress_unit,
        "checks": checks,
        "seed": seed,
    }
    keys = {"energy_key": energy_key, "force_key": force_key, "stress_key": stress_key}
    settings |= {name: key for name, key in keys.items() if key is not None}
    recipe = Recipe(
        find_field("chem"), "train_on_structures", "", settings, "fieldgrad chem train-potential"
    )
    carry_out(recipe, out or Path("runs") / data.stem, resume=resume)


def _references(text: str) -> str | dict[str, float]:
    if "=" not in text:
        return text
    try:
        pairs = [entry.split("=") for entry in text.split(",")]
        return {symbol.strip(): float(energy) for symbol, energy in pairs}
    except ValueError as error:
        raise DataError(
            f"--references {text!r} cannot be read; expected energies in eV such as "
            "H=-13.6,O=-2041.2, or a word such as least_squares."
        ) from error


def evaluate_potential(
    data: Annotated[Path, typer.Argument(help="Structures: .extxyz, .db, .npz, .h5, …")],
    model: ModelFile,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the results.")] = None,
    nve: Annotated[
        bool, typer.Option("--nve/--no-nve", help="Also simulate at constant energy.")
    ] = True,
    steps: Annotated[int, typer.Option(min=2, help="Steps of that simulation.")] = 2000,
    time_step: Annotated[float, typer.Option(help="fs.")] = 0.5,
    temperature: Annotated[float, typer.Option(help="Of its first velocities, K.")] = 300.0,
    energy_unit: EnergyUnit = "eV",
    length_unit: LengthUnit = "Angstrom",
    seed: Seed = 0,
) -> None:
    """Compare a potential with structures, and see whether it conserves energy."""
    from fieldgrad.chem.potentials import report
    from fieldgrad.chem.potentials.io import Units, read_structures
    from fieldgrad.chem.potentials.potential import Potential
    from fieldgrad.chem.potentials.stability import check_stability
    from fieldgrad.chem.potentials.tasks import report_errors

    potential = Potential.load(model)
    structures = read_structures(data, units=Units(energy_unit, length_unit))
    folder = out or model.parent / "evaluation"
    errors = report_errors(potential, structures, folder)
    console.print(report.table(errors), highlight=False)
    if nve:
        stability = check_stability(
            potential,
            structures,
            folder,
            n_steps=steps,
            time_step=time_step,
            temperature=temperature,
            seed=seed,
        )
        console.print(f"\n{stability}", highlight=False, soft_wrap=True)
    console.print(f"\nEvery error, pictures and predictions: {folder}", soft_wrap=True)


def md(
    structure: StructureFile,
    model: ModelFile,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path("md"),
    temperature: Annotated[float, typer.Option(help="K.")] = 300.0,
    steps: Annotated[int, typer.Option(min=1, help="Number of steps.")] = 10_000,
    time_step: Annotated[float, typer.Option(help="fs.")] = 0.5,
    friction: Annotated[float, typer.Option(help="Of the Langevin thermostat, 1/fs.")] = 0.01,
    nve: Annotated[bool, typer.Option("--nve", help="Conserve the energy: no thermostat.")] = False,
    every: Annotated[int, typer.Option(min=1, help="Keep every so many structures.")] = 20,
    seed: Seed = 0,
) -> None:
    """Simulate a structure with a potential (Langevin, or constant energy)."""
    from fieldgrad.chem.potentials import report
    from fieldgrad.chem.potentials.dynamics import simulate

    atoms = _atoms(structure, model)
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("steps")
        run = simulate(
            atoms,
            steps,
            temperature=None if nve else temperature,
            start_temperature=temperature,
            time_step=time_step,
            friction=friction,
            every=every,
            seed=seed,
            progress=partial(_show, bar, task),
        )
    columns = {
        "temperature (K)": run.temperatures,
        "potential energy (eV)": run.potential_energies,
        "total energy (eV)": run.total_energies,
    }
    report.write_dynamics(run.times, columns, out / "md.csv")
    report.plot_dynamics(
        run.times, columns, out / "md.png", levels={} if nve else {"temperature (K)": temperature}
    )
    _write_atoms(run.frames, out / "trajectory.extxyz")
    later = run.temperatures[steps // 5 :]
    lines = [
        f"{steps} steps of {time_step:g} fs, {run.steps_per_second:.0f} steps/s.",
        f"Temperature (last four fifths): {later.mean():.1f} K, single steps ± {later.std():.0f}.",
    ]
    if nve:
        drift = 1e3 * run.drift() / len(atoms)
        lines.append(f"Drift of the total energy: {drift:+.4f} meV per atom and ps.")
    if run.n_extrapolations:
        lines.append(
            f"[yellow]At {run.n_extrapolations} steps an atom was unlike those of training: there "
            "the potential extrapolates.[/yellow]"
        )
    console.print("\n".join([*lines, f"md.csv, md.png and trajectory.extxyz are in {out}"]),
                  highlight=False, soft_wrap=True)  # fmt: skip


def relax(
    structure: StructureFile,
    model: ModelFile,
    out: Annotated[Path, typer.Option("--out", "-o", help="File for the result (.extxyz).")],
    force: Annotated[float, typer.Option(help="Largest force that may remain, eV/Å.")] = 0.02,
    steps: Annotated[int, typer.Option(min=1, help="At most so many.")] = 500,
    cell: Annotated[bool, typer.Option("--cell", help="Relax the cell too.")] = False,
) -> None:
    """Move the atoms of a structure, and its cell if wanted, to a minimum of the energy."""
    from fieldgrad.chem.potentials.dynamics import relax as search

    atoms = _atoms(structure, model)
    before = atoms.get_potential_energy()
    n_steps = search(atoms, force=force, max_steps=steps, cell=cell)
    after = atoms.get_potential_energy()
    _write_atoms([atoms], out)
    text = f"Relaxed in {n_steps} steps: {before:.4f} → {after:.4f} eV."
    if cell:
        lengths = ", ".join(f"{length:.4f}" for length in atoms.cell.lengths())
        text += f" Cell edges: {lengths} Å."
    console.print(f"{text} Written to {out}", highlight=False, soft_wrap=True)


def generate(
    system: Annotated[
        str, typer.Argument(help="ethanol, another molecule, a metal such as Cu, or a file.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="File for the structures (.extxyz).")],
    method: Annotated[
        str, typer.Option(help="gfn2 or gfn1 (xTB, needs tblite); emt for metals.")
    ] = "gfn2",
    n: Annotated[int, typer.Option("-n", min=1, help="Number of structures.")] = 1000,
    temperature: Annotated[
        list[float] | None, typer.Option(help="K; several are taken in turns.")
    ] = None,
    strain: Annotated[float, typer.Option(help="Largest random strain of a cell.")] = 0.0,
    every: Annotated[int, typer.Option(min=1, help="Steps between structures.")] = 20,
    seed: Seed = 0,
) -> None:
    """Make training data: molecular dynamics with a fast method, nothing to download."""
    from fieldgrad.chem.potentials.generate import generate as run
    from fieldgrad.chem.potentials.io import write_structures

    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("structures")
        structures = run(
            system,
            method,
            n,
            temperatures=temperature or [500.0],
            strain=strain,
            every=every,
            seed=seed,
            progress=partial(_show, bar, task),
        )
    write_structures(structures, out)
    console.print(f"{structures!r}, written to {out}\nTrain on them: fieldgrad chem "
                  f"train-potential {out}", highlight=False, soft_wrap=True)  # fmt: skip


def _atoms(structure: str, model: Path) -> Any:
    """The structure with the potential as its calculator."""
    from fieldgrad.chem.potentials.generate import find_atoms
    from fieldgrad.chem.potentials.potential import Potential

    require("ase", extra="chem")
    from fieldgrad.chem.potentials.calculator import PotentialCalculator

    potential = Potential.load(model)
    atoms = find_atoms(structure)
    potential.check(atoms.get_atomic_numbers().astype(np.int64), structure)
    atoms.calc = PotentialCalculator(potential)
    return atoms


def _write_atoms(frames: list[Any], path: Path) -> None:
    io = require("ase.io", extra="chem")
    with atomic_write(path) as temporary:
        io.write(str(temporary), frames, format="extxyz")


def _show(bar: Progress, task: TaskID, done: int, total: int) -> None:
    bar.update(task, completed=done, total=total)


VERBS: tuple[Callable[..., Any], ...] = (train_potential, evaluate_potential, md, relax, generate)
