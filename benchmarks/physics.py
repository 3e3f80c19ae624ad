"""Jet taggers beside the same networks written plainly in PyTorch: an epoch, and tagging.

Jets are made up, with numbers of constituents as those of simulated jets of 600 GeV have (54 on
average, the longest of a batch about 110). PyTorch's networks work on rectangles with a mask,
padded to the longest jet of each batch, as ParticleNet's and EnergyFlow's own implementations do;
ours on the constituents there are. A case is one batch of 256 jets; an epoch of 40,000 jets takes
156 times as long.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np

import fieldgrad.engine as fg
from benchmarks.runner import Case
from fieldgrad.engine.data import as_tensors
from fieldgrad.physics.models import PFN, ParticleNetLite
from fieldgrad.physics.tagging.losses import cross_entropy

try:
    import torch
except ImportError:
    torch = None

N_JETS, N_FEATURES = 256, 7


def jets(rng: np.random.Generator) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Arrays of one batch and its labels."""
    counts = np.clip(rng.normal(54, 20, N_JETS).astype(int), 6, 140)
    offsets = np.concatenate([[0], counts.cumsum()])
    features = rng.normal(size=(offsets[-1], N_FEATURES)).astype(np.float32)
    arrays = {"features": features, "points": features[:, :2].copy(), "offsets": offsets}
    return arrays, rng.integers(0, 2, N_JETS)


def padded(arrays: dict[str, np.ndarray]) -> tuple[object, object, object]:
    """Give features, points (batch, channel, place) and mask (batch, 1, place) to PyTorch."""
    counts = np.diff(arrays["offsets"])
    mask = np.arange(counts.max()) < counts[:, None]
    dense = []
    for name in ("features", "points"):
        array = np.zeros((*mask.shape, arrays[name].shape[1]), np.float32)
        array[mask] = arrays[name]
        dense.append(torch.tensor(np.ascontiguousarray(array.transpose(0, 2, 1))))
    return dense[0], dense[1], torch.tensor(mask[:, None].astype(np.float32))


def pfn_of_torch() -> object:
    """Φ, masked sum, F, on (batch, place, feature)."""
    layer, relu = torch.nn.Linear, torch.nn.ReLU

    class Pfn(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.phi = torch.nn.Sequential(
                layer(N_FEATURES, 100), relu(), layer(100, 100), relu(), layer(100, 256), relu()
            )
            self.f = torch.nn.Sequential(
                layer(256, 100), relu(), layer(100, 100), relu(), layer(100, 100), relu(),
                layer(100, 2),
            )  # fmt: skip

        def forward(self, features: object, points: object, mask: object) -> object:
            latent = self.phi(features.transpose(1, 2)) * mask.transpose(1, 2)
            return self.f(latent.sum(1))

    return Pfn()


def particle_net_lite_of_torch() -> object:
    """ParticleNet-Lite after its paper: convolutions of width 1 over (batch, channel, place, k)."""
    from torch import nn

    def neighbors(points: object, k: int) -> object:
        inner = 2 * torch.matmul(points.transpose(2, 1), points)
        square = (points**2).sum(1, keepdim=True)
        return (inner - square - square.transpose(2, 1)).topk(k + 1, dim=-1)[1][:, :, 1:]

    def edges(x: object, index: object) -> object:
        batch, channels, places = x.shape
        k = index.shape[-1]
        flat = (index + torch.arange(batch).view(-1, 1, 1) * places).view(-1)
        rows = x.transpose(0, 1).reshape(channels, -1)[:, flat]
        near = rows.view(channels, batch, places, k).transpose(0, 1)
        own = x.unsqueeze(-1).expand(-1, -1, -1, k)
        return torch.cat([own, near - own], dim=1)

    class Block(nn.Module):
        def __init__(self, k: int, channels: int, widths: tuple[int, ...]) -> None:
            super().__init__()
            self.k, sizes = k, (2 * channels, *widths)
            self.convs = nn.ModuleList(nn.Conv2d(a, b, 1, bias=False) for a, b in pairwise(sizes))
            self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in widths)
            self.shortcut = nn.Conv1d(channels, widths[-1], 1, bias=False)
            self.shortcut_norm = nn.BatchNorm1d(widths[-1])

        def forward(self, points: object, x: object) -> object:
            y = edges(x, neighbors(points, self.k))
            for conv, norm in zip(self.convs, self.norms, strict=True):
                y = torch.relu(norm(conv(y)))
            return torch.relu(y.mean(-1) + self.shortcut_norm(self.shortcut(x)))

    class Lite(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(N_FEATURES)
            self.blocks = nn.ModuleList([Block(7, N_FEATURES, (32,) * 3), Block(7, 32, (64,) * 3)])
            self.head = nn.Sequential(
                nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.1), nn.Linear(128, 2)
            )

        def forward(self, features: object, points: object, mask: object) -> object:
            far, x = (mask == 0) * 1e9, self.norm(features) * mask
            for block in self.blocks:
                x = block(points + far, x) * mask
                points = x
            return self.head(x.sum(-1) / mask.sum(-1))

    return Lite()


def step(network: fg.nn.Module, x: dict[str, object], labels: np.ndarray) -> Callable[[], object]:
    """Forward, backward and an update."""
    optimizer = fg.optim.AdamW(network.parameters(), lr=1e-3)

    def run() -> None:
        cross_entropy(network(x), labels).backward()
        optimizer.step()
        optimizer.zero_grad()

    return run


def step_of_torch(network: object, x: tuple[object, ...], labels: object) -> Callable[[], object]:
    """Give the same from PyTorch."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)

    def run() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(*x), labels).backward()
        optimizer.step()

    return run


def tagging(network: fg.nn.Module, x: dict[str, object]) -> Callable[[], object]:
    """Forward only, finished."""

    def run() -> None:
        network.eval()
        with fg.no_grad():
            network(x)

    return run


def tagging_of_torch(network: object, x: tuple[object, ...]) -> Callable[[], object]:
    """Give the same from PyTorch."""

    def run() -> None:
        network.eval()
        with torch.no_grad():
            network(*x)

    return run


def cases(threads: int) -> Iterator[Case]:
    """A training step and tagging, of 256 jets."""
    del threads
    arrays, labels = jets(np.random.default_rng(0))
    x = as_tensors(arrays)
    peers = {"PFN": pfn_of_torch, "ParticleNet-Lite": particle_net_lite_of_torch}
    for name, make in (("PFN", PFN), ("ParticleNet-Lite", ParticleNetLite)):
        train, tag = {}, {}
        if torch is not None:
            dense, wanted = padded(arrays), torch.tensor(labels)
            train["padded"] = step_of_torch(peers[name](), dense, wanted)
            tag["padded"] = tagging_of_torch(peers[name](), dense)
        network = make(N_FEATURES, 2)
        yield Case(f"{name}, training step of {N_JETS} jets", step(network, x, labels), train, 2.0)
        network = make(N_FEATURES, 2)
        yield Case(f"{name}, tagging {N_JETS} jets", tagging(network, x), tag, 2.0)
