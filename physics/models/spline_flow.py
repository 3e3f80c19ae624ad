"""A normalizing flow of coupling layers with rational-quadratic splines.

References
----------
Durkan, Bekasov, Murray, Papamakarios, "Neural spline flows", NeurIPS 2019, arXiv:1906.04032,
section 3.1 and appendix A.1.
Dinh, Sohl-Dickstein, Bengio, "Density estimation using Real NVP", ICLR 2017, arXiv:1605.08803:
coupling layers.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine import (
    Tensor,
    clip,
    concat,
    cumsum,
    log,
    nn,
    ones,
    softmax,
    softplus,
    sqrt,
    sum,
    take_along_axis,
    where,
    zeros,
)
from fieldgrad.engine.errors import ShapeError
from fieldgrad.shared_models import MLP

__all__ = ["SplineFlow", "spline"]

LEAST = 1e-3  # width and height of a bin, of the whole, and slope at a knot
UNIT_SLOPE = math.log(math.expm1(1 - LEAST))  # what softplus maps to a slope of 1


def spline(
    x: Tensor, parameters: Tensor, *, bound: float = 4.0, inverse: bool = False
) -> tuple[Tensor, Tensor]:
    """A rising piecewise rational-quadratic function from [-bound, bound] to itself.

    Parameters
    ----------
    x : Tensor
        Shape (n, dims); outside of the interval it is left as it is.
    parameters : Tensor
        Shape (n, dims, 3 K - 1) for K bins: logits of their widths and heights, then slopes at the
        inner knots before a softplus. Zeros make it the identity.
    bound : float, default 4
        Of the interval.
    inverse : bool, default False
        Give the inverse function.

    Returns
    -------
    y : Tensor
        Shape (n, dims).
    log_slope : Tensor
        Shape (n, dims): ln dy/dx.

    References
    ----------
    Durkan et al., "Neural spline flows", arXiv:1906.04032, eqs. 4 to 8.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> x = fg.tensor([[-5.0, 0.3]])
    >>> y, log_slope = spline(x, fg.zeros((1, 2, 11)))
    >>> y.numpy().round(3), bool(abs(log_slope.numpy()).max() < 1e-5)
    (array([[-5. ,  0.3]], dtype=float32), True)
    """
    n_bins = (parameters.shape[-1] + 1) // 3
    widths, heights = (
        2 * bound * (LEAST + (1 - LEAST * n_bins) * softmax(logits, axis=-1))
        for logits in (parameters[..., :n_bins], parameters[..., n_bins : 2 * n_bins])
    )
    edge = ones((*x.shape, 1), dtype=x.dtype)
    inner = LEAST + softplus(parameters[..., 2 * n_bins :] + UNIT_SLOPE)
    slopes = concat([edge, inner, edge], axis=-1)
    start = zeros((*x.shape, 1), dtype=x.dtype)
    left, low = (
        concat([start, cumsum(sizes, axis=-1)], axis=-1) - bound for sizes in (widths, heights)
    )
    inside = np.abs(np.asarray(x)) < bound
    t = where(inside, x, 0.0)
    knots = np.asarray(low if inverse else left)[..., 1:-1]
    place = (np.asarray(t)[..., None] >= knots).sum(axis=-1, keepdims=True)

    def here(values: Tensor, offset: int = 0) -> Tensor:
        return take_along_axis(values, place + offset, axis=-1)[..., 0]

    w, h, x_0, y_0 = here(widths), here(heights), here(left), here(low)
    d_0, d_1 = here(slopes), here(slopes, 1)
    s = h / w
    bend = d_0 + d_1 - 2 * s
    if inverse:
        rise = t - y_0
        a = h * (s - d_0) + rise * bend
        b = h * d_0 - rise * bend
        c = -s * rise
        root = 2 * c / (-b - sqrt(clip(b * b - 4 * a * c, 0.0)))
        y = x_0 + root * w
    else:
        root = (t - x_0) / w
        y = y_0 + h * (s * root * root + d_0 * root * (1 - root)) / (s + bend * root * (1 - root))
    rest = 1 - root
    slope = s * s * (d_1 * root * root + 2 * s * root * rest + d_0 * rest * rest)
    log_slope = log(slope) - 2 * log(s + bend * root * rest)
    if inverse:
        log_slope = -log_slope
    return where(inside, y, x), where(inside, log_slope, 0.0)


class SplineFlow(nn.Module):
    """A density that can be drawn from: layers of splines whose shape depends on other features.

    Each layer moves half of the features by `spline`, with parameters that a perceptron makes of
    the other half and of the context; halves change from layer to layer.

    Parameters
    ----------
    n_features : int
        Features of an example, at least 2, standardized to numbers of order 1.
    n_context : int, default 0
        Features that the density depends on, such as a class or an energy.
    n_layers : int, default 6
        Number of layers.
    n_bins : int, default 8
        Bins of a spline.
    hidden : sequence of int, default (64, 64)
        Features after each hidden layer of the perceptrons.
    bound : float, default 4
        Splines reach from -bound to bound; outside, features are left as they are.

    Raises
    ------
    ShapeError
        If there are fewer than two features.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> flow = SplineFlow(3)
    >>> flow(fg.zeros((5, 3))).shape, flow.sample(4, np.random.default_rng(0)).shape
    ((5,), (4, 3))
    """

    def __init__(
        self,
        n_features: int,
        *,
        n_context: int = 0,
        n_layers: int = 6,
        n_bins: int = 8,
        hidden: Sequence[int] = (64, 64),
        bound: float = 4.0,
    ) -> None:
        super().__init__()
        if n_features < 2:
            raise ShapeError(f"SplineFlow: n_features is {n_features}; expected at least 2.")
        self.n_features, self.n_bins, self.bound = n_features, n_bins, bound
        self.moved = [_half(n_features, layer) for layer in range(n_layers)]
        networks = []
        for moved in self.moved:
            n_kept = n_features - moved.size
            network = MLP((n_kept + n_context, *hidden, moved.size * (3 * n_bins - 1)))
            last = [layer for layer in network.layers if isinstance(layer, nn.Linear)][-1]
            last.weight.assign(0.1 * np.asarray(last.weight))  # begin near the identity
            networks.append(network)
        self.networks = nn.ModuleList(networks)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Logarithm of the density.

        Parameters
        ----------
        x : Tensor
            Shape (n, n_features).
        context : Tensor, optional
            Shape (n, n_context).

        Returns
        -------
        Tensor
            Shape (n,).
        """
        total = zeros((x.shape[0],), dtype=x.dtype)
        for moved, network in zip(self.moved, self.networks, strict=True):
            x, log_slope = self._move(x, context, moved, network, inverse=False)
            total = total + sum(log_slope, axis=1)
        normal = -0.5 * sum(x * x, axis=1) - 0.5 * self.n_features * math.log(2 * math.pi)
        return normal + total

    def sample(
        self, n: int, rng: np.random.Generator, context: Tensor | None = None
    ) -> NDArray[np.float32]:
        """Draw examples.

        Parameters
        ----------
        n : int
            How many.
        rng : numpy.random.Generator
            Source of randomness.
        context : Tensor, optional
            Shape (n, n_context).

        Returns
        -------
        ndarray of float32, shape (n, n_features)
            The examples.
        """
        x = Tensor(rng.normal(size=(n, self.n_features)).astype(np.float32))
        for moved, network in zip(self.moved[::-1], list(self.networks)[::-1], strict=True):
            x, _ = self._move(x, context, moved, network, inverse=True)
        return np.asarray(x)

    def _move(
        self,
        x: Tensor,
        context: Tensor | None,
        moved: NDArray[np.int64],
        network: nn.Module,
        *,
        inverse: bool,
    ) -> tuple[Tensor, Tensor]:
        kept = np.setdiff1d(np.arange(self.n_features), moved)
        known = x[:, kept] if context is None else concat([x[:, kept], context], axis=1)
        shape = (x.shape[0], moved.size, 3 * self.n_bins - 1)
        parameters = network(known).reshape(shape)
        y, log_slope = spline(x[:, moved], parameters, bound=self.bound, inverse=inverse)
        order = np.argsort(np.concatenate([kept, moved]))
        return concat([x[:, kept], y], axis=1)[:, order], log_slope


def _half(n_features: int, layer: int) -> NDArray[np.int64]:
    """Which features a layer moves; each pair of layers moves all, split in ever other ways."""
    order = np.random.default_rng(layer // 2).permutation(n_features)
    half = n_features // 2
    return np.sort(order[:half] if layer % 2 else order[half:])
