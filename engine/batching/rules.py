"""How an op is computed for a whole batch at once: one rule for a family of ops.

A rule is called as ``rule(op, size, inputs, mapped, attributes)``: the batch's size, the op's
tensors with the batch axis in front where ``mapped`` says so, its attributes as for one example. It
returns the op's results with the batch axis in front.

Elementwise ops have `elementwise`. An op that is not in the table, or whose rule gives
NotImplemented, is computed through its composite, if it has one, or else once per example and
stacked (`one_by_one`): right, but slow.
"""

import math
import string
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fieldgrad.engine import shapes
from fieldgrad.engine._core import TABLE, Op, Tensor
from fieldgrad.engine.batching.index import shifted_index
from fieldgrad.engine.batching.mapped import in_front
from fieldgrad.engine.ops.arithmetic import (
    where,
)
from fieldgrad.engine.ops.layout import expand_dims, moveaxis, reshape, stack, unstack
from fieldgrad.engine.ops.linalg import matmul
from fieldgrad.engine.ops.reduce import mean, sum

__all__ = ["RULES", "Rule", "rule_of"]

Inputs = tuple[Tensor | None, ...]
Flags = tuple[bool, ...]
Attributes = dict[str, Any]
Rule = Callable[[Op, int, Inputs, Flags, Attributes], Any]


def rule_of(op: Op) -> Rule | None:
    """The rule of an op of the table, by its name or family; None if it has none."""
    if TABLE.get(op.name) is not op:
        return None
    return RULES.get(op.name) or (BY_SHAPE_RULE.get(op.shape) if op.shape else elementwise)


# ------------------------------------------------------------------ placing the axis


def spread(x: Tensor, ndim: int) -> Tensor:
    """x with axes of length 1 behind the batch axis, so that examples have ndim axes."""
    missing = ndim + 1 - x.ndim
    return reshape(x, (x.shape[0], *(1,) * missing, *x.shape[1:])) if missing > 0 else x


def fronts(size: int, inputs: Inputs, mapped: Flags) -> Inputs:
    """Every input with the batch axis in front."""
    return tuple(
        x if x is None or m else in_front(x, size) for x, m in zip(inputs, mapped, strict=True)
    )


def axes_of(inputs: Inputs, mapped: Flags) -> list[int]:
    """How many axes an example has in each input."""
    return [0 if x is None else x.ndim - m for x, m in zip(inputs, mapped, strict=True)]


# ------------------------------------------------------------------ families


def elementwise(op: Op, size: int, inputs: Inputs, mapped: Flags, attributes: Attributes) -> Any:
    """Inputs that broadcast: those with the batch axis get as many axes as the others."""
    ndims = axes_of(inputs, mapped)
    shapes.broadcast(*(x.shape[m:] for x, m in zip(inputs, mapped, strict=True) if x is not None))
    aligned = [
        spread(x, max(ndims)) if x is not None and m else x
        for x, m in zip(inputs, mapped, strict=True)
    ]
    return op.apply(tuple(aligned), attributes)


def same(op: Op, size: int, inputs: Inputs, mapped: Flags, attributes: Attributes) -> Any:
    """Leading axes mean nothing to the op: all inputs get the batch axis in front."""
    return op.apply(fronts(size, inputs, mapped), attributes)


def leading(n_core: int) -> Rule:
    """Leading axes broadcast; the last n_core axes of every input are the op's own."""

    def rule(op: Op, size: int, inputs: Inputs, mapped: Flags, attributes: Attributes) -> Any:
        n_lead = max(n - n_core for n in axes_of(inputs, mapped))
        aligned = [
            spread(x, n_lead + n_core) if x is not None and m else x
            for x, m in zip(inputs, mapped, strict=True)
        ]
        return op.apply(tuple(aligned), attributes)

    return rule


def along(*names: str) -> Rule:
    """Attributes that name axes: they count one more; no axis (None) means all of an example's."""

    def rule(op: Op, size: int, inputs: Inputs, mapped: Flags, attributes: Attributes) -> Any:
        inputs = fronts(size, inputs, mapped)
        first = inputs[0]
        assert first is not None
        ndim = first.ndim - 1
        moved = dict(attributes)
        for name in names:
            axes = attributes[name]
            several = axes is None or isinstance(axes, (tuple, list))
            shifted = tuple(a + 1 for a in shapes.normalize_axes(axes, ndim, op.name))
            moved[name] = shifted if several else shifted[0]
        return op.apply(inputs, moved)

    return rule


def search(op: Op, size: int, inputs: Inputs, mapped: Flags, attributes: Attributes) -> Any:
    """argmax and argmin: without an axis they count through the whole example."""
    (x,) = inputs
    assert x is not None
    if attributes["axis"] is not None:
        return along("axis")(op, size, inputs, mapped, attributes)
    flat = reshape(x, (size, math.prod(x.shape[1:])))
    found = op.apply((flat,), {**attributes, "axis": 1, "keepdims": False})
    return reshape(found, (size, *(1,) * (x.ndim - 1))) if attributes["keepdims"] else found


