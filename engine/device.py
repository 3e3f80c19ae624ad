"""The CPU's table: kernel name to callable, arrays and attributes in, array out.

An op names its kernel; what runs under that name is decided here and nowhere else. Another device
brings another table, and no op changes. Most entries are C (``_kernels.pyx`` and its
siblings); where NumPy is already at memory speed (copies, views, indexing, comparisons) it is used
as it is.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine import (
    _kernels,
    _linalg_kernels,
    _nn_kernels,
    _norm_kernels,
    _science_kernels,
)

__all__ = ["KERNELS"]

Array = NDArray[Any]


def _array(function: Callable[..., Any]) -> Callable[..., Array]:
    """NumPy gives scalars for 0-d results; kernels give arrays."""

    def kernel(*arrays: Any, **attributes: Any) -> Array:
        return np.asarray(function(*arrays, **attributes))

    return kernel


def _getitem(x: Array, *, index: Any) -> Array:
    return np.asarray(x[index])


def _setitem(x: Array, value: Array, *, index: Any) -> Array:
    out = x.copy(order="K")
    out[index] = value
    return out


def _index_add(g: Array, *, index: Any, shape: tuple[int, ...]) -> Array:
    parts = index if isinstance(index, tuple) else (index,)
    if isinstance(index, np.ndarray) and index.dtype.kind in "iu" and g.dtype.kind == "f":
        rows = np.where(index < 0, index + shape[0], index).ravel()
        g = g.reshape(rows.size, *shape[1:])
        return np.asarray(_science_kernels.segment("sum", g, rows, num_segments=shape[0]))
    repeats = any(isinstance(p, (list, np.ndarray)) and np.asarray(p).dtype != bool for p in parts)
    out = _kernels.empty(shape, g.dtype)
    out.fill(0)
    if repeats:
        np.add.at(out, index, g)
    else:
        out[index] = g
    return out


def _scatter_add(g: Array, index: Array, *, axis: int, size: int) -> Array:
    shape = list(g.shape)
    shape[axis] = size
    out = np.zeros(shape, g.dtype)
    where = list(np.ogrid[tuple(slice(n) for n in index.shape)])
    where[axis] = index
    np.add.at(out, tuple(where), g)
    return out


def _unstack(x: Array, *, axis: int) -> list[Array]:
    return [part[...] for part in np.moveaxis(x, axis, 0)]


def _pad(x: Array, *, padding: Sequence[tuple[int, int]], mode: str, value: float) -> Array:
    if mode != "constant":
        return np.pad(x, padding, mode=mode)  # type: ignore[call-overload]
    shape = [n + before + after for n, (before, after) in zip(x.shape, padding, strict=True)]
    order = sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis]))
    out = _kernels.empty(shape, x.dtype, order)
    out.fill(value)
    inside: tuple[Any, ...] = tuple(
        slice(b, b + n) for n, (b, _) in zip(x.shape, padding, strict=True)
    )
    _kernels.copy_to(out[(*inside, ...)], x)
    return out


def _concat(arrays: Sequence[Array], *, axis: int) -> Array:
    """Join along an axis, keeping the memory order of the first array."""
    first = arrays[0]
    shape = list(first.shape)
    shape[axis] = sum(a.shape[axis] for a in arrays)
    order = sorted(range(first.ndim), key=lambda i: -abs(first.strides[i]))
    out = _kernels.empty(shape, np.result_type(*arrays), order)
    start = 0
    for a in arrays:
        stop = start + a.shape[axis]
        _kernels.copy_to(out[(slice(None),) * (axis % first.ndim) + (slice(start, stop),)], a)
        start = stop
    return out


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


def _instance_norm(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    *,
    eps: float,
    negative_slope: float,
) -> tuple[Array, ...]:
    return _norm_kernels.norm(x, weight, bias, x.shape[0], x.shape[1], eps, negative_slope)


def _group_norm(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    *,
    groups: int,
    eps: float,
    negative_slope: float,
) -> tuple[Array, ...]:
    return _norm_kernels.norm(x, weight, bias, x.shape[0], groups, eps, negative_slope)


def _batch_norm(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    *,
    eps: float,
    negative_slope: float,
    running: tuple[Array, Array] | None,
    momentum: float,
) -> tuple[Array, ...]:
    out, mean, rstd = _norm_kernels.norm(x, weight, bias, 1, x.shape[1], eps, negative_slope)
    if running is not None:
        count = x.size // x.shape[1]
        with np.errstate(divide="ignore"):  # no spread and no eps: infinite rstd, variance 0
            var = np.maximum(np.float64(rstd[0]) ** -2.0 - eps, 0.0) * (count / (count - 1))
        for average, new in zip(running, (mean[0], var), strict=True):
            average += (momentum * (new - average)).astype(average.dtype)
    return out, mean, rstd


def _given_norm(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    *,
    mean: Array,
    var: Array,
    eps: float,
    negative_slope: float,
) -> tuple[Array, ...]:
    shape = (1, x.shape[1])
    with np.errstate(divide="ignore"):
        rstd = np.divide(1.0, np.sqrt(np.add(var, eps, dtype=float)))
    given = (
        np.ascontiguousarray(mean, x.dtype).reshape(shape),
        np.ascontiguousarray(rstd, x.dtype).reshape(shape),
    )
    return _norm_kernels.norm(x, weight, bias, 1, x.shape[1], eps, negative_slope, given)


def _layer_norm(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    *,
    n_axes: int,
    eps: float,
) -> tuple[Array, ...]:
    size = math.prod(x.shape[x.ndim - n_axes :])
    rows = x.reshape(x.size // max(size, 1), size)
    weight, bias = (None if p is None else p.reshape(-1) for p in (weight, bias))
    out, mean, rstd = _norm_kernels.norm(rows, weight, bias, len(rows), 1, eps)
    return out.reshape(x.shape), mean, rstd


def _resample(x: Array, *, axis: int, taps: Any) -> Array:
    return _nn_kernels.resample(x, axis % x.ndim, taps.n_out, taps.start, taps.index, taps.weight)


def _gru(
    gates: Array, h: Array, weight: Array, bias: Array | None = None, **options: Any
) -> tuple[Array, Array]:
    return _science_kernels.recurrent(gates, h, None, weight, bias, **options)


KERNELS: dict[str, Callable[..., Any]] = {
    # Elementwise: C loops for float32 and float64, the ufunc for every other dtype.
    **{
        name: _kernels.Elementwise(name, ufunc)
        for name, ufunc in {
            "add": np.add,
            "subtract": np.subtract,
            "multiply": np.multiply,
            "divide": np.divide,
            "power": np.power,
            "maximum": np.maximum,
            "minimum": np.minimum,
            "negative": np.negative,
            "abs": np.abs,
            "sign": np.sign,
            "square": np.square,
            "reciprocal": np.reciprocal,
            "sqrt": np.sqrt,
            "exp": np.exp,
            "expm1": np.expm1,
            "log": np.log,
            "log1p": np.log1p,
            "sin": np.sin,
            "cos": np.cos,
            "tanh": np.tanh,
            "clip": np.clip,
            "floor": np.floor,
            "ceil": np.ceil,
            "round": np.rint,
            "equal": np.equal,
            "not_equal": np.not_equal,
            "less": np.less,
            "less_equal": np.less_equal,
            "greater": np.greater,
            "greater_equal": np.greater_equal,
            "logical_not": np.logical_not,
            "isnan": np.isnan,
            "isfinite": np.isfinite,
            "where": np.where,
            "divide_or_zero": None,
            "erf": None,
            "sigmoid": None,
            "softplus": None,
            "silu": None,
            "gelu": None,
            "relu": None,
            "leaky_relu": None,
            "binary_cross_entropy": None,
            "elu": None,
            "tanh_grad": None,
            "sigmoid_grad": None,
            "softplus_grad": None,
            "silu_grad": None,
            "gelu_grad": None,
            "leaky_relu_grad": None,
            "elu_grad": None,
        }.items()
    },
    **{
        f.__name__: _array(f)
        for f in (
            np.logical_and,
            np.logical_or,
            np.logical_xor,
        )
    },
    # Layout: views where NumPy gives one.
    "alias": lambda x: x.view(),
    "astype": lambda x, dtype: x.astype(dtype),
    "reshape": lambda x, shape: x.reshape(shape),
    "permute_dims": lambda x, axes: x.transpose(axes),
    "broadcast_to": lambda x, shape: _kernels.broadcast_to(x, tuple(shape)),
    "flip": lambda x, axis: np.flip(x, axis),
    "unstack": lambda x, axis: [
        x[(*[slice(None)] * (axis % x.ndim), i, ...)] for i in range(x.shape[axis])
    ],
    "pad": _pad,
    "concat": _concat,
    # Reductions and scans.
    **{
        f.__name__: _kernels.Reduction(f.__name__, f)
        for f in (np.sum, np.mean, np.prod, np.max, np.min, np.argmax, np.argmin)
    },
    "cumsum": _kernels.cumsum,
    "all": _array(np.all),
    "any": _array(np.any),
    # Linear algebra.
    "matmul": _linalg_kernels.matmul,
    "linear": _linalg_kernels.linear,
    "einsum": _einsum,
    # Convolution.
    "conv": _nn_kernels.conv,
    "conv_transpose": _nn_kernels.conv_transpose,
    "conv_weight": _nn_kernels.conv_weight,
    # Normalization.
    "instance_norm": _instance_norm,
    "group_norm": _group_norm,
    "batch_norm": _batch_norm,
    "given_norm": _given_norm,
    "layer_norm": _layer_norm,
    "norm_gradient": _norm_kernels.norm_gradient,
    "softmax": _norm_kernels.softmax,
    "log_softmax": _norm_kernels.log_softmax,
    "softmax_gradient": _norm_kernels.softmax_gradient,
    "log_softmax_gradient": _norm_kernels.log_softmax_gradient,
    # Losses.
    "cross_entropy": _norm_kernels.cross_entropy,
    "cross_entropy_gradient": _norm_kernels.cross_entropy_gradient,
    "overlap_sums": _norm_kernels.overlap_sums,
    "overlap_sums_gradient": _norm_kernels.overlap_sums_gradient,
    # Pooling and resampling.
    "max_pool": _nn_kernels.max_pool,
    "max_unpool": _nn_kernels.max_unpool,
    "resample": _resample,
    # Indexing.
    "getitem": _getitem,
    "setitem": _setitem,
    "index_add": _index_add,
    "take_along_axis": lambda x, index, axis: np.take_along_axis(x, index, axis),
    "scatter_add": _scatter_add,
    # Irregular data.
    "gather": _science_kernels.gather,
    **{
        f"segment_{kind}": functools.partial(_science_kernels.segment, kind)
        for kind in _science_kernels.SEGMENT_KINDS
    },
    "segment_pick": _science_kernels.segment_pick,
    "segment_unpick": _science_kernels.segment_unpick,
    "cdist": _science_kernels.cdist,
    "knn": _science_kernels.knn,
    "gru": _gru,
    "lstm": _science_kernels.recurrent,
    "recurrent_gradient": _science_kernels.recurrent_gradient,
}
