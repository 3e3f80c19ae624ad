"""Float64 NumPy and SciPy functions that say what each op of the table must give."""

import numpy as np
from scipy import special


def _pad(x, padding, mode="constant", value=0.0):
    return np.pad(x, padding, constant_values=value) if x.ndim else x


def _index_add(g, index, shape):
    out = np.zeros(shape)
    np.add.at(out, index, g)
    return out


def _setitem(x, value, index):
    out = x.copy()
    out[index] = value
    return out


def _scatter_add(g, index, axis, size):
    shape = list(g.shape)
    shape[axis] = size
    out = np.zeros(shape)
    for position in np.ndindex(g.shape):
        target = list(position)
        target[axis] = index[position]
        out[tuple(target)] += g[position]
    return out


def _axes(value, n):
    return (value,) * n if np.isscalar(value) else tuple(value)


def _windows(x, kernel_size, stride, padding, dilation):
    """Views (batch, channel, positions…, taps…) into the padded input."""
    n = x.ndim - 2
    stride, padding, dilation = (_axes(v, n) for v in (stride, padding, dilation))
    x = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)])
    extent = [d * (k - 1) + 1 for d, k in zip(dilation, kernel_size, strict=True)]
    windows = np.lib.stride_tricks.sliding_window_view(x, extent, tuple(range(2, n + 2)))
    steps = [slice(None, None, s) for s in (*stride, *dilation)]
    return windows[(slice(None), slice(None), *steps)]


LETTERS, TAPS = "xyz", "abc"  # spatial positions and kernel taps in einsum


