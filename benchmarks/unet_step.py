"""A training step of a 3-D U-Net, beside PyTorch where it is installed.

The same network (nnU-Net's plain form: two convolution blocks a stage, instance normalization,
leaky ReLU, strided and transposed convolutions), the same loss (cross-entropy and soft Dice), Adam,
float32, on the same number of threads, in turns in one process; each keeps its best time. PyTorch
runs in both memory formats and the faster one counts.

    python benchmarks/unet_step.py [threads] [rounds]
"""

import itertools
import platform
import sys
import time
from collections.abc import Callable

import numpy as np

import fieldgrad.engine as fg
from fieldgrad.engine import _kernels
from fieldgrad.engine.optim import Adam
from fieldgrad.neuro.losses import dice_cross_entropy
from fieldgrad.shared_models import UNet

try:
    import torch
    from torch import nn
except ImportError:
    torch = None

# features of the stages, patch
CASES = (
    ((16, 32, 64), (64, 80, 64)),
    ((8, 16, 32, 64), (40, 56, 40)),
    ((32, 64, 128, 256), (64, 64, 64)),
)
N_CLASSES = 4


def data(patch: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """One image and its classes."""
    rng = np.random.default_rng(0)
    image = rng.normal(size=(1, 1, *patch)).astype(np.float32)
    return image, rng.integers(0, N_CLASSES, (1, *patch))


def our_step(features: tuple[int, ...], patch: tuple[int, ...]) -> Callable[[], object]:
    """A training step of fieldgrad."""
    image, classes = data(patch)
    network = UNet(1, N_CLASSES, features=features)
    optimizer = Adam(network.parameters(), lr=1e-3)

    def step() -> None:
        dice_cross_entropy(network(fg.tensor(image)), classes).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def torch_step(
    features: tuple[int, ...], patch: tuple[int, ...], memory_format: object
) -> Callable[[], object]:
    """The same step in PyTorch."""

    def block(inside: int, out: int, stride: int = 1) -> nn.Module:
        return nn.Sequential(
            nn.Conv3d(inside, out, 3, stride=stride, padding=1, bias=False),
            nn.InstanceNorm3d(out, affine=True),
            nn.LeakyReLU(0.01, inplace=True),
        )

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            widths = (1, *features)
            self.down = nn.ModuleList(
                nn.Sequential(block(a, b, 1 if i == 0 else 2), block(b, b))
                for i, (a, b) in enumerate(itertools.pairwise(widths))
            )
            pairs = list(zip(features[:0:-1], features[-2::-1], strict=True))
            self.enlarge = nn.ModuleList(nn.ConvTranspose3d(a, b, 2, stride=2) for a, b in pairs)
            self.up = nn.ModuleList(nn.Sequential(block(2 * b, b), block(b, b)) for _, b in pairs)
            self.head = nn.Conv3d(features[0], N_CLASSES, 1)

        def forward(self, x: "torch.Tensor") -> "torch.Tensor":
            skips = []
            for stage in self.down:
                x = stage(x)
                skips.append(x)
            skips.pop()
            for enlarge, stage in zip(self.enlarge, self.up, strict=True):
                x = stage(torch.cat([enlarge(x), skips.pop()], 1))
            return self.head(x)

    image, classes = data(patch)
    network = Network().to(memory_format=memory_format)
    x = torch.from_numpy(image).contiguous(memory_format=memory_format)
    target = torch.from_numpy(classes)
    one_hot = torch.nn.functional.one_hot(target, N_CLASSES).movedim(-1, 1).float()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)

    def step() -> None:
        logits = network(x)
        p = logits.softmax(1)
        overlap, size = (p * one_hot).sum((2, 3, 4)), (p + one_hot).sum((2, 3, 4))
        dice = ((2 * overlap + 1e-5) / (size + 1e-5))[:, 1:].mean()
        (torch.nn.functional.cross_entropy(logits, target) + 1 - dice).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def best_times(steps: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Best time of each in seconds, run in turns after a warm-up."""
    best = dict.fromkeys(steps, float("inf"))
    for i in range(rounds + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if i:
                best[name] = min(best[name], time.perf_counter() - start)
    return best


if __name__ == "__main__":
    threads = int(sys.argv[1]) if len(sys.argv) > 1 else fg.get_num_threads()
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    fg.set_num_threads(threads)
    peer = "PyTorch not installed"
    if torch is not None:
        torch.set_num_threads(threads)
        peer = f"PyTorch {torch.__version__}"
    print(
        f"{platform.machine()}, {_kernels.isa}, {threads} threads, NumPy {np.__version__}, {peer}\n"
    )
    print("| features | patch | ms a step | PyTorch, ms | ratio |")
    print("| --- | --- | ---: | ---: | ---: |")
    for features, patch in CASES:
        steps = {"ours": our_step(features, patch)}
        if torch is not None:
            for memory_format in (torch.contiguous_format, torch.channels_last_3d):
                steps[str(memory_format)] = torch_step(features, patch, memory_format)
        best = best_times(steps, rounds)
        ours = best.pop("ours")
        theirs = min(best.values(), default=float("nan"))
        names = "-".join(map(str, features)), "x".join(map(str, patch))
        row = f"{ours * 1e3:.0f} | {theirs * 1e3:.0f} | {theirs / ours:.2f}"
        print(f"| {names[0]} | {names[1]} | {row} |")
