"""Elementwise ops: C loops for float32 and float64, the ufunc for every other dtype."""

from collections.abc import Callable

import numpy as np

from fieldgrad.engine.bindings import base_kernels
from fieldgrad.engine.device.table import Array, Table, arrays_out
from fieldgrad.engine.errors import DTypeError

__all__ = ["KERNELS"]


def _multiply_or_zero(x: Array, y: Array) -> Array:
    return np.where(x == 0, x, x * y)


def _divide_or_zero(x: Array, y: Array) -> Array:
    return np.where(x == 0, x, x / y)


def _of_integers(name: str) -> Callable[..., Array]:
    """NumPy's function, for integers and truth values only."""
    function = arrays_out(getattr(np, name))

    def kernel(*arrays: Array) -> Array:
        if any(x.dtype.kind not in "biu" for x in arrays):
            raise DTypeError(
                f"{name}: dtype {' and '.join(str(x.dtype) for x in arrays)}; expected integers or "
                "truth values. Convert with .astype(int64) first."
            )
        return function(*arrays)

    return kernel


KERNELS: Table = {
    **{
        name: base_kernels.Elementwise(name, ufunc)
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
            "round": np.round,
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
            "multiply_or_zero": _multiply_or_zero,
            "divide_or_zero": _divide_or_zero,
            "erf": None,
            "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
            "softplus": None,
            "silu": None,
            "gelu": None,
            "relu": None,
            "leaky_relu": None,
            "binary_cross_entropy": None,
            "elu": None,
            "tanh_grad": lambda g, y: g * (1 - y * y),
            "sigmoid_grad": lambda g, y: g * (y * (1 - y)),
            "softplus_grad": None,
            "silu_grad": None,
            "gelu_grad": None,
            "leaky_relu_grad": None,
            "elu_grad": None,
        }.items()
    },
    **{
        name: arrays_out(getattr(np, name))
        for name in (
            "acos",
            "acosh",
            "asin",
            "asinh",
            "atan",
            "atan2",
            "atanh",
            "copysign",
            "cosh",
            "exp2",
            "floor_divide",
            "fmod",
            "hypot",
            "isinf",
            "log10",
            "log2",
            "logaddexp",
            "logical_and",
            "logical_or",
            "logical_xor",
            "nextafter",
            "remainder",
            "signbit",
            "sinh",
            "tan",
            "trunc",
        )
    },
    **{
        name: _of_integers(name)
        for name in (
            "bitwise_and",
            "bitwise_invert",
            "bitwise_left_shift",
            "bitwise_or",
            "bitwise_right_shift",
            "bitwise_xor",
            "gcd",
            "lcm",
        )
    },
    "real": lambda x: x.real,
    "imag": lambda x: x.imag,
    "conj": lambda x: np.asarray(np.conj(x)) if x.dtype.kind == "c" else x,
}
