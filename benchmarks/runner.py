"""Measures ours beside a peer's in one process, in turns, and writes what it found.

A suite is a module here with a generator ``cases(threads)`` of `Case`, or ``rows(threads,
seconds)`` of `Row` for what no pair of calls can measure. Generators, so that the arrays of one
case are free before the next is made.
"""

import json
import math
import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from types import ModuleType

from fieldgrad.engine.bindings import base_kernels

__all__ = ["Case", "Row", "machine", "markdown", "run_suite", "write_json"]

TURN = 3  # samples of a contender in a row: the first finds the other's threads awake
SLOW = 0.2  # seconds from which that matters no more and one sample is enough
SAMPLE = 2e-3  # seconds that a sample takes at least: short calls are repeated


@dataclass
class Case:
    """One piece of work, done by us and by peers; the fastest peer counts.

    Parameters
    ----------
    name : str
        What is computed and at which size.
    ours : callable
        Does it once.
    peers : mapping of str to callable
        Name of a way in which the peer does it (such as a memory format) -> does it once. Empty
        where there is no peer: only our time is shown.
    target : float, optional
        Ratio (peer's time ÷ ours) that we want at least.
    group : str, optional
        Cases of one group share a geometric mean.
    gflop : float, optional
        10⁹ operations of the textbook algorithm, to show GFLOP/s.
    """

    name: str
    ours: Callable[[], object]
    peers: Mapping[str, Callable[[], object]] = field(default_factory=dict)
    target: float | None = None
    group: str | None = None
    gflop: float | None = None


@dataclass
class Row:
    """A measured line of a table; ``ratio`` above 1 is in our favour."""

    name: str
    ours: float
    unit: str
    peer: str = ""
    theirs: float | None = None
    ratio: float | None = None
    target: float | None = None
    group: str | None = None
    gflops: float | None = None
    digits: int = 3


def time_once(call: Callable[[], object], number: int) -> float:
    """Give seconds per call of one sample."""
    start = time.perf_counter()
    for _ in range(number):
        call()
    return (time.perf_counter() - start) / number


def best_times(calls: Mapping[str, Callable[[], object]], seconds: float) -> dict[str, float]:
    """Shortest time of each, in turns, after a warm-up; slow calls get three rounds."""
    numbers, turns, best = {}, {}, dict.fromkeys(calls, math.inf)
    for name, call in calls.items():
        call()
        once = max(time_once(call, 1), 1e-7)
        turns[name] = TURN if once < SLOW else 1
        numbers[name] = max(1, math.ceil(SAMPLE / once))
        if numbers[name] > 1:  # the first calls were slow, or the clock too coarse for one
            numbers[name] = max(1, math.ceil(SAMPLE / time_once(call, numbers[name])))
    end, n_rounds = time.perf_counter() + seconds, 0
    while n_rounds < 3 or time.perf_counter() < end:
        for name, call in calls.items():
            for _ in range(turns[name]):
                best[name] = min(best[name], time_once(call, numbers[name]))
        n_rounds += 1
    return best


def measure(case: Case, seconds: float) -> Row:
    """Time a case."""
    best = best_times({"ours": case.ours, **case.peers}, seconds)
    ours = best.pop("ours")
    peer = min(best, key=best.__getitem__, default="")
    unit, scale = ("µs", 1e6) if ours < 1e-3 else ("ms", 1e3)
    return Row(
        case.name,
        ours * scale,
        unit,
        peer,
        best[peer] * scale if peer else None,
        best[peer] / ours if peer else None,
        case.target,
        case.group,
        case.gflop / ours if case.gflop else None,
    )


def run_suite(
    suite: ModuleType, threads: int, seconds: float, only: str | None = None
) -> Iterator[Row]:
    """Measure what a suite holds, one row after the other, and the mean of each group."""
    groups: dict[str, list[float]] = {}
    made: Iterable[Case | Row]
    made = suite.cases(threads) if hasattr(suite, "cases") else suite.rows(threads, seconds)
    for item in made:
        if only and only not in item.name:
            continue
        row = measure(item, seconds) if isinstance(item, Case) else item
        if row.group and row.ratio:
            groups.setdefault(row.group, []).append(row.ratio)
        yield row
    targets = getattr(suite, "GEOMETRIC_MEANS", {})
    for name, ratios in groups.items():
        mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
        yield Row(f"geometric mean, {name}", math.nan, "", "", None, mean, targets.get(name))


def machine() -> dict[str, str]:
    """Describe what the figures were measured with."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        fields = dict(
            map(str.strip, line.split(":", 1))
            for line in info.read_text().splitlines()
            if ":" in line
        )
        cpu = f"{fields.get('model name', cpu)} (family {fields.get('cpu family', '?')}, " \
              f"model {fields.get('model', '?')})"  # fmt: skip
    found = {"CPU": cpu, "cores": str(len(os.sched_getaffinity(0))), "kernels": base_kernels.isa}
    found |= {"Python": platform.python_version()}
    for package in ("fieldgrad", "numpy", "scipy", "torch"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def number(value: float | None, digits: int = 3) -> str:
    """Format with some significant digits; empty for what was not measured."""
    if value is None or math.isnan(value):
        return ""
    return f"{value:.{max(0, digits - 1 - math.floor(math.log10(max(abs(value), 1e-12))))}f}"


def markdown(title: str, rows: Iterable[Row]) -> Iterator[str]:
    """Lines of a table; a ratio that misses its target is marked."""
    yield f"| {title} | ours | PyTorch | fastest as | ratio | wanted | GFLOP/s |"
    yield "| --- | ---: | ---: | --- | ---: | ---: | ---: |"
    for row in rows:
        ours = f"{number(row.ours, row.digits)} {row.unit}".strip()
        theirs = f"{number(row.theirs)} {row.unit}" if row.theirs is not None else ""
        missed = " ✗" if row.ratio and row.target and row.ratio < row.target else ""
        ratio = f"{row.ratio:.2f}{missed}" if row.ratio else ""
        wanted = f"{row.target:.1f}" if row.target else ""
        rate = f"{row.gflops:.0f}" if row.gflops else ""
        yield f"| {row.name} | {ours} | {theirs} | {row.peer} | {ratio} | {wanted} | {rate} |"


def write_json(path: Path, results: Mapping[tuple[str, int], list[Row]]) -> None:
    """Write every row with the machine, for tools to compare."""
    tables = [
        {"suite": suite, "threads": threads, "rows": [asdict(row) for row in rows]}
        for (suite, threads), rows in results.items()
    ]
    path.write_text(json.dumps({"machine": machine(), "tables": tables}, indent=1) + "\n")
