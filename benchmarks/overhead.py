"""What one small op costs: call, record, go backward."""

from collections.abc import Callable, Iterator

import numpy as np

import fieldgrad.engine as fg
from benchmarks.runner import Case

try:
    import torch
except ImportError:
    torch = None


def small(make: Callable[[np.ndarray, bool], object]) -> dict[str, Callable[[], object]]:
    """The same calls for tensors of either library; make(array, requires_grad) gives a tensor."""
    ones = np.ones(8, np.float32)
    a, b, leaf = make(ones, False), make(ones, False), make(ones, True)
    rng = np.random.default_rng(0)
    x = make(rng.normal(size=(16, 16)).astype(np.float32), False)
    weights = [make(rng.normal(size=(16, 16)).astype(np.float32) / 4, True) for _ in range(3)]
    biases = [make(np.zeros(16, np.float32), True) for _ in range(3)]
    tanh = fg.tanh if isinstance(a, fg.Tensor) else torch.tanh

    def chain() -> None:
        y = leaf
        for _ in range(10):
            y = y * b
        y.sum().backward()

    def mlp() -> None:
        y = x
        for weight, bias in zip(weights, biases, strict=True):
            y = tanh(y @ weight + bias)
        y.sum().backward()

    return {
        "add of 8 floats": lambda: a + b,
        "add of 8 floats, recorded": lambda: leaf + b,
        "multiply 8 floats by a number, recorded": lambda: leaf * 2.0,
        "10 multiplications, sum, backward": chain,
        "3-layer MLP 16×16, forward+backward": mlp,
    }


TARGETS = {"add of 8 floats, recorded": 3.0, "10 multiplications, sum, backward": 3.0}
TARGETS["3-layer MLP 16×16, forward+backward"] = 3.0


def cases(threads: int) -> Iterator[Case]:
    """Arrays so small that nearly all of the time is overhead."""
    ours = small(lambda a, grad: fg.tensor(a, requires_grad=grad))
    theirs = small(lambda a, grad: torch.tensor(a, requires_grad=grad)) if torch else {}
    for name, call in ours.items():
        yield Case(name, call, {"eager": theirs[name]} if theirs else {}, TARGETS.get(name))
