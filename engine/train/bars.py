"""Progress bars: in a terminal by rich, in a notebook by its own display; elsewhere none."""

import time
from html import escape
from typing import Any, Protocol

__all__ = ["Bar", "NotebookBar", "TerminalBar", "open_bar"]

# A notebook is redrawn this often: each time goes through the network to the browser, seconds.
_REDRAW_EVERY = 0.2


class Bar(Protocol):
    """What a progress callback asks of a bar."""

    def show(self, done: int, total: int | None, what: str, where: str) -> None:
        """Move the bar.

        Parameters
        ----------
        done : int
            Number of steps done.
        total : int or None
            Number of steps planned, if it is known.
        what, where : str
            Texts left and right of it.
        """
        ...

    def say(self, line: str) -> None:
        """Print a line that stays.

        Parameters
        ----------
        line : str
            The line.
        """
        ...

    def stop(self) -> None:
        """End the bar."""
        ...


def open_bar() -> Bar | None:
    """Open the bar that fits to where the program runs.

    Returns
    -------
    Bar or None
        None where there is neither a terminal nor a notebook.
    """
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_jupyter:
        return NotebookBar()
    return TerminalBar(console) if console.is_terminal else None


class TerminalBar(Bar):
    """A bar in a terminal.

    Parameters
    ----------
    console : rich.console.Console
        Where to draw it.
    """

    def __init__(self, console: Any) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        text = TextColumn("{task.description}", markup=False)
        self._bar = Progress(text, BarColumn(), TextColumn("{task.fields[where]}"), console=console)
        self._task = self._bar.add_task("training", total=None, where="")
        self._bar.start()

    def show(self, done: int, total: int | None, what: str, where: str) -> None:
        """Move the bar; see `Bar`."""
        self._bar.update(self._task, description=what, completed=done, total=total, where=where)

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._bar.console.print(line, highlight=False)

    def stop(self) -> None:
        """Leave the bar as it stands."""
        self._bar.stop()


class NotebookBar(Bar):
    """A bar in the output of a notebook's cell, with the lines of the epochs under it."""

    def __init__(self) -> None:
        from IPython.display import HTML, display

        self._html, self._now = HTML, ("", "", 0, 0)
        self._lines: list[str] = []
        self._handle: Any = display(HTML(""), display_id=True)
        self._drawn_at = 0.0

    def show(self, done: int, total: int | None, what: str, where: str) -> None:
        """Move the bar; see `Bar`."""
        self._now = (what, where, done, total or 0)
        if time.monotonic() - self._drawn_at >= _REDRAW_EVERY:
            self._draw()

    def say(self, line: str) -> None:
        """Add a line under the bar."""
        self._lines.append(line)
        self._draw()

    def stop(self) -> None:
        """Draw the last state."""
        self._draw()

    def _draw(self) -> None:
        self._drawn_at = time.monotonic()
        what, where, done, total = self._now
        bar = f'<progress style="width:22em" value="{done}" max="{total or 1}"></progress>'
        text = f"<code>{escape(what)}</code> {bar} <code>{escape(where)}</code>"
        lines = "\n".join(map(escape, self._lines))
        self._handle.update(self._html(f"<div>{text}</div><pre>{lines}</pre>"))
