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

from fieldgrad.chem.potentials.radial import GaussianBasis, cosine_cutoff, lengths
from fieldgrad.engine import Tensor, nn, pair_sum, reshape, silu, softplus
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

    def forward(self, x: Tensor, basis: Tensor, envelope: Tensor, pairs: Tensor) -> Tensor:
        """Atoms (n_atoms, n_features), distances (n_pairs, n_basis), (n_pairs, 1) to atoms."""
        # The filter depends on the distance alone: one serves both directions of a pair.
        w = self.filter_out(shifted_softplus(self.filter_in(basis))) * envelope
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


class SchNet(nn.Module):
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

    def features(self, numbers: Tensor, pairs: Tensor, vectors: Tensor) -> Tensor:
        """Describe each atom in its surroundings.

        Parameters
        ----------
        numbers : Tensor of int, shape (n_atoms,)
            Atomic numbers.
        pairs : Tensor of int, shape (2, n_pairs)
            Atoms nearer than the cutoff, each pair once.
        vectors : Tensor, shape (n_pairs, 3)
            From the first to the second atom of each pair, Å.

        Returns
        -------
        Tensor
            Shape (n_atoms, n_features).
        """
        d = lengths(vectors)
        basis, envelope = self.basis(d), cosine_cutoff(d, self.cutoff)
        x = self.embedding(numbers)
        for interaction in self.interactions:
            x = interaction(x, basis, envelope, pairs)
        return x

    def forward(self, numbers: Tensor, pairs: Tensor, vectors: Tensor) -> Tensor:
        """Energies (n_atoms,) of atoms, eV; parameters as for `features`."""
        return self.head(self.features(numbers, pairs, vectors))
