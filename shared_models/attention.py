"""An attention block with an additive bias and NormFormer's extra normalizations.

References
----------
Vaswani et al., "Attention is all you need", NeurIPS 2017, arXiv:1706.03762.
Shleifer, Weston, Ott, "NormFormer: improved transformer pretraining with extra normalization",
2021, arXiv:2110.09456, fig. 1: normalization after the attention, in the feed-forward part, a
factor for each head and for the residual.
Touvron, Cord, Sablayrolles, Synnaeve, Jégou, "Going deeper with image transformers", ICCV 2021,
arXiv:2103.17239, section 3: class attention.
"""

from fieldgrad.engine import (
    Tensor,
    concat,
    linear,
    nn,
    permute_dims,
    reshape,
    scaled_dot_product_attention,
)
from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.nn.init import xavier_uniform

__all__ = ["AttentionBlock"]


class AttentionBlock(nn.Module):
    """Attention with a bias, then two layers for each element, both with shortcuts.

    Parameters
    ----------
    width : int
        Features of an element.
    n_heads : int
        Number of heads, a divisor of width.
    expansion : int, default 4
        By how much the feed-forward part is wider.
    dropout : float, default 0.0
        Probability with which a weight or feature is left out while training.

    Raises
    ------
    ShapeError
        If the width does not split into the heads.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> block = AttentionBlock(128, 8)
    >>> block(fg.zeros((2, 5, 128)), fg.zeros((2, 8, 5, 5))).shape, block.n_parameters()
    ((2, 5, 128), 199688)
    >>> block(fg.zeros((2, 5, 128)), fg.zeros((2, 1, 1, 6)), fg.zeros((2, 1, 128))).shape
    (2, 1, 128)
    """

    def __init__(
        self, width: int, n_heads: int, *, expansion: int = 4, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if width % n_heads:
            raise ShapeError(
                f"AttentionBlock: {width} features do not split into {n_heads} heads; expected a "
                "divisor."
            )
        self.n_heads, self.p = n_heads, dropout
        self.norm = nn.LayerNorm(width)
        self.in_weight = nn.Parameter(xavier_uniform((3 * width, width)))
        self.in_bias = nn.Parameter([0.0] * (3 * width))
        self.out = nn.Linear(width, width)
        self.head_scale = nn.Parameter([1.0] * n_heads)
        self.out_norm = nn.LayerNorm(width)
        self.feed_norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, expansion * width)
        self.wide_norm = nn.LayerNorm(expansion * width)
        self.narrow = nn.Linear(expansion * width, width)
        self.residual_scale = nn.Parameter([1.0] * width)
        self.dropout = nn.Dropout(dropout)
        self.activation = nn.GELU()

    def forward(self, x: Tensor, bias: Tensor, token: Tensor | None = None) -> Tensor:
        """Let every element look at the others, or one extra element at all.

        Parameters
        ----------
        x : Tensor
            Shape (batch, element, width).
        bias : Tensor
            Added to the logits of the attention, -inf for an element that is not there. Broadcasts
            to (batch, head, element, element); with a token to (batch, head, 1, 1 + element).
        token : Tensor, optional
            Shape (batch, 1, width): an element that gathers what itself and the others hold.

        Returns
        -------
        Tensor
            Shape of x; with a token, shape of the token.
        """
        if token is None:
            query = u = self.norm(x)
        else:
            query, x, u = token, token, self.norm(concat([token, x], axis=1))
        q, k, v = self._project(query, 0), self._project(u, 1), self._project(u, 2)
        x = x + self.dropout(self.out_norm(self._attend(q, k, v, bias)))
        wide = self.dropout(self.activation(self.widen(self.feed_norm(x))))
        return x * self.residual_scale + self.dropout(self.narrow(self.wide_norm(wide)))

    def _project(self, x: Tensor, part: int) -> Tensor:
        """Queries, keys or values: (batch, head, element, width / n_heads)."""
        width = x.shape[2]
        rows = slice(part * width, (part + 1) * width)
        y = linear(x, self.in_weight[rows], self.in_bias[rows])
        heads = reshape(y, (*x.shape[:2], self.n_heads, width // self.n_heads))
        return permute_dims(heads, (0, 2, 1, 3))

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
        heads = scaled_dot_product_attention(
            q, k, v, attn_mask=bias, dropout_p=self.p if self.training else 0.0
        )
        batch, n_heads, length, size = heads.shape
        together = reshape(permute_dims(heads, (0, 2, 1, 3)), (batch, length, n_heads * size))
        out = reshape(self.out(together), (batch, length, n_heads, size))
        return reshape(out * self.head_scale[:, None], (batch, length, n_heads * size))
