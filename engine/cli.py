"""The command line ``fieldgrad``: recipes, runs, and the verbs of whatever fields are installed.

It knows no field by name. A field's own verbs are imported when ``fieldgrad NAME …`` is used, and
numerical work only when something runs, so that help is quick.
"""

import errno
import json
import logging
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.syntax import Syntax
from rich.table import Table
from typer.core import TyperGroup

from fieldgrad.engine import recipe as recipes_of
from fieldgrad.engine.errors import FieldgradError, RecipeError
from fieldgrad.engine.field import Field, find_field, find_fields, find_recipe, import_object
from fieldgrad.engine.files import atomic_write, write_error
from fieldgrad.engine.recipe import Recipe
from fieldgrad.engine.runs.commands import app as runs_app

__all__ = ["app", "carry_out", "main"]

console = Console()
errors = Console(stderr=True)


class FieldCommands(TyperGroup):
    """The verbs of one field, imported when one of them or their list is asked for."""

    def __init__(self, known: Field) -> None:
        hidden = not (known.commands or known.problem)
        super().__init__(name=known.name, help=known.summary, no_args_is_help=True, hidden=hidden)
        self.known = known

    def _mount(self) -> None:
        if self.known.problem or not self.known.commands:
            reason = self.known.problem or "It has no commands yet."
            raise RecipeError(f"fieldgrad {self.known.name} cannot be used: {reason}")
        verbs = import_object(self.known.commands, extra=self.known.extra)
        self.commands = typer.main.get_group(verbs).commands

    def list_commands(self, ctx: Any) -> list[str]:
        """List the field's verbs."""
        self._mount()
        return super().list_commands(ctx)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Give one of the field's verbs."""
        self._mount()
        return super().get_command(ctx, cmd_name)


class FrontDoor(TyperGroup):
    """The engine's own commands, then one group for each installed field."""

    def _mount(self) -> None:
        for name, known in find_fields().items():
            self.commands.setdefault(name, FieldCommands(known))

    def list_commands(self, ctx: Any) -> list[str]:
        """List the engine's commands and the fields."""
        self._mount()
        return super().list_commands(ctx)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Give a command, or a field's group of verbs."""
        if cmd_name not in self.commands:
            self._mount()
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: Any) -> Any:
        """Run a command; errors meant for the user become a message and an exit code."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            errors.print("\nInterrupted.", style="yellow")
            raise typer.Exit(130) from None
        except FieldgradError as error:
            if ctx.params.get("debug"):
                raise
            _tell(error)
            raise typer.Exit(1) from None
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT) or ctx.params.get("debug"):
                raise
            _tell(write_error(error.filename or "a result", error))
            raise typer.Exit(1) from None


def _tell(error: Exception) -> None:
    # Notes say where it happened, such as the item that a loader was making.
    text = "\n".join([f"Error: {error}", *getattr(error, "__notes__", [])])
    errors.print(text, style="red", markup=False, highlight=False, soft_wrap=True)


app = typer.Typer(
    cls=FrontDoor,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Deep learning that speaks your field.",
)
recipes_app = typer.Typer(help="List, show and copy recipes.", invoke_without_command=True)
app.add_typer(recipes_app, name="recipes")


def _show_version(wanted: bool) -> None:
    if wanted:
        console.print(f"fieldgrad {metadata.version('fieldgrad')}", highlight=False)
        raise typer.Exit


@app.callback()
def start(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads for computing; default: all cores.")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    """Deep learning that speaks your field."""
    logger = logging.getLogger("fieldgrad")
    if not logger.handlers:
        handler = RichHandler(console=errors, show_time=False, show_level=False, show_path=False)
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    if threads is not None:
        import fieldgrad.engine as fg

        fg.set_num_threads(threads)


@recipes_app.callback()
def list_recipes(context: typer.Context) -> None:
    """List the recipes of all fields with one line each."""
    if context.invoked_subcommand:
        return
    table = Table("recipe", "what it does", box=None, pad_edge=False)
    for known in find_fields().values():
        for name in known.recipe_names():
            table.add_row(f"[bold]{name}[/bold]", recipes_of.load(name).summary)
    console.print(table)
    console.print("\nRun one with: [bold]fieldgrad run NAME[/bold]")


Name = Annotated[str, typer.Argument(help="Such as neuro/mni152-tissues, or a .toml file.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Replace a setting: --set model.depth=5"),
]


@recipes_app.command("show")
def show_recipe(
    name: Name,
    resolved: Annotated[
        bool, typer.Option("--resolved", help="With every default filled in, as a run writes it.")
    ] = False,
) -> None:
    """Show a recipe."""
    text = find_recipe(name).read_text(encoding="utf-8")
    if resolved:
        loaded = recipes_of.load(name)
        text = recipes_of.resolved_text(loaded, recipes_of.check(loaded))
    if console.is_terminal:
        console.print(Syntax(text, "toml", background_color="default"))
    else:
        typer.echo(text, nl=False)


@recipes_app.command("copy")
def copy_recipe(
    name: Name,
    destination: Annotated[
        Path | None, typer.Argument(help="File or folder; default: here, under its own name.")
    ] = None,
) -> None:
    """Copy a recipe to a file of your own, to change and run it."""
    source = find_recipe(name)
    target = destination or Path()
    if target.is_dir():
        target = target / source.name
    if target.exists():
        raise RecipeError(f"{target} already exists and was left as it is. Give another name.")
    with atomic_write(target) as temporary:
        temporary.write_bytes(source.read_bytes())
    console.print(f"Copied to {target}. Run it with: fieldgrad run {target}", highlight=False)


@recipes_app.command("schema")
def write_schema(
    field: Annotated[str, typer.Argument(help="Name of a field, such as neuro.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File; default: shown here.")
    ] = None,
) -> None:
    """Give the JSON schema of a field's recipes, for editors that complete and check TOML."""
    from fieldgrad.engine.recipe_schema import recipe_schema

    text = json.dumps(recipe_schema(find_field(field)), indent=1) + "\n"
    if out is None:
        typer.echo(text, nl=False)
        return
    with atomic_write(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    console.print(f'Written: {out}. First line of a recipe: "#:schema {out}"', highlight=False)


@app.command()
def run(
    recipe: Name,
    sets: Sets = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for all results; default: a new one in runs/.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run in --out; start it if none is there.")
    ] = False,
    live: Annotated[
        bool, typer.Option("--live", help="Show the run in the browser, with knobs to turn.")
    ] = False,
    folds: Annotated[
        int | None,
        typer.Option(min=2, help="Cross-validate: so many runs; the same command goes on with it."),
    ] = None,
) -> None:
    """Run a recipe, or all folds of its cross-validation."""
    if folds is not None:
        from fieldgrad.engine.runs.commands import run_folds

        if live:
            raise RecipeError("--live shows one run. Show a fold with: fieldgrad live OUT/fold-1")
        folder = out or Path("runs") / f"{Path(recipe).stem}-folds"
        run_folds(recipes_of.load(recipe, sets or ()), folder, folds)
        return
    if resume and out is None:
        raise RecipeError("--resume needs to know which run: add --out with its folder.")
    carry_out(
        recipes_of.load(recipe, sets or ()),
        out or _new_folder(Path("runs") / Path(recipe).stem),
        resume=resume,
        live=live,
    )


