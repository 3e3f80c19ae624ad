"""The exercise in docs/how-to/add-an-op.md works as it stands."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "how-to" / "add-an-op.md"
STEP = re.compile(
    r"(?:In `(?P<file>[^`]+)`, below `(?P<line>[^`]+)`"
    r"|At the end of `(?P<end>[^`]+)`):\n\n```\w*\n(?P<code>.*?)```",
    re.DOTALL,
)


def follow(page, folder):
    """Make the changes that the page tells to make."""
    steps = list(STEP.finditer(page))
    for step in steps:
        file = folder / (step["file"] or step["end"])
        text, code = file.read_text(encoding="utf-8"), step["code"]
        if step["end"]:
            text += code
        else:
            anchor = step["line"] + "\n"
            assert text.count(anchor) == 1, f"{file}: {anchor}"
            text = text.replace(anchor, anchor + code)
        file.write_text(text, encoding="utf-8")
    return len(steps)


def run(command, folder, **environment):
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def copy(folder):
    """A copy of what is built and tested."""
    hidden = shutil.ignore_patterns(".*", "build", "demo", "__pycache__", "*.so", "*-venv")
    shutil.copytree(ROOT, folder, ignore=hidden)
    return folder


def test_the_page_names_places_that_exist(tmp_path):
    assert follow(PAGE.read_text(encoding="utf-8"), copy(tmp_path / "fieldgrad")) == 4


@pytest.mark.slow
def test_the_exercise_works(tmp_path):
    pytest.importorskip("mesonpy", reason="the exercise compiles the engine")
    folder, site = copy(tmp_path / "fieldgrad"), tmp_path / "site"
    follow(PAGE.read_text(encoding="utf-8"), folder)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-build-isolation", "--no-deps"]
    run([*pip, "--target", str(site), "."], folder)
    # -S: an editable installation of this checkout would come first.
    path = os.pathsep.join([str(site), *(p for p in sys.path if p.endswith("-packages"))])
    files = ["test_op_table.py", "test_vmap.py", "test_masks.py"]
    tests = [sys.executable, "-S", "-m", "pytest", "-q", "-k", "cube", *files]
    output = run(tests, folder / "tests" / "engine", PYTHONPATH=path)
    assert int(re.search(r"(\d+) passed", output)[1]) >= 12
