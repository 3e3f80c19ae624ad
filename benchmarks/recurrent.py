"""Recurrent layers over whole sequences, and cells in a hand-written loop over the steps."""

from collections.abc import Callable, Iterator

import numpy as np

import fieldgrad.engine as fg
from benchmarks.runner import Case, Row, best_times, measure

try:
    import torch
except ImportError:
    torch = None

BATCH, STEPS, SIZE = 32, 100, 128
WORK = f"batch {BATCH} × {STEPS} steps × {SIZE}, forward+backward"


def in_a_loop(cell: fg.nn.Module, x: fg.Tensor) -> fg.Tensor:
    """States of a cell after each step."""
    first, *rest = fg.unstack(x, axis=1)
    states = [cell(first)]
    for step in rest:
        states.append(cell(step, states[-1]))
    # An LSTM cell gives its state and what it remembers.
    return fg.stack([s[0] if isinstance(s, tuple) else s for s in states], axis=1)


def rows(threads: int, seconds: float) -> Iterator[Row]:
    """Fused layers beside the peer's, and the same by hand: gradients of input and parameters."""
    rng = np.random.default_rng(0)
    values, gradient = (rng.normal(size=(BATCH, STEPS, SIZE)).astype(np.float32) for _ in range(2))
    x, g = fg.tensor(values, requires_grad=True), fg.tensor(gradient)
    for name in ("GRU", "LSTM"):
        layer, cell = getattr(fg.nn, name)(SIZE, SIZE), getattr(fg.nn, f"{name}Cell")(SIZE, SIZE)

        def fused(layer=layer) -> None:
            fg.grad(layer(x)[0], [x, *layer.parameters()], g)

        def by_hand(cell=cell) -> None:
            fg.grad(in_a_loop(cell, x), [x, *cell.parameters()], g)

        peers: dict[str, Callable[[], object]] = {}
        if torch is not None:
            peer = getattr(torch.nn, name)(SIZE, SIZE, batch_first=True)
            leaf = torch.tensor(values, requires_grad=True)
            seed = torch.tensor(gradient)

            def theirs(peer=peer, leaf=leaf, seed=seed) -> None:
                torch.autograd.grad(peer(leaf)[0], [leaf, *peer.parameters()], seed)

            peers["batch first"] = theirs
        yield measure(Case(f"{name}, {WORK}", fused, peers, 1.0), seconds)
        best = best_times({"fused": fused, "by hand": by_hand}, seconds)
        # Here the ratio is that of the fused layer's time to the loop's.
        yield Row(f"{name}Cell in a loop (beside the fused layer), {WORK}", best["by hand"] * 1e3,
                  "ms", "ours, fused", best["fused"] * 1e3, best["fused"] / best["by hand"],
                  1 / 3)  # fmt: skip
