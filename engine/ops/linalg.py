"""Matrix products."""

import math
from collections.abc import Sequence

from fieldgrad.engine import samples, shapes
from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.op import TensorLike, op
from fieldgrad.engine.ops.layout import broadcast_to, expand_dims, permute_dims, reshape
from fieldgrad.engine.ops.reduce import sum


@op(kernel="matmul", shape=shapes.matmul, samples=samples.matrices)
def matmul(x: TensorLike, y: TensorLike, /):
    """Matrix product of the last two axes; leading axes broadcast, 1-d arrays are vectors.

    Parameters
    ----------
    x : Tensor
        Shape (…, n, k) or (k,).
    y : Tensor
        Shape (…, k, m) or (k,).

    Returns
    -------
    Tensor
        Shape (…, n, m), without the axis of an input that was a vector.

    Notes
    -----
    In float32 and float64 an element of the result is the sum over runs of 256 products, each run
    added up in order in that type (fused multiply-adds where the processor has them). It does not
    depend on the number of threads, on the other rows and columns, or on memory layout. Transposed
    views are read as they are, without a copy.
    """


@matmul.vjp
def _(g, x, y, needs):
    if x.ndim == 2 and y.ndim == 2:
        return matmul(g, y.T) if needs[0] else None, matmul(x.T, g) if needs[1] else None
    if x.ndim == 1 and y.ndim == 1:
        return g * y, g * x
    if x.ndim == 1:
        gx = matmul(y, expand_dims(g, axis=-1)) if needs[0] else None
        gx = None if gx is None else reshape(gx, gx.shape[:-1])
        return gx, expand_dims(x, axis=-1) * expand_dims(g, axis=-2) if needs[1] else None
    if y.ndim == 1:
        gx = expand_dims(g, axis=-1) * y if needs[0] else None
        if not needs[1]:
            return gx, None
        gy = matmul(_transpose(x), expand_dims(g, axis=-1))
        return gx, reshape(gy, gy.shape[:-1])
    gx = matmul(g, _transpose(y)) if needs[0] else None
    if y.ndim == 2:  # one product over all rows, instead of one for each batch and their sum
        x, g = reshape(x, (-1, x.shape[-1])), reshape(g, (-1, g.shape[-1]))
    return gx, matmul(_transpose(x), g) if needs[1] else None


def _transpose(x: Tensor) -> Tensor:
    return permute_dims(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


@op(kernel="linear", shape=shapes.linear, samples=samples.linears)
def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, /):
    """x · weightᵀ + bias over the last axis.

    Fused for speed: the product is not read and written once more to add the bias.

    Parameters
    ----------
    x : Tensor
        Shape (…, in).
    weight : Tensor
        Shape (out, in).
    bias : Tensor, optional
        Shape (out,).

    Returns
    -------
    Tensor
        Shape (…, out).

    Raises
    ------
    ShapeError
        If the sizes do not fit.

    Notes
    -----
    Sums as in `matmul`, the bias last: a row of the result does not depend on the other rows.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> weight = fg.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> fg.linear(fg.tensor([1.0, 10.0]), weight, fg.tensor([0.5, 0.0])).tolist()
    [21.5, 43.0]
    """
    y = matmul(x, weight.T)
    return y if bias is None else y + bias


@linear.vjp
def _(g, x, weight, needs):
    gx = matmul(g, weight) if needs[0] else None
    n_rows = math.prod(g.shape[:-1])
    g = reshape(g, (n_rows, g.shape[-1]))  # one product over all rows
    return (
        gx,
        matmul(g.T, reshape(x, (n_rows, x.shape[-1]))) if needs[1] else None,
        sum(g, axis=0) if needs[2] else None,
    )


@op(kernel="einsum", variadic=True, shape=shapes.einsum, samples=samples.contractions)
def contract(arrays: Sequence[TensorLike], /, subscripts: str):
    """Sum of products over named indices: what `einsum` calls.

    Parameters
    ----------
    arrays : sequence of Tensor
        One for each term.
    subscripts : str
        Such as "bij,bjk->bik": with "->", and each index at most once in a term.
    """


@contract.vjp
def _(g, arrays, subscripts, needs):
    terms, output = subscripts.split("->")
    terms = terms.split(",")
    gradients = []
    for i, (term, need) in enumerate(zip(terms, needs, strict=True)):
        if not need:
            gradients.append(None)
            continue
        others = [t for j, t in enumerate(terms) if j != i]
        present = [a for a in term if a in output or any(a in t for t in others)]
        factors = [g] + [x for j, x in enumerate(arrays) if j != i]
        part = contract(factors, ",".join([output, *others]) + "->" + "".join(present))
        # Indices of this term alone were summed by themselves: every element gets the same.
        sizes = dict(zip(term, arrays[i].shape, strict=True))
        part = reshape(part, tuple(sizes[a] if a in present else 1 for a in term))
        gradients.append(broadcast_to(part, arrays[i].shape))
    return tuple(gradients)


def einsum(subscripts: str, *arrays: TensorLike) -> Tensor:
    """Einstein summation, as `numpy.einsum`.

    Parameters
    ----------
    subscripts : str
        For example "bij,bjk->bik". Without "->" the indices that occur once are kept, in
        alphabetical order. "..." and an index repeated within one term are not supported.
    *arrays : Tensor
        One for each term.

    Returns
    -------
    Tensor
        One axis for each index after "->".

    Raises
    ------
    ShapeError
        If a term does not fit its array, or uses what is not supported.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.einsum("ij,j->i", fg.tensor([[1.0, 2.0], [3.0, 4.0]]), fg.tensor([1.0, 10.0])).tolist()
    [21.0, 43.0]
    """
    subscripts = subscripts.replace(" ", "")
    if "." in subscripts:
        raise ShapeError(f"einsum: {subscripts!r}: '...' is not supported; name every axis.")
    if "->" not in subscripts:
        letters = subscripts.replace(",", "")
        kept = sorted(a for a in set(letters) if letters.count(a) == 1)
        subscripts = f"{subscripts}->{''.join(kept)}"
    for term in subscripts.replace("->", ",").split(","):
        if len(set(term)) != len(term):
            raise ShapeError(
                f"einsum: {subscripts!r}: term {term!r} has an index twice; take the diagonal "
                "first."
            )
    return contract(arrays, subscripts)
