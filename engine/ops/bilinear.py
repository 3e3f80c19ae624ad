"""Bilinear maps of two vectors."""

import math

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.op import TensorLike, as_tensor
from fieldgrad.engine.ops.layout import reshape
from fieldgrad.engine.ops.linalg import einsum

__all__ = ["bilinear"]


def bilinear(
    x1: TensorLike, x2: TensorLike, weight: TensorLike, bias: TensorLike | None = None, /
) -> Tensor:
    """x1ᵀ · weight_o · x2 + bias_o, over the last axes.

    Parameters
    ----------
    x1, x2 : Tensor
        Shapes (…, in1) and (…, in2), with equal leading axes.
    weight : Tensor
        Shape (out, in1, in2).
    bias : Tensor, optional
        Shape (out,).

    Returns
    -------
    Tensor
        Shape (…, out).

    Raises
    ------
    ShapeError
        If the shapes do not fit.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.bilinear([1.0, 2.0], [3.0], [[[1.0], [10.0]]]).tolist()
    [63.0]
    """
    a, b, w = (as_tensor(x, floating=True) for x in (x1, x2, weight))
    if (
        not a.ndim
        or not b.ndim
        or w.ndim != 3
        or a.shape[:-1] != b.shape[:-1]
        or (w.shape[1:] != (a.shape[-1], b.shape[-1]))
    ):
        raise ShapeError(
            f"bilinear: x1 has shape {a.shape}, x2 {b.shape}, weight {w.shape}; expected (…, in1), "
            "(…, in2) and (out, in1, in2)."
        )
    rows, n_rows = a.shape[:-1], math.prod(a.shape[:-1])
    a, b = (reshape(x, (n_rows, x.shape[-1])) for x in (a, b))
    y = reshape(einsum("ni,oij,nj->no", a, w, b), (*rows, w.shape[0]))
    return y if bias is None else y + as_tensor(bias, floating=True)
