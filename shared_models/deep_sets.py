"""Deep Sets: a function of each element, a sum over the set, a function of the sum.

References
----------
Zaheer, Kottur, Ravanbakhsh, Póczos, Salakhutdinov, Smola, "Deep Sets", NeurIPS 2017,
arXiv:1703.06114, theorem 2.
"""

from collections.abc import Sequence

import numpy as np

from fieldgrad.engine import Tensor, concat, nn, segment_sum
from fieldgrad.engine.op import TensorLike
from fieldgrad.shared_models.mlp import MLP
from fieldgrad.shared_models.ragged import segment_ids

__all__ = ["DeepSets"]


class DeepSets(nn.Module):
    """F(Σ_i z_i Φ(x_i)) with perceptrons Φ and F: no order of the elements, any number of them.

    Parameters
    ----------
    in_features : int
        Features of an element.
    n_outputs : int
        Outputs for a set.
    phi : sequence of int, default (100, 100, 256)
        Features after each layer of Φ; the last is the size of the sum. All are activated.
    f : sequence of int, default (100, 100, 100)
        Features after each hidden layer of F.
    n_observables : int, default 0
        Inputs for the set as a whole, which join the sum.
    activation : str, default "relu"
        See `MLP`.
    dropout : float, default 0.0
        In F, while training.

    Examples
    --------
    Two sets, of two elements and of one:

    >>> import fieldgrad.engine as fg
    >>> net = DeepSets(7, 2)
    >>> net(fg.zeros((3, 7)), [0, 2, 3]).shape, net.n_parameters()
    ((2, 2), 82858)
    """

    def __init__(
        self,
        in_features: int,
        n_outputs: int,
        *,
        phi: Sequence[int] = (100, 100, 256),
        f: Sequence[int] = (100, 100, 100),
        n_observables: int = 0,
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.phi = MLP((in_features, *phi), activation=activation, activate_last=True)
        self.f = MLP(
            (phi[-1] + n_observables, *f, n_outputs), activation=activation, dropout=dropout
        )

    def forward(
        self,
        x: Tensor,
        offsets: TensorLike,
        z: Tensor | None = None,
        observables: Tensor | None = None,
    ) -> Tensor:
        """Outputs for each set.

        Parameters
        ----------
        x : Tensor
            Shape (n_elements, in_features): the elements of all sets, end to end.
        offsets : array_like of int, shape (n_sets + 1,)
            Where each set begins.
        z : Tensor, optional
            Shape (n_elements,): weight of each element in the sum; default 1.
        observables : Tensor, optional
            Shape (n_sets, n_observables).

        Returns
        -------
        Tensor
            Shape (n_sets, n_outputs).
        """
        ids = segment_ids(np.asarray(offsets), x.shape[0])
        latent = self.phi(x)  # (element, phi[-1])
        if z is not None:
            latent = latent * z[:, None]
        total = segment_sum(latent, ids, num_segments=np.size(offsets) - 1)  # (set, phi[-1])
        return self.f(total if observables is None else concat([total, observables], axis=1))
