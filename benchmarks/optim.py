"""Optimizer steps over many and over large parameters, and clipping."""

from collections.abc import Iterator, Sequence

import numpy as np

import fieldgrad.engine as fg
from benchmarks.runner import Case
from fieldgrad.engine import optim
from fieldgrad.shared_models.unet import UNet

try:
    import torch
except ImportError:
    torch = None

Shapes = Sequence[tuple[int, ...]]


def ours(shapes: Shapes) -> list[fg.Tensor]:
    """Parameters with gradients."""
    rng = np.random.default_rng(0)
    params = [fg.tensor(rng.normal(size=s).astype(np.float32), requires_grad=True) for s in shapes]
    for p in params:
        p.grad = fg.tensor(rng.normal(size=p.shape).astype(np.float32))
    return params


def theirs(shapes: Shapes) -> list[object]:
    """The same for PyTorch."""
    params = [torch.tensor(p.numpy()).requires_grad_() for p in ours(shapes)]
    for p in params:
        p.grad = torch.randn_like(p)
    return params


def cases(threads: int) -> Iterator[Case]:
    """Many small tensors, a network's, few large ones; PyTorch's steps are its fused ones."""
    net = UNet(1, 3)
    unet = [p.shape for p in net.parameters()]
    for name, shapes, make, peer, target in (
        ("Adam, 200 tensors × 5,000", [(5_000,)] * 200, lambda p: optim.Adam(p, 1e-4),
         lambda p: torch.optim.Adam(p, 1e-4, fused=True), 1.0),
        ("AdamW, 5 tensors × 10⁶", [(1000, 1000)] * 5, lambda p: optim.AdamW(p, 1e-4),
         lambda p: torch.optim.AdamW(p, 1e-4, fused=True), 1.0),
        ("SGD Nesterov, parameters of a 3-D U-Net", unet,
         lambda p: optim.SGD(p, 1e-4, 0.99, nesterov=True, weight_decay=3e-5),
         lambda p: torch.optim.SGD(p, 1e-4, 0.99, nesterov=True, weight_decay=3e-5, fused=True),
         1.0),
    ):  # fmt: skip
        peers = {"fused": peer(theirs(shapes)).step} if torch else {}
        yield Case(name, make(ours(shapes)).step, peers, target)
    for name, shapes in (("200 tensors × 5,000", [(5_000,)] * 200), ("5 × 10⁶", [(10**6,)] * 5)):
        own, other = ours(shapes), theirs(shapes) if torch else []
        clip = {"foreach": lambda p=other: torch.nn.utils.clip_grad_norm_(p, 1e9, foreach=True)}
        yield Case(
            f"clip_grad_norm, {name}",
            lambda p=own: optim.clip_grad_norm(p, 1e9),
            clip if torch else {},
            1.0,
        )
    own, other = ours(unet), theirs(unet) if torch else []
    average = optim.EMA(own, 0.999)
    peers = {}
    if torch:
        means = [p.detach().clone() for p in other]
        now = [p.detach() for p in other]
        peers["foreach"] = lambda: torch._foreach_lerp_(means, now, 1e-3)
    yield Case("EMA, parameters of a 3-D U-Net", average.update, peers, 1.0)
