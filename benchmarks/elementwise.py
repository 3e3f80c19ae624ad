"""Elementwise ops: a chain with its gradients, single ops, broadcasting."""

from collections.abc import Callable, Iterator

import numpy as np

import fieldgrad.engine as fg
from benchmarks.runner import Case

try:
    import torch
except ImportError:
    torch = None

SIZES = {"10⁶": 1_000_000, "10⁷": 10_000_000}


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


def single_ops() -> dict[str, tuple[Callable[..., object], Callable[..., object] | None]]:
    """Name -> ours and PyTorch's, of an array, a positive one and a mask."""
    gelu = torch and torch.nn.functional.gelu
    return {
        "add": (lambda x, y, m: x + y, lambda x, y, m: x + y),
        "multiply by a number": (lambda x, y, m: x * 0.5, lambda x, y, m: x * 0.5),
        "exp": (lambda x, y, m: fg.exp(x), lambda x, y, m: torch.exp(x)),
        "tanh": (lambda x, y, m: fg.tanh(x), lambda x, y, m: torch.tanh(x)),
        "gelu": (lambda x, y, m: fg.gelu(x), lambda x, y, m: gelu(x)),
        "sin": (lambda x, y, m: fg.sin(x), lambda x, y, m: torch.sin(x)),
        "log": (lambda x, y, m: fg.log(y), lambda x, y, m: torch.log(y)),
        "to the power 2.5": (lambda x, y, m: y**2.5, lambda x, y, m: y**2.5),
        "less": (lambda x, y, m: x < y, lambda x, y, m: x < y),
        "where": (lambda x, y, m: fg.where(m, x, y), lambda x, y, m: torch.where(m, x, y)),
    }


def cases(threads: int) -> Iterator[Case]:
    """9 ops: three multiplications, two sums, a difference, a negation, tanh and exp."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2, 1_000_000)).astype(np.float32)
    ours = chain(fg, *(fg.tensor(v.copy(), requires_grad=True) for v in values))
    peers = {}
    if torch is not None:
        leaves = (torch.tensor(v, requires_grad=True) for v in values)
        peers["eager"] = chain(torch, *leaves)
    yield Case("9-op chain on 10⁶ floats, forward+backward", ours, peers, 1.3)
    for size, n in SIZES.items():
        x, y = rng.normal(size=(2, n)).astype(np.float32)
        arrays = x, np.abs(y), rng.random(n) < 0.5
        own = [fg.tensor(a) for a in arrays]
        other = [torch.tensor(a) for a in arrays] if torch else []
        for name, (mine, peer) in single_ops().items():
            peers = {"eager": lambda f=peer, a=other: f(*a)} if torch else {}
            yield Case(f"{name}, {size} floats", lambda f=mine, a=own: f(*a), peers, 1.0)
    for name, shape, small, last in (
        ("add a bias, 4096×1024", (4096, 1024), (1024,), False),
        ("add a column, 4096×1024", (4096, 1024), (4096, 1), False),
        ("scale channels, 32×96³ channels-last", (1, 32, 96, 96, 96), (32, 1, 1, 1), True),
        ("scale channels, 32×96³ channels-first", (1, 32, 96, 96, 96), (32, 1, 1, 1), False),
    ):
        x, y = (rng.normal(size=s).astype(np.float32) for s in (shape, small))
        if last:
            x = np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1)
        own = fg.tensor(x), fg.tensor(y)
        peers = {}
        if torch is not None:
            other = torch.tensor(y)
            x = torch.tensor(x)
            if last:
                x = x.contiguous(memory_format=torch.channels_last_3d)
            peers["eager"] = lambda a=x, b=other: a + b
        yield Case(name, lambda a=own: a[0] + a[1], peers, 1.0)
