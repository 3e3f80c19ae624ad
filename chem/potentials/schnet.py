"""SchNet: atoms exchange messages that are filtered by a learned function of their distance.

References
----------
Schütt, Kindermans, Sauceda, Chmiela, Tkatchenko, Müller, "SchNet: a continuous-filter convolutional
neural network for modeling quantum interactions", NeurIPS 2017, arXiv:1706.08566.
Schütt et al., "SchNet - a deep learning architecture for molecules and materials", J. Chem. Phys.
148, 241722, 2018, doi:10.1063/1.5019779.

Sizes, cutoff function, initial weights and head are those of SchNetPack 2, which differ from the
papers': those have 64 features, Gaussians up to 30 Å and no cutoff function.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

from fieldgrad.chem.potentials.forcefield import AtomModel
from fieldgrad.chem.potentials.radial import Curve, GaussianBasis, cosine_cutoff
from fieldgrad.engine import Tensor, linear, nn, pair_sum, reshape, sigmoid, silu, softplus
from fieldgrad.engine.nn.init import xavier_uniform

__all__ = ["AtomEnergy", "Interaction", "SchNet", "dense", "shifted_softplus"]


def shifted_softplus(x: Tensor) -> Tensor:
    """ln(1 + eˣ) - ln 2, which is 0 at 0.

    Parameters
    ----------
    x : Tensor
        Any shape.

    Returns
    -------
    Tensor
        Shape of x.
    """
    return softplus(x) - math.log(2.0)


def dense(n_in: int, n_out: int, *, bias: bool = True) -> nn.Linear:
    """Make a linear layer with the initial weights of SchNetPack: Xavier, zero bias.

    Parameters
    ----------
    n_in, n_out : int
        Features before and after.
    bias : bool, default True
        Whether to add a trained offset.

    Returns
    -------
    nn.Linear
        The layer.
    """
    layer = nn.Linear(n_in, n_out, bias=bias)
    layer.weight.data[...] = xavier_uniform((n_out, n_in))
    if layer.bias is not None:
        layer.bias.data[...] = 0.0
    return layer


class Interaction(nn.Module):
    """One exchange of messages: what an atom hears of its neighbors is added to what it is.

    Parameters
    ----------
    n_features : int
        Features of an atom.
    n_basis : int
        Features of a distance.
    """

    def __init__(self, n_features: int, n_basis: int) -> None:
        super().__init__()
        self.to_message = dense(n_features, n_features, bias=False)
        self.filter_in = dense(n_basis, n_features)
        self.filter_out = dense(n_features, n_features)
        self.update_in = dense(n_features, n_features)
        self.update_out = dense(n_features, n_features)

    def filter(self, basis: Curve) -> Curve:
        """Make the filter (n_pairs, n_features) from functions (n_pairs, n_basis) of distances.

        Parameters
        ----------
        basis : Curve
            The functions.

        Returns
        -------
        Curve
            The filter without the cutoff function.
        """
        hidden = self.filter_in(basis.values)
        # The slope of the shifted softplus is the sigmoid.
        slopes = sigmoid(hidden) * linear(basis.slopes, self.filter_in.weight)
        return Curve(
            self.filter_out(shifted_softplus(hidden)), linear(slopes, self.filter_out.weight)
        )

    def forward(self, x: Tensor, w: Tensor, pairs: Tensor) -> Tensor:
        """Atoms (n_atoms, n_features) to the same, by filters (n_pairs, n_features)."""
        # The filter depends on the distance alone: one serves both directions of a pair.
        v = pair_sum(self.to_message(x), w, pairs)  # (n_atoms, n_features)
        return x + self.update_out(shifted_softplus(self.update_in(v)))


class AtomEnergy(nn.Module):
    """What an atom contributes to the energy, from its features.

    Parameters
    ----------
    n_features : int
        Features of an atom.
    """

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.hidden = dense(n_features, n_features // 2)
        self.out = dense(n_features // 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Atoms (n_atoms, n_features) to energies (n_atoms,)."""
        return reshape(self.out(silu(self.hidden(x))), (x.shape[0],))


class SchNet(AtomModel):
    """Energies of atoms from elements and distances; invariant under rotation and reflection.

    Parameters
    ----------
    n_features : int, default 128
        Features of an atom.
    n_interactions : int, default 6
        Exchanges of messages, each with weights of its own.
    n_basis : int, default 20
        Gaussians that describe a distance.
    cutoff : float, default 5.0
        Å.
    max_number : int, default 99
        Largest atomic number.

    Examples
    --------
    >>> import numpy as np
    >>> model = SchNet(n_features=64, n_interactions=3, n_basis=25)
    >>> model.n_parameters()
    63233
    >>> from fieldgrad.engine import tensor
    >>> numbers, pairs = tensor(np.array([8, 1])), tensor(np.array([[0], [1]]))
    >>> model(numbers, pairs, tensor(np.float32([[0.0, 0.6, 0.8]]))).shape
    (2,)
    """

    def __init__(
        self,
        n_features: int = 128,
        n_interactions: int = 6,
        n_basis: int = 20,
        cutoff: float = 5.0,
        max_number: int = 99,
    ) -> None:
        super().__init__()
        self.cutoff = cutoff
        self.embedding = nn.Embedding(max_number + 1, n_features)
        self.basis = GaussianBasis(n_basis, cutoff)
        self.interactions = nn.ModuleList(
            Interaction(n_features, n_basis) for _ in range(n_interactions)
        )
        self.head = AtomEnergy(n_features)

    def filters(self, distances: Tensor) -> list[Curve]:
        """Make the filters of all exchanges; as `AtomModel.filters`."""
        basis, envelope = self.basis(distances), cosine_cutoff(distances, self.cutoff)
        return [cast(Interaction, layer).filter(basis) * envelope for layer in self.interactions]

    def features(
        self, numbers: Tensor, pairs: Tensor, filters: Sequence[Tensor], directions: Tensor
    ) -> Tensor:
        """Describe each atom in its surroundings; as `AtomModel.features`."""
        x = self.embedding(numbers)
        for interaction, w in zip(self.interactions, filters, strict=True):
            x = interaction(x, w, pairs)
        return x
