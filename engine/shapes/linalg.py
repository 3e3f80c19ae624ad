"""Matrix products, contractions, factorizations and equations."""

from collections.abc import Sequence
from typing import Any

from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.shapes.layout import Shape, broadcast

__all__ = [
    "det",
    "eigenvalues",
    "eigh",
    "einsum",
    "linear",
    "lstsq",
    "lu",
    "matmul",
    "matrices",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "square",
    "svd",
    "svdvals",
    "transposed",
]


def matmul(x: Shape, y: Shape) -> Shape:
    """Shape of a matrix product with broadcast leading axes."""
    if not x or not y:
        raise ShapeError(f"matmul: shapes {x} and {y}; expected at least one axis each.")
    rows, inner = (x[:-1][-1:], x[-1])
    inner_y, columns = (y[-2], y[-1:]) if len(y) > 1 else (y[0], ())
    if inner != inner_y:
        raise ShapeError(
            f"matmul: shapes {x} and {y}: the last axis of the first has {inner} elements, the "
            f"{'second last' if len(y) > 1 else 'only'} axis of the second has {inner_y}; expected "
            "equal sizes. Transpose one of them?"
        )
    return (*broadcast(x[:-2], y[:-2]), *rows, *columns) if x[:-2] or y[:-2] else (*rows, *columns)


def linear(x: Shape, weight: Shape, bias: Shape | None = None) -> Shape:
    """Shape of x with the last axis as long as weight's first."""
    if len(weight) != 2:
        raise ShapeError(f"linear: weight has shape {weight}; expected (out, in).")
    if x[-1:] != weight[1:]:
        raise ShapeError(
            f"linear: x has {x[-1] if x else 'no'} features (shape {x}), but weight {weight} "
            f"expects {weight[1]}. Set in_features to the size of x's last axis."
        )
    if bias is not None and bias != weight[:1]:
        raise ShapeError(
            f"linear: bias has shape {bias}, weight {weight}; expected {weight[:1]}: one number "
            "for each row of weight."
        )
    return (*x[:-1], weight[0])


def einsum(shapes: Sequence[Shape], *, subscripts: str) -> Shape:
    """Shape of an explicit einsum: sizes by letter, checked."""
    inputs, output = subscripts.split("->")
    sizes: dict[str, int] = {}
    terms = inputs.split(",")
    if len(terms) != len(shapes):
        raise ShapeError(f"einsum: {subscripts!r} names {len(terms)} arrays, {len(shapes)} given.")
    for i, (term, s) in enumerate(zip(terms, shapes, strict=True)):
        if len(term) != len(s):
            raise ShapeError(f"einsum: term {term!r} of {subscripts!r} for array {i} of shape {s}.")
        for letter, n in zip(term, s, strict=True):
            if sizes.setdefault(letter, n) != n:
                raise ShapeError(
                    f"einsum: {subscripts!r}: index {letter} is {sizes[letter]} and, in array {i} "
                    f"of shape {s}, {n}; expected one size."
                )
    return tuple(sizes[letter] for letter in output)


def matrices(x: Shape, **_: Any) -> Shape:
    """x's shape, if it holds matrices."""
    if len(x) < 2:
        raise ShapeError(f"the array has shape {x}; expected matrices, in two or more axes.")
    return x


def square(x: Shape, **_: Any) -> Shape:
    """x's shape, if it holds square matrices."""
    if matrices(x)[-1] != x[-2]:
        raise ShapeError(
            f"the array has shape {x}; expected square matrices, the last two axes of one length."
        )
    return x


def det(x: Shape) -> Shape:
    """One number for each square matrix."""
    return square(x)[:-2]


def slogdet(x: Shape) -> list[Shape]:
    """Two numbers for each square matrix."""
    return [det(x)] * 2


def eigenvalues(x: Shape) -> Shape:
    """One number for each row of a square matrix."""
    return square(x)[:-1]


def eigh(x: Shape) -> list[Shape]:
    """Eigenvalues and eigenvectors."""
    return [eigenvalues(x), x]


def transposed(x: Shape, **_: Any) -> Shape:
    """The last two axes exchanged."""
    matrices(x)
    return (*x[:-2], x[-1], x[-2])


def svdvals(x: Shape) -> Shape:
    """Singular values: as many as the shorter side."""
    return (*matrices(x)[:-2], min(x[-2:]))


def svd(x: Shape, *, full_matrices: bool) -> list[Shape]:
    """U, S and Vᴴ, the outer two square if full."""
    batch, (m, n), k = x[:-2], matrices(x)[-2:], min(x[-2:])
    if full_matrices:
        return [(*batch, m, m), (*batch, k), (*batch, n, n)]
    return [(*batch, m, k), (*batch, k), (*batch, k, n)]


def qr(x: Shape, *, mode: str) -> list[Shape]:
    """Q and R."""
    m, n = matrices(x)[-2:]
    k = m if mode == "complete" else min(m, n)
    return [(*x[:-2], m, k), (*x[:-2], k, n)]


def lu(x: Shape) -> list[Shape]:
    """P, L and U."""
    m, n = matrices(x)[-2:]
    return [(*x[:-2], m, m), (*x[:-2], m, min(m, n)), (*x[:-2], min(m, n), n)]


def solve(a: Shape, b: Shape) -> Shape:
    """Shape of the unknowns."""
    n = square(a)[-1]
    if b == (n,):
        return a[:-1]
    if len(b) < 2 or b[-2] != n:
        raise ShapeError(
            f"solve: a has shape {a}, b {b}; expected ({n},) or (…, {n}, k): as many equations "
            "as unknowns."
        )
    return (*broadcast(a[:-2], b[:-2]), n, b[-1])


def solve_triangular(a: Shape, b: Shape, *, left: bool, **_: Any) -> Shape:
    """Shape of the unknowns, to the right or left of a."""
    n = square(a)[-1]
    if len(b) < 2 or b[-2 if left else -1] != n:
        raise ShapeError(
            f"solve_triangular: a has shape {a}, b {b}; expected "
            f"{f'(…, {n}, k)' if left else f'(…, k, {n})'} for b."
        )
    return (*broadcast(a[:-2], b[:-2]), *b[-2:])


def lstsq(a: Shape, b: Shape, **_: Any) -> Shape:
    """Shape of the unknowns of more or fewer equations."""
    m, n = matrices(a)[-2:]
    if b == (m,):
        return (*a[:-2], n)
    if len(b) < 2 or b[-2] != m:
        raise ShapeError(f"lstsq: a has shape {a}, b {b}; expected ({m},) or (…, {m}, k) for b.")
    return (*broadcast(a[:-2], b[:-2]), n, b[-1])
