"""Benchmarks: ours beside PyTorch (where it is installed) in one process, in turns, best of n.

python -m benchmarks                       every suite, on all threads and on one
python -m benchmarks conv unet --threads 2 --seconds 3
python -m benchmarks norm --only instance
python -m benchmarks recurrent --markdown docs/benchmarks.md   (the other tables stay)
python -m benchmarks --markdown docs/benchmarks.md --json build/benchmarks.json
"""

import argparse
import importlib
import os
from pathlib import Path

import fieldgrad.engine as fg
from benchmarks import runner

try:
    import torch
except ImportError:
    torch = None

HERE = Path(__file__).parent
NO_SUITES = ("__main__", "runner", "verbs")
SUITES = sorted(p.stem for p in HERE.glob("*.py") if p.stem not in NO_SUITES)
INTRODUCTION = """# Benchmarks

Written by `python -m benchmarks --markdown`, which `make bench` runs; do not edit. Ours and
PyTorch's (eager) run in one process, in turns, on the same shapes and number of threads; each keeps
its best time. *Ratio* is PyTorch's time divided by ours, where PyTorch may choose the faster of its
ways (*fastest as*); *wanted* is what we hold ourselves to, and ✗ marks a miss. Each section names
the machine and the versions it was measured with.
"""


def main() -> None:
    """Run suites and write their tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", formatter_class=argparse.RawDescriptionHelpFormatter,
        description=__doc__,
    )  # fmt: skip
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=", ".join(SUITES))
    parser.add_argument("--threads", default=f"{len(os.sched_getaffinity(0))},1",
                        help="numbers of threads, by commas (default: %(default)s)")  # fmt: skip
    parser.add_argument("--seconds", type=float, default=0.5, help="for each case (default: 0.5)")
    parser.add_argument("--only", help="only the cases with this in their name")
    parser.add_argument("--markdown", type=Path,
                        help="write the tables to this file too; other suites' stay")  # fmt: skip
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    unknown = set(options.suites) - set(SUITES)
    if unknown:
        parser.error(f"no suite {', '.join(sorted(unknown))}; choose from {', '.join(SUITES)}")
    machine = ", ".join(f"{name} {value}" for name, value in runner.machine().items())
    print(machine)
    results, sections = {}, {}
    for name in options.suites or SUITES:
        suite = importlib.import_module(f"benchmarks.{name}")
        tables = []
        for threads in map(int, options.threads.split(",")):
            fg.set_num_threads(threads)
            if torch is not None:
                torch.set_num_threads(threads)
            title = f"{threads} thread{'s' if threads > 1 else ''}"
            rows = []
            print(f"\n{name}")
            for line in runner.markdown(title, keep(rows, runner.run_suite(
                    suite, threads, options.seconds, options.only))):  # fmt: skip
                print(line, flush=True)
            if rows:  # some suites have nothing that depends on the number of threads
                results[name, threads] = rows
                tables.append("\n".join(runner.markdown(title, rows)) + "\n")
        if tables:  # the tables of a suite whose data are not here stay as they are
            sections[name] = "\n".join([f"{machine}.\n", *tables])
    if options.markdown:
        sections = kept_sections(options.markdown) | sections
        text = "".join(f"\n## {name}\n\n{sections[name]}" for name in sorted(sections))
        options.markdown.write_text(INTRODUCTION + text)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        runner.write_json(options.json, results)


def kept_sections(page):
    """Read the tables that a page holds, by suite; those of suites that are gone stay behind."""
    parts = page.read_text().split("\n## ")[1:] if page.exists() else []
    sections = dict(part.split("\n\n", 1) for part in parts)
    return {name: text for name, text in sections.items() if name in SUITES}


def keep(rows, made):
    """Pass rows on as they are measured, and keep them."""
    for row in made:
        rows.append(row)
        yield row


if __name__ == "__main__":
    main()
