"""Writing TOML, which the standard library only reads."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["to_toml"]


def to_toml(table: Mapping[str, Any]) -> str:
    """Write a table as TOML text.

    Parameters
    ----------
    table : mapping of str to object
        Text, numbers, booleans, lists and tables of these, nested at will. A value that TOML
        cannot hold, such as None, becomes a comment.

    Returns
    -------
    text : str
        TOML that ``tomllib.loads`` reads back to the same table.

    Examples
    --------
    >>> from fieldgrad.engine.toml import to_toml
    >>> print(to_toml({"seed": 0, "model": {"name": "unet", "spacing": [2.0, 2.0]}}), end="")
    seed = 0
    <BLANKLINE>
    [model]
    name = "unet"
    spacing = [2.0, 2.0]
    """
    return "\n".join(_lines(table, "")).lstrip("\n") + "\n"


def _lines(table: Mapping[str, Any], path: str) -> list[str]:
    """Give the plain values first, then the tables: TOML needs this order."""
    lines = []
    for key, value in table.items():
        if not _is_table(value) and not _is_table_list(value):
            text = _value(value)
            lines.append(f"{_key(key)} = {text}" if text else _comment(key, value))
    for key, value in table.items():
        full = f"{path}.{_key(key)}" if path else _key(key)
        if _is_table(value):
            lines += ["", f"[{full}]", *_lines(value, full)]
        elif _is_table_list(value):
            for entry in value:
                lines += ["", f"[[{full}]]", *_lines(entry, full)]
    return lines


def _comment(key: str, value: Any) -> str:
    shown = " ".join(repr(value).split())
    return f"# {_key(key)} = {shown}"


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_table_list(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) > 0 and all(map(_is_table, value))


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _text(key)


def _text(text: str) -> str:
    # JSON's escapes are TOML's, except that TOML also wants the delete character escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    """Write one value in a line, or give ``""`` if TOML cannot hold it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(float(value)) if math.isfinite(value) else str(float(value))
    if isinstance(value, (list, tuple)):
        entries = [_value(entry) for entry in value]
        return f"[{', '.join(entries)}]" if all(entries) else ""
    if isinstance(value, Mapping):
        written = {_key(key): _value(entry) for key, entry in value.items()}
        pairs = ", ".join(f"{key} = {entry}" for key, entry in written.items())
        return f"{{{pairs}}}" if all(written.values()) else ""
    return ""
