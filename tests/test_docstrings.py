"""Every public name is documented in numpydoc form, and every example in a docstring is true."""

import doctest
import importlib
import inspect
import tomllib
from pathlib import Path

import pytest

from fieldgrad.engine.op import Op

ROOT = Path(__file__).parents[1]
PACKAGES = ("engine", "shared_models", "neuro", "physics", "chem")
# The machinery below the ops: documented, but no promise to users.
INTERNAL = tuple(
    f"fieldgrad.engine.{name}"
    for name in (
        "batching.index",
        "batching.mapped",
        "batching.rules",
        "device",
        "samples",
        "shapes",
    )
)


def modules():
    """List the dotted names of all modules but the private ones."""
    files = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files]
    return [
        f"fieldgrad.{name.removesuffix('.__init__')}"
        for name in names
        if "._" not in name.removesuffix(".__init__")
    ]


def public_things(module):
    """Give (dotted name, object) of a module's public classes, their methods, and functions.

    What a package re-exports is checked where it is defined, unless that is a private module. A
    method that overrides another keeps the contract documented there.
    """
    for name in getattr(module, "__all__", [n for n in vars(module) if not n.startswith("_")]):
        thing = getattr(module, name)
        owner = getattr(thing, "__module__", None) or ""
        defined_here = owner == module.__name__ or (hasattr(module, "__path__") and "._" in owner)
        if not callable(thing) or not defined_here:
            continue
        yield f"{module.__name__}.{name}", thing
        if inspect.isclass(thing):
            for member, value in vars(thing).items():
                overrides = any(hasattr(base, member) for base in thing.__mro__[1:])
                documented = callable(value) or isinstance(value, property)
                if documented and not overrides and not member.startswith("_"):
                    yield f"{module.__name__}.{name}.{member}", getattr(thing, member)


def needs_no_parameters(thing):
    """Tell whether the signature says it all: elementwise ops (x, y, /), protocols."""
    if isinstance(thing, Op):
        parameters = inspect.signature(thing).parameters.values()
        return all(parameter.kind is parameter.POSITIONAL_ONLY for parameter in parameters)
    return getattr(thing, "_is_protocol", False)


@pytest.mark.parametrize("name", modules())
def test_numpydoc(name):
    numpydoc = pytest.importorskip("numpydoc.validate", reason="numpydoc checks docstrings")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["numpydoc_validation"]
    problems = []
    module = importlib.import_module(name)
    if not module.__doc__:
        problems.append(f"{name}: the module has no docstring")
    for full_name, thing in () if name.startswith(INTERNAL) else public_things(module):
        for code, message in numpydoc.validate(full_name)["errors"]:
            if code not in settings["checks"] and not (
                code == "PR01" and needs_no_parameters(thing)
            ):
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
