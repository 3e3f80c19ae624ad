"""How long an import takes in a fresh interpreter."""

import subprocess
import sys
from collections.abc import Iterator

from benchmarks.runner import Row

CODE = """
import time
start = time.perf_counter()
import {module}
print(time.perf_counter() - start)
"""
MODULES = ("numpy", "fieldgrad.engine", "fieldgrad.engine.cli", "fieldgrad.neuro.field")


def time_import(module: str, n_runs: int = 7) -> float:
    """Give the best of several imports in seconds, each in an interpreter of its own."""
    command = [sys.executable, "-c", CODE.format(module=module)]
    runs = [
        subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(n_runs)
    ]
    return min(float(run.stdout) for run in runs)


def rows(threads: int, seconds: float) -> Iterator[Row]:
    """NumPy alone, the engine, the command line, a field."""
    for module in MODULES:
        yield Row(f"import {module}", time_import(module) * 1e3, "ms")
