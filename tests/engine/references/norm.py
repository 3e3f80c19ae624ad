"""Normalization and losses."""

import numpy as np
from scipy import special


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


REFERENCES = {
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
}
