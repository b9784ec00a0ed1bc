"""``embed-onnx export``: what is missing or out of date, with progress. A model that fails ends no other."""

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.progress import Progress

from embed_onnx.artifact.manifest import Manifest, model_bytes
from embed_onnx.artifact.models_txt import Entry
from embed_onnx.engine import native
from embed_onnx.errors import SetupError
from embed_onnx_export import artifact, progress
from embed_onnx_export.calibration import Texts
from embed_onnx_export.checkpoint import (
    cross_encoder,
    multi_vector_settings,
    overrides,
    sources,
    sparse_encoder,
)
from embed_onnx_export.errors import ExportError
from embed_onnx_export.progress import Show


class Export(msgspec.Struct, frozen=True):
    """An artifact that exists now; ``seconds`` is None for one that was up to date."""

    manifest: Manifest
    model_bytes: int
    seconds: float | None


class ExportsFailed(ExportError):
    """Some models were not exported; ``exports`` are the others."""

    def __init__(self, sentences: dict[str, str], exports: list[Export]) -> None:
        if len(sentences) == 1 and not exports:
            super().__init__(*sentences.values())
        else:
            listed = "".join(f"\n  {name}: {sentence}" for name, sentence in sentences.items())
            total = len(sentences) + len(exports)
            super().__init__(f"{len(sentences)} of {total} models were not exported, the others are:{listed}")
        self.exports = exports


def export_all(
    entries: Sequence[Entry], artifacts: Path, *, force: bool, samples: Texts | None = None
) -> list[Export]:
    """Export models one after the other, skipping what is up to date.

    ``samples`` are texts to calibrate on in place of those of this package.

    Raises:
        ExportsFailed: A model cannot be exported; all that can be are.
        SetupError: The environment names kernels that cannot be used here.
    """
    native.find()  # said now, and not after minutes of exporting
    exports = []
    sentences = {}
    with progress.bars() as bars:
        for entry in entries:
            show = _Stages(bars, entry.name)
            try:
                exports.append(_export(entry, artifacts / entry.name, show, force, samples))
            except (SetupError, OSError) as err:
                sentences[entry.name] = str(err)
                show("failed")
    if sentences:
        raise ExportsFailed(sentences, exports)
    return exports


def _export(entry: Entry, folder: Path, show: "_Stages", force: bool, samples: Texts | None) -> Export:
    started = time.perf_counter()
    record = None if samples is None else samples.record
    show("finding")
    artifact.check_target(entry, folder)
    checkpoint = sources.find(entry)
    present = None if force else artifact.up_to_date(entry, checkpoint, folder, record)
    if present is not None:
        show("up to date")
        return Export(present, model_bytes(folder), None)
    from embed_onnx_export import build, build_scores, build_sparse, build_token_vectors  # noqa: PLC0415 - torch takes seconds to import, and is not needed until here

    waited = []

    def wait() -> None:
        waited.append(True)
        show("waiting")

    with (
        progress.explained(entry.name, folder, show),
        overrides.applied(checkpoint, entry.overrides) as changed,
        artifact.staged(folder, waiting=wait) as new,
    ):
        present = artifact.up_to_date(entry, checkpoint, folder, record) if waited and not force else None
        make = build.build
        if sparse_encoder.is_one(changed, entry.overrides):
            make = build_sparse.make
        elif multi_vector_settings.is_one(changed.folder):
            make = build_token_vectors.make
        elif cross_encoder.is_one(changed):
            make = build_scores.make
        manifest = present or make(entry, changed, new, show, samples)
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
