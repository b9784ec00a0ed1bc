"""``embed-onnx export``: what is missing or out of date, with progress."""

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.progress import Progress

from embed_onnx.artifact.manifest import Manifest, model_bytes
from embed_onnx.artifact.models_txt import Entry
from embed_onnx.engine import native
from embed_onnx_export import artifact, progress
from embed_onnx_export.checkpoint import overrides, sources
from embed_onnx_export.progress import Show


class Export(msgspec.Struct, frozen=True):
    """An artifact that exists now; ``seconds`` is None for one that was up to date."""

    manifest: Manifest
    model_bytes: int
    seconds: float | None


def export_all(entries: Sequence[Entry], artifacts: Path, *, force: bool) -> list[Export]:
    """Export models one after the other, skipping what is up to date.

    Raises:
        ExportError: A model cannot be exported; those before it are done.
        SetupError: The environment names kernels that cannot be used here.
    """
    native.find()  # said now, and not after minutes of exporting
    with progress.bars() as bars:
        return [_export(entry, artifacts / entry.name, _Stages(bars, entry.name), force) for entry in entries]


def _export(entry: Entry, folder: Path, show: "_Stages", force: bool) -> Export:
    started = time.perf_counter()
    show("finding")
    artifact.check_target(entry, folder)
    checkpoint = sources.find(entry)
    present = None if force else artifact.up_to_date(entry, checkpoint, folder)
    if present is not None:
        show("up to date")
        return Export(present, model_bytes(folder), None)
    from embed_onnx_export import build  # noqa: PLC0415 - torch takes seconds to import, and is not needed until here

    waited = []

    def wait() -> None:
        waited.append(True)
        show("waiting")

    with (
        progress.explained(entry.name, folder, show),
        overrides.applied(checkpoint, entry.overrides) as changed,
        artifact.staged(folder, waiting=wait) as new,
    ):
        present = artifact.up_to_date(entry, checkpoint, folder) if waited and not force else None
        manifest = present or build.build(entry, changed, new, show)
    show("up to date" if present else "done")
    return Export(manifest, model_bytes(folder), None if present else time.perf_counter() - started)


class _Stages(Show):
    """A bar with a step a stage; any other word is an end."""

    STAGES = ("finding", "waiting", "loading", "exporting", "checking", "quantizing", "comparing")

    def __init__(self, bars: Progress, name: str) -> None:
        super().__init__(bars, name, len(self.STAGES))

    def __call__(self, stage: str) -> None:
        """Show that a stage begins, and that those before it are done."""
        super().__call__(stage)
        self.reach(self.STAGES.index(stage) if stage in self.STAGES else len(self.STAGES))
