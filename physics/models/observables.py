"""A perceptron on observables of the jet as a whole: the network beside boosted trees."""

from collections.abc import Mapping, Sequence

from fieldgrad.engine import Tensor, nn
from fieldgrad.shared_models import MLP

__all__ = ["ObservablesMLP"]


class ObservablesMLP(nn.Module):
    """Logits from mass, N-subjettiness, multiplicity and whatever else describes the whole jet.

    Parameters
    ----------
    n_observables : int
        Observables of a jet.
    n_outputs : int
        Classes, or values to regress.
    hidden : sequence of int, default (64, 64)
        Features after each hidden layer.
    dropout : float, default 0.0
        While training.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> net = ObservablesMLP(10, 2)
    >>> net({"observables": fg.zeros((3, 10))}).shape
    (3, 2)
    """

    inputs = ("observables",)

    def __init__(
        self,
        n_observables: int,
        n_outputs: int,
        *,
        hidden: Sequence[int] = (64, 64),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.layers = MLP((n_observables, *hidden, n_outputs), dropout=dropout)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Map a batch to (n_jets, n_outputs)."""
        return self.layers(batch["observables"])
