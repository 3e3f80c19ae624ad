"""Energy flow networks: a jet is a sum over its constituents.

References
----------
Komiske, Metodiev, Thaler, "Energy flow networks: deep sets for particle jets", JHEP 01 (2019) 121,
arXiv:1810.05165, eqs. 1.1 (EFN) and 1.2 (PFN); sizes as in section 3.3 and as used for the top
tagging comparison, arXiv:1902.09914, section 3.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from fieldgrad.engine import Tensor, asinh, atan2, gather, nn, segment_sum, sqrt, stack
from fieldgrad.shared_models import DeepSets
from fieldgrad.shared_models.ragged import segment_ids

__all__ = ["EFN", "PFN"]


class PFN(nn.Module):
    """Particle flow network, F(Σ_i Φ(p_i)).

    Parameters
    ----------
    in_features : int
        Features of a constituent.
    n_outputs : int
        Classes, or values to regress.
    n_observables : int, default 0
        Observables of the jet, which join the sum.
    phi : sequence of int, default (100, 100, 256)
        Features after each layer of Φ.
    f : sequence of int, default (100, 100, 100)
        Features after each hidden layer of F.
    dropout : float, default 0.0
        In F, while training.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> net = PFN(7, 2)
    >>> net.n_parameters()
    82858
    >>> net({"features": fg.zeros((5, 7)), "offsets": fg.tensor([0, 3, 5])}).shape
    (2, 2)
    """

    inputs = ("features",)

    def __init__(
        self,
        in_features: int,
        n_outputs: int,
        *,
        n_observables: int = 0,
        phi: Sequence[int] = (100, 100, 256),
        f: Sequence[int] = (100, 100, 100),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.sets = DeepSets(
            in_features, n_outputs, phi=phi, f=f, n_observables=n_observables, dropout=dropout
        )

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Map a batch to (n_jets, n_outputs)."""
        return self.sets(batch["features"], batch["offsets"], observables=batch.get("observables"))


class EFN(nn.Module):
    """Energy flow network, F(Σ_i z_i Φ(η_i, φ_i)): safe from soft and collinear emissions.

    The four-vectors are its only input. A constituent counts by its share z of the transverse
    momentum and Φ sees its direction to the jet axis alone, so a constituent without energy, or
    one split into two of the same direction, changes nothing, whatever the weights are.

    Parameters
    ----------
    n_outputs : int
        Classes, or values to regress.
    n_observables : int, default 0
        Observables of the jet, which join the sum; for the network to stay safe they must be.
    phi : sequence of int, default (100, 100, 256)
        Features after each layer of Φ.
    f : sequence of int, default (100, 100, 100)
        Features after each hidden layer of F.
    dropout : float, default 0.0
        In F, while training.

    Notes
    -----
    z_i = pt_i / Σ pt. The jet axis is that of the sum of all four-vectors. The angle around the
    beam is taken between the two transverse momenta, so it needs no wrapping.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> net = EFN(2)
    >>> p = fg.tensor([[5.0, 3, 0, 4], [5.0, 3, 0.1, 4], [2.0, 0, 2, 0]])
    >>> net({"vectors": p, "offsets": fg.tensor([0, 2, 3])}).shape
    (2, 2)
    """

    inputs = ("vectors",)

    def __init__(
        self,
        n_outputs: int,
        *,
        n_observables: int = 0,
        phi: Sequence[int] = (100, 100, 256),
        f: Sequence[int] = (100, 100, 100),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.sets = DeepSets(
            2, n_outputs, phi=phi, f=f, n_observables=n_observables, dropout=dropout
        )

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Map a batch to (n_jets, n_outputs)."""
        vectors, offsets = batch["vectors"], np.asarray(batch["offsets"])
        ids, n_jets = segment_ids(offsets, vectors.shape[0]), offsets.size - 1
        px, py, pz = vectors[:, 1], vectors[:, 2], vectors[:, 3]
        pt = sqrt(px * px + py * py)
        axis = gather(segment_sum(vectors, ids, num_segments=n_jets), ids)  # of each constituent
        ax, ay, az = axis[:, 1], axis[:, 2], axis[:, 3]
        d_eta = asinh(pz / pt) - asinh(az / sqrt(ax * ax + ay * ay))
        d_phi = atan2(ax * py - ay * px, ax * px + ay * py)
        z = pt / gather(segment_sum(pt, ids, num_segments=n_jets), ids)
        return self.sets(
            stack([d_eta, d_phi], axis=1), offsets, z=z, observables=batch.get("observables")
        )
