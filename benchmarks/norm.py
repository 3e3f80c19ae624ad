"""Normalizations, with the activation behind them, and softmax: forward and all gradients."""

from collections.abc import Callable, Iterator

import numpy as np

import fieldgrad.engine as fg
from benchmarks.runner import Case

try:
    import torch
    from torch.nn import functional
except ImportError:
    torch = None


def formats(ndim: int) -> dict[str, object]:
    """PyTorch's memory formats for arrays of so many axes."""
    if torch is None:
        return {}
    last = {4: "channels_last", 5: "channels_last_3d"}
    found = {"channels first" if ndim in last else "eager": torch.contiguous_format}
    return found | ({"channels last": getattr(torch, last[ndim])} if ndim in last else {})


def contest(
    name: str,
    shape: tuple[int, ...],
    ours: Callable[..., fg.Tensor],
    theirs: Callable[..., object],
    target: float,
    *,
    n_features: int = 0,
    gradient: bool = True,
) -> Case:
    """One function of x and of two vectors (factor and offset), unless n_features is 0."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=shape).astype(np.float32)
    if len(shape) > 3:  # as convolutions give it
        values = np.moveaxis(np.moveaxis(values, 1, -1).copy(), -1, 1)
    vectors = [np.ones(n_features, np.float32)] * (2 if n_features else 0)
    g = fg.tensor(values[::-1].copy(order="K"))
    leaves = [fg.tensor(a, requires_grad=gradient) for a in (values, *vectors)]

    def run() -> None:
        y = ours(*leaves)
        if gradient:
            fg.grad(y, leaves, g)

    def peer(memory_format: object) -> Callable[[], object]:
        x = torch.tensor(values).contiguous(memory_format=memory_format).requires_grad_(gradient)
        inputs = [x, *(torch.tensor(v, requires_grad=gradient) for v in vectors)]
        g = torch.empty_like(x).normal_()

        def run() -> None:
            y = theirs(*inputs)
            if gradient:
                torch.autograd.grad(y, inputs, g)

        return run

    peers = {key: peer(value) for key, value in formats(len(shape)).items()}
    return Case(name, run, peers, target)


def cases(threads: int) -> Iterator[Case]:
    """From the first and last stage of a U-Net to the rows of a transformer and tiny arrays."""
    both = "forward+backward"
    for shape, target in (((1, 32, 96, 96, 96), 3.0), ((2, 256, 8, 8, 8), 1.3)):
        n, c, m = shape[:3]
        yield contest(
            f"instance norm + leaky ReLU, {n}×{c}×{m}³, {both}",
            shape,
            lambda x, w, b: fg.instance_norm(x, w, b, negative_slope=0.01),
            lambda x, w, b: functional.leaky_relu(
                functional.instance_norm(x, weight=w, bias=b), 0.01, inplace=True
            ),
            target,
            n_features=c,
        )
    yield contest(
        f"group norm of 8 groups, 2×64×32³, {both}",
        (2, 64, 32, 32, 32),
        lambda x, w, b: fg.group_norm(x, w, b, groups=8),
        lambda x, w, b: functional.group_norm(x, 8, w, b),
        1.3,
        n_features=64,
    )
    mean, var = np.zeros(64, np.float32), np.ones(64, np.float32)
    layer = fg.nn.BatchNorm(64)

    def batch_norm(x: fg.Tensor, w: fg.Tensor, b: fg.Tensor) -> fg.Tensor:
        layer.weight, layer.bias = w, b
        return layer(x)

    running = (torch.tensor(mean), torch.tensor(var)) if torch else ()
    yield contest(
        f"batch norm, training, 16×64×64², {both}",
        (16, 64, 64, 64),
        batch_norm,
        lambda x, w, b: functional.batch_norm(x, *running, w, b, training=True),
        1.3,
        n_features=64,
    )
    yield contest(
        "batch norm, finished model, 16×64×64²",
        (16, 64, 64, 64),
        lambda x, w, b: fg.given_norm(x, w, b, mean=mean, var=var),
        lambda x, w, b: functional.batch_norm(x, *running, w, b),
        1.3,
        n_features=64,
        gradient=False,
    )
    for shape in ((4096, 512), (32, 100, 64)):
        yield contest(
            f"layer norm, {'×'.join(map(str, shape))}, {both}",
            shape,
            fg.layer_norm,
            lambda x, w, b: functional.layer_norm(x, w.shape, w, b),
            1.3,
            n_features=shape[-1],
        )
    for name in ("softmax", "log_softmax"):
        for shape, axis, target in (
            ((4096, 1000), 1, 1.3),
            ((2, 4, 64, 64, 64), 1, 1.3),
            ((8, 16), 1, 2.0),
        ):
            yield contest(
                f"{name}, {'×'.join(map(str, shape))} along axis {axis}, {both}",
                shape,
                lambda x, name=name, axis=axis: getattr(fg, name)(x, axis),
                lambda x, name=name, axis=axis: getattr(functional, name)(x, axis),
                target,
            )
