"""Every public name is documented in numpydoc form, and every example in a docstring is true."""

import doctest
import importlib
import inspect
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("engine", "shared_models", "neuro", "physics", "chem")


def modules():
    """List the dotted names of all public modules."""
    files = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files]
    return [
        f"fieldgrad.{name.removesuffix('.__init__')}"
        for name in names
        if "._" not in name.removesuffix(".__init__")
    ]


def public_things(module):
    """Give (dotted name, object) of a module's public classes, their methods, and functions.

    What a package re-exports is checked where it is defined, unless that is a private module.
    """
    for name in getattr(module, "__all__", [n for n in vars(module) if not n.startswith("_")]):
        thing = getattr(module, name)
        owner = getattr(thing, "__module__", None) or ""
        if not callable(thing) or (owner != module.__name__ and "._" not in owner):
            continue
        yield f"{module.__name__}.{name}", thing
        if inspect.isclass(thing):
            for member, value in vars(thing).items():
                if not member.startswith("_") and (callable(value) or isinstance(value, property)):
                    yield f"{module.__name__}.{name}.{member}", getattr(thing, member)


@pytest.mark.parametrize("name", modules())
def test_numpydoc(name):
    numpydoc = pytest.importorskip("numpydoc.validate", reason="numpydoc checks docstrings")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["numpydoc_validation"]
    problems = []
    module = importlib.import_module(name)
    if not module.__doc__:
        problems.append(f"{name}: the module has no docstring")
    for full_name, thing in public_things(module):
        for code, message in numpydoc.validate(full_name)["errors"]:
            if code == "PR01" and getattr(thing, "_is_protocol", False):
                continue  # a protocol is never constructed
            if code not in settings["checks"]:
                problems.append(f"{full_name}: {code} {message}")
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("name", modules())
def test_examples(name):
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    module = importlib.import_module(name)
    finder, runner = doctest.DocTestFinder(), doctest.DocTestRunner(optionflags=options)
    report = []
    for full_name, thing in [(name, module), *public_things(module)]:
        for test in finder.find(thing, full_name, module=module, globs=vars(module).copy()):
            # The finder descends from a module or class by itself; each test runs once.
            if test.name == full_name:
                runner.run(test, out=report.append)
    assert not runner.failures, "".join(report)
