"""Convolution, pooling and resampling."""

import numpy as np

LETTERS, TAPS = "xyz", "abc"  # spatial positions and kernel taps in einsum


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


def _pool_windows(size, kernel_size, stride, padding, dilation, ceil_mode):
    """Output positions, and for each the positions in its window, as for `np.ix_`."""
    n = len(size)
    kernel, padding, dilation = (_axes(v, n) for v in (kernel_size, padding, dilation))
    stride = kernel if stride is None else _axes(stride, n)
    windows = []
    for m, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True):
        starts = range(-p, m + p if ceil_mode else m + p - d * (k - 1), s)
        if ceil_mode:  # not beyond the first that reaches the end, nor beyond the elements
            starts = [f for f in starts if f - s + d * (k - 1) + 1 < m + p and f < m]
        windows.append([[f + t * d for t in range(k) if 0 <= f + t * d < m] for f in starts])
    for place in np.ndindex(*map(len, windows)):
        yield place, [w[i] for w, i in zip(windows, place, strict=True)]


def _max_pool(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    windows = list(_pool_windows(x.shape[2:], kernel_size, stride, padding, dilation, ceil_mode))
    out = np.zeros((*x.shape[:2], *np.max([place for place, _ in windows], axis=0) + 1))
    for place, window in windows:
        inside = np.ix_(range(x.shape[0]), range(x.shape[1]), *window)
        out[(..., *place)] = x[inside].max(axis=tuple(range(2, x.ndim)))
    return out


def _max_pool_gradient(g, index, size, kernel_size, stride=None, padding=0, dilation=1):
    out = np.zeros((*g.shape[:2], int(np.prod(size))))
    for place in np.ndindex(g.shape):
        out[(*place[:2], index[place])] += g[place]
    return out.reshape(*g.shape[:2], *size)


def _unfold(x, kernel_size, dilation=1, padding=0, stride=1):
    kernel = _axes(kernel_size, x.ndim - 2)
    windows = _windows(x, kernel, stride, padding, dilation)
    n = x.ndim - 2
    windows = np.moveaxis(windows, range(2 + n, 2 + 2 * n), range(2, 2 + n))
    channels, count = x.shape[1] * np.prod(kernel), np.prod(windows.shape[2 + n :])
    return windows.reshape(x.shape[0], channels, count)


def _fold(x, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """The transpose of unfold's matrix, column by column of it."""
    kernel = _axes(kernel_size, len(output_size))
    channels = x.shape[1] // int(np.prod(kernel))
    out = np.zeros((x.shape[0], channels * int(np.prod(output_size))))
    for i in range(out.shape[1]):
        one = np.zeros((1, out.shape[1]))
        one[0, i] = 1
        columns = _unfold(
            one.reshape(1, channels, *output_size), kernel_size, dilation, padding, stride
        )
        out[:, i] = (x * columns).sum((1, 2))
    return out.reshape(x.shape[0], channels, *output_size)


def _resample_axis(x, axis, taps):
    return np.moveaxis(np.moveaxis(x, axis, -1) @ taps.matrix().T, -1, axis)


REFERENCES = {
    "unfold": _unfold,
    "fold": _fold,
    "max_pool": _max_pool,
    "max_pool_gradient": _max_pool_gradient,
    "resample_axis": _resample_axis,
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "conv_weight": _conv_weight,
}
