"""Sums over neighbors in a graph: segments of rows, and rows by index."""

from collections.abc import Callable, Iterator

import numpy as np

import fieldgrad.engine as fg
from benchmarks.runner import Case

try:
    import torch
except ImportError:
    torch = None

N_EDGES, N_NODES, N_FEATURES = 100_000, 10_000, 64
SIZE = f"10⁵ edges × {N_FEATURES}"


def peer_softmax(x: object, ids: object) -> object:
    """Softmax over segments, as graph libraries compose it."""
    index = ids[:, None].expand_as(x)
    zeros = x.new_zeros(N_NODES, x.shape[1])
    top = zeros.scatter_reduce(0, index, x.detach(), "amax", include_self=False)
    e = (x - top.index_select(0, ids)).exp()
    return e / zeros.index_add(0, ids, e).index_select(0, ids)


def both_ways(grad: Callable[..., object], run: Callable[..., object], *values: object) -> object:
    """A call that goes forward and backward; the last value is the output's gradient."""
    x, *rest, g = values
    return lambda: grad(run(x, *rest), x, g)


def cases(threads: int) -> Iterator[Case]:
    """Messages of edges to the nodes they lead to, in any order and sorted by node."""
    rng = np.random.default_rng(0)
    edges = rng.normal(size=(N_EDGES, N_FEATURES)).astype(np.float32)
    nodes = rng.normal(size=(N_NODES, N_FEATURES)).astype(np.float32)
    ids = rng.integers(0, N_NODES, N_EDGES)
    sizes = {"num_segments": N_NODES}
    works = {
        "segment sum": (
            edges,
            nodes,
            lambda x, i: fg.segment_sum(x, i, **sizes),
            {"index_add": lambda x, i: x.new_zeros(N_NODES, x.shape[1]).index_add(0, i, x)},
            1.3,
        ),
        "segment maximum": (
            edges,
            nodes,
            lambda x, i: fg.segment_max(x, i, **sizes),
            {
                "scatter_reduce": lambda x, i: x.new_zeros(N_NODES, x.shape[1]).scatter_reduce(
                    0, i[:, None].expand_as(x), x, "amax", include_self=False
                )
            },
            1.3,
        ),
        "segment softmax": (
            edges,
            edges,
            lambda x, i: fg.segment_softmax(x, i, **sizes),
            {"composed": peer_softmax},
            1.3,
        ),
        "gather": (
            nodes,
            edges,
            fg.gather,
            {"index_select": lambda x, i: x.index_select(0, i)},
            1.3,
        ),
    }
    for name, (values, gradient, ours, peers, target) in works.items():
        for order, index in (("", ids), (", sorted", np.sort(ids))):
            mine = (fg.tensor(values, requires_grad=True), fg.tensor(index), fg.tensor(gradient))
            theirs = {}
            if torch is not None:
                leaf = torch.tensor(values, requires_grad=True)
                rest = (torch.tensor(index), torch.tensor(gradient))
                theirs = {
                    way: both_ways(torch.autograd.grad, call, leaf, *rest)
                    for way, call in peers.items()
                }
            yield Case(
                f"{name}, {SIZE} and 10⁴ nodes{order}, forward+backward",
                both_ways(fg.grad, ours, *mine),
                theirs,
                target,
            )
