"""Point clouds: nearest neighbors of the constituents of jets, and distances."""

from collections.abc import Iterator

import numpy as np

import fieldgrad.engine as fg
from benchmarks.runner import Case

try:
    import torch
except ImportError:
    torch = None


def cases(threads: int) -> Iterator[Case]:
    """Neighbors in the plane and in feature space, as dynamic graphs look for them."""
    rng = np.random.default_rng(0)
    k = 16
    for n_clouds, n, dims in ((512, 64, 2), (512, 64, 3), (128, 128, 64)):
        values = rng.normal(size=(n_clouds, n, dims)).astype(np.float32)
        x = fg.tensor(values)
        peers = {}
        if torch is not None:
            points = torch.tensor(values)

            def theirs(points=points):
                # Each point is nearest to itself, and left out.
                return torch.cdist(points, points).topk(k + 1, largest=False).indices[..., 1:]

            peers["cdist + topk"] = theirs
        yield Case(
            f"{k} nearest neighbors, {n_clouds} clouds × {n} points × {dims}",
            lambda x=x: fg.knn(x, k=k),
            peers,
            3.0,
        )
    values = rng.normal(size=(512, 64, 3)).astype(np.float32)
    g = rng.normal(size=(512, 64, 64)).astype(np.float32)
    x, mine = fg.tensor(values, requires_grad=True), fg.tensor(g)
    peers = {}
    if torch is not None:
        leaf, gradient = torch.tensor(values, requires_grad=True), torch.tensor(g)
        peers["cdist"] = lambda: torch.autograd.grad(torch.cdist(leaf, leaf), leaf, gradient)
    yield Case(
        "distances, 512 clouds × 64 points × 3, forward+backward",
        lambda: fg.grad(fg.cdist(x, x), x, mine),
        peers,
    )
