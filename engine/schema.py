"""The signature is the schema: tables of settings are checked against the callables they name.

`check_table` gives a tree of `Call` with every default filled in and builds nothing; `Call.build`
builds the objects from the inside out; `Call.table` gives the tree back as plain tables.
"""

import collections.abc
import functools
import inspect
import os
import types
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fieldgrad.engine.errors import RecipeError, suggest
from fieldgrad.engine.field import Field, import_object
from fieldgrad.engine.toml import to_toml

__all__ = ["Call", "check_table"]


@dataclass(frozen=True)
class Call:
    """A callable with checked arguments, not called yet.

    Parameters
    ----------
    name : str
        The callable's name as the recipe gives it.
    target : callable
        The callable.
    arguments : dict
        Its keyword arguments; a nested `Call` stands for an object that is still to be built.
    deferred : bool, optional
        Whether `build` gives the callable with its settings bound, for a parameter that is
        annotated as a callable, instead of calling it.
    """

    name: str
    target: Callable[..., Any]
    arguments: dict[str, Any]
    deferred: bool = False

    def build(self, **supplied: Any) -> Any:
        """Build the nested objects and call the target with them.

        Parameters
        ----------
        **supplied : object
            Further keyword arguments of the target.

        Returns
        -------
        result : object
            What the target gives; for a deferred call, the target with its settings bound.
        """
        arguments = {key: _build(value) for key, value in self.arguments.items()} | supplied
        if self.deferred:
            return functools.partial(self.target, **arguments)
        return self.target(**arguments)

    def table(self) -> dict[str, Any]:
        """Give the call back as the plain table a recipe would hold.

        Returns
        -------
        table : dict
            ``name`` and every argument, lists for tuples and text for paths.
        """
        return {"name": self.name} | {key: _plain(value) for key, value in self.arguments.items()}


def check_table(
    name: Any,
    settings: Mapping[str, Any],
    known: Field,
    where: str = "",
    *,
    supplied: Collection[str] = (),
    deferred: bool = False,
) -> Call:
    """Check the settings of one callable against its signature and annotations.

    Parameters
    ----------
    name : str
        Short name of the field, or import path, of the callable.
    settings : mapping of str to object
        Its keyword arguments as plain TOML values.
    known : Field
        The field whose short names may be used.
    where : str, optional
        The table's place in the recipe, for messages.
    supplied : collection of str, optional
        Parameters that the caller of `Call.build` will give.
    deferred : bool, default False
        Whether the callable is only to be bound to its settings; then it may lack arguments.

    Returns
    -------
    call : Call
        The callable with checked arguments and every default.

    Raises
    ------
    RecipeError
        For an unknown name or key, a value of the wrong kind, or a missing setting.
    MissingExtra
        If the callable's module needs a library that is not installed.

    Examples
    --------
    >>> from fieldgrad.engine.field import Field
    >>> from fieldgrad.engine.schema import check_table
    >>> field = Field("math", "Sums.", names={"fraction": "fractions:Fraction"})
    >>> check_table("fraction", {"numerator": 3}, field).build()
    Fraction(3, 1)
    """
    target = _find_target(name, known, where)
    label = f"[{where}] {name}" if where else str(name)
    parameters = inspect.signature(target).parameters
    usable = {
        key: parameter
        for key, parameter in parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        and key not in supplied
    }
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    hints = typing.get_type_hints(target.__init__ if inspect.isclass(target) else target)
    arguments: dict[str, Any] = {}
    for key, value in settings.items():
        if key not in usable and not open_ended:
            raise RecipeError(
                f"{label} has no setting {key!r}{suggest(key, usable) or '.'} "
                f"Settings: {', '.join(usable) or 'none'}."
            )
        place = f"{where}.{key}" if where else key
        arguments[key] = _check_value(value, hints.get(key, Any), known, place)
    absent = [key for key in usable if key not in arguments]
    required = [key for key in absent if usable[key].default is inspect.Parameter.empty]
    if required and not deferred:
        raise RecipeError(f"{label} needs {', '.join(required)}; add it to the recipe.")
    defaults = {key: usable[key].default for key in absent if key not in required}
    # Signature order, so that the resolved recipe reads like the documentation.
    merged = arguments | defaults
    ordered = {key: merged.pop(key) for key in usable if key in merged} | merged
    return Call(name, target, ordered, deferred)


def _find_target(name: Any, known: Field, where: str) -> Callable[..., Any]:
    place = f"[{where}] name" if where else "task"
    if not isinstance(name, str):
        raise RecipeError(f"{place} = {name!r}; expected a name as text.")
    path = known.names.get(name, name)
    if ":" not in path:
        raise RecipeError(
            f"{place} = {name!r} is not a name of the field {known.name}"
            f"{suggest(name, known.names) or '.'} Names: {', '.join(sorted(known.names))}; "
            "anything else is given as 'package.module:Name'."
        )
    target = import_object(path, extra=known.extra)
    if not callable(target):
        raise RecipeError(f"{place} = {name!r} is {target!r}; expected a class or function.")
    return typing.cast("Callable[..., Any]", target)


