"""The directed message passing network: hidden states of bonds, gathered into atoms and molecules.

References
----------
Yang et al., "Analyzing learned molecular representations for property prediction", J. Chem. Inf.
Model. 59 (2019) 3370, doi:10.1021/acs.jcim.9b00237, equations 1 to 8; defaults of chemprop 2
(Heid et al., J. Chem. Inf. Model. 64 (2024) 9, doi:10.1021/acs.jcim.3c01250): no bias in W_i and
W_h, and a sum over atoms divided by 100 for a molecule.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fieldgrad.chem.molecules.features import ATOM_SIZE, BOND_SIZE
from fieldgrad.chem.molecules.refinement import Round, refine
from fieldgrad.engine import (
    Tensor,
    concat,
    gather,
    nn,
    relu,
    segment_mean,
    segment_softmax,
    segment_sum,
)
from fieldgrad.engine.errors import RecipeError
from fieldgrad.shared_models import MLP
from fieldgrad.shared_models.ragged import segment_ids

__all__ = ["DMPNN", "AttentiveReadout", "DirectedMessagePassing", "Inputs", "Readout"]

# atoms, bonds, edges, offsets and descriptors of a batch; see graph.py
Inputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
# Hidden states of atoms, the molecule of each, and the number of molecules, to molecules.
Readout = Callable[[Tensor, NDArray[np.int64], int], Tensor]

NORM = 100.0  # atoms of a large molecule: keeps sums near the size of means


class DirectedMessagePassing(nn.Module):
    """Hidden states of atoms from messages along directed bonds.

    Parameters
    ----------
    hidden_size : int, default 300
        Size of the hidden states.
    depth : int, default 3
        Number of states of a bond, the first one included.
    dropout : float, default 0
        Part of the hidden units that are dropped while training.
    """

    def __init__(self, hidden_size: int = 300, depth: int = 3, dropout: float = 0.0) -> None:
        super().__init__()
        self.depth = depth
        self.W_i = nn.Linear(ATOM_SIZE + BOND_SIZE, hidden_size, bias=False)
        self.W_h = nn.Linear(hidden_size, hidden_size, bias=False)
        self.W_o = nn.Linear(ATOM_SIZE + hidden_size, hidden_size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, atoms: Tensor, bonds: Tensor, edges: Tensor) -> Tensor:
        """Pass messages.

        Parameters
        ----------
        atoms : Tensor
            Shape (n_atoms, 72).
        bonds : Tensor
            Shape (n_edges, 14).
        edges : Tensor of int
            Shape (2, n_edges): the atoms v and w that each edge leads from and to; edges 2k and
            2k + 1 are the two directions of one bond.

        Returns
        -------
        Tensor
            Shape (n_atoms, hidden_size).
        """
        v, _ = ends = np.asarray(edges)
        # Bonds and atoms that are alike are computed once, unless something tells them apart.
        apart = atoms.requires_grad or bonds.requires_grad or (self.training and self.dropout.p > 0)
        features = None if apart else (np.asarray(atoms), np.asarray(bonds))
        start, (*rounds, last) = refine(ends, atoms.shape[0], self.depth - 1, features)
        h_0 = self.W_i(
            concat([gather(atoms, v[start.first]), gather(bonds, start.first)], axis=1)
        )  # (edge class, hidden), eq. 3
        h = relu(h_0)
        for step in rounds:
            m = _received(h, step)  # eq. 1: from all edges into v but the one from w
            own = gather(h_0, start.of[step.classes.first])
            h = self.dropout(relu(own + self.W_h(m)))  # eq. 2
        m = _received(h, last)  # eq. 4
        x = gather(atoms, last.classes.first)
        h = self.dropout(relu(self.W_o(concat([x, m], axis=1))))  # eq. 5
        return gather(h, last.classes.of)


def _received(h: Tensor, step: Round) -> Tensor:
    n_classes = len(step.classes.first)
    return segment_sum(gather(h, step.sources), step.targets, num_segments=n_classes)


class AttentiveReadout(nn.Module):
    """Weighted mean over the atoms of a molecule, with weights that are learned.

    Parameters
    ----------
    hidden_size : int
        Size of the atoms' hidden states.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.score = nn.Linear(hidden_size, 1)

    def forward(self, h: Tensor, molecule: NDArray[np.int64], n_molecules: int) -> Tensor:
        """Map (n_atoms, hidden_size) to (n_molecules, hidden_size)."""
        weights = segment_softmax(self.score(h), molecule, num_segments=n_molecules)
        return segment_sum(weights * h, molecule, num_segments=n_molecules)


