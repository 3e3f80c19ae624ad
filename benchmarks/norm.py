"""Normalization with the activation behind it."""

from collections.abc import Iterator

import numpy as np

import fieldgrad.engine as fg
from benchmarks.runner import Case

try:
    import torch
except ImportError:
    torch = None


def cases(threads: int) -> Iterator[Case]:
    """Instance normalization and leaky ReLU of a first U-Net stage, with all gradients."""
    rng = np.random.default_rng(0)
    space, c = (96,) * 3, 32
    values = np.moveaxis(rng.normal(size=(1, *space, c)).astype(np.float32), -1, 1)
    x = fg.tensor(values, requires_grad=True)
    scale, shift = (fg.tensor(np.ones(c, np.float32), requires_grad=True) for _ in range(2))
    g = fg.tensor(values)

    def ours() -> None:
        y = fg.instance_norm(x, scale, shift, negative_slope=0.01)
        fg.grad(y, [x, scale, shift], g)

    def theirs(memory_format: object) -> object:
        x = torch.tensor(values).contiguous(memory_format=memory_format).requires_grad_()
        g = x.detach()
        weight, bias = (torch.ones(c, requires_grad=True) for _ in range(2))

        def run() -> None:
            y = torch.nn.functional.instance_norm(x, weight=weight, bias=bias)
            y = torch.nn.functional.leaky_relu(y, 0.01, inplace=True)
            torch.autograd.grad(y, [x, weight, bias], g)

        return run

    peers = {}
    if torch is not None:
        peers["channels first"] = theirs(torch.contiguous_format)
        peers["channels last"] = theirs(torch.channels_last_3d)
    yield Case("instance norm + leaky ReLU, 32×96³, forward+backward", ours, peers, 3.0)
