"""Every import leads to the same floor or a lower one (docs/architecture.md draws the floors)."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = [
    "engine.errors engine.files engine.toml engine.processors engine.bindings",
    "engine._core engine.device engine.config engine.memory",
    "engine.op engine.shapes engine.taps engine.samples engine.ops engine.autograd"
    " engine.trees engine.transforms engine.batching engine.profiler",
    "engine.nn engine.optim engine.data engine.distributions engine.trace engine.compile"
    " engine.onnx",
    "engine.train engine.schema engine.recipe engine.field engine.checkpoint engine.interop"
    " engine.model_file engine.charts engine.recipe_schema",
    "engine",  # the package itself: the list of public names
    "engine.testing engine.cli engine.runs engine.numpy_calls shared_models",
    "neuro physics chem",
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms.split()}
# Rooms of these floors stay apart from their neighbors, but for the pairs.
APART, PAIRS = (3, 7), {("engine.onnx", "engine.trace"), ("engine.compile", "engine.trace")}


def room(module):
    """Give the room that a module below fieldgrad lies in; every module must have one."""
    return max((r for r in FLOOR if f"{module}.".startswith(f"{r}.")), key=len)


def imports(file):
    """Give (line, module below fieldgrad) for each import, wherever in the file it stands."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}:{node.lineno}: imports are absolute"
            # `from package import module` leads to the module, not to the package.
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from ((node.lineno, n[10:]) for n in names if n.startswith("fieldgrad."))


FILES = sorted(file for top in ("engine", "shared_models", "neuro", "physics", "chem")
               for file in (ROOT / top).rglob("*.py"))  # fmt: skip


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_lead_down(file):
    here = room(".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))
    for line, module in imports(file):
        there = room(module)
        message = f"{file}:{line}: {here} must not import {there}"
        assert FLOOR[there] <= FLOOR[here], message
        apart = FLOOR[here] in APART and FLOOR[there] == FLOOR[here] and there != here
        assert not apart or (here, there) in PAIRS, message


def test_every_engine_module_has_a_floor():
    files = [file for file in (ROOT / "engine").iterdir() if file.suffix in (".py", ".pyx")]
    modules = {f"engine.{file.stem}" for file in files if file.stem != "__init__"}
    assert modules <= FLOOR.keys()
