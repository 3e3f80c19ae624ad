"""Reductions over all, the last, the first and the spatial axes; tiny arrays."""

from collections.abc import Callable, Iterator

import numpy as np

import fieldgrad.engine as fg
from benchmarks.runner import Case

try:
    import torch
except ImportError:
    torch = None


def case(name: str, x: np.ndarray, ours: Callable[..., object], peer: str, **how: object) -> Case:
    """Beside torch's function or functions of these names, called one after the other."""
    peers = {}
    if torch is not None:
        own = [getattr(torch, function) for function in peer.split()]
        tensor = torch.from_numpy(x)
        peers["eager"] = lambda: [function(tensor, **how) for function in own]
    values = fg.tensor(x)
    return Case(name, lambda: ours(values), peers, 1.0)


def cases(threads: int) -> Iterator[Case]:
    """Sums first, then other kinds."""
    rng = np.random.default_rng(0)
    yield case("sum, 8 floats", np.ones(8, np.float32), lambda t: t.sum(), "sum")
    for size, n in {"10⁶": 1_000_000, "10⁷": 10_000_000}.items():
        x = rng.normal(size=n).astype(np.float32)
        yield case(f"sum, {size} floats", x, lambda t: t.sum(), "sum")
    x = rng.normal(size=(4096, 1024)).astype(np.float32)
    for axis in (0, 1):
        yield case(f"sum over axis {axis}, 4096×1024", x,
                   lambda t, a=axis: t.sum(axis=a), "sum", dim=axis)  # fmt: skip
    yield case("sum over axis 1, every other of 4096×1024", x[:, ::2],
               lambda t: t.sum(axis=1), "sum", dim=1)  # fmt: skip
    yield case("mean and variance over axis 1, 4096×1024", x,
               lambda t: (t.mean(axis=1), fg.var(t, axis=1)), "mean var", dim=1)  # fmt: skip
    for axis in (0, 1):
        yield case(f"max over axis {axis}, 4096×1024", x,
                   lambda t, a=axis: t.max(axis=a), "amax", dim=axis)  # fmt: skip
        yield case(f"argmax over axis {axis}, 4096×1024", x,
                   lambda t, a=axis: fg.argmax(t, axis=a), "argmax", dim=axis)  # fmt: skip
    mask = rng.random((4096, 1024)) < 1e-4
    for name, ours, other in (("any", fg.any, ~mask), ("all", fg.all, ~mask)):
        values = mask if name == "any" else other
        yield case(f"{name} over axis 1, 4096×1024", values,
                   lambda t, f=ours: f(t, axis=1), name, dim=1)  # fmt: skip
    yield case("any, 4096×1024, none is", np.zeros_like(mask), fg.any, "any")
    yield case("all, 4096×1024, all are", np.ones_like(mask), fg.all, "all")
    x = rng.normal(size=(1, 64, 64, 64, 32)).astype(np.float32)
    yield case("sum over space, 32×64³ channels-last", np.moveaxis(x, -1, 1),
               lambda t: t.sum(axis=(2, 3, 4)), "sum", dim=(2, 3, 4))  # fmt: skip
    x = rng.normal(size=(4, 32, 32, 32, 32)).astype(np.float32)
    yield case("sum over batch and space, 4×32×32³", x,
               lambda t: t.sum(axis=(0, 2, 3, 4)), "sum", dim=(0, 2, 3, 4))  # fmt: skip
    x = rng.normal(size=(4096, 1024)).astype(np.float32)
    yield case("cumulative sum over axis 1, 4096×1024", x,
               lambda t: fg.cumsum(t, axis=1), "cumsum", dim=1)  # fmt: skip
    yield case("product over axis 1, 4096×1024", x,
               lambda t: fg.prod(t, axis=1), "prod", dim=1)  # fmt: skip
