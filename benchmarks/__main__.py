"""Benchmarks: ours beside PyTorch (where it is installed) in one process, in turns, best of n.

python -m benchmarks                       every suite, on all threads and on one
python -m benchmarks conv unet --threads 2 --seconds 3
python -m benchmarks norm --only instance
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
SUITES = sorted(p.stem for p in HERE.glob("*.py") if p.stem not in ("__main__", "runner"))
INTRODUCTION = """# Benchmarks

Written by `python -m benchmarks --markdown`, which `make bench` runs; do not edit. Ours and
PyTorch's (eager) run in one process, in turns, on the same shapes and number of threads; each keeps
its best time. *Ratio* is PyTorch's time divided by ours, where PyTorch may choose the faster of its
ways (*fastest as*); *wanted* is what we hold ourselves to, and ✗ marks a miss.

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
    parser.add_argument("--markdown", type=Path, help="also write the tables to this file")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    unknown = set(options.suites) - set(SUITES)
    if unknown:
        parser.error(f"no suite {', '.join(sorted(unknown))}; choose from {', '.join(SUITES)}")
    text = ", ".join(f"{name} {value}" for name, value in runner.machine().items())
    print(text)
    results = {}
    pages = [INTRODUCTION + text + "\n"]
    for threads in map(int, options.threads.split(",")):
        fg.set_num_threads(threads)
        if torch is not None:
            torch.set_num_threads(threads)
        pages.append(f"\n## {threads} thread{'s' if threads > 1 else ''}\n")
        for name in options.suites or SUITES:
            suite = importlib.import_module(f"benchmarks.{name}")
            rows = []
            print()
            for line in runner.markdown(name, keep(rows, runner.run_suite(
                    suite, threads, options.seconds, options.only))):  # fmt: skip
                print(line, flush=True)
            if not rows:
                continue
            results[name, threads] = rows
            pages += ["\n" + "\n".join(runner.markdown(name, rows)) + "\n"]
    if options.markdown:
        options.markdown.write_text("".join(pages))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        runner.write_json(options.json, results)


def keep(rows, made):
    """Pass rows on as they are measured, and keep them."""
    for row in made:
        rows.append(row)
        yield row


if __name__ == "__main__":
    main()
