"""Layout and indexing."""

import numpy as np


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
    index = np.broadcast_to(index, g.shape)
    for position in np.ndindex(g.shape):
        target = list(position)
        target[axis] = index[position]
        out[tuple(target)] += g[position]
    return out


REFERENCES = {
    "alias": lambda x: x,
    "astype": lambda x, dtype: x.astype(dtype),
    "reshape": lambda x, shape: x.reshape(shape),
    "permute_dims": lambda x, axes: x.transpose(axes),
    "broadcast_to": lambda x, shape: np.broadcast_to(x, shape),
    "flip": lambda x, axis: np.flip(x, axis),
    "roll": np.roll,
    "pad": _pad,
    "unstack": lambda x, axis: list(np.moveaxis(x, axis, 0)),
    "stack": lambda *arrays, axis: np.stack(arrays, axis),
    "concat": lambda *arrays, axis: np.concatenate(arrays, axis),
    "getitem": lambda x, index: x[index],
    "index_add": _index_add,
    "setitem": _setitem,
    "take_along_axis": np.take_along_axis,
    "scatter_add": _scatter_add,
}