def _check_value(value: Any, hint: Any, known: Field, where: str) -> Any:
    """Check one value against an annotation; gives it as the callable will receive it."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    kind = origin or hint
    if kind is typing.Annotated:
        return _check_value(value, arguments[0], known, where)
    if kind in (typing.Union, types.UnionType):
        return _check_union(value, arguments, known, where)
    if kind is typing.Literal:
        for choice in arguments:
            if type(choice) is type(value) and choice == value:
                return value
        hint_text = suggest(value, map(str, arguments)) if isinstance(value, str) else ""
        choices = ", ".join(_spell_value(choice) for choice in arguments)
        raise RecipeError(f"{where} = {_spell_value(value)}{hint_text or ';'} Choices: {choices}.")
    if isinstance(value, dict) and kind not in (dict, Mapping):
        return _check_object(value, kind, known, where)
    if isinstance(value, dict):
        key_kind, item = arguments or (str, Any)
        return {
            _check_key(key, key_kind, where): entry
            if item is Any
            else _check_value(entry, item, known, f"{where}.{key}")
            for key, entry in value.items()
        }
    if isinstance(value, list) and kind in _LISTS:
        return _check_list(value, kind, arguments, known, where)
    accepted = _SCALARS.get(kind)
    if accepted is None:
        # Protocols, type variables and array-likes say nothing about plain values.
        if kind is Any or not inspect.isclass(kind) or getattr(kind, "_is_protocol", False):
            return value
        accepted = ()
    if type(value) not in accepted:
        _refuse(value, hint, where)
    return kind(value) if kind in (float, Path) else value


def _check_key(key: str, kind: Any, where: str) -> Any:
    """Read a key, which TOML knows as text only, as the whole number that is expected."""
    if kind is not int:
        return key
    if not key.removeprefix("-").isdigit():
        raise RecipeError(f"{where}.{key}: the key is {key!r}; expected a whole number.")
    return int(key)


_SCALARS: dict[Any, tuple[type, ...]] = {
    bool: (bool,),
    int: (int,),
    float: (int, float),
    str: (str,),
    Path: (str,),
}
_LISTS = (
    list,
    tuple,
    collections.abc.Sequence,
    collections.abc.Iterable,
    collections.abc.Collection,
)


def _check_union(value: Any, members: tuple[Any, ...], known: Field, where: str) -> Any:
    members = tuple(member for member in members if member is not type(None))
    # The member of the value's own type first: 3 stays an int where int or float may stand.
    errors = []
    for member in sorted(members, key=lambda member: member is not type(value)):
        try:
            return _check_value(value, member, known, where)
        except RecipeError as error:
            errors.append(error)
    if len(members) == 1 or isinstance(value, dict):
        raise errors[0]
    return _refuse(value, typing.Union[members], where)  # noqa: UP007 (members known at run time)


def _check_list(
    value: list[Any], kind: Any, items: tuple[Any, ...], known: Field, where: str
) -> list[Any] | tuple[Any, ...]:
    """Check a list entry by entry; everything but ``list`` itself receives a tuple."""
    if kind is tuple and items and items[-1] is not Ellipsis:
        if len(items) != len(value):
            raise RecipeError(f"{where} has {len(value)} entries; expected {len(items)}.")
    else:
        items = (items[0] if items else Any,) * len(value)
    checked = [
        _check_value(entry, item, known, f"{where}[{i}]")
        for i, (entry, item) in enumerate(zip(value, items, strict=True))
    ]
    return checked if kind is list else tuple(checked)


def _check_object(value: dict[str, Any], kind: Any, known: Field, where: str) -> Any:
    """Check a table where an object is expected."""
    if kind in _SCALARS or kind in _LISTS:
        _refuse(value, kind, where)
    settings = dict(value)
    name = settings.pop("name", None)
    if name is None:
        if kind is Any:
            return value
        raise RecipeError(f"[{where}] has no `name`; expected the name of what to build there.")
    deferred = kind is collections.abc.Callable
    call = check_table(name, settings, known, where, deferred=deferred)
    built = call.target if inspect.isclass(call.target) else None
    plain = inspect.isclass(kind) and not getattr(kind, "_is_protocol", False)
    if built and plain and not deferred and not issubclass(built, kind):
        raise RecipeError(f"[{where}] {call.name} is no {kind.__name__}, which is expected there.")
    return call


def _refuse(value: Any, hint: Any, where: str) -> typing.NoReturn:
    quote = " Put it in quotes." if hint is str and not isinstance(value, (dict, list)) else ""
    raise RecipeError(f"{where} = {_spell_value(value)}; expected {_spell(hint)}.{quote}")


def _spell_value(value: Any) -> str:
    if isinstance(value, dict):
        return "a table"
    return to_toml({"_": value}).strip().removeprefix("_ = ")


def _spell(hint: Any) -> str:
    """Say an annotation in words."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    words = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "text",
        Path: "a path",
    }
    if hint in words:
        return words[hint]
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_spell(member) for member in arguments if member is not type(None))
    if (origin or hint) in _LISTS:
        items = [_spell(item) for item in arguments if item is not Ellipsis]
        return f"a list of ({', '.join(items)})" if items else "a list"
    if (origin or hint) in (dict, Mapping):
        return "a table"
    if (origin or hint) is collections.abc.Callable or inspect.isclass(origin or hint):
        return "a table with `name`"
    return str(hint)


def _build(value: Any) -> Any:
    if isinstance(value, Call):
        return value.build()
    if isinstance(value, (list, tuple)):
        return type(value)(_build(entry) for entry in value)
    if isinstance(value, dict):
        return {key: _build(entry) for key, entry in value.items()}
    return value


def _plain(value: Any) -> Any:
    """Give a checked value as it would stand in a recipe."""
    if isinstance(value, Call):
        return value.table()
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    return os.fspath(value) if isinstance(value, Path) else value
