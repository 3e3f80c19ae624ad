"""Reading and writing at positions: indexing, gather, scatter, masks."""

import numpy as np

import fieldgrad.engine as fg
from benchmarks.conformance.entries.adapter import Absent, Entry, composed

__all__ = ["ENTRIES"]


def _along(x, axis):
    """The index that leaves the axes before this one alone."""
    return (slice(None),) * (axis % max(1, x.ndim))


def _written(x, index, value):
    """x with a value assigned, in a new tensor."""
    out = x * 1 if x.dtype.kind != "b" else fg.positive(x)
    out[index] = value
    return out


def _gather(x, axis, index, **_):
    if not x.ndim:
        return fg.reshape(fg.take(fg.reshape(x, (1,)), fg.reshape(index, (-1,)), axis=0),
                          index.shape)  # fmt: skip
    if not index.ndim:
        return fg.take_along_axis(x, fg.reshape(index, (1,)), axis=axis)[0]
    return fg.gather_elements(x, index, axis=axis)


def _scatter(x, axis, index, source, *, reduce=None):
    return fg.scatter(x, index, source, axis=axis, reduce=reduce)


def _scatter_reduce(x, axis, index, source, reduce, *, include_self=True):
    return fg.scatter(x, index, source, axis=axis, reduce=reduce, include_self=include_self)


def _index_add(x, axis, index, source, *, alpha=1):
    return fg.index_add_along(x, index, source * alpha, axis=axis)


def _index_select(x, axis, index):
    if not x.ndim:
        return x
    return fg.take(x, fg.reshape(index, (-1,)), axis=axis)


def _take(x, index):
    return fg.reshape(fg.take(fg.reshape(x, (-1,)), fg.reshape(index, (-1,)), axis=0), index.shape)


def _put(x, index, source, accumulate=False):
    flat = fg.reshape(x, (-1,))
    index, source = fg.reshape(index, (-1,)), fg.reshape(source, (-1,))
    if accumulate:
        return fg.reshape(fg.index_add_along(flat, index, source, axis=0), x.shape)
    return fg.reshape(_written(flat, index, source), x.shape)


def _masked_fill(x, mask, value):
    return fg.where(mask, value, x)


def _take_along(x, index, dim=None):
    if dim is None:
        return fg.take_along_axis(fg.reshape(x, (-1,)), fg.reshape(index, (-1,)), axis=0)
    dim %= max(1, x.ndim)
    whole = np.broadcast_shapes(*((*a.shape[:dim], 1, *a.shape[dim:][1:]) for a in (x, index)))
    sizes = [(*whole[:dim], a.shape[dim], *whole[dim:][1:]) for a in (x, index)]
    x, index = (fg.broadcast_to(a, s) for a, s in zip((x, index), sizes, strict=True))
    return fg.take_along_axis(x, index, axis=dim)


def _index_put(x, index, value, accumulate=False):
    if accumulate:
        return x + fg.index_add(fg.broadcast_to(value, np.empty(x.shape)[_plain(index)].shape),
                                index=_plain(index), shape=x.shape)  # fmt: skip
    return _written(x, tuple(index), value)


def _plain(index):
    return tuple(i.numpy() if isinstance(i, fg.Tensor) else i for i in index)


def _select_scatter(x, value, axis, i):
    return _written(x, (*_along(x, axis), i), value)


def _slice_scatter(x, value, dim=0, start=None, end=None, step=1):
    return _written(x, (*_along(x, dim), slice(start, end, step)), value)


def _diagonal_scatter(x, value, offset=0, dim1=0, dim2=1):
    rows, columns = x.shape[dim1], x.shape[dim2]
    n = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    i = np.arange(n)
    moved = fg.moveaxis(x, (dim1, dim2), (-2, -1))
    out = _written(moved, (..., i + max(-offset, 0), i + max(offset, 0)), value)
    return fg.moveaxis(out, (-2, -1), (dim1, dim2))


def _index_fill(x, axis, index, value):
    if not x.ndim:
        return fg.reshape(_written(fg.reshape(x, (1,)), index, value), ())
    return _written(x, (*_along(x, axis), index), value)


def _index_copy(x, axis, index, source):
    if not x.ndim:
        return fg.reshape(source, ())
    return _written(x, (*_along(x, axis), index), source)


def _nonzero(x, *, as_tuple=False):
    found = fg.nonzero(x)
    return tuple(found) if as_tuple else fg.stack(list(found), axis=-1)


def _searchsorted(edges, x, *, side="left", right=False, sorter=None, **_):
    side = "right" if right else side
    return fg.searchsorted(edges, x, side=side, sorter=sorter)


NOT_PUBLIC = Absent("internal to torch's compiler")

ENTRIES = {
    "__getitem__": Entry(lambda x, index: x[index]),
    "gather": Entry(_gather),
    "scatter": Entry(_scatter),
    "scatter_add": Entry(lambda x, axis, i, s: fg.scatter(x, i, s, axis=axis, reduce="add")),
    **dict.fromkeys(
        [f"scatter_reduce.{kind}" for kind in ("sum", "prod", "mean", "amin", "amax")],
        Entry(_scatter_reduce),
    ),
    "index_select": Entry(_index_select),
    "index_add": Entry(_index_add),
    "index_fill": Entry(_index_fill),
    "index_copy": Entry(_index_copy),
    **dict.fromkeys(
        [f"index_reduce.{kind}" for kind in ("mean", "prod", "amin", "amax")],
        Absent("scatter with reduce= and a broadcast index does it"),
    ),
    "index_put": Entry(_index_put),
    "put": Entry(_put),
    "take": Entry(_take),
    "take_along_dim": Entry(_take_along),
    "masked_fill": Entry(_masked_fill),
    "masked_select": composed(lambda x, mask: _masked_select(x, mask)),
    "masked_scatter": Absent("assignment x[mask] = values[:mask.sum()] does it"),
    "select_scatter": Entry(_select_scatter),
    "slice_scatter": Entry(_slice_scatter),
    "diagonal_scatter": composed(_diagonal_scatter),
    "_unsafe_masked_index": NOT_PUBLIC,
    "_unsafe_masked_index_put_accumulate": NOT_PUBLIC,
    "nonzero": Entry(_nonzero),
    "nonzero_static": NOT_PUBLIC,
    "argwhere": composed(lambda x: fg.stack(list(fg.nonzero(x)), axis=-1)),
    "searchsorted": Entry(_searchsorted),
    "bucketize": Entry(lambda x, edges, **kw: _searchsorted(edges, x, **kw)),
    "unravel_index": Absent("not in the array API"),
}


def _masked_select(x, mask):
    shape = np.broadcast_shapes(x.shape, mask.shape)
    return fg.broadcast_to(x, shape)[fg.broadcast_to(mask, shape)]
