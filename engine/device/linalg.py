"""Products of matrices."""

import math
from collections.abc import Sequence

import numpy as np

from fieldgrad.engine import _linalg_kernels
from fieldgrad.engine.device.table import Array, Table

__all__ = ["KERNELS"]


def _einsum(arrays: Sequence[Array], *, subscripts: str) -> Array:
    """Pairs of arrays as matrix products, in the order that NumPy finds cheap."""
    inputs, output = subscripts.split("->")
    operands = list(zip(inputs.split(","), arrays, strict=True))
    path = np.einsum_path(subscripts, *arrays, optimize="greedy")[0][1:]
    for positions in path:
        chosen = [operands.pop(i) for i in sorted(positions, reverse=True)]
        while len(chosen) > 1:
            (term_a, a), (term_b, b) = chosen.pop(), chosen.pop()
            rest = output + "".join(term for term, _ in (*chosen, *operands))
            chosen.append(_contract_pair(term_a, a, term_b, b, rest))
        operands += chosen
    ((term, x),) = operands
    return np.asarray(np.einsum(f"{term}->{output}", x))


def _contract_pair(term_a: str, a: Array, term_b: str, b: Array, rest: str) -> tuple[str, Array]:
    """Product of two arrays, summed over the indices that the rest does not need."""
    batch = [i for i in term_a if i in term_b and i in rest]
    inner = [i for i in term_a if i in term_b and i not in rest]
    left = [i for i in term_a if i not in term_b and i in rest]
    right = [i for i in term_b if i not in term_a and i in rest]
    term = "".join(batch + left + right)
    if not inner:
        return term, np.einsum(f"{term_a},{term_b}->{term}", a, b)
    sizes = dict(zip(term_a + term_b, a.shape + b.shape, strict=True))

    def matrices(own: str, x: Array, rows: list[str], columns: list[str]) -> Array:
        x = np.einsum(f"{own}->{''.join(batch + rows + columns)}", x)
        shape = [sizes[i] for i in batch]
        return x.reshape(*shape, *(math.prod(sizes[i] for i in part) for part in (rows, columns)))

    x, y = matrices(term_a, a, left, inner), matrices(term_b, b, inner, right)
    return term, _linalg_kernels.matmul(x, y).reshape([sizes[i] for i in term])


KERNELS: Table = {
    "matmul": _linalg_kernels.matmul,
    "linear": _linalg_kernels.linear,
    "einsum": _einsum,
}
