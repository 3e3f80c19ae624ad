"""The rules of the house that a machine can check: budgets, names, places."""

import ast
import importlib.util
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("engine", "shared_models", "neuro", "physics", "chem")
OTHER_FOLDERS = ("tests", "tutorials", "benchmarks", "docs")
# Lines a file may have; raising one is a commit of its own, with the reason.
BUDGET = 600
# The list of public names grows with them, and has nothing else in it.
BUDGETS = {"engine/_core.pyx": 1000, "engine/__init__.py": 1200}
ROOT_FILES = {
    "pyproject.toml", "meson.build", "meson.options", "README.md", "LICENSE", "CHANGELOG.md",
    "CONTRIBUTING.md", "CITATION.cff", "Makefile", ".gitignore",
}  # fmt: skip
SOURCES = sorted(
    file
    for top in (*PACKAGES, *OTHER_FOLDERS)
    for file in (ROOT / top).rglob("*")
    if file.suffix in (".py", ".pyx", ".pxi", ".pyi", ".c", ".h", ".md", ".toml", ".ipynb")
)
CODE = [file for file in SOURCES if file.suffix in (".py", ".pyx", ".pxi", ".pyi", ".c", ".h")]
PYTHON = [file for file in SOURCES if file.suffix == ".py"]
INSTALLED = [file for file in PYTHON if file.relative_to(ROOT).parts[0] in PACKAGES]


def relative(file):
    return file.relative_to(ROOT).as_posix()


def tracked():
    """List what version control holds, or skip where this is no checkout."""
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listing.returncode or not listing.stdout:
        pytest.skip("not a git checkout")
    return listing.stdout.splitlines()


def test_top_level_is_as_designed():
    tops = {name.partition("/")[0] for name in tracked()}
    assert tops <= {*PACKAGES, *OTHER_FOLDERS, *ROOT_FILES, ".ci"}


def test_no_large_file_is_tracked():
    large = [n for n in tracked() if (ROOT / n).exists() and (ROOT / n).stat().st_size > 1 << 20]
    assert not large


@pytest.mark.parametrize("file", CODE, ids=relative)
def test_file_keeps_its_budget(file):
    n_lines = len(file.read_text(encoding="utf-8").splitlines())
    assert n_lines <= BUDGETS.get(relative(file), BUDGET)


def code_lines(source, node):
    """Count the lines of a class without its docstrings, comments and empty lines."""
    lines = source.splitlines()
    bodies = [n for n in ast.walk(node) if isinstance(n, ast.ClassDef | ast.FunctionDef)]
    texts = [n.body[0] for n in bodies if ast.get_docstring(n) is not None]
    skipped = {i for text in texts for i in range(text.lineno, text.end_lineno + 1)}
    own = (i for i in range(node.lineno, node.end_lineno + 1) if i not in skipped)
    return sum(bool(lines[i - 1].strip()) and lines[i - 1].strip()[0] != "#" for i in own)


def test_a_callback_has_at_most_60_lines():
    sizes = {}
    for file in (ROOT / "engine/train").glob("*.py"):
        source = file.read_text(encoding="utf-8")
        for node in ast.parse(source).body:
            bases = [getattr(b, "id", "") for b in getattr(node, "bases", ())]
            if "Callback" in bases:
                sizes[node.name] = code_lines(source, node)
    assert {"Checkpoint", "RunRecord", "Progress"} <= sizes.keys()
    assert max(sizes.values()) <= 60, sizes


def test_no_file_is_named_for_leftovers():
    leftovers = {"utils", "util", "helpers", "helper", "misc", "common"}
    assert not [relative(file) for file in CODE if leftovers & set(file.stem.lower().split("_"))]


def test_nothing_unpickles():
    pattern = re.compile(
        r"^\s*(import|from)\s+(pickle|cloudpickle|dill|joblib|shelve|marshal)\b", re.M
    )
    assert not [relative(file) for file in PYTHON if pattern.search(file.read_text())]


def test_no_file_names_a_place_on_one_machine():
    files = [*SOURCES, *(ROOT / name for name in ROOT_FILES), ROOT / ".ci/run"]
    # Absolute paths into a home or work folder; written so that this line does not match itself.
    pattern = re.compile(r"(?<![\w.~-])/(?:home|root|work|Users|opt)/\w")
    named = [
        relative(file)
        for file in files
        if file.exists() and pattern.search(file.read_text(encoding="utf-8"))
    ]
    assert not named


@pytest.mark.parametrize("file", INSTALLED, ids=relative)
def test_first_line_says_the_subject(file):
    if not file.stat().st_size:
        return
    with tokenize.open(file) as text:
        assert text.readline().startswith('"""')


def test_every_module_is_installed():
    for file in INSTALLED:
        name = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        assert importlib.util.find_spec(f"fieldgrad.{name}"), f"{name} is not in the installation"


def test_folders_are_no_top_level_packages(tmp_path):
    code = "import importlib.util as u, sys; sys.exit(u.find_spec('engine') is not None)"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path).returncode == 0
