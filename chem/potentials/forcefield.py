"""Energies with their derivatives: forces and stresses of any network that gives energies of atoms.

A network that sees the vectors between neighbors alone has an energy that does not change when all
atoms are moved. Its derivative by those vectors, ``s_p = ∂E/∂r_p``, holds everything: the force on
an atom is the sum of s over the pairs it is first in, minus that over those it is second in; the
derivative by a strain is ``Σ_p s_p ⊗ r_p``. Both are differentiated again when a loss of forces is.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from fieldgrad.chem.potentials.graphs import Graph
from fieldgrad.engine import Tensor, enable_grad, grad, nn, pair_sum, segment_sum, where
from fieldgrad.engine import sum as sum_of

__all__ = ["AtomModel", "ForceField", "ForceLoss"]


class AtomModel(Protocol):
    """What a network must offer: features of atoms, and a head that makes energies of them."""

    cutoff: float

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
        ...

    def head(self, x: Tensor, /) -> Tensor:
        """Give the energies (n_atoms,) of atoms with these features.

        Parameters
        ----------
        x : Tensor, shape (n_atoms, n_features)
            Features of atoms.

        Returns
        -------
        Tensor
            Shape (n_atoms,), eV.
        """
        ...


class ForceField(nn.Module):
    """A network of energies, and what follows from it.

    Parameters
    ----------
    model : SchNet, PaiNN or any module that keeps `AtomModel`
        Gives energies of atoms.
    stress : bool, default False
        Whether to compute stresses too; NaN otherwise.

    References
    ----------
    Virial of many-body potentials in periodic cells: Thompson, Plimpton, Mattson, J. Chem. Phys.
    131, 154107, 2009, doi:10.1063/1.3245303.
    """

    def __init__(self, model: Any, *, stress: bool = False) -> None:
        super().__init__()
        self.model = model
        self.stress = stress

    def forward(self, graph: Any) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Differentiate the energy.

        Parameters
        ----------
        graph : Graph of Tensor
            Structures.

        Returns
        -------
        energies : Tensor, shape (n_structures,)
            In eV, less what was subtracted from the targets.
        forces : Tensor, shape (n_atoms, 3)
            In eV/Å; differentiable by the weights while training.
        stresses : Tensor, shape (n_structures, 3, 3)
            In eV/Å³.
        atom_energies : Tensor, shape (n_atoms,)
            In eV; their sums are the energies.
        features : Tensor, shape (n_atoms, n_features)
            What these were computed from.
        """
        numbers, structure_ids, pairs, vectors, volumes = Graph(*graph)
        n_atoms, n = numbers.shape[0], volumes.shape[0]
        with enable_grad():
            r = Tensor(vectors.data, requires_grad=True)
            features = self.model.features(numbers, pairs, r)
            atom_energies = self.model.head(features)
            slope = grad(sum_of(atom_energies), r, create_graph=self.training, retain_graph=True)
            energies = segment_sum(atom_energies, structure_ids, num_segments=n)
        # Each pair's slope is added to its first atom and subtracted from its second.
        ones = np.ones((n_atoms, 3), slope.dtype)
        forces = pair_sum(Tensor(ones), slope, pairs, antisymmetric=True)
        if self.stress:
            outer = slope[:, :, None] * r[:, None, :]  # (pair, 3, 3)
            virial = segment_sum(outer, structure_ids.data[pairs.data[0]], num_segments=n)
            known = np.isfinite(volumes.data)[:, None, None]
            # Added, so that what is unknown gets no gradient: NaN times zero would be NaN.
            missing = np.where(known, 0, np.nan).astype(vectors.dtype)
            stresses = virial / np.where(known, volumes.data[:, None, None], 1) + missing
        else:
            stresses = Tensor(np.full((n, 3, 3), np.nan, vectors.dtype))
        return energies, forces, stresses, atom_energies, features


class ForceLoss:
    """Squared errors of energies, forces and stresses, weighted; what is unknown does not count.

    Parameters
    ----------
    energy : float, default 0.01
        Weight of the mean squared error of the energies, eV².
    forces : float, default 0.99
        Weight of that of the forces' components, eV²/Å².
    stress : float, default 0.0
        Weight of that of the stresses' components, eV²/Å⁶.

    Examples
    --------
    >>> from fieldgrad.engine import tensor
    >>> energies, forces = tensor([1.0, 2.0]), tensor([[0.0, 0.0, 1.0]])
    >>> nothing = tensor(np.full((2, 3, 3), np.nan))
    >>> loss = ForceLoss(energy=1.0, forces=3.0)
    >>> target = tensor([2.0, np.nan]), tensor([[0.0, 0.0, 0.0]]), nothing
    >>> loss((energies, forces, nothing, None), *target).item()
    2.0
    """

    def __init__(self, energy: float = 0.01, forces: float = 0.99, stress: float = 0.0) -> None:
        self.energy = energy
        self.forces = forces
        self.stress = stress

    def __call__(
        self, prediction: Any, energies: Tensor, forces: Tensor, stresses: Tensor
    ) -> Tensor:
        total: Any = 0.0
        for weight, found, wanted in zip(
            (self.energy, self.forces, self.stress),
            prediction,
            (energies, forces, stresses),
            strict=False,
        ):
            if weight:
                total = total + weight * _mean_square(found, wanted.data)
        return total if isinstance(total, Tensor) else Tensor(np.float32(total))


def _mean_square(found: Tensor, wanted: Any) -> Tensor:
    known = np.isfinite(wanted)
    n = int(known.sum())
    difference = found - np.where(known, wanted, 0)
    if n < known.size:
        difference = where(known, difference, 0.0)
    return sum_of(difference * difference) * (1.0 / max(n, 1))
