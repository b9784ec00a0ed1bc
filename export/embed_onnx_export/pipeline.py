"""``embed-onnx export``: what is missing or out of date, with progress, and a table at the end."""

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from embed_onnx.artifact.manifest import Manifest
from embed_onnx.artifact.models_txt import Entry
from embed_onnx.engine import native
from embed_onnx.engine.native import Kernels
from embed_onnx.models import tables
from embed_onnx_export import artifact, progress
from embed_onnx_export.checkpoint import sources
from embed_onnx_export.progress import Show


class Done(msgspec.Struct, frozen=True):
    """A row of the table; ``seconds`` is None for what was up to date."""

    manifest: Manifest
    folder: Path
    seconds: float | None


def export_all(entries: Sequence[Entry], artifacts: Path, *, force: bool) -> None:
    """Export models one after the other, skipping what is up to date; then show a table of them.

    Raises:
        ExportError: A model cannot be exported; those before it are done.
        SetupError: There are no such kernels here as the environment names.
    """
    kernels = native.find()
    with progress.shown() as bars:
        done = [_export(entry, artifacts / entry.name, _Stages(bars, entry.name), force) for entry in entries]
    tables.show(_table(done, kernels))
    for row in done:
        for note in [module.note for module in row.manifest.modules if module.note]:
            line = f"{row.manifest.name}: {note}"
            Console().print(line, markup=False, highlight=False, soft_wrap=True)


def _export(entry: Entry, folder: Path, show: "_Stages", force: bool) -> Done:
    started = time.perf_counter()
    show("finding")
    artifact.check_target(entry, folder)
    checkpoint = sources.find(entry)
    present = None if force else artifact.up_to_date(entry, checkpoint, folder)
    if present is not None:
        show("up to date")
        return Done(present, folder, None)
    from embed_onnx_export import build  # noqa: PLC0415 - torch takes seconds to import, and is not needed until here

    waited = []

    def wait() -> None:
        waited.append(True)
        show("waiting")

    with progress.explained(entry.name, folder, show), artifact.staged(folder, waiting=wait) as new:
        present = artifact.up_to_date(entry, checkpoint, folder) if waited and not force else None
        made = present or build.build(entry, checkpoint, new, show)
    show("up to date" if present else "done")
    return Done(made, folder, None if present else time.perf_counter() - started)


class _Stages(Show):
    """A bar with a step a stage; any other word is an end."""

    STAGES = ("finding", "waiting", "loading", "exporting", "checking", "quantizing", "comparing")

    def __init__(self, bars: Progress, name: str) -> None:
        super().__init__(bars, name, len(self.STAGES))

    def __call__(self, stage: str) -> None:
        """Show a stage as begun, and those before it as done."""
        super().__call__(stage)
        self.reach(self.STAGES.index(stage) if stage in self.STAGES else len(self.STAGES))


def _table(done: Sequence[Done], kernels: Kernels) -> Table:
    table = Table("name", "MB before", "MB after", *tables.COSINES, "seconds")
    for row in done:
        table.add_row(
            row.manifest.name,
            f"{row.manifest.float32_bytes / tables.MB:.1f}",
            f"{tables.megabytes(row.folder):.1f}",
            *tables.cosines(kernels.of(row.manifest)),
            "up to date" if row.seconds is None else f"{row.seconds:.0f}",
        )
    return table
