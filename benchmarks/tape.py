"""What one small op costs: call, record, go backward; beside PyTorch where it is installed.

Arrays of 8 elements, so that nearly all of the time is overhead. Times are the best of several
rounds, in turns in one process on one thread.

    python benchmarks/tape.py
"""

import platform
import timeit
from collections.abc import Callable

import numpy as np

import fieldgrad.engine as fg

try:
    import torch
except ImportError:
    torch = None

N = 8


def cases(make: Callable[..., object]) -> dict[str, Callable[[], object]]:
    """The same calls for tensors of either library; make(requires_grad) gives a tensor of ones."""
    a, b, leaf = make(False), make(False), make(True)

    def chain() -> None:
        y = leaf
        for _ in range(10):
            y = y * b
        y.sum().backward()

    return {
        "add": lambda: a + b,
        "add, recorded": lambda: leaf + b,
        "multiply by a number, recorded": lambda: leaf * 2.0,
        "10 multiplications, sum, backward": chain,
    }


def best(call: Callable[[], object], n: int) -> float:
    """Microseconds per call, one round."""
    return timeit.timeit(call, number=n) / n * 1e6


if __name__ == "__main__":
    fg.set_num_threads(1)
    ours = cases(lambda grad: fg.tensor(np.ones(N, np.float32), requires_grad=grad))
    theirs = {}
    if torch is not None:
        torch.set_num_threads(1)
        theirs = cases(lambda grad: torch.ones(N, requires_grad=grad))
    peer = f"PyTorch {torch.__version__}" if torch else "PyTorch not installed"
    python = platform.python_version()
    print(f"{platform.machine()}, Python {python}, NumPy {np.__version__}, {peer}\n")
    print("| call | µs | PyTorch, µs | ratio |\n| --- | ---: | ---: | ---: |")
    for name, call in ours.items():
        n = 2_000 if "backward" in name else 20_000
        mine = peers = float("inf")
        for _ in range(7):
            mine = min(mine, best(call, n))
            if theirs:
                peers = min(peers, best(theirs[name], n))
        ratio = f"{peers:.2f} | {peers / mine:.2f}" if theirs else "- | -"
        print(f"| {name} | {mine:.2f} | {ratio} |")
