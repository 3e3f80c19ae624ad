import math
import tomllib

import pytest

from fieldgrad.engine.toml import to_toml

TABLES = [
    {},
    {"a": 1, "b": -2.5e-7, "c": True, "d": "x"},
    {"text": 'quote " backslash \\ line\nbreak tab\t delete \x7f é 脑'},
    {"a key": 1, "dotted.key": 2, "": 3, "é": 4},
    {"lists": [[1, 2], [], ["a", "b"]], "mixed": [1, {"name": "a"}]},
    {"outer": {"inner": {"x": 1}, "y": 2}, "empty": {}},
    {"callbacks": [{"name": "a", "sub": {"z": 1}}, {"name": "b"}], "last": 1},
    {"infinite": math.inf, "negative": -math.inf},
]


@pytest.mark.parametrize("table", TABLES)
def test_text_reads_back_to_the_same_table(table):
    assert tomllib.loads(to_toml(table)) == table


def test_nan_reads_back():
    assert math.isnan(tomllib.loads(to_toml({"a": math.nan}))["a"])


def test_what_toml_cannot_hold_becomes_a_comment():
    text = to_toml({"a": None, "b": [1, None], "c": object})
    assert tomllib.loads(text) == {}
    assert "# a = None" in text
