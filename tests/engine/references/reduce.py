"""Reductions and scans."""

import numpy as np


def _linear_scan(a, b, axis):
    out = b.copy()
    for i in range(1, out.shape[axis]):
        here, before = ((slice(None),) * (axis % out.ndim) + (j,) for j in (i, i - 1))
        out[here] += a[here] * out[before]
    return out


def _sort(x, axis, descending):
    return np.flip(np.sort(x, axis), axis) if descending else np.sort(x, axis)


REFERENCES = {
    "sort": _sort,
    "argsort": lambda x, axis, descending: np.argsort(-x if descending else x, axis),
    "cumprod": lambda x, axis: np.cumprod(x, axis),
    "linear_scan": _linear_scan,
    "logcumsumexp": lambda x, axis: np.logaddexp.accumulate(x, axis),
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
