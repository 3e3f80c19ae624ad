"""Chains of elementwise ops and reductions on arrays that do not fit the caches."""

from collections.abc import Callable, Iterator

import numpy as np

import fieldgrad.engine as fg
from benchmarks.runner import Case

try:
    import torch
except ImportError:
    torch = None


def chain(lib: object, x: object, y: object) -> Callable[[], object]:
    """Nine ops, sum and backward."""

    def run() -> None:
        a = x * y
        b = lib.tanh(a)
        c = b + x
        d = lib.exp(-c)
        e = d * 0.5 + y
        f = (e - a) * b
        x.grad = y.grad = None
        f.sum().backward()

    return run


def cases(threads: int) -> Iterator[Case]:
    """9 ops: three multiplications, two sums, a difference, a negation, tanh and exp."""
    values = np.random.default_rng(0).normal(size=(2, 1_000_000)).astype(np.float32)
    ours = chain(fg, *(fg.tensor(v.copy(), requires_grad=True) for v in values))
    peers = {}
    if torch is not None:
        leaves = (torch.tensor(v, requires_grad=True) for v in values)
        peers["eager"] = chain(torch, *leaves)
    yield Case("9-op chain on 10⁶ floats, forward+backward", ours, peers, 1.3)
