"""Energies with their derivatives: forces and stresses of any network that gives energies of atoms.

A network sees the vectors between neighbors alone, so its energy does not change when all atoms are
moved. The derivative by those vectors, ``s_p = ∂E/∂r_p``, holds everything: the force on an atom is
the sum of s over the pairs it is first in, minus that over those it is second in; the derivative by
a strain is ``Σ_p s_p ⊗ r_p``. Both are differentiated again when a loss of forces is.

Of a vector r = d u the network sees filters, functions W of the distance d, and the direction u::

    s = (Σ ∂E/∂W · dW/dd) u + (g - (g · u) u) / d,    g = ∂E/∂u

Only ∂E/∂W and ∂E/∂u are found backwards. The slopes of the filters come along with their values,
and d and u are mere numbers, through which nobody needs to go back a second time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fieldgrad.chem.potentials.graphs import Graph
from fieldgrad.chem.potentials.radial import Curve, lengths_and_directions
from fieldgrad.engine import Tensor, enable_grad, grad, nn, pair_sum, segment_sum, where
from fieldgrad.engine import sum as sum_of
from fieldgrad.engine.train.groups import layer_groups

__all__ = ["AtomModel", "ForceField", "ForceLoss"]


class AtomModel(nn.Module):
    """What a network must offer: filters of distances, features of atoms, a head for the energy."""

    cutoff: float
    head: nn.Module

    def filters(self, distances: Tensor) -> list[Curve]:
        """Make what depends on distances, and on weights, but on no atom.

        Parameters
        ----------
        distances : Tensor, shape (n_pairs, 1)
            Å, below the cutoff.

        Returns
        -------
        list of Curve
            Each with shape (n_pairs, any); all alike.
        """
        raise NotImplementedError

    def features(
        self, numbers: Tensor, pairs: Tensor, filters: Sequence[Tensor], directions: Tensor
    ) -> Tensor:
        """Describe each atom in its surroundings.

        Parameters
        ----------
        numbers : Tensor of int, shape (n_atoms,)
            Atomic numbers.
        pairs : Tensor of int, shape (2, n_pairs)
            Atoms nearer than the cutoff, each pair once.
        filters : sequence of Tensor
            The values that `filters` gave.
        directions : Tensor, shape (n_pairs, 3)
            From the first to the second atom of each pair, of length 1.

        Returns
        -------
        Tensor
            Shape (n_atoms, n_features).
        """
        raise NotImplementedError

    def describe(self, numbers: Tensor, pairs: Tensor, vectors: Tensor) -> Tensor:
        """Give the features (n_atoms, n_features) of atoms.

        Parameters
        ----------
        numbers, pairs : Tensor
            As for `features`.
        vectors : Tensor, shape (n_pairs, 3)
            From the first to the second atom of each pair, Å.

        Returns
        -------
        Tensor
            Differentiable by the weights; `ForceField` does it by the vectors.
        """
        distances, directions = lengths_and_directions(vectors)
        values = [curve.values for curve in self.filters(distances)]
        return self.features(numbers, pairs, values, directions)

    def forward(self, numbers: Tensor, pairs: Tensor, vectors: Tensor) -> Tensor:
        """Energies (n_atoms,) of atoms, eV; parameters as for `describe`."""
        energies: Tensor = self.head(self.describe(numbers, pairs, vectors))
        return energies


class ForceField(nn.Module):
    """A network of energies, and what follows from it.

    Parameters
    ----------
    model : AtomModel
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

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Give the network's groups of layers.

        Returns
        -------
        list of list of Parameter
            From the elements to the energies.
        """
        return layer_groups(self.model)

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
        distances, directions = lengths_and_directions(Tensor(vectors.data))
        curves = self.model.filters(distances)
        with enable_grad():
            inputs = [
                _leaf_unless_recorded(entry) for entry in (*(c.values for c in curves), directions)
            ]
            features = self.model.features(numbers, pairs, inputs[:-1], inputs[-1])
            atom_energies = self.model.head(features)
            found = grad(
                sum_of(atom_energies), inputs, create_graph=self.training, retain_graph=True,
                allow_unused=True,
            )  # fmt: skip
            energies = segment_sum(atom_energies, structure_ids, num_segments=n)
        inputs[-1].requires_grad = False  # nobody asks how the loss depends on directions
        slope = _slope(found, curves, distances, directions)
        # Each pair's slope is added to its first atom and subtracted from its second.
        ones = np.ones((n_atoms, 3), slope.dtype)
        forces = pair_sum(Tensor(ones), slope, pairs, antisymmetric=True)
        if self.stress:
            outer = slope[:, :, None] * vectors[:, None, :]  # (pair, 3, 3)
            virial = segment_sum(outer, structure_ids.data[pairs.data[0]], num_segments=n)
            known = np.isfinite(volumes.data)[:, None, None]
            # Added, so that what is unknown gets no gradient: NaN times zero would be NaN.
            missing = np.where(known, 0, np.nan).astype(vectors.dtype)
            stresses = virial / np.where(known, volumes.data[:, None, None], 1) + missing
        else:
            stresses = Tensor(np.full((n, 3, 3), np.nan, vectors.dtype))
        return energies, forces, stresses, atom_energies, features


def _leaf_unless_recorded(x: Tensor) -> Tensor:
    return x if x.requires_grad else Tensor(x.data, requires_grad=True)


def _slope(
    found: Sequence[Tensor | None], curves: Sequence[Curve], distances: Tensor, directions: Tensor
) -> Tensor:
    """∂E/∂r (n_pairs, 3) from the derivatives of E by the filters' values and by the directions."""
    terms = [g * curve.slopes for g, curve in zip(found, curves, strict=False) if g is not None]
    along = sum_of(sum(terms[1:], terms[0]), axis=-1, keepdims=True)
    turning = found[-1]
    if turning is None:
        return along * directions
    across = turning - sum_of(turning * directions, axis=-1, keepdims=True) * directions
    return along * directions + across / distances


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
