"""Compare with PyTorch's operator database: values, dtypes and gradients, entry by entry.

python -m benchmarks.conformance                       everything, counts and what is not present
python -m benchmarks.conformance linalg fft            two subjects
python -m benchmarks.conformance --only svd            the entries with this in their name
python -m benchmarks.conformance --markdown docs/conformance.md

Ends with status 1 if an entry is wrong. Needs torch 2.13.0 and expecttest (a test tool of torch).
"""

import argparse
import sys
import warnings
from pathlib import Path

import torch
from torch.testing._internal.common_methods_invocations import op_db

import fieldgrad.engine as fg
from benchmarks import runner
from benchmarks.conformance.check import check
from benchmarks.conformance.entries import TABLE, Entry
from benchmarks.conformance.page import Result, counts, write

DTYPES = (torch.float64, torch.float32, torch.int64, torch.complex128)


def main() -> int:
    """Run the entries and report."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.conformance", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=", ".join(TABLE))
    parser.add_argument("--only", help="only the entries with this in their name")
    parser.add_argument("--markdown", type=Path, help="also write the page to this file")
    options = parser.parse_args()
    unknown = set(options.subjects) - set(TABLE)
    if unknown:
        parser.error(f"no subject {', '.join(sorted(unknown))}; choose from {', '.join(TABLE)}")
    torch.set_num_threads(1)
    fg.set_num_threads(1)
    results = []
    for info in op_db:
        result = described(info)
        if options.only and options.only not in result.name:
            continue
        if options.subjects and result.subject not in options.subjects:
            continue
        run(info, result)
        results.append(result)
        report(result)
    print(*counts(results), sep="\n")
    if options.markdown:
        machine = ", ".join(f"{name} {value}" for name, value in runner.machine().items())
        write(options.markdown, results, machine)
    return int(any(r.verdict == "wrong" for r in results))


def described(info) -> Result:
    """An entry's name, subject and adapter."""
    name = f"{info.name}.{info.variant_test_name}" if info.variant_test_name else info.name
    subject = next((s for s, entries in TABLE.items() if name in entries), "other")
    differentiable = info.supports_autograd and torch.float64 in info.dtypes
    return Result(name, subject, differentiable, TABLE.get(subject, {}).get(name))


def run(info, result: Result) -> None:
    """Check an entry in each dtype that it has."""
    if not isinstance(result.entry, Entry):
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for dtype in DTYPES:
            if dtype in info.dtypes:
                finding = check(info, result.entry, dtype)
                result.findings[str(dtype).removeprefix("torch.")] = finding
                if finding.missing:
                    return


def report(result: Result) -> None:
    """Print what is not as it should be."""
    if result.verdict == "missing":
        print(f"missing     {result.name}: {result.missing}")
    elif result.verdict == "incomplete" and result.forward_only:
        print(f"no gradient {result.name}")
    for what in ("wrong", "refused"):
        for message, n in list(result.gathered(what).items())[:4]:
            print(f"{what:11} {result.name}: {message} ({n} ×)", flush=True)


if __name__ == "__main__":
    sys.exit(main())
