"""A 3-D U-Net: training step and inference.

nnU-Net's plain form: two convolution blocks a stage, instance normalization, leaky ReLU, strided
and transposed convolutions; cross-entropy and soft Dice; SGD with Nesterov momentum; float32.
"""

import itertools
from collections.abc import Callable, Iterator

import numpy as np

import fieldgrad.engine as fg
from benchmarks.runner import Case
from fieldgrad.engine.optim import SGD
from fieldgrad.neuro.segmentation.losses import dice_cross_entropy
from fieldgrad.shared_models import UNet

try:
    import torch
    from torch import nn
except ImportError:
    torch = None

N_CLASSES = 4
SMALL = ("U-Net 8-16-32-64, 1×1×40×56×40", (8, 16, 32, 64), 1, (40, 56, 40))
LARGE = ("U-Net 32-64-128-256, 2×1×64³", (32, 64, 128, 256), 2, (64, 64, 64))


def data(batch: int, patch: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Images and their classes."""
    rng = np.random.default_rng(0)
    image = rng.normal(size=(batch, 1, *patch)).astype(np.float32)
    return image, rng.integers(0, N_CLASSES, (batch, *patch))


def ours(
    features: tuple[int, ...], batch: int, patch: tuple[int, ...]
) -> tuple[Callable[[], object], Callable[[], object]]:
    """Our training step and inference."""
    image, classes = data(batch, patch)
    network = UNet(1, N_CLASSES, features=features)
    optimizer = SGD(network.parameters(), lr=1e-3, momentum=0.99, nesterov=True, weight_decay=3e-5)

    def step() -> None:
        dice_cross_entropy(network(fg.tensor(image)), classes).backward()
        optimizer.step()
        optimizer.zero_grad()

    def infer() -> None:
        with fg.no_grad():
            network(fg.tensor(image))

    return step, infer


def theirs(
    features: tuple[int, ...], batch: int, patch: tuple[int, ...], memory_format: object
) -> tuple[Callable[[], object], Callable[[], object]]:
    """The same in PyTorch."""

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

    image, classes = data(batch, patch)
    network = Network().to(memory_format=memory_format)
    x = torch.from_numpy(image).contiguous(memory_format=memory_format)
    target = torch.from_numpy(classes)
    one_hot = torch.nn.functional.one_hot(target, N_CLASSES).movedim(-1, 1).float()
    optimizer = torch.optim.SGD(
        network.parameters(), lr=1e-3, momentum=0.99, nesterov=True, weight_decay=3e-5, fused=True
    )

    def step() -> None:
        logits = network(x)
        p = logits.softmax(1)
        overlap, size = (p * one_hot).sum((2, 3, 4)), (p + one_hot).sum((2, 3, 4))
        dice = ((2 * overlap + 1e-5) / (size + 1e-5))[:, 1:].mean()
        (torch.nn.functional.cross_entropy(logits, target) + 1 - dice).backward()
        optimizer.step()
        optimizer.zero_grad()

    def infer() -> None:
        with torch.no_grad():
            network(x)

    return step, infer


def formats() -> dict[str, object]:
    """PyTorch's memory formats for volumes."""
    if torch is None:
        return {}
    return {"channels first": torch.contiguous_format, "channels last": torch.channels_last_3d}


def cases(threads: int) -> Iterator[Case]:
    """Speed of a small and a large net."""
    for name, features, batch, patch in (SMALL, LARGE):
        mine = ours(features, batch, patch)
        other = {key: theirs(features, batch, patch, value) for key, value in formats().items()}
        for i, kind in enumerate(("training step", "inference")):
            peers = {key: calls[i] for key, calls in other.items()}
            yield Case(f"{name}, {kind}", mine[i], peers, 2.0)
