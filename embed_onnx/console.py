"""Tables, bars and lines for people."""

from rich.console import Console
from rich.progress import Progress, ProgressColumn
from rich.table import Table

FILE_WIDTH = 240
"""Characters a line of a table where the output is not a terminal."""


def show(table: Table) -> None:
    """Print a table to standard output."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=FILE_WIDTH)
    console.print(table)


def line(text: str, console: Console | None = None) -> None:
    """Print a line as it is, without markup or wrapping: to a console, or else to standard output."""
    (console or Console()).print(text, markup=False, highlight=False, soft_wrap=True)


def bars(*columns: ProgressColumn, transient: bool = False) -> Progress:
    """Bars on standard error; disabled where that is not a terminal."""
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=transient, disable=not console.is_terminal)
