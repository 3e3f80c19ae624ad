"""JSON Schema of a field's recipes, with which editors complete and check them as they are typed.

It is made of the same signatures and annotations that `schema.check_table` checks against, and of
the parameters' descriptions in the docstrings.
"""

import collections.abc
import inspect
import re
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fieldgrad.engine.errors import FieldgradError
from fieldgrad.engine.field import Field, import_object

__all__ = ["recipe_schema"]

_PLAIN = {bool: "boolean", int: "integer", float: "number", str: "string", Path: "string"}
_SUPPLIED = ("run_dir", "resume")
_HEADER: dict[str, Any] = {
    "summary": {"type": "string", "description": "One line for lists."},
    "extends": {"type": "string", "description": "Name of one other recipe, or a .toml file."},
    "versions": {"type": "object", "description": "Written into resolved recipes."},
}


def recipe_schema(field: Field) -> dict[str, Any]:
    """Describe the recipes of a field.

    Parameters
    ----------
    field : Field
        The field; its tasks and whatever else it has short names for are imported.

    Returns
    -------
    dict
        A JSON Schema (draft 7). Callables that are named by import path are accepted with any
        arguments; `recipe.check` knows them too.

    Examples
    --------
    >>> from fieldgrad.engine.field import Field
    >>> field = Field("sums", "Sums.", names={"fraction": "fractions:Fraction"})
    >>> schema = recipe_schema(field)
    >>> schema["properties"]["field"]
    {'const': 'sums'}
    """
    tasks, objects = [], []
    for name, path in field.names.items():
        try:
            target = import_object(path, extra=field.extra)
            table = _callable(target)
        except (FieldgradError, TypeError, ValueError, NameError):
            continue  # a library is missing here; the others can be described all the same
        if "run_dir" in inspect.signature(target).parameters:
            header = {"field": {"const": field.name}, "task": {"const": name}, **_HEADER}
            tasks.append(_table(header | table, target, ["field", "task"]))
        else:
            objects.append(_table({"name": {"const": name}} | table, target, ["name"]))
    other = {"type": "string", "pattern": ":"}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": f"Recipe of the field {field.name}",
        "type": "object",
        "required": ["field", "task"],
        "properties": {"field": {"const": field.name}},
        "oneOf": [*tasks, {"properties": {"task": other}}],
        "definitions": {
            "object": {
                "type": "object",
                "required": ["name"],
                "oneOf": [*objects, {"properties": {"name": other}}],
            }
        },
    }


def _table(properties: dict[str, Any], target: Any, required: list[str]) -> dict[str, Any]:
    kinds = [p.kind for p in inspect.signature(target).parameters.values()]
    return {
        "description": (inspect.getdoc(target) or "").partition("\n")[0],
        "properties": properties,
        "required": required,
        "additionalProperties": inspect.Parameter.VAR_KEYWORD in kinds,
    }


def _callable(target: Any) -> dict[str, Any]:
    """Describe the keyword arguments of a callable."""
    hints = typing.get_type_hints(target.__init__ if inspect.isclass(target) else target)
    texts = _descriptions(inspect.getdoc(target) or "")
    table = {}
    for name, parameter in inspect.signature(target).parameters.items():
        if name in _SUPPLIED or parameter.kind in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
            parameter.POSITIONAL_ONLY,
        ):
            continue
        entry = dict(_value(hints.get(name, Any)))
        if name in texts:
            entry["description"] = texts[name]
        default = parameter.default
        if isinstance(default, bool | int | float | str):
            entry["default"] = default
        table[name] = entry
    return table


def _value(hint: Any) -> dict[str, Any]:
    """Describe a value by its annotation."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    kind = origin or hint
    if kind is typing.Annotated:
        return _value(inner[0])
    if kind in (typing.Union, types.UnionType):
        members = [_value(member) for member in inner if member is not type(None)]
        return members[0] if len(members) == 1 else {"anyOf": members}
    if kind is typing.Literal:
        return {"enum": list(inner)}
    if kind in _PLAIN:
        return {"type": _PLAIN[kind]}
    if kind in (dict, Mapping, collections.abc.Mapping):
        return {"type": "object"}
    if kind is collections.abc.Callable:
        return {"$ref": "#/definitions/object"}
    if kind is tuple and inner and inner[-1] is not Ellipsis:
        items = [_value(item) for item in inner]
        return {"type": "array", "items": items, "minItems": len(items), "maxItems": len(items)}
    if inspect.isclass(kind) and issubclass(kind, collections.abc.Iterable) and inner:
        return {"type": "array", "items": _value(inner[0])}
    if inspect.isclass(kind) and not getattr(kind, "_is_protocol", False):
        array = kind in (list, tuple, collections.abc.Sequence)
        return {"type": "array"} if array else {"$ref": "#/definitions/object"}
    return {}


def _descriptions(text: str) -> dict[str, str]:
    """Read the descriptions of the parameters out of a numpydoc docstring."""
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[\w ]*\n-+\n|\Z)", text, re.M | re.S)
    found: dict[str, str] = {}
    for block in re.finditer(
        r"^(?P<names>\S.*?)(?: :.*)?\n(?P<text>(?:(?: +.*)?\n?)*)",
        section[1] if section else "",
        re.M,
    ):
        words = " ".join(block["text"].split())
        found |= {name.strip("* "): words for name in block["names"].split(",")}
    return found
