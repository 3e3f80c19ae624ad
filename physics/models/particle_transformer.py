"""Particle Transformer: attention to which the kinematics of each pair of particles is added.

References
----------
Qu, Li, Qian, "Particle Transformer for jet tagging", ICML 2022, arXiv:2202.03772, fig. 3 and eq. 3.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine import (
    Tensor,
    atan2,
    broadcast_to,
    clip,
    concat,
    gather,
    log,
    minimum,
    nn,
    permute_dims,
    sqrt,
    stack,
)
from fieldgrad.engine.nn.init import truncated_normal
from fieldgrad.shared_models import MLP, AttentionBlock
from fieldgrad.shared_models.ragged import dense_rows, pairs_of_rows, to_dense

__all__ = ["ParticleTransformer", "pair_features"]

SMALLEST = 1e-8  # of what a logarithm is taken of


def pair_features(p: Tensor, q: Tensor) -> Tensor:
    """Logarithms of kT, z, ΔR and m² of pairs of particles.

    Parameters
    ----------
    p, q : Tensor
        Shape (n_pairs, 4): four-vectors (E, px, py, pz) of the two, GeV.

    Returns
    -------
    Tensor
        Shape (n_pairs, 4): ln(min(pt) ΔR), ln(min(pt) / Σ pt), ln ΔR, ln m², each of at least
        1e-8. ΔR is taken with rapidities, so nothing changes under boosts along the beam, nor
        under rotations around it.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> p, q = fg.tensor([[1.0, 1, 0, 0]]), fg.tensor([[2.0, 0, 2, 0]])
    >>> pair_features(p, q).numpy().round(3)  # ΔR is π/2, m² is 4
    array([[ 0.452, -1.099,  0.452,  1.386]], dtype=float32)
    """
    pt_p, pt_q = (sqrt(v[:, 1] * v[:, 1] + v[:, 2] * v[:, 2]) for v in (p, q))
    d_y = _rapidity(p) - _rapidity(q)
    d_phi = atan2(p[:, 1] * q[:, 2] - p[:, 2] * q[:, 1], p[:, 1] * q[:, 1] + p[:, 2] * q[:, 2])
    d_r = sqrt(d_y * d_y + d_phi * d_phi)
    least = minimum(pt_p, pt_q)
    both = p + q
    mass2 = (
        (both[:, 0] - both[:, 3]) * (both[:, 0] + both[:, 3])
        - both[:, 1] * both[:, 1]
        - both[:, 2] * both[:, 2]
    )
    z = least / clip(pt_p + pt_q, SMALLEST)
    return stack([log(clip(x, SMALLEST)) for x in (least * d_r, z, d_r, mass2)], axis=1)


def _rapidity(p: Tensor) -> Tensor:
    forward, backward = p[:, 0] + p[:, 3], p[:, 0] - p[:, 3]
    return 0.5 * (log(clip(forward, SMALLEST)) - log(clip(backward, SMALLEST)))


class ParticleTransformer(nn.Module):
    """Attention among the constituents with a bias for each pair, read out by class attention.

    Parameters
    ----------
    in_features : int
        Features of a constituent.
    n_outputs : int
        Classes, or values to regress.
    n_observables : int, default 0
        Observables of the jet, which join what the class token holds.
    width : int, default 128
        Features of a constituent inside.
    n_heads : int, default 8
        Heads of the attention.
    n_blocks : int, default 8
        Blocks of attention among the constituents.
    n_class_blocks : int, default 2
        Blocks in which the class token looks at the constituents.
    embedding : sequence of int, default (128, 512, 128)
        Features after each layer that leads to the first block; the last is `width`.
    pair_embedding : sequence of int, default (64, 64, 64)
        Features of a pair after each layer, before those for the heads.
    dropout : float, default 0.1
        In the blocks of the constituents, while training.

    Notes
    -----
    Features of pairs and their batch statistics are computed for pairs of real constituents only.
    Jets are padded to the longest of the batch for the attention itself.

    Examples
    --------
    >>> ParticleTransformer(7, 2).n_parameters()
    2141134
    """

    inputs = ("features", "vectors")

    def __init__(
        self,
        in_features: int,
        n_outputs: int,
        *,
        n_observables: int = 0,
        width: int = 128,
        n_heads: int = 8,
        n_blocks: int = 8,
        n_class_blocks: int = 2,
        embedding: Sequence[int] = (128, 512, 128),
        pair_embedding: Sequence[int] = (64, 64, 64),
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        sizes = (in_features, *embedding[:-1], width)
        self.norm = nn.BatchNorm(in_features)
        self.embed = nn.Sequential(
            *(
                layer
                for a, b in pairwise(sizes)
                for layer in (nn.LayerNorm(a), nn.Linear(a, b), nn.GELU())
            )
        )
        pairs: list[nn.Module] = [nn.BatchNorm(4)]
        sizes = (4, *pair_embedding, n_heads)
        for a, b in pairwise(sizes):
            pairs += [nn.Linear(a, b), nn.BatchNorm(b), nn.GELU()]
        self.embed_pairs = nn.Sequential(*pairs[:-1])  # what is added to logits has no activation
        self.blocks = nn.ModuleList(
            AttentionBlock(width, n_heads, dropout=dropout) for _ in range(n_blocks)
        )
        self.class_blocks = nn.ModuleList(
            AttentionBlock(width, n_heads) for _ in range(n_class_blocks)
        )
        self.token = nn.Parameter(truncated_normal((1, 1, width), std=0.02))
        self.last_norm = nn.LayerNorm(width)
        self.head = MLP((width + n_observables, n_outputs))

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Map a batch to (n_jets, n_outputs)."""
        offsets = np.asarray(batch["offsets"])
        rows = dense_rows(offsets)  # (jet, constituent)
        hidden = np.where(rows < 0, -np.inf, 0.0).astype(batch["features"].dtype)
        x = to_dense(self.embed(self.norm(batch["features"])), rows)
        bias = self._pair_bias(batch["vectors"], offsets, rows) + hidden[:, None, None, :]
        for block in self.blocks:
            x = block(x, bias)  # (jet, constituent, width)
        token = broadcast_to(self.token, (x.shape[0], 1, x.shape[2]))
        seen = Tensor(np.pad(hidden, ((0, 0), (1, 0)))[:, None, None, :])
        for block in self.class_blocks:
            token = block(x, seen, token)
        y = self.last_norm(token[:, 0])
        if "observables" in batch:
            y = concat([y, batch["observables"]], axis=1)
        return self.head(y)

    def _pair_bias(
        self, vectors: Tensor, offsets: NDArray[np.int64], rows: NDArray[np.int64]
    ) -> Tensor:
        """What is added to the logits, (jet, head, constituent, constituent)."""
        first, second = pairs_of_rows(offsets, ordered=False)
        embedded = self.embed_pairs(pair_features(gather(vectors, first), gather(vectors, second)))
        # Each pair stands in both of its places.
        counts = np.diff(offsets)
        jet = np.repeat(np.arange(counts.size), counts)
        place = np.arange(offsets[-1]) - offsets[jet]
        number = np.full((*rows.shape, rows.shape[1]), -1)
        number[jet[first], place[first], place[second]] = np.arange(first.size)
        number[jet[first], place[second], place[first]] = np.arange(first.size)
        return permute_dims(gather(embedded, number, skip_missing=True), (0, 3, 1, 2))
