"""Matrix products: large, small, batched, skinny, transposed; and the linear layer."""

from collections.abc import Iterator

import numpy as np

import fieldgrad.engine as fg
from benchmarks.runner import Case

try:
    import torch
except ImportError:
    torch = None

# name, shape of a, shape of b, axes of each swapped in memory (a transposed view), wanted ratio
PRODUCTS = [
    ("16×16×16", (16, 16), (16, 16), "", 2.0),
    ("64×64×64", (64, 64), (64, 64), "", 1.0),
    ("256³", (256, 256), (256, 256), "", 0.95),
    ("256³, a transposed", (256, 256), (256, 256), "a", 0.95),
    ("256³, b transposed", (256, 256), (256, 256), "b", 0.95),
    ("1024³", (1024, 1024), (1024, 1024), "", 0.95),
    ("4096×512×512", (4096, 512), (512, 512), "", 0.95),
    ("4096×512×512, b transposed", (4096, 512), (512, 512), "b", 0.95),
    ("512×4096×512, a transposed", (512, 4096), (4096, 512), "a", 0.95),
    ("4096×16×16", (4096, 16), (16, 16), "", 2.0),
    ("16×4096×16, a transposed", (16, 4096), (4096, 16), "a", 1.0),
    ("32×128×384, b transposed", (32, 128), (128, 384), "b", 1.0),
    ("1×1024×1024", (1, 1024), (1024, 1024), "", 1.0),
    ("1×1024×1024, b transposed", (1, 1024), (1024, 1024), "b", 1.0),
    ("1024×1024×1", (1024, 1024), (1024, 1), "", 1.0),
    ("1024×1024×1, a transposed", (1024, 1024), (1024, 1), "a", 1.0),
    ("64 of 16×16×16", (64, 16, 16), (64, 16, 16), "", 2.0),
    ("256 of 100×64×100", (256, 100, 64), (256, 64, 100), "", 1.0),
    ("256 of 100×64×100, b transposed", (256, 100, 64), (256, 64, 100), "b", 1.0),
]

# rows, in, out, wanted ratio
LAYERS = [(1, 1024, 1024, 0.9), (32, 128, 384, 1.0), (4096, 512, 512, 0.95), (4096, 64, 1, 1.0)]


def operand(shape: tuple[int, ...], transposed: bool) -> np.ndarray:
    """Random float32 matrices, or transposed views of such."""
    rng = np.random.default_rng(0)
    if not transposed:
        return rng.normal(size=shape).astype(np.float32)
    return rng.normal(size=(*shape[:-2], *shape[:-3:-1])).astype(np.float32).swapaxes(-1, -2)


def cases(threads: int) -> Iterator[Case]:
    """Products without gradients."""
    for name, shape_a, shape_b, transposed, wanted in PRODUCTS:
        a, b = operand(shape_a, "a" in transposed), operand(shape_b, "b" in transposed)
        x, y = fg.tensor(a), fg.tensor(b)
        peers = {}
        if torch is not None:
            u, v = torch.from_numpy(a), torch.from_numpy(b)
            peers["eager"] = lambda u=u, v=v: u @ v
        gflop = 2e-9 * np.prod(shape_a) * shape_b[-1]
        yield Case(name, lambda x=x, y=y: x @ y, peers, wanted, gflop=gflop)
    for rows, n_in, n_out, wanted in LAYERS:
        x, weight, bias = (
            operand(shape, False) for shape in ((rows, n_in), (n_out, n_in), (n_out,))
        )
        tensors, peers = [fg.tensor(a) for a in (x, weight, bias)], {}
        if torch is not None:
            copies = [torch.from_numpy(a) for a in (x, weight, bias)]
            peers["eager"] = lambda copies=copies: torch.nn.functional.linear(*copies)
        gflop = 2e-9 * rows * n_in * n_out
        yield Case(
            f"linear {rows}×{n_in} to {n_out}",
            lambda tensors=tensors: fg.linear(*tensors),
            peers,
            wanted,
            gflop=gflop,
        )
