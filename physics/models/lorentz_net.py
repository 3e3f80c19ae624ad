"""LorentzNet: messages between particles that depend on Lorentz invariants only.

References
----------
Gong, Meng, Zhang, Qu, Li, Qian, Du, Ma, Liu, "An efficient Lorentz equivariant graph neural network
for jet tagging", JHEP 07 (2022) 030, arXiv:2201.08187, eqs. 3.2 to 3.6 and section 4.1.
"""

from collections.abc import Mapping

import numpy as np

from fieldgrad.engine import (
    Tensor,
    abs,
    clip,
    concat,
    gather,
    linear,
    log1p,
    nn,
    relu,
    segment_mean,
    segment_sum,
    sigmoid,
    sign,
    sqrt,
    stack,
)
from fieldgrad.shared_models import MLP
from fieldgrad.shared_models.ragged import pairs_of_rows, segment_ids

__all__ = ["LorentzNet"]

METRIC = np.array([1.0, -1.0, -1.0, -1.0], np.float32)
# The two beams, as particles of mass 1 GeV, tell the network where the axis of the detector is.
BEAMS = np.array([[np.sqrt(2.0), 0, 0, 1], [np.sqrt(2.0), 0, 0, -1]], np.float32)
LIMIT = 100.0  # of the factor by which a difference moves a particle


def _dot(p: Tensor, q: Tensor) -> Tensor:
    """Minkowski products of rows: (n, 4), (n, 4) to (n, 1)."""
    return (p * q * METRIC.astype(p.dtype)).sum(axis=1, keepdims=True)


def _squeeze(x: Tensor) -> Tensor:
    """ψ of eq. 3.3, which brings numbers of many sizes together."""
    return sign(x) * log1p(abs(x))


class Block(nn.Module):
    """One exchange of messages: new scalars, and new four-vectors unless it is the last.

    Parameters
    ----------
    width : int
        Scalars of a particle inside.
    n_scalars : int
        Scalars of a particle at the beginning, which every block sees.
    c : float
        By how much vectors move.
    last : bool
        Whether no block follows that would need the vectors.
    """

    def __init__(self, width: int, n_scalars: int, c: float, last: bool) -> None:
        super().__init__()
        self.c = c
        self.edge = nn.Linear(2 * width + 2, width, bias=False)
        self.edge_norm = nn.BatchNorm(width, negative_slope=0.0)
        self.edge_out = nn.Linear(width, width)
        self.gate = nn.Linear(width, 1)
        self.node = nn.Linear(2 * width + n_scalars, width)
        self.node_norm = nn.BatchNorm(width, negative_slope=0.0)
        self.node_out = nn.Linear(width, width)
        self.move = None if last else nn.Linear(width, width)
        self.move_out = None if last else nn.Linear(width, 1, bias=False)

    def forward(
        self,
        h: Tensor,
        x: Tensor,
        scalars: Tensor,
        pairs: tuple[np.ndarray, np.ndarray],
    ) -> tuple[Tensor, Tensor]:
        """Map scalars (particle, width) and vectors (particle, 4) to new ones."""
        i, j = pairs
        n, width = h.shape
        x_i, x_j = gather(x, i), gather(x, j)
        difference = x_i - x_j
        invariants = _squeeze(
            concat([_dot(difference, difference), _dot(x_i, x_j)], axis=1)
        )  # (pair, 2)
        # The first layer is linear, so the part of each particle is computed once.
        w = self.edge.weight
        own, other = linear(h, w[:, :width]), linear(h, w[:, width : 2 * width])
        m = gather(own, i) + gather(other, j) + linear(invariants, w[:, 2 * width :])
        m = relu(self.edge_out(self.edge_norm(m)))  # (pair, width), eq. 3.2
        m = m * sigmoid(self.gate(m))
        if self.move is not None and self.move_out is not None:  # eq. 3.4
            factor = clip(self.move_out(relu(self.move(m))), -LIMIT, LIMIT)
            x = x + self.c * segment_mean(difference * factor, i, num_segments=n)
        total = segment_sum(m, i, num_segments=n)
        new = self.node_out(self.node_norm(self.node(concat([h, total, scalars], axis=1))))
        return h + new, x  # eq. 3.5


class LorentzNet(nn.Module):
    """Blocks of messages over all pairs of constituents, and a perceptron on the mean scalars.

    Parameters
    ----------
    n_outputs : int
        Classes, or values to regress.
    n_observables : int, default 0
        Observables of the jet, which join the mean.
    width : int, default 72
        Scalars of a particle inside.
    n_blocks : int, default 6
        Number of blocks.
    c : float, default 5e-3
        By how much vectors move; 1e-3 was used for quarks and gluons.
    beams : bool, default True
        Add the two beams to the particles. Without them the result does not change under any
        Lorentz transformation, with them under rotations around the beam.
    dropout : float, default 0.2
        In the perceptron, while training.

    Notes
    -----
    Differs from the released implementation in two places: the mean is over the particles there
    are and not over padding, and what is limited to ±100 is the factor of a difference of vectors
    and not each of its components, which would not be equivariant. Time and memory grow as the
    square of the number of constituents.

    Examples
    --------
    >>> LorentzNet(2).n_parameters()
    224072
    """

    inputs = ("vectors",)

    def __init__(
        self,
        n_outputs: int,
        *,
        n_observables: int = 0,
        width: int = 72,
        n_blocks: int = 6,
        c: float = 5e-3,
        beams: bool = True,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.beams = beams
        n_scalars = 2 if beams else 1
        self.embed = nn.Linear(n_scalars, width)
        self.blocks = nn.ModuleList(
            Block(width, n_scalars, c, last=i == n_blocks - 1) for i in range(n_blocks)
        )
        self.head = MLP((width + n_observables, width, n_outputs), dropout=dropout)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Map a batch to (n_jets, n_outputs)."""
        x, offsets = batch["vectors"], np.asarray(batch["offsets"])
        n_jets = offsets.size - 1
        is_beam = np.zeros(x.shape[0], bool)
        if self.beams:
            x, offsets, is_beam = _with_beams(x, offsets)
        mass = _squeeze(sqrt(abs(_dot(x, x))))[:, 0]
        kinds = [is_beam, ~is_beam] if self.beams else [~is_beam]
        scalars = stack([mass * kind.astype(x.dtype) for kind in kinds], axis=1)
        h, pairs = self.embed(scalars), pairs_of_rows(offsets)
        for block in self.blocks:
            h, x = block(h, x, scalars, pairs)
        ids = segment_ids(offsets, x.shape[0])
        y = segment_mean(h, ids, num_segments=n_jets)  # (jet, width)
        if "observables" in batch:
            y = concat([y, batch["observables"]], axis=1)
        return self.head(y)


def _with_beams(x: Tensor, offsets: np.ndarray) -> tuple[Tensor, np.ndarray, np.ndarray]:
    """Put the two beams before the particles of each jet."""
    counts = np.diff(offsets)
    longer = offsets + 2 * np.arange(offsets.size)
    ids = np.repeat(np.arange(counts.size), counts + 2)
    place = np.arange(longer[-1]) - longer[ids]
    is_beam = place < 2
    rows = np.where(is_beam, x.shape[0] + place, offsets[ids] + place - 2)
    return gather(concat([x, Tensor(BEAMS.astype(x.dtype))], axis=0), rows), longer, is_beam
