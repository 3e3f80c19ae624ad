"""Reductions and scans."""

import numpy as np

REFERENCES = {
    "sum": lambda x, axis, keepdims: x.sum(axis=axis, keepdims=keepdims),
    "mean": lambda x, axis, keepdims: x.mean(axis=axis, keepdims=keepdims),
    "max": lambda x, axis, keepdims: x.max(axis=axis, keepdims=keepdims),
    "min": lambda x, axis, keepdims: x.min(axis=axis, keepdims=keepdims),
    "prod": lambda x, axis, keepdims: x.prod(axis=axis, keepdims=keepdims),
    "cumsum": lambda x, axis: np.cumsum(x, axis),
    "argmax": lambda x, axis, keepdims: np.argmax(x, axis, keepdims=keepdims),
    "argmin": lambda x, axis, keepdims: np.argmin(x, axis, keepdims=keepdims),
    "all": lambda x, axis, keepdims: np.all(x, axis, keepdims=keepdims),
    "any": lambda x, axis, keepdims: np.any(x, axis, keepdims=keepdims),
}
