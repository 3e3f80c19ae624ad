"""Reductions over segments: the rows that share an id, such as the edges that lead to one node.

A sum over neighbors is `gather` (a row for every edge), some function of it, and `segment_sum`
(back to the nodes); each is the gradient of the other. Rows may come in any order; ids that ascend
save a sort. Every segment is reduced by one thread in the order of its rows: results do not depend
on the number of threads, nor on the other segments.
"""

import numpy as np

from fieldgrad.engine import samples, shapes
from fieldgrad.engine._core import Tensor
from fieldgrad.engine.op import TensorLike, op
from fieldgrad.engine.ops.layout import reshape

__all__ = [
    "gather",
    "segment_max",
    "segment_mean",
    "segment_min",
    "segment_softmax",
    "segment_sum",
]


@op(kernel="gather", shape=shapes.gather, samples=samples.gathers, keeps_dtype=("index",))
def gather(x: TensorLike, index: TensorLike, /, *, skip_missing: bool = False):
    """Rows of x by their numbers: NumPy's ``take`` along the first axis.

    Parameters
    ----------
    x : Tensor
        Shape (row, …), any dtype.
    index : Tensor or array of int
        Any shape; 0 to row - 1.
    skip_missing : bool, default False
        Allow -1 for no row: it gives zeros.

    Returns
    -------
    Tensor
        Shape (\\*index.shape, …).

    Raises
    ------
    IndexError
        If an index is out of range; negative ones do not count from the end.

    Notes
    -----
    PyTorch's gather, with an index for each element, is `take_along_axis`.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.gather(fg.tensor([[1.0, 2.0], [3.0, 4.0]]), [1, 1, 0]).tolist()
    [[3.0, 4.0], [3.0, 4.0], [1.0, 2.0]]
    """


@gather.vjp
def _(g, x_shape, index, skip_missing):
    rows = reshape(g, (index.size, *x_shape[1:]))
    ids = reshape(index, (index.size,))
    return segment_sum(rows, ids, num_segments=x_shape[0], skip_missing=skip_missing), None


@op(
    kernel="segment_sum",
    floating=True,
    shape=shapes.segment,
    samples=samples.missing_segments,
    keeps_dtype=("segment_ids",),
)
def segment_sum(
    x: TensorLike, segment_ids: TensorLike, /, *, num_segments: int, skip_missing: bool = False
):
    """Sum of the rows of each segment; 0 for a segment without rows.

    Parameters
    ----------
    x : Tensor
        Shape (row, …).
    segment_ids : Tensor or array of int
        Shape (row,), 0 to num_segments - 1, in any order.
    num_segments : int
        Number of segments.
    skip_missing : bool, default False
        Allow the id -1 for rows that belong to no segment.

    Returns
    -------
    Tensor
        Shape (num_segments, …).

    Raises
    ------
    IndexError
        If an id is out of range.
    ShapeError
        If there is not one id for each row.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.segment_sum(fg.tensor([1.0, 2.0, 4.0]), [2, 0, 2], num_segments=3).tolist()
    [2.0, 0.0, 5.0]
    """


@segment_sum.vjp
def _(g, segment_ids, skip_missing):
    return gather(g, segment_ids, skip_missing=skip_missing), None


def segment_mean(x: TensorLike, segment_ids: TensorLike, /, *, num_segments: int) -> Tensor:
    """Mean of the rows of each segment; 0 for a segment without rows.

    Parameters
    ----------
    x : Tensor
        Shape (row, …).
    segment_ids : Tensor or array of int
        Shape (row,), 0 to num_segments - 1, in any order.
    num_segments : int
        Number of segments.

    Returns
    -------
    Tensor
        Shape (num_segments, …).

    Raises
    ------
    IndexError
        If an id is out of range.
    ShapeError
        If there is not one id for each row.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.segment_mean(fg.tensor([1.0, 2.0, 4.0]), [2, 0, 2], num_segments=3).tolist()
    [2.0, 0.0, 2.5]
    """
    total = segment_sum(x, segment_ids, num_segments=num_segments)
    counts = np.bincount(np.asarray(segment_ids).astype(np.intp), minlength=num_segments)
    share = (1 / np.maximum(counts, 1)).astype(total.dtype)
    return total * share.reshape(-1, *(1,) * (total.ndim - 1))


