"""Multilayer perceptron: linear layers with an activation, and maybe dropout, between them."""

from collections.abc import Sequence

from fieldgrad.engine import Tensor, nn
from fieldgrad.engine.errors import RecipeError, ShapeError, suggest

__all__ = ["ACTIVATIONS", "MLP"]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "leaky_relu": nn.LeakyReLU,
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
}


class MLP(nn.Module):
    """Linear layers one after the other; all but the last are activated.

    Parameters
    ----------
    sizes : sequence of int
        Features before the first layer and after each: ``(7, 100, 100, 2)`` is three layers.
    activation : str, default "relu"
        One of "elu", "gelu", "leaky_relu", "relu", "silu", "softplus", "tanh".
    dropout : float, default 0.0
        Probability with which an activated feature is left out while training.
    activate_last : bool, default False
        Activate the last layer too, where something other than the output follows.

    Raises
    ------
    ShapeError
        If there are fewer than two sizes.
    RecipeError
        If there is no such activation.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> net = MLP((7, 100, 2))
    >>> net(fg.zeros((4, 7))).shape, net.n_parameters()
    ((4, 2), 1002)
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        activation: str = "relu",
        dropout: float = 0.0,
        activate_last: bool = False,
    ) -> None:
        super().__init__()
        if len(sizes) < 2 or min(sizes) < 1:
            raise ShapeError(
                f"MLP: sizes = {tuple(sizes)}; expected the features before the first layer and "
                "after each, such as (7, 100, 2)."
            )
        if activation not in ACTIVATIONS:
            raise RecipeError(
                f"MLP: there is no activation {activation!r}{suggest(activation, ACTIVATIONS)}. "
                f"Activations: {', '.join(ACTIVATIONS)}."
            )
        n_layers = len(sizes) - 1
        layers: list[nn.Module] = []
        for i in range(n_layers):
            layers.append(nn.Linear(sizes[i], sizes[i + 1]))
            if i < n_layers - 1 or activate_last:
                layers.append(ACTIVATIONS[activation]())
                layers += [nn.Dropout(dropout)] if dropout else []
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Map x of shape (…, sizes[0]) to (…, sizes[-1])."""
        return self.layers(x)
