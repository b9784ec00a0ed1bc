"""``embed-onnx report``: finds an artifact and its original, makes its other precision, writes the card."""

import tempfile
from pathlib import Path

from msgspec.structs import replace

from embed_onnx.artifact.manifest import Precision
from embed_onnx.artifact.models_txt import Entry
from embed_onnx.engine import native
from embed_onnx_export import artifact, progress
from embed_onnx_export.checkpoint import overrides, sources
from embed_onnx_export.errors import ExportError
from embed_onnx_export.progress import Show
from embed_onnx_export.report import card
from embed_onnx_export.report.datasets import Datasets

OTHER: dict[Precision, Precision] = {"int8": "float32", "float32": "int8"}


def write(entry: Entry, artifacts: Path, data: Datasets) -> Path:
    """Write the report card of an artifact; says where.

    Raises:
        ExportError: The artifact is absent or out of date, or cannot be measured.
        DatasetError: A dataset is not for models of its kind.
        SetupError: The environment names kernels that cannot be used here.
    """
    native.find()  # said now, and not after minutes of measuring
    folder = artifacts / entry.name
    with progress.bars() as bars:
        show = Show(bars, f"{entry.name}: report")
        show("finding")
        checkpoint = sources.find(entry)
        manifest = artifact.up_to_date(entry, checkpoint, folder)
        if manifest is None:
            raise ExportError(
                f"{folder} holds no artifact of {entry.name} as it is listed now; "
                f"run `embed-onnx export {entry.name}` first"
            )
        data.check(manifest)
        from embed_onnx_export.report import cards  # noqa: PLC0415 - torch takes seconds to import
        from embed_onnx_export.report.subject import Subject  # noqa: PLC0415 - it imports torch as well

        kind = cards.KINDS[type(manifest.output)]
        with (
            progress.explained(entry.name, folder, show),
            tempfile.TemporaryDirectory(prefix=".report-", dir=folder.parent) as scratch,
            overrides.applied(checkpoint, entry.overrides) as changed,
        ):
            other = Path(scratch) / "other"
            refused = None
            other.mkdir()
            try:
                kind.make(replace(entry, precision=OTHER[entry.precision]), changed, other, show)
            except ExportError as err:
                refused = str(err)
            folders = {manifest.precision: folder}
            if refused is None:
                folders[OTHER[manifest.precision]] = other
            measured = kind.card_of(Subject(manifest, changed, folders, refused, artifacts), data, show)
            card.write(measured, kind.markdown(measured), folder)
        show("done")
    return folder / card.REPORT
