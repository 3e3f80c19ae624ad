"""Every kind of convolution beside the 3³ one: forward, and forward with the gradients."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

import fieldgrad.engine as fg
from benchmarks.runner import Case

try:
    import torch
except ImportError:
    torch = None


@dataclass
class Kind:
    """One layer: x has shape (batch, channels, *space); options as both libraries name them."""

    name: str
    batch: int
    channels: int
    space: tuple[int, ...]
    weight: tuple[int, ...]  # shape
    options: dict[str, int] = field(default_factory=dict)
    transposed: bool = False
    first: bool = False  # the input is the image itself and needs no gradient
    dtype: type = np.float32


KINDS = (
    Kind("1³ 64→64 @48³", 1, 64, (48,) * 3, (64, 64, 1, 1, 1)),
    Kind("1³ 256→64 @12³", 1, 256, (12,) * 3, (64, 256, 1, 1, 1)),
    Kind("1³ 32→4 @64³", 1, 32, (64,) * 3, (4, 32, 1, 1, 1)),
    Kind("3³ stride 2 32→64 @64³", 1, 32, (64,) * 3, (64, 32, 3, 3, 3),
         {"stride": 2, "padding": 1}),
    Kind("3³ stride 2 128→256 @16³", 1, 128, (16,) * 3, (256, 128, 3, 3, 3),
         {"stride": 2, "padding": 1}),
    Kind("transposed 2³ 256→128 @8³", 1, 256, (8,) * 3, (256, 128, 2, 2, 2), {"stride": 2}, True),
    Kind("transposed 2³ 64→32 @32³", 1, 64, (32,) * 3, (64, 32, 2, 2, 2), {"stride": 2}, True),
    Kind("depthwise 3³ 64 @48³", 1, 64, (48,) * 3, (64, 1, 3, 3, 3),
         {"padding": 1, "groups": 64}),
    Kind("depthwise 7² 96 @56², batch 4", 4, 96, (56,) * 2, (96, 1, 7, 7),
         {"padding": 3, "groups": 96}),
    Kind("8 groups 3³ 64→64 @32³", 1, 64, (32,) * 3, (64, 8, 3, 3, 3),
         {"padding": 1, "groups": 8}),
    Kind("dilated 3³ 32→32 @48³", 1, 32, (48,) * 3, (32, 32, 3, 3, 3),
         {"padding": 2, "dilation": 2}),
    Kind("first 3³ 1→32 @96³", 1, 1, (96,) * 3, (32, 1, 3, 3, 3), {"padding": 1}, first=True),
    Kind("first 3³ 4→32 @96³", 1, 4, (96,) * 3, (32, 4, 3, 3, 3), {"padding": 1}, first=True),
    Kind("first 7² stride 2 3→64 @224², batch 4", 4, 3, (224,) * 2, (64, 3, 7, 7),
         {"stride": 2, "padding": 3}, first=True),
    Kind("5 64→64 @4096, batch 8", 8, 64, (4096,), (64, 64, 5), {"padding": 2}),
    Kind("5³ 32→32 @32³", 1, 32, (32,) * 3, (32, 32, 5, 5, 5), {"padding": 2}),
    Kind("float64 3³ 32→32 @24³", 1, 32, (24,) * 3, (32, 32, 3, 3, 3), {"padding": 1},
         dtype=np.float64),
)  # fmt: skip


def arrays(kind: Kind) -> tuple[np.ndarray, np.ndarray]:
    """Input with adjacent channels, as the engine lays it out, and weight."""
    rng = np.random.default_rng(0)
    x = np.moveaxis(rng.normal(size=(kind.batch, *kind.space, kind.channels)), -1, 1)
    weight = rng.normal(size=kind.weight) / np.prod(kind.weight[1:]) ** 0.5
    return x.astype(kind.dtype), weight.astype(kind.dtype)


def ours(kind: Kind, backward: bool) -> Callable[[], object]:
    """Our convolution."""
    op = fg.conv_transpose if kind.transposed else fg.conv
    x, weight = arrays(kind)
    if not backward:
        return lambda: op(x, weight, **kind.options)
    leaves = [fg.tensor(x, requires_grad=not kind.first), fg.tensor(weight, requires_grad=True)]
    wanted = [t for t in leaves if t.requires_grad]
    g = fg.tensor(np.ones_like(op(x, weight, **kind.options).numpy()))
    return lambda: fg.grad(op(*leaves, **kind.options), wanted, g)


def peers(kind: Kind, backward: bool) -> dict[str, Callable[[], object]]:
    """PyTorch's, in both memory formats where there are two."""
    if torch is None:
        return {}
    n = len(kind.space)
    op = getattr(torch, f"conv{'_transpose' * kind.transposed}{n}d")

    def make(memory_format: object) -> Callable[[], object]:
        leaves = [torch.tensor(a).contiguous(memory_format=memory_format) for a in arrays(kind)]
        if not backward:

            def forward() -> None:
                with torch.no_grad():
                    op(*leaves, **kind.options)

            return forward
        leaves[0].requires_grad_(not kind.first)
        leaves[1].requires_grad_()
        wanted = [t for t in leaves if t.requires_grad]
        g = torch.ones_like(op(*leaves, **kind.options))
        return lambda: torch.autograd.grad(op(*leaves, **kind.options), wanted, g)

    last = {2: torch.channels_last, 3: torch.channels_last_3d}
    ways = {"channels first": make(torch.contiguous_format)}
    return ways | ({"channels last": make(last[n])} if n in last else {})


def cases(threads: int) -> Iterator[Case]:
    """Every kind, forward and with the gradients."""
    for kind in KINDS:
        for backward in (False, True):
            name = f"{kind.name} forward{'+backward' * backward}"
            group = "forward+backward" if backward else "forward"
            yield Case(name, ours(kind, backward), peers(kind, backward), 1.3, group)
