"""Peak memory of training a 3-D U-Net, each library in a process of its own."""

import subprocess
import sys
from collections.abc import Iterator

import fieldgrad.engine as fg
from benchmarks.runner import Row
from benchmarks.unet import LARGE, formats, ours, theirs

try:
    import torch
except ImportError:
    torch = None


def resident(field: str) -> float:
    """A line of the process's status in MB: VmRSS now, VmHWM the peak."""
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith(field))
    return int(line.split()[1]) / 1024


def peak(library: str, threads: int) -> float:
    """Peak resident megabytes of three training steps, beyond what the imports take."""
    command = [sys.executable, "-m", "benchmarks.memory", library, str(threads)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def rows(threads: int, seconds: float) -> Iterator[Row]:
    """Ours beside the thriftier of PyTorch's memory formats."""
    memory = {library: peak(library, threads) for library in ("ours", *formats())}
    mine = memory.pop("ours")
    peer = min(memory, key=memory.__getitem__, default="")
    theirs, ratio = (memory[peer], memory[peer] / mine) if peer else (None, None)
    yield Row(f"{LARGE[0]}, peak of training", mine, "MB", peer, theirs, ratio, 1.0)


if __name__ == "__main__":
    library, threads = sys.argv[1], int(sys.argv[2])
    fg.set_num_threads(threads)
    if torch is not None:
        torch.set_num_threads(threads)
    before = resident("VmRSS")
    step, _ = ours(*LARGE[1:]) if library == "ours" else theirs(*LARGE[1:], formats()[library])
    for _ in range(3):
        step()
    print(resident("VmHWM") - before)
