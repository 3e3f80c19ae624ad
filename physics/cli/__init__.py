"""The verbs of particle physics, a file for each subject."""

import typer

from fieldgrad.physics.cli import data

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True)
for verb in data.VERBS:
    app.command()(verb)
