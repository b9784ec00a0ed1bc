"""What people see while export and report run: bars on a terminal, lines elsewhere, errors as sentences."""

import contextlib
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from embed_onnx import console
from embed_onnx.errors import SetupError
from embed_onnx_export.errors import ExportError

LOADERS = ("sentence_transformers", "transformers")
"""What they warn of may change vectors; other libraries' warnings are about their own workings."""
CHATTER = re.compile(
    r"Some weights of|\S+ LOAD REPORT|Token indices sequence length|Be aware, overflowing tokens"
)
"""How warnings begin that do not matter here: missing weights are refused, and long texts are cut."""


class Show:
    """Shows which stage a model is in: on a bar, or a line each where there is no terminal."""

    def __init__(self, progress: Progress, name: str, total: int | None = None) -> None:
        self._progress, self._name = progress, name
        self.stage = ""
        self._task = progress.add_task(name, total=total)

    def __call__(self, stage: str) -> None:
        """Show that a stage begins."""
        self.stage = stage
        self._progress.update(self._task, description=f"{self._name}: {stage}")
        if self._progress.disable:
            self._progress.console.print(f"{self._name}: {stage}")

    def line(self, text: str) -> None:
        """Show a line about the model, which stays."""
        console.line(f"{self._name}: {text}", self._progress.console)

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
def bars() -> Iterator[Progress]:
    """Bars for a while; the libraries' warnings about their own workings stay off the terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with console.bars(*columns) as progress, _quiet():
        yield progress


@contextlib.contextmanager
def explained(name: str, folder: Path, show: Show) -> Iterator[None]:
    """Turn an unforeseen failure of a model into a sentence, and show the warnings of what loads it.

    Raises:
        ExportError: The disk, the memory, or a checkpoint that torch or a library on it cannot deal with.
        ImportError: A package cannot be imported.
    """
    try:
        with _warnings_as_lines(show.line):
            yield
    except (SetupError, ImportError):  # the second is of packages that do not go together
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


class _Lines(logging.Handler):
    """Shows each warning once, as a line."""

    def __init__(self, show: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._show = show
        self._seen: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Show what a logger says."""
        self.write(record.name, record.getMessage())

    def warn(self, message: Warning | str, category: type[Warning], filename: str, *_: Any) -> None:
        """Show what Python's ``warnings`` say, if that is for users and comes from what loads models."""
        source = next((name for name in LOADERS if name in Path(filename).parts), None)
        if source is not None and category in {UserWarning, RuntimeWarning}:
            self.write(source, str(message))

    def write(self, source: str, message: str) -> None:
        """Show a warning, unless it was shown before."""
        line = " ".join(message.split())
        if line and line not in self._seen and not CHATTER.match(line):
            self._seen.add(line)
            self._show(f"{source.partition('.')[0]} warns: {line}")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


@contextlib.contextmanager
def _warnings_as_lines(show: Callable[[str], None]) -> Iterator[None]:
    """Show the warnings of ``LOADERS``, logged or not, and of no other library; all are imported by now."""
    lines = _Lines(show)
    loaders = [logging.getLogger(name) for name in LOADERS]
    others = _handlers()
    disabled = logging.root.manager.disable
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lines.warn  # type: ignore[assignment]
        for handler in others:
            handler.addFilter(_is_error)
        for logger in loaders:
            logger.addHandler(lines)
        logging.disable(logging.NOTSET)
        try:
            yield
        finally:
            logging.disable(disabled)
            for logger in loaders:
                logger.removeHandler(lines)
            for handler in others:
                handler.removeFilter(_is_error)


def _handlers() -> list[logging.Handler]:
    """Whatever writes log lines of anybody's."""
    loggers = [logging.getLogger(), *map(logging.getLogger, logging.root.manager.loggerDict)]
    last = [logging.lastResort] if logging.lastResort is not None else []
    return list(dict.fromkeys([handler for logger in loggers for handler in logger.handlers] + last))


def _is_error(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR
