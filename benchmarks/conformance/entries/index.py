"""Reading and writing at positions: indexing, gather, scatter, masks."""

import numpy as np

import fieldgrad.engine as fg
from benchmarks.conformance.entries.adapter import Absent, Entry, LeftOut, composed

__all__ = ["ENTRIES"]


def _along(x, axis):
    """The index that leaves the axes before this one alone."""
    return (slice(None),) * (axis % max(1, x.ndim))


def _written(x, index, value):
    """x with a value assigned, in a new tensor."""
    out = x * 1 if x.dtype.kind != "b" else fg.positive(x)
    out[index] = value
    return out


def _lifted(x):
    """A 0-d array as one of one element: torch gives it an axis."""
    return x if x.ndim else fg.reshape(x, (1,))


def _gather(x, axis, index, **_):
    shape, x, index = index.shape, _lifted(x), _lifted(index)
    axis %= x.ndim
    if index.ndim != x.ndim:  # without elements, for torch
        return fg.reshape(fg.reshape(x, (-1,))[:0], shape)
    part = tuple(slice(None if i == axis else n) for i, n in enumerate(index.shape))
    return fg.reshape(fg.take_along_axis(x[part], index, axis=axis), shape)


REDUCTIONS = {"add": "sum", "amax": "max", "amin": "min", None: None}


def _scatter(x, axis, index, source, *, reduce=None, include_self=True):
    if reduce in ("multiply", "prod"):
        raise LeftOut("products of the numbers that meet are not formed")
    shape, x, index = x.shape, _lifted(x), _lifted(index)
    if isinstance(source, fg.Tensor) and source.shape != index.shape:
        source = _lifted(source)[tuple(slice(n) for n in index.shape)]
    source = source if isinstance(source, fg.Tensor) else fg.tensor(source).astype(x.dtype)
    found = fg.scatter(x, index, source, axis=axis, reduce=REDUCTIONS.get(reduce, reduce),
                       include_self=include_self)  # fmt: skip
    return fg.reshape(found, shape)


def _scatter_reduce(x, axis, index, source, reduce, *, include_self=True):
    return _scatter(x, axis, index, source, reduce=reduce, include_self=include_self)


def _index_reduce(x, axis, index, source, reduce="sum", *, include_self=True, alpha=1):
    """Whole slices are brought to their places: an index of one axis, repeated over the others."""
    shape, x, source = x.shape, _lifted(x), _lifted(source)
    sizes = [1] * x.ndim
    sizes[axis] = -1
    index = fg.broadcast_to(fg.reshape(index, tuple(sizes)), source.shape)
    source = source if alpha == 1 else source * alpha
    found = _scatter(x, axis, index, source, reduce=reduce, include_self=include_self)
    return fg.reshape(found, shape)


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
        return fg.reshape(fg.scatter(flat, index, source, axis=0, reduce="sum"), x.shape)
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
    if not accumulate:
        return _written(x, tuple(index), value)
    numbers = np.arange(x.size).reshape(x.shape)[_plain(index)]
    value = fg.reshape(fg.broadcast_to(value, numbers.shape), (-1,))
    flat = fg.scatter(fg.reshape(x, (-1,)), numbers.ravel(), value, axis=0, reduce="sum")
    return fg.reshape(flat, x.shape)


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
    if edges.ndim != 1:
        raise LeftOut("several sorted rows; one, as in NumPy")
    return fg.searchsorted(edges, x, side=side, sorter=sorter)


NOT_PUBLIC = Absent("internal to torch's compiler")

ENTRIES = {
    "__getitem__": Entry(lambda x, index: x[index]),
    "gather": composed(_gather),
    "scatter": Entry(_scatter),
    "scatter_add": Entry(lambda x, axis, i, s: _scatter(x, axis, i, s, reduce="sum")),
    **dict.fromkeys(
        [f"scatter_reduce.{kind}" for kind in ("sum", "mean", "amin", "amax")],
        Entry(_scatter_reduce),
    ),
    "index_select": Entry(_index_select),
    "index_add": composed(
        lambda x, axis, i, s, *, alpha=1: _index_reduce(x, axis, i, s, alpha=alpha)
    ),
    "index_fill": Entry(_index_fill),
    "index_copy": Entry(_index_copy),
    **dict.fromkeys(
        [f"index_reduce.{kind}" for kind in ("mean", "amin", "amax")],
        composed(_index_reduce),
    ),
    "scatter_reduce.prod": Absent("products of the numbers that meet are not formed"),
    "index_reduce.prod": Absent("products of the numbers that meet are not formed"),
    "index_put": composed(_index_put),
    "put": composed(_put),
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
