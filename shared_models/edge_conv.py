"""EdgeConv: a function of each point and its difference to its neighbors, averaged over them.

References
----------
Wang, Sun, Liu, Sarma, Bronstein, Solomon, "Dynamic graph CNN for learning on point clouds", ACM
Transactions on Graphics 38 (2019) 146, arXiv:1801.07829, section 3.1.
Qu, Gouskos, "ParticleNet: jet tagging via particle clouds", Physical Review D 101 (2020) 056019,
arXiv:1902.08570, fig. 1: three layers with batch normalization, mean over the neighbors, shortcut.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine import Tensor, gather, knn, linear, mean, nn, relu, reshape, segment_mean
from fieldgrad.engine.errors import ShapeError

__all__ = ["EdgeConv"]


class EdgeConv(nn.Module):
    """mean_j h(x_i, x_j - x_i) over the k nearest neighbors j of i, plus a shortcut, then ReLU.

    Parameters
    ----------
    in_features : int
        Features of a point.
    widths : sequence of int
        Features after each layer of h; each is a linear layer without offset, batch normalization
        and ReLU.
    k : int
        Number of neighbors, the point itself not counted. Where a cloud has fewer points, those
        there are.

    Notes
    -----
    The first layer is linear in both of its inputs, so it is applied to points and not to edges:
    W·[x_i, x_j - x_i] = (W_1 - W_2) x_i + W_2 x_j, which saves k times the work.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> block = EdgeConv(7, (32, 32, 32), k=2)
    >>> x, offsets = fg.random.normal((5, 7)), [0, 3, 5]
    >>> block(x, x[:, :2], offsets).shape, block.n_parameters()
    ((5, 32), 2976)
    """

    def __init__(self, in_features: int, widths: Sequence[int], k: int) -> None:
        super().__init__()
        if not widths:
            raise ShapeError("EdgeConv: widths is empty; expected the features after each layer.")
        self.k = k
        self.first = nn.Parameter(nn.init.uniform_fan_in((widths[0], 2 * in_features)))
        self.layers = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in pairwise(widths))
        # The ReLU after each is part of the normalization, where it costs nothing.
        self.norms = nn.ModuleList(nn.BatchNorm(width, negative_slope=0.0) for width in widths)
        same = in_features == widths[-1]
        self.shortcut = None if same else nn.Linear(in_features, widths[-1], bias=False)
        self.shortcut_norm = None if same else nn.BatchNorm(widths[-1])

    def forward(self, x: Tensor, points: Tensor, offsets: NDArray[np.int64]) -> Tensor:
        """New features of each point.

        Parameters
        ----------
        x : Tensor
            Shape (n_points, in_features): the points of all clouds, end to end.
        points : Tensor
            Shape (n_points, dims): coordinates in which neighbors are near.
        offsets : ndarray of int, shape (n_clouds + 1,)
            Where each cloud begins.

        Returns
        -------
        Tensor
            Shape (n_points, widths[-1]).
        """
        index = np.asarray(knn(points.detach(), k=self.k, offsets=offsets))  # (point, k)
        w_1, w_2 = self.first[:, : x.shape[1]], self.first[:, x.shape[1] :]
        own, other = linear(x, w_1 - w_2), linear(x, w_2)  # (point, widths[0])
        full = bool((index >= 0).all())
        centers = np.repeat(np.arange(len(index)), self.k)
        if full:
            y = reshape(own[:, None] + gather(other, index), (index.size, own.shape[1]))
        else:
            there = index.ravel() >= 0
            centers = centers[there]
            y = gather(own, centers) + gather(other, index.ravel()[there])
        y = self.norms[0](y)  # (edge, widths[0])
        for i, layer in enumerate(self.layers, 1):
            y = self.norms[i](layer(y))  # (edge, widths[i])
        if full:
            y = mean(reshape(y, (*index.shape, y.shape[1])), axis=1)  # (point, widths[-1])
        else:
            y = segment_mean(y, centers, num_segments=x.shape[0])
        if self.shortcut is not None and self.shortcut_norm is not None:
            x = self.shortcut_norm(self.shortcut(x))
        return relu(x + y)
