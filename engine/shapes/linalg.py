"""Matrix products and contractions."""

from collections.abc import Sequence

from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.shapes.layout import Shape, broadcast

__all__ = ["einsum", "linear", "matmul"]


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
