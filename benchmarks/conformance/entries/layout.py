"""Shape, order, joining, taking apart and making arrays."""

import math
from itertools import pairwise

import fieldgrad.engine as fg
from benchmarks.conformance.entries.adapter import (
    Absent,
    Entry,
    LeftOut,
    composed,
    loosely,
    renamed,
    same,
)

__all__ = ["ENTRIES"]


def _shape(args):
    """Sizes given one by one or as one sequence."""
    return tuple(args[0]) if args and not isinstance(args[0], int) else tuple(args)


def _reshape(x, *shape):
    return fg.reshape(x, _shape(shape))


def _view(x, *shape):
    if shape and not isinstance(shape[0], int | tuple | list):
        raise LeftOut("a view of the bytes as another dtype")
    return _reshape(x, *shape)


def _expand(x, *shape):
    shape = _shape(shape)
    lead = len(shape) - x.ndim
    return fg.broadcast_to(
        x, tuple(x.shape[i - lead] if n == -1 else n for i, n in enumerate(shape))
    )


def _permute(x, *axes):
    return fg.permute_dims(x, _shape(axes))


def _transpose(x, a, b):
    order = list(range(x.ndim))
    if order:
        order[a], order[b] = order[b], order[a]
    return fg.permute_dims(x, tuple(order))


def _squeeze(x, axis=None):
    axes = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    if not x.ndim:
        return fg.reshape(x, ())
    return fg.squeeze(x, axis=tuple(a for a in axes if x.shape[a] == 1))


def _flatten(x, start_dim=0, end_dim=-1):
    if not x.ndim:
        return fg.reshape(x, (1,))
    first, last = start_dim % x.ndim, end_dim % x.ndim + 1
    return fg.reshape(x, (*x.shape[:first], math.prod(x.shape[first:last]), *x.shape[last:]))


def _unflatten(x, axis, sizes):
    axis %= x.ndim
    return fg.reshape(x, (*x.shape[:axis], *sizes, *x.shape[axis + 1 :]))


def _slice(x, axis, start, stop):
    return x[(slice(None),) * (axis % max(1, x.ndim)) + (slice(start, stop),)]


def _narrow(x, axis, start, length):
    start = int(start)
    start += x.shape[axis] if start < 0 else 0
    return _slice(x, axis, start, start + length)


def _slice_of(x, dim=0, start=None, end=None, step=1):
    return x[(slice(None),) * (dim % x.ndim) + (slice(start, end, step),)]


def _pieces(x, axis, edges):
    return tuple(_slice(x, axis, a, b) for a, b in pairwise(edges))