def _conv(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    n = x.ndim - 2
    windows = _windows(x, weight.shape[2:], stride, padding, dilation)
    windows = windows.reshape(len(x), groups, x.shape[1] // groups, *windows.shape[2:])
    weight = weight.reshape(groups, -1, *weight.shape[1:])
    p, t = LETTERS[:n], TAPS[:n]
    out = np.einsum(f"nik{p}{t},iok{t}->nio{p}", windows, weight)
    out = out.reshape(len(x), groups * weight.shape[1], *out.shape[3:])
    return out if bias is None else out + bias.reshape(-1, *(1,) * n)


def _conv_weight(x, g, kernel_size, stride=1, padding=0, dilation=1, groups=1):
    n = x.ndim - 2
    windows = _windows(x, kernel_size, stride, padding, dilation)
    windows = windows.reshape(len(x), groups, x.shape[1] // groups, *windows.shape[2:])
    g = g.reshape(len(g), groups, g.shape[1] // groups, *g.shape[2:])
    p, t = LETTERS[:n], TAPS[:n]
    return np.einsum(f"nik{p}{t},nio{p}->iok{t}", windows, g).reshape(
        -1, x.shape[1] // groups, *kernel_size
    )


def _conv_transpose(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, dilation=1, groups=1
):
    """Every input is multiplied by the kernel and added where the kernel's taps fall."""
    n = x.ndim - 2
    stride, padding, dilation = (_axes(v, n) for v in (stride, padding, dilation))
    kernel, extra = weight.shape[2:], _axes(output_padding, n)
    size = [
        (x.shape[2 + i] - 1) * stride[i] + dilation[i] * (kernel[i] - 1) + 1 + extra[i]
        for i in range(n)
    ]
    out = np.zeros((len(x), groups, weight.shape[1], *size))
    x = x.reshape(len(x), groups, x.shape[1] // groups, *x.shape[2:])
    weight = weight.reshape(groups, -1, *weight.shape[1:])
    for tap in np.ndindex(*kernel):
        where = tuple(
            slice(t * d, t * d + (m - 1) * s + 1, s)
            for t, d, s, m in zip(tap, dilation, stride, x.shape[3:], strict=True)
        )
        part = np.einsum("gko,ngk...->ngo...", weight[(..., *tap)], x)
        out[(slice(None), slice(None), slice(None), *where)] += part
    out = out.reshape(len(x), groups * out.shape[2], *size)
    cut = tuple(slice(p, m - p) for p, m in zip(padding, size, strict=True))
    out = out[(slice(None), slice(None), *cut)]
    return out if bias is None else out + bias.reshape(-1, *(1,) * n)


def _norm(axes):
    """Normalization over axes(x), then weight and bias by channel and leaky ReLU."""

    def reference(x, weight=None, bias=None, groups=None, eps=1e-5, negative_slope=1.0):
        if not x.size:
            return x
        parts = x if groups is None else x.reshape(len(x), groups, -1)
        over = axes(parts)
        y = parts - parts.mean(over, keepdims=True)
        y = (y / np.sqrt(parts.var(over, keepdims=True) + eps)).reshape(x.shape)
        by_channel = (-1, *(1,) * (x.ndim - 2))
        y = y if weight is None else y * weight.reshape(by_channel)
        y = y if bias is None else y + bias.reshape(by_channel)
        return np.where(y > 0, y, negative_slope * y)

    return reference


def _given_norm(x, weight=1.0, bias=0.0, mean=0.0, var=1.0, eps=1e-5, negative_slope=1.0):
    by_channel = (-1, *(1,) * (x.ndim - 2))
    mean, scale, bias = (
        np.broadcast_to(a, x.shape[1]).reshape(by_channel)
        for a in (mean, weight / np.sqrt(var + eps), bias)
    )
    y = (x - mean) * scale + bias
    return np.where(y > 0, y, negative_slope * y)


def _layer_norm(x, weight=1.0, bias=0.0, n_axes=1, eps=1e-5):
    over = tuple(range(-n_axes, 0))
    y = (x - x.mean(over, keepdims=True)) / np.sqrt(x.var(over, keepdims=True) + eps)
    return y * weight + bias


def _softmax_gradient(g, y, axis):
    return y * (g - (g * y).sum(axis, keepdims=True))


def _log_softmax_gradient(g, y, axis):
    return g - np.exp(y) * g.sum(axis, keepdims=True)


def _one_hot(classes, n):
    return np.moveaxis(np.eye(n)[classes], -1, 1)


def _cross_entropy(
    logits, target, weight=None, ignore_index=None, label_smoothing=0.0, reduction="mean"
):
    n = logits.shape[1]
    weight = (np.ones(n) if weight is None else weight).reshape(-1, *(1,) * (logits.ndim - 2))
    q, divisor = target, logits.size // n
    if target.dtype.kind == "i":
        kept = np.expand_dims(target != ignore_index, 1)
        q = _one_hot(target, n) * kept
        divisor = (q * weight).sum()
        q = q * (1 - label_smoothing) + kept * label_smoothing / n
    else:
        q = q * (1 - label_smoothing) + label_smoothing / n
    loss = -(q * weight * special.log_softmax(logits, 1)).sum(1)
    return {"none": loss, "sum": loss.sum(), "mean": loss.sum() / (divisor or 1)}[reduction]


def _overlap_sums(logits, target):
    p, t = special.softmax(logits, 1), _one_hot(target, logits.shape[1])
    over = tuple(range(2, logits.ndim))
    terms = (p * t, p, t, -t * special.log_softmax(logits, 1))
    return np.stack([term.sum(over) for term in terms])


def _pool_windows(size, kernel_size, stride, padding):
    """Output positions, and for each the slices of its window."""
    n = len(size)
    kernel, padding = _axes(kernel_size, n), _axes(padding, n)
    stride = kernel if stride is None else _axes(stride, n)
    out = [
        (m + 2 * p - k) // s + 1 for m, k, s, p in zip(size, kernel, stride, padding, strict=True)
    ]
    for place in np.ndindex(*out):
        first = [o * s - p for o, s, p in zip(place, stride, padding, strict=True)]
        yield place, tuple(slice(max(f, 0), f + k) for f, k in zip(first, kernel, strict=True))


def _max_pool(x, kernel_size, stride=None, padding=0):
    windows = list(_pool_windows(x.shape[2:], kernel_size, stride, padding))
    out = np.zeros((*x.shape[:2], *np.max([place for place, _ in windows], axis=0) + 1))
    for place, window in windows:
        out[(..., *place)] = x[(..., *window)].max(axis=tuple(range(2, x.ndim)))
    return out


def _max_unpool(g, index, size, kernel_size, stride=None, padding=0):
    out = np.zeros((*g.shape[:2], int(np.prod(size))))
    for place in np.ndindex(g.shape):
        out[(*place[:2], index[place])] += g[place]
    return out.reshape(*g.shape[:2], *size)


def _resample_axis(x, axis, taps):
    return np.moveaxis(np.moveaxis(x, axis, -1) @ taps.matrix().T, -1, axis)


def _gather(x, index, skip_missing=False):
    out = x[index]
    out[np.asarray(index) < 0] = 0
    return out


def _segment_sum(x, segment_ids, num_segments, skip_missing=False):
    return np.stack(
        [x[segment_ids == s].sum(axis=0) for s in range(num_segments)] or [np.zeros(x.shape[1:])]
    )[:num_segments]


def _segment_extremum(extremum, initial):
    def reference(x, segment_ids, num_segments):
        return np.stack(
            [extremum(x[segment_ids == s], axis=0, initial=initial) for s in range(num_segments)]
        )

    return reference


def _segment_softmax(x, segment_ids, num_segments):
    out = np.zeros_like(x)
    for s in range(num_segments):
        if (segment_ids == s).any():
            out[segment_ids == s] = special.softmax(x[segment_ids == s], axis=0)
    return out


def _segment_pick(x, index):
    out = np.zeros(index.shape)
    for place in np.ndindex(index.shape):
        out[place] = x[(index[place], *place[1:])] if index[place] >= 0 else 0
    return out


def _segment_unpick(g, index, n_rows):
    out = np.zeros((n_rows, *g.shape[1:]))
    for place in np.ndindex(index.shape):
        if index[place] >= 0:
            out[(index[place], *place[1:])] = g[place]
    return out


def _cdist(x, y, squared=False):
    squares = ((x[..., :, None, :] - y[..., None, :, :]) ** 2).sum(axis=-1)
    return squares if squared else np.sqrt(squares)


def _knn(x, mask=None, k=1, include_self=False):
    squares = _cdist(x, x, squared=True)
    n = x.shape[-2]
    pairs = np.ones((*x.shape[:-2], n, n), bool)
    if mask is not None:
        pairs = mask[..., None, :] & mask[..., :, None]
    if not include_self:
        pairs = pairs & ~np.eye(n, dtype=bool)
    order = np.argsort(np.where(pairs, squares, np.inf), axis=-1, kind="stable")
    index = np.where(np.take_along_axis(pairs, order, axis=-1), order, -1)[..., :k]
    return np.pad(index, [(0, 0)] * (x.ndim - 1) + [(0, k - index.shape[-1])], constant_values=-1)


def _silu_grad(g, x):
    s = special.expit(x)
    return g * (s + x * s * (1 - s))


def _recurrent(step):
    """States of rows that each go through their steps, one after the other."""

    def reference(gates, *states_and_weights, reverse=False, lengths=None):
        n_states = 1 if step is _gru_row else 2
        states, parameters = states_and_weights[:n_states], states_and_weights[n_states:]
        batch, steps, _ = gates.shape
        out = np.zeros((batch, steps, n_states * states[0].shape[1]))
        for b in range(batch):
            now = [s[b] for s in states]
            for t in range(steps)[:: -1 if reverse else 1]:
                if lengths is None or t < lengths[b]:
                    now = step(gates[b, t], *now, *parameters)
                out[b, t] = np.concatenate(now)
        return out

    return reference


def _gru_row(x, h, weight, bias=0.0):
    (xr, xz, xn), (ar, az, an) = np.split(x, 3), np.split(weight @ h + bias, 3)
    r, z = special.expit(xr + ar), special.expit(xz + az)
    return [(1 - z) * np.tanh(xn + r * an) + z * h]


def _lstm_row(x, h, c, weight):
    i, f, g, o = np.split(x + weight @ h, 4)
    c = special.expit(f) * c + special.expit(i) * np.tanh(g)
    return [special.expit(o) * np.tanh(c), c]


REFERENCES = {
    "gru": _recurrent(_gru_row),
    "lstm": _recurrent(_lstm_row),
    "cdist": _cdist,
    "knn": _knn,
    "gather": _gather,
    "segment_sum": _segment_sum,
    "segment_max": _segment_extremum(np.max, -np.inf),
    "segment_min": _segment_extremum(np.min, np.inf),
    "segment_softmax": _segment_softmax,
    "segment_pick": _segment_pick,
    "segment_unpick": _segment_unpick,
    "max_pool": _max_pool,
    "max_unpool": _max_unpool,
    "resample_axis": _resample_axis,
    "instance_norm": _norm(lambda x: tuple(range(2, x.ndim))),
    "group_norm": _norm(lambda x: (2,)),
    "batch_norm": _norm(lambda x: (0, *range(2, x.ndim))),
    "given_norm": _given_norm,
    "layer_norm": _layer_norm,
    "softmax": lambda x, axis: special.softmax(x, axis),
    "log_softmax": lambda x, axis: special.log_softmax(x, axis),
    "softmax_gradient": _softmax_gradient,
    "log_softmax_gradient": _log_softmax_gradient,
    "cross_entropy": _cross_entropy,
    "overlap_sums": _overlap_sums,
    "binary_cross_entropy": lambda x, t: np.logaddexp(0, x) - x * t,
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "conv_weight": _conv_weight,
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
    "sqrt": np.sqrt,
    "reciprocal": lambda x: 1 / x,
    "clip": lambda x, min, max: np.clip(x, min, max),
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.round,
    "where": np.where,
    "equal": np.equal,
    "not_equal": np.not_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "logical_not": np.logical_not,
    "isnan": np.isnan,
    "isfinite": np.isfinite,
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "erf": special.erf,
    "sigmoid": special.expit,
    "softplus": lambda x: np.logaddexp(x, 0),
    "silu": lambda x: x * special.expit(x),
    "gelu": lambda x: x * special.ndtr(x),
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x, negative_slope=0.01: np.where(x > 0, x, negative_slope * x),
    "leaky_relu_grad": lambda g, y, negative_slope: np.where(y > 0, g, negative_slope * g),
    "elu_grad": lambda g, y, alpha: np.where(y > 0, g, g * (y + alpha)),
    "tanh_grad": lambda g, y: g * (1 - y * y),
    "sigmoid_grad": lambda g, y: g * y * (1 - y),
    "softplus_grad": lambda g, x: g * special.expit(x),
    "silu_grad": _silu_grad,
    "gelu_grad": lambda g, x: g * (special.ndtr(x) + x * np.exp(-x * x / 2) / np.sqrt(2 * np.pi)),
    "divide_or_zero": lambda x, y: np.where(x == 0, 0, x / np.where(x == 0, 1, y)),
    "elu": lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(x)),
    "alias": lambda x: x,
    "astype": lambda x, dtype: x.astype(dtype),
    "reshape": lambda x, shape: x.reshape(shape),
    "permute_dims": lambda x, axes: x.transpose(axes),
    "broadcast_to": lambda x, shape: np.broadcast_to(x, shape),
    "flip": lambda x, axis: np.flip(x, axis),
    "pad": _pad,
    "unstack": lambda x, axis: list(np.moveaxis(x, axis, 0)),
    "concat": lambda *arrays, axis: np.concatenate(arrays, axis),
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
    "matmul": np.matmul,
    "linear": lambda x, weight, bias=0.0: x @ weight.T + bias,
    "contract": lambda *arrays, subscripts: np.einsum(subscripts, *arrays),
    "getitem": lambda x, index: x[index],
    "index_add": _index_add,
    "setitem": _setitem,
    "take_along_axis": np.take_along_axis,
    "scatter_add": _scatter_add,
}
