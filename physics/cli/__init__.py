"""The verbs of particle physics, a file for each subject."""

import typer

from fieldgrad.physics.cli import data, tagging

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True)
for verb in (*tagging.VERBS, *data.VERBS):
    app.command()(verb)
