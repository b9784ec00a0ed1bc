"""``embed-onnx export``: what is missing or out of date, with progress, and a table at the end."""

import contextlib
import logging
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from embed_onnx import native, tables
from embed_onnx.errors import SetupError
from embed_onnx.manifest import Manifest
from embed_onnx.models_file import Entry
from export import artifact, sources
from export.errors import ExportError


class Done(msgspec.Struct, frozen=True):
    """A row of the table; ``seconds`` is None for what was up to date."""

    manifest: Manifest
    folder: Path
    seconds: float | None


def export_all(entries: Sequence[Entry], artifacts: Path, *, force: bool) -> None:
    """Export models one after the other, skipping what is up to date; then show a table of them.

    Raises:
        ExportError: A model cannot be exported; those before it are done.
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress, _quiet():
        done = [
            _export(entry, artifacts / entry.name, _Show(progress, entry.name), force) for entry in entries
        ]
    tables.show(_table(done))
    for row in done:
        for note in [module.note for module in row.manifest.modules if module.note]:
            Console().print(f"{row.manifest.name}: {note}")


def _export(entry: Entry, folder: Path, show: "_Show", force: bool) -> Done:
    started = time.perf_counter()
    show("finding")
    artifact.check_target(entry, folder)
    checkpoint = sources.find(entry)
    present = None if force else artifact.up_to_date(entry, checkpoint, folder)
    if present is not None:
        show("up to date")
        return Done(present, folder, None)
    from export import build  # noqa: PLC0415 - torch takes seconds to import, and is not needed until here

    waited = []

    def wait() -> None:
        waited.append(True)
        show("waiting")

    try:
        with artifact.staged(folder, waiting=wait) as new:
            present = artifact.up_to_date(entry, checkpoint, folder) if waited and not force else None
            made = present or build.build(entry, checkpoint, new, show)
    except SetupError:
        raise
    except OSError as err:
        raise ExportError(
            f"{entry.name} cannot be written to {folder}: {err}; free or choose a place"
        ) from err
    except Exception as err:  # a checkpoint that torch, transformers or optimum cannot deal with
        raise ExportError(
            f"{entry.name} failed while {show.stage}: {type(err).__name__}: {err}; try the checkpoint in "
            "sentence-transformers, and if it works there report this as a bug"
        ) from err
    show("up to date" if present else "done")
    return Done(made, folder, None if present else time.perf_counter() - started)


class _Show:
    """Tells which stage a model is at: on a bar, or a line each where there is no terminal."""

    STAGES = ("finding", "waiting", "loading", "exporting", "checking", "quantizing", "comparing")

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress, self._name = progress, name
        self.stage = ""
        self._task = progress.add_task(name, total=len(self.STAGES))

    def __call__(self, stage: str) -> None:
        """Show a stage as begun; any other word is an end."""
        self.stage = stage
        at = self.STAGES.index(stage) if stage in self.STAGES else len(self.STAGES)
        self._progress.update(self._task, completed=at, description=f"{self._name}: {stage}")
        if self._progress.disable:
            self._progress.console.print(f"{self._name}: {stage}")


def _table(done: Sequence[Done]) -> Table:
    table = Table("name", "MB before", "MB after", "cosine mean", "cosine min", "seconds")
    kernels = native.find()
    for row in done:
        table.add_row(
            row.manifest.name,
            f"{row.manifest.float32_bytes / tables.MB:.1f}",
            f"{tables.megabytes(row.folder):.1f}",
            *tables.cosines(kernels.of(row.manifest)),
            "up to date" if row.seconds is None else f"{row.seconds:.0f}",
        )
    return table


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries' warnings about their own workings off the terminal."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
