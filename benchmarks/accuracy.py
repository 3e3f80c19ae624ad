"""Rounding errors of convolutions in float32 against float64, beside PyTorch's.

The error of an array is the norm of its difference to the exact one divided by the norm of that;
a row shows the largest over output, data gradient and weight gradient. For inputs that nearly
cancel, no float32 method keeps small outputs exact; their row divides by the norm of the
convolution of absolute values instead.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

import fieldgrad.engine as fg
from benchmarks.runner import Row

try:
    import torch
except ImportError:
    torch = None

Array = NDArray[np.floating]

# channels, spatial sizes: large and small tiles of images and volumes, many channels
SHAPES = ((32, (64, 64)), (32, (5, 6)), (32, (24, 24, 24)), (128, (12, 12, 12)), (256, (6, 6, 6)))
INPUTS: dict[str, Callable[[np.random.Generator, tuple[int, ...]], Array]] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "offset 1000": lambda rng, shape: 1000 + rng.normal(size=shape),
    "log-normal, sigma 3": lambda rng, shape: np.exp(3 * rng.normal(size=shape)),
    "half zeros": lambda rng, shape: np.maximum(rng.normal(size=shape), 0),
    "near underflow (1e-38)": lambda rng, shape: 1e-38 * rng.normal(size=shape),
}


def passes(x: Array, weight: Array, g: Array) -> list[Array]:
    """Output and gradients for x and weight, of a convolution that keeps the size."""
    leaves = [fg.tensor(a, requires_grad=True) for a in (x, weight)]
    y = fg.conv(*leaves, padding=1)
    y.backward(g)
    return [y.numpy(), *(leaf.grad.numpy() for leaf in leaves)]


def passes_of_torch(x: Array, weight: Array, g: Array) -> list[Array]:
    """Give the same from PyTorch."""
    leaves = [torch.tensor(a, requires_grad=True) for a in (x, weight)]
    function = torch.conv3d if x.ndim == 5 else torch.conv2d
    y = function(*leaves, padding=1)
    y.backward(torch.tensor(g))
    return [y.detach().numpy(), *(leaf.grad.numpy() for leaf in leaves)]


def error(got: list[Array], exact: list[Array], scale: list[Array]) -> float:
    """Largest relative error in units of 1e-7."""
    norm = np.linalg.norm
    return max(
        float(norm(a - b) / norm(s)) for a, b, s in zip(got, exact, scale, strict=True)
    ) / 1e-7  # fmt: skip


def measure(name: str, arrays: list[Array], absolute: bool, n_passes: int) -> Row:
    """Errors of one set of arrays, ours and PyTorch's; the first passes only."""
    x, weight, g = (a.astype(np.float32) for a in arrays)
    doubles = [a.astype(np.float64) for a in (x, weight, g)]
    exact = passes(*doubles)[:n_passes]
    scale = passes(*map(np.abs, doubles))[:n_passes] if absolute else exact
    ours = error(passes(x, weight, g)[:n_passes], exact, scale)
    if torch is None:
        return Row(name, ours, "1e-7")
    theirs = error(passes_of_torch(x, weight, g)[:n_passes], exact, scale)
    return Row(name, ours, "1e-7", "channels first", theirs, theirs / ours)


def rows(threads: int, seconds: float) -> Iterator[Row]:
    """Errors on random and on adversarial inputs."""
    del seconds
    if threads > 1:
        return  # the same on one
    for channels, space in SHAPES:
        rng = np.random.default_rng(0)
        weight = rng.normal(size=(channels, channels, *(3,) * len(space)))
        weight /= (channels * 3 ** len(space)) ** 0.5
        shape = (1, channels, *space)
        size = "×".join(map(str, space))
        for name, draw in INPUTS.items():
            arrays = [draw(rng, shape), weight, draw(rng, shape)]
            # products of two numbers near underflow are zero: no weight gradient to compare
            n_passes = 2 if "underflow" in name else 3
            yield measure(f"conv {channels}→{channels} @{size}, {name}", arrays, False, n_passes)
        centered = weight - weight.mean(axis=tuple(range(2, weight.ndim)), keepdims=True)
        arrays = [1000 + rng.normal(size=shape), centered, rng.normal(size=shape)]
        yield measure(f"conv {channels}→{channels} @{size}, cancelling", arrays, True, 3)
