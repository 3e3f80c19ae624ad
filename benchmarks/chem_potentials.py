"""Potentials: SchNet's training steps through second derivatives, inference, neighbor lists.

The network is that of the recipe chem/ethanol-schnet: 63 k weights. PyTorch's is written plainly,
as papers' code does: directed edges, index_add, autograd with create_graph. Its batches lie ready;
ours are put together from the structures in each step, as in training.
"""

import gc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import fieldgrad.engine as fg
from benchmarks.runner import Case
from fieldgrad.chem.potentials.forcefield import ForceField, ForceLoss
from fieldgrad.chem.potentials.graphs import Graph, PairData
from fieldgrad.chem.potentials.neighbors import find_pairs
from fieldgrad.chem.potentials.painn import PaiNN
from fieldgrad.chem.potentials.schnet import SchNet
from fieldgrad.chem.potentials.structures import Structures, empty
from fieldgrad.engine.data import as_tensors

try:
    import torch
    from torch import nn as torch_nn
    from torch.nn import functional
except ImportError:
    torch = None

CUTOFF, N_FEATURES, N_INTERACTIONS, N_BASIS = 5.0, 64, 3, 25
BATCH, N_STRUCTURES = 10, 950
# An ethanol molecule, Å.
NUMBERS = np.array([6, 6, 8, 1, 1, 1, 1, 1, 1])
POSITIONS = np.array(
    [
        [1.168181, -0.379838, 0.0],
        [0.0, 0.559462, 0.0],
        [-1.190083, -0.214947, 0.0],
        [-1.946623, 0.381525, 0.0],
        [0.042557, 1.207508, 0.886933],
        [0.042557, 1.207508, -0.886933],
        [2.115891, 0.144800, 0.0],
        [1.128599, -1.037234, 0.885881],
        [1.128599, -1.037234, -0.885881],
    ]
)


def ethanol(n: int) -> Structures:
    """Make shaken molecules with made energies and forces, for times do not depend on these."""
    rng = np.random.default_rng(0)
    structures = empty(n, NUMBERS)
    structures.positions[:] = np.tile(POSITIONS, (n, 1)) + rng.normal(0, 0.08, (9 * n, 3))
    structures.energies[:] = rng.normal(0, 0.2, n)
    structures.forces[:] = rng.normal(0, 1, (9 * n, 3))
    return structures


