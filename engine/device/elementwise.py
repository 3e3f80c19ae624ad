"""Elementwise ops: C loops for float32 and float64, the ufunc for every other dtype."""

import numpy as np

from fieldgrad.engine import _kernels
from fieldgrad.engine.device.table import Table, arrays_out

__all__ = ["KERNELS"]

KERNELS: Table = {
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
        f.__name__: arrays_out(f)
        for f in (
            np.logical_and,
            np.logical_or,
            np.logical_xor,
        )
    },
}
