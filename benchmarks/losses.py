"""Losses: value and gradient for the logits."""

from collections.abc import Callable, Iterator

import numpy as np

import fieldgrad.engine as fg
from benchmarks.norm import formats
from benchmarks.runner import Case
from fieldgrad.neuro.segmentation.losses import dice_cross_entropy

try:
    import torch
    from torch.nn import functional
except ImportError:
    torch = None


def contest(
    name: str,
    shape: tuple[int, ...],
    ours: Callable[..., fg.Tensor],
    theirs: Callable[..., "torch.Tensor"],
    target: float,
    *,
    binary: bool = False,
) -> Case:
    """One loss of logits (batch, class, …) and classes (batch, …), or binary labels."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=shape).astype(np.float32)
    if len(shape) > 3:  # as convolutions give it
        values = np.moveaxis(np.moveaxis(values, 1, -1).copy(), -1, 1)
    truth = rng.integers(0, shape[1], (shape[0], *shape[2:]))
    if binary:
        truth = (values > 0.3).astype(np.float32)
    logits = fg.tensor(values, requires_grad=True)

    def run() -> None:
        fg.grad(ours(logits, truth), [logits])

    def peer(memory_format: object) -> Callable[[], object]:
        x = torch.tensor(values).contiguous(memory_format=memory_format).requires_grad_()
        y = torch.tensor(truth)
        if binary:
            y = y.contiguous(memory_format=memory_format)
        return lambda: torch.autograd.grad(theirs(x, y), x)

    return Case(name, run, {key: peer(f) for key, f in formats(len(shape)).items()}, target)


def their_dice_cross_entropy(logits: "torch.Tensor", target: "torch.Tensor") -> "torch.Tensor":
    """The soft Dice of nnU-Net, with cross-entropy."""
    one_hot = functional.one_hot(target, logits.shape[1]).movedim(-1, 1).float()
    p, axes = logits.softmax(1), tuple(range(2, logits.ndim))
    overlap, size = (p * one_hot).sum(axes), (p + one_hot).sum(axes)
    dice = ((2 * overlap + 1e-5) / (size + 1e-5))[:, 1:].mean()
    return functional.cross_entropy(logits, target) + 1 - dice


def cases(threads: int) -> Iterator[Case]:
    """Segmentation, many classes, a small classifier."""
    volume = (2, 4, 64, 64, 64)
    for shape, wanted in ((volume, 1.3), ((4096, 1000), 1.3), ((128, 10), 2.0)):
        yield contest(
            f"cross-entropy, {'×'.join(map(str, shape))}, forward+backward",
            shape,
            fg.nn.losses.cross_entropy,
            lambda x, y: functional.cross_entropy(x, y),
            wanted,
        )
    for shape, wanted in ((volume, 1.3), ((128, 1), 2.0)):
        yield contest(
            f"binary cross-entropy, {'×'.join(map(str, shape))}, forward+backward",
            shape,
            fg.nn.losses.binary_cross_entropy_with_logits,
            lambda x, y: functional.binary_cross_entropy_with_logits(x, y),
            wanted,
            binary=True,
        )
    yield contest(
        "Dice + cross-entropy, 2×4×64³, forward+backward",
        volume,
        dice_cross_entropy,
        their_dice_cross_entropy,
        1.3,
    )