@op(
    kernel="segment_max",
    floating=True,
    shape=shapes.segment,
    samples=samples.full_segments,
    keeps_dtype=("segment_ids",),
    aux=("row",),
)
def segment_max(x: TensorLike, segment_ids: TensorLike, /, *, num_segments: int):
    """Maximum of the rows of each segment, feature by feature; -inf for a segment without rows.

    Parameters
    ----------
    x : Tensor
        Shape (row, …).
    segment_ids : Tensor or array of int
        Shape (row,), 0 to num_segments - 1, in any order.
    num_segments : int
        Number of segments.

    Returns
    -------
    Tensor
        Shape (num_segments, …). NaN in a segment gives NaN.

    Raises
    ------
    IndexError
        If an id is out of range.
    ShapeError
        If there is not one id for each row.

    Notes
    -----
    The gradient goes to the first of equal maxima.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.segment_max(fg.tensor([1.0, 2.0, 4.0]), [2, 0, 2], num_segments=3).tolist()
    [2.0, -inf, 4.0]
    """


@segment_max.vjp
def _(g, x_shape, row):
    return segment_unpick(g, row, n_rows=x_shape[0]), None


@op(
    kernel="segment_min",
    floating=True,
    shape=shapes.segment,
    samples=samples.full_segments,
    keeps_dtype=("segment_ids",),
    aux=("row",),
)
def segment_min(x: TensorLike, segment_ids: TensorLike, /, *, num_segments: int):
    """Minimum of the rows of each segment, feature by feature; inf for a segment without rows.

    Parameters
    ----------
    x : Tensor
        Shape (row, …).
    segment_ids : Tensor or array of int
        Shape (row,), 0 to num_segments - 1, in any order.
    num_segments : int
        Number of segments.

    Returns
    -------
    Tensor
        Shape (num_segments, …). NaN in a segment gives NaN.

    Raises
    ------
    IndexError
        If an id is out of range.
    ShapeError
        If there is not one id for each row.

    Notes
    -----
    The gradient goes to the first of equal minima.
    """


@segment_min.vjp
def _(g, x_shape, row):
    return segment_unpick(g, row, n_rows=x_shape[0]), None


@op(
    kernel="segment_softmax",
    floating=True,
    shape=shapes.segment_softmax,
    samples=samples.segments,
    keeps_dtype=("segment_ids",),
)
def segment_softmax(x: TensorLike, segment_ids: TensorLike, /, *, num_segments: int):
    """Softmax over the rows of each segment, feature by feature: attention to neighbors.

    Parameters
    ----------
    x : Tensor
        Shape (row, …).
    segment_ids : Tensor or array of int
        Shape (row,), 0 to num_segments - 1, in any order.
    num_segments : int
        Number of segments.

    Returns
    -------
    Tensor
        Shape of x; within a segment each feature's values are positive and sum to 1.

    Raises
    ------
    IndexError
        If an id is out of range.
    ShapeError
        If there is not one id for each row.

    Notes
    -----
    A feature with NaN or infinity in a segment, or with nothing but -infinity, is NaN in all its
    rows; -infinity beside finite values gives 0.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.segment_softmax(fg.tensor([3.0, 2.0, 3.0]), [1, 0, 1], num_segments=2).tolist()
    [0.5, 1.0, 0.5]
    """


@segment_softmax.vjp
def _(g, out, segment_ids, num_segments):
    weighted = g * out
    total = segment_sum(weighted, segment_ids, num_segments=num_segments)
    return weighted - out * gather(total, segment_ids), None


@op(
    kernel="segment_pick",
    shape=shapes.segment_pick,
    samples=samples.segment_picks,
    keeps_dtype=("index",),
)
def segment_pick(x: TensorLike, index: TensorLike, /):
    """x[index[s, …], …] for each segment and feature: what `segment_max` takes, from other rows.

    Parameters
    ----------
    x : Tensor
        Shape (row, …).
    index : Tensor or array of int
        Shape (segment, …): rows, each at most once in a feature; -1 gives 0.

    Returns
    -------
    Tensor
        Shape of index.
    """


@segment_pick.vjp
def _(g, x_shape, index):
    return segment_unpick(g, index, n_rows=x_shape[0]), None


@op(
    kernel="segment_unpick",
    shape=shapes.segment_unpick,
    samples=samples.segment_unpicks,
    keeps_dtype=("index",),
)
def segment_unpick(g: TensorLike, index: TensorLike, /, *, n_rows: int):
    """Zeros with g where `segment_pick` would take it from: the gradient of `segment_max`.

    Parameters
    ----------
    g : Tensor
        Shape (segment, …).
    index : Tensor or array of int
        Shape of g: rows, each at most once in a feature; -1 for none.
    n_rows : int
        Number of rows of the result.

    Returns
    -------
    Tensor
        Shape (n_rows, …).
    """


@segment_unpick.vjp
def _(h, index):
    return segment_pick(h, index), None