def rows(*data: int) -> Rule:
    """The first axis of some inputs holds independent rows: the batch joins them."""

    def rule(op: Op, size: int, inputs: Inputs, mapped: Flags, attributes: Attributes) -> Any:
        if any(m and i not in data for i, m in enumerate(mapped)):
            return NotImplemented
        merged = list(inputs)
        for i in data:
            x = inputs[i]
            if x is not None:
                x = x if mapped[i] else in_front(x, size)
                merged[i] = reshape(x, (size * x.shape[1], *x.shape[2:]))
        out = op.apply(tuple(merged), attributes)
        return reshape(out, (size, out.shape[0] // max(size, 1), *out.shape[1:]))

    return rule


def grouped(op: Op, size: int, inputs: Inputs, mapped: Flags, attributes: Attributes) -> Any:
    """Convolutions: the batch joins the rows, or, if weights differ too, the groups of channels."""
    if op.name != "conv_weight" and not any(mapped[1:]):
        return rows(0)(op, size, inputs, mapped, attributes)
    x, w, *bias = fronts(size, inputs, mapped)
    assert x is not None
    assert w is not None
    channels = [reshape(b, (size * b.shape[1],)) for b in bias if b is not None]
    merged = (_channels(x), _channels(w) if op.name == "conv_weight" else _stacked(w), *channels)
    out = op.apply(
        (*merged, *(None,) * (len(inputs) - len(merged))),
        {**attributes, "groups": size * attributes["groups"]},
    )
    if op.name == "conv_weight":
        return reshape(out, (size, out.shape[0] // size, *out.shape[1:]))
    return moveaxis(reshape(out, (out.shape[0], size, out.shape[1] // size, *out.shape[2:])), 1, 0)


def _stacked(w: Tensor) -> Tensor:
    return reshape(w, (w.shape[0] * w.shape[1], *w.shape[2:]))


def _channels(x: Tensor) -> Tensor:
    """(batch, N, C, …) to (N, batch · C, …)."""
    x = moveaxis(x, 0, 1)
    return reshape(x, (x.shape[0], x.shape[1] * x.shape[2], *x.shape[3:]))


# ------------------------------------------------------------------ single ops


def _reshape(op: Op, size: int, inputs: Inputs, mapped: Flags, attributes: Attributes) -> Any:
    (x,) = inputs
    assert x is not None
    shape = shapes.reshape(x.shape[1:], shape=attributes["shape"])
    return op.apply(inputs, {**attributes, "shape": (size, *shape)})


def _permute_dims(op: Op, size: int, inputs: Inputs, mapped: Flags, attributes: Attributes) -> Any:
    (x,) = inputs
    assert x is not None
    axes = shapes.normalize_axes(tuple(attributes["axes"]), x.ndim - 1, op.name)
    return op.apply(inputs, {**attributes, "axes": (0, *(a + 1 for a in axes))})


def _broadcast_to(op: Op, size: int, inputs: Inputs, mapped: Flags, attributes: Attributes) -> Any:
    (x,) = inputs
    assert x is not None
    shape = tuple(attributes["shape"])
    return op.apply((spread(x, len(shape)),), {**attributes, "shape": (size, *shape)})


def _pad(op: Op, size: int, inputs: Inputs, mapped: Flags, attributes: Attributes) -> Any:
    return op.apply(inputs, {**attributes, "padding": ((0, 0), *attributes["padding"])})


def _join(op: Op, size: int, inputs: Inputs, mapped: Flags, attributes: Attributes) -> Any:
    axis = attributes["axis"]
    parts = fronts(size, inputs, mapped)
    if axis is None:
        flat = [reshape(x, (size, math.prod(x.shape[1:]))) for x in parts if x is not None]
        return op.apply(tuple(flat), {**attributes, "axis": 1})
    return op.apply(parts, {**attributes, "axis": axis + 1 if axis >= 0 else axis})


def _matmul(op: Op, size: int, inputs: Inputs, mapped: Flags, attributes: Attributes) -> Any:
    x, y = inputs
    assert x is not None
    assert y is not None
    x_axes, y_axes = axes_of(inputs, mapped)
    if not mapped[1] and y_axes <= 2:
        return matmul(x, y)  # the batch is one more leading axis, or rows of a matrix
    if not mapped[0] and x_axes == 2 and y_axes == 1:
        return matmul(y, x.T)
    ndim = max(x_axes, y_axes, 2)
    if x_axes == 1:
        x = expand_dims(x, axis=-2)
    if y_axes == 1:
        y = expand_dims(y, axis=-1)
    out = matmul(spread(x, ndim) if mapped[0] else x, spread(y, ndim) if mapped[1] else y)
    kept = list(out.shape)
    if y_axes == 1:
        del kept[-1]
    if x_axes == 1:
        del kept[-2 if y_axes > 1 else -1]
    return reshape(out, tuple(kept))


def weighted(op: Op, size: int, inputs: Inputs, mapped: Flags, attributes: Attributes) -> Any:
    """The first input has leading axes, unless the parameters behind it differ as well."""
    return NotImplemented if any(mapped[1:]) else op.apply(inputs, attributes)


def _solve(op: Op, size: int, inputs: Inputs, mapped: Flags, attributes: Attributes) -> Any:
    """Equations with a matrix: a vector on the right becomes a matrix of one column."""
    a, b = inputs
    assert b is not None
    if axes_of(inputs, mapped)[1] > 1:
        return leading(2)(op, size, inputs, mapped, attributes)
    columns = (a, expand_dims(b, axis=-1))
    out = leading(2)(op, size, columns, mapped, attributes)
    return reshape(out, out.shape[:-1])


def _contract(op: Op, size: int, inputs: Inputs, mapped: Flags, attributes: Attributes) -> Any:
    subscripts = attributes["subscripts"]
    terms, output = subscripts.split("->")
    letter = next(a for a in string.ascii_letters if a not in subscripts)
    named = [letter * m + term for m, term in zip(mapped, terms.split(","), strict=True)]
    return op.apply(inputs, {**attributes, "subscripts": f"{','.join(named)}->{letter}{output}"})


def _indexed(op: Op, size: int, inputs: Inputs, mapped: Flags, attributes: Attributes) -> Any:
    """getitem, its gradient and assignment, with an index that is the same for all examples."""
    if op.name == "getitem":
        shape = inputs[0].shape[1:]  # type: ignore[union-attr]
    elif op.name == "index_add":
        shape = tuple(attributes["shape"])
    else:
        shape = inputs[0].shape[mapped[0] :]  # type: ignore[union-attr]
    index, position = shifted_index(attributes["index"], shape)
    if op.name == "getitem":
        return moveaxis(op.apply(inputs, {**attributes, "index": index}), position, 0)
    if op.name == "index_add":
        (g,) = inputs
        assert g is not None
        return op.apply((moveaxis(g, 0, position),), {"index": index, "shape": (size, *shape)})
    x, value = fronts(size, inputs, mapped)
    assert x is not None
    assert value is not None
    ndim = np.empty(shape, bool)[attributes["index"]].ndim
    return op.apply((x, moveaxis(spread(value, ndim), 0, position)), {**attributes, "index": index})


# ------------------------------------------------------------------ rows by number


def _offset(index: Tensor, size: int, step: int) -> Tensor:
    """Numbers of one array of size · step rows, from numbers in each of its parts; -1 stays."""
    offsets = Tensor((np.arange(size) * step).reshape(size, *(1,) * (index.ndim - 1)))
    return where(index < 0, index, index + offsets)


def _gather(op: Op, size: int, inputs: Inputs, mapped: Flags, attributes: Attributes) -> Any:
    x, index = inputs
    assert x is not None
    assert index is not None
    if not mapped[0]:
        return op.apply(inputs, attributes)
    if not mapped[1]:  # the batch rides along as a feature
        return moveaxis(op.apply((moveaxis(x, 0, 1), index), attributes), index.ndim, 0)
    return op.apply((_stacked(x), _offset(index, size, x.shape[1])), attributes)


def _segments(op: Op, size: int, inputs: Inputs, mapped: Flags, attributes: Attributes) -> Any:
    """Reductions of segments, and the softmax in them."""
    x, ids = inputs
    assert x is not None
    assert ids is not None
    if not mapped[1]:
        return moveaxis(op.apply((moveaxis(x, 0, 1), ids), attributes), 1, 0)
    x = x if mapped[0] else in_front(x, size)
    n = attributes["num_segments"]
    joined = {**attributes, "num_segments": size * n}
    out = op.apply((_stacked(x), reshape(_offset(ids, size, n), (-1,))), joined)
    return reshape(out, (size, out.shape[0] // max(size, 1), *out.shape[1:]))


def _features(op: Op, size: int, inputs: Inputs, mapped: Flags, attributes: Attributes) -> Any:
    """Rows picked for each feature: the batch is one more feature."""
    moved = [moveaxis(x, 0, 1) for x in fronts(size, inputs, mapped) if x is not None]
    return moveaxis(op.apply(tuple(moved), attributes), 1, 0)


def _knn(op: Op, size: int, inputs: Inputs, mapped: Flags, attributes: Attributes) -> Any:
    """Clouds of equal size; those given by offsets have no leading axes."""
    if attributes["offsets"] is not None:
        return NotImplemented
    return same(op, size, inputs, mapped, attributes)


def _recurrent(op: Op, size: int, inputs: Inputs, mapped: Flags, attributes: Attributes) -> Any:
    lengths = attributes["lengths"]
    if lengths is not None:
        attributes = {**attributes, "lengths": np.tile(lengths, size)}
    states = (0, 1, 2) if op.name == "lstm" else (0, 1)
    return rows(*states)(op, size, inputs, mapped, attributes)


def _overlap_sums(op: Op, size: int, inputs: Inputs, mapped: Flags, attributes: Attributes) -> Any:
    logits, target = fronts(size, inputs, mapped)
    assert logits is not None
    assert target is not None
    sums = op.apply((_stacked(logits), _stacked(target)), attributes)
    return moveaxis(reshape(sums, (sums.shape[0], size, -1, sums.shape[2])), 1, 0)


def _cross_entropy(op: Op, size: int, inputs: Inputs, mapped: Flags, attributes: Attributes) -> Any:
    reduction = attributes["reduction"]
    weighted = attributes["weight"] is not None or attributes["ignore_index"] is not None
    if reduction == "mean" and weighted:
        return one_by_one(op, size, inputs, mapped, [attributes] * size)  # a divisor for each
    loss = rows(0, 1)(op, size, inputs, mapped, {**attributes, "reduction": "none"})
    if reduction == "none":
        return loss
    return (mean if reduction == "mean" else sum)(loss, axis=tuple(range(1, loss.ndim)))


def one_by_one(
    op: Op, size: int, inputs: Inputs, mapped: Flags, attributes: Sequence[Attributes]
) -> Any:
    """The op on each example by itself, with the attributes of each."""
    parts = [
        unstack(x) if m and x is not None else (x,) * size
        for x, m in zip(inputs, mapped, strict=True)
    ]
    results = [
        op.apply(example, own)
        for example, own in zip(zip(*parts, strict=True), attributes, strict=True)
    ]
    if op.several:
        return tuple(stack(outputs) for outputs in zip(*results, strict=True))
    return stack(results)


def _roll(op: Op, size: int, inputs: Inputs, mapped: Flags, attributes: Attributes) -> Any:
    (x,) = inputs
    assert x is not None
    if attributes["axis"] is not None:
        return along("axis")(op, size, inputs, mapped, attributes)
    flat = reshape(x, (size, math.prod(x.shape[1:])))
    return reshape(op.apply((flat,), {**attributes, "axis": 1}), x.shape)


RULES: dict[str, Rule] = {
    **dict.fromkeys(("argmax", "argmin"), search),
    **dict.fromkeys(("cumsum", "flip", "take_along_axis", "scatter_add"), along("axis")),
    **dict.fromkeys(("unstack", "resample_axis"), along("axis")),
    **dict.fromkeys(("dft", "real_dft", "inverse_real_dft"), along("axes")),
    **dict.fromkeys(("conv", "conv_transpose", "conv_weight"), grouped),
    **dict.fromkeys(("max_pool", "instance_norm", "group_norm", "given_norm"), rows(0)),
    **dict.fromkeys(("fold", "unfold"), rows(0)),
    "max_pool_gradient": rows(0, 1),
    **dict.fromkeys(("linear", "layer_norm"), weighted),
    **dict.fromkeys(("gru", "lstm"), _recurrent),
    **dict.fromkeys(("getitem", "index_add", "setitem"), _indexed),
    **dict.fromkeys(("segment_sum", "segment_max", "segment_min", "segment_softmax"), _segments),
    **dict.fromkeys(("segment_pick", "segment_unpick"), _features),
    **dict.fromkeys(("concat", "stack"), _join),
    **dict.fromkeys(("cholesky", "cofactors", "det", "expm", "inv", "lu", "pinv"), same),
    **dict.fromkeys(("eig_factors", "eigh_factors", "eigvals", "eigvalsh"), same),
    **dict.fromkeys(("qr_factors", "slogdet_parts", "svd_factors", "svdvals"), same),
    **dict.fromkeys(("solve", "solve_triangular"), _solve),
    "cdist": leading(2),
    "knn": _knn,
    "gather": _gather,
    "reshape": _reshape,
    "permute_dims": _permute_dims,
    "broadcast_to": _broadcast_to,
    "pad": _pad,
    "roll": _roll,
    "matmul": _matmul,
    "contract": _contract,
    "cross_entropy": _cross_entropy,
    "overlap_sums": _overlap_sums,
}
# Ops that work along axes have a shape rule in common; their names need not be listed.
BY_SHAPE_RULE: dict[Any, Rule] = dict.fromkeys(
    (shapes.reduction, shapes.extremum, shapes.along_axis, shapes.both_along_axis), along("axis")
)
