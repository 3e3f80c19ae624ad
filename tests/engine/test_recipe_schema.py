"""The JSON schema accepts what the checker accepts, and refuses what it refuses."""

import json
import tomllib

import pytest
from typer.testing import CliRunner

from fieldgrad.engine import recipe
from fieldgrad.engine.cli import app
from fieldgrad.engine.errors import RecipeError
from fieldgrad.engine.field import find_fields
from fieldgrad.engine.recipe_schema import recipe_schema

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema checks against the schema")

GOOD = 'field = "astro"\ntask = "train"\n[model]\nname = "net"\ndepth = 3\n'


def is_valid(text, field):
    validator = jsonschema.Draft7Validator(recipe_schema(field))
    return validator.is_valid(tomllib.loads(text))


@pytest.mark.parametrize(
    ("change", "valid"),
    [
        (("depth = 3", "depth = 3\nrate = 1"), True),
        (("depth = 3", 'depth = 3\nkind = "deep"'), True),
        (("task", "seed = 4\nshape = [4, 4]\nlabels = {a = 1}\ntask"), True),
        (("task", '[[noises]]\nname = "noise"\n\n[x]\ntask'), False),
        (("task", "sed = 4\ntask"), False),
        (("task", "seed = 1.5\ntask"), False),
        (("task", "shape = [4]\ntask"), False),
        (("depth = 3", "dpeth = 3"), False),
        (("depth = 3", 'depth = 3\nkind = "round"'), False),
        (('"net"', '"nets"'), False),
        (('"net"\ndepth = 3', '"elsewhere:Net"\nanything = 1'), True),
    ],
)
def test_schema_and_checker_agree(astro, change, valid):
    [field] = [f for name, f in find_fields().items() if name == "astro"]
    text = GOOD.replace(*change, 1)
    assert is_valid(text, field) == valid
    if not valid:
        (astro / "mine.toml").write_text(text)
        with pytest.raises(RecipeError):
            recipe.check(recipe.load(str(astro / "mine.toml")))


@pytest.mark.parametrize("name", ["neuro"])
def test_every_recipe_of_a_field_is_valid(name):
    field = find_fields()[name]
    for path in field.recipes.glob("*.toml"):
        assert is_valid(path.read_text(encoding="utf-8"), field), path.name


def test_the_schema_carries_descriptions_and_defaults():
    tasks = recipe_schema(find_fields()["neuro"])["oneOf"]
    [task] = [t for t in tasks if t["properties"]["task"].get("const") == "train_on_dataset"]
    held_back = task["properties"]["held_back"]
    assert held_back["default"] == 0.2
    assert held_back["description"].startswith("Part of the cases that training does not see")


def test_the_command_writes_the_schema(astro, tmp_path):
    result = CliRunner().invoke(app, ["recipes", "schema", "astro", "-o", str(tmp_path / "s.json")])
    assert result.exit_code == 0
    assert json.loads((tmp_path / "s.json").read_text())["title"] == "Recipe of the field astro"
