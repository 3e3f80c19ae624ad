"""The verbs of chemistry: those on molecules and those on structures, a file each."""

import typer

from fieldgrad.chem.cli import molecules, structures

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True)
for verb in (*molecules.VERBS, *structures.VERBS):
    app.command()(verb)
