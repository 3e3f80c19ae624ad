"""Einstein summation: products of arrays with named indices."""

import builtins
import string
from collections.abc import Sequence

from fieldgrad.engine import samples, shapes
from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.op import TensorLike, as_tensor, op
from fieldgrad.engine.ops.layout import broadcast_to, permute_dims, reshape
from fieldgrad.engine.ops.linalg.diagonals import diagonal
from fieldgrad.engine.shapes import broadcast

__all__ = ["contract", "einsum", "multi_dot"]


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
        alphabetical order. "..." stands for any further axes, which broadcast and come first in the
        result unless it says otherwise. An index that occurs twice in one term means the diagonal.
    *arrays : Tensor
        One for each term.

    Returns
    -------
    Tensor
        One axis for each index after "->".

    Raises
    ------
    ShapeError
        If a term does not fit its array.

    Notes
    -----
    Arrays are contracted in pairs, in the order that costs least, as products of matrices.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.einsum("ij,j->i", fg.tensor([[1.0, 2.0], [3.0, 4.0]]), fg.tensor([1.0, 10.0])).tolist()
    [21.0, 43.0]
    >>> fg.einsum("...ii->...", fg.tensor([[[1.0, 2.0], [3.0, 4.0]]])).tolist()
    [5.0]
    """
    subscripts = subscripts.replace(" ", "")
    inputs, arrow, output = subscripts.partition("->")
    terms = inputs.split(",")
    if len(terms) != len(arrays):
        raise ShapeError(f"einsum: {subscripts!r} names {len(terms)} arrays, {len(arrays)} given.")
    tensors = [as_tensor(a) for a in arrays]
    if "..." in subscripts:
        terms, output, tensors = _name_further_axes(subscripts, terms, output, tensors)
        arrow = arrow or "->"
    elif not arrow:
        output = _single_letters(terms)
    for i, term in enumerate(terms):
        terms[i], tensors[i] = _take_diagonals(subscripts, term, tensors[i])
    return contract(tensors, f"{','.join(terms)}->{output}")


def _single_letters(terms: Sequence[str]) -> str:
    """The indices that occur once, in alphabetical order: an implicit result."""
    letters = "".join(terms)
    return "".join(sorted(a for a in set(letters) if letters.count(a) == 1))


def _name_further_axes(
    subscripts: str, terms: list[str], output: str, tensors: list[Tensor]
) -> tuple[list[str], str, list[Tensor]]:
    """Letters for "...", the same for the same axis from the end; axes of length 1 repeat."""
    n_further = [
        x.ndim - len(t.replace("...", "")) if "..." in t else 0
        for t, x in zip(terms, tensors, strict=True)
    ]
    if builtins.min(n_further) < 0:
        raise ShapeError(f"einsum: a term of {subscripts!r} names more axes than its array has.")
    free = [a for a in string.ascii_letters if a not in subscripts]
    names = "".join(free[: builtins.max(n_further)])
    if "->" not in subscripts:
        output = "..." + _single_letters([t.replace("...", "") for t in terms])
    further = [
        t.shape[term.find("...") :][:n]
        for t, term, n in zip(tensors, terms, n_further, strict=True)
    ]
    common = broadcast(*further)
    new_terms, new_tensors = [], []
    for term, x, n in zip(terms, tensors, n_further, strict=True):
        own = names[len(names) - n :]
        start = term.find("...")
        # An axis of length 1 that others repeat is left out of the product altogether.
        single = [
            start + i for i in range(n) if x.shape[start + i] == 1 != common[len(common) - n + i]
        ]
        kept = "".join(a for i, a in enumerate(own) if start + i not in single)
        new_tensors.append(
            reshape(x, tuple(m for i, m in enumerate(x.shape) if i not in single)) if single else x
        )
        new_terms.append(term.replace("...", kept))
    return new_terms, output.replace("...", names), new_tensors


def _take_diagonals(subscripts: str, term: str, x: Tensor) -> tuple[str, Tensor]:
    """A term in which no index occurs twice."""
    while len(set(term)) < len(term):
        letter = next(a for a in term if term.count(a) > 1)
        i = term.index(letter)
        j = term.index(letter, i + 1)
        if len(term) != x.ndim or x.shape[i] != x.shape[j]:
            raise ShapeError(
                f"einsum: term {term!r} of {subscripts!r} for an array of shape {x.shape}; "
                f"expected axes of equal length for {letter}."
            )
        rest = [k for k in range(x.ndim) if k not in (i, j)]
        x = diagonal(permute_dims(x, (*rest, i, j)))
        term = "".join(term[k] for k in rest) + letter
    return term, x


def multi_dot(arrays: Sequence[TensorLike], /) -> Tensor:
    """Product of several matrices, in the order that costs least.

    Parameters
    ----------
    arrays : sequence of Tensor
        At least two matrices; the first and the last may be vectors.

    Returns
    -------
    Tensor
        As `matmul` of all, one after the other.

    Raises
    ------
    ShapeError
        If there are fewer than two, or one between the ends is no matrix.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> row, matrix, column = fg.ones((1, 3)), fg.ones((3, 3)), fg.ones((3, 1))
    >>> fg.linalg.multi_dot([row, matrix, column]).tolist()
    [[9.0]]
    """
    tensors = [as_tensor(a) for a in arrays]
    inner = [t.shape for t in tensors[1:-1]]
    if len(tensors) < 2 or any(len(s) != 2 for s in inner):
        raise ShapeError(
            f"multi_dot: shapes {[t.shape for t in tensors]}; expected two or more matrices, of "
            "which the first and last may be vectors."
        )
    letters, terms, at = string.ascii_letters, [], 0
    for i, t in enumerate(tensors):
        if t.ndim == 1:
            terms.append(letters[at])
            at += i > 0
        else:
            terms.append(letters[at : at + 2])
            at += 1
    first = terms[0][0] if tensors[0].ndim == 2 else ""
    last = terms[-1][-1] if tensors[-1].ndim == 2 else ""
    return contract(tensors, f"{','.join(terms)}->{first}{last}")
