"""Messages along undirected pairs of rows, such as atoms within a cutoff: each goes both ways.

What depends only on the pair (a filter made from a distance) is computed once for both directions.
The two ops are each other's gradients, so that derivatives of any order stay among them.
"""

from fieldgrad.engine import samples, shapes
from fieldgrad.engine._core import Tensor
from fieldgrad.engine.op import TensorLike, op
from fieldgrad.engine.ops.segment import gather, segment_sum

__all__ = ["pair_product", "pair_sum"]


@op(
    kernel="pair_sum",
    floating=True,
    shape=shapes.pair_sum,
    samples=samples.pair_sums,
    keeps_dtype=("pairs",),
)
def pair_sum(x: Tensor, w: Tensor, pairs: TensorLike, /, *, antisymmetric: bool = False):
    """Sum over each row's pairs of the other row times the pair's weight, feature by feature.

    Parameters
    ----------
    x : Tensor
        Shape (row, …).
    w : Tensor
        Shape (pair, …), the features of x.
    pairs : Tensor or array of int
        Shape (2, pair): the rows i and j of each pair; both may be one row.
    antisymmetric : bool, default False
        Weights change their sign with the direction, as a vector from i to j does: the message to j
        is subtracted.

    Returns
    -------
    Tensor
        Shape of x; for each pair, x[j] w was added to row i and x[i] w to row j.

    Raises
    ------
    IndexError
        If a row is out of range.
    ShapeError
        If shapes do not fit.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.pair_sum(fg.tensor([1.0, 2.0, 4.0]), [10.0, 100.0], [[0, 0], [1, 2]]).tolist()
    [420.0, 10.0, 100.0]
    """
    i, j = gather(pairs, 0), gather(pairs, 1)
    to_i = segment_sum(gather(x, j) * w, i, num_segments=x.shape[0])
    to_j = segment_sum(gather(x, i) * w, j, num_segments=x.shape[0])
    return to_i - to_j if antisymmetric else to_i + to_j


@pair_sum.vjp
def _(g, x, w, pairs, antisymmetric, needs):
    gx = pair_sum(g, w, pairs, antisymmetric=antisymmetric) if needs[0] else None
    gw = pair_product(g, x, pairs, antisymmetric=antisymmetric) if needs[1] else None
    return -gx if antisymmetric and gx is not None else gx, gw, None


@op(
    kernel="pair_product",
    floating=True,
    shape=shapes.pair_product,
    samples=samples.pair_products,
    keeps_dtype=("pairs",),
)
def pair_product(
    a: TensorLike, b: TensorLike, pairs: TensorLike, /, *, antisymmetric: bool = False
):
    """a[i] b[j] + a[j] b[i] for each pair of rows, feature by feature: the gradient of `pair_sum`.

    Parameters
    ----------
    a, b : Tensor
        Shape (row, …).
    pairs : Tensor or array of int
        Shape (2, pair): the rows i and j of each pair.
    antisymmetric : bool, default False
        Give the difference of the two products.

    Returns
    -------
    Tensor
        Shape (pair, …).

    Raises
    ------
    IndexError
        If a row is out of range.
    ShapeError
        If shapes do not fit.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.pair_product(fg.tensor([1.0, 2.0]), [3.0, 4.0], [[0], [1]]).tolist()
    [10.0]
    """
    i, j = gather(pairs, 0), gather(pairs, 1)
    one, other = gather(a, i) * gather(b, j), gather(a, j) * gather(b, i)
    return one - other if antisymmetric else one + other


@pair_product.vjp
def _(g, a, b, pairs, antisymmetric, needs):
    ga = pair_sum(b, g, pairs, antisymmetric=antisymmetric) if needs[0] else None
    gb = pair_sum(a, g, pairs, antisymmetric=antisymmetric) if needs[1] else None
    return ga, -gb if antisymmetric and gb is not None else gb, None
