"""Losses of distances between vectors, and of the order of scores."""

from collections.abc import Callable

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import DataError, ShapeError
from fieldgrad.engine.nn.losses.reduction import equal_shapes, reduced
from fieldgrad.engine.op import TensorLike, as_tensor
from fieldgrad.engine.ops.arithmetic import (
    minimum,
    where,
)
from fieldgrad.engine.ops.distances import cosine_similarity, pairwise_distance
from fieldgrad.engine.ops.rectifiers import (
    relu,
)
from fieldgrad.engine.ops.softmax import Reduction

__all__ = [
    "cosine_embedding_loss",
    "margin_ranking_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]


def margin_ranking_loss(
    x1: TensorLike,
    x2: TensorLike,
    target: TensorLike,
    *,
    margin: float = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    """max(0, margin - target (x1 - x2)): x1 shall be larger where the target is 1, x2 where -1.

    Parameters
    ----------
    x1, x2, target : Tensor
        Equal shapes; targets of 1 and -1.
    margin : float, default 0.0
        Difference that is large enough.
    reduction : {"mean", "sum", "none"}
        What to do with the elements.

    Returns
    -------
    Tensor
        One number, or the shape of the inputs for reduction "none".

    Raises
    ------
    ShapeError
        If the shapes differ.
    """
    a, b, t = equal_shapes("margin_ranking_loss", x1=x1, x2=x2, target=target)
    return reduced(relu(margin - t * (a - b)), reduction)


def cosine_embedding_loss(
    x1: TensorLike,
    x2: TensorLike,
    target: TensorLike,
    *,
    margin: float = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    """1 - cos(x1, x2) for vectors that belong together, max(0, cos(x1, x2) - margin) for others.

    Parameters
    ----------
    x1, x2 : Tensor
        Equal shapes (batch, feature) or (feature,).
    target : Tensor
        Shape (batch,) or (): 1 for vectors that belong together, -1 for others.
    margin : float, default 0.0
        Cosine down to which others are far enough apart, -1 to 1.
    reduction : {"mean", "sum", "none"}
        What to do with the pairs.

    Returns
    -------
    Tensor
        One number, or the shape of the target for reduction "none".

    Raises
    ------
    ShapeError
        If the shapes do not belong together.
    """
    a, b = equal_shapes("cosine_embedding_loss", x1=x1, x2=x2)
    t = as_tensor(target)
    if a.ndim not in (1, 2) or t.shape != a.shape[:-1]:
        raise ShapeError(
            f"cosine_embedding_loss: x1 and x2 have shape {a.shape}, target has {t.shape}; "
            "expected (batch, feature) and (batch,), or (feature,) and ()."
        )
    cosine = cosine_similarity(a, b, axis=-1)
    apart = where(t == -1, relu(cosine - margin), 0.0)
    return reduced(where(t == 1, 1.0 - cosine, apart), reduction)


def triplet_margin_loss(
    anchor: TensorLike,
    positive: TensorLike,
    negative: TensorLike,
    *,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: Reduction = "mean",
) -> Tensor:
    """max(0, d(anchor, positive) - d(anchor, negative) + margin).

    Parameters
    ----------
    anchor, positive, negative : Tensor
        Equal shapes (…, feature).
    margin : float, default 1.0
        By how much farther the negative shall be, positive.
    p : float, default 2.0
        Exponent of the norm; see `pairwise_distance`.
    eps : float, default 1e-6
        Added to the differences, against a distance of 0.
    swap : bool, default False
        Also count the distance from positive to negative, if that is shorter.
    reduction : {"mean", "sum", "none"}
        What to do with the triplets.

    Returns
    -------
    Tensor
        One number, or shape (…) for reduction "none".

    Raises
    ------
    ShapeError
        If the shapes differ.

    References
    ----------
    Balntas, Riba, Ponsa, Mikolajczyk, "Learning local feature descriptors with triplets and
    shallow convolutional neural networks", BMVC 2016 (swap), doi:10.5244/C.30.119.
    """

    def distance(x: Tensor, y: Tensor) -> Tensor:
        return pairwise_distance(x, y, p=p, eps=eps)

    return triplet_margin_with_distance_loss(
        anchor,
        positive,
        negative,
        distance_function=distance,
        margin=margin,
        swap=swap,
        reduction=reduction,
    )


def triplet_margin_with_distance_loss(
    anchor: TensorLike,
    positive: TensorLike,
    negative: TensorLike,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] = pairwise_distance,
    margin: float = 1.0,
    swap: bool = False,
    reduction: Reduction = "mean",
) -> Tensor:
    """`triplet_margin_loss` with any distance.

    Parameters
    ----------
    anchor, positive, negative : Tensor
        Equal shapes (…, feature).
    distance_function : callable, default pairwise_distance
        Two of them to their distances.
    margin : float, default 1.0
        By how much farther the negative shall be, positive.
    swap : bool, default False
        Also count the distance from positive to negative, if that is shorter.
    reduction : {"mean", "sum", "none"}
        What to do with the triplets.

    Returns
    -------
    Tensor
        One number, or the shape of the distances for reduction "none".

    Raises
    ------
    ShapeError
        If the shapes differ.
    DataError
        If the margin is not positive.
    """
    a, b, c = equal_shapes(
        "triplet_margin_loss", anchor=anchor, positive=positive, negative=negative
    )
    if not margin > 0:
        raise DataError(f"triplet_margin_loss: margin = {margin}; expected a positive number.")
    near, far = distance_function(a, b), distance_function(a, c)
    if swap:
        far = minimum(far, distance_function(b, c))
    return reduced(relu(near - far + margin), reduction)