def _sum(h: Tensor, molecule: NDArray[np.int64], n_molecules: int) -> Tensor:
    return segment_sum(h, molecule, num_segments=n_molecules)


def _norm(h: Tensor, molecule: NDArray[np.int64], n_molecules: int) -> Tensor:
    return _sum(h, molecule, n_molecules) / NORM


def _mean(h: Tensor, molecule: NDArray[np.int64], n_molecules: int) -> Tensor:
    return segment_mean(h, molecule, num_segments=n_molecules)


READOUTS: dict[str, Readout] = {"norm": _norm, "mean": _mean, "sum": _sum}


class DMPNN(nn.Module):
    """Directed message passing, a readout over atoms, and a feed-forward network.

    Parameters
    ----------
    n_outputs : int
        Size of the output.
    n_descriptors : int, default 0
        Size of what is known of the molecule besides its graph, joined to the readout.
    hidden_size : int, default 300
        Size of hidden states, and of the hidden layers of the feed-forward network.
    depth : int, default 3
        Number of states of a bond, the first one included.
    n_layers : int, default 1
        Hidden layers of the feed-forward network.
    dropout : float, default 0
        Part of the hidden units that are dropped while training.
    readout : {"norm", "mean", "sum", "attentive"} or callable, default "norm"
        Atoms to molecules: sum over atoms / 100, mean, sum, weighted mean; or a function or module
        of the hidden states (n_atoms, hidden_size), the molecule of each atom and the number of
        molecules, which gives (n_molecules, any size).
    readout_size : int, optional
        Size of the readout, if it is not hidden_size.

    Raises
    ------
    RecipeError
        If there is no such readout.

    Examples
    --------
    >>> DMPNN(1).n_parameters()
    318301
    """

    def __init__(
        self,
        n_outputs: int,
        *,
        n_descriptors: int = 0,
        hidden_size: int = 300,
        depth: int = 3,
        n_layers: int = 1,
        dropout: float = 0.0,
        readout: Literal["norm", "mean", "sum", "attentive"] | Readout = "norm",
        readout_size: int | None = None,
    ) -> None:
        super().__init__()
        self.message_passing = DirectedMessagePassing(hidden_size, depth, dropout)
        if readout == "attentive":
            self.readout: Readout = AttentiveReadout(hidden_size)
        elif callable(readout):
            self.readout = readout
        elif readout in READOUTS:
            self.readout = READOUTS[readout]
        else:
            raise RecipeError(
                f"DMPNN: there is no readout {readout!r}. Choices: {', '.join(READOUTS)}, "
                "attentive, or a function of your own."
            )
        n_in = (readout_size or hidden_size) + n_descriptors
        self.head = MLP((n_in, *[hidden_size] * n_layers, n_outputs), dropout=dropout)

    def fingerprint(self, x: Inputs) -> Tensor:
        """Give the molecules' learned vectors, before the feed-forward network.

        Parameters
        ----------
        x : tuple of 5 Tensor
            Atoms, bonds, edges and offsets of a batch (`graph.MoleculeGraphs.batch`), and
            descriptors of shape (n_molecules, n_descriptors).

        Returns
        -------
        Tensor
            Shape (n_molecules, hidden_size).
        """
        atoms, bonds, edges, offsets, _ = x
        h = self.message_passing(atoms, bonds, edges)
        return self.readout(h, segment_ids(offsets), len(offsets) - 1)

    def forward(self, x: Inputs) -> Tensor:
        """Map a batch (see `fingerprint`) to (n_molecules, n_outputs)."""
        z = self.fingerprint(x)
        descriptors = x[-1]
        return self.head(concat([z, descriptors], axis=1) if descriptors.shape[1] else z)
