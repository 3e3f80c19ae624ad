"""Products in bfloat16 beside float32: matrices, convolutions, a U-Net's training step.

Only where the kernels have them (a processor with AMX); elsewhere there are no rows. PyTorch
computes in bfloat16 as its `autocast` chooses.
"""

from collections.abc import Callable, Iterator

import numpy as np

import fieldgrad.engine as fg
from benchmarks import conv, unet
from benchmarks.runner import Case
from fieldgrad.engine.train import choose_precision, products_in

try:
    import torch
except ImportError:
    torch = None

Call = Callable[[], object]


def cases(threads: int) -> Iterator[Case]:
    """Each in float32, then in bfloat16."""
    if choose_precision("auto").name == "float32":
        return
    for name, ours, peers, gflop in calls():
        for precision in ("float32", "bfloat16"):
            theirs = {key: within(call, precision) for key, call in peers.items()}
            yield Case(f"{name}, {precision}", rounding(ours, precision), theirs, 1.0, gflop=gflop)


def calls() -> Iterator[tuple[str, Call, dict[str, Call], float | None]]:
    """What is compared: its name, ours, PyTorch's, its GFLOP."""
    for n in (256, 1024):
        values = np.random.default_rng(0).normal(size=(n, n)).astype(np.float32)
        x = fg.tensor(values)
        peers = {}
        if torch is not None:
            y = torch.tensor(values)
            peers = {"eager": lambda y=y: y @ y}
        yield f"matrix product {n}×{n}", lambda x=x: x @ x, peers, 2e-9 * n**3
    for c, n in ((32, 64), (128, 16)):
        for backward in (False, True):
            one = conv.case(2, c, c, (n,) * 3, backward, 1.0, None)
            yield one.name, one.ours, dict(one.peers), one.gflop
    for name, features, batch, patch in (unet.SMALL, unet.LARGE):
        other = {
            key: unet.theirs(features, batch, patch, value) for key, value in unet.formats().items()
        }
        for i, kind in enumerate(("training step", "inference")):
            peers = {key: made[i] for key, made in other.items()}
            yield f"{name}, {kind}", unet.ours(features, batch, patch)[i], peers, None


def rounding(call: Call, precision: str) -> Call:
    """Call it with our products in this precision."""

    def rounded() -> None:
        with products_in(precision):
            call()

    return rounded


def within(call: Call, precision: str) -> Call:
    """Call it within PyTorch's autocast, or not."""

    def cast() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16"):
            call()

    return cast
