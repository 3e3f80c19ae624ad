"""Convolution: forward, and forward with the gradients, on the shapes of U-Nets."""

from collections.abc import Callable, Iterator

import numpy as np

import fieldgrad.engine as fg
from benchmarks.runner import Case

try:
    import torch
except ImportError:
    torch = None

# channels in, channels out, edge of the cubic volume
VOLUMES = (
    (32, 32, 96),
    (32, 64, 48),
    (64, 64, 48),
    (128, 128, 24),
    (256, 256, 12),
    (320, 320, 6),
)
# channels in, channels out, edge of the square image
IMAGES = ((64, 64, 128), (128, 128, 64))
GEOMETRIC_MEANS = {"conv3d forward": 2.0, "conv3d forward+backward": 2.0}


def arrays(batch: int, c: int, o: int, space: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Input with adjacent channels, as the engine lays it out, and weight."""
    rng = np.random.default_rng(0)
    x = np.moveaxis(rng.normal(size=(batch, *space, c)).astype(np.float32), -1, 1)
    weight = rng.normal(size=(o, c, *(3,) * len(space))) / (3 ** len(space) * c) ** 0.5
    return x, weight.astype(np.float32)


def ours(
    batch: int, c: int, o: int, space: tuple[int, ...], backward: bool
) -> Callable[[], object]:
    """Our convolution; without a gradient for the input where that is the image itself."""
    x, weight = arrays(batch, c, o, space)
    if not backward:
        return lambda: fg.conv(x, weight, padding=1)
    leaves = [fg.tensor(x, requires_grad=c > 1), fg.tensor(weight, requires_grad=True)]
    wanted = [t for t in leaves if t.requires_grad]
    g = fg.tensor(np.moveaxis(np.ones((batch, *space, o), np.float32), -1, 1))
    return lambda: fg.grad(fg.conv(*leaves, padding=1), wanted, g)


def peers(
    batch: int, c: int, o: int, space: tuple[int, ...], backward: bool
) -> dict[str, Callable[[], object]]:
    """PyTorch's, in both memory formats."""
    if torch is None:
        return {}
    function = torch.conv3d if len(space) == 3 else torch.conv2d
    last = torch.channels_last_3d if len(space) == 3 else torch.channels_last

    def make(memory_format: object) -> Callable[[], object]:
        values = arrays(batch, c, o, space)
        leaves = [torch.tensor(a).contiguous(memory_format=memory_format) for a in values]
        if not backward:

            def forward() -> None:
                with torch.no_grad():
                    function(*leaves, padding=1)

            return forward
        leaves[0].requires_grad_(c > 1)
        leaves[1].requires_grad_()
        wanted = [t for t in leaves if t.requires_grad]
        g = torch.ones((batch, o, *space)).contiguous(memory_format=memory_format)
        return lambda: torch.autograd.grad(function(*leaves, padding=1), wanted, g)

    return {"channels first": make(torch.contiguous_format), "channels last": make(last)}


def case(
    batch: int,
    c: int,
    o: int,
    space: tuple[int, ...],
    backward: bool,
    target: float,
    group: str | None,
) -> Case:
    """One shape."""
    n = len(space)
    times = f"{space[0]}{'²³'[n - 2]}" + (f", batch {batch}" if batch > 1 else "")
    kind = "forward+backward" if backward else "forward"
    gflop = 2 * batch * c * o * 3**n * np.prod(space) / 1e9 * (1 + backward * (1 + (c > 1)))
    shape = batch, c, o, space
    return Case(
        f"conv{n}d {c}→{o} @{times} {kind}",
        ours(*shape, backward),
        peers(*shape, backward),
        target,
        group,
        gflop,
    )


def cases(threads: int) -> Iterator[Case]:
    """The volumes of nnU-Net's stages, its first layer, and two images."""
    for c, o, n in VOLUMES:
        yield case(1, c, o, (n,) * 3, False, 1.5, "conv3d forward")
    for c, o, n in VOLUMES:
        yield case(1, c, o, (n,) * 3, True, 1.3, "conv3d forward+backward")
    yield case(1, 1, 32, (96,) * 3, True, 3.0, None)
    for c, o, n in IMAGES:
        yield case(8, c, o, (n, n), True, 1.5, None)