def carry_out(loaded: Recipe, folder: Path, *, resume: bool, live: bool = False) -> None:
    """Run a recipe and print its result, or how to continue after Ctrl-C; for verbs of fields too.

    Parameters
    ----------
    loaded : Recipe
        The recipe.
    folder : Path
        For all results.
    resume : bool
        Continue the run in `folder`.
    live : bool, default False
        Show it in the browser while it trains.
    """
    if live:
        from fieldgrad.engine.runs.live import serve

        recipes_of.prepare(loaded, folder, resume=resume)
        server = serve(folder, open_browser=True)
        errors.print(f"The run is shown at {server.url}", highlight=False, soft_wrap=True)
        resume = True
    try:
        result = recipes_of.run(loaded, folder, resume=resume)
    except KeyboardInterrupt:
        again = f"fieldgrad run {folder / 'recipe.toml'} --out {folder} --resume"
        errors.print(f"\nStopped. Continue with: {again}", highlight=False, soft_wrap=True)
        raise typer.Exit(130) from None
    if result is not None:
        console.print(result, highlight=False, soft_wrap=True)
    console.print(f"Results are in {folder}", highlight=False)


def _new_folder(path: Path) -> Path:
    """Give ``path``, or ``path-2``, ``path-3`` … if it is taken."""
    candidate, n = path, 1
    while candidate.exists():
        n += 1
        candidate = path.with_name(f"{path.name}-{n}")
    return candidate


@app.command()
def fields() -> None:
    """List the installed fields and whether they can be used."""
    table = Table("field", "what it is", "recipes", box=None, pad_edge=False)
    for known in find_fields().values():
        summary = known.summary + (f" [red]{known.problem}[/red]" if known.problem else "")
        table.add_row(f"[bold]{known.name}[/bold]", summary, str(len(known.recipe_names())))
    console.print(table)


app.registered_commands += runs_app.registered_commands


def main() -> None:
    """Run the command line; the entry point of the command ``fieldgrad``."""
    app(prog_name="fieldgrad")


if __name__ == "__main__":
    main()
