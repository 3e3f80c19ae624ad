"""What an entry of the table is, and short ways to write the frequent ones.

An adapter takes torch's arguments, with our tensors for torch's, and gives torch's result. Names
are looked up when it is called, so that an entry may stand here before its function does: it counts
as missing until then.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import fieldgrad.engine as fg

__all__ = ["Absent", "Entry", "LeftOut", "composed", "loosely", "reduction", "renamed", "same"]


class LeftOut(Exception):
    """A sample that we do not follow on purpose; its text is the reason, shown on the page."""


@dataclass(frozen=True)
class Absent:
    """Why there is no such function here."""

    reason: str


@dataclass(frozen=True)
class Entry:
    """How to do what an entry of torch's table does.

    Parameters
    ----------
    call : callable
        Takes torch's arguments.
    composed : bool, default False
        Whether it takes more than one function of ours.
    view : callable, optional
        Applied to torch's result and ours before they are compared, for results that are only
        determined up to signs or an order. Uses only what both kinds of tensors have.
    shapes_only : bool, default False
        Random results: only shapes and dtypes are compared.
    prepare : callable, optional
        Makes the arguments what the function is defined for, such as symmetric, in both libraries:
        takes the library and the arguments, gives the positional ones.
    torch_error : float, default 0.0
        How far torch's values are from the true ones, as a calculation of many digits shows, where
        that is more than rounding.
    """

    call: Callable[..., Any]
    composed: bool = False
    view: Callable[..., Any] | None = None
    shapes_only: bool = False
    prepare: Callable[..., tuple[Any, ...]] | None = None
    torch_error: float = 0.0


def find(name: str) -> Any:
    """The public function of that dotted name."""
    thing: Any = fg
    for part in name.split("."):
        thing = getattr(thing, part)
    return thing


def same(names: str, prefix: str = "", ours: str = "") -> dict[str, Entry]:
    """Entries whose function has torch's name and arguments; prefixes of torch's name and ours."""
    return {prefix + n: Entry(_later(ours + n)) for n in names.split()}


def renamed(**names: str) -> dict[str, Entry]:
    """Entries whose function takes torch's arguments under another name."""
    return {torch_name: Entry(_later(name)) for torch_name, name in names.items()}


def composed(call: Callable[..., Any]) -> Entry:
    """An entry that takes several functions of ours."""
    return Entry(call, composed=True)


def loosely(call: Callable[..., Any]) -> Entry:
    """An entry with random results."""
    return Entry(call, shapes_only=True)


def _later(name: str) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        return find(name)(*args, **kwargs)

    return call


def reduction(name: str, **fixed: Any) -> Entry:
    """A reduction: torch's (x, dim, keepdim, dtype) to ours (x, axis, keepdims)."""

    def call(x: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
        x = x if dtype is None else x.astype(dtype)
        return find(name)(x, axis=all_if_none(dim), keepdims=keepdim, **fixed)

    return Entry(call)


def all_if_none(dim: int | Iterable[int] | None) -> int | tuple[int, ...] | None:
    """Torch's axes as ours; an empty list means all of them."""
    if dim is None or isinstance(dim, int):
        return dim
    return tuple(dim) or None
