"""How many instructions a call on 8 floats takes, counted by valgrind's callgrind (if installed).

A count does not depend on how busy the machine is. Each row is the difference between two runs of
the same program, with and without the calls.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator

from benchmarks.runner import Row

PROGRAM = """
import sys
import numpy as np
import fieldgrad.engine as fg

fg.set_num_threads(1)
ones = np.ones(8, np.float32)
a, b, leaf = fg.tensor(ones), fg.tensor(ones), fg.tensor(ones, requires_grad=True)
calls = {
    "NumPy: ones + ones": lambda: ones + ones,
    "a + b": lambda: a + b,
    "leaf + b, recorded": lambda: leaf + b,
    "leaf * 2.0, recorded": lambda: leaf * 2.0,
    "(leaf * b).sum()": lambda: (leaf * b).sum(),
    "(leaf * b).sum().backward()": lambda: (leaf * b).sum().backward(),
}
call = calls[sys.argv[1]]
for _ in range(int(sys.argv[2])):
    call()
"""
NAMES = re.findall(r'^    "(.+)": lambda', PROGRAM, re.M)
N_CALLS = 2_000


def count(name: str, n_calls: int) -> int:
    """Instructions of the whole program."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    command += [sys.executable, "-c", PROGRAM, name, str(n_calls)]
    environment = os.environ | {"PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return int(re.search(r"Collected : (\d+)", done.stderr)[1])


def rows(threads: int, seconds: float) -> Iterator[Row]:
    """Only once: a call this small runs on one thread."""
    if threads > 1 or shutil.which("valgrind") is None:
        return
    for name in NAMES:
        difference = count(name, 2 * N_CALLS) - count(name, N_CALLS)
        yield Row(name, difference / N_CALLS, "instructions")
