"""Tables, JSON, bars and lines for people and for the programs behind a pipe."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from rich import box
from rich.console import Console
from rich.progress import Progress, ProgressColumn
from rich.table import Table

JSON_INDENT = 2


class Column(NamedTuple):
    """A column of a table; one that is not ``narrow`` is left out of a terminal, which has 80 characters."""

    title: str
    narrow: bool = True


def show(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print rows to standard output: a table on a terminal, else lines with tabs between all columns."""
    console = Console()
    if not console.is_terminal:
        for cells in ([column.title for column in columns], *rows):
            print("\t".join(cells))  # noqa: T201 - rich would make blanks of tabs
        return
    table = Table(box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    for column in columns:
        if column.narrow:
            table.add_column(column.title, overflow="fold", no_wrap=not table.columns)  # a name stays whole
    for row in rows:
        table.add_row(*(cell for column, cell in zip(columns, row, strict=True) if column.narrow))
    console.print(table)


def json(value: Any) -> None:
    """Print a value as JSON to standard output."""
    line(msgspec.json.format(msgspec.json.encode(value), indent=JSON_INDENT).decode())


def line(text: str, console: Console | None = None) -> None:
    """Print a line as it is, without markup or wrapping: to a console, or else to standard output."""
    (console or Console()).print(text, markup=False, highlight=False, soft_wrap=True)


def bars(*columns: ProgressColumn, transient: bool = False) -> Progress:
    """Bars on standard error; disabled where that is not a terminal."""
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=transient, disable=not console.is_terminal)
