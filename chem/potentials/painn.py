"""PaiNN: atoms exchange messages that carry directions, and so see angles.

References
----------
Schütt, Unke, Gastegger, "Equivariant message passing for the prediction of tensorial properties and
molecular spectra", ICML 2021, arXiv:2102.03150.

Sizes and initial weights are those of SchNetPack 2; distances are described by Gaussians as there,
where the paper has sin(n π d / cutoff) / d.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from fieldgrad.chem.potentials.forcefield import AtomModel
from fieldgrad.chem.potentials.radial import Curve, GaussianBasis, cosine_cutoff
from fieldgrad.chem.potentials.schnet import AtomEnergy, dense
from fieldgrad.engine import (
    Tensor,
    concat,
    linear,
    nn,
    pair_sum,
    silu,
    sqrt,
    square,
    zeros,
)
from fieldgrad.engine import sum as sum_of

__all__ = ["Message", "Mixing", "PaiNN"]

TINY = 1e-8  # under the root of a norm, whose slope is infinite at 0


class Message(nn.Module):
    """What atoms hear of their neighbors: scalars, and vectors along and around the connection.

    Parameters
    ----------
    n_features : int
        Scalars, and vectors, of an atom.
    """

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.n_features = n_features
        self.hidden = dense(n_features, n_features)
        self.out = dense(n_features, 3 * n_features)

    def forward(
        self, q: Tensor, mu: Tensor, filters: Tensor, directions: Tensor, pairs: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Scalars (n_atoms, F), vectors (n_atoms, 3, F) to both; filters (n_pairs, 3F)."""
        n = self.n_features
        x = self.out(silu(self.hidden(q)))  # equation 7, φ
        q = q + pair_sum(x[:, :n], filters[:, :n], pairs)
        # Equation 8. The direction changes its sign with the direction of the message.
        along = filters[:, None, n : 2 * n] * directions[:, :, None]  # (n_pairs, 3, F)
        x_along = x[:, None, n : 2 * n] + zeros((1, 3, 1), dtype=x.dtype)
        around = filters[:, None, 2 * n :] + zeros((1, 3, 1), dtype=x.dtype)
        mu = (
            mu
            + pair_sum(x_along, along, pairs, antisymmetric=True)
            + pair_sum(x[:, None, 2 * n :] * mu, around, pairs)
        )
        return q, mu


class Mixing(nn.Module):
    """What an atom makes of its own scalars and vectors.

    Parameters
    ----------
    n_features : int
        Scalars, and vectors, of an atom.
    """

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.n_features = n_features
        self.mix = dense(n_features, 2 * n_features, bias=False)
        self.hidden = dense(2 * n_features, n_features)
        self.out = dense(n_features, 3 * n_features)

    def forward(self, q: Tensor, mu: Tensor) -> tuple[Tensor, Tensor]:
        """Scalars (n_atoms, F), vectors (n_atoms, 3, F) to both; equations 9 and 10."""
        n = self.n_features
        mixed = self.mix(mu)
        v, u = mixed[:, :, :n], mixed[:, :, n:]  # (n_atoms, 3, F)
        norm = sqrt(sum_of(square(v), axis=1) + TINY)
        x = self.out(silu(self.hidden(concat([q, norm], axis=-1))))
        q = q + x[:, :n] + x[:, 2 * n :] * sum_of(v * u, axis=1)
        return q, mu + x[:, None, n : 2 * n] * u


class PaiNN(AtomModel):
    """Energies of atoms from elements and relative positions; invariant under rotation.

    Parameters
    ----------
    n_features : int, default 128
        Scalars, and vectors, of an atom.
    n_interactions : int, default 3
        Exchanges of messages, each with weights of its own.
    n_basis : int, default 20
        Gaussians that describe a distance.
    cutoff : float, default 5.0
        Å.
    max_number : int, default 99
        Largest atomic number.

    Examples
    --------
    >>> PaiNN().n_parameters()
    589057
    """

    def __init__(
        self,
        n_features: int = 128,
        n_interactions: int = 3,
        n_basis: int = 20,
        cutoff: float = 5.0,
        max_number: int = 99,
    ) -> None:
        super().__init__()
        self.cutoff = cutoff
        self.n_features = n_features
        self.embedding = nn.Embedding(max_number + 1, n_features)
        self.basis = GaussianBasis(n_basis, cutoff)
        self.filter_layers = nn.ModuleList(
            dense(n_basis, 3 * n_features) for _ in range(n_interactions)
        )
        self.messages = nn.ModuleList(Message(n_features) for _ in range(n_interactions))
        self.mixings = nn.ModuleList(Mixing(n_features) for _ in range(n_interactions))
        self.head = AtomEnergy(n_features)

    def filters(self, distances: Tensor) -> list[Curve]:
        """Make the filters of all exchanges; as `AtomModel.filters`."""
        basis, envelope = self.basis(distances), cosine_cutoff(distances, self.cutoff)
        return [
            Curve(layer(basis.values), linear(basis.slopes, layer.weight)) * envelope
            for layer in cast(Sequence[nn.Linear], self.filter_layers)
        ]

    def features(
        self, numbers: Tensor, pairs: Tensor, filters: Sequence[Tensor], directions: Tensor
    ) -> Tensor:
        """Describe each atom in its surroundings by its scalars; as `AtomModel.features`."""
        q = self.embedding(numbers)
        mu = zeros((q.shape[0], 3, self.n_features), dtype=q.dtype)
        for message, mixing, w in zip(self.messages, self.mixings, filters, strict=True):
            q, mu = message(q, mu, w, directions, pairs)
            q, mu = mixing(q, mu)
        return q