def our_epoch(network: Any, data: PairData) -> Callable[[], object]:
    """Train once through the structures."""
    field, loss = ForceField(network), ForceLoss()
    optimizer = fg.optim.AdamW(network.parameters(), lr=1e-3)
    rng = np.random.default_rng(0)

    def run() -> None:
        for chosen in np.split(rng.permutation(len(data)), len(data) // BATCH):
            x, *targets = as_tensors(tuple(data.batch(chosen)))
            loss(field(x), *targets).backward()
            optimizer.step()
            optimizer.zero_grad()

    return run


def torch_classes() -> Any:
    """Define PyTorch's SchNet, where it is installed."""

    def ssp(x: Any) -> Any:
        return functional.softplus(x) - float(np.log(2))

    class Interaction(torch_nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.to_message = torch_nn.Linear(N_FEATURES, N_FEATURES, bias=False)
            self.filter_in = torch_nn.Linear(N_BASIS, N_FEATURES)
            self.filter_out = torch_nn.Linear(N_FEATURES, N_FEATURES)
            self.update_in = torch_nn.Linear(N_FEATURES, N_FEATURES)
            self.update_out = torch_nn.Linear(N_FEATURES, N_FEATURES)

        def forward(self, x: Any, basis: Any, envelope: Any, i: Any, j: Any) -> Any:
            w = self.filter_out(ssp(self.filter_in(basis))) * envelope
            v = torch.zeros_like(x).index_add(0, i, self.to_message(x)[j] * w)
            return x + self.update_out(ssp(self.update_in(v)))

    class Network(torch_nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = torch_nn.Embedding(100, N_FEATURES)
            self.interactions = torch_nn.ModuleList(Interaction() for _ in range(N_INTERACTIONS))
            self.hidden = torch_nn.Linear(N_FEATURES, N_FEATURES // 2)
            self.out = torch_nn.Linear(N_FEATURES // 2, 1)
            self.centers = torch.linspace(0, CUTOFF, N_BASIS)
            self.factor = -0.5 / float(self.centers[1]) ** 2

        def forward(self, numbers: Any, i: Any, j: Any, positions: Any) -> Any:
            d = (positions[j] - positions[i]).norm(dim=-1, keepdim=True)
            basis = torch.exp(self.factor * (d - self.centers) ** 2)
            envelope = 0.5 * (torch.cos(d * (np.pi / CUTOFF)) + 1)
            x = self.embedding(numbers)
            for interaction in self.interactions:
                x = interaction(x, basis, envelope, i, j)
            return self.out(functional.silu(self.hidden(x)))[:, 0]

    return Network


def torch_batch(data: PairData, chosen: Any) -> Any:
    """Give numbers, structure of each atom, both directions of pairs, positions and targets."""
    graph, energies, forces, _ = data.batch(chosen)
    positions = data.structures[chosen].positions.astype(np.float32)
    both = np.concatenate([graph.pairs, graph.pairs[::-1]], axis=1)
    arrays = (graph.numbers, graph.structure_ids, *both, positions, energies, forces)
    return tuple(torch.tensor(np.ascontiguousarray(array)) for array in arrays)


def torch_forces(network: Any, batch: Any, training: bool) -> Any:
    """Energies and forces."""
    numbers, ids, i, j, positions, energies, _ = batch
    positions = positions.clone().requires_grad_()
    atoms = network(numbers, i, j, positions)
    (slope,) = torch.autograd.grad(atoms.sum(), positions, create_graph=training)
    return torch.zeros(len(energies)).index_add(0, ids, atoms), -slope


def torch_epoch(data: PairData) -> Callable[[], object]:
    """Train once through the structures."""
    network = torch_classes()()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    batches = [torch_batch(data, c) for c in np.split(np.arange(len(data)), len(data) // BATCH)]

    def run() -> None:
        for batch in batches:
            energies, forces = torch_forces(network, batch, True)
            loss = 0.01 * ((energies - batch[5]) ** 2).mean()
            loss = loss + 0.99 * ((forces - batch[6]) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return run


def copper(n_cells: int) -> tuple[Any, Any]:
    """Shaken copper: positions and cell of 4 n_cells³ atoms, Å."""
    corners = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    cells = np.stack(np.meshgrid(*[np.arange(n_cells)] * 3, indexing="ij"), -1).reshape(-1, 1, 3)
    points = 3.61 * (cells + corners).reshape(-1, 3)
    rng = np.random.default_rng(0)
    return points + rng.normal(0, 0.1, points.shape), 3.61 * n_cells * np.eye(3)


def cases(threads: int) -> Iterator[Case]:
    """Ethanol, 950 structures in batches of 10; crystals of copper."""
    # What was imported, for the most part by the peer, is no garbage: collections during the steps
    # need not look through it.
    gc.collect()
    gc.freeze()
    data = PairData(ethanol(N_STRUCTURES), CUTOFF)
    fg.manual_seed(0)
    schnet = SchNet(N_FEATURES, N_INTERACTIONS, N_BASIS, CUTOFF)
    yield Case(
        "SchNet, 63 k weights, 950 ethanols in batches of 10: an epoch with forces",
        our_epoch(schnet, data),
        {} if torch is None else {"eager": torch_epoch(data)},
        target=3.0,
    )
    yield Case(
        "PaiNN, 589 k weights, 50 ethanols in batches of 10: steps with forces",
        our_epoch(PaiNN(), PairData(ethanol(50), CUTOFF)),
    )
    graph = Graph(*(fg.tensor(entry) for entry in data.batch([0])[0]))
    field = ForceField(SchNet(N_FEATURES, N_INTERACTIONS, N_BASIS, CUTOFF)).eval()
    peers = {}
    if torch is not None:
        network, batch = torch_classes()(), torch_batch(data, [0])
        peers = {"eager": lambda: torch_forces(network, batch, False)}
    yield Case("SchNet, energy and forces of one ethanol", lambda: field(graph), peers, target=3.0)
    for n_cells in (2, 10):
        points, cell = copper(n_cells)
        neighbors = {}
        try:
            from ase.neighborlist import primitive_neighbor_list

            neighbors = {
                "ase": lambda p=points, c=cell: primitive_neighbor_list(
                    "ijS", [True] * 3, c, p, 5.0
                )
            }
        except ImportError:
            pass
        yield Case(
            f"neighbors within 5 Å of {len(points)} copper atoms",
            lambda p=points, c=cell: find_pairs(p, 5.0, c, True),
            neighbors,
            target=3.0,
        )
