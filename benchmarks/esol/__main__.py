"""Properties of molecules, measured on ESOL; the data are found through FIELDGRAD_DATA.

python -m benchmarks.esol accuracy           test errors on six given splits
python -m benchmarks.esol time               the whole command beside chemprop's, in turns
python -m benchmarks.esol memory             peak of `predict` over a million rows
python -m benchmarks.esol features           vectors of atoms and bonds beside chemprop's
"""

import argparse
import csv
import os
import resource
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

import numpy as np

from fieldgrad.chem.molecules.featurize import featurize

DATA = Path(os.environ.get("FIELDGRAD_DATA", "data")) / "chem"
ESOL, TARGET = DATA / "moleculenet" / "esol.csv", "log_solubility_mol_per_l"
PEER = Path("build/chemprop-venv")
# Of Python's packages these two decide the peer's figures; torch first, so that it is this one.
PEER_PACKAGES = ("torch==2.13.0", "chemprop==2.3.1")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
SEEDS = (0, 1, 2)
SPLITS = ("random", "scaffold_balanced")
# Mean test RMSE that we hold ourselves to.
WANTED = {
    ("random", "none"): 0.75,
    ("scaffold_balanced", "none"): 0.90,
    ("random", "rdkit2d"): 0.62,
    ("scaffold_balanced", "rdkit2d"): 0.88,
}
EPOCHS = 30
BATCH_SIZE = 64  # of the comparison of times: chemprop's default


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.esol", formatter_class=argparse.RawDescriptionHelpFormatter,
        description=__doc__,
    )  # fmt: skip
    parser.add_argument("what", choices=("accuracy", "time", "memory", "features"))
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the prediction")
    parser.add_argument("--runs", type=int, default=2, help="of each command, for the time")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--peer", type=Path, default=PEER, help="environment with chemprop")
    options = parser.parse_args()
    if not ESOL.exists():
        parser.error(
            f"{ESOL} does not exist; set FIELDGRAD_DATA to the folder that has chem/ in it"
        )
    with tempfile.TemporaryDirectory() as folder:
        if options.what == "accuracy":
            accuracy(Path(folder))
        elif options.what == "time":
            compare_time(Path(folder), options.runs, options.threads, options.peer)
        elif options.what == "features":
            compare_features(Path(folder), options.peer)
        else:
            memory(Path(folder), options.rows)


def run(command: list[str], n_threads: int | None = None) -> tuple[float, float]:
    """Run a command; give its seconds on the clock, and those of all processors together."""
    threads = {} if n_threads is None else dict.fromkeys(THREAD_VARIABLES, str(n_threads))
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(command, check=True, env=os.environ | threads, **silent)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def train(out: Path, *arguments: str) -> list[str]:
    """Give the command that trains on ESOL, as a user types it."""
    command = [sys.executable, "-m", "fieldgrad.engine.cli", "chem", "train", str(ESOL)]
    command += ["--targets", TARGET, "--epochs", str(EPOCHS), "--out", str(out)]
    return command + list(arguments)


def accuracy(folder: Path) -> None:
    """Print the test errors of network and random forest on the given splits."""
    print("| split | descriptors | RMSE, seeds 0 1 2 | mean | wanted | random forest (RDKit 2D) |")
    print("|---|---|---|---|---|---|")
    for (split, descriptors), wanted in WANTED.items():
        rmse: dict[str, list[float]] = {}
        for seed in SEEDS:
            out = folder / f"{split}-{descriptors}-{seed}"
            file = DATA / "splits" / f"esol_{split}_seed{seed}.json"
            given = ("--split-file", str(file), "--descriptors", descriptors, "--seed", str(seed))
            run(train(out, *given))
            with open(out / "metrics.csv", newline="") as rows:
                for row in csv.DictReader(rows):
                    rmse.setdefault(row["model"].partition(" ")[0], []).append(float(row["rmse"]))
        mean = float(np.mean(rmse["network"]))
        each = " ".join(f"{value:.3f}" for value in rmse["network"])
        mark = "" if mean <= wanted else " ✗"
        forest = f"{np.mean(rmse['random']):.3f}"
        print(f"| {split} | {descriptors} | {each} | {mean:.3f} | {wanted:.2f}{mark} | {forest} |",
              flush=True)  # fmt: skip


def compare_time(folder: Path, n_runs: int, n_threads: int, peer: Path) -> None:
    """Print the best times of both commands: reading, training, testing, all files written."""
    split = folder / "split.json"  # as a list of splits, which is how chemprop reads it
    split.write_text(f"[{(DATA / 'splits' / 'esol_random_seed0.json').read_text()}]")
    theirs = [str(peer_command(peer)), "train", "--data-path", str(ESOL), "--epochs", str(EPOCHS)]
    theirs += ["--task-type", "regression", "--smiles-columns", "smiles", "--splits-file"]
    theirs += [str(split)]
    theirs += ["--target-columns", TARGET, "--batch-size", str(BATCH_SIZE), "--output-dir"]
    given = ("--no-cache", "--split-file", str(split), "--batch-size", str(BATCH_SIZE))
    print(
        f"Best of {n_runs} runs in turns, {EPOCHS} epochs in batches of {BATCH_SIZE} of the same "
        f"split, networks of one size, {n_threads} threads: seconds on the clock, and of all "
        "processors together"
    )
    times: dict[str, list[tuple[float, float]]] = {}
    for i in range(n_runs):
        commands = {
            "fieldgrad, random forest and pictures included": train(folder / f"a{i}", *given),
            "chemprop 2.3.1": [*theirs, str(folder / f"c{i}")],
            "fieldgrad, without the random forest": train(
                folder / f"b{i}", *given, "--baseline", "none"
            ),
        }
        for name, command in commands.items():
            clock, processor = run(command, n_threads)
            print(f"  run {i + 1}: {clock:7.1f} s{processor:9.1f} s   {name}", flush=True)
            times.setdefault(name, []).append((clock, processor))
    best = {name: np.min(runs, axis=0) for name, runs in times.items()}
    peer_best = best["chemprop 2.3.1"]
    for name, (clock, processor) in best.items():
        ratios = f"{peer_best[0] / clock:.2f} and {peer_best[1] / processor:.2f}"
        print(f"  {name:<46}{clock:7.1f} s{processor:9.1f} s   chemprop's by ours: {ratios}")


