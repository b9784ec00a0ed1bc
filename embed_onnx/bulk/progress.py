"""How far a long run is: a bar on a terminal, a line now and then elsewhere."""

import time
from datetime import timedelta
from typing import Self

from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

from embed_onnx import console

LINE_SECONDS = 30.0
"""Between two lines where there is no terminal."""


class Progress:
    """Rows, tokens a second, and the time left, from the bytes of ``size`` that were read; None: unknown.

    ``done`` are the rows of earlier runs.
    """

    def __init__(self, size: int | None, *, done: int) -> None:
        columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
        self._bar = console.bars(*columns, transient=True)
        self._task = self._bar.add_task("", total=size)
        self._size = size
        self._done = done
        self._rows = 0
        self._tokens = 0
        self._first_read: int | None = None
        self._started = time.monotonic()
        self._line = self._started

    def __enter__(self) -> Self:
        if self._done:
            console.line(f"continuing after {self._done:,} rows", self._bar.console)
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
        if self._rows:
            console.line(self._rates(), self._bar.console)

    def add(self, rows: int, tokens: int, read: int | None) -> None:
        """So many more, after so many bytes of all files."""
        self._rows += rows
        self._tokens += tokens
        if self._first_read is None:
            self._first_read = read
        self._bar.update(self._task, description=self._rates(), completed=read)
        now = time.monotonic()
        if not self._bar.console.is_terminal and now - self._line > LINE_SECONDS:
            self._line = now
            console.line(self._rates() + self._remaining(read), self._bar.console)

    def _rates(self) -> str:
        seconds = max(1e-9, time.monotonic() - self._started)
        return (
            f"{self._done + self._rows:,} rows, {self._rows / seconds:,.0f} rows/s, "
            f"{self._tokens / seconds:,.0f} tokens/s"
        )

    def _remaining(self, read: int | None) -> str:
        if self._size is None or read is None or self._first_read is None or read <= self._first_read:
            return ""
        share = (self._size - read) / (read - self._first_read)
        remaining = timedelta(seconds=round((time.monotonic() - self._started) * share))
        return f", {read / self._size:.0%} read, {remaining} left"
