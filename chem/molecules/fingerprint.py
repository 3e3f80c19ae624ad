"""A feed-forward network on descriptors or fingerprints, without a graph."""

from __future__ import annotations

from fieldgrad.chem.molecules.dmpnn import Inputs
from fieldgrad.engine import Tensor, nn
from fieldgrad.engine.errors import RecipeError
from fieldgrad.shared_models import MLP

__all__ = ["FingerprintMLP"]


class FingerprintMLP(nn.Module):
    """Linear layers with ReLU between them.

    Parameters
    ----------
    n_outputs : int
        Size of the output.
    n_descriptors : int
        Size of the input.
    hidden_size : int, default 512
        Size of the hidden layers.
    n_layers : int, default 2
        Number of hidden layers.
    dropout : float, default 0.2
        Part of the hidden units that are dropped while training.

    Raises
    ------
    RecipeError
        If there are no descriptors.

    Examples
    --------
    >>> FingerprintMLP(1, n_descriptors=2048, hidden_size=10, n_layers=1).n_parameters()
    20501
    """

    def __init__(
        self,
        n_outputs: int,
        *,
        n_descriptors: int,
        hidden_size: int = 512,
        n_layers: int = 2,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        if n_descriptors == 0:
            raise RecipeError(
                "FingerprintMLP: there are no descriptors to work on. Set descriptors to 'morgan' "
                "or 'rdkit2d'."
            )
        sizes = [n_descriptors, *[hidden_size] * n_layers]
        self.body = MLP(sizes, dropout=dropout, activate_last=True)
        self.head = nn.Linear(sizes[-1], n_outputs)

    def fingerprint(self, x: Inputs) -> Tensor:
        """Give the molecules' learned vectors, before the last layer.

        Parameters
        ----------
        x : tuple of 5 Tensor
            A batch as for the D-MPNN; only the descriptors, (n_molecules, n_descriptors), matter.

        Returns
        -------
        Tensor
            Shape (n_molecules, hidden_size).
        """
        return self.body(x[-1])

    def forward(self, x: Inputs) -> Tensor:
        """Map a batch (see `fingerprint`) to (n_molecules, n_outputs)."""
        return self.head(self.fingerprint(x))
