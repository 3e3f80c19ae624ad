"""Importing the engine stays light: no field, no file formats, no terminal, no plots."""

import importlib
import subprocess
import sys

import pytest

HEAVY = {
    "nibabel", "nilearn", "h5py", "rich", "typer", "matplotlib", "pandas", "sklearn",
    "safetensors", "tensorboardX",
    "scipy.fft", "scipy.linalg", "scipy.ndimage", "scipy.optimize", "scipy.signal",
    "scipy.sparse", "scipy.special", "scipy.stats",
    "fieldgrad.neuro", "fieldgrad.physics", "fieldgrad.chem",
}  # fmt: skip


def modules_after(statement):
    """Give the names of all modules that a fresh interpreter holds after a statement."""
    code = f"{statement}; import sys; print(*sys.modules, sep='\\n')"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


def test_engine_imports_nothing_heavy():
    assert not modules_after("import fieldgrad.engine") & HEAVY


@pytest.mark.parametrize("name", ["neuro", "physics", "chem"])
def test_each_name_at_the_door_of_a_field_is_there(name):
    field = importlib.import_module(f"fieldgrad.{name}")
    assert field.__all__, "names come from __init__.pyi"
    for public in field.__all__:
        module = importlib.import_module(getattr(field, public).__module__)
        assert getattr(module, public) is getattr(field, public)
        assert public in module.__all__
    with pytest.raises(AttributeError, match="Nothing"):
        field.Nothing  # noqa: B018


@pytest.mark.parametrize("field", ["neuro", "physics", "chem"])
def test_field_tables_import_nothing_heavy(field):
    loaded = modules_after(f"import fieldgrad.{field}.field")
    assert not loaded & (HEAVY - {f"fieldgrad.{field}"})


def test_help_imports_no_verbs_of_fields():
    loaded = modules_after(
        "from fieldgrad.engine.cli import FrontDoor as F; F(name='x').list_commands(None)"
    )
    assert not loaded & {"fieldgrad.neuro.cli", "nibabel", "h5py", "matplotlib"}