def _chunk(x, chunks, dim=0):
    n = x.shape[dim]
    size = max(1, -(-n // chunks))
    return _pieces(x, dim, [*range(0, n, size), n])


def _split(x, size, dim=0):
    if isinstance(size, list | tuple):
        return _split_with_sizes(x, size, dim)
    return _pieces(x, dim, [*range(0, x.shape[dim], size), x.shape[dim]])


def _split_with_sizes(x, sizes, dim=0):
    edges = [0]
    for size in sizes:
        edges.append(edges[-1] + size)
    return _pieces(x, dim, edges)


def _tensor_split(x, parts, dim=0):
    if isinstance(parts, fg.Tensor):
        parts = parts.tolist()
    n = x.shape[dim]
    if isinstance(parts, int):
        small, more = divmod(n, parts)
        edges = [i * small + min(i, more) for i in range(parts + 1)]
        return _pieces(x, dim, edges)
    return tuple(_slice_of(x, dim, a, b) for a, b in zip([0, *parts], [*parts, n], strict=True))


def _diagonal(x, offset=0, dim1=0, dim2=1):
    return fg.linalg.diagonal(fg.moveaxis(x, (dim1, dim2), (-2, -1)), offset=offset)


def _diag(x, diagonal=0):
    return fg.diag(x, k=diagonal)


def _diag_embed(x, offset=0, dim1=-2, dim2=-1):
    return fg.moveaxis(fg.diag_embed(x, offset=offset), (-2, -1), (dim1, dim2))


def _repeat(x, *times):
    return fg.tile(x, _shape(times))


def _repeat_interleave(x, repeats, dim=None, **_):
    return fg.repeat(x, repeats, axis=dim)


def _triangle(name):
    return Entry(lambda x, diagonal=0: getattr(fg, name)(x, k=diagonal))


def _linspace(start, stop, n, *, dtype=None, **_):
    if dtype is not None and dtype.kind == "i":
        raise LeftOut("whole numbers are rounded down here, as in NumPy")
    return fg.linspace(float(start), float(stop), n, dtype=dtype)


def _unfold(x, axis, size, step):
    return fg.sliding_window(x, size, step=step, axis=axis)


def _rot90(x, k=1, dims=(0, 1)):
    return fg.rot90(x, k=k, axes=tuple(dims))


def _roll(x, shifts, dims=None):
    return fg.roll(x, shifts, axis=dims if dims != () else None)


def _meshgrid(*arrays, indexing="ij"):
    arrays = arrays[0] if isinstance(arrays[0], list | tuple) else arrays
    return tuple(fg.meshgrid(*[fg.reshape(a, (-1,)) for a in arrays], indexing=indexing))


def _cat(arrays, dim=0):
    some = [a for a in arrays if a.shape != (0,)] or arrays
    return fg.concat(some, axis=dim)


def _pairs(x, pad):
    """Torch's widths, from the last axis on, as one pair for each axis."""
    widths = list(zip(pad[::2], pad[1::2], strict=True))[::-1]
    return [(0, 0)] * (x.ndim - len(widths)) + widths


def _constant_pad(x, pad, value=0.0):
    if min(pad) < 0:
        raise LeftOut("negative widths: a slice says it")
    return fg.pad(x, _pairs(x, pad), value=value)


def _full(call):
    def make(shape, *args, dtype=None, **_):
        return call(shape, *args, dtype=dtype or "float32")

    return Entry(make)


def _like(name):
    def make(x, *args, dtype=None, **_):
        return getattr(fg, name)(x, *args, dtype=dtype)

    return make


def _new(name):
    def make(x, shape, *args, dtype=None, **_):
        return getattr(fg, name)(shape, *args, dtype=dtype or x.dtype)

    return make


def _at_least(name):
    def call(*arrays):
        return getattr(fg, name)(*(arrays[0] if isinstance(arrays[0], list | tuple) else arrays))

    return call


def _arange(*args, end=None, dtype=None, **_):
    if dtype is not None and dtype.kind == "i" and any(isinstance(a, float) for a in (*args, end)):
        raise LeftOut("floats are counted before they are made integers, as in NumPy")
    return fg.arange(*args, *([] if end is None else [end]), dtype=dtype)


VIEWS_OF_MEMORY = Absent("memory is not addressed by strides here")

ENTRIES = {
    **same("fliplr flipud ravel"),
    **{n: Entry(_at_least(n)) for n in ("atleast_1d", "atleast_2d", "atleast_3d")},
    **renamed(movedim="moveaxis"),
    **dict.fromkeys(("reshape", "view", "view_copy"), Entry(_view)),
    **dict.fromkeys(("reshape_as", "view_as"), Entry(lambda x, y: fg.reshape(x, y.shape))),
    **dict.fromkeys(("expand", "expand_copy"), Entry(_expand)),
    **dict.fromkeys(("permute", "permute_copy"), Entry(_permute)),
    **dict.fromkeys(("transpose", "transpose_copy"), Entry(_transpose)),
    **dict.fromkeys(("squeeze", "squeeze_copy", "squeeze.multiple"), Entry(_squeeze)),
    **dict.fromkeys(
        ("unsqueeze", "unsqueeze_copy"), Entry(lambda x, axis: fg.expand_dims(x, axis=axis))
    ),
    **dict.fromkeys(("chunk", "unsafe_chunk"), Entry(_chunk)),
    **dict.fromkeys(("split", "split.list_args", "unsafe_split"), Entry(_split)),
    **dict.fromkeys(("split_with_sizes", "split_with_sizes_copy"), Entry(_split_with_sizes)),
    **dict.fromkeys(("narrow", "narrow_copy"), Entry(_narrow)),
    **dict.fromkeys(("diagonal", "diagonal_copy"), Entry(_diagonal)),
    **dict.fromkeys(("unbind", "unbind_copy"), Entry(lambda x, dim=0: fg.unstack(x, axis=dim))),
    **dict.fromkeys(("t", "t_copy"), Entry(lambda x: x.T if x.ndim == 2 else fg.positive(x))),
    **dict.fromkeys(("unfold", "unfold_copy"), Entry(_unfold)),
    **dict.fromkeys(("alias_copy", "contiguous"), Entry(lambda x, **_: fg.positive(x))),
    **dict.fromkeys(
        ("as_strided", "as_strided.partial_views", "as_strided_copy", "as_strided_scatter"),
        VIEWS_OF_MEMORY,
    ),
    "clone": Entry(lambda x, **_: fg.positive(x)),
    "broadcast_to": Entry(lambda x, shape: _expand(x, shape)),
    "expand_as": Entry(lambda x, y: fg.broadcast_to(x, y.shape)),
    "broadcast_tensors": Entry(lambda *xs: tuple(fg.broadcast_arrays(*xs))),
    "broadcast_shapes": Entry(
        lambda *shapes: fg.broadcast_shapes(*((s,) if isinstance(s, int) else s for s in shapes))
    ),
    "sum_to_size": composed(lambda x, *shape: _sum_to(x, _shape(shape))),
    "tril": _triangle("tril"),
    "triu": _triangle("triu"),
    "slice": Entry(_slice_of),
    "select": Entry(lambda x, axis, i: x[(slice(None),) * (axis % x.ndim) + (i,)]),
    "flatten": Entry(_flatten),
    "unflatten": Entry(_unflatten),
    "flip": Entry(lambda x, dims: fg.flip(x, axis=tuple(dims) if x.ndim else None)),
    "tensor_split": Entry(_tensor_split),
    "hsplit": Entry(lambda x, parts: _tensor_split(x, parts, min(1, x.ndim - 1))),
    "vsplit": Entry(lambda x, parts: _tensor_split(x, parts, 0)),
    "dsplit": Entry(lambda x, parts: _tensor_split(x, parts, 2)),
    "diag": Entry(_diag),
    "diagflat": Entry(lambda x, offset=0: fg.diag(fg.reshape(x, (-1,)), k=offset)),
    "diag_embed": Entry(_diag_embed),
    "block_diag": Entry(lambda *xs: fg.block_diag(*xs)),
    "T": Entry(lambda x: fg.permute_dims(x, tuple(range(x.ndim))[::-1])),
    "mT": Entry(lambda x: fg.matrix_transpose(x)),
    "mH": composed(lambda x: fg.conj(fg.matrix_transpose(x))),
    "H": composed(lambda x: fg.conj(fg.matrix_transpose(x) if x.ndim else x)),
    "repeat": Entry(_repeat),
    "tile": Entry(_repeat),
    "repeat_interleave": Entry(_repeat_interleave),
    "roll": Entry(_roll),
    "rot90": Entry(_rot90),
    "meshgrid.variadic_tensors": Entry(_meshgrid),
    "meshgrid.list_of_tensors": Entry(_meshgrid),
    "cat": Entry(_cat),
    "stack": Entry(lambda xs, dim=0: fg.stack(list(xs), axis=dim)),
    "hstack": Entry(lambda xs: fg.hstack(list(xs))),
    "vstack": Entry(lambda xs: fg.vstack(list(xs))),
    "dstack": Entry(lambda xs: fg.dstack(list(xs))),
    "column_stack": Entry(lambda xs: fg.column_stack(list(xs))),
    "cartesian_prod": composed(lambda *xs: _cartesian(xs)),
    "combinations": Absent("not an array function of NumPy or the standard"),
    "_chunk_cat": Absent("internal to torch's distributed code"),
    "constant_pad_nd": Entry(_constant_pad),
    "arange": Entry(_arange),
    "linspace": Entry(_linspace),
    "linspace.tensor_overload": Entry(_linspace),
    "logspace": Absent("not in the array API; fg.power(base, fg.linspace(…)) says it"),
    "logspace.tensor_overload": Absent("not in the array API"),
    "eye": Entry(lambda n, m=None, *, dtype=None, **_: fg.eye(n, m, dtype=dtype)),
    "ones": _full(lambda shape, **kw: fg.ones(shape, **kw)),
    "zeros": _full(lambda shape, **kw: fg.zeros(shape, **kw)),
    "full": _full(lambda shape, value, **kw: fg.full(shape, value, **kw)),
    "empty": loosely(lambda shape, *, dtype=None, **_: fg.empty(shape, dtype=dtype or "float32")),
    "empty_like": loosely(_like("empty_like")),
    "zeros_like": Entry(_like("zeros_like")),
    "ones_like": Entry(_like("ones_like")),
    "full_like": Entry(_like("full_like")),
    "new_zeros": Entry(_new("zeros")),
    "new_ones": Entry(_new("ones")),
    "new_full": Entry(_new("full")),
    "new_empty": loosely(_new("empty")),
    "new_empty_strided": VIEWS_OF_MEMORY,
    "empty_strided": VIEWS_OF_MEMORY,
    "empty_permuted": VIEWS_OF_MEMORY,
    "scalar_tensor": Entry(lambda x, *, dtype=None, **_: fg.tensor(x, dtype=dtype)),
    "resize_": Absent("arrays do not change their size in place"),
    "resize_as_": Absent("arrays do not change their size in place"),
    "triu_indices": Absent("not in the array API"),
    "tril_indices": Absent("not in the array API"),
    "to_sparse": Absent("no sparse tensors"),
}


def _sum_to(x, shape):
    lead = x.ndim - len(shape)
    axes = tuple(range(lead)) + tuple(
        i + lead for i, n in enumerate(shape) if n == 1 and x.shape[i + lead] != 1
    )
    return fg.reshape(fg.sum(x, axis=axes), shape) if axes else fg.positive(x)


def _cartesian(xs):
    if len(xs) == 1:
        return xs[0]
    return fg.stack([fg.reshape(a, (-1,)) for a in fg.meshgrid(*xs, indexing="ij")], axis=-1)
