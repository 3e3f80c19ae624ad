"""vmap, and the transform that maps op calls over the batch."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fieldgrad.engine._core import Op, Tensor
from fieldgrad.engine.batching.mapped import Axis, Mapped, holds, in_front, peel
from fieldgrad.engine.batching.rules import one_by_one, rule_of
from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.ops.layout import concat, moveaxis
from fieldgrad.engine.transforms import entered
from fieldgrad.engine.trees import flatten, tree_map

__all__ = ["vmap"]


class _Mapping(Axis):
    """Computes ops on tensors mapped over this axis for the whole batch at once."""

    def call(self, op: Op, inputs: tuple[Tensor | None, ...], attributes: dict[str, Any]) -> Any:
        """Compute an op for the batch, or pass it on if no input is mapped over this axis.

        Parameters
        ----------
        op : Op
            What is called.
        inputs : tuple of Tensor or None
            Its tensors.
        attributes : dict
            All of its attributes.

        Returns
        -------
        Tensor or tuple of Tensor
            Mapped like the inputs.
        """
        mapped = tuple(holds(x, self) for x in inputs)
        own = any(holds(value, self) for value in attributes.values())
        if not own and True not in mapped:
            return op.apply(inputs, attributes)
        batches = tuple(
            peel(x, self) if m and x is not None else x for x, m in zip(inputs, mapped, strict=True)
        )
        result = self._compute(op, batches, mapped, attributes, own)
        if op.several:
            return tuple(Mapped(part, self) for part in result)
        out = Mapped(result, self)
        if op.view and isinstance(inputs[0], Mapped):
            inputs[0].is_viewed_by(out)
        return out

    def _compute(
        self, op: Op, inputs: Any, mapped: tuple[bool, ...], attributes: dict[str, Any], own: bool
    ) -> Any:
        if not self.size:
            return _of_nothing(op, inputs, mapped, attributes)
        if not own:
            rule = rule_of(op)
            if rule is not None:
                result = rule(op, self.size, inputs, mapped, attributes)
                if result is not NotImplemented:
                    return result
            if op.composite is not None and not op.variadic:
                with entered(self):
                    out = op.composite(
                        *(Mapped(x, self) if m else x for x, m in zip(inputs, mapped, strict=True)),
                        **attributes,
                    )
                return peel(out, self)
        each = [self._example(attributes, i) for i in range(self.size)]
        return one_by_one(op, self.size, inputs, mapped, each)

    def _example(self, tree: Any, i: int) -> Any:
        """Example i of everything mapped in a container."""
        return tree_map(lambda x: peel(x, self)[i] if holds(x, self) else x, tree)


def _of_nothing(op: Op, inputs: Any, mapped: tuple[bool, ...], attributes: dict[str, Any]) -> Any:
    """An empty batch of what an op gives: shape and dtype are those for an example of ones."""
    example = tuple(
        Tensor(np.ones(x.shape[1:], x.dtype)) if m else x
        for x, m in zip(inputs, mapped, strict=True)
    )
    out = op.apply(example, attributes)
    parts = [Tensor(np.zeros((0, *y.shape), y.dtype)) for y in (out if op.several else (out,))]
    return tuple(parts) if op.several else parts[0]


def vmap(
    function: Callable[..., Any],
    in_axes: Any = 0,
    out_axes: int = 0,
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """Make a function of one example compute a whole batch.

    The function is called once. Its ops are computed for all examples together: no loop in Python.

    Parameters
    ----------
    function : callable
        Tensors of one example, alone or in nested tuples, lists and dictionaries, to the same.
    in_axes : int, None, or sequence of them, default 0
        The batch axis of each argument; one number for all. None passes an argument on as it is,
        the same for all examples. For an argument that is a container: one number for all in it.
    out_axes : int, default 0
        Where the batch axis shall be in the results.
    chunk_size : int, optional
        Compute at most so many examples at a time, to bound memory.

    Returns
    -------
    callable
        The same with a batch axis in the arguments and results.

    Raises
    ------
    ShapeError
        When called, if the arguments do not have one batch size, or lack the axis.

    Notes
    -----
    What is mapped has no values inside: ``if x > 0``, ``.item()`` and ``.numpy()`` are errors.
    Random numbers drawn inside are the same for all examples. An op without a rule of its own is
    computed through its composite, or example by example. The tape records whole batches: gradients
    may be taken inside and outside, to any order.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> x = fg.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> fg.vmap(lambda row: row / row.sum())(x).shape
    (2, 2)
    >>> slope = lambda row: fg.value_and_grad(lambda r: (r * r).sum())(row)[1]
    >>> fg.vmap(slope)(x).tolist()
    [[2.0, 4.0], [6.0, 8.0]]
    """

    def mapped_function(*args: Any, **kwargs: Any) -> Any:
        leaves, rebuild = flatten((args, kwargs))
        leaf_axes = _leaf_axes(in_axes, args) + [None] * len(flatten(kwargs)[0])
        batches = [
            leaf if axis is None else _batch_in_front(leaf, axis, i)
            for i, (leaf, axis) in enumerate(zip(leaves, leaf_axes, strict=True))
        ]
        mapped = [axis is not None for axis in leaf_axes]
        sizes = {x.shape[0] for x, m in zip(batches, mapped, strict=True) if m}
        if len(sizes) != 1:
            raise ShapeError(
                f"vmap: batches of {' and '.join(map(str, sorted(sizes))) or 'no'} examples; "
                "expected one size, and an argument with a batch axis (see in_axes)."
            )
        (size,) = sizes
        step = chunk_size or max(size, 1)
        results = []
        for start in range(0, max(size, 1), step):
            part = [
                x[start : start + step] if m and step < size else x
                for x, m in zip(batches, mapped, strict=True)
            ]
            results.append(_run(function, min(step, size - start), part, mapped, rebuild))
        leaves_of = [flatten(result) for result in results]
        joined = [
            moveaxis(parts[0] if len(parts) == 1 else concat(parts), 0, out_axes)
            for parts in zip(*(found for found, _ in leaves_of), strict=True)
        ]
        return leaves_of[0][1](joined)

    return mapped_function


def _leaf_axes(in_axes: Any, args: tuple[Any, ...]) -> list[int | None]:
    """The batch axis of each tensor in the arguments."""
    axes = in_axes if isinstance(in_axes, (tuple, list)) else (in_axes,) * len(args)
    if len(axes) != len(args):
        raise ShapeError(
            f"vmap: in_axes = {in_axes} for {len(args)} arguments; expected one for each."
        )
    return [axis for axis, arg in zip(axes, args, strict=True) for _ in range(len(flatten(arg)[0]))]


def _batch_in_front(leaf: Any, axis: int, number: int) -> Tensor:
    x = leaf if isinstance(leaf, Tensor) else Tensor(leaf)
    if not -x.ndim <= axis < x.ndim:
        raise ShapeError(
            f"vmap: tensor {number} of the arguments has shape {x.shape} and no axis {axis}; give "
            "its batch axis with in_axes, None for what is the same for all examples."
        )
    return moveaxis(x, axis, 0)


def _run(
    function: Callable[..., Any],
    size: int,
    batches: Sequence[Any],
    mapped: Sequence[bool],
    rebuild: Callable[[list[Any]], Any],
) -> Any:
    """Call the function on examples that stand for a batch; give its results as batches."""
    axis = _Mapping(size)
    args, kwargs = rebuild(
        [Mapped(x, axis) if m else x for x, m in zip(batches, mapped, strict=True)]
    )
    with entered(axis):
        result = function(*args, **kwargs)

        def batch(y: Any) -> Tensor:
            y = y if isinstance(y, Tensor) else Tensor(y)
            return peel(y, axis) if holds(y, axis) else in_front(y, size)

        return tree_map(batch, result)
