"""ParticleNet: a jet is a cloud of particles, of which each looks at its nearest neighbors.

References
----------
Qu, Gouskos, "ParticleNet: jet tagging via particle clouds", Physical Review D 101 (2020) 056019,
arXiv:1902.08570, fig. 2 and section 3.2.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fieldgrad.engine import Tensor, concat, nn, segment_mean
from fieldgrad.engine.errors import ShapeError
from fieldgrad.shared_models import MLP, EdgeConv
from fieldgrad.shared_models.ragged import segment_ids

__all__ = ["ParticleNet", "ParticleNetLite"]


class ParticleNet(nn.Module):
    """EdgeConv blocks, the mean over the constituents, and a perceptron.

    Neighbors are near in angle for the first block and in the space of the features after it.

    Parameters
    ----------
    in_features : int
        Features of a constituent.
    n_outputs : int
        Classes, or values to regress.
    n_observables : int, default 0
        Observables of the jet, which join the mean.
    k : sequence of int, default (16, 16, 16)
        Neighbors in each block.
    widths : sequence of sequence of int, default ((64, 64, 64), (128, 128, 128), (256, 256, 256))
        Features after each layer of each block.
    hidden : sequence of int, default (256,)
        Features after each hidden layer of the perceptron.
    dropout : float, default 0.1
        In the perceptron, while training.

    Raises
    ------
    ShapeError
        If k and widths are not of equal length.

    Notes
    -----
    Nothing is padded: neighbors, batch statistics and means are those of real constituents. A
    constituent of a jet with fewer than k others has fewer neighbors, while the reference
    implementation then averages over padding too.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> ParticleNet(7, 2).n_parameters()
    366160
    """

    inputs = ("features", "points")

    def __init__(
        self,
        in_features: int,
        n_outputs: int,
        *,
        n_observables: int = 0,
        k: Sequence[int] = (16, 16, 16),
        widths: Sequence[Sequence[int]] = ((64, 64, 64), (128, 128, 128), (256, 256, 256)),
        hidden: Sequence[int] = (256,),
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if len(k) != len(widths) or not k:
            raise ShapeError(
                f"ParticleNet: k = {tuple(k)} is for {len(k)} blocks, widths for {len(widths)}; "
                "expected one entry of each for every block."
            )
        self.norm = nn.BatchNorm(in_features)
        blocks, width = [], in_features
        for n_neighbors, sizes in zip(k, widths, strict=True):
            blocks.append(EdgeConv(width, sizes, n_neighbors))
            width = sizes[-1]
        self.blocks = nn.ModuleList(blocks)
        self.head = MLP((width + n_observables, *hidden, n_outputs), dropout=dropout)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Map a batch to (n_jets, n_outputs)."""
        offsets = np.asarray(batch["offsets"])
        x, points = self.norm(batch["features"]), batch["points"]
        for block in self.blocks:
            points = x = block(x, points, offsets)  # (constituent, width)
        ids = segment_ids(offsets, x.shape[0])
        x = segment_mean(x, ids, num_segments=offsets.size - 1)
        if "observables" in batch:
            x = concat([x, batch["observables"]], axis=1)
        return self.head(x)


class ParticleNetLite(ParticleNet):
    """ParticleNet with two small blocks, for an ordinary processor.

    Parameters
    ----------
    in_features : int
        Features of a constituent.
    n_outputs : int
        Classes, or values to regress.
    n_observables : int, default 0
        Observables of the jet, which join the mean.
    k : sequence of int, default (7, 7)
        Neighbors in each block.
    widths : sequence of sequence of int, default ((32, 32, 32), (64, 64, 64))
        Features after each layer of each block.
    hidden : sequence of int, default (128,)
        Features after each hidden layer of the perceptron.
    dropout : float, default 0.1
        In the perceptron, while training.

    Examples
    --------
    >>> ParticleNetLite(7, 2).n_parameters()
    26416
    """

    def __init__(
        self,
        in_features: int,
        n_outputs: int,
        *,
        n_observables: int = 0,
        k: Sequence[int] = (7, 7),
        widths: Sequence[Sequence[int]] = ((32, 32, 32), (64, 64, 64)),
        hidden: Sequence[int] = (128,),
        dropout: float = 0.1,
    ) -> None:
        settings: dict[str, Any] = {"k": k, "widths": widths, "hidden": hidden}
        super().__init__(
            in_features, n_outputs, n_observables=n_observables, dropout=dropout, **settings
        )
