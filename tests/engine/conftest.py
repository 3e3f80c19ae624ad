"""A field in a distribution of its own, as a plug-in author would ship it."""

import sys

import pytest

CODE = '''
"""Galaxies."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import typer

from fieldgrad.engine.errors import DataError
from fieldgrad.engine.field import Field


class Model:
    """Anything that predicts."""


class Net(Model):
    """A network of so many layers."""

    def __init__(self, depth: int, *, rate: float = 0.1, kind: Literal["flat", "deep"] = "flat"):
        self.depth, self.rate, self.kind = depth, rate, kind


class Noise:
    """Noise of a given size."""

    def __init__(self, size: float = 1.0):
        self.size = size


def descend(parameters: list, rate: float = 0.5) -> tuple:
    """Minimize."""
    return parameters, rate


def train(
    model: Model,
    optimizer: Callable[[list], tuple] | None = None,
    *,
    noises: Sequence[Noise] = (),
    shape: tuple[int, int] = (8, 8),
    labels: dict[str, int] | None = None,
    colors: dict[int, str] | None = None,
    folder: Path | None = None,
    note: str = "",
    seed: int = 0,
    run_dir: Path,
    resume: bool = False,
) -> str:
    """Train."""
    if note == "interrupt":
        raise KeyboardInterrupt
    if note == "bad":
        raise DataError("m31.fits is empty. Copy it again.")
    if note == "defect":
        raise ZeroDivisionError("a defect")
    if note == "full":
        raise OSError(28, "No space left on device")
    (run_dir / "log.txt").write_text(f"depth {model.depth}")
    return f"depth {model.depth} seed {seed} resume {resume}"


def draw() -> None:
    """Draw, without a folder for results."""


app = typer.Typer()


@app.callback()
def about() -> None:
    """Galaxies."""


@app.command()
def look(name: str) -> None:
    """Look at one galaxy."""
    typer.echo(f"looking at {name}")


field = Field(
    "astro",
    "Galaxies and their light curves.",
    names={
        "train": "astro:train",
        "draw": "astro:draw",
        "net": "astro:Net",
        "noise": "astro:Noise",
        "descend": "astro:descend",
    },
    recipes=Path(__file__).parent / "recipes",
    commands="astro:app",
    extra="fieldgrad-astro",
)
'''

RECIPE = """\
field = "astro"
task = "train"
summary = "A spiral."

[model]
name = "net"
depth = 3
"""


@pytest.fixture
def astro(tmp_path, monkeypatch):
    """Install a field named astro with one recipe, and give the folder that holds it."""
    monkeypatch.delitem(sys.modules, "astro", raising=False)
    site = tmp_path / "site"
    information = site / "fieldgrad_astro-0.1.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: fieldgrad-astro\nVersion: 0.1\n"
    )
    (information / "entry_points.txt").write_text("[fieldgrad.fields]\nastro = astro:field\n")
    (site / "astro.py").write_text(CODE)
    (site / "recipes").mkdir()
    (site / "recipes" / "spiral.toml").write_text(RECIPE)
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("PYTHONPATH", str(site))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return site
