"""The Potential: trained networks with everything needed to use them on structures as they come.

A model file holds the weights and, as text, settings, reference energies, elements and what
training structures looked like. Nothing else is needed to use it, and reading it runs no code.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.chem.potentials.domain import Domain
from fieldgrad.chem.potentials.forcefield import ForceField
from fieldgrad.chem.potentials.graphs import Graph, PairData
from fieldgrad.chem.potentials.painn import PaiNN
from fieldgrad.chem.potentials.references import References
from fieldgrad.chem.potentials.schnet import SchNet
from fieldgrad.chem.potentials.structures import Structures, symbols_of
from fieldgrad.engine import Tensor, nn, no_grad
from fieldgrad.engine.errors import DataError, suggest
from fieldgrad.engine.model_file import ModelFile

__all__ = ["MODELS", "Potential", "Prediction", "with_dtype"]

MODEL_FILE = ModelFile("fieldgrad.chem.Potential", "potential", "fieldgrad chem train-potential")
MODELS: dict[str, Any] = {"schnet": SchNet, "painn": PaiNN}


@dataclass(frozen=True)
class Prediction:
    """What a potential says about structures.

    Parameters
    ----------
    structures : Structures
        The structures with predicted energies, forces and (if asked for) stresses.
    atom_energies : ndarray of float64, shape (n_atoms,)
        In eV; a structure's add up to its energy.
    energy_std : ndarray of float64, shape (n_structures,)
        Standard deviation between the networks of a committee, eV; NaN for a single one.
    forces_std : ndarray of float64, shape (n_atoms,)
        The same of each atom's force, as a vector, eV/Å.
    novelty : ndarray of float64, shape (n_atoms,)
        How far an atom's surroundings are from those of training, 1 for the farthest of these.
    """

    structures: Structures
    atom_energies: NDArray[np.float64]
    energy_std: NDArray[np.float64]
    forces_std: NDArray[np.float64]
    novelty: NDArray[np.float64]

    @property
    def extrapolates(self) -> NDArray[np.bool_]:
        """Whether a structure has an atom that is unlike those of training."""
        ids = self.structures.structure_ids
        strange = np.bincount(ids, ~(self.novelty <= 1.0), minlength=len(self.structures))
        return strange > 0


class Potential:
    """Networks that give the energy of structures, its derivatives, and how sure they are.

    Parameters
    ----------
    networks : sequence of Module
        One, or several trained alike from different weights: a committee, whose mean is given.
    model : str
        "schnet" or "painn".
    settings : mapping
        The keyword arguments the networks were built with, to build them again.
    references : References
        What is added to their energies.
    elements : sequence of int
        Atomic numbers the potential was trained on.
    domain : Domain, optional
        What the surroundings of atoms looked like in training.
    stress : bool, default False
        Whether it was trained on periodic structures, so that stresses are given.
    about : mapping of str to str, optional
        What the potential was trained on and how, in words, for its users.

    Examples
    --------
    >>> from fieldgrad.chem.potentials.structures import empty
    >>> settings = {"n_features": 8, "n_interactions": 1}
    >>> potential = Potential([SchNet(**settings)], "schnet", settings, References(), [1, 8])
    >>> water = empty(1, np.array([8, 1, 1]))
    >>> water.positions[:] = [[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]]
    >>> found = potential.predict(water)
    >>> found.structures.forces.shape, bool(np.allclose(found.structures.forces.sum(axis=0), 0))
    ((3, 3), True)
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        model: str,
        settings: Mapping[str, Any],
        references: References,
        elements: Sequence[int],
        domain: Domain | None = None,
        *,
        stress: bool = False,
        about: Mapping[str, str] | None = None,
    ) -> None:
        self.networks = list(networks)
        self.model = model
        self.settings = dict(settings)
        self.references = references
        self.elements = sorted(elements)
        self.domain = domain
        self.stress = stress
        self.about = dict(about or {})

    @property
    def cutoff(self) -> float:
        """Distance up to which atoms see each other in one exchange of messages, Å."""
        cutoff: float = self.networks[0].cutoff  # type: ignore[attr-defined]
        return cutoff

    @property
    def dtype(self) -> np.dtype[Any]:
        """Precision of the weights."""
        network: Any = self.networks[0]
        return np.dtype(network.embedding.weight.dtype)

    def check(self, numbers: NDArray[np.int64], source: str = "") -> None:
        """Refuse elements that the potential has never seen.

        Parameters
        ----------
        numbers : ndarray of int64
            Atomic numbers.
        source : str, default ""
            Where they are from, for the message.

        Raises
        ------
        DataError
            If there is one.
        """
        strange = sorted(set(np.unique(numbers).tolist()) - set(self.elements))
        if strange:
            where = f"{source} has" if source else "there are"
            raise DataError(
                f"{where} atoms of {', '.join(symbols_of(strange))}, which this potential was "
                f"never trained on; it knows {', '.join(symbols_of(self.elements))}. Train it on "
                "structures with them, or leave them out."
            )

    def predict(
        self, structures: Structures, *, batch_size: int = 32, stress: bool | None = None
    ) -> Prediction:
        """Compute energies, forces and stresses.

        Parameters
        ----------
        structures : Structures
            Positions in Å.
        batch_size : int, default 32
            Structures at a time.
        stress : bool, optional
            Whether to compute stresses; by default if trained on periodic structures.

        Returns
        -------
        Prediction
            In eV and Å, total energies as those of the training data.

        Raises
        ------
        DataError
            If an element is unknown to the potential, or atoms coincide.
        """
        self.check(structures.numbers, structures.source)
        data = PairData(structures, self.cutoff, dtype=self.dtype)
        parts = [
            self.evaluate(
                data.batch(range(start, min(start + batch_size, len(data))))[0], stress=stress
            )
            for start in range(0, len(data), batch_size)
        ]
        energies, forces, stresses, atoms, energy_std, forces_std, novelty = (
            np.concatenate(column) for column in zip(*parts, strict=True)
        )
        return Prediction(
            structures.with_results(energies, forces, stresses), atoms, energy_std, forces_std,
            novelty,
        )  # fmt: skip

    def evaluate(
        self, graph: Graph, *, stress: bool | None = None
    ) -> tuple[NDArray[np.float64], ...]:
        """Compute the same for a graph, as `predict` and the calculator need it.

        Parameters
        ----------
        graph : Graph of arrays
            Structures, with pairs up to the cutoff.
        stress : bool, optional
            Whether to compute stresses.

        Returns
        -------
        tuple of ndarray of float64
            Energies (n_structures,), forces (n_atoms, 3), stresses (n_structures, 3, 3), energies
            of atoms, standard deviations of energies and of forces, novelties of atoms.
        """
        tensors = Graph(*(Tensor(entry) for entry in graph))
        found = []
        for network in self.networks:
            field = ForceField(network, stress=self.stress if stress is None else stress)
            field.training = False  # of this module alone: its networks have no other mode
            with no_grad():
                found.append([entry.numpy().astype(np.float64) for entry in field(tensors)])
        features = found[0][-1]  # of the first network
        energies, forces, stresses, atoms = (
            np.stack(column) for column in list(zip(*found, strict=True))[:-1]
        )
        atom_energies = atoms.mean(axis=0) + self.references.of_atoms(graph.numbers)
        ids, n = graph.structure_ids, len(graph.volumes)
        if len(self.networks) > 1:
            energy_std = energies.std(axis=0, ddof=1)
            forces_std = np.sqrt(((forces - forces.mean(axis=0)) ** 2).sum(axis=(0, 2)) /
                                 (len(self.networks) - 1))  # fmt: skip
        else:
            energy_std, forces_std = np.full(n, np.nan), np.full(len(ids), np.nan)
        return (
            # Summed in float64, with the references, so that no digit of a large total is lost.
            np.bincount(ids, atom_energies, minlength=n).astype(np.float64),
            forces.mean(axis=0),
            stresses.mean(axis=0),
            atom_energies,
            energy_std,
            forces_std,
            np.full(len(ids), np.nan)
            if self.domain is None
            else self.domain.novelty(graph.numbers, features),
        )

    def describe(self, graph: Graph) -> NDArray[np.float64]:
        """Give the first network's description of each atom.

        Parameters
        ----------
        graph : Graph of Tensor
            Structures.

        Returns
        -------
        ndarray of float64, shape (n_atoms, n_features)
            What its energy is computed from.
        """
        network: Any = self.networks[0]
        with no_grad():
            found = network.describe(graph.numbers, graph.pairs, graph.vectors)
        return np.asarray(found.numpy(), np.float64)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model file, whole or not at all.

        Parameters
        ----------
        path : str or os.PathLike
            The .safetensors file.

        Raises
        ------
        FileError
            If the file cannot be written.
        """
        description = {
            "model": self.model,
            "settings": self.settings,
            "n_networks": len(self.networks),
            "references": asdict(self.references),
            "elements": self.elements,
            "stress": self.stress,
            "about": self.about,
        }
        arrays = {
            f"network{k}.{name}": array
            for k, network in enumerate(self.networks)
            for name, array in network.state_dict().items()
        }
        if self.domain is not None:
            arrays |= {f"domain.{name}": array for name, array in self.domain.arrays().items()}
        MODEL_FILE.write(path, arrays, description)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, dtype: Any = np.float32) -> Potential:
        """Read a model file.

        Parameters
        ----------
        path : str or os.PathLike
            File that `save` wrote.
        dtype : numpy dtype, default float32
            Precision to compute with; float64 is about half as fast.

        Returns
        -------
        Potential
            Ready to `predict`.

        Raises
        ------
        FileError
            If the file is missing, damaged, or no potential.
        """
        with MODEL_FILE.read(path) as (arrays, description):
            settings, model = description["settings"], description["model"]
            networks = []
            for k in range(description["n_networks"]):
                network = build(model, settings)
                network.load_state_dict(_part(arrays, f"network{k}."))
                networks.append(with_dtype(network, dtype))
            given = description["references"]
            references = References(
                {int(number): energy for number, energy in given["energies"].items()},
                given["shift"],
                given["method"],
            )
            domain = Domain.from_arrays(_part(arrays, "domain."))
            return cls(
                networks, model, settings, references, description["elements"], domain,
                stress=description["stress"], about=description["about"],
            )  # fmt: skip


def build(model: str, settings: Mapping[str, Any]) -> nn.Module:
    """Make an untrained network.

    Parameters
    ----------
    model : str
        "schnet" or "painn".
    settings : mapping
        Its keyword arguments.

    Returns
    -------
    Module
        With new random weights.

    Raises
    ------
    DataError
        If there is no such network.
    """
    if model not in MODELS:
        raise DataError(
            f"there is no network {model!r}{suggest(model, MODELS) or '.'} "
            f"Networks: {', '.join(MODELS)}."
        )
    network: nn.Module = MODELS[model](**settings)
    return network


def with_dtype(network: nn.Module, dtype: Any) -> nn.Module:
    """Change the precision of a network's weights, in place.

    Parameters
    ----------
    network : Module
        The network.
    dtype : numpy dtype
        Either float32 or float64.

    Returns
    -------
    Module
        The same network.
    """
    for _, module in network.named_modules():
        for name, value in list(vars(module).items()):
            if isinstance(value, nn.Parameter):
                setattr(module, name, nn.Parameter(value.data.astype(dtype)))
    return network


def _part(arrays: Mapping[str, NDArray[Any]], start: str) -> dict[str, NDArray[Any]]:
    return {key[len(start) :]: array for key, array in arrays.items() if key.startswith(start)}
