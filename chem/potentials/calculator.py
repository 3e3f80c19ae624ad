"""A potential as ASE uses it: energies, forces and stresses of atoms that move step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fieldgrad.chem.potentials.graphs import Graph
from fieldgrad.chem.potentials.neighbors import NeighborList
from fieldgrad.chem.potentials.potential import Potential
from fieldgrad.chem.potentials.structures import to_voigt
from fieldgrad.engine.errors import DataError, FieldgradError, require

require("ase", extra="chem")  # the class below is one of ASE's
from ase.calculators.calculator import Calculator, all_changes  # noqa: E402

__all__ = ["PotentialCalculator"]


class PotentialCalculator(Calculator):  # type: ignore[misc]
    """ASE calculator of a potential, for optimizers, molecular dynamics and whatever else.

    Beside energy, forces, stress (of periodic cells) and energies of atoms, ``results`` holds
    ``energy_std`` and ``forces_std`` (n_atoms,) of a committee, and ``novelty`` (n_atoms,), above 1
    where an atom is unlike those of training: the potential extrapolates.

    Parameters
    ----------
    potential : Potential
        The potential.
    skin : float, default 0.5
        Å; see `NeighborList`.

    Attributes
    ----------
    n_extrapolations : int
        Structures computed so far with an atom unlike those of training.

    Examples
    --------
    >>> from ase.build import molecule
    >>> from fieldgrad.chem.potentials.references import References
    >>> from fieldgrad.chem.potentials.schnet import SchNet
    >>> settings = {"n_features": 8, "n_interactions": 1}
    >>> potential = Potential([SchNet(**settings)], "schnet", settings, References(), [1, 8])
    >>> water = molecule("H2O")
    >>> water.calc = PotentialCalculator(potential)
    >>> water.get_forces().shape, len(water.get_potential_energies())
    ((3, 3), 3)
    """

    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress"]  # noqa: RUF012
    ignored_changes = {"initial_charges", "initial_magmoms"}  # noqa: RUF012

    def __init__(self, potential: Potential, *, skin: float = 0.5) -> None:
        super().__init__()
        self.potential = potential
        self.n_extrapolations = 0
        self._neighbors = NeighborList(potential.cutoff, skin)

    def check_state(self, atoms: Any, tol: float = 1e-15) -> list[str]:
        """Tell what has changed since the last calculation.

        Parameters
        ----------
        atoms : ase.Atoms
            The structure.
        tol : float, default 1e-15
            Of ASE's own comparison, which takes longer than the network; here any change counts.

        Returns
        -------
        list of str
            ASE's names of what differs.
        """
        old = self.atoms
        if old is None:
            return list(all_changes)
        now = {
            "positions": (atoms.positions, old.positions),
            "numbers": (atoms.numbers, old.numbers),
            "cell": (atoms.cell.array, old.cell.array),
            "pbc": (atoms.pbc, old.pbc),
        }
        return [name for name, (a, b) in now.items() if not np.array_equal(a, b)]

    def calculate(
        self,
        atoms: Any = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Compute everything for atoms; ASE calls this.

        Parameters
        ----------
        atoms : ase.Atoms
            The structure.
        properties : sequence of str
            What is wanted; a stress is computed only if it is among them.
        system_changes : sequence of str
            What has changed; not used.

        Raises
        ------
        DataError
            If the potential does not know an element, a position is not finite, or a stress is
            wanted of atoms that are not periodic in three directions.
        """
        super().calculate(atoms, properties, system_changes)
        numbers = self.atoms.get_atomic_numbers().astype(np.int64)
        if "numbers" in system_changes:
            self.potential.check(numbers)
        cell, pbc = self.atoms.cell.array, self.atoms.pbc
        volume = abs(np.linalg.det(cell)) if pbc.all() else np.nan
        wants_stress = "stress" in properties
        if wants_stress and not volume > 0:
            raise DataError(
                f"a stress was asked for, but the cell is periodic in {int(pbc.sum())} directions; "
                "expected 3. Set pbc=True and a cell, or ask for energy and forces only."
            )
        pairs = self._neighbors(self.atoms.positions, cell, pbc)
        dtype = self.potential.dtype
        graph = Graph(
            numbers,
            np.zeros(len(numbers), np.int64),
            pairs.atoms,
            pairs.vectors.astype(dtype),
            np.array([volume], dtype),
        )
        energies, forces, stresses, atom_energies, energy_std, forces_std, novelty = (
            self.potential.evaluate(graph, stress=wants_stress)
        )
        if not np.isfinite(energies[0]):
            raise FieldgradError(
                f"the potential gives an energy of {energies[0]}: atoms came too near to each "
                "other, or flew apart.\nUse a smaller time step, or train on such structures."
            )
        self.n_extrapolations += bool((novelty > 1.0).any())
        self.results = {
            "energy": float(energies[0]),
            "free_energy": float(energies[0]),
            "energies": atom_energies,
            "forces": forces,
            "novelty": novelty,
        }
        if len(self.potential.networks) > 1:
            self.results |= {"energy_std": float(energy_std[0]), "forces_std": forces_std}
        if wants_stress:
            self.results["stress"] = to_voigt(stresses[0])
