"""What people see while export and report run: bars on a terminal, lines elsewhere, errors as sentences."""

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from embed_onnx.errors import SetupError
from export.errors import ExportError


class Show:
    """Tells which stage a model is at: on a bar, or a line each where there is no terminal."""

    def __init__(self, progress: Progress, name: str, total: int | None = None) -> None:
        self._progress, self._name = progress, name
        self.stage = ""
        self._task = progress.add_task(name, total=total)

    def __call__(self, stage: str) -> None:
        """Show a stage as begun."""
        self.stage = stage
        self._progress.update(self._task, description=f"{self._name}: {stage}")
        if self._progress.disable:
            self._progress.console.print(f"{self._name}: {stage}")

    def expect(self, total: int) -> None:
        """Say how much there is to do."""
        self._progress.update(self._task, total=total)

    def advance(self, count: int) -> None:
        """So much more of that is done."""
        self._progress.advance(self._task, count)

    def reach(self, count: int) -> None:
        """So much of that is done by now."""
        self._progress.update(self._task, completed=count)


@contextlib.contextmanager
def shown() -> Iterator[Progress]:
    """Bars for a while; the libraries' warnings about their own workings stay off the terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress, _quiet():
        yield progress


@contextlib.contextmanager
def explained(name: str, folder: Path, show: Show) -> Iterator[None]:
    """Turn what nobody foresaw of a model into a sentence.

    Raises:
        ExportError: The disk, the memory, or a checkpoint that torch or a library on it cannot deal with.
    """
    try:
        yield
    except SetupError:
        raise
    except OSError as err:
        raise ExportError(f"{name} cannot be written to {folder}: {err}; free or choose a place") from err
    except MemoryError as err:
        raise ExportError(
            f"{name} needs more memory than there is here ({show.stage}); export it on another machine and "
            "copy its artifacts folder here"
        ) from err
    except Exception as err:
        raise ExportError(
            f"{name} failed while {show.stage}: {type(err).__name__}: {err}; try the checkpoint in "
            "sentence-transformers, and if it works there report this as a bug"
        ) from err


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
