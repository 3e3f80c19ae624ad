"""Training a network on molecules: batches of graphs, the loss of the task, the best epoch kept."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.chem.molecules.graph import GraphArrays, MoleculeGraphs
from fieldgrad.chem.molecules.losses import binary_cross_entropy, gaussian_nll, squared_error
from fieldgrad.engine import Tensor, no_grad
from fieldgrad.engine.data import Loader, as_tensors
from fieldgrad.engine.nn.module import Module
from fieldgrad.engine.optim import Adam
from fieldgrad.engine.train import (
    Callback,
    Checkpoint,
    CSVLog,
    Learner,
    Progress,
    SaveOnSignal,
    ScheduleLR,
    StopOnNaN,
    exponential,
    load_weights,
    warmup,
)

__all__ = ["Inputs", "fit_network", "noam", "outputs", "task_loss"]

Loss = Callable[[Tensor, Tensor], Tensor]
Arrays = tuple[*GraphArrays, NDArray[np.float32]]

# Atoms that the network sees at once when it predicts: enough to be fast, few enough to be small.
ATOMS_AT_ONCE = 4096


@dataclass(frozen=True)
class Inputs:
    """What a network sees of molecules.

    Parameters
    ----------
    graphs : MoleculeGraphs
        Atoms and bonds.
    descriptors : ndarray of float32, shape (n_molecules, n_descriptors)
        Scaled descriptors; n_descriptors may be 0.
    """

    graphs: MoleculeGraphs
    descriptors: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.graphs)

    def batch(self, indices: Sequence[int] | NDArray[np.int64]) -> Arrays:
        """Give some molecules as arrays: atoms, bonds, edges, offsets, descriptors.

        Parameters
        ----------
        indices : sequence of int
            Which molecules.

        Returns
        -------
        tuple of 5 ndarray
            As `MoleculeGraphs.batch`, and the descriptors.
        """
        return *self.graphs.batch(indices), self.descriptors[indices]

    def batches(self) -> Iterator[Arrays]:
        """Give all molecules in order, about as many atoms at a time as a batch should have.

        Yields
        ------
        tuple of 5 ndarray
            As `batch`.
        """
        part = self.graphs.atom_offsets[:-1] // ATOMS_AT_ONCE
        cuts = [0, *(np.flatnonzero(np.diff(part)) + 1).tolist(), len(self)]
        for start, stop in itertools.pairwise(cuts):
            if stop > start:
                yield self.batch(np.arange(start, stop))


def noam(progress: float, warmup_part: float = 0.04) -> float:
    """Rise from a tenth of the full rate to all of it, then fall to a tenth by equal factors.

    Parameters
    ----------
    progress : float
        Part of the run that is done, in [0, 1].
    warmup_part : float, default 0.04
        Part of the run that rises: two of fifty epochs.

    Returns
    -------
    float
        The factor.

    References
    ----------
    After Vaswani et al., "Attention is all you need", 2017, arXiv:1706.03762, section 5.3, in the
    form that Yang et al., J. Chem. Inf. Model. 59 (2019) 3370, use.

    Examples
    --------
    >>> [round(noam(t), 3) for t in (0.0, 0.02, 0.04, 0.52, 1.0)]
    [0.1, 0.55, 1.0, 0.316, 0.1]
    """
    return warmup(progress, partial(exponential, final=0.1), fraction=warmup_part, start=0.1)


def task_loss(
    task: str, *, variance: bool, positive_weight: NDArray[np.float32] | None = None
) -> Loss:
    """Choose the loss of a task.

    Parameters
    ----------
    task : {"regression", "classification"}
        What the labels are.
    variance : bool
        Whether the network gives a variance for each number.
    positive_weight : ndarray of shape (n_tasks,), optional
        How much more a positive label counts than a negative one.

    Returns
    -------
    callable
        Output and labels to a number.
    """
    if task == "classification":
        return partial(binary_cross_entropy, positive_weight=positive_weight)
    return gaussian_nll if variance else squared_error


def fit_network(
    network: Module,
    inputs: Inputs,
    labels: NDArray[np.float32],
    train: NDArray[np.int64],
    val: NDArray[np.int64],
    *,
    loss: Loss,
    epochs: int,
    batch_size: int,
    lr: float,
    run_dir: Path,
    seed: int,
    resume: bool = False,
    callbacks: Sequence[Callback] = (),
    notes: dict[str, str] | None = None,
) -> Learner:
    """Train a network in place, and leave it with the weights of its best epoch.

    Parameters
    ----------
    network : Module
        Takes what `Inputs.batch` gives.
    inputs : Inputs
        All molecules.
    labels : ndarray of shape (n_molecules, n_tasks)
        As the loss wants them; NaN for a missing label.
    train, val : ndarray of int64
        Molecules to train on, and to choose the best epoch by.
    loss : callable
        Output and labels to a number.
    epochs : int
        How often each training molecule is seen.
    batch_size : int
        Molecules in a step.
    lr : float
        Highest learning rate of Adam; see `noam`.
    run_dir : Path
        Folder for checkpoints and history.csv.
    seed : int
        Seed of order and dropout.
    resume : bool, default False
        Continue from the last checkpoint in `run_dir`.
    callbacks : sequence of Callback
        Further ones.
    notes : dict of str to str, optional
        Text to keep in every checkpoint.

    Returns
    -------
    Learner
        After training.
    """

    def gather(items: Sequence[Any]) -> Any:
        return inputs.batch(items), labels[list(items)]

    learner = Learner(
        network,
        loss,
        Adam(network.parameters(), lr=lr),
        Loader(train.tolist(), batch_size, shuffle=True, seed=seed, collate=gather),
        Loader(val.tolist(), batch_size, collate=gather),
        callbacks=[
            ScheduleLR(partial(noam, warmup_part=min(2 / epochs, 0.5))),
            StopOnNaN(),
            Checkpoint(),
            SaveOnSignal(),
            CSVLog(),
            Progress(),
            *callbacks,
        ],
        run_dir=run_dir,
        seed=seed,
    )
    learner.notes |= notes or {}
    learner.fit(f"{epochs} epochs", resume=resume)
    load_weights(network, run_dir / "best.safetensors")
    network.eval()
    return learner


def outputs(function: Callable[[Any], Tensor], inputs: Inputs) -> NDArray[np.float32]:
    """Let a network predict all molecules.

    Parameters
    ----------
    function : callable
        The network, or one of its methods.
    inputs : Inputs
        The molecules; at least one.

    Returns
    -------
    ndarray of shape (n_molecules, n_outputs)
        What it gives, in the order of the molecules.
    """
    with no_grad():
        return np.concatenate([function(as_tensors(x)).numpy() for x in inputs.batches()])
