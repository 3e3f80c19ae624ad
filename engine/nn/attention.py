"""Attention with several heads, and the transformer's blocks.

Sequences are (batch, step, feature). Masks say what is real: True where a step may be looked at.
"""

from typing import Any

import numpy as np

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.nn.dropout import Dropout
from fieldgrad.engine.nn.init import xavier_uniform
from fieldgrad.engine.nn.layers import Linear
from fieldgrad.engine.nn.module import Module, ModuleList, Parameter
from fieldgrad.engine.nn.norm import LayerNorm
from fieldgrad.engine.op import TensorLike, as_tensor
from fieldgrad.engine.ops.activations import gelu
from fieldgrad.engine.ops.arithmetic import (
    where,
)
from fieldgrad.engine.ops.attention import scaled_dot_product_attention
from fieldgrad.engine.ops.layout import permute_dims, reshape, unstack
from fieldgrad.engine.ops.linalg import linear
from fieldgrad.engine.ops.rectifiers import relu

__all__ = [
    "MultiheadAttention",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
]

_ACTIVATIONS = {"relu": relu, "gelu": gelu}


class MultiheadAttention(Module):
    """Several attentions side by side, each over its own projection of the features.

    Parameters
    ----------
    embed_dim : int
        Size of queries and results, a multiple of num_heads.
    num_heads : int
        Number of attentions.
    dropout : float, default 0.0
        Probability with which a weight of the attention is set to 0 while training.
    bias : bool, default True
        Whether the projections have trained offsets.
    kdim, vdim : int, optional
        Sizes of keys and values; default embed_dim.

    Notes
    -----
    Parameters have PyTorch's names and shapes. The projections into the heads begin uniform with
    variance 2 / (fan_in + fan_out), see `init.xavier_uniform`, that of the result as in `Linear`,
    offsets at 0. PyTorch's boolean masks say the opposite of ours: True there hides a step.

    References
    ----------
    Vaswani et al., "Attention is all you need", NeurIPS 2017, arXiv:1706.03762, section 3.2.2.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> attention = fg.nn.MultiheadAttention(8, 2)
    >>> x = fg.zeros((1, 5, 8))
    >>> attention(x, x, x).shape
    (1, 5, 8)
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        *,
        dropout: float = 0.0,
        bias: bool = True,
        kdim: int | None = None,
        vdim: int | None = None,
    ) -> None:
        super().__init__()
        if num_heads < 1 or embed_dim % num_heads:
            raise ShapeError(
                f"MultiheadAttention: {embed_dim} features do not split into {num_heads} heads; "
                "expected a divisor."
            )
        self.embed_dim, self.num_heads, self.dropout = embed_dim, num_heads, dropout
        kdim, vdim = embed_dim if kdim is None else kdim, embed_dim if vdim is None else vdim
        if kdim == vdim == embed_dim:
            self.in_proj_weight = Parameter(xavier_uniform((3 * embed_dim, embed_dim)))
        else:
            self.q_proj_weight = Parameter(xavier_uniform((embed_dim, embed_dim)))
            self.k_proj_weight = Parameter(xavier_uniform((embed_dim, kdim)))
            self.v_proj_weight = Parameter(xavier_uniform((embed_dim, vdim)))
        self.in_proj_bias = Parameter([0.0] * (3 * embed_dim)) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias=bias)
        if self.out_proj.bias is not None:
            self.out_proj.bias.assign(0.0)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        *,
        key_mask: TensorLike | None = None,
        attn_mask: TensorLike | None = None,
        is_causal: bool = False,
        need_weights: bool = False,
    ) -> Any:
        """Let queries (batch, L, embed_dim) look at keys (batch, S, kdim), values (batch, S, vdim).

        Parameters
        ----------
        query, key, value : Tensor
            Of those shapes.
        key_mask : Tensor, optional
            Shape (batch, S) of booleans, True where a key is real.
        attn_mask : Tensor, optional
            Broadcasts to (batch, heads, L, S): True where a query may look, or numbers to add.
        is_causal : bool, default False
            Query i sees keys 0 to i only.
        need_weights : bool, default False
            Also give the weights.

        Returns
        -------
        Tensor
            Shape (batch, L, embed_dim); with need_weights a tuple of it and the weights, shape
            (batch, heads, L, S).
        """
        _check_sequences(query, key, value)
        if query is key is value and hasattr(self, "in_proj_weight"):
            q, k, v = self._projected_together(query)
        else:
            q, k, v = (
                self._heads(linear(x, w, b))
                for x, (w, b) in zip((query, key, value), self._projections(), strict=True)
            )
        mask = self._mask(q.shape[-2], k.shape[-2], key_mask, attn_mask, is_causal)
        rate = self.dropout if self.training else 0.0
        y = scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=rate)
        batch, heads, steps, size = y.shape
        y = self.out_proj(reshape(permute_dims(y, (0, 2, 1, 3)), (batch, steps, heads * size)))
        if not need_weights:
            return y
        every_key = np.eye(k.shape[-2], dtype=k.dtype)
        return y, scaled_dot_product_attention(q, k, every_key, attn_mask=mask)

    def _projected_together(self, x: Tensor) -> Any:
        """Queries, keys and values of self-attention from one product, without a copy."""
        y = linear(x, self.in_proj_weight, self.in_proj_bias)
        y = reshape(y, (*x.shape[:2], 3, self.num_heads, self.embed_dim // self.num_heads))
        return unstack(permute_dims(y, (2, 0, 3, 1, 4)), axis=0)

    def _projections(self) -> list[tuple[Tensor, Tensor | None]]:
        n, bias = self.embed_dim, self.in_proj_bias
        parts = [slice(i * n, (i + 1) * n) for i in range(3)]
        biases = [None if bias is None else bias[part] for part in parts]
        if hasattr(self, "in_proj_weight"):
            weights = [self.in_proj_weight[part] for part in parts]
        else:
            weights = [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight]
        return list(zip(weights, biases, strict=True))

    def _heads(self, x: Tensor) -> Tensor:
        """(batch, step, feature) to (batch, head, step, feature of the head)."""
        x = reshape(x, (*x.shape[:2], self.num_heads, self.embed_dim // self.num_heads))
        return permute_dims(x, (0, 2, 1, 3))

    def _mask(
        self,
        n_queries: int,
        n_keys: int,
        key_mask: TensorLike | None,
        attn_mask: TensorLike | None,
        is_causal: bool,
    ) -> TensorLike | None:
        """All masks as one."""
        seen: Any = None
        if key_mask is not None:
            seen = np.asarray(key_mask, bool)[:, None, None, :]
        if is_causal:
            causal = np.tri(n_queries, n_keys, dtype=bool)
            seen = causal if seen is None else seen & causal
        if attn_mask is None:
            return seen
        given = as_tensor(attn_mask)
        if seen is None:
            return given
        if given.dtype == np.bool_:
            return seen & given.data
        return where(seen, given, -np.inf)

    def extra_repr(self) -> str:
        """Sizes."""
        return f"{self.embed_dim}, {self.num_heads} heads"


class TransformerEncoderLayer(Module):
    """Self-attention, then two linear layers, each around a shortcut and normalized.

    Parameters
    ----------
    d_model : int
        Size of the features.
    nhead : int
        Number of heads, a divisor of d_model.
    dim_feedforward : int, default 2048
        Size between the linear layers.
    dropout : float, default 0.1
        Probability with which attention weights, and elements after each part, are set to 0.
    activation : {"relu", "gelu"}
        Between the linear layers.
    norm_first : bool, default False
        Normalize what goes into each part, instead of the sum after it.
    layer_norm_eps : float, default 1e-5
        Added to the variance.

    Notes
    -----
    Parameters have PyTorch's names and shapes.

    References
    ----------
    Vaswani et al., "Attention is all you need", NeurIPS 2017, arXiv:1706.03762, figure 1, left.
    Normalization first: Xiong et al., "On layer normalization in the transformer architecture",
    ICML 2020, arXiv:2002.04745.
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        *,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str = "relu",
        norm_first: bool = False,
        layer_norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.activation = _known_activation(activation)
        self.norm_first = norm_first
        self.self_attn = MultiheadAttention(d_model, nhead, dropout=dropout)
        self.linear1 = Linear(d_model, dim_feedforward)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model)
        self.norm1 = LayerNorm(d_model, eps=layer_norm_eps)
        self.norm2 = LayerNorm(d_model, eps=layer_norm_eps)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)

    def forward(self, x: Tensor, **masks: Any) -> Tensor:
        """Map x of shape (batch, step, d_model); masks as for `MultiheadAttention`."""
        if self.norm_first:
            x = x + self._attend(self.norm1(x), masks)
            return x + self._feed(self.norm2(x))
        x = self.norm1(x + self._attend(x, masks))
        return self.norm2(x + self._feed(x))

    def _attend(self, x: Tensor, masks: dict[str, Any]) -> Tensor:
        return self.dropout1(self.self_attn(x, x, x, **masks))

    def _feed(self, x: Tensor) -> Tensor:
        inner = _ACTIVATIONS[self.activation](self.linear1(x))
        return self.dropout2(self.linear2(self.dropout(inner)))