def peer_command(peer: Path) -> Path:
    """Give chemprop's command, making its environment if it is not there."""
    command = peer / "bin" / "chemprop"
    if not command.exists():
        venv.create(peer, with_pip=True)
        for package in PEER_PACKAGES:
            pip = [str(peer / "bin" / "python"), "-m", "pip", "install", "--quiet"]
            subprocess.run([*pip, PEER_PACKAGES[0], package], check=True)
    return command


# Run by chemprop's own interpreter: every molecule's vectors end to end.
FEATURES = """
import sys, numpy as np
from rdkit import Chem, RDLogger
from chemprop.featurizers import SimpleMoleculeMolGraphFeaturizer
RDLogger.DisableLog("rdApp.*")
featurize = SimpleMoleculeMolGraphFeaturizer()
graphs = [featurize(Chem.MolFromSmiles(line.strip())) for line in open(sys.argv[1])]
np.savez(
    sys.argv[2],
    atoms=np.concatenate([g.V for g in graphs]),
    bonds=np.concatenate([np.asarray(g.E).reshape(-1, 14) for g in graphs]),
    edges=np.concatenate([np.asarray(g.edge_index).reshape(2, -1) for g in graphs], axis=1),
    sizes=[len(g.V) for g in graphs],
)
"""


def compare_features(folder: Path, peer: Path) -> None:
    """Print how many entries of the vectors of ESOL's and Tox21's molecules differ."""
    python = peer_command(peer).parent / "python"
    for table in (ESOL, DATA / "moleculenet" / "tox21.csv"):
        with open(table, newline="") as file:
            molecules = featurize([row["smiles"] for row in csv.DictReader(file)], identity=False)
            file.seek(0)
            every = [row["smiles"] for row in csv.DictReader(file)]
        lines, out = folder / "smiles.txt", folder / f"{table.stem}.npz"
        lines.write_text("".join(f"{every[row]}\n" for row in molecules.rows.tolist()))
        subprocess.run([str(python), "-c", FEATURES, str(lines), str(out)], check=True)
        theirs = np.load(out)
        atoms, bonds, edges, offsets = molecules.graphs.batch(np.arange(len(molecules)))
        own = edges - np.repeat(offsets[:-1], 2 * np.diff(molecules.graphs.bond_offsets))
        assert np.array_equal(np.diff(offsets), theirs["sizes"]), "the molecules differ"
        print(f"{table.stem}: {len(molecules):,} molecules, {atoms.shape[0]:,} atoms, "
              f"{bonds.shape[0]:,} directed bonds")  # fmt: skip
        for name, ours in (("atoms", atoms), ("bonds", bonds), ("edges", own)):
            differ = np.abs(ours - theirs[name]) > 1e-6
            columns = np.flatnonzero(differ.any(axis=differ.ndim - 2)).tolist()
            where = f" in columns {columns}" if name != "edges" and columns else ""
            print(f"  {name}: {differ.sum():,} of {differ.size:,} entries differ{where}")


def memory(folder: Path, n_rows: int) -> None:
    """Print time and peak memory of a prediction of ESOL's molecules over and over."""
    command = [sys.executable, "-m", "fieldgrad.engine.cli", "chem"]
    small = ["train", str(ESOL), "--targets", TARGET, "--epochs", "1", "--baseline", "none"]
    run([*command, *small, "--out", str(folder / "run")])
    with open(ESOL, newline="") as file:
        smiles = [row["smiles"] for row in csv.DictReader(file)]
    with open(folder / "long.csv", "w") as file:
        file.write("id,smiles\n")
        file.writelines(f"{i},{smiles[i % len(smiles)]}\n" for i in range(n_rows))
    model, out = folder / "run" / "model.safetensors", folder / "out.csv"
    predict = ["predict", str(folder / "long.csv"), "-m", str(model), "-o", str(out)]
    seconds, _ = run([*command, *predict])
    with open(out) as file:
        n_written = sum(1 for _ in file) - 1
    assert n_written == n_rows, f"{n_written} rows of {n_rows} came out"
    # Of the largest of all child processes so far, in KiB on Linux: the command itself.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{n_rows:,} rows in {seconds:.0f} s ({n_rows / seconds:.0f} rows/s); peak memory of the "
          f"command {peak:.0f} MB")  # fmt: skip


if __name__ == "__main__":
    main()
