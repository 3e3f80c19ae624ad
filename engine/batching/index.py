"""Indexing inside `vmap`: where the batch axis goes, and indices that differ between examples.

NumPy puts the axes of several index arrays where the first of them stands if they stand side by
side, and in front of everything if they do not.
"""

from typing import Any

import numpy as np

from fieldgrad.engine._core import TABLE, Tensor
from fieldgrad.engine.batching.mapped import Axis, Mapped, everywhere, holds, peel
from fieldgrad.engine.errors import GradientError
from fieldgrad.engine.ops.layout import permute_dims, reshape
from fieldgrad.engine.transforms import active

__all__ = ["mapped_getitem", "mapped_setitem", "shifted_index"]


def _items(index: Any, ndim: int) -> list[Any]:
    """The index as a list with an item for each axis: no ellipsis, masks as their positions."""
    items: list[Any] = []
    for item in index if isinstance(index, tuple) else (index,):
        item = np.asarray(item) if isinstance(item, list) else item
        if _is_array(item) and item.dtype == bool:
            items += np.nonzero(item.numpy() if isinstance(item, Tensor) else item)
        else:
            items.append(item)
    n_named = sum(item is not None and item is not Ellipsis for item in items)
    rest = [slice(None)] * (ndim - n_named)
    at = next((i for i, item in enumerate(items) if item is Ellipsis), None)
    return items + rest if at is None else items[:at] + rest + items[at + 1 :]


def _is_array(item: Any) -> bool:
    return isinstance(item, (np.ndarray, Tensor))


def _arrangement(items: list[Any]) -> tuple[int, int | None]:
    """How many axes the index arrays make, and how many stand before them (None: all over)."""
    if not any(_is_array(item) for item in items):
        return 0, 0
    places = [i for i, item in enumerate(items) if _is_array(item) or isinstance(item, int)]
    n_axes = max(items[i].ndim for i in places if _is_array(items[i]))
    together = places == list(range(places[0], places[-1] + 1))
    return n_axes, places[0] if together else None


def shifted_index(index: Any, shape: tuple[int, ...]) -> tuple[Any, int]:
    """An index into a batch of arrays that indexes each of them, and where the batch axis goes.

    Parameters
    ----------
    index : int, slice, None, Ellipsis, ndarray, or a tuple of them
        Index into one array.
    shape : tuple of int
        Shape of one array.

    Returns
    -------
    index : tuple
        Index into an array of shape (batch, *shape).
    position : int
        The batch axis of the result.
    """
    items = _items(index, len(shape))
    n_axes, before = _arrangement(items)
    return (slice(None), *items), n_axes if before is None else 0


def _axes_of(values: Any) -> set[Axis]:
    """All axes that tensors, perhaps in a tuple, are mapped over."""
    if isinstance(values, tuple):
        return set().union(*map(_axes_of, values))
    return {values.axis} | _axes_of(values.batch) if isinstance(values, Mapped) else set()


def _own_index(index: Any, batch: Tensor, axis: Axis) -> tuple[Any, tuple[int, ...]]:
    """An index into a batch for an index that differs between examples, and an order of axes.

    ``permute_dims(batch[own], order)`` is ``x[index]`` for each x of the batch.
    """
    items = _items(index, batch.ndim - 1)
    n_axes, before = _arrangement(items)
    own: list[Any] = [np.arange(axis.size).reshape(-1, *(1,) * n_axes)]
    for item in items:
        if isinstance(item, Tensor) and holds(item, axis):
            item = peel(item, axis)
            item = reshape(item, (axis.size, *(1,) * (n_axes + 1 - item.ndim), *item.shape[1:]))
        own.append(item)
    n_slices = sum(not _is_array(item) and not isinstance(item, int) for item in items)
    rest = [1 + n_axes + i for i in range(n_slices)]
    order = (0, *rest[: before or 0], *range(1, 1 + n_axes), *rest[before or 0 :])
    return tuple(own), order


def mapped_getitem(x: Mapped, index: Any) -> Tensor:
    """x[index] for each example, with one index for all or an index for each.

    Parameters
    ----------
    x : Mapped
        What is indexed.
    index : int, slice, None, Ellipsis, ndarray, Tensor, or a tuple of them
        As NumPy takes it; tensors of integers may differ between examples.

    Returns
    -------
    Tensor
        As NumPy gives it for one example.
    """
    if not _axes_of(index):
        return TABLE["getitem"](x, index=_plain(index))
    axes = sorted(_axes_of((x, index)), key=list(active()).index)
    batch, axis = everywhere(x, axes).batch, axes[-1]
    own, order = _own_index(index, batch, axis)
    return Mapped(permute_dims(batch[own], order), axis)


def mapped_setitem(x: Mapped, index: Any, value: Any) -> None:
    """x[index] = value for each example; x then stands for a changed copy.

    Parameters
    ----------
    x : Mapped
        What is assigned to.
    index : int, slice, None, Ellipsis, ndarray, or a tuple of them
        As NumPy takes it, the same for all examples.
    value : array_like
        Broadcast to the shape of x[index].

    Raises
    ------
    GradientError
        If other tensors share the memory of x: they would not see the change.
    """
    if any(alive() is not None and alive() is not x for alive in x.family):
        raise GradientError(
            "assignment inside vmap to a tensor that is a view of another one, or has a view. "
            "Assign to a copy (y = x * 1), and write x[i] = x[i] + y for x[i] += y."
        )
    if _axes_of(index):
        raise TypeError(
            "assignment inside vmap at an index that differs between examples; choose with "
            "fg.where, for instance between the old and the new values where arange(n) == i."
        )
    value = value if isinstance(value, Tensor) else Tensor(np.asarray(value, x.dtype))
    changed = TABLE["setitem"](x, value.astype(x.dtype), index=_plain(index))
    assert isinstance(changed, Mapped)
    x.batch, x.axis = changed.batch, changed.axis


def _plain(index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(_plain(item) for item in index)
    return index.data if isinstance(index, Tensor) else index
