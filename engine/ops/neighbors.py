"""Points in space: distances, nearest neighbors, and what the neighbors hold."""

import numpy as np
from numpy.typing import ArrayLike

from fieldgrad.engine import samples, shapes
from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.op import TensorLike, op
from fieldgrad.engine.ops.arithmetic import (
    where,
)
from fieldgrad.engine.ops.comparisons import (
    greater,
)
from fieldgrad.engine.ops.creation import tensor
from fieldgrad.engine.ops.layout import permute_dims, reshape
from fieldgrad.engine.ops.linalg import matmul
from fieldgrad.engine.ops.reduce import sum
from fieldgrad.engine.ops.segment import gather

__all__ = ["cdist", "gather_neighbors", "knn"]


@op(kernel="cdist", floating=True, shape=shapes.cdist, samples=samples.point_pairs)
def cdist(x: TensorLike, y: TensorLike, /, *, squared: bool = False):
    """Euclidean distance of every point of x to every point of y.

    Computed from differences, without the cancellation of |x|² - 2 x·y + |y|²: right also for
    points that are close together and far from the origin.

    Parameters
    ----------
    x : Tensor
        Shape (…, n, dims).
    y : Tensor
        Shape (…, m, dims); leading axes broadcast.
    squared : bool, default False
        Give squared distances, which are smooth.

    Returns
    -------
    Tensor
        Shape (…, n, m).

    Raises
    ------
    ShapeError
        If the points do not have the same number of coordinates.

    Notes
    -----
    The gradient of the distance is the unit vector between the points; where they coincide it is
    taken as 0.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.cdist(fg.tensor([[0.0, 0.0]]), fg.tensor([[3.0, 4.0], [0.0, 1.0]])).tolist()
    [[5.0, 1.0]]
    """


@cdist.vjp
def _(g, x, y, out, squared, needs):
    if squared:
        w = g * 2.0
    else:
        apart = greater(out, 0.0)
        w = where(apart, g / where(apart, out, 1.0), 0.0)
    # Σ_j w_ij (x_i - y_j); the common origin c changes nothing but the size of what cancels.
    c = np.mean(y.data, axis=-2, keepdims=True) if y.shape[-2] else np.zeros((), y.dtype)
    x, y = x - c, y - c
    gx = sum(w, axis=-1, keepdims=True) * x - matmul(w, y) if needs[0] else None
    if not needs[1]:
        return gx, None
    transposed = permute_dims(w, (*range(w.ndim - 2), w.ndim - 1, w.ndim - 2))
    return gx, sum(transposed, axis=-1, keepdims=True) * y - matmul(transposed, x)


@op(
    kernel="knn",
    floating=True,
    differentiable=False,
    shape=shapes.knn,
    samples=samples.point_clouds,
    keeps_dtype=("mask",),
)
def knn(
    x: TensorLike,
    mask: TensorLike | None = None,
    /,
    *,
    k: int,
    include_self: bool = False,
    offsets: ArrayLike | None = None,
):
    """Numbers of the k nearest points of the same cloud, nearest first.

    Parameters
    ----------
    x : Tensor
        Shape (…, n, dims): one cloud of n points for each leading index. With offsets (n, dims):
        the points of all clouds end to end.
    mask : Tensor or array of bool, optional
        Shape (…, n): True for real points. The others are nobody's neighbors and have none.
    k : int
        Number of neighbors, 1 to 256.
    include_self : bool, default False
        Count a point among its neighbors.
    offsets : array_like of int, optional
        Shape (clouds + 1,), for clouds of unequal size: where each begins in x, from 0 to n.

    Returns
    -------
    Tensor
        Shape (…, n, k), int64: positions along the axis of n, and -1 where there are fewer than k
        neighbors. Without a gradient.

    Raises
    ------
    ShapeError
        If the shapes do not fit or k is out of range.
    IndexError
        If the offsets do not rise from 0 to n.

    Notes
    -----
    Of points at equal distance those with the lower number come first. A point at infinite or
    undefined (NaN) distance is no neighbor. Every pair is compared: time grows as n².

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.knn(fg.tensor([[0.0], [1.0], [3.0]]), k=1).tolist()
    [[1], [0], [1]]

    Two clouds, the first of two points:

    >>> x = fg.tensor([[0.0], [1.0], [1.1], [3.0]])
    >>> fg.knn(x, k=1, offsets=[0, 2, 4]).tolist()
    [[1], [0], [3], [2]]
    """


def gather_neighbors(x: Tensor, index: TensorLike, /) -> Tensor:
    """What each point's neighbors hold: rows of x by the numbers that `knn` gives.

    Parameters
    ----------
    x : Tensor
        Shape (…, n, features).
    index : Tensor or array of int
        Shape (…, m, k), 0 to n - 1 within the cloud; -1 for no neighbor.

    Returns
    -------
    Tensor
        Shape (…, m, k, features), 0 where there is no neighbor.

    Raises
    ------
    ShapeError
        If x and index do not have the same leading axes.
    IndexError
        If an index is out of range.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> x = fg.tensor([[10.0], [20.0]])
    >>> fg.gather_neighbors(x, [[1, -1], [0, -1]]).tolist()
    [[[20.0], [0.0]], [[10.0], [0.0]]]
    """
    x = x if isinstance(x, Tensor) else tensor(x)
    numbers = np.asarray(index)
    lead, n = x.shape[:-2], x.shape[-2]
    if numbers.shape[:-2] != lead:
        raise ShapeError(
            f"gather_neighbors: x has shape {x.shape}, index has {numbers.shape}; expected "
            "(…, n, features) and (…, m, k) with equal leading axes."
        )
    if numbers.size and numbers.max() >= n:
        raise IndexError(f"gather_neighbors: index {numbers.max()}; expected -1 to {n - 1}.")
    n_clouds = int(np.prod(lead))
    first = (np.arange(n_clouds) * n).reshape(*lead, 1, 1)
    rows = np.where(numbers < 0, numbers, numbers + first)
    return gather(reshape(x, (n_clouds * n, x.shape[-1])), rows, skip_missing=True)
