"""Segments, neighbors and sequences."""

import itertools

import numpy as np
from scipy import special


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


def _knn(x, mask=None, k=1, include_self=False, offsets=None):
    if offsets is not None:
        out = np.full((len(x), k), -1)
        for begin, end in itertools.pairwise(offsets):
            if end > begin:
                places = _knn(x[begin:end], None, k, include_self)
                out[begin:end] = np.where(places < 0, -1, places + begin)
        return out
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


def _pair_sum(x, w, pairs, antisymmetric=False):
    out = np.zeros(x.shape)
    np.add.at(out, pairs[0], x[pairs[1]] * w)
    np.add.at(out, pairs[1], x[pairs[0]] * (-w if antisymmetric else w))
    return out


def _pair_product(a, b, pairs, antisymmetric=False):
    i, j = pairs
    return a[i] * b[j] + (-1 if antisymmetric else 1) * a[j] * b[i]


REFERENCES = {
    "pair_sum": _pair_sum,
    "pair_product": _pair_product,
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
}
