"""Speed of 3-D convolution on the shapes of a U-Net: forward, and forward with both gradients.

Prints a Markdown table of effective GFLOP/s (2 · taps · channels in · channels out · voxels, twice
more for the two gradients) and, where PyTorch is installed, how many times as fast as PyTorch that
is: both run in turns in this process, on the same number of threads, and each keeps its best time.
PyTorch gets its faster memory format of the two.

    python benchmarks/conv.py [threads] [seconds per case]
"""

import platform
import sys
import time
from collections.abc import Callable

import numpy as np

import fieldgrad.engine as fg
from fieldgrad.engine import _kernels

try:
    import torch
except ImportError:
    torch = None

# channels in, channels out, edge of the cubic volume
SHAPES = (
    (1, 32, 96),
    (16, 16, 96),
    (32, 32, 96),
    (32, 64, 48),
    (64, 64, 48),
    (128, 128, 24),
    (256, 256, 12),
    (320, 320, 6),
)


def arrays(c: int, o: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Input with adjacent channels, as the engine lays it out, and weight."""
    rng = np.random.default_rng(0)
    x = np.moveaxis(rng.normal(size=(1, n, n, n, c)).astype(np.float32), -1, 1)
    return x, (rng.normal(size=(o, c, 3, 3, 3)) / (27 * c) ** 0.5).astype(np.float32)


def time_forward(c: int, o: int, n: int) -> Callable[[], object]:
    """One forward pass without a tape."""
    x, weight = arrays(c, o, n)
    return lambda: fg.conv(x, weight, padding=1)


def time_forward_backward(c: int, o: int, n: int) -> Callable[[], object]:
    """Forward pass and the gradients for input (unless it is the image) and weight."""
    x, weight = arrays(c, o, n)
    leaves = [fg.tensor(x, requires_grad=c > 1), fg.tensor(weight, requires_grad=True)]
    g = np.moveaxis(np.ones((1, n, n, n, o), np.float32), -1, 1)

    def run() -> None:
        fg.grad(fg.conv(*leaves, padding=1), [t for t in leaves if t.requires_grad], fg.tensor(g))

    return run


def torch_forward(c: int, o: int, n: int, memory_format: object) -> Callable[[], object]:
    """The same as `time_forward` in PyTorch."""
    x, weight = (torch.tensor(a).contiguous(memory_format=memory_format) for a in arrays(c, o, n))

    def run() -> None:
        with torch.no_grad():
            torch.conv3d(x, weight, padding=1)

    return run


def torch_forward_backward(c: int, o: int, n: int, memory_format: object) -> Callable[[], object]:
    """The same as `time_forward_backward` in PyTorch."""
    x, weight = (torch.tensor(a).contiguous(memory_format=memory_format) for a in arrays(c, o, n))
    leaves = [x.requires_grad_(c > 1), weight.requires_grad_()]
    g = torch.ones((1, o, n, n, n)).contiguous(memory_format=memory_format)

    def run() -> None:
        torch.autograd.grad(
            torch.conv3d(*leaves, padding=1), [t for t in leaves if t.requires_grad], g
        )

    return run


def best_times(runs: list[Callable[[], object]], seconds: float) -> list[float]:
    """Shortest time of each, in turns of three calls: the first finds the other's threads awake."""
    best = [float("inf")] * len(runs)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for i, run in enumerate(runs):
            for _ in range(3):
                start = time.perf_counter()
                run()
                best[i] = min(best[i], time.perf_counter() - start)
    return best


def main() -> None:
    """Print the table."""
    threads = int(sys.argv[1]) if len(sys.argv) > 1 else fg.get_num_threads()
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 3.0
    fg.set_num_threads(threads)
    if torch:
        torch.set_num_threads(threads)
    machine = platform.processor() or platform.machine()
    versions = f"numpy {np.__version__}" + (f", torch {torch.__version__}" if torch else "")
    print(f"{machine}, {_kernels.isa}, {threads} threads, {versions}\n")
    ratio = " torch ÷ ours |" if torch else ""
    print(f"| shape | forward |{ratio} forward + backward |{ratio}")
    print("|---|---|---|" + ("---|---|" if torch else ""))
    for c, o, n in SHAPES:
        row = f"| {c} → {o} @ {n}³ |"
        products = 2 * 27 * c * o * n**3 / 1e9
        cases = (
            (time_forward, "torch_forward", 1),
            (time_forward_backward, "torch_forward_backward", 2 + (c > 1)),
        )
        for ours, theirs, n_passes in cases:
            runs = [ours(c, o, n)]
            if torch:
                formats = (torch.contiguous_format, torch.channels_last_3d)
                runs += [globals()[theirs](c, o, n, f) for f in formats]
            first, *others = best_times(runs, seconds)
            row += f" {n_passes * products / first:.0f} |"
            row += f" {min(others) / first:.2f} |" if torch else ""
        print(row, flush=True)


if __name__ == "__main__":
    main()