class TransformerEncoder(Module):
    """A stack of `TransformerEncoderLayer`.

    Parameters
    ----------
    d_model : int
        Size of the features.
    nhead : int
        Number of heads, a divisor of d_model.
    num_layers : int
        Number of layers; each draws its own initial values.
    final_norm : bool, default False
        Normalize the result, as encoders with norm_first do.
    **settings : Any
        Those of `TransformerEncoderLayer`.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> encoder = fg.nn.TransformerEncoder(8, 2, 3, dim_feedforward=16)
    >>> encoder(fg.zeros((1, 5, 8)), is_causal=True).shape
    (1, 5, 8)
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        num_layers: int,
        *,
        final_norm: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__()
        self.layers = ModuleList(
            TransformerEncoderLayer(d_model, nhead, **settings) for _ in range(num_layers)
        )
        self.norm = LayerNorm(d_model) if final_norm else None

    def forward(self, x: Tensor, **masks: Any) -> Tensor:
        """Map x of shape (batch, step, d_model); masks as for `MultiheadAttention`."""
        for layer in self.layers:
            x = layer(x, **masks)
        return x if self.norm is None else self.norm(x)


class TransformerDecoderLayer(Module):
    """Causal self-attention, attention to an encoder's result, then two linear layers.

    Parameters
    ----------
    d_model : int
        Size of the features.
    nhead : int
        Number of heads, a divisor of d_model.
    dim_feedforward : int, default 2048
        Size between the linear layers.
    dropout : float, default 0.1
        Probability with which attention weights, and elements after each part, are set to 0.
    activation : {"relu", "gelu"}
        Between the linear layers.
    norm_first : bool, default False
        Normalize what goes into each part, instead of the sum after it.
    layer_norm_eps : float, default 1e-5
        Added to the variance.

    Notes
    -----
    Parameters have PyTorch's names and shapes.

    References
    ----------
    Vaswani et al., "Attention is all you need", NeurIPS 2017, arXiv:1706.03762, figure 1, right.
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        *,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str = "relu",
        norm_first: bool = False,
        layer_norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.activation = _known_activation(activation)
        self.norm_first = norm_first
        self.self_attn = MultiheadAttention(d_model, nhead, dropout=dropout)
        self.multihead_attn = MultiheadAttention(d_model, nhead, dropout=dropout)
        self.linear1 = Linear(d_model, dim_feedforward)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model)
        self.norm1 = LayerNorm(d_model, eps=layer_norm_eps)
        self.norm2 = LayerNorm(d_model, eps=layer_norm_eps)
        self.norm3 = LayerNorm(d_model, eps=layer_norm_eps)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.dropout3 = Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        memory: Tensor,
        *,
        is_causal: bool = True,
        key_mask: TensorLike | None = None,
        memory_mask: TensorLike | None = None,
    ) -> Tensor:
        """Map x (batch, step, d_model), looking at memory (batch, S, d_model); masks of both."""

        def attend(x: Tensor) -> Tensor:
            own = self.self_attn(x, x, x, key_mask=key_mask, is_causal=is_causal)
            return self.dropout1(own)

        def look(x: Tensor) -> Tensor:
            return self.dropout2(self.multihead_attn(x, memory, memory, key_mask=memory_mask))

        def feed(x: Tensor) -> Tensor:
            inner = _ACTIVATIONS[self.activation](self.linear1(x))
            return self.dropout3(self.linear2(self.dropout(inner)))

        for part, norm in ((attend, self.norm1), (look, self.norm2), (feed, self.norm3)):
            x = x + part(norm(x)) if self.norm_first else norm(x + part(x))
        return x


def _check_sequences(query: Tensor, key: Tensor, value: Tensor) -> None:
    if query.ndim != 3 or key.ndim != 3 or value.ndim != 3 or key.shape[:2] != value.shape[:2]:
        raise ShapeError(
            f"MultiheadAttention: query has shape {query.shape}, key {key.shape}, value "
            f"{value.shape}; expected (batch, step, feature), with one value for each key."
        )


def _known_activation(name: str) -> str:
    if name not in _ACTIVATIONS:
        raise ValueError(f"activation = {name!r}; expected {' or '.join(map(repr, _ACTIVATIONS))}.")
    return name
