"""A tensor that stands for a batch of them: what a function sees inside `vmap`.

It has the shape of one example. The values of all examples lie in another tensor, ``batch``, with
the batch axis in front. Inside two `vmap`s, ``batch`` is itself such a tensor.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NoReturn
from weakref import ref

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import GradientError
from fieldgrad.engine.ops.layout import broadcast_to, permute_dims
from fieldgrad.engine.transforms import Transform, active

__all__ = ["Axis", "Mapped", "along", "everywhere", "holds", "in_front", "peel", "wrap"]


class Axis(Transform):
    """A batch axis that a `vmap` maps over.

    Parameters
    ----------
    size : int
        Number of examples.
    """

    def __init__(self, size: int) -> None:
        self.size = size


def _refuse(name: str) -> Callable[..., NoReturn]:
    def refuse(self: "Mapped", *_: Any, **__: Any) -> NoReturn:
        raise TypeError(
            f"{name} inside vmap: the tensor stands for {self.axis.size} examples of shape "
            f"{self.shape}, whose values differ. Choose with fg.where instead of if, take rows by "
            "number with fg.gather, and read values outside vmap."
        )

    return refuse


class Mapped(Tensor):
    """One example's shape and dtype, and no values.

    Parameters
    ----------
    batch : Tensor
        The values of all examples, shape (batch, …).
    axis : Axis
        What the first axis of batch belongs to.
    """

    batch = Tensor(0.0)

    def __init__(self, batch: Tensor, axis: Axis) -> None:
        super().__init__(_stand_in(batch.shape[1:], batch.dtype))
        self.batch, self.axis = batch, axis
        self.family: list[ref[Mapped]] = []  # it and its views, if there are any

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient is computed for this tensor."""
        return self.batch.requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value != self.batch.requires_grad:
            self.batch.requires_grad = value

    @property
    def is_leaf(self) -> bool:
        """Whether the tensor was made by the user, not by a recorded op."""
        return self.batch.is_leaf

    def detach(self) -> "Mapped":
        """Return a tensor that shares the values but has no history."""
        return Mapped(self.batch.detach(), self.axis)

    def is_viewed_by(self, other: "Mapped") -> None:
        """Remember that another tensor may share this one's memory."""
        self.family = self.family or [ref(self)]
        self.family.append(ref(other))
        other.family = self.family

    def __getitem__(self, index: Any) -> Tensor:
        from fieldgrad.engine.batching.index import mapped_getitem

        return mapped_getitem(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        from fieldgrad.engine.batching.index import mapped_setitem

        mapped_setitem(self, index, value)

    def __repr__(self) -> str:
        return f"tensor(one of {self.axis.size}, shape={self.shape}, dtype={self.dtype})"

    def backward(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: the gradients of all examples would be added up in the leaves."""
        raise GradientError(
            "backward() inside vmap would add up the gradients of all examples in the leaves. Take "
            "a gradient of each with fg.value_and_grad inside, or call backward() outside."
        )

    data = property(_refuse(".data"))  # type: ignore[assignment]
    numpy = _refuse(".numpy()")
    item = _refuse(".item()")
    tolist = _refuse(".tolist()")
    assign = _refuse(".assign()")
    bump_version = _refuse(".bump_version()")
    register_hook = _refuse(".register_hook()")
    __deepcopy__ = _refuse("copy.deepcopy(x)")
    __array__ = _refuse("np.asarray(x)")
    __bool__ = _refuse("bool(x)")
    __float__ = _refuse("float(x)")
    __int__ = _refuse("int(x)")
    __index__ = _refuse("a tensor as index")
    __dlpack__ = _refuse("from_dlpack(x)")


@functools.lru_cache(maxsize=256)
def _stand_in(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Visibly no values, NaN or the largest integer, of a shape and dtype in a few bytes."""
    nothing = np.nan if dtype.kind in "fc" else False if dtype.kind == "b" else np.iinfo(dtype).max
    return np.broadcast_to(np.asarray(nothing, dtype), shape)


def holds(value: Any, axis: Axis) -> bool:
    """Whether a value is, or contains, a tensor mapped over an axis, at whatever depth."""
    if isinstance(value, Mapped):
        return value.axis is axis or holds(value.batch, axis)
    if isinstance(value, (tuple, list)):
        return any(holds(part, axis) for part in value)
    return isinstance(value, slice) and holds((value.start, value.stop, value.step), axis)


def peel(x: Tensor, axis: Axis) -> Tensor:
    """The values that x has along a batch axis, in front; x depends on the axis."""
    assert isinstance(x, Mapped)
    if x.axis is axis:
        return x.batch
    inner = peel(x.batch, axis)  # (this axis, x.axis, …)
    return Mapped(permute_dims(inner, (1, 0, *range(2, inner.ndim))), x.axis)


def wrap(x: Tensor, axis: Axis) -> Mapped:
    """The tensor whose values along a batch axis x has in front: what `peel` was called with."""
    order = list(active())
    if isinstance(x, Mapped) and order.index(x.axis) > order.index(axis):
        inner = permute_dims(x.batch, (1, 0, *range(2, x.batch.ndim)))
        return Mapped(wrap(inner, axis), x.axis)
    return Mapped(x, axis)


def along(x: Tensor, axis: Axis) -> Tensor:
    """The values that x has along a batch axis, in front, where it may have the same everywhere."""
    return peel(x, axis) if holds(x, axis) else in_front(x, axis.size)


def in_front(x: Tensor, size: int) -> Tensor:
    """x repeated along a new first axis, without copying."""
    return broadcast_to(x, (size, *x.shape))


def everywhere(x: Tensor, axes: Sequence[Axis]) -> Any:
    """x as a tensor mapped over each of the axes, from the outermost on; x itself without any."""
    if not axes:
        return x
    *outer, inner = axes
    if isinstance(x, Mapped) and x.axis is inner:
        return Mapped(everywhere(x.batch, outer), inner)
    return Mapped(in_front(everywhere(x, outer), inner.size), inner)
