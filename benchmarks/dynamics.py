"""An ethanol in motion with the SchNet of the suite ethanol: relaxed, kept at 300 K, left alone.

Needs FIELDGRAD_DATA as that suite does, and trains for 100 epochs first. The potential is an ASE
calculator; each simulation has 10,000 steps of 0.5 fs. The mean temperature of nine atoms scatters
by 12 K from one such run to the next, so several are averaged.
"""

import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.ethanol import FOLDER, SCHNET, train
from benchmarks.runner import Row
from fieldgrad.chem.potentials.calculator import PotentialCalculator
from fieldgrad.chem.potentials.dynamics import relax, simulate
from fieldgrad.chem.potentials.io import read_structures

KELVIN, N_STEPS, N_RUNS = 300.0, 10_000, 8
FRICTION = 0.02  # 1/fs: the thermostat forgets within 50 fs


def rows(threads: int, seconds: float) -> Iterator[Row]:
    """Relax, heat, and let go."""
    if not FOLDER.is_dir():
        return
    with tempfile.TemporaryDirectory() as folder:
        potential = train("schnet", SCHNET, 100, Path(folder))
    (atoms,) = read_structures(FOLDER / "ethanol_rmd17_test_a.extxyz")[:1].to_atoms()
    atoms.calc = PotentialCalculator(potential)
    yield Row("BFGS to forces below 0.02 eV/Å, steps", relax(atoms), "")
    runs = [
        simulate(atoms, N_STEPS, temperature=KELVIN, friction=FRICTION, seed=seed)
        for seed in range(N_RUNS)
    ]
    means = [float(run.temperatures[N_STEPS // 5 :].mean()) for run in runs]
    found, error = statistics.mean(means), statistics.stdev(means) / N_RUNS**0.5
    yield Row(
        f"{N_RUNS} Langevin runs at {KELVIN:.0f} K: mean temperature of their last 8,000 steps",
        found, f"± {error:.1f} K", ratio=0.03 * KELVIN / max(abs(found - KELVIN), 1e-9), target=1.0,
        digits=4,
    )  # fmt: skip
    yield Row("Langevin: speed", max(run.steps_per_second for run in runs), "steps/s")
    free = simulate(atoms, N_STEPS, temperature=None, start_temperature=KELVIN)
    drift = 1e3 * free.drift() / len(atoms)
    yield Row("constant energy: drift per atom", drift, "meV/ps")
    yield Row("constant energy: speed", free.steps_per_second, "steps/s")
