"""Attention: averages of values, weighted by how well keys fit queries."""

import math

import numpy as np

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.op import TensorLike, as_tensor, values_of
from fieldgrad.engine.ops.arithmetic import where
from fieldgrad.engine.ops.dropout import dropout
from fieldgrad.engine.ops.layout import permute_dims
from fieldgrad.engine.ops.linalg import matmul
from fieldgrad.engine.ops.reduce import max
from fieldgrad.engine.ops.softmax import softmax

__all__ = ["scaled_dot_product_attention"]


def scaled_dot_product_attention(
    query: TensorLike,
    key: TensorLike,
    value: TensorLike,
    /,
    *,
    attn_mask: TensorLike | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(query · keyᵀ · scale + mask) · value.

    Parameters
    ----------
    query : Tensor
        Shape (…, L, E).
    key : Tensor
        Shape (…, S, E); leading axes broadcast.
    value : Tensor
        Shape (…, S, F).
    attn_mask : Tensor, optional
        Broadcasts to (…, L, S): boolean, True where a query may look at a key, or a number that is
        added to the product, such as a bias, or -inf for a key that is hidden.
    dropout_p : float, default 0.0
        Probability with which a weight is set to 0; others are scaled up.
    is_causal : bool, default False
        Query i sees keys 0 to i only. Not together with attn_mask.
    scale : float, optional
        Default 1 / sqrt(E).
    enable_gqa : bool, default False
        Let groups of query heads (axis -3) share a head of keys and values.

    Returns
    -------
    Tensor
        Shape (…, L, F). A query that sees no key gives 0, with gradient 0.

    Raises
    ------
    ShapeError
        If the shapes do not fit one another.
    ValueError
        If both is_causal and attn_mask are given.

    Notes
    -----
    The weights, (…, L, S), are kept for the gradient.

    References
    ----------
    Vaswani et al., "Attention is all you need", NeurIPS 2017, arXiv:1706.03762, eq. 1. Shared
    heads: Ainslie et al., "GQA", EMNLP 2023, arXiv:2305.13245.

    Examples
    --------
    Equal keys share the weight; a mask takes it away:

    >>> import fieldgrad.engine as fg
    >>> q, k, v = fg.ones((1, 2)), fg.ones((2, 2)), fg.tensor([[2.0], [4.0]])
    >>> fg.scaled_dot_product_attention(q, k, v).tolist()
    [[3.0]]
    >>> fg.scaled_dot_product_attention(q, k, v, attn_mask=[[True, False]]).tolist()
    [[2.0]]
    """
    q, k, v = (as_tensor(x, floating=True) for x in (query, key, value))
    _check(q, k, v)
    if enable_gqa:
        k, v = _repeated(k, q.shape[-3]), _repeated(v, q.shape[-3])
    factor = 1.0 / math.sqrt(q.shape[-1] or 1) if scale is None else scale
    scores = matmul(q * factor, permute_dims(k, (*range(k.ndim - 2), k.ndim - 1, k.ndim - 2)))
    if is_causal:
        if attn_mask is not None:
            raise ValueError("scaled_dot_product_attention: give attn_mask or is_causal, not both.")
        attn_mask = np.tri(*scores.shape[-2:], dtype=bool)
    if attn_mask is None:
        return matmul(dropout(softmax(scores), dropout_p) if dropout_p else softmax(scores), v)
    mask = as_tensor(attn_mask)
    # Numbers are in the dtype of the scores: a mask must not turn float32 into float64.
    scores = (
        where(mask, scores, -math.inf)
        if mask.dtype == np.bool_
        else scores + mask.astype(scores.dtype)
    )
    if not scores.size:
        return matmul(scores, v)
    blind = max(scores.detach(), axis=-1, keepdims=True) == -math.inf
    known = values_of(blind)
    some = known is None or bool(known.any())
    weights = softmax(where(blind, 0.0, scores) if some else scores)
    if dropout_p:
        weights = dropout(weights, dropout_p)
    out = matmul(weights, v)
    return where(blind, 0.0, out) if some else out


def _check(q: Tensor, k: Tensor, v: Tensor) -> None:
    if min(q.ndim, k.ndim, v.ndim) < 2 or q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise ShapeError(
            f"scaled_dot_product_attention: query has shape {q.shape}, key {k.shape}, value "
            f"{v.shape}; expected (…, L, E), (…, S, E) and (…, S, F)."
        )


def _repeated(x: Tensor, n_heads: int) -> Tensor:
    """Each head of keys or values for as many heads of queries as share it."""
    if x.ndim < 3 or n_heads % x.shape[-3]:
        raise ShapeError(
            f"scaled_dot_product_attention: {n_heads} query heads cannot share those of keys or "
            f"values of shape {x.shape}; expected a divisor on axis -3."
        )
    return x[..., np.arange(n_heads) // (n_heads // x.shape[-3]), :, :]
