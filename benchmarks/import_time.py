"""How long `import fieldgrad.engine` takes in a fresh interpreter, with NumPy alone beside it."""

import platform
import subprocess
import sys

CODE = """
import time
start = time.perf_counter()
import {module}
print(time.perf_counter() - start)
"""


def time_import(module: str, n_runs: int = 7) -> float:
    """Give the best of several imports in seconds, each in an interpreter of its own."""
    command = [sys.executable, "-c", CODE.format(module=module)]
    runs = [
        subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(n_runs)
    ]
    return min(float(run.stdout) for run in runs)


if __name__ == "__main__":
    print(f"import time, best of 7, Python {platform.python_version()}, {platform.machine()}")
    for name in ("numpy", "fieldgrad.engine", "fieldgrad.engine.cli", "fieldgrad.neuro.field"):
        print(f"{name:24s} {time_import(name):.3f} s")
